"""Export to opencode's family: entries of `provider.<id>`."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelbay.agents.agent import ExportedConfig, ExportedEntry
from modelbay.agents.config_files import read_logins
from modelbay.agents.exported import NO_KEY, SECRET, ExportedProvider, auth_headers, origin_text
from modelbay.agents.findings import ConfigLayer, MergedConfig, leaves
from modelbay.agents.named_lists import ANY
from modelbay.agents.opencode_family import (
    AZURE,
    BODY_FIELDS,
    CLAUDE_AT_VERTEX,
    COMPATIBLE,
    EFFORTS,
    FIELDS,
    NO_THINKING,
    PACKAGES,
    VERTEX,
    Program,
    layers,
)
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.protocols.efforts import OFF, ON, nearest
from modelbay.providers import urls
from modelbay.secrecy import named_secret, shaped_secret

NPM = {protocol: npm for npm, protocol in PACKAGES.items()}
REFERENCE_KINDS = ("env", "file")
"""The kinds of references that the agents support too."""
ADDRESS: tuple[Keys, ...] = (
    ("api",), ("options", "baseURL"), ("options", "resourceName"), ("options", "project"), ("options", "location"),
    ("options", "region"), ("models", ANY, "provider"),
)  # fmt: skip
"""Settings of an entry that decide the destination of its calls."""
CREDENTIALS: tuple[Keys, ...] = (("options", "apiKey"), ("options", "headers"), ("options", "queryParams"))
SECRETS: tuple[Keys, ...] = (("options",), ("env",), ("models", ANY, "headers"))
"""Settings that belong to one URL. A package may read a key from any option."""
KEY_SETTINGS: tuple[Keys, ...] = (("options", "apiKey"), ("env",), *auth_headers("options", "headers"))
RESOURCES = ".openai.azure.com"
"""The end of an Azure resource's host name."""


