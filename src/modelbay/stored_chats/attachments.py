"""Files that are sent with a prompt: reading them, and finding their paths in a text."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

from modelbay.conversation import Media
from modelbay.errors import ConfigError, UnreadableFile
from modelbay.storage.paths import expanded

MOST_TOGETHER = 100 * 2**20
"""Maximum size of all files of a question. They are sent in one request, and no provider accepts more."""
MENTION = re.compile(r"""(?:^|(?<=\s))@("[^"\n]+"|'[^'\n]+'|(?:\\.|[^\s\\])+)""")


def attachments(sources: Iterable[str], before: Sequence[Media] = ()) -> list[Media]:
    """The files at paths or URLs, for a question that has the files `before`.

    Raises:
        UnreadableFile: one of them cannot be attached, or all files of the question are too large together.
    """
    found: list[Media] = []
    for source in sources:
        found.append(Media.open(source))
        size = sum(_size(file) for file in {id(file): file for file in [*before, *found]}.values())
        if size > MOST_TOGETHER:
            raise UnreadableFile(
                f"{source} cannot be attached: the files of this question would be {size / 2**20:,.1f} MB together "
                f"(maximum: {MOST_TOGETHER // 2**20} MB)",
                hint="send the files in several questions",
            )
    return found


def _size(file: Media) -> int:
    return len(file.text or "") + len(file.data or "") * 3 // 4


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
