"""Reads `config.toml`. A syntax error raises; an entry that cannot be used becomes a `Problem`, and the rest works."""

import logging
import re
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelbay.config import entries, keys
from modelbay.config.entries import Unusable
from modelbay.config.schema import Config, ModelEntry, Problem, Table, key_text
from modelbay.config.secrets import hide
from modelbay.config.toml.lines import line_of
from modelbay.errors import ConfigError, ConfigSyntaxError, UnknownModel, UnreadableFile
from modelbay.secrecy import without_frames
from modelbay.storage import files
from modelbay.storage.paths import STDIN, config_file

_provided: ContextVar[bytes | None] = ContextVar("_provided", default=None)
MOST_REPORTED = 5
"""Maximum number of unknown keys in the log; `modelbay config check` lists all of them."""
TOO_DEEP = "values are nested too deeply"
_reported: set[tuple[str, str]] = set()


def load(path: Path | None = None, *, trusted: bool = False, report: bool = True, new: bool = False) -> Config:
    """The configuration in `path`. Default: `paths.config_file()`, which may be missing: the configuration is empty then.

    With `trusted`, references are followed even outside modelbay's home. `report` logs a warning for each unknown key, once
    per process. `new`: whether a file that is named may be missing, too, as the caller creates it.

    Raises:
        ConfigSyntaxError: the file is not TOML.
        UnreadableFile: a file that is named does not exist.
        ConfigError: the file cannot be read.
    """
    default = config_file()
    path = path or default
    try:
        config = _read(path)
        if not (config.exists or new or path in (default, STDIN)):
            raise UnreadableFile(
                f"{path} does not exist", hint="check the path of the configuration file", file=str(path)
            )
    except ConfigError as error:
        raise without_frames(error) from None
    config.trusted = trusted
    if report and config.unknown:
        _report(config)
    return config


def provide(data: bytes) -> None:
    """Set the configuration that `load(STDIN)` reads."""
    _provided.set(data)


def _read(path: Path) -> Config:
    data = _provided.get() if path == STDIN else files.content_of(path)
    if data is None:
        return Config(path=path, exists=False)
    try:
        return parse(decoded(data), path)
    except TomlFault as fault:
        raise ConfigSyntaxError(f"{path}, line {fault.line}: {fault}", file=str(path), line=fault.line) from None


def _report(config: Config) -> None:
    new = [problem for problem in config.unknown if (problem.file, problem.where) not in _reported]
    _reported.update((problem.file, problem.where) for problem in new)
    log = logging.getLogger("modelbay")
    for problem in new[:MOST_REPORTED]:
        log.warning("%s (%s)", problem, problem.hint)
    if new[MOST_REPORTED:]:
        log.warning(
            "%s: %d more unknown keys: `modelbay config check` lists them", config.path, len(new) - MOST_REPORTED
        )


def parse(text: str, path: Path) -> Config:
    """The configuration in `text`, the current or future content of `path`.

    Raises:
        ConfigSyntaxError: the text is not TOML.
    """
    try:
        return read(table_of(text), text, path)
    except RecursionError:
        raise ConfigSyntaxError(f"{path}: {TOO_DEEP}", file=str(path)) from None
    except TomlFault as fault:
        place = f"{path}, line {fault.line}, column {fault.column}" if fault.line else f"{path}"
        raise ConfigSyntaxError(f"{place}: {fault}", file=str(path), line=fault.line) from None


def read(document: Table, text: str, path: Path) -> Config:
    """The configuration in a parsed document, whose source is `text`. The document is not changed: secrets in it stay readable."""
    document = _copied(document)
    hide(document)
    return _Reading(text, document, path).config


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


class TomlFault(Exception):
    """Data is not TOML. `line` and `column` are counted from 1, and None for the whole file."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def decoded(data: bytes) -> str:
    """The text of a TOML file.

    Raises:
        TomlFault: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")  # Windows editors write a byte order mark, which TOML forbids
    except UnicodeDecodeError as error:
        raise TomlFault("not UTF-8 text", data.count(b"\n", 0, error.start) + 1) from None


