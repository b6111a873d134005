"""Lists that try to steal a key: a key is sent only to the origin that it was given for."""

from pathlib import Path
from typing import Any

import pytest

from modelbay import Hub, errors
from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import ConfigError
from modelbay.onboarding.sources import catalogs, imported, registries
from modelbay.onboarding.sources.catalogs import ProviderCatalog
from modelbay.onboarding.sources.registries import RegistryKeys, pasted, propose
from modelbay.providers.endpoint import endpoint_at
from modelbay.providers.upstream import upstream
from tests.credentials.google_account import service_account
from tests.faults.calls import answers
from tests.faults.raw_server import RawServer, reply
from tests.test_key_binding import ANSWER, received

KEY, OWN = "sk-planted-0123456789", "sk-of-a-model-012345"
LIST = "https://lists.example/api.json"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    return tmp_path / "config.toml"


def catalog(id: str, api: str | None, at: str, **more: Any) -> ProviderCatalog:
    """A catalog with a provider whose model is on another host."""
    model = {"id": "m", "limit": {"context": 1000}, "provider": {"api": at}}
    entry = {
        "id": id,
        "npm": "@ai-sdk/openai",
        "models": {"m": model, "n": {"id": "n", "limit": {"context": 9}}},
        **more,
    }
    return ProviderCatalog(LIST, {id: {**entry, **({"api": api} if api else {})}})


def renewed(file: Path, found: ProviderCatalog, id: str) -> Config:
    config = load(file)
    made = catalogs.refreshed(config, found, config.providers[id])
    apply(lambda edit: imported.write(edit, made), file)
    return load(file)


def provider(id: str, more: str, kind: str = "models_dev") -> str:
    return f'[providers.{id}]\ntype = "openai"\nsource = {{ kind = "{kind}", url = "{LIST}" }}\n{more}\n'


async def asked(file: Path, name: str) -> None:
    async with Hub.open(file) as hub:
        await hub.complete("Hi", model=name)


async def test_a_catalog_does_not_move_a_model_off_the_default_url_of_its_provider(file: Path) -> None:
    """The base URL in the list may differ from the provider's, so agreement with it proves nothing."""
    async with RawServer(answers(reply(ANSWER))) as thief:
        file.write_text(provider("acme", f'api_key = "{KEY}"'))
        config = renewed(file, catalog("acme", f"{thief.url}/v1", f"{thief.url}/v2"), "acme")
        assert list(config.models) == ["acme/n"]
        assert thief.url not in file.read_text()
        file.write_text(file.read_text() + f'[models.m]\nprovider = "acme"\nmodel = "m"\nbase_url = "{thief.url}/v2"\n')
        with pytest.raises(errors.ConfigError, match="its key is not sent to"):
            await asked(file, "m")
        assert not thief.clients


async def test_a_model_that_moves_to_another_host_is_removed(file: Path) -> None:
    async with RawServer(answers(reply(ANSWER))) as thief, RawServer(answers(reply(ANSWER))) as home:
        file.write_text(provider("acme", f'api_key = "{KEY}"\nbase_url = "{home.url}/v1"'))
        assert list(renewed(file, catalog("acme", None, f"{home.url}/v2"), "acme").models) == ["acme/m", "acme/n"]
        await asked(file, "acme/m")
        assert home.requests[0].target == "/v2/chat/completions"
        assert list(renewed(file, catalog("acme", None, f"{thief.url}/v2"), "acme").models) == ["acme/n"]
        await asked(file, "acme/m")
        assert KEY in received(home)
        assert not thief.clients


def registry(api: str) -> registries.FetchedRegistry:
    entry = {"id": "acme", "api": api, "type": "openai", "models": {"m": {"id": "m"}}}
    return pasted({"acme": entry}, f"{api.rpartition('/')[0]}/api.json")


def put(file: Path, found: registries.FetchedRegistry, given: RegistryKeys | None = None) -> None:
    """Add or refresh a registry."""
    found.url = LIST
    config = load(file)
    made = propose(config, found, given) if given else registries.refreshed(config, found)
    apply(lambda edit: registries.write(edit, made), file)


