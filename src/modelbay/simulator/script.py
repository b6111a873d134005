"""Scripted replies: a test decides what the model replies, instead of the brain."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import msgspec
from msgspec import Struct

from modelbay.conversation import AnyPart, Conversation, Text, Tool, ToolCall
from modelbay.conversion import plain
from modelbay.events import FinishReason
from modelbay.json_text import encode
from modelbay.library.prompt import Count, check_type
from modelbay.simulator import faults
from modelbay.simulator.brain import SimulatedReply
from modelbay.simulator.reading import read
from modelbay.typed import Name

Condition: TypeAlias = str | re.Pattern[str] | Callable[[Conversation], bool]
_QUOTED = 60
"""Maximum length of a text in a description."""


_EITHER = (
    "a reply has either vectors or other content: begin another reply, as simulator.embed(…) or simulator.say(…) do"
)


class _Answer(Struct):
    """A value for the answer; its form depends on the request."""

    value: Any


class ScriptedReply:
    """A reply, as a test describes it. Each method adds to the reply and returns it, so that calls can be chained:
    `simulator.think("Paris is far away.").call("get_weather", city="Paris")`.
    """

    def __init__(self, condition: Condition | None = None) -> None:
        self.left: int | None = 1
        """The number of requests that still get this reply; None: any number."""
        self.fault = ""
        """A fault of `faults.FAULTS`, with its argument."""
        self.first = 0.0
        """Seconds before the reply."""
        self.between: float | None = None
        """Seconds between two pieces of a stream; None: the simulator's own pace."""
        self.vectors: Sequence[Sequence[float]] | None = None
        """The vectors of a reply to a request for embeddings."""
        if not (condition is None or isinstance(condition, str | re.Pattern) or callable(condition)):
            kind = type(condition).__qualname__
            raise TypeError(f"when takes a text, a pattern or a function of the conversation, not {kind}")
        self._condition = condition
        self._thoughts = ""
        self._parts: list[AnyPart | _Answer] = []
        self._finish: FinishReason | None = None

    # --- content ---

    def say(self, text: str) -> Self:
        """Add a text. The reply has exactly this text, even if the request limits the output tokens."""
        if not isinstance(text, str):
            raise TypeError(f"say takes a text, not {type(text).__qualname__}: use answer() for a value in JSON")
        self._add(Text(text=text))
        return self

    def think(self, text: str) -> Self:
        """Add thinking, which comes before all other content. It is visible if the request asks for it; in Chat Completions and
        Anthropic Messages also by default."""
        self._thoughts += text
        return self

    def call(self, name: str, arguments: Any = None, /, **more: Any) -> Self:
        """Add a tool call, with the arguments as keywords, or as one value: a dict or, for a tool with free text, a text."""
        check_type(name, Name, "the name of the tool")
        if isinstance(arguments, str):
            self._add(ToolCall(name=name, arguments=arguments, format="text"))
        else:
            values = plain({**(arguments or {}), **more})
            self._add(ToolCall(name=name, arguments=encode(values).decode()))
        return self

    def answer(self, value: Any) -> Self:
        """Add a structured answer, in the form that the request asks for: JSON text, or the arguments of the tool that the request
        forces the model to call. The value may be an object of a dataclass, or of a class of msgspec or pydantic."""
        self._add(_Answer(plain(value)))
        return self

    def embed(self, *vectors: Sequence[float]) -> Self:
        """Answer a request for embeddings, with one vector for each of its texts."""
        if not vectors:
            raise TypeError("embed takes at least one vector")
        for place, vector in enumerate(vectors):
            check_type(vector, Sequence[float], f"vectors[{place}]")
        if self._parts or self._thoughts:
            raise TypeError(_EITHER)
        self.vectors = [*(self.vectors or ()), *vectors]
        return self

    def _add(self, part: "AnyPart | _Answer") -> None:
        if self.vectors is not None:
            raise TypeError(_EITHER)
        self._parts.append(part)

    def finish(self, reason: FinishReason) -> Self:
        """Set the finish reason, such as `"length"` or `"content_filter"`."""
        self._finish = reason
        return self

    # --- faults ---

    def fail(self, fault: int | str, *, retry_after: float | None = None) -> Self:
        """Fail as a provider does: `429`, `"context-length"`, `"cut-after=3"` or any other fault of the simulator's reference.

        `retry_after`: the value of the header `Retry-After`, in seconds.

        Raises:
            ValueError: the fault is unknown.
        """
        spec = str(fault) if retry_after is None else f"{fault}={retry_after:g}"
        asked = faults.parse(spec)
        if asked is None or asked.times is not None:
            raise ValueError(f"unknown fault {spec!r}: must be one of {', '.join(faults.FAULTS)}, optionally with =N")
        self.fault = spec
        return self

    def slow(self, first: float = 0.0, between: float | None = None) -> Self:
        """Take time: `first` seconds before the reply, and `between` seconds between two pieces of a stream."""
        self.first, self.between = first, between
        return self

    # --- use ---

    def times(self, count: int) -> Self:
        """Give this reply to `count` requests instead of one."""
        check_type(count, Count, "count")
        self.left = count
        return self

    def always(self) -> Self:
        """Give this reply to any number of requests, if no other reply is for them."""
        self.left = None
        return self

    def fits(self, conversation: Conversation, *, embeds: bool) -> bool:
        """Whether the reply is for this request."""
        if self.left == 0 or (self.vectors is not None and not embeds):
            return False
        if embeds and (self._parts or self._thoughts or self._finish):
            return False
        match self._condition:
            case None:
                return True
            case str() as text:
                return text in read(conversation).prompt
            case re.Pattern() as pattern:
                return pattern.search(read(conversation).prompt) is not None
            case condition:
                return bool(condition(conversation))

    @property
    def rank(self) -> tuple[bool, bool]:
        """The order of replies for one request: those with a condition, then those for every request; of each, the endless ones
        last."""
        return self._condition is None, self.left is None

    def reply(self, conversation: Conversation) -> SimulatedReply | None:
        """The reply to a request; None if only a fault or a pace is scripted: the reply is then that of the simulated model."""
        if not (self._parts or self._thoughts or self._finish):
            return None
        parts: list[AnyPart] = [
            _answer(part.value, conversation) if isinstance(part, _Answer) else msgspec.structs.replace(part)
            for part in self._parts
        ]
        calls = any(type(part) is ToolCall for part in parts)
        return SimulatedReply(parts, self._finish or ("tool_calls" if calls else "stop"), thoughts=self._thoughts)

    def __str__(self) -> str:
        words = [f"think {quoted(self._thoughts)}"] if self._thoughts else []
        for part in self._parts:
            match part:
                case Text(text=text):
                    words.append(f"say {quoted(text)}")
                case ToolCall(name=name, arguments=arguments):
                    words.append(f"call {name} {_shortened(arguments)}")
                case _Answer(value=value):
                    words.append(f"answer {_shortened(encode(value).decode())}")
        words += [f"embed {len(self.vectors)} vectors"] if self.vectors is not None else []
        words += [f"finish with {self._finish}"] if self._finish else []
        words += [f"fail with {self.fault}"] if self.fault else []
        when = "" if self._condition is None else f"when {_named(self._condition)}: "
        return when + (", ".join(words) or "an empty reply")


