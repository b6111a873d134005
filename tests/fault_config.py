"""The configuration of tests that let providers fail: the simulator in every protocol, with small limits."""

from pathlib import Path

from modelbay.config.provider_types import TYPE_OF
from modelbay.conversation import Protocol

KEY = "sk-planted-0123456789abcdef"
BASES: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": ""}
NAMES = list(BASES)
"""The providers are called as their protocols."""


LONG = 60.0
"""Seconds that no step of a test takes, on a machine that is ten times slower and busy too."""
SHORT = 0.4
"""A limit that is to be reached."""
REACHED = {
    "slow-headers": {"first_byte": SHORT},
    "slow-first-token": {"first_byte": SHORT},
    "keep-alives": {"content": SHORT},
    "stall": {"idle": 2 * SHORT},
}
"""The limit that a fault is meant to reach, where it has no time of its own. Nothing else may depend on the clock."""


def noted(fault: str, attempts: int) -> range:
    """The possible numbers of requests in the server's journal. A busy server may not have read a request yet when its
    sender reaches a limit."""
    return range(0 if fault in REACHED else attempts, attempts + 1)


def hub_config(
    folder: Path,
    url: str,
    *,
    first_byte: float = LONG,
    idle: float = LONG,
    content: float = LONG,
    more: str = "",
    fault: str = "",
) -> Path:
    """A provider for each protocol. `fault` is the one that will be asked for; it reaches its limit soon."""
    reached = REACHED.get(fault, {})
    first_byte, idle = reached.get("first_byte", first_byte), reached.get("idle", idle)
    content = reached.get("content", content)
    lines = []
    for protocol, base in BASES.items():
        lines += [f"[providers.{protocol}]", f'type = "{TYPE_OF[protocol]}"', f'base_url = "{url}{base}"']
        waits = (
            f"connect = {LONG}, first_byte = {first_byte}, idle = {idle}, first_event = {content}, content = {content}"
        )
        lines += [f'api_key = "{KEY}"', f"timeout = {{ {waits} }}", ""]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + more, encoding="utf-8")
    return path
