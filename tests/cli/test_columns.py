"""Tables on terminals of any width."""

from collections.abc import Sequence

import pytest

from modelbay.cli import columns, terminal
from modelbay.cli.columns import write_rows

ROWS = [
    ("claude", "2.1.0", "tested with 2.1.0", "Anthropic Messages", "/usr/local/bin/claude"),
    ("kilo", "not installed", "unverified", "Chat Completions", "install: npm install -g @kilocode/cli"),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def at(width: int | None, rows: Sequence[Sequence[str]] = ROWS, indent: str = "") -> str:
        monkeypatch.setattr(terminal, "is_terminal", lambda stream: width is not None)
        monkeypatch.setenv("COLUMNS", str(width or 80))
        write_rows(rows, indent=indent)
        return capsys.readouterr().out

    return at


def test_a_pipe_gets_one_line_per_row(shown):
    assert [line.split("  ")[0] for line in shown(None).splitlines()] == ["claude", "kilo"]


def test_a_narrow_terminal_gets_the_last_columns_below_the_row(shown):
    assert shown(80) == (
        "claude  2.1.0          tested with 2.1.0  Anthropic Messages\n"
        "    /usr/local/bin/claude\n"
        "kilo    not installed  unverified         Chat Completions\n"
        "    install: npm install -g @kilocode/cli\n"
    )


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("indent", ["", "  "])
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(shown, width: int, indent: str):
    for line in shown(width, indent=indent).splitlines():
        assert columns.cells(line) <= width or len(line.split()) == 1


def test_nothing_is_lost(shown):
    for width in (1, 5, 20, 40, 80, 200):
        assert sorted(shown(width).split()) == sorted(" ".join(" ".join(row) for row in ROWS).split())


def test_letters_that_take_two_columns_are_aligned(shown):
    text = shown(None, [("模型", "a"), ("e\u0301", "b"), ("model", "c")])
    assert [columns.cells(line.rpartition("  ")[0]) for line in text.splitlines()] == [5, 5, 5]
    assert text.splitlines()[0] == "模型   a"


def test_an_empty_table_prints_nothing(shown):
    assert shown(80, []) == ""
