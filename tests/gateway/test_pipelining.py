"""Several requests on one connection: their order, invalid ones among them, and clients that leave."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, chunk, reply
from tests.faults.raw_server import head as reply_head
from tests.gateway.raw import RawClient, head, post
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text, running
from tests.gateway.test_app import request

Running = tuple[RunningGateway, Simulator]
GARBAGE = b"\x00\x01 garbage\r\n\r\n"
HEALTH = head("GET", "/health")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def chat(word: str, *, stream: bool = False, model: str = "openai_chat") -> bytes:
    return post(*request("openai_chat", model, word, stream=stream))


class Provider:
    """A provider whose replies begin and end when the test says so. It repeats the last word of the question."""

    def __init__(self) -> None:
        self.server = RawServer(self._script)
        self.words: list[str] = []
        """The questions, in the order in which they came."""
        self.asked = asyncio.Condition()
        self.permits = asyncio.Semaphore(0)
        self.stream_begun = asyncio.Event()

    async def _script(self, client: Client) -> None:
        while True:
            body = json.loads((await client.request()).body)
            word = body["messages"][-1]["content"]
            async with self.asked:
                self.words.append(word)
                self.asked.notify_all()
            first = {"id": "r1", "model": "m", "object": "chat.completion.chunk"}
            if not body.get("stream"):
                await self.permits.acquire()
                message = {"role": "assistant", "content": word}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = {"id": "r1", "object": "chat.completion", "model": "m", "choices": [choice]}
                await client.send(reply(json.dumps(whole).encode(), 200, "Content-Type: application/json"))
                continue
            await client.send(reply_head(200, "Content-Type: text/event-stream", chunked=True))
            for delta, end in (({"role": "assistant", "content": word}, None), ({}, "stop")):
                event = {**first, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
                await client.send(chunk(b"data: %b\n\n" % json.dumps(event).encode()))
                self.stream_begun.set()
                if end is None:
                    await self.permits.acquire()
            await client.send(chunk(b"data: [DONE]\n\n") + chunk(b""))

    async def until(self, count: int) -> None:
        """Wait until so many questions came."""
        async with self.asked, asyncio.timeout(LONG):
            await self.asked.wait_for(lambda: len(self.words) >= count)


@asynccontextmanager
async def provided(folder: Path) -> AsyncGenerator[tuple[str, Provider], None]:
    """A gateway's URL, and its provider."""
    provider = Provider()
    async with provider.server as server:
        (folder / "config.toml").write_text(config_text(server.url))
        with RunningGateway(folder / "config.toml") as gateway:
            yield gateway.url, provider


async def other_requests(url: str) -> None:
    """Let the gateway do everything that it can do now."""
    for _ in range(3):
        async with RawClient(url) as client:
            await client.send(HEALTH)
            assert (await client.response()).status == 200


