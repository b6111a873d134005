"""Facts of a configured model from lists and models.dev: their order and their sources."""

from pathlib import Path
from time import time

import pytest

from modelbay.catalog.facts import Facts, configured, fill, settle
from modelbay.catalog.knowledge import known
from modelbay.catalog.lists.discovery import Discovery
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import Catalog
from modelbay.config.load import parse
from modelbay.config.schema import ModelEntry
from modelbay.model import Cost, Model
from modelbay.providers.upstream import Upstream, upstream
from modelbay.storage.cache import Cache

OPENROUTER = 'type = "openai"\nbase_url = "https://openrouter.ai/api/v1"'
ACME = 'type = "openai"\nbase_url = "https://acme.example/v1"'


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(Cache(tmp_path))


def served(provider: str, wire_id: str, model: str = "") -> tuple[ModelEntry, Upstream]:
    text = f'[providers.p]\n{provider}\n[models.m]\nprovider = "p"\nmodel = "{wire_id}"\n{model}'
    config = parse(text, Path("/somewhere/config.toml"))
    assert config.problems == []
    entry = config.models["m"]
    return entry, upstream(config, config.provider_of(entry), entry)


def merged(catalog: Catalog, entry: ModelEntry, found: Upstream) -> Model:
    """The facts of every source, highest priority first."""
    model = Model(id=entry.model)
    fill(model, configured(entry, found.protocol), "config")
    for facts, source in catalog.facts(entry, found):
        fill(model, facts, source)
    fill(model, known(entry.model, found.vendor, found.protocol).facts, "prefix")
    settle(model)
    return model


def listed(*models: Listed) -> Discovery:
    return Discovery(models=list(models), url="https://acme.example/v1/models")


# Order of the sources


def test_user_then_list_then_models_dev_then_name(catalog):
    entry, found = served(OPENROUTER, "openai/gpt-4o", "max_output_size = 5")
    facts = Facts(max_context_tokens=7, max_output_tokens=8, capabilities={"image_in": False})
    catalog.remember(found, listed(Listed(id="openai/gpt-4o", facts=facts)))
    model = merged(catalog, entry, found)
    assert (model.max_output_tokens, model.sources["max_output_tokens"]) == (5, "config")
    assert (model.max_context_tokens, model.sources["max_context_tokens"]) == (7, "models")
    assert (model.can("image_in"), model.sources["image_in"]) == (False, "models")
    assert (model.cost, model.sources["cost"]) == (Cost(input=2.5, output=10, cache_read=1.25), "models.dev")
    assert (model.family, model.sources["family"]) == ("gpt", "prefix")


def test_without_a_list_facts_come_from_the_same_provider_at_models_dev(catalog):
    model = merged(catalog, *served('type = "openai"', "gpt-5.2"))
    assert model.sources["cost"] == model.sources["max_input_tokens"] == model.sources["temperature"] == "models.dev"
    assert model.name == "GPT-5.2"
    assert (model.off_effort, model.sources["off_effort"]) == ("none", "models.dev")
    assert (model.can("always_thinking"), model.sources["always_thinking"]) == (False, "models.dev")


def test_at_an_unknown_host_only_facts_of_the_family_are_used(catalog):
    model = merged(catalog, *served(ACME, "moonshotai/kimi-k2.5"))
    assert (model.max_context_tokens, model.sources["max_context_tokens"]) == (262_144, "models.dev")
    assert model.can("thinking") and model.can("tool_use")
    assert model.cost is None, "prices hold for the same provider only"


def test_a_local_server_reports_its_own_context(catalog):
    entry, found = served('type = "openai"\nbase_url = "http://localhost:8000/v1"', "kimi-k2.5")
    model = merged(catalog, entry, found)
    assert model.sources.get("max_context_tokens") != "models.dev"
    assert model.can("thinking") is True


def test_an_unknown_model_has_no_facts(catalog):
    assert catalog.facts(*served(ACME, "my-own-finetune")) == []


# The same provider at models.dev


