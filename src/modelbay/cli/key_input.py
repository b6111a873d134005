"""An API key or token that a person enters: as an option, on standard input, or at a hidden prompt.

Every command that takes a secret reads it here, so that no terminal shows it.
"""

import sys

import click

from modelbay.cli import terminal, texts
from modelbay.credentials.approval import typed
from modelbay.onboarding import fields as dialog
from modelbay.secrecy import register

HELP = "The key, a reference such as {env:NAME}, or - for a hidden prompt or standard input."
"""The help of every option that takes a key."""


class Invalid(click.ClickException):
    """Fields that are not as they must be, each with the dialog's own words."""

    exit_code = terminal.USAGE

    def __init__(self, problems: list[str], hint: str | None = None) -> None:
        super().__init__("; ".join(problems))
        self.hint = hint


def given_key(key: str | None, option: str = "--api-key", prompt: str = "API key") -> str | None:
    """The value of an option that takes a key. `-` is a hidden prompt on a terminal, and standard input elsewhere.

    Raises:
        Invalid: it is not a key.
        UsageError: something else was read from standard input.
    """
    if key is None:
        return None
    key = read_key(option, prompt) if key.strip() == "-" else key.strip()
    register(key)
    typed(key)
    if problem := dialog.api_key_problem(key):
        raise Invalid([f"{option}: {problem}"])
    return key


def read_key(option: str, prompt: str) -> str:
    """A key from a hidden prompt on a terminal, else from standard input. `option` names it in errors.

    Raises:
        Invalid: standard input holds no key, or more than a line.
    """
    if terminal.is_terminal(sys.stdin):
        return asked_secret(prompt, needed=True)
    lines = texts.piped_key().splitlines()
    if not lines:
        raise Invalid([f"{option}: no key on standard input"], "write the key to the pipe, or run this on a terminal")
    if len(lines) > 1:
        raise Invalid([f"{option}: standard input has {len(lines)} lines, and a key is one line"])
    return lines[0].strip()


def asked_key(whose: str, url: str | None, *, needed: bool) -> str:
    """The key from a hidden prompt. `url`: the page where the provider's keys are."""
    if url:
        terminal.note(f"Keys are at {url}")
    return asked_secret(f"API key for {whose}" + ("" if needed else " (empty if none is needed)"), needed=needed)


def asked_secret(prompt: str, *, needed: bool) -> str:
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
    """What a person types at a prompt that does not echo."""
    text: str = click.prompt(prompt, default="", hide_input=True, show_default=False, err=True)
    return text.strip()
