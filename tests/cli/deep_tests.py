"""Deep tests of simulated providers that lack something, through the command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelbay.onboarding.deep_plan import PLANNED
from modelbay.simulator import Simulator
from tests.cli.inside import Inside

TYPES = {
    "openai_chat": ("openai", "/v1"),
    "openai_responses": ("openai_responses", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("google-genai", ""),
}
ALL = dict.fromkeys(PLANNED, "yes") | {
    "json_mode": "unknown",
    "max_output": "unknown",
    "context_window": "unknown",
}
"""The results of a provider that has every feature."""


def entry(url: str, protocol: str = "openai_chat", model: str = "sim-1", more: str = "") -> str:
    type, base = TYPES[protocol]
    text = f'[providers.acme]\ntype = "{type}"\nbase_url = "{url}{base}"\napi_key = "sk-1"\n'
    return f'{text}\n[models.large]\nprovider = "acme"\nmodel = "{model}"\n{more}'


def deep(bay: Inside, *more: str) -> dict[str, Any]:
    """The result of a test of one model."""
    run = bay("provider", "test", "acme", "--deep", "--yes", "--json", *more)
    assert run.out, run.err
    (result,) = json.loads(run.out)
    assert result["calls"] <= sum(one.most for one in PLANNED.values())
    return dict(result)


def results(result: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["result"] for check in result["checks"]}


def details(result: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in result["checks"]}


@contextmanager
def odd(
    without: str, bay: Inside, protocol: str = "openai_chat", model: str = "sim-1", more: str = ""
) -> Iterator[Simulator]:
    """A running provider without a feature, as `acme` in the configuration."""
    with Simulator(without=[without] if without else []) as sim:
        bay.file.write_text(entry(sim.url, protocol, model, more))
        yield sim
