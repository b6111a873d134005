"""A call without a configuration file: the provider is on the command line. For CI, containers and a first try."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from msgspec import Struct

from modelbay.cli import key_input
from modelbay.cli.adding import API_NAMES
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.conversation import Protocol
from modelbay.errors import AuthenticationFailed, MissingCredential, ModelbayError
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.draft import Draft, alone, direct_draft

F = TypeVar("F", bound=Callable[..., Any])


def direct_options(command: F) -> F:
    """The options that `Direct.of` reads."""
    for option in reversed(
        (
            click.option(
                "--base-url", metavar="URL", help="Call this base URL or endpoint, without a configured provider."
            ),
            click.option("--api-key", metavar="KEY", help=f"With --base-url. {key_input.HELP}"),
            click.option(
                "--api",
                type=click.Choice(API_NAMES),
                help="With --base-url: the protocol. Default: as the URL tells, else openai_chat.",
            ),
        )
    ):
        command = option(command)
    return command


class Direct(Struct):
    """The provider of a call: the one on the command line, else those of the configuration."""

    made: Draft | None
    model: str | None

    @classmethod
    def of(cls, model: str | None, options: dict[str, Any]) -> "Direct":
        """Takes its own out of a command's options, and reads the key.

        Raises:
            UsageError: an option is missing, or has no meaning without `--base-url`.
        """
        url, key, api = (options.pop(name) for name in ("base_url", "api_key", "api"))
        if url is None:
            for name, value in (("--api-key", key), ("--api", api)):
                if value is not None:
                    raise click.UsageError(f"{name} needs --base-url", click.get_current_context())
            return cls(None, model)
        if problem := dialog.base_url_problem(url):
            raise key_input.Invalid([f"--base-url: {problem}"])
        if not model:
            raise click.UsageError("--base-url needs the model's ID: -m MODEL", click.get_current_context())
        made = direct_draft(url, cast(Protocol | None, api), key_input.given_key(key))
        return cls(made, f"{made.id}/{model}")

    def config(self, file: Path | None) -> Config:
        """The configuration. Of a provider on the command line it has only that, and what the file says of the network."""
        config = load(file)
        return alone(config, self.made) if self.made is not None else config

    def known(self, config: Config) -> Collection[str]:
        """The providers that a command can name: those of a file."""
        return () if self.made is not None else config.providers

    def explained(self, error: ModelbayError) -> ModelbayError:
        """The error, with a hint that fits a provider which is in no file: no command changes it."""
        if self.made is None:
            return error
        if isinstance(error, AuthenticationFailed | MissingCredential):
            error.hint = "give the provider's key with --api-key - or --api-key '{env:NAME}'"
        general = (error.hint or "").partition(" (`modelbay ")[0]
        error.hint = f"{general} (`{click.get_current_context().command_path} --help`)".strip()
        return error
