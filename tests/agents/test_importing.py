"""Providers of an agent come into a configuration that may have their ids and aliases already."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.agents.agent import Arrival, Import
from modelbay.agents.importing import Answer, conflicts, put
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
    """A file of ours."""
    providers = draw(st.dictionaries(IDS, TABLES, max_size=3))
    edit = Edit(PATH, b"# ours\n")
    for id, table in providers.items():
        edit.set("providers", id, value=table)
    for alias, table in draw(st.dictionaries(ALIASES, MODELS, max_size=3)).items():
        if providers:
            edit.set("models", alias, value={"provider": draw(st.sampled_from(sorted(providers))), **table})
    return edit.text.encode()


@st.composite
def imports(draw: Any) -> Import:
    found = Import(["kilo.json"])
    aliases = iter(draw(st.lists(ALIASES, unique=True)))
    for id, table in draw(st.dictionaries(IDS, TABLES, max_size=3)).items():
        models = {alias: draw(MODELS) for alias, _ in zip(aliases, range(2), strict=False)}
        found.arrivals.append(Arrival(id, table, models))
    known = [alias for arrival in found.arrivals for alias in arrival.models]
    found.default_model = draw(st.sampled_from([None, *known]))
    return found


@given(configs(), imports(), st.sampled_from(["rename", "replace", "skip"]))
def test_every_provider_and_model_is_there_afterwards_and_what_was_there_stays(
    before: bytes, found: Import, answer: Answer
):
    edit = Edit(PATH, before)
    old = parse(edit.text, PATH)
    used = conflicts(edit, found)
    written = put(edit, found, "kilo", dict.fromkeys(used, answer))
    now = parse(edit.text, PATH)
    assert not now.problems
    assert [placed.arrival.id for placed in written.placed] == [arrival.id for arrival in found.arrivals]
    replaced = {placed.id for placed in written.placed if placed.done == "replaced"}
    for placed in written.placed:
        if placed.done == "skipped":
            assert placed.id in used and answer == "skip"
            continue
        entry = now.providers[placed.id]
        assert entry.base_url == placed.arrival.table["base_url"]
        assert entry.api_key == placed.arrival.table.get("api_key", entry.api_key)
        there = [(now.models[alias].provider, now.models[alias].model) for alias in placed.models]
        assert there == [(placed.id, table["model"]) for table in placed.arrival.models.values()]
    for id, entry in old.providers.items():
        assert now.providers[id] == entry or id in replaced
    for alias, model in old.models.items():
        assert now.models[alias] == model or model.provider in replaced
    if found.default_model and not old.default_model:
        assert now.default_model is None or now.model() is not None
    assert edit.text.startswith("# ours") or not before

    again = Edit(PATH, edit.text.encode())
    put(again, found, "kilo", dict.fromkeys(conflicts(again, found), answer))
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
def test_an_address_without_what_is_secret_in_it(url: str, bare: str):
    assert bare_url(url) == bare
