"""The search for tools, which Codex runs itself, for providers without it."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Provenance, ToolCall
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, Finished, PartDelta, PartEnded, PartStarted, Started, collect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.names import Restorer, ToolName

MODEL = Model(id="m", max_output_tokens=1000, capabilities={"call_signatures": False})
ALONE = Dialect(namespaces=False)
TARGETS = ("openai_chat", "openai_responses", "anthropic", "google")
PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "number"}},
    "required": ["query"],
}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": PARAMETERS}
TIDE: dict[str, Any] = {"type": "function", "name": "get_tide", "description": "The tide.", "defer_loading": True,
        "parameters": {"type": "object", "properties": {}}}  # fmt: skip
HARBOUR = {"type": "namespace", "name": "mcp__harbour", "description": "Tides.", "tools": [TIDE]}
FOUND: dict[str, Any] = {
    "type": "tool_search_call", "id": "tsc_1", "call_id": "call_1", "status": "completed", "execution": "client",
    "arguments": {"query": "tide", "limit": 8},
}  # fmt: skip
RESULT: dict[str, Any] = {
    "type": "tool_search_output", "call_id": "call_1", "status": "completed", "execution": "client",
    "tools": [HARBOUR, TIDE | {"name": "now"}],
}  # fmt: skip
HISTORY: list[dict[str, Any]] = [{"role": "user", "content": "Go"}, FOUND, RESULT]


def asked(*items: dict[str, Any], **more: Any) -> Conversation:
    return codec("openai_responses").parse_request(Call("/responses", {"input": [*items], "tools": [SEARCH], **more}))


def sent(target: str, conversation: Conversation, dialect: Dialect = ALONE) -> Call:
    return codec(target).render_request(conversation, MODEL, dialect)


def names(body: Any) -> list[str]:
    tools = [inner for tool in body["tools"] for inner in tool.get("functionDeclarations", [tool])]
    return [tool.get("name") or tool["function"]["name"] for tool in tools]


@pytest.mark.parametrize("target", TARGETS)
def test_a_search_and_the_tools_that_it_found_are_functions(target: str) -> None:
    call = sent(target, asked(*HISTORY))
    body = json.loads(call.encode())
    assert names(body) == ["tool_search", "mcp__harbour__get_tide", "now"]
    text = call.encode().decode()
    assert "These tools can be called from now on: mcp__harbour__get_tide, now" in text
    assert "tool_search_call" not in text and "tsc_1" not in text
    assert call.names["tool_search"] == ToolName("tool_search", kind="search")
    assert call.names["mcp__harbour__get_tide"] == ToolName("get_tide", "mcp__harbour")
    assert not [warning for warning in call.warnings if warning.dropped]


def test_the_arguments_of_a_search_are_those_of_the_function() -> None:
    messages = sent("openai_chat", asked(*HISTORY)).body["messages"]
    (call,) = messages[1]["tool_calls"]
    assert (call["id"], json.loads(call["function"]["arguments"])) == ("call_1", FOUND["arguments"])
    assert messages[2]["tool_call_id"] == "call_1"


def test_a_search_without_a_result_says_so() -> None:
    call = sent("anthropic", asked(*HISTORY[:2], RESULT | {"tools": []}))
    assert "No tools were found." in call.encode().decode()
    assert names(call.body) == ["tool_search"]


def test_a_history_with_a_search_is_sent_without_tools_too() -> None:
    """A client asks for a summary like this."""
    given = codec("openai_responses").parse_request(Call("/responses", {"input": HISTORY}))
    messages = sent("openai_chat", given).body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]


def test_a_provider_that_has_the_search_gets_everything_as_it_is() -> None:
    body = sent("openai_responses", asked(*HISTORY), PLAIN).body
    assert (body["tools"], body["input"]) == ([SEARCH], HISTORY)


def test_a_search_that_the_provider_runs_is_its_own() -> None:
    items = [FOUND | {"execution": "server", "call_id": None}, RESULT | {"execution": "server", "call_id": None}]
    hosted = {"type": "tool_search"}
    given = asked(HISTORY[0], *items, tools=[hosted])
    body = sent("openai_responses", given, PLAIN).body
    assert (body["tools"], body["input"][1:]) == ([hosted], items)


def events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("origin", [None, Provenance("anthropic", "x"), Provenance("openai_responses")])
def test_a_call_of_the_function_is_a_search_of_the_client(origin: Provenance | None) -> None:
    restorer = Restorer({"tool_search": ToolName("tool_search", kind="search")})
    begun = ToolCall(name="tool_search", id="call_1", origin=origin)
    whole = ToolCall(name="tool_search", id="call_1", arguments='{"query":"tide","limit":8}', origin=origin)
    stream: list[Event] = [
        Started("r", "m"), PartStarted(0, begun), PartDelta(0, '{"query":"tide",'), PartDelta(0, '"limit":8}'),
        PartEnded(0, whole), Finished("tool_calls"),
    ]  # fmt: skip
    restored = [one for event in stream for one in restorer.feed(event)]
    renderer = codec("openai_responses").stream_renderer(asked())
    said = events(b"".join(renderer.feed(event) for event in restored))
    kinds = [event["type"] for event in said]
    assert kinds == [
        "response.created", "response.in_progress", "response.output_item.added", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    item = said[3]["item"]
    assert {name: item[name] for name in ("type", "call_id", "status", "execution", "arguments")} == {
        name: FOUND[name] for name in ("type", "call_id", "status", "execution", "arguments")
    }
    assert said[-1]["response"]["output"] == [item]
    body = json.loads(codec("openai_responses").render_reply(collect(restored)))
    assert body["output"][0]["arguments"] == FOUND["arguments"]


def test_a_search_that_was_cut_off_is_incomplete() -> None:
    restorer = Restorer({"tool_search": ToolName("tool_search", kind="search")})
    call = ToolCall(name="tool_search", id="call_1", arguments='{"query":"ti')
    stream: list[Event] = [PartStarted(0, ToolCall(name="tool_search")), PartEnded(0, call)]
    renderer = codec("openai_responses").stream_renderer(asked())
    said = events(b"".join(renderer.feed(one) for event in stream for one in restorer.feed(event)))
    assert (said[-1]["item"]["status"], said[-1]["item"]["arguments"]) == ("incomplete", {})


def test_a_search_of_a_provider_reaches_the_client_from_a_stream_and_a_whole_reply() -> None:
    of = codec("openai_responses")
    item = {**FOUND, "id": "tsc_9"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": {}}}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    response = {"id": "resp_1", "status": "completed", "output": [item]}
    data = b"".join(
        b"data: %b\n\n" % json.dumps(event).encode()
        for event in (added, done, {"type": "response.completed", "response": response})
    )
    parser = of.stream_parser(PLAIN)
    for reply in (
        collect([*parser.feed(data), *parser.close()]),
        collect(of.parse_reply(json.dumps(response).encode(), PLAIN)),
    ):
        (call,) = reply.tool_calls
        assert (call.name, call.id, json.loads(call.arguments)) == ("tool_search", "call_1", FOUND["arguments"])
        assert json.loads(of.render_reply(reply))["output"] == [item]
