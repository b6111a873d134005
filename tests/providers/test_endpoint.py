from base64 import b64encode
from pathlib import Path

import pytest

from modelbay.config.load import parse
from modelbay.config.schema import Config, Timeout, Tls
from modelbay.credentials.secret import Secret
from modelbay.errors import ConfigError, MissingCredential, UnknownProvider
from modelbay.protocols.google.resource import resource_path
from modelbay.providers.endpoint import Endpoint, endpoint, endpoint_at, models_endpoint
from modelbay.providers.upstream import upstream
from modelbay.secrecy import redact

CHAT, RESPONSES, MESSAGES = "/chat/completions", "/responses", "/v1/messages"
PATHS = {
    "openai_chat": CHAT,
    "openai_responses": RESPONSES,
    "anthropic": MESSAGES,
    "google": "/models/w:generateContent",
}
PATH = Path("/somewhere/config.toml")


def config_of(provider: str, model: str = "") -> Config:
    config = parse(f'[providers.p]\n{provider}\n[models.m]\nprovider = "p"\nmodel = "w"\n{model}', PATH)
    config.trusted = True
    assert config.problems == []
    return config


def made(provider: str, model: str = "", *, stream: bool = False) -> Endpoint:
    config = config_of(provider, model)
    entry = config.models["m"]
    protocol = upstream(config, config.provider_of(entry), entry).protocol
    return endpoint(config, entry, PATHS[protocol], stream=stream)


def called(provider: str, model: str = "", *, stream: bool = False) -> tuple[str, dict[str, str]]:
    found = made(provider, model, stream=stream)
    return found.url, found.sent_headers()


# Accounts


def test_an_account_is_told_by_its_provider_and_credential_and_does_not_show_the_key() -> None:
    one = made('type = "openai"\napi_key = "sk-secret-1"')
    assert one.account == made('type = "openai"\napi_key = "sk-secret-1"', stream=True).account
    assert one.account != made('type = "openai"\napi_key = "sk-secret-2"').account
    organization = 'custom_headers = { OpenAI-Organization = "org-1" }'
    assert one.account != made(f'type = "openai"\napi_key = "sk-secret-1"\n{organization}').account
    assert one.account.startswith("p https://api.openai.com ")
    assert "secret" not in one.account


# Types


@pytest.mark.parametrize(
    ("provider", "url", "headers"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions", {"Authorization": "Bearer k"}),
        ("openai_responses", "https://api.openai.com/v1/responses", {"Authorization": "Bearer k"}),
        ("kimi", "https://api.moonshot.ai/v1/chat/completions", {"Authorization": "Bearer k"}),
        ("anthropic", "https://api.anthropic.com/v1/messages", {"anthropic-version": "2023-06-01", "x-api-key": "k"}),
        (
            "google-genai",
            "https://generativelanguage.googleapis.com/v1beta/models/w:generateContent",
            {"x-goog-api-key": "k"},
        ),
        (
            "vertexai",
            "https://aiplatform.googleapis.com/v1/publishers/google/models/w:generateContent",
            {"x-goog-api-key": "k"},
        ),
    ],
)
def test_every_type_has_an_address_and_a_way_to_authorise(provider, url, headers):
    assert called(f'type = "{provider}"\napi_key = "k"') == (url, headers)


@pytest.mark.parametrize(
    ("type", "name"),
    [
        ("kimi", "KIMI_BASE_URL"),
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("openai", "OPENAI_BASE_URL"),
        ("google-genai", "GOOGLE_GEMINI_BASE_URL"),
        ("google-genai", "GOOGLE_VERTEX_BASE_URL"),
        ("vertexai", "GOOGLE_VERTEX_BASE_URL"),
        ("azure", "AZURE_OPENAI_ENDPOINT"),
    ],
)
def test_a_base_url_may_be_in_the_env_table(type, name):
    url, _ = called(f'type = "{type}"\napi_key = "k"\nenv.{name} = "https://proxy.example"')
    assert url.startswith("https://proxy.example/")


