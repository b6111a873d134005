"""The journal of `modelbay configure`: the old values of the settings that it changed in an agent's files.

It is written before the files, and deleted when all old values are restored. Old values may be secrets, so only the owner can read
it. Values that modelbay wrote are known by their digests.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from modelbay.agents.agent import ExportedEntry
from modelbay.agents.file_text import FileSyntax
from modelbay.agents.line_changes import LineChanges
from modelbay.agents.write import matches
from modelbay.config.toml.document import MISSING
from modelbay.config.toml.scan import Keys
from modelbay.errors import ConfigError, FileError, MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import data_dir

FOLDER = "configured"
VERSION = 1
LARGEST = 64 * 1024 * 1024
"""Maximum bytes of a journal."""
ABSENT = "absent"
"""The digest of a missing value."""


class ChangedSetting(Struct):
    """A setting that modelbay changed, or that belongs to one."""

    path: Keys
    old: str | None
    """The text of the value before; None if there was none."""
    ours: list[str]
    """The digests of all values that modelbay gave to it, the last one at the end."""
    comment: str = ""
    """The comment after the old value, with the spaces before it."""


class CreatedTable(Struct):
    """A table that modelbay created. It is removed when it is empty."""

    path: Keys
    old: str | None
    """The text of the value before, such as null; None if there was none."""


class BoundSettings(Struct, frozen=True):
    """The settings of an entry that must be restored together: its address and its credential."""

    path: Keys
    address: tuple[Keys, ...]
    credentials: tuple[Keys, ...]
    group: Keys
    """The path of the entry that this one belongs to: entries with the same group are restored together."""


class ConfiguredFile(Struct):
    """A file of an agent that modelbay changed."""

    path: str
    syntax: FileSyntax
    existed: bool
    """Whether the file existed before."""
    mode: int | None
    """Permissions of the file before; None if it did not exist."""
    folders: list[str]
    """The folders that were created for the file, the innermost one first."""
    settings: list[ChangedSetting] = field(default_factory=list)
    tables: list[CreatedTable] = field(default_factory=list)
    entries: list[BoundSettings] = field(default_factory=list)
    texts: list[LineChanges] = field(default_factory=list)
    """The changes of its text. There are two while a file is being written: it may have either text."""

    @property
    def is_settled(self) -> bool:
        """Whether the file had the last value of each setting, unless something else changed it since."""
        return len(self.texts) <= 1


class AgentJournal(Struct):
    version: int
    salt: str
    """Makes digests of guessable values useless elsewhere."""
    files: list[ConfiguredFile] = field(default_factory=list)

    def digest(self, value: Any) -> str:
        """The digest of a value of a file; that of a missing one for MISSING."""
        return ABSENT if value is MISSING else sha256(f"{self.salt}{_canonical(value)}".encode()).hexdigest()[:32]

    def file(self, path: str) -> ConfiguredFile | None:
        return next((one for one in self.files if one.path == path), None)


def role(entry: BoundSettings, path: Keys) -> Literal["address", "credential"] | None:
    """The role of a setting in an entry; None if it has none."""
    depth = len(entry.path)
    if path[:depth] != entry.path:
        return None
    if any(matches(path[depth:], one) for one in entry.address):
        return "address"
    return "credential" if any(matches(path[depth:], one) for one in entry.credentials) else None


def bound(entry: ExportedEntry) -> BoundSettings:
    """The settings of an entry that must be restored together."""
    return BoundSettings(
        entry.path,
        entry.address,
        entry.credentials or entry.secrets,
        entry.path if entry.group is None else entry.group,
    )


def journal_path(agent: str) -> Path:
    return data_dir() / FOLDER / f"{agent}.json"


def read(agent: str) -> AgentJournal | None:
    """The journal of an agent; None if there is none.

    Raises:
        ConfigError: it cannot be read, another user can change it, or a newer modelbay wrote it.
    """
    path = journal_path(agent)
    if not path.exists():
        return None
    try:
        content = files.owned_content(path, LARGEST)
    except FileError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint, file=str(path)) from None
    try:
        version = decode_as(content, dict[str, Any]).get("version")
        if version == VERSION:
            return decode_as(content, AgentJournal)
    except MalformedReply as error:
        raise ConfigError(
            f"{path} is damaged: {error.message}", hint=f"restore the agent's files yourself, then remove {path}"
        ) from None
    raise ConfigError(f"{path} has version {version}, which this modelbay does not support", hint="upgrade modelbay")


def store(agent: str, journal: AgentJournal | None) -> None:
    """Write the journal of an agent, or delete it if there is nothing to restore; under its lock.

    Raises:
        ConfigError: it cannot be written.
    """
    path = journal_path(agent)
    before = files.content_of(path)
    if journal is not None and journal.files:
        content = msgspec.json.encode(journal)
        if content != before:
            files.replace(path, before, content)
    elif before is not None:
        files.remove(path, before)


def _canonical(value: Any) -> str:
    """A text that two values share only if they serialize identically: 1 differs from true and from 1.0."""
    return json.dumps(
        value, ensure_ascii=True, sort_keys=True, default=lambda other: [type(other).__name__, str(other)]
    )
