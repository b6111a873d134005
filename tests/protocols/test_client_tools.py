"""Tools of Anthropic that the client runs are functions for other providers."""

from typing import Any

import pytest

from modelbay.conversation import ToolCall
from modelbay.dialect import PLAIN
from modelbay.protocols.codec import Call, codec
from tests.protocols.provider_rules import ABLE, complaint

OTHERS = ("openai_chat", "openai_responses", "google")
BASH: dict[str, Any] = {"type": "bash_20250124", "name": "bash"}
EDITOR: dict[str, Any] = {
    "type": "text_editor_20250728",
    "name": "str_replace_based_edit_tool",
    "max_characters": 10_000,
}
OLD_EDITOR = {"type": "text_editor_20250124", "name": "str_replace_editor"}
MEMORY = {"type": "memory_20250818", "name": "memory"}
CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (BASH, {"command": "ls"}),
    (BASH, {"restart": True}),
    (EDITOR, {"command": "view", "path": "/a.py", "view_range": [1, -1]}),
    (EDITOR, {"command": "insert", "path": "/a.py", "insert_line": 0, "insert_text": "x"}),
    (OLD_EDITOR, {"command": "insert", "path": "/a.py", "insert_line": 0, "new_str": "x"}),
    (OLD_EDITOR, {"command": "undo_edit", "path": "/a.py"}),
    (MEMORY, {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"}),
    (MEMORY, {"command": "create", "path": "/memories/a", "file_text": "x"}),
]


def rendered(target: str, tools: list[dict[str, Any]], client: str = "anthropic", **body: Any) -> Call:
    asked = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}], "tools": tools, **body}
    return codec(target).render_request(codec(client).parse_request(Call("", asked)), ABLE, PLAIN)


def functions(target: str, call: Call) -> dict[str, dict[str, Any]]:
    """The schemas of the functions in a body, by their names."""
    if target == "google":
        declared = [one for group in call.body["tools"] for one in group["functionDeclarations"]]
        return {one["name"]: one["parametersJsonSchema"] for one in declared}
    found = [tool.get("function", tool) for tool in call.body["tools"]]
    return {one["name"]: one["parameters"] for one in found}


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
@pytest.mark.parametrize("target", OTHERS)
def test_a_tool_that_the_client_runs_is_a_function_with_its_schema(
    target: str, tool: dict[str, Any], arguments: dict[str, Any]
) -> None:
    call = rendered(target, [tool])
    assert call.warnings == []
    assert complaint(target, call) is None
    schema = functions(target, call)[tool["name"]]
    assert set(schema["required"]) <= arguments.keys() <= schema["properties"].keys()
    assert arguments.get("command", "ls") in schema["properties"]["command"].get("enum", ["ls"])


@pytest.mark.parametrize("target", OTHERS)
def test_calls_in_the_history_and_a_forced_call_need_no_change(target: str) -> None:
    messages = [
        {"role": "user", "content": "List"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}]},
    ]
    call = rendered(target, [BASH], messages=messages, tool_choice={"type": "tool", "name": "bash"})
    assert call.warnings == []
    assert complaint(target, call) is None
    back = codec(target).parse_request(call)
    assert [part.name for turn in back.turns for part in turn.parts if isinstance(part, ToolCall)] == ["bash"]
    assert back.settings.tool_choice is not None
    assert back.settings.tool_choice.names == ["bash"]


@pytest.mark.parametrize("target", OTHERS)
def test_newer_versions_have_the_newest_known_schema_and_too_old_ones_none(target: str) -> None:
    newer = {"type": "text_editor_20991231", "name": "str_replace_based_edit_tool"}
    assert "insert_text" in functions(target, rendered(target, [newer]))[newer["name"]]["properties"]
    call = rendered(target, [BASH, {"type": "memory_20200101", "name": "memory"}])
    assert list(functions(target, call)) == ["bash"]
    assert [warning.setting for warning in call.warnings] == ["memory_20200101"]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
    ],
)
def test_tools_that_need_anthropic_or_its_models_are_named_as_dropped(tool: dict[str, Any]) -> None:
    for target in OTHERS:
        call = rendered(target, [tool, BASH])
        assert list(functions(target, call)) == ["bash"]
        assert [warning.setting for warning in call.warnings] == [tool["type"]]


@pytest.mark.parametrize("client", ["anthropic", "openai_chat"])
def test_anthropic_gets_its_own_tools_unchanged(client: str) -> None:
    tools: list[dict[str, Any]] = [BASH, EDITOR, MEMORY]
    call = rendered("anthropic", tools, client)
    assert call.body["tools"] == tools
    assert call.warnings == []


def test_a_cache_mark_of_such_a_tool_stays() -> None:
    marked = {**BASH, "cache_control": {"type": "ephemeral"}}
    assert rendered("anthropic", [marked]).body["tools"] == [marked]
    assert [warning.setting for warning in rendered("openai_chat", [marked]).warnings] == ["cache_marks"]