def test_which_base_url_goes_first():
    provider = 'type = "openai"\napi_key = "k"\nenv.OPENAI_BASE_URL = "https://c"\n'
    assert called(provider)[0] == "https://c/chat/completions"
    provider += 'base_url = "https://b"\n'
    assert called(provider)[0] == "https://b/chat/completions"
    assert called(provider, 'base_url = "https://a"')[0] == "https://a/chat/completions"


def test_a_provider_that_says_too_little_is_told_what_to_add():
    with pytest.raises(ConfigError, match=r'provider "p" in /somewhere/config\.toml has neither') as caught:
        made('base_url = "https://nobody.example/v1"\napi_key = "k"')
    assert caught.value.hint == 'add type = "openai"'
    with pytest.raises(ConfigError, match="has no base_url"):
        made('type = "azure"\napi_key = "k"')
    with pytest.raises(ConfigError, match="has an invalid OPENAI_BASE_URL in its env table: the URL must start"):
        made('type = "openai"\napi_key = "k"\nenv.OPENAI_BASE_URL = "proxy"')


def test_a_missing_key_is_told_before_anything_is_sent():
    with pytest.raises(MissingCredential) as caught:
        made('type = "openai"')
    assert str(caught.value.hint).endswith("get an API key at https://platform.openai.com/api-keys")


def test_a_provider_that_is_gone_is_told():
    config = config_of('type = "openai"\napi_key = "k"')
    entry = config.models["m"]
    del config.providers["p"]
    with pytest.raises(UnknownProvider):
        endpoint(config, entry, CHAT)


# Vendors


def test_a_host_brings_its_dialect():
    assert made('type = "openai"\nbase_url = "https://api.deepseek.com/v1"\napi_key = "k"').dialect.vendor == "deepseek"
    assert made('type = "openai"\nbase_url = "https://nobody.example/v1"\napi_key = "k"').dialect.vendor == ""
    assert made('type = "kimi"\nbase_url = "https://nobody.example/v1"\napi_key = "k"').dialect.vendor == "moonshot"
    assert made('type = "openai"\nbase_url = "http://127.0.0.1:11434/v1"').dialect.vendor == "ollama"


def test_a_vendor_can_be_named():
    found = made('dialect = "groq"\napi_key = "k"')
    assert (found.url, found.protocol) == ("https://api.groq.com/openai/v1/chat/completions", "openai_chat")
    found = made('type = "openai"\ndialect = "vllm"\nbase_url = "https://gpu.example/v1"')
    assert (found.dialect.vendor, found.dialect.developer_role) == ("vllm", False)
    assert found.sent_headers() == {}, "that kind of server asks for no key"


def test_an_unknown_vendor_is_an_error():
    with pytest.raises(ConfigError, match='has an unknown dialect "grok"') as caught:
        made('dialect = "grok"\napi_key = "k"')
    assert caught.value.hint == 'write "xai"'


def test_a_dialect_can_be_written_out():
    found = made(
        'type = "openai"\napi_key = "k"\ndialect = { preset = "vllm", merge_turns = true }\nbase_url = "https://h"'
    )
    assert (found.dialect.vendor, found.dialect.developer_role, found.dialect.merge_turns) == ("vllm", False, True)
    found = made('type = "openai"\napi_key = "k"\ndialect = { merge_turns = true }')
    assert (found.dialect.vendor, found.dialect.merge_turns) == ("openai", True)


