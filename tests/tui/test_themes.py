"""Themes: choice, preview and saving; contrast; the terminal's own colors."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from textual._xterm_parser import XTermParser
from textual.color import Color

from modelbay.conversation import Text, Thinking, ToolCall
from modelbay.events import PartDelta, PartEnded, PartStarted
from modelbay.tui.terminal_background import BackgroundDetected, BackgroundReplies, install, is_dark
from modelbay.tui.themes import CHOICES
from tests.tui.sitting import Sitting, sitting

READABLE = 4.5
"""The contrast ratio that WCAG asks for text."""
MARKDOWN = """\
# Heading

## Second

### Third

Some `code`, **bold**, *sloping*, [a link](https://sample.example) and:

> quoted

1. one
- two

| a | b |
|---|---|
| 1 | 2 |

```python
@decorated
class Sky(Exception):
    \"\"\"Why it is blue.\"\"\"
    blue = 1 + len("two")  # a comment
    def why(self): return not self.blue
```

```html
<a href="x">b</a>
```

```diff
-old
+new
```
"""


def segments(person: Sitting) -> list[Segment]:
    """The segments sent to the terminal. For a dialog only its panel, because the screen behind it is faint on purpose."""
    strips = person.app.screen._compositor.render_strips()
    if panels := person.app.screen.query(".panel"):
        panel = panels.first().region
        strips = [strip.crop(panel.x, panel.right) for strip in strips[panel.y : panel.bottom]]
    return [segment for strip in strips for segment in strip if segment.text.strip()]


def letters(person: Sitting) -> list[Segment]:
    return [one for one in segments(person) if any(letter.isalnum() for letter in one.text)]


def luminance(color: Color) -> float:
    """The relative luminance, as WCAG defines it."""
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def unreadable(person: Sitting) -> list[str]:
    """The texts on the screen whose contrast with what is behind them is too low."""
    found = []
    for segment in letters(person):
        assert segment.style is not None and segment.style.color is not None and segment.style.bgcolor is not None
        fore, back = (Color.from_rich_color(one) for one in (segment.style.color, segment.style.bgcolor))
        light, dim = sorted((luminance(fore), luminance(back)), reverse=True)
        ratio = (light + 0.05) / (dim + 0.05)
        if ratio < READABLE:
            found.append(f"{segment.text!r}: {fore.hex} on {back.hex} is {ratio:.1f}")
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_every_text_is_readable(home: Path, configured: str, theme: str):
    async with sitting(configured, home=home, size=(100, 60)) as person:
        await person.says(f"/theme {theme}")
        await person.sees(f"Theme: {theme}")
        await person.says("Hello")
        await person.answered()
        answer = await person.app.chat_screen.transcript.ask("What is it like?", [])
        for part in (Thinking(texts=["Hm"]), Text(text=MARKDOWN), ToolCall(name="look", arguments="{}")):
            await answer.feed(PartStarted(0, part))
            await answer.feed(PartDelta(0, getattr(part, "text", "")))
            await answer.feed(PartEnded(0, part))
        await answer.note("a warning", "warns")
        await answer.fail(ValueError("a fault"))
        await person.presses("ctrl+t")
        await person.sees("class Sky", "a fault", "Hm")
        assert unreadable(person) == []
        await person.types("/m")
        await person.sees("/model [ALIAS]")
        assert unreadable(person) == []
        await person.presses("escape")
        for command in ("/model", "/provider", "/help", "/theme", "/effort", "/login", "/logout", "/resume"):
            await person.says(command)
            await person.sees("╰")
            assert unreadable(person) == [], command
            await person.presses("escape")
            await person.sees_no("╰")


async def test_the_terminal_theme_uses_the_terminals_colors_only(home: Path, configured: str):
    async with sitting(configured, home=home, size=(100, 60)) as person:
        await person.says("/theme terminal")
        await person.says("say `this`")
        await person.answered()
        await person.says("/model")
        await person.sees("Select a model")
        for segment in segments(person):
            assert segment.style is not None
            for color in (segment.style.color, segment.style.bgcolor):
                assert color is None or color.is_default or (color.number is not None and color.number < 16), segment


async def test_every_theme_is_described_in_full_on_a_small_terminal(home: Path, configured: str):
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.says("/theme")
        await person.sees("Choose a theme", *(choice.about for choice in CHOICES))


async def test_a_theme_is_previewed_while_it_is_highlighted_and_saved_by_enter(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/theme")
        await person.sees("Choose a theme", "✓")
        assert person.app.theme == "dark"
        await person.presses("down", "down")
        assert person.app.theme == "light"
        await person.presses("escape")
        await person.sees_no("Choose a theme")
        assert person.app.theme == "dark"
        await person.says("/theme")
        await person.sees("Choose a theme")
        await person.presses("down", "down", "enter")
        await person.sees("Theme: light")
    async with sitting(configured, home=home) as person:
        await person.sees("thinker")
        assert person.app.theme == "light"
        assert person.app.state.config.path.read_text() == configured


async def test_a_theme_that_cannot_be_saved_says_so(home: Path, configured: str):
    (home / "app.json").mkdir()
    async with sitting(configured, home=home) as person:
        await person.says("/theme light")
        await person.sees("The preference is not saved")


async def test_an_unknown_theme_is_said(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/theme pink")
        await person.sees("Unknown theme: pink. Must be one of: auto, dark, light, terminal")


@pytest.mark.parametrize(
    ("told", "theme"), [("15;0", "dark"), ("0;15", "light"), ("0;default;15", "light"), ("x", "dark")]
)
async def test_the_first_theme_follows_the_terminals_variable(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch, told: str, theme: str
):
    monkeypatch.setenv("COLORFGBG", told)
    async with sitting(configured, home=home) as person:
        await person.sees("thinker")
        assert person.app.theme == theme


async def test_the_first_theme_follows_the_terminals_answer_and_a_choice_does_not(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.sees("thinker")
        person.app.post_message(BackgroundDetected(dark=False))
        await person.pilot.pause()
        assert person.app.theme == "light"
        await person.says("/theme dark")
        await person.sees("Theme: dark")
        person.app.post_message(BackgroundDetected(dark=True))
        person.app.post_message(BackgroundDetected(dark=False))
        await person.pilot.pause()
        assert person.app.theme == "dark"


async def test_no_color_wins_over_every_theme(home: Path, configured: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with sitting(configured, home=home) as person:
        for theme in ("light", "dark", "terminal"):
            await person.says(f"/theme {theme}")
            await person.sees(f"Theme: {theme}")
            for segment in segments(person):
                for color in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    assert color is None or color.is_default, segment


def test_a_terminals_answer_is_not_input():
    install()
    parser = XTermParser()
    pieces = ["a", "\x1b]1", "1;rgb:ffff/ffff/", "ffff\x1b", "\\b"]
    found = [event for piece in pieces for event in parser.feed(piece)]
    seen = [event.dark if isinstance(event, BackgroundDetected) else getattr(event, "key", None) for event in found]
    assert seen == ["a", False, "b"]


@given(st.integers(0, 40), st.integers(0, 40))
def test_an_answer_is_the_same_in_any_pieces(first: int, second: int):
    sent = "k\x1b]11;rgb:0000/1111/2222\x07\x1b[Ak"
    one, two = sorted((first, second))
    answers = BackgroundReplies()
    passed, dark = zip(*(answers.feed(piece) for piece in (sent[:one], sent[one:two], sent[two:])), strict=True)
    assert [one for piece in dark for one in piece] == [True]
    late = 2 in (one, two)  # the Escape at its start was taken for a key
    assert "".join(passed) == ("k\x1b\x1b[Ak" if late else "k\x1b[Ak")


def test_escape_is_passed_on_at_once():
    assert BackgroundReplies().feed("\x1b") == ("\x1b", [])


@pytest.mark.parametrize(
    ("color", "dark"),
    [("rgb:00/00/00", True), ("rgb:ffff/ffff/ffff", False), ("rgba:fafa/fafa/d2d2/ffff", False), ("?", None)],
)
def test_a_color_is_dark_or_light(color: str, dark: bool | None):
    assert is_dark(color) is dark
