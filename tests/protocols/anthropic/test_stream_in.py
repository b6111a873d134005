"""Streams of Anthropic Messages, from Anthropic and from compatible hosts (reference: dialects.md §3)."""

import json

import pytest

from modelbay.conversation import ServerToolCall, ServerToolResult, Text, Thinking, ToolCall, UnknownPart
from modelbay.errors import IncompleteReply, MalformedReply, Overloaded, ProviderError, RateLimited
from modelbay.usage import Usage
from tests.protocols import reading
from tests.protocols.anthropic.events import (
    PING,
    STOP,
    begin,
    delta,
    finish,
    read,
    read_all,
    start,
    stop,
    stream,
    text,
    thinking,
    tool_use,
)

# blocks


def test_blocks_become_parts():
    reply = read(*thinking(0, "Let me ", "see."), *text(1, "Hel", "lo"), *tool_use(2, '{"x"', ":1}"), reason="tool_use")
    assert reply.parts == [
        Thinking(texts=["Let me see."], opaque="sig"),
        Text(text="Hello"),
        ToolCall(name="f", id="toolu_1", arguments='{"x":1}'),
    ]
    assert reply.finish is not None
    assert (reply.finish.reason, reply.finish.native) == ("tool_calls", "tool_use")
    assert (reply.id, reply.model) == ("msg_1", "claude")


def test_blocks_may_overlap_and_all_stop_at_the_end():
    """As llama.cpp sends them: the next block starts before the last has stopped, and the signature comes late."""
    reply = read(
        start(0, "thinking", thinking=""), delta(0, thinking="Hm"),
        start(1, "text", text=""), delta(1, text="Hello"),
        start(2, "tool_use", id="t", name="f"), delta(2, partial_json="{}"),
        delta(0, signature=""), stop(0), stop(1), stop(2),
    )  # fmt: skip
    assert reply.parts == [Thinking(texts=["Hm"]), Text(text="Hello"), ToolCall(name="f", id="t", arguments="{}")]


def test_a_block_that_never_stops_ends_with_the_reply():
    assert read(start(0, "text", text=""), delta(0, text="Hi")).text == "Hi"


def test_a_block_may_start_again_at_its_index():
    assert [part.text for part in read(*text(0, "a")[:-1], *text(0, "b")).parts if isinstance(part, Text)] == ["a", "b"]


def test_a_block_may_begin_with_its_text():
    reply = read(
        start(0, "text", text="Hel"), delta(0, text="lo"), stop(0), start(1, "thinking", thinking="Hm"), stop(1)
    )
    assert (reply.text, reply.thinking) == ("Hello", "Hm")


def test_a_delta_without_a_block_begins_one():
    assert read(delta(0, text="Hi"), stop(0)).parts == [Text(text="Hi")]
    assert read(delta(0, thinking="Hm"), stop(0)).parts == [Thinking(texts=["Hm"])]


def test_text_in_a_block_of_another_kind_begins_one():
    """As SGLang sent it."""
    reply = read(
        start(0, "tool_use", id="t", name="f", input={}), delta(0, partial_json="{}"), delta(0, text="Hi"), stop(0)
    )
    assert [type(part) for part in reply.parts] == [ToolCall, Text]


def test_arguments_after_a_text_in_their_block_belong_to_the_call():
    """Without them, the client would run the call with empty arguments."""
    reply = read(
        start(0, "tool_use", id="t", name="f", input={}),
        delta(0, text="I "),
        delta(0, partial_json='{"a":'),
        delta(0, text="look."),
        delta(0, partial_json="1}"),
        stop(0),
        start(1, "text", text=""),
        delta(1, text="Done"),
        stop(1),
    )
    call, inside, after = reply.parts
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"a":1}'
    assert (inside, after) == (Text(text="I look."), Text(text="Done"))


def test_an_index_may_be_left_out():
    assert (
        read_all(
            begin(), {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}, finish(), STOP
        ).text
        == "Hi"
    )


# thinking


def test_thinking_whose_text_is_left_out_keeps_its_signature():
    (part,) = read(*thinking(0, signature="sig")).parts
    assert part == Thinking(texts=[""], opaque="sig")


def test_a_signature_may_come_in_pieces():
    (part,) = read(start(0, "thinking", thinking=""), delta(0, signature="ab"), delta(0, signature="cd"), stop(0)).parts
    assert part.opaque == "abcd"


def test_an_empty_signature_is_none():
    (part,) = read(*thinking(0, "Hm", signature="")).parts
    assert part == Thinking(texts=["Hm"])


def test_redacted_thinking_is_state_without_text():
    (part,) = read(start(0, "redacted_thinking", data="gAAA"), stop(0)).parts
    assert part == Thinking(opaque="gAAA", native="redacted_thinking")


# tools


