"""Everything that reads what others wrote, as functions of bytes: for hypothesis in `make test`, for atheris in `make soak`.

A target raises nothing for any input, or what it promises to raise. Half of its inputs are real ones with something wrong in
them, for bytes out of nowhere seldom get behind the first brace.
"""

import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelbay.catalog.formats.manifest import inspect_manifest, inspect_models
from modelbay.catalog.formats.registry import parse_registry
from modelbay.catalog.lists.listing import parse_list
from modelbay.config.load import parse
from modelbay.conversation import Conversation, Text, Thinking, Tool, ToolCall, ToolResult, Turn, user
from modelbay.dialect import PLAIN
from modelbay.errors import BadRequest, ConfigError, MalformedReply, ModelbayError, ProviderError, Unsupported
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
    collect,
)
from modelbay.json_text import decode
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.sse import Decoder
from modelbay.providers.adaptation import adaptation
from modelbay.providers.endpoint import endpoint
from modelbay.providers.message_lessons import LESSONS
from modelbay.publishing.document_check import read_models
from modelbay.replay import replay, translate
from modelbay.routing.retry import retry_after
from modelbay.usage import Usage
from tests.corpus import CORPUS
from tests.protocols.spoken import RECORDED

Pick = Callable[[int], int]
"""A number below that one, as the fuzzer wills."""

JUNK: list[Any] = [
    None,
    0,
    -1,
    1e308,
    2**63,
    "",
    "x",
    "\ud83d",
    [],
    {},
    True,
    [1],
    {"a": 1},
    [None],
    [{}],
    {"": {"": 0}},
    float("inf"),
    float("nan"),
    10**400,
    json.loads("[" * 300 + "]" * 300),
]
SECONDS = 20.0
"""The longest a target may take for an input of a few KB."""
LONGEST = 30_000
"""Bytes of a recorded exchange; longer ones only say more of the same."""
DIALECT = PLAIN
SPLITS = (1, 2, 3, 7, 64, 1 << 20)


class Seeds(NamedTuple):
    requests: list[Any]
    replies: list[Any]
    errors: list[Any]
    streams: list[bytes]


def _events() -> list[Event]:
    parts: list[Thinking | Text | ToolCall] = [
        Thinking(texts=["Let me see"], opaque="c2lnbmVk"),
        Text(text="Héllo 🎉"),
        ToolCall(name="get_weather", arguments='{"city":"Paris"}', id="call_1"),
        ToolCall(name="get_weather", arguments='{"city":"Rome"}', id="call_2"),
    ]
    events: list[Event] = [Started("r1", "m")]
    for key, part in enumerate(parts):
        blank: Thinking | Text | ToolCall
        match part:
            case Thinking():
                shown, blank = part.text, Thinking(texts=[""])
            case Text():
                shown, blank = part.text, Text(text="")
            case ToolCall():
                shown, blank = part.arguments, ToolCall(name=part.name, arguments="", id=part.id)
        events += [PartStarted(key, blank), PartDelta(key, shown), PartEnded(key, part)]
    return [*events, UsageReported(Usage(input=3, output=5, reasoning=2)), Finished("tool_calls")]


def _conversation() -> Conversation:
    call = ToolCall(name="get_weather", arguments='{"city":"Paris"}', id="call_1")
    conversation = Conversation(
        [
            Turn("system", [Text(text="Be brief")]),
            user("The weather in Paris?"),
            Turn("assistant", [Text(text="I look"), call]),
            Turn("tool", [ToolResult(call_id="call_1", parts=[Text(text="18 °C")])]),
            user("And Rome?"),
        ]
    )
    schema = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}, "required": ["city"]}
    conversation.settings.tools = [Tool(name="get_weather", description="Weather", schema=schema)]
    conversation.settings.max_output_tokens = 100
    conversation.settings.temperature = 0.5
    return conversation


@cache
def seeds(protocol: str, recorded: int = 0) -> Seeds:
    """Requests and responses of a protocol: generated ones, and as many recorded exchanges if there are recordings."""
    of, events = codec(protocol), _events()
    model = Model(id="m", provider="p")
    renderer = of.stream_renderer(Conversation(stream=True, include_usage=True))
    error = of.render_error(ProviderError("no such model", status=404, type="not_found_error", code="x"))[1]
    found = Seeds(
        [json.loads(of.render_request(_conversation(), model, PLAIN).encode())],
        [json.loads(of.render_reply(collect(events)))],
        [json.loads(error)],
        [b"".join(renderer.feed(event) for event in events)],
    )
    for name in RECORDED[protocol] if recorded else ():
        path = CORPUS / f"{name}.jsonl.gz"
        every = gzip.decompress(path.read_bytes()).splitlines() if path.is_file() else []
        lines = [line for line in every if len(line) < LONGEST][:recorded]
        for row in map(msgspec.json.decode, lines):
            request, response = row.get("request") or {}, row.get("response") or {}
            if isinstance(request.get("json"), dict):
                found.requests.append(request["json"])
            if isinstance(response.get("sse"), str):
                found.streams.append(response["sse"].encode())
            elif "json" in response:
                (found.errors if response.get("status", 200) >= 400 else found.replies).append(response["json"])
    return found


