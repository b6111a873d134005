"""Responses replies as servers really write them."""

import json
from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    Media,
    Provenance,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
    UnknownPart,
)
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import ContextOverflow, IncompleteReply, MalformedReply, QuotaExhausted
from modelbay.events import PartEnded, Reply, collect
from modelbay.protocols.codec import codec
from tests.corpus import exchanges
from tests.protocols import sse_reference
from tests.protocols.invariants import check_events

RESPONSES = codec("openai_responses")
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m", "status": "in_progress"}}


def streamed(*events: dict[str, Any], names: bool = True, dialect: Dialect = PLAIN) -> Reply:
    """The reply that a stream of these events makes."""
    data = b""
    for event in events:
        if names:
            data += f"event: {event['type']}\n".encode()
        data += b"data: " + json.dumps(event).encode() + b"\n\n"
    parser = RESPONSES.stream_parser(dialect)
    found = parser.feed(data) + parser.close()
    check_events(found)
    return collect(found)


def completed(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": "completed", "output": list(output), **more}
    return {"type": "response.completed", "response": response}


def message(text: str, id: str = "msg_1") -> dict[str, Any]:
    return {"type": "message", "id": id, "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(arguments: str, id: str = "fc_1") -> dict[str, Any]:
    return {"type": "function_call", "id": id, "call_id": "c1", "name": "look", "arguments": arguments}


def whole(**response: Any) -> Reply:
    return collect(RESPONSES.parse_reply(json.dumps({"id": "resp_1", "model": "m", **response}).encode(), PLAIN))


# --- streams -----------------------------------------------------------------------------------------------------------


def test_llama_cpp_sends_no_indexes_and_no_model_at_first():
    reply = streamed(
        {"type": "response.created", "response": {"id": "resp_1", "object": "response", "status": "in_progress"}},
        {"type": "response.output_item.added", "item": {"type": "reasoning", "id": "rs_1", "summary": []}},
        {"type": "response.reasoning_text.delta", "item_id": "rs_1", "delta": "Hm"},
        {"type": "response.output_item.added", "item": {"type": "message", "id": "msg_1", "content": []}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hi"},
        {"type": "response.output_item.added", "item": call("")},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": "{}"},
        {"type": "response.output_item.done", "item": call("{}")},
        completed(message("Hi"), call("{}")),
    )
    assert [part.__struct_config__.tag for part in reply.parts] == ["thinking", "text", "tool_call"]
    assert (reply.thinking, reply.text, reply.tool_calls[0].arguments) == ("Hm", "Hi", "{}")
    assert reply.finish and reply.finish.reason == "tool_calls"


def test_copilot_gives_an_item_another_id_in_every_event():
    reply = streamed(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": message("", "a") | {"content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "b", "delta": "H"},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "c", "delta": "i"},
        {"type": "response.output_item.done", "output_index": 0, "item": message("Hi", "d")},
        completed(message("Hi", "e")),
    )
    assert [(type(part), part.item_id) for part in reply.parts] == [(Text, "d")]
    assert reply.text == "Hi"


def test_rotating_ids_without_indexes_are_followed_by_order():
    reply = streamed(
        CREATED,
        {"type": "response.output_item.added", "item": message("", "a") | {"content": []}},
        {"type": "response.output_text.delta", "item_id": "b", "delta": "Hi"},
        {"type": "response.output_item.done", "item": message("Hi", "c")},
        completed(message("Hi", "d")),
    )
    assert len(reply.parts) == 1


def test_lm_studio_sends_arguments_in_done_only():
    reply = streamed(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": call("")},
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 0, "item": call('{"a":1}')},
        completed(call('{"a":1}')),
    )
    assert [part.arguments for part in reply.tool_calls] == ['{"a":1}']


def test_a_call_whose_name_comes_last_waits_for_it():
    nameless = {"type": "function_call", "id": "fc_1", "call_id": "c1", "arguments": ""}
    reply = streamed(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": nameless},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": call("{}")},
        completed(),
    )
    assert [(part.name, part.id, part.arguments) for part in reply.tool_calls] == [("look", "c1", "{}")]


def test_a_done_without_deltas_and_without_added_is_a_whole_item():
    reply = streamed(
        CREATED, {"type": "response.output_item.done", "output_index": 0, "item": message("Hi")}, completed()
    )
    assert reply.text == "Hi"


def test_items_that_only_the_final_response_has_are_added():
    reply = streamed(
        CREATED,
        {"type": "response.output_item.done", "output_index": 0, "item": message("Hi")},
        completed(message("Hi"), call("{}")),
    )
    assert (reply.text, len(reply.tool_calls)) == ("Hi", 1)


