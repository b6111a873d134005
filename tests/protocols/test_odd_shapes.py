"""Any JSON in place of the expected value is handled: parsers are lenient."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, Provenance
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import BadRequest, Unsupported
from modelbay.events import Event, PartEnded, PartStarted, collect
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec
from tests.protocols.invariants import CHECKS, check_events
from tests.protocols.spoken import BUILT

QUIRKY = Dialect(think_tags=True, merge_choices=True, reasoning_in_output=False, ends_without_finish=True)
every_protocol = pytest.mark.parametrize("protocol", BUILT)

odd_values: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "0",
        [],
        [None],
        ["x"],
        [[]],
        [{}],
        {},
        {"x": {}},
        {"type": "text"},
        {"text": 1},
    ]
)

CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM = {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}}
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
MESSAGE = {
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}],
    "refusal": "no",
    "reasoning_content": "c",
    "reasoning_details": [{"type": "reasoning.text", "text": "d", "signature": "s", "index": 0}],
    "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}, CUSTOM],
    "function_call": {"name": "f", "arguments": "{}"},
    "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0}}],
    "audio": {"id": "x", "data": "AAAA", "transcript": "t"},
    "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
}
ANTHROPIC_BLOCKS = [
    {"type": "thinking", "thinking": "a", "signature": "s"},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "text", "text": "b", "citations": [{"type": "char_location", "cited_text": "c", "start_char_index": 0}]},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "url": "u"}]},
]
ANTHROPIC_USAGE = {"input_tokens": 5, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 1}}
ANTHROPIC_MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "m", "content": ANTHROPIC_BLOCKS,
    "stop_reason": "tool_use", "stop_sequence": None, "usage": ANTHROPIC_USAGE,
}  # fmt: skip
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
OUTPUT = [
    {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "g"},
    {"type": "message", "id": "msg", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "b", "annotations": [{"type": "url_citation", "url": "u"}], "logprobs": []}]},
    {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
    {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
]  # fmt: skip
RESPONSE = {
    "id": "r", "object": "response", "model": "m", "status": "completed", "output": OUTPUT, "error": None,
    "incomplete_details": {"reason": "max_output_tokens"},
    "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2, "total_tokens": 7},
}  # fmt: skip
CANDIDATE = {
    "content": {
        "role": "model",
        "parts": [
            {"text": "a", "thought": True, "thoughtSignature": "cw=="},
            {"text": "b"},
            {"functionCall": {"id": "i", "name": "f", "args": {"x": 1}}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
        ],
    },
    "finishReason": "STOP",
    "index": 0,
    "groundingMetadata": {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 1, "text": "b"}, "groundingChunkIndices": [0]}],
    },
}
GENERATED = {
    "candidates": [CANDIDATE], "modelVersion": "m", "responseId": "r", "promptFeedback": {"blockReason": "OTHER"},
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
}  # fmt: skip

REPLIES: dict[str, Any] = {
    "openai_chat": {"id": "c", "model": "m", "created": 1, "usage": USAGE, "choices": [
        {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": {"content": [{"token": "a", "logprob": 0}]}},
    ]},
    "openai_responses": RESPONSE,
    "anthropic": ANTHROPIC_MESSAGE,
    "google": GENERATED,
}  # fmt: skip
AT = {"output_index": 0, "content_index": 0}

STREAMS: dict[str, list[Any]] = {
    "openai_chat": [
        {"id": "c", "model": "m", "created": 1, "x_groq": {"usage": USAGE}, "choices": [
            {"index": 0, "delta": MESSAGE, "finish_reason": None, "logprobs": {"content": [{"token": "a"}]}, "usage": USAGE},
        ]},
        {"id": "c", "usage": USAGE, "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
    ],
    "openai_responses": [
        {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
        {"type": "response.output_item.added", "output_index": 0, "item": OUTPUT[1]},
        {"type": "response.content_part.added", **AT, "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", **AT, "delta": "b", "logprobs": []},
        {"type": "response.output_text.annotation.added", **AT, "annotation": {"type": "url_citation", "url": "u"}},
        {"type": "response.output_text.done", **AT, "text": "b"},
        {"type": "response.output_item.done", "output_index": 0, "item": OUTPUT[1]},
        {"type": "response.output_item.added", "output_index": 1, "item": OUTPUT[2]},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": "{}"},
        {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[2]},
        {"type": "response.completed", "response": RESPONSE},
    ],
    "anthropic": [
        {"type": "message_start", "message": {**ANTHROPIC_MESSAGE, "content": ANTHROPIC_BLOCKS[:1]}},
        {"type": "content_block_start", "index": 0, "content_block": ANTHROPIC_BLOCKS[2]},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"type": "char_location"}}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": ANTHROPIC_BLOCKS[3]},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": ANTHROPIC_BLOCKS[0]},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": "a"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_start", "index": 3, "content_block": {"type": "compaction", "content": None}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "compaction_delta", "content": "s"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": ANTHROPIC_USAGE},
        {"type": "message_stop"},
    ],
    "google": [GENERATED, GENERATED],
}  # fmt: skip
TOOL_SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
REQUESTS: dict[str, Any] = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "name": "n", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"filename": "f.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            ]},
            MESSAGE,
            {"role": "tool", "tool_call_id": "a", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL_SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": TOOL_SCHEMA}},
        "stop": ["x"], "temperature": 1, "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True},
        "reasoning_effort": "low", "reasoning": {"effort": "low"}, "thinking": {"type": "enabled"},
    },
    "openai_responses": {
        "model": "m", "instructions": "i",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]},
            *OUTPUT,
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": TOOL_SCHEMA, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"}, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": TOOL_SCHEMA}}, "max_output_tokens": 5,
        "include": ["reasoning.encrypted_content"], "stream": True,
    },
    "anthropic": {
        "model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]},
            {"role": "assistant", "content": ANTHROPIC_BLOCKS},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE], "is_error": True}]},
        ],
        "tools": [{"name": "f", "input_schema": TOOL_SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "f"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": TOOL_SCHEMA}},
        "metadata": {"user_id": "u"}, "stop_sequences": ["x"],
    },
    "google": {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            CANDIDATE["content"],
            {"role": "user", "parts": [{"functionResponse": {"id": "i", "name": "f", "response": {"output": "r"}}}]},
        ],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": TOOL_SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"temperature": 1, "stopSequences": ["x"], "responseJsonSchema": TOOL_SCHEMA,
                             "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}},
    },
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every value inside."""
    yield path
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[name], (*path, name))


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """A copy with something else at a place."""
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], odd)
    return copy


