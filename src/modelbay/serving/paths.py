"""Paths as servers of ours take them: only those that mean the same to everyone on the way."""

from urllib.parse import unquote

DEPTH = 4
"""How often a path may be percent-encoded before it is refused."""


def is_plain(path: str) -> bool:
    """Whether a raw path has no `.` or `..` segment, empty segment, backslash or control character, however it is encoded.

    `/v1/../x` is `/x` to some servers and clients, and a path under `/v1` to others: what is checked must be what is called.
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
    inner = segments[:-1]  # the last may be empty: `/v1/`
    return all(inner) and not any(segment.partition(";")[0] in (".", "..") for segment in segments)