@pytest.mark.parametrize(
    ("dialect", "fault", "hint"),
    [
        ("{ merge_turn = true }", "merge_turn: unknown key", 'rename it to "merge_turns"'),
        ("{ x = true }", "x: unknown key", "see `modelbay docs reference/dialects` for the fields"),
        ('{ merge_turns = "yes" }', "merge_turns: expected true or false, got text", None),
        ("{ efforts = { max = 1 } }", "efforts: expected text, got a whole number", None),
        (
            '{ reasoning_echo = "maybe" }',
            'reasoning_echo: unknown value "maybe"',
            'must be "seen" or "never" or "always" or "tags"',
        ),
    ],
)
def test_a_dialect_that_makes_no_sense_is_an_error(dialect, fault, hint):
    with pytest.raises(ConfigError) as caught:
        made(f'type = "openai"\napi_key = "k"\ndialect = {dialect}')
    assert caught.value.message.endswith(f"has an invalid dialect: {fault}")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("provider", "protocol", "url"),
    [
        ('type = "openai"\nbase_url = "https://api.deepseek.com"', "anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
        ('type = "openai"\nbase_url = "https://api.deepseek.com/v1"', "anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
        ('type = "kimi"', "anthropic", "https://api.moonshot.ai/anthropic/v1/messages"),
        ('type = "kimi"\nbase_url = "https://api.moonshot.cn/v1"', "anthropic", "https://api.moonshot.cn/anthropic/v1/messages"),
        ('type = "kimi"\nbase_url = "https://api.kimi.com/coding/v1"', "anthropic", "https://api.kimi.com/coding/v1/messages"),
        ('type = "anthropic"\nbase_url = "https://api.z.ai/api/anthropic"', "openai", "https://api.z.ai/api/paas/v4/chat/completions"),
        ('type = "openai"\nbase_url = "https://api.deepseek.com/beta"', "anthropic", "https://api.deepseek.com/beta/v1/messages"),
        ('type = "openai"\nbase_url = "https://gw.example/v1"', "openai_responses", "https://gw.example/v1/responses"),
        ('type = "openai"\nbase_url = "https://gw.example/v1"', "anthropic", "https://gw.example/v1/messages"),
        ('type = "openai"\nbase_url = "https://gw.example/v1/chat/completions"', "openai_responses", "https://gw.example/v1/responses"),
        ('dialect = "bedrock-mantle"\nenv.AWS_REGION = "us-east-1"', "anthropic", "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages"),
    ],
)  # fmt: skip
def test_a_model_of_another_protocol_goes_where_its_vendor_speaks_that(provider, protocol, url):
    assert called(f'{provider}\napi_key = "k"', f'protocol = "{protocol}"')[0] == url


def test_a_models_own_base_url_is_used_unchanged():
    url, _ = called('type = "kimi"\napi_key = "k"', 'protocol = "anthropic"\nbase_url = "https://api.moonshot.ai/v1"')
    assert url == "https://api.moonshot.ai/v1/messages"


def test_a_url_with_a_customers_name_requires_the_name():
    provider = 'dialect = "snowflake"\napi_key = "k"\n'
    with pytest.raises(ConfigError, match="has no base_url") as caught:
        made(provider)
    assert caught.value.hint == (
        'add base_url = "https://{account}.snowflakecomputing.com/api/v2/cortex/v1", or SNOWFLAKE_ACCOUNT under [providers.p.env]'
    )
    with pytest.raises(ConfigError, match="has no base_url"):
        made(provider + 'env.SNOWFLAKE_ACCOUNT = "evil.example/"')
    assert called(provider + 'env.SNOWFLAKE_ACCOUNT = "acme-1"')[0].startswith(
        "https://acme-1.snowflakecomputing.com/api/"
    )


# Azure and Vertex AI


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ('env.AZURE_RESOURCE_NAME = "res"', "https://res.openai.azure.com/openai/v1/chat/completions"),
        (
            'env.AZURE_RESOURCE_NAME = "res"\napi_version = "2024-10-21"',
            "https://res.openai.azure.com/openai/deployments/w/chat/completions?api-version=2024-10-21",
        ),
        (
            'base_url = "https://res.openai.azure.com/openai/deployments/d/chat/completions?api-version=1"',
            "https://res.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
        ),
        ('base_url = "https://apim.corp/openai/v1"', "https://apim.corp/openai/v1/chat/completions"),
    ],
)
def test_azure_is_called_with_a_header_of_its_own(provider, url):
    assert called(f'type = "azure"\napi_key = "k"\n{provider}') == (url, {"api-key": "k"})


def test_azure_is_known_by_its_host_too():
    url, headers = called('type = "openai"\nbase_url = "https://res.openai.azure.com/openai/v1"\napi_key = "k"')
    assert (url, headers) == ("https://res.openai.azure.com/openai/v1/chat/completions", {"api-key": "k"})


