"""Providers of models.dev: all bundled ones, required values, adding again, and refreshing."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import ConfigError, ModelbayError
from modelbay.onboarding.config_check import config_problems
from modelbay.onboarding.sources import catalogs, imported, refresh
from modelbay.onboarding.sources.catalogs import CatalogValues, ProviderCatalog, add, find, opened, propose, search
from modelbay.providers.upstream import upstream
from modelbay.storage.cache import Cache
from tests.servers.site import Site
from tools.catalog import PAGE, page

pytestmark = pytest.mark.usefixtures("file")

BUILT_IN = ModelsDev(Cache(Path(os.devnull)))
BUNDLED = ProviderCatalog(modelsdev.URL, BUILT_IN.providers, BUILT_IN.date, True)
KEY = "sk-planted-0123456789"
VALUES = {"base_url": "https://mine.example/v1"}


def acme(**models: Any) -> dict[str, Any]:
    """A catalog with one provider."""
    return {
        "acme": {
            "id": "acme",
            "name": "Acme",
            "npm": "@ai-sdk/openai-compatible",
            "api": "https://acme.example/v1",
            "env": ["ACME_API_KEY"],
            "models": {id: {"id": id, "limit": {"context": 1000}, **more} for id, more in models.items()},
        }
    }


@pytest.fixture
def live(fresh_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A changeable models.dev, whose cached copy always counts as old."""
    monkeypatch.setattr(modelsdev, "URL", f"{fresh_site.url}/api.json")
    monkeypatch.setattr(ModelsDev.refresh, "__kwdefaults__", {"within": 0})
    return fresh_site


def given(one: catalogs.CatalogEntry) -> CatalogValues:
    """Values for all variables of all providers."""
    needs = one.needs
    url = VALUES["base_url"] if needs == ["base_url"] else None
    return CatalogValues(api_key=KEY, base_url=url, values=dict.fromkeys(needs, "acme-east"))


def added(file: Path, catalog: ProviderCatalog, id: str = "acme", **what: Any) -> Config:
    config = load(file)
    add(config, propose(config, catalog, id, CatalogValues(**{"api_key": KEY, **what})))
    return load(file)


def catalog_of(**models: Any) -> ProviderCatalog:
    return ProviderCatalog("https://lists.example/api.json", acme(**models))


def refreshed(file: Path) -> list[refresh.RefreshResult]:
    config = load(file)
    answers = asyncio.run(refresh.ask(config, refresh.chosen(config)))
    return [refresh.write(config, answer) for answer in answers]


# All bundled providers


@pytest.mark.parametrize("id", sorted(BUNDLED.providers))
def test_every_bundled_provider_becomes_a_valid_entry(id: str, file: Path):
    one = find(BUNDLED, id)
    config = load(file)
    if one.wire.refused:
        with pytest.raises(ModelbayError, match="cannot be added"):
            propose(config, BUNDLED, id, given(one))
        return
    add(config, propose(config, BUNDLED, id, given(one)))
    config = load(file)
    assert config.problems == []
    assert config_problems(config) == []
    assert len(config.models) == len(one.models) > 0
    for model in config.models.values():
        found = upstream(config, config.provider(id), model)
        assert found.origin == upstream(config, config.provider(id)).origin
        assert "${" not in found.base_url


def test_the_table_in_the_docs_matches_the_program():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tools.catalog"


def test_providers_are_found_by_id_and_name():
    assert [one.id for one in search(BUNDLED, "TOGETHER")] == ["togetherai"]
    assert [one.id for one in search(BUNDLED, " minimax-cn ")] == ["minimax-cn", "minimax-cn-coding-plan"]
    assert len(search(BUNDLED)) == len(BUNDLED.providers)


def test_an_unknown_provider_gets_a_suggestion():
    with pytest.raises(ModelbayError, match="not in the catalog") as caught:
        find(BUNDLED, "openruter")
    assert "openrouter" in str(caught.value.hint)


