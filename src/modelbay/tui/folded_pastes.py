"""Long pastes: each is one placeholder in the composer, such as "[Pasted 60 lines]", and is sent in full.

The brackets and spaces of a placeholder are Unicode noncharacters, which cannot be typed and are removed from pastes. They encode
the number of the paste, so text that only looks like a placeholder is not replaced. The screen shows brackets and spaces.
"""

import re

from modelbay.tui.bracketed_paste import STEERING

LINES, CHARACTERS = 8, 800
"""Maximum size of a paste that is not folded."""
UNFOLDED = 100_000
"""Maximum characters that the composer can show: it wraps the whole line again at every key."""
MOST = 8**4
"""Maximum folded pastes: a placeholder encodes no larger number. Later pastes are not folded."""
NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")
MARK = re.compile(
    "[\ufdd0-\ufdd7]Pasted[\ufdd8-\ufddf][\\d,]+[\ufde0-\ufde7](?:lines|characters)(?:[\ufdd8-\ufddf]#(\\d+))?[\ufde8-\ufdef]"
)
_DRAWN = {0xFDD0 + n: "[" if n < 8 else " " if n < 24 else "]" for n in range(32)}


class FoldedPastes:
    """The pastes of a session and their placeholders."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def fold(self, text: str, beside: str = "") -> str:
        """The placeholder of a long text, numbered if `beside` has others; a short text unchanged."""
        text = clean(text)
        count = len(text.removesuffix("\n").split("\n"))
        if (count <= LINES and len(text) <= CHARACTERS) or len(self._texts) == MOST:
            return text
        digits = [len(self._texts) >> shift & 7 for shift in (9, 6, 3, 0)]
        opening, first, second, closing = (chr(0xFDD0 + 8 * place + digit) for place, digit in enumerate(digits))
        self._texts.append(text)
        size = f"{count:,}{second}lines" if count > 1 else f"{len(text):,}{second}characters"
        number = max((int(mark[1] or 1) for mark in MARK.finditer(beside)), default=0) + 1
        suffix = f"{first}#{number}" if number > 1 else ""
        return f"{opening}Pasted{first}{size}{suffix}{closing}"

    def unfold(self, text: str) -> str:
        """The text with each placeholder replaced by its paste."""
        return MARK.sub(lambda mark: self._text(mark[0]), text)

    def refold(self, text: str, before: str) -> str:
        """Fold an edited text again: each paste of `before` that it still contains becomes its placeholder."""
        out, rest = "", clean(text)
        for mark in MARK.finditer(before):
            head, found, tail = rest.partition(self._text(mark[0]))
            if found:
                out, rest = f"{out}{head}{mark[0]}", tail
        return out + rest

    def _text(self, mark: str) -> str:
        opening, first, second, *_, closing = NONCHARACTERS.findall(mark)
        digits = [ord(letter) - 0xFDD0 & 7 for letter in (opening, first, second, closing)]
        index = sum(digit << shift for digit, shift in zip(digits, (9, 6, 3, 0), strict=True))
        return self._texts[index] if index < len(self._texts) else mark


def clean(text: str) -> str:
    """Text without control characters and noncharacters, with \\n as line break."""
    return NONCHARACTERS.sub("", STEERING.sub("", re.sub(r"\r\n?", "\n", text)))


def drawn(text: str) -> str:
    """The text as shown: placeholders have brackets and spaces."""
    return text.translate(_DRAWN)


def spans(line: str) -> list[tuple[int, int]]:
    """Start and end of each placeholder in a line."""
    return [mark.span() for mark in MARK.finditer(line)]
