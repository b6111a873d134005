"""Kimi Code: `config.toml` with the same tables as modelbay, which are copied unchanged. kimi-cli had other names for types."""

import shlex
from pathlib import Path
from typing import Any

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import toml_layer
from modelbay.agents.entry_values import UNUSABLE_URL
from modelbay.agents.exported import NO_KEY, ExportedProvider, auth_headers, origin_text, refused
from modelbay.agents.findings import KEY_NOT_COPIED, LIKE_REFERENCE, NOT_COPIED, MergedConfig, leaves
from modelbay.agents.importing import check
from modelbay.config import keys
from modelbay.config.entries import Unusable, model_entry
from modelbay.config.provider_types import OLD_TYPES, TYPE_OF
from modelbay.config.provider_types import TYPES as PROVIDER_TYPES
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.approval import references_in
from modelbay.credentials.credential import key_names
from modelbay.secrecy import (
    REFERENCE,
    bare_url,
    misspelled_reference,
    named_secret,
    secret_header,
    secret_variable,
    shaped_secret,
)
from modelbay.storage.paths import environment, expanded

TYPES = {"kimi", "anthropic", "openai", "openai_responses", "google-genai", "vertexai"}
PROTOCOLS: dict[Protocol, str] = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}
"""Kimi Code's names for protocols."""
PROVIDER = ("default_model", "source", "model_source")
MODEL = (
    "max_context_size", "max_input_size", "max_output_size", "display_name", "reasoning_key", "adaptive_thinking",
    "support_efforts", "default_effort", "off_effort", "beta_api", "aliases",
)  # fmt: skip
URL_NAMES = sorted({name for row in PROVIDER_TYPES.values() for name in row.url_names})
ADDRESS: tuple[Keys, ...] = (("base_url",), *(("env", name) for name in URL_NAMES))
"""Settings of a provider's entry that decide the destination of its calls."""
KEY_SETTINGS: tuple[Keys, ...] = (("api_key",), ("api_key_env",), ("oauth",), *auth_headers("custom_headers"))
"""The settings for a key. Kimi Code refuses an entry with two of them."""
SECRETS: tuple[Keys, ...] = (*KEY_SETTINGS, ("env",), ("custom_headers",), ("source",))
"""Settings that belong to one URL."""
CREDENTIALS: tuple[Keys, ...] = (*KEY_SETTINGS, ("env",), ("custom_headers",))
MODEL_ADDRESS: tuple[Keys, ...] = (("base_url",), ("provider_id",), ("name",), ("protocol",))
MODEL_SECRETS: tuple[Keys, ...] = (("api_key",), ("oauth",))
MODEL_VARIABLE = "KIMI_MODEL_NAME"
"""An environment variable that overrides the model in the file."""
CAPABILITIES = ("thinking", "always_thinking", "image_in", "video_in", "audio_in", "tool_use")


def _files() -> list[Path]:
    home = environment("KIMI_CODE_HOME")
    if home:
        return [expanded(home) / "config.toml"]
    old = Path.home() / ".kimi" / "config.toml"
    new = Path.home() / ".kimi-code" / "config.toml"
    return [old] if old.exists() and not new.exists() else [new]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    merged = MergedConfig(
        [toml_layer(file or _files()[-1], AGENT.title)], keys=keys, provider_tables=("providers", "models")
    )
    result = ImportedConfig([merged.layers[0].file])
    providers = {id: ImportedProvider(id, _provider(merged, id)) for id in merged.table("providers")}
    default_provider = merged.text("default_provider")
    for alias in merged.table("models"):
        _model(merged, alias, providers, default_provider, result)
    for id, provider in providers.items():
        provider.missing_key = _missing_key(merged, id)
        why = check(provider, merged, lambda alias: ("models", alias))
        if not isinstance(merged.get("providers", id), dict):
            why = "it is not a table"
        lost = merged.table("providers", id, "env").keys() - provider.table.get("env", {}).keys()
        if any(name.endswith("_BASE_URL") for name in lost):
            why = UNUSABLE_URL
        if why:
            result.skipped[id] = why
            for path in (("providers", id), *(("models", alias) for alias in provider.models)):
                merged.override_unsupported(
                    *path, why=f"its provider {id} is not imported: {why}" if path[0] == "models" else why
                )
        else:
            result.providers.append(provider)
    _top_level(merged, result, default_provider)
    result.findings = merged.findings()
    return result


