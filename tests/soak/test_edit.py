"""The edits of config.toml, for long."""

from pathlib import Path

import hypothesis
import pytest

from tests.config.edit_processes import kills_leave_the_old_file_or_the_new, many_processes_lose_nothing
from tests.config.test_edit_random import check, edits

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_200_processes_that_change_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
    seconds = many_processes_lose_nothing(tmp_path, 200)
    print(f"200 processes took {seconds:.1f} s")


def test_200_writers_that_are_killed_leave_the_old_file_or_the_new(tmp_path: Path) -> None:
    aside = kills_leave_the_old_file_or_the_new(tmp_path, 200)
    print(f"{aside} of 200 kills left a half-written file aside")
    assert aside, "no kill came in the middle of a write"


@hypothesis.given(edits())
@hypothesis.settings(
    hypothesis.settings.get_profile("soak"), suppress_health_check=list(hypothesis.HealthCheck), derandomize=False
)
def test_many_random_edits_do_what_they_do_to_plain_dicts_and_leave_the_other_lines(case) -> None:
    check(case)
