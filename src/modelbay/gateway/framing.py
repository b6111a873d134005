"""The framing of streams that are passed on as bytes."""

import re

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import ModelbayError
from modelbay.events import Failed, Started
from modelbay.protocols.codec import codec
from modelbay.protocols.google.request import FRAMING

_BLANK = (b"\n\n", b"\r\n\r\n")
_EVENT = re.compile(rb".+?(?:\r?\n){2}", re.DOTALL)
HELD = 64 * 1024
"""Longest incomplete event that is held back, in bytes. A longer one, such as an image, is passed on in pieces."""


class WholeEvents:
    """Passes on server-sent events only when they are complete, so that a keep-alive or an error can follow at any time."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The events that are complete now."""
        data = self._rest + data if self._rest else data
        if data.endswith(_BLANK):
            self._rest = b""
            return data
        end = max(found + len(blank) if (found := data.rfind(blank)) >= 0 else 0 for blank in _BLANK)
        if not end and len(data) > HELD:
            end = len(data)
        self._rest = data[end:]
        return data[:end]

    def close(self) -> bytes:
        """The end of a stream that ended as it should, perhaps without a blank line."""
        rest, self._rest = self._rest, b""
        return rest


def before_failure(protocol: str, data: bytes) -> bytes:
    """The events in a piece of a stream before the one with which the reply fails. SDKs raise errors of their own at an event
    that is not JSON, and take an unknown finish reason for the end."""
    parser, kept = codec(protocol).stream_parser(PLAIN), b""
    for event in _EVENT.findall(data):
        if any(type(found) is Failed for found in parser.feed(event)):
            break
        kept += event
    return kept


def failure_event(protocol: str, error: ModelbayError, begun: Started | None = None) -> bytes:
    """The event that reports a failure to the client of a stream that was passed on until then. `begun`: the start of the
    reply. OpenAI's SDK rejects the end of another response than the one that began."""
    feed = codec(protocol).stream_renderer(Conversation()).feed
    if begun is not None:
        feed(begun)
    # a renderer that has sent nothing yet begins the reply first
    return feed(Failed(error)).rstrip(b"\n").rpartition(b"\n\n")[2] + b"\n\n"


def failure_array(protocol: str, error: ModelbayError) -> bytes:
    """The JSON array that reports a failure to a client whose stream is an array, of which nothing was sent."""
    conversation = Conversation()
    conversation.settings.spelling[FRAMING] = "array"
    return codec(protocol).stream_renderer(conversation).feed(Failed(error))
