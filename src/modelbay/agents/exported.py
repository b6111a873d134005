"""A provider as it is exported to an agent: base URL, protocol, models, and the key or a reference to it."""

import re
import shlex
from collections.abc import Collection, Mapping

from msgspec import Struct, field

from modelbay.config.schema import Config, ModelEntry, ProviderEntry
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials import approval
from modelbay.credentials.credential import AUTH_HEADERS, has_auth_header
from modelbay.credentials.reference import bound_origin, resolve_reference
from modelbay.draft import serves_without_key
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.origin import origin
from modelbay.providers.endpoint import endpoint_at
from modelbay.providers.upstream import Upstream
from modelbay.secrecy import REFERENCE, secret_header
from modelbay.storage.paths import expanded

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
    future_key: str = ""
    """A key for a preview, if the file of its reference does not exist yet."""
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
    def first_model(self) -> ModelEntry | None:
        """The model to start with: the default model, or the first one."""
        return self.default_model or (self.models[0] if self.models else None)

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
        if self.future_key:
            return self.future_key
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
                headers[name] = REFERENCE.sub(lambda found: absolute(self.config, found[1], found[2].strip()), value)
            elif self.with_keys:
                headers[name] = resolve_reference(value, self.config, self.upstream.places)
            elif references or secret_header(name, value):
                self.not_exported(f"header {name}", SECRET)
            else:
                headers[name] = value
        return headers

    def groups(self, names: Mapping[Protocol, str]) -> "list[ExportedGroup]":
        """Its models by protocol and base URL, for an agent whose entries have one of each. The first group has the provider's.

        `names`: the ending of the ID of a group with another protocol than the provider's.
        """
        found: dict[tuple[Protocol, str], ExportedGroup] = {}
        usual = (self.protocol, self.base_url)
        found[usual] = ExportedGroup(self.id, *usual)
        for model in self.models:
            where = (self.protocols.get(model.alias, self.protocol), model.base_url or self.base_url)
            if where not in found:
                id = self.id if where[0] == self.protocol else f"{self.id}-{names[where[0]]}"
                used = {group.id for group in found.values()}
                free = (f"{id}-{number}" for number in range(2, len(self.models) + 3))
                found[where] = ExportedGroup(
                    id if id not in used else next(one for one in free if one not in used), *where
                )
            found[where].models.append(model)
        return [group for group in found.values() if group.models or len(found) == 1]

    def check_approved(self, reference: str) -> None:
        """Check a reference that is to be exported: the agent must not follow a reference that modelbay would not follow.

        Raises:
            ConfigError: the reference is not approved.
        """
        approval.check(reference, self.config, self.upstream.places, bound_origin(reference, self.config))

    def not_exported(self, what: str, why: str = "the agent has no such setting") -> None:
        self.notes.append(f"{self.id}: {what} not exported: {why}")

    def not_offered(self, agent: str) -> None:
        """Note that it has no model, and how to add one. `agent`: the title."""
        add = f"`modelbay provider edit {shlex.quote(self.id)} --add-model MODEL`"
        self.note(f"no models configured, so {agent} does not offer it; add some: {add}")

    def note(self, text: str) -> None:
        self.notes.append(f"{self.id}: {text}")


class ExportedGroup(Struct):
    """Models of a provider with one protocol and one base URL."""

    id: str
    protocol: Protocol
    base_url: str
    models: list[ModelEntry] = field(default_factory=list)


def absolute(config: Config, kind: str, rest: str) -> str:
    """A reference that does not depend on the folder of its file."""
    if kind == "file":
        rest = str((config.path.parent / expanded(rest)).absolute())
    return f"{{{kind}:{rest}}}"


def refused(id: str, message: str, hint: str | None = None) -> Unsupported:
    """The error for a provider that an agent cannot use. The gateway can use any provider."""
    hint = hint or f"use it through the gateway: pass --gateway instead of {id}"
    return Unsupported(message, setting="provider", hint=hint, provider=id)


def check_supported(title: str, provider: ExportedProvider, *, query: bool = False, vertex: bool = False) -> None:
    """Check what many agents cannot send: a `query` in the base URL, and Google's credentials at `vertex`.

    Raises:
        Unsupported: the provider needs one that the agent does not support.
    """
    preset = provider.upstream.preset
    if not query and (provider.query or provider.query_removed):
        raise refused(provider.id, f"{title} does not support the query in the base URL of provider {provider.id}")
    if not vertex and preset is not None and preset.addressing == "vertexai":
        raise refused(provider.id, f"{title} cannot use Google's credentials, which provider {provider.id} needs")


def auth_headers(*table: str) -> tuple[Keys, ...]:
    """The paths of headers in a table that may contain a key. Their case does not matter."""
    return tuple((*table, name) for name in sorted(AUTH_HEADERS))


def origin_text(url: object) -> str | None:
    """The origin of a URL as comparable text; None if it has none."""
    try:
        return str(origin(url)) if isinstance(url, str) else None
    except ValueError:
        return None
