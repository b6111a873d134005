"""Import from an agent and export back to it: settings that both support come back, and modelbay reads the same from them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay.agents import NAMES, by_name, importing
from modelbay.agents.exported import ExportedProvider
from modelbay.agents.exporting import exported_provider
from modelbay.agents.write import render
from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import Unsupported
from tests.agents.desk import CONFIGS, FILES, Desk, parsed, read, rich

OTHERWISE: dict[str, set[str]] = {
    "kimi": {"thinking", "default_provider", "overrides", "protocol", "alone", "fallback", "old"},
    "kilo": set(),
    "opencode": set(),
    "codex": {"profiles", "chatty", "wire_api", "requires_openai_auth"},
    "claude": {"ANTHROPIC_CUSTOM_MODEL_OPTION_NAME"},
    "ccr": {"PROXY_URL"},
    "crush": {"disable", "gem", "X-Trace"},
    "gemini": set(),
    "cline": {"version", "lastUsedProvider", "vertex", "openrouter", "updatedAt", "tokenSource"},
    "continue": {
        "version",
        "proxy",
        "verifySsl",
        "caBundlePath",
        "clientCertificate",
        "Qwen",
        "Vertex",
        "East",
        "X-Trace",
    },
    "droid": {"sessionDefaultSettings", "#2", "#4", "authMode"},
    "qwen": {"env", "providerProtocol", "openai", "anthropic", "gemini", "capabilities"},
}
"""Settings that are imported but not exported to the same place: not part of a provider, a default, or no longer supported by
the agent."""


def imported(name: str, file: Path, config: Path) -> Config:
    """A configuration of modelbay with everything imported from an agent."""
    found = read(name, file, keys=True)
    apply(lambda edit: importing.add(edit, found, name, {}), config)
    return load(config)


def exported(name: str, config: Config) -> dict[str, Any]:
    """The agent's configuration for all providers that it can use."""
    to = by_name(name)
    exported: list[ExportedProvider] = []
    for id in config.providers:
        try:
            one = exported_provider(config, id, to, with_keys=True)
            to.write([*exported, one])
        except Unsupported:
            continue
        exported.append(one)
    text = render(to.write(exported))
    return parsed(name, text)


def at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


@pytest.mark.parametrize("name", NAMES)
def test_exact_settings_are_exported_again(name: str, desk: Desk):
    file = CONFIGS / FILES[name]
    desk.write("keys/claude", "sk-in-a-file")
    said = exported(name, imported(name, file, desk.file))
    was = parsed(name, file.read_text())
    checked = 0
    for finding in rich(name, keys=True).findings:
        if finding.outcome == "exact" and not finding.why and not set(finding.path) & OTHERWISE[name]:
            wanted = at(was, finding.path)
            if isinstance(wanted, str) and wanted.startswith("{file:"):
                wanted = f"{{file:{CONFIGS / wanted[6:-1]}}}"
            assert at(said, finding.path) == wanted, finding.where
            checked += 1
    assert checked > 2


@pytest.mark.parametrize("name", NAMES)
def test_exported_settings_are_imported_unchanged(name: str, desk: Desk):
    config = imported(name, CONFIGS / FILES[name], desk.file)
    to = by_name(name)
    for id in config.providers:
        try:
            text = render(to.write([exported_provider(config, id, to, with_keys=True)]))
        except Unsupported:
            assert (name, id) in (("codex", "chatty"), ("continue", "azure"), ("cline", "vertex"))
            continue
        file = desk.project / f"{name}{Path(FILES[name]).suffix}"
        file.write_text(text)
        (desk.home / "again").mkdir(exist_ok=True)
        there = desk.home / "again" / "config.toml"
        there.unlink(missing_ok=True)
        again = imported(name, file, there)
        if (name, id) in (("codex", "signed"), ("kimi", "vertex"), ("kimi", "old")):
            continue
        come = again.providers[id]
        mine = config.providers[id]
        assert replace(come, name=mine.name, timeout=mine.timeout, proxy=mine.proxy, tls=mine.tls) == mine
        for alias, model in again.models.items():
            if alias in config.models and name != "codex":
                was = config.models[alias]
                assert (model.model, model.provider) == (was.model, was.provider)
                assert model.display_name in (was.display_name, alias.partition("/")[2])
                for what in ("reasoning_key", "default_effort", "variants", "cost", "base_url", "aliases"):
                    if (name, what) != ("qwen", "default_effort"):  # an exported model needs one
                        assert getattr(model, what) == getattr(was, what), (alias, what)
