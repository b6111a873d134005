"""The credential of a provider, and the order in which it is looked up."""

from shlex import quote
from typing import Literal

from msgspec import Struct

from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Config, ModelEntry, OAuth, ProviderEntry, key_text
from modelbay.credentials.reference import check_bound, may_ask, resolve_reference
from modelbay.credentials.secret import Secret
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import Origin
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import environment

AUTH_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
NO_KEY = "the API key contains invalid characters (spaces, line breaks or typographic quotes)"
PROJECT, LOCATION = "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"


class Credential(Struct, frozen=True):
    """An API key, or the source of a token: a login (`oauth`) or Google's default credentials (`adc`). A client of the gateway
    may bring its own token (`client`)."""

    kind: Literal["key", "oauth", "adc", "client"]
    source: str
    """Config key it comes from, as "providers.acme.api_key"."""
    secret: Secret | None = None
    oauth: OAuth | None = None


class Need(Struct, frozen=True):
    """Requirements of an endpoint for its credential."""

    origin: Origin
    keyless: bool = False
    adc: bool = False
    """Google's application default credentials are used instead of an API key."""
    places: tuple[str, ...] = ()
    """All origins that receive the credential, if not only `origin`: for example a proxy."""
    advice: str | None = None
    """Further advice for a missing key, such as where to get one."""


def resolve(config: Config, provider: ProviderEntry, model: ModelEntry | None, need: Need) -> Credential | None:
    """The credential for calls of a provider or one of its models; None if none is needed and none is set.

    A model's own credential comes first, then the provider's `api_key`, then keys in its `env` table. Environment
    variables are never used implicitly. Resolving a reference to a keyring or a command may block.

    Raises:
        MissingCredential: a credential is required but not set.
        ConfigError: the credential cannot be used.
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


def with_references(provider: ProviderEntry, model: ModelEntry | None) -> list[str]:
    """The values of an endpoint that contain references."""
    values = [
        provider.api_key,
        model.api_key if model else None,
        *provider.env.values(),
        *provider.custom_headers.values(),
        provider.proxy,
        provider.base_url,
        model.base_url if model else None,
    ]
    return [value for value in values if value is not None and REFERENCE.search(value)]


def may_block(provider: ProviderEntry, model: ModelEntry | None) -> bool:
    """Whether looking up the credential may block, because of a reference to a keyring or a command."""
    return any(may_ask(value) for value in with_references(provider, model))


def key_names(provider: ProviderEntry) -> tuple[str, ...]:
    """Names that the provider's key may have in its `env` table."""
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
        raise ConfigError(f"{source}: {NO_KEY}", hint="copy only the key, and set it again", file=str(config.path))
    check_bound(value, config, need.origin, source, provider)
    return Credential("key", source, Secret(text, need.origin))


def is_key(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and bool(text)


def _missing(config: Config, provider: ProviderEntry, where: str, need: Need) -> MissingCredential:
    names = key_names(provider)
    in_shell = next((name for name in names if environment(name)), None)
    if in_shell:
        # the variable may hold a key for another service than this base URL, so the user must confirm it
        value = f'api_key = "{{env:{in_shell}}}"'
        hint = f"the environment variable {in_shell} is set but not read implicitly; to use it, write {value} under [{where}]"
    else:
        bag = f", or {names[0]} under [{where}.env]" if names and where.startswith("providers.") else ""
        store = f"`modelbay key set {quote(provider.id)}`, or " if where.startswith("providers.") else ""
        hint = f'{store}write api_key under [{where}]{bag}; if the server requires no key, set auth = "none"'
    if need.advice:
        hint += f"; {need.advice}"
    return MissingCredential(
        f'no API key set for provider "{provider.id}" in {config.path}',
        hint=hint,
        provider=provider.id,
        file=str(config.path),
    )
