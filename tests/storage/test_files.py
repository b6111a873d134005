"""Folders of modelbay: only the user can read them."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.errors import ConfigError
from modelbay.storage import files
from tests.cli.inside import Inside

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_private_folder_has_private_parents_and_leaves_others_as_they_are(tmp_path: Path):
    (kept := tmp_path / "kept").mkdir(mode=0o755)
    for _ in range(2):
        files.make_private(kept / "home" / "gateway")
        assert [mode(one) for one in (kept, kept / "home", kept / "home" / "gateway")] == [0o755, 0o700, 0o700]


def test_a_folder_is_closed_to_others_also_if_it_exists(tmp_path: Path):
    (open_one := tmp_path / "keys").mkdir(mode=0o755)
    for folder in (open_one, tmp_path / "home" / "keys"):
        files.close_to_others(folder)
        assert mode(folder) == 0o700


def test_the_home_is_private_although_its_first_file_is_in_a_subfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Inside(tmp_path / "home", monkeypatch).done("client", "add", "editor")
    assert mode(tmp_path / "home") == 0o700


def test_a_recent_answer_is_asked_for_again_after_a_moment() -> None:
    clock, answers = [100.0], iter(["first", "second", "third"])
    recent = files.Recent(lambda: next(answers), lambda: clock[0])
    assert recent.get() == "first"
    clock[0] += files.FRESH / 2
    assert recent.get() == "first"
    clock[0] += files.FRESH
    assert recent.get() == "second"
    recent.forget()
    assert recent.get() == "third"


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o400, 0o400), (0o600, 0o600)])
def test_a_replaced_file_keeps_the_permissions_of_its_owner_only(tmp_path: Path, before: int, after: int):
    (file := tmp_path / "file").write_bytes(b"old")
    file.chmod(before)
    files.replace(file, b"old", b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", after)


@pytest.mark.parametrize("most", [1, 100])
def test_a_file_that_was_read_or_refused_is_closed(tmp_path: Path, most: int):
    (file := tmp_path / "file").write_bytes(b"content")
    file.chmod(0o600)
    before = len(os.listdir("/dev/fd"))
    for _ in range(50):
        with contextlib.suppress(ConfigError):
            files.owned_content(file, most)
    assert len(os.listdir("/dev/fd")) < before + 50


def test_the_file_of_another_user_is_named_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As root writes one for a service."""
    path = tmp_path / "clients.json"
    path.write_text("{}")

    def forbidden(*_: object, **__: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    for name, read in (("read_bytes", lambda: files.content_of(path)), ("unlink", lambda: files.remove(path, b"{}"))):
        with monkeypatch.context() as patch, pytest.raises(ConfigError) as caught:
            patch.setattr(Path, name, forbidden)
            read()
        assert caught.value.hint == f"change its owner (UID {owner}) with chown, or run modelbay as that user: {path}"
