"""A chat: the turns so far, and what becomes of an answer that is whole, cut short or failed."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec import Struct, field

from modelbay.conversation import AnyPart, Media, Text, ToolResult, Turn, user
from modelbay.events import Event, PartDelta, PartStarted, Reply, collect
from modelbay.hub import Hub

BRANCH = " (branch)"
"""How the title of a chat ends that continues from within another one."""
NOT_RUN = "This call was not run: there are no tools here. Answer without them."


class ChatStorage(Protocol):
    """Stores a conversation while it happens, see `keeping.Keeper`."""

    leaving: bool
    """Whether the program is about to end."""

    async def changed(self, chat: "Chat") -> None: ...

    async def came(self, chat: "Chat") -> None: ...


class Chat(Struct):
    """`model` and `effort` are for the next question; None is the default."""

    model: str | None = None
    effort: str | None = None
    turns: list[Turn] = field(default_factory=list)
    title: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """Dollars so far, of the answers whose price is known."""
    context: int = 0
    """Tokens of the last request and its answer."""
    question: Turn | None = None
    """The question whose answer is under way."""
    pieces: list[str] = field(default_factory=list)
    """The text of that answer so far."""
    private: bool = False
    """Never stored."""
    saved: bool = False
    """Stored also where only conversations are that their user has saved, as this one was as a whole."""
    id: int | None = None
    """Its number in the store; None: not stored."""
    revision: int = 0
    """How often it was stored: tells whether another program has changed it."""
    stored: int = 0
    """How many turns the store has."""
    models: dict[int, str] = field(default_factory=dict)
    """The model of each answer, by the number of its turn."""

    async def ask(
        self, hub: Hub, text: str, files: Sequence[Media] = (), keeper: ChatStorage | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of the answer. Leaving the iteration interrupts it.

        The question becomes part of the chat with its answer. Of an answer that was cut short the text is kept, without the
        reasoning, which providers accept only whole. If nothing came, the chat is as it was before.

        Raises:
            ModelbayError: no answer began.
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
        """Another chat with the turns before the one of that number. This chat stays as it is, also in the store."""
        return Chat(
            self.model, self.effort, self.turns[:number],
            title=f"{self.name.removesuffix(BRANCH)}{BRANCH}" if number else "",
            input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost=self.cost,
            private=self.private, saved=self.id is not None,
            models={at: model for at, model in self.models.items() if at < number},
        )  # fmt: skip

    def settle(self) -> None:
        """Makes an answer that its program did not see the end of part of the chat, as far as it had come."""
        if self.question is not None and (text := "".join(self.pieces)):
            self.turns += [self.question, Turn("assistant", [Text(text=text)])]
            self.question = None
        self.pieces = []

    def take_back(self) -> tuple[str, list[Media]]:
        """The question that was not answered before its program ended, which is its user's again: its text and files."""
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
        """Whether nothing was said, and nothing is being asked."""
        return not self.turns and self.question is None

    @property
    def name(self) -> str:
        """What to call it: its title, else how it begins."""
        turns = [*self.turns, *([self.question] if self.question else [])]
        first = next((part.text for turn in turns for part in turn.parts if isinstance(part, Text)), "")
        return self.title or " ".join(first.split())[:60]
