"""Coding agents: import providers from their configuration, and export providers to it. One file per agent."""

from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent, ImportSource

NAMES = ("kimi", "kilo", "opencode", "codex", "claude", "ccr", "crush", "qwen", "gemini", "continue", "cline", "droid")

IMPORTED_ONLY = ("litellm",)
"""Other programs whose providers can be imported."""


def import_source(name: str) -> "ImportSource":
    """The agent or other program with a name of `NAMES` or `IMPORTED_ONLY`."""
    found: ImportSource = import_module(_module(name)).AGENT
    return found


def by_name(name: str) -> "Agent":
    """The agent with a name of `NAMES`."""
    found: Agent = import_module(_module(name)).AGENT
    return found


def _module(name: str) -> str:
    """The module of an agent. A name that is a keyword of Python gets an underscore."""
    return f"modelbay.agents.{name}{'_' * iskeyword(name)}"
