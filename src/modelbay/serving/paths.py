"""Path validation: only paths that every server and proxy reads the same way."""

from functools import lru_cache
from urllib.parse import unquote

DEPTH = 4
"""Maximum levels of percent-encoding."""
NOT_PLAIN = "the path has a dot segment, an empty segment, a backslash or a control character"
"""The reason to refuse a path."""


@lru_cache(maxsize=64)  # a caller without a key can send paths of 64 KB
def is_plain(path: str) -> bool:
    """Whether a raw path has no `.` or `..` segment, empty segment, backslash or control character, at any level of
    encoding.

    Some servers read `/v1/../x` as `/x`, others as a path below `/v1`; the path that is checked must be the path that
    is called.
    """
    for _ in range(DEPTH):
        if not _is_plain(path):
            return False
        decoded = unquote(path, "latin-1")
        if decoded == path:
            return True
        path = decoded
    return False


def _is_plain(path: str) -> bool:
    if not path.startswith("/") or "\\" in path or any(character < " " or character == "\x7f" for character in path):
        return False
    segments = path.split("/")[1:]
    inner = segments[:-1]  # the last one may be empty: `/v1/`
    return all(inner) and not any(segment.partition(";")[0] in (".", "..") for segment in segments)
