"""Pictures of one color, to test image input: the model must name the color, which the prompt does not contain."""

import re
import struct
import zlib
from base64 import b64encode

COLORS = {
    "red": (255, 0, 0),
    "green": (0, 160, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
SIDE = 64
"""Width and height in pixels. Some providers reject pictures below 32."""


def picture(color: str) -> str:
    """A square of a color of `COLORS`, as PNG in Base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(COLORS[color]) * SIDE) * SIDE
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b64encode(png).decode()


def names(text: str, color: str) -> bool:
    """Whether an answer names this color and no other of `COLORS`: an answer with several colors is a guess."""
    return set(re.findall(r"[a-z]+", text.lower())) & set(COLORS) == {color}
