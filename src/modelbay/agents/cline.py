"""Cline: `providers.json` of its command line and of newer editor extensions. It has one entry for each provider that it knows.

An own URL is possible only in the entries of its four protocols, each with one model. Older versions keep keys in the editor's
database and in the system's key store, which modelbay does not read.
"""

import re
import shlex
from pathlib import Path

from msgspec import Struct

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import json_layer
from modelbay.agents.entry_values import (
    NO_URL,
    UNUSABLE_URL,
    Field,
    ReferenceForm,
    has_host,
    id_of,
    import_fields,
    import_headers,
    import_key,
    import_timeout,
    read_url,
)
from modelbay.agents.exported import NO_KEY, ExportedProvider, check_supported, origin_text, refused
from modelbay.agents.findings import MergedConfig
from modelbay.agents.importing import check
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.provider_types import TYPES as PROVIDER_TYPES
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.onboarding.fields import free_name
from modelbay.providers import presets, urls

ENTRIES: dict[Protocol, str] = {
    "openai_chat": "openai-compatible",
    "openai_responses": "openai-native",
    "anthropic": "anthropic",
    "google": "gemini",
}
"""Cline's entries for protocols."""
PROTOCOLS = {name: protocol for protocol, name in ENTRIES.items()}
NEVER = ReferenceForm(re.compile(r"(?!)"))
"""Cline has no references."""
FIELDS: list[Field] = [
    (("maxTokens",), ("max_output_size",), "size"),
    (("contextWindow",), ("max_context_size",), "size"),
    (("reasoning", "effort"), ("default_effort",), "text"),
]
KEY_SETTINGS: tuple[Keys, ...] = (("settings", "apiKey"), ("settings", "auth"))
SECRETS: tuple[Keys, ...] = (*KEY_SETTINGS, ("settings", "headers"), ("settings", "model"), ("settings", "aws"))
CREDENTIALS: tuple[Keys, ...] = (*KEY_SETTINGS, ("settings", "headers"), ("settings", "aws"))
WRITTEN = "2026-01-01T00:00:00.000Z"
"""The time of an entry that is written. Cline requires one, and does not use it."""


def _home() -> Path:
    return Path.home() / ".cline" / "data"


