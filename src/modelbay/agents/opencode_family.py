"""Providers as opencode and its descendants write them, for the AI SDK's packages: `provider.<id>.{npm, options, models}`."""

import re
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.agents.agent import Arrival, Import
from modelbay.agents.findings import STAYS, Ledger, leaves
from modelbay.agents.importing import check, without_query
from modelbay.agents.layers import Program
from modelbay.agents.trust import WHY, swayed, withhold
from modelbay.catalog.lookup import Catalog
from modelbay.config.provider_types import TYPE_OF, protocol_of_type
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.presets import Preset
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header, secret_parameter
from modelbay.storage.paths import environment, expanded

PACKAGES: dict[str, Protocol] = {
    "@ai-sdk/openai-compatible": "openai_chat",
    "@ai-sdk/openai": "openai_responses",
    "@ai-sdk/anthropic": "anthropic",
    "@ai-sdk/google": "google",
}
COMPATIBLE, VERTEX, AZURE = "@ai-sdk/openai-compatible", "@ai-sdk/google-vertex", "@ai-sdk/azure"
CLAUDE_AT_VERTEX = "@ai-sdk/google-vertex/anthropic"

FIELDS: list[tuple[Keys, Keys, Literal["text", "size", "number", "switch", "words"]]] = [
    (("name",), ("display_name",), "text"),
    (("limit", "context"), ("max_context_size",), "size"),
    (("limit", "input"), ("max_input_size",), "size"),
    (("limit", "output"), ("max_output_size",), "size"),
    (("cost", "input"), ("cost", "input"), "number"),
    (("cost", "output"), ("cost", "output"), "number"),
    (("cost", "cache_read"), ("cost", "cache_read"), "number"),
    (("cost", "cache_write"), ("cost", "cache_write"), "number"),
    (("reasoning",), ("reasoning",), "switch"),
    (("tool_call",), ("tool_call",), "switch"),
    (("temperature",), ("temperature",), "switch"),
    (("attachment",), ("attachment",), "switch"),
    (("release_date",), ("release_date",), "text"),
    (("family",), ("family",), "text"),
    (("modalities", "input"), ("modalities", "input"), "words"),
    (("modalities", "output"), ("modalities", "output"), "words"),
    (("interleaved", "field"), ("reasoning_key",), "text"),
    (("options", "reasoningEffort"), ("default_effort",), "text"),
]
"""What a model may say, there and here."""
BODY: dict[Protocol, dict[Keys, Keys]] = {
    "openai_chat": {("reasoningEffort",): ("reasoning_effort",), ("textVerbosity",): ("verbosity",)},
    "openai_responses": {
        ("reasoningEffort",): ("reasoning", "effort"),
        ("reasoningSummary",): ("reasoning", "summary"),
        ("include",): ("include",),
        ("serviceTier",): ("service_tier",),
    },
    "anthropic": {
        ("thinking", "type"): ("thinking", "type"),
        ("thinking", "budgetTokens"): ("thinking", "budget_tokens"),
        ("effort",): ("output_config", "effort"),
    },
    "google": {},
}
"""The SDK's word for what a request's body says, which is what a variant of ours holds."""
HARMLESS = frozenset({"apiKey", "timeout", "headerTimeout", "chunkTimeout", "setCacheKey", "includeUsage"})
"""The options of a provider that have no say in where its calls go."""
PLACES = frozenset({"baseURL", "resourceName", "project", "location", "useCompletionUrls"})
"""Those that say where it is, and are no secret."""
_TOKEN = re.compile(r"(?<!\$)\{(env|file):([^{}]*)\}")