def _top_level(merged: MergedConfig, result: ImportedConfig, default_provider: str | None) -> None:
    """Import the top-level settings."""
    ids = {provider.id for provider in result.providers}
    aliases = {alias for provider in result.providers for alias in provider.models}
    default = merged.text("default_model")
    if default in aliases or (default or "").partition("/")[0] in ids:
        result.default_model = default
        merged.exact("default_model")
    merged.unsupported("default_model", why="this model does not exist")
    if default_provider in ids:
        result.settings["default_provider",] = default_provider
        merged.exact("default_provider")
    merged.unsupported("default_provider", why="this provider does not exist")
    thinking = merged.table("thinking")
    kinds: dict[str, type | tuple[type, ...]] = {"enabled": bool, "effort": str, "keep": (str, bool)}
    for name, kind in kinds.items():
        if isinstance(thinking.get(name), kind):
            result.settings["thinking", name] = thinking[name]
            merged.exact("thinking", name)


def _provider(merged: MergedConfig, id: str) -> Table:
    here = ("providers", id)
    table: Table = {}
    for key in merged.table(*here):
        value = _without_secrets(merged, (*here, key))
        if value is not None:
            table[key] = value
    type = table.get("type")
    if isinstance(type, str) and type in OLD_TYPES:
        table["type"] = OLD_TYPES[type]
        merged.override_exact(*here, "type", why=f'renamed to "{OLD_TYPES[type]}"')
    return table


def _without_secrets(merged: MergedConfig, path: Keys) -> Any:
    """A value without secrets; None if nothing is left."""
    value = merged.get(*path)
    if isinstance(value, dict):
        table = {key: inner for key in value if (inner := _without_secrets(merged, (*path, key))) is not None}
        if not value:
            merged.exact(*path)
        return table if table or not value else None
    name = path[-1]
    if isinstance(value, list) and references_in(value):
        merged.unsupported(*path, why="modelbay would read a text in this list as a reference")
        return None
    if isinstance(value, list) and any(map(shaped_secret, map(str, value))) and not merged.secret(*path):
        return None
    if isinstance(value, str) and (REFERENCE.search(value) or misspelled_reference(value)):
        merged.unsupported(*path, why=LIKE_REFERENCE)
        return value if name == "base_url" else None  # the check refuses the entry: its key must not go to another URL
    if isinstance(value, str) and "://" in value and bare_url(value) != value and not merged.keys:
        merged.approximate(*path, why=NOT_COPIED)
        return bare_url(value)
    if isinstance(value, str) and value.strip() and _is_secret(path, value) and not merged.secret(*path):
        return None
    if name == "key" and path[-2] == "oauth":
        merged.approximate(*path, why="its tokens are not copied; log in with `modelbay login`")
    merged.exact(*path)
    return value


def _is_secret(path: Keys, value: str) -> bool:
    name, inside = path[-1], path[-2]
    if inside == "custom_headers":
        return secret_header(name, value)
    if inside == "env":
        return secret_variable(name, value)
    return name in ("api_key", "apiKey") or (
        keys.known(path) is not True and (named_secret(name) or shaped_secret(value))
    )


