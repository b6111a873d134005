"""What a coding agent is to modelbay: a configuration to read providers from, and one to write them to."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.agents.exporting import Departure
from modelbay.agents.findings import Finding
from modelbay.agents.rewriting import Entry
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol


def _no_entries(data: Table) -> list[Entry]:
    return []


def _none(file: Path, data: Table) -> list[str]:
    return []


Form: TypeAlias = Literal["toml", "json"]


class Arrival(Struct):
    """A provider of an agent, as entries of ours."""

    id: str
    table: Table
    models: dict[str, Table] = field(default_factory=dict)
    """By alias, without their `provider`."""
    keyless: str = ""
    """Why it comes without the key that the agent has; "" where it has one, or there was none."""


class Import(Struct):
    """All that an agent's configuration says."""

    files: list[str]
    """Those that were read, in the order in which the later counts more."""
    arrivals: list[Arrival] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Providers that cannot be taken over, and why."""
    default_model: str | None = None
    """An alias of the arrivals."""
    settings: dict[Keys, object] = field(default_factory=dict)
    """What else of the configuration is ours, by where it stands."""
    findings: list[Finding] = field(default_factory=list)


class Block(Struct):
    """What an agent's configuration must say for it to use our providers."""

    form: Form
    settings: dict[Keys, object] = field(default_factory=dict)
    """Values and tables by where they stand; a table is merged into the one that is there."""
    notes: list[str] = field(default_factory=list)
    """What the agent cannot be told, and what is left to do."""
    choice: dict[Keys, object] = field(default_factory=dict)
    """What makes a model of ours the one that is used: all of it, or where the agent has another one, nothing of it."""
    opening: dict[Keys, object] = field(default_factory=dict)
    """What a file that is new begins with."""
    command: str = ""
    """How the agent is started with a model of ours."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables that the agent will look for, and whose keys they are to have."""
    entries: list[Entry] = field(default_factory=list)
    """Those that are written, and what in them depends on their address."""
    related: Callable[[Table], list[Entry]] = _no_entries
    """The entries of a file that are not written, and that use one which is."""
    hindrances: Callable[[Path, Table], list[str]] = _none
    """What keeps the agent from using the block: in its file as it will be, in its other files, in the shell. Raises ConfigError
    where another file has a credential for an entry of the block, which was for another address.
    """


class Agent(Struct, frozen=True):
    id: str
    title: str
    protocols: tuple[Protocol, ...]
    """What it speaks, the usual first."""
    files: Callable[[], list[Path]]
    """Where it looks for its configuration of its own, the last counting most; what is written goes to the last."""
    read: Callable[[Path | None, bool], Import]
    """Reads a file, or all that it has itself; takes secrets along where it is told so. Raises ConfigError."""
    write: Callable[[list[Departure]], Block]
    """What its configuration must say for providers of ours. Raises Unsupported."""
    model_urls: bool = True
    """Whether a model of a provider can have its own base URL."""