class Reader(Struct):
    """One reading: the merged configuration, and the store that its logins are in."""

    program: Program
    ledger: Ledger
    store: Ledger
    catalog: Catalog
    """Has models.dev, from which the agent knows vendors."""
    found: Import = field(default_factory=lambda: Import([]))
    swayed: set[Keys] = field(default_factory=set)
    """The providers and models that a project's file has a say in where they are."""

    def read(self) -> Import:
        ledger = self.ledger
        for id in list(ledger.table("provider")):
            self._provider(id)
        for id in self.store.data:
            if ledger.get("provider", id) is None:
                self._stored(id)
        self._defaults()
        self.found.findings = [*ledger.findings(), *self.store.findings()]
        return self.found

    # Providers

    def _provider(self, id: str) -> None:
        ledger, here = self.ledger, ("provider", id)
        if ledger.get(*here) is None:
            ledger.exact(*here, why="null takes a provider away")
            return
        if not isinstance(ledger.get(*here), dict):
            self._leave_out(id, "it is no table")
            return
        if why := self._disabled(id):
            self._leave_out(id, why)
            return
        arrival = Arrival(id, {})
        if swayed(ledger, here, _is_harmless):
            self.swayed.add(here)
            if withhold(ledger, here, _is_kept) or self.store.get(id) is not None:
                arrival.keyless = WHY
        if why := self._kind(arrival, here):
            self._leave_out(id, why)
            return
        if here in self.swayed and arrival.table["type"] == "vertexai":
            self._leave_out(id, "a project's file says where it is: it would be called with your Google credentials")
            return
        if (name := self._plain(*here, "name")) is not None:
            arrival.table["name"] = name
            ledger.exact(*here, "name")
        self._options(arrival, here)
        self._headers(arrival, here)
        self._key(arrival, here)
        protocol = protocol_of_type(arrival.table["type"]) or "openai_chat"
        for key in ledger.table(*here, "models"):
            self._model(arrival, key, protocol)
        self._keep(arrival, here)

    def _leave_out(self, id: str, why: str) -> None:
        self.found.left_out[id] = why
        if self.ledger.get("provider", id) is not None:
            self.ledger.revoke("provider", id, why=why)
        if self.store.get(id) is not None:
            self.store.revoke(id, why=why)

    def _keep(self, arrival: Arrival, here: Keys) -> None:
        if why := check(arrival, self.ledger, lambda alias: (*here, "models", alias.removeprefix(f"{arrival.id}/"))):
            self._leave_out(arrival.id, why)
        else:
            self.found.arrivals.append(arrival)

    def _disabled(self, id: str) -> str:
        disabled, enabled = self.ledger.get("disabled_providers"), self.ledger.get("enabled_providers")
        if isinstance(disabled, list) and id in disabled:
            return "disabled_providers names it"
        if isinstance(enabled, list) and enabled and id not in enabled:
            return "enabled_providers does not name it"
        return ""

    def _kind(self, arrival: Arrival, here: Keys) -> str:
        """Type and address, from the entry or from what is known of its id; why there are none."""
        ledger, table = self.ledger, arrival.table
        preset = presets.by_models_dev(arrival.id) or presets.by_id(arrival.id)
        npm = ledger.text(*here, "npm")
        url = self._url(*here, "options", "baseURL") or self._url(*here, "api")
        listed = self.catalog.models_dev.providers.get(arrival.id, {}) if npm is None or url is None else {}
        npm = npm or str(listed.get("npm") or COMPATIBLE)
        if npm in (VERTEX, CLAUDE_AT_VERTEX):
            return self._vertex(arrival, here, npm, url)
        if npm == AZURE:
            return self._azure(arrival, here, url)
        vendor = preset or _vendor_of(npm)
        protocol = PACKAGES.get(npm)
        if protocol is None:
            if vendor is None and url is None:
                return f"{npm} speaks a protocol of its own"
            protocol = vendor.protocols[0] if vendor else "openai_chat"
            ledger.approximate(*here, "npm", why=f"its package is not used: it is called by {protocol}")
        at_home = vendor.url(protocol) if vendor and protocol in vendor.protocols else None
        url = url or at_home or listed.get("api")
        if not isinstance(url, str) or "{" in url:
            return "it does not say where it is"
        own = vendor.types[0] if vendor and vendor.types and protocol == vendor.protocols[0] else None
        table |= {"type": own or TYPE_OF[protocol], "base_url": url}
        ledger.exact(*here, "npm")
        return ""

    def _url(self, *path: str) -> str | None:
        """An address that stands for itself."""
        url = self._plain(*path)
        if url is None:
            return None
        if "${" in url:
            self.ledger.unsupported(*path, why="the address is made of environment variables")
            return None
        return url

    def _vertex(self, arrival: Arrival, here: Keys, npm: str, url: str | None) -> str:
        self.ledger.exact(*here, "npm")
        arrival.table["type"] = "vertexai"
        if url:
            arrival.table["base_url"] = url
        places = {PROJECT: ("options", "project"), LOCATION: ("options", "location")}
        env = {name: value for name, path in places.items() if (value := self._plain(*here, *path))}
        for path in places.values():
            self.ledger.exact(*here, *path)
        if env:
            arrival.table["env"] = env
        if npm == CLAUDE_AT_VERTEX:
            for key in self.ledger.table(*here, "models"):
                arrival.models[f"{arrival.id}/{key}"] = {"protocol": "anthropic"}
        return ""

    def _azure(self, arrival: Arrival, here: Keys, url: str | None) -> str:
        ledger, preset = self.ledger, presets.by_type("azure")
        ledger.exact(*here, "npm")
        resource = self._plain(*here, "options", "resourceName")
        if url is None and resource and preset and preset.base_url:
            url = preset.base_url.format(resource=resource)
        ledger.exact(*here, "options", "resourceName")
        if url is None:
            return "it names neither a resource nor an address"
        arrival.table |= {"type": "azure", "base_url": url}
        chats = ledger.switch(*here, "options", "useCompletionUrls")
        ledger.exact(*here, "options", "useCompletionUrls")
        if not chats:
            for key in ledger.table(*here, "models"):
                arrival.models[f"{arrival.id}/{key}"] = {"protocol": "openai_responses"}
        return ""

    def _options(self, arrival: Arrival, here: Keys) -> None:
        ledger, table = self.ledger, arrival.table
        for name, target in (("setCacheKey", "prompt_cache_key"), ("includeUsage", "include_usage")):
            if (said := ledger.switch(*here, "options", name)) is not None:
                table.setdefault("dialect", {})[target] = said
                ledger.exact(*here, "options", name)
        for name, target in (("timeout", "first_byte"), ("headerTimeout", "first_byte"), ("chunkTimeout", "idle")):
            value = ledger.get(*here, "options", name)
            if value is False:
                ledger.unsupported(*here, "options", name, why="modelbay has a limit for every wait")
            elif (wait := ledger.number(*here, "options", name, least=1)) is not None:
                if target in table.get("timeout", {}):
                    ledger.unsupported(*here, "options", name, why="options.timeout stands for it")
                    continue
                table.setdefault("timeout", {})[target] = wait / 1000
                ledger.exact(*here, "options", name)
        pairs = {}
        for name in ledger.table(*here, "options", "queryParams"):
            path = (*here, "options", "queryParams", name)
            value = self._plain(*path)
            if value is not None and secret_parameter(name, value) and not ledger.secret(*path):
                continue
            if value is not None:
                pairs[name] = value
                ledger.exact(*path)
        if pairs and table.get("base_url"):
            parts = urlsplit(table["base_url"])
            table["base_url"] = urlunsplit(parts._replace(query=urlencode(pairs)))
        if "base_url" in table:
            self._address_of(arrival, here)

    def _address_of(self, arrival: Arrival, here: Keys) -> None:
        url, ledger = arrival.table["base_url"], self.ledger
        bare = bare_url(url)
        first = next((path for path in (("options", "baseURL"), ("api",)) if ledger.get(*here, *path)), ("api",))
        if here in self.swayed and ledger.get(*here, *first) and ledger.owner(*here, *first).trusted:
            arrival.table["base_url"] = url = bare = without_query(url)
        if bare != url and not ledger.keys:
            ledger.approximate(*here, *first, why=STAYS)
            arrival.table["base_url"] = bare
        ledger.exact(*here, "options", "baseURL")
        ledger.exact(*here, "api", why="it is the base URL" if first == ("api",) else "options.baseURL comes before it")

    def _headers(self, arrival: Arrival, here: Keys) -> None:
        ledger = self.ledger
        headers = {}
        for name in ledger.table(*here, "options", "headers"):
            path = (*here, "options", "headers", name)
            value = ledger.get(*path)
            bearer = re.fullmatch(r"Bearer\s+(\{(?:env|file):[^{}]*\})", value) if isinstance(value, str) else None
            if bearer and name.lower() == "authorization" and ledger.get(*here, "options", "apiKey") is None:
                reference = self._reference(bearer[1], path)
                if reference is not None:
                    arrival.table["api_key"] = reference
                    ledger.approximate(*path, why="it is the provider's key, which goes out in this header")
                continue
            value = self._value(*path)
            if value is None:
                continue
            if secret_header(name, value) and not ledger.secret(*path):
                arrival.keyless = "its key is in a header"
                continue
            headers[name] = value
            ledger.exact(*path)
        if headers:
            arrival.table["custom_headers"] = headers

    # Keys

    def _key(self, arrival: Arrival, here: Keys) -> None:
        ledger, table = self.ledger, arrival.table
        path = (*here, "options", "apiKey")
        stored = self.store.get(arrival.id)
        if here in self.swayed and stored is not None:
            self.store.unsupported(arrival.id, why=WHY)
            stored = None
        if ledger.get(*path) is not None:
            value = self._value(*path)
            if value is not None and not value.startswith("{") and not ledger.secret(*path):
                arrival.keyless = "its key stays where it is"
            elif value is not None:
                table["api_key"] = value
                ledger.exact(*path)
        if isinstance(stored, dict):
            self._take_stored(arrival)
        self._variables(arrival, here)

    def _variables(self, arrival: Arrival, here: Keys) -> None:
        """`env` names variables that may have the key: read where there is exactly one."""
        ledger, path = self.ledger, (*here, "env")
        names = ledger.words(*path)
        if not names:
            ledger.exact(*path)
            self._known_variable(arrival, here)
        elif "api_key" in arrival.table or arrival.keyless:
            ledger.approximate(*path, why="the key is had from elsewhere, which comes first")
        elif not ledger.owner(*path).trusted:
            ledger.unsupported(*path, why="variables that a project's file names are not read")
        elif len(names) > 1:
            ledger.approximate(*path, why=f"of several variables the first, {names[0]}, is taken for the key's")
            arrival.table["api_key"] = f"{{env:{names[0]}}}"
        else:
            arrival.table["api_key"] = f"{{env:{names[0]}}}"
            ledger.exact(*path, why="it is the key")

    def _known_variable(self, arrival: Arrival, here: Keys) -> None:
        """Of a vendor the agent knows the variable: where the shell has it, it is the key that is in use."""
        known = "api_key" in arrival.table or arrival.keyless or "custom_headers" in arrival.table
        if known or here in self.swayed:
            return
        if self.ledger.get(*here, "npm") is None or self.ledger.get(*here, "options", "baseURL") is None:
            names = self.catalog.models_dev.providers.get(arrival.id, {}).get("env") or []
            if len(names) == 1 and environment(names[0]) is not None:
                arrival.table["api_key"] = f"{{env:{names[0]}}}"

    def _take_stored(self, arrival: Arrival) -> None:
        """The key of a login of the agent's."""
        store, id = self.store, arrival.id
        kind = store.get(id, "type")
        if kind != "api" or not isinstance(store.get(id, "key"), str):
            store.unsupported(
                id, why="a login's tokens are not handed on: two programs would spoil them for each other"
            )
            arrival.keyless = arrival.keyless or "it logs in, which is to be done anew"
            return
        store.exact(id, "type")
        if "api_key" in arrival.table:
            store.exact(id, "key", why="the configuration has a key, which comes first")
        elif store.secret(id, "key"):
            arrival.table["api_key"] = store.get(id, "key").strip()
        else:
            arrival.keyless = "its key stays where it is"

    def _stored(self, id: str) -> None:
        """A provider that is logged in to and has no settings: the agent knows it from models.dev."""
        if why := self._disabled(id):
            self._leave_out(id, why)
            return
        arrival = Arrival(id, {})
        if swayed(self.ledger, ("provider", id), _is_harmless):
            self._leave_out(id, WHY)
            return
        if self._kind(arrival, ("provider", id)):
            self._leave_out(id, "it has a key and nothing else, and modelbay does not know the vendor")
            return
        self._take_stored(arrival)
        self._keep(arrival, ("provider", id))

    # Models

    def _model(self, arrival: Arrival, key: str, protocol: Protocol) -> None:
        ledger, path = self.ledger, ("provider", arrival.id, "models", key)
        alias = f"{arrival.id}/{key}"
        if ledger.get(*path) is None:
            arrival.models.pop(alias, None)
            ledger.exact(*path, why="null takes a model away")
            return
        if self._is_moved(arrival, path):
            arrival.models.pop(alias, None)
            ledger.unsupported(*path, why="a project's file says where this model is: it does not get a key of yours")
            return
        table: Table = {"model": self._plain(*path, "id") or key, **arrival.models.get(alias, {})}
        ledger.exact(*path, "id")
        if ledger.get(*path) == {}:
            ledger.exact(*path, why="its name is all that is said of it")
        npm = ledger.text(*path, "provider", "npm")
        if npm in PACKAGES:
            protocol = PACKAGES[npm]
            table["protocol"] = protocol
            ledger.exact(*path, "provider", "npm")
        if api := self._url(*path, "provider", "api"):
            bare = api if ledger.keys else bare_url(api)
            if bare != api:
                ledger.approximate(*path, "provider", "api", why=STAYS)
            table["base_url"] = bare
            ledger.exact(*path, "provider", "api")
        for there, here, kind in FIELDS:
            if (value := getattr(ledger, kind)(*path, *there)) is not None:
                inner = table
                for name in here[:-1]:
                    inner = inner.setdefault(name, {})
                inner[here[-1]] = value
                ledger.exact(*path, *there)
        for name in ledger.table(*path, "variants"):
            variant = self._variant((*path, "variants", name), protocol)
            if variant:
                table.setdefault("variants", {})[name] = variant
        arrival.models[alias] = table

    def _is_moved(self, arrival: Arrival, path: Keys) -> bool:
        """Whether a project's file takes a model to where its provider's key is not for."""
        if not swayed(self.ledger, path, lambda inside: inside[:1] not in (("provider",), ("headers",), ())):
            return False
        self.swayed.add(path)
        api = self._url(*path, "provider", "api")
        return path[:2] not in self.swayed or not _is_at(api, arrival.table.get("base_url"))

    def _variant(self, path: Keys, protocol: Protocol) -> Table:
        ledger = self.ledger
        variant: Table = {}
        words = BODY[protocol]
        if ledger.get(*path, "disabled") is True:
            ledger.exact(*path, why="a variant that is off is none")
            return {}
        ledger.exact(*path, "disabled")
        for leaf in leaves(ledger.table(*path), ()):
            value = ledger.get(*path, *leaf)
            target = words.get(leaf)
            raw = (
                protocol == "openai_chat" and target is None and len(leaf) > 0
            )  # the SDK hands on what it does not know
            if leaf == ("disabled",):
                continue
            if value is None or (target is None and not raw):
                ledger.unsupported(*path, *leaf, why=f"modelbay has no word for it in {protocol}")
                continue
            inner = variant
            for name in (target or leaf)[:-1]:
                inner = inner.setdefault(name, {})
            inner[(target or leaf)[-1]] = value
            ledger.exact(*path, *leaf)
        return variant

    def _defaults(self) -> None:
        ledger, found = self.ledger, self.found
        for name in ("disabled_providers", "enabled_providers"):
            ledger.exact(name, why="what it leaves out is not taken over")
        ledger.unsupported("small_model", why="modelbay has one default model")
        model = ledger.text("model")
        provider = (model or "").partition("/")[0]
        here = ("provider", provider)
        if {here, (*here, "models", (model or "").partition("/")[2])} & self.swayed:
            ledger.unsupported(
                "model", why="a project's file has a say in where it goes: it does not become the default"
            )
        elif model and any(arrival.id == provider for arrival in found.arrivals):
            found.default_model = model
            ledger.exact("model")
        elif model:
            ledger.unsupported("model", why="its provider is not taken over")

    # Values

    def _plain(self, *path: str) -> str | None:
        """A text without references in it."""
        value = self.ledger.text(*path)
        if value is not None and _TOKEN.search(value):
            self.ledger.unsupported(*path, why="modelbay follows no reference here")
            return None
        return value

    def _value(self, *path: str) -> str | None:
        """A text with the references in it, each as modelbay writes it."""
        value = self.ledger.get(*path)
        if not isinstance(value, str):
            return self.ledger.text(*path)
        rest = _TOKEN.sub("\n", value)
        if REFERENCE.search(rest) or misspelled_reference(rest):
            self.ledger.unsupported(*path, why="modelbay would take a part of this text for a reference")
            return None
        made, end = "", 0
        for token in _TOKEN.finditer(value):
            reference = self._reference(token[0], path)
            if reference is None:
                return None
            made, end = made + value[end : token.start()] + reference, token.end()
        return (made + value[end:]).strip()

    def _reference(self, value: str, path: Keys) -> str | None:
        match = _TOKEN.fullmatch(value)
        assert match is not None
        kind, name = match[1], match[2].strip()
        layer = self.ledger.owner(*path)
        why = ""
        if kind == "env":
            if not layer.trusted:
                why = "what a project's file refers to in the environment is not followed"
            elif name in self.program.blocked:
                why = f"{self.program.title} gives {name} to nobody"
        else:
            file = (layer.folder / expanded(name)).resolve()
            name = str(file)
            if not layer.trusted and not file.is_relative_to(layer.root.resolve()):
                why = "a project's file refers to a file outside of the project"
        if why:
            self.ledger.unsupported(*path, why=why)
            return None
        return f"{{{kind}:{name}}}"


