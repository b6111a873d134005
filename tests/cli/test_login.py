"""`modelbay login` and `modelbay logout`, against the simulator's login server."""

import asyncio
import json
import signal
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.config.load import load
from modelbay.config.schema import Table
from modelbay.errors import MissingCredential
from modelbay.onboarding.login import device as logging_in
from modelbay.onboarding.sources import login_models
from modelbay.providers.vendor import LoginMethod
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.cli.command import Command
from tests.credentials.login_processes import TokensHeldBack
from tests.fault_config import LONG

OWN = """\
# mine
[models.mine] # kept
provider = "managed:kimi-code"
model = "sim-1"
"""


FLOW = """\
default_model = "own/sim-1"

[providers.own]
type = "openai"
base_url = "SIM/coding/v1"

[providers.own.oauth]
key = "own"
device_url = "SIM/api/oauth/device_authorization"
token_url = "SIM/api/oauth/token"
client_id = "me"
"""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        running.provider.logins.behave(LoginBehavior(approve_after=1, interval=1))
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
    assert (
        again.code == 0
        and "Already logged in" in again.out
        and "Removed (no longer listed): kimi-code/gone" in again.out
    )
    assert "mine" in config(command)["models"] and "# kept" in path.read_text()
    assert [entry.path for entry in command.simulator.journal].count("/api/oauth/device_authorization") == 1


def test_a_login_writes_the_service_s_other_tables_and_what_its_model_leaves_to_choose(command: Command) -> None:
    command.configure('[services.moonshot_fetch]\nbase_url = "https://mine.test/fetch"\napi_key = "mine"\n')
    assert log_in(command).code == 0
    written, base = config(command), f"{command.simulator.url}/coding/v1"
    search = written["services"]["moonshot_search"]
    oauth = written["providers"]["managed:kimi-code"]["oauth"]
    assert search == {"base_url": f"{base}/search", "api_key": "", "oauth": oauth}
    assert written["services"]["moonshot_fetch"] == {"base_url": "https://mine.test/fetch", "api_key": "mine"}
    assert "thinking" not in written, "sim-1 thinks, or not, as one likes"
    assert command("logout").code == 0
    assert config(command) == {"services": {"moonshot_fetch": written["services"]["moonshot_fetch"]}}


def test_providers_of_a_login_are_listed_separately_and_not_edited(command: Command) -> None:
    command.configure('[providers.plain]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "k"\n')
    log_in(command)
    shown = command("provider", "list").out
    mine, _, kept = shown.partition("Logged in")
    assert "plain" in mine and "managed" not in mine and "managed:kimi-code" in kept
    said = json.loads(command("provider", "list", "--json").out)
    assert [one["id"] for one in said["providers"]] == ["plain"]
    assert [(one["id"], one["models"]) for one in said["logins"]] == [("managed:kimi-code", 7)]
    before = config(command)
    for line in ("provider remove {} --yes", "provider edit {} --name Mine", "key delete {}"):
        run = command(*line.format("managed:kimi-code").split())
        assert run.code == 1 and "`modelbay logout managed:kimi-code` to remove it" in run.err
    assert config(command) == before
    assert command("login", "managed:kimi-code").out.startswith(
        "Already logged in to managed:kimi-code; its models were refreshed"
    )
    assert command("logout", "managed:kimi-code").code == 0
    assert list(config(command)["providers"]) == ["plain"]


def test_a_refresh_of_the_models_uses_the_stored_token(command: Command) -> None:
    log_in(command)
    path = command.home / "config.toml"
    path.write_text(path.read_text().replace("sim-text", "sim-gone") + "[thinking]\nenabled = false\n")
    run = command("provider", "refresh", "managed:kimi-code")
    assert run.code == 0, run
    assert "kimi-code/sim-text" in config(command)["models"] and "kimi-code/sim-gone" not in config(command)["models"]
    assert config(command)["thinking"] == {"enabled": False}, "a refresh changes nothing that one chose"
    (command.home / "credentials").rename(command.home / "elsewhere")
    run = command("provider", "refresh", "managed:kimi-code")
    assert run.code == 1 and "not logged in to" in run.err and "modelbay login managed:kimi-code" in run.err


def test_another_region_replaces_the_login_and_its_tokens(command: Command) -> None:
    assert log_in(command).code == 0
    with Simulator() as elsewhere:
        elsewhere.provider.logins.behave(LoginBehavior(approve_after=0, interval=1))
        line = ("--oauth-host", elsewhere.url, "--base-url", f"{elsewhere.url}/coding/v1")
        assert command("login", "kimi-code-global", *line).out.startswith("Logged in to managed:kimi-code\n")
        entry = config(command)["providers"]["managed:kimi-code"]
        assert entry["oauth"]["oauth_host"] == elsewhere.url
        kept = [path.stem for path in (command.home / "credentials").glob("*.json")]
        assert [f"oauth/{name}" for name in kept] == [entry["oauth"]["key"]]
        assert command("ask", "hello").code == 0


