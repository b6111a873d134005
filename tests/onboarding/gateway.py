"""A gateway of somebody's own in front of the simulator: it has its lists in any shape, and its calls at any path."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from modelbay.simulator import Simulator

PAGE = b"<!doctype html><title>Welcome</title>"


class Gateway:
    """`lists` has the answer to a GET of each path, `calls` the simulator's path for a POST to each. All else is a page."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.url = url
        self.lists: dict[str, Any] = {}
        self.calls: dict[str, str] = {}
        self.missing = 404
        """The status of a page that is not there."""
        self.asked: list[str] = []
        """Method and target of each request."""
        self.headers: list[dict[str, str]] = []


@contextmanager
def gateway(simulator: Simulator) -> Iterator[Gateway]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._note()
            answer = made.lists.get(self.path, made.lists.get(self.path.partition("?")[0]))
            if isinstance(answer, int):
                self._answer(answer, b'{"error":{"message":"told to"}}', "application/json")
            elif answer is None:
                self._answer(made.missing, PAGE, "text/html")
            else:
                self._answer(200, msgspec.json.encode(answer), "application/json")

        def do_POST(self) -> None:
            self._note()
            body = self.rfile.read(int(self.headers["content-length"]))
            path, _, query = self.path.partition("?")
            if path not in made.calls:
                self._answer(made.missing, PAGE, "text/html")
                return
            inner = HTTPConnection(simulator.host, simulator.port)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "accept-encoding")
            }
            inner.request("POST", made.calls[path] + (f"?{query}" if query else ""), body, headers)
            answer = inner.getresponse()
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("connection", "close")
            self.end_headers()
            with suppress(ConnectionError):  # who asked may have seen enough
                while piece := answer.read1():
                    self.wfile.write(piece)
            inner.close()

        def _note(self) -> None:
            made.asked.append(f"{self.command} {self.path}")
            made.headers.append({name.lower(): value for name, value in self.headers.items()})

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Gateway(simulator, f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        server.shutdown()
