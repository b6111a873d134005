"""How the cost of a request or a reply grows with its size: the processor time of twice as much, as a ratio to once."""

from collections.abc import Callable

import msgspec

from bench.clock import side_by_side
from bench.table import ratio, table
from modelbay.conversation import Conversation, Settings, Text, Tool, ToolCall, ToolResult, Turn, user
from modelbay.dialect import PLAIN
from modelbay.events import Event, Finished, PartDelta, PartEnded, PartStarted, Started, collect
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec

COUNT = 2_000
MODEL = Model(id="m", max_output_tokens=1_000)
PATH = "/v1beta/models/m:generateContent"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def _call(number: int) -> ToolCall:
    return ToolCall(name="f", arguments='{"a":1}', id=f"call_{number}")


def _result(number: int) -> Turn:
    return Turn("tool", [ToolResult(call_id=f"call_{number}", name="f", parts=[Text(text="ok")])])


def open_calls(count: int) -> Conversation:
    """A turn with many calls, and their results."""
    calls = Turn("assistant", [_call(number) for number in range(count)])
    return Conversation([user("Go"), calls, *map(_result, range(count))])


def steps(count: int) -> Conversation:
    turns = [turn for number in range(count) for turn in (Turn("assistant", [_call(number)]), _result(number))]
    return Conversation([user("Go"), *turns])


def interrupted(count: int) -> Conversation:
    """Many calls, each without a result."""
    turns = [turn for number in range(count) for turn in (Turn("assistant", [_call(number)]), user("Stop"))]
    return Conversation([user("Go"), *turns])


def strays(count: int) -> Conversation:
    """Many results without a call."""
    return Conversation([user("Go"), *map(_result, range(count)), user("So?")])


def messages(count: int) -> Conversation:
    return Conversation([user("Hello") for _ in range(count)])


def parts(count: int) -> Conversation:
    return Conversation([Turn("user", [Text(text="Hello") for _ in range(count)])])


def tools(count: int) -> Conversation:
    return Conversation([user("Go")], Settings(tools=[Tool(name=f"t{n}", schema=SCHEMA) for n in range(count)]))


REQUESTS = (open_calls, steps, interrupted, strays, messages, parts, tools)


def parallel(count: int) -> list[Event]:
    """A reply whose calls are all open at the same time."""
    started = [PartStarted(number, ToolCall(name="f", id=f"c{number}")) for number in range(count)]
    deltas = [PartDelta(number, "{}") for number in range(count)]
    ended = [PartEnded(number, ToolCall(name="f", id=f"c{number}", arguments="{}")) for number in range(count)]
    return [Started("r"), *started, *deltas, *ended, Finished("tool_calls")]


def backwards(count: int) -> list[Event]:
    """The same, the last one ending first."""
    events = parallel(count)
    return [*events[: 1 + 2 * count], *reversed(events[1 + 2 * count : -1]), events[-1]]


REPLIES = (parallel, backwards)


def rendering(protocol: str, conversation: Conversation) -> Callable[[], object]:
    return lambda: codec(protocol).render_request(conversation, MODEL, PLAIN).encode()


def parsing(protocol: str, conversation: Conversation) -> Callable[[], object]:
    body = msgspec.json.decode(codec(protocol).render_request(conversation, MODEL, PLAIN).encode())
    return lambda: codec(protocol).parse_request(Call(PATH if protocol == "google" else "", body))


def streaming(protocol: str, events: list[Event]) -> Callable[[], object]:
    def run() -> bytes:
        renderer = codec(protocol).stream_renderer(Conversation(model="m"))
        return b"".join([renderer.feed(event) for event in events])

    return run


def reading(protocol: str, events: list[Event]) -> Callable[[], object]:
    stream = streaming(protocol, events)()
    assert isinstance(stream, bytes)

    def run() -> object:
        parser = codec(protocol).stream_parser(PLAIN)
        return collect(parser.feed(stream) + parser.close())

    return run


Scenario = tuple[str, str, Callable[[int], Callable[[], object]]]


def scenarios() -> list[Scenario]:
    """An operation, its protocol, and a function from a count to the code to run."""
    found: list[Scenario] = []
    for protocol in NAMES:
        for make in REQUESTS:
            name = make.__name__.replace("_", " ")
            found.append((f"render {name}", protocol, lambda n, p=protocol, m=make: rendering(p, m(n))))  # type: ignore[misc]
            found.append((f"parse {name}", protocol, lambda n, p=protocol, m=make: parsing(p, m(n))))  # type: ignore[misc]
        for reply in REPLIES:
            found.append((f"stream {reply.__name__}", protocol, lambda n, p=protocol, r=reply: streaming(p, r(n))))  # type: ignore[misc]
            found.append((f"read {reply.__name__}", protocol, lambda n, p=protocol, r=reply: reading(p, r(n))))  # type: ignore[misc]
    return found


def report() -> str:
    rows: dict[str, list[str]] = {}
    for what, _, prepare in scenarios():
        once, twice = side_by_side([prepare(COUNT), prepare(2 * COUNT)])
        rows.setdefault(what, [what]).append(ratio(twice, once))
    return table(f"Twice as much ({COUNT:,} and {2 * COUNT:,})", ["", *NAMES], list(rows.values()))
