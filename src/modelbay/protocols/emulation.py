"""Emulates settings that a target is known not to support: forced tool calls, JSON output, and several tool calls in one
message.

If the target has no parameter for a setting, the system prompt asks the model for it. The model may ignore that, so a forced
call that is emulated is reported. The fields of the dialect come from the vendor, the user or a provider test.
"""

import msgspec
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Json, OutputFormat, Settings, Text, ToolCall, ToolChoice, ToolResult, Turn
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.protocols.dispositions import Disposition, disposition
from modelbay.protocols.ids import answered_calls
from modelbay.protocols.schema import refused_output

_INSTRUCTIONS = {"anthropic": "system", "openai_responses": "instructions", "google": "systemInstruction"}
"""The `native` of a system prompt that is a field of its own."""


def emulated(
    settings: Settings, turns: list[Turn], protocol: str, dialect: Dialect, report: list[Warned], *, same: bool
) -> tuple[Settings, list[Turn]]:
    """The settings and turns without what the target does not support. `same`: whether the client uses the target's protocol."""
    texts: list[str] = []
    if settings.tools:
        if settings.tool_choice is not None:
            settings = _with_choice(settings, dialect, texts, report)
        if not dialect.parallel_tool_calls and disposition("tool_choice.parallel", protocol) is Disposition.MAPPED:
            settings = _without_parallel(settings, report)
    if settings.output_format is not None:
        settings = _with_format(settings, protocol, dialect, texts, report, same=same)
    if not dialect.parallel_call_history:
        turns = one_by_one(turns, report)
    if texts:
        turns = _instructed(turns, "\n\n".join(texts), _INSTRUCTIONS.get(protocol) if same else None)
    if not same and _lacks_word(settings.output_format, turns, protocol):
        turns = _naming_json(turns)
    return settings, turns


# --- tools -------------------------------------------------------------------------------------------------------------


def _with_choice(settings: Settings, dialect: Dialect, texts: list[str], report: list[Warned]) -> Settings:
    """The settings without a forced tool call that the target does not support.

    A tool by name is the same as any tool if only that one is offered. If the target supports neither, the system prompt
    asks for the call.
    """
    choice, tools = settings.tool_choice, settings.tools or []
    forces = choice is not None and (
        choice.mode in ("required", "tool") or (choice.mode == "allowed" and choice.required)
    )
    if choice is None or not forces:
        return settings
    modes = dialect.tool_choices
    if (choice.mode if choice.mode == "tool" else "required") in modes:
        return settings
    if choice.mode != "required":
        tools = [tool for tool in tools if tool.name in choice.names] or tools
    if "required" in modes:
        chosen = replace(choice, mode="required", names=[], namespaces=[], extra=None)
    elif "tool" in modes and len(tools) == 1:
        chosen = replace(choice, mode="tool", names=[tools[0].name], namespaces=[], extra=None)
    else:
        chosen = ToolChoice(parallel=choice.parallel)
        which = f"the tool `{tools[0].name}`" if len(tools) == 1 else "at least one of the tools"
        texts.append(f"You must call {which} in your next message.")
        report.append(
            Warned(
                "`tool_choice` is sent as part of the system prompt: the provider does not support forced tool calls",
                "tool_choice",
            )
        )
    spelling = {name: word for name, word in settings.spelling.items() if name != "tool_choice"}
    return replace(settings, tool_choice=chosen, tools=tools, spelling=spelling)


def _without_parallel(settings: Settings, report: list[Warned]) -> Settings:
    choice = settings.tool_choice or ToolChoice()
    if choice.parallel is False or choice.mode == "none":
        return settings
    if choice.parallel:
        report.append(
            Warned(
                "the model is asked for one tool call at a time: it does not make several at once",
                "tool_choice.parallel",
            )
        )
    return replace(settings, tool_choice=replace(choice, parallel=False))


_ONE_BY_ONE = Warned(
    "tool calls of one message are sent one after the other: the provider accepts only one in a message"
)


def one_by_one(turns: list[Turn], report: list[Warned]) -> list[Turn]:
    """The turns with one tool call in a message: each call is followed by its result, then comes the next call.

    Chat templates of some open models reject a message with several calls. The text and thinking before the first call stay
    before it. A step whose calls do not all have a result directly after it is not changed.
    """
    answers = answered_calls(turns)
    out: list[Turn] = []
    place, divided = 0, False
    while place < len(turns):
        end = place
        while end < len(turns) and turns[end].role == "assistant":
            end += 1
        after = end
        while after < len(turns) and any(type(part) is ToolResult for part in turns[after].parts):
            after += 1
        split = _split(turns[place:end], turns[end:after], answers) if end > place else None
        if split is not None:
            out += split
            place, divided = after, True
            if _ONE_BY_ONE not in report:
                report.append(_ONE_BY_ONE)
        else:
            stop = max(end, place + 1)
            out += turns[place:stop]
            place = stop
    return out if divided else turns


