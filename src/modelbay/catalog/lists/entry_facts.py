"""Facts in an entry of a model list: one reader for the spellings of all vendors, which are in `entry_facts.toml`."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from modelbay.catalog.facts import INPUTS, OUTPUTS, Facts, switched
from modelbay.catalog.lists.entry import Kind, Status
from modelbay.catalog.names import shown
from modelbay.conversation import Extra, Json, Protocol
from modelbay.conversion import convert
from modelbay.model import Capability, Cost
from modelbay.protocols.shapes import EXACT
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.catalog.lists") / "entry_facts.toml"

DIGITS = re.compile(r"\d{1,16}", re.ASCII)
A_TOKEN = Decimal("0.002")
"""Dollar amounts below it are per token: no million tokens are that cheap, and no token is that expensive."""
TOO_CHEAP = "${} per million tokens is less than any model costs"
MILLION = Decimal(1_000_000)
PRICES = ("input", "output", "cache_read", "cache_write")


class ModalitySpellings(Struct):
    input: list[str]
    output: list[str]
    words: dict[str, Capability]


class WordSpellings(Struct):
    lists: list[str]
    complete: dict[str, str]
    judged: list[Capability]
    meaning: dict[str, Capability]


class Efforts(Struct):
    lists: list[str]
    levels: list[str]
    default: list[str]
    off: list[str]
    order: list[str]


class FlatPrices(Struct):
    per: float
    input: list[str]
    output: list[str]
    cache_read: list[str]
    cache_write: list[str]


class Prices(Struct):
    input: list[str]
    output: list[str]
    cache_read: list[str]
    cache_write: list[str]
    dollars: list[str]
    tables: dict[str, Literal["million", "size"]]
    flat: list[FlatPrices]


class Kinds(Struct):
    fields: list[str]
    lists: list[str]
    chat: list[str]
    words: dict[Kind, list[str]]
    ids: dict[Kind, str]


class Protocols(Struct):
    fields: list[str]
    words: dict[Protocol, list[str]]


class Statuses(Struct):
    fields: list[str]
    switches: dict[Status, list[str]]
    dates: list[str]
    on: list[str]
    words: dict[Status, list[str]]


class Parts(Struct):
    totals: list[str]
    more: frozenset[str]
    flags: list[str]
    pages: list[str]
    page: list[str]


class Spellings(Struct, forbid_unknown_fields=True):
    ids: list[str]
    names: list[str]
    lists: list[str]
    pages: dict[str, str]
    parts: Parts
    sizes: dict[Literal["max_context_tokens", "max_input_tokens", "max_output_tokens"], list[str]]
    modalities: ModalitySpellings
    switches: dict[Capability, list[str]]
    words: WordSpellings
    efforts: Efforts
    prices: Prices
    kinds: Kinds
    protocols: Protocols
    status: Statuses


@cache
def table() -> Spellings:
    import tomllib

    return convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), Spellings)


def facts_of(raw: Extra, id: str = "") -> Facts:
    """The facts in an entry of any vendor. Missing and implausible values stay unknown."""
    rules = table()
    sizes = {name: _size(raw, paths) for name, paths in rules.sizes.items()}
    context, output = sizes["max_context_tokens"], sizes["max_output_tokens"]
    efforts, off = _efforts(raw, rules.efforts)
    capabilities = _capabilities(raw, rules)
    if efforts:
        capabilities.setdefault("thinking", True)
    default = next(_texts(raw, rules.efforts.default), None)
    return Facts(
        name=next((name for text in _texts(raw, rules.names) if (name := shown(text)) and name != id), None),
        max_context_tokens=context,
        max_input_tokens=sizes["max_input_tokens"],
        max_output_tokens=None if context and output and output > context else output,
        efforts=efforts,
        default_effort=default if efforts and default in efforts else None,
        off_effort=off,
        reasoning_key=_reasoning_key(raw),
        cost=_cost(raw, rules.prices),
        capabilities=capabilities | switched(raw.get("reasoning_options")),
    )


def kind_of(raw: Extra, id: str) -> Kind:
    """The purpose of a model, from its entry, else from its ID."""
    rules = table()
    said = [word.lower() for word in _texts(raw, rules.kinds.fields)]
    listed = [word for path in rules.kinds.lists for word in _list(raw, path)]
    inputs, outputs = _modalities(raw, rules.modalities.input), _modalities(raw, rules.modalities.output)
    kinds = [kind for kind in (_kind([word], rules.kinds) for word in said) if kind]
    if kinds and kinds[0] != "chat":
        return kinds[0]
    if listed and (kind := _kind(listed, rules.kinds)) not in (None, "chat"):
        return kind or "other"
    if outputs and "text" not in outputs:
        return _kind(outputs, rules.kinds) or "other"
    if inputs and "text" not in inputs:
        return _kind(inputs, rules.kinds) or "other"
    if kinds or (listed and _kind(listed, rules.kinds)):
        return "chat"
    by_id = next((kind for kind, pattern in rules.kinds.ids.items() if re.search(pattern, id.lower())), None)
    if any(_flag(raw, path) is False for path in rules.kinds.chat):
        return by_id or "other"
    return by_id or "chat"


def status_of(raw: Extra) -> Status | None:
    """Whether the entry says that the model is in preview or deprecated."""
    rules = table().status
    for text in _texts(raw, rules.fields):
        for status, words in rules.words.items():
            if text.lower() in words:
                return status
    for status, paths in rules.switches.items():
        if any(_flag(raw, path) for path in paths):
            return status
    if next(_texts(raw, rules.dates), None):
        return "deprecated"
    return "inactive" if any(_flag(raw, path) is False for path in rules.on) else None


def protocols_of(raw: Extra) -> list[Protocol]:
    """Protocols that an entry gives for a model; empty if it gives none."""
    rules = table().protocols
    words = {word for path in rules.fields for word in (*_list(raw, path), *_texts(raw, [path]))}
    return [protocol for protocol, known in rules.words.items() if words & set(known)]


# One fact


def _size(raw: Extra, paths: list[str]) -> int | None:
    for path in paths:
        sizes = [size for value in values(raw, path) if (size := _whole(value))]
        if sizes:
            return min(sizes)
    return None


def _whole(value: Json) -> int | None:
    """A positive whole number, also written as text or with a decimal point."""
    if isinstance(value, str) and DIGITS.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < EXACT:
        return None
    return int(value)


def _capabilities(raw: Extra, rules: Spellings) -> dict[Capability, bool]:
    found: dict[Capability, bool] = {}
    inputs = _modalities(raw, rules.modalities.input)
    if inputs:
        meant = {rules.modalities.words[word] for word in inputs if word in rules.modalities.words}
        strict = any(True for _ in values(raw, "modalities/input"))  # the form of models.dev, which also has PDF
        found |= {can: can in meant for can in INPUTS.values() if can in meant or can != "document_in" or strict}
    outputs = _modalities(raw, rules.modalities.output)
    if outputs:
        found |= {capability: kind in outputs for kind, capability in OUTPUTS.items()}
    for capability, paths in rules.switches.items():
        flags = [flag for path in paths if (flag := _flag(raw, path)) is not None]
        if flags:
            found.setdefault(capability, flags[0])
    for capability, can in _by_words(raw, rules.words).items():
        found.setdefault(capability, can)
    thinks = next(_texts(raw, ["supports_thinking_type"]), None)  # Kimi Code's form: no, both, only
    if thinks in ("no", "both", "only"):
        found["thinking"] = thinks != "no"
        found |= {"always_thinking": True} if thinks == "only" else {}
    return found


def _by_words(raw: Extra, rules: WordSpellings) -> dict[Capability, bool]:
    found: dict[Capability, bool] = {}
    for path in rules.lists:
        words = _list(raw, path)
        found |= {rules.meaning[word]: True for word in words if word in rules.meaning}
        if words and (beside := rules.complete.get(path)) is not None and (not beside or beside in raw):
            found |= {capability: False for capability in rules.judged if capability not in found}
    return found


def _efforts(raw: Extra, rules: Efforts) -> tuple[list[str] | None, str | None]:
    """Reasoning efforts, and the effort that turns thinking off."""
    listed: list[str] | None = next((words for path in rules.lists if (words := _list(raw, path))), None)
    for path in rules.levels:
        for levels in values(raw, path):
            if isinstance(levels, dict) and isinstance(levels.get("supported"), bool):
                names = [name for name, level in levels.items() if isinstance(level, dict) and level.get("supported")]
                rank = {name: number for number, name in enumerate(rules.order)}
                listed = sorted(names, key=lambda name: rank.get(name, len(rank)))
    for option in raw.get("reasoning_options") or () if isinstance(raw.get("reasoning_options"), list) else ():
        if isinstance(option, dict) and option.get("type") == "effort" and isinstance(option.get("values"), list):
            listed = ["none" if word is None else str(word) for word in option["values"]]
    if listed is None:
        return None, None
    off = next((word for word in listed if word in rules.off), None)
    return [word for word in listed if word not in rules.off], off


def _reasoning_key(raw: Extra) -> str | None:
    """The field of Chat Completions that contains the reasoning; a list of details does not count."""
    interleaved = raw.get("interleaved")
    field = interleaved.get("field") if isinstance(interleaved, dict) else raw.get("reasoning_key")
    return field if field in ("reasoning", "reasoning_content") else None


# Prices


def _cost(raw: Extra, rules: Prices) -> Cost | None:
    for path, per in rules.tables.items():
        for priced in values(raw, path):
            if isinstance(priced, dict):
                found = {name: _first_price(priced, getattr(rules, name), rules.dollars) for name in PRICES}
                by_token = _too_cheap(found.values()) is not None
                if per == "million" and by_token:
                    return None  # by the token or by a thousand: unknown is better than wrong by a thousand
                if cost := _made(found, MILLION if by_token else Decimal(1)):
                    return cost
    for flat in rules.flat:
        found = {name: _first_price(raw, getattr(flat, name), rules.dollars) for name in PRICES}
        if cost := _made(found, Decimal(str(flat.per))):
            return cost
    return None


def too_cheap(cost: Extra) -> str | None:
    """Why prices that must be per million tokens are ignored, if they are less than any model costs."""
    dearest = _too_cheap(_price(cost.get(name)) for name in PRICES)
    return None if dearest is None else TOO_CHEAP.format(f"{dearest:.12f}".rstrip("0"))


def _too_cheap(prices: Iterable[Decimal | None]) -> Decimal | None:
    """The highest of some prices if it is above zero, and too low for a million tokens."""
    dearest = max((price for price in prices if price is not None), default=Decimal(0))
    return dearest if 0 < dearest < A_TOKEN else None


def _made(found: dict[str, Decimal | None], factor: Decimal) -> Cost | None:
    """The prices, if both input and output are given; a negative price means that it varies."""
    if found["input"] is None or found["output"] is None or any(price < 0 for price in found.values() if price):
        return None
    return Cost(**{name: None if price is None else float(price * factor) for name, price in found.items()})


def _first_price(priced: Extra, paths: list[str], dollars: list[str]) -> Decimal | None:
    for path in paths:
        for value in values(priced, path):
            within = next((value[key] for key in dollars if key in value), None) if isinstance(value, dict) else value
            if (price := _price(within)) is not None:
                return price
    return None


def _price(value: Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        price = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        return None
    return price if price.is_finite() and abs(price) < 10**9 else None


# Finding things in an entry


def values(raw: Json, path: str) -> Iterable[Json]:
    """The values at a path, without None; more than one only if the path contains `*`."""
    steps = _steps(path)
    if isinstance(raw, dict) and raw.get(steps[0]) is None:
        return ()  # most paths: a vendor uses one spelling
    return _at(raw, steps)


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _at(value: Json, steps: tuple[str, ...]) -> Iterator[Json]:
    for number, step in enumerate(steps):
        if step.startswith("*"):
            for item in _items(value, step[1:]):
                yield from _at(item, steps[number + 1 :])
            return
        if not isinstance(value, dict) or (value := value.get(step)) is None:
            return
    yield value


def _items(value: Json, ending: str) -> Iterable[Json]:
    if isinstance(value, dict):
        return [item for key, item in value.items() if key.endswith(ending)]
    return value if isinstance(value, list) and not ending else ()


def _texts(raw: Extra, paths: list[str]) -> Iterator[str]:
    for path in paths:
        for value in values(raw, path):
            if isinstance(value, str) and (text := value.strip()):
                yield text


def _list(raw: Extra, path: str) -> list[str]:
    """The words of a list."""
    return [
        item.strip()
        for value in values(raw, path)
        if isinstance(value, list)
        for item in value
        if isinstance(item, str)
    ]


def _flag(raw: Extra, path: str) -> bool | None:
    flags = [value for value in values(raw, path) if isinstance(value, bool)]
    return any(flags) if flags else None


def _modalities(raw: Extra, paths: list[str]) -> list[str]:
    """The modalities at the first path that has any. "text+image->text" has those of input and output."""
    for path in paths:
        for value in values(raw, path):
            words: Any = value
            if isinstance(value, str):
                ins, _, outs = value.partition("->")
                words = re.split(r"[+,]", ins if "input" in paths[0] else outs)
            if isinstance(words, list) and (found := [word.strip().lower() for word in words if isinstance(word, str)]):
                return [word for word in found if word]
    return []


def _kind(words: Iterable[str], rules: Kinds) -> Kind | None:
    """The purpose of a model that may have several: chat, if that is one of them."""
    found = [kind for word in words for kind, known in rules.words.items() if word in known or word.lower() in known]
    return "chat" if "chat" in found else found[0] if found else None
