"""Adding a provider by vendor name, base URL, full endpoint, list of models or local server."""

from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay import recognition
from modelbay.catalog.lists.discovery import Discovery
from modelbay.catalog.lists.listing import parse_list
from modelbay.catalog.lookup import Catalog
from modelbay.catalog.summary import facts
from modelbay.config.changes import WriteResult
from modelbay.config.edit import Edit, Edited
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, Table
from modelbay.draft import (
    Draft,
    as_entry,
    asks_for_key,
    azure_draft,
    draft,
    host_of,
    joined,
    model_tables,
    native_at,
    serves_without_key,
    vertex_draft,
    with_key,
)
from modelbay.errors import ConfigError, ModelbayError
from modelbay.onboarding import fields
from modelbay.onboarding.add import add
from modelbay.onboarding.choose_models import marked_at_first
from modelbay.onboarding.fields import ModelRow, ProviderFields
from modelbay.onboarding.local_servers import LocalServer, local_servers
from modelbay.onboarding.probe import Detected, fetched, listed
from modelbay.onboarding.setup.connection import (
    ask_for_models,
    check_refused,
    connection_of,
    missing_models,
    no_models,
    say_detected,
)
from modelbay.onboarding.setup.questions import (
    check_kind,
    check_rows,
    key_question,
    model_rows,
    new_id,
    refused_token_hint,
    with_settings,
)
from modelbay.onboarding.setup.run import SetupRun
from modelbay.onboarding.setup.steps import Option, Preview, Result, SetupQuestion
from modelbay.providers import presets
from modelbay.recognition import NATIVE, Recognized, protocol_in_path, recognize, recognize_content
from modelbay.secrecy import masked_url


class NewProvider(Struct):
    """A provider that would be added, with its models."""

    config: Config
    detected: Detected
    models: list[tuple[str, str | None]]
    """IDs of the models that will be written, with their display names."""
    chooses: bool = False
    bases: dict[str, str] = field(default_factory=dict)
    default: str | None = None

    @property
    def title(self) -> str:
        return place_of(self.config, self.detected.draft)

    def choose(self, ids: list[str]) -> None:
        self.models = [(id, None) for id in ids]

    def preview(self) -> Preview:
        made = self.detected.draft
        return Preview(
            title=f"Add {made.id}",
            id=made.id,
            table=made.table,
            facts=facts_of(self.config, made),
            connection=connection_of(self.detected),
            models=self.detected.models,
            chosen=[id for id, _ in self.models],
            chooses=self.chooses,
            source=self.detected.source,
            make_diff=lambda: self._add(dry_run=True).diff,
        )

    def write(self) -> Result:
        edited, made = self._add(), self.detected.draft
        known = {model.id: model for model in self.detected.models}
        tables = self._tables()
        rows = [
            (alias, facts(known[table["model"]]) if table["model"] in known else "") for alias, table in tables.items()
        ]
        return Result(
            title=f"Added provider {made.id}: {self.title}",
            providers=[made.id],
            rows=rows,
            default_model=edited.result.default_model,
        )

    def _add(self, *, dry_run: bool = False) -> Edited[WriteResult]:
        tables = self._tables()
        return add(self.config, self.detected, tables, default_model=alias_of(tables, self.default), dry_run=dry_run)

    def _tables(self) -> dict[str, Table]:
        return with_bases(model_tables(self.config, self.detected.draft.id, self.models), self.bases)


class _Models(Struct):
    """The models that the user named, and their base models by model ID."""

    rows: list[ModelRow]
    bases: dict[str, str]


async def by_address(run: SetupRun, what: str, found: Recognized) -> NewProvider:
    """Add a recognized provider: a vendor, a URL or a list of models."""
    check_kind(run.given, found.kind)
    models = _Models(check_rows(run), dict(run.given.base_models))
    if found.kind in NATIVE:
        id = new_id(run, found.preset.id if found.preset else str(found.kind))
        made = _native(run, found, id, models)
    else:
        made = _drafted(run, found)
    return await _detected(
        run, keyed(run, with_settings(run, made)), models, found.content if found.url is None else None
    )


