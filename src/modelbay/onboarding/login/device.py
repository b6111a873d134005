"""Logging in and out: the tokens, and what of it stands in `config.toml`."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelbay.config.changes import Removed
from modelbay.config.edit import Edit, apply
from modelbay.config.entries import provider_entry
from modelbay.config.load import load
from modelbay.config.schema import Config, OAuth, ProviderEntry, Table
from modelbay.credentials import google, oauth, termination, tokens
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.credentials.oauth import Code, TokenSet
from modelbay.credentials.system_keyring import NoKeyring
from modelbay.errors import AuthenticationFailed, ConfigError, MissingCredential, ModelbayError
from modelbay.line import ProviderClient
from modelbay.onboarding import remove as removal
from modelbay.onboarding.sources import managed
from modelbay.onboarding.sources.managed import LoginModels
from modelbay.providers import logins, presets
from modelbay.providers.endpoint import models_endpoint
from modelbay.providers.presets import LoginMethod
from modelbay.providers.upstream import upstream
from modelbay.storage import files

ENTRY_ROOM = 65_536
"""Bytes that the entries of a login may add to config.toml."""
REVOCATION_SECONDS = 10.0


class Platform(Struct, frozen=True):
    """Something to log in to: a platform, or a provider with a flow of its own."""

    id: str
    """The word for it in `modelbay login`."""
    title: str
    by: Literal["device", "key", "adc"]


class LoginTarget(Struct):
    """What somebody logs in to: an entry that is there, or the one that a vendor's login will write."""

    entry: ProviderEntry
    login: LoginMethod | None
    table: Table
    """The keys of the entry that logging in writes, where a vendor's login does."""


class LoggedIn(Struct, frozen=True):
    """How a login ended."""

    new: bool
    """Whether somebody had to approve it; else the tokens at hand were good."""
    written: LoginModels | None
    """What it brought, where it is a vendor's."""


class Ended(Struct, frozen=True):
    """What became of a login's tokens when it was ended."""

    deleted: bool
    """Whether there were tokens on this machine."""
    problem: str | None = None
    """Why the server did not revoke them; None: it did, it offers no revocation, or they are another program's too."""
    until: float | None = None
    """Unix time when an access token that was not revoked expires."""


class LoggedOut(Struct, frozen=True):
    """How a logout ended."""

    ended: Ended
    removed: Removed | None = None
    """What was removed from the configuration with it."""


class Google(Struct, frozen=True):
    """Google's default credentials, which have just given a token, and where they are to be used."""

    kind: str
    where: str
    account: str | None
    project: str | None
    location: str | None = None
    provider: str | None = None
    """The provider that is ready to be used with them."""


class Status(Struct):
    """A provider that is used by logging in."""

    provider: str
    state: str
    """"logged in", "ended", "refused", "logged out", or "unreadable" where its tokens cannot be looked at."""
    until: float | None = None
    """When its token ends; it is refreshed before that."""


def platforms(config: Config) -> list[Platform]:
    """All that one can log in to: the platforms, then the file's own providers."""
    known = [Platform(login.id, login.title, login.by) for _, login in presets.logins()]
    own = [entry for entry in config.providers.values() if entry.oauth and logins.managing(entry) is None]
    return known + [Platform(entry.id, entry.name or f"provider {entry.id}", "device") for entry in own]


def target(
    config: Config, name: str, *, host: str | None = None, base_url: str | None = None, storage: str | None = None
) -> LoginTarget:
    """What `name` stands for: a vendor's login, or a provider with an `oauth` table.

    Raises:
        ConfigError: nobody can log in there, or not so.
    """
    login = logins.by_id(name)
    entry = config.providers.get(login.provider if login else name)
    if login is None and entry is not None and entry.oauth:
        login = logins.managing(entry)
        if login is None:
            _check_own(entry, host, base_url, storage)
            return LoginTarget(entry, None, {})
        host, base_url = host or entry.oauth.oauth_host, base_url or entry.base_url
    if login is None or login.by != "device":
        there = ", ".join(login.id for _, login in presets.logins())
        raise ConfigError(
            f'nobody can log in to "{name}"', hint=f"there are {there}, and providers with an oauth table"
        )
    base = (base_url or login.base_url or "").rstrip("/")
    storage = storage or (entry.oauth.storage if entry and entry.oauth else "file")
    table: Table = {
        "type": login.type,
        "base_url": base,
        "api_key": "",
        "oauth": logins.oauth_table(login, host=host, base_url=base, storage=storage),
    }
    if base != login.base_url:
        table["dialect"] = vendor_of(login).id
    return LoginTarget(provider_entry(login.provider, table), login, table)


def vendor_of(login: LoginMethod) -> presets.Preset:
    return next(preset for preset, other in presets.logins() if other.id == login.id)


