"""The agents that are installed on this machine, and their versions."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from modelbay.launching.program import AgentProgram

LIMIT = 60.0
"""Seconds that an agent may take to print its version."""
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*(?:[-+][0-9A-Za-z.-]+)?")


class InstalledAgent(Struct, frozen=True):
    """An agent, and its program if it is installed."""

    program: AgentProgram
    path: str | None
    """None if it is not installed."""
    version: str | None = None
    """None if it is not installed, or does not print a version."""


def installed_agents(rows: Iterable[AgentProgram]) -> list[InstalledAgent]:
    """The agents of these rows. Those that are installed are asked for their versions at the same time."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(_look, rows))


def _look(program: AgentProgram) -> InstalledAgent:
    path = shutil.which(program.command)
    return InstalledAgent(program, path, version_of(path, program) if path else None)


def version_of(path: str, program: AgentProgram) -> str | None:
    """The version that an agent prints: the first text that looks like one."""
    try:
        done = subprocess.run(
            [path, *program.version],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    return found[0] if found and done.returncode == 0 else None
