"""Calls without a proxy: the client of modelbay itself.

A call on a connection that is used again needs one future, for the head of the reply, and no task and no timer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from copy import copy
from math import inf
from typing import Literal

from modelbay.errors import Disconnected, ModelbayError
from modelbay.transport.decompression import Decompressor, Limited, decompressor
from modelbay.transport.failure import NotHttp, Stage, cut_off, explained, timed_out, too_large
from modelbay.transport.http_connection import HttpConnection
from modelbay.transport.pool import Pool
from modelbay.transport.request import Head, Limits, Request
from modelbay.transport.response import REST, Response, collector
from modelbay.transport.sweeper import Sweeper
from modelbay.transport.tls import TlsContexts

AHEAD = 256 * 1024
"""Bytes of a body that are received before they are read."""


class DirectClient:
    """Sends calls on connections of one event loop."""

    def __init__(self, contexts: TlsContexts) -> None:
        self.loop = asyncio.get_running_loop()
        self.sweeper = Sweeper(self.loop)
        self._pool = Pool(self.loop, contexts, self.sweeper)
        self._limits = Limits()
        self._nap = _nap(self._limits)

    async def aclose(self) -> None:
        self.sweeper.stop()
        self._pool.close()
        await asyncio.sleep(0)  # the event loop closes the sockets

    def abandon(self) -> None:
        self._pool.abandon()

    def begin(self, request: Request) -> "DirectResponse | None":
        """Send a request that has a head on a kept connection; None if there is none. Returns at once.

        A body that can be read only once is not sent on a kept connection, as it could not be sent again: see `send`.
        """
        head = request.head
        assert head is not None
        key = head.secure, head.host, head.port, request.tls, request.public
        kept = self._pool.take(key) if request.body is None or isinstance(request.body, bytes) else None
        return None if kept is None else self._on(kept, request, head)

    async def send(self, request: Request, begun: "DirectResponse | None" = None) -> "DirectResponse":
        """Send a request that has a head. `begun`: the result of `begin` for it. Raises what `Transport.send` raises.

        A kept connection may be closed by the server at the moment when it is used. A call to which nothing of a reply
        has arrived is sent again then, once, on a new connection.
        """
        head = request.head
        assert head is not None
        begun = begun or self.begin(request)
        if begun is not None:
            try:
                return await begun.after_head()
            except Disconnected:
                if begun.received:
                    raise
        key = head.secure, head.host, head.port, request.tls, request.public
        try:
            connection = await self._pool.connect(key, head, request)
        except TimeoutError:
            raise timed_out("connect", request) from None
        except (OSError, ValueError) as error:
            raise explained(error, request, connected=False) from None
        return await self._on(connection, request, head).after_head()

    def _on(self, connection: HttpConnection, request: Request, head: Head) -> "DirectResponse":
        if request.limits is not self._limits:
            self._limits, self._nap = request.limits, _nap(request.limits)
        response = DirectResponse(self, request, connection, self._nap)
        response.start(head)
        return response


def _nap(limits: Limits) -> float:
    return min(REST, limits.first_byte, limits.idle, limits.first_event, limits.content)


class DirectResponse(Response):
    """The sink of a connection. What arrives is pushed to a consumer, even if the caller reads or streams it."""

    status = 0
    on_arrival: Callable[[], None] | None = None
    """Called once, by the connection: when the reply has arrived as a whole, when it must be awaited longer, or when the call has
    failed. For callers without a task."""
    _waiter: asyncio.Future[None] | None = None
    # the body
    _consume: Callable[[bytes], None] | None = None
    _decompressor: Decompressor | None = None
    _decompressing: Iterator[bytes] = iter(())
    _queued = 0
    """Bytes that wait for the caller of `stream`."""
    _paused = False
    _limited: Limited = "stream_bytes"
    _size = 0
    _over = False
    """Whether the connection is no longer used."""
    _done = False
    """Whether everything was consumed, too."""
    _error: BaseException | None = None
    # time
    _waited = 0.0
    """Seconds waited for `_awaited` before. Time in which the caller does not read is not counted."""
    _awaited: Literal["first_event", "content", "rest"] = "first_event"
    """The next thing that the reply must contain, apart from keep-alives."""
    _finished = False
    """Whether the reply has ended by its content; nothing that happens to the connection is an error then."""
    _ends_by: float | None = None

    def __init__(self, client: DirectClient, request: Request, connection: HttpConnection, nap: float) -> None:
        self._request = request
        self._client = client
        self._loop = client.loop
        self._connection = connection
        self._backlog: deque[bytes] = deque()
        """Pieces that have arrived and are not consumed yet."""
        self._queue: list[bytes] = []
        """Pieces that wait for the caller of `stream`."""
        self._limit = request.limits.stream_bytes
        self.nap = nap
        self._began = now = self._loop.time()
        self._since: float | None = now
        """When the present wait for the server began; None while the caller does not wait."""

    def start(self, head: Head) -> None:
        """Send the request."""
        self._client.sweeper.add(self, self._began)
        self._connection.start(head.start, self._request.body, self._request.length, self)

    async def after_head(self) -> "DirectResponse":
        """This response, when its head has arrived. Raises what `Transport.send` raises."""
        try:
            if not self.status and not self._over:
                await self._wait()
        except BaseException:
            self._abort()
            raise
        if self._error is not None and not self.status:
            raise self._taken_error()
        return self

    @property
    def received(self) -> bool:
        """Whether anything of the reply has arrived."""
        return self._connection.received

    @property
    def whole(self) -> bytes | None:
        """The body, if all of it has arrived; None if it must be awaited, or has failed."""
        if not self._over or self._error is not None or self._size > self._request.limits.reply_bytes:
            return None
        coding = self.headers.get("content-encoding")
        packed = None if coding is None else decompressor(coding, self._request, "reply_bytes")
        if packed is None:
            return b"".join(self._backlog)
        try:
            pieces = [piece for part in self._backlog for piece in packed.feed(part)]
            packed.close()
        except ModelbayError:
            return None  # `read` reports it
        return b"".join(pieces)

    # --- for the caller ---

    async def read(self) -> bytes:
        if (whole := self.whole) is not None:  # the usual reply: it has arrived with its head
            return whole
        chunks: list[bytes] = []
        await self._consumed(collector(self, chunks), "reply_bytes")
        return b"".join(chunks)

    async def pump(self, consume: Callable[[bytes], None]) -> None:
        await self._consumed(consume, "stream_bytes")

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            self._begin(self._enqueue, "stream_bytes")
            while True:
                while self._queue:
                    self._since = None
                    yield self._dequeued()
                self.resume()
                if self._done:
                    break
                if not self._queue:
                    self._since = self._loop.time()
                    await self._wait()
            if self._error is not None:
                raise self._taken_error()
        finally:
            if not self._finished:
                self._abort()
                self._consume = None

    async def finish(self, grace: float = 0.1) -> bytes:
        rest, self._queue = self._queue, []
        self.finished(grace)
        self.resume()
        await self._consumed(rest.append, self._limited)
        return b"" if self._decompressor is not None else b"".join(rest)

    def finished(self, grace: float = 0.1) -> None:
        self._finished = True
        if not self._over and not self._connection.ended:
            self._ends_by = self._loop.time() + grace
            self._client.sweeper.wake_by(self._ends_by)

    def progress(self) -> None:
        self._awaited, self._waited = "content", 0.0

    def hurry(self) -> None:
        if self._awaited != "rest":
            self._awaited, self._waited = "rest", 0.0

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._stop_waiting()
            if not self._over:
                self._connection.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._size:
                self._began = self._loop.time()
            self._push()
            self._go_on()

    async def aclose(self) -> None:
        if not self._over:
            self._fail(cut_off(self._request, self._size))  # for a task that is reading

    def leave(self) -> None:
        """Close the connection, unless the reply has ended. Nothing is reported."""
        self.on_arrival = None
        self._abort()

    # --- the body ---

    async def _consumed(self, consume: Callable[[bytes], None], limited: Limited) -> None:
        try:
            self._begin(consume, limited)
            while not self._done:
                await self._wait()
        finally:
            self._abort()
            self._consume = None  # it refers to this response
        if self._error is not None and not (self._finished and isinstance(self._error, ModelbayError)):
            raise self._taken_error()

    def _taken_error(self) -> BaseException:
        """The error, to be raised. A second reader gets a copy: the frames in the traceback of this one refer to this response."""
        error = self._error
        assert error is not None
        self._error = copy(error) if isinstance(error, ModelbayError) else cut_off(self._request, self._size)
        return error

    def _begin(self, consume: Callable[[bytes], None], limited: Limited) -> None:
        if self._consume is None:
            self._limited, self._limit = limited, getattr(self._request.limits, limited)
            self._decompressor = decompressor(self.headers.get("content-encoding"), self._request, limited)
        self._consume = consume
        if self._size > self._limit:
            self._fail(too_large(self._request, limited))
        self._push()
        self._go_on()

    def _go_on(self) -> None:
        """Read on from the connection, unless the consumer has paused."""
        if not self._paused and not self._over:
            self._since = self._loop.time()
            self._connection.resume_reading()

    def _push(self) -> None:
        """Pass on what has arrived, until the consumer pauses."""
        consume = self._consume
        if consume is None:
            return
        try:
            while not self._paused:
                for piece in self._decompressing:
                    consume(piece)
                    if self._paused:
                        return
                if not self._backlog:
                    self._settle()
                    return
                if self._decompressor is None:
                    consume(self._backlog.popleft())
                else:
                    self._decompressing = self._decompressor.feed(self._backlog.popleft())
        except Exception as error:  # noqa: BLE001  # raised by the method that reads the body
            self._fail(error)

    def _settle(self) -> None:
        if self._over and not self._done:
            self._done = True
            if self._decompressor is not None and self._error is None:
                self._decompressor.close()
            self._wake()

    def _enqueue(self, piece: bytes) -> None:
        self._queue.append(piece)
        self._queued += len(piece)
        self._stop_waiting()
        if self._queued > AHEAD:
            self.pause()
        self._wake()

    def _dequeued(self) -> bytes:
        if self._decompressor is not None or len(self._queue) == 1:
            piece = self._queue.pop(0)
        else:
            piece = b"".join(self._queue)
            self._queue.clear()
        self._queued -= len(piece)
        return piece

    # --- the sink of the connection ---

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        if self.on_arrival is None:  # else the body is awaited, too, and not by a task
            self._stop_waiting()
            self._wake()

    def on_data(self, data: bytes) -> None:
        if self._since is not None:
            now = self._loop.time()
            self._waited += now - self._since
            self._since = now
        self._size += len(data)
        if self._size > self._limit:
            self._fail(too_large(self._request, self._limited))
        elif self._consume is None or self._paused:
            self._backlog.append(data)
            if self._size > AHEAD:
                self._connection.pause_reading()
            if not self._connection.ended:
                self._report()
        elif self._decompressor is not None:
            self._backlog.append(data)
            self._push()
        else:
            try:
                self._consume(data)
            except Exception as error:  # noqa: BLE001  # raised by the method that reads the body
                self._fail(error)

    def on_end(self) -> None:
        self._release()
        if self._consume is not None:
            self._push()
        self._report()

    def on_lost(self, error: BaseException | None) -> None:
        self._release()
        if not isinstance(error, OSError | NotHttp | ValueError | None):
            self._error = error  # of the iterator that gives the request's body
        elif not self.status:
            self._error = explained(error, self._request, connected=True)
        else:
            self._error = cut_off(self._request, self._size)
        self._push()
        self._wake()
        self._report()

    def _report(self) -> None:
        call, self.on_arrival = self.on_arrival, None
        if call is not None:
            call()

    def _release(self) -> None:
        self._over = True
        self._since = None
        self._client.sweeper.remove(self)

    def _abort(self) -> None:
        if not self._over:
            self._connection.abort()
            self._release()
            self._done = True

    def _fail(self, error: BaseException) -> None:
        self._abort()
        self._error, self._done = error, True
        self._backlog.clear()
        self._decompressing = iter(())
        self._wake()
        self._report()

    # --- time ---

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_waiting(self) -> None:
        if self._since is not None:
            self._waited += self._loop.time() - self._since
            self._since = None

    def due(self) -> float:
        if self._ends_by is not None:
            return self._ends_by
        return inf if self._since is None else min(self._silent_at(self._since), self._empty_at(self._since))

    def _silent_at(self, since: float) -> float:
        limits = self._request.limits
        return since + limits.idle if self._size else self._began + limits.first_byte

    def _empty_at(self, since: float) -> float:
        patience = REST if self._awaited == "rest" else getattr(self._request.limits, self._awaited)
        return since + max(patience - self._waited, 0.0)

    def expire(self) -> None:
        since, awaited = self._since, self._awaited
        if self._ends_by is not None or since is None:
            stage: Stage | None = None
        elif self._silent_at(since) <= self._empty_at(since):
            stage = "idle" if self._size else "first_byte"
        else:
            stage = None if awaited == "rest" else awaited
        self._fail_late(stage)

    def _fail_late(self, stage: Stage | None) -> None:
        self._connection.abort()
        self._release()
        if stage is not None:
            self._error = timed_out(stage, self._request)
        self._push()
        self._wake()
        self._report()
