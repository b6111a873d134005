"""Repairs histories that providers reject: afterwards every tool call has one result, directly after it.

Agents send such histories after an interruption (a call without a result), after shortening a history (a result without
its call), after repeating a call (two results), and when something came in between (a message between a call and its
result, as in Codex). A history without these faults is returned as the same list.

A call at the end of the history is not interrupted yet. A repair depends only on the history up to the call's result,
so that the next request begins with the same bytes and prompt caches remain valid.
"""

from collections import deque
from itertools import groupby

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, ToolCall, ToolResult, Turn, UnknownPart
from modelbay.events import Warned
from modelbay.protocols.ids import answered_calls
from modelbay.protocols.survey import Survey

INTERRUPTED = "no result: the call was interrupted"
"""The result of a call that has none."""
_ITEMS = "openai_responses"
"""The protocol whose turns are items: a reply consists of several, and a result may follow its call at any distance."""
_RESULTS_INSIDE = ("anthropic", "google")
"""Protocols with tool results in the user's message."""


def repaired(conversation: Conversation, protocol: str, seen: Survey, report: list[Warned]) -> list[Turn]:
    """The turns of a conversation as a provider of `protocol` accepts them. Each change adds a warning to `report`.

    `seen` is the survey of the turns. It receives the call of each result, if that was determined.
    """
    turns = conversation.turns
    if not seen.has_calls:
        seen.answers = {}
        return turns
    if conversation.settings.state:  # the provider has the rest of the history
        return turns
    # Anthropic and Gemini merge messages themselves, and renderers of messages merge items
    joins = protocol == "openai_chat" and conversation.protocol != _ITEMS
    if UnknownPart not in seen.kinds and (sound := _sound_answers(turns, joins)) is not None:
        seen.answers = sound
        return turns
    answered = conversation.protocol != protocol or ToolResult in seen.kinds
    if answered and any(turn.role != "assistant" and is_own(turn) for turn in turns):
        report.append(Warned("a tool call outside of an assistant message is sent as the assistant's"))
        turns = [
            replace(turn, role="assistant", native=None) if is_own(turn) and turn.role != "assistant" else turn
            for turn in turns
        ]
    history = _History(turns)
    if protocol == _ITEMS and conversation.protocol == _ITEMS:
        history.adjacent, history.elsewhere = False, _other_calls(turns)
    history.joins = joins
    if not history.read():
        seen.answers = history.calls
        return turns
    return _Repair(history, conversation.protocol in _RESULTS_INSIDE, report).turns()


def _sound_answers(turns: list[Turn], joins: bool) -> dict[int, ToolCall] | None:
    """The call that each result answers, by the `id()` of the result, if the history is obviously valid, as most are.

    Then every call has a unique ID and its result directly after it. None if `_History` must examine it.
    """
    answers: dict[int, ToolCall] = {}
    open_calls: dict[str, ToolCall] = {}
    ids: set[str] = set()
    own = calling = False
    for turn in turns:
        if turn.role == "assistant":
            if (open_calls and not own) or (own and calling and joins):
                return None
            calling &= own
            own = True
            for part in turn.parts:
                kind = type(part)
                if kind is ToolCall:
                    name = part.id  # type: ignore[union-attr]
                    if not name or name in ids:
                        return None
                    ids.add(name)
                    open_calls[name] = part  # type: ignore[assignment]
                    calling = True
                elif kind is ToolResult:
                    return None
            continue
        own = False
        if open_calls and not turn.parts:
            return None
        for part in turn.parts:
            kind = type(part)
            if kind is ToolResult:
                call = open_calls.pop(part.call_id, None)  # type: ignore[union-attr,arg-type]
                if call is None:
                    return None
                answers[id(part)] = call
            elif open_calls or kind is ToolCall:
                return None
    return answers if own or not open_calls else None


def _other_calls(turns: list[Turn]) -> frozenset[str]:
    """IDs of calls that are not a `ToolCall` (local shell), whose results look like any other."""
    raws = [part.raw for turn in turns for part in turn.parts if type(part) is UnknownPart]
    found = [raw.get("call_id") for raw in raws if isinstance(raw, dict)]
    return frozenset(id for id in found if isinstance(id, str))


