"""Turns at a file: no process and no thread is passed over. Two `Turns` of a path stand for two processes."""

import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from modelbay.storage.turns import Turns

LONG = 60.0


class Order:
    """Threads that wait for a turn, and the order in which they got it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._threads: list[threading.Thread] = []

    def wait(self, name: str, turns: Turns, *, soon: bool = False) -> None:
        """Start a thread, which then waits in the line of its process."""

        def take() -> None:
            with turns.turn(LONG, soon=soon):
                self.names.append(name)

        length = len(turns._line)
        self._threads.append(threading.Thread(target=take))
        self._threads[-1].start()
        while len(turns._line) == length:
            time.sleep(0.001)

    def ended(self) -> list[str]:
        for thread in self._threads:
            thread.join()
        return self.names


def wait_until_queued(path: Path) -> None:
    """Wait until a process is at the head of the queue."""
    while True:
        try:
            with FileLock(f"{path}.queue.lock", timeout=0):
                time.sleep(0.001)
        except Timeout:
            return


def test_another_process_gets_its_turn_before_the_next_thread_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    busy, other, order = Turns(path), Turns(path), Order()
    with busy.turn(LONG):
        order.wait("other", other)
        wait_until_queued(path)
        for number in range(5):
            order.wait(f"busy {number}", busy)
    assert order.ended()[0] == "other"


def test_threads_get_their_turns_in_the_order_in_which_they_came_but_readers_before_writers(tmp_path: Path) -> None:
    turns, order = Turns(tmp_path / "file"), Order()
    with turns.turn(LONG):
        for number in range(5):
            order.wait(f"writer {number}", turns)
        order.wait("reader", turns, soon=True)
    assert order.ended() == ["reader", *(f"writer {number}" for number in range(5))]


def test_a_process_that_keeps_its_turn_for_too_long_is_an_error(tmp_path: Path) -> None:
    turns, stopped = Turns(tmp_path / "file"), Turns(tmp_path / "file")
    with stopped.turn(LONG), pytest.raises(TimeoutError), turns.turn(0.05):
        pass
    with turns.turn(LONG), turns.turn(0):
        pass
