"""Runs an event loop whose end does not wait for calls that nothing can interrupt, such as a name lookup or a locked keyring."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
GRACE = 6.0
"""Seconds that the end of the loop waits for calls in threads: more than a write to a locked conversation store takes."""


class Threads(ThreadPoolExecutor):
    """Runs each call in a daemon thread. Python waits without a limit for the threads of its own executor."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        call: Future[T] = Future()

        def run() -> None:
            if not call.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 raised where the result is waited for
                call.set_exception(error)
            else:
                call.set_result(result)

        if fn is not socket.getaddrinfo:  # a lookup writes nothing that could be lost
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        Thread(target=run, daemon=True, name="modelbay-call").start()
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait:
            _ended(self._calls)


def _ended(calls: set[Future[Any]]) -> None:
    wait(list(calls), GRACE)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine like `asyncio.run`, with `Threads` as executor."""

    async def main() -> T:
        asyncio.get_running_loop().set_default_executor(Threads())
        return await work

    return asyncio.run(main())
