"""Reading the configuration files of agents: TOML, and JSON with comments."""

import re
from pathlib import Path

from modelbay.agents import jsonc, yaml_text
from modelbay.agents.findings import ConfigLayer, MergedConfig
from modelbay.config.schema import Table
from modelbay.errors import ConfigError
from modelbay.storage.paths import repository_root, working_folder

BARE = re.compile(r'(?<=[:\[,])(\s*)(\{(?:env|file):[^{}"]*\})')
"""A reference without quotes. The agents insert its value before they parse the JSON."""


def toml_layer(file: Path, title: str) -> ConfigLayer:
    """A TOML file of the agent `title`.

    Raises:
        ConfigError: the file does not exist, or is not valid.
    """
    import tomllib

    try:
        return ConfigLayer(str(file), tomllib.loads(file.read_bytes().decode("utf-8-sig")), file.absolute().parent)
    except FileNotFoundError:
        raise ConfigError(
            f"{title} has no configuration at {file}", hint="name its configuration file", file=str(file)
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}",
            hint=f"check that {file} is a file that you may read",
            file=str(file),
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not valid TOML: {error}", hint=f"fix {file} in an editor", file=str(file)
        ) from None


def json_layer(file: Path, root: Path | None = None) -> ConfigLayer:
    """A JSON file. `root`: the folder of the project that the file belongs to; None for the user's own file.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    return ConfigLayer(str(file), read_json(file), file.absolute().parent, root is None, root or Path())


def read_json(file: Path) -> Table:
    """The content of a file of JSON with comments.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    return parse_json(text_of(file), str(file))


def text_of(file: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: the file cannot be read, or is not text.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}",
            hint=f"check that {file} is a file that you may read",
            file=str(file),
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{file} cannot be read: not UTF-8 text", hint=f"save {file} as UTF-8 text", file=str(file)
        ) from None


def yaml_layer(file: Path, *, old: bool = False) -> ConfigLayer:
    """A YAML file. `old`: whether the program reads YAML 1.1.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    try:
        data = yaml_text.decode(text_of(file), old=old)
    except ValueError as error:
        raise ConfigError(
            f"{file} is not valid YAML: {error}", hint=f"fix {file} in an editor", file=str(file)
        ) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{file} is not a YAML mapping", hint=f"fix {file}: it must have keys", file=str(file))
    return ConfigLayer(str(file), data, file.absolute().parent)


def parse_json(text: str, name: str) -> Table:
    """A JSON object with comments. `name`: its file or variable, for error messages.

    Raises:
        ConfigError: the text is not valid JSON with comments, or not an object.
    """
    try:
        data = jsonc.decode(text)
    except ValueError as error:
        try:
            data = jsonc.decode(BARE.sub(r'\1"\2"', text))
        except ValueError:
            raise ConfigError(
                f"{name} is not valid JSON(C): {error}", hint=f"fix {name} in an editor", file=name
            ) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name} is not a JSON object", hint=f"fix {name}: it must begin with {{", file=name)
    return data


def read_logins(file: Path | None, keys: bool) -> MergedConfig:
    """An agent's stored logins, by provider; empty if there is no file."""
    if file is None or not file.exists():
        return MergedConfig([], keys=keys)
    data = {id: login if isinstance(login, dict) else {"login": login} for id, login in read_json(file).items()}
    return MergedConfig([ConfigLayer(str(file), data)], keys=keys, provider_tables=data)


def project_folders() -> list[Path]:
    """The folders from the repository's root to the current folder; only the current folder if there is no repository."""
    here = working_folder()
    above = [here, *here.parents]
    return above[above.index(repository_root(here) or here) :: -1]
