"""Crush: `crush.json` files, merged from the user's and the project's. Its values are expanded like words of a shell.

Newer versions also run a script, `crushrc`, whose commands override the JSON file next to it. modelbay does not run it.
"""

import re
import shlex
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import json_layer, project_folders
from modelbay.agents.entry_values import (
    NO_URL,
    UNUSABLE_URL,
    Field,
    ReferenceForm,
    has_host,
    import_cost,
    import_fields,
    import_headers,
    import_key,
    read_url,
)
from modelbay.agents.exported import ExportedGroup, ExportedProvider, auth_headers, check_supported, origin_text
from modelbay.agents.findings import ConfigLayer, MergedConfig
from modelbay.agents.importing import check, may_run
from modelbay.agents.named_lists import ANY, NamedLists, as_tables
from modelbay.agents.project_files import NO_KEYS, changed_by_project, remove_user_settings
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError
from modelbay.providers import presets, urls
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import environment, expanded, user_config_dir, user_data_dir

NAME = "crush.json"
SCRIPTS = ("crushrc", ".crushrc")
LISTS: NamedLists = {("providers", ANY, "models"): "id"}
FORM = ReferenceForm(
    re.compile(r"\$\{([A-Za-z_]\w*)(?::?\?[^{}]*)?\}|\$([A-Za-z_]\w*)"),
    re.compile(r"\$"),
    "modelbay does not expand this shell syntax",
    re.compile(r"\$\((.+)\)", re.DOTALL),
)
TYPES = {
    "openai": "openai",
    "openai-compat": "openai",
    "hyper": "openai",
    "litellm": "openai",
    "omlx": "openai",
    "anthropic": "anthropic",
    "google": "google-genai",
    "gemini": "google-genai",
    "azure": "azure",
}
"""Crush's types, with modelbay's. Others are named after vendors with Chat Completions."""
CLOUD = {"vertexai": "Google Cloud", "google-vertex": "Google Cloud", "bedrock": "AWS"}
EXPORTED: dict[Protocol, str] = {"openai_chat": "openai-compat", "anthropic": "anthropic", "google": "google"}
"""Crush's types for protocols. The type `openai` uses Responses only for models that it knows."""
ENDINGS: dict[Protocol, str] = {"openai_chat": "chat", "anthropic": "anthropic", "google": "google"}
FIELDS: list[Field] = [
    (("name",), ("display_name",), "text"),
    (("context_window",), ("max_context_size",), "size"),
    (("default_max_tokens",), ("max_output_size",), "size"),
    (("can_reason",), ("reasoning",), "boolean"),
    (("reasoning_levels",), ("support_efforts",), "strings"),
    (("default_reasoning_effort",), ("default_effort",), "text"),
    (("supports_attachments",), ("image_in",), "boolean"),
]
COSTS = {
    "cost_per_1m_in": "input",
    "cost_per_1m_out": "output",
    "cost_per_1m_in_cached": "cache_write",
    "cost_per_1m_out_cached": "cache_read",
}
WINDOW, OUTPUT = 131_072, 8192
"""The sizes of models whose sizes are unknown, in tokens."""
HARMLESS = ("name", "api_key", "models", "disable", "system_prompt_prefix", "flat_rate", "discover_models")
"""Settings of a provider that cannot change the destination of its calls."""
KEPT = ("name", "type", "base_url", "models", "disable")
"""The user's settings that stay if a project's file can change the URL."""
KEY_SETTINGS: tuple[Keys, ...] = (("api_key",), ("oauth",), *auth_headers("extra_headers"))
SECRETS: tuple[Keys, ...] = (*KEY_SETTINGS, ("extra_headers",), ("extra_body",), ("provider_options",), ("auth",))
CREDENTIALS: tuple[Keys, ...] = (*KEY_SETTINGS, ("extra_headers",), ("auth",))
CLOUD_WHY = "modelbay does not read its project and region from environment variables"


def _home() -> Path:
    folder = environment("CRUSH_GLOBAL_CONFIG")
    return expanded(folder) if folder else user_config_dir() / "crush"


def _state() -> Path:
    """The file in which it stores keys and models that the user chose on its screen."""
    folder = environment("CRUSH_GLOBAL_DATA")
    return (expanded(folder) if folder else user_data_dir() / "crush") / NAME


