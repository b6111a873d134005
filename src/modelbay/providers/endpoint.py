"""Builds the endpoint of a call: URL, headers including authentication, connection settings."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, unquote

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from modelbay.config.proxies import NONE
from modelbay.config.schema import Config, ModelEntry, ProviderEntry, SizeLimits, Timeout, Tls, key_text
from modelbay.conversation import Protocol
from modelbay.credentials.approval import is_foreign
from modelbay.credentials.credential import LOCATION, PROJECT, Credential, Need, resolve
from modelbay.credentials.reference import check_bound, resolve_reference
from modelbay.credentials.secret import Secret
from modelbay.dialect import Dialect
from modelbay.errors import ConfigError
from modelbay.origin import Origin
from modelbay.providers import urls
from modelbay.providers.upstream import Upstream, upstream
from modelbay.providers.vendor import Scheme
from modelbay.secrecy import REFERENCE, Hidden, guessable, register, register_url, secret_header
from modelbay.storage.paths import expanded

if TYPE_CHECKING:  # the HTTP client is imported only when something is sent
    from modelbay.transport import Request

Headers: TypeAlias = dict[str, str | Secret]

ANTHROPIC_VERSION = "2023-06-01"
SCHEMES: dict[Protocol, Scheme] = {
    "openai_chat": "bearer",
    "openai_responses": "bearer",
    "anthropic": "x-api-key",
    "google": "x-goog-api-key",
}


class Endpoint(Struct, frozen=True, kw_only=True):
    """The target of a call. Its repr shows no secrets. The query of its URL may contain one: log `origin` instead."""

    url: str
    headers: Headers
    """All headers except those of the codec and the transport."""
    protocol: Protocol
    dialect: Dialect
    origin: Origin
    provider: str
    """Provider ID."""
    credential: Credential | None = None
    """Set for logins and Google's default credentials. Their token is not yet in `headers`: see `with_token`."""
    timeout: Timeout = Timeout()
    limits: SizeLimits = SizeLimits()
    proxy: str | None = None
    tls: Tls | None = None
    requests: "dict[tuple[object, ...], Request]" = field(default_factory=dict)
    """Requests without bodies, by what calls add to them: they are checked and encoded once."""

    def __post_init__(self) -> None:
        force_setattr(self, "requests", {})  # a copy with another URL has requests of its own

    def __repr__(self) -> str:
        return f"Endpoint({self.provider!r}, {self.protocol!r}, {str(self.origin)!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("provider", self.provider), ("protocol", self.protocol), ("origin", str(self.origin))]

    @property
    def wants_token(self) -> bool:
        """Whether the call needs a token from a login or from Google."""
        return self.credential is not None and self.credential.kind in ("oauth", "adc")

    @property
    def account(self) -> str:
        """Identifies the account of the provider that calls use, without its secrets: what one account stores at the provider,
        such as responses, another one does not see. It changes with the API key."""
        digest = blake2b(digest_size=8)
        if self.credential is not None and self.wants_token:
            digest.update(self.credential.source.encode())
        for name, value in sorted(self.sent_headers().items()):
            digest.update(f"\0{name.lower()}: {value}".encode())
        return f"{self.provider} {self.origin} {digest.hexdigest()}"

    def with_token(self, token: str) -> "Endpoint":
        """The endpoint with the token of a login or of Google in its headers."""
        headers = {name: value for name, value in self.headers.items() if name.lower() != "authorization"}
        return replace(self, headers={**headers, "Authorization": Secret(f"Bearer {token}", self.origin)})

    def sent_headers(self, call: Mapping[str, str] | None = None) -> dict[str, str]:
        """The headers to send, including secrets, merged over those of a codec's call. Both `anthropic-beta` values are
        joined."""
        merged = {name.lower(): (name, value) for name, value in (call or {}).items()}
        for name, secret in self.headers.items():
            value, key = secret.reveal() if isinstance(secret, Secret) else secret, name.lower()
            if key == "anthropic-beta" and key in merged:
                value = f"{merged[key][1]},{value}"
            if key == "anthropic-version" and key in merged and value == ANTHROPIC_VERSION:
                continue  # only our default, while a client of the same protocol expects replies of its version
            merged[key] = (name, value)
        return dict(merged.values())


def endpoint(config: Config, model: ModelEntry, path: str, *, stream: bool = False) -> Endpoint:
    """The endpoint for a model's call. `path` comes from a codec. Reading a key from a keyring or a command may block.

    Raises:
        UnknownProvider: the model's provider is not in the config file.
        MissingCredential: an API key is required but not set.
        ConfigError: the provider's entry is invalid.
    """
    return endpoint_at(config, upstream(config, config.provider_of(model), model), path, stream=stream)


def endpoint_at(config: Config, upstream: Upstream, path: str, *, stream: bool = False) -> Endpoint:
    """Like `endpoint`, for a given upstream."""
    base, user = _base(config, upstream)
    return _endpoint(config, upstream, _call_url(config, upstream, base, path, stream), user)


