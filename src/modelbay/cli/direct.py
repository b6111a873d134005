"""Calls without a configuration file: options describe the provider. For CI, containers and a first test."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from msgspec import Struct

from modelbay.cli import key_input
from modelbay.cli.adding import API_NAMES
from modelbay.cli.project import project_config
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.conversation import Protocol
from modelbay.draft import Draft, direct_draft, standalone_config
from modelbay.errors import AuthenticationFailed, MissingCredential, ModelbayError
from modelbay.onboarding import fields as dialog

F = TypeVar("F", bound=Callable[..., Any])


def direct_options(command: F) -> F:
    """The options that `Direct.of` reads."""
    for option in reversed(
        (
            click.option(
                "--base-url", metavar="URL", help="Base URL or endpoint to call without a configured provider."
            ),
            click.option("--api-key", type=key_input.KEY, metavar="KEY", help=f"{key_input.HELP} Requires --base-url."),
            click.option(
                "--api",
                type=click.Choice(API_NAMES),
                help="Protocol. Default: detected from the URL, otherwise openai_chat. Requires --base-url.",
            ),
        )
    ):
        command = option(command)
    return command


class Direct(Struct):
    """The provider of a call: from the command line, or from the configuration."""

    made: Draft | None
    model: str | None

    @classmethod
    def of(cls, model: str | None, options: dict[str, Any]) -> "Direct":
        """Remove its options from a command's options, and read the key.

        Raises:
            UsageError: an option is missing, or requires `--base-url`.
        """
        url, key, api = (options.pop(name) for name in ("base_url", "api_key", "api"))
        if url is None:
            for name, value in (("--api-key", key), ("--api", api)):
                if value is not None:
                    raise click.UsageError(f"{name} requires --base-url", click.get_current_context())
            return cls(None, model)
        if problem := dialog.base_url_problem(url):
            raise key_input.Invalid([f"--base-url: {problem}"])
        if not model:
            raise click.UsageError("--base-url requires a model ID: -m MODEL", click.get_current_context())
        made = direct_draft(url, cast(Protocol | None, api), key_input.given_key(key))
        return cls(made, f"{made.id}/{model}")

    def config(self, file: Path | None) -> Config:
        """The configuration, with the model that the project pins as default if the command line names none. With a provider on
        the command line, it contains only this provider and the file's `[network]`."""
        config = load(file)
        if self.made is not None:
            return standalone_config(config, self.made)
        return config if self.model else project_config(config).checked()

    def known(self, config: Config) -> Collection[str]:
        """The provider IDs that a hint can name: those of the file."""
        return () if self.made is not None else config.providers

    def explained(self, error: ModelbayError) -> ModelbayError:
        """The error, with a hint for a provider that is not in a file: no command can change it."""
        if self.made is None:
            return error
        if isinstance(error, AuthenticationFailed | MissingCredential):
            error.hint = "pass the provider's API key with --api-key - or --api-key '{env:NAME}'"
        general = (error.hint or "").partition(" (`modelbay ")[0]
        error.hint = f"{general} (`{click.get_current_context().command_path} --help`)".strip()
        return error
