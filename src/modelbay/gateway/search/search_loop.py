"""Answers a request whose client declares a hosted web search: the model gets a function tool, and the searches run here.

A step is one call of the model. If the model asks for searches in it, and for no tools of the client, their results go to
the model in a further step. The client sees one reply: the texts of all steps, the searches as the items of its protocol, the
sum of all usage, and one end. If the model also calls the client's tools, the searches are done, and the reply ends with these
calls: the next request has the results of both.

Text is passed on as it arrives. From the first search call of a step on, its events are held until the searches are done, so
that the parts keep their order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.opened import Consume, Opened, Sending
from modelbay.calling.opening import Opening
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target
from modelbay.conversation import (
    AnyPart,
    Conversation,
    ServerToolCall,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from modelbay.errors import ModelbayError, Unsupported
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Reply,
    Started,
    UsageReported,
    Warned,
    collect,
)
from modelbay.protocols.dispositions import dropped
from modelbay.protocols.hosted_search import (
    NAME,
    FinishedSearch,
    FoundPage,
    HostedSearch,
    SearchOutcome,
    citations,
    compact,
    query_of,
    result_of,
    search_form,
)
from modelbay.routing.retry import Policy
from modelbay.usage import Usage

if TYPE_CHECKING:
    from modelbay.gateway.search.engine import SearchEngine

SECONDS = 300.0
"""Seconds after which the model gets no further searches for a request, and must answer."""
_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "The search query."}},
    "required": ["query"],
    "additionalProperties": False,
}
_DESCRIPTION = (
    "Search the web. The result is a list of pages with their URLs, titles and extracts. "
    "Cite the pages that you use as Markdown links."
)


def with_earlier_searches(conversation: Conversation, name: str = NAME) -> Conversation:
    """The conversation with the searches of earlier replies as calls of a function tool and their results."""
    if conversation.protocol is None:
        return conversation
    turns = search_form(conversation.protocol).restored(conversation.turns, name)
    return conversation if turns is conversation.turns else replace(conversation, turns=turns)


class SearchLoop:
    """The searches of one request. `conversation`: what the provider gets."""

    def __init__(self, engine: "SearchEngine", hosted: HostedSearch, conversation: Conversation) -> None:
        """`conversation`: the client's, without the declaration."""
        self.backend = engine.settings.backend
        self.warnings = [
            dropped(f"{hosted.tool}.{field}", "", "the gateway's web search has no such setting")
            for field in hosted.ignored
        ]
        self.name = _free_name(conversation.settings.tools or ())
        self._engine = engine
        self._hosted = hosted
        self._form = search_form(conversation.protocol or "")
        most = engine.settings.max_uses
        self._most = most if hosted.max_uses is None else min(most, hosted.max_uses)
        self._uses = 0
        self._searches: list[FinishedSearch] = []
        self._texts: list[Text] = []
        """The texts of the reply."""
        self.refusing = 0
        """Steps in which the model could not search any more."""
        self._keys = 0
        """The next key of a part of the reply."""
        self._usage: Usage | None = None
        """The usage of the finished steps."""
        settings = conversation.settings
        settings = replace(settings, tools=[*(settings.tools or []), _tool(self.name, hosted)])
        asked = replace(conversation, settings=_named(settings, hosted, self.name))
        self.conversation = with_earlier_searches(asked, self.name)
        self._until = asyncio.get_running_loop().time() + SECONDS

    async def relay(
        self,
        providers: ProviderClient,
        sending: Sending,
        consume: Consume,
        warned: Callable[[Warned], object],
        policy: Policy,
    ) -> None:
        """Like `Opening.opened`, with as many steps as the searches need. `sending`: the call of the first step.

        Raises:
            ModelbayError: the first step did not begin.
        """
        opened: Opened | None = None
        step = Step(self, first=True)

        def feed(call: Opened, events: list[Event]) -> None:
            nonlocal opened
            opened = call
            if shown := step.feed(events):
                consume(call, shown)

        try:
            while True:
                await Opening(providers, sending, policy, feed).opened(warned)
                if opened is None or step.end is None:
                    return  # the reply failed, as the client was told
                async for shown in step.rest():
                    consume(opened, shown)
                if step.is_last:
                    return
                self.conversation = self._continued(step)
                step = Step(self, first=False)
                sending = await _next(providers, sending, self.conversation)
        except ModelbayError as error:
            if opened is None or step.first:
                raise
            consume(opened, [Failed(error)])
        finally:
            step.cancel()

    def _continued(self, step: "Step") -> Conversation:
        """The conversation with a step and the results of its searches."""
        conversation, settings = self.conversation, self.conversation.settings
        results = Turn("tool", [result_of(search.call, search.outcome) for search in step.searches])
        choice = settings.tool_choice
        if choice is not None and (choice.mode in ("tool", "required") or choice.required):
            # a tool that must be called has been called
            settings = replace(settings, tool_choice=ToolChoice("auto", parallel=choice.parallel))
        if self._uses >= self._most or asyncio.get_running_loop().time() >= self._until:
            self.refusing += 1
            settings = self._without_tool(settings)
        turns = [*conversation.turns, Turn("assistant", step.parts), results]
        return replace(conversation, turns=turns, settings=settings)

    def _without_tool(self, settings: Settings) -> Settings:
        """The settings for the last step. A history with calls requires tools, so the only tool stays."""
        others = [tool for tool in settings.tools or () if tool.name != self.name]
        if others:
            return replace(settings, tools=others)
        return replace(settings, tool_choice=ToolChoice("none"))

    # --- for its steps ---

    def key(self) -> int:
        self._keys += 1
        return self._keys - 1

    def begin(self, call: ToolCall) -> "tuple[FinishedSearch, asyncio.Task[SearchOutcome] | None]":
        """Begin the search that a call asks for. Without a task, it has failed."""
        query = query_of(call)
        search = FinishedSearch(call, self._form.search_id(call, len(self._searches)), query or "", SearchOutcome())
        self._searches.append(search)
        if query is None:
            search.outcome = SearchOutcome(error="invalid_tool_input")
        elif self._uses >= self._most or asyncio.get_running_loop().time() >= self._until:
            search.outcome = SearchOutcome(error="max_uses_exceeded")
        else:
            self._uses += 1
            return search, asyncio.ensure_future(self._engine.search(query, self._hosted))
        return search, None

    def shown_before(self, search: FinishedSearch) -> list[Event]:
        events: list[Event] = []
        for part in self._form.before(search.call):
            key = self.key()
            events += [PartStarted(key, part), PartEnded(key, part)]
        return events

    def shown_call(self, search: FinishedSearch, key: int, *, ended: bool) -> list[Event]:
        part = self._form.called(search, self._hosted, ended=ended)
        if part is None:
            return []
        if ended:
            return [PartEnded(key, part)]
        arguments = part.arguments if isinstance(part, ServerToolCall) else ""
        return [PartStarted(key, part), *([PartDelta(key, arguments)] if arguments else [])]

    def shown_results(self, searches: list[FinishedSearch]) -> list[Event]:
        events: list[Event] = []
        for part in self._form.found(searches):
            key = self.key()
            events += [PartStarted(key, part), PartEnded(key, part)]
        return events

    def cited(self, event: PartEnded) -> list[Event]:
        """The end of a text, after its citations."""
        text = event.part
        if not isinstance(text, Text):
            return [event]
        found = citations(text.text, self._found())
        if not self._form.EXTRACTS:
            found = [replace(one, text=None) for one in found]
        if found:
            text = replace(text, annotations=[*(text.annotations or []), *found])
        self._texts.append(text)
        return [*(PartAnnotated(event.key, one) for one in found), PartEnded(event.key, text)]

    def _found(self) -> Iterable[FoundPage]:
        return (page for search in self._searches for page in search.outcome.pages)

    def total(self, usage: Usage | None, *, ended: bool = False) -> UsageReported:
        """The usage of all steps, with that of the current one."""
        total = _sum(self._usage, usage)
        if ended:
            self._usage = total
        return UsageReported(replace(total, web_searches=self._uses))

    def finished(self, end: Finished, *, has_calls: bool) -> Finished:
        if end.reason == "tool_calls" and not has_calls:  # the model searches although it cannot any more
            end = replace(end, reason="stop", native=None)
        return self._form.finished(end, self._searches, self._texts)


