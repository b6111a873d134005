"""`modelbay serve`: its start, its end and its workers, as a process of its own."""

import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from errno import EACCES, EADDRNOTAVAIL, EPERM
from itertools import islice
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from modelbay.cli.listening import cannot_listen
from modelbay.config.load import load
from modelbay.errors import ConfigError
from modelbay.gateway import limits, workers
from modelbay.gateway.workers import has_failed
from modelbay.simulator import Simulator
from tests.cli.command import KEY, Command
from tests.cli.inside import Inside

LONG: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": "word " * 60}], "max_tokens": 1000}
"""A request whose answer takes some seconds."""


def configure(modelbay: Command, url: str, more: str = "") -> None:
    modelbay.configure(
        f'[providers.p]\ntype = "anthropic"\nbase_url = "{url}"\napi_key = "{KEY}"\n'
        f'[models.m]\nprovider = "p"\nmodel = "sim-1"\n{more}'
    )


@pytest.fixture
def home(modelbay: Command) -> Command:
    configure(modelbay, modelbay.simulator.url)
    return modelbay


@pytest.fixture
def slow(modelbay: Command) -> Iterator[Command]:
    with Simulator(pace=0.03) as simulator:
        configure(modelbay, simulator.url, "[gateway]\nconcurrent = 2\n")
        yield modelbay


def started(modelbay: Command, *options: str) -> tuple["Popen[str]", str]:
    running = modelbay.start("serve", "--port", "0", *options)
    assert running.stdout is not None
    return running, running.stdout.readline().strip()


def client(modelbay: Command, name: str) -> str:
    return modelbay("client", "add", name).out.split()[-1]


def ask(url: str, key: str, **body: Any) -> Any:
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return urlopen(Request(f"{url}/v1/chat/completions", json.dumps(whole).encode(), headers), timeout=60)


def ended(running: "Popen[str]", number: int) -> tuple[int, str]:
    running.send_signal(number)
    _, err = running.communicate(timeout=100)
    return running.returncode, err


def test_a_client_with_a_new_key_gets_answers(home: Command) -> None:
    running, url = started(home)
    key = client(home, "app")
    with ask(url, key) as response:
        assert json.load(response)["choices"][0]["message"]["content"].startswith("You asked: Hi")
    code, err = ended(running, signal.SIGINT)
    assert code == 130
    assert "client=app" in err
    assert key not in err


def test_the_first_start_creates_the_client_local(home: Command) -> None:
    running, _ = started(home)
    ended(running, signal.SIGTERM)
    assert "local" in home("client", "list").out


def test_the_log_can_be_json(home: Command) -> None:
    running, url = started(home, "--log-format", "json")
    with ask(url, client(home, "app")):
        pass
    _, err = ended(running, signal.SIGTERM)
    rows = [json.loads(line) for line in err.splitlines() if line]
    asked = next(row for row in rows if row.get("path") == "/v1/chat/completions")
    assert (asked["client"], asked["status"], asked["model"], asked["provider"]) == ("app", 200, "m", "p")


def test_verbose_shows_the_requests_to_providers_with_the_id_of_the_client_s(home: Command) -> None:
    running, url = started(home, "--verbose")
    key = client(home, "app")
    with ask(url, key) as response:
        id = response.headers["x-modelbay-request-id"]
    _, err = ended(running, signal.SIGTERM)
    assert f"DEBUG request_id={id} → POST " in err
    assert f"DEBUG request_id={id} ← 200 after " in err
    assert f"INFO request_id={id} client=app " in err
    assert f"request_id={id} request_id" not in err
    assert err.index("→ POST") < err.index("← 200") < err.index("client=app"), "in order"
    assert key not in err


