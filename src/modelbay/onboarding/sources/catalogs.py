"""Providers of models.dev, or of another catalog in the same format: listing, adding and refreshing them.

    catalog = await opened(config)
    draft = propose(config, catalog, "acme", CatalogValues(api_key="..."))
    written = add(config, draft).result

If a draft has `missing` values or `needs_key`, ask the user and call `propose` again with the answers.
"""

import re
from shlex import quote

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.calling.network_client import NetworkClient
from modelbay.catalog.formats.registry import why_refused
from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.lists.entry_facts import status_of
from modelbay.catalog.models_dev import live as modelsdev
from modelbay.catalog.models_dev.live import ModelsDev, fetched
from modelbay.catalog.models_dev.models import SKIPPED_STATUSES, is_gone, model_table, why_skipped
from modelbay.catalog.models_dev.providers import VARIABLE, Wire, wire
from modelbay.catalog.names import problem, problems, shown
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import CATALOG, Config, ProviderEntry, Table
from modelbay.conversation import Extra, Protocol
from modelbay.credentials.credential import LOCATION, PROJECT, has_auth_header
from modelbay.draft import Draft, as_entry, azure_draft, host_of, serves_without_key, with_key
from modelbay.errors import ConfigError, ModelbayError, SourceError
from modelbay.model import Model
from modelbay.onboarding import key_storage
from modelbay.onboarding.choose_models import settle_default
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.sources import imported
from modelbay.onboarding.sources.imported import Imported, owner_of
from modelbay.onboarding.sources.merge import WrittenProvider
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.upstream import upstream
from modelbay.providers.vendor import Preset
from modelbay.secrecy import masked_url, named_secret, register_url
from modelbay.storage.cache import Cache

OWNER = owner_of(
    ("max_context_size", "max_input_size", "max_output_size", "capabilities", "display_name", "reasoning_key",
     "support_efforts", "off_effort", "protocol", "base_url")
)  # fmt: skip
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The value of a variable in a URL: a name or a host."""
NAME = re.compile(r"\w[\w .-]{0,99}")
"""A provider ID that can be used as a key of the file and as the prefix of its models' aliases."""


class ProviderCatalog(Struct):
    """A catalog that was read."""

    url: str
    providers: dict[str, Extra]
    """Entries in the format of models.dev, by ID."""
    date: str = ""
    """Date of the models.dev list, such as "2026-05-21"; "" for another catalog."""
    built_in: bool = False
    """Whether it is the bundled list."""
    problem: str | None = None
    """Message for the user if a newer list could not be fetched."""

    @property
    def title(self) -> str:
        """Name for display, such as "models.dev of 2026-05-21 (bundled)"."""
        if not self.date:
            return masked_url(self.url)
        return f"models.dev of {self.date}" + " (bundled)" * self.built_in


class CatalogEntry(Struct):
    """A provider of the catalog, which may be impossible to add (`wire.refused`)."""

    id: str
    name: str
    wire: Wire
    models: list[str]
    """IDs of the models that are added."""
    skipped: dict[str, str]
    """Reasons for skipping the other models, by ID."""
    key_names: list[str]
    """Usual names of the environment variable with the API key. modelbay never reads it implicitly."""
    doc: str | None = None

    @property
    def needs(self) -> list[str]:
        return self.wire.needs


class CatalogValues(Struct, kw_only=True):
    """The user's values for a provider to add."""

    api_key: str | None = None
    base_url: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    """Values for variables of its URL."""
    id: str | None = None
    """Provider ID. Default: that of the catalog."""

    def __repr__(self) -> str:
        return f"CatalogValues(values of {list(self.values)})"


class CatalogDraft(Struct, kw_only=True):
    """The changes that adding a provider would make, and the values that are still missing."""

    entry: CatalogEntry
    draft: Draft
    models: dict[str, Table]
    """The models' tables by model ID."""
    missing: list[str] = field(default_factory=list)
    """Required values that are not given yet: variables of its URL, or "base_url"."""
    needs_key: bool = False
    """Whether it requires an API key and has none yet."""
    keyed: bool = False
    """Whether an API key was given."""
    gaps: Gaps = field(default_factory=Gaps)
    """The catalog's models that could not be read."""
    catalog: str = ""
    only: list[str] = field(default_factory=list)
    """IDs of the models to write; empty: all."""

    def __repr__(self) -> str:
        return f"CatalogDraft({self.entry.id!r}, {len(self.models)} models)"

    @property
    def what(self) -> Imported:
        """The draft in the form that `write` accepts."""
        draft = self.draft
        return Imported(
            id=draft.id, table=draft.table, models=self.models, owner=OWNER, may_move=self.keyed, gaps=self.gaps,
            only=self.only,
        )  # fmt: skip

    @property
    def key_url(self) -> str | None:
        return self.draft.preset.key_url if self.draft.preset else None


