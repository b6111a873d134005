"""`[gateway]`: what is read, what is refused with its line, and what a refused table means."""

from pathlib import Path

import pytest

from modelbay.config.load import parse
from modelbay.config.schema import Config, GatewaySettings, Problem, SearchSettings
from modelbay.secrecy import MASK, REFERENCES, redact

PATH = Path("/home/me/config.toml")
MODELS = """
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
[providers.broken]
type = "opnai"
[models.kimi]
provider = "acme"
model = "kimi-k3"
variants.deep = { reasoning_effort = "high" }
[models.lost]
provider = "broken"
model = "m"
"""


def read(text: str) -> Config:
    return parse(f"[gateway]\n{text}\n{MODELS}", PATH)


def problem(text: str) -> Problem:
    """The only problem of the table."""
    (found,) = [one for one in read(text).problems if one.where.startswith("gateway")]
    return found


def test_without_a_table_the_gateway_is_local_and_requires_keys() -> None:
    settings = parse("", PATH).gateway
    assert settings == GatewaySettings()
    assert settings is not None
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8484, "keys")
    assert settings.local_url == "http://127.0.0.1:8484"


def test_every_setting_is_read_and_host_names_and_origins_are_normalized() -> None:
    settings = read(
        'host = "LOCALHOST"\nport = 1\nauth = "none"\nstrict = true\nstore = false\nstore_days = 2\nstore_bytes = 3\n'
        'cors_origins = ["https://App.example:443/", "http://localhost:5173", "app://obsidian.md"]\n'
        'hosts = ["Gateway.LAN", "[FE80::1]"]\nbody_bytes = 4\nconcurrent = 5\n'
        'names = { "claude-*" = "kimi", "gpt-5" = "acme/gpt-5", x = "kimi:deep" }'
    ).gateway
    assert settings == GatewaySettings(
        host="localhost",
        port=1,
        auth="none",
        names={"claude-*": "kimi", "gpt-5": "acme/gpt-5", "x": "kimi:deep"},
        strict=True,
        store=False,
        store_days=2,
        store_bytes=3,
        cors_origins=["https://app.example", "http://localhost:5173", "app://obsidian.md"],
        hosts=["gateway.lan", "fe80::1"],
        body_bytes=4,
        concurrent=5,
    )


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("prot = 1", "gateway.prot", "unknown key", 'rename it to "port"'),
        ("cors_origin = []", "gateway.cors_origin", "unknown key", 'rename it to "cors_origins"'),
        ("port = 0", "gateway.port", "expected a whole number of at least 1", None),
        ("port = 65536", "gateway.port", "expected a whole number of at most 65535", None),
        ('auth = "off"', "gateway.auth", 'unknown value "off"', 'must be "keys" or "none"'),
        ("names = { a = 1 }", "gateway.names", "expected text, got a whole number", None),
        ('names = { a = " " }', "gateway.names.a", "expected the name of a model", None),
        ("concurrent = 0", "gateway.concurrent", "expected a whole number of at least 1", None),
        ("store_days = 0.5", "gateway.store_days", "expected a whole number, got a number", None),
        (
            'host = "http://0.0.0.0"',
            "gateway.host",
            '"http://0.0.0.0" is not a host name or address',
            "write only the host, without scheme and port",
        ),
        (
            'hosts = ["a.example:80"]',
            "gateway.hosts",
            '"a.example:80" is not a host name or address',
            "write only the host, without scheme and port",
        ),
        (
            'hosts = ["*.example"]',
            "gateway.hosts",
            '"*.example" is not a host name or address',
            "write each name; * does not match any",
        ),
        *(
            (
                f'cors_origins = ["{text}"]',
                "gateway.cors_origins",
                f'"{text}" is not the origin of a web page',
                "write scheme and host, such as https://app.example",
            )
            for text in ("*", "app.example", "https://app.example/chat", "https://*.example", "null")
        ),
        ('cache_ttl = "2h"', "gateway.cache_ttl", 'unknown value "2h"', 'must be "1h"'),
        (
            'search = { backend = "bing" }',
            "gateway.search.backend",
            'unknown value "bing"',
            'must be "searxng" or "brave" or "tavily" or "exa" or "mcp"',
        ),
        (
            "search = { }",
            "gateway.search",
            "`backend` is missing",
            'add backend = "searxng" or "brave" or "tavily" or "exa" or "mcp"',
        ),
        ("search = 1", "gateway.search", "expected a table", None),
        (
            'search = { backend = "exa", max_use = 1 }',
            "gateway.search.max_use",
            "unknown key",
            'rename it to "max_uses"',
        ),
        (
            'search = { backend = "exa", results = 0 }',
            "gateway.search.results",
            "expected a whole number of at least 1",
            None,
        ),
        (
            'search = { backend = "exa", timeout = 0 }',
            "gateway.search.timeout",
            "expected a number greater than 0",
            None,
        ),
        (
            'search = { backend = "mcp" }',
            "gateway.search",
            'the back end "mcp" requires a url',
            'add url = "https://..."',
        ),
        (
            'search = { backend = "searxng", url = "ftp://a" }',
            "gateway.search.url",
            "the URL must start with http:// or https://",
            None,
        ),
        (
            'search = { backend = "exa", tool = "t" }',
            "gateway.search.tool",
            'only the back end "mcp" has this key',
            "remove it",
        ),
        (
            'search = { backend = "exa", api_key = "${KEY}" }',
            "gateway.search.api_key",
            "${KEY} is not a valid reference",
            REFERENCES,
        ),
        ('cors_origins = ["https://a:b"]', "gateway.cors_origins", '"https://a:b": the URL does not parse', None),
    ],
)
def test_a_wrong_setting_is_reported_with_its_line_and_the_gateway_does_not_start(
    text: str, where: str, message: str, hint: str | None
) -> None:
    found = problem(text)
    assert (found.line, found.where, found.message, found.hint) == (2, where, message, hint)
    config = read(text)
    assert config.gateway is None
    assert "kimi" in config.models


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "a.localhost"])
def test_a_loopback_host_may_be_used_without_keys(host: str) -> None:
    settings = read(f'host = "{host}"\nauth = "none"').gateway
    assert settings is not None
    assert settings.auth == "none"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.lan", "127.0.0.1.evil.example"])
