"""Pages and text of a PDF document, as far as its tokens depend on them: without fonts and layout."""

import re
import zlib
from typing import NamedTuple

_STREAM = re.compile(rb"stream\r?\n")
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_STRING = re.compile(rb"\(((?:[^()\\]|\\.)*)\)|<([0-9A-Fa-f\s]+)>", re.DOTALL)
_NO_TEXT = (b"/Image", b"/FontFile", b"/Length1", b"/ICCBased", b"/XRef")
"""Words in the dictionaries of streams that have neither text nor objects."""
_DICTIONARY = 400
"""Maximum bytes of the dictionary of a stream that are read."""
_STREAMS = 2_000
"""Maximum number of streams that are read."""
_EACH, _ALL = 1 << 20, 4 << 20
"""Maximum bytes of one stream, and of all together, that are decompressed: a hostile one may have terabytes."""


class PdfContents(NamedTuple):
    pages: int
    """0 if they cannot be seen."""
    characters: int
    """The characters of the text, mostly without spaces."""


def pdf_contents(data: bytes) -> PdfContents:
    pages, characters, left = len(_PAGE.findall(data)), 0, _ALL
    for count, found in enumerate(_STREAM.finditer(data)):
        if count >= _STREAMS or left <= 0:
            break
        before = data[max(0, found.start() - _DICTIONARY) : found.start()].rpartition(b" obj")[2]
        if b"FlateDecode" not in before or any(word in before for word in _NO_TEXT):
            continue
        try:
            content = zlib.decompressobj().decompress(data[found.end() : found.end() + _EACH], min(_EACH, left))
        except zlib.error:
            continue
        left -= len(content)
        if b"/ObjStm" in before:
            pages += len(_PAGE.findall(content))
        elif b"Tj" in content or b"TJ" in content:
            # a hexadecimal string has two bytes for each glyph
            characters += sum(len(text) + len(glyphs) // 4 for text, glyphs in _STRING.findall(content))
    return PdfContents(pages, characters)
