"""Combines a provider's entry, type and vendor preset into what is needed to call it."""

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import asdict, replace

from modelbay.config.entries import Unusable, made
from modelbay.config.keys import KnownKeys, nearest
from modelbay.config.provider_types import TYPES
from modelbay.config.proxies import NONE
from modelbay.config.schema import Config, ModelEntry, ProviderEntry, key_text
from modelbay.conversation import Protocol
from modelbay.credentials.approval import place_of
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import ConfigError
from modelbay.origin import Origin, origin
from modelbay.providers import presets, urls
from modelbay.providers.vendor import Preset
from modelbay.secrecy import REFERENCE

_CAUTIOUS: dict[str, dict[str, Any]] = {
    "openai_responses": {"namespaces": False},  # llama.cpp's server silently ignores them
    "anthropic": {"tool_name": "[a-zA-Z0-9_-]{1,64}"},  # servers behind a compatible host may not accept more
}
"""Restrictions for endpoints that may not support the whole protocol of its owner: sending less works everywhere."""


class Upstream(Struct, frozen=True, kw_only=True):
    """The target of calls and its dialect. `endpoint.endpoint_at` turns it into an endpoint."""

    provider: ProviderEntry
    model: ModelEntry | None
    preset: Preset | None
    protocol: Protocol
    dialect: Dialect
    base_url: str
    full_url: bool | None
    origin: Origin
    """The only origin that credentials may be sent to."""
    place: tuple[str, str] | None
    """Google Cloud project and location, if both are known."""

    def __repr__(self) -> str:
        return f"Upstream({self.provider.id!r}, {self.protocol!r}, {str(self.origin)!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("provider", self.provider.id), ("protocol", self.protocol), ("origin", str(self.origin))]

    @property
    def places(self) -> tuple[str, ...]:
        """All origins that receive requests: the provider's own, and that of a proxy in the entry."""
        proxy = self.provider.proxy
        if not proxy or proxy.lower() == NONE or REFERENCE.fullmatch(proxy.strip()):
            return (str(self.origin),)
        try:
            return (str(self.origin), place_of(proxy.strip()))
        except ValueError:
            return (str(self.origin),)  # the transport reports what is wrong with it

    @property
    def vendor(self) -> str:
        """The preset's ID; "" for an unknown vendor."""
        return self.preset.id if self.preset else ""


def upstream(config: Config, provider: ProviderEntry, model: ModelEntry | None = None) -> Upstream:
    """The upstream of a provider, for one of its models or in its default protocol.

    Raises:
        ConfigError: the provider's base URL, type or vendor is missing or invalid.
    """
    at_model = model.base_url if model and not model.flat else None
    base = at_model or provider.base_url or _env_url(config, provider)
    full = None if at_model else provider.full_url
    place = _place(config, provider, base)
    type = "vertexai" if provider.type == "google-genai" and place else provider.type or ""  # as in Kimi Code
    row = TYPES.get(type)
    named = _named_preset(config, provider)
    if base is None and row and not named:
        base = row.base_url
    preset = named or _preset_at(base, type)
    usual = row.protocol if row else preset.protocols[0] if preset else None
    publisher = preset.publisher(model.identity)[0] if model and preset and usual else None
    protocol = (model.protocol if model else None) or (publisher.protocol if publisher else None) or usual
    if protocol is None and model is not None and model.flat:
        raise ConfigError(
            f'model "{model.alias}" in {config.path} has neither a protocol nor the base URL of a known vendor',
            hint='add protocol = "openai_chat"',
            file=str(config.path),
        )
    if protocol is None:
        raise _unusable(config, provider, "has neither a type nor a known vendor", 'add type = "openai"')
    if base is None:
        base = _vendor_url(config, provider, preset, protocol, place)
    elif protocol != usual and not at_model and not full:
        base = _sibling(urls.base_of(base), preset, protocol)
    where = origin(base)
    if at_model:
        _check_import(config, provider, where)
    return Upstream(
        provider=provider,
        model=model,
        preset=preset,
        protocol=protocol,
        dialect=_dialect(config, provider, preset, protocol),
        base_url=base,
        full_url=full,
        origin=where,
        place=place,
    )


def _env_url(config: Config, provider: ProviderEntry) -> str | None:
    row = TYPES.get(provider.type or "")
    for name in row.url_names if row else ():
        url = provider.env.get(name, "").strip()
        if url:
            try:
                origin(url)
            except ValueError as error:
                raise _unusable(config, provider, f"has an invalid {name} in its env table: {error}") from None
            return url
    return None


