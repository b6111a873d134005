"""Our providers as opencode and its descendants want them."""

from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import urlsplit

from modelbay.agents.agent import Block
from modelbay.agents.exporting import NO_KEY, Departure
from modelbay.agents.findings import Layer, Ledger, leaves
from modelbay.agents.layers import Program, layers, store
from modelbay.agents.opencode_family import AZURE, BODY, CLAUDE_AT_VERTEX, COMPATIBLE, FIELDS, PACKAGES, VERTEX
from modelbay.agents.rewriting import ANY, Entry, auth_headers, origin_text
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.providers import urls
from modelbay.secrecy import named_secret, shaped_secret

NPM = {protocol: npm for npm, protocol in PACKAGES.items()}
FOLLOWS = ("env", "file")
"""The references that the agents have too."""
ADDRESS: tuple[Keys, ...] = (
    ("api",), ("options", "baseURL"), ("options", "resourceName"), ("options", "project"), ("options", "location"),
    ("options", "region"), ("models", ANY, "provider"),
)  # fmt: skip
"""What in an entry says where calls go."""
CREDENTIALS: tuple[Keys, ...] = (("options", "apiKey"), ("options", "headers"), ("options", "queryParams"))
SECRETS: tuple[Keys, ...] = (("options",), ("env",), ("models", ANY, "headers"))
"""What was given for its address: a package may take a key in any option."""
ONE_OF: tuple[Keys, ...] = (("options", "apiKey"), ("env",), *auth_headers("options", "headers"))
RESOURCES = ".openai.azure.com"
"""How the host of an Azure resource ends."""


def block(program: Program, leaving: list[Departure]) -> Block:
    """What the configuration of a program must say."""
    made = Block("json", opening={("$schema",): program.schema})
    ids = [one.id for one in leaving]
    made.entries = [Entry(("provider", id), _home, ADDRESS, SECRETS, ONE_OF) for id in ids]
    made.hindrances = lambda file, data: _hindrances(program, made, file, data)
    logins = store(program.logins, keys=True)
    for one in leaving:
        table = made.settings["provider", one.id] = _provider(one, made)
        if "apiKey" not in table["options"] and logins.get(one.id) is not None:
            table["options"]["apiKey"] = NO_KEY  # or the key of its login, which was for another address, would be sent
            one.lost("its login there", f"{program.title} has a login of that name, whose key is not used")
        made.notes += one.notes
        first = one.default_model or (one.models[0] if one.models else None)
        if first is not None and (not made.command or one.default_model):
            made.choice["model",] = f"{one.id}/{_keys(one)[first.alias]}"
            made.command = f"{program.id} run -m {made.choice['model',]} Hello"
    return made


def _home(table: Table) -> str | None:
    """Where the calls of an entry go."""
    options = table.get("options")
    options = options if isinstance(options, dict) else {}
    if url := options.get("baseURL") or table.get("api"):
        return origin_text(url)
    places = ("resourceName", "project", "location")
    return " ".join(str(said) for said in (table.get("npm"), *map(options.get, places)) if said) or None


def _hindrances(program: Program, made: Block, file: Path, data: Table) -> list[str]:
    """What keeps the agent from using the providers: in the file, and in the others that it reads.

    Raises:
        ConfigError: another file has a credential for one of them, which was for another address.
    """
    try:
        read = [layer for layer in layers(program) if layer.file != str(file)]
    except ConfigError:
        read = []  # there is no other file, or none that the agent can read either
    found = []
    merged = Ledger([*read, Layer(str(file), data)]).data
    disabled, enabled = merged.get("disabled_providers"), merged.get("enabled_providers")
    for entry in made.entries:
        id, table = entry.path[-1], data["provider"][entry.path[-1]]
        if isinstance(disabled, list) and id in disabled:
            found.append(f"disabled_providers names {id}: {program.title} does not offer it")
        if isinstance(enabled, list) and enabled and id not in enabled:
            found.append(f"enabled_providers does not name {id}: {program.title} does not offer it")
        for name, listed in (("whitelist", True), ("blacklist", False)):
            names = table.get(name)
            hidden = [key for key in table["models"] if isinstance(names, list) and (key in names) is not listed]
            found += [f"provider.{id}.{name} hides the model {key}" for key in hidden]
        for layer in read:
            _check_other(program, entry, layer, table)
    return found


def _check_other(program: Program, entry: Entry, layer: Layer, table: Table) -> None:
    """A file that the agent lays under or over ours may not add a credential to an entry that is somewhere else now."""
    old = Ledger([layer]).get(*entry.path)
    if not isinstance(old, dict) or _home(old) == _home(table):
        return
    secret = next((path for path in leaves(old, ()) if path[0] == "env" or path[:2] in CREDENTIALS), None)
    if secret is not None:
        raise ConfigError(
            f"{layer.file} has {path_text((*entry.path, *secret))}, which was for another address: {program.title} would "
            "send it to the new one",
            hint="remove it from that file first",
            file=layer.file,
        )


