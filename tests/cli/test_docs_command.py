"""`modelbay docs`: the documentation, offline, in a terminal and in a pipe."""

import re
from pathlib import Path

import pytest

from modelbay.cli.docs import text_of, topics
from tests.cli.inside import Inside, Person
from tests.pages import DOCS


def test_every_page_has_a_topic_and_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listed = Inside(tmp_path, monkeypatch).done("docs")
    pages = topics()
    assert set(map(str, pages.values())) == {
        f"{page.parent.name}/{page.name}" for page in DOCS if page.stem != "README"
    }
    rows = [line.split() for line in listed.splitlines() if line.startswith("  ")]
    assert {row[0] for row in rows} == set(pages) and len(rows) == len(pages)
    assert rows[0] == ["install", "Install", "modelbay"], "in the order of the index"
    assert "\nUse it\n  app                   The terminal app\n" in listed


@pytest.mark.parametrize("topic", ["python", "python.md", "guides/python.md", "reference/catalog"])
def test_a_page_is_printed_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topic: str):
    printed = Inside(tmp_path, monkeypatch).done("docs", topic)
    assert printed == text_of(topics()[topic.removesuffix(".md").removeprefix("guides/")])


def test_a_terminal_shows_the_page_without_its_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Person(tmp_path, "docs", "keys") as person:
        person.sees("Keys")
        assert person.ends() == 0
    assert "](" not in person.seen
    assert "```" not in person.seen


def test_a_terminal_shows_the_whole_url_in_a_narrow_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Person(tmp_path, "docs", "providers") as person:
        person.sees("Bedrock's own protocol")
        assert person.ends() == 0
    assert re.findall(r"https://\S*…", person.seen) == []


def test_a_terminal_shows_the_command_for_a_link_to_another_page(tmp_path: Path):
    with Person(tmp_path, "docs", "facts") as person:
        person.sees("deep test (modelbay docs deep-test)")
        assert person.ends() == 0


def test_an_unknown_page_suggests_a_similar_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ended = Inside(tmp_path, monkeypatch)("docs", "gatway")
    assert ended.code == 2
    assert "hint: did you mean gateway?" in ended.err
