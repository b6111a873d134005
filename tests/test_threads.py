"""The end of an event loop: it is not held up by a call that does not return, and waits for one that does."""

import asyncio
import socket
import threading

import pytest

from modelbay import threads


def test_a_call_that_does_not_return_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "GRACE", 0.01)
    began, never = threading.Event(), threading.Event()

    def lookup() -> None:
        began.set()
        never.wait()

    async def work() -> str:
        asyncio.get_running_loop().run_in_executor(None, lookup)
        while not began.is_set():
            await asyncio.sleep(0)
        return "done"

    assert threads.run(work()) == "done"
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "modelbay-call")
    never.set()


def test_a_call_that_was_not_waited_for_is_finished_before_the_end():
    written: list[str] = []
    began, go = threading.Event(), threading.Event()

    def write() -> None:
        began.set()
        go.wait()
        written.append("all of it")

    async def work() -> None:
        asyncio.get_running_loop().run_in_executor(None, write)
        while not began.is_set():
            await asyncio.sleep(0)
        go.set()

    threads.run(work())
    assert written == ["all of it"]


def test_a_call_gives_its_result_or_what_it_raises():
    def fails() -> None:
        raise KeyError("not there")

    async def work() -> int:
        with pytest.raises(KeyError, match="not there"):
            await asyncio.to_thread(fails)
        return await asyncio.to_thread(int, "7")

    assert threads.run(work()) == 7


def test_the_end_does_not_wait_for_a_name_lookup(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "GRACE", 3600)
    began, never = threading.Event(), threading.Event()

    def lookup(*_: object, **__: object) -> None:
        began.set()
        never.wait()

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    async def work() -> str:
        looking = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo("far.example", 443))
        while not began.is_set():
            await asyncio.sleep(0)
        looking.cancel()
        return "done"

    assert threads.run(work()) == "done"
    never.set()