def _files() -> list[Path]:
    return [_home() / NAME]


def _layers(file: Path | None) -> list[ConfigLayer]:
    """The files that apply in the current folder, in increasing priority; or only `file`.

    Raises:
        ConfigError: a file cannot be read, or no file exists.
    """
    if file is not None:
        return [json_layer(file)]
    found = [json_layer(path) for path in (_files()[0], _state()) if path.is_file()]
    for folder in project_folders():
        named = [folder / name for name in (NAME, f".{NAME}")]
        found += [json_layer(path, folder) for path in named if path.is_file() and folder != _home()]
    if not found:
        script = next((path for name in SCRIPTS if (path := _home() / name).is_file()), None)
        raise ConfigError(
            f"{AGENT.title} has no configuration at {_files()[0]}",
            hint=f"modelbay does not run {script}: name a file of JSON" if script else "name its configuration file",
        )
    return found


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    layers = [_with_tables(layer) for layer in _layers(file)]
    merged = MergedConfig(layers, keys=keys, provider_tables=("providers", "models"))
    result = ImportedConfig([layer.file for layer in layers])
    return _Reader(merged, may_run(file, [*_files(), _state()]), result).read()


def _with_tables(layer: ConfigLayer) -> ConfigLayer:
    """A file with its lists of models as tables."""
    return replace(layer, data=as_tables(layer.data, LISTS))


