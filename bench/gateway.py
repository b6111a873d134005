"""Cost of the gateway: processor time of its thread, as a ratio to a server of the same replies without a provider."""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.passing import body
from bench.streams import DELTAS, Stream
from bench.table import ratio, table
from modelbay.config.load import load
from modelbay.gateway.access_log import AccessLog
from modelbay.gateway.app import GatewayApp
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import OneProcess
from modelbay.logs import LOG
from modelbay.serving.asgi import Message, Receive, Send, body_of, respond_json
from modelbay.serving.server import HttpServer, listen

KEY = "sk-mb-key-of-the-benchmark-0123"
TRIES, REQUESTS, STREAMS = 5, 100, 1
SIZES = (1_000, 100_000)
PACE = 0.001
"""Seconds between two pieces of a stream, so that each arrives alone."""
REPLY = json.dumps(
    {"id": "1", "object": "chat.completion", "created": 1, "model": "wire-1",
     "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
     "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}}
).encode()  # fmt: skip
CONFIG = """
[providers.acme]
type = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-upstream-0123456789"
[models.one]
provider = "acme"
model = "wire-1"
max_output_size = 8192
"""
PATHS = {"passed on": "/v1/chat/completions", "translated": "/v1/messages"}


async def provider(scope: Message, receive: Receive, send: Send) -> None:
    """Chat Completions with a fixed reply: a stream, if `stream` is in the path or the body."""
    asked = await body_of(scope, receive)
    if b'"stream":true' not in (asked or b"").replace(b" ", b""):
        await respond_json(send, 200, REPLY)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for piece in _PIECES:
        await asyncio.sleep(PACE)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


_PIECES = Stream("openai_chat").reads


class Client:
    """One connection; a request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def ask(self, path: str, data: bytes) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {KEY}\r\nContent-Length: {len(data)}\r\n\r\n"
        self._socket.sendall(head.encode() + data)
        lines = list(iter(self._file.readline, b"\r\n"))
        if b" 200 " not in lines[0]:
            raise AssertionError(lines[0])
        if length := next((line for line in lines if line.startswith(b"content-length:")), None):
            self._file.read(int(length.split(b":")[1]))
            return
        while size := int(self._file.readline(), 16):
            self._file.read(size + 2)
        self._file.readline()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def spent(server: HttpServer, run: Callable[[], object]) -> float:
    """Processor seconds of the server's thread while `run` takes place."""
    thread = server._thread
    if thread is None or thread.ident is None:
        raise AssertionError("the server was not started")
    clock = time.pthread_getcpuclockid(thread.ident)
    start = time.clock_gettime(clock)
    run()
    return time.clock_gettime(clock) - start


def report() -> str:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        os.environ["MODELBAY_HOME"] = str(folder)
        _log(stack)
        bare_socket, socket_ = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
        bare_port, port = bare_socket.getsockname()[1], socket_.getsockname()[1]
        (folder / "config.toml").write_text(CONFIG.format(port=bare_port))
        clients = ClientKeys(folder / "clients.json")
        clients.add("bench", KEY)
        gateway = Gateway(load(folder / "config.toml", trusted=True), "127.0.0.1", clients)
        bare = HttpServer(provider, bare_socket)
        server = HttpServer(GatewayApp(gateway, AccessLog(), OneProcess()), socket_, lifespan=True)
        for one in (bare, server):
            one.start()
            stack.callback(one.stop)
        return _measured(stack, bare, bare_port, server, port)
    raise AssertionError("not reached")


def _log(stack: ExitStack) -> None:
    """Write the access log, as in operation, to nowhere."""
    level, handler = LOG.level, logging.FileHandler(os.devnull)
    stack.callback(handler.close)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    stack.callback(LOG.setLevel, level)
    stack.callback(LOG.removeHandler, handler)


def _measured(stack: ExitStack, bare: HttpServer, bare_port: int, server: HttpServer, port: int) -> str:
    direct, through = Client(bare_port), Client(port)
    stack.callback(direct.close)
    stack.callback(through.close)
    work = [(body(size, "Hello there. ").replace(b'"stream": true', b'"stream": false'), REQUESTS, 1) for size in SIZES]
    work.append((body(SIZES[0], "Hello there. "), STREAMS, DELTAS))
    rows = {name: [name] for name in PATHS}
    for data, times, per in work:
        least = dict.fromkeys(("bare", *PATHS), float("inf"))
        for _ in range(TRIES):
            plain = spent(bare, lambda d=data, n=times: [direct.ask("/v1/chat/completions", d) for _ in range(n)])
            least["bare"] = min(least["bare"], plain)
            for name, path in PATHS.items():
                run = lambda d=data, n=times, p=path: [through.ask(p, d) for _ in range(n)]  # noqa: E731
                least[name] = min(least[name], spent(server, run))
        for name in PATHS:
            micro = least[name] / times / per * 1e6
            rows[name].append(f"{ratio(least[name], least['bare'])} ({micro:.0f} µs)")
    head = ["", *[f"request of {size // 1000} KB" for size in SIZES], "piece of a stream"]
    return table("A call through the gateway, compared to a server without a provider", head, list(rows.values()))
