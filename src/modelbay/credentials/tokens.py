"""The tokens of logins: where they are stored, and how to get an access token that is valid now.

Refresh tokens rotate: each works once, and losing the new one ends the login. So one process at a time refreshes, looks
first whether another has already done so, and gives up the old tokens only when the new ones are on the disk.
"""

import asyncio
import contextlib
import logging
import re
import sys
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
from modelbay.credentials.system_keyring import NoKeyring
from modelbay.errors import AuthenticationFailed, ConfigError, MalformedReply, MissingCredential, ModelbayError
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import home

LOG = logging.getLogger("modelbay")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}")
SERVICE = "modelbay-login"
"""Whose entries in the keyring the logins are: not those of `modelbay key`."""
SOONEST = 300.0
"""Seconds before its end when a token is refreshed at the latest."""
PART = 0.5
"""The same, as a part of its life."""
LAST_USE = 10.0
"""Seconds before its end up to which a token is used when it cannot be refreshed."""
ATTEMPTS = 3
LOCK_WAIT = 60.0
LOCK_POLL = 0.05
GRACE = 0.1
"""Seconds after a refusal in which a program without our lock may still write the tokens that it was given instead."""
ROOM = 16_384
"""Bytes that tokens may need, to check for before a person approves a login."""


class Store(Protocol):
    """Keeps the tokens of logins by name."""

    def stamp(self, name: str) -> object:
        """A value that changes when another process writes, where that is cheap to see."""
        ...

    def check(self, name: str) -> None:
        """
        Raises:
            ConfigError: tokens could not be stored now.
        """
        ...

    def read(self, name: str) -> TokenSet | None: ...

    def write(self, name: str, tokens: TokenSet) -> None:
        """It is durable when this returns."""
        ...

    def delete(self, name: str) -> bool: ...


