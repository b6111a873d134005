from pathlib import Path

import pytest

from modelbay.config.load import load, parse
from modelbay.config.schema import Config, OAuth, ThinkingDefaults, Timeout, Tls
from modelbay.errors import ConfigError, ConfigSyntaxError, UnknownModel, UnreadableFile
from modelbay.model import Cost

PATH = Path("/somewhere/config.toml")

KIMI = """
default_model = "kimi-code/kimi-for-coding"
default_provider = "moonshot"
telemetry = false

[thinking]
enabled = true
effort = "high"
keep = "all"

[loop_control]
max_attempts_per_step = 10

[providers."managed:kimi-code"]
type = "kimi"
base_url = "https://api.kimi.com/coding/v1"
api_key = ""
oauth = { storage = "file", key = "oauth/kimi-code" }

[providers.moonshot]
type = "kimi"
api_key = " sk-1 "
[providers.moonshot.env]
KIMI_BASE_URL = "https://api.moonshot.cn/v1"
[providers.moonshot.custom_headers]
X-Team = "blue"

[providers.acme]
type = "openai"
base_url = "https://api.acme.example/v1"
api_key = "sk-2"
source = { kind = "apiJson", url = "https://acme.example/api.json", apiKey = "token" }
colour = "red"

[models."kimi-code/kimi-for-coding"]
provider = "managed:kimi-code"
model = "kimi-for-coding"
max_context_size = 262144
max_input_size = 300000
capabilities = ["thinking", "image_in"]
support_efforts = ["low", "high", "max"]
default_effort = "max"
protocol = "anthropic"
beta_api = true
adaptive_thinking = true

[models."kimi-code/kimi-for-coding".overrides]
support_efforts = ["low", "high"]
display_name = "Kimi"

[models.k3]
name = "kimi-k3"
model = "something-else"
aliases = ["k", "newest"]
reasoning_key = "reasoning"
off_effort = "none"

[models.flat]
base_url = "https://llm.example:8443/v1"
protocol = "openai"
model = "org/large"
api_key = "sk-3"
"""


@pytest.fixture
def kimi() -> Config:
    return parse(KIMI, PATH)


# A Kimi Code file


def test_a_kimi_code_file_has_no_problems(kimi):
    assert kimi.problems == []


def test_top_level_keys_are_read_and_unknown_ones_kept(kimi):
    assert kimi.default_model == "kimi-code/kimi-for-coding"
    assert kimi.default_provider == "moonshot"
    assert kimi.thinking == ThinkingDefaults(enabled=True, effort="high", keep="all")
    assert kimi.extra == {"telemetry": False, "loop_control": {"max_attempts_per_step": 10}}


def test_a_login_with_a_blank_key_is_a_login(kimi):
    entry = kimi.providers["managed:kimi-code"]
    assert entry.api_key is None
    assert entry.oauth == OAuth(key="oauth/kimi-code", storage="file")


def test_keys_are_trimmed_and_tables_of_names_are_not(kimi):
    entry = kimi.providers["moonshot"]
    assert entry.api_key == "sk-1"
    assert entry.env == {"KIMI_BASE_URL": "https://api.moonshot.cn/v1"}
    assert entry.custom_headers == {"X-Team": "blue"}


def test_an_imported_provider_has_its_source_and_unknown_keys_are_kept(kimi):
    entry = kimi.providers["acme"]
    assert entry.imported
    assert entry.source == {"kind": "apiJson", "url": "https://acme.example/api.json", "apiKey": "token"}
    assert entry.extra == {"colour": "red"}
    assert not kimi.providers["moonshot"].imported


def test_overrides_change_single_values_of_a_table():
    text = """
        [providers.p]
        [models.m]
        provider = "p"
        model = "w"
        cost = { input = 1, output = 2 }
        variants.brief = { max_tokens = 10, top_p = 1 }
        variants.long.max_tokens = 90
        overrides = { cost.input = 3, variants.brief.max_tokens = 20, variants.cold.temperature = 0 }
    """
    model = parse(text, PATH).models["m"]
    assert model.cost == Cost(input=3, output=2)
    brief = {"max_tokens": 20, "top_p": 1}
    assert model.variants == {"brief": brief, "long": {"max_tokens": 90}, "cold": {"temperature": 0}}


def test_overrides_change_the_facts_of_a_model(kimi):
    entry = kimi.models["kimi-code/kimi-for-coding"]
    assert entry.display_name == "Kimi"
    assert entry.support_efforts == ["low", "high"]
    assert entry.default_effort is None, "it came from the list that is overridden"
    assert entry.protocol == "anthropic"
    assert entry.max_input_size == 262144, "clamped to the context"


def test_name_comes_before_model_and_the_default_provider_is_used(kimi):
    entry = kimi.models["k3"]
    assert (entry.provider, entry.model, entry.aliases) == ("moonshot", "kimi-k3", ["k", "newest"])


