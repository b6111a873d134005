"""The configuration of tests that let providers fail: the simulator in every protocol, with small limits."""

from pathlib import Path

from modelbay.config.types import TYPE_OF
from modelbay.conversation import Protocol

KEY = "sk-planted-0123456789abcdef"
BASES: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": ""}
NAMES = list(BASES)
"""The providers are called as their protocols."""


def hub_config(
    folder: Path, url: str, *, first_byte: float = 5.0, idle: float = 5.0, content: float = 5.0, more: str = ""
) -> Path:
    lines = []
    for protocol, base in BASES.items():
        lines += [f"[providers.{protocol}]", f'type = "{TYPE_OF[protocol]}"', f'base_url = "{url}{base}"']
        waits = f"connect = 2.0, first_byte = {first_byte}, idle = {idle}, first_event = {content}, content = {content}"
        lines += [f'api_key = "{KEY}"', f"timeout = {{ {waits} }}", ""]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + more, encoding="utf-8")
    return path
