"""A provider prepared for export to an agent: base URL, protocol, models, and the key or a reference to it."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.knowledge import model_facts
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, ModelEntry, ProviderEntry
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials import approval
from modelbay.credentials.credential import AUTH_HEADERS, has_auth_header, key_names
from modelbay.credentials.reference import bound_origin, resolve_reference
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.onboarding.draft import serves_without_key
from modelbay.onboarding.fields import APIS
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.providers.endpoint import endpoint_at
from modelbay.providers.upstream import Upstream, upstream
from modelbay.secrecy import REFERENCE, bare_url, secret_header, secret_parameter
from modelbay.storage.paths import expanded

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent

SECRET = "secret; pass --keys to export it"
NO_KEY = "none"
"""The key that is written for providers without one, if the agent does not start without a key."""


class ExportedProvider(Struct):
    id: str
    name: str
    entry: ProviderEntry
    protocol: Protocol
    base_url: str
    """The base URL without a query and without the protocol's own path."""
    query: dict[str, str]
    """The query of the base URL, with secrets only if `with_keys`."""
    upstream: Upstream
    config: Config
    with_keys: bool
    """Whether secrets are exported that the agent cannot read by reference."""
    key: str = ""
    """The key or a reference to it; "" if there is none."""
    query_removed: bool = False
    """Whether secret parameters were removed from the query."""
    models: list[ModelEntry] = field(default_factory=list)
    default_model: ModelEntry | None = None
    protocols: dict[str, Protocol] = field(default_factory=dict)
    """The protocols of models that differ from the provider's, by alias."""
    facts: dict[str, Model] = field(default_factory=dict)
    """The known facts about each model, by alias. Most agents have no facts of their own."""
    notes: list[str] = field(default_factory=list)
    of_gateway: bool = False
    """Whether it is modelbay's gateway, which knows no model names but those of the configuration."""

    @property
    def variable(self) -> str:
        """The environment variable for its key, if the configuration names none."""
        return re.sub(r"[^A-Z0-9]+", "_", self.id.upper()).strip("_") + "_API_KEY"

    @property
    def reference(self) -> tuple[str, str]:
        """The kind and the target of the key's reference; two empty strings if the key is not a reference."""
        match = REFERENCE.fullmatch(self.key)
        return (match[1], match[2]) if match else ("", "")

    @property
    def needs_no_key(self) -> bool:
        """Whether the provider accepts calls without a key. Agents that require one get `NO_KEY`."""
        signed = has_auth_header(self.entry) or self.entry.oauth is not None
        return not self.key and not signed and (self.entry.auth == "none" or serves_without_key(self.entry))

    def secret(self) -> str:
        """The key itself; "" if it is not exported.

        Raises:
            ConfigError: the key cannot be read, or belongs to another URL.
        """
        if not self.with_keys or not self.key:
            return ""
        credential = endpoint_at(self.config, self.upstream, "/chat/completions").credential
        return credential.secret.reveal() if credential is not None and credential.secret is not None else ""

    def headers(self, follows: Collection[str] = (), *, inside: bool = False) -> dict[str, str]:
        """The headers for an agent that follows references of the kinds `follows`: as a whole value, or also `inside` a text.

        Other references are resolved with `with_keys`, otherwise their headers are not exported.
        """
        headers = {}
        for name, value in self.entry.custom_headers.items():
            references = list(REFERENCE.finditer(value))
            for found in references:
                self.check_approved(found[0])
            whole = len(references) == 1 and references[0][0] == value.strip()
            if references and all(found[1] in follows for found in references) and (whole or inside):
                headers[name] = REFERENCE.sub(lambda found: _absolute(self.config, found[1], found[2].strip()), value)
            elif self.with_keys:
                headers[name] = resolve_reference(value, self.config, self.upstream.places)
            elif references or secret_header(name, value):
                self.not_exported(f"header {name}", SECRET)
            else:
                headers[name] = value
        return headers

    def check_approved(self, reference: str) -> None:
        """Checks a reference that is to be exported: the agent must not follow a reference that modelbay would not follow.

        Raises:
            ConfigError: the reference is not approved.
        """
        approval.check(reference, self.config, self.upstream.places, bound_origin(reference, self.config))

    def not_exported(self, what: str, why: str = "the agent has no such setting") -> None:
        self.notes.append(f"{self.id}: {what} not exported: {why}")

    def note(self, text: str) -> None:
        self.notes.append(f"{self.id}: {text}")


def exported_provider(config: Config, id: str, agent: "Agent", *, with_keys: bool) -> ExportedProvider:
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
    """Removes secrets from the base URL, with a note for each."""
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


def _protocol_of(config: Config, entry: ProviderEntry, agent: "Agent") -> tuple[Protocol, Upstream]:
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
        agent.id, entry.id, f"{agent.title} supports only {wanted}, and provider {entry.id} uses {APIS[usual.protocol]}"
    )


def _address(found: Upstream, agent: "Agent") -> tuple[str, dict[str, str]]:
    """The base URL that agents append paths to, and its query."""
    entry, addressing = found.provider, found.preset.addressing if found.preset else "plain"
    base = urls.base_of(found.base_url) if found.full_url is not False else found.base_url
    if addressing == "azure":
        base = urls.azure_url(base, "", "")
        if entry.api_version or "api-version=" in base:
            raise refused(
                agent.id,
                entry.id,
                f"{agent.title} calls Azure without an api-version, but provider {entry.id} has one",
                f"add the resource's /openai/v1 without api-version: `modelbay provider add azure --id {entry.id}-v1`",
            )
    parts = urlsplit(base)
    if found.full_url is not False and (found.full_url or urls.is_endpoint(base)) and base == found.base_url:
        raise refused(
            agent.id,
            entry.id,
            f"the URL of provider {entry.id} is a full endpoint, but {agent.title} appends the path itself",
        )
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query, keep_blank_values=True))


def _add_model(
    config: Config,
    provider: ExportedProvider,
    model: ModelEntry,
    agent: "Agent",
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
    provider.facts[model.alias] = model_facts(model, served, catalog.said(model, served))


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
        provider.key = _absolute(provider.config, match[1], match[2].strip()) if match else written


def _absolute(config: Config, kind: str, rest: str) -> str:
    """A reference that does not depend on the folder of its file."""
    if kind == "file":
        rest = str((config.path.parent / expanded(rest)).absolute())
    return f"{{{kind}:{rest}}}"


def refused(agent: str, id: str, message: str, hint: str | None = None) -> Unsupported:
    """The error for a provider that an agent cannot use. The gateway can use any provider."""
    hint = hint or f"use it through the gateway: `modelbay export {agent} --gateway`"
    return Unsupported(message, setting="provider", hint=hint, provider=id)


def auth_headers(*table: str) -> tuple[Keys, ...]:
    """The paths of headers in a table that may contain a key. Their case does not matter."""
    return tuple((*table, name) for name in sorted(AUTH_HEADERS))


def origin_text(url: object) -> str | None:
    """The origin of a URL as comparable text; None if it has none."""
    try:
        return str(origin(url)) if isinstance(url, str) else None
    except ValueError:
        return None
