"""Editing a provider: its fields, API key and models. Fields that are not given do not change."""

from shlex import quote
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.summary import counted
from modelbay.config import changes
from modelbay.config.edit import Edit, apply
from modelbay.config.load import load
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, ProviderEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.credentials.approval import references_in
from modelbay.credentials.credential import key_names
from modelbay.draft import Draft, host_of, model_tables, serves_without_key
from modelbay.errors import ConfigError
from modelbay.onboarding import fields, key_storage
from modelbay.onboarding.add import remember
from modelbay.onboarding.choose_models import marked_at_first
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.login.device import check_editable
from modelbay.onboarding.probe import Detected
from modelbay.onboarding.setup.by_address import (
    alias_of,
    check_not_native,
    facts_of,
    with_bases,
)
from modelbay.onboarding.setup.connection import ask_for_models, connection_of, say_detected
from modelbay.onboarding.setup.questions import check_rows, key_question, settings_of
from modelbay.onboarding.setup.run import SetupRun
from modelbay.onboarding.setup.steps import Connection, Preview, Result, SetupQuestion
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.upstream import upstream
from modelbay.recognition import protocol_in_path, recognize
from modelbay.secrecy import named_secret, secret_header, shaped_secret

CONNECTS = frozenset({"api_key", "auth", "base_url", "type", "custom_headers", "proxy", "dialect", "full_url"})
"""Keys of a provider whose change is tested before saving."""

AGAIN = "api_key.again"
"""The question for a new API key, after the provider rejected the old one."""


class EditedProvider(Struct):
    """The changes of a provider that would be written."""

    config: Config
    entry: ProviderEntry
    changed: dict[Keys, object]
    added: list[tuple[str, str]]
    """Model IDs with their display names."""
    removed: list[str]
    """Aliases."""
    detected: Detected | None = None
    chooses: bool = False
    bases: dict[str, str] = field(default_factory=dict)
    default: str | None = None

    def choose(self, ids: list[str]) -> None:
        """Make these models the provider's only ones."""
        mine = self._mine
        self.added = [(id, id) for id in ids if id not in mine]
        self.removed = [alias for id, alias in mine.items() if id not in ids]

    @property
    def _mine(self) -> dict[str, str]:
        return {model.model: model.alias for model in self.config.models.values() if model.provider == self.entry.id}

    def preview(self) -> Preview:
        draft = changed_draft(self.config, self.entry, self.changed)
        detected = self.detected
        mine = self._mine
        gone = set(self.removed)
        return Preview(
            title=f"Edit {self.entry.id}",
            id=self.entry.id,
            facts=[*facts_of(self.config, draft), *(("Stored", note) for note in self._apply(dry_run=True).notes)],
            connection=connection_of(detected) if detected else Connection(None, "not tested"),
            models=detected.models if detected else [],
            chosen=[*[id for id, alias in mine.items() if alias not in gone], *[id for id, _ in self.added]],
            chooses=self.chooses,
            source=detected.source if detected else "",
            make_diff=lambda: self._apply(dry_run=True).diff,
        )

    def write(self) -> Result:
        edited = self._apply()
        if self.detected is not None and self.detected.discovery is not None:
            remember(load(self.config.path), self.detected)
        said = edited.result
        return Result(
            title="" if said else f"{self.entry.id} is unchanged",
            providers=[self.entry.id],
            lines=said,
            stored=list(edited.notes),
        )

    def _apply(self, *, dry_run: bool = False) -> KeyedEdit[list[str]]:
        id = self.entry.id
        tables = with_bases(model_tables(self.config, id, self.added), self.bases)
        known: dict[str, Table] = {alias: {"model": wire_id} for wire_id, alias in self._mine.items()}
        default = alias_of({**known, **tables}, self.default)
        return key_storage.apply(lambda edit: self._change(edit, tables, default), self.config, dry_run=dry_run)

    def _change(self, edit: Edit, tables: dict[str, Table], default: str | None) -> list[str]:
        id, said = self.entry.id, []
        if self.changed:
            done = changes.change_provider(edit, id, self.changed)
            said += [f"Changed {', '.join(done.set)}"] * bool(done.set)
            said += [f"Removed {', '.join(done.removed)}"] * bool(done.removed)
        if tables:
            put = changes.put_models(edit, id, tables)
            said += [f"Added {counted(len(put.added), 'model')}: {', '.join(put.added)}"] * bool(put.added)
            said += [f"Changed {counted(len(put.changed), 'model')}: {', '.join(put.changed)}"] * bool(put.changed)
        if self.removed:
            gone = changes.remove_models(edit, self.removed)
            said.append(f"Removed {counted(len(gone.models), 'model')}: {', '.join(gone.models)}")
            said += [f"The default model was {gone.default_model}; none is set now"] * bool(gone.default_model)
        if default:
            changes.set_default_model(edit, default)
            said.append(f"Default model: {default}")
        return said


