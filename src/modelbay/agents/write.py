"""The text of an agent's file with an exported configuration: comments are kept. Pure: no files.

An entry contains a URL and settings that belong to this URL: a key, headers, parameters. If a new entry has another URL, all of
these are removed, or the agent would send them to the new host. If the URL is the same, valid settings are kept. Of settings of
which the agent uses only one (a key, the name of a variable, a program that prints a key), the new one replaces the others.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from modelbay.agents import jsonc, variables, yaml_text
from modelbay.agents.agent import ExportedConfig, ExportedEntry
from modelbay.agents.file_text import value_at
from modelbay.agents.findings import leaves
from modelbay.agents.named_lists import ANY, NamedLists, as_lists, as_tables
from modelbay.config.schema import Table
from modelbay.config.toml.document import MISSING, TomlDocument
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text, plain
from modelbay.errors import ConfigError


def render(exported: ExportedConfig) -> str:
    """The content of a new file with nothing but the exported configuration."""
    if exported.format == "yaml":
        return yaml_text.encode(as_lists(_settings_of(exported), exported.lists))
    if exported.format == "env":
        return variables.render({keys[0]: str(value) for keys, value in exported.settings.items()})
    return new_content(exported, "", "").text


def merged(exported: ExportedConfig, text: str, name: str) -> str:
    """The content of a file with an exported configuration merged into it. Comments and other settings stay.

    Raises:
        ConfigError: the text is not valid, or has other types of values.
    """
    try:
        return new_content(exported, text, name).text
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{name} is not valid: {error}", hint=f"fix {name} in an editor, then try again", file=name
        ) from None


def _settings_of(exported: ExportedConfig) -> Table:
    """The data of a new file."""
    data: Table = {}
    for keys, value in {**exported.new_file, **exported.default_model, **exported.settings}.items():
        data = _merged(data, keys, value)
    return data


class NewContent(Struct):
    """The content of a file after the export."""

    text: str
    data: Table
    kept: list[str]
    """Settings for the default model that were not changed."""
    changes: list[str]
    """Values that were replaced or removed."""
    related: list[ExportedEntry]
    """Entries that are not written, but depend on one that is."""


def new_content(exported: ExportedConfig, text: str, name: str) -> NewContent:
    """The content of a file with the exported configuration merged into it.

    Raises:
        ValueError: the text is not valid.
        ConfigError: the file has values of other types where tables are needed.
    """
    import tomllib

    lists = exported.lists
    data = tomllib.loads(text) if exported.format == "toml" else as_tables(jsonc.decode(text), lists)
    if not isinstance(data, dict):
        raise ConfigError(f"{name} is not a JSON object", hint=f"fix {name} in an editor, then try again", file=name)
    current = {keys: value_at(data, keys) for keys in exported.default_model}
    others = {keys: value for keys, value in current.items() if value not in (MISSING, exported.default_model[keys])}
    settings = {
        **({} if text.strip() else exported.new_file),
        **({} if others else exported.default_model),
        **exported.settings,
    }
    settings = {keys: _builtin_types(value) for keys, value in settings.items()}
    expected = data
    for keys, value in settings.items():
        expected = _merged(expected, keys, value)
    written = [path for keys, value in settings.items() for path in _leaves(keys, value)]
    related = exported.related(data)
    entries = (*exported.entries, *related)
    removed = [path for entry in entries for path in _stale(entry, data, written, expected)]
    for path in removed:
        expected = _without(expected, path)
    try:
        after = _toml(settings, removed, text) if exported.format == "toml" else _json(settings, removed, text, lists)
    except ConfigError as error:
        error.hint, error.file = error.hint or f"change {name} in an editor, then try again", name
        raise
    again = tomllib.loads(after) if exported.format == "toml" else as_tables(jsonc.decode(after), lists)
    if not jsonc.same(again, as_tables(as_lists(expected, lists), lists)):
        raise ConfigError(
            f"{name} cannot be changed safely", hint="run `modelbay export`, and edit the file", file=name
        )
    kept = [f"{'.'.join(keys)} stays {json.dumps(value, ensure_ascii=False)}" for keys, value in others.items()]
    return NewContent(after, again, kept, list(_changes(data, again)), related)


def _leaves(keys: Keys, value: Any) -> list[Keys]:
    return leaves(value, keys) if isinstance(value, dict) else [keys]


def _without(data: Any, path: Keys) -> Any:
    """The data without the value at a path, and without tables that are empty then."""
    rest = {key: value for key, value in data.items() if key != path[0]}
    if len(path) > 1 and (inner := _without(data[path[0]], path[1:])):
        return {key: inner if key == path[0] else value for key, value in data.items()}
    return rest


def _toml(settings: dict[Keys, object], removed: list[Keys], text: str) -> str:
    document = TomlDocument(text)
    for keys, value in settings.items():
        _merge(document, keys, plain(value, keys))
    for path in _whole(removed, document.data):
        document.delete(path)
    return document.text


def _merge(document: TomlDocument, keys: Keys, value: Any) -> None:
    there = document.get(keys)
    if isinstance(value, dict) and isinstance(there, dict):
        for key, item in value.items():
            _merge(document, (*keys, key), item)
    else:
        document.set(keys, value)


def _json(settings: dict[Keys, object], removed: list[Keys], text: str, lists: NamedLists) -> str:
    for keys, value in settings.items():
        text = jsonc.set_value(text, keys, value, lists)
    for path in _whole(removed, as_tables(jsonc.decode(text), lists)):
        text = jsonc.remove(text, path, lists)
    return text if text.endswith("\n") else f"{text}\n"


def _whole(removed: list[Keys], data: Any) -> list[Keys]:
    """The paths, each shortened to the outermost table that contains nothing else."""
    found: list[Keys] = []
    for path in removed:
        data, whole = _without(data, path), path
        while len(whole) > 1 and value_at(data, whole[:-1]) is MISSING:
            whole = whole[:-1]
        found = [other for other in found if other[: len(whole)] != whole]
        found.append(whole)
    return found


def _merged(data: Any, keys: Keys, value: Any) -> Any:
    """The data with a value merged in at a path."""
    inner = data if isinstance(data, dict) else {}
    if keys:
        return {**inner, keys[0]: _merged(inner.get(keys[0]), keys[1:], value)}
    if isinstance(value, dict) and isinstance(data, dict):
        return data | {key: _merged(data.get(key), (), item) for key, item in value.items()}
    return copy.deepcopy(value)


def _builtin_types(value: Any) -> Any:
    """The value in built-in types: the written file is compared with it."""
    if isinstance(value, dict):
        return {str(key): _builtin_types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_builtin_types(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


def _stale(entry: ExportedEntry, data: Table, written: Iterable[Keys], after: Table) -> list[Keys]:
    """The paths to remove from an entry. `written`: the paths that are set; `after`: the file's data with them."""
    old, new = value_at(data, entry.path), value_at(after, entry.path)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    depth = len(entry.path)
    kept = {path[depth:] for path in written if path[:depth] == entry.path}
    before, now = entry.destination(old), entry.destination(_only(new, kept))
    patterns = list(entry.address)
    if before is None or before != now:
        patterns += entry.secrets
    if any(matches(path, pattern) for path in kept for pattern in entry.alternatives):
        patterns += entry.alternatives
    removed = [path for path in leaves(old, ()) if path not in kept and any(matches(path, one) for one in patterns)]
    return [(*entry.path, *path) for path in removed if path]


def _changes(before: Table, after: Table) -> Iterator[str]:
    """A line for each value that is replaced or removed, without the old value, which may be secret."""
    for path in leaves(before, ()):
        old, new = value_at(before, path), value_at(after, path)
        if new is MISSING:
            yield f"{path_text(path)} was removed"
        elif old != new and not (old in ({}, None) and isinstance(new, dict)):
            yield f"{path_text(path)} was replaced"


def _only(entry: Table, kept: set[Keys]) -> Table:
    """An entry with only the settings that are written."""
    result: Table = {}
    for path in leaves(entry, ()):
        if path in kept:
            table = result
            for key in path[:-1]:
                table = table.setdefault(key, {})
            table[path[-1]] = value_at(entry, path)
    return result


def matches(path: Keys, pattern: Keys) -> bool:
    return len(path) >= len(pattern) and all(
        wanted in (ANY, key) or (bool(at) and path[at - 1].endswith("headers") and wanted == key.lower())
        for at, (key, wanted) in enumerate(zip(path, pattern, strict=False))
    )
