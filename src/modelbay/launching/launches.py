"""The launches and gateways that are running: files in modelbay's own folder, which only the user can read.

- `ID.launch` is held by the launcher and its agent as long as one of them lives, and names the gateway that they use.
- `ID/` is the private folder of that launch, with files for the agent.
- `ID.gateway` is held by a gateway, and has its URL and who started it. `ID.log` is its log if a launcher started it.

A file that no process holds belongs to a process that ended, maybe by SIGKILL: the next launch removes it and its folder.
"""

import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelbay.errors import FileError, MalformedReply
from modelbay.json_text import decode
from modelbay.launching.held_file import HeldFile, held_content
from modelbay.storage import files
from modelbay.storage.paths import home

WAIT = 120.0
"""Seconds to wait for another launcher, which may be waiting for its gateway to start."""
LAUNCH, GATEWAY, LOG = ".launch", ".gateway", ".log"


class RunningGateway(Struct, frozen=True):
    """A gateway that launches can use."""

    id: str
    url: str
    launched: bool
    """Whether a launcher started it; otherwise the user did, and decides when it ends."""
    shared: bool
    """Whether every launch may use it. Otherwise it follows references that others may not follow."""


class Launches:
    """The folder. Call the methods of the block of `locked`."""

    def __init__(self) -> None:
        self.folder = home() / "launches"

    @contextmanager
    def locked(self) -> Iterator["LaunchesChange"]:
        """Look at the folder and change it, while no other process does.

        Raises:
            ConfigError: another user can change the folder, it cannot be written, or another launcher takes too long.
        """
        with files.locked(self.folder / "folder", WAIT):
            _check(self.folder)
            try:
                yield LaunchesChange(self.folder)
            except OSError as error:
                raise FileError(
                    f"{error.filename or self.folder} cannot be used: {error.strerror or error}",
                    hint=f"check that {self.folder} is writable and has free space",
                    file=str(self.folder),
                ) from error


class LaunchesChange:
    """The folder while it is locked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep(self) -> None:
        """Remove the files and folders of processes that have ended."""
        for path in self._folder.glob(f"*{LAUNCH}"):
            if held_content(path) is None:
                _remove(path.with_suffix(""))
                if not path.with_suffix("").exists():  # else the next launch tries again
                    _discard(path)
        for path in self._folder.glob(f"*{GATEWAY}"):
            if held_content(path) is None:
                _discard(path)
        for path in self._folder.glob(f"*{LOG}"):
            if not path.with_suffix(GATEWAY).exists():
                _discard(path)

    def launch(self, gateway: str) -> HeldFile:
        """A new launch with its private folder. `gateway`: ID of the gateway that it uses; "" for none.

        IDs are the lowest free numbers: agents that run in a copy of their folder put its path into the prompt. With a new path
        for each launch, a continued session would match neither the provider's prompt cache nor stored reasoning.
        """
        taken = {path.stem for path in self._folder.iterdir()}
        id = next(id for id in map(str, count(1)) if id not in taken)
        made = HeldFile(self._folder / f"{id}{LAUNCH}", json.dumps({"gateway": gateway}).encode())
        made.path.with_suffix("").mkdir(mode=0o700)
        return made

    def end(self, launch: HeldFile) -> None:
        """End a launch, unless its agent is still running: then the next launch after its end removes the rest."""
        launch.release()
        self.sweep()

    def new_gateway(self) -> str:
        """The ID of a gateway that is to be started."""
        return secrets.token_hex(8)

    def register(self, gateway: RunningGateway) -> HeldFile:
        """Make a gateway known to launchers."""
        record = {"url": gateway.url, "launched": gateway.launched, "shared": gateway.shared}
        return HeldFile(self._folder / f"{gateway.id}{GATEWAY}", json.dumps(record).encode())

    def unregister(self, gateway: str) -> None:
        """Make a gateway unknown to launchers."""
        (self._folder / f"{gateway}{GATEWAY}").unlink(missing_ok=True)

    def gateways(self) -> list[RunningGateway]:
        """The running gateways, by ID."""
        found = []
        for path in sorted(self._folder.glob(f"*{GATEWAY}")):
            record = _record(held_content(path))
            if isinstance(url := record.get("url"), str):
                launched, shared = (record.get(name) is True for name in ("launched", "shared"))
                found.append(RunningGateway(path.stem, url, launched, shared))
        return found

    def is_used(self, gateway: str) -> bool:
        """Whether an agent that uses a gateway is still running, or its launcher."""
        return any(_record(held_content(path)).get("gateway") == gateway for path in self._folder.glob(f"*{LAUNCH}"))

    def log_of(self, gateway: str) -> Path:
        """The log of a gateway that a launcher starts."""
        return self._folder / f"{gateway}{LOG}"

    def runs_at(self, url: str) -> bool:
        """Whether a gateway is running at a URL."""
        return any(gateway.url == url for gateway in self.gateways())


def _record(content: bytes | None) -> dict[str, Any]:
    """The content of a record, which another version may have written. Empty if there is none."""
    with suppress(MalformedReply):
        found = decode(content or b"{}")
        return found if isinstance(found, dict) else {}
    return {}


def _check(folder: Path) -> None:
    """Check that the folder is the user's own, and that others cannot look into it.

    Raises:
        FileError: another user can read or change it.
    """
    if sys.platform == "win32":  # its access control lists are those of the user's profile
        return
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        problem, fix = "not a folder", f"rename {folder}"
    elif status.st_uid != os.geteuid():
        problem, fix = f"owned by another user (UID {status.st_uid})", f"rename or remove {folder}"
    elif status.st_mode & 0o077:
        problem, fix = f"open to other users (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 700 {folder}"
    else:
        return
    raise FileError(f"{folder} cannot be used for launches: {problem}", hint=fix, file=str(folder))


def _discard(path: Path) -> None:
    """Remove a file, if the system allows it: a file that stays does no harm."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Remove a private folder. Links in it are removed, and not the files that they point to."""
    if not folder.is_symlink() and folder.is_dir():
        for path, names, _ in os.walk(folder):  # agents store folders that their owner cannot write
            for name in names:
                inner = Path(path, name)
                if not inner.is_symlink():
                    with suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
