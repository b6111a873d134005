"""Adding a provider by what it says of itself: a hosted manifest, or embedded JSON.

    proposal = await from_url(config, "https://acme.example/v1/models?provider=true", key=key)
    proposal = from_text(config, pasted)
    add(config, proposal, key=key)

Nothing is written before `add`. A key goes to no origin but the one that was typed, until somebody has agreed.
What a manifest says of a model goes into its `listed` table, hosted and embedded alike: it holds without asking again, is
renewed by refreshing, and leaves all else in the model's table to the user.
"""

import re
import unicodedata
from asyncio import to_thread
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

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
from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.schema import MANIFEST, Config, Table
from modelbay.conversation import Json
from modelbay.errors import ConfigError, ModelbayError, ProviderError, SourceError
from modelbay.line import ProviderClient
from modelbay.model import Model
from modelbay.onboarding import recognition
from modelbay.onboarding.choose_models import settle_default
from modelbay.onboarding.draft import Draft, asks_for_key, host_of, joined, with_key
from modelbay.onboarding.recognition import Recognised
from modelbay.onboarding.sources import fetch as documents
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.fetch import check_reachable
from modelbay.onboarding.sources.merge import Ownership, WrittenProvider
from modelbay.origin import Origin, origin
from modelbay.providers import presets, urls
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.secrecy import masked_url

NOTHING_GIVEN = "Provide a manifest URL or embedded JSON"
GIVE = "Enter a manifest URL, as https://acme.example/v1/models?provider=true, or embedded JSON with --embedded FILE|-"
NO_MODELS = "Provider returned no models"
HAVE_MODELS = "Confirm your extended models payload contains a `models` object with at least one model"
OWNER = Ownership(frozenset({"listed"}), lambda provider, alias, table: "listed" in table)
REFUSED = (401, 403)
TOLD = 5
"""How many findings are told before the others are counted."""


Keyed: TypeAlias = Callable[[], Endpoint | None]
"""Where a key goes, worked out when one is wanted; a keyring or a command may block. None where there is none."""


class ManifestModels(Struct):
    """What a provider says of itself, all together."""

    manifest: Manifest
    models: list[Listed]
    """Those that can be talked to."""
    others: int = 0
    """How many it has beside, for embeddings and the like."""
    notes: list[str] = field(default_factory=list)
    gaps: Gaps = field(default_factory=Gaps)
    """What was not read of its models."""

    @property
    def tables(self) -> dict[str, Table]:
        """What it says of its models, by wire id, as that stands in the file."""
        return {one.id: {"listed": listed_table(one)} for one in self.models}


class ManifestDraft(Struct, kw_only=True):
    """What adding a provider will write, to be shown before it is."""

    id: str
    url: str | None
    """Where the manifest is; None for embedded JSON."""
    said: ManifestModels
    taken: bool = False
    """The id is in use, and not by this source: another one must be chosen, with `renamed`."""
    again: bool = False
    """The id is this source's own: its entry is renewed, and what the user wrote there stays."""

    @property
    def draft(self) -> Draft:
        """The provider's entry, without a key."""
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
        """The one origin that will get the key."""
        return origin(self.said.manifest.base_url)

    @property
    def wants_key(self) -> bool:
        """Whether it may need a key; whether it does, only the provider knows."""
        return not self.again and asks_for_key(self.draft)

    @property
    def models(self) -> list[Model]:
        """The models with what is said of each, for showing them."""
        found = []
        for one in self.said.models:
            model = Model(id=one.id, alias=f"{self.id}/{one.id}", provider=self.id, protocol="openai_chat")
            fill(model, one.facts, MANIFEST)
            found.append(model)
        return found


class KeyConsent(Struct, frozen=True):
    """What must be agreed to before going on: that the key goes to an origin which nobody typed."""

    origin: Origin
    why: str


# Reading


async def from_url(
    config: Config, url: str, *, id: str | None = None, key: str | None = None, agreed: Origin | None = None
) -> ManifestDraft | KeyConsent:
    """What the manifest at an address makes. The key is sent only where the models are not listed without one, and then
    to the origin of `url` or the one that was `agreed`.

    Raises:
        ModelbayError: there is no manifest, or one that cannot be used.
    """
    url = url.strip()
    if not url:
        raise SourceError(NOTHING_GIVEN, hint=GIVE)
    home = typed(url)
    line = ProviderClient(config)
    try:
        manifest = await manifest_at(line, url, [home])
        return await _from_manifest(line, manifest, url, home, id=id, key=key, agreed=agreed)
    finally:
        await line.aclose()


