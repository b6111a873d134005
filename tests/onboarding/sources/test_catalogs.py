"""Providers out of models.dev: every one of the snapshot, what is asked for, what adding again and refreshing leave alone."""

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
from modelbay.onboarding.config_check import checkup
from modelbay.onboarding.sources import catalogs, refresh
from modelbay.onboarding.sources import write as imported
from modelbay.onboarding.sources.catalogs import CatalogValues, ProviderCatalog, add, find, opened, propose, search
from modelbay.providers.upstream import upstream
from modelbay.storage.cache import Cache
from tests.servers.site import Site
from tools.catalog import PAGE, page

pytestmark = pytest.mark.usefixtures("file")

BUILT_IN = ModelsDev(Cache(Path(os.devnull)))
SHELF = ProviderCatalog(modelsdev.URL, BUILT_IN.providers, BUILT_IN.date, True)
KEY = "sk-planted-0123456789"
VALUES = {"base_url": "https://mine.example/v1"}


def acme(**models: Any) -> dict[str, Any]:
    """A catalog of one provider."""
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
    """models.dev, which a test may change; nothing is too fresh to be asked for again."""
    monkeypatch.setattr(modelsdev, "URL", f"{fresh_site.url}/api.json")
    monkeypatch.setattr(ModelsDev.refresh, "__kwdefaults__", {"within": 0})
    return fresh_site


def given(one: catalogs.CatalogEntry) -> CatalogValues:
    """All that any provider may ask for."""
    needs = one.needs
    url = VALUES["base_url"] if needs == ["base_url"] else None
    return CatalogValues(api_key=KEY, base_url=url, values=dict.fromkeys(needs, "acme-east"))


def added(file: Path, shelf: ProviderCatalog, id: str = "acme", **what: Any) -> Config:
    config = load(file)
    add(config, propose(config, shelf, id, CatalogValues(**{"api_key": KEY, **what})))
    return load(file)


def shelf_of(**models: Any) -> ProviderCatalog:
    return ProviderCatalog("https://lists.example/api.json", acme(**models))


def refreshed(file: Path) -> list[refresh.RefreshResult]:
    config = load(file)
    answers = asyncio.run(refresh.ask(config, refresh.chosen(config)))
    return [refresh.write(config, answer) for answer in answers]


# The whole snapshot


@pytest.mark.parametrize("id", sorted(SHELF.providers))
def test_every_provider_of_the_snapshot_becomes_one_that_loads(id: str, file: Path):
    one = find(SHELF, id)
    config = load(file)
    if one.wire.refused:
        with pytest.raises(ModelbayError, match="cannot be added"):
            propose(config, SHELF, id, given(one))
        return
    add(config, propose(config, SHELF, id, given(one)))
    config = load(file)
    assert config.problems == []
    assert checkup(config) == []
    assert len(config.models) == len(one.models) > 0
    for model in config.models.values():
        found = upstream(config, config.provider(id), model)
        assert found.origin == upstream(config, config.provider(id)).origin
        assert "${" not in found.base_url


def test_the_table_in_the_documentation_is_what_the_program_does():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tools.catalog"


def test_they_are_found_by_id_and_by_name():
    assert [one.id for one in search(SHELF, "TOGETHER")] == ["togetherai"]
    assert [one.id for one in search(SHELF, " minimax-cn ")] == ["minimax-cn", "minimax-cn-coding-plan"]
    assert len(search(SHELF)) == len(SHELF.providers)


def test_one_that_is_not_there_has_a_near_one():
    with pytest.raises(ModelbayError, match="not in the catalog") as caught:
        find(SHELF, "openruter")
    assert "openrouter" in str(caught.value.hint)


def test_no_repr_shows_a_key(file: Path):
    made = propose(load(file), SHELF, "deepseek", CatalogValues(api_key=KEY))
    assert KEY not in repr((made, made.what, CatalogValues(api_key=KEY)))


