"""The files of projects that the user trusts, each by its real path and the SHA-256 of its content."""

from collections.abc import Callable
from pathlib import Path
from time import time

import msgspec
from msgspec import Struct, field

from modelbay.errors import ConfigError, FileError, MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import data_dir

LARGEST = 16 * 1024 * 1024
"""Maximum bytes of the list."""
WAIT = 10.0
"""Seconds to wait for another program's write."""


class TrustedFile(Struct, frozen=True):
    """A file with the content that the user trusts."""

    path: str
    """Real path."""
    digest: str
    """SHA-256 of the content, in hexadecimal."""
    when: float
    """Seconds since 1970."""


class _Content(Struct):
    files: list[TrustedFile] = field(default_factory=list)


class TrustedFiles:
    """The list of trusted files, in modelbay's own data. A damaged list trusts no file, and is set aside by the next change."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_dir() / "trusted_files.json"

    def all(self) -> list[TrustedFile]:
        """All trusted files, by path.

        Raises:
            ConfigError: the list cannot be read, or another user can change it.
        """
        return sorted(self._read().values(), key=lambda file: file.path)

    def at(self, path: Path) -> TrustedFile | None:
        """The trusted content of a file; None if the file was never trusted.

        Raises:
            ConfigError: the list cannot be read, or another user can change it.
        """
        return self._read().get(str(path))

    def add(self, path: Path, digest: str) -> None:
        """Trust this content of a file, in place of an earlier content.

        Raises:
            ConfigError: the list cannot be written, or the path is not UTF-8 text.
        """
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{str(path)!r} cannot be trusted: not UTF-8 text", hint="rename its folder") from None

        def change(trusted: dict[str, TrustedFile]) -> None:
            trusted[str(path)] = TrustedFile(str(path), digest, time())

        self._change(change)

    def remove(self, path: Path) -> bool:
        """Remove a file from the list. Returns whether it was there.

        Raises:
            ConfigError: the list cannot be read or written.
        """
        if self.at(path) is None:
            return False
        self._change(lambda trusted: trusted.pop(str(path), None))
        return True

    def _read(self) -> dict[str, TrustedFile]:
        if files.identity(self.path) is None:
            return {}
        try:
            return _decoded(files.owned_content(self.path, LARGEST))
        except MalformedReply:
            return {}
        except FileError as error:
            message = f"the list of trusted files cannot be used: {self.path}: {error.message}"
            raise ConfigError(message, hint=error.hint, file=str(self.path)) from None

    def _change(self, change: Callable[[dict[str, TrustedFile]], object]) -> None:
        with files.locked(self.path, WAIT):
            old = files.undamaged_content(self.path, "list of trusted files", _decoded)
            trusted = self._read()
            change(trusted)
            content = _Content(files=list(trusted.values()))
            files.replace(self.path, old, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _decoded(data: bytes) -> dict[str, TrustedFile]:
    """The content of the file.

    Raises:
        MalformedReply: it is damaged.
    """
    content = decode_as(data, _Content) if data else _Content()
    return {file.path: file for file in content.files}
