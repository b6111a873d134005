"""Models of models.dev as tables of config.toml: the values that Kimi Code writes, and the models that are imported."""

import pytest

from modelbay.catalog.facts import CAPABILITIES
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.catalog.models_dev.models import model_table, registry_table, why_skipped
from modelbay.catalog.models_dev.providers import wire
from modelbay.storage.cache import Cache

PROVIDER = {"id": "acme", "npm": "@ai-sdk/openai-compatible", "api": "https://acme.example/v1"}
FOUND = wire(PROVIDER)
MODEL = {"id": "m-1", "name": "M 1", "limit": {"context": 1000, "output": 100}}


def table(**more):
    return model_table(FOUND, PROVIDER, "m-1", {**MODEL, **more})


def test_sizes_and_names_are_copied():
    assert table() == {
        "max_context_size": 1000,
        "max_output_size": 100,
        "capabilities": ["tool_use"],
        "display_name": "M 1",
    }


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ({"context": 1000}, (1000, None, None)),
        ({"context": 1000, "input": 900, "output": 1000}, (1000, 900, 1000)),
        ({"context": 1000, "input": 2000}, (1000, 1000, None)),
        ({"context": 1000, "output": 2000}, (1000, None, None)),
        ({"context": 1000, "output": 0}, (1000, None, None)),
    ],
)
def test_no_size_is_larger_than_the_context(limit, sizes):
    found = table(limit=limit)
    assert (found["max_context_size"], found.get("max_input_size"), found.get("max_output_size")) == sizes


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tool_call": False}, None),
        ({"tool_call": True, "reasoning": True}, ["thinking", "tool_use"]),
        ({"modalities": {"input": ["text", "image", "video", "audio", "pdf"]}}, ["image_in", "video_in", "audio_in", "tool_use"]),
        ({"reasoning_options": [{"type": "toggle"}]}, ["thinking", "tool_use"]),
        ({"reasoning_options": [{"type": "effort", "values": ["low", "high"]}]}, ["always_thinking", "tool_use"]),
        ({"reasoning_options": [{"type": "effort", "values": ["none", "low"]}]}, ["thinking", "tool_use"]),
        ({"reasoning_options": [{"type": "effort", "values": [None, "low"]}]}, ["thinking", "tool_use"]),
        ({"reasoning_options": [{"type": "toggle"}, {"type": "effort", "values": ["low"]}]}, ["thinking", "tool_use"]),
    ],
)  # fmt: skip
def test_capabilities_are_those_of_the_list(more, words):
    assert table(**more).get("capabilities") == words


def test_the_value_for_no_reasoning_is_not_an_effort():
    found = table(reasoning_options=[{"type": "effort", "values": ["none", "low", "high"]}])
    assert (found["support_efforts"], found["off_effort"]) == (["low", "high"], "none")
    assert "default_effort" not in found


@pytest.mark.parametrize("type", ["anthropic", "kimi"])
def test_with_a_switch_for_thinking_efforts_are_optional(type):
    provider = {**PROVIDER, "type": type}
    options = [{"type": "effort", "values": ["low"]}]
    found = model_table(wire(provider), provider, "m-1", {**MODEL, "reasoning_options": options})
    assert found["capabilities"] == ["thinking", "tool_use"]


def test_the_field_of_thinking_is_copied_from_an_object():
    assert table(interleaved={"field": "reasoning_content"})["reasoning_key"] == "reasoning_content"
    assert "reasoning_key" not in table(interleaved=True)


# Imported models


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, None),
        ({"status": "beta"}, None),
        ({"status": "deprecated"}, "it is deprecated"),
        ({"status": "alpha"}, "it is alpha"),
        ({"modalities": {"output": ["image"]}}, "it makes image, not text"),
        ({"modalities": {"output": ["image", "text"]}}, None),
        ({"family": "text-embedding"}, "it produces embeddings"),
        ({"name": "Nice embed"}, None),
        ({"id": "nice-embed-2"}, "it produces embeddings"),
        ({"id": "embedded-coder"}, None),
        ({"limit": {"context": 0}}, "its context window is unknown"),
        ({"limit": None}, "its context window is unknown"),
        ({"provider": {"npm": "@ai-sdk/cohere"}}, "it is served by @ai-sdk/cohere, whose protocol is unknown"),
        ({"provider": {"api": "https://elsewhere.example/v1"}}, "it is on another host, https://elsewhere.example"),
    ],
)
def test_a_model_is_skipped_for_a_reason(more, why):
    assert why_skipped(FOUND, PROVIDER, "m-1", {**MODEL, **more}) == why


def test_a_model_may_speak_another_protocol_at_another_path():
    own = {"npm": "@ai-sdk/anthropic", "api": "https://acme.example/anthropic/v1"}
    found = table(provider=own)
    assert (found["protocol"], found["base_url"]) == ("anthropic", "https://acme.example/anthropic")


def test_every_imported_model_of_the_snapshot_has_a_table(tmp_path):
    words = set()
    for entry in ModelsDev(Cache(tmp_path)).providers.values():
        found = wire(entry)
        for id, model in entry["models"].items():
            if found.type and why_skipped(found, entry, id, model) is None:
                made = model_table(found, entry, id, model)
                assert made["max_context_size"] >= made.get("max_output_size", 1)
                words |= {*made.get("capabilities", [])}
    assert words <= CAPABILITIES


# Models of registries


def test_a_registry_has_more_facts_and_all_are_written():
    model = {
        "id": "x",
        "name": "X",
        "limit": {"context": 2000.9, "output": 500},
        "reasoning": True,
        "tool_call": False,
        "modalities": {"input": ["text", "audio"], "output": ["text", "image", "audio"]},
        "support_efforts": ["low", "high"],
        "default_effort": "low",
        "cost": {"input": 1, "output": 2.5},
    }
    assert registry_table("x", model, "openai") == {
        "max_context_size": 2000,
        "max_output_size": 500,
        "capabilities": ["audio_in", "thinking", "image_out", "audio_out"],
        "display_name": "X",
        "support_efforts": ["low", "high"],
        "default_effort": "low",
        "cost": {"input": 1, "output": 2.5},
    }


@pytest.mark.parametrize(("limit", "size"), [(None, 131_072), ({"output": 7}, 7), ({"context": -1}, 131_072)])
def test_a_model_of_a_registry_has_a_size_because_kimi_code_requires_one(limit, size):
    assert registry_table("x", {"limit": limit}, "openai")["max_context_size"] == size
