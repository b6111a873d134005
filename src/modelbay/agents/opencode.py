"""opencode: `opencode.json` with comments, laid over each other from several places, and the keys in its own store."""

from pathlib import Path

from modelbay.agents import ai_sdk, ai_sdk_block
from modelbay.agents.agent import Agent, Block, Import
from modelbay.agents.departure import Departure
from modelbay.agents.layers import Places, layers, store
from modelbay.agents.ledger import Ledger
from modelbay.config.paths import user_config_dir, user_data_dir

NAME = "opencode"
SCHEMA = "https://opencode.ai/config.json"


def _places() -> Places:
    return Places(
        title=AGENT.title,
        home=user_config_dir() / NAME,
        names=("config.json", "opencode.json", "opencode.jsonc"),
        folders=(".opencode",),
        prefix="OPENCODE",
        managed=NAME,
    )


def _files() -> list[Path]:
    places = _places()
    return [file for file in (places.home / name for name in places.names) if file.exists()] or [
        places.home / "opencode.json"
    ]


def _read(file: Path | None, keys: bool) -> Import:
    return ai_sdk.read(
        ai_sdk.Dialect(AGENT.title),
        Ledger(layers(_places(), file), keys=keys, concerns=("provider",)),
        store(user_data_dir() / NAME / "auth.json" if file is None else None, keys),
    )


def _write(leaving: list[Departure]) -> Block:
    return ai_sdk_block.block(leaving, NAME, SCHEMA)


AGENT = Agent(
    id=NAME,
    title="opencode",
    protocols=("openai_chat", "openai_responses", "anthropic", "google"),
    files=_files,
    read=_read,
    write=_write,
)
