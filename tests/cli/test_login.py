"""`modelbay login` and `modelbay logout`, against the simulator's login server."""

import json
import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.authorisation import Manner
from tests.cli.command import Command

OWN = """\
# mine
[models.mine] # kept
provider = "managed:kimi-code"
model = "sim-1"
"""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        running.provider.logins.behave(Manner(approve_after=1, interval=1))
        yield running


@pytest.fixture
def command(tmp_path: Path, sim: Simulator) -> Command:
    return Command(tmp_path, sim)


def log_in(command: Command):
    url = command.simulator.url
    return command("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")


def config(command: Command):
    return tomllib.loads((command.home / "config.toml").read_text())


def test_a_login_writes_the_provider_and_its_models_and_ask_works(command: Command) -> None:
    run = log_in(command)
    assert run.code == 0, run
    assert "Open SIM/simulate/approve?user_code=" in run.err
    assert run.out.startswith("Logged in to managed:kimi-code\n7 models: kimi-code/sim-1")
    written = config(command)
    assert written["default_model"] == "kimi-code/sim-1"
    entry = written["providers"]["managed:kimi-code"]
    assert entry["type"] == "kimi" and entry["api_key"] == "" and entry["oauth"]["storage"] == "file"
    assert entry["oauth"]["key"].startswith("oauth/kimi-code-env-")
    for model in ("kimi-code/sim-thinker", "kimi-code/sim-vision"):  # the second is served over another protocol
        asked = command("ask", "-m", model, "hello")
        assert asked.code == 0 and asked.out, asked
    assert "/coding/v1/messages" in {entry.path for entry in command.simulator.journal}


def test_a_second_login_refreshes_the_models_and_keeps_what_is_the_user_s(command: Command) -> None:
    assert log_in(command).code == 0
    path = command.home / "config.toml"
    path.write_text(
        path.read_text() + OWN + '\n[models."kimi-code/gone"]\nprovider = "managed:kimi-code"\nmodel = "gone"\n'
    )
    again = log_in(command)
    assert again.code == 0 and "Already logged in" in again.out and "No longer offered: kimi-code/gone" in again.out
    assert "mine" in config(command)["models"] and "# kept" in path.read_text()
    assert [entry.path for entry in command.simulator.journal].count("/api/oauth/device_authorization") == 1


def test_a_denied_login_writes_nothing(command: Command, sim: Simulator) -> None:
    sim.provider.logins.behave(Manner(interval=1, faults=["denied"]))
    run = log_in(command)
    assert (run.code, run.out) == (1, "") and "denied" in run.err
    assert os.listdir(command.home) == []


def test_who_is_logged_in_and_logging_out(command: Command) -> None:
    assert command("login", "--status").err.startswith("Nobody is logged in anywhere")
    log_in(command)
    assert "managed:kimi-code  logged in  until 2" in command("login", "--status").out
    said = json.loads(command("login", "--status", "--json").out)["logins"]
    assert [(one["provider"], one["state"]) for one in said] == [("managed:kimi-code", "logged in")]
    out = command("logout")
    assert out.code == 0 and out.out.startswith(
        "Logged out of managed:kimi-code\nRemoved managed:kimi-code, kimi-code/"
    )
    assert config(command) == {}
    assert not list((command.home / "credentials").glob("*.json"))
    assert command("logout").err == "Nothing to log out of\n"


def test_a_provider_that_declares_its_own_flow(command: Command) -> None:
    command.configure(
        'default_model = "own/sim-1"\n[providers.own]\ntype = "openai"\nbase_url = "SIM/coding/v1"\n[providers.own.oauth]\n'
        'key = "own"\ndevice_url = "SIM/api/oauth/device_authorization"\ntoken_url = "SIM/api/oauth/token"\n'
        'client_id = "me"\n'
    )
    before = command("ask", "hello")
    assert before.code == 1 and "modelbay login own" in before.err
    assert command("login", "own").out == "Logged in to own\n"
    assert command("ask", "hello").code == 0
    assert command("logout", "own").out == "Logged out of own\n"
    assert "own" in config(command)["providers"], "the entry is the user's"


def test_ctrl_c_while_it_waits(command: Command, sim: Simulator) -> None:
    sim.provider.logins.behave(Manner(approve_after=None))
    url = sim.url
    process = command.start("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Open ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err


def test_where_nobody_can_log_in(command: Command) -> None:
    command.configure('[providers.plain]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "k"\n')
    for name in ("plain", "nowhere"):
        run = command("login", name)
        assert run.code == 1 and f'nobody can log in to "{name}"' in run.err
    assert command("login").code == 2


def test_nobody_logs_in_over_http(command: Command) -> None:
    run = command("login", "kimi-code", "--oauth-host", "http://auth.acme.test")
    assert run.code == 1 and "nobody logs in over http" in run.err


def test_vertex_without_credentials_says_the_command(command: Command) -> None:
    run = command("login", "vertex", NO_GCE_CHECK="true")
    assert run.code == 1 and "gcloud auth application-default login" in run.err