async def custom(run: SetupRun) -> NewProvider:
    """Add a custom provider from its fields, without the defaults of a vendor at its URL."""
    given = run.given
    models = _Models(check_rows(run), dict(given.base_models))
    id = new_id(run, None)
    name = run.ask(
        SetupQuestion(field="name", label="Display name", default=None, missing="Display name is required"),
        fields.name_problem,
        given=given.name,
    )
    question = SetupQuestion(field="base_url", label="Base URL", default=None, missing="Base URL is required")
    url = run.ask(question, fields.base_url_problem, given=given.base_url)
    check_not_native(run, question, url)
    made = _form_draft(ProviderFields(id, name, given.protocol, url))
    if (read := str(made.table["base_url"])) != url:
        run.note(f"{masked_url(url)}: the base URL is {masked_url(read)}")
    made = with_settings(run, made)
    if run.answers.get("api_key", given.api_key) is not None or not serves_without_key(
        as_entry(run.config, id, made.table)
    ):
        question = key_question(replace(made, preset=None), whose=name)
        made = with_key(made, run.ask(question, fields.api_key_problem, given=given.api_key))
    return await _detected(run, made, models, None)


async def with_listed_models(run: SetupRun, id: str) -> NewProvider:
    """A configured provider with its current list of models."""
    with Edit.open(run.config.path, dry_run=True) as edit:
        table = edit.get("providers", id) or {}
    run.config.provider(id)
    made = Draft(id, table, presets.by_host(host_of(str(table.get("base_url") or ""))))
    detected = await ask_for_models(run, made, [])
    if detected.error is not None and not detected.models:
        raise detected.error
    say_detected(run, detected)
    return NewProvider(run.config, detected, [])


async def local(run: SetupRun) -> Recognized:
    """A local model server, chosen by the user if several answer."""
    servers: list[LocalServer] = await run.once("local", "Looking for local servers", lambda: local_servers(run.config))
    new = [one for one in servers if one.provider is None]
    if not new:
        raise ConfigError(
            "All local servers are already added" if servers else "No local server found",
            hint=f"{'' if servers else 'start the server, or '}add a server by its URL: "
            "`modelbay provider add http://localhost:PORT/v1`",
        )
    options = [Option(one.base_url, f"{one.name}  {one.base_url}") for one in new]
    given = new[0].base_url if len(new) == 1 else None
    question = SetupQuestion(
        field="base_url", label="Local server", options=options, default=None, missing="Several local servers answer"
    )
    return recognize(run.ask(question, given=given))


async def recognized_by_content(run: SetupRun, found: Recognized) -> Recognized:
    """Recognize a URL by its content. If it cannot be fetched and the user named models, it is treated as a base URL."""
    assert found.document is not None and found.url is not None
    document = found.document
    made = keyed(run, with_settings(run, draft(replace(found, kind="base"), "added"), names=False))
    key = made.table.get("api_key")
    words = f"Reading {masked_url(document)}"
    content = await run.tried(("document", document, key), words, lambda: fetched(run.config, made, document))
    if isinstance(content, ModelbayError):
        if content.status in (401, 403):
            content.provider, content.hint = None, refused_token_hint(key)
            if not run.given.models:
                question = key_question(made, required=True)
                question.error = content
                run.again(question, "The API key was rejected" if key else "An API key or token is required")
        if not run.given.models or found.kind != "list":
            raise content
        return replace(found, kind="base", document=None)
    known = recognize_content(content, document, None if found.kind == "list" else found.kind)
    run.note(f"{masked_url(document)} is {known.title}")
    url = found.url if known.kind == "list" else None
    return replace(found, kind=known.kind, url=url, document=None, content=content)


def keyed(run: SetupRun, made: Draft) -> Draft:
    """The draft with its API key, if it needs or has one."""
    key = run.answers.get("api_key", run.given.api_key)
    if not key and not asks_for_key(made):
        return made
    question = key_question(made, required=made.preset is not None)
    return with_key(made, run.ask(question, fields.api_key_problem, given=run.given.api_key))


def check_not_native(run: SetupRun, question: SetupQuestion, url: str) -> None:
    """Ask for another URL if this one is Azure's or Vertex AI's, which cannot be custom providers."""
    preset = native_at(url)
    if preset is not None:
        kind = preset.types[0]
        question.hint = f"modelbay provider add {kind} --base-url {url}" + " --deployment NAME" * (kind == "azure")
        run.again(
            question, f"This is {preset.name}: do not use a custom provider for it, use the native {kind} provider"
        )