def _is_harmless(path: Keys) -> bool:
    """Whether a provider's setting cannot change where its calls go. Models are checked one by one."""
    if path[:1] == ("options",):
        return bool(path[1:2]) and path[1] in HARMLESS
    return path[:1] in (("name",), ("env",), ("models",))


def _is_kept(path: Keys) -> bool:
    """Whether a setting of the user's stays where a project's file has a say: what is no credential, header or query."""
    if path[:1] == ("options",):
        return bool(path[1:2]) and path[1] in PLACES | HARMLESS - {"apiKey"}
    return path[:1] in (("name",), ("npm",), ("api",), ("models",))


def _is_at(url: str | None, home: str | None) -> bool:
    """Whether an address, if there is one, has the origin of another one."""
    try:
        return url is None or (home is not None and origin(url) == origin(home))
    except ValueError:
        return False


def _vendor_of(npm: str) -> Preset | None:
    """The vendor that a package is named after: "@ai-sdk/groq", "@openrouter/ai-sdk-provider"."""
    for name in re.split(r"[@/]", npm):
        vendor = presets.by_models_dev(name) or presets.by_id(name) if name else None
        if vendor is not None:
            return vendor
    return None


def read(program: Program, ledger: Ledger, store: Ledger) -> Import:
    """All that the configuration and the store of a program say."""
    files = [layer.file for layer in (*ledger.layers, *store.layers)]
    return Reader(program, ledger, store, Catalog(), Import(files)).read()
