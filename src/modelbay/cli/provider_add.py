"""`modelbay provider add`: from what somebody has in hand to a provider that answers."""

import asyncio
from shlex import quote
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from modelbay.catalog.lists.discovery import Discovery
from modelbay.catalog.lists.listing import parse_list
from modelbay.catalog.lookup import Catalog
from modelbay.cli import adding, key_input, provider_registry, terminal, texts
from modelbay.cli.adding import API_NAMES, Choice, choice_options
from modelbay.cli.key_input import Invalid, asked_key, given_key
from modelbay.cli.picker import asks
from modelbay.cli.provider_manifest import add_from_text, add_from_url
from modelbay.cli.terminal import Settings, Unreadable, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.conversation import Json, Protocol
from modelbay.errors import ModelbayError
from modelbay.onboarding import fields as dialog
from modelbay.onboarding import recognition
from modelbay.onboarding.draft import Draft, asks_for_key, azure_draft, draft, host_of, joined, vertex_draft, with_key
from modelbay.onboarding.probe import Detected, fetched, listed
from modelbay.onboarding.recognition import (
    KINDS,
    NATIVE,
    Recognised,
    protocol_in_path,
    recognise,
    recognise_content,
    recognise_text,
)
from modelbay.onboarding.sources import fetch as documents
from modelbay.onboarding.sources.registries import urls_of
from modelbay.providers import presets
from modelbay.secrecy import masked_url
from modelbay.storage.paths import expanded


class Place(Struct):
    """What the options say of where the provider is."""

    base_url: str | None = None
    api: Protocol | None = None
    resource: str | None = None
    deployment: str | None = None
    api_version: str | None = None
    project: str | None = None
    location: str | None = None


@click.command()
@click.argument("what")
@click.option("--as", "forced", type=click.Choice(KINDS), help="Take WHAT for this, whatever it looks like.")
@click.option("--api-key", metavar="KEY", help=key_input.HELP)
@click.option("--id", metavar="ID", help="What to call the provider.")
@click.option("--api", type=click.Choice(API_NAMES), help="The protocol, where the address does not tell.")
@click.option("--base-url", metavar="URL", help="Where it is, where WHAT does not tell.")
@click.option("--resource", metavar="NAME", help="Azure: the resource.")
@click.option("--deployment", metavar="NAME", help="Azure: the deployment, which stands for a model.")
@click.option("--api-version", metavar="DATE", help="Azure: the older form of calls, by api-version.")
@click.option("--project", metavar="ID", help="Vertex AI: the project.")
@click.option("--location", metavar="PLACE", help="Vertex AI: the location, as europe-west4 or global.")
@click.option(
    "--provider-key", multiple=True, metavar="ID=KEY", help="Registry: a provider's own key; again for others."
)
@click.option("--token-is-key", is_flag=True, help="Registry: --api-key is its providers' key too.")
@choice_options
@pass_settings
def add_provider(
    settings: Settings,
    /,
    what: str,
    forced: recognition.Kind | None,
    api_key: str | None,
    id: str | None,
    **options: Any,
) -> None:
    """Add the provider that WHAT tells of, with its models.

    WHAT is a vendor's name (openai, anthropic, openrouter, ollama …), a base URL or a whole endpoint, azure or vertexai, or
    a list of models, a provider's manifest or a registry of providers (its token is --api-key): a URL, a file, or - for
    standard input.

    \b
      modelbay provider add anthropic
      modelbay provider add https://api.acme.example/v1 --api-key -
      modelbay provider add https://gateway.example/api/v2/models/chat?team=7 --model acme-large
      modelbay provider add azure --resource acme-east --deployment gpt-5
      modelbay provider add https://acme.example/api.json --api-key TOKEN
    """
    choice = Choice.of(options)
    key = given_key(api_key)
    given = provider_registry.given(options.pop("provider_key"), options.pop("token_is_key"))
    place = Place(**options)
    config = load(settings.config)
    found = _recognised(what, "registry" if forced is None and what.strip() in urls_of(config) else forced)
    if found.kind == "registry":
        if found.document:
            provider_registry.add_from_url(config, found.document, key, given, choice)
        else:
            provider_registry.add_from_content(config, found.content, None, key, given, choice)
        return
    if found.kind == "manifest" or _leads_to_manifest(config, found):
        terminal.note(f"{masked_url(what)} is {recognition.TITLES['manifest']}")
        _add_by_manifest(config, found, id, key, choice)
        return
    _check(found, id, place, choice, config)
    if found.kind in NATIVE:
        made = _native(found, id or (found.preset.id if found.preset else str(found.kind)), place, choice)
        terminal.note(f"{masked_url(what)} is {found.title}")
        _go_on(config, with_key_asked(made, key), choice)
        return
    if found.document:
        found, key = _looked_into(config, found, key, choice)
    else:
        terminal.note(f"{masked_url(what)} is {found.title}")
    if found.kind == "registry":
        provider_registry.add_from_content(config, found.content, what, key or None, given, choice)
        return
    made = _drafted(found, id, place, config)
    if found.content is not None and found.url is None:
        _add_listed(config, with_key_asked(made, key), found.content, choice)
        return
    _go_on(config, with_key_asked(made, key), choice)


