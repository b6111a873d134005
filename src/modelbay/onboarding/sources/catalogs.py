"""Providers out of models.dev, or of a list like it: which there are, what each needs, and what adding one writes.

    shelf = await opened(config)
    made = propose(config, shelf, "acme", CatalogValues(api_key="..."))
    written = add(config, made).result

Where a proposal has `missing` or `wants_key`, a person is asked, and it is proposed again with the answers.
"""

import re
from shlex import quote

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.formats.registry import why_refused
from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.lists.entry_facts import status_of
from modelbay.catalog.models_dev import live as modelsdev
from modelbay.catalog.models_dev.live import ModelsDev, fetched
from modelbay.catalog.models_dev.models import LEFT, is_gone, model_table, why_left_out
from modelbay.catalog.models_dev.providers import VARIABLE, Wire, wire
from modelbay.catalog.names import problem, problems, shown
from modelbay.config import changes
from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import CATALOG, Config, ProviderEntry, Table
from modelbay.conversation import Extra, Protocol
from modelbay.credentials.credential import LOCATION, PROJECT, has_auth_header
from modelbay.errors import ConfigError, ModelbayError, SourceError
from modelbay.line import ProviderClient
from modelbay.model import Model
from modelbay.onboarding.choose_models import settle_default
from modelbay.onboarding.draft import Draft, as_entry, azure_draft, host_of, serves_without_key, with_key
from modelbay.onboarding.sources import write as imported
from modelbay.onboarding.sources.merge import WrittenProvider
from modelbay.onboarding.sources.write import Imported, owner_of
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.presets import Preset
from modelbay.providers.upstream import upstream
from modelbay.secrecy import masked_url, named_secret, register_url
from modelbay.storage.cache import Cache

OWNER = owner_of(
    ("max_context_size", "max_input_size", "max_output_size", "capabilities", "display_name", "reasoning_key",
     "support_efforts", "off_effort", "protocol", "base_url")
)  # fmt: skip
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What may stand for a variable of a URL: a name, a host."""
NAME = re.compile(r"\w[\w .-]{0,99}")
"""What a provider may be called: it becomes a key of the file and the first part of its models' names."""


class ProviderCatalog(Struct):
    """A list that was opened."""

    url: str
    providers: dict[str, Extra]
    """In models.dev's own form, by id."""
    date: str = ""
    """The day of models.dev's, as "2026-05-21"."""
    built_in: bool = False
    problem: str | None = None
    """Why it is not today's, for people."""

    @property
    def title(self) -> str:
        """What it is called, as "models.dev of 2026-05-21, built in"."""
        if not self.date:
            return masked_url(self.url)
        return f"models.dev of {self.date}" + ", built in" * self.built_in


class CatalogEntry(Struct):
    """A provider that can be added, or not."""

    id: str
    name: str
    wire: Wire
    models: list[str]
    """The ids of those that come along."""
    left: dict[str, str]
    """The others, each with the reason."""
    key_names: list[str]
    """What the variable is usually called that has its key; it is never read by itself."""
    doc: str | None = None

    @property
    def needs(self) -> list[str]:
        return self.wire.needs


class CatalogValues(Struct, kw_only=True):
    """What a person says about a provider that is to be added."""

    api_key: str | None = None
    base_url: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    """For variables of its URL."""
    id: str | None = None
    """Provider ID, if it is not the entry's."""

    def __repr__(self) -> str:
        return f"Given(values of {list(self.values)})"


