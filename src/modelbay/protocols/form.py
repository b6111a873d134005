"""In which form an answer with a status below 400 comes: one piece, a stream of events, or a web page that is neither."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from modelbay.errors import MalformedReply
from modelbay.protocols.failures import summary, text_of

Form: TypeAlias = Literal["whole", "stream", "page"]

WRONG_URL = "check base_url: this looks like a web page, not an API"
GATEWAY = "a proxy answered in its provider's place, which is down or slow: ask again later"
_GATEWAY_PAGE = re.compile(
    r"\b50[0-4]\b|bad gateway|gateway time-?out|service (?:temporarily )?unavailable", re.IGNORECASE
)


def form_of(headers: Mapping[str, str], protocol: str, *, stream: bool) -> Form:
    """`stream`: whether one was asked for. `headers` have lower-case names."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        return "page"
    # a server that does not stream answers in one piece; Google's streams may be JSON themselves
    return "stream" if stream and (kind != "application/json" or protocol == "google") else "whole"


def web_page(body: bytes) -> MalformedReply:
    """The error that a web page tells of; one that a gateway made is no sign of a wrong address."""
    page = summary(text_of(body))
    hint = GATEWAY if _GATEWAY_PAGE.search(page) else WRONG_URL
    error = MalformedReply(f"the provider answered with {page}", hint=hint)
    error.retryable = hint == GATEWAY
    return error
