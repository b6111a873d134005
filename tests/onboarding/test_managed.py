"""A managed service's list of models as entries."""

import json

import pytest

from modelbay.errors import MalformedReply
from modelbay.onboarding.managed import models_of, table_of
from modelbay.providers.logins import by_id, oauth_table
from modelbay.providers.presets import Login

LOGIN = Login(id="acme", title="Acme", by="device", provider="managed:acme", prefix="acme")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ["tool_use"]),
        ({"supports_reasoning": True}, ["thinking", "tool_use"]),
        ({"supports_thinking_type": "only", "supports_tool_use": False}, ["thinking", "always_thinking"]),
        ({"supports_thinking_type": "no", "supports_reasoning": True}, ["tool_use"]),
        ({"supports_thinking_type": "both", "supports_image_in": True, "supports_video_in": True},
         ["thinking", "image_in", "video_in", "tool_use"]),
    ],
)  # fmt: skip
def test_capabilities(said: dict[str, object], expected: list[str]) -> None:
    table = table_of({"id": "m", "context_length": 1000, **said}, "managed:acme")
    assert table == {"provider": "managed:acme", "model": "m", "max_context_size": 1000, "capabilities": expected}


def test_a_thinking_model_of_the_anthropic_protocol() -> None:
    item = {
        "id": "m", "context_length": 1000, "display_name": "M", "supports_thinking_type": "only", "protocol": "anthropic",
        "think_efforts": {"support": True, "valid_efforts": ["low", "max"], "default_effort": "max"},
    }  # fmt: skip
    table = table_of(item, "p")
    assert table["protocol"] == "anthropic" and table["beta_api"] is table["adaptive_thinking"] is True
    assert (table["support_efforts"], table["default_effort"], table["display_name"]) == (["low", "max"], "max", "M")


@pytest.mark.parametrize("context", [None, 0, -1, "1000", 1.5, True])
def test_a_model_without_a_size_is_refused(context: object) -> None:
    with pytest.raises(MalformedReply, match="context_length"):
        models_of(json.dumps({"data": [{"id": "m", "context_length": context}]}).encode(), LOGIN)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":{}}', b'{"data":[]}', b'{"data":[{"id":7}]}'])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedReply):
        models_of(body, LOGIN)


def test_another_region_is_another_login() -> None:
    usual, elsewhere = by_id("kimi-code"), by_id("kimi-code-global")
    assert usual and elsewhere
    assert oauth_table(usual) == {"storage": "file", "key": "oauth/kimi-code"}
    table = oauth_table(elsewhere)
    assert table["oauth_host"] == "https://auth.kimi.ai" and table["key"].startswith("oauth/kimi-code-env-")
