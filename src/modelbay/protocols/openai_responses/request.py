"""Responses requests: parsing a client's body, and rendering a provider's body."""

from typing import Any

from modelbay.conversation import (
    Conversation,
    Extra,
    Json,
    OutputFormat,
    Reasoning,
    Settings,
    Text,
    Tool,
    ToolChoice,
    Turn,
)
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.codec import Call
from modelbay.protocols.dispositions import omit_unconfirmed, omit_unsupported, refused_state
from modelbay.protocols.efforts import of_budget
from modelbay.protocols.empty_requests import refuse_empty
from modelbay.protocols.names import sent_names
from modelbay.protocols.openai_responses.items import REFERENCE
from modelbay.protocols.openai_responses.parts import NAME, STRING
from modelbay.protocols.openai_responses.pass_rules import PASS
from modelbay.protocols.openai_responses.references import is_own, resolve
from modelbay.protocols.openai_responses.tools import parse_tool
from modelbay.protocols.openai_responses.turns import INSTRUCTIONS, parse_input, render_input
from modelbay.protocols.other_forms import tool_choice
from modelbay.protocols.preparation import prepared
from modelbay.protocols.same_fields import SameFields
from modelbay.protocols.shapes import as_integer, mapping, objects, unknown, without, word
from modelbay.protocols.shared_tools import copied, derived
from modelbay.protocols.stopping import accepted_stops
from modelbay.protocols.survey import Survey
from modelbay.protocols.wrapped_answers import with_object_output

_SAME = SameFields(
    {
        "max_output_tokens": "max_output_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_logprobs": "top_logprobs",
        "service_tier": "service_tier",
        "metadata": "metadata",
        "cache_key": "prompt_cache_key",
        "cache_retention": "prompt_cache_retention",
    }
)
_UNCONFIRMED = {"cache_retention": "prompt_cache_retention"}
"""Settings that few vendors have."""
_TYPES: dict[str, tuple[type, ...]] = {
    "max_output_tokens": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
    "top_logprobs": (int,),
    "service_tier": (str,),
    "metadata": (dict,),
    "prompt_cache_key": (str,),
    "prompt_cache_retention": (str,),
    "user": (str,),
    "safety_identifier": (str,),
    "stream": (bool,),
    "model": (str,),
    "parallel_tool_calls": (bool,),
    "instructions": (str,),
    "reasoning": (dict,),
    "text": (dict,),
}
_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", dict: "an object"}
_USER = ("user", "safety_identifier")
_STATE = ("previous_response_id", "conversation", "prompt")
"""State that only the provider has. This includes `background: true`: the reply is fetched from it later."""
_TAKEN = frozenset(
    (
        *_SAME.fields, *_USER, *_STATE,
        "model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
    )
)  # fmt: skip
_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_LEAST_TOKENS = 16
"""OpenAI rejects a smaller `max_output_tokens`; clients of other protocols request 1 to test a key."""
_CHOICES = ("auto", "none", "required")
_ALLOWED_MODES = ("auto", "required")
_FORMATS = ("text", "json_object", "json_schema")


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_request(call: Call) -> Conversation:
    body = call.body
    for name, types in _TYPES.items():
        if int in types and float not in types and name in body:
            body[name] = as_integer(body[name])
        if body.get(name) is not None and type(body[name]) not in types:
            raise Unsupported(f"`{name}` must be {_NAMES[types[-1]]}", setting=name)
    settings = Settings()
    _SAME.parse(body, settings)
    settings.extra = unknown(body, _TAKEN) or {}
    for name in _USER:
        if body.get(name) is not None and settings.user is None:
            settings.user, settings.spelling["user"] = body[name], name
        elif body.get(name) is not None:
            settings.extra[name] = body[name]
    options = mapping(settings.extra.pop("stream_options", None))  # clients of Chat Completions ask for usage there
    if rest := without(options, "include_usage"):
        settings.extra["stream_options"] = rest
    turns = parse_input(body.get("input"))
    if body.get("instructions") is not None:
        turns.insert(0, Turn("system", [Text(text=body["instructions"], native=STRING)], native=INSTRUCTIONS))
    for turn in turns:
        if turn.extra is not None and "role" in turn.extra:
            settings.keep_unknown("role", turn.extra["role"], "system", "developer", "user", "assistant")
    turns, references = resolve(turns)
    _parse_state(body, references, settings)
    _parse_tools(body, settings)
    _parse_text(body.get("text"), settings)
    _parse_reasoning(body.get("reasoning"), settings)
    if isinstance(include := body.get("include"), list) and _LOGPROBS in include:
        settings.logprobs = True
    return Conversation(
        turns=turns,
        settings=settings,
        protocol=NAME,
        model=body.get("model"),
        stream=body.get("stream"),
        include_usage=options.get("include_usage"),
    )


