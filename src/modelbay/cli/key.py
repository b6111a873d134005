"""`modelbay key`: where a provider's key is kept."""

import sys
from shlex import quote

import click

from modelbay.cli import Noun, terminal, texts
from modelbay.cli.key_input import hidden
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config, ProviderEntry
from modelbay.credentials import storage, system_keyring
from modelbay.credentials.credential import NO_KEY, is_key
from modelbay.errors import ConfigError
from modelbay.onboarding.login.device import check_editable
from modelbay.providers.upstream import upstream
from modelbay.secrecy import register


@click.group(cls=Noun)
def key() -> None:
    """Keep a provider's key out of config.toml."""


@key.command("set")
@click.argument("provider")
@click.option("--keyring", "place", flag_value="keyring", help="Keep it in the system's keyring (the default).")
@click.option("--file", "place", flag_value="file", help="Keep it in a file that only you can read.")
@pass_settings
def set_key(settings: Settings, /, provider: str, place: str | None) -> None:
    """Store the key of PROVIDER, and have config.toml refer to it.

    The key is read from standard input, or asked for unseen. Without one, the key that stands in config.toml is moved.
    It is bound to the address that the provider has now, and sent nowhere else.
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
@click.argument("provider")
@pass_settings
def delete_key(settings: Settings, /, provider: str) -> None:
    """Forget the key of PROVIDER, here and where `modelbay key set` put it."""
    config, entry = _entry(settings, provider)
    gone = storage.delete(config, entry)
    terminal.write("".join(f"deleted {what}\n" for what in gone) or f"{provider} has no key\n")


def _entry(settings: Settings, provider: str) -> tuple[Config, ProviderEntry]:
    config = load(settings.config)
    entry = config.provider(provider)
    check_editable(config, provider)
    return config, entry


def _read(provider: ProviderEntry) -> str:
    """The key on standard input, or what somebody types, else the one in the file."""
    there = storage.plain_key(provider)
    if terminal.is_terminal(sys.stdin):
        also = " (nothing: move the one in the file)" if there else ""
        text = hidden(f"Key of {provider.id}{also}")
    else:
        text = texts.piped_key()
    text = text or there or ""
    if not text:
        raise click.UsageError("there is no key on standard input", click.get_current_context())
    register(text)
    if not is_key(text):
        raise ConfigError(NO_KEY, hint="copy only the key, and set it again", provider=provider.id)
    return text


def _place(provider: str, asked: str | None) -> str:
    """Where the key goes. Without a keyring nobody's key goes into a file unasked."""
    if asked == "file" or system_keyring.usable():
        return asked or "keyring"
    asks = terminal.is_terminal(sys.stdin) and asked is None
    if asks and click.confirm("This machine has no keyring. Keep the key in a file that only you can read?", err=True):
        return "file"
    raise ConfigError(
        "this machine has no keyring",
        hint=f"`modelbay key set {quote(provider)} --file` keeps the key in a file that only you can read",
    )
