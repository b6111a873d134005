"""The rules of a protocol for requests that are passed on, and for what lessons change in them: each protocol has a row of them."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from modelbay.conversation import Json
from modelbay.dialect import Dialect
from modelbay.protocols.opaque import MARK


def has_error(name: str, fields: dict[str, Json]) -> bool:
    """Whether an event has a member `error`."""
    return bool(fields.get("error"))


class PassRules(Struct, frozen=True):
    """Rules of a protocol for requests of clients that speak it, which are passed on without translation.

    A place is the names of members from the outside inwards, joined by dots. Members in camelCase may also be written in
    snake_case.
    """

    # --- where a request is sent ---

    paths: dict[str, str]
    """Paths by action: "generate", "stream", "count", "embed" and others. "{model}" is the model's (Gemini)."""
    headers: tuple[str, ...]
    """Headers that a client may send on, in lower case. A name that ends with a hyphen is a prefix."""

    # --- members of a body that are edited ---

    limits: tuple[str, ...]
    """Places of the maximum output tokens; the first is used if a client sends none."""
    budgets: tuple[str, ...] = ()
    """Places of thinking budgets, which must be below the maximum output tokens."""
    turns: str = "messages"
    """The member of a body that has the turns, and with them envelopes."""
    reasoning: str = ""
    """The member of an earlier reply that has its reasoning as a text, which some providers require; "" if there is none."""
    counted: tuple[str, ...] = ()
    """Members of a request for a reply that the action "count" accepts, too."""
    betas: dict[str, tuple[str, ...]] = {}
    """Fields that belong to a preview, by the beginning of its name in the header `anthropic-beta`."""

    # --- the name of the model ---

    in_path: Callable[[str], str] | None = None
    """The path of a model by its ID, if paths contain it."""
    named: Callable[[str], str] | None = None
    """The name of a model in a body by its ID, if they differ."""

    # --- signs of a body that must be translated ---

    envelope: bytes = MARK.encode()
    """The beginning of an envelope with another provider's reasoning state, in a body."""
    damaged: Callable[[bytes], bool] | None = None
    """Whether a body has a part that providers reject, and that only translation leaves out or writes in their form."""
    tool_name: str = r"[a-zA-Z0-9_-]{1,64}"
    """Regular expression for the names of tools; a dialect may have another one."""
    other_tools: re.Pattern[bytes] | None = None
    """Finds a tool in the form of another protocol in the tools of a body."""
    freeform: re.Pattern[bytes] | None = None
    """Finds a freeform tool, a call of one or its result in a body; None if the protocol does not have such tools."""
    compaction: re.Pattern[bytes] | None = None
    """Finds the item that asks for a compaction of the conversation; None if the protocol does not have it."""

    # --- replies ---

    is_plain: Callable[[bytes, Dialect], bool] | None = None
    """Whether a reply is complete, has only text, and has the usual form. All others must be parsed: they may have failed, or have
    reasoning state."""
    is_failure: Callable[[str, dict[str, Json]], bool] = has_error
    """Whether clients of the protocol read an event of a stream, by its name and its data, as a failure. They ignore an event in
    another form, and the reply then looks complete."""
    bare_failure: Callable[[Exception], tuple[int, dict[str, Any]]] | None = None
    """The status and the object of a failure in a stream, if it follows the event about it as plain JSON, in a chunk of its own.
    Kimi Code and Gemini CLI ignore the event and take the reply for complete: their SDK looks for a chunk that is nothing else."""
    names_failure: Callable[[dict[str, Json]], bool] = lambda fields: False
    """Whether a reply or an event says with a finish reason that the model failed. Clients of the protocol know it."""

    def path(self, action: str, model: str) -> str:
        """The path of an action for a model ID. Raises KeyError if the protocol does not have the action."""
        path = self.paths[action]
        return path if self.in_path is None else path.replace("{model}", self.in_path(model))


@cache
def spellings(name: str) -> tuple[str, ...]:
    """The spellings of a member of a place: as it is, and if it is in camelCase, in snake_case."""
    return (name,) if name.islower() else (name, re.sub("(?=[A-Z])", "_", name).lower())
