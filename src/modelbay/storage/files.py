"""Files shared by several processes: locked during a change and replaced atomically, so a reader sees the old or the new one."""

import contextlib
import errno
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from math import inf
from pathlib import Path
from time import monotonic
from typing import Generic, TypeVar

from modelbay.errors import ConfigError, FileError, MalformedReply

T = TypeVar("T")

PRIVATE = 0o600
"""Mode of files with keys: readable by the owner only."""
LEFT_OVER = ".modelbay-new"
"""Suffix of a file that is being written."""

FRESH = 0.01
"""Seconds for which a file is taken to be unchanged: see `Recent`."""

POLL = 0.1
"""Seconds between two attempts to get a lock. With 200 waiting processes, more frequent attempts would starve its holder."""

HINTS = {
    errno.ENOSPC: "free some space on the disk, then try again",
    errno.EDQUOT: "free some of your disk quota, then try again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then try again",
    errno.EROFS: "write to another file system: this one is read-only",
    errno.EACCES: "check who owns {folder} and may write there",
    errno.EPERM: "check who owns {folder} and may write there",
    errno.ENOENT: "check whether {folder} exists",
    errno.ENOTDIR: "check {folder}: it must be a folder",
    errno.EEXIST: "check {folder}: it must be a folder",
}
OTHER_PATH = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}
"""The causes that do not apply to files in another folder."""
_LOG = logging.getLogger("modelbay")


def target_of(path: Path) -> Path:
    """The file that `path` refers to through symbolic links: the links stay, and their target is replaced."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: a loop, up to Python 3.12
        raise FileError(
            f"{path} cannot be read: its symbolic links form a loop", hint="fix the link", file=str(path)
        ) from None


def make_private(folder: Path) -> None:
    """Create a folder that only the user can read, and its missing parents: `mkdir` gives the mode to the last one only.

    Raises:
        OSError: one cannot be created.
    """
    missing = [folder, *folder.parents]
    for place, one in enumerate(missing):
        if one.exists():
            missing = missing[:place]
            break
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def identity(path: Path | str) -> tuple[int, ...] | None:
    """Values that differ if the file was changed or replaced; None if the file does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_dev, found.st_mtime_ns, found.st_size


class Recent(Generic[T]):
    """The answer of the system to a question about a file, at most `FRESH` seconds old.

    For those who need it with each request of a client: to ask costs as much as a sixth of a small request. A program whose change
    must be seen from the next request on waits `FRESH` seconds after it.
    """

    def __init__(self, ask: Callable[[], T], now: Callable[[], float] = monotonic) -> None:
        self._ask = ask
        self._now = now
        self._until = -inf
        self._answer: T

    def get(self) -> T:
        now = self._now()
        if now >= self._until:
            self._answer, self._until = self._ask(), now + FRESH
        return self._answer

    def forget(self) -> None:
        """Ask again next time."""
        self._until = -inf


def content_of(path: Path) -> bytes | None:
    """A file's bytes; None if it does not exist.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        failure = FileError(f"{path} cannot be read: {error.strerror}", hint=_for_reader(error), file=str(path))
        failure.other_path = True
        raise failure from error
    except ValueError:  # a NUL in the path
        raise ConfigError(f"{str(path)!r} is not a path", hint="name another file") from None


def _for_reader(error: OSError) -> str:
    return _other_owner(error) or "check that the file exists and that you may read it"


def _other_owner(error: OSError) -> str | None:
    """The hint if a file may not be opened because it is another user's, such as one that root wrote for a service."""
    if error.errno == errno.EACCES and sys.platform != "win32":
        with contextlib.suppress(OSError, TypeError):  # TypeError: the error names no file
            if (owner := os.stat(error.filename).st_uid) != os.geteuid():
                return f"change its owner (UID {owner}) with chown, or run modelbay as that user: {error.filename}"
    return None


def owned_content(path: Path, most: int) -> bytes:
    """The bytes of a file that is trusted because only the user can change it. Symbolic links are followed.

    Raises:
        FileError: it is not a regular file, has more than `most` bytes, cannot be read, or another user can change it. The
            message is without the path, which is in `file`.
    """
    return _limited_content(path, most, owned=True)


def unlinked_content(path: Path, most: int) -> bytes:
    """The bytes of a file that is not a symbolic link, of any owner.

    Raises:
        FileError: it is a link, is not a regular file, has more than `most` bytes, or cannot be read. The message is without the
            path, which is in `file`.
    """
    if path.is_symlink():
        raise FileError("a symbolic link", hint="replace it with a file", file=str(path))
    return _limited_content(path, most, owned=False)


def _limited_content(path: Path, most: int, *, owned: bool) -> bytes:
    # without O_NONBLOCK, opening a FIFO waits for its writer; without O_NOFOLLOW, a link could replace the file after the look
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if owned else getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}", hint=_for_reader(error), file=str(path)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError("not a regular file", hint="replace it with a file", file=str(path))
        if owned and (problem := trust_problem(path, status)) is not None:
            raise FileError(problem[0], hint=problem[1], file=str(path))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise FileError(f"too large: {most:,} bytes at most", hint="shorten the file", file=str(path))
    return data


def trust_problem(path: Path, status: os.stat_result) -> tuple[str, str] | None:
    """Why another user could change a file or folder, and how to fix it; None if only the user can."""
    if sys.platform == "win32":  # access control lists, which Python does not read
        return None
    if status.st_uid != os.geteuid():
        return f"owned by another user (UID {status.st_uid})", f"copy it, so that it is your own: {path}"
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022:
        return f"other users can change it (mode {mode:04o})", f"chmod go-w {path}"
    return None


