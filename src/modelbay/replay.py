"""Reads a recorded exchange: parses its response again without calling the provider.

An exchange is a JSON object: `{name, protocol, request{method, url, …} | null, response{status, headers, json | sse |
text}}`. Exchanges recorded by `recording` also have the `dialect`, the `form` in which the response was read, and an
`error` if one ended it. Whether it is a generation is decided by its URL, or, if that is missing or unknown, by the
shape of the response.
"""

import re
from collections.abc import Mapping
from typing import TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from modelbay.calling.recording import error_of
from modelbay.conversation import Conversation, Json, Protocol, Provenance, ToolCall
from modelbay.conversion import convert
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ModelbayError
from modelbay.events import Event, Failed, PartEnded, PartStarted, Reply, collect
from modelbay.json_text import decode
from modelbay.protocols.codec import codec
from modelbay.protocols.form import Form, web_page
from modelbay.protocols.sse import Decoder, encode
from modelbay.providers.presets import by_host
from modelbay.usage import Usage

Row: TypeAlias = dict[str, Json]
"""One line of output."""

LEGACY = "openai_completions_legacy"
"""Protocol name in recordings, read as Chat Completions."""
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
"""Protocol names in recordings, and the codec for each."""

OTHER = "not a generation"
_SKIPPED = (
    (re.compile(r"/(?:count[_-]tokens|input_tokens|tokenize)\b|:(?:count|compute)Tokens$"), "token count"),
    (re.compile(r"/embeddings$|:(?:batchE|e)mbedContents?$"), "embedding"),
    (re.compile(r"/responses/compact$"), OTHER),
)
_GENERATION = (
    (re.compile(r"/chat/completions$"), "openai_chat"),
    (re.compile(r"/completions$"), LEGACY),
    (re.compile(r"/responses(?:/[^/]+)?$"), "openai_responses"),
    (re.compile(r"/messages$|/publishers/anthropic/.*:(?:streamR|r)awPredict$"), "anthropic"),
    (re.compile(r":(?:streamG|g)enerateContent$"), "google"),
    (re.compile(r"/invoke(?:-with-response-stream)?$|:(?:streamR|r)awPredict$"), ""),
)
"""Path endings of generations, and their protocols; "" if several protocols use the path."""
_MODELS = re.compile(r"/models(?:/[^:]*)?$")
_ENOUGH = 65536
"""Bytes of a stream that are enough to detect its protocol."""
_SSE = re.compile(r"\s*(?:data|event|id|retry)?:")


class RecordedExchange(Struct):
    """A parsed exchange. `skipped` is the reason why there is no response to read."""

    protocol: Protocol = "openai_chat"
    dialect: Dialect = PLAIN
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    streamed: bool = False
    skipped: str = ""
    page: bool = False
    """Whether the response is a web page."""
    broken: ModelbayError | None = None
    """Error outside the response that ended the exchange."""


def read(recorded: Row) -> RecordedExchange:
    """Detect the kind of a recorded exchange and restore its response as bytes."""
    response, broken = recorded.get("response"), error_of(recorded.get("error"))
    if not isinstance(response, dict):
        return RecordedExchange(broken=broken) if broken else RecordedExchange(skipped="no response")
    request = recorded.get("request")
    request = request if isinstance(request, dict) else {}
    host, path = _address(str(request.get("url") or ""))
    status = response.get("status")
    status = status if isinstance(status, int) else 200
    body, streamed = _body(response)
    form = response.get("form")
    streamed = form == "stream" if form in get_args(Form) else streamed
    name = _protocol(
        recorded.get("protocol"),
        str(request.get("method") or ""),
        path,
        body,
        sure=streamed or status >= 400 or form is not None,
    )
    if name not in PROTOCOLS:
        return RecordedExchange(skipped=name)
    protocol = PROTOCOLS[name]
    headers = response.get("headers")
    return RecordedExchange(
        protocol=protocol,
        dialect=_own_dialect(recorded) or _dialect(host, protocol),
        status=status,
        headers={key: str(value) for key, value in headers.items()} if isinstance(headers, dict) else {},
        body=_as_chat(body, streamed) if name == LEGACY else body,
        streamed=streamed or (form is None and protocol == "google" and body[:1] == b"["),
        page=form == "page",
        broken=broken,
    )


