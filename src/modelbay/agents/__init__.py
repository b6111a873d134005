"""Coding agents: what they have is imported, what we have is exported. A file for each."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent

NAMES = ("kimi", "kilo", "opencode", "codex", "claude")


def by_name(name: str) -> "Agent":
    """The agent of one of `NAMES`."""
    found: Agent = import_module(f"modelbay.agents.{name}").AGENT
    return found