def test_a_standalone_model_is_its_own_provider():
    for text in (KIMI, KIMI.replace('default_provider = "moonshot"', "")):
        config = parse(text, PATH)
        entry = config.models["flat"]
        assert (entry.flat, entry.provider, entry.model) == (True, "llm.example", "org/large")
        provider = config.provider_of(entry)
        assert (provider.id, provider.type) == ("llm.example", "openai")
        assert provider.base_url == "https://llm.example:8443/v1"
        assert provider.api_key is None


@pytest.mark.parametrize(
    ("old", "type"), [("openai_legacy", "openai"), ("gemini", "google-genai"), ("google_genai", "google-genai")]
)
def test_types_of_older_kimi_cli_files_are_accepted(old, type):
    assert parse(f'[providers.x]\ntype = "{old}"', PATH).providers["x"].type == type


@pytest.mark.parametrize(
    ("written", "protocol"),
    [
        ("openai", "openai_chat"),
        ("openai_chat", "openai_chat"),
        ("openai_responses", "openai_responses"),
        ("anthropic", "anthropic"),
        ("google-genai", "google"),
        ("google", "google"),
    ],
)
def test_protocols_have_the_names_of_modelbay_and_kimi_code(written, protocol):
    config = parse(f'[providers.p]\ntype="openai"\n[models.m]\nprovider="p"\nmodel="w"\nprotocol="{written}"', PATH)
    assert config.models["m"].protocol == protocol


# Keys of modelbay


def test_keys_of_modelbay():
    config = parse(
        """
        [providers.acme]
        type = "openai"
        base_url = "http://10.0.0.2:8000/v1"
        name = "Acme"
        dialect = { preset = "vllm", merge_turns = true }
        full_url = false
        auth = "none"
        proxy = "socks5://proxy:1080"
        tls = { ca = "ca.pem", insecure = true }
        timeout = { connect = 3, idle = 60.5 }
        [models.m]
        provider = "acme"
        model = "m"
        temperature = false
        computer_use = true
        cost = { input = 0.5, output = 1 }
        modalities = { input = ["text", "image"], output = ["text"] }
        release_date = 2025-08-21
        [models.m.variants.deep]
        reasoning_effort = "high"
        [models.m.variants.gone]
        disabled = true
        """,
        PATH,
    )
    assert config.problems == []
    provider, model = config.providers["acme"], config.models["m"]
    assert provider.tls == Tls(ca="ca.pem", insecure=True)
    assert provider.timeout == Timeout(connect=3, idle=60.5)
    assert (provider.auth, provider.full_url, provider.proxy) == ("none", False, "socks5://proxy:1080")
    assert model.cost == Cost(input=0.5, output=1)
    assert model.variants == {"deep": {"reasoning_effort": "high"}}
    assert list(model.extra) == ["release_date"]


# Unusable entries


def test_an_invalid_entry_is_reported_with_its_place_and_the_others_work():
    config = parse(
        """\
[providers.good]
type = "openai"

[providers.bad]
type = "opnai"  # line 5

[models.one]
provider = "good"
model = "m"

[models.two]
provider = "good"
max_context_size = 0
""",
        PATH,
    )
    assert list(config.providers) == ["good"]
    assert list(config.models) == ["one"]
    assert [str(problem) for problem in config.problems] == [
        '/somewhere/config.toml:5: providers.bad.type: unknown type "opnai"',
        "/somewhere/config.toml:11: models.two: no model ID",
    ]
    assert "openai" in str(config.problems[0].hint)


