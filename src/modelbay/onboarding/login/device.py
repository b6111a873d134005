"""Login by device code, and logout: stores and deletes tokens, and writes the provider's entry in `config.toml`."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.network_client import NetworkClient
from modelbay.calling.provider_client import ProviderClient
from modelbay.config.changes import Removed
from modelbay.config.edit import Edit, apply
from modelbay.config.entries import provider_entry
from modelbay.config.load import load
from modelbay.config.schema import Config, OAuth, ProviderEntry, Table, key_text
from modelbay.credentials import google, oauth, termination, tokens
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.credentials.oauth import Code, TokenSet
from modelbay.credentials.system_keyring import NoKeyring
from modelbay.errors import AuthenticationFailed, ConfigError, MissingCredential, ModelbayError
from modelbay.onboarding import remove as removal
from modelbay.onboarding.sources import login_models
from modelbay.onboarding.sources.login_models import LoginModels
from modelbay.providers import logins, presets
from modelbay.providers.endpoint import models_endpoint
from modelbay.providers.upstream import upstream
from modelbay.providers.vendor import LoginMethod, Preset
from modelbay.storage import files

ENTRY_ROOM = 65_536
"""Disk space that must be free for the entries of a login in config.toml, in bytes."""
REVOCATION_SECONDS = 10.0


class Platform(Struct, frozen=True):
    """A login: that of a platform, or of a provider with an `oauth` table."""

    id: str
    """The argument of `modelbay login`."""
    title: str
    by: Literal["device", "key", "adc"]


class LoginTarget(Struct):
    """The provider of a login: an existing entry, or the entry that a vendor's login will write."""

    entry: ProviderEntry
    login: LoginMethod | None
    table: Table
    """The keys that a vendor's login writes into the entry; empty for the user's own provider."""


class LoggedIn(Struct, frozen=True):
    """Result of a login."""

    new: bool
    """Whether the user approved a new login; False: the stored tokens were still valid."""
    written: LoginModels | None
    """The models that a vendor's login wrote; None for the user's own provider."""


class Ended(Struct, frozen=True):
    """Result of deleting and revoking the tokens of a login."""

    deleted: bool
    """Whether there were tokens on this machine."""
    problem: str | None = None
    """Why the tokens could not be revoked. None: they were revoked, the server offers no revocation, or another program uses
    them too.
    """
    until: float | None = None
    """Unix time when an access token that was not revoked expires."""


class LoggedOut(Struct, frozen=True):
    """Result of a logout."""

    ended: Ended
    removed: Removed | None = None
    """Entries that were also removed from the configuration; None: nothing."""


class Google(Struct, frozen=True):
    """Google's default credentials, after they returned a token, and the provider that uses them."""

    kind: str
    where: str
    account: str | None
    project: str | None
    location: str | None = None
    provider: str | None = None
    """ID of the provider that can use them; None: no provider has project and location."""


class Status(Struct):
    """State of a provider's login."""

    provider: str
    state: str
    """"logged in", "ended", "refused", "logged out", or "unreadable" if the stored tokens cannot be read."""
    until: float | None = None
    """Unix time when the access token expires. It is refreshed before that."""


def platforms(config: Config) -> list[Platform]:
    """All logins: those of platforms, then those of the user's own providers."""
    known = [Platform(login.id, login.title, login.by) for _, login in presets.logins()]
    own = [entry for entry in config.providers.values() if entry.oauth and logins.managing(entry) is None]
    return known + [Platform(entry.id, entry.name or f"provider {entry.id}", "device") for entry in own]


