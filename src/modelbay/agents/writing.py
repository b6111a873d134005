"""A block for an agent as text, and put into the file that the agent reads: comments kept, a backup beside it."""

import copy
import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelbay.agents import jsonc
from modelbay.agents.agent import Block
from modelbay.config import files
from modelbay.config.document import MISSING, Document
from modelbay.config.scan import Keys
from modelbay.config.schema import Table
from modelbay.config.values import plain, same
from modelbay.errors import ConfigError

BACKUP = ".bak"


class Put(Struct, frozen=True):
    """What became of a file."""

    path: Path
    backup: Path | None
    """Where its old content stands; None where there was no file, or it said all of that already."""
    changed: bool
    kept: list[str]
    """Settings that it had already, and that stay."""


def text_of(block: Block) -> str:
    """The block as its file would be with nothing else in it."""
    return _with(block, "")[0]


def put(block: Block, path: Path) -> Put:
    """Writes a block into a file. Nothing else in the file changes; the file is its owner's alone.

    Raises:
        ConfigError: what is there does not parse or is not what it should be; it cannot be written.
    """
    target = files.target_of(path)
    old = files.content_of(target)
    try:
        before = (old or b"").decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", file=str(path)) from None
    try:
        after, kept = _with(block, before)
    except ValueError as error:
        raise ConfigError(
            f"{path} does not parse: {error}", hint="mend it in an editor, then try again", file=str(path)
        ) from None
    if after == before:
        return Put(path, None, False, kept)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    backup = None
    if old is not None:
        backup = _free(path.with_name(path.name + BACKUP))
        files.replace(backup, None, old)
    files.replace(target, old, after.encode())
    return Put(path, backup, True, kept)


def _with(block: Block, text: str) -> tuple[str, list[str]]:
    """The text with the block in it, and the defaults that it has otherwise."""
    return _toml(block, text) if block.form == "toml" else _json(block, text)


def _toml(block: Block, text: str) -> tuple[str, list[str]]:
    import tomllib

    mark = "\ufeff" if text.startswith("\ufeff") else ""
    document = Document(text.removeprefix(mark))
    meant, kept = _meant(block, copy.deepcopy(document.data))
    for keys, value in {**block.defaults, **block.settings}.items():
        if keys in block.settings or document.get(keys) is MISSING:
            _merge(document, keys, plain(value, keys))
    if not same(tomllib.loads(document.text), meant):
        raise ConfigError("the file cannot be changed safely", hint="print the block, and put it in by hand")
    return mark + document.text, kept


def _merge(document: Document, keys: Keys, value: Any) -> None:
    there = document.get(keys)
    if isinstance(value, dict) and isinstance(there, dict):
        for key, item in value.items():
            _merge(document, (*keys, key), item)
    else:
        document.set(keys, value)


def _json(block: Block, text: str) -> tuple[str, list[str]]:
    data = jsonc.decode(text)
    if not isinstance(data, dict):
        raise ConfigError("what is there is JSON, but no object")
    meant, kept = _meant(block, data)
    for keys, value in {**block.defaults, **block.settings}.items():
        if keys in block.settings or _at(data, keys) is MISSING:
            text = jsonc.put(text, keys, value)
    if not jsonc.same(jsonc.decode(text), meant):
        raise ConfigError("the file cannot be changed safely", hint="print the block, and put it in by hand")
    return text if text.endswith("\n") else f"{text}\n", kept


def _meant(block: Block, data: Table) -> tuple[Table, list[str]]:
    """What the file shall say, and the defaults that stay as they are."""
    kept = []
    for keys, value in block.defaults.items():
        if (there := _at(data, keys)) is MISSING:
            data = _laid(data, keys, value)
        elif there != value:
            kept.append(f"{'.'.join(keys)} stays {json.dumps(there, ensure_ascii=False)}")
    for keys, value in block.settings.items():
        data = _laid(data, keys, value)
    return data, kept


def _laid(data: Any, keys: Keys, value: Any) -> Any:
    """The data with a value laid over what is at a path."""
    inner = data if isinstance(data, dict) else {}
    if keys:
        return {**inner, keys[0]: _laid(inner.get(keys[0]), keys[1:], value)}
    if isinstance(value, dict) and isinstance(data, dict):
        return data | {key: _laid(data.get(key), (), item) for key, item in value.items()}
    return copy.deepcopy(value)


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