async def opened(config: Config, url: str | None = None, cache: Cache | None = None) -> ProviderCatalog:
    """The models.dev list, fetched if the cached one is old, or the catalog at `url`. Only models.dev has a cached and a
    bundled copy.

    Raises:
        ModelbayError: the catalog at the URL could not be read.
    """
    client = NetworkClient(config)
    try:
        if url is None or url == modelsdev.URL:
            known = ModelsDev(cache)
            problem = await known.refresh(client.outside)
            return ProviderCatalog(modelsdev.URL, known.providers, known.date, known.built_in, problem)
        _checked(url)
        return ProviderCatalog(url, await fetched(client.outside, url))
    finally:
        await client.aclose()


def search(catalog: ProviderCatalog, words: str = "") -> list[CatalogEntry]:
    """The catalog's providers, sorted by ID. With `words`: those whose ID or name contains it."""
    wanted = words.strip().lower()
    found = sorted(catalog.providers)
    return [find(catalog, id) for id in found if wanted in f"{id}\n{catalog.providers[id].get('name') or ''}".lower()]


def find(catalog: ProviderCatalog, id: str, base_url: str | None = None) -> CatalogEntry:
    """One provider of the catalog.

    Raises:
        SourceError: the catalog has no such provider.
    """
    entry = catalog.providers.get(id)
    if entry is None:
        from difflib import get_close_matches

        named = presets.by_name(id)
        near = get_close_matches(id.lower(), list(catalog.providers), n=3)
        hint = (
            f"add it by name: `modelbay provider add {named.id}`"
            if named is not None and not named.ended
            else f"did you mean {' or '.join(near)}?"
            if near
            else "run `modelbay provider catalog list` to list all providers"
            if catalog.date
            else f"run `modelbay provider catalog list --url {quote(masked_url(catalog.url))}` to list all providers"
        )
        raise SourceError(f'provider "{id}" is not in the catalog {masked_url(catalog.url)}', hint=hint)
    found = wire(entry, base_url)
    reasons = _reasons(found, entry) if found.type else {}
    variables = [name for name in entry.get("env") or () if isinstance(name, str)]
    return CatalogEntry(
        id=id,
        name=shown(str(entry.get("name") or "")) or id,
        wire=found,
        models=[id for id, why in reasons.items() if why is None],
        skipped={id: why for id, why in reasons.items() if why is not None},
        key_names=[name for name in variables if named_secret(name)],
        doc=entry["doc"] if isinstance(entry.get("doc"), str) else None,
    )


def tables(catalog: ProviderCatalog, found: CatalogEntry) -> dict[str, Table]:
    """A provider's models as tables for the file, by model ID."""
    entry = catalog.providers[found.id]
    return {id: model_table(found.wire, entry, id, entry["models"][id]) for id in found.models}


def propose(config: Config, catalog: ProviderCatalog, id: str, given: CatalogValues) -> CatalogDraft:
    """The changes that adding a provider of the catalog would make.

    Raises:
        SourceError: it is not in the catalog, its protocol is not supported, or a given value is invalid.
        ConfigError: another provider with this ID already exists.
    """
    found = find(catalog, id, given.base_url)
    if found.wire.refused:
        raise _refused(found)
    if not NAME.fullmatch(id) or problem(id):
        raise SourceError(
            f'"{masked_url(id)}" cannot be used as a provider ID', hint="add it by URL: modelbay provider add URL"
        )
    if given.base_url is None and (why := _inside(catalog, found.wire.base_url)) is not None:
        raise SourceError(
            f'provider "{id}" cannot be added: {why}', hint="pass --base-url URL if the server is your own"
        )
    preset = presets.by_models_dev(id)
    made, missing = _drafted(found, preset, given)
    if given.id is not None:
        made = replace(made, id=given.id)
    if given.api_key:
        made = with_key(made, given.api_key)
    old = config.providers.get(made.id)
    if not missing:
        _check_free(config, old, made, keyed=bool(given.api_key))
    made.table["source"] = _source(catalog, id, made.id)
    return CatalogDraft(
        entry=found,
        draft=made,
        models=_models(config, catalog, found, made.id),
        missing=missing,
        needs_key=not missing and not given.api_key and _needs_key(config, old, made),
        keyed=bool(given.api_key),
        gaps=_gaps(catalog, found),
        catalog=catalog.title,
    )


