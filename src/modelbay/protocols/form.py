"""The form of a successful response: a JSON body, a stream of events, or a web page."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from modelbay.conversation import Provenance
from modelbay.dialect import Dialect
from modelbay.errors import MalformedReply
from modelbay.events import Event
from modelbay.protocols.codec import Codec
from modelbay.protocols.failures import summary, text_of

Form: TypeAlias = Literal["whole", "stream", "page"]

WRONG_URL = "check base_url: this looks like a web page, not an API"
GATEWAY = "try again later: a proxy reports that the provider is down or slow"
_GATEWAY_PAGE = re.compile(
    r"\b50[0-4]\b|bad gateway|gateway time-?out|service (?:temporarily )?unavailable", re.IGNORECASE
)


def form_of(headers: Mapping[str, str], protocol: str, *, stream: bool) -> Form:
    """The form of a response. `stream`: whether streaming was requested. `headers` have lower-case names."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        return "page"
    if kind == "text/event-stream":  # some servers always stream
        return "stream"
    # a server without streaming sends one body; Google's streams may be JSON themselves
    return "stream" if stream and (kind != "application/json" or protocol == "google") else "whole"


class Mislabeled:
    """Parses a reply whose content type does not fit the request: an event stream, or a JSON body. Either may have the content type
    of the other."""

    def __init__(self, codec: Codec, dialect: Dialect, origin: Provenance | None = None) -> None:
        self._codec, self._dialect, self._origin = codec, dialect, origin
        self._parser = codec.stream_parser(dialect, origin)
        self._body = bytearray()
        self._is_whole: bool | None = None

    @property
    def finishing(self) -> bool:
        return not self._is_whole and self._parser.finishing

    def feed(self, data: bytes) -> list[Event]:
        if self._is_whole is False:
            return self._parser.feed(data)
        self._body += data
        if self._is_whole is None and (begin := first_byte(self._body)):
            self._is_whole = begin == b"{"
            if not self._is_whole:
                return self._parser.feed(bytes(self._body))
        return []

    def close(self) -> list[Event]:
        if self._is_whole:
            return self._codec.parse_reply(bytes(self._body), self._dialect, self._origin)
        return self._parser.close()


def is_event_stream(body: bytes) -> bool:
    """Whether a body is a stream of events. Its content type may be wrong."""
    return body.lstrip().startswith((b"data:", b"event:", b":"))


def is_json(body: bytes) -> bool:
    """Whether a body begins as JSON. Its content type may be wrong."""
    return first_byte(body) in (b"{", b"[")


def first_byte(data: bytes | bytearray) -> bytes:
    """The first byte that is not white space or a byte order mark; b"" if there is none."""
    return bytes(data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1])


def web_page(body: bytes) -> MalformedReply:
    """The error for a web page. A gateway's error page does not mean that base_url is wrong."""
    page = summary(text_of(body))
    hint = GATEWAY if _GATEWAY_PAGE.search(page) else WRONG_URL
    error = MalformedReply(f"the provider answered with {page}", hint=hint)
    error.retryable = hint == GATEWAY
    return error