class CatalogDraft(Struct, kw_only=True):
    """What adding a provider would write, and what must be known before."""

    offer: CatalogEntry
    draft: Draft
    models: dict[str, Table]
    """By wire id."""
    missing: list[str] = field(default_factory=list)
    """Variables of its URL, or "base_url", that nobody has said yet: it cannot be written without."""
    wants_key: bool = False
    """Whether it has no key yet and takes no calls without one."""
    keyed: bool = False
    """Whether a key was given."""
    gaps: Gaps = field(default_factory=Gaps)
    """The list's models that could not be read."""
    catalog: str = ""
    only: list[str] = field(default_factory=list)
    """The IDs of the models to write; none: all."""

    def __repr__(self) -> str:
        return f"Proposal({self.offer.id!r}, {len(self.models)} models)"

    @property
    def what(self) -> Imported:
        """The same, to be written."""
        draft = self.draft
        return Imported(
            id=draft.id, table=draft.table, models=self.models, owner=OWNER, may_move=self.keyed, gaps=self.gaps,
            only=self.only,
        )  # fmt: skip

    @property
    def key_url(self) -> str | None:
        return self.draft.preset.key_url if self.draft.preset else None


async def opened(config: Config, url: str | None = None, cache: Cache | None = None) -> ProviderCatalog:
    """models.dev's list, asked for anew where the one at hand is not; or the list at a URL, for which nothing stands in.

    Raises:
        ModelbayError: there is no list at the URL.
    """
    line = ProviderClient(config)
    try:
        if url is None or url == modelsdev.URL:
            known = ModelsDev(cache)
            problem = await known.refresh(line.outside)
            return ProviderCatalog(modelsdev.URL, known.providers, known.date, known.built_in, problem)
        _checked(url)
        return ProviderCatalog(url, await fetched(line.outside, url))
    finally:
        await line.aclose()


def offers(shelf: ProviderCatalog, words: str = "") -> list[CatalogEntry]:
    """The providers of a list by id, those whose id or name has `words` in it."""
    wanted = words.strip().lower()
    found = sorted(shelf.providers)
    return [offer(shelf, id) for id in found if wanted in f"{id}\n{shelf.providers[id].get('name') or ''}".lower()]


