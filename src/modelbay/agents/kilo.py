"""Kilo Code: `kilo.json` with comments, opencode's form; its own before opencode's, the project's not trusted."""

from pathlib import Path

from modelbay.agents import ai_sdk, ai_sdk_block
from modelbay.agents.agent import Agent, Block, Import
from modelbay.agents.departure import Departure
from modelbay.agents.layers import Places, layers, store
from modelbay.agents.ledger import Ledger
from modelbay.config.paths import user_config_dir, user_data_dir

NAME = "kilo"
SCHEMA = "https://app.kilo.ai/config.json"
BLOCKED = frozenset({"KILO_SERVER_PASSWORD", "KILO_SERVER_USERNAME"})


def _places() -> Places:
    return Places(
        title=AGENT.title,
        home=user_config_dir() / NAME,
        names=("config.json", "opencode.json", "opencode.jsonc", "kilo.json", "kilo.jsonc"),
        folders=(".kilocode", ".kilo"),
        prefix="KILO",
        managed=NAME,
    )


def _files() -> list[Path]:
    places = _places()
    return [file for file in (places.home / name for name in places.names) if file.exists()] or [
        places.home / "kilo.json"
    ]


def _read(file: Path | None, keys: bool) -> Import:
    return ai_sdk.read(
        ai_sdk.Dialect(AGENT.title, BLOCKED),
        Ledger(layers(_places(), file), keys=keys, concerns=("provider",)),
        store(user_data_dir() / NAME / "auth.json" if file is None else None, keys),
    )


def _write(leaving: list[Departure]) -> Block:
    return ai_sdk_block.block(leaving, NAME, SCHEMA)


AGENT = Agent(
    id=NAME,
    title="Kilo Code",
    protocols=("openai_chat", "openai_responses", "anthropic", "google"),
    files=_files,
    read=_read,
    write=_write,
)
