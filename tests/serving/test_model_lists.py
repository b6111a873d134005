"""Model lists: each form is read back by its reader, with the facts that were written."""

import json
from datetime import date
from typing import Any

import pytest

from modelbay.catalog.formats.manifest import inspect_models, parse_manifest
from modelbay.catalog.formats.registry import parse_registry
from modelbay.catalog.lists.listing import parse_list
from modelbay.catalog.models_dev.models import model_table, why_skipped
from modelbay.catalog.models_dev.providers import wire
from modelbay.model import Capability, Cost, Model
from modelbay.serving.model_lists import ModelList
from modelbay.serving.routes import ListForm

URL = "http://127.0.0.1:8484"
YES: tuple[Capability, ...] = ("thinking", "image_in", "document_in", "tool_use", "structured_output", "temperature")
FULL = Model(
    id="acme/large",
    name="Acme Large",
    max_context_tokens=200_000,
    max_input_tokens=190_000,
    max_output_tokens=32_000,
    capabilities={**dict.fromkeys(YES, True), "audio_in": False, "video_in": False, "adaptive_thinking": True},
    efforts=["low", "high", "max"],
    default_effort="high",
    cost=Cost(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75),
)
PLAIN = Model(
    id="plain", max_context_tokens=32_000, max_output_tokens=4_000, capabilities={"thinking": False, "tool_use": False}
)
UNKNOWN = Model(id="unknown")
LISTED = ModelList([FULL, PLAIN, UNKNOWN], URL, date(2026, 1, 1))
FACTS = {  # of the full model in each form: input size, output, capabilities, price
    "openai": (True, True, True, True),
    "anthropic": (True, True, True, False),
    "google": (True, True, False, False),
    "litellm": (True, True, True, True),
    "extended": (True, True, True, True),
}


@pytest.mark.parametrize("form", FACTS)
def test_a_list_is_read_back_with_its_facts(form: ListForm) -> None:
    read = parse_list(json.loads(json.dumps(LISTED.body(form))))
    assert not read.gaps
    full, plain, unknown = read.models
    assert [model.id for model in read.models] == ["acme/large", "plain", "unknown"]
    sized, output, capable, priced = FACTS[form]
    assert not sized or (full.facts.max_input_tokens or full.facts.max_context_tokens) == 190_000
    assert not output or full.facts.max_output_tokens == 32_000
    if capable:
        assert {name for name in YES if full.facts.capabilities.get(name)} >= {
            "thinking",
            "image_in",
            "structured_output",
        }
        assert plain.facts.capabilities.get("thinking") is False
    assert not priced or full.facts.cost == FULL.cost
    assert full.facts.name == (None if form == "litellm" else "Acme Large")
    assert plain.facts.max_output_tokens == 4_000
    if form != "extended":  # its clients require sizes
        assert unknown.facts.max_context_tokens is None
        assert unknown.facts.max_output_tokens is None


def test_clients_of_openai_find_the_sizes_under_each_name_they_know() -> None:
    model = LISTED.body("openai")["data"][0]
    assert {model[name] for name in ("context_length", "context_window", "max_model_len")} == {200_000}
    assert (model["max_input_tokens"], model["max_output_tokens"]) == (190_000, 32_000)
    assert model["top_provider"]["context_length"] == 200_000
    assert model["architecture"]["input_modalities"] == ["text", "image"]
    assert (model["object"], model["created"], model["owned_by"]) == ("model", 1_767_225_600, "modelbay")


