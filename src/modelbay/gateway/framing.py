"""The streams that clients get: a provider's, passed on as bytes, or one that is rendered in the client's protocol."""

import re

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import MalformedReply, ModelbayError, ProviderError, ReplyError
from modelbay.events import Event, Failed, PartDelta, Started
from modelbay.json_text import decode
from modelbay.protocols import sse
from modelbay.protocols.codec import codec
from modelbay.protocols.google.request import FRAMING

_BLANK = (b"\n\n", b"\n\r\n", b"\r\r")
_EVENT_END = re.compile(rb"\n\r?\n|\r\r")
HELD = 64 * 1024
"""Longest incomplete event that is held back, in bytes. A longer one, such as an image, is passed on in pieces."""


class WholeEvents:
    """Passes on server-sent events only when they are complete, so that a keep-alive or an error can follow at any time."""

    def __init__(self) -> None:
        self.rest = b""
        """The beginning of an event, which is held back."""
        self.within = False
        """Whether the last piece ended inside an event."""

    def feed(self, data: bytes) -> bytes:
        """The events that are complete now."""
        data = self.rest + data if self.rest else data
        if data.endswith(_BLANK):
            self.rest, self.within = b"", False
            return data
        end = max(found + len(blank) if (found := data.rfind(blank)) >= 0 else 0 for blank in _BLANK)
        if end:
            self.within = False
        elif len(data) > HELD:
            end, self.within = len(data), True
        self.rest = data[end:]
        return data[:end]

    def close(self) -> bytes:
        """The end of a stream that ended as it should, perhaps without a blank line."""
        rest, self.rest = self.rest, b""
        return rest


class PassedStream:
    """A provider's stream of server-sent events, as bytes."""

    named = False
    """Whether the reply failed with a finish reason that clients know."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._frames = WholeEvents()
        self._started: Started | None = None
        self._within = False
        """Whether the client has the first part of an event, and not its end."""
        self._last = b""
        """The last bytes that were passed on: a reply fails only at its end if its finish reason says so."""
        self._broken: ModelbayError | None = None
        """Why the reply failed, if the provider sent no event about it that the client reads."""

    def more(self, data: bytes, delta: PartDelta) -> bytes:
        """The bytes for the client, from bytes of the provider that only continue a part, as most do."""
        frames = self._frames
        if not frames.rest and not frames.within and data.endswith(_BLANK) and self._broken is None:
            self._last = data
            return data
        return self.feed(data, [delta])

    def feed(self, data: bytes, events: list[Event]) -> bytes:
        """The bytes for the client, from the next bytes of the provider and the events in them."""
        if self._broken is not None:
            return b""
        frames = self._frames
        failed: ModelbayError | None = None
        for event in events:
            if type(event) is Started:
                self._started = event
            elif type(event) is Failed:
                failed = event.error
        within = frames.within
        data = frames.feed(data)
        if failed is None:
            self._last = data
            return data
        kept = before_failure(self._protocol, data)
        if isinstance(failed, ProviderError) and is_failure(self._protocol, data[len(kept) :]):
            return data
        if isinstance(failed, ReplyError) and names_failure(self._protocol, data or self._last, stream=True):
            self.named = True
            return data
        self._broken, self._within = failed, within and not kept
        return kept

    def close(self) -> bytes:
        """The end of the stream, or the event that reports its failure."""
        if self._broken is None:
            return self._frames.close()
        failure = failure_event(self._protocol, self._broken, self._started)
        return b"\n\n" + failure if self._within else failure


class RenderedStream:
    """A reply as a stream in the client's protocol."""

    named = False
    """See `PassedStream`. A failure is rendered as an event."""

    def __init__(self, protocol: str, conversation: Conversation) -> None:
        self._feed = codec(protocol).stream_renderer(conversation).feed

    def more(self, data: bytes, delta: PartDelta) -> bytes:
        """The bytes for the client, from more of a part. The provider's bytes are not used."""
        return self._feed(delta)

    def feed(self, data: bytes, events: list[Event]) -> bytes:
        """The bytes for the client, from the next events. The provider's bytes are not used."""
        return b"".join([self._feed(event) for event in events])

    def close(self) -> bytes:
        """The end of the stream: nothing, as the last event ends it."""
        return b""


def before_failure(protocol: str, data: bytes) -> bytes:
    """The events in a piece of a stream before the one with which the reply fails. SDKs raise errors of their own at an event
    that is not JSON, and take an unknown finish reason for the end."""
    parser, kept = codec(protocol).stream_parser(PLAIN), 0
    for end in _EVENT_END.finditer(data):
        if any(type(found) is Failed for found in parser.feed(data[kept : end.end()])):
            break
        kept = end.end()
    return data[:kept]


def is_failure(protocol: str, data: bytes) -> bool:
    """Whether clients of a protocol read the first event of a piece of a stream as a failure. Servers with several protocols send
    an error in the form of another one, which clients ignore."""
    try:
        name, text = sse.Decoder().feed(data)[0]
        fields = decode(text)
    except (IndexError, MalformedReply):
        return False
    framed = not data.lstrip().startswith(b"{")  # a line without `data:` is not an event for clients
    return framed and isinstance(fields, dict) and codec(protocol).PASS.is_failure(name, fields)


def names_failure(protocol: str, reply: bytes, *, stream: bool) -> bool:
    """Whether clients of a protocol find in a reply, or in events of a stream, that the model failed."""
    texts = [text for _, text in sse.Decoder().feed(reply)] if stream else [reply]
    try:
        found = [decode(text) for text in texts]
    except MalformedReply:
        return False
    return any(isinstance(fields, dict) and codec(protocol).PASS.names_failure(fields) for fields in found)


def failure_event(protocol: str, error: ModelbayError, begun: Started | None = None) -> bytes:
    """The event that reports a failure to the client of a stream that was passed on until then. `begun`: the start of the
    reply. OpenAI's SDK rejects the end of another response than the one that began."""
    feed = codec(protocol).stream_renderer(Conversation()).feed
    if begun is not None:
        feed(begun)
    # a renderer that has sent nothing yet begins the reply first
    return feed(Failed(error)).rstrip(b"\n").rpartition(b"\n\n")[2] + b"\n\n"


def failed_stream(protocol: str, error: ModelbayError) -> bytes:
    """The stream of a reply that failed before anything of it was sent. Its beginning is in it: OpenAI's SDK accepts no other event
    first."""
    return codec(protocol).stream_renderer(Conversation()).feed(Failed(error))


def failure_array(protocol: str, error: ModelbayError) -> bytes:
    """The JSON array that reports a failure to a client whose stream is an array, of which nothing was sent."""
    conversation = Conversation()
    conversation.settings.spelling[FRAMING] = "array"
    return codec(protocol).stream_renderer(conversation).feed(Failed(error))