def test_claude_at_azure_is_claude():
    found = made('type = "azure"\napi_key = "k"\nenv.AZURE_RESOURCE_NAME = "res"', 'protocol = "anthropic"')
    assert found.url == "https://res.services.ai.azure.com/anthropic/v1/messages"
    assert found.sent_headers() == {"anthropic-version": "2023-06-01", "x-api-key": "k"}


PLACE = 'env = { GOOGLE_CLOUD_PROJECT = "proj", GOOGLE_CLOUD_LOCATION = "us-central1" }\n'
AT_PLACE = "https://us-central1-aiplatform.googleapis.com/v1/projects/proj/locations/us-central1/publishers"


@pytest.mark.parametrize("type", ["vertexai", "google-genai"])
def test_vertex_takes_googles_own_token(type):
    found = made(f'type = "{type}"\n{PLACE}')
    assert found.url == f"{AT_PLACE}/google/models/w:generateContent"
    assert found.sent_headers() == {}
    assert found.wants_token
    assert found.with_token("t").sent_headers() == {"Authorization": "Bearer t"}


def test_vertex_finds_its_location_in_its_address():
    found = made(
        'type = "vertexai"\nenv.GOOGLE_CLOUD_PROJECT = "proj"\nbase_url = "https://us-central1-aiplatform.googleapis.com"'
    )
    assert found.url == f"{AT_PLACE}/google/models/w:generateContent"


@pytest.mark.parametrize(("stream", "method"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_claude_at_vertex_is_named_in_the_url(stream, method):
    found = made(f'type = "vertexai"\n{PLACE}', 'protocol = "anthropic"', stream=stream)
    assert found.url == f"{AT_PLACE}/anthropic/models/w:{method}"
    assert found.sent_headers() == {}, "there is no anthropic-version here"
    assert not found.dialect.model_in_body


def test_the_tokens_for_any_claude_at_vertex_are_counted_at_one_url():
    config = config_of(f'type = "vertexai"\n{PLACE}', 'protocol = "anthropic"')
    found = endpoint(config, config.models["m"], "/v1/messages/count_tokens")
    assert found.url == f"{AT_PLACE}/anthropic/models/count-tokens:rawPredict"


@pytest.mark.parametrize(
    ("provider", "protocol"),
    [(f'type = "vertexai"\n{PLACE}', "openai"), ('type = "vertexai"\napi_key = "k"', "anthropic")],
)
def test_a_protocol_that_vertex_does_not_support_is_an_error(provider, protocol):
    with pytest.raises(ConfigError, match='cannot serve "w"'):
        made(provider, f'protocol = "{protocol}"')


def test_vertex_without_credentials_names_both_ways():
    with pytest.raises(MissingCredential) as caught:
        made('type = "vertexai"')
    assert "GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION" in str(caught.value.hint)


@pytest.mark.parametrize("location", ["evil.example/x", "a b", "x?y"])
def test_a_location_that_would_be_another_host_is_refused(location):
    with pytest.raises(ConfigError, match="has an invalid GOOGLE_CLOUD_LOCATION"):
        made(f'type = "vertexai"\nenv = {{ GOOGLE_CLOUD_PROJECT = "p", GOOGLE_CLOUD_LOCATION = "{location}" }}')


# Authentication and headers


def test_no_authentication_means_no_key_is_sent():
    assert called('type = "anthropic"\nauth = "none"\napi_key = "k"')[1] == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ('authorization = "Token x"', {"authorization": "Token x"}),
        ('X-Team = "blue"', {"Authorization": "Bearer k", "X-Team": "blue"}),
        ('x-api-key = "x"', {"Authorization": "Bearer k", "x-api-key": "x"}),
    ],
)
def test_the_users_headers_go_over_ours(headers, sent):
    assert called(f'type = "openai"\napi_key = "k"\ncustom_headers = {{ {headers} }}')[1] == sent


def test_a_header_may_be_a_reference(tmp_path):
    (tmp_path / "team").write_text("blue\n")
    assert (
        called(f'type = "openai"\napi_key = "k"\ncustom_headers.X-Team = "{{file:{tmp_path}/team}}"')[1]["X-Team"]
        == "blue"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", r"a\r\nX-B: b"), ("X-A", r"a\u0000"), ("X-A", "“"), ('"X A"', "a"), ('"X:A"', "a"), ('""', "a")],
)
def test_headers_that_http_does_not_allow_are_refused(name, value):
    with pytest.raises(ConfigError, match="has an invalid header"):
        made(f'type = "openai"\napi_key = "k"\ncustom_headers.{name} = "{value}"')


