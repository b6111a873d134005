"""The result for every setting of an agent's configuration."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelbay.agents import NAMES
from modelbay.agents.agent import ImportedConfig
from modelbay.agents.findings import leaves
from modelbay.config.toml.values import text_of
from tests.agents.desk import CONFIGS, FILES, parsed, read, rich

PROVIDERS = {
    "kimi": "providers",
    "kilo": "provider",
    "opencode": "provider",
    "codex": "model_providers",
    "ccr": "Providers",
    "crush": "providers",
}


def count_of(found: ImportedConfig, leaf: tuple[str, ...], file: str) -> int:
    """The number of results for a setting."""
    return sum(finding.file == file and finding.path == leaf[: len(finding.path)] for finding in found.findings)


def content(name: str) -> dict[str, Any]:
    return parsed(name, (CONFIGS / FILES[name]).read_text())


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_one_finding(name: str, keys: bool):
    found = rich(name, keys=keys)
    for leaf in leaves(content(name), ()):
        assert count_of(found, leaf, str(CONFIGS / FILES[name])) == 1, leaf
    assert sum(finding.count for finding in found.findings) == len(leaves(content(name), ()))


@pytest.mark.parametrize("name", NAMES)
def test_results_that_are_not_exact_have_a_reason(name: str):
    assert all(finding.why for finding in rich(name).findings if finding.outcome != "exact")


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_imported_or_shown_without_keys(name: str):
    found = rich(name)
    assert "0123456789" not in repr(found)
    assert "0123456789" not in str([(finding.why, finding.where) for finding in found.findings])


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_is_imported_or_reported(name: str):
    found = rich(name)
    come = {provider.id for provider in found.providers} | found.skipped.keys()
    assert {id for id, table in content(name)[PROVIDERS[name]].items() if table is not None} <= come


def test_unsupported_settings_of_the_large_configurations():
    """If a setting is no longer imported, it appears in one of these lists."""
    lost = {
        name: sorted(finding.where for finding in rich(name).findings if finding.outcome == "unsupported")
        for name in ("kimi", "kilo", "codex", "claude")
    }
    assert lost == {
        "kimi": [
            "loop_control", "models.future", "models.lost", "providers.later", "providers.old.api_key", "services",
            "telemetry",
        ],
        "kilo": [
            '"$schema"', "mcp", "permission",
            "provider.acme.models.acme-large.cost.context_over_200k.input",
            "provider.acme.models.acme-large.cost.context_over_200k.output",
            "provider.acme.models.acme-large.headers.X-Model",
            "provider.acme.models.acme-large.options.seed",
            "provider.acme.models.acme-large.status",
            "provider.bedrock",
            "provider.gpt.models.gpt-5.variants.high.textVerbosity",
            "provider.odd", "provider.off", "provider.openrouter.options.timeout", "provider.shell", "small_model",
        ],
        "codex": [
            "approval_policy", "mcp_servers", "model_providers.asked.auth", "model_providers.bedrock",
            "model_providers.proxy.env_key_instructions", "model_providers.proxy.request_max_retries",
            "model_providers.proxy.stream_max_retries", "sandbox_mode", "tui",
        ],
        "claude": [
            "env.CLAUDE_CODE_MAX_OUTPUT_TOKENS", "env.DISABLE_TELEMETRY", "includeCoAuthoredBy", "permissions",
        ],
    }  # fmt: skip


# Arbitrary values

NAMED = st.sampled_from(
    ["acme", "openai", "groq", "type", "npm", "name", "base_url", "baseURL", "api", "api_key", "apiKey", "env", "options",
     "models", "headers", "timeout", "limit", "context", "variants", "oauth", "aws", "wire_api", "env_key", "model",
     "provider", "id", "", "odd key", "a.b", "é"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["", " ", "x", "openai", "anthropic", "vertexai", "{env:KEY}", "{file:k}", "{command:ls}", "Bearer {env:KEY}", "chat",
     "responses", "https://acme.example/v1", "https://u:pw@acme.example?key=1", "ftp://x", "@ai-sdk/anthropic",
     "@ai-sdk/azure", "@ai-sdk/google-vertex", "@ai-sdk/groq", "sk-secret-0123456789", "${HOST}"]
)  # fmt: skip
SCALARS = WORDS | st.booleans() | st.integers(-5, 10**6) | st.floats(-1, 100, allow_nan=False) | st.text(max_size=3)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMED, inner, max_size=4), max_leaves=12
)
ENTRIES = st.dictionaries(NAMED, ANYTHING | st.dictionaries(NAMED, ANYTHING, max_size=6), max_size=4)
TOPS = st.sampled_from(
    ["provider", "providers", "models", "model_providers", "profiles", "model", "model_provider", "env", "default_model",
     "default_provider", "disabled_providers", "enabled_providers", "thinking", "apiKeyHelper", "theme"]
)  # fmt: skip


def toml(table: dict[str, Any]) -> str:
    """A table as TOML: one value per line, and inline tables."""
    return "".join(f"{text_of(key)} = {text_of(value)}\n" for key, value in table.items())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(TOPS, ENTRIES | ANYTHING, max_size=5), keys=st.booleans())
@example(document={"models": {"x": {"provider": ["x"]}}}, keys=False)
@example(document={"providers": {"openai": {"x": "sk-secret-0123456789", "y": ["sk-secret-0123456789"]}}}, keys=False)
def test_arbitrary_values_lose_no_provider_and_no_setting(
    name: str, document: dict[str, Any], keys: bool, tmp_path: Path
):
    file = tmp_path / FILES[name]
    file.write_text(toml(document) if file.suffix == ".toml" else json.dumps(document))
    if file.suffix == ".yaml":  # some characters are not allowed in it
        file.write_text(json.dumps(document, ensure_ascii=False))
        try:
            parsed(name, file.read_text())
        except ValueError:
            return
    found = read(name, file, keys=keys)
    document = parsed(name, file.read_text())
    wrong = Counter({leaf: count_of(found, leaf, str(file)) - 1 for leaf in leaves(document, ())})
    assert not +wrong
    assert not -wrong
    entries = document.get(PROVIDERS.get(name, ""), {})
    come = {provider.id for provider in found.providers} | found.skipped.keys()
    assert set(entries if isinstance(entries, dict) else ()) <= come
    if not keys:
        assert "sk-secret" not in repr([(provider.table, provider.models) for provider in found.providers])
    assert "{command:" not in repr([provider.table for provider in found.providers]) or name in ("codex", "claude")
