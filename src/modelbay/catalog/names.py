"""Names that a provider chose, of models and of providers: which ones can be a key, a file, a path and a line on a screen.

An ID is used as it is written or not at all, as a changed one would call another model. A name to show is cleaned instead.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import groupby

LONGEST = 400
"""Characters of an ID, and twice that of a name to show."""
SPOOFING = frozenset(("CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU"))
"""Scripts that have letters which look like Latin ones."""
ALIKE = frozenset("аеорсухіјѕԁԛԝһӏкмтвнАВЕКМНОРСТУХІЈЅԌԚԜӀοανυρικτхΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳօսոԱՕՏՍ")
"""Those letters. A word of nothing else is not told from a Latin one."""
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters that count as printable, and show nothing."""


def problem(id: str) -> str | None:
    """Why an ID cannot be used; None if it can."""
    if not id.strip():
        return "it is empty"
    if len(id) > LONGEST:
        return "it is too long"
    if not id.isprintable():
        return "it has control characters in it"
    if "\ufffd" in id:  # what the decoder writes for half a surrogate pair and for bytes that are not UTF-8
        return "it has characters that are not text"
    if BLANK.search(id):
        return "it has invisible characters in it"
    if id.isascii():  # even ../x.gguf, as llama.cpp calls its file: where a path is made of it, it is escaped
        return None
    if unicodedata.normalize("NFKC", id) != id:
        return "it is written with characters that stand for others"
    return "it has letters that look like those of another script" if any(map(_deceives, _words(id))) else None


def folded(id: str) -> str:
    """What two IDs have in common that differ in case only: file systems, and people, take them for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", id).casefold())


def problems(ids: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Those of several IDs that cannot be used, and why. Of some that differ in case only, the first one can, unless it
    differs so from one that is `taken`.
    """
    found: dict[str, str] = {}
    first = {folded(id): id for id in taken}
    for id in ids:
        if (why := problem(id)) is not None:
            found[id] = why
        elif (other := first.setdefault(folded(id), id)) != id:
            found[id] = f"it differs from {other} in case only"
    return found


def renamed(now: Collection[str], before: Collection[str]) -> dict[str, str]:
    """The IDs that were written in another case before, and how."""
    gone = {folded(id): id for id in before if id not in now}
    return {id: gone[folded(id)] for id in now if id not in before and folded(id) in gone}


def shown(name: str) -> str:
    """A name to show: one line, without characters that are invisible or steer what is around them."""
    line = "".join(char for char in " ".join(name.split()) if char.isprintable())
    return line[: 2 * LONGEST].strip()


def quoted(id: str) -> str:
    """An ID that cannot be used, for a message."""
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in id[:80])
    return f'"{text}"'


def _words(id: str) -> Iterator[str]:
    return ("".join(letters) for is_word, letters in groupby(id, str.isalpha) if is_word)


def _deceives(word: str) -> bool:
    """Whether a word mixes scripts whose letters look alike, or is of another script and looks Latin."""
    scripts = {script for char in word if (script := _script(char)) in SPOOFING or script == "LATIN"}
    return len(scripts) > 1 or (bool(scripts & SPOOFING) and ALIKE.issuperset(word))


@lru_cache(maxsize=1024)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
