"""The checks of a deep test: real calls that show what one endpoint does with a model.

A check is "yes" only if it was observed. It is "no" only if the provider rejected the call, or demonstrably ignored a part of
it, in two calls. Anything else is "unknown", with the reason.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from random import sample
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from modelbay.calling.target import Targets
from modelbay.conversation import (
    Conversation,
    OutputFormat,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.events import PartDelta, Reply, collect
from modelbay.hub import Hub
from modelbay.json_text import decode
from modelbay.onboarding.deep_calls import ASKED, COUNTS, DeepCalls, Stopped
from modelbay.onboarding.deep_plan import LONG, PLANNED, CostEstimate
from modelbay.onboarding.model_checks import (
    COLOR,
    COUNT,
    ERRAND,
    TOOL,
    WORD,
    Check,
    called,
    colored,
    named_color,
    quoted,
    refused,
    replied,
    streamed,
    thought,
)
from modelbay.onboarding.pictures import COLORS
from modelbay.providers.adaptation import OUTPUT_TOKENS
from modelbay.providers.message_lessons import LESSONS, REASONING
from modelbay.providers.refused_reasoning import PLACEHOLDERS
from modelbay.providers.upstream import Upstream
from modelbay.storage.lessons import LessonBook
from modelbay.usage import Usage

ENOUGH = 200
"""Pieces of a reply after which the call for `ASKED` tokens is closed, if the provider accepts it."""
BOTH = "What is the weather in Paris, and what is it in Rome? Call the tool for both cities at once, in parallel."
CLOCK = Tool(
    name="get_time",
    description="Current time in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PLACE = {
    "type": "object",
    "properties": {"zq_city": {"type": "string"}, "zq_number": {"type": "integer"}},
    "required": ["zq_city", "zq_number"],
    "additionalProperties": False,
}
"""A schema with names that no model chooses without it."""


class DeepChecks(DeepCalls):
    """Runs the checks of one model, one after the other."""

    def __init__(self, hub: Hub, provider: str, name: str, to: Upstream, most: CostEstimate) -> None:
        super().__init__(hub, provider, name, to, most)
        self.values: dict[str, int] = {}
        """Numbers that were observed, by check."""
        self.stopped: str | None = None
        """Why the test ended early."""
        self._short = 0
        """Input tokens of the short prompt."""
        self._long_count: int | None = None
        """Input tokens of the long prompt; None if it was not accepted."""
        self._prefix = f"Text {uuid4()}.\n" + "\n".join(
            f"Sentence {number} of this text has no meaning and needs no answer." for number in range(LONG // 17)
        )
        self._primed: Reply | Check | None = None
        """The reply to the first of two equal long prompts."""

    async def run(self) -> AsyncGenerator[Check, None]:
        """All checks of `PLANNED`. If the test stops, the remaining ones are unknown."""
        left = dict.fromkeys(PLANNED)
        try:
            async with aclosing(self._run()) as checks:
                async for check in checks:
                    left.pop(check.name, None)
                    yield check
        except Stopped as stopped:
            self.stopped = stopped.reason
            for name in left:
                yield Check(name, "unknown", f"not tested: {stopped.reason}", stopped.hint)

    async def _run(self) -> AsyncGenerator[Check, None]:
        first, check = await self._first()
        yield check
        streaming, usage = await self._stream_check()
        yield streaming
        if first is None and streaming.result == "yes":
            self.streams = True
            again = await self.ask(WORD)
            first = again if isinstance(again, Reply) else None
        if first is None or not replied(first):
            raise Stopped("no reply to a short prompt", check.hint)
        self._short = first.usage.input_total if first.usage else 0
        self._primed = await self._prime()
        yield self._usage(first, usage)
        yield (tools := await self.twice(self._tools))
        if tools.result == "yes":
            async for check in self._tool_checks():
                yield check
        else:
            for name in ("parallel_tools", "parallel_history", "forced_tool", "named_tool", "strict_tools"):
                yield Check(name, "unknown", "not tested: no tool call was seen")
        async for check in self._output_checks():
            yield check
        yield await self.twice(self._images)
        yield (thinking := await self.twice(lambda: self._thinking(first)))
        if thinking.result == "yes" and tools.result == "yes":
            async for check in self._return_checks():
                yield check
        else:
            for name in ("thinking_return", "thinking_optional"):
                yield Check(name, "unknown", "not tested: no thinking or no tool call was seen")
        yield await self._cache()
        yield await self._max_output()
        if self.window is not None:
            self.values["context_window"] = self.window
            yield Check("context_window", "yes", f"{self.window:,} tokens, as an error named it")
        else:
            yield Check("context_window", "unknown", "no error named it")

    # --- replies, streams, token counts ---

    async def _first(self) -> tuple[Reply | None, Check]:
        found: list[Reply] = []

        async def attempt() -> Check:
            reply = await self.ask(WORD)
            if (failed := self.judged("reply", reply, "")) is not None and isinstance(reply, ModelbayError):
                return failed
            assert isinstance(reply, Reply)
            found.append(reply)
            if not replied(reply):
                return Check("reply", "unknown", "the reply is empty")
            return Check("reply", "yes", quoted(reply))

        check = await self.twice(attempt, control=False)
        return found[0] if found else None, check

    async def _stream_check(self) -> tuple[Check, Usage | None]:
        seen: list[Usage | None] = []

        async def attempt() -> Check:
            events = await self.stream(COUNT)
            if isinstance(events, ModelbayError):
                return self.judged("streaming", events, "") or refused("streaming", events)
            seen.append(collect(events).usage)
            return streamed(events)

        check = await self.twice(attempt, control=False)
        return check, seen[0] if seen else None

    async def _prime(self) -> Reply | Check:
        """The first of two equal long prompts. The second comes at the end, when the provider has cached this one."""
        known = self._known_window()
        if known is not None and known < 2 * LONG:
            return Check("cache", "unknown", f"not tested: the context window is only {known:,} tokens")
        reply = await self.ask(self._long())
        rejected = self._rejection(reply)
        if rejected is not None and rejected.result == "no":
            reply = await self.ask(self._long())
            rejected = self._rejection(reply)
        if rejected is not None and rejected.result == "no":
            plain = await self.ask(self._long(mark=False))  # shows whether the cache mark is the reason
            if isinstance(plain, Reply):
                self._count(plain)
            if isinstance(plain, Reply) and (self.to.protocol == "anthropic" or self.dialect.cache_marks):
                return rejected
            return Check("cache", "unknown", f"a long prompt was rejected: {rejected.detail}")
        if isinstance(reply, Reply):
            self._count(reply)
            return reply
        return rejected or Check("cache", "unknown", reply.message)

    def _rejection(self, reply: Reply | ModelbayError) -> Check | None:
        if isinstance(reply, Reply):
            return None
        return self.judged("cache", reply, "") or refused("cache", reply)

    def _count(self, long: Reply) -> None:
        """Note whether the token counts of a long prompt are plausible."""
        self._long_count = long.usage.input_total if long.usage else 0
        self.counts = self._long_count > max(LONG // 5, 2 * self._short)

    def _known_window(self) -> int | None:
        """The context window by the facts that users see."""
        return Targets(self.hub.config).find(self.name).model.max_context_tokens

    def _long(self, *, mark: bool = True) -> Conversation:
        prefix = Text(text=self._prefix, cache={"type": "ephemeral"} if mark else None)
        return Conversation([Turn("system", [prefix]), user(WORD)])

    def _usage(self, first: Reply, streamed_usage: Usage | None) -> Check:
        whole = first.usage
        if whole is None or not (whole.input_total or whole.output_total):
            return Check("usage", "unknown", "the reply has no token counts")
        detail = f"complete reply: {_reported(whole)}; stream: {_reported(streamed_usage)}"
        counted = self._long_count
        if counted is None:
            return Check("usage", "yes" if whole.input_total and whole.output_total else "unknown", detail)
        if counted <= whole.input_total:
            return Check("usage", "no", f"a prompt of about {LONG:,} tokens was counted as {counted:,}")
        if not self.counts:
            return Check("usage", "unknown", f"a prompt of about {LONG:,} tokens was counted as {counted:,}")
        return Check("usage", "yes" if streamed_usage is not None else "unknown", detail)

    # --- tools ---

    async def _tools(self) -> Check:
        if known := self.denied("tool_use"):
            return Check("tools", "unknown", known)
        reply = await self.ask(ERRAND, tools=[TOOL])
        judged = self.judged("tools", reply, "tools")
        check = judged or called(reply)
        if check.result == "unknown" and judged is None and isinstance(reply, Reply) and not reply.tool_calls:
            plain = await self.ask(ERRAND) if self.counts else None
            if self.is_ignored(reply, plain):
                return Check("tools", "no", "the tool was ignored: it added no tokens to the prompt")
        return check

    async def _tool_checks(self) -> AsyncIterator[Check]:
        seen: list[Reply] = []

        async def both() -> Check:
            reply = await self.ask(BOTH, tools=[TOOL])
            if (judged := self.judged("parallel_tools", reply, "tools")) is not None:
                return judged
            assert isinstance(reply, Reply)
            if not reply.tool_calls:
                return Check("parallel_tools", "unknown", f"answer without a tool call: {quoted(reply)}")
            seen.append(reply)
            if len(reply.tool_calls) > 1:
                return Check("parallel_tools", "yes", f"{len(reply.tool_calls)} calls in one reply")
            return Check("parallel_tools", "no", "one call in each of two replies that were asked for two")

        if not self.dialect.parallel_tool_calls:
            yield self.lacks("parallel_tools", "parallel_tool_calls = false")
        else:
            yield await self.twice(both)
        yield await self._history(seen[-1] if seen else None)
        yield await self._forced("forced_tool", ToolChoice("required"), "required")
        yield await self._forced("named_tool", ToolChoice("tool", [TOOL.name]), "tool")
        yield await self._strict()

    async def _history(self, reply: Reply | None) -> Check:
        """Send two calls in one message, with their results: those of the reply, or its call and a second one."""
        name = "parallel_history"
        if reply is None:
            return Check(name, "unknown", "not tested: no tool call was seen")
        if not self.dialect.parallel_call_history:
            return self.lacks(name, "parallel_call_history = false")
        parts = list(reply.parts)
        if len(reply.tool_calls) == 1:
            parts.append(_second(reply.tool_calls[0]))

        async def attempt() -> Check:
            answer = await self.ask(_answered(BOTH, parts))
            return self.judged(name, answer, "") or Check(name, "yes", "two calls in one message were accepted")

        check = await self.twice(attempt, control=False)
        if check.result == "no":
            one = [part for part in parts if type(part) is not ToolCall or part is reply.tool_calls[0]]
            control = await self.ask(_answered(BOTH, one))
            if isinstance(control, ModelbayError):
                return Check(name, "unknown", f"one call in a message was rejected too: {control.message}")
        return check

    async def _forced(self, name: str, choice: ToolChoice, value: str) -> Check:
        if value not in self.dialect.tool_choices:
            return self.lacks(name, f"tool_choices without {value}")

        async def attempt() -> Check:
            reply = await self.ask(WORD, tools=[TOOL, CLOCK] if choice.names else [TOOL], tool_choice=choice)
            if (judged := self.judged(name, reply, "tool_choice")) is not None:
                return judged
            assert isinstance(reply, Reply)
            if not reply.tool_calls:
                return Check(name, "no", f"ignored: answer without a tool call: {quoted(reply)}")
            if choice.names and reply.tool_calls[0].name not in choice.names:
                return Check(name, "no", f"ignored: the model called {reply.tool_calls[0].name!r}")
            return Check(name, "yes", f"tool call: {reply.tool_calls[0].name}")

        return await self.twice(attempt)

    async def _strict(self) -> Check:
        if not self.dialect.strict_tools:
            return self.lacks("strict_tools", "strict_tools = false")
        if self.to.protocol == "google":
            return Check("strict_tools", "unknown", "not tested: the protocol has no such setting")
        schema = {**TOOL.schema, "additionalProperties": False}

        async def attempt() -> Check:
            reply = await self.ask(ERRAND, tools=[replace(TOOL, schema=schema, strict=True)])
            return self.judged("strict_tools", reply, "tools.strict") or Check("strict_tools", "yes", "accepted")

        return await self.twice(attempt)

    # --- output formats and images ---

    async def _output_checks(self) -> AsyncIterator[Check]:
        if not self.dialect.json_schema:
            yield self.lacks("json_schema", "json_schema = false")
            yield Check("json_mode", "unknown", "not tested")
            return

        async def schema() -> Check:
            form = OutputFormat("json_schema", schema=PLACE, name="place", strict=True)
            reply = await self.ask("Name a city and a number.", output_format=form)
            if (judged := self.judged("json_schema", reply, "output_format")) is not None:
                return judged
            assert isinstance(reply, Reply)
            if not _is_place(reply.text):
                return Check("json_schema", "no", f"ignored: the reply does not match the schema: {quoted(reply)}")
            return Check("json_schema", "yes", "the reply matches the schema")

        async def mode() -> Check:
            prompt = 'Name a city as a JSON object with the key "city".'
            reply = await self.ask(prompt, output_format=OutputFormat("json"))
            if (judged := self.judged("json_mode", reply, "output_format")) is not None:
                return judged
            assert isinstance(reply, Reply)
            if isinstance(_decoded(reply.text), dict):
                return Check("json_mode", "yes", "the reply is a JSON object")
            return Check("json_mode", "no", f"ignored: the reply is not a JSON object: {quoted(reply)}")

        yield (check := await self.twice(schema))
        if check.result == "no" and self.to.protocol != "anthropic":
            yield await self.twice(mode)
        else:
            yield Check("json_mode", "unknown", "not tested: it is only needed without schemas")

    async def _images(self) -> Check:
        if known := self.denied("image_in"):
            return Check("images", "unknown", known)
        seen = False
        for color in sample(list(COLORS), 2):
            reply = await self.ask(COLOR, files=[colored(color)])
            check = self.judged("images", reply, "image") or named_color(color, reply)
            doubtful = check.result == "unknown" and isinstance(reply, Reply) and not seen and self.counts
            if doubtful and self.is_ignored(reply, await self.ask(COLOR)):
                return Check("images", "no", "the picture was ignored: it added no tokens to the prompt")
            if check.result != "yes":
                return check
            seen = True
        return Check("images", "yes", "the model named the colors of two pictures")

    # --- thinking ---

    async def _thinking(self, first: Reply) -> Check:
        if seen := thought(first):
            return Check("thinking", "yes", seen)
        if known := self.denied("thinking"):
            return Check("thinking", "unknown", known)
        reply = await self.ask(WORD, effort="low")
        if isinstance(reply, Reply) and (seen := thought(reply)):
            return Check("thinking", "yes", seen)
        judged = self.judged("thinking", reply, "reasoning")
        if judged is None and isinstance(reply, Reply):
            # an earlier call, or the first attempt of this one, was rejected for its effort
            lost = next((one for one in reply.warnings if one.dropped and one.setting in _EFFORTS), None)
            if lost is not None:
                return Check("thinking", "no", lost.message)
        return judged or Check("thinking", "unknown", "the reply has no thinking and no reasoning tokens")

    async def _return_checks(self) -> AsyncIterator[Check]:
        """Send a tool result with and without the thinking before the call."""
        reply = await self._thoughtful_call()
        if reply is None:
            for name in ("thinking_return", "thinking_optional"):
                yield Check(name, "unknown", "not tested: no reply has both thinking and a tool call")
            return
        bare = [_without_state(part) for part in reply.parts if type(part) is not Thinking]

        async def back() -> Check:
            answer = await self.ask(_answered(ERRAND, list(reply.parts)), effort="low")
            judged = self.judged("thinking_return", answer, "thinking")
            return judged or Check("thinking_return", "yes", "the thinking was accepted with the tool result")

        async def without() -> Check:
            answer = await self.ask(_answered(ERRAND, bare), effort="low")
            judged = self.judged("thinking_optional", answer, "reasoning")
            if judged is None and isinstance(answer, Reply):
                # the call was rejected, and repeated with empty reasoning or a placeholder for its signature
                words = (LESSONS[REASONING].words, PLACEHOLDERS)
                added = next((one for one in answer.warnings if one.message.startswith(words)), None)
                if added is not None:
                    return Check("thinking_optional", "no", added.message)
            return judged or Check("thinking_optional", "yes", "the tool result was accepted without the thinking")

        echo = self.dialect.reasoning_echo
        if echo == "never":
            yield self.lacks("thinking_return", 'reasoning_echo = "never"')
        else:
            yield await self.twice(back)
        if echo == "always":
            yield self.lacks("thinking_optional", 'reasoning_echo = "always"')
        else:
            yield await self.twice(without)

    async def _thoughtful_call(self) -> Reply | None:
        """A reply with thinking that is sent back, and a tool call."""
        for _ in range(2):
            reply = await self.ask(ERRAND, tools=[TOOL], effort="low")
            if isinstance(reply, Reply) and reply.tool_calls and any(_has_state(part) for part in reply.parts):
                return reply
        return None

    # --- caches and limits ---

    async def _cache(self) -> Check:
        first = self._primed
        if not isinstance(first, Reply):
            return first or Check("cache", "unknown", "not tested")
        second = await self.ask(self._long())
        if isinstance(second, ModelbayError):
            return Check("cache", "unknown", second.message)
        read = second.usage.cache_read if second.usage else None
        if not read:
            return Check("cache", "unknown", "the second of two equal prompts has no cached tokens")
        return Check("cache", "yes", f"{read:,} tokens of the second of two equal prompts were cached")

    async def _max_output(self) -> Check:
        """Ask for more output tokens than any model has. If the provider accepts it, the call is closed soon."""
        name, pieces, failure = "max_output", 0, None
        self.check_budget()
        try:
            async with aclosing(self.hub.stream(WORD, model=self.name, max_tokens=ASKED)) as events:
                async for event in events:
                    pieces += isinstance(event, PartDelta)
                    if pieces > ENOUGH:
                        break
        except ModelbayError as error:
            failure = self._explained(error)
        self.spend(failure, None)
        model = self.hub.model(self.name)
        lessons = LessonBook().of(str(self.to.origin), model.id)
        limits = [
            lesson["most"] for lesson in lessons if lesson.get("parameter") == OUTPUT_TOKENS and lesson.get("most")
        ]
        if limits:
            self.values[name] = min(limits)
            return Check(name, "yes", f"{min(limits):,} tokens, as an error named it")
        if failure is not None:
            return Check(name, "unknown", f"the error names no limit: {failure.message}")
        if (own := model.sources.get("max_output_tokens")) == "config":
            return Check(name, "unknown", f"not tested: {model.max_output_tokens:,} tokens are configured ({own})")
        return Check(name, "unknown", f"no error for {ASKED:,} tokens")


_EFFORTS = ("reasoning", "reasoning_effort", "thinking", "enable_thinking", "output_config")
"""Parameters for the effort, as lessons name them."""


def _second(call: ToolCall) -> ToolCall:
    """Another call of the same tool."""
    id = None if call.id is None else call.id[:-1] + ("1" if call.id[-1:] != "1" else "2")
    return ToolCall(name=call.name, arguments='{"city": "Rome"}', id=id, origin=call.origin)


def _answered(prompt: str, parts: list[Any]) -> Conversation:
    """The conversation after a reply with calls, with their results."""
    results = [
        Turn("tool", [ToolResult(call_id=part.id, name=part.name, parts=[Text(text="18 degrees, light rain.")])])
        for part in parts
        if type(part) is ToolCall
    ]
    return Conversation([user(prompt), Turn("assistant", parts), *results], Settings(tools=[TOOL]))


def _has_state(part: Any) -> bool:
    return (type(part) is Thinking and bool(part.text or part.opaque)) or (type(part) is ToolCall and bool(part.opaque))


def _without_state(part: Any) -> Any:
    """A part without its signature and the ID of its item, which belong to the thinking."""
    return replace(part, opaque=None, item_id=None)


def _reported(usage: Usage | None) -> str:
    """The names of the counts in a usage."""
    names = [name for name in COUNTS if usage is not None and getattr(usage, name) is not None]
    return ", ".join(names) or "none"


def _decoded(text: str) -> object:
    try:
        return decode(text.encode())
    except MalformedReply:
        return None


def _is_place(text: str) -> bool:
    """Whether a text is JSON that matches `PLACE`."""
    found = _decoded(text)
    if not isinstance(found, dict) or found.keys() != {"zq_city", "zq_number"}:
        return False
    return isinstance(found["zq_city"], str) and type(found["zq_number"]) is int
