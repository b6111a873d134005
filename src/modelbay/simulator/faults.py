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
from modelbay.simulator import answers, complaints, oddities
from modelbay.simulator.answers import Answer, Cut, Pause, Step
from modelbay.simulator.exchange import Exchange
from modelbay.simulator.manners import Manners

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


class Asked(Struct, frozen=True):
    """A fault as a request asks for it."""

    name: str
    argument: str = ""
    times: int | None = None

    def number(self, default: float) -> float:
        """The argument as a number."""
        try:
            return float(self.argument)
        except ValueError:
            return default


class Subject(Struct):
    """The request that a fault happens to, and what it would have been answered."""

    asked: Asked
    manners: Manners
    target: str
    model: str
    plain: Answer
    exchange: Exchange | None = None
    """None: not a request for an answer, as a model list."""

    @property
    def stream(self) -> bool:
        return self.exchange is not None and self.exchange.stream

    def body(self) -> bytes:
        """The whole answer; not for streams."""
        return b"".join(step for step in self.plain.steps if isinstance(step, bytes))

    def whole(self, body: bytes, status: int = 200) -> Answer:
        return answers.whole(status, body, self.plain.headers["content-type"])

    def streamed(self, change: Callable[[Iterator[Event]], Iterator[Event]]) -> Answer:
        """The stream of the changed events."""
        assert self.exchange is not None
        return self.exchange.streamed(self.exchange.render(change(self.exchange.events())))

    def complain(self, error: ModelbayError, headers: dict[str, str] | None = None) -> Answer:
        status, body = complaints.render(self.manners.protocol, error)
        answer = answers.whole(error.status or status, body)
        answer.headers |= headers or {}
        return answer

    def halves(self) -> tuple[list[Step], Iterator[Step]]:
        """The steps up to the first that carries something of the answer, and those behind it."""
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
                break
        return first, (data for event in events if (data := renderer.feed(event)))

    def answer(self, *parts: "Iterator[Step] | list[Step]") -> Answer:
        """The same head with other steps; the length that was said stays."""
        return msgspec.structs.replace(self.plain, steps=chain(*parts))


Fault = Callable[[Subject], Answer]


# --- error answers -----------------------------------------------------------------------------------------------------


def _status(name: str) -> Fault:
    """Its argument is the seconds of a `Retry-After`."""

    def fail(subject: Subject) -> Answer:
        headers = {"retry-after": subject.asked.argument} if subject.asked.argument else {}
        return subject.complain(complaints.failure(subject.manners.protocol, name), headers)

    return fail


def _unauthorised(subject: Subject) -> Answer:
    return subject.complain(complaints.wrong_key(subject.manners.protocol, "sk-simulated-key"))


def _unknown(subject: Subject) -> Answer:
    return subject.complain(complaints.unknown_model(subject.manners.protocol, subject.model))


def _overflow(subject: Subject) -> Answer:
    return subject.complain(complaints.overflow(subject.manners.protocol, 250_000, 200_000))


