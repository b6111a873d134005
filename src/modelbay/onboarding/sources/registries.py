"""Registries: documents that describe several providers, which are added and refreshed together.

    found = await fetched(config, url, ["token"])
    draft = propose(config, found, RegistryKeys(keys={"acme": "..."}))
    written = add(config, draft).result

The token gives access to the registry, an API key to a provider. The token is used as an API key only if the user says so, or
if the provider is on the registry's own origin.
"""

from asyncio import to_thread
from collections.abc import Iterable
from contextlib import suppress
from shlex import quote
from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.formats.registry import Registry, RegistryProvider, SkippedEntry, parse_registry
from modelbay.catalog.names import folded
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.schema import REGISTRY, Config, ProviderEntry, Table
from modelbay.conversation import Json
from modelbay.credentials.credential import has_auth_header, is_key
from modelbay.credentials.reference import bound_origin, resolve_reference
from modelbay.credentials.secret import Secret
from modelbay.dialect import PLAIN
from modelbay.draft import as_entry, serves_without_key
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    MalformedReply,
    PermissionDenied,
    ProviderError,
    SourceError,
)
from modelbay.onboarding import key_storage
from modelbay.onboarding.choose_models import settle_default
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.sources import documents, imported
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.imported import Imported, owner_of
from modelbay.onboarding.sources.merge import Merged, WrittenProvider
from modelbay.origin import origin
from modelbay.providers.endpoint import Endpoint, Headers
from modelbay.secrecy import masked_url

OWNER = owner_of(
    ("max_context_size", "max_input_size", "max_output_size", "capabilities", "display_name", "reasoning_key",
     "support_efforts", "default_effort", "off_effort", "cost")
)  # fmt: skip

NAMED = 20
"""Maximum number of skipped entries that are listed by name; the others are counted."""

Key: TypeAlias = Literal["given", "token", "kept", "not needed", "none"]
"""The API key that a provider has after adding: one given for it, the registry's token, or the one that it already had."""
KEYS: dict[Key, str] = {
    "given": "with its own key",
    "token": "the registry's token is its key",
    "kept": "its key is unchanged",
    "not needed": "no key needed",
    "none": "no key yet",
}


class FetchedRegistry(Struct, kw_only=True):
    """A registry that was read."""

    registry: Registry
    url: str | None = None
    """None: it was pasted and cannot be refreshed."""
    token: str | None = None
    """The accepted token, in the form for the file: it may be a reference."""

    def __repr__(self) -> str:
        return f"FetchedRegistry({masked_url(self.url or '')!r})"


class RegistryKeys(Struct, kw_only=True):
    """The user's API keys for the providers of a registry."""

    keys: dict[str, str] = field(default_factory=dict)
    """API keys by provider ID."""
    token_is_key: bool = False
    """Whether the token is the API key of all its providers, as Kimi Code treats it."""

    def __repr__(self) -> str:
        return f"RegistryKeys(keys of {list(self.keys)})"


class RegistryItem(Struct, kw_only=True):
    """A provider of the registry that will be written."""

    listed: RegistryProvider
    key: Key
    made: Imported

    @property
    def needs_key(self) -> bool:
        return self.key == "none"


class RegistryDraft(Struct, kw_only=True):
    """The changes that adding or refreshing a registry would make."""

    title: str
    """Its URL, without secrets."""
    items: list[RegistryItem]
    skipped: list[SkippedEntry]
    """Skipped entries, with the reason."""
    vanished: list[str] = field(default_factory=list)
    """Providers that came from it and are no longer in it."""


SHOWN = 20
"""Maximum number of models that a hint names."""


class Only(Struct, frozen=True):
    """The providers and models of a registry to add; all by default."""

    provider: str | None = None
    models: list[str] = field(default_factory=list)
    """By model ID, or as `provider/model-id`."""


