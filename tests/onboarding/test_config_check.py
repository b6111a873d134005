"""`config check` finds every problem before a request is sent."""

from pathlib import Path

import pytest

from modelbay.config.load import load
from modelbay.errors import ConfigSyntaxError
from modelbay.onboarding.config_check import config_problems

PROVIDER = """\
[providers.p]
type = "openai"
base_url = "https://p.example/v1"
api_key = "key-0123456789"
"""


def found(tmp_path: Path, text: str) -> list[tuple[int | None, str]]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    problems = config_problems(load(file, trusted=True, report=False))
    assert all(problem.hint for problem in problems), problems
    return [(problem.line, problem.where) for problem in problems]


@pytest.mark.parametrize(
    "written",
    (
        *("{keyring:acme}", "{env:ACME_KEY", "env:ACME_KEY}", "{{env:ACME_KEY}}", "{env:ACME_KEY}}", "{{ACME_KEY}}"),
        *("$env:ACME_KEY", "%ACME_KEY%", "$(print-key acme)", "${{ secrets.ACME_KEY }}"),
    ),
)
def test_a_text_that_resembles_a_reference_is_not_a_key(tmp_path: Path, written: str) -> None:
    assert found(tmp_path, PROVIDER.replace("key-0123456789", written)) == [(4, "providers.p.api_key")]


@pytest.mark.parametrize("value", ("a{b}c", "100%25", "US$5", "a}b", '{"a": {"b": 1}}'))
def test_a_header_may_have_braces_and_dollars(tmp_path: Path, value: str) -> None:
    assert found(tmp_path, f"{PROVIDER}custom_headers = {{ X-Meta = '{value}' }}\n") == []


@pytest.mark.parametrize("place", ("p.example/{env:TENANT}/v1", "p.example/${TENANT}/v1", "${TENANT}.example/v1"))
def test_a_reference_in_an_address_is_not_sent_as_it_is_written(tmp_path: Path, place: str) -> None:
    assert found(tmp_path, PROVIDER.replace("p.example/v1", place)) == [(3, "providers.p.base_url")]


@pytest.mark.parametrize(
    ("line", "where"),
    (
        *(
            ('proxy = "ftp://p.example"', "proxy"),
            ('proxy = "a b"', "proxy"),
            ('proxy = "http://u:{env:}@p:1"', "proxy"),
        ),
        *(('proxy = "{env:NOT_SET_ANYWHERE}"', "proxy"), ('ca = "missing.pem"', "ca"), ('ca = "config.toml"', "ca")),
    ),
)
def test_a_network_that_cannot_be_used_is_found(tmp_path: Path, line: str, where: str) -> None:
    assert found(tmp_path, f"[network]\n{line}\n{PROVIDER}") == [(2, f"network.{where}")]


@pytest.mark.parametrize("line", ('proxy = "p.example:3128"', 'proxy = "socks5h://u:p@p:1"', 'proxy = "None"'))
def test_a_network_in_order_is_not_reported(tmp_path: Path, line: str) -> None:
    assert found(tmp_path, f"[network]\n{line}\n{PROVIDER}") == []


def test_certificates_that_are_not_there_are_found(tmp_path: Path) -> None:
    text = f'{PROVIDER}proxy = "ftp://p.example"\n[providers.p.tls]\nca = "a.pem"\ncert = "b.pem"\nkey = "c.pem"\n'
    assert found(tmp_path, text) == [
        (5, "providers.p.proxy"),
        *((7, "providers.p.tls.ca"), (8, "providers.p.tls.cert"), (9, "providers.p.tls.key")),
    ]


MODEL = '[models.m]\nprovider = "p"\nmodel = "m"\n'


@pytest.mark.parametrize("price", ("nan", "inf", "-inf", "-1", "-0.5"))
@pytest.mark.parametrize("table", ("cost", "overrides.cost"))
def test_a_price_that_is_not_a_number_of_dollars_is_found(tmp_path: Path, price: str, table: str) -> None:
    assert found(tmp_path, f"{PROVIDER}{MODEL}{table}.cache_read = {price}\n") == [(8, f"models.m.{table}.cache_read")]
    assert found(tmp_path, f"{PROVIDER}{MODEL}{table}.cache_read = 0\n") == []


@pytest.mark.parametrize("key", ("kind", "url", "apiKey", "models_dev_provider_id"))
@pytest.mark.parametrize("value", ("5", "true", '["x"]', '{ x = "y" }'))
def test_a_source_of_the_wrong_type_is_found(tmp_path: Path, key: str, value: str) -> None:
    assert found(tmp_path, f"{PROVIDER}source.{key} = {value}\n") == [(5, f"providers.p.source.{key}")]


@pytest.mark.parametrize("word", ("banana", "hihg", "deep"))
def test_an_unknown_effort_is_found(tmp_path: Path, word: str) -> None:
    text = f'[thinking]\neffort = "{word}"\n{PROVIDER}{MODEL}'
    assert found(tmp_path, f'{text}default_effort = "{word}"\n') == [
        (2, "thinking.effort"),
        (10, "models.m.default_effort"),
    ]
    assert found(tmp_path, f'{text}support_efforts = ["{word}"]\n') == [], "a model of the file has it"


@pytest.mark.parametrize("word", ("off", "none", "auto", "minimal", "Max", "xhigh"))
def test_a_known_effort_is_not_reported(tmp_path: Path, word: str) -> None:
    assert found(tmp_path, f'[thinking]\neffort = "{word}"\n{PROVIDER}') == []


