"""What endpoints taught us, kept in the cache folder: parameters that a model refuses, by origin and wire model."""

import contextlib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeAlias

import msgspec

from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage.paths import cache_dir

Lessons: TypeAlias = dict[str, dict[str, list[dict[str, str]]]]
"""By origin, then wire model: objects that whoever asks understands."""


class LessonBook:
    """One file, read when first asked for. It is a cache: one that is damaged or cannot be written is an empty one."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_dir() / "lessons.json"
        self._lessons: Lessons | None = None

    def of(self, origin: str, model: str) -> list[dict[str, str]]:
        return self._all().get(origin, {}).get(model, [])

    def at(self, origin: str) -> dict[str, list[dict[str, str]]]:
        """Everything about an origin, by wire model."""
        return self._all().get(origin, {})

    def add(self, origin: str, model: str, lesson: dict[str, str]) -> None:
        """Remembers a lesson at once, beside what other processes learnt meanwhile."""
        self._lessons = self._read()
        known = self._lessons.setdefault(origin, {}).setdefault(model, [])
        if lesson not in known:
            known.append(lesson)
            self._write()

    def forget(self, origin: str) -> int:
        """Forgets everything about an origin; how many lessons that were."""
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
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
                file.write(msgspec.json.format(msgspec.json.encode(self._lessons), indent=2))
            Path(file.name).replace(self.path)
