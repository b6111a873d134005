"""A user's machine for tests: home folders for modelbay and for every agent, separate from the real ones."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.agents import NAMES, by_name, ccr, continue_, crush, droid, jsonc, qwen, variables, yaml_text
from modelbay.agents.agent import ImportedConfig
from modelbay.agents.named_lists import NamedLists, as_tables
from tests.cli.inside import Inside

CONFIGS = Path(__file__).parent / "configs"
FILES = {
    "kimi": "kimi.toml",
    "kilo": "kilo.jsonc",
    "opencode": "opencode.jsonc",
    "codex": "codex.toml",
    "claude": "claude.json",
    "ccr": "ccr.json",
    "crush": "crush.json",
    "qwen": "qwen.json",
    "gemini": "gemini.env",
    "continue": "continue.yaml",
    "cline": "cline.json",
    "droid": "droid.json",
}
"""A large configuration of each agent, written from its documentation."""
LISTS: dict[str, NamedLists] = {
    "ccr": ccr.LISTS,
    "crush": crush.LISTS,
    "qwen": qwen.LISTS,
    "continue": continue_.LISTS,
    "droid": droid.LISTS,
}
"""The lists in an agent's file whose items have names."""
RESTS = ("CONFIG", "CONFIG_DIR", "CONFIG_CONTENT", "DISABLE_PROJECT_CONFIG")
VARIABLES = (
    *("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_MODEL"),
    *("KIMI_CODE_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *(
        "CRUSH_GLOBAL_CONFIG",
        "CRUSH_GLOBAL_DATA",
        "QWEN_HOME",
        "GEMINI_CLI_HOME",
        "CONTINUE_GLOBAL_DIR",
        "FACTORY_HOME_OVERRIDE",
    ),
    *("OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY", "GEMINI_API_KEY", "GEMINI_MODEL"),
    *("GOOGLE_GEMINI_BASE_URL", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"),
    *(f"{agent}_{rest}" for agent in ("KILO", "OPENCODE") for rest in RESTS),
)

assert set(FILES) == set(NAMES)


class Desk(Inside):
    """Runs `modelbay …` in a project folder inside a home folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.user = folder / "user"
        self.project = folder / "project"
        for path in (self.user, self.project, folder / "modelbay"):
            path.mkdir()
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(self.user))
        monkeypatch.chdir(self.project)
        super().__init__(folder / "modelbay", monkeypatch, {str(folder): "DESK"})

    def write(self, path: str, text: str) -> Path:
        """Write a file in the user's home; with the prefix `project/`, in the project."""
        top, _, rest = path.partition("/")
        file = self.project / rest if top == "project" else self.user / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


def read(name: str, file: Path | None = None, *, keys: bool = False) -> ImportedConfig:
    return by_name(name).read(file, keys)


def rich(name: str, *, keys: bool = False) -> ImportedConfig:
    """The import of the large configuration of an agent."""
    return read(name, CONFIGS / FILES[name], keys=keys)


def parsed(name: str, text: str) -> dict[str, Any]:
    """The content of an agent's file, with its named lists as tables."""
    ending = FILES[name].rpartition(".")[2]
    if ending == "env":
        return {"env": variables.parse(text)}
    if ending == "toml":
        return tomllib.loads(text)
    content = yaml_text.decode(text) if ending == "yaml" else jsonc.decode(text)
    found: dict[str, Any] = as_tables(content, LISTS.get(name, {}))
    return found
