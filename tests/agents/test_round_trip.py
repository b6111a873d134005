"""Import and export back: what both can say is said again, and what comes of it is the same to us."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay.agents import NAMES, by_name, jsonc
from modelbay.agents import importing as arrival
from modelbay.agents import write as writing
from modelbay.agents.exporting import departure
from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import Unsupported
from tests.agents.desk import CONFIGS, FILES, Desk, read, rich

OTHERWISE: dict[str, set[str]] = {
    "kimi": {"thinking", "default_provider", "overrides", "protocol", "alone", "fallback", "old"},
    "kilo": set(),
    "opencode": set(),
    "codex": {"profiles", "chatty", "wire_api", "requires_openai_auth"},
    "claude": {"ANTHROPIC_CUSTOM_MODEL_OPTION_NAME"},
}
"""What is taken over and goes back in another place or not at all: it is no provider's, it says the agent's default, or the
agent of today has no room for it."""


def imported(name: str, file: Path, config: Path) -> Config:
    """A configuration of ours with all of an agent's."""
    found = read(name, file, keys=True)
    apply(lambda edit: arrival.put(edit, found, name, {}), config)
    return load(config)


def exported(name: str, config: Config) -> dict[str, Any]:
    """All providers that the agent can use, as its configuration."""
    to = by_name(name)
    leaving = []
    for id in config.providers:
        try:
            leaving.append(departure(config, id, to.title, to.protocols, keys=True))
        except Unsupported:
            continue
    text = writing.text_of(to.write(leaving))
    said: dict[str, Any] = tomllib.loads(text) if FILES[name].endswith("toml") else jsonc.decode(text)
    return said


def at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


@pytest.mark.parametrize("name", NAMES)
def test_what_is_exact_is_said_again(name: str, desk: Desk):
    file = CONFIGS / FILES[name]
    desk.write("keys/claude", "sk-in-a-file")
    said = exported(name, imported(name, file, desk.file))
    was = tomllib.loads(file.read_text()) if file.suffix == ".toml" else jsonc.decode(file.read_text())
    checked = 0
    for finding in rich(name, keys=True).findings:
        if finding.outcome == "exact" and not finding.why and not set(finding.path) & OTHERWISE[name]:
            wanted = at(was, finding.path)
            if isinstance(wanted, str) and wanted.startswith("{file:"):
                wanted = f"{{file:{CONFIGS / wanted[6:-1]}}}"
            assert at(said, finding.path) == wanted, finding.where
            checked += 1
    assert checked > 6


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_and_comes_back_is_the_same(name: str, desk: Desk):
    config = imported(name, CONFIGS / FILES[name], desk.file)
    to = by_name(name)
    for id in config.providers:
        try:
            leaving = departure(config, id, to.title, to.protocols, keys=True)
        except Unsupported:
            assert (name, id) == ("codex", "chatty")
            continue
        file = desk.project / f"{name}{Path(FILES[name]).suffix}"
        file.write_text(writing.text_of(to.write([leaving])))
        (desk.home / "again").mkdir(exist_ok=True)
        there = desk.home / "again" / "config.toml"
        there.unlink(missing_ok=True)
        again = imported(name, file, there)
        if (name, id) in (("codex", "signed"), ("kimi", "vertex"), ("kimi", "old")):
            continue
        come = again.providers[id]
        told = replace(come, name=config.providers[id].name, timeout=config.providers[id].timeout)
        assert told == config.providers[id]
        for alias, model in again.models.items():
            if alias in config.models and name != "codex":
                mine = config.models[alias]
                assert (model.model, model.provider) == (mine.model, mine.provider)
                assert model.display_name in (mine.display_name, alias.partition("/")[2])
                for what in ("reasoning_key", "default_effort", "variants", "cost", "base_url", "aliases"):
                    assert getattr(model, what) == getattr(mine, what), (alias, what)
