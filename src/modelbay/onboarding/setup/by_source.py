"""Adding providers that a document describes: a manifest, a registry or an entry of the catalog."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from modelbay.catalog.summary import counted, facts
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import AuthenticationFailed, ModelbayError, PermissionDenied, SourceError
from modelbay.model import Model
from modelbay.onboarding import fields
from modelbay.onboarding.add import remember
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.probe import Detected
from modelbay.onboarding.setup.connection import ask_for_models, check_refused, connection_of, missing_models
from modelbay.onboarding.setup.questions import check_kind, check_rows, refused_token_hint
from modelbay.onboarding.setup.run import SetupRun
from modelbay.onboarding.setup.steps import NO, YES, Connection, Option, Preview, Result, SetupNote, SetupQuestion
from modelbay.onboarding.sources import catalogs, manifests, registries
from modelbay.onboarding.sources.catalogs import CatalogDraft, CatalogValues, ProviderCatalog
from modelbay.onboarding.sources.manifests import KeyConsent, ManifestDraft
from modelbay.onboarding.sources.merge import Merged, WrittenProvider
from modelbay.onboarding.sources.registries import KEYS, FetchedRegistry, RegistryDraft, RegistryKeys
from modelbay.origin import Origin
from modelbay.secrecy import masked_url

SHOWN = 10
"""Maximum number of models, providers and skipped entries that are listed by name; the others are counted."""


# Manifests


class ByManifest(Struct):
    """A provider that its manifest describes."""

    config: Config
    draft: ManifestDraft
    key: str | None
    default: str | None
    only: list[str]

    def choose(self, ids: list[str]) -> None:
        self.only = ids

    def preview(self) -> Preview:
        draft = self.draft
        manifest, models = draft.said.manifest, draft.models
        about = [
            ("Provider", f"{manifest.name}{f' ({manifest.website})' if manifest.website else ''}"),
            ("Provider ID", f"{draft.id}{' (already exists and will be updated)' if draft.again else ''}"),
            ("Base URL", masked_url(manifest.base_url)),
            ("API key", "; ".join([f"sent to {draft.key_goes_to} only", *_replaced(self.config, draft.id, self.key)])),
            ("Models", "\n".join([counted(len(models), "model"), *_lines(models)])),
        ]
        if draft.said.others:
            about.append(("Skipped", f"{counted(draft.said.others, 'model')} that cannot chat"))
        return Preview(
            title=f"Add {manifest.name}" if not draft.again else f"Update {manifest.name}",
            id=draft.id,
            facts=[*about, *[("Note", text) for text in draft.said.notes]],
            models=models,
            chosen=[model.id for model in models],
            source="manifest",
            confirms="Update it?" if draft.again else "Add it?",
            make_diff=lambda: self._add(dry_run=True).diff,
        )

    def write(self) -> Result:
        edited, draft = self._add(), self.draft
        written = edited.result
        verb = "Updated" if draft.again else "Added"
        known = {model.alias: model for model in draft.models}
        rows = [(alias, facts(known[alias]) if alias in known else "") for alias in written.models.added]
        return Result(
            title=f"{verb} provider {written.provider}: {draft.said.manifest.name} at {draft.key_goes_to}",
            providers=[written.provider],
            rows=rows,
            lines=[*_replaced(self.config, draft.id, self.key), *_merged(written.models)] if draft.again else [],
            stored=list(edited.notes),
            default_model=written.default_model,
        )

    def _add(self, *, dry_run: bool = False) -> KeyedEdit[WrittenProvider]:
        return manifests.add(
            self.config, self.draft, key=self.key, default_model=self.default, only=self.only, dry_run=dry_run
        )


def _replaced(config: Config, id: str, key: str | None) -> list[str]:
    """A line if a key replaces another one, such as that of a second account."""
    entry = config.providers.get(id)
    return ["the API key is replaced"] if key and entry is not None and entry.api_key not in (None, key) else []


async def by_manifest(run: SetupRun, url: str | None, content: Any) -> ByManifest:
    """Add the provider of a manifest, from a URL or from its content."""
    check_kind(run.given, "manifest")
    given = run.given
    key = run.answers.get("api_key", given.api_key)
    if url is not None:
        draft = await _from_url(run, url, key)
    else:
        draft = manifests.from_text(run.config, content, id=given.id)
    if not draft.said.models:
        if draft.said.others:
            run.note(f"Skipped {counted(draft.said.others, 'model')} that cannot chat", warns=True)
        raise SourceError(manifests.NO_MODELS, hint=manifests.HAVE_MODELS)
    draft = _with_id(run, draft)
    if draft.needs_key:
        name = draft.said.manifest.name
        question = SetupQuestion(
            field="api_key",
            label=f"API key for {name} (empty if none is needed)",
            secret=True,
            required=False,
            about=[f"The key is sent to {draft.key_goes_to} only"],
            hint="pass --api-key KEY, or --api-key - to read it from standard input",
        )
        key = run.ask(question, fields.api_key_problem, given=key)
    only = [row.id for row in check_rows(run)]
    listed = {model.id for model in draft.said.models}
    if unknown := [id for id in only if id not in listed]:
        raise SourceError(
            f"--model: {unknown[0]} is not in the manifest", hint=f"choose from the manifest's models: {_some(listed)}"
        )
    return ByManifest(run.config, draft, key or None, given.default_model, only)


async def _from_url(run: SetupRun, url: str, key: str | None) -> ManifestDraft:
    agreed: Origin | None = None
    while True:
        words = f"Reading {masked_url(url)}"
        found = await run.once(
            ("manifest", url, key, agreed),
            words,
            lambda: manifests.from_url(run.config, url, key=key, agreed=agreed),  # noqa: B023 it is awaited here
        )
        if not isinstance(found, KeyConsent):
            id = run.given.id
            return manifests.renamed(run.config, found, id) if id is not None else found
        _consent(run, found)
        agreed = found.origin


def _consent(run: SetupRun, consent: KeyConsent) -> None:
    """Ask whether the key may be sent to an origin that the user did not type."""
    said = f"The manifest names {consent.origin} as the provider's server"
    question = SetupQuestion(
        field=f"consent.{consent.origin}",
        label=f"Send the API key to {consent.origin}?",
        options=[Option(YES, "Send it"), Option(NO, "Do not send it")],
        default=None,
        suggestion=NO,
        about=[consent.why, said],
        error=SourceError(f"{consent.why}\n{said}", hint="pass --yes to send the API key there"),
    )
    if run.ask(question, given=YES if run.given.yes else None) == NO:
        raise SourceError(
            f"The API key was not sent to {consent.origin}, so the models could not be listed",
            hint="run the command again and agree to send the key",
        )


def _with_id(run: SetupRun, draft: ManifestDraft) -> ManifestDraft:
    """The draft with an unused ID."""
    other = fields.free_name(manifests.slug(draft.said.manifest), run.config.providers)
    question = SetupQuestion(
        field="id",
        label="Provider ID",
        default=None,
        suggestion=other,
        hint=f"choose another ID, for example --id {other}",
    )

    def problem(id: str) -> str | None:
        if wrong := fields.id_problem(id):
            return wrong
        if manifests.renamed(run.config, draft, id).taken:
            return f'provider "{id}" already exists and has another source'
        return None

    return manifests.renamed(run.config, draft, run.ask(question, problem, given=draft.id))


# Registries


class ByRegistry(Struct):
    """The providers of a registry."""

    config: Config
    draft: RegistryDraft
    default: str | None

    def choose(self, ids: list[str]) -> None:
        raise AssertionError("the models of a registry are not chosen")

    def preview(self) -> Preview:
        draft = self.draft
        about = [
            (item.listed.id, f"{item.listed.type} at {masked_url(item.listed.api)}\n{_counted(item)}; {KEYS[item.key]}")
            for item in draft.items[:SHOWN]
        ]
        if len(draft.items) > SHOWN:
            about.append(("", f"… and {len(draft.items) - SHOWN:,} more"))
        about += [("Removed", f"{id}: no longer in the registry") for id in draft.vanished]
        about += [("Skipped", f"{one.where}: {one.why}") for one in draft.skipped[:SHOWN]]
        return Preview(
            title=f"Add {counted(len(draft.items), 'provider')} of {draft.title}",
            id=draft.items[0].listed.id,
            facts=about,
            models=[
                Model(id=id, alias=item.made.names.get(id, f"{item.listed.id}/{id}"), provider=item.listed.id)
                for item in draft.items
                for id in item.made.models
            ],
            source="registry",
            make_diff=lambda: self._add(dry_run=True).diff,
        )

    def write(self) -> Result:
        draft, edited = self.draft, self._add()
        written = edited.result
        models = sum(len(item.made.models) for item in draft.items)
        default = next((one.default_model for one in written if one.default_model), None)
        result = Result(
            title=f"Imported {counted(len(draft.items), 'provider')} ({counted(models, 'model')}) from {draft.title}:",
            providers=[one.provider for one in written if not one.gone],
            default_model=default,
            stored=list(edited.notes),
        )
        for item, one in zip(draft.items, (one for one in written if not one.gone), strict=True):
            merged = one.models
            said = [_counted(item)]
            if not one.new:
                what = ((merged.added, "added"), (merged.changed, "changed"), (merged.removed, "removed"))
                said += [f"{len(names)} {verb}" for names, verb in what if names]
            place = "unchanged URL" if one.elsewhere else f"{item.listed.type} at {masked_url(item.listed.api)}"
            result.lines.append(f"- {item.listed.id}  {place}  {', '.join(said)}; {KEYS[item.key]}")
        for one in written:
            if one.gone:
                result.lines.append(f"Removed provider {one.provider}: no longer in the registry")
        result.notes = [SetupNote(text, warns) for text, warns in registries.notes(draft, written)]
        return result

    def _add(self, *, dry_run: bool = False) -> KeyedEdit[list[WrittenProvider]]:
        default = registries.alias_of(self.draft, self.default) if self.default else None
        return registries.add(self.config, self.draft, default_model=default, dry_run=dry_run)


async def by_registry(run: SetupRun, url: str | None, content: Any) -> ByRegistry:
    """Add the providers of a registry, from a URL or from its content."""
    check_kind(run.given, "registry")
    given = run.given
    token = run.answers.get("api_key", given.api_key) or None
    if url is None and token:
        hint = "pass the providers' keys with --provider-key ID=KEY"
        question = SetupQuestion(field="api_key", label="API key", secret=True, default=None, required=False, hint=hint)
        run.again(question, "a registry file needs no token")
    found = await _fetched(run, url, token) if content is None and url else registries.pasted(content, url, token)
    keys = RegistryKeys(keys=dict(given.provider_keys), token_is_key=given.token_is_key)
    draft = run.kept(
        ("registry draft", url, token), lambda: registries.propose(run.config, found, keys, only=_only(run))
    )
    for item in draft.items:
        if not item.needs_key or given.yes:
            continue
        field = f"provider_keys.{item.listed.id}"
        if field in run.answers and run.accepted.get(field) == run.answers[field]:
            keys.keys[item.listed.id] = run.answers[
                field
            ].strip()  # not checked again: there may be a hundred questions
            continue
        question = SetupQuestion(
            field=field,
            label=f"API key for {item.listed.name} (empty if none is needed)",
            secret=True,
            required=False,
            about=[f"{item.listed.name} is at {masked_url(item.listed.api)}"],
        )
        keys.keys[item.listed.id] = run.ask(question, fields.api_key_problem)
        run.accepted[field] = run.answers[field]
    keys.keys = {id: key for id, key in keys.keys.items() if key}
    return ByRegistry(run.config, registries.propose(run.config, found, keys, only=_only(run)), given.default_model)


async def _fetched(run: SetupRun, url: str, token: str | None) -> FetchedRegistry:
    tokens = [token] if token else registries.urls_of(run.config).get(url.strip(), [])
    question = SetupQuestion(field="api_key", label="Token of the registry", default=None, secret=True)
    words = f"Reading {masked_url(url)}"
    found = await run.tried(("registry", url, *tokens), words, lambda: registries.fetched(run.config, url, tokens))
    if isinstance(found, AuthenticationFailed | PermissionDenied):
        found.hint = refused_token_hint(tokens)
        question.error = found
        run.again(question, "The token was rejected" if tokens else "A token is required")
    if isinstance(found, ModelbayError):
        raise found
    return found


def _only(run: SetupRun) -> registries.Only:
    """The selected provider and models of a registry; all by default."""
    return registries.Only(run.given.id, [row.id for row in check_rows(run)])


def _counted(item: registries.RegistryItem) -> str:
    return counted(len(item.made.models), "model")


# The catalog


class ByCatalog(Struct):
    """A provider of models.dev or of another catalog in the same format."""

    config: Config
    catalog: ProviderCatalog
    draft: CatalogDraft
    default: str | None
    detected: Detected | None = None
    """The result of the connection test; None: not tested."""

    def choose(self, ids: list[str]) -> None:
        self.draft = catalogs.limited(self.draft, ids)

    def preview(self) -> Preview:
        draft = self.draft
        made, entry = draft.draft, draft.entry
        return Preview(
            title=f"Add {entry.name}",
            id=made.id,
            facts=[
                ("Provider ID", made.id),
                ("Base URL", masked_url(str(made.table.get("base_url") or "the default of its type"))),
                ("Type", str(made.table.get("type"))),
                ("From", self.catalog.title),
                ("Models", counted(len(draft.models), "model")),
            ],
            connection=connection_of(self.detected) if self.detected else Connection(None, "not tested"),
            models=catalogs.models_of(draft),
            chosen=list(draft.models),
            source="models.dev",
            make_diff=lambda: self._add(dry_run=True).diff,
        )

    def write(self) -> Result:
        draft, edited = self.draft, self._add()
        written = edited.result
        if self.detected is not None:
            remember(load(self.config.path), self.detected)
        entry, merged, id = draft.entry, written.models, draft.draft.id
        lines = _replaced(self.config, id, draft.draft.table.get("api_key"))
        if not written.new and not merged.empty:
            lines.append(f"{len(merged.added)} added, {len(merged.changed)} changed, {len(merged.removed)} removed")
        if not written.new and not lines:
            lines = ["nothing changed"]
        notes = []
        if entry.skipped:
            why = f"`modelbay provider catalog list {entry.id} --json` shows the reasons"
            notes.append(SetupNote(f"Skipped {counted(len(entry.skipped), 'model')}: {why}"))
        notes += [SetupNote(f"{name}: {why}") for name, why in merged.kept.items()]
        if entry.wire.guessed:
            notes.append(SetupNote(guessed(id, entry.wire.type)))
        models = counted(len(draft.only or draft.models), "model")
        return Result(
            title=f"Imported {entry.name} ({id}) with {models} from {self.catalog.title}",
            providers=[id],
            lines=lines,
            stored=list(edited.notes),
            default_model=written.default_model,
            notes=notes,
        )

    def _add(self, *, dry_run: bool = False) -> KeyedEdit[WrittenProvider]:
        default = catalogs.alias_of(self.draft, self.default) if self.default else None
        return catalogs.add(self.config, self.draft, default_model=default, dry_run=dry_run)


async def by_catalog(run: SetupRun, id: str) -> ByCatalog:
    """Add a provider of the catalog. Ask for values and an API key that the catalog's entry requires."""
    check_kind(run.given, "catalog")
    given = run.given
    url = given.catalog_url
    words = f"Fetching {masked_url(url) if url else 'the catalog of models.dev'}"
    if (catalog := given.catalog) is None:
        catalog = await run.once(("catalog", url), words, lambda: catalogs.opened(run.config, url))
    if catalog.problem:
        run.note(catalog.problem, warns=True)
    elif catalog.built_in:
        run.note(catalog.title)
    values = CatalogValues(
        api_key=given.api_key or None, base_url=given.base_url, values=dict(given.values), id=given.id
    )
    draft = catalogs.propose(run.config, catalog, id, values)
    for name in draft.missing:
        _missing(run, draft, values, name)
    if draft.missing:
        draft = catalogs.propose(run.config, catalog, id, values)
    if draft.needs_key or "api_key" in run.answers:
        names = "".join(f", or --api-key '{{env:{name}}}' to read ${name}" for name in draft.entry.key_names)
        where = f"; get an API key at {draft.key_url}" if draft.key_url else ""
        question = SetupQuestion(
            field="api_key",
            label=f"API key for {draft.entry.name}",
            default=None,
            secret=True,
            missing=f"{draft.entry.name} requires an API key",
            about=[f"Get an API key at {draft.key_url}"] if draft.key_url else [],
            hint=f"pass --api-key KEY, or --api-key - to read it from standard input{names}{where}",
        )
        values.api_key = run.ask(question, fields.api_key_problem, given=given.api_key or None)
        draft = catalogs.propose(run.config, catalog, id, values)
    only = [row.id for row in check_rows(run)]
    detected = await _tested(run, draft, named=bool(only))
    if detected is not None:
        draft = replace(draft, draft=detected.draft)
    if only:
        draft = catalogs.limited(draft, only)
    return ByCatalog(run.config, catalog, draft, given.default_model, detected)


