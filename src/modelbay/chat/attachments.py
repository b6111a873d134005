"""Files that go with a prompt: what a path or URL is, and which paths a text names."""

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
"""How files begin. Providers refuse an image whose type is not what its name says, so this goes before the name."""
_SIGNATURES = [(re.compile(start, re.DOTALL), media_type) for start, media_type in SIGNATURES]


OFFICE = re.compile(
    r"application/(msword|rtf|epub\+zip|vnd\.(openxmlformats-officedocument|oasis\.opendocument|ms-(excel|powerpoint)).*)"
)
MOST_BYTES = {"video": 100 * 2**20, "text": 4 * 2**20}
"""The largest file by kind. Kimi takes videos of 100 MB; 4 MB of text is a million tokens."""
MOST_OTHERS = 50 * 2**20
"""The largest of any other kind: OpenAI's limit for a request; others take less."""
MOST_TOGETHER = 100 * 2**20
"""All files of a question. They are sent in one request, and providers take less than this."""
MENTION = re.compile(r"""(?:^|(?<=\s))@("[^"\n]+"|'[^'\n]+'|(?:\\.|[^\s\\])+)""")


class Unreadable(Exception):
    """A path that is not a file, or not of a kind that models take. `hint` says how to fix it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def attachment(source: str) -> Media:
    """The file at a path or URL. Reads at most `MOST_BYTES`.

    Raises:
        Unreadable: there is no such file, it is empty or too large, or not of a kind that models take.
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
                    f"{source} is too large: {size / 2**20:,.1f} MB, at most {most // 2**20} MB of {kind} can be attached"
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
                f"{source} is too much: the files of this question would be {size / 2**20:,.1f} MB, at most"
                f" {MOST_TOGETHER // 2**20} MB can be attached",
                "ask about some of them at a time",
            )
    return found


def _size(file: Media) -> int:
    return len(file.text or "") + len(file.data or "") * 3 // 4


def _at(url: str) -> Media:
    """A file that the provider, or modelbay for it, fetches. An address that does not tell is taken for an image."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    media_type = guess_type(name)[0]
    return Media(kind=media_kind(media_type or "image/*"), url=url, media_type=media_type, name=name or None)


def mentioned(text: str) -> list[str]:
    """The existing files that a text names as `@path`, `@"path with blanks"` or `@path\\ with\\ blanks`, each once."""
    named = [path for match in MENTION.finditer(text) if (path := _unquoted(match[1])) is not None]
    found = (next((one for one in (path, path.rstrip(".,;:!?)")) if _is_file(one)), None) for path in named)
    return list(dict.fromkeys(path for path in found if path is not None))


def dragged(text: str) -> list[str]:
    """The files that a pasted text consists of, as terminals write files that are dragged to them: one or several, quoted,
    with escaped blanks, as file:// URLs, a line each. Empty if it is any other text."""
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
    """The path in a file:// URL, or in quotes; another host's is None."""
    if text.lower().startswith("file:"):
        parts = urlsplit(text)
        return unquote(parts.path) if parts.netloc in ("", "localhost") else None
    return _unquoted(text)


def _unquoted(text: str) -> str | None:
    words = _words(text)
    return words[0] if len(words) == 1 else text.strip("\"'")


def _looks_like_path(text: str) -> bool:
    """A single word such as "Makefile" is more likely meant as text, even where there is a file of that name."""
    return text.startswith("~") or "/" in text or os.sep in text or re.search(r"\w\.\w{1,8}$", text) is not None


def _is_file(path: str) -> bool:
    try:
        return expanded(path).is_file()
    except (OSError, ConfigError, ValueError):
        return False


def _type(data: bytes, name: str) -> str | None:
    """The type that a file's first bytes tell, else its name."""
    return next((known for start, known in _SIGNATURES if start.match(data)), None) or guess_type(name)[0]


def _kind(head: bytes, name: str) -> str:
    """What a file is for its limit: "image", "audio", "video", "document" or "text".

    Raises:
        Unreadable: it is not of a kind that models take.
    """
    by_content = next((known for start, known in _SIGNATURES if start.match(head)), None)
    if by_content is None and b"\0" not in head and _is_text(head):
        return "text"
    media_type = by_content or guess_type(name)[0]
    if media_type is None:
        raise Unreadable(
            f"{name} is neither text nor of a known type", "its name may end in what it is, as .png, .pdf, .mp3 or .mp4"
        )
    kind = media_kind(media_type)
    if kind == "document" and media_type != "application/pdf" and not OFFICE.fullmatch(media_type):
        raise Unreadable(f"{name} is {media_type}, which models do not read", "unpack it and attach the files in it")
    return kind


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8, as far as they are there."""
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
            raise Unreadable(f"{name} is neither text in UTF-8 nor of a known type", "convert it to UTF-8") from None
    media_type = _type(data, name)
    return Media(kind=media_kind(media_type), data=b64encode(data).decode(), media_type=media_type, name=name)
