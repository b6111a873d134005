"""Prompts and tools in other forms, and tools that the provider runs."""

from typing import Any

import pytest

from modelbay import Hub, Reply, Tool, sync, user
from modelbay.testing import Simulator


class OtherTool:
    """A tool of another library, which is not callable."""

    def __init__(self, function: Any) -> None:
        self.func = function


FORM = {"name": "f", "description": "A function.", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (
            {"type": "function", "function": FORM},
            'pass Tool(name=tool["function"]["name"], description=tool["function"]["description"], '
            'schema=tool["function"]["parameters"])',
        ),
        (
            {"type": "function", **FORM},
            'pass Tool(name=tool["name"], description=tool["description"], schema=tool["para',
        ),
        ({"name": "f", "input_schema": {}}, 'pass Tool(name=tool["name"], schema=tool["input_schema"])'),
        ({"type": "web_search_20250305", "name": "web_search"}, 'in its own form, as extra_body={"tools": […]}'),
        ({"google_search": {}}, 'in its own form, as extra_body={"tools": […]}'),
        (OtherTool(print), "not tests's OtherTool: pass its function, which is its attribute `func`"),
    ],
)
@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_tool_in_the_form_of_another_library_is_told_the_way(kind: Any, tool: object, said: str) -> None:
    hub = kind.of("ollama", model="llama")
    for call in (hub.stream, hub.run, hub.chat):
        with pytest.raises(TypeError) as caught:
            call(*(["Hi"] if call != hub.chat else []), tools=[tool])
        assert str(caught.value).startswith("tools[0] must be a Tool or a function, not ") and said in str(caught.value)


def test_a_tool_that_the_provider_runs_is_passed_beside_functions() -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    search = {"type": "web_search_20250305", "name": "web_search"}
    with Simulator() as simulator, simulator.sync_hub("anthropic") as hub:
        hub.complete("Hi", tools=[weather], extra_body={"tools": [search]})
        hub.complete("Hi", extra_body={"tools": [search]})
        both, alone = [request.json["tools"] for request in simulator.requests]
        assert ([tool["name"] for tool in both], alone) == (["weather", "web_search"], [search])
        with pytest.raises(
            ValueError, match=r"tools\[0\] is a tool of the provider: pass a tool that the provider runs"
        ):
            hub.complete("Hi", tools=[Tool(kind="vendor", raw=search)])


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_turn_and_a_reply_as_prompt_are_told_the_way(kind: Any) -> None:
    hub = kind.of("ollama", model="llama")
    with pytest.raises(
        TypeError, match=r"prompt must be a string, a Conversation or a list of turns, not Turn: pass \[turn\]"
    ):
        hub.stream(user("Hi"))
    with pytest.raises(TypeError, match=r"prompt\[1\] must be a Turn, not Reply: pass reply.turn\(\)"):
        hub.stream([user("Hi"), Reply(), user("Why?")])
