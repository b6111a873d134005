"""The gateway of launches: shared, proved before it gets a key, and ended after the last agent, even if one of them is killed."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest

from modelbay.launching.held_file import HeldFile
from tests.launching.desk import LaunchDesk, gone, kill, until


def url_of(seen: dict[str, Any]) -> str:
    return str(seen["environment"]["ANTHROPIC_BASE_URL"])


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/livez", timeout=60) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def gateway_process(url: str) -> int:
    """The process ID of the gateway that a launcher started at a URL."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    inodes = {
        row.split()[9]
        for row in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if row.split()[1].endswith(port) and row.split()[3] == "0A"
    }
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if target.removeprefix("socket:[").removesuffix("]") in inodes:
            return int(path.parts[2])
    raise AssertionError("no gateway")


def kill_gateway(url: str) -> None:
    process = gateway_process(url)
    kill(process)
    until(lambda: gone(process))


def test_two_launches_share_one_gateway_that_ends_after_the_last_agent(desk: LaunchDesk) -> None:
    first, second = desk.agent("first"), desk.agent("second")
    url = url_of(desk.seen("first"))
    assert url_of(desk.seen("second")) == url
    assert len(desk.gateways()) == 1
    assert desk.ended("first", first) == 0
    third = desk.agent("third")
    assert url_of(desk.seen("third")) == url
    assert desk.ended("second", second) == 0
    assert answers(url)
    assert desk.ended("third", third) == 0
    until(lambda: not answers(url))


def test_the_gateway_stays_as_long_as_the_agent_of_a_killed_launcher_runs(desk: LaunchDesk) -> None:
    running = desk.agent("seen")
    seen = desk.seen("seen")
    running.kill()
    running.wait()
    other = desk.agent("other")
    assert url_of(desk.seen("other")) == url_of(seen)
    desk.ended("other", other)
    assert Path(seen["folder"]).exists()
    assert answers(url_of(seen))
    desk.ended("seen", running)
    until(lambda: not answers(url_of(seen)))


def test_a_killed_agent_ends_its_launch_and_the_gateway(desk: LaunchDesk) -> None:
    running = desk.agent("seen")
    seen = desk.seen("seen")
    kill(seen["pid"])
    running.communicate()
    assert running.returncode == 128 + signal.SIGKILL
    assert not Path(seen["folder"]).exists()
    until(lambda: not answers(url_of(seen)))


def test_everything_is_removed_after_launcher_and_agent_are_killed(desk: LaunchDesk) -> None:
    running = desk.agent("seen")
    seen = desk.seen("seen")
    running.kill()
    kill(seen["pid"])
    running.communicate()
    until(lambda: not answers(url_of(seen)))
    desk("launch", "claude", "-m", "direct", "--", "exit", "0")
    assert [path.name for path in desk.launches.iterdir()] == ["folder.lock"]


def test_a_gateway_ends_if_its_launcher_and_the_folder_of_launches_are_gone_when_it_starts(desk: LaunchDesk) -> None:
    assert not desk.launches.exists()
    started = desk.start("serve", "--port", "0", "--for-launches", "0123456789abcdef")
    started.communicate()
    assert started.returncode == -signal.SIGTERM


def test_a_killed_gateway_is_started_again_for_the_agent_that_uses_it(desk: LaunchDesk) -> None:
    words = ["show", desk.file("seen"), "wait", desk.file("go"), "ask", desk.file("answer"), "wait", desk.file("end")]
    running = desk.start("launch", "claude", "--", *words)
    url = url_of(desk.seen("seen"))
    kill_gateway(url)
    until(lambda: answers(url))
    Path(desk.file("go")).touch()
    until(Path(desk.file("answer")).exists)
    other = desk.agent("other")
    assert url_of(desk.seen("other")) == url
    desk.ended("other", other)
    Path(desk.file("end")).touch()
    _, said = running.communicate()
    assert running.returncode == 0
    [warning] = [line for line in said.splitlines() if line.startswith("warning: ")]
    ended = rf"warning: the gateway {url} ended at \d\d:\d\d:\d\d, while the agent used it, and was started again"
    assert re.fullmatch(ended, warning)
    until(lambda: not answers(url))


def test_one_of_several_launches_starts_a_killed_gateway_again(desk: LaunchDesk) -> None:
    first, second = desk.agent("first"), desk.agent("second")
    url = url_of(desk.seen("first"))
    assert url_of(desk.seen("second")) == url
    for _ in range(2):
        kill_gateway(url)
        until(lambda: answers(url))
    assert len(desk.gateways()) == 1
    for name, running in (("first", first), ("second", second)):
        assert desk.ended(name, running) == 0
    until(lambda: not answers(url))


def test_a_gateway_that_cannot_start_again_is_reported_after_the_agent(desk: LaunchDesk) -> None:
    running = desk.start("launch", "claude", "--", "show", desk.file("seen"), "wait", desk.file("end"))
    url = url_of(desk.seen("seen"))
    (desk.home / "config.toml").write_text("not TOML")
    kill_gateway(url)
    until(lambda: any("line 1" in log.read_text() for log in desk.launches.glob("*.log")))
    until(lambda: not answers(url))
    Path(desk.file("end")).touch()
    _, said = running.communicate()
    assert running.returncode == 0
    assert "while the agent used it; it could not be started again: the gateway did not start: " in said