def test_a_final_response_without_output_takes_nothing_away():
    reply = streamed(CREATED, {"type": "response.output_text.delta", "delta": "Hi"}, completed())
    assert reply.text == "Hi"
    assert reply.error is None


@pytest.mark.parametrize("client", ["openai_chat", "google", "openai_responses"])
@pytest.mark.parametrize("early", [True, False], ids=["with the text", "at the end"])
def test_log_probabilities_reach_a_streaming_client_once(client, early):
    each = [{"token": "Hi", "logprob": -0.125, "bytes": [72, 105], "top_logprobs": []}]
    item = message("Hi")
    item["content"][0]["logprobs"] = each
    parser = codec("openai_responses").stream_parser(PLAIN)
    delta = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hi",
    }
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {**delta, "logprobs": each} if early else delta,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        completed(item),
    ]
    found = [event for sent in events for event in parser.feed(f"data: {json.dumps(sent)}\n\n".encode())]
    sent = b"".join(map(codec(client).stream_renderer(Conversation()).feed, [*found, *parser.close()]))
    assert collect(found).parts == [Text(text="Hi", item_id="msg_1", logprobs=each)]
    texts = [
        line for line in sent.splitlines() if b"-0.125" in line and b".done" not in line and b".completed" not in line
    ]
    assert len(texts) == 1


def test_the_events_name_is_read_from_either_place():
    delta: dict[str, Any] = {"type": "response.output_text.delta", "delta": "Hi"}
    events = [CREATED, delta, completed()]
    assert streamed(*events, names=False).text == "Hi"
    data = b"".join(
        f"event: {event.pop('type')}\ndata: {json.dumps(event)}\n\n".encode() for event in [dict(e) for e in events]
    )
    parser = RESPONSES.stream_parser(PLAIN)
    assert collect(parser.feed(data) + parser.close()).text == "Hi"


def test_texts_of_a_summary_stay_apart():
    reply = streamed(
        CREATED,
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "b"},
        completed(),
    )
    assert reply.parts == [Thinking(texts=["a", "b"], summary=True)]


def test_an_index_out_of_all_proportion_costs_nothing():
    event = {"type": "response.reasoning_summary_text.delta", "output_index": 10**12, "summary_index": 10**12}
    assert streamed(CREATED, event | {"delta": "a"}, completed()).thinking == "a"


def test_unknown_events_are_ignored_and_unknown_items_are_kept():
    item = {"type": "hologram", "id": "h_1", "rays": 3}
    reply = streamed(
        CREATED,
        {"type": "response.hologram.spinning", "output_index": 0},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"rays": 0}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        completed(item),
    )
    assert reply.parts == [UnknownPart(native="hologram", raw=item, item_id="h_1")]


def test_a_refusal_and_citations_are_streamed():
    citation = {"type": "url_citation", "url": "https://example.com", "start_index": 0, "end_index": 2}
    reply = streamed(
        CREATED,
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
        {
            "type": "response.output_text.annotation.added",
            "output_index": 0,
            "content_index": 0,
            "annotation": citation,
        },
        {"type": "response.refusal.delta", "output_index": 0, "content_index": 1, "delta": "No"},
        {"type": "response.refusal.done", "output_index": 0, "content_index": 1, "refusal": "No."},
        completed(),
    )
    assert (reply.text, reply.refusal) == ("Hi", "No.")
    assert [found.raw for found in reply.parts[0].annotations or ()] == [citation]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "insufficient_quota", "message": "Pay", "param": None},
        {"type": "error", "error": {"code": "insufficient_quota", "message": "Pay"}},
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "insufficient_quota"}}},
        {"type": "", "error": {"type": "insufficient_quota", "message": "Pay"}},
    ],
    ids=["flat", "nested", "failed", "bare"],
)
def test_an_error_in_the_stream_is_an_error_of_its_kind(event):
    reply = streamed(CREATED, {"type": "response.output_text.delta", "delta": "H"}, event)
    assert isinstance(reply.error, QuotaExhausted)
    assert reply.text == "H"
    assert reply.finish is None


def test_a_stream_that_just_stops_is_incomplete_and_its_open_call_is_none():
    reply = streamed(
        CREATED,
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
        {"type": "response.output_item.added", "output_index": 1, "item": call("")},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"path":"/'},
    )
    assert isinstance(reply.error, IncompleteReply)
    assert (reply.text, reply.tool_calls) == ("Hi", [])


def test_a_dialect_may_end_its_streams_without_a_last_event():
    event = {"type": "response.output_text.delta", "delta": "Hi"}
    reply = streamed(CREATED, event, dialect=Dialect(ends_without_finish=True))
    assert reply.error is None
    assert reply.text == "Hi"


