import os
from pathlib import Path

import pytest

from modelbay.storage.cache import Cache


def test_a_written_entry_is_read(tmp_path: Path) -> None:
    assert Cache(tmp_path).write(b"one", "lists", "acme.json")
    assert Cache(tmp_path).read("lists", "acme.json") == b"one"
    assert Cache(tmp_path).changed("lists", "acme.json") is not None


def test_a_missing_entry_is_none(tmp_path: Path) -> None:
    assert Cache(tmp_path).read("nothing") is None
    assert Cache(tmp_path).changed("nothing") is None
    Cache(tmp_path).drop("nothing")


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write(b"x" * 100_000, "a")
    cache.write(b"y", "a")
    assert cache.read("a") == b"y"
    assert os.listdir(tmp_path) == ["a"]
    cache.drop("a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["managed:kimi-code", "../outside", "..", ".", ".hidden", "a/b", "a\\b", "con|?*<>", "ünï 日本", 'q"uote', "x\0y"],
)
def test_a_name_may_be_anything_and_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / "cache")
    assert cache.write(b"1", "lists", name)
    assert cache.read("lists", name) == b"1"
    assert cache.path("lists", name).resolve().parent == tmp_path / "cache" / "lists"
    assert os.listdir(tmp_path) == ["cache"]


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file")
    assert not cache.write(b"1", "a")
    assert cache.read("a") is None


def test_a_folder_in_place_of_an_entry_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not Cache(tmp_path).write(b"1", "a")
    assert os.listdir(tmp_path) == ["a"]
