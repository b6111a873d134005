"""The model that a client gets for the name that it asks for."""

from pathlib import Path

import pytest

from modelbay.config.load import parse
from modelbay.errors import UnknownModel
from modelbay.gateway.names import LIST, LONGEST, MOST, ModelNames

CONFIG = """
default_model = "fast"

[gateway.names]
"gpt-5" = "fast"
"claude-*" = "fast"
"claude-haiku-*" = "acme/small"
"*-haiku-latest" = "router/openai/gpt-oss"
"claude-opus-4" = "deep:high"
"gone" = "fastt"
"chained" = "claude-opus-4"
"claude-broken*" = "lost"
"a*c" = "acme/small"
"acme/large" = "fast"
"b.d*" = "fast"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
[providers.router]
type = "openai"
base_url = "https://router.example/v1"
[providers.broken]
type = "opnai"

[models.fast]
provider = "acme"
model = "fast-2026"
aliases = ["quick", "gpt-4o"]
variants.high = { reasoning_effort = "high" }
[models.deep]
provider = "acme"
model = "deep-2026"
variants.high = { reasoning_effort = "high" }
[models."acme/small"]
provider = "acme"
model = "small"
[models."acme/large"]
provider = "acme"
model = "large"
[models."router/openai/gpt-oss"]
provider = "router"
model = "openai/gpt-oss"
[models."router/llama"]
provider = "router"
model = "llama:8b"
[models."router/small"]
provider = "router"
model = "twin"
[models."acme/twin"]
provider = "acme"
model = "twin"
[models.lost]
provider = "broken"
model = "lost-1"
[models.claude-real]
provider = "router"
model = "claude-sonnet-4-5"
variants.high = { reasoning_effort = "high" }
"""


@pytest.fixture(scope="module")
def names() -> ModelNames:
    return ModelNames(parse(CONFIG, Path("/home/me/config.toml")))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        # names that work everywhere in modelbay
        ("fast", "fast"),
        ("quick", "fast"),
        ("fast:high", "fast:high"),
        ("quick:high", "fast:high"),
        ("acme/fast-2026", "fast"),
        ("acme/fast-2026:high", "fast:high"),
        ("acme/anything/else:v1", "acme/anything/else:v1"),
        (None, "fast"),
        ("", "fast"),
        # the ID of a model at its provider
        ("deep-2026", "deep"),
        ("deep-2026:high", "deep:high"),
        ("openai/gpt-oss", "router/openai/gpt-oss"),
        ("llama:8b", "router/llama"),
        # Gemini's resource names
        ("models/fast", "fast"),
        ("models/deep-2026:high", "deep:high"),
        ("models/claude-3-5-haiku-latest", "router/openai/gpt-oss"),
        # exact names come first, even before an alias
        ("gpt-5", "fast"),
        ("gpt-5:high", "fast:high"),
        ("acme/large", "fast"),
        ("claude-opus-4", "deep:high"),
        ("claude-opus-4:high", "deep:high"),
        # patterns come last, the most specific one first
        ("claude-sonnet-4-5", "claude-real"),
        ("claude-sonnet-4-5:high", "claude-real:high"),
        ("claude-real", "claude-real"),
        ("claude-sonnet-5", "fast"),
        ("claude-sonnet-5:high", "fast:high"),
        ("claude-sonnet-5:low", "fast"),
        ("claude-", "fast"),
        ("claude-haiku-4-5", "acme/small"),
        ("x-haiku-latest", "router/openai/gpt-oss"),
        ("abc", "acme/small"),
        ("ac", "acme/small"),
        ("b.d1", "fast"),
        ("a\nc", "acme/small"),
    ],
)
def test_a_name_finds_its_model(names: ModelNames, asked: str | None, found: str) -> None:
    for _ in range(2):  # the second time from the cache
        entry = names.find(asked)
        assert entry.alias + (f":{entry.variant}" if entry.variant else "") == found


