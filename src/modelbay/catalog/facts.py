"""Facts about a model from one source, and the model that those of several sources make."""

from copy import copy
from typing import get_args

from msgspec import Struct, field

from modelbay.config.schema import ModelEntry
from modelbay.conversation import Json, Protocol
from modelbay.model import Capability, Cost, Model

CAPABILITIES: frozenset[str] = frozenset(get_args(Capability))
BUDGET_EFFORTS = ("low", "medium", "high")
"""What a model understands that thinks by a budget: each stands for one."""
INPUTS: dict[str, Capability] = {
    "image": "image_in",
    "video": "video_in",
    "audio": "audio_in",
    "pdf": "document_in",
}
OUTPUTS: dict[str, Capability] = {"image": "image_out", "audio": "audio_out"}


class Facts(Struct):
    """What one source says of a model; None is "nothing", and a capability that is not in the table is unknown to it."""

    family: str | None = None
    name: str | None = None
    max_context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    efforts: list[str] | None = None
    """Without the one that stands for "off"; an empty list is a model that takes none."""
    default_effort: str | None = None
    off_effort: str | None = None
    reasoning_key: str | None = None
    cost: Cost | None = None
    capabilities: dict[Capability, bool] = field(default_factory=dict)


def configured(entry: ModelEntry, protocol: Protocol) -> Facts:
    """What the user says of a model. Only a switch or a list of modalities, which is complete, takes a capability away."""
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
        found["adaptive_thinking"] = True  # Kimi Code's rule: no budget stands for "max"
    for name in entry.capabilities:
        capability = name.strip().lower()
        if capability in CAPABILITIES:
            found[capability] = True  # type: ignore[index]
    if found.get("always_thinking"):
        found["thinking"] = True
    return found


def switched(options: Json) -> dict[Capability, bool]:
    """That thinking can be turned off, where `reasoning_options` say so. Ones that do not say it do not deny it."""
    for option in options if isinstance(options, list) else ():
        if not isinstance(option, dict):
            continue
        values = option.get("values")
        if option.get("type") == "toggle" or (isinstance(values, list) and "none" in values):
            return {"always_thinking": False}
    return {}


def fill(model: Model, facts: Facts, source: str) -> None:
    """Adds to a model what it does not know yet, and where that is from."""
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


LISTED: dict[str, str] = {
    "name": "display_name",
    "max_context_tokens": "max_context_size",
    "max_input_tokens": "max_input_size",
    "max_output_tokens": "max_output_size",
    "efforts": "support_efforts",
    "off_effort": "off_effort",
    "reasoning_key": "reasoning_key",
}
"""The keys of a model that a list fills in, by the fact that each is. What else stands there is the user's."""


def attribute(model: Model, entry: ModelEntry, source: str) -> None:
    """Says of the facts that a list wrote into the file that they are its, and not the user's."""
    for name, key in LISTED.items():
        if model.sources.get(name) == "config" and key not in entry.overridden:
            model.sources[name] = source
    for word in entry.capabilities if "capabilities" not in entry.overridden else ():
        if model.sources.get(name := word.strip().lower()) == "config":
            model.sources[name] = source


def settle(model: Model) -> None:
    """Makes facts of several sources agree, once all are in."""
    if model.max_input_tokens and model.max_context_tokens:
        model.max_input_tokens = min(model.max_input_tokens, model.max_context_tokens)
    without = model.can("adaptive_thinking") is False and model.sources["adaptive_thinking"] == "config"
    if without and model.efforts and model.sources["efforts"] != "config":
        model.efforts = [effort for effort in model.efforts if effort in BUDGET_EFFORTS]
