"""Streams while their provider is silent, when it fails late, and when their client leaves or does not read."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from modelbay.calling.target import Target
from modelbay.conversation import Conversation
from modelbay.counting.learned_counts import Expected, LearnedCounts
from modelbay.dialect import PLAIN
from modelbay.events import Reply, collect
from modelbay.gateway import exchange, responder
from modelbay.gateway.access_log import LOG
from modelbay.gateway.framing import is_failure
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, chunk
from tests.faults.raw_server import head as raw_head
from tests.gateway.raw import RawClient, RawResponse, head, post
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text
from tests.gateway.test_app import request
from tests.servers.loopback import Handler, served

Running = tuple[RunningGateway, Simulator]
SOON = 0.03
"""Seconds of silence after which the gateway sends a keep-alive here."""
SIGNS = {"anthropic": b'event: ping\ndata: {"type": "ping"}\n\n', "google": b"\n"}
COMMENT = b": keep-alive\n\n"
LIMITS = "\n".join(
    f'[providers.soon-{protocol}]\ntype = "{kind}"\nbase_url = "URL{base}"\napi_key = "sk-provider"\n'
    "timeout = { first_byte = 0.3, first_event = 0.3 }"
    for protocol, (kind, base) in {
        "openai_chat": ("openai", "/v1"),
        "openai_responses": ("openai_responses", "/v1"),
        "anthropic": ("anthropic", ""),
        "google": ("google-genai", ""),
    }.items()
)
"""Providers that may be silent for a short time only."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Simulator() as upstream:
        config = tmp_path_factory.mktemp("gateway") / "config.toml"
        config.write_text(
            config_text(upstream.url, settings="concurrent = 1") + LIMITS.replace("URL", upstream.url) + "\n"
        )
        with RunningGateway(config) as running:
            yield running, upstream


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PATIENCE", SOON)
    monkeypatch.setattr(responder, "SILENCE", SOON)


def other(protocol: str) -> str:
    return PROTOCOLS[(PROTOCOLS.index(protocol) + 1) % len(PROTOCOLS)]


def asking(client: str, model: str, *, array: bool = False, prompt: str = "Say hello") -> bytes:
    path, body = request(client, quote(model, safe="/!") if client == "google" else model, prompt, stream=True)
    return post(path.removesuffix("?alt=sse") if array else path, body)


def read(client: str, data: bytes) -> Reply:
    parser = codec(client).stream_parser(PLAIN)
    return collect([*parser.feed(data), *parser.close()])


async def streamed(url: str, data: bytes) -> tuple[RawResponse, list[bytes]]:
    """The response, and the pieces of its body."""
    pieces = []
    async with RawClient(url) as client:
        await client.send(data)
        found = await client.head()
        if "content-length" in found.headers:
            pieces.append(await client.reader.readexactly(int(found.headers["content-length"])))
        else:
            while piece := await client.piece():
                pieces.append(piece)
    found.body = b"".join(pieces)
    return found, pieces


# --- silence -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_provider_that_is_silent_at_first_is_awaited_with_keep_alives(
    gateway: Running, client: str, way: str
) -> None:
    upstream = client if way == "passed" else other(client)
    found, pieces = await streamed(gateway[0].url, asking(client, f"{upstream}/sim-1!slow-headers=0.5"))
    sign = SIGNS.get(client, COMMENT)
    assert found.status == 200
    assert found.headers["content-type"].startswith("text/event-stream")
    assert pieces[0] == sign
    assert pieces.count(sign) > 1
    reply = read(client, found.body)
    assert reply.error is None
    assert reply.finish
    assert "Say hello" in reply.text


