"""Connections of clients: how requests arrive, and what a refused or interrupted one leaves behind."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from modelbay.simulator import Simulator
from tests.fault_config import LONG
from tests.gateway.raw import RawClient, head, post, upload
from tests.gateway.running import RunningGateway, config_text, running
from tests.gateway.test_app import request
from tests.servers.loopback import Handler, served

Running = tuple[RunningGateway, Simulator]
PATH, BODY = request("openai_chat", "anthropic")
LIMIT = 200_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), settings=f"concurrent = 1\nbody_bytes = {LIMIT}") as found:
        yield found


@pytest.fixture
def url(gateway: Running) -> str:
    return gateway[0].url


async def test_a_connection_serves_one_request_after_the_other(url: str) -> None:
    async with RawClient(url) as client:
        for path, body in (request("openai_chat", "anthropic"), request("anthropic", "google", stream=True)):
            await client.send(post(path, body))
            answer = await client.response()
            assert answer.status == 200
            assert b"Hello" in answer.body


async def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    first, second = (post(*request("openai_chat", model)) for model in ("anthropic", "google"))
    async with RawClient(url) as client:
        await client.send(first + second + head("GET", "/v1/models"))
        answers = [await client.response() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer.headers.get("x-modelbay-provider") for answer in answers] == ["anthropic", "google", None]


async def test_a_client_that_pipelines_and_leaves_ends_the_request_in_progress(gateway: Running) -> None:
    at, simulator = gateway
    path, body = request("openai_chat", "openai_chat/sim-1!slow-headers")
    before = len(simulator.journal)
    async with RawClient(at.url) as client:
        await client.send(post(path, body))
        while len(simulator.journal) == before:
            await asyncio.sleep(0.01)
        await client.send(head("GET", "/v1/models"))
        client.writer.write_eof()
        entry = await simulator.journal.last.wait_over(LONG)
    assert entry.disconnected


async def test_a_client_may_wait_until_its_body_is_welcome(url: str) -> None:
    data = json.dumps(BODY).encode()
    async with RawClient(url) as client:
        await client.send(head("POST", PATH, f"Content-Length: {len(data)}", "Expect: 100-continue"))
        assert (await client.response()).status == 100
        await client.send(data)
        assert (await client.response()).status == 200
    async with RawClient(url) as client:
        await client.send(head("POST", PATH, "Content-Length: 9", "Expect: 100-continue", key=None))
        assert (await client.response()).status == 401, "refused without 100"


@pytest.mark.parametrize("form", ["length", "chunks", "later"])
async def test_a_client_that_offers_another_protocol_is_answered(url: str, form: str) -> None:
    data = json.dumps(BODY).encode()
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    async with RawClient(url) as client:
        if form == "chunks":
            framed = (
                head("POST", PATH, "Transfer-Encoding: chunked", *offer),
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data),
            )
        else:
            framed = head("POST", PATH, f"Content-Length: {len(data)}", *offer), data
        if form == "later":
            await client.send(framed[0])
            await asyncio.sleep(0.02)  # so that they arrive separately
            await client.send(framed[1])
        else:
            await client.send(b"".join(framed))
        assert (await client.response()).status == 200
        await client.send(post(PATH, BODY))
        assert (await client.response()).status == 200, "on the same connection"


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v1/models/anthropic"])
async def test_head_is_get_without_a_body(url: str, path: str) -> None:
    async with RawClient(url) as client:
        await client.send(head("HEAD", path))
        answer = await client.response(body=False)
        assert answer.status == 200
        await client.send(head("GET", path))
        assert len((await client.response()).body) == int(answer.headers["content-length"])


@pytest.mark.parametrize("form", ["length", "chunks"])
async def test_a_body_above_the_limit_is_refused_while_it_is_sent(url: str, form: str) -> None:
    data = b" " * 20 * LIMIT
    if form == "length":
        sent = post(PATH, data)
    else:
        sent = head("POST", PATH, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    async with RawClient(url) as client:
        await client.send(sent)  # all of it, before the response is read
        answer = await client.response()
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert f"{LIMIT:,} bytes" in json.loads(answer.body)["error"]["message"]
        assert await client.rest() == b""


async def test_an_upload_that_declares_a_length_above_the_limit_is_refused_at_once(url: str) -> None:
    begun = upload("/v1/audio/transcriptions", "openai_chat", f"Content-Length: {LIMIT + 1}")
    async with RawClient(url) as client:
        await client.send(begun)  # the rest is not sent
        assert (await client.response()).status == 413


async def test_a_refused_upload_that_was_read_to_its_end_keeps_its_connection(url: str) -> None:
    async with RawClient(url) as client:
        await client.send(upload("/v1/audio/transcriptions", "unknown"))
        assert (await client.response()).status == 404
        await client.send(post(PATH, BODY))
        assert (await client.response()).status == 200


async def test_a_refused_request_is_read_to_its_end_before_the_connection_closes(url: str) -> None:
    async with RawClient(url) as client:
        await client.send(post(PATH, b" " * 20 * LIMIT, key=None))
        assert (await client.response()).status == 401
        assert await client.rest() == b""


@pytest.mark.parametrize("how", ["leaves", "closes its half"])
async def test_a_client_that_ends_within_its_body_leaves_nothing_behind(gateway: Running, how: str) -> None:
    at, simulator = gateway
    before = len(simulator.journal)
    for _ in range(3):
        async with RawClient(at.url) as client:
            await client.send(head("POST", PATH, "Content-Length: 1000") + b'{"model": "anthro')
            if how == "closes its half":
                client.writer.write_eof()
                assert await client.rest() == b""
    assert len(simulator.journal) == before
    await accepted(at.url)


async def accepted(url: str) -> None:
    """Wait until a request is accepted, although only one may be in progress."""
    while True:
        async with RawClient(url) as client:
            await client.send(post(PATH, BODY))
            answer = await client.response()
        if answer.status == 200:
            return
        assert answer.status == 429
        await asyncio.sleep(0.01)


async def test_a_slow_client_s_body_is_awaited(url: str) -> None:
    data = json.dumps(BODY).encode()
    async with RawClient(url) as client:
        await client.send(head("POST", PATH, f"Content-Length: {len(data)}"))
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.response()).status == 200


async def test_too_many_requests_of_a_client_are_refused_with_a_time_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, settings="concurrent = 1") as (at, simulator):
        async with RawClient(at.url) as first, RawClient(at.url) as second:
            await first.send(post(*request("openai_chat", "openai_chat/sim-1!slow-headers")))
            while not len(simulator.journal):
                await asyncio.sleep(0.01)
            await second.send(post(PATH, BODY))
            answer = await second.response()
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        await accepted(at.url)


class Transcriber(Handler):
    """A provider that reads a form and then does not answer."""

    read = threading.Event()
    left = threading.Event()

    def do_POST(self) -> None:
        self.body()
        Transcriber.read.set()
        with suppress(ConnectionError):
            assert self.connection.recv(1) == b""
        Transcriber.left.set()
        self.close_connection = True


async def test_a_client_that_leaves_after_its_upload_ends_the_call(tmp_path: Path) -> None:
    with served(Transcriber) as at:
        (tmp_path / "config.toml").write_text(config_text(at, settings="concurrent = 1"))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            async with RawClient(gateway.url) as client:
                await client.send(upload("/v1/audio/transcriptions", "openai_chat"))
                assert await asyncio.to_thread(Transcriber.read.wait, LONG)
            assert await asyncio.to_thread(Transcriber.left.wait, LONG)


class LengthReader(Handler):
    """A provider that notes how the lengths of its requests are given."""

    lengths: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        LengthReader.lengths.append(self.headers.get("content-length"))
        self.body()
        self.answer(200, b'{"text": "Hi"}')


async def test_the_length_of_an_upload_is_sent_on_also_if_its_head_is_known(tmp_path: Path) -> None:
    with served(LengthReader) as at:
        (tmp_path / "config.toml").write_text(config_text(at))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            for _ in range(3):
                async with RawClient(gateway.url) as client:
                    await client.send(upload("/v1/audio/transcriptions", "openai_chat"))
                    assert (await client.response()).status == 200
    assert None not in LengthReader.lengths
    assert len(LengthReader.lengths) == 3


class HalfAnEvent(Handler):
    """A provider whose stream breaks off within its second event."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (b'data: {"choices":[{"text":"Hi"}]}\n\n', b'data: {"choices":[{"te'):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.close_connection = True


async def test_a_stream_that_is_only_sent_on_breaks_off_between_two_events(tmp_path: Path) -> None:
    with served(HalfAnEvent) as at:
        (tmp_path / "config.toml").write_text(config_text(at))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            async with RawClient(gateway.url) as client:
                await client.send(post("/v1/completions", {"model": "openai_chat", "prompt": "Hi", "stream": True}))
                body = (await client.response()).body
    events = [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n") if event]
    assert events[0]["choices"][0]["text"] == "Hi"
    assert events[1]["error"]["message"]
