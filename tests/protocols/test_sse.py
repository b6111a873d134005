"""Server-sent events from bytes cut anywhere."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN
from modelbay.errors import MalformedReply
from modelbay.events import Failed
from modelbay.protocols import sse
from modelbay.protocols.codec import codec
from tests.protocols import sse_reference
from tests.protocols.spoken import BUILT


def decoded(*chunks: bytes, limit: int = sse.LIMIT) -> list[tuple[str, bytes]]:
    decoder = sse.Decoder(limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def bytewise(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_lines_may_end_in_any_of_three_ways(end):
    stream = end.join([b"data: 1", b"", b"event: two", b"data: 2", b"", b""])
    assert decoded(stream) == decoded(*bytewise(stream)) == [("", b"1"), ("two", b"2")]


def test_line_ends_may_be_mixed():
    stream = b"data: 1\r\n\ndata: 2\r\rdata: 3\n\r\n"
    assert decoded(stream) == decoded(*bytewise(stream)) == [("", b"1"), ("", b"2"), ("", b"3")]


def test_a_crlf_cut_in_two_is_one_line_end():
    assert decoded(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [("", b"a\nb")]


def test_comments_and_unknown_fields_are_ignored():
    stream = b": OPENROUTER PROCESSING\n\nid: 7\nretry: 100\ndata: 1\n: keep-alive\n\n:\n\n"
    assert decoded(stream) == [("", b"1")]


def test_data_needs_no_space_after_its_colon_and_keeps_a_second_one():
    assert decoded(b"data:1\n\ndata:  2\n\n") == [("", b"1"), ("", b" 2")]


def test_several_data_lines_are_one_event():
    assert decoded(b"data: {\ndata:  1\ndata\ndata: }\n\n") == [("", b"{\n 1\n\n}")]


def test_an_event_name_holds_for_one_event_only():
    assert decoded(b"event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\n") == [("a", b"1"), ("", b"2"), ("", b"3")]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\n\n"])
def test_the_last_event_counts_without_its_blank_line(ending):
    assert decoded(b"data: 1\n\ndata: [DONE]" + ending) == [("", b"1"), ("", b"[DONE]")]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_lf_and_cr_end_a_line(character):
    stream = f"data: a{character}b\n\n".encode()
    assert decoded(stream) == decoded(*bytewise(stream)) == [("", f"a{character}b".encode())]


def test_a_byte_order_mark_at_the_start_is_removed():
    stream = b"\xef\xbb\xbfdata: 1\n\ndata: \xef\xbb\xbf2\n\n"
    assert decoded(stream) == decoded(*bytewise(stream)) == [("", b"1"), ("", b"\xef\xbb\xbf2")]


def test_an_empty_stream_has_no_events():
    assert decoded() == decoded(b"") == decoded(b"\n\n\n") == decoded(b"", b"\r", b"") == []


@pytest.mark.parametrize(
    "chunks",
    [[b"data: " + b"x" * 101], [b"x" * 60] * 2, [b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"] * 4],
    ids=["one line", "a line without an end", "many lines"],
)
def test_an_event_over_the_limit_is_malformed(chunks):
    with pytest.raises(MalformedReply, match="exceeds 100 bytes"):
        decoded(*chunks, limit=100)


def test_empty_lines_of_one_event_are_not_free():
    with pytest.raises(MalformedReply, match="exceeds 100,000 bytes"):
        decoded(*[b"data:\n" * 100] * 20, limit=100_000)


def test_the_limit_is_for_one_event_not_for_the_stream():
    assert len(decoded(*[b"data: " + b"x" * 90 + b"\n\n"] * 50, limit=100)) == 50


@pytest.mark.parametrize("protocol", BUILT)
@pytest.mark.parametrize("last", [b"", b"x" * 60], ids=["while feeding", "at the end"])
def test_a_parser_reports_an_endless_event_and_keeps_none_of_what_follows(protocol, last, monkeypatch):
    monkeypatch.setattr(sse.Decoder.__init__, "__defaults__", (100,))
    parser = codec(protocol).stream_parser(PLAIN)
    events = parser.feed(b"data: " + b"x" * 60 + b"\ndata: " + (last or b"x" * 60 + b"\n"))
    events += parser.feed(b"" if last else b"data: more\n") + parser.close()
    assert [type(event.error) for event in events if type(event) is Failed] == [MalformedReply]
    assert parser.feed(b"data: {}\n\n") == []


lines = st.sampled_from(
    [b"data: 1", b"data:2", b"data:  x", b"data", b"data:", b"event: e", b"event", b": note", b"id: 9", b"nonsense", b"",
     b"", b"", "data: é\u2028ü".encode(), b"\xef\xbb\xbfdata: 1", b"data: \xff\xfe"]
)  # fmt: skip
ends = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(lines, ends).map(b"".join), max_size=12).map(b"".join)


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """A stream, cut anywhere."""
    stream = draw(streams) + draw(st.sampled_from([b"", b"data: last", b"data"]))
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@given(cut())
@example([b"\r", b"", b"\n", b"data: 1\n"])
def test_any_cut_gives_what_the_standard_says(chunks):
    assert decoded(*chunks) == sse_reference.decode(b"".join(chunks))


@given(st.lists(st.tuples(streams, st.sampled_from([b"", b"\n", b"\n\n", b"\r\n\r\n"])).map(b"".join), max_size=8))
@example([b"data: 1\n\n", b"data: 2\n\n", b"event: e\ndata: 3\n\n", b"event: e\ndata: 4\n\n", b"data: 5\ndata: 6\n\n"])
@example([b"event: \xff\ndata: 1\n\n"] * 2)
@example([b"data: 1\n\n", b"data: 2\r\n\n", b"data: 3\n\n"])
def test_reads_that_end_where_events_end_give_what_the_standard_says(reads):
    assert decoded(*reads) == sse_reference.decode(b"".join(reads))


@given(st.binary(max_size=60).filter(lambda data: b"{" not in data), st.integers(1, 10))
def test_any_bytes_decode_as_the_standard_says(data, size):
    # an object without a field is accepted as an event: proxies write their errors this way
    assert decoded(*(data[i : i + size] for i in range(0, len(data), size))) == sse_reference.decode(data)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "message_start"]))
def test_an_encoded_event_is_decoded_unchanged(text, name):
    payload = msgspec.json.encode({"text": text})
    assert decoded(*bytewise(sse.encode(payload, name))) == [(name, payload)]


# --- faults of servers that are repaired ---


def in_pieces(stream: bytes, size: int) -> list[tuple[str, bytes]]:
    decoder = sse.Decoder()
    found = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]
    return found + decoder.close()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_events_with_one_newline_between_them(size: int, end: bytes) -> None:
    lines = [b'data: {"a":1}', b'data:{"b":[2]}', b"data: [3]", b"data: [DONE]"]
    assert in_pieces(end.join(lines) + end, size) == [
        ("", b'{"a":1}'), ("", b'{"b":[2]}'), ("", b"[3]"), ("", b"[DONE]"),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 1000])
def test_they_keep_their_names(size: int) -> None:
    stream = b'event: x\ndata: {"a":1}\nevent: y\ndata: {"b":2}\n: ping\ndata: {"c":3}\n\n'
    assert in_pieces(stream, size) == [("x", b'{"a":1}'), ("y", b'{"b":2}'), ("", b'{"c":3}')]


def test_the_end_of_such_a_stream_does_not_wait() -> None:
    assert sse.Decoder().feed(b'data: {"a":1}\ndata: [DONE]\n') == [("", b'{"a":1}'), ("", b"[DONE]")]


@pytest.mark.parametrize(
    "lines",
    [
        [b"{", b'"a": {', b'"b": 1', b"}", b"}"],
        [b"[", b'{"a": 1},', b'{"b": 2}', b"]"],
        [b'{"a":', b"[1]", b"}"],
        [b"[", b"{}", b",", b"{}", b"]"],
        [b"text }", b"{ more"],
    ],
)
def test_one_value_on_several_data_lines_is_one_event(lines: list[bytes]) -> None:
    stream = b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    assert in_pieces(stream, 5) == [("", b"\n".join(lines))]


def test_an_event_may_be_named_behind_its_data() -> None:
    assert in_pieces(b'data: {"a":1}\nevent: x\n\n', 3) == [("x", b'{"a":1}')]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\n\n", b""])
@pytest.mark.parametrize(
    "error",
    [
        b'{"error":{"message":"backend died"}}',
        b'{\n"error": {\n"message": "backend died"}}',
        b'[{\n  "error": {\n    "message": "backend died"\n  }\n}\n]',
    ],
)
def test_an_object_without_a_field_is_an_event(error: bytes, end: bytes, size: int) -> None:
    assert in_pieces(error + end, size) == [("", error)]
    assert in_pieces(b'data: {"a":1}\n\n' + error + end, size) == [("", b'{"a":1}'), ("", error)]


@pytest.mark.parametrize(
    "junk", [b"{nothing\n\n", b"{\n\n", b"<html>\n\n", b'"x": {"a":1}\n\n', b"[{x\n\n", b"[]\n\n", b"[1]\n\n"]
)
def test_other_lines_are_passed_over(junk: bytes) -> None:
    assert in_pieces(junk + b"data: {}\n\n", 4) == [("", b"{}")]


def test_endless_lines_without_a_field_are_too_many() -> None:
    decoder = sse.Decoder(limit=10_000)
    decoder.feed(b"{\n")
    with pytest.raises(MalformedReply):
        for _ in range(1000):
            decoder.feed(b'"a": 1,\n')


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_line_with_an_object_is_an_event(end: bytes, size: int) -> None:
    lines = [b'{"a":1}', b'{"error":', b'{"b":2}}', b'{"c":"{"}']
    data = end.join([*lines, b""])
    chunks = [data[place : place + size] for place in range(0, len(data), size)]
    assert [found for _, found in decoded(*chunks)] == [lines[0], b"\n".join(lines[1:3]), lines[3]]


def test_lines_that_never_become_an_object_are_skipped() -> None:
    assert decoded(b"{\n" * 500 + b"\n") == []
