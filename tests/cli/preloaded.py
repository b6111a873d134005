"""Commands as processes of their own, without the time in which Python imports them: a process that has imported the command
line forks for each command. Run by `Preloaded`: `python -m tests.cli.preloaded NAME`.

A command gets its arguments, environment, folder and files, and ends as a program of its own does. Tests of the imports
themselves, of signals, terminals and other programs start the installed command.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

LONG = 60
KNOWN = {"PYTHONPATH", "PYTHONUTF8", "PYTHON_KEYRING_BACKEND"}
"""Variables that Python does not read only when it starts. The process that forks has PYTHONUTF8, too."""
ROOT = Path(__file__).parents[2]
LEFT_OUT = ("modelbay.__main__", "modelbay.tui", "modelbay.pytest_plugin", "modelbay.testing")
OTHERS = ("aiohttp", "aiohttp.connector", "rich.console", "rich.markup", "rich.table", "rich.text", "rich.progress")
"""Packages that the modules of modelbay import when they need them. keyring chooses its back end when it is imported."""


class Preloaded:
    """Starts commands."""

    def __init__(self) -> None:
        name = f"modelbay-{token_hex()}"
        self._address = f"\0{name}"  # not a file, which a forked child of the tests would remove when it ends
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.preloaded", name],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def run(
        self, arguments: list[str], environment: dict[str, str], folder: Path, text: str, together: bool
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`, with a text as the input."""
        asked = json.dumps({"arguments": arguments, "environment": environment, "folder": str(folder)}).encode()
        read, write = os.pipe()
        Thread(target=_write, args=(write, text.encode()), daemon=True).start()
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.settimeout(LONG)
            connection.connect(self._address)
            socket.send_fds(
                connection, [len(asked).to_bytes(4)], [read, out.fileno(), (out if together else err).fileno()]
            )
            os.close(read)
            connection.sendall(asked)
            code = self._ended(connection, arguments)
            printed = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
        return subprocess.CompletedProcess(arguments, code, *printed)

    def _ended(self, connection: socket.socket, arguments: list[str]) -> int:
        """The exit code; the process's number comes before it."""
        received = b""
        try:
            while received.count(b"\n") < 2:
                piece = connection.recv(100)
                assert piece, "the process that forks has ended"
                received += piece
        except TimeoutError:
            os.kill(int(received), signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, LONG) from None
        return int(received.split()[1])

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _write(pipe: int, text: bytes) -> None:
    with suppress(BrokenPipeError), open(pipe, "wb") as file:
        file.write(text)


@cache
def _preloaded() -> Preloaded:
    """The one of this process."""
    found = Preloaded()
    atexit.register(found.close)
    return found


def _is_read_at_start(environment: dict[str, str]) -> bool:
    """Whether Python itself does something else with these variables when it starts."""
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    customized = any(Path(folder, "sitecustomize.py").exists() for folder in folders if folder)
    return customized or not KNOWN.issuperset(name for name in environment if name.startswith("PYTHON"))


def run(
    arguments: list[str], environment: dict[str, str], folder: Path, text: str = "", *, together: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command, whose first argument is the program, with a text as its input. Its exit code is negative after a signal.
    `together`: its errors are in its output, in the order in which they came."""
    if hasattr(os, "pidfd_open") and not _is_read_at_start(environment):
        return _preloaded().run(arguments, environment, folder, text, together)
    return subprocess.run(
        arguments,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        cwd=folder,
        timeout=LONG,
        check=False,
    )


# The process that forks


def serve(address: str) -> dict[str, Any]:
    """Return in each forked process, with what it is to run; in the other one, the program ends."""
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as waiting:
        listening.bind(address)
        listening.listen(16)
        waiting.register(listening, selectors.EVENT_READ)
        waiting.register(0, selectors.EVENT_READ)  # closed when the tests end
        os.write(1, b"ready\n")
        running: dict[int, tuple[int, socket.socket]] = {}
        """The process and its connection, by the descriptor that becomes readable at its end."""
        while True:
            for key, _ in waiting.select():
                if key.fd == 0:
                    os._exit(0)
                if key.fd in running:
                    waiting.unregister(key.fd)
                    process, connection = running.pop(key.fd)
                    os.close(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                    with connection:
                        _tell(connection, code)
                    continue
                connection, _ = listening.accept()
                asked, files = _received(connection)
                process = os.fork()
                if not process:
                    for place, file in enumerate(files):
                        os.dup2(file, place)
                    for held in (*files, *running, connection.detach(), *(one.detach() for _, one in running.values())):
                        os.close(held)
                    return asked
                for file in files:
                    os.close(file)
                running[end := os.pidfd_open(process)] = (process, connection)
                waiting.register(end, selectors.EVENT_READ)
                _tell(connection, process)


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the test has ended
        connection.sendall(b"%d\n" % number)


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    size, text = int.from_bytes(head), b""
    while len(text) < size:
        text += connection.recv(size - len(text))
    asked: dict[str, Any] = json.loads(text)
    return asked, files


def load() -> None:
    import modelbay

    for found in pkgutil.walk_packages(modelbay.__path__, "modelbay."):
        if not found.name.startswith(LEFT_OUT):
            importlib.import_module(found.name)
    for name in OTHERS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no search for garbage writes to the memory that the processes share


if __name__ == "__main__":
    load()
    asked = serve(f"\0{sys.argv[1]}")
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = asked["arguments"]
    sys.path[:1] = asked["environment"].get("PYTHONPATH", "").split(os.pathsep)  # instead of the folder of the tests
    from modelbay.cli import main

    try:
        main()
    except SystemExit as end:
        # as Python ends, except that it does not free the memory object by object, which copies all of it
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr):
            file.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
