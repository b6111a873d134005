"""What must be so in extended models, beyond what reading them asks for."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from modelbay.catalog.formats.manifest import DAY
from modelbay.catalog.lists.entry_facts import A_TOKEN
from modelbay.conversation import Extra, Json
from modelbay.protocols.shapes import EXACT
from modelbay.publishing.manifests import misspelt
from modelbay.publishing.rules import Finding, broken, place

FIELDS = (
    "id", "name", "attachment", "reasoning", "temperature", "tool_call", "release_date", "last_updated", "modalities",
    "open_weights", "cost", "limit",
)  # fmt: skip
"""In the order of the guide for providers."""
TELLING = ("reasoning", "temperature", "tool_call", "release_date", "modalities", "cost", "limit")
"""What applications decide by; without it they guess."""
ALSO = (
    "cost.input", "cost.output", "cost.cache_read", "cost.cache_write", "cost.reasoning", "limit.context", "limit.input",
    "limit.output", "modalities.input", "modalities.output", "structured_output", "reasoning_options",
)  # fmt: skip
"""Fields within fields, and those that only models.dev has."""
ELSEWHERE = {
    "context_length": "limit.context",
    "context_window": "limit.context",
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
    "supports_reasoning": "reasoning",
    "display_name": "name",
    "created": "release_date",
}
"""What lists of other makers call a field."""
MODALITIES = frozenset(("text", "image", "audio", "video", "pdf"))
DEAREST = 2_000
"""Dollars per million tokens; the dearest model there was cost 600."""
SMALLEST = 1_000
"""Tokens of a context; what is smaller is meant in thousands."""
SHOWN = 3


def model_findings(
    models: Extra, prefix: tuple[str | int, ...] = (), *, today: date | None = None
) -> Iterator[Finding]:
    """The rules that extended models do not keep, `models` being the object of models by id."""
    where = (*prefix, "models")
    today = today or datetime.now(UTC).date()
    if not models:
        yield broken("models-empty", place(*where), "there is no model in it")
    cases: dict[str, str] = {}
    for key, entry in models.items():
        if not isinstance(entry, dict):
            continue
        if (other := cases.setdefault(key.casefold(), key)) != key:
            yield broken("model-id-case", place(*where, key), f'"{other}" differs from it in case only')
        if any(char.isspace() for char in key):
            yield broken("model-id-space", place(*where, key), "there is a space in its id")
        if isinstance(name := entry.get("name"), str) and not name.strip():
            yield broken("model-name", place(*where, key, "name"), "it is empty")
        for look in (_dates, _modalities, _cost, _limit, _switches, _spelling):
            yield from look(entry, (*where, key), today)
    yield from _missing(models, where)


def _dates(entry: Extra, where: tuple[str | int, ...], today: date) -> Iterator[Finding]:
    days: dict[str, str] = {}
    for name in ("release_date", "last_updated"):
        written = entry.get(name)
        if not isinstance(written, str):
            continue
        first = day(written)
        if first is None:
            if DAY.fullmatch(written):  # else reading it says so
                yield broken("date", place(*where, name), "there is no such day")
            continue
        if name == "last_updated" and first > today + timedelta(days=1):
            yield broken("date-future", place(*where, name), "it is yet to come")
        days[name] = written
    released, updated = days.get("release_date"), days.get("last_updated")
    if released and updated:
        length = min(len(released), len(updated))
        if updated[:length] < released[:length]:
            yield broken("date-order", place(*where, "last_updated"), "it is before release_date")


def day(written: str) -> date | None:
    """The first day of a date, which may be a month or a year alone."""
    try:
        return date.fromisoformat(written + {4: "-01-01", 7: "-01"}.get(len(written), ""))
    except ValueError:
        return None


def _modalities(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[Finding]:
    table = entry.get("modalities")
    if not isinstance(table, dict):
        return
    for side in ("input", "output"):
        words = table.get(side)
        path = place(*where, "modalities", side)
        if words is None:
            yield broken("modalities", path, "it is missing")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            continue
        if not words:
            yield broken("modalities", path, "it is empty")
        elif strange := [word for word in words if word not in MODALITIES]:
            yield broken("modality-unknown", path, f'"{str(strange[0])[:40]}" is none')
        elif "text" not in words:
            yield broken("modality-text", path, "there is no text in it")


def _cost(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[Finding]:
    table = entry.get("cost")
    if not isinstance(table, dict):
        return
    prices = {name: price for name, price in table.items() if _is_number(price) and price >= 0}
    path = place(*where, "cost")
    dearest = max((price for name, price in prices.items() if name in ("input", "output")), default=0)
    if 0 < dearest < float(A_TOKEN):
        yield broken("cost-unit", path, f"${dearest:.10f}".rstrip("0") + " for a million tokens is a price per token")
    elif dearest > DEAREST:
        yield broken("cost-high", path, f"${dearest:,g} for a million tokens is dearer than any model is")
    for one, other in (("input", "output"), ("output", "input")):
        if one in table and table.get(other) is None:
            yield broken("cost-half", path, f"there is no price for {other}")
    if "input" in prices and prices.get("cache_read", 0) > prices["input"]:
        yield broken("cost-cache", place(*where, "cost", "cache_read"), "it is more than `input`")


def _limit(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[Finding]:
    table = entry.get("limit")
    if not isinstance(table, dict):
        return
    sizes: dict[str, Any] = {name: size for name, size in table.items() if _is_number(size) and size >= 1}
    context = sizes.get("context")
    for name in ("output", "input"):
        if context is not None and sizes.get(name, 0) > context:
            path = place(*where, "limit", name)
            yield broken(f"limit-{name}", path, f"{sizes[name]:,} is more than the context of {context:,}")
    if context is not None and context < SMALLEST:
        yield broken("limit-unit", place(*where, "limit", "context"), f"{context:,} tokens are next to nothing")
    for name in ("context", "output"):
        if table.get(name) is None:
            yield broken("limit-half", place(*where, "limit"), f"there is no {name}")


def _switches(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[Finding]:
    """What says of a model that it thinks, or takes files, and what says that it does not."""
    cost, modalities = entry.get("cost"), entry.get("modalities")
    if entry.get("reasoning") is False:
        signs = [name for name in ("reasoning_options", "interleaved") if entry.get(name)]
        if isinstance(cost, dict) and cost.get("reasoning"):
            signs.append("cost.reasoning")
        if signs:
            path = place(*where, "reasoning")
            yield broken("reasoning-contradicts", path, f"it is false, and `{signs[0]}` says that it thinks")
    listed = modalities.get("input") if isinstance(modalities, dict) else None
    if isinstance(listed, list) and listed:
        more = any(word in MODALITIES - {"text"} for word in listed if isinstance(word, str))
        path = place(*where, "attachment")
        if entry.get("attachment") is True and not more:
            yield broken("attachment-contradicts", path, "it is true, and modalities.input has nothing but text")
        elif entry.get("attachment") is False and more:
            yield broken("attachment-modest", path, "it is false, and modalities.input has more than text")


def _spelling(entry: Extra, where: tuple[str | int, ...], _: date) -> Iterator[Finding]:
    for name in entry:
        if name in FIELDS:
            continue
        meant = ELSEWHERE.get(name.lower()) or misspelt(name, (*FIELDS, *ALSO))
        if meant is not None and meant != name:
            yield broken("field-unknown", place(*where, name), f"`{meant}` is meant, it seems")


def _missing(models: Extra, where: tuple[str | int, ...]) -> Iterator[Finding]:
    """What is not said of models, once for each field."""
    entries = [(key, entry) for key, entry in models.items() if isinstance(entry, dict)]
    for name in TELLING:
        lacking = [key for key, entry in entries if entry.get(name) is None]
        if lacking:
            ids = ", ".join(lacking[:SHOWN]) + (", …" if len(lacking) > SHOWN else "")
            how_many = "all models" if len(lacking) == len(entries) > 1 else f"{len(lacking)} of {len(entries)}"
            yield broken("facts-missing", place(*where), f"`{name}` is not said of {how_many}: {ids}")


def _is_number(value: Json) -> bool:
    """Whether a value is a number that can be a size or a price: not NaN, infinite or absurdly large."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < EXACT
