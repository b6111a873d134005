"""The index of models.dev: lookups, and the facts of a model that many providers have."""

import os
from pathlib import Path

import pytest

from modelbay.catalog.facts import Facts
from modelbay.catalog.lists.entry_facts import facts_of
from modelbay.catalog.models_dev.index import Index, IndexEntry, agreed, bare, build
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.model import Cost
from modelbay.storage.cache import Cache

SNAPSHOT = ModelsDev(Cache(Path(os.devnull)))


def model(context: int = 1000, price: float = 1, **more):
    return {"name": "M", "limit": {"context": context}, "cost": {"input": price, "output": price}, **more}


def context(entry: IndexEntry | None) -> int | None:
    return entry.facts.max_context_tokens if entry else None


def indexed(**providers) -> Index:
    """An index of providers' models; `_` is a slash in their ids."""
    listed = {
        id: {
            "id": id,
            "api": f"https://{id}.example/v1",
            "models": {name.replace("_", "/"): m for name, m in models.items()},
        }
        for id, models in providers.items()
    }
    found = Index.read(build(listed, "now", "2026-01-01"), "now")
    assert found is not None
    return found


# Finding


def test_every_model_of_the_snapshot_is_found_by_its_id():
    index = SNAPSHOT.index
    for provider, entry in SNAPSHOT.providers.items():
        for id, raw in entry["models"].items():
            found = index.at([provider], id)
            assert found is not None and (found.provider, found.id) == (provider, id)
            assert found.raw.get("limit") == raw["limit"]


def test_the_fast_and_the_complete_reader_agree():
    for provider, entry in SNAPSHOT.providers.items():
        for id, raw in entry["models"].items():
            assert IndexEntry(provider, id, raw).facts == facts_of(raw, id)


@pytest.mark.parametrize("raw", [{"limit": [], "cost": 1, "modalities": {"input": "text"}, "interleaved": True}, {}])
def test_invalid_values_of_an_entry_are_unknown_facts(raw):
    assert IndexEntry("a", "m", raw).facts == Facts()


def test_efforts_come_from_the_live_list():
    raw = {"reasoning_options": [{"type": "toggle"}, {"type": "effort", "values": ["none", "low", "max"]}]}
    facts = IndexEntry("a", "m", raw).facts
    assert (facts.efforts, facts.off_effort, facts.capabilities) == (
        ["low", "max"], "none", {"thinking": True, "always_thinking": False},
    )  # fmt: skip
    assert facts == facts_of(raw, "m")


def test_a_model_is_found_by_its_id_then_by_its_bare_name():
    index = indexed(a={"org_m": model(1), "m": model(2)}, b={"org_m": model(3)}, c={"x_n": model(4), "y_n": model(5)})
    assert [context(index.at(["a"], id)) for id in ("org/m", "m", "ORG/M")] == [1, 2, 1]
    assert context(index.at(["b"], "m")) == 3
    assert index.at(["c"], "n") is None, "both are possible"
    assert context(index.at(["c"], "x/n")) == 4


def test_the_first_provider_with_the_model_is_used():
    index = indexed(a={"m": model(1)}, b={"m": model(2)})
    assert context(index.at(["none", "b", "a"], "m")) == 2
    assert index.at([], "m") is None
    assert index.at(["a"], "nothing") is None


@pytest.mark.parametrize("id", ["a", "zz", "m0", "m00", "m9999", "", "ü", "m\t1", "\n"])
def test_an_unknown_model_is_not_found(id):
    index = indexed(a={f"m{number}x": model() for number in range(50)})
    assert index.entries(id) == []


def test_bare_names():
    assert [bare(id) for id in ("openai/GPT-5", "gpt-5", " accounts/fireworks/models/x ")] == ["gpt-5", "gpt-5", "x"]


# URLs


def test_providers_of_a_host_are_found_with_the_same_path_first():
    index = SNAPSHOT.index
    assert index.providers_at("api.z.ai", "/api/coding/paas/v4") == ["zai-coding-plan", "zai"]
    assert index.providers_at("api.z.ai", "/api/paas/v4/") == ["zai", "zai-coding-plan"]
    assert index.providers_at("api.deepseek.com", "/anthropic") == ["deepseek"]
    assert index.providers_at("nobody.example", "/v1") == []


# Damaged data


@pytest.mark.parametrize("cut", [0, 1, 10, 60, -1])
def test_a_damaged_index_is_ignored(cut):
    data = build({"a": {"id": "a", "models": {"m": model()}}}, "now", "2026-01-01")
    assert Index.read(data[:cut], "now") is None


def test_an_index_of_another_list_is_ignored():
    assert Index.read(build({"a": {"models": {"m": model()}}}, "then", "2026-01-01"), "now") is None


def test_models_with_invalid_names_do_not_affect_others():
    index = indexed(a={"m\t1": model(), "n\n2": model(), "": model(), "m": model(7), "x": "no table"})
    assert [entry.id for entry in index.entries("m")] == ["m"]


# Common facts of a family


def test_a_family_has_the_facts_of_the_majority():
    index = indexed(
        a={
            "m": model(
                1000, reasoning=True, tool_call=True, modalities={"input": ["text", "image"], "output": ["text"]}
            )
        },
        b={
            "m": model(
                1000, reasoning=True, tool_call=False, modalities={"input": ["text", "image"], "output": ["text"]}
            )
        },
        c={"m": model(128, reasoning=True, tool_call=False, modalities={"input": ["text"], "output": ["text"]})},
        d={
            "o_m": model(
                1000, reasoning=True, tool_call=False, modalities={"input": ["text", "image"], "output": ["text"]}
            )
        },
    )
    family = index.family("m")
    assert family is not None
    assert (family.max_context_tokens, family.cost, family.max_output_tokens) == (1000, None, None)
    assert family.capabilities == {
        "thinking": True, "image_in": True, "video_in": False, "audio_in": False, "document_in": False
    }, "they disagree about tools"  # fmt: skip


def test_a_single_entry_cannot_remove_a_capability():
    assert agreed([Facts(capabilities={"image_in": False, "thinking": True})]).capabilities == {"thinking": True}


def test_tools_are_unknown_if_providers_disagree():
    assert agreed([Facts(capabilities={"tool_use": False})] * 3).capabilities == {}


def test_a_family_has_no_price():
    assert agreed([Facts(cost=Cost(input=1, output=1))] * 2).cost is None


def test_a_variant_after_a_colon_belongs_to_the_family():
    index = indexed(a={"deepseek_deepseek-r1": model(64_000)})
    family = index.family("deepseek-r1:free")
    assert family is not None and family.max_context_tokens == 64_000
    assert index.family("llama:8b") is None
