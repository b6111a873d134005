"""The ASGI app of the simulator: reads requests, writes the journal, and sends responses step by step.

A step is made after the network has accepted the one before it, so a client that does not read stops the brain. A client that
disconnects stops it too: one task per request waits for the disconnect.
"""

import asyncio
import socket
import struct

from modelbay.errors import ProviderError
from modelbay.logs import escaped
from modelbay.serving import refusals
from modelbay.serving.asgi import TRANSPORT, Message, Receive, Send, body_of, disconnected, respond
from modelbay.serving.callers import Callers
from modelbay.serving.routes import protocol_of
from modelbay.simulator.journal import LOG, Journal, ReceivedRequest
from modelbay.simulator.responses import Cut, Pause, SimulatedResponse
from modelbay.simulator.simulated_provider import Incoming, SimulatedProvider

_CLOSING = 5.0
"""Seconds for a closed connection to flush its data."""


class SimulatorApp:
    def __init__(self, provider: SimulatedProvider, journal: Journal, callers: Callers) -> None:
        self._callers = callers
        self._provider = provider
        self._journal = journal

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        try:
            if reason := self._callers.refusal(scope["headers"]):
                raise refusals.not_allowed(reason)
            body = await body_of(scope, receive)
        except ProviderError as error:
            answer = refusals.refusal(protocol_of(path, headers, query), error, refusals.UNREAD)
            LOG.debug("%s", escaped(f"{scope['method']} {path}: status {answer.status}, {error.message}"))
            await respond(send, answer.status, answer.body, answer.headers)
            return
        if body is None:
            return
        incoming = Incoming(scope["method"], path, query, headers, body)
        entry = ReceivedRequest(incoming.method, incoming.target, headers, body)
        self._journal.add(entry)
        outcome = self._provider.handle(incoming)
        entry.protocol, entry.model, entry.fault = outcome.protocol, outcome.model, outcome.fault
        entry.parsed, entry.scripted = incoming.conversation, str(outcome.scripted) if outcome.scripted else None
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            sender = _Sender(scope, send, entry, gone)
            if await sender.run(outcome.answer):
                entry.end()
            else:
                entry.disconnect()
        except asyncio.CancelledError:
            entry.disconnect()
            raise
        finally:
            gone.cancel()


class _Sender:
    def __init__(self, scope: Message, send: Send, entry: ReceivedRequest, gone: "asyncio.Future[None]") -> None:
        self._scope = scope
        self._send = send
        self._entry = entry
        self._gone = gone
        self._started = False

    async def run(self, answer: SimulatedResponse) -> bool:
        """Send the response. Returns False if the client disconnected."""
        for step in answer.steps:
            if type(step) is bytes:
                await self._write(answer, step)
            elif type(step) is Pause:
                await asyncio.wait([self._gone], timeout=step.seconds)
            elif type(step) is Cut:
                self._cut(reset=step.reset)
                # before the connection is closed, the server would report an unfinished response
                await asyncio.wait([self._gone], timeout=_CLOSING)
                return True
            if self._gone.done():
                return False
        await self._write(answer, b"", more=False)
        return True

    async def _write(self, answer: SimulatedResponse, data: bytes, *, more: bool = True) -> None:
        if not self._started:
            self._started = True
            self._entry.status = answer.status
            headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
            if answer.length is not None:
                headers.append((b"content-length", b"%d" % answer.length))
            await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if data or not more:
            self._entry.sent += len(data)
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def _cut(self, *, reset: bool) -> None:
        transport: asyncio.Transport = self._scope["extensions"][TRANSPORT]
        if reset:
            # without lingering, closing sends a RST and discards unacknowledged data
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        else:
            transport.close()
