"""Parts of earlier replies other than text and calls."""

from inline_snapshot import snapshot

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Conversation,
    Media,
    Provenance,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Turn,
    UnknownPart,
    user,
)
from tests.conversations.rendering import anthropic, chat, google, responses

CLAUDE = Provenance("anthropic", "anthropic", "claude")
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.com",
    "title": "Tides",
    "cited_text": "high at noon",
    "encrypted_index": "Eo8B",
}


def after(*parts: AnyPart) -> Conversation:
    return Conversation([user("High or low?"), Turn("assistant", list(parts)), user("And now?")])


def test_a_refusal():
    conversation = after(Refusal(text="I cannot."))
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {"role": "assistant", "content": "I cannot."},
                {"role": "user", "content": "And now?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
                {"role": "user", "content": "And now?"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "I cannot."}]},
                {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "High or low?"}]},
                {"role": "model", "parts": [{"text": "I cannot."}]},
                {"role": "user", "parts": [{"text": "And now?"}]},
            ]
        }
    )


def test_a_citation():
    conversation = after(
        Text(
            text="High.",
            annotations=[
                Annotation(
                    "url",
                    url="https://example.com",
                    title="Tides",
                    text="high at noon",
                    protocol="anthropic",
                    raw=CITATION,
                )
            ],
            origin=CLAUDE,
        )
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {"role": "assistant", "content": "High."},
                    {"role": "user", "content": "And now?"},
                ]
            },
            ["`annotations` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "High."}]},
                    {"role": "user", "content": "And now?"},
                ],
                "store": False,
            },
            ["`annotations` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "text",
                            "text": "High.",
                            "citations": [
                                {
                                    "type": "web_search_result_location",
                                    "url": "https://example.com",
                                    "title": "Tides",
                                    "cited_text": "high at noon",
                                    "encrypted_index": "Eo8B",
                                }
                            ],
                        }
                    ],
                },
                {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"text": "High."}]},
                    {"role": "user", "parts": [{"text": "And now?"}]},
                ]
            },
            ["`annotations` is not sent: google has no field for it"],
        )
    )


def test_a_search_that_the_provider_made():
    conversation = after(
        ServerToolCall(
            name="web_search", id="srvtoolu_1", arguments='{"query":"tide"}', native="server_tool_use", origin=CLAUDE
        ),
        ServerToolResult(call_id="srvtoolu_1", content=[], native="web_search_tool_result", origin=CLAUDE),
        Text(text="High.", origin=CLAUDE),
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {"role": "assistant", "content": "High."},
                    {"role": "user", "content": "And now?"},
                ]
            },
            [
                "`server_tool_use` is not sent: a provider accepts only its own, unchanged",
                "`web_search_tool_result` is not sent: a provider accepts only its own, unchanged",
            ],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "High."}]},
                    {"role": "user", "content": "And now?"},
                ],
                "store": False,
            },
            [
                "`server_tool_use` is not sent: a provider accepts only its own, unchanged",
                "`web_search_tool_result` is not sent: a provider accepts only its own, unchanged",
            ],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "server_tool_use",
                            "id": "srvtoolu_1",
                            "name": "web_search",
                            "input": {"query": "tide"},
                        },
                        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                        {"type": "text", "text": "High."},
                    ],
                },
                {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"text": "High."}]},
                    {"role": "user", "parts": [{"text": "And now?"}]},
                ]
            },
            [
                "`server_tool_use` is not sent: a provider accepts only its own, unchanged",
                "`web_search_tool_result` is not sent: a provider accepts only its own, unchanged",
            ],
        )
    )


def test_an_image_that_the_model_made():
    conversation = after(Text(text="Look."), Media(kind="image", data="iVBORw0KGgo=", media_type="image/png"))
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "High or low?"},
                {"role": "assistant", "content": "Look."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Attached media from the assistant:"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                    ],
                },
                {"role": "user", "content": "And now?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "High or low?"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look."}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Attached media from the assistant:"},
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                    ],
                },
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
                    "content": [{"type": "text", "text": "Look."}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Attached media from the assistant:"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                        },
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
                    "parts": [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
                },
                {"role": "user", "parts": [{"text": "And now?"}]},
            ]
        }
    )


def test_an_unknown_part_is_dropped_with_a_warning():
    conversation = after(UnknownPart(native="odd", raw={"type": "odd"}, origin=CLAUDE), Text(text="High."))
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": "High or low?"},
                    {"role": "assistant", "content": "High."},
                    {"role": "user", "content": "And now?"},
                ]
            },
            ["`odd` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {"role": "user", "content": "High or low?"},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "High."}]},
                    {"role": "user", "content": "And now?"},
                ],
                "store": False,
            },
            ["`odd` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "High or low?"}]},
                {"role": "assistant", "content": [{"type": "odd"}, {"type": "text", "text": "High."}]},
                {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "High or low?"}]},
                    {"role": "model", "parts": [{"text": "High."}]},
                    {"role": "user", "parts": [{"text": "And now?"}]},
                ]
            },
            ["`odd` is not sent: google has no field for it"],
        )
    )
