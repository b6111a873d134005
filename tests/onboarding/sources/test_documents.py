"""Fetching third-party documents: allowed origins, limits, and which server gets a key."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelbay.calling.provider_client import ProviderClient
from modelbay.config.load import parse
from modelbay.errors import ConnectFailed, ModelbayError, ProviderError
from modelbay.onboarding.sources.documents import check_reachable, fetch, without_key
from modelbay.origin import origin
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.providers.upstream import upstream
from tests.servers.site import Page, Site, site


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        made.pages = {"/x": '{"x": 1}'}
        yield made


@pytest.fixture
async def line() -> AsyncIterator[ProviderClient]:
    made = ProviderClient(parse("", Path("config.toml")))
    yield made
    await made.aclose()


def keyed(url: str) -> Endpoint:
    config = parse(f'[providers.p]\ntype = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-mine"', Path("config.toml"))
    return endpoint_at(config, upstream(config, config.providers["p"]), "/chat/completions")


async def test_an_origin_that_the_user_typed_may_be_private(here: Site, line: ProviderClient) -> None:
    assert (await fetch(line, f"{here.url}/x", [origin(here.url)])).body == b'{"x": 1}'
    with pytest.raises(ConnectFailed):
        await fetch(line, f"{here.url}/x", [])
    assert len(here.asked) == 1


async def test_a_redirect_is_followed_to_allowed_origins_only(here: Site, line: ProviderClient) -> None:
    here.pages["/a"] = Page(b"", 302, {"location": "/x"})
    found = await fetch(line, f"{here.url}/a", [origin(here.url)])
    assert found.url == f"{here.url}/x"
    with site() as other:
        other.pages = {"/x": "{}"}
        here.pages["/a"] = Page(b"", 302, {"location": f"{other.url}/x"})
        with pytest.raises(ConnectFailed):
            await fetch(line, f"{here.url}/a", [origin(here.url)])
        assert not other.asked


async def test_the_key_is_sent_to_its_own_origin_only(
    here: Site, line: ProviderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.transport.pool.is_public", lambda address: True)
    with site() as other:
        other.pages = {"/x": "{}"}
        here.pages["/a"] = Page(b"", 307, {"location": f"{other.url}/x"})
        await fetch(line, f"{here.url}/a", [], keyed(here.url))
        assert here.keys() == {"Bearer sk-mine"}
        assert not other.keys()
        await fetch(line, f"{other.url}/x", [], keyed(here.url))
        assert not other.keys()


async def test_an_error_has_the_status_but_not_the_query(here: Site, line: ProviderClient) -> None:
    with pytest.raises(ProviderError, match="returned 404") as caught:
        await fetch(line, f"{here.url}/none?token=sk-secret", [origin(here.url)])
    assert caught.value.status == 404
    assert "sk-secret" not in caught.value.message


async def test_a_missing_document_or_other_content_is_none(here: Site, line: ProviderClient) -> None:
    here.pages["/page"] = "<html>"
    assert await without_key(line.config, f"{here.url}/x") == {"x": 1}
    assert await without_key(line.config, f"{here.url}/none") is None
    assert await without_key(line.config, f"{here.url}/page") is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1", "http://localhost:1", "http://x.localhost", "https://10.0.0.1", "https://169.254.169.254",
     "http://[::1]", "http://[fe80::1]", "http://127.1", "http://2130706433", "http://0x7f.1", "https://printer.local",
     "http://metadata.google.internal", "http://[::ffff:10.0.0.1]", "http://0.0.0.0"],
)  # fmt: skip
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(ModelbayError, match="is local or in a private network"):
        check_reachable(f"{url}/v1", [])
    check_reachable(f"{url}/v1", [origin(url)])


@pytest.mark.parametrize(
    "url", ["https://acme.example", "https://8.8.8.8", "https://1e100.net", "https://10.acme.example"]
)
def test_public_addresses_are_allowed(url: str) -> None:
    check_reachable(f"{url}/v1", [])
