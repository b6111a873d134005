"""Chat Completions requests: parsing a client's body, and rendering a provider's body."""

from typing import Any

from msgspec.structs import replace

from modelbay.conversation import (
    Conversation,
    Extra,
    Json,
    OutputFormat,
    Reasoning,
    Settings,
)
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.codec import Call
from modelbay.protocols.dispositions import omit_unconfirmed, omit_unsupported
from modelbay.protocols.efforts import of_budget
from modelbay.protocols.empty_requests import refuse_empty
from modelbay.protocols.freeform import with_text_calls
from modelbay.protocols.names import sent_names
from modelbay.protocols.openai_chat.body import ChatBody
from modelbay.protocols.openai_chat.messages import KNOWN_ROLES, parse_message, render_messages
from modelbay.protocols.openai_chat.parts import NAME
from modelbay.protocols.openai_chat.pass_rules import PASS
from modelbay.protocols.openai_chat.tools import parse_tools, render_tools
from modelbay.protocols.other_forms import with_calls
from modelbay.protocols.preparation import prepared
from modelbay.protocols.same_fields import SameFields
from modelbay.protocols.shapes import check, unknown, without
from modelbay.protocols.stopping import accepted_stops
from modelbay.protocols.survey import Survey
from modelbay.protocols.wrapped_answers import with_object_output

_SAME = SameFields(
    {
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "logit_bias": "logit_bias",
        "logprobs": "logprobs",
        "top_logprobs": "top_logprobs",
        "n": "n",
        "modalities": "modalities",
        "verbosity": "verbosity",
        "service_tier": "service_tier",
        "metadata": "metadata",
        "cache_key": "prompt_cache_key",
        "cache_retention": "prompt_cache_retention",
    }
)
_UNCONFIRMED = {
    "verbosity": "verbosity",
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
}
"""Settings that few vendors have."""
_SPELLED = {
    "max_output_tokens": ("max_tokens", "max_completion_tokens"),
    "seed": ("seed", "random_seed"),
    "user": ("user", "safety_identifier"),
}
"""Settings with several names, the preferred one first."""
_SPELLINGS = {name: setting for setting, names in _SPELLED.items() for name in names}
_FORMATS = ("text", "json_object", "json_schema")
_THINKING = ("enabled", "disabled", "adaptive")
_REASONING = frozenset(("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget"))
_TAKEN = frozenset(
    (
        *_SAME.fields, *_SPELLINGS, *_REASONING,
        "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "functions",
        "function_call", "response_format", "stop",
    )
)  # fmt: skip


def parse_request(call: Call) -> Conversation:
    body = call.body
    check(body, ChatBody)
    settings = Settings()
    _SAME.parse(body, settings)
    settings.extra = unknown(body, _TAKEN) or {}
    for name in [name for name in _SPELLINGS if name in body]:
        if (value := body[name]) is not None:
            setattr(settings, _SPELLINGS[name], value)
            settings.spelling[_SPELLINGS[name]] = name
    stop = body.get("stop")
    settings.stop = [stop] if isinstance(stop, str) else stop
    parse_tools(body, settings)
    _parse_format(body.get("response_format"), settings)
    if not _REASONING.isdisjoint(body):
        _parse_reasoning(body, settings)
    options = body.get("stream_options") or {}
    if options and (rest := without(options, "include_usage")):
        settings.extra["stream_options"] = rest
    turns = [with_calls(parse_message(message)) for message in body["messages"]]
    turns = with_text_calls(turns, settings.tools or ())
    for role in {turn.native for turn in turns} - KNOWN_ROLES:
        settings.keep_unknown("role", role, "system", "developer", "user", "assistant", "tool")
    return Conversation(
        turns=turns,
        settings=settings,
        protocol=NAME,
        model=body.get("model"),
        stream=body.get("stream"),
        include_usage=options.get("include_usage"),
    )


