"""`modelbay provider catalog`: lists and adds providers of models.dev or of another catalog in its format."""

from typing import Any

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import Noun, key_input, terminal
from modelbay.cli.adding import carry_out, given_of, manner_of, manner_options, pairs
from modelbay.cli.columns import write_rows
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import Url
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.onboarding.sources import catalogs
from modelbay.onboarding.sources.catalogs import CatalogEntry, ProviderCatalog
from modelbay.secrecy import masked_url

URL = click.option("--url", type=Url(), metavar="URL", help="URL of another catalog in the format of models.dev.")


@click.group(cls=Noun)
def catalog_provider() -> None:
    """List and add providers of the models.dev catalog."""


@catalog_provider.command("list")
@click.argument("id", required=False)
@click.option("--filter", "words", metavar="TEXT", help="Only entries whose ID or name contains TEXT.")
@URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_catalog(settings: GlobalOptions, /, id: str | None, words: str | None, url: str | None, as_json: bool) -> None:
    """List the providers of the catalog, or the models of provider ID."""
    catalog = _opened(load(settings.config), url)
    if id is not None:
        _list_models(catalog, catalogs.find(catalog, id), words or "", as_json=as_json)
        return
    found = catalogs.search(catalog, words or "")
    if as_json:
        _write_json(catalog, {"providers": [_as_json(one) for one in found]})
        return
    if not found:
        what = f'No provider in the catalog matches "{words}"' if words else "The catalog is empty"
        terminal.write(f"{what}\n")
        return
    write_rows(
        [[one.id, f"wire={_wire(one)}", f"models={len(one.models)}", one.name, _open_question(one)] for one in found]
    )


@catalog_provider.command("add")
@click.argument("id")
@click.option("--id", "provider", metavar="ID", help="Provider ID. Default: that of the catalog.")
@click.option("--api-key", type=key_input.KEY, metavar="KEY", help=key_input.HELP)
@click.option("--base-url", type=Url(), metavar="URL", help="Base URL, instead of the catalog's.")
@click.option(
    "--env", "values", multiple=True, metavar="NAME=VALUE", help="Value of a variable in the URL. Repeatable."
)
@click.option("--model", multiple=True, metavar="ID", help="Model to add. Repeatable. Default: all.")
@manner_options
@URL
@pass_settings
def add_catalog(settings: GlobalOptions, /, id: str, url: str | None, provider: str | None, **options: Any) -> None:
    """Add provider ID of the catalog and its models, or update it.

    \b
      modelbay provider catalog add deepseek --api-key -
      modelbay provider catalog add azure --env AZURE_RESOURCE_NAME=acme-east
    """
    given = given_of({**options, "kind": "catalog", "id": provider})
    given.values, given.catalog_url = pairs(options["values"], "--env", "NAME=VALUE"), url
    carry_out(load(settings.config, new=True), lambda setup: setup.start(id, given), manner_of(options))


def _opened(config: Config, url: str | None) -> ProviderCatalog:
    with terminal.waiting(f"Fetching {masked_url(url) if url else 'the catalog of models.dev'}"):
        catalog = threads.run(catalogs.opened(config, url))
    if catalog.problem:
        terminal.warning(catalog.problem)
    elif catalog.built_in:
        terminal.note(catalog.title)
    return catalog


def _list_models(catalog: ProviderCatalog, found: CatalogEntry, words: str, *, as_json: bool) -> None:
    tables = {
        id: table
        for id, table in catalogs.tables(catalog, found).items()
        if words.lower() in f"{id}\n{table.get('display_name', '')}".lower()
    }
    if as_json:
        about = _as_json(found)
        about["models"] = [{"id": id, **table} for id, table in tables.items()]
        about["skipped"] = found.skipped
        _write_json(catalog, about)
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
    if found.skipped:
        terminal.note(f"Skipped {counted(len(found.skipped), 'model')}; --json shows the reasons")


def _wire(found: CatalogEntry) -> str:
    return (found.wire.type or "?") + " (guessed)" * found.wire.guessed


def _open_question(found: CatalogEntry) -> str:
    """The values that adding it requires, or that it cannot be added."""
    if found.wire.refused:
        return "cannot be added"
    return f"needs {', '.join(found.needs)}" if found.needs else ""


def _as_json(found: CatalogEntry) -> dict[str, Any]:
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


def _write_json(catalog: ProviderCatalog, value: dict[str, Any]) -> None:
    about = {"url": masked_url(catalog.url), "date": catalog.date or None, "built_in": catalog.built_in}
    terminal.write_json({"catalog": about, **value})
