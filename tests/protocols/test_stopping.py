"""An answer is cut at a stop sequence as a provider would cut it, however it is split."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Annotation, AnyPart, Conversation, Settings, Text, Thinking, ToolCall, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import (
    Event,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Reply,
    Started,
    UsageReported,
    collect,
)
from modelbay.model import Model
from modelbay.protocols.codec import codec
from modelbay.protocols.stopping import StopCut
from modelbay.usage import Usage

LETTERS = st.text("ab\n", max_size=30)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=4)


def batches(pieces: list[str], *after: Event, text: str | None = None) -> Iterator[list[Event]]:
    """The events of an answer that arrives in pieces."""
    yield [Started(id="r"), PartStarted(0, Text())]
    for piece in pieces:
        yield [PartDelta(0, piece)]
    yield [PartEnded(0, Text(text="".join(pieces) if text is None else text)), *after]


def cut(stops: list[str], events: Iterator[list[Event]]) -> tuple[Reply, str]:
    """The reply, and the text that a client saw while it arrived."""
    reader, found = StopCut(stops), list[Event]()
    for batch in events:
        found += reader.feed(batch)
        if reader.done:
            break
    return collect(found), "".join(event.text for event in found if type(event) is PartDelta)


def expected(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The shortest beginning of a text that ends with a sequence, without the longest such sequence."""
    for end in range(1, len(text) + 1):
        if ending := [stop for stop in stops if text[:end].endswith(stop)]:
            stop = max(ending, key=len)
            return text[: end - len(stop)], stop
    return text, None


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_an_answer_is_cut_at_the_sequence_that_ends_first_however_it_is_split(
    pieces: list[str], stops: list[str]
) -> None:
    text, stop = expected("".join(pieces), stops)
    reply, seen = cut(stops, batches(pieces, Finished("stop")))
    assert reply.text == seen == text
    assert reply.finish is not None
    assert (reply.finish.reason, reply.finish.stop_sequence) == ("stop", stop)
    whole, _ = cut(stops, batches([], Finished("stop"), text="".join(pieces)))
    assert (whole.text, whole.finish) == (reply.text, reply.finish), "a reply that arrives whole has no pieces"


@given(st.lists(LETTERS, min_size=1, max_size=8), STOPS)
def test_only_text_with_which_a_sequence_may_begin_is_held_back(pieces: list[str], stops: list[str]) -> None:
    reader, given_text, seen = StopCut(stops), "", ""
    for batch in batches(pieces):
        for event in batch:
            given_text += event.text if type(event) is PartDelta else ""
        seen += "".join(event.text for event in reader.feed(batch) if type(event) is PartDelta)
        if reader.done:
            return
        rest = given_text[len(seen) :]
        assert given_text.startswith(seen)
        assert not rest or any(stop.startswith(rest) for stop in stops)


def test_thinking_and_arguments_are_not_cut() -> None:
    parts: list[AnyPart] = [Thinking(texts=["END"]), ToolCall(name="f", arguments='{"a": "END"}')]
    events: list[Event] = []
    for key, (part, text) in enumerate(zip(parts, ["END", '{"a": "END"}'], strict=True)):
        events += [PartStarted(key, part), PartDelta(key, text), PartEnded(key, part)]
    reply, _ = cut(["END"], iter([[*events, Finished("tool_calls")]]))
    assert reply.parts == parts
    assert reply.finish == Finished("tool_calls")


def test_nothing_follows_the_sequence_but_usage_that_has_arrived() -> None:
    after: list[Event] = [
        PartStarted(1, ToolCall(name="f")),
        PartEnded(1, ToolCall(name="f")),
        UsageReported(Usage(output=9)),
        Finished("tool_calls"),
    ]
    reply, _ = cut(["END"], batches([], *after, text="Well END."))
    assert [type(part) for part in reply.parts] == [Text]
    assert (reply.text, reply.usage) == ("Well ", Usage(output=9))
    assert reply.finish == Finished("stop", stop_sequence="END")


def test_tokens_and_citations_after_the_sequence_are_left_out() -> None:
    tokens = [{"token": text, "logprob": -1.0} for text in ("We", "ll", " E", "ND", "!")]
    early, late = (Annotation("url", url="https://x", start=0, end=end) for end in (4, 9))
    events: list[Event] = [PartStarted(0, Text()), PartAnnotated(0, early), PartAnnotated(0, late)]
    events += [PartDelta(0, token["token"], logprobs=[token]) for token in tokens]  # type: ignore[arg-type]
    reply, seen = cut(["END"], iter([[event] for event in events]))
    assert seen == "Well "
    [part] = reply.parts
    assert isinstance(part, Text)
    assert part.logprobs == tokens[:2]
    assert part.annotations == [early]


@pytest.mark.parametrize(
    ("protocol", "stops", "dialect"),
    [
        ("openai_responses", ["END"], PLAIN),
        ("anthropic", ["\n", "END"], PLAIN),  # which accepts no white space alone
        ("google", list("abcdef"), PLAIN),
        ("openai_chat", list("abcde"), Dialect(most_stops=4)),
        ("openai_chat", ["END"], Dialect(unsupported=["stop"])),
        ("anthropic", ["END"], Dialect(unsupported=["stop_sequences"])),
    ],
)
def test_a_call_has_the_sequences_that_its_provider_does_not_accept(
    protocol: str, stops: list[str], dialect: Dialect
) -> None:
    asked = Conversation([user("Hi")], Settings(stop=[*stops, ""]))
    call = codec(protocol).render_request(asked, Model(id="m"), dialect)
    plain = codec(protocol).render_request(Conversation([user("Hi")]), Model(id="m"), dialect)
    assert (call.stops, call.body, call.warnings) == (stops, plain.body, [])


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic", "google"])
def test_a_call_with_sequences_that_its_provider_accepts_has_none_to_cut(protocol: str) -> None:
    call: Any = codec(protocol).render_request(Conversation([user("Hi")], Settings(stop=["END"])), Model(id="m"), PLAIN)
    assert call.stops == []
    assert "END" in str(call.body)


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic", "google"])
def test_an_empty_sequence_is_left_out(protocol: str) -> None:
    def body(stop: list[str] | None) -> Any:
        return (
            codec(protocol).render_request(Conversation([user("Hi")], Settings(stop=stop)), Model(id="m"), PLAIN).body
        )

    assert body(["END", ""]) == body(["END"])
    assert body([""]) == body(None)
