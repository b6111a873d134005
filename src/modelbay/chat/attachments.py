"""Files that are sent with a prompt: reading them, and finding their paths in a text."""

import os
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Sequence
from mimetypes import guess_type
from urllib.parse import unquote, urlsplit

from modelbay.conversation import Media, media_kind
from modelbay.errors import ConfigError
from modelbay.json_text import whole_text
from modelbay.storage.paths import expanded

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


OFFICE = re.compile(
    r"application/(msword|rtf|epub\+zip|vnd\.(openxmlformats-officedocument|oasis\.opendocument|ms-(excel|powerpoint)).*)"
)
MOST_BYTES = {"video": 100 * 2**20, "text": 4 * 2**20}
"""Maximum size of a file by kind. Kimi accepts videos of 100 MB; 4 MB of text is a million tokens."""
MOST_OTHERS = 50 * 2**20
"""Maximum size of other files: OpenAI's limit for a request; other providers accept less."""
MOST_TOGETHER = 100 * 2**20
"""Maximum size of all files of a question. They are sent in one request, and no provider accepts more."""
MENTION = re.compile(r"""(?:^|(?<=\s))@("[^"\n]+"|'[^'\n]+'|(?:\\.|[^\s\\])+)""")


class Unreadable(Exception):
    """A path is not a file, or its file is not of a kind that models accept. `hint` describes the fix."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def attachment(source: str) -> Media:
    """The file at a path or URL. Reads at most `MOST_BYTES`.

    Raises:
        Unreadable: the file does not exist, is empty or too large, or is not of a kind that models accept.
    """
    if re.match(r"https?://", source, re.IGNORECASE):
        return _at(source)
    try:
        path = expanded(source)
        if path.exists() and not path.is_file():
            raise Unreadable(f"{source} is not a file")
        with path.open("rb") as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(4096)
            if not head:
                raise Unreadable(f"{source} is empty")
            kind = _kind(head, whole_text(path.name))
            most = MOST_BYTES.get(kind, MOST_OTHERS)
            if size > most:
                raise Unreadable(
                    f"{source} is too large: {size / 2**20:,.1f} MB (maximum for {kind}: {most // 2**20} MB)"
                )
            data = head + file.read(most)
    except OSError as error:
        raise Unreadable(f"{source} cannot be read: {error.strerror}") from None
    except ConfigError as error:
        raise Unreadable(error.message, error.hint) from None
    return _of(data, whole_text(path.name))


def attachments(sources: Iterable[str], before: Sequence[Media] = ()) -> list[Media]:
    """The files at paths or URLs, for a question that has the files `before`.

    Raises:
        Unreadable: one of them cannot be attached, or all files of the question are too large together.
    """
    found: list[Media] = []
    for source in sources:
        found.append(attachment(source))
        size = sum(_size(file) for file in {id(file): file for file in [*before, *found]}.values())
        if size > MOST_TOGETHER:
            raise Unreadable(
                f"{source} cannot be attached: the files of this question would be {size / 2**20:,.1f} MB together "
                f"(maximum: {MOST_TOGETHER // 2**20} MB)",
                "send the files in several questions",
            )
    return found


def _size(file: Media) -> int:
    return len(file.text or "") + len(file.data or "") * 3 // 4


def _at(url: str) -> Media:
    """A file at a URL, which the provider fetches, or modelbay for it. A URL without a known suffix counts as an image."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    media_type = guess_type(name)[0]
    return Media(kind=media_kind(media_type or "image/*"), url=url, media_type=media_type, name=name or None)


def mentioned(text: str) -> list[str]:
    """The existing files that a text names as `@path`, `@"path with spaces"` or `@path\\ with\\ spaces`, each once."""
    named = [path for match in MENTION.finditer(text) if (path := _unquoted(match[1])) is not None]
    found = (next((one for one in (path, path.rstrip(".,;:!?)")) if _is_file(one)), None) for path in named)
    return list(dict.fromkeys(path for path in found if path is not None))


def dragged(text: str) -> list[str]:
    """The files whose paths are the whole of a pasted text; empty for other texts. Terminals paste files that are dragged into
    them: one or several, quoted, with escaped spaces, as file:// URLs or one per line."""
    text = text.strip()
    if not text or len(text) > 16_384:
        return []
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    for split in (lines, [path for line in lines for path in _words(line)]):
        paths = [_local(path) for path in split]
        if paths and all(path is not None and _looks_like_path(path) and _is_file(path) for path in paths):
            return list(dict.fromkeys(path for path in paths if path is not None))
    return []


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quote that does not end
        return []


def _local(text: str) -> str | None:
    """The path in a file:// URL or in quotes; None for a URL of another host."""
    if text.lower().startswith("file:"):
        parts = urlsplit(text)
        return unquote(parts.path) if parts.netloc in ("", "localhost") else None
    return _unquoted(text)


def _unquoted(text: str) -> str | None:
    words = _words(text)
    return words[0] if len(words) == 1 else text.strip("\"'")


def _looks_like_path(text: str) -> bool:
    """Whether a text is meant as a path. A single word such as "Makefile" is rather text, even if such a file exists."""
    return text.startswith("~") or "/" in text or os.sep in text or re.search(r"\w\.\w{1,8}$", text) is not None


def _is_file(path: str) -> bool:
    try:
        return expanded(path).is_file()
    except (OSError, ConfigError, ValueError):
        return False


def _type(data: bytes, name: str) -> str | None:
    """The media type by a file's first bytes, otherwise by its name."""
    return next((known for start, known in _SIGNATURES if start.match(data)), None) or guess_type(name)[0]


def _kind(head: bytes, name: str) -> str:
    """The kind of a file, for its maximum size: "image", "audio", "video", "document" or "text".

    Raises:
        Unreadable: it is not of a kind that models accept.
    """
    by_content = next((known for start, known in _SIGNATURES if start.match(head)), None)
    if by_content is None and b"\0" not in head and _is_text(head):
        return "text"
    media_type = by_content or guess_type(name)[0]
    if media_type is None:
        raise Unreadable(
            f"{name} is neither text nor of a known type",
            "add the suffix of its type, such as .png, .pdf, .mp3 or .mp4",
        )
    kind = media_kind(media_type)
    if kind == "document" and media_type != "application/pdf" and not OFFICE.fullmatch(media_type):
        raise Unreadable(f"models do not accept {media_type}: {name}", "unpack it and attach its files")
    return kind


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8. The last character may be cut off."""
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4
    return True


def _of(data: bytes, name: str) -> Media:
    if _kind(data[:4096], name) == "text":
        try:
            return Media(kind="document", text=data.decode("utf-8-sig"), media_type="text/plain", name=name)
        except UnicodeDecodeError:
            raise Unreadable(f"{name} is not UTF-8 text", "convert it to UTF-8") from None
    media_type = _type(data, name)
    return Media(kind=media_kind(media_type), data=b64encode(data).decode(), media_type=media_type, name=name)
