"""Anthropic requests: parsing a client's body, and rendering a provider's body."""

from typing import Any

from msgspec.structs import replace

from modelbay.conversation import (
    Conversation,
    Extra,
    Json,
    OutputFormat,
    Reasoning,
    Settings,
    Tool,
    ToolChoice,
)
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.anthropic.body import MessagesBody
from modelbay.protocols.anthropic.messages import parse_message, parse_system, render_messages
from modelbay.protocols.anthropic.parts import NAME
from modelbay.protocols.anthropic.pass_rules import PASS
from modelbay.protocols.codec import Call
from modelbay.protocols.dispositions import dropped, omit_unsupported
from modelbay.protocols.empty_requests import refuse_empty
from modelbay.protocols.names import sent_names
from modelbay.protocols.other_forms import function_tool, tool_choice
from modelbay.protocols.preparation import prepared
from modelbay.protocols.same_fields import SameFields
from modelbay.protocols.shapes import check, unknown, without
from modelbay.protocols.shared_tools import copied, derived
from modelbay.protocols.stopping import accepted_stops
from modelbay.protocols.survey import Survey

MAX_TOKENS = 32_000
"""Default `max_tokens` for unknown models, as the field is required."""
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096}
"""Thinking tokens for an effort, on models with a budget; anything above is `TOP_BUDGET` (as in Kimi Code)."""
TOP_BUDGET = 32_000
_LEAST_BUDGET = 1024
_MARKS = 4
"""Maximum number of cache breakpoints in a request."""

_SAME = SameFields(
    {
        "max_output_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop": "stop_sequences",
        "service_tier": "service_tier",
        "cache": "cache_control",
    }
)
ATTRIBUTION = "x-anthropic-billing-header"
"""The beginning of the first system block of Claude Code, which is a header in the form of a text: its version, and a digest of the
conversation. Anthropic takes the block out of the prompt if it is the first one. For other providers it would change the
beginning of the prompt with each conversation, and make their prompt caches useless. It has this name among unknown settings."""
_STATE = ("thread",)
_OUTPUT = frozenset(("thinking", "output_config", "output_format"))
"""Fields about reasoning and the form of the output."""
_THINKING = ("enabled", "disabled", "adaptive")
_TAKEN = frozenset(
    (*_SAME.fields, *_STATE, "model", "messages", "system", "stream", "tools", "tool_choice", "thinking",
     "output_config", "output_format", "metadata")
)  # fmt: skip


def parse_request(call: Call) -> Conversation:
    body = call.body
    check(body, MessagesBody)
    settings = Settings()
    _SAME.parse(body, settings)
    settings.extra = unknown(body, _TAKEN) or {}
    if (tools := body.get("tools")) is not None:
        settings.tools = _with_unloaded(derived(tools, _parse_tools), body["messages"])
    if (choice := body.get("tool_choice")) is not None:
        settings.tool_choice = _parse_choice(choice, settings.tools)
    settings.state = {name: body[name] for name in _STATE if body.get(name) is not None} or None
    if not _OUTPUT.isdisjoint(body):
        _parse_output(body, settings)
    _parse_metadata(body.get("metadata"), settings)
    system = body.get("system")
    if type(system) is list and system and str(system[0].get("text")).startswith(ATTRIBUTION):
        settings.extra[ATTRIBUTION], system = system[0], system[1:]
    turns = [parse_message(message) for message in body["messages"]]
    for role in {turn.native for turn in turns if turn.native is not None}:
        settings.keep_unknown("role", role, "user", "assistant", "system")
    return Conversation(
        turns=[*parse_system(system), *turns],
        settings=settings,
        protocol=NAME,
        model=body.get("model"),
        stream=body.get("stream"),
    )


def _parse_tools(tools: list[dict[str, Any]]) -> list[Tool]:
    return [_parse_tool(tool) for tool in tools]