def exported_config(program: Program, providers: list[ExportedProvider]) -> ExportedConfig:
    """The program's configuration for these providers."""
    exported = ExportedConfig("json", new_file={("$schema",): program.schema})
    ids = [provider.id for provider in providers]
    exported.entries = [
        ExportedEntry(
            ("provider", id),
            _destination,
            ADDRESS,
            SECRETS,
            KEY_SETTINGS,
            (*CREDENTIALS, ("env",), ("models", ANY, "headers")),
        )
        for id in ids
    ]
    exported.problems = lambda file, data: _problems(program, exported, file, data)
    logins = read_logins(program.logins, keys=True)
    for provider in providers:
        table = exported.settings["provider", provider.id] = _provider(provider, exported, program)
        if "apiKey" not in table["options"] and logins.get(provider.id) is not None:
            table["options"]["apiKey"] = (
                NO_KEY  # otherwise the key of the login, which is for another URL, would be sent
            )
            provider.note(f"{program.title} has a login with this ID; its key is not used")
        exported.notes += provider.notes
        if (first := exported.start_model(provider)) is not None:
            exported.default_model["model",] = f"{provider.id}/{_model_ids(provider)[first.alias]}"
            exported.command = f"{program.id} run -m {exported.default_model['model',]} Hello"
    return exported


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text; None if unknown."""
    options = table.get("options")
    options = options if isinstance(options, dict) else {}
    if url := options.get("baseURL") or table.get("api"):
        return origin_text(url)
    places = ("resourceName", "project", "location")
    return " ".join(str(value) for value in (table.get("npm"), *map(options.get, places)) if value) or None


def _problems(program: Program, exported: ExportedConfig, file: Path, data: Table) -> list[str]:
    """The reasons why the agent would not use the providers, in the file and in its other files.

    Raises:
        ConfigError: another file has a credential for one of the providers, and it belongs to another URL.
    """
    try:
        read = [layer for layer in layers(program) if layer.file != str(file)]
    except ConfigError:
        read = []  # no other file exists, or the agent cannot read it either
    found = []
    merged = MergedConfig([*read, ConfigLayer(str(file), data)]).data
    disabled, enabled = merged.get("disabled_providers"), merged.get("enabled_providers")
    for entry in exported.entries:
        id, table = entry.path[-1], data["provider"][entry.path[-1]]
        if isinstance(disabled, list) and id in disabled:
            found.append(f"{program.title} does not offer {id}: it is listed in disabled_providers")
        if isinstance(enabled, list) and enabled and id not in enabled:
            found.append(f"{program.title} does not offer {id}: it is not listed in enabled_providers")
        for name, listed in (("whitelist", True), ("blacklist", False)):
            names = table.get(name)
            hidden = [key for key in table["models"] if isinstance(names, list) and (key in names) is not listed]
            found += [f"provider.{id}.{name} hides the model {key}" for key in hidden]
        for layer in read:
            _check_other_file(program, entry, layer, table)
    return found


def _check_other_file(program: Program, entry: ExportedEntry, layer: ConfigLayer, table: Table) -> None:
    """Check another file that the agent merges with this one: it must not add a credential to an entry with another URL."""
    old = MergedConfig([layer]).get(*entry.path)
    if not isinstance(old, dict) or _destination(old) == _destination(table):
        return
    secret = next((path for path in leaves(old, ()) if path[0] == "env" or path[:2] in CREDENTIALS), None)
    if secret is not None:
        raise ConfigError(
            f"{layer.file} sets {path_text((*entry.path, *secret))} for another URL: {program.title} would send it to the new one",
            hint="remove it from that file, then try again",
            file=layer.file,
        )


def _provider(provider: ExportedProvider, exported: ExportedConfig, program: Program) -> Table:
    options: Table = {}
    npm = _npm(provider, _main_protocol(provider))
    table: Table = {"npm": npm, "name": provider.name, "options": options}
    host = urlsplit(provider.base_url).hostname or ""
    if npm in (VERTEX, CLAUDE_AT_VERTEX):
        places = {"project": PROJECT, "location": LOCATION}
        options |= {name: provider.entry.env[key] for name, key in places.items() if provider.entry.env.get(key)}
        if provider.entry.base_url:
            options["baseURL"] = provider.entry.base_url
    elif npm == AZURE and host.endswith(RESOURCES):
        options["resourceName"] = host.removesuffix(RESOURCES)
    else:
        options["baseURL"] = urls.versioned(provider.base_url, provider.protocol)
    if npm == AZURE and _main_protocol(provider) == "openai_chat":
        options["useCompletionUrls"] = True
    if key := _key(provider, exported):
        options["apiKey"] = key
    if headers := provider.headers(REFERENCE_KINDS, inside=True):
        options["headers"] = headers
    if provider.query:
        options["queryParams"] = provider.query
    if provider.entry.timeout is not None:
        waits = {"timeout": provider.entry.timeout.first_byte, "chunkTimeout": provider.entry.timeout.idle}
        options |= {name: round(seconds * 1000) for name, seconds in waits.items() if seconds}
        if provider.entry.timeout.connect:
            provider.not_exported("timeout.connect")
    dialect = provider.entry.dialect if isinstance(provider.entry.dialect, dict) else {}
    for name, key in (("setCacheKey", "prompt_cache_key"), ("includeUsage", "include_usage")):
        if key in dialect:
            options[name] = dialect[key]
    if program.discovers and provider.entry.model_source == "discover":
        options["discoverModels"] = True
    named = _model_ids(provider)
    table["models"] = {named[model.alias]: _model(provider, model, named[model.alias]) for model in provider.models}
    if not provider.models and "discoverModels" not in options:
        provider.not_offered(program.title)
    return table


def _main_protocol(provider: ExportedProvider) -> Protocol:
    """The protocol of all models if they have the same one, otherwise the provider's."""
    spoken = {provider.protocols.get(model.alias, provider.protocol) for model in provider.models}
    return next(iter(spoken)) if len(spoken) == 1 else provider.protocol


def _npm(provider: ExportedProvider, protocol: Protocol) -> str:
    addressing = provider.upstream.preset.addressing if provider.upstream.preset else "plain"
    if addressing == "vertexai":
        return CLAUDE_AT_VERTEX if protocol == "anthropic" else VERTEX
    if addressing == "azure":
        return AZURE
    return NPM[protocol]


def _key(provider: ExportedProvider, exported: ExportedConfig) -> str:
    if provider.needs_no_key:
        return "" if _npm(provider, _main_protocol(provider)) in (COMPATIBLE, VERTEX, CLAUDE_AT_VERTEX) else NO_KEY
    if not provider.key or provider.reference[0] in REFERENCE_KINDS:
        return provider.key
    if key := provider.secret():
        return key
    exported.variables[provider.variable] = provider.id
    return f"{{env:{provider.variable}}}"


def _model_ids(provider: ExportedProvider) -> dict[str, str]:
    """The agent's IDs of the models, by alias."""
    found: dict[str, str] = {}
    for model in provider.models:
        key = model.alias.removeprefix(f"{provider.id}/")
        found[model.alias] = model.alias if key in found.values() else key
    return found