def alias_of(made: CatalogDraft, name: str) -> str:
    """The alias of the new default model, from its alias or model ID.

    Raises:
        SourceError: the provider has no such model.
    """
    id = made.draft.id
    for wire_id in made.only or made.models:
        if name in (wire_id, f"{id}/{wire_id}"):
            return f"{id}/{wire_id}"
    why = made.entry.skipped.get(name.removeprefix(f"{id}/"))
    raise SourceError(
        f'provider "{made.entry.id}" has no model "{name}" that can be added' + (f": {why}" if why else ""),
        hint=f"run `modelbay provider catalog list {quote(made.entry.id)}` to list its models",
    )


def limited(made: CatalogDraft, ids: list[str]) -> CatalogDraft:
    """The draft with these models only.

    Raises:
        SourceError: the entry has no such model.
    """
    prefix = f"{made.draft.id}/"
    return replace(made, only=[alias_of(made, id).removeprefix(prefix) for id in ids])


def models_of(made: CatalogDraft) -> list[Model]:
    """The models with their facts, for display."""
    return [
        Model(
            id=id,
            alias=f"{made.draft.id}/{id}",
            provider=made.draft.id,
            name=table.get("display_name"),
            max_context_tokens=table.get("max_context_size"),
        )
        for id, table in made.models.items()
    ]


def add(
    config: Config, made: CatalogDraft, *, default_model: str | None = None, dry_run: bool = False
) -> KeyedEdit[WrittenProvider]:  # fmt: skip
    """Add the provider and its models, or update them. `default_model` is the alias of the new default model. Without it,
    one of these models becomes the default if none is set yet.

    Raises:
        SourceError: a required value is missing, or there are no chat models.
        ConfigError: the configuration would be invalid.
    """
    if made.missing or not made.models:
        why = f"requires {', '.join(made.missing)}" if made.missing else "has no chat models"
        raise SourceError(f'provider "{made.entry.id}" {why}')

    def change(edit: Edit) -> WrittenProvider:
        written = imported.write(edit, made.what, again=True)
        if default_model is not None:
            changes.set_default_model(edit, default_model)
            edit.check()
        written.default_model = default_model or settle_default(edit, [made.draft.id])
        return written

    edited = key_storage.apply(change, config, dry_run=dry_run)
    if not dry_run:
        imported.remember(made.what)
    return edited


def refreshed(config: Config, catalog: ProviderCatalog, entry: ProviderEntry) -> Imported:
    """The current catalog entry of a provider that was added from the catalog. Only its models are updated.

    Raises:
        SourceError: the provider is no longer in the catalog, or it has no models there.
    """
    source = entry.source or {}
    found = find(catalog, str(source.get("models_dev_provider_id") or source.get("entry") or entry.id), entry.base_url)
    if found.wire.refused:
        raise _refused(found)
    if entry.type:
        found.wire.type = entry.type
    models = _models(config, catalog, found, entry.id)
    if not models:
        raise SourceError(f'the catalog no longer has models of provider "{entry.id}"', provider=entry.id)
    return Imported(id=entry.id, models=models, owner=OWNER, gaps=_gaps(catalog, found))


def _inside(catalog: ProviderCatalog, base: str | None) -> str | None:
    """Why a URL from a catalog is refused: it is in a private network. Local servers in the models.dev list are allowed."""
    if base is None or VARIABLE.search(base):
        return None
    known = catalog.date and host_of(base).startswith("localhost:")
    return None if known else why_refused(base, catalog.url)


def _models(config: Config, catalog: ProviderCatalog, found: CatalogEntry, id: str) -> dict[str, Table]:
    """The models to add, and deprecated ones that the user already has: they still work."""
    models = catalog.providers[found.id]["models"]
    used = {model.model for model in config.models.values() if model.provider == id}
    stay = [id for id in found.skipped if id in used and status_of(models[id]) in SKIPPED_STATUSES]
    return tables(catalog, replace(found, models=[*found.models, *stay]))


def _gaps(catalog: ProviderCatalog, found: CatalogEntry) -> Gaps:
    """Models of the catalog that are skipped, possibly because of a mistake in the catalog. They are not removed."""
    entry = catalog.providers[found.id]
    broken = {str(id): "its entry is invalid" for id, model in entry["models"].items() if not isinstance(model, dict)}
    kept = {id: why for id, why in found.skipped.items() if not is_gone(found.wire, entry, entry["models"][id])}
    return Gaps(entries={**broken, **kept})


def _reasons(found: Wire, entry: Extra) -> dict[str, str | None]:
    models = {str(id): model for id, model in entry["models"].items() if isinstance(model, dict)}
    refused = problems(models)
    return {
        id: f"its ID cannot be used: {refused[id]}" if id in refused else why_skipped(found, entry, id, model)
        for id, model in models.items()
    }


