"""Targets of small configurations, for tests of the gateway's parts."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelbay.calling.target import Target, Targets
from modelbay.config.load import parse
from modelbay.config.schema import Config

TYPES = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}


def configured(protocol: str, provider: str = "", wire_id: str = "maker/model-1", variant: str = "") -> Config:
    """A configuration with one model, "one", at an unknown provider. `provider` and `variant`: further keys in TOML."""
    text = f"""
    [providers.acme]
    type = "{TYPES[protocol]}"
    base_url = "https://acme.example/v1"
    api_key = "sk-acme-1234567890"
    {provider}
    [models.one]
    provider = "acme"
    model = {json.dumps(wire_id)}
    variants.own = {{ {variant} }}
    """
    return parse(text, Path("config.toml"))


def target_of(
    protocol: str, wire_id: str = "maker/model-1", variant: str = "", provider: str = "", **facts: Any
) -> Target:
    """The target "one" of such a configuration. `facts`: fields of its dialect, and of its model."""
    found = _found(protocol, provider, wire_id, variant)
    model = {name: facts.pop(name) for name in list(facts) if name in type(found.model).__struct_fields__}
    upstream = replace(found.upstream, dialect=replace(found.upstream.dialect, **facts))
    return Target(found.entry, upstream, replace(found.model, **model))


@cache
def _found(protocol: str, provider: str, wire_id: str, variant: str) -> Target:
    return Targets(configured(protocol, provider, wire_id, variant)).find("one:own" if variant else "one")
