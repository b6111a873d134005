"""Tokens of images, documents, audio and video."""

from base64 import b64decode
from math import ceil

from modelbay.conversation import Media
from modelbay.counting.image_sizes import image_size
from modelbay.counting.media_lengths import seconds
from modelbay.counting.token_factors import MediaFactors

_UNKNOWN_SIZE = (1024, 1024)
"""Assumed width and height of an image that is not in the request, or is not readable."""
_UNKNOWN_PAGES = 3
_UNKNOWN_SECONDS = 30.0
MAX_DOCUMENT = 1 << 24
"""Maximum bytes of a document that are read."""
_MOST_DOCUMENTS = 256
"""Maximum number of documents whose contents are kept."""
_BYTES_PER_PAGE = 50_000
_BYTES_PER_SECOND = {"audio": 16_000, "video": 80_000}
"""Assumed sizes of media whose length is not in their header."""
_SOUND = b"soun"
"""The handler of a track with sound, in the header of MP4 and MOV."""
_TAIL = 65_536
"""Characters of base64 at the end of a video that may contain its header."""


def media_tokens(media: list[Media], returned: list[Media], row: MediaFactors) -> float:
    """The tokens of the media of a request. `returned`: those in the results of tools."""
    return _only_page([*media, *returned], row) or (
        sum(_media_tokens(one, row, row.page) for one in media)
        + sum(_media_tokens(one, row, row.returned_page or row.page) for one in returned)
    )


def _only_page(files: list[Media], row: MediaFactors) -> float:
    """The tokens of the only file of a request, if it is a document of one page, and the model reads it in another way."""
    if not row.only_page or len(files) != 1 or files[0].kind != "document" or not files[0].data:
        return 0
    return row.only_page if _document(files[0].data)[0] <= 1 else 0


def _media_tokens(media: Media, row: MediaFactors, page: float) -> float:
    if media.parts is not None:
        return sum(_media_tokens(part, row, page) for part in media.parts if type(part) is Media)
    match media.kind:
        case "image":
            found = image_size(first_bytes(media.data)) if media.data else None
            return row.image.tokens(found or _UNKNOWN_SIZE, media.detail)
        case "document":
            if not media.data:
                return page * _UNKNOWN_PAGES
            pages, characters = _document(media.data)
            return page * pages + row.page_text * characters
        case "audio":
            length = _seconds(media.data, media.kind) if media.data else _UNKNOWN_SECONDS
            return row.audio * (max(1, ceil(length / row.padded)) * row.padded if row.padded else length)
        case _:
            length = _seconds(media.data, media.kind) if media.data else _UNKNOWN_SECONDS
            whole = max(min(length, 1.0), float(int(length)))  # of each whole second, a frame is read
            return whole * (row.video + row.sound * (not media.data or _has_sound(media.data)))


def first_bytes(data: str, size: int = 65_536) -> bytes:
    """The first bytes of base64 data; the size of a picture is there."""
    text = data[: size // 3 * 4]
    try:
        return b64decode(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


_documents: dict[int, tuple[float, int]] = {}
"""Pages and characters of documents by the hash of their data, which is keyed by Python. A client sends them with each request."""


def _document(data: str) -> tuple[float, int]:
    """The pages and the characters of a document. Without pages that can be seen, its size decides."""
    found = _documents.get(hash(data))
    if found is None:
        if len(_documents) >= _MOST_DOCUMENTS:
            _documents.clear()
        by_size = len(data) * 3 / 4 / _BYTES_PER_PAGE
        content = first_bytes(data, MAX_DOCUMENT)
        if content.startswith(b"%PDF"):
            from modelbay.counting.pdf_contents import pdf_contents

            pages, characters = pdf_contents(content)
            found = pages or max(1.0, by_size), characters
        else:
            found = by_size, 0
        _documents[hash(data)] = found
    return found


def _has_sound(data: str) -> bool:
    return _SOUND in first_bytes(data) or (len(data) % 4 == 0 and _SOUND in first_bytes(data[-_TAIL:]))


def _seconds(data: str, kind: str) -> float:
    size = len(data) * 3 // 4
    found = seconds(first_bytes(data), first_bytes(data[-_TAIL:]) if len(data) % 4 == 0 else b"", size)
    return size / _BYTES_PER_SECOND[kind] if found is None else found
