"""Qwen Code: `settings.json` with lists of models by provider; each model has a base URL and the variable of its key.

Variables are read from the shell, from `.env` and from `env` of the settings, in descending priority. Files of a project are not
read: Qwen Code ignores them too, unless the user trusts the folder.
"""

import re
import shlex
from pathlib import Path

from msgspec.structs import replace

from modelbay.agents import variables
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
    import_secret,
    read_url,
)
from modelbay.agents.exported import NO_KEY, ExportedGroup, ExportedProvider, check_supported, origin_text
from modelbay.agents.findings import KEY_NOT_COPIED, MergedConfig
from modelbay.agents.model_list import ModelListReader
from modelbay.agents.named_lists import ANY, NamedLists, as_tables
from modelbay.config.provider_types import TYPE_OF, TYPES
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError
from modelbay.protocols.efforts import OFF, ON, nearest
from modelbay.providers import urls
from modelbay.storage.paths import environment, expanded

LISTS: NamedLists = {("modelProviders", ANY): "id"}
FORM = ReferenceForm(
    re.compile(r"\$\{(?!session_id\})([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)"),
    re.compile(r"\$\{[^{}]*\}"),
    "modelbay does not expand this text",
)
PROTOCOLS: dict[str, Protocol] = {
    "openai": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "google",
}
"""Qwen Code's names for protocols."""
NAMES: dict[Protocol, str] = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
}
ENDINGS: dict[Protocol, str] = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic": "anthropic",
    "google": "gemini",
}
USUAL_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}
"""The variable of a model without `envKey`, by protocol."""
RUNTIME = {"OPENAI_BASE_URL": "url", "OPENAI_MODEL": "model"}
"""Variables of a model that is in no list."""
FIELDS: list[Field] = [
    (("name",), ("display_name",), "text"),
    (("generationConfig", "contextWindowSize"), ("max_context_size",), "size"),
    (("generationConfig", "samplingParams", "max_tokens"), ("max_output_size",), "size"),
    (("generationConfig", "samplingParams", "max_completion_tokens"), ("max_output_size",), "size"),
    (("generationConfig", "reasoning", "effort"), ("default_effort",), "text"),
    (("generationConfig", "modalities", "image"), ("image_in",), "boolean"),
    (("generationConfig", "modalities", "video"), ("video_in",), "boolean"),
    (("generationConfig", "modalities", "audio"), ("audio_in",), "boolean"),
    (("generationConfig", "modalities", "pdf"), ("document_in",), "boolean"),
    (("capabilities", "vision"), ("image_in",), "boolean"),
    (("capabilities", "reasoning", "efforts"), ("support_efforts",), "strings"),
    (("capabilities", "reasoning", "defaultEffort"), ("default_effort",), "text"),
]
EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The reasoning efforts that it knows. It ignores the whole description of a model's thinking that names another one, or a default
that is not in the list (`validateReasoningDeclaration` of version 0.24.4)."""
NOT_CHAT = ("imageOnly", "realtimeOnly")
OWN_LOGIN = ("qwen-oauth",)
AT_VERTEX = ("vertex-ai",)


def _home() -> Path:
    folder = environment("QWEN_HOME")
    return expanded(folder) if folder else Path.home() / ".qwen"


def _files() -> list[Path]:
    return [_home() / "settings.json"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    path = file or _files()[0]
    layers = [json_layer(path)] if file is not None or path.is_file() else []
    if file is None:
        env = next((one for one in (_home() / ".env", Path.home() / ".env") if one.is_file()), None)
        layers += [variables.file_layer(env)] if env else []
        layers += variables.shell_layer(RUNTIME, USUAL_KEYS.values())
    if not layers:
        raise ConfigError(f"{AGENT.title} has no settings at {path}", hint="name its settings file")
    layers = [replace(layer, data=as_tables(layer.data, LISTS)) for layer in layers]
    merged = MergedConfig(layers, keys=keys, provider_tables=("modelProviders", "providerProtocol"))
    return _Reader(merged, ImportedConfig([layer.file for layer in layers])).read()


class _Reader(ModelListReader):
    def read(self) -> ImportedConfig:
        merged = self.merged
        for group in merged.table("modelProviders"):
            self._group(group)
        self._runtime()
        self.add_providers()
        self._default()
        merged.unsupported("fastModel", why="modelbay has one default model")
        merged.unsupported("env", why="not a key or URL of an imported provider")
        self.result.findings = merged.findings()
        return self.result

    def _group(self, group: str) -> None:
        merged, here = self.merged, ("modelProviders", group)
        named = merged.text("providerProtocol", group) or group
        why = ""
        if not isinstance(merged.get(*here), dict):
            why = "expected a list of models"
        elif named in AT_VERTEX:
            why = "modelbay does not read its project and region from environment variables"
        elif named in OWN_LOGIN:
            why = "the login of Qwen Code is not imported"
        elif named not in PROTOCOLS:
            why = f'unknown provider "{named}": it has no entry in providerProtocol'
        if why:
            self.result.skipped[group] = why
            merged.override_unsupported(*here, why=why)
            merged.unsupported("providerProtocol", group, why=why)
            return
        merged.exact("providerProtocol", group)
        for key in merged.table(*here):
            self._model(group, named, (*here, key))

    def _model(self, group: str, named: str, path: Keys) -> None:
        merged = self.merged
        id = merged.text(*path, "id") if isinstance(merged.get(*path), dict) else None
        if id is None or any(merged.get(*path, name) is True for name in NOT_CHAT):
            merged.override_unsupported(*path, why="it has no ID" if id is None else "it is not a model for text")
            return
        protocol, wire = PROTOCOLS[named], merged.text(*path, "wireApi")
        if wire is not None and named.startswith("openai"):
            protocol = "openai_responses" if wire == "responses" else "openai_chat"
            merged.exact(*path, "wireApi")
        written = merged.get(*path, "baseUrl") is not None
        url = read_url(merged, (*path, "baseUrl"), FORM) if written else _usual_url(protocol)
        if not has_host(url):
            merged.override_unsupported(*path, why=UNUSABLE_URL)
            return
        merged.exact(*path, "baseUrl")
        name = merged.text(*path, "envKey") or USUAL_KEYS[NAMES[protocol]]
        merged.exact(*path, "envKey")
        provider = self._provider(group, protocol, str(url), name, path)
        table: Table = {"model": id}
        merged.exact(*path, "id")
        import_fields(merged, path, table, FIELDS)
        reasoning: Keys = (*path, "generationConfig", "reasoning")
        for off in (reasoning, (*reasoning, "enabled")):
            if merged.get(*off) is False:
                table["default_effort"] = OFF[0]
                merged.exact(*off)
        alias = f"{provider.id}/{id}"
        if alias in provider.models:
            merged.override_unsupported(*path, why="another model has the same ID and base URL")
            return
        self.add(provider, alias, table, path)

    def _provider(self, group: str, protocol: Protocol, url: str, name: str, path: Keys) -> ImportedProvider:
        """The provider of a model. Models with the same URL, key, headers and time limits have the same one."""
        merged, config = self.merged, (*path, "generationConfig")
        headers = ImportedProvider("", {})
        import_headers(merged, (*config, "customHeaders"), headers, FORM)
        timeout = {}
        for there, here in (("timeout", "first_byte"), ("streamIdleTimeoutMs", "idle")):
            if wait := merged.number(*config, there):
                timeout[here] = wait / 1000
                merged.approximate(*config, there, why="imported for the provider of this model")
            elif wait == 0:
                merged.unsupported(*config, there, why="timeouts cannot be disabled in modelbay")
        own = headers.table.get("custom_headers", {})
        same = (protocol, url, name, repr(sorted(own.items())), repr(timeout), headers.missing_key)
        if same in self.providers:
            return self.providers[same]
        provider = ImportedProvider("", {"type": TYPE_OF[protocol], "base_url": url})
        provider.missing_key = headers.missing_key
        provider.table |= headers.table
        if timeout:
            provider.table["timeout"] = timeout
        self._key(provider, name)
        if "api_key" in provider.table:
            provider.missing_key = ""
        return self.shared(same, provider, group if group not in PROTOCOLS else id_of(url, group))

    def _key(self, provider: ImportedProvider, name: str) -> None:
        """Set the key to the value of a variable: a reference, unless a file of the agent sets it."""
        merged = self.merged
        value = merged.get("env", name)
        if not isinstance(value, str) or not value.strip():
            provider.table["api_key"] = f"{{env:{name}}}"
        elif merged.owner("env", name).file == variables.SHELL:
            provider.table["api_key"] = value
            merged.exact("env", name)
        elif environment(name):
            provider.table["api_key"] = f"{{env:{name}}}"
            merged.exact("env", name, why="the environment variable overrides it")
        else:
            import_secret(merged, ("env", name), provider)

    def _runtime(self) -> None:
        """Add the provider that the variables and the old settings describe, which is in no list."""
        merged, old = self.merged, ("security", "auth")
        url_path: Keys = ("env", "OPENAI_BASE_URL") if merged.get("env", "OPENAI_BASE_URL") else (*old, "baseUrl")
        url = read_url(merged, url_path, FORM)
        if url is None:
            return
        if not has_host(url):
            merged.unsupported(*url_path, why=UNUSABLE_URL)
            return
        merged.exact(*url_path)
        provider = ImportedProvider("", {"type": "openai", "base_url": url})
        key = merged.get(*old, "apiKey")
        if merged.get("env", "OPENAI_API_KEY") is None and isinstance(key, str) and key.strip():
            if FORM.variable.search(key):
                merged.unsupported(*old, "apiKey", why="modelbay does not follow references in this setting")
                provider.missing_key = KEY_NOT_COPIED
            else:
                import_secret(merged, (*old, "apiKey"), provider)
        else:
            self._key(provider, "OPENAI_API_KEY")
        model_path: Keys = ("env", "OPENAI_MODEL") if merged.get("env", "OPENAI_MODEL") else ("model", "name")
        model = merged.text(*model_path)
        listed = any(model == table["model"] for one in self.providers.values() for table in one.models.values())
        provider = self.shared("runtime", provider, id_of(url, "openai"))
        if model and not listed:
            self.add(provider, f"{provider.id}/{model}", {"model": model}, model_path)
            merged.exact(*model_path)

    def _default(self) -> None:
        merged = self.merged
        model, wanted = merged.text("model", "name"), merged.text("model", "baseUrl")
        found = [
            (alias, provider)
            for provider in self.result.providers
            for alias, table in provider.models.items()
            if table["model"] == model
        ]
        exact = [alias for alias, provider in found if wanted is None or provider.table["base_url"] == wanted]
        if found:
            self.result.default_model = exact[0] if exact else found[0][0]
            merged.exact("model", "name")
            merged.exact("model", "baseUrl")
        merged.unsupported("model", "name", why="its provider is not imported")
        merged.unsupported("model", "baseUrl", why="its provider is not imported")
        merged.exact("security", "auth", "selectedType", why="each model has its protocol")


def _usual_url(protocol: Protocol) -> str | None:
    """The base URL of a model without one."""
    return TYPES[TYPE_OF[protocol]].base_url


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("json", lists=LISTS)
    exported.problems = lambda file, data: _problems(exported, data)
    for provider in providers:
        check_supported(AGENT.title, provider)
        name, value = _variable(provider)
        if value:
            exported.settings["env", name] = value
        elif provider.key and provider.reference[0] != "env":
            exported.variables[name] = provider.id
        exported.entries.append(ExportedEntry(("env", name), _unknown, (), (), credentials=((),), group=("env", name)))
        headers = provider.headers()
        if provider.of_gateway:  # Qwen Code repeats failed requests itself, and the numbers would multiply
            headers["x-modelbay-retries"] = "0"
        groups = provider.groups(ENDINGS)
        for group in groups:
            exported.settings["providerProtocol", group.id] = NAMES[group.protocol]
            for model in group.models:
                entry = _entry(provider, group, model, name, headers)
                exported.settings["modelProviders", group.id, model.model] = entry
                exported.entries.append(
                    ExportedEntry(
                        ("modelProviders", group.id, model.model),
                        _destination,
                        (("baseUrl",),),
                        (("envKey",), ("generationConfig",)),
                        credentials=(("envKey",), ("generationConfig", "customHeaders")),
                        group=("env", name),
                    )
                )
        if (default := exported.start_model(provider)) is not None:
            group = next(group for group in groups if default in group.models)
            exported.default_model = {
                ("security", "auth", "selectedType"): NAMES[group.protocol],
                ("model", "name"): default.model,
            }
            exported.command = f"qwen --auth-type {NAMES[group.protocol]} -m {shlex.quote(default.model)} -p Hello"
        if not provider.models:
            provider.not_offered(AGENT.title)
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of a model's calls as comparable text; None if unknown."""
    return origin_text(table.get("baseUrl"))


