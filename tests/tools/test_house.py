"""The house rules about English and class names, on small files."""

import ast
from pathlib import Path

import pytest

from tools.english import English, nodes
from tools.house import left_behind, not_imperative, not_plain, repeated_classes, texts

RULES = {r"\bnobody\b": "name who it is", r"\bstands (in|alone)\b": "is", r"^(what)\b(?!.*\?)": "begin with a noun"}


def faults(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [fault for one in texts(folder) for fault in not_plain(folder, one, English(RULES))]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("src/a.py", '"""Reads a file.\n\nUsed by nobody.\n"""\n', 3),
        ("src/a.py", "A = 1\nB = 2  # nobody asked\n", 2),
        ("src/a.py", 'X = 1\nY = f"{X} is for nobody here"\n', 2),
        ("src/a.py", 'X = ("a model that "\n    "stands alone")\n', 1),
        ("src/a.toml", "a = 1\nb = 2  # nobody's\n", 2),
        ("docs/a.md", "# Title\n\nThe key stands\nin the file.\n", 3),
        ("README.md", "A file for nobody.\n", 1),
    ],
    ids=["docstring", "comment", "f-string", "joined string", "TOML comment", "page", "readme"],
)
def test_a_forbidden_phrase_is_reported_with_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    [fault] = faults(tmp_path, name, text)
    assert fault.startswith(f"{name}:{line}: `")


def test_the_report_quotes_the_phrase_and_gives_the_advice(tmp_path: Path) -> None:
    assert faults(tmp_path, "docs/a.md", "The key stands\nin it.\n") == ["docs/a.md:1: `stands in`: is"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/a.py", "nobody = 1\n"),
        ("src/a.py", 'USER = "nobody"\n'),
        ("src/a.py", 'X = "What is your name?"\n'),
        ("src/a.py", 'X = "said by nobody"  # plain: a provider\'s words\n'),
        ("src/a.py", '"""Reads what\n\nnobody wrote.\n"""  # plain: quoted from a standard\n'),
        ("tests/test_a.py", 'X = "nobody is here"\n'),
        ("docs/a.md", "```console\n$ run\nfor nobody\n```\n\n`for nobody` is printed. [Go](nobody.md)\n"),
        ("docs/a.md", "# Title\n\n| `x` | for nobody | <!-- plain: a quotation -->\n"),
        ("docs/a.md", "## What you can do\n"),
        ("src/a.toml", 'a = "nobody here"\n'),
    ],
    ids=[
        "name", "word", "question", "marked line", "marked docstring", "string of a test",
        "code of a page", "marked row", "heading", "TOML value",
    ],
)  # fmt: skip
def test_names_data_code_and_marked_lines_are_not_checked(tmp_path: Path, name: str, text: str) -> None:
    assert faults(tmp_path, name, text) == []


def test_a_mark_without_a_reason_does_not_count(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "src/a.py", "A = 1  # for nobody  # plain:\n")) == 1


def test_a_mark_on_a_line_of_a_page_covers_that_line_only(tmp_path: Path) -> None:
    text = "For nobody. <!-- plain: a quotation -->\n\nFor nobody.\n"
    assert [fault.split(" ")[0] for fault in faults(tmp_path, "docs/a.md", text)] == ["docs/a.md:3:"]


def test_docstrings_of_tests_are_checked(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "tests/test_a.py", '"""What nobody reads."""\n')) == 2


def test_names_of_tests_are_checked_as_sentences(tmp_path: Path) -> None:
    text = "def test_a_key_stands_in_the_file(): ...\nasync def test_what_is_read(): ...\ndef nobody_asks(): ...\n"
    assert [fault.split(" ")[0] for fault in faults(tmp_path, "tests/test_a.py", text)] == [
        "tests/test_a.py:1:",
        "tests/test_a.py:2:",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('"""The module."""\nA = 1\n"""A value."""\nB: int\n"""Another."""\n', []),
        ('"""The module."""\nimport os\n"""A value."""\n', [3]),
        ('class A:\n    """A class."""\n    a = 1\n    """A value."""\n', []),
        ('class A:\n    def f(self): ...\n    """A value."""\n', [3]),
        ('A = 1\n"""A value."""\n"""Another value."""\n', [3]),
    ],
)
def test_a_docstring_whose_value_was_removed_is_reported(text: str, lines: list[int]) -> None:
    assert [line for line, _ in left_behind(nodes(text))] == lines


def test_a_public_class_name_is_used_once(tmp_path: Path) -> None:
    for name, text in {"a.py": "class Row: ...\nclass _Own: ...", "b.py": "class Row: ...\nclass _Own: ..."}.items():
        (tmp_path / name).write_text(text)
    assert list(repeated_classes(tmp_path, set())) == ["`Row` is a class of a.py, b.py: give each its own name"]
    assert list(repeated_classes(tmp_path, {"Row"})) == []


def imperative(docstring: str) -> bool:
    [function] = ast.parse(f'def f():\n    """{docstring}"""').body
    assert isinstance(function, ast.FunctionDef)
    return not list(not_imperative(function))


def test_the_docstring_of_a_function_begins_with_the_imperative_or_a_noun() -> None:
    assert not imperative("Adds a provider.")
    for docstring in (
        "Add a provider.",
        "The provider.",
        "Raises ConfigError: it is missing.",
        "Raises:\n    ConfigError",
    ):
        assert imperative(docstring)
