"""Processes of a run: started, measured by the kernel's accounting, and ended with the report."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

MIB = 2**20
END = 10.0
"""Seconds to end after SIGTERM; SIGKILL follows."""


class Running:
    """A process and its children."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    @property
    def pids(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def cpu(self) -> float:
        """Processor seconds of all of its processes."""
        return sum(map(cpu_of, self.pids))

    def memory(self) -> tuple[float, float]:
        """Resident memory in MiB: all pages (RSS), and those that no other process has (USS)."""
        rss = uss = 0.0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, size = line.partition(":")
                if name == "Rss":
                    rss += int(size.split()[0]) * 1024 / MIB
                elif name in ("Private_Clean", "Private_Dirty"):
                    uss += int(size.split()[0]) * 1024 / MIB
        return rss, uss


def cpu_of(pid: int) -> float:
    """Processor seconds of a process, with all its threads. Linux numbers the clock of a process in this way."""
    return time.clock_gettime((~pid << 3) | 2)


class Processes:
    """Starts processes, and ends all of them on exit."""

    def __init__(self, folder: Path, *, pinned: bool = False) -> None:
        self.folder = folder
        self._pinned = pinned
        self._stack = ExitStack()
        self._number = 0

    def __enter__(self) -> "Processes":
        def ended(number: int, frame: object) -> None:
            sys.exit(128 + number)

        before = signal.signal(signal.SIGTERM, ended)
        self._stack.callback(signal.signal, signal.SIGTERM, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self, command: Sequence[str | Path], *, port: int = 0, env: dict[str, str] | None = None, served: bool = True
    ) -> Running:
        """Start a process that prints its port, or a URL with it, as its first line, unless `port` is given."""
        self._number += 1
        log = self.folder / f"log-{self._number}.txt"
        with log.open("wb") as errors, self.on_core(0 if served else 1):
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0,
                env={**os.environ, **(env or {})},
            )  # fmt: skip
        self._stack.callback(stop, process)
        if not port:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            port = int(line.rpartition(":")[2])
        return Running(process, port)

    @contextmanager
    def on_core(self, number: int) -> Iterator[None]:
        """Processes started within run on that core, if cores are pinned."""
        if not self._pinned:
            yield
            return
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process, and its children."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
