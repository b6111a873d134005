"""A damaged file of modelbay's own is set aside by the next change, or named in an error, and never overwritten."""

from pathlib import Path

import pytest

from modelbay.onboarding.sources import merge
from modelbay.project_pins import NAME
from modelbay.tui.preferences import PreferenceFile, Preferences
from tests.cli.deep_tests import odd
from tests.cli.inside import Inside

DAMAGED = [b'{"files": [{"path": "/a"', b"\x00\xff\x00", b"[]", b'"text"']


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.chdir(tmp_path)
    return Inside(tmp_path, monkeypatch)


def aside(file: Path, damaged: bytes) -> str:
    """The new name of a damaged file."""
    [found] = file.parent.glob(f"{file.name}.damaged-*")
    assert found.read_bytes() == damaged
    return found.name


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_list_of_trusted_files_is_set_aside_with_a_warning(bay: Inside, damaged: bytes):
    with odd("", bay):
        file = bay.home / "trusted_files.json"
        file.write_bytes(damaged)
        file.chmod(0o600)
        (bay.home / NAME).write_text('model = "large"\n')
        run = bay("trust", "--yes")
        assert run.code == 0 and f"it is now {aside(file, damaged)}" in run.err
        assert "large" in bay.done("model", "default")


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_test_results_are_set_aside_with_a_warning(bay: Inside, damaged: bytes):
    with odd("", bay):
        file = bay.home / "probes.json"
        file.write_bytes(damaged)
        run = bay("provider", "test", "acme", "--deep", "--yes")
        assert run.code == 0 and f"it is now {aside(file, damaged)}" in run.err
        assert "tools" in file.read_text()


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_list_of_approvals_is_set_aside_with_a_warning(bay: Inside, damaged: bytes):
    file, foreign = bay.home / "approvals.json", bay.home / "elsewhere" / "config.toml"
    file.write_bytes(damaged)
    foreign.parent.mkdir()
    foreign.write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v1"\napi_key = "{env:KEY}"\n'
    )
    approve = ("config", "approve", "--config", str(foreign))
    run = bay(*approve, "--allow-reference", "{env:KEY}=https://acme.example")
    assert run.code == 0 and f"it is now {aside(file, damaged)}" in run.err
    assert "{env:KEY}" in file.read_text()


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_preferences_are_set_aside(bay: Inside, damaged: bytes):
    preferences = PreferenceFile(bay.home / "app.json")
    preferences.path.write_bytes(damaged)
    assert preferences.read() == Preferences()
    preferences.write(Preferences(theme="light"))
    assert aside(preferences.path, damaged) and preferences.read().theme == "light"


@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("command", [("refresh", "acme"), ("rename", "acme", "work"), ("copy", "acme", "work")])
def test_the_damaged_state_of_a_source_is_an_error_that_changes_nothing(
    bay: Inside, damaged: bytes, command: tuple[str, ...]
):
    with odd("", bay) as simulator:
        bay.file.unlink()
        bay.done("provider", "add", f"{simulator.url}/v1", "--id", "acme", "--all-models")
        file, before = merge.path_of("acme"), bay.text
        file.write_bytes(damaged)
        run = bay("provider", *command)
        assert run.code == 1 and f"{file.name} is damaged: " in run.err and "remove the file" in run.err
        assert (file.read_bytes(), bay.text) == (damaged, before)
        file.unlink()
        bay.done("provider", *command)
