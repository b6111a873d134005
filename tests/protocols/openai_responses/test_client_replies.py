"""Replies as a Responses client gets them, and the official SDK reading them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from openai import APIStatusError, AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from modelbay.conversation import Annotation, AnyPart, Conversation, Media, Provenance, Text, Thinking, ToolCall, Turn
from modelbay.dialect import PLAIN
from modelbay.errors import (
    BadRequest,
    ContextOverflow,
    Disconnected,
    IncompleteReply,
    Overloaded,
    RateLimited,
    TimedOut,
    Unsupported,
)
from modelbay.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Reply, Started, collect
from modelbay.protocols.codec import Call, codec
from modelbay.usage import Usage
from tests.protocols import sse_reference
from tests.protocols.event_sequences import replies
from tests.protocols.invariants import check_openai_responses

RESPONSES = codec("openai_responses")
GEMINI = Provenance("google", "google", "gemini")


def stream(*events: Event) -> list[dict[str, Any]]:
    renderer = RESPONSES.stream_renderer(Conversation(model="m"))
    data = b"".join(renderer.feed(event) for event in events)
    check_openai_responses(data, ended=isinstance(events[-1], Finished | Failed))
    return [json.loads(payload) for _, payload in sse_reference.decode(data)]


def output(*parts: Any) -> list[dict[str, Any]]:
    """The items of a whole reply; a stream of the same parts must end in the same."""
    reply = Reply(id="resp_1", model="m", parts=list(parts), finish=Finished("stop"))
    items: list[dict[str, Any]] = json.loads(RESPONSES.render_reply(reply))["output"]
    steps = [step for key, part in enumerate(parts) for step in (PartStarted(key, part), PartEnded(key, part))]
    assert stream(Started("resp_1", "m"), *steps, Finished("stop"))[-1]["response"]["output"] == items
    return items


def back(items: list[dict[str, Any]]) -> list[Any]:
    """The parts of the next request that brings the items along."""
    turns = RESPONSES.parse_request(Call("", {"input": items})).turns
    return [part for turn in turns for part in turn.parts]


def test_texts_that_follow_each_other_share_a_message_and_an_item_s_own_are_kept_together():
    items = output(Text(text="a"), Text(text="b"), Text(text="c", item_id="msg_9"), ToolCall(name="f", id="c1"))
    assert [[part["text"] for part in item["content"]] for item in items[:2]] == [["a", "b"], ["c"]]
    assert [item["type"] for item in items] == ["message", "message", "function_call"]
    assert items[1]["id"] == "msg_9"


def test_ids_made_here_differ_from_reply_to_reply_and_are_the_same_for_the_same_reply():
    def ids(reply_id: str) -> list[str]:
        body = RESPONSES.render_reply(Reply(id=reply_id, parts=[Text(text="a"), ToolCall(name="f")]))
        return [item["id"] for item in json.loads(body)["output"]]

    assert ids("resp_1") == ids("resp_1")
    assert not set(ids("resp_1")) & set(ids("resp_2"))


def test_usage_is_present_even_if_it_is_unknown():
    """opencode asks again without end where it is missing."""
    usage = stream(Finished("stop"))[-1]["response"]["usage"]
    assert usage == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_a_reply_ended_is_its_status(reason, status, details):
    last = stream(Finished(reason))[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["incomplete_details"] == details


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContextOverflow("Too long"), "context_length_exceeded"),
        (RateLimited("Slow down"), "rate_limit_exceeded"),
        (Overloaded("Busy"), "server_error"),  # at OpenAI's "server_is_overloaded", Codex ends its turn
        (BadRequest("Odd", code="odd_code"), "odd_code"),
        (ValueError("A defect"), "server_error"),
        # not our codes of HTTP errors: after "server_error", pi repeats the request
        (IncompleteReply("Cut off"), "server_error"),
        (Disconnected("Gone"), "server_error"),
        (TimedOut("Silent", stage="idle"), "server_error"),
    ],
)
def test_a_failure_ends_the_stream_with_a_code_that_clients_know(error, code):
    last = stream(Started("resp_1"), Failed(error))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == code


def test_a_failed_response_has_the_text_that_was_sent_but_no_call_that_had_begun():
    text: list[Event] = [PartStarted(0, Text()), PartDelta(0, "Let "), PartDelta(0, "me")]
    call: list[Event] = [PartStarted(1, ToolCall(name="f", id="c1")), PartDelta(1, '{"a"')]
    whole = [*text, PartEnded(0, Text(text="Let me"))]
    for events in (text, whole, [*whole, *call]):
        (item,) = stream(Started("resp_1"), *events, Failed(Overloaded("Busy")))[-1]["response"]["output"]
        assert item["content"][0]["text"] == "Let me"
        assert item["status"] == ("completed" if call[0] in events else "incomplete")
    assert stream(Started("resp_1"), *call, Failed(Overloaded("Busy")))[-1]["response"]["output"] == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Slow down.", "Slow down. Please try again in 20.5s."),
        ("Slow down. Please try again in 3s.", "Slow down. Please try again in 3s."),
    ],
)
def test_the_wait_after_a_rate_limit_is_in_the_message_where_codex_reads_it(message, said):
    error = RateLimited(message)
    error.retry_after = 20.5
    assert stream(Started("resp_1"), Failed(error))[-1]["response"]["error"]["message"] == said


def test_a_call_that_a_failure_cut_off_is_never_done_as_codex_would_run_it():
    events = stream(
        PartStarted(0, ToolCall(name="rm", id="c1")), PartDelta(0, '{"path":"/'), Failed(Overloaded("Gone"))
    )
    assert "response.output_item.done" not in [event["type"] for event in events]
    assert events[-1]["response"]["output"] == []


def test_parts_that_overlap_are_written_one_after_the_other():
    events = stream(
        PartStarted(0, ToolCall(name="a", id="c1")),
        PartStarted(1, ToolCall(name="b", id="c2")),
        PartDelta(1, "{}"),
        PartDelta(0, "{ }"),
        PartEnded(0, ToolCall(name="a", id="c1", arguments="{ }")),
        PartEnded(1, ToolCall(name="b", id="c2", arguments="{}")),
        Finished("tool_calls"),
    )
    assert [item["arguments"] for item in events[-1]["response"]["output"]] == ["{ }", "{}"]


def test_the_state_of_another_provider_travels_with_the_client():
    parts = [
        Thinking(texts=["a", "b"], opaque="sig-1", origin=GEMINI),
        Text(text="Hi", opaque="sig-2", origin=GEMINI),
        ToolCall(name="look", arguments="{}", id="c1", opaque="sig-3", origin=GEMINI),
    ]
    items = output(*parts)
    assert [item["type"] for item in items] == ["reasoning", "message", "reasoning", "reasoning", "function_call"]
    found = back(items)
    assert [(part.opaque, part.origin) for part in found] == [(part.opaque, GEMINI) for part in parts]
    assert found[0].texts == ["a", "b"]


def test_reasoning_of_another_provider_is_shown_as_a_summary_and_comes_back_as_what_it_was():
    kimi = Thinking(texts=["Hm"], native="reasoning_content", origin=Provenance("openai_chat", "moonshot", "kimi"))
    items = output(kimi, Text(text="Hi"))
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert back(items)[0] == kimi


def test_gemini_s_citations_are_counted_in_characters():
    cited = Annotation("url", url="https://example.com", start=3, end=6, unit="bytes", protocol="google")
    annotation = output(Text(text="é ébc", annotations=[cited]))[0]["content"][0]["annotations"][0]
    assert (annotation["start_index"], annotation["end_index"]) == (2, 4)


def test_a_drawn_image_is_an_item():
    item = output(Media(kind="image", data="AAAA", media_type="image/png"))[0]
    assert (item["type"], item["result"]) == ("image_generation_call", "AAAA")


def test_a_reply_echoed_by_its_client_is_the_reply():
    parts = [
        Thinking(texts=["Short"], summary=True, opaque="enc"),
        Text(text="Hi", extra={"item.": {"phase": "commentary"}}),
        ToolCall(name="sql", arguments="SELECT", id="c1", format="text"),
        ToolCall(name="look", arguments='{"b":1, "a":2.0}', id="c2", namespace="fs"),
    ]
    conversation = RESPONSES.parse_request(Call("", {"input": output(*parts), "store": False}))
    assert [turn.item.phase for turn in conversation.turns if turn.item] == [None, "commentary", None, None]
    found = [part for turn in conversation.turns for part in turn.parts]
    assert [(type(part), part.opaque) for part in found] == [(type(part), part.opaque) for part in parts]
    assert [part.arguments for part in found if isinstance(part, ToolCall)] == ["SELECT", '{"b":1, "a":2.0}']
    assert [part.namespace for part in found if isinstance(part, ToolCall)] == [None, "fs"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Unsupported("`stop` cannot be expressed", setting="stop"), 400, {"param": "stop"}),
        (ContextOverflow("Too long", status=400), 400, {"code": "context_length_exceeded"}),
        (RateLimited("Slow down", status=429), 429, {"type": "rate_limit_error"}),
        (ValueError("A defect"), 500, {"type": "server_error"}),
    ],
)
def test_an_error_answer_is_one_of_openai_s(error, status, said):
    found, body = RESPONSES.render_error(error)
    assert found == status
    assert json.loads(body)["error"].items() >= said.items()


# --- the official SDK --------------------------------------------------------------------------------------------------


@given(events=replies())
def test_openai_s_own_types_accept_every_event_and_the_whole(events):
    event_type = TypeAdapter[Any](ResponseStreamEvent)
    renderer = RESPONSES.stream_renderer(Conversation())
    for _, data in sse_reference.decode(b"".join(renderer.feed(event) for event in events)):
        event_type.validate_json(data)
    Response.model_validate_json(RESPONSES.render_reply(collect(events)))


@asynccontextmanager
async def answering(status: int, kind: str, body: bytes) -> AsyncIterator[AsyncOpenAI]:
    """A client of a server on the loopback that gives every request the same answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        await reader.readexactly(int(lengths[0]))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-type: %b\r\nconnection: close\r\n\r\n" % (status, kind.encode()))
        for start in range(0, len(body), 7):
            writer.write(body[start : start + 7])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, AsyncOpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client:
        yield client


