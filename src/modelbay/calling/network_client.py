"""The network as a client sees it, apart from calls of models: connections of each event loop, tokens of logins, and requests to
login servers and lists.
"""

import os
from asyncio import AbstractEventLoop, get_running_loop, run_coroutine_threadsafe
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from modelbay.config.schema import Config
from modelbay.credentials.google import Described, GoogleTokens
from modelbay.credentials.network import transport_of
from modelbay.credentials.tokens import Login, Tokens
from modelbay.errors import HubClosed, ModelbayError
from modelbay.origin import origin as origin_of
from modelbay.providers.endpoint import Endpoint, proxy_of
from modelbay.providers.logins import login_of
from modelbay.secrecy import HiddenBytes, masked_url, without_frames

if TYPE_CHECKING:  # the HTTP client is imported only when something is sent
    from modelbay.transport import Transport

USER_AGENT = "modelbay/0.1.0"
EXCHANGE_SECONDS = 30.0
"""Timeout in seconds of a request of a login, or for a list of models that no provider serves."""


class Connections:
    """Resources of one event loop: connections and token refreshes, which are tasks of that loop."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.tokens: dict[str, Tokens] = {}
        self.google: dict[str | None, GoogleTokens] = {}
        self.end: AsyncGenerator[None, None]
        """Closes the connections when it is closed. `asyncio.run` closes all async generators, so nothing outlives the
        loop."""


class NetworkClient:
    """Keeps connections and tokens. Each event loop has its own connections, and so has a forked child."""

    def __init__(self, config: Config, transport: "Transport | None" = None) -> None:
        """`transport` is used instead of one of its own, and is not closed with it: a server keeps its connections when
        its configuration changes."""
        self.config = config
        self._transport = transport
        self._connections: dict[AbstractEventLoop, Connections] = {}
        self._closed = False
        _clients.add(self)

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        here = get_running_loop()
        for loop, connections in list(self._connections.items()):
            if loop is here:
                await connections.end.aclose()
            elif loop.is_running():  # runs in another thread, which may be waiting for this one
                run_coroutine_threadsafe(connections.end.aclose(), loop)

    def check_open(self) -> None:
        """Raise HubClosed if the client is closed."""
        if self._closed:
            raise HubClosed("the hub is closed; nothing was sent")

    def _here(self) -> Connections:
        """The connections of the running event loop.

        Raises:
            HubClosed: the client is closed.
        """
        self.check_open()
        loop = get_running_loop()
        found = self._connections.get(loop)
        if found is None:
            for ended in [known for known in self._connections if known.is_closed()]:
                del self._connections[ended]
            found = self._connections[loop] = Connections()
            found.end = _until_closed(self._connections, loop, found)
            with suppress(StopIteration):
                found.end.__anext__().send(None)  # advances to its `yield`; from then on the loop closes it
        return found

    def abandon(self) -> None:
        """Drop the connections of the parent process."""
        for connections in self._connections.values():
            if connections.transport is not None:
                connections.transport.abandon()
        self._connections.clear()

    def _tokens_of(self, provider: str) -> Tokens:
        """The tokens of a provider's login, requested through the provider's proxy."""
        known = self._here().tokens
        if provider not in known:
            known[provider] = Tokens(partial(self.exchange, provider=provider))
        return known[provider]

    def _google_tokens(self, proxy: str | None) -> GoogleTokens:
        known = self._here().google
        if proxy not in known:
            known[proxy] = GoogleTokens(partial(self._exchange, proxy=proxy))
        return known[proxy]

    def transport(self) -> "Transport":
        """The transport of the running event loop, created on first use. Raises what `transport_of` raises.

        Raises:
            HubClosed: the client is closed.
        """
        if self._transport is not None and not self._closed:
            return self._transport
        here = self._here()
        if here.transport is None:
            here.transport = transport_of(self.config)
        return here.transport

    async def token(self, login: Login, refused: str | None = None) -> str:
        """A login's token, other than `refused`. Raises what `Tokens.token` raises."""
        try:
            return await self._tokens_of(login.provider).token(login, refused)
        except ModelbayError as error:
            error.operation = error.operation or "token"
            raise without_frames(error) from None

    async def token_of(self, endpoint: Endpoint, refused: str | None = None) -> str:
        """The token for calls of an endpoint, other than `refused`. Raises what `token` raises."""
        if endpoint.credential is None or endpoint.credential.oauth is None:
            return await self._google_tokens(endpoint.proxy).token()
        return await self.token(login_of(endpoint.credential.oauth, endpoint.provider, endpoint.origin), refused)

    async def google(self) -> Described:
        """A description of the Google credentials, after getting a token as a check. Raises what `GoogleTokens.token`
        raises."""
        return await self._google_tokens(None).described()

    async def exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, provider: str | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request of a login, through the proxy of its provider."""
        entry = self.config.providers.get(provider) if provider is not None else None
        proxy = None if entry is None else proxy_of(self.config, entry, origin_of(url))
        return await self._exchange(method, url, {"User-Agent": USER_AGENT, **headers}, body, proxy)

    async def outside(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request to neither a provider nor its login server, such as for a model list.

        Raises:
            ConfigError: `offline` is set in `[network]`.
        """
        from modelbay import transport

        transport.check_online(self.transport(), url)
        try:
            return await self.exchange(method, url, headers, body)
        except ModelbayError as error:
            error.operation = "fetch"
            raise

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, proxy: str | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        from modelbay import transport

        limits = transport.Limits(first_byte=EXCHANGE_SECONDS, idle=EXCHANGE_SECONDS)
        try:
            async with await self.transport().send(
                transport.Request(method, url, headers, body, limits, proxy)
            ) as response:
                return response.status, response.headers, HiddenBytes(await response.read())
        except ModelbayError as error:
            error.request = f"{method} {masked_url(url)}"
            raise


async def _until_closed(
    known: dict[AbstractEventLoop, Connections], loop: AbstractEventLoop, connections: Connections
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        known.pop(loop, None)
        for tokens in connections.tokens.values():
            await tokens.aclose()
        if connections.transport is not None:
            await connections.transport.aclose()


_clients: WeakSet[NetworkClient] = WeakSet()


def _forked() -> None:
    for client in list(_clients):
        client.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)
