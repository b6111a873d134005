"""Features that a simulated provider lacks: one table, for every protocol.

A feature is ignored, so that the reply is as if the request did not ask for it, or refused with status 400 (`FEATURE=refuse`). Real
providers do both. A limitation applies to all requests for a reply.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Media, Part, Thinking, ToolCall, ToolChoice, ToolResult
from modelbay.simulator.request_rules import CheckedRequest
from modelbay.simulator.request_rules.request import refuse
from modelbay.usage import Usage

REFUSE = "refuse"
_FORCES = ("required", "tool")


class Limitation(NamedTuple):
    text: str
    """The effect."""
    asked: Callable[[Conversation], str | None]
    """The parameter of a request that asks for the feature, for the error; None if it does not ask for it."""
    ignore: Callable[[Conversation], None] | None = None
    """Removes the feature from a request. None: a request with it can only be refused, or the effect is in the usage."""
    message: str = "`{}` is not supported by this model."
    """The error of a refusal."""
    silent: bool = True
    """Whether a provider can ignore the feature; otherwise it is always refused."""


def _parts(conversation: Conversation) -> list[AnyPart]:
    return [part for turn in conversation.turns for part in turn.parts]


def _tools(conversation: Conversation) -> str | None:
    return "tools" if conversation.settings.tools else None


def _without_tools(conversation: Conversation) -> None:
    conversation.settings.tools = conversation.settings.tool_choice = None


def _forced(conversation: Conversation) -> str | None:
    choice = conversation.settings.tool_choice
    return "tool_choice" if choice is not None and choice.mode in _FORCES else None


def _unforced(conversation: Conversation) -> None:
    choice = conversation.settings.tool_choice
    conversation.settings.tool_choice = ToolChoice(parallel=choice.parallel) if choice is not None else None


def _several_calls(conversation: Conversation) -> str | None:
    """Whether a reply of the model had several calls. In protocols with items, each call is a turn."""
    calls = 0
    for turn in conversation.turns:
        calls = sum(type(part) is ToolCall for part in turn.parts) + (calls if turn.role == "assistant" else 0)
        if calls > 1:
            return "tool_calls"
    return None


def _one_call(conversation: Conversation) -> None:
    choice = conversation.settings.tool_choice or ToolChoice()
    conversation.settings.tool_choice = replace(choice, parallel=False)


def _strict(conversation: Conversation) -> str | None:
    return "strict" if any(tool.strict for tool in conversation.settings.tools or ()) else None


def _schema(conversation: Conversation) -> str | None:
    form = conversation.settings.output_format
    return "response_format" if form is not None and form.kind == "json_schema" else None


def _json(conversation: Conversation) -> str | None:
    form = conversation.settings.output_format
    return "response_format" if form is not None and form.kind == "json" else None


def _without_schema(conversation: Conversation) -> None:
    if _schema(conversation):
        conversation.settings.output_format = None


def _without_json(conversation: Conversation) -> None:
    if _json(conversation):
        conversation.settings.output_format = None


def _images(conversation: Conversation) -> str | None:
    return "image_url" if any(type(part) is Media and part.kind == "image" for part in _parts(conversation)) else None


def _without_images(conversation: Conversation) -> None:
    for turn in conversation.turns:
        turn.parts = [part for part in turn.parts if type(part) is not Media or part.kind != "image"]


def _marks(conversation: Conversation) -> str | None:
    parts: list[Part] = [*_parts(conversation)]
    marked = conversation.settings.cache is not None or any(part.cache is not None for part in parts)
    return "cache_control" if marked else None


def _effort(conversation: Conversation) -> str | None:
    asked = conversation.settings.reasoning
    return "reasoning_effort" if asked is not None and (asked.effort or asked.enabled) else None


def _without_effort(conversation: Conversation) -> None:
    conversation.settings.reasoning = None


def _returned(conversation: Conversation) -> str | None:
    answered = any(type(part) is ToolResult for part in _parts(conversation))
    thought = any(type(part) is Thinking for part in _parts(conversation))
    return "reasoning_content" if answered and thought else None


_STOPS = {"anthropic": "stop_sequences", "google": "generationConfig.stopSequences"}


def _stop(conversation: Conversation) -> str | None:
    return _STOPS.get(conversation.protocol or "", "stop") if conversation.settings.stop else None


def _unseen(conversation: Conversation) -> None:
    """For features that no parameter asks for."""


LIMITATIONS: dict[str, Limitation] = {
    "tools": Limitation("tools", _tools, _without_tools),
    "tool-choice": Limitation("forced tool calls", _forced, _unforced),
    "parallel-tools": Limitation(
        "several tool calls in one reply; refused: in one message of the history",
        _several_calls,
        _one_call,
        "This model only supports single tool-calls at once!",
    ),
    "strict": Limitation("`strict` on a tool; always refused", _strict, silent=False),
    "json-schema": Limitation("a JSON Schema for the output", _schema, _without_schema),
    "json-mode": Limitation("JSON mode", _json, _without_json),
    "images": Limitation("images, also in the token usage", _images, _without_images),
    "thinking": Limitation("a reasoning effort", _effort, _without_effort),
    "thinking-return": Limitation(
        "thinking in the history with tool results; always refused",
        _returned,
        message="Property `{}` is unsupported in assistant messages.",
        silent=False,
    ),
    "cache": Limitation("the prompt cache: the usage has no cached tokens; refused: cache marks", _marks),
    "stop": Limitation(
        "stop sequences; always refused",
        _stop,
        message="Unsupported parameter: '{}' is not supported with this model.",
        silent=False,
    ),
    "usage": Limitation("token counts: the input counts as one token", _unseen),
    "whole": Limitation(
        "replies without streaming; always refused",
        lambda conversation: None if conversation.stream else "stream",
        message="This model only supports streaming: set `{}` to true.",
        silent=False,
    ),
    "streaming": Limitation(
        "streaming; always refused", lambda conversation: "stream" if conversation.stream else None, silent=False
    ),
    "output-limit": Limitation(
        "more output tokens than the model has; always refused",
        _unseen,
        message="max_tokens is too large: {}. This model supports at most {} completion tokens.",
        silent=False,
    ),
}


class Limitations:
    """The features that one provider lacks.

    Raises:
        ValueError: a spec names no feature.
    """

    def __init__(self, specs: Collection[str] = ()) -> None:
        self.ignored: set[str] = set()
        self.refused: set[str] = set()
        for spec in specs:
            name, _, how = spec.partition("=")
            if name not in LIMITATIONS or how not in ("", REFUSE):
                raise ValueError(
                    f"unknown feature {spec!r}: must be one of {', '.join(LIMITATIONS)}, or one with =refuse"
                )
            (self.ignored if LIMITATIONS[name].silent and not how else self.refused).add(name)

    def apply(self, request: CheckedRequest) -> None:
        """Remove ignored features from a request. Raises the provider's error for a refused one."""
        conversation = request.conversation
        for name in self.refused:
            limitation = LIMITATIONS[name]
            if (parameter := limitation.asked(conversation)) is not None:
                refuse(request, limitation.message.format(parameter), parameter)
        if "output-limit" in self.refused:
            _limit_output(request)
        for name in self.ignored:
            limitation = LIMITATIONS[name]
            if limitation.ignore is not None:
                limitation.ignore(conversation)

    def counted(self, usage: Usage) -> Usage:
        """The usage of the input as the provider reports it."""
        if "usage" in self.ignored:
            return Usage(input=1)
        return Usage(input=usage.input_total) if "cache" in self.ignored else usage


def _limit_output(request: CheckedRequest) -> None:
    asked, most = request.conversation.settings.max_output_tokens, request.facts.model.max_output_tokens
    if asked is not None and most is not None and asked > most:
        refuse(request, LIMITATIONS["output-limit"].message.format(asked, most), "max_tokens")
