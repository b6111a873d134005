"""The text of a document of Word, Excel or PowerPoint (Office Open XML)."""

import re
import zlib
from html import unescape
from io import BytesIO
from zipfile import BadZipFile, ZipFile

BEGINNING = b"PK\x03\x04"
_TEXTS = re.compile(rb"<(?:w:|a:)?t(?: [^<>]*)?>([^<]*)</|<(?:w:p|a:p|row)[ />]")
"""Texts in the parts with text, and the beginnings of paragraphs and rows."""
_NUMBERS = re.compile(rb'<c (?![^<>]*t="s")[^<>]*>(?:<f[^<]*</f>)?<v>([^<]*)</v>|<row[ />]')
"""Values in a sheet that are not in its table of texts."""
_PATTERNS = {
    re.compile(
        r"(word/(document|footnotes|endnotes)|xl/sharedStrings|ppt/(slides/slide|notesSlides/notesSlide)\d+)\.xml"
    ): _TEXTS,
    re.compile(r"xl/worksheets/sheet\d+\.xml"): _NUMBERS,
}
"""The contents that are read, by the name of the file."""
_ENTRY = b"PK\x01\x02"
_ENTRIES = 5_000
"""Maximum number of files in the archive."""
_ALL = 8 << 20
"""Maximum bytes of all parts that are decompressed: a hostile one may have terabytes."""


def office_text(data: bytes) -> str | None:
    """The text without formatting, about as providers pass it to models; None if it cannot be read."""
    if not data.startswith(BEGINNING) or data.count(_ENTRY) > _ENTRIES:
        return None
    found: list[bytes] = []
    left, known = _ALL, False
    try:
        with ZipFile(BytesIO(data)) as archive:
            for entry in archive.infolist():
                pattern = next((each for name, each in _PATTERNS.items() if name.fullmatch(entry.filename)), None)
                if pattern is None or left <= 0:
                    continue
                known = True
                with archive.open(entry) as part:
                    content = part.read(left)
                left -= len(content)
                found += [match[1] if match[1] is not None else b"\n" for match in pattern.finditer(content)]
    except (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, zlib.error):
        return None  # damaged, encrypted, or with another compression
    return unescape(b" ".join(found).decode("utf-8", "replace")).replace(" \n ", "\n") if known else None