def damaged(value: Any, pick: Pick) -> Any:
    """A copy with a few fields missing, twice there, or holding something else."""
    value = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    for _ in range(pick(4) if places else 0):
        node, key = places[pick(len(places))]
        other, other_key = places[pick(len(places))]
        junk = JUNK[pick(len(JUNK))]
        match pick(4):
            case 0 if isinstance(node, dict):
                node.pop(key, None)
            case 1 if isinstance(node, list):
                node.insert(0, junk)
            case 2 if not isinstance(other, dict) or other_key in other:
                # as long as it does not contain itself
                moved = json.loads(json.dumps(_at(other, other_key)))
                _put(node, key, moved)
            case _:
                _put(node, key, junk)
    return value


def _at(node: Any, key: Any) -> Any:
    return node.get(key) if isinstance(node, dict) else node[key] if key < len(node) else None


def _put(node: Any, key: Any, value: Any) -> None:
    if isinstance(node, dict) or key < len(node):
        node[key] = value


def _json(known: list[Any], data: bytes, pick: Pick) -> bytes:
    """A JSON text that is nearly right, a right one with bytes put in somewhere, or the bytes alone."""
    if (way := pick(4)) == 3:
        return data
    value = known[pick(len(known))]
    if way == 1:
        text = json.dumps(value).encode()
        at = pick(len(text) + 1)
        return text[:at] + data + text[at + pick(9) :]
    return json.dumps(damaged(value, pick)).encode()


def _stream(known: list[bytes], data: bytes, pick: Pick) -> bytes:
    if (way := pick(4)) == 3:
        return data
    stream = known[pick(len(known))]
    if way == 1:
        at = pick(len(stream) + 1)
        return stream[:at] + data + stream[at + pick(9) :]
    lines = stream.split(b"\n")
    for _ in range(1 + pick(3)):
        at = pick(len(lines))
        if lines[at].startswith(b"data: {"):
            lines[at] = b"data: " + json.dumps(damaged(json.loads(lines[at][6:]), pick)).encode()
        elif pick(2):
            lines.insert(at, lines[pick(len(lines))])
        else:
            del lines[at]
        if not lines:
            break
    return b"\n".join(lines)


# --- targets -----------------------------------------------------------------------------------------------------------


def sse(data: bytes, pick: Pick, recorded: int = 0) -> None:
    decoder, size = Decoder(limit=1024), SPLITS[pick(len(SPLITS))]
    data = data[: 512 * size]
    try:
        for start in range(0, len(data), size):
            decoder.feed(data[start : start + size])
        decoder.close()
    except MalformedReply:
        pass


def stream(data: bytes, pick: Pick, recorded: int = 0) -> None:
    protocol = NAMES[pick(len(NAMES))]
    body = _stream(seeds(protocol, recorded).streams, data, pick)
    size = SPLITS[2 + pick(len(SPLITS) - 2)]
    parser = codec(protocol).stream_parser(DIALECT)
    events: list[Event] = []
    for start in range(0, len(body), size):
        events += parser.feed(body[start : start + size])
    events += parser.close()
    check(events)


def reply(data: bytes, pick: Pick, recorded: int = 0) -> None:
    protocol = NAMES[pick(len(NAMES))]
    check(codec(protocol).parse_reply(_json(seeds(protocol, recorded).replies, data, pick), DIALECT))


def error(data: bytes, pick: Pick, recorded: int = 0) -> None:
    protocol = NAMES[pick(len(NAMES))]
    body = _json(seeds(protocol, recorded).errors, data, pick)
    found = codec(protocol).parse_error(400 + pick(200), {"x-request-id": data[:9].decode("latin-1")}, body)
    assert isinstance(found, ModelbayError)
    assert isinstance(found.message, str)


def request(data: bytes, pick: Pick, recorded: int = 0) -> None:
    """Parse a request of a client and render it for each upstream."""
    protocol, target = NAMES[pick(len(NAMES))], NAMES[pick(len(NAMES))]
    try:
        body = decode(_json(seeds(protocol, recorded).requests, data, pick))
    except MalformedReply:
        return
    if not isinstance(body, dict):
        return
    path = "/models/m:generateContent" if protocol == "google" else "/x"
    try:
        conversation = codec(protocol).parse_request(Call(path, body))
        codec(target).render_request(conversation, Model(id="m", provider="p"), DIALECT)
    except (Unsupported, BadRequest):
        pass