async def fetched(config: Config, url: str, tokens: Iterable[str]) -> FetchedRegistry:
    """Fetch a registry with the first token that it accepts, or without a token.

    Raises:
        ModelbayError: the URL or a token is invalid, it could not be fetched, or it is not a registry.
    """
    url = url.strip()
    try:
        origin(url)
    except ValueError as error:
        raise SourceError(f"{masked_url(url)}: {error}") from None
    wanted: list[str | None] = list(dict.fromkeys(tokens))
    first, *others = wanted or [None]
    try:
        return await _fetched(config, url, first)
    except (AuthenticationFailed, PermissionDenied) as error:
        for token in others:
            with suppress(AuthenticationFailed, PermissionDenied):
                return await _fetched(config, url, token)
        raise error


def pasted(content: Json, url: str | None = None, token: str | None = None) -> FetchedRegistry:
    """A registry from its content. `url`: it was fetched from there.

    Raises:
        ModelbayError: it is not a registry.
    """
    return FetchedRegistry(registry=parse_registry(content, url), url=url, token=token)


def propose(config: Config, found: FetchedRegistry, given: RegistryKeys, only: Only | None = None) -> RegistryDraft:
    """The changes that adding a registry would make, for the first time or again with a new token.

    Raises:
        SourceError: a key was given for an unknown provider, or no provider can be added.
    """
    only = only or Only()
    known = {one.id for one in found.registry.providers}
    for id in [*given.keys, *([only.provider] if only.provider is not None else [])]:
        if id not in known:
            raise SourceError(
                f'the registry has no usable provider "{id}"', hint=f"choose one of: {', '.join(sorted(known))}"
            )
    made = RegistryDraft(title=masked_url(found.url or "a registry"), items=[], skipped=list(found.registry.skipped))
    candidates = [one for one in found.registry.providers if only.provider in (None, one.id)]
    listed_names = {name for one in candidates for id in one.models for name in (id, f"{one.id}/{id}")}
    if unknown := [name for name in only.models if name not in listed_names]:
        raise SourceError(f"{made.title} has no model {', '.join(unknown)}", hint=_choose(candidates))
    taken = {folded(id): id for id in config.providers}
    for listed in candidates:
        chosen = _chosen(listed, only)
        if only.models and not chosen:
            continue
        old = config.providers.get(listed.id)
        if old is not None and not _comes_from(old, found.url):
            why = "a provider with this ID already exists and is not from this registry"
            made.skipped.append(SkippedEntry(listed.id, why))
            continue
        if (twin := taken.get(folded(listed.id), listed.id)) != listed.id:
            made.skipped.append(SkippedEntry(listed.id, f"its ID differs only in case from your provider {twin}"))
            continue
        item = _item(config, found, given, listed, old)
        item.made.only = chosen
        made.items.append(item)
    if not made.items:
        raise SourceError(
            f"no provider of {made.title} can be added: {made.skipped[0].where}: {made.skipped[0].why}",
            hint=f"remove the existing provider first: modelbay provider remove {quote(made.skipped[0].where)}",
        )
    if found.registry.incomplete is None and only == Only():
        made.vanished = [id for id in members(config, found.url) if id not in found.registry.named]
    return made


def _choose(candidates: list[RegistryProvider]) -> str:
    """The hint about a model that no provider has."""
    names = sorted(f"{one.id}/{id}" for one in candidates for id in one.models)
    return f"choose from: {', '.join(names[:SHOWN])}{', …' * (len(names) > SHOWN)}"


def _chosen(listed: RegistryProvider, only: Only) -> list[str]:
    """The models of a provider that the user named."""
    return [id for id in listed.models if id in only.models or f"{listed.id}/{id}" in only.models]


def refreshed(config: Config, found: FetchedRegistry) -> RegistryDraft:
    """The changes of a refresh: those of adding it again, with the existing keys.

    Raises:
        SourceError: no provider can be written.
    """
    made = propose(config, found, RegistryKeys())
    still = {id for id, entry in config.providers.items() if entry.static}
    made.items = [item for item in made.items if item.listed.id not in still]
    made.vanished = [id for id in made.vanished if id not in still]
    return made


def alias_of(made: RegistryDraft, name: str) -> str:
    """The alias of the new default model, from its alias or model ID.

    Raises:
        SourceError: the registry has no such model.
    """
    for item in made.items:
        for wire_id in item.made.models:
            alias = item.made.names.get(wire_id, f"{item.listed.id}/{wire_id}")
            if name in (alias, wire_id):
                return alias
    raise SourceError(f'model "{name}" is not in the registry')