class _Reader(Struct):
    merged: MergedConfig
    may_run: bool
    result: ImportedConfig
    changed: set[str] = field(default_factory=set)
    """The providers whose destination a project's file can change."""

    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        for id in list(merged.table("providers")):
            self._provider(id)
        self._selected()
        merged.unsupported("env", why="set these variables in your shell")
        result.findings = merged.findings()
        return result

    def _skip(self, id: str, why: str) -> None:
        self.result.skipped[id] = why
        self.merged.override_unsupported("providers", id, why=why)

    def _provider(self, id: str) -> None:
        merged, here = self.merged, ("providers", id)
        if not isinstance(merged.get(*here), dict):
            self._skip(id, "it is not an object")
            return
        if merged.boolean(*here, "disable"):
            self._skip(id, "it is disabled")
            return
        merged.exact(*here, "disable")
        provider = ImportedProvider(id, {})
        if changed_by_project(merged, here, lambda path: path[:1] != () and path[0] in HARMLESS):
            self.changed.add(id)
            if remove_user_settings(merged, here, lambda path: path[0] in KEPT):
                provider.missing_key = NO_KEYS
        if why := self._set_type(provider, here):
            self._skip(id, why)
            return
        if name := merged.text(*here, "name"):
            provider.table["name"] = name
            merged.exact(*here, "name")
        merged.exact(*here, "id", why="the key of its table is used")
        self._key(provider, here)
        import_headers(merged, (*here, "extra_headers"), provider, FORM)
        for key in merged.table(*here, "models"):
            self._model(provider, (*here, "models", key))
        merged.unsupported(*here, "discover_models", why="modelbay lists models itself: `modelbay provider refresh`")
        if why := check(provider, merged, lambda alias: (*here, "models", alias.removeprefix(f"{id}/"))):
            self._skip(id, why)
        else:
            self.result.providers.append(provider)

    def _set_type(self, provider: ImportedProvider, here: Keys) -> str:
        """Set type and base URL, from the entry or from facts about its ID. Returns why it cannot, or ""."""
        merged = self.merged
        preset = presets.by_models_dev(provider.id) or presets.by_id(provider.id) or presets.by_type(provider.id)
        written = merged.text(*here, "type")
        if written in CLOUD:
            return f"{CLOUD_WHY} ({CLOUD[written]})"
        ours = TYPES.get(written or "", "openai" if presets.by_id(written or "") else None)
        if written is not None and ours is None:
            return f'unknown type "{written}"'
        protocol = preset.protocols[0] if preset else "openai_chat"
        usual = {"anthropic": "anthropic", "google": "google-genai"}.get(protocol, "openai")
        type = ours or usual
        url = read_url(merged, (*here, "base_url"), FORM)
        if url is None and merged.get(*here, "base_url") is not None:
            return UNUSABLE_URL
        url = url or (preset.url("openai_chat" if type == "openai" else preset.protocols[0]) if preset else None)
        if not has_host(url) or "{" in str(url):
            return NO_URL
        provider.table |= {"type": type, "base_url": url}
        merged.exact(*here, "base_url")
        if written == "openai":
            merged.approximate(*here, "type", why="modelbay uses Chat Completions for all models; Crush for most")
        same = written in (None, *EXPORTED.values())
        merged.exact(*here, "type", why="" if same else f'imported as type "{type}"')
        return ""

    def _key(self, provider: ImportedProvider, here: Keys) -> None:
        merged = self.merged
        if merged.get(*here, "oauth") is not None:
            merged.unsupported(*here, "oauth", why="tokens are not copied: only one program can refresh them")
            provider.missing_key = provider.missing_key or "its login is not imported"
        merged.unsupported(*here, "auth", why="log in with `modelbay login`")
        import_key(merged, (*here, "api_key"), provider, FORM, may_run=self.may_run)
        found = provider.table.get("api_key", "")
        own = {match[2] for match in REFERENCE.finditer(found) if match[1] == "env"} & self.merged.table("env").keys()
        if own:
            provider.missing_key = f"its file sets the variable {min(own)}"
        headers = merged.get(*here, "extra_headers")
        if found or provider.missing_key or headers is not None or provider.id in self.changed:
            return
        if merged.get(*here, "base_url") is None and merged.get(*here, "api_key") is None:
            names = Catalog().models_dev.providers.get(provider.id, {}).get("env") or []
            if len(names) == 1 and environment(names[0]) is not None:  # which it reads without a setting
                provider.table["api_key"] = f"{{env:{names[0]}}}"

    def _model(self, provider: ImportedProvider, path: Keys) -> None:
        merged = self.merged
        if not isinstance(merged.get(*path), dict):
            merged.unsupported(*path, why="it is not an object")
            return
        id = merged.text(*path, "id")
        if id is None:
            merged.override_unsupported(*path, why="it has no ID")
            return
        table: Table = {"model": id}
        merged.exact(*path, "id")
        import_fields(merged, path, table, FIELDS)
        import_cost(merged, {here: [(*path, there)] for there, here in COSTS.items()}, table)
        provider.models[f"{provider.id}/{id}"] = table

    def _selected(self) -> None:
        """Import the selected models. `large` is the default, and its settings are those of the model."""
        merged, result = self.merged, self.result
        for which in ("large", "small"):
            here = ("models", which)
            id, model = merged.text(*here, "provider"), merged.text(*here, "model")
            provider = next((provider for provider in result.providers if provider.id == id), None)
            if provider is None or not model:
                merged.unsupported(*here, why="its provider is not imported")
                continue
            if which == "small":
                merged.unsupported(*here, why="modelbay has one default model")
                continue
            if id in self.changed:
                merged.unsupported(*here, why="not imported as the default model: a project's file can change its URL")
                continue
            alias = f"{id}/{model}"
            table = provider.models.setdefault(alias, {"model": model})
            result.default_model = alias
            merged.exact(*here, "provider")
            merged.exact(*here, "model")
            chosen: list[Field] = [
                (("max_tokens",), ("max_output_size",), "size"),
                (("reasoning_effort",), ("default_effort",), "text"),
            ]
            import_fields(merged, here, table, chosen)


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("json", lists=LISTS, new_file={("$schema",): "https://charm.land/crush.json"})
    exported.problems = lambda file, data: _problems(exported, file)
    for provider in providers:
        check_supported(AGENT.title, provider)
        groups = provider.groups(ENDINGS)
        for group in groups:
            exported.settings["providers", group.id] = _entry(provider, group, exported)
            exported.entries.append(
                ExportedEntry(
                    ("providers", group.id), _destination, (("base_url",),), SECRETS, KEY_SETTINGS, CREDENTIALS
                )
            )
        if (default := exported.start_model(provider)) is not None:
            id = next(group.id for group in groups if default in group.models)
            exported.default_model = {
                ("models", which, name): value
                for which in ("large", "small")
                for name, value in (("provider", id), ("model", default.model))
            }
            if default.default_effort:
                exported.default_model["models", "large", "reasoning_effort"] = default.default_effort
            if default.max_output_size:
                exported.default_model["models", "large", "max_tokens"] = default.max_output_size
            exported.command = f"crush run -m {shlex.quote(f'{id}/{default.model}')} Hello"
        if not provider.models:
            provider.not_offered(AGENT.title)
        if provider.entry.timeout is not None:
            provider.not_exported("timeout")
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text; None if unknown."""
    return origin_text(table.get("base_url"))


def _problems(exported: ExportedConfig, file: Path) -> list[str]:
    """The reasons why Crush would not use the entries: files and scripts that override them.

    Raises:
        ConfigError: another file has a credential for one of the entries, and it belongs to another URL.
    """
    found = []
    for name in SCRIPTS:
        if (script := file.parent / name).is_file():
            found.append(f"{script} is run after this file, and may override it")
    try:
        others = [_with_tables(layer) for layer in _layers(None) if layer.file != str(file)]
    except ConfigError:
        return found
    for layer in others:
        other = MergedConfig([layer])
        for entry in exported.entries:
            old = other.get(*entry.path)
            if not isinstance(old, dict):
                continue
            if any(old.get(name) for name in ("api_key", "extra_headers", "oauth")) and not old.get("base_url"):
                id = entry.path[-1]
                raise ConfigError(
                    f"{layer.file} sets a key for the provider {id}: {AGENT.title} would send it to the new URL",
                    hint="remove it from that file, then try again",
                    file=layer.file,
                )
            found.append(f"{layer.file} overrides {'.'.join(entry.path)}")
        if other.get("models", "large") is not None and exported.default_model:
            found.append(f"{layer.file} overrides models.large")
    return found


def _entry(provider: ExportedProvider, group: ExportedGroup, exported: ExportedConfig) -> Table:
    base = group.base_url.rstrip("/")
    if group.protocol != "openai_chat":  # for others, the agent adds the version itself
        base = urls.VERSION.sub("", base)
    table: Table = {"name": provider.name, "type": EXPORTED[group.protocol], "base_url": base}
    if key := _key(provider, exported):
        table["api_key"] = key
    headers = {}
    for name, value in provider.headers(("env",), inside=True).items():
        plain = REFERENCE.sub("", value)
        if "$" in plain:
            provider.not_exported(f"header {name}", f"{AGENT.title} would expand the $ in it")
        else:
            headers[name] = REFERENCE.sub(lambda found: f"${{{found[2]}}}", value)
    if headers:
        table["extra_headers"] = headers
    table["models"] = {model.model: _model_entry(provider, model) for model in group.models}
    return table


def _key(provider: ExportedProvider, exported: ExportedConfig) -> str:
    kind, target = provider.reference
    words = {"env": f"${target}", "file": f"$({shlex.join(['cat', target])})", "command": f"$({target})"}
    if kind in words:
        return words[kind]
    key = provider.secret()
    if key and not set(key) & set("$`\\\"'"):
        return key
    if provider.key:
        exported.variables[provider.variable] = provider.id
        return f"${provider.variable}"
    return ""


def _model_entry(provider: ExportedProvider, model: ModelEntry) -> Table:
    """The entry of a model, with known facts."""
    facts = provider.facts[model.alias]
    cost = model.cost
    table: Table = {"id": model.model, "name": model.display_name or model.model}
    for there, here in COSTS.items():
        table[there] = (getattr(cost, here) if cost else None) or 0
    # 0 would be sent as the maximum output, and a conversation would be compacted after each answer
    window, most = model.max_context_size or facts.max_context_tokens, model.max_output_size or facts.max_output_tokens
    if not window:
        provider.note(f"model {model.alias}: unknown context window; exported as {WINDOW} tokens")
    if not most:
        provider.note(f"model {model.alias}: unknown maximum output; exported as {OUTPUT} tokens at most")
    table["context_window"] = window or WINDOW
    table["default_max_tokens"] = most or min(OUTPUT, (window or WINDOW) // 4)
    table["can_reason"] = bool(facts.can("thinking") if model.reasoning is None else model.reasoning)
    table["supports_attachments"] = bool(facts.can("image_in") if model.image_in is None else model.image_in)
    if model.support_efforts:
        table["reasoning_levels"] = model.support_efforts
    if model.default_effort:
        table["default_reasoning_effort"] = model.default_effort
    if model.variants:
        provider.not_exported(f"variants of model {model.alias}")
    return table


AGENT = Agent(
    id="crush",
    title="Crush",
    protocols=("openai_chat", "anthropic", "google"),
    files=_files,
    read=_read,
    write=_write,
)
