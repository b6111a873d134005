"""The disposition of each request setting in each protocol: the one table.

mapped: the protocol has a field for it. clamped: its range there is smaller. emulated: expressed in another way.
dropped: tuning only; omitted with a warning. refused: part of the request's contract; rejected by name with a 400. A
request in the provider's own protocol keeps all its settings.

The same holds for a value that is not known, of a setting with a list of values: tuning (a service tier) is dropped, content
(the type of a part or of a tool) too; anything else (an output format, a role, a kind of thinking) is refused by name
(`Settings.unknown`), with the values that are known. A value of the right kind that a provider may know (a modality, a level
of detail) is sent, and the provider decides.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import attrgetter

from msgspec.structs import replace

from modelbay.conversation import (
    Conversation,
    Extra,
    Json,
    OutputFormat,
    Protocol,
    Reasoning,
    Settings,
    Tool,
    UnknownValue,
)
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.json_text import encode
from modelbay.protocols.client_tools import as_function, is_for_client
from modelbay.protocols.defaults import changes_nothing, meant
from modelbay.protocols.member_names import member
from modelbay.protocols.shapes import as_text
from modelbay.protocols.shared_tools import derived


class Disposition(StrEnum):
    MAPPED = "mapped"
    CLAMPED = "clamped"
    EMULATED = "emulated"
    DROPPED = "dropped"
    REFUSED = "refused"


M, C, E, D, R = Disposition

PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")

TABLE: dict[str, tuple[Disposition, Disposition, Disposition, Disposition]] = {
    # setting              chat resp anth goog
    "tools":               (M,   M,   M,   M),
    "tools.vendor":        (D,   D,   D,   D),  # run by the vendor; others are in client_tools.py
    "tools.freeform":      (M,   M,   E,   E),  # a function with one string, also at providers that have none (freeform.py)
    "tools.strict":        (M,   M,   M,   D),
    "tool_choice":         (M,   M,   M,   M),
    "tool_choice.allowed": (M,   M,   E,   M),  # only the allowed tools are sent
    "tool_choice.parallel": (M,  M,   M,   D),
    "tool_choice.native":  (R,   R,   R,   R),  # of one protocol only, such as a tool that the vendor runs
    "output_format.json":  (M,   M,   E,   M),  # the system prompt asks for JSON
    "output_format.json_schema": (M, M, M, M),
    "max_output_tokens":   (M,   M,   M,   M),
    "temperature":         (M,   M,   C,   M),  # Anthropic: 0 to 1
    "top_p":               (M,   M,   M,   M),
    "top_k":               (D,   D,   M,   M),
    "frequency_penalty":   (M,   D,   D,   M),
    "presence_penalty":    (M,   D,   D,   M),
    "logit_bias":          (M,   D,   D,   D),
    "seed":                (M,   D,   D,   M),
    "stop":                (M,   E,   M,   M),  # the answer is cut (stopping.py), even if there are more than a target accepts
    "logprobs":            (M,   M,   R,   M),
    "top_logprobs":        (M,   M,   R,   M),
    "n":                   (R,   R,   R,   R),  # one choice per conversation
    "reasoning":           (M,   M,   M,   M),
    "modalities":          (M,   R,   R,   M),  # audio or images as output
    "verbosity":           (M,   M,   D,   D),
    "service_tier":        (M,   M,   D,   M),  # only tiers that the protocol has (_TIERS)
    "metadata":            (M,   M,   D,   D),
    "user":                (M,   M,   M,   D),
    "cache_key":           (M,   M,   D,   D),
    "cache_retention":     (M,   M,   D,   D),
    "cache":               (D,   D,   M,   D),
    "state":               (R,   R,   R,   R),
    "unknown":             (R,   R,   R,   R),  # values that only the request's own protocol may have
    "extra":               (D,   D,   D,   D),
    # carried by turns and parts
    "name":                (M,   D,   D,   D),
    "phase":               (D,   M,   D,   D),  # of a message: a comment, or the final answer
    "cache_marks":         (D,   D,   M,   D),
    "image":               (M,   M,   M,   M),
    "audio":               (M,   R,   R,   M),
    "video":               (M,   R,   R,   M),
    "document":            (M,   M,   M,   M),
    "file_id":             (R,   R,   R,   R),  # a file exists at one provider only
    "tool_result.is_error": (D,  D,   M,   E),  # {"error": …}
    "tool_result.media":   (E,   M,   M,   E),  # in a user message after the results
    "server_tool_parts":   (D,   D,   D,   D),  # encrypted for the vendor that made them
    "annotations":         (D,   D,   D,   D),
    "thinking":            (D,   D,   D,   D),  # unless its state belongs to the target, or the dialect requires it
    "unknown_parts":       (D,   D,   D,   D),
}  # fmt: skip


def disposition(setting: str, protocol: str) -> Disposition:
    return TABLE[setting][PROTOCOLS.index(protocol)]


def _vendor_tools(settings: Settings) -> bool:
    return _has_others(settings) and any(map(_is_vendors, settings.tools or ()))


def _has_others(settings: Settings) -> bool:
    """Whether there are tools of a vendor, as in few requests."""
    return bool(settings.tools) and not {"vendor", "namespace"}.isdisjoint([tool.kind for tool in settings.tools or ()])


def _is_vendors(tool: Tool) -> bool:
    """Whether a tool is one that only its vendor, or its protocol, has."""
    return tool.kind in ("vendor", "namespace") and not is_for_client(tool)


def _without_vendors(tools: list[Tool], protocol: str) -> list[Warned]:
    names = dict.fromkeys(tool.native or tool.name for tool in tools if _is_vendors(tool))
    return [dropped(name, protocol, "only the request's own protocol has this tool") for name in names]


def _native_choice(settings: Settings) -> bool:
    form = settings.tool_choice and (settings.tool_choice.extra or {}).get("tool_choice")
    return form is not None and not (isinstance(form, dict) and form.get("type") in _CHOSEN)


_CHOSEN = ("function", "custom", "namespace", "allowed_tools")
"""Types of a tool choice that names tools of the request."""
_ASKED: dict[str, Callable[[Settings], bool]] = {
    "tools.vendor": _vendor_tools,
    "tools.freeform": lambda s: "freeform" in [tool.kind for tool in s.tools or ()],
    "tools.strict": lambda s: any(tool.strict for tool in s.tools or ()),
    "tool_choice.allowed": lambda s: s.tool_choice is not None and s.tool_choice.mode == "allowed",
    "tool_choice.parallel": lambda s: s.tool_choice is not None and s.tool_choice.parallel is False,
    "tool_choice.native": _native_choice,
    "output_format.json": lambda s: _any_json(s.output_format),
    "n": lambda s: s.n is not None and s.n > 1,
    "modalities": lambda s: any(kind.lower() != "text" for kind in s.modalities or ()),
    "logprobs": lambda s: bool(s.logprobs),
    "top_logprobs": lambda s: bool(s.top_logprobs),
    "stop": lambda s: bool(s.stop),
}
"""Whether settings ask for something, where the field of `Settings` alone does not show it."""
_PLAIN = (
    "top_k", "frequency_penalty", "presence_penalty", "logit_bias", "seed",
    "verbosity", "service_tier", "metadata", "user", "cache_key", "cache_retention",
    "cache", "state",
)  # fmt: skip
"""Settings that are a field of `Settings`, and ask for something if it is not None."""
_BY_FIELD: dict[str, list[str]] = {}
"""The settings above, by the field of `Settings` that has them."""
for _setting in (*_ASKED, *_PLAIN):
    _BY_FIELD.setdefault(_setting.partition(".")[0], []).append(_setting)
_fields = attrgetter(*_BY_FIELD)
_NONE_SET = (None,) * len(_BY_FIELD)


def settle(conversation: Conversation, protocol: str) -> tuple[Settings, list[Warned]]:
    """The settings that a renderer may write, and warnings about the others.

    Raises:
        Unsupported: the protocol cannot express a setting that must not be lost.
    """
    settings = conversation.settings
    if conversation.protocol == protocol:
        return settings, []
    if settings.unknown:
        raise _refused_value(settings.unknown[0], protocol)
    settings = replace(settings)
    report: list[Warned] = []
    given = _fields(settings)
    pairs = () if given == _NONE_SET else zip(_BY_FIELD.values(), given, strict=True)
    for setting in [setting for named, value in pairs if value is not None for setting in named]:
        what = disposition(setting, protocol)
        if what not in (R, D) or (setting in _ASKED and not _ASKED[setting](settings)):
            continue
        if what is D:
            if setting == "tools.vendor":
                report += _without_vendors(settings.tools or [], protocol)
            elif setting not in _PLAIN or not changes_nothing(
                setting, getattr(settings, setting), conversation.protocol
            ):
                report.append(dropped(setting, protocol))
            if setting in _PLAIN:
                setattr(settings, setting, None)
        elif setting == "state" and settings.state:
            # refused under the name of its field, such as `previous_response_id`
            raise refused_state(settings.state, protocol)
        elif setting == "tool_choice.native":
            name = member("tool_choice", conversation.protocol)
            raise refused(name, protocol, "only the request's own protocol has this form")
        else:
            raise refused(member(setting, conversation.protocol), protocol)
    _narrow(settings, protocol, report)
    if settings.service_tier is not None:
        _narrow_tier(settings, conversation.protocol, protocol, report)
    if settings.extra:
        report += [dropped(name, protocol) for name in meant(settings.extra, conversation.protocol)]
    settings.extra, settings.spelling = {}, {}
    if settings.reasoning is not None:
        _name_unknown(settings.reasoning, protocol, report)
    _leave_extra(settings)
    settings.n = None
    return settings, report


def _leave_extra(settings: Settings) -> None:
    """Remove unknown fields, which are valid in their own protocol only, and tools that the model must not see yet."""
    if settings.tools:
        settings.tools = derived(settings.tools, _portable)
    if settings.tool_choice is not None:
        settings.tool_choice = replace(settings.tool_choice, extra=None)
    if settings.output_format is not None:
        settings.output_format = replace(settings.output_format, extra=None)
    if settings.reasoning is not None:
        settings.reasoning = replace(settings.reasoning, extra=None)


def _portable(tools: list[Tool]) -> list[Tool]:
    return [tool if tool.extra is None else replace(tool, extra=None) for tool in tools if tool.loaded]


def _callable(tools: list[Tool], known: bool) -> list[Tool]:
    """The tools that a model can call. `known`: whether the target has the tools of Anthropic that the client runs."""
    return [tool if known else as_function(tool) for tool in tools if not _is_vendors(tool) and tool.kind != "search"]


def _without_strict(tools: list[Tool]) -> list[Tool]:
    return [tool if tool.strict is None else replace(tool, strict=None) for tool in tools]


def _narrow(settings: Settings, protocol: str, report: list[Warned]) -> None:
    """Clamp settings, and drop those that are only part of a setting."""
    if settings.temperature is not None and disposition("temperature", protocol) is C and settings.temperature > 1:
        report.append(
            Warned(
                f"temperature {as_text(settings.temperature)} is sent as 1: {protocol} accepts 0 to 1", "temperature"
            )
        )
        settings.temperature = 1.0
    if isinstance(settings.top_k, float):  # Gemini's is a float, all others are integers
        settings.top_k = int(settings.top_k)
    if settings.top_k is not None and settings.top_k < 1:  # of local servers: any token, which other protocols reject
        settings.top_k = None
    if settings.top_logprobs is not None and not settings.logprobs:  # without effect in Responses, an error elsewhere
        settings.top_logprobs = None
    if _has_others(settings):
        settings.tools = derived(settings.tools or [], _callable, protocol == "anthropic")
    if settings.tools and disposition("tools.strict", protocol) is D:
        settings.tools = derived(settings.tools, _without_strict)


_TIERS = {"google": ("standard", "flex", "priority")}
"""The tiers of a protocol, if all of its providers have the same (Gemini API: "Optimization", 2026-11)."""
_SHARED_TIERS = ("flex", "priority")
"""Tiers with one meaning in all protocols that have them."""
_FOREIGN_TIERS = ("anthropic", "google")
"""Protocols whose other tiers are not those of Chat Completions and Responses."""


def _narrow_tier(settings: Settings, own: Protocol | None, protocol: str, report: list[Warned]) -> None:
    """Drop a service tier that the protocol does not have: `standard_only` of Anthropic would be a 400 elsewhere."""
    known = _SHARED_TIERS if own in _FOREIGN_TIERS else _TIERS.get(protocol)
    if known is not None and settings.service_tier not in known:
        if not changes_nothing("service_tier", settings.service_tier, own):
            report.append(dropped("service_tier", protocol, f"{protocol} has no tier `{settings.service_tier}`"))
        settings.service_tier = None


def _name_unknown(reasoning: Reasoning, protocol: str, report: list[Warned]) -> None:
    """Warn about reasoning settings that only the request's own protocol has."""
    if reasoning.visibility is not None and reasoning.visibility not in _VISIBILITIES:
        report.append(dropped("reasoning.visibility", protocol, f"`{reasoning.visibility}` is unknown"))
    report += [dropped(f"reasoning.{name}", protocol) for name in reasoning.extra or () if name not in _MAPPED_EXTRA]


