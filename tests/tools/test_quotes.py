"""Guides quote messages that the program has."""

from pathlib import Path

import pytest

from tools.quotes import stale

MODULE = """
def fail(name):
    raise ValueError(f'no provider "{name}" in {FILE}: '
        "name one of yours")
TITLE = "Invalid API Key"
"""


def quoted(folder: Path, *cells: str, heading: str = "Troubleshooting") -> list[tuple[int, str]]:
    (folder / "package").mkdir()
    (folder / "package" / "module.py").write_text(MODULE)
    (folder / "package" / "rows.toml").write_text('refused = "it is a gateway"\n')
    page = folder / "page.md"
    rows = "".join(f"| {cell} | run `nothing of the program` |\n" for cell in cells)
    table = f"## {heading}\n\n| message | fix |\n|---|---|\n{rows}"
    page.write_text(f"# Page\n\n`other`\n\n{table}\n## Next\n\n| `more` | |\n")
    return [(line, quote) for _, line, quote in stale([page], folder / "package")]


@pytest.mark.parametrize(
    "cell",
    [
        "`Invalid API Key`",
        "`invalid api key`",
        '`no provider "…" in …`',
        "`… name one of yours`",
        "`it is a gateway`",
        "an answer that is odd",
    ],
)
def test_a_message_of_the_program_may_be_quoted(tmp_path: Path, cell: str) -> None:
    assert quoted(tmp_path, cell) == []


def test_a_message_that_the_program_lacks_is_reported_with_its_line(tmp_path: Path) -> None:
    assert quoted(tmp_path, "`Invalid API Key`", "`Wrong API Key`, `no provider`") == [(10, "Wrong API Key")]


def test_parts_of_a_quote_must_come_from_one_message_in_their_order(tmp_path: Path) -> None:
    assert quoted(tmp_path, "`name one … no provider`") == [(9, "name one … no provider")]


def test_only_the_first_column_of_troubleshooting_is_checked(tmp_path: Path) -> None:
    assert quoted(tmp_path, "`Wrong API Key`", heading="Options") == []
