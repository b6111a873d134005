"""A running `manifest serve`, and requests to it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.cli.command import Command


@contextmanager
def serving(modelbay: Command, what: str) -> Iterator[str]:
    """The address of the manifest of a `manifest serve`."""
    running = modelbay.start("manifest", "serve", what, "--port", "0")
    assert running.stdout is not None
    try:
        yield running.stdout.readline().strip()
    finally:
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in said


def got(
    url: str, key: str | None = None, body: bytes | None = None, *, host: str | None = None, origin: str | None = None
) -> tuple[int, Any]:
    """The status and the JSON at an address."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    headers |= {"host": host} if host is not None else {}
    headers |= {"origin": origin} if origin is not None else {}
    try:
        with urlopen(Request(url, body, headers), timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())
