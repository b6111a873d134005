"""The sixteen scenarios of Failover Bench (github.com/failoverbench), by its names, and what modelbay does with one provider.

"pass" is the whole answer or the right error, "safe" a bounded, clean error where only another provider could have helped.
"""

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from modelbay import Hub, collect, errors
from modelbay.events import Failed, Finished, PartDelta, Reply, Warned
from modelbay.routing.retry import Policy
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, Script, chunk, head, reply

WORDS = [f"word{number} " for number in range(60)]
TEXT = "".join(WORDS)
SSE = head(200, "Content-Type: text/event-stream", chunked=True)
USAGE = {"prompt_tokens": 5, "completion_tokens": 60, "total_tokens": 65}
DONE = chunk(b"data: [DONE]\n\n") + chunk(b"")


def word(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return chunk(b"data: " + json.dumps({"id": "c", "model": "fb-ok", "choices": [choice]}).encode() + b"\n\n")


END = word("", "stop") + chunk(b"data: " + json.dumps({"id": "c", "choices": [], "usage": USAGE}).encode() + b"\n\n")
WHOLE = SSE + b"".join(word(text) for text in WORDS) + END + DONE


def failure(status: int, message: str, code: str, *headers: str) -> bytes:
    body = json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()
    return reply(body, status, "Content-Type: application/json", *headers)


BUSY = failure(503, "The engine is overloaded", "server_error")


class Wall:
    """A provider that does the next thing of a list with each request, and the last one from then on."""

    def __init__(self, *steps: bytes | Script) -> None:
        self.steps = steps
        self.asked: list[float] = []

    async def __call__(self, client: Client) -> None:
        while True:
            await client.request()
            step = self.steps[min(len(self.asked), len(self.steps) - 1)]
            self.asked.append(time.monotonic())
            if isinstance(step, bytes):
                await client.send(step)
            else:
                await step(client)

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


class Bench:
    """One question to a wall, under limits that are small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def ask(self, wall: Wall, *, limit: float = LONG) -> Reply:
        async with RawServer(wall) as server:
            return await self.ask_at(server.url, limit=limit)

    async def ask_at(self, url: str, *, limit: float = LONG, first_byte: float = LONG, idle: float = LONG) -> Reply:
        config = self.folder / "config.toml"
        config.write_text(
            f'[providers.p]\ntype = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-test-key"\n'
            f"timeout = {{ connect = {LONG}, first_byte = {first_byte}, idle = {idle} }}\n"
        )
        async with asyncio.timeout(limit), Hub.open(config) as hub:
            hub._client.policy = Policy(base=0.05)
            return await one(hub)


async def one(hub: Hub) -> Reply:
    try:
        events = [event async for event in hub.stream("Sixty words, please", model="p/fb")]
    except errors.ModelbayError as error:
        return collect([Failed(error)])
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
    got = collect(events)
    got.extra = {"seen": "".join(event.text for event in events if isinstance(event, PartDelta))}
    return got


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def whole(got: Reply) -> bool:
    return got.error is None and got.text == TEXT


async def test_s01_429_with_retry_after_once(bench: Bench) -> None:
    """pass: the header is respected, and the user sees the wait."""
    wall = Wall(failure(429, "Slow down", "rate_limit_exceeded", "Retry-After: 1"), WHOLE)
    got = await bench.ask(wall)
    assert whole(got)
    assert wall.waits[0] >= 1.0
    assert [type(warning) for warning in got.warnings] == [Warned]


async def test_s02_429_without_retry_after_persistent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe: four attempts at random, growing distances, then the provider's own words."""
    monkeypatch.setattr("modelbay.calling.next_attempt.random", random.random)
    wall = Wall(failure(429, "Slow down", "rate_limit_exceeded"))
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.RateLimited)
    assert len(wall.asked) == got.error.attempts == 4
    assert len({round(wait, 4) for wait in wall.waits}) == 3


async def test_s03_500_once_then_healthy(bench: Bench) -> None:
    """pass."""
    wall = Wall(failure(500, "Oops", "server_error"), WHOLE)
    assert whole(await bench.ask(wall))
    assert len(wall.asked) == 2


async def test_s04_503_persistent(bench: Bench) -> None:
    """safe."""
    wall = Wall(BUSY)
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.Overloaded)
    assert len(wall.asked) == 4


async def test_s05_tcp_reset_before_headers_once(bench: Bench) -> None:
    """pass."""
    wall = Wall(Client.reset, WHOLE)
    assert whole(await bench.ask(wall))
    assert len(wall.asked) == 2


async def test_s06_no_response_at_all(bench: Bench) -> None:
    """safe: given up in bounded time, asked once more and no oftener, and the connection is closed."""
    wall = Wall(Client.hangup)
    async with RawServer(wall) as server:
        got = await bench.ask_at(server.url, first_byte=0.5)
        assert isinstance(got.error, errors.TimedOut)
        assert (got.error.stage, len(wall.asked)) == ("first_byte", 2)
        async with asyncio.timeout(LONG):
            await server.all_gone()


