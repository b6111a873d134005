"""State that a hub keeps between calls (connections, uploads, facts, lessons), and state that it must not keep."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay import Hub, Media, sync
from modelbay.events import PartDelta
from modelbay.transport.direct import DirectResponse
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import ANSWER, CHUNK, HEAD, chunked, json_answer, write_config

WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'
VIDEO = Media(kind="video", data="AAAA", media_type="video/mp4", name="a.mp4")


@asynccontextmanager
async def uploading(folder: Path, count: int) -> AsyncIterator[tuple[Hub, list[tuple[int, str]]]]:
    """A hub with providers `p0`, `p1` … that take videos by upload, and where videos went: (provider, URL or file)."""
    seen: list[tuple[int, str]] = []
    servers: list[RawServer] = []

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            number = next(n for n, server in enumerate(servers) if client in server.clients)
            if request.target.endswith("/files"):
                seen.append((number, "upload"))
                await client.send(json_answer("200 OK", b'{"id":"file-of-%d"}' % number))
            else:
                part = json.loads(request.body)["messages"][0]["content"][0]
                seen.append((number, part["video_url"]["url"]))
                await client.send(json_answer("200 OK", WHOLE))

    servers += [RawServer(script) for _ in range(count)]
    lines = []
    for number, server in enumerate(servers):
        await server.__aenter__()
        lines += [f"[providers.p{number}]", 'type = "openai"', f'base_url = "{server.url}/v1"']
        lines += ['dialect = { video_upload = "ms://{id}" }']
    path = folder / "config.toml"
    path.write_text("\n".join(lines))
    try:
        async with Hub.open(path) as hub:
            yield hub, seen
    finally:
        for server in servers:
            await server.__aexit__(None, None, None)


# --- uploads -----------------------------------------------------------------------------------------------------------


async def test_a_video_is_uploaded_once_to_each_provider(tmp_path: Path) -> None:
    async with uploading(tmp_path, 2) as (hub, seen):
        for model in ("p0/m", "p1/m", "p0/other", "p1/m"):
            await hub.complete("What is it?", model=model, files=[VIDEO])
    assert seen == [
        (0, "upload"),
        (0, "ms://file-of-0"),
        (1, "upload"),
        (1, "ms://file-of-1"),
        (0, "ms://file-of-0"),
        (1, "ms://file-of-1"),
    ]


async def test_another_video_is_uploaded_too(tmp_path: Path) -> None:
    async with uploading(tmp_path, 1) as (hub, seen):
        for data in ("AAAA", "BBBB", "AAAA"):
            await hub.complete("What is it?", model="p0/m", files=[Media(kind="video", data=data)])
    assert [what for _, what in seen].count("upload") == 2


# --- connections -------------------------------------------------------------------------------------------------------


async def test_streamed_answers_one_after_another_share_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing, plain = asyncio.Event(), DirectResponse.finish

    async def finish(response: DirectResponse) -> bytes:
        finishing.set()
        return await plain(response, 60)

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(HEAD + chunked(ANSWER) + chunked(b"data: [DONE]\n\n"))
            await finishing.wait()  # the end of the body comes after the end of the answer
            finishing.clear()
            await client.send(b"0\r\n\r\n")

    monkeypatch.setattr(DirectResponse, "finish", finish)
    async with RawServer(script) as server, Hub.open(write_config(tmp_path, server.url)) as hub:
        for _ in range(3):
            assert [event async for event in hub.stream("Hi")]
    assert len(server.clients) == 1


async def test_whole_answers_one_after_another_share_a_connection(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(json_answer("200 OK", WHOLE))

    async with RawServer(script) as server, Hub.open(write_config(tmp_path, server.url)) as hub:
        for _ in range(3):
            await hub.complete("Hi")
    assert len(server.clients) == 1


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_refused_call_gives_its_connection_back(tmp_path: Path, streamed: bool) -> None:
    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(json_answer("404 Not Found", b'{"error":{"message":"no"}}'))

    async with RawServer(script) as server, Hub.open(write_config(tmp_path, server.url)) as hub:
        for _ in range(3):
            with pytest.raises(Exception, match="no"):
                [event async for event in hub.stream("Hi")] if streamed else await hub.complete("Hi")
    assert len(server.clients) == 1


async def test_closing_the_hub_closes_kept_connections(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        await client.send(json_answer("200 OK", WHOLE))
        await client.hangup()
        gone.set()

    async with RawServer(script) as server:
        async with Hub.open(write_config(tmp_path, server.url)) as hub:
            await hub.complete("Hi")
            assert not gone.is_set()
        await gone.wait()


@pytest.mark.parametrize("way", ["break", "close", "error"])
async def test_leaving_a_blocking_stream_closes_its_connection(tmp_path: Path, way: str) -> None:
    gone = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.hangup()
        gone.set()

    async with RawServer(script) as server:
        hub = await asyncio.to_thread(sync.Hub.open, write_config(tmp_path, server.url))
        kept = await asyncio.to_thread(leave, hub, way)
        async with asyncio.timeout(60):
            await gone.wait()  # while the hub is open
        del kept
        await asyncio.to_thread(hub.close)


def leave(hub: sync.Hub, way: str) -> BaseException | None:
    """Leave a stream, and the error in whose traceback it still is."""
    stream = hub.stream("Hi")
    if way == "close":
        next(stream)
        stream.close()
    elif way == "error":
        events = iter(stream)
        next(events)
        with pytest.raises(KeyError) as caught:
            events.throw(KeyError("x"))
        return caught.value
    else:
        del stream
        for event in hub.stream("Hi"):
            if isinstance(event, PartDelta):
                break
    return None


# --- facts -------------------------------------------------------------------------------------------------------------


async def test_discovery_replaces_what_was_known_of_a_model(tmp_path: Path) -> None:
    sizes = [b"1111", b"2222"]

    async def script(client: Client) -> None:
        while True:
            await client.request()
            body = b'{"object":"list","data":[{"id":"own-model","context_length":%b}]}' % sizes[0]
            await client.send(json_answer("200 OK", body))

    async with RawServer(script) as server:
        path = tmp_path / "config.toml"
        path.write_text(f'[providers.p]\ntype = "openai"\nbase_url = "{server.url}/v1"\n')
        async with Hub.open(path) as hub:
            assert hub.model("p/own-model").max_context_tokens is None
            await hub.discover("p")
            assert hub.model("p/own-model").max_context_tokens == 1111
            del sizes[0]
            assert await hub.list_models("p") == ["own-model"]
            assert hub.model("p/own-model").max_context_tokens == 2222
        async with Hub.open(path) as another:
            assert another.model("p/own-model").max_context_tokens == 2222


async def test_models_of_one_provider_have_facts_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("""
[providers.p]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
[models.small]
provider = "p"
model = "own-1"
max_context_size = 1000
[models.large]
provider = "p"
model = "own-2"
max_context_size = 2000
variants.huge = { max_context_size = 3000, verbosity = "low" }
""")
    async with Hub.open(path) as hub:
        for _ in range(2):
            found = [hub.model(name) for name in ("small", "large", "p/own-3")]
            assert [model.id for model in found] == ["own-1", "own-2", "own-3"]
            assert [model.max_context_tokens for model in found] == [1000, 2000, None]
