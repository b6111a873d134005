"""Each question of a user is answered by one section of the documentation."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT

QUESTIONS: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("questions.toml").read_text())["question"]


def section(text: str, heading: str) -> str | None:
    """The text below a heading, up to the next one of its level or above; None if the page has no such heading. `#` in a code
    block is not a heading."""
    lines, level, code = list[str](), 0, False
    for line in text.splitlines():
        code ^= line.startswith("```")
        found = None if code else re.match(r"(#+) (.*)", line)
        if level and found and len(found[1]) <= level:
            break
        if level:
            lines.append(line)
        elif found and found[2] == heading:
            level = len(found[1])
    return " ".join("\n".join(lines).split()) if level else None


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["ask"])
def test_the_section_that_answers_a_question_contains_the_answer(question: dict[str, Any]) -> None:
    page = ROOT / "docs" / question["page"]
    text = section(page.read_text(), question["heading"])
    assert text is not None, f"{page.name} has no heading {question['heading']!r}"
    assert question["answer"], "no words of the answer are given"
    assert [words for words in question["answer"] if words not in text] == []


def test_seventy_different_questions_are_answered() -> None:
    assert len({question["ask"] for question in QUESTIONS}) == len(QUESTIONS) >= 70


PAGE = """# Page
## One
first
```sh
# second
```
### Inner
third
## Two
## Three
fourth
"""


@pytest.mark.parametrize(
    ("heading", "text"),
    [("One", "first ```sh # second ``` ### Inner third"), ("Inner", "third"), ("Two", ""), ("second", None)],
)
def test_a_section_ends_at_the_next_heading_of_its_level(heading: str, text: str | None) -> None:
    assert section(PAGE, heading) == text