def _model(
    merged: MergedConfig,
    alias: str,
    providers: dict[str, ImportedProvider],
    default_provider: str | None,
    result: ImportedConfig,
) -> None:
    here = ("models", alias)
    raw = merged.get(*here)
    if not isinstance(raw, dict):
        merged.unsupported(*here, why="it is not a table")
        return
    named = raw.get("provider_id") or raw.get("provider")
    alone = not named and raw.get("base_url")
    named = named or default_provider
    if not alone and named is not None and not isinstance(named, str):
        merged.unsupported(*here, why="its provider is not a name")
        return
    if not alone and named not in providers:
        merged.unsupported(*here, why=f"its provider {named or ''} does not exist".replace("  ", " "))
        return
    table = _without_secrets(merged, here) or {}
    if alone:
        try:
            overrides = table.get("overrides", {})
            model_entry(alias, {**table}, overrides if isinstance(overrides, dict) else {}, None)
            result.settings[here] = table
        except Unusable as unusable:
            merged.override_unsupported(*here, why=f"the model cannot be used: {unusable}")
        return
    table.pop("provider", None)
    table.pop("provider_id", None)
    providers[str(named)].models[alias] = table


def _missing_key(merged: MergedConfig, id: str) -> str:
    """Why a provider's key is not imported."""
    raw = merged.get("providers", id)
    if not isinstance(raw, dict):
        return ""
    if isinstance(raw.get("oauth"), dict):
        return "its login was not imported"
    for leaf in leaves(raw, ()):
        value = merged.get("providers", id, *leaf)
        if not merged.keys and isinstance(value, str) and value.strip() and _is_secret(("providers", id, *leaf), value):
            return KEY_NOT_COPIED
    return ""


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("toml")
    exported.related = lambda data: _related(exported, data)
    exported.problems = lambda file, data: _problems()
    for provider in providers:
        exported.settings["providers", provider.id] = _entry(provider)
        here = ("providers", provider.id)
        exported.entries.append(ExportedEntry(here, _destination, ADDRESS, SECRETS, KEY_SETTINGS, CREDENTIALS))
        for model in provider.models:
            exported.entries.append(_model_settings(model.alias, provider.id, MODEL_ADDRESS))
            exported.settings["models", model.alias] = _model_entry(provider, model)
        if (default := exported.start_model(provider)) is not None:
            exported.default_model["default_model",] = default.alias
            exported.command = f"kimi -m {shlex.quote(default.alias)}"
        if not provider.models:
            provider.not_offered(AGENT.title)
        if provider.entry.timeout is not None:
            provider.not_exported("timeout")
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text."""
    env = table.get("env")
    env = env if isinstance(env, dict) else {}
    url = table.get("base_url") or next((env[name] for name in URL_NAMES if env.get(name)), None)
    return origin_text(url) if url else f"type {table.get('type')}"


def _unknown(table: Table) -> None:
    """The destination of a model. It is unknown from the model's entry alone, so an old credential is always removed."""


def _dependents(data: Table) -> list[ExportedEntry]:
    """The models with a base URL of their own, to which Kimi Code sends the key of their provider."""
    return [
        ExportedEntry(("models", alias), _unknown, (("base_url",),), (), group=("providers", id))
        for alias, id in _providers_of_models(data).items()
        if (model := data["models"][alias]).get("base_url") and not any(model.get(name) for (name,) in MODEL_SECRETS)
    ]


def _providers_of_models(data: Table) -> dict[str, str]:
    """The provider ID of each model, by alias."""
    models = data.get("models")
    named = {
        alias: model.get("provider_id") or model.get("provider") or data.get("default_provider")
        for alias, model in (models.items() if isinstance(models, dict) else ())
        if isinstance(model, dict)
    }
    return {alias: id for alias, id in named.items() if isinstance(id, str)}


def _related(exported: ExportedConfig, data: Table) -> list[ExportedEntry]:
    """The other models of providers with a new destination: their own base URLs belong to the old provider's key."""
    old = data.get("providers")
    old = old if isinstance(old, dict) else {}
    new = {
        keys[1]: table
        for keys, table in exported.settings.items()
        if keys[0] == "providers" and isinstance(table, dict)
    }
    moved = [id for id in new if isinstance(old.get(id), dict) and _destination(old[id]) != _destination(new[id])]
    return [
        _model_settings(alias, id, (("base_url",),))
        for alias, id in _providers_of_models(data).items()
        if id in moved and ("models", alias) not in exported.settings
    ]