def events(exchange: RecordedExchange) -> list[Event]:
    """The events that the hub would have returned."""
    of = codec(exchange.protocol)
    if exchange.broken and not (exchange.streamed and exchange.body):
        return [Failed(exchange.broken)]
    if exchange.status >= 400:
        return [Failed(of.parse_error(exchange.status, exchange.headers, exchange.body))]
    if exchange.page:
        return [Failed(web_page(exchange.body))]
    if not exchange.streamed:
        found = of.parse_reply(exchange.body, exchange.dialect)
    else:
        parser = of.stream_parser(exchange.dialect)
        found, rest = parser.feed(exchange.body), parser.close()
        if exchange.broken and rest and isinstance(rest[-1], Failed):
            rest[-1] = Failed(exchange.broken)
        found += rest
    origin = Provenance(exchange.protocol, exchange.dialect.vendor)
    for event in found:
        if isinstance(event, PartStarted | PartEnded):
            event.part.origin = origin
    return found


def replay(recorded: Row, name: str) -> Row:
    """The response of an exchange as a flat object. `name` is the default for its name."""
    row: Row = {"name": recorded.get("name") or name}
    exchange = read(recorded)
    if exchange.skipped:
        return {**row, "skipped": exchange.skipped}
    return {**row, **outcome(collect(events(exchange)))}


def translate(recorded: Row, name: str, to: Protocol) -> Row:
    """The response as a client of protocol `to` would receive it: a stream for a stream, else a JSON body."""
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
    """A reply as plain values, in the same form for every protocol."""
    return {
        "text": reply.text,
        "thinking": reply.thinking,
        "refusal": reply.refusal,
        "tool_calls": [call_words(call) for call in reply.tool_calls],
        "finish": _finish(reply),
        "usage": None if reply.usage is None else usage_counts(reply.usage),
        "error": None if reply.error is None else error_words(reply.error),
    }


def call_words(call: ToolCall) -> Row:
    """A tool call as plain values. `arguments` is the text that the model wrote, usually JSON."""
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _finish(reply: Reply) -> str:
    if reply.error is not None:
        return "incomplete" if isinstance(reply.error, IncompleteReply) else "error"
    return reply.finish.reason if reply.finish else "incomplete"


def usage_counts(usage: Usage) -> dict[str, int | None]:
    """Disjoint counts: `input` without cached tokens, `output` without reasoning. None if not reported."""
    return {
        "input": _sum(usage.input, usage.tool_prompt),
        "cache_read": usage.cache_read,
        "cache_write": _sum(usage.cache_write, usage.cache_write_1h),
        "output": usage.output,
        "reasoning": usage.reasoning,
    }


def error_words(error: ModelbayError) -> Row:
    """An error as plain values. `type` is the provider's type, else the class name."""
    kind = getattr(error, "type", None) or type(error).__name__
    return {"type": kind, "message": error.message, "status": error.status}


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


# --- the kind of an exchange ---


def _address(url: str) -> tuple[str | None, str]:
    """Host and path of a URL. Removing secrets may have made the URL invalid."""
    try:
        parts = urlsplit(url)
        # with its port, as in a local server's preset
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        return host, parts.path.rstrip("/")
    except ValueError:
        return None, url.partition("?")[0].rstrip("/")


def _body(response: Row) -> tuple[bytes, bool]:
    """The response body, and whether it is a stream of events."""
    for field in ("sse", "text"):
        if isinstance(text := response.get(field), str):
            return text.encode(), bool(_SSE.match(text)) or (field == "sse" and not text.strip())
    return (msgspec.json.encode(response["json"]) if "json" in response else b""), False


