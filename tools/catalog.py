"""Writes docs/catalog.md: what each provider of the built-in models.dev becomes with `provider catalog add`.

    .venv/bin/python -m tools.catalog

A test compares it with what is there.
"""

import os
from collections import Counter
from pathlib import Path

from modelbay.catalog.models_dev.live import URL, ModelsDev
from modelbay.onboarding.sources.catalogs import Offer, Shelf, offers
from modelbay.storage.cache import Cache

PAGE = Path(__file__).resolve().parent.parent / "docs" / "catalog.md"
HEAD = """\
# The providers of models.dev

What `modelbay provider catalog add ID` makes of each provider of the list that is built in, of {date}. The list that is fetched
may have others; `modelbay provider catalog list` shows those. How it is used, and what to do when it fails, is in
[guides/catalog.md](guides/catalog.md).

This page is written by `python -m tools.catalog`, and a test compares it with the program.

{once} work at once, {asked} need a value first, {refused} cannot be added.
"""
ONCE = """
## Work at once

With a key, or without where none is needed. *Guessed*: the list does not say which protocol it speaks, and OpenAI's is assumed.
*From modelbay*: the list has no address, and modelbay knows it.

| id | name | type | base URL | models | left out |
|---|---|---|---|--:|--:|
"""
ASKED = """
## Need a value first

A variable is given with `--env NAME=VALUE`; where the list has no address at all, with `--base-url URL`, which always does.

| id | name | type | needs | base URL | models | left out |
|---|---|---|---|---|--:|--:|
"""
REFUSED = """
## Cannot be added

| id | name | why |
|---|---|---|
"""
LEFT = """
## Models that are left out

| why | models |
|---|--:|
"""


def page() -> str:
    """The page as it should be."""
    known = ModelsDev(Cache(Path(os.devnull)))
    shelf = Shelf(URL, known.providers, known.date, known.built_in)
    found = offers(shelf)
    refused = [one for one in found if one.wire.refused]
    asked = [one for one in found if one.needs]
    once = [one for one in found if not one.wire.refused and not one.needs]
    text = HEAD.format(date=shelf.date, once=len(once), asked=len(asked), refused=len(refused))
    text += ONCE + "".join(_row(one.id, one.name, _type(one), _place(shelf, one), *_models(one)) for one in once)
    text += ASKED + "".join(
        _row(one.id, one.name, _type(one), ", ".join(f"`{name}`" for name in one.needs), _place(shelf, one),
             *_models(one))
        for one in asked
    )  # fmt: skip
    text += REFUSED + "".join(_row(one.id, one.name, str(one.wire.why)) for one in refused)
    reasons = Counter(_kind(why) for one in found for why in one.left.values())
    return text + LEFT + "".join(_row(why, str(count)) for why, count in reasons.most_common())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _type(one: Offer) -> str:
    return f"`{one.wire.type}`" + (", guessed" if one.wire.guessed else "")


def _place(shelf: Shelf, one: Offer) -> str:
    if one.wire.base_url is None:
        return "the type's own" if not one.needs else ""
    return f"{one.wire.base_url}" + ("" if shelf.providers[one.id].get("api") else " (from modelbay)")


def _models(one: Offer) -> tuple[str, str]:
    return str(len(one.models)), str(len(one.left) or "")


def _kind(why: str) -> str:
    """A reason without the address or the media that are in it."""
    if why.startswith("it makes ") and "no text" in why:
        return "it makes no text"
    return why.partition(": ")[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
