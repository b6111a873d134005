"""Faults on demand: one table of provider failures, each for every protocol.

A request selects a fault by the model's name, such as `sim-1!stall=0.5`, or by a header, such as `x-simulate: 429=date`. With
`*2`, such as `sim-1!500*2`, only the first two of these requests fail. A fault is a pure function from the regular response
to the faulty response.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from modelbay.conversation import Text
from modelbay.errors import ModelbayError
from modelbay.events import Event, Failed, Finished, PartDelta, UsageReported
from modelbay.json_text import decode
from modelbay.simulator import error_messages, odd_streams, responses
from modelbay.simulator.responses import Cut, Pause, SimulatedResponse, Step
from modelbay.simulator.simulated_exchange import SimulatedExchange
from modelbay.simulator.traits import ProtocolTraits

_SPEC = re.compile(r"(?P<name>[a-z0-9-]+)(?:=(?P<argument>[^*]*))?(?:\*(?P<times>\d+))?")
_FOREVER = 3_600.0
_BEAT = 0.02
"""Seconds between two keep-alives."""
_HTML = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>"
)
_MANY_BYTES = " 你好, naïve café \N{EN DASH} ünïcödé \N{PARTY POPPER}."
_BOMB_BLOCK = 1 << 20


class FaultSpec(Struct, frozen=True):
    """A fault in a request."""

    name: str
    argument: str = ""
    times: int | None = None

    def number(self, default: float) -> float:
        """The argument as a number."""
        try:
            return float(self.argument)
        except ValueError:
            return default


class FaultyRequest(Struct):
    """A request with a fault, and its normal response."""

    spec: FaultSpec
    traits: ProtocolTraits
    target: str
    model: str
    plain: SimulatedResponse
    exchange: SimulatedExchange | None = None
    """None for a request without a reply, such as a model list."""

    @property
    def stream(self) -> bool:
        return self.exchange is not None and self.exchange.stream

    def body(self) -> bytes:
        """The whole body; not for streams."""
        return b"".join(step for step in self.plain.steps if isinstance(step, bytes))

    def whole(self, body: bytes, status: int = 200) -> SimulatedResponse:
        return responses.whole(status, body, self.plain.headers["content-type"])

    def streamed(self, change: Callable[[Iterator[Event]], Iterator[Event]]) -> SimulatedResponse:
        """The stream with changed events."""
        assert self.exchange is not None
        return self.exchange.streamed(self.exchange.render(change(self.exchange.events())))

    def complain(self, error: ModelbayError, headers: dict[str, str] | None = None) -> SimulatedResponse:
        status, body = error_messages.render(self.traits.protocol, error)
        answer = responses.whole(error.status or status, body)
        answer.headers |= headers or {}
        return answer

    def halves(self, pieces: int = 1) -> tuple[list[Step], Iterator[Step]]:
        """The steps up to the first `pieces` of content, and the steps after them."""
        if not self.stream:
            body = self.body()
            return [body[: len(body) // 2]], iter([body[len(body) // 2 :]])
        assert self.exchange is not None
        events = self.exchange.events()
        renderer = self.exchange.codec.stream_renderer(self.exchange.conversation)
        first: list[Step] = [b""]
        for event in events:
            first.append(renderer.feed(event))
            if type(event) is PartDelta and first[-1]:
                pieces -= 1
            if pieces <= 0:
                break
        return first, (data for event in events if (data := renderer.feed(event)))

    def answer(self, *parts: "Iterator[Step] | list[Step]") -> SimulatedResponse:
        """A response with the same headers, including the length, and other steps."""
        return msgspec.structs.replace(self.plain, steps=chain(*parts))


Fault = Callable[[FaultyRequest], SimulatedResponse]


# --- error responses ---------------------------------------------------------------------------------------------------


def _status(name: str) -> Fault:
    """An error response. The argument is the value of `Retry-After` in seconds."""

    def fail(request: FaultyRequest) -> SimulatedResponse:
        headers = {"retry-after": request.spec.argument} if request.spec.argument else {}
        return request.complain(error_messages.failure(request.traits.protocol, name), headers)

    return fail


def _unauthorised(request: FaultyRequest) -> SimulatedResponse:
    return request.complain(error_messages.wrong_key(request.traits.protocol, "sk-simulated-key"))


def _unknown(request: FaultyRequest) -> SimulatedResponse:
    return request.complain(error_messages.unknown_model(request.traits.protocol, request.model))


def _overflow(request: FaultyRequest) -> SimulatedResponse:
    return request.complain(error_messages.overflow(request.traits.protocol, 250_000, 200_000))


def _rate_limited(request: FaultyRequest) -> SimulatedResponse:
    """A rate limit error. The argument is the delay: `2` (seconds), `date:2`, `ms:150`, `info:2`, `reset:2` or empty."""
    form, _, value = request.spec.argument.rpartition(":")
    if not form and not re.fullmatch(r"[\d.]*", value):
        form, value = value, ""
    delay = float(value) if value else 1.0
    headers: dict[str, str] = {}
    if form == "date":
        # a date has whole seconds: rounded up, so that the delay is never 0
        headers["retry-after"] = formatdate(int(time.time() + delay) + 1, usegmt=True)
    elif form == "ms":
        headers["retry-after-ms"] = value or "150"
    elif form == "reset":
        headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{delay:g}s"}
        headers |= {"x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "1h0m0s"}
    elif value and not form:
        headers["retry-after"] = value
    answer = request.complain(error_messages.failure(request.traits.protocol, "429"), headers)
    return _with_retry_info(answer, delay) if form == "info" else answer


def _with_retry_info(answer: SimulatedResponse, delay: float) -> SimulatedResponse:
    """Add the delay to the body as Google does, also in Google's OpenAI-compatible API."""
    body: Any = decode(b"".join(step for step in answer.steps if isinstance(step, bytes)))
    error = body[0]["error"] if isinstance(body, list) else body["error"]
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{delay:g}s"}
    error["details"] = [*error.get("details", []), info]
    return responses.whole(answer.status, msgspec.json.encode(body))


