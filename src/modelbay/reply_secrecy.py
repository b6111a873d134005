"""Keeps registered secrets out of replies: of whole ones, and of streams, where one may be split between two pieces."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from itertools import chain, groupby
from operator import itemgetter

from modelbay.secrecy import MASK, SHORTEST, redact_bytes, spellings, spellings_in_replies

_TRIES = 32
"""Maximum attempts to find a frame. After them, each piece of the stream is searched as a whole."""
_FRAMED = 4096
"""Maximum bytes of a piece from which a frame is learned. Events with a text have fewer."""
_FEW = 1000
"""Marks of values up to which one pattern for all is faster than a look at each place of a text."""
_RAREST = "QXZJqzjxKVYWUGHFBPONMLRDSITECA9876543_+-/210kvwybgfpmcuhldrsinoate"
"""Characters of keys, the rarest in prose, code and JSON first."""
_COSTS = {char: 10 + rank for rank, char in enumerate(_RAREST)}
"""The cost of a search for marks that begin with a character, in no unit."""
_OTHER_COST = 100
"""The cost for any other character."""


class _Search:
    """The registered values, prepared for the search in streams."""

    def __init__(self, known: list[str]) -> None:
        """`known`: the `spellings` that it is for."""
        self.known = known
        found = spellings_in_replies()
        self.sorted = sorted(form.encode("utf-8", "surrogatepass").decode("latin-1") for form in found)
        self.marks = _marks(self.sorted)
        self.marked: re.Pattern[str] | None = None
        self.marked_bytes: re.Pattern[bytes] | None = None
        self.by_first: list[re.Pattern[bytes]] = []
        """A pattern for each first character of the marks. In a long text, all of them are found faster than one for all, which
        compares each character."""
        if len(self.marks) <= _FEW:
            pattern = _any_of(sorted(self.marks))
            self.marked, self.marked_bytes = re.compile(pattern), re.compile(pattern.encode("latin-1"))
            for _, marks in groupby(sorted(self.marks), key=itemgetter(0)):
                self.by_first.append(re.compile(_any_of(list(marks)).encode("latin-1")))
        self.characters = "".join(set("".join(self.sorted)))
        self.last_bytes = frozenset(self.characters.encode("latin-1"))
        self.longest = max(map(len, self.sorted), default=0)


def _marks(forms: list[str]) -> set[str]:
    """A part of each spelling: no text contains the spelling without it. They begin with few characters, and rare ones, because a
    search stops at each of them and compares."""
    marks: set[str] = set()
    left = forms
    while left:
        counts = Counter(chain.from_iterable(set(_begins(form)) for form in left))
        first = max(counts, key=lambda char: counts[char] / _COSTS.get(char, _OTHER_COST))
        marks |= {form[at : at + SHORTEST] for form in left if (at := _begins(form).find(first)) >= 0}
        left = [form for form in left if first not in _begins(form)]
    return marks


def _begins(form: str) -> str:
    """The characters of a spelling with which a mark may begin."""
    return form[: len(form) - SHORTEST + 1]


def _any_of(words: list[str]) -> str:
    """A pattern for sorted words of one length. Characters that they share are compared once: a list of whole words would be
    tried at each place of a text, word by word."""
    begins: dict[str, list[str]] = {}
    for word in words:
        begins.setdefault(word[:1], []).append(word[1:])
    found = [re.escape(first) + (_any_of(rests) if rests[0] else "") for first, rests in begins.items()]
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


class _Frame:
    """The first and last bytes that the pieces of a stream share: in an event with a few characters of text, nearly all. They were
    searched once, so only the bytes between them are searched in the next piece."""

    __slots__ = ("after", "before", "begin", "end", "tries")

    def __init__(self) -> None:
        self.before, self.after = b"\0", b""  # the frame of no piece
        self.begin = self.end = 0
        """The bytes at the begin and end of a piece that are not searched. A mark may begin or end in the frame."""
        self.tries = _TRIES

    def learn(self, piece: bytes) -> None:
        """Reduce the frame to the bytes that it shares with a piece that was searched."""
        if len(piece) > _FRAMED:
            return
        before = _shared(len(piece), lambda size: self.before.startswith(piece[:size]))
        after = _shared(len(piece) - before, lambda size: self.after.endswith(piece[-size:]))
        self.tries -= 1
        if not self.tries:  # no frame fits all pieces
            before = after = 0
        elif before + after < len(piece) // 2:  # another kind of piece
            before = after = len(piece)
        self.before, self.after = piece[:before], piece[len(piece) - after :]
        self.begin, self.end = max(before - SHORTEST + 1, 0), max(after - SHORTEST + 1, 0)


def _shared(most: int, is_shared: Callable[[int], bool]) -> int:
    """The largest size up to `most` that is shared; all smaller ones are, too."""
    return bisect_left(range(1, most + 1), True, key=lambda size: not is_shared(size))


_search: _Search | None = None
"""The search for the current values. Making it takes longer than reading a short reply."""


def _current_search() -> _Search:
    global _search  # noqa: PLW0603
    known = spellings()
    if _search is None or _search.known is not known:
        _search = _Search(known)
    return _search


class StreamRedactor:
    """Masks registered values in a stream of bytes, even if one is split between two pieces.

    Only an end that may be the beginning of a value is held back. For replies, which must not lose ordinary words: unlike
    `redact`, it leaves values that are short or plain words, such as the password "hunter", and unusual mixtures of escapes.
    """

    def __init__(self) -> None:
        self._search = _current_search()
        self._frame = _Frame()
        self._held = ""
        self.known = b""
        """Text of the receiver. Values in it are not masked: the receiver knows them, and may need them unchanged."""

    def feed(self, data: bytes) -> bytes:
        """The next bytes that can be passed on."""
        search = self._search
        if search.known is not spellings():
            search = self._search = _current_search()
            self._frame = _Frame()
        if not search.sorted or not data:
            return data
        marked = search.marked_bytes
        if marked is not None and not self._held and data[-1] not in search.last_bytes:
            # most pieces: no value is in them, and none can begin at their end
            frame = self._frame
            if data.startswith(frame.before) and data.endswith(frame.after):
                if marked.search(data, frame.begin, len(data) - frame.end) is None:
                    return data
            elif marked.search(data) is None:
                frame.learn(data)
                return data
        text = self._held + data.decode("latin-1")
        cut = len(text) - self._open_end(text, 0)
        if self._occurs(text):
            return self._masked(text, cut)
        unchanged = not self._held and cut == len(text)
        self._held = text[cut:]
        return data if unchanged else text[:cut].encode("latin-1")

    def close(self) -> bytes:
        """The bytes that were held back."""
        rest, self._held = self._held.encode("latin-1"), ""
        return redact_bytes(rest) if rest and rest not in self.known else rest

    def _occurs(self, text: str) -> bool:
        """Whether a value may be in the text: whether the mark of one is."""
        if self._search.marked is not None:
            return self._search.marked.search(text) is not None
        return not self._search.marks.isdisjoint([text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)])

    def _open_end(self, text: str, start: int) -> int:
        """The length of the end of the text that may be the beginning of a value."""
        # an image in base64 has only characters of keys: without the limit, each end of it would be looked up
        first = max(len(text.rstrip(self._search.characters)), len(text) - self._search.longest, start)
        for at in range(first, len(text)):
            end = text[at:]
            near = bisect_right(self._search.sorted, end)
            if near < len(self._search.sorted) and self._search.sorted[near].startswith(end):
                return len(end)
        return 0

    def _masked(self, text: str, cut: int) -> bytes:
        out, at = [], 0
        there = [form for form in self._search.sorted if form in text and form.encode("latin-1") not in self.known]
        while True:
            found = [(begin, -len(form)) for form in there if (begin := text.find(form, at)) >= 0]
            begin, length = min(found, default=(cut, 0))
            if begin >= cut:
                break
            out += [text[at:begin].encode("latin-1"), MASK.encode()]
            at = begin - length
            if at > cut:  # the value includes the beginning of the end that was to be held back
                cut = len(text) - self._open_end(text, at)
        self._held = text[cut:]
        return b"".join([*out, text[at:cut].encode("latin-1")])


def redacted_reply(data: bytes, known: bytes) -> bytes:
    """A whole reply as `StreamRedactor` would return it. `known`: see there."""
    search = _current_search()
    if search.marked is not None:
        for pattern in search.by_first:
            if pattern.search(data) is not None:
                break
        else:
            return data
    redactor = StreamRedactor()
    redactor.known = known
    return redactor.feed(data) + redactor.close()
