"""Google's token endpoint, on loopback and in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenServer:
    """Grants `TOKEN`, or refuses, and keeps the forms that it was sent."""

    TOKEN = "ya29.token-of-google"

    def __init__(self, url: str) -> None:
        self.url = url
        self.refuse = False
        self.forms: list[dict[str, str]] = []

    @property
    def grants(self) -> list[str]:
        """The kinds of grant that it was asked for."""
        return [form["grant_type"].rpartition(":")[2] for form in self.forms]


@contextmanager
def token_server() -> Iterator[TokenServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            made.forms.append({name: values[0] for name, values in parse_qs(body).items()})
            said = b'{"error":"invalid_grant","error_description":"Token has been expired or revoked."}'
            if not made.refuse:
                said = b'{"access_token":"%b","expires_in":3599,"token_type":"Bearer"}' % made.TOKEN.encode()
            self.send_response(400 if made.refuse else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = TokenServer(f"http://127.0.0.1:{server.server_address[1]}/token")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        server.shutdown()
