"""Names chosen by a provider, of models and of providers: which ones are safe as a key, a file name, a path and terminal output.

An ID is used unchanged or not at all, because a changed ID would call another model. A display name is cleaned instead.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import groupby

LONGEST = 400
"""Maximum characters of an ID; a display name may have twice as many."""
SPOOFING = frozenset(("CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU"))
"""Scripts with letters that look like Latin ones."""
ALIKE = frozenset("аеорсухіјѕԁԛԝһӏкмтвнАВЕКМНОРСТУХІЈЅԌԚԜӀοανυρικτхΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳօսոԱՕՏՍ")
"""Letters that look like Latin ones. A word made of them only cannot be distinguished from a Latin one."""
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters that count as printable but are invisible."""

MIXED = "it mixes scripts whose letters look alike"


def problem(id: str) -> str | None:
    """Reason why an ID cannot be used; None if it can."""
    if not id.strip():
        return "it is empty"
    if len(id) > LONGEST:
        return "it is too long"
    if not id.isprintable():
        return "it contains control characters"
    if "\ufffd" in id:  # written by the decoder for unpaired surrogates and invalid UTF-8
        return "it contains characters that are not text"
    if BLANK.search(id):
        return "it contains invisible characters"
    if id.isascii():  # ../x.gguf is allowed, as llama.cpp names its file: paths made of it are escaped
        return None
    if unicodedata.normalize("NFKC", id) != id:
        return "it contains compatibility characters"
    return MIXED if deceives(id) else None


def deceives(name: str) -> bool:
    """Whether a name has a word that looks Latin although letters of it are not."""
    return any(map(_deceives, _words(name)))


def folded(id: str) -> str:
    """The ID without differences in case: file systems, and people, treat such IDs as one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", id).casefold())


def problems(ids: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """IDs that cannot be used, and why. Of several that differ only in case, the first can be used, unless it differs in case
    from one in `taken`.
    """
    found: dict[str, str] = {}
    first = {folded(id): id for id in taken}
    for id in ids:
        if (why := problem(id)) is not None:
            found[id] = why
        elif (other := first.setdefault(folded(id), id)) != id:
            found[id] = f"it differs from {other} only in case"
    return found


def renamed(now: Collection[str], before: Collection[str]) -> dict[str, str]:
    """IDs whose case changed, each with its former spelling."""
    gone = {folded(id): id for id in before if id not in now}
    return {id: gone[folded(id)] for id in now if id not in before and folded(id) in gone}


def shown(name: str) -> str:
    """A display name: one line, without characters that are invisible or control the text around them."""
    line = "".join(char for char in " ".join(name.split()) if char.isprintable())
    return line[: 2 * LONGEST].strip()


def quoted(id: str) -> str:
    """An ID that cannot be used, for a message."""
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in id[:80])
    return f'"{text}"'


def _words(id: str) -> Iterator[str]:
    return ("".join(letters) for is_word, letters in groupby(id, str.isalpha) if is_word)


def _deceives(word: str) -> bool:
    """Whether a word mixes scripts with similar letters, or looks Latin although it is not."""
    scripts = {script for char in word if (script := _script(char)) in SPOOFING or script == "LATIN"}
    return len(scripts) > 1 or (bool(scripts & SPOOFING) and ALIKE.issuperset(word))


@lru_cache(maxsize=1024)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
