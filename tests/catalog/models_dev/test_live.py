"""models.dev: the built-in snapshot, the live list that replaces it, and failed downloads."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from time import time

import msgspec
import pytest

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.catalog.models_dev.live import ModelsDev, fetched
from modelbay.errors import ConnectFailed, MalformedReply, ModelbayError, ProviderError, TimedOut
from modelbay.storage.cache import Cache
from tests import bundled_list

LIVE = {"acme": {"id": "acme", "name": "Acme", "api": "https://acme.example/v1", "models": {"m-9": {"name": "M 9"}}}}
BODY = msgspec.json.encode(LIVE)


class Server:
    """Gives the configured responses and records the requests."""

    def __init__(self, status: int = 200, body: bytes = BODY, etag: str = '"v1"', error: ModelbayError | None = None):
        self.status, self.body, self.etag, self.error = status, body, etag, error
        self.asked: list[Mapping[str, str]] = []

    async def exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert (method, url, body) == ("GET", "https://models.dev/api.json", None)
        self.asked.append(headers)
        if self.error:
            raise self.error
        return self.status, {"etag": self.etag}, self.body


@pytest.fixture(autouse=True)
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here each cache reads the list and builds its index itself."""
    monkeypatch.setattr(bundled_list.PROVIDERS, "func", bundled_list.READ)
    monkeypatch.setattr(bundled_list.INDEX, "func", bundled_list.INDEXED)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


# Built in


def test_the_snapshot_is_built_in_with_its_date(cache):
    found = ModelsDev(cache)
    assert found.built_in
    assert len(found.providers) == 225
    assert found.date == "2026-09-30"
    assert found.index.date == "2026-09-30"


def test_importing_it_creates_no_objects_for_entries(cache):
    import subprocess
    import sys

    code = "from modelbay.catalog.models_dev.live import ModelsDev; ModelsDev().index; " \
        "import sys; print('models_dev' in sys.modules)"  # fmt: skip
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env={
        **os.environ, "MODELBAY_HOME": str(cache.folder)})  # fmt: skip
    assert told.stdout.strip() == "False"


def test_the_index_is_built_once(cache, monkeypatch):
    assert ModelsDev(cache).index.entries("gpt-4o")
    monkeypatch.setattr(modelsdev, "build", lambda *_: pytest.fail("it is there"))
    assert ModelsDev(cache).index.entries("gpt-4o")


@pytest.mark.parametrize("damage", [b"", b"x", b'{"stamp":"1","date":"2"}\n{}\n'])
def test_a_damaged_index_is_rebuilt(cache, damage):
    cache.write(damage, "models.dev", "index")
    assert ModelsDev(cache).index.entries("gpt-4o")
    assert len(cache.read("models.dev", "index") or b"") > 100_000


def test_a_folder_that_cannot_be_written_is_not_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert ModelsDev(Cache(tmp_path / "file")).index.entries("gpt-4o")


def test_the_models_of_a_provider_look_like_those_of_a_list(cache):
    models = {model.id: model for model in ModelsDev(cache).models("mistral")}
    assert models["mistral-large-latest"].chats and models["mistral-large-latest"].facts.cost is not None
    assert models["mistral-embed"].kind == "embedding"
    assert ModelsDev(cache).models("nobody") == []


# Live


async def test_the_live_list_replaces_the_snapshot(cache):
    found = ModelsDev(cache)
    assert len(found.providers) == 225 and found.index.entries("m-9") == []
    assert await found.refresh(Server().exchange) is None
    assert (list(found.providers), found.built_in) == (["acme"], False)
    assert [entry.id for entry in found.index.entries("m-9")] == ["m-9"]
    assert [entry.id for entry in ModelsDev(cache).index.entries("m-9")] == ["m-9"], "for the next process too"


async def test_the_list_is_not_requested_again_too_soon(cache):
    server = Server()
    await ModelsDev(cache).refresh(server.exchange)
    await ModelsDev(cache).refresh(server.exchange)
    assert len(server.asked) == 1


async def test_an_unchanged_list_is_not_downloaded_again(cache):
    server = Server()
    await ModelsDev(cache).refresh(server.exchange)
    server.status, server.body = 304, b""
    found = ModelsDev(cache)
    assert await found.refresh(server.exchange, within=0) is None
    assert server.asked[0].get("If-None-Match") is None
    assert server.asked[1]["If-None-Match"] == '"v1"'
    assert list(found.providers) == ["acme"]


