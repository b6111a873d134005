"""Settings that a target is known not to support are asked of the model instead, for clients of every protocol."""

from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    OutputFormat,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.emulation import one_by_one
from tests.protocols.provider_rules import ABLE, complaint

MODEL = Model(id="m", max_output_tokens=4000)
F, G = (Tool(name=name, schema={"type": "object", "properties": {"a": {"type": "string"}}}) for name in "fg")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
NO_FORCED = Dialect(tool_choices=["auto", "none"])


def sent(
    target: str, dialect: Dialect, *turns: Turn, client: str | None = None, **settings: Any
) -> tuple[dict[str, Any], list[Warned]]:
    conversation = Conversation(list(turns) or [user("Hi")], Settings(**settings), protocol=client)  # type: ignore[arg-type]
    call = codec(target).render_request(conversation, MODEL, dialect)
    return call.body, call.warnings


def system_of(target: str, body: dict[str, Any]) -> str:
    """The system prompt of a body."""
    match target:
        case "openai_chat":
            return str(body["messages"][0]["content"]) if body["messages"][0]["role"] == "system" else ""
        case "openai_responses":
            return str(body.get("instructions", ""))
        case "anthropic":
            system = body.get("system", "")
            return system if isinstance(system, str) else "\n".join(block["text"] for block in system)
        case _:
            return "\n".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", []))


def forced_in(target: str, body: dict[str, Any]) -> Any:
    """The choice of tools in a body."""
    return body.get("toolConfig") if target == "google" else body.get("tool_choice")


def tools_in(target: str, body: dict[str, Any]) -> list[str]:
    tools = body["tools"][0]["functionDeclarations"] if target == "google" else body["tools"]
    return [tool.get("function", tool)["name"] for tool in tools]


# --- forced tool calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [False, True], ids=["translated", "own protocol"])
@pytest.mark.parametrize("target", NAMES)
def test_a_forced_call_becomes_a_sentence_in_the_system_prompt(target: str, same: bool):
    client = target if same else None
    body, report = sent(
        target, NO_FORCED, client=client, tools=[F, G], tool_choice=ToolChoice("tool", ["g"]), max_output_tokens=99
    )
    assert system_of(target, body) == "You must call the tool `g` in your next message."
    assert tools_in(target, body) == ["g"]
    assert forced_in(target, body) in (None, {"type": "auto"}, {})
    assert [warning.setting for warning in report] == ["tool_choice"]
    assert not report[0].dropped, "a strict gateway accepts what is emulated"


@pytest.mark.parametrize("target", NAMES)
def test_the_sentence_is_added_to_the_system_prompt_which_stays_one(target: str):
    body, _ = sent(
        target,
        NO_FORCED,
        Turn("system", [Text(text="Be brief.")]),
        user("Hi"),
        tools=[F, G],
        tool_choice=ToolChoice("required"),
    )
    assert system_of(target, body) == "Be brief.\n\nYou must call at least one of the tools in your next message."
    assert tools_in(target, body) == ["f", "g"]


def test_a_cached_system_prompt_keeps_its_prefix():
    prompt = Text(text="Be brief.", cache={"type": "ephemeral"})
    body, _ = sent(
        "anthropic", NO_FORCED, Turn("system", [prompt]), user("Hi"), tools=[F], tool_choice=ToolChoice("required")
    )
    assert body["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "You must call the tool `f` in your next message."},
    ]


def test_a_tool_by_name_is_the_only_tool_where_any_can_be_forced():
    body, report = sent(
        "openai_chat",
        Dialect(tool_choices=["auto", "none", "required"], required_word="any"),
        tools=[F, G],
        tool_choice=ToolChoice("tool", ["g"]),
    )
    assert (tools_in("openai_chat", body), body["tool_choice"], report) == (["g"], "any", [])


def test_the_only_tool_is_forced_by_name_where_none_can_be_required():
    body, report = sent(
        "openai_chat", Dialect(tool_choices=["auto", "tool"]), tools=[F], tool_choice=ToolChoice("required")
    )
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert report == []


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_choice_that_forces_nothing_is_sent_as_it_is(mode: Any):
    body, report = sent("openai_chat", NO_FORCED, tools=[F], tool_choice=ToolChoice(mode))
    assert (body["tool_choice"], body["messages"][0]["role"], report) == (mode, "user", [])


