"""Asking again where providers came from, and writing what is another now.

    answers = await ask(config, chosen(config))
    outcomes = [write(config, answer, agreed=False) for answer in answers]

`SOURCES` has the function for each kind of source. Asking writes nothing. Writing keeps the user's own changes, and sends no key
to another origin without consent: ask the user about `SourceUpdate.move`.
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from shlex import quote
from typing import TypeAlias

from msgspec import Struct, field

from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.schema import CATALOG, MANIFEST, REGISTRY, Config, ProviderEntry
from modelbay.errors import ConfigError, ModelbayError
from modelbay.line import ProviderClient
from modelbay.onboarding.sources.answer import LIST, LOGIN, SourceUpdate
from modelbay.onboarding.sources.merge import WrittenProvider
from modelbay.onboarding.sources.own_list import of_list
from modelbay.onboarding.sources.renewals import of_catalogs, of_login, of_manifest, of_registries
from modelbay.providers import logins
from modelbay.providers.upstream import upstream

Ask: TypeAlias = Callable[[Config, ProviderClient, list[ProviderEntry]], Awaitable[list[SourceUpdate]]]
AskOne: TypeAlias = Callable[[Config, ProviderClient, ProviderEntry], Awaitable[SourceUpdate]]


class RefreshResult(Struct, kw_only=True):
    """What became of an answer."""

    answer: SourceUpdate
    written: list[WrittenProvider] = field(default_factory=list)
    edited: Edited[list[WrittenProvider]] | None = None
    error: ModelbayError | None = None

    @property
    def diff(self) -> str:
        """What changed in the file; worked out only where somebody looks at it."""
        return self.edited.diff if self.edited else ""


def _each(kind: str, one: AskOne) -> Ask:
    """Asks for each provider by itself."""

    async def safely(config: Config, line: ProviderClient, entry: ProviderEntry) -> SourceUpdate:
        try:
            return await one(config, line, entry)
        except ModelbayError as error:
            error.provider = error.provider or entry.id
            return SourceUpdate(kind=kind, providers=[entry.id], error=error)

    async def asked(config: Config, line: ProviderClient, entries: list[ProviderEntry]) -> list[SourceUpdate]:
        return await gather(*(safely(config, line, entry) for entry in entries))

    return asked


SOURCES: dict[str, Ask] = {
    MANIFEST: _each(MANIFEST, of_manifest),
    CATALOG: of_catalogs,
    REGISTRY: of_registries,
    LOGIN: _each(LOGIN, of_login),
    LIST: _each(LIST, of_list),
}


def kind_of(entry: ProviderEntry) -> str | None:
    """What a provider is refreshed from; None where that is nothing."""
    if entry.static:
        return None
    kind = (entry.source or {}).get("kind")
    if entry.by_manifest and not entry.imported:
        return None  # embedded JSON
    if isinstance(kind, str) and kind in SOURCES:
        return kind
    return LOGIN if logins.managing(entry) else LIST


def chosen(config: Config, id: str | None = None) -> list[ProviderEntry]:
    """The providers to refresh: the one that is named, else all that can be.

    Raises:
        UnknownProvider: there is none of that id.
        ConfigError: it cannot be refreshed.
    """
    if id is None:
        return [entry for entry in config.providers.values() if kind_of(entry) is not None and _is_asked(config, entry)]
    entry = config.provider(id)
    if kind_of(entry) is None:
        raise ConfigError(f'provider "{id}" is not refreshed', hint=_why_not(entry), provider=id)
    return [entry]


def _why_not(entry: ProviderEntry) -> str:
    if entry.static:
        return f'it has model_source = "static"; without that, `modelbay provider refresh {quote(entry.id)}` asks again'
    again = f"`modelbay provider manifest URL --id {quote(entry.id)}`"
    return f"it was added from embedded JSON; once its manifest is hosted, {again} adds it by that"


def _is_asked(config: Config, entry: ProviderEntry) -> bool:
    """Whether there is anything to ask a provider for: some vendors have no list of their models."""
    if kind_of(entry) != LIST:
        return True
    try:
        preset = upstream(config, entry).preset
    except ConfigError:
        return True  # asking says what is wrong with it
    return preset is None or preset.lists_models or bool(preset.lists)


async def ask(config: Config, entries: Sequence[ProviderEntry]) -> list[SourceUpdate]:
    """What the sources of providers say now. One that fails leaves the others alone."""
    kinds: dict[str, list[ProviderEntry]] = {}
    for entry in entries:
        kinds.setdefault(kind_of(entry) or LIST, []).append(entry)
    if config.network is not None and config.network.offline:
        hint = "remove `offline = true` from [network] to refresh"
        raise ConfigError("offline: nothing is refreshed", hint=hint, file=str(config.path))
    line = ProviderClient(config)
    try:
        found = await gather(*(SOURCES[kind](config, line, group) for kind, group in kinds.items()))
    finally:
        await line.aclose()
    return [answer for group in found for answer in group]


def write(config: Config, answer: SourceUpdate, *, agreed: bool = False, dry_run: bool = False) -> RefreshResult:
    """Writes an answer, all of it or, where it cannot be used, nothing. `agreed`: its provider may move, key and all."""
    if answer.write is None:
        return RefreshResult(answer=answer, error=answer.error)
    writes = answer.write

    def change(edit: Edit) -> list[WrittenProvider]:
        for id in answer.providers:
            if edit.get("providers", id) is None:  # another process; writing would add it again
                raise ConfigError(f'provider "{id}" was removed during the refresh: nothing was written', provider=id)
        return writes(edit, agreed)

    try:
        done = apply(change, config.path, dry_run=dry_run)
    except ModelbayError as error:
        return RefreshResult(answer=answer, error=error)
    if not dry_run:
        answer.remember(agreed)
    return RefreshResult(answer=answer, written=done.result, edited=done)
