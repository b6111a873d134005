"""The contract of a coding agent: a configuration to import providers from, and one to export them to."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.agents.exported import ExportedProvider
from modelbay.agents.findings import SettingFinding
from modelbay.agents.named_lists import NamedLists
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol

FileFormat: TypeAlias = Literal["toml", "json", "env", "yaml"]


class ImportedProvider(Struct):
    """A provider of an agent, as entries of modelbay's configuration."""

    id: str
    table: Table
    models: dict[str, Table] = field(default_factory=dict)
    """Model entries by alias, without their `provider`."""
    missing_key: str = ""
    """Why the agent's key is not imported; "" if it is, or if there is none."""


class ImportedConfig(Struct):
    """An agent's configuration, as modelbay reads it."""

    files: list[str]
    """The files that were read, in increasing priority."""
    providers: list[ImportedProvider] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason for each provider that cannot be imported, by ID."""
    default_model: str | None = None
    """An alias of one of the providers."""
    settings: dict[Keys, object] = field(default_factory=dict)
    """Other settings to import, by their path in modelbay's configuration."""
    findings: list[SettingFinding] = field(default_factory=list)


class ExportedEntry(Struct, frozen=True):
    """An entry that is written to an agent's file, and the settings in it that depend on its URL.

    The paths are relative to the entry. A path also covers all paths that begin with it, and `ANY` in it matches any key.
    """

    path: Keys
    destination: Callable[[Table], str | None]
    """The destination of an entry's calls as comparable text; None if unknown."""
    address: tuple[Keys, ...]
    """Settings that decide the destination. Old ones are always removed: they would override the new entry."""
    secrets: tuple[Keys, ...]
    """Settings that are valid for one URL only."""
    alternatives: tuple[Keys, ...] = ()
    """The secrets of which the agent uses only one, such as a key and the name of a variable with the key."""
    credentials: tuple[Keys, ...] = ()
    """The secrets that authenticate. They are restored together with the address. Empty: all `secrets`."""
    group: Keys | None = None
    """The path of the entry whose address or credential this one uses: both are restored together. None: its own path."""


def _no_entries(data: Table) -> list[ExportedEntry]:
    return []


def _no_problems(file: Path, data: Table) -> list[str]:
    return []


class ExportedConfig(Struct):
    """The settings that make an agent use modelbay's providers."""

    format: FileFormat
    settings: dict[Keys, object] = field(default_factory=dict)
    """Values and tables by path. A table is merged into an existing one."""
    notes: list[str] = field(default_factory=list)
    """Notes for the user, such as settings that could not be exported."""
    default_model: dict[Keys, object] = field(default_factory=dict)
    """The settings that select the default model. None of them is written if the agent's file has other values."""
    new_file: dict[Keys, object] = field(default_factory=dict)
    """The settings that a new file begins with."""
    command: str = ""
    """The command that starts the agent with an exported model."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables that the agent reads keys from, with the ID of the provider of each key."""
    entries: list[ExportedEntry] = field(default_factory=list)
    """The entries that are written."""
    related: Callable[[Table], list[ExportedEntry]] = _no_entries
    """Returns entries of the file that are not written, but depend on one that is."""
    lists: NamedLists = field(default_factory=dict)
    """The lists of the file whose items are addressed by their names, as if each list were a table."""
    problems: Callable[[Path, Table], list[str]] = _no_problems
    """Returns the reasons why the agent would not use the entries: in the changed file, its other files, or the environment.
    Raises ConfigError if another file has a credential for an entry, and the credential belongs to another URL.
    """
    beside: "dict[Path, ExportedConfig]" = field(default_factory=dict)
    """Further files of the agent, such as one with keys. All are written in one transaction."""

    def start_model(self, provider: ExportedProvider) -> ModelEntry | None:
        """The model of a provider that the agent starts with: the default model, or a model of the first provider that has one.
        None if it starts with a model of an earlier provider."""
        return provider.first_model if provider.default_model or not self.command else None


class ImportSource(Struct, frozen=True, kw_only=True):
    """A program whose providers can be imported."""

    id: str
    title: str
    files: Callable[[], list[Path]]
    """Returns its own configuration files in increasing priority. Exports are written to the last one."""
    read: Callable[[Path | None, bool], ImportedConfig]
    """Reads one file, or all of its own files; with secrets if the second argument is true. Raises ConfigError."""


class Agent(ImportSource, frozen=True, kw_only=True):
    """A coding agent: providers can be imported from it and exported to it."""

    protocols: tuple[Protocol, ...]
    """The protocols that it speaks, the preferred one first."""
    write: Callable[[list[ExportedProvider]], ExportedConfig]
    """Returns its configuration for these providers. Raises Unsupported."""
    model_urls: bool = True
    """Whether a model can have a base URL of its own."""
    dependents: Callable[[Table], list[ExportedEntry]] = _no_entries
    """Returns the entries of its file that have a URL of their own and use the credential of another entry, their group."""
    changes_file: bool = True
    """Whether modelbay changes its file. Otherwise an export is only printed: the user copies it into the file."""
