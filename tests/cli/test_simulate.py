"""`modelbay simulate`: its address on stdout once it takes requests, how to use it on stderr."""

import signal
import tomllib

from modelbay.config.load import parse
from tests.cli.command import Command


def test_it_runs_until_ctrl_c_and_says_how_to_use_it(modelbay: Command):
    running = modelbay.start("simulate", "--port", "0", "--key", "k", "--delay", "0")
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    modelbay.configure(f'[providers.it]\ntype = "anthropic"\nbase_url = "{url}"\napi_key = "k"\n')
    assert modelbay("ask", "-m", "it/sim-1", "Hi").out.startswith("You asked: Hi.")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    shown = parse(err.partition("Ctrl-C ends it.\n")[2], modelbay.home / "config.toml")
    assert (len(shown.providers), len(shown.models), shown.problems) == (4, 4, [])
    assert tomllib.loads(err.partition("ends it.\n")[2])["providers"]["sim-anthropic"]["base_url"] == url


def test_a_port_that_is_taken_is_an_error(modelbay: Command):
    port = str(modelbay.simulator.port)
    code, _, err = modelbay("simulate", "--port", port)
    assert code == 1
    assert err.replace(port, "PORT") == (
        "error: cannot listen at 127.0.0.1:PORT: Address already in use\n\nhint: --port 0 takes any free port\n"
    )