def _rate_limited(subject: Subject) -> Answer:
    """Without an argument no delay is told; else `2` (seconds), `date:2`, `ms:150`, `info:2` or `reset:2`."""
    form, _, value = subject.asked.argument.rpartition(":")
    if not form and not re.fullmatch(r"[\d.]*", value):
        form, value = value, ""
    delay = float(value) if value else 1.0
    headers: dict[str, str] = {}
    if form == "date":
        # a date has whole seconds: rounded up, so that there is always something to wait for
        headers["retry-after"] = formatdate(int(time.time() + delay) + 1, usegmt=True)
    elif form == "ms":
        headers["retry-after-ms"] = value or "150"
    elif form == "reset":
        headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{delay:g}s"}
        headers |= {"x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "1h0m0s"}
    elif value and not form:
        headers["retry-after"] = value
    answer = subject.complain(complaints.failure(subject.manners.protocol, "429"), headers)
    return _with_retry_info(answer, delay) if form == "info" else answer


def _with_retry_info(answer: Answer, delay: float) -> Answer:
    """Google's way: in the body. Its OpenAI form has it too, so every protocol may."""
    body: Any = decode(b"".join(step for step in answer.steps if isinstance(step, bytes)))
    error = body[0]["error"] if isinstance(body, list) else body["error"]
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{delay:g}s"}
    error["details"] = [*error.get("details", []), info]
    return answers.whole(answer.status, msgspec.json.encode(body))


# --- answers of another kind -------------------------------------------------------------------------------------------


def _html(subject: Subject) -> Answer:
    return answers.whole(int(subject.asked.number(200)), _HTML, "text/html; charset=utf-8")


def _empty(subject: Subject) -> Answer:
    return subject.whole(b"")


def _redirect(subject: Subject) -> Answer:
    answer = answers.whole(307, b"", "text/plain")
    answer.headers["location"] = subject.asked.argument or f"https://elsewhere.invalid{subject.target}"
    return answer


def _wrong_type(subject: Subject) -> Answer:
    subject.plain.headers["content-type"] = subject.asked.argument or "text/plain"
    return subject.plain


def _gzip_bomb(subject: Subject) -> Answer:
    """White space that JSON and event streams skip, a thousand times smaller on its way; the answer comes behind it."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * _BOMB_BLOCK

    def steps() -> Iterator[Step]:
        yield packer.compress(b":" if subject.stream else b"")
        for _ in range(int(subject.asked.number(100))):
            yield packer.compress(block)
        yield packer.compress(b"\n\n" if subject.stream else b"")
        for step in subject.plain.steps:
            yield packer.compress(step) if isinstance(step, bytes) else step
        yield packer.flush()

    return Answer(200, steps(), {**subject.plain.headers, "content-encoding": "gzip"})


# --- time --------------------------------------------------------------------------------------------------------------


def _slow_headers(subject: Subject) -> Answer:
    return subject.answer([Pause(subject.asked.number(_FOREVER))], iter(subject.plain.steps))


def _slow_first_token(subject: Subject) -> Answer:
    return subject.answer([b"", Pause(subject.asked.number(_FOREVER))], iter(subject.plain.steps))


def _stall(subject: Subject) -> Answer:
    first, rest = subject.halves()
    return subject.answer(first, [Pause(subject.asked.number(_FOREVER))], rest)


def _pace(subject: Subject) -> Answer:
    if subject.exchange is not None:
        subject.exchange.pace = subject.asked.number(0.02)
        return subject.exchange.answer()
    return subject.plain


# --- the connection ----------------------------------------------------------------------------------------------------


def _cut_before(subject: Subject) -> Answer:
    """Reset before the head; `close` ends it without a reset, `head` sends the head first."""
    head: list[Step] = [b"", Pause(0.01)] if subject.asked.argument == "head" else []
    return subject.answer(head, [Cut(reset=subject.asked.argument == "")])


def _cut_after_first(subject: Subject) -> Answer:
    """Closed in the middle; `reset` resets."""
    first, _ = subject.halves()
    # what is sent and then reset at once may never be seen
    return subject.answer(first, [Pause(0.05), Cut(reset=subject.asked.argument == "reset")])


# --- the body ----------------------------------------------------------------------------------------------------------


def _malformed(subject: Subject) -> Answer:
    first, rest = subject.halves()
    if not subject.stream:
        return subject.whole(b"".join(step for step in first if isinstance(step, bytes)))
    broken = next((step for step in rest if isinstance(step, bytes)), b"")
    return subject.answer(first, [broken.rstrip()[:-12] + b"\n\n"], rest)


def _error_in_200(subject: Subject) -> Answer:
    """`error-in-200=429` and the like choose the error."""
    error = complaints.failure(subject.manners.protocol, subject.asked.argument or "503")
    if not subject.stream:
        return subject.whole(complaints.render(subject.manners.protocol, error)[1])

    def until_it_fails(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if type(event) is PartDelta:
                break
        yield Failed(error)

    return subject.streamed(until_it_fails)


def _error_first(subject: Subject) -> Answer:
    """An error before the first token. `error-first=429` and the like choose it."""
    error = complaints.failure(subject.manners.protocol, subject.asked.argument or "529")
    if not subject.stream:
        return subject.whole(complaints.render(subject.manners.protocol, error)[1])
    return subject.streamed(lambda events: iter([next(events), Failed(error)]))


def _keep_alives(subject: Subject) -> Answer:
    """Comments of a stream, or blank lines, and nothing else."""
    alive: list[Step] = [b": keep-alive\n\n" if subject.stream else b"\n", Pause(_BEAT)]
    beats = int(subject.asked.number(_FOREVER) / _BEAT) + 1
    return msgspec.structs.replace(subject.plain, steps=chain([b""], *repeat(alive, beats)), length=None)


def _open_end(subject: Subject) -> Answer:
    """The answer is there, but neither its last event, where that says nothing more, nor the connection's end."""
    if not subject.stream:
        return subject.plain
    steps = iter(subject.plain.steps)
    needed = subject.manners.protocol in ("openai_responses", "google")  # whose last event tells how it ended
    return subject.answer(steps if needed else _without_last_event(steps), [Pause(subject.asked.number(_FOREVER))])


def _missing_end(subject: Subject) -> Answer:
    """The connection ends well, the answer does not; with `mark` only its last event is missing, as `[DONE]`."""
    if not subject.stream:
        reply = decode(subject.body())
        _unset(reply, subject.manners.finish_path)
        return subject.whole(msgspec.json.encode(reply))
    if subject.asked.argument == "mark":
        return subject.answer(_without_last_event(iter(subject.plain.steps)))
    return subject.streamed(lambda events: (event for event in events if type(event) is not Finished))


def _unset(reply: Any, path: tuple[str | int, ...]) -> None:
    try:
        for step in path[:-1]:
            reply = reply[step]
        reply[path[-1]] = None
    except (KeyError, IndexError, TypeError):
        pass  # a model list has no such end


def _without_last_event(steps: Iterator[Step]) -> Iterator[Step]:
    last = b""
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        yield last
        last = step
    # the last of several events; of a JSON array only its bracket
    events = re.findall(rb".+?(?:\r?\n){2}", last, re.DOTALL)
    yield b"".join(events[:-1]) if events else last[:-1]


def _split_utf8(subject: Subject) -> Answer:
    """Letters of several bytes come in several pieces."""
    if subject.exchange is None:
        return subject.plain
    for part in subject.exchange.said.parts:
        if type(part) is Text:
            part.text += _MANY_BYTES
    plain = subject.exchange.answer()
    return msgspec.structs.replace(plain, steps=_split_letters(iter(plain.steps)))


def _split_letters(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, bytes) or step.isascii():
            yield step
            continue
        start = 0
        for index, byte in enumerate(step):
            if byte >= 0xC0:  # a letter's first byte; the pause sends what is there as a packet of its own
                yield step[start : index + 1]
                yield Pause(0.002)
                start = index + 1
        yield step[start:]


def _oversized(subject: Subject) -> Answer:
    """One event of 40 MB, or as many as the argument says."""
    if subject.exchange is None:
        return subject.plain
    for part in subject.exchange.said.parts:
        if type(part) is Text:
            part.text = "x" * int(subject.asked.number(40) * 1e6)
    plain = subject.exchange.answer()
    return msgspec.structs.replace(plain, steps=_sliced(iter(plain.steps)))


def _sliced(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, bytes):
            yield from answers.sliced(step)
        else:
            yield step


def _duplicate_start(subject: Subject) -> Answer:
    if not subject.stream:
        return subject.plain
    steps = iter(subject.plain.steps)
    first = next((step for step in steps if step), b"")
    return subject.answer([first, first], steps)


def _no_usage(subject: Subject) -> Answer:
    if not subject.stream:
        reply = decode(subject.body())
        for name in ("usage", "usageMetadata"):
            reply.pop(name, None)
        return subject.whole(msgspec.json.encode(reply))
    return subject.streamed(lambda events: (event for event in events if type(event) is not UsageReported))


def _content_filter(subject: Subject) -> Answer:
    if subject.exchange is None:
        return subject.plain
    said = subject.exchange.said
    said.finish = "content_filter"
    for part in said.parts:
        if type(part) is Text:
            part.text = part.text[: len(part.text) // 2]
    return subject.exchange.answer()


def _odd_call(subject: Subject) -> Answer:
    """A call, whatever was asked, in an odd stream. Where a protocol has no such stream, it comes as it should."""
    if subject.exchange is None:
        return subject.plain
    form, said = subject.asked.argument, subject.exchange.said
    call, finish = msgspec.structs.replace(oddities.CALL), "tool_calls"
    if form == "cut":
        call.arguments, finish = call.arguments[: len(call.arguments) // 2], "length"
    said.parts, said.finish = [call], finish  # type: ignore[assignment]
    if not subject.stream or form == "cut":
        return subject.exchange.answer()
    if form in ("", "twice"):
        return subject.streamed(oddities.twice if form else oddities.empty_first)
    plain = subject.exchange.answer()
    if subject.manners.protocol != "openai_chat":
        return plain
    change = oddities.name_in_pieces if form == "name" else oddities.object_fragments
    return msgspec.structs.replace(plain, steps=oddities.rewritten(iter(plain.steps), change))


def _odd_finish(subject: Subject) -> Answer:
    """The whole answer, which ends in a word that the protocol does not have, or that does not fit it."""
    word = subject.asked.argument or "mystery"
    if subject.exchange is None:
        return subject.plain
    if subject.stream:
        change = oddities.ending_in(word, subject.manners.last_path)
        return msgspec.structs.replace(subject.plain, steps=oddities.rewritten(iter(subject.plain.steps), change))
    reply = decode(subject.body())
    oddities.ending_in(word, subject.manners.finish_path)(reply)
    return subject.whole(msgspec.json.encode(reply))


class Kind(NamedTuple):
    happens: Fault
    text: str
    """The effect; `N` is the argument."""


FAULTS: dict[str, Kind] = {
    "401": Kind(_unauthorised, "the API key is rejected"),
    "403": Kind(_status("403"), "the API key lacks permission; N: Retry-After"),
    "404": Kind(_unknown, "unknown model"),
    "413": Kind(_status("413"), "the request is too large; N: Retry-After"),
    "429": Kind(_rate_limited, "rate limit; N: Retry-After in seconds, or date:N, ms:N, info:N (in the body)"),
    "500": Kind(_status("500"), "the server fails; N: Retry-After"),
    "503": Kind(_status("503"), "overloaded; N: Retry-After"),
    "529": Kind(_status("529"), "overloaded, with Anthropic's status; N: Retry-After"),
    "context-length": Kind(_overflow, "the prompt is longer than the context window"),
    "quota": Kind(_status("quota"), "the account has no credit"),
    "html": Kind(_html, "a web page instead of an answer, as from a proxy; N: status, default 200"),
    "empty": Kind(_empty, "status 200 without a body"),
    "redirect": Kind(_redirect, "redirect (307) to another host; N: URL"),
    "wrong-type": Kind(_wrong_type, "the answer as text/plain; N: another content type"),
    "gzip-bomb": Kind(_gzip_bomb, "a small body that decompresses to 100 MB; N: MB"),
    "slow-headers": Kind(_slow_headers, "no response for an hour; N: seconds"),
    "slow-first-token": Kind(_slow_first_token, "headers, then no data for an hour; N: seconds"),
    "stall": Kind(_stall, "the first token, then no data for an hour; N: seconds"),
    "pace": Kind(_pace, "50 pieces per second; N: seconds between two pieces"),
    "cut-before": Kind(
        _cut_before, "connection reset before the headers; N: `close` closes instead, `head` sends the headers first"
    ),
    "cut-after-first": Kind(_cut_after_first, "connection closed after the first token; N: `reset` resets instead"),
    "malformed-chunk": Kind(_malformed, "broken JSON in a chunk or in the body"),
    "error-in-200": Kind(_error_in_200, "an error after the first token, status 200; N: 429, 500, 503, 529, quota"),
    "error-first": Kind(_error_first, "an error before the first token, status 200; N: 429, 500, 503, 529, quota"),
    "keep-alives": Kind(_keep_alives, "comments or blank lines for an hour, without an answer; N: seconds"),
    "open-end": Kind(_open_end, "no [DONE] or message_stop; the connection stays open for an hour; N: seconds"),
    "missing-end": Kind(_missing_end, "the answer has no end; N: `mark` omits only the last event, such as [DONE]"),
    "split-utf8": Kind(_split_utf8, "characters of several bytes are split between pieces"),
    "oversized-event": Kind(_oversized, "one event of 40 MB; N: MB"),
    "duplicate-start": Kind(_duplicate_start, "the first event of a stream is sent twice"),
    "no-usage": Kind(_no_usage, "no token usage"),
    "odd-call": Kind(
        _odd_call,
        "tool call arguments that begin with an empty object; N: `twice`, `name` or `objects` (in pieces), `cut`",
    ),
    "odd-finish": Kind(_odd_finish, "an unknown finish reason; N: another reason, such as `network_error`"),
    "content-filter": Kind(_content_filter, "a content filter ends the answer in the middle"),
}


def parse(spec: str) -> Asked | None:
    """The fault that a spec names, or None if it is unknown."""
    found = _SPEC.fullmatch(spec.strip())
    if found is None or found["name"] not in FAULTS:
        return None
    return Asked(found["name"], found["argument"] or "", int(found["times"]) if found["times"] else None)


def apply(subject: Subject) -> Answer:
    return FAULTS[subject.asked.name].happens(subject)
