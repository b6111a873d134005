"""The app in a real terminal (tmux), from the first start to the exit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.conversation import user
from modelbay.simulator import Simulator
from modelbay.stored_chats.store import Store
from tests import bundled_list
from tests.cli.command import KEY, MODELBAY
from tests.servers.site import Site, site

SECONDS = 60

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no tmux"),
]


class Terminal:
    """A tmux server of its own, with one window."""

    def __init__(self, home: Path, size: tuple[int, int] = (80, 24), environment: dict[str, str] | None = None) -> None:
        self._socket = str(home / "tmux")
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "MODELBAY_HOME": str(home), "LANG": "C.UTF-8",
            "TERM": "screen-256color", **(environment or {}),
        }  # fmt: skip
        bundled_list.store(home)
        (home / "tmux.conf").write_text("set -g default-terminal screen-256color\n")
        shell = f"'{MODELBAY}'; echo left with $?; cat"
        width, height = map(str, size)
        self._run("-f", str(home / "tmux.conf"), "new-session", "-d", "-c", str(home), "-x", width, "-y", height, shell)

    def _run(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, encoding="utf-8", check=True, timeout=SECONDS
        ).stdout

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    @property
    def coloured(self) -> str:
        """The screen with its colours."""
        return self._run("capture-pane", "-p", "-e")

    def types(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def pastes(self, text: str) -> None:
        """Pastes with brackets around it, as terminals do."""
        self._run("set-buffer", "--", text)
        self._run("paste-buffer", "-p")

    @property
    def apps(self) -> list[Path]:
        """The folder of the app's process in /proc; empty if the app has ended."""
        pane = self._run("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{pane}/task/{pane}/children").read_text().split()
        found = [Path("/proc", child) for child in children]
        return [app for app in found if b"modelbay" in (app / "cmdline").read_bytes()]

    def signals(self, *names: str) -> None:
        """Send signals to the app."""
        [app] = self.apps
        for name in names:
            os.kill(int(app.name), signal.Signals[name])

    def presses(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def sees(self, *words: str) -> str:
        deadline = time.monotonic() + SECONDS
        while not all(word in (screen := self.screen) for word in words):
            assert time.monotonic() < deadline, f"{words} never came; the screen is\n{screen}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        """Close the terminal, and wait for the end of an app that is still open."""
        apps = self.apps
        self._run("kill-server")
        deadline = time.monotonic() + SECONDS
        while any(app.exists() for app in apps):
            assert time.monotonic() < deadline, f"the app in {self._socket} does not end with its terminal"
            time.sleep(0.05)


@pytest.fixture
def provider() -> Iterator[Site]:
    """A provider with a manifest, whose answers take their time."""
    with Simulator(key=KEY, pace=0.02) as simulator, site(simulator) as mine:
        mine.pages["/v1/models?provider=true"] = {
            "name": "Sample", "website": "https://sample.example", "baseUrl": f"{mine.url}/v1",
            "models_data_source": "endpoint",
        }  # fmt: skip
        models = {id: {"id": id, "name": id.upper(), "reasoning": True} for id in ("sim-thinker", "sim-text")}
        mine.pages["/v1/models?extended=true"] = {"models": models}
        mine.calls["/v1/chat/completions"] = "/v1/chat/completions"
        yield mine


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_app_refreshes_sources_that_are_due(tmp_path: Path, provider: Site, switch: str):
    source = f'source = {{ kind = "manifest", url = "{provider.url}/v1/models?provider=true" }}'
    entry = f'[providers.sample]\ntype = "openai"\nbase_url = "{provider.url}/v1"\napi_key = "{KEY}"\n{source}\n'
    (tmp_path / "config.toml").write_text(f'default_model = "m"\n{entry}[models.m]\nprovider = "sample"\nmodel = "m"\n')
    terminal = Terminal(tmp_path, environment={"MODELBAY_REFRESH": switch})
    try:
        terminal.sees("Ask something")
        if switch == "on":
            provider.waits_for("GET /v1/models?extended=true")
            terminal.sees("Reloaded config.toml")
            terminal.types("/model")
            terminal.presses("Enter")
            terminal.sees("sample/sim-thinker")
        terminal.presses("Escape", "C-c", "C-c")
        terminal.sees("left with 0")
    finally:
        terminal.close()
    assert bool(provider.asked) == (switch == "on")


@pytest.mark.parametrize("colour", ["in colour", "without colour"])
def test_from_nothing_to_an_answer_and_out_again(tmp_path: Path, provider: Site, colour: str):
    terminal = Terminal(tmp_path, environment={"NO_COLOR": "1"} if colour == "without colour" else {})
    try:
        terminal.sees("Welcome to modelbay")
        terminal.presses("a")
        terminal.sees("Provider manifest")
        terminal.presses("Down", "Down", "Down", "Enter")
        terminal.sees("Add by manifest")
        terminal.types(f"{provider.url}/v1/models?provider=true")
        terminal.presses("Enter")
        terminal.types(KEY)
        terminal.presses("Enter")
        terminal.sees("Add Sample", "Enter save")
        terminal.presses("Enter")
        terminal.sees("Select a model", "sample/sim-thinker")
        terminal.types("text")
        terminal.sees("SIM-TEXT")
        terminal.presses("Enter")
        terminal.sees("Default model set to sample/sim-text")
        terminal.types("Hello there")
        terminal.presses("Enter")
        terminal.sees("You asked: Hello there", " out")
        terminal.types("write 900 words")
        terminal.presses("Enter")
        terminal.sees("the lazy dog", "Esc interrupts")
        terminal.presses("Escape")
        terminal.sees("Interrupted")
        coloured = re.findall(r"\x1b\[[0-9;]*\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])\b[0-9;]*m", terminal.coloured)
        assert bool(coloured) == (colour == "in colour"), coloured
        terminal.presses("C-c", "C-c")
        terminal.sees("left with 0")
    finally:
        terminal.close()


CONFIG = """\
default_model = "sim"

[providers.sim]
type = "openai"
base_url = "{url}/v1"
api_key = "{key}"

[models.sim]
provider = "sim"
model = "sim-text"
"""


EDITOR = """\
trap 'echo interrupted' INT
echo the editor has the terminal
until read -r line; do echo again; done
echo "$line" >> "$2"
printf '\\033[2J\\033[H'
[ "$line" != fail ]
"""
"""It leaves an empty screen, so that nothing of it is taken for a part of the next one."""


@pytest.fixture
def size() -> tuple[int, int]:
    return 80, 24


@pytest.fixture
def talking(tmp_path: Path, size: tuple[int, int]) -> Iterator[Terminal]:
    """The app in a terminal, with a model that answers slowly and an editor that asks for a line."""
    (tmp_path / "editor.sh").write_text(EDITOR)
    with Simulator(key=KEY, pace=0.02) as simulator:
        (tmp_path / "config.toml").write_text(CONFIG.format(url=simulator.url, key=KEY))
        (tmp_path / "temporary").mkdir()
        environment = {"EDITOR": f"sh '{tmp_path}/editor.sh' --wait", "TMPDIR": str(tmp_path / "temporary")}
        terminal = Terminal(tmp_path, size, environment)
        yield terminal
        terminal.close()


in_every_size = pytest.mark.parametrize("size", [(80, 24), (40, 12)], ids=["80x24", "40x12"])


def test_pasting_typing_early_and_attaching(talking: Terminal, tmp_path: Path):
    talking.types("typed early")
    talking.sees("› typed early", "sim", "/help")
    talking.presses("C-u")
    talking.sees("› Ask something")
    talking.pastes("one line\nand another")
    screen = talking.sees("› one line", "and another")
    assert screen.count("one line") == screen.count("and another") == 1
    talking.presses("Enter")
    talking.sees("You asked: one line and another")
    notes = tmp_path / "my notes.txt"
    notes.write_text("The answer is 42.")
    talking.pastes(f"{str(notes).replace(' ', chr(92) + ' ')} ")
    talking.sees("⊕ my notes.txt")
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().replace("[models.sim]", "[models.other]", 1)
        .replace('default_model = "sim"', 'default_model = "other"'))  # fmt: skip
    talking.sees("Reloaded config.toml", "other")
    talking.types("What is in it?")
    talking.presses("Enter")
    talking.sees("The answer is 42.")


def test_a_paste_with_escape_sequences_does_not_send_itself(talking: Terminal):
    talking.sees("/help", "sim")
    talking.pastes("\x1b[31mred\x1b[0m\nrm -rf /")
    talking.sees("› red", "rm -rf /", "/help")
    talking.presses("Enter")
    talking.sees("You asked: red rm -rf /")


@in_every_size
def test_sixty_pasted_lines_are_one_mark_and_arrive_whole(talking: Terminal, tmp_path: Path):
    talking.sees("› Ask something", "sim")
    text = "\n".join(f"\x1b[31mline {n}\x1b[0m 漢字" for n in range(1, 61))
    talking.types("Read: ")
    talking.pastes(text)
    screen = talking.sees("› Read: [Pasted 60 lines]", "Ctrl-O")
    assert "漢字" not in screen
    talking.presses("C-o")
    talking.sees("line 60 漢字")
    talking.presses("C-_")
    talking.sees("› Read: [Pasted 60 lines]")
    talking.presses("BSpace")
    talking.sees("› Read:\n")
    talking.presses("C-_", "Enter")
    talking.sees(" in · ")
    store = Store(tmp_path / "conversations.sqlite")
    [stored] = store.list()
    question = store.load(stored.id).turns[0].parts[0].text  # type: ignore[union-attr]
    assert question == "Read: " + "\n".join(f"line {n} 漢字" for n in range(1, 61))


@in_every_size
def test_an_editor_has_the_terminal_until_it_ends(talking: Terminal, tmp_path: Path):
    talking.sees("› Ask something", "sim")
    talking.types("draft")
    talking.sees("› draft")
    for line, seen in (("fail", "exited with code 1"), ("edited 漢字", "  edited 漢字")):
        talking.presses("C-g")
        screen = talking.sees("the editor has the terminal")
        assert "› draft" not in screen
        talking.presses("C-c")
        talking.sees("interrupted")
        talking.types(line)
        talking.sees(line)
        talking.presses("Enter")
        talking.sees("› draft", seen, "/help")
        assert "the editor has" not in talking.screen
    talking.presses("Enter")
    talking.sees("You asked: draft")
    assert not list((tmp_path / "temporary").iterdir())


@in_every_size
def test_queueing_searching_and_completing(talking: Terminal):
    talking.sees("› Ask something", "sim")
    talking.types("write 300 words")
    talking.presses("Enter")
    talking.sees("quick brown", "Esc interrupts", "› Enter queues a message")
    talking.types("Second")
    talking.presses("Enter")
    talking.sees("1 queued")
    talking.presses("Escape")
    talking.sees("1 not sent", "› Ask something")
    talking.presses("Up")
    talking.sees("› Second")
    talking.presses("C-r")
    talking.sees("Search earlier messages")
    talking.types("300")
    talking.sees("❯ write 300 words")
    talking.presses("Enter")
    talking.sees("› write 300 words")
    talking.presses("C-_")
    talking.sees("› Second")
    talking.types(" @edi")
    talking.sees("❯ editor.sh")
    talking.presses("Tab")
    talking.sees("› Second @editor.sh")


def test_suspending_and_going_on(tmp_path: Path, talking: Terminal):
    talking.sees("/help", "sim")
    talking.presses("C-z")
    deadline = time.monotonic() + SECONDS
    [app] = talking.apps
    while " T " not in (stat := (app / "stat").read_text()):
        assert time.monotonic() < deadline, stat
        time.sleep(0.05)
    talking.signals("SIGCONT")
    talking.types("still here")
    talking.sees("› still here")


def test_a_signal_to_continue_starts_the_terminal_once(talking: Terminal):
    """The kernel sends one with SIGHUP, and a shell after `kill -STOP`."""
    talking.sees("› Ask something", "sim")
    [app] = talking.apps
    for n in range(1, 4):
        before = threads = os.listdir(app / "task")
        talking.signals("SIGSTOP", "SIGCONT")
        deadline = time.monotonic() + SECONDS
        while threads == before or len(threads) != len(before):  # the thread that reads the terminal is another one
            assert time.monotonic() < deadline, threads
            time.sleep(0.05)
            threads = os.listdir(app / "task")
        talking.types(str(n))
        talking.sees("› " + "123"[:n])
    talking.presses("C-c", "C-c")
    talking.sees("left with 0")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_app_and_its_editor(talking: Terminal, name: str):
    talking.sees("› Ask something", "sim")
    talking.presses("C-g")
    talking.sees("the editor has the terminal")
    talking.signals(name)
    talking.sees(f"left with {128 + signal.Signals[name]}")
    assert not talking.apps
    talking.types("echoed")
    talking.sees("echoed")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGQUIT", 131)])
def test_a_signal_restores_the_terminal_and_loses_nothing(talking: Terminal, tmp_path: Path, name: str, code: int):
    talking.sees("/help", "sim")
    talking.types("write 900 words")
    talking.presses("Enter")
    talking.sees("the lazy dog")
    talking.signals(name)
    talking.sees(f"left with {code}")
    talking.types("echoed")
    talking.sees("echoed")
    store = Store(tmp_path / "conversations.sqlite")
    [stored] = store.list()
    assert (stored.name, stored.turns) == ("write 900 words", 2)
    assert store.load(stored.id).endings == {1: "interrupted"}


@pytest.mark.parametrize("leave", ["SIGTERM", "SIGHUP", "/quit"])
def test_a_question_without_an_answer_stays_stored_when_the_app_ends(talking: Terminal, tmp_path: Path, leave: str):
    talking.sees("/help", "sim")
    talking.types("/model sim/sim-1!slow-headers")
    talking.presses("Enter")
    talking.sees("sim-1!slow-headers")
    talking.types("Why is the sky blue?")
    talking.presses("Enter")
    talking.sees("Esc interrupts")
    if leave.startswith("/"):
        talking.types(leave)
        talking.presses("Enter")
    else:
        talking.signals(leave)
    talking.sees("left with")
    store = Store(tmp_path / "conversations.sqlite")
    [stored] = store.list()
    assert store.load(stored.id).question == user("Why is the sky blue?")


def test_killing_the_app_loses_two_seconds_at_most(talking: Terminal, tmp_path: Path):
    talking.sees("/help", "sim")
    talking.types("write 900 words")
    talking.presses("Enter")
    store = Store(tmp_path / "conversations.sqlite")
    deadline = time.monotonic() + SECONDS
    while not (store.list() and len(store.load(store.list()[0].id).turns) == 2):
        assert time.monotonic() < deadline, talking.screen
        time.sleep(0.1)
    talking.signals("SIGKILL")
    talking.sees("left with 137")
    turns = store.load(store.list()[0].id).turns
    assert [turn.role for turn in turns] == ["user", "assistant"]


def test_a_signal_ends_the_app_when_its_terminal_takes_no_output(tmp_path: Path):
    store = Store(tmp_path / "conversations.sqlite")
    with Simulator(key=KEY, pace=0.02) as simulator:
        (tmp_path / "config.toml").write_text(CONFIG.format(url=simulator.url, key=KEY))
        ours, its = os.openpty()
        termios.tcsetwinsize(its, (100, 300))
        environment = {"PATH": os.environ["PATH"], "MODELBAY_HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm"}
        app = subprocess.Popen(
            [str(MODELBAY)], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
        )
        try:
            os.write(ours, b"write 900 words")
            deadline = time.monotonic() + SECONDS
            while store.new or not store.list():  # its output is not read
                assert time.monotonic() < deadline
                os.write(ours, b"\r")
                time.sleep(0.5)
            app.terminate()
            assert app.wait(SECONDS) == 143
        finally:
            app.kill()
            app.wait()
            os.close(ours)
            os.close(its)


def test_the_app_ends_when_its_terminal_is_gone(tmp_path: Path):
    """No SIGHUP comes: the terminal is not that of the app's session."""
    (tmp_path / "config.toml").write_text("")
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 80))
    environment = {"PATH": os.environ["PATH"], "MODELBAY_HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm"}
    app = subprocess.Popen([str(MODELBAY)], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True)
    os.close(its)
    try:
        assert os.read(ours, 1)
        os.close(ours)
        assert app.wait(SECONDS) == 129
    finally:
        app.kill()
        app.wait()


def test_enter_directly_after_a_paste_sends_it(talking: Terminal):
    talking.sees("/help", "sim")
    talking._run("set-buffer", "Hi there")
    talking._run("paste-buffer", "-p", ";", "send-keys", "Enter")
    talking.sees("You asked: Hi there")


def test_input_that_is_not_utf8_does_not_end_the_app(talking: Terminal, tmp_path: Path):
    talking.sees("/help", "sim")
    (tmp_path / "pasted").write_bytes(b"caf\xe9 and more")
    talking._run("load-buffer", str(tmp_path / "pasted"))
    talking._run("paste-buffer", "-p")
    talking.sees("and more")
    talking.presses("Enter")
    talking.sees("You asked: caf")