def test_html_instead_of_a_stream_is_an_error():
    parser = RESPONSES.stream_parser(PLAIN)
    assert isinstance(collect(parser.feed(b"<html></html>") + parser.close()).error, IncompleteReply)


def test_an_incomplete_response_says_why():
    for why, reason in (("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")):
        response = {"status": "incomplete", "incomplete_details": {"reason": why}, "output": []}
        reply = streamed(CREATED, {"type": "response.incomplete", "response": response})
        assert reply.finish and reply.finish.reason == reason


# --- whole replies -----------------------------------------------------------------------------------------------------


def test_every_kind_of_item_is_a_part():
    reply = whole(
        status="completed",
        output=[
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]},
            {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"},
            message("Hi") | {"phase": "final_answer", "status": "completed"},
            {"type": "message", "role": "assistant", "id": "m2", "content": [{"type": "refusal", "refusal": "No"}]},
            {"type": "custom_tool_call", "id": "ct_1", "call_id": "c0", "name": "sql", "input": "SELECT"},
            call("{}") | {"namespace": "fs", "status": "completed"},
        ],
    )
    assert [type(part) for part in reply.parts] == [
        Thinking, Thinking, ServerToolCall, Media, Text, Refusal, ToolCall, ToolCall
    ]  # fmt: skip
    assert [part.summary for part in reply.parts if isinstance(part, Thinking)] == [True, False]
    assert reply.parts[4].extra == {"item.": {"phase": "final_answer"}}
    assert [(part.format, part.arguments) for part in reply.tool_calls] == [("text", "SELECT"), ("json", "{}")]
    assert reply.tool_calls[1].namespace == "fs"
    assert reply.finish and reply.finish.reason == "tool_calls"


def test_an_empty_message_is_kept_as_reasoning_before_it_may_need_it():
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    assert whole(status="completed", output=[item]).parts == [UnknownPart(native="message", raw=item, item_id="msg_1")]


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_reply_still_being_made_in_the_background_pauses(status):
    reply = whole(status=status, output=[])
    assert reply.finish and (reply.finish.reason, reply.finish.native) == ("pause", status)


def test_an_error_in_a_200_is_an_error():
    error = {"code": "context_length_exceeded", "message": "Too long"}
    assert isinstance(whole(status="failed", error=error, output=[]).error, ContextOverflow)
    assert isinstance(whole(error=error).error, ContextOverflow)
    assert isinstance(whole(status="cancelled", output=[]).error, IncompleteReply)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"choices": []}', b"null"])
def test_a_body_that_is_not_a_response_is_malformed(body):
    assert isinstance(collect(RESPONSES.parse_reply(body, PLAIN)).error, MalformedReply)


def test_tokens_are_counted_once():
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": 150,
    }
    found = whole(status="completed", output=[], usage=usage).usage
    assert found
    assert (found.input, found.cache_read, found.cache_write, found.output, found.reasoning) == (30, 60, 10, 10, 40)
    assert found.total == 150


def test_a_recorded_stream_tells_what_its_final_response_tells():
    """Except for values that providers generate for each event: IDs, encrypted reasoning.

    The recordings named here were assembled from several.
    """
    spliced = ("azure-reasoning-encrypted-content", "openai-shell-container", "openai-shell-tool")
    checked = 0
    for exchange in exchanges("openai_responses"):
        if not exchange["response"].get("sse") or any(name in exchange["name"] for name in spliced):
            continue
        parser = RESPONSES.stream_parser(PLAIN)
        events = parser.feed(exchange["response"]["sse"].encode()) + parser.close()
        for line in exchange["response"]["sse"].splitlines():
            if line.startswith("data:") and '"response.completed"' in line:
                body = json.dumps(json.loads(line[5:])["response"]).encode()
                final, reply = collect(RESPONSES.parse_reply(body, PLAIN)), collect(events)
                assert [_plain(part) for part in reply.parts] == [_plain(part) for part in final.parts], exchange[
                    "name"
                ]
                assert reply.usage == final.usage
                checked += 1
        assert all(event.part.item_id is not None for event in events if isinstance(event, PartEnded))
    assert checked > 100


def _plain(part: Any) -> Any:
    match part:
        case Thinking():
            return part.texts, part.summary
        case ToolCall():
            return part.name, part.id, part.arguments, part.extra
        case Text():
            return part.text, part.annotations
        case UnknownPart():
            return part.native
        case _:
            return part


def event(kind: str, index: int, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, **more}


def other(arguments: str) -> dict[str, Any]:
    return {**call(arguments, "fc_2"), "call_id": "c2", "name": "read"}


