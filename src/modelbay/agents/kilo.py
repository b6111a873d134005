"""Kilo Code: `kilo.json` files with comments, in the form of opencode, which have priority over `opencode.json` files."""

from modelbay.agents.opencode import agent
from modelbay.agents.opencode_family import Program

AGENT = agent(
    Program(
        id="kilo",
        title="Kilo Code",
        names=("config.json", "opencode.json", "opencode.jsonc", "kilo.json", "kilo.jsonc"),
        folders=(".kilocode", ".kilo"),
        schema="https://app.kilo.ai/config.json",
        blocked=frozenset({"KILO_SERVER_PASSWORD", "KILO_SERVER_USERNAME"}),
        discovers=True,
    )
)
