"""A transaction on one file."""

import errno
import os
import stat
import sys
import threading
import tomllib
from collections import UserDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path

import pytest

from modelbay.config import edit as edits
from modelbay.config.edit import Edit, apply
from modelbay.errors import ConfigError, ConfigSyntaxError
from modelbay.storage import files

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX's")
TEXT = '# mine\n[models.a] # a\nmodel = "m"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("config.toml", "config.toml.lock"))


def set_model(edit: Edit, value: object = "n") -> None:
    edit.set("models", "a", "model", value=value)


# Reading and writing


def test_an_edit_reads_and_writes_plain_values(file):
    with Edit.open(file) as edit:
        assert edit.get("models", "a") == {"model": "m"}
        assert edit.get("models", "b") is None
        edit.set("models", "a", "model", value="n")
        edit.set("models", "a", "cost", "input", value=0.5)
        assert edit.delete("models", "a", "model")
        assert not edit.delete("models", "a", "model")
        assert edit.get("models") == {"a": {"cost": {"input": 0.5}}}
    assert file.read_text() == "# mine\n[models.a] # a\ncost = { input = 0.5 }\n"
    assert edit.changed


def test_many_models_can_be_put_between_two_tables_and_removed(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[models.first]\nmodel = "f"\n\n[chat]\nstore = false\n')
    added = [f"m{number}" for number in range(150)]
    with Edit.open(file) as edit:
        for alias in added:
            edit.set("models", alias, value={"model": alias})
        for alias in added:
            edit.set("models", alias, "display_name", value=alias.upper())
        for alias in added[::2]:
            edit.delete("models", alias)
    found = tomllib.loads(file.read_text())
    assert list(found) == ["models", "chat"]
    assert found["models"] == {"first": {"model": "f"}} | {
        alias: {"model": alias, "display_name": alias.upper()} for alias in added[1::2]
    }


def test_all_models_can_be_replaced_at_once(file):
    with Edit.open(file) as edit:
        edit.set("models", "b", value={"provider": "p", "model": "m"})
        assert list(edit.models_of("p")) == ["b"]
        edit.set("models", value={"c": {"provider": "p", "model": "m"}})
        assert list(edit.models_of("p")) == ["c"]
        edit.delete("models")
        assert edit.models_of("p") == {}


def test_a_value_that_is_read_is_a_copy(file):
    with Edit.open(file) as edit:
        edit.get("models")["a"]["model"] = "other"
        table = {"provider": "p", "tags": ["x"]}
        edit.set("models", "b", value=table)
        table["tags"].append("y")  # type: ignore[attr-defined]
        assert edit.get("models", "a", "model") == "m"
        assert edit.get("models", "b", "tags") == ["x"]
    assert "y" not in file.read_text()


def test_values_are_of_plain_types(file):
    class Level(StrEnum):
        HIGH = "high"

    class Count(int):
        pass

    with Edit.open(file) as edit:
        edit.set("x", value=UserDict({Level.HIGH: (Count(1), Count(2)), "b": Level.HIGH}))
        edit.set("y", value=Level.HIGH)
        out = edit.get("x")
    assert out == {"high": [1, 2], "b": "high"}
    values = [out, *out, out["high"], *out["high"], out["b"], edit.get("y")]
    assert [type(value) for value in values] == [dict, str, str, list, int, int, str, str]


@pytest.mark.parametrize("value", [None, {1: 2}, {"a": None}, [None], b"", object(), {1}, 1j, timedelta(1)])
def test_a_value_without_a_toml_type_is_a_type_error(file, value):
    with pytest.raises(TypeError, match=r"models\.a\.model"), Edit.open(file) as edit:
        set_model(edit, value)
    assert file.read_text() == TEXT


@pytest.mark.parametrize("value", [2**63, "\ud800", {"\udfff": 1}])
def test_values_that_toml_cannot_hold_are_refused(file, value):
    with pytest.raises(ConfigError, match=r"models\.a\.model"), Edit.open(file) as edit:
        set_model(edit, value)
    assert file.read_text() == TEXT


def test_a_time_with_seconds_in_its_offset_is_refused(file):
    odd = timezone(timedelta(seconds=30))
    with pytest.raises(TypeError), Edit.open(file) as edit:
        set_model(edit, datetime(2025, 1, 1, tzinfo=odd))
    with Edit.open(file) as edit:
        set_model(edit, datetime(2025, 1, 1, tzinfo=UTC))


def test_nothing_is_written_when_nothing_changed(file):
    os.utime(file, ns=(1, 1))
    with Edit.open(file) as edit:
        set_model(edit, "n")
        set_model(edit, "m")
    assert not edit.changed
    assert edit.diff == ""
    assert (file.read_text(), file.stat().st_mtime_ns) == (TEXT, 1)


def test_nothing_is_written_when_the_block_raises(file):
    with pytest.raises(ZeroDivisionError), Edit.open(file) as edit:
        set_model(edit)
        _ = 1 / 0
    assert file.read_text() == TEXT
    assert leftovers(file.parent) == []


def test_a_dry_run_reports_changes_and_writes_nothing(tmp_path):
    path = tmp_path / "new" / "config.toml"
    with Edit.open(path, dry_run=True) as edit:
        set_model(edit)
    assert edit.diff == f'--- {path}\n+++ {path}\n@@ -0,0 +1,2 @@\n+[models.a]\n+model = "n"\n'
    assert not path.parent.exists()


def test_a_dry_run_needs_no_lock(file):
    with Edit.open(file), Edit.open(file, dry_run=True, wait=0) as edit:
        set_model(edit)
    assert edit.changed
    assert file.read_text() == TEXT


def test_apply_returns_the_result_of_the_change(file):
    done = apply(lambda edit: edit.delete("models", "a"), file)
    assert done.result is True
    assert done.changed
    assert "-[models.a] # a" in done.diff
    assert file.read_text() == "# mine\n"


def test_the_default_file_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    apply(set_model)
    assert (tmp_path / "config.toml").exists()


# The file itself


@posix
def test_a_new_file_and_its_folder_are_private(tmp_path):
    path = tmp_path / "modelbay" / "config.toml"
    os.umask(os.umask(0o022))
    apply(set_model, path)
    assert path.read_text() == '[models.a]\nmodel = "n"\n'
    assert (mode(path), mode(path.parent), mode(path.with_name("config.toml.lock"))) == (0o600, 0o700, 0o600)


@posix
@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o644, 0o600), (0o666, 0o600), (0o400, 0o400)])
def test_a_file_becomes_private(file, before, after):
    file.chmod(before)
    apply(set_model, file)
    assert mode(file) == after


