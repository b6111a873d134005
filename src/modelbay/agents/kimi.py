"""Kimi Code: its tables are ours, so they are taken as they stand. kimi-cli's, before it, had other names for types."""

import shlex
from pathlib import Path
from shlex import quote
from typing import Any

from modelbay.agents.agent import Agent, Arrival, Block, Import
from modelbay.agents.exporting import NO_KEY, Departure, refused
from modelbay.agents.findings import STAYS, Ledger, leaves
from modelbay.agents.importing import check
from modelbay.agents.rewriting import Entry, auth_headers, origin_text
from modelbay.agents.toml_file import layer
from modelbay.config import keys
from modelbay.config.entries import Unusable, model_entry
from modelbay.config.provider_types import OLD_TYPES, TYPE_OF
from modelbay.config.provider_types import TYPES as PROVIDER_TYPES
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.approval import references_in
from modelbay.credentials.credential import key_names
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, named_secret, secret_header, secret_variable
from modelbay.storage.paths import environment, expanded

TYPES = {"kimi", "anthropic", "openai", "openai_responses", "google-genai", "vertexai"}
PROTOCOLS: dict[Protocol, str] = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}
"""What its `protocol` is called."""
PROVIDER = ("default_model", "source", "model_source")
MODEL = (
    "max_context_size", "max_input_size", "max_output_size", "display_name", "reasoning_key", "adaptive_thinking",
    "support_efforts", "default_effort", "off_effort", "beta_api", "aliases",
)  # fmt: skip
URL_NAMES = sorted({name for row in PROVIDER_TYPES.values() for name in row.url_names})
ADDRESS: tuple[Keys, ...] = (("base_url",), *(("env", name) for name in URL_NAMES))
"""What in a provider's entry says where calls go."""
ONE_OF: tuple[Keys, ...] = (("api_key",), ("api_key_env",), ("oauth",), *auth_headers("custom_headers"))
"""Of these it takes one; with two of them it refuses the entry."""
SECRETS: tuple[Keys, ...] = (*ONE_OF, ("env",), ("custom_headers",), ("source",))
"""What was given for the address."""
MODEL_ADDRESS: tuple[Keys, ...] = (("base_url",), ("provider_id",), ("name",), ("protocol",))
MODEL_SECRETS: tuple[Keys, ...] = (("api_key",), ("oauth",))
OTHER_MODEL = "KIMI_MODEL_NAME"
"""The variable that makes it use a model of the shell's."""
CAPABILITIES = ("thinking", "always_thinking", "image_in", "video_in", "audio_in", "tool_use")


def _files() -> list[Path]:
    home = environment("KIMI_CODE_HOME")
    if home:
        return [expanded(home) / "config.toml"]
    old = Path.home() / ".kimi" / "config.toml"
    new = Path.home() / ".kimi-code" / "config.toml"
    return [old] if old.exists() and not new.exists() else [new]


def _read(file: Path | None, keys: bool) -> Import:
    ledger = Ledger([layer(file or _files()[-1], AGENT.title)], keys=keys, concerns=("providers", "models"))
    found = Import([ledger.layers[0].file])
    arrivals = {id: Arrival(id, _provider(ledger, id)) for id in ledger.table("providers")}
    default_provider = ledger.text("default_provider")
    for alias in ledger.table("models"):
        _model(ledger, alias, arrivals, default_provider, found)
    for id, arrival in arrivals.items():
        arrival.keyless = _keyless(ledger, id, arrival)
        why = check(arrival, ledger, lambda alias: ("models", alias))
        if not isinstance(ledger.get("providers", id), dict):
            why = "it is no table"
        if why:
            found.left_out[id] = why
            for path in (("providers", id), *(("models", alias) for alias in arrival.models)):
                ledger.revoke(*path, why=f"its provider {id} is left out: {why}" if path[0] == "models" else why)
        else:
            found.arrivals.append(arrival)
    _rest(ledger, found, default_provider)
    found.findings = ledger.findings()
    return found


def _rest(ledger: Ledger, found: Import, default_provider: str | None) -> None:
    """The settings that stand at the top."""
    ids = {arrival.id for arrival in found.arrivals}
    aliases = {alias for arrival in found.arrivals for alias in arrival.models}
    default = ledger.text("default_model")
    if default in aliases or (default or "").partition("/")[0] in ids:
        found.default_model = default
        ledger.exact("default_model")
    ledger.unsupported("default_model", why="there is no such model")
    if default_provider in ids:
        found.settings["default_provider",] = default_provider
        ledger.exact("default_provider")
    ledger.unsupported("default_provider", why="there is no such provider")
    thinking = ledger.table("thinking")
    kinds: dict[str, type | tuple[type, ...]] = {"enabled": bool, "effort": str, "keep": (str, bool)}
    for name, kind in kinds.items():
        if isinstance(thinking.get(name), kind):
            found.settings["thinking", name] = thinking[name]
            ledger.exact("thinking", name)