def _unknown(table: Table) -> None:
    """The destination of a variable. It is unknown from the variable alone."""


def _problems(exported: ExportedConfig, data: Table) -> list[str]:
    """The reasons why Qwen Code would not use the entries.

    Raises:
        ConfigError: another model of the file uses a variable that is written, and has another URL.
    """
    written = {keys[1] for keys in exported.settings if keys[0] == "env"}
    urls_of = {origin_text(entry.get("baseUrl")) for keys, entry in _entries(exported)}
    for group, models in (data.get("modelProviders") or {}).items():
        for id, model in models.items() if isinstance(models, dict) else ():
            named = model.get("envKey") if isinstance(model, dict) else None
            if named in written and origin_text(model.get("baseUrl")) not in urls_of:
                raise ConfigError(
                    f"modelProviders.{group}.{id} uses the variable {named} for another URL: it would get the new key",
                    hint="remove this model from the file, then try again",
                )
    return [f"the environment variable {name} overrides the file" for name in sorted(written) if environment(name)]


def _entries(exported: ExportedConfig) -> list[tuple[Keys, Table]]:
    return [
        (keys, value)
        for keys, value in exported.settings.items()
        if keys[0] == "modelProviders" and isinstance(value, dict)
    ]


def _variable(provider: ExportedProvider) -> tuple[str, str]:
    """The variable of the key, and the value that is written to the file for it."""
    kind, target = provider.reference
    if kind == "env":
        return target, ""
    return provider.variable, provider.secret() or ("" if provider.key else NO_KEY)