async def _next(providers: ProviderClient, before: Sending, conversation: Conversation) -> Sending:
    """The call of the next step. The endpoint of the one before may have the client's own login, and its call the client's
    headers. Raises what `ProviderClient.ready` raises."""
    sending = await providers.ready(conversation, before.target)
    sending.call.headers = {**before.call.headers, **sending.call.headers}
    sending.endpoint = before.endpoint
    return sending


class Step:
    """One call of the model: its events as the client gets them, and its parts for the next step."""

    def __init__(self, loop: SearchLoop, first: bool) -> None:
        self.first = first
        self.end: Finished | None = None
        self.searches: list[FinishedSearch] = []
        self.has_calls = False
        """Whether the model calls tools of the client."""
        self._of = loop
        self._usage: Usage | None = None
        self._keys: dict[int, int] = {}
        """The keys of parts in the reply, by those in the step."""
        self._held: list[Event] | None = None
        """The events since the first search call, with the step's own keys."""
        self._begun: dict[int, _Begun] = {}
        """The searches by the keys of their calls."""
        self._events: list[Event] = []

    @property
    def parts(self) -> list[AnyPart]:
        """The parts for the next step, as the model made them."""
        return collect(self._events).parts

    @property
    def is_last(self) -> bool:
        """Whether the reply ends with this step: there is no search, the client has calls to answer, or the model was stopped."""
        stopped = self.end is None or self.end.reason not in ("tool_calls", "stop")
        # some servers ignore that no tool may be called
        return not self.searches or self.has_calls or stopped or self._of.refusing > 1

    def feed(self, events: list[Event]) -> list[Event]:
        """The events for the client."""
        shown: list[Event] = []
        for event in events:
            if isinstance(event, PartEnded) and isinstance(event.part, ToolCall) and event.key in self._begun:
                event.part = compact(event.part)
            if type(event) is not PartDelta:
                self._events.append(event)
            shown += self._one(event)
        return shown

    def _one(self, event: Event) -> list[Event]:
        match event:
            case Started():
                return [event] if self.first else []
            case UsageReported(usage=usage):
                self._usage = usage
                return [self._of.total(usage)]
            case Finished():
                self.end = event
                return []
            case Failed():
                return [event]
            case PartStarted(key=key, part=ToolCall() as call) if call.name == self._of.name:
                self._held = self._held if self._held is not None else []
                self._begun[key] = _Begun()
            case PartStarted(part=ToolCall()):
                self.has_calls = True
            case PartEnded(key=key, part=ToolCall() as call) if key in self._begun:
                begun = self._begun[key]
                begun.search, begun.task = self._of.begin(call)
                self.searches.append(begun.search)
        if self._held is not None:
            self._held.append(event)
            return []
        return self._shown(event)

    def _shown(self, event: Event) -> list[Event]:
        """An event with the key that its part has in the reply."""
        match event:
            case PartStarted(key=key):
                self._keys[key] = self._of.key()
                return [replace(event, key=self._keys[key])]
            case PartDelta() | PartAnnotated() | PartEnded() if event.key in self._keys:
                event = replace(event, key=self._keys[event.key])
                return self._of.cited(event) if isinstance(event, PartEnded) else [event]
            case PartDelta() | PartAnnotated() | PartEnded():
                return []
        return [event]

    async def rest(self) -> AsyncIterator[list[Event]]:
        """The events for the client after the model's last one, as the searches end."""
        for event in self._held or ():
            begun = self._begun.get(event.key) if isinstance(event, PartStarted | PartDelta | PartEnded) else None
            if begun is None:
                yield self._shown(event)
            elif isinstance(event, PartStarted) and begun.search is not None:
                key = self._keys[event.key] = self._of.key()
                yield [*self._of.shown_before(begun.search), *self._of.shown_call(begun.search, key, ended=False)]
                if begun.task is not None:
                    begun.search.outcome = await begun.task
                yield self._of.shown_call(begun.search, key, ended=True)
        assert self.end is not None
        if self.searches:
            yield self._of.shown_results(self.searches)
        usage = self._of.total(self._usage, ended=True)
        if self.is_last:
            yield [usage, self._of.finished(self.end, has_calls=self.has_calls)]
        else:
            yield [usage]

    def cancel(self) -> None:
        """Stop the searches that are still running: the client has left, or the step failed."""
        for begun in self._begun.values():
            if begun.task is not None:
                begun.task.cancel()


