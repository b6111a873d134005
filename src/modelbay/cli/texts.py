"""Text that a person hands in: arguments and standard input, in which bytes may not be UTF-8.

In a prompt every such byte is sent as U+FFFD, and a warning says so. All other text (names, URLs, keys) must be UTF-8, else
it is a usage error. A path keeps its bytes, so that every file can be named.
"""

import os
import sys
from math import isfinite
from typing import Any

import click

from modelbay.cli import terminal

REPLACED = "\ufffd"
_STDIN = "modelbay.stdin"
"""Under this name the context has what standard input is read for."""


class Word(click.ParamType[Any]):
    """Text that must be UTF-8: a name, a URL, a key."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from modelbay.json_text import whole_text

        if isinstance(value, str) and whole_text(value) != value:
            self.fail(f"{whole_text(value)!r} is not UTF-8 text.", param, ctx)
        return value


class Prose(click.ParamType[Any]):
    """Text for a model, sent with U+FFFD for bytes that are not UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from modelbay.json_text import whole_text

        text = whole_text(value)
        if text != value:
            terminal.warning(_sent(param.get_error_hint(ctx) if param else "the text"))
        return text


class Temperature(click.FloatRange):
    """A sampling temperature; NaN and infinity are numbers for Python only."""

    name = "float"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Place(click.ParamType[Any]):
    """A path, which may have any bytes, or a URL."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value


def checked(command: click.Command) -> None:
    """Makes every parameter that is plain text a `Word`."""
    for param in command.params:
        if param.type is click.STRING:
            param.type = Word()


def claim_stdin(what: str) -> None:
    """Says what standard input is for in this command.

    Raises:
        UsageError: it is for something else already.
    """
    first = click.get_current_context().find_root().meta.setdefault(_STDIN, what)
    if first != what:
        raise click.UsageError(f"Standard input cannot be both {first} and {what}", click.get_current_context())


def piped_bytes(what: str) -> bytes:
    """All of standard input, for one thing. Raises `UsageError` if it is for another already."""
    claim_stdin(what)
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


def piped() -> str:
    """All of standard input, as part of a prompt. "" if it is a terminal, closed, or for something else."""
    if sys.stdin is None or sys.stdin.isatty() or _STDIN in click.get_current_context().find_root().meta:
        return ""
    text = sys.stdin.read()
    if REPLACED in text:
        terminal.warning(_sent("standard input"))
    return text.strip()


def piped_key() -> str:
    """A key on standard input. Raises `UsageError` if it is not UTF-8, or standard input is for something else already."""
    claim_stdin("the key")
    text = sys.stdin.read().removeprefix("\ufeff").strip() if sys.stdin is not None else ""
    if REPLACED in text:
        raise click.UsageError("The key on standard input is not UTF-8 text", click.get_current_context())
    return text


class Lines:
    """The lines of standard input, for a thread that the program does not wait for when it ends.

    Such a thread must not read by `sys.stdin`: it holds a lock of it while it waits, and Python then ends with a fatal error.
    """

    def __init__(self) -> None:
        self._came = b""

    def next(self) -> str:
        """The next line with its end; "" at the end of the input."""
        if sys.stdin is None:
            return ""
        # Windows: only `sys.stdin` knows the encoding of the console
        text = sys.stdin.readline() if sys.platform == "win32" else self._read()
        if REPLACED in text:
            terminal.warning(_sent("the line"))
        return text

    def _read(self) -> str:
        pieces: list[bytes] = []
        piece = self._came
        while b"\n" not in piece:
            pieces.append(piece)
            piece = os.read(sys.stdin.fileno(), 65_536)
            if not piece:
                break
        line, end, self._came = piece.partition(b"\n")
        return b"".join([*pieces, line, end]).decode(sys.stdin.encoding, sys.stdin.errors or "strict")


def _sent(what: str) -> str:
    return f"{what} is not UTF-8 text: each wrong byte is sent as {REPLACED}"