def test_verbose_applies_to_a_json_log_and_to_workers(home: Command) -> None:
    running, url = started(home, "--verbose", "--log-format", "json", "--workers", "2")
    with ask(url, client(home, "app")) as response:
        id = response.headers["x-modelbay-request-id"]
    _, err = ended(running, signal.SIGTERM)
    rows = [json.loads(line) for line in err.splitlines() if line]
    sent = [row for row in rows if row.get("message", "").startswith("→ POST")]
    assert [(row["request_id"], row["level"]) for row in sent] == [(id, "debug")]


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])


@SIGNALS
def test_it_leaves_no_record_for_launches_behind(home: Command, number: int, code: int) -> None:
    running, url = started(home)
    with urlopen(f"{url}/health", timeout=60) as response:  # answered when the server runs
        assert response.status == 200
    records = home.home / "launches"
    assert list(records.glob("*.gateway"))
    assert ended(running, number)[0] == code
    assert not list(records.glob("*.gateway"))


@SIGNALS
def test_a_signal_before_it_serves_ends_it(home: Command, number: int, code: int) -> None:
    running, _ = started(home)
    records = home.home / "launches"
    while not (records.is_dir() and any(records.iterdir())):
        assert running.poll() is None
    assert ended(running, number)[0] == code


def test_it_says_how_to_connect_a_provider_if_there_is_none(home: Command) -> None:
    home.configure("")
    running, _ = started(home)
    assert running.stderr is not None
    lines = [running.stderr.readline() for _ in range(2)]
    ended(running, signal.SIGTERM)
    assert lines == ["\n", "0 models. Connect a provider first: `modelbay provider add`. Base URLs:\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on open files")
def test_it_raises_the_limit_on_open_files_to_what_the_system_allows(home: Command) -> None:
    import resource

    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, usual[1]))
    try:
        running, _ = started(home)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    limit = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)[0] if sys.platform == "linux" else workers.MOST_FILES
    assert limit == (workers.MOST_FILES if usual[1] == resource.RLIM_INFINITY else min(usual[1], workers.MOST_FILES))
    assert ended(running, signal.SIGINT)[0] == 130


