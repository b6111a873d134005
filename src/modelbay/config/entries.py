"""Turns a table of the file into an entry, or raises `Unusable` with the reason."""

import re
from math import inf
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from modelbay.config.keys import MODEL_KEYS, OAUTH_KEYS, OF_GATEWAY, PROVIDER_KEYS, SOURCE, STRICT, KnownKeys, nearest
from modelbay.config.provider_types import OLD_TYPES, PROTOCOLS, TYPES
from modelbay.config.schema import (
    ChatSettings,
    GatewaySettings,
    ModelEntry,
    Network,
    OAuth,
    ProviderEntry,
    Table,
    ThinkingDefaults,
)
from modelbay.conversion import convert
from modelbay.origin import is_loopback, origin
from modelbay.secrecy import REFERENCE, REFERENCES, misspelled_reference

Made = TypeVar("Made", bound=Struct)

KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
LIMITS = {">=": "of at least", "<=": "of at most", ">": "greater than"}


ADDRESSED = ("searxng", "mcp")
"""Search back ends that run at an address of the user's."""
LOCAL_ONLY = 'set auth = "keys", or a loopback host such as 127.0.0.1'
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*]+")


class Unusable(Exception):
    """An entry cannot be used because of the value at `keys` within it."""

    def __init__(self, message: str, *keys: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.keys = keys
        self.hint = hint


def thinking(value: object) -> ThinkingDefaults:
    return made(ThinkingDefaults, _table(value))


def chat_settings(value: object) -> ChatSettings:
    return made(ChatSettings, _table(value))


def network(value: object) -> Network:
    return made(Network, _table(value))


def gateway_settings(value: object) -> GatewaySettings:
    table = _table(value)
    if "search" in table:
        table["search"] = _search_table(table["search"])
    read = made(GatewaySettings, table)
    for name, model in read.names.items():
        if not model.strip():
            raise Unusable("expected the name of a model", "names", name)
    settings = msgspec.structs.replace(
        read,
        host=_host_name(read.host, "host"),
        hosts=[_host_name(name, "hosts") for name in read.hosts],
        cors_origins=[_web_origin(text) for text in read.cors_origins],
    )
    if settings.auth == "none" and not is_loopback(settings.host):
        raise Unusable(f'"none" is not allowed with host "{settings.host}"', "auth", hint=LOCAL_ONLY)
    return settings


def _search_table(value: object) -> Table:
    """The table `[gateway.search]`, without blank values. Raises `Unusable` for values that its struct cannot check."""
    try:
        table = _table(value)
        _check_references(table)
        url = table.get("url")
        if isinstance(url, str):
            try:
                origin(url)
            except ValueError as error:
                raise Unusable(str(error), "url") from None
        elif url is None and table.get("backend") in ADDRESSED:
            raise Unusable(f'the back end "{table["backend"]}" requires a url', hint='add url = "https://..."')
        for key in ("tool", "arguments"):
            if key in table and table.get("backend") != "mcp":
                raise Unusable('only the back end "mcp" has this key', key, hint="remove it")
    except Unusable as unusable:
        raise Unusable(str(unusable), "search", *unusable.keys, hint=unusable.hint) from None
    return table


def _host_name(text: str, key: str) -> str:
    """A host name or address in lower case, without the brackets of an IPv6 address."""
    name = text.strip().lower().removeprefix("[").removesuffix("]")
    try:
        plain = origin(f"http://[{name}]" if ":" in name else f"http://{name}").host == name.rstrip(".")
    except ValueError:
        plain = False
    if not plain or "*" in name:
        hint = "write each name; * does not match any" if plain else "write only the host, without scheme and port"
        raise Unusable(f'"{text}" is not a host name or address', key, hint=hint)
    return name.rstrip(".")


def _web_origin(text: str) -> str:
    """The origin of a web page as browsers send it. Pages of desktop apps have their own schemes."""
    address = text.strip().lower().removesuffix("/")
    if not _ORIGIN.fullmatch(address):
        hint = "write scheme and host, such as https://app.example"
        raise Unusable(f'"{text}" is not the origin of a web page', "cors_origins", hint=hint)
    try:
        return str(origin(address)) if address.startswith("http") else address
    except ValueError as error:
        raise Unusable(f'"{text}": {error}', "cors_origins") from None


def provider_entry(id: str, value: object) -> ProviderEntry:
    known, extra = _split(_table(value), PROVIDER_KEYS)
    type = known.get("type")
    if isinstance(type, str):
        known["type"] = OLD_TYPES.get(type, type)
        if known["type"] not in TYPES:
            raise Unusable(f'unknown type "{type}"', "type", hint=f"the types are {', '.join(TYPES)}")
    _name_key(known)
    _check_login(known)
    _check_references(known)
    entry = made(ProviderEntry, {**known, "id": id, "extra": extra})
    for key in SOURCE.ours & (entry.source or {}).keys():
        if not isinstance((entry.source or {})[key], str):
            raise Unusable("expected text", "source", key)
    return entry


def model_entry(alias: str, value: object, overrides: Table, default_provider: str | None) -> ModelEntry:
    """The entry for a model's table after its `overrides` are applied."""
    table = _table(value)
    provider = table.pop("provider_id", None) or table.pop("provider", None)
    if not table.get("base_url"):  # a model with its own address is standalone, and a provider's key must not go there
        provider = provider or default_provider
    wire_id = table.pop("name", None) or table.pop("model", None)
    if not wire_id:
        raise Unusable("no model ID", hint='add model = "..."')
    known, extra = _split(_overlaid(table, overrides), MODEL_KEYS)
    known |= {"alias": alias, "provider": provider, "model": wire_id, "extra": extra}
    known["overridden"] = frozenset(overrides)
    if not provider:
        known |= {"provider": _host(table), "flat": True}
    if "protocol" in known:
        known["protocol"] = _protocol(known["protocol"])
    efforts = overrides.get("support_efforts")
    if isinstance(efforts, list) and "default_effort" not in overrides and known.get("default_effort") not in efforts:
        known.pop("default_effort", None)  # the model was removed from the list it came from
    _check_login(known)
    _check_references(known)
    entry = made(ModelEntry, known)
    for name, price in asdict(entry.cost).items() if entry.cost else ():
        if price is not None and not 0 <= price < inf:  # NaN is not either
            raise Unusable("expected a price of at least 0", "cost", name)
    if entry.max_input_size and entry.max_context_size:
        entry.max_input_size = min(entry.max_input_size, entry.max_context_size)
    entry.variants = {name: variant for name, variant in entry.variants.items() if not variant.get("disabled")}
    return entry


def _table(value: object) -> Table:
    """A copy without blank values: Kimi Code writes `api_key = ""` if a login is used instead of a key."""
    if not isinstance(value, dict):
        raise Unusable("expected a table")
    stripped = {key: type(item)(item.strip()) if isinstance(item, str) else item for key, item in value.items()}
    return {key: item for key, item in stripped.items() if item != ""}


def _overlaid(table: Table, overrides: Table) -> Table:
    """A table with the values of another one, which may have a single price of `cost` or a single variant."""
    inner = {
        key: _overlaid(table[key], value)
        for key, value in overrides.items()
        if isinstance(value, dict) and isinstance(table.get(key), dict)
    }
    return {**table, **overrides, **inner}


def _check_references(known: Table) -> None:
    """Raise `Unusable` for text that looks like a reference but is not one: it would be sent literally."""
    values: list[tuple[tuple[str, ...], Any]] = [((name,), known.get(name)) for name in ("api_key", "proxy")]
    for table in ("env", "custom_headers"):
        inner = known.get(table)
        values += [((table, name), item) for name, item in inner.items()] if isinstance(inner, dict) else []
    base = known.get("base_url")
    if isinstance(base, str):
        path = base.partition("://")[2].partition("?")
        values += [(("base_url",), path[2]), (("base_url",), path[0].rpartition("@")[0])]
        address = path[0].rpartition("@")[2]
        if found := REFERENCE.search(address) or re.search(r"\$?\{[^{}]*\}", address):
            hint = "write the URL in full; references work only in its user, password and query"
            raise Unusable(f"{found[0]} does not work in the host or path of a URL", "base_url", hint=hint)
    for keys, value in values:
        if isinstance(value, str) and (wrong := misspelled_reference(value)):
            raise Unusable(f"{wrong} is not a valid reference", *keys, hint=REFERENCES)


def _split(table: Table, keys: frozenset[str]) -> tuple[Table, Table]:
    known = {key: item for key, item in table.items() if key in keys}
    return known, {key: item for key, item in table.items() if key not in keys}


def _name_key(known: Table) -> None:
    """Read `api_key_env` as a reference, so that no other code needs to know both spellings."""
    variable = known.get("api_key_env")
    if not isinstance(variable, str):
        return
    for other in ("api_key", "oauth"):
        if other in known:  # Kimi Code refuses such an entry too
            raise Unusable(
                f"{other} and api_key_env cannot be used together", "api_key_env", hint="remove one of the two"
            )
    known["api_key"] = f"{{env:{variable}}}"


def _check_login(known: Table) -> None:
    if "oauth" in known:
        try:
            oauth, extra = _split(_table(known["oauth"]), OAUTH_KEYS)
            known["oauth"] = made(OAuth, {**oauth, "extra": extra})
        except Unusable as unusable:
            raise Unusable(str(unusable), "oauth", *unusable.keys, hint=unusable.hint) from None
        if "api_key" in known:
            raise Unusable("api_key and oauth cannot be used together", "api_key", hint="remove one of the two")
    if "base_url" in known:
        try:
            origin(known["base_url"])
        except (ValueError, AttributeError, TypeError) as error:
            raise Unusable(str(error) if isinstance(error, ValueError) else "expected text", "base_url") from None


def _protocol(name: object) -> str:
    protocol = PROTOCOLS.get(name) if isinstance(name, str) else None
    if protocol is None:
        raise Unusable(f"unknown protocol {name!r}", "protocol", hint=f"the protocols are {', '.join(PROTOCOLS)}")
    return protocol


def _host(table: Table) -> str:
    if not table.get("base_url"):
        raise Unusable("needs a provider or a base_url", hint='add provider = "..."')
    try:
        return origin(table["base_url"]).host
    except (ValueError, AttributeError, TypeError):
        return ""  # _check_login reports the problem


def made(kind: type[Made], fields: dict[str, Any]) -> Made:
    """A struct from a table.

    Raises:
        Unusable: a value has the wrong type, or a key is unknown or missing.
    """
    try:
        return convert(fields, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        keys = re.findall(r"[^.`\[\]]+", re.sub(r"\[(\.\.\.|\d+)\]", "", path))
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message):
            raise _unknown_key(unknown[1], keys, kind) from None
        if missing := re.fullmatch(r"Object missing required field `(.*)`", message):
            raise _missing_key(missing[1], keys, kind) from None
        if unknown := re.fullmatch(r"Invalid enum value '(.*)'", message, re.DOTALL):
            hint = "must be " + " or ".join(f'"{value}"' for value in _choices(kind, keys))
            raise Unusable(f'unknown value "{unknown[1]}"', *keys, hint=hint) from None
        raise Unusable(_plainly(message), *keys) from None


def _choices(kind: type[Struct], keys: list[str]) -> list[str]:
    """The values of a key that accepts only some texts; `keys` leads to it from a table."""
    found: list[Any] = [kind]
    for key in keys:
        [table] = [one for one in found if isinstance(one, type) and issubclass(one, Struct)]
        annotation = get_type_hints(table)[key]
        found = [annotation, *get_args(annotation)]
    return [value for one in found if get_origin(one) is Literal for value in get_args(one)]


def _missing_key(key: str, keys: list[str], kind: type[Struct]) -> Unusable:
    choices = _choices(kind, [*keys, key])
    value = " or ".join(f'"{value}"' for value in choices) if choices else '"..."'
    return Unusable(f"`{key}` is missing", *keys, hint=f"add {key} = {value}")


def _unknown_key(key: str, keys: list[str], kind: type[Struct]) -> Unusable:
    """The problem of an unknown key in a table that only modelbay uses."""
    inner = {**STRICT, **OF_GATEWAY}.get(keys[-1]) if keys else None
    fields = sorted((inner or kind).__struct_fields__)
    near = nearest(key, KnownKeys(frozenset(fields)))
    hint = f'rename it to "{near}"' if near else f"the keys are {', '.join(fields)}"
    return Unusable("unknown key", *keys, key, hint=hint)


def _plainly(message: str) -> str:
    """A msgspec message in plain words: "Expected `int | null`, got `str`" becomes "expected a whole number, got text", and
    "Expected `float` > 0.0" becomes "expected a number greater than 0"."""

    def words(match: re.Match[str]) -> str:
        kinds = [kind for kind in match[1].split(" | ") if kind != "null"]
        return " or ".join(KINDS[kind] for kind in kinds) if set(kinds) <= KINDS.keys() else match[0]

    text = re.sub(r"`([^`]+)`", words, message)
    for sign, word in LIMITS.items():
        text = re.sub(rf"(?<=number) {sign} (\d+)(\.0)?", rf" {word} \1", text)
    return text[:1].lower() + text[1:]