@pytest.mark.parametrize(
    ("entry", "line", "complaint"),
    [
        ("base_url = 5", 3, "base_url: expected text"),
        ('base_url = "acme.example/v1"', 3, "base_url: the URL must start with http:// or https://"),
        ('base_url = "https:///v1"', 3, "base_url: the URL has no host"),
        ('base_url = "https://h:99999/"', 3, "base_url: the URL does not parse"),
        ('base_url = "https://h/ v1"', 3, "base_url: the URL contains spaces or control characters"),
        ("env = { A = 1 }", 3, "env: expected text, got a whole number"),
        ('timeout = { idle = "long" }', 3, "timeout.idle: expected a number, got text"),
        ("timeout = { idle = 0 }", 3, "timeout.idle: expected a number greater than 0"),
        ("tls = { insecur = true }", 3, "tls.insecur: unknown key"),
        ('auth = "bearer"', 3, 'auth: unknown value "bearer"'),
        ('api_key = "k"\noauth = { key = "o" }', 3, "api_key: api_key and oauth cannot be used together"),
        ('api_key = "k"\napi_key_env = "K"', 4, "api_key_env: api_key and api_key_env cannot be used together"),
        ('oauth = { key = "o" }\napi_key_env = "K"', 4, "api_key_env: oauth and api_key_env cannot be used together"),
        ("api_key_env = 5", 3, "api_key_env: expected text, got a whole number"),
        ("oauth = { key = 3 }", 3, "oauth.key: expected text, got a whole number"),
        ('oauth = "file"', 3, "oauth: expected a table"),
        ("oauth = {}", 3, "oauth: `key` is missing"),
    ],
)
def test_errors_that_make_a_provider_unusable(entry, line, complaint):
    config = parse(f'[providers.p]\ntype = "openai"\n{entry}', PATH)
    assert config.providers == {}
    assert str(config.problems[0]) == f"{PATH}:{line}: providers.p.{complaint}"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('provider = "p"', "no model ID"),
        ('provider = "q"\nmodel = "w"', 'provider: its provider "q" does not exist'),
        ('provider = "broken"\nmodel = "w"', 'provider: its provider "broken" cannot be used'),
        ('model = "w"', "needs a provider or a base_url"),
        ('model = "w"\nbase_url = "x"', "base_url: the URL must start with http:// or https://"),
        ('provider = "p"\nmodel = "w"\nprotocol = "smtp"', "protocol: unknown protocol 'smtp'"),
        (
            'provider = "p"\nmodel = "w"\nmax_context_size = 0',
            "max_context_size: expected a whole number of at least 1",
        ),
        ('provider = "p"\nmodel = "w"\ncapabilities = [1]', "capabilities: expected text, got a whole number"),
        ('provider = "p"\nmodel = "w"\noverrides = 1', "overrides: expected a table"),
        (
            'provider = "p"\nmodel = "w"\noverrides.max_output_size = "big"',
            "overrides.max_output_size: expected a whole number, got text",
        ),
        ('provider = "p"\nmodel = "w"\ntemperature = 0.3', "temperature: expected true or false, got a number"),
    ],
)
def test_errors_that_make_a_model_unusable(entry, complaint):
    config = parse(f'[providers.p]\ntype = "openai"\n[providers.broken]\ntype = 1\n[models.m]\n{entry}', PATH)
    assert config.models == {}
    assert str(config.problems[-1]).partition("models.m")[2].lstrip(".: ") == complaint


def test_a_route_cannot_be_overridden_and_the_model_still_works():
    config = parse('[providers.p]\n[models.m]\nprovider = "p"\nmodel = "w"\noverrides.model = "other"', PATH)
    assert config.models["m"].model == "w"
    assert [problem.where for problem in config.problems] == ["models.m.overrides.model"]


@pytest.mark.parametrize("text", ['providers = "x"', "models = []", "default_model = 7", "thinking = { enabled = 3 }"])
def test_tables_of_a_wrong_kind_are_reported(text):
    config = parse(text, PATH)
    assert len(config.problems) == 1
    assert config.problems[0].line == 1


def test_an_entry_that_is_not_a_table_is_reported():
    assert str(parse("[models]\nm = 3", PATH).problems[0]) == f"{PATH}:2: models.m: expected a table"


def test_the_error_of_an_invalid_model_names_the_reason():
    config = parse('[providers.p]\n[models."p/w"]\nprovider = "p"\nmodel = "w"\nmax_context_size = 0', PATH)
    with pytest.raises(UnknownModel, match="expected a whole number of at least 1") as caught:
        config.model("p/w")
    assert caught.value.line == 5


# Reading the file


@pytest.mark.parametrize(
    ("text", "line", "where"),
    [
        ("a = 1\nb = = 2\n", 2, "line 2, column 5: invalid value"),
        ("[providers.x]\n[providers.x]\n", 2, "line 2, column 13: cannot declare"),
        ("a = 'open", 1, "line 1, column 10: "),
        ("a = [\n1,\n", 3, "line 3, column 1: "),
    ],
)
def test_the_error_of_a_file_that_does_not_parse_has_the_place(text, line, where, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigSyntaxError) as caught:
        load(file)
    assert caught.value.line == line
    assert caught.value.file == str(file)
    assert f"{file}, {where}" in str(caught.value)


def test_the_error_of_a_file_that_is_not_utf8_has_the_place(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigSyntaxError, match="line 2: not UTF-8"):
        load(file)


def test_a_byte_order_mark_is_accepted(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b'\xef\xbb\xbfdefault_model = "m"\r\n')
    assert load(file).default_model == "m"


def test_the_default_file_may_be_missing_and_one_that_is_named_may_not(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    file = tmp_path / "config.toml"
    for config in (load(), load(file), load(tmp_path / "other.toml", new=True)):
        assert (config.exists, config.providers) == (False, {})
    assert load().path == file
    with pytest.raises(UnreadableFile, match=r"other\.toml does not exist"):
        load(tmp_path / "other.toml")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_by_default_the_file_in_the_home_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text('default_model = "m"')
    assert load().default_model == "m"


def test_no_repr_shows_a_secret():
    config = parse(
        '[providers.p]\napi_key = "sk-secret"\nbase_url = "https://u:secret@h"\n'
        '[models.m]\nprovider = "p"\nmodel = "w"\napi_key = "sk-secret"',
        PATH,
    )
    from io import StringIO

    from rich.console import Console

    output = StringIO()
    Console(file=output, width=200).print(config, config.providers, config.models)
    assert "secret" not in repr(config) + repr(config.providers) + repr(config.models) + output.getvalue()
