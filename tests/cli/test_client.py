"""`modelbay client`: keys of the gateway's clients, as the user gets them."""

import json
import subprocess
from pathlib import Path

import pytest

from modelbay.gateway.clients import ClientKeys
from tests.cli.command import MODELBAY, Command
from tests.cli.inside import Inside, Person

ADOPTED = "sk-1234567890abcdefgh"


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


def test_the_last_word_of_add_is_the_key_which_is_shown_once(bay: Inside) -> None:
    run = bay("client", "add", "laptop")
    assert (run.code, run.err) == (0, "The key is shown only now: copy it.\n")
    assert run.out.startswith("Added laptop with the key sk-mb-")
    key = run.out.split()[-1]
    found = ClientKeys().find(key)
    assert found is not None
    assert found.name == "laptop"
    assert key not in bay.done("client", "list") + bay.done("client", "list", "--json")
    again = bay("client", "add", "laptop")
    assert (again.code, again.out) == (1, "")
    assert 'client "laptop" already exists' in again.err
    assert "`modelbay client remove laptop`" in again.err


def test_an_existing_key_is_read_from_standard_input_and_not_shown(bay: Inside) -> None:
    run = bay("client", "add", "old", "--key", "-", stdin=f"{ADOPTED}\n")
    assert (run.code, run.out, run.err) == (0, "Added old with its existing key\n", "")
    assert ClientKeys().find(ADOPTED)
    short = bay("client", "add", "short", "--key", "-", stdin="sk-123")
    assert short.code == 1
    assert "at least 20 are required" in short.err
    empty = bay("client", "add", "empty", "--key", "-")
    assert "no API key on standard input" in empty.err


def test_an_existing_key_is_typed_at_a_hidden_prompt(bay: Inside) -> None:
    with Person(bay.home, "client", "add", "old", "--key", "-") as person:
        person.sees("Key for old").types(ADOPTED).sees("Added old with its existing key")
        assert person.ends() == 0
        assert ADOPTED not in person.seen
    assert ClientKeys().find(ADOPTED)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_client_whose_key_cannot_be_printed_is_not_added(modelbay: Command) -> None:
    with open("/dev/full", "wb") as full:
        line = [MODELBAY, "client", "add", "laptop"]
        failed = subprocess.run(line, check=False, stdout=full, stderr=subprocess.PIPE, env=modelbay.environment)
    assert failed.returncode == 1
    assert modelbay("client", "list").out == ""
    assert modelbay("client", "add", "laptop").code == 0


def test_a_key_as_an_argument_is_refused(bay: Inside) -> None:
    run = bay("client", "add", "old", "--key", ADOPTED)
    assert (run.code, run.out) == (2, "")
    assert "--key: only - is allowed" in run.err
    assert ADOPTED not in run.err
    assert ClientKeys().all() == []


def test_list_shows_the_beginning_of_each_key_and_its_use(bay: Inside) -> None:
    assert bay("client", "list").err == "No clients; add one with `modelbay client add NAME`\n"
    key = bay.done("client", "add", "laptop").split()[-1]
    bay.done("client", "add", "old", "--key", "-", stdin=ADOPTED)
    ClientKeys().find(key)
    laptop, old = bay.done("client", "list").splitlines()
    assert laptop.split()[:3] == ["laptop", f"{key[:10]}…", "created"]
    assert "never" not in laptop
    assert old.split()[:3] == ["old", "sk-1…", "created"]
    assert old.endswith("last used never")
    first, second = json.loads(bay.done("client", "list", "--json"))
    assert (first["name"], first["begins"], second["last_used"]) == ("laptop", key[:10], None)
    assert first["last_used"] >= first["created"]


def test_a_client_is_removed_by_name(bay: Inside) -> None:
    key = bay.done("client", "add", "laptop").split()[-1]
    wrong = bay("client", "remove", "lptop")
    assert wrong.code == 1
    assert wrong.err == 'error: no client "lptop"\n\nhint: did you mean "laptop"?\n'
    assert bay.done("client", "remove", "laptop") == "Removed laptop\n"
    assert ClientKeys().find(key) is None
    assert "list the clients: `modelbay client list`" in bay("client", "remove", "laptop").err
