"""What a recorded exchange says: its answer, read again without the provider.

An exchange is a JSON object: `{name, protocol, request{method, url, …} | null, response{status, headers, json | sse | text}}`.
Whether it is a generation at all is told by its URL, and where that is missing or unknown by the shape of the response.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from modelbay.conversation import Conversation, Json, Origin, Protocol
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import IncompleteReply, ModelbayError
from modelbay.events import Event, Failed, PartEnded, PartStarted, Reply, collect
from modelbay.protocols.codec import codec
from modelbay.protocols.sse import Decoder, encode
from modelbay.usage import Usage

Row: TypeAlias = dict[str, Json]
"""One line of output."""

LEGACY = "openai_completions_legacy"
"""Recorded by this name, and read as Chat Completions."""
PROTOCOLS: dict[str, Protocol] = {
    "openai_chat": "openai_chat",
    "moonshot_kimi": "openai_chat",
    LEGACY: "openai_chat",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "anthropic_messages": "anthropic",
    "vertex_anthropic": "anthropic",
    "bedrock_anthropic": "anthropic",
    "google": "google",
    "google_genai": "google",
    "vertex_genai": "google",
}
"""What exchanges call their protocols, and which codec reads them."""

OTHER = "not a generation"
_NO_GENERATION = (
    (re.compile(r"/(?:count[_-]tokens|input_tokens|tokenize)\b|:countTokens$"), "token count"),
    (re.compile(r"/embeddings$|:(?:batch)?embed\w*$", re.IGNORECASE), "embedding"),
    (re.compile(r"/responses/compact$"), OTHER),
    (re.compile(r"/models(?:/[^:]*)?$(?<!completions)"), "model list"),
)
_GENERATION = (
    (re.compile(r"/chat/completions$"), "openai_chat"),
    (re.compile(r"/completions$"), LEGACY),
    (re.compile(r"/responses(?:/[^/]+)?$"), "openai_responses"),
    (re.compile(r"/messages$|/publishers/anthropic/.*:(?:streamR|r)awPredict$"), "anthropic"),
    (re.compile(r":(?:streamG|g)enerateContent$"), "google"),
    (re.compile(r"/invoke(?:-with-response-stream)?$|:(?:streamR|r)awPredict$"), None),
)
"""None: a path that several protocols share."""
_SSE = re.compile(r"\s*(?:data|event|id|retry|):")


class Exchange(Struct):
    """An exchange as far as it is understood; `skipped` says why there is no answer to read."""

    protocol: Protocol = "openai_chat"
    dialect: Dialect = PLAIN
    legacy: bool = False
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    streamed: bool = False
    skipped: str = ""


def read(recorded: Row) -> Exchange:
    """What kind of exchange was recorded, and its answer as the bytes that came."""
    response = recorded.get("response")
    if not isinstance(response, dict):
        return Exchange(skipped="no response")
    request = recorded.get("request")
    request = request if isinstance(request, dict) else {}
    url = urlsplit(str(request.get("url") or ""))
    status = response.get("status")
    status = status if isinstance(status, int) else 200
    body, streamed = _body(response)
    name = _protocol(recorded.get("protocol"), url.path, str(request.get("method") or ""), status, body)
    if name not in PROTOCOLS:
        return Exchange(skipped=name)
    protocol = PROTOCOLS[name]
    headers = response.get("headers")
    return Exchange(
        protocol=protocol,
        dialect=_dialect(url.hostname, protocol),
        legacy=name == LEGACY,
        status=status,
        headers={key: str(value) for key, value in headers.items()} if isinstance(headers, dict) else {},
        body=_as_chat(body, streamed) if name == LEGACY else body,
        streamed=streamed or (protocol == "google" and body[:1] == b"["),
    )


def events(exchange: Exchange) -> list[Event]:
    """The events that the hub would have given."""
    of = codec(exchange.protocol)
    if exchange.status >= 400:
        return [Failed(of.parse_error(exchange.status, exchange.headers, exchange.body))]
    if not exchange.streamed:
        found = of.parse_reply(exchange.body, exchange.dialect)
    else:
        parser = of.stream_parser(exchange.dialect)
        found = [*parser.feed(exchange.body), *parser.close()]
    origin = Origin(exchange.protocol, exchange.dialect.vendor)
    for event in found:
        if isinstance(event, PartStarted | PartEnded):
            event.part.origin = origin
    return found


def replay(recorded: Row, name: str) -> Row:
    """The answer of an exchange as one flat object. `name` is for an exchange that has none."""
    row: Row = {"name": recorded.get("name") or name}
    exchange = read(recorded)
    if exchange.skipped:
        return {**row, "skipped": exchange.skipped}
    return {**row, **outcome(collect(events(exchange)))}


def translate(recorded: Row, name: str, to: Protocol) -> Row:
    """What a client of the protocol `to` would have been sent: a stream for a stream, else one piece."""
    row: Row = {"name": recorded.get("name") or name}
    exchange = read(recorded)
    if exchange.skipped:
        return {**row, "skipped": exchange.skipped}
    of, answer = codec(to), events(exchange)
    streamed = exchange.streamed and exchange.status < 400
    if streamed:
        renderer = of.stream_renderer(Conversation(protocol=to, stream=True, include_usage=True))
        body = b"".join([renderer.feed(event) for event in answer])
    else:
        reply = collect(answer)
        body = of.render_error(reply.error)[1] if reply.error else of.render_reply(reply)
    return {**row, "to": to, "kind": "sse" if streamed else "json", "body": body.decode()}


def outcome(reply: Reply) -> Row:
    """A reply in plain words and numbers, the same for every protocol."""
    return {
        "text": reply.text,
        "thinking": reply.thinking,
        "refusal": reply.refusal,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls],
        "finish": _finish(reply),
        "usage": None if reply.usage is None else usage_counts(reply.usage),
        "error": None if reply.error is None else error_words(reply.error),
    }


def _finish(reply: Reply) -> str:
    if reply.error is not None:
        return "incomplete" if isinstance(reply.error, IncompleteReply) else "error"
    return reply.finish.reason if reply.finish else "incomplete"


def usage_counts(usage: Usage) -> dict[str, int | None]:
    """Disjoint counts: `input` without cached tokens, `output` without reasoning; None for what was not reported."""
    return {
        "input": _sum(usage.input, usage.tool_prompt),
        "cache_read": usage.cache_read,
        "cache_write": _sum(usage.cache_write, usage.cache_write_1h),
        "output": usage.output,
        "reasoning": usage.reasoning,
    }


def error_words(error: ModelbayError) -> Row:
    """An error by the provider's word for it, else by ours."""
    kind = getattr(error, "type", None) or type(error).__name__
    return {"type": kind, "message": error.message, "status": error.status}


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


# --- what an exchange is ---


def _body(response: Row) -> tuple[bytes, bool]:
    """The answer's bytes, and whether they are a stream of events."""
    for field in ("sse", "text"):
        if isinstance(text := response.get(field), str):
            return text.encode(), bool(_SSE.match(text)) or (field == "sse" and not text.strip())
    return (msgspec.json.encode(response["json"]) if "json" in response else b""), False


def _protocol(recorded: Json, path: str, method: str, status: int, body: bytes) -> str:
    """The name of a protocol, or the kind of exchange that is no generation."""
    path = path.rstrip("/")
    for pattern, kind in _NO_GENERATION:
        if pattern.search(path):
            return kind
    found, of_path = next(((True, name) for pattern, name in _GENERATION if pattern.search(path)), (False, None))
    if method == "GET" and not re.search(r"/responses/[^/]+$", path):
        return recorded if recorded in _SKIPPED else OTHER
    shape = _shape(body)
    named = recorded if isinstance(recorded, str) else ""
    known = named if named in PROTOCOLS else of_path or named or shape
    if known not in PROTOCOLS:
        return _SKIPPED.get(known or "", known or OTHER)
    if found or status >= 400 or shape in PROTOCOLS:
        return known
    return shape or OTHER
