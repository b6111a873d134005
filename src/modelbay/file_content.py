"""Files for models: their content, of which kind it is, and how much of it is too much."""

import os
import re
from base64 import b64decode, b64encode
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from modelbay.errors import UnreadableFile

MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]

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
"""The first bytes of files. They have priority over the name: providers reject an image whose type is wrong."""
_SIGNATURES = [(re.compile(start, re.DOTALL), media_type) for start, media_type in SIGNATURES]


_DATA_URL = re.compile(r"data:[\w/.+-]*(?:;[^,]*)?,", re.IGNORECASE)
_FILE_URL = "file://"
_LONG_PATH = 300
"""Maximum characters of a path in messages: programs also pass the base64 of a file."""
OFFICE = re.compile(
    r"application/(msword|rtf|epub\+zip|vnd\.(openxmlformats-officedocument|oasis\.opendocument|ms-(excel|powerpoint)).*)"
)
MOST_BYTES = {"video": 100 * 2**20, "text": 4 * 2**20}
"""Maximum size of a file by kind. Kimi accepts videos of 100 MB; 4 MB of text is a million tokens."""
MOST_OTHERS = 50 * 2**20
"""Maximum size of other files: OpenAI's limit for a request; other providers accept less."""


class FileContent(Struct, kw_only=True):
    """A file as a model gets it: by its URL, or as base64 or text."""

    kind: MediaKind
    media_type: str | None = None
    name: str | None = None
    url: str | None = None
    data: str | None = None
    text: str | None = None


