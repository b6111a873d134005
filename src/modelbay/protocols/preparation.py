"""Steps applied to a conversation before any renderer writes it, so that all protocols share them.

A renderer first examines the conversation (`survey.Survey`), gives the tools names that its target accepts
(`names.sent_names`), and then calls `prepared`. In order:

1. dispositions: settings that the protocol does not have are dropped, clamped or refused
2. limits: sizes and ranges of settings
3. repair: every call has one result, directly after it
4. only for another protocol: parts in the form of a third one; for all, media: registered types, no empty parts
5. only for another protocol: efforts; media and cache control in places that the target supports
6. emulation of settings that the target does not support
7. system prompts, if the target accepts none
8. schemas of tools and of the output format

No step repeats the work of another, and each returns its input itself if nothing changes.
"""

from collections.abc import Callable
from operator import is_

from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Extra,
    Json,
    Media,
    Settings,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols import efforts
from modelbay.protocols.dispositions import carried, settle
from modelbay.protocols.emulation import emulated
from modelbay.protocols.ids import answered_calls
from modelbay.protocols.limits import limited, without_system
from modelbay.protocols.media_types import is_empty, normal, of_its_type
from modelbay.protocols.other_forms import with_usual_parts
from modelbay.protocols.repair import repaired
from modelbay.protocols.schema import Fitting
from modelbay.protocols.survey import Survey

BREAKPOINT = "prompt_cache_breakpoint"
"""The field of OpenAI's content parts that corresponds to `cache_control`."""
_FOREIGN_MARK = "cache_control"
"""A field that some clients write although their protocol does not have it: on a part of Responses, or on a whole
message, where it means the last part."""
_NOTHING: tuple[Json, ...] = (None, False, {}, {"enabled": False})
"""Values of fields that mean the same as no field."""
_LEAD = Text(text="Attached media from the system prompt:")


def prepared(
    conversation: Conversation, protocol: str, model: Model, dialect: Dialect, seen: Survey
) -> tuple[Conversation, list[Warned], dict[int, ToolCall]]:
    """The conversation as a provider of `protocol` accepts it, warnings about changes, and the `answered_calls` of the
    result.

    `seen` is the survey of the conversation, made before tools were renamed.

    Raises:
        Unsupported: the protocol cannot express a setting that must not be lost.
    """
    if conversation.turns is not seen.turns:
        seen = Survey(conversation.turns)
    settings, report = settle(conversation, protocol)
    same = conversation.protocol == protocol
    settings = limited(conversation, settings, protocol, model, dialect, report)
    turns = whole = repaired(conversation, protocol, seen, report)
    foreign = not same and UnknownPart in seen.kinds
    if foreign:
        turns = _each(turns, with_usual_parts)
    if foreign or Media in seen.kinds:
        turns = _each(turns, lambda turn: _with_usual_media(turn, same, report))
    if not same:
        if settings.reasoning is not None:
            settings.reasoning = efforts.fitted(settings.reasoning, model, dialect, protocol, report)
        if seen.system_media:
            turns = _media_beside(turns)
        if seen.phases:
            carried("phase", protocol, report)
        if seen.other_fields:
            turns = _each(turns, _marked)
        if protocol != "anthropic" and not dialect.cache_marks and _marks_beside_content(turns, settings, seen):
            carried("cache_marks", protocol, report)
    if settings.tools or settings.output_format is not None or not dialect.parallel_call_history:
        settings, turns = emulated(settings, turns, protocol, dialect, report, same=same)
    if not dialect.system_role:
        turns = without_system(turns, report)
    if settings.tools or settings.output_format is not None:
        settings = _fitted(settings, Fitting(protocol, dialect, report, same=same))
    answers = seen.answers if turns is whole is conversation.turns else None
    if turns is not conversation.turns or settings is not conversation.settings:
        conversation = replace(conversation, turns=turns, settings=settings)
    return conversation, report, answered_calls(turns) if answers is None else answers


def _each(turns: list[Turn], change: Callable[[Turn], Turn]) -> list[Turn]:
    """The turns with a change applied to each; the same list if nothing changes."""
    found = [change(turn) for turn in turns]
    return turns if all(map(is_, found, turns)) else found