PARTS: list[AnyPart] = [
    Thinking(texts=["First,", "then"], summary=True, opaque="enc"),
    Thinking(texts=["A thought of another"], origin=GEMINI, opaque="sig"),
    Text(text="Let me "),
    Text(text="look.", annotations=[Annotation("url", url="https://example.com", start=0, end=4)]),
    ToolCall(name="look", arguments='{"at":1}', id="c1", opaque="sig", origin=GEMINI),
    ToolCall(name="sql", arguments="SELECT 1", id="c2", format="text"),
    Media(kind="image", data="AAAA", media_type="image/png"),
]
REPLY = Reply("resp_1", "m", PARTS, Finished("tool_calls"), Usage(input=3, output=4))


def sse(finish: Event) -> bytes:
    renderer = RESPONSES.stream_renderer(Conversation())
    steps = [step for key, part in enumerate(PARTS) for step in (PartStarted(key, part), PartEnded(key, part))]
    return b"".join(renderer.feed(event) for event in [Started("resp_1", "m"), *steps, finish])


async def test_the_sdk_s_stream_helper_puts_our_stream_together():
    async with (
        answering(200, "text/event-stream", sse(Finished("tool_calls"))) as client,
        client.responses.stream(model="m", input="Hi") as events,
    ):
        kinds = [event.type async for event in events]
        final = await events.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_text == "Let me look."
    assert [item.type for item in final.output] == [
        "reasoning", "reasoning", "message", "reasoning", "function_call", "custom_tool_call", "image_generation_call"
    ]  # fmt: skip