ONE = [
    event("output_item.added", 0, item=call("")),
    event("function_call_arguments.delta", 0, item_id="fc_1", delta='{"a":1}'),
    event("output_item.done", 0, item=call('{"a":1}')),
]
TWO = [
    event("output_item.added", 0, item=other("")),
    event("function_call_arguments.delta", 0, item_id="fc_2", delta='{"b":2}'),
    event("output_item.done", 0, item=other('{"b":2}')),
]


@pytest.mark.parametrize(
    "events",
    [[*ONE, *TWO], [ONE[0], TWO[0], ONE[1], TWO[1], ONE[2], TWO[2]], [ONE[0], TWO[0], TWO[1], ONE[1], TWO[2], ONE[2]]],
    ids=["one after the other", "interleaved", "ended in another order"],
)
def test_items_may_all_have_the_same_output_index(events):
    reply = streamed(CREATED, *events, completed())
    found = {(found.id, found.name, found.arguments) for found in reply.tool_calls}
    assert found == {("c1", "look", '{"a":1}'), ("c2", "read", '{"b":2}')}
    assert len(reply.tool_calls) == 2


def test_texts_may_all_have_the_same_output_index():
    texts = []
    for id, text in (("msg_1", "Hel"), ("msg_2", "lo")):
        texts += [
            event("output_item.added", 0, item={**message(""), "id": id, "content": []}),
            event("output_text.delta", 0, item_id=id, content_index=0, delta=text),
            event("output_item.done", 0, item=message(text, id)),
        ]
    parts = streamed(CREATED, *texts, completed()).parts
    assert parts == [Text(text="Hel", item_id="msg_1"), Text(text="lo", item_id="msg_2")]


def test_two_calls_with_one_id_are_told_apart():
    again = {**other('{"b":2}'), "call_id": "c1"}
    reply = streamed(CREATED, *ONE, event("output_item.done", 1, item=again), completed())
    assert [found.id for found in reply.tool_calls] == ["c1", None]


def test_the_last_event_may_be_called_done():
    hi = {"type": "response.done", "response": {"id": "resp_1", "status": "completed", "output": [message("Hi")]}}
    reply = streamed(CREATED, hi)
    assert (reply.text, reply.finish and reply.finish.reason) == ("Hi", "stop")


def test_older_servers_have_another_name_for_thinking():
    reply = streamed(
        CREATED, event("reasoning.delta", 0, delta="Hm"), event("output_text.delta", 1, delta="Hi"), completed()
    )
    assert (reply.thinking, reply.text) == ("Hm", "Hi")


def test_usage_may_have_the_words_of_chat_completions():
    usage = whole(output=[message("Hi")], status="completed", usage={"prompt_tokens": 5, "completion_tokens": 3}).usage
    assert usage is not None
    assert (usage.input, usage.output) == (5, 3)


SUMMARIES = {
    "type": "reasoning", "id": "rs_1", "encrypted_content": "E",
    "summary": [{"type": "summary_text", "text": "**Plan** a"}, {"type": "summary_text", "text": "**Act** b"}],
}  # fmt: skip
SUMMARY = "**Plan** a\n\n**Act** b"


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic", "google"])
def test_the_parts_of_a_summary_are_separate_paragraphs_for_other_clients(client, in_pieces):
    deltas = [
        event("reasoning_summary_text.delta", 0, item_id="rs_1", summary_index=index, delta=piece)
        for index, text in enumerate(SUMMARY.split("\n\n"))
        for piece in (text[:3], text[3:])
    ]
    events = [CREATED, *(deltas if in_pieces else ()), event("output_item.done", 0, item=SUMMARIES), completed()]
    parser = RESPONSES.stream_parser(PLAIN, Provenance("openai_responses"))
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    found = parser.feed(data) + parser.close()
    check_events(found)
    assert collect(found).thinking == SUMMARY
    renderer = codec(client).stream_renderer(Conversation(stream=True))
    chunks = [
        json.loads(data) for _, data in sse_reference.decode(b"".join(map(renderer.feed, found))) if data != b"[DONE]"
    ]
    assert shown_thinking(client, chunks) == SUMMARY
    back = RESPONSES.stream_renderer(Conversation(stream=True))
    ended = sse_reference.decode(b"".join(map(back.feed, found)))[-1][1]
    assert json.loads(ended)["response"]["output"] == [SUMMARIES]


def shown_thinking(client: str, chunks: list[dict[str, Any]]) -> str:
    match client:
        case "openai_chat":
            return "".join(chunk["choices"][0]["delta"].get("reasoning_content", "") for chunk in chunks)
        case "anthropic":
            return "".join(chunk["delta"].get("thinking", "") for chunk in chunks if "delta" in chunk)
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"] if part.get("thought")]
    return "".join(part.get("text", "") for part in parts)