def content_at(source: str | Path) -> FileContent:
    """The file at a path, in which `~` is the home folder, in a file or data URL, or at an http(s) URL, which is not fetched. Reads
    at most `MOST_BYTES`.

    Raises:
        TypeError: `source` is not a path or a URL.
        UnreadableFile: it does not exist, is empty or too large, or is not of a kind that models accept.
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"a file must be a path or a URL, not {type(source).__qualname__}: pass its bytes to Media.of")
    if isinstance(source, str) and re.match(r"https?://", source, re.IGNORECASE):
        # a URL without a known suffix counts as an image
        name = unquote(urlsplit(source).path.rpartition("/")[2])
        media_type = _guessed(name)
        return FileContent(
            kind=media_kind(media_type or "image/*"), url=source, media_type=media_type, name=name or None
        )
    if isinstance(source, str) and _DATA_URL.match(source):
        return content_from(source, None, None)
    if isinstance(source, str) and source.lower().startswith(_FILE_URL):
        from urllib.request import url2pathname

        source = url2pathname(source[len(_FILE_URL) :])
    return _read(source)


def _read(source: str | os.PathLike[str]) -> FileContent:
    """The file at a path. Raises what `content_at` raises."""
    where = _shown(str(source)) if len(str(source)) <= _LONG_PATH else f"{str(source)[:_LONG_PATH]}…"
    try:
        path = Path(source).expanduser()
        if path.exists() and not path.is_file():
            raise UnreadableFile(f"{where} is not a file")
        name = _shown(path.name)
        with path.open("rb") as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(4096)
            if not head:
                raise UnreadableFile(f"{where} is empty")
            kind = _kind(head, name)
            most = MOST_BYTES.get(kind, MOST_OTHERS)
            if size > most:
                raise UnreadableFile(
                    f"{where} is too large: {size / 2**20:,.1f} MB (maximum for {kind}: {most // 2**20} MB)"
                )
            data = head + file.read(most)
    except OSError as error:
        hint = "pass a path, a URL, or Media.of(BYTES)" if error.errno == ENAMETOOLONG else None
        if "://" in where:
            hint = "pass a path, Media.of(BYTES), or an http, https, file or data URL"
        raise UnreadableFile(f"{where} cannot be read: {error.strerror}", hint=hint) from None
    except RuntimeError:
        raise UnreadableFile(f"{where} cannot be resolved: unknown home folder", hint="write the whole path") from None
    except ValueError:
        raise UnreadableFile("the path contains a NUL character", hint="write the path again") from None
    return content_of(data, name)


def content_of(data: bytes, name: str) -> FileContent:
    """A file from its bytes. Its name, or the suffix of one, decides about its type if the bytes do not.

    Raises:
        UnreadableFile: it is not of a kind that models accept.
    """
    if _kind(data[:4096], name) == "text":
        try:
            return FileContent(kind="document", text=data.decode("utf-8-sig"), media_type="text/plain", name=name)
        except UnicodeDecodeError:
            raise UnreadableFile(f"{name} is not UTF-8 text", hint="convert it to UTF-8") from None
    media_type = _type(data, name)
    return FileContent(kind=media_kind(media_type), data=b64encode(data).decode(), media_type=media_type, name=name)


def content_from(source: bytes | str, media_type: str | None, name: str | None) -> FileContent:
    """A file from its bytes, or at a URL: http(s), which is not fetched, or data. `media_type`, such as "image/png", is the type
    that the caller knows.

    Raises:
        TypeError: `source` is not bytes or a URL.
        UnreadableFile: it is empty, not such a URL, not of a kind that models accept, or a text that is not UTF-8.
    """
    if isinstance(source, str):
        if re.match(r"https?://", source, re.IGNORECASE):
            found = content_at(source)
            kind = media_kind(media_type) if media_type else found.kind
            return replace(found, kind=kind, media_type=media_type or found.media_type, name=name or found.name)
        try:
            head, comma, body = source.partition(",")
            if not comma or not head.lower().startswith("data:"):
                raise ValueError
            parameters = head[5:].split(";")
            is_base64 = parameters[-1].strip().lower() == "base64"
            data = b64decode(body, validate=True) if is_base64 else unquote_to_bytes(body)
        except ValueError:
            raise UnreadableFile(
                "a file must be bytes, or have an http(s) or data URL", hint="pass a path to Media.open"
            ) from None
        return content_from(data, media_type or parameters[0].strip() or "text/plain", name)
    if not isinstance(source, bytes | bytearray | memoryview):
        raise TypeError(
            f"a file must be bytes or a URL, not {type(source).__qualname__}: pass a path to Media.open, or the bytes of an open "
            "file or a buffer"
        )
    if not source:
        raise UnreadableFile(f"{name or 'the file'} is empty")
    if not media_type or media_type.startswith("text/"):
        found = content_of(source, name or "the file")
        return replace(found, media_type=media_type or found.media_type, name=name)
    by_content = _type(source, "") or media_type
    return FileContent(kind=media_kind(by_content), data=b64encode(source).decode(), media_type=by_content, name=name)


def media_kind(media_type: str | None) -> MediaKind:
    """The kind of media for a MIME type; "document" if unknown."""
    match (media_type or "").partition("/")[0].strip().lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def _guessed(name: str) -> str | None:
    """The media type by a name."""
    from mimetypes import guess_type  # it reads files of the system

    return guess_type(name)[0]


def _shown(name: str) -> str:
    """A name of a file as text: Python decodes bytes that are not UTF-8 to lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _type(data: bytes, name: str) -> str | None:
    """The media type by a file's first bytes, otherwise by its name."""
    return next((known for start, known in _SIGNATURES if start.match(data)), None) or _guessed(name)


def _kind(head: bytes, name: str) -> str:
    """The kind of a file, for its maximum size: "image", "audio", "video", "document" or "text".

    Raises:
        UnreadableFile: it is not of a kind that models accept.
    """
    by_content = next((known for start, known in _SIGNATURES if start.match(head)), None)
    if by_content is None and b"\0" not in head and _is_text(head):
        return "text"
    media_type = by_content or _guessed(name)
    if media_type is None:
        raise UnreadableFile(
            f"{name} is neither text nor of a known type",
            hint="add the suffix of its type, such as .png, .pdf, .mp3 or .mp4",
        )
    kind = media_kind(media_type)
    if kind == "document" and media_type != "application/pdf" and not OFFICE.fullmatch(media_type):
        raise UnreadableFile(f"models do not accept {media_type}: {name}", hint="unpack it and attach its files")
    return kind


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8. The last character may be cut off."""
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4
    return True
