from pathlib import Path

import pytest

from modelbay.storage import lessons
from modelbay.storage.lessons import LessonBook

SEED = {"parameter": "seed"}


def test_a_lesson_is_available_to_the_next_process(tmp_path: Path) -> None:
    LessonBook(tmp_path / "lessons.json").add("http://a", "m", SEED)
    assert LessonBook(tmp_path / "lessons.json").of("http://a", "m") == [SEED]
    assert LessonBook(tmp_path / "lessons.json").of("http://b", "m") == []


def test_a_lesson_is_kept_once(tmp_path: Path) -> None:
    book = LessonBook(tmp_path / "lessons.json")
    book.add("http://a", "m", SEED)
    book.add("http://a", "m", SEED)
    assert book.of("http://a", "m") == [SEED]


def test_deleting_the_lessons_of_an_origin_returns_their_number(tmp_path: Path) -> None:
    book = LessonBook(tmp_path / "lessons.json")
    book.add("http://a", "m", SEED)
    assert book.forget("http://a") == 1
    assert book.forget("http://a") == 0
    assert book.of("http://a", "m") == []


def test_a_noted_lesson_is_valid_for_an_hour_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(lessons, "monotonic", lambda: now)
    book = LessonBook(tmp_path / "lessons.json")
    for _ in range(2):
        book.note("http://a", "m", SEED)
    assert book.of("http://a", "m") == book.noted("http://a", "m") == [SEED]
    assert LessonBook(tmp_path / "lessons.json").of("http://a", "m") == []
    now += lessons.NOTED_SECONDS
    assert book.of("http://a", "m") == []


def test_a_noted_lesson_that_is_stored_is_there_once(tmp_path: Path) -> None:
    book = LessonBook(tmp_path / "lessons.json")
    book.note("http://a", "m", SEED)
    book.note("http://a", "m", {"parameter": "top_p"})
    book.add("http://a", "m", SEED)
    assert book.of("http://a", "m") == [SEED, {"parameter": "top_p"}]
    assert book.noted("http://a", "m") == [{"parameter": "top_p"}]


def test_only_the_latest_models_have_noted_lessons(tmp_path: Path) -> None:
    book = LessonBook(tmp_path / "lessons.json")
    for number in range(lessons.MOST_NOTED + 1):
        book.note("http://a", f"m{number}", SEED)
    assert book.of("http://a", "m0") == []
    assert book.of("http://a", f"m{lessons.MOST_NOTED}") == book.of("http://a", "m1") == [SEED]


def test_a_damaged_book_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "lessons.json").write_text("{oops")
    book = LessonBook(tmp_path / "lessons.json")
    assert book.of("http://a", "m") == []
    book.add("http://a", "m", SEED)
    assert LessonBook(tmp_path / "lessons.json").of("http://a", "m") == [SEED]


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    LessonBook(tmp_path / "file" / "lessons.json").add("http://a", "m", SEED)


def test_two_processes_keep_each_other_s_lessons(tmp_path: Path) -> None:
    first, second = LessonBook(tmp_path / "lessons.json"), LessonBook(tmp_path / "lessons.json")
    assert first.at("https://a") == second.at("https://a") == {}
    first.add("https://a", "m", {"parameter": "seed"})
    second.add("https://b", "m", {"parameter": "top_p"})
    assert first.forget("https://c") == 0
    first.add("https://c", "m", {"parameter": "stop"})
    assert second.forget("https://a") == 1
    found = LessonBook(tmp_path / "lessons.json")
    assert [found.of(origin, "m") for origin in ("https://a", "https://b", "https://c")] == [
        [],
        [{"parameter": "top_p"}],
        [{"parameter": "stop"}],
    ]
