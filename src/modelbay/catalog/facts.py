"""Facts about a model from one source, and the model that results from several sources."""

from copy import copy
from datetime import date
from typing import get_args

from msgspec import Struct, field

from modelbay.config.schema import ModelEntry
from modelbay.conversation import Json, Protocol
from modelbay.model import Capability, Cost, Model

PROBE = "probe"
"""The results of a deep provider test in `Model.sources`."""
CAPABILITIES: frozenset[str] = frozenset(get_args(Capability))
BUDGET_EFFORTS = ("low", "medium", "high")
"""Efforts of a model that thinks by token budget: each stands for a budget."""
INPUTS: dict[str, Capability] = {
    "image": "image_in",
    "video": "video_in",
    "audio": "audio_in",
    "pdf": "document_in",
}
OUTPUTS: dict[str, Capability] = {"image": "image_out", "audio": "audio_out"}


class Facts(Struct):
    """Facts from one source. None means not given; a capability missing from the table is unknown."""

    family: str | None = None
    name: str | None = None
    max_context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    efforts: list[str] | None = None
    """Without the effort that turns thinking off; an empty list means that the model supports no efforts."""
    default_effort: str | None = None
    off_effort: str | None = None
    reasoning_key: str | None = None
    cost: Cost | None = None
    capabilities: dict[Capability, bool] = field(default_factory=dict)


def day(written: str) -> date | None:
    """The first day of a date, which may also be a month or a year."""
    try:
        return date.fromisoformat(written + {4: "-01-01", 7: "-01"}.get(len(written), ""))
    except ValueError:
        return None


def configured(entry: ModelEntry, protocol: Protocol) -> Facts:
    """Facts that the user configured. Only a switch, or a list of modalities (which is complete), denies a capability."""
    return Facts(
        name=entry.display_name,
        max_context_tokens=entry.max_context_size,
        max_input_tokens=entry.max_input_size,
        max_output_tokens=entry.max_output_size,
        efforts=entry.support_efforts,
        default_effort=entry.default_effort,
        off_effort=entry.off_effort,
        reasoning_key=entry.reasoning_key,
        cost=entry.cost,
        capabilities=_capabilities(entry, protocol),
    )


def _capabilities(entry: ModelEntry, protocol: Protocol) -> dict[Capability, bool]:
    found: dict[Capability, bool] = {}
    if entry.modalities:
        for kinds, listed in ((INPUTS, entry.modalities.input), (OUTPUTS, entry.modalities.output)):
            if listed is not None:
                found |= {capability: kind in listed for kind, capability in kinds.items()}
    switches: dict[Capability, bool | None] = {
        "thinking": entry.reasoning,
        "tool_use": entry.tool_call,
        "temperature": entry.temperature,
        "computer_use": entry.computer_use,
        "adaptive_thinking": entry.adaptive_thinking,
        "image_in": entry.image_in,
        "video_in": entry.video_in,
        "audio_in": entry.audio_in,
        "document_in": entry.document_in,
    }
    found |= {capability: value for capability, value in switches.items() if value is not None}
    beyond_budgets = set(entry.support_efforts or ()) - set(BUDGET_EFFORTS)
    if entry.adaptive_thinking is None and protocol == "anthropic" and beyond_budgets:
        found["adaptive_thinking"] = True  # Kimi Code's rule: "max" has no budget
    for name in entry.capabilities:
        capability = name.strip().lower()
        if capability in CAPABILITIES:
            found[capability] = True  # type: ignore[index]
    if found.get("always_thinking"):
        found["thinking"] = True
    if entry.support_efforts or entry.default_effort:
        found.setdefault("thinking", True)
    return found


def switched(options: Json) -> dict[Capability, bool]:
    """Whether `reasoning_options` say that thinking can be turned off. Options that do not say so do not deny it."""
    for option in options if isinstance(options, list) else ():
        if not isinstance(option, dict):
            continue
        values = option.get("values")
        if option.get("type") == "toggle" or (isinstance(values, list) and "none" in values):
            return {"always_thinking": False}
    return {}


def fill(model: Model, facts: Facts, source: str) -> None:
    """Add the facts that a model does not have yet, with their source."""
    for name in Facts.__struct_fields__:
        value = getattr(facts, name)
        if name == "capabilities":
            for capability, can in facts.capabilities.items():
                if capability not in model.capabilities:
                    model.capabilities[capability] = can
                    model.sources[capability] = source
        elif value is not None and name not in model.sources:
            setattr(model, name, copy(value))
            model.sources[name] = source
    if model.sources.get("cost") == "config" and model.cost is not None and facts.cost is not None:
        _complete(model.cost, facts.cost)


def _complete(cost: Cost, other: Cost) -> None:
    """Add the missing prices, if the user set only the price of input or of output: alone, it gives no cost of an answer."""
    for name in Cost.__struct_fields__ if None in (cost.input, cost.output) else ():
        if getattr(cost, name) is None:
            setattr(cost, name, getattr(other, name))


def overrule(model: Model, facts: Facts, source: str) -> None:
    """Set facts, except those that the user configured."""
    own = {name for name, said in model.sources.items() if said == "config"}
    for name in [name for name in Facts.__struct_fields__ if getattr(facts, name) is not None and name not in own]:
        model.sources.pop(name, None)
    for capability in facts.capabilities.keys() - own:
        model.capabilities.pop(capability, None)
    fill(model, facts, source)


LISTED: dict[str, str] = {
    "name": "display_name",
    "max_context_tokens": "max_context_size",
    "max_input_tokens": "max_input_size",
    "max_output_tokens": "max_output_size",
    "efforts": "support_efforts",
    "off_effort": "off_effort",
    "reasoning_key": "reasoning_key",
}
"""Keys of a model that a list writes, by fact. Other keys are the user's."""


def attribute(model: Model, entry: ModelEntry, source: str) -> None:
    """Attribute the facts that a list wrote into the file to that list instead of to the user."""
    for name, key in LISTED.items():
        if model.sources.get(name) == "config" and key not in entry.overridden:
            model.sources[name] = source
    for word in entry.capabilities if "capabilities" not in entry.overridden else ():
        if model.sources.get(name := word.strip().lower()) == "config":
            model.sources[name] = source


def settle(model: Model) -> None:
    """Make facts of several sources consistent, after all were added."""
    if model.max_input_tokens and model.max_context_tokens:
        model.max_input_tokens = min(model.max_input_tokens, model.max_context_tokens)
    without = model.can("adaptive_thinking") is False and model.sources["adaptive_thinking"] == "config"
    if without and model.efforts and model.sources["efforts"] != "config":
        model.efforts = [effort for effort in model.efforts if effort in BUDGET_EFFORTS]
