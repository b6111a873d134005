"""A web site on loopback: documents and lists in any shape, and calls at any path with responses of the simulator."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from http.client import HTTPConnection
from typing import Any

import msgspec
from msgspec import Struct, field

from modelbay.simulator import Simulator
from tests.servers.loopback import JSON, Handler, served

NOTHING = b"<!doctype html><title>Welcome</title>"


class Page(Struct):
    """A response other than plain JSON."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    key: str | None = None
    """Requests without it are rejected."""
    late: bool = False
    """Whether the response is held back until the test ends."""
    cut: int | None = None
    """Bytes of the body after which the connection is closed; -1: before the status line."""


class Asked(Struct):
    """A request, and the status of its response."""

    target: str
    """The method, and the path with its query."""
    headers: dict[str, str]
    """With lower-case names."""
    body: bytes = b""
    status: int = 0


class Site:
    def __init__(self, simulator: Simulator | None = None) -> None:
        self.url = ""
        self.simulator = simulator
        self.over = threading.Event()
        self.seen = threading.Condition()
        self.reset()

    def reset(self) -> None:
        """Remove all pages and recorded requests."""
        self.pages: dict[str, Any] = {}
        """By path and query, or by path: a `Page`, JSON, text, bytes or a status. `SITE` in JSON and text is the site's URL."""
        self.every: Page | int | None = None
        """The response to every request, if it is set."""
        self.calls: dict[str, str] = {}
        """The simulator's path for each path that is called."""
        self.model: str | None = None
        """The simulator's model for all models of this site; None if they have the same IDs."""
        self.missing = 404
        """The status of a missing page."""
        self.tokens: set[str] = set()
        """Keys that its pages require; empty if they require none."""
        self.asked: list[Asked] = []

    @property
    def targets(self) -> list[str]:
        return [one.target for one in self.asked]

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The bodies of calls."""
        return [msgspec.json.decode(one.body) for one in self.asked if one.body]

    def keys(self) -> set[str]:
        """The keys that were sent to this site."""
        return {one.headers["authorization"] for one in self.asked if "authorization" in one.headers}

    def waits_for(self, target: str, seconds: float = 30) -> None:
        """Wait until a request has arrived."""
        with self.seen:
            assert self.seen.wait_for(lambda: target in self.targets, seconds), f"nobody asked for {target}"

    def page(self, target: str) -> Page:
        found = self.pages.get(target, self.pages.get(target.partition("?")[0])) if self.every is None else self.every
        match found:
            case Page():
                return found
            case None:
                return Page(NOTHING, self.missing, {"content-type": "text/html"})
            case int():
                return Page(b'{"error": {"message": "told to"}}', found)
            case bytes():
                return Page(found)
            case str():
                return Page(found.replace("SITE", self.url).encode())
        return Page(msgspec.json.encode(found).replace(b"SITE", self.url.encode()))

    def refuses(self, page: Page, key: str) -> bool:
        return bool(self.tokens and key not in self.tokens) or page.key not in (None, key)


@contextmanager
def site(simulator: Simulator | None = None) -> Iterator[Site]:
    made = Site(simulator)

    class Answering(Handler):
        def do_GET(self) -> None:
            self._send(made.page(self.path), self._note())

        def do_POST(self) -> None:
            body = self.body()
            asked = self._note(body)
            path, _, query = self.path.partition("?")
            if path not in made.calls or made.simulator is None:
                self._send(made.page(self.path), asked)
                return
            if made.model is not None:
                body = msgspec.json.encode({**msgspec.json.decode(body), "model": made.model})
            ours = ("host", "accept-encoding", "content-length")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ours}
            with closing(HTTPConnection(made.simulator.host, made.simulator.port)) as inner:
                inner.request("POST", made.calls[path] + (f"?{query}" if query else ""), body, headers)
                answer = inner.getresponse()
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("connection", "close")
                self.end_headers()
                while piece := answer.read1():
                    self.wfile.write(piece)

        def _send(self, page: Page, asked: Asked) -> None:
            if page.late:
                made.over.wait()
            if made.refuses(page, self.headers.get("authorization", "").removeprefix("Bearer ")):
                page = Page(b'{"error": {"message": "who are you?"}}', 401)
            etag = f'"{sha256(page.body).hexdigest()[:8]}"'
            if page.status == 200 and self.headers["if-none-match"] == etag:
                page = Page(status=304)
            asked.status = page.status
            if page.cut is not None:
                self._break_off(page.body, page.cut)
            else:
                self.answer(page.status, page.body, {**JSON, "etag": etag, **page.headers})

        def _break_off(self, body: bytes, after: int) -> None:
            """Close the connection in the middle of a response, or before it."""
            self.close_connection = True
            if after >= 0:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:after])

        def _note(self, body: bytes = b"") -> Asked:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with made.seen:
                made.asked.append(Asked(f"{self.command} {self.path}", headers, body))
                made.seen.notify_all()
            return made.asked[-1]

    with served(Answering) as made.url:
        try:
            yield made
        finally:
            made.over.set()
