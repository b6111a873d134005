"""Standard streams that are closed, full, not readable, read by a program that ends, or not in UTF-8."""

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import MODELBAY, Command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
SUCCESS, FAILED, INTERRUPTED = 0, 1, 130
ASK = ["ask", "-m", "sim/sim-1", "Hi"]
PRINTING = [
    ["provider", "list", "--json"],
    ASK,
    ["docs", "faq"],
    ["completion", "bash"],
    ["--help"],
    ["provider", "add", "--help"],
    ["help", "ask"],
    ["--version"],
    ["version"],
    [],
]
SERVERS = {
    "the gateway": ["serve", "--port", "0"],
    "the simulator": ["simulate", "--port", "0"],
    "a manifest": ["manifest", "serve", "built", "--port", "0"],
}
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
BAD_OUTPUT = {
    "full": (">/dev/full", "No space left on device\n\nhint: free some space on the disk, then try again\n"),
    "closed": (">&-", "it is closed\n"),
}


def with_streams(
    modelbay: Command, redirection: str, *line: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command with other standard streams, as a shell starts it."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", MODELBAY, *line],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=modelbay.environment | environment,
        cwd=modelbay.home,
    )


@FULL
@pytest.mark.parametrize("output", BAD_OUTPUT)
@pytest.mark.parametrize("line", PRINTING, ids=" ".join)
def test_output_that_cannot_be_written_is_an_error_and_not_a_bug(modelbay: Command, line: list[str], output: str):
    redirection, why = BAD_OUTPUT[output]
    done = with_streams(modelbay, redirection, *line)
    assert done.returncode == FAILED
    assert done.stderr.endswith(f"error: cannot write to standard output: {why}")


@FULL
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_notes_that_cannot_be_written_do_not_fail_the_command(modelbay: Command, redirection: str):
    done = with_streams(modelbay, redirection, *ASK)
    assert (done.returncode, done.stdout.startswith("You asked: Hi.")) == (SUCCESS, True)


@FULL
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_runs_also_if_its_url_cannot_be_written(modelbay: Command, server: str, redirection: str):
    if server == "a manifest":
        modelbay("manifest", "build", "sim", "--website", "https://acme.example", "--output", "built")
    running = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", MODELBAY, *SERVERS[server]],
        stderr=subprocess.PIPE,
        text=True,
        env=modelbay.environment,
        cwd=modelbay.home,
    )
    assert running.stderr is not None
    assert any("Press Ctrl-C to stop" in line for line in running.stderr)
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == INTERRUPTED


@pytest.mark.parametrize(
    ("line", "code"),
    [(line, SUCCESS) for line in PRINTING]
    + [
        (["config", "check", "--config", "problems.toml"], FAILED),
        (["ask", "-m", "nope", "Hi", "--json"], FAILED),
        (["client", "add", "app"], SUCCESS),
    ],
)
def test_the_code_does_not_depend_on_whether_the_output_is_read(modelbay: Command, line: list[str], code: int):
    (modelbay.home / "problems.toml").write_text('[models.a]\nprovider = "missing"\nmodel = "m"\n')
    ours, gone = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [MODELBAY, *line],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=gone,
        stderr=subprocess.PIPE,
        text=True,
        env=modelbay.environment,
        cwd=modelbay.home,
    )
    os.close(gone)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert ("error:" in done.stderr) == (code == FAILED and "--json" in line)
    assert "app" not in modelbay("client", "list").out, "a key that was not printed"


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"], ids=["closed", "under nohup"])
@pytest.mark.parametrize("line", [ASK, ["chat", "--plain", "-m", "sim/sim-1"]], ids=" ".join)
def test_input_that_is_not_open_is_empty(modelbay: Command, line: list[str], redirection: str):
    done = with_streams(modelbay, redirection, *line)
    assert (done.returncode, "error" in done.stderr) == (SUCCESS, False)


@pytest.mark.parametrize(
    "line", [ASK, ["chat", "--plain"], ["key", "set", "sim", "--file"], ["provider", "add", "-"]], ids=" ".join
)
def test_input_that_cannot_be_read_is_an_error(modelbay: Command, line: list[str]):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours.close()  # resets the connection
    with theirs:
        done = subprocess.run(
            [MODELBAY, *line],
            check=False,
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            env=modelbay.environment,
            cwd=modelbay.home,
        )
    assert done.returncode == FAILED
    assert done.stderr.endswith("error: cannot read standard input: Connection reset by peer\n")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_the_locale_c_does_not_change_texts_in_utf8(modelbay: Command):
    def run(*line: str, stdin: str = "") -> tuple[int, str]:
        done = modelbay(*line, stdin=stdin, **ASCII)
        assert "is not UTF-8 text" not in done.err
        return done.code, done.out

    assert run("provider", "edit", "sim", "--name", "Übersee 模型") == (SUCCESS, "Changed name\n")
    assert "Übersee 模型" in run("provider", "show", "sim")[1]
    assert run("ask", "-m", "sim/sim-1", "Köln")[1].startswith("You asked: Köln.")
    assert run("ask", "-m", "sim/sim-1", stdin="Köln")[1].startswith("You asked: Köln.")
    assert "You asked: Köln." in run("chat", "--plain", "-m", "sim/sim-1", stdin="Köln\n")[1]


def test_a_file_that_is_printed_is_utf8_in_every_encoding(modelbay: Command):
    modelbay("model", "set", "chat", "display_name=模型 ü")
    done = modelbay("export", "kimi", "sim", PYTHONIOENCODING="latin-1")
    assert (done.code, "模型 ü" in done.out) == (SUCCESS, True)


def test_an_interrupted_answer_is_recorded(modelbay: Command):
    running = modelbay.start("ask", "-m", "sim/sim-1!stall", "--record", "capsule.jsonl", "Why?")
    assert running.stdout is not None and running.stdout.read(3) == "You"
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == INTERRUPTED
    assert "You" in modelbay("replay", "capsule.jsonl").out
