"""Calls whose replies have begun, read batch by batch.

A batch is the bytes that arrived together, and the events in them. There are two ways to read, which give the same batches:

- Pulled by a task, for a caller of the library: `hold` waits for the beginning of the reply, then `events` returns the batches.
- Pushed by the connection, for the gateway: `relay` calls `consume` with each batch, and returns at the end.

Either way, a reply is in one of three states:

1. Held: nothing of it shows yet. Its batches are kept, and a failure is raised, so that the call can be repeated.
2. Shown: text, a tool call or `HELD_BYTES` have arrived. The batches are handed out as they arrive, and a failure is an event.
3. Ended: the last event was handed out, or the reply was cut at a stop sequence.
"""

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from msgspec import Struct, field

from modelbay import logs
from modelbay.calling.target import Target
from modelbay.errors import ModelbayError, ReplyError
from modelbay.events import Event, Failed, Finished, shows
from modelbay.protocols.codec import Call
from modelbay.protocols.form import Mislabeled, first_byte, form_of, is_event_stream, is_json, web_page
from modelbay.protocols.names import Restorer
from modelbay.protocols.stopping import StopCut
from modelbay.protocols.wrapped_answers import Unwrapper
from modelbay.providers.endpoint import Endpoint
from modelbay.routing.retry import Attempts
from modelbay.secrecy import HiddenBytes

if TYPE_CHECKING:  # the HTTP client is imported only when something is sent
    from collections.abc import AsyncGenerator

    from modelbay.calling.recording import RecordedResponse
    from modelbay.protocols.codec import StreamParser
    from modelbay.transport import Response

    AnyResponse: TypeAlias = Response | RecordedResponse

Consume: TypeAlias = Callable[["Opened", list[Event]], None]
"""Takes the events of a reply that is relayed, and reads `data` of the call."""

_ENDS = (Finished, Failed)
HELD_BYTES = 64 * 1024
"""Bytes that are held back while a reply shows nothing. With more, it has begun, and a later failure is not retried."""


class Sending(Struct):
    """A call to send, and its target."""

    target: Target
    call: Call
    endpoint: Endpoint
    attempts: Attempts = field(default_factory=Attempts)