def _parse_tool(tool: dict[str, Any]) -> Tool:
    kind = tool.get("type")
    if kind not in (None, "custom") or ("input_schema" not in tool and "inputSchema" in tool):
        return function_tool(tool) or Tool("vendor", name=tool.get("name") or str(kind), native=kind, raw=tool)
    return Tool(
        name=tool.get("name") or "",
        description=tool.get("description"),
        schema=tool.get("input_schema"),
        strict=tool.get("strict"),
        cache=tool.get("cache_control"),
        native=kind,
        extra=without(tool, "type", "name", "description", "input_schema", "strict", "cache_control"),
    )


def _with_unloaded(tools: list[Tool], messages: list[dict[str, Any]]) -> list[Tool]:
    """The tools, with marks on those that the model does not see yet. If the provider searches the tools, none of them is
    marked: of a provider without such a search, the model would never see them."""
    if not any(map(_is_deferred, tools)):
        return tools
    if any(tool.kind == "vendor" and str(tool.native).startswith("tool_search") for tool in tools):
        return tools
    blocks = [block for message in messages for block in _blocks_of(message)]
    named = {block.get("name") for block in blocks if block.get("type") == "tool_use"}
    inner = [item for block in blocks for item in _blocks_of(block)]
    named |= {item.get("tool_name") for item in (*blocks, *inner) if item.get("type") == "tool_reference"}
    return [replace(tool, loaded=False) if _is_deferred(tool) and tool.name not in named else tool for tool in tools]


def _is_deferred(tool: Tool) -> bool:
    return tool.extra is not None and tool.extra.get("defer_loading") is True


def _parse_choice(choice: str | dict[str, Any], tools: list[Tool] | None) -> ToolChoice:
    if isinstance(choice, str):
        return tool_choice(choice, tools) or ToolChoice(extra={"tool_choice": choice})
    parallel = choice.get("disable_parallel_tool_use")
    parsed = ToolChoice(parallel=None if parallel is None else not parallel)
    match choice.get("type"):
        case "any":
            parsed.mode = "required"
        case "tool":
            parsed.mode, parsed.names = "tool", [choice.get("name") or ""]
        case "none":
            parsed.mode = "none"
        case "auto" | None:
            parsed.mode = "auto"
        case _:
            found = tool_choice(choice, tools)
            if found is None:
                parsed.extra = {"tool_choice": choice}
                return parsed
            parsed.mode, parsed.names = found.mode, found.names
            return parsed
    parsed.extra = without(choice, "type", "name", "disable_parallel_tool_use")
    return parsed


def _parse_output(body: dict[str, Json], settings: Settings) -> None:
    """`thinking` and `output_config`: reasoning settings and output format."""
    config = dict(body.get("output_config") or {})
    reasoning = Reasoning(effort=config.get("effort"))
    if isinstance(thinking := body.get("thinking"), dict):
        kind = thinking.get("type")
        reasoning.enabled, reasoning.adaptive = kind != "disabled", kind == "adaptive"
        reasoning.budget, reasoning.visibility = thinking.get("budget_tokens"), thinking.get("display")
        reasoning.extra = without(thinking, "budget_tokens", "display", *(("type",) if kind in _THINKING else ()))
        if kind is not None and kind not in _THINKING:
            settings.keep_unknown("thinking.type", kind, *_THINKING)
    if thinking is not None or reasoning.effort is not None:
        settings.reasoning = reasoning
        settings.spelling["reasoning"] = "thinking" if reasoning.effort is None else "output_config.effort"
    field, form = "output_config.format", config.pop("format", None)
    if form is None and body.get("output_format") is not None:  # its name during the beta
        field, form = "output_format", body["output_format"]
        settings.spelling["output_format"] = "output_format"
    if form is not None and form.get("type") == "json_schema":
        extra = without(form, "type", "schema")
        settings.output_format = OutputFormat("json_schema", schema=form.get("schema"), extra=extra)
    elif form is not None:
        settings.keep_unknown(field, form, '{"type": "json_schema", "schema": {…}}')
        if field == "output_format":
            settings.extra["output_format"] = form
        else:
            config["format"] = form
    if rest := without(config, "effort"):
        settings.extra["output_config"] = rest