def offer(shelf: ProviderCatalog, id: str, base_url: str | None = None) -> CatalogEntry:
    """One provider of a list.

    Raises:
        ConfigError: it is not in the list.
    """
    entry = shelf.providers.get(id)
    if entry is None:
        from difflib import get_close_matches

        near = get_close_matches(id.lower(), list(shelf.providers), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`modelbay provider catalog list` shows all"
        raise SourceError(f'provider "{id}" is not in the catalog, {masked_url(shelf.url)}', hint=hint)
    found = wire(entry, base_url)
    reasons = _reasons(found, entry) if found.type else {}
    variables = [name for name in entry.get("env") or () if isinstance(name, str)]
    return CatalogEntry(
        id=id,
        name=shown(str(entry.get("name") or "")) or id,
        wire=found,
        models=[id for id, why in reasons.items() if why is None],
        left={id: why for id, why in reasons.items() if why is not None},
        key_names=[name for name in variables if named_secret(name)],
        doc=entry["doc"] if isinstance(entry.get("doc"), str) else None,
    )


def tables(shelf: ProviderCatalog, found: CatalogEntry) -> dict[str, Table]:
    """What is known of a provider's models, as it would stand in the file, by wire id."""
    entry = shelf.providers[found.id]
    return {id: model_table(found.wire, entry, id, entry["models"][id]) for id in found.models}


def propose(config: Config, shelf: ProviderCatalog, id: str, given: CatalogValues) -> CatalogDraft:
    """What adding a provider of a list would write.

    Raises:
        ConfigError: it is not in the list or cannot be spoken with; what was given makes no sense; there is another
            provider of that name.
    """
    found = offer(shelf, id, given.base_url)
    if found.wire.refused:
        raise _refused(found)
    if not NAME.fullmatch(id) or problem(id):
        raise SourceError(f'"{masked_url(id)}" cannot be a provider\'s name', hint="add it by its address")
    if given.base_url is None and (why := _inside(shelf, found.wire.base_url)) is not None:
        raise SourceError(f'provider "{id}" cannot be added: {why}', hint="if it is yours: --base-url URL")
    preset = presets.by_models_dev(id)
    made, missing = _drafted(found, preset, given)
    if given.id is not None:
        made = replace(made, id=given.id)
    if given.api_key:
        made = with_key(made, given.api_key)
    old = config.providers.get(made.id)
    if not missing:
        _check_free(config, old, made, keyed=bool(given.api_key))
    made.table["source"] = _source(shelf, id, made.id)
    return CatalogDraft(
        offer=found,
        draft=made,
        models=_models(config, shelf, found, made.id),
        missing=missing,
        wants_key=not missing and not given.api_key and _wants_key(config, old, made),
        keyed=bool(given.api_key),
        gaps=_gaps(shelf, found),
        catalog=shelf.title,
    )


def alias_of(made: CatalogDraft, name: str) -> str:
    """The alias of a model that is to be the default, by it or by its wire id.

    Raises:
        ConfigError: it is none of the provider's.
    """
    id = made.draft.id
    for wire_id in made.only or made.models:
        if name in (wire_id, f"{id}/{wire_id}"):
            return f"{id}/{wire_id}"
    why = made.offer.left.get(name.removeprefix(f"{id}/"))
    raise SourceError(
        f'model "{name}" is not in provider "{made.offer.id}"' + (f": {why}" if why else ""),
        hint=f"`modelbay provider catalog list {quote(made.offer.id)}` shows its models",
    )


def limited(made: CatalogDraft, ids: list[str]) -> CatalogDraft:
    """The draft with these models only.

    Raises:
        SourceError: the entry has no such model.
    """
    for id in ids:
        alias_of(made, id)
    return replace(made, only=ids)


def models_of(made: CatalogDraft) -> list[Model]:
    """The models with what the list says of each, for showing them."""
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
) -> Edited[WrittenProvider]:  # fmt: skip
    """Adds the provider with its models, or renews it; `default_model` is an alias; without one, where there is no default
    model yet, one of these becomes it.

    Raises:
        ConfigError: something is missing, or would not be usable.
    """
    if made.missing or not made.models:
        lacks = ", ".join(made.missing) or "models that can be talked to: it has none"
        raise SourceError(f"{made.offer.id} cannot be added without {lacks}")

    def change(edit: Edit) -> WrittenProvider:
        written = imported.write(edit, made.what, again=True)
        if default_model is not None:
            changes.set_default_model(edit, default_model)
            edit.check()
        written.default_model = default_model or settle_default(edit, [made.draft.id])
        return written

    edited = apply(change, config.path, dry_run=dry_run)
    if not dry_run:
        imported.remember(made.what)
    return edited


def renewal(config: Config, shelf: ProviderCatalog, entry: ProviderEntry) -> Imported:
    """What the list says today of a provider that was added from it. Only its models are renewed.

    Raises:
        ConfigError: the list does not have it any more, or has no models for it.
    """
    source = entry.source or {}
    found = offer(shelf, str(source.get("models_dev_provider_id") or source.get("entry") or entry.id), entry.base_url)
    if found.wire.refused:
        raise _refused(found)
    if entry.type:
        found.wire.type = entry.type
    models = _models(config, shelf, found, entry.id)
    if not models:
        raise SourceError(f'the catalog has no models of "{entry.id}" any more', provider=entry.id)
    return Imported(id=entry.id, models=models, owner=OWNER, gaps=_gaps(shelf, found))


def _inside(shelf: ProviderCatalog, base: str | None) -> str | None:
    """Why an address is not to be taken from a list: it is in somebody's network. models.dev knows servers on this machine."""
    if base is None or VARIABLE.search(base):
        return None
    known = shelf.date and host_of(base).startswith("localhost:")
    return None if known else why_refused(base, shelf.url)


def _models(config: Config, shelf: ProviderCatalog, found: CatalogEntry, id: str) -> dict[str, Table]:
    """The models that come along, and those in use that are on their way out: they answer still."""
    models = shelf.providers[found.id]["models"]
    used = {model.model for model in config.models.values() if model.provider == id}
    stay = [id for id in found.left if id in used and status_of(models[id]) in LEFT]
    return tables(shelf, replace(found, models=[*found.models, *stay]))


