"""Somebody's web site on loopback: it answers what it is told to, remembers who asked, and passes calls to the simulator."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from msgspec import Struct, field

from modelbay.simulator import Simulator

CALLS = "/chat/completions"


class Page(Struct):
    """An answer that is not simply JSON."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    key: str | None = None
    """Who does not send it is refused."""


class Site:
    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, Page | dict[str, Any] | list[Any] | str] = {}
        """By path and query. A text is what is sent; `SITE` in it stands for this site's address."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Method and target of each request, with its headers under lower-case names."""
        self.calls: list[dict[str, Any]] = []
        """The body of each call."""
        self.released = threading.Event()
        self.seen = threading.Condition()

    @property
    def targets(self) -> list[str]:
        return [target for target, _ in self.asked]

    def keys(self) -> set[str]:
        """The keys that were sent here."""
        return {headers["authorization"] for _, headers in self.asked if "authorization" in headers}

    def waits_for(self, target: str, seconds: float = 30) -> None:
        """Waits until somebody has asked for something."""
        with self.seen:
            assert self.seen.wait_for(lambda: target in self.targets, seconds), f"nobody asked for {target}"


def slow(site: Site) -> Page:
    """Answers when the test is over."""
    site.released.wait(30)
    return Page()


@contextmanager
def site(
    simulator: Simulator | None = None, special: dict[str, Callable[[Site], Page]] | None = None
) -> Iterator[Site]:
    """A site. `special` has pages that are made when they are asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._note()
            if special and self.path in special:
                self._answer(special[self.path](made))
                return
            page = made.pages.get(self.path, Page(b"<!doctype html><title>Nothing here</title>", 404))
            if isinstance(page, str):
                page = Page(page.replace("SITE", made.url).encode())
            elif not isinstance(page, Page):
                page = Page(msgspec.json.encode(page).replace(b"SITE", made.url.encode()))
            if page.key is not None and self.headers["authorization"] != f"Bearer {page.key}":
                page = Page(b'{"error": {"message": "no key"}}', 401)
            self._answer(page)

        def do_POST(self) -> None:
            self._note()
            call = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
            made.calls.append(call)
            if simulator is None or not self.path.endswith(CALLS):
                self._answer(Page(b"{}", 404))
                return
            inner = HTTPConnection(simulator.host, simulator.port)
            kept = ("content-type", "authorization")
            body = msgspec.json.encode({**call, "model": "sim-thinker"})  # whatever this site calls it
            sent = {name: self.headers[name] for name in kept if self.headers[name]}
            inner.request("POST", "/v1" + CALLS, body, sent)
            answer = inner.getresponse()
            self._answer(Page(answer.read(), answer.status, {"content-type": answer.headers["content-type"]}))
            inner.close()

        def _note(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with made.seen:
                made.asked.append((f"{self.command} {self.path}", headers))
                made.seen.notify_all()

        def _answer(self, page: Page) -> None:
            self.send_response(page.status)
            for name, value in ({"content-type": "application/json"} | page.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever asked has given up
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made = Site(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        made.released.set()
        server.shutdown()
