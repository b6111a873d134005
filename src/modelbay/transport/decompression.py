"""Decompresses replies, with a limit on the decompressed size."""

import zlib
from collections.abc import Iterator
from typing import Literal, TypeAlias

from modelbay.errors import MalformedReply
from modelbay.transport.failure import AGAIN, TOO_LARGE, cut_off, final, too_large
from modelbay.transport.request import ENCODINGS, Request

Limited: TypeAlias = Literal["reply_bytes", "stream_bytes"]
"""The size limit that a body has."""

PIECE = 64 * 1024
"""Maximum bytes decompressed in one step."""
ALWAYS_EXPANDED = 2**20
"""Bytes that a compressed reply may always expand to, however small it was."""


class Decompressor:
    """Decompresses a body piece by piece.

    aiohttp's own decompression is not used: it accepts a truncated gzip stream as complete.
    """

    def __init__(self, encoding: str, request: Request, limited: Limited) -> None:
        self._encoding = encoding
        self._request = request
        self._limited = limited
        self._received = self._decompressed = 0
        self._member: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decompressed pieces of a chunk.

        Raises:
            MalformedReply: it could not be decompressed, or expands too much.
        """
        self._received += len(chunk)
        rest, full = chunk, False
        while rest or full:
            member = self._member
            if member is None:  # some servers send `deflate` without the zlib header that the standard requires
                bare = self._encoding == "deflate" and rest[0] & 0x0F != 8
                member = self._member = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
            try:
                piece = member.decompress(rest, PIECE)
            except zlib.error:
                what = f"{self._request.server} sent a compressed reply that could not be decompressed"
                raise MalformedReply(what, hint=AGAIN) from None
            self._check(len(piece))
            if piece:
                yield piece
            rest = member.unused_data or member.unconsumed_tail
            full = len(piece) == PIECE and not member.eof
            if member.eof:
                self._member = None  # another compressed member may follow; together they are one body

    def close(self) -> None:
        """Check that the body is complete. Raises IncompleteReply if it is not."""
        if self._member is not None:
            raise cut_off(self._request, self._received)

    def _check(self, size: int) -> None:
        self._decompressed += size
        limits = self._request.limits
        if self._decompressed > max(ALWAYS_EXPANDED, self._received * limits.max_expansion):
            what = f"{self._request.server} sent a compressed reply that expands too much"
            raise final(MalformedReply(what, hint=TOO_LARGE))
        if self._decompressed > getattr(limits, self._limited):
            raise too_large(self._request, self._limited)


def decompressor(encoding: str | None, request: Request, limited: Limited) -> Decompressor | None:
    """The decompressor for a content encoding; None if the body is not compressed."""
    if encoding is None or encoding.lower() not in ENCODINGS:
        return None
    return Decompressor(encoding.lower(), request, limited)
