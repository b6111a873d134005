"""opencode and the programs derived from it: their configuration files, and the form of a provider in them.

Providers are written for the packages of the AI SDK: `provider.<id>.{npm, options, models}`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from modelbay.agents.config_files import json_layer, parse_json, project_folders
from modelbay.agents.findings import ConfigLayer
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError
from modelbay.protocols.efforts import LEVELS
from modelbay.storage.paths import environment, expanded, user_config_dir, user_data_dir, working_folder

PACKAGES: dict[str, Protocol] = {
    "@ai-sdk/openai-compatible": "openai_chat",
    "@ai-sdk/openai": "openai_responses",
    "@ai-sdk/anthropic": "anthropic",
    "@ai-sdk/google": "google",
}
COMPATIBLE, VERTEX, AZURE = "@ai-sdk/openai-compatible", "@ai-sdk/google-vertex", "@ai-sdk/azure"
CLAUDE_AT_VERTEX = "@ai-sdk/google-vertex/anthropic"

FIELDS: list[tuple[Keys, Keys, Literal["text", "size", "number", "boolean", "strings"]]] = [
    (("name",), ("display_name",), "text"),
    (("limit", "context"), ("max_context_size",), "size"),
    (("limit", "input"), ("max_input_size",), "size"),
    (("limit", "output"), ("max_output_size",), "size"),
    (("cost", "input"), ("cost", "input"), "number"),
    (("cost", "output"), ("cost", "output"), "number"),
    (("cost", "cache_read"), ("cost", "cache_read"), "number"),
    (("cost", "cache_write"), ("cost", "cache_write"), "number"),
    (("reasoning",), ("reasoning",), "boolean"),
    (("tool_call",), ("tool_call",), "boolean"),
    (("temperature",), ("temperature",), "boolean"),
    (("attachment",), ("attachment",), "boolean"),
    (("release_date",), ("release_date",), "text"),
    (("family",), ("family",), "text"),
    (("modalities", "input"), ("modalities", "input"), "strings"),
    (("modalities", "output"), ("modalities", "output"), "strings"),
    (("interleaved", "field"), ("reasoning_key",), "text"),
    (("options", "reasoningEffort"), ("default_effort",), "text"),
    (("options", "effort"), ("default_effort",), "text"),
    (("options", "thinkingConfig", "thinkingLevel"), ("default_effort",), "text"),
]
"""The fields of a model: path in the agent's file, path in modelbay's configuration, and type."""
BODY_FIELDS: dict[Protocol, dict[Keys, Keys]] = {
    "openai_chat": {("reasoningEffort",): ("reasoning_effort",), ("textVerbosity",): ("verbosity",)},
    "openai_responses": {
        ("reasoningEffort",): ("reasoning", "effort"),
        ("reasoningSummary",): ("reasoning", "summary"),
        ("include",): ("include",),
        ("serviceTier",): ("service_tier",),
    },
    "anthropic": {
        ("thinking", "type"): ("thinking", "type"),
        ("thinking", "budgetTokens"): ("thinking", "budget_tokens"),
        ("effort",): ("output_config", "effort"),
    },
    "google": {},
}
"""The SDK's options, with the fields of the request body that they set. A variant of modelbay's contains body fields."""


EFFORTS: dict[Protocol, tuple[Keys, tuple[str, ...]]] = {
    "openai_chat": (("reasoningEffort",), LEVELS),
    "openai_responses": (("reasoningEffort",), LEVELS),
    "anthropic": (("effort",), LEVELS[1:]),
    "google": (("thinkingConfig", "thinkingLevel"), LEVELS[:4]),
}
"""The SDK's option for the reasoning effort, and its values. An option of another SDK is ignored."""
NO_THINKING: dict[Protocol, tuple[Keys, object]] = {
    "openai_chat": (("reasoningEffort",), "none"),
    "openai_responses": (("reasoningEffort",), "none"),
    "anthropic": (("thinking", "type"), "disabled"),
}
"""The SDK's option that turns thinking off, and its value. For Gemini, the agents set a thinking level, and Google refuses a budget
of 0 beside it."""


class Program(Struct, frozen=True):
    """opencode, or a program derived from it."""

    id: str
    """The name of its command and folders. In capitals, the prefix of its environment variables: `…_CONFIG` is the path of a
    file, `…_CONFIG_DIR` of a folder, and `…_CONFIG_CONTENT` is the content of a file.
    """
    title: str
    names: tuple[str, ...]
    """The names of its files in increasing priority. A project's files have all of these names except the first."""
    folders: tuple[str, ...]
    """The folders of a project that may contain such files."""
    schema: str
    """The URL of its JSON schema."""
    blocked: frozenset[str] = frozenset()
    """Environment variables that its configuration cannot refer to."""
    discovers: bool = False
    """Whether it reads a provider's list of models, with `options.discoverModels`."""

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


def layers(program: Program, file: Path | None = None) -> list[ConfigLayer]:
    """The files that apply in the current folder, in increasing priority; or only `file`.

    Raises:
        ConfigError: a file cannot be read, or no file exists.
    """
    if file is not None:
        return [json_layer(file)]
    found = list(_current(program))
    if not found:
        names = " or ".join(program.names[-2:])
        raise ConfigError(
            f"{program.title} has no configuration: {program.home} contains no {names}",
            hint="name its configuration file",
        )
    return found


def _current(program: Program) -> Iterator[ConfigLayer]:
    yield from _in_folder(program.home, program.names)
    if named := program.variable("CONFIG"):
        yield json_layer(expanded(named))
    if program.variable("DISABLE_PROJECT_CONFIG") is None:
        root, *inner = project_folders()
        for folder in (root, *inner):
            if folder != program.home:
                yield from _in_folder(folder, program.names[1:], folder)
        for folder in (root / name for name in program.folders):
            yield from _in_folder(folder, program.names[1:], root)
    if folder_named := program.variable("CONFIG_DIR"):
        yield from _in_folder(expanded(folder_named), program.names)
    if content := program.variable("CONFIG_CONTENT"):
        variable = f"${program.id.upper()}_CONFIG_CONTENT"
        yield ConfigLayer(variable, parse_json(content, variable), working_folder())
    yield from _in_folder(_system_folder() / program.id, program.names)


def _in_folder(folder: Path, names: tuple[str, ...], root: Path | None = None) -> Iterator[ConfigLayer]:
    for name in names:
        if (folder / name).is_file():
            yield json_layer(folder / name, root)


def _system_folder() -> Path:
    """The folder of the configuration that an administrator sets."""
    if sys.platform == "darwin":
        return Path("/Library/Application Support")
    return Path(environment("ProgramData") or "C:/ProgramData") if sys.platform == "win32" else Path("/etc")
