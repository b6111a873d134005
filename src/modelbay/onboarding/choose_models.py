"""Choosing a model, and how much it thinks: the levels there are, the one that stands, and what is written."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from modelbay.catalog.lists.entry import Status
from modelbay.catalog.lookup import Catalog
from modelbay.catalog.models_dev.index import IndexEntry
from modelbay.config import changes
from modelbay.config.edit import Edit, apply
from modelbay.config.schema import Config, ModelEntry
from modelbay.conversation import Reasoning
from modelbay.dialect import PLAIN
from modelbay.errors import ConfigError
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols import efforts
from modelbay.providers.upstream import upstream

OFF, ON = "off", "on"
ENDING: tuple[Status, ...] = ("deprecated", "alpha", "inactive")
"""What a list says of a model that nobody should be started with."""

SPECIAL = re.compile(r"translat|deep-research|guard|safety|\bocr\b")
"""In an id: a model that is for one thing only, takes minutes, or judges what others say."""


FEW = 20
"""So many models fit on one screen: all of them are marked before the user chooses."""
UNATTENDED = 50
"""So many models at most are added where the user is not asked: each is a table in the file."""


def marked_at_first(models: Sequence[Model]) -> list[str]:
    """The wire IDs that are marked before the user chooses among a provider's models: all of a few, none of many."""
    return [model.id for model in models] if len(models) <= FEW else []


def settle_default(edit: Edit, providers: Collection[str], ending: Collection[str] = ()) -> str | None:
    """Makes a model of these providers the default, where there is none: which, if one was chosen. `ending` are wire ids
    of those that are on their way out, as their list says.

    Raises:
        ConfigError: the file cannot be changed.
    """
    if edit.get("default_model"):
        return None
    config = edit.config
    chosen = preferred(config, [one for one in config.models.values() if one.provider in providers], ending)
    if chosen is not None:
        changes.set_default_model(edit, chosen.alias)
    return chosen.alias if chosen else None


def preferred(config: Config, models: Iterable[ModelEntry], ending: Collection[str] = ()) -> ModelEntry | None:
    """The model to begin with, where nobody has named one: the newest of those that are not on their way out, are for
    anything, and call tools if others do, as far as anybody says when a model came out; the first, where nobody does.
    """
    catalog = Catalog()

    def rank(model: ModelEntry) -> tuple[bool, bool, bool, str]:
        known = _known(config, model, catalog)
        stays = model.model not in ending and known.raw.get("status") not in ENDING
        return stays, not SPECIAL.search(model.model.lower()), known.raw.get("tool_call") is not False, known.released

    return max(models, key=rank, default=None)


def _known(config: Config, model: ModelEntry, catalog: Catalog) -> IndexEntry:
    """What its manifest says of a model, or models.dev does: as its provider has it, else as anybody does."""
    if model.listed and "release_date" in model.listed:
        return IndexEntry(model.provider, model.model, model.listed)
    try:
        found = catalog.entry(model.identity, upstream(config, config.provider_of(model)))
    except ConfigError:
        found = None
    others = [one for one in catalog.models_dev.index.entries(model.model) if one.released] if found is None else []
    day = min((one.released for one in others), default="")
    return found or IndexEntry(model.provider, model.model, {"release_date": day})


def levels(model: Model) -> list[str]:
    """How much a model can think, least first; none where it does not, or nobody knows that it does."""
    always = model.can("always_thinking") is True
    if not always and model.can("thinking") is not True and not model.efforts:
        return []
    efforts = [effort for effort in model.efforts or [ON] if effort not in (OFF, "none")]
    return efforts if always else [OFF, *efforts]


def level(config: Config, model: Model, chosen: str | None = None) -> str | None:
    """The level that stands: what was chosen, else the configuration's word, else the model's own, else a middle one."""
    there = levels(model)
    if not there:
        return None
    thinking = config.thinking
    wanted = chosen or (OFF if thinking.enabled is False else thinking.effort) or model.default_effort
    if wanted in there:
        return wanted
    higher = [one for one in there if one != OFF]
    if wanted == OFF or not higher:
        return there[0]
    if wanted in efforts.LEVELS:
        return efforts.nearest(wanted, higher, "", [])  # what is sent then
    return higher[len(higher) // 2]


def checked(model: Model, wanted: str) -> tuple[str, str | None]:
    """The level that a typed word comes to, and a warning if it is another one or not known to be one.

    Raises:
        UnknownEffort: there is no such word.
    """
    word = efforts.checked(wanted, model, PLAIN) or ON
    if word in efforts.OFF:
        word = OFF
    elif word in efforts.ON:
        word = ON
    if word in levels(model):
        return word, None
    report: list[Warned] = []
    wish = Reasoning(enabled=word != OFF, effort=None if word in (OFF, ON) else word)
    found = efforts.fitted(wish, model, PLAIN, model.protocol or "", report)
    warning = report[0].message if report else None
    if found is None or found.enabled is False:
        return OFF, warning
    return found.effort or ON, warning


def write(path: Path | None, alias: str, effort: str | None = None, top: str | None = None) -> None:
    """Makes a model the default. `effort` is written where somebody chose it; not the most there is (`top`), which is dear
    and meant for the moment: of it only that thinking is on.

    Raises:
        ConfigError: the file cannot be changed.
    """

    def change(edit: Edit) -> None:
        changes.set_default_model(edit, alias)
        if effort is not None:
            edit.set("thinking", "enabled", value=effort != OFF)
            if effort not in (OFF, ON, top):
                edit.set("thinking", "effort", value=effort)
        edit.check()

    apply(change, path)
