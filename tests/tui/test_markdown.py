"""Rendering of answers: no visible text is lost, and a long answer is split into chunks."""

import io
import re
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from modelbay.tui.widgets import markdown
from modelbay.tui.widgets.markdown import MarkdownText, chunks

LINES = st.lists(
    st.sampled_from(
        ["word\n", "\n", "```\n", "~~~\n", "- item\n", "1. item\n", "  more\n", "> said\n", "| a | b |\n", "# head\n"]
    ),
    max_size=30,
)
WORD = re.compile(r"w\d+x|\*_w\d+v_\*")
"""A word; or one that only its stars tell to be drawn as it is written."""
PIECES = (
    "W", "`W`", "**W**", "*W* W", "~~W~~", "<W>", "</W>", "<W W='W'>", "Vec<W>", "<!-- W -->", "<W W={W} />", "&W;",
    r"\W", r"\W{W}", r"\(W_1 \* W\)", r"\[W\]", "$W_1 * W$", "$$W$$", r"\\W", r"C:\W\W", r"\*W\*", "[W](http://W)", "![W](http://W)",
    "[W][W]", "<http://W.example>", "https://W.example", "__W__", "W_W", "\u00e9W", "$5 W $6",
    '[W](http://W "W W")', "![W](http://W 'W')", "[W](http://\u00e9/W)", r"\begin{W} V \end{W}",
    "W\u2028W\u2028", "W\x85W", "W\x0bW\x0cW",
)  # fmt: skip
BLOCKS = (
    "P P P", "# P", "## P P", "- P\n- P\n  - P", "1. P\n7. P", "> P\n> P", "```\nW <W> P\n```", "    W P", "P\nP", "P  \nP",
    "| P | P |\n|---|---|\n| P | P |", "| P | P |\n|---|---|\n| P | P | P |", "[W]: http://W", "<div>\n  <W>P</W>\n</div>",
    "<W>\nP\n\nP\n</W>", "\\[\nW = W\n\n= W\n\\]", "$$\nW_W\n$$", "P\n---\nP", "<details>\n<summary>P</summary>\n\nP\n</details>",
    '```W W="W"\nx V\n```', "~~~~ W ```\nx V\n\nx V\n~~~\n\nx V\n~~~~", "```\nW\n```W\n\nx V\n\nx V\n```",
    "- P\n\n  ```W\n  V\n\n  V\n  ```",
    "<!-- W\n\nx V\n\nx V -->", "<pre>\nW\n\nx V\n\nx V\n</pre>", "\\begin{W}\nV &= W \\\\\n\nx &= V\n\\end{W}", "$$ V $$\n\nP",
    "W\u2028```\n\nP\n\n```\nx V\n\nx V\n```", "W\x0c```\n\nP\n\n```\nx V\x85```\n\nx V\n```",
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> str:
    """An answer with numbered words in every place where a model may write one."""
    text = "\n\n".join(draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=5)))
    text = re.sub(r"P", lambda _: draw(st.sampled_from(PIECES)), text)
    numbers = map(str, range(10**6))
    name = next(numbers)
    text = re.sub(r"(begin|end)\{W\}", rf"\1{{w{name}x}}", text)
    return re.sub(r"W|\bV\b", lambda match: f"w{next(numbers)}x" if match[0] == "W" else f"*_w{next(numbers)}v_*", text)


def drawn(text: str, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(MarkdownText(text))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(answers(), st.sampled_from([1, 30, 10**6]))
def test_every_word_of_an_answer_is_drawn(text: str, size: int):
    with patch.multiple(markdown, LONG=size, LONG_CODE=2 * size):
        shown = "".join(drawn(part, 4_000) for part in chunks(text))
    assert [word for word in WORD.findall(text) if word not in shown] == []


@pytest.mark.parametrize(
    "text",
    [
        "a Vec<Box<dyn Fn(&T) -> Option<U>>> of them",
        "the tag <br/> and </div>",
        r"\(a_1 \* b_2\) and \frac{1}{2} \\ and \alpha_{i}",
        r"$\sum_{i=0}^{n} x_i * y_i$ is not $5",
        r"C:\new\table and \d+\.\d*",
        "[ref]: http://example.test/unused",
        "AT&T and a & b",
    ],
)
def test_text_that_markdown_would_change_is_drawn_as_it_is(text: str):
    shown = drawn(text).strip()
    assert shown == text.replace(r"\.", "."), shown


@pytest.mark.parametrize("depth", [1, 8, 12, 40, 60, 120, 400])
@pytest.mark.parametrize("mark", ["> ", "- ", "1. ", "> - ", "100. "])
@pytest.mark.parametrize("width", [20, 40, 80])
def test_deeply_nested_text_is_not_lost(mark: str, depth: int, width: int):
    text = mark * depth + "inner\n\nafter"
    assert "inner" in drawn(text, width) and "after" in drawn(text, width)


def test_a_nested_list_is_a_list_while_it_fits():
    text = "\n".join("  " * level + f"- item {level}" for level in range(9))
    assert drawn(text, 60).count("•") == 9
    assert re.findall(r"item\s+(\d)", drawn(text, 20)) == [*map(str, range(9))]


def test_a_block_of_tags_keeps_its_lines():
    text = "<Foo bar={1}>\n  <Baz />\n</Foo>"
    assert [line.strip() for line in drawn(text).strip().splitlines()] == ["<Foo bar={1}>", "<Baz />", "</Foo>"]


def test_a_word_that_is_wider_than_its_column_is_folded_and_not_cut():
    shown = drawn(f"| a | b |\n|---|---|\n| {'w' * 150} | 2 |", 60)
    assert shown.count("w") == 150 and "…" not in shown


def test_items_keep_their_numbers():
    assert re.findall(r"(\d+) [a-z]", drawn("3. a\n7. b\n7. c")) == ["3", "7", "7"]


@given(LINES)
def test_stretches_look_together_as_the_whole_does(lines: list[str]):
    text = "".join(lines)
    parser = MarkdownIt("gfm-like")
    with patch.multiple(markdown, LONG=20, LONG_CODE=10**6):
        parts = chunks(text)
    assert "".join(parts) == text
    assert "".join(parser.render(part) for part in parts) == parser.render(text)


@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_long_code_is_cut_and_stays_code(fence: str):
    lines = [f"line {number}\n" for number in range(2_000)]
    text = f"Look:\n\n{fence}python\n{''.join(lines)}{fence}\n\nDone.\n"
    parts = chunks(text)
    tokens = [token for part in parts for token in MarkdownIt().parse(part)]
    code = [token for token in tokens if token.type == "fence"]
    assert len(parts) > 3 and {token.info.lstrip(markdown.CONTINUED) for token in code} == {"python"}
    assert "".join(token.content for token in code) == "".join(lines)
    assert drawn(parts[-1]).strip().endswith("Done.")
    assert "".join(drawn(part) for part in parts).count("python") == 1


@pytest.mark.parametrize(
    "opening", ["\\[\n", "$$\n", "- item\n\n  ```\n", "\\begin{align}\n", "<!--\n", "<pre>\n", "<script>\n"]
)
def test_there_is_no_cut_within_what_has_not_ended(opening: str):
    text = opening + "  x = 1\n\n" * 3_000
    assert chunks(text) == [text]


def test_a_paragraph_begins_a_stretch():
    first, second = "First word. " * 120, "Second.\n"
    assert chunks(f"{first}\n\n{second}") == [f"{first}\n\n", second]
