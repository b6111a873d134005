"""Prepares a provider for export to an agent."""

from urllib.parse import parse_qsl, urlsplit, urlunsplit

from msgspec.structs import replace

from modelbay.agents.agent import Agent
from modelbay.agents.exported import SECRET, ExportedProvider, absolute, refused
from modelbay.catalog.knowledge import model_facts
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, ModelEntry, ProviderEntry
from modelbay.conversation import Protocol
from modelbay.credentials.credential import key_names
from modelbay.credentials.reference import bound_origin
from modelbay.onboarding.fields import APIS
from modelbay.providers import urls
from modelbay.providers.upstream import Upstream, upstream
from modelbay.secrecy import REFERENCE, bare_url, secret_parameter


def exported_provider(config: Config, id: str, agent: Agent, *, with_keys: bool) -> ExportedProvider:
    """A provider and its models, for an agent.

    Raises:
        UnknownProvider: no provider has this ID.
        Unsupported: the agent cannot use the provider.
        ConfigError: the provider's entry is not valid.
    """
    entry = config.provider(id)
    protocol, found = _protocol_of(config, entry, agent)
    base, query = _address(found, agent)
    models = [model for model in config.models.values() if model.provider == id and not model.flat]
    name = entry.name or (found.preset.name if found.preset else id)
    provider = ExportedProvider(id, name, entry, protocol, base, query, found, config, with_keys)
    if not with_keys:
        _remove_secrets(provider)
    catalog = Catalog()
    for model in models:
        _add_model(config, provider, model, agent, catalog)
    default = next((model for model in provider.models if config.default_model in (model.alias, *model.aliases)), None)
    provider.default_model = default
    _add_key(provider)
    for what in ("proxy", "tls"):
        if getattr(entry, what) is not None:
            why = f"{agent.title} has no such setting, but may read the variables HTTPS_PROXY and NODE_EXTRA_CA_CERTS"
            provider.not_exported(what, why)
    if isinstance(entry.dialect, dict) and entry.dialect.keys() - {"preset", "prompt_cache_key", "include_usage"}:
        provider.not_exported("dialect", f"{agent.title} does not support it")
    return provider


def _remove_secrets(provider: ExportedProvider) -> None:
    """Remove secrets from the base URL, with a note for each."""
    bare, user = urls.without_user(provider.base_url)
    provider.base_url = bare.partition("#")[0]
    if user:
        provider.not_exported("user and password of the base URL", SECRET)
    if provider.base_url != bare:
        provider.not_exported("fragment of the base URL", SECRET)
    for name, value in list(provider.query.items()):
        if secret_parameter(name, value):
            del provider.query[name]
            provider.query_removed = True
            provider.not_exported(f"parameter {name}", SECRET)
    if provider.entry.base_url:
        provider.entry = replace(provider.entry, base_url=bare_url(provider.entry.base_url))


def _protocol_of(config: Config, entry: ProviderEntry, agent: Agent) -> tuple[Protocol, Upstream]:
    usual = upstream(config, entry)
    if usual.protocol in agent.protocols:
        return usual.protocol, usual
    offered = usual.preset.protocols if usual.preset and usual.preset.addressing == "plain" else []
    for protocol in agent.protocols:
        if protocol in offered:
            asked = ModelEntry(alias="", provider=entry.id, model="", protocol=protocol)
            return protocol, upstream(config, entry, asked)
    wanted = " or ".join(APIS[protocol] for protocol in agent.protocols)
    raise refused(
        entry.id, f"{agent.title} supports only {wanted}, and provider {entry.id} uses {APIS[usual.protocol]}"
    )


def _address(found: Upstream, agent: Agent) -> tuple[str, dict[str, str]]:
    """The base URL that agents append paths to, and its query."""
    entry, addressing = found.provider, found.preset.addressing if found.preset else "plain"
    base = urls.base_of(found.base_url) if found.full_url is not False else found.base_url
    if addressing == "azure":
        base = urls.azure_url(base, "", "")
        if entry.api_version or "api-version=" in base:
            raise refused(
                entry.id,
                f"{agent.title} calls Azure without an api-version, but provider {entry.id} has one",
                f"add the resource's /openai/v1 without api-version: `modelbay provider add azure --id {entry.id}-v1`",
            )
    parts = urlsplit(base)
    if found.full_url is not False and (found.full_url or urls.is_endpoint(base)) and base == found.base_url:
        raise refused(
            entry.id,
            f"the URL of provider {entry.id} is a full endpoint, but {agent.title} appends the path itself",
        )
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query, keep_blank_values=True))


def _add_model(
    config: Config,
    provider: ExportedProvider,
    model: ModelEntry,
    agent: Agent,
    catalog: Catalog,
) -> None:
    protocol = model.protocol or provider.protocol
    if protocol not in agent.protocols:
        provider.not_exported(f"model {model.alias}", f"{agent.title} does not support {APIS[protocol]}")
        return
    served = upstream(config, provider.entry, model)
    if served.origin != provider.upstream.origin and _has_own_credential(provider, model):
        why = f"{agent.title} would send the key of {provider.id} to {served.origin}"
        provider.not_exported(f"model {model.alias}", why)
        return
    if not agent.model_urls and served.base_url != provider.upstream.base_url:
        why = f"its base URL is {bare_url(served.base_url)}, but {agent.title} supports one base URL per provider"
        provider.not_exported(f"model {model.alias}", why)
        return
    if protocol != provider.protocol:
        provider.protocols[model.alias] = protocol
    if model.base_url and not provider.with_keys and bare_url(model.base_url) != model.base_url:
        provider.not_exported(f"secret in the base URL of model {model.alias}", SECRET)
        model = replace(model, base_url=bare_url(model.base_url))
    provider.models.append(model)
    if model.api_key or model.oauth:
        provider.not_exported(f"credential of model {model.alias}", "a model's own credential is never exported")
    provider.facts[model.alias] = model_facts(model, served, catalog.facts(model, served))


def _has_own_credential(provider: ExportedProvider, model: ModelEntry) -> bool:
    """Whether a model at another origin is called without the provider's key."""
    if model.api_key or model.oauth:
        return True
    written = [provider.entry.api_key or "", *provider.entry.env.values(), *provider.entry.custom_headers.values()]
    references = [found[0] for value in written for found in REFERENCE.finditer(value)]
    return any(bound_origin(reference, provider.config) is not None for reference in references)


def _add_key(provider: ExportedProvider) -> None:
    entry = provider.entry
    named = (entry.env.get(name, "").strip() for name in key_names(entry))
    written = entry.api_key or next(filter(None, named), "")
    if entry.oauth and not written:
        provider.not_exported("login", "tokens are not shared: log in to the agent too")
    elif entry.auth != "none":
        match = REFERENCE.fullmatch(written)
        if match:
            provider.check_approved(written)
        provider.key = absolute(provider.config, match[1], match[2].strip()) if match else written
