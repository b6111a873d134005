"""Import from opencode's family: every setting of `provider.<id>`, and the stored keys."""

import re
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.agents.agent import ImportedConfig, ImportedProvider
from modelbay.agents.findings import KEY_IN_HEADER, KEY_NOT_COPIED, LIKE_REFERENCE, NOT_COPIED, MergedConfig, leaves
from modelbay.agents.importing import check, without_query
from modelbay.agents.opencode_family import (
    AZURE,
    BODY_FIELDS,
    CLAUDE_AT_VERTEX,
    COMPATIBLE,
    FIELDS,
    PACKAGES,
    VERTEX,
    Program,
)
from modelbay.agents.project_files import NO_KEYS, changed_by_project, remove_user_settings
from modelbay.catalog.lookup import Catalog
from modelbay.catalog.models_dev.index import IndexEntry
from modelbay.config.provider_types import TYPE_OF, protocol_of_type
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.vendor import Preset
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header, secret_parameter
from modelbay.storage.paths import environment, expanded

HARMLESS = frozenset({"apiKey", "timeout", "headerTimeout", "chunkTimeout", "setCacheKey", "includeUsage"})
"""Options of a provider that cannot change the destination of its calls."""
LOCATION_OPTIONS = frozenset({"baseURL", "resourceName", "project", "location", "useCompletionUrls"})
"""Options that decide the destination and are not secret."""
_REFERENCE = re.compile(r"(?<!\$)\{(env|file):([^{}]*)\}")