def _source(catalog: ProviderCatalog, id: str, provider: str) -> Table:
    """The provider's source for a refresh. Only an ID of models.dev itself decides which prices apply."""
    named = {"models_dev_provider_id": id} if catalog.date else {"entry": id} if id != provider else {}
    return {"kind": CATALOG, "url": catalog.url, **named}


def _drafted(found: CatalogEntry, preset: Preset | None, given: CatalogValues) -> tuple[Draft, list[str]]:
    """The entry without its API key, and the names of missing values."""
    base, needs, type = found.wire.base_url, found.wire.needs, found.wire.type or ""
    table: Table = {"type": type}
    if preset is not None and preset.addressing == "vertexai":
        places = {_place_of(name): value for name in needs if (value := _value(name, given))}
        missing = [] if given.api_key else [name for name in needs if not _value(name, given)]
        table |= {"base_url": base} if base else {}
        return Draft(found.id, table | ({"env": places} if places else {}), preset), missing
    if base is None:
        return Draft(found.id, table, preset), needs
    missing = [name for name in needs if not _value(name, given)]
    base = VARIABLE.sub(lambda match: _value(match[1], given) or match[0], base)
    if missing:
        return Draft(found.id, table | {"base_url": base}, preset), missing
    _checked(base)
    if preset is not None and preset.addressing == "azure":
        return replace(azure_draft(found.id, url=base), models=[]), []
    table["base_url"] = base
    there = presets.by_host(host_of(base))
    if preset is not None and (there is None or there.id != preset.id):
        table["dialect"] = preset.id
    return Draft(found.id, table, preset or there), []


def _place_of(name: str) -> str:
    """The environment variable of Google's own programs for a project or a location."""
    return PROJECT if "PROJECT" in name else LOCATION


def _value(name: str, given: CatalogValues) -> str | None:
    """The given value of a variable. If it is a URL, only its host and path are used.

    Raises:
        SourceError: it cannot be part of a URL.
    """
    value = given.values.get(name, "").strip()
    if not value:
        return None
    value = re.sub(r"^https?://|/+$", "", value)
    if not VALUE.fullmatch(value):
        raise SourceError(
            f"{name}: invalid value {masked_url(value)!r}", hint="use letters, digits, dots, hyphens and underscores"
        )
    return value


def _needs_key(config: Config, old: ProviderEntry | None, made: Draft) -> bool:
    if old is not None and (old.api_key or old.env or old.oauth or old.auth == "none" or has_auth_header(old)):
        return False
    return not serves_without_key(as_entry(config, made.id, made.table))


def _check_free(config: Config, old: ProviderEntry | None, made: Draft, *, keyed: bool) -> None:
    """
    Raises:
        ConfigError: a different provider with this ID already exists.
    """
    if old is None:
        return
    try:
        before, after = upstream(config, old), upstream(config, as_entry(config, made.id, made.table))
    except ConfigError:
        return
    mine = (old.source or {}).get("kind") == CATALOG
    if before.origin == after.origin and (mine or _protocol(old) == _protocol(after.provider)):
        return
    if mine and keyed:
        return
    raise ConfigError(
        f'provider "{made.id}" already exists at {before.origin}, and its API key is not for {after.origin}'
        if mine
        else f'another provider "{made.id}" already exists at {before.origin}',
        hint=f"pass the API key for {after.origin} with --api-key, or remove the provider: "
        f"modelbay provider remove {quote(made.id)}"
        if mine
        else f"choose another ID with --id, or remove the existing provider: modelbay provider remove {quote(made.id)}",
        provider=made.id,
    )


def _protocol(entry: ProviderEntry) -> Protocol | None:
    return TYPES[entry.type].protocol if entry.type else None


def _refused(found: CatalogEntry) -> ModelbayError:
    hints = {
        "empty-url": "pass a base URL with --base-url URL",
        "placeholder-url": "pass the base URL without placeholders such as ${…}",
        "unknown-type": "add it by URL if it speaks a supported protocol: modelbay provider add URL",
        "proprietary": "add it by URL if it has an endpoint for the OpenAI protocol: modelbay provider add URL",
    }
    return SourceError(
        f'provider "{found.id}" cannot be added: {found.wire.why}', hint=hints.get(str(found.wire.refused))
    )


def _checked(url: str) -> None:
    """
    Raises:
        SourceError: the URL is invalid.
    """
    register_url(url)
    try:
        origin(url)
    except ValueError as error:
        raise SourceError(f"{masked_url(url)}: {error}", hint="pass a URL that begins with https://") from None
