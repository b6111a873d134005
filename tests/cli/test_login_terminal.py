"""Logging in at a terminal: choosing where, and the page that opens."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.cli import terminal
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.cli.inside import Inside, Person

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        running.provider.logins.behave(LoginBehavior(approve_after=0, interval=1))
        yield running


def there(sim: Simulator) -> list[str]:
    return ["--oauth-host", sim.url, "--base-url", f"{sim.url}/coding/v1"]


def own(sim: Simulator, id: str) -> str:
    return (
        f'[providers.{id}]\nname = "The {id}"\ntype = "openai"\nbase_url = "{sim.url}/coding/v1"\n[providers.{id}.oauth]\n'
        f'key = "{id}"\noauth_host = "{sim.url}"\ndevice_url = "/api/oauth/device_authorization"\n'
        'token_url = "/api/oauth/token"\nclient_id = "me"\n'
    )


def test_without_a_name_one_chooses_a_platform(tmp_path: Path, sim: Simulator) -> None:
    with Person(tmp_path, "login", *there(sim)) as person:
        person.sees("1  Kimi Code (kimi.com/code)").sees("3  Kimi Platform").sees("5  Vertex AI")
        for answer in ("9", "0", "kimi", "\x1b[A"):  # the last is the key ↑
            person.sees("Select a platform").types(answer).sees("Type a number from 1 to ")
        person.sees("Select a platform").types("1")
        person.sees("approve the code").sees("Logged in to managed:kimi-code")
        assert person.ends() == 0


def test_providers_of_one_s_own_are_offered_too_and_one_of_two_logs_out(tmp_path: Path, sim: Simulator) -> None:
    (tmp_path / "config.toml").write_text(own(sim, "east") + own(sim, "west"))
    for number, id in ((6, "east"), (7, "west")):
        with Person(tmp_path, "login") as person:
            person.sees("6  The east").sees("7  The west").sees("Select a platform").types(str(number))
            person.sees(f"Logged in to {id}")
            assert person.ends() == 0
    with Person(tmp_path, "logout") as person:
        person.sees("1  east").sees("2  west").sees("Log out of").types("2").sees("Logged out of west")
        assert person.ends() == 0
    assert [path.stem for path in (tmp_path / "credentials").glob("*.json")] == ["east"]


@pytest.mark.parametrize(
    ("environment", "options", "opens"),
    [
        ({"DISPLAY": ":0"}, [], True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, [], True),
        ({"DISPLAY": ":0"}, ["--no-browser"], False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 22"}, [], False),
        ({}, [], False),
    ],
)
def test_the_page_opens_where_the_person_is(
    environment: dict[str, str],
    options: list[str],
    opens: bool,
    tmp_path: Path,
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stderr)
    run = Inside(tmp_path, monkeypatch)("login", "kimi-code", *there(sim), *options)
    assert run.code == 0, run
    assert len(opened) == opens
    assert all(page.startswith(f"{sim.url}/simulate/approve?user_code=") for page in opened)


def test_one_window_opens_however_many_codes_expire(
    tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stderr)
    sim.provider.logins.behave(LoginBehavior(approve_after=0, interval=1, faults=["expired"] * 2))
    run = Inside(tmp_path, monkeypatch)("login", "kimi-code", *there(sim))
    assert run.code == 0 and run.err.count("approve the code") == 3
    assert len(opened) == 1


def test_in_a_script_nothing_opens(tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert Inside(tmp_path, monkeypatch)("login", "kimi-code", *there(sim)).code == 0
    assert opened == []
