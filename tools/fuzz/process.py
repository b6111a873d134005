"""The gateway's process, and its log."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

WRONG = re.compile(
    r"internal error|Traceback|^(?:ERROR|CRITICAL) |never (?:retrieved|awaited)|ResourceWarning", re.MULTILINE
)
"""Signs of an internal error in the log."""


class State(NamedTuple):
    """The resources of a process. `mib`: its resident memory."""

    tasks: int
    files: int
    connections: int
    mib: int


class GatewayProcess:
    def __init__(self, folder: Path) -> None:
        """`folder` has the configuration."""
        self._log = folder / "log"
        self._seen = 0
        command = [
            sys.executable,
            "-W",
            "always::ResourceWarning",
            "-m",
            "tools.fuzz.child",
            str(folder / "config.toml"),
        ]
        with self._log.open("w") as log:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        assert self._popen.stdin
        assert self._popen.stdout
        self._in, self._out = self._popen.stdin, self._popen.stdout
        self.url = self._out.readline().strip()
        if not self.url:
            raise SystemExit(f"the gateway did not start: {self._log.read_text()}")

    def state(self) -> State:
        self._in.write("\n")
        return State(**json.loads(self._out.readline()))

    def wrong(self) -> str | None:
        """The end of the log since the last call, if it has an internal error; else None."""
        with self._log.open(errors="replace") as log:
            log.seek(self._seen)
            text = log.read()
            self._seen = log.tell()
        return text[-4_000:] if WRONG.search(text) else None

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def stop(self) -> None:
        self._in.close()
        self._popen.wait(100)
        self._out.close()