def test_tokens_are_kept_in_the_keyring_where_that_is_chosen(command: Command, tmp_path: Path) -> None:
    command.environment |= {
        "PYTHON_KEYRING_BACKEND": "file_keyring.Keyring",
        "PYTHONPATH": str(Path(__file__).parents[1] / "credentials"),
        "FILE_KEYRING": str(tmp_path / "keyring.json"),
    }
    url = command.simulator.url
    line = ("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    assert command(*line, "--keyring").code == 0
    assert config(command)["providers"]["managed:kimi-code"]["oauth"]["storage"] == "keyring"
    assert next(iter(json.loads((tmp_path / "keyring.json").read_text()))).startswith("modelbay-login/kimi-code")
    assert not list((command.home / "credentials").glob("*.json"))
    assert command("ask", "hello").code == 0
    assert command(*line).out.startswith("Already logged in"), "as before"
    assert config(command)["providers"]["managed:kimi-code"]["oauth"]["storage"] == "keyring"
    assert "logged in" in command("login", "--status").out
    assert command(*line, "--file").out.startswith("Logged in"), "they are not copied, but made anew"
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}
    assert command("logout").code == 0


def test_an_unavailable_keyring_is_reported_before_the_user_approves(command: Command) -> None:
    command.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    url = command.simulator.url
    line = ("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    run = command(*line, "--keyring")
    assert run.code == 1 and "the keyring is not available" in run.err and "modelbay login --file" in run.err
    assert "Open" not in run.err
    assert command(*line).code == 0


def test_a_denied_login_writes_nothing(command: Command, sim: Simulator) -> None:
    def files() -> list[Path]:
        return [path for path in command.home.rglob("*") if path.is_file()]

    sim.provider.logins.behave(LoginBehavior(interval=1, faults=["denied"]))
    before = files()
    run = log_in(command)
    assert (run.code, run.out) == (1, "") and "denied" in run.err
    assert files() == before


def test_status_lists_logins_and_logout_removes_them(command: Command) -> None:
    assert command("login", "--status").err.startswith("You are not logged in to any platform")
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
    command.configure(FLOW)
    before = command("ask", "hello")
    assert before.code == 1 and "modelbay login own" in before.err
    assert command("login", "own").out == "Logged in to own\n"
    assert command("ask", "hello").code == 0
    assert command("logout", "own").out == "Logged out of own\n"
    assert "own" in config(command)["providers"], "the entry is the user's"


def test_a_provider_of_one_s_own_is_not_changed_by_logging_in(command: Command) -> None:
    command.configure(FLOW)
    for line, key in (
        (["--keyring"], "oauth.storage"),
        (["--oauth-host", "https://auth.acme.test"], "oauth.oauth_host"),
        (["--base-url", "https://api.acme.test"], "base_url"),
    ):
        run = command("login", "own", *line)
        assert run.code == 1 and f'set {key} = "{line[-1].lstrip("-")}" in [providers.own]' in run.err


def test_options_of_another_kind_of_login_are_misuse(command: Command) -> None:
    for line in (
        ["moonshot-ai", "--file"],
        ["vertex", "--base-url", "http://x"],
        ["kimi-code", "--api-key", "k"],
    ):
        run = command("login", *line)
        assert run.code == 2 and f"{line[1]} is not supported by the login to {line[0]}" in run.err


def test_ctrl_c_while_it_waits(command: Command, sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=None))
    url = sim.url
    process = command.start("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Open ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LONG)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_login_that_is_ended_while_the_server_issues_the_tokens_stores_them(
    command: Command, sim: Simulator, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=0, interval=1))
    url, tokens = sim.url, TokensHeldBack(sim, monkeypatch)
    process = command.start("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    tokens.wait_for_request()
    process.send_signal(number)
    tokens.release()
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == -number and "Traceback" not in err
    assert list((command.home / "credentials").glob("*.json"))
    assert log_in(command).out.startswith("Already logged in"), "the login needs no second approval"


def test_a_logout_during_a_login_is_not_undone(
    command: Command, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the new tokens are stored, and before the models are."""
    assert log_in(command).code == 0
    monkeypatch.setenv("MODELBAY_HOME", str(command.home))
    models_of = login_models.models_of

    def logged_out(body: bytes, login: LoginMethod) -> dict[str, Table]:
        assert command("logout").code == 0
        return models_of(body, login)

    monkeypatch.setattr(login_models, "models_of", logged_out)
    host, before = sim.url, load()
    to = logging_in.target(before, "kimi-code", host=host, base_url=f"{host}/coding/v1")
    with pytest.raises(MissingCredential, match=r"another process logged out of Kimi Code .* during the login"):
        asyncio.run(logging_in.log_in(before, to, lambda _: None))
    assert not load().providers and not load().models


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")
def test_logins_and_logouts_at_once_leave_all_or_nothing(command: Command, sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=0, interval=1))
    line = ("login", "kimi-code", "--oauth-host", sim.url, "--base-url", f"{sim.url}/coding/v1")
    assert command(*line).code == 0
    for round in range(2):
        both = [command.start("logout", "kimi-code"), command.start(*line)]
        ends = [process.communicate(timeout=LONG) for process in both]
        tokens = list((command.home / "credentials").glob("*.json"))
        entry = config(command).get("providers", {})
        assert bool(tokens) == ("managed:kimi-code" in entry), (round, ends)
        assert command(*line).code == 0, "and one can log in again"


def test_a_provider_without_login_is_refused(command: Command) -> None:
    command.configure('[providers.plain]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "k"\n')
    for name, said in (
        ("plain", 'provider "plain" does not support login'),
        ("no", 'unknown platform or provider "no"'),
        ("claude", "Anthropic does not support login"),
    ):
        run = command("login", name)
        assert run.code == 1 and said in run.err
    assert command("login").code == 2


def test_logging_in_over_http_is_refused(command: Command) -> None:
    run = command("login", "kimi-code", "--oauth-host", "http://auth.acme.test")
    assert run.code == 1 and "login over http is not allowed: http://auth.acme.test" in run.err


# --- what a login server, a keyring or a disk may do to a login ---


@pytest.mark.parametrize(
    ("fault", "said"),
    [("unusable", "missing or invalid access_token"), ("dpop", "token type 'DPoP' is not supported")],
)
def test_an_approved_login_without_a_usable_token_fails_at_once(
    fault: str, said: str, command: Command, sim: Simulator
) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=0, interval=1, faults=[fault] * 50))
    run = log_in(command)
    assert run.code == 1 and f"invalid response from the login server: {said}" in run.err
    assert [entry.path for entry in sim.journal].count("/api/oauth/token") == 1
    assert not list(command.home.rglob("*.json"))


@pytest.mark.parametrize("limit", [0, 4_096])
@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit on file sizes")
def test_a_disk_without_room_is_reported_before_a_person_approves(limit: int, command: Command) -> None:
    url = command.simulator.url
    line = ("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1")
    run = command.limited(limit, *line)
    assert run.code == 1 and "cannot be written: File too large" in run.err and "ulimit -f" in run.err
    assert "Open" not in run.err and not list(command.simulator.journal)


def test_a_keyring_that_keeps_nothing_is_reported_before_a_person_approves(command: Command) -> None:
    command.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    url = command.simulator.url
    run = command("login", "kimi-code", "--oauth-host", url, "--base-url", f"{url}/coding/v1", "--keyring")
    assert (
        run.code == 1 and "the keyring did not store modelbay-login/" in run.err and "modelbay login --file" in run.err
    )
    assert "Open" not in run.err and not list(command.simulator.journal)


def test_a_firewall_s_403_during_a_refresh_leaves_the_login_as_it_is(command: Command, sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=0, interval=1, token_lasts=0.5))
    assert log_in(command).code == 0
    sim.provider.logins.behave(LoginBehavior(faults=["firewall"]))
    refused = command("ask", "hello")
    assert refused.code == 1 and "status 403: request blocked by policy" in refused.err
    assert command("ask", "hello").code == 0, "the next refresh gets through"


def test_logging_out_revokes_the_login_at_the_server(command: Command, sim: Simulator) -> None:
    assert log_in(command).code == 0
    kept = json.loads(next((command.home / "credentials").glob("*.json")).read_text())
    assert sim.provider.logins.accepts(kept["access_token"])
    assert command("logout").code == 0
    assert not sim.provider.logins.accepts(kept["access_token"])


def test_a_login_that_could_not_be_revoked_is_reported_and_deleted(command: Command, sim: Simulator) -> None:
    command.configure(FLOW + 'revoke_url = "SIM/nowhere"\n')
    assert command("login", "own").code == 0
    out = command("logout", "own")
    assert out.code == 0 and out.out == "Logged out of own\n"
    assert (
        "could not revoke the login: the login server rejected the request: status 404" in out.err
        and "valid until 2" in out.err
    )
    assert not list((command.home / "credentials").glob("*.json"))


def test_a_copy_of_another_program_s_login_is_not_revoked(command: Command, sim: Simulator) -> None:
    assert log_in(command).code == 0
    path = next((command.home / "credentials").glob("*.json"))
    kept = json.loads(path.read_text())
    del kept["obtained_by"]
    path.write_text(json.dumps(kept))
    assert command("logout").code == 0
    assert sim.provider.logins.accepts(kept["access_token"])


def test_removing_a_provider_ends_its_login(command: Command, sim: Simulator) -> None:
    command.configure(FLOW)
    assert command("login", "own").code == 0
    kept = json.loads((command.home / "credentials" / "own.json").read_text())
    assert command("provider", "remove", "own", "--yes").code == 0
    assert not list((command.home / "credentials").glob("*.json"))
    assert not sim.provider.logins.accepts(kept["access_token"])