# What must be known first


def test_what_its_address_needs_is_asked_for_and_put_in(file: Path):
    config = load(file)
    made = propose(config, SHELF, "azure", CatalogValues(api_key=KEY))
    assert made.missing == ["AZURE_RESOURCE_NAME"]
    with pytest.raises(ModelbayError, match="requires AZURE_RESOURCE_NAME"):
        add(config, made)
    entry = added(file, SHELF, "azure", values={"AZURE_RESOURCE_NAME": "acme-east"}).providers["azure"]
    assert (entry.type, entry.base_url) == ("azure", "https://acme-east.openai.azure.com")


def test_a_host_may_be_given_as_an_address(file: Path):
    entry = added(file, SHELF, "databricks", values={"DATABRICKS_HOST": "https://adb-1.example/"}).providers[
        "databricks"
    ]
    assert entry.base_url == "https://adb-1.example/ai-gateway/mlflow/v1"


@pytest.mark.parametrize("value", ["evil.example/x", "a@evil.example", "a b", "evil.example:80", "${X}", "a?b"])
def test_a_value_cannot_lead_elsewhere(value: str, file: Path):
    with pytest.raises(ModelbayError, match="AZURE_RESOURCE_NAME: invalid value"):
        propose(load(file), SHELF, "azure", CatalogValues(api_key=KEY, values={"AZURE_RESOURCE_NAME": value}))


def test_vertex_takes_project_and_location_or_a_key(file: Path):
    config = load(file)
    assert propose(config, SHELF, "google-vertex", CatalogValues()).missing == [
        "GOOGLE_VERTEX_PROJECT",
        "GOOGLE_VERTEX_LOCATION",
    ]
    assert propose(config, SHELF, "google-vertex", CatalogValues(api_key=KEY)).missing == []
    values = {"GOOGLE_VERTEX_PROJECT": "p", "GOOGLE_VERTEX_LOCATION": "europe-west4"}
    made = propose(config, SHELF, "google-vertex", CatalogValues(values=values))
    assert not made.needs_key
    add(config, made)
    found = upstream(load(file), load(file).provider("google-vertex"))
    assert found.place == ("p", "europe-west4")


def test_a_key_is_wanted_unless_something_else_serves(file: Path):
    config = load(file)
    assert propose(config, SHELF, "deepseek", CatalogValues()).needs_key
    assert not propose(config, SHELF, "deepseek", CatalogValues(api_key="{env:DEEPSEEK_API_KEY}")).needs_key
    assert not propose(config, SHELF, "lmstudio", CatalogValues()).needs_key


@pytest.mark.parametrize("url", ["  ", "https://${X}/v1", "acme.example", "https://a b"])
def test_a_base_url_that_is_none_is_refused(url: str, file: Path):
    with pytest.raises(ModelbayError):
        propose(load(file), SHELF, "deepseek", CatalogValues(api_key=KEY, base_url=url))


def test_a_vendor_behind_somebodys_own_address_keeps_its_dialect(file: Path):
    assert (
        added(file, SHELF, "deepseek", base_url="https://mine.example/v1").providers["deepseek"].dialect == "deepseek"
    )


def test_a_model_that_lives_elsewhere_does_not_take_the_key_along(file: Path):
    shelf = shelf_of(here={}, there={"provider": {"api": "https://thief.example/v1"}})
    config = added(file, shelf)
    assert list(config.models) == ["acme/here"]
    assert "another host" in find(shelf, "acme").left["there"]


@pytest.mark.parametrize("api", ["http://169.254.169.254/v1", "http://10.0.0.1/v1", "http://127.0.0.1:1/v1"])
def test_nobody_elses_list_leads_into_this_network(api: str, file: Path):
    shelf = shelf_of(a={})
    shelf.providers["acme"]["api"] = api
    with pytest.raises(ModelbayError, match="private network"):
        propose(load(file), shelf, "acme", CatalogValues(api_key=KEY))
    assert added(file, shelf, base_url=api).providers["acme"].base_url == api


