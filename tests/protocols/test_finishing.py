"""A reply is a success only if its provider says so in a word that is known to mean it: in every protocol, whole and streamed."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply, MalformedReply, ProviderError
from modelbay.events import Finished, Reply, collect
from modelbay.protocols.codec import NAMES, codec
from tests.protocols import reading

every_protocol = pytest.mark.parametrize("protocol", NAMES)
both = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + (c if isinstance(c, str) else json.dumps(c)).encode() + b"\n\n" for c in chunks)


def body(protocol: str, word: Any, text: str, streamed: bool) -> bytes:
    """A reply with `text`, ended by the provider's `word`."""
    match protocol:
        case "openai_chat":
            choice = {"index": 0, "finish_reason": word}
            if not streamed:
                return json.dumps({"id": "c", "choices": [{**choice, "message": {"content": text}}]}).encode()
            chunks = [{"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}] if text else []
            return sse(*chunks, {"id": "c", "choices": [{**choice, "delta": {}}]}, "[DONE]")
        case "openai_responses":
            part = {"type": "output_text", "text": text}
            output = [{"type": "message", "role": "assistant", "content": [part]}] if text else []
            response = {"id": "r", "object": "response", "status": word, "output": output}
            return (
                sse({"type": "response.completed", "response": response}) if streamed else json.dumps(response).encode()
            )
        case "anthropic":
            block = {"type": "text", "text": text}
            message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": []}
            if not streamed:
                return json.dumps({**message, "content": [block] if text else [], "stop_reason": word}).encode()
            start = {"type": "content_block_start", "index": 0, "content_block": block}
            return sse(
                {"type": "message_start", "message": message},
                *([start, {"type": "content_block_stop", "index": 0}] if text else []),
                {"type": "message_delta", "delta": {"stop_reason": word}},
                {"type": "message_stop"},
            )
        case _:
            candidate = {"content": {"parts": [{"text": text}] if text else []}, "finishReason": word}
            chunk = {"candidates": [candidate], "responseId": "g"}
            return sse(chunk) if streamed else json.dumps(chunk).encode()


def read(protocol: str, word: Any, text: str = "half an ans", streamed: bool = True) -> Reply:
    data = body(protocol, word, text, streamed)
    return reading.read(protocol, data) if streamed else collect(codec(protocol).parse_reply(data, PLAIN))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("eos", "stop"), ("eos_token", "stop"), ("end_turn", "stop"), ("end", "stop"),
        ("stop_sequence", "stop"), ("COMPLETE", "stop"), ("length", "length"), ("MAX_TOKENS", "length"),
        ("token-limit", "length"), ("content_filter", "content_filter"), ("SAFETY", "content_filter"),
        ("guardrail_intervened", "content_filter"), ("refusal", "refusal"),
    ],
)  # fmt: skip
@every_protocol
@both
def test_known_words_mean_the_same_in_every_protocol(protocol: str, streamed: bool, word: str, reason: str) -> None:
    reply = read(protocol, word, streamed=streamed)
    assert reply.error is None
    assert reply.finish is not None
    assert reply.finish.reason == reason
    assert reply.warnings == []


@pytest.mark.parametrize(
    "word",
    [
        "error",
        "network_error",
        "insufficient_system_resource",
        "abort",
        "cancelled",
        "ERROR",
        "timeout",
        "not_finished",
    ],
)
@every_protocol
@both
def test_a_word_for_a_failure_is_one(protocol: str, streamed: bool, word: str) -> None:
    reply = read(protocol, word, streamed=streamed)
    assert isinstance(reply.error, IncompleteReply)
    assert word.lower() in reply.error.message.lower()
    assert reply.text == "half an ans"


@pytest.mark.parametrize("word", ["newly_invented", "GAVE_UP", "💥"])
@every_protocol
@both
def test_an_unknown_reason_is_neither_a_normal_stop_nor_a_failure(protocol: str, streamed: bool, word: str) -> None:
    reply = read(protocol, word, streamed=streamed)
    assert reply.error is None
    assert reply.finish is not None
    assert (reply.finish.reason, (reply.finish.native or "").lower()) == ("other", word.lower())
    assert ["unknown finish reason" in warning.message for warning in reply.warnings] == [True]


@pytest.mark.parametrize("client", NAMES)
@every_protocol
@both
def test_no_client_takes_such_an_answer_for_a_whole_one(protocol: str, client: str, streamed: bool) -> None:
    reply = read(protocol, "newly_invented", streamed=streamed)
    again = collect(codec(client).parse_reply(codec(client).render_reply(reply), PLAIN))
    renderer = codec(client).stream_renderer(Conversation())
    parser = codec(protocol).stream_parser(PLAIN)
    data = body(protocol, "newly_invented", "half an ans", True)
    written = b"".join(renderer.feed(event) for event in [*parser.feed(data), *parser.close()])
    for seen in (again, reading.read(client, written)):
        assert seen.text == "half an ans"
        assert seen.error is not None or (seen.finish is not None and seen.finish.reason in ("length", "other"))


