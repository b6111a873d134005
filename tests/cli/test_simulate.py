"""`modelbay simulate`: the URL on standard output when it is ready, and instructions on standard error."""

import signal
import tomllib
from subprocess import PIPE, Popen

import pytest

from modelbay.config.load import parse
from modelbay.simulator.config_entries import login_text
from modelbay.simulator.limitations import LIMITATIONS
from modelbay.simulator.login_server import SPECS
from tests.cli.command import MODELBAY, Command


def test_it_runs_until_ctrl_c_and_says_how_to_use_it(modelbay: Command):
    running = modelbay.start("simulate", "--port", "0", "--key", "k", "--delay", "0")
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    modelbay.configure(f'[providers.it]\ntype = "anthropic"\nbase_url = "{url}"\napi_key = "k"\n')
    assert modelbay("ask", "-m", "it/sim-1", "Hi").out.startswith("You asked: Hi.")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    shown = parse(err.partition("to config.toml:\n")[2], modelbay.home / "config.toml")
    assert (len(shown.providers), len(shown.models), shown.problems) == (4, 4, [])
    assert tomllib.loads(err.partition("to config.toml:\n")[2])["providers"]["sim-anthropic"]["base_url"] == url


def test_a_port_that_is_taken_is_an_error(modelbay: Command):
    port = str(modelbay.simulator.port)
    code, _, err = modelbay("simulate", "--port", port)
    assert code == 1
    assert err.replace(port, "PORT") == (
        "error: cannot listen on 127.0.0.1:PORT: Address already in use\n\n"
        "hint: stop the program that uses this port, which may be the simulator itself, or pass another one with --port N\n"
    )


@pytest.mark.parametrize(("faults", "word", "code"), [([], "approve", 0), (["slow-down"], "deny", 1)])
def test_a_login_that_waits_is_decided_on_the_terminal(modelbay: Command, faults: list[str], word: str, code: int):
    more = [part for fault in faults for part in ("--login", fault)]
    line = ["simulate", "--port", "0", "--delay", "0", "--login", "wait", "--login", "interval=1", *more]
    with Popen([MODELBAY, *line], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=modelbay.environment) as running:
        assert running.stdin and running.stdout and running.stderr
        running.stdout.readline()
        shown = ""
        while 'model = "sim-echo"' not in shown.partition("[models.sim-login]")[2]:
            shown += running.stderr.readline()
        modelbay.configure(shown.partition("to config.toml:\n")[2])
        login = modelbay.start("login", "sim-login")
        seen = ""
        while "Login requested with the code" not in seen:
            seen += running.stderr.readline()
        running.stdin.write(f"what?\n{word}\n")
        running.stdin.flush()
        _, err = login.communicate(timeout=60)
        assert login.returncode == code, err
        assert ("denied" in err) is (word == "deny")
        if code == 0:
            assert modelbay("ask", "-m", "sim-login", "Hi").out.startswith("You asked: Hi.")
        running.send_signal(signal.SIGINT)
        assert ("approved" if word == "approve" else "denied") in running.stderr.read()
        assert running.wait(120) == 130


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [("deny", 1, "denied"), ("500", 0, "Logged in"), ("expire", 0, "Logged in"), ("approve=1", 0, "Logged in")],
)
def test_events_of_a_login_are_options(modelbay: Command, fault: str, code: int, said: str):
    running = modelbay.start("simulate", "--port", "0", "--login", fault, "--login", "interval=1")
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    modelbay.configure(
        f'[providers.it]\ntype = "openai"\nbase_url = "{url}/coding/v1"\n[providers.it.oauth]\nkey = "it"\n'
        f'oauth_host = "{url}"\ndevice_url = "/api/oauth/device_authorization"\ntoken_url = "/api/oauth/token"\n'
        'client_id = "me"\n'
    )
    run = modelbay("login", "it")
    assert run.code == code and said in run.out + run.err, run
    assert run.err.count("approve the code") == (2 if fault == "expire" else 1)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)


def test_a_refresh_token_that_is_revoked_ends_the_login(modelbay: Command):
    running = modelbay.start(
        "simulate", "--port", "0", "--login", "revoke", "--login", "lasts=8", "--login", "interval=1"
    )
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    modelbay.configure(login_text(url))
    assert modelbay("login", "sim-login").code == 0
    run = modelbay("ask", "-m", "sim-login", "Hi")
    assert run.code == 1 and "no longer logged in to sim-login" in run.err and "modelbay login sim-login" in run.err
    assert "sim-login  refused" in modelbay("login", "--status").out
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)


def test_a_fault_that_there_is_not_is_a_misuse(modelbay: Command):
    run = modelbay("simulate", "--login", "explode")
    assert run.code == 2 and "unknown behavior `explode`: must be one of approve, wait, deny" in run.err


def test_verbose_prints_a_line_for_each_request(modelbay: Command):
    running = modelbay.start("simulate", "--verbose", "--port", "0", "--delay", "0")
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    modelbay.configure(f'[providers.it]\ntype = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-planted-0123456789"\n')
    assert modelbay("ask", "-m", "it/sim-1", "Hi").code == 0
    assert modelbay("ask", "-m", "it/sim-1!401", "Hi").code == 1
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert "POST /v1/chat/completions: status 200, for sim-1, " in err
    assert "POST /v1/chat/completions: status 401, for sim-1!401, fault 401, " in err
    assert "sk-planted" not in err


def test_the_help_names_all_features_and_behaviors(modelbay: Command):
    words = modelbay("simulate", "--help").out.replace("\n", " ").replace(",", " ").replace(".", " ").split()
    named = {word.partition("=")[0] for word in words}
    assert LIMITATIONS.keys() | SPECS.keys() <= named