class _Step:
    """Consecutive assistant turns, from `start` to before `end`."""

    __slots__ = ("calls", "end", "open", "passed", "results", "split", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.calls: list[ToolCall] = []
        self.open = 0
        """Number of calls without a result so far."""
        self.results: list[tuple[int, ToolResult]] = []
        """Results of the calls, with the indexes of their turns."""
        self.passed = False
        """Whether something else came while a call was open."""
        self.split = False
        """Whether a turn with calls is not the last one of the step."""


class _History:
    """Matches results to calls and detects whether a repair is needed."""

    def __init__(self, turns: list[Turn]) -> None:
        self.turns = turns
        self.adjacent = True
        """Whether results must directly follow their calls."""
        self.joins = False
        """Whether consecutive assistant turns are merged if the provider would reject them."""
        self.elsewhere: frozenset[str] = frozenset()
        self.steps: list[_Step] = []
        self.answers: dict[int, ToolResult] = {}
        """The result of each call, by the `id()` of the call."""
        self.step_of: dict[int, _Step] = {}
        """The step of the call that a result answers, by the `id()` of the result."""
        self.moved: set[int] = set()
        """Results that do not directly follow their calls, by `id()`."""
        self._faulty = False
        self.calls = answered_calls(turns)
        """The call that each result answers, by the `id()` of the result."""
        self._made_in: dict[int, _Step] = {}
        """The step of each call, by the `id()` of the call."""

    def read(self) -> bool:
        """Whether the history must be repaired."""
        step: _Step | None = None
        for index, turn in enumerate(self.turns):
            own = is_own(turn)
            if own:
                if step is None or step.end != index:
                    self._faulty |= self.adjacent and step is not None and step.open > 0
                    step = _Step(index)
                    self.steps.append(step)
                elif step.calls and self.joins:
                    step.split = self._faulty = True
                step.end = index + 1
            self._read_turn(index, turn, step, own)
        return self._faulty or any(self.interrupted(step) for step in self.steps)

    def interrupted(self, step: _Step) -> bool:
        """Whether a call of the step has no result and will not get one."""
        return step.open > 0 and step.end < len(self.turns)

    def _read_turn(self, index: int, turn: Turn, step: _Step | None, own: bool) -> None:
        content = not turn.parts
        for part in turn.parts:
            if type(part) is ToolResult and part.call_id not in self.elsewhere:
                of = self._answer(part)
                if of is not None:
                    of.results.append((index, part))
                if of is not None and self.adjacent and (of is not step or of.passed or own):
                    self.moved.add(id(part))
                self._faulty |= of is None or id(part) in self.moved or (self.adjacent and content)
            elif type(part) is ToolCall and step is not None:
                self._made_in[id(part)] = step
                step.calls.append(part)
                step.open += 1
            else:
                content = True
        if content and not own and self.adjacent and step is not None and step.open:
            step.passed = self._faulty = True

    def result_beside(self, result: ToolResult) -> ToolResult | None:
        """The first result of the call that a second result answers."""
        call = self.calls.get(id(result))
        return self.answers.get(id(call)) if call is not None else None

    def tied(self, result: ToolResult) -> ToolResult:
        """The result with its call's ID, so that it matches no other call after results were added."""
        call = self.calls[id(result)]
        if result.call_id == call.id and (call.id or result.name):
            return result
        # a name next to an ID would be sent, but only in histories that need a repair
        return replace(result, call_id=call.id, name=result.name if call.id else result.name or call.name)

    def _answer(self, result: ToolResult) -> _Step | None:
        """The step of the call, if this is its first result."""
        call = self.calls.get(id(result))
        if call is None or id(call) in self.answers or id(call) not in self._made_in:
            return None
        step = self._made_in[id(call)]
        step.open -= 1
        self.answers[id(call)] = result
        self.step_of[id(result)] = step
        return step


def is_own(turn: Turn) -> bool:
    """Whether a turn is the model's."""
    return turn.role == "assistant" or ToolCall in [type(part) for part in turn.parts]


class _Repair:
    """Writes the repaired turns."""

    def __init__(self, history: _History, inside: bool, report: list[Warned]) -> None:
        self.history = history
        self.inside = inside
        """Whether results are put into the user's message, if one follows."""
        self.report = report
        self.said: set[str] = set()

    def turns(self) -> list[Turn]:
        history = self.history
        steps = deque(history.steps)
        out = self._between(None, steps)
        while steps:
            step = steps.popleft()
            own = self._contents(step.start, step.end)
            gap = self._between(step, steps)
            # the text of a reply between the results of its calls: items are sent as they are finished
            while not gap and steps and self._goes_on(step, steps[0]):
                rest = steps.popleft()
                own += self._contents(rest.start, rest.end)
                step.split = True
                gap = self._between(rest, steps)
            out += [_joined(own)] if step.split and len(own) > 1 else own
            out += self._results(step, gap)
            out += gap
        return out

    def _goes_on(self, step: _Step, rest: _Step) -> bool:
        late = step.results[-1][0] if step.results else -1
        return self.history.adjacent and not rest.calls and rest.start < late

    def _between(self, step: _Step | None, steps: "deque[_Step]") -> list[Turn]:
        """The turns between two steps, without results."""
        end = steps[0].start if steps else len(self.history.turns)
        return self._contents(step.end if step is not None else 0, end)

    def _contents(self, start: int, end: int) -> list[Turn]:
        found = (self._content(turn) for turn in self.history.turns[start:end])
        return [turn for turn in found if turn is not None]

    def _content(self, turn: Turn) -> Turn | None:
        """The turn without the results that are moved. Results without a call become text."""
        if not any(type(part) is ToolResult for part in turn.parts):
            return turn
        parts: list[AnyPart] = []
        repeats = False
        for part in turn.parts:
            if type(part) is not ToolResult or part.call_id in self.history.elsewhere:
                if not (repeats and type(part) is Media and part in parts):
                    parts.append(part)
                continue
            repeats = False
            if id(part) not in self.history.step_of:
                stray = self._stray(part)
                repeats = not stray  # its media, which follow it in Gemini's protocol, are repeated, too
                parts += stray
            elif not self.history.adjacent:
                parts.append(part)
        if not parts:
            return None
        only_text = turn.role == "tool" and not any(type(part) is ToolResult for part in parts)
        return Turn("user", parts) if only_text else replace(turn, parts=parts)

    def _stray(self, result: ToolResult) -> list[AnyPart]:
        """A result without a call, as text; nothing if it only repeats the call's own result."""
        name = f"`{result.name}`" if result.name else "a tool"
        given = self.history.result_beside(result)
        if given is not None and given.parts == result.parts:
            self._warn(f"a second result of the same call of {name} is not sent", "tool_result")
            return []
        self._warn(f"a result of {name} has no matching call: sent as text")
        text = "\n".join(part.text for part in result.parts if isinstance(part, Text | Refusal))
        others = [part for part in result.parts if not isinstance(part, Text | Refusal)]
        return [Text(text=f"Result of {result.name or 'a tool'}: {text}", cache=result.cache), *others]

    def _results(self, step: _Step, gap: list[Turn]) -> list[Turn]:
        """The turns with the results of a step. If results belong in the user's message, they are added to the first
        turn of `gap`."""
        whole: list[Turn] = []
        loose: list[AnyPart] = []
        for index, found in groupby(step.results if self.history.adjacent else (), key=lambda item: item[0]):
            turn, results = self.history.turns[index], [result for _, result in found]
            if any(id(result) in self.history.moved for result in results):
                self._warn("a tool result that does not directly follow its call is moved there")
            tied = [self.history.tied(result) for result in results]
            if len(results) < len(turn.parts) or is_own(turn):
                loose += tied
            else:
                whole.append(turn if tied == results else replace(turn, parts=list(tied)))
        if self.history.interrupted(step):
            for call in step.calls:
                if id(call) not in self.history.answers:
                    self._warn(f"the call of `{call.name}` has no result: an error is sent as its result")
                    loose.append(
                        ToolResult(call_id=call.id, name=call.name, is_error=True, parts=[Text(text=INTERRUPTED)])
                    )
        if loose and self.inside and gap and gap[0].role == "user":
            gap[0] = replace(gap[0], parts=[*loose, *gap[0].parts])
        elif loose:
            whole += [Turn("user", loose)] if self.inside else [Turn("tool", [part]) for part in loose]
        return whole

    def _warn(self, message: str, lost: str | None = None) -> None:
        if message not in self.said:
            self.said.add(message)
            self.report.append(Warned(message, lost))


def _joined(turns: list[Turn]) -> Turn:
    """Consecutive assistant turns merged into one."""
    extra = {name: value for turn in turns for name, value in (turn.extra or {}).items()}
    return replace(turns[0], parts=[part for turn in turns for part in turn.parts], extra=extra or None)
