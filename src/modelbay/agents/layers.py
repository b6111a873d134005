"""The files that opencode and its descendants lay over each other, in the order in which the later counts more."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from modelbay.agents import jsonc
from modelbay.agents.findings import Layer, Ledger
from modelbay.config.schema import Table
from modelbay.errors import ConfigError
from modelbay.storage.paths import environment, expanded, user_config_dir, user_data_dir

BARE = re.compile(r'(?<=[:\[,])(\s*)(\{(?:env|file):[^{}"]*\})')
"""A reference where no text is: it is put in before the JSON is read."""


class Program(Struct, frozen=True):
    """opencode, or a descendant of it."""

    id: str
    """What its command and its folders are called; in capitals, what its variables begin with: `…_CONFIG` names a file,
    `…_CONFIG_DIR` a folder, `…_CONFIG_CONTENT` is one.
    """
    title: str
    names: tuple[str, ...]
    """What its files are called, the last counting most; those of a project are called so too, but the first."""
    folders: tuple[str, ...]
    """The folders of a project that have such files."""
    schema: str
    """The address that a configuration of it begins with."""
    blocked: frozenset[str] = frozenset()
    """Variables that it does not give to its configuration."""

    @property
    def home(self) -> Path:
        """The folder of the user's own files."""
        return user_config_dir() / self.id

    @property
    def logins(self) -> Path:
        """The file of its logins."""
        return user_data_dir() / self.id / "auth.json"

    def variable(self, name: str) -> str | None:
        return environment(f"{self.id.upper()}_{name}")


def layers(program: Program, file: Path | None = None) -> list[Layer]:
    """All that counts here, or only a file that was named.

    Raises:
        ConfigError: a file cannot be read; there is none.
    """
    if file is not None:
        return [_layer(file)]
    found = list(_found(program))
    if not found:
        names = " or ".join(program.names[-2:])
        raise ConfigError(
            f"{program.title} has no configuration here: there is no {names} in {program.home}",
            hint="name the file",
        )
    return found


def store(file: Path | None, keys: bool) -> Ledger:
    """The agent's logins, by provider."""
    if file is None or not file.exists():
        return Ledger([], keys=keys)
    data = {id: login if isinstance(login, dict) else {"login": login} for id, login in _layer(file).data.items()}
    return Ledger([Layer(str(file), data)], keys=keys, concerns=data)


def _found(program: Program) -> Iterator[Layer]:
    yield from _in_folder(program.home, program.names)
    if named := program.variable("CONFIG"):
        yield _layer(expanded(named))
    if program.variable("DISABLE_PROJECT_CONFIG") is None:
        root, *inner = _project()
        for folder in (root, *inner):
            if folder != program.home:
                yield from _in_folder(folder, program.names[1:], folder)
        for folder in (root / name for name in program.folders):
            yield from _in_folder(folder, program.names[1:], root)
    if folder_named := program.variable("CONFIG_DIR"):
        yield from _in_folder(expanded(folder_named), program.names)
    if content := program.variable("CONFIG_CONTENT"):
        yield Layer(f"${program.id.upper()}_CONFIG_CONTENT", _decoded(content, "its content"), Path.cwd())
    yield from _in_folder(_administrators() / program.id, program.names)


def _in_folder(folder: Path, names: tuple[str, ...], root: Path | None = None) -> Iterator[Layer]:
    for name in names:
        if (folder / name).is_file():
            yield _layer(folder / name, root)


def _project() -> list[Path]:
    """The folders from the repository that we are in to here; where there is none, here."""
    here = Path.cwd()
    above = [here, *here.parents]
    depth = next((number for number, folder in enumerate(above) if (folder / ".git").exists()), 0)
    return above[depth::-1]


def _administrators() -> Path:
    if sys.platform == "darwin":
        return Path("/Library/Application Support")
    return Path(environment("ProgramData") or "C:/ProgramData") if sys.platform == "win32" else Path("/etc")


def read_json(file: Path) -> Table:
    """A file of JSON with comments.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        unreadable = isinstance(error, OSError)
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        hint = f"check that {file} is a file that you may read" if unreadable else f"save {file} as UTF-8 text"
        raise ConfigError(f"{file} cannot be read: {why}", hint=hint, file=str(file)) from None
    return _decoded(text, str(file))


def _layer(file: Path, root: Path | None = None) -> Layer:
    return Layer(str(file), read_json(file), file.absolute().parent, root is None, root or Path())


def _decoded(text: str, name: str) -> Table:
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