# Drafts


def _drafted(run: SetupRun, found: Recognized) -> Draft:
    base = run.answers.get("base_url", run.given.base_url)
    protocol = run.given.protocol
    needs_url = found.url is None and (found.preset is None or _url_of(found, run) is None)
    if base is not None or needs_url:
        named = found.preset.name if found.preset else "A list of models"
        question = SetupQuestion(
            field="base_url",
            label="Base URL",
            default=None,
            missing=f"{named} requires a base URL",
            hint="pass --base-url URL",
        )
        base = run.ask(question, fields.base_url_problem, given=run.given.base_url)
        at_base = recognize(base)
        if found.preset is None:
            found = replace(found, preset=presets.by_host(host_of(base)), url=found.url or base)
            suggested = recognition.suggested_id(found)
            found = replace(found, url=None if found.content is not None else found.url)
        else:
            suggested = recognition.suggested_id(found)
        protocol = protocol or protocol_in_path(base)
        base = at_base.url or base
    else:
        suggested = recognition.suggested_id(found)
    return draft(found, new_id(run, suggested), base_url=base, protocol=protocol)


def _url_of(found: Recognized, run: SetupRun) -> str | None:
    preset = found.preset
    url = preset.url(run.given.protocol or found.protocol or preset.protocols[0]) if preset else None
    return None if url is None or "{" in url else url


def _native(run: SetupRun, found: Recognized, id: str, models: _Models) -> Draft:
    given = run.given
    url = given.base_url or found.url
    if found.kind == "vertexai":
        if found.url:
            run.note("Vertex AI has its own provider type; a custom provider is not needed")
        return vertex_draft(id, given.project, given.location, url)
    if found.url:
        run.note("Azure has its own provider type; a custom provider is not needed")
    resource = given.resource
    if url is None:
        question = SetupQuestion(
            field="resource",
            label="Azure resource name",
            default=None,
            missing="Azure resource name or endpoint is missing",
            hint="pass --resource NAME or --base-url URL",
        )
        resource = run.ask(question, fields.resource_problem, given=resource)
    deployment = run.answers.get("deployment", given.deployment)
    made = azure_draft(id, resource=resource, url=url, deployment=deployment, api_version=given.api_version)
    if made.models and models.rows:
        _behind_deployment(run, made.models[0], models)
    if not made.models and models.rows:
        made = replace(made, models=[row.id for row in models.rows])
    if not made.models:
        question = SetupQuestion(
            field="deployment",
            label="Deployment",
            default=None,
            missing="Deployment is required",
            hint="pass --deployment NAME: Azure calls a deployment, not a model ID",
        )
        made = replace(made, models=[run.ask(question)])
    return made


def _behind_deployment(run: SetupRun, deployment: str, models: _Models) -> None:
    """Use the model that was named together with a deployment as the deployment's base model."""
    ids = [row.id for row in models.rows]
    others = [id for id in ids if id != deployment]
    if len(others) > 1:
        question = SetupQuestion(
            field="models",
            label="Model IDs, separated by spaces",
            default=None,
            hint="pass more deployments with --model, and their models with --base-model ID=MODEL",
        )
        run.again(question, f"deployment {deployment} has one model, not several: {', '.join(others)}")
    for id in others:
        models.bases.setdefault(deployment, id)
    named = [ModelRow(deployment, row.name if row.name != row.id else deployment) for row in models.rows]
    models.rows = named[:1]


# Models


