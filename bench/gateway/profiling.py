"""A profile of the gateway under the report's load: `python -m bench gateway --profile CASE`.

The gateway runs in a process of its own under cProfile, which this module starts: SIGUSR1 switches it on after a run that does
not count, and SIGUSR1 after the load writes it. A profile makes calls of small functions look more expensive than they are.
"""

import cProfile
import os
import pstats
import signal
import sys
import time
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
    functions: list[tuple[str, float, float, float]] = [
        (_name(*where), calls / count, own / count * 1e6, cumulative / count * 1e6)
        for where, (_, calls, own, cumulative, _) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    parts = [f"{remark}, {sum(own for _, _, own, _ in functions):.0f} µs with it"]
    by_own = sorted(functions, key=lambda row: row[2], reverse=True)
    by_cumulative = sorted(functions, key=lambda row: row[3], reverse=True)
    for title, rows in (("By own time", by_own), ("By cumulative time", by_cumulative)):
        cells = [[name, f"{calls:.2f}", f"{own:.1f}", f"{total:.1f}"] for name, calls, own, total in rows[:SHOWN]]
        parts.append(table(title, ["", "calls", "own µs", "cumulative µs"], cells))
    return "\n".join(parts)


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