REFUSALS = [
    "role 'developer' is not supported",
    "System role not supported",
    "content must be a string",
    "roles must alternate",
    "reasoning_content is missing in assistant tool call message at index 1",
    "max_tokens: 9000 is above the maximum of 4096",
    "`temperature` and `top_p` cannot both be specified",
    "Unsupported parameter: stream_options",
    "Invalid schema for function 'f': In context=(), array schema missing items.",
]


def lessons(data: bytes, pick: Pick, recorded: int = 0) -> None:
    """Learns from refusals of a client's request that was passed on, and changes it."""
    protocol = NAMES[pick(len(NAMES))]
    try:
        body = decode(_json(seeds(protocol, recorded).requests, data, pick))
    except MalformedReply:
        return
    if isinstance(body, dict):
        rules = codec(protocol).PASS
        adaptation(BadRequest(REFUSALS[pick(len(REFUSALS))], status=400), body, rules)
        LESSONS[[*LESSONS][pick(len(LESSONS))]].apply(body, rules)


CONFIG = """\
default_model = "m"
[providers.p]
type = "openai"
base_url = "https://api.example/v1"
api_key = "sk-0123456789"
env = { A = "b" }
timeout = { connect = 1, idle = 2.5 }
[models."a/b"]
provider = "p"
model = "m"
max_context_size = 1000
capabilities = ["thinking"]
cost = { input = 1, output = 2 }
[models."a/b".variants.fast]
x = 1
[thinking]
effort = "low"
"""


def config(data: bytes, pick: Pick, recorded: int = 0) -> None:
    text, at = data.decode("utf-8", "replace"), pick(len(CONFIG) + 1)
    if pick(4):
        text = CONFIG[:at] + text + CONFIG[at + pick(20) :]
    try:
        found = parse(text, Path("/nowhere/config.toml"))
    except ConfigError:
        return
    for problem in found.problems:
        assert str(problem)
    for model in found.models.values():
        with suppress(ConfigError):
            endpoint(found, model, "/chat/completions")


def replayed(data: bytes, pick: Pick, recorded: int = 0) -> None:
    protocol = NAMES[pick(len(NAMES))]
    known = seeds(protocol, recorded)
    answers: list[dict[str, Any]] = [
        {"status": 200, "headers": {}, "json": known.replies[0]},
        {"status": 200, "headers": {"content-type": "text/event-stream"}, "sse": known.streams[0].decode()},
        {"status": 404, "headers": {}, "json": known.errors[0], "form": "whole"},
        {"status": 200, "headers": {}, "text": data.decode("utf-8", "replace"), "form": "stream"},
    ]
    url = {"method": "POST", "url": "https://api.example/v1/messages"}
    told = {"type": "TimedOut", "message": "late", "stage": "idle"}
    rows = [
        {"name": "n", "protocol": protocol, "request": url, "response": answer, "error": told, "dialect": {}}
        for answer in answers
    ]
    try:
        row = decode(json.dumps(damaged(rows[pick(len(rows))], pick)))
    except MalformedReply:
        return
    if isinstance(row, dict):
        replay(row, "n")
        translate(row, "n", NAMES[pick(len(NAMES))])  # type: ignore[arg-type]


LISTS: list[Any] = [
    {"object": "list", "data": [{"id": "a", "object": "model", "context_length": 9, "pricing": {"prompt": "1"}}]},
    {
        "models": {
            "a": {"id": "a", "name": "A", "limit": {"context": 9, "output": 1}, "cost": {"input": 1, "output": 2}}
        }
    },
    {"name": "A", "baseUrl": "https://a.example", "protocol": "openai", "models_data_source": "endpoint"},
    {"a": {"id": "a", "api": "https://a.example", "npm": "@ai-sdk/openai", "models": {"m": {"limit": {"context": 1}}}}},
    {"error": {"message": "late", "details": [{"@type": "RetryInfo", "retryDelay": "1s"}]}},
]


def listed(data: bytes, pick: Pick, recorded: int = 0) -> None:
    """Parse catalogs of any kind, and the wait time in refusals."""
    body = _json(LISTS, data, pick)
    inspect_manifest(body)
    inspect_models(body)
    read_models(body)
    retry_after({}, body, 0.0)
    for read in (parse_list, parse_registry):
        with suppress(ModelbayError):
            read(body)


def check(events: list[Event]) -> None:
    """One end, and nothing behind it; what came can be collected."""
    ends = [event for event in events if isinstance(event, Finished | Failed)]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    collect(events)


TARGETS: dict[str, Callable[[bytes, Pick, int], None]] = {
    "sse": sse,
    "stream": stream,
    "reply": reply,
    "error": error,
    "request": request,
    "lessons": lessons,
    "config": config,
    "replay": replayed,
    "listed": listed,
}


def run(name: str, data: bytes, pick: Pick, recorded: int = 0) -> None:
    """One input, in bounded time."""
    start = time.process_time()
    TARGETS[name](data, pick, recorded)
    seconds = time.process_time() - start
    assert seconds < SECONDS, f"{name} took {seconds:.1f} s for {len(data)} bytes"