def models_endpoint(config: Config, provider: ProviderEntry) -> Endpoint | None:
    """The endpoint that lists a provider's models; None if the vendor has no list. Raises what `endpoint` raises."""
    found = upstream(config, provider)
    if found.preset and not found.preset.lists_models:
        return None
    base, user = _base(config, found)
    url = urls.models_url(base, found.protocol, found.full_url)
    if found.preset and found.preset.addressing == "azure":
        url = urls.azure_url(urls.base_of(base), "/models", "", provider.api_version)
    return _endpoint(config, found, url, user)


def _base(config: Config, upstream: Upstream) -> tuple[str, str]:
    """The base URL with the values of the references in its query, which are secrets, and without the user part, which is returned
    as it is written. The query of a call comes from a client of the gateway: it must not read variables and files of the user."""
    base, user = urls.without_user(upstream.base_url)
    address, mark, query = base.partition("?")
    if REFERENCE.search(query):
        base = address + mark + REFERENCE.sub(lambda found: _in_query(config, upstream, found[0]), query)
    register_url(base)
    return base, user


def _call_url(config: Config, upstream: Upstream, base: str, path: str, stream: bool) -> str:
    addressing = upstream.preset.addressing if upstream.preset else "plain"
    full = upstream.full_url or (upstream.full_url is None and urls.is_endpoint(base))
    wire_id = upstream.model.model if upstream.model else ""
    if addressing == "vertexai" and not full:
        name = _published(config, upstream)
        if upstream.protocol == "google":
            return urls.vertex_url(base, path.replace(f"/models/{wire_id}:", f"/models/{name}:", 1), upstream.place)
        if upstream.protocol == "anthropic" and upstream.place:
            method = "streamRawPredict" if stream else "rawPredict"
            counts = path.endswith("/count_tokens")  # for all models, whose names are in the body
            model = "count-tokens" if counts else quote(name, safe="@")
            return urls.vertex_url(base, f"/models/{model}", upstream.place, method)
        raise ConfigError(
            f'provider "{upstream.provider.id}" in {config.path} cannot serve "{wire_id}": Vertex AI supports '
            f"the protocols google and, with {PROJECT} and {LOCATION} set, anthropic",
            provider=upstream.provider.id,
            file=str(config.path),
        )
    if addressing == "azure" and not full and upstream.protocol in ("openai_chat", "openai_responses"):
        if wire_id in (".", ".."):  # no escaping prevents these from changing the path
            raise ConfigError(
                f'provider "{upstream.provider.id}" in {config.path}: "{wire_id}" is not a valid deployment name',
                provider=upstream.provider.id,
                file=str(config.path),
            )
        return urls.azure_url(base, path, wire_id, upstream.provider.api_version)
    return urls.endpoint_url(base, path, upstream.protocol, upstream.full_url)


def _published(config: Config, upstream: Upstream) -> str:
    """A model's name without its publisher, which is part of the URL.

    Raises:
        ConfigError: the publisher's models are served over an unsupported protocol or at another URL.
    """
    if upstream.model is None or upstream.preset is None:
        return ""
    name = upstream.preset.publisher(upstream.model.model)[1]
    if upstream.model.protocol is None:
        publisher = upstream.preset.publisher(upstream.model.identity)[0]
        if publisher is not None and publisher.protocol is None:
            raise ConfigError(
                f'provider "{upstream.provider.id}" in {config.path} cannot serve "{upstream.model.model}": '
                f"{upstream.preset.name} serves models of {publisher.id} over an unsupported protocol",
                hint="use this model with another provider; if it is a renamed model of another publisher, set "
                "`base_model` or `protocol`",
                provider=upstream.provider.id,
                file=str(config.path),
            )
    return name


def _endpoint(config: Config, upstream: Upstream, url: str, user: str) -> Endpoint:
    provider, protocol = upstream.provider, upstream.protocol
    user = _resolved(config, upstream, unquote(user), _place(provider))
    credential, authorisation = _authorisation(config, upstream, user)
    headers: Headers = {}
    if protocol == "anthropic" and not _is_vertex(upstream):
        headers["anthropic-version"] = ANTHROPIC_VERSION
    custom = _custom_headers(config, upstream)
    anew = {name.lower() for name in custom}
    headers = {name: value for name, value in {**headers, **authorisation}.items() if name.lower() not in anew}
    proxy = proxy_of(config, provider, upstream.origin)
    return Endpoint(
        url=Hidden(url),
        headers={**headers, **custom},
        protocol=protocol,
        dialect=upstream.dialect,
        origin=upstream.origin,
        provider=provider.id,
        credential=credential,
        timeout=provider.timeout or Timeout(),
        limits=provider.limits or SizeLimits(),
        proxy=Hidden(proxy) if proxy else None,
        tls=_tls(config, provider.tls) if provider.tls else None,
    )