def _model(provider: ExportedProvider, model: ModelEntry, key: str) -> Table:
    table: Table = {"name": model.display_name or key}
    if model.model != key:
        table["id"] = model.model
    protocol = provider.protocols.get(model.alias, provider.protocol)
    usual = _main_protocol(provider)
    override = {"npm": _npm(provider, protocol)} if _npm(provider, protocol) != _npm(provider, usual) else {}
    if protocol != usual and not override:
        provider.not_exported(f"protocol {protocol} of model {model.alias}", f"the agent uses {usual}")
    if model.base_url:
        override["api"] = urls.versioned(model.base_url, protocol)
    if override:
        table["provider"] = override
    for there, here, _ in FIELDS:
        if here not in (("display_name",), ("default_effort",)) and (value := _value(model, here)) is not None:
            _set(table, there, value)
    _add_effort(provider, model, table, protocol)
    _add_facts(provider, model, table)
    for name, variant in model.variants.items():
        _variant(provider, table, protocol, (name, variant))
    for what in ("adaptive_thinking", "support_efforts", "off_effort", "computer_use"):
        if getattr(model, what) is not None:
            provider.not_exported(f"{what} of model {model.alias}")
    return table


def _add_effort(provider: ExportedProvider, model: ModelEntry, table: Table, protocol: Protocol) -> None:
    """Add the reasoning effort. Many models of Anthropic and Google refuse one; the gateway adapts it to the model."""
    effort = (model.default_effort or "on").lower()
    option, levels = EFFORTS[protocol]
    if effort in ON:
        return
    if effort in OFF and protocol in NO_THINKING:
        option, value = NO_THINKING[protocol]
        _set(table, ("options", *option), value)
    elif effort in OFF:
        provider.not_exported(
            f"default_effort of model {model.alias}", "the agent cannot turn the thinking of Gemini off"
        )
    elif protocol.startswith("openai") or provider.of_gateway or provider.facts[model.alias].efforts:
        _set(table, ("options", *option), nearest(effort, list(levels), model.alias, []))
    else:
        provider.not_exported(f"default_effort of model {model.alias}", "it is not known to have reasoning efforts")


def _add_facts(provider: ExportedProvider, model: ModelEntry, table: Table) -> None:
    """Add known facts. Without them, the agent assumes that the model has no capabilities and no context window."""
    facts = provider.facts[model.alias]
    can = {
        "reasoning": facts.can("thinking"),
        "tool_call": facts.can("tool_use"),
        "temperature": facts.can("temperature"),
    }
    for name, yes in can.items():
        if yes is not None:
            table.setdefault(name, yes)
    if model.modalities is None:
        kinds = {"image": "image_in", "audio": "audio_in", "video": "video_in", "pdf": "document_in"}
        takes = [kind for kind, capability in kinds.items() if facts.can(capability)]  # type: ignore[arg-type]
        if takes:
            table["modalities"] = {"input": ["text", *takes], "output": ["text"]}
            table.setdefault("attachment", True)
    sizes = {"context": facts.max_context_tokens, "output": facts.max_output_tokens}
    if any(sizes.values()):
        limit = table.setdefault("limit", {})
        for name, size in sizes.items():
            limit.setdefault(name, size or 0)
    if "cost" in table:
        for name in ("input", "output"):
            table["cost"].setdefault(name, 0)


def _variant(provider: ExportedProvider, table: Table, protocol: Protocol, named: tuple[str, Table]) -> None:
    name, variant = named
    options = {field: option for option, field in BODY_FIELDS[protocol].items()}
    for leaf in leaves(variant, ()):
        value: Any = variant
        for key in leaf:
            value = value[key]
        target = options.get(leaf) or (leaf if protocol == "openai_chat" else None)
        if not provider.with_keys and _is_secret(leaf, value):
            provider.not_exported(f"{'.'.join(leaf)} of variant {name}", SECRET)
        elif target is None:
            provider.not_exported(f"{'.'.join(leaf)} of variant {name}")
        else:
            _set(table, ("variants", name, *target), value)


def _is_secret(leaf: Keys, value: object) -> bool:
    """Whether a value that a variant adds to requests looks secret by its name or its form."""
    if not isinstance(value, str):
        return False
    return shaped_secret(value) or "headers" in leaf or any(named_secret(name) for name in leaf)


def _value(model: ModelEntry, path: tuple[str, ...]) -> Any:
    value: Any = getattr(model, path[0], None) if path[0] in ModelEntry.__struct_fields__ else model.extra.get(path[0])
    for name in path[1:]:
        value = getattr(value, name, None)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _set(table: Table, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
