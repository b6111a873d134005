"""`modelbay login` where the login is a key: tried before it is written."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.inside import Inside, Person
from tests.servers.site import site

KEY = "sk-planted-0123456789"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY, aliases={"kimi-k2-sim": "sim-1", "kimi-k2-thinking-sim": "sim-thinker"}) as running:
        yield running


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim: Simulator) -> Inside:
    return Inside(tmp_path, monkeypatch, {sim.url: "SIM"})


def log_in(bay: Inside, sim: Simulator, *more: str, stdin: str = ""):
    return bay("login", "moonshot-cn", "--base-url", f"{sim.url}/v1", *more, stdin=stdin)


def test_the_key_is_tried_and_the_platform_s_models_are_written(bay: Inside, sim: Simulator) -> None:
    run = log_in(bay, sim, "--api-key", KEY)
    assert run.code == 0, run
    assert run.out == (
        "Logged in to moonshot-cn\n2 models: moonshot-cn/kimi-k2-sim, moonshot-cn/kimi-k2-thinking-sim\n"
        "Default model: moonshot-cn/kimi-k2-sim\n"
    )
    written = tomllib.loads(bay.text)
    assert written["providers"]["moonshot-cn"] == {
        "type": "kimi", "base_url": f"{sim.url}/v1", "api_key": KEY, "dialect": "moonshot",
    }  # fmt: skip
    assert written["default_model"] == "moonshot-cn/kimi-k2-sim"
    assert "You asked: hello." in bay.done("ask", "hello")
    assert KEY not in run.out + run.err


@pytest.mark.parametrize(
    ("listed", "enabled"), [("only", True), ("no", False), ("both", None)], ids=["always", "never", "as one likes"]
)
def test_a_model_that_leaves_nothing_to_choose_settles_whether_it_thinks(
    bay: Inside, listed: str, enabled: bool | None
) -> None:
    with site() as here:
        here.pages = {"/v1/models": {"data": [{"id": "kimi-k2-sim", "supports_thinking_type": listed}]}}
        bay.done("login", "moonshot-cn", "--base-url", f"{here.url}/v1", "--api-key", KEY)
    assert tomllib.loads(bay.text).get("thinking", {}).get("enabled") is enabled


def test_the_key_comes_from_standard_input_or_the_environment(
    bay: Inside, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(bay, sim, "--api-key", "-", stdin=f"{KEY}\n").code == 0
    monkeypatch.setenv("PLATFORM_KEY", KEY)
    assert log_in(bay, sim, "--api-key", "{env:PLATFORM_KEY}").code == 0
    assert tomllib.loads(bay.text)["providers"]["moonshot-cn"]["api_key"] == "{env:PLATFORM_KEY}"


def test_a_refused_key_writes_nothing_and_says_which_other_key_it_may_be(bay: Inside, sim: Simulator) -> None:
    run = log_in(bay, sim, "--api-key", "sk-of-somewhere-else")
    assert run.code == 1 and run.out == "" and bay.text == ""
    assert "hint: if this is a Kimi Code key, log in to Kimi Code instead: `modelbay login kimi-code`\n" in run.err
    assert "sk-of-somewhere-else" not in run.err


def test_a_platform_without_its_models_is_reported(bay: Inside, tmp_path: Path) -> None:
    with Simulator() as other:
        run = log_in(bay, other, "--api-key", KEY)
    assert run.code == 1 and "the list has no model whose ID begins with kimi-k" in run.err and bay.text == ""


def test_logging_in_again_changes_the_key_and_keeps_what_is_the_user_s(bay: Inside, sim: Simulator) -> None:
    bay.file.write_text(
        f'default_model = "moonshot-cn/kimi-k2-thinking-sim" # mine\n[providers.moonshot-cn]\ntype = "kimi"\n'
        f'base_url = "{sim.url}/v1"\nname = "Mine"\nauth = "none"\n[models."moonshot-cn/kimi-k2-sim"]\n'
        'provider = "moonshot-cn"\nmodel = "kimi-k2-sim"\ndisplay_name = "K"\n'
    )
    assert "Default model: moonshot-cn/kimi-k2-thinking-sim" in log_in(bay, sim, "--api-key", KEY).out
    entry = tomllib.loads(bay.text)["providers"]["moonshot-cn"]
    assert entry["name"] == "Mine" and entry["api_key"] == KEY and "auth" not in entry
    assert "# mine" in bay.text and 'display_name = "K"' in bay.text
    assert bay.done("ask", "hello")


def test_a_new_key_is_stored_where_the_old_one_was(bay: Inside, sim: Simulator) -> None:
    assert log_in(bay, sim, "--api-key", KEY).code == 0
    bay.done("key", "set", "moonshot-cn", "--file")
    before, file = bay.text, bay.file.parent / "keys" / "moonshot-cn"
    file.write_text("sk-an-old-one-0123456789")
    run = log_in(bay, sim, "--api-key", KEY)
    assert run.code == 0 and f"The API key of moonshot-cn is stored in {file}" in run.out.replace(
        "HOME", str(bay.file.parent)
    )
    assert bay.text == before and file.read_text() == f"{KEY}\n"


def test_logging_out_removes_the_platform(bay: Inside, sim: Simulator) -> None:
    log_in(bay, sim, "--api-key", KEY)
    assert bay.done("logout", "moonshot-cn").startswith("Logged out of moonshot-cn\nRemoved moonshot-cn, moonshot-cn/k")
    assert tomllib.loads(bay.text) == {}


def test_a_script_must_give_the_key(bay: Inside, sim: Simulator) -> None:
    run = log_in(bay, sim)
    assert (
        run.code == 2
        and "--api-key - to read it from standard input; get an API key at https://platform.kimi.com" in run.err
    )


def test_a_person_is_asked_for_the_key_and_chooses_models(tmp_path: Path, sim: Simulator) -> None:
    with Person(tmp_path, "login", "moonshot-ai", "--base-url", f"{sim.url}/v1") as person:
        person.sees("Get an API key at https://platform.kimi.ai").sees("API key for Kimi Platform").types(KEY)
        person.sees("2 models").sees("[x] kimi-k2-sim").sees("Models").types("1").sees("Models").types("")
        person.sees("Logged in to moonshot-ai").sees("Default model: moonshot-ai/kimi-k2-thinking-sim")
        assert person.ends() == 0
    assert KEY not in person.seen
