"""Providers of an agent on their way into `config.toml`: what of them can be used, under which ids, what is there already."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents.agent import Arrival, Import
from modelbay.agents.findings import Ledger
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.entries import Unusable, model_entry, provider_entry
from modelbay.config.provider_types import PROTOCOLS, TYPE_OF
from modelbay.config.schema import Config, Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text, plain, same
from modelbay.credentials.approval import Approval
from modelbay.errors import ConfigError
from modelbay.onboarding.references import wanted_by
from modelbay.onboarding.sources.write import origin_of
from modelbay.origin import Origin, origin

Answer: TypeAlias = Literal["rename", "replace", "skip"]
"""What to do with a provider whose id is in use."""


KEYS = ("api_key", "api_key_env")
"""The two spellings of a provider's key, of which an entry has one."""


class Placed(Struct):
    """What became of an arrival."""

    arrival: Arrival
    id: str
    done: Literal["added", "replaced", "there already", "skipped"]
    models: list[str] = field(default_factory=list)
    """The aliases of its models now."""
    dropped: list[str] = field(default_factory=list)
    """The models whose own keys were removed, because the provider is somewhere else now."""


class Written(Struct):
    placed: list[Placed]
    default_model: str | None = None
    """What the default model has become, where there was none."""
    kept: list[Keys] = field(default_factory=list)
    """Settings besides that stay as they are, where the agent has another one."""
    kept_default: str | None = None
    """The default model that stays, where the agent has another one."""


def may_run(file: Path | None, own: Iterable[Path]) -> bool:
    """Whether the programs that a file names may be run: an agent's own files are their user's, others come from anywhere."""
    return file is None or file.resolve() in [path.resolve() for path in own]


def check(arrival: Arrival, ledger: Ledger, at: Callable[[str], Keys]) -> str:
    """Takes out the models that cannot be used; why the provider itself cannot. `at` is where a model by its alias stands."""
    try:
        provider_entry(arrival.id, plain(arrival.table, ("providers", arrival.id)))
    except Unusable as unusable:
        return f"{path_text(unusable.keys)}: {unusable}" if unusable.keys else str(unusable)
    except (ConfigError, TypeError) as error:
        return str(error)
    for alias, table in list(arrival.models.items()):
        try:
            model_entry(alias, plain({"provider": arrival.id, **table}, ("models", alias)), {}, None)
        except (Unusable, ConfigError, TypeError) as error:
            del arrival.models[alias]
            ledger.revoke(*at(alias), why=f"it cannot be used: {error}")
    return ""


