"""Calls that were made."""

from inline_snapshot import snapshot

from modelbay.conversation import AnyPart, Conversation, Text, ToolCall, ToolResult, Turn, user
from tests.conversations.rendering import FREEFORM, anthropic, chat, google, responses

ASK = user("High or low?")


def called(*calls: AnyPart) -> Turn:
    return Turn("assistant", list(calls))


def answered(*results: AnyPart) -> Turn:
    return Turn("tool", list(results))


def at(place: str, id: str | None) -> ToolCall:
    return ToolCall(name="tide", id=id, arguments=f'{{"place":"{place}"}}')


def test_a_call_and_its_result():
    conversation = Conversation(
        [
            ASK,
            called(Text(text="Let me see."), at("Brest", "call_1")),
            answered(ToolResult(call_id="call_1", parts=[Text(text="high")])),
        ],
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "tide", "arguments": '{"place":"Brest"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
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
                        {"type": "text", "text": "Let me see."},
                        {"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
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
                        {"text": "Let me see."},
                        {"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}],
                },
            ]
        }
    )


def test_parallel_calls_answered_one_by_one():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "call_1"), at("Cork", "call_2")),
            answered(ToolResult(call_id="call_2", parts=[Text(text="low")])),
            answered(ToolResult(call_id="call_1", parts=[Text(text="high")])),
            user("And now?"),
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
                {"role": "tool", "tool_call_id": "call_2", "content": "low"},
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                {"role": "user", "content": "And now?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call", "call_id": "call_2", "name": "tide", "arguments": '{"place":"Cork"}'},
                {"type": "function_call_output", "call_id": "call_2", "output": "low"},
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                {"role": "user", "content": "And now?"},
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
                        {"type": "tool_result", "tool_use_id": "call_2", "content": "low"},
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "high"},
                        {"type": "text", "text": "And now?"},
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
                        {"text": "And now?"},
                    ],
                },
            ]
        }
    )


def test_a_call_without_arguments():
    conversation = Conversation(
        [
            ASK,
            called(ToolCall(name="now", id="call_1")),
            answered(ToolResult(call_id="call_1", parts=[Text(text="noon")])),
        ],
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "now", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "noon"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "High or low?"}]},
                {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "now", "args": {}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "now", "response": {"output": "noon"}}}],
                },
            ]
        }
    )


def test_arguments_that_broke_off():
    conversation = Conversation(
        [
            ASK,
            called(ToolCall(name="tide", id="call_1", arguments='{"place": "Bre')),
            answered(ToolResult(call_id="call_1", parts=[Text(text="bad arguments")], is_error=True)),
        ],
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "type": "function",
                                "function": {"name": "tide", "arguments": '{"place": "Bre'},
                            }
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "bad arguments"},
                ]
            },
            ["`tool_result.is_error` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place": "Bre'},
                    {"type": "function_call_output", "call_id": "call_1", "output": "bad arguments"},
                ],
                "store": False,
            },
            ["`tool_result.is_error` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "tool_use", "id": "call_1", "name": "tide", "input": {"_raw": '{"place": "Bre'}}
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "call_1",
                                "content": "bad arguments",
                                "is_error": True,
                            }
                        ],
                    },
                ],
                "max_tokens": 8192,
            },
            ["the arguments of the call of `tide` are not a JSON object: sent as `_raw`"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {
                        "role": "model",
                        "parts": [
                            {"functionCall": {"id": "call_1", "name": "tide", "args": {"_raw": '{"place": "Bre'}}}
                        ],
                    },
                    {
                        "role": "user",
                        "parts": [
                            {
                                "functionResponse": {
                                    "id": "call_1",
                                    "name": "tide",
                                    "response": {"error": "bad arguments"},
                                }
                            }
                        ],
                    },
                ]
            },
            ["the arguments of the call of `tide` are not a JSON object: sent as `_raw`"],
        )
    )


def test_arguments_spelled_in_their_own_way():
    conversation = Conversation(
        [
            ASK,
            called(
                ToolCall(name="tide", id="call_1", arguments='{ "z": 1.0, "a": 12345678901234567890, "é": "\\u00e9" }')
            ),
            answered(ToolResult(call_id="call_1", parts=[Text(text="high")])),
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
                            "function": {
                                "name": "tide",
                                "arguments": '{ "z": 1.0, "a": 12345678901234567890, "é": "\\u00e9" }',
                            },
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "tide",
                    "arguments": '{ "z": 1.0, "a": 12345678901234567890, "é": "\\u00e9" }',
                },
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
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
                            "id": "call_1",
                            "name": "tide",
                            "input": {"z": 1.0, "a": 12345678901234567890, "é": "é"},
                        }
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
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
                        {
                            "functionCall": {
                                "id": "call_1",
                                "name": "tide",
                                "args": {"z": 1.0, "a": 12345678901234567890, "é": "é"},
                            }
                        }
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}],
                },
            ]
        }
    )


def test_a_freeform_call():
    conversation = Conversation(
        [
            ASK,
            called(ToolCall(name="patch", id="call_1", arguments="*** Begin", format="text")),
            answered(ToolResult(call_id="call_1", parts=[Text(text="done")])),
        ],
    )
    assert chat(conversation, dialect=FREEFORM) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "done"},
            ]
        }
    )
    assert responses(conversation, dialect=FREEFORM) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "*** Begin"},
                {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
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
                    "content": [{"type": "tool_use", "id": "call_1", "name": "patch", "input": {"input": "*** Begin"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "done"}]},
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "patch", "args": {"input": "*** Begin"}}}],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "patch", "response": {"output": "done"}}}],
                },
            ]
        }
    )