def _answer(value: Any, conversation: Conversation) -> AnyPart:
    text = encode(value).decode()
    tool = _forced(conversation, value)
    return Text(text=text) if tool is None else ToolCall(name=tool.name, arguments=text)


def _forced(conversation: Conversation, value: Any) -> Tool | None:
    """The tool that the request forces the model to call. Of several, the first whose schema has the keys of the value."""
    choice, form = conversation.settings.tool_choice, conversation.settings.output_format
    if choice is None or choice.mode not in ("required", "tool") or (form is not None and form.kind != "text"):
        return None
    tools = [tool for tool in conversation.settings.tools or () if not choice.names or tool.name in choice.names]
    keys = value.keys() if isinstance(value, dict) else set()
    fitting = [
        tool for tool in tools if isinstance(tool.schema, dict) and keys <= (tool.schema.get("properties") or {}).keys()
    ]
    return next(iter(fitting or tools), None)


def quoted(text: str) -> str:
    """A text on one line, shortened."""
    return f'"{_shortened(text)}"'


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}…"


def _named(condition: Condition) -> str:
    if isinstance(condition, str):
        return quoted(condition)
    return (
        f"/{condition.pattern}/" if isinstance(condition, re.Pattern) else getattr(condition, "__name__", "a function")
    )


class Script:
    """The scripted replies of a simulator, in the order of the test."""

    def __init__(self) -> None:
        self._replies: list[ScriptedReply] = []
        self.refusals: list[str] = []
        """The prompts of requests that had to have a scripted reply."""

    def add(self, condition: Condition | None = None) -> ScriptedReply:
        """A reply without content so far."""
        self._replies.append(added := ScriptedReply(condition))
        return added

    def take(self, conversation: Conversation, *, embeds: bool = False) -> ScriptedReply | None:
        """The reply for a request, which is used up by it; None if there is none. `embeds`: whether it asks for embeddings."""
        found = min(
            (reply for reply in list(self._replies) if reply.fits(conversation, embeds=embeds)),
            key=lambda reply: reply.rank,
            default=None,
        )
        if found is not None and found.left is not None:
            found.left -= 1
        return found

    def refuse(self, conversation: Conversation) -> str:
        """The error message for a request without a scripted reply."""
        self.refusals.append(quoted(read(conversation).prompt))
        return f"no scripted reply for the prompt {self.refusals[-1]}"

    @property
    def unused(self) -> list[ScriptedReply]:
        """The replies that still wait for a request, without the endless ones."""
        return [reply for reply in self._replies if reply.left]

    def __len__(self) -> int:
        return len(self._replies)