def notes(made: RegistryDraft, written: list[WrittenProvider]) -> list[tuple[str, bool]]:
    """Notes for the user after adding, each with a flag for warnings."""
    found: list[tuple[str, bool]] = [(note, True) for one in written for note in one.notes]
    for item, one in zip(made.items, (one for one in written if not one.gone), strict=True):
        id = item.listed.id
        if one.elsewhere:
            found.append((not_moved(id, one.elsewhere), True))
        elif item.needs_key:
            found.append((f"{quote(id)} has no API key yet: modelbay key set {quote(id)}", True))
        if item.listed.guessed:
            guess = f'Protocol guessed as "{item.listed.type}" for {id}'
            found.append((f'{guess}: edit "type" in config.toml if requests fail', False))
        if one.models.incomplete:
            found.append(
                (f"{id}: no model was removed, because the list is incomplete: {one.models.incomplete}", False)
            )
        found += [(f"{name}: {why}", False) for name, why in one.models.kept.items()]
    found += [(f"skipped: {one.where}: {one.why}", True) for one in made.skipped[:NAMED]]
    if len(made.skipped) > NAMED:
        found.append((f"skipped {len(made.skipped) - NAMED} more", True))
    return found


def not_moved(id: str, elsewhere: str) -> str:
    """The note that a provider keeps its URL, because its API key may not be sent to the new one."""
    return (
        f"{id} keeps its URL: the registry now has {elsewhere}, but the API key was not given for that origin; "
        f"to move it, add the registry again with --provider-key {id}=KEY"
    )


def write(
    edit: Edit, made: RegistryDraft, default_model: str | None = None, *, again: bool = True
) -> list[WrittenProvider]:
    """Add and update the providers, in the order of `made.items`, and remove `made.vanished`. `default_model` is an alias.
    A refresh (not `again`) does not add models that the user removed.

    Raises:
        ConfigError: the configuration would be invalid.
    """
    gone = [_removed(edit, id) for id in made.vanished if edit.get("providers", id) is not None]
    written = [imported.write(edit, item.made, again=again) for item in made.items]
    if default_model is not None:
        changes.set_default_model(edit, default_model)
        edit.check()
    return [*written, *gone]


def add(
    config: Config, made: RegistryDraft, *, default_model: str | None = None, dry_run: bool = False
) -> KeyedEdit[list[WrittenProvider]]:  # fmt: skip
    """Apply `write` to the file. If no default model is set yet, one of these becomes the default."""

    def change(edit: Edit) -> list[WrittenProvider]:
        written = write(edit, made, default_model)
        for one in [one for one in written if one.new]:
            one.default_model = settle_default(edit, [one.provider])
        return written

    edited = key_storage.apply(change, config, dry_run=dry_run)
    if not dry_run:
        remember(made)
    return edited


def remember(made: RegistryDraft) -> None:
    """Store the state of the registry, after it is written."""
    for item in made.items:
        imported.remember(item.made)
    for id in made.vanished:
        merging.forget(id)


def members(config: Config, url: str | None) -> list[str]:
    """The providers that came from a registry."""
    return [id for id, entry in config.providers.items() if url and _comes_from(entry, url)]


def urls_of(config: Config) -> dict[str, list[str]]:
    """The registries of all configured providers by URL, each with its tokens."""
    found: dict[str, list[str]] = {}
    for entry in config.providers.values():
        source = entry.source or {}
        if source.get("kind") == REGISTRY and isinstance(url := source.get("url"), str) and url.strip():
            tokens = found.setdefault(url.strip(), [])
            if (token := token_of(entry)) and token not in tokens:
                tokens.append(token)
    return found


def token_of(entry: ProviderEntry) -> str | None:
    """The registry's token in a provider's entry, which may be a reference."""
    token = (entry.source or {}).get("apiKey")
    return token.strip() or None if isinstance(token, str) else None


def _removed(edit: Edit, id: str) -> WrittenProvider:
    gone = changes.remove_provider(edit, id)
    notes = [f"the default model was {gone.default_model}; none is set now"] * bool(gone.default_model)
    return WrittenProvider(provider=id, models=Merged(removed=gone.models), gone=True, notes=notes)


