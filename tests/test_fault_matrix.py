"""Every fault of the simulator, over every protocol, by the Hub and by the command: one table of what becomes of it."""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from modelbay import Hub, collect, errors
from modelbay.errors import ModelbayError
from modelbay.events import Failed, Reply
from modelbay.hints import ROWS
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from modelbay.simulator.faults import FAULTS, parse
from modelbay.simulator.odd_streams import CALL
from tests.cli.command import MODELBAY
from tests.fault_config import KEY, LONG, NAMES, hub_config, noted


class Row(NamedTuple):
    """`stream` and `whole` are how an answer asked for so ends: in an error's class, or in a reason to finish."""

    fault: str
    stream: str
    whole: str = ""
    """As `stream`, where blank."""
    attempts: int = 1
    """How often the server was asked."""
    whole_attempts: int = 0
    left: bool = False
    """The client leaves while the server is still busy."""
    whole_left: bool = False
    but: dict[str, str] = {}  # noqa: RUF012 never changed
    """How it ends in protocols that have another word for it."""
    text: str = ""
    """The beginning of the stream's text in the result; a whole answer has all of it."""
    cli: bool = True


TABLE = [
    Row("400", "BadRequest"),
    Row("401", "AuthenticationFailed"),
    Row("403", "PermissionDenied"),
    Row("404", "NotFound"),
    Row("413", "RequestTooLarge"),
    Row("429", "RateLimited", attempts=4),
    Row("429=0.02", "RateLimited", attempts=4, cli=False),
    Row("429=0*2", "stop", attempts=3, text="You asked", cli=False),
    Row("429=ms:20*1", "stop", attempts=2, text="You asked", cli=False),
    Row("429=info:0.02*1", "stop", attempts=2, text="You asked", cli=False),
    Row("429=reset:0.02*1", "stop", attempts=2, text="You asked", cli=False),
    Row("429=date:1*1", "stop", attempts=2, text="You asked", cli=False),
    Row("429=90", "RateLimited"),
    Row("500", "ServerError", attempts=4, cli=False),
    Row("500*1", "stop", attempts=2, text="You asked"),
    Row("503", "Overloaded", attempts=4, cli=False),
    Row("503=0*3", "stop", attempts=4, text="You asked", cli=False),
    Row("529", "Overloaded", attempts=4, cli=False),
    Row("context-length", "ContextOverflow"),
    Row("quota", "QuotaExhausted"),
    Row("html", "MalformedReply", attempts=4),
    Row("html=404", "NotFound", cli=False),
    Row("html=502", "ServerError", attempts=4, cli=False),
    Row("empty", "IncompleteReply", "MalformedReply", attempts=4),
    Row("redirect", "Redirected"),
    Row("wrong-type", "stop", text="You asked"),
    Row("gzip-bomb=20", "MalformedReply"),
    Row("slow-headers", "TimedOut", attempts=2, left=True, whole_left=True),
    Row("slow-headers=0.1", "stop", text="You asked", cli=False),
    Row("slow-first-token", "TimedOut", attempts=2, left=True, whole_left=True),
    Row("slow-first-token=0.1", "stop", text="You asked", cli=False),
    Row("stall", "TimedOut", whole_attempts=2, left=True, whole_left=True, text="You"),
    Row("stall=0.1", "stop", text="You asked", cli=False),
    Row("pace", "stop", text="You asked"),
    Row("cut-before", "Disconnected", attempts=4),
    Row("cut-before=close", "Disconnected", attempts=4, cli=False),
    Row("cut-before=head", "IncompleteReply", attempts=4, cli=False),
    Row("cut-after-first", "IncompleteReply", whole_attempts=4, text="You"),
    Row("cut-after-first=reset", "IncompleteReply", whole_attempts=4, text="You", cli=False),
    Row("cut-after", "IncompleteReply", whole_attempts=4, text="You asked: Say"),
    Row("cut-after=1", "IncompleteReply", whole_attempts=4, text="You", cli=False),
    Row("malformed-chunk", "MalformedReply", whole_attempts=4, text="You"),
    Row("error-in-200", "Overloaded", whole_attempts=4, text="You", but={"anthropic": "ServerError"}),
    Row("error-in-200=429", "RateLimited", whole_attempts=4, text="You", cli=False),
    Row("error-in-200=quota", "QuotaExhausted", text="You", cli=False),
    Row("error-first", "Overloaded", attempts=4),
    Row("error-first=429", "RateLimited", attempts=4, cli=False),
    Row("error-first=500*1", "stop", attempts=2, text="You asked", cli=False),
    Row("error-first=quota", "QuotaExhausted", cli=False),
    Row("keep-alives", "TimedOut", attempts=2, left=True, whole_left=True),
    Row("open-end", "stop", text="You asked", left=True),
    Row("missing-end", "IncompleteReply", "stop", text="You asked"),
    # where the last event is what says why it ended, it is missing; elsewhere it says nothing that is needed
    Row(
        "missing-end=mark",
        "stop",
        text="You asked",
        but={"openai_responses": "IncompleteReply", "google": "IncompleteReply"},
    ),
    Row("split-utf8", "stop", text="You asked"),
    Row("oversized-event=3", "stop", text="xxx"),
    Row("duplicate-start", "stop", text="You"),  # where the first event has text of its own, it comes twice
    Row("no-usage", "stop", text="You asked"),
    Row("odd-call", "tool_calls", cli=False),
    Row("odd-call=twice", "tool_calls", cli=False),
    Row("odd-call=name", "tool_calls", cli=False),
    Row("odd-call=objects", "tool_calls", cli=False),
    Row("odd-call=cut", "length", cli=False),
    Row("odd-finish", "other", text="You asked"),
    Row("odd-finish=network_error", "IncompleteReply", text="You asked", cli=False),
    Row("odd-finish=tool_calls", "stop", text="You asked", cli=False),
    Row("content-filter", "content_filter", text="You", but={"anthropic": "refusal"}),
]
ALL_BY_COMMAND = {"401", "cut-after-first", "stall", "error-in-200"}
"""Faults that the command meets in every protocol; the others take turns, for a process takes its time."""