# What is there already


def test_adding_it_again_leaves_the_users_own_alone(file: Path):
    added(file, shelf_of(a={}, b={}))
    apply(lambda edit: edit.set("providers", "acme", "custom_headers", value={"X-Team": "7"}), file)
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_output_size": 5}), file)
    apply(lambda edit: edit.set("default_model", value="acme/a"), file)
    file.write_text("# mine\n" + file.read_text())
    config = load(file)
    made = propose(config, shelf_of(a={"name": "A!"}, c={}), "acme", CatalogValues())
    assert not made.needs_key
    written = add(config, made).result
    config = load(file)
    assert (written.new, written.models.added, written.models.removed) == (False, ["acme/c"], ["acme/b"])
    entry = config.providers["acme"]
    assert (entry.api_key, entry.custom_headers, config.default_model) == (KEY, {"X-Team": "7"}, "acme/a")
    assert (config.models["acme/a"].display_name, config.models["acme/a"].max_output_size) == ("A!", 5)
    assert file.read_text().startswith("# mine\n")


def test_the_default_model_stays_though_the_list_has_it_no_more(file: Path):
    added(file, shelf_of(a={}, b={}))
    apply(lambda edit: edit.set("default_model", value="acme/a"), file)
    assert added(file, shelf_of(b={}), api_key=None).model().alias == "acme/a"


def test_another_provider_of_that_name_is_not_overwritten(file: Path):
    file.write_text(f'[providers.acme]\ntype = "anthropic"\nbase_url = "https://mine.example"\napi_key = "{KEY}"\n')
    before = file.read_text()
    with pytest.raises(ConfigError, match='another provider "acme" already exists'):
        added(file, shelf_of(a={}))
    assert file.read_text() == before


def test_the_key_does_not_move_with_a_new_address(file: Path):
    added(file, shelf_of(a={}))
    with pytest.raises(ConfigError, match=r"its API key is not for https://mine\.example"):
        added(file, shelf_of(a={}), api_key=None, base_url="https://mine.example/v1")
    config = added(file, shelf_of(a={}), api_key="sk-another-987654", base_url="https://mine.example/v1")
    assert (config.providers["acme"].base_url, config.providers["acme"].api_key) == (
        "https://mine.example/v1",
        "sk-another-987654",
    )


def test_nobody_elses_model_is_taken_over(file: Path):
    file.write_text(
        f'[providers.b]\ntype = "openai"\napi_key = "{KEY}"\n[models."acme/a"]\nprovider = "b"\nmodel = "a"\n'
    )
    with pytest.raises(ConfigError, match='belongs to provider "b"'):
        added(file, shelf_of(a={}))


# The list itself, and refreshing


