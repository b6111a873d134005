"""Tools whose names a target does not take, and tools in namespaces, which only Responses has."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, Settings, Text, Tool, ToolCall, ToolChoice, ToolResult, Turn, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, PartDelta, PartEnded, PartStarted
from modelbay.model import Model
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.names import Restorer, ToolName, sent_names
from modelbay.protocols.survey import Survey

MODEL = Model(id="m", max_output_tokens=1000)
OPENAI = r"[a-zA-Z0-9_-]{1,64}"
ANTHROPIC = r"[a-zA-Z0-9_-]{1,128}"
GOOGLE = r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}"
TAKES = {"openai_chat": OPENAI, "openai_responses": OPENAI, "anthropic": ANTHROPIC, "google": GOOGLE}
LONG = "mcp__knowledge_base_of_the_company__search_documents_with_all_filters"
LONGER = "mcp__knowledge_base_of_the_company__" + "search_documents_with_all_filters_" * 4
ODD = ["read/file", "a.b", "übersetzen", "42", "with space", "", "日本"]

names = st.text(st.sampled_from("abz_-./: é9"), min_size=1, max_size=90)
spaces = st.none() | st.sampled_from(
    ["a", "a__", "a__b", "functions", "mcp__a_very_long_name_of_a_server_that_goes_on_and_on"]
)


def render(protocol: str, conversation: Conversation, dialect: Dialect = PLAIN) -> Call:
    return codec(protocol).render_request(conversation, MODEL, dialect)


def named(value: Any) -> list[str]:
    """Every tool's name in a body: of tools, calls, results and choices."""
    found: list[str] = []
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            found.append(value["name"])
        found += value.get("allowedFunctionNames", [])
        for inner in value.values():
            found += named(inner)
    elif isinstance(value, list):
        for inner in value:
            found += named(inner)
    return found


def meant(call: Call, name: str) -> ToolName:
    """The tool that a provider's call of `name` is a call of."""
    part = ToolCall(name=name)
    Restorer(call.names).feed(PartEnded(0, part))
    return ToolName(part.name, part.namespace)


def loop(name: str, **settings: Any) -> Conversation:
    """A conversation in which a tool was called, and is to be called again."""
    return Conversation(
        [
            user("Go"),
            Turn("assistant", [ToolCall(name=name, arguments="{}", id="c1")]),
            Turn("tool", [ToolResult(call_id="c1", name=name, parts=[Text(text="done")])]),
        ],
        Settings(tools=[Tool(name=name, schema={"type": "object", "properties": {}}), Tool(name="other")], **settings),
    )


@pytest.mark.parametrize("source", [None, *TAKES])
@pytest.mark.parametrize("target", TAKES)
@pytest.mark.parametrize("name", [LONG, LONGER, *ODD[:5]])
@pytest.mark.parametrize("mode", ["tool", "allowed"])
def test_a_name_is_sent_as_the_target_takes_it_and_comes_back_as_it_was(source, target, name, mode):
    conversation = loop(name, tool_choice=ToolChoice(mode, names=[name]))
    if source is not None:
        call = render(source, conversation)
        conversation = codec(source).parse_request(call)
        name = call.body and next(tool.name for tool in conversation.settings.tools or () if tool.name != "other")
    call = render(target, conversation)
    sent = [found for found in named(json.loads(call.encode())) if found != "other"]
    assert len(set(sent)) == 1 and len(sent) >= 2
    assert re.fullmatch(TAKES[target], sent[0])
    assert meant(call, sent[0]) == ToolName(name)
    assert (sent[0] == name) == bool(re.fullmatch(TAKES[target], name))


def test_a_name_that_was_shortened_says_where_the_tool_is_from_and_what_it_does():
    call = render("openai_chat", loop(LONGER))
    sent = call.body["tools"][0]["function"]["name"]
    assert sent.startswith("mcp__knowledge_bas") and sent.endswith("documents_with_all_filters_") and len(sent) == 64


