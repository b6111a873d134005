"""The page that compares modelbay with other libraries."""

from tools.comparison import EXAMPLES, LIBRARIES, PAGE, TASKS, lines, page


def test_the_page_is_generated_from_the_programs() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: make docs"


def test_every_program_is_on_the_page() -> None:
    shown = {(library, task) for library in LIBRARIES for task in TASKS}
    assert {(path.parent.name, path.stem) for path in EXAMPLES.glob("*/*.py")} == shown


def test_lines_are_counted_without_blank_ones_and_comments() -> None:
    assert lines("# %%\nimport asyncio\n\n\ndef f():\n    return 1  # one\n\n    # two\n") == 3
