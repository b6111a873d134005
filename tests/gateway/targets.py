"""Targets of small configurations, for tests of the gateway's parts."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelbay.config.load import parse
from modelbay.target import Target, Targets

TYPES = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}


def target_of(protocol: str, wire_id: str = "maker/model-1", variant: str = "", **facts: Any) -> Target:
    """A target at an unknown provider. `variant`: settings in TOML. `facts`: fields of its dialect, and of its model."""
    text = f"""
    [providers.acme]
    type = "{TYPES[protocol]}"
    base_url = "https://acme.example/v1"
    [models.one]
    provider = "acme"
    model = {json.dumps(wire_id)}
    """
    if variant:
        text += f"variants.own = {{ {variant} }}"
    found = _found(text, "one:own" if variant else "one")
    model = {name: facts.pop(name) for name in list(facts) if name in type(found.model).__struct_fields__}
    upstream = replace(found.upstream, dialect=replace(found.upstream.dialect, **facts))
    return replace(found, upstream=upstream, model=replace(found.model, **model))


@cache
def _found(text: str, name: str) -> Target:
    return Targets(parse(text, Path("config.toml"))).find(name)