def _protocol(recorded: Json, method: str, path: str, body: bytes, sure: bool) -> str:
    """The name of the exchange's protocol, or the kind of exchange that is not a generation.

    If the URL does not decide, the recorded protocol is used when `sure` is set; otherwise the body must look like a
    reply.
    """
    for pattern, kind in _SKIPPED:
        if pattern.search(path):
            return kind
    by_path = next((name for pattern, name in _GENERATION if pattern.search(path)), None)
    if method == "GET" and "/responses/" not in path:
        by_path = None
    if recorded == "model_list" or (by_path is None and method in ("", "GET") and _MODELS.search(path)):
        return "model list"
    name = by_path or (recorded if isinstance(recorded, str) else "")
    if name and (by_path is not None or sure or name not in PROTOCOLS):
        return name
    shape = _shape(body)
    return name if name and shape in PROTOCOLS else shape or OTHER


def _shape(body: bytes) -> str:
    """The protocol that a response looks like, or the kind of exchange that is not a generation; "" if unknown."""
    try:
        seen = decode(body)
    except MalformedReply:
        payloads = (data for _, data in Decoder().feed(body[:_ENOUGH] + b"\n\n"))
        return next((shape for data in payloads if (shape := _shape(data))), "")
    if isinstance(seen, list) and seen:
        seen = seen[0]
    return _shape_of(seen) if isinstance(seen, dict) else ""


def _shape_of(seen: Row) -> str:
    if isinstance(choices := seen.get("choices"), list):
        return LEGACY if any("text" in choice for choice in choices if isinstance(choice, dict)) else "openai_chat"
    if "candidates" in seen or "usageMetadata" in seen:
        return "google"
    kind, object = str(seen.get("type")), str(seen.get("object"))
    if object == "response" or kind.startswith("response."):
        return "openai_responses"
    if kind == "error" or kind.startswith(("message", "content_block")):
        return "anthropic"
    if object == "interaction" or str(seen.get("event_type")).startswith("interaction."):
        return "google_interactions"
    if isinstance(error := seen.get("error"), dict):
        return "google" if "status" in error else "openai_chat"
    if "input_tokens" in seen or "totalTokens" in seen:
        return "token count"
    listed = seen.get("data") or seen.get("models")
    first = listed[0] if isinstance(listed, list) and listed else None
    is_model = isinstance(first, dict) and ("models" in seen or "model" in (first.get("object"), first.get("type")))
    return "model list" if is_model else ""


def _own_dialect(recorded: Row) -> Dialect | None:
    try:
        return convert(recorded.get("dialect"), Dialect | None)
    except msgspec.ValidationError:
        return None


def _dialect(host: str | None, protocol: Protocol) -> Dialect:
    preset = by_host(host) if host else None
    return preset.dialect_of(protocol) if preset else PLAIN


# --- legacy completions ---


def _as_chat(body: bytes, streamed: bool) -> bytes:
    """Convert legacy completions to Chat Completions: `text` of a choice becomes its message."""
    if not streamed:
        return _chat_form(body)
    decoder = Decoder()
    return b"".join([encode(_chat_form(data), name) for name, data in [*decoder.feed(body), *decoder.close()]])


def _chat_form(data: bytes) -> bytes:
    try:
        chunk = decode(data)
    except MalformedReply:
        return data
    if not isinstance(chunk, dict):
        return data
    if isinstance(chunk.get("value"), str):  # the only field that Writer streams
        chunk["choices"] = [{"text": chunk.pop("value")}]
    for choice in chunk.get("choices") or ():
        if isinstance(choice, dict) and isinstance(choice.get("text"), str):
            choice["delta"] = {"content": choice.pop("text")}
            choice.pop("logprobs", None)  # has lists of tokens and offsets instead
    return msgspec.json.encode(chunk)