def _entry(
    provider: ExportedProvider, group: ExportedGroup, model: ModelEntry, name: str, headers: dict[str, str]
) -> Table:
    facts = provider.facts[model.alias]
    base = group.base_url.rstrip("/")
    if group.protocol in ("anthropic", "google"):  # the SDKs add the version themselves
        base = urls.VERSION.sub("", base)
    table: Table = {"id": model.model, "name": model.display_name or model.model, "envKey": name, "baseUrl": base}
    if group.protocol == "openai_responses":
        table["wireApi"] = "responses"
    config: Table = {}
    if window := model.max_context_size or facts.max_context_tokens:
        config["contextWindowSize"] = window
    if model.max_output_size:
        config["samplingParams"] = {"max_tokens": model.max_output_size}
    if group.protocol == "anthropic":
        table["capabilities"] = {"reasoning": _thinking(model, adaptive=facts.can("adaptive_thinking") is True)}
    _add_effort(model, group.protocol, config)
    kinds = {"image": "image_in", "video": "video_in", "audio": "audio_in", "pdf": "document_in"}
    modalities = {kind: True for kind, what in kinds.items() if getattr(model, what) or facts.can(what)}  # type: ignore[arg-type]
    if modalities:
        config["modalities"] = modalities
    if headers:
        config["customHeaders"] = headers
    if provider.entry.timeout is not None:
        for wait, there in (
            (provider.entry.timeout.first_byte, "timeout"),
            (provider.entry.timeout.idle, "streamIdleTimeoutMs"),
        ):
            if wait:
                config[there] = round(wait * 1000)
    if config:
        table["generationConfig"] = config
    for what in ("cost", "variants"):
        if getattr(model, what):
            provider.not_exported(f"{what} of model {model.alias}")
    return table