def test_a_call_without_input_has_no_arguments():
    (part,) = read(*tool_use(0)).tool_calls
    assert part.arguments == ""


def test_a_call_s_input_may_come_with_its_start():
    (part,) = read(start(0, "tool_use", id="t", name="f", input={"b": 1, "a": 2}), stop(0)).tool_calls
    assert part.arguments == '{"b":1,"a":2}'


def test_input_that_comes_with_the_start_and_again_in_deltas_counts_once():
    (part,) = read(
        start(0, "tool_use", id="t", name="f", input={"a": 1}), delta(0, partial_json='{"a": 1}'), stop(0)
    ).tool_calls
    assert part.arguments == '{"a": 1}'


def test_a_start_may_have_no_input_at_all():
    (part,) = read(
        start(0, "tool_use", id="t", name="f"), delta(0, partial_json=""), delta(0, partial_json="{}"), stop(0)
    ).tool_calls
    assert part.arguments == "{}"


def test_server_tools_are_not_calls_for_the_client():
    found = [{"type": "web_search_result", "url": "https://e.com", "encrypted_content": "gAAA"}]
    reply = read(
        start(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={}), delta(0, partial_json='{"query":"x"}'), stop(0),
        start(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=found), stop(1),
        *text(2, "Found."),
    )  # fmt: skip
    assert reply.tool_calls == []
    assert reply.parts[:2] == [
        ServerToolCall(name="web_search", id="srvtoolu_1", arguments='{"query":"x"}', native="server_tool_use"),
        ServerToolResult(call_id="srvtoolu_1", content=found, native="web_search_tool_result"),
    ]
    assert reply.finish is not None
    assert reply.finish.reason == "stop"


def test_a_server_tool_call_keeps_what_it_says_besides():
    (part,) = read(start(0, "mcp_tool_use", id="m", name="f", server_name="s", input={}), stop(0)).parts
    assert part == ServerToolCall(name="f", id="m", native="mcp_tool_use", extra={"server_name": "s"})


def test_citations_stand_with_their_text():
    citation = {
        "type": "char_location", "cited_text": "grass", "document_index": 0, "document_title": "D",
        "start_char_index": 0, "end_char_index": 5,
    }  # fmt: skip
    (part,) = read(
        start(0, "text", text="", citations=[]), delta(0, text="Green."), delta(0, citation=citation), stop(0)
    ).parts
    assert isinstance(part, Text)
    assert part.annotations is not None
    (found,) = part.annotations
    assert (found.kind, found.title, found.text, found.unit, found.raw) == ("document", "D", "grass", "block", citation)


def test_an_unknown_block_is_kept_whole():
    def more(content):
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": content}}

    reply = read(start(0, "compaction", content=None), more("Sum"), more("mary"), stop(0))
    assert reply.parts == [UnknownPart(native="compaction", raw={"type": "compaction", "content": "Summary"})]


# the message


def test_a_second_message_start_is_ignored():
    reply = read_all(
        begin(),
        *text(0, "a"),
        begin(id="msg_2", usage={"input_tokens": 11, "output_tokens": 2}),
        *text(0, "b"),
        finish(),
        STOP,
    )
    assert (reply.id, reply.text) == ("msg_1", "ab")
    assert reply.usage is not None
    assert reply.usage.input == 11


def test_a_block_that_a_second_start_interrupts_is_dropped():
    reply = read_all(begin(), *tool_use(0, '{"pa')[:-1], begin(id="msg_2"), *text(0, "Hi"), finish(), STOP)
    assert reply.parts == [Text(text="Hi")]


def test_content_may_come_with_the_start():
    content = [{"type": "text", "text": "Hi"}]
    assert read_all(begin(content=content), finish(), STOP).text == "Hi"


def test_pings_and_unknown_events_are_ignored():
    assert read(PING, *text(0, "a"), {"type": "unheard_of", "x": 1}, PING, *text(1, "b")).text == "ab"


def test_events_may_be_named_by_their_event_line_only():
    lines = stream(begin(), *text(0, "Hi"), finish(), STOP).decode().splitlines()
    nameless = [
        f"data: {json.dumps({k: v for k, v in json.loads(line[6:]).items() if k != 'type'})}"
        if line[:6] == "data: "
        else line
        for line in lines
    ]
    assert reading.read("anthropic", "\n".join([*nameless, "", ""]).encode()).text == "Hi"


# usage


