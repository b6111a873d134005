"""Gemini requests: parsing a client's call, and rendering a provider's call. The path contains the model."""

from typing import Any
from urllib.parse import unquote

from modelbay.conversation import Conversation, Settings
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.protocols.codec import Call
from modelbay.protocols.dispositions import omit_unsupported
from modelbay.protocols.empty_requests import refuse_empty, without_messages
from modelbay.protocols.google.case import camel, written
from modelbay.protocols.google.contents import KNOWN_ROLES, SYSTEM, parse_contents, parse_system, render_contents
from modelbay.protocols.google.generation import parse_generation, render_generation
from modelbay.protocols.google.parts import NAME, string
from modelbay.protocols.google.pass_rules import PASS
from modelbay.protocols.google.tools import parse_tool_config, parse_tools, render_tool_config, render_tools
from modelbay.protocols.names import sent_names
from modelbay.protocols.preparation import prepared
from modelbay.protocols.stopping import accepted_stops
from modelbay.protocols.survey import Survey

FRAMING = "stream"
"""Key in `spelling` for the form of the stream that a client expects: "array" without `alt=sse`."""

_TOP = "."
"""Key in `spelling` for top-level names that were written in snake_case."""
_EMPTY = "empty."
"""Key in `spelling` for objects that were present but empty."""
_TAKEN = (
    "contents", SYSTEM, "tools", "toolConfig", "generationConfig", "cachedContent", "labels", "serviceTier", "model",
)  # fmt: skip


def parse_request(call: Call) -> Conversation:
    body, snake = camel(call.body)
    if isinstance(inner := body.get("generateContentRequest"), dict):  # a request for a token count
        body, snake = camel(inner)
    if not body.get("contents"):
        raise without_messages(NAME)
    settings = Settings()
    if snake:
        settings.spelling[_TOP] = " ".join(snake)
    if empty := [name for name in ("generationConfig", "toolConfig") if body.get(name) == {}]:
        settings.spelling[_EMPTY] = " ".join(empty)
    turns = parse_contents(body["contents"])
    for role in {turn.native for turn in turns} - KNOWN_ROLES:
        settings.keep_unknown("role", role, "user", "model")
    if (system := parse_system(body.get(SYSTEM))) is not None:
        turns.insert(0, system)
    parse_tools(body.get("tools"), settings)
    parse_tool_config(body.get("toolConfig"), settings)
    parse_generation(body.get("generationConfig"), settings)
    settings.metadata = body.get("labels")
    settings.service_tier = body.get("serviceTier")
    if body.get("cachedContent") is not None:
        settings.state = {"cachedContent": body["cachedContent"]}
    settings.extra |= {name: value for name, value in body.items() if name not in _TAKEN and value is not None}
    model, stream, framing = parse_path(call.path)
    if framing is not None:
        settings.spelling[FRAMING] = framing
    return Conversation(
        turns=turns,
        settings=settings,
        protocol=NAME,
        model=model or string(body.get("model")),
        stream=stream,
    )


def parse_path(path: str) -> tuple[str | None, bool | None, str | None]:
    """The model, whether it streams, and "array" if it streams JSON instead of events."""
    place, _, query = path.partition("?")
    name, _, method = place.rpartition(":")
    if not name:
        return None, None, None
    before, found, model = name.partition("/models/")
    if not found:  # a tuned model's name is its path
        model = before[before.index("/tunedModels/") + 1 :] if "/tunedModels/" in before else before.rpartition("/")[2]
    stream = method.startswith("stream")
    return unquote(model), stream, "array" if stream and "alt=sse" not in unquote(query) else None


def render_request(conversation: Conversation, model: Model, dialect: Dialect) -> Call:
    seen = Survey(conversation.turns)
    conversation, meant = sent_names(conversation, dialect.tool_name or PASS.tool_name, seen)
    conversation, report, answers = prepared(conversation, NAME, model, dialect, seen)
    settings, same = conversation.settings, conversation.protocol == NAME
    settings, stops = accepted_stops(settings, NAME, dialect, same=same)
    system, contents = render_contents(conversation, model, dialect, report, answers)
    refuse_empty(contents, conversation, NAME)
    body: dict[str, Any] = {} if system is None else {SYSTEM: system}
    body["contents"] = contents
    # an empty list of tools, and a tool choice without tools, are rejected
    if settings.tools and (tools := render_tools(settings, dialect, same)):
        body["tools"] = tools
    if (settings.tools or same) and (config := render_tool_config(settings)):
        body["toolConfig"] = config
    if generation := render_generation(settings, model, dialect, report, same):
        body["generationConfig"] = generation
    for name in settings.spelling.get(_EMPTY, "").split():
        body.setdefault(name, {})
    if settings.metadata is not None:
        body["labels"] = settings.metadata
    if settings.service_tier is not None:
        body["serviceTier"] = settings.service_tier
    body |= settings.state or {}
    body |= {name: value for name, value in settings.extra.items() if "." not in name}
    body |= dialect.body
    for fields in (body, body.get("generationConfig", {})):
        omit_unsupported(fields, NAME, dialect, report)
    stream = bool(conversation.stream)
    path = PASS.path("stream" if stream else "generate", model.id)
    body = written(body, settings.spelling.get(_TOP, "").split())
    return Call(path, body, stream=stream, warnings=report, names=meant, stops=stops)
