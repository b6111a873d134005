"""A block for an agent as text, and put into the file that the agent reads: comments kept, a backup beside it."""

import codecs
import copy
import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelbay.agents import jsonc
from modelbay.agents.agent import Block
from modelbay.agents.findings import leaves
from modelbay.agents.rewriting import differences, doomed
from modelbay.config.schema import Table
from modelbay.config.toml.document import MISSING, TomlDocument
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import plain
from modelbay.errors import ConfigError
from modelbay.storage import files
from modelbay.storage.cache import Cache

BACKUP = ".bak"
LOCKS = "exports"
"""The cache folder of the locks."""
WAIT = 10.0
"""Seconds to wait for another process that exports to the same file."""


class Put(Struct, frozen=True):
    """What became of a file."""

    path: Path
    backup: Path | None
    """Where its old content stands; None where there was no file, or it said all of that already."""
    changed: bool
    kept: list[str]
    """What it has chosen already, and stays."""
    gone: list[str]
    """The values that were replaced or removed."""
    hindrances: list[str]
    """What in it keeps the agent from using what was written."""


def text_of(block: Block) -> str:
    """The block as its file would be with nothing else in it."""
    return _with(block, "", "").text


def put(block: Block, path: Path) -> Put:
    """Writes a block into an agent's file, as `_put`; how to fix a fault of the file is said of it, and not of ours."""
    try:
        target = files.target_of(path)
        # the lock is in our folder: the agent's own gets no file that the agent does not know
        with files.locked(Cache().path(LOCKS, str(target)), WAIT):
            files.sweep(target)
            return _put(block, path, target)
    except ConfigError as error:
        if error.hint is None or "--config" in error.hint:
            error.hint = f"check that you may read and write {path} and its folder"
        raise


def _put(block: Block, path: Path, target: Path) -> Put:
    """Writes a block into a file. Nothing else in the file changes; the file is its owner's alone.

    Raises:
        ConfigError: what is there does not parse or is not what it should be; it cannot be written.
    """
    old = files.content_of(target)
    try:
        before = (old or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint=f"save {path} as UTF-8 text", file=str(path)) from None
    try:
        made = _with(block, before, str(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} does not parse: {error}", hint=f"fix {path} in an editor, then try again", file=str(path)
        ) from None
    hindrances = block.hindrances(path, made.data)
    if made.text == before:
        return Put(path, None, False, made.kept, [], hindrances)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    backup = None
    if old is not None:
        backup = _free(path.with_name(path.name + BACKUP))
        files.replace(backup, None, old)
    mark = codecs.BOM_UTF8 if (old or b"").startswith(codecs.BOM_UTF8) else b""
    files.replace(target, old, mark + made.text.encode())
    return Put(path, backup, True, made.kept, made.gone, hindrances)


class _Made(Struct):
    """A file with a block in it."""

    text: str
    data: Table
    kept: list[str]
    gone: list[str]


def _with(block: Block, text: str, name: str) -> _Made:
    """The text of a file with the block in it.

    Raises:
        ValueError: the text does not parse.
        ConfigError: it has something else where the block belongs.
    """
    import tomllib

    data = tomllib.loads(text) if block.form == "toml" else jsonc.decode(text)
    if not isinstance(data, dict):
        raise ConfigError(f"{name} is JSON, but no object", hint=f"fix {name} in an editor, then try again", file=name)
    chosen = {keys: _at(data, keys) for keys in block.choice}
    others = {keys: value for keys, value in chosen.items() if value not in (MISSING, block.choice[keys])}
    settings = {
        **({} if text.strip() else block.opening),
        **({} if others else block.choice),
        **block.settings,
    }
    settings = {keys: _plain(value) for keys, value in settings.items()}
    meant = data
    for keys, value in settings.items():
        meant = _laid(meant, keys, value)
    written = [path for keys, value in settings.items() for path in _leaves(keys, value)]
    going = [path for entry in (*block.entries, *block.related(data)) for path in doomed(entry, data, written, meant)]
    for path in going:
        meant = _without(meant, path)
    try:
        after = _toml(settings, going, text) if block.form == "toml" else _json(settings, going, text)
    except ConfigError as error:
        error.hint, error.file = error.hint or f"change {name} in an editor, then try again", name
        raise
    again = tomllib.loads(after) if block.form == "toml" else jsonc.decode(after)
    if not jsonc.same(again, meant):
        raise ConfigError(f"{name} cannot be changed safely", hint="print the block, and put it in by hand", file=name)
    chosen_otherwise = [
        f"{'.'.join(keys)} stays {json.dumps(value, ensure_ascii=False)}" for keys, value in others.items()
    ]
    return _Made(after, again, chosen_otherwise, list(differences(data, again)))


def _leaves(keys: Keys, value: Any) -> list[Keys]:
    return leaves(value, keys) if isinstance(value, dict) else [keys]


def _without(data: Any, path: Keys) -> Any:
    """The data without what is at a path, and without the tables that become empty by that."""
    rest = {key: value for key, value in data.items() if key != path[0]}
    if len(path) > 1 and (inner := _without(data[path[0]], path[1:])):
        return {key: inner if key == path[0] else value for key, value in data.items()}
    return rest


def _toml(settings: dict[Keys, object], going: list[Keys], text: str) -> str:
    document = TomlDocument(text)
    for keys, value in settings.items():
        _merge(document, keys, plain(value, keys))
    for path in _whole(going, document.data):
        document.delete(path)
    return document.text


def _merge(document: TomlDocument, keys: Keys, value: Any) -> None:
    there = document.get(keys)
    if isinstance(value, dict) and isinstance(there, dict):
        for key, item in value.items():
            _merge(document, (*keys, key), item)
    else:
        document.set(keys, value)


def _json(settings: dict[Keys, object], going: list[Keys], text: str) -> str:
    for keys, value in settings.items():
        text = jsonc.put(text, keys, value)
    for path in _whole(going, jsonc.decode(text)):
        text = jsonc.drop(text, path)
    return text if text.endswith("\n") else f"{text}\n"


def _whole(going: list[Keys], data: Any) -> list[Keys]:
    """The paths, each with the tables around it that have nothing else in them."""
    found: list[Keys] = []
    for path in going:
        data, whole = _without(data, path), path
        while len(whole) > 1 and _at(data, whole[:-1]) is MISSING:
            whole = whole[:-1]
        found = [other for other in found if other[: len(whole)] != whole]
        found.append(whole)
    return found


def _laid(data: Any, keys: Keys, value: Any) -> Any:
    """The data with a value laid over what is at a path."""
    inner = data if isinstance(data, dict) else {}
    if keys:
        return {**inner, keys[0]: _laid(inner.get(keys[0]), keys[1:], value)}
    if isinstance(value, dict) and isinstance(data, dict):
        return data | {key: _laid(data.get(key), (), item) for key, item in value.items()}
    return copy.deepcopy(value)


def _plain(value: Any) -> Any:
    """The value without types of ours: what is written again is compared with it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return MISSING
        data = data[key]
    return data


def _free(path: Path) -> Path:
    """The first of `path`, `path.2`, `path.3` … that is not there."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
