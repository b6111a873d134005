"""Requests that real providers refuse, except for wrong signatures."""

from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.servers.wire import call
from tests.simulator.conftest import KEY
from tests.simulator.protocols import WireProtocol

VERSION: Any = {"anthropic_version": "2023-06-01"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
USER = {"role": "user", "content": "Hi"}


def refusal(sim: Simulator, path: str, body: Any) -> Any:
    answer = call(sim.url + path, body, authorization=f"Bearer {KEY}", **VERSION)
    assert answer.status == 400, answer.body
    return answer.json["error"]


@pytest.mark.parametrize(
    ("messages", "message", "param"),
    [
        (
            [USER, {"role": "assistant", "tool_calls": [CALL]}, USER],
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            "The following tool_call_ids did not have response messages: call_1",
            "messages.[2].role",
        ),
        (
            [USER, {"role": "assistant", "tool_calls": [CALL]}],
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            "The following tool_call_ids did not have response messages: call_1",
            "messages.[2].role",
        ),
        (
            [USER, {"role": "tool", "tool_call_id": "call_1", "content": "x"}],
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            "messages.[1].role",
        ),
    ],
)
def test_chat_requires_a_result_for_every_call(sim: Simulator, messages: Any, message: str, param: str):
    error = refusal(sim, "/v1/chat/completions", {"model": "sim-1", "messages": messages})
    assert (error["message"], error["param"]) == (message, param)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"response_format": {"type": "json_object"}}, "'messages' must contain the word 'json' in some form"),
        ({"n": 129}, "Invalid 'n': must be between 1 and 128"),
        ({"top_logprobs": 2}, "'top_logprobs' is only allowed when 'logprobs' is enabled."),
        ({"stream_options": {"include_usage": True}}, "'stream_options' parameter is only allowed when 'stream'"),
        ({"model": ""}, "you must provide a model parameter"),
        (
            {"messages": [{"role": "user", "content": "x " * 5_000}], "model": "sim-small"},
            "maximum context length is 2000",
        ),
    ],
)
def test_chat_refuses(sim: Simulator, change: Any, message: str):
    body = {"model": "sim-1", "messages": [USER], **change}
    assert message in refusal(sim, "/v1/chat/completions", body)["message"]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (
            [USER, {"role": "assistant", "content": [USE]}, USER],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
        ),
        (
            [
                USER,
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": [{"type": "text", "text": "x"}, RESULT]},
            ],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
        ),
        (
            [{"role": "user", "content": [RESULT]}],
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1.",
        ),
        (
            [USER, {"role": "assistant", "content": [{**USE, "id": "a.b"}]}, {"role": "user", "content": [RESULT]}],
            "messages.1.content.0.tool_use.id: String should match pattern",
        ),
        (
            [USER, {"role": "assistant", "content": "And so "}],
            "messages: final assistant content cannot end with trailing whitespace",
        ),
    ],
)
def test_anthropic_requires_turns_in_order(sim: Simulator, messages: Any, message: str):
    body = {"model": "sim-1", "max_tokens": 99, "messages": messages}
    assert refusal(sim, "/v1/messages", body)["message"].startswith(message)


MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency_penalty": 1}, "frequency_penalty: Extra inputs are not permitted"),
        ({"system": [MARKED] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ],
)
def test_anthropic_refuses(sim: Simulator, change: Any, message: str):
    body = {"model": "sim-1", "max_tokens": 99, "messages": [USER], **change}
    assert refusal(sim, "/v1/messages", body)["message"] == message


def test_anthropic_requires_its_version(sim: Simulator):
    body = {"model": "sim-1", "max_tokens": 99, "messages": [USER]}
    answer = call(f"{sim.url}/v1/messages", body, authorization=f"Bearer {KEY}")
    assert answer.json["error"]["message"] == "anthropic-version: header is required"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "anthropic_version: Field required"),
        ({"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be 'vertex-2023-10-16'"),
        ({"anthropic_version": "vertex-2023-10-16", "model": "sim-1"}, "model: Extra inputs are not permitted"),
    ],
)
def test_anthropic_on_vertex_requires_its_version_in_the_body_and_no_model(sim: Simulator, change: Any, message: str):
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/sim-1:rawPredict"
    assert refusal(sim, path, {"max_tokens": 99, "messages": [USER], **change})["message"] == message


def test_responses_and_google_know_their_fields(sim: Simulator):
    error = refusal(sim, "/v1/responses", {"model": "sim-1", "input": "Hi", "stop": ["x"]})
    assert (error["message"], error["code"]) == ("Unknown parameter: 'stop'.", "unknown_parameter")
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    body = {"contents": contents, "generation_config": {"maxTokens": 1}}
    error = refusal(sim, "/v1beta/models/sim-1:generateContent", body)
    assert error["message"].endswith("Unknown name \"maxTokens\" at 'generation_config': Cannot find field.")


def test_anthropic_keeps_no_threads(sim: Simulator):
    body = {"model": "sim-1", "max_tokens": 99, "messages": [USER], "thread": {"type": "create"}}
    assert "thread" in refusal(sim, "/v1/messages", body)["message"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            "No tool output found for function call call_1.",
        ),
        (
            {"type": "function_call_output", "call_id": "call_1", "output": "x"},
            "No tool call found for function call output with call_id call_1.",
        ),
    ],
)
def test_responses_requires_a_result_for_every_call(sim: Simulator, item: Any, message: str):
    assert refusal(sim, "/v1/responses", {"model": "sim-1", "input": [USER, item]})["message"] == message


def test_google_requires_as_many_results_as_calls(sim: Simulator):
    call_part = {"functionCall": {"name": "f", "args": {}}}
    contents = [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [call_part, call_part]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]
    error = refusal(sim, "/v1beta/models/sim-1:generateContent", {"contents": contents})
    assert "the number of function response parts is equal to the number of function call parts" in error["message"]


def test_a_body_without_a_request_is_refused(sim: Simulator, protocol: WireProtocol):
    bodies: list[Any] = [[], {"model": "sim-1"}, {"model": "sim-1", "messages": 1, "input": 1, "contents": 1}]
    for body in bodies:
        answer = call(sim.url + protocol.path("sim-1", False), body, authorization=f"Bearer {KEY}", **VERSION)
        assert answer.status == 400, (body, answer.body)
        assert protocol.error(answer.json)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": "hot"},
        {"messages": [{"role": ["user"], "content": "Hi"}]},
        {"tools": [1]},
        {"max_tokens": "many"},
        {"stop": 7},
    ],
)
def test_a_value_of_the_wrong_type_is_refused(sim: Simulator, change: Any):
    body = {"model": "sim-1", "messages": [USER], **change}
    assert refusal(sim, "/v1/chat/completions", body)["message"]
