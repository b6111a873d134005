"""A key planted in the configuration stays there: it is in no log, error, JSON, repr or traceback of a run of faults."""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from modelbay import Hub, collect
from modelbay.errors import ModelbayError
from modelbay.events import Failed, Reply
from modelbay.replay import outcome
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from modelbay.simulator.faults import FAULTS
from tests.fault_config import KEY, NAMES, hub_config
from tests.faults.raw_server import Client, RawServer, reply

HEADER = "team-password-4711"
MORE = f"""
[providers.google.custom_headers]
X-Team = "{HEADER}"
"""
ECHO_STATUSES = [400, 401, 403, 404, 413, 429, 500, 503, 529, 200]
SLOW = {"pace", "gzip-bomb", "oversized-event"}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


class Seen:
    """All output that another person could see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def look(self, text: str) -> None:
        self.lines += text.splitlines()

    async def ask(self, hub: Hub, name: str, *, stream: bool) -> None:
        recorder = hub.record()
        try:
            if stream:
                got = collect([event async for event in hub.stream("Say hello", model=name)])
            else:
                got = await hub.complete("Say hello", model=name)
        except ModelbayError as error:
            self.look("".join(traceback.format_exception(error)))
            got = collect([Failed(error)])
        self.told(got)
        self.look(recorder.lines().decode())
        self.look(repr([vars(hub), hub.config, hub.config.providers, hub._client.__dict__]))

    def told(self, got: Reply) -> None:
        self.look(msgspec.json.format(msgspec.json.encode(outcome(got)), indent=1).decode())
        self.look(repr(got))
        if got.error is not None:
            self.look(f"{got.error!r} {got.error} {vars(got.error)}")


def echo(status: int):
    """A provider that quotes the headers of each request in its answer, as proxies and debug builds do."""

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            said = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
            body = msgspec.json.encode(
                {"error": {"message": f"You sent {said}", "type": said, "code": said, "status": said, "param": said}}
            )
            asked = [
                "Content-Type: application/json",
                "Retry-After: 0",
                f"X-Request-Id: {request.headers.get('x-team')}",
            ]
            await client.send(reply(body, status, *asked, f"X-Echo: {said}"))

    return script


async def run(sim: Simulator, folder: Path, faults: list[str], rounds: int, lines: list[str]) -> None:
    seen = Seen()
    for _ in range(rounds):
        sim.reset()
        async with Hub.open(hub_config(folder, sim.url, first_byte=0.1, idle=0.1, more=MORE)) as hub:
            hub._client.policy = Policy(base=0.001)
            for fault in faults:
                for index, protocol in enumerate(NAMES):
                    await seen.ask(hub, f"{protocol}/sim-1!{fault}", stream=index % 2 == 0)
        for status in ECHO_STATUSES:
            async with (
                RawServer(echo(status)) as server,
                Hub.open(hub_config(folder, server.url, more=MORE)) as hub,
            ):
                hub._client.policy = Policy(base=0.001)
                for protocol in NAMES:
                    for stream in (True, False):
                        await seen.ask(hub, f"{protocol}/sim-1", stream=stream)
    lines += seen.lines


def check(lines: list[str], least: int) -> None:
    leaks = [line for line in lines if KEY in line or HEADER in line]
    assert not leaks, leaks[:3]
    assert len(lines) >= least


async def test_in_no_line_of_a_run_of_faults(sim: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="modelbay")
    lines: list[str] = []
    await run(sim, tmp_path, ["401", "429=0", "html", "cut-after-first", "malformed-chunk", "redirect"], 1, lines)
    check(lines + caplog.text.splitlines(), 2_000)
    assert "…" in caplog.text


@pytest.mark.soak
async def test_in_none_of_ten_thousand_lines(sim: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="modelbay")
    lines: list[str] = []
    await run(sim, tmp_path, [fault for fault in FAULTS if fault not in SLOW], 5, lines)
    logged = caplog.text.splitlines()
    print(f"{len(logged):,} lines of logs, {len(lines):,} of errors, JSON, reprs and recordings")
    check(logged, 10_000)
    check(lines, 10_000)