def _parse_format(value: Json, settings: Settings) -> None:
    if not isinstance(value, dict):
        return
    kind, spec = value.get("type"), value.get("json_schema")
    if kind == "json_schema" and isinstance(spec, dict):
        settings.output_format = OutputFormat(
            "json_schema",
            schema=spec.get("schema"),
            name=spec.get("name"),
            description=spec.get("description"),
            strict=spec.get("strict"),
            extra=without(spec, "schema", "name", "description", "strict"),
        )
    elif kind == "json_object":  # Together accepts a schema here
        settings.output_format = OutputFormat(
            "json", schema=value.get("schema"), extra=without(value, "type", "schema")
        )
    elif kind == "text":
        settings.output_format = OutputFormat("text")
    else:
        settings.extra["response_format"] = value
        if kind is None or kind in _FORMATS:
            settings.keep_unknown("response_format", value, *_FORMATS)
        else:
            settings.keep_unknown("response_format.type", kind, *_FORMATS)


def _parse_reasoning(body: dict[str, Json], settings: Settings) -> None:
    """Parameters that control thinking at various vendors; `spelling` records which were used."""
    found: list[str] = []
    reasoning = Reasoning()
    if isinstance(effort := body.get("reasoning_effort"), str):
        found.append("reasoning_effort")
        reasoning.effort = effort
    if isinstance(options := body.get("reasoning"), dict):
        found.append("reasoning")
        reasoning.enabled, reasoning.effort = options.get("enabled"), options.get("effort")
        reasoning.budget = options.get("max_tokens")
        reasoning.visibility = None if options.get("exclude") is None else "hidden" if options["exclude"] else "shown"
        reasoning.extra = without(options, "enabled", "effort", "max_tokens", "exclude")
    if isinstance(thinking := body.get("thinking"), dict):
        found.append("thinking")
        kind = thinking.get("type")
        reasoning.enabled, reasoning.adaptive = (
            None if kind is None else kind != "disabled",
            kind in ("adaptive", "auto"),
        )
        reasoning.effort = thinking.get("effort") or reasoning.effort
        reasoning.budget = thinking.get("budget_tokens")
        reasoning.extra = without(thinking, "effort", "budget_tokens", *(("type",) if kind in _THINKING else ()))
        if kind not in (None, "auto", *_THINKING):
            settings.keep_unknown("thinking.type", kind, *_THINKING)
        if thinking.get("effort"):
            found[-1] = "thinking.effort"
    if body.get("enable_thinking") is not None or body.get("thinking_budget") is not None:
        found.append("enable_thinking")
        reasoning.enabled, reasoning.budget = body.get("enable_thinking"), body.get("thinking_budget")
    if found:
        settings.reasoning = reasoning
        settings.spelling["reasoning"] = "+".join(found)


