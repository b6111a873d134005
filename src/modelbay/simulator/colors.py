"""Detection of the color of a PNG image with a single color."""

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
"""The maximum number of decompressed bytes that are read from an image."""


def color(data: str) -> str | None:
    """The color of a PNG in Base64 with 8-bit RGB, equal pixels and one IDAT chunk; otherwise None."""
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
