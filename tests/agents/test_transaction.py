"""Changes of agents' files that can be undone, even if processes are killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelbay.agents import NAMES, by_name, journal, jsonc, transaction
from modelbay.agents.agent import ExportedConfig, ExportedEntry
from modelbay.errors import ConfigError
from tests.agents.desk import Desk

ROOT = Path(__file__).parents[2]
CHANGED = [name for name in NAMES if by_name(name).changes_file]
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def run(check: str, agent: str, count: int) -> str:
    """Run a check of `killed_histories`, which forks, in a process of its own."""
    program = [sys.executable, "-m", "tests.agents.killed_histories", check, agent, str(count)]
    done = subprocess.run(program, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return done.stdout


@posix
@pytest.mark.parametrize("agent", CHANGED)
def test_after_any_history_an_undo_restores_all_but_the_edits_by_hand(agent: str):
    run("histories", agent, 25)


@posix
@pytest.mark.parametrize("agent", CHANGED)
def test_a_process_that_is_killed_at_any_step_leaves_a_state_that_can_be_undone(agent: str):
    assert int(run("steps", agent, 1)) > 20


@posix
@pytest.mark.parametrize("agent", CHANGED)
def test_no_undo_puts_a_key_beside_a_url_that_was_not_beside_it(agent: str):
    run("secrets", agent, 8)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def two_files(desk: Desk) -> tuple[Path, Path, ExportedConfig]:
    """An export to two files: the URL in one, its key in the other."""
    keys = desk.user / ".claude" / "keys.json"
    entry = ExportedEntry((), lambda table: None, (("url",),), (("key",),))
    beside = ExportedConfig("json", {("key",): "sk-new-0123456789"}, entries=[entry])
    exported = ExportedConfig("json", {("url",): "https://new.example"}, entries=[entry], beside={keys: beside})
    return by_name("claude").files()[-1], keys, exported


def test_several_files_are_changed_and_restored_together(desk: Desk):
    main, keys, exported = two_files(desk)
    desk.write(".claude/settings.json", '{"url": "https://old.example"}\n')
    desk.write(".claude/keys.json", '{"key": "sk-old-0123456789"}\n')
    assert [change.path for change in transaction.configure(by_name("claude"), exported)] == [main, keys]
    assert jsonc.decode(main.read_text()) == {"url": "https://new.example"}
    assert jsonc.decode(keys.read_text()) == {"key": "sk-new-0123456789"}
    keys.write_text('{"key": "sk-mine-0123456789"}\n')
    undone = transaction.undo(by_name("claude"))
    assert undone is not None and undone.blocked == [f"key in {keys}"]
    assert jsonc.decode(main.read_text()) == {"url": "https://new.example"}
    keys.write_text("{}")
    transaction.undo(by_name("claude"))
    assert jsonc.decode(main.read_text()) == {"url": "https://old.example"}
    assert jsonc.decode(keys.read_text()) == {"key": "sk-old-0123456789"}


def test_a_file_that_cannot_be_written_leaves_the_others_unchanged(desk: Desk):
    main, keys, exported = two_files(desk)
    desk.write(".claude/settings.json", '{"url": "https://old.example"}\n')
    exported.beside = {keys / "below" / "keys.json": exported.beside[keys]}
    keys.write_text("a file where a folder is needed")
    with pytest.raises(ConfigError, match="keys"):
        transaction.configure(by_name("claude"), exported)
    assert main.read_text() == '{"url": "https://old.example"}\n'
    assert not journal.journal_path("claude").exists()


def test_a_file_that_the_agent_changes_at_the_same_moment_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    file = desk.write(".claude/settings.json", "{}\n")
    exported = ExportedConfig("json", {("model",): "ours"})
    stored, times = journal.store, iter(range(2))

    def store(agent: str, new: journal.AgentJournal | None) -> None:
        stored(agent, new)
        for number in times:
            file.write_text(f'{{"by the agent": {number}}}\n')
            break

    monkeypatch.setattr(journal, "store", store)
    transaction.configure(by_name("claude"), exported)
    assert jsonc.decode(file.read_text()) == {"by the agent": 1, "model": "ours"}
    transaction.undo(by_name("claude"))
    assert file.read_text() == '{"by the agent": 1}\n'
