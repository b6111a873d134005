"""Unknown keys are reported with their line and the key that was probably meant."""

from pathlib import Path

import pytest

from modelbay.config import load as loading
from modelbay.config.keys import EXTENDED, OF_KIMI_CODE
from modelbay.config.load import load, parse

PATH = Path("/home/me/config.toml")
PROVIDER = '[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v1"\n'
MODEL = '[models."acme/m"]\nprovider = "acme"\nmodel = "m"\n'
EFFORT = 'models."acme/m".variants.a.reasoning_efort'
TEMPERATURE = 'models."acme/m".overrides.variants.a.temprature'
THINKING = 'models."acme/m".variants.a.thinking.budget_token'


@pytest.mark.parametrize(
    ("text", "line", "where", "meant"),
    [
        ('default_modle = "a"', 1, "default_modle", "default_model"),
        ("[thinkng]\nenabled = true", 1, "thinkng", "thinking"),
        ("[provider.acme]\n", 1, "provider", "providers"),
        ('[thinking]\nefort = "low"', 2, "thinking.efort", "effort"),
        (PROVIDER + 'api_keyy = "sk-1"', 4, "providers.acme.api_keyy", "api_key"),
        (PROVIDER + 'apiKey = "sk-1"', 4, "providers.acme.apiKey", "api_key"),
        (PROVIDER + 'baseurl = "sk-1"', 4, "providers.acme.baseurl", "base_url"),
        (PROVIDER + 'custom_header = { X-Team = "a" }', 4, "providers.acme.custom_header", "custom_headers"),
        (PROVIDER + 'oauth = { key = "k", oauth_hots = "x" }', 4, "providers.acme.oauth.oauth_hots", "oauth_host"),
        (PROVIDER + '[providers.acme.source]\nulr = "x"', 5, "providers.acme.source.ulr", "url"),
        (PROVIDER + '[providers.acme.env]\nOPENAI_API_KEYS = "x"', 5, "providers.acme.env.OPENAI_API_KEYS", "OPENAI_API_KEY"),
        (PROVIDER + "frobnicate = 1", 4, "providers.acme.frobnicate", None),
        (PROVIDER + MODEL + "max_contextsize = 4", 7, 'models."acme/m".max_contextsize', "max_context_size"),
        (PROVIDER + MODEL + "cost = { inptu = 1 }", 7, 'models."acme/m".cost.inptu', "input"),
        (PROVIDER + MODEL + 'modalities = { inputs = ["text"] }', 7, 'models."acme/m".modalities.inputs', "input"),
        (PROVIDER + MODEL + 'oauth = { key = "k", scop = "x" }', 7, 'models."acme/m".oauth.scop', "scope"),
        (PROVIDER + MODEL + "overrides = { capabilites = [] }", 7, 'models."acme/m".overrides.capabilites', "capabilities"),
        (PROVIDER + MODEL + "variants.a.reasoning_efort = 'high'", 7, EFFORT, "reasoning_effort"),
        (PROVIDER + MODEL + "variants.a.thinking.budget_token = 1", 7, THINKING, "budget_tokens"),
        (PROVIDER + MODEL + "overrides.variants.a.temprature = 1", 7, TEMPERATURE, "temperature"),
        (PROVIDER + MODEL + "overrides = { cost = { ouput = 1 } }", 7, 'models."acme/m".overrides.cost.ouput', "output"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_reported_and_everything_else_works(
    text: str, line: int, where: str, meant: str | None
) -> None:
    config = parse(text, PATH)
    assert config.problems == []
    (problem,) = config.unknown
    assert (problem.line, problem.where) == (line, where)
    assert problem.hint == (f'rename it to "{meant}"' if meant else "check its spelling, or remove it")


@pytest.mark.parametrize(("table", "key", "meant"), [("tls", "caa", "ca"), ("timeout", "first_bite", "first_byte")])
def test_an_unknown_key_in_a_table_of_modelbay_is_an_error(table: str, key: str, meant: str) -> None:
    config = parse(f"{PROVIDER}[providers.acme.{table}]\n{key} = 1", PATH)
    assert config.providers == {}
    (problem,) = config.problems
    assert (problem.line, problem.where, problem.message) == (5, f"providers.acme.{table}.{key}", "unknown key")
    assert problem.hint == f'rename it to "{meant}"'


def test_keys_of_kimi_code_and_fields_of_extended_models_are_not_reported() -> None:
    top = "".join(f"{key} = 1\n" for key in sorted(OF_KIMI_CODE))
    model = "".join(f"{key} = 1\n" for key in sorted(EXTENDED))
    rest = f'{PROVIDER}api_key_env = "X"\nenv = {{ ACME_REGION = "eu" }}\ncustom_headers = {{ api_keyy = "1" }}\n{MODEL}{model}'
    assert parse(top + rest, PATH).unknown == []


def test_a_variant_may_have_parameters_of_its_provider() -> None:
    text = 'variants.deep = { mind_speed = 3, thinking = { kind = "slow" }, provider = { order = ["a"] } }'
    assert parse(PROVIDER + MODEL + text, PATH).unknown == []


def test_few_unknown_keys_are_logged_and_each_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_reported", set())
    file = tmp_path / "config.toml"
    file.write_text(PROVIDER + "".join(f"misspelled_{number} = 1\n" for number in range(20)))
    load(file)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 6
    assert f"{file}:4: providers.acme.misspelled_0: unknown key" in caplog.text
    assert f"{file}: 15 more unknown keys: `modelbay config check` lists them" in caplog.text
    load(file)
    assert len(caplog.records) == 6
