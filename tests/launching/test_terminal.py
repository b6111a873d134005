"""An agent in a real terminal (tmux), and the signals that reach it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cli.command import MODELBAY
from tests.launching.desk import LaunchDesk, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals and no tmux")


class Window:
    """A tmux server of its own with a shell in one window."""

    def __init__(self, desk: LaunchDesk) -> None:
        self._socket = str(desk.room / "tmux")
        self._environment = desk.environment | {"LANG": "C.UTF-8", "TERM": "screen-256color", "PS1": "$ "}
        config = desk.room / "tmux.conf"
        config.write_text("set -g default-terminal screen-256color\n")
        self._run("-f", str(config), "new-session", "-d", "-c", str(desk.room), "-x", "80", "-y", "24", "sh -i")

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=self._environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout

    def keys(self, *names: str) -> None:
        self._run("send-keys", *names)

    def types(self, text: str) -> None:
        self._run("send-keys", "-l", text)
        self._run("send-keys", "Enter")

    def resize(self, columns: int, lines: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def shows(self, text: str) -> None:
        """Wait until the screen shows a text."""
        until(lambda: text in self.screen())

    def close(self) -> None:
        subprocess.run(
            ["tmux", "-S", self._socket, "kill-server"], env=self._environment, check=False, capture_output=True
        )


@pytest.fixture
def window(desk: LaunchDesk) -> Iterator[Window]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened = Window(desk)
    yield opened
    opened.close()


LAUNCH = f"{MODELBAY} launch claude -m direct --"


def test_a_full_screen_agent_gets_keys_and_changes_of_the_size(window: Window) -> None:
    window.types(f"{LAUNCH} screen . ; echo left with $?")
    window.shows("size 80x24, keys ''")
    window.keys("a", "C-c", "Up")
    window.shows(r"keys 'a\x03\x1b[A'")
    window.resize(60, 20)
    window.shows("size 60x20")
    window.keys("q")
    window.shows("left with 0")


def test_an_agent_that_stops_gives_the_terminal_back_until_it_is_continued(window: Window) -> None:
    window.types(f"{LAUNCH} screen .")
    window.shows("keys ''")
    window.keys("b", "C-z")
    window.shows("Stopped")
    window.types("echo shell $((40 + 2))")
    window.shows("shell 42")
    window.types("fg; echo left with $?")
    window.shows("keys 'b'")
    window.keys("c")
    window.shows("keys 'bc'")
    window.keys("q")
    window.shows("left with 0")


def test_ctrl_c_reaches_the_agent_once_and_the_launcher_waits_for_it(desk: LaunchDesk, window: Window) -> None:
    window.types(f"{LAUNCH} catch {desk.file('caught')} exit 5; echo left with $?")
    until((desk.room / "caught.ready").exists)
    window.keys("C-c")
    window.shows("^C")
    [agent] = agents_of(desk)
    os.kill(agent, signal.SIGUSR2)
    window.shows("left with 5")
    assert (desk.room / "caught").read_text() == "SIGINT SIGUSR2"


def test_the_command_that_continues_a_session_is_shown_at_its_end(window: Window) -> None:
    window.types(f"{MODELBAY} launch claude -m direct --gateway")
    window.shows("to continue this session: modelbay launch claude --gateway -m direct -- --contin")
    window.types(f"clear; {MODELBAY} launch codex -- resume --last")
    window.shows("to continue this session: modelbay launch codex -- resume --last")


def test_no_command_to_continue_is_shown_after_a_single_task(window: Window) -> None:
    window.types(f"{LAUNCH} exit 3; echo left with $?")
    window.shows("left with 3")
    assert "to continue" not in window.screen()


def agents_of(desk: LaunchDesk) -> list[int]:
    """The process IDs of the running agents of a desk."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"fake_agent.py" in (words := _words(path)) and desk.file("").encode() in words
    ]


def _words(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def catching(desk: LaunchDesk) -> "Popen[str]":
    running = Popen(
        [MODELBAY, "launch", "claude", "-m", "direct", "--", "catch", desk.file("caught"), "exit", "5"],
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,  # not in the foreground of the developer's terminal, whose Ctrl-C reaches the agent directly
    )
    until((desk.room / "caught.ready").exists)
    return running


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1"])
def test_a_signal_to_the_launcher_is_sent_on_to_the_agent(desk: LaunchDesk, name: str) -> None:
    running = catching(desk)
    running.send_signal(signal.Signals[name])
    running.send_signal(signal.SIGUSR2)
    running.communicate()
    assert running.returncode == 5
    assert sorted((desk.room / "caught").read_text().split()) == sorted([name, "SIGUSR2"])


def test_a_launcher_that_is_stopped_and_continued_by_another_program_goes_on(desk: LaunchDesk) -> None:
    running = catching(desk)
    [agent] = agents_of(desk)
    os.kill(agent, signal.SIGSTOP)
    until(lambda: state(running.pid) == "T")
    running.send_signal(signal.SIGCONT)
    until(lambda: state(agent) != "T")
    running.send_signal(signal.SIGUSR2)
    running.communicate()
    assert running.returncode == 5


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
