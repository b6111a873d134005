"""Clients that send or read slowly, or not at all, and clients that leave at any point of a request."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelbay.simulator import Simulator
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, chunk, reply
from tests.faults.raw_server import head as reply_head
from tests.gateway.raw import RawClient, head, post
from tests.gateway.running import RunningGateway, config_text, running
from tests.gateway.test_app import request

Running = tuple[RunningGateway, Simulator]
MIB = 2**20
TOTAL = 48 * MIB
"""Bytes that are sent to a client or provider that does not read."""
BUFFERED = 40 * MIB
"""More bytes than the system and the gateway hold for one connection to a client and one to a provider."""
NARROW = 16 * 1024
"""Bytes that the system takes in for a client that does not read."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), settings="concurrent = 1") as found:
        yield found


class NarrowClient(RawClient):
    """A client for which the system takes in few bytes while it does not read."""

    async def __aenter__(self) -> "NarrowClient":
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        connection.setblocking(False)
        at = urlsplit(self._at.geturl())
        await asyncio.get_running_loop().sock_connect(connection, (at.hostname, at.port))
        self.reader, self.writer = await asyncio.open_connection(sock=connection, limit=NARROW)
        return self


class Provider:
    """A provider that sends long streams, and reads bodies only when the test lets it."""

    def __init__(self) -> None:
        self.server = RawServer(self._script, window=NARROW)
        self.sent = 0
        self.read = 0
        self.may_read = asyncio.Event()
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def _script(self, client: Client) -> None:
        self.asked.set()
        try:
            await self._answer(client)
        finally:
            self.gone.set()

    async def _answer(self, client: Client) -> None:
        asked = await client.head()
        if asked.target.endswith("/transcriptions"):
            await self.may_read.wait()
            end = b""
            while not end.endswith(b"\r\n0\r\n\r\n"):
                piece = await client.reader.read(MIB)
                assert piece
                self.read += len(piece)
                end = (end + piece)[-7:]
            await client.send(reply(b'{"text": "Hi"}', 200, "Content-Type: application/json"))
            return
        body = json.loads(await client.reader.readexactly(int(asked.headers["content-length"])))
        if body["messages"][-1]["content"] == "wait":
            await client.hangup()
            return
        await client.send(reply_head(200, "Content-Type: text/event-stream", chunked=True))
        for content in self._pieces():
            choice = {"index": 0, "delta": {"content": content}, "finish_reason": None if content else "stop"}
            event = {"id": "r1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
            await client.send(chunk(b"data: %b\n\n" % json.dumps(event).encode()))
            self.sent += len(content)
        await client.send(chunk(b"data: [DONE]\n\n") + chunk(b""))
        await client.hangup()

    @staticmethod
    def _pieces() -> Iterator[str]:
        for _ in range(TOTAL // (MIB // 4)):
            yield "x" * (MIB // 4)
        yield ""


@asynccontextmanager
async def provided(folder: Path) -> AsyncGenerator[tuple[str, Provider], None]:
    provider = Provider()
    async with provider.server as server:
        (folder / "config.toml").write_text(
            config_text(server.url, settings=f"body_bytes = {2 * TOTAL}\nconcurrent = 1")
        )
        with RunningGateway(folder / "config.toml") as gateway:
            yield gateway.url, provider


async def health(url: str) -> None:
    async with RawClient(url) as client:
        await client.send(head("GET", "/health"))
        assert (await client.response()).status == 200


async def free(url: str) -> None:
    """Wait until no request is in progress: only one may be."""
    async with asyncio.timeout(LONG):
        while True:
            async with RawClient(url) as client:
                await client.send(post("/v1/chat/completions", {"model": "unknown-model", "messages": []}))
                if (await client.response()).status == 404:
                    return


async def test_a_request_may_arrive_byte_by_byte(gateway: Running) -> None:
    path, body = request("openai_chat", "anthropic", "slowly")
    async with RawClient(gateway[0].url) as client:
        for byte in post(path, body):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        found = await client.response()
    assert found.status == 200
    assert b"slowly" in found.body


@pytest.mark.parametrize("client", ["openai_chat", "anthropic"], ids=["passed", "translated"])
async def test_a_client_that_does_not_read_holds_back_the_stream(tmp_path: Path, client: str) -> None:
    async with provided(tmp_path) as (url, provider), NarrowClient(url) as slow:
        await slow.send(post(*request(client, "openai_chat", stream=True)))
        await slow.head()
        same = 0
        while same < 20:  # nothing moves any more
            before = provider.sent
            await health(url)
            same = same + 1 if provider.sent == before else 0
            assert provider.sent < BUFFERED
        received = 0
        while piece := await slow.piece():
            received += piece.count(b"x")
    assert provider.sent == TOTAL
    assert TOTAL <= received < TOTAL + 1_000


async def test_a_client_that_does_not_read_and_leaves_ends_the_stream(tmp_path: Path) -> None:
    async with provided(tmp_path) as (url, provider):
        async with NarrowClient(url) as slow:
            await slow.send(post(*request("openai_chat", "openai_chat", stream=True)))
            await slow.head()
        async with asyncio.timeout(LONG):
            await provider.gone.wait()
        assert provider.sent < BUFFERED
        await free(url)


async def test_a_provider_that_does_not_read_holds_back_an_upload(tmp_path: Path) -> None:
    form = b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai_chat\r\n'
    form += b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    lines = "Transfer-Encoding: chunked", "Content-Type: multipart/form-data; boundary=xYz"
    async with provided(tmp_path) as (url, provider), RawClient(url) as client:
        await client.send(head("POST", "/v1/audio/transcriptions", *lines) + chunk(form))
        written = 0

        async def upload() -> None:
            nonlocal written
            while written < TOTAL:
                await client.send(chunk(b"x" * MIB))
                written += MIB
            await client.send(chunk(b"\r\n--xYz--\r\n") + chunk(b""))

        uploading = asyncio.ensure_future(upload())
        await provider.asked.wait()
        same = 0
        while same < 20:
            before = written
            await health(url)
            same = same + 1 if written == before else 0
            assert written < BUFFERED
        provider.may_read.set()
        await uploading
        assert (await client.response()).status == 200
    assert provider.read > TOTAL


PHASES = ["head", "length", "chunks", "trailers", "waiting", "stream"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_leaves_in_any_phase_leaves_nothing_behind(tmp_path: Path, phase: str, how: str) -> None:
    async with provided(tmp_path) as (url, provider):
        async with NarrowClient(url) as client:
            target = request("openai_chat", "openai_chat")[0]
            match phase:
                case "head":
                    await client.send(head("POST", target)[:-2])
                case "length":
                    await client.send(head("POST", target, "Content-Length: 100") + b"{")
                case "chunks":
                    await client.send(head("POST", target, "Transfer-Encoding: chunked") + b"5\r\n{")
                case "trailers":
                    await client.send(head("POST", target, "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nX: 1\r\n")
                case "waiting":
                    await client.send(post(*request("openai_chat", "openai_chat", "wait", stream=how == "closes")))
                    await provider.asked.wait()
                case "stream":
                    await client.send(post(*request("openai_chat", "openai_chat", stream=True)))
                    await client.head()
            await health(url)
            if how == "resets":
                linger = struct.pack("ii", 1, 0)
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.writer.transport.abort()
            if phase in ("waiting", "stream"):
                async with asyncio.timeout(LONG):
                    await provider.gone.wait()
            await free(url)
        assert len(provider.server.requests) == (phase in ("waiting", "stream"))


async def test_a_client_that_leaves_after_a_long_request_ends_its_call(tmp_path: Path) -> None:
    path, body = request("openai_chat", "openai_chat", "wait")
    body["messages"].insert(0, {"role": "user", "content": "x" * 200_000})
    data = json.dumps(body).encode()
    async with provided(tmp_path) as (url, provider):
        async with RawClient(url) as client:
            await client.send(head("POST", path, f"Content-Length: {len(data)}"))
            await health(url)  # so that the body arrives without the head, in one piece
            await client.send(data)
            await provider.asked.wait()
        async with asyncio.timeout(LONG):
            await provider.gone.wait()
        await free(url)


async def test_connections_without_a_request_do_not_keep_others_out(gateway: Running) -> None:
    url = gateway[0].url
    idle = [RawClient(url) for _ in range(100)]
    for number, client in enumerate(idle):
        await client.__aenter__()
        await client.send((b"", b"G", b"GET / HTTP/1.1\r\nX: ", b"\r\n")[number % 4])
    await health(url)
    for client in idle:
        client.leave()
    async with asyncio.timeout(LONG):
        while gateway[0].server.connections:
            await asyncio.sleep(0.01)


async def test_a_client_that_sends_all_and_closes_its_half_ends_what_waits(gateway: Running) -> None:
    """As in nginx, Go and Node.js: an end cannot be told from a client that left."""
    path, body = request("openai_chat", "openai_chat/sim-1!slow-headers")
    before = len(gateway[1].journal)
    async with RawClient(gateway[0].url) as client:
        await client.send(post(path, body))
        async with asyncio.timeout(LONG):
            while len(gateway[1].journal) == before:
                await asyncio.sleep(0.01)
        client.writer.write_eof()
        assert await client.rest() == b""
    assert (await gateway[1].journal.last.wait_over(LONG)).disconnected
    await free(gateway[0].url)