def _leads_to_manifest(config: Config, found: Recognised) -> bool:
    """Whether a manifest is at an address. It is asked without the key, as the manifest's provider may be elsewhere."""
    if found.document is None or found.kind != "list":
        return False
    content = asyncio.run(documents.anybodys(config, found.document))
    return content is not None and recognition.kind_of(content) == "manifest"


def _add_by_manifest(config: Config, found: Recognised, id: str | None, key: str | None, choice: Choice) -> None:
    """Adds what a manifest tells of, with all its models."""
    if choice.models:
        terminal.warning("--model is left aside: a provider that is added by its manifest has all its models")
    if found.document is not None:
        add_from_url(config, found.document, id, key, choice)
    else:
        add_from_text(config, found.content, id, key, choice)


def with_key_asked(made: Draft, key: str | None) -> Draft:
    """The draft with the key that was given, or that is asked for where there must be one."""
    if key:
        return with_key(made, key)
    if not asks_for_key(made):
        return made
    preset = made.preset
    if key is None and asks():
        key = asked_key(
            preset.name if preset else made.id, preset.key_url if preset else None, needed=preset is not None
        )
    if not key and preset is not None:
        hint = "--api-key KEY, or --api-key - to read it from standard input"
        where = f"; keys are at {preset.key_url}" if preset.key_url else ""
        if preset.addressing == "vertexai":
            where = "; or --project ID and --location PLACE, for Google's default credentials"
        raise Invalid([f"--api-key: {preset.name} wants a key"], hint + where)
    return with_key(made, key)


def _go_on(config: Config, made: Draft, choice: Choice) -> None:
    """Detects the models, chooses, writes."""
    detected = adding.asked_models(config, made, choice)
    if detected.refused and "api_key" not in made.table and asks():
        adding.say_detected(detected)
        made = with_key(made, asked_key(made.id, None, needed=True))
        detected = adding.asked_models(config, made, choice)
    named = choice.models or made.models
    unknown = detected.error is not None and not detected.models and not named
    ends = unknown and (detected.refused or choice.yes or not asks())
    adding.say_detected(detected, raised=ends)
    if ends:
        raise adding.no_models(detected)
    if unknown:
        choice.models = _entered()
    adding.add(config, detected, choice, adding.place_of(config, detected.draft))


def _entered() -> list[dialog.ModelRow]:
    """The models that could not be listed, as a person names them."""
    text = click.prompt("Models, by id, with blanks between them", default="", show_default=False, err=True)
    return adding.rows(tuple(text.replace(",", " ").split()))


def _add_listed(config: Config, made: Draft, content: Json, choice: Choice) -> None:
    """Writes the models of a list that is at hand."""
    _, found = joined(config, made)
    listing = parse_list(content)
    detected = Detected(made, listed(listing.models, found, Catalog()), Discovery(listing.models), "models")
    adding.add(config, detected, choice, adding.place_of(config, made))


def _recognised(what: str, forced: recognition.Kind | None) -> Recognised:
    if what == "-":
        return recognise_text(texts.piped_bytes("the provider"), "standard input", forced)
    path = expanded(what)
    by_name = "://" not in what and recognition.vendor(what) is not None
    if not by_name and "://" not in what and path.is_file():
        try:
            return recognise_text(path.read_bytes(), what, forced)
        except OSError as error:
            raise Unreadable(f"{what} cannot be read: {error.strerror}") from None
    if not by_name and "://" not in what and (what.startswith((".", "~", "/")) or path.suffix == ".json"):
        raise Unreadable(f"{what} cannot be read: no such file")
    return recognise(what, forced)


