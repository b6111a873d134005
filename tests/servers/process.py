"""Run a server for the tests: start it, wait until it responds, and stop it with them."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from tests.servers.wire import call

ROOT = Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"^(?!\d)[^\n]*listening on (http://[\w.:-]+)[ \t]*$", re.MULTILINE)
"""Up to the end of its line, and no line that begins with the time: log lines of a server's threads may be mixed."""
START, STOP, POLL = 180.0, 5.0, 0.02
"""Seconds: maximum for a start and a stop, and the time between checks. A start may build the tiny model first."""


class Unavailable(Exception):
    """This machine cannot run the server (a package is missing, npm is offline): tests are skipped with this message."""


class StartError(Exception):
    """The server did not start."""


@contextmanager
def running(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run `command` and yield the base URL that it prints as `listening on ...`, after GET /health returned 200.

    The command binds port 0, so parallel test workers cannot collide, and exits at the end of its standard input,
    which is a pipe: it closes with the test process, even if that is killed. The output goes to the file `log`, because a
    full pipe that is not read would block the server.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=ROOT, env=environment
        ) as process,
    ):
        try:
            yield ready(process, log)
        finally:
            stop(process)


def ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server prints its URL and is healthy. Returns the URL."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        if (said := LISTENING.search(log.read_text(errors="replace"))) and healthy(said[1]):
            return said[1]
        time.sleep(POLL)
    state = "took too long to start" if process.returncode is None else f"ended with {process.returncode}"
    raise StartError(f"{process.args!r} {state}:\n{log.read_text(errors='replace')[-2000:]}")


def healthy(url: str) -> bool:
    try:
        return call(f"{url}/health", timeout=1).status == 200
    except (OSError, HTTPException):
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """Close the server's standard input, at which it exits; kill it if it does not."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
