"""Thinking in Chat Completions: five places for one thing (reference: dialects.md §0.10)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, Text, Thinking
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Reply, collect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from tests.protocols import reading
from tests.protocols.invariants import CHECKS
from tests.protocols.openai_chat.chunks import DONE, call, chunk, read, stream
from tests.protocols.openai_chat.test_requests import parsed

TAGS = Dialect(think_tags=True)
FIELDS = ["reasoning_content", "reasoning", "reasoning_text"]


def whole(message: dict[str, Any], dialect: Dialect = PLAIN) -> Reply:
    body = {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return collect(codec("openai_chat").parse_reply(json.dumps(body).encode(), dialect))


@pytest.mark.parametrize("field", FIELDS)
def test_reasoning_keeps_the_field_it_came_in(field):
    reply = read(chunk({field: "Let me "}), chunk({field: "think."}), chunk({"content": "Hi"}))
    assert reply.parts == [Thinking(texts=["Let me think."], native=field), Text(text="Hi")]
    assert whole({"content": "Hi", field: "Let me think."}).parts == reply.parts


def test_reasoning_and_content_may_share_a_chunk_and_neither_is_lost():
    reply = read(
        chunk({"reasoning_content": "a"}), chunk({"reasoning_content": "b", "content": "c"}), chunk({"content": "d"})
    )
    assert reply.parts == [Thinking(texts=["ab"], native="reasoning_content"), Text(text="cd")]


def test_reasoning_may_come_back_between_texts():
    reply = read(
        *[chunk(delta) for delta in ({"reasoning": "a"}, {"content": "b"}, {"reasoning": "c"}, {"content": "d"})]
    )
    assert [type(part).__name__ for part in reply.parts] == ["Thinking", "Text", "Thinking", "Text"]


@pytest.mark.parametrize("blank", ["", None, " ", "\n"])
@pytest.mark.parametrize("filled", FIELDS)
def test_the_other_fields_may_be_there_and_blank(blank, filled):
    message = dict.fromkeys(FIELDS, blank) | {filled: "a"}
    reply = read(chunk({**message, "content": ""}), chunk({"content": "b"}))
    assert (reply.thinking, reply.text) == ("a", "b")
    reply = whole({**message, "content": "b"})
    assert (reply.thinking, reply.text) == ("a", "b")
    assert reply.parts[0].native == filled


def test_a_filled_field_of_a_client_s_history_counts_before_a_blank_one():
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "", "reasoning": "Hm"}
    asked = codec("openai_chat").parse_request(Call("", {"messages": [message]}))
    assert [part.text for part in asked.turns[0].parts if isinstance(part, Thinking)] == ["Hm"]
    assert codec("openai_chat").render_request(asked, Model(id="m"), PLAIN).body["messages"] == [message]


def test_reasoning_that_is_said_under_two_names_counts_once():
    both = {"reasoning": "a", "reasoning_content": "a"}
    assert read(chunk(both), chunk({"content": "b"})).thinking == "a"
    assert whole({**both, "content": "b"}).thinking == "a"


def test_blank_reasoning_content_is_kept_for_vendors_that_require_it():
    expected = [Thinking(texts=[""], native="reasoning_content"), Text(text="Hi")]
    assert read(chunk({"reasoning_content": ""}), chunk({"content": "Hi", "reasoning_content": ""})).parts == expected
    assert whole({"content": "Hi", "reasoning_content": ""}).parts == expected


def test_blank_reasoning_content_before_a_call_is_kept_too():
    reply = read(chunk({"reasoning_content": ""}), chunk(call("{}", index=0, id="a", name="f")))
    assert reply.parts[0] == Thinking(texts=[""], native="reasoning_content")


def test_blank_reasoning_that_continues_later_is_one_part():
    reply = read(chunk({"reasoning_content": ""}), chunk({"reasoning_content": "a"}), chunk({"content": "b"}))
    assert reply.parts == [Thinking(texts=["a"], native="reasoning_content"), Text(text="b")]


def test_blank_reasoning_after_the_thinking_is_not_a_new_part():
    reply = read(
        chunk({"reasoning_content": "a"}),
        chunk({"content": "b", "reasoning_content": ""}),
        chunk({"content": "c", "reasoning_content": ""}),
        chunk(call("{}", index=0, id="a", name="f") | {"reasoning_content": ""}),
    )
    assert [type(part).__name__ for part in reply.parts] == ["Thinking", "Text", "ToolCall"]


# OpenRouter's reasoning_details


def detail(text: str | None = None, **fields: Any) -> dict[str, Any]:
    item = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, **fields}
    return {"reasoning_details": [item if text is None else {**item, "text": text}]}


def test_details_of_one_index_and_type_are_one_part():
    reply = read(
        chunk(detail("Let me ")), chunk(detail("think.")), chunk(detail(signature="sig")), chunk({"content": "Hi"})
    )
    thinking = reply.parts[0]
    assert isinstance(thinking, Thinking)
    assert (thinking.texts, thinking.opaque, thinking.native) == (["Let me think."], "sig", "reasoning_details")
    assert thinking.extra == {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}


def test_details_that_a_client_collected_from_a_stream_are_one_part():
    pieces = [detail("Let me "), detail("think."), detail(signature="sig"), detail("More.", signature="s2")]
    collected = [item for piece in pieces for item in piece["reasoning_details"]]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": collected, "reasoning": "Let me think.More."}
    found = [part for part in parsed(messages=[message]).turns[0].parts if isinstance(part, Thinking)]
    assert [(part.texts, part.opaque) for part in found] == [(["Let me think."], "sig"), (["More."], "s2")]


@pytest.mark.parametrize("apart", [{"index": 1}, {"type": "reasoning.summary", "summary": "b"}, {"index": None}])
def test_details_that_a_client_collected_from_several_parts_are_several(apart):
    collected = [*detail("a")["reasoning_details"], *detail("b", **apart)["reasoning_details"]]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": collected}
    parts = parsed(messages=[message]).turns[0].parts
    assert [part.text for part in parts if isinstance(part, Thinking)] == ["a", "b"]


@pytest.mark.parametrize("other", [{"index": 1}, {"type": "reasoning.summary", "summary": "b"}])
def test_details_of_another_index_or_type_are_another_part(other):
    second = detail(**other) if "summary" in other else detail("b", **other)
    reply = read(chunk(detail("a")), chunk(second), chunk({"content": "Hi"}))
    assert [part.text for part in reply.parts if isinstance(part, Thinking)] == ["a", "b"]


def test_encrypted_details_are_state_without_text():
    hidden = {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 0}
    reply = read(chunk({"reasoning_details": [hidden]}), chunk({"content": "Hi"}))
    assert reply.parts[0] == Thinking(
        opaque="gAAA", native="reasoning_details", extra={"type": "reasoning.encrypted", "id": "rs_1", "index": 0}
    )


def test_a_string_that_mirrors_the_details_is_not_counted_again():
    mirrored = {**detail("a"), "reasoning": "a"}
    assert read(chunk(mirrored), chunk({"content": "b"})).thinking == "a"
    assert whole({**mirrored, "content": "b"}).thinking == "a"


def test_a_string_beside_details_without_text_counts():
    hidden = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}], "reasoning": "a"}
    assert read(chunk(hidden), chunk({"content": "b"})).thinking == "a"
    assert whole({**hidden, "content": "b"}).thinking == "a"


@pytest.mark.parametrize("details", [[], None, "a", [None], {}])
def test_details_of_another_shape_leave_the_string(details):
    message = {"reasoning_details": details, "reasoning": "a", "content": "b"}
    assert read(chunk(message)).thinking == whole(message).thinking == "a"


# Mistral's content parts


def test_content_parts_may_hold_the_thinking():
    def thinking(text):
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}

    reply = read(chunk(thinking("Let me ")), chunk(thinking("think.")), chunk({"content": [{"type": "text", "text": "Hi"}]}),
                 chunk({"content": "!"}))  # fmt: skip
    assert reply.parts == [Thinking(texts=["Let me think."], native="thinking"), Text(text="Hi!")]


# tags inside the text


@st.composite
def cut(draw: st.DrawFn) -> list[str]:
    text = "\n<think>a < b, </thin>k</think>\n\nThe <think>answer</think>"
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=9)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@given(cut())
def test_tags_are_found_however_the_text_is_cut(pieces):
    reply = read(*[chunk({"content": piece}) for piece in pieces], dialect=TAGS)
    assert (reply.thinking, reply.text) == ("a < b, </thin>k", "\n\nThe <think>answer</think>")


@pytest.mark.parametrize("tag", ["<thought>", "<thinking>", "<reasoning>", "<seed:think>", "[THINK]", "◁think▷"])
@given(data=st.data())
def test_models_have_different_tags(tag, data):
    text = f" {tag}a [1] < b{tag[0]}/THIN{tag[0]}/{tag[1:]}The answer {tag} ◁"
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=9)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    reply = read(*[chunk({"content": piece}) for piece in pieces], dialect=TAGS)
    assert (reply.thinking, reply.text) == (f"a [1] < b{tag[0]}/THIN", f"The answer {tag} ◁")
    assert whole({"content": text}, TAGS).thinking == reply.thinking


def test_tags_are_text_where_the_dialect_does_not_speak_of_them():
    assert read(chunk({"content": "<think>a</think>b"})).text == "<think>a</think>b"


@pytest.mark.parametrize(
    ("text", "thinking", "rest"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<thought>a</thought>b", "a", "b"),
        ("<think></think>b", "", "b"),
        ("<think>a", "a", ""),
        ("<think>a</thi", "a</thi", ""),
        ("<thinks>a", "", "<thinks>a"),
        ("[1] b", "", "[1] b"),
        ("<xml>a</reasoning>b", "", "<xml>a</reasoning>b"),
        ("b <think>a</think>", "", "b <think>a</think>"),
        ("<thi", "", "<thi"),
        ("  ", "", "  "),
    ],
)
def test_only_a_text_that_begins_with_a_tag_is_taken_apart(text, thinking, rest):
    for reply in (read(chunk({"content": text}), dialect=TAGS), whole({"content": text}, TAGS)):
        assert (reply.thinking, reply.text) == (thinking, rest)


def test_thinking_in_tags_may_be_followed_by_a_call():
    reply = read(chunk({"content": "<think>a"}), chunk(call("{}", index=0, id="a", name="f")), dialect=TAGS)
    assert reply.thinking == "a"
    assert [found.name for found in reply.tool_calls] == ["f"]


LONE = "I wonder about it.\n</think>\n\nForty-two."


@pytest.mark.parametrize(
    ("content", "thinking", "text"),
    [
        (LONE, "I wonder about it.\n", "\n\nForty-two."),
        ("<think>Hm</think>Yes", "Hm", "Yes"),
        ("</think>Yes", "", "Yes"),
        ("Use <think> and </think> as tags", "", "Use <think> and </think> as tags"),
        ("a </think> b </think> c", "a ", " b </think> c"),
        ("a < b</ c </thinking", "", "a < b</ c </thinking"),
        ("It ends</think>", "It ends", ""),
        ("Hm</thought>Yes, <think>", "Hm", "Yes, <think>"),
    ],
)
def test_a_lone_closing_tag_ends_thinking_that_the_template_began(content: str, thinking: str, text: str) -> None:
    body = json.dumps({"id": "c", "choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]})
    reply = collect(codec("openai_chat").parse_reply(body.encode(), Dialect(think_tags=True)))
    assert (reply.thinking, reply.text) == (thinking, text)
    for size in (1, 3, 100):
        streamed = read(*[chunk({"content": piece}) for piece in pieces(content, size)], dialect=TAGS)
        assert (streamed.thinking, streamed.text) == (thinking, text)


def pieces(content: str, size: int) -> list[str]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("client", CHECKS)
def test_text_before_a_single_closing_tag_stays_text_for_clients(client: str) -> None:
    chunks = [chunk({"content": piece}) for piece in pieces(LONE, 2)]
    events = reading.events_of("openai_chat", stream(*chunks, chunk(finish="stop"), DONE), TAGS)
    renderer = codec(client).stream_renderer(Conversation(model="m", include_usage=True))
    told = b"".join([renderer.feed(event) for event in events])
    CHECKS[client](told, True)
    assert reading.read(client, told, PLAIN).text == LONE.replace("</think>", "")


def test_where_tags_are_not_known_to_be_used_they_are_text() -> None:
    body = json.dumps({"id": "c", "choices": [{"index": 0, "message": {"content": LONE}, "finish_reason": "stop"}]})
    assert collect(codec("openai_chat").parse_reply(body.encode(), PLAIN)).text == LONE
