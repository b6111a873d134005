"""Recognizes the argument that names a provider: a vendor's name, a URL, or a document that describes models or providers."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from shlex import quote
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.catalog.lists.listing import parse_list
from modelbay.conversation import Json, Protocol
from modelbay.errors import ConfigError, InvalidValue, MalformedReply, ModelbayError
from modelbay.json_text import BOM, decode, fault, unfenced
from modelbay.origin import origin
from modelbay.providers import presets, urls
from modelbay.providers.vendor import Preset
from modelbay.secrecy import masked_url

Kind: TypeAlias = Literal[
    "vendor", "base", "endpoint", "list", "manifest", "registry", "azure", "vertexai", "catalog", "local"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
TITLES: dict[Kind, str] = {
    "vendor": "a vendor",
    "base": "a base URL",
    "endpoint": "a full endpoint",
    "list": "a list of models",
    "manifest": "a provider manifest",
    "registry": "a provider registry",
    "azure": "an Azure resource",
    "vertexai": "Google's Vertex AI",
    "catalog": "a catalog provider",
    "local": "a local server",
}
NATIVE: tuple[Kind, ...] = ("azure", "vertexai")
"""Kinds with their own URL scheme, which cannot be added as custom providers."""
AZURE_PATH = re.compile(r"/openai/deployments/[^/]+")
"""A path that only Azure uses."""
ENDS: dict[str, Protocol] = {
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/messages": "anthropic",
}
"""The protocol of a full endpoint, by the end of its path."""
URL = re.compile(r"https?://[^\s\"'`<>\\?#]+", re.IGNORECASE)
"""A URL within another text, without its query parameters, which may be secret."""
GOOGLE_CALL = re.compile(r"(.*)/models/([^/:]+):(?:generateContent|streamGenerateContent)/*$")
"""Base URL and model in the URL of a call. The base URL serves other models too."""


class Recognized(Struct):
    kind: Kind
    preset: Preset | None = None
    url: str | None = None
    """The provider's URL as it was given; for a list of models, without `/models`."""
    protocol: Protocol | None = None
    content: Json = None
    """The decoded document, if one was given or fetched."""
    models: list[str] = field(default_factory=list)
    """Model IDs that the URL itself names."""
    document: str | None = None
    """URL of a document to fetch first: only its content shows whether it is a list, a manifest or a registry."""

    @property
    def title(self) -> str:
        if self.kind in NATIVE or self.preset is None:
            return TITLES[self.kind]
        return self.preset.name if self.kind == "vendor" else f"{TITLES[self.kind]} of {self.preset.name}"


def recognize(what: str, forced: Kind | None = None) -> Recognized:
    """Recognize a name or URL by its form. Nothing is fetched.

    Raises:
        ConfigError: it cannot be a provider; the hint suggests what the user may have meant.
    """
    what = what.strip()
    if not what.lower().startswith(("http://", "https://")):
        return _named(what, forced)
    try:
        where = origin(what)
    except ValueError as error:
        raise ConfigError(f"{masked_url(what)}: {error}", hint="use a URL such as https://api.example.com/v1") from None
    host = f"localhost:{where.port}" if where.loopback else where.host
    preset = presets.by_host(host)
    if preset is None and AZURE_PATH.search(urlsplit(what).path):
        preset = presets.by_type("azure")  # behind a proxy
    native = preset.addressing if preset is not None and preset.addressing != "plain" else None
    if forced in NATIVE or (native and forced is None):
        return Recognized(forced or native or "base", preset, what)
    protocol = protocol_at(what, preset)
    if forced in ("base", "endpoint"):
        return Recognized(forced, preset, what, protocol)
    if (call := _google_call(what)) is not None:
        return Recognized("base", preset, call[0], protocol, models=[call[1]])
    if forced in ("list", "manifest", "registry") or (forced is None and _may_be_document(what)):
        return Recognized(forced or "list", preset, base_beside(what), protocol, document=what.removesuffix("/"))
    return Recognized("endpoint" if urls.is_endpoint(what) else "base", preset, what, protocol)


def recognize_text(data: bytes, source: str, forced: Kind | None = None) -> Recognized:
    """Recognize the content of a file or of standard input. A single URL in it is recognized as that URL.

    Raises:
        ConfigError: the content is not a URL, list of models, manifest or registry.
    """
    data = unfenced(data)
    try:
        content = decode(data.removeprefix(BOM))
    except MalformedReply:
        if (place := fault(data)) is not None:
            number, column, why = place
            raise ConfigError(
                f"{source}: not JSON at line {number}, column {column}: {why}", hint="correct the JSON"
            ) from None
        line = data.decode("utf-8", "replace").strip()
        if line and "\n" not in line and len(line) < 2000 and line.startswith(("http://", "https://")):
            return recognize(line, forced)
        raise ConfigError(f"{source} is neither JSON nor a URL", hint=_known_forms()) from None
    return recognize_content(content, source, forced)


def recognize_content(content: Json, source: str, forced: Kind | None = None) -> Recognized:
    """Recognize decoded JSON.

    Raises:
        ConfigError: it is not a list of models, a manifest or a registry.
    """
    kind = forced or kind_of(content)
    if kind not in ("list", "manifest", "registry"):
        raise ConfigError(f"{source} is not a list of models, a manifest or a registry", hint=_known_forms())
    return Recognized(kind, content=content)


