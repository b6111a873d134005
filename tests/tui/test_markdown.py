"""How an answer is drawn: nothing visible of it is lost, and a long one is drawn in stretches."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from modelbay.tui.widgets.markdown import Drawn, boundary

LINES = st.lists(
    st.sampled_from(
        ["word\n", "\n", "```\n", "~~~\n", "- item\n", "1. item\n", "  more\n", "> said\n", "| a | b |\n", "# head\n"]
    ),
    max_size=30,
)
WORD = re.compile(r"w\d+x")
PIECES = (
    "W", "`W`", "**W**", "*W* W", "~~W~~", "<W>", "</W>", "<W W='W'>", "Vec<W>", "<!-- W -->", "<W W={W} />", "&W;",
    r"\W", r"\W{W}", r"\(W_1 \* W\)", r"\[W\]", "$W_1 * W$", "$$W$$", r"\\W", r"C:\W\W", r"\*W\*", "[W](http://W)", "![W](http://W)",
    "[W][W]", "<http://W.example>", "https://W.example", "__W__", "W_W", "\u00e9W", "$5 W $6",
)  # fmt: skip
BLOCKS = (
    "P P P", "# P", "## P P", "- P\n- P\n  - P", "1. P\n7. P", "> P\n> P", "```\nW <W> P\n```", "    W P", "P\nP", "P  \nP",
    "| P | P |\n|---|---|\n| P | P |", "| P | P |\n|---|---|\n| P | P | P |", "[W]: http://W", "<div>\n  <W>P</W>\n</div>",
    "<W>\nP\n\nP\n</W>", "\\[\nW = W\n\n= W\n\\]", "$$\nW_W\n$$", "P\n---\nP", "<details>\n<summary>P</summary>\n\nP\n</details>",
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> str:
    """An answer with numbered words in every place where a model may write one."""
    text = "\n\n".join(draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=5)))
    text = re.sub(r"P", lambda _: draw(st.sampled_from(PIECES)), text)
    numbers = iter(range(10**6))
    return re.sub(r"W", lambda _: f"w{next(numbers)}x", text)


def drawn(text: str, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(Drawn(text))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(answers())
def test_every_word_of_an_answer_is_drawn(text: str):
    shown = drawn(text, 4_000)
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


def test_a_block_of_tags_keeps_its_lines():
    text = "<Foo bar={1}>\n  <Baz />\n</Foo>"
    assert [line.strip() for line in drawn(text).strip().splitlines()] == ["<Foo bar={1}>", "<Baz />", "</Foo>"]


def test_a_word_that_is_wider_than_its_column_is_folded_and_not_cut():
    shown = drawn(f"| a | b |\n|---|---|\n| {'w' * 150} | 2 |", 60)
    assert shown.count("w") == 150 and "…" not in shown


def test_items_keep_their_numbers():
    assert re.findall(r"(\d+) [a-z]", drawn("3. a\n7. b\n7. c")) == ["3", "7", "7"]


@given(LINES, LINES)
def test_both_sides_of_a_boundary_are_what_they_were_together(drawn: list[str], text: list[str]):
    before, after = "".join(drawn), "".join(text)
    at = boundary(before, after)
    if at is None:
        return
    parser = MarkdownIt("gfm-like")
    whole, first, second = (parser.render(part) for part in (before + after, before + after[:at], after[at:]))
    assert whole == first + second


@pytest.mark.parametrize("opening", ["```python\n", "~~~\n", "\\[\n", "$$\n"])
def test_there_is_none_within_code_or_latex(opening: str):
    assert boundary(f"{opening}x = 1\n", "y = 2\n\nz = 3\n") is None


def test_a_paragraph_begins_one():
    assert boundary("First.\n", "\n\nSecond.\n") == 2
    assert boundary("\\[\nx\n\\]\n", "\n\nSecond.\n") == 2
