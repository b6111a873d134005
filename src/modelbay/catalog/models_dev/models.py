"""Models of models.dev, and of lists in its format, as `config.toml` tables: the same keys and values that Kimi Code writes."""

import re

import msgspec

from modelbay.catalog.facts import Facts
from modelbay.catalog.lists.entry_facts import facts_of, status_of
from modelbay.catalog.models_dev.providers import ModelWire, Wire, model_wire
from modelbay.config.provider_types import TYPE_OF, TYPES
from modelbay.config.schema import Table
from modelbay.conversation import Extra
from modelbay.origin import origin
from modelbay.protocols.shapes import mapping

EMBEDS = re.compile(r"embedding|(?:^|[-_/])embed(?:$|[-_/])")
"""Words in an ID, name or family of models that do not produce text, regardless of their modalities."""
SKIPPED_STATUSES = ("deprecated", "alpha")
ALWAYS_OFF = ("anthropic", "kimi")
"""Provider types whose protocol can turn thinking off, so that efforts without an "off" do not make it mandatory."""


def why_skipped(found: Wire, provider: Extra, id: str, model: Extra) -> str | None:
    """Reason why a model of models.dev is not added; None if it is."""
    if (status := status_of(model)) in SKIPPED_STATUSES:
        return f"it is {status}"
    outputs = mapping(model.get("modalities")).get("output")
    if isinstance(outputs, list) and outputs and "text" not in outputs:
        return f"it makes {', '.join(str(kind) for kind in outputs)}, not text"
    if any(EMBEDS.search(str(model.get(key) or "").lower()) for key in ("id", "name", "family")) or EMBEDS.search(id):
        return "it produces embeddings"
    context = mapping(model.get("limit")).get("context")
    if type(context) is not int or context < 1:
        return "its context window is unknown"
    own = model_wire(found, provider, model)
    if own.refused:
        return own.refused
    return _abroad(found, own)


def is_gone(found: Wire, provider: Extra, model: Extra) -> bool:
    """Whether a model is skipped for good: deprecated, or moved to another host. Any other reason, such as a missing size, may be
    a mistake in the list and does not affect a model in use.
    """
    return status_of(model) in SKIPPED_STATUSES or _abroad(found, model_wire(found, provider, model)) is not None


def model_table(found: Wire, provider: Extra, id: str, model: Extra) -> Table:
    """The table of a model of models.dev that is not skipped, without its names."""
    own = model_wire(found, provider, model)
    table = _written(facts_of(model, id), model, found.type)
    protocol = own.protocol or found.protocol
    if protocol is not None:
        table["protocol"] = TYPE_OF[protocol]
    if own.base_url is not None:
        anthropic = (protocol or TYPES[found.type or ""].protocol) == "anthropic"
        table["base_url"] = re.sub(r"/v1/?$", "", own.base_url) if anthropic else own.base_url
    return table


def registry_table(id: str, model: Extra, type: str | None) -> Table:
    """The table of a registry's model, with facts that only the registry has: prices and how thinking is requested."""
    facts = facts_of(model, id)
    facts.max_context_tokens = facts.max_context_tokens or facts.max_output_tokens or UNKNOWN_CONTEXT
    table = _written(facts, model, type)
    if facts.default_effort:
        table["default_effort"] = facts.default_effort
    if facts.cost is not None:
        prices = msgspec.structs.asdict(facts.cost).items()
        table["cost"] = {
            key: int(price) if price == int(price) else price for key, price in prices if price is not None
        }
    return table


UNKNOWN_CONTEXT = 131_072
"""Kimi Code's default, because it accepts no model without a size."""


def _written(facts: Facts, model: Extra, type: str | None) -> Table:
    """The keys that both kinds of list fill in."""
    context, inputs = facts.max_context_tokens, facts.max_input_tokens
    table: Table = {
        "max_context_size": context,
        "max_input_size": min(inputs, context) if inputs and context else None,
        "max_output_size": facts.max_output_tokens,
        "capabilities": _capabilities(facts, model, type),
        "display_name": facts.name,
        "reasoning_key": facts.reasoning_key,
        "support_efforts": facts.efforts or None,
        "off_effort": facts.off_effort,
    }
    return {key: value for key, value in table.items() if value not in (None, [])}


def _capabilities(facts: Facts, model: Extra, type: str | None) -> list[str]:
    """Capabilities the model has. Tool calls are assumed unless denied."""
    can = facts.capabilities
    found: list[str] = [name for name in ("image_in", "video_in", "audio_in") if can.get(name)]
    options = model.get("reasoning_options")
    toggled = isinstance(options, list) and any(mapping(option).get("type") == "toggle" for option in options)
    if can.get("thinking") or toggled:
        told = facts.efforts and options  # a list of efforts alone does not mean that thinking cannot be turned off
        must = told and not facts.off_effort and not toggled and type not in ALWAYS_OFF
        found.append("always_thinking" if must or can.get("always_thinking") else "thinking")
    if can.get("tool_use", True):
        found.append("tool_use")
    return found + [name for name in ("image_out", "audio_out") if can.get(name)]


def _abroad(found: Wire, own: ModelWire) -> str | None:
    """Whether a model is at another host than its provider; the provider's key must not be sent there."""
    home = found.base_url or (TYPES[found.type].base_url if found.type else None)
    if own.base_url is None or home is None:
        return None
    try:
        return None if origin(own.base_url) == origin(home) else f"it is on another host, {origin(own.base_url)}"
    except ValueError:
        return "its address is not a valid URL"
