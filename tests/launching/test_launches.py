"""The folder of running launches and gateways."""

import errno

import pytest

from modelbay.errors import FileError
from modelbay.launching.launches import Launches


def test_a_fault_of_the_system_names_the_file_and_the_folder() -> None:
    launches = Launches()
    with pytest.raises(FileError, match=r"made\.launch cannot be used: No space left") as caught, launches.locked():
        raise OSError(errno.ENOSPC, "No space left on device", "made.launch")
    assert caught.value.hint == f"check that {launches.folder} is writable and has free space"


def test_entries_that_cannot_be_removed_do_not_prevent_a_launch() -> None:
    launches = Launches()
    with launches.locked() as change:
        for name in ("folder.gateway", "folder.launch", "folder.log"):
            (launches.folder / name).mkdir()
        (launches.folder / "link.gateway").symlink_to("/no/such/file")
        change.sweep()
        assert change.gateways() == []
        assert not (launches.folder / "link.gateway").is_symlink()


def test_a_launch_has_the_folder_of_an_earlier_one_that_ended() -> None:
    """Gemini CLI and Qwen Code put the path into their prompts."""
    with Launches().locked() as change:
        first, second = change.launch(""), change.launch("")
        change.end(first)
        third = change.launch("")
        assert third.path == first.path != second.path
        change.end(second)
        change.end(third)


def test_a_launch_does_not_get_a_folder_that_could_not_be_removed() -> None:
    launches = Launches()
    with launches.locked() as change:
        (launches.folder / "1").mkdir()
        launch = change.launch("")
        assert launch.path.name == "2.launch"
        change.end(launch)