class Arrival:
    """Reads a reply: the bytes as they arrive, and the events in them."""

    data = b""
    """The bytes of the last batch."""
    _framed: bool | None = None
    """Whether the reply consists of server-sent events; None until its first byte."""
    _chunks: "AsyncGenerator[bytes, None] | None" = None
    """The pieces of the body, if they are pulled."""
    _begun = False
    """Whether a piece has arrived: before, a failure of the connection is raised."""
    _ended = False
    """Whether the last event was returned."""
    consume: Callable[[list[Event]], None]
    """Gets the events of a reply that is pushed."""

    def __init__(self, sending: Sending, response: "AnyResponse") -> None:
        self._response = response
        self._codec = sending.target.codec
        self._dialect = sending.endpoint.dialect
        self._origin = sending.target.provenance
        stream = sending.call.stream
        self._form = form_of(response.headers, sending.endpoint.protocol, stream=stream)
        self._in_pieces = self._form == "stream" or (stream and self._form == "whole")
        """Whether the reply is parsed as it arrives."""
        self._parser: StreamParser | Mislabeled
        if self._form == "stream" and stream:
            self._parser = self._codec.stream_parser(self._dialect, self._origin)
        elif self._in_pieces:
            self._parser = Mislabeled(self._codec, self._dialect, self._origin)

    # --- pulled ---

    async def next(self) -> list[Event] | None:
        """The events of the next bytes, which `data` has; None after the end. The last event is `Finished` or `Failed`.

        Raises:
            ModelbayError: no part of the reply arrived.
        """
        if self._ended:
            self.data = b""
            return None
        if not self._in_pieces:
            self._ended = True
            self.data = body = await self._response.read()
            return self._parsed_whole(body)
        return await self._next_of_stream()

    def _parsed_whole(self, body: bytes) -> list[Event]:
        if is_event_stream(body):
            self._framed = True
            parser = self._codec.stream_parser(self._dialect, self._origin)
            events = parser.feed(body)
            return events if events and type(events[-1]) in _ENDS else [*events, *parser.close()]
        if self._form == "page" and not is_json(body):
            return [Failed(web_page(body))]
        return self._codec.parse_reply(body, self._dialect, self._origin)

    async def _next_of_stream(self) -> list[Event]:
        if self._chunks is None:
            self._chunks = self._response.stream()
        try:
            chunk = await anext(self._chunks, None)
        except ModelbayError as error:
            if not self._begun:
                raise
            return self._closed(error)
        if chunk is None:
            return self._closed(None)
        events = self._parsed(chunk)
        if self._ended:
            self.data += await self._response.finish()
        return events

    # --- pushed ---

    async def push(self, consume: Callable[[list[Event]], None]) -> None:
        """Call `consume` with the results of `next`, from the connection, without a task switch per piece. Returns at the end.
        Bytes that follow the last event come with no events. Raises what `next` and `consume` raise."""
        self.consume = consume
        try:
            if not self._in_pieces:
                consume(await self.next() or [])
            else:
                await self._pump()
        finally:
            del self.consume  # it may refer to this call: the memory of both would wait for the garbage collector

    async def _pump(self) -> None:
        try:
            await self._response.pump(self._pushed)
        except ModelbayError as error:
            if not self._begun:
                raise
            if not self._ended:
                self.consume(self._closed(error))
        else:
            if not self._ended:
                self.consume(self._closed(None))

    def _pushed(self, chunk: bytes) -> None:
        if self._ended:
            self.data = chunk
            self.consume([])
            return
        events = self._parsed(chunk)
        if self._ended:
            self._response.finished()
        self.consume(events)

    # --- both ---

    def _parsed(self, chunk: bytes) -> list[Event]:
        self._begun = True
        if self._framed is None and first_byte(chunk):
            self._framed = not is_json(chunk)
        self.data = chunk
        events = self._parser.feed(chunk)
        if events:
            self._response.progress()
            if type(events[-1]) in _ENDS:
                self._ended = True
                return events
        if self._parser.finishing:
            self._response.hurry()
        return events

    @property
    def framed(self) -> bool:
        """Whether the reply consists of server-sent events, not of JSON. Some servers always send a stream, others never."""
        return self._framed is True

    def pause(self) -> None:
        """Stop reading: the consumer of the events is behind."""
        self._response.pause()

    def resume(self) -> None:
        """Continue reading after `pause`."""
        self._response.resume()

    def _closed(self, error: ModelbayError | None) -> list[Event]:
        self._ended = True
        self.data = b""
        events = self._parser.close()
        if error is not None and isinstance(events[-1], Failed):
            events[-1] = Failed(error)  # explains more than a missing terminator
        return events

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        if self._chunks is not None:
            await self._chunks.aclose()
        await self._response.aclose()


class _FailedBefore(Exception):
    """A reply failed before it showed anything."""

    def __init__(self, error: ModelbayError) -> None:
        self.error = error


class _CutOff(Exception):
    """The rest of a reply is not needed: it was cut at a stop sequence."""