def _check_own(entry: ProviderEntry, host: str | None, base_url: str | None, storage: str | None) -> None:
    """What a provider of the user's own says of its login is changed there, and nowhere else."""
    for key, value in (("oauth.oauth_host", host), ("base_url", base_url), ("oauth.storage", storage)):
        if value is not None:
            raise ConfigError(
                f'provider "{entry.id}" is your own, and logging in does not change it',
                hint=f'write {key} = "{value}" into its table',
                provider=entry.id,
            )


async def log_in(config: Config, to: LoginTarget, show: Callable[[Code], object]) -> LoggedIn:
    """Logs in, unless that is so already, and writes what the login brings.

    Raises:
        ModelbayError: it was denied or took too long; the tokens or the configuration could not be written.
    """
    before = config.providers.get(to.entry.id)
    config = replace(config, providers={**config.providers, to.entry.id: to.entry})
    line = ProviderClient(config)
    try:
        new = not await _logged_in(line, config, to)
        if new:
            login = _login(config, to.entry)
            await asyncio.to_thread(_check_room, config, to, login)
            send = partial(line.exchange, provider=to.entry.id)
            await oauth.log_in(login.flow, send, show, partial(_keep, login))
        written = await _refreshed(line, config, to, new=new)
        if before is not None and before.oauth is not None and _is_other(before, to.entry):
            with contextlib.suppress(ConfigError):  # a keyring that fails may be why the new tokens are elsewhere
                await _end(line, before.id, before.oauth)
    except ModelbayError as error:
        error.operation = error.operation or "login"
        error.provider = error.provider or to.entry.id
        raise
    finally:
        await line.aclose()
    return LoggedIn(new, written)


async def _keep(login: tokens.Login, found: TokenSet) -> None:
    """Stores the tokens of a new login."""
    found.origin = login.origin
    async with tokens.locked(login.name):
        await asyncio.to_thread(tokens.STORES[login.storage].write, login.name, found)


def _check_room(config: Config, to: LoginTarget, login: tokens.Login) -> None:
    """Checks, before a person approves a login, that its tokens and its provider's entry can be stored.

    Raises:
        ConfigError: no room, no permission, or a keyring that keeps nothing.
    """
    tokens.STORES[login.storage].check(login.name)
    if to.login is not None:
        content = files.content_of(config.path) or b""
        files.check_room(config.path, len(content) + ENTRY_ROOM)


async def _refreshed(line: ProviderClient, config: Config, to: LoginTarget, *, new: bool) -> LoginModels | None:
    endpoint = models_endpoint(config, to.entry) if to.login else None
    if to.login is None or endpoint is None:
        return None
    vendor, body = to.login, await line.fetch(endpoint)
    models, gaps = managed.models_of(body, vendor), managed.gaps_of(body)

    def change(edit: Edit) -> LoginModels:
        return managed.write(edit, vendor, to.table, models, new=new, gaps=gaps)

    login = _login(config, to.entry)
    async with tokens.locked(login.name):  # `_end` holds it too: a login and a logout at once leave all or nothing
        if await asyncio.to_thread(tokens.STORES[login.storage].read, login.name) is None:
            raise MissingCredential(
                f"another process logged out of {vendor.title} during the login",
                hint=f"log in again: `modelbay login {vendor.id}`",
            )
        return apply(change, config.path).result


def _is_other(before: ProviderEntry, now: ProviderEntry) -> bool:
    """Whether a new login has replaced that of another region, or of another storage."""
    if before.oauth is None or now.oauth is None:
        return False
    old, new = ((oauth.storage, tokens.name_of(oauth)) for oauth in (before.oauth, now.oauth))
    return old != new


async def _end(
    line: ProviderClient,
    id: str,
    login: OAuth,
    change: Callable[[], Removed] | None = None,
    used: Callable[[], bool] = lambda: False,
) -> LoggedOut:
    """Deletes the tokens of a provider's login, makes a `change` of the configuration with it, and revokes the tokens at
    the server if it offers that. Tokens that are still `used` stay.

    Only tokens that modelbay obtained are revoked: those of a copied file belong to another program's login too.

    Raises:
        ConfigError: the tokens cannot be deleted, or the configuration cannot be changed.
    """
    with termination.deferred():
        async with tokens.locked(tokens.name_of(login)):
            if used():
                return LoggedOut(Ended(False))
            deleted, found = await asyncio.to_thread(tokens.forget, login.storage, tokens.name_of(login))
            removed = failure = None
            try:
                removed = change() if change else None
            except ConfigError as error:
                failure = error  # the tokens are gone, so the server must know
        ended = await _revoked(line, id, login, Ended(deleted), found)
    if failure is not None:
        raise failure
    return LoggedOut(ended, removed)


async def _revoked(line: ProviderClient, id: str, login: OAuth, ended: Ended, found: TokenSet | None) -> Ended:
    if found is None or found.refused or found.obtained_by != oauth.OBTAINED:
        return ended
    try:
        flow = logins.flow_of(login, id)
        if found.token_url == flow.token_url:  # an entry that points elsewhere does not get the tokens
            async with asyncio.timeout(REVOCATION_SECONDS):
                await oauth.revoke(flow, found, partial(line.exchange, provider=id))
    except TimeoutError:
        problem = f"no answer within {REVOCATION_SECONDS:g} s"
    except ModelbayError as error:
        problem = error.message
    else:
        return ended
    return Ended(ended.deleted, problem, found.expires_at or None)