class FileStore:
    """A file each in modelbay's home, which only its owner can read."""

    def stamp(self, name: str) -> object:
        try:
            found = path_of(name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def check(self, name: str) -> None:
        files.check_room(path_of(name), ROOM)
        _private_folder(path_of(name).parent)

    def read(self, name: str) -> TokenSet | None:
        content = files.content_of(path_of(name))
        return _decoded(content, str(path_of(name))) if content else None

    def write(self, name: str, tokens: TokenSet) -> None:
        path = path_of(name)
        _private_folder(path.parent)
        files.replace(path, files.content_of(path), _encoded(tokens))

    def delete(self, name: str) -> bool:
        path = path_of(name)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there


class KeyringStore:
    """The system's keyring. It may ask its owner something, so it is never called from the event loop."""

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
        content = _encoded(tokens).decode()
        system_keyring.put(SERVICE, checked(name), content)
        if system_keyring.get(SERVICE, name) != content:
            raise NoKeyring("the keyring did not keep the tokens", hint="keep them in a file: `modelbay login --file`")

    def delete(self, name: str) -> bool:
        return system_keyring.remove(SERVICE, checked(name))


STORES: dict[str, Store] = {"file": FileStore(), "keyring": KeyringStore()}


class Login(Struct, frozen=True):
    """A login as a call needs it: where its tokens are stored, how they are refreshed, and where they may be sent."""

    name: str
    flow: Flow
    storage: str
    origin: str
    """The origin that the access token is to be sent to."""
    provider: str
    usual: bool = False
    """All addresses are the vendor's own, so tokens without a note of their origin (Kimi Code's file) may go there."""


def name_of(oauth: OAuth) -> str:
    """What a login is kept as. Raises ConfigError where its key is no name."""
    return checked(oauth.key.removeprefix("oauth/"))


def checked(name: str) -> str:
    """
    Raises:
        ConfigError: it is no plain name, and would lead somewhere else than into its folder.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f'"{name}" is no name for a login', hint="letters, digits, dots and hyphens, as acme-eu")
    return name


def forget(storage: str, name: str) -> tuple[bool, TokenSet | None]:
    """Delete the tokens of a login. Returns whether there were any, and the tokens if they were readable.

    The caller holds the lock of the login: a refresh in another process would write the tokens again.

    Raises:
        ConfigError: they cannot be deleted.
    """
    store, found = STORES[storage], None
    with contextlib.suppress(ConfigError):  # a broken file is deleted too
        found = store.read(name)
    return store.delete(name), found


def path_of(name: str) -> Path:
    return home() / "credentials" / f"{checked(name)}.json"


class Tokens:
    """Tokens of every login, good now; refreshed once, however many tasks and processes ask at a time."""

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
        """Tokens that could not be written, behind the refresh token that they replace."""
        self._refreshing: dict[str, tuple[asyncio.Task[str], str | None]] = {}

    async def aclose(self) -> None:
        """Waits for refreshes under way: the new tokens must be stored even if nobody needs them any more."""
        if self._refreshing:
            await asyncio.gather(*[task for task, _ in self._refreshing.values()], return_exceptions=True)

    async def token(self, login: Login, refused: str | None = None) -> str:
        """An access token that is good now, and another one than `refused`, with which a call has failed.

        Raises:
            MissingCredential: nobody has logged in.
            AuthenticationFailed: the login is over.
            ConfigError: the tokens may not go where they are asked to; they cannot be read or written.
            ModelbayError: it had to be refreshed, and no answer came.
        """
        tokens = await self._current(login)
        if self._fresh(tokens, refused):
            return tokens.access_token
        task, because_of = self._refreshing.get(login.name, (None, None))
        if task is not None and refused not in (None, because_of):
            # it began before the refusal was known, and may end with the very token that was refused
            with contextlib.suppress(ModelbayError):
                await asyncio.shield(task)
            return await self.token(login, refused)
        if task is None:
            task = asyncio.create_task(self._renewed(login, refused))
            self._refreshing[login.name] = task, refused
            task.add_done_callback(lambda done: self._forget(login.name, done))
        return await asyncio.shield(task)  # who asked may go away, and the answer is to be kept all the same

    def _forget(self, name: str, done: "asyncio.Task[str]") -> None:
        del self._refreshing[name]
        if not done.cancelled():
            done.exception()  # its caller may be gone

    async def _current(self, login: Login) -> TokenSet:
        """What is kept, looked at again where that may have changed."""
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
            raise MissingCredential(
                f"nobody has logged in to {login.provider} yet", hint=_again(login), provider=login.provider
            )
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
            return False  # our clock was set back: nobody knows when it ends
        return left >= max(SOONEST, PART * tokens.expires_in) if tokens.expires_in else left >= SOONEST

    async def _renewed(self, login: Login, refused: str | None) -> str:
        async with locked(login.name):
            self._held.pop(login.name, None)
            tokens = await self._current(login)  # whoever had the lock before may have done it
            if self._fresh(tokens, refused):
                return tokens.access_token
            good = tokens.access_token != refused and tokens.expires_at - self._clock() > LAST_USE
            if not tokens.refresh_token:
                if good:
                    return tokens.access_token
                raise _over(login, "its token has ended, and there is none to get another with")
            try:
                with termination.deferred():  # the server hands out the new refresh token once
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
        """Stores new tokens before they are used; if that fails, at least this process has them."""
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
        """Ends a login, unless a program without our lock has refreshed it meanwhile."""
        await self._sleep(GRACE)
        found = await self._read(login)
        if found.refresh_token != tokens.refresh_token and self._fresh(found, tokens.access_token):
            return _usable(found, login).access_token
        if found.refresh_token == tokens.refresh_token:
            # later calls report this at once, without asking the server again
            over = TokenSet(access_token="", scope=tokens.scope, origin=tokens.origin, token_url=tokens.token_url)
            await asyncio.to_thread(STORES[login.storage].write, login.name, over)
            self._unsaved.pop(login.name, None)
        raise _over(login, error.message) from None


def _usable(tokens: TokenSet, login: Login) -> TokenSet:
    """The tokens, if they may be used for this login.

    Raises:
        AuthenticationFailed: the server has ended the login.
        ConfigError: they were issued for another address, or for an unknown one, or are of an unsupported kind.
    """
    if tokens.refused:
        raise _over(login, "the login was refused")
    for bound, asked in ((tokens.origin, login.origin), (tokens.token_url, login.flow.token_url)):
        if bound is not None and bound != asked:
            # a changed address, in a list or in a file from elsewhere, must not bring the tokens along
            raise ConfigError(
                f'the login "{login.name}" was made for {bound}, and its tokens are not sent to {asked}',
                hint=f"if {asked} is right, log in again: `modelbay login {login.provider}`",
                provider=login.provider,
            )
        if bound is None and not login.usual:
            raise ConfigError(
                f'the tokens of the login "{login.name}" do not say which server issued them: not sent to {asked}',
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
    """Keeps other processes from refreshing a login meanwhile; without blocking the event loop.

    Raises:
        ConfigError: another one keeps it; without the lock nothing is refreshed.
    """
    from filelock import FileLock, Timeout

    path = path_of(name)
    try:
        _private_folder(path.parent)
        lock = FileLock(f"{path}.lock", mode=files.PRIVATE)
        for _ in range(int(LOCK_WAIT / LOCK_POLL)):
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
                break
            await sleep(LOCK_POLL)
        else:
            raise ConfigError(f'another process has kept the login "{name}" locked for {LOCK_WAIT:g} seconds')
    except OSError as error:
        raise ConfigError(f"{path}.lock cannot be made: {error.strerror or error}", file=str(path)) from error
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
        raise ConfigError(f"{where} is not what a login leaves behind", hint="log in again: `modelbay login`") from None


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        folder.chmod(0o700)
