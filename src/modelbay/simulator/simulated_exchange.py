"""One request that the model answers: what was asked, and the answer in the protocol's bytes."""

from collections.abc import Iterator

from msgspec import Struct

from modelbay.conversation import Conversation
from modelbay.events import Event, PartDelta, collect
from modelbay.protocols.codec import Codec
from modelbay.simulator import brain, responses
from modelbay.simulator.responses import Pause, SimulatedResponse, Step
from modelbay.simulator.traits import ProtocolTraits
from modelbay.usage import Usage

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
FRAMING = "stream"
"""The key for the framing of the stream in a conversation: "array" is one JSON array, which is Gemini's default."""


class SimulatedExchange(Struct):
    conversation: Conversation
    codec: Codec
    traits: ProtocolTraits
    reply: brain.SimulatedReply
    usage: Usage
    id: str
    created: int
    pace: float = 0.0
    """Seconds between two pieces of a stream."""

    @property
    def stream(self) -> bool:
        return bool(self.conversation.stream)

    def events(self) -> Iterator[Event]:
        return brain.events(self.reply, self.id, self.conversation.model or "", self.usage, self.created)

    def body(self) -> bytes:
        """The reply as one JSON body."""
        return self.codec.render_reply(collect(self.events()))

    def render(self, events: Iterator[Event]) -> Iterator[Step]:
        """The stream of events, in one piece per event."""
        renderer = self.codec.stream_renderer(self.conversation)
        for event in events:
            if self.pace and type(event) is PartDelta:
                yield Pause(self.pace)
            if data := renderer.feed(event):
                yield data

    def answer(self) -> SimulatedResponse:
        if self.stream:
            return self.streamed(self.render(self.events()))
        return responses.whole(200, self.body())

    def streamed(self, steps: Iterator[Step]) -> SimulatedResponse:
        array = self.conversation.settings.spelling.get(FRAMING) == "array"
        return responses.streamed(steps, JSON if array else EVENT_STREAM)