async def _detected(run: SetupRun, made: Draft, models: _Models, content: Any) -> NewProvider:
    """The provider with the models that it lists. If it lists none, the user is asked for model IDs."""
    if content is not None:
        _, found = joined(run.config, made)
        listing = parse_list(content)
        detected = Detected(made, listed(listing.models, found, Catalog()), Discovery(listing.models), "models")
    else:
        detected = await ask_for_models(run, made, [row.id for row in models.rows])
    check_refused(run, detected, named=bool(models.rows))
    rows = models.rows
    if not rows and not made.models and not detected.models:
        rows = _named_instead(run, detected)
    say_detected(run, detected)
    new = NewProvider(run.config, detected, [], bases=models.bases, default=run.given.default_model)
    if rows:
        ids = {model.id for model in detected.models}
        for row in rows:
            if detected.discovery is not None and row.id not in ids:
                run.note(f"{row.id} is not in the provider's list of models; adding it anyway", warns=True)
        new.models = [(row.id, row.name) for row in rows]
    elif made.models:
        new.models = [(id, None) for id in made.models]
    else:
        new.chooses = not run.given.all_models
        new.choose(
            [model.id for model in detected.models] if run.given.all_models else marked_at_first(detected.models)
        )
    named = [id for id, _ in new.models]
    if unknown := [id for id in new.bases if not new.chooses and id not in named]:
        question = SetupQuestion(field="base_models", label="Base models", default=None)
        run.again(question, f"{unknown[0]} is not one of the models to add")
    return new


def _named_instead(run: SetupRun, detected: Detected) -> list[ModelRow]:
    """Ask for model IDs, because the models could not be listed."""
    where = f"GET {detected.discovery.url}: " if detected.discovery and detected.discovery.url else ""
    question = SetupQuestion(
        field="models",
        label="Model IDs, separated by spaces",
        default=None,
        error=no_models(detected),
        missing=f"{where}the list has no chat models" if detected.discovery else "At least one model is required",
        about=[missing_models(detected)],
        hint="pass the model IDs with --model ID",
    )
    return model_rows(run.ask(question, lambda text: fields.rows_problem(model_rows(text))))


# Display


def facts_of(config: Config, made: Draft) -> list[tuple[str, str]]:
    """A provider's settings for display, by label; without secrets."""
    grown, found = joined(config, made)
    entry = grown.provider(made.id)
    key = entry.api_key or ""
    said = "none" if not key else f"{key if key.startswith('{env:') else '…'}, sent to {found.origin} only"
    about = [
        ("Provider ID", made.id),
        ("Display name", entry.name or ""),
        ("Base URL", masked_url(found.base_url)),
        ("Protocol", fields.APIS[found.protocol]),
        ("Vendor", found.preset.name if found.preset else ""),
        ("API key", said),
        ("Headers", ", ".join(entry.custom_headers)),
        ("Proxy", masked_url(entry.proxy) if entry.proxy else ""),
    ]
    return [(label, text) for label, text in about if text]


def place_of(config: Config, made: Draft) -> str:
    """A provider in one line, such as "OpenAI Compatible at https://acme.example/v1"."""
    _, found = joined(config, made)
    name = made.preset.name if made.preset else fields.APIS[found.protocol]
    return f"{name} at {found.origin}"


def alias_of(tables: dict[str, Table], named: str | None) -> str | None:
    """The alias of the new default model, from its alias or model ID.

    Raises:
        ConfigError: there is no such model.
    """
    if named is None:
        return None
    for alias, table in tables.items():
        if named in (alias, table["model"]):
            return alias
    raise ConfigError(
        f"--default-model: {named} is not one of the provider's models",
        hint=f"choose one of: {', '.join(list(tables)[:20]) or 'none'}",
    )


def with_bases(tables: dict[str, Table], bases: dict[str, str]) -> dict[str, Table]:
    """The models' tables by alias, with `base_model` added.

    Raises:
        ConfigError: a base model is given for a model that is not added.
    """
    known = {str(table["model"]) for table in tables.values()}
    if unknown := [id for id in bases if id not in known]:
        raise ConfigError(
            f"--base-model: {unknown[0]} is not one of the models to add", hint=f"name it too: --model {unknown[0]}"
        )
    return {
        alias: {**table, "base_model": bases[table["model"]]} if table["model"] in bases else table
        for alias, table in tables.items()
    }


def _form_draft(form: ProviderFields) -> Draft:
    """The entry for a valid form. The form's base URL may be a full endpoint or the URL of a list of models."""
    found = recognize(form.base_url)
    protocol = form.api or found.protocol or "openai_chat"
    table: Table = {"type": TYPE_OF[protocol], "name": form.name, "base_url": found.url or form.base_url}
    if form.headers:
        table["custom_headers"] = {row.key: row.value for row in form.headers}
    models = [row.id for row in form.models] or found.models
    return Draft(form.id, table, presets.by_host(host_of(form.base_url)), models)