def _parse_state(body: dict[str, Json], references: list[str | None], settings: Settings) -> None:
    state = {name: body[name] for name in _STATE if body.get(name) is not None}
    if body.get("background"):
        state["background"] = settings.extra.pop("background")
    if references:
        state[REFERENCE] = references
    settings.state = state or None


def _parse_list(tools: Json) -> list[Tool]:
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise Unsupported("`tools` must be a list of objects", setting="tools")
    return [parse_tool(tool) for tool in tools]


def _parse_tools(body: dict[str, Json], settings: Settings) -> None:
    if (tools := body.get("tools")) is not None:
        settings.tools = derived(tools, _parse_list)
    choice, parallel = body.get("tool_choice"), body.get("parallel_tool_calls")
    if choice is None and parallel is None:
        return
    chosen = ToolChoice(parallel=parallel)
    if isinstance(choice, str) and choice in _CHOICES:
        chosen.mode = choice  # type: ignore[assignment]
    elif isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        chosen.mode, chosen.extra = "allowed", {"tool_choice": choice}
        chosen.required = choice.get("mode") == "required"
        if choice.get("mode") not in (None, *_ALLOWED_MODES):
            settings.keep_unknown("tool_choice.mode", choice["mode"], *_ALLOWED_MODES)
        _parse_names(chosen, objects(choice.get("tools")))
    elif not _is_named(choice) and (found := tool_choice(choice, settings.tools)) is not None:
        chosen.mode, chosen.names = found.mode, found.names
    elif isinstance(choice, dict):
        chosen.mode = "tool"
        _parse_names(chosen, [choice])
        if choice.get("type") != "function" or len(choice) != 2:
            chosen.extra = {"tool_choice": choice}
    elif choice is not None:
        chosen.extra = {"tool_choice": choice}
    settings.tool_choice = chosen


def _is_named(choice: Json) -> bool:
    """Whether a tool choice has the form of this protocol for one tool."""
    return isinstance(choice, dict) and bool(choice.get("name")) and choice.get("type") != "tool"


def _parse_names(choice: ToolChoice, tools: list[dict[str, Any]]) -> None:
    choice.names = [word(tool.get("name")) or str(tool.get("type")) for tool in tools]
    spaces = [word(tool.get("namespace")) for tool in tools]
    choice.namespaces = spaces if any(spaces) else []


def _parse_text(text: Json, settings: Settings) -> None:
    if not isinstance(text, dict):
        return
    rest = without(text, "format") or {}
    if isinstance(rest.get("verbosity"), str):
        settings.verbosity = rest.pop("verbosity")
    form = text.get("format")
    kind = form.get("type") if isinstance(form, dict) else None
    if isinstance(form, dict) and kind == "json_schema":
        settings.output_format = OutputFormat(
            "json_schema",
            schema=form.get("schema"),
            name=form.get("name"),
            description=form.get("description"),
            strict=form.get("strict"),
            extra=without(form, "type", "schema", "name", "description", "strict"),
        )
    elif isinstance(form, dict) and kind in ("json_object", "text"):
        extra = without(form, "type")
        settings.output_format = OutputFormat("json" if kind == "json_object" else "text", extra=extra)
    elif form is not None:
        rest["format"] = form
        if kind is None:
            settings.keep_unknown("text.format", form, *_FORMATS)
        else:
            settings.keep_unknown("text.format.type", kind, *_FORMATS)
    if rest or form is None:
        settings.extra["text"] = rest


