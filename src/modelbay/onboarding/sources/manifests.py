"""Adding a provider by its manifest: a hosted document or embedded JSON.

    draft = await from_url(config, "https://acme.example/v1/models?provider=true", key=key)
    draft = from_text(config, pasted)
    add(config, draft, key=key)

Nothing is written before `add`. An API key is sent to the typed origin only, unless the user agrees to another one.
The manifest's facts about a model are written into the model's `listed` table. They apply without further requests, and a
refresh updates them. All other keys of the model's table are the user's.
"""

import re
import unicodedata
from asyncio import to_thread
from collections.abc import Callable, Collection, Iterable
from functools import partial
from shlex import quote
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay import recognition
from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.facts import fill
from modelbay.catalog.formats.manifest import (
    FAILED,
    FIX,
    Manifest,
    ManifestFinding,
    listed_table,
    parse_manifest,
    parse_models,
)
from modelbay.catalog.lists.entry import Gaps, Listed
from modelbay.catalog.lookup import Catalog
from modelbay.catalog.models_dev.live import Exchange, ModelsDev
from modelbay.catalog.summary import counted
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.schema import MANIFEST, Config, Table
from modelbay.conversation import Json
from modelbay.draft import Draft, asks_for_key, host_of, joined, with_key
from modelbay.errors import ConfigError, ModelbayError, ProviderError, SourceError, TransportError
from modelbay.model import Model
from modelbay.onboarding import key_storage
from modelbay.onboarding.choose_models import settle_default
from modelbay.onboarding.fields import free_name
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.sources import documents
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.documents import check_reachable
from modelbay.onboarding.sources.merge import Memory, Ownership, WrittenProvider
from modelbay.origin import Origin, origin
from modelbay.providers import presets, urls
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.recognition import Recognized
from modelbay.secrecy import masked_url

NOTHING_GIVEN = "Provide a manifest URL or embedded JSON"
GIVE = (
    "Enter a manifest URL such as https://acme.example/v1/models?provider=true, or embedded JSON with --embedded FILE|-"
)
NO_MODELS = "Provider returned no models"
HAVE_MODELS = "Confirm your extended models payload contains a `models` object with at least one model"
OWNER = Ownership(frozenset({"listed"}), lambda provider, alias, table: "listed" in table)
REFUSED = (401, 403)
TOLD = 5
"""Maximum number of findings that are shown; the others are counted."""


Keyed: TypeAlias = Callable[[], Endpoint | None]
"""Returns the endpoint with the API key, only when a key is needed, because a keyring or command may block. None: no key."""


class ManifestModels(Struct):
    """A manifest with its models."""

    manifest: Manifest
    models: list[Listed]
    """The chat models."""
    others: int = 0
    """Number of other models, such as embedding models."""
    notes: list[str] = field(default_factory=list)
    gaps: Gaps = field(default_factory=Gaps)
    """The parts of its list of models that could not be read."""

    @property
    def tables(self) -> dict[str, Table]:
        """The models' tables for the file, by model ID."""
        return {one.id: {"listed": listed_table(one)} for one in self.models}


class ManifestDraft(Struct, kw_only=True):
    """The changes that adding a provider would make."""

    id: str
    url: str | None
    """URL of the manifest; None for embedded JSON."""
    said: ManifestModels
    taken: bool = False
    """Whether a provider from another source has this ID. Choose another one with `renamed`."""
    again: bool = False
    """Whether this provider exists already and is updated. The user's own settings do not change."""

    @property
    def draft(self) -> Draft:
        """The provider's entry, without an API key."""
        manifest = self.said.manifest
        source = {
            "kind": MANIFEST, "url": self.url, "website": manifest.website, "models_dev_provider_id": manifest.models_dev_id,
        }  # fmt: skip
        table: Table = {
            "type": "openai",
            "name": manifest.name,
            "base_url": manifest.base_url,
            "source": {name: value for name, value in source.items() if value},
        }
        return Draft(self.id, table, presets.by_host(host_of(manifest.base_url)))

    @property
    def key_goes_to(self) -> Origin:
        """The only origin to which the API key is sent."""
        return origin(self.said.manifest.base_url)

    @property
    def needs_key(self) -> bool:
        """Whether it may need an API key. The manifest does not show whether it does."""
        return not self.again and asks_for_key(self.draft)

    @property
    def models(self) -> list[Model]:
        """The models with their facts, for display."""
        found = []
        for one in self.said.models:
            model = Model(id=one.id, alias=f"{self.id}/{one.id}", provider=self.id, protocol="openai_chat")
            fill(model, one.facts, MANIFEST)
            found.append(model)
        return found