def _split(step: list[Turn], answering: list[Turn], answers: dict[int, ToolCall]) -> list[Turn] | None:
    """The turns of a step with several calls, and of their results, one call after the other; None if there is nothing to
    change."""
    calls = [part for turn in step for part in turn.parts if type(part) is ToolCall]
    if len(calls) < 2:
        return None
    results: dict[int, tuple[Turn, ToolResult]] = {}
    rest: list[Turn] = []
    for turn in answering:
        others: list[AnyPart] = []
        for part in turn.parts:
            call = answers.get(id(part)) if type(part) is ToolResult else None
            if call is not None and id(call) not in results:
                results[id(call)] = turn, part  # type: ignore[assignment]
            else:
                others.append(part)
        if others:
            rest.append(replace(turn, parts=others))
    if any(id(call) not in results for call in calls):
        return None
    out: list[Turn] = []
    held: list[AnyPart] = []
    for turn in step:
        for part in turn.parts:
            held.append(part)
            if type(part) is ToolCall:
                answering_turn, result = results[id(part)]
                out += [replace(turn, parts=held), replace(answering_turn, parts=[result])]
                held = []
    if held:  # text after the last call
        out[-2] = replace(out[-2], parts=[*held, *out[-2].parts])
    return out + rest


# --- output ------------------------------------------------------------------------------------------------------------


def _with_format(
    settings: Settings, protocol: str, dialect: Dialect, texts: list[str], report: list[Warned], *, same: bool
) -> Settings:
    """The settings without an output format that the target does not support: the system prompt has the schema."""
    form = settings.output_format
    if form is None or form.kind == "text":
        return settings
    has_schema = form.kind == "json_schema" and isinstance(form.schema, dict)
    if has_schema and dialect.json_schema and not same and (why := refused_output(form.schema, protocol)):
        report.append(
            Warned(f"`output_format` is sent as part of the system prompt: its schema {why}", "output_format")
        )
    elif dialect.json_schema if has_schema else _has_mode(protocol, dialect):
        return settings
    if has_schema:  # Z.ai and others have only JSON mode
        texts.append(request_for(form.schema))
    else:
        texts.append("Answer with one JSON object and nothing else.")
    has_mode = _has_mode(protocol, dialect)
    spelling = {name: word for name, word in settings.spelling.items() if name != "output_format"}
    return replace(settings, output_format=OutputFormat("json") if has_mode else None, spelling=spelling)


def request_for(schema: Json) -> str:
    """The text that asks a model for JSON of a schema."""
    return f"Answer with JSON that matches this JSON Schema:\n{msgspec.json.encode(schema).decode()}"


def _has_mode(protocol: str, dialect: Dialect) -> bool:
    """Whether the target has JSON mode without a schema."""
    return dialect.json_mode and disposition("output_format.json", protocol) is Disposition.MAPPED


_READ_FOR_WORD = {
    "openai_chat": ("system", "developer", "user", "assistant"),
    "openai_responses": ("developer", "user", "assistant"),
}
"""Roles of the messages of which one must contain the word "json" for JSON mode. Responses does not read `instructions`, into which
the system prompt goes."""


def _lacks_word(form: OutputFormat | None, turns: list[Turn], protocol: str) -> bool:
    """Whether OpenAI rejects JSON mode, because no message says "json"."""
    if form is None or form.kind == "text" or form.schema or protocol not in _READ_FOR_WORD:
        return False
    read = [turn for turn in turns if turn.role in _READ_FOR_WORD[protocol]]
    return not any("json" in part.text.lower() for turn in read for part in turn.parts if type(part) is Text)


def _naming_json(turns: list[Turn]) -> list[Turn]:
    """The turns with a message after the system prompt that asks for JSON. It is always at the same place, so that prompt caches
    match."""
    start = next((index for index, turn in enumerate(turns) if turn.role != "system"), len(turns))
    return [*turns[:start], Turn("developer", [Text(text="Answer with a JSON object.")]), *turns[start:]]


def _instructed(turns: list[Turn], text: str, native: str | None) -> list[Turn]:
    """The turns with a text at the end of the system prompt, which stays one: some chat templates reject a second."""
    first = turns[0] if turns else None
    if first is None or first.role not in ("system", "developer") or (native and first.native != native):
        return [Turn("system", [Text(text=text)], native=native), *turns]
    *before, last = first.parts or [Text()]
    if type(last) is Text and last.cache is None and not last.annotations:
        parts = [*before, replace(last, text=f"{last.text}\n\n{text}".strip())]
    else:
        parts = [*first.parts, Text(text=text)]
    return [replace(first, parts=parts), *turns[1:]]
