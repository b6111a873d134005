"""Search among thousands of models as the user types: "gpt4o" finds "gpt-4o-mini", "son 4.5" finds Claude Sonnet 4.5.

A row matches if its ID, name or provider contains the letters of every word of the query, in order. Best first: rows where
a word is a whole name, starts the name, starts a word of it, is inside it, and last those with scattered letters. If no
row matches well, a typing error is assumed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

EXACT, PREFIX, WORD, INSIDE, STREWN, ALIKE, SCATTERED = range(7)
SCATTER = 3
"""Letters spread over more than this many times their number count as a coincidence."""
LOOKED_AT = 200
"""Maximum number of rows searched for words: the shortest."""
CLOSE = 75
"""Minimum similarity, of 100, to a query with a possible typing error."""
BETWEEN = "\x1e"
NOT_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum() and chr(code) not in f"\n{BETWEEN}")
BREAKS = re.compile(r"[\W_]+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


class Searchable(Protocol):
    """An item to search in, for example a `Model`."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def provider(self) -> str: ...


R = TypeVar("R", bound=Searchable)


def search(query: str, rows: Iterable[R], limit: int = 50) -> list[R]:
    """The rows that match a query, best first; the first rows, in order, if the query is blank."""
    return Finder(list(rows)).find(query, limit)


class Finder(Generic[R]):
    """Rows prepared for repeated searches."""

    def __init__(self, rows: Sequence[R]) -> None:
        self._rows = rows
        written = (f"{row.id.rpartition('/')[2]}\n{row.id}\n{_line(row.name)}\n{_line(row.provider)}" for row in rows)
        self._texts = _squeezed(BETWEEN.join(written)).split(BETWEEN) if rows else []
        """Per row: the last part of its ID, its ID, name and provider, one line each, letters and digits only."""

    def find(self, query: str, limit: int = 50) -> list[R]:
        """The best rows for a query."""
        if not query.strip():
            return list(self._rows[:limit])
        tokens = [token for word in re.split(r"[\s/]+", query) if (token := _squeezed(word))]
        if not tokens:
            return []
        ranked = self._whole(tokens, limit)
        if len(ranked) < limit:
            ranked += self._strewn(tokens, {number for _, _, number in ranked})
        if len(ranked) < limit and not any(rank <= INSIDE for rank, _, _ in ranked):
            ranked += self._alike(tokens, limit, {number for _, _, number in ranked})
        ranked.sort()
        return [self._rows[number] for _, _, number in ranked[:limit]]

    def _whole(self, tokens: list[str], limit: int) -> list[tuple[int, int, int]]:
        """Rank, length and number of the rows that contain each word in one piece."""
        joined = "".join(tokens)
        starts = [" " + BREAKS.sub(" ", token) for token in tokens]
        found, others = [], []
        first, *more = tokens
        for number, text in enumerate(self._texts):
            if first in text and all(token in text for token in more):
                last, id, name, provider = text.split("\n")
                names = (last, id, name, provider + last, provider + id)
                if joined in names:
                    found.append((EXACT, len(id), number))
                elif any(own.startswith(joined) for own in names):
                    found.append((PREFIX, len(id), number))
                else:
                    others.append((INSIDE, len(id), number))
        if len(found) >= limit:
            return found  # the others would not be shown in any order
        others.sort()
        for place, (_, length, number) in enumerate(others[:LOOKED_AT]):
            row = self._rows[number]
            words = " " + BREAKS.sub(" ", f"{row.id} {row.name or ''} {row.provider}".lower())
            if all(start in words for start in starts):
                others[place] = WORD, length, number
        return found + others

    def _strewn(self, tokens: list[str], known: set[int]) -> list[tuple[int, int, int]]:
        """The rows that contain each word's letters in order, closest together first."""
        pattern, *more = [re.compile("[^\n]*?".join(map(re.escape, token))) for token in tokens]
        enough = SCATTER * sum(map(len, tokens))
        found = []
        for number, text in enumerate(self._texts):
            if number not in known and (match := pattern.search(text)) is not None:
                matches = [match, *(other.search(text) for other in more)]
                length = sum(one.end() - one.start() if one else len(text) * enough for one in matches)
                if None not in matches:
                    found.append((STREWN if length <= enough else SCATTERED, length, number))
        return found

    def _alike(self, tokens: list[str], limit: int, known: set[int]) -> list[tuple[int, int, int]]:
        """The rows that are similar to the words."""
        from rapidfuzz import fuzz, process

        alike = process.extract(
            "".join(tokens), self._texts, scorer=fuzz.partial_ratio, limit=limit, score_cutoff=CLOSE, processor=None
        )
        return [(ALIKE, place, number) for place, (_, _, number) in enumerate(alike) if number not in known]


def _squeezed(text: str) -> str:
    return text.lower().encode(errors="replace").translate(None, NOT_LETTERS).decode()  # the fastest way


def _line(text: str | None) -> str:
    return (text or "").replace("\n", " ")