@pytest.mark.parametrize("count", [2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
async def test_each_request_gets_its_own_response_in_order(gateway: Running, count: int, seed: int) -> None:
    choose = random.Random(seed)
    sent, expected = b"", []
    for number in range(count):
        word = f"word{seed}x{number}"
        match choose.randrange(6):
            case 0:
                sent += HEALTH
                expected.append((200, b'"status"'))
            case 1:
                sent += post(*request(choose.choice(PROTOCOLS[:3]), f"missing-{word}"))
                expected.append((404, word.encode()))
            case 2:
                sent += post("/v1/chat/completions", b"{")
                expected.append((400, b"JSON"))
            case 3:
                sent += head("POST", "/health", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
                expected.append((405, b"/health"))
            case _:
                protocol, target = choose.choice(PROTOCOLS), choose.choice(PROTOCOLS)
                sent += post(*request(protocol, target, word, stream=choose.random() < 0.5))
                expected.append((200, word.encode()))
    async with RawClient(gateway[0].url) as client:
        size = choose.choice([len(sent), 1_000, 37])
        for start in range(0, len(sent), size):
            await client.send(sent[start : start + size])
        for status, words in expected:
            found = await client.response()
            assert (found.status, words in found.body) == (status, True), found.body
            if found.headers.get("connection") == "close":
                assert await client.rest() == b""
                break


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_begins_after_the_response_to_the_one_before(tmp_path: Path, stream: bool) -> None:
    async with provided(tmp_path) as (url, provider), RawClient(url) as client:
        await client.send(b"".join(chat(f"word{number}", stream=stream) for number in range(4)))
        for number in range(4):
            await provider.until(number + 1)
            await other_requests(url)
            assert len(provider.words) == number + 1
            provider.permits.release()
            assert f"word{number}".encode() in (await client.response()).body
        assert provider.words == [f"word{number}" for number in range(4)]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (GARBAGE, b"400"),
        (head("GET", "/health", f"X: {'x' * 70_000}"), b"431"),
        (head("GET", "/health")[:-2] + b"x: " + b"x" * 70_000, b"431"),
        (head("POST", "/v1/chat/completions", "Transfer-Encoding: chunked") + b"zz\r\n", b"400"),
        (head("POST", "/v1/chat/completions", "Content-Length: 1", "Content-Length: 2") + b"{}", b"400"),
        (head("GET", "/health", "Host: a", "Host: b"), b"400"),
    ],
    ids=["garbage", "headers", "endless header", "chunks", "lengths", "hosts"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_invalid_request_waits_for_the_responses_before_it(
    tmp_path: Path, bad: bytes, status: bytes, stream: bool
) -> None:
    async with provided(tmp_path) as (url, provider), RawClient(url) as client:
        await client.send(chat("first", stream=stream))
        await provider.until(1)
        if stream:
            begun = await client.head()
            assert b"first" in await client.until(b"first")
            assert begun.status == 200
        await client.send(chat("second") + bad + chat("third"))
        await other_requests(url)
        provider.permits.release()
        if stream:
            assert b"[DONE]" in await client.until(b"[DONE]")
            assert await client.piece() == b""
        else:
            assert b"first" in (await client.response()).body
        await provider.until(2)
        provider.permits.release()
        assert b"second" in (await client.response()).body
        rest = await client.rest()
        assert rest.startswith(b"HTTP/1.1 " + status), rest
        assert rest.count(b"HTTP/1.1 ") == 1
        assert provider.words == ["first", "second"]


async def test_the_requests_behind_one_that_ends_the_connection_are_not_answered(tmp_path: Path) -> None:
    async with provided(tmp_path) as (url, provider), RawClient(url) as client:
        closing = post(*request("openai_chat", "openai_chat", "last"), "Connection: close")
        await client.send(closing + chat("ignored") + HEALTH)
        await provider.until(1)
        provider.permits.release()
        found = await client.response()
        assert found.headers["connection"] == "close"
        assert await client.rest() == b""
        await other_requests(url)
        assert provider.words == ["last"]


@pytest.mark.parametrize("refused", ["large", "no key"])
async def test_a_request_behind_a_refused_body_is_not_answered(gateway: Running, refused: str) -> None:
    data = b" " * 70 * 2**20 if refused == "large" else b"{}"
    lines = [] if refused == "large" else ["Authorization: Bearer wrong"]
    async with RawClient(gateway[0].url) as client:
        await client.send(post("/v1/chat/completions", data, *lines))
        await client.send(HEALTH)
        found = await client.response()
        assert found.status == (413 if refused == "large" else 401)
        if found.headers.get("connection") == "close":
            assert await client.rest() == b""


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_requests(tmp_path: Path, stream: bool) -> None:
    async with provided(tmp_path) as (url, provider):
        async with RawClient(url) as client:
            await client.send(b"".join(chat(f"word{number}", stream=stream) for number in range(3)))
            await provider.until(1)
            if stream:
                await client.head()
        async with asyncio.timeout(LONG):
            while not provider.server.clients[0].reader.at_eof():
                await asyncio.sleep(0.01)
        provider.permits.release()
        await other_requests(url)
        assert provider.words == ["word0"], "the others are not sent"


async def test_a_client_may_leave_within_any_request(gateway: Running) -> None:
    sent = chat("one") + HEALTH + chat("two", stream=True) + head("POST", "/v1/messages", "Transfer-Encoding: chunked")
    sent += b"5\r\n{    \r\n"
    for end in range(1, len(sent), 29):
        async with RawClient(gateway[0].url) as client:
            await client.send(sent[:end])
    await other_requests(gateway[0].url)


async def test_a_connection_may_be_used_for_many_requests(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        for number in range(100):
            await client.send(chat(f"word{number}", stream=number % 3 == 0))
            assert f"word{number}".encode() in (await client.response()).body


async def test_a_client_may_send_more_than_is_answered(gateway: Running) -> None:
    """If a connection were closed with unread data, the system would reset it, and some discard what was not read yet."""
    url = gateway[0].url
    loop = asyncio.get_running_loop()
    last = post(*request("openai_chat", "anthropic", "last"), "Connection: close")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.setblocking(False)
        await loop.sock_sendall(connection, chat("first") + last)
        received = b""
        async with asyncio.timeout(LONG):
            while b"last" not in received:
                received += await loop.sock_recv(connection, 65_536)
            for _ in range(3):
                await other_requests(url)
                await loop.sock_sendall(connection, HEALTH)
            while piece := await loop.sock_recv(connection, 65_536):
                received += piece
    assert received.count(b"HTTP/1.1 200 ") == 2