class _Reader(Struct):
    """Reads a merged configuration and the stored logins."""

    program: Program
    merged: MergedConfig
    logins: MergedConfig
    catalog: Catalog
    """Contains models.dev, the agent's source of vendors."""
    result: ImportedConfig = field(default_factory=lambda: ImportedConfig([]))
    changed: set[Keys] = field(default_factory=set)
    """Paths of the providers and models with a destination that a project's file can change."""

    def read(self) -> ImportedConfig:
        merged = self.merged
        for id in list(merged.table("provider")):
            self._provider(id)
        for id in self.logins.data:
            if merged.get("provider", id) is None:
                self._login_only(id)
        self._defaults()
        self.result.findings = [*merged.findings(), *self.logins.findings()]
        return self.result

    # Providers

    def _provider(self, id: str) -> None:
        merged, here = self.merged, ("provider", id)
        if merged.get(*here) is None:
            merged.exact(*here, why="null removes the provider")
            return
        if not isinstance(merged.get(*here), dict):
            self._skip(id, "it is not a table")
            return
        if why := self._disabled(id):
            self._skip(id, why)
            return
        provider = ImportedProvider(id, {})
        if changed_by_project(merged, here, _is_harmless):
            self.changed.add(here)
            if remove_user_settings(merged, here, _is_kept) or self.logins.get(id) is not None:
                provider.missing_key = NO_KEYS
        if why := self._set_type(provider, here):
            self._skip(id, why)
            return
        if here in self.changed and provider.table["type"] == "vertexai":
            self._skip(id, "a project's file can change its URL, and it would be called with your Google credentials")
            return
        if (name := self._literal(*here, "name")) is not None:
            provider.table["name"] = name
            merged.exact(*here, "name")
        self._options(provider, here)
        self._headers(provider, here)
        self._key(provider, here)
        protocol = protocol_of_type(provider.table["type"]) or "openai_chat"
        shown, hidden = merged.strings(*here, "whitelist"), merged.strings(*here, "blacklist") or []
        for key in merged.table(*here, "models"):
            if key in hidden or (shown is not None and key not in shown):
                provider.models.pop(f"{id}/{key}", None)
                merged.unsupported(*here, "models", key, why="the provider's whitelist or blacklist hides it")
            else:
                self._model(provider, key, protocol)
        for name in ("whitelist", "blacklist"):
            merged.exact(*here, name, why="models that it hides are not imported")
        self._add(provider, here)

    def _skip(self, id: str, why: str) -> None:
        self.result.skipped[id] = why
        if self.merged.get("provider", id) is not None:
            self.merged.override_unsupported("provider", id, why=why)
        if self.logins.get(id) is not None:
            self.logins.override_unsupported(id, why=why)

    def _add(self, provider: ImportedProvider, here: Keys) -> None:
        if why := check(provider, self.merged, lambda alias: (*here, "models", alias.removeprefix(f"{provider.id}/"))):
            self._skip(provider.id, why)
        else:
            self.result.providers.append(provider)

    def _disabled(self, id: str) -> str:
        disabled, enabled = self.merged.get("disabled_providers"), self.merged.get("enabled_providers")
        if isinstance(disabled, list) and id in disabled:
            return "it is listed in disabled_providers"
        if isinstance(enabled, list) and enabled and id not in enabled:
            return "it is not listed in enabled_providers"
        return ""

    def _set_type(self, provider: ImportedProvider, here: Keys) -> str:
        """Set type and base URL, from the entry or from facts about its ID. Returns why it cannot, or ""."""
        merged, table = self.merged, provider.table
        preset = presets.by_models_dev(provider.id) or presets.by_id(provider.id)
        npm = merged.text(*here, "npm")
        url = self._url(*here, "options", "baseURL") or self._url(*here, "api")
        if url is None and any(_varies(merged.get(*here, *path)) for path in (("options", "baseURL"), ("api",))):
            return "its base URL contains a variable"  # its key must not go to the vendor's URL instead
        listed = self.catalog.models_dev.providers.get(provider.id, {}) if npm is None or url is None else {}
        npm = npm or str(listed.get("npm") or COMPATIBLE)
        if npm in (VERTEX, CLAUDE_AT_VERTEX):
            return self._vertex(provider, here, npm, url)
        if npm == AZURE:
            return self._azure(provider, here, url)
        vendor = preset or _vendor_of(npm)
        protocol = PACKAGES.get(npm)
        if protocol is None:
            if vendor is None and url is None:
                return f"modelbay does not know the protocol of {npm}"
            protocol = vendor.protocols[0] if vendor else "openai_chat"
            merged.approximate(*here, "npm", why=f"modelbay uses the protocol {protocol} instead of this package")
        vendor_url = vendor.url(protocol) if vendor and protocol in vendor.protocols else None
        url = url or vendor_url or listed.get("api")
        if not isinstance(url, str) or "{" in url:
            return "it has no base URL"
        own = vendor.types[0] if vendor and vendor.types and protocol == vendor.protocols[0] else None
        table |= {"type": own or TYPE_OF[protocol], "base_url": url}
        merged.exact(*here, "npm")
        return ""

    def _url(self, *path: str) -> str | None:
        """A URL without references and variables."""
        url = self._literal(*path)
        if url is None:
            return None
        if "${" in url:
            self.merged.unsupported(*path, why="modelbay does not insert environment variables into URLs")
            return None
        return url

    def _vertex(self, provider: ImportedProvider, here: Keys, npm: str, url: str | None) -> str:
        self.merged.exact(*here, "npm")
        provider.table["type"] = "vertexai"
        if url:
            provider.table["base_url"] = url
        places = {PROJECT: ("options", "project"), LOCATION: ("options", "location")}
        env = {name: value for name, path in places.items() if (value := self._literal(*here, *path))}
        for path in places.values():
            self.merged.exact(*here, *path)
        if env:
            provider.table["env"] = env
        if npm == CLAUDE_AT_VERTEX:
            for key in self.merged.table(*here, "models"):
                provider.models[f"{provider.id}/{key}"] = {"protocol": "anthropic"}
        return ""

    def _azure(self, provider: ImportedProvider, here: Keys, url: str | None) -> str:
        merged, preset = self.merged, presets.by_type("azure")
        merged.exact(*here, "npm")
        resource = self._literal(*here, "options", "resourceName")
        if url is None and resource and preset and preset.base_url:
            url = preset.base_url.format(resource=resource)
        merged.exact(*here, "options", "resourceName")
        if url is None:
            return "it has neither a resource name nor a base URL"
        provider.table |= {"type": "azure", "base_url": url}
        chats = merged.boolean(*here, "options", "useCompletionUrls")
        merged.exact(*here, "options", "useCompletionUrls")
        if not chats:
            for key in merged.table(*here, "models"):
                provider.models[f"{provider.id}/{key}"] = {"protocol": "openai_responses"}
        return ""

    def _options(self, provider: ImportedProvider, here: Keys) -> None:
        merged, table = self.merged, provider.table
        for name, target in (("setCacheKey", "prompt_cache_key"), ("includeUsage", "include_usage")):
            if (enabled := merged.boolean(*here, "options", name)) is not None:
                table.setdefault("dialect", {})[target] = enabled
                merged.exact(*here, "options", name)
        if self.program.discovers and merged.boolean(*here, "options", "discoverModels") and here not in self.changed:
            table["model_source"] = "discover"
            why = "`modelbay provider refresh` reads its list of models, as the daily refresh does"
            merged.approximate(*here, "options", "discoverModels", why=why)
        for name, target in (("timeout", "first_byte"), ("headerTimeout", "first_byte"), ("chunkTimeout", "idle")):
            if merged.get(*here, "options", name) is False:
                merged.unsupported(*here, "options", name, why="timeouts cannot be disabled in modelbay")
            elif (wait := merged.number(*here, "options", name, least=1)) is not None:
                if target in table.get("timeout", {}):
                    merged.unsupported(*here, "options", name, why="options.timeout is used instead")
                    continue
                table.setdefault("timeout", {})[target] = wait / 1000
                merged.exact(*here, "options", name)
        pairs = {}
        for name in merged.table(*here, "options", "queryParams"):
            path = (*here, "options", "queryParams", name)
            value = self._literal(*path)
            if value is not None and secret_parameter(name, value) and not merged.secret(*path):
                continue
            if value is not None:
                pairs[name] = value
                merged.exact(*path)
        if pairs and table.get("base_url"):
            parts = urlsplit(table["base_url"])
            table["base_url"] = urlunsplit(parts._replace(query=urlencode(pairs)))
        if "base_url" in table:
            self._address_of(provider, here)

    def _address_of(self, provider: ImportedProvider, here: Keys) -> None:
        url, merged = provider.table["base_url"], self.merged
        bare = bare_url(url)
        first = next((path for path in (("options", "baseURL"), ("api",)) if merged.get(*here, *path)), ("api",))
        if here in self.changed and merged.get(*here, *first) and merged.owner(*here, *first).trusted:
            provider.table["base_url"] = url = bare = without_query(url)
        if bare != url and not merged.keys:
            merged.approximate(*here, *first, why=NOT_COPIED)
            provider.table["base_url"] = bare
        merged.exact(*here, "options", "baseURL")
        merged.exact(*here, "api", why="the base URL" if first == ("api",) else "options.baseURL overrides it")

    def _headers(self, provider: ImportedProvider, here: Keys) -> None:
        merged = self.merged
        headers = {}
        for name in merged.table(*here, "options", "headers"):
            path = (*here, "options", "headers", name)
            value = merged.get(*path)
            bearer = re.fullmatch(r"Bearer\s+(\{(?:env|file):[^{}]*\})", value) if isinstance(value, str) else None
            if bearer and name.lower() == "authorization" and merged.get(*here, "options", "apiKey") is None:
                reference = self._reference(bearer[1], path)
                if reference is not None:
                    provider.table["api_key"] = reference
                    merged.approximate(*path, why="imported as the API key, which is sent in this header")
                continue
            value = self._with_references(*path)
            if value is None:
                continue
            if secret_header(name, value) and not merged.secret(*path):
                provider.missing_key = KEY_IN_HEADER
                continue
            headers[name] = value
            merged.exact(*path)
        if headers:
            provider.table["custom_headers"] = headers

    # Keys

    def _key(self, provider: ImportedProvider, here: Keys) -> None:
        merged, table = self.merged, provider.table
        path = (*here, "options", "apiKey")
        stored = self.logins.get(provider.id)
        if here in self.changed and stored is not None:
            self.logins.unsupported(provider.id, why=NO_KEYS)
            stored = None
        if merged.get(*path) is not None:
            value = self._with_references(*path)
            if value is not None and not value.startswith("{") and not merged.secret(*path):
                provider.missing_key = KEY_NOT_COPIED
            elif value is not None:
                table["api_key"] = value
                merged.exact(*path)
        if isinstance(stored, dict):
            self._use_stored_key(provider)
        self._variables(provider, here)

    def _variables(self, provider: ImportedProvider, here: Keys) -> None:
        """`env` lists variables that may contain the key; the first one is used."""
        merged, path = self.merged, (*here, "env")
        names = merged.strings(*path)
        if not names:
            merged.exact(*path)
            self._vendor_variable(provider, here)
        elif "api_key" in provider.table or provider.missing_key:
            merged.approximate(*path, why="not needed: the key comes from another setting")
        elif not merged.owner(*path).trusted:
            merged.unsupported(*path, why="variables that a project's file names are never read")
        elif len(names) > 1:
            merged.approximate(*path, why=f"only the first variable, {names[0]}, is used")
            provider.table["api_key"] = f"{{env:{names[0]}}}"
        else:
            provider.table["api_key"] = f"{{env:{names[0]}}}"
            merged.exact(*path, why="imported as the API key")

    def _vendor_variable(self, provider: ImportedProvider, here: Keys) -> None:
        """The agent knows each vendor's variable. If it is set, the agent uses its value as the key."""
        known = "api_key" in provider.table or provider.missing_key or "custom_headers" in provider.table
        if known or here in self.changed:
            return
        if self.merged.get(*here, "npm") is None or self.merged.get(*here, "options", "baseURL") is None:
            names = self.catalog.models_dev.providers.get(provider.id, {}).get("env") or []
            if len(names) == 1 and environment(names[0]) is not None:
                provider.table["api_key"] = f"{{env:{names[0]}}}"

    def _use_stored_key(self, provider: ImportedProvider) -> None:
        """Import the key of a stored login."""
        logins, id = self.logins, provider.id
        kind = logins.get(id, "type")
        if kind != "api" or not isinstance(logins.get(id, "key"), str):
            logins.unsupported(id, why="tokens are not copied: only one program can refresh them")
            provider.missing_key = provider.missing_key or "its login is not imported"
            return
        logins.exact(id, "type")
        if "api_key" in provider.table:
            logins.exact(id, "key", why="the key in the configuration overrides it")
        elif logins.secret(id, "key"):
            provider.table["api_key"] = logins.get(id, "key").strip()
        else:
            provider.missing_key = KEY_NOT_COPIED

    def _login_only(self, id: str) -> None:
        """Add a provider with a login and without settings. The agent knows it from models.dev."""
        if why := self._disabled(id):
            self._skip(id, why)
            return
        provider = ImportedProvider(id, {})
        if changed_by_project(self.merged, ("provider", id), _is_harmless):
            self._skip(id, NO_KEYS)
            return
        if self._set_type(provider, ("provider", id)):
            self._skip(id, "it has only a key, and modelbay does not know the vendor")
            return
        self._use_stored_key(provider)
        self._add(provider, ("provider", id))

    # Models

    def _model(self, provider: ImportedProvider, key: str, protocol: Protocol) -> None:
        merged, path = self.merged, ("provider", provider.id, "models", key)
        alias = f"{provider.id}/{key}"
        if merged.get(*path) is None:
            provider.models.pop(alias, None)
            merged.exact(*path, why="null removes the model")
            return
        if self._project_moves(provider, path):
            provider.models.pop(alias, None)
            merged.unsupported(
                *path, why="a project's file can change the URL of this model, so it gets none of your keys"
            )
            return
        api = self._url(*path, "provider", "api")
        if api is None and _varies(merged.get(*path, "provider", "api")):
            provider.models.pop(alias, None)
            merged.override_unsupported(*path, why="its base URL contains a variable")
            return
        table: Table = {"model": self._literal(*path, "id") or key, **provider.models.get(alias, {})}
        merged.exact(*path, "id")
        if merged.get(*path) == {}:
            merged.exact(*path, why="only its name is set")
        npm = merged.text(*path, "provider", "npm")
        if npm in PACKAGES:
            protocol = PACKAGES[npm]
            table["protocol"] = protocol
            merged.exact(*path, "provider", "npm")
        if api:
            bare = api if merged.keys else bare_url(api)
            if bare != api:
                merged.approximate(*path, "provider", "api", why=NOT_COPIED)
            table["base_url"] = bare
            merged.exact(*path, "provider", "api")
        for there, here, kind in FIELDS:
            if (value := getattr(merged, kind)(*path, *there)) is not None:
                inner = table
                for name in here[:-1]:
                    inner = inner.setdefault(name, {})
                inner[here[-1]] = value
                merged.exact(*path, *there)
        options = merged.get(*path, "reasoning_options")
        efforts = IndexEntry(provider.id, key, {"reasoning_options": options}).facts
        if efforts.efforts:
            table["support_efforts"] = efforts.efforts
            table |= {"off_effort": efforts.off_effort} if efforts.off_effort else {}
            merged.exact(*path, "reasoning_options")
        for name in merged.table(*path, "variants"):
            variant = self._variant((*path, "variants", name), protocol)
            if variant:
                table.setdefault("variants", {})[name] = variant
        provider.models[alias] = table

    def _project_moves(self, provider: ImportedProvider, path: Keys) -> bool:
        """Whether a project's file sends a model's calls to a server that the provider's key is not for."""
        if not changed_by_project(
            self.merged, path, lambda inside: inside[:1] not in (("provider",), ("headers",), ())
        ):
            return False
        self.changed.add(path)
        api = self._url(*path, "provider", "api")
        return path[:2] not in self.changed or not _has_origin_of(api, provider.table.get("base_url"))

    def _variant(self, path: Keys, protocol: Protocol) -> Table:
        merged = self.merged
        variant: Table = {}
        fields = BODY_FIELDS[protocol]
        if merged.get(*path, "disabled") is True:
            merged.exact(*path, why="a disabled variant is not imported")
            return {}
        merged.exact(*path, "disabled")
        for leaf in leaves(merged.table(*path), ()):
            value = merged.get(*path, *leaf)
            target = fields.get(leaf)
            # the SDK sends unknown options unchanged
            raw = protocol == "openai_chat" and target is None and len(leaf) > 0
            if leaf == ("disabled",):
                continue
            if value is None or (target is None and not raw):
                merged.unsupported(*path, *leaf, why=f"modelbay knows no such field of {protocol}")
                continue
            inner = variant
            for name in (target or leaf)[:-1]:
                inner = inner.setdefault(name, {})
            inner[(target or leaf)[-1]] = value
            merged.exact(*path, *leaf)
        return variant

    def _defaults(self) -> None:
        merged, result = self.merged, self.result
        for name in ("disabled_providers", "enabled_providers"):
            merged.exact(name, why="disabled providers are not imported")
        merged.unsupported("small_model", why="modelbay has one default model")
        older = "written by an older version of Kilo Code: add its providers with `modelbay provider custom`"
        merged.unsupported("providerProfiles", why=older)
        model = merged.text("model")
        id = (model or "").partition("/")[0]
        here = ("provider", id)
        if {here, (*here, "models", (model or "").partition("/")[2])} & self.changed:
            why = "not imported as the default model: a project's file can change its URL"
            merged.unsupported("model", why=why)
        elif model and any(provider.id == id for provider in self.result.providers):
            result.default_model = model
            merged.exact("model")
        elif model:
            merged.unsupported("model", why="its provider is not imported")

    # Values

    def _literal(self, *path: str) -> str | None:
        """A text without references."""
        value = self.merged.text(*path)
        if value is not None and _REFERENCE.search(value):
            self.merged.unsupported(*path, why="modelbay does not follow references in this setting")
            return None
        return value

    def _with_references(self, *path: str) -> str | None:
        """A text, with its references in modelbay's form."""
        value = self.merged.get(*path)
        if not isinstance(value, str):
            return self.merged.text(*path)
        rest = _REFERENCE.sub("\n", value)
        if REFERENCE.search(rest) or misspelled_reference(rest):
            self.merged.unsupported(*path, why=LIKE_REFERENCE)
            return None
        text, end = "", 0
        for token in _REFERENCE.finditer(value):
            reference = self._reference(token[0], path)
            if reference is None:
                return None
            text, end = text + value[end : token.start()] + reference, token.end()
        return (text + value[end:]).strip()

    def _reference(self, value: str, path: Keys) -> str | None:
        match = _REFERENCE.fullmatch(value)
        assert match is not None
        kind, name = match[1], match[2].strip()
        layer = self.merged.owner(*path)
        why = ""
        if kind == "env":
            if not layer.trusted:
                why = "a project's file may not refer to environment variables"
            elif name in self.program.blocked:
                why = f"{self.program.title} does not allow references to {name}"
        else:
            file = (layer.folder / expanded(name)).resolve()
            name = str(file)
            if not layer.trusted and not file.is_relative_to(layer.root.resolve()):
                why = "a project's file may not refer to files outside of the project"
        if why:
            self.merged.unsupported(*path, why=why)
            return None
        return f"{{{kind}:{name}}}"


