"""A provider's host as a table: the response of each path, and the requests."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.config.load import parse
from modelbay.errors import ModelbayError
from modelbay.protocols.codec import codec
from modelbay.providers.endpoint import Endpoint

PAGE = "<!doctype html><html><title>Welcome</title></html>"
Answer = Callable[[str, Any], Any] | ModelbayError | str | int | dict[str, Any] | list[Any]


class Shelf:
    """Responds to a path with JSON, text, an error or a status, by default 404. A function receives the query and the body."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def fetch(self, endpoint: Endpoint, body: bytes | None) -> bytes:
        _, _, rest = endpoint.url.partition("//")
        path, _, query = ("/" + rest.partition("/")[2]).partition("?")
        self.asked.append(path)
        self.headers.append({name.lower(): value for name, value in endpoint.sent_headers().items()})
        answer = self.answers.get(path, 404)
        if callable(answer):
            answer = answer(query, None if body is None else msgspec.json.decode(body))
        if isinstance(answer, ModelbayError):
            raise answer
        if isinstance(answer, int):
            raise codec(endpoint.protocol).parse_error(answer, {}, b'{"error": {"message": "told to"}}')
        return answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)

    async def discover(self, provider: str) -> Discovery:
        config = parse(f"[providers.acme]\n{provider}", Path("/somewhere/config.toml"))
        assert config.problems == []
        return await discover(config, config.providers["acme"], self.fetch)


def data(*ids: str, **facts: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": id, "object": "model", **facts} for id in ids]}
