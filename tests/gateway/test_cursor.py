"""Cursor through the gateway: it posts bodies in the form of Responses, or partly in it, and reads Chat Completions.

Cursor's server sends its requests, so the bodies here are written as people captured them: `input` instead of `messages` or beside
empty ones, its tool for patches in the form of Responses, an empty list as the content beside tool calls, and blocks of Anthropic
for models whose names begin with "claude".
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.gateway.passing import ClientBody
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.targets import target_of
from tests.gateway.test_app import call

PATCH = "*** Begin Patch\n*** Add File: hello.txt\n+Hello, {name} é\n*** End Patch"
APPLY_PATCH = {
    "type": "custom",
    "name": "ApplyPatch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /(.|\\n)+/"},
}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = {
    "flat": {"type": "function", "name": "Read", "description": "Reads.", "parameters": SCHEMA},
    "nested": {"type": "function", "function": {"name": "Read", "description": "Reads.", "parameters": SCHEMA}},
    "anthropic": {"name": "Read", "description": "Reads.", "input_schema": SCHEMA},
}
SYSTEM = {"role": "system", "content": "You edit code."}
Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


def asked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def ask(gateway: Running, body: dict[str, Any]) -> dict[str, Any]:
    """The message of a reply, put together from its chunks if it streams."""
    status, headers, data = await call(gateway[0].url, "/v1/chat/completions", body)
    assert status == 200, data
    assert headers.get("x-modelbay-dropped") in (None, "user"), "Gemini has no field for a user"
    if not body["stream"]:
        found: dict[str, Any] = json.loads(data)["choices"][0]["message"]
        return found
    chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert data.rstrip().endswith(b"[DONE]")
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    for delta in (choice["delta"] for chunk in chunks for choice in chunk["choices"]):
        message["content"] += delta.get("content") or ""
        for piece in delta.get("tool_calls", ()):
            if piece["index"] == len(message["tool_calls"]):
                message["tool_calls"].append({**piece, "function": {"name": "", "arguments": ""}})
            function = message["tool_calls"][piece["index"]]["function"]
            for name, text in piece["function"].items():
                function[name] += text
    return message


def body_of(model: str, form: str, tool: str, history: list[Any], *, stream: bool) -> dict[str, Any]:
    place: dict[str, Any] = {"messages": history}
    if form != "messages":
        place = {"input": history, **({"messages": []} if form == "both" else {})}
    streaming = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, **place, "tools": [TOOLS[tool], APPLY_PATCH], "stream": stream, "user": "u1", **streaming}


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize(
    ("form", "tool", "stream"),
    [("input", "flat", True), ("both", "nested", True), ("input", "flat", False), ("messages", "nested", True),
     ("messages", "flat", False), ("messages", "anthropic", True)],
)  # fmt: skip
async def test_the_tools_of_cursor_are_called_and_their_results_are_understood(
    gateway: Running, upstream: str, form: str, tool: str, stream: bool
) -> None:
    history: list[Any] = [SYSTEM, asked(f"Use ApplyPatch with `{PATCH}`")]
    reply = await ask(gateway, body_of(upstream, form, tool, history, stream=stream))
    [made] = reply["tool_calls"]
    # Cursor fails at a call without a function
    assert (made["type"], made["function"]) == ("function", {"name": "ApplyPatch", "arguments": PATCH})
    history += [
        {"role": "assistant", "content": [], "tool_calls": [{name: made[name] for name in ("id", "type", "function")}]},
        {"role": "tool", "tool_call_id": made["id"], "content": "Success"},
    ]
    reply = await ask(gateway, body_of(upstream, form, tool, history, stream=stream))
    assert "The tool ApplyPatch answered: Success." in reply["content"]
    history += [{"role": "assistant", "content": reply["content"]}, asked('Use Read with "a.py"')]
    reply = await ask(gateway, body_of(upstream, form, tool, history, stream=stream))
    assert json.loads(reply["tool_calls"][0]["function"]["arguments"]) == {"path": "a.py"}


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_items_of_responses_are_a_history_of_cursor(gateway: Running, upstream: str) -> None:
    history = [
        SYSTEM,
        asked("Edit"),
        {"type": "custom_tool_call", "call_id": "call_1", "name": "ApplyPatch", "input": PATCH},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Success"},
        {"type": "function_call", "call_id": "call_2", "name": "Read", "arguments": '{"path": "a.py"}'},
        {"type": "function_call_output", "call_id": "call_2", "output": "print(1)"},
    ]
    reply = await ask(gateway, body_of(upstream, "input", "flat", history, stream=True))
    assert "The tool Read answered: print(1)." in reply["content"]


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_blocks_of_anthropic_are_calls_and_results_in_chat_completions(gateway: Running, upstream: str) -> None:
    history = [
        asked("Read a.py"),
        {"role": "assistant", "content": [
            {"type": "text", "text": "I read it."},
            {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.py"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "print(1)"}]},
        ]},
    ]  # fmt: skip
    reply = await ask(gateway, body_of(upstream, "messages", "anthropic", history, stream=False))
    assert "The tool Read answered: print(1)." in reply["content"]


async def test_a_body_of_chat_completions_with_another_input_is_passed_on(gateway: Running) -> None:
    body = {"model": "openai_chat", "messages": [asked("Hi")], "input": "of an extension"}
    status, _, _ = await call(gateway[0].url, "/v1/chat/completions", body)
    assert status == 200
    assert gateway[1].journal.last.json["input"] == "of an extension"


@pytest.mark.parametrize(
    ("protocol", "text", "field"),
    [
        ("openai_chat", '{"tools":[{"type":"function","name":"f","parameters":{}}]}', "tools"),
        ("openai_chat", '{"tools":[{"name":"f","input_schema":{}}]}', "tools"),
        ("openai_chat", '{"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}', None),
        ("openai_responses", '{"tools":[{"type":"function","function":{"name":"f"}}]}', "tools"),
        ("openai_responses", '{"tools":[{"name":"f","input_schema":{}}]}', "tools"),
        ("openai_responses", '{"tools":[{"type":"function","name":"f","parameters":{}}]}', None),
        ("anthropic", '{"tools":[{"type":"function","function":{"name":"f"}}]}', "tools"),
        ("anthropic", '{"tools":[{"type":"custom","name":"f","input_schema":{}}]}', None),
    ],
)
def test_forms_of_another_protocol_are_left_to_translation(protocol: str, text: str, field: str | None) -> None:
    assert ClientBody(text.encode(), codec(protocol).PASS).to_repair(target_of(protocol)) == field
