"""Registries on a real server: adding, refreshing, changed tokens, failures, and where keys are sent."""

import asyncio
import stat
from pathlib import Path
from time import time
from typing import Any

import pytest

from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import AuthenticationFailed, ConfigError, ModelbayError
from modelbay.onboarding.config_check import config_problems
from modelbay.onboarding.sources import daily, refresh, registries
from modelbay.onboarding.sources.registries import RegistryDraft, RegistryKeys, add, fetched, pasted, propose
from tests.servers.site import Page, Site, site

pytestmark = pytest.mark.usefixtures("file")

TOKEN, NEXT, KEY = "tok-planted-first-1", "tok-planted-second-2", "sk-planted-0123456789"


def entry(id: str, api: str, **models: dict[str, Any]) -> dict[str, Any]:
    """A provider's entry in a registry."""
    listed = {key: {"id": key, **more} for key, more in models.items()}
    return {"id": id, "name": id.title(), "api": api, "type": "openai", "models": listed}


ACME = entry("acme", "https://acme.example/v1", a={"limit": {"context": 1000, "output": 100}}, b={})
OTHER = entry("other", "https://other.example/v1", x={})


@pytest.fixture
def host(fresh_site: Site) -> Site:
    """A registry with acme and other that requires a token."""
    fresh_site.tokens = {TOKEN}
    fresh_site.pages["/api.json"] = {"acme": ACME, "other": OTHER}
    return fresh_site


def url(host: Site) -> str:
    return f"{host.url}/api.json"


def added(file: Path, host: Site, *, token: str = TOKEN, **given: Any) -> RegistryDraft:
    config = load(file)
    made = propose(config, asyncio.run(fetched(config, url(host), [token])), RegistryKeys(**given))
    add(config, made)
    return made


def refreshed(file: Path, id: str | None = None) -> refresh.RefreshResult:
    config = load(file)
    [answer] = asyncio.run(refresh.ask(config, refresh.chosen(config, id)))
    return refresh.write(config, answer)


def tokens(config: Config) -> set[object]:
    return {(entry.source or {}).get("apiKey") for entry in config.providers.values()}


# Adding


def test_all_providers_are_added_with_their_models(file: Path, host: Site):
    made = added(file, host, keys={"acme": KEY})
    config = load(file)
    assert config.problems == []
    assert list(config.models) == ["acme/a", "acme/b", "other/x"]
    assert config.models["acme/a"].max_output_size == 100
    acme, other = config.providers["acme"], config.providers["other"]
    assert (acme.type, acme.base_url, acme.name, acme.api_key) == ("openai", "https://acme.example/v1", "Acme", KEY)
    assert acme.source == {"kind": "apiJson", "url": url(host), "apiKey": TOKEN}
    assert other.api_key is None
    assert [(item.listed.id, item.key) for item in made.items] == [("acme", "given"), ("other", "none")]
    assert host.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_token_is_a_providers_key_only_if_the_user_says_so(file: Path, host: Site):
    added(file, host)
    assert {entry.api_key for entry in load(file).providers.values()} == {None}
    added(file, host, token_is_key=True)
    assert {entry.api_key for entry in load(file).providers.values()} == {TOKEN}


def test_the_token_is_the_key_of_providers_on_the_registrys_origin(file: Path, host: Site):
    host.pages["/api.json"] = {"mine": entry("mine", f"{host.url}/v1", x={}), "acme": ACME}
    added(file, host)
    assert {id: one.api_key for id, one in load(file).providers.items()} == {"mine": TOKEN, "acme": None}


