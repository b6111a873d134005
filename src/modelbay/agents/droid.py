"""Factory's Droid: `settings.json` with the list `customModels`; each model has a base URL and a key.

`settings.local.json` beside it replaces each of its settings as a whole. Files of a project are not read. Droid replaces `${NAME}`
by an environment variable in keys only, and does not run the `apiKeyHelper` of a user.
"""

import re
import shlex
from pathlib import Path

from msgspec.structs import replace

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import json_layer
from modelbay.agents.entry_values import (
    UNUSABLE_URL,
    Field,
    ReferenceForm,
    has_host,
    id_of,
    import_fields,
    import_headers,
    import_key,
    read_url,
)
from modelbay.agents.exported import ExportedProvider, auth_headers, check_supported, origin_text
from modelbay.agents.findings import NO_SETTING, MergedConfig
from modelbay.agents.model_list import ModelListReader
from modelbay.agents.named_lists import NamedLists, as_tables
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError
from modelbay.origin import origin
from modelbay.protocols.efforts import LEVELS, OFF, ON, nearest
from modelbay.providers import presets, urls
from modelbay.providers.vendor import Preset
from modelbay.storage.paths import environment, expanded

MODELS, DEFAULTS = "customModels", "sessionDefaultSettings"
LISTS: NamedLists = {(MODELS,): "id"}
PREFIX = "custom:"
"""The beginning of the ID of a model that is not one of Factory's."""
FORM = ReferenceForm(re.compile(r"\$\{([A-Za-z_]\w*)\}"))
LITERAL = ReferenceForm(re.compile(r"(?!)"))
"""The form of a setting without references."""
PROTOCOLS: dict[str, Protocol] = {
    "anthropic": "anthropic",
    "openai": "openai_responses",
    "generic-chat-completion-api": "openai_chat",
}
"""Droid's names for protocols."""
NAMES = {protocol: name for name, protocol in PROTOCOLS.items()}
FIELDS: list[Field] = [
    (("displayName",), ("display_name",), "text"),
    (("maxContextLimit",), ("max_context_size",), "size"),
    (("maxOutputTokens",), ("max_output_size",), "size"),
]
OFF_EFFORT, BEARER = "none", "bearer"
KEY_SETTINGS: tuple[Keys, ...] = (("apiKey",), ("apiKeyHelper",), *auth_headers("extraHeaders"))
SECRETS: tuple[Keys, ...] = (("apiKey",), ("apiKeyHelper",), ("authMode",), ("extraHeaders",), ("extraArgs",))
"""Settings that belong to one URL."""
CREDENTIALS: tuple[Keys, ...] = (("apiKey",), ("apiKeyHelper",), ("extraHeaders",))


def _home() -> Path:
    folder = environment("FACTORY_HOME_OVERRIDE")
    return (expanded(folder) if folder else Path.home()) / ".factory"


def _files() -> list[Path]:
    return [_home() / "settings.json"]


def _local() -> Path:
    """The file that overrides the settings."""
    return _home() / "settings.local.json"


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    path = file or _files()[0]
    layers = [json_layer(one) for one in ((path, _local()) if file is None else (path,)) if file or one.is_file()]
    if not layers:
        old = path.with_name("config.json")
        hint = f"move the models of {old} to it: modelbay does not read them" if old.is_file() else None
        raise ConfigError(f"{AGENT.title} has no settings at {path}", hint=hint or "name its settings file")
    over = layers[-1].data if len(layers) > 1 else {}
    layers[0] = replace(layers[0], data={key: None if key in over else value for key, value in layers[0].data.items()})
    layers = [replace(layer, data=as_tables(layer.data, LISTS)) for layer in layers]
    merged = MergedConfig(layers, keys=keys, provider_tables=(MODELS,))
    return _Reader(merged, ImportedConfig([layer.file for layer in layers])).read()


class _Reader(ModelListReader):
    def read(self) -> ImportedConfig:
        self.read_list(MODELS, self._model)
        self.add_providers()
        self._default()
        self.result.findings = self.merged.findings()
        return self.result

    def _model(self, path: Keys) -> str:
        """Add a model. Returns why it cannot be used, or ""."""
        merged = self.merged
        model = merged.text(*path, "model")
        if model is None:
            return "it has no model"
        named = merged.text(*path, "provider") or ""
        protocol = PROTOCOLS.get(named.lower().replace("_", "-"))
        if protocol is None or merged.get(*path, "bedrock") is not None:
            return "it is called at Amazon Bedrock" if protocol else f'unknown provider "{named}"'
        url = read_url(merged, (*path, "baseUrl"), LITERAL)
        if not has_host(url) or "{" in str(url):
            return UNUSABLE_URL
        for setting in ("model", "provider", "baseUrl"):
            merged.exact(*path, setting)
        merged.exact(*path, "id", why="modelbay makes the alias of the model")
        merged.exact(*path, "index", why="not a setting")
        merged.exact(*path, "apiKeyHelper", why=f"{AGENT.title} does not run it for a user")
        provider = self._provider(path, model, ImportedProvider("", {"type": TYPE_OF[protocol], "base_url": url}))
        alias = f"{provider.id}/{model}"
        if alias in provider.models:
            return "another model has the same name, base URL and key"
        self.add(provider, alias, self._settings(path, {"model": model}), path)
        return ""

    def _provider(self, path: Keys, model: str, provider: ImportedProvider) -> ImportedProvider:
        """The provider of a model. Models with the same URL, key and headers have the same one."""
        merged = self.merged
        import_key(merged, (*path, "apiKey"), provider, FORM)
        import_headers(merged, (*path, "extraHeaders"), provider, LITERAL)
        vendor = presets.by_host(origin(provider.table["base_url"]).host)
        as_here = (merged.get(*path, "authMode") == BEARER) == _bearer(provider.table["type"], vendor)
        merged.exact(
            *path, "authMode", why="" if as_here else "modelbay sends the key as the vendor of the URL expects it"
        )
        same = (repr(provider.table), provider.missing_key, repr(merged.get(*path, "apiKey")))
        written = re.fullmatch(rf"{PREFIX}([\w.-]+)/{re.escape(model)}", path[-1])
        return self.shared(same, provider, written[1] if written else id_of(provider.table["base_url"], "droid"))

    def _settings(self, path: Keys, table: Table) -> Table:
        merged = self.merged
        import_fields(merged, path, table, FIELDS)
        if table.get("display_name") == table["model"]:
            del table["display_name"]
        effort = merged.text(*path, "reasoningEffort")
        if effort in (*LEVELS, *OFF):
            table["default_effort"] = OFF[0] if effort in OFF else effort
            merged.exact(*path, "reasoningEffort")
        if (blind := merged.boolean(*path, "noImageSupport")) is not None:
            table["image_in"] = not blind
            merged.exact(*path, "noImageSupport")
        return table

    def _default(self) -> None:
        merged, here = self.merged, (DEFAULTS, "model")
        wanted = merged.text(*here)
        self.result.default_model = next((alias for alias in self.usable() if self.places[alias][-1] == wanted), None)
        if self.result.default_model:
            merged.exact(*here)
        merged.unsupported(*here, why="its provider is not imported")
        merged.unsupported(DEFAULTS, "reasoningEffort", why=NO_SETTING)


