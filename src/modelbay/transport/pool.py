"""Opens connections to servers, and keeps those that can be used again."""

import asyncio
import errno
import socket
from collections import defaultdict
from typing import Any, TypeAlias

import aiohappyeyeballs

from modelbay.config.schema import Tls
from modelbay.origin import is_public
from modelbay.transport.http_connection import HttpConnection
from modelbay.transport.request import Head, Request
from modelbay.transport.sweeper import EARLY, Sweeper
from modelbay.transport.tls import TlsContexts, keep_session

KEEP_ALIVE = 30.0
"""Seconds an unused connection is kept. Servers close theirs after 5 to 75 s; a call sent at that moment would be lost."""
MOST_KEPT = 128
"""Maximum number of unused connections to one server."""
HEAD_START = 0.25
"""Seconds after which the next address of a server is tried beside the one before (RFC 8305)."""

Key: TypeAlias = tuple[bool, str, int, Tls | None, bool]
"""The purpose of a connection: TLS, host, port, TLS settings, and whether only public addresses are connected to."""


class Pool:
    nap = KEEP_ALIVE

    def __init__(self, loop: asyncio.AbstractEventLoop, contexts: TlsContexts, sweeper: Sweeper) -> None:
        self._loop = loop
        self._contexts = contexts
        self._sweeper = sweeper
        self._open: dict[HttpConnection, Key] = {}
        self._unused: defaultdict[Key, list[HttpConnection]] = defaultdict(list)
        self._lookups: dict[tuple[str, int], asyncio.Task[list[Any]]] = {}
        self._closed = False

    def take(self, key: Key) -> HttpConnection | None:
        """An unused connection, the one that was used last."""
        unused = self._unused.get(key)
        while unused:
            connection = unused.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, key: Key, head: Head, request: Request) -> HttpConnection:
        """A new connection.

        Raises:
            ConfigError: a file of the TLS settings cannot be used.
            TimeoutError: there is no connection within the limit.
            OSError, ValueError: the server cannot be connected to.
        """
        context = self._contexts.of(request.tls) if head.secure else None
        if self._closed:
            raise ConnectionAbortedError
        async with asyncio.timeout(request.limits.connect):
            addresses = await self._addresses(head)
            if request.public:  # these addresses are connected to: the name is not resolved again
                addresses = [address for address in addresses if is_public(address[4][0])]
                if not addresses:
                    raise PermissionError(errno.EPERM, "not a public address")
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=HEAD_START, loop=self._loop
            )
            _, connection = await self._loop.create_connection(
                lambda: HttpConnection(self._loop, self._keep, self._forget),
                sock=connected,
                ssl=context,
                server_hostname=head.host.rstrip(".") if context is not None else None,
            )
        if self._closed:
            connection.abort()
            raise ConnectionAbortedError
        self._open[connection] = key
        return connection

    async def _addresses(self, head: Head) -> list[Any]:
        try:  # an address needs no lookup, which is made in a thread
            return socket.getaddrinfo(
                head.host, head.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            )
        except socket.gaierror:
            return await asyncio.shield(self._lookup(head.host, head.port))

    def _lookup(self, host: str, port: int) -> "asyncio.Task[list[Any]]":
        """The lookup of a name. Calls that begin together share it: there are few threads for lookups."""
        task = self._lookups.get((host, port))
        if task is None:

            def ended(task: "asyncio.Task[list[Any]]") -> None:
                self._lookups.pop((host, port), None)
                if not task.cancelled():
                    task.exception()  # retrieved, even if the call was cancelled

            found = self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            task = self._loop.create_task(found)
            task.add_done_callback(ended)
            self._lookups[host, port] = task
        return task

    def due(self) -> float:
        """When the first unused connection must be closed. If there is none, `expire` is due, and the sweeps end."""
        oldest = [unused[0].idle_since for unused in self._unused.values() if unused]
        return min(oldest) + KEEP_ALIVE if oldest else 0.0

    def expire(self) -> None:
        now = self._loop.time() + EARLY
        for key, unused in list(self._unused.items()):
            while unused and unused[0].idle_since + KEEP_ALIVE <= now:
                unused.pop(0).abort()
            if not unused:
                del self._unused[key]
        if not self._unused:
            self._sweeper.remove(self)

    def close(self) -> None:
        self._closed = True
        for connection in list(self._open):
            connection.lose(None)
        self.abandon()

    def abandon(self) -> None:
        """Drop all connections without closing them."""
        self._open.clear()
        self._unused.clear()

    def _keep(self, connection: HttpConnection) -> None:
        key = self._open.get(connection)
        if key is None or len(self._unused[key]) >= MOST_KEPT:
            connection.abort()
            return
        if key[0] and not connection.idle_since:
            keep_session(connection.transport)
        connection.idle_since = now = self._loop.time()
        self._unused[key].append(connection)
        self._sweeper.add(self, now)

    def _forget(self, connection: HttpConnection) -> None:
        key = self._open.pop(connection, None)
        if key is not None and connection in self._unused.get(key, ()):
            self._unused[key].remove(connection)
