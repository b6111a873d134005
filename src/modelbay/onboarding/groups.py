"""The providers in groups: the providers of a registry are one group. Platforms with a login are not included."""

from urllib.parse import urlsplit

from msgspec import Struct

from modelbay.config.schema import REGISTRY, Config, ProviderEntry
from modelbay.errors import ConfigError
from modelbay.providers import logins
from modelbay.providers.upstream import upstream
from modelbay.secrecy import masked_url


class Group(Struct):
    """Providers that are listed and removed together."""

    label: str
    place: str
    """The base URL without secrets, or the error of its entry."""
    providers: list[str]
    models: int
    source: str | None = None
    """Kind of source, such as "manifest"; None if the user wrote the entry."""
    current: bool = False
    """Whether it includes the provider of the current model."""


def groups(config: Config, current: str | None = None) -> list[Group]:
    """The providers in the order of the file, grouped by source. `current` is the provider of the current model."""
    found: dict[tuple[str, ...], Group] = {}
    for entry in config.providers.values():
        if logins.managing(entry) is not None:
            continue
        source = entry.source or {}
        kind, url = source.get("kind"), source.get("url")
        key = (REGISTRY, str(url)) if kind == REGISTRY and url else ("provider", entry.id)
        if key not in found:
            of_registry = key[0] == REGISTRY
            label = _host_and_path(str(url)) if of_registry else entry.name or entry.id
            found[key] = Group(label, "" if of_registry else _place(config, entry), [], 0, str(kind) if kind else None)
        group = found[key]
        group.providers.append(entry.id)
        group.models += sum(model.provider == entry.id for model in config.models.values())
        group.current = group.current or entry.id == current
    return list(found.values())


def _place(config: Config, entry: ProviderEntry) -> str:
    try:
        return masked_url(upstream(config, entry).base_url)
    except ConfigError as error:
        return error.message


def _host_and_path(url: str) -> str:
    parts = urlsplit(masked_url(url))
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
