"""Texts and numbers of subclasses: of template engines and parsers of HTML, of enumerations, of numpy."""

from enum import Enum, IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from modelbay import Conversation, Media, Settings, Text, Tool, ToolChoice, Turn, user
from modelbay.conversation import Protocol
from modelbay.testing import Simulator


class Safe(str):
    """As Django's: its `str()` is itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


class Models(StrEnum):
    SMALL = "sim-1"


class Mixed(str, Enum):  # noqa: UP042  as programs have it that ran with Python 3.10
    SMALL = "sim-1"


class Limit(IntEnum):
    SHORT = 50


class One(IntEnum):
    ONE = 1


CALLS: dict[str, Any] = {
    "prompt": lambda hub: hub.complete(Safe("Hi")),
    "markup": lambda hub: hub.complete(Markup("Hi")),
    "text of numpy": lambda hub: hub.complete(np.array(["Hi"])[0]),
    "turns": lambda hub: hub.complete([Turn(Safe("user"), [Text(text=Safe("Hi"))])]),  # type: ignore[arg-type]
    "conversation": lambda hub: hub.complete(Conversation([user(Safe("Hi"))], Settings(seed=Limit.SHORT))),
    "system": lambda hub: hub.complete("Hi", system=Safe("Be brief.")),
    "model": lambda hub: hub.complete("Hi", model=Models.SMALL),
    "mixed model": lambda hub: hub.complete("Hi", model=Mixed.SMALL),
    "models": lambda hub: hub.complete("Hi", model=[Models.SMALL]),
    "numbers": lambda hub: hub.complete("Hi", max_tokens=Limit.SHORT, temperature=np.float64(0.5)),
    "texts": lambda hub: hub.complete("Hi", user=Safe("ada"), cache_key=Safe("key")),
    "headers": lambda hub: hub.complete("Hi", extra_headers={Safe("X-A"): Safe("b")}),
    "tools": lambda hub: hub.complete(
        "Hi",
        tools=[Tool(name=Safe("f"), description=Safe("d"), schema={"type": Safe("object"), "properties": {}})],
        tool_choice=ToolChoice("tool", [Safe("f")]),
    ),
    "file": lambda hub: hub.complete([user("Hi", Media.of(b"abc", Safe("text/plain"), name=Safe("a.txt")))]),
    "stream": lambda hub: hub.stream(Safe("Hi")).reply(),
    "map": lambda hub: hub.map([Safe("Hi")]),
    "count": lambda hub: hub.count(Safe("Hi")),
    "chat": lambda hub: hub.load_chat(Safe(chat_of(hub).dumps())).complete(Safe("Hi")),
    "function": lambda hub: hub.run("Use f.", tools=[f]).reply(),
}


def chat_of(hub: Any) -> Any:
    chat = hub.chat(system=Safe("Be brief."), model=Models.SMALL)
    chat.complete(Safe("Hi"))
    return chat


def f() -> dict[str, Any]:
    """A function."""
    return {"text": Safe("x"), "model": Models.SMALL, "number": np.float64(0.5)}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_a_call_accepts_them_everywhere(protocol: Protocol, call: Any) -> None:
    with Simulator() as simulator, simulator.sync_hub(protocol) as hub:
        call(hub)
        assert {request.status for request in simulator.requests} <= {200}


def test_texts_to_embed_may_be_of_numpy(modelbay_simulator: Simulator) -> None:
    with modelbay_simulator.sync_hub() as hub:
        found = hub.embed(np.array(["a", "b"]), model=Models.SMALL)
    assert (len(found.vectors), modelbay_simulator.requests[0].json["input"]) == (2, ["a", "b"])


def test_a_function_returns_them_to_the_model(modelbay_simulator: Simulator) -> None:
    modelbay_simulator.call("f")
    modelbay_simulator.say("Done.")
    with modelbay_simulator.sync_hub() as hub:
        hub.run("Go", tools=[f]).reply()
    result = modelbay_simulator.requests[-1].json["messages"][-1]["content"]
    assert result == '{"text":"x","model":"sim-1","number":0.5}'


def test_fields_of_the_provider_s_own_api_may_be_enumerations(modelbay_simulator: Simulator) -> None:
    metadata: dict[str, Any] = {Safe("a"): Mixed.SMALL}
    with modelbay_simulator.sync_hub() as hub:
        hub.complete("Hi", stop=[Safe("end")], metadata=metadata, extra_body={"n": One.ONE})
    sent = modelbay_simulator.requests[0].json
    assert (sent["stop"], sent["metadata"], sent["n"]) == (["end"], {"a": "sim-1"}, 1)