class KeyConsent(Struct, frozen=True):
    """A question for the user: may the API key be sent to an origin that the user did not type?"""

    origin: Origin
    why: str


# Reading


async def from_url(
    config: Config, url: str, *, id: str | None = None, key: str | None = None, agreed: Origin | None = None
) -> ManifestDraft | KeyConsent:
    """Read the manifest at a URL. The API key is sent only if the models are not listed without one, and only to the origin
    of `url` or to the `agreed` one.

    Raises:
        ModelbayError: the manifest could not be fetched, or it is invalid.
    """
    url = url.strip()
    if not url:
        raise SourceError(NOTHING_GIVEN, hint=GIVE)
    home = typed(url)
    client = ProviderClient(config)
    try:
        manifest = await manifest_at(client, url, [home])
        return await _from_manifest(client, manifest, url, home, id=id, key=key, agreed=agreed)
    finally:
        await client.aclose()


async def _from_manifest(
    client: ProviderClient,
    manifest: Manifest,
    url: str,
    home: Origin,
    *,
    id: str | None,
    key: str | None,
    agreed: Origin | None,
) -> ManifestDraft | KeyConsent:
    where = origin(manifest.base_url)
    may = where in (home, agreed)
    keyed = partial(_endpoint, client.config, manifest, key) if key and may else _no_key
    try:
        said = await models_of_manifest(manifest, [home], keyed, client)
    except ModelbayError as error:
        if key and not may and error.status in REFUSED:
            return KeyConsent(where, error.message)
        hint = "pass --api-key KEY: the provider lists its models only with an API key"
        raise refused(error, hint if error.status in REFUSED and not key else None) from None
    return _proposal(client.config, said, url, id)


def from_text(config: Config, text: bytes | Json, *, id: str | None = None) -> ManifestDraft:
    """Read embedded JSON. Nothing is sent.

    Raises:
        ModelbayError: the manifest is invalid.
    """
    if isinstance(text, bytes) and not text.strip():
        raise SourceError(NOTHING_GIVEN, hint=GIVE)
    manifest = parse_manifest(text, pasted=True)
    return _proposal(config, _said(manifest, manifest.models, manifest.findings), None, id)


def _without_key(url: str) -> str:
    """The hint for a manifest that requires a key: it is fetched without one, as its provider may be at another server."""
    base = quote(masked_url(recognition.base_beside(url)))
    open_to_all = "ask the provider to serve its manifest without authentication"
    return f"add the provider by its base URL: `modelbay provider add {base} --api-key -`; or {open_to_all}"


async def manifest_at(client: ProviderClient, url: str, trusted: Collection[Origin]) -> Manifest:
    """Fetch the manifest at a URL.

    Raises:
        ModelbayError: it could not be fetched, it is invalid, or its base URL is in a private network.
    """
    try:
        found = await documents.fetch(client, url, trusted)
    except ModelbayError as error:
        raise refused(error, _without_key(url) if error.status in REFUSED else None) from None
    manifest = parse_manifest(found.body, source=found.request)
    try:
        check_reachable(manifest.base_url, trusted)
    except ModelbayError as error:
        raise SourceError(f"{FAILED}: baseUrl: {error.message}", hint=error.hint) from None
    return manifest


