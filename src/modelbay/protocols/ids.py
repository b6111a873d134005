"""Matches tool results to their calls, and chooses the IDs that both are sent with.

IDs are not reliable. Gemini's older models send none, and google-genai's automatic function calling sends results
without one even if the call had one. Some servers count from zero in every reply, so that an ID repeats in later steps;
some clients invent an ID for a result whose call had none. A result is matched to its call by ID, else by name and
order.

Targets accept different IDs: Mistral requires nine alphanumerics, Anthropic `[a-zA-Z0-9_-]+`, and Kimi counts inside
the ID and needs its own back. A valid ID is kept; an invalid one is replaced by an ID derived from it, so that the same
history always gets the same IDs.
"""

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from modelbay.conversation import ToolCall, ToolResult, Turn


def answered_calls(turns: Iterable[Turn]) -> dict[int, ToolCall]:
    """The call that each result answers, by the `id()` of the result. Results without a call are missing.

    Two results of one call are both included.
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
    """The calls that a model made before it saw a result or a user message, as far as they have no result."""

    def __init__(self) -> None:
        self.open: dict[int, ToolCall] = {}
        self._new: list[ToolCall] = []
        """Calls that are not in a queue yet: few results are looked up by name."""
        self._queues: dict[tuple[str | None, bool], deque[ToolCall]] = {}
        """Calls in order, by name (None: any name) and by whether only calls without an ID are included."""

    def add(self, call: ToolCall) -> None:
        self.open[id(call)] = call
        self._new.append(call)

    def first(self, name: str | None, *, without_id: bool = False) -> ToolCall | None:
        """The first open call; `name` None means a call of any name."""
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
        """For each ID: the latest step with a call of this ID, its open calls of this ID if there are several, and the
        last of them."""
        self._waiting: list[ToolResult] = []
        """Results of the current step without a call of the same ID."""
        self._answering = False
        """Whether anything that ends the step has come since the last call."""

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
        """Note a user message."""
        self._answering = True

    def close(self) -> None:
        """Match the results that no ID matched: to calls of the current step first, then to older ones.

        A result with an unknown ID answers a call without an ID, or one whose ID the client replaced. The latter is
        assumed only if the step has as many results as open calls.
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
    """The ID to write for every tool call and result, by the `id()` of the part. `answers` are their `answered_calls`.

    IDs of calls are unique, unless `verbatim`: Anthropic and Responses reject repeated IDs, while a client of the
    target's own protocol keeps its IDs.
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
    """An ID derived from one that is taken; deterministic for a history."""
    while (written := fit(f"{call_id}_{number}", pattern)) in taken:
        number += 1
    return written


def made_id(prefix: str, reply: str | None, index: int) -> str:
    """An ID for a call whose provider sent none, to be written to a client.

    The same for the same reply, and unique in the conversation, as Anthropic's clients require.
    """
    return prefix + sha256(f"{reply}/{index}".encode()).hexdigest()[:24]


_USUAL = 256
"""Maximum characters of an ID whose result is kept."""


def fit(call_id: str, pattern: str | None) -> str:
    """The ID itself if it matches the whole pattern, else one derived from it."""
    if pattern is None:
        return call_id
    return _fitted(call_id, pattern) if len(call_id) <= _USUAL else _fitted.__wrapped__(call_id, pattern)


@lru_cache(maxsize=4096)
def _fitted(call_id: str, pattern: str) -> str:
    if re.fullmatch(pattern, call_id):
        return call_id
    digest = sha256(call_id.encode()).hexdigest()
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)[:40]
    for candidate in (f"{clean}_{digest[:8]}", f"call_{digest[:24]}", digest[:9]):
        if re.fullmatch(pattern, candidate):
            return candidate
    return call_id