def _item(
    config: Config, found: FetchedRegistry, given: RegistryKeys, listed: RegistryProvider, old: ProviderEntry | None
) -> RegistryItem:
    name = listed.name if listed.name != listed.id else ""
    named = {"name": name} if old is None and name else {}
    table: Table = {"type": listed.type, **named, "base_url": listed.api}
    key, api_key = _key(config, found, given, listed, old)
    if api_key is not None:
        table["api_key"] = api_key
    if (source := _source(found, old)) is not None:
        table["source"] = source
    may_move = key == "given" or (key == "token" and given.token_is_key)
    return RegistryItem(
        listed=listed,
        key=key,
        made=Imported(
            id=listed.id,
            name=name,
            table=table,
            models=listed.models,
            names=listed.names,
            owner=OWNER,
            gaps=listed.gaps,
            may_move=may_move,
        ),
    )


def _key(
    config: Config, found: FetchedRegistry, given: RegistryKeys, listed: RegistryProvider, old: ProviderEntry | None
) -> tuple[Key, str | None]:
    """The origin of a provider's API key, and the key to write (None: no change)."""
    if listed.id in given.keys:
        return "given", given.keys[listed.id]
    token = found.token
    if given.token_is_key and token:
        return "token", token
    if old is not None:
        if old.api_key and old.api_key == token_of(old):
            return "token", token  # the old token was its key, so the new token becomes its key too
        if old.api_key or old.env or old.oauth or old.auth == "none" or has_auth_header(old):
            return "kept", None
    if token and found.url and origin(found.url) == origin(listed.api):
        return "token", token
    entry = as_entry(config, listed.id, {"type": listed.type, "base_url": listed.api})
    return ("not needed" if serves_without_key(entry) else "none"), None


def _source(found: FetchedRegistry, old: ProviderEntry | None) -> Table | None:
    """The provider's `source` table, with the accepted token."""
    if found.url is None:
        return None
    kept = dict(old.source) if old is not None and old.source else {}
    source: Table = {**kept, "kind": REGISTRY, "url": found.url}
    if found.token is not None:
        source["apiKey"] = found.token
    return source


def _comes_from(entry: ProviderEntry, url: str | None) -> bool:
    source = entry.source or {}
    named = source.get("url")
    return url is not None and source.get("kind") == REGISTRY and isinstance(named, str) and named.strip() == url


def _opened(config: Config, url: str, token: str) -> str:
    """The value of a token that may be a reference. A keyring or a command may block.

    Raises:
        ModelbayError: it cannot be read, contains invalid characters, or was given for another origin.
    """
    text = resolve_reference(token, config, (str(origin(url)),))
    if not is_key(text):
        raise SourceError(
            "the registry's token contains invalid characters", hint="copy the token again, without other text"
        )
    bound = bound_origin(token, config)
    if bound not in (None, str(origin(url))):
        raise ConfigError(
            f"the registry's token was given for {bound} and is not sent to {origin(url)}",
            hint="pass a token for this URL with --api-key TOKEN",
        )
    return text


async def _fetched(config: Config, url: str, token: str | None) -> FetchedRegistry:
    text = await to_thread(_opened, config, url, token) if token else None
    where = origin(url)
    authorization: Headers = {"Authorization": Secret(text, where).prefixed("Bearer ")} if text else {}
    endpoint = Endpoint(
        url=url, headers=authorization, protocol="openai_chat", dialect=PLAIN, origin=where, provider=""
    )  # fmt: skip
    client = ProviderClient(config)
    try:
        found = await documents.fetch(client, url, [where], endpoint)
    except ProviderError as error:
        error.message = f"Could not fetch the registry: {error.message}"
        if error.status in (401, 403):
            error.hint = f"pass a new token: modelbay provider add {quote(masked_url(url))} --api-key TOKEN"
        raise
    finally:
        await client.aclose()
    try:
        return FetchedRegistry(registry=parse_registry(found.body, url), url=url, token=token)
    except MalformedReply as error:
        error.operation, error.request = "fetch", f"GET {masked_url(url)}"
        raise
