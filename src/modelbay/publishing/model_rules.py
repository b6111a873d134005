"""Rules for extended models that are checked only by `manifest check`, not by every reader."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from modelbay.catalog.facts import day
from modelbay.catalog.formats.manifest import DAY
from modelbay.catalog.lists.entry_facts import too_cheap
from modelbay.conversation import Extra, Json
from modelbay.protocols.shapes import EXACT
from modelbay.publishing.manifest_rules import misspelled
from modelbay.publishing.rules import RuleFinding, broken, field_path

FIELDS = (
    "id", "name", "attachment", "reasoning", "temperature", "tool_call", "release_date", "last_updated", "modalities",
    "open_weights", "cost", "limit",
)  # fmt: skip
"""The fields in the order of the guide for providers."""
IMPORTANT = ("reasoning", "temperature", "tool_call", "release_date", "modalities", "cost", "limit")
"""Fields that applications need. They guess missing ones."""
OTHER_FIELDS = (
    "cost.input", "cost.output", "cost.cache_read", "cost.cache_write", "cost.reasoning", "limit.context", "limit.input",
    "limit.output", "modalities.input", "modalities.output", "structured_output", "reasoning_options",
)  # fmt: skip
"""Nested fields, and fields that only models.dev has."""
OTHER_NAMES = {
    "context_length": "limit.context",
    "context_window": "limit.context",
    "context_size": "limit.context",
    "max_context_length": "limit.context",
    "max_model_len": "limit.context",
    "max_tokens": "limit.output",
    "max_output_tokens": "limit.output",
    "max_completion_tokens": "limit.output",
    "pricing": "cost",
    "price": "cost",
    "input_modalities": "modalities.input",
    "output_modalities": "modalities.output",
    "tools": "tool_call",
    "supports_tools": "tool_call",
    "tool_calls": "tool_call",
    "tool_calling": "tool_call",
    "function_calling": "tool_call",
    "supports_function_calling": "tool_call",
    "supports_reasoning": "reasoning",
    "supports_vision": "modalities.input",
    "vision": "modalities.input",
    "display_name": "name",
    "created": "release_date",
}
"""Names of fields in other model lists."""
MODALITIES = frozenset(("text", "image", "audio", "video", "pdf"))
REASONING_TYPES = ("effort", "toggle", "budget_tokens")
"""The types of `reasoning_options`."""
HIGHEST_PRICE = 2_000
"""US dollars per million tokens. The most expensive model so far cost 600."""
SMALLEST_CONTEXT = 1_000
"""Tokens. A smaller context window is probably in thousands of tokens."""
SHOWN = 3
"""Model IDs in one finding, and unknown words of one list."""


def model_findings(
    models: Extra, prefix: tuple[str | int, ...] = (), *, today: date | None = None
) -> Iterator[RuleFinding]:
    """The findings for extended models. `models`: the models by ID. `today`: for tests."""
    where = (*prefix, "models")
    today = today or datetime.now(UTC).date()
    if not models:
        yield broken("models-empty", field_path(*where), "the object is empty")
    cases: dict[str, str] = {}
    for key, entry in models.items():
        if not isinstance(entry, dict):
            continue
        if (other := cases.setdefault(key.casefold(), key)) != key:
            yield broken("model-id-case", field_path(*where, key), f'"{other}" differs only in case')
        if any(char.isspace() for char in key):
            yield broken("model-id-space", field_path(*where, key), "the ID contains a space")
        if isinstance(name := entry.get("name"), str) and not name.strip():
            yield broken("model-name", field_path(*where, key, "name"), "empty")
        for check in (_dates, _modalities, _cost, _limit, _reasoning, _switches, _spelling):
            yield from check(entry, (*where, key), today)
    yield from _missing(models, where)


def _dates(entry: Extra, where: tuple[str | int, ...], today: date) -> Iterator[RuleFinding]:
    days: dict[str, str] = {}
    for name in ("release_date", "last_updated"):
        written = entry.get(name)
        if not isinstance(written, str):
            continue
        first = day(written)
        if first is None:
            if DAY.fullmatch(written):  # otherwise every reader reports it
                yield broken("date", field_path(*where, name), "this day does not exist")
            continue
        if name == "last_updated" and first > today + timedelta(days=1):
            yield broken("date-future", field_path(*where, name), "the date is in the future")
        days[name] = written
    released, updated = days.get("release_date"), days.get("last_updated")
    if released and updated:
        length = min(len(released), len(updated))
        if updated[:length] < released[:length]:
            yield broken("date-order", field_path(*where, "last_updated"), "earlier than release_date")


def _modalities(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    table = entry.get("modalities")
    if not isinstance(table, dict):
        return
    for side in ("input", "output"):
        words = table.get(side)
        path = field_path(*where, "modalities", side)
        if words is None:
            yield broken("modalities", path, "missing")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            continue
        if not words:
            yield broken("modalities", path, "empty")
        elif unknown := [word for word in words if word not in MODALITIES]:
            for word in unknown[:SHOWN]:
                yield broken("modality-unknown", path, f'"{word[:40]}" is unknown')
        elif "text" not in words:
            yield broken("modality-text", path, '"text" is missing')


def _cost(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    table = entry.get("cost")
    if not isinstance(table, dict):
        return
    prices = {name: price for name, price in table.items() if _is_number(price) and price >= 0}
    path = field_path(*where, "cost")
    highest = max((price for name, price in prices.items() if name in ("input", "output")), default=0)
    if (cheap := too_cheap(table)) is not None:
        yield broken("cost-unit", path, cheap)
    elif highest > HIGHEST_PRICE:
        yield broken("cost-high", path, f"${highest:,g} per million tokens is more than any known model costs")
    for one, other in (("input", "output"), ("output", "input")):
        if one in table and table.get(other) is None:
            yield broken("cost-half", path, f"no price for {other}")
    if "input" in prices and prices.get("cache_read", 0) > prices["input"]:
        yield broken("cost-cache", field_path(*where, "cost", "cache_read"), "more than `input`")


def _limit(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    table = entry.get("limit")
    if not isinstance(table, dict):
        return
    sizes: dict[str, Any] = {name: size for name, size in table.items() if _is_number(size) and size >= 1}
    context = sizes.get("context")
    for name in ("output", "input"):
        if context is not None and sizes.get(name, 0) > context:
            path = field_path(*where, "limit", name)
            yield broken(f"limit-{name}", path, f"{sizes[name]:,} is more than the context window of {context:,}")
    if context is not None and context < SMALLEST_CONTEXT:
        yield broken(
            "limit-unit", field_path(*where, "limit", "context"), f"a context window of {context:,} tokens is too small"
        )
    for name in ("context", "output"):
        if table.get(name) is None:
            yield broken("limit-half", field_path(*where, "limit"), f"`{name}` is missing")


def _reasoning(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    options, interleaved = entry.get("reasoning_options"), entry.get("interleaved")
    if options is not None and (wrong := _wrong_options(options)) is not None:
        yield broken("reasoning-options", field_path(*where, "reasoning_options"), wrong)
    named = isinstance(interleaved, dict) and isinstance(interleaved.get("field"), str)
    if interleaved is not None and not named and not isinstance(interleaved, bool):
        yield broken("interleaved", field_path(*where, "interleaved"), "neither true nor an object with `field`")


def _wrong_options(options: Json) -> str | None:
    if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
        return "not a list of objects"
    for option in options:
        kind, values = option.get("type"), option.get("values")
        if kind not in REASONING_TYPES:
            return f'the type "{str(kind)[:40]}" is unknown'
        if kind == "effort" and not (
            isinstance(values, list) and values and all(isinstance(one, str) for one in values if one)
        ):
            return "`values` is not a list of efforts"
        if kind == "budget_tokens" and not all(type(option.get(name, 0)) is int for name in ("min", "max")):
            return "`min` or `max` is not a whole number of tokens"
    return None


def _switches(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    """Contradictions about reasoning and attachments."""
    cost, modalities = entry.get("cost"), entry.get("modalities")
    if entry.get("reasoning") is False:
        signs = [name for name in ("reasoning_options", "interleaved") if entry.get(name)]
        if isinstance(cost, dict) and cost.get("reasoning"):
            signs.append("cost.reasoning")
        if signs:
            path = field_path(*where, "reasoning")
            yield broken("reasoning-contradicts", path, f"false, but `{signs[0]}` describes reasoning")
    listed = modalities.get("input") if isinstance(modalities, dict) else None
    if isinstance(listed, list) and listed and all(word in MODALITIES for word in listed if isinstance(word, str)):
        more = any(word != "text" for word in listed)
        path = field_path(*where, "attachment")
        if entry.get("attachment") is True and not more:
            yield broken("attachment-contradicts", path, "true, but modalities.input contains only text")
        elif entry.get("attachment") is False and more:
            yield broken("attachment-modest", path, "false, but modalities.input contains more than text")


def _spelling(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[RuleFinding]:
    for name in entry:
        if name in FIELDS:
            continue
        meant = OTHER_NAMES.get(name.lower()) or misspelled(name, (*FIELDS, *OTHER_FIELDS))
        if meant is not None and meant != name:
            yield broken("field-unknown", field_path(*where, name), f"unknown; probably `{meant}`")


def _missing(models: Extra, where: tuple[str | int, ...]) -> Iterator[RuleFinding]:
    """Missing facts, with one finding per field."""
    entries = [(key, entry) for key, entry in models.items() if isinstance(entry, dict)]
    for name in IMPORTANT:
        lacking = [key for key, entry in entries if entry.get(name) is None]
        if lacking:
            ids = ", ".join(lacking[:SHOWN]) + (", …" if len(lacking) > SHOWN else "")
            how_many = "all models" if len(lacking) == len(entries) > 1 else f"{len(lacking)} of {len(entries)}"
            yield broken("facts-missing", field_path(*where), f"`{name}` is missing for {how_many}: {ids}")


def _is_number(value: Json) -> bool:
    """Whether a value is a number that can be a size or a price: not NaN, infinite or absurdly large."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < EXACT