@pytest.mark.usefixtures("impatient")
async def test_a_stream_of_another_call_has_keep_alives_too(tmp_path: Path) -> None:
    event, seen = b'data: {"type":"image_generation.partial_image"}\n\n', asyncio.Event()

    async def provider(upstream: Client) -> None:
        await upstream.request()
        await upstream.send(raw_head(200, "Content-Type: text/event-stream", chunked=True) + chunk(event))
        await seen.wait()
        await upstream.send(chunk(event) + chunk(b""))

    async with RawServer(provider) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url))
        with RunningGateway(config) as gateway:
            async with RawClient(gateway.url) as client:
                await client.send(post("/v1/images/generations", {"model": "openai_chat", "stream": True}))
                assert (await client.head()).status == 200
                assert await client.piece() == event
                assert await client.piece() == COMMENT
                seen.set()
                rest = await client.until(event)
                assert not rest.replace(COMMENT, b"").replace(event, b"")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_failure_after_keep_alives_is_an_event(gateway: Running, client: str, way: str) -> None:
    upstream = client if way == "passed" else other(client)
    found, pieces = await streamed(gateway[0].url, asking(client, f"soon-{upstream}/sim-1!slow-headers"))
    assert found.status == 200
    assert pieces[0] == SIGNS.get(client, COMMENT)
    reply = read(client, found.body)
    assert reply.error is not None
    if client == "google":
        assert is_bare_failure(pieces.pop())
    *before, last = b"".join(pieces).removesuffix(b"\n\n").split(b"\n\n")
    assert is_failure(client, last + b"\n\n")
    assert not any(is_failure(client, event + b"\n\n") for event in before)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_keep_alives_come_between_two_events(gateway: Running, client: str, way: str) -> None:
    upstream = client if way == "passed" else other(client)
    found, pieces = await streamed(gateway[0].url, asking(client, f"{upstream}/sim-1!stall=0.4"))
    sign = SIGNS.get(client, COMMENT)
    assert pieces.count(sign) > 1
    data = b"".join(piece for piece in pieces if piece != sign)
    for event in data.removesuffix(b"\n\n").split(b"\n\n"):
        assert re.fullmatch(rb"(event: \S+\n)?data: .+", event), event
    reply = read(client, found.body)
    assert reply.error is None
    assert "Say hello" in reply.text


class Halves(Handler):
    """A provider whose only long event arrives in two halves, with time between them."""

    def do_POST(self) -> None:
        self.body()
        text = json.dumps(
            {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "x" * 300_000}}]}
        )
        end = '{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
        data = f"data: {text}\n\ndata: {end}\n\ndata: [DONE]\n\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(data[:200_000])
        self.wfile.flush()
        threading.Event().wait(20 * SOON)
        self.wfile.write(data[200_000:])
        self.close_connection = True


