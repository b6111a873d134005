"""Results of calls."""

from inline_snapshot import snapshot

from modelbay.conversation import AnyPart, Conversation, Media, Text, ToolCall, ToolResult, Turn, user
from tests.conversations.rendering import anthropic, chat, google, responses

ASK = user("High or low?")


def called(*calls: AnyPart) -> Turn:
    return Turn("assistant", list(calls))


def answered(*results: AnyPart) -> Turn:
    return Turn("tool", list(results))


def at(place: str, id: str | None) -> ToolCall:
    return ToolCall(name="tide", id=id, arguments=f'{{"place":"{place}"}}')


def test_results_and_words_in_one_turn():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "call_1")),
            Turn("user", [Text(text="Quick!"), ToolResult(call_id="call_1", parts=[Text(text="high")])]),
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
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                {"role": "user", "content": "Quick!"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                {"role": "user", "content": "Quick!"},
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
                    "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "high"},
                        {"type": "text", "text": "Quick!"},
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}},
                        {"text": "Quick!"},
                    ],
                },
            ]
        }
    )


def test_a_result_with_an_image():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "call_1"), at("Cork", "call_2")),
            answered(
                ToolResult(
                    call_id="call_1",
                    parts=[Text(text="the chart"), Media(kind="image", data="iVBORw0KGgo=", media_type="image/png")],
                )
            ),
            answered(ToolResult(call_id="call_2", parts=[Text(text="low")])),
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
                {"role": "tool", "tool_call_id": "call_1", "content": "the chart"},
                {"role": "tool", "tool_call_id": "call_2", "content": "low"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Attached media from tool result:"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    ],
                },
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call", "call_id": "call_2", "name": "tide", "arguments": '{"place":"Cork"}'},
                {
                    "type": "function_call_output",
                    "call_id": "call_1",
                    "output": [
                        {"type": "input_text", "text": "the chart"},
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                    ],
                },
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
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_1",
                            "content": [
                                {"type": "text", "text": "the chart"},
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                                },
                            ],
                        },
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
                        {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "the chart"}}},
                        {"functionResponse": {"id": "call_2", "name": "tide", "response": {"output": "low"}}},
                        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    ],
                },
            ]
        }
    )


def test_a_result_that_is_an_error():
    conversation = Conversation(
        [
            ASK,
            called(at("Atlantis", "call_1")),
            answered(ToolResult(call_id="call_1", parts=[Text(text="no such place")], is_error=True)),
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
                                "function": {"name": "tide", "arguments": '{"place":"Atlantis"}'},
                            }
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "no such place"},
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
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Atlantis"}'},
                    {"type": "function_call_output", "call_id": "call_1", "output": "no such place"},
                ],
                "store": False,
            },
            ["`tool_result.is_error` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Atlantis"}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "no such place", "is_error": True}
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Atlantis"}}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "call_1", "name": "tide", "response": {"error": "no such place"}}}
                    ],
                },
            ]
        }
    )


def test_a_result_of_nothing():
    conversation = Conversation([ASK, called(at("Brest", "call_1")), answered(ToolResult(call_id="call_1"))])
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
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": ""},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": ""},
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
                    "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1"}]},
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}}],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": ""}}}],
                },
            ]
        }
    )


def test_a_result_of_several_texts():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "call_1")),
            answered(ToolResult(call_id="call_1", parts=[Text(text="high"), Text(text="5 m")])),
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
                        }
                    ],
                },
                {
                    "role": "tool",
                    "tool_call_id": "call_1",
                    "content": """\
high
5 m\
""",
                },
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {
                    "type": "function_call_output",
                    "call_id": "call_1",
                    "output": [{"type": "input_text", "text": "high"}, {"type": "input_text", "text": "5 m"}],
                },
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
                    "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}}],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_1",
                            "content": [{"type": "text", "text": "high"}, {"type": "text", "text": "5 m"}],
                        }
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "id": "call_1",
                                "name": "tide",
                                "response": {
                                    "output": """\
high
5 m\
"""
                                },
                            }
                        }
                    ],
                },
            ]
        }
    )


def test_a_result_that_is_json():
    conversation = Conversation(
        [
            ASK,
            called(at("Brest", "call_1")),
            answered(ToolResult(call_id="call_1", parts=[Text(text='{"tide": "high"}')])),
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
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": '{"tide": "high"}'},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"place":"Brest"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": '{"tide": "high"}'},
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
                    "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {"place": "Brest"}}],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": '{"tide": "high"}'}],
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
                    "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {"place": "Brest"}}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "id": "call_1",
                                "name": "tide",
                                "response": {"output": '{"tide": "high"}'},
                            }
                        }
                    ],
                },
            ]
        }
    )
