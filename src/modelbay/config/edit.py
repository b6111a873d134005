"""Changes `config.toml` in one transaction: comments and order are kept, and either everything is written or nothing.

    with Edit.open() as edit:
        edit.set("models", "fast", "max_output_size", value=8192)
        edit.delete("models", "old")
    print(edit.diff)

The operations of the commands are in `changes`.
"""

import codecs
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import Struct

from modelbay.config.load import parse, read
from modelbay.config.schema import Config, Table
from modelbay.config.toml import values
from modelbay.config.toml.document import MISSING, TomlDocument
from modelbay.config.toml.scan import Keys
from modelbay.errors import ConfigError, ConfigSyntaxError
from modelbay.storage import files
from modelbay.storage.paths import STDIN, config_file

T = TypeVar("T")

WAIT = 60.0
"""Seconds to wait for other processes, each of which holds the lock for a few hundredths of a second."""


class Edited(Struct, Generic[T], frozen=True):
    """The outcome of an edit; `result` is the return value of the function that made it."""

    result: T
    edit: "Edit"

    @property
    def changed(self) -> bool:
        return self.edit.changed

    @property
    def diff(self) -> str:
        """Same as `Edit.diff`."""
        return self.edit.diff


def apply(
    changes: Callable[["Edit"], T], path: Path | None = None, *, dry_run: bool = False, wait: float = WAIT
) -> Edited[T]:
    """Run `changes` in one transaction; if it raises, nothing is written.

    Raises:
        ConfigError: see `Edit.open`.
    """
    with Edit.open(path, dry_run=dry_run, wait=wait) as edit:
        result = changes(edit)
    return Edited(result, edit)


class Edit:
    """The file as it will be written. Values are plain dicts, lists and scalars, and are copied in both directions."""

    def __init__(self, path: Path, content: bytes | None) -> None:
        self.path = path
        self._bom, self.before = _decoded(path, content)
        self._document = _parsed(path, self.before)
        self._text: str | None = self.before
        self._config: Config | None = None
        self._owned: Owned | None = None
        self._checks = False

    @classmethod
    @contextmanager
    def open(cls, path: Path | None = None, *, dry_run: bool = False, wait: float = WAIT) -> Iterator["Edit"]:
        """Open a file (default: `paths.config_file()`) and write it at the end of the block, unless the block raises.

        The file may be missing. It is locked during the block, so do not prompt inside it. With `dry_run` nothing is
        written or locked, and `diff` shows the change.

        Raises:
            ConfigSyntaxError: the existing file does not parse.
            ConfigError: another process held the lock for more than `wait` seconds, or the file cannot be read or written.
        """
        import tomllib  # noqa: F401 not while others wait for the lock

        path = path or config_file()
        if path == STDIN:
            raise ConfigError(
                "cannot change a configuration that was read from standard input", hint="name a file with --config FILE"
            )
        target = files.target_of(path)
        with nullcontext() if dry_run else files.locked(target, wait):
            content = files.content_of(target)
            edit = cls(path, content)
            yield edit
            if edit.changed:
                if edit._checks:
                    edit._check()
                new = edit._verified()
                if not dry_run:
                    files.replace(target, content, new)

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self._document.text
        return self._text

    @property
    def config(self) -> Config:
        """The configuration after the edits so far. It is built once per state, without parsing the text again."""
        if self._config is None:
            self._config = read(self._document.data, self.text, self.path)
        return self._config

    def check(self) -> None:
        """Requests a check of the result before it is written: once, however many operations ask for it.

        Leaving the block then raises ConfigError if an entry cannot be used that was new or usable before the edit.
        """
        self._checks = True

    def _check(self) -> None:
        problems = self.config.problems
        known = (
            {(problem.where, problem.message) for problem in parse(self.before, self.path).problems} if problems else ()
        )
        for problem in problems:
            if (problem.where, problem.message) not in known:
                raise ConfigError(f"{problem.where}: {problem.message}", hint=problem.hint, file=str(self.path))

    @property
    def changed(self) -> bool:
        return self.text != self.before

    @property
    def diff(self) -> str:
        """The change so far as a unified diff with secrets masked; empty if there is none."""
        from modelbay.config.diff import unified

        return unified(self.before, self.text, str(self.path))

    def get(self, *keys: str) -> Any:
        """A copy of the value or table at a path of keys; None if it is missing."""
        value = self._document.get(keys)
        return None if value is MISSING else copy.deepcopy(value)

    def view(self, *keys: str) -> Any:
        """Like `get`, without a copy: callers must not change it, and later edits change it."""
        value = self._document.get(keys)
        return None if value is MISSING else value

    def models_of(self, provider: str) -> dict[str, Table]:
        """Tables of the models that name a provider, by alias; callers must not change them."""
        if self._owned is None:
            self._owned = Owned(self.view("models"))
        models = self.view("models")
        return {alias: models[alias] for alias in self._owned.aliases.get(provider, ())}

    def _forget(self, keys: Keys) -> None:
        """Drop what was computed from the state before."""
        self._text = self._config = None
        if self._owned is not None and keys[0] == "models":
            if len(keys) == 1:
                self._owned = None
            else:
                self._owned.renew(keys[1], self.view("models", keys[1]))

    def set(self, *keys: str, value: object, after: str | None = None) -> None:
        """Write a value. An existing table becomes `value` key by key, so unchanged keys keep their text.

        A new table is placed after its last sibling, or after the one called `after`.

        Raises:
            ConfigError: the path goes through a value that is not a table, or TOML cannot represent the value.
            TypeError: the value has a type that TOML does not have.
        """
        self._document.set(keys, values.plain(value, keys), after)
        self._forget(keys)

    def rename(self, names: dict[Keys, str]) -> None:
        """Give tables other names, each by its path. Comments and order stay."""
        self._document = self._document.renamed(names)
        self._text = self._config = self._owned = None

    def delete(self, *keys: str) -> bool:
        """Remove a value or a whole table. Returns whether it existed.

        The comment on its line is removed too, and so are the comment lines directly above a table's header. A table that
        exists only through dotted keys (`cost.input = 1`) is removed with the last of them.
        """
        there = self._document.delete(keys)
        self._forget(keys)
        return there

    def _verified(self) -> bytes:
        """The new content, after reading it again the way the next reader will."""
        import tomllib

        text = self.text
        try:
            right = values.same(tomllib.loads(text), self._document.data)
        except tomllib.TOMLDecodeError:
            right = False
        if not right:
            raise ConfigError(
                f"{self.path} cannot be changed safely: the new text does not read back as intended; nothing was written",
                hint="change it in an editor, and please report this bug in modelbay",
                file=str(self.path),
            )
        return self._bom + text.encode()


