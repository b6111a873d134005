"""Paths of modelbay's files, and the only module that reads the process's environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from modelbay.errors import ConfigError, FileError

APP = "modelbay"
STDIN = Path("<stdin>")
"""The path that stands for a configuration on standard input."""


def environment(name: str) -> str | None:
    """The value of an environment variable; None if it is unset or blank."""
    value = os.environ.get(name)
    return value if value and value.strip() else None


def inherited_environment() -> dict[str, str]:
    """All variables of this process, for a program that it starts with some changes."""
    return dict(os.environ)


def expanded(name: str | Path) -> Path:
    """A path as the user wrote it, with `~` and `~user` expanded.

    Raises:
        ConfigError: the user or home folder is unknown, or it is not a valid path.
    """
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ConfigError(f"{name} cannot be resolved: unknown home folder", hint="write the whole path") from None
    if "\0" in str(path):
        raise ConfigError("the path contains a NUL character", hint="write the path again")
    return path


def home() -> Path:
    """The folder of `config.toml`: `$MODELBAY_HOME`, else the platform's folder for user configuration."""
    chosen = environment("MODELBAY_HOME")
    if chosen:
        try:
            return expanded(chosen).absolute()
        except ConfigError as error:
            raise ConfigError(f"MODELBAY_HOME: {error.message}", hint=error.hint) from None
    from platformdirs import user_config_path

    return _of_platform(user_config_path)


def config_file() -> Path:
    return home() / "config.toml"


def cache_dir() -> Path:
    """The cache folder, inside `$MODELBAY_HOME` if that is set, so that one folder holds everything."""
    if environment("MODELBAY_HOME"):
        return home() / "cache"
    from platformdirs import user_cache_path

    return _of_platform(user_cache_path)


def data_dir() -> Path:
    """The folder for data that cannot be fetched again, such as conversations; inside `$MODELBAY_HOME` if that is set."""
    if environment("MODELBAY_HOME"):
        return home()
    from platformdirs import user_data_path

    return _of_platform(user_data_path)


def _of_platform(folder: Callable[[str, Literal[False]], Path]) -> Path:
    try:
        return folder(APP, False)
    except RuntimeError:  # a user without an entry in the system's list, as in some containers
        raise ConfigError(
            "the folder of modelbay's files is unknown: the user has no home folder",
            hint="set MODELBAY_HOME to a folder that only this user can read",
        ) from None


def user_config_dir() -> Path:
    """The folder where programs that follow the XDG rules keep configuration, on every platform: `$XDG_CONFIG_HOME`."""
    return _xdg("XDG_CONFIG_HOME") or expanded("~/.config")


def user_data_dir() -> Path:
    """The folder where they keep data, such as keys of logins: `$XDG_DATA_HOME`."""
    return _xdg("XDG_DATA_HOME") or expanded("~/.local/share")


def _xdg(name: str) -> Path | None:
    """The folder in a variable of the XDG rules, which do not allow a relative path."""
    folder = environment(name)
    return Path(folder) if folder and os.path.isabs(folder) else None


def working_folder() -> Path:
    """The working directory.

    Raises:
        FileError: it was deleted.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise FileError(
            f"the working directory cannot be read: {error.strerror}", hint="change to another folder with cd"
        ) from None


def user_home() -> Path | None:
    """The user's home folder, without symbolic links; None if it is unknown."""
    try:
        return Path("~").expanduser().resolve()
    except RuntimeError:
        return None


def repository_root(folder: Path) -> Path | None:
    """The root of the Git repository that a folder is in; None if it is in none. A worktree has a file `.git`."""
    return next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), None)
