"""Login tokens: storage, and valid access tokens.

Refresh tokens rotate: each works once, and losing the new one ends the login. Therefore only one process refreshes at a
time, first checks whether another has done so, and drops the old tokens only after the new ones are on disk.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from modelbay.config.schema import OAuth
from modelbay.credentials import system_keyring, termination
from modelbay.credentials.google import Send
from modelbay.credentials.oauth import Flow, Refused, TokenSet, is_bearer, refreshed, remember
from modelbay.credentials.reference import check_attended
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    FileError,
    MalformedReply,
    MissingCredential,
    ModelbayError,
)
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import home

LOG = logging.getLogger("modelbay")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}")
SERVICE = "modelbay-login"
"""Keyring service name for logins. `modelbay key` uses another."""
SOONEST = 300.0
"""A token is refreshed at the latest this many seconds before it expires."""
PART = 0.5
"""The same as a fraction of its lifetime. The earlier of the two applies."""
LAST_USE = 10.0
"""A token that cannot be refreshed is used until this many seconds before it expires."""
ATTEMPTS = 3
LOCK_WAIT = 60.0
LOCK_POLL = 0.05
GRACE = 0.1
"""Seconds to wait after a rejection, in which a program without our lock may still write the tokens it received
instead."""
ROOM = 16_384
"""Bytes of free disk space to check for before the user approves a login."""


class TokenStore(Protocol):
    """Stores login tokens by name."""

    def stamp(self, name: str) -> object:
        """A value that changes when another process writes, if that is cheap to detect."""
        ...

    def check(self, name: str) -> None:
        """Check that tokens can be stored.

        Raises:
            ConfigError: they cannot.
        """
        ...

    def read(self, name: str) -> TokenSet | None: ...

    def write(self, name: str, tokens: TokenSet) -> None:
        """Store tokens durably: they are on disk when this returns."""
        ...

    def delete(self, name: str) -> bool: ...


class FileStore:
    """One file per login in modelbay's home, readable only by its owner."""

    def stamp(self, name: str) -> object:
        try:
            found = path_of(name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def check(self, name: str) -> None:
        files.check_room(path_of(name), ROOM)
        files.close_to_others(path_of(name).parent)

    def read(self, name: str) -> TokenSet | None:
        content = files.content_of(path_of(name))
        return _decoded(content, str(path_of(name))) if content else None

    def write(self, name: str, tokens: TokenSet) -> None:
        path = path_of(name)
        files.close_to_others(path.parent)
        files.replace(path, files.content_of(path), _encoded(tokens))

    def delete(self, name: str) -> bool:
        path = path_of(name)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there


class KeyringStore:
    """The system keyring. It may prompt the user, so it is never called from the event loop."""

    def stamp(self, name: str) -> object:
        return ""

    def check(self, name: str) -> None:
        trial = f"{checked(name)}.trial"
        self.write(trial, TokenSet(access_token="trial"))
        self.delete(trial)

    def read(self, name: str) -> TokenSet | None:
        check_attended("the keyring")
        content = system_keyring.get(SERVICE, checked(name))
        return _decoded(content.encode(), f"{SERVICE}/{name} in the keyring") if content else None

    def write(self, name: str, tokens: TokenSet) -> None:
        system_keyring.put(SERVICE, checked(name), _encoded(tokens).decode())

    def delete(self, name: str) -> bool:
        return system_keyring.remove(SERVICE, checked(name))


STORES: dict[str, TokenStore] = {"file": FileStore(), "keyring": KeyringStore()}


class Login(Struct, frozen=True):
    """A login as a call uses it: storage of its tokens, their refresh, and the origin they may be sent to."""

    name: str
    flow: Flow
    storage: str
    origin: str
    """Origin that the access token is to be sent to."""
    provider: str
    usual: bool = False
    """All URLs are the vendor's own, so tokens without a recorded origin (Kimi Code's file) may be sent there."""


def name_of(oauth: OAuth) -> str:
    """The name that a login is stored under. Raises ConfigError if `oauth.key` is not a valid name."""
    return checked(oauth.key.removeprefix("oauth/"))


def checked(name: str) -> str:
    """Validate a login's name.

    Raises:
        ConfigError: the name is invalid, and could lead outside the credentials folder.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f'"{name}" is not a valid login name', hint="use letters, digits, dots and hyphens, such as acme-eu"
        )
    return name


def forget(storage: str, name: str) -> tuple[bool, TokenSet | None]:
    """Delete the tokens of a login. Returns whether they existed, and the tokens if they were readable.

    The caller holds the lock of the login: a refresh in another process would write the tokens again.

    Raises:
        ConfigError: they could not be deleted.
    """
    store, found = STORES[storage], None
    with contextlib.suppress(ConfigError):  # a damaged file is deleted too
        found = store.read(name)
    return store.delete(name), found


def path_of(name: str) -> Path:
    return home() / "credentials" / f"{checked(name)}.json"


class Tokens:
    """Valid access tokens for all logins. Each is refreshed once for all concurrent tasks and processes."""

    def __init__(
        self,
        send: Send,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._held: dict[str, tuple[object, TokenSet]] = {}
        self._unsaved: dict[str, tuple[str, TokenSet]] = {}
        """Tokens that could not be stored, with the refresh token they replace."""
        self._refreshing: dict[str, tuple[asyncio.Task[str], str | None]] = {}

    async def aclose(self) -> None:
        """Wait for refreshes in progress: the new tokens must be stored even if no caller needs them any more."""
        if self._refreshing:
            await asyncio.gather(*[task for task, _ in self._refreshing.values()], return_exceptions=True)

    async def token(self, login: Login, refused: str | None = None) -> str:
        """A valid access token, other than `refused`, which a server has rejected.

        Raises:
            MissingCredential: the user is not logged in.
            AuthenticationFailed: the login has ended.
            ConfigError: the tokens may not be sent to this address, or cannot be read or written.
            ModelbayError: the token had to be refreshed, and there was no response.
        """
        tokens = await self._current(login)
        if self._fresh(tokens, refused):
            return tokens.access_token
        task, because_of = self._refreshing.get(login.name, (None, None))
        if task is not None and refused not in (None, because_of):
            # it started before the rejection was known, and may return the very token that was rejected
            with contextlib.suppress(ModelbayError):
                await asyncio.shield(task)
            return await self.token(login, refused)
        if task is None:
            task = asyncio.create_task(self._renewed(login, refused))
            self._refreshing[login.name] = task, refused
            task.add_done_callback(lambda done: self._forget(login.name, done))
        return await asyncio.shield(task)  # the caller may be cancelled, but the new tokens must be stored

    def _forget(self, name: str, done: "asyncio.Task[str]") -> None:
        del self._refreshing[name]
        if not done.cancelled():
            done.exception()  # the caller may be gone

    async def _current(self, login: Login) -> TokenSet:
        """The cached tokens, read again if the store may have changed."""
        store = STORES[login.storage]
        stamp = store.stamp(login.name)
        held = self._held.get(login.name)
        if held is None or held[0] != stamp:
            held = stamp, await self._read(login)
            self._held[login.name] = held
        return _usable(held[1], login)

    async def _read(self, login: Login) -> TokenSet:
        store = STORES[login.storage]
        found = (
            await asyncio.to_thread(store.read, login.name) if login.storage == "keyring" else store.read(login.name)
        )
        if found is None:
            raise MissingCredential(f"not logged in to {login.provider}", hint=_again(login), provider=login.provider)
        before, unsaved = self._unsaved.get(login.name, ("", found))
        if before and before == found.refresh_token:
            return unsaved
        remember(found)
        return found

    def _fresh(self, tokens: TokenSet, refused: str | None) -> bool:
        if not tokens.access_token or tokens.access_token == refused:
            return False
        if tokens.expires_at == 0:
            return True
        left = tokens.expires_at - self._clock()
        if tokens.expires_in and left > tokens.expires_in + SOONEST:
            return False  # our clock was set back: the expiry is unknown
        return left >= max(SOONEST, PART * tokens.expires_in) if tokens.expires_in else left >= SOONEST

    async def _renewed(self, login: Login, refused: str | None) -> str:
        async with locked(login.name):
            self._held.pop(login.name, None)
            tokens = await self._current(login)  # the previous holder of the lock may have refreshed it
            if self._fresh(tokens, refused):
                return tokens.access_token
            good = tokens.access_token != refused and tokens.expires_at - self._clock() > LAST_USE
            if not tokens.refresh_token:
                if good:
                    return tokens.access_token
                raise _over(login, "the access token has expired, and there is no refresh token")
            try:
                with termination.deferred():  # the server issues the new refresh token only once
                    new = await self._refresh(login, tokens)
                    await self._keep(login, tokens.refresh_token, new)
            except ModelbayError as error:
                if isinstance(error, Refused) and error.final:
                    return await self._rejected(login, tokens, error)
                if not good:
                    raise
                LOG.warning("%s: could not refresh the login's token, using the old one: %s", login.provider, error)
                return tokens.access_token
            return new.access_token

    async def _refresh(self, login: Login, tokens: TokenSet) -> TokenSet:
        for attempt in range(ATTEMPTS):
            try:
                return await refreshed(login.flow, tokens, self._send, self._clock)
            except ModelbayError as error:
                error.provider = login.provider
                if isinstance(error, Refused):
                    error.hint = _again(login)
                if not error.retryable or attempt == ATTEMPTS - 1 or termination.terminating():
                    raise
                await self._sleep(2.0**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _keep(self, login: Login, before: str, new: TokenSet) -> None:
        """Store new tokens before they are used. If that fails, this process keeps them in memory."""
        store = STORES[login.storage]
        try:
            await asyncio.to_thread(store.write, login.name, new)
        except ConfigError as error:
            LOG.warning("%s: could not store the login's new tokens: %s", login.provider, error.message)
            self._unsaved[login.name] = before, new
        else:
            self._unsaved.pop(login.name, None)
        self._held[login.name] = store.stamp(login.name), new

    async def _rejected(self, login: Login, tokens: TokenSet, error: Refused) -> str:
        """End a login, unless a program without our lock has refreshed it meanwhile."""
        await self._sleep(GRACE)
        found = await self._read(login)
        if found.refresh_token != tokens.refresh_token and self._fresh(found, tokens.access_token):
            return _usable(found, login).access_token
        if found.refresh_token == tokens.refresh_token:
            # later calls fail at once, without another request
            over = TokenSet(access_token="", scope=tokens.scope, origin=tokens.origin, token_url=tokens.token_url)
            await asyncio.to_thread(STORES[login.storage].write, login.name, over)
            self._unsaved.pop(login.name, None)
        raise _over(login, error.message) from None


def _usable(tokens: TokenSet, login: Login) -> TokenSet:
    """The tokens, if they may be used for this login.

    Raises:
        AuthenticationFailed: the server has ended the login.
        ConfigError: they were issued for another or an unknown address, or their type is not supported.
    """
    if tokens.refused:
        raise _over(login, "the server rejected the login")
    for bound, asked in ((tokens.origin, login.origin), (tokens.token_url, login.flow.token_url)):
        if bound is not None and bound != asked:
            # a changed URL, in a list or in a file from elsewhere, must not receive the tokens
            raise ConfigError(
                f'the login "{login.name}" was made for {bound}; its tokens are not sent to {asked}',
                hint=f"if {asked} is right, log in again: `modelbay login {login.provider}`",
                provider=login.provider,
            )
        if bound is None and not login.usual:
            raise ConfigError(
                f'the tokens of the login "{login.name}" have no known issuer and are not sent to {asked}',
                hint=_again(login),
                provider=login.provider,
            )
    if not is_bearer(tokens.token_type):
        raise ConfigError(
            f'the tokens of the login "{login.name}" are of type {tokens.token_type[:20]!r}; only Bearer is supported',
            hint=_again(login),
            provider=login.provider,
        )
    return tokens


def _over(login: Login, why: str) -> AuthenticationFailed:
    error = AuthenticationFailed(f"you are no longer logged in to {login.provider}: {why}")
    error.hint, error.provider = _again(login), login.provider
    return error


def _again(login: Login) -> str:
    return f"log in again: `modelbay login {login.provider}`"


@contextlib.asynccontextmanager
async def locked(name: str, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> AsyncIterator[None]:
    """Keep other processes from refreshing a login meanwhile, without blocking the event loop.

    Raises:
        FileError: another process holds the lock; nothing is refreshed without it.
    """
    from filelock import FileLock, Timeout

    path = path_of(name)
    try:
        files.close_to_others(path.parent)
        lock = FileLock(f"{path}.lock", mode=files.PRIVATE)
        for _ in range(int(LOCK_WAIT / LOCK_POLL)):
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
                break
            await sleep(LOCK_POLL)
        else:
            raise FileError(
                f'could not lock the login "{name}": another process has held the lock for {LOCK_WAIT:g} s',
                hint="try again when the other process has ended",
            )
    except OSError as error:
        raise FileError(
            f"{path}.lock cannot be created: {error.strerror or error}",
            hint=f"check that {path.parent} is writable and has free space",
            file=str(path),
        ) from error
    try:
        files.sweep(path)
        yield
    finally:
        lock.release()


def _encoded(tokens: TokenSet) -> bytes:
    fields = {key: value for key, value in msgspec.structs.asdict(tokens).items() if value is not None}
    return msgspec.json.encode(fields, enc_hook=str)


def _decoded(content: bytes, where: str) -> TokenSet | None:
    try:
        return decode_as(content, TokenSet)
    except MalformedReply:
        raise ConfigError(f"invalid login tokens in {where}", hint="log in again: `modelbay login`") from None
