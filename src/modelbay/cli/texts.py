"""Text in arguments and on standard input, whose bytes may not be UTF-8.

In a prompt, an invalid byte is sent as U+FFFD, with a warning. In other text (names, URLs, keys) it is a usage error. A path keeps
its bytes, so that every file can be named.
"""

import errno
import os
import re
import sys
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, AnyStr

import click

from modelbay.cli import terminal
from modelbay.stored_chats.plain import STEERING

BREAKING = re.compile(r"[\t\n\u2028\u2029]")
"""Line breaks and tabs, which `STEERING` does not have."""
REPLACED = "\ufffd"
SURROGATE = re.compile(r"[\ud800-\udfff]")

_STDIN = "modelbay.stdin"
"""Key of the context's value that describes the use of standard input."""


def _decoded(value: str) -> str:
    """An argument whose bytes are UTF-8, but not text in the encoding of the locale, such as ASCII."""
    try:
        return os.fsencode(value).decode() if SURROGATE.search(value) else value
    except UnicodeDecodeError:
        return value


def empty(said: str, param: click.Parameter | None, ctx: click.Context | None) -> click.BadParameter:
    """The error for an empty value. `said`: its subject, such as "the path"."""
    wrong = click.BadParameter(f"{said} is empty.", ctx, param)
    wrong.hint = "leave it out, or set the variable that it comes from"  # type: ignore[attr-defined]
    return wrong


class Word(click.ParamType[Any]):
    """Text that must be UTF-8, on one line, and not blank: a name, a URL, a key.

    A blank value, such as that of an unset shell variable, must not count as an option that was not given.

    `clears`: a blank value is accepted; it removes a setting. `lines`: line breaks and tabs are accepted, as in pasted text.
    """

    name = "text"
    said = "the value"
    """The subject of messages."""

    def __init__(self, *, clears: bool = False, lines: bool = False) -> None:
        self._clears = clears
        self._lines = lines

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from modelbay.json_text import whole_text

        if not isinstance(value, str):
            return value
        value = _decoded(value)
        if whole_text(value) != value:
            self.fail(f"{whole_text(value)!r} is not UTF-8 text.", param, ctx)
        if not self._clears and not value.strip():
            raise empty(self.said, param, ctx)
        if STEERING.search(value) or (not self._lines and BREAKING.search(value)):
            self.fail(f"{value!r} contains control characters.", param, ctx)
        return value


class ModelName(Word):
    """The name of a model. An empty one is not the default model."""

    name = "model"
    said = "the name of the model"


class Url(Word):
    """An address that begins with http:// or https://."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from modelbay.origin import origin

        text = super().convert(value, param, ctx)
        if isinstance(text, str):
            try:
                origin(text.strip())
            except ValueError as wrong:
                self.fail(f"{wrong}.", param, ctx)
        return text


class Prose(click.ParamType[Any]):
    """Text for a model; bytes that are not UTF-8 are replaced by U+FFFD. `needed`: a blank one is refused, as it is by `Word`."""

    name = "text"

    def __init__(self, *, needed: bool = False) -> None:
        self._needed = needed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if self._needed and not value.strip():
            raise empty("the text", param, ctx)
        from modelbay.cli.wrong_usage import name_of
        from modelbay.json_text import whole_text

        value = _decoded(value)
        text = whole_text(value)
        if text != value:
            terminal.warning(_sent(name_of(param, ctx) if param else "the text"))
        return text


class Finite(click.FloatRange):
    """A number of 0 or more. NaN and infinity are rejected, since JSON does not have them."""

    def __init__(self, max: float | None = None, *, min_open: bool = False) -> None:
        super().__init__(min=0, max=max, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class FilePath(click.Path):
    """A path, which may contain any bytes. An empty one, such as that of an unset shell variable, is not the working directory."""

    def __init__(self, **checks: Any) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            raise empty("the path", param, ctx)
        return super().convert(value, param, ctx)


class PathOrUrl(click.ParamType[Any]):
    """A path, which may contain any bytes, or a URL."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            raise empty("the path", param, ctx)
        return value


def checked(command: click.Command) -> None:
    """Replace the type of every plain-text parameter by `Word`. A number is named so in messages: click says *integer range*."""
    for param in command.params:
        if param.type is click.STRING:
            param.type = Word()
        elif isinstance(param.type, click.IntRange | click.FloatRange):
            param.type.name = "number"


def claim_stdin(what: str) -> None:
    """Reserve standard input for one use in this command.

    Raises:
        UsageError: it is already reserved for another use.
    """
    first = click.get_current_context().find_root().meta.setdefault(_STDIN, what)
    if first != what:
        raise click.UsageError(f"standard input cannot be both {first} and {what}", click.get_current_context())


def piped_bytes(what: str) -> bytes:
    """All bytes of standard input. Raises `UsageError` if it is reserved for another use."""
    claim_stdin(what)
    return _read(sys.stdin.buffer.read, b"")


def piped() -> str:
    """Standard input as part of a prompt; "" if it is a terminal, closed or reserved for another use."""
    if sys.stdin.isatty() or _STDIN in click.get_current_context().find_root().meta:
        return ""
    text = _read(sys.stdin.read, "")
    if REPLACED in text:
        terminal.warning(_sent("standard input"))
    return text.strip()


def piped_key() -> str:
    """An API key on standard input. Raises `UsageError` if it is not UTF-8, or standard input is reserved for another use."""
    claim_stdin("the API key")
    text = _read(sys.stdin.read, "").removeprefix("\ufeff").strip()
    if REPLACED in text:
        raise click.UsageError("the API key on standard input is not UTF-8 text", click.get_current_context())
    return text


def _read(read: Callable[[], AnyStr], nothing: AnyStr) -> AnyStr:
    """Read standard input; `nothing` if it is not open for reading, as under nohup.

    Raises:
        CommandFailed: it cannot be read.
    """
    try:
        return read()
    except OSError as failed:
        if failed.errno == errno.EBADF:
            return nothing
        raise terminal.CommandFailed(f"cannot read standard input: {failed.strerror}") from None


class Lines:
    """The lines of standard input, for a daemon thread.

    Such a thread must not read `sys.stdin`, which is locked while it waits: Python would end with a fatal error.
    """

    def __init__(self) -> None:
        self._came = b""

    def next(self) -> str:
        """The next line with its line break; "" at the end of the input."""
        # on Windows only `sys.stdin` has the encoding of the console
        text = sys.stdin.readline() if sys.platform == "win32" else self._read()
        if REPLACED in text:
            terminal.warning(_sent("the line"))
        return text

    def _read(self) -> str:
        pieces: list[bytes] = []
        piece = self._came
        while b"\n" not in piece:
            pieces.append(piece)
            piece = _read(lambda: os.read(sys.stdin.fileno(), 65_536), b"")
            if not piece:
                break
        line, end, self._came = piece.partition(b"\n")
        return b"".join([*pieces, line, end]).decode(sys.stdin.encoding, sys.stdin.errors or "strict")


def _sent(what: str) -> str:
    return f"{what} is not UTF-8 text: each invalid byte is sent as {REPLACED}"
