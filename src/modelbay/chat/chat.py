"""A chat: the turns so far, and what becomes of an answer that is whole, cut short or failed."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct, field

from modelbay.conversation import AnyPart, Media, Text, ToolResult, Turn, user
from modelbay.events import Event, PartDelta, PartStarted, Reply, collect
from modelbay.hub import Hub

NOT_RUN = "This call was not run: there are no tools here. Answer without them."


class Chat(Struct):
    """`model` and `effort` are for the next question; None is the default."""

    model: str | None = None
    effort: str | None = None
    turns: list[Turn] = field(default_factory=list)
    title: str = ""
    id: int | None = None
    """Where it is kept; None: nowhere yet."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """Dollars so far, of the answers whose price is known."""
    context: int = 0
    """Tokens that the model last had before it, its answer included."""

    async def ask(self, hub: Hub, text: str, files: Sequence[Media] = ()) -> AsyncGenerator[Event, None]:
        """The events of the answer. Leaving the iteration interrupts it.

        The question becomes part of the chat with its answer; of one that was cut short, the text that came is kept, without
        the reasoning, which providers take back whole only. Where nothing came the chat is as it was.

        Raises:
            ModelbayError: no answer began.
        """
        question = user(text, *files)
        events: list[Event] = []
        try:
            async with aclosing(hub.stream(self.model, [*self.turns, question], effort=self.effort)) as stream:
                async for event in stream:
                    events.append(event)
                    yield event
        finally:
            self._keep(hub, question, events)

    def _keep(self, hub: Hub, question: Turn, events: list[Event]) -> None:
        reply = collect(events)
        if reply.usage is not None:
            self._add(hub, reply)
        if reply.finish is not None:
            answer = reply.turn()
        else:
            said = _text(events)
            answer = Turn("assistant", [Text(text=said)] if said else [])
        if not answer.parts:
            return
        self.turns += [question, answer]
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
    def name(self) -> str:
        """What to call it: its title, else how it begins."""
        first = next((part.text for turn in self.turns for part in turn.parts if isinstance(part, Text)), "")
        return self.title or " ".join(first.split())[:60]


def _text(events: list[Event]) -> str:
    """The text of an answer that did not end."""
    texts = {event.key for event in events if isinstance(event, PartStarted) and isinstance(event.part, Text)}
    return "".join(event.text for event in events if isinstance(event, PartDelta) and event.key in texts)