class Owned:
    """Index from provider to its models; there may be thousands of either."""

    def __init__(self, models: object) -> None:
        self.aliases: dict[str, dict[str, None]] = {}
        self._named: dict[str, set[str]] = {}
        for alias, table in models.items() if isinstance(models, dict) else ():
            self.renew(alias, table)

    def renew(self, alias: str, table: object) -> None:
        """Update the entry of a model whose table changed or was removed."""
        named = {table.get("provider"), table.get("provider_id")} if isinstance(table, dict) else set()
        now = {name.strip() for name in named if isinstance(name, str)}
        for name in self._named.get(alias, set()) - now:
            del self.aliases[name][alias]
        for name in now:
            self.aliases.setdefault(name, {})[alias] = None
        self._named[alias] = now


def _decoded(path: Path, content: bytes | None) -> tuple[bytes, str]:
    """The byte order mark that Windows editors write, and the text."""
    content = content or b""
    bom = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    try:
        return bom, content[len(bom) :].decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start + len(bom)) + 1
        raise _unchangeable(path, f"line {line}: not UTF-8 text", line) from None


def _parsed(path: Path, text: str) -> TomlDocument:
    import tomllib

    try:
        return TomlDocument(text)
    except tomllib.TOMLDecodeError:
        pass
    try:
        parse(text, path)
    except ConfigSyntaxError as error:
        raise _unchangeable(path, error.message.removeprefix(f"{path}, "), error.line) from None
    raise AssertionError("tomllib accepts a text that it did not accept before")


def _unchangeable(path: Path, reason: str, line: int | None) -> ConfigSyntaxError:
    return ConfigSyntaxError(
        f"cannot change {path} while it does not parse: {reason}",
        hint="fix that line in an editor, then try again",
        file=str(path),
        line=line,
    )
