"""What an unknown endpoint taught us: a parameter, a role or a form of content that it refuses, or wants otherwise.

A vendor's row says such things beforehand. For an unknown endpoint, a 400 that names the parameter says it once: the call is
sent again without it (or with its other name), and the lesson is remembered by origin and model. By the parameter that is
named, never by the model's name: deployments are called anything. What is learned about messages is in `message_lessons`.
"""

import re
from typing import Any

from msgspec import Struct

from modelbay.errors import BadRequest, MalformedReply
from modelbay.json_text import decode
from modelbay.providers import message_lessons


class Adaptation(Struct, frozen=True, omit_defaults=True):
    """`parameter` is left out, or sent as `rename`; or one of the lessons about messages, which are called as one."""

    parameter: str
    rename: str | None = None
    beside: str | None = None
    """Only where this parameter is sent too."""

    def __str__(self) -> str:
        if self.parameter in message_lessons.LESSONS:
            return message_lessons.LESSONS[self.parameter].words
        if self.beside:
            return f"`{self.parameter}` is left out beside `{self.beside}`"
        return f"`{self.parameter}` is sent as `{self.rename}`" if self.rename else f"`{self.parameter}` is left out"


CONTRACT = frozenset(
    ("model", "messages", "system", "input", "contents", "instructions", "tools", "tool_choice", "functions",
     "function_call", "response_format", "text", "output_config", "stop", "stop_sequences", "n", "stream", "prompt",
     "max_tokens", "max_completion_tokens", "max_output_tokens")
)  # fmt: skip
"""Never left out: the answer would be another one."""
RENAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NAMED = re.compile(
    r"(?:un(?:supported|known|recognized|expected)[\w ]*?(?:parameter|argument|field|keyword)s?(?: supplied)?:? *|"
    r"^(?:parameter|argument|field|property) *|additional properties[^'\"`]*|extra inputs[^'\"`]*|"
    r"does not support (?:the )?(?:parameter )?|unexpected keyword argument *)['\"`]?([a-z][a-z0-9_.]*)['\"`]?",
    re.IGNORECASE,
)
_BOTH = re.compile(r"temperature\W+(?:and|or)\W+top_p\W.*(?:both|only one|not .*together|one of)", re.IGNORECASE)
"""Claude from 4.1 on; "`temperature` and `top_p` cannot both be specified for this model"."""
_REFUSED = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unexpected|not permitted|not allowed|forbidden|deprecated|invalid param",
    re.IGNORECASE,
)


def adaptation(error: BadRequest, body: dict[str, Any]) -> Adaptation | None:
    """How to send `body` so that this error does not come again; None where the error names nothing we may change."""
    if (about_messages := message_lessons.lesson(error, body)) is not None:
        return Adaptation(about_messages)
    if _BOTH.search(error.message) and {"temperature", "top_p"} <= body.keys():
        return Adaptation("top_p", beside="temperature")
    for name in _names(error):
        if name in RENAMES and name in body:
            other = RENAMES[name]
            if other not in body and (other in error.message or error.code == "unsupported_parameter"):
                return Adaptation(name, other)
        if name in body and name not in CONTRACT:
            return Adaptation(name)
    return None


def _names(error: BadRequest) -> list[str]:
    """The parameters an error names as refused: its `param`, FastAPI's `loc`, or its words."""
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
    return names


def adapt(body: dict[str, Any], lessons: list[Adaptation]) -> list[Adaptation]:
    """Changes `body` by what was learnt; returns the lessons that changed it."""
    applied = []
    for lesson in lessons:
        if lesson.parameter in message_lessons.LESSONS:
            if message_lessons.LESSONS[lesson.parameter].apply(body):
                applied.append(lesson)
        elif lesson.parameter in body and (lesson.beside is None or lesson.beside in body):
            value = body.pop(lesson.parameter)
            if lesson.rename:
                body.setdefault(lesson.rename, value)
            applied.append(lesson)
    return applied


_THINKING_LOST = re.compile(r"expected `?(?:thinking|redacted_thinking)\b", re.IGNORECASE)


def stop_thinking(error: BadRequest, body: dict[str, Any]) -> bool:
    """Switches thinking off in `body` where the error says that a call being answered lacks the thinking that led to it.

    The client has lost it. This is true of one conversation, not of the endpoint, so it is no lesson.
    """
    thinking = body.get("thinking")
    if not _THINKING_LOST.search(error.message) or not isinstance(thinking, dict) or thinking.get("type") == "disabled":
        return False
    body["thinking"] = {"type": "disabled"}
    return True
