"""The gateway as a provider for export: one base URL and one key, through which an agent uses every configured model."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from modelbay.agents.exported import ExportedProvider
from modelbay.catalog.knowledge import model_facts
from modelbay.catalog.lookup import Catalog
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, GatewaySettings, ModelEntry, ProviderEntry
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError, UnknownModel
from modelbay.providers.upstream import Upstream, upstream

ID = "modelbay"
"""The gateway's ID in the files of agents."""
RETRIES = 6
"""Retries that an agent asks the gateway for, in a header, if it repeats few requests itself. All pauses together take half
a minute at most, or as long as the provider asks for."""


def gateway_provider(
    config: Config, protocols: Sequence[Protocol], key_file: Path, *, with_keys: bool
) -> ExportedProvider:
    """The gateway with every configured model, for an agent that speaks `protocols`. `key_file` contains the client key.

    A model keeps the protocol of its provider if the agent speaks it: the gateway then passes requests on unchanged, which keeps
    the provider's prompt cache.

    Raises:
        ConfigError: `[gateway]` is not valid, or no model can be used.
    """
    settings, default = _settings(config), _default(config)
    usable, unusable = _models(config, default)
    if not usable:
        raise ConfigError("no model can be used", hint="connect a provider first: `modelbay provider add`")
    used = {entry.alias: served.protocol if served.protocol in protocols else protocols[0] for entry, served in usable}
    main = Counter(used.values()).most_common(1)[0][0]
    exported = _provider(config, settings, main, key_file, with_keys=with_keys)
    catalog = Catalog()
    for entry, served in usable:
        model = _model(entry, used[entry.alias], exported.base_url, settings.local_url)
        exported.models.append(model)
        exported.facts[model.alias] = model_facts(entry, served, catalog.facts(entry, served))
        if used[entry.alias] != main:
            exported.protocols[model.alias] = used[entry.alias]
        if default is not None and entry.alias == default.alias:
            exported.default_model = model
    for alias, why in unusable:
        exported.not_exported(f"model {alias}", why)
    return exported


def _settings(config: Config) -> GatewaySettings:
    if config.gateway is not None:
        return config.gateway
    problem = next(problem for problem in config.problems if problem.where.startswith("gateway"))
    raise ConfigError(str(problem), hint=problem.hint, file=problem.file, line=problem.line)


def _default(config: Config) -> ModelEntry | None:
    try:
        return config.model() if config.default_model else None
    except UnknownModel:
        return None


def _models(
    config: Config, default: ModelEntry | None
) -> tuple[list[tuple[ModelEntry, Upstream]], list[tuple[str, str]]]:
    """The models that can be used, with their upstreams, and the reason for each of the others."""
    entries = [*config.models.values(), *([default] if default and not default.configured else [])]
    usable, unusable = [], []
    for entry in entries:
        try:
            usable.append((entry, upstream(config, config.provider_of(entry), entry)))
        except ConfigError as error:
            unusable.append((entry.alias, error.message))
    return usable, unusable


def _provider(
    config: Config, settings: GatewaySettings, protocol: Protocol, key_file: Path, *, with_keys: bool
) -> ExportedProvider:
    entry = ProviderEntry(
        id=ID,
        name=ID,
        type=TYPE_OF[protocol],
        base_url=_base_url(settings.local_url, protocol),
        api_key=f"{{file:{key_file}}}" if settings.auth == "keys" else None,
        auth="none" if settings.auth == "none" else None,
    )
    alone = Config(path=config.path, providers={ID: entry})
    return ExportedProvider(
        id=ID,
        name=ID,
        entry=entry,
        protocol=protocol,
        base_url=entry.base_url or "",
        query={},
        upstream=upstream(alone, entry),
        config=alone,
        with_keys=with_keys,
        key=entry.api_key or "",
        of_gateway=True,
    )


def _base_url(url: str, protocol: Protocol) -> str:
    """The base URL that clients of a protocol expect. Google's add the version themselves."""
    return url if protocol == "google" else f"{url}/v1"


def _model(entry: ModelEntry, protocol: Protocol, base_url: str, url: str) -> ModelEntry:
    """The entry of a model at the gateway, where its alias is its ID. Its alias for the agent is prefixed: the agent may have the
    model already, directly from the provider."""
    own = _base_url(url, protocol)
    # clients of Google take a name with a slash for a whole resource name
    is_resource = protocol == "google" and "/" in entry.alias
    return replace(
        entry,
        alias=f"{ID}/{entry.alias}",
        provider=ID,
        model=f"models/{entry.alias}" if is_resource else entry.alias,
        protocol=protocol,
        base_url=None if own == base_url else own,
        api_key=None,
        oauth=None,
        flat=False,
        variant=None,
    )
