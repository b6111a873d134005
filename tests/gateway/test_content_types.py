"""Replies with a content type that does not fit them, or that the client did not ask for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.protocols.codec import codec
from tests.faults.raw_server import Client, RawServer, chunk, head
from tests.gateway.raw import RawClient, post
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text
from tests.gateway.test_app import request

TEXT = "Hello there"
WHOLE: dict[str, dict[str, Any]] = {
    "openai_chat": {"id": "c", "choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]},
    "google": {"candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}]},
}
PIECES: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"content": " there"}, "finish_reason": "stop"}]},
    ],
    "google": [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": " there"}]}, "finishReason": "STOP"}]},
    ],
}
JSON_TYPE, STREAM, PAGE = "application/json", "text/event-stream", "text/html; charset=utf-8"


def events(protocol: str) -> list[bytes]:
    return [b"data: %b\n\n" % json.dumps(piece).encode() for piece in PIECES[protocol]]


@asynccontextmanager
async def answering(folder: Path, kind: str, pieces: list[bytes], wait: asyncio.Event) -> AsyncIterator[str]:
    """A gateway, whose provider sends all pieces but the first when `wait` is set."""

    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(200, f"Content-Type: {kind}", chunked=True) + chunk(pieces[0]))
        await wait.wait()
        await client.send(b"".join(map(chunk, pieces[1:])) + chunk(b""))

    async with RawServer(script) as provider:
        config = folder / "config.toml"
        config.write_text(config_text(provider.url))
        with RunningGateway(config) as gateway:
            yield gateway.url


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("provider", WHOLE)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "framed"),
    [(JSON_TYPE, True), (PAGE, True), (STREAM, False), (PAGE, False), (JSON_TYPE, False), (STREAM, True)],
)
async def test_a_reply_is_read_by_its_form_not_by_its_content_type(
    tmp_path: Path, provider: str, client: str, stream: bool, kind: str, framed: bool
) -> None:
    pieces = events(provider) if framed else [json.dumps(WHOLE[provider]).encode()]
    sent = asyncio.Event()
    sent.set()
    async with answering(tmp_path, kind, pieces, sent) as url, RawClient(url) as connection:
        await connection.send(post(*request(client, provider, stream=stream)))
        found = await connection.response()
    assert found.status == 200, found.body
    assert found.headers["content-type"].partition(";")[0] == (STREAM if stream else JSON_TYPE)
    if stream:
        parser = codec(client).stream_parser(PLAIN)
        assert found.body.startswith((b"data:", b"event:"))
        reply = collect([*parser.feed(found.body), *parser.close()])
    else:
        reply = collect(codec(client).parse_reply(found.body, PLAIN))
    assert reply.text == TEXT


@pytest.mark.parametrize("client", [protocol for protocol in PROTOCOLS if protocol != "openai_chat"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_translated_reply_without_a_model_has_the_id_of_the_one_that_was_called(
    tmp_path: Path, client: str, stream: bool
) -> None:
    sent = asyncio.Event()
    sent.set()
    pieces = events("openai_chat") if stream else [json.dumps(WHOLE["openai_chat"]).encode()]
    async with answering(tmp_path, STREAM if stream else JSON_TYPE, pieces, sent) as url, RawClient(url) as connection:
        await connection.send(post(*request(client, "openai_chat", stream=stream)))
        found = await connection.response()
    parser = codec(client).stream_parser(PLAIN)
    read = [*parser.feed(found.body), *parser.close()] if stream else codec(client).parse_reply(found.body, PLAIN)
    assert collect(read).model == "sim-1"


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_stream_that_is_labeled_as_json_arrives_piece_by_piece(tmp_path: Path, client: str) -> None:
    rest = asyncio.Event()
    pieces = events("openai_chat")
    async with answering(tmp_path, JSON_TYPE, pieces, rest) as url, RawClient(url) as connection:
        await connection.send(post(*request(client, "openai_chat", stream=True)))
        await connection.head()
        await connection.until(b"Hello")
        rest.set()
        await connection.until(b"there")


async def test_a_web_page_is_an_error_for_a_stream_too(tmp_path: Path) -> None:
    sent = asyncio.Event()
    sent.set()
    async with answering(tmp_path, PAGE, [b"<html>Sign in</html>"], sent) as url, RawClient(url) as connection:
        await connection.send(post(*request("openai_chat", "openai_chat", stream=True)))
        found = await connection.response()
    assert found.status == 502
    assert b"Sign in" in found.body
