"""A stream is read in the same way whether its events are recognized by their frame or decoded."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, Failed, PartDelta
from modelbay.json_text import encode
from modelbay.protocols import sse, text_frame
from modelbay.protocols.codec import codec


def chat(delta: dict[str, object], **fields: object) -> bytes:
    return sse.encode(encode({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}], **fields}))


def block(kind: str, index: int, **fields: object) -> bytes:
    return sse.encode(encode({"type": f"content_block_{kind}", "index": index, **fields}), f"content_block_{kind}")


def delta(text: str, index: int = 0) -> bytes:
    return block("delta", index, delta={"type": "text_delta", "text": text})


def odd(text: object, other: str) -> bytes:
    """An event whose text is not a string, with a string that looks like it."""
    return block("delta", 0, delta={"type": "text_delta", "text": text}, other=other)


def thought(text: str, index: int = 0) -> bytes:
    return block("delta", index, delta={"type": "thinking_delta", "thinking": text})


def written(content: str, role: str) -> bytes:
    """A chunk with values as they are written in JSON."""
    return b'data: {"choices":[{"index":0,"delta":{"role":"%b","content":"%b"}}]}\n\n' % (
        role.encode(),
        content.encode(),
    )


TEXTS = ("Hi", " there", "größe", "漢字", 'a "quote"', "line\n", "\\", " ", "Hi Hi", "</think>", "<think>", "c1", "m")
CALL = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}
SIGNED = chat({"reasoning_details": [{"type": "reasoning.text", "text": "a", "signature": "s", "index": 0}]})
HALVES = (b'data: {"choices":[{"index":0,', b'"delta":{"content":"Hi"}}]}\n\n')
HI = chat({"content": "Hi"})
CHAT = [
    *[chat({"content": text}) for text in TEXTS],
    *[chat({"reasoning_content": text}) for text in TEXTS],
    *[
        chat({"content": text}, usage={"prompt_tokens": 1, "completion_tokens": count})
        for text in "ab"
        for count in (1, 2)
    ],
    *[chat({"content": text, "annotations": [{"type": "url_citation"}]}) for text in "ab"],
    chat({"refusal": "No"}),
    chat({"refusal": " way"}),
    chat({"content": ""}),
    chat({"content": "Hi", "role": "assistant"}),
    SIGNED,
    chat({"tool_calls": [CALL]}),
    chat({"tool_calls": [{"index": 0, "function": {"arguments": "12"}}]}),
    chat({"tool_calls": [{"index": 0, "function": {"arguments": "3"}}]}),
    *[written(content, role) for content in ("\\u0061b", "ab", "cd") for role in ("ab", "cd")],
    b'data: {"choices":[{"index":0,"delta":{"content":"bad \xff"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"tab\there"}}]}\n\n',
    b": a comment\n\n",
    *HALVES,
    b"data: [DONE]\n\n",
]
ANTHROPIC = [
    *[delta(text, index) for text in TEXTS for index in (0, 1)],
    *[thought(text) for text in TEXTS],
    *[odd(text, other) for text in (5, True, [1]) for other in ("5", "true", "[1]")],
    block("start", 0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
    block("start", 0, content_block={"type": "text", "text": ""}),
    block("start", 1, content_block={"type": "text", "text": "Hi"}),
    block("start", 1, content_block={"type": "tool_use", "id": "x", "name": "f", "input": {}}),
    block("delta", 1, delta={"type": "input_json_delta", "partial_json": "12"}),
    block("delta", 1, delta={"type": "input_json_delta", "partial_json": "3"}),
    block("delta", 0, delta={"type": "signature_delta", "signature": "s"}),
    block("stop", 0),
    sse.encode(b'{"type":"ping"}', "ping"),
    sse.encode(b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}', "message_delta"),
    sse.encode(b'{"type":"message_stop"}', "message_stop"),
]


def read(protocol: str, pieces: list[bytes], dialect: Dialect = PLAIN) -> list[object]:
    """The events of a stream. Errors are equal if they say the same."""
    parser = codec(protocol).stream_parser(dialect)
    events: list[Event] = [event for piece in pieces for event in parser.feed(piece)] + parser.close()
    return [str(event.error) if isinstance(event, Failed) else event for event in events]


@pytest.mark.parametrize("dialect", [PLAIN, Dialect(think_tags=True)], ids=["plain", "tags"])
@given(st.lists(st.sampled_from(CHAT), max_size=12))
@example([HI, HI, HI, chat({"tool_calls": [CALL]}), HI])
@example([HI, HI, HI, chat({"content": "</think>"}), HI])
@example([HI, SIGNED, SIGNED, SIGNED])
@example([HI, HI, *HALVES, HALVES[1]])
@example([HI, written("\\u0061b", "ab"), written("\\u0061b", "ab"), written("\\u0061b", "cd")])
@example([HI, written("ab", "ab"), written("ab", "ab"), written("ab", "cd"), written("cd", "ab")])
def test_chat_completions_are_read_alike(dialect: Dialect, pieces: list[bytes]) -> None:
    assert read("openai_chat", pieces, dialect) == read("openai_chat", [b"".join(pieces)], dialect)


@given(st.lists(st.sampled_from(ANTHROPIC), max_size=12))
@example([delta("a"), delta("b"), delta("c"), block("stop", 0), delta("d")])
@example([delta("a"), delta("b"), odd(5, "5"), odd(5, "7")])
@example([delta("a"), delta("b"), odd(True, "true"), odd(True, "no")])
@example([delta("a"), delta("b"), odd([1], "[1]"), odd([1], "[2]")])
@example([delta("a"), delta("b"), delta("c")[:60], delta("c")[60:], delta("c")[60:]])
def test_messages_are_read_alike(pieces: list[bytes]) -> None:
    assert read("anthropic", pieces) == read("anthropic", [b"".join(pieces)])


@pytest.mark.parametrize(
    ("protocol", "make"),
    [("openai_chat", lambda text: chat({"content": text})), ("anthropic", delta), ("anthropic", thought)],
    ids=["chat", "text", "thinking"],
)
def test_an_event_with_only_another_text_is_not_decoded(monkeypatch, protocol, make) -> None:
    parser = codec(protocol).stream_parser(PLAIN)
    for text in ("one", " two", " three"):
        parser.feed(make(text))
    monkeypatch.setattr(sse.Decoder, "feed", lambda *_: pytest.fail("it was decoded"))
    assert [type(event) is PartDelta and event.text for event in parser.feed(make(" fünf"))] == [" fünf"]


def test_frames_that_do_not_return_are_no_longer_looked_for(monkeypatch) -> None:
    parser = codec("openai_chat").stream_parser(PLAIN)
    for number in range(20):
        parser.feed(chat({"content": "Hi"}, number=number))
    monkeypatch.setattr(text_frame.TextFrame, "_find", lambda *_: pytest.fail("it was looked for"))
    parser.feed(chat({"content": "Hi"}, number=20))
