"""Histories that an interrupted or resumed agent sends in the provider's own protocol: calls and results that do not match."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
MARK = {"cache_control": {"type": "ephemeral"}}
HI = "What is the weather?"


def _messages(calls: list[str], results: list[str]) -> tuple[str, dict[str, Any]]:
    made = [{"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": "Paris"}} for id in calls]
    given = [{"type": "tool_result", "tool_use_id": id, "content": "Rain"} for id in results]
    system = [{"type": "text", "text": "Be brief.", **MARK}]
    messages = [
        {"role": "user", "content": HI},
        {"role": "assistant", "content": [{"type": "text", "text": "So"}, *made]},
    ]
    messages.append({"role": "user", "content": [*given, {"type": "text", "text": "And now", **MARK}]})
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    body = {"model": "anthropic", "max_tokens": 100, "system": system, "messages": messages, "tools": tools}
    return "/v1/messages", body


def _chat(calls: list[str], results: list[str]) -> tuple[str, dict[str, Any]]:
    function = {"name": "get_weather", "arguments": '{"city":  "Paris"}'}
    made = [{"id": id, "type": "function", "function": function} for id in calls]
    said: dict[str, Any] = {"role": "assistant", "content": "So", **({"tool_calls": made} if made else {})}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HI}, said]
    messages += [{"role": "tool", "tool_call_id": id, "content": "Rain"} for id in results]
    messages.append({"role": "user", "content": "And now"})
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    return "/v1/chat/completions", {"model": "openai_chat", "messages": messages, "tools": tools}


def _responses(calls: list[str], results: list[str]) -> tuple[str, dict[str, Any]]:
    fields = {"type": "function_call", "name": "get_weather", "arguments": '{"city":  "Paris"}'}
    items: list[Any] = [{"role": "user", "content": HI}, *({**fields, "call_id": id} for id in calls)]
    items += [{"type": "function_call_output", "call_id": id, "output": "Rain"} for id in results]
    items.append({"role": "user", "content": "And now"})
    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA}]
    body = {"model": "openai_responses", "input": items, "tools": tools, "store": False, "prompt_cache_key": "k"}
    return "/v1/responses", body


def _gemini(calls: list[str], results: list[str]) -> tuple[str, dict[str, Any]]:
    made = [{"functionCall": {"id": id, "name": "get_weather", "args": {"city": "Paris"}}} for id in calls]
    given = [{"functionResponse": {"id": id, "name": "get_weather", "response": {"output": "Rain"}}} for id in results]
    contents = [{"role": "user", "parts": [{"text": HI}]}, {"role": "model", "parts": [{"text": "So"}, *made]}]
    contents += [{"role": "user", "parts": given}] if given else []
    contents += [{"role": "model", "parts": [{"text": "It rains"}]}, {"role": "user", "parts": [{"text": "And now"}]}]
    tools = [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": SCHEMA}]}]
    return "/v1beta/models/google:generateContent", {"contents": contents, "tools": tools, "labels": {"team": "blue"}}


REQUESTS = {"anthropic": _messages, "openai_chat": _chat, "openai_responses": _responses, "google": _gemini}
TURNS = {"anthropic": "messages", "openai_chat": "messages", "openai_responses": "input", "google": "contents"}
FAULTS = {
    "two results": (["a1"], ["a1", "a1"]),
    "no result": (["a1", "b2"], ["a1"]),
    "no call": (["a1"], ["a1", "c3"]),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_refused_history_is_repaired_and_the_rest_of_the_request_stays(
    gateway: Running, protocol: str, fault: str
) -> None:
    gateway[1].journal.clear()
    path, body = REQUESTS[protocol](*FAULTS[fault])
    status, _, reply = await call(gateway[0].url, path, body)
    assert status == 200, reply
    turns, sent = TURNS[protocol], list(gateway[1].journal)
    assert [one.status for one in sent] == [400, 200]
    refused, repaired = (dict(one.json) for one in sent)
    history = str(repaired.pop(turns))
    assert refused.pop(turns) == body[turns]
    assert repaired == refused
    assert "Rain" in history
    assert "And now" in history
    assert history.count("cache_control") == str(body[turns]).count("cache_control")