async def test_the_sdk_reads_our_plain_stream_and_its_failure():
    async with answering(200, "text/event-stream", sse(Failed(Overloaded("Busy")))) as client:
        events = await client.responses.create(model="m", input="Hi", stream=True)
        kinds = [event.type async for event in events]
    assert kinds[-1] == "response.failed"


async def test_the_sdk_reads_our_whole_reply():
    async with answering(200, "application/json", RESPONSES.render_reply(REPLY)) as client:
        response = await client.responses.create(model="m", input="Hi")
    assert (response.id, response.output_text, response.status) == ("resp_1", "Let me look.", "completed")
    assert response.usage and response.usage.total_tokens == 7


async def test_the_sdk_understands_our_errors():
    status, body = RESPONSES.render_error(RateLimited("Slow down", status=429))
    async with answering(status, "application/json", body) as client:
        with pytest.raises(APIStatusError, match="Slow down") as raised:
            await client.responses.create(model="m", input="Hi")
    assert raised.value.code == "rate_limit_exceeded"


def test_a_whole_reply_and_its_stream_are_parsed_the_same():
    parser = RESPONSES.stream_parser(PLAIN)
    streamed = collect(parser.feed(sse(Finished("tool_calls"))) + parser.close())
    body = RESPONSES.render_reply(REPLY)
    assert [Turn("assistant", streamed.parts)] == [Turn("assistant", collect(RESPONSES.parse_reply(body, PLAIN)).parts)]