def proxy_of(config: Config, provider: ProviderEntry, where: Origin) -> str | None:
    """The provider's own proxy for an origin, or "none". Raises what `resolve_reference` raises."""
    if not provider.proxy:
        return None
    if provider.proxy.lower() == NONE:
        return NONE
    proxy = resolve_reference(provider.proxy, config, (str(where),))
    register_url(proxy)
    return proxy


def _authorisation(config: Config, upstream: Upstream, user: str) -> tuple[Credential | None, Headers]:
    """The credential and its header. A header set by the user replaces ours."""
    scheme = (upstream.preset.auth.get(upstream.protocol) if upstream.preset else None) or SCHEMES[upstream.protocol]
    name = "Authorization" if scheme == "bearer" or _by_adc(upstream) else scheme
    if any(name.lower() == header.lower() for header in upstream.provider.custom_headers):
        return None, {}
    elsewhere = upstream.provider.imported or is_foreign(config)
    if _by_adc(upstream) and elsewhere and not urls.is_vertex(upstream.origin):
        raise ConfigError(
            f'provider "{upstream.provider.id}" is imported; your Google credentials are not sent to {upstream.origin}',
            hint="remove its base_url, or the project from its env table",
            provider=upstream.provider.id,
            file=str(config.path),
        )
    credential = resolve(config, upstream.provider, upstream.model, _need(upstream, user))
    headers: Headers = {}
    if user:
        basic = b64encode(user.encode()).decode()
        register(user.partition(":")[2] or user)
        headers["Authorization"] = Secret(f"Basic {basic}", upstream.origin)
    if credential and name in headers:
        raise ConfigError(
            f'provider "{upstream.provider.id}" in {config.path} has both user:password in its base_url and an API key',
            hint="both use the Authorization header: remove one",
            provider=upstream.provider.id,
            file=str(config.path),
        )
    if credential and credential.secret:
        headers[name] = credential.secret.prefixed("Bearer ") if scheme == "bearer" else credential.secret
    return credential, headers


def _need(upstream: Upstream, user: str) -> Need:
    preset = upstream.preset
    advice = f"get an API key at {preset.key_url}" if preset and preset.key_url else None
    if _is_vertex(upstream):
        advice = f"or set {PROJECT} and {LOCATION} in the env table to use Google's default credentials"
    return Need(
        origin=upstream.origin,
        keyless=bool(user) or bool(preset and preset.keyless),
        adc=_by_adc(upstream),
        places=upstream.places,
        advice=advice,
    )


def _is_vertex(upstream: Upstream) -> bool:
    return upstream.preset is not None and upstream.preset.addressing == "vertexai"


def _by_adc(upstream: Upstream) -> bool:
    return _is_vertex(upstream) and upstream.place is not None


def _custom_headers(config: Config, upstream: Upstream) -> Headers:
    """The user's headers. All are treated as secret, unless name and value show that they are not."""
    headers: Headers = {}
    for name, written in upstream.provider.custom_headers.items():
        where = f"providers.{key_text(upstream.provider.id)}.custom_headers.{key_text(name)}"
        value = _resolved(config, upstream, written, where)
        if not is_header(name, value):
            raise ConfigError(
                f'provider "{upstream.provider.id}" in {config.path} has an invalid header {name!r}',
                hint="use letters, digits and hyphens in the name, and one line of Latin-1 text as the value; modelbay sets "
                "Connection, Content-Length and Transfer-Encoding itself",
                provider=upstream.provider.id,
                file=str(config.path),
            )
        public = not secret_header(name, value) or guessable(name, value)
        public = public and value == written  # the value of a reference is secret
        headers[name] = Secret(value, upstream.origin, known=public)
    return headers


def _resolved(config: Config, upstream: Upstream, value: str, where: str) -> str:
    """A value with its references resolved. A key stored for another origin is refused."""
    if not REFERENCE.search(value):
        return value
    try:
        text = resolve_reference(value, config, upstream.places)
    except ConfigError as error:
        raise type(error)(f"{where}: {error.message}", hint=error.hint, file=str(config.path)) from error
    check_bound(value, config, upstream.origin, where, upstream.provider.id)
    return text


def _in_query(config: Config, upstream: Upstream, reference: str) -> str:
    return quote(_resolved(config, upstream, reference, _place(upstream.provider)), safe="")


def _place(provider: ProviderEntry) -> str:
    """The key of the base URL in the config file."""
    return f"providers.{key_text(provider.id)}.base_url"


def is_header(name: str, value: str) -> bool:
    """Whether a header can be sent."""
    from modelbay.transport.request import FRAMING, HEADER_NAME

    fits = bool(HEADER_NAME.fullmatch(name)) and name.lower() not in FRAMING
    return fits and all(ord(char) < 256 and char not in "\r\n\0" for char in value)


def _tls(config: Config, tls: Tls) -> Tls:
    """The TLS settings with absolute paths. Relative ones start from the config file's folder."""

    def absolute(name: str | None) -> str | None:
        return str(config.path.parent / expanded(name)) if name else None

    return Tls(ca=absolute(tls.ca), cert=absolute(tls.cert), key=absolute(tls.key), insecure=tls.insecure)