@every_protocol
@both
@pytest.mark.parametrize("word", [None, "", "null", 7.5, {}], ids=str)
def test_an_empty_reply_without_a_reason_is_a_failure(protocol: str, streamed: bool, word: Any) -> None:
    reply = read(protocol, word, text="", streamed=streamed)
    assert isinstance(reply.error, IncompleteReply)


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic"])
@both
def test_a_finished_answer_without_a_reason_is_complete(protocol: str, streamed: bool) -> None:
    """Ollama says null, Snowflake and SGLang say ""."""
    if protocol == "anthropic" and streamed:
        return  # `message_delta` without a reason: one-api leaves out `message_stop`, and so the reason is the end
    reply = read(protocol, None, streamed=streamed)
    assert reply.finish == Finished("stop")


@pytest.mark.parametrize(
    ("protocol", "data"),
    [
        ("openai_chat", b"data: [DONE]\n\n"),
        ("openai_chat", sse({"id": "c", "choices": []}, "[DONE]")),
        (
            "openai_chat",
            sse({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}, "[DONE]"),
        ),
        ("openai_responses", b"data: [DONE]\n\n"),
        ("anthropic", b"data: [DONE]\n\n"),
        ("anthropic", sse({"type": "message_stop"})),
        ("anthropic", sse({"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"})),
        ("google", b"data: [DONE]\n\n"),
        ("google", sse({"candidates": []}, "[DONE]")),
        ("google", sse({"candidates": [], "usageMetadata": {"promptTokenCount": 3}})),
        *[(name, b"") for name in NAMES],
    ],
)
def test_a_stream_of_an_end_alone_is_a_failure(protocol: str, data: bytes) -> None:
    assert isinstance(reading.read(protocol, data).error, IncompleteReply | MalformedReply)


@pytest.mark.parametrize(
    ("protocol", "data"),
    [
        ("openai_chat", {"choices": []}),
        ("openai_chat", {"choices": [{}]}),
        ("openai_chat", {"choices": [{"index": 0, "message": {"content": ""}}]}),
        ("openai_chat", {"choices": [None]}),
        ("openai_responses", {"output": []}),
        ("anthropic", {"content": []}),
        ("google", {"candidates": []}),
        ("google", {"candidates": [{}]}),
        ("google", {"candidates": [{"content": {"parts": []}}]}),
        *[(name, {}) for name in NAMES],
    ],
)
def test_a_whole_reply_with_nothing_in_it_is_a_failure(protocol: str, data: Any) -> None:
    reply = collect(codec(protocol).parse_reply(json.dumps(data).encode(), PLAIN))
    assert isinstance(reply.error, IncompleteReply | MalformedReply)


@pytest.mark.parametrize("error", [{"code": 502, "message": "upstream went away"}, "upstream went away"])
@both
def test_the_error_of_a_choice_says_what_its_provider_said(error: Any, streamed: bool) -> None:
    choice = {"index": 0, "finish_reason": "error", "error": error}
    if streamed:
        data = sse(
            {"id": "c", "choices": [{"index": 0, "delta": {"content": "He"}}]},
            {"id": "c", "choices": [{**choice, "delta": {"content": ""}}]},
            {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
            "[DONE]",
        )
        reply = reading.read("openai_chat", data)
        assert reply.usage is not None
    else:
        data = json.dumps({"id": "c", "choices": [{**choice, "message": {"content": "He"}}]}).encode()
        reply = collect(codec("openai_chat").parse_reply(data, PLAIN))
    assert isinstance(reply.error, ProviderError)
    assert (reply.text, reply.error.message) == ("He", "upstream went away")


@pytest.mark.parametrize(
    ("protocol", "word"), [("openai_chat", "tool_calls"), ("anthropic", "tool_use"), ("google", "TOOL_CALLS")]
)
@both
def test_calls_that_are_announced_and_do_not_come(protocol: str, word: str, streamed: bool) -> None:
    """With an answer it is a stop; without one the model's only act is lost."""
    assert read(protocol, word, "Hello.", streamed).finish == Finished("stop", word)
    assert isinstance(read(protocol, word, "", streamed).error, IncompleteReply)


@pytest.mark.parametrize("client", NAMES)
def test_no_client_gets_tool_calls_as_reason_without_calls(client: str) -> None:
    reply = read("openai_chat", "tool_calls", "Hello.")
    assert b"tool_use" not in codec(client).render_reply(reply)
    assert b'"tool_calls"' not in codec(client).render_reply(reply)