class Opened:
    """A call whose reply has begun: its first content has arrived, or all of it. Close it, or use it as an async context
    manager: closing it before its end closes the connection to the provider at once.

    Nothing is retried any more: a later failure is a `Failed` event.
    """

    data = b""
    """The bytes that the last events are from, unchanged."""
    _size = 0
    """Bytes that are held back."""
    _consume: "Consume"
    _end: tuple[Event, float] | None = None
    """The last event, and the seconds that the reply took, until they are logged."""

    def __init__(self, sending: Sending, response: "AnyResponse", explained: Callable[[ModelbayError], object]) -> None:
        """`explained` adds what is known about a call to an error in its reply."""
        self.sending = sending
        self.status = response.status
        self.headers = response.headers
        """Names in lower case."""
        self._start = perf_counter()
        self._reader = Arrival(sending, response)
        call = sending.call
        self._restorer = Restorer(call.names, call.offered) if call.names or call.offered else None
        self._stops = StopCut(call.stops) if call.stops else None
        self._unwrapper = Unwrapper() if call.wrapped else None
        self._changes = self._restorer is not None or self._stops is not None or call.wrapped
        self._explained = explained
        self._held: list[tuple[bytes, list[Event]]] = []

    @property
    def attempts(self) -> int:
        """The requests that were sent, this one included."""
        return self.sending.attempts.made

    @property
    def framed(self) -> bool:
        """Whether the reply consists of server-sent events."""
        return self._reader.framed

    async def hold(self) -> None:
        """Read until something of the reply shows, or it has ended.

        Raises:
            ModelbayError: the reply failed before.
        """
        while (events := await self._reader.next()) is not None:
            if self._holds(events):
                return

    async def relay(self, consume: "Consume") -> None:
        """Read the whole reply: `consume` is called with its events as they arrive, as soon as something of it shows, and
        `data` has the bytes. Bytes that follow the last event come with no events.

        Raises:
            ModelbayError: the reply failed before it showed anything.
        """
        self._consume = consume
        failed: ModelbayError | None = None
        try:
            await self._reader.push(self._pass_on)
        except _FailedBefore as failure:
            failed = failure.error
        except _CutOff:
            pass
        finally:
            self._log_end()
            del self._consume  # as in `Arrival.push`
        if failed is not None:  # raised out here, because its context would be an error that holds it
            raise failed

    def _pass_on(self, events: list[Event]) -> None:
        """Keep events until one shows something, or the reply ends; then give all to the consumer."""
        try:
            shown = self._holds(events)
        except ModelbayError as error:  # other errors of its kind are those of the connection
            raise _FailedBefore(error) from None
        if shown:
            self._reader.consume = self._give
            held, self._held = self._held, []
            for self._reader.data, one in held:
                self._give(one)

    def _give(self, events: list[Event]) -> None:
        """Give events to the consumer. Raises `_CutOff` if the rest of the reply is not needed."""
        self.data = self._reader.data
        if events and (self._changes or type(events[-1]) in _ENDS):
            events = self._restored(events)
        self._consume(self, events)
        if self._stops is not None and self._stops.done:
            raise _CutOff

    def _holds(self, events: list[Event]) -> bool:
        """Keep the events of the last bytes. Returns whether the reply has begun. Raises the error of a reply that failed
        before."""
        self._held.append((self._reader.data, events))
        self._size += len(self._reader.data)
        for event in events:
            if isinstance(event, Failed):
                if isinstance(event.error, ReplyError):
                    event.error.received = HiddenBytes(b"".join(data for data, _ in self._held))
                raise event.error
            if shows(event):
                return True
        return self._size > HELD_BYTES

    def pause(self) -> None:
        """Stop reading: the consumer is behind."""
        self._reader.pause()

    def resume(self) -> None:
        """Continue reading after `pause`."""
        self._reader.resume()

    async def events(self) -> list[Event] | None:
        """The events of the next bytes, which may be none; None after the end of the reply, which is one `Finished` or
        `Failed`. `data` has the bytes."""
        if self._stops is not None and self._stops.done:
            self._log_end()
            return None
        if self._held:
            self.data, events = self._held.pop(0)
        else:
            found = await self._reader.next()
            self.data = self._reader.data
            if found is None:
                self._log_end()
                return None
            events = found
        return self._restored(events) if events else events

    def _restored(self, events: list[Event]) -> list[Event]:
        """The events with the caller's own names of tools and answers out of their objects, cut at stop sequences."""
        if self._unwrapper is not None and not (events := self._unwrapper.feed(events)):
            return events
        if self._stops is not None and not (events := self._stops.feed(events)):
            return events
        last = events[-1]
        if type(last) in _ENDS:
            if isinstance(last, Failed):
                self._explained(last.error)
            self._end = last, perf_counter() - self._start
        if self._restorer is None or not self._restorer.concerns(events):
            return events
        return [restored for event in events for restored in self._restorer.feed(event)]

    def _log_end(self) -> None:
        """Log the end of the reply, after its consumer has used the last events: it may write them where the log is written."""
        if self._end is not None:
            (last, seconds), self._end = self._end, None
            logs.ended(seconds, last)

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        self._log_end()
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
