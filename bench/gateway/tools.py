"""The mock provider and the load generator: programs in C, or their replacements in Python where there is no compiler."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from bench.gateway.processes import Processes, Running

SOURCES = Path(__file__).resolve().parent.parent / "native"
TIMES_OUT = 120.0
SHOWN = 300
"""Maximum characters of an error."""


class Load(Struct, frozen=True):
    """The result of one run of the load generator. See `native/load.c`."""

    requests: int
    errors: int
    events: int
    bytes: int
    seconds: float
    p50: float
    p99: float
    complaint: str = ""
    """The first error."""


class Lane(Struct, frozen=True):
    """A server, a request to it, and text among the last bytes of a correct reply."""

    server: Running
    request: Path
    ending: str


class Tools(Struct, frozen=True):
    """The commands of both programs."""

    upstream: list[str]
    load: list[str]
    native: bool

    def start_upstream(self, processes: Processes, replies: Path) -> Running:
        return processes.start([*self.upstream, str(replies)], served=False)

    def begin(self, processes: Processes, lane: Lane, counts: tuple[int, int]) -> "subprocess.Popen[str]":
        """Start to send the request of a lane as often as `counts` says: (connections, requests)."""
        words = [*self.load, str(lane.server.port), *map(str, counts), str(lane.request), lane.ending]
        with processes.on_core(1):
            return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, processes: Processes, lane: Lane, counts: tuple[int, int]) -> Load:
        return result(self.begin(processes, lane, counts))


def result(process: "subprocess.Popen[str]") -> Load:
    """The result of a load generator, when it has ended."""
    with process:
        try:
            out, errors = process.communicate(timeout=TIMES_OUT)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"the load generator failed: {errors.strip()}")
    return Load(**json.loads(out), complaint=errors.strip()[:SHOWN])


def prepare(folder: Path) -> Tools:
    """Build the programs into a folder, if there is a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        python = [sys.executable, "-m"]
        return Tools([*python, "bench.gateway.python_upstream"], [*python, "bench.gateway.python_load"], native=False)
    for name in ("upstream", "load"):
        words = [compiler, "-O2", "-o", str(folder / name), str(SOURCES / f"{name}.c")]
        built = subprocess.run(words, capture_output=True, text=True, check=False)
        if built.returncode:
            raise RuntimeError(f"{name}.c could not be compiled: {built.stderr}")
    return Tools([str(folder / "upstream")], [str(folder / "load")], native=True)