def test_a_user_in_the_url_becomes_a_header():
    url, headers = called('type = "openai"\nbase_url = "https://me:p%40ss@h/v1"')
    assert (url, headers) == (
        "https://h/v1/chat/completions",
        {"Authorization": "Basic " + b64encode(b"me:p@ss").decode()},
    )
    _, headers = called('type = "anthropic"\nbase_url = "https://me:pass@h"\napi_key = "k"')
    assert headers["x-api-key"] == "k"
    assert headers["Authorization"].startswith("Basic ")


def test_a_user_and_a_key_that_want_the_same_header_are_an_error():
    with pytest.raises(ConfigError, match="has both user:password in its base_url and an API key"):
        made('type = "openai"\nbase_url = "https://me:pass@h/v1"\napi_key = "k"')


def test_a_logins_token_is_wanted_and_put_in():
    found = made(
        'type = "kimi"\nbase_url = "https://api.kimi.com/coding/v1"\napi_key = ""\noauth = { key = "oauth/kimi-code" }'
    )
    assert found.wants_token
    assert found.sent_headers() == {}
    assert found.with_token("t").sent_headers() == {"Authorization": "Bearer t"}


def test_a_calls_headers_go_below_the_users_and_betas_are_joined():
    found = made('type = "anthropic"\napi_key = "k"\ncustom_headers = { anthropic-beta = "b", X-A = "user" }')
    sent = found.sent_headers({"Anthropic-Beta": "a", "x-a": "codec", "X-C": "codec"})
    assert {name.lower(): value for name, value in sent.items()} == {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a,b",
        "x-a": "user",
        "x-c": "codec",
        "x-api-key": "k",
    }


def test_secrets_are_bound_to_where_they_go_and_not_shown():
    found = made('type = "openai"\nbase_url = "https://h:8443/v1"\napi_key = "sk-1"\ncustom_headers.X-A = "sk-2"')
    secrets = [value for value in found.headers.values() if isinstance(value, Secret)]
    assert [str(secret.origin) for secret in secrets] == ["https://h:8443", "https://h:8443"]
    assert "sk-" not in repr(found) + repr(found.headers)


def test_an_imported_models_address_does_not_get_the_providers_key():
    provider = 'type = "openai"\nbase_url = "https://h/v1"\napi_key = "k"\n'
    elsewhere = 'base_url = "https://elsewhere.example/v1"'
    assert called(provider, elsewhere)[0].startswith("https://elsewhere.example/"), (
        "what the user wrote is the user's choice"
    )
    imported = provider + 'source = { kind = "apiJson", url = "https://h/api.json" }'
    with pytest.raises(ConfigError, match=r"its key is not sent to https://elsewhere\.example"):
        made(imported, elsewhere)
    assert called(imported, 'base_url = "https://h/v2"')[0] == "https://h/v2/chat/completions"


# The connection


def test_proxy_timeouts_and_certificates_are_passed_on(tmp_path):
    (tmp_path / "proxy").write_text("http://me:pass@proxy:3128")
    found = made(
        'type = "openai"\napi_key = "k"\n'
        f'proxy = "{{file:{tmp_path}/proxy}}"\ntimeout = {{ connect = 3 }}\n'
        'tls = { ca = "ca.pem", cert = "/etc/cert.pem", key = "~/key.pem" }'
    )
    assert found.proxy == "http://me:pass@proxy:3128"
    assert found.timeout == Timeout(connect=3)
    assert found.tls == Tls(ca="/somewhere/ca.pem", cert="/etc/cert.pem", key=str(Path.home() / "key.pem"))
    plain = made('type = "openai"\napi_key = "k"')
    assert (plain.proxy, plain.timeout, plain.tls) == (None, Timeout(), None)


