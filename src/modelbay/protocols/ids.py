"""Tool call ids that a target accepts.

Every vendor has its own rule: Mistral wants nine alphanumerics, Anthropic `[a-zA-Z0-9_-]+`, Kimi counts inside the id and
must get its own back. An id that fits is kept; another is replaced by one made from it, so that a stateless replay of
the same history gives the same ids again. Gemini's older models give none: a call then gets an id from its place, and
a result without one answers the first open call of its name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from modelbay.conversation import ToolCall, ToolResult, Turn


def call_ids(turns: Iterable[Turn], pattern: str | None = None) -> dict[int, str]:
    """The id to write for every tool call and tool result, by the `id()` of the part."""
    ids: dict[int, str] = {}
    unanswered: list[tuple[str, str]] = []
    count = 0
    for turn in turns:
        for part in turn.parts:
            if type(part) is ToolCall:
                count += 1
                written = fit(part.id or f"call_{count}", pattern)
                if part.id is None:
                    unanswered.append((part.name, written))
                ids[id(part)] = written
            elif type(part) is ToolResult:
                ids[id(part)] = fit(part.call_id, pattern) if part.call_id else _answered(part, unanswered)
    return ids


def _answered(result: ToolResult, unanswered: list[tuple[str, str]]) -> str:
    for index, (name, written) in enumerate(unanswered):
        if result.name is None or result.name == name:
            del unanswered[index]
            return written
    return "call_0"


def made_id(prefix: str, reply: str | None, index: int) -> str:
    """An id for a call that its provider gave none, to be written to a client: the same for the same reply, and no other
    in the conversation, as Anthropic's clients demand."""
    return prefix + sha256(f"{reply}/{index}".encode()).hexdigest()[:24]


@lru_cache(maxsize=4096)
def fit(call_id: str, pattern: str | None) -> str:
    """The id itself where it matches the whole pattern, else one that does."""
    if pattern is None or re.fullmatch(pattern, call_id):
        return call_id
    digest = sha256(call_id.encode()).hexdigest()
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)[:40]
    for candidate in (f"{clean}_{digest[:8]}", f"call_{digest[:24]}", digest[:9]):
        if re.fullmatch(pattern, candidate):
            return candidate
    return call_id
