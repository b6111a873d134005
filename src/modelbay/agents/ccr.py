"""claude-code-router: `config.json` with a list of providers, and the route of each kind of request.

A provider has the URL of its endpoint, and transformers that adapt requests to it. Version 3 reads the file once, and keeps its
settings in a database of its own from then on.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import json_layer
from modelbay.agents.entry_values import (
    NO_URL,
    UNUSABLE_URL,
    ReferenceForm,
    has_host,
    import_key,
    import_timeout,
    read_url,
)
from modelbay.agents.exported import NO_KEY, ExportedGroup, ExportedProvider, check_supported, origin_text
from modelbay.agents.findings import LIKE_REFERENCE, MergedConfig
from modelbay.agents.importing import check
from modelbay.agents.named_lists import NamedLists, as_tables
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError
from modelbay.providers import urls
from modelbay.secrecy import REFERENCE

LISTS: NamedLists = {("Providers",): "name"}
FORM = ReferenceForm(re.compile(r"\$\{([^{}]+)\}|\$([A-Z_][A-Z0-9_]*)"))
TRANSFORMERS: dict[str, Protocol] = {
    "anthropic": "anthropic",
    "gemini": "google",
    "openai-responses": "openai_responses",
    "openai": "openai_chat",
}
"""The transformers that decide the protocol, in lower case. Others adapt Chat Completions to a vendor."""
NAMES: dict[Protocol, str] = {"anthropic": "Anthropic", "google": "gemini", "openai_responses": "openai-responses"}
ENDINGS: dict[Protocol, str] = {
    "anthropic": "anthropic",
    "google": "gemini",
    "openai_responses": "responses",
    "openai_chat": "chat",
}
AT_GOOGLE_CLOUD = ("vertex-gemini", "vertex-claude")
ROUTES = ("background", "think", "longContext", "webSearch", "image")
OWN_SERVER = ("APIKEY", "APIKEYS", "HOST", "PORT")
MODELS_PATH = re.compile(r"/models/*$")
KEY_SETTINGS: tuple[Keys, ...] = (("api_key",),)


def _folder() -> Path:
    return Path.home() / ".claude-code-router"


def _files() -> list[Path]:
    return [_folder() / "config.json"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    path = file or _files()[0]
    if file is None and not path.exists():
        raise ConfigError(
            f"{AGENT.title} has no configuration at {path}",
            hint="name its configuration file (version 3 keeps its settings in a database, which modelbay cannot read)",
        )
    layer = json_layer(path)
    layer = type(layer)(layer.file, as_tables(layer.data, LISTS), layer.folder)
    merged = MergedConfig([layer], keys=keys, provider_tables=("Providers", "Router"))
    return _Reader(merged, ImportedConfig([layer.file])).read()


class _Reader(Struct):
    merged: MergedConfig
    result: ImportedConfig
    providers: dict[str, ImportedProvider] = field(default_factory=dict)

    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        for key in merged.table("Providers"):
            self._provider(key)
        self._routes()
        for name in OWN_SERVER:
            merged.unsupported(name, why="modelbay's gateway has clients with keys of their own: `modelbay client add`")
        for name in ("PROXY_URL", "API_TIMEOUT_MS"):
            merged.unsupported(name, why="no provider is imported")
        result.findings = merged.findings()
        return result

    def _skip(self, key: str, why: str) -> None:
        self.result.skipped[key] = why
        self.merged.override_unsupported("Providers", key, why=why)

    def _provider(self, key: str) -> None:
        merged, here = self.merged, ("Providers", key)
        if not isinstance(merged.get(*here), dict):
            self._skip(key, "it is not an object")
            return
        id = merged.text(*here, "name")
        if id is None:
            self._skip(key, "it has no name")
            return
        merged.exact(*here, "name")
        provider = ImportedProvider(id, {})
        if why := self._set_type(provider, here):
            self._skip(key, why)
            return
        import_key(merged, (*here, "api_key"), provider, FORM)
        for model in merged.strings(*here, "models") or []:
            if REFERENCE.search(model):
                merged.approximate(*here, "models", why=f"a model is not imported: {LIKE_REFERENCE}")
                continue
            provider.models[f"{id}/{model}"] = {"model": model}
        merged.exact(*here, "models")
        self._limits(provider, here)
        import_timeout(merged, ("API_TIMEOUT_MS",), provider)
        if proxy := read_url(merged, ("PROXY_URL",), FORM):
            provider.table["proxy"] = proxy
            merged.exact("PROXY_URL")
        if why := check(provider, merged, lambda alias: (*here, "models")):
            self._skip(key, why)
        else:
            self.providers[id] = provider
            self.result.providers.append(provider)

    def _set_type(self, provider: ImportedProvider, here: Keys) -> str:
        """Set type and base URL. Returns why it cannot, or ""."""
        merged = self.merged
        used = _transformers(merged.get(*here, "transformer", "use"))
        cloud = next((name for name in used if name in AT_GOOGLE_CLOUD), None)
        if cloud:
            return f"its project and region are not in this file (transformer {cloud})"
        named = [TRANSFORMERS[name.lower()] for name in used if name.lower() in TRANSFORMERS]
        protocol = named[0] if named else "openai_chat"
        url = read_url(merged, (*here, "api_base_url"), FORM)
        if not has_host(url):
            return NO_URL if merged.get(*here, "api_base_url") is None else UNUSABLE_URL
        provider.table = {"type": TYPE_OF[protocol], "base_url": _base(str(url), protocol)}
        merged.exact(*here, "api_base_url", why="imported without the path of its endpoint")
        return ""

    def _limits(self, provider: ImportedProvider, here: Keys) -> None:
        """Record the transformers, of which `maxtoken` sets the maximum output."""
        merged = self.merged
        for key in merged.table(*here, "transformer"):
            model = None if key == "use" else key
            path = (*here, "transformer", *(("use",) if model is None else (model, "use")))
            value = merged.get(*path)
            if not isinstance(value, list):
                merged.unsupported(*here, "transformer", key, why="expected a list of transformers")
                continue
            most = _most_tokens(value)
            for table in provider.models.values():
                if most and model in (None, table["model"]) and (model or "max_output_size" not in table):
                    table["max_output_size"] = most
            others = [name for name in _transformers(value) if name.lower() not in (*TRANSFORMERS, "maxtoken")]
            if others:
                merged.approximate(*path, why=f"modelbay adapts requests itself, without {', '.join(others)}")
            merged.exact(*path)

    def _routes(self) -> None:
        merged = self.merged
        default = self._route("default")
        if default:
            self.result.default_model = default
            merged.exact("Router", "default")
        merged.unsupported("Router", "default", why="this model does not exist")
        for name in ROUTES:
            merged.unsupported("Router", name, why="modelbay has one default model; names for it: `[gateway.names]`")

    def _route(self, name: str) -> str | None:
        """The alias of the model of a route, which is written as `provider,model`."""
        id, comma, model = (self.merged.text("Router", name) or "").partition(",")
        provider = self.providers.get(id.strip())
        if provider is None or not comma or not model.strip():
            return None
        alias = f"{id.strip()}/{model.strip()}"
        return alias if alias in provider.models else None


def _transformers(value: Any) -> list[str]:
    """The names in a list of transformers, each a name or a list of a name and its options."""
    items = value if isinstance(value, list) else []
    names = [item[0] if isinstance(item, list) and item else item for item in items]
    return [name for name in names if isinstance(name, str)]


def _most_tokens(value: list[Any]) -> int | None:
    """The maximum output that a list of transformers sets."""
    for item in value:
        if isinstance(item, list) and len(item) == 2 and item[0] == "maxtoken" and isinstance(item[1], dict):
            most = item[1].get("max_tokens")
            if isinstance(most, int) and not isinstance(most, bool) and most > 0:
                return most
    return None


def _base(url: str, protocol: Protocol) -> str:
    """The base URL of an endpoint."""
    if protocol != "google":
        return urls.base_of(url)
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=MODELS_PATH.sub("", parts.path)))


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("json", lists=LISTS)
    for provider in providers:
        check_supported(AGENT.title, provider, query=True)
        key = _key(provider, exported)
        groups = provider.groups(ENDINGS)
        for group in groups:
            exported.settings["Providers", group.id] = _entry(provider, group, key)
            exported.entries.append(
                ExportedEntry(
                    ("Providers", group.id),
                    _destination,
                    (("api_base_url",),),
                    (*KEY_SETTINGS, ("transformer",)),
                    credentials=KEY_SETTINGS,
                )
            )
        _notes(provider)
        if (default := exported.start_model(provider)) is not None:
            id = next(group.id for group in groups if default in group.models)
            exported.default_model["Router", "default"] = f"{id},{_model(default)}"
            exported.command = "ccr restart && ccr code"
        exported.notes += provider.notes
    return exported


def _notes(provider: ExportedProvider) -> None:
    for name in provider.entry.custom_headers:
        provider.not_exported(f"header {name}")
    if provider.entry.timeout is not None:
        provider.not_exported("timeout")
    if not provider.models:
        provider.not_offered(AGENT.title)


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text; None if unknown."""
    return origin_text(table.get("api_base_url"))


