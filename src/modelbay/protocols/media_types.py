"""Normalizes media types and data URLs written by clients.

Clients write `image/jpg`, upper case and parameters; Anthropic and Gemini accept only registered names. A data URL may
have parameters, no type at all, or percent-encoded text instead of base64.
"""

import binascii
import re
from base64 import b64decode, b64encode
from mimetypes import MimeTypes
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from modelbay.conversation import Media
from modelbay.file_content import media_kind

_USUAL = {
    "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/jfif": "image/jpeg", "image/x-png": "image/png",
    "image/x-webp": "image/webp", "image/x-gif": "image/gif", "image/svg": "image/svg+xml",
    "audio/mp3": "audio/mpeg", "audio/x-mp3": "audio/mpeg", "audio/mpeg3": "audio/mpeg", "audio/x-mpeg": "audio/mpeg",
    "audio/x-mpeg-3": "audio/mpeg", "audio/mpg": "audio/mpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav", "audio/x-pn-wav": "audio/wav", "audio/x-flac": "audio/flac", "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff", "audio/m4a": "audio/mp4", "audio/x-m4a": "audio/mp4", "audio/x-ogg": "audio/ogg",
    "video/x-mp4": "video/mp4", "video/m4v": "video/mp4", "video/x-m4v": "video/mp4", "video/x-mpeg": "video/mpeg",
    "application/x-pdf": "application/pdf", "text/pdf": "application/pdf", "text/x-markdown": "text/markdown",
    "text/json": "application/json", "application/x-json": "application/json", "text/txt": "text/plain",
}  # fmt: skip
"""Common spellings, and the registered name of each."""
_RAW_SOUND = ("audio/l16", "audio/l24", "audio/pcm")
"""Types that need their parameters."""
_ANY_BYTES = ("application/octet-stream", "binary/octet-stream")
"""Types without information."""
_BY_NAME = MimeTypes()
"""Without the system's own tables, so that a file has the same type on every machine."""
_TEXTS = (
    "c", "cfg", "conf", "cpp", "diff", "go", "h", "ini", "java", "js", "log", "php", "py", "rb", "rs", "sh", "sql", "toml",
    "ts", "tsx", "yaml", "yml",
)  # fmt: skip
for _ending in _TEXTS:
    _BY_NAME.add_type("text/plain", f".{_ending}")
_BY_NAME.add_type("text/markdown", ".md")
_FORMATS = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}
"""OpenAI's audio formats that are not media subtypes."""
_DATA_URL = re.compile(r"\s*data:([^,]*),", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")


def registered(media_type: str | None) -> str | None:
    """The registered name of a media type, in lower case and without parameters."""
    if media_type is None:
        return None
    bare = media_type.partition(";")[0].strip().lower()
    return media_type if bare in _RAW_SOUND else _USUAL.get(bare, bare) or None


def of_format(word: str | None) -> str | None:
    """The media type of an OpenAI audio format."""
    return registered(_FORMATS.get(word.lower(), f"audio/{word}")) if word else None


def format_of(media_type: str | None) -> str:
    """OpenAI's name for an audio type; "" if unknown."""
    found = (registered(media_type) or "").partition(";")[0]
    words = {known: word for word, known in _FORMATS.items()}
    return words.get(found, found.removeprefix("audio/"))


def data_url(url: str) -> tuple[str | None, str] | None:
    """Media type and base64 data of a data URL; None for any other URL."""
    found = _DATA_URL.match(url)
    if found is None:
        return None
    media_type, *parameters = [word.strip() for word in found.group(1).split(";")]
    data = url[found.end() :]
    if not any(word.lower() == "base64" for word in parameters):
        return media_type or "text/plain", b64encode(unquote_to_bytes(data)).decode()
    if "%" in data:
        data = unquote_to_bytes(data).decode("ascii", "replace")
    kept = [word for word in parameters if word.lower() != "base64"]
    return ";".join([media_type, *kept]) if media_type else None, "".join(data.split()).translate(_URL_SAFE)


def take_url(media: Media, url: str) -> None:
    """Set the URL of a media part, or its data from a data URL."""
    found = data_url(url)
    if found is None:
        media.url = url
    else:
        media.media_type, media.data = found


def normal(media: Media) -> Media:
    """The media part with its data URL decoded and a registered type; the same object if nothing changes."""
    if media.url is not None and (found := data_url(media.url)) is not None:
        media = replace(media, url=None, data=found[1], media_type=found[0] or media.media_type, native=None)
    media_type = registered(media.media_type)
    if media_type is None or media_type == media.media_type:
        return media
    return replace(media, media_type=media_type, data=_in_utf8(media))


def of_its_type(media: Media) -> Media:
    """The media part with the kind of its type.

    Clients send PDF files as images, images as files, and any file as octet-stream, when only its name shows the type.
    """
    if media.media_type in (None, *_ANY_BYTES) and media.data is not None and media.name:
        guessed, encoding = _BY_NAME.guess_type(media.name)
        if guessed is not None and encoding is None:
            media = replace(media, media_type=registered(guessed))
    kind = media_kind(media.media_type)
    known = kind != "document" or media.media_type == "application/pdf" or (media.media_type or "").startswith("text/")
    if media.data is None or not known or kind == media.kind:
        return media
    return replace(media, kind=kind, native=None)


def file_name(media_type: str | None) -> str:
    """A name for a file without one, whose ending shows its type: a PDF file if the type is unknown."""
    ending = _BY_NAME.guess_extension(media_type) if media_type else ".pdf"
    return f"file{ending or '.' + (media_type or '').rpartition('/')[2]}"


def is_empty(media: Media) -> bool:
    """Whether a media part has no content. Providers reject such a part and the whole request."""
    return not (media.url or media.data or media.file_id or media.parts) and media.text is None


def _in_utf8(media: Media) -> str | None:
    """The data of a text converted to UTF-8, as the charset parameter is removed from its type."""
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]+)", media.media_type or "", re.IGNORECASE)
    if media.data is None or charset is None or not (media.media_type or "").lower().startswith("text/"):
        return media.data
    try:
        return b64encode(b64decode(media.data).decode(charset.group(1)).encode()).decode()
    except (LookupError, ValueError, binascii.Error):
        return media.data
