"""`modelbay provider catalog`: the providers that models.dev knows, or a list like it, and adding one of them."""

import asyncio
from shlex import quote
from typing import Any

import click

from modelbay.catalog.summary import counted
from modelbay.cli import Noun, adding, key_input, terminal
from modelbay.cli.adding import show_diff
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import Invalid, asked_key, given_key
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.onboarding.sources import catalogs
from modelbay.onboarding.sources.catalogs import Given, Offer, Proposal, Shelf
from modelbay.onboarding.sources.merge import Written
from modelbay.secrecy import masked_url

URL = click.option("--url", metavar="URL", help="Use the list there, in models.dev's form, instead of models.dev's.")


@click.group(cls=Noun)
def catalog_provider() -> None:
    """Providers that models.dev knows: see which there are, and add one with all its models."""


@catalog_provider.command("list")
@click.argument("id", required=False)
@click.option("--filter", "words", default="", metavar="TEXT", help="Only those with TEXT in their id or name.")
@URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_catalog(settings: Settings, /, id: str | None, words: str, url: str | None, as_json: bool) -> None:
    """List the providers; with ID, the models of one."""
    shelf = _opened(load(settings.config), url)
    if id is not None:
        _list_models(shelf, catalogs.offer(shelf, id), words, as_json=as_json)
        return
    found = catalogs.offers(shelf, words)
    if as_json:
        _write_json(shelf, {"providers": [_as_json(one) for one in found]})
        return
    if not found:
        what = f'No providers in catalog match "{words}".' if words else "Catalog is empty."
        terminal.write(f"{what}\n")
        return
    write_rows(
        [[one.id, f"wire={_wire(one)}", f"models={len(one.models)}", one.name, _open_question(one)] for one in found]
    )


@catalog_provider.command("add")
@click.argument("id")
@click.option("--api-key", metavar="KEY", help=key_input.HELP)
@click.option("--base-url", metavar="URL", help="Where it is, if not where the catalog says, or if that does not say.")
@click.option(
    "--env", "values", multiple=True, metavar="NAME=VALUE", help="What its address needs; may be given again."
)
@click.option("--default-model", metavar="M", help="Make this model of it the default.")
@URL
@click.option("--dry-run", is_flag=True, help="Print what would change in config.toml, and change nothing.")
@pass_settings
def add_catalog(settings: Settings, /, id: str, url: str | None, dry_run: bool, **options: Any) -> None:
    """Add the provider ID with all its models, or bring it up to date.

    \b
      modelbay provider catalog add deepseek --api-key -
      modelbay provider catalog add azure --env AZURE_RESOURCE_NAME=acme-east
    """
    config = load(settings.config)
    given = Given(
        api_key=given_key(options["api_key"]),
        base_url=options["base_url"],
        values=_values(options["values"]),
    )
    shelf = _opened(config, url)
    made = _asked(config, shelf, id, given)
    default = options["default_model"]
    alias = catalogs.alias_of(made, default) if default else None
    with terminal.waiting(f"writing {counted(len(made.models), 'model')}"):
        edited = catalogs.add(config, made, default_model=alias, dry_run=dry_run)
    if show_diff(edited, dry_run):
        return
    _report(made, edited.result, shelf)
    adding.say_default(config, made.draft.id, edited.result.default_model)


def _opened(config: Config, url: str | None) -> Shelf:
    with terminal.waiting(f"fetching {masked_url(url) if url else 'the catalog'}"):
        shelf = asyncio.run(catalogs.opened(config, url))
    if shelf.problem:
        terminal.warning(shelf.problem + ", which is built in" * shelf.built_in)
    elif shelf.built_in:
        terminal.note(shelf.title)
    return shelf


