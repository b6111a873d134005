"""`modelbay provider custom` and `modelbay provider edit`: the dialog for a custom provider, as options."""

from collections.abc import Callable
from shlex import quote
from typing import Any, TypeVar, cast

import click
from msgspec.structs import replace

from modelbay.catalog.summary import counted
from modelbay.cli import adding, key_input, terminal
from modelbay.cli.adding import API_NAMES, Choice, choice_options
from modelbay.cli.key_input import Invalid, asked_key, given_key
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config import changes
from modelbay.config.edit import Edit, apply
from modelbay.config.load import load
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, ProviderEntry
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.approval import references_in
from modelbay.credentials.credential import key_names
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.draft import (
    Draft,
    as_entry,
    form_draft,
    host_of,
    model_tables,
    native_at,
    serves_without_key,
    with_key,
)
from modelbay.onboarding.fields import Form
from modelbay.onboarding.login.device import check_editable
from modelbay.onboarding.probe import remember
from modelbay.onboarding.recognition import protocol_in_path, recognise
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.upstream import upstream
from modelbay.secrecy import masked_url, named_secret, secret_header, shaped_secret

F = TypeVar("F", bound=Callable[..., Any])


def _fields(command: F) -> F:
    for option in reversed(
        (
            click.option("--name", metavar="NAME", help="What to show for it."),
            click.option(
                "--api",
                type=click.Choice(API_NAMES),
                help="Protocol. Default: as the base URL tells, else openai_chat.",
            ),
            click.option("--base-url", metavar="URL", help="Where it is: a base URL or a whole endpoint."),
            click.option("--api-key", metavar="KEY", help=key_input.HELP),
            click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A header; may be given again."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("id")
@_fields
@choice_options
@pass_settings
def custom_provider(settings: Settings, /, id: str, header: tuple[str, ...], **options: Any) -> None:
    """Add the provider ID by its fields.

    Without --model the models are detected, and on a terminal you choose among them.

    \b
      modelbay provider custom acme --name "Acme AI" --api openai_chat \\
        --base-url https://api.acme.example/v1 --header "X-Team: 7" --model acme-large="Acme Large"
    """
    choice = Choice.of(options)
    config = load(settings.config)
    key = given_key(options["api_key"])
    form = Form(
        id,
        options["name"] or "",
        cast(Protocol | None, options["api"]),
        options["base_url"] or "",
        key or "",
        choice.models,
        adding.header_rows(header),
    ).trimmed()
    adding.check(form, list(config.providers), detects=True)
    _check_native(form.base_url)
    made = form_draft(form)
    if (read := str(made.table["base_url"])) != form.base_url:
        terminal.note(f"{masked_url(form.base_url)}: its base URL is {masked_url(read)}")
    if key is None and asks() and not serves_without_key(as_entry(config, made.id, made.table)):
        key = asked_key(form.name, None, needed=False)
    detected = adding.asked_models(config, with_key(made, key), choice)
    unknown = not choice.models and not made.models and not detected.models
    adding.say_detected(detected, raised=unknown)
    if unknown:
        raise adding.no_models(detected)
    adding.add(config, detected, choice, adding.place_of(config, detected.draft))


@click.command()
@click.argument("id")
@_fields
@click.option("--remove-header", multiple=True, metavar="NAME", help="Remove a header.")
@click.option("--add-model", multiple=True, metavar="ID[=NAME]", help="Add a model to those it has.")
@click.option("--remove-model", multiple=True, metavar="ID", help="Remove a model, by its id or alias.")
@choice_options
@pass_settings
def edit_provider(settings: Settings, /, id: str, **options: Any) -> None:
    """Change the provider ID. What is not named stays as it is.

    --model names all the models that it shall have; --api-key "" removes its key. Without any option, on a terminal, you
    choose among the models that it lists now.
    """
    choice = Choice.of(options)
    config = load(settings.config)
    entry = config.provider(id)
    check_editable(config, id)
    changed = _changes(config, entry, options)
    added = [*choice.models, *adding.rows(options["add_model"])]
    if wrong := adding.row_problems(added):
        raise Invalid(wrong)
    removed = [_alias(config, id, name) for name in options["remove_model"]]
    picks = not changed and not added and not removed and not choice.default
    detected = None
    if choice.all or picks:
        if not choice.all and not asks():
            raise click.UsageError("there is nothing to change", click.get_current_context())
        detected = adding.asked_models(config, _changed_draft(config, entry, changed), Choice())
        adding.say_detected(detected, raised=True)
        if detected.error is not None:
            raise detected.error
    mine = {model.model: model.alias for model in config.models.values() if model.provider == id}
    if detected is not None:
        models = adding.choose(detected, choice, list(mine))
        added += [dialog.ModelRow(wire_id, wire_id) for wire_id, _ in models if wire_id not in mine]
    if choice.models or (detected is not None and not choice.all):
        kept = {row.id for row in added} | ({wire_id for wire_id, _ in models} if detected is not None else set())
        removed += [alias for wire_id, alias in mine.items() if wire_id not in kept and alias not in removed]
    tables = adding.with_bases(model_tables(config, id, [(row.id, row.name) for row in added]), choice.bases)
    default = adding.alias_of(
        {**{alias: {"model": wire_id} for wire_id, alias in mine.items()}, **tables}, choice.default
    )

    def change(edit: Edit) -> list[str]:
        said = []
        if changed:
            done = changes.change_provider(edit, id, changed)
            said += [f"Changed {', '.join(done.set)}"] * bool(done.set)
            said += [f"Removed {', '.join(done.removed)}"] * bool(done.removed)
        if tables:
            put = changes.put_models(edit, id, tables)
            said += [f"Added {counted(len(put.added), 'model')}: {', '.join(put.added)}"] * bool(put.added)
            said += [f"Changed {counted(len(put.changed), 'model')}: {', '.join(put.changed)}"] * bool(put.changed)
        if removed:
            gone = changes.remove_models(edit, removed)
            said.append(f"Removed {counted(len(gone.models), 'model')}: {', '.join(gone.models)}")
            said += [f"There is no default model any more; it was {gone.default_model}"] * bool(gone.default_model)
        if default:
            changes.set_default_model(edit, default)
            said.append(f"The default model is {default}")
        return said

    edited = apply(change, settings.config, dry_run=choice.dry_run)
    if not adding.show_diff(edited, choice.dry_run):
        if detected is not None:
            remember(load(settings.config), detected)
        terminal.write("".join(f"{line}\n" for line in edited.result) or f"{id} is that way already\n")


def _check_native(url: str) -> None:
    preset = native_at(url)
    if preset is not None:
        kind = preset.types[0]
        raise Invalid(
            [f"--base-url: this is {preset.name}: do not use a custom provider for it, use the native {kind} provider"],
            f"modelbay provider add {kind} --base-url {url}" + (" --deployment NAME" if kind == "azure" else ""),
        )


def _changes(config: Config, entry: ProviderEntry, options: dict[str, Any]) -> dict[Keys, object]:
    """What the options change of a provider's table."""
    name, api, url = options["name"], options["api"], options["base_url"]
    headers = adding.header_rows(options["header"])
    key = given_key(options["api_key"])
    wrong = []
    if name is not None and (problem := dialog.name_problem(name)):
        wrong.append(f"--name: {problem}")
    if url is not None and (problem := dialog.base_url_problem(url)):
        wrong.append(f"--base-url: {problem}")
    for row, problems in zip(headers, dialog.header_problems(headers), strict=True):
        wrong += [f"--header {row.key or '(no name)'}: {problem}" for problem in problems if problem]
    if wrong:
        raise Invalid(wrong)
    found: dict[Keys, object] = {}
    if name is not None:
        found["name",] = name.strip()
    if api is not None:
        found["type",] = TYPE_OF[cast(Protocol, api)]
    if url is not None:
        found |= _address(config, entry, url.strip(), api)
    for row in headers:
        found["custom_headers", _header(entry, row.key) or row.key] = row.value
    for named in options["remove_header"]:
        there = _header(entry, named)
        if there is None:
            known = ", ".join(entry.custom_headers) or "none"
            raise Invalid([f"--remove-header {named}: there is no such header"], f"the headers are {known}")
        found["custom_headers", there] = None
    if url is not None:
        _check_key_stays(config, entry, url.strip(), key, found)
    if key is not None:
        found["api_key",] = key or None
        named = entry.custom_headers | {keys[1]: value for keys, value in found.items() if keys[0] == "custom_headers"}
        sent = {name: str(value) for name, value in named.items() if value is not None}
        without = replace(entry, api_key=None, auth=None, base_url=url or entry.base_url, custom_headers=sent)
        found["auth",] = None if key or serves_without_key(without) else "none"
    return found


def _address(config: Config, entry: ProviderEntry, url: str, api: str | None) -> dict[Keys, object]:
    """What a new address changes: the base URL, and the type where the path names another protocol than the entry has."""
    here = upstream(config, entry)
    if here.preset is not None and here.preset.addressing != "plain":
        return {("base_url",): url}
    _check_native(url)
    found: dict[Keys, object] = {("base_url",): recognise(url).url or url}
    protocol = protocol_in_path(url)
    if api is None and protocol is not None and protocol != here.protocol:
        found["type",] = TYPE_OF[protocol]
    return found


def _check_key_stays(
    config: Config, entry: ProviderEntry, url: str, key: str | None, found: dict[Keys, object]
) -> None:
    """A credential belongs to the host that it was given for, and is not taken to another without a word."""
    here = upstream(config, entry).origin
    if origin(url) == here:
        return
    if key is None and (entry.api_key or entry.custom_headers or entry.env):
        raise Invalid(
            [f"--base-url: the credentials of {entry.id} are for {here}, and {origin(url)} would get them"],
            'give the key for the new address with --api-key, or remove it with --api-key ""',
        )
    for name, value in entry.custom_headers.items():
        if ("custom_headers", name) in found or (not secret_header(name, value) and not references_in(value)):
            continue
        if not named_secret(name) and not shaped_secret(value) and not references_in(value):
            terminal.warning(f"the header {name} of {entry.id} is sent to {origin(url)} from now on")
        else:
            raise Invalid(
                [f"--base-url: the header {name} of {entry.id} is for {here}, and {origin(url)} would get it"],
                f"remove it with --remove-header {quote(name)}, or give the new one with --header",
            )
    others = [f"env.{name}" for name in key_names(entry) if entry.env.get(name) and not key]
    for model in config.models.values():
        if model.provider == entry.id and not model.flat and not model.base_url and (model.api_key or model.oauth):
            others.append(f"the key of model {model.alias}")
    if others:
        raise Invalid(
            [f"--base-url: {others[0]} is for {here}, and {origin(url)} would get it"],
            f"remove it from {config.path} first",
        )


def _changed_draft(config: Config, entry: ProviderEntry, changed: dict[Keys, object]) -> Draft:
    """The provider as it will be, to be asked for its models."""

    def change(edit: Edit) -> Any:
        if changed:
            changes.change_provider(edit, entry.id, changed)
        return edit.get("providers", entry.id)

    table = apply(change, config.path, dry_run=True).result
    return Draft(entry.id, table, presets.by_host(host_of(str(table.get("base_url") or ""))))


def _alias(config: Config, id: str, name: str) -> str:
    """The alias of a model of the provider, by its alias or its wire id."""
    mine = [model for model in config.models.values() if model.provider == id]
    for model in mine:
        if name in (model.alias, model.model):
            return model.alias
    known = ", ".join(model.model for model in mine[:20]) or "none"
    raise Invalid([f"--remove-model {name}: {id} has no such model"], f"its models are {known}")


def _header(entry: ProviderEntry, name: str) -> str | None:
    """The header as it is written, in whatever case it was named."""
    return next((there for there in entry.custom_headers if there.lower() == name.strip().lower()), None)
