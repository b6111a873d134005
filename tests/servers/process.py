"""Run a server beside the tests: start it, wait until it answers, and end it with them."""

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
"""To the end of its line, and no line that begins with the time: what a server's threads log may run into one another."""
START, STOP, POLL = 180.0, 5.0, 0.02
"""Seconds: the most a start and a stop may take, and the pause between looks. A start may make the tiny model first."""


class Unavailable(Exception):
    """This machine cannot run the server (a package is missing, npm is offline): tests skip, with this message."""


class StartError(Exception):
    """The server should have started, and did not."""


@contextmanager
def running(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run `command` and give the base URL that it prints as `listening on ...`, once GET /health answers 200.

    The command binds port 0, so parallel test workers cannot collide, and exits at the end of its standard input,
    which is a pipe from here: it goes away with the test process, even one that was killed. What it prints goes to the
    file `log`, because a pipe that nobody drains would stop it when full.
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
    """Wait until the server says its address and is healthy; give the address."""
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
    """Close the server's standard input, which it obeys by exiting; kill it where it does not."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
