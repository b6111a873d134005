"""A chat: its turns, and how a complete, interrupted or failed answer changes them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec import Struct, field

from modelbay.conversation import AnyPart, Media, Text, ToolResult, Turn, user
from modelbay.events import Event, PartDelta, PartStarted, Reply, collect
from modelbay.hub import Hub

BRANCH = " (branch)"
"""Suffix of the title of a chat that branches off another one."""
NOT_RUN = "This call was not run: no tools are available. Answer without tools."


class ChatStorage(Protocol):
    """Stores a conversation while it is in progress; `keeping.Keeper` does it."""

    leaving: bool
    """Whether the program is about to end."""

    async def changed(self, chat: "Chat") -> None: ...

    async def came(self, chat: "Chat") -> None: ...


class Chat(Struct):
    """`model` and `effort` apply to the next question; None is the default."""

    model: str | None = None
    effort: str | None = None
    turns: list[Turn] = field(default_factory=list)
    title: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars so far, without the answers whose price is unknown."""
    context: int = 0
    """Tokens of the last request and its answer."""
    question: Turn | None = None
    """The question that is being answered."""
    pieces: list[str] = field(default_factory=list)
    """The text of that answer so far, in pieces."""
    private: bool = False
    """Whether the chat must not be stored."""
    saved: bool = False
    """Whether the user saved this chat or the one it branches off: it is stored even with `keep = "ask"`."""
    id: int | None = None
    """ID in the store; None if it is not stored."""
    revision: int = 0
    """Revision in the store. A different one in the store means that another program has changed the chat."""
    stored: int = 0
    """Number of turns in the store."""
    models: dict[int, str] = field(default_factory=dict)
    """The model of each answer, by the index of its turn."""

    async def ask(
        self, hub: Hub, text: str, files: Sequence[Media] = (), keeper: ChatStorage | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of the answer. Leaving the iteration interrupts it.

        The question becomes part of the chat together with its answer. An interrupted answer keeps its text, but not its
        thinking, which providers accept only if it is complete. Without an answer the chat does not change.

        Raises:
            ModelbayError: the answer did not start.
        """
        question = self.question = user(text, *files)
        events: list[Event] = []
        texts: set[int] = set()
        before = len(self.turns)
        try:
            if keeper is not None:
                await keeper.changed(self)
            async with aclosing(hub.stream([*self.turns, question], model=self.model, effort=self.effort)) as stream:
                async for event in stream:
                    events.append(event)
                    if isinstance(event, PartStarted) and isinstance(event.part, Text):
                        texts.add(event.key)
                    elif isinstance(event, PartDelta) and event.key in texts:
                        self.pieces.append(event.text)
                        if keeper is not None:
                            await keeper.came(self)
                    yield event
        finally:
            self._end(hub, question, events)
            if keeper is not None:
                if keeper.leaving and len(self.turns) == before:
                    self.question = question  # the user gets it back when the conversation is resumed
                await keeper.changed(self)

    @property
    def whole_in_store(self) -> bool:
        """Whether all turns are stored."""
        return self.id is not None and self.stored == len(self.turns)

    def branch(self, number: int) -> "Chat":
        """A new chat with the turns before that index. This chat does not change, in the store neither."""
        return Chat(
            self.model, self.effort, self.turns[:number],
            title=f"{self.name.removesuffix(BRANCH)}{BRANCH}" if number else "",
            input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost=self.cost,
            private=self.private, saved=self.id is not None,
            models={at: model for at, model in self.models.items() if at < number},
        )  # fmt: skip

    def settle(self) -> None:
        """Makes an interrupted answer part of the chat, with the text so far."""
        if self.question is not None and (text := "".join(self.pieces)):
            self.turns += [self.question, Turn("assistant", [Text(text=text)])]
            self.question = None
        self.pieces = []

    def take_back(self) -> tuple[str, list[Media]]:
        """Removes a question that was not answered before the program ended. Returns its text and files for the user."""
        asked, self.question = self.question, None
        if asked is None:
            return "", []
        return asked.text, [part for part in asked.parts if isinstance(part, Media)]

    def _end(self, hub: Hub, question: Turn, events: list[Event]) -> None:
        reply = collect(events)
        if reply.usage is not None:
            self._add(hub, reply)
        answer, before = reply.turn() if reply.finish is not None else None, len(self.turns)
        if answer is None:
            self.settle()
        elif answer.parts:
            self.turns += [question, answer]
        if len(self.turns) > before:
            model = hub.model(self.model)
            self.models[before + 1] = model.alias or f"{model.provider}/{model.id}"
        self.question, self.pieces = None, []
        if reply.finish is not None and reply.tool_calls:
            results: list[AnyPart] = [
                ToolResult(call_id=call.id, name=call.name, parts=[Text(text=NOT_RUN)], is_error=True)
                for call in reply.tool_calls
            ]
            self.turns.append(Turn("tool", results))

    def _add(self, hub: Hub, reply: Reply) -> None:
        assert reply.usage is not None
        self.input_tokens += reply.usage.input_total
        self.output_tokens += reply.usage.output_total
        self.context = reply.usage.total
        cost = hub.cost(hub.model(self.model), reply.usage)
        if cost is not None:
            self.cost = (self.cost or 0) + cost

    @property
    def empty(self) -> bool:
        """Whether there are no turns and no question."""
        return not self.turns and self.question is None

    @property
    def name(self) -> str:
        """The title, otherwise the first 60 characters of the first message."""
        turns = [*self.turns, *([self.question] if self.question else [])]
        first = next((part.text for turn in turns for part in turn.parts if isinstance(part, Text)), "")
        return self.title or " ".join(first.split())[:60]
