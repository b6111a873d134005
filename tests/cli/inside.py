"""The command line in the test's own process: the same way in as `main`, without the half second of a new process."""

import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from select import select
from subprocess import Popen
from typing import Self

import pytest
from click.testing import CliRunner

from modelbay.cli import modelbay as program
from modelbay.cli import terminal
from modelbay.cli.terminal import GlobalOptions
from tests.cli.command import MODELBAY, Run


class Inside:
    """`modelbay ...` with a home of its own."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str] | None = None) -> None:
        self.home = home
        self.names = names or {}
        """The name that replaces each URL in outputs."""
        monkeypatch.setenv("MODELBAY_HOME", str(home))
        for name in ("NO_COLOR", "MODELBAY_DEBUG"):
            monkeypatch.delenv(name, raising=False)

    @property
    def file(self) -> Path:
        return self.home / "config.toml"

    @property
    def text(self) -> str:
        return self.file.read_text() if self.file.exists() else ""

    def __call__(self, *arguments: str, stdin: str = "") -> Run:
        settings = GlobalOptions()

        def run() -> object:
            return program.main(list(arguments), prog_name="modelbay", obj=settings, standalone_mode=False)

        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = terminal.guarded(run, settings)
            printed, said = out.getvalue().decode(), err.getvalue().decode()
        return Run(code, self.same(printed), self.same(said))

    def done(self, *arguments: str, stdin: str = "") -> str:
        """The output of a command, which must succeed."""
        run = self(*arguments, stdin=stdin)
        assert run.code == 0, run.err
        return run.out

    def same(self, text: str) -> str:
        text = text.replace(str(self.home), "HOME")
        for address, name in self.names.items():
            text = text.replace(address, name)
        return re.sub(r"\breq_\w+", "req_1", text)


_IN_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Starts a program whose terminal is its controlling terminal, which shells require."""


class Person:
    """A user at a terminal: a process whose input and output are a pseudo-terminal."""

    def __init__(self, home: Path, *arguments: str, program: str = MODELBAY) -> None:
        self._ours, theirs = os.openpty()
        path = f"{Path(MODELBAY).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(home), "MODELBAY_HOME": str(home), "TERM": "dumb"}
        environment |= {"PYTHONUTF8": "1", "COLUMNS": "120"}
        command = [sys.executable, "-c", _IN_FOREGROUND, program, *arguments]
        self._process = Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.seen = ""
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        with suppress(OSError):
            os.close(self._ours)

    def sees(self, text: str, seconds: float = 120) -> Self:
        """Wait for a text that was not there before."""
        end = time.monotonic() + seconds
        while text not in self.seen[self._read :]:
            if not self._more(end - time.monotonic()):
                raise AssertionError(f"no {text!r} in what was shown:\n{self.seen[self._read :]}")
        self._read = self.seen.index(text, self._read) + len(text)
        return self

    def types(self, line: str) -> Self:
        return self.presses(f"{line}\n")

    def presses(self, keys: str) -> Self:
        os.write(self._ours, keys.encode())
        return self

    def gets(self, number: int) -> Self:
        """Send a signal to the program."""
        self._process.send_signal(number)
        return self

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        import termios

        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def ends(self) -> int:
        """Its exit code, once it is done."""
        while self._more():
            pass
        return self._process.wait(120)

    def _more(self, seconds: float = 120) -> bool:
        """Whether more was shown within a time."""
        if not select([self._ours], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False  # on Linux: the other side is closed
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
