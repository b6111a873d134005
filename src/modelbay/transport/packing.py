"""Decompresses replies, with a limit on the decompressed size."""

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from modelbay.errors import MalformedReply
from modelbay.transport.failure import AGAIN, TOO_LARGE, cut_off, final, too_large
from modelbay.transport.request import Request

PIECE = 64 * 1024
"""Maximum bytes decompressed in one step."""
UNPACKED_FREELY = 2**20
"""Bytes that a compressed reply may always expand to, however small it was."""


async def unpacked(
    chunks: AsyncGenerator[bytes, None], packing: str, request: Request, limited: Literal["reply_bytes", "stream_bytes"]
) -> AsyncGenerator[bytes, None]:
    """Decompress a body piece by piece.

    aiohttp's own decompression is not used: it accepts a truncated gzip stream as complete.
    """
    limit = getattr(request.limits, limited)
    received = unpacked = 0
    unpacker: zlib._Decompress | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            received += len(chunk)
            rest, full = chunk, False
            while rest or full:
                if unpacker is None:  # some servers send `deflate` without the zlib header that the standard requires
                    bare = packing == "deflate" and rest[0] & 0x0F != 8
                    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
                try:
                    piece = unpacker.decompress(rest, PIECE)
                except zlib.error:
                    what = f"{request.server} sent a compressed reply that could not be decompressed"
                    raise MalformedReply(what, hint=AGAIN) from None
                unpacked += len(piece)
                if unpacked > max(UNPACKED_FREELY, received * request.limits.max_expansion):
                    what = f"{request.server} sent a compressed reply that expands too much"
                    raise final(MalformedReply(what, hint=TOO_LARGE))
                if unpacked > limit:
                    raise too_large(request, limited)
                if piece:
                    yield piece
                rest = unpacker.unused_data or unpacker.unconsumed_tail
                full = len(piece) == PIECE and not unpacker.eof
                if unpacker.eof:
                    unpacker = None  # another compressed member may follow; together they are one body
        if unpacker is not None:
            raise cut_off(request, received)
