"""Copying an answer or one of its code blocks, to the terminal's clipboard and the system's."""

import os
import sys
from pathlib import Path

import pytest

from modelbay.conversation import Text, Turn, user
from modelbay.tui import clipboard
from tests.tui.sitting import Sitting, sitting

ANSWER = "First:\n\n```python\nprint('one')\nprint('two')\n```\n\nthen:\n\n```sh\nls\n```\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the tool")


def tool(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """A clipboard tool of that name, the only one there is."""
    folder = home / "tools"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr(clipboard, "TOOLS", (("DISPLAY", (name, "-in")),))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")


def answered(person: Sitting) -> None:
    person.app.state.chat.turns = [user("How?"), Turn("assistant", [Text(text=ANSWER)])]


async def test_one_code_block_is_copied_the_newest_first(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        answered(person)
        await person.says("/copy")
        screen = await person.sees("The whole answer", "ls", "print('one')", "python · 2 lines")
        assert screen.index("sh · 1 line") < screen.index("python · 2 lines")
        await person.presses("down", "down", "enter")
        await person.sees("Copied the code block (2 lines) (OSC 52)")
        assert person.app.clipboard == "print('one')\nprint('two')"


async def test_the_whole_answer_is_copied_and_esc_copies_nothing(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        answered(person)
        await person.says("/copy")
        await person.sees("The whole answer")
        await person.presses("escape")
        await person.sees_no("The whole answer")
        assert person.app.clipboard == ""
        await person.says("/copy")
        await person.sees("The whole answer")
        await person.presses("enter")
        await person.sees("Copied the last answer (OSC 52)")
        assert person.app.clipboard == ANSWER


async def test_the_systems_tool_gets_the_text_too(home: Path, configured: str, monkeypatch: pytest.MonkeyPatch):
    tool(home, monkeypatch, "xtool", f"cat > '{home}/copied'")
    async with sitting(configured, home=home) as person:
        answered(person)
        await person.says("/copy")
        await person.sees("The whole answer")
        await person.presses("enter")
        await person.sees("Copied the last answer (xtool, OSC 52)")
        assert (home / "copied").read_text() == ANSWER


def test_a_tool_that_fails_is_not_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    tool(home, monkeypatch, "xtool", "cat > /dev/null; exit 1")
    assert clipboard.put("text") is None


def test_without_a_display_no_tool_is_started(home: Path, monkeypatch: pytest.MonkeyPatch):
    tool(home, monkeypatch, "xtool", f"cat > '{home}/copied'")
    monkeypatch.delenv("DISPLAY")
    assert clipboard.put("text") is None
    assert not (home / "copied").exists()
