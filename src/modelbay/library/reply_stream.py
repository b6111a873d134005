"""A reply that is read while it arrives, as events, as text or as a whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self

from modelbay.calling.fallback import ModelCall
from modelbay.calling.target import Target
from modelbay.conversation import Media, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.errors import ModelbayError, TimedOut
from modelbay.events import Event, Failed, OutputT, PartDelta, PartKind, PartStarted, Reply, Warned
from modelbay.library.deadline import Deadline
from modelbay.library.one_reader import OneReader
from modelbay.library.partial_json import begun
from modelbay.other_names import STREAM, unknown

KINDS: dict[type, PartKind] = {
    Text: "text",
    Thinking: "thinking",
    Refusal: "refusal",
    ToolCall: "arguments",
    ServerToolCall: "arguments",
    Media: "media",
}
"""The content that the deltas of a part have."""
_PARTS = 100
"""A partial answer is read again when it has grown by one of so many parts: reading each piece of a long one would take hours."""


class ReplyStream(Generic[OutputT]):
    """A reply that is read while it arrives. It is an async iterator of events and an async context manager.

    It can be read once, in one of these ways: the stream itself gives all events, `text` only the answer, `thinking` only the
    thinking. `reply` waits for the rest. The request is sent by `begin`, or when reading begins. The connection to the provider
    is closed at once if the context is left, the task that reads is cancelled, or any task calls `aclose`, which ends the
    stream for its reader. A second reader at the same time is a RuntimeError.
    """

    def __init__(self, events: AsyncGenerator[Event, None], reply: Callable[[], Awaitable[Reply[OutputT]]]) -> None:
        """`reply` gives the reply after its events were read, or raises its error. The events must not refer to this stream: a
        loop that is left then drops them, and with them the connection, at once."""
        self._events = OneReader(events)
        self._reply = reply

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, {**STREAM, "close": "aclose"})

    def __repr__(self) -> str:
        return f"<ReplyStream: {'ended' if self._events.ended else 'open'}>"

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def begin(self) -> Self:
        """Send the request, and wait for the first part of the reply, which is kept for the reader. Returns the stream. Errors
        that occur before the reply are raised here, so that a web server can still choose the status of its response.

        Raises:
            ModelbayError: the reply did not start.
        """
        if not await self._events.hold(_is_of_reply):
            await self._reply()
        return self

    @property
    def text(self) -> AsyncGenerator[str, None]:
        """The text of the answer in pieces, without thinking, refusals and calls.

        Raises:
            ModelbayError: the reply did not start, or failed.
        """
        return self._pieces("text")

    @property
    def thinking(self) -> AsyncGenerator[str, None]:
        """The thinking in pieces. Raises what `text` raises."""
        return self._pieces("thinking")

    @property
    def partial(self) -> AsyncGenerator[Any, None]:
        """The JSON answer so far, as Python values, each time it has grown by one percent. Objects and lists may lack members,
        and texts may be incomplete. For a value of the type `output`, use `(await stream.reply()).value`. Raises what `text`
        raises."""
        return self._growing()

    async def _growing(self) -> AsyncGenerator[Any, None]:
        text, read, last = "", 0, None
        async for piece in self._pieces("text"):
            text += piece
            if len(text) - read >= len(text) // _PARTS:
                read = len(text)
                if (found := begun(text)) is not None and found != last:
                    yield found
                    last = found
        if read < len(text) and (found := begun(text)) is not None and found != last:
            yield found

    async def _pieces(self, kind: PartKind) -> AsyncGenerator[str, None]:
        self._events.check_free()  # otherwise its error would close the stream of the first reader
        async with aclosing(self._events) as events:
            async for event in events:
                if type(event) is PartDelta:
                    if event.kind == kind and event.text:
                        yield event.text
                elif type(event) is Failed:
                    await self.reply()

    async def reply(self) -> Reply[OutputT]:
        """The whole reply. Waits for the rest of it.

        Raises:
            ModelbayError: it did not start, or failed. `reply` of the error has its complete parts.
            IncompleteReply: the stream was closed before the end of the reply.
        """
        async for _ in self._events:
            pass
        return await self._reply()

    async def aclose(self) -> None:
        """Close the connection to the provider, unless the reply has ended."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _is_of_reply(event: Event) -> bool:
    return type(event) is not Warned


def reply_stream(
    call: ModelCall, whole: Callable[[list[Event], Target | None], Reply], timeout: float | None = None
) -> ReplyStream:
    """The reply of a call. `whole` makes it of the events, or raises its error. `timeout`: maximum seconds from the beginning of
    reading to the end of the reply."""
    record = _Record()

    async def reply() -> Reply:
        if record.error is not None:
            raise record.error
        return whole(record.events, record.target)

    return ReplyStream(_read(call, record, timeout), reply)


class _Record:
    """The events of a reply that were read."""

    def __init__(self) -> None:
        self.target: Target | None = None
        self.events: list[Event] = []
        """Without the pieces of parts."""
        self.error: ModelbayError | None = None
        """Why the reply did not start."""
        self._kinds: dict[int, PartKind] = {}

    def add(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is PartDelta:
                event.kind = self._kinds.get(event.key, "text")
                continue
            if type(event) is PartStarted:
                self._kinds[event.key] = KINDS.get(type(event.part), "text")
            self.events.append(event)


async def _read(call: ModelCall, record: _Record, timeout: float | None) -> AsyncGenerator[Event, None]:
    deadline = Deadline(timeout)
    try:
        while isinstance(step := await deadline.within(call.step()), Warned):
            deadline.warned(step)
            record.events.append(step)
            yield step
    except ModelbayError as error:
        record.error = error
        raise
    record.target = call.target
    async with step as opened:
        try:
            while (events := await deadline.within(opened.events())) is not None:
                record.add(events)
                for event in events:
                    yield event
        except TimedOut as error:
            record.add([failed := Failed(error)])
            yield failed
