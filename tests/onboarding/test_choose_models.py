"""The level of thinking that stands, as the app shows it: it is the one that is sent."""

from pathlib import Path

import pytest

from modelbay.config.load import parse
from modelbay.model import Model
from modelbay.onboarding.choose_models import checked, level

THINKER = Model(id="m", protocol="openai_chat", efforts=["low", "medium", "high"], capabilities={"thinking": True})
ALWAYS = Model(id="m", protocol="openai_chat", efforts=["low", "high"], capabilities={"always_thinking": True})
PLAIN = Model(id="m", protocol="openai_chat", capabilities={"thinking": False})


@pytest.mark.parametrize(
    ("model", "config", "shown"),
    [
        (THINKER, '[thinking]\neffort = "max"', "high"),
        (THINKER, '[thinking]\neffort = "minimal"', "low"),
        (THINKER, "[thinking]\nenabled = false", "off"),
        (THINKER, "", "medium"),
        (ALWAYS, "[thinking]\nenabled = false", "low"),
        (ALWAYS, '[thinking]\neffort = "medium"', "low"),
        (PLAIN, '[thinking]\neffort = "high"', None),
    ],
)
def test_the_level_that_stands_is_one_that_the_model_has(model, config, shown):
    assert level(parse(config, Path("/somewhere/config.toml")), model) == shown


@pytest.mark.parametrize(
    ("model", "wanted", "level", "warned"),
    [
        (THINKER, " HIGH ", "high", None),
        (THINKER, "none", "off", None),
        (THINKER, "xhigh", "high", "the effort `xhigh` is sent as `high`"),
        (ALWAYS, "off", "low", "m always thinks"),
        (PLAIN, "high", "off", "m does not support thinking"),
        (PLAIN, "off", "off", None),
        (Model(id="m", protocol="openai_chat"), "max", "max", "unknown whether m has the effort `max`"),
    ],
)
def test_a_typed_level_follows_the_rule_of_every_request(model, wanted, level, warned):
    found, warning = checked(model, wanted)
    assert found == level
    assert (warning is None) if warned is None else (warned in (warning or ""))
