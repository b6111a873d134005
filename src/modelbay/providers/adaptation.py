"""Adapts requests to unknown endpoints, which reject some parameters, roles or forms of content.

A vendor's preset lists these in advance. For an unknown endpoint, a 400 that names a parameter is the source: the call
is sent again without the parameter (or with its other name), and this is remembered by origin, model and protocol, because
a server that speaks several may know a parameter in one of them only. The parameter named in the error decides, never the
model's name: deployments have arbitrary names. Lessons about messages are in `message_lessons`, those about maximum output
tokens in `output_limits`.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from modelbay.errors import BadRequest, MalformedReply
from modelbay.json_text import decode
from modelbay.protocols.defaults import changes_nothing
from modelbay.protocols.pass_rules import PassRules
from modelbay.providers import message_lessons, output_limits, unknown_fields


class Adaptation(Struct, frozen=True, omit_defaults=True):
    """Omits `parameter`, sends it as `rename` or limits it to `most`; or the name of a lesson about messages, the place of a field
    inside a parameter, or a preview (`unknown_fields`)."""

    parameter: str
    rename: str | None = None
    beside: str | None = None
    """Applies only if this parameter is sent too."""
    most: int | None = None
    """Largest value, of `OUTPUT_TOKENS`."""
    protocol: str = ""
    """Applies to requests in this protocol only. Default: to all, as a limit of the model does."""

    @property
    def drops(self) -> bool:
        """Whether the parameter is lost."""
        changes = self.rename is not None or self.most is not None or self.parameter in message_lessons.LESSONS
        return not changes and not self.cuts

    @property
    def cuts(self) -> bool:
        """Whether it omits stop sequences, at which the answer is cut instead."""
        return self.parameter in STOPS

    @property
    def inside(self) -> bool:
        """Whether it changes something inside parameters."""
        return self.parameter in message_lessons.LESSONS or "." in self.place

    @property
    def place(self) -> str:
        """The place of the field that it omits; "" for other lessons."""
        return "" if self.preview or self.parameter in message_lessons.LESSONS else self.parameter

    @property
    def preview(self) -> str:
        """The preview that it omits; "" for other lessons."""
        name = self.parameter
        return name.removeprefix(unknown_fields.PREVIEW) if name.startswith(unknown_fields.PREVIEW) else ""

    def __str__(self) -> str:
        if self.parameter in message_lessons.LESSONS:
            return message_lessons.LESSONS[self.parameter].words
        if self.most is not None:
            return f"`{self.parameter}` is limited to {self.most:,}"
        if self.cuts:
            return f"`{self.parameter}` is not sent, and the answer is cut at its sequences"
        if self.beside:
            return f"`{self.parameter}` is omitted when `{self.beside}` is set"
        return f"`{self.parameter}` is sent as `{self.rename}`" if self.rename else f"`{self.parameter}` is omitted"


OUTPUT_TOKENS = "max_output_tokens"
"""The parameter of a lesson about maximum output tokens, which have other names in some protocols."""
CONTRACT = frozenset(
    ("model", "messages", "system", "input", "contents", "generationConfig", "instructions", "tools", "tool_choice",
     "functions", "function_call", "response_format", "text", "output_config", "n", "stream", "prompt", "max_tokens",
     "max_completion_tokens", "max_output_tokens")
)  # fmt: skip
"""Never omitted, as this would change the meaning of the request."""
STOPS = frozenset(("stop", "stop_sequences"))
"""Parameters with stop sequences."""
RENAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NAMED = re.compile(
    r"(?:^argument not supported on this model: *|"
    r"un(?:supported|known|recognized|expected)[\w ]*?(?:parameter|argument|field|keyword)s?(?: supplied)?:? *|"
    r"^(?:parameter|argument|field|property) *|additional properties[^'\"`]*|extra inputs[^'\"`]*|"
    r"does not support (?:the )?(?:parameter |parameters: [\[{])?|unexpected keyword argument *)['\"`]?([a-z][a-z0-9_.]*)['\"`]?",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"(?:^|\n)([a-z][a-z0-9_]*): extra inputs are not permitted", re.IGNORECASE)
"""A parameter as Anthropic names it. Places inside one are in `unknown_fields`."""
_BOTH = re.compile(r"temperature\W+(?:and|or)\W+top_p\W.*(?:both|only one|not .*together|one of)", re.IGNORECASE)
"""Claude 4.1 and later: "`temperature` and `top_p` cannot both be specified for this model"."""
_REFUSED = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unexpected|not permitted|not allowed|forbidden|deprecated|invalid param",
    re.IGNORECASE,
)


def adaptation(error: BadRequest, body: dict[str, Any], rules: PassRules) -> Adaptation | None:
    """How to change `body` so that this error does not occur again; None if the error names nothing that may be
    changed. `rules`: those of the body's protocol."""
    if (most := output_limits.reported_limit(error, body, rules)) is not None:
        return Adaptation(OUTPUT_TOKENS, most=most)
    if (about_messages := message_lessons.lesson(error, body, rules)) is not None:
        return Adaptation(about_messages)
    if _BOTH.search(error.message) and {"temperature", "top_p"} <= body.keys():
        return Adaptation("top_p", beside="temperature")
    for name in _names(error):
        if name in RENAMES and name in body:
            other = RENAMES[name]
            if other not in body and (other in error.message or error.code == "unsupported_parameter"):
                return Adaptation(name, other)
        if name in STOPS and body.get("n") not in (None, 1):
            continue  # several answers cannot be cut
        if name in body and name not in CONTRACT:
            return Adaptation(name)
    place = unknown_fields.unknown_place(error.message, body)
    return None if place is None else Adaptation(place)


