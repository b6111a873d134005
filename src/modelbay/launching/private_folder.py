"""The private folder of a launch: files for the agent, and copies of the user's files in a temporary configuration folder."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modelbay.agents.write import merged
from modelbay.errors import FileError
from modelbay.launching.plan import PlannedFile
from modelbay.launching.program import HomeRow
from modelbay.storage import files
from modelbay.storage.files import PRIVATE
from modelbay.storage.paths import environment, expanded


def fill(folder: Path, files: Sequence[PlannedFile], home: HomeRow | None) -> None:
    """Write the files of a plan. With a temporary configuration folder, the user's files are copied first.

    Raises:
        ConfigError: a file of the user is not valid, or a file cannot be written.
    """
    try:
        if home is not None:
            _copy(home, folder)
        for file in files:
            _write(folder / file.path, file)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written: {error.strerror or error}",
            hint="check that the folder is writable and has free space",
            file=str(folder),
        ) from error


def user_folder(home: HomeRow) -> Path:
    """The agent's configuration folder of the user."""
    return expanded(environment(home.variable) or home.usual) / home.within


def _copy(home: HomeRow, folder: Path) -> None:
    source, target = user_folder(home), folder / home.within
    files.make_private(target)
    for name in home.copies:
        for found in sorted(source.glob(name)):
            there = target / found.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                with suppress(shutil.Error):  # files that cannot be read, as they cannot be for the agent
                    shutil.copytree(
                        found, there, copy_function=_copy_file, ignore_dangling_symlinks=True, dirs_exist_ok=True
                    )
            else:
                _copy_file(str(found), str(there))
    for name in home.sessions:
        files.make_private(source / name)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to((source / name).absolute())


def _copy_file(source: str, target: str) -> None:
    if Path(source).is_file():  # a pipe or socket has no content
        shutil.copy2(source, target)
        path = Path(target)
        path.chmod(path.stat().st_mode & 0o700 | PRIVATE)


def _write(path: Path, file: PlannedFile) -> None:
    """Write a file. It is merged into the copy of the user's file, whose other settings stay."""
    files.make_private(path.parent)
    before = path.read_bytes().decode("utf-8-sig", errors="replace") if path.is_file() else ""
    text = merged(file.content, before, str(path))
    path.unlink(missing_ok=True)
    path.touch(mode=PRIVATE)
    path.write_text(text, encoding="utf-8")
