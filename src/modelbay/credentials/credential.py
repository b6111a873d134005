"""A provider's credential: what stands for us with it, and the order in which it is looked for."""

from shlex import quote
from typing import Literal

from msgspec import Struct

from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Config, ModelEntry, OAuth, ProviderEntry, key_text
from modelbay.credentials.reference import check_bound, may_ask, resolve_reference
from modelbay.credentials.secret import Secret
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import Origin
from modelbay.storage.paths import environment

AUTH_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
NO_KEY = "the key has characters that no key has: spaces, line breaks, quotes of a word processor"
PROJECT, LOCATION = "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"


class Credential(Struct, frozen=True):
    """A key at hand, or where to get a token: from a login (`oauth`), from Google's default credentials (`adc`)."""

    kind: Literal["key", "oauth", "adc"]
    source: str
    """Where it stands in the file, as "providers.acme.api_key"."""
    secret: Secret | None = None
    oauth: OAuth | None = None


class Need(Struct, frozen=True):
    """What is known of an endpoint before its credential: whom it goes to, and whether it asks for one at all."""

    origin: Origin
    keyless: bool = False
    adc: bool = False
    """Google's application default credentials serve, and a key does not."""
    places: tuple[str, ...] = ()
    """Every origin that gets the credential, where that is not `origin` alone: a proxy on the way."""
    advice: str | None = None
    """What else to tell somebody who has no key, as where to get one."""


def resolve(config: Config, provider: ProviderEntry, model: ModelEntry | None, need: Need) -> Credential | None:
    """The credential for calls of a provider, or of one of its models; None where none is needed and there is none.

    The model's own comes before its provider's, and a key that is written down before those in the `env` table. The
    shell is never asked. A key that is a reference to a keyring or a command may block.

    Raises:
        MissingCredential: one is needed and none is there.
        ConfigError: it is there and cannot be used.
    """
    if provider.auth == "none":
        return None
    where = f"providers.{key_text(provider.id)}"
    if need.adc:
        return Credential("adc", f"{where}.env.{PROJECT}")
    if model:
        own = f"models.{key_text(model.alias)}"
        if model.api_key:
            return _key(model.api_key, f"{own}.api_key", provider.id, config, need)
        if model.oauth:
            return Credential("oauth", f"{own}.oauth", oauth=model.oauth)
        where = own if model.flat else where
    if provider.api_key:
        written = "api_key_env" if provider.api_key_env else "api_key"
        return _key(provider.api_key, f"{where}.{written}", provider.id, config, need)
    for name in key_names(provider):
        if provider.env.get(name, "").strip():
            return _key(provider.env[name].strip(), f"{where}.env.{name}", provider.id, config, need)
    if provider.oauth:
        return Credential("oauth", f"{where}.oauth", oauth=provider.oauth)
    if need.keyless or need.origin.loopback or has_auth_header(provider):
        return None
    raise _missing(config, provider, where, need)


def may_block(provider: ProviderEntry, model: ModelEntry | None) -> bool:
    """Whether looking for the credential may take its time: a reference to a keyring or a command."""
    values = [
        provider.api_key,
        model.api_key if model else None,
        *provider.env.values(),
        *provider.custom_headers.values(),
        provider.proxy,
        provider.base_url,
        model.base_url if model else None,
    ]
    return any(may_ask(value) for value in values)


def key_names(provider: ProviderEntry) -> tuple[str, ...]:
    """What the provider's key may be called in its `env` table."""
    row = TYPES.get(provider.type or "")
    return row.key_names if row else ()


def has_auth_header(provider: ProviderEntry) -> bool:
    return any(name.lower() in AUTH_HEADERS for name in provider.custom_headers)


def _key(value: str, source: str, provider: str, config: Config, need: Need) -> Credential:
    try:
        text = resolve_reference(value, config, need.places or (str(need.origin),))
    except ConfigError as error:
        raise type(error)(f"{source}: {error.message}", hint=error.hint, file=str(config.path)) from error
    if not is_key(text):
        raise ConfigError(f"{source}: {NO_KEY}", hint="copy it again, and nothing beside it", file=str(config.path))
    check_bound(value, config, need.origin, source, provider)
    return Credential("key", source, Secret(text, need.origin))


def is_key(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and bool(text)


def _missing(config: Config, provider: ProviderEntry, where: str, need: Need) -> MissingCredential:
    names = key_names(provider)
    in_shell = next((name for name in names if environment(name)), None)
    if in_shell:
        # the shell's key may belong to somebody else than this base URL, so it takes a word of the user's
        hint = f'{in_shell} of your shell is not read by itself: write api_key = "{{env:{in_shell}}}" under [{where}]'
    else:
        bag = f", or {names[0]} under [{where}.env]" if names and where.startswith("providers.") else ""
        store = f"`modelbay key set {quote(provider.id)}`, or " if where.startswith("providers.") else ""
        hint = f'{store}write api_key under [{where}]{bag}; for a server that asks for none, auth = "none"'
    if need.advice:
        hint += f"; {need.advice}"
    return MissingCredential(
        f'no API key for provider "{provider.id}" in {config.path}',
        hint=hint,
        provider=provider.id,
        file=str(config.path),
    )
