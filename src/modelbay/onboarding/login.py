"""Logging in and out: the tokens, and what of it stands in `config.toml`."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from modelbay.config import changes
from modelbay.config.changes import Removed
from modelbay.config.edit import Edit, apply
from modelbay.config.entries import provider_entry
from modelbay.config.schema import Config, ProviderEntry, Table
from modelbay.credentials import oauth, tokens
from modelbay.credentials.oauth import Code, TokenSet
from modelbay.errors import AuthenticationFailed, ConfigError, MissingCredential
from modelbay.line import Line
from modelbay.onboarding import managed
from modelbay.onboarding.managed import Written
from modelbay.providers import logins, presets
from modelbay.providers.endpoint import models_endpoint
from modelbay.providers.presets import Login
from modelbay.providers.upstream import upstream


class Target(Struct):
    """What somebody logs in to: an entry that is there, or the one that a vendor's login will write."""

    entry: ProviderEntry
    login: Login | None
    table: Table
    """The keys of the entry that logging in writes, where a vendor's login does."""


class Status(Struct):
    """A provider that is used by logging in."""

    provider: str
    state: str
    """"logged in", "ended", "refused" or "logged out"."""
    until: float | None = None
    """When its token ends; it is refreshed before that."""


def target(config: Config, name: str, *, host: str | None = None, base_url: str | None = None) -> Target:
    """What `name` stands for: a vendor's login, or a provider with an `oauth` table.

    Raises:
        ConfigError: nobody can log in there.
    """
    login = logins.by_id(name)
    entry = config.providers.get(name)
    if login is None and entry is not None and entry.oauth:
        known = logins.by_key(entry.oauth.key)
        if known is None or known.provider != entry.id:
            return Target(entry, None, {})
        login, host, base_url = known, host or entry.oauth.oauth_host, base_url or entry.base_url
    if login is None or login.by != "device":
        there = ", ".join(login.id for _, login in presets.logins())
        raise ConfigError(
            f'nobody can log in to "{name}"', hint=f"there are {there}, and providers with an oauth table"
        )
    base = (base_url or login.base_url or "").rstrip("/")
    table: Table = {
        "type": login.type,
        "base_url": base,
        "api_key": "",
        "oauth": logins.oauth_table(login, host=host, base_url=base),
    }
    if base != login.base_url:
        preset = next(preset for preset, other in presets.logins() if other.id == login.id)
        table["dialect"] = preset.id
    return Target(provider_entry(login.provider, table), login, table)


async def log_in(config: Config, to: Target, show: Callable[[Code], object]) -> tuple[bool, Written | None]:
    """Logs in, unless that is so already, and writes what the login brings; whether it was new, and what was written.

    Raises:
        ModelbayError: it was denied or took too long; the tokens or the configuration could not be written.
    """
    config = replace(config, providers={**config.providers, to.entry.id: to.entry})
    line = Line(config)
    try:
        new = not await _logged_in(line, config, to)
        if new:
            login = _login(config, to.entry)
            found = await oauth.log_in(login.flow, line.exchange, show)
            found.origin = login.origin
            async with tokens.locked(login.name):
                await asyncio.to_thread(tokens.STORES[login.storage].write, login.name, found)
        if to.login is None:
            return new, None
        endpoint = models_endpoint(config, to.entry)
        if endpoint is None:
            return new, None
        models = managed.models_of(await line.fetch(endpoint), to.login)
    finally:
        await line.aclose()
    vendor, table = to.login, to.table

    def change(edit: Edit) -> Written:
        return managed.write(edit, vendor, table, models)

    return new, apply(change, config.path).result


async def _logged_in(line: Line, config: Config, to: Target) -> bool:
    """Whether the tokens at hand are good; those of somebody else's login are not."""
    try:
        await line.token(_login(config, to.entry))
    except (AuthenticationFailed, MissingCredential, ConfigError):
        return False
    return True


def log_out(config: Config, name: str) -> tuple[bool, Removed | None]:
    """Forgets a login; of a vendor's, its provider and models too. Whether there were tokens, and what was removed.

    Raises:
        ConfigError: there is no such login.
    """
    login = logins.by_id(name)
    entry = config.providers.get(login.provider if login else name)
    if entry is None or entry.oauth is None:
        raise ConfigError(f'nobody logs in to "{name}"', hint="`modelbay login --status` lists the logins")
    there = tokens.STORES[entry.oauth.storage].delete(tokens.name_of(entry.oauth))
    known = logins.by_key(entry.oauth.key)
    if known is None or known.provider != entry.id:
        return there, None
    id = entry.id

    def change(edit: Edit) -> Removed:
        return changes.remove_provider(edit, id)

    return there, apply(change, config.path).result


def status(config: Config, clock: Callable[[], float] = time.time) -> list[Status]:
    """Every provider that is used by logging in, and how that stands."""
    return [_status(entry, clock()) for entry in config.providers.values() if entry.oauth]


def _status(entry: ProviderEntry, now: float) -> Status:
    if entry.oauth is None:
        raise AssertionError("only asked of those with a login")
    try:
        found: TokenSet | None = tokens.STORES[entry.oauth.storage].read(tokens.name_of(entry.oauth))
    except ConfigError:
        return Status(entry.id, "refused")
    if found is None:
        return Status(entry.id, "logged out")
    if found.refused:
        return Status(entry.id, "refused")
    ended = found.expires_at and found.expires_at <= now and not found.refresh_token
    return Status(entry.id, "ended" if ended else "logged in", found.expires_at or None)


def _login(config: Config, entry: ProviderEntry) -> tokens.Login:
    if entry.oauth is None:
        raise AssertionError("a target has an oauth table")
    return logins.login_of(entry.oauth, entry.id, upstream(config, entry).origin)
