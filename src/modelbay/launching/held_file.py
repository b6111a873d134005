"""Files that a process holds as long as it lives: the system releases them even if the process is killed.

On POSIX, child processes that inherit the file hold it too. So a file that a launcher holds stays held until the agent has ended,
whichever of both ends first. Create and look at these files only under the lock of their folder: looking holds a file for a moment.
"""

import contextlib
import os
import sys
from pathlib import Path

from modelbay.storage.files import PRIVATE

_BINARY = getattr(os, "O_BINARY", 0)

if sys.platform == "win32":
    import msvcrt

    _AT = 2**30
    """Offset of the byte that is locked. Others cannot read it, so it is behind the content."""

    def _hold(descriptor: int) -> None:
        os.lseek(descriptor, _AT, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _hold(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class HeldFile:
    """A file that this process holds until `release` or its end. Only its owner can read it."""

    def __init__(self, path: Path, content: bytes) -> None:
        """Create the file.

        Raises:
            OSError: it already exists, or cannot be written.
        """
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, PRIVATE)
        """Pass it to a child process that must hold the file too."""
        try:
            _hold(self.descriptor)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            os.write(self.descriptor, content)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Stop holding the file. Child processes that inherited it still hold it, and its content stays."""
        os.close(self.descriptor)


def held_content(path: Path) -> bytes | None:
    """The content of a file that a process holds; None if no process holds it, or it does not exist."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | _BINARY)
        try:
            try:
                _hold(descriptor)
            except OSError:
                os.lseek(descriptor, 0, os.SEEK_SET)
                return os.read(descriptor, 2**16)
        finally:
            os.close(descriptor)  # which releases it
    return None