def kind_of(content: Json) -> Kind | None:
    """The kind of decoded JSON: a list of models, a manifest or a registry; None: another document."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict) and ("models_data_source" in first or "baseUrl" in first):
        return "manifest"
    if isinstance(content, dict) and content and _is_registry(list(content.values())):
        return "registry"
    try:
        return "list" if parse_list(content).models or isinstance(content, dict) else None
    except (MalformedReply, ModelbayError):
        return None


def protocol_at(url: str, preset: Preset | None) -> Protocol | None:
    """The protocol of a URL, by its path or its vendor; None: unknown."""
    path = urlsplit(url).path.rstrip("/")
    protocol = protocol_in_path(url)
    if protocol is not None or preset is None:
        return protocol
    bare = urls.VERSION.sub("", path)
    for protocol in preset.protocols:
        known = preset.url(protocol)
        if known and urls.VERSION.sub("", urlsplit(known).path.rstrip("/")) == bare:
            return protocol
    return preset.protocols[0]


def protocol_in_path(url: str) -> Protocol | None:
    """The protocol of a URL by its path alone; None: unknown."""
    path = urlsplit(url).path.rstrip("/")
    for end, protocol in ENDS.items():
        if path.endswith(end):
            return protocol
    if urls.GOOGLE_METHOD.search(path):
        return "google"
    return "anthropic" if path.endswith(("/anthropic", "/anthropic/v1")) else None


def _google_call(url: str) -> tuple[str, str] | None:
    """Base URL and model ID, if the URL is a call of Google's protocol."""
    parts = urlsplit(url)
    call = GOOGLE_CALL.fullmatch(parts.path)
    if call is None or "/publishers/" in call[1]:
        return None
    query = "&".join(pair for pair in parts.query.split("&") if pair and not pair.startswith("alt="))
    return urlunsplit(parts._replace(path=call[1], query=query)), unquote(call[2])


def suggested_id(found: Recognized, taken: Iterable[str] = ()) -> str:
    """An ID for the provider: the vendor's ID, otherwise one derived from the host name."""
    if found.preset is not None:
        return found.preset.id
    if not found.url:
        return ""
    where = origin(found.url)
    if where.loopback or where.host.replace(".", "").isdigit() or ":" in where.host:
        return f"{'localhost' if where.loopback else where.host.replace('.', '-').replace(':', '-')}-{where.port}"
    labels = [label for label in where.host.split(".")[:-1] if label not in _COMMON] or where.host.split(".")
    name = "".join(char if char.isascii() and char.isalnum() else "-" for char in labels[0].lower())
    return name.strip("-") or "provider"


_COMMON = frozenset(
    {"api", "www", "llm", "ai", "gateway", "inference", "chat", "app", "v1", "co", "com", "custom-endpoint"}
)


def _named(what: str, forced: Kind | None) -> Recognized:
    preset = presets.by_name(what)
    if preset is None and forced not in NATIVE:
        raise InvalidValue(f'unknown provider "{what}": not a vendor name, URL or file', hint=_hint(what))
    if preset is None:
        preset = presets.by_type(str(forced))
    kind: Kind = "vendor"
    if preset is not None and preset.addressing != "plain":
        kind = preset.addressing
    return Recognized(kind, preset, protocol=preset.protocols[0] if preset else None)


def _hint(what: str) -> str:
    if (url := URL.search(what)) and masked_url(url[0]) == url[0]:  # in quotes, a curl command or a line of a shell
        return f"did you mean {url[0]}? `modelbay provider add {quote(url[0])}`"
    if "." in what.partition("/")[0] or what.startswith("localhost"):
        return f"did you mean {with_scheme(what)}? `modelbay provider add {quote(with_scheme(what))}`"
    if (broken := presets.broken(what)) is not None:
        return broken
    if _is_in_catalog(what.lower()):
        return f"add it from models.dev: `modelbay provider catalog add {what.lower()}`"
    near = presets.similar(what)
    return f"did you mean {' or '.join(near)}? `modelbay provider add {near[0]}`" if near else _known_forms()


def _is_in_catalog(id: str) -> bool:
    """Whether models.dev has a provider with this ID that can be added."""
    from modelbay.catalog.models_dev.live import ModelsDev
    from modelbay.catalog.models_dev.providers import wire

    entry = ModelsDev().providers.get(id)
    return entry is not None and wire(entry).refused is None


def with_scheme(what: str) -> str:
    """The URL of a host and path that were written without a scheme."""
    return f"{'http' if _is_near(what) else 'https'}://{what}"


def _is_near(what: str) -> bool:
    """Whether a host without a scheme is local or in a private network, where servers rarely have certificates."""
    host = what.partition("/")[0].partition(":")[0]
    try:
        return host == "localhost" or ip_address(host).is_private
    except ValueError:
        return False


def _known_forms() -> str:
    forms = "pass a vendor's name, a URL that begins with https://, or a JSON file (`-` for standard input)"
    return f"{forms}; see `modelbay docs providers`"


def _may_be_document(url: str) -> bool:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return path.endswith(("/models", ".json")) or any(name == "provider" for name, _ in parse_qsl(parts.query))


def base_beside(url: str) -> str:
    """The base URL of a list of models, without query parameters that select another form of the list."""
    parts = urlsplit(url)
    asked = ("provider", "extended", "limit")
    query = "&".join(pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in asked)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/").removesuffix("/models"), query=query))


def _is_registry(entries: list[Json]) -> bool:
    """Whether these are providers. One with a URL is enough, because other entries may be broken."""

    return all(map(_is_provider, entries)) or any(
        isinstance(entry, dict) and _is_provider(entry) and isinstance(entry.get("api"), str) for entry in entries
    )


def _is_provider(entry: Json) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("models"), dict | list)