@posix
def test_a_link_stays_a_link_and_its_target_changes(file, tmp_path):
    folder = tmp_path / "dotfiles"
    folder.mkdir()
    target = file.rename(folder / "modelbay.toml")
    middle = tmp_path / "middle"
    middle.symlink_to(Path("dotfiles") / "modelbay.toml")
    file.symlink_to(middle)
    apply(set_model, file)
    assert file.is_symlink()
    assert middle.is_symlink()
    assert 'model = "n"' in target.read_text()
    assert (folder / "modelbay.toml.lock").exists()


@posix
def test_a_link_to_nothing_yet_gets_its_target(tmp_path):
    path = tmp_path / "config.toml"
    path.symlink_to("elsewhere/config.toml")
    apply(set_model, path)
    assert path.is_symlink()
    assert (tmp_path / "elsewhere" / "config.toml").exists()


@posix
def test_links_in_a_ring_are_an_error(tmp_path):
    path = tmp_path / "config.toml"
    path.symlink_to("config.toml")
    with pytest.raises(ConfigError, match="symbolic link"):
        apply(set_model, path)


def test_a_byte_order_mark_stays(file):
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    apply(set_model, file)
    assert file.read_bytes() == b'\xef\xbb\xbf# mine\r\n[models.a] # a\r\nmodel = "n"\r\n'


def test_temporary_files_of_a_killed_writer_are_removed(file):
    left = file.with_name(f".config.toml.abc{files.LEFT_OVER}")
    left.write_text("a secret")
    apply(set_model, file)
    assert leftovers(file.parent) == []


# Files that cannot be changed