# Lists of models


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ('type = "openai"', "https://api.openai.com/v1/models"),
        ('type = "anthropic"', "https://api.anthropic.com/v1/models"),
        ('type = "google-genai"', "https://generativelanguage.googleapis.com/v1beta/models"),
        ('type = "openai"\nbase_url = "https://h/api/v2/models/chat"', "https://h/api/v2/models"),
        ('type = "openai"\nbase_url = "https://h/api/generate"\nfull_url = true', "https://h/api/models"),
        ('type = "azure"\nenv.AZURE_RESOURCE_NAME = "r"', "https://r.openai.azure.com/openai/v1/models"),
        (
            'type = "azure"\nbase_url = "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=1"',
            "https://r.openai.azure.com/openai/models?api-version=1",
        ),
    ],
)
def test_where_a_provider_lists_its_models(provider, url):
    config = config_of(f'{provider}\napi_key = "k"')
    found = models_endpoint(config, config.providers["p"])
    assert found is not None
    assert found.url == url
    assert "k" in "".join(found.sent_headers().values())


@pytest.mark.parametrize("provider", ['dialect = "perplexity"', 'type = "vertexai"'])
def test_some_vendors_have_no_list(provider):
    config = config_of(f'{provider}\napi_key = "k"')
    assert models_endpoint(config, config.providers["p"]) is None


def test_an_upstream_is_known_before_a_call_is_written():
    config = config_of('type = "anthropic"\napi_key = "k"')
    entry = config.models["m"]
    found = upstream(config, config.provider_of(entry), entry)
    assert (found.protocol, found.vendor, str(found.origin)) == ("anthropic", "anthropic", "https://api.anthropic.com")
    assert endpoint_at(config, found, MESSAGES) == endpoint(config, entry, MESSAGES)


# References inside values


def test_references_inside_header_values_are_resolved_and_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOK", "tok-of-the-shell-0123")
    monkeypatch.setenv("TEAM", "team-of-the-shell")
    found = made(
        'type = "openai"\nbase_url = "https://p.example/v1?key={env:TOK}&api-version=1"\n'
        'custom_headers = { Authorization = "Bearer {env:TOK}", X-Team = "{env:TEAM}/{env:TEAM}", User-Agent = "a {env:TEAM}" }'
    )
    headers = found.sent_headers()
    assert headers["Authorization"] == "Bearer tok-of-the-shell-0123"
    assert headers["X-Team"] == "team-of-the-shell/team-of-the-shell"
    assert headers["User-Agent"] == "a team-of-the-shell"
    assert found.url == "https://p.example/v1/chat/completions?key=tok-of-the-shell-0123&api-version=1"
    shown = redact(f"{found.headers!r} tok-of-the-shell-0123 team-of-the-shell {found!r}")
    assert "of-the-shell" not in shown


def test_a_password_of_an_address_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "p@ss:word/1")
    _, headers = called('type = "openai"\nbase_url = "https://me:{env:PW}@p.example/v1"')
    assert headers["Authorization"] == f"Basic {b64encode(b'me:p@ss:word/1').decode()}"


def test_a_reference_inside_a_value_that_cannot_be_resolved_says_where_it_is() -> None:
    with pytest.raises(
        MissingCredential, match=r"providers\.p\.custom_headers\.X-A: the environment variable NOT_SET"
    ) as caught:
        called(
            'type = "openai"\nbase_url = "https://p.example/v1"\nauth = "none"\ncustom_headers = { X-A = "Token {env:NOT_SET}" }'
        )
    assert caught.value.hint == "set NOT_SET, or write the value itself"