def _parse_reasoning(options: Json, settings: Settings) -> None:
    if isinstance(options, dict):
        for name in ("effort", "summary"):
            if not isinstance(options.get(name), str | None):
                raise Unsupported(f"`reasoning.{name}` must be a string", setting=f"reasoning.{name}")
        settings.reasoning = Reasoning(
            effort=options.get("effort"),
            visibility=options.get("summary"),
            extra=without(options, "effort", "summary"),
        )


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_request(conversation: Conversation, model: Model, dialect: Dialect) -> Call:
    grouped = dialect.namespaces and conversation.protocol == NAME
    pattern = dialect.tool_name or PASS.tool_name
    seen = Survey(conversation.turns)
    conversation, meant = sent_names(conversation, pattern, seen, namespaces=grouped, freeform=dialect.freeform_tools)
    conversation, wrapped = with_object_output(conversation, NAME)
    conversation, report, answers = prepared(conversation, NAME, model, dialect, seen)
    settings, same = conversation.settings, conversation.protocol == NAME
    settings, stops = accepted_stops(settings, NAME, dialect, same=same)
    _check_references(settings)
    body: dict[str, Any] = {"model": model.id} if dialect.model_in_body and model.id else {}
    instructions, given = render_input(conversation, model, dialect, report, answers)
    refuse_empty(given, conversation, NAME)
    if instructions is not None:
        body["instructions"] = instructions
    if given or not same:
        body["input"] = given
    if conversation.stream is not None:
        body["stream"] = conversation.stream
    body |= _SAME.rendered(settings)
    if settings.user is not None:
        body[settings.spelling.get("user", _USER[0])] = settings.user
    _render_tools(body, settings, dialect, same)
    if settings.output_format is not None:
        body["text"] = {"format": _render_format(settings.output_format, same)}
    if settings.verbosity is not None:
        body["text"] = {**body.get("text", {}), "verbosity": settings.verbosity}
    if same:
        if settings.reasoning is not None:
            body["reasoning"] = _said(effort=settings.reasoning.effort, summary=settings.reasoning.visibility)
            body["reasoning"] |= settings.reasoning.extra or {}
        body |= {name: value for name, value in (settings.state or {}).items() if name != REFERENCE}
        body |= {name: value for name, value in settings.extra.items() if name != "text"}
        if "text" in settings.extra:
            body["text"] = {**body.get("text", {}), **settings.extra["text"]}
    else:
        _render_stateless(body, settings, model, dialect, report)
        omit_unconfirmed(body, _UNCONFIRMED, NAME, dialect, report)
    body |= dialect.body
    omit_unsupported(body, NAME, dialect, report)
    call = Call(PASS.paths["generate"], body, stream=bool(conversation.stream), warnings=report, names=meant)
    call.stops, call.wrapped = stops, wrapped
    return call


def _check_references(settings: Settings) -> None:
    """Reject references that no provider can resolve, because their IDs were made here."""
    references = (settings.state or {}).get(REFERENCE) or []
    if own := [id for id in references if is_own(id)]:
        raise refused_state({REFERENCE: own}, NAME)


def _said(**fields: Json) -> Extra:
    return {name: value for name, value in fields.items() if value is not None}


