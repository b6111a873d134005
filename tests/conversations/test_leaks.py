"""Features of one protocol that another lacks: mapped or reported, and never written raw."""

from typing import Any

from inline_snapshot import snapshot

from modelbay.conversation import Conversation
from modelbay.dialect import Dialect
from modelbay.protocols.codec import Call, codec
from tests.conversations.rendering import anthropic, chat, google, responses

MARK = {"type": "ephemeral"}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def from_chat(*messages: dict[str, Any], **body: Any) -> Conversation:
    return codec("openai_chat").parse_request(Call("", {"messages": list(messages), **body}))


def from_responses(*items: dict[str, Any], **body: Any) -> Conversation:
    return codec("openai_responses").parse_request(Call("", {"input": list(items), **body}))


def from_anthropic(*messages: dict[str, Any], **body: Any) -> Conversation:
    return codec("anthropic").parse_request(Call("", {"messages": list(messages), **body}))


def test_an_item_that_only_responses_has_is_not_written_into_a_system_prompt():
    more = {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]}
    conversation = from_responses(more, {"role": "user", "content": "Go"})
    assert anthropic(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Go"}]}], "max_tokens": 8192},
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "Go"}]}]},
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "Go"}]},
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )


def test_an_image_in_a_system_prompt_goes_into_a_user_message():
    content = [{"type": "text", "text": "Know this chart."}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    conversation = from_chat({"role": "system", "content": content}, {"role": "user", "content": "High or low?"})
    assert anthropic(conversation) == snapshot(
        {
            "system": "Know this chart.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Attached media from the system prompt:"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                        },
                        {"type": "text", "text": "High or low?"},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "systemInstruction": {"parts": [{"text": "Know this chart."}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "Attached media from the system prompt:"},
                        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                        {"text": "High or low?"},
                    ],
                }
            ],
        }
    )
    assert responses(conversation) == snapshot(
        {
            "instructions": "Know this chart.",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Attached media from the system prompt:"},
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                    ],
                },
                {"role": "user", "content": "High or low?"},
            ],
            "store": False,
        }
    )


def test_a_cache_mark_on_an_image_stays_where_it_is_understood():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    conversation = from_anthropic({"role": "user", "content": [{**image, "cache_control": MARK}]})
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
                    }
                ]
            },
            ["`cache_marks` is not sent: openai_chat has no field for it"],
        )
    )
    assert chat(conversation, dialect=Dialect(cache_marks=True)) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="},
                            "cache_control": {"type": "ephemeral"},
                        }
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}],
                    }
                ],
                "store": False,
            },
            ["`cache_marks` is not sent: openai_responses has no field for it"],
        )
    )


def test_a_cache_mark_on_a_message_is_the_mark_of_its_last_part():
    message = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    conversation = from_chat({**message, "cache_control": MARK})
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]},
            ["`cache_marks` is not sent: google has no field for it"],
        )
    )


def test_openai_s_cache_breakpoint_is_a_cache_mark_elsewhere():
    text = {"type": "input_text", "text": "Long.", "prompt_cache_breakpoint": {"mode": "explicit"}}
    conversation = from_responses({"role": "user", "content": [text]})
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]}
            ],
            "max_tokens": 8192,
        }
    )
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "Long."}]},
            ["`cache_marks` is not sent: openai_chat has no field for it"],
        )
    )
    assert chat(conversation, dialect=Dialect(cache_breakpoints=True)) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Long.", "prompt_cache_breakpoint": {"mode": "explicit"}}],
                }
            ]
        }
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "Long."}]}]},
            ["`cache_marks` is not sent: google has no field for it"],
        )
    )


def test_a_cache_mark_on_a_tool_call_or_result_is_reported():
    tool = {"name": "tide", "input_schema": {"type": "object", "properties": {}}, "cache_control": MARK}
    conversation = from_anthropic({"role": "user", "content": "Go"}, tools=[tool])
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": "Go"}],
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}},
                    }
                ],
            },
            ["`cache_marks` is not sent: openai_chat has no field for it"],
        )
    )
    call = {"type": "tool_use", "id": "a", "name": "tide", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "high", "cache_control": MARK}
    history = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert chat(from_anthropic(*history), dialect=Dialect(cache_marks=True)) == snapshot(
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "tide", "arguments": "{}"}}],
                },
                {
                    "role": "tool",
                    "tool_call_id": "a",
                    "content": [{"type": "text", "text": "high", "cache_control": {"type": "ephemeral"}}],
                },
            ]
        }
    )
    assert responses(from_anthropic(*history)) == snapshot(
        (
            {
                "input": [
                    {"type": "function_call", "call_id": "a", "name": "tide", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "a", "output": "high"},
                ],
                "store": False,
            },
            ["`cache_marks` is not sent: openai_responses has no field for it"],
        )
    )


def test_no_more_cache_marks_are_sent_than_anthropic_takes():
    texts = [{"type": "text", "text": str(number), "cache_control": MARK} for number in range(6)]
    assert anthropic(from_chat({"role": "user", "content": texts})) == snapshot(
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "0"},
                            {"type": "text", "text": "1"},
                            {"type": "text", "text": "2", "cache_control": {"type": "ephemeral"}},
                            {"type": "text", "text": "3", "cache_control": {"type": "ephemeral"}},
                            {"type": "text", "text": "4", "cache_control": {"type": "ephemeral"}},
                            {"type": "text", "text": "5", "cache_control": {"type": "ephemeral"}},
                        ],
                    }
                ],
                "max_tokens": 8192,
            },
            ["only the last 4 of 6 cache marks are sent"],
        )
    )


def test_a_field_that_only_its_own_protocol_has_stays_there():
    text = {"type": "text", "text": "a", "new_field": 1}
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}, "other_field": 2}
    assert chat(from_anthropic({"role": "user", "content": [text, image]})) == snapshot(
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "a"},
                            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                        ],
                    }
                ]
            },
            ["`other_field` is not sent: only the request's own protocol has it"],
        )
    )


def test_thinking_is_left_out_where_the_calls_being_answered_have_none_of_this_model():
    call = {"id": "a", "type": "function", "function": {"name": "tide", "arguments": "{}"}}
    conversation = from_chat(
        {"role": "user", "content": "Go"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "high"},
        reasoning_effort="high",
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Go"}]},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "tide", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "high"}]},
                ],
                "max_tokens": 8192,
            },
            [
                "unknown whether m has the effort `high`; it is sent unchanged",
                "`reasoning` is not sent: there is no thinking of this model before the tool calls being answered",
            ],
        )
    )
