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
