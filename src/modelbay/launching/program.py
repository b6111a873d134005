"""The coding agents that can be launched: one row each in `programs.toml`. To add an agent, add a row.

Values of a row are templates. `{name}` is replaced by a fact of the launch, from `PLACEHOLDERS` or the `values` of the row. If a
fact is unknown, the variable, group of arguments or member of a file that names it is omitted. A value in a file that consists of
one placeholder keeps the type of the fact, such as a number. `{name|quoted}` is the fact as a quoted string of JSON and TOML.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from modelbay.agents import NAMES
from modelbay.agents.agent import FileFormat
from modelbay.config.schema import Table
from modelbay.conversation import Protocol
from modelbay.conversion import convert
from modelbay.protocols.efforts import OFF, ON, nearest
from modelbay.serving.routes import ListForm
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.launching") / "programs.toml"
PLACEHOLDER = re.compile(r"\{(\w+)(\|quoted)?\}")
KEY_VARIABLE = "MODELBAY_AGENT_KEY"
"""The environment variable with the key, for agents whose settings refer to a variable."""
MODEL_PLACEHOLDERS = frozenset((
    "model", "model_key", "model_name", "context", "output", "effort", "efforts", "thinking", "tools", "images",
    "image_kind", "no_images", "pdfs", "audio", "videos", "temperature", "capabilities", "lower_output", "thinking_budget",
    "is_short",
))  # fmt: skip
"""Facts about a model.

model: its name in requests. model_key: its name in a file that `exporter` renders. model_name: its name for people. context,
output: context window and maximum output tokens. effort: the reasoning effort that the user set, in the agent's words. efforts:
the efforts that it accepts. thinking, tools, images, pdfs, audio, videos, temperature: whether it supports them. image_kind: the
word "image", for lists of kinds of input; unknown if it does not accept images. no_images: whether it accepts
none. capabilities: the names of those that it has, such
as "thinking,tool_use". lower_output: the maximum output tokens if they are below the agent's `usual_output`. thinking_budget: for
Anthropic Messages, a budget of tokens below the maximum output, or below `usual_output` if that is unknown; unknown if the model
can make more than `usual_output`. is_short: 1 if its context window is below the agent's `long_context`; unknown otherwise.
"""
PLACEHOLDERS = MODEL_PLACEHOLDERS | frozenset((
    "small", "small_key", "provider", "base_url", "root_url", "catalog_url", "unlisted_context", "key", "bearer_key",
    "header_key", "key_variable", "protocol", "folder", "environment", "attribution", "retries", "gateway_retries",
    "catalog", "catalog_file",
))  # fmt: skip
"""All facts of a launch.

small: the model for small tasks, the main one if none is chosen; small_key: its name in a file that `exporter` renders.
provider: the provider's ID in such a file. base_url: the base URL with its version, such as "/v1"; root_url: without.
catalog_url: the model list of the gateway; unknown without the gateway, and for a version that cannot read it. catalog: the
models in that list, and catalog_file: the path of `CATALOG`, for such a version; otherwise unknown. unlisted_context: the
context window, known only without the gateway. key: the API key, allowed only in variables and files; bearer_key: the key if
the server expects it in the header `Authorization`; header_key: if it expects another header. key_variable: the name of
`KEY_VARIABLE`. protocol: `openai_chat`, `openai_responses`, `anthropic` or `google`. folder: the private folder of the
launch, with its files. environment: all variables of the row, those of `unset` with the value "". attribution: 0 for a model
of another vendor than `maker`, otherwise unknown. retries: 0 with the gateway, which repeats failed requests itself; unknown
without. gateway_retries: the number of retries that the gateway is asked for, as text: 0 for an agent that `repeats` itself;
unknown without the gateway.
"""
CATALOG = "models.json"
"""The file with the model list in the private folder."""
SECRETS = frozenset(("key", "bearer_key", "header_key", "environment"))
EACH = "each"
"""A table with `each = "model"` in a list is repeated for each offered model. In a table, a member whose name has a placeholder
of a model is repeated."""

Registry: TypeAlias = Literal["npm", "pypi"]
_INSTALL: dict[Registry, str] = {"npm": "npm install --global {package}", "pypi": "uv tool install {package}"}


class PlannedFileRow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A file of a launch. It has a `path` in the private folder, or is the value of an environment `variable`."""

    path: str = ""
    variable: str = ""
    form: FileFormat = "json"
    """JSON is also YAML."""
    exported: bool = False
    """Whether it begins with what `modelbay export` writes for the agent `exporter`."""
    content: Table = field(default_factory=dict)
    """The content, a template; merged into the exported one."""