def test_no_repr_shows_a_key(file: Path):
    made = propose(load(file), BUNDLED, "deepseek", CatalogValues(api_key=KEY))
    assert KEY not in repr((made, made.what, CatalogValues(api_key=KEY)))


# Required values


def test_variables_of_the_url_are_requested_and_filled_in(file: Path):
    config = load(file)
    made = propose(config, BUNDLED, "azure", CatalogValues(api_key=KEY))
    assert made.missing == ["AZURE_RESOURCE_NAME"]
    with pytest.raises(ModelbayError, match="requires AZURE_RESOURCE_NAME"):
        add(config, made)
    entry = added(file, BUNDLED, "azure", values={"AZURE_RESOURCE_NAME": "acme-east"}).providers["azure"]
    assert (entry.type, entry.base_url) == ("azure", "https://acme-east.openai.azure.com")


def test_a_url_is_accepted_for_a_host(file: Path):
    entry = added(file, BUNDLED, "databricks", values={"DATABRICKS_HOST": "https://adb-1.example/"}).providers[
        "databricks"
    ]
    assert entry.base_url == "https://adb-1.example/ai-gateway/mlflow/v1"


@pytest.mark.parametrize("value", ["evil.example/x", "a@evil.example", "a b", "evil.example:80", "${X}", "a?b"])
def test_a_value_cannot_change_the_host(value: str, file: Path):
    with pytest.raises(ModelbayError, match="AZURE_RESOURCE_NAME: invalid value"):
        propose(load(file), BUNDLED, "azure", CatalogValues(api_key=KEY, values={"AZURE_RESOURCE_NAME": value}))


def test_vertex_accepts_project_and_location_or_a_key(file: Path):
    config = load(file)
    assert propose(config, BUNDLED, "google-vertex", CatalogValues()).missing == [
        "GOOGLE_VERTEX_PROJECT",
        "GOOGLE_VERTEX_LOCATION",
    ]
    assert propose(config, BUNDLED, "google-vertex", CatalogValues(api_key=KEY)).missing == []
    values = {"GOOGLE_VERTEX_PROJECT": "p", "GOOGLE_VERTEX_LOCATION": "europe-west4"}
    made = propose(config, BUNDLED, "google-vertex", CatalogValues(values=values))
    assert not made.needs_key
    add(config, made)
    found = upstream(load(file), load(file).provider("google-vertex"))
    assert found.place == ("p", "europe-west4")


def test_a_key_is_required_unless_another_credential_is_set(file: Path):
    config = load(file)
    assert propose(config, BUNDLED, "deepseek", CatalogValues()).needs_key
    assert not propose(config, BUNDLED, "deepseek", CatalogValues(api_key="{env:DEEPSEEK_API_KEY}")).needs_key
    assert not propose(config, BUNDLED, "lmstudio", CatalogValues()).needs_key


@pytest.mark.parametrize("url", ["  ", "https://${X}/v1", "acme.example", "https://a b"])
def test_an_invalid_base_url_is_refused(url: str, file: Path):
    with pytest.raises(ModelbayError):
        propose(load(file), BUNDLED, "deepseek", CatalogValues(api_key=KEY, base_url=url))


def test_a_vendor_behind_another_url_keeps_its_dialect(file: Path):
    assert (
        added(file, BUNDLED, "deepseek", base_url="https://mine.example/v1").providers["deepseek"].dialect == "deepseek"
    )


def test_a_model_on_another_host_does_not_get_the_key(file: Path):
    catalog = catalog_of(here={}, there={"provider": {"api": "https://thief.example/v1"}})
    config = added(file, catalog)
    assert list(config.models) == ["acme/here"]
    assert "another host" in find(catalog, "acme").skipped["there"]


