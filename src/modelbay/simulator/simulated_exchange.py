"""One request that the model answers: what was asked, and the answer in the protocol's bytes."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

from modelbay.conversation import Conversation, Extra
from modelbay.events import Event, PartDelta, collect
from modelbay.json_text import decode
from modelbay.protocols.codec import Codec
from modelbay.simulator import brain, responses
from modelbay.simulator.choices import joined_body, joined_stream
from modelbay.simulator.odd_streams import rewritten_bytes
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
    others: list[brain.SimulatedReply] = field(default_factory=list)
    """The other choices, if the request asked for several."""
    echo: Extra = field(default_factory=dict)
    """Fields of the request that the response repeats."""

    @property
    def stream(self) -> bool:
        return bool(self.conversation.stream)

    def events(self) -> Iterator[Event]:
        return self._events(self.reply)

    def _events(self, reply: brain.SimulatedReply) -> Iterator[Event]:
        others = [other for other in (self.reply, *self.others) if other is not reply]
        return brain.events(reply, self.id, self.conversation.model or "", self.usage, self.created, others)

    def body(self) -> bytes:
        """The reply as one JSON body."""
        bodies = [self.codec.render_reply(collect(self._events(reply))) for reply in (self.reply, *self.others)]
        body = bodies[0] if len(bodies) == 1 else joined_body(bodies)
        return msgspec.json.encode(decode(body) | self.echo) if self.echo else body

    def render(self, events: Iterator[Event]) -> Iterator[Step]:
        """The stream of events, in one piece per event."""
        renderer = self.codec.stream_renderer(self.conversation)
        for event in events:
            if self.pace and type(event) is PartDelta:
                yield Pause(self.pace)
            if data := renderer.feed(event):
                yield self._with_echo(data)

    def _with_echo(self, data: bytes) -> bytes:
        if not self.echo or b'"response":{' not in data:
            return data
        return rewritten_bytes(data, self._echoed)

    def _echoed(self, chunk: Extra) -> list[Extra]:
        if isinstance(chunk.get("response"), dict):
            chunk["response"] |= self.echo
        return [chunk]

    def answer(self) -> SimulatedResponse:
        if self.stream:
            streams = [self.render(self._events(reply)) for reply in (self.reply, *self.others)]
            return self.streamed(streams[0] if len(streams) == 1 else joined_stream(streams))
        return responses.whole(200, self.body())

    def streamed(self, steps: Iterator[Step]) -> SimulatedResponse:
        array = self.conversation.settings.spelling.get(FRAMING) == "array"
        return responses.streamed(steps, JSON if array else EVENT_STREAM)