def target(
    config: Config, name: str, *, host: str | None = None, base_url: str | None = None, storage: str | None = None
) -> LoginTarget:
    """The login with this name: a vendor's login, or a provider with an `oauth` table.

    Raises:
        ConfigError: there is no such login, or it does not accept these options.
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
        known = ", ".join(login.id for _, login in presets.logins())
        why = f'unknown platform or provider "{name}"' if entry is None else f'provider "{name}" does not support login'
        hint = f"choose one of: {known}, or a provider with an oauth table"
        vendor = presets.by_name(name) if entry is None else None
        if vendor is not None and not (vendor.logins or vendor.ended):
            why = f"{vendor.name} does not support login"
            hint = f"add it with an API key: `modelbay provider add {vendor.id}`"
        raise ConfigError(why, hint=hint)
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


def vendor_of(login: LoginMethod) -> Preset:
    return next(preset for preset, other in presets.logins() if other.id == login.id)


def _check_own(entry: ProviderEntry, host: str | None, base_url: str | None, storage: str | None) -> None:
    """Refuse options that would change the user's own provider.

    Raises:
        ConfigError: one of the options is set.
    """
    for key, value in (("oauth.oauth_host", host), ("base_url", base_url), ("oauth.storage", storage)):
        if value is not None:
            raise ConfigError(
                f'a login does not change your own provider "{entry.id}"',
                hint=f'set {key} = "{value}" in [providers.{key_text(entry.id)}]',
                provider=entry.id,
            )


async def log_in(config: Config, to: LoginTarget, show: Callable[[Code], object]) -> LoggedIn:
    """Log in, unless valid tokens are stored, and write the provider and its models.

    Raises:
        ModelbayError: the login was denied or took too long; the tokens or the configuration could not be written.
    """
    before = config.providers.get(to.entry.id)
    config = replace(config, providers={**config.providers, to.entry.id: to.entry})
    client = ProviderClient(config)
    try:
        new = not await _logged_in(client, config, to)
        if new:
            login = _login(config, to.entry)
            await asyncio.to_thread(_check_room, config, to, login)
            send = partial(client.exchange, provider=to.entry.id)
            await oauth.log_in(login.flow, send, show, partial(_keep, login))
        written = await _refreshed(client, config, to, new=new)
        if before is not None and before.oauth is not None and _is_other(before, to.entry):
            with contextlib.suppress(ConfigError):  # the user may have changed the storage because this keyring fails
                await _end(client, before.id, before.oauth)
    except ModelbayError as error:
        error.operation = error.operation or "login"
        error.provider = error.provider or to.entry.id
        raise
    finally:
        await client.aclose()
    return LoggedIn(new, written)


async def _keep(login: tokens.Login, found: TokenSet) -> None:
    """Store the tokens of a new login."""
    found.origin = login.origin
    async with tokens.locked(login.name):
        await asyncio.to_thread(tokens.STORES[login.storage].write, login.name, found)


def _check_room(config: Config, to: LoginTarget, login: tokens.Login) -> None:
    """Check, before the user approves a login, that the tokens and the provider's entry can be stored.

    Raises:
        ConfigError: no disk space, no permission, or no working keyring.
    """
    tokens.STORES[login.storage].check(login.name)
    if to.login is not None:
        content = files.content_of(config.path) or b""
        files.check_room(config.path, len(content) + ENTRY_ROOM)


async def _refreshed(client: ProviderClient, config: Config, to: LoginTarget, *, new: bool) -> LoginModels | None:
    endpoint = models_endpoint(config, to.entry) if to.login else None
    if to.login is None or endpoint is None:
        return None
    vendor, body = to.login, await client.fetch(endpoint)
    models, gaps = login_models.models_of(body, vendor), login_models.gaps_of(body)

    def change(edit: Edit) -> LoginModels:
        return login_models.write(edit, vendor, to.table, models, new=new, gaps=gaps)

    login = _login(config, to.entry)
    async with tokens.locked(login.name):  # `_end` takes this lock too, so a parallel logout removes all or nothing
        if await asyncio.to_thread(tokens.STORES[login.storage].read, login.name) is None:
            raise MissingCredential(
                f"another process logged out of {vendor.title} during the login",
                hint=f"log in again: `modelbay login {vendor.id}`",
            )
        return apply(change, config.path).result


def _is_other(before: ProviderEntry, now: ProviderEntry) -> bool:
    """Whether a new login replaced one of another region or storage."""
    if before.oauth is None or now.oauth is None:
        return False
    old, new = ((oauth.storage, tokens.name_of(oauth)) for oauth in (before.oauth, now.oauth))
    return old != new


async def _end(
    client: NetworkClient,
    id: str,
    login: OAuth,
    change: Callable[[], Removed] | None = None,
    used: Callable[[], bool] = lambda: False,
) -> LoggedOut:
    """Delete the tokens of a provider's login, apply `change` to the configuration, and revoke the tokens if the server
    supports revocation. If another provider still uses the tokens (`used`), nothing is done.

    Only tokens that modelbay obtained are revoked: tokens from a copied file also belong to another program's login.

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
                failure = error  # the tokens are deleted, so they must be revoked before the error is raised
        ended = await _revoked(client, id, login, Ended(deleted), found)
    if failure is not None:
        raise failure
    return LoggedOut(ended, removed)