_MAPPED_EXTRA = ("type",)
"""Fields in a reasoning's `extra` whose meaning another field has too: `thinking.type` "auto" of some vendors is `adaptive`."""
_VISIBILITIES = ("hidden", "omitted", "none", "shown", "summarized", "auto", "concise", "detailed")


def _any_json(form: OutputFormat | None) -> bool:
    """Whether the output must be JSON without a schema; `json_schema` without a schema counts too."""
    return form is not None and (form.kind == "json" or (form.kind == "json_schema" and type(form.schema) is not dict))


def dropped(setting: str, protocol: str, why: str = "") -> Warned:
    """The warning about a dropped setting."""
    return Warned(f"`{setting}` is not sent: {why or f'{protocol} has no field for it'}", setting, dropped=True)


def omit_unsupported(body: dict[str, Json], protocol: str, dialect: Dialect, report: list[Warned]) -> None:
    """Remove the parameters from a provider's body that it rejects."""
    for name in dialect.unsupported:
        if not changes_nothing(name, body.pop(name, None), protocol):
            report.append(dropped(name, protocol, f"{dialect.vendor} rejects it"))


def omit_unconfirmed(
    body: dict[str, Json], settings: Mapping[str, str], protocol: str, dialect: Dialect, report: list[Warned]
) -> None:
    """Remove the parameters from a provider's body that it is not known to accept. `settings`: the parameters by the name of the
    setting. They have the names of the dialect's fields."""
    for setting, name in settings.items():
        if name in body and not getattr(dialect, name) and not changes_nothing(name, body.pop(name)):
            report.append(dropped(setting, protocol, "unknown whether this endpoint accepts it"))