def _bearer(type: str, vendor: Preset | None) -> bool:
    """Whether modelbay sends the key of a provider of Anthropic Messages in the header `Authorization`."""
    return type == "anthropic" and vendor is not None and vendor.auth.get("anthropic") == "bearer"


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("json", lists=LISTS)
    exported.problems = lambda file, data: _problems()
    for provider in providers:
        check_supported(AGENT.title, provider)
        key, headers = _key(provider, exported), provider.headers()
        if provider.of_gateway:  # Droid repeats failed requests itself, and the numbers would multiply
            headers["x-modelbay-retries"] = "0"
        for model in provider.models:
            here = (MODELS, f"{PREFIX}{model.alias}")
            exported.settings[here] = _entry(provider, model, key, headers)
            exported.entries.append(
                ExportedEntry(here, _destination, (("baseUrl",), ("bedrock",)), SECRETS, KEY_SETTINGS, CREDENTIALS)
            )
        if (default := exported.start_model(provider)) is not None:
            exported.default_model = {(DEFAULTS, "model"): f"{PREFIX}{default.alias}"}
            if effort := _effort(default):
                exported.default_model[DEFAULTS, "reasoningEffort"] = effort
            exported.command = f"droid exec -m {shlex.quote(f'{PREFIX}{default.alias}')} Hello"
        if not provider.models:
            provider.not_offered(AGENT.title)
        if provider.entry.timeout is not None:
            provider.not_exported("timeout")
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of a model's calls as comparable text; None if unknown."""
    return origin_text(table.get("baseUrl"))


def _problems() -> list[str]:
    """The reasons why Droid would not use the models."""
    data = json_layer(_local()).data if _local().is_file() else {}
    return [f"{_local()} overrides {name}" for name in (MODELS, DEFAULTS) if name in data]


def _key(provider: ExportedProvider, exported: ExportedConfig) -> str:
    kind, target = provider.reference
    if kind == "env":
        return f"${{{target}}}"
    key = provider.secret()
    if key and not FORM.variable.search(key):
        return key
    if provider.key:
        exported.variables[provider.variable] = provider.id
        return f"${{{provider.variable}}}"
    return ""


def _entry(provider: ExportedProvider, model: ModelEntry, key: str, headers: dict[str, str]) -> Table:
    facts = provider.facts[model.alias]
    protocol = provider.protocols.get(model.alias, provider.protocol)
    base = urls.versioned((model.base_url or provider.base_url).rstrip("/"), protocol)
    if protocol == "anthropic":  # the SDK adds the version itself
        base = urls.VERSION.sub("", base)
    table: Table = {
        "id": f"{PREFIX}{model.alias}",
        "model": model.model,
        "displayName": model.display_name or model.model,
        "provider": NAMES[protocol],
        "baseUrl": base,
    }
    if key:
        table["apiKey"] = key
    if _bearer(TYPE_OF[protocol], provider.upstream.preset):
        table["authMode"] = BEARER
    if headers:
        table["extraHeaders"] = headers
    if window := model.max_context_size or facts.max_context_tokens:
        table["maxContextLimit"] = window
    if most := model.max_output_size or facts.max_output_tokens:
        table["maxOutputTokens"] = most
    if effort := _effort(model):
        table["reasoningEffort"] = effort
    sees = facts.can("image_in") if model.image_in is None else model.image_in
    if sees is not None:
        table["noImageSupport"] = not sees
    for what in ("cost", "variants"):
        if getattr(model, what):
            provider.not_exported(f"{what} of model {model.alias}")
    return table


def _effort(model: ModelEntry) -> str:
    """The reasoning effort of a model in Droid's words; "" if none is set. With one, Droid offers others, too."""
    effort = (model.default_effort or "on").lower()
    return "" if effort in ON else OFF_EFFORT if effort in OFF else nearest(effort, list(LEVELS), model.alias, [])


AGENT = Agent(
    id="droid",
    title="Droid",
    protocols=("anthropic", "openai_responses", "openai_chat"),
    files=_files,
    read=_read,
    write=_write,
)
