"""The entry that adding a provider will write, prepared before the provider is called and before anything is written."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.config.entries import Unusable, provider_entry
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, ProviderEntry, Table, key_text
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT, has_auth_header
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import origin
from modelbay.providers import presets, urls
from modelbay.providers.endpoint import endpoint_at
from modelbay.providers.upstream import Upstream, upstream
from modelbay.providers.vendor import Preset
from modelbay.recognition import NATIVE, Recognized, recognize, suggested_id

DEPLOYMENT = re.compile(r"(/openai)?/deployments/([^/]+)")
_NOWHERE = Path("config.toml")
"""Placeholder path of a configuration that is never written."""


class Draft(Struct):
    """A provider that will be added or changed: its table and the models that its URL names."""

    id: str
    table: Table
    preset: Preset | None = None
    models: list[str] = field(default_factory=list)
    """Model IDs that the URL itself names, such as an Azure deployment."""


def draft(found: Recognized, id: str, *, base_url: str | None = None, protocol: Protocol | None = None) -> Draft:
    """The entry for a recognized provider.

    Raises:
        ConfigError: the base URL is missing.
    """
    preset = found.preset
    url = base_url or found.url
    protocol = protocol or found.protocol or (preset.protocols[0] if preset else "openai_chat")
    if url is None:
        if preset is not None and preset.ended:
            raise ConfigError(preset.end, hint=f"{preset.instead}; for a server of the same kind, pass --base-url URL")
        url = preset.url(protocol) if preset else None
        if url is None or "{" in url:
            example = f", such as {url}" if url else ""
            named = preset.name if preset else "A list of models"
            raise ConfigError(f"{named} requires a base URL", hint=f"pass --base-url URL{example}")
    url = _settled(url, preset, protocol)
    table: Table = {"type": _type(preset, protocol), "base_url": url}
    if found.kind in ("base", "endpoint") and urls.is_endpoint(url) != (found.kind == "endpoint"):
        table["full_url"] = found.kind == "endpoint"
    if preset is not None and not _at_home(preset, url):
        table["dialect"] = preset.id
    return Draft(id, table, preset, list(found.models))


def azure_draft(
    id: str, *, resource: str | None = None, url: str | None = None, deployment: str | None = None,
    api_version: str | None = None,
) -> Draft:  # fmt: skip
    """The entry for an Azure resource, from its name or from any URL that the Azure portal shows, also a deployment's URL.

    Raises:
        ConfigError: both name and URL are missing, or the name is invalid.
    """
    preset = presets.by_type("azure")
    assert preset is not None and preset.base_url is not None
    if url is None:
        if not resource:
            raise ConfigError(
                "Azure resource name or endpoint is missing", hint="pass --resource NAME or --base-url URL"
            )
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", resource):
            raise ConfigError(
                f'"{resource}" is not an Azure resource name',
                hint="use letters, digits and hyphens, or pass --base-url URL",
            )
        url = preset.base_url.format(resource=resource)
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    api_version = api_version or query.pop("api-version", None)
    named = DEPLOYMENT.search(parts.path)
    path = parts.path
    if named:
        path = path[: named.start()]
        if named[1] is None:
            path += "/deployments"  # a proxy that serves deployments without /openai
        if presets.by_host(host_of(url)) is not preset:
            api_version = api_version or urls.AZURE_DEFAULT  # a proxy serves deployments only, not /openai/v1
    elif urls.is_endpoint(url):
        path = urlsplit(urls.base_of(url)).path
    rest = "&".join(pair for pair in parts.query.split("&") if pair and not pair.startswith("api-version="))
    table: Table = {"type": "azure", "base_url": urlunsplit(parts._replace(path=path.rstrip("/"), query=rest))}
    if api_version:
        table["api_version"] = api_version
    deployments = [deployment] if deployment else [unquote(named[2])] if named else []
    return Draft(id, table, preset, deployments)


def vertex_draft(id: str, project: str | None, location: str | None, url: str | None = None) -> Draft:
    """The entry for Vertex AI. With project and location it uses Google's default credentials, otherwise an API key (express
    mode).
    """
    preset = presets.by_type("vertexai")
    table: Table = {"type": "vertexai"}
    if url:
        table["base_url"] = url
    env = {PROJECT: project, LOCATION: location}
    if any(env.values()):
        table["env"] = {name: value for name, value in env.items() if value}
    return Draft(id, table, preset)


def direct_draft(url: str, protocol: Protocol | None = None, key: str | None = None) -> Draft:
    """The entry for a URL that is called without being added."""
    found = recognize(url)
    id = suggested_id(found) or "provider"
    if found.kind == "azure":
        made = azure_draft(id, url=url)
    elif found.kind == "vertexai":
        made = vertex_draft(id, None, None, url)
    else:
        kind = found.kind if found.document is None else "base"
        made = draft(replace(found, kind=kind), id, protocol=protocol)
    return with_key(made, key)


def standalone_config(config: Config, made: Draft) -> Config:
    """A configuration with this provider only, which is in no file. The file's other settings, such as the network, apply.

    Raises:
        ConfigError: the entry is invalid.
    """
    bare = replace(
        config, exists=True, providers={}, models={}, default_model=None, default_provider=None, problems=[], unknown=[]
    )
    return joined(bare, made)[0]


def protocol_of(type: str) -> Protocol:
    """The protocol of a custom provider's type."""
    return next(protocol for protocol, one in TYPE_OF.items() if one == type)