def _gaps(shelf: ProviderCatalog, found: CatalogEntry) -> Gaps:
    """The models that the list has, and that are left out for what may be its mistake."""
    entry = shelf.providers[found.id]
    broken = {
        str(id): "its entry cannot be read" for id, model in entry["models"].items() if not isinstance(model, dict)
    }
    left = {id: why for id, why in found.left.items() if not is_gone(found.wire, entry, entry["models"][id])}
    return Gaps(entries={**broken, **left})


def _reasons(found: Wire, entry: Extra) -> dict[str, str | None]:
    models = {str(id): model for id, model in entry["models"].items() if isinstance(model, dict)}
    refused = problems(models)
    return {
        id: f"its id cannot be used: {refused[id]}" if id in refused else why_left_out(found, entry, id, model)
        for id, model in models.items()
    }


def _source(shelf: ProviderCatalog, id: str, provider: str) -> Table:
    """Where the provider is refreshed from. Only in models.dev's own list the ID says whose prices apply."""
    named = {"models_dev_provider_id": id} if shelf.date else {"entry": id} if id != provider else {}
    return {"kind": CATALOG, "url": shelf.url, **named}


def _drafted(found: CatalogEntry, preset: Preset | None, given: CatalogValues) -> tuple[Draft, list[str]]:
    """The entry without its key, and what is missing for it."""
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
    """What Google's own programs call a project, or else a location."""
    return PROJECT if "PROJECT" in name else LOCATION


def _value(name: str, given: CatalogValues) -> str | None:
    """What was given for a variable. Of an address only the host counts, where a URL wants to have that.

    Raises:
        ConfigError: it cannot stand in a URL.
    """
    value = given.values.get(name, "").strip()
    if not value:
        return None
    value = re.sub(r"^https?://|/+$", "", value)
    if not VALUE.fullmatch(value):
        raise SourceError(
            f"{name} cannot be {masked_url(value)!r}", hint="it is a name: letters, digits, dots, hyphens"
        )
    return value


def _wants_key(config: Config, old: ProviderEntry | None, made: Draft) -> bool:
    if old is not None and (old.api_key or old.env or old.oauth or old.auth == "none" or has_auth_header(old)):
        return False
    return not serves_without_key(as_entry(config, made.id, made.table))


def _check_free(config: Config, old: ProviderEntry | None, made: Draft, *, keyed: bool) -> None:
    """
    Raises:
        ConfigError: there is a provider of that name which is another one.
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
        f'there is a provider "{made.id}" already, at {before.origin}, and its key is not for {after.origin}'
        if mine
        else f'there is a provider "{made.id}" already, which is another one, at {before.origin}',
        hint=f"give the key for it with --api-key, or take the other out: modelbay provider remove {quote(made.id)}"
        if mine
        else f"take it out first: modelbay provider remove {quote(made.id)}",
        provider=made.id,
    )


def _protocol(entry: ProviderEntry) -> Protocol | None:
    return TYPES[entry.type].protocol if entry.type else None


def _refused(found: CatalogEntry) -> ModelbayError:
    hints = {
        "empty-url": "--base-url cannot be empty",
        "placeholder-url": "write the base URL as it is, without ${…}",
        "unknown-type": "add it by its address, if it speaks one of the protocols: modelbay provider add URL",
        "proprietary": "if it has an address for OpenAI's protocol: modelbay provider add URL",
    }
    return SourceError(
        f'provider "{found.id}" cannot be added: {found.wire.why}', hint=hints.get(str(found.wire.refused))
    )


def _checked(url: str) -> None:
    """
    Raises:
        ConfigError: it is no address.
    """
    register_url(url)
    try:
        origin(url)
    except ValueError as error:
        raise SourceError(f"{masked_url(url)}: {error}", hint="an address starts with https://") from None