def _render_stateless(
    body: dict[str, Any], settings: Settings, model: Model, dialect: Dialect, report: list[Warned]
) -> None:
    """Settings for a conversation that keeps its own state: nothing is stored, so reasoning must be returned in full."""
    body["store"] = False
    if settings.reasoning is not None and (options := _render_reasoning(settings.reasoning, model, report)):
        body["reasoning"] = options
    thinks = body.get("reasoning", {}).get("effort") != "none" and ("reasoning" in body or model.can("thinking"))
    include = [*([_ENCRYPTED] if thinks else ()), *([_LOGPROBS] if settings.logprobs else ())]
    if include:
        body["include"] = include
    if (tokens := settings.max_output_tokens) is not None and tokens < _LEAST_TOKENS:
        body["max_output_tokens"] = _LEAST_TOKENS
        report.append(
            Warned(
                f"max_output_tokens {tokens} is sent as {_LEAST_TOKENS}: OpenAI accepts no less", "max_output_tokens"
            )
        )


def _render_reasoning(reasoning: Reasoning, model: Model, report: list[Warned]) -> Extra:
    if reasoning.enabled is False or reasoning.effort == "none":
        return {"effort": model.off_effort or "none"}
    effort = reasoning.effort
    if effort is None and reasoning.budget is not None and not reasoning.adaptive:
        effort = of_budget(reasoning.budget, model, report)
    shown = reasoning.visibility
    summary = shown if shown in ("auto", "concise", "detailed") else None if reasoning.hidden else "auto"
    return _said(effort=effort, summary=summary)


def _render_tools(body: dict[str, Any], settings: Settings, dialect: Dialect, same: bool) -> None:
    if settings.tools:
        body["tools"] = copied(derived(settings.tools, _render_list, dialect.strict_tools, same))
    choice = settings.tool_choice
    if choice is None or (not same and not settings.tools):
        return
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    if same and choice.extra and "tool_choice" in choice.extra:
        body["tool_choice"] = choice.extra["tool_choice"]
    elif choice.mode is not None:
        body["tool_choice"] = _render_choice(choice, settings, dialect)


def _render_choice(choice: ToolChoice, settings: Settings, dialect: Dialect) -> Json:
    freeform = {tool.name for tool in settings.tools or () if tool.kind == "freeform"}
    tools = [{"type": "custom" if name in freeform else "function", "name": name} for name in choice.names]
    for tool, space in zip(tools, choice.namespaces, strict=False):
        if space is not None:
            tool["namespace"] = space
    if choice.mode == "allowed":
        return {"type": "allowed_tools", "mode": "required" if choice.required else "auto", "tools": tools}
    if choice.mode == "required":
        return dialect.required_word
    return tools[0] if choice.mode == "tool" and tools else choice.mode


def _render_list(tools: list[Tool], strict: bool, same: bool) -> list[Extra]:
    """`strict`: whether `strict` is sent."""
    return [_render_tool(tool, strict, same) for tool in tools]


def _render_tool(tool: Tool, sends_strict: bool, same: bool) -> Extra:
    if tool.kind in ("vendor", "namespace", "search"):
        return tool.raw or {}
    extra = tool.extra or {} if same else {}
    if tool.kind == "freeform":
        custom = {"type": "custom", "name": tool.name, "description": tool.description}
        return _said(**custom, format=_flat(tool.grammar)) | extra
    strict, schema = tool.strict, tool.schema
    if not same:  # here tools are strict by default, elsewhere they are not
        strict = bool(strict)
    function = {"type": "function", "name": tool.name, "description": tool.description, "parameters": schema}
    return _said(**function, strict=strict if sends_strict else None) | extra


def _flat(grammar: Extra | None) -> Extra | None:
    """Chat Completions has the grammar in an object."""
    if grammar is None or not isinstance(nested := grammar.get("grammar"), dict):
        return grammar
    return {**{name: value for name, value in grammar.items() if name != "grammar"}, **nested}


def _render_format(form: OutputFormat, same: bool) -> Extra:
    extra = form.extra or {} if same else {}
    if form.kind != "json_schema":
        return {"type": "json_object" if form.kind == "json" else "text", **extra}
    name = form.name if same else form.name or "answer"
    spec = _said(type="json_schema", name=name, schema=form.schema, strict=form.strict, description=form.description)
    return spec | extra