async def _logged_in(line: ProviderClient, config: Config, to: LoginTarget) -> bool:
    """Whether the tokens at hand are good; those of somebody else's login are not."""
    try:
        await line.token(_login(config, to.entry))
    except NoKeyring:
        raise  # before somebody approves what then cannot be kept
    except (AuthenticationFailed, MissingCredential, ConfigError):
        return False
    return True


async def log_out(config: Config, name: str) -> LoggedOut:
    """Ends a login; for a vendor's login, also removes its provider and models.

    Raises:
        ConfigError: there is no such login.
    """
    login = logins.by_id(name)
    entry = config.providers.get(login.provider if login else name)
    if entry is not None and login is not None and login.by == "key":
        return LoggedOut(Ended(True), removal.remove(config.path, [entry.id]).result[0])
    if entry is None or entry.oauth is None:
        by_google = login is not None and login.by == "adc"
        raise ConfigError(
            f'"{name}" is not a login',
            hint=f"`{google.LOGOUT}` removes Google's" if by_google else "`modelbay login --status` lists the logins",
        )
    vendor = logins.managing(entry)
    change = None if vendor is None else lambda: apply(lambda edit: managed.remove(edit, vendor), config.path).result
    line = ProviderClient(config)
    try:
        return await _end(line, entry.id, entry.oauth, change)
    finally:
        await line.aclose()


async def remove(config: Config, ids: Sequence[str]) -> list[Removed]:
    """Removes providers with their models, and ends their logins unless another provider uses the same one.

    Raises:
        UnknownProvider: one of them does not exist.
        ConfigError: the file cannot be changed.
    """
    removed = await asyncio.to_thread(removal.remove, config.path, ids)
    line = ProviderClient(config)
    try:
        for entry in (config.providers[id] for id in ids if id in config.providers):
            if entry.oauth is not None:
                used = partial(_is_used, config, entry.oauth)
                with contextlib.suppress(ConfigError):  # the provider is gone, and nothing else uses its tokens
                    await _end(line, entry.id, entry.oauth, used=used)
    finally:
        await line.aclose()
    return removed.result


def _is_used(config: Config, login: OAuth) -> bool:
    """Whether a provider of the file, as it is now, uses a login."""
    return any(entry.oauth.key == login.key for entry in load(config.path).providers.values() if entry.oauth)


async def check_google(config: Config) -> Google:
    """Whether Google gives a token for its default credentials, and what stands in its providers' entries.

    Raises:
        MissingCredential: no credentials are set up on this machine; the hint is the command that does.
        AuthenticationFailed: Google refuses them.
    """
    line = ProviderClient(config)
    try:
        found = await line.google()
    finally:
        await line.aclose()
    known = [(entry, entry.env.get(PROJECT, ""), entry.env.get(LOCATION, "")) for entry in config.providers.values()]
    best = max(known, key=lambda one: bool(one[1]) + bool(one[2]), default=None)
    if best is None or not (best[1] or best[2]):
        return Google(found.kind, found.where, found.account, found.project)
    entry, project, location = best
    usable = entry.id if project and location else None
    return Google(found.kind, found.where, found.account, project or found.project, location or None, usable)


def status(config: Config, clock: Callable[[], float] = time.time) -> list[Status]:
    """Every provider that is used by logging in, and how that stands."""
    return [_status(entry, clock()) for entry in config.providers.values() if entry.oauth]


def _status(entry: ProviderEntry, now: float) -> Status:
    if entry.oauth is None:
        raise AssertionError("only asked of those with a login")
    try:
        found: TokenSet | None = tokens.STORES[entry.oauth.storage].read(tokens.name_of(entry.oauth))
    except ConfigError:
        return Status(entry.id, "unreadable")
    if found is None:
        return Status(entry.id, "logged out")
    if found.refused:
        return Status(entry.id, "refused")
    ended = found.expires_at and found.expires_at <= now and not found.refresh_token
    return Status(entry.id, "ended" if ended else "logged in", found.expires_at or None)


def check_editable(config: Config, id: str) -> None:
    """
    Raises:
        ConfigError: a vendor's login keeps this provider, and would write it again.
    """
    entry = config.providers.get(id)
    login = logins.managing(entry) if entry else None
    if login is not None:
        raise ConfigError(
            f'provider "{id}" is kept by logging in to {login.title}',
            hint=f"`modelbay login {id}` refreshes its models, `modelbay logout {id}` removes it",
            provider=id,
        )


def _login(config: Config, entry: ProviderEntry) -> tokens.Login:
    if entry.oauth is None:
        raise AssertionError("a target has an oauth table")
    return logins.login_of(entry.oauth, entry.id, upstream(config, entry).origin)
