"""Which call a tool result answers, and the id that both are written with.

Ids are not reliable. Gemini's older models give none, and google-genai's automatic function calling sends results without
one even where the call had one. Some servers count from zero in every reply, so that an id returns in later steps; some
clients invent an id for a result whose call had none. Here a result finds its call by id, else by name and order.

What a target accepts differs too: Mistral wants nine alphanumerics, Anthropic `[a-zA-Z0-9_-]+`, Kimi counts inside the id
and must get its own back. An id that fits is kept; another is replaced by one made from it, so that a stateless replay of
the same history gives the same ids again.
"""

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from modelbay.conversation import ToolCall, ToolResult, Turn


def answered_calls(turns: Iterable[Turn]) -> dict[int, ToolCall]:
    """The call that each result answers, by the `id()` of the result. A result that answers no call is not in it.

    Two results of one call are both in it.
    """
    steps = _Steps()
    for turn in turns:
        for part in turn.parts:
            if type(part) is ToolCall:
                steps.call(part)
            elif type(part) is ToolResult:
                steps.result(part)
            elif turn.role == "user":
                steps.pause()
    steps.close()
    return steps.answers


class _Step:
    """The calls that a model made before it saw a result or heard from the user, as far as they have no result."""

    def __init__(self) -> None:
        self.open: dict[int, ToolCall] = {}
        self._new: list[ToolCall] = []
        """The calls that are not in a queue yet: few results are looked for by name."""
        self._queues: dict[tuple[str | None, bool], deque[ToolCall]] = {}
        """Calls in order: by name, and of any name; all of them, and those without an id."""

    def add(self, call: ToolCall) -> None:
        self.open[id(call)] = call
        self._new.append(call)

    def first(self, name: str | None, *, without_id: bool = False) -> ToolCall | None:
        """The first open call; `name` is None for a call of any name."""
        for call in self._new:
            for word in (call.name, None):
                for bare in (False, True) if call.id is None else (False,):
                    self._queues.setdefault((word, bare), deque()).append(call)
        self._new.clear()
        queue = self._queues.get((name, without_id))
        return _first_open(queue, self.open) if queue else None


def _first_open(queue: deque[ToolCall], still_open: dict[int, ToolCall]) -> ToolCall | None:
    while queue and id(queue[0]) not in still_open:
        queue.popleft()
    return queue[0] if queue else None


class _Steps:
    """Reads a history step by step."""

    def __init__(self) -> None:
        self.answers: dict[int, ToolCall] = {}
        self._steps: list[_Step] = [_Step()]
        self._by_id: dict[str, tuple[_Step, deque[ToolCall] | None, ToolCall]] = {}
        """The latest step with a call of each id, the open calls of this id in it if it has several, and the last of them."""
        self._waiting: list[ToolResult] = []
        """The results of the current step that no id leads to a call."""
        self._answering = False
        """Whether anything has come since the last call that ends its step."""

    def call(self, call: ToolCall) -> None:
        if self._answering:
            self.close()
            if not self._steps[-1].open:
                self._steps.pop()
            self._steps.append(_Step())
            self._answering = False
        step = self._steps[-1]
        step.add(call)
        if call.id is not None:
            known, same = self._by_id.get(call.id), None
            if known is not None and known[0] is step:
                same = known[1] or deque((known[2],))
                same.append(call)
            self._by_id[call.id] = step, same, call

    def result(self, result: ToolResult) -> None:
        self._answering = True
        found = self._by_id.get(result.call_id) if result.call_id else None
        if found is None:
            self._waiting.append(result)
            return
        step, same, last = found
        self._answer(result, step, (_first_open(same, step.open) if same else None) or last)

    def pause(self) -> None:
        """The user says something."""
        self._answering = True

    def close(self) -> None:
        """Matches the results that no id matched: the calls of the current step come first, then older ones.

        A result with an id that no call has answers one that had no id, or one whose id the client replaced. The latter
        is assumed only where the step has as many results as calls left.
        """
        if not self._waiting:
            return
        step = self._steps[-1]
        replaced = len(self._waiting) == len(step.open)
        for result in self._waiting:
            if result.call_id:
                call = step.first(result.name, without_id=True) or (step.first(result.name) if replaced else None)
                if call is not None:
                    self._answer(result, step, call)
            else:
                self._answer_in_order(result)
        self._waiting = []

    def _answer_in_order(self, result: ToolResult) -> None:
        while len(self._steps) > 1 and not self._steps[-1].open:
            self._steps.pop()
        for step in reversed(self._steps):
            call = step.first(result.name)
            if call is not None:
                self._answer(result, step, call)
                return

    def _answer(self, result: ToolResult, step: _Step, call: ToolCall) -> None:
        self.answers[id(result)] = call
        step.open.pop(id(call), None)


def call_ids(
    turns: list[Turn], answers: dict[int, ToolCall], pattern: str | None = None, *, verbatim: bool = False
) -> dict[int, str]:
    """The id to write for every tool call and tool result, by the `id()` of the part. `answers`: their `answered_calls`.

    A call has the id of no other call, unless `verbatim`: Anthropic and Responses refuse an id that returns, while a
    client of the target's own protocol keeps what it said.
    """
    ids: dict[int, str] = {}
    taken: set[str] = set()
    calls = results = 0
    for turn in turns:
        for part in turn.parts:
            if type(part) is ToolCall:
                calls += 1
                written = fit(part.id or f"call_{calls}", pattern)
                if written in taken and not (verbatim and part.id):
                    written = _another(part.id or written, pattern, taken, calls)
                taken.add(written)
                ids[id(part)] = written
            elif type(part) is ToolResult:
                results += 1
                call = answers.get(id(part))
                if call is not None:
                    ids[id(part)] = ids[id(call)]
                    continue
                written = fit(part.call_id or f"result_{results}", pattern)
                if written in taken and not (verbatim and part.call_id):
                    written = _another(written, pattern, taken, results)
                ids[id(part)] = written
    return ids


def _another(call_id: str, pattern: str | None, taken: set[str], number: int) -> str:
    """An id made from one that is taken; the same for the same history."""
    while (written := fit(f"{call_id}_{number}", pattern)) in taken:
        number += 1
    return written


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
