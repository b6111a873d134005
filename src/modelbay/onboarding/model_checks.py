"""Checks of one model with small real calls, shared by the provider test and the deep test.

A check is "yes" or "no" only for an observed fact. Otherwise it is "unknown", with the reason.
"""

from collections import Counter
from random import sample
from typing import Unpack

from msgspec import Struct

from modelbay.conversation import Media, Text, Thinking, Tool
from modelbay.errors import (
    BadRequest,
    ContentRefused,
    ContextOverflow,
    MalformedReply,
    ModelbayError,
    NotFound,
    Unsupported,
)
from modelbay.events import Event, PartDelta, Reply, collect
from modelbay.hints import About, explain
from modelbay.hub import Hub
from modelbay.json_text import decode
from modelbay.library.prompt import Ask, Prompt
from modelbay.model import Capability
from modelbay.onboarding.pictures import COLORS, names, picture
from modelbay.storage.probes import TestResult

LONGEST = 1024
"""Maximum output tokens of an answer, including thinking."""
QUOTED = 60
"""Maximum characters of an answer in a check's detail."""
WORD = "Answer with the word: ready"
COUNT = "Count from 1 to 20, one number a line."
COLOR = "What color is this picture? Answer with one word."
ERRAND = "What is the weather in Paris? Use the tool."
TOOL = Tool(
    name="get_weather",
    description="Current weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Check(Struct):
    """The result of one check: what was observed, and how to fix it."""

    name: str
    result: TestResult
    detail: str = ""
    hint: str | None = None


class ModelChecks:
    """Calls one model, and judges its replies."""

    def __init__(self, hub: Hub, provider: str, name: str) -> None:
        """`provider`: its ID, for hints. `name`: the model, as the hub knows it."""
        self.hub = hub
        self.name = name
        self._provider = provider

    async def streaming(self) -> Check:
        found = await self.stream(COUNT)
        if isinstance(found, ModelbayError):
            return Check("streaming", "no", found.message, found.hint)
        return streamed(found)

    async def tools(self) -> Check:
        return called(await self.ask(ERRAND, tools=[TOOL]))

    async def thinking(self, first: Reply) -> Check:
        """`first`: an earlier reply, which may have thinking already."""
        if seen := thought(first):
            return Check("thinking", "yes", seen)
        if known := self.denied("thinking"):
            return Check("thinking", "no", known)
        reply = await self.ask(WORD, effort="low")
        if isinstance(reply, ModelbayError):
            return refused("thinking", reply)
        if seen := thought(reply):
            return Check("thinking", "yes", seen)
        return Check("thinking", "unknown", "the reply has no thinking and no reasoning tokens")

    async def images(self) -> Check:
        """Send two pictures of different colors, in one call each, so that a guess or a constant answer fails."""
        if known := self.denied("image_in"):
            return Check("images", "no", known)
        for color in sample(list(COLORS), 2):
            check = named_color(color, await self.ask(COLOR, files=[colored(color)]))
            if check.result != "yes":
                return check
        return Check("images", "yes", "the model named the colors of two pictures")

    def denied(self, capability: Capability) -> str | None:
        """The detail for a capability that the model is known not to have, so that it is not tested."""
        model = self.hub.model(self.name)
        if model.can(capability) is not False:
            return None
        return f"not tested: {capability} = no ({model.sources.get(capability) or 'config'})"

    async def ask(self, prompt: Prompt, **settings: Unpack[Ask]) -> Reply | ModelbayError:
        """A complete reply, or the error with its hint for the command line."""
        settings.setdefault("max_tokens", LONGEST)
        try:
            return await self.hub.complete(prompt, model=self.name, **settings)
        except ModelbayError as error:
            return self._explained(error)

    async def stream(self, prompt: Prompt, **settings: Unpack[Ask]) -> list[Event] | ModelbayError:
        """The events of a streamed reply, or the error, also one in the middle of the reply."""
        settings.setdefault("max_tokens", LONGEST)
        events: list[Event] = []
        try:
            async for event in self.hub.stream(prompt, model=self.name, **settings):
                events.append(event)
        except ModelbayError as error:
            return self._explained(error)
        failure = collect(events).error
        return events if failure is None else self._explained(failure)

    def _explained(self, error: ModelbayError) -> ModelbayError:
        return explained(error, self._provider, self.hub)


def explained(error: ModelbayError, provider: str, hub: Hub) -> ModelbayError:
    """The error with its hint for the command line."""
    return explain(error, About(provider, hub.config.path, face="command", known=hub.config.providers))


def streamed(events: list[Event]) -> Check:
    """Whether a reply came in several pieces."""
    pieces = Counter(event.key for event in events if isinstance(event, PartDelta) and event.text)
    if max(pieces.values(), default=0) < 2:
        seen = "the reply came in one piece" if replied(collect(events)) else "the reply is empty"
        return Check("streaming", "unknown", seen)
    return Check("streaming", "yes", f"{pieces.total()} pieces")


def called(reply: Reply | ModelbayError, name: str = "tools") -> Check:
    """Whether a reply calls `TOOL` with arguments that match its schema."""
    if isinstance(reply, ModelbayError):
        return refused(name, reply)
    if not reply.tool_calls:
        return Check(name, "unknown", f"answer without a tool call: {quoted(reply)}")
    call = reply.tool_calls[0]
    if call.name != TOOL.name:
        return Check(name, "unknown", f"the model called {call.name!r} instead of {TOOL.name}")
    if not _has_city(call.arguments):
        return Check(name, "unknown", f"the arguments do not match the tool's schema: {call.arguments[:QUOTED]}")
    return Check(name, "yes", f"tool call: {call.name} {call.arguments[:QUOTED]}")


def colored(color: str) -> Media:
    return Media(kind="image", data=picture(color), media_type="image/png")


def named_color(color: str, reply: Reply | ModelbayError) -> Check:
    """Whether a reply names the color of its picture."""
    if isinstance(reply, ModelbayError):
        return refused("images", reply)
    if not names(reply.text, color):
        return Check("images", "unknown", f"the answer to a {color} picture does not name {color}: {quoted(reply)}")
    return Check("images", "yes", f"the model named the color {color}")


def counts(reply: Reply) -> Check:
    """Whether a reply has token counts."""
    used = reply.usage
    if used is None or not used.input_total or not used.output_total:
        return Check("usage", "unknown", "the reply has no token counts")
    return Check("usage", "yes", f"{used.input_total:,} tokens in, {used.output_total:,} out")


def _has_city(arguments: str) -> bool:
    """Whether the arguments of a call match the schema of `TOOL`."""
    try:
        found = decode(arguments.encode())
    except MalformedReply:
        return False
    return isinstance(found, dict) and isinstance(city := found.get("city"), str) and bool(city.strip())


def thought(reply: Reply) -> str | None:
    """The evidence that the model used thinking; None if there is none."""
    tokens = reply.usage.reasoning if reply.usage else None
    if tokens:
        return f"{tokens:,} reasoning tokens"
    parts = [part for part in reply.parts if isinstance(part, Thinking)]
    return "the reply has a thinking part" if any(part.text.strip() or part.opaque for part in parts) else None


def replied(reply: Reply) -> bool:
    """Whether a reply is not empty. Hidden thinking counts."""
    return any(not isinstance(part, Text) or part.text.strip() for part in reply.parts) or bool(thought(reply))


def quoted(reply: Reply) -> str:
    """The beginning of a reply's text, for a detail."""
    text = " ".join((reply.text or reply.refusal).split())
    return f'"{text[:QUOTED]}{"…" * (len(text) > QUOTED)}"' if text else "no text"


def refused(name: str, error: ModelbayError) -> Check:
    """The check for an error: "no" if the provider rejected the feature, "unknown" for others, such as a too long prompt."""
    unrelated = isinstance(error, ContextOverflow | ContentRefused)
    rejected = isinstance(error, Unsupported | BadRequest | NotFound) and not unrelated
    return Check(name, "no" if rejected else "unknown", error.message, None if rejected else error.hint)
