"""Thinking that comes back: whole to who made it, not at all to others."""

from typing import Any

from inline_snapshot import snapshot

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Provenance,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    user,
)
from tests.conversations.rendering import anthropic, chat, google, responses

CLAUDE = Provenance("anthropic", "anthropic", "claude")
GPT = Provenance("openai_responses", "openai", "gpt")
GEMINI = Provenance("google", "google", "gemini")
KIMI = Provenance("openai_chat", "moonshot", "kimi")


def loop(*parts: AnyPart) -> Conversation:
    """A call that was thought about, and its result."""
    result = ToolResult(call_id="call_1", parts=[Text(text="high")], name="tide")
    return Conversation([user("High or low?"), Turn("assistant", list(parts)), Turn("tool", [result])])


def call(**state: Any) -> ToolCall:
    return ToolCall(name="tide", id="call_1", arguments="{}", **state)


def test_signed_thinking_of_anthropic():
    conversation = loop(Thinking(texts=["Brest, then."], opaque="EqQB", origin=CLAUDE), call(origin=CLAUDE))
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Brest, then.", "signature": "EqQB"},
                        {"type": "tool_use", "id": "call_1", "name": "tide", "input": {}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_redacted_thinking_of_anthropic():
    conversation = loop(Thinking(opaque="EmwK", native="redacted_thinking", origin=CLAUDE), call(origin=CLAUDE))
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "redacted_thinking", "data": "EmwK"},
                        {"type": "tool_use", "id": "call_1", "name": "tide", "input": {}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_encrypted_reasoning_of_responses():
    conversation = loop(
        Thinking(texts=["Brest, then."], summary=True, opaque="gAAA", item_id="rs_1", origin=GPT),
        call(item_id="fc_1", origin=GPT),
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "Brest, then."}],
                    "encrypted_content": "gAAA",
                },
                {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "high"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {}}],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_a_signed_call_of_gemini():
    conversation = loop(Thinking(texts=["Brest, then."], origin=GEMINI), call(opaque="c2ln", origin=GEMINI))
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {}}],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "High or low?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "Brest, then.", "thought": True},
                        {"functionCall": {"id": "call_1", "name": "tide", "args": {}}, "thoughtSignature": "c2ln"},
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}],
                },
            ]
        }
    )


def test_reasoning_content_of_chat():
    conversation = loop(Thinking(texts=["Brest, then."], native="reasoning_content", origin=KIMI), call(origin=KIMI))
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "reasoning_content": "Brest, then.",
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {}}],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_reasoning_details_of_chat():
    conversation = loop(
        Thinking(
            texts=["Brest, then."],
            opaque="EqQB",
            native="reasoning_details",
            extra={"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0},
            origin=Provenance("openai_chat", "openrouter", "claude"),
        ),
        call(origin=Provenance("openai_chat", "openrouter", "claude")),
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {
                    "role": "assistant",
                    "reasoning_details": [
                        {
                            "type": "reasoning.text",
                            "format": "anthropic-claude-v1",
                            "index": 0,
                            "text": "Brest, then.",
                            "signature": "EqQB",
                        }
                    ],
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "high"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {}}],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_thinking_without_a_signature():
    conversation = loop(Thinking(texts=["Brest, then."], origin=Provenance("anthropic", "lmstudio", "qwen")), call())
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Brest, then.", "signature": ""},
                        {"type": "tool_use", "id": "call_1", "name": "tide", "input": {}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )


def test_thinking_that_a_program_made_up():
    conversation = loop(Thinking(texts=["Brest, then."]), call())
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "high"},
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "call_1", "output": "high"},
                ],
                "store": False,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "call_1", "name": "tide", "input": {}}],
                    },
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "tide", "args": {}}}]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"id": "call_1", "name": "tide", "response": {"output": "high"}}}
                        ],
                    },
                ]
            },
            ["`thinking` is not sent: a provider accepts only its own, unchanged"],
        )
    )
