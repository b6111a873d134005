"""A server of documents on loopback: catalogs and registries, behind a token or not, with an ETag, changed as a test likes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Library:
    def __init__(self, url: str) -> None:
        self.url = url
        self.documents: dict[str, Any] = {}
        """By path; bytes go out as they are, a number is a status, text is where it redirects to."""
        self.tokens: set[str] = set()
        """Those that open it; none: it is open."""
        self.asked: list[str] = []
        """The path of each request, with the status of its answer."""
        self.headers: list[dict[str, str]] = []

    def reset(self) -> None:
        self.documents, self.tokens = {}, set()
        self.asked.clear()
        self.headers.clear()

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = self.documents.get(path)
        if self.tokens and headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {}, b'{"error": {"message": "who are you?"}}'
        if found is None or isinstance(found, int):
            return found or 404, {}, b'{"error": {"message": "told to"}}'
        if isinstance(found, str):
            return 302, {"location": found}, b""
        body = found if isinstance(found, bytes) else msgspec.json.encode(found)
        etag = f'"{sha256(body).hexdigest()[:8]}"'
        return (304, {"etag": etag}, b"") if headers.get("if-none-match") == etag else (200, {"etag": etag}, body)


@contextmanager
def library() -> Iterator[Library]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = made.answer(self.path, headers)
            made.asked.append(f"{self.path} {status}")
            made.headers.append(headers)
            self.send_response(status)
            for name, value in {"content-type": "application/json", **more}.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Library(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        server.shutdown()
