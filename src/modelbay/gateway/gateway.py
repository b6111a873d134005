"""The gateway: its configuration, clients and stores, kept up to date while it runs."""

import asyncio
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

from modelbay.catalog.lookup import Catalog
from modelbay.config.load import load
from modelbay.config.schema import Config, GatewaySettings
from modelbay.credentials.network import transport_of
from modelbay.errors import ConfigError, FileError, ModelbayError, UnreadableFile
from modelbay.gateway.clients import ClientKeys, GatewayClient
from modelbay.gateway.proof import proof_of
from modelbay.gateway.revision import Revision
from modelbay.gateway.stores import Stores
from modelbay.logs import LOG
from modelbay.origin import is_loopback
from modelbay.secrecy import Hidden
from modelbay.serving.callers import Callers
from modelbay.storage.files import identity
from modelbay.threads import Threads
from modelbay.transport import Transport

LOOK = 1.0
"""Seconds between two checks of the configuration file. A change is used when the file stays the same until the next check."""


class Gateway:
    """The state that all requests share. Create it in the process that serves, and use it in one event loop."""

    def __init__(self, config: Config, host: str, clients: ClientKeys, catalog: Catalog | None = None) -> None:
        """`host`: the address that the server is bound to. `catalog`: default, that of modelbay's cache folder.

        Raises:
            ConfigError: the configuration does not allow to start.
        """
        self.clients = clients
        self.problem = ""
        """Why the current configuration file is not in use; "" if it is."""
        self._host = host
        self._path = config.path
        self._catalog = catalog or Catalog()
        self._retired: list[Revision] = []
        """Earlier states of the configuration, which requests in progress still use."""
        self._closing: set[asyncio.Future[None]] = set()
        self._config = config
        self._started = monotonic()
        self._identity: tuple[object, object] = self._files()
        self._watching: asyncio.Task[None] | None = None
        settings = _checked(config, host)
        self._transport = transport_of(config)  # before a port is in use: the server could not report its error
        self.stores = Stores(settings)
        self._settings = settings
        self.callers = _callers(host, settings)
        self.revision: Revision

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        return is_loopback(self._host)

    async def start(self) -> None:
        """Prepare for requests, and follow changes of the configuration file."""
        # a keyring that waits for its user must not keep the threads that other requests need, or the end of the gateway
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Threads())
        self.revision = Revision(self._config, self._settings, self._transport, self._catalog)
        self._watching = asyncio.ensure_future(self._watch())
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    async def aclose(self) -> None:
        """Close all connections to providers."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self.stores.close()
        for revision in (*self._retired, self.revision):
            await revision.aclose()
        for transport in {revision.transport for revision in (*self._retired, self.revision)}:
            await transport.aclose()
        await asyncio.gather(*self._closing)

    def enter(self) -> Revision:
        """The current state of the configuration, for one request. `leave` it."""
        self.revision.requests += 1
        return self.revision

    def client_of(self, keys: Iterable[Hidden]) -> GatewayClient | None:
        """The client that has one of these keys."""
        for key in keys:
            if (client := self.clients.find(key)) is not None:
                return client
        return None

    def leave(self, revision: Revision) -> None:
        """End a request. If it was the last one of an earlier state, what only that state used is closed."""
        revision.requests -= 1
        if not revision.requests and revision is not self.revision:
            self._close_unused()

    def _close_unused(self) -> None:
        unused = [revision for revision in self._retired if not revision.requests]
        self._retired = [revision for revision in self._retired if revision.requests]
        used = {revision.transport for revision in (*self._retired, self.revision)}
        closing = asyncio.ensure_future(_close(unused, {revision.transport for revision in unused} - used))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def reload(self) -> bool:
        """Use the current content of the configuration file. Requests in progress are not affected. If the file cannot be
        used, the last good configuration stays in use, and the problem is logged. Returns whether the file is in use."""
        self._identity = self._files()
        try:
            if self._config.exists and self._path.exists() and not self._path.is_file():  # reading a FIFO would not end
                raise UnreadableFile(f"{self._path} is no longer a file", file=str(self._path))
            config = await asyncio.to_thread(load, self._path)
            if self._config.exists and not config.exists:  # an editor may replace it in two steps
                raise UnreadableFile(f"{self._path} no longer exists", file=str(self._path))
            settings = _checked(config, self._host)
            same = config.network == self._config.network
            transport = self.revision.transport if same else transport_of(config)
        except ModelbayError as error:
            unreadable = isinstance(error, FileError) and error.file == str(self._path)
            if not (unreadable and error.message == self.problem):
                LOG.error("%s; the last valid configuration stays in use", error.message)
            self.problem = error.message
            if unreadable:  # the cause, such as its owner, may change without a change of the file
                self._reload_soon()
            return False
        if (settings.host, settings.port) != (self._settings.host, self._settings.port):
            LOG.warning("the new host and port of [gateway] are not used before the gateway is started again")
        self._config, self._settings = config, settings
        self.callers = _callers(self._host, settings)
        self.stores.close()
        self.stores = Stores(settings)
        before, revision = self.revision, Revision(config, settings, transport, self._catalog)
        self._retired.append(before)
        self.revision, self.problem = revision, ""
        self._close_unused()
        # a running Codex sees in its next reply that the list changed, even if it had the list from another worker
        await revision.tagged(await revision.models(""))
        for problem in config.problems:
            LOG.warning("%s", problem)
        LOG.info("%s was read again: %d providers, %d models", self._path, len(config.providers), len(config.models))
        return True

    def _files(self) -> tuple[object, object]:
        """Values that differ if the configuration or the results of provider tests changed."""
        return identity(self._path), identity(self._catalog.probes.path)

    def _reload_soon(self) -> None:
        self._identity = None, None  # differs from those of any files

    async def _watch(self) -> None:
        before = self._identity
        while True:
            await asyncio.sleep(LOOK)
            last, before = before, self._files()
            # a file that changes between two looks may be half written, and an empty one is valid
            if before == self._identity or before != last:
                continue
            try:
                await self.reload()
            except Exception as error:  # noqa: BLE001 the edge: later changes must still be seen
                self.problem = "internal error while the configuration was read"
                LOG.error("%s: %s", self.problem, error)

    async def proof(self, challenge: str, port: int) -> str | None:
        """The answer to a challenge (see proof.py), as of the current configuration file; None if there is none."""
        if self._files() != self._identity:
            await self.reload()
        if self.problem:
            return None
        return await asyncio.to_thread(proof_of, self.clients, self._config, challenge, port)

    def health(self, state: str) -> dict[str, Any]:
        """The state of the gateway, without secrets, addresses and names."""
        from modelbay import __version__

        return {
            "status": state,
            "version": __version__,
            "uptime_seconds": round(monotonic() - self._started),
            "configuration": "outdated" if self.problem else "current",
            "clients": "current" if self.clients.readable else "unreadable",
            "providers": len(self._config.providers),
            "models": len(self._config.models),
            "unusable_entries": len(self._config.problems),
        }


async def _close(revisions: Iterable[Revision], transports: Iterable[Transport]) -> None:
    for revision in revisions:
        await revision.aclose()
    for transport in transports:
        await transport.aclose()


def _checked(config: Config, host: str) -> GatewaySettings:
    """The settings of `[gateway]`.

    Raises:
        ConfigError: they cannot be used, or would let other machines in without a key.
    """
    settings = config.gateway
    if settings is None:
        raise config.invalid("gateway", "correct it; its defaults could let more clients in than you want")
    if settings.auth == "none" and not is_loopback(host):
        raise ConfigError(
            f'{config.path}: auth = "none" is allowed only with a loopback host, not with {host}',
            hint='remove `auth` from [gateway], or listen on "127.0.0.1"',
            file=str(config.path),
        )
    return settings


def _callers(host: str, settings: GatewaySettings) -> Callers:
    names = frozenset(name.lower() for name in settings.hosts)
    return Callers(host, names, frozenset(settings.cors_origins), fix="add {} to hosts under [gateway]")