@pytest.mark.parametrize("api", ["http://169.254.169.254/v1", "http://10.0.0.1/v1", "http://127.0.0.1:1/v1"])
def test_a_third_party_list_cannot_point_into_the_local_network(api: str, file: Path):
    catalog = catalog_of(a={})
    catalog.providers["acme"]["api"] = api
    with pytest.raises(ModelbayError, match="private network"):
        propose(load(file), catalog, "acme", CatalogValues(api_key=KEY))
    assert added(file, catalog, base_url=api).providers["acme"].base_url == api


# Existing providers


def test_adding_again_keeps_the_users_settings(file: Path):
    added(file, catalog_of(a={}, b={}))
    apply(lambda edit: edit.set("providers", "acme", "custom_headers", value={"X-Team": "7"}), file)
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_output_size": 5}), file)
    apply(lambda edit: edit.set("default_model", value="acme/a"), file)
    file.write_text("# mine\n" + file.read_text())
    config = load(file)
    made = propose(config, catalog_of(a={"name": "A!"}, c={}), "acme", CatalogValues())
    assert not made.needs_key
    written = add(config, made).result
    config = load(file)
    assert (written.new, written.models.added, written.models.removed) == (False, ["acme/c"], ["acme/b"])
    entry = config.providers["acme"]
    assert (entry.api_key, entry.custom_headers, config.default_model) == (KEY, {"X-Team": "7"}, "acme/a")
    assert (config.models["acme/a"].display_name, config.models["acme/a"].max_output_size) == ("A!", 5)
    assert file.read_text().startswith("# mine\n")


def test_a_default_model_that_is_no_longer_listed_is_kept(file: Path):
    added(file, catalog_of(a={}, b={}))
    apply(lambda edit: edit.set("default_model", value="acme/a"), file)
    assert added(file, catalog_of(b={}), api_key=None).model().alias == "acme/a"


def test_another_provider_with_the_same_id_is_not_overwritten(file: Path):
    file.write_text(f'[providers.acme]\ntype = "anthropic"\nbase_url = "https://mine.example"\napi_key = "{KEY}"\n')
    before = file.read_text()
    with pytest.raises(ConfigError, match='another provider "acme" already exists'):
        added(file, catalog_of(a={}))
    assert file.read_text() == before


def test_the_key_does_not_move_to_a_new_url(file: Path):
    added(file, catalog_of(a={}))
    with pytest.raises(ConfigError, match=r"its API key is not for https://mine\.example"):
        added(file, catalog_of(a={}), api_key=None, base_url="https://mine.example/v1")
    config = added(file, catalog_of(a={}), api_key="sk-another-987654", base_url="https://mine.example/v1")
    assert (config.providers["acme"].base_url, config.providers["acme"].api_key) == (
        "https://mine.example/v1",
        "sk-another-987654",
    )


def test_a_model_of_another_provider_is_not_taken_over(file: Path):
    file.write_text(
        f'[providers.b]\ntype = "openai"\napi_key = "{KEY}"\n[models."acme/a"]\nprovider = "b"\nmodel = "a"\n'
    )
    with pytest.raises(ConfigError, match='belongs to provider "b"'):
        added(file, catalog_of(a={}))


# The list and refreshing


