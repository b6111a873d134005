"""Choice of models and of their reasoning effort: preselection, default model, and the levels of a model."""

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
"""Statuses in a model list that exclude a model from becoming the default."""

SPECIAL = re.compile(r"translat|deep-research|guard|safety|\bocr\b")
"""IDs of models that are for one task only, take minutes, or judge texts: not suitable as the default."""


FEW = 20
"""Maximum number of models that are all selected at first: they fit on one screen."""
UNATTENDED = 50
"""Maximum number of models that are added without a question: each is a table in the file."""


def marked_at_first(models: Sequence[Model]) -> list[str]:
    """The IDs of the models that are selected before the user chooses: all of up to `FEW`, otherwise none."""
    return [model.id for model in models] if len(models) <= FEW else []


def settle_default(edit: Edit, providers: Collection[str], ending: Collection[str] = ()) -> str | None:
    """Set a model of these providers as the default model, if none is set. Returns its alias, or None if nothing was set.
    `ending` contains the IDs of models that their list marks as deprecated.

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
    """The most suitable default model. Excluded if others are available: deprecated models, models for one task, models without
    tool calls. Of the rest the newest; the first one if no release date is known."""
    catalog = Catalog()

    def rank(model: ModelEntry) -> tuple[bool, bool, bool, str]:
        known = _known(config, model, catalog)
        stays = model.model not in ending and known.raw.get("status") not in ENDING
        return stays, not SPECIAL.search(model.model.lower()), known.raw.get("tool_call") is not False, known.released

    return max(models, key=rank, default=None)


def _known(config: Config, model: ModelEntry, catalog: Catalog) -> IndexEntry:
    try:
        found = upstream(config, config.provider_of(model))
    except ConfigError:
        found = None
    return catalog.described(model, found)


def levels(model: Model) -> list[str]:
    """The reasoning efforts of a model, lowest first; empty if it does not think or this is unknown."""
    always = model.can("always_thinking") is True
    if not always and model.can("thinking") is not True and not model.efforts:
        return []
    efforts = [effort for effort in model.efforts or [ON] if effort not in (OFF, "none")]
    return efforts if always else [OFF, *efforts]


def level(config: Config, model: Model, chosen: str | None = None) -> str | None:
    """The current reasoning effort: the chosen one, otherwise that of the configuration, of the model, or a middle one."""
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
        return efforts.nearest(wanted, higher, "", [])  # the same choice as for the request
    return higher[len(higher) // 2]


def checked(model: Model, wanted: str) -> tuple[str, str | None]:
    """The reasoning effort for the user's input, and a warning if the model supports another one or its efforts are unknown.

    Raises:
        UnknownEffort: the input is not a reasoning effort.
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
    """Set the default model and, if the user chose it, the reasoning effort. The highest effort (`top`) is expensive and meant for
    the moment: only `enabled = true` is written for it.

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
