"""The agents that are installed on this machine, and their versions."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

from msgspec import Struct

from modelbay.launching.program import AgentProgram
from modelbay.storage.paths import inherited_environment

LIMIT = 60.0
"""Seconds that an agent may take to print its version."""
HOMES = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")
"""The variables that name the user's folders, on POSIX and on Windows."""
XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
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
    """The version that an agent prints: the first text that looks like one.

    Agents create their folders although they only print it, so it is asked in an empty home. If it does not start there, for
    example because its version manager has its settings in the user's home, it is asked again in that home.
    """
    with TemporaryDirectory(prefix="modelbay-", ignore_cleanup_errors=True) as folder:
        empty = {name: value for name, value in inherited_environment().items() if name not in _folders(program)}
        version = _printed(path, program, empty | dict.fromkeys(HOMES, folder))
    return version or _printed(path, program, inherited_environment())


def _folders(program: AgentProgram) -> tuple[str, ...]:
    """The variables that name folders of an agent."""
    return (*XDG, program.home.variable) if program.home is not None else XDG


def _printed(path: str, program: AgentProgram, environment: dict[str, str]) -> str | None:
    try:
        done = subprocess.run(
            [path, *program.version],
            env=environment,
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
