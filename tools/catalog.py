"""Generates docs/reference/catalog.md: the result of `provider catalog add` for each provider of the bundled models.dev catalog.

    .venv/bin/python -m tools.catalog

A test compares the page with the generated text.
"""

import os
from collections import Counter
from pathlib import Path

from modelbay.catalog.models_dev.live import URL, ModelsDev
from modelbay.onboarding.sources.catalogs import CatalogEntry, ProviderCatalog, search
from modelbay.storage.cache import Cache

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "catalog.md"
HEAD = """\
# Providers in models.dev

This page lists the result of `modelbay provider catalog add ID` for each provider of the bundled catalog of {date}. The online
catalog may have more providers: `modelbay provider catalog list` lists them. For instructions, see
[guides/catalog.md](../guides/catalog.md).

<!-- generated from the bundled catalog: `make docs` -->

{once} providers can be added directly, {asked} need another value, and {refused} cannot be added.
"""
ONCE = """
## Can be added directly

These providers need at most an API key. *Guessed*: the catalog does not name the protocol, and modelbay assumes OpenAI Chat
Completions. *From modelbay*: the base URL is not in the catalog but in modelbay.

| ID | name | type | base URL | models | skipped |
|---|---|---|---|--:|--:|
"""
ASKED = """
## Need another value

Pass a variable with `--env NAME=VALUE`. If the catalog has no base URL, pass `--base-url URL`, which works for every provider.

| ID | name | type | needs | base URL | models | skipped |
|---|---|---|---|---|--:|--:|
"""
REFUSED = """
## Cannot be added

| ID | name | reason |
|---|---|---|
"""
SKIPPED = """
## Skipped models

| reason | models |
|---|--:|
"""


def page() -> str:
    """The text of the page."""
    known = ModelsDev(Cache(Path(os.devnull)))
    catalog = ProviderCatalog(URL, known.providers, known.date, known.built_in)
    found = search(catalog)
    refused = [one for one in found if one.wire.refused]
    asked = [one for one in found if one.needs]
    once = [one for one in found if not one.wire.refused and not one.needs]
    text = HEAD.format(date=catalog.date, once=len(once), asked=len(asked), refused=len(refused))
    text += ONCE + "".join(_row(one.id, one.name, _type(one), _place(catalog, one), *_models(one)) for one in once)
    text += ASKED + "".join(
        _row(one.id, one.name, _type(one), ", ".join(f"`{name}`" for name in one.needs), _place(catalog, one),
             *_models(one))
        for one in asked
    )  # fmt: skip
    text += REFUSED + "".join(_row(one.id, one.name, str(one.wire.why)) for one in refused)
    reasons = Counter(_kind(why) for one in found for why in one.skipped.values())
    return text + SKIPPED + "".join(_row(why, str(count)) for why, count in reasons.most_common())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _type(one: CatalogEntry) -> str:
    return f"`{one.wire.type}`" + (", guessed" if one.wire.guessed else "")


def _place(catalog: ProviderCatalog, one: CatalogEntry) -> str:
    if one.wire.base_url is None:
        return "default of the type" if not one.needs else ""
    return f"{one.wire.base_url}" + ("" if catalog.providers[one.id].get("api") else " (from modelbay)")


def _models(one: CatalogEntry) -> tuple[str, str]:
    return str(len(one.models)), str(len(one.skipped) or "")


def _kind(why: str) -> str:
    """A reason without the URL or media type in it."""
    if why.startswith("it makes ") and "no text" in why:
        return "it makes no text"
    return why.partition(": ")[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