async def _tested(run: SetupRun, draft: CatalogDraft, *, named: bool) -> Detected | None:
    """The result of the connection test. None: the provider has no list of models, or it is updated and keeps its API key."""
    made = draft.draft
    if (made.preset and not made.preset.lists_models) or (made.id in run.config.providers and not draft.keyed):
        return None
    detected = await ask_for_models(run, made, [])
    check_refused(run, detected, named=named)
    for text in (*detected.notes, *detected.corrections):
        run.note(text)
    if detected.error is not None:
        run.note(missing_models(detected), warns=True)
    return detected


def _missing(run: SetupRun, draft: CatalogDraft, values: CatalogValues, name: str) -> None:
    """Ask for a variable of the entry's URL, or for the URL itself."""
    entry = draft.entry
    base = name == "base_url"
    question = SetupQuestion(
        field="base_url" if base else f"values.{name}",
        label="Base URL" if base else name,
        default=None,
        missing=f"{entry.name} requires a base URL" if base else f"{entry.name} requires a value",
        about=[f"The catalog has no base URL for {entry.name}"] if base else [],
        hint=f"see {entry.doc}" if entry.doc else None,
    )
    answer = run.ask(question, fields.base_url_problem if base else None)
    if base:
        values.base_url = answer
    else:
        values.values[name] = answer


def guessed(id: str, type: str | None) -> str:
    """The note that the protocol of a provider is a guess."""
    return f'Protocol guessed as "{type}" for {id}: edit "type" in config.toml if requests fail'


def _merged(merged: Merged) -> list[str]:
    """The changes of a provider's models, one per line."""
    lines = [f"added {alias}" for alias in merged.added]
    lines += [f"changed {alias}: {'; '.join(said)}" for alias, said in merged.changed.items()]
    lines += [f"removed {alias}" for alias in merged.removed]
    return lines + [f"{name}: {why}" for name, why in merged.kept.items()]


def _lines(models: list[Model]) -> list[str]:
    named = ["  ".join(word for word in (model.id, facts(model)) if word) for model in models[:SHOWN]]
    return named + [f"… and {counted(len(models) - SHOWN, 'more model')}"] * (len(models) > SHOWN)


def _some(ids: set[str]) -> str:
    return ", ".join(sorted(ids)[:10]) + " …" * (len(ids) > 10)
