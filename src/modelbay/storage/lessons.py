"""Parameters and values that models were found to reject, by origin and model ID, kept in the cache folder."""

from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import msgspec

from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage.cache import Cache
from modelbay.storage.paths import cache_dir

Lesson: TypeAlias = dict[str, Any]
Lessons: TypeAlias = dict[str, dict[str, list[Lesson]]]
"""By origin, then model ID: objects whose meaning is the caller's."""


NOTED_SECONDS = 3600.0
MOST_NOTED = 256
"""Maximum number of models with noted lessons. Clients may send any model ID."""


class LessonBook:
    """One file, read on first use. It is a cache: a damaged or unwritable one counts as empty.

    A lesson that no successful call has confirmed is only noted: in memory, for an hour.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_dir() / "lessons.json"
        self._lessons: Lessons | None = None
        self._noted: dict[tuple[str, str], tuple[float, list[Lesson]]] = {}
        """By origin and model ID, oldest first: until when they are valid, and the lessons."""

    def of(self, origin: str, model: str) -> list[Lesson]:
        stored = self._all().get(origin, {}).get(model, [])
        return [*stored, *self.noted(origin, model)] if self._noted else stored

    def noted(self, origin: str, model: str) -> list[Lesson]:
        """The lessons that are not stored yet."""
        until, lessons = self._noted.get((origin, model), (0.0, []))
        return lessons if until > monotonic() else []

    def note(self, origin: str, model: str, lesson: Lesson) -> None:
        """Keep a lesson in memory until it is confirmed."""
        if lesson in self.of(origin, model):
            return
        lessons = [*self.noted(origin, model), lesson]
        self._noted.pop((origin, model), None)
        self._noted[origin, model] = monotonic() + NOTED_SECONDS, lessons
        if len(self._noted) > MOST_NOTED:
            del self._noted[next(iter(self._noted))]

    def at(self, origin: str) -> dict[str, list[Lesson]]:
        """All lessons about an origin, by model ID."""
        return self._all().get(origin, {})

    def add(self, origin: str, model: str, lesson: Lesson) -> None:
        """Store a lesson at once, together with those that other processes stored in the meantime."""
        self._lessons = self._read()
        known = self._lessons.setdefault(origin, {}).setdefault(model, [])
        if lesson not in known:
            known.append(lesson)
            self._write()
        until, noted = self._noted.pop((origin, model), (0.0, []))
        if left := [one for one in noted if one != lesson]:
            self._noted[origin, model] = until, left

    def forget(self, origin: str) -> int:
        """Remove all lessons about an origin. Returns their number."""
        self._lessons = self._read()
        gone = self._lessons.pop(origin, {})
        if gone:
            self._write()
        return sum(len(lessons) for lessons in gone.values())

    def _all(self) -> Lessons:
        if self._lessons is None:
            self._lessons = self._read()
        return self._lessons

    def _read(self) -> Lessons:
        try:
            return decode_as(self.path.read_bytes(), Lessons)
        except (MalformedReply, OSError):
            return {}

    def _write(self) -> None:
        Cache(self.path.parent).write(msgspec.json.format(msgspec.json.encode(self._lessons), indent=2), self.path.name)