@pytest.mark.parametrize(
    ("content", "place", "line"),
    [
        (b"a = 1\nb = = 2\n", "line 2, column 5: invalid value", 2),
        (b"[a]\nb = 1\nb = 2\n", "line 3, column 6: cannot overwrite a value", 3),
        (b"a = 'x", "line 1, column 7: ", 1),
        (b"a = 1\nb = '\xff'", "line 2: not UTF-8 text", 2),
    ],
)
def test_a_file_that_does_not_parse_is_not_changed(file, content, place, line):
    file.write_bytes(content)
    with pytest.raises(ConfigSyntaxError) as caught:
        apply(set_model, file)
    assert caught.value.message.startswith(f"cannot change {file} while it does not parse: {place}")
    assert (caught.value.file, caught.value.line) == (str(file), line)
    assert file.read_bytes() == content


def test_a_folder_instead_of_the_file_is_an_error(tmp_path):
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        apply(set_model, tmp_path / "config.toml")


def test_a_file_instead_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be") as caught:
        apply(set_model, tmp_path / "file" / "config.toml")
    assert caught.value.hint == f"check {tmp_path / 'file'}: it must be a folder"


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(file):
    file.parent.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be written") as caught:
            apply(set_model, file)
    finally:
        file.parent.chmod(0o700)
    assert "may write there" in str(caught.value.hint)
    assert file.read_text() == TEXT


@pytest.mark.parametrize(
    ("step", "number", "hint"),
    [
        ("fsync", errno.ENOSPC, "free some space on the disk, then try again"),
        ("replace", errno.EACCES, "check who owns {folder} and may write there"),
        ("replace", errno.EROFS, "write to another file system"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(file, monkeypatch, step, number, hint):
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ConfigError) as caught:
        apply(set_model, file)
    monkeypatch.undo()
    assert caught.value.message == f"{file} cannot be written: {os.strerror(number)}"
    assert str(caught.value.hint).startswith(hint.format(folder=file.parent))
    assert file.read_text() == TEXT
    assert leftovers(file.parent) == []
    apply(set_model, file)


def test_a_change_by_a_program_that_knows_no_locks_is_not_overwritten(file):
    with pytest.raises(ConfigError, match="was changed by another program"), Edit.open(file) as edit:
        set_model(edit)
        file.write_text("other = 1\n")
    assert file.read_text() == "other = 1\n"
    assert leftovers(file.parent) == []


def test_a_result_with_other_data_is_not_written(file):
    with pytest.raises(ConfigError, match="cannot be changed safely"), Edit.open(file) as edit:
        set_model(edit)
        edit._document.data["models"]["a"]["model"] = "something else"
    with pytest.raises(ConfigError, match="cannot be changed safely"), Edit.open(file) as edit:
        set_model(edit)
        edit._document.blocks[0].lines[0].head = "no TOML\n"
    assert file.read_text() == TEXT


# The lock


@pytest.fixture
def other_program(file: Path) -> Iterator[threading.Event]:
    """Keep the file open until it is told to end."""
    done, ready = threading.Event(), threading.Event()

    def hold() -> None:
        with files.locked(file, 1):
            ready.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    yield done
    done.set()
    thread.join()


def test_a_lock_that_is_held_too_long_is_an_error(file, other_program):
    with pytest.raises(ConfigError) as caught:
        apply(set_model, file, wait=0.1)
    assert caught.value.message == f"{file} cannot be changed: locked by another program for 0.1 seconds"
    assert caught.value.hint == "wait for the other modelbay processes to end, then try again"
    assert file.read_text() == TEXT


def test_after_the_wait_the_other_change_is_seen(file, other_program):
    file.write_text(TEXT + 'display_name = "A"\n')
    timer = threading.Timer(0.2, other_program.set)
    timer.start()
    apply(set_model, file)
    timer.join()
    assert file.read_text() == '# mine\n[models.a] # a\nmodel = "n"\ndisplay_name = "A"\n'


def test_a_link_and_its_target_have_one_lock(file, other_program, tmp_path):
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    with pytest.raises(ConfigError, match="another program"):
        apply(set_model, link, wait=0)


def test_the_wait_is_limited_by_default():
    assert 5 <= edits.WAIT <= 60