def test_a_gateway_that_a_person_ended_is_not_started_again(desk: LaunchDesk) -> None:
    served = desk.start("serve", "--port", "0")
    assert served.stdout is not None
    url = served.stdout.readline().strip()
    until(desk.gateways)
    running = desk.start("launch", "claude", "--", "show", desk.file("seen"), "wait", desk.file("end"))
    assert url_of(desk.seen("seen")) == url
    served.send_signal(signal.SIGTERM)
    served.communicate()
    Path(desk.file("end")).touch()
    _, said = running.communicate()
    assert f"warning: the gateway {url} ended at " in said
    assert not answers(url)


def test_ctrl_c_of_the_terminal_does_not_reach_the_gateway(desk: LaunchDesk) -> None:
    running = desk.agent("seen")
    url = url_of(desk.seen("seen"))
    process = gateway_process(url)
    session = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) == process
    desk.ended("seen", running)


def test_a_gateway_that_a_person_started_is_used_and_stays(desk: LaunchDesk) -> None:
    served = desk.start("serve", "--port", "0")
    assert served.stdout is not None
    url = served.stdout.readline().strip()
    until(desk.gateways)
    running = desk.agent("seen")
    assert url_of(desk.seen("seen")) == url
    desk.ended("seen", running)
    desk("launch", "claude", "-m", "direct", "--", "exit", "0")
    assert answers(url)
    served.send_signal(signal.SIGTERM)
    served.communicate()
    desk("launch", "claude", "-m", "direct", "--", "exit", "0")
    assert not desk.gateways()


def test_the_gateway_reads_a_changed_configuration_before_a_launch_uses_it(desk: LaunchDesk) -> None:
    first = desk.agent("first")
    url = url_of(desk.seen("first"))
    with (desk.home / "config.toml").open("a") as file:
        file.write('\n[models.new]\nprovider = "sim"\nmodel = "sim-1"\n')
    run = desk("launch", "claude", "-m", "new", "--", "show", desk.file("second"), "ask", desk.file("answer"))
    assert run.code == 0, run.err
    assert url_of(desk.seen("second")) == url
    assert (desk.room / "answer").read_text().startswith("You asked: Hello")
    desk.ended("first", first)


@pytest.mark.parametrize("same", [True, False])
def test_a_gateway_with_other_values_of_the_variables_in_the_configuration_is_not_used(
    desk: LaunchDesk, same: bool
) -> None:
    text = (desk.home / "config.toml").read_text().replace('"sk-planted-0123456789"', '"{env:ACME_KEY}"')
    (desk.home / "config.toml").write_text(text)
    desk.environment["ACME_KEY"] = "sk-first-0123456789"
    first = desk.agent("first")
    url = url_of(desk.seen("first"))
    desk(
        "launch",
        "claude",
        "--",
        "show",
        desk.file("second"),
        ACME_KEY="sk-first-0123456789" if same else "sk-second-012345",
    )
    assert (url_of(desk.seen("second")) == url) is same
    desk.ended("first", first)


def test_references_that_one_command_allows_are_not_followed_for_another(desk: LaunchDesk) -> None:
    allowed = ("--allow-reference", "{env:ACME_KEY}=https://acme.example")
    before = desk.agent("before")
    desk.seen("before")
    first = desk.agent("first", *allowed)
    url = url_of(desk.seen("first"))
    assert url_of(desk.seen("before")) != url
    desk("launch", "claude", "--", "show", desk.file("second"))
    assert url_of(desk.seen("second")) == url_of(desk.seen("before"))
    desk.ended("before", before)
    desk.ended("first", first)
    until(lambda: not answers(url))


class Impostor(ThreadingHTTPServer):
    """A server at the address of a gateway. It answers with `body`, or asks a real gateway for the proof."""

    def __init__(self, body: bytes, real: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.real = body, real
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Impostor

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.path}\n{self.headers}")
        body = self.server.body
        if self.server.real:
            with urlopen(f"{self.server.real}{self.path}", timeout=60) as response:
                body = response.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def impostor(body: bytes, real: str) -> Iterator[Impostor]:
    with Impostor(body, real) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "body",
    [b'{"proof": "0000"}', b'{"proof": "\xc3\xa4"}', b'{"proof": null}', b"[]", b"no JSON", b"[" * 100_000, b"relay"],
    ids=["wrong", "not ASCII", "null", "list", "text", "deep", "relay"],
)
def test_a_server_that_is_not_the_gateway_never_gets_the_key(desk: LaunchDesk, body: bytes) -> None:
    running = desk.agent("first")
    real = url_of(desk.seen("first"))
    with impostor(body, real if body == b"relay" else "") as server:
        record = HeldFile(desk.launches / "0.gateway", json.dumps({"url": server.url, "shared": True}).encode())
        run = desk("launch", "claude", "--", "show", desk.file("second"))
        record.release()
        record.path.unlink()
    assert run.code == 0, run.err
    assert url_of(desk.seen("second")) == real
    key = (desk.home / "gateway" / "local-key").read_text().strip()
    assert len(server.seen) == 1
    assert server.seen[0].startswith("/proof?challenge=")
    assert key not in server.seen[0]
    desk.ended("first", running)


def test_the_error_of_a_gateway_that_does_not_start_is_shown(desk: LaunchDesk) -> None:
    text = (desk.home / "config.toml").read_text()
    (desk.home / "config.toml").write_text(text + '[network]\nproxy = "{env:NO_SUCH_PROXY}"\n')
    run = desk("launch", "claude")
    assert run.code == 1
    assert "the gateway did not start: " in run.err
    assert "NO_SUCH_PROXY" in run.err
    assert not desk.gateways()
    assert not list(desk.launches.glob("*.launch"))
