"""`modelbay key`: out of config.toml, into the keyring or a file, and back."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

import tests.credentials.file_keyring
from tests.cli.command import KEY, Command

CONFIG = f"""\
# mine
default_model = "sim/sim-1"

[providers.sim]
type = "openai"
base_url = "SIM/v1"
api_key = "{KEY}"  # the one of the team

[providers.other]
type = "anthropic"
base_url = "SIM"
env = {{ ANTHROPIC_API_KEY = "{KEY}" }}
"""


@pytest.fixture
def command(modelbay: Command) -> Command:
    """With a keyring that is a file."""
    modelbay.configure(CONFIG)
    modelbay.environment |= {
        "PYTHONPATH": str(Path(tests.credentials.file_keyring.__file__).parent),
        "PYTHON_KEYRING_BACKEND": "file_keyring.Keyring",
        "FILE_KEYRING": str(modelbay.home / "keyring.json"),
    }
    return modelbay


def config_of(command: Command) -> str:
    return (command.home / "config.toml").read_text().replace(command.simulator.url, "SIM")


def keyring_of(command: Command) -> Any:
    return json.loads((command.home / "keyring.json").read_text())


def test_a_key_from_standard_input_goes_into_the_keyring(command: Command):
    ended = command("key", "set", "sim", stdin=f"{KEY}\n")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == 'providers.sim.api_key = "{keyring:modelbay/sim}", for SIM\n'
    assert keyring_of(command) == {"modelbay/sim": KEY, "modelbay/sim.origin": command.simulator.url}
    assert config_of(command) == CONFIG.replace(f'"{KEY}"  #', '"{keyring:modelbay/sim}"  #')
    assert command("ask", "Hi").code == 0


def test_without_a_new_key_the_one_in_the_file_moves(command: Command):
    assert command("key", "set", "sim").code == 0
    assert keyring_of(command)["modelbay/sim"] == KEY
    assert command("ask", "Hi").code == 0


def test_a_key_that_the_keyring_does_not_store_whole_changes_nothing(command: Command):
    assert command("key", "set", "sim").code == 0
    keyring, config = keyring_of(command), config_of(command)
    command.environment["PYTHON_KEYRING_BACKEND"] = "file_keyring.ShortKeyring"
    ended = command("key", "set", "sim", stdin=f"{KEY}{KEY}\n")
    assert ended.code == 1 and "the keyring did not store modelbay/sim" in ended.err
    assert "modelbay key set --file" in ended.err
    assert (keyring_of(command), config_of(command)) == (keyring, config)


def test_a_key_in_the_env_table_moves_too(command: Command):
    assert command("key", "set", "sim").code == 0
    assert command("key", "set", "other").code == 0
    assert KEY not in config_of(command)
    assert command("ask", "-m", "other/sim-1", "Hi").code == 0


def test_without_a_keyring_it_says_so_and_offers_a_file(modelbay: Command):
    modelbay.configure(CONFIG)
    ended = modelbay("key", "set", "sim", stdin=KEY)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "error: no keyring found\n\nhint: store the API key in a private file: `modelbay key set sim --file`\n"
    )
    assert config_of(modelbay) == CONFIG


def test_a_key_in_a_file_is_its_owners_alone(modelbay: Command):
    modelbay.configure(CONFIG)
    ended = modelbay("key", "set", "sim", "--file", stdin=KEY)
    assert (ended.code, ended.out) == (0, 'providers.sim.api_key = "{file:keys/sim}", for SIM\n')
    folder = modelbay.home / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.suffix != ".lock"} == {0o600}
    assert (folder / "sim").read_text() == f"{KEY}\n"
    assert modelbay("ask", "Hi").code == 0


def test_a_folder_that_cannot_be_created_is_named(modelbay: Command):
    modelbay.configure(CONFIG)
    (modelbay.home / "keys").symlink_to(modelbay.home / "missing")
    ended = modelbay("key", "set", "sim", "--file", stdin=KEY)
    assert (ended.code, ended.err) == (
        1,
        "error: HOME/keys cannot be written: File exists\n\nhint: check HOME/keys: it must be a folder\n",
    )


def test_a_file_elsewhere_is_named_whole(modelbay: Command, tmp_path: Path):
    other = tmp_path / "elsewhere" / "c.toml"
    other.parent.mkdir()
    other.write_text(CONFIG.replace("SIM", modelbay.simulator.url))
    assert modelbay("key", "set", "sim", "--file", "--config", str(other), stdin=KEY).code == 0
    assert f'"{{file:{modelbay.home}/keys/sim}}"' in other.read_text()
    assert modelbay("ask", "--config", str(other), "Hi").code == 0


@pytest.mark.parametrize("place", ["--file", "--keyring"])
def test_delete_takes_it_from_everywhere(command: Command, place: str):
    assert command("key", "set", "sim", place, stdin=KEY).code == 0
    ended = command("key", "delete", "sim")
    assert ended.code == 0
    assert ended.out.startswith("deleted api_key in HOME/config.toml\ndeleted ")
    assert len(ended.out.splitlines()) == 2
    left = list((command.home / "keys").glob("sim*")) if place == "--file" else keyring_of(command)
    assert not left
    assert "api_key" not in config_of(command)
    assert command("key", "delete", "sim").out == "sim has no API key\n"


def test_delete_leaves_what_others_keep(command: Command):
    command.configure(CONFIG.replace(f'"{KEY}"  #', '"{env:TEAM_KEY}"  #'))
    assert command("key", "delete", "sim").out == "deleted api_key in HOME/config.toml\n"


def test_a_key_that_moved_to_the_keyring_leaves_no_file(command: Command):
    assert command("key", "set", "sim", "--file", stdin=KEY).code == 0
    assert command("key", "set", "sim", "--keyring", stdin=KEY).code == 0
    assert not list((command.home / "keys").glob("sim*"))


@pytest.mark.parametrize("place", ["--file", "--keyring"])
def test_a_stored_key_stays_with_its_origin(command: Command, place: str):
    """A list or file that changes the URL of the provider does not get the key."""
    assert command("key", "set", "sim", place, stdin=KEY).code == 0
    path = command.home / "config.toml"
    path.write_text(path.read_text().replace(command.simulator.url, "http://127.0.0.1:9"))
    ended = command("ask", "Hi")
    assert ended.code == 1
    assert "this API key was set for SIM and is not sent to http://127.0.0.1:9" in ended.err
    assert "`modelbay key set sim`" in ended.err
    assert command("key", "set", "sim", place, stdin=KEY).code == 0
    assert "connection refused" in command("ask", "Hi").err


def test_an_unknown_provider_and_no_key(command: Command):
    ended = command("key", "set", "smi", stdin=KEY)
    assert (ended.code, ended.err) == (
        1,
        'error: Provider Not Found: no provider "smi" in HOME/config.toml\n\n'
        'hint: did you mean "sim"? (`modelbay provider list`)\n',
    )
    command.configure(CONFIG.replace(f'api_key = "{KEY}"', ""))
    assert command("key", "set", "sim").code == 2


def test_a_key_that_is_none_is_refused_and_not_shown(command: Command):
    ended = command("key", "set", "sim", stdin="two words-of-a-secret")
    assert ended.code == 1
    assert "words-of" not in ended.err
