"""A gateway with a model that follows a script, and a search engine, both on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from modelbay.conversation import AnyPart, Conversation, Text, ToolCall
from modelbay.events import Finished, PartDelta, PartEnded, PartStarted, Reply, Started, UsageReported
from modelbay.protocols.codec import Call, codec
from modelbay.usage import Usage
from tests.gateway.running import TYPES, RunningGateway
from tests.servers.loopback import Handler, served

PAGES = [
    {
        "url": "https://tides.example/wellington",
        "title": "Tides of <b>Wellington</b>",
        "content": "High tide is at 6:12.",
        "publishedDate": "2026-11-01",
    },
    {"url": "javascript:alert(1)", "title": "Not a page", "content": "no"},
    {"url": "https://other.example/a", "title": "Another", "content": "Low tide is at 12:20."},
]
ANSWER = "High tide is at 6:12, see [the table](https://tides.example/wellington)."
LINK = (26, 71)
"""The place of the link in the answer."""


def search(query: str = "tides Wellington", id: str | None = "call_1", name: str = "web_search") -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps({"query": query}), id=id)


class SearchServer:
    """SearXNG, as far as it is used."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.status = 200
        self.asked = threading.Semaphore(0)
        """Released for each search that arrives."""
        self.left = threading.Semaphore(0)
        """Released for each held search whose client closes its connection."""
        self.held: threading.Event | None = None
        """Searches are answered when it is set."""
        self.pages: list[dict[str, Any]] = PAGES

    @contextmanager
    def serving(self) -> Iterator[str]:
        outer = self

        class Searx(Handler):
            def do_GET(self) -> None:
                outer.queries.append(parse_qs(urlsplit(self.path).query)["q"][0])
                outer.asked.release()
                while outer.held is not None and not outer.held.wait(0.02):
                    if select([self.connection], [], [], 0)[0]:
                        outer.left.release()
                        return
                self.answer(outer.status, json.dumps({"results": outer.pages}).encode())

        with served(Searx) as url:
            yield url


class ScriptedModel:
    """A provider whose model gives one reply after the other, and records the requests."""

    def __init__(self, protocol: str, *replies: list[AnyPart]) -> None:
        self.protocol = protocol
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.replies = list(replies)
        self.status = 200
        """Status of replies after the first."""

    def conversation(self, number: int) -> Conversation:
        """The conversation of a request."""
        path = "/v1beta/models/m:generateContent" if self.protocol == "google" else ""
        return codec(self.protocol).parse_request(
            Call(path, msgspec.json.decode(msgspec.json.encode(self.bodies[number])))
        )

    def history(self, number: int) -> list[tuple[str, str]]:
        """The parts of a request after the first turn: kind and text."""
        found = []
        for turn in self.conversation(number).turns[1:]:
            for part in turn.parts:
                kind = str(type(part).__struct_config__.tag)
                text = part.arguments if isinstance(part, ToolCall) else "".join(p.text for p in _texts(part))
                found.append((kind, text))
        return found

    @contextmanager
    def serving(self) -> Iterator[str]:
        outer = self

        class Model(Handler):
            def do_POST(self) -> None:
                body = json.loads(self.body())
                outer.bodies.append(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                if len(outer.bodies) > 1 and outer.status != 200:
                    self.answer(outer.status, b'{"error": {"message": "the model is gone"}}')
                    return
                parts = outer.replies[len(outer.bodies) - 1]
                streams = body.get("stream") or "streamGenerateContent" in self.path
                data = outer._stream(parts) if streams else outer._whole(parts)
                self.answer(200, data, {"content-type": "text/event-stream" if streams else "application/json"})

        with served(Model) as url:
            yield url

    def _end(self, parts: list[AnyPart]) -> Finished:
        return Finished("tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop")

    def _whole(self, parts: list[AnyPart]) -> bytes:
        usage = Usage(input=10, output=5)
        reply = Reply(f"reply-{len(self.bodies)}", "m", parts, self._end(parts), usage)
        return codec(self.protocol).render_reply(reply)

    def _stream(self, parts: list[AnyPart]) -> bytes:
        conversation = Conversation(model="m", stream=True, include_usage=True)
        feed = codec(self.protocol).stream_renderer(conversation).feed
        data = feed(Started(f"reply-{len(self.bodies)}", "m", {"created": 1}))
        for key, part in enumerate(parts):
            data += feed(PartStarted(key, type(part)(**_begun(part))))
            text = part.arguments if isinstance(part, ToolCall) else part.text if isinstance(part, Text) else ""
            data += b"".join(feed(PartDelta(key, text[at : at + 7])) for at in range(0, len(text), 7))
            data += feed(PartEnded(key, part))
        return data + feed(UsageReported(Usage(input=10, output=5))) + feed(self._end(parts))


def _begun(part: AnyPart) -> dict[str, Any]:
    return {"name": part.name, "id": part.id, "opaque": part.opaque} if isinstance(part, ToolCall) else {}


def _texts(part: Any) -> list[Text]:
    return [part] if isinstance(part, Text) else [one for one in getattr(part, "parts", []) if isinstance(one, Text)]


@contextmanager
def searching(
    folder: Path,
    model: ScriptedModel,
    *,
    dialect: str = "",
    settings: str | None = "",
    more: str = "",
    engine: SearchServer | None = None,
) -> Iterator[tuple[RunningGateway, SearchServer]]:
    """A gateway whose model `m` follows a script. `settings`: keys of `[gateway.search]`, None: no such table; `more`: keys of
    `[gateway]`."""
    server = engine or SearchServer()
    kind, base = TYPES[model.protocol]
    with model.serving() as url, server.serving() as address:
        table = (
            f'[gateway.search]\nbackend = "searxng"\nurl = "{address}"\n{settings}\n' if settings is not None else ""
        )
        config = folder / "config.toml"
        config.write_text(
            f"[gateway]\n{more}\n{table}"
            f'[providers.p]\ntype = "{kind}"\nbase_url = "{url}{base}"\napi_key = "sk-provider"\n{dialect}\n'
            '[models.m]\nprovider = "p"\nmodel = "m"\n'
        )
        with RunningGateway(config) as gateway:
            yield gateway, server
