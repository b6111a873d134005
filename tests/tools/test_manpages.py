"""The manual pages: up to date, and read by `man` without a complaint."""

import shutil
import subprocess
from pathlib import Path

import pytest

from modelbay.cli import COMMANDS
from tools.manpages import FOLDER, pages


def test_the_pages_are_what_the_code_says():
    written = {page.name: page.read_text(encoding="utf-8") for page in FOLDER.iterdir()}
    assert written == pages(), "man/ is out of date: `make docs`"


def test_every_command_has_a_page_and_is_in_the_first_one():
    assert set(pages()) == {"modelbay.1", *(f"modelbay-{name}.1" for name in COMMANDS)}
    listed = pages()["modelbay.1"].replace("\\-", "-")
    assert [name for name in COMMANDS if f".BR modelbay-{name} (1)" not in listed] == []


def test_a_terminal_without_utf_8_shows_every_character():
    assert [name for name, text in pages().items() if not text.isascii()] == []


@pytest.mark.parametrize("name", pages())
def test_man_renders_each_page(name: str):
    if (groff := shutil.which("groff")) is None:
        pytest.skip("no groff on this machine")
    command: list[str | Path] = [groff, "-k", "-man", "-ww", "-Tutf8", "-P-c", "-P-b", "-P-u", FOLDER / name]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    assert "SYNOPSIS" in done.stdout and "EXIT STATUS" in done.stdout