@st.composite
def oddly(draw: st.DrawFn, template: Any) -> Any:
    """A copy with something odd in one or two places; or a field left out."""
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(template))))
        template = put(template, path, draw(odd_values))
    return template


@every_protocol
@given(data=st.data())
def test_a_stream_with_something_odd_in_it_still_ends_in_order(protocol, data):
    odd = data.draw(oddly(STREAMS[protocol]))
    dialect = data.draw(st.sampled_from([PLAIN, QUIRKY]))
    stream = b"".join(b"data: %b\n\n" % json.dumps(item).encode() for item in (odd if isinstance(odd, list) else [odd]))
    parser = codec(protocol).stream_parser(dialect)
    events = parser.feed(stream) + parser.close()
    check_events(events)
    tell(data.draw(another(protocol)), protocol, events)


def another(protocol: str) -> st.SearchStrategy[str]:
    """A protocol of which nothing is passed on as it came."""
    return st.sampled_from([name for name in NAMES if name != protocol])


def tell(client: str, protocol: str, events: list[Event]) -> None:
    """Tell a client of another protocol the same, as a stream and in one piece."""
    for event in events:
        if isinstance(event, PartStarted | PartEnded):
            event.part.origin = Provenance(protocol, "acme", "m")
    reply = collect(events)
    if reply.error is None:
        codec(client).render_reply(reply)
    renderer = codec(client).stream_renderer(Conversation(model="m", include_usage=True))
    CHECKS[client](b"".join([renderer.feed(event) for event in events]), True)


@pytest.mark.parametrize("client", ["openai_responses", "anthropic", "google"])
def test_a_citation_of_an_odd_address_is_left_out(client):
    citation = {"type": "url_citation", "url_citation": {"url": {"at": "https://e.com"}, "start_index": "0"}}
    message = {"role": "assistant", "content": "Yes.", "annotations": [citation]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": -1}}
    events = codec("openai_chat").parse_reply(json.dumps(body).encode(), PLAIN)
    tell(client, "openai_chat", events)
    assert b"e.com" not in codec(client).render_reply(collect(events))


@every_protocol
@given(data=st.data())
def test_a_reply_with_something_odd_in_it_still_ends_in_order(protocol, data):
    odd = data.draw(oddly(REPLIES[protocol]))
    events = codec(protocol).parse_reply(json.dumps(odd).encode(), data.draw(st.sampled_from([PLAIN, QUIRKY])))
    check_events(events)
    tell(data.draw(another(protocol)), protocol, events)


@every_protocol
@given(data=st.data())
def test_a_request_with_something_odd_in_it_is_passed_on_or_refused(protocol, data):
    odd = data.draw(oddly(REQUESTS[protocol]).filter(lambda body: isinstance(body, dict)))
    try:
        conversation = codec(protocol).parse_request(Call("/v1beta/models/m:streamGenerateContent", odd))
        codec(protocol).render_request(conversation, Model(id="m"), PLAIN).encode()
    except Unsupported as refusal:
        assert refusal.setting
    except BadRequest as refusal:
        assert refusal.param


@every_protocol
@given(data=st.data())
def test_an_error_with_something_odd_in_it_is_still_an_error(protocol, data):
    template = {"type": "error", "code": 400, "status": "X", "message": "m", "error": {
        "type": "t", "code": 400, "message": "m", "status": "X", "param": "p", "metadata": {"raw": "r"},
        "details": [{"@type": "x.RetryInfo", "retryDelay": "1s", "reason": "r", "violations": [{"quotaId": "q"}]}],
    }}  # fmt: skip
    odd = data.draw(oddly(template))
    error = codec(protocol).parse_error(400, {}, json.dumps(odd).encode())
    assert isinstance(error.message, str)
    assert error.message
    codec(protocol).render_error(error)