class _Begun(Struct):
    """A search that a step asks for."""

    search: FinishedSearch | None = None
    task: asyncio.Task[SearchOutcome] | None = None


def _tool(name: str, hosted: HostedSearch) -> Tool:
    where = f" The user is in or near {hosted.location}." if hosted.location is not None else ""
    return Tool(name=name, description=_DESCRIPTION + where, schema=_SCHEMA)


def _named(settings: Settings, hosted: HostedSearch, name: str) -> Settings:
    """The settings with the function tool in the choice of tools, in place of the hosted one."""
    choice = settings.tool_choice
    if choice is None or hosted.name == name or hosted.name not in choice.names:
        return settings
    names = [name if one == hosted.name else one for one in choice.names]
    return replace(settings, tool_choice=replace(choice, names=names))


def _free_name(tools: Iterable[Tool]) -> str:
    """A name for the function tool that no tool of the client has."""
    taken = {tool.name for tool in tools}
    name, number = NAME, 1
    while name in taken:
        number += 1
        name = f"{NAME}_{number}"
    return name


_COUNTS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "tool_prompt")


def _sum(first: Usage | None, second: Usage | None) -> Usage:
    if first is None or second is None:
        found = first or second
        return Usage() if found is None else replace(found, raw=None)
    total = Usage()
    for name in _COUNTS:
        counts = [count for usage in (first, second) if (count := getattr(usage, name)) is not None]
        setattr(total, name, sum(counts) if counts else None)
    return total


