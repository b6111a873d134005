"""Answers that are not objects, for providers whose output format must be an object: a Gemini client may ask for a list.

The schema becomes that of the only property of an object. The value is taken out of the answer again while it arrives.
"""

import re

from msgspec.structs import replace

from modelbay.conversation import Conversation, Text
from modelbay.events import Event, PartDelta, PartEnded, PartStarted
from modelbay.protocols.schema import SUBSETS, json_schema
from modelbay.protocols.schema.folding import object_root
from modelbay.protocols.schema.words import DEFINITIONS, Schema, rebuilt

WRAPPED = "value"
"""The property that has the answer."""
_HEAD = re.compile(rf'\s*\{{\s*"{WRAPPED}"\s*:\s*')
_PLAIN_HEAD = f'{{"{WRAPPED}":'
"""The head without white space."""
_DEFINED = tuple(f"#/{word}/" for word in DEFINITIONS)


def with_object_output(conversation: Conversation, protocol: str) -> tuple[Conversation, bool]:
    """The conversation with an output format that is an object, if the protocol accepts no other, and whether the answer is inside
    of it."""
    form = conversation.settings.output_format
    if form is None or not isinstance(form.schema, dict) or conversation.protocol == protocol:
        return conversation, False
    if not SUBSETS[protocol].object_output or _is_object(schema := _plain(form.schema)):
        return conversation, False
    settings = replace(conversation.settings, output_format=replace(form, schema=_wrapped(schema)))
    return replace(conversation, settings=settings), True


def _plain(schema: Schema) -> Schema:
    kind = schema.get("type")
    return json_schema(schema) if isinstance(kind, str) and kind.isupper() else schema


def _is_object(schema: Schema) -> bool:
    root, lost = object_root(schema)
    return "type" not in lost and (not lost or "properties" in root)


def _wrapped(schema: Schema) -> Schema:
    definitions = {word: schema[word] for word in DEFINITIONS if word in schema}
    inner = {word: value for word, value in schema.items() if word not in definitions}
    found: Schema = {"type": "object", "properties": {WRAPPED: inner}, "required": [WRAPPED]}
    return _moved({**found, "additionalProperties": False, **definitions})


def _moved(node: Schema) -> Schema:
    """The schema with its references to its own places, except definitions, which stay where they were."""
    ref = node.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith("#/")) and not ref.startswith(_DEFINED):
        node = {**node, "$ref": f"#/properties/{WRAPPED}{ref[1:]}"}
    return rebuilt(node, lambda child: _moved(child) if isinstance(child, dict) else child)


class _Inside:
    """The text of an answer that arrives inside of an object."""

    __slots__ = ("_begun", "_held", "written")

    def __init__(self) -> None:
        self._begun = False
        self._held = ""
        """The text that may be around the value."""
        self.written = 0
        """Number of characters of the value so far."""

    def feed(self, text: str) -> str:
        """The next piece of the value."""
        self._held += text
        if not self._begun:
            head = _HEAD.match(self._held)
            start = head.end() if head is not None else 0
            if start == len(self._held) or (head is None and _PLAIN_HEAD.startswith("".join(self._held.split()))):
                return ""
            self._held, self._begun = self._held[start:], True
        piece = _without_end(self._held)
        self._held = self._held[len(piece) :]
        self.written += len(piece)
        return piece


def _without_end(text: str) -> str:
    """The text without what may be the end of the object."""
    text = text.rstrip()
    return text[:-1].rstrip() if text.endswith("}") else text


def _value_in(text: str) -> str:
    """The value in a whole answer. A model may ignore the schema: then it is the answer itself."""
    head = _HEAD.match(text)
    return text if head is None else _without_end(text[head.end() :])


class Unwrapper:
    """Takes the answers of a reply out of their objects."""

    def __init__(self) -> None:
        self._texts: dict[int, _Inside] = {}

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if type(event) is PartStarted and type(event.part) is Text:
                self._texts[event.key] = _Inside()
                out.append(event)
            elif type(event) is PartDelta and (inside := self._texts.get(event.key)) is not None:
                piece = inside.feed(event.text)
                if piece or event.logprobs:
                    out.append(replace(event, text=piece))
            elif type(event) is PartEnded and (inside := self._texts.pop(event.key, None)) is not None:
                out += _ended(event, inside)
            else:
                out.append(event)
        return out


def _ended(event: PartEnded, inside: _Inside) -> list[Event]:
    if type(event.part) is not Text:
        return [event]
    value = _value_in(event.part.text)
    rest = value[inside.written :]
    end = PartEnded(event.key, replace(event.part, text=value))
    return [PartDelta(event.key, rest), end] if rest else [end]
