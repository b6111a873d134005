"""Several processes that edit one file. The long versions are in tests/soak."""

import sys
from pathlib import Path

import pytest

from tests.config.edit_processes import kills_leave_the_old_file_or_the_new, many_processes_lose_nothing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and modes are POSIX's")


def test_changes_of_one_file_by_many_processes_are_all_kept(tmp_path: Path) -> None:
    many_processes_lose_nothing(tmp_path, 24)


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    kills_leave_the_old_file_or_the_new(tmp_path, 20)
