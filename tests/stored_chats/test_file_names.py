"""Paths that complete a mention: which are offered, and that each is read again as it was."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbay.stored_chats import file_names
from modelbay.stored_chats.attachments import mentioned
from modelbay.stored_chats.file_names import FileNames, Mention, mention, open_mention


def tree(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_are_found_anywhere_and_folders_are_descended(here: Path):
    tree(here, "src/app/main.py", "src/main_loop.py", "docs/domain.md", "main/x.txt", "other.txt")
    names = FileNames()
    assert names.matching("main") == ["main/", "src/main_loop.py", "src/app/main.py", "docs/domain.md", "main/x.txt"]
    assert names.matching("MAIN_") == ["src/main_loop.py"]
    assert names.matching("") == ["docs/", "main/", "other.txt", "src/"]
    assert names.matching("src/") == ["src/app/", "src/main_loop.py"]
    assert names.matching("src/app/m") == ["src/app/main.py"]
    assert names.matching(f"{here}/ot") == [f"{here}/other.txt"]
    assert names.matching("nowhere/") == names.matching("~nobody-of-this-name/") == []


def test_hidden_ignored_and_special_files_are_left_out(here: Path):
    tree(here, ".env", ".config/x", "a.txt", "build/out.txt", "bad\nname", "bad\u202ename", "~backup")
    os.mkfifo(here / "pipe")
    (here / ".gitignore").write_text("build/\n")
    (here / "loop").symlink_to(here)
    names = FileNames()
    assert names.matching("") == ["a.txt", "loop/"]
    assert names.matching("out") == []
    assert names.matching("./.e") == ["./.env"]
    assert names.matching("build/") == ["build/out.txt"]


RULES = [
    "*.log\n!keep.log\n", "/only-here\n", "a/b\n", "**/deep\n", "deep/**\n", "a/**/z\n", "folder/\n", "[!a]bc\n", "[^a]bc\n",
    r"\#hash" + "\n", r"\!bang" + "\n", "trail  \n", r"blank\ " + "\n", "*\n!*/\n!*.md\n", "# comment\n\n/\n", "q?z\n",
    "a*a*a*a*b\n",
]  # fmt: skip
PATHS = [
    "x.log", "keep.log", "sub/x.log", "only-here", "sub/only-here", "a/b", "sub/a/b", "p/q/deep/r", "deep/s", "a/z", "a/m/n/z",
    "folder/f", "sub/folder/f", "xbc", "abc", "#hash", "!bang", "trail", "blank ", "notes.md", "sub/notes.md", "qaz", "aaaaaab",
]  # fmt: skip


@pytest.mark.parametrize("rules", RULES)
def test_the_same_files_are_ignored_as_by_git(here: Path, rules: str):
    tree(here, *PATHS)
    (here / ".gitignore").write_text(rules)
    git = ["git", "-c", "core.excludesFile=", "-C", str(here)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--others", "--exclude-standard"], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    expected = {path for path in listed.split("\0") if path and not path.startswith(".")}
    assert {path for path in FileNames()._walk() if not path.endswith("/")} == expected


def test_rules_of_the_repository_apply_in_its_folders(here: Path, monkeypatch: pytest.MonkeyPatch):
    tree(here, ".git/info/exclude", "sub/a.tmp", "sub/b.bak", "sub/c.txt", "sub/in/d.txt", "sub/in/e.txt")
    (here / ".git/info/exclude").write_text("*.bak\n")
    (here / ".gitignore").write_text("*.tmp\nsub/in/d.txt\n")
    monkeypatch.chdir(here / "sub")
    assert sorted(FileNames()._walk()) == ["c.txt", "in/", "in/e.txt"]


def test_a_hostile_pattern_takes_no_exponential_time(here: Path):
    tree(here, "a" * 200, "b.txt")
    (here / ".gitignore").write_text("*a" * 60 + "b\n" + "**/" * 60 + "b.txt\n")
    assert FileNames().matching("") == ["a" * 200]


def test_a_large_folder_is_searched_up_to_a_limit(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file_names, "ENTRIES", 10)
    tree(here, *(f"f{n}" for n in range(9)))
    names = FileNames()
    assert len(names.matching("f")) == 9 and not names.limited
    tree(here, *(f"f{n}" for n in range(20)))
    names = FileNames()
    assert len(names.matching("f")) == 10 and names.limited


@pytest.mark.parametrize(
    ("line", "start", "typed"),
    [
        ("@", 0, ""),
        ("see @src/ma", 4, "src/ma"),
        ('see @"my fi', 4, "my fi"),
        ("see @'my \"fi", 4, 'my "fi'),
        (r"see @my\ fi", 4, "my fi"),
        ("a@b", None, ""),
        ("@done ", None, ""),
        ('@"done"', None, ""),
    ],
)
def test_a_mention_that_is_being_typed_is_recognized(line: str, start: int | None, typed: str):
    assert open_mention(line) == (None if start is None else Mention(start, typed))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("ab .'\"\\$#`;,!?()漢"), min_size=1, max_size=8).filter(lambda name: name.strip(". ")))
def test_an_offered_path_is_read_as_it_was(here: Path, name: str):
    (here / name).write_text("x")
    written = mention(name)
    assert mentioned(f"see {written} please") == [name]
    assert open_mention(f"see {mention(f'{name}/')}") == Mention(4, f"{name}/")