def test_a_port_that_is_taken_is_an_error(home: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = home("serve", "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert (
        "hint: stop the program that uses this port, which may be the gateway itself, or pass another one with --port N"
        in err
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_waits_for_requests_in_progress(slow: Command, workers: str) -> None:
    running, url = started(slow, "--workers", workers)
    key = client(slow, "app")
    response = ask(url, key, **LONG)
    first = response.readline()
    running.send_signal(signal.SIGTERM)
    rest = response.read()
    assert first.startswith(b"data: ")
    assert rest.endswith(b"data: [DONE]\n\n")
    running.communicate(timeout=100)
    assert running.returncode in (0, -signal.SIGTERM)
    with pytest.raises(OSError, match="refused"):
        ask(url, key)


def test_the_gateway_answers_and_ends_while_its_log_is_not_read(home: Command) -> None:
    running, url = started(home, "--log-format", "json")
    key = client(home, "app")
    for _ in range(600):  # lines of 200 bytes, and a pipe holds 64 KiB
        with ask(url, key) as response:
            assert response.status == 200
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) in (0, -signal.SIGTERM)
    running.communicate()


def test_workers_share_keys_and_limits(slow: Command) -> None:
    running, url = started(slow, "--workers", "2")
    key = client(slow, "app")
    streams = [ask(url, key, **LONG) for _ in range(2)]
    for stream in streams:
        stream.readline()
    refused = 0
    for _ in range(8):  # the system decides which worker accepts a connection
        with pytest.raises(HTTPError) as error:
            ask(url, key)
        refused += error.value.code == 429
        error.value.close()
    assert refused == 8
    for stream in streams:
        stream.close()
    _, err = ended(running, signal.SIGTERM)
    assert "Traceback" not in err


def worker_of(pid: int) -> int:
    """The process ID of a worker, from Linux's list of processes."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            line = (status.parent / "cmdline").read_bytes()
            if f"PPid:\t{pid}\n" in status.read_text() and b"spawn_main" in line:
                return int(status.parent.name)
    raise AssertionError("there is no worker")


def test_workers_without_a_temporary_folder_are_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # as in a container whose files are read-only
    options = workers.Options("127.0.0.1", None, workers=2)
    gateway = workers.gateway_of(options, load())
    with (
        socket.socket() as listener,
        pytest.raises(ConfigError, match="folder for the workers cannot be created") as caught,
    ):
        workers.run(options, listener, gateway)
    assert caught.value.hint == "set TMPDIR to a folder that you can write to, or omit --workers"


def test_several_workers_are_refused_where_processes_cannot_count_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CAN_SHARE", False)
    bay = Inside(tmp_path, monkeypatch)
    for options in (["--port", "0"], ["--install"]):
        run = bay("serve", "--workers", "2", *options)
        assert run.code != 0
        assert "--workers above 1 is not supported on Windows" in run.err
        assert "hint: omit --workers" in run.err


@pytest.mark.parametrize(
    ("codes", "failed"),
    [((0, 0), False), ((-signal.SIGTERM, 0), False), ((-signal.SIGTERM, 1), True), ((0, None), True)],
)
def test_each_worker_s_exit_code_counts(codes: tuple[int | None, ...], failed: bool) -> None:
    assert has_failed(codes) is failed


def test_workers_end_with_their_parent(home: Command) -> None:
    running, url = started(home, "--workers", "2")
    with ask(url, client(home, "app")):
        pass
    running.kill()
    running.communicate(timeout=100)  # until the workers have closed the output that they share
    with pytest.raises(OSError, match="refused"):
        ask(url, "sk-any")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's list of processes")
def test_a_worker_that_cannot_read_the_configuration_does_not_end_the_other_one(home: Command) -> None:
    running, url = started(home, "--workers", "2")
    key = client(home, "app")
    with ask(url, key):
        pass
    with (home.home / "config.toml").open("a") as file:
        file.write("\n[[[\n")
    assert running.stderr is not None
    lines = iter(running.stderr.readline, "")
    first = list(islice((line for line in lines if "stays in use" in line or "started again" in line), 2))
    if not any("started again" in line for line in first):  # otherwise one could not start anyway
        os.kill(worker_of(running.pid), signal.SIGKILL)
    again = list(islice((line for line in lines if "started again" in line), 2))
    assert len(again) == 2, "the gateway ended"  # after the second one, a start has failed
    with ask(url, key):
        pass
    running.terminate()
    running.communicate(timeout=100)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's list of processes")
def test_a_killed_worker_is_started_again(home: Command) -> None:
    running, url = started(home, "--workers", "2")
    key = client(home, "app")
    with ask(url, key):
        pass
    os.kill(worker_of(running.pid), signal.SIGKILL)
    assert running.stderr is not None
    while "started again" not in (line := running.stderr.readline()):
        assert line, "the gateway ended"
    for _ in range(6):
        with ask(url, key):
            pass
    ended(running, signal.SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no SIGHUP")
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_reload_during_the_start_does_not_end_the_gateway(home: Command, options: tuple[str, ...]) -> None:
    running, url = started(home, *options)
    running.send_signal(signal.SIGHUP)
    with ask(url, client(home, "app")):
        pass
    _, err = ended(running, signal.SIGTERM)
    assert "started again" not in err


def test_an_address_of_another_machine_and_a_reserved_port_have_their_own_hints() -> None:
    hints = [cannot_listen("h", 80, OSError(code, "no"), "the gateway").hint for code in (EACCES, EADDRNOTAVAIL, EPERM)]
    assert [bool(hint) for hint in hints] == [True, True, False]
    assert ("--port" in str(hints[0]), "--host" in str(hints[1])) == (True, True)
    assert "--host" in str(cannot_listen("no.such.host", 80, socket.gaierror(-2, "unknown"), "the gateway").hint)