def without_query(url: str) -> str:
    """A URL of which nothing is left that could be a secret: no user, no password, no query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def references(config: Config, found: Import) -> list[Approval]:
    """The references that an import would bring, each with the origins that would get its value."""
    wanted: dict[Approval, None] = {}
    for arrival in found.arrivals:
        wanted |= dict.fromkeys(wanted_by(config, arrival.id, arrival.table, arrival.models))
    for keys, value in found.settings.items():
        if keys[0] == "models" and isinstance(value, dict):
            alone = {"type": TYPE_OF[PROTOCOLS[value["protocol"]]]} if value.get("protocol") else {}
            table = {**alone, "base_url": value["base_url"]}
            wanted |= dict.fromkeys(wanted_by(config, keys[1], table, {keys[1]: value}))
    return list(wanted)


def conflicts(edit: Edit, found: Import) -> list[str]:
    """The ids of arrivals that another provider has."""
    return [
        arrival.id
        for arrival in found.arrivals
        if edit.get("providers", arrival.id) is not None and not _there(edit, arrival)
    ]


def put(edit: Edit, found: Import, agent: str, answers: Mapping[str, Answer]) -> Written:
    """Writes what was imported. Where an id is in use, `answers` says what to do; a new name is made of the agent's.

    Raises:
        ConfigError: the result could not be used.
    """
    written = Written([])
    for keys, value in found.settings.items():
        if edit.get(*keys) is None:
            edit.set(*keys, value=value)
        elif not same(edit.get(*keys), value):
            written.kept.append(keys)
    default = found.default_model
    for arrival in found.arrivals:
        placed = _place(edit, arrival, agent, answers.get(arrival.id, "rename"))
        written.placed.append(placed)
        if default in arrival.models:
            names = dict(zip(arrival.models, placed.models, strict=False))
            default = names.get(default)
        elif default and default.startswith(f"{arrival.id}/"):
            default = None if placed.done == "skipped" else placed.id + default.removeprefix(arrival.id)
    now = edit.get("default_model")
    if default and not now:
        edit.set("default_model", value=default)
        written.default_model = default
    elif default and now != default:
        written.kept_default = str(now)
    edit.check()
    return written


def _place(edit: Edit, arrival: Arrival, agent: str, answer: Answer) -> Placed:
    used = edit.get("providers", arrival.id) is not None
    if used and answer != "replace":
        for id in (arrival.id, *_names(arrival.id, agent)):
            renamed = _renamed(edit, arrival, id)
            if _there(edit, renamed):
                return Placed(arrival, id, "there already", list(renamed.models))
            if edit.get("providers", id) is None:
                break
        if answer == "skip":
            return Placed(arrival, arrival.id, "skipped")
        arrival_now = renamed
    else:
        arrival_now = _renamed(edit, arrival, arrival.id)
    replaces = used and answer == "replace"
    before = edit.get("providers", arrival_now.id)
    table = _with_own_key(edit, arrival_now) if replaces else arrival_now.table
    changes.add_provider(edit, arrival_now.id, table, arrival_now.models, replace=replaces)
    dropped = _drop_moved_keys(edit, arrival_now, before)
    done: Literal["added", "replaced"] = "replaced" if replaces else "added"
    return Placed(arrival, arrival_now.id, done, list(arrival_now.models), dropped)


def _names(id: str, agent: str) -> list[str]:
    return [f"{id}-{agent}", *(f"{id}-{agent}-{number}" for number in range(2, 100))]


def _renamed(edit: Edit, arrival: Arrival, id: str) -> Arrival:
    """The arrival under another id, its models under aliases that are free or its own."""
    models: dict[str, Table] = {}
    for alias, table in arrival.models.items():
        wanted = id + alias.removeprefix(arrival.id) if alias.startswith(f"{arrival.id}/") else alias
        if _taken(edit, wanted, id):
            wanted = f"{id}/{table.get('model', alias)}"
        number = 1
        while _taken(edit, wanted, id) or wanted in models:
            number += 1
            wanted = f"{id}/{table.get('model', alias)}-{number}"
        models[wanted] = table
    return replace(arrival, id=id, models=models)


def _taken(edit: Edit, alias: str, id: str) -> bool:
    there = edit.get("models", alias)
    return isinstance(there, dict) and (there.get("provider_id") or there.get("provider")) != id


def _there(edit: Edit, arrival: Arrival) -> bool:
    """Whether all that an arrival says stands in the file already."""
    table = edit.get("providers", arrival.id)
    if not isinstance(table, dict) or not same(_without_key(arrival.table), _without_key(table)):
        return False
    if any(key in arrival.table and arrival.table[key] != table.get(key) for key in KEYS):
        return False
    for alias, model in arrival.models.items():
        there = edit.get("models", alias)
        if not isinstance(there, dict) or any(not same(there.get(key), value) for key, value in model.items()):
            return False
    return True


def _without_key(table: Table) -> Table:
    return {key: value for key, value in table.items() if key not in KEYS}


def _with_own_key(edit: Edit, arrival: Arrival) -> Table:
    """A replacement that comes without a key keeps the one that is there, if it goes to the same place."""
    old = edit.get("providers", arrival.id)
    own = {key: old[key] for key in KEYS if old.get(key)} if isinstance(old, dict) else {}
    if not own or {*KEYS, "oauth"} & arrival.table.keys():
        return arrival.table
    here = origin_of(edit, arrival.id, arrival.table)
    if (
        here is None
        or here != origin_of(edit, arrival.id, old)
        or not all(_stays(one, here) for one in arrival.models.values())
    ):
        return arrival.table
    return {**arrival.table, **own}


def _stays(model: Table, here: Origin) -> bool:
    """Whether a model is where its provider is."""
    try:
        return "base_url" not in model or origin(model["base_url"]) == here
    except ValueError:
        return False


def _drop_moved_keys(edit: Edit, arrival: Arrival, before: object) -> list[str]:
    """Removes the own keys of models that a replacement takes to another origin; the models, by alias."""
    old = origin_of(edit, arrival.id, before) if isinstance(before, dict) else None
    new = origin_of(edit, arrival.id, edit.get("providers", arrival.id))
    dropped = []
    for alias, model in (edit.view("models") or {}).items():
        if not isinstance(model, dict) or arrival.id not in (model.get("provider"), model.get("provider_id")):
            continue
        written = arrival.models.get(alias, {})
        moved = "base_url" in written or (not model.get("base_url") and (new is None or new != old))
        keys = [key for key in ("api_key", "oauth") if model.get(key) and key not in written]
        if moved and keys:
            for key in keys:
                edit.delete("models", alias, key)
            dropped.append(alias)
    return dropped
