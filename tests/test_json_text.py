"""JSON from others: nearly right is read, everything else is one exception, and values stay harmless."""

import math
import sys
from typing import Any

import pytest

from modelbay.catalog.formats.manifest import inspect_models, listed_table
from modelbay.catalog.formats.registry import parse_registry
from modelbay.catalog.lists.listing import parse_list
from modelbay.conversation import user
from modelbay.dialect import PLAIN
from modelbay.errors import MalformedReply, ModelbayError, Unsupported
from modelbay.events import Failed, collect
from modelbay.json_text import DEPTH, decode, decode_as, encode, fault, repeated_names, unfenced, whole_text
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, codec
from modelbay.publishing.document_check import read_models
from modelbay.routing.retry import retry_after


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'"\\ud83d"', "\ufffd"),
        (b'{"\\udc00": ["a\\ud83d"]}', {"\ufffd": ["a\ufffd"]}),
        (b'"\xff"', "\ufffd"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1}\0', {"a": 1}),
        (b'"a\tb\0c"', "a\tb\0c"),
        (b"[1e999]", [math.inf]),
        ('"\ud83d"', "\ufffd"),
    ],
)
def test_text_that_is_almost_json_is_read(text: bytes | str, value: Any) -> None:
    assert decode(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nul",
        b"\0",
        b"\xff",
        b"9" * 5000,
        b'{"a":' * 5000,
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
        "\ud800",
    ],
    ids=lambda text: f"{text[:8]!r}",
)
def test_text_that_is_not_json_raises_one_exception(text: bytes | str) -> None:
    with pytest.raises(MalformedReply):
        decode(text)
    with pytest.raises(MalformedReply):
        decode_as(text, dict)


@pytest.mark.parametrize("beside", ["", '"\\ud83d",', f'"{"x" * 5000}",'], ids=["alone", "not quite JSON", "long"])
def test_values_are_of_bounded_depth(beside: str) -> None:
    fits = f"[{beside}{'[' * (DEPTH - 1)}{']' * DEPTH}"
    assert decode(fits)
    assert decode(fits.encode())
    with pytest.raises(MalformedReply, match="200 levels"):
        decode(f"[{fits}]")


def test_a_wide_document_is_not_a_deep_one() -> None:
    assert len(decode(f"[{','.join(['{}'] * 1000)}]")) == 1000


def test_text_with_half_a_character_is_written_whole() -> None:
    assert encode({"a": ["\ud83d!"]}) == '{"a":["\ufffd!"]}'.encode()
    assert whole_text("\ud83d\ude00") == "😀"
    assert whole_text("caf\udce9") == "caf\ufffd"


@pytest.mark.parametrize("protocol", NAMES)
def test_a_prompt_with_half_a_character_is_sent(protocol: str) -> None:
    call = codec(protocol).render_request(user_says("caf\udce9"), Model(id="m", provider="p"), PLAIN)
    assert "caf\ufffd".encode() in call.encode()


def test_a_schema_that_is_nested_endlessly_is_refused() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = {"a": value}
    with pytest.raises(Unsupported, match="nested too deeply"):
        encode(value)


def test_names_that_repeat_are_told() -> None:
    assert repeated_names(b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 2}') == ["c", "a"]
    assert repeated_names(b"{") == []


# --- through the doors ---

DEEP = {depth: b'{"a":' * depth + b"1" + b"}" * depth for depth in (250, 900, 20_000)}


@pytest.mark.parametrize("depth", DEEP)
@pytest.mark.parametrize("protocol", NAMES)
def test_a_deep_reply_or_stream_is_malformed(protocol: str, depth: int) -> None:
    of = codec(protocol)
    whole = collect(of.parse_reply(DEEP[depth], PLAIN))
    assert isinstance(whole.error, ModelbayError)
    for framed in (b"data: " + DEEP[depth] + b"\n\n", b"[" + DEEP[depth] + b"]"):
        parser = of.stream_parser(PLAIN)
        events = parser.feed(framed) + parser.close()
        assert isinstance(events[-1], Failed)
    assert isinstance(of.parse_error(429, {}, DEEP[depth]), ModelbayError)


