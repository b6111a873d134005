"""Kilo Code: `kilo.json` with comments, opencode's form; its own before opencode's, the project's not trusted."""

from modelbay.agents.layers import Program
from modelbay.agents.opencode import agent

AGENT = agent(
    Program(
        id="kilo",
        title="Kilo Code",
        names=("config.json", "opencode.json", "opencode.jsonc", "kilo.json", "kilo.jsonc"),
        folders=(".kilocode", ".kilo"),
        schema="https://app.kilo.ai/config.json",
        blocked=frozenset({"KILO_SERVER_PASSWORD", "KILO_SERVER_USERNAME"}),
    )
)
