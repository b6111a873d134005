"""A conversation in which the model calls Python functions, until it answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

from msgspec import Struct

from modelbay.conversation import AnyPart, Media, Text, Tool, ToolCall, ToolResult, Turn
from modelbay.conversion import plain
from modelbay.errors import IncompleteReply, TooManySteps
from modelbay.events import Event, Reply
from modelbay.json_text import encode
from modelbay.library.reply_stream import ReplyStream
from modelbay.usage import Usage, sum_of


class ToolRan(Struct, tag="tool_ran"):
    """A function was called for the model."""

    call: ToolCall
    result: ToolResult


RunEvent: TypeAlias = Event | ToolRan


class ToolRun:
    """A conversation in which the model calls functions, until it answers. It is an async iterator of the events of all replies,
    with a `ToolRan` for each call between them. Awaiting it, or its `reply`, gives the last reply.

    It can be read once. Leaving its context, `aclose`, and cancelling the task that reads end it at once.
    """

    def __init__(
        self, turns: list[Turn], tools: Sequence[Tool], ask: Callable[[list[Turn]], ReplyStream], max_steps: int
    ) -> None:
        """`ask` continues a conversation. Raises ValueError if two tools have one name."""
        names = [tool.name for tool in tools]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several tools are called {repeated[0]}")
        self.turns = turns
        """The conversation so far: the prompt, and the replies and results after it."""
        self.steps: list[Reply] = []
        """The replies so far."""
        # it does not refer to this run: a loop that is left drops it, and with it the connection, at once
        self._events = _read(turns, self.steps, dict(zip(names, tools, strict=True)), ask, max_steps)

    @property
    def usage(self) -> Usage:
        """The tokens of all replies together."""
        return sum_of(reply.usage for reply in self.steps if reply.usage is not None)

    @property
    def cost(self) -> float | None:
        """The cost of all replies in US dollars; None if that of one is unknown."""
        costs = [reply.cost for reply in self.steps]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    async def reply(self) -> Reply:
        """The last reply, after the rest of the run. A reply that calls a tool without a function is the last one, too.

        Raises:
            ModelbayError: a reply did not start, or failed.
            TooManySteps: the model still calls tools after `max_steps` replies.
        """
        async for _ in self._events:
            pass
        if not self.steps or (self.turns[-1].role == "tool"):
            raise IncompleteReply("the run was closed before its last reply")
        return self.steps[-1]

    def __await__(self) -> Generator[Any, None, Reply]:
        return self.reply().__await__()

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        return self._events

    async def __anext__(self) -> RunEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """End the run: functions with `async` are cancelled, and the connection to the provider is closed."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _read(
    turns: list[Turn],
    steps: list[Reply],
    tools: dict[str, Tool],
    ask: Callable[[list[Turn]], ReplyStream],
    max_steps: int,
) -> AsyncGenerator[RunEvent, None]:
    while True:
        async with ask(turns) as stream:
            async for event in stream:
                yield event
            reply = await stream.reply()
        steps.append(reply)
        turns.append(reply.turn())
        calls = reply.tool_calls
        if not calls or any(call.name in tools and tools[call.name].function is None for call in calls):
            return
        if len(steps) >= max_steps:
            error = TooManySteps(f"the model still calls tools after {max_steps} replies", hint="increase `max_steps`")
            error.reply = reply
            raise error
        results = await asyncio.gather(*(_result(call, tools.get(call.name)) for call in calls))
        turns += [Turn("tool", [result]) for result in results]
        for call, result in zip(calls, results, strict=True):
            yield ToolRan(call, result)


async def _result(call: ToolCall, tool: Tool | None) -> ToolResult:
    """The result of a call. An error of the function, or in its arguments, is the result: the model can react to it."""
    failed: bool | None = None
    try:
        if tool is None or tool.function is None:
            raise LookupError(f"there is no tool called {call.name}")
        parts = _parts(await tool.function.call(call.arguments))
    except Exception as error:  # noqa: BLE001  the functions are the program's own
        parts, failed = [Text(text=f"{type(error).__name__}: {error}".removesuffix(": "))], True
    return ToolResult(call_id=call.id, name=call.name, parts=parts, is_error=failed)


def _parts(value: object) -> list[AnyPart]:
    """The result of a function: a text as it is, files, and other values as JSON."""
    if isinstance(value, str):
        return [Text(text=value)]
    if isinstance(value, Text | Media):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(one, Text | Media) for one in value):
        return list(value)
    return [Text(text=encode(plain(value)).decode())]
