"""A chat of the app: the history of the library's chat, and what the app stores with it."""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import field

from modelbay.conversation import AnyPart, Media, Text, ToolCall, ToolResult, Turn, user
from modelbay.events import Event, Finished, PartDelta
from modelbay.hub import Hub
from modelbay.library.chat import Chat
from modelbay.library.history import History, unfinished

BRANCH = " (branch)"
"""Suffix of the title of a chat that branches off another one."""
FAILED, INTERRUPTED = "failed", "interrupted"
"""Endings of an answer without a reason from the provider."""
NOT_RUN = "This call was not run: no tools are available. Answer without tools."


class ChatStorage(Protocol):
    """Stores a conversation while it is in progress; `keeping.Keeper` does it."""

    leaving: bool
    """Whether the program is about to end."""

    async def changed(self, chat: "StoredChat") -> None: ...

    async def came(self, chat: "StoredChat") -> None: ...


class StoredChat(History):
    """`model` and `effort` apply to the next question; None is the default."""

    model: str | None = None
    effort: str | None = None
    title: str = ""
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
    endings: dict[int, str] = field(default_factory=dict)
    """How the answers ended that may be incomplete, by the index of their turn: a `FinishReason`, `FAILED` or `INTERRUPTED`."""

    async def ask(
        self, hub: Hub, text: str, files: Sequence[Media] = (), keeper: ChatStorage | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of the answer. Leaving the iteration interrupts it. The turns change as those of `Chat.stream`.

        Raises:
            ModelbayError: the answer did not start.
        """
        question = self.question = user(text, *files)
        before, ending = len(self.turns), FAILED
        try:
            if keeper is not None:
                await keeper.changed(self)
            async with Chat(hub, self, self.model, {"effort": self.effort}).stream([question]) as stream:
                async for event in stream:
                    if isinstance(event, PartDelta) and event.kind == "text":
                        self.pieces.append(event.text)
                        if keeper is not None:
                            await keeper.came(self)
                    elif isinstance(event, Finished):
                        ending = event.reason
                    yield event
        except (CancelledError, GeneratorExit):
            ending = INTERRUPTED if ending == FAILED else ending
            raise
        finally:
            self._end(hub, before, ending)
            if keeper is not None:
                if keeper.leaving and len(self.turns) == before:
                    self.question = question  # the user gets it back when the conversation is resumed
                await keeper.changed(self)

    @property
    def whole_in_store(self) -> bool:
        """Whether all turns are stored."""
        return self.id is not None and self.stored == len(self.turns)

    def branch(self, number: int) -> "StoredChat":
        """A new chat with the turns before that index. This chat does not change, not even in the store."""
        return StoredChat(
            self.model, self.effort, turns=self.turns[:number],
            title=f"{self.name.removesuffix(BRANCH)}{BRANCH}" if number else "",
            usage=self.usage, costs=list(self.costs),
            earlier_cost=self.earlier_cost, earlier_unpriced=self.earlier_unpriced,
            private=self.private, saved=self.id is not None,
            models={at: model for at, model in self.models.items() if at < number},
            endings={at: ending for at, ending in self.endings.items() if at < number},
        )  # fmt: skip

    def settle(self) -> None:
        """Make an answer that was interrupted by the end of the program part of the chat, with the text so far."""
        if self.question is not None and self.pieces:
            self.add([self.question], unfinished("".join(self.pieces)))
            self.endings[len(self.turns) - 1] = INTERRUPTED
            self.question = None
        self.pieces = []

    def take_back(self) -> tuple[str, list[Media]]:
        """Remove a question that was not answered before the program ended. Returns its text and files for the user."""
        asked, self.question = self.question, None
        if asked is None:
            return "", []
        return asked.text, [part for part in asked.parts if isinstance(part, Media)]

    def _end(self, hub: Hub, before: int, ending: str) -> None:
        self.question, self.pieces = None, []
        if len(self.turns) == before:
            return
        if ending != "stop":
            self.endings[before + 1] = ending
        model = hub.model(self.model)
        self.models[before + 1] = model.alias or f"{model.provider}/{model.id}"
        if calls := [part for part in self.turns[-1].parts if isinstance(part, ToolCall)]:
            # without `is_error`: protocols that do not have it would warn in each later turn
            results: list[AnyPart] = [
                ToolResult(call_id=call.id, name=call.name, parts=[Text(text=NOT_RUN)]) for call in calls
            ]
            self.turns.append(Turn("tool", results))

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