def _files() -> list[Path]:
    return [_home() / "settings" / "providers.json"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    path = file or _files()[0]
    if file is None and not path.is_file():
        old = _home() / "globalState.json"
        hint = "start a newer Cline once: it converts its old files" if old.is_file() else "name its providers.json"
        raise ConfigError(f"{AGENT.title} has no configuration at {path}", hint=hint)
    layer = json_layer(path)
    merged = MergedConfig([layer], keys=keys, provider_tables=("providers",))
    return _Reader(merged, ImportedConfig([layer.file])).read()


class _Reader(Struct):
    merged: MergedConfig
    result: ImportedConfig

    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        default = merged.text("lastUsedProvider")
        for name in merged.table("providers"):
            if why := self._provider(name, default):
                result.skipped[name] = why
                merged.override_unsupported("providers", name, why=why)
        if result.default_model:
            merged.exact("lastUsedProvider", why="its model is the default model")
        merged.unsupported("lastUsedProvider", why="its model is not imported")
        result.findings = merged.findings()
        return result

    def _provider(self, name: str, default: str | None) -> str:
        """Add a provider. Returns why it cannot be used, or ""."""
        merged, entry = self.merged, ("providers", name)
        here = (*entry, "settings")
        if not isinstance(merged.get(*here), dict):
            return "it has no settings"
        provider = ImportedProvider("", {})
        if why := self._set_type(provider, name, here):
            return why
        used = {other.id for other in self.result.providers}
        id = id_of(provider.table.get("base_url", ""), name)
        provider.id = free_name(id, used)
        if merged.get(*here, "auth") is not None and merged.get(*here, "apiKey") is None:
            merged.unsupported(*here, "auth", why="tokens are not copied: only one program can refresh them")
            provider.missing_key = "its login is not imported"
        import_key(merged, (*here, "apiKey"), provider, NEVER)
        import_headers(merged, (*here, "headers"), provider, NEVER)
        import_timeout(merged, (*here, "timeout"), provider)
        alias = None
        if model := merged.text(*here, "model"):
            alias = f"{provider.id}/{model}"
            table: Table = {"model": model}
            import_fields(merged, here, table, FIELDS)
            provider.models[alias] = table
            merged.exact(*here, "model")
        if why := check(provider, merged, lambda alias: (*here, "model")):
            return why
        for setting in (("provider",), ("protocol",), ("client",)):
            merged.exact(*here, *setting)
        for setting in (("updatedAt",), ("tokenSource",)):
            merged.exact(*entry, *setting, why="not a setting")
        self.result.providers.append(provider)
        if name == default and alias in provider.models:
            self.result.default_model = alias
        return ""

    def _set_type(self, provider: ImportedProvider, name: str, here: Keys) -> str:
        merged, table = self.merged, provider.table
        url = read_url(merged, (*here, "baseUrl"), NEVER)
        if url is None and merged.get(*here, "baseUrl") is not None:
            return UNUSABLE_URL
        vendor = presets.by_id(name) or presets.by_models_dev(name)
        if vendor is not None and vendor.addressing == "vertexai":
            table["type"] = "vertexai"
            places = {PROJECT: ("gcp", "projectId"), LOCATION: ("gcp", "region")}
            env = {variable: value for variable, there in places.items() if (value := merged.text(*here, *there))}
            for there in places.values():
                merged.exact(*here, *there)
            table |= {"env": env} if env else {}
            return ""
        if name in PROTOCOLS:
            table["type"] = TYPE_OF[PROTOCOLS[name]]
            usual = PROVIDER_TYPES[table["type"]].base_url if name != ENTRIES["openai_chat"] else None
            url = url or usual
        elif vendor is not None and vendor.addressing == "plain":
            table["type"] = TYPE_OF[vendor.protocols[0]]
            url = url or vendor.url(vendor.protocols[0])
        elif url is None:
            return f'modelbay does not know the provider "{name}"'
        else:
            table["type"] = "openai"
        if not has_host(url) or "{" in str(url):
            return NO_URL
        table["base_url"] = url
        merged.exact(*here, "baseUrl")
        return ""


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("json", new_file={("version",): 1, ("modes",): {}})
    used: dict[str, str] = {}
    for provider in providers:
        check_supported(AGENT.title, provider)
        default = provider.first_model
        if default is None:
            add = f"`modelbay provider edit {shlex.quote(provider.id)} --add-model MODEL`"
            raise refused(provider.id, f"{AGENT.title} needs a model of provider {provider.id}", f"add one: {add}")
        protocol = provider.protocols.get(default.alias, provider.protocol)
        name = ENTRIES[protocol]
        if name in used:
            why = f"{AGENT.title} supports one provider for each protocol: {used[name]} and {provider.id} have the same"
            raise refused(provider.id, why, "name one of them")
        used[name] = provider.id
        exported.settings["providers", name] = {
            "settings": _settings(provider, default, protocol, name),
            "updatedAt": WRITTEN,
            "tokenSource": "manual",
        }
        exported.entries.append(
            ExportedEntry(
                ("providers", name), _destination, (("settings", "baseUrl"),), SECRETS, KEY_SETTINGS, CREDENTIALS
            )
        )
        if exported.start_model(provider) is not None:
            exported.default_model["lastUsedProvider",] = name
            exported.command = f"cline -P {name} 'Hello there'"
        rest = [model.model for model in provider.models if model is not default]
        if rest and not provider.of_gateway:
            why = f"{AGENT.title} has one model for each entry; choose one with `cline -m MODEL`"
            provider.not_exported(f"models {', '.join(rest)}", why)
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text; None if unknown."""
    settings = table.get("settings")
    return origin_text(settings.get("baseUrl")) if isinstance(settings, dict) else None


def _settings(provider: ExportedProvider, model: ModelEntry, protocol: Protocol, name: str) -> Table:
    facts = provider.facts[model.alias]
    base = urls.versioned((model.base_url or provider.base_url).rstrip("/"), protocol)
    table: Table = {"provider": name, "baseUrl": base, "model": model.model}
    if key := provider.secret():
        table["apiKey"] = key
    elif provider.key:
        why = f"{AGENT.title} has no references; pass --keys, or run `cline auth -p {name} -b {base} -k KEY`"
        provider.not_exported("key", why)
    else:
        table["apiKey"] = NO_KEY
    if headers := provider.headers():
        table["headers"] = headers
    if window := model.max_context_size or facts.max_context_tokens:
        table["contextWindow"] = window
    if most := model.max_output_size or facts.max_output_tokens:
        table["maxTokens"] = most
    if model.default_effort:
        table["reasoning"] = {"effort": model.default_effort}
    if provider.entry.timeout is not None and provider.entry.timeout.first_byte:
        table["timeout"] = round(provider.entry.timeout.first_byte * 1000)
    return table


AGENT = Agent(
    id="cline",
    title="Cline",
    protocols=("openai_chat", "anthropic", "openai_responses", "google"),
    files=_files,
    read=_read,
    write=_write,
)