def test_a_token_may_be_a_reference(file: Path, host: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACME_REGISTRY", TOKEN)
    added(file, host, token="{env:ACME_REGISTRY}", token_is_key=True)
    assert TOKEN not in file.read_text()
    assert load(file).providers["acme"].api_key == "{env:ACME_REGISTRY}"
    assert refreshed(file).error is None


def test_an_open_registry_needs_no_token(file: Path, host: Site):
    host.tokens = set()
    config = load(file)
    add(config, propose(config, asyncio.run(fetched(config, url(host), [])), RegistryKeys()))
    assert load(file).providers["acme"].source == {"kind": "apiJson", "url": url(host)}
    assert "authorization" not in host.asked[-1].headers


def test_a_pasted_registry_is_not_refreshed(file: Path, host: Site):
    config = load(file)
    add(config, propose(config, pasted({"acme": ACME}), RegistryKeys(keys={"acme": KEY})))
    assert load(file).providers["acme"].source is None


def test_a_model_keeps_its_alias_from_the_registry(file: Path, host: Site):
    host.pages["/api.json"] = {"acme": {**ACME, "models": {"fast": {"id": "acme-fast-1"}}}}
    added(file, host)
    assert load(file).models["acme/fast"].model == "acme-fast-1"
    assert refreshed(file).written[0].models.empty
    assert list(load(file).models) == ["acme/fast"]


def test_the_users_own_provider_is_not_overwritten(file: Path, host: Site):
    file.write_text(f'[providers.acme]\ntype = "anthropic"\nbase_url = "https://mine.example"\napi_key = "{KEY}"\n')
    made = added(file, host)
    assert [(one.where, one.why) for one in made.skipped] == [
        ("acme", "a provider with this ID already exists and is not from this registry")
    ]
    assert load(file).providers["acme"].base_url == "https://mine.example"
    assert list(load(file).models) == ["other/x"]


def test_a_price_per_token_is_ignored_and_reported(file: Path, host: Site):
    host.pages["/api.json"] = {"acme": {**ACME, "models": {"m": {"cost": {"input": 5e-7, "output": "0.0000015"}}}}}
    made = added(file, host)
    assert [(one.where, one.why) for one in made.skipped] == [
        ("acme/m: cost", "$0.0000015 per million tokens is less than any model costs")
    ]
    assert load(file).models["acme/m"].cost is None


def test_a_key_for_an_unknown_provider_is_refused(file: Path, host: Site):
    with pytest.raises(ModelbayError, match='no usable provider "acne"'):
        added(file, host, keys={"acne": KEY})
    assert not file.exists()


def test_no_repr_shows_a_token_or_a_key(file: Path, host: Site):
    made = added(file, host, keys={"acme": KEY}, token_is_key=True)
    found = pasted({"acme": ACME}, url(host), TOKEN)
    shown = repr((made, found, RegistryKeys(keys={"acme": KEY})))
    assert KEY not in shown and TOKEN not in shown


# Refreshing


def test_a_refresh_adds_removes_and_changes_providers_and_models(file: Path, host: Site):
    added(file, host, keys={"acme": KEY})
    host.pages["/api.json"] = {
        "acme": entry("acme", "https://acme.example/v1", a={"limit": {"context": 2000}}, c={}),
        "third": entry("third", "https://third.example/v1", z={}),
    }
    outcome = refreshed(file, "acme")
    assert outcome.answer.providers == ["acme", "other"]
    said = {one.provider: one for one in outcome.written}
    assert (said["acme"].models.added, said["acme"].models.removed) == (["acme/c"], ["acme/b"])
    assert "max_context_size 1000 → 2000" in said["acme"].models.changed["acme/a"]
    assert (said["third"].new, said["other"].gone) == (True, True)
    config = load(file)
    assert (list(config.providers), list(config.models)) == (["acme", "third"], ["acme/a", "acme/c", "third/z"])
    assert config.models["acme/a"].max_output_size is None
    assert config_problems(config)[0].where == "providers.third"  # it has no key yet


def test_the_users_settings_are_kept(file: Path, host: Site):
    added(file, host, keys={"acme": KEY})

    def mine(edit: Any) -> None:
        edit.set("providers", "acme", "custom_headers", value={"X-Team": "7"})
        edit.set("providers", "acme", "env", value={"OPENAI_API_KEY": "unused"})
        edit.set("models", "acme/a", "overrides", value={"max_output_size": 7})
        edit.set("models", "mine", value={"provider": "acme", "model": "secret-model"})
        edit.set("default_model", value="acme/b")

    apply(mine, file)
    file.write_text(file.read_text().replace("[providers.other]", "# my note\n[providers.other]"))
    host.pages["/api.json"] = {"acme": entry("acme", "https://acme.example/v2", a={}), "other": OTHER}
    refreshed(file)
    config = load(file)
    acme = config.providers["acme"]
    assert (acme.api_key, acme.custom_headers, acme.env) == (KEY, {"X-Team": "7"}, {"OPENAI_API_KEY": "unused"})
    assert acme.base_url == "https://acme.example/v2"
    assert config.models["acme/a"].max_output_size == 7
    assert config.models["mine"].model == "secret-model"
    assert config.model().alias == "acme/b"
    assert "# my note" in file.read_text()


def test_a_new_display_name_replaces_the_old_one_but_not_the_users(file: Path, host: Site):
    added(file, host, keys={"acme": KEY})
    renamed = {id: {**made, "name": f"{made['name']} Inc"} for id, made in (("acme", ACME), ("other", OTHER))}
    host.pages["/api.json"] = renamed
    file.write_text(file.read_text().replace('name = "Other"', 'name = "Mine"'))
    assert [one.renamed for one in refreshed(file).written] == ["name Acme → Acme Inc", ""]
    assert [entry.name for entry in load(file).providers.values()] == ["Acme Inc", "Mine"]
    host.pages["/api.json"] = {id: {**made, "name": "New"} for id, made in renamed.items()}
    asyncio.run(daily.refresh_due(load(file), lambda: time() + 100_000))
    assert [entry.name for entry in load(file).providers.values()] == ["New", "Mine"]


def test_without_changes_the_file_stays_identical(file: Path, host: Site):
    added(file, host)
    before = file.read_bytes()
    assert all(one.nothing for one in refreshed(file).written)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "now",
    [
        500,
        404,
        {},
        [],
        b"<html>",
        {"acme": {"models": {}}},
        Page(status=302, headers={"location": "http://169.254.169.254/api.json"}),
    ],
)
def test_a_registry_that_fails_changes_nothing_and_is_reported(now: Any, file: Path, host: Site):
    added(file, host)
    before = file.read_bytes()
    host.pages["/api.json"] = now
    outcome = refreshed(file)
    assert outcome.error is not None
    assert TOKEN not in outcome.error.message
    assert file.read_bytes() == before


