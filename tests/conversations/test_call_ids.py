"""The ids of calls, where providers differ in what they take."""

from inline_snapshot import snapshot

from modelbay.conversation import AnyPart, Conversation, Text, ToolCall, ToolResult, Turn, user
from tests.conversations.rendering import anthropic, chat, google, responses

ASK = user("High or low?")


def called(*calls: AnyPart) -> Turn:
    return Turn("assistant", list(calls))


def answered(*results: AnyPart) -> Turn:
    return Turn("tool", list(results))


def at(place: str, id: str | None) -> ToolCall:
    return ToolCall(name="tide", id=id, arguments=f'{{"place":"{place}"}}')


def test_ids_that_not_every_provider_takes():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "functions.tide:0")),
            answered(ToolResult(call_id="functions.tide:0", parts=[Text(text="high")])),
        ],
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "functions.tide:0",
                            "type": "function",
                            "function": {"name": "tide", "arguments": '{"place":"Brest"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "functions.tide:0", "content": "high"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {
                    "type": "function_call",
                    "call_id": "functions.tide:0",
                    "name": "tide",
                    "arguments": '{"place":"Brest"}',
                },
                {"type": "function_call_output", "call_id": "functions.tide:0", "output": "high"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "tool_use",
                            "id": "functions_tide_0_2e061de3",
                            "name": "tide",
                            "input": {"place": "Brest"},
                        }
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "functions_tide_0_2e061de3", "content": "high"}],
                },
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "High or low?"}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"id": "functions.tide:0", "name": "tide", "args": {"place": "Brest"}}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "functions.tide:0", "name": "tide", "response": {"output": "high"}}}
                    ],
                },
            ]
        }
    )


def test_calls_without_ids():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", None), at("Cork", None)),
            answered(
                ToolResult(name="tide", parts=[Text(text="high")]), ToolResult(name="tide", parts=[Text(text="low")])
            ),
        ],
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "tide", "arguments": '{"place":"Brest"}'},
                        },
                        {
                            "id": "call_2",
                            "type": "function",
                            "function": {"name": "tide", "arguments": '{"place":"Cork"}'},
                        },
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                {"role": "tool", "tool_call_id": "call_2", "content": "low"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call", "call_id": "call_2", "name": "tide", "arguments": '{"place":"Cork"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                {"type": "function_call_output", "call_id": "call_2", "output": "low"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}},
                        {"type": "tool_use", "id": "call_2", "name": "tide", "input": {"place": "Cork"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "high"},
                        {"type": "tool_result", "tool_use_id": "call_2", "content": "low"},
                    ],
                },
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "High or low?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}},
                        {"functionCall": {"id": "call_2", "name": "tide", "args": {"place": "Cork"}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}},
                        {"functionResponse": {"id": "call_2", "name": "tide", "response": {"output": "low"}}},
                    ],
                },
            ]
        }
    )