def _parse_metadata(metadata: Json, settings: Settings) -> None:
    if isinstance(metadata, dict):
        settings.user = metadata.get("user_id")
        settings.metadata = without(metadata, "user_id")


def render_request(conversation: Conversation, model: Model, dialect: Dialect) -> Call:
    seen = Survey(conversation.turns)
    conversation, meant = sent_names(conversation, dialect.tool_name or PASS.tool_name, seen)
    conversation, report, answers = prepared(conversation, NAME, model, dialect, seen)
    settings, same = conversation.settings, conversation.protocol == NAME
    settings, stops = accepted_stops(settings, NAME, dialect, same=same)
    system, messages = render_messages(conversation, model, dialect, report, answers)
    refuse_empty(messages, conversation, NAME)
    body: dict[str, Any] = {"model": model.id} if dialect.model_in_body and model.id else {}
    if system:
        body["system"] = system
    body["messages"] = messages
    if conversation.stream is not None:
        body["stream"] = conversation.stream
    body |= _SAME.rendered(settings)
    if not same:
        body.setdefault("max_tokens", _max_tokens(model))
    _render_tools(body, settings, dialect, same)
    _render_output(body, settings, model, dialect, report, same)
    if same and body.get("thinking", {}).get("type") == "enabled" and _answers_calls_without_thinking(messages):
        body["thinking"] = {"type": "disabled"}
        report.append(dropped("reasoning", NAME, "the thinking before the tool calls being answered is missing"))
    metadata = dict(settings.metadata or {}) if same else {}
    if settings.user is not None:
        metadata["user_id"] = settings.user
    if metadata:
        body["metadata"] = metadata
    extra = {**settings.extra, **(settings.state or {})}
    if (attribution := extra.pop(ATTRIBUTION, None)) is not None:
        rest = [{"type": "text", "text": system}] if isinstance(system, str) else system
        body["system"] = [attribution, *rest] if system else [attribution]
    for name, value in extra.items():
        body[name] = {**body[name], **value} if name == "output_config" and name in body else value
    body |= dialect.body
    omit_unsupported(body, NAME, dialect, report)
    _place_marks(body, dialect, report, same, few=not (same or seen.may_have_marks))
    return Call(
        PASS.paths["generate"], body, stream=bool(conversation.stream), warnings=report, names=meant, stops=stops
    )


def _max_tokens(model: Model) -> int:
    limit = model.max_output_tokens or MAX_TOKENS
    return min(limit, model.max_context_tokens) if model.max_context_tokens else limit


def _render_tools(body: dict[str, Any], settings: Settings, dialect: Dialect, same: bool) -> None:
    tools, choice = settings.tools, settings.tool_choice
    if tools and choice is not None and choice.mode == "allowed":
        allowed = set(choice.names)
        tools = [tool for tool in tools if tool.name in allowed]
    if tools or (same and tools is not None):
        body["tools"] = copied(derived(tools, _render_list, dialect.strict_tools, same))
    if choice is None or not (body.get("tools") or same):
        return
    kinds = {"required": "any", "tool": "tool", "none": "none"}
    if choice.mode == "allowed" and choice.required:
        kinds["allowed"] = "any"
    rendered: Extra = {"type": kinds.get(choice.mode or "", "auto")}
    if choice.mode == "tool":
        rendered["name"] = choice.names[0]
    if choice.parallel is not None and choice.mode != "none":
        rendered["disable_parallel_tool_use"] = not choice.parallel
    extra = choice.extra or {} if same else {}
    body["tool_choice"] = extra["tool_choice"] if "tool_choice" in extra else rendered | extra


