"""Answers as values of a type that the program declares: a dataclass, a TypedDict, or a class of msgspec or pydantic."""

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from modelbay.conversation import OutputFormat
from modelbay.conversion import TypeForm
from modelbay.errors import MalformedReply
from modelbay.events import Reply
from modelbay.json_text import decode, encode, members, unfenced
from modelbay.protocols.schema.words import rebuilt
from modelbay.protocols.wrapped_answers import WRAPPED


class OutputType:
    """A type of answers.

    Raises:
        TypeError: the type, or one inside it, has no form in JSON.
    """

    def __init__(self, type: Any) -> None:
        try:
            form = TypeForm(type)
        except TypeError as error:
            raise TypeError(f"output: {error}") from None
        self._read = form.read
        self.name = re.sub(r"\W+", "_", getattr(type, "__name__", None) or str(type)).strip("_")[:64]
        self._wraps = form.schema.get("type") != "object" or "properties" not in form.schema
        schema = form.schema
        if self._wraps:
            definitions = schema.pop("$defs", None)
            schema = {"type": "object", "properties": {WRAPPED: schema}}
            schema |= {"$defs": definitions} if definitions else {}
            self._read = TypeForm(dict[str, type]).read
        self.format = OutputFormat("json_schema", schema=_closed(schema), name=self.name, strict=True)
        """The format that is asked for: an object with every field, which vendors can guarantee."""

    def value(self, reply: Reply) -> Any:
        """The answer as a value of the type.

        Raises:
            MalformedReply: it is not; `reply` of the error is the reply.
        """
        try:
            found = self._read(_written(reply))
            return found[WRAPPED] if self._wraps else found
        except (ValueError, KeyError) as error:
            raise _failure(reply, self.name, error) from None


def object_text(reply: Reply) -> bytes:
    """The answer as a JSON object, as the model wrote it, without a code fence around it. Near-JSON is written again.

    Raises:
        MalformedReply: it is not an object; `reply` of the error is the reply.
    """
    text = _written(reply).strip()
    try:
        members(text)
    except MalformedReply:
        pass
    else:
        return text
    try:
        value = decode(text)
    except MalformedReply as error:
        raise _failure(reply, "JSON", error) from None
    if not isinstance(value, dict):
        raise _failure(reply, "a JSON object", MalformedReply(f"it is of type {type(value).__name__}"))
    return encode(value)


def _written(reply: Reply) -> bytes:
    return unfenced(reply.text.strip().encode())


def _failure(reply: Reply, wanted: str, error: Exception) -> MalformedReply:
    if reply.refusal:
        reason, hint = f"the model refused: {reply.refusal}", "rephrase the prompt, or use another model"
    elif reply.finish is not None and reply.finish.reason == "length":
        reason, hint = "it was cut off at the maximum output tokens", "increase `max_tokens`"
    elif not reply.text.strip():
        reason, hint = "it is empty", "try again, or use another model"
    else:
        name = "" if isinstance(error, MalformedReply) else f"{type(error).__name__}: "
        reason, hint = f"{name}{error}", "describe the fields more clearly, or use another model"
    failure = MalformedReply(f"the answer is not {wanted}: {reason}", hint=hint)
    failure.reply = reply
    return failure


def output_type(type: Any) -> OutputType:
    """The `OutputType` of a type. Making one takes longer than reading an answer. Raises what `OutputType` raises."""
    try:
        return _made(type)
    except TypeError:
        if isinstance(type, Hashable):
            raise
        raise TypeError(f"output must be a type, not a value of {type.__class__.__qualname__}{_AS_SCHEMA}") from None


_AS_SCHEMA = ': for a JSON Schema, pass output_format=OutputFormat("json_schema", schema={…})'
_made = lru_cache(maxsize=256)(OutputType)


def _closed(schema: Any) -> Any:
    """The schema with every field of each object required, and no others allowed. Sets need no `uniqueItems`, which OpenAI does not
    guarantee."""
    if not isinstance(schema, dict):
        return schema
    found = rebuilt({word: value for word, value in schema.items() if word not in ("default", "uniqueItems")}, _closed)
    if "properties" in found:
        found = {**found, "required": list(found["properties"]), "additionalProperties": False}
    return found