def test_an_unknown_release_date_has_the_form_that_the_clients_expect() -> None:
    listed = ModelList([PLAIN, UNKNOWN], URL, dates={"plain": date(2026, 5, 21)})
    assert [item["created"] for item in listed.items("openai")] == [1_779_321_600, 0]
    assert [item["created_at"] for item in listed.items("anthropic")] == [
        "2026-05-21T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ]
    # opencode requires the field, and hides models with an old date
    assert [item["release_date"] for item in listed.items("models_dev")] == ["2026-05-21", ""]
    assert [item.get("release_date") for item in listed.items("extended")] == ["2026-05-21", None]
    assert [item.get("release_date") for item in listed.items("registry")] == ["2026-05-21", None]


def test_an_anthropic_list_has_its_ends_and_an_effort_for_each_that_is_known() -> None:
    listed = LISTED.body("anthropic")
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("acme/large", "unknown", False)
    assert listed["data"][0]["capabilities"]["effort"] == {
        "supported": True,
        "low": {"supported": True},
        "high": {"supported": True},
        "max": {"supported": True},
    }
    assert listed["data"][2]["capabilities"] == {}
    assert ModelList([], URL).body("anthropic") == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_codex_reads_the_facts_of_each_model() -> None:
    full, plain, unknown = LISTED.body("codex")["models"]
    assert (full["default_reasoning_level"], plain["default_reasoning_level"]) == ("high", None)
    assert (full["supports_reasoning_summaries"], plain["supports_reasoning_summaries"]) == (True, False)
    # the input is limited to 190,000 tokens of the window
    assert (full["context_window"], plain["context_window"], unknown["context_window"]) == (190_000, 32_000, 131_072)
    assert (full["input_modalities"], plain["input_modalities"]) == (["text", "image"], ["text"])
    assert [model["priority"] for model in (full, plain, unknown)] == [1, 2, 3]
    # models without freeform tools get a function from the gateway
    assert [model["apply_patch_tool_type"] for model in (full, plain, unknown)] == ["freeform", None, "freeform"]


@pytest.mark.parametrize(
    ("version", "levels"),
    [
        ("0.171.0", ["low", "high", "max"]),
        ("0.144.0", ["low", "high", "max"]),
        ("1.0.0", ["low", "high", "max"]),
        ("0.143.9", ["low", "high"]),  # with another word, it cannot read the list
        ("0.0.0", ["low", "high"]),
        ("", ["low", "high"]),
        ("latest", ["low", "high"]),
    ],
)
def test_a_version_of_codex_gets_the_efforts_that_it_can_read(version: str, levels: list[str]) -> None:
    model = ModelList([FULL], URL, client_version=version).body("codex")["models"][0]
    assert [level["effort"] for level in model["supported_reasoning_levels"]] == levels
    assert all(level["description"] for level in model["supported_reasoning_levels"])


@pytest.mark.parametrize(
    ("facts", "levels", "default"),
    [
        ({"off_effort": "none"}, ["none", "low", "high"], "high"),
        ({"capabilities": {"thinking": True, "always_thinking": False}}, ["none", "low", "high"], "high"),
        ({"capabilities": {"thinking": True, "always_thinking": True}}, ["low", "high"], "high"),
        ({"efforts": []}, [], None),
        ({"efforts": None, "off_effort": "none"}, [], None),
        ({"efforts": ["own"], "default_effort": "own"}, ["own"], "own"),
    ],
)
def test_codex_can_turn_off_the_reasoning_of_a_model_that_allows_it(
    facts: dict[str, Any], levels: list[str], default: str | None
) -> None:
    base: dict[str, Any] = {"efforts": ["low", "high"], "capabilities": {"thinking": True}}
    model = ModelList([Model(id="a", **(base | facts))], URL, client_version="0.171.0").body("codex")["models"][0]
    assert [level["effort"] for level in model["supported_reasoning_levels"]] == levels
    assert model["default_reasoning_level"] == default


def test_a_list_for_codex_is_below_its_limit_with_many_models() -> None:
    many = ModelList([Model(id=f"provider/model-{number}") for number in range(400)], URL)
    assert len(json.dumps(many.body("codex"))) < 2**20


def test_models_dev_has_the_server_as_a_provider() -> None:
    provider = LISTED.body("models_dev")["modelbay"]
    found = wire(provider)
    assert (found.type, found.base_url) == ("openai", f"{URL}/v1")
    assert provider["env"] == ["MODELBAY_API_KEY"]
    for id, model in provider["models"].items():
        assert why_skipped(found, provider, id, model) is None
    table = model_table(found, provider, "acme/large", provider["models"]["acme/large"])
    assert (table["max_context_size"], table["max_input_size"], table["max_output_size"]) == (200_000, 190_000, 32_000)
    assert {"image_in", "tool_use"} <= set(table["capabilities"])
    assert "capabilities" not in model_table(found, provider, "plain", provider["models"]["plain"])


def test_a_registry_has_the_server_as_a_provider() -> None:
    read = parse_registry(json.loads(json.dumps(LISTED.body("registry"))), f"{URL}/registry.json")
    (provider,) = read.providers
    assert not read.skipped
    assert (provider.id, provider.type, provider.api) == ("modelbay", "openai", f"{URL}/v1")
    assert list(provider.models) == ["acme/large", "plain", "unknown"]
    assert provider.models["acme/large"]["support_efforts"] == ["low", "high", "max"]
    assert provider.models["acme/large"]["default_effort"] == "high"


def test_a_manifest_refers_to_the_extended_list() -> None:
    manifest = parse_manifest(json.dumps(LISTED.body("manifest")).encode())
    assert (manifest.base_url, manifest.source) == (f"{URL}/v1", "endpoint")
    models, findings = inspect_models(json.dumps(LISTED.body("extended")).encode())
    assert [model.id for model in models] == ["acme/large", "plain", "unknown"]
    assert not findings


@pytest.mark.parametrize("form", [*FACTS, "codex", "models_dev", "registry", "manifest"])
def test_a_single_model_is_an_item_of_the_list(form: ListForm) -> None:
    item: Any = LISTED.item(form, FULL)
    assert item in _items(LISTED.body(form)) or form == "manifest"


def _items(value: Any) -> list[Any]:
    """All objects inside a JSON value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for one in inside for found in _items(one))]