def test_a_limit_of_the_vendor_counts_before_the_protocol_s_own():
    call = render("anthropic", loop(LONG), Dialect(tool_name=OPENAI))
    assert len(call.body["tools"][0]["name"]) == 64
    assert render("anthropic", loop(LONG)).body["tools"][0]["name"] == LONG


def test_a_client_of_the_same_protocol_gets_names_within_the_limit_too():
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": LONG}]}
    call = render("anthropic", codec("anthropic").parse_request(Call("", body)), Dialect(tool_name=OPENAI))
    assert meant(call, call.body["tools"][0]["name"]) == ToolName(LONG)


def test_a_vendor_s_own_tool_keeps_its_name():
    body = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "$web_search", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "{}"},
        ],
        "tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}],
    }  # fmt: skip
    conversation = codec("openai_chat").parse_request(Call("", body))
    assert render("openai_chat", conversation).body["messages"] == body["messages"]


def test_a_namespace_whose_tools_are_unknown_is_reported():
    only_raw = Tool("namespace", name="n", raw={"type": "namespace", "name": "n"})
    call = render("openai_chat", Conversation([user("Go")], Settings(tools=[only_raw])))
    assert [warning.setting for warning in call.warnings] == ["n"]


def test_a_choice_of_freeform_tools_follows_their_names():
    tools = [{"type": "custom", "custom": {"name": name}} for name in ("edit/file", "patch")]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tools[0]]}}
    body = {"messages": [{"role": "user", "content": "Hi"}], "tools": tools, "tool_choice": allowed}
    conversation = codec("openai_chat").parse_request(Call("", body))
    sent = render("openai_chat", conversation, FREEFORM).body
    name = sent["tools"][0]["custom"]["name"]
    assert re.fullmatch(OPENAI, name)
    assert sent["tool_choice"]["allowed_tools"]["tools"] == [{"type": "custom", "custom": {"name": name}}]
    chosen = render("openai_responses", conversation, FREEFORM).body["tool_choice"]
    assert chosen == {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": name}]}


def test_nothing_is_copied_where_every_name_fits():
    conversation = loop("look")
    assert sent_names(conversation, OPENAI, Survey(conversation.turns)) == (conversation, {})
    assert sent_names(conversation, OPENAI, Survey(conversation.turns))[0] is conversation


def test_the_next_turn_sends_the_same_names():
    first = loop(LONG)
    longer = Conversation([*first.turns, user("Again"), *loop(LONG).turns[1:]], first.settings)
    before, after = render("openai_chat", first).body, render("openai_chat", longer).body
    assert after["tools"] == before["tools"]
    assert after["messages"][: len(before["messages"])] == before["messages"]


# --- namespaces --------------------------------------------------------------------------------------------------------

OBJECT = {"type": "object", "properties": {}}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": OBJECT, **more}


def space(name: str, *tools: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "tools": [*tools], **more}


def codex(*items: dict[str, Any], tools: list[dict[str, Any]], **more: Any) -> Conversation:
    given = [{"role": "user", "content": "Go"}, *items]
    return codec("openai_responses").parse_request(Call("/responses", {"input": given, "tools": tools, **more}))


MCP = space("mcp__github", function("get_me"), {"type": "custom", "name": "patch"}, description="GitHub's tools.")
TOOLS = [function("shell"), MCP, space("mcp__gitlab__", function("get_me")), space("functions", function("exec"))]
FLAT = ["shell", "mcp__github__get_me", "mcp__github__patch", "mcp__gitlab__get_me", "exec"]
MEANT = [
    ToolName("shell"), ToolName("get_me", "mcp__github"), ToolName("patch", "mcp__github"),
    ToolName("get_me", "mcp__gitlab__"), ToolName("exec", "functions"),
]  # fmt: skip
FREEFORM = Dialect(freeform_tools=True)
ALONE = Dialect(namespaces=False)


@pytest.mark.parametrize("target", TAKES)
def test_tools_in_namespaces_are_sent_one_by_one_and_their_calls_find_back(target):
    call = render(target, codex(tools=TOOLS), ALONE)
    sent = named(json.loads(call.encode())["tools"])
    assert sent == FLAT
    assert [meant(call, name) for name in sent] == MEANT
    assert "GitHub's tools." in call.encode().decode()
    assert "namespace" not in call.encode().decode()
    assert not [warning for warning in call.warnings if warning.dropped]


def test_a_provider_that_has_namespaces_gets_them_as_they_are():
    items = [{"type": "function_call", "call_id": "c", "name": "get_me", "namespace": "mcp__github", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c", "output": "me"}]  # fmt: skip
    choice = {"type": "function", "name": "get_me", "namespace": "mcp__github"}
    body = render("openai_responses", codex(*items, tools=TOOLS, tool_choice=choice), FREEFORM).body
    assert (body["tools"], body["input"][1:], body["tool_choice"]) == (TOOLS, items, choice)


@pytest.mark.parametrize("target", TAKES)
def test_calls_of_the_history_have_the_names_of_the_tools(target):
    calls = [
        {"type": "function_call", "call_id": "1", "name": "get_me", "namespace": "mcp__github", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "2", "name": "patch", "namespace": "mcp__github", "input": "x"},
        {"type": "function_call", "call_id": "3", "name": "exec", "arguments": "{}"},
        {"type": "function_call", "call_id": "4", "name": "gone", "namespace": "mcp__old", "arguments": "{}"},
    ]
    results = [
        {"type": "custom_tool_call_output" if n == 2 else "function_call_output", "call_id": str(n), "output": "ok"}
        for n in range(1, 5)
    ]
    call = render(target, codex(*calls, *results, tools=TOOLS), ALONE)
    body = json.loads(call.encode())
    said = named({key: value for key, value in body.items() if key != "tools"})
    wanted = ["mcp__github__get_me", "mcp__github__patch", "exec", "mcp__old__gone"]
    assert list(dict.fromkeys(said)) == wanted


def test_a_client_that_lost_the_namespace_still_means_the_only_tool_of_that_name():
    lost = {"type": "function_call", "call_id": "1", "name": "patch", "arguments": "{}"}
    flat = {"type": "function_call", "call_id": "2", "name": "mcp__gitlab__get_me", "arguments": "{}"}
    body = render("openai_chat", codex(lost, flat, tools=TOOLS)).body
    calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    assert [call["function"]["name"] for call in calls] == ["mcp__github__patch", "mcp__gitlab__get_me"]


@pytest.mark.parametrize("target", ["openai_chat", "anthropic", "google"])
def test_a_choice_names_a_tool_of_a_namespace(target):
    chosen = {"type": "function", "name": "get_me", "namespace": "mcp__gitlab__"}
    body = json.loads(render(target, codex(tools=TOOLS, tool_choice=chosen)).encode())
    choice = body.get("tool_choice") or body["toolConfig"]
    assert named(choice) == ["mcp__gitlab__get_me"]


def test_a_choice_of_a_whole_namespace_allows_all_its_tools():
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "mcp__github"}]}
    body = render("openai_chat", codex(tools=TOOLS, tool_choice=allowed), FREEFORM).body
    assert body["tool_choice"]["allowed_tools"]["tools"] == [
        {"type": "function", "function": {"name": "mcp__github__get_me"}},
        {"type": "custom", "custom": {"name": "mcp__github__patch"}},
    ]


