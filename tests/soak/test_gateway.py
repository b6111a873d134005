"""The gateway under load: thousands of clients that leave at any moment, and hundreds of slow streams."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.gateway.clients import ClientKeys
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, post
from tests.gateway.running import KEY, PROTOCOLS, config_text, running
from tests.gateway.test_app import request

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]
MIB = 2**20
FAULTS = ("", "", "!slow-headers", "!slow-first-token", "!stall", "!429=1", "!pace=0.005", "!error-in-200")


class Process:
    """`modelbay serve`, and what the system knows about it."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "MODELBAY_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
        self._log = (folder / "log").open("w")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "modelbay", "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        assert self._popen.stdout
        self.url = self._popen.stdout.readline().strip()
        self._reader = threading.Thread(target=self._popen.stdout.read, daemon=True)
        self._reader.start()
        self._folder = Path(f"/proc/{self._popen.pid}")

    @property
    def memory(self) -> int:
        """The resident set, in bytes."""
        return int((self._folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def sockets(self) -> int:
        found = 0
        for link in (self._folder / "fd").iterdir():
            with suppress(OSError):
                found += os.readlink(link).startswith("socket:")
        return found

    def stop(self) -> None:
        self._popen.terminate()
        self._popen.wait(100)
        self._reader.join()
        assert self._popen.stdout
        self._popen.stdout.close()
        self._log.close()


@contextmanager
def serving(folder: Path, pace: float, concurrent: int) -> Iterator[tuple[Process, Simulator]]:
    with Simulator(pace=pace) as simulator:
        (folder / "config.toml").write_text(config_text(simulator.url, settings=f"concurrent = {concurrent}"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MODELBAY_HOME", str(folder))
            ClientKeys().add("tests", KEY)
        process = Process(folder)
        try:
            yield process, simulator
        finally:
            process.stop()


async def leave_at_any_moment(url: str, times: int, at_once: int, seed: int) -> Counter[str]:
    """Clients that leave. Returns how far they came."""
    choose, ends, left = random.Random(seed), Counter[str](), iter(range(times))

    async def one() -> None:
        for _ in left:
            client, upstream = choose.choice(PROTOCOLS), choose.choice(PROTOCOLS)
            model = f"{upstream}/sim-1{choose.choice(FAULTS)}"
            path, body = request(
                client, model.replace("=", "%3D") if client == "google" else model, stream=choose.random() < 0.8
            )
            data = post(path, body)
            moment, end = choose.random() ** 3 * 0.3, "before the end"
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with RawClient(url) as connection, asyncio.timeout(moment):
                    await connection.send(data if choose.random() < 0.9 else data[: choose.randrange(len(data))])
                    end = "without a response"
                    end = str((await connection.head()).status)
                    await connection.rest()
            ends[end] += 1

    await asyncio.gather(*[one() for _ in range(at_once)])
    return ends


async def settled(read: Callable[[], int], wanted: int) -> int:
    """The value when it is at most `wanted`, or after a minute."""
    for _ in range(600):
        if (value := read()) <= wanted:
            break
        await asyncio.sleep(0.1)
    return value


async def test_10_000_clients_that_leave_at_any_moment_leave_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path, pace=0.005, concurrent=64) as (process, simulator):
        await leave_at_any_moment(process.url, 1_000, 40, 1)
        sockets = await settled(lambda: process.sockets, 40)
        memory = [process.memory]
        ends = Counter[str]()
        for part in range(9):
            ends += await leave_at_any_moment(process.url, 1_000, 40, part + 2)
            memory.append(process.memory)
        after = await settled(lambda: process.sockets, 40)
        print(dict(ends), "sockets", sockets, after, "MiB", [round(size / MIB, 1) for size in memory])
        assert after <= 40, "the pool of connections to the provider, and the listener"
        assert memory[-1] - memory[3] < 6 * MIB
        assert ends["429"] < sum(ends.values()) / 5
        for entry in simulator.journal:
            await entry.wait_over()
        for _ in range(64):  # all may be in progress again
            async with RawClient(process.url) as client:
                await client.send(post(*request("anthropic", "google")))
                assert (await client.response()).status == 200


async def test_clients_that_leave_leave_no_task_behind(tmp_path: Path) -> None:
    with running(tmp_path, pace=0.005) as (at, _):
        await leave_at_any_moment(at.url, 50, 20, 1)
        watching = at.gateway._watching
        assert watching is not None
        loop = watching.get_loop()

        def tasks() -> int:
            return len(asyncio.all_tasks(loop))

        before = await settled(tasks, 4)
        await leave_at_any_moment(at.url, 2_000, 40, 2)
        after = await settled(tasks, before)
        print("tasks", before, after)
        assert after <= before
        assert await settled(lambda: at.server.connections, 0) == 0


async def test_500_slow_streams_fit_into_150_mib(tmp_path: Path) -> None:
    with serving(tmp_path, pace=0.5, concurrent=1_000) as (process, _):
        idle, most, done = process.memory, 0, 0

        async def one(number: int) -> None:
            nonlocal done
            protocol = PROTOCOLS[number % 4]
            path, body = request(protocol, PROTOCOLS[number // 4 % 4], "word " * 20, stream=True)
            async with RawClient(process.url) as client:
                await client.send(post(path, body))
                found = await client.response()
            assert found.status == 200
            parser = codec(protocol).stream_parser(PLAIN)
            assert collect([*parser.feed(found.body), *parser.close()]).finish
            done += 1

        streams = asyncio.gather(*[one(number) for number in range(500)])
        while not streams.done():
            most = max(most, process.memory)
            await asyncio.sleep(0.1)
        await streams
        print("MiB: idle", round(idle / MIB, 1), "most", round(most / MIB, 1))
        assert done == 500
        assert most < 150 * MIB
