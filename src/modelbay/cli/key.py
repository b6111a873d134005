"""`modelbay key`: stores API keys outside of config.toml."""

import sys
from shlex import quote

import click

from modelbay.cli import Noun, known_values, terminal, texts
from modelbay.cli.key_input import hidden
from modelbay.cli.prompts import agreed, asks
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config, ProviderEntry
from modelbay.credentials import storage, system_keyring
from modelbay.credentials.credential import NO_KEY, is_key
from modelbay.credentials.pasted_key import pasted_key
from modelbay.errors import ConfigError
from modelbay.onboarding.login.device import check_editable
from modelbay.providers.upstream import upstream
from modelbay.secrecy import register


@click.group(cls=Noun)
def key() -> None:
    """Store a provider's API key in the system's keyring or in a private file."""


@key.command("set")
@click.argument("provider", shell_complete=known_values.providers)
@click.option("--keyring", "place", flag_value="keyring", help="Store in the system's keyring. This is the default.")
@click.option("--file", "place", flag_value="file", help="Store in a file that only you can read.")
@pass_settings
def set_key(settings: GlobalOptions, /, provider: str, place: str | None) -> None:
    """Store the API key of PROVIDER, and refer to it in config.toml.

    The API key is read from standard input or at a hidden prompt. Without one, the API key in config.toml is moved. It is bound to
    the current origin of the provider, and never sent to another one.
    """
    config, entry = _entry(settings, provider)
    where = upstream(config, entry).origin
    text = _read(entry)
    if _place(provider, place) == "keyring":
        reference = storage.keep_in_keyring(config, entry, text, where)
    else:
        reference = storage.keep_in_file(config, entry, text, where)
    terminal.write(f'providers.{provider}.api_key = "{reference}", for {where}\n')


@key.command("delete")
@click.argument("provider", shell_complete=known_values.providers)
@pass_settings
def delete_key(settings: GlobalOptions, /, provider: str) -> None:
    """Delete the API key of PROVIDER from config.toml and from the keyring or file of `modelbay key set`."""
    config, entry = _entry(settings, provider)
    gone = storage.delete(config, entry)
    terminal.write("".join(f"deleted {what}\n" for what in gone) or f"{provider} has no API key\n")


def _entry(settings: GlobalOptions, provider: str) -> tuple[Config, ProviderEntry]:
    config = load(settings.config)
    entry = config.provider(provider)
    check_editable(config, provider)
    return config, entry


def _read(provider: ProviderEntry) -> str:
    """The API key from standard input or a hidden prompt, otherwise the one in config.toml."""
    there = storage.plain_key(provider)
    if terminal.is_terminal(sys.stdin):
        also = " (empty: move the one in config.toml)" if there else ""
        text = hidden(f"API key for {provider.id}{also}")
    else:
        text = pasted_key(texts.piped_key())
    text = text or there or ""
    if not text:
        raise click.UsageError("no API key on standard input", click.get_current_context())
    register(text)
    if not is_key(text):
        raise ConfigError(NO_KEY, hint="copy only the API key, and set it again", provider=provider.id)
    return text


def _place(provider: str, asked: str | None) -> str:
    """The place to store the key. If there is no keyring, the user must confirm that a file is used."""
    if asked == "file" or system_keyring.usable():
        return asked or "keyring"
    if asked is None and asks() and agreed("No keyring found. Store the API key in a file that only you can read?"):
        return "file"
    raise ConfigError(
        "no keyring found",
        hint=f"store the API key in a private file: `modelbay key set {quote(provider)} --file`",
    )