@pytest.mark.parametrize("target", ["openai_chat", "anthropic", "google"])
def test_tools_that_came_with_an_item_are_offered_with_the_others(target):
    later = {"type": "additional_tools", "role": "developer", "tools": [MCP, function("shell"), function("late")]}
    call = render(target, codex(later, tools=TOOLS[:1]))
    assert named(json.loads(call.encode())["tools"]) == ["shell", "mcp__github__get_me", "mcp__github__patch", "late"]
    assert "additional_tools" not in call.encode().decode()


def test_tools_that_came_with_an_item_stay_there_for_who_has_such_items():
    later = {"type": "additional_tools", "tools": [MCP]}
    body = render("openai_responses", codex(later, tools=TOOLS), FREEFORM).body
    assert (body["input"][1], body["tools"]) == (later, TOOLS)


def test_a_tool_that_can_keep_its_name_does_and_another_gets_a_name_of_its_own():
    tools = [space("a", function("b__c")), space("a__b", function("c")), function("a__b__c"), function("x")]
    call = render("openai_chat", codex(tools=tools))
    sent = [tool["function"]["name"] for tool in call.body["tools"]]
    assert sent[2:] == ["a__b__c", "x"] and len(set(sent)) == 4
    assert [meant(call, name) for name in sent] == [
        ToolName("b__c", "a"), ToolName("c", "a__b"), ToolName("a__b__c"), ToolName("x"),
    ]  # fmt: skip


