"""A plain HTTP client on the standard library: the servers are tested without code of modelbay."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The decoded `data:` lines of an SSE stream; the closing `[DONE]` stays text."""
        lines = [line for line in self.body.decode().splitlines() if line.startswith("data:")]
        texts = [line.removeprefix("data:").strip() for line in lines]
        return [text if text == DONE else json.loads(text) for text in texts]

    @property
    def lines(self) -> list[Any]:
        """The decoded lines of a stream of JSON lines."""
        return [json.loads(line) for line in self.body.splitlines() if line]


def call(url: str, body: object = None, *, method: str = "", timeout: float = 120.0, **headers: str) -> Answer:
    """Send one request and read the whole response, of any status. Proxies of the environment are ignored.

    `x_api_key="..."` is the header `x-api-key`. Without `method`, a request with a body is a POST.
    """
    parts = urlsplit(url)
    if parts.hostname is None:
        raise ValueError(f"no host in {url!r}")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    content = None if body is None else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(
            method or ("GET" if content is None else "POST"),
            parts.path + (f"?{parts.query}" if parts.query else ""),
            content,
            {"content-type": "application/json", **sent} if content else sent,
        )
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