CLAUDE = 'did you mean "claude-sonnet-4-5"?'
BROKEN = 'providers.broken.type: unknown type "opnai"'


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        ("fst", 'no model "fst"', 'did you mean "fast"?'),
        ("models/fst", 'no model "fst"', 'did you mean "fast"?'),
        ("FAST", 'no model "FAST"', 'did you mean "fast" or "fast-2026"?'),
        ("depe-2026", 'no model "depe-2026"', 'did you mean "deep-2026"?'),
        ("gpt-6", 'no model "gpt-6"', 'did you mean "gpt-5" or "gpt-4o"?'),
        ("zzzz", 'no model "zzzz"', LIST),
        ("nobody/zzzz", 'no model "nobody/zzzz"', LIST),
        ("bxd", 'no model "bxd"', LIST),
        ("fast:low", 'no model "fast:low"', "the variants of fast are high"),
        ("twin", 'several models have the ID "twin"', "use one of: router/small, acme/twin"),
        ("gone", 'model "fastt", which [gateway.names] sets for "gone", does not exist', 'did you mean "fast"?'),
        ("gon", 'no model "gon"', LIST),
        ("chained", 'model "claude-opus-4", which [gateway.names] sets for "chained", does not exist', CLAUDE),
        ("z" * 200, f'no model "{"z" * 100}…"', LIST),
        ("claude-" + "z" * LONGEST, f'no model "claude-{"z" * 93}…"', LIST),
    ],
)
def test_an_unknown_name_is_answered_with_names_that_work(
    names: ModelNames, asked: str, message: str, hint: str
) -> None:
    with pytest.raises(UnknownModel) as caught:
        names.find(asked)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("lost", 'model "lost" cannot be used: models.lost.provider: its provider "broken" cannot be used'),
        ("lost:high", 'model "lost:high" cannot be used: models.lost.provider: its provider "broken" cannot be used'),
        ("broken/m", f'model "broken/m" cannot be used: {BROKEN}'),
        (
            "claude-broken-1",
            'model "lost", which [gateway.names] sets for "claude-broken-1", cannot be used: '
            'models.lost.provider: its provider "broken" cannot be used',
        ),
    ],
)
def test_a_broken_entry_is_named_with_its_problem_and_without_paths_of_this_machine(
    names: ModelNames, asked: str, message: str
) -> None:
    with pytest.raises(UnknownModel) as caught:
        names.find(asked)
    assert caught.value.message == message


def test_a_broken_entry_is_not_replaced_by_a_pattern() -> None:
    config = parse(CONFIG.replace('"claude-*"', '"*"'), Path("/home/me/config.toml"))
    with pytest.raises(UnknownModel, match="cannot be used"):
        ModelNames(config).find("lost")
    assert ModelNames(config).find("zzzz").alias == "fast"


def test_a_provider_called_models_keeps_its_name() -> None:
    text = f'{CONFIG}\n[providers.models]\ntype = "openai"\nbase_url = "https://m.example/v1"\n'
    entry = ModelNames(parse(text, Path("/home/me/config.toml"))).find("models/fast")
    assert (entry.provider, entry.model) == ("models", "fast")


def test_without_a_default_model_a_request_without_a_name_is_refused() -> None:
    empty = ModelNames(parse("", Path("/home/me/config.toml")))
    with pytest.raises(UnknownModel, match="no model given, and no default model is set"):
        empty.find(None)


def test_any_number_of_names_can_be_asked_for() -> None:
    names = ModelNames(parse(CONFIG, Path("/home/me/config.toml")))
    for number in range(MOST + 10):
        assert names.find(f"acme/m-{number}").model == f"m-{number}"
    assert len(names._found) <= MOST


PREFIXED = CONFIG.replace('"claude-*" = "fast"', '"claude-*" = "*"\n"c*" = "deep"\n"my-*-model" = "acme/*"')


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("claude-fast", "fast"),
        ("claude-fast:high", "fast:high"),
        ("claude-quick", "fast"),
        ("claude-acme/large", "acme/large"),
        ("claude-router/any-model", "router/any-model"),
        ("claude-real", "claude-real"),
        ("claude-haiku-4-5", "acme/small"),
        ("my-twin-model", "acme/twin"),
        # a wider pattern
        ("claude-unknown", "deep"),
        ("claude-", "deep"),
    ],
)
def test_a_pattern_may_give_every_model_a_name(asked: str, found: str) -> None:
    entry = ModelNames(parse(PREFIXED, Path("config.toml"))).find(asked)
    assert entry.alias + (f":{entry.variant}" if entry.variant else "") == found


def test_such_names_are_listed() -> None:
    names = ModelNames(parse(PREFIXED, Path("config.toml")))
    listed = names.listed()
    assert {"gpt-5", "claude-fast", "claude-deep", "claude-acme/large", "my-large-model", "my-twin-model"} <= set(
        listed
    )
    assert not [name for name in listed if "*" in name]
    assert len(listed) == len(set(listed))


def test_a_broken_model_is_reported_under_such_a_name() -> None:
    with pytest.raises(UnknownModel, match="lost"):
        ModelNames(parse(PREFIXED, Path("config.toml"))).find("claude-lost")
