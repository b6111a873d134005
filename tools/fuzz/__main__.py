"""Fuzzes the gateway over sockets: `python -m tools.fuzz requests --minutes 10 --seed 1`.

`requests` sends mutated requests to a gateway whose provider is the simulator. `replies` lets a provider answer with mutated
replies, to clients of the gateway and to the library's transport. Each case follows from the seed and its number: `--case N`
runs one again. A finding is printed with its seed, its number and its bytes, made smaller; the program then ends with 1.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from modelbay.simulator import Simulator
from modelbay.transport import Transport
from tests.gateway.running import config_text
from tools.fuzz import replies, requests
from tools.fuzz.minimize import smallest
from tools.fuzz.process import GatewayProcess, State

AT_ONCE = {"requests": 32, "replies": 150}
"""Calls at a time. Those with mutated replies often wait for a limit."""
ROUND = 3_000
"""Cases after which the gateway must hold no more than before."""
GROWTH = 48
"""MiB that the gateway may grow after its second round."""
FILES = 48
"""Open files that the gateway may have beyond those after its first round: its pool of connections."""
SETTLING = 20.0
"""Seconds after which no request of a round is in progress any more."""
MOST = 10
"""Findings after which the program ends in any case."""


class Requests:
    """The fuzzer of the server."""

    def __init__(self, gateway: GatewayProcess, seed: int) -> None:
        self._gateway = gateway
        self._seed = seed

    async def play(self, number: int, data: bytes | None = None) -> str | None:
        """Run a case, or other bytes in its place. Returns what is wrong."""
        tried = requests.case(self._seed, number)
        if data is not None:
            tried.pieces, tried.intact = [data], []
        return await requests.played(self._gateway.url, tried)

    def data(self, number: int) -> bytes:
        return b"".join(requests.case(self._seed, number).pieces)

    def described(self, number: int) -> str:
        tried = requests.case(self._seed, number)
        return f"{len(tried.pieces)} pieces, {len(tried.intact)} valid requests first, leaves: {tried.leaves}"


class Replies:
    """The fuzzer of the client."""

    def __init__(self, gateway: GatewayProcess, seed: int, provider: replies.HostileProvider, url: str) -> None:
        self._gateway = gateway
        self._seed = seed
        self._provider = provider
        self._url = url
        self._transport = Transport()

    async def play(self, number: int, data: bytes | None = None) -> str | None:
        tried = replies.case(self._seed, number)
        if data is not None:
            tried.pieces, tried.must = [data], ""
        self._provider.cases[number] = tried
        try:
            if tried.direct:
                return await replies.sent(self._transport, self._url, tried)
            return await replies.asked(self._gateway.url, tried)
        finally:
            self._provider.cases.pop(number, None)

    def data(self, number: int) -> bytes:
        return b"".join(replies.case(self._seed, number).pieces)

    def described(self, number: int) -> str:
        tried = replies.case(self._seed, number)
        way = "transport" if tried.direct else f"{tried.client} over {tried.upstream}"
        return f"{way}, stream: {tried.stream}, must: {tried.must or 'anything'}, end: {tried.end}, {len(tried.pieces)} pieces"

    async def close(self) -> None:
        await self._transport.aclose()
        await self._provider.stop()


class Run:
    """Cases, many at a time, and what they find."""

    def __init__(self, side: Requests | Replies, gateway: GatewayProcess, seed: int, at_once: int) -> None:
        self._side = side
        self._at_once = at_once
        self._gateway = gateway
        self._seed = seed
        self.cases = 0
        self.findings = 0
        self.once = 0
        """Faults that a case showed once: with others beside it, or on a machine that was too slow for the limits."""
        self._first: State | None = None
        self._playing = 0
        self._recent: deque[int] = deque(maxlen=2 * at_once)
        self._free = asyncio.Event()
        """Not set while a finding is examined, alone."""
        self._free.set()
        self._reporting = asyncio.Lock()

    async def until(self, end: float, *, keep_going: bool) -> None:
        numbers = count()
        while time.monotonic() < end and (keep_going or not self.findings) and self.findings < MOST:
            batch = [next(numbers) for _ in range(ROUND)]
            left = iter(batch)
            await asyncio.gather(*[self._worker(left, end) for _ in range(self._at_once)])
            await self._settle()

    async def _worker(self, left: Iterator[int], end: float) -> None:
        for number in left:
            if time.monotonic() > end or self.findings >= MOST:
                return
            await self.one(number)

    async def one(self, number: int) -> None:
        await self._free.wait()
        self._playing += 1
        self._recent.append(number)
        try:
            wrong = await self._side.play(number)
        finally:
            self._playing -= 1
        self.cases += 1
        if not self._gateway.alive:
            raise SystemExit(f"the gateway ended during case {number} of seed {self._seed}")
        logged = self._gateway.wrong()
        if wrong or logged:
            async with self._reporting:
                self._free.clear()
                while self._playing:
                    await asyncio.sleep(0.05)
                await self._report(number, wrong, logged)
                self._free.set()

    async def _report(self, number: int, wrong: str | None, logged: str | None) -> None:
        if wrong is not None and logged is None and await self._side.play(number) is None and not self._gateway.wrong():
            self.once += 1
            print(f"\nseed {self._seed}, case {number} ({self._side.described(number)}), once: {wrong}", flush=True)
            return
        self.findings += 1
        if wrong is None:
            number = await self._culprit() or number
        print(f"\nseed {self._seed}, case {number} ({self._side.described(number)}): {wrong or 'an error in the log'}")
        if logged:
            print(logged)

        async def fails(data: bytes) -> bool:
            again = await self._side.play(number, data)
            return bool(self._gateway.wrong() or again)

        data = self._side.data(number)
        if await fails(data):
            data = await smallest(data, fails)
        print(f"bytes: {data[:3_000]!r}", flush=True)

    async def _culprit(self) -> int | None:
        """The recent case that causes an error in the log."""
        self._gateway.wrong()
        for number in reversed(self._recent):
            await self._side.play(number)
            if self._gateway.wrong():
                return number
        return None

    async def _settle(self) -> None:
        """Compare what the gateway holds with what it held after the first round."""
        end = time.monotonic() + SETTLING
        state = self._gateway.state()
        while state.connections and time.monotonic() < end:
            await asyncio.sleep(0.2)
            state = self._gateway.state()
        print(f"{self.cases:,} cases, {self.findings} findings, {self.once} once; {state}", flush=True)
        if self._first is None:
            self._first = state
        elif (
            state.connections
            or state.tasks > self._first.tasks + 2
            or state.files > self._first.files + FILES
            or state.mib > self._first.mib + GROWTH
        ):
            self.findings += 1
            print(f"\nseed {self._seed}: the gateway holds more than after its first round: {self._first}")


async def fuzz(given: argparse.Namespace, folder: Path) -> int:
    """Return the number of findings."""
    limits = f"timeout = {{ connect = {replies.IDLE}, first_byte = {replies.IDLE}, idle = {replies.IDLE} }}"
    with Simulator() as simulator:
        provider = replies.HostileProvider()
        url = simulator.url if given.what == "requests" else await provider.start()
        text = config_text(url, settings="concurrent = 1000")
        (folder / "config.toml").write_text(
            text.replace('api_key = "sk-provider"', f'api_key = "sk-provider"\n{limits}')
        )
        gateway = GatewayProcess(folder)
        side = (
            Requests(gateway, given.seed) if given.what == "requests" else Replies(gateway, given.seed, provider, url)
        )
        run = Run(side, gateway, given.seed, AT_ONCE[given.what])
        began = time.monotonic()
        try:
            if given.case is None:
                await run.until(began + given.minutes * 60, keep_going=given.keep_going)
            else:
                await run.one(given.case)
        finally:
            if isinstance(side, Replies):
                await side.close()
            gateway.stop()
        minutes = (time.monotonic() - began) / 60
        print(f"{given.what}: {run.cases:,} cases in {minutes:.1f} minutes, seed {given.seed}, {run.findings} findings")
        if run.once:
            print(f"{run.once} cases failed once: read their lines above")
        return run.findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["requests", "replies"])
    parser.add_argument("--minutes", type=float, default=1.0, help="duration (1)")
    parser.add_argument("--seed", type=int, default=1, help="start of the random cases (1)")
    parser.add_argument("--case", type=int, help="number of the only case to run")
    parser.add_argument("--keep-going", action="store_true", help="continue after a finding")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 1 if asyncio.run(fuzz(given, Path(folder))) else 0


if __name__ == "__main__":
    sys.exit(main())