def _asked(config: Config, shelf: Shelf, id: str, given: Given) -> Proposal:
    """The proposal, with what a person adds to what was given. Where nobody can be asked, what is missing is an error."""
    made = catalogs.propose(config, shelf, id, given)
    if made.missing and not asks():
        options = ["--base-url URL" if name == "base_url" else f"--env {name}=VALUE" for name in made.missing]
        raise Invalid([f"{made.offer.name} needs {' and '.join(options)}"], _about(made.offer))
    for name in made.missing:
        if name == "base_url":
            terminal.note(f"The catalog declares no endpoint for {made.offer.name}")
            given.base_url = click.prompt("Base URL", err=True).strip()
        else:
            given.values[name] = click.prompt(name, err=True).strip()
    if made.missing:
        made = catalogs.propose(config, shelf, id, given)
    if not made.wants_key:
        return made
    if not asks():
        names = "".join(f", or --api-key '{{env:{name}}}' to have it read from there" for name in made.offer.key_names)
        where = f"; keys are at {made.key_url}" if made.key_url else ""
        hint = f"--api-key KEY, --api-key - to read it from standard input{names}{where}"
        raise Invalid([f"--api-key: {made.offer.name} wants a key"], hint)
    given.api_key = asked_key(made.offer.name, made.key_url, needed=True)
    return catalogs.propose(config, shelf, id, given)


def _about(found: Offer) -> str | None:
    return f"what it is: {found.doc}" if found.doc else None


def _values(pairs: tuple[str, ...]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    wrong = [name for name, equals, value in split if not (name.strip() and equals and value.strip())]
    if wrong:
        raise Invalid([f"--env {wrong[0] or '=…'}: write NAME=VALUE"])
    return {name.strip(): value.strip() for name, _, value in split}


def _report(made: Proposal, written: Written, shelf: Shelf) -> None:
    found, merged = made.offer, written.models
    terminal.write(f"Imported {found.name} ({found.id}) with {counted(len(made.models), 'model')} from {shelf.title}\n")
    if not written.new:
        terminal.write(
            f"  {len(merged.added)} added, {len(merged.changed)} changed, {len(merged.removed)} removed\n"
            if not merged.empty
            else "  nothing of it has changed\n"
        )
    if found.left:
        terminal.note(
            f"{counted(len(found.left), 'model')} left out: `modelbay provider catalog list {quote(found.id)} --json` says why"
        )
    for name, why in merged.kept.items():
        terminal.note(f"{name}: {why}")
    if found.wire.guessed:
        adding.say_guessed(found.id, found.wire.type)


def _list_models(shelf: Shelf, found: Offer, words: str, *, as_json: bool) -> None:
    tables = {
        id: table
        for id, table in catalogs.tables(shelf, found).items()
        if words.lower() in f"{id}\n{table.get('display_name', '')}".lower()
    }
    if as_json:
        about = _as_json(found)
        about["models"] = [{"id": id, **table} for id, table in tables.items()]
        about["left_out"] = found.left
        _write_json(shelf, about)
        return
    terminal.write(f"{found.name} ({found.id})\n")
    where = found.wire.base_url or ""
    why = f": {found.wire.why}" * bool(found.wire.refused)
    line = "  ".join(part for part in (f"wire={_wire(found)}", where, _open_question(found)) if part)
    terminal.write(f"{line}{why}\n")
    rows = [
        [id, f"ctx={table['max_context_size']}", f"[{','.join(table.get('capabilities', []))}]"]
        for id, table in tables.items()
    ]
    write_rows(rows, indent="  ")
    if found.left:
        terminal.note(f"{counted(len(found.left), 'model')} left out; --json says why")


def _wire(found: Offer) -> str:
    return (found.wire.type or "?") + " (guessed)" * found.wire.guessed


def _open_question(found: Offer) -> str:
    """What must be known before it can be added, or that it cannot."""
    if found.wire.refused:
        return "cannot be added"
    return f"needs {', '.join(found.needs)}" if found.needs else ""


def _as_json(found: Offer) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "type": found.wire.type,
        "guessed": found.wire.guessed,
        "base_url": found.wire.base_url,
        "needs": found.needs,
        "refused": found.wire.why,
        "key_names": found.key_names,
        "models": len(found.models),
        "doc": found.doc,
    }


def _write_json(shelf: Shelf, value: dict[str, Any]) -> None:
    about = {"url": masked_url(shelf.url), "date": shelf.date or None, "built_in": shelf.built_in}
    terminal.write_json({"catalog": about, **value})
