"""opencode: `opencode.json` with comments, laid over each other from several places, and the keys in its own store."""

from pathlib import Path

from modelbay.agents import opencode_block as ai_sdk_block
from modelbay.agents import opencode_family as ai_sdk
from modelbay.agents.agent import Agent, Block, Import
from modelbay.agents.exporting import Departure
from modelbay.agents.findings import Ledger
from modelbay.agents.layers import Program, layers, store


def agent(program: Program) -> Agent:
    """opencode, or a descendant of it, as an agent."""

    def files() -> list[Path]:
        there = [program.home / name for name in program.names if (program.home / name).exists()]
        return there or [program.home / f"{program.id}.json"]

    def read(file: Path | None, keys: bool) -> Import:
        ledger = Ledger(layers(program, file), keys=keys, concerns=("provider",))
        return ai_sdk.read(program, ledger, store(program.logins if file is None else None, keys))

    def write(leaving: list[Departure]) -> Block:
        return ai_sdk_block.block(program, leaving)

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