def preview_lessons(
    error: BadRequest, headers: Mapping[str, str], body: dict[str, Any], rules: PassRules
) -> list[Adaptation]:
    """How to change a call whose previews an error reports as unknown: without them, and without their fields."""
    unknown = unknown_fields.unknown_previews(error.message, headers)
    fields = [
        field for name in unknown for beta, found in rules.betas.items() if name.startswith(beta) for field in found
    ]
    present = [field for field in fields if field in body and field not in CONTRACT]
    return [*(Adaptation(unknown_fields.PREVIEW + name) for name in unknown), *map(Adaptation, dict.fromkeys(present))]


def _names(error: BadRequest) -> list[str]:
    """The parameters that an error reports as rejected: from `param`, FastAPI's `loc` or the message."""
    if not _REFUSED.search(f"{error.message} {error.code}"):
        return []
    names = [error.param.partition(".")[0]] if error.param else []
    try:
        answer = decode(error.body)
    except MalformedReply:
        answer = None
    detail = answer.get("detail") if isinstance(answer, dict) else None
    for item in detail if isinstance(detail, list) else ():  # FastAPI (vLLM, Mistral's 422)
        if isinstance(item, dict) and isinstance(item.get("loc"), list) and len(item["loc"]) > 1:
            names.append(str(item["loc"][1]))
    names += [found.group(1).partition(".")[0] for found in _NAMED.finditer(error.message)]
    names += _UNKNOWN.findall(error.message)
    return names


def stops_to_cut(body: Mapping[str, Any], lessons: list[Adaptation]) -> list[str]:
    """The stop sequences in `body` that the lessons omit: the answer must be cut at them."""
    if not lessons:  # of most targets
        return []
    given = [body.get(lesson.parameter) for lesson in lessons if lesson.cuts]
    stops = [stop for value in given for stop in (value if isinstance(value, list) else [value])]
    return [stop for stop in stops if isinstance(stop, str) and stop]


def adapt(body: dict[str, Any], lessons: list[Adaptation], rules: PassRules) -> list[Adaptation]:
    """Change `body` by the given lessons. Returns those that changed its meaning. `rules`: those of the body's protocol."""
    applied = []
    for lesson in lessons:
        if lesson.most is not None:
            if output_limits.reduce_output(body, lesson.most, rules):
                applied.append(lesson)
        elif lesson.parameter in message_lessons.LESSONS:
            if message_lessons.LESSONS[lesson.parameter].apply(body, rules):
                applied.append(lesson)
        elif "." in lesson.place:
            if unknown_fields.remove(body, lesson.place):
                applied.append(lesson)
        elif lesson.parameter in body and (lesson.beside is None or lesson.beside in body):
            value = body.pop(lesson.parameter)
            if lesson.rename:
                body.setdefault(lesson.rename, value)
            if not lesson.cuts and not (lesson.drops and changes_nothing(lesson.parameter, value)):
                applied.append(lesson)
    return applied


_THINKING_LOST = re.compile(r"expected `?(?:thinking|redacted_thinking)\b", re.IGNORECASE)


def stop_thinking(error: BadRequest, body: dict[str, Any]) -> bool:
    """Disable thinking in `body` if the error says that the thinking before a tool call is missing. Returns whether it
    did.

    The client has lost it. This concerns one conversation, not the endpoint, so it is not remembered.
    """
    thinking = body.get("thinking")
    if not _THINKING_LOST.search(error.message) or not isinstance(thinking, dict) or thinking.get("type") == "disabled":
        return False
    body["thinking"] = {"type": "disabled"}
    return True