def _model_settings(alias: str, provider: str, address: tuple[Keys, ...]) -> ExportedEntry:
    """The entry of a model, which uses the credential of its provider."""
    return ExportedEntry(("models", alias), _unknown, address, MODEL_SECRETS, group=("providers", provider))


def _problems() -> list[str]:
    """The reasons why Kimi Code would not use the providers."""
    if environment(MODEL_VARIABLE):
        return [f"the environment variable {MODEL_VARIABLE} overrides the file"]
    return []


def _entry(provider: ExportedProvider) -> Table:
    entry = provider.entry
    type = entry.type if entry.type in TYPES else TYPE_OF[provider.protocol]
    table: Table = {"type": type}
    if provider.query or provider.query_removed:
        raise refused(
            provider.id, f"{AGENT.title} does not support the query in the base URL of provider {provider.id}"
        )
    if entry.base_url or entry.type != type:
        table["base_url"] = provider.base_url
    table |= {name: value for name in PROVIDER if (value := getattr(entry, name)) is not None and name != "source"}
    bag = {
        name: value
        for name, value in entry.env.items()
        if not secret_variable(name, "" if provider.with_keys else value)
    }
    kind, target = provider.reference
    if kind == "env":
        table["api_key_env"] = target
    elif key := provider.secret():
        in_bag = [] if entry.api_key else [name for name in key_names(entry) if entry.env.get(name, "").strip()]
        table |= {} if in_bag else {"api_key": key}
        bag |= dict.fromkeys(in_bag[:1], key)
    elif provider.needs_no_key and entry.type != "vertexai":
        table["api_key"] = NO_KEY
    elif provider.key:
        why = f"{AGENT.title} reads keys only from its file or a variable; pass --keys, or set api_key in its file"
        provider.not_exported("key", why)
    if entry.oauth is not None:
        table["api_key"] = ""
        table["oauth"] = {"storage": entry.oauth.storage, "key": entry.oauth.key}
        if entry.oauth.oauth_host:
            table["oauth"]["oauth_host"] = entry.oauth.oauth_host
    if bag:
        table["env"] = bag
    if headers := provider.headers():
        table["custom_headers"] = headers
    if entry.source is not None:
        provider.not_exported("source", "only modelbay refreshes the provider from it")
    return table


def _model_entry(provider: ExportedProvider, model: ModelEntry) -> Table:
    facts = provider.facts[model.alias]
    table: Table = {"provider": provider.id, "model": model.model}
    for name in MODEL:
        value = getattr(model, name)
        if value not in (None, []):
            table[name] = value
    if model.alias in provider.protocols:
        table["protocol"] = PROTOCOLS[provider.protocols[model.alias]]
    if model.base_url:
        table["base_url"] = model.base_url
    if "max_context_size" not in table:
        table["max_context_size"] = facts.max_context_tokens or 131_072
        if not facts.max_context_tokens:
            provider.note(f"model {model.alias}: unknown context window; exported as 131072 tokens")
    if facts.max_output_tokens:  # without it, Kimi Code requests as many tokens as the context window has
        table.setdefault("max_output_size", facts.max_output_tokens)
    capabilities = [*model.capabilities, *(name for name in CAPABILITIES if facts.can(name))]  # type: ignore[arg-type]
    if capabilities:
        table["capabilities"] = list(dict.fromkeys(capabilities))
    for what in ("cost", "modalities", "computer_use", "temperature"):
        if getattr(model, what) is not None:
            provider.not_exported(f"{what} of model {model.alias}")
    if model.variants:
        provider.not_exported(f"variants of model {model.alias}")
    return table


AGENT = Agent(
    id="kimi",
    title="Kimi Code",
    protocols=("openai_chat", "anthropic", "openai_responses", "google"),
    files=_files,
    read=_read,
    write=_write,
    dependents=_dependents,
)
