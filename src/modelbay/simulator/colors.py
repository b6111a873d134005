"""What the simulator sees in a picture: the color of a PNG that has one color only."""

import struct
import zlib
from base64 import b64decode

NAMES = {
    (255, 0, 0): "red",
    (0, 160, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
    (0, 0, 0): "black",
    (255, 255, 255): "white",
}
MOST = 2**20
"""Bytes of a picture, unpacked: no more are looked at."""


def color(data: str) -> str | None:
    """The color of a PNG in Base64: 8 bits of red, green and blue, all pixels the same, one IDAT chunk. Else None."""
    try:
        png = b64decode(data)
        kind, width, height, depth, form, _, _, interlaced = struct.unpack_from(">4sIIBBBBB", png, 12)
        size = struct.unpack_from(">I", png, 33)[0]
        if (kind, depth, form, interlaced, png[37:41]) != (b"IHDR", 8, 2, 0, b"IDAT"):
            return None
        rows = zlib.decompressobj().decompress(png[41 : 41 + size], MOST)
    except (ValueError, struct.error, zlib.error):
        return None
    pixel = rows[1:4]
    if not width or rows != (b"\0" + pixel * width) * height:
        return None
    return NAMES.get((pixel[0], pixel[1], pixel[2]))
