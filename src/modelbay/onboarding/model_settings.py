"""Converts model settings in the form KEY=VALUE to changes of the model's table in `config.toml`."""

import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from modelbay.catalog.facts import CAPABILITIES
from modelbay.config.provider_types import PROTOCOLS
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.errors import InvalidValue, MalformedReply
from modelbay.json_text import decode_as
from modelbay.model import Capability

Form: TypeAlias = Literal["size", "dollars", "yes or no", "words", "text", "protocol"]

FORMS: dict[str, Form] = {
    "max_output_size": "size",
    "max_context_size": "size",
    "max_input_size": "size",
    "capabilities": "words",
    "cost.input": "dollars",
    "cost.output": "dollars",
    "cost.cache_read": "dollars",
    "cost.cache_write": "dollars",
    "reasoning_key": "text",
    "support_efforts": "words",
    "default_effort": "text",
    "off_effort": "text",
    "display_name": "text",
    "aliases": "words",
    "model": "text",
    "base_model": "text",
    "protocol": "protocol",
    "modalities.input": "words",
    "modalities.output": "words",
    "beta_api": "yes or no",
    "reasoning": "yes or no",
    "tool_call": "yes or no",
}
"""The keys and the kinds of their values. Capabilities and `variants.NAME.KEY` are keys too."""
SWITCHES: dict[Capability, str] = {
    "thinking": "reasoning",
    "tool_use": "tool_call",
    "image_in": "image_in",
    "video_in": "video_in",
    "audio_in": "audio_in",
    "document_in": "document_in",
    "computer_use": "computer_use",
    "temperature": "temperature",
    "adaptive_thinking": "adaptive_thinking",
}
"""The key of a model's table that denies a capability."""
KIMI_WORDS = frozenset({"thinking", "always_thinking", "image_in", "video_in", "audio_in", "tool_use"})
"""The values of `capabilities` that Kimi Code reads. A yes is written there. Kimi Code has no form for a no."""
YES = frozenset({"yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})
SIZE = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s*([km]?)", re.IGNORECASE)
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def changes(settings: Iterable[str], table: Table) -> dict[Keys, object]:
    """The changes of a model's table: new values, or None for keys to remove. An empty setting (`KEY=`) removes its key.

    Raises:
        InvalidValue: a key is unknown, or its value is invalid.
    """
    found: dict[Keys, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            raise InvalidValue(f"`{setting}` is not a setting", hint="write KEY=VALUE, such as max_output_size=8192")
        if key in CAPABILITIES:
            found |= _capability(key, value, _words_of(found, table))
            continue
        keys = _path(key)
        found[keys] = None if not value else _value(key, keys, value)
    return found


def names() -> list[str]:
    """All keys, for help and hints."""
    return [*FORMS, *sorted(CAPABILITIES - FORMS.keys()), "variants.NAME.KEY"]


def _path(key: str) -> Keys:
    if key in FORMS:
        return tuple(key.split("."))
    table, _, rest = key.partition(".")
    name, _, inner = rest.partition(".")
    if table == "variants" and name:
        return ("variants", name, *inner.split(".")) if inner else ("variants", name)
    from difflib import get_close_matches

    near = get_close_matches(key, names(), n=3)
    known = f"did you mean {' or '.join(near)}?" if near else f"use one of: {', '.join(names())}"
    raise InvalidValue(f"unknown setting `{key}`", hint=known)


def _value(key: str, keys: Keys, value: str) -> object:
    if keys[0] == "variants":
        if len(keys) == 2:
            raise InvalidValue(f"`{key}` is a table of settings", hint=f"write {key}.KEY=VALUE, or {key}= to remove it")
        return _json_or_text(value)
    match FORMS[key]:
        case "size":
            return _size(key, value)
        case "dollars":
            return _dollars(key, value)
        case "yes or no":
            return _yes_or_no(key, value)
        case "words":
            return [word.strip() for word in value.strip("[]").replace('"', "").split(",") if word.strip()]
        case "protocol" if value not in PROTOCOLS:
            raise _wrong(key, value, f"one of {', '.join(PROTOCOLS)}")
        case _:
            return value


def _size(key: str, value: str) -> int:
    match = SIZE.fullmatch(value.replace(",", ""))
    size = float(match[1].replace("_", "")) * UNITS[match[2].lower()] if match else 0
    if size < 1 or size != int(size):
        raise _wrong(key, value, "a number of tokens, such as 8192 or 200k")
    return int(size)


def _dollars(key: str, value: str) -> float | int:
    try:
        dollars = float(value.removeprefix("$"))
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < float("inf"):
        raise _wrong(key, value, "US dollars per million tokens, such as 2.50")
    return int(dollars) if dollars.is_integer() else dollars


def _yes_or_no(key: str, value: str) -> bool:
    if value.lower() not in YES | NO:
        raise _wrong(key, value, "yes or no")
    return value.lower() in YES


def _capability(key: str, value: str, words: list[str]) -> dict[Keys, object]:
    """The changes for a capability: in `capabilities`, which Kimi Code reads too, or in its own key."""
    said = _yes_or_no(key, value) if value else None
    among = [word for word in words if word.strip().lower() != key]
    switch = SWITCHES.get(key)  # type: ignore[call-overload]
    if said is False and switch is None and key not in KIMI_WORDS:
        raise InvalidValue(f"`{key}` cannot be no", hint=f"remove it with `{key}=`")
    found: dict[Keys, object] = {}
    if said and (key in KIMI_WORDS or switch is None):
        among.append(key)
        said = None
    if among != words:
        found["capabilities",] = among or None
    if switch is not None:
        found[switch,] = said
    return found


def _words_of(found: dict[Keys, object], table: Table) -> list[str]:
    words: Any = found.get(("capabilities",), table.get("capabilities"))
    return [str(word) for word in words] if isinstance(words, list) else []


def _json_or_text(value: str) -> object:
    """The value as JSON (number, boolean, list or object) if it is valid JSON, otherwise the text."""
    try:
        read = decode_as(value, object)
    except MalformedReply:
        return value
    return value if read is None else read


def _wrong(key: str, value: str, wanted: str) -> InvalidValue:
    return InvalidValue(f"`{key}` cannot be `{value}`", hint=f"use {wanted}")
