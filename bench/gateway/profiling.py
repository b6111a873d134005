"""A profile of the gateway under the report's load: `python -m bench gateway --profile CASE`.

The gateway runs in a process of its own under cProfile, which this module starts: SIGUSR1 switches it on after a run that does
not count, and SIGUSR1 after the load writes it. The profiler's own time is measured and subtracted: it would make calls of small
functions look many times more expensive than they are.
"""

import cProfile
import os
import pstats
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.gateway.processes import Processes
from bench.gateway.proxies import Installation
from bench.gateway.situations import Bench, Sizes, kinds
from bench.gateway.tools import prepare
from bench.gateway.traffic import agent_exchange, exchange, write_replies
from bench.table import table

CHAT, ANTHROPIC = "openai_chat", "anthropic"
CASES = {
    "passed": (CHAT, CHAT),
    "translated": (ANTHROPIC, CHAT),
    "chunks-passed": (CHAT, CHAT),
    "chunks": (ANTHROPIC, CHAT),
    "agent-passed": (ANTHROPIC, ANTHROPIC),
    "agent": (ANTHROPIC, CHAT),
}
"""The protocols of the client and the provider."""
CALLS = 20_000
Where = tuple[str, int, str]
"""File, line and name of a function."""
Entry = tuple[int, int, float, float, dict[Where, tuple[int, int, float, float]]]
"""Of a function: calls without recursion, calls, own and cumulative seconds, and the same for each caller."""
DEEPEST = 60
"""Levels of calls."""
SHOWN = 45
"""Functions in each list."""


def report(case: str, sizes: Sizes) -> str:
    with TemporaryDirectory(prefix="modelbay-bench-") as folder, Processes(Path(folder)) as processes:
        bench = Bench(processes, prepare(processes.folder), sizes)
        whole, stream, _ = kinds(sizes)
        chunks = case.startswith("chunks")
        replies = stream if chunks else whole
        upstream = bench.tools.start_upstream(processes, write_replies(processes.folder / "replies", [replies])).port
        installation = Installation(processes, upstream, [replies])
        one = (agent_exchange if case.startswith("agent") else exchange)(*CASES[case], replies)
        counts = (sizes.streams, sizes.streams) if chunks else (sizes.connections, sizes.requests)
        lane = bench.through(installation.serve(), installation, one)
        plain = bench.samples({case: lane}, counts, 1)[case]
        file = Path(folder) / "profile"
        server = installation.serve(program=("-m", "bench.gateway.profiling", str(file)))
        lane = bench.through(server, installation, one)
        bench.tools.run(processes, lane, (sizes.connections, sizes.connections))
        os.kill(server.process.pid, signal.SIGUSR1)
        load = bench.tools.run(processes, lane, counts)
        os.kill(server.process.pid, signal.SIGUSR1)
        while not file.exists():
            time.sleep(0.05)
        if load.errors:
            raise RuntimeError(load.complaint)
        count, what = (load.events, "chunk") if chunks else (load.requests, "request")
        used = (plain.per_event if chunks else plain.per_request)[0]
        return _tables(pstats.Stats(str(file)), count, f"{used:.0f} µs of CPU per {what} without the profile")
    raise AssertionError("not reached")


def _tables(stats: pstats.Stats, count: int, remark: str) -> str:
    entries: dict[Where, Entry] = stats.stats  # type: ignore[attr-defined]
    own = _without_profiler(entries)
    cumulative = _cumulative(entries, own)
    functions = [
        (_name(*where), entry[1] / count, own[where] / count * 1e6, cumulative[where] / count * 1e6)
        for where, entry in entries.items()
    ]
    parts = [f"{remark}, {sum(own.values()) / count * 1e6:.0f} µs in the functions of the profile"]
    by_own = sorted(functions, key=lambda row: row[2], reverse=True)
    by_cumulative = sorted(functions, key=lambda row: row[3], reverse=True)
    for title, rows in (("By own time", by_own), ("By cumulative time", by_cumulative)):
        cells = [[name, f"{calls:.2f}", f"{alone:.1f}", f"{total:.1f}"] for name, calls, alone, total in rows[:SHOWN]]
        parts.append(table(title, ["", "calls", "own µs", "cumulative µs"], cells))
    return "\n".join(parts)


def _without_profiler(entries: "dict[Where, Entry]") -> "dict[Where, float]":
    """The own seconds of each function, without those of the profiler in its calls and in the calls that it makes."""
    called, calling = _overhead()
    made: dict[Where, int] = defaultdict(int)
    for entry in entries.values():
        for caller, (_, calls, _, _) in entry[4].items():
            made[caller] += calls
    return {where: max(0.0, entry[2] - called * entry[1] - calling * made[where]) for where, entry in entries.items()}


def _cumulative(entries: "dict[Where, Entry]", own: "dict[Where, float]") -> "dict[Where, float]":
    """The cumulative seconds of each function: its own, and its share of those that it calls."""
    parts: dict[Where, list[tuple[Where, float]]] = defaultdict(list)
    """The functions that each one calls, and its share of their time."""
    for where, entry in entries.items():
        for caller, (_, _, _, seconds) in entry[4].items():
            if entry[3] and caller != where:
                parts[caller].append((where, min(1.0, seconds / entry[3])))
    found = dict(own)
    for _ in range(DEEPEST):  # each pass adds the calls of one more level
        found = {
            where: min(entries[where][3], alone + sum(found[called] * share for called, share in parts[where]))
            for where, alone in own.items()
        }
    return found


def _overhead() -> tuple[float, float]:
    """Seconds that the profiler adds to a function for each of its calls, and for each call that it makes."""

    def empty() -> None:
        pass

    def calls() -> None:
        for _ in range(CALLS):
            empty()

    found = []
    for _ in range(5):
        profile = cProfile.Profile(time.thread_time)
        profile.runcall(calls)
        own = {where[2]: entry[2] for where, entry in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
        found.append((own["empty"] / CALLS, own["calls"] / CALLS))
    return min(called for called, _ in found), min(calling for _, calling in found)


def _name(file: str, line: int, function: str) -> str:
    for root in ("/src/", "/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/"):
        file = file.rpartition(root)[2]
    return function if file == "~" else f"{file}:{line} {function}"


def main() -> None:
    """Run modelbay's command line under a profile, which is written to the file of the first argument."""
    file = Path(sys.argv.pop(1))
    profile = cProfile.Profile(time.thread_time)  # the default is wall time, which includes other processes
    running = False

    def switch(*_: object) -> None:
        nonlocal running
        running = not running
        if running:
            profile.enable()
            return
        profile.disable()
        profile.dump_stats(file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)

    signal.signal(signal.SIGUSR1, switch)
    from modelbay.cli import main as run

    run()


if __name__ == "__main__":
    main()