def _key(provider: ExportedProvider, exported: ExportedConfig) -> str:
    """The key of an entry. The agent ignores an entry without a key."""
    kind, target = provider.reference
    if kind == "env":
        return _variable(target)
    if key := provider.secret():
        return key
    if provider.key:
        exported.variables[provider.variable] = provider.id
        return _variable(provider.variable)
    return NO_KEY


def _variable(name: str) -> str:
    reference = f"${name}"
    return reference if FORM.variable.fullmatch(reference) else f"${{{name}}}"


def _entry(provider: ExportedProvider, group: ExportedGroup, key: str) -> Table:
    table: Table = {
        "name": group.id,
        "api_base_url": _endpoint(provider, group),
        "api_key": key,
        "models": [_model(model) for model in group.models],
    }
    transformer: Table = {}
    name = NAMES.get(group.protocol)
    if name:
        vendor = provider.upstream.preset
        bearer = group.protocol == "anthropic" and vendor is not None and vendor.auth.get("anthropic") == "bearer"
        transformer["use"] = [[name, {"UseBearer": True}] if bearer else name]
    for model in group.models:
        if model.max_output_size and not name:
            transformer[_model(model)] = {"use": [["maxtoken", {"max_tokens": model.max_output_size}]]}
    if transformer:
        table["transformer"] = transformer
    return table


def _model(model: ModelEntry) -> str:
    """The ID of a model. The agent appends it to the folder of the models, even if it is a whole resource name."""
    return model.model.removeprefix("models/")


def _endpoint(provider: ExportedProvider, group: ExportedGroup) -> str:
    """The URL of a group's endpoint; for Google's protocol the folder of its models."""
    base = urls.versioned(group.base_url, group.protocol).rstrip("/")
    path = {
        "openai_chat": "/chat/completions",
        "openai_responses": "/responses",
        "anthropic": "/messages",
        "google": "/models/",
    }[group.protocol]
    query = urlencode(provider.query)
    return f"{base}{path}{f'?{query}' if query else ''}"


AGENT = Agent(
    id="ccr",
    title="claude-code-router",
    protocols=("openai_chat", "anthropic", "openai_responses", "google"),
    files=_files,
    read=_read,
    write=_write,
)