async def test_the_list_is_requested_with_its_etag(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    config = load(file)
    catalog = await opened(config)
    assert (list(catalog.providers), catalog.built_in, catalog.problem) == (["acme"], False, None)
    await opened(config)
    assert [(one.target, one.status) for one in live.asked] == [("GET /api.json", 200), ("GET /api.json", 304)]


async def test_without_a_network_the_bundled_list_is_used_and_dated(file: Path, live: Site):
    live.pages["/api.json"] = 503
    catalog = await opened(load(file))
    assert (catalog.built_in, len(catalog.providers), catalog.title) == (
        True,
        225,
        "models.dev of 2026-09-30 (bundled)",
    )
    assert "503" in str(catalog.problem)


async def test_another_list_has_no_bundled_copy(file: Path, live: Site):
    live.pages["/mine.json"] = 503
    with pytest.raises(ModelbayError, match="503"):
        await opened(load(file), f"{live.url}/mine.json")


def test_a_refresh_adds_new_models_and_removes_old_ones(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={}, c={})
    added(file, asyncio.run(opened(load(file))))
    live.pages["/api.json"] = acme(a={"name": "A!"}, c={"status": "deprecated"}, d={}, e={"status": "deprecated"})
    [outcome] = refreshed(file)
    merged = outcome.written[0].models
    assert (merged.added, merged.removed, list(merged.changed)) == (["acme/d"], ["acme/b"], ["acme/a"])
    assert list(load(file).models) == ["acme/a", "acme/c", "acme/d"]


def test_a_model_that_the_user_removed_is_not_added_again(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={})
    added(file, asyncio.run(opened(load(file))))
    apply(lambda edit: edit.delete("models", "acme/b"), file)
    refreshed(file)
    assert list(load(file).models) == ["acme/a"]


def test_a_list_that_fails_changes_nothing_and_is_reported(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={})
    added(file, asyncio.run(opened(load(file))))
    before = file.read_text()
    live.pages["/api.json"] = 500
    [outcome] = refreshed(file)
    assert outcome.error is not None and "500" in outcome.error.message
    assert file.read_text() == before


@pytest.mark.parametrize("now", [{}, {"models": {}}, {"models": {"a": {"id": "a", "limit": {}}}}])
def test_a_provider_that_is_no_longer_listed_is_kept(now: dict[str, Any], file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    added(file, asyncio.run(opened(load(file))))
    other = {"other": {"models": {"x": {"id": "x", "limit": {"context": 5}}}}}
    live.pages["/api.json"] = other | ({"acme": {**acme()["acme"], **now}} if now else {})
    [outcome] = refreshed(file)
    assert outcome.error is not None
    assert list(load(file).models) == ["acme/a"]


def test_the_list_does_not_change_the_base_url(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    added(file, asyncio.run(opened(load(file))))
    moved = acme(a={})
    moved["acme"]["api"] = "https://thief.example/v1"
    live.pages["/api.json"] = moved
    refreshed(file)
    assert load(file).providers["acme"].base_url == "https://acme.example/v1"


def test_an_output_limit_of_the_list_is_not_sent_as_max_tokens(file: Path):
    from modelbay.catalog.knowledge import model_facts

    config = added(file, catalog_of(a={"limit": {"context": 1000, "output": 1000}}))

    def wished() -> bool:
        config = load(file)
        entry = config.models["acme/a"]
        return model_facts(entry, upstream(config, config.provider("acme"), entry)).output_tokens_explicit

    assert (config.models["acme/a"].max_output_size, wished()) == (1000, False)
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_output_size": 10}), file)
    assert wished()


def test_an_import_without_a_key_never_moves_a_provider(file: Path):
    """`imported.write` itself refuses the move, so no caller can forget the check."""
    added(file, catalog_of(a={}))
    what = imported.Imported(
        id="acme", table={"type": "openai", "base_url": "https://thief.example/v1"}, owner=catalogs.OWNER
    )
    written = apply(lambda edit: imported.write(edit, what), file).result
    assert (written.elsewhere, load(file).providers["acme"].base_url) == (
        "https://thief.example",
        "https://acme.example/v1",
    )


def test_each_fact_has_its_source(file: Path):
    from modelbay.catalog.knowledge import model_facts

    added(file, catalog_of(a={"limit": {"context": 1000, "output": 100}, "reasoning": True, "name": "A!"}))
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_context_size": 500}), file)
    apply(lambda edit: edit.set("models", "acme/a", "document_in", value=False), file)
    config = load(file)
    entry = config.models["acme/a"]
    sources = model_facts(entry, upstream(config, config.provider("acme"), entry)).sources
    assert sources["max_context_tokens"] == sources["document_in"] == "config"
    assert sources["max_output_tokens"] == sources["name"] == sources["thinking"] == "models.dev"
