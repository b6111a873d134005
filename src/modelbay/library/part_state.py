"""Parts in the conversations of other libraries: the state that their form of a part has no field for, as plain JSON."""

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Extra, Refusal, Text, Thinking, ToolCall
from modelbay.conversion import convert, exact
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode

TAG = "type"
SHOWN: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "refusal": ("text",),
    "thinking": ("texts",),
    "tool_call": ("name", "arguments", "id"),
}
"""The fields of a part that other libraries have, too, by its type. Parts of other types are kept whole."""
UNMARKED = ("text", "tool_call")
"""Types that a part has without state, so that their origin alone need not be kept."""


def state_of(part: AnyPart) -> Extra | None:
    """The state of a part, as JSON, for a program that keeps the content of the conversation in a form of its own; None if there is
    none. `with_state` restores it.

    The content is the text of `Text`, `Refusal` and `Thinking`, and name, ID and arguments of `ToolCall`. The state is the rest:
    signature, origin, IDs, citations, log probabilities, and arguments that another JSON encoder would write differently, which
    breaks prompt caches. Parts of other types have no content, and their state is the whole part.
    """
    fields: Extra = msgspec.to_builtins(part, enc_hook=exact)
    kind = fields[TAG]
    shown = SHOWN.get(kind, ())
    state = {name: value for name, value in fields.items() if name not in shown}
    if isinstance(part, Thinking) and len(part.texts) > 1:
        state["texts"] = part.texts
    elif isinstance(part, ToolCall) and part.arguments and not _is_usual(part.arguments):
        state["arguments"] = part.arguments
    return None if kind in UNMARKED and state.keys() <= {TAG, "origin"} else state


def with_state(part: AnyPart, state: Extra | None) -> AnyPart:
    """A part with the state that `state_of` returned for it. Its content is that of `part`, which the program may have changed.
    A `Text` becomes a part of the type that the state belongs to.

    Raises:
        ValueError: `state` is not from `state_of`, or it is that of a call and `part` is a text, or the reverse.
    """
    if state is None:
        return part
    try:
        found = cast(AnyPart, convert(state, AnyPart))
    except msgspec.ValidationError as error:
        raise ValueError(f"not the state of a part: {error}") from None
    match found, part:
        case Text() | Refusal(), Text() | Refusal() | Thinking():
            return replace(found, text=part.text)
        case Thinking(), Text() | Refusal() | Thinking():
            return found if found.text == part.text else replace(found, texts=[part.text] if part.text else [])
        case ToolCall(), ToolCall():
            same = found.arguments and _value(found.arguments) == _value(part.arguments)
            arguments = found.arguments if same else part.arguments
            return replace(found, name=part.name, id=part.id, arguments=arguments)
        case ((Text() | Refusal() | Thinking() | ToolCall()), _):
            raise ValueError(f"the state of a {state[TAG]} for a {type(part).__name__}")
    return found


def _is_usual(arguments: str) -> bool:
    """Whether a JSON encoder would write these arguments in the same way."""
    value = _value(arguments)
    return value is not arguments and encode(value).decode() == arguments


def _value(arguments: str) -> Any:
    try:
        return decode(arguments or "{}")
    except MalformedReply:
        return arguments
