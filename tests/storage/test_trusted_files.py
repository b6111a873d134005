"""The list of trusted files is private, survives other programs, and trusts no file if it is damaged."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelbay.errors import ConfigError
from modelbay.storage.trusted_files import TrustedFiles


@pytest.fixture
def trusted(tmp_path: Path) -> TrustedFiles:
    return TrustedFiles(tmp_path / "trusted_files.json")


def test_a_file_is_trusted_with_its_last_digest(trusted: TrustedFiles):
    trusted.add(Path("/a"), "1")
    trusted.add(Path("/a"), "2")
    trusted.add(Path("/b"), "3")
    again = TrustedFiles(trusted.path)
    assert [(file.path, file.digest) for file in again.all()] == [("/a", "2"), ("/b", "3")]
    assert again.at(Path("/c")) is None


def test_a_removed_file_is_trusted_no_longer(trusted: TrustedFiles):
    trusted.add(Path("/a"), "1")
    assert trusted.remove(Path("/a"))
    assert not trusted.remove(Path("/a"))
    assert trusted.all() == []


def test_only_the_owner_can_read_the_list(trusted: TrustedFiles):
    trusted.add(Path("/a"), "1")
    assert trusted.path.stat().st_mode & 0o077 == 0


def test_a_list_that_another_user_can_change_trusts_no_file(trusted: TrustedFiles):
    trusted.add(Path("/a"), "1")
    trusted.path.chmod(0o666)
    with pytest.raises(ConfigError, match="other users can change it"):
        trusted.at(Path("/a"))
    with pytest.raises(ConfigError, match="other users can change it"):
        trusted.add(Path("/b"), "1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": [{"path": "/a"}]}', '{"files": {"/a": "1"}}'])
def test_a_damaged_list_trusts_no_file(trusted: TrustedFiles, text: str):
    trusted.path.write_text(text)
    trusted.path.chmod(0o600)
    assert trusted.at(Path("/a")) is None
    trusted.add(Path("/b"), "1")
    assert [file.path for file in trusted.all()] == ["/b"]


def test_keys_of_a_later_version_are_ignored(trusted: TrustedFiles):
    trusted.path.write_text(json.dumps({"files": [{"path": "/a", "digest": "1", "when": 1, "new": True}], "new": 1}))
    trusted.path.chmod(0o600)
    assert trusted.at(Path("/a")) is not None


def test_a_path_that_is_not_text_is_refused(trusted: TrustedFiles):
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        trusted.add(Path("/a\udcff"), "1")


def test_writers_at_the_same_time_lose_no_entry(trusted: TrustedFiles):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: TrustedFiles(trusted.path).add(Path(f"/{number}"), "1"), range(16)))
    assert len(trusted.all()) == 16