async def models_of_manifest(
    manifest: Manifest, trusted: Collection[Origin], keyed: Keyed, client: ProviderClient
) -> ManifestModels:
    """Read the models of a hosted manifest. The API key of `keyed` is sent only after a request without a key was refused.

    Raises:
        ModelbayError: the models could not be fetched or are invalid; `status` has the HTTP status, if any.
    """
    if manifest.source == "models_dev":
        models, problem = await _at_models_dev(str(manifest.models_dev_id), client.outside)
        said = _said(manifest, models, manifest.findings)
        said.gaps.reasons += [problem] if problem else []
        return said
    url = manifest.models_url
    try:
        found = await documents.fetch(client, url, trusted)
    except ProviderError as error:
        endpoint = await to_thread(keyed) if error.status in REFUSED else None
        if endpoint is None:
            raise
        found = await documents.fetch(client, url, trusted, endpoint)
    models, findings = parse_models(found.body, found.request)
    return _said(manifest, models, [*manifest.findings, *findings])


async def _at_models_dev(id: str, exchange: Exchange) -> tuple[list[Listed], str | None]:
    """The models of a provider at models.dev, and a message if a newer list could not be fetched."""
    known = Catalog().models_dev
    problem = await known.refresh(exchange)
    if id not in known.providers:
        message = f'{FAILED}: models_dev_provider_id: models.dev has no provider "{id}"'
        raise SourceError(message, hint=_near(id, known))
    return known.models(id), problem


def _near(id: str, known: ModelsDev) -> str:
    from difflib import get_close_matches

    near = get_close_matches(id, known.providers, n=3)
    return f"did the provider mean {' or '.join(near)}?" if near else FIX


def refused(error: ModelbayError, hint: str | None = None) -> ModelbayError:
    """An error of reading a manifest, with the title `FAILED`, or without it if the server did not answer."""
    if isinstance(error, SourceError):  # of its content
        return error
    unanswered = isinstance(error, TransportError | ConfigError)
    title = "Could not fetch the provider data" if unanswered else FAILED
    return SourceError(f"{title}: {error.message}", hint=hint or error.hint or FIX)


def typed(url: str) -> Origin:
    """The origin of a manifest URL that the user typed.

    Raises:
        SourceError: the URL is invalid or contains credentials.
    """
    try:
        where = origin(url)
    except ValueError as error:
        raise SourceError(f"{FAILED}: {masked_url(url)}: {error}", hint=GIVE) from None
    if urls.without_user(url)[1]:
        message = f"{FAILED}: {masked_url(url)}: the URL contains credentials"
        raise SourceError(message, hint="remove them from the URL and pass the key with --api-key")
    return where


def _said(manifest: Manifest, listed: list[Listed], findings: Iterable[ManifestFinding]) -> ManifestModels:
    models = [one for one in listed if one.chats and one.status != "inactive"]
    findings = list(findings)
    told = [str(finding) for finding in findings]
    others = {one.id: f"its kind is {one.kind}" for one in listed if not one.chats}
    gaps = Gaps([str(finding) for finding in findings if finding.unread], others)
    notes = told[:TOLD] + ([f"… and {counted(len(told) - TOLD, 'more note')}"] if len(told) > TOLD else [])
    return ManifestModels(manifest, models, len(listed) - len(models), notes, gaps)


def _endpoint(config: Config, manifest: Manifest, key: str) -> Endpoint:
    """The endpoint of a provider that is not written yet, with its API key."""
    table: Table = {"type": "openai", "base_url": manifest.base_url}
    return endpoint_at(*joined(config, with_key(Draft("added", table), key)), "/chat/completions")


def _no_key() -> None:
    """No API key is given, or it may not be sent."""


# The id


def _proposal(config: Config, said: ManifestModels, url: str | None, id: str | None) -> ManifestDraft:
    return renamed(config, ManifestDraft(id="", url=url, said=said), id or slug(said.manifest))


