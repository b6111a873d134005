"""The state of parts, for conversations in the form of another library."""

import pytest

from modelbay import Annotation, Media, Refusal, Text, Thinking, ToolCall, state_of, with_state
from modelbay.conversation import AnyPart, Provenance, ServerToolCall, ServerToolResult, UnknownPart
from modelbay.json_text import decode, encode

FROM = Provenance("anthropic", "anthropic", "claude")


def through_json(part: AnyPart) -> AnyPart:
    return with_state(part, decode(encode(state_of(part))))


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (Text(text="a", opaque="sig", annotations=[Annotation("url", url="https://x.example")]), Text(text="a")),
        (Text(text="", opaque="sig", origin=FROM), Text()),
        (Thinking(texts=["a"], opaque="sig", origin=FROM), Thinking(texts=["a"])),
        (Thinking(texts=["a", "b"], summary=True, item_id="rs_1"), Thinking(texts=["a\n\nb"])),
        (Thinking(opaque="redacted", native="redacted_thinking", origin=FROM), Thinking()),
        (Refusal(text="no", origin=FROM), Text(text="no")),
        (Thinking(texts=["a"], origin=FROM), Text(text="a")),
        (
            ToolCall(name="f", arguments='{"b": 1, "a": 2.0}', id="c1", opaque="sig"),
            ToolCall.of("f", {"b": 1, "a": 2.0}, "c1"),
        ),
        (ServerToolCall(name="search", id="s1", native="server_tool_use"), Text()),
        (ServerToolResult(call_id="s1", content=[{"type": "x"}]), Text()),
        (Media(kind="image", data="aGk=", media_type="image/png"), Text()),
        (UnknownPart(native="new", raw={"type": "new"}), Text()),
    ],
)
def test_a_part_is_restored_from_its_content_and_its_state(part: AnyPart, content: AnyPart):
    assert with_state(content, decode(encode(state_of(part)))) == part


@pytest.mark.parametrize("part", [Text(text="a"), Text(text="a", origin=FROM), ToolCall.of("f", {"a": 1}, "c1")])
def test_a_plain_part_has_no_state(part: AnyPart):
    assert state_of(part) is None
    assert with_state(part, None) is part


def test_content_that_the_program_changed_is_kept():
    call = ToolCall(name="f", arguments='{"a": 1}', id="c1")
    assert with_state(ToolCall.of("f", {"a": 2}, "c1"), state_of(call)) == ToolCall.of("f", {"a": 2}, "c1")
    thought = Thinking(texts=["a", "b"], opaque="sig")
    assert with_state(Thinking(texts=["other"]), state_of(thought)) == Thinking(texts=["other"], opaque="sig")


def test_arguments_that_are_not_json_are_kept():
    part = ToolCall(name="f", arguments='{"a": ', id="c1")
    assert through_json(part) == part


@pytest.mark.parametrize("state", [{}, {"type": "other"}, {"type": "text", "opaque": 5}, {"type": "tool_call"}])
def test_damaged_state_is_refused(state: object):
    with pytest.raises(ValueError, match="state of a"):
        with_state(Text(text="a"), state)  # type: ignore[arg-type]