def test_one_of_the_allowed_tools_can_be_forced_by_a_sentence_too():
    body, _ = sent("anthropic", NO_FORCED, tools=[F, G], tool_choice=ToolChoice("allowed", ["f"], required=True))
    assert (tools_in("anthropic", body), body["tool_choice"]) == (["f"], {"type": "auto"})


# --- output formats ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [False, True], ids=["translated", "own protocol"])
@pytest.mark.parametrize("target", NAMES)
def test_a_schema_goes_into_the_system_prompt(target: str, same: bool):
    client = target if same else None
    form = OutputFormat("json_schema", schema=SCHEMA, name="place")
    body, _ = sent(target, Dialect(json_schema=False), client=client, output_format=form, max_output_tokens=99)
    assert system_of(target, body).startswith('Answer with JSON that matches this JSON Schema:\n{"type":"object"')
    mode = {
        "openai_chat": body.get("response_format"),
        "openai_responses": body.get("text", {}).get("format"),
        "anthropic": body.get("output_config"),
        "google": body.get("generationConfig", {}).get("responseMimeType"),
    }[target]
    assert mode == {"anthropic": None, "google": "application/json"}.get(target, {"type": "json_object"})


def test_without_json_mode_only_the_system_prompt_asks_for_json():
    neither = Dialect(json_schema=False, json_mode=False)
    body, _ = sent("openai_chat", neither, output_format=OutputFormat("json_schema", schema=SCHEMA))
    assert "response_format" not in body
    assert system_of("openai_chat", body).startswith("Answer with JSON that matches")
    body, _ = sent("openai_chat", neither, output_format=OutputFormat("json"))
    assert "response_format" not in body
    assert system_of("openai_chat", body) == "Answer with one JSON object and nothing else."


def test_a_model_without_system_prompts_gets_the_schema_in_the_users_message():
    body, _ = sent(
        "openai_chat",
        Dialect(json_schema=False, system_role=False),
        output_format=OutputFormat("json_schema", schema=SCHEMA),
    )
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert body["messages"][0]["content"].startswith("Answer with JSON that matches")


# --- parallel calls ----------------------------------------------------------------------------------------------------