def _place(config: Config, provider: ProviderEntry, base: str | None) -> tuple[str, str] | None:
    project = provider.env.get(PROJECT, "").strip()
    location = provider.env.get(LOCATION, "").strip()
    if not location and base:
        location = urls.vertex_location(origin(base).host) or ""
    if not (project and location):
        return None
    for name, value in ((PROJECT, project), (LOCATION, location)):
        if not re.fullmatch(r"[A-Za-z0-9.:_-]+", value):  # it becomes part of a host or path
            raise _unusable(config, provider, f"has an invalid {name} in its env table")
    return project, location


def _named_preset(config: Config, provider: ProviderEntry) -> Preset | None:
    name = provider.dialect if isinstance(provider.dialect, str) else (provider.dialect or {}).get("preset")
    if name is None:
        return None
    preset = presets.by_id(str(name))
    if preset is None:
        meant = presets.by_name(str(name))
        known = ", ".join(preset.id for preset in presets.all())
        hint = presets.broken(str(name)) or (f'write "{meant.id}"' if meant else f"must be one of: {known}")
        raise _unusable(config, provider, f'has an unknown dialect "{name}"', hint)
    return preset


def _preset_at(base: str | None, type: str) -> Preset | None:
    where = origin(base) if base else None
    host = f"localhost:{where.port}" if where and where.loopback else where.host if where else ""
    return presets.by_host(host) or presets.by_type(type)


def _vendor_url(
    config: Config, provider: ProviderEntry, preset: Preset | None, protocol: Protocol, place: tuple[str, str] | None
) -> str:
    """The vendor's base URL, for an entry without one."""
    if preset and preset.addressing == "vertexai":
        return urls.vertex_base(place[1] if place else "global")
    url = preset.url(protocol) if preset else None
    if url is None or preset is None:
        raise _unusable(config, provider, "has no base_url", 'add base_url = "https://..."')
    if preset.file:  # a change of this file must not send the entry's key to another host
        raise _unusable(config, provider, "has no base_url", f'add base_url = "{url}"')
    for name in re.findall(r"\{(\w+)\}", url):
        keys = preset.placeholders.get(name, [])
        value = next((provider.env[key].strip() for key in keys if provider.env.get(key, "").strip()), "")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            names = f", or {keys[0]} under [providers.{key_text(provider.id)}.env]" if keys else ""
            raise _unusable(config, provider, "has no base_url", f'add base_url = "{url}"{names}')
        url = url.replace(f"{{{name}}}", value)
    return url


def _sibling(base: str, preset: Preset | None, protocol: Protocol) -> str:
    """The base URL for a protocol other than the entry's own, if its vendor has one at the same host."""

    def stem(url: str) -> str:
        return urls.VERSION.sub("", urlsplit(url).path.rstrip("/"))

    wanted = preset.url(protocol) if preset and protocol in preset.protocols else None
    if preset is None or wanted is None or stem(base) == stem(wanted):
        return base
    known = {stem(url) for other in preset.protocols if (url := preset.url(other))}
    return urlunsplit(urlsplit(base)._replace(path=urlsplit(wanted).path)) if stem(base) in known else base


def _check_import(config: Config, provider: ProviderEntry, where: Origin) -> None:
    """Prevent an imported list, which is fetched repeatedly, from sending the provider's key elsewhere."""
    if provider.imported and upstream(config, provider).origin != where:
        raise _unusable(
            config,
            provider,
            f"is imported, and its key is not sent to {where}, the base URL of a model",
            "add a separate provider for the model",
        )


def _dialect(config: Config, provider: ProviderEntry, preset: Preset | None, protocol: Protocol) -> Dialect:
    dialect = preset.dialect_of(protocol) if preset else PLAIN
    if preset is None or protocol not in preset.protocols:
        dialect = replace(dialect, **_CAUTIOUS.get(protocol, {}))
    if not isinstance(provider.dialect, dict):
        return dialect
    own = {key: value for key, value in provider.dialect.items() if key != "preset"}
    fields = frozenset(Dialect.__struct_fields__)
    for key in sorted(own.keys() - fields):
        near = nearest(key, KnownKeys(fields))
        hint = f'rename it to "{near}"' if near else "see `modelbay docs reference/dialects` for the fields"
        raise _unusable(config, provider, f"has an invalid dialect: {key}: unknown key", hint)
    try:
        return made(Dialect, {**asdict(dialect), **own})
    except Unusable as error:
        where = ".".join(error.keys)
        raise _unusable(config, provider, f"has an invalid dialect: {where}: {error}", error.hint) from None


def _unusable(config: Config, provider: ProviderEntry, why: str, hint: str | None = None) -> ConfigError:
    return ConfigError(
        f'provider "{provider.id}" in {config.path} {why}', hint=hint, provider=provider.id, file=str(config.path)
    )
