"""The entry that each provider of models.dev becomes by the rules of Kimi Code and our presets."""

import os
from collections import Counter
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.catalog.models_dev.providers import Wire, model_wire, wire
from modelbay.config.provider_types import TYPES
from modelbay.providers import presets
from modelbay.storage.cache import Cache

SNAPSHOT = ModelsDev(Cache(Path(os.devnull))).providers
WIRES = {id: wire(entry) for id, entry in SNAPSHOT.items()}


def outcome(found: Wire) -> str:
    if found.refused:
        return f"refused: {found.refused}"
    how = "needs " + ", ".join(found.needs) if found.needs else "at once"
    return f"{found.type}{', guessed' if found.guessed else ''}: {how}"


# The whole snapshot


def test_every_provider_of_the_snapshot_has_its_outcome():
    assert len(WIRES) == 225
    assert Counter(outcome(found).partition(" ")[0] for found in WIRES.values()) == snapshot(
        Counter(
            {
                "openai:": 203,
                "anthropic:": 8,
                "openai,": 8,
                "azure:": 2,
                "vertexai:": 2,
                "refused:": 1,
                "google-genai:": 1,
            }
        )
    )
    assert Counter(outcome(found).endswith("at once") for found in WIRES.values()) == {True: 209, False: 16}


def test_providers_that_need_more_settings_name_the_reason():
    later = {id: outcome(found) for id, found in WIRES.items() if not outcome(found).endswith("at once")}
    assert later == snapshot(
        {
            "amazon-bedrock": "refused: proprietary",
            "azure": "azure: needs AZURE_RESOURCE_NAME",
            "azure-cognitive-services": "azure: needs AZURE_COGNITIVE_SERVICES_RESOURCE_NAME",
            "cloudflare-ai-gateway": "openai, guessed: needs base_url",
            "cloudflare-workers-ai": "openai: needs CLOUDFLARE_ACCOUNT_ID",
            "databricks": "openai: needs DATABRICKS_HOST",
            "gitlab": "openai, guessed: needs base_url",
            "google-vertex": "vertexai: needs GOOGLE_VERTEX_PROJECT, GOOGLE_VERTEX_LOCATION",
            "google-vertex-anthropic": "vertexai: needs GOOGLE_VERTEX_PROJECT, GOOGLE_VERTEX_LOCATION",
            "infomaniak": "openai: needs INFOMANIAK_PRODUCT_ID",
            "neon": "openai: needs base_url",
            "qvac": "openai, guessed: needs base_url",
            "salad-cloud": "openai, guessed: needs base_url",
            "sap-ai-core": "openai, guessed: needs base_url",
            "snowflake-cortex": "openai: needs SNOWFLAKE_ACCOUNT",
            "watsonx": "openai, guessed: needs base_url",
        }
    )


def test_providers_without_a_url_in_the_catalog_use_the_presets():
    homeless = {id: found.base_url for id, found in WIRES.items() if not SNAPSHOT[id].get("api") and found.base_url}
    assert homeless == snapshot(
        {
            "aihubmix": "https://aihubmix.com/v1",
            "anthropic": "https://api.anthropic.com",
            "azure": "https://${AZURE_RESOURCE_NAME}.openai.azure.com",
            "azure-cognitive-services": "https://${AZURE_COGNITIVE_SERVICES_RESOURCE_NAME}.openai.azure.com",
            "cerebras": "https://api.cerebras.ai/v1",
            "cohere": "https://api.cohere.ai/compatibility/v1",
            "deepinfra": "https://api.deepinfra.com/v1/openai",
            "google": "https://generativelanguage.googleapis.com",
            "groq": "https://api.groq.com/openai/v1",
            "mistral": "https://api.mistral.ai/v1",
            "openai": "https://api.openai.com/v1",
            "perplexity": "https://api.perplexity.ai",
            "togetherai": "https://api.together.xyz/v1",
            "v0": "https://api.v0.dev/v1",
            "venice": "https://api.venice.ai/api/v1",
            "vercel": "https://ai-gateway.vercel.sh/v1",
            "xai": "https://api.x.ai/v1",
        }
    )


def test_the_type_is_always_a_known_one():
    assert {found.type for found in WIRES.values() if not found.refused} <= set(TYPES)


def test_the_url_is_always_usable():
    for id, found in WIRES.items():
        if found.base_url is not None:
            assert found.base_url.startswith(("https://", "http://127.0.0.1", "http://localhost")), id
            assert ("${" in found.base_url) == bool(found.needs), id


def test_every_model_of_the_snapshot_is_usable_or_has_a_reason():
    refused: Counter[str] = Counter()
    protocols: Counter[str] = Counter()
    for id, entry in SNAPSHOT.items():
        for model in entry["models"].values():
            found = model_wire(WIRES[id], entry, model)
            refused[id] += bool(found.refused)
            protocols[found.protocol or "its provider's"] += 1
    assert {id: count for id, count in refused.items() if count} == snapshot(
        {"amazon-bedrock": 16, "azure": 20, "azure-cognitive-services": 17, "google-vertex": 17, "neon": 16}
    )
    assert protocols == snapshot(
        Counter({"its provider's": 8118, "anthropic": 99, "openai_responses": 102, "openai_chat": 4, "google": 14})
    )


