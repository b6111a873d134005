"""Refreshing providers: reads their sources again and writes the changes.

    updates = await ask(config, chosen(config))
    results = [write(config, update, agreed=False) for update in updates]

`SOURCES` has the function for each kind of source. `ask` writes nothing. `write` keeps the user's own changes, and moves no API
key to another origin without consent: ask the user about `SourceUpdate.move`.
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from shlex import quote
from typing import TypeAlias

from msgspec import Struct, field

from modelbay.calling.provider_client import ProviderClient
from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.schema import CATALOG, MANIFEST, REGISTRY, Config, ProviderEntry
from modelbay.errors import ConfigError, ModelbayError
from modelbay.onboarding.sources.merge import WrittenProvider
from modelbay.onboarding.sources.own_list import of_list
from modelbay.onboarding.sources.source_readers import of_catalogs, of_login, of_manifest, of_registries
from modelbay.onboarding.sources.source_update import LIST, LOGIN, SourceUpdate
from modelbay.providers import logins
from modelbay.providers.upstream import upstream

Ask: TypeAlias = Callable[[Config, ProviderClient, list[ProviderEntry]], Awaitable[list[SourceUpdate]]]
AskOne: TypeAlias = Callable[[Config, ProviderClient, ProviderEntry], Awaitable[SourceUpdate]]


class RefreshResult(Struct, kw_only=True):
    """The result of writing an update."""

    answer: SourceUpdate
    written: list[WrittenProvider] = field(default_factory=list)
    edited: Edited[list[WrittenProvider]] | None = None
    error: ModelbayError | None = None

    @property
    def diff(self) -> str:
        """The change of the file as a unified diff. It is computed on access."""
        return self.edited.diff if self.edited else ""


def _each(kind: str, one: AskOne) -> Ask:
    """A function that reads the source of each provider separately."""

    async def safely(config: Config, client: ProviderClient, entry: ProviderEntry) -> SourceUpdate:
        try:
            return await one(config, client, entry)
        except ModelbayError as error:
            error.provider = error.provider or entry.id
            return SourceUpdate(kind=kind, providers=[entry.id], error=error)

    async def asked(config: Config, client: ProviderClient, entries: list[ProviderEntry]) -> list[SourceUpdate]:
        return await gather(*(safely(config, client, entry) for entry in entries))

    return asked


SOURCES: dict[str, Ask] = {
    MANIFEST: _each(MANIFEST, of_manifest),
    CATALOG: of_catalogs,
    REGISTRY: of_registries,
    LOGIN: _each(LOGIN, of_login),
    LIST: _each(LIST, of_list),
}


def kind_of(entry: ProviderEntry) -> str | None:
    """The kind of a provider's source; None: it cannot be refreshed."""
    if entry.static:
        return None
    kind = (entry.source or {}).get("kind")
    if entry.by_manifest and not entry.imported:
        return None  # embedded JSON
    if isinstance(kind, str) and kind in SOURCES:
        return kind
    return LOGIN if logins.managing(entry) else LIST


def chosen(config: Config, id: str | None = None) -> list[ProviderEntry]:
    """The provider to refresh, or all that can be refreshed if `id` is None.

    Raises:
        UnknownProvider: there is no such provider.
        ConfigError: it cannot be refreshed.
    """
    if id is None:
        return [entry for entry in config.providers.values() if kind_of(entry) is not None and _is_asked(config, entry)]
    entry = config.provider(id)
    if kind_of(entry) is None:
        why, hint = _why_not(entry)
        raise ConfigError(f'provider "{id}" cannot be refreshed: {why}', hint=hint, provider=id)
    return [entry]


def _why_not(entry: ProviderEntry) -> tuple[str, str]:
    """The reason and the hint."""
    if entry.static:
        return 'it has model_source = "static"', "remove that key from config.toml to refresh it"
    again = f"`modelbay provider manifest URL --id {quote(entry.id)}`"
    return "it was added from embedded JSON", f"run {again} when the manifest is hosted"


def _is_asked(config: Config, entry: ProviderEntry) -> bool:
    """Whether the provider has a source to read: some vendors have no list of models."""
    if kind_of(entry) != LIST:
        return True
    try:
        preset = upstream(config, entry).preset
    except ConfigError:
        return True  # the refresh reports the error
    return preset is None or preset.lists_models or bool(preset.lists)


async def ask(config: Config, entries: Sequence[ProviderEntry]) -> list[SourceUpdate]:
    """Read the sources of providers. An error of one source does not affect the others."""
    kinds: dict[str, list[ProviderEntry]] = {}
    for entry in entries:
        kinds.setdefault(kind_of(entry) or LIST, []).append(entry)
    if config.network is not None and config.network.offline:
        hint = "remove `offline = true` from [network] to refresh"
        raise ConfigError("offline: cannot refresh", hint=hint, file=str(config.path))
    client = ProviderClient(config)
    try:
        found = await gather(*(SOURCES[kind](config, client, group) for kind, group in kinds.items()))
    finally:
        await client.aclose()
    return [answer for group in found for answer in group]


def write(config: Config, answer: SourceUpdate, *, agreed: bool = False, dry_run: bool = False) -> RefreshResult:
    """Write an update completely or, if it is invalid, not at all. `agreed`: the user agreed to `answer.move`."""
    if answer.write is None:
        return RefreshResult(answer=answer, error=answer.error)
    writes = answer.write

    def change(edit: Edit) -> list[WrittenProvider]:
        for id in answer.providers:
            if edit.get("providers", id) is None:  # removed by another process: do not add it again
                raise ConfigError(
                    f'provider "{id}" was removed during the refresh: nothing was written',
                    hint="list the providers: `modelbay provider list`",
                    provider=id,
                )
        return writes(edit, agreed)

    try:
        done = apply(change, config.path, dry_run=dry_run)
    except ModelbayError as error:
        return RefreshResult(answer=answer, error=error)
    if not dry_run:
        answer.remember(agreed)
    return RefreshResult(answer=answer, written=done.result, edited=done)