async def test_the_list_is_asked_for_with_its_etag(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    config = load(file)
    shelf = await opened(config)
    assert (list(shelf.providers), shelf.built_in, shelf.problem) == (["acme"], False, None)
    await opened(config)
    assert [(one.target, one.status) for one in live.asked] == [("GET /api.json", 200), ("GET /api.json", 304)]


async def test_where_it_does_not_come_the_snapshot_is_used_and_says_its_date(file: Path, live: Site):
    live.pages["/api.json"] = 503
    shelf = await opened(load(file))
    assert (shelf.built_in, len(shelf.providers), shelf.title) == (True, 225, "models.dev of 2026-09-30 (bundled)")
    assert "503" in str(shelf.problem)


async def test_nothing_stands_in_for_a_list_of_ones_own(file: Path, live: Site):
    live.pages["/mine.json"] = 503
    with pytest.raises(ModelbayError, match="503"):
        await opened(load(file), f"{live.url}/mine.json")


def test_refreshing_brings_what_is_new_and_takes_what_is_gone(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={}, c={})
    added(file, asyncio.run(opened(load(file))))
    live.pages["/api.json"] = acme(a={"name": "A!"}, c={"status": "deprecated"}, d={}, e={"status": "deprecated"})
    [outcome] = refreshed(file)
    merged = outcome.written[0].models
    assert (merged.added, merged.removed, list(merged.changed)) == (["acme/d"], ["acme/b"], ["acme/a"])
    assert list(load(file).models) == ["acme/a", "acme/c", "acme/d"]


def test_a_model_that_was_taken_out_stays_out(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={})
    added(file, asyncio.run(opened(load(file))))
    apply(lambda edit: edit.delete("models", "acme/b"), file)
    refreshed(file)
    assert list(load(file).models) == ["acme/a"]


def test_a_list_that_fails_changes_nothing_and_is_told(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={}, b={})
    added(file, asyncio.run(opened(load(file))))
    before = file.read_text()
    live.pages["/api.json"] = 500
    [outcome] = refreshed(file)
    assert outcome.error is not None and "500" in outcome.error.message
    assert file.read_text() == before


@pytest.mark.parametrize("now", [{}, {"models": {}}, {"models": {"a": {"id": "a", "limit": {}}}}])
def test_a_provider_that_the_list_lost_stays(now: dict[str, Any], file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    added(file, asyncio.run(opened(load(file))))
    other = {"other": {"models": {"x": {"id": "x", "limit": {"context": 5}}}}}
    live.pages["/api.json"] = other | ({"acme": {**acme()["acme"], **now}} if now else {})
    [outcome] = refreshed(file)
    assert outcome.error is not None
    assert list(load(file).models) == ["acme/a"]


def test_its_address_is_not_the_lists_to_change(file: Path, live: Site):
    live.pages["/api.json"] = acme(a={})
    added(file, asyncio.run(opened(load(file))))
    moved = acme(a={})
    moved["acme"]["api"] = "https://thief.example/v1"
    live.pages["/api.json"] = moved
    refreshed(file)
    assert load(file).providers["acme"].base_url == "https://acme.example/v1"


def test_what_a_list_says_is_no_wish_for_so_long_an_answer(file: Path):
    from modelbay.catalog.knowledge import model_facts

    config = added(file, shelf_of(a={"limit": {"context": 1000, "output": 1000}}))

    def wished() -> bool:
        config = load(file)
        entry = config.models["acme/a"]
        return model_facts(entry, upstream(config, config.provider("acme"), entry)).output_tokens_explicit

    assert (config.models["acme/a"].max_output_size, wished()) == (1000, False)
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_output_size": 10}), file)
    assert wished()


def test_a_provider_is_never_moved_by_an_import_without_its_key(file: Path):
    """Whatever calls it: `imported.write` itself keeps the key where it is."""
    added(file, shelf_of(a={}))
    what = imported.Imported(
        id="acme", table={"type": "openai", "base_url": "https://thief.example/v1"}, owner=catalogs.OWNER
    )
    written = apply(lambda edit: imported.write(edit, what), file).result
    assert (written.elsewhere, load(file).providers["acme"].base_url) == (
        "https://thief.example",
        "https://acme.example/v1",
    )


def test_each_fact_is_attributed_to_who_said_it(file: Path):
    from modelbay.catalog.knowledge import model_facts

    added(file, shelf_of(a={"limit": {"context": 1000, "output": 100}, "reasoning": True, "name": "A!"}))
    apply(lambda edit: edit.set("models", "acme/a", "overrides", value={"max_context_size": 500}), file)
    apply(lambda edit: edit.set("models", "acme/a", "document_in", value=False), file)
    config = load(file)
    entry = config.models["acme/a"]
    sources = model_facts(entry, upstream(config, config.provider("acme"), entry)).sources
    assert sources["max_context_tokens"] == sources["document_in"] == "config"
    assert sources["max_output_tokens"] == sources["name"] == sources["thinking"] == "models.dev"
