"""Tools, tool choices, parts and calls that a client wrote in the form of another protocol reach the model."""

import json
from itertools import product
from typing import Any

import pytest

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.protocols.codec import Call, codec
from tests.protocols.provider_rules import ABLE, complaint

CLIENTS = ("openai_chat", "openai_responses", "anthropic")
TARGETS = (*CLIENTS, "google")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: dict[str, dict[str, Any]] = {
    "chat": {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}},
    "responses": {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": None},
    "anthropic": {"name": "look", "description": "Looks.", "input_schema": SCHEMA},
    "custom": {"type": "custom", "name": "look", "description": "Looks.", "input_schema": SCHEMA},
    "mcp": {"name": "look", "description": "Looks.", "inputSchema": SCHEMA},
}
CHOICES: dict[str, list[Any]] = {
    "auto": ["auto", {"type": "auto"}],
    "none": ["none", {"type": "none"}],
    "required": ["required", "any", {"type": "any"}, {"type": "required"}],
    "tool": [
        "look", {"type": "tool", "name": "look"}, {"type": "function", "name": "look"},
        {"type": "function", "function": {"name": "look"}},
    ],
}  # fmt: skip


def asked(client: str, messages: list[Any], **body: Any) -> Conversation:
    place = "input" if client == "openai_responses" else "messages"
    return codec(client).parse_request(Call("", {"model": "m", place: messages, **body}))


def sent(conversation: Conversation, target: str) -> dict[str, Any]:
    call = codec(target).render_request(conversation, ABLE, PLAIN)
    assert complaint(target, call) is None
    body: dict[str, Any] = json.loads(call.encode())
    return body


HI = {"role": "user", "content": "Hi"}
PAIRS = [(client, target) for client, target in product(CLIENTS, TARGETS) if client != target]


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize("form", TOOLS)
def test_a_function_has_any_form(form, client, target):
    own = {"openai_chat": "chat", "openai_responses": "responses", "anthropic": "anthropic"}[client]
    bodies = [sent(asked(client, [HI], tools=[TOOLS[name]]), target)["tools"] for name in (form, own)]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize(("kind", "form"), [(kind, form) for kind, forms in CHOICES.items() for form in forms], ids=str)
def test_a_tool_choice_has_any_form(kind, form, client, target):
    conversation = asked(client, [HI], tools=[TOOLS["chat"]], tool_choice=form)
    found = conversation.settings.tool_choice
    assert found is not None
    assert (found.mode, found.names) == (kind, ["look"] if kind == "tool" else [])
    sent(conversation, target)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search"},
        {"type": "x", "name": "y"},
        {"name": "y"},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
    ],
)
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_a_tool_without_a_schema_is_the_vendor_s(client, tool):
    tools = asked(client, [HI], tools=[tool]).settings.tools or []
    assert [found.kind for found in tools] == ["vendor"]


PNG = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PNG}"
IMAGES = [
    {"type": "image_url", "image_url": {"url": DATA_URL}},
    {"type": "image_url", "image_url": DATA_URL},
    {"type": "input_image", "image_url": DATA_URL},
    {"type": "input_image", "image_url": {"url": DATA_URL}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    {"type": "image", "data": PNG, "mimeType": "image/png"},
    {"type": "image", "image": DATA_URL},
]
TEXTS = ["Look.", {"type": "text", "text": "Look."}, {"type": "input_text", "text": "Look."}, {"text": "Look."}]


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in strings(item)]


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize("image", IMAGES, ids=[f"{number}" for number in range(len(IMAGES))])
@pytest.mark.parametrize("text", TEXTS, ids=["string", "text", "input_text", "no type"])
def test_a_message_has_parts_of_any_form(text, image, client, target):
    found = strings(sent(asked(client, [{"role": "user", "content": [text, image]}]), target))
    assert "Look." in found
    assert any(PNG in text for text in found)


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_content_may_be_one_part(client, target):
    assert "Look." in strings(sent(asked(client, [{"role": "user", "content": TEXTS[1]}]), target))


def with_result(client: str, content: Any) -> Conversation:
    tools = [TOOLS["chat"]]
    if client == "anthropic":
        call = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "c1", "content": content}
        messages = [HI, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    elif client == "openai_chat":
        calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
        messages = [
            HI,
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": content},
        ]
    else:
        call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
        messages = [HI, call, {"type": "function_call_output", "call_id": "c1", "output": content}]
    return asked(client, messages, tools=tools)


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"rows": [1, "Bern"]}, '{"rows":[1,"Bern"]}'),
        ([{"rows": 2}], '{"rows":2}'),
        (5, "5"),
        (["Bern", "Rome"], "Rome"),
        ([{"type": "resource", "resource": {"uri": "file:///a", "text": "Bern"}}], "Bern"),
        (
            [{"type": "search_result", "source": "u", "title": "t", "content": [{"type": "text", "text": "Bern"}]}],
            "Bern",
        ),
        ({"type": "text", "text": "Bern"}, "Bern"),
        ({"type": "image", "data": PNG, "mimeType": "image/png"}, PNG),
    ],
    ids=["object", "objects", "number", "strings", "MCP resource", "search result", "one part", "MCP image"],
)
def test_no_tool_result_is_lost(content, expected, client, target):
    everything = json.dumps(strings(sent(with_result(client, content), target)))
    assert json.dumps(expected)[1:-1] in everything


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "openai_responses"])
def test_calls_and_results_in_responses_may_be_messages(target):
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Bern"}'}}]
    messages: list[dict[str, Any]] = [
        HI, {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]  # fmt: skip
    bodies = [sent(asked(client, messages), target) for client in ("openai_responses", "openai_chat")]
    assert bodies[0] == bodies[1]


# --- empty content -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\t"])
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_white_space_alone_is_not_sent_to_anthropic(client, blank):
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": blank}, HI, {"role": "assistant", "content": blank},
        {"role": "user", "content": [{"type": "text", "text": blank}, {"type": "text", "text": "Ho"}]},
    ]  # fmt: skip
    body = sent(asked(client, messages), "anthropic")
    assert not [text for text in strings(body) if not text.strip()]
    assert "system" not in body


@pytest.mark.parametrize("client", ["anthropic", "openai_responses", "google"])
def test_a_message_of_thinking_that_is_not_sent_back_is_left_out(client):
    if client == "anthropic":
        thinking = {"type": "thinking", "thinking": "Hm", "signature": "sig"}
        conversation = asked(client, [HI, {"role": "assistant", "content": [thinking]}, HI])
    elif client == "openai_responses":
        conversation = asked(client, [HI, {"type": "reasoning", "id": "rs_1", "summary": []}, HI])
    else:
        said = [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hm", "thought": True}]},
        ]
        body = {"contents": [*said, said[0]]}
        conversation = codec(client).parse_request(Call("/v1beta/models/m:generateContent", body))
    assert [message["role"] for message in sent(conversation, "openai_chat")["messages"]] == ["user", "user"]


@pytest.mark.parametrize(("client", "target"), [("openai_chat", "openai_responses"), ("anthropic", "openai_responses")])
def test_a_system_prompt_alone_is_sent_as_a_message(client, target):
    body = sent(asked(client, [{"role": "system", "content": "Say hi."}]), target)
    assert body["input"] == [{"role": "user", "content": "Say hi."}]
    assert "instructions" not in body


def test_a_developer_message_of_an_anthropic_client_is_a_system_prompt():
    conversation = asked("anthropic", [{"role": "developer", "content": "Be short."}, HI])
    assert sent(conversation, "google")["systemInstruction"] == {"parts": [{"text": "Be short."}]}
