"""A path or an address made into the image, sound, video or document that goes with a prompt."""

import re
from base64 import b64encode
from mimetypes import guess_type
from urllib.parse import unquote, urlsplit

from modelbay.config.paths import expanded
from modelbay.conversation import Media, media_kind
from modelbay.errors import ConfigError
from modelbay.json_text import whole_text

SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF....WEBP", "image/webp"),
    (b"RIFF....WAVE", "audio/wav"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"....ftyp(?:isom|mp4|avc1|M4V)", "video/mp4"),
    (b"%PDF-", "application/pdf"),
)
"""How files begin. Providers refuse an image whose type is not what its name says, so this goes before the name."""
_SIGNATURES = [(re.compile(start, re.DOTALL), media_type) for start, media_type in SIGNATURES]


class Unreadable(Exception):
    """What was named is no file, or none that a model takes; `hint` is how to mend it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def attachment(source: str) -> Media:
    """The file at a path or an address.

    Raises:
        Unreadable: there is no such file, or it is nothing that a model takes.
    """
    if re.match(r"https?://", source, re.IGNORECASE):
        return _at(source)
    try:
        path = expanded(source)
        if path.exists() and not path.is_file():
            raise Unreadable(f"{source} is not a file")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{source} cannot be read: {error.strerror}") from None
    except ConfigError as error:
        raise Unreadable(error.message, error.hint) from None
    return _of(data, whole_text(path.name))


def _at(url: str) -> Media:
    """A file that the provider, or modelbay for it, fetches. An address that does not tell is taken for an image."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    media_type = guess_type(name)[0]
    return Media(kind=media_kind(media_type or "image/*"), url=url, media_type=media_type, name=name or None)


def _of(data: bytes, name: str) -> Media:
    media_type = next((known for start, known in _SIGNATURES if start.match(data)), None)
    if media_type is None and b"\0" not in data:
        try:
            return Media(kind="document", text=data.decode("utf-8-sig"), media_type="text/plain", name=name)
        except UnicodeDecodeError:
            pass
    media_type = media_type or guess_type(name)[0]
    if media_type is None:
        raise Unreadable(
            f"{name} is neither text nor of a known type", "its name may end in what it is, as .png, .pdf, .mp3 or .mp4"
        )
    return Media(kind=media_kind(media_type), data=b64encode(data).decode(), media_type=media_type, name=name)