def _provider(one: Departure, made: Block) -> Table:
    options: Table = {}
    npm = _npm(one, _usual(one))
    table: Table = {"npm": npm, "name": one.name, "options": options}
    host = urlsplit(one.base_url).hostname or ""
    if npm in (VERTEX, CLAUDE_AT_VERTEX):
        places = {"project": PROJECT, "location": LOCATION}
        options |= {name: one.entry.env[key] for name, key in places.items() if one.entry.env.get(key)}
        if one.entry.base_url:
            options["baseURL"] = one.entry.base_url
    elif npm == AZURE and host.endswith(RESOURCES):
        options["resourceName"] = host.removesuffix(RESOURCES)
    else:
        options["baseURL"] = urls.versioned(one.base_url, one.protocol)
    if npm == AZURE and _usual(one) == "openai_chat":
        options["useCompletionUrls"] = True
    if key := _key(one, made):
        options["apiKey"] = key
    if headers := one.headers(FOLLOWS, inside=True):
        options["headers"] = headers
    if one.query:
        options["queryParams"] = one.query
    if one.entry.timeout is not None:
        waits = {"timeout": one.entry.timeout.first_byte, "chunkTimeout": one.entry.timeout.idle}
        options |= {name: round(seconds * 1000) for name, seconds in waits.items() if seconds}
        if one.entry.timeout.connect:
            one.lost("timeout.connect")
    dialect = one.entry.dialect if isinstance(one.entry.dialect, dict) else {}
    for name, said in (("setCacheKey", "prompt_cache_key"), ("includeUsage", "include_usage")):
        if said in dialect:
            options[name] = dialect[said]
    named = _keys(one)
    table["models"] = {named[model.alias]: _model(one, model, named[model.alias]) for model in one.models}
    if not one.models:
        why = "none is configured, and without one it is not offered"
        one.lost("its models", f"{why}: `modelbay provider edit {quote(one.id)} --add-model MODEL`")
    return table


def _usual(one: Departure) -> Protocol:
    """The protocol that all of the models have, else the provider's."""
    spoken = {one.protocols.get(model.alias, one.protocol) for model in one.models}
    return next(iter(spoken)) if len(spoken) == 1 else one.protocol


def _npm(one: Departure, protocol: Protocol) -> str:
    addressing = one.found.preset.addressing if one.found.preset else "plain"
    if addressing == "vertexai":
        return CLAUDE_AT_VERTEX if protocol == "anthropic" else VERTEX
    if addressing == "azure":
        return AZURE
    return NPM[protocol]


def _key(one: Departure, made: Block) -> str:
    if one.keyless:
        return "" if _npm(one, _usual(one)) in (COMPATIBLE, VERTEX, CLAUDE_AT_VERTEX) else NO_KEY
    if not one.key or one.reference[0] in FOLLOWS:
        return one.key
    if key := one.secret():
        return key
    made.variables[one.variable] = one.id
    return f"{{env:{one.variable}}}"


def _keys(one: Departure) -> dict[str, str]:
    """What the models are called there, by alias."""
    found: dict[str, str] = {}
    for model in one.models:
        key = model.alias.removeprefix(f"{one.id}/")
        found[model.alias] = model.alias if key in found.values() else key
    return found


def _model(one: Departure, model: ModelEntry, key: str) -> Table:
    table: Table = {"name": model.display_name or key}
    if model.model != key:
        table["id"] = model.model
    protocol = one.protocols.get(model.alias, one.protocol)
    usual = _usual(one)
    provider = {"npm": _npm(one, protocol)} if _npm(one, protocol) != _npm(one, usual) else {}
    if protocol != usual and not provider:
        one.lost(f"model {model.alias}", f"it speaks {protocol}, and is called by {usual} there")
    if model.base_url:
        provider["api"] = urls.versioned(model.base_url, protocol)
    if provider:
        table["provider"] = provider
    for there, here, _ in FIELDS:
        if here != ("display_name",) and (value := _said(model, here)) is not None:
            _set(table, there, value)
    _fill(one, model, table)
    for name, variant in model.variants.items():
        _variant(one, table, protocol, (name, variant))
    for what in ("adaptive_thinking", "support_efforts", "off_effort", "computer_use"):
        if getattr(model, what) is not None:
            one.lost(f"model {model.alias}: {what}")
    return table


def _fill(one: Departure, model: ModelEntry, table: Table) -> None:
    """What is known of the model besides, without which the agent takes it for one that can do nothing and holds nothing."""
    facts = one.facts[model.alias]
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


def _variant(one: Departure, table: Table, protocol: Protocol, named: tuple[str, Table]) -> None:
    name, variant = named
    words = {here: there for there, here in BODY[protocol].items()}
    for leaf in leaves(variant, ()):
        value: Any = variant
        for key in leaf:
            value = value[key]
        target = words.get(leaf) or (leaf if protocol == "openai_chat" else None)
        if not one.keys and _is_secret(leaf, value):
            one.lost(f"variant {name}: {'.'.join(leaf)}", "it may be secret: exported with --keys only")
        elif target is None:
            one.lost(f"variant {name}: {'.'.join(leaf)}")
        else:
            _set(table, ("variants", name, *target), value)


def _is_secret(leaf: Keys, value: object) -> bool:
    """Whether a value that a variant adds to requests is secret by its name or by its looks."""
    if not isinstance(value, str):
        return False
    return shaped_secret(value) or "headers" in leaf or any(named_secret(name) for name in leaf)


def _said(model: ModelEntry, path: tuple[str, ...]) -> Any:
    value: Any = getattr(model, path[0], None) if path[0] in ModelEntry.__struct_fields__ else model.extra.get(path[0])
    for name in path[1:]:
        value = getattr(value, name, None)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _set(table: Table, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