async def editing(run: SetupRun, id: str) -> EditedProvider:
    """Edit a provider. If nothing is given, the user chooses from the models that it lists."""
    config, given = run.config, run.given
    entry = config.provider(id)
    check_editable(config, id)
    changed = _changes(run, entry)
    added = [*check_rows(run), *given.add_models]
    if problem := fields.rows_problem(added):
        run.again(SetupQuestion(field="models", label="Model IDs, separated by spaces", default=None), problem)
    removed = [_alias(config, id, name) for name in given.remove_models]
    made = EditedProvider(config, entry, changed, [(row.id, row.name) for row in added], removed)
    made.bases, made.default = dict(given.base_models), given.default_model
    nothing = not changed and not added and not removed and not given.default_model and not made.bases
    picks = given.chooses or nothing
    if given.models:
        kept = {row.id for row in added}
        made.removed += [alias for id, alias in made._mine.items() if id not in kept and alias not in made.removed]
    connects = any(keys[0] in CONNECTS for keys in changed)
    if not (picks or given.all_models or (given.tests and connects)):
        return made
    draft = changed_draft(config, entry, changed)
    detected = _corrected(await ask_for_models(run, draft, []), draft, changed)
    _check_refused(run, detected)
    say_detected(run, detected) if not (picks or given.all_models) else None
    if detected.error is not None and (picks or given.all_models):
        raise detected.error
    made.detected = detected
    if picks or given.all_models:
        for text in (*detected.notes, *detected.corrections):
            run.note(text)
        made.chooses = not given.all_models
    if given.all_models:
        made.added += [(model.id, model.id) for model in detected.models if model.id not in made._mine]
    elif picks and not made._mine:
        made.choose(marked_at_first(detected.models))
    return made


def _corrected(detected: Detected, draft: Draft, changed: dict[Keys, object]) -> Detected:
    """The list of models, for the provider as it will be in the configuration.

    If the provider answers at another base URL, that one replaces the URL that the user has entered. A URL that was there may be
    right for calls although the list is elsewhere: it is kept.
    """
    if ("base_url",) not in changed:
        return replace(detected, draft=draft, corrections=[])
    for key in ("base_url", "dialect"):
        value = detected.draft.table.get(key)
        if value != draft.table.get(key):
            changed[key,] = value
    return detected


def changed_draft(config: Config, entry: ProviderEntry, changed: dict[Keys, object]) -> Draft:
    """The provider with the changes, for testing its connection."""

    def change(edit: Edit) -> Any:
        if changed:
            changes.change_provider(edit, entry.id, changed)
        return edit.get("providers", entry.id)

    table = apply(change, config.path, dry_run=True).result
    return Draft(entry.id, table, presets.by_host(host_of(str(table.get("base_url") or ""))))


def _check_refused(run: SetupRun, detected: Detected) -> None:
    """Ask for the API key again if the provider rejected it. An empty answer keeps the key: some keys are valid for calls,
    but not for the list of models.
    """
    if not detected.refused or run.given.yes or not run.given.tests or run.answers.get(AGAIN) == "":
        return
    question = key_question(detected.draft)
    question.field, question.label = AGAIN, f"API key for {detected.draft.id} (empty to keep it)"
    question.about = [detected.error.message if detected.error else "", *question.about]
    question.error = detected.error
    run.again(question, "The API key was rejected" if detected.draft.table.get("api_key") else "An API key is required")


