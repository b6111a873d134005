"""Arguments that Vertex AI streams in pieces: `{jsonPath: "$.recipe.steps[0]", stringValue: "Bo", willContinue: true}`."""

import re
from typing import Any

from modelbay.conversation import Json
from modelbay.errors import MalformedReply
from modelbay.json_text import DEPTH
from modelbay.protocols.google.case import camel

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_LONGEST = 10_000
"""Maximum length of a list: a larger index is a damaged path, and would fill the memory."""


class PartialArguments:
    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self._open: str | None = None
        """The path of a string that continues."""

    def feed(self, pieces: Json) -> None:
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._piece(camel(piece)[0])

    def _piece(self, piece: dict[str, Any]) -> None:
        path = piece.get("jsonPath")
        if not isinstance(path, str):
            return
        steps = [_step(found) for found in _STEP.finditer(path)]
        if len(steps) > DEPTH:
            raise MalformedReply(f"the arguments of a call are nested more than {DEPTH} levels deep")
        if not steps:
            raise MalformedReply(f"the arguments of a call have an invalid path: `{path[:100]}`")
        found = [name for name in ("stringValue", "numberValue", "boolValue", "nullValue") if name in piece]
        value = piece[found[0]] if found and found[0] != "nullValue" else None
        _put(self.value, steps, value, joined=self._open == path and isinstance(value, str))
        self._open = path if piece.get("willContinue") else None


def _step(found: re.Match[str]) -> str | int:
    name, index, single, double = found.groups()
    if index is not None:
        return int(index)
    quoted = single if single is not None else double
    return name if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _put(holder: Any, steps: list[str | int], value: Json, joined: bool) -> None:
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        _make_room(holder, step)
        if following is None:
            before = holder[step]
            holder[step] = before + value if joined and isinstance(before, str) else value
            return
        if not isinstance(holder[step], list if isinstance(following, int) else dict):
            holder[step] = [] if isinstance(following, int) else {}
        holder = holder[step]


def _make_room(holder: Any, step: str | int) -> None:
    if isinstance(holder, dict) and isinstance(step, str):
        holder.setdefault(step, None)
    elif isinstance(holder, list) and isinstance(step, int) and step < _LONGEST:
        holder.extend([None] * (step + 1 - len(holder)))
    else:
        raise MalformedReply("the arguments of a call have a path that contradicts earlier ones")
