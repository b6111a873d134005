"""Where files live, and the only place that reads the process's environment."""

import os
from pathlib import Path

from modelbay.errors import ConfigError

APP = "modelbay"
STDIN = Path("<stdin>")
"""The path of a configuration from standard input."""


def environment(name: str) -> str | None:
    """The value of an environment variable; None where it is not set or blank."""
    value = os.environ.get(name)
    return value if value and value.strip() else None


def expanded(name: str | Path) -> Path:
    """The path that a user wrote, `~` and `~user` replaced by the home folders.

    Raises:
        ConfigError: there is no such user or home folder, or it is not a path.
    """
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ConfigError(f"{name} cannot be found: unknown home folder", hint="write the whole path") from None
    if "\0" in str(path):
        raise ConfigError("a path has a NUL character in it", hint="write the path again")
    return path


def home() -> Path:
    """The folder of `config.toml`: `$MODELBAY_HOME`, else the platform's folder for a user's configuration."""
    chosen = environment("MODELBAY_HOME")
    if chosen:
        return expanded(chosen).absolute()
    from platformdirs import user_config_path

    return user_config_path(APP, appauthor=False)


def config_file() -> Path:
    return home() / "config.toml"


def cache_dir() -> Path:
    """For what can be fetched or learnt again; with `$MODELBAY_HOME` inside it, so that one folder holds everything."""
    if environment("MODELBAY_HOME"):
        return home() / "cache"
    from platformdirs import user_cache_path

    return user_cache_path(APP, appauthor=False)


def data_dir() -> Path:
    """For what only its owner can make again, as conversations; with `$MODELBAY_HOME` inside it."""
    if environment("MODELBAY_HOME"):
        return home()
    from platformdirs import user_data_path

    return user_data_path(APP, appauthor=False)


def user_config_dir() -> Path:
    """Where programs that follow the XDG rules keep configuration, on every platform: `$XDG_CONFIG_HOME`."""
    return expanded(environment("XDG_CONFIG_HOME") or "~/.config")


def user_data_dir() -> Path:
    """Where they keep data, as the keys of logins: `$XDG_DATA_HOME`."""
    return expanded(environment("XDG_DATA_HOME") or "~/.local/share")
