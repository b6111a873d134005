"""Sequences of events for hypothesis: those that a parser promises, and any others."""

import json
from typing import Any

from hypothesis import strategies as st

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Media,
    Provenance,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    UnknownPart,
)
from modelbay.errors import IncompleteReply, MalformedReply, Overloaded, TimedOut
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
    Warned,
)
from modelbay.usage import Usage

PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
some_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
words = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
counts = st.none() | st.integers(0, 10**6)
origins = st.none() | st.builds(Provenance, st.sampled_from(PROTOCOLS), st.just("") | words, st.just("") | words)
opaque = st.none() | st.just("") | words
json_objects = st.dictionaries(words, st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts, max_size=3)
usages = st.builds(Usage, counts, counts, counts, counts, counts, counts, counts)
errors = st.builds(Overloaded, some_text, status=st.sampled_from([None, 503, 529])) | st.sampled_from(
    [IncompleteReply("it stopped"), MalformedReply("not JSON"), TimedOut("silence", stage="idle")]
)
reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "refusal", "pause"])
finishes = st.builds(Finished, reasons, st.none() | st.just("stop") | words, st.none() | words)
annotations = st.builds(
    Annotation, st.just("url"), url=st.none() | st.just("https://example.com"), title=st.none() | texts
)


def parts() -> st.SearchStrategy[AnyPart]:
    """A part as `PartStarted` or `PartEnded` may hold it, of every kind that a reply can have."""
    carried: dict[str, Any] = {"origin": origins, "opaque": opaque}
    natives = st.sampled_from([None, "reasoning_content", "reasoning", "reasoning_details", "redacted_thinking"])
    return st.one_of(
        st.builds(Text, text=texts, **carried),
        st.builds(Refusal, text=texts),
        st.builds(
            Thinking, texts=st.lists(texts, max_size=2), summary=st.booleans(), **carried, native=natives
        ),
        st.builds(
            ToolCall,
            name=words | texts,
            arguments=texts | json_objects.map(json.dumps),
            id=st.none() | words,
            format=st.sampled_from(["json", "text"]),
            **carried,
        ),
        st.builds(Media, kind=st.just("image"), url=st.just("https://example.com/a.png"), **carried),
        st.builds(Media, kind=st.sampled_from(["image", "audio"]), data=st.just("AAAA"), media_type=st.just("a/b")),
        st.builds(
            ServerToolCall, name=words, arguments=st.just('{"a":1}'), id=words, native=st.just("server_tool_use"),
            origin=st.none() | st.just(Provenance("anthropic")) | st.just(Provenance("google")),
        ),
        st.builds(
            ServerToolResult, call_id=words, native=st.just("web_search_tool_result"),
            origin=st.none() | st.just(Provenance("anthropic")) | st.just(Provenance("google")),
        ),
        st.builds(UnknownPart, native=words, raw=st.just({"type": "odd", "odd": 1}), origin=origins),
    )  # fmt: skip


def any_events() -> st.SearchStrategy[list[Event]]:
    """Anything: no start or two, deltas for keys that were not opened, parts that never end, events after the end."""
    keys = st.integers(0, 3)
    one: st.SearchStrategy[Event] = st.one_of(
        st.builds(PartStarted, keys, parts()),
        st.builds(PartDelta, keys, texts, st.integers(0, 2)),
        st.builds(PartDelta, keys, texts),
        st.builds(PartEnded, keys, parts()),
        st.builds(PartAnnotated, keys, annotations),
        st.builds(Started, st.none() | words, st.none() | words),
        st.builds(UsageReported, usages),
        st.builds(Warned, texts),
        finishes,
        st.builds(Failed, errors),
    )
    mostly_open = st.lists(one, max_size=25)
    return mostly_open | st.tuples(mostly_open, finishes | st.builds(Failed, errors)).map(lambda two: [*two[0], two[1]])


def _steps(key: int, part: AnyPart, pieces: list[str]) -> list[Event]:
    """The events of a part, its text in pieces; the finished part says the whole of it."""
    start = type(part)(**{name: getattr(part, name) for name in part.__struct_fields__})
    whole = "".join(pieces)
    match part:
        case Text() | Refusal():
            part.text = whole
        case Thinking():
            part.texts = [whole]
        case ToolCall():
            part.arguments = whole
    return [PartStarted(key, start), *[PartDelta(key, piece) for piece in pieces], PartEnded(key, part)]


@st.composite
def _portable_part(draw: st.DrawFn, origin: Provenance | None) -> tuple[AnyPart, list[str]]:
    """A part that every protocol has, and its text in pieces."""
    kind = draw(st.sampled_from(["text", "thinking", "call"]))
    if kind == "call":
        arguments = json.dumps(draw(json_objects), ensure_ascii=draw(st.booleans()))
        cut = draw(st.integers(0, len(arguments)))
        pieces = [piece for piece in (arguments[:cut], arguments[cut:]) if piece]
        return ToolCall(name=draw(words), id=f"call_{draw(st.integers(0, 10**9))}", origin=origin), pieces
    pieces = draw(st.lists(some_text, min_size=1, max_size=4))
    return (Text(origin=origin) if kind == "text" else Thinking(origin=origin)), pieces


def _identity(drawn: tuple[AnyPart, list[str]]) -> object:
    """Two calls of one id cannot be told apart by their results."""
    part = drawn[0]
    return part.id if isinstance(part, ToolCall) else id(part)


@st.composite
def replies(draw: st.DrawFn, *, interleaved: bool = True, origin: Provenance | None = None) -> list[Event]:
    """The events of a whole reply of text, thinking and calls, as a parser promises them.

    interleaved: parts may overlap, as parallel calls do.
    """
    some_parts = st.lists(_portable_part(origin), min_size=1, max_size=4, unique_by=_identity)
    drawn = draw(some_parts)
    queues = [_steps(key, part, pieces) for key, (part, pieces) in enumerate(drawn)]
    events: list[Event] = [Started(draw(words), draw(words))]
    waiting, running = queues, list[list[Event]]()
    while waiting or running:
        if waiting and (not running or (interleaved and draw(st.booleans()))):
            running.append(waiting[0])
            waiting = waiting[1:]
        chosen = draw(st.sampled_from(running))
        events.append(chosen.pop(0))
        running = [queue for queue in running if queue]
    if draw(st.booleans()):
        events.append(UsageReported(draw(usages)))
    calls = any(type(part) is ToolCall for part, _ in drawn)
    events.append(Finished("tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))))
    return events