def _provider(ledger: Ledger, id: str) -> Table:
    here = ("providers", id)
    table: Table = {}
    for key in ledger.table(*here):
        value = _taken(ledger, (*here, key))
        if value is not None:
            table[key] = value
    type = table.get("type")
    if isinstance(type, str) and type in OLD_TYPES:
        table["type"] = OLD_TYPES[type]
        ledger.revise(*here, "type", why=f'it is called "{OLD_TYPES[type]}" now')
    return table


def _taken(ledger: Ledger, path: Keys) -> Any:
    """A value as it stands, without what is secret in it; None where nothing of it is taken."""
    value = ledger.get(*path)
    if isinstance(value, dict):
        table = {key: inner for key in value if (inner := _taken(ledger, (*path, key))) is not None}
        if not value:
            ledger.exact(*path)
        return table if table or not value else None
    name = path[-1]
    if isinstance(value, list) and references_in(value):
        ledger.unsupported(*path, why="modelbay would take a text in it for a reference")
        return None
    if isinstance(value, str) and (REFERENCE.search(value) or misspelled_reference(value)):
        ledger.unsupported(*path, why="modelbay would take this text for a reference")
        return None
    if isinstance(value, str) and "://" in value and bare_url(value) != value and not ledger.keys:
        ledger.approximate(*path, why=STAYS)
        return bare_url(value)
    if isinstance(value, str) and value.strip() and _is_secret(path, value) and not ledger.secret(*path):
        return None
    if name == "key" and path[-2] == "oauth":
        ledger.approximate(*path, why="its tokens are not handed on: log in anew with `modelbay login`")
    ledger.exact(*path)
    return value


def _is_secret(path: Keys, value: str) -> bool:
    name, inside = path[-1], path[-2]
    if inside == "custom_headers":
        return secret_header(name, value)
    if inside == "env":
        return secret_variable(name, value)
    return name in ("api_key", "apiKey") or (keys.known(path) is not True and named_secret(name))


def _model(
    ledger: Ledger, alias: str, arrivals: dict[str, Arrival], default_provider: str | None, found: Import
) -> None:
    here = ("models", alias)
    raw = ledger.get(*here)
    if not isinstance(raw, dict):
        ledger.unsupported(*here, why="it is no table")
        return
    named = raw.get("provider_id") or raw.get("provider")
    alone = not named and raw.get("base_url")
    named = named or default_provider
    if not alone and named not in arrivals:
        ledger.unsupported(*here, why=f"its provider {named or ''} does not exist".replace("  ", " "))
        return
    table = _taken(ledger, here) or {}
    if alone:
        try:
            overrides = table.get("overrides", {})
            model_entry(alias, {**table}, overrides if isinstance(overrides, dict) else {}, None)
            found.settings[here] = table
        except Unusable as unusable:
            ledger.revoke(*here, why=f"it cannot be used: {unusable}")
        return
    table.pop("provider", None)
    table.pop("provider_id", None)
    arrivals[str(named)].models[alias] = table


def _keyless(ledger: Ledger, id: str, arrival: Arrival) -> str:
    """Why a provider comes without the key that it has."""
    raw = ledger.get("providers", id)
    if not isinstance(raw, dict):
        return ""
    if isinstance(raw.get("oauth"), dict):
        return "it logs in, which is to be done anew: modelbay login"
    for leaf in leaves(raw, ()):
        value = ledger.get("providers", id, *leaf)
        if not ledger.keys and isinstance(value, str) and value.strip() and _is_secret(("providers", id, *leaf), value):
            return "its key stays where it is"
    return ""


# Export


def _write(leaving: list[Departure]) -> Block:
    block = Block("toml")
    block.related = lambda data: _related(block, data)
    block.hindrances = lambda file, data: _hindrances()
    for one in leaving:
        block.settings["providers", one.id] = _entry(one)
        block.entries.append(Entry(("providers", one.id), _place, ADDRESS, SECRETS, ONE_OF))
        for model in one.models:
            block.entries.append(Entry(("models", model.alias), _nowhere, MODEL_ADDRESS, MODEL_SECRETS))
            block.settings["models", model.alias] = _entry_of(one, model)
        default = one.default_model or (one.models[0] if one.models else None)
        if default is not None and (not block.command or one.default_model):
            block.choice["default_model",] = default.alias
            block.command = f"kimi -m {shlex.quote(default.alias)}"
        if default is None:
            why = "none is configured, and without one it is not offered"
            one.lost("its models", f"{why}: `modelbay provider edit {quote(one.id)} --add-model MODEL`")
        if one.entry.timeout is not None:
            one.lost("timeout")
        block.notes += one.notes
    return block