@pytest.mark.parametrize(
    ("provider", "first"),
    [
        ('type = "openai"', "openai"),
        ('type = "anthropic"', "anthropic"),
        ('type = "openai"\nbase_url = "https://api.groq.com/openai/v1"', "groq"),
        ('type = "openai"\nbase_url = "https://api.z.ai/api/paas/v4"', "zai"),
        ('type = "openai"\nbase_url = "https://api.z.ai/api/coding/paas/v4"', "zai-coding-plan"),
        ('type = "anthropic"\nbase_url = "https://api.z.ai/api/anthropic"', "zai"),
        ('type = "openai"\nbase_url = "https://api.minimax.io/v1"', "minimax"),
        ('type = "anthropic"\nbase_url = "https://api.minimax.cn/anthropic"', "minimax-cn"),
        ('type = "kimi"', "moonshotai"),
        ('type = "kimi"\nbase_url = "https://api.moonshot.cn/v1"', "moonshotai-cn"),
        ('type = "openai"\nbase_url = "https://api.fireworks.ai/inference/v1"', "fireworks-ai"),
        ('type = "openai"\nbase_url = "https://dashscope.aliyuncs.com/compatible-mode/v1"', "alibaba-cn"),
        ('type = "azure"\nbase_url = "https://acme.openai.azure.com"', "azure"),
        ('type = "openai"\nbase_url = "https://api.perplexity.ai"', "perplexity"),  # perplexity-agent is at /v1 there
        ('type = "openai"\nbase_url = "https://api.perplexity.ai/v1"', "perplexity-agent"),
        (OPENROUTER, "openrouter"),
        (ACME, None),
        ('type = "openai"\nbase_url = "http://localhost:1234/v1"', None),
        ('type = "openai"\nbase_url = "http://127.0.0.1:8080/v1"', None),
        ('type = "azure"\nbase_url = "https://proxy.example"', None),
        ('dialect = "groq"\nbase_url = "https://proxy.example/v1"', None),
        (ACME + '\nsource = { models_dev_provider_id = "chutes" }', "chutes"),
    ],
)
def test_the_url_identifies_the_provider(catalog, provider, first):
    names = catalog.names(served(provider, "m")[1])
    assert (names[0] if names else None) == first


def test_a_name_is_not_a_url(catalog):
    config = parse(f"[providers.openai]\n{ACME}", Path("/somewhere/config.toml"))
    assert catalog.names(upstream(config, config.providers["openai"])) == []


# Stored lists


def test_a_list_is_stored_for_the_next_process(catalog, tmp_path):
    entry, found = served(ACME, "m-1")
    model = Listed(id="m-1", facts=Facts(cost=Cost(input=1, output=2)), status="beta", extra={"large": "x" * 1000})
    catalog.remember(found, listed(model, Listed(id="e-1", kind="embedding")))
    seen = Catalog(Cache(tmp_path)).seen(found)
    assert seen is not None
    assert (seen.url, list(seen.models)) == ("https://acme.example/v1/models", ["m-1", "e-1"])
    assert (seen.models["m-1"].facts, seen.models["m-1"].status) == (model.facts, "beta")
    assert seen.models["m-1"].extra == {} and seen.models["e-1"].kind == "embedding"
    assert abs(seen.when - time()) < 60
    assert [source for _, source in Catalog(Cache(tmp_path)).facts(entry, found)] == ["models"]


def test_a_list_with_gaps_keeps_the_models_that_may_be_in_them(catalog):
    _, found = served(ACME, "m-1")
    part = listed(Listed(id="m-3"))
    part.gaps.reasons.append("could not fetch page 2")
    for discovery, ids in (
        (part, {"m-3"}),
        (listed(Listed(id="m-1"), Listed(id="m-2")), {"m-1", "m-2"}),
        (part, {"m-1", "m-2", "m-3"}),
        (listed(Listed(id="m-3")), {"m-3"}),
    ):
        catalog.remember(found, discovery)
        assert set(catalog.seen(found).models) == ids


def test_the_list_of_another_url_is_not_used(catalog):
    _, found = served(ACME, "m-1")
    catalog.remember(found, listed(Listed(id="m-1")))
    _, moved = served(ACME.replace("acme", "emca"), "m-1")
    assert catalog.seen(moved) is None
    assert catalog.seen(found) is not None


def test_secrets_of_a_url_are_not_stored(catalog, tmp_path):
    _, found = served('type = "openai"\nbase_url = "https://me:sk-1@acme.example/v1?key=sk-2"', "m-1")
    catalog.remember(found, listed(Listed(id="m-1")))
    [file] = (tmp_path / "lists").iterdir()
    assert b"sk-" not in file.read_bytes()
    assert catalog.seen(found) is not None


def test_a_list_is_removed(catalog):
    _, found = served(ACME, "m-1")
    catalog.remember(found, listed(Listed(id="m-1")))
    catalog.forget("p")
    assert catalog.seen(found) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"base_url": 1}', b"\xff\xfe"])
def test_a_damaged_list_is_ignored(tmp_path, damage):
    Cache(tmp_path).write(damage, "lists", "p.json")
    assert Catalog(Cache(tmp_path)).seen(served(ACME, "m-1")[1]) is None
