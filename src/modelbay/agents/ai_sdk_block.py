"""Our providers as opencode and its descendants want them."""

from shlex import quote
from typing import Any
from urllib.parse import urlsplit

from modelbay.agents.agent import Block
from modelbay.agents.ai_sdk import AZURE, BODY, CLAUDE_AT_VERTEX, COMPATIBLE, FIELDS, PACKAGES, VERTEX
from modelbay.agents.departure import NO_KEY, Departure
from modelbay.agents.layers import Program
from modelbay.agents.ledger import leaves
from modelbay.config.schema import ModelEntry, Table
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.providers import urls

NPM = {protocol: npm for npm, protocol in PACKAGES.items()}
FOLLOWS = ("env", "file")
"""The references that the agents have too."""
RESOURCES = ".openai.azure.com"
"""How the host of an Azure resource ends."""


def block(program: Program, leaving: list[Departure]) -> Block:
    """What the configuration of a program must say."""
    made = Block("json", opening={("$schema",): program.schema})
    for one in leaving:
        made.settings["provider", one.id] = _provider(one, made)
        made.notes += one.notes
        first = one.default_model or (one.models[0] if one.models else None)
        if first is not None and (not made.command or one.default_model):
            made.choice["model",] = f"{one.id}/{_keys(one)[first.alias]}"
            made.command = f"{program.id} run -m {made.choice['model',]} Hello"
    return made


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
        if target is None:
            one.lost(f"variant {name}: {'.'.join(leaf)}")
        else:
            _set(table, ("variants", name, *target), value)


def _said(model: ModelEntry, path: tuple[str, ...]) -> Any:
    value: Any = getattr(model, path[0], None) if path[0] in ModelEntry.__struct_fields__ else model.extra.get(path[0])
    for name in path[1:]:
        value = getattr(value, name, None)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _set(table: Table, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