def _render_list(tools: list[Tool], strict: bool, same: bool) -> list[Extra]:
    """`strict`: whether `strict` is sent."""
    return [_render_tool(tool, strict, same) for tool in tools]


def _render_tool(tool: Tool, strict: bool, same: bool) -> Extra:
    if tool.kind in ("vendor", "namespace"):
        return tool.raw or {}
    item: Extra = {"name": tool.name}
    if tool.native is not None and same:
        item["type"] = tool.native
    if tool.description is not None:
        item["description"] = tool.description
    item["input_schema"] = tool.schema
    if strict and (tool.strict or (same and tool.strict is not None)):
        item["strict"] = tool.strict
    if tool.cache is not None:
        item["cache_control"] = tool.cache
    return item | (tool.extra or {} if same else {})


def _render_output(
    body: dict[str, Any], settings: Settings, model: Model, dialect: Dialect, report: list[Warned], same: bool
) -> None:
    config: Extra = {}
    if settings.reasoning is not None:
        if same:
            config |= _same_reasoning(body, settings.reasoning)
        else:
            config |= _reasoning(body, settings.reasoning, model, dialect, report)
    form = settings.output_format
    if form is not None and form.kind == "json_schema":
        rendered = {"type": "json_schema", "schema": form.schema} | (form.extra or {} if same else {})
        if settings.spelling.get("output_format"):
            body["output_format"] = rendered
        else:
            config["format"] = rendered
    if config:
        body["output_config"] = config


def _same_reasoning(body: dict[str, Any], reasoning: Reasoning) -> Extra:
    if reasoning.enabled is not None:
        kind = "adaptive" if reasoning.adaptive else "enabled" if reasoning.enabled else "disabled"
        thinking: Extra = {"type": kind}
        if reasoning.budget is not None:
            thinking["budget_tokens"] = reasoning.budget
        if reasoning.visibility is not None:
            thinking["display"] = reasoning.visibility
        body["thinking"] = thinking | (reasoning.extra or {})
    return {"effort": reasoning.effort} if reasoning.effort is not None else {}


def _reasoning(
    body: dict[str, Any], reasoning: Reasoning, model: Model, dialect: Dialect, report: list[Warned]
) -> Extra:
    """Render the reasoning settings of another protocol or of the user. Returns fields for `output_config`."""
    off = reasoning.enabled is False or reasoning.effort in ("none", "off")
    if off:
        if not model.can("always_thinking"):
            body["thinking"] = {"type": "disabled"}
        return {}
    if reasoning.enabled is None and reasoning.effort is None and reasoning.budget is None:
        return {}
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        # Anthropic answers 400 to a forced call with thinking; the call is part of the contract, thinking is tuning
        report.append(dropped("reasoning", NAME, "a forced tool call and thinking exclude each other"))
        if model.can("adaptive_thinking") and not model.can("always_thinking"):
            body["thinking"] = {"type": "disabled"}  # some models think by default, and then end without the call
        return {}
    for name in ("temperature", "top_k"):
        if body.get(name) not in (None, 1, 1.0):
            del body[name]
            report.append(dropped(name, NAME, "it cannot be combined with thinking"))
    if dialect.adaptive_thinking and model.can("adaptive_thinking") and reasoning.budget is None:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        effort = "low" if reasoning.effort == "minimal" else reasoning.effort
        return {"effort": effort} if effort not in (None, "on") else {}
    if _answers_calls_without_thinking(body["messages"]):
        report.append(
            dropped("reasoning", NAME, "there is no thinking of this model before the tool calls being answered")
        )
        return {}
    budget = reasoning.budget or BUDGETS.get(reasoning.effort or "", TOP_BUDGET)
    room = body["max_tokens"] - _LEAST_BUDGET
    if room < _LEAST_BUDGET:
        body["max_tokens"] += _LEAST_BUDGET
        room = _LEAST_BUDGET
        report.append(
            Warned("`max_tokens` is raised: it must allow at least 1,024 thinking tokens", "max_output_tokens")
        )
    body["thinking"] = {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, min(budget, room))}
    return {}


