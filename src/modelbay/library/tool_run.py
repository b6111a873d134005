"""A conversation in which the model calls Python functions, until it answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from itertools import zip_longest
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeAlias

from msgspec import Struct

from modelbay.conversation import AnyPart, Media, Text, Tool, ToolCall, ToolResult, Turn
from modelbay.conversion import plain
from modelbay.errors import IncompleteReply, ModelbayError, TooManySteps
from modelbay.events import Event, OutputT, Reply, Warned
from modelbay.json_text import encode
from modelbay.library.one_reader import OneReader
from modelbay.library.reply_stream import ReplyStream
from modelbay.other_names import RUN, unknown
from modelbay.protocols.repair import INTERRUPTED
from modelbay.usage import Usage, sum_of


class ToolRan(Struct, tag="tool_ran"):
    """A function was called for the model."""

    call: ToolCall
    """The call of the model."""
    result: ToolResult
    """The result for the model: what the function returned, or its error."""


RunEvent: TypeAlias = Event | ToolRan
"""An event of a run: of one of its replies, or the result of a tool call."""


class ToolRun(Generic[OutputT]):
    """A conversation in which the model calls functions, until it answers. It is an async iterator of the events of all replies,
    with a `ToolRan` for each call between them. Awaiting it, or its `reply`, gives the last reply.

    It can be read once, by one task. It ends at once if its context is left, the task that reads is cancelled, or any task
    calls `aclose`.
    """

    def __init__(self, work: "Work", events: AsyncGenerator[RunEvent, None] | None = None) -> None:
        """`events`: the events of the work, passed through a generator."""
        self.work = work
        # it does not refer to this run: a loop that is left drops it, and with it the connection, at once
        self._events = OneReader(work.events() if events is None else events)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, {**RUN, "close": "aclose"})

    def __repr__(self) -> str:
        return f"<ToolRun: {len(self.steps)} replies so far>"

    @property
    def turns(self) -> list[Turn]:
        """The conversation so far: the prompt, and the replies and results after it. If the run ended early, function calls
        without a result have one that says so."""
        return self.work.turns

    @property
    def steps(self) -> list[Reply]:
        """The replies so far."""
        return self.work.steps

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

    async def begin(self) -> Self:
        """Send the first request, and wait for the first part of its reply, which is kept for the reader. Returns the run.

        Raises:
            ModelbayError: the first reply did not start.
        """
        if not await self._events.hold(_is_of_reply):
            await self.reply()
        return self

    async def reply(self) -> Reply[OutputT]:
        """The last reply. Waits for the rest of the run. A reply that calls a tool without a function also ends the run.

        Raises:
            ModelbayError: a reply did not start, or failed.
            TooManySteps: the model still calls tools after `max_steps` replies.
            IncompleteReply: the run was closed before its last reply.
        """
        async for _ in self._events:
            pass
        if self.work.error is not None:
            raise self.work.error
        if not self.work.whole:
            raise IncompleteReply("the run was closed before its last reply", hint="read it to its end")
        return self.steps[-1]

    def __await__(self) -> Generator[Any, None, Reply[OutputT]]:
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


class Work:
    """The work of a run, and its results so far."""

    def __init__(
        self, turns: list[Turn], tools: Sequence[Tool], ask: Callable[[list[Turn], int], ReplyStream], max_steps: int
    ) -> None:
        """`ask` continues a conversation after a number of replies."""
        self.turns = turns
        self.steps: list[Reply] = []
        self.whole = False
        """Whether the last reply has arrived."""
        self.error: ModelbayError | None = None
        """The error that ended the run."""
        self._tools = {tool.name: tool for tool in tools}
        self._ask = ask
        self._max_steps = max_steps

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        try:
            while True:
                async with self._ask(self.turns, len(self.steps)) as stream:
                    async for event in stream:
                        yield event
                    reply = await stream.reply()
                self.steps.append(reply)
                self.turns.append(reply.turn())
                calls = reply.tool_calls
                if not calls or any(call.name in self._tools and not self._runs(call) for call in calls):
                    self.whole = True
                    return
                for call, result in zip(calls, await self._results(calls), strict=True):
                    yield ToolRan(call, result)
        except ModelbayError as error:
            self.error = error
            raise

    def _runs(self, call: ToolCall) -> bool:
        """Whether a function answers the call."""
        return call.name in self._tools and self._tools[call.name].function is not None

    async def _results(self, calls: list[ToolCall]) -> list[ToolResult]:
        """The results of the calls of a reply, which are added to the turns, even if the run ends here."""
        running: list[asyncio.Task[ToolResult]] = []
        try:
            if len(self.steps) >= self._max_steps:
                raise _too_many(self._max_steps, self.steps[-1])
            running = [asyncio.create_task(_result(call, self._tools.get(call.name))) for call in calls]
            return await asyncio.gather(*running)
        finally:
            for call, task in zip_longest(calls, running):
                ended = task is not None and task.done() and not task.cancelled() and task.exception() is None
                self.turns.append(Turn("tool", [task.result() if ended else _no_result(call)]))


def _is_of_reply(event: RunEvent) -> bool:
    return type(event) is not Warned


def _too_many(most: int, reply: Reply) -> TooManySteps:
    error = TooManySteps(f"the model still calls tools after {most} replies", hint="increase `max_steps`")
    error.reply = reply
    return error


def _no_result(call: ToolCall) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, parts=[Text(text=INTERRUPTED)], is_error=True)


async def _result(call: ToolCall, tool: Tool | None) -> ToolResult:
    """The result of a call. An error of the function, or in its arguments, is the result: the model can react to it."""
    failed: bool | None = None
    parts: list[AnyPart]
    try:
        if tool is None or tool.function is None:
            raise LookupError(f"there is no tool called {call.name}")
        parts = _parts(await tool.function.call(call.arguments))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        parts, failed = [Text(text="the function was cancelled")], True  # it waited for a task of its own that was
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
