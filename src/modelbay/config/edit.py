"""Change `config.toml`: one transaction at a time, comments and order kept, all of it written or nothing.

    with Edit.open() as edit:
        edit.set("models", "fast", "max_output_size", value=8192)
        edit.delete("models", "old")
    print(edit.diff)

What the commands do with it is in `changes`.
"""

import codecs
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import Struct

from modelbay.config import files, values
from modelbay.config.document import MISSING, Document
from modelbay.config.load import parse
from modelbay.config.paths import config_file
from modelbay.errors import ConfigError, ConfigSyntaxError

T = TypeVar("T")

WAIT = 60.0
"""Seconds to wait for other processes. Each needs the file for some hundredths of one."""


class Edited(Struct, Generic[T], frozen=True):
    """What became of an edit; `result` is what its function said."""

    result: T
    edit: "Edit"

    @property
    def changed(self) -> bool:
        return self.edit.changed

    @property
    def diff(self) -> str:
        """As `Edit.diff`."""
        return self.edit.diff


def apply(
    changes: Callable[["Edit"], T], path: Path | None = None, *, dry_run: bool = False, wait: float = WAIT
) -> Edited[T]:
    """Changes the file in one transaction: all that `changes` does, or nothing if it raises.

    Raises:
        ConfigError: as `Edit.open`.
    """
    with Edit.open(path, dry_run=dry_run, wait=wait) as edit:
        result = changes(edit)
    return Edited(result, edit)


class Edit:
    """The file as it will be. Values go in and come out as plain dicts, lists and scalars, and as copies."""

    def __init__(self, path: Path, content: bytes | None) -> None:
        self.path = path
        self._bom, self.before = _decoded(path, content)
        self._document = _parsed(path, self.before)

    @classmethod
    @contextmanager
    def open(cls, path: Path | None = None, *, dry_run: bool = False, wait: float = WAIT) -> Iterator["Edit"]:
        """Opens a file, by default `paths.config_file()`, and writes it at the end of the block unless that raises.

        The file need not be there. It is locked meanwhile: ask nobody anything in the block. With `dry_run` nothing is
        written or locked, and `diff` tells what would be.

        Raises:
            ConfigSyntaxError: what is there does not parse.
            ConfigError: another process keeps it for over `wait` seconds; it cannot be read or written.
        """
        import tomllib  # noqa: F401 not while others wait for the lock

        path = path or config_file()
        target = files.target_of(path)
        with nullcontext() if dry_run else files.locked(target, wait):
            content = files.content_of(target)
            edit = cls(path, content)
            yield edit
            if edit.changed:
                new = edit._verified()
                if not dry_run:
                    files.replace(target, content, new)

    @property
    def text(self) -> str:
        return self._document.text

    @property
    def changed(self) -> bool:
        return self.text != self.before

    @property
    def diff(self) -> str:
        """The change so far as a unified diff, secrets masked; empty, where there is none."""
        from modelbay.config.diff import unified

        return unified(self.before, self.text, str(self.path))

    def get(self, *keys: str) -> Any:
        """A copy of the value or table at a path of keys; None, where there is none."""
        value = self._document.get(keys)
        return None if value is MISSING else copy.deepcopy(value)

    def set(self, *keys: str, value: object, after: str | None = None) -> None:
        """Writes a value. A table that is there becomes what `value` is, key by key: what does not change stays as it is.

        A new table stands after its last sibling, or after the one called `after`.

        Raises:
            ConfigError: there is a value where the path needs a table; TOML cannot hold the value.
            TypeError: the value is of a type that TOML does not have.
        """
        self._document.set(keys, values.plain(value, keys), after)

    def delete(self, *keys: str) -> bool:
        """Takes out a value or a table with all that is in it; whether there was one.

        The comment on its line goes too, and the lines of comment right above a table's header. A table that no line
        but its keys' spoke of (`cost.input = 1`) goes with the last of them.
        """
        return self._document.delete(keys)

    def _verified(self) -> bytes:
        """The new content, read again as whoever opens it next will."""
        import tomllib

        text = self.text
        try:
            right = values.same(tomllib.loads(text), self._document.data)
        except tomllib.TOMLDecodeError:
            right = False
        if not right:
            raise ConfigError(
                f"{self.path} cannot be changed safely: the result would not say what was meant; nothing was written",
                hint="change it in an editor; this is a fault of modelbay, please report it",
                file=str(self.path),
            )
        return self._bom + text.encode()


def _decoded(path: Path, content: bytes | None) -> tuple[bytes, str]:
    """The mark that Windows editors begin a text with, and the text."""
    content = content or b""
    bom = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    try:
        return bom, content[len(bom) :].decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start + len(bom)) + 1
        raise _unchangeable(path, f"line {line}: not UTF-8 text", line) from None


def _parsed(path: Path, text: str) -> Document:
    import tomllib

    try:
        return Document(text)
    except tomllib.TOMLDecodeError:
        pass
    try:
        parse(text, path)
    except ConfigSyntaxError as error:
        raise _unchangeable(path, error.message.removeprefix(f"{path}, "), error.line) from None
    raise AssertionError("tomllib is of two minds")


def _unchangeable(path: Path, reason: str, line: int | None) -> ConfigSyntaxError:
    return ConfigSyntaxError(
        f"cannot change {path} while it does not parse: {reason}",
        hint="mend that line in an editor, then try again",
        file=str(path),
        line=line,
    )