async def _from_manifest(
    line: ProviderClient,
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
    keyed = partial(_endpoint, line.config, manifest, key) if key and may else _nobody
    try:
        said = await said_by(manifest, [home], keyed, line)
    except ModelbayError as error:
        if key and not may and error.status in REFUSED:
            return KeyConsent(where, error.message)
        wanted = "it lists its models only to those who have a key: add --api-key KEY"
        raise refused(error, wanted if error.status in REFUSED and not key else None) from None
    return _proposal(line.config, said, url, id)


def from_text(config: Config, text: bytes | Json, *, id: str | None = None) -> ManifestDraft:
    """What embedded JSON makes. Nothing is sent.

    Raises:
        ModelbayError: it cannot be used.
    """
    if isinstance(text, bytes) and not text.strip():
        raise SourceError(NOTHING_GIVEN, hint=GIVE)
    manifest = parse_manifest(text, pasted=True)
    return _proposal(config, _said(manifest, manifest.models, manifest.findings), None, id)


async def manifest_at(line: ProviderClient, url: str, trusted: Collection[Origin]) -> Manifest:
    """The manifest at an address.

    Raises:
        ModelbayError: there is none, or it cannot be used, or points where nobody else's may.
    """
    try:
        manifest = parse_manifest((await documents.fetch(line, url, trusted)).body)
    except ModelbayError as error:
        hint = "a manifest must be readable without a key" if error.status in REFUSED else None
        raise refused(error, hint) from None
    try:
        check_reachable(manifest.base_url, trusted)
    except ModelbayError as error:
        raise SourceError(f"{FAILED}: baseUrl: {error.message}", hint=error.hint) from None
    return manifest


async def said_by(
    manifest: Manifest, trusted: Collection[Origin], keyed: Keyed, line: ProviderClient
) -> ManifestModels:
    """What a hosted manifest leads to. Where nobody gets an answer without a key, the one of `keyed` is sent.

    Raises:
        ModelbayError: the models cannot be had or used; where their address answered, its status.
    """
    if manifest.source == "models_dev":
        models, problem = await _at_models_dev(str(manifest.models_dev_id), line.outside)
        said = _said(manifest, models, manifest.findings)
        said.gaps.reasons += [problem] if problem else []
        return said
    url = manifest.models_url
    try:
        found = await documents.fetch(line, url, trusted)
    except ProviderError as error:
        endpoint = await to_thread(keyed) if error.status in REFUSED else None
        if endpoint is None:
            raise
        found = await documents.fetch(line, url, trusted, endpoint)
    models, findings = parse_models(found.body)
    return _said(manifest, models, [*manifest.findings, *findings])


async def _at_models_dev(id: str, exchange: Exchange) -> tuple[list[Listed], str | None]:
    """The models that models.dev has for a provider, and why they may not be today's."""
    known = Catalog().models_dev
    problem = await known.refresh(exchange)
    if id not in known.providers:
        message = f'{FAILED}: models_dev_provider_id: models.dev has no provider "{id}"'
        raise SourceError(message, hint=_near(id, known))
    return known.models(id), problem


def _near(id: str, known: ModelsDev) -> str:
    from difflib import get_close_matches

    near = get_close_matches(id, known.providers, n=3)
    return f"does the provider mean {' or '.join(near)}?" if near else FIX


def refused(error: ModelbayError, hint: str | None = None) -> ModelbayError:
    """An error as what it is to somebody who adds a provider: its data cannot be processed."""
    if error.message.startswith(FAILED):
        return error
    return SourceError(f"{FAILED}: {error.message}", hint=hint or error.hint or FIX)


def typed(url: str) -> Origin:
    """The origin of a manifest's address, which the user gave.

    Raises:
        ModelbayError: it is none, or has a key in it.
    """
    try:
        where = origin(url)
    except ValueError as error:
        raise SourceError(f"{FAILED}: {masked_url(url)}: {error}", hint=GIVE) from None
    if urls.without_user(url)[1]:
        message = f"{FAILED}: {masked_url(url)}: it contains credentials before the host"
        raise SourceError(message, hint="a manifest is readable without one; give the key with --api-key")
    return where


def _said(manifest: Manifest, listed: list[Listed], findings: Iterable[ManifestFinding]) -> ManifestModels:
    models = [one for one in listed if one.chats and one.status != "inactive"]
    findings = list(findings)
    told = [str(finding) for finding in findings]
    others = {one.id: f"says that it is for {one.kind}" for one in listed if not one.chats}
    gaps = Gaps([str(finding) for finding in findings if finding.unread], others)
    notes = told[:TOLD] + ([f"… and {counted(len(told) - TOLD, 'remark')} more"] if len(told) > TOLD else [])
    return ManifestModels(manifest, models, len(listed) - len(models), notes, gaps)


def _endpoint(config: Config, manifest: Manifest, key: str) -> Endpoint:
    """Where a key goes that is not written yet."""
    table: Table = {"type": "openai", "base_url": manifest.base_url}
    return endpoint_at(*joined(config, with_key(Draft("added", table), key)), "/chat/completions")


def _nobody() -> None:
    """There is no key, or it may not be sent."""


# The id


def _proposal(config: Config, said: ManifestModels, url: str | None, id: str | None) -> ManifestDraft:
    return renamed(config, ManifestDraft(id="", url=url, said=said), id or slug(said.manifest))


def renamed(config: Config, proposal: ManifestDraft, id: str) -> ManifestDraft:
    """The proposal under another id."""
    entry = config.providers.get(id)
    source = (entry.source or {}) if entry is not None else {}
    again = False
    if entry is not None and entry.by_manifest and entry.base_url:
        same_url = source.get("url") is None or proposal.url is None or source["url"] == proposal.url
        again = same_url and origin(entry.base_url) == proposal.key_goes_to
    return replace(proposal, id=id, taken=entry is not None and not again, again=again)


def slug(manifest: Manifest) -> str:
    """The id that a provider gets: made of its name, or of its host's where the name has no plain letters."""
    plain = unicodedata.normalize("NFKD", manifest.name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")
    if made:
        return made
    return recognition.suggested_id(Recognised("base", presets.by_host(host_of(manifest.base_url)), manifest.base_url))


def another_id(config: Config, id: str) -> str:
    """An id like that one which nobody has."""
    number = 2
    while f"{id}-{number}" in config.providers:
        number += 1
    return f"{id}-{number}"


# Writing


def add(
    config: Config,
    proposal: ManifestDraft,
    *,
    key: str | None = None,
    default_model: str | None = None,
    only: Collection[str] = (),
    dry_run: bool = False,
) -> Edited[WrittenProvider]:
    """Writes a draft, with the models whose IDs are in `only`, or with all. `default_model` is a model ID or an alias; without
    one, one of these becomes the default if there is none yet. Without a `key` an entry that is renewed keeps its own.

    Raises:
        ModelbayError: it has no models; its id is taken; the file cannot be changed.
    """
    said, id = proposal.said, proposal.id
    if not said.models:
        raise SourceError(NO_MODELS, hint=HAVE_MODELS)
    if proposal.taken:
        message = f'provider "{id}" already exists, from another source'
        raise ConfigError(message, hint=f"name this one with --id, as --id {another_id(config, id)}", provider=id)
    tables, last = said.tables, merging.recall(id)

    def change(edit: Edit) -> WrittenProvider:
        if proposal.again:
            changes.change_provider(edit, id, _renewal(edit, proposal, key))
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

    edited = apply(change, config.path, dry_run=dry_run)
    if not dry_run:
        merging.remember(id, merging.seen(said.manifest.base_url, tables, last, said.gaps))
    return edited


def _renewal(edit: Edit, proposal: ManifestDraft, key: str | None) -> dict[tuple[str, ...], object]:
    """What changes in an entry that is there: its source's word, and the key where one is given."""
    table = proposal.draft.table
    renewed: dict[tuple[str, ...], object] = {(name,): table[name] for name in ("name", "base_url", "source")}
    if key:
        renewed["api_key",] = key
        if edit.get("providers", proposal.id, "auth") == "none":
            renewed["auth",] = None
    return renewed


def _default(edit: Edit, id: str, named: str | None) -> str | None:
    """The alias of a provider's model that is named by its alias or its wire id."""
    if named is None:
        return None
    models = edit.models_of(id)
    for alias, table in models.items():
        if named in (alias, table.get("model")):
            return str(alias)
    known = ", ".join(list(models)[:10]) + (" …" if len(models) > 10 else "")
    raise ConfigError(f"--default-model: {named} is none of its models", hint=f"they are {known}")