@pytest.mark.parametrize("secret", ["api_key", "custom_headers", "env", "model", "broken"])
async def test_a_registry_that_moves_a_provider_gets_none_of_its_secrets(file: Path, secret: str) -> None:
    async with RawServer(answers(reply(ANSWER))) as thief, RawServer(answers(reply(ANSWER))) as home:
        entry = {
            "api_key": f'api_key = "{KEY}"',
            "custom_headers": f'custom_headers = {{ Authorization = "Bearer {KEY}" }}',
            "env": f'env = {{ OPENAI_API_KEY = "{KEY}" }}',
            "broken": f'api_key = "{KEY}"\ndialect = "no-such-thing"',
        }.get(secret, "")
        own = f'[models."acme/m"]\nprovider = "acme"\nmodel = "m"\napi_key = "{KEY}"\n' if secret == "model" else ""
        file.write_text(provider("acme", f'base_url = "{home.url}/v1"\n{entry}', "apiJson") + own)
        put(file, registry(f"{thief.url}/v1"))
        file.write_text(file.read_text().replace('dialect = "no-such-thing"', ""))
        await asked(file, "acme/m")
        assert KEY in received(home)
        assert not thief.clients


@pytest.mark.parametrize("secret", ["custom_headers", "model"])
async def test_a_key_for_the_new_url_does_not_send_the_old_secrets_there(file: Path, secret: str) -> None:
    async with RawServer(answers(reply(ANSWER))) as new, RawServer(answers(reply(ANSWER))) as home:
        entry = f'custom_headers = {{ X-Team = "{OWN}" }}' if secret == "custom_headers" else ""
        own = f'[models."acme/m"]\nprovider = "acme"\nmodel = "m"\napi_key = "{OWN}"\n' if secret == "model" else ""
        file.write_text(provider("acme", f'base_url = "{home.url}/v1"\n{entry}', "apiJson") + own)
        before = file.read_text()
        given = RegistryKeys(keys={"acme": KEY})
        with pytest.raises(ConfigError, match="was given for the old URL"):
            put(file, registry(f"{new.url}/v1"), given)
        assert file.read_text() == before
        file.write_text(before.replace(entry or f'api_key = "{OWN}"', ""))
        put(file, registry(f"{new.url}/v1"), given)
        await asked(file, "acme/m")
        assert KEY in received(new)
        assert OWN not in received(new)


def test_a_registry_does_not_take_over_a_model_that_has_a_key(file: Path) -> None:
    file.write_text(f'[models."acme/m"]\nmodel = "x"\nbase_url = "https://solo.example/v1"\napi_key = "{OWN}"\n')
    with pytest.raises(ConfigError, match='"acme/m" is standalone'):
        put(file, registry("http://127.0.0.1:9/v1"), RegistryKeys())


@pytest.mark.parametrize("place", ["provider", "model"])
async def test_google_credentials_are_sent_to_google_only(
    file: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(answers(reply(ANSWER))) as thief:
        token = reply(b'{"access_token": "ya29.planted", "expires_in": 3600}')
        async with RawServer(answers(token)) as google:
            account = service_account(file.parent, google.url)
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
            entry = 'env = { GOOGLE_CLOUD_PROJECT = "p", GOOGLE_CLOUD_LOCATION = "us-central1" }'
            base = f'base_url = "{thief.url}/v1"\n'
            text = provider("v", entry).replace('"openai"', '"vertexai"')
            file.write_text(
                text + base + '[models.m]\nprovider = "v"\nmodel = "m"\n'
                if place == "provider"
                else text + f'[models.m]\nprovider = "v"\nmodel = "m"\n{base}'
            )
            with pytest.raises(errors.ConfigError, match=r"(your Google credentials are|its key is) not sent to"):
                await asked(file, "m")
            assert not google.clients
        assert not thief.clients


def test_google_credentials_are_sent_to_every_url_of_vertex(file: Path) -> None:
    entry = 'env = { GOOGLE_CLOUD_PROJECT = "p", GOOGLE_CLOUD_LOCATION = "us-central1" }\nbase_url = "BASE"'
    for base in (
        "us-central1-aiplatform.googleapis.com",
        "aiplatform.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
    ):
        text = provider("v", entry.replace("BASE", f"https://{base}")).replace('"openai"', '"vertexai"')
        file.write_text(text)
        config = load(file)
        assert endpoint_at(config, upstream(config, config.providers["v"]), "/models/m:generateContent").wants_token
        file.write_text(text.replace("https://", "http://"))
        config = load(file)
        with pytest.raises(ConfigError, match="your Google credentials are not sent"):
            endpoint_at(config, upstream(config, config.providers["v"]), "/models/m:generateContent")
