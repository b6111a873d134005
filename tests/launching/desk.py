"""The command `modelbay launch` with fake agents on its PATH."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from subprocess import Popen
from typing import Any

from modelbay.launching.program import programs
from modelbay.simulator import Simulator
from tests.cli.command import Command
from tests.fault_config import LONG

FAKE = Path(__file__).with_name("fake_agent.py")


def until(found: Callable[[], Any]) -> Any:
    """The first true result of a function, which is called until then."""
    end = time.monotonic() + LONG
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return result


class LaunchDesk(Command):
    """A home with a configuration, and fake agents."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.user = folder / "user"
        self.room = folder / "room"
        self.bin = folder / "bin"
        for path in (self.user, self.room, self.bin, folder / "modelbay"):
            path.mkdir()
        super().__init__(folder / "modelbay", simulator)
        self.environment |= {"HOME": str(self.user), "PATH": f"{self.bin}:{os.environ['PATH']}"}
        self._names: list[str] = []
        for program in programs().values():
            self.add(program.command)

    def add(self, command: str) -> None:
        script = self.bin / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
        script.chmod(0o755)

    @property
    def launches(self) -> Path:
        return self.home / "launches"

    def file(self, name: str) -> str:
        return str(self.room / name)

    def seen(self, name: str) -> dict[str, Any]:
        """The content of a file that an agent writes with `show`, as soon as it exists."""
        file = self.room / name
        until(file.exists)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def agent(self, name: str, *options: str) -> "Popen[str]":
        """A running launch, whose agent shows itself in the file `name` and ends when the file `name.end` exists."""
        self._names.append(name)
        return self.start("launch", "claude", *options, "--", "show", self.file(name), "wait", self.file(f"{name}.end"))

    def ended(self, name: str, running: "Popen[str]") -> int:
        """End the agent of a launch, and return the exit code of the launcher."""
        (self.room / f"{name}.end").touch()
        running.communicate()  # until the agent has closed its output, too
        return running.returncode

    def end_all(self) -> None:
        """End the agents that a failed test left behind."""
        for name in self._names:
            (self.room / f"{name}.end").touch()

    def gateways(self) -> list[Path]:
        return sorted(self.launches.glob("*.gateway"))

    def hashes(self) -> dict[str, str]:
        """The content of each file in the user's home."""
        return {
            str(path.relative_to(self.user)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.user.rglob("*"))
            if path.is_file()
        }


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
