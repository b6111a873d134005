"""State in the fields of LiteLLM: `thinking_blocks` for Claude, `provider_specific_fields` for Gemini's calls."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Text, Thinking, ToolCall, Turn
from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.model import Model
from modelbay.protocols.codec import codec
from tests.protocols.openai_chat.chunks import call, chunk, read, stream
from tests.protocols.openai_chat.test_reasoning import whole
from tests.protocols.openai_chat.test_requests import parsed

SIGNED = {"type": "thinking", "thinking": "Let me think.", "signature": "sig"}
HIDDEN = {"type": "redacted_thinking", "data": "secret"}
SIGNED_PART = Thinking(texts=["Let me think."], opaque="sig", native="thinking_blocks", extra={"type": "thinking"})
HIDDEN_PART = Thinking(opaque="secret", native="thinking_blocks", extra={"type": "redacted_thinking"})
AFTER_PART = Thinking(texts=["More."], opaque="sig2", native="thinking_blocks", extra={"type": "thinking"})
TEXT_PART = Text(text="Hi")


def piece(text: str, reasoning: Any = ..., /, **block: Any) -> dict[str, Any]:
    """A chunk with a piece of a block. Its text is in `reasoning_content` too, unless that is given or None."""
    delta = {"thinking_blocks": [{"type": "thinking", "thinking": text, **block}], "content": ""}
    said = text if reasoning is ... else reasoning
    return chunk(delta if said is None else delta | {"reasoning_content": said})


def message_of(parts: list[Any]) -> dict[str, Any]:
    """The assistant's message of a request to the provider that the parts are from."""
    turns = [Turn("user", [TEXT_PART]), Turn("assistant", parts)]
    body: Any = (
        codec("openai_chat").render_request(Conversation(turns=turns, protocol="openai_chat"), Model(id=""), PLAIN).body
    )
    message: dict[str, Any] = body["messages"][1]
    return message


def test_blocks_of_a_reply_are_parts_with_state_and_their_text_counts_once():
    blocks = [SIGNED, HIDDEN, {**SIGNED, "thinking": "More.", "signature": "sig2"}]
    reply = whole({"content": "Hi", "reasoning_content": "Let me think.More.", "thinking_blocks": blocks})
    assert reply.parts == [SIGNED_PART, HIDDEN_PART, AFTER_PART, TEXT_PART]
    assert message_of(reply.parts) == {"role": "assistant", "content": "Hi", "thinking_blocks": blocks}


ALONE = {"index": 0}
STREAMS = {
    "pieces, then the signature": [piece("Let me ", **ALONE), piece("think.", **ALONE), piece("", signature="sig", **ALONE)],
    "pieces with an empty signature": [piece("Let me ", signature=""), piece("think.", signature=""), piece("", signature="sig")],
    "only text, then the whole block": [
        chunk({"reasoning_content": "Let me "}), chunk({"reasoning_content": "think."}),
        piece("Let me think.", "", signature="sig")],
    "one chunk": [piece("Let me think.", signature="sig")],
    "pieces without the other field": [piece("Let me ", None), piece("think.", None), piece("", None, signature="sig")],
}  # fmt: skip


@pytest.mark.parametrize("form", STREAMS)
def test_a_block_of_a_stream_is_one_part_in_each_form_that_litellm_had(form):
    reply = read(*STREAMS[form], chunk({"content": "Hi"}))
    assert reply.thinking == "Let me think."
    assert reply.parts == [SIGNED_PART, TEXT_PART]


def test_several_blocks_of_a_stream_stay_apart():
    hidden = chunk({"thinking_blocks": [{**HIDDEN, "index": 1}]})
    first = [piece("Let me think.", index=0), piece("", signature="sig", index=0)]
    after = [piece("More.", index=2), piece("", signature="sig2", index=2)]
    assert read(*first, hidden, *after, chunk({"content": "Hi"})).parts == [
        SIGNED_PART, HIDDEN_PART, AFTER_PART, TEXT_PART,
    ]  # fmt: skip
    at_once = {"thinking_blocks": [SIGNED, HIDDEN], "reasoning_content": "Let me think."}
    assert read(chunk({**at_once, "content": "Hi"})).parts == [SIGNED_PART, HIDDEN_PART, TEXT_PART]


def test_a_signature_without_text_is_kept():
    reply = read(piece("", signature="sig", index=0), chunk({"content": "Hi"}))
    assert (
        reply.parts
        == whole({"content": "Hi", "reasoning_content": "", "thinking_blocks": [{**SIGNED, "thinking": ""}]}).parts
    )
    assert message_of(reply.parts)["thinking_blocks"] == [{**SIGNED, "thinking": ""}]


@pytest.mark.parametrize(
    "blocks", [[], None, "a", [None], {}, [{**SIGNED, "signature": None}], [{**SIGNED, "signature": ""}]]
)
def test_blocks_without_state_leave_the_string(blocks):
    """Gemini's are not signed, and are empty in other chunks."""
    message = {"thinking_blocks": blocks, "reasoning_content": "Let me think."}
    expected = [Thinking(texts=["Let me think."], native="reasoning_content"), TEXT_PART]
    assert whole({**message, "content": "Hi"}).parts == expected
    assert read(chunk(message), chunk({"content": "Hi", "thinking_blocks": []})).parts == expected


def test_a_client_gets_blocks_and_may_collect_their_pieces():
    pieces = [*STREAMS["pieces, then the signature"], chunk({"content": "Hi"}), chunk(finish="stop")]
    events = codec("openai_chat").stream_parser(PLAIN).feed(stream(*pieces, "[DONE]"))
    renderer = codec("openai_chat").stream_renderer(Conversation(protocol="openai_chat"))
    sent = b"".join(renderer.feed(event) for event in events)
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in sent.splitlines() if line.startswith(b"data: {")]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Let me think."
    assert [block for delta in deltas for block in delta.get("thinking_blocks", [])] == [SIGNED]
    body = json.loads(codec("openai_chat").render_reply(collect(events)))
    assert body["choices"][0]["message"]["thinking_blocks"] == [SIGNED]
    collected = [one["choices"][0]["delta"]["thinking_blocks"][0] for one in pieces[:3]]
    message = {"role": "assistant", "content": "Hi", "thinking_blocks": collected}
    assert parsed(messages=[message]).turns[0].parts == [SIGNED_PART, TEXT_PART]


FIELDS = {"thought_signature": "sig", "more": 1}
WHOLE_CALL = {
    "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": FIELDS,
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
def test_the_signature_of_a_call_goes_back_in_the_same_field(streamed):
    delta = call("{}", index=0, id="call_1", type="function", name="f", provider_specific_fields=FIELDS)
    reply = read(chunk(delta), finish="tool_calls") if streamed else whole({"tool_calls": [WHOLE_CALL]})
    (found,) = reply.parts
    assert isinstance(found, ToolCall)
    assert found.opaque == "sig"
    assert message_of(reply.parts)["tool_calls"] == [WHOLE_CALL]


@pytest.mark.parametrize("fields", [{"more": 1}, {"thought_signature": None}, "odd"])
def test_other_fields_of_litellm_stay_as_they_are(fields):
    reply = whole({"tool_calls": [{**WHOLE_CALL, "provider_specific_fields": fields}]})
    assert (reply.parts[0].opaque, reply.parts[0].extra) == (None, {"provider_specific_fields": fields})
