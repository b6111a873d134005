"""Runs an agent in the terminal of this process: signals, job control and the exit code are passed on.

The agent is in the process group of the launcher, so that the terminal sends Ctrl-C, Ctrl-Z and changes of its size to it directly.
The launcher waits: it ignores signals of the terminal, forwards those that are sent to it alone, and stops when the agent stops, so
that the shell notices.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

_FORWARDED = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_OF_TERMINAL = ("SIGINT", "SIGQUIT")
"""Signals of keys: the terminal sends them to the whole group."""
_IGNORED = ("SIGTSTP",)
"""The launcher stops only if the agent does."""


def run_agent(command: Sequence[str], environment: Mapping[str, str], held: int) -> int:
    """Run an agent until its end. `held`: a file that the agent holds too, where the system supports it.

    Returns its exit code, or 128 and the number of the signal that ended it.

    Raises:
        OSError: it cannot be started.
    """
    signals = _Signals()
    with signals.caught():
        inherited = () if sys.platform == "win32" else (held,)
        process = subprocess.Popen(command, env=dict(environment), pass_fds=inherited)
        signals.send_to(process)
        return _waited(process)


class _Signals:
    """The signals that reach the launcher."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle signals in the block. The agent inherits ignored signals, but not handlers."""
        before = {}
        for name in (*_FORWARDED, *_IGNORED):
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:  # for example by nohup
                continue
            before[number] = signal.signal(number, self._forward if name in _FORWARDED else _ignore)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def send_to(self, process: "subprocess.Popen[bytes]") -> None:
        """Send signals to the agent from now on, and those that came before it started."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif signal.Signals(number).name not in _OF_TERMINAL or not _in_foreground():
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. The agent does not inherit a handler, but would inherit an ignored signal."""


if sys.platform == "win32":

    def _in_foreground() -> bool:
        """Whether the keyboard of the console reaches the agent: always, as it shares the console."""
        return True

    def _waited(process: "subprocess.Popen[bytes]") -> int:
        return process.wait()

else:

    def _in_foreground() -> bool:
        """Whether the terminal sends the signals of its keys to the group of the agent."""
        with suppress(OSError):
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
            try:
                return os.tcgetpgrp(terminal) == os.getpgrp()
            finally:
                os.close(terminal)
        return False

    def _waited(process: "subprocess.Popen[bytes]") -> int:
        """Wait for the end of the agent. While it is stopped, the launcher is stopped too."""
        while True:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                os.kill(os.getpid(), signal.SIGSTOP)
                process.send_signal(signal.SIGCONT)  # the shell continues the group, another program only the launcher
                continue
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            process.returncode = code
            return code
