"""Calls that are sent on to the model's provider: uploads, audio, embeddings."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.faults.raw_server import Client, RawServer, Received, chunk, head, reply
from tests.gateway.running import KEY, RunningGateway, config_text

LIMIT = 20_000
FORM = "multipart/form-data; boundary=xYz"
BEGIN = (
    b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai_chat\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
)
END = b"\r\n--xYz--\r\n"
HEADERS = {"Authorization": f"Bearer {KEY}"}
Answer = Callable[[Client], Awaitable[object]]


@asynccontextmanager
async def provider(folder: Path, answer: Answer) -> AsyncIterator[tuple[str, list[Received]]]:
    """The URL of a gateway over a provider, and the requests that reached the provider."""
    received: list[Received] = []

    async def script(client: Client) -> None:
        received.append(await client.head())
        length = int(received[-1].headers.get("content-length", "0"))
        received[-1].body = await client.reader.readexactly(length)
        await answer(client)

    async with RawServer(script) as server:
        config = folder / "config.toml"
        config.write_text(config_text(server.url, settings=f"body_bytes = {LIMIT}"))
        with RunningGateway(config) as gateway:
            yield gateway.url, received


async def test_audio_that_breaks_off_is_not_a_shorter_one(tmp_path: Path) -> None:
    async def breaks_off(client: Client) -> None:
        await client.send(head(200, "Content-Type: audio/wav", chunked=True) + chunk(b"RIFF" + bytes(5000)))

    async with provider(tmp_path, breaks_off) as (url, _), aiohttp.ClientSession(headers=HEADERS) as session:
        body = {"model": "openai_chat", "input": "Hi", "voice": "alloy"}
        async with session.post(f"{url}/v1/audio/speech", json=body) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_events_that_break_off_end_with_an_error(tmp_path: Path) -> None:
    whole = b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'

    async def breaks_off(client: Client) -> None:
        await client.send(head(200, "Content-Type: text/event-stream", chunked=True) + chunk(whole + b"data: {"))

    async with provider(tmp_path, breaks_off) as (url, _), aiohttp.ClientSession(headers=HEADERS) as session:
        body = {"model": "openai_chat", "input": "Hi", "stream": True}
        async with session.post(f"{url}/v1/audio/speech", json=body) as response:
            data = await response.read()
    assert data.startswith(whole)
    assert "error" in json.loads(data.removeprefix(whole).partition(b"data: ")[2])


async def test_a_form_in_pieces_that_becomes_too_large_is_the_client_s_fault(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield BEGIN
        for _ in range(30):
            yield bytes(1000)
        yield END

    async def waits(client: Client) -> None:
        await client.reader.read()

    async with (
        provider(tmp_path, waits) as (url, _),
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.post(f"{url}/v1/audio/transcriptions", data=pieces(), headers={"Content-Type": FORM}) as response,
    ):
        assert response.status == 413
        assert (await response.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/images/generations", "/v1/audio/transcriptions"])
async def test_headers_of_the_protocol_reach_the_provider_and_others_do_not(tmp_path: Path, path: str) -> None:
    async def answers(client: Client) -> None:
        await client.send(reply(b'{"data":[],"text":"Hi"}', 200, "Content-Type: application/json"))

    account = {"OpenAI-Project": "proj_1", "Cookie": "a=b"}
    sent = {**account, "OpenAI-Beta": "x=1", "HTTP-Referer": "https://app.example", "X-Other": "c"}
    async with provider(tmp_path, answers) as (url, received), aiohttp.ClientSession(headers=HEADERS) as session:
        upload = path.endswith("transcriptions")
        body = BEGIN + b"RIFF" + END if upload else json.dumps({"model": "openai_chat", "input": "Hi"}).encode()
        kind = {"Content-Type": FORM if upload else "application/json"}
        async with session.post(url + path, data=body, headers=sent | kind) as response:
            assert response.status == 200
    headers = received[0].headers
    assert (headers["openai-beta"], headers["http-referer"]) == ("x=1", "https://app.example")
    assert not {"cookie", "openai-project", "x-other"} & headers.keys()
    assert headers["authorization"] == "Bearer sk-provider"
