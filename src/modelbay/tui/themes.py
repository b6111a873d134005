"""The themes: dark, light, and the terminal's own colors. Each color has one meaning in all themes.

`accent` marks the user's messages, the position in a list and the selection. `warning` and `error` are for messages of the app.
Everything else is text or muted text.
"""

from typing import NamedTuple

from rich.terminal_theme import TerminalTheme
from rich.theme import Theme as RichTheme
from textual.color import Color
from textual.theme import Theme

from modelbay.storage.paths import environment

AUTO = "auto"


class ThemeChoice(NamedTuple):
    """A row of `/theme`."""

    name: str
    about: str


CHOICES = (
    ThemeChoice(AUTO, "dark or light"),
    ThemeChoice("dark", "light on black"),
    ThemeChoice("light", "dark on white"),
    ThemeChoice("terminal", "its 16 colors"),
)


class _Colors(NamedTuple):
    background: str
    surface: str
    """Background of input fields."""
    chosen: str
    """Background of the row or field with the focus."""
    text: str
    muted: str
    line: str
    accent: str
    warning: str
    error: str
    ansi: list[str]
    """The 16 colors for code and Markdown: black, red, green, yellow, blue, magenta, cyan, white, then their bright variants."""


DARK = _Colors(
    background="#121212", surface="#1e1e1e", chosen="#2c2c2c", text="#e0e0e0", muted="#a8a8a8", line="#4a4a4a",
    accent="#5fb3ff", warning="#ffb454", error="#ff7b8a",
    ansi=[
        "#121212", "#ff7b8a", "#8fd694", "#e6c384", "#7fb4ff", "#d0a2f7", "#7fd5d5", "#e0e0e0",
        "#9a9a9a", "#ff9aa6", "#a8e6ab", "#f2d9a6", "#a3caff", "#e0c2fb", "#a5e6e6", "#ffffff",
    ],
)  # fmt: skip
LIGHT = _Colors(
    background="#fafafa", surface="#eeeeee", chosen="#e0e4ea", text="#1c1c1c", muted="#565656", line="#b8b8b8",
    accent="#0050ad", warning="#7d4700", error="#a8102c",
    ansi=[
        "#1c1c1c", "#a8102c", "#1d6b2a", "#7d4700", "#0050ad", "#7a2ea0", "#0b6270", "#565656",
        "#565656", "#b3122f", "#1f7030", "#804a00", "#0a57b5", "#8233a8", "#0c6775", "#1c1c1c",
    ],
)  # fmt: skip

MARKDOWN = RichTheme(
    {
        "markdown.code": "bold cyan", "markdown.code_block": "cyan", "markdown.block_quote": "italic",
        "markdown.list": "none", "markdown.item.number": "bold", "markdown.h2": "bold underline", "markdown.h3": "bold",
        "markdown.h4": "bold italic", "markdown.h6": "italic", "markdown.link": "underline",
        "markdown.link_url": "underline", "markdown.table.border": "dim", "markdown.table.header": "bold",
    }
)  # fmt: skip
"""Styles for Markdown: bold, italic and underline; only code has a color, without a black background."""


def dark_terminal() -> bool | None:
    """Whether the terminal's background is dark according to COLORFGBG; None if it is not set."""
    last = (environment("COLORFGBG") or "").rpartition(";")[2]
    return int(last) in (*range(7), 8) if last.isdecimal() else None


def themes(dark: bool) -> dict[str, Theme]:
    """All themes by name, for a terminal with a dark or light background."""
    chosen = {"dark": _rgb("dark", DARK, dark=True), "light": _rgb("light", LIGHT, dark=False)}
    return {**chosen, "terminal": _terminal(dark), AUTO: chosen["dark" if dark else "light"]}


def terminal_theme(colors: _Colors) -> TerminalTheme:
    """The 16 colors of a theme that has its own colors."""
    rgb = [Color.parse(one).rgb for one in colors.ansi]
    return TerminalTheme(Color.parse(colors.background).rgb, Color.parse(colors.text).rgb, rgb[:8], rgb[8:])


def _rgb(name: str, colors: _Colors, *, dark: bool) -> Theme:
    return Theme(
        name=name, dark=dark, primary=colors.accent, secondary=colors.accent, accent=colors.accent,
        success=colors.accent, warning=colors.warning, error=colors.error, foreground=colors.text,
        background=colors.background, surface=colors.surface, panel=colors.surface,
        variables={
            "text": colors.text, "text-muted": colors.muted, "text-disabled": colors.muted,
            "foreground-muted": colors.muted, "chosen": colors.chosen, "line": colors.line, "muted-style": "not dim",
            "veil": f"{colors.background} 60%",
            "input-selection-background": colors.accent, "input-selection-foreground": colors.background,
            "screen-selection-background": colors.accent, "screen-selection-foreground": colors.background,
        },
    )  # fmt: skip


def _terminal(dark: bool) -> Theme:
    """Muted text is dim, not bright black, which is invisible on some terminals."""
    plain = "ansi_default"
    return Theme(
        name="terminal", ansi=True, dark=dark, primary="ansi_blue", secondary="ansi_blue", accent="ansi_blue",
        success="ansi_blue", warning="ansi_yellow", error="ansi_red", foreground=plain, background=plain,
        surface=plain, panel=plain, boost=plain,
        variables={
            "text-muted": plain, "text-disabled": plain, "foreground-muted": plain, "chosen": plain, "line": plain,
            "muted-style": "dim", "veil": "transparent", "ansi-background": plain, "ansi-foreground": plain,
            "scrollbar": "ansi_blue", "scrollbar-background": plain, "scrollbar-background-hover": plain,
            "scrollbar-background-active": plain,
            "input-selection-background": "ansi_blue", "input-selection-foreground": "ansi_black",
            "screen-selection-background": "ansi_blue", "screen-selection-foreground": "ansi_black",
        },
    )  # fmt: skip