def native_at(url: str) -> Preset | None:
    """The vendor with URLs of its own kind (Azure, Vertex AI) that a URL belongs to, also behind a proxy; otherwise None."""
    try:
        found = recognize(url)
    except ConfigError:
        return None
    return found.preset if found.kind in NATIVE else None


def with_key(made: Draft, key: str | None) -> Draft:
    """The draft with an API key. Without one, `auth = "none"` is set, unless the provider works without a key anyway."""
    table = {name: value for name, value in made.table.items() if name not in ("api_key", "auth")}
    if key:
        return replace(made, table=with_values(table, api_key=key))
    entry = as_entry(Config(path=_NOWHERE), made.id, table)
    return replace(made, table=table if serves_without_key(entry) else {**table, "auth": "none"})


def serves_without_key(entry: ProviderEntry) -> bool:
    """Whether calls work without an API key: the server is local, the vendor requires none, or another credential is set."""
    config = Config(path=_NOWHERE, providers={entry.id: entry})
    try:
        endpoint_at(config, upstream(config, entry), "/chat/completions")
    except MissingCredential:
        return False
    except ConfigError:
        return True
    return True


def asks_for_key(made: Draft) -> bool:
    """Whether a provider needs an API key and has none yet."""
    entry = as_entry(Config(path=_NOWHERE), made.id, made.table)
    return not entry.api_key and not has_auth_header(entry) and not serves_without_key(entry)


def joined(config: Config, made: Draft) -> tuple[Config, Upstream]:
    """The configuration with the draft added, and the draft's provider in it.

    Raises:
        ConfigError: the entry is invalid.
    """
    entry = as_entry(config, made.id, made.table)
    grown = replace(config, providers={**config.providers, made.id: entry})
    return grown, upstream(grown, entry)


def as_entry(config: Config, id: str, table: Table) -> ProviderEntry:
    try:
        return provider_entry(id, table)
    except Unusable as unusable:
        where = ".".join(["providers", key_text(id), *unusable.keys])
        raise ConfigError(f"{where}: {unusable}", hint=unusable.hint, file=str(config.path)) from None


def model_tables(config: Config, id: str, models: Iterable[tuple[str, str | None]]) -> dict[str, Table]:
    """The models' tables by alias, from model IDs and display names. Other facts are not written: in the file they would
    count as the user's own settings and hide later changes of the provider's list.
    """
    tables: dict[str, Table] = {}
    mine: dict[str, str] = {}
    for entry in config.models.values():
        if entry.provider == id:
            mine.setdefault(entry.model, entry.alias)
    for wire_id, name in models:
        alias = mine.get(wire_id) or f"{id}/{wire_id}"
        tables[alias] = {"model": wire_id, **({"display_name": name} if name and name != wire_id else {})}
    return tables


def host_of(url: str) -> str:
    """The host of a URL in the form that presets use; "" for an invalid URL."""
    try:
        where = origin(url)
    except ValueError:
        return ""
    return f"localhost:{where.port}" if where.loopback else where.host


def with_values(table: Table, **more: object) -> Table:
    """The table with more keys, in the order of a handwritten file: the API key directly below the base URL."""
    first: Table = {name: table[name] for name in ("type", "name", "base_url") if name in table}
    return {**first, **more, **{name: value for name, value in table.items() if name not in first}}


def _type(preset: Preset | None, protocol: Protocol) -> str:
    own = preset.types[0] if preset is not None and preset.types and protocol == preset.protocols[0] else None
    return own or TYPE_OF[protocol]


def _at_home(preset: Preset, url: str) -> bool:
    there = presets.by_host(host_of(url))
    return there is not None and there.id == preset.id


def _settled(url: str, preset: Preset | None, protocol: Protocol) -> str:
    """The vendor's own base URL if only its host was given, or its host with a version; otherwise the URL unchanged."""
    if preset is None or urls.is_endpoint(url):
        return url
    parts = urlsplit(url)
    known = preset.url(protocol)
    if parts.query or known is None or "{" in known or not _at_home(preset, url) or origin(url) != origin(known):
        return url
    return known if not urls.VERSION.sub("", parts.path.rstrip("/")) else url