def _check(found: Recognised, id: str | None, place: Place, choice: Choice, config: Config) -> None:
    """Raises `Invalid` for fields that the dialog would not take."""
    said = []
    wanted = id if id is not None else recognition.suggested_id(found)
    if (id is not None or wanted) and (problem := dialog.id_problem(wanted, list(config.providers))):
        said.append(f"{'--id' if id is not None else wanted}: {problem}")
    if place.base_url is not None and (problem := dialog.base_url_problem(place.base_url)):
        said.append(f"--base-url: {problem}")
    said += adding.row_problems(choice.models)
    if said:
        taken = wanted in config.providers
        raise Invalid(
            said,
            f"add it under another id with --id, or change it: modelbay provider edit {quote(wanted)}"
            if taken
            else None,
        )


def _native(found: Recognised, id: str, place: Place, choice: Choice) -> Draft:
    url = place.base_url or found.url
    if found.kind == "vertexai":
        if found.url:
            terminal.note("Vertex AI is added natively: do not use a custom provider for it")
        return vertex_draft(id, place.project, place.location, url)
    if found.url:
        terminal.note("Azure is added natively: do not use a custom provider for it")
    made = azure_draft(id, resource=place.resource, url=url, deployment=place.deployment, api_version=place.api_version)
    if made.models and choice.models:
        _behind_deployment(made.models[0], choice)
    if not made.models and choice.models:
        made = replace(made, models=[row.id for row in choice.models])
    if not made.models and asks():
        deployment = click.prompt("Deployment", err=True).strip()
        made = replace(made, models=[deployment])
    if not made.models:
        hint = "at Azure a call names a deployment of yours, which stands for a model"
        raise Invalid(["--deployment: Required"], hint)
    return made


def _behind_deployment(deployment: str, choice: Choice) -> None:
    """Makes the model that is named beside a deployment the one behind it: a call names the deployment."""
    ids = [row.id for row in choice.models]
    others = [id for id in ids if id != deployment]
    if len(others) > 1:
        message = f"--model: the deployment {deployment} has one model, not {', '.join(others)}"
        raise Invalid([message], "name more deployments with --model, and their models with --base-model ID=MODEL")
    for row in choice.models:
        if row.id != deployment:
            choice.bases.setdefault(deployment, row.id)
    named = [dialog.ModelRow(deployment, row.name if row.name != row.id else deployment) for row in choice.models]
    choice.models = named[:1]


def _looked_into(config: Config, found: Recognised, key: str | None, choice: Choice) -> tuple[Recognised, str | None]:
    """What an address leads to, by its content. Where it leads nowhere, models that are named are added all the same."""
    assert found.document is not None and found.url is not None
    made = draft(replace(found, kind="base"), "added")
    made = with_key_asked(made, key)
    key = made.table.get("api_key", "" if "auth" in made.table else None)
    try:
        content = asyncio.run(fetched(config, made, found.document))
    except ModelbayError as error:
        if error.status in (401, 403):
            error.provider, error.hint = None, provider_registry.refused_hint(key)
        if not choice.models or found.kind != "list":
            raise
        return replace(found, kind="base", document=None), key
    kind = None if found.kind == "list" else found.kind
    known = recognise_content(content, found.document, kind)
    terminal.note(f"{masked_url(found.document)} is {known.title}")
    url = found.url if known.kind == "list" else None
    return replace(found, kind=known.kind, url=url, document=None, content=content), key


def _drafted(found: Recognised, id: str | None, place: Place, config: Config) -> Draft:
    if place.base_url is not None and found.preset is None:
        found = replace(found, preset=presets.by_host(host_of(place.base_url)), url=found.url or place.base_url)
        suggested = recognition.suggested_id(found)
        found = replace(found, url=None if found.content is not None else found.url)
    else:
        suggested = recognition.suggested_id(found)
    id = id or suggested
    if problem := dialog.id_problem(id, list(config.providers)):
        raise Invalid([f"{id}: {problem}"], "name it with --id")
    if place.base_url is not None:
        said = recognise(place.base_url)
        place = replace(place, base_url=said.url or place.base_url, api=place.api or protocol_in_path(place.base_url))
    return draft(found, id, base_url=place.base_url, protocol=place.api)