def test_the_models_dev_ids_of_presets_exist_and_are_unique():
    ids = [id for preset in presets.all() for id in preset.models_dev]
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(SNAPSHOT)
    for preset in presets.all():
        for id in preset.models_dev:
            assert presets.by_models_dev(id) == preset


# The rules


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (
            {"type": "kimi", "npm": "@ai-sdk/anthropic", "api": "https://a/v1"},
            Wire(type="kimi", base_url="https://a/v1"),
        ),
        ({"type": "gemini", "api": "https://a"}, Wire(type="google-genai", base_url="https://a")),
        ({"id": "my-claude", "api": "https://a/v1/"}, Wire(type="anthropic", base_url="https://a")),
        ({"npm": "@ai-sdk/anthropic", "api": "https://a/x/v1"}, Wire(type="anthropic", base_url="https://a/x")),
        ({"npm": "@ai-sdk/anthropic"}, Wire(type="anthropic")),
        ({"npm": "@acme/anthropic-like"}, Wire(type="anthropic", needs=["base_url"])),
        ({"id": "my-vertex"}, Wire(type="vertexai")),
        ({"npm": "@acme/google"}, Wire(type="google-genai")),
        ({"npm": "@ai-sdk/openai"}, Wire(type="openai")),
        ({"npm": "@ai-sdk/openai-compatible"}, Wire(type="openai", needs=["base_url"])),
        ({"npm": "@ai-sdk/openai-compatible", "api": "https://a/v1"}, Wire(type="openai", base_url="https://a/v1")),
        (
            {"npm": "@ai-sdk/openai-compatible", "api": "https://${A}.b/${C}"},
            Wire(type="openai", base_url="https://${A}.b/${C}", needs=["A", "C"]),
        ),
        (
            {"npm": "@ai-sdk/openai-compatible", "api": "${ACME_URL}/v1"},
            Wire(type="openai", needs=["base_url"]),
        ),
        ({"npm": "@acme/ai", "api": "https://a"}, Wire(type="openai", base_url="https://a", guessed=True)),
        ({}, Wire(type="openai", guessed=True, needs=["base_url"])),
    ],
)
def test_the_first_matching_rule_applies(entry, found):
    assert wire({"id": "acme", **entry}) == found


@pytest.mark.parametrize(
    ("entry", "refusal"),
    [
        ({"type": "smoke-signals", "api": "https://a"}, "unknown-type"),
        ({"npm": "@ai-sdk/amazon-bedrock", "api": "https://a"}, "proprietary"),
        ({"npm": "@acme/cohere", "api": "https://a"}, "proprietary"),
    ],
)
def test_a_provider_with_an_unknown_protocol_is_refused(entry, refusal):
    found = wire({"id": "acme", **entry})
    assert (found.refused, found.type, bool(found.why)) == (refusal, None, True)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (" https://mine/v1 ", Wire(type="openai", base_url="https://mine/v1")),
        ("  ", Wire(refused="empty-url", why="the base URL is blank")),
        ("https://${X}/v1", Wire(refused="placeholder-url", why="the base URL contains a placeholder: ['X']")),
    ],
)
def test_the_users_url_overrides_the_catalogs(url, found):
    assert wire({"id": "acme", "npm": "@ai-sdk/openai-compatible", "api": "https://a/v1"}, url) == found


def test_claude_on_vertex_uses_the_anthropic_protocol():
    assert (WIRES["google-vertex-anthropic"].type, WIRES["google-vertex-anthropic"].protocol) == (
        "vertexai",
        "anthropic",
    )


@pytest.mark.parametrize(
    ("own", "protocol", "url", "refused"),
    [
        (None, None, None, False),
        ({"npm": "@ai-sdk/openai-compatible"}, None, None, False),
        ({"npm": "@ai-sdk/anthropic"}, "anthropic", None, False),
        ({"npm": "@ai-sdk/openai"}, "openai_responses", None, False),
        ({"npm": "@ai-sdk/google"}, "google", None, False),
        ({"npm": "@ai-sdk/anthropic", "api": "https://a/anthropic/v1"}, "anthropic", "https://a/anthropic/v1", False),
        ({"api": "https://a/v1/"}, None, None, False),
        ({"npm": "@ai-sdk/amazon-bedrock"}, None, None, True),
        ({"npm": "@ai-sdk/anthropic", "api": "https://${A}/v1"}, None, None, True),
    ],
)
def test_a_model_may_use_another_protocol_than_its_provider(own, protocol, url, refused):
    entry = {"id": "acme", "npm": "@ai-sdk/openai-compatible", "api": "https://a/v1"}
    found = model_wire(wire(entry), entry, {"provider": own})
    assert (found.protocol, found.base_url, bool(found.refused)) == (protocol, url, refused)