def _changes(run: SetupRun, entry: ProviderEntry) -> dict[Keys, object]:
    """The given values as changes of the provider's table."""
    given = run.given
    found: dict[Keys, object] = {}
    table = settings_of(run)
    headers = table.pop("custom_headers", {})
    timeout = table.pop("timeout", {})
    found |= {(name,): value for name, value in table.items()}
    found |= {("timeout", name): value for name, value in timeout.items()}
    if given.protocol is not None:
        found["type",] = TYPE_OF[given.protocol]
    url = run.answers.get("base_url", given.base_url)
    question = SetupQuestion(field="base_url", label="Base URL", default=None)
    if url is not None:
        url = run.ask(question, fields.base_url_problem, given=url)
        found |= _address(run, entry, question, url)
    for name, value in headers.items():
        found["custom_headers", _header(entry, name) or name] = value
    for name in given.remove_headers:
        there = _header(entry, name)
        if there is None:
            known = ", ".join(entry.custom_headers) or "none"
            raise ConfigError(f"--remove-header: {entry.id} has no header {name}", hint=f"its headers are: {known}")
        found["custom_headers", there] = None
    key = run.answers.get(AGAIN) or run.answers.get("api_key", given.api_key)
    if url is not None:
        key = _check_origin(run, entry, question, url, key, found)
    if key is not None:
        key = run.ask(key_question(Draft(entry.id, {})), fields.api_key_problem, given=key)
        found["api_key",] = key or None
        named = entry.custom_headers | {keys[1]: value for keys, value in found.items() if keys[0] == "custom_headers"}
        sent = {name: str(value) for name, value in named.items() if value is not None}
        without = replace(entry, api_key=None, auth=None, base_url=url or entry.base_url, custom_headers=sent)
        found["auth",] = None if key or serves_without_key(without) else "none"
    return found


def _address(run: SetupRun, entry: ProviderEntry, question: SetupQuestion, url: str) -> dict[Keys, object]:
    """The changes for a new URL: the base URL, and the type if the URL's path belongs to another protocol."""
    here = upstream(run.config, entry)
    if here.preset is not None and here.preset.addressing != "plain":
        return {("base_url",): url}
    check_not_native(run, question, url)
    found: dict[Keys, object] = {("base_url",): recognize(url).url or url}
    protocol = protocol_in_path(url)
    if run.given.protocol is None and protocol is not None and protocol != here.protocol:
        found["type",] = TYPE_OF[protocol]
    return found


def _check_origin(
    run: SetupRun, entry: ProviderEntry, question: SetupQuestion, url: str, key: str | None, found: dict[Keys, object]
) -> str | None:
    """The API key for a new URL. A credential belongs to the origin that it was given for. It is not sent to another origin
    unless the user agrees.
    """
    here, there = upstream(run.config, entry).origin, origin(url)
    if there == here:
        return key
    if key is None and (entry.api_key or entry.custom_headers or entry.env):
        ask = key_question(Draft(entry.id, {}))
        ask.label = f"API key for {there} (empty to remove the old one)"
        ask.default = None
        ask.missing = f"The credentials of {entry.id} were given for {here} and would be sent to {there}"
        ask.about = [f"The API key of {entry.id} was given for {here} and is not sent to {there}"]
        ask.hint = 'pass the key for the new URL with --api-key, or remove the old one with --api-key ""'
        ask.field = "api_key"
        key = run.ask(ask, fields.api_key_problem)
    for name, value in entry.custom_headers.items():
        if ("custom_headers", name) in found or (not secret_header(name, value) and not references_in(value)):
            continue
        if not named_secret(name) and not shaped_secret(value) and not references_in(value):
            run.note(f"The header {name} of {entry.id} is now sent to {there}", warns=True)
            continue
        ask = SetupQuestion(
            field=f"headers.{name}",
            label=f"Header {name} for {there} (empty to remove it)",
            default=None,
            secret=True,
            required=False,
            missing=f"The header {name} of {entry.id} was given for {here} and would be sent to {there}",
            hint=f"remove it with --remove-header {quote(name)}, or pass a new value with --header",
        )
        found["custom_headers", name] = run.ask(ask) or None
    others = [f"env.{name}" for name in key_names(entry) if entry.env.get(name) and not key]
    for model in run.config.models.values():
        if model.provider == entry.id and not model.flat and not model.base_url and (model.api_key or model.oauth):
            others.append(f"the key of model {model.alias}")
    if others:
        question.hint = f"remove it from {run.config.path} first"
        run.again(question, f"{others[0]} was given for {here} and would be sent to {there}")
    return key


def _alias(config: Config, id: str, name: str) -> str:
    """The alias of a model of the provider, by alias or model ID."""
    mine = [model for model in config.models.values() if model.provider == id]
    for model in mine:
        if name in (model.alias, model.model):
            return model.alias
    known = ", ".join(model.model for model in mine[:20]) or "none"
    raise ConfigError(f"--remove-model: {id} has no model {name}", hint=f"its models are: {known}")


def _header(entry: ProviderEntry, name: str) -> str | None:
    """The name of a header as it is written in the file; None: there is no such header."""
    return next((there for there in entry.custom_headers if there.lower() == name.strip().lower()), None)