def _fitted(settings: Settings, fitting: Fitting) -> Settings:
    """The settings with all schemas as the target accepts them. Schemas that a Gemini client wrote for Gemini are not
    changed."""
    if fitting.same and fitting.protocol == "google":
        return settings
    tools = fitting.tools(settings.tools) if settings.tools else settings.tools
    form = fitting.format(settings.output_format) if settings.output_format is not None else None
    if tools is settings.tools and form is settings.output_format:
        return settings
    return replace(settings, tools=tools, output_format=form)


# --- media types -------------------------------------------------------------------------------------------------------


def _with_usual_media(turn: Turn, same: bool, report: list[Warned]) -> Turn:
    parts = _usual_media(turn.parts, same, report)
    return turn if parts is turn.parts else replace(turn, parts=parts)


def _usual_media(parts: list[AnyPart], same: bool, report: list[Warned]) -> list[AnyPart]:
    """The parts with registered media types; the same list if nothing changes."""
    found: list[AnyPart] = []
    for part in parts:
        if type(part) is Media:
            media = normal(part)
            if not same and is_empty(media):
                report.append(Warned(f"a part of type {media.kind} is not sent: it is empty", media.kind))
            else:
                found.append(media if same else of_its_type(media))
                if media.extra and not same:
                    _report_lost(media.extra, report)
        elif type(part) is ToolResult:
            inner = _usual_media(part.parts, same, report)
            found.append(part if inner is part.parts else replace(part, parts=inner))
        else:
            found.append(part)
    return parts if len(found) == len(parts) and all(map(is_, found, parts)) else found


def _report_lost(extra: Extra, report: list[Warned]) -> None:
    """Report fields of a media part that only its own protocol has, such as a document's `citations` and `context`."""
    for name, value in extra.items():
        inner = value if isinstance(value, dict) else {}
        fields = {name + one: inner[one] for one in inner} if name.endswith(".") else {name: value}
        for field, own in fields.items():
            if own in _NOTHING or field.rpartition(".")[2] in (BREAKPOINT, _FOREIGN_MARK):
                continue
            if not any(warning.setting == field for warning in report):
                why = f"`{field}` is not sent: only the request's own protocol has it"
                report.append(Warned(why, field, dropped=True))


# --- cache control -----------------------------------------------------------------------------------------------------


def _marked(turn: Turn) -> Turn:
    """The turn with cache control on its parts, from any field in which its protocol's clients write it."""
    if not turn.parts or not (turn.extra or any(part.extra for part in turn.parts)):
        return turn
    parts = [replace(part, cache=mark) if (mark := _mark(part.extra)) else part for part in turn.parts]
    if parts[-1].cache is None and (mark := _mark(turn.extra)):
        parts[-1] = replace(parts[-1], cache=mark)
    return replace(turn, parts=parts)


def _mark(extra: Extra | None) -> Extra | None:
    """Cache control in the fields that a protocol does not have itself."""
    mark = (extra or {}).get(_FOREIGN_MARK)
    if isinstance(mark, dict):
        return mark
    return {"type": "ephemeral"} if BREAKPOINT in (extra or {}) else None


def _marks_beside_content(turns: list[Turn], settings: Settings, seen: Survey) -> bool:
    """Whether calls, results or tools have cache control, which a renderer of content does not see."""
    if seen.marked_calls or (settings.tools and any(tool.cache is not None for tool in settings.tools)):
        return True
    if not seen.other_fields:
        return False
    parts = [part for turn in turns for part in turn.parts]
    return any(part.cache is not None and isinstance(part, ToolCall | ToolResult) for part in parts)


# --- media in system prompts -------------------------------------------------------------------------------------------


def _media_beside(turns: list[Turn]) -> list[Turn]:
    """Move media out of system prompts, which contain text only, into a user message after them."""
    if not any(_has_media(turn) for turn in turns):
        return turns
    out: list[Turn] = []
    held: list[AnyPart] = []
    for turn in turns:
        if held and turn.role not in ("system", "developer"):
            out.append(Turn("user", [_LEAD, *held]))
            held = []
        if _has_media(turn):
            held += [part for part in turn.parts if type(part) is Media]
            rest = [part for part in turn.parts if type(part) is not Media]
            out += [replace(turn, parts=rest)] if rest else []
        else:
            out.append(turn)
    return [*out, Turn("user", [_LEAD, *held])] if held else out


def _has_media(turn: Turn) -> bool:
    return turn.role in ("system", "developer") and any(type(part) is Media for part in turn.parts)
