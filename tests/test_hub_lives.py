"""One hub in several event loops, after its end, and in forked children; its errors in other processes."""

import asyncio
import contextlib
import copy
import gc
import json
import os
import pickle
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

import modelbay
from modelbay import Hub, errors, sync
from modelbay.errors import HubClosed, IncompleteReply, ModelbayError
from tests.faults.raw_server import Client, RawServer
from tests.test_hints import made
from tests.test_hub import ANSWER, CHUNK, HEAD, chunked, json_answer, write_config

WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'
FORKS = hasattr(os, "fork")

# --- errors ------------------------------------------------------------------------------------------------------------


def every_kind() -> list[type[ModelbayError]]:
    """Every class of errors in the package, those of modules that are rarely imported too."""
    for module in walk_packages(modelbay.__path__, "modelbay."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    found, left = [], [ModelbayError]
    while left:
        kind = left.pop()
        if kind.__module__.startswith("modelbay."):
            found.append(kind)
        left += kind.__subclasses__()
    return found


def copies(error: ModelbayError) -> Iterator[ModelbayError]:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(error, protocol))
    yield copy.copy(error)
    yield copy.deepcopy(error)


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_to_another_process(kind: type[ModelbayError]) -> None:
    error = kind.__new__(kind, "it failed")
    with contextlib.suppress(TypeError):
        error = made(kind)
    error.__dict__ |= {"hint": "try again", "status": 418, "retry_after": 2.5, "limit": 7, "body": "{}", "attempts": 3}
    for copied in copies(error):
        assert type(copied) is kind
        assert copied.args == error.args
        assert copied.__dict__ == error.__dict__


def failing(number: int) -> None:
    raise errors.TimedOut(f"call {number}", stage="idle", hint="try again")


def test_a_process_pool_hands_an_error_over_and_goes_on() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for number in range(2):
            with pytest.raises(errors.TimedOut, match=f"call {number}") as caught:
                pool.submit(failing, number).result()
            assert (caught.value.stage, caught.value.hint) == ("idle", "try again")


# --- a server that counts connections ----------------------------------------------------------------------------------


class Counting(socketserver.ThreadingTCPServer):
    """Answers every call, and keeps connections. It lives in threads, so any loop and process may use it."""

    daemon_threads = True
    connections: int
    asked: threading.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(socketserver.StreamRequestHandler):
    server: Counting

    def handle(self) -> None:
        self.server.connections += 1
        while line := self.rfile.readline():
            length = 0
            while line.strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
                line = self.rfile.readline()
            body = json.loads(self.rfile.read(length))
            self.server.asked.set()
            if body["messages"][0]["content"] == "wait":
                self.rfile.read()  # until the client has gone
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE))


@contextmanager
def counting() -> Iterator[Counting]:
    with Counting(("127.0.0.1", 0), Answering) as server:
        server.connections, server.asked = 0, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def server() -> Iterator[Counting]:
    with counting() as server:
        yield server


def opened(folder: Path, server: Counting) -> Hub:
    return Hub.open(write_config(folder, server.url).resolve())


async def asked(hub: Hub) -> str:
    return (await hub.complete("Hi")).text


# --- event loops -------------------------------------------------------------------------------------------------------


def test_a_hub_is_used_in_one_event_loop_after_another(tmp_path: Path, server: Counting) -> None:
    hub = opened(tmp_path, server)
    for number in range(1, 4):
        assert asyncio.run(asked(hub)) == "whole"
        assert server.connections == number
        assert not hub._client._connections  # they ended with their loop
    asyncio.run(hub.aclose())
    gc.collect()


async def test_calls_of_one_loop_share_a_connection_and_another_loop_does_not(tmp_path: Path, server: Counting) -> None:
    async with opened(tmp_path, server) as hub:
        await asked(hub)
        assert await asyncio.to_thread(asyncio.run, asked(hub)) == "whole"
        await asked(hub)
    assert server.connections == 2


def test_a_loop_that_was_stopped_is_removed(tmp_path: Path, server: Counting) -> None:
    hub = opened(tmp_path, server)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asked(hub))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert asyncio.run(asked(hub)) == "whole"


