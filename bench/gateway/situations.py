"""The situations that are measured. In each round of one, all servers take turns, so that a busy moment slows all of them."""

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from msgspec import Struct

from bench.gateway.processes import Processes, Running, cpu_of, stop
from bench.gateway.proxies import Installation
from bench.gateway.tools import Lane, Load, Tools, result
from bench.gateway.traffic import Exchange, Replies
from bench.gateway.values import Figure, Section, Target

NGINX, BARE, PASSED = "nginx", "bare proxy in Python", "passed on"
IMPORTS = "import asyncio, uvloop, httptools, msgspec"


class Sizes(Struct, frozen=True):
    """How much is measured."""

    rounds: int
    requests: int
    """Requests of a run on 16 connections."""
    single: int
    """Requests of a run on one connection."""
    agent: int
    """Requests of a run with the body of an agent."""
    streams: int
    chunks: int
    """Chunks of each stream."""
    crowd: int
    """Streams at the same time while memory is measured."""
    connections: int = 16


FULL = Sizes(rounds=7, requests=1000, single=400, agent=240, streams=100, chunks=150, crowd=500)
QUICK = Sizes(rounds=3, requests=400, single=150, agent=80, streams=100, chunks=60, crowd=500)


class Bench:
    """The mock provider, the files of requests, and the processes of a run."""

    def __init__(self, processes: Processes, tools: Tools, sizes: Sizes) -> None:
        self.processes, self.tools, self.sizes = processes, tools, sizes
        self._files = 0

    def lane(self, server: Running, request: bytes, ending: str) -> Lane:
        self._files += 1
        file = self.processes.folder / f"request-{self._files}"
        file.write_bytes(request)
        return Lane(server, file, ending)

    def through(self, server: Running, installation: Installation, exchange: Exchange) -> Lane:
        return self.lane(server, exchange.request(installation.key), exchange.ending)

    def direct(self, server: Running, exchange: Exchange) -> Lane:
        return self.lane(server, exchange.direct(), exchange.ending)

    def samples(self, lanes: dict[str, Lane], counts: tuple[int, int], rounds: int) -> "dict[str, Samples]":
        """Run each lane once per round, after a run that does not count."""
        found = {name: Samples() for name in lanes}
        connections, requests = counts
        for number in range(rounds + 1):
            for name, lane in lanes.items():
                before = lane.server.cpu()
                load = self.tools.run(self.processes, lane, (connections, requests if number else connections))
                if number:
                    found[name].add(load, lane.server.cpu() - before)
        return found


class Samples:
    """The runs of one lane."""

    def __init__(self) -> None:
        self.per_request: list[float] = []
        """Microseconds of processor time."""
        self.per_event: list[float] = []
        self.latency: list[float] = []
        """Median microseconds of a request."""
        self.failure = ""

    def add(self, load: Load, cpu: float) -> None:
        self.per_request.append(cpu / load.requests * 1e6)
        self.per_event.append(cpu / max(load.events, 1) * 1e6)
        self.latency.append(load.p50)
        if load.errors and not self.failure:
            self.failure = f"{load.errors} of {load.requests} requests failed: {load.complaint}"


def section(
    title: str, unit: str, found: dict[str, Samples], base: str, of: Callable[[Samples], list[float]],
    targets: dict[str, Target],
) -> Section:  # fmt: skip
    figures = [
        Figure(name, of(samples), of(found[base]), targets.get(name) if base == NGINX else None, samples.failure)
        for name, samples in found.items()
    ]
    return Section(title, base, unit, figures)


