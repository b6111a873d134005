"""claude-code-router: forms of references, endpoints, routes, and texts that would be references in modelbay."""

import json
from typing import Any

import pytest

from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

OWN = ".claude-code-router/config.json"


def one(desk: Desk, router: dict[str, str] | None = None, **provider: Any) -> Any:
    entry = {"name": "acme", "api_base_url": "https://acme.example/v1/chat/completions", "models": ["m"], **provider}
    desk.write(OWN, json.dumps({"Providers": [entry], "Router": router or {}}))
    return read("ccr", keys=True)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("$ACME_KEY", "{env:ACME_KEY}"),
        ("${ACME_KEY}", "{env:ACME_KEY}"),
        ("sk-0123456789", "sk-0123456789"),
        ("{env:HOME}", None),
        ("{command:id}", None),
        ("", None),
        (7, None),
    ],
)
def test_a_key_is_a_variable_or_a_text(desk: Desk, written: object, key: str | None):
    assert one(desk, api_key=written).providers[0].table.get("api_key") == key


@pytest.mark.parametrize(
    ("url", "transformer", "type", "base"),
    [
        ("https://a.example/v1/chat/completions", "deepseek", "openai", "https://a.example/v1"),
        ("https://a.example/v1/chat/completions?v=7", "tooluse", "openai", "https://a.example/v1?v=7"),
        ("https://a.example/anthropic/v1/messages", "Anthropic", "anthropic", "https://a.example/anthropic/v1"),
        ("https://a.example/v1/responses", "openai-responses", "openai_responses", "https://a.example/v1"),
        ("https://a.example/v1beta/models/", "gemini", "google-genai", "https://a.example/v1beta"),
    ],
)
def test_the_transformer_decides_the_protocol(desk: Desk, url: str, transformer: str, type: str, base: str):
    provider = one(desk, api_base_url=url, transformer={"use": [transformer]}).providers[0]
    assert provider.table == {"type": type, "base_url": base}


def test_a_model_that_is_a_reference_in_modelbay_is_not_imported(desk: Desk):
    found = one(desk, models=["m", "{command:id}"])
    assert list(found.providers[0].models) == ["acme/m"]
    assert "{command" not in repr(found.providers)


@pytest.mark.parametrize(
    ("route", "default"),
    [("acme,m", "acme/m"), (" acme , m ", "acme/m"), ("acme,x", None), ("acme", None), ("other,m", None), ("", None)],
)
def test_the_default_route_is_the_default_model(desk: Desk, route: str, default: str | None):
    assert one(desk, {"default": route}).default_model == default


def test_a_database_is_not_read(desk: Desk):
    with pytest.raises(ConfigError) as raised:
        read("ccr")
    assert "version 3 keeps its settings in a database" in (raised.value.hint or "")


def test_models_of_one_provider_with_two_protocols_become_two_entries(desk: Desk):
    desk.file.write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v1"\napi_key = "{env:ACME_KEY}"\n'
        '[models."acme/m"]\nprovider = "acme"\nmodel = "m"\nmax_output_size = 1000\n'
        '[models."acme/n"]\nprovider = "acme"\nmodel = "n"\nprotocol = "anthropic"\n'
        'base_url = "https://acme.example/anthropic"\n'
    )
    assert json.loads(desk.done("export", "ccr", "acme")) == {
        "Router": {"default": "acme,m"},
        "Providers": [
            {
                "name": "acme",
                "api_base_url": "https://acme.example/v1/chat/completions",
                "api_key": "$ACME_KEY",
                "models": ["m"],
                "transformer": {"m": {"use": [["maxtoken", {"max_tokens": 1000}]]}},
            },
            {
                "name": "acme-anthropic",
                "api_base_url": "https://acme.example/anthropic/v1/messages",
                "api_key": "$ACME_KEY",
                "models": ["n"],
                "transformer": {"use": ["Anthropic"]},
            },
        ],
    }
