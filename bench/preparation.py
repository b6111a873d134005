"""Cost of requests: the steps before a renderer, as a ratio of a whole rendering to the renderer's own part of it, and a whole
translation, as a ratio to decoding the request."""

import json
from collections.abc import Callable

from bench.clock import side_by_side
from bench.table import ratio, table
from modelbay.conversation import Conversation, Settings, Text, Tool, ToolCall, ToolResult, Turn, user
from modelbay.dialect import PLAIN
from modelbay.json_text import decode
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.names import sent_names
from modelbay.protocols.preparation import prepared
from modelbay.protocols.survey import Survey

MODEL = Model(id="m", max_output_tokens=1_000)
SETTINGS = {"max_output_tokens": 1_000, "temperature": 0.5}
PATTERN = r"[a-zA-Z0-9_-]{1,64}"
TOOLS, TURNS = 30, 40


def plain() -> Conversation:
    turns = [
        Turn("system", [Text(text="Be brief.")]),
        user("Hi"),
        Turn("assistant", [Text(text="Hello")]),
        user("Go on"),
    ]
    return Conversation(turns, Settings(**SETTINGS))  # type: ignore[arg-type]


def agent() -> Conversation:
    """The request of a coding agent: all its tools, and many steps of a call and its result."""
    turns = [Turn("system", [Text(text="You are an agent.")]), user("Fix the fault")]
    for step in range(TURNS // 2):
        call = ToolCall(name=f"tool_{step}", arguments='{"path":"a.py","mode":"read"}', id=f"call_{step}")
        turns.append(Turn("assistant", [Text(text="Let me look."), call]))
        turns.append(Turn("tool", [ToolResult(call_id=call.id, parts=[Text(text="print(1)\n" * 20)])]))
    return Conversation(turns, Settings(tools=[_tool(number) for number in range(TOOLS)], **SETTINGS))  # type: ignore[arg-type]


def _tool(number: int) -> Tool:
    options = {"type": "object", "properties": {"deep": {"type": "boolean"}}, "required": ["deep"]}
    schema = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "The file to work on."},
            "lines": {"type": "array", "items": {"type": "integer"}},
            "mode": {"type": "string", "enum": ["read", "write", "append"]},
            "options": options,
            f"extra_{number}": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["path", "mode"],
        "additionalProperties": False,
    }
    return Tool(name=f"tool_{number}", description=f"Does thing {number} to a file.", schema=schema)


def rendering(protocol: str, conversation: Conversation) -> Callable[[], object]:
    return lambda: codec(protocol).render_request(conversation, MODEL, PLAIN)


def preparing(protocol: str, conversation: Conversation) -> Callable[[], object]:
    def run() -> object:
        seen = Survey(conversation.turns)
        named, _ = sent_names(conversation, PATTERN, seen, freeform=True)
        return prepared(named, protocol, MODEL, PLAIN, seen)

    return run


def translating(data: bytes, protocol: str) -> Callable[[], object]:
    """A request of a client of Anthropic, from its bytes to those for a provider."""

    def run() -> object:
        conversation = codec("anthropic").parse_request(Call("/v1/messages", decode(data)))
        return codec(protocol).render_request(conversation, MODEL, PLAIN).encode()

    return run


def report() -> str:
    return preparation() + "\n" + translation()


def translation() -> str:
    rows = []
    for what, make in (("plain", plain), ("an agent's", agent)):
        data = codec("anthropic").render_request(make(), MODEL, PLAIN).encode()
        decoded, *translated = side_by_side([lambda d=data: json.loads(d), *[translating(data, to) for to in NAMES]])
        rows.append([what, f"{len(data)}", f"{decoded:.0f}", *[ratio(took, decoded) for took in translated]])
    head = ["", "bytes", "json.loads µs", *NAMES]
    return table("A request of Anthropic translated, to json.loads of it", head, rows)


def preparation() -> str:
    rows = []
    for what, make in (("plain", plain), ("an agent's", agent)):
        cells = []
        for protocol in NAMES:
            whole, before = side_by_side([rendering(protocol, make()), preparing(protocol, make())])
            cells.append(ratio(whole, whole - before))
        rows.append([what, *cells])
    return table("A request with what comes before its renderer, to the renderer alone", ["", *NAMES], rows)