def agent(bench: Bench, lanes: dict[str, tuple[Lane, Lane]], body: bytes, targets: dict[str, Target]) -> Section:
    """An agent's request, as a ratio to `json.loads` of its body in the same round. Each lane comes with one of 1 KB: the
    difference is the cost of the larger body."""
    both = {name: one for name, (one, _) in lanes.items()} | {f"{name}, small": one for name, (_, one) in lanes.items()}
    found: dict[str, Samples] = {name: Samples() for name in both}
    bases: list[float] = []
    for number in range(bench.sizes.rounds):
        bases.append(_decoding(body))
        for name, lane in both.items():
            if not number:
                bench.tools.run(bench.processes, lane, (bench.sizes.connections,) * 2)
            before = lane.server.cpu()
            load = bench.tools.run(bench.processes, lane, (bench.sizes.connections, bench.sizes.agent))
            found[name].add(load, lane.server.cpu() - before)
    figures = [Figure("json.loads", bases, bases)]
    for name in lanes:
        whole, small = found[name], found[f"{name}, small"].per_request
        more = [large - little for large, little in zip(whole.per_request, small, strict=True)]
        figures.append(Figure(name, whole.per_request, bases, targets.get(name), whole.failure))
        figures.append(Figure(f"{name}, more than for 1 KB", more, bases))
    return Section(f"CPU per request of an agent, {len(body) / 1000:.0f} KB", "json.loads", "µs", figures)


def _decoding(body: bytes) -> float:
    times = []
    for _ in range(9):
        start = time.process_time()
        for _ in range(10):
            json.loads(body)
        times.append((time.process_time() - start) / 10 * 1e6)
    return statistics.median(times)


def start(bench: Bench, installations: dict[str, Installation], exchange: Exchange, target: Target) -> Section:
    """The time from the start of the process to the first answer, and its processor time."""
    names = [IMPORTS, *installations]
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for number in range(bench.sizes.rounds + 1):
        for name in names:
            one = installations.get(name)
            took = _first_answer(one, exchange) if one else _import()
            if number:
                wall[name].append(took[0] * 1e3)
                cpu[name].append(took[1] * 1e3)
    figures = [Figure(name, wall[name], wall[IMPORTS], target if name != IMPORTS else None) for name in names]
    figures += [Figure(f"{name}, CPU", cpu[name], cpu[IMPORTS]) for name in installations]
    return Section("Start to the first answer", "imports", "ms", figures)


def _import() -> tuple[float, float]:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", IMPORTS])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def _first_answer(installation: Installation, exchange: Exchange) -> tuple[float, float]:
    head, _, body = exchange.request(installation.key).partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    began = time.perf_counter()
    server = installation.serve()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", line.split()[1], body, dict(field.split(": ", 1) for field in fields))
    status = connection.getresponse()
    status.read()
    took = time.perf_counter() - began, cpu_of(server.process.pid)
    connection.close()
    stop(server.process)
    if status.status != 200:
        raise RuntimeError(f"the first answer has the status {status.status}")
    return took


def memory(
    bench: Bench, installations: dict[str, Installation], first: Exchange, crowd: Exchange, targets: tuple[Target, Target]
) -> Section:  # fmt: skip
    """Resident memory after the first answer, and the maximum while many streams are open."""
    figures: list[Figure] = []
    for name, installation in installations.items():
        server = installation.serve()
        one = bench.tools.run(bench.processes, bench.through(server, installation, first), (1, 1))
        idle = server.memory()
        loading = bench.tools.begin(
            bench.processes, bench.through(server, installation, crowd), (bench.sizes.crowd, bench.sizes.crowd)
        )
        most = [server.memory()]
        while loading.poll() is None:
            time.sleep(0.2)
            most.append(server.memory())
        load = result(loading)
        stop(server.process)
        failure = load.complaint if load.errors else one.complaint
        busy = f"{name}, {bench.sizes.crowd} streams"
        figures += [
            Figure(f"{name}, idle", [idle[0]], [], targets[0], failure),
            Figure(busy, [max(rss for rss, _ in most)], [], targets[1], failure),
            Figure(f"{name}, idle, USS", [idle[1]], []),
            Figure(f"{busy}, USS", [max(uss for _, uss in most)], []),
        ]
    return Section("Resident memory", "", "MiB", figures)


def kinds(sizes: Sizes) -> tuple[Replies, Replies, Replies]:
    """Replies for the situations: whole ones, streams, and the streams of a crowd."""
    return (
        Replies("whole"),
        Replies("stream", chunks=sizes.chunks, pace=10_000),
        Replies("crowd", chunks=min(sizes.chunks, 60), pace=50_000),
    )