@pytest.mark.parametrize("value", ["{file:keys/p}", "Bearer {file:keys/p}"])
def test_a_stored_key_inside_a_header_goes_to_its_own_origin_only(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "p").write_text("sk-stored-0123")
    (tmp_path / "keys" / "p.origin").write_text("https://right.example")
    for host, goes in (("right", True), ("wrong", False)):
        text = (
            f'[providers.p]\ntype = "openai"\nbase_url = "https://{host}.example/v1"\ncustom_headers.X-Key = "{value}"'
        )
        config = parse(f'{text}\nauth = "none"\n[models.m]\nprovider = "p"\nmodel = "w"', tmp_path / "config.toml")
        if goes:
            assert "sk-stored-0123" in endpoint(config, config.models["m"], CHAT).sent_headers()["X-Key"]
        else:
            with pytest.raises(ConfigError, match=r"set for https://right\.example and is not sent to https://wrong"):
                endpoint(config, config.models["m"], CHAT)


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ('custom_headers = { X-A = "Bearer {environment:X}" }', "providers.bad.custom_headers.X-A"),
        ('custom_headers = { X-A = "{env}" }', "providers.bad.custom_headers.X-A"),
        ('api_key = "${TOK}"', "providers.bad.api_key"),
        ('api_key = "{env: }"', "providers.bad.api_key"),
        ('env = { OPENAI_API_KEY = "$TOK" }', "providers.bad.env.OPENAI_API_KEY"),
        ('base_url = "https://p.example?key={ENV:X}"', "providers.bad.base_url"),
        ('proxy = "http://me:{env}@proxy:1"', "providers.bad.proxy"),
    ],
)
def test_an_invalid_reference_is_reported_at_load_and_other_providers_work(entry: str, where: str) -> None:
    config = parse(f'[providers.good]\ntype = "openai"\n[providers.bad]\ntype = "openai"\n{entry}', PATH)
    assert list(config.providers) == ["good"]
    (problem,) = config.problems
    assert (problem.where, problem.line) == (where, 5)
    assert problem.message.endswith("is not a valid reference")
    assert problem.hint == "must be one of: {env:NAME}, {file:PATH}, {keyring:SERVICE/USER}, {command:…}"


# Publishers at Vertex AI

PLACED = 'type = "vertexai"\nenv.GOOGLE_CLOUD_PROJECT = "p"\nenv.GOOGLE_CLOUD_LOCATION = "l"'


def vertex(wire_id, more=""):
    text = f'[providers.v]\n{PLACED}\n[models.m]\nprovider = "v"\nmodel = "{wire_id}"\n{more}'
    config = parse(text, Path("/somewhere/config.toml"))
    model = config.models["m"]
    found = upstream(config, config.provider_of(model), model)
    path = f"/{resource_path(wire_id)}:generateContent" if found.protocol == "google" else "/v1/messages"
    return found.protocol, endpoint(config, model, path, stream=False).url.partition("/publishers/")[2]


@pytest.mark.parametrize(
    ("wire_id", "protocol", "path"),
    [
        ("claude-opus-4-5@20251101", "anthropic", "anthropic/models/claude-opus-4-5@20251101:rawPredict"),
        ("Claude-Next", "anthropic", "anthropic/models/Claude-Next:rawPredict"),
        ("anthropic/claude-x", "anthropic", "anthropic/models/claude-x:rawPredict"),
        ("publishers/anthropic/models/claude-x", "anthropic", "anthropic/models/claude-x:rawPredict"),
        ("gemini-3-pro", "google", "google/models/gemini-3-pro:generateContent"),
        ("google/gemini-3-pro", "google", "google/models/gemini-3-pro:generateContent"),
        ("publishers/google/models/gemini-3-pro", "google", "google/models/gemini-3-pro:generateContent"),
        ("something-new", "google", "google/models/something-new:generateContent"),
    ],
)
def test_a_models_publisher_tells_its_protocol(wire_id, protocol, path):
    assert vertex(wire_id) == (protocol, path)


def test_the_model_behind_a_name_tells_it_too():
    assert vertex("our-own", 'base_model = "claude-opus-4-5"') == ("anthropic", "anthropic/models/our-own:rawPredict")
    assert vertex("our-own", 'protocol = "anthropic"') == ("anthropic", "anthropic/models/our-own:rawPredict")


@pytest.mark.parametrize(
    "wire_id", ["llama-4-scout", "mistral-large-2411", "meta/llama-4", "unheard/of", "publishers/x/models/y"]
)
def test_a_publisher_whose_protocol_is_not_spoken_is_refused_by_name(wire_id):
    with pytest.raises(ConfigError, match=r"Vertex AI serves models of [\w-]+ over an unsupported protocol"):
        vertex(wire_id)