def table_of(text: str) -> Table:
    """The tables of a TOML text.

    Raises:
        TomlFault: it is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = str(error), text.count("\n") + 1, len(text) - text.rfind("\n")
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        if place:
            message = message[: place.start()]
            line, column = int(place[1] or line), int(place[2] or column)
        raise TomlFault(message[:1].lower() + message[1:], line, column) from None
    except RecursionError:
        raise TomlFault(TOO_DEEP) from None


class _Reading:
    """One reading of one file; entries that cannot be used go to `config.problems`."""

    def __init__(self, text: str, document: Table, path: Path) -> None:
        self.text = text
        self.document = document
        unknown = list(keys.unknown_keys(document))
        self.config = config = Config(path=path, digest=sha256(text.encode()).hexdigest())
        config.default_model = self.name("default_model")
        config.default_provider = self.name("default_provider")
        try:
            config.thinking = entries.thinking(self.table("thinking"))
        except Unusable as unusable:
            self.report(unusable, "thinking")
        try:
            config.chat = entries.chat_settings(self.table("chat"))
        except Unusable as unusable:
            self.report(unusable, "chat")
        try:
            config.network = entries.network(self.document.pop("network", {}))
        except Unusable as unusable:
            config.network = None
            self.report(unusable, "network")
        try:
            config.gateway = entries.gateway_settings(self.document.pop("gateway", {}))
        except Unusable as unusable:
            config.gateway = None
            self.report(unusable, "gateway")
        providers = self.table("providers")
        for id, table in providers.items():
            try:
                config.providers[id] = entries.provider_entry(id, table)
            except Unusable as unusable:
                self.report(unusable, "providers", id)
        for alias, table in self.table("models").items():
            try:
                config.models[alias] = self.model(alias, table, providers)
            except Unusable as unusable:
                self.report(unusable, "models", alias)
        self.check_gateway_names()
        config.extra = document
        config.unknown = keys.warnings(unknown, text, str(path))

    def model(self, alias: str, value: object, providers: Table) -> ModelEntry:
        table: Table = dict(value) if isinstance(value, dict) else {}
        overrides = table.pop("overrides", {})
        if not isinstance(overrides, dict):
            raise Unusable("expected a table", "overrides")
        for key in sorted(keys.ROUTING_KEYS & overrides.keys()):
            hint = f"move it to [models.{key_text(alias)}], or remove it"
            unusable = Unusable("cannot be overridden", "overrides", key, hint=hint)
            self.report(unusable, "models", alias)
        facts = {key: item for key, item in overrides.items() if key not in keys.ROUTING_KEYS}
        try:
            entry = entries.model_entry(
                alias, table if isinstance(value, dict) else value, facts, self.config.default_provider
            )
        except Unusable as unusable:
            inside = ("overrides",) if unusable.keys and unusable.keys[0] in facts else ()
            raise Unusable(str(unusable), *inside, *unusable.keys, hint=unusable.hint) from None
        if not entry.flat and entry.provider not in self.config.providers:
            how = "cannot be used" if entry.provider in providers else "does not exist"
            raise Unusable(f'its provider "{entry.provider}" {how}', "provider")
        return entry

    def check_gateway_names(self) -> None:
        """Report the gateway's names for models that do not exist."""
        for name, model in self.config.gateway.names.items() if self.config.gateway else ():
            try:
                self.config.model(model)
            except UnknownModel as error:
                message = error.message.removesuffix(f" in {self.config.path}")
                self.report(Unusable(message, hint=error.hint), "gateway", "names", name)

    def table(self, name: str) -> Table:
        value = self.document.pop(name, {})
        if isinstance(value, dict):
            return value
        self.report(Unusable("expected a table"), name)
        return {}

    def name(self, key: str) -> str | None:
        value = self.document.pop(key, "")
        if isinstance(value, str):
            return value.strip() or None
        self.report(Unusable("expected text"), key)
        return None

    def report(self, unusable: Unusable, *path: str) -> None:
        where = (*path, *unusable.keys)
        problem = Problem(
            file=str(self.config.path),
            line=line_of(self.text, *where),
            where=".".join(map(key_text, where)),
            message=str(unusable),
            hint=unusable.hint,
        )
        self.config.problems.append(problem)