class HomeRow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A temporary configuration folder, for an agent that accepts its settings only there. The private folder of the launch takes
    the place of the user's folder: the user's files are copied, and the agent changes the copies."""

    variable: str
    """The environment variable that names the folder."""
    usual: str
    """The user's folder if the variable is not set, such as "~/.kimi-code"."""
    within: str = ""
    """The agent's folder below the one that the variable names, such as "crush" below XDG_CONFIG_HOME."""
    copies: tuple[str, ...] = ()
    """Files and folders of the user that are copied: settings, instructions, MCP servers. A file of the launch with the same path
    is merged into the copy."""
    sessions: tuple[str, ...] = ()
    """Folders of sessions, which stay in the user's folder and are linked. They are created there if they are missing: otherwise
    the sessions of a user who starts the agent only by `modelbay launch` would be removed with the private folder."""


class CatalogRow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How an agent reads the model list of the gateway."""

    form: ListForm
    url_since: str
    """The first version that reads the list from a URL. Earlier ones get it in a file."""

    def reads_url(self, version: str) -> bool:
        """Whether a version reads the list from a URL. An unknown version counts as a new one."""
        return not version or _numbers(version) >= _numbers(self.url_since)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


class ProtocolRow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings for one of the protocols of an agent."""

    values: dict[str, str] = field(default_factory=dict)
    """More placeholders, such as the agent's own name of the protocol. They may contain placeholders."""
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[tuple[str, ...], ...] = ()


