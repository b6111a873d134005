"""A recorded exchange says what the hub said, and no secret."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from modelbay import Hub, collect
from modelbay.errors import ModelbayError
from modelbay.events import Failed, Reply
from modelbay.replay import outcome, replay
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.fault_config import KEY, NAMES, hub_config

FAULTS = [
    "",
    "401",
    "429=0",
    "html",
    "html=502",
    "wrong-type",
    "missing-end",
    "missing-end=mark",
    "malformed-chunk",
    "error-in-200",
    "cut-after-first",
    "cut-after-first=reset",
    "stall",
    "slow-headers",
    "cut-before",
    "split-utf8",
    "duplicate-start",
    "empty",
    "redirect",
]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


async def recorded(config: Path, name: str, *, stream: bool) -> tuple[Reply, bytes]:
    async with Hub.open(config) as hub:
        hub._client.policy = Policy(base=0.01)
        recorder = hub.record()
        try:
            if stream:
                reply = collect([event async for event in hub.stream("Say hello", model=name)])
            else:
                reply = await hub.complete("Say hello", model=name)
        except ModelbayError as error:
            reply = collect([Failed(error)])
    return reply, recorder.lines()


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_replay_reads_the_answer_that_the_hub_gave(
    sim: Simulator, tmp_path: Path, protocol: str, stream: bool
) -> None:
    for fault in FAULTS:
        config = hub_config(tmp_path, sim.url, fault=fault)
        name = f"{protocol}/sim-thinker" + (f"!{fault}*1" if fault else "")
        reply, lines = await recorded(config, name, stream=stream)
        assert KEY not in lines.decode()
        rows = [msgspec.json.decode(line) for line in lines.splitlines()]
        assert rows, fault
        told, said = replay(rows[-1], "x"), outcome(reply)
        del told["name"]
        if not stream and isinstance(reply.error, ModelbayError):
            told["text"] = said["text"]  # an error of `complete` has no text
            told["thinking"] = said["thinking"]
            told["usage"] = said["usage"]
        if told["error"] and said["error"]:  # a call names its method and URL as well
            assert said["error"]["message"].endswith(told["error"]["message"])
            told["error"]["message"] = said["error"]["message"]
        assert told == said, (fault, stream)


async def test_a_recording_contains_the_exchange(sim: Simulator, tmp_path: Path) -> None:
    _, lines = await recorded(hub_config(tmp_path, sim.url), "anthropic/sim-1!pace=0.02", stream=True)
    row = msgspec.json.decode(lines)
    assert {"name", "protocol", "request", "response"} <= row.keys()
    assert (row["protocol"], row["request"]["method"]) == ("anthropic", "POST")
    assert row["request"]["url"] == f"{sim.url}/v1/messages"
    assert row["request"]["headers"]["x-api-key"] == "…"
    assert row["request"]["json"]["messages"][0]["content"][0]["text"] == "Say hello"
    response = row["response"]
    assert response["status"] == 200
    times = [seconds for seconds, _ in response["chunks"]]
    assert times == sorted(times)
    assert times[-1] > 0.1
    assert sum(size for _, size in response["chunks"]) == len(response["sse"].encode())


async def test_every_attempt_is_recorded(sim: Simulator, tmp_path: Path) -> None:
    reply, lines = await recorded(hub_config(tmp_path, sim.url), "openai_chat/sim-1!429=0*1", stream=True)
    assert reply.finish
    assert [msgspec.json.decode(line)["response"]["status"] for line in lines.splitlines()] == [429, 200]


async def test_a_key_that_a_provider_echoes_is_not_recorded(sim: Simulator, tmp_path: Path) -> None:
    """The simulator says what it was asked, so the question carries the key here."""
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        recorder = hub.record()
        reply = await hub.complete(f"Say {KEY}", model="openai_chat/sim-1")
    assert KEY in reply.text
    assert KEY not in recorder.lines().decode()


async def test_a_stream_that_is_left_is_recorded_as_far_as_it_came(sim: Simulator, tmp_path: Path) -> None:
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        recorder = hub.record()
        async for _ in hub.stream("Say hello", model="google/sim-1!pace=0.05"):
            break
        await asyncio.sleep(0)
    (row,) = recorder.rows()
    assert row["response"]
