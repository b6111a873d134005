"""One request that the model answers: what was asked, and the answer in the protocol's bytes."""

from collections.abc import Iterator

from msgspec import Struct

from modelbay.conversation import Conversation
from modelbay.events import Event, PartDelta, collect
from modelbay.protocols.codec import Codec
from modelbay.simulator import answers, brain
from modelbay.simulator.answers import Answer, Pause, Step
from modelbay.simulator.manners import Manners
from modelbay.usage import Usage

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
FRAMING = "stream"
"""Where a conversation keeps how its client wants the stream: "array" is one JSON array, as Gemini frames it unasked."""


class Exchange(Struct):
    conversation: Conversation
    codec: Codec
    manners: Manners
    said: brain.Answer
    usage: Usage
    id: str
    created: int
    pace: float = 0.0
    """Seconds between two pieces of a stream."""

    @property
    def stream(self) -> bool:
        return bool(self.conversation.stream)

    def events(self) -> Iterator[Event]:
        return brain.events(self.said, self.id, self.conversation.model or "", self.usage, self.created)

    def body(self) -> bytes:
        """The whole reply."""
        return self.codec.render_reply(collect(self.events()))

    def render(self, events: Iterator[Event]) -> Iterator[Step]:
        """The stream that tells of the events, a piece each."""
        renderer = self.codec.stream_renderer(self.conversation)
        for event in events:
            if self.pace and type(event) is PartDelta:
                yield Pause(self.pace)
            if data := renderer.feed(event):
                yield data

    def answer(self) -> Answer:
        if self.stream:
            return self.streamed(self.render(self.events()))
        return answers.whole(200, self.body())

    def streamed(self, steps: Iterator[Step]) -> Answer:
        array = self.conversation.settings.spelling.get(FRAMING) == "array"
        return answers.streamed(steps, JSON if array else EVENT_STREAM)
