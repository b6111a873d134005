"""A provider of ours as it leaves for an agent: where it is, what it speaks, its key or the reference to it, its models."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.knowledge import model_facts
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, ModelEntry, ProviderEntry
from modelbay.conversation import Protocol
from modelbay.credentials import approval
from modelbay.credentials.credential import has_auth_header, key_names
from modelbay.credentials.reference import bound_origin, resolve_reference
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.onboarding.draft import serves_without_key
from modelbay.onboarding.fields import APIS
from modelbay.providers import urls
from modelbay.providers.endpoint import endpoint_at
from modelbay.providers.upstream import Upstream, upstream
from modelbay.secrecy import REFERENCE, bare_url, secret_header, secret_parameter
from modelbay.storage.paths import expanded

NO_KEY = "none"


class Departure(Struct):
    """`key` is what stands for the key: a reference, or the key itself; "" where there is none."""

    id: str
    name: str
    entry: ProviderEntry
    protocol: Protocol
    base_url: str
    """Without a query and without the protocol's own path."""
    query: dict[str, str]
    """Without what is secret in it, where secrets stay."""
    found: Upstream
    config: Config
    keys: bool
    """Whether secrets go along, where the agent cannot be told where they are."""
    key: str = ""
    query_stays: bool = False
    """Whether parameters of the address stay behind."""
    models: list[ModelEntry] = field(default_factory=list)
    default_model: ModelEntry | None = None
    protocols: dict[str, Protocol] = field(default_factory=dict)
    """Of the models that have another, by alias."""
    facts: dict[str, Model] = field(default_factory=dict)
    """All that is known of each model, by alias: agents mostly know nothing of models by themselves."""
    notes: list[str] = field(default_factory=list)

    @property
    def variable(self) -> str:
        """The environment variable for its key, where nobody has named one."""
        return re.sub(r"[^A-Z0-9]+", "_", self.id.upper()).strip("_") + "_API_KEY"

    @property
    def reference(self) -> tuple[str, str]:
        """Of what kind the key's reference is, and what it says; blank, where it is none."""
        match = REFERENCE.fullmatch(self.key)
        return (match[1], match[2]) if match else ("", "")

    @property
    def keyless(self) -> bool:
        """Whether it asks for no key. Agents that do not start without one are given `NO_KEY`."""
        signed = has_auth_header(self.entry) or self.entry.oauth is not None
        return not self.key and not signed and (self.entry.auth == "none" or serves_without_key(self.entry))

    def secret(self) -> str:
        """The key itself; "" where it does not go along.

        Raises:
            ConfigError: it cannot be had, or belongs to another address.
        """
        if not self.keys or not self.key:
            return ""
        credential = endpoint_at(self.config, self.found, "/chat/completions").credential
        return credential.secret.reveal() if credential is not None and credential.secret is not None else ""

    def headers(self, follows: Collection[str] = (), *, inside: bool = False) -> dict[str, str]:
        """The headers for an agent that follows references of some kinds, whole values or also `inside` texts; the others
        are resolved, or stay behind.
        """
        taken = {}
        for name, value in self.entry.custom_headers.items():
            references = list(REFERENCE.finditer(value))
            for found in references:
                self.check_approved(found[0])
            whole = len(references) == 1 and references[0][0] == value.strip()
            if references and all(found[1] in follows for found in references) and (whole or inside):
                taken[name] = REFERENCE.sub(lambda found: _absolute(self.config, found[1], found[2].strip()), value)
            elif self.keys:
                taken[name] = resolve_reference(value, self.config, self.found.places)
            elif references or secret_header(name, value):
                self.lost(f"header {name}", "it is secret: exported with --keys only")
            else:
                taken[name] = value
        return taken

    def check_approved(self, reference: str) -> None:
        """Checks a reference that the agent's configuration is to have: what we would not follow, the agent must not either.

        Raises:
            ConfigError: it is not approved.
        """
        approval.check(reference, self.config, self.found.places, bound_origin(reference, self.config))

    def lost(self, what: str, why: str = "there is no such setting") -> None:
        self.notes.append(f"{self.id}: {what}: {why}")


def departure(
    config: Config, id: str, title: str, protocols: Sequence[Protocol], *, keys: bool, model_urls: bool = True
) -> Departure:
    """A provider with its models, for an agent that speaks `protocols`. `model_urls`: a model of it can have its own base URL.

    Raises:
        UnknownProvider: there is none of that id.
        Unsupported: the agent cannot speak with it.
        ConfigError: its entry cannot be used.
    """
    entry = config.provider(id)
    protocol, found = _spoken(config, entry, title, protocols)
    base, query = _address(config, found, title)
    models = [model for model in config.models.values() if model.provider == id and not model.flat]
    name = entry.name or (found.preset.name if found.preset else id)
    leaving = Departure(id, name, entry, protocol, base, query, found, config, keys)
    if not keys:
        _leave_secrets(leaving)
    catalog = Catalog()
    for model in models:
        _add_model(config, leaving, model, (title, protocols, model_urls), catalog)
    default = next((model for model in leaving.models if config.default_model in (model.alias, *model.aliases)), None)
    leaving.default_model = default
    _add_key(leaving)
    for what in ("proxy", "tls"):
        if getattr(entry, what) is not None:
            leaving.lost(what, f"{title} has no setting for it; it may read HTTPS_PROXY, NODE_EXTRA_CA_CERTS")
    if isinstance(entry.dialect, dict) and entry.dialect.keys() - {"preset", "prompt_cache_key", "include_usage"}:
        leaving.lost("dialect", f"{title} has its own ways")
    return leaving