class AgentProgram(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An agent that can be launched."""

    id: str
    """Argument of `modelbay launch`."""
    title: str
    """Name of the agent for people."""
    command: str
    """Name of the agent's program."""
    package: str
    """Exact name of its package."""
    registry: Registry | None = None
    """The registry of the package; None if it is not in one, then `install` is required."""
    install_command: str = ""
    """How it is installed. Default: the usual command of the registry."""
    version: tuple[str, ...] = ("--version",)
    """The arguments that print its version."""
    verified: str = ""
    """The version that this release was tested with; "" if the row is unverified."""
    protocols: tuple[Protocol, ...]
    """The protocols that it speaks, the preferred one first."""
    maker: str = ""
    """The vendor that made it, if it marks its prompts for this vendor."""
    drops_thinking: tuple[Protocol, ...] = ()
    """Protocols in which it does not return the thinking of a model. Some models refuse a tool loop without it, and the gateway
    adds it again."""
    repeats: bool = False
    """Whether it repeats failed requests quickly itself. If the gateway also did, the numbers would multiply."""
    functions_only: bool = True
    """Whether all its tools are functions. Others, such as those of Codex, are changed by the gateway for most providers."""
    catalog: CatalogRow | None = None
    """How it reads the model list of the gateway, if this depends on its version."""
    exporter: str = ""
    """The agent of `modelbay export` that renders its `exported` files."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that are set."""
    unset: tuple[str, ...] = ()
    """Variables that are removed: they would override the model, or send a key of the user to another server."""
    arguments: tuple[tuple[str, ...], ...] = ()
    """Groups of arguments before those of the user. A group is omitted if a fact in it is unknown."""
    files: tuple[PlannedFileRow, ...] = ()
    home: HomeRow | None = None
    continues: tuple[str, ...] = ()
    """The arguments that continue the last session of the folder on its screen; empty if it has none."""
    stores: tuple[str, ...] = ()
    """The settings that its screen writes to its own file, if the user chooses a model there: the model first. The agent is one of
    those that can be exported to, which know the file."""
    efforts: tuple[str, ...] = ()
    """The reasoning efforts that the agent accepts, lowest first; empty if it accepts any."""
    off_effort: str = ""
    """The agent's name for no thinking; "" if it has none."""
    long_context: int | None = None
    """Context window from which the name of a model gets `long_suffix`, in tokens."""
    long_suffix: str = ""
    usual_output: int = 0
    """The maximum output tokens that it requests of a model that it does not know; 0 if it requests none."""
    by_protocol: dict[Protocol, ProtocolRow] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Limits that a user must know, shown by `launch`."""

    @property
    def install(self) -> str:
        """The command that installs it."""
        usual = _INSTALL[self.registry] if self.registry else ""
        return (self.install_command or usual).format(package=self.package)

    def effort(self, wanted: str | None) -> str | None:
        """The effort to pass to it for the one that the user set: the nearest that it accepts. None: pass none."""
        word = (wanted or "on").lower()
        if word in OFF:
            return self.off_effort or None
        if word in ON:
            return None
        return nearest(word, list(self.efforts), self.title, []) if self.efforts else word

    @property
    def names_small(self) -> bool:
        """Whether it has a setting for a model for small tasks."""
        return bool({"small", "small_key"} & set(_placeholders(self)))

    @property
    def names_context(self) -> bool:
        """Whether it has a setting for the context window of a model."""
        return bool({"context", "unlisted_context"} & set(_placeholders(self))) or bool(self.exporter)

    @property
    def names_effort(self) -> bool:
        """Whether it has a setting for the reasoning effort."""
        return "effort" in set(_placeholders(self))

    @property
    def names_scheme(self) -> bool:
        """Whether it can send the key in the header `Authorization` and in another one."""
        return "header_key" in set(_placeholders(self))


@cache
def programs() -> dict[str, AgentProgram]:
    """All agents by ID, in the order of the table.

    Raises:
        ValueError: a row is not valid.
    """
    import tomllib

    return read(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def read(table: Table) -> dict[str, AgentProgram]:
    """The rows of a table.

    Raises:
        ValueError: a row is not valid.
    """
    found = {id: convert({"id": id, **row}, AgentProgram) for id, row in table.items()}
    for program in found.values():
        for fault in _faults(program):
            raise ValueError(f"{program.id}: {fault}")
    return found


def _faults(program: AgentProgram) -> Iterator[str]:
    """The reasons why a row cannot be used."""
    own = {name for row in program.by_protocol.values() for name in row.values}
    for name in sorted(set(_placeholders(program)) - PLACEHOLDERS - own):
        yield f"unknown placeholder {{{name}}}"
    for name in sorted(own & PLACEHOLDERS):
        yield f"the value {name} has the name of a fact"
    values = [value for row in program.by_protocol.values() for value in row.values.values()]
    if set(_in(values)) - (PLACEHOLDERS - SECRETS):
        yield "a value may contain facts other than the key"
    arguments = [*program.arguments, *(group for row in program.by_protocol.values() for group in row.arguments)]
    if SECRETS & set(_in(arguments)):
        yield "a key in an argument is visible to other users of the machine"
    for file in program.files:
        if bool(file.path) == bool(file.variable):
            yield "a file needs a path or a variable, and not both"
        if file.exported and program.exporter not in NAMES:
            yield "a file can be exported only for an agent of `modelbay export`"
    if not program.install:
        yield "no command installs it"
    if bool(program.long_context) != bool(program.long_suffix):
        yield "long_context and long_suffix need each other"
    if not set(program.by_protocol) <= set(program.protocols):
        yield "by_protocol has a protocol that the agent does not speak"


def _placeholders(program: AgentProgram) -> Iterator[str]:
    yield from _in([program.environment, program.arguments, [file.content for file in program.files]])
    for row in program.by_protocol.values():
        yield from _in([row.values, row.environment, row.arguments])


def _in(template: Any) -> Iterator[str]:
    """The placeholders in a template."""
    if isinstance(template, str):
        yield from (found[1] for found in PLACEHOLDER.finditer(template))
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from _in(key)
            yield from _in(value)
    elif isinstance(template, list | tuple):
        for item in template:
            yield from _in(item)
