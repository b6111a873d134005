"""Replay: the contract of its rows, on exchanges made by hand and on the recorded ones."""

from typing import Any

import msgspec
import pytest
from inline_snapshot import snapshot

from modelbay.conversation import Protocol
from modelbay.events import PartEnded, PartStarted
from modelbay.replay import PROTOCOLS, events, read, replay, translate
from tests.corpus import exchanges

CHAT_URL = "https://api.example.com/v1/chat/completions"
FIELDS = ["name", "text", "thinking", "refusal", "tool_calls", "finish", "usage", "error"]
BUCKETS = ("input", "cache_read", "cache_write", "output", "reasoning")
FINISHES = {"stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error", "incomplete"}
RECORDED = [
    "anthropic_messages",
    "bedrock_anthropic",
    "google_genai",
    "google_interactions",
    "model_list",
    "moonshot_kimi",
    "openai_chat",
    "openai_completions_legacy",
    "openai_responses",
    "vertex_anthropic",
    "vertex_genai",
]
CODECS: list[Protocol] = ["openai_chat", "openai_responses", "anthropic", "google"]


def exchange(answer: Any, *, url: str | None = CHAT_URL, protocol: str | None = None, **also: Any) -> dict[str, Any]:
    """An exchange with JSON as its answer, or a stream where `answer` is text."""
    response = {"status": also.pop("status", 200), "sse" if isinstance(answer, str) else "json": answer}
    request = None if url is None else {"method": also.pop("method", "POST"), "url": url, "headers": {}, "json": {}}
    return {"name": "made", "protocol": protocol, "request": request, "response": response}


def chat(message: dict[str, Any], finish: str = "stop", **also: Any) -> dict[str, Any]:
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **also}


def sse(*chunks: dict[str, Any], end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {msgspec.json.encode(chunk).decode()}\n\n" for chunk in chunks) + end


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def row(*args: Any, **fields: Any) -> dict[str, Any]:
    return replay(exchange(*args, **fields), "unnamed")


# --- the contract ---


def test_a_whole_answer_is_one_flat_row():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"b": 2,  "a": 1.0}'}}
    message = {"content": "Let me add.", "reasoning_content": "Two numbers.", "tool_calls": [call]}
    assert row(chat(message, "tool_calls", usage=usage)) == snapshot(
        {
            "name": "made",
            "text": "Let me add.",
            "thinking": "Two numbers.",
            "refusal": "",
            "tool_calls": [{"id": "call_1", "name": "add", "arguments": '{"b": 2,  "a": 1.0}'}],
            "finish": "tool_calls",
            "usage": {"input": 40, "cache_read": 60, "cache_write": None, "output": 30, "reasoning": 20},
            "error": None,
        }
    )


def test_a_row_has_its_fields_in_the_order_of_the_contract():
    assert list(row(chat({"content": "Hi"}))) == FIELDS


def test_missing_values_are_null():
    call = {"type": "function", "function": {"name": "now", "arguments": ""}}
    answer = row(chat({"content": None, "tool_calls": [call]}, usage={"prompt_tokens": 3}))
    assert answer["tool_calls"] == [{"id": None, "name": "now", "arguments": ""}]
    assert answer["usage"] == {
        "input": 3, "cache_read": None, "cache_write": None, "output": None, "reasoning": None,
    }  # fmt: skip
    assert row(chat({"content": "Hi"}))["usage"] is None


def test_both_cache_writes_are_one_number_and_tool_prompts_are_input():
    usage = {
        "input_tokens": 5,
        "output_tokens": 7,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    reply = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": usage}
    assert row(reply, url="https://api.example.com/v1/messages")["usage"]["cache_write"] == 30
    candidate = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
    counts = {"promptTokenCount": 5, "toolUsePromptTokenCount": 40, "candidatesTokenCount": 1}
    url = "https://api.example.com/v1beta/models/gemini:generateContent"
    assert row({"candidates": [candidate], "usageMetadata": counts}, url=url)["usage"]["input"] == 45


def test_an_object_of_arguments_is_written_compactly_in_its_order():
    block = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"b": 2, "a": {"z": 1.0, "é": "ü"}}}
    reply = {"type": "message", "content": [block], "stop_reason": "tool_use"}
    calls = row(reply, url="https://api.example.com/v1/messages")["tool_calls"]
    assert calls == [{"id": "toolu_1", "name": "add", "arguments": '{"b":2,"a":{"z":1.0,"é":"ü"}}'}]


