"""Facts and dialect fields that follow from the results of a deep provider test.

A test sees what one endpoint does, so its results take precedence over all lists and over the model's name; the user's
configuration takes precedence over them. It sees no prices, names, families and efforts, so it never changes those. Limits are
those that the endpoint named when it rejected a request. An unknown result changes nothing.
"""

from modelbay.catalog.facts import Facts
from modelbay.conversation import Extra
from modelbay.dialect import Dialect
from modelbay.model import Capability
from modelbay.storage.probes import Observation, ProbeRecord

_CAPABILITIES: dict[str, Capability] = {
    "tools": "tool_use",
    "images": "image_in",
    "thinking": "thinking",
    "json_schema": "structured_output",
}
"""Checks that are a capability."""
_SWITCHES = {
    "parallel_tools": "parallel_tool_calls",
    "parallel_history": "parallel_call_history",
    "strict_tools": "strict_tools",
    "json_schema": "json_schema",
    "json_mode": "json_mode",
}
"""Checks that are a field of the dialect: a no turns it off."""
_FORCED = {"forced_tool": "required", "named_tool": "tool"}
"""Checks that are a value of `tool_choice`: a no removes it."""


def facts(record: ProbeRecord) -> Facts:
    """The facts in the results for an endpoint."""
    found = Facts(
        max_output_tokens=_value(record, "max_output"),
        max_context_tokens=_value(record, "context_window"),
    )
    for check, capability in _CAPABILITIES.items():
        if (can := _answer(record, check)) is not None:
            found.capabilities[capability] = can
    if record.endpoint.protocol == "google" and (optional := _answer(record, "thinking_optional")) is not None:
        found.capabilities["call_signatures"] = not optional
    return found


def dialect_changes(record: ProbeRecord, dialect: Dialect) -> Extra:
    """The fields of a dialect that differ at an endpoint, by its results."""
    changes: Extra = {field: False for check, field in _SWITCHES.items() if _answer(record, check) is False}
    missing = {value for check, value in _FORCED.items() if _answer(record, check) is False}
    if missing.intersection(dialect.tool_choices):
        changes["tool_choices"] = [value for value in dialect.tool_choices if value not in missing]
    if record.endpoint.protocol == "openai_chat":
        if _answer(record, "thinking_optional") is False:
            changes["reasoning_echo"] = "always"
        elif _answer(record, "thinking_return") is False:
            changes["reasoning_echo"] = "never"
    if record.endpoint.protocol == "anthropic" and (cached := _answer(record, "cache")) is not None:
        # the test sends marks, without which nothing is cached; a no means that they were rejected
        changes |= {"cache_marks": cached, "cache_control": cached}
    if _answer(record, "reply") is False and _answer(record, "streaming"):
        changes["stream_only"] = True
    return changes


def _answer(record: ProbeRecord, check: str) -> bool | None:
    found = record.checks.get(check)
    return None if found is None or found.result == "unknown" else found.result == "yes"


def _value(record: ProbeRecord, check: str) -> int | None:
    found: Observation | None = record.checks.get(check)
    return None if found is None or found.result != "yes" else found.value