@pytest.mark.parametrize("path", ["$" + ".a" * 3000, "$.a[99999999999999999999]", "$.a[" + "9" * 5000 + "]"])
def test_the_path_of_a_partial_argument_may_be_anything(path: str) -> None:
    piece = {"name": "f", "willContinue": True, "partialArgs": [{"jsonPath": path, "stringValue": "x"}]}
    chunk = {"candidates": [{"content": {"parts": [{"functionCall": piece}]}}]}
    parser = codec("google").stream_parser(PLAIN)
    events = parser.feed(b"data: " + encode(chunk) + b"\n\n") + parser.close()
    assert isinstance(events[-1], Failed)


@pytest.mark.parametrize("body", [b'{"error": "RetryInfo \xff"}', b"RetryInfo" + b"[" * 5000])
def test_an_unusable_wait_in_a_429_is_ignored(body: bytes) -> None:
    assert retry_after({}, body, 0.0) is None


ODD_NUMBERS = ["1e308", "-1e308", "1e999", "NaN", "Infinity", "9" * 400, f'"{"9" * 5000}"', '"²"', '"1e400"', "-1"]
MODEL = (
    '{{"id": "a", "name": "A", "limit": {{"context": {0}, "output": {0}, "input": {0}}}, "context_length": {0},'
    ' "cost": {{"input": {0}, "output": {0}, "cache_read": {0}}}, "pricing": {{"prompt": {0}, "completion": {0}}}}}'
)


@pytest.mark.parametrize("number", ODD_NUMBERS, ids=lambda number: number[:9])
def test_no_size_or_price_of_a_catalog_breaks_anything(number: str) -> None:
    model = MODEL.format(number)
    listed, findings = inspect_models(f'{{"models": {{"a": {model}}}}}'.encode())
    assert findings
    listed += parse_list(f'{{"data": [{model}]}}'.encode()).models
    for one in listed:
        assert one.facts.max_context_tokens is None or one.facts.max_context_tokens < 2**53
        listed_table(one)
    read_models(f'{{"models": {{"a": {model}}}}}'.encode())
    provider = f'"api": "https://a.example/v1", "npm": "@ai-sdk/openai-compatible", "models": {{"a": {model}}}'
    parse_registry(f'{{"acme": {{"id": "acme", "name": "A", {provider}}}}}'.encode(), "https://a.example/api.json")


def user_says(text: str):
    from modelbay.conversation import Conversation

    return Conversation([user(text)])


# --- pasted texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```\n',
        '~~~ json\n{"a": 1}\n~~~',
        'Put this into your app:\n\n```json title="acme.json"\n{"a": 1}\n```\n\nThanks!\n',
        '\ufeff```json\r\n{"a": 1}\r\n```\r\n',
        '````md\n{"a": 1}\n````',
        '  ```json\n  {"a": 1}\n  ```',
        '```json\n{"a": 1}\n',
    ],
)
def test_a_code_block_of_markdown_is_its_content(text: str):
    assert decode(unfenced(text.encode())) == {"a": 1}


@pytest.mark.parametrize(
    "text", ['{"a": "```\\n{}\\n```"}', '["```json"]', "plain", "", "```\n{}\n```\nor\n```\n[]\n```", "a `b` c"]
)
def test_a_text_without_a_single_code_block_stays_as_it_is(text: str):
    assert unfenced(text.encode()) == text.encode()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1,}', (1, 8 if sys.version_info >= (3, 13) else 9)),
        ('{\n  "a": 1\n  "b": 2\n}', (3, 3)),
        ("[\n1,\n2", (3, 2)),
        ('Here:\n```json\n{\n  "a": é\n}\n```', (4, 8)),
        ('\ufeff{"a"}', (1, 5)),
    ],
)
def test_a_text_that_stops_being_json_has_a_line_and_a_column(text: str, place: tuple[int, int]):
    found = fault(unfenced(text.encode()))
    assert found is not None and found[:2] == place and found[2][:1].islower()


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "<html>", "", "https://acme.example"])
def test_json_and_what_does_not_begin_like_it_has_no_fault(text: str):
    assert fault(text.encode()) is None