def _answers_calls_without_thinking(messages: list[dict[str, Any]]) -> bool:
    """Whether the last message has results of calls without thinking before them. Anthropic then rejects a thinking
    budget: the calls come from another model, or the client lost the thinking, as Claude Code does."""
    if len(messages) < 2 or not any(block.get("type") == "tool_result" for block in _blocks_of(messages[-1])):
        return False
    own = _blocks_of(messages[-2])
    return bool(own) and own[0].get("type") not in ("thinking", "redacted_thinking")


def _blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _place_marks(body: dict[str, Any], dialect: Dialect, report: list[Warned], same: bool, *, few: bool) -> None:
    """Cache marks as the provider accepts them. `few`: whether the client's turns have none."""
    if not dialect.cache_control:
        _drop_marks(body, report)
        return
    if dialect.cache_marks and not same:
        _mark(body)
    # `_mark` sets one in the system prompt, and one in a message
    if not few or sum("cache_control" in tool for tool in body.get("tools", ())) > _MARKS - 2:
        _limit_marks(body, report)
    if not dialect.cache_ttl:
        _drop_ttl(body)


def _mark(body: dict[str, Any]) -> None:
    """Set cache breakpoints where conversations grow: the last tool, the system prompt, the last block."""
    mark = {"type": "ephemeral"}
    if body.get("tools"):
        body["tools"][-1].setdefault("cache_control", mark)
    if isinstance(body.get("system"), str):
        body["system"] = [{"type": "text", "text": body["system"]}]
    if body.get("system"):
        body["system"][-1].setdefault("cache_control", mark)
    last = body["messages"][-1] if body["messages"] else None
    if last is not None:
        if isinstance(last["content"], str):
            last["content"] = [{"type": "text", "text": last["content"]}]
        if last["content"] and last["content"][-1]["type"] not in ("thinking", "redacted_thinking"):
            last["content"][-1].setdefault("cache_control", mark)


def _marked_blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools and blocks with a cache mark, in order."""
    marked = [tool for tool in body.get("tools", ()) if "cache_control" in tool]
    _find_marked(body.get("system"), marked)
    _find_marked(body["messages"], marked)
    return marked


def _drop_marks(body: dict[str, Any], report: list[Warned]) -> None:
    whole = [body] if "cache_control" in body else []
    marked = [*whole, *_marked_blocks(body)]
    for block in marked:
        del block["cache_control"]
    if marked:
        report.append(dropped("cache_marks", NAME, "the provider rejects them"))


def _limit_marks(body: dict[str, Any], report: list[Warned]) -> None:
    """Keep only the last cache breakpoints: each covers everything before it."""
    marked = _marked_blocks(body)
    for block in marked[:-_MARKS]:
        del block["cache_control"]
    if len(marked) > _MARKS:
        report.append(Warned(f"only the last {_MARKS} of {len(marked)} cache marks are sent", "cache_marks"))


def _find_marked(content: Json, found: list[dict[str, Any]]) -> None:
    """Add the blocks with cache control in some content or messages, including nested ones, in order."""
    if type(content) is not list:
        return
    for item in content:
        if type(item) is dict:
            if "cache_control" in item:
                found.append(item)
            if type(inner := item.get("content")) is list:
                _find_marked(inner, found)


def _drop_ttl(value: Json) -> None:
    """Compatible hosts answer 400 to a `ttl` in cache control."""
    if isinstance(value, list):
        for item in value:
            _drop_ttl(item)
    elif isinstance(value, dict):
        if isinstance(value.get("cache_control"), dict):
            value["cache_control"] = {k: v for k, v in value["cache_control"].items() if k != "ttl"}
        for name in ("system", "messages", "tools", "content"):
            _drop_ttl(value.get(name))