def test_every_fault_of_the_simulator_has_a_row() -> None:
    rows = {asked.name for row in TABLE if (asked := parse(row.fault))}
    assert rows == FAULTS.keys()


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


async def told(hub: Hub, name: str, *, stream: bool) -> tuple[Reply, str]:
    """The result of a question, and the text received until then."""
    seen: list[str] = []
    try:
        if not stream:
            reply = await hub.complete("Say hello", model=name)
            return reply, reply.text
        events = []
        async for event in hub.stream("Say hello", model=name):
            events.append(event)
            seen.append(getattr(event, "text", ""))
        return collect(events), "".join(seen)
    except ModelbayError as error:
        return collect([Failed(error)]), ""


def ending(reply: Reply) -> str:
    if reply.error is not None:
        return type(reply.error).__name__
    assert reply.finish
    return reply.finish.reason


async def check_server(sim: Simulator, attempts: range, *, left: bool) -> None:
    """The server's view: the number of requests, and that no connection stays open."""
    entries = sim.journal.calls()
    assert len(entries) in attempts
    for entry in entries:
        await entry.wait_over(LONG)
        assert (entry.disconnected is not None) is left


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_by_the_hub(sim: Simulator, tmp_path: Path, row: Row, protocol: str) -> None:
    for stream in (True, False) if "date:" not in row.fault else (True,):
        sim.reset()
        async with Hub.open(hub_config(tmp_path, sim.url, fault=row.fault)) as hub:
            hub._client.policy = Policy(base=0.01)
            start = time.monotonic()
            reply, text = await told(hub, f"{protocol}/sim-1!{row.fault}", stream=stream)
            seconds = time.monotonic() - start
        wanted = row.but.get(protocol, row.stream)
        attempts = row.attempts if stream else row.whole_attempts or row.attempts
        if not stream:
            wanted = row.whole or ("stop" if row.fault == "missing-end=mark" else wanted)
        assert ending(reply) == wanted
        assert seconds < LONG  # it waits for nothing that lasts
        if stream or reply.error is None:
            assert text.startswith(row.text)
        if reply.error is not None:
            if row.text:
                assert "Say hello" not in text or parse(row.fault).name in ("missing-end", "odd-finish")  # type: ignore[union-attr]  # never taken for whole
            assert reply.error.attempts == attempts
            assert reply.error.provider == protocol
            assert reply.error.hint
            assert KEY not in f"{reply.error} {vars(reply.error)}"
        await check_server(sim, noted(row.fault, attempts), left=row.left if stream else row.whole_left)


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("form", ["", "=twice", "=name", "=objects"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_has_one_name_and_one_set_of_arguments(
    sim: Simulator, tmp_path: Path, form: str, protocol: str, stream: bool
) -> None:
    sim.reset()
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        reply, _ = await told(hub, f"{protocol}/sim-1!odd-call{form}", stream=stream)
    [call] = reply.tool_calls
    assert (call.name, json.loads(call.arguments)) == (CALL.name, json.loads(CALL.arguments))


def _by_command() -> Sequence[tuple[Row, str]]:
    rows = [row for row in TABLE if row.cli]
    turns = [(row, NAMES[index % len(NAMES)]) for index, row in enumerate(rows)]
    every = [(row, protocol) for row in rows if row.fault in ALL_BY_COMMAND for protocol in NAMES]
    return [turn for turn in turns if turn[0].fault not in ALL_BY_COMMAND] + every


@pytest.mark.parametrize(("row", "protocol"), _by_command(), ids=lambda value: getattr(value, "fault", value))
async def test_by_the_command(sim: Simulator, tmp_path: Path, row: Row, protocol: str) -> None:
    sim.reset()
    hub_config(tmp_path, sim.url, fault=row.fault)
    start = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[MODELBAY, "ask", "--verbose", "--json", "-m", f"{protocol}/sim-1!{row.fault}", "Say hello"],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MODELBAY_HOME": str(tmp_path), "PYTHONUTF8": "1"},
    )
    out, err = (stream.decode() for stream in await process.communicate())
    seconds = time.monotonic() - start
    wanted = row.but.get(protocol, row.stream)
    answer, error = json.loads(out), json.loads(out)["error"]
    kind = getattr(errors, wanted, None)
    assert process.returncode == (0 if kind is None else 1)
    if kind is None:
        assert error is None
        assert answer["finish"] == wanted
    else:
        assert error["title"] == ROWS[kind].title
        assert (error["provider"], error["attempts"]) == (protocol, row.attempts)
        assert f"error: {error['title']}: " in err
        what = error["hint"].partition(" (")[0]  # how to do it is said in each face's own words
        assert re.search(rf"\n\nhint: {re.escape(what)}( \(.*\))?\n$", err), err
        assert answer["text"].startswith(row.text)  # the received part, and a note that it is not complete
    assert KEY not in out + err
    assert "Traceback" not in err
    assert seconds < 2 * LONG  # a process that starts on a busy machine, too
    await check_server(sim, noted(row.fault, row.attempts), left=row.left)
