"""A log whose reader is stopped does not stop the gateway, and loses no lines."""

import os
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from modelbay.gateway import log_stream
from modelbay.gateway.log_stream import LogStream

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no poll")
LINES = [f"line {number} {'x' * 90}\n" for number in range(5_000)]


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: where it is read, and where it is written."""
    reads, writes = os.pipe()
    with open(writes, "w") as stream:
        yield reads, stream
    os.close(reads)


def read(reads: int) -> str:
    """The content of a pipe."""
    os.set_blocking(reads, False)
    data = b""
    try:
        while piece := os.read(reads, 65_536):
            data += piece
    except BlockingIOError:
        return data.decode()
    return data.decode()


def test_lines_wait_for_a_reader_that_is_stopped(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    log, text = LogStream(stream), ""
    for line in LINES:
        log.write(line)
        log.flush()
    assert log.waits
    while log.waits:
        text += read(reads)
        log.flush()
    assert text + read(reads) == "".join(LINES)
    assert log.dropped == 0


def test_the_oldest_lines_are_dropped_if_too_many_wait(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "MOST_WAITING", 100)
    reads, stream = pipe
    log = LogStream(stream)
    for line in LINES:
        log.write(line)
        log.flush()
    text = read(reads)
    log.flush()
    text += read(reads)
    assert text.endswith("".join(LINES[-100:]))
    assert text.count("\n") + log.dropped == len(LINES)