def test_later_usage_overwrites_and_is_never_added():
    counts = {"input_tokens": 12, "output_tokens": 7, "cache_read_input_tokens": 3}
    reply = read_all(begin(usage={"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 3}), *text(0, "Hi"),
                     finish(usage=counts), STOP)  # fmt: skip
    assert reply.usage is not None
    assert (reply.usage.input, reply.usage.output, reply.usage.cache_read) == (12, 7, 3)


def test_usage_may_come_with_the_end_only():
    reply = read_all(begin(usage=None), *text(0, "Hi"), finish(usage={"input_tokens": 4, "output_tokens": 5}), STOP)
    assert reply.usage == Usage(input=4, output=5, raw={"input_tokens": 4, "output_tokens": 5})


def test_cached_tokens_come_apart_by_their_age():
    usage = {
        "input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }  # fmt: skip
    found = read_all(begin(usage=usage), finish(usage={"output_tokens": 2}), STOP).usage
    assert found == Usage(
        input=1, cache_read=4, cache_write=10, cache_write_1h=20, output=2, raw=found.raw if found else None
    )
    assert found is not None
    assert found.input_total == 35


def test_thinking_tokens_are_part_of_the_output():
    usage = {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6}}
    found = read_all(begin(usage=usage), finish(usage=None), STOP).usage
    assert found is not None
    assert (found.output, found.reasoning, found.output_total) == (3, 6, 9)


# ends


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("tool_use", "stop"),
        ("pause_turn", "pause"), ("refusal", "refusal"), ("model_context_window_exceeded", "length"), ("unheard_of", "other"),
    ],
)  # fmt: skip
def test_the_original_stop_reason_is_kept(native, reason):
    found = read(*text(0, "Hi"), reason=native).finish
    assert found is not None
    assert (found.reason, found.native) == (reason, native)


def test_the_stop_sequence_is_told():
    found = read_all(begin(), *text(0, "Hi"), finish("stop_sequence", "END"), STOP).finish
    assert found is not None
    assert (found.reason, found.stop_sequence) == ("stop", "END")


def test_other_fields_of_the_end_are_kept():
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    found = read_all(begin(), finish("refusal", delta={"stop_details": details}), STOP).finish
    assert found is not None
    assert found.extra == {"stop_details": details}


def test_a_stream_may_end_without_message_stop():
    reply = read_all(begin(), *text(0, "Hi"), finish())
    assert reply.error is None
    assert reply.text == "Hi"


def test_a_stream_may_end_with_message_stop_alone():
    reply = read_all(begin(), *tool_use(0, "{}"), STOP)
    assert reply.finish is not None
    assert reply.finish.reason == "tool_calls"


def test_openai_s_done_is_passed_over():
    assert reading.read("anthropic", stream(begin(), *text(0, "Hi"), finish()) + b"data: [DONE]\n\n").text == "Hi"


@pytest.mark.parametrize("events", [[], [begin()], [begin(), *text(0, "Hi")], [begin(), *text(0, "Hi")[:-1]]])
def test_a_stream_that_just_stops_is_incomplete(events):
    reply = read_all(*events)
    assert isinstance(reply.error, IncompleteReply)
    assert reply.finish is None


def test_a_message_stop_without_a_message_is_incomplete():
    assert isinstance(read_all(STOP).error, IncompleteReply)


def test_events_after_the_end_are_ignored():
    assert read_all(begin(), *text(0, "Hi"), finish(), STOP, *text(1, "!"), STOP).text == "Hi"


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded", Overloaded),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}, "Slow down", RateLimited),
        ({"type": "error", "error": "busy"}, "busy", ProviderError),
        ({"type": "error", "error": None, "message": "mlx"}, "mlx", ProviderError),
    ],
)
def test_an_error_ends_the_stream_and_keeps_what_came(error, message, kind):
    reply = read_all(begin(), *text(0, "Hi"), *tool_use(1, '{"pa')[:-1], error, *text(2, "!"), finish(), STOP)
    assert isinstance(reply.error, kind)
    assert reply.error.message == message
    assert reply.parts == [Text(text="Hi")]


@pytest.mark.parametrize("payload", ["{", "<html>", "7", '"x"', "[]"])
def test_an_event_that_is_not_an_object_is_malformed(payload):
    reply = reading.read("anthropic", stream(begin(), *text(0, "Hi")) + f"data: {payload}\n\n".encode())
    assert isinstance(reply.error, MalformedReply)
    assert reply.text == "Hi"


def test_half_an_emoji_does_not_stop_the_stream():
    halves = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}\n\n'
    assert (
        reading.read("anthropic", stream(begin(), *text(0, "Hi")[:-1]) + halves + stream(finish(), STOP)).text
        == "Hi\ufffd"
    )


@pytest.mark.parametrize("late", [0, None])
def test_counts_of_the_start_are_not_replaced_by_zeros(late):
    usage = {"input_tokens": late, "cache_read_input_tokens": late, "output_tokens": 3}
    first = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 2}}}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    found = reading.read("anthropic", stream(first, *text(0, "Hi"), last, STOP)).usage
    assert found is not None
    assert (found.input, found.cache_read, found.output) == (5, 2, 3)
