"""LiteLLM's `model_list`: every deployment and setting, other names of models, and hostile files."""

from pathlib import Path

import pytest

from modelbay.agents import import_source
from modelbay.agents.agent import ImportedConfig
from modelbay.agents.findings import KEY_NOT_COPIED, LIKE_REFERENCE, leaves
from modelbay.agents.litellm import LISTS
from modelbay.agents.named_lists import as_tables
from modelbay.agents.yaml_text import decode
from modelbay.config.load import load
from modelbay.errors import ConfigError
from tests.agents.desk import CONFIGS, Desk
from tests.agents.test_reading import count_of

FILE = CONFIGS / "litellm.yaml"


def imported(file: Path = FILE, *, keys: bool = False) -> ImportedConfig:
    return import_source("litellm").read(file, keys)


def one(desk: Desk, params: str, info: str = "{}") -> ImportedConfig:
    return imported(
        desk.write("l.yaml", f"model_list: [{{model_name: n, litellm_params: {{{params}}}, model_info: {info}}}]")
    )


@pytest.mark.parametrize("keys", [False, True])
def test_every_setting_has_one_finding_with_a_reason(keys: bool):
    found = imported(keys=keys)
    content = as_tables(decode(FILE.read_text(), old=True), LISTS)
    for leaf in leaves(content, ()):
        assert count_of(found, leaf, str(FILE)) == 1, leaf
    assert sum(finding.count for finding in found.findings) == len(leaves(content, ()))
    assert all(finding.why for finding in found.findings if finding.outcome != "exact")


def test_no_secret_is_imported_without_keys():
    assert "0123456789" not in repr(imported())
    found = imported(keys=True)
    keys = {provider.id: provider.table.get("api_key") for provider in found.providers}
    assert (keys["azure"], keys["house-example"]) == ("az-secret-0123456789", "hk-secret-0123456789")
    assert "master" not in repr(found.providers)


def test_deployments_with_the_same_settings_are_one_provider():
    found = {provider.id: list(provider.models) for provider in imported().providers}
    assert found == {
        "openai": ["gpt"],
        "azure": ["azure/my-gpt"],
        "anthropic": ["claude", "sonnet"],
        "google": ["gem"],
        "vertex-ai": ["vertex"],
        "house-example": ["house-large", "house-small"],
        "openai-2": ["responses"],
        "ollama": ["local"],
        "vllm": ["vllm"],
        "openrouter": ["router"],
        "together": ["together"],
        "odd-example": ["odd"],
        "groq": [],
    }


def test_the_imported_configuration_works(desk: Desk):
    desk.write("keep", "")
    run = desk("import", "litellm", str(FILE), "--yes")
    assert run.code == 1  # the file is not LiteLLM's own: its references are followed only if the user agrees
    assert "would be sent to" in run.err or "references" in run.err
    safe = desk.write("safe.yaml", FILE.read_text().replace("os.environ/", "plain-"))
    desk.done("import", "litellm", str(safe), "--yes")
    config = load(desk.file)
    assert not config.problems
    assert (config.model("gpt-4").model, config.model("hidden").model) == ("gpt-5.2", "claude-opus-4-7")
    assert config.models["gpt"].max_output_size == 128_000
    assert config.providers["azure"].api_version == "2024-10-21"


@pytest.mark.parametrize(
    ("params", "table", "model"),
    [
        ("model: gpt-5.2", {"type": "openai", "base_url": "https://api.openai.com/v1"}, "gpt-5.2"),
        ("model: openai/a/b", {"type": "openai", "base_url": "https://api.openai.com/v1"}, "a/b"),
        (
            "model: m, custom_llm_provider: anthropic",
            {"type": "anthropic", "base_url": "https://api.anthropic.com"},
            "m",
        ),
        (
            "model: openai/m, api_base: 'http://h.example:8000'",
            {"type": "openai", "base_url": "http://h.example:8000"},
            "m",
        ),
        (
            "model: ollama/m, api_base: 'http://h.example:11434/'",
            {"type": "openai", "base_url": "http://h.example:11434/v1"},
            "m",
        ),
        (
            "model: openai/m, base_url: 'https://h.example/v1/chat/completions'",
            {"type": "openai", "base_url": "https://h.example/v1"},
            "m",
        ),
    ],
)
def test_the_prefix_of_a_model_names_its_provider(desk: Desk, params: str, table: dict[str, str], model: str):
    provider = one(desk, params).providers[0]
    assert (provider.table, provider.models["n"]["model"]) == (table, model)


@pytest.mark.parametrize(
    "text",
    [
        "model_list: text",
        "model_list: {a: b}",
        "model_list: [[], 1, null, {model_name: [x]}, {model_name: n, litellm_params: []}]",
        "model_list: [{model_name: n, litellm_params: {model: {a: b}, api_key: [1], timeout: text}}]",
        "model_list: [{model_name: n, litellm_params: {model: openai/m, api_base: 'http://[', extra_headers: text}}]",
        "router_settings: {model_group_alias: [a]}",
        "router_settings: text\nlitellm_settings: 1\nenvironment_variables: [x]",
        "model_list: [{model_name: '{env:HOME}', litellm_params: {model: 'openai/{command:id}', api_key: '{env:HOME}'}}]",
    ],
)
def test_wrong_types_are_reported(desk: Desk, text: str):
    file = desk.write("l.yaml", text)
    found = imported(file, keys=True)
    content = as_tables(decode(text, old=True), LISTS)
    for leaf in leaves(content, ()):
        assert count_of(found, leaf, str(file)) == 1, leaf
    assert "{command" not in repr(found.providers) and "{env" not in repr(found.providers)


def test_an_invalid_or_unnamed_file_is_an_error(desk: Desk):
    for text in ("a: [", "[]", "a: &a [*a]"):
        with pytest.raises(ConfigError, match=r"l\.yaml"):
            imported(desk.write("l.yaml", text))
    run = desk("import", "litellm")
    assert run.code == 1
    assert "hint: name it: `modelbay import litellm FILE`" in run.err


def test_a_large_file_is_read_in_time_that_grows_with_its_size(desk: Desk):
    rows = [f"  - {{model_name: m{n}, litellm_params: {{model: nowhere/m{n}}}}}" for n in range(3000)]
    found = imported(desk.write("l.yaml", "model_list:\n" + "\n".join(rows)))
    assert len(found.skipped) == 3000


def test_a_price_list_without_the_price_of_output_is_not_imported(desk: Desk):
    found = one(desk, "model: gpt-5.2", "{input_cost_per_token: 1.0e-6, cache_read_input_token_cost: 1.0e-7}")
    assert "cost" not in found.providers[0].models["n"]
    whys = {finding.why for finding in found.findings if finding.path[-1].endswith("cost")}
    assert whys == {"the prices of input and output are not both set"}


@pytest.mark.parametrize("value", ["{env:SOME_KEY}", "{env:SOME_KEY}}"])
def test_a_key_that_modelbay_would_read_as_a_reference_is_not_imported(desk: Desk, value: str):
    model = "{model_name: n, litellm_params: {model: openai/m, api_key: os.environ/K}}"
    text = f'model_list: [{model}]\nenvironment_variables: {{K: "{value}"}}\n'
    found = imported(desk.write("l.yaml", text), keys=True)
    assert "api_key" not in found.providers[0].table
    assert found.providers[0].missing_key == KEY_NOT_COPIED
    why = {finding.path: finding.why for finding in found.findings}
    assert why["environment_variables", "K"] == LIKE_REFERENCE
