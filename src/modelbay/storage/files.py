"""Files that several processes change: locked while they are, and replaced whole, so that a reader sees the old or the new."""

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from modelbay.errors import ConfigError

PRIVATE = 0o600
"""The file holds keys: it is its owner's alone."""
LEFT_OVER = ".modelbay-new"
"""How the name of a file ends that is being written."""

POLL = 0.1
"""Seconds between two looks at a lock. Two hundred waiting processes that look more often leave no time to who has it."""

HINTS = {
    errno.ENOSPC: "free some space on the disk, then try again",
    errno.EDQUOT: "free some of your disk quota, then try again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then try again",
    errno.EROFS: "the file system is read-only: use another file with --config or MODELBAY_HOME",
    errno.EACCES: "check who owns {folder} and may write there, or use another file with --config or MODELBAY_HOME",
    errno.EPERM: "check who owns {folder} and may write there, or use another file with --config or MODELBAY_HOME",
    errno.ENOENT: "{folder} cannot be made: use another file with --config or MODELBAY_HOME",
    errno.ENOTDIR: "{folder} must be a folder",
    errno.EEXIST: "{folder} must be a folder",
}


UNREADABLE = "see what is there, and whether you may read it; --config FILE names another file"


def target_of(path: Path) -> Path:
    """The file that `path` names, through any symbolic links: they stay, and what they point to is replaced."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: a loop, up to Python 3.12
        raise ConfigError(
            f"{path} cannot be read: its symbolic links lead nowhere", hint="mend the link", file=str(path)
        ) from None


def content_of(path: Path) -> bytes | None:
    """A file's bytes; None if there is no file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=UNREADABLE, file=str(path)) from error
    except ValueError:  # a NUL in the path
        raise ConfigError(f"{str(path)!r} is not a path", hint="name another file") from None


@contextlib.contextmanager
def locked(path: Path, wait: float) -> Iterator[None]:
    """Keeps other processes from changing the file at `path` meanwhile. The lock stands beside it and is never removed.

    Raises:
        ConfigError: another one kept it for `wait` seconds, or there is no place for it.
    """
    from filelock import FileLock, Timeout

    with _told(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock", timeout=wait, mode=PRIVATE, poll_interval=POLL)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"{path} cannot be changed: other programs have kept it locked for {wait:g} seconds",
                hint="wait for the other modelbay processes to end, then try again",
                file=str(path),
            ) from None
    try:
        sweep(path)
        yield
    finally:
        lock.release()


def replace(path: Path, old: bytes | None, new: bytes) -> None:
    """Writes a file anew, under its lock; it survives a crash at any moment as what it was or as what it shall be.

    Raises:
        ConfigError: it cannot be written, or somebody who knows no locks has changed it since it was read as `old`.
    """
    with _told(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=LEFT_OVER)
        try:
            with open(descriptor, "wb") as file:
                file.write(new)
                file.flush()
                _adopt(descriptor, path)
                os.fsync(descriptor)
            if content_of(path) != old:
                raise ConfigError(
                    f"{path} was changed by another program meanwhile; nothing was written",
                    hint="do it again",
                    file=str(path),
                )
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _sync_folder(path.parent)


def check_room(path: Path, size: int) -> None:
    """Checks that `size` bytes can be written beside `path`, by writing them to a scratch file.

    Raises:
        ConfigError: the folder cannot be made or written to, or has no room.
    """
    with _told(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=LEFT_OVER) as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())


def _adopt(descriptor: int, path: Path) -> None:
    """Takes over what the old file allows its owner, nothing to others, and the owner: `sudo` must not take the file away."""
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    if sys.platform != "win32":
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & PRIVATE)
        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, old.st_uid, old.st_gid)


def sweep(path: Path) -> None:
    """Removes the files that killed writers left. Only under the lock: without it, another process may be writing one."""
    for left in path.parent.glob(f".{path.name}.*{LEFT_OVER}"):
        with contextlib.suppress(OSError):
            left.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut. Some file systems cannot, and there the rename is done all the same."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "").format(folder=path.parent) or None
        message = f"{path} cannot be written: {error.strerror or error}"
        raise ConfigError(message, hint=hint, file=str(path)) from error
