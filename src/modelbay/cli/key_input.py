"""Reads an API key or token from an option, standard input or a hidden prompt.

Every command that needs a secret reads it here, so that no terminal shows it.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from modelbay.cli import terminal, texts
from modelbay.credentials.approval import typed
from modelbay.credentials.pasted_key import pasted_key
from modelbay.onboarding import fields as dialog
from modelbay.secrecy import register

HELP = "API key, a reference such as {env:NAME}, or - for a hidden prompt or standard input."
"""The help of every option that takes a key."""
KEY = texts.Word(lines=True)
"""The type of every option that takes a key: a pasted header or command may have several lines."""


ENDING = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
"""Signals that end a program."""


class Invalid(click.ClickException):
    """Invalid values of options, each with its reason."""

    exit_code = terminal.USAGE

    def __init__(self, problems: list[str], hint: str | None = None) -> None:
        super().__init__("; ".join(problems))
        self.hint = hint


def given_key(key: str | None, option: str = "--api-key", prompt: str = "API key") -> str | None:
    """The value of an option for an API key. `-` reads a hidden prompt on a terminal, otherwise standard input.

    Raises:
        Invalid: it is not an API key.
        UsageError: standard input is already used for another value.
    """
    if key is None:
        return None
    key = read_key(option, prompt) if key.strip() == "-" else pasted_key(key)
    register(key)
    typed(key)
    if problem := dialog.api_key_problem(key):
        raise Invalid([f"{option}: {problem}"])
    return key


def read_key(option: str, prompt: str) -> str:
    """An API key from a hidden prompt on a terminal, otherwise from standard input. `option` names it in errors.

    Raises:
        Invalid: standard input is empty, or has more than one line.
    """
    if terminal.is_terminal(sys.stdin):
        return asked_secret(prompt, needed=True)
    lines = pasted_key(texts.piped_key()).splitlines()
    if not lines:
        raise Invalid([f"{option}: no API key on standard input"], "pipe the API key in, or run this on a terminal")
    if len(lines) > 1:
        raise Invalid([f"{option}: standard input must have one line with the API key, not {len(lines)}"])
    return lines[0].strip()


def asked_key(whose: str, url: str | None, *, needed: bool) -> str:
    """The API key from a hidden prompt. `url`: the provider's page with API keys."""
    if url:
        terminal.note(f"Get an API key at {url}")
    return asked_secret(f"API key for {whose}" + ("" if needed else " (empty if none is needed)"), needed=needed)


def asked_secret(prompt: str, *, needed: bool) -> str:
    """Prompt until the input is an API key, or empty if none is needed."""
    while True:
        key = hidden(prompt)
        problem = dialog.api_key_problem(key)
        if problem:
            terminal.note(problem)
        elif key or not needed:
            register(key)
            typed(key)
            return key


def hidden(prompt: str) -> str:
    """The API key that is entered at a prompt without echo."""
    with _echo_restored():
        try:
            text: str = click.prompt(prompt, default="", hide_input=True, show_default=False, err=True)
        except click.Abort:
            raise click.Abort from None  # not by a key: click has ended the line
    return pasted_key(text)


@contextmanager
def _echo_restored() -> Iterator[None]:
    """A signal that ends the program does so after the prompt has turned the echo of the terminal on again."""
    received: list[int] = []

    def end(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in ENDING if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