async def test_modules_of_the_first_call_are_imported_in_a_thread(tmp_path: Path) -> None:
    script = """
import asyncio, builtins, sys, threading
from pathlib import Path
from modelbay import Hub

async def main():
    late = []
    plain = builtins.__import__
    def noted(name, *more, **named):
        known = set(sys.modules)
        module = plain(name, *more, **named)
        if threading.current_thread() is threading.main_thread():
            late.extend(set(sys.modules) - known)
        return module
    hub = Hub.open(Path(sys.argv[1]))
    builtins.__import__ = noted
    if sys.argv[2] == "with":
        await hub.__aenter__()
    before = set(sys.modules)
    print((await hub.complete("Hi")).text)
    builtins.__import__ = plain
    if sys.argv[2] == "with":
        late += set(sys.modules) - before
    await hub.aclose()
    print(sorted(name for name in late if name.partition(".")[0] not in sys.stdlib_module_names))

asyncio.run(main())
"""
    with counting() as server:
        path = write_config(tmp_path, server.url)
        for how in ("with", "without"):
            ran = await asyncio.to_thread(script_ran, script, str(path), how)
            assert ran == "whole\n[]\n"


def script_ran(script: str, *arguments: str) -> str:
    warnings = ["-W", "error::RuntimeWarning", "-W", "ignore::DeprecationWarning"]  # of a fork beside threads
    command = [sys.executable, *warnings, "-c", script, *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


# --- after the end -----------------------------------------------------------------------------------------------------


async def test_a_closed_hub_says_so(tmp_path: Path, server: Counting) -> None:
    hub = opened(tmp_path, server)
    await asked(hub)
    await hub.aclose()
    await hub.aclose()
    with pytest.raises(HubClosed, match="the hub is closed; nothing was sent"):
        await hub.complete("Hi")
    with pytest.raises(HubClosed):
        await anext(hub.stream("Hi"))
    with pytest.raises(HubClosed):
        await hub.list_models("chat")
    assert hub.model().alias == "chat"  # calls without a connection still work
    assert server.connections == 1


async def test_closing_ends_the_calls_of_other_loops_too(tmp_path: Path, server: Counting) -> None:
    hub = opened(tmp_path, server)

    async def waiting() -> Any:
        with pytest.raises(ModelbayError) as caught:
            await hub.complete("wait")
        return caught.type

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, waiting()))
    await asyncio.to_thread(server.asked.wait)
    await hub.aclose()
    assert await other is HubClosed


def test_a_closed_blocking_hub_says_so(tmp_path: Path, server: Counting) -> None:
    hub = sync.Hub.open(write_config(tmp_path, server.url))
    assert hub.complete("Hi").text == "whole"
    hub.close()
    hub.close()
    with pytest.raises(HubClosed, match="the hub is closed; nothing was sent"):
        hub.complete("Hi")
    with pytest.raises(HubClosed):
        next(hub.stream("Hi"))
    assert hub.model().alias == "chat"


def test_closing_a_blocking_hub_ends_the_calls_of_other_threads(tmp_path: Path, server: Counting) -> None:
    hub = sync.Hub.open(write_config(tmp_path, server.url))
    found: list[BaseException] = []

    def ask() -> None:
        try:
            hub.complete("wait")
        except ModelbayError as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    server.asked.wait()
    hub.close()
    thread.join()
    assert [type(error) for error in found] == [HubClosed]