def renamed(config: Config, proposal: ManifestDraft, id: str) -> ManifestDraft:
    """The draft with another ID."""
    entry = config.providers.get(id)
    source = (entry.source or {}) if entry is not None else {}
    again = False
    if entry is not None and entry.by_manifest and entry.base_url:
        same_url = source.get("url") is None or proposal.url is None or source["url"] == proposal.url
        again = same_url and origin(entry.base_url) == proposal.key_goes_to
    return replace(proposal, id=id, taken=entry is not None and not again, again=again)


def slug(manifest: Manifest) -> str:
    """The provider's ID: the words of its name that ASCII has all letters of; if there are none, it is derived from its host."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", manifest.name) if not unicodedata.combining(char))
    made = "-".join(word for word in re.findall(r"[^\W_]+", letters.lower()) if word.isascii())[:60].strip("-")
    if made:
        return made
    return recognition.suggested_id(Recognized("base", presets.by_host(host_of(manifest.base_url)), manifest.base_url))


# Writing


def add(
    config: Config,
    proposal: ManifestDraft,
    *,
    key: str | None = None,
    default_model: str | None = None,
    only: Collection[str] = (),
    dry_run: bool = False,
) -> KeyedEdit[WrittenProvider]:
    """Write a draft with the models in `only`, or with all. `default_model` is a model ID or alias. Without it, one of these
    models becomes the default if none is set yet. Without a `key`, an existing entry keeps its own.

    Raises:
        ModelbayError: there are no models, the ID is already used, or the file cannot be changed.
    """
    said, id = proposal.said, proposal.id
    if not said.models:
        raise SourceError(NO_MODELS, hint=HAVE_MODELS)
    if proposal.taken:
        message = f'provider "{id}" already exists and has another source'
        raise ConfigError(
            message, hint=f"choose another ID, for example --id {free_name(id, config.providers)}", provider=id
        )
    tables, last = said.tables, merging.recall(id)

    def change(edit: Edit) -> WrittenProvider:
        if proposal.again:
            changes.change_provider(edit, id, _updated(edit, proposal, key))
            merging.rename(edit, id, said.manifest.name, last)
        else:
            changes.add_provider(edit, id, with_key(proposal.draft, key).table)
        chosen = merging.limited(edit, id, tables, only)
        merged = merging.merge(edit, id, chosen, OWNER, last if proposal.again else None, again=True, gaps=said.gaps)
        default = _default(edit, id, default_model)
        if default is not None:
            changes.set_default_model(edit, default)
        default = default or settle_default(edit, [id])
        edit.check()
        return WrittenProvider(provider=id, models=merged, new=not proposal.again, default_model=default)

    edited = key_storage.apply(change, config, dry_run=dry_run)
    if not dry_run:
        remember(id, said, said.manifest.base_url, last)
    return edited


def remember(provider: str, said: ManifestModels, base_url: str, last: Memory | None) -> None:
    """Store the state of a provider's manifest."""
    memory = merging.seen(base_url, said.tables, last, said.gaps)
    memory.name = said.manifest.name
    merging.remember(provider, memory)


def _updated(edit: Edit, proposal: ManifestDraft, key: str | None) -> dict[tuple[str, ...], object]:
    """The changes of an existing entry: the values of its source, and the API key if one is given."""
    table = proposal.draft.table
    renewed: dict[tuple[str, ...], object] = {(name,): table[name] for name in ("base_url", "source")}
    if key:
        renewed["api_key",] = key
        if edit.get("providers", proposal.id, "auth") == "none":
            renewed["auth",] = None
    return renewed


def _default(edit: Edit, id: str, named: str | None) -> str | None:
    """The alias of a provider's model, from its alias or model ID."""
    if named is None:
        return None
    models = edit.models_of(id)
    for alias, table in models.items():
        if named in (alias, table.get("model")):
            return str(alias)
    known = ", ".join(list(models)[:10]) + (" …" if len(models) > 10 else "")
    raise ConfigError(f"--default-model: {named} is not one of the provider's models", hint=f"choose one of: {known}")