def made_by_model(reply: Reply) -> Reply:
    """A reply without the parts that report searches: what the model made has an origin."""
    return replace(reply, parts=[part for part in reply.parts if part.origin is not None])


def refusal(hosted: HostedSearch, target: Target) -> Unsupported:
    """The error for a hosted search that neither the provider nor a back end can run."""
    return Unsupported(
        f'web search is not available: the provider "{target.upstream.provider.id}" does not run the tool '
        f"`{hosted.tool}` of this protocol, and no search back end is configured in [gateway.search]",
        setting=hosted.tool,
        hint='add [gateway.search] to the configuration file, for example with backend = "searxng", or send the request '
        "without this tool",
    )


def with_searches(
    conversation: Conversation, target: Target, engine: "SearchEngine | None", *, strict: bool
) -> tuple[Conversation, SearchLoop | None, list[Warned]]:
    """The conversation as a provider gets it that does not run hosted searches: with a function tool in their place, and with
    earlier searches as its calls. The loop runs them; None if the conversation declares none, or if its provider runs them.

    Raises:
        Unsupported: there is no back end, and the request is for a search, or `strict` is set.
    """
    found = _declared(conversation, target)
    if found is None:
        return with_earlier_searches(conversation), None, []
    hosted, settings = found
    without = replace(conversation, settings=settings)
    if engine is not None:
        loop = SearchLoop(engine, hosted, without)
        return loop.conversation, loop, loop.warnings
    # coding agents declare it in every request, beside their own tools
    if hosted.alone or strict:
        raise refusal(hosted, target)
    why = "the provider cannot search, and no search back end is configured in [gateway.search]"
    return with_earlier_searches(without), None, [dropped(hosted.tool, target.upstream.protocol, why)]


def declares_search(conversation: Conversation, target: Target) -> bool:
    """Whether a conversation declares a hosted search that its provider does not run."""
    return _declared(conversation, target) is not None


def _declared(conversation: Conversation, target: Target) -> tuple[HostedSearch, Settings] | None:
    """The hosted search that a conversation declares and its provider does not run, and the settings without it."""
    settings, protocol, to = conversation.settings, conversation.protocol, target.upstream
    if "web_search_options" not in settings.extra and all(tool.kind != "vendor" for tool in settings.tools or ()):
        return None  # most requests
    if protocol is None or (protocol == to.protocol and to.dialect.hosted_search):
        return None
    return search_form(protocol).declared(settings)