async def test_a_stream_of_a_closed_blocking_hub_ends(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'))
        await client.hangup()

    def use(url: str) -> None:
        hub = sync.Hub.open(write_config(tmp_path, url))
        stream = hub.stream("Hi")
        next(stream)
        hub.close()
        with pytest.raises(HubClosed):
            list(stream)

    async with RawServer(script) as server:
        await asyncio.to_thread(use, server.url)


async def test_a_stream_whose_hub_is_closed_is_incomplete_and_says_why(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'))
        await client.hangup()

    async with RawServer(script) as server:
        hub = Hub.open(write_config(tmp_path, server.url))
        stream = hub.stream("Hi")
        assert await anext(stream.text) == "half"
        stream = hub.stream("Hi")
        await anext(stream)
        await hub.aclose()
        with pytest.raises(IncompleteReply) as caught:
            await stream.reply()
    assert caught.value.hint == "read the reply to its end before the hub is closed"


# --- forked children ---------------------------------------------------------------------------------------------------

FORKED = """
import asyncio, gc, os, sys, threading
from pathlib import Path
from modelbay import Hub

hub = Hub.open(Path(sys.argv[1]))

def child():
    print("child", asyncio.run(ask()), flush=True)
    assert not hub._client._connections, "it kept those of its parent"
    gc.collect()

async def ask():
    return (await hub.complete("Hi")).text

async def parent():
    await ask()
    pid = os.fork()
    if pid == 0:
        try:
            thread = threading.Thread(target=child)  # this one has a running loop
            thread.start()
            thread.join()
        finally:
            sys.stdout.flush()
            os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        await asyncio.sleep(0.01)
    print("parent", await ask())
    await hub.aclose()

asyncio.run(parent())
"""

BLOCKING = """
import os, sys
from pathlib import Path
from modelbay.sync import Hub

hub = Hub.open(Path(sys.argv[1]))
hub.complete("Hi")
pid = os.fork()
print("child" if pid == 0 else "parent", hub.complete("Hi").text, flush=True)
if pid:
    os.waitpid(pid, 0)
    print("parent", hub.complete("Hi").text)
hub.close()
"""


@pytest.mark.skipif(not FORKS, reason="this system has no fork")
@pytest.mark.parametrize(("script", "lines"), [(FORKED, 2), (BLOCKING, 3)], ids=["async", "blocking"])
def test_a_forked_child_has_connections_of_its_own_and_leaves_its_parent_s_alone(
    tmp_path: Path, server: Counting, script: str, lines: int
) -> None:
    said = script_ran(script, str(write_config(tmp_path, server.url)))
    assert sorted(said.split("\n")) == ["", *["child whole"], *["parent whole"] * (lines - 1)]
    assert server.connections == 2


STREAMING = """
import gc, os, sys
from pathlib import Path
from modelbay import collect
from modelbay.errors import Disconnected
from modelbay.sync import Hub

hub = Hub.open(Path(sys.argv[1]))
stream = hub.stream("Hi")
events = [next(stream), next(stream)]
pid = os.fork()
if pid == 0:
    try:
        next(stream)
    except Disconnected as error:
        print("child", error.message)
    del stream
    gc.collect()
    print("child", hub.complete("Hi").text, flush=True)
else:
    os.waitpid(pid, 0)
    print("parent", collect([*events, *stream]).text)
hub.close()
"""


@pytest.mark.skipif(not FORKS, reason="this system has no fork")
async def test_a_stream_goes_on_in_the_parent_of_a_forked_child(tmp_path: Path) -> None:
    done = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        if streaming.clients[0] is client:
            await client.send(HEAD + chunked(CHUNK))
            await done.wait()
            await client.send(chunked(ANSWER) + b"0\r\n\r\n")
        else:
            await client.send(json_answer("200 OK", WHOLE))
            await client.hangup()
            done.set()

    async with RawServer(script) as streaming:
        path = write_config(tmp_path, streaming.url)
        said = await asyncio.to_thread(script_ran, STREAMING, str(path))
    assert said.splitlines() == [
        "child the stream belongs to the parent process",
        "child whole",
        "parent half anwhole",
    ]


LOCKS = """
import os, threading
from modelbay import secrecy
from modelbay.credentials import reference

held, free = threading.Event(), threading.Event()

def busy():
    with secrecy._lock:
        held.set()
        free.wait(0.2)  # a fork waits for it
    with reference._command_lock:
        free.wait()

thread = threading.Thread(target=busy)
thread.start()
held.wait()
while not reference._command_lock.locked():
    pid = os.fork()
    if pid == 0:
        os._exit(secrecy._lock.locked())
    assert os.waitpid(pid, 0)[1] == 0
pid = os.fork()
if pid == 0:
    os._exit(secrecy._lock.locked() or reference._command_lock.locked())
print(os.waitpid(pid, 0)[1], secrecy._lock.locked(), reference._command_lock.locked())
free.set()
thread.join()
"""


@pytest.mark.skipif(not FORKS, reason="this system has no fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    assert script_ran(LOCKS) == "0 False True\n"
