"""Freeform tools for providers without them: sent as a function, whose calls become text again while they stream."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, ToolCall
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, PartDelta, PartEnded, PartStarted, collect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.freeform import CallText
from modelbay.protocols.names import Restorer, ToolName

MODEL = Model(id="m", max_output_tokens=1000)
FREEFORM = Dialect(freeform_tools=True)
GRAMMAR = 'start: begin hunk+ end\nbegin: "*** Begin Patch" LF'
PATCH_TOOL = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
}
PATCH = '*** Begin Patch\n*** Add File: a "b".txt\n+é 😀 \\d {}\t\n*** End Patch'
WITHOUT = ("openai_chat", "openai_responses", "anthropic", "google")
HISTORY = [
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "apply_patch", "input": PATCH},
    {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"},
    {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "apply_patch", "arguments": '{"input":"x"}'},
    {"type": "function_call_output", "call_id": "call_2", "output": "Failed"},
]

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/\n\t\b{}ud8😀'), max_size=60)


def asked(*items: dict[str, Any], tools: Any = (PATCH_TOOL,), **more: Any) -> Conversation:
    body = {"input": [{"role": "user", "content": "Go"}, *items], "tools": list(tools), **more}
    return codec("openai_responses").parse_request(Call("/responses", body))


def sent(target: str, conversation: Conversation, dialect: Dialect = PLAIN) -> Any:
    return json.loads(codec(target).render_request(conversation, MODEL, dialect).encode())


def function(body: Any) -> dict[str, Any]:
    """The only function in a body, with the names of Anthropic."""
    (tool,) = body["tools"]
    tool = tool.get("function") or (tool.get("functionDeclarations") or [tool])[0]
    schema = tool.get("input_schema") or tool.get("parameters") or tool.get("parametersJsonSchema")
    return {"name": tool["name"], "description": tool["description"], "schema": schema}


@st.composite
def spelled(draw: Any, text: str) -> str:
    """A JSON string of the text, in any spelling."""
    out = []
    for character in text:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        escaped = "".join(
            f"\\u{int.from_bytes(unit, 'big'):04x}"
            for unit in (character.encode("utf-16-be")[at : at + 2] for at in range(0, 4, 2))
            if unit
        )
        out.append(draw(st.sampled_from([plain, escaped, escaped.upper().replace("\\U", "\\u")])))
    return "".join(out)


@st.composite
def split(draw: Any, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def read(pieces: list[str]) -> CallText:
    """The text of a call; its pieces must be the whole."""
    text = CallText()
    found = [text.feed(piece) for piece in pieces]
    found.append(text.close())
    assert "".join(found) == text.text
    return text


# --- the text in a call ------------------------------------------------------------------------------------------------


@given(data=st.data(), text=texts, space=st.sampled_from(["", " ", "\n  "]))
def test_the_text_is_read_from_any_pieces_and_spellings(data, text, space):
    arguments = f'{{{space}"input"{space}:{space}"{data.draw(spelled(text))}"{space}}}'
    found = read(data.draw(split(arguments)))
    assert (found.text, found.cut) == (text, False)


@given(data=st.data())
def test_the_result_does_not_depend_on_the_pieces_for_any_arguments(data):
    inside = st.sampled_from(['{"input":"', '"', "\\", "\\u", "d83d", "\\ude00", "{", "}", "a", "0", " ", ":", "é"])
    arguments = "".join(data.draw(st.lists(inside, max_size=20)))
    whole, pieces = read([arguments]), read(data.draw(split(arguments)))
    assert (pieces.text, pieces.cut) == (whole.text, whole.cut)
    whole.text.encode()  # no lone surrogates


@pytest.mark.parametrize(
    ("arguments", "text", "cut"),
    [
        ('{"patch": "*** Begin"}', "*** Begin", False),  # another key
        ('{"why": "x", "input": "*** Begin"}', "*** Begin", False),
        ('"*** Begin"', "*** Begin", False),  # no object
        ("*** Begin\n+{", "*** Begin\n+{", False),  # no JSON
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}', False),  # unclear: the tool reports it to the model
        ('{"input": ["x"]}', '{"input": ["x"]}', False),
        ('{"input": null}', "", False),
        ("{}", "", False),
        ("", "", False),
        (r'{"input": "\d+\.\q"}', r"\d+\.\q", False),  # backslashes that were not escaped
        (r'{"input": "a\ud83d"}', "a\ufffd", False),
        ('{"input": "*** Begin\\u00', "*** Begin", True),
        ('{"input": "*** Begin', "*** Begin", True),
        ('{"inp', "", True),
        ('{"input": "done", "more', "done", False),
        ('{"input": "a\nb"}', "a\nb", False),  # a line break that was not escaped
    ],
)
def test_arguments_that_are_not_as_they_should_be(arguments, text, cut):
    found = read([arguments])
    assert (found.text, found.cut) == (text, cut)


def test_the_text_is_passed_on_while_it_arrives():
    text = CallText()
    pieces = ['{"inp', 'ut": "*** Be', "gin\\", "nPatch\\ud83d", "\\ude", '00 end"', "}"]
    assert [text.feed(piece) for piece in pieces] == ["", "*** Be", "gin", "\nPatch", "", "😀 end", ""]


# --- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", WITHOUT)
def test_a_freeform_tool_is_sent_as_a_function_whose_description_has_the_grammar(target):
    tool = function(sent(target, asked()))
    assert tool["name"] == "apply_patch"
    assert tool["description"].startswith("Edits files.\n\n")
    assert tool["description"].endswith(f"The text must match this Lark grammar:\n\n{GRAMMAR}")
    assert (tool["schema"]["required"], list(tool["schema"]["properties"])) == (["input"], ["input"])


@pytest.mark.parametrize("target", ["anthropic", "openai_chat"])
def test_the_format_of_a_freeform_tool_of_a_chat_client_is_described_too(target):
    form = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
    custom = {"type": "custom", "custom": {"name": "word", "format": form}}
    plain = {"type": "custom", "custom": {"name": "plain", "format": {"type": "text"}}}
    body = {"messages": [{"role": "user", "content": "Hi"}], "tools": [custom]}
    tool = function(sent(target, codec("openai_chat").parse_request(Call("", body))))
    assert tool["description"].endswith("The text must match this regular expression:\n\n[a-z]+")
    tool = function(sent(target, codec("openai_chat").parse_request(Call("", body | {"tools": [plain]}))))
    assert "must match" not in tool["description"]


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses"])
def test_a_provider_with_freeform_tools_gets_them(target):
    body = sent(target, asked(*HISTORY), FREEFORM)
    assert [tool["type"] for tool in body["tools"]] == ["custom"]
    assert '"function"' in json.dumps(body) if target == "openai_chat" else body["input"][1:] == HISTORY


@pytest.mark.parametrize("tools", [(PATCH_TOOL,), ()], ids=["offered", "not offered"])
@pytest.mark.parametrize("target", WITHOUT)
def test_calls_of_both_forms_are_calls_of_the_function(target, tools):
    """Without tools, a client asks for a summary."""
    body = json.dumps(sent(target, asked(*HISTORY, tools=tools)), ensure_ascii=False)
    assert "custom" not in body and "ctc_1" not in body
    assert body.count("Done") == body.count("Failed") == 1
    whole = json.loads(body)
    calls = {
        "openai_chat": lambda: [call["function"]["arguments"] for call in whole["messages"][1]["tool_calls"]]
        + [call["function"]["arguments"] for message in whole["messages"][3:] for call in message.get("tool_calls", ())],
        "openai_responses": lambda: [item["arguments"] for item in whole["input"] if item.get("type") == "function_call"],
        "anthropic": lambda: [
            json.dumps(block["input"], ensure_ascii=False)
            for message in whole["messages"] for block in message["content"] if block["type"] == "tool_use"
        ],
        "google": lambda: [
            json.dumps(part["functionCall"]["args"], ensure_ascii=False)
            for content in whole["contents"] for part in content["parts"] if "functionCall" in part
        ],
    }[target]()  # fmt: skip
    assert [json.loads(call) for call in calls] == [{"input": PATCH}, {"input": "x"}]


def test_a_provider_of_the_client_s_protocol_gets_items_of_functions():
    items = sent("openai_responses", asked(*HISTORY))["input"][1:]
    kinds = ["function_call", "function_call_output"]
    assert [item["type"] for item in items] == kinds * 2
    assert [item.get("id") for item in items] == [None, None, "fc_2", None]


@pytest.mark.parametrize("mode", ["tool", "allowed"])
@pytest.mark.parametrize("target", WITHOUT)
def test_a_choice_of_a_freeform_tool_is_one_of_the_function(target, mode):
    tool = {"type": "custom", "name": "apply_patch"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [tool]}
    body = sent(target, asked(tool_choice=tool if mode == "tool" else allowed))
    choice = json.dumps(body.get("tool_choice") or body["toolConfig"])
    assert "custom" not in json.dumps(body)
    assert "apply_patch" in choice or choice == '{"type": "any"}'  # Anthropic gets only the allowed tools


def test_a_freeform_tool_in_a_namespace_makes_its_tools_functions():
    space = {"type": "namespace", "name": "mcp__files", "tools": [PATCH_TOOL]}
    call = codec("openai_responses").render_request(asked(tools=[space]), MODEL, PLAIN)
    assert [(tool["type"], tool["name"]) for tool in call.body["tools"]] == [("function", "mcp__files__apply_patch")]
    assert call.names == {"mcp__files__apply_patch": ToolName("apply_patch", "mcp__files", kind="freeform")}
    kept = codec("openai_responses").render_request(asked(tools=[space]), MODEL, FREEFORM)
    assert (kept.body["tools"], kept.names) == ([space], {})


def test_the_next_request_begins_with_the_same_bytes():
    first, longer = sent("openai_chat", asked(*HISTORY[:2])), sent("openai_chat", asked(*HISTORY))
    assert longer["tools"] == first["tools"]
    assert longer["messages"][: len(first["messages"])] == first["messages"]


# --- replies -----------------------------------------------------------------------------------------------------------


def restored(*pieces: str) -> list[Any]:
    """The events of a call of the function, as the client gets them."""
    restorer = Restorer({"apply_patch": ToolName("apply_patch", kind="freeform")})
    whole = ToolCall(name="apply_patch", id="call_1", arguments="".join(pieces))
    events: list[Event] = [
        PartStarted(0, ToolCall(name="apply_patch", id="call_1")),
        *(PartDelta(0, piece) for piece in pieces),
    ]
    return [one for event in [*events, PartEnded(0, whole)] for one in restorer.feed(event)]


def test_a_streamed_call_is_a_custom_call_of_the_client():
    arguments = json.dumps({"input": PATCH})
    renderer = codec("openai_responses").stream_renderer(asked())
    data = b"".join(renderer.feed(event) for event in restored(*[arguments[at : at + 9] for at in range(0, 120, 9)]))
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert len(deltas) > 5 and "".join(deltas) == PATCH
    (done,) = [event for event in events if event["type"] == "response.custom_tool_call_input.done"]
    assert done["input"] == PATCH
    item = events[-1]["item"]
    assert (item["type"], item["input"], item["status"]) == ("custom_tool_call", PATCH, "completed")
    assert not any("function_call_arguments" in event["type"] for event in events)


def test_a_call_in_a_whole_reply_is_a_custom_call_too():
    arguments = json.dumps({"input": PATCH})
    body = json.loads(codec("openai_responses").render_reply(collect(restored(arguments))))
    (item,) = body["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    body = json.loads(codec("openai_chat").render_reply(collect(restored(arguments))))
    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "apply_patch", "input": PATCH})


def test_other_calls_of_the_reply_stay_as_they_are():
    restorer = Restorer({"apply_patch": ToolName("apply_patch", kind="freeform")})
    look = PartEnded(1, ToolCall(name="look", arguments='{"input":"x"}'))
    assert restorer.feed(look) == [look]
    given = PartEnded(2, ToolCall(name="apply_patch", arguments='{"input":"x"}', format="text"))
    assert restorer.feed(given) == [given]  # a provider that has freeform tools after all


def test_a_call_that_was_cut_off_is_incomplete():
    renderer = codec("openai_responses").stream_renderer(asked())
    data = b"".join(renderer.feed(event) for event in restored('{"input": "*** Begin', " Pa"))
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    assert not any(event["type"] == "response.custom_tool_call_input.done" for event in events)
    assert (events[-1]["item"]["input"], events[-1]["item"]["status"]) == ("*** Begin Pa", "incomplete")