def _place(table: Table) -> str | None:
    """Where the calls of an entry go."""
    env = table.get("env")
    env = env if isinstance(env, dict) else {}
    url = table.get("base_url") or next((env[name] for name in URL_NAMES if env.get(name)), None)
    return origin_text(url) if url else f"type {table.get('type')}"


def _nowhere(table: Table) -> None:
    """Where a model is, its own entry does not tell: what was a credential of it goes in any case."""


def _related(block: Block, data: Table) -> list[Entry]:
    """The other models of providers that move: their own addresses were those of the old provider's key."""
    old, models = data.get("providers"), data.get("models")
    old, models = old if isinstance(old, dict) else {}, models if isinstance(models, dict) else {}
    new = {
        keys[1]: table for keys, table in block.settings.items() if keys[0] == "providers" and isinstance(table, dict)
    }
    moved = [id for id in new if isinstance(old.get(id), dict) and _place(old[id]) != _place(new[id])]
    return [
        Entry(("models", alias), _nowhere, (("base_url",),), MODEL_SECRETS)
        for alias, model in models.items()
        if isinstance(model, dict) and ("models", alias) not in block.settings
        if (model.get("provider_id") or model.get("provider") or data.get("default_provider")) in moved
    ]


def _hindrances() -> list[str]:
    """What keeps Kimi Code from using the providers."""
    if environment(OTHER_MODEL):
        return [f"the shell sets {OTHER_MODEL}, which counts more than the file"]
    return []


def _entry(one: Departure) -> Table:
    entry = one.entry
    type = entry.type if entry.type in TYPES else TYPE_OF[one.protocol]
    table: Table = {"type": type}
    if one.query or one.query_stays:
        raise refused(one.id, f"{AGENT.title} has no place for a query in an address, and provider {one.id} has one")
    if entry.base_url or entry.type != type:
        table["base_url"] = one.base_url
    table |= {name: value for name in PROVIDER if (value := getattr(entry, name)) is not None and name != "source"}
    bag = {name: value for name, value in entry.env.items() if not secret_variable(name, "" if one.keys else value)}
    kind, said = one.reference
    if kind == "env":
        table["api_key_env"] = said
    elif key := one.secret():
        in_bag = [] if entry.api_key else [name for name in key_names(entry) if entry.env.get(name, "").strip()]
        table |= {} if in_bag else {"api_key": key}
        bag |= dict.fromkeys(in_bag[:1], key)
    elif one.keyless and entry.type != "vertexai":
        table["api_key"] = NO_KEY
    elif one.key:
        one.lost(
            "its key", f"{AGENT.title} reads keys from its file or a variable: export with --keys, or add api_key there"
        )
    if entry.oauth is not None:
        table["api_key"] = ""
        table["oauth"] = {"storage": entry.oauth.storage, "key": entry.oauth.key}
        if entry.oauth.oauth_host:
            table["oauth"]["oauth_host"] = entry.oauth.oauth_host
    if bag:
        table["env"] = bag
    if headers := one.headers():
        table["custom_headers"] = headers
    if entry.source is not None:
        one.lost("source", "the list that it is refreshed from is not handed on")
    return table


def _entry_of(one: Departure, model: ModelEntry) -> Table:
    facts = one.facts[model.alias]
    table: Table = {"provider": one.id, "model": model.model}
    for name in MODEL:
        value = getattr(model, name)
        if value not in (None, []):
            table[name] = value
    if model.alias in one.protocols:
        table["protocol"] = PROTOCOLS[one.protocols[model.alias]]
    if model.base_url:
        table["base_url"] = model.base_url
    if "max_context_size" not in table:
        table["max_context_size"] = facts.max_context_tokens or 131_072
        if not facts.max_context_tokens:
            one.lost(f"model {model.alias}", "nobody knows its context size; 131072 is assumed")
    words = [*model.capabilities, *(name for name in CAPABILITIES if facts.can(name))]  # type: ignore[arg-type]
    if words:
        table["capabilities"] = list(dict.fromkeys(words))
    for what in ("cost", "modalities", "computer_use", "temperature"):
        if getattr(model, what) is not None:
            one.lost(f"model {model.alias}: {what}")
    if model.variants:
        one.lost(f"model {model.alias}: variants")
    return table


AGENT = Agent(
    id="kimi",
    title="Kimi Code",
    protocols=("openai_chat", "anthropic", "openai_responses", "google"),
    files=_files,
    read=_read,
    write=_write,
)
