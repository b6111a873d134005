"""Search back ends: their rows, addresses and keys."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from modelbay.config.load import parse
from modelbay.config.schema import Config, SearchSettings
from modelbay.credentials.approval import Approval
from modelbay.errors import ConfigError, MissingCredential
from modelbay.onboarding.references import wanted
from modelbay.providers.search_backends import SearchEndpoint, search_backends, search_endpoint, search_url


def config_of(keys: str) -> tuple[Config, SearchSettings]:
    config = parse(f"[gateway.search]\n{keys}\n", Path("/home/me/config.toml"))
    assert config.problems == []
    assert config.gateway is not None
    assert config.gateway.search is not None
    return config, config.gateway.search


def endpoint_of(keys: str) -> SearchEndpoint:
    config, settings = config_of(keys)
    config.trusted = True
    return search_endpoint(config, settings)


def test_each_back_end_of_the_configuration_has_a_row() -> None:
    names = get_args(get_type_hints(SearchSettings)["backend"])
    assert {*names} == {*search_backends(), "mcp"}


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ('backend = "brave"', "https://api.search.brave.com/res/v1/web/search"),
        ('backend = "tavily"', "https://api.tavily.com/search"),
        ('backend = "exa"\nurl = "https://proxy.example/exa/"', "https://proxy.example/exa/search"),
        ('backend = "searxng"\nurl = "http://localhost:8888"', "http://localhost:8888/search"),
        ('backend = "searxng"\nurl = "http://localhost:8888/search"', "http://localhost:8888/search"),
        ('backend = "mcp"\nurl = "https://mcp.example/mcp/"', "https://mcp.example/mcp/"),
    ],
)
def test_the_url_of_a_back_end(keys: str, url: str) -> None:
    assert search_url(config_of(keys)[1]) == url


@pytest.mark.parametrize(
    ("keys", "headers"),
    [
        ('backend = "brave"', {"X-Subscription-Token": "key-0123456789"}),
        ('backend = "tavily"', {"Authorization": "Bearer key-0123456789"}),
        ('backend = "exa"', {"x-api-key": "key-0123456789"}),
        ('backend = "searxng"\nurl = "http://localhost:8888"', {"Authorization": "Bearer key-0123456789"}),
        (
            'backend = "mcp"\nurl = "https://mcp.example"\ncustom_headers = { x-team = "{env:TEAM}" }',
            {"Authorization": "Bearer key-0123456789", "x-team": "blue-team-7"},
        ),
    ],
)
def test_the_key_is_sent_as_the_back_end_expects_it(
    keys: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "blue-team-7")
    monkeypatch.setenv("KEY", "key-0123456789")
    found = endpoint_of(f'{keys}\napi_key = "{{env:KEY}}"')
    assert found.headers == headers
    assert "key-0123" not in repr(found)


def test_a_missing_key_is_an_error_with_its_place() -> None:
    with pytest.raises(MissingCredential, match="requires an API key") as missing:
        endpoint_of('backend = "exa"')
    assert "[gateway.search]" in str(missing.value.hint)
    with pytest.raises(ConfigError, match=r"gateway\.search\.api_key: .*NOT_SET_ANYWHERE"):
        endpoint_of('backend = "exa"\napi_key = "{env:NOT_SET_ANYWHERE}"')


def test_a_file_from_elsewhere_needs_approval_for_the_key() -> None:
    config, _ = config_of('backend = "exa"\napi_key = "{env:KEY}"')
    assert wanted(config) == [Approval("{env:KEY}", "https://api.exa.ai")]
