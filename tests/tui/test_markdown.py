"""A long answer is drawn in stretches: where one ends and the next begins."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from modelbay.tui.widgets.markdown import boundary

LINES = st.lists(
    st.sampled_from(
        ["word\n", "\n", "```\n", "~~~\n", "- item\n", "1. item\n", "  more\n", "> said\n", "| a | b |\n", "# head\n"]
    ),
    max_size=30,
)


@given(LINES, LINES)
def test_both_sides_of_a_boundary_are_what_they_were_together(drawn: list[str], text: list[str]):
    before, after = "".join(drawn), "".join(text)
    at = boundary(before, after)
    if at is None:
        return
    parser = MarkdownIt("gfm-like")
    whole, first, second = (parser.render(part) for part in (before + after, before + after[:at], after[at:]))
    assert whole == first + second


def test_there_is_none_within_code():
    assert boundary("```python\nx = 1\n", "y = 2\n\nz = 3\n") is None


def test_a_paragraph_begins_one():
    assert boundary("First.\n", "\n\nSecond.\n") == 2