def test_a_provider_with_a_broken_entry_is_kept(file: Path, host: Site):
    added(file, host)
    host.pages["/api.json"] = {"acme": ACME, "other": {**OTHER, "type": "smoke"}}
    outcome = refreshed(file)
    assert 'skipped in the registry: other: unknown type "smoke"' in outcome.written[-1].notes
    assert list(load(file).models) == ["acme/a", "acme/b", "other/x"]


@pytest.mark.parametrize(
    "models",
    [
        {"a": {"id": "a"}, "b": "oops"},
        {"a": {"id": "a"}, "b": {"id": "\x1b[2J"}},
        {"a": {"id": "a"}, "other key": None},
        [{"id": "a"}, {"name": "no id"}],
        [{"id": "a"}, 7],
    ],
)
def test_a_model_with_a_broken_entry_is_kept(models: Any, file: Path, host: Site):
    added(file, host)
    host.pages["/api.json"] = {"acme": {**ACME, "models": models}, "other": OTHER}
    for _ in range(2):
        refreshed(file)
        assert list(load(file).models) == ["acme/a", "acme/b", "other/x"]
    host.pages["/api.json"] = {"acme": {**ACME, "models": {"a": {"id": "a"}}}, "other": OTHER}
    refreshed(file)
    assert list(load(file).models) == ["acme/a", "other/x"]


@pytest.mark.parametrize("broken", [None, "oops", 7, []])
@pytest.mark.parametrize("key", ["other", "another key"])
def test_no_provider_is_removed_if_an_entry_cannot_be_read(broken: Any, key: str, file: Path, host: Site):
    added(file, host)
    host.pages["/api.json"] = {"acme": ACME, key: broken}
    refreshed(file)
    assert list(load(file).providers) == ["acme", "other"]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"api": "https://acme.example/v2"}, "base_url https://acme.example/v1 → https://acme.example/v2"),
        ({"type": "anthropic"}, "type openai → anthropic"),
        ({"api": "https://new.example/v1"}, "base_url https://acme.example/v1 → https://new.example/v1"),
    ],
)
def test_a_changed_provider_is_reported_and_not_changed_automatically(now: Any, told: str, file: Path, host: Site):
    added(file, host)
    before = file.read_bytes()
    host.pages["/api.json"] = {"acme": {**ACME, **now}, "other": OTHER}
    asyncio.run(daily.refresh_due(load(file), lambda: time() + 2 * daily.DAY))
    assert file.read_bytes() == before
    acme = refreshed(file).written[0]
    assert (acme.changed, acme.nothing) == ([told], False)
    assert refreshed(file).written[0].nothing


def test_a_static_provider_is_not_refreshed(file: Path, host: Site):
    added(file, host)
    apply(lambda edit: edit.set("providers", "other", "model_source", value="static"), file)
    host.pages["/api.json"] = {"acme": ACME}
    refreshed(file)
    assert list(load(file).providers) == ["acme", "other"]


# Tokens


def test_a_new_token_replaces_the_old_one_everywhere(file: Path, host: Site):
    added(file, host, keys={"acme": KEY})
    apply(lambda edit: edit.set("providers", "other", "api_key", value=TOKEN), file)  # as Kimi Code writes it
    host.tokens = {NEXT}
    outcome = refreshed(file)
    assert isinstance(outcome.error, AuthenticationFailed)
    assert "--api-key TOKEN" in str(outcome.error.hint)
    added(file, host, token=NEXT)
    config = load(file)
    assert tokens(config) == {NEXT}
    assert (config.providers["acme"].api_key, config.providers["other"].api_key) == (KEY, NEXT)
    assert refreshed(file).error is None
    assert TOKEN not in file.read_text()