@contextlib.contextmanager
def locked(path: Path, wait: float) -> Iterator[None]:
    """Lock the file at `path` against changes by other processes. The lock file beside it is never removed.

    Raises:
        ConfigError: another process held the lock for `wait` seconds, or the lock file cannot be created.
    """
    from filelock import FileLock, Timeout

    with _told(path):
        make_private(path.parent)
        lock = FileLock(f"{path}.lock", timeout=wait, mode=PRIVATE, poll_interval=POLL)
        try:
            lock.acquire()
        except Timeout:
            raise FileError(
                f"{path} cannot be changed: locked by another program for {wait:g} seconds",
                hint="wait for the other modelbay processes to end, then try again",
                file=str(path),
            ) from None
    try:
        sweep(path)
        yield
    finally:
        lock.release()


def replace(path: Path, old: bytes | None, new: bytes) -> None:
    """Replace a file atomically, under its lock: after a crash it is either the old or the new one.

    Raises:
        ConfigError: it cannot be written, or a program that ignores locks changed it since it was read as `old`.
    """
    with _told(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=LEFT_OVER)
        try:
            with open(descriptor, "wb") as file:
                file.write(new)
                file.flush()
                _adopt(descriptor, path)
                os.fsync(descriptor)
            _check_unchanged(path, old)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _sync_folder(path.parent)


def create_folder(path: Path) -> None:
    """Create a folder that only the owner can read, unless it exists.

    Raises:
        ConfigError: it cannot be created.
    """
    with _told(path / "file"):
        make_private(path)


def close_to_others(folder: Path) -> None:
    """Create a folder that only the owner can open. If it exists, as after a copy, others lose their access to it.

    Raises:
        ConfigError: it cannot be created or changed.
    """
    with _told(folder):
        make_private(folder)
        if sys.platform != "win32":  # access control lists are those of the user's profile
            folder.chmod(0o700)


def remove(path: Path, old: bytes) -> None:
    """Delete a file, under its lock, so that it stays deleted after a power cut.

    Raises:
        ConfigError: it cannot be deleted, or a program that ignores locks changed it since it was read as `old`.
    """
    with _told(path):
        _check_unchanged(path, old)
        path.unlink()
        _sync_folder(path.parent)


def set_aside(path: Path, title: str, reason: str, beside: Iterable[str] = ()) -> None:
    """Rename a damaged file, under its lock, so that a new one can be started and nothing is lost, and log that.

    `beside`: suffixes of files that belong to it, and are renamed first.

    Raises:
        OSError: it cannot be renamed.
    """
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = (path.with_name(f"{path.name}.damaged-{when}{f'-{n}' * (n > 1)}") for n in count(1))
    new = next(name for name in names if not name.exists())
    for suffix in beside:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{new}{suffix}")
    os.rename(path, new)
    _LOG.warning("the %s %s was damaged (%s): it is now %s, and a new one is started", title, path, reason, new.name)


def undamaged_content(path: Path, title: str, decode: Callable[[bytes], object]) -> bytes | None:
    """A file's bytes before a change of it, under its lock; None if it does not exist. A file that cannot be decoded is set aside:
    the change would replace what is left in it.

    Raises:
        ConfigError: it cannot be read or renamed.
    """
    content = content_of(path)
    try:
        decode(content or b"")
    except MalformedReply as error:
        with _told(path):
            set_aside(path, title, error.message)
        return None
    return content


def check_writable(path: Path) -> None:
    """Check that `path` can be written with `replace`, by creating a temporary file beside it.

    Raises:
        ConfigError: its folder is missing or cannot be written to.
    """
    with _told(path):
        tempfile.TemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=LEFT_OVER).close()


def check_room(path: Path, size: int) -> None:
    """Check that `size` bytes can be written beside `path`, by writing them to a temporary file.

    Raises:
        ConfigError: the folder cannot be created or written to, or is full.
    """
    with _told(path):
        make_private(path.parent)
        with tempfile.TemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=LEFT_OVER) as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())


def _check_unchanged(path: Path, old: bytes | None) -> None:
    if content_of(path) != old:
        failure = FileError(
            f"{path} was changed by another program in the meantime; nothing was written",
            hint="try again",
            file=str(path),
        )
        failure.changed = True
        raise failure


def _adopt(descriptor: int, path: Path) -> None:
    """Copy owner and the owner's permissions from the old file, none for others: `sudo` must not take the file away."""
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
    """Remove temporary files of killed writers. Call it only under the lock: another process may be writing one."""
    for left in path.parent.glob(f".{path.name}.*{LEFT_OVER}"):
        with contextlib.suppress(OSError):
            left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut. File systems that do not support it are ignored."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _nearest(folder: Path) -> Path:
    """The folder, or the first of its parents that exists."""
    return next((one for one in (folder, *folder.parents) if os.path.exists(one)), folder)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = path.parent if error.errno == errno.ENOENT else _nearest(path.parent)
        if error.errno == errno.EEXIST and error.filename:
            folder = error.filename
        failure = FileError(
            f"{path} cannot be written: {error.strerror or error}",
            hint=_other_owner(error) or HINTS.get(error.errno or 0, "").format(folder=folder) or None,
            file=str(path),
        )
        failure.other_path = error.errno in OTHER_PATH
        raise failure from error