def _leave_secrets(leaving: Departure) -> None:
    """Takes out of an address what is secret in it, and says so."""
    bare, user = urls.without_user(leaving.base_url)
    leaving.base_url = bare.partition("#")[0]
    if user:
        leaving.lost("its user and password", "they are secret, and go along with --keys only")
    if leaving.base_url != bare:
        leaving.lost("the fragment of its address", "it may be secret: exported with --keys only")
    for name, value in list(leaving.query.items()):
        if secret_parameter(name, value):
            del leaving.query[name]
            leaving.query_stays = True
            leaving.lost(f"parameter {name}", "it is secret: exported with --keys only")
    if leaving.entry.base_url:
        leaving.entry = replace(leaving.entry, base_url=bare_url(leaving.entry.base_url))


def _spoken(
    config: Config, entry: ProviderEntry, title: str, protocols: Sequence[Protocol]
) -> tuple[Protocol, Upstream]:
    usual = upstream(config, entry)
    if usual.protocol in protocols:
        return usual.protocol, usual
    offered = usual.preset.protocols if usual.preset and usual.preset.addressing == "plain" else []
    for protocol in protocols:
        if protocol in offered:
            asked = ModelEntry(alias="", provider=entry.id, model="", protocol=protocol)
            return protocol, upstream(config, entry, asked)
    wanted = " or ".join(APIS[protocol] for protocol in protocols)
    raise refused(
        entry.id,
        f"{title} speaks {wanted} only, and provider {entry.id} speaks {APIS[usual.protocol]}: "
        "it needs a gateway between them, which translates",
        f"choose a provider that speaks {wanted}: `modelbay provider list`",
    )


def _address(config: Config, found: Upstream, title: str) -> tuple[str, dict[str, str]]:
    """The base URL as agents append to it, and its query."""
    entry, addressing = found.provider, found.preset.addressing if found.preset else "plain"
    base = urls.base_of(found.base_url) if found.full_url is not False else found.base_url
    if addressing == "azure":
        base = urls.azure_url(base, "", "")
        if entry.api_version or "api-version=" in base:
            raise refused(
                entry.id,
                f"{title} calls Azure without an api-version, and provider {entry.id} has one",
                f"add it without one, for the resource's /openai/v1: `modelbay provider add azure --id {entry.id}-v1`",
            )
    parts = urlsplit(base)
    if found.full_url is not False and (found.full_url or urls.is_endpoint(base)) and base == found.base_url:
        raise refused(
            entry.id,
            f"provider {entry.id} has a whole endpoint for its URL, and {title} appends the path itself: "
            "it needs a gateway between them",
        )
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query, keep_blank_values=True))


def _add_model(
    config: Config, leaving: Departure, model: ModelEntry, agent: tuple[str, Sequence[Protocol], bool], catalog: Catalog
) -> None:
    title, protocols, model_urls = agent
    protocol = model.protocol or leaving.protocol
    if protocol not in protocols:
        leaving.lost(f"model {model.alias}", f"it speaks {APIS[protocol]}, which {title} does not")
        return
    served = upstream(config, leaving.entry, model)
    if served.origin != leaving.found.origin and _is_apart(leaving, model):
        why = f"it is at {served.origin}, where {title} would send the key of {leaving.id}"
        leaving.lost(f"model {model.alias}", why)
        return
    if not model_urls and served.base_url != leaving.found.base_url:
        why = f"it has a base URL of its own, {bare_url(served.base_url)}, and {title} has one base URL for a provider"
        leaving.lost(f"model {model.alias}", why)
        return
    if protocol != leaving.protocol:
        leaving.protocols[model.alias] = protocol
    if model.base_url and not leaving.keys and bare_url(model.base_url) != model.base_url:
        leaving.lost(f"model {model.alias}", "its address has a secret: exported with --keys only")
        model = replace(model, base_url=bare_url(model.base_url))
    leaving.models.append(model)
    if model.api_key or model.oauth:
        leaving.lost(f"model {model.alias}", "its own credential does not go along")
    leaving.facts[model.alias] = model_facts(model, served, catalog.said(model, served))


def _is_apart(leaving: Departure, model: ModelEntry) -> bool:
    """Whether a model at another address than its provider is called without the provider's key."""
    if model.api_key or model.oauth:
        return True
    written = [leaving.entry.api_key or "", *leaving.entry.env.values(), *leaving.entry.custom_headers.values()]
    references = [found[0] for value in written for found in REFERENCE.finditer(value)]
    return any(bound_origin(reference, leaving.config) is not None for reference in references)


def _add_key(leaving: Departure) -> None:
    entry = leaving.entry
    named = (entry.env.get(name, "").strip() for name in key_names(entry))
    written = entry.api_key or next(filter(None, named), "")
    if entry.oauth and not written:
        leaving.lost("its login", "tokens are not handed on: log in there as well")
    elif entry.auth != "none":
        match = REFERENCE.fullmatch(written)
        if match:
            leaving.check_approved(written)
        leaving.key = _absolute(leaving.config, match[1], match[2].strip()) if match else written


def _absolute(config: Config, kind: str, rest: str) -> str:
    """A reference that says the same wherever it stands."""
    if kind == "file":
        rest = str((config.path.parent / expanded(rest)).absolute())
    return f"{{{kind}:{rest}}}"


def refused(id: str, message: str, hint: str | None = None) -> Unsupported:
    """Why an agent cannot use a provider."""
    hint = hint or "choose another provider: `modelbay provider list`"
    return Unsupported(message, setting="provider", hint=hint, provider=id)
