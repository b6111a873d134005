"""Logins, for long."""

from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.credentials.login_processes import kills_leave_a_usable_token, ten_processes_share_one_refresh

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_100_refreshes_that_are_killed_leave_a_usable_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with Simulator() as sim:
        lost = kills_leave_a_usable_token(tmp_path, sim, 100)
    print(f"{lost} of 100 kills came between the server's answer and the disk")


def test_40_processes_share_one_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with Simulator() as sim:
        assert ten_processes_share_one_refresh(tmp_path, sim, 40) == 1