def test_an_answer_with_an_error_status_is_told_in_the_providers_words():
    answer = {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    told = row(answer, status=429)
    assert (told["finish"], told["error"]) == ("error", {"type": "requests", "message": "Slow down", "status": 429})


def test_an_error_without_a_message_gets_modelbays_message():
    assert row({"detail": "Invalid API Key"}, status=401)["error"] == snapshot(
        {"type": "AuthenticationFailed", "message": "Invalid API Key", "status": 401}
    )


def test_a_page_instead_of_an_answer_is_an_error():
    recorded = exchange({})
    recorded["response"] = {"status": 200, "headers": {"content-type": "text/html"}, "text": "<html>Hello</html>"}
    told = replay(recorded, "unnamed")
    assert (told["finish"], told["error"]["type"]) == ("error", "MalformedReply")


def test_a_stream_that_stops_early_keeps_what_came_and_is_incomplete():
    told = row(sse(delta(content="Once upon"), delta(content=" a time"), end=""))
    assert (told["text"], told["finish"], told["error"]["type"]) == (
        "Once upon a time",
        "incomplete",
        "IncompleteReply",
    )


def test_an_error_inside_a_stream_keeps_what_came():
    failure = {"error": {"message": "overloaded", "type": "overloaded_error", "code": 503}}
    told = row(sse(delta(content="Once"), failure))
    assert (told["text"], told["finish"]) == ("Once", "error")
    assert told["error"] == {"type": "overloaded_error", "message": "overloaded", "status": 503}


def test_the_dialect_is_that_of_the_urls_host():
    tagged = chat({"content": "<think>Hm.</think>Yes."})
    assert row(tagged, url="https://api.minimax.io/v1/chat/completions")["thinking"] == snapshot("Hm.")
    assert row(tagged)["thinking"] == ""


def test_an_exchange_without_a_name_gets_the_one_of_its_place():
    recorded = exchange(chat({"content": "Hi"})) | {"name": None}
    assert replay(recorded, "file.jsonl:3")["name"] == "file.jsonl:3"


def test_legacy_completions_are_read_whole_and_streamed():
    url = "https://api.example.com/v1/completions"
    whole = {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": "length"}]}
    chunk = {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]}
    told = row(whole, url=url)
    assert (told["text"], told["finish"]) == ("Hi", "length")
    told = row(sse(chunk), url=url)
    assert (told["text"], told["finish"]) == ("Hi", "stop")


# --- what is a generation, and in which protocol ---

MESSAGE = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
RESPONSE = {
    "object": "response",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}],
}
CANDIDATE = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
ANSWERS = {
    "chat": chat({"content": "Hi"}),
    "legacy": {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]},
    "message": MESSAGE,
    "response": RESPONSE,
    "candidates": CANDIDATE,
    "candidates in a list": [CANDIDATE],
    "stream of chunks": sse(delta(content="Hi"), delta(finish="stop")),
}


@pytest.mark.parametrize("shape", ANSWERS)
def test_without_a_url_and_a_protocol_the_shape_tells(shape: str):
    assert row(ANSWERS[shape], url=None)["text"] == "Hi"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://x.example/openai/deployments/d/chat/completions?api-version=1", chat({"content": "Hi"})),
        ("https://x.example/v1/messages?beta=true", MESSAGE),
        ("https://x.example/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict", MESSAGE),
        ("https://x.example/model/anthropic.c-v1%3A0/invoke", MESSAGE),
        ("https://x.example/openai/v1/responses", RESPONSE),
        ("https://x.example/v1beta/models/g:generateContent", CANDIDATE),
        ("https://x.example/v1beta/models/g:streamGenerateContent", [CANDIDATE]),
    ],
)
def test_a_url_tells_the_protocol(url: str, answer: Any):
    assert row(answer, url=url)["text"] == "Hi"


def test_a_response_that_is_fetched_later_is_a_generation():
    assert row(RESPONSE, url="https://x.example/v1/responses/resp_1", method="GET")["text"] == "Hi"


@pytest.mark.parametrize(
    ("skipped", "recorded"),
    [
        ("token count", exchange({"input_tokens": 3}, url="https://x.example/v1/messages/count_tokens")),
        ("token count", exchange({"totalTokens": 3}, url="https://x.example/v1beta/models/g:countTokens")),
        ("token count", exchange({"error": {}}, url="https://x.example/v1beta/models/g:countTokens", status=404)),
        ("token count", exchange({"input_tokens": 3}, url="https://x.example/v1/responses/input_tokens")),
        ("token count", exchange({"input_tokens": 3}, url=None, protocol="anthropic_messages")),
        ("model list", exchange({"data": []}, url="https://x.example/v1/models", method="GET")),
        ("model list", exchange({"data": [{"id": "m", "object": "model"}]}, url=None)),
        ("model list", exchange({"models": [{"name": "models/g"}]}, url=None, protocol="model_list")),
        ("embedding", exchange({"data": []}, url="https://x.example/v1/embeddings")),
        ("not a generation", exchange({"id": "skill_1"}, url=None, protocol="anthropic_messages")),
        ("not a generation", exchange({"object": "list"}, url=CHAT_URL, method="GET")),
        ("not a generation", exchange({"id": "file_1"}, url="https://x.example/v1/files", protocol="openai_chat")),
        ("google_interactions", exchange({"id": "v1_x"}, url=None, protocol="google_interactions")),
        ("no response", {"name": "made"}),
    ],
)
def test_an_exchange_without_a_generation_is_skipped_with_the_reason(skipped: str, recorded: dict[str, Any]):
    assert replay(recorded, "unnamed") == {"name": "made", "skipped": skipped}