@pytest.mark.usefixtures("impatient")
async def test_no_keep_alive_is_sent_inside_an_event_that_arrives_in_pieces(tmp_path: Path) -> None:
    with served(Halves) as url:
        (tmp_path / "config.toml").write_text(config_text(url))
        with RunningGateway(tmp_path / "config.toml") as at:
            found, pieces = await streamed(at.url, asking("openai_chat", "openai_chat"))
    assert len(pieces) > 1, "passed on before its end"
    reply = read("openai_chat", found.body)
    assert reply.error is None
    assert reply.text == "x" * 300_000


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("upstream", ["google", "anthropic"])
@pytest.mark.parametrize("fault", ["slow-headers=0.5", "stall=0.4"])
async def test_a_json_array_stays_valid_with_keep_alives(gateway: Running, upstream: str, fault: str) -> None:
    found, pieces = await streamed(gateway[0].url, asking("google", f"{upstream}/sim-1!{fault}", array=True))
    assert found.status == 200
    assert found.headers["content-type"] == "application/json"
    assert pieces.count(b"\n") > 1
    chunks = json.loads(found.body)
    text = "".join(part.get("text", "") for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"])
    assert "Say hello" in text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("upstream", ["google", "anthropic"])
@pytest.mark.parametrize("fault", ["slow-headers", "cut-after-first"])
async def test_a_failure_closes_a_json_array(gateway: Running, upstream: str, fault: str) -> None:
    provider = f"soon-{upstream}" if fault == "slow-headers" else upstream
    found, _ = await streamed(gateway[0].url, asking("google", f"{provider}/sim-1!{fault}", array=True))
    assert found.status == 200
    assert json.loads(found.body)[-1]["error"]["code"] in (502, 504)


def is_bare_failure(piece: bytes) -> bool:
    return piece.startswith(b"{") and json.loads(piece)["error"]["code"] >= 500


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("fault", ["cut-after", "error-in-200"])
async def test_the_failure_of_a_stream_of_gemini_is_the_last_chunk_too_without_which_kimi_code_shows_half_an_answer(
    gateway: Running, upstream: str, fault: str
) -> None:
    _, pieces = await streamed(gateway[0].url, asking("google", f"{upstream}/sim-1!{fault}"))
    *before, event, bare = pieces
    assert is_bare_failure(bare)
    assert is_failure("google", event[event.rfind(b"data: ") :])
    assert not any(piece.startswith(b"{") for piece in before)


async def test_a_finish_reason_of_gemini_that_says_that_the_model_failed_is_the_end(gateway: Running) -> None:
    _, pieces = await streamed(gateway[0].url, asking("google", "google/sim-1!odd-finish=MALFORMED_FUNCTION_CALL"))
    assert pieces[-1].startswith(b"data: ")
    assert b'"finishReason":"MALFORMED_FUNCTION_CALL"' in pieces[-1].replace(b": ", b":")


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_the_failure_of_a_stream_of_messages_has_an_id_without_which_qwen_code_does_not_go_on(
    gateway: Running, upstream: str
) -> None:
    found, _ = await streamed(gateway[0].url, asking("anthropic", f"{upstream}/sim-1!cut-after"))
    failure = json.loads(found.body.rstrip().rpartition(b"data: ")[2])
    assert failure["type"] == "error"
    assert failure["request_id"] == found.headers["x-modelbay-request-id"]


# --- the client leaves -------------------------------------------------------------------------------------------------


class Records(logging.Handler):
    """The lines of the access log."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[dict[str, object]] = []
        self.arrived = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.fields.append(record.modelbay_fields)  # type: ignore[attr-defined]
        self.arrived.set()

    async def next(self) -> dict[str, object]:
        assert await asyncio.to_thread(self.arrived.wait, LONG)
        self.arrived.clear()
        return self.fields[-1]


@pytest.fixture
def records() -> Iterator[Records]:
    found, level = Records(), LOG.level
    LOG.addHandler(found)
    LOG.setLevel(logging.INFO)
    yield found
    LOG.removeHandler(found)
    LOG.setLevel(level)


FAULTS = {"before the headers": "slow-headers", "before the first token": "slow-first-token", "in the middle": "stall"}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("when", FAULTS)
@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"], ids=["passed", "translated"])
async def test_a_client_that_leaves_ends_its_call_at_once(
    gateway: Running, records: Records, upstream: str, when: str, stream: bool
) -> None:
    at, simulator = gateway
    simulator.reset()
    path, body = request("openai_chat", f"{upstream}/sim-1!{FAULTS[when]}", stream=stream)
    async with RawClient(at.url) as client:
        await client.send(post(path, body))
        if when == "in the middle" and stream:
            await client.head()
        else:
            while not len(simulator.journal):
                await asyncio.sleep(0.01)
    entry = await simulator.journal.last.wait_over(LONG)
    assert entry.disconnected
    assert (await records.next())["outcome"] == "disconnected"
    assert len(simulator.journal.calls()) == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("PUT", "/v1/models")])
async def test_a_request_without_a_route_is_logged_as_failed(
    gateway: Running, records: Records, method: str, path: str
) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head(method, path, "Content-Length: 0"))
        await client.response()
    assert (await records.next())["outcome"] == "failed"


async def test_a_client_that_leaves_while_a_retry_is_due_ends_it(gateway: Running, records: Records) -> None:
    at, simulator = gateway
    simulator.reset()
    path, body = request("openai_chat", "anthropic/sim-1!429=4")
    async with RawClient(at.url) as client:
        await client.send(post(path, body))
        while not len(simulator.journal):
            await asyncio.sleep(0.01)
        await simulator.journal.last.wait_over(LONG)
    line = await records.next()
    assert line["outcome"] == "disconnected"
    assert int(str(line["milliseconds"])) < 4000, "not after the wait"
    assert len(simulator.journal.calls()) == 1


ENDS = {
    "openai_chat": b"[DONE]",
    "openai_responses": b"response.completed",
    "anthropic": b"message_stop",
    "google": b"finishReason",
}


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_client_that_leaves_after_the_last_event_succeeded(
    gateway: Running, records: Records, client: str, upstream: str
) -> None:
    async with RawClient(gateway[0].url) as connection:
        await connection.send(asking(client, upstream))
        await connection.head()
        await connection.until(ENDS[client])
    line = await records.next()
    assert (line["outcome"], line["status"]) == ("ok", 200)


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("fault", ["cut-after", "error-in-200"])
async def test_a_client_of_gemini_that_leaves_at_the_event_of_a_failure_read_it(
    gateway: Running, records: Records, monkeypatch: pytest.MonkeyPatch, upstream: str, fault: str
) -> None:
    monkeypatch.setattr(exchange, "_APART", LONG)  # it leaves before the failure is repeated
    async with RawClient(gateway[0].url) as connection:
        await connection.send(asking("google", f"{upstream}/sim-1!{fault}"))
        await connection.head()
        await connection.until(b'"error":')
    line = await records.next()
    assert (line["outcome"], line["status"]) == ("failed", 200)


# --- a client that does not read ---------------------------------------------------------------------------------------


class Endless(Handler):
    """A provider that sends as much as it can, up to `MOST` bytes."""

    MOST = 64 * 2**20
    sent = 0
    stopped = threading.Event()
    """Set when nothing could be sent for a while, or all was sent."""

    def do_POST(self) -> None:
        self.body()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        event = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"word " * 1_000)
        self.connection.settimeout(1.0)
        with suppress(OSError):
            while Endless.sent < self.MOST:
                self.connection.sendall(event)
                Endless.sent += len(event)
        Endless.stopped.set()
        self.close_connection = True


@pytest.mark.parametrize("client", ["openai_chat", "anthropic"], ids=["passed", "translated"])
async def test_a_client_that_does_not_read_stops_its_provider(tmp_path: Path, client: str) -> None:
    Endless.sent = 0
    Endless.stopped.clear()
    with served(Endless) as url:
        (tmp_path / "config.toml").write_text(config_text(url))
        with RunningGateway(tmp_path / "config.toml") as at:
            async with RawClient(at.url, buffer=4_096) as connection:
                await connection.send(asking(client, "openai_chat"))
                await connection.head()
                connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
                assert await asyncio.to_thread(Endless.stopped.wait, LONG)
    assert Endless.sent < Endless.MOST / 2, "held in the buffers of four sockets only"


# --- the input is counted for the start of the stream ------------------------------------------------------------------


class Counting:
    """Counts of input tokens that take until `done`."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expect = LearnedCounts.expect

        def slowly(counts: LearnedCounts, target: Target, conversation: Conversation) -> Expected:
            self.done.wait(LONG)
            return expect(counts, target, conversation)

        monkeypatch.setattr(LearnedCounts, "expect", slowly)


@pytest.fixture
def counting(gateway: Running) -> Iterator[Counting]:
    found = Counting()
    gateway[1].reset()
    yield found
    found.done.set()


async def has_asked(simulator: Simulator, count: int) -> None:
    async with asyncio.timeout(LONG):
        while len(simulator.journal) < count:
            await asyncio.sleep(0.01)


async def test_the_provider_works_while_the_input_is_counted(
    gateway: Running, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, simulator = gateway
    await streamed(at.url, asking("anthropic", "openai_chat"))  # leaves a connection to the provider
    counting.install(monkeypatch)
    answer = asyncio.create_task(streamed(at.url, asking("anthropic", "openai_chat")))
    await has_asked(simulator, 2)
    counting.done.set()
    found, _ = await answer
    start = json.loads(found.body.partition(b"data: ")[2].partition(b"\n")[0])
    assert start["message"]["usage"]["input_tokens"] > 0
    assert read("anthropic", found.body).finish is not None


async def test_a_client_that_leaves_while_its_input_is_counted_ends_its_call(
    gateway: Running, counting: Counting, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, simulator = gateway
    await streamed(at.url, asking("anthropic", "openai_chat"))
    assert (await records.next())["outcome"] == "ok"
    counting.install(monkeypatch)
    async with RawClient(at.url) as client:
        await client.send(asking("anthropic", "openai_chat/sim-1!slow-first-token"))
        await has_asked(simulator, 2)
    entry = await simulator.journal.last.wait_over(LONG)
    assert entry.disconnected
    assert (await records.next())["outcome"] == "disconnected"