def test_the_first_accepted_token_is_used(file: Path, host: Site):
    added(file, host)
    apply(lambda edit: edit.set("providers", "other", "source", "apiKey", value=NEXT), file)
    host.tokens = {NEXT}
    assert refreshed(file).error is None
    assert tokens(load(file)) == {NEXT}


def test_the_token_does_not_follow_a_redirect_to_another_host(file: Path, host: Site):
    with site() as thief:
        thief.pages["/api.json"] = {"acme": ACME}
        host.pages["/api.json"] = Page(status=302, headers={"location": f"{thief.url}/api.json"})
        with pytest.raises(ModelbayError):
            added(file, host)
        assert thief.asked == []  # it is local, and the user did not type its URL


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tøken"])
def test_an_invalid_token_is_not_sent(token: str, file: Path, host: Site):
    with pytest.raises(ModelbayError, match="contains invalid characters"):
        asyncio.run(fetched(load(file), url(host), [token]))
    assert host.asked == []


# Keys


def test_a_refresh_moves_no_key_to_another_host(file: Path, host: Site):
    added(file, host, keys={"acme": KEY})
    host.pages["/api.json"] = {"acme": {**ACME, "api": "https://thief.example/v1"}, "other": OTHER}
    outcome = refreshed(file)
    assert "https://thief.example" in outcome.written[0].notes[0]
    acme = load(file).providers["acme"]
    assert (acme.base_url, acme.api_key) == ("https://acme.example/v1", KEY)


@pytest.mark.parametrize("secret", [{"custom_headers": {"X-Key": KEY}}, {"env": {"OPENAI_API_KEY": KEY}}])
def test_a_refresh_moves_no_other_secret_to_another_host(secret: dict[str, Any], file: Path, host: Site):
    added(file, host)
    [(name, value)] = secret.items()
    apply(lambda edit: edit.set("providers", "acme", name, value=value), file)
    host.pages["/api.json"] = {"acme": {**ACME, "api": "https://thief.example/v1"}, "other": OTHER}
    refreshed(file)
    assert load(file).providers["acme"].base_url == "https://acme.example/v1"


def test_a_token_that_is_a_key_changes_but_does_not_move(file: Path, host: Site):
    added(file, host, token_is_key=True)
    host.pages["/api.json"] = {"acme": {**ACME, "api": "https://thief.example/v1"}, "other": OTHER}
    host.tokens = {NEXT}
    added(file, host, token=NEXT)
    assert load(file).providers["acme"].base_url == "https://acme.example/v1"
    added(file, host, token=NEXT, keys={"acme": KEY})
    acme = load(file).providers["acme"]
    assert (acme.base_url, acme.api_key) == ("https://thief.example/v1", KEY)


def test_a_provider_without_secrets_moves_with_the_registry(file: Path, host: Site):
    added(file, host)
    host.pages["/api.json"] = {"acme": {**ACME, "api": "https://new.example/v1"}, "other": OTHER}
    refreshed(file)
    assert load(file).providers["acme"].base_url == "https://new.example/v1"


# Files of Kimi Code


def test_a_file_that_kimi_code_wrote_is_refreshed(file: Path, host: Site):
    file.write_text(f'''\
default_model = "acme/a"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "{TOKEN}"

[providers.acme.source]
kind = "apiJson"
url = "{url(host)}"
apiKey = "{TOKEN}"

[models."acme/a"]
provider = "acme"
model = "a"
max_context_size = 500
capabilities = ["tool_use"]

[models."acme/old"]
provider = "acme"
model = "old"
max_context_size = 500
capabilities = ["tool_use"]
''')
    outcome = refreshed(file)
    assert outcome.error is None
    config = load(file)
    assert (config.models["acme/a"].max_context_size, config.default_model) == (1000, "acme/a")
    assert list(config.models) == ["acme/a", "acme/b", "other/x"]
    assert config.providers["acme"].api_key == TOKEN


def test_registries_are_identified_by_their_urls(file: Path, host: Site):
    added(file, host)
    host.pages["/b.json"] = {"third": entry("third", "https://third.example/v1", z={})}
    config = load(file)
    add(config, propose(config, asyncio.run(fetched(config, f"{host.url}/b.json", [TOKEN])), RegistryKeys()))
    assert registries.urls_of(load(file)) == {url(host): [TOKEN], f"{host.url}/b.json": [TOKEN]}
    assert registries.members(load(file), url(host)) == ["acme", "other"]


def test_an_alias_of_another_provider_cancels_the_import(file: Path, host: Site):
    file.write_text(
        f'[providers.b]\ntype = "openai"\napi_key = "{KEY}"\n[models."acme/a"]\nprovider = "b"\nmodel = "a"\n'
    )
    before = file.read_bytes()
    with pytest.raises(ConfigError, match='belongs to provider "b"'):
        added(file, host)
    assert file.read_bytes() == before
