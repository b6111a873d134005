"""`python -m bench library`: the processor time of a call and of a chunk, of modelbay and other libraries, as ratios to aiohttp
with json.

Each library runs in a process of its own. In each round all of them take turns, so that a busy moment slows all of them.
"""

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from bench.gateway.processes import Processes
from bench.gateway.tools import prepare
from bench.gateway.traffic import Replies, write_replies
from bench.gateway.values import Figure, Report, Section, Target
from bench.library.clients import CLIENTS, PROTOCOLS, Place

BARE = next(iter(CLIENTS))
OURS = "modelbay"
TARGETS = {"call": Target(1.5, 1.0), "chunk": Target(1.0, 0.8)}
MODULES = {BARE: "aiohttp", "google-genai": "google.genai", "pydantic-ai": "pydantic_ai"}
"""The module of a library, if it has another name."""


class Sizes(Struct, frozen=True):
    rounds: int
    calls: int
    streams: int
    """Streams at the same time."""
    chunks: int
    """Chunks of each stream."""
    pace: int = 10_000
    """Microseconds between two chunks of a stream."""


FULL = Sizes(rounds=7, calls=200, streams=20, chunks=150)
QUICK = Sizes(rounds=3, calls=60, streams=10, chunks=60)


class Worker:
    """A library in its process."""

    def __init__(self, name: str, place: Place) -> None:
        words = [sys.executable, "-m", "bench.library.worker", name, msgspec.json.encode(place).decode()]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        self._said()

    def seconds(self, kind: str, count: int) -> float:
        """The processor time of `count` calls or streams."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {count}\n")
        self.process.stdin.flush()
        return float(self._said())

    def _said(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended")
        return line


def measure(sizes: Sizes) -> Report:
    whole, stream = Replies("whole"), Replies("stream", chunks=sizes.chunks, pace=sizes.pace)
    with TemporaryDirectory(prefix="modelbay-bench-") as folder, Processes(Path(folder)) as processes:
        tools = prepare(processes.folder)
        port = tools.start_upstream(processes, write_replies(processes.folder / "replies", [whole, stream])).port
        sections = [
            section
            for protocol, names in PROTOCOLS.items()
            for section in _protocol(
                sizes, Place(port, protocol, whole, stream), [name for name in names if _has(name)]
            )
        ]
        remarks = [f"The library beside others: {sizes.rounds} rounds, load average {os.getloadavg()[0]:.1f}."]
        if missing := [name for name in CLIENTS if not _has(name)]:
            remarks.append(f"Not installed: {', '.join(missing)}.")
        return Report(remarks, sections)
    raise AssertionError("not reached")


def _has(name: str) -> bool:
    return find_spec(MODULES.get(name, name)) is not None


def _protocol(sizes: Sizes, place: Place, names: list[str]) -> list[Section]:
    calls: dict[str, list[float]] = {name: [] for name in names}
    chunks: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        workers = {name: Worker(name, place) for name in names}
        for worker in workers.values():
            stack.enter_context(worker.process)  # the end of its standard input ends it
        for number in range(sizes.rounds + 1):
            for name, worker in workers.items():
                call = worker.seconds("call", sizes.calls) / sizes.calls
                chunk = worker.seconds("stream", sizes.streams) / sizes.streams / sizes.chunks
                if number:
                    calls[name].append(call * 1e6)
                    chunks[name].append(chunk * 1e6)
    pace = f"a chunk each {sizes.pace // 1000} ms" if sizes.pace else "all chunks at once"
    each = f"CPU per chunk, {sizes.streams} streams, {pace}"
    return [
        _section(f"{place.protocol}: CPU per call, 1 KB", calls, TARGETS["call"]),
        _section(f"{place.protocol}: {each}", chunks, TARGETS["chunk"]),
    ]


def _section(title: str, found: dict[str, list[float]], target: Target) -> Section:
    figures = [Figure(name, values, found[BARE], target if name == OURS else None) for name, values in found.items()]
    return Section(title, BARE, "µs", figures)


def quick() -> str:
    return measure(QUICK).text()


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m bench library", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Fewer rounds, calls and chunks.")
    parser.add_argument("--burst", action="store_true", help="Chunks that arrive together, instead of one each 10 ms.")
    given = parser.parse_args(words)
    sizes = QUICK if given.quick else FULL
    print(measure(msgspec.structs.replace(sizes, pace=0) if given.burst else sizes).text(), flush=True)
