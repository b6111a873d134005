"""A name lookup that never returns: Ctrl-C and the end of a command do not wait for it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from modelbay.cli.terminal import FAILED, INTERRUPTED
from tests.cli.command import KEY, Command
from tests.fault_config import LONG

BLOCKED = """\
import socket, sys, threading
import modelbay.threads
modelbay.threads.GRACE = 3600
def blocked(*_, flags=0, **__):
    if flags & socket.AI_NUMERICHOST:  # reads an address, and looks nothing up
        raise socket.gaierror(socket.EAI_NONAME, "not an address")
    print("looking up", file=sys.stderr, flush=True)
    threading.Event().wait()
socket.getaddrinfo = blocked
"""
CONFIG = f"""\
default_model = "far"

[providers.far]
type = "openai"
base_url = "https://api.far.example/v1"
api_key = "{KEY}"
timeout = {{ connect = CONNECT }}

[models.far]
provider = "far"
model = "far-1"
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGINT")


@contextmanager
def started(modelbay: Command, *arguments: str, connect: float) -> Iterator[Popen[str]]:
    """The command, with a resolver that never answers."""
    modelbay.configure(CONFIG.replace("CONNECT", str(connect)))
    (modelbay.home / "sitecustomize.py").write_text(BLOCKED)
    modelbay.environment |= {"PYTHONPATH": str(modelbay.home), "MODELBAY_REFRESH": "off"}
    with modelbay.start(*arguments) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(
    "command",
    [
        "ask Why?",
        "ask --no-stream Why?",
        "provider test far",
        "provider refresh far",
        "manifest check https://far.example/modelbay.json",
    ],
)
def test_ctrl_c_does_not_wait_for_a_lookup(modelbay: Command, command: str):
    with started(modelbay, *command.split(), connect=LONG) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "looking up\n"
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=LONG)
    assert running.returncode == INTERRUPTED


def test_the_end_of_a_command_does_not_wait_for_a_lookup(modelbay: Command):
    with started(modelbay, "ask", "Why?", connect=0.01) as running:
        _, err = running.communicate(timeout=LONG)
    assert running.returncode == FAILED
    assert "Timed Out" in err