def test_a_name_that_two_models_have_is_found(tmp_path: Path) -> None:
    models = "".join(f'[models.{id}]\nprovider = "p"\nmodel = "{id}"\naliases = ["z"]\n' for id in "ab")
    assert found(tmp_path, PROVIDER + models) == [(12, "models.b.aliases")]


@pytest.mark.parametrize("text", (".".join("a" * 5000) + " = 1", "x = " + "[" * 5000 + "]" * 5000))
def test_a_file_that_is_nested_too_deeply_is_an_error_of_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigSyntaxError, match="nested too deeply"):
        load(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ('backend = "brave"', "gateway.search"),
        ('backend = "tavily"\napi_key = "{env:SEARCH_KEY_THAT_IS_NOT_SET}"', "gateway.search.api_key"),
        ('backend = "searxng"', "gateway.search"),
        ('backend = "searxng"\nurl = "http://localhost:8888"\n[network]\noffline = true', "gateway.search"),
    ],
)
def test_a_search_back_end_that_cannot_be_used_is_found(tmp_path: Path, keys: str, where: str) -> None:
    assert found(tmp_path, f"[gateway.search]\n{keys}\n") == [(1, where)]


@pytest.mark.parametrize(
    "keys", ['backend = "exa"\napi_key = "key-0123456789"', 'backend = "searxng"\nurl = "http://localhost:8888"']
)
def test_a_search_back_end_in_order_is_not_reported(tmp_path: Path, keys: str) -> None:
    assert found(tmp_path, f"[gateway.search]\n{keys}\n") == []


def test_a_search_back_end_without_its_key_is_named_with_the_line_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[gateway.search]\nbackend = "brave"\n')
    [problem] = config_problems(load(tmp_path / "config.toml"))
    assert problem.message == "the search back end brave requires an API key"


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ('model_source = "dynamic"', 5, 'unknown value "dynamic"', "use one of: static, discover, oauth-catalog"),
        (
            '[models.m]\nprovider = "p"\nmodel = "w"\nmodalities.input = ["text", "smell"]',
            8,
            'unknown input type "smell"',
            "use one of: text, image, video, audio, pdf",
        ),
    ],
)
def test_an_unknown_word_is_found(tmp_path: Path, text: str, line: int, message: str, fix: str) -> None:
    (tmp_path / "config.toml").write_text(PROVIDER + text)
    [problem] = [one for one in config_problems(load(tmp_path / "config.toml")) if one.where != "the file"]
    assert (problem.line, problem.message, problem.hint) == (line, message, fix)


def test_a_standalone_model_without_a_protocol_is_told_which_key_to_add(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[models.m]\nmodel = "w"\nbase_url = "https://m.example/v1"\n')
    [problem] = config_problems(load(tmp_path / "config.toml"))
    assert problem.message == 'model "m" has neither a protocol nor the base URL of a known vendor'
    assert problem.hint == 'add protocol = "openai_chat"'


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('proxy = "socks9://p.example:1080"', "proxy"),
        ('source = { kind = "nope" }', "source.kind"),
        ('source = { kind = "apiJson" }', "source"),
        ('source = { kind = "apiJson", url = "acme.example" }', "source.url"),
        ('source = { kind = "manifest", url = "ftp://acme.example" }', "source.url"),
        ('custom_headers = { Content-Length = "3" }', ""),
        ('custom_headers = { transfer-encoding = "chunked" }', ""),
    ],
)
def test_a_provider_with_a_value_that_fails_later_is_found(tmp_path: Path, line: str, where: str) -> None:
    places = [place for _, place in found(tmp_path, f"{PROVIDER}{line}\n")]
    assert places == [".".join(filter(None, ("providers.p", where)))]


@pytest.mark.parametrize(
    "line",
    [
        'proxy = "SOCKS5H://p.example:1080"',
        'source = { kind = "manifest" }',
        'source = { kind = "apiJson", url = "https://acme.example/api.json", apiKey = "t" }',
        'source = { note = "mine" }',
    ],
)
def test_a_provider_in_order_is_not_reported(tmp_path: Path, line: str) -> None:
    assert found(tmp_path, f"{PROVIDER}{line}\n") == []


@pytest.mark.parametrize(
    "oauth",
    ('{ key = "../x" }', '{ key = "mine" }', '{ key = "oauth/kimi-code", token_url = "http://x.example" }'),
)
def test_a_login_that_cannot_work_is_found(tmp_path: Path, oauth: str) -> None:
    provider = PROVIDER.replace('api_key = "key-0123456789"', f"oauth = {oauth}")
    assert found(tmp_path, provider) == [(4, "providers.p.oauth")]
    model = f'[models.m]\nprovider = "p"\nmodel = "w"\noauth = {oauth}\n'
    assert found(tmp_path, PROVIDER + model) == [(8, "models.m.oauth")]


@pytest.mark.parametrize("written", ('"1h"', "-1", "true"))
def test_a_refresh_interval_that_would_be_ignored_is_found(tmp_path: Path, written: str) -> None:
    assert found(tmp_path, f"[model_catalog]\nrefresh_interval_ms = {written}\n") == [
        (2, "model_catalog.refresh_interval_ms")
    ]


def test_a_key_that_cannot_be_overridden_is_moved(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{PROVIDER}[models.m]\nprovider = "p"\nmodel = "w"\noverrides.provider = "q"\n')
    file.chmod(0o600)
    [problem] = config_problems(load(file, trusted=True, report=False))
    assert problem.hint == "move it to [models.m], or remove it"