def _add_effort(model: ModelEntry, protocol: Protocol, config: Table) -> None:
    """Add the reasoning effort. In Chat Completions, sampling parameters are sent instead of it, so they contain it, too."""
    effort = (model.default_effort or "on").lower()
    if effort in OFF:
        config["reasoning"] = False
    elif effort not in ON:
        config["reasoning"] = {"effort": nearest(effort, list(EFFORTS), model.alias, [])}
        if protocol == "openai_chat" and "samplingParams" in config:
            config["samplingParams"]["reasoning_effort"] = config["reasoning"]["effort"]


def _thinking(model: ModelEntry, *, adaptive: bool) -> Table:
    """How a model thinks. Without it, the agent sends a budget to models that it does not know, even one above the maximum
    output, which the provider refuses."""
    efforts = [effort for effort in EFFORTS if effort in (model.support_efforts or ())] or ["low", "medium", "high"]
    usual = "medium" if "medium" in efforts else efforts[0]
    default = model.default_effort if model.default_effort in efforts else usual
    profile = "anthropic-adaptive" if adaptive else "anthropic-manual"
    return {"profile": profile, "efforts": efforts, "defaultEffort": default}


AGENT = Agent(
    id="qwen",
    title="Qwen Code",
    protocols=("openai_chat", "anthropic", "openai_responses", "google"),
    files=_files,
    read=_read,
    write=_write,
)