def refused(setting: str, protocol: str, why: str = "") -> Unsupported:
    """The error for a setting that must not be lost."""
    return Unsupported(
        f"`{setting}` cannot be expressed in {protocol}{f': {why}' if why else ''}",
        setting=setting,
        hint=f"remove `{setting}`, or use a provider whose protocol supports it",
    )


def _refused_value(unknown: UnknownValue, protocol: str) -> Unsupported:
    """The error for a value that only the request's own protocol may have."""
    return Unsupported(
        f"`{unknown.field}` is {_brief(unknown.value)}, which cannot be expressed in {protocol}",
        setting=unknown.field,
        hint=f"use {', '.join(unknown.known)}, or a provider whose protocol is that of the request",
    )


def _brief(value: Json) -> str:
    text = encode(value).decode(errors="replace")
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


_BRIEF = 80
"""Maximum characters of a value in a message."""


def refused_state(state: Extra, protocol: str) -> Unsupported:
    """The error for state stored at another provider; `state` is the request's reference to it."""
    name, value = next(iter(state.items()))
    if name != "item_reference":
        return refused(name, protocol)
    item = value[0] if isinstance(value, list) and value and value[0] else "without an ID"
    return Unsupported(
        f"`{name}`: the item {item} is not in the request, and no stored item has this ID",
        setting=name,
        hint="send the items instead of references; most clients do with `store: false`",
    )


_OWN = "a provider accepts only its own, unchanged"
_WHY = {"thinking": _OWN, "server_tool_parts": _OWN}
"""Why parts are dropped for which the protocol has a field."""


def carried(part_setting: str, protocol: str, report: list[Warned], name: str | None = None) -> bool:
    """Whether a renderer may write a part of another protocol. Reports dropped parts, under their `name` if they have one; raises
    Unsupported for refused ones."""
    match disposition(part_setting, protocol):
        case Disposition.REFUSED:
            raise refused(part_setting, protocol)
        case Disposition.DROPPED:
            setting = name or part_setting
            if not any(warning.setting == setting for warning in report):
                report.append(dropped(setting, protocol, _WHY.get(part_setting, "")))
            return False
        case _:
            return True
