"""Replies to many prompts."""

import asyncio
from pathlib import Path

import pytest

from modelbay import Reply, errors, sync
from modelbay.json_text import decode, encode
from modelbay.routing.retry import Policy
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import hub_at, json_answer, write_config


class Server:
    """Repeats the last message. It refuses those that contain "no", and counts the requests at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def script(self, client: Client) -> None:
        while True:
            words = decode((await client.request()).body)["messages"][-1]["content"]
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01 * (len(words) % 3))
            self.now -= 1
            if "no" in words:
                await client.send(json_answer("400 Bad Request", b'{"error":{"message":"refused"}}'))
                continue
            choice = {"index": 0, "message": {"content": words}, "finish_reason": "stop"}
            await client.send(json_answer("200 OK", encode({"id": "c1", "choices": [choice]})))


async def test_the_replies_are_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    server, done = Server(), list[int]()
    prompts = ["a" * (count % 7 + 1) + str(count) for count in range(60)]
    async with RawServer(server.script) as running, hub_at(tmp_path, running.url) as hub:
        replies = await hub.map(prompts, limit=5, progress=lambda place, reply: done.append(place))
    assert [reply.text for reply in replies] == prompts
    assert sorted(done) == list(range(60))
    assert 1 < server.most <= 5


async def test_a_failed_call_is_a_reply_with_its_error(tmp_path: Path) -> None:
    server, seen = Server(), dict[int, Reply]()
    async with RawServer(server.script) as running, hub_at(tmp_path, running.url) as hub:
        hub._client.policy = Policy(base=0.0)
        replies = await hub.map(["yes", "no", "yes"], progress=seen.__setitem__)
    assert [reply.text for reply in replies] == ["yes", "", "yes"]
    assert isinstance(replies[1].error, errors.BadRequest)
    assert [reply.error for reply in (replies[0], replies[2])] == [None, None]
    assert seen == dict(enumerate(replies))


async def test_a_wrong_argument_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    server = Server()
    async with RawServer(server.script) as running, hub_at(tmp_path, running.url) as hub:
        with pytest.raises(TypeError, match=r"prompts\[1\] must be"):
            await hub.map(["a", 2])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
            await hub.map(["a"], limit=0)
        with pytest.raises(TypeError, match="limit must be an integer, not str"):
            await hub.map(["a"], limit="5")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="progress must be a function, not int"):
            await hub.map(["a"], progress=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="prompts must be a list of prompts, not str"):
            await hub.map("one call for each letter")
        assert await hub.map([]) == []
        assert not running.requests


async def test_cancelling_ends_all_calls(tmp_path: Path) -> None:
    gone = asyncio.Semaphore(0)

    async def script(client: Client) -> None:
        await client.request()
        await client.hangup()
        gone.release()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        work = asyncio.create_task(hub.map(["a", "b", "c"], limit=2))
        async with asyncio.timeout(60):
            while len(server.requests) < 2:
                await asyncio.sleep(0)
            work.cancel()
            await gone.acquire()
            await gone.acquire()
    assert len(server.requests) == 2


async def test_an_exception_in_progress_ends_all_calls_and_is_raised_as_it_is(tmp_path: Path) -> None:
    sent, gone = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        while True:
            if b"slow" not in (await client.request()).body:
                await sent.wait()
                choice = {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}
                await client.send(json_answer("200 OK", encode({"id": "c1", "choices": [choice]})))
                continue
            sent.set()
            await client.hangup()
            gone.set()

    def progress(place: int, reply: Reply) -> None:
        raise LookupError(place) from KeyError("cause")

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        with pytest.raises(LookupError, match="1") as caught:
            await hub.map(["slow", "quick"], progress=progress)
        async with asyncio.timeout(60):
            await gone.wait()
    assert isinstance(caught.value.__cause__, KeyError)


async def test_the_blocking_hub_maps_too(tmp_path: Path) -> None:
    server = Server()
    async with RawServer(server.script) as running:
        file = write_config(tmp_path, running.url)

        def work() -> list[str]:
            with sync.Hub.open(file) as hub:
                return [reply.text for reply in hub.map(["a", "b"], max_tokens=5)]

        assert await asyncio.to_thread(work) == ["a", "b"]
