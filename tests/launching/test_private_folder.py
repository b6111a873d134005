"""The private folder of a launch: files for the agent, and a temporary copy of its configuration folder."""

import json
import os
from pathlib import Path

import pytest

from modelbay.agents.agent import ExportedConfig
from modelbay.errors import ConfigError
from modelbay.launching.plan import PlannedFile
from modelbay.launching.private_folder import fill
from modelbay.launching.program import HomeRow


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("AGENT_HOME", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "launch"
    made.mkdir()
    return made


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def file(path: str, **settings: object) -> PlannedFile:
    return PlannedFile(path, ExportedConfig("json", settings={(name,): value for name, value in settings.items()}))


def home(copies: tuple[str, ...] = (), sessions: tuple[str, ...] = ()) -> HomeRow:
    return HomeRow(variable="AGENT_HOME", usual="~/.agent", copies=copies, sessions=sessions)


def test_a_file_is_written_for_its_owner_only(folder: Path) -> None:
    fill(folder, [file("a/b.json", key="sk-1")], None)
    assert json.loads((folder / "a" / "b.json").read_text()) == {"key": "sk-1"}
    assert mode(folder / "a" / "b.json") == 0o600


def test_files_and_folders_of_the_user_are_copied(user: Path, folder: Path) -> None:
    (user / "skills" / "one").mkdir(parents=True)
    (user / "skills" / "one" / "run.sh").write_text("#!/bin/sh")
    (user / "skills" / "one" / "run.sh").chmod(0o755)
    (user / "mcp.json").write_text("{}")
    (user / "history.db").write_text("much")
    fill(folder, [], home(("mcp.json", "skills", "missing.json")))
    assert sorted(path.name for path in folder.iterdir()) == ["mcp.json", "skills"]
    assert mode(folder / "mcp.json") == 0o600
    assert mode(folder / "skills" / "one" / "run.sh") == 0o700
    (folder / "mcp.json").write_text("changed")
    assert (user / "mcp.json").read_text() == "{}"


def test_a_file_of_the_launch_is_merged_into_the_copy(user: Path, folder: Path) -> None:
    (user / "config.json").write_text('{\n  // mine\n  "theme": "dark",\n  "model": "old"\n}\n')
    fill(folder, [file("config.json", model="new")], home(("config.json",)))
    text = (folder / "config.json").read_text()
    assert "// mine" in text
    assert '"theme": "dark"' in text
    assert '"model": "new"' in text
    assert '"old"' in (user / "config.json").read_text()


def test_a_file_of_the_user_that_is_not_valid_is_an_error_that_names_it(user: Path, folder: Path) -> None:
    (user / "config.json").write_text("{ not json")
    with pytest.raises(ConfigError, match="is not valid"):
        fill(folder, [file("config.json", model="new")], home(("config.json",)))


@pytest.mark.parametrize("exists", [True, False], ids=["existing folder", "missing folder"])
def test_sessions_stay_in_the_folder_of_the_user(user: Path, folder: Path, exists: bool) -> None:
    if exists:
        (user / "agent" / "sessions").mkdir(parents=True)
    fill(folder, [], home(sessions=("agent/sessions",)))
    (folder / "agent" / "sessions" / "1.json").write_text("a session")
    assert (user / "agent" / "sessions" / "1.json").read_text() == "a session"


def test_sessions_stay_if_the_user_has_never_started_the_agent(
    user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_HOME", str(user / "new"))
    fill(folder, [], home(sessions=("sessions",)))
    assert (folder / "sessions").resolve() == (user / "new" / "sessions").resolve()
    assert mode(user / "new") == mode(user / "new" / "sessions") == 0o700


def test_pipes_and_links_to_nothing_are_not_copied(user: Path, folder: Path) -> None:
    (user / "skills").mkdir()
    (user / "skills" / "gone").symlink_to("/no/such/file")
    os.mkfifo(user / "skills" / "pipe")
    (user / "skills" / "text").write_text("t")
    fill(folder, [], home(("skills",)))
    assert [path.name for path in (folder / "skills").iterdir()] == ["text"]


def test_the_usual_folder_is_used_if_the_variable_is_not_set(
    user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENT_HOME")
    monkeypatch.setenv("HOME", str(user))
    (user / ".agent").mkdir()
    (user / ".agent" / "mcp.json").write_text("{}")
    fill(folder, [], home(("mcp.json",)))
    assert (folder / "mcp.json").read_text() == "{}"
