"""A running server: how it stops, and the limit of a request's head."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelbay.serving import client_connection
from modelbay.serving.asgi import Message, Receive, Send, respond_json
from modelbay.serving.client_connection import HEAD_BYTES
from modelbay.serving.server import HttpServer, listen

LONG = 60.0
ROOT = Path(__file__).resolve().parents[2]


class Slow:
    """An app whose response ends when the test lets it."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.finish = threading.Event()
        self.cancelled = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fast":
            await respond_json(send, 200, b"{}")
            return
        if scope["path"] == "/read":
            while (await receive()).get("more_body"):
                pass
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ha", "more_body": True})
        self.started.set()
        try:
            while not self.finish.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.body", "body": b"lf"})


@contextmanager
def running(app: Slow, drain: float = 0.0) -> Iterator[tuple[HttpServer, int]]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = HttpServer(app, listener, drain=drain)
    server.start()
    try:
        yield server, port
    finally:
        app.finish.set()
        server.stop()


def connected(port: int, path: str, *headers: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), LONG)
    lines = [f"GET {path} HTTP/1.1", "host: localhost", *headers]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    return client


def rest(client: socket.socket) -> bytes:
    """All bytes until the server closes the connection; a reset counts as the end."""
    data = b""
    with client:
        try:
            while chunk := client.recv(65_536):
                data += chunk
        except ConnectionResetError:
            pass
    return data


def until(client: socket.socket, end: bytes) -> None:
    """Read until the received bytes end in `end`."""
    data = b""
    while not data.endswith(end):
        chunk = client.recv(65_536)
        assert chunk, data
        data += chunk


def stopping(server: HttpServer) -> threading.Thread:
    thread = threading.Thread(target=server.stop)
    thread.start()
    return thread


def test_a_server_without_drain_ends_requests_at_once() -> None:
    app = Slow()
    with running(app) as (server, port):
        client = connected(port, "/slow")
        assert app.started.wait(LONG)
        server.stop()
        assert not rest(client).endswith(b"half")
        assert app.cancelled
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_draining_server_finishes_requests_and_closes_idle_connections(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modelbay")
    app = Slow()
    with running(app, drain=LONG) as (server, port):
        idle = connected(port, "/fast")
        until(idle, b"{}")
        client = connected(port, "/slow")
        assert app.started.wait(LONG)
        thread = stopping(server)
        assert rest(idle) == b""  # closed while the other request is in progress
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        app.finish.set()
        assert rest(client).endswith(b"half")
        thread.join(LONG)
        assert not app.cancelled
        assert server.connections == 0
    assert caplog.messages == ["stopping: waiting up to 60 seconds for requests in progress (1)"]


def test_a_drain_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    app = Slow()
    with running(app, drain=0.1) as (server, port):
        client = connected(port, "/slow")
        assert app.started.wait(LONG)
        server.stop()
        assert app.cancelled
        assert not rest(client).endswith(b"half")
    assert caplog.messages[-1] == "stopped: requests in progress were cancelled (1)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_loop_begins_ends_the_server_as_at_any_time(number: int) -> None:
    code = f"""
import asyncio, signal
from modelbay.serving.server import HttpServer, RequestHandler, listen
class Handler(RequestHandler):
    async def start(self):
        print("started", flush=True)
    async def answer(self, request):
        pass
    async def aclose(self):
        print("closed", flush=True)
class Left(BaseException):
    pass
def leave(number, frame):
    raise Left
signal.signal({number}, leave)
server = HttpServer(Handler(), listen("127.0.0.1", 0), drain=60)
made = asyncio.new_event_loop
def new_event_loop():
    signal.raise_signal({number})
    return made()
server._server.config.get_loop_factory = lambda: new_event_loop
try:
    server.run()
except Left:
    print("left")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\nclosed\nleft\n", "")


def test_sigterm_drains_a_server_in_the_foreground() -> None:
    code = """
import sys, threading
from modelbay.serving.server import HttpServer, listen
from tests.serving.test_server import Slow
app = Slow()
listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
def wait():
    sys.stdin.readline()
    app.finish.set()
threading.Thread(target=wait, daemon=True).start()
HttpServer(app, listener, drain=60).run()
"""
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        idle = connected(port, "/fast")
        until(idle, b"{}")
        client = connected(port, "/slow")
        until(client, b"ha")
        process.send_signal(signal.SIGTERM)
        assert rest(idle) == b""
        _, errors = process.communicate("\n", timeout=120)
        assert rest(client) == b"lf"
    assert process.returncode == -signal.SIGTERM
    assert not errors


@pytest.mark.parametrize(
    "header", ["x-long: " + "a" * HEAD_BYTES, *["\r\n".join(f"x-{i}: {'a' * 1_000}" for i in range(70))]]
)
def test_a_head_has_a_limit(header: str) -> None:
    app = Slow()
    with running(app) as (_, port):
        assert rest(connected(port, "/fast", header)).startswith(b"HTTP/1.1 431")


def test_a_header_without_an_end_is_refused() -> None:
    app = Slow()
    with running(app) as (_, port):
        client = socket.create_connection(("127.0.0.1", port), LONG)
        client.sendall(b"GET /fast HTTP/1.1\r\nhost: localhost\r\nx-endless: " + b"a" * HEAD_BYTES)
        assert rest(client).startswith(b"HTTP/1.1 431")


def test_a_long_head_below_the_limit_is_accepted() -> None:
    app = Slow()
    with running(app) as (_, port):
        header = "x-long: " + "a" * (HEAD_BYTES - 100)
        with connected(port, "/fast", header) as client:
            assert client.recv(12) == b"HTTP/1.1 200"


HEAD = b"POST /slow HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"P", b"HTTP/1.1 408"),
        (HEAD, b"HTTP/1.1 408"),
        (HEAD.replace(b"/slow", b"/read") + b"content-length: 9\r\n\r\nab", b"HTTP/1.1 408"),
        (HEAD.replace(b"/slow", b"/read") + b"transfer-encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 408"),
    ],
    ids=["nothing", "blank lines", "a letter", "half a head", "half a body", "half a chunk"],
)
def test_a_client_that_does_not_go_on_with_its_request_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, answer: bytes
) -> None:
    app = Slow()
    with running(app) as (_, port), connected(port, "/slow") as waiting, connected(port, "/fast") as other:
        assert app.started.wait(LONG)
        client = socket.create_connection(("127.0.0.1", port), LONG)
        client.sendall(sent)
        until(other, b"{}")
        monkeypatch.setattr(client_connection, "SILENCE", 0.2)
        received = rest(client)
        assert received.startswith(answer)
        assert bool(received) == bool(answer)
        app.finish.set()
        until(waiting, b"half")  # the time of a response is not limited


def test_a_fault_of_the_app_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Message, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken on purpose")

    listener = listen("127.0.0.1", 0)
    server = HttpServer(broken, listener)
    server.start()
    assert rest(connected(listener.getsockname()[1], "/fast")).startswith(b"HTTP/1.1 500")
    server.stop()
    assert "internal error while responding to GET /fast" in caplog.text
