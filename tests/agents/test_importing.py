"""Import of an agent's providers into a configuration that may already have their IDs and aliases."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.agents.agent import ImportedConfig, ImportedProvider
from modelbay.agents.importing import ConflictAction, add, conflicts
from modelbay.config.edit import Edit
from modelbay.config.load import parse
from modelbay.secrecy import bare_url

PATH = Path("config.toml")
IDS = st.sampled_from(["a", "b", "a-kilo", "a-kilo-2", "b.c"])
ALIASES = st.sampled_from(["a/m", "b/m", "a/n", "fast", "a-kilo/m"])
TABLES = st.builds(
    lambda host, key: {"type": "openai", "base_url": f"https://{host}.example"} | ({"api_key": key} if key else {}),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["", "{env:KEY}", "sk-1"]),
)
MODELS = st.fixed_dictionaries({"model": st.sampled_from(["m", "n"])})


@st.composite
def configs(draw: Any) -> bytes:
    """A configuration file of modelbay."""
    providers = draw(st.dictionaries(IDS, TABLES, max_size=3))
    edit = Edit(PATH, b"# ours\n")
    for id, table in providers.items():
        edit.set("providers", id, value=table)
    for alias, table in draw(st.dictionaries(ALIASES, MODELS, max_size=3)).items():
        if providers:
            edit.set("models", alias, value={"provider": draw(st.sampled_from(sorted(providers))), **table})
    return edit.text.encode()


@st.composite
def imports(draw: Any) -> ImportedConfig:
    found = ImportedConfig(["kilo.json"])
    aliases = iter(draw(st.lists(ALIASES, unique=True)))
    for id, table in draw(st.dictionaries(IDS, TABLES, max_size=3)).items():
        models = {alias: draw(MODELS) for alias, _ in zip(aliases, range(2), strict=False)}
        found.providers.append(ImportedProvider(id, table, models))
    known = [alias for provider in found.providers for alias in provider.models]
    found.default_model = draw(st.sampled_from([None, *known]))
    return found


@given(configs(), imports(), st.sampled_from(["rename", "replace", "skip"]))
def test_every_provider_and_model_is_imported_and_existing_ones_are_kept(
    before: bytes, found: ImportedConfig, answer: ConflictAction
):
    edit = Edit(PATH, before)
    old = parse(edit.text, PATH)
    used = conflicts(edit, found)
    summary = add(edit, found, "kilo", dict.fromkeys(used, answer))
    now = parse(edit.text, PATH)
    assert not now.problems
    assert [result.provider.id for result in summary.providers] == [provider.id for provider in found.providers]
    replaced = {result.id for result in summary.providers if result.action == "replaced"}
    for result in summary.providers:
        if result.action == "skipped":
            assert result.id in used and answer == "skip"
            continue
        entry = now.providers[result.id]
        assert entry.base_url == result.provider.table["base_url"]
        assert entry.api_key == result.provider.table.get("api_key", entry.api_key)
        there = [(now.models[alias].provider, now.models[alias].model) for alias in result.models]
        assert there == [(result.id, table["model"]) for table in result.provider.models.values()]
    for id, entry in old.providers.items():
        assert now.providers[id] == entry or id in replaced
    for alias, model in old.models.items():
        assert now.models[alias] == model or model.provider in replaced
    if found.default_model and not old.default_model:
        assert now.default_model is None or now.model() is not None
    assert edit.text.startswith("# ours") or not before

    again = Edit(PATH, edit.text.encode())
    add(again, found, "kilo", dict.fromkeys(conflicts(again, found), answer))
    if answer != "replace":
        assert parse(again.text, PATH).providers.keys() == now.providers.keys()


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://u:pw@acme.example/v1", "https://acme.example/v1"),
        ("https://acme.example/v1?api-version=7&api-key=1&token=2&team=3", "https://acme.example/v1?api-version=7"),
        ("https://acme.example/v1?x-goog-api-key=1", "https://acme.example/v1"),
        ("https://acme.example?passwd=1#f", "https://acme.example"),
    ],
)
def test_secrets_are_removed_from_a_url(url: str, bare: str):
    assert bare_url(url) == bare