def test_another_host_must_not_be_used_without_keys(host: str) -> None:
    found = problem(f'host = "{host}"\nauth = "none"')
    assert (found.line, found.where) == (3, "gateway.auth")
    assert found.message == f'"none" is not allowed with host "{host}"'
    assert found.hint == 'set auth = "keys", or a loopback host such as 127.0.0.1'


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8484"),
        ("::", "http://[::1]:8484"),
        ("::1", "http://[::1]:8484"),
        ("gateway.lan", "http://gateway.lan:8484"),
    ],
)
def test_programs_on_this_machine_get_an_address_that_they_can_reach(host: str, url: str) -> None:
    settings = read(f'host = "{host}"').gateway
    assert settings is not None
    assert settings.local_url == url


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        ("kimmi", 'no model "kimmi"', 'did you mean "kimi"?'),
        ("nobody/m", 'no model "nobody/m"', "use a model of the file, or provider/model-id"),
        (
            "lost",
            f'model "lost" cannot be used: {PATH}:14: models.lost.provider: its provider "broken" cannot be used',
            None,
        ),
    ],
)
def test_a_name_for_an_unknown_model_is_reported_and_the_others_work(
    model: str, message: str, hint: str | None
) -> None:
    text = f'names = {{ good = "kimi", "claude-*" = "{model}" }}'
    found = problem(text)
    assert (found.line, found.where, found.hint) == (2, 'gateway.names."claude-*"', hint)
    assert found.message == message
    settings = read(text).gateway
    assert settings is not None
    assert settings.names["good"] == "kimi"


def test_a_name_with_the_form_of_a_secret_does_not_hide_the_model() -> None:
    read('names = { "my-token" = "plain-model-name", "other-*" = "kimi" }')
    assert redact("plain-model-name") != MASK


def test_a_search_back_end_is_read() -> None:
    settings = read(
        'search = { backend = "mcp", url = "https://mcp.example/mcp", tool = "find", arguments = { deep = true },'
        ' custom_headers = { x-team = "{env:TEAM}" }, results = 5, max_uses = 3, timeout = 2 }'
    ).gateway
    assert settings is not None
    assert settings.search == SearchSettings(
        backend="mcp",
        url="https://mcp.example/mcp",
        tool="find",
        arguments={"deep": True},
        custom_headers={"x-team": "{env:TEAM}"},
        results=5,
        max_uses=3,
        timeout=2.0,
    )