def test_an_odd_answer_of_a_generations_url_is_an_error_and_not_skipped():
    assert row({"pathname": "/chat/completions"})["finish"] == "error"


# --- what a client would be sent ---


def test_a_stream_is_translated_to_a_stream_and_a_whole_answer_to_a_whole_one():
    streamed = translate(exchange(sse(delta(content="Hi"), delta(finish="stop"))), "unnamed", "anthropic")
    assert (streamed["name"], streamed["to"], streamed["kind"]) == ("made", "anthropic", "sse")
    assert streamed["body"].startswith("event: message_start\n")
    whole = translate(exchange(chat({"content": "Hi"})), "unnamed", "anthropic")
    assert whole["kind"] == "json"
    assert msgspec.json.decode(whole["body"])["content"] == [{"type": "text", "text": "Hi"}]


def test_an_error_answer_is_translated_to_the_clients_error():
    told = translate(exchange({"error": {"message": "No"}}, status=401), "unnamed", "anthropic")
    assert (told["kind"], told["body"]) == (
        "json",
        snapshot(
            '{"type":"error","error":{"type":"permission_error",'
            '"message":"The provider rejected modelbay\'s API key: No"}}'
        ),
    )


def test_an_exchange_without_a_generation_is_not_translated():
    recorded = exchange({"data": []}, url="https://x.example/v1/models", method="GET")
    assert translate(recorded, "unnamed", "google") == {"name": "made", "skipped": "model list"}


# --- recorded exchanges ---


@pytest.mark.parametrize("file", RECORDED)
def test_every_recorded_exchange_gives_a_row(file: str):
    for recorded in exchanges(file):
        told = replay(recorded, "unnamed")
        if "skipped" not in told:
            assert list(told) == FIELDS
            assert told["finish"] in FINISHES
            assert (told["error"] is not None) == (told["finish"] in ("error", "incomplete"))
            assert file in PROTOCOLS


LOST_FINISHES = {
    ("refusal", "content_filter"),  # without a refusal's text
    ("refusal", "stop"),  # with it
    ("content_filter", "refusal"),  # Anthropic
    ("pause", "stop"),
    ("stop", "tool_calls"),  # calls that a server tool's program made (Anthropic)
}


@pytest.mark.parametrize("to", CODECS)
@pytest.mark.parametrize("file", RECORDED)
def test_every_recorded_answer_survives_its_translation(file: str, to: Protocol):
    """Up to what a protocol has no word for: a refusal becomes text, a call gets an id, a pause is a stop."""
    for recorded in exchanges(file):
        told = replay(recorded, "unnamed")
        if "skipped" in told or told["error"] or _was_cut(recorded):
            continue
        sent = translate(recorded, "unnamed", to)
        answer = sent["body"] if sent["kind"] == "sse" else msgspec.json.decode(sent["body"])
        again = replay(exchange(answer, url=None, protocol=to), "unnamed")
        assert again["thinking"] == told["thinking"], told["name"]
        assert again["text"] + again["refusal"] == told["text"] + told["refusal"], told["name"]
        assert _calls(again) == _calls(told), told["name"]
        assert _counts(again) == _counts(told), told["name"]
        finishes = (told["finish"], again["finish"])
        assert finishes[0] == finishes[1] or finishes in LOST_FINISHES, told["name"]


def _was_cut(recorded: dict[str, Any]) -> bool:
    """Whether a part began and never ended (a proxy tried again): what was streamed of it cannot be taken back."""
    told = events(read(recorded))
    return sum(isinstance(event, PartStarted) for event in told) != sum(isinstance(event, PartEnded) for event in told)


def _counts(told: dict[str, Any]) -> list[int]:
    """Zero and not reported are one thing in protocols that always count; Gemini writes to a cache without saying so."""
    usage = {bucket: count or 0 for bucket, count in (told["usage"] or dict.fromkeys(BUCKETS)).items()}
    return [usage["input"] + usage["cache_write"], usage["cache_read"], usage["output"], usage["reasoning"]]


def _calls(told: dict[str, Any]) -> list[Any]:
    """Names and arguments as values: key order and white space are another protocol's own."""
    return [(call["name"], _value(call["arguments"])) for call in told["tool_calls"]]


def _value(arguments: str) -> Any:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
    only = value.get("input") if isinstance(value, dict) and list(value) == ["input"] else None
    return _value(only) if isinstance(only, str) else value  # a freeform tool's text
