"""Parameters and values that models were found to reject, by origin and model ID, kept in the cache folder."""

import contextlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeAlias

import msgspec

from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import cache_dir

Lesson: TypeAlias = dict[str, Any]
Lessons: TypeAlias = dict[str, dict[str, list[Lesson]]]
"""By origin, then model ID: objects whose meaning is the caller's."""


class LessonBook:
    """One file, read on first use. It is a cache: a damaged or unwritable one counts as empty."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_dir() / "lessons.json"
        self._lessons: Lessons | None = None

    def of(self, origin: str, model: str) -> list[Lesson]:
        return self._all().get(origin, {}).get(model, [])

    def at(self, origin: str) -> dict[str, list[Lesson]]:
        """All lessons about an origin, by model ID."""
        return self._all().get(origin, {})

    def add(self, origin: str, model: str, lesson: Lesson) -> None:
        """Stores a lesson at once, together with those that other processes stored in the meantime."""
        self._lessons = self._read()
        known = self._lessons.setdefault(origin, {}).setdefault(model, [])
        if lesson not in known:
            known.append(lesson)
            self._write()

    def forget(self, origin: str) -> int:
        """Removes all lessons about an origin. Returns their number."""
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
        with contextlib.suppress(OSError):
            files.make_private(self.path.parent)
            with NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
                file.write(msgspec.json.format(msgspec.json.encode(self._lessons), indent=2))
            Path(file.name).replace(self.path)