async def test_s07_first_token_late(bench: Bench) -> None:
    """pass: within the limit for the first byte there is nothing to do but wait."""

    async def late(client: Client) -> None:
        await client.send(SSE)
        await asyncio.sleep(0.4)
        await client.send(WHOLE.removeprefix(SSE))

    wall = Wall(late)
    assert whole(await bench.ask(wall))
    assert len(wall.asked) == 1


def cut(at: int) -> Script:
    async def script(client: Client) -> None:
        await client.send(SSE + b"".join(word(text) for text in WORDS[:at]))
        await client.reset()

    return script


async def test_s08_stream_cut_after_40_of_60_tokens(bench: Bench) -> None:
    """safe: what was seen stays seen, and it is said that it is not the whole."""
    wall = Wall(cut(40), WHOLE)
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.IncompleteReply)
    assert got.finish is None
    assert got.extra == {"seen": "".join(WORDS[:40])}
    assert len(wall.asked) == 1  # it is not asked again behind the back of who has read forty words


async def test_s09_stream_stalls_with_its_connection_open(bench: Bench) -> None:
    """safe: told apart from a slow answer by the silence; the next call is served."""

    async def stall(client: Client) -> None:
        await client.send(SSE + b"".join(word(text) for text in WORDS[:20]))
        await client.hangup()

    wall = Wall(stall, WHOLE)
    async with RawServer(wall) as server:
        got = await bench.ask_at(server.url, idle=0.5)
        assert isinstance(got.error, errors.TimedOut)
        assert (got.error.stage, len(wall.asked)) == ("idle", 1)
        assert whole(await bench.ask_at(server.url))


async def test_s10_malformed_chunk_mid_stream(bench: Bench) -> None:
    """safe: fails cleanly, nothing of the broken chunk leaks, and the hub goes on."""
    broken = SSE + b"".join(word(text) for text in WORDS[:20]) + chunk(b'data: {"choices":[{"delta":{"con\n\n')
    wall = Wall(broken + b"".join(word(text) for text in WORDS[20:]) + END + DONE, WHOLE)
    async with RawServer(wall) as server:
        got = await bench.ask_at(server.url)
        assert isinstance(got.error, errors.MalformedReply)
        assert got.extra == {"seen": "".join(WORDS[:20])}
        assert whole(await bench.ask_at(server.url))


async def test_s11_stream_ends_without_done(bench: Bench) -> None:
    """pass: the finish reason ends the answer, and the usage is told."""
    got = await bench.ask(Wall(WHOLE.removesuffix(DONE) + chunk(b"")))
    assert whole(got)
    assert got.usage
    assert (got.usage.input, got.usage.output_total) == (5, 60)


async def test_s12_400_context_length_exceeded(bench: Bench) -> None:
    """pass: by its own class, never sent again."""
    wall = Wall(failure(400, "This model's maximum context length is 8192 tokens", "context_length_exceeded"))
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.ContextOverflow)
    assert len(wall.asked) == 1
    assert "larger context" in str(got.error.hint)


async def test_s13_400_content_filter_rejection(bench: Bench) -> None:
    """pass: not sent again, the provider's reason comes through."""
    wall = Wall(failure(400, "The prompt was filtered: violence", "content_filter"))
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.ContentRefused)
    assert "violence" in got.error.message
    assert len(wall.asked) == 1


async def test_s14_cut_stream_and_the_fallback_rejects_prefill(bench: Bench) -> None:
    """safe: an answer is never continued by pretending that its half was ours, so nothing masks the cut."""
    wall = Wall(cut(40), failure(400, "assistant prefill is not supported", "invalid_request_error"))
    got = await bench.ask(wall)
    assert isinstance(got.error, errors.IncompleteReply)
    assert len(wall.asked) == 1


async def test_s15_down_for_a_while_then_healthy_twenty_requests(bench: Bench) -> None:
    """safe: each call ends while the provider is down, and the first call after that is served."""
    down = asyncio.Event()

    async def flaps(client: Client) -> None:
        await client.send(WHOLE if down.is_set() else BUSY)

    wall = Wall(flaps)
    async with RawServer(wall) as server:
        for _ in range(3):
            assert isinstance((await bench.ask_at(server.url)).error, errors.Overloaded)
        down.set()
        for _ in range(17):
            assert whole(await bench.ask_at(server.url))
    assert len(wall.asked) == 3 * 4 + 17


async def test_s16_503_and_nothing_billed(bench: Bench) -> None:
    """safe: failed attempts have no usage; the one that answers is the only one that counts."""
    got = await bench.ask(Wall(BUSY))
    assert got.usage is None
    got = await bench.ask(Wall(BUSY, WHOLE))
    assert whole(got)
    assert got.usage
    assert (got.model, got.usage.output_total) == ("fb-ok", 60)