async def test_the_index_is_rebuilt_for_a_newer_list(cache):
    found = ModelsDev(cache)
    await found.refresh(Server().exchange)
    assert found.index.entries("m-9")
    newer = {"acme": {"id": "acme", "models": {"m-10": {"name": "M 10"}}}}
    await found.refresh(Server(body=msgspec.json.encode(newer), etag='"v2"').exchange, within=0)
    assert found.index.entries("m-9") == [] and found.index.entries("m-10")
    assert ModelsDev(cache).index.entries("m-10")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(error=ConnectFailed("nobody there")), "nobody there"),
        (Server(status=500, body=b"oops"), "returned 500: oops"),
        (Server(status=304, body=b""), "returned 304"),
        (Server(body=b"<title>Hotel Wi-Fi</title>"), "an HTML page: Hotel Wi-Fi"),
        (Server(body=b"{}"), "none has models"),
        (Server(body=b"[]"), "none has models"),
        (Server(body=b'{"acme": {"id": "acme"}}'), "none has models"),
        (Server(body=BODY[:-5]), "not a list of providers"),
    ],
)
async def test_without_an_answer_the_old_list_stays(cache, server, words):
    found = ModelsDev(cache)
    problem = await found.refresh(server.exchange)
    assert problem is not None and words in problem and "2026-09-30" in problem
    assert len(found.providers) == 225
    assert cache.read("models.dev", "api.json") is None


async def test_a_live_list_stays_if_the_next_download_fails(cache):
    await ModelsDev(cache).refresh(Server().exchange)
    found = ModelsDev(cache)
    assert await found.refresh(Server(status=503).exchange, within=0) is not None
    assert (list(found.providers), found.built_in) == (["acme"], False)


async def test_the_size_of_the_list_is_limited(cache, monkeypatch):
    monkeypatch.setattr(modelsdev, "BYTES", 10)
    problem = await ModelsDev(cache).refresh(Server().exchange)
    assert problem is not None and "more than 10 bytes" in problem


async def test_the_wait_for_the_list_is_limited(cache, monkeypatch):
    monkeypatch.setattr(modelsdev, "SECONDS", 0.05)

    async def never(*_):
        await asyncio.sleep(10)

    problem = await ModelsDev(cache).refresh(never)
    assert problem is not None and "within 0.05 s" in problem


async def test_a_cached_list_that_is_damaged_is_dropped(cache):
    await ModelsDev(cache).refresh(Server().exchange)
    cache.path("models.dev", "api.json").write_bytes(b"{oops")
    found = ModelsDev(cache)
    assert len(found.providers) == 225
    assert found.built_in and found.index.entries("gpt-4o")


async def test_a_snapshot_newer_than_the_live_list_is_used(cache):
    await ModelsDev(cache).refresh(Server().exchange)
    state = {"etag": "x", "asked": time(), "came": 1_500_000_000}
    cache.write(msgspec.json.encode(state), "models.dev", "state.json")
    assert ModelsDev(cache).built_in


async def test_after_the_clock_was_set_back_the_list_is_requested(cache):
    cache.write(msgspec.json.encode({"asked": time() + 10**6}), "models.dev", "state.json")
    server = Server()
    await ModelsDev(cache).refresh(server.exchange)
    assert len(server.asked) == 1


async def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    problem = await ModelsDev(Cache(tmp_path / "file")).refresh(Server().exchange)
    assert problem is not None and "cannot be stored" in problem


# Lists at other URLs


async def test_a_list_at_another_url_is_downloaded_and_not_stored():
    assert list(await fetched(Server().exchange)) == ["acme"]


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (Server(status=404, body=b"no"), ProviderError),
        (Server(body=b"{}"), MalformedReply),
        (Server(error=TimedOut("late", stage="connect")), TimedOut),
    ],
)
async def test_a_failed_download_of_another_list_is_an_error(server, kind):
    with pytest.raises(kind):
        await fetched(server.exchange)


async def test_an_entry_without_an_id_uses_its_key():
    server = Server(body=b'{"acme": {"models": {"m": {}}}, "broken": 7, "empty": {"models": []}}')
    found = await fetched(server.exchange)
    assert {id: entry["id"] for id, entry in found.items()} == {"acme": "acme"}


def test_a_frozen_program_without_the_package_of_the_list_has_the_bundled_one(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyInstaller finds packages by their imports, and this one is not imported."""
    monkeypatch.setattr(modelsdev, "find_spec", lambda name: None)
    modelsdev._snapshot.cache_clear()
    try:
        assert len(ModelsDev(cache).providers) > 100
    finally:
        modelsdev._snapshot.cache_clear()