def test_a_model_with_one_call_at_a_time_is_asked_for_one_at_a_time():
    one = Dialect(parallel_tool_calls=False)
    assert sent("openai_chat", one, tools=[F])[0]["parallel_tool_calls"] is False
    assert sent("openai_responses", one, tools=[F])[0]["parallel_tool_calls"] is False
    assert sent("anthropic", one, tools=[F])[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "toolConfig" not in sent("google", one, tools=[F])[0], "Gemini has no such setting"
    assert "parallel_tool_calls" not in sent("openai_chat", one)[0], "there is nothing to call"
    _, report = sent("openai_chat", one, tools=[F], tool_choice=ToolChoice("auto", parallel=True))
    assert [warning.setting for warning in report] == ["tool_choice.parallel"]


def step(*names: str, text: str = "") -> list[Turn]:
    """A reply with several calls, and their results."""
    calls = [ToolCall(name="f", arguments="{}", id=name) for name in names]
    results = [Turn("tool", [ToolResult(call_id=name, parts=[Text(text=f"result {name}")])]) for name in names]
    return [Turn("assistant", [*([Text(text=text)] if text else []), *calls]), *results]


def shape(turns: list[Turn]) -> list[str]:
    """Each turn as its role and its parts."""
    words = []
    for turn in turns:
        parts = [
            part.id
            if type(part) is ToolCall
            else part.call_id
            if type(part) is ToolResult
            else getattr(part, "text", "?")
            for part in turn.parts
        ]
        words.append(f"{turn.role}: {' '.join(map(str, parts))}")
    return words


def test_calls_of_one_message_are_sent_one_after_the_other():
    report: list[Warned] = []
    turns = [user("go"), *step("a", "b", "c", text="Wait."), user("and now"), *step("d")]
    assert shape(one_by_one(turns, report)) == [
        "user: go",
        "assistant: Wait. a",
        "tool: a",
        "assistant: b",
        "tool: b",
        "assistant: c",
        "tool: c",
        "user: and now",
        "assistant: d",
        "tool: d",
    ]
    assert len(report) == 1


def test_results_in_one_message_are_divided_and_its_text_follows_the_last():
    results = [ToolResult(call_id=name, parts=[Text(text=name)]) for name in "ba"]
    calls = [ToolCall(name="f", arguments="{}", id=name) for name in "ab"]
    turns = [user("go"), Turn("assistant", list(calls)), Turn("user", [*results, Text(text="well?")])]
    assert shape(one_by_one(turns, [])) == [
        "user: go",
        "assistant: a",
        "user: a",
        "assistant: b",
        "user: b",
        "user: well?",
    ]


def test_a_history_with_single_calls_or_open_ones_stays_the_same():
    for turns in ([user("go"), *step("a"), *step("b")], [user("go"), step("a", "b")[0]], [user("go")]):
        report: list[Warned] = []
        assert one_by_one(turns, report) is turns
        assert report == []


@pytest.mark.parametrize("target", [name for name in NAMES if name != "openai_responses"])
def test_calls_that_are_items_of_responses_are_sent_one_after_the_other(target: str):
    """Two items with calls and two with results become as many turns, in another order."""
    items: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    items += [{"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"} for name in "ab"]
    items += [{"type": "function_call_output", "call_id": name, "output": name} for name in "ab"]
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    asked = codec("openai_responses").parse_request(Call("/responses", {"model": "m", "input": items, "tools": tools}))
    body = codec(target).render_request(asked, ABLE, Dialect(parallel_call_history=False)).body
    messages: Any = body.get("messages") or body["contents"]
    assert [str(message).count("'f'") for message in messages if message["role"] in ("assistant", "model")] == [1, 1]


@pytest.mark.parametrize("same", [False, True], ids=["translated", "own protocol"])
@pytest.mark.parametrize("target", NAMES)
def test_every_protocol_sends_one_call_in_a_message(target: str, same: bool):
    body, _ = sent(
        target,
        Dialect(parallel_call_history=False),
        user("go"),
        *step("a", "b"),
        client=target if same else None,
        tools=[F],
        max_output_tokens=99,
    )
    messages = body.get("messages") or body.get("input") or body["contents"]
    calling = [str(message).count("'f'") for message in messages]
    assert max(calling) == 1
    assert len(messages) == 5


# --- the word "json" ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "prompt", "target", "added"),
    [
        ("Be brief.", "List", "openai_chat", True),
        ("Be brief.", "List", "openai_responses", True),
        ("Answer in JSON.", "List", "openai_chat", False),
        ("Answer in JSON.", "List", "openai_responses", True),  # which does not read the system prompt for it
        ("Be brief.", "List as Json", "openai_responses", False),
        ("Be brief.", "List", "google", False),
    ],
)
def test_json_mode_of_openai_gets_a_message_with_the_word(system: str, prompt: str, target: str, added: bool) -> None:
    asked = Conversation(
        [Turn("system", [Text(text=system)]), user(prompt)], Settings(output_format=OutputFormat("json"))
    )
    call = codec(target).render_request(asked, ABLE, PLAIN)
    assert complaint(target, call) is None
    turns = codec(target).parse_request(call).turns
    words = [turn.text for turn in turns]
    assert words == [system, *(["Answer with a JSON object."] if added else []), prompt]
    assert call.warnings == []


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses"])
def test_a_schema_that_is_missing_is_json_mode_with_the_word(target: str) -> None:
    asked = Conversation([user("List")], Settings(output_format=OutputFormat("json_schema", name="x")))
    call = codec(target).render_request(asked, ABLE, PLAIN)
    assert complaint(target, call) is None
    assert [turn.text for turn in codec(target).parse_request(call).turns] == ["Answer with a JSON object.", "List"]


def test_a_schema_needs_no_word() -> None:
    schema = {"type": "object", "properties": {}}
    asked = Conversation([user("List")], Settings(output_format=OutputFormat("json_schema", schema)))
    for target in ("openai_chat", "openai_responses"):
        assert "Answer with a JSON object." not in str(codec(target).render_request(asked, ABLE, PLAIN).body)