@given(tools=st.lists(st.tuples(names, spaces), min_size=1, max_size=8, unique=True))
@pytest.mark.parametrize("pattern", [OPENAI, ANTHROPIC, GOOGLE])
def test_any_names_are_told_apart_fit_and_find_back(pattern, tools):
    offered = [
        Tool(name=name) if inside is None else Tool("namespace", name=inside, tools=[Tool(name=name)])
        for name, inside in tools
    ]
    conversation = Conversation([user("Go")], Settings(tools=offered))
    sent, back = sent_names(conversation, pattern, Survey(conversation.turns))
    found = [tool.name for tool in sent.settings.tools or ()]
    assert len(set(found)) == len(tools)
    assert all(re.fullmatch(pattern, name) for name in found)
    assert [back.get(name, ToolName(name)) for name in found] == [ToolName(name, inside) for name, inside in tools]
    assert sent_names(conversation, pattern, Survey(conversation.turns)) == (sent, back)


def test_a_client_of_responses_gets_name_and_namespace_of_a_call():
    assembly = Assembly()
    assembly.start("r", "m")
    assembly.whole(ToolCall(name="get_me", namespace="mcp__github", arguments="{}", id="c1"))
    assembly.finish("tool_calls")
    renderer = codec("openai_responses").stream_renderer(Conversation())
    data = b"".join(renderer.feed(event) for event in assembly.take()).decode()
    for kind in ("response.output_item.added", "response.output_item.done", "response.completed"):
        line = next(line for line in data.splitlines() if line.startswith("data:") and f'"type":"{kind}"' in line)
        event = json.loads(line[5:])
        item = event.get("item") or event["response"]["output"][0]
        assert (item["name"], item["namespace"]) == ("get_me", "mcp__github")


@pytest.mark.parametrize("target", TAKES)
def test_a_tool_without_a_name_is_sent_with_one(target):
    body = {"messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": None, "input_schema": OBJECT}]}
    call = render(target, codec("anthropic").parse_request(Call("", body)))
    (name,) = named(json.loads(call.encode())["tools"])
    assert re.fullmatch(TAKES[target], name) and meant(call, name) == ToolName("")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("look", "look"), ("functions.look", "look"), ("function.look", "look"), ("tools/look", "look"),
        ("default_api:look", "look"), ("default.look", "look"), ("default_api.look", "look"),
        ("look<|channel|>commentary", "look"), ("look <|constrain|>json", "look"), ("functions.look:3", "look"),
        (" look\n", "look"),
        ("tools.read", "tools.read"),  # offered under this name
        ("other.look", "other.look"), ("functions.unknown", "functions.unknown"), ("lookup", "lookup"),
        ("functions.short_1", LONG),
    ],
)  # fmt: skip
def test_remains_of_a_chat_template_in_the_name_of_a_called_tool_are_removed(called, name):
    restorer = Restorer({"short_1": ToolName(LONG)}, {"look", "read", "tools.read"})
    started, ended = (ToolCall(name=called) for _ in range(2))
    events: list[Event] = [PartStarted(0, started), PartDelta(0, "{}"), PartEnded(0, ended)]
    assert restorer.concerns(events)
    assert not restorer.concerns(events[1:2])
    assert [event for one in events for event in restorer.feed(one)] == events
    assert (started.name, ended.name) == (name, name)


def test_without_offered_tools_a_called_name_is_kept():
    part = ToolCall(name="functions.look")
    Restorer({}).feed(PartEnded(0, part))
    assert part.name == "functions.look"
