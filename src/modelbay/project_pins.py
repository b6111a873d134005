"""The models that a project pins in its file `.modelbay.toml`, for the programs that a user starts in its folders.

A project may come from an unknown author, so its file is read only if the user trusts it: by its real path and the SHA-256 of its
content. Even then it can only name models that the user configured. The digest is that of the bytes that are parsed, so no other
program can exchange the file in between.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from shlex import quote

from msgspec import Struct
from msgspec.structs import replace

from modelbay.config.load import TomlFault, decoded, table_of
from modelbay.config.schema import Config, ModelEntry, did_you_mean, key_text
from modelbay.config.toml.lines import lines_of
from modelbay.config.toml.scan import Keys
from modelbay.errors import ConfigError, ConfigSyntaxError, UnknownModel
from modelbay.storage.files import unlinked_content
from modelbay.storage.paths import repository_root, user_home
from modelbay.storage.trusted_files import TrustedFiles

NAME = ".modelbay.toml"
LARGEST = 64 * 1024
"""Maximum bytes of the file."""
MODEL, SMALL_MODEL, AGENTS = "model", "small_model", "agents"
HINT = "a project can pin model and small_model, for all programs or in [agents.AGENT]"


class ModelPin(Struct, frozen=True):
    """A model that a project pins."""

    keys: Keys
    """Path of the setting in the file."""
    model: str
    """Alias, or `provider/model-id`."""
    line: int | None


class ProjectPins(Struct, frozen=True):
    """The content of a project's file."""

    path: Path
    """Real path."""
    digest: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    pins: dict[Keys, ModelPin]
    """All pinned models, by the path of the setting."""

    def of(self, setting: str, agent: str = "") -> ModelPin | None:
        """The pin of a model (`MODEL` or `SMALL_MODEL`) for an agent of `modelbay launch`, or else for all programs."""
        return self.pins.get((AGENTS, agent, setting)) or self.pins.get((setting,))

    def place(self, pin: ModelPin) -> str:
        """The place of a pin, for messages."""
        return _place(self.path, pin.line)

    def entry(self, pin: ModelPin, config: Config) -> ModelEntry:
        """The configured model that a pin names.

        Raises:
            UnknownModel: the user has not configured it.
        """
        place = self.place(pin)
        try:
            found = config.model(pin.model)
        except UnknownModel as error:
            raise UnknownModel(
                f"{place}: {error.message}", hint=error.hint, file=str(self.path), line=pin.line
            ) from None
        same = (found.provider, found.model)
        if not found.configured and all((other.provider, other.model) != same for other in config.models.values()):
            raise UnknownModel(
                f'{place}: the model "{pin.model}" is not in {config.path}',
                hint=f"add it: `modelbay provider edit {quote(found.provider)} --add-model {quote(found.model)}`",
                file=str(self.path),
                line=pin.line,
            )
        return found


class PinnedConfig(Struct, frozen=True):
    """A configuration in a project."""

    config: Config
    """The configuration. Its default model is the one that the project pins, if it pins one."""
    pins: ProjectPins | None = None
    """The pins that are in force."""
    ignored: str = ""
    """The reason why a file of the project is ignored, with the path of the file."""

    @property
    def default(self) -> ModelPin | None:
        """The pin of the default model."""
        return self.pins.of(MODEL) if self.pins else None

    @property
    def reason(self) -> str:
        """Which file pins the default model; "" if none does."""
        if self.pins is None or self.default is None:
            return ""
        return f"{self.default.model} is the default model here: {self.pins.place(self.default)}"

    def checked(self) -> Config:
        """The configuration.

        Raises:
            UnknownModel: the project pins a default model that the user has not configured.
        """
        if self.pins is not None and self.default is not None:
            self.pins.entry(self.default, self.config)
        return self.config


def pinned(config: Config, trusted: TrustedFiles | None = None) -> PinnedConfig:
    """The configuration in the project of the working directory.

    Raises:
        ConfigError: the project's file is trusted, and not valid.
    """
    path = found()
    if path is None:
        return PinnedConfig(config)
    try:
        data = content(path)
        known = (trusted or TrustedFiles()).at(path)
    except ConfigError as error:
        return PinnedConfig(config, ignored=f"ignored {path}: {error.message}")
    if known is None or known.digest != digest(data):
        why = "not trusted" if known is None else "changed since you trusted it"
        return PinnedConfig(config, ignored=f"ignored {path}: {why}; show its models and trust it: `modelbay trust`")
    pins = parse(path, data)
    default = pins.of(MODEL)
    return PinnedConfig(replace(config, default_model=default.model) if default else config, pins)


def found() -> Path | None:
    """The real path of the nearest project file, from the working directory upwards; None if there is none.

    The search ends at the root of the repository or the home folder. Outside of both, only the working directory is searched.
    """
    try:
        here = Path.cwd().resolve()
    except OSError:  # the folder was removed
        return None
    for folder in _searched(here):
        path = folder / NAME
        try:
            path.lstat()
        except OSError:
            continue
        return path
    return None


def _searched(here: Path) -> list[Path]:
    above = [here, *here.parents]
    ends = [above.index(end) for end in (repository_root(here), user_home()) if end in above]
    return above[: min(ends, default=0) + 1]


def content(path: Path) -> bytes:
    """The bytes of a project's file.

    Raises:
        FileError: it is a symbolic link, is not a regular file, is too large, or cannot be read. The message is without the path.
    """
    return unlinked_content(path, LARGEST)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def parse(path: Path, data: bytes) -> ProjectPins:
    """The pins in the bytes of a project's file.

    Raises:
        ConfigError: it is not TOML, or has a key that a project cannot set.
    """
    try:
        text = decoded(data)
        table = table_of(text)
    except TomlFault as fault:
        place = _place(path, fault.line)
        raise ConfigSyntaxError(f"{place}: {fault}", file=str(path), line=fault.line) from None
    return ProjectPins(path, digest(data), {pin.keys: pin for pin in _pins(path, text, table)})


def _place(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def _pins(path: Path, text: str, table: dict[str, object]) -> Iterator[ModelPin]:
    def invalid(keys: Keys, message: str, hint: str | None) -> ConfigError:
        line = lines_of(text, [keys]).get(keys)
        name = ".".join(map(key_text, keys))
        return ConfigError(f"{_place(path, line)}: {name}: {message}", hint=hint, file=str(path), line=line)

    def settings(values: dict[str, object], *within: str) -> Iterator[ModelPin]:
        for key, value in values.items():
            keys = (*within, key)
            if key not in (MODEL, SMALL_MODEL):
                raise invalid(keys, "unknown key", did_you_mean(key, (MODEL, SMALL_MODEL)) or HINT)
            # a name that steers the terminal could hide what the user is asked to trust
            if not isinstance(value, str) or not value.strip() or value != value.strip() or not value.isprintable():
                raise invalid(keys, "expected the name of a model", "use an alias, or PROVIDER/MODEL_ID")
            yield ModelPin(keys, value, lines_of(text, [keys]).get(keys))

    yield from settings({key: value for key, value in table.items() if key != AGENTS})
    agents = table.get(AGENTS, {})
    if not isinstance(agents, dict):
        raise invalid((AGENTS,), "expected a table for each agent", HINT)
    if agents:
        from modelbay.launching.program import programs

        for agent, values in agents.items():
            if agent not in programs():
                hint = did_you_mean(agent, programs()) or f"must be one of: {', '.join(programs())}"
                raise invalid((AGENTS, agent), "unknown agent", hint)
            if not isinstance(values, dict):
                raise invalid((AGENTS, agent), "expected a table", HINT)
            yield from settings(values, AGENTS, agent)