def _varies(url: object) -> bool:
    """Whether a URL contains a reference or a variable."""
    return isinstance(url, str) and ("${" in url or _REFERENCE.search(url) is not None)


def _is_harmless(path: Keys) -> bool:
    """Whether a provider's setting cannot change the destination of its calls. Models are checked one by one."""
    if path[:1] == ("options",):
        return bool(path[1:2]) and path[1] in HARMLESS
    return path[:1] in (("name",), ("env",), ("models",))


def _is_kept(path: Keys) -> bool:
    """Whether a user's setting is kept if a project's file can change the URL: all but credentials, headers and queries."""
    if path[:1] == ("options",):
        return bool(path[1:2]) and path[1] in LOCATION_OPTIONS | HARMLESS - {"apiKey"}
    return path[:1] in (("name",), ("npm",), ("api",), ("models",))


def _has_origin_of(url: str | None, home: str | None) -> bool:
    """Whether a URL, if set, has the same origin as another one."""
    try:
        return url is None or (home is not None and origin(url) == origin(home))
    except ValueError:
        return False


def _vendor_of(npm: str) -> Preset | None:
    """The vendor in the name of a package, such as "@ai-sdk/groq" or "@openrouter/ai-sdk-provider"."""
    for name in re.split(r"[@/]", npm):
        vendor = presets.by_models_dev(name) or presets.by_id(name) if name else None
        if vendor is not None:
            return vendor
    return None


def read(program: Program, merged: MergedConfig, logins: MergedConfig) -> ImportedConfig:
    """Import a program's configuration and stored logins."""
    files = [layer.file for layer in (*merged.layers, *logins.layers)]
    return _Reader(program, merged, logins, Catalog(), ImportedConfig(files)).read()