# --- responses of other types ------------------------------------------------------------------------------------------


def _html(request: FaultyRequest) -> SimulatedResponse:
    return responses.whole(int(request.spec.number(200)), _HTML, "text/html; charset=utf-8")


def _empty(request: FaultyRequest) -> SimulatedResponse:
    return request.whole(b"")


def _redirect(request: FaultyRequest) -> SimulatedResponse:
    answer = responses.whole(307, b"", "text/plain")
    answer.headers["location"] = request.spec.argument or f"https://elsewhere.invalid{request.target}"
    return answer


def _wrong_type(request: FaultyRequest) -> SimulatedResponse:
    request.plain.headers["content-type"] = request.spec.argument or "text/plain"
    return request.plain


def _gzip_bomb(request: FaultyRequest) -> SimulatedResponse:
    """Compressed white space, which JSON and event streams ignore, a thousand times larger after decompression; then the reply."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * _BOMB_BLOCK

    def steps() -> Iterator[Step]:
        yield packer.compress(b":" if request.stream else b"")
        for _ in range(int(request.spec.number(100))):
            yield packer.compress(block)
        yield packer.compress(b"\n\n" if request.stream else b"")
        for step in request.plain.steps:
            yield packer.compress(step) if isinstance(step, bytes) else step
        yield packer.flush()

    return SimulatedResponse(200, steps(), {**request.plain.headers, "content-encoding": "gzip"})


# --- time --------------------------------------------------------------------------------------------------------------


def _slow_headers(request: FaultyRequest) -> SimulatedResponse:
    return request.answer([Pause(request.spec.number(_FOREVER))], iter(request.plain.steps))


def _slow_first_token(request: FaultyRequest) -> SimulatedResponse:
    return request.answer([b"", Pause(request.spec.number(_FOREVER))], iter(request.plain.steps))


def _stall(request: FaultyRequest) -> SimulatedResponse:
    first, rest = request.halves()
    return request.answer(first, [Pause(request.spec.number(_FOREVER))], rest)


def _pace(request: FaultyRequest) -> SimulatedResponse:
    if request.exchange is not None:
        request.exchange.pace = request.spec.number(0.02)
        return request.exchange.answer()
    return request.plain


# --- the connection ----------------------------------------------------------------------------------------------------


def _cut_before(request: FaultyRequest) -> SimulatedResponse:
    """Reset the connection before the headers. `close` closes it instead, `head` sends the headers first."""
    head: list[Step] = [b"", Pause(0.01)] if request.spec.argument == "head" else []
    return request.answer(head, [Cut(reset=request.spec.argument == "")])


def _cut_after(request: FaultyRequest) -> SimulatedResponse:
    first, _ = request.halves(int(request.spec.number(3)))
    return request.answer(first, [Cut()])


def _cut_after_first(request: FaultyRequest) -> SimulatedResponse:
    """Close the connection after the first content. `reset` resets it instead."""
    first, _ = request.halves()
    # data that is sent immediately before a reset may be lost
    return request.answer(first, [Pause(0.05), Cut(reset=request.spec.argument == "reset")])


# --- the body ----------------------------------------------------------------------------------------------------------


def _malformed(request: FaultyRequest) -> SimulatedResponse:
    first, rest = request.halves()
    if not request.stream:
        return request.whole(b"".join(step for step in first if isinstance(step, bytes)))
    broken = next((step for step in rest if isinstance(step, bytes)), b"")
    return request.answer(first, [broken.rstrip()[:-12] + b"\n\n"], rest)


def _error_in_200(request: FaultyRequest) -> SimulatedResponse:
    """An error after the first token. The argument is the error, such as `429`."""
    error = error_messages.failure(request.traits.protocol, request.spec.argument or "503")
    if not request.stream:
        return request.whole(error_messages.render(request.traits.protocol, error)[1])

    def until_it_fails(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if type(event) is PartDelta:
                break
        yield Failed(error)

    return request.streamed(until_it_fails)


def _error_first(request: FaultyRequest) -> SimulatedResponse:
    """An error before the first token. The argument is the error, such as `429`."""
    error = error_messages.failure(request.traits.protocol, request.spec.argument or "529")
    if not request.stream:
        return request.whole(error_messages.render(request.traits.protocol, error)[1])
    return request.streamed(lambda events: iter([next(events), Failed(error)]))


def _keep_alives(request: FaultyRequest) -> SimulatedResponse:
    """Only comments of a stream, or blank lines."""
    alive: list[Step] = [b": keep-alive\n\n" if request.stream else b"\n", Pause(_BEAT)]
    beats = int(request.spec.number(_FOREVER) / _BEAT) + 1
    return msgspec.structs.replace(request.plain, steps=chain([b""], *repeat(alive, beats)), length=None)


def _open_end(request: FaultyRequest) -> SimulatedResponse:
    """The reply without its last event, if that event has no content, on a connection that stays open."""
    if not request.stream:
        return request.plain
    steps = iter(request.plain.steps)
    needed = request.traits.protocol in ("openai_responses", "google")  # their last event has the finish reason
    return request.answer(steps if needed else _without_last_event(steps), [Pause(request.spec.number(_FOREVER))])


def _missing_end(request: FaultyRequest) -> SimulatedResponse:
    """The connection is closed normally, but the reply is incomplete. `mark` omits only the last event, such as `[DONE]`."""
    if not request.stream:
        reply = decode(request.body())
        _unset(reply, request.traits.finish_path)
        return request.whole(msgspec.json.encode(reply))
    if request.spec.argument == "mark":
        return request.answer(_without_last_event(iter(request.plain.steps)))
    return request.streamed(lambda events: (event for event in events if type(event) is not Finished))


def _unset(reply: Any, path: tuple[str | int, ...]) -> None:
    try:
        for step in path[:-1]:
            reply = reply[step]
        reply[path[-1]] = None
    except (KeyError, IndexError, TypeError):
        pass  # a model list has no finish reason


def _without_last_event(steps: Iterator[Step]) -> Iterator[Step]:
    last = b""
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        yield last
        last = step
    # the last of several events, or the closing bracket of a JSON array
    events = re.findall(rb".+?(?:\r?\n){2}", last, re.DOTALL)
    yield b"".join(events[:-1]) if events else last[:-1]


def _split_utf8(request: FaultyRequest) -> SimulatedResponse:
    """Characters of several bytes are split between pieces."""
    if request.exchange is None:
        return request.plain
    for part in request.exchange.reply.parts:
        if type(part) is Text:
            part.text += _MANY_BYTES
    plain = request.exchange.answer()
    return msgspec.structs.replace(plain, steps=_split_letters(iter(plain.steps)))


def _split_letters(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, bytes) or step.isascii():
            yield step
            continue
        start = 0
        for index, byte in enumerate(step):
            if byte >= 0xC0:  # the first byte of a character; the pause makes the network send the data before it
                yield step[start : index + 1]
                yield Pause(0.002)
                start = index + 1
        yield step[start:]


def _oversized(request: FaultyRequest) -> SimulatedResponse:
    """One event of 40 MB, or of another size in MB."""
    if request.exchange is None:
        return request.plain
    for part in request.exchange.reply.parts:
        if type(part) is Text:
            part.text = "x" * int(request.spec.number(40) * 1e6)
    plain = request.exchange.answer()
    return msgspec.structs.replace(plain, steps=_sliced(iter(plain.steps)))


def _sliced(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, bytes):
            yield from responses.sliced(step)
        else:
            yield step


def _duplicate_start(request: FaultyRequest) -> SimulatedResponse:
    if not request.stream:
        return request.plain
    steps = iter(request.plain.steps)
    first = next((step for step in steps if step), b"")
    return request.answer([first, first], steps)


def _no_usage(request: FaultyRequest) -> SimulatedResponse:
    if not request.stream:
        reply = decode(request.body())
        for name in ("usage", "usageMetadata"):
            reply.pop(name, None)
        return request.whole(msgspec.json.encode(reply))
    return request.streamed(lambda events: (event for event in events if type(event) is not UsageReported))


def _content_filter(request: FaultyRequest) -> SimulatedResponse:
    if request.exchange is None:
        return request.plain
    said = request.exchange.reply
    said.finish = "content_filter"
    for part in said.parts:
        if type(part) is Text:
            part.text = part.text[: len(part.text) // 2]
    return request.exchange.answer()


def _odd_call(request: FaultyRequest) -> SimulatedResponse:
    """A tool call in an unusual stream, for every prompt. Protocols without such a stream send it normally."""
    if request.exchange is None:
        return request.plain
    form, said = request.spec.argument, request.exchange.reply
    call, finish = msgspec.structs.replace(odd_streams.CALL), "tool_calls"
    if form == "cut":
        call.arguments, finish = call.arguments[: len(call.arguments) // 2], "length"
    said.parts, said.finish = [call], finish  # type: ignore[assignment]
    if not request.stream or form == "cut":
        return request.exchange.answer()
    if form in ("", "twice"):
        return request.streamed(odd_streams.twice if form else odd_streams.empty_first)
    plain = request.exchange.answer()
    if request.traits.protocol != "openai_chat":
        return plain
    change = odd_streams.name_in_pieces if form == "name" else odd_streams.object_fragments
    return msgspec.structs.replace(plain, steps=odd_streams.rewritten(iter(plain.steps), change))


def _odd_finish(request: FaultyRequest) -> SimulatedResponse:
    """A complete reply with an unknown or wrong finish reason."""
    word = request.spec.argument or "mystery"
    if request.exchange is None:
        return request.plain
    if request.stream:
        change = odd_streams.ending_in(word, request.traits.last_path)
        return msgspec.structs.replace(request.plain, steps=odd_streams.rewritten(iter(request.plain.steps), change))
    reply = decode(request.body())
    odd_streams.ending_in(word, request.traits.finish_path)(reply)
    return request.whole(msgspec.json.encode(reply))


class FaultRow(NamedTuple):
    happens: Fault
    text: str
    """The effect; `N` is the argument."""


FAULTS: dict[str, FaultRow] = {
    "400": FaultRow(_status("400"), "the request is invalid; N: Retry-After"),
    "401": FaultRow(_unauthorised, "the API key is rejected"),
    "403": FaultRow(_status("403"), "the API key lacks permission; N: Retry-After"),
    "404": FaultRow(_unknown, "unknown model"),
    "413": FaultRow(_status("413"), "the request is too large; N: Retry-After"),
    "429": FaultRow(_rate_limited, "rate limit; N: Retry-After in seconds, or date:N, ms:N, info:N (in the body)"),
    "500": FaultRow(_status("500"), "the server fails; N: Retry-After"),
    "503": FaultRow(_status("503"), "overloaded; N: Retry-After"),
    "529": FaultRow(_status("529"), "overloaded, with Anthropic's status; N: Retry-After"),
    "context-length": FaultRow(_overflow, "the prompt is longer than the context window"),
    "quota": FaultRow(_status("quota"), "the account has no credit"),
    "html": FaultRow(_html, "a web page instead of an answer, as from a proxy; N: status, default 200"),
    "empty": FaultRow(_empty, "status 200 without a body"),
    "redirect": FaultRow(_redirect, "redirect (307) to another host; N: URL"),
    "wrong-type": FaultRow(_wrong_type, "the answer as text/plain; N: another content type"),
    "gzip-bomb": FaultRow(_gzip_bomb, "a small body that decompresses to 100 MB; N: MB"),
    "slow-headers": FaultRow(_slow_headers, "no response for an hour; N: seconds"),
    "slow-first-token": FaultRow(_slow_first_token, "headers, then no data for an hour; N: seconds"),
    "stall": FaultRow(_stall, "the first token, then no data for an hour; N: seconds"),
    "pace": FaultRow(_pace, "50 pieces per second; N: seconds between two pieces"),
    "cut-before": FaultRow(
        _cut_before, "connection reset before the headers; N: `close` closes instead, `head` sends the headers first"
    ),
    "cut-after-first": FaultRow(_cut_after_first, "connection closed after the first token; N: `reset` resets instead"),
    "cut-after": FaultRow(_cut_after, "connection closed after three words of the answer; N: number of words"),
    "malformed-chunk": FaultRow(_malformed, "broken JSON in a chunk or in the body"),
    "error-in-200": FaultRow(_error_in_200, "an error after the first token, status 200; N: 429, 500, 503, 529, quota"),
    "error-first": FaultRow(_error_first, "an error before the first token, status 200; N: 429, 500, 503, 529, quota"),
    "keep-alives": FaultRow(_keep_alives, "comments or blank lines for an hour, without an answer; N: seconds"),
    "open-end": FaultRow(_open_end, "no [DONE] or message_stop; the connection stays open for an hour; N: seconds"),
    "missing-end": FaultRow(_missing_end, "the answer has no end; N: `mark` omits only the last event, such as [DONE]"),
    "split-utf8": FaultRow(_split_utf8, "characters of several bytes are split between pieces"),
    "oversized-event": FaultRow(_oversized, "one event of 40 MB; N: MB"),
    "duplicate-start": FaultRow(_duplicate_start, "the first event of a stream is sent twice"),
    "no-usage": FaultRow(_no_usage, "no token usage"),
    "odd-call": FaultRow(
        _odd_call,
        "tool call arguments that begin with an empty object; N: `twice`, `name` or `objects` (in pieces), `cut`",
    ),
    "odd-finish": FaultRow(_odd_finish, "an unknown finish reason; N: another reason, such as `network_error`"),
    "content-filter": FaultRow(_content_filter, "a content filter ends the answer in the middle"),
}


def parse(spec: str) -> FaultSpec | None:
    """The fault that a spec names, or None if it is unknown."""
    found = _SPEC.fullmatch(spec.strip())
    if found is None or found["name"] not in FAULTS:
        return None
    return FaultSpec(found["name"], found["argument"] or "", int(found["times"]) if found["times"] else None)


def apply(request: FaultyRequest) -> SimulatedResponse:
    return FAULTS[request.spec.name].happens(request)