def render_request(conversation: Conversation, model: Model, dialect: Dialect) -> Call:
    seen = Survey(conversation.turns)
    conversation, meant = sent_names(
        conversation, dialect.tool_name or PASS.tool_name, seen, freeform=dialect.freeform_tools
    )
    conversation, wrapped = with_object_output(conversation, NAME)
    conversation, report, answers = prepared(conversation, NAME, model, dialect, seen)
    settings, same = conversation.settings, conversation.protocol == NAME
    settings, stops = accepted_stops(settings, NAME, dialect, same=same)
    body: dict[str, Any] = {"model": model.id} if dialect.model_in_body and model.id else {}
    body["messages"] = render_messages(conversation, model, dialect, report, answers)
    refuse_empty(body["messages"], conversation, NAME)
    if conversation.stream is not None:
        body["stream"] = conversation.stream
    extra = dict(settings.extra)
    options = dict(extra.pop("stream_options", None) or {})
    if conversation.include_usage is not None and dialect.include_usage:
        options["include_usage"] = conversation.include_usage
    if options:
        body["stream_options"] = options
    fields = _SAME.rendered(settings)
    body |= fields
    for setting, names in _SPELLED.items():
        if (value := getattr(settings, setting)) is not None:
            body[settings.spelling.get(setting, names[0])] = value
    if fields and not same:
        omit_unconfirmed(body, _UNCONFIRMED, NAME, dialect, report)
    if settings.seed is not None and not same:
        body.pop("seed", None)
        body[dialect.seed_parameter] = settings.seed
    if dialect.max_tokens_parameter and settings.max_output_tokens is not None:
        body.pop("max_completion_tokens", None)
        body.pop("max_tokens", None)
        body[dialect.max_tokens_parameter] = settings.max_output_tokens
    if settings.stop is not None:
        body["stop"] = settings.stop
    render_tools(body, settings, dialect, same)
    if settings.output_format is not None:
        body["response_format"] = _render_format(settings.output_format, same)
    if settings.reasoning is not None:
        body |= _render_reasoning(settings.reasoning, settings.spelling.get("reasoning"), dialect, model, report)
    body |= extra
    body |= dialect.body
    omit_unsupported(body, NAME, dialect, report)
    call = Call(PASS.paths["generate"], body, stream=bool(conversation.stream), warnings=report, names=meant)
    call.stops, call.wrapped = stops, wrapped
    return call


def _render_format(form: OutputFormat, same: bool) -> Json:
    if form.kind == "text":
        return {"type": "text"}
    if form.kind == "json":
        return {"type": "json_object"} | ({"schema": form.schema} if form.schema else {}) | (form.extra or {})
    spec = {
        "name": form.name if same else form.name or "answer",  # required by OpenAI, but not by every vendor
        "schema": form.schema,
        "description": form.description,
        "strict": form.strict,
    }
    return {"type": "json_schema", "json_schema": {k: v for k, v in spec.items() if v is not None} | (form.extra or {})}


def _render_reasoning(
    reasoning: Reasoning, spelled: str | None, dialect: Dialect, model: Model, report: list[Warned]
) -> Extra:
    ways = (dialect.reasoning_control or spelled or "reasoning_effort").split("+")
    reasoning = replace(reasoning)
    extra = reasoning.extra or {} if spelled and not dialect.reasoning_control else {}
    body: Extra = {}
    off = reasoning.enabled is False or reasoning.effort == "none"
    for way in ways:
        match way:
            case "reasoning_effort":
                effort = dialect.efforts.get(reasoning.effort or "", reasoning.effort)
                if effort is None and reasoning.enabled is False and len(ways) == 1:
                    effort = "none"
                if effort is None and reasoning.budget is not None and reasoning.enabled is not False:
                    effort = of_budget(reasoning.budget, model, report)
                body |= {"reasoning_effort": effort} if effort else {}
            case "reasoning":
                effort = dialect.efforts.get(reasoning.effort or "", reasoning.effort)
                options = {"enabled": reasoning.enabled, "effort": effort, "max_tokens": reasoning.budget}
                if reasoning.visibility is not None:
                    options["exclude"] = reasoning.hidden
                body["reasoning"] = {k: v for k, v in options.items() if v is not None} | extra
            case "thinking" | "thinking.effort":
                kind = "disabled" if off else "adaptive" if reasoning.adaptive else "enabled"
                said = reasoning.enabled is not None or (reasoning.effort is not None and dialect.reasoning_control)
                thinking: Extra = {"type": kind} if said else {}
                if way == "thinking.effort" and reasoning.effort and not off:
                    thinking["effort"] = reasoning.effort
                if reasoning.budget is not None and spelled and not dialect.reasoning_control:
                    thinking["budget_tokens"] = reasoning.budget
                if thinking or extra or spelled:
                    body["thinking"] = thinking | extra
            case "enable_thinking":
                if reasoning.enabled is not None or reasoning.effort:
                    body["enable_thinking"] = not off
                body |= {"thinking_budget": reasoning.budget} if reasoning.budget is not None else {}
            case _:
                pass
    return body
