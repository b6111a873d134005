"""Reads the sources of providers for a refresh. Providers that share a source share one request."""

from contextlib import suppress
from functools import partial
from shlex import quote

from modelbay.calling.provider_client import ProviderClient
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.schema import CATALOG, MANIFEST, REGISTRY, Config, ProviderEntry
from modelbay.errors import ConfigError, MissingCredential, ModelbayError, SourceError
from modelbay.onboarding.sources import catalogs, imported, login_models, manifests, registries
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.catalogs import ProviderCatalog
from modelbay.onboarding.sources.merge import WrittenProvider
from modelbay.onboarding.sources.source_update import LOGIN, Move, SourceUpdate
from modelbay.origin import origin
from modelbay.providers import logins
from modelbay.providers.endpoint import Endpoint, endpoint_at, models_endpoint
from modelbay.providers.upstream import upstream

# Manifests


async def of_manifest(config: Config, client: ProviderClient, entry: ProviderEntry) -> SourceUpdate:
    """Read a provider's manifest."""
    source = entry.source or {}
    url, base = str(source["url"]), upstream(config, entry).base_url
    trusted = [manifests.typed(url), origin(base)]
    manifest = await manifests.manifest_at(client, url, trusted)
    try:
        said = await manifests.models_of_manifest(manifest, trusted, partial(_keyed, config, entry), client)
    except ModelbayError as error:
        raise manifests.refused(error) from None
    if not said.models:
        raise SourceError(manifests.NO_MODELS, hint=manifests.HAVE_MODELS)
    last, tables = merging.recall(entry.id), said.tables
    before = last.base_url if last and last.base_url else base
    elsewhere = manifest.base_url.rstrip("/") not in (before.rstrip("/"), base.rstrip("/"))

    def write(edit: Edit, agreed: bool) -> list[WrittenProvider]:
        moves = elsewhere and agreed
        if moves:
            changes.change_provider(edit, entry.id, {("base_url",): manifest.base_url})
        for name, value in (("models_dev_provider_id", manifest.models_dev_id), ("website", manifest.website)):
            if source.get(name) != value:
                changes.change_provider(edit, entry.id, {("source", name): value})
        renamed = merging.rename(edit, entry.id, manifest.name, last)
        written = WrittenProvider(provider=entry.id, moved=moves, renamed=renamed)
        written.models = merging.merge(edit, entry.id, tables, manifests.OWNER, last, gaps=said.gaps)
        written.notes = [note for note in said.notes if note != written.models.incomplete]
        return [written]

    def remember(agreed: bool) -> None:
        manifests.remember(entry.id, said, manifest.base_url if agreed or not elsewhere else before, last)

    return SourceUpdate(
        kind=MANIFEST,
        providers=[entry.id],
        write=write,
        remember=remember,
        move=Move(base, manifest.base_url) if elsewhere else None,
    )


def _keyed(config: Config, entry: ProviderEntry) -> Endpoint | None:
    """The provider's endpoint with its API key; None: it has no key."""
    with suppress(MissingCredential):
        return endpoint_at(config, upstream(config, entry), "/chat/completions")
    return None


# Catalogs


async def of_catalogs(config: Config, client: ProviderClient, entries: list[ProviderEntry]) -> list[SourceUpdate]:
    """Read models.dev or another catalog for the providers that were added from it."""
    opened: dict[str | None, ProviderCatalog | ModelbayError] = {}
    answers = []
    for entry in entries:
        url = (entry.source or {}).get("url")
        if url not in opened:
            try:
                opened[url] = await catalogs.opened(config, url)
            except ModelbayError as error:
                opened[url] = error
        answers.append(_of_catalog(config, opened[url], entry))
    return answers


def _of_catalog(config: Config, catalog: ProviderCatalog | ModelbayError, entry: ProviderEntry) -> SourceUpdate:
    try:
        if isinstance(catalog, ModelbayError):
            raise catalog
        if catalog.problem:  # an old list must not undo changes that came from a newer one
            raise SourceError(catalog.problem.partition(";")[0])
        made = catalogs.refreshed(config, catalog, entry)
    except ModelbayError as error:
        return SourceUpdate(kind=CATALOG, providers=[entry.id], error=error)

    def write(edit: Edit, agreed: bool) -> list[WrittenProvider]:
        return [imported.write(edit, made)]

    def remember(agreed: bool) -> None:
        imported.remember(made)

    return SourceUpdate(kind=CATALOG, providers=[entry.id], write=write, remember=remember)


# Registries


async def of_registries(config: Config, client: ProviderClient, entries: list[ProviderEntry]) -> list[SourceUpdate]:
    """Read the registries of these providers. All providers of a registry are updated."""
    wanted = {str((entry.source or {}).get("url") or "").strip() for entry in entries}
    tokens = registries.urls_of(config)
    lost = [entry.id for entry in entries if not (entry.source or {}).get("url")]
    error = SourceError("its source has no `url`", hint="add the registry again by its URL")
    without = [SourceUpdate(kind=REGISTRY, providers=lost, error=error)] if lost else []
    return [*without, *[await _of_registry(config, url, tokens.get(url, [])) for url in tokens if url in wanted]]


async def _of_registry(config: Config, url: str, tokens: list[str]) -> SourceUpdate:
    members = registries.members(config, url)
    try:
        made = registries.refreshed(config, await registries.fetched(config, url, tokens))
    except ModelbayError as error:
        error.provider = error.provider or members[0]
        return SourceUpdate(kind=REGISTRY, providers=members, error=error)

    def write(edit: Edit, agreed: bool) -> list[WrittenProvider]:
        written = registries.write(edit, made, again=False)
        keyless = {item.listed.id for item in made.items if item.needs_key}
        for one in written:
            _note(one, keyless=one.provider in keyless)
        if written and made.skipped:
            written[-1].notes += [f"skipped in the registry: {one.where}: {one.why}" for one in made.skipped]
        return written

    def remember(agreed: bool) -> None:
        registries.remember(made)

    return SourceUpdate(kind=REGISTRY, providers=members, write=write, remember=remember)


def _note(one: WrittenProvider, *, keyless: bool) -> None:
    if one.elsewhere:
        one.notes.append(registries.not_moved(one.provider, one.elsewhere))
    elif keyless:
        one.notes.append(f"{one.provider} has no API key yet: modelbay key set {quote(one.provider)}")


# Logins


async def of_login(config: Config, client: ProviderClient, entry: ProviderEntry) -> SourceUpdate:
    """Read the list of models of a login's service."""
    login, endpoint = logins.managing(entry), models_endpoint(config, entry)
    if login is None or endpoint is None:
        add = f"`modelbay provider edit {quote(entry.id)} --add-model MODEL_ID`"
        raise ConfigError(
            f'provider "{entry.id}" has no list of models',
            hint=f"add its models by their IDs: {add}",
            provider=entry.id,
        )
    body = await client.fetch(endpoint)
    models, gaps = login_models.models_of(body, login), login_models.gaps_of(body)

    def write(edit: Edit, agreed: bool) -> list[WrittenProvider]:
        before = edit.get("models") or {}
        login_models.write(edit, login, edit.get("providers", entry.id), models, new=False, gaps=gaps)
        merged = merging.compared(before, edit, entry.id)
        merged.incomplete = next(iter(gaps.reasons), None)
        return [WrittenProvider(provider=entry.id, models=merged)]

    def remember(agreed: bool) -> None:
        merging.remember(entry.id, merging.seen(str(entry.base_url), {}))

    return SourceUpdate(kind=LOGIN, providers=[entry.id], write=write, remember=remember)