async def _revoked(client: NetworkClient, id: str, login: OAuth, ended: Ended, found: TokenSet | None) -> Ended:
    if found is None or found.refused or found.obtained_by != oauth.OBTAINED:
        return ended
    try:
        flow = logins.flow_of(login, id)
        if found.token_url == flow.token_url:  # never send the tokens to another server than the one that issued them
            async with asyncio.timeout(REVOCATION_SECONDS):
                await oauth.revoke(flow, found, partial(client.exchange, provider=id))
    except TimeoutError:
        problem = f"no answer within {REVOCATION_SECONDS:g} s"
    except ModelbayError as error:
        problem = error.message
    else:
        return ended
    return Ended(ended.deleted, problem, found.expires_at or None)


async def _logged_in(client: NetworkClient, config: Config, to: LoginTarget) -> bool:
    """Whether valid tokens of this login are stored."""
    try:
        await client.token(_login(config, to.entry))
    except NoKeyring:
        raise  # before the user approves a login that could not be stored
    except (AuthenticationFailed, MissingCredential, ConfigError):
        return False
    return True


async def log_out(config: Config, name: str) -> LoggedOut:
    """End a login; for a vendor's login, also remove its provider and models.

    Raises:
        ConfigError: there is no such login, or the file cannot be changed.
    """
    login = logins.by_id(name)
    entry = config.providers.get(login.provider if login else name)
    if entry is not None and login is not None and login.by == "key":
        return LoggedOut(Ended(True), removal.remove(config.path, [entry.id]).result[0])
    if entry is None or entry.oauth is None:
        by_google = login is not None and login.by == "adc"
        raise ConfigError(
            f'"{name}" is not a login',
            hint=f"run `{google.LOGOUT}` to remove Google's credentials"
            if by_google
            else "run `modelbay login --status` to list the logins",
        )
    vendor = logins.managing(entry)
    change = (
        None if vendor is None else lambda: apply(lambda edit: login_models.remove(edit, vendor), config.path).result
    )
    client = NetworkClient(config)
    try:
        return await _end(client, entry.id, entry.oauth, change)
    finally:
        await client.aclose()


async def remove(config: Config, ids: Sequence[str]) -> list[Removed]:
    """Remove providers with their models, and end their logins unless another provider uses the same one.

    Raises:
        UnknownProvider: one of them does not exist.
        ConfigError: the file cannot be changed.
    """
    removed = await asyncio.to_thread(removal.remove, config.path, ids)
    client = NetworkClient(config)
    try:
        for entry in (config.providers[id] for id in ids if id in config.providers):
            if entry.oauth is not None:
                used = partial(_is_used, config, entry.oauth)
                with contextlib.suppress(ConfigError):  # the provider is removed already
                    await _end(client, entry.id, entry.oauth, used=used)
    finally:
        await client.aclose()
    return removed.result


def _is_used(config: Config, login: OAuth) -> bool:
    """Whether a provider in the current file uses a login."""
    return any(entry.oauth.key == login.key for entry in load(config.path).providers.values() if entry.oauth)


async def check_google(config: Config) -> Google:
    """Requests a token with Google's default credentials, and finds the provider that uses them.

    Raises:
        MissingCredential: no credentials are set up on this machine; the hint is the command that sets them up.
        AuthenticationFailed: Google rejected the credentials.
    """
    client = NetworkClient(config)
    try:
        found = await client.google()
    finally:
        await client.aclose()
    known = [(entry, entry.env.get(PROJECT, ""), entry.env.get(LOCATION, "")) for entry in config.providers.values()]
    best = max(known, key=lambda one: bool(one[1]) + bool(one[2]), default=None)
    if best is None or not (best[1] or best[2]):
        return Google(found.kind, found.where, found.account, found.project)
    entry, project, location = best
    usable = entry.id if project and location else None
    return Google(found.kind, found.where, found.account, project or found.project, location or None, usable)


def status(config: Config, clock: Callable[[], float] = time.time) -> list[Status]:
    """The state of each login in the configuration."""
    return [_status(entry, clock()) for entry in config.providers.values() if entry.oauth]


def _status(entry: ProviderEntry, now: float) -> Status:
    if entry.oauth is None:
        raise AssertionError("only called for providers with a login")
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
        ConfigError: a vendor's login manages this provider and would overwrite changes.
    """
    entry = config.providers.get(id)
    login = logins.managing(entry) if entry else None
    if login is not None:
        raise ConfigError(
            f'provider "{id}" is managed by the login to {login.title} and cannot be edited',
            hint=f"run `modelbay login {id}` to refresh its models, or `modelbay logout {id}` to remove it",
            provider=id,
        )


def _login(config: Config, entry: ProviderEntry) -> tokens.Login:
    if entry.oauth is None:
        raise AssertionError("a target has an oauth table")
    return logins.login_of(entry.oauth, entry.id, upstream(config, entry).origin)
