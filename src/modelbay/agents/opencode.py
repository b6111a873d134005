"""opencode: `opencode.json` files with comments, merged from several places, and keys in a separate file."""

from pathlib import Path

from modelbay.agents import opencode_export, opencode_import
from modelbay.agents.agent import Agent, ExportedConfig, ImportedConfig
from modelbay.agents.config_files import read_logins
from modelbay.agents.exported import ExportedProvider
from modelbay.agents.findings import MergedConfig
from modelbay.agents.opencode_family import Program, layers


def agent(program: Program) -> Agent:
    """A program of opencode's family as an agent."""

    def files() -> list[Path]:
        existing = [program.home / name for name in program.names if (program.home / name).exists()]
        return existing or [program.home / f"{program.id}.json"]

    def read(file: Path | None, keys: bool) -> ImportedConfig:
        merged = MergedConfig(layers(program, file), keys=keys, provider_tables=("provider",))
        return opencode_import.read(program, merged, read_logins(program.logins if file is None else None, keys))

    def write(providers: list[ExportedProvider]) -> ExportedConfig:
        return opencode_export.exported_config(program, providers)

    return Agent(
        id=program.id,
        title=program.title,
        protocols=("openai_chat", "openai_responses", "anthropic", "google"),
        files=files,
        read=read,
        write=write,
    )


AGENT = agent(
    Program(
        id="opencode",
        title="opencode",
        names=("config.json", "opencode.json", "opencode.jsonc"),
        folders=(".opencode",),
        schema="https://opencode.ai/config.json",
    )
)
