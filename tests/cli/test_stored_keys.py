"""A new API key is stored where the old one was, by every command that takes one."""

import json
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.credentials.file_keyring
from tests.catalog.manifests import EXTENDED, MANIFEST
from tests.cli.command import KEY, Command
from tests.servers.site import Site, site

NEW = "sk-planted-new-9876543210"
CONFIG = """\
default_model = "sim/sim-1"

[providers.sim]
type = "openai"
base_url = "SIM/v1"
api_key = "REFERENCE"

[models."sim/sim-1"]
provider = "sim"
model = "sim-1"
"""
HOSTED, LISTED = "/v1/models?provider=true", "/v1/models?extended=true"
OTHER = """
[providers.other]
type = "openai"
base_url = "SIM/v1"
api_key = "REFERENCE"
"""


class Desk(Command):
    """With a keyring that is a file, and a provider that notes the keys it gets."""

    provider: Site

    def configure(self, text: str) -> None:
        super().configure(text.replace("SIM", self.provider.url))

    def writes(self, reference: str, text: str = CONFIG) -> None:
        self.configure(text.replace("REFERENCE", reference))

    def stores(self, name: str, secret: str) -> None:
        self.keyring_file.write_text(json.dumps({**self.keyring, name: secret}))

    @property
    def keyring_file(self) -> Path:
        return self.home / "keyring.json"

    @property
    def keyring(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.keyring_file.read_text()) if self.keyring_file.exists() else {}
        return found

    @property
    def config(self) -> dict[str, Any]:
        return tomllib.loads((self.home / "config.toml").read_text())

    @property
    def text(self) -> str:
        return (self.home / "config.toml").read_text()

    def sent(self) -> str:
        """The key of the last call."""
        self("ask", "Hi")
        return self.provider.asked[-1].headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
def desk(modelbay: Command) -> Iterator[Desk]:
    desk = Desk(modelbay.home, modelbay.simulator)
    desk.environment |= {
        "PYTHONPATH": str(Path(tests.credentials.file_keyring.__file__).parent),
        "PYTHON_KEYRING_BACKEND": "file_keyring.Keyring",
        "FILE_KEYRING": str(desk.keyring_file),
    }
    with site(modelbay.simulator) as desk.provider:
        desk.provider.calls = {"/v1/chat/completions": "/v1/chat/completions"}
        yield desk


def stored(desk: Desk, place: str) -> str:
    """Put the old key into a place; return the reference."""
    if place == "own file":
        (desk.home / "sim.key").write_text(KEY)
        return "{file:sim.key}"
    if place == "own keyring":
        desk.stores("team/acme", KEY)
        return "{keyring:team/acme}"
    desk.writes(KEY)
    assert desk("key", "set", "sim", place).code == 0
    return str(desk.config["providers"]["sim"]["api_key"])


def secret_at(desk: Desk, reference: str) -> str:
    kind, _, name = reference.strip("{}").partition(":")
    return desk.keyring[name] if kind == "keyring" else (desk.home / name).read_text().strip()


@pytest.mark.parametrize("place", ["--keyring", "--file", "own keyring", "own file"])
def test_an_edited_key_is_stored_where_the_old_one_was(desk: Desk, place: str) -> None:
    reference = stored(desk, place)
    desk.writes(reference)
    before = desk.text
    shown = {
        "--keyring": "the keyring (modelbay/sim)",
        "--file": "HOME/keys/sim",
        "own keyring": "the keyring (team/acme)",
        "own file": "HOME/sim.key",
    }[place]
    plan = desk("provider", "edit", "sim", "--api-key", NEW, "--dry-run")
    assert (plan.code, plan.out) == (0, f"The API key of sim is stored in {shown}\n")
    assert secret_at(desk, reference) == KEY
    done = desk("provider", "edit", "sim", "--api-key", NEW)
    assert done.code == 0 and f"The API key of sim is stored in {shown}\n" in done.out, done
    assert secret_at(desk, reference) == NEW
    assert desk.text == before
    assert desk.sent() == NEW
    if place.endswith("file"):
        file = desk.home / reference.removeprefix("{file:").removesuffix("}")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("place", ["--keyring", "--file"])
def test_with_a_new_url_the_key_is_bound_to_its_origin(desk: Desk, place: str) -> None:
    reference = stored(desk, place)
    elsewhere = desk.provider.url.replace("127.0.0.1", "localhost")
    done = desk("provider", "edit", "sim", "--base-url", f"{elsewhere}/v1", "--api-key", NEW)
    assert done.code == 0, done
    assert secret_at(desk, reference.replace("}", ".origin}")) == elsewhere
    assert desk.sent() == NEW
    done = desk("provider", "edit", "sim", "--base-url", f"{desk.provider.url}/v1", "--api-key", "")
    assert done.code == 0 and "api_key" not in desk.config["providers"]["sim"]


def test_a_keyring_that_fails_changes_nothing_and_has_a_way_out(desk: Desk) -> None:
    stored(desk, "--keyring")
    before, keyring = desk.text, desk.keyring
    desk.environment["PYTHON_KEYRING_BACKEND"] = "file_keyring.ShortKeyring"
    done = desk("provider", "edit", "sim", "--api-key", f"{NEW}{NEW}", "--name", "New name")
    assert done.code == 1 and (desk.text, desk.keyring) == (before, keyring)
    assert "The API key of sim was not changed: the keyring did not store modelbay/sim" in done.err
    assert (
        "unlock the keyring, or enter a reference such as {env:NAME} instead, or store the key in a file:" in done.err
    )
    assert "`modelbay key set sim --file`" in done.err
    assert desk("key", "set", "sim", "--file", stdin=NEW).code == 0
    assert desk.sent() == NEW


def test_a_file_that_cannot_be_written_changes_nothing(desk: Desk) -> None:
    desk.writes("{file:missing/sim.key}")
    before = desk.text
    done = desk("provider", "edit", "sim", "--api-key", NEW)
    assert done.code == 1 and desk.text == before
    assert "The API key of sim was not changed: HOME/missing/sim.key cannot be written" in done.err
    assert "`modelbay key set sim --file`" in done.err


def test_a_failed_edit_restores_the_stored_key(desk: Desk) -> None:
    """The file is full when config.toml is written, after the key was stored."""
    stored(desk, "--file")
    before = desk.text
    (desk.home / "config.toml").write_text(before + "#" * 20_000 + "\n")
    done = desk.limited(10_000, "provider", "edit", "sim", "--api-key", NEW, "--name", "New name")
    assert done.code == 1
    assert (desk.home / "keys" / "sim").read_text().strip() == KEY


@pytest.mark.parametrize("place", ["own keyring", "own file", "--keyring", "--file"])
def test_the_key_of_another_provider_stays(desk: Desk, place: str) -> None:
    reference = stored(desk, place)
    desk.writes(reference, CONFIG + OTHER)
    done = desk("provider", "edit", "other", "--api-key", NEW)
    assert done.code == 0, done
    mine = "{keyring:modelbay/other}" if "keyring" in reference else "{file:keys/other}"
    assert desk.config["providers"]["other"]["api_key"] == mine
    assert desk.config["providers"]["sim"]["api_key"] == reference
    assert (secret_at(desk, reference), secret_at(desk, mine)) == (KEY, NEW)
    assert secret_at(desk, mine.replace("}", ".origin}")) == desk.provider.url


def test_a_file_with_other_content_is_not_overwritten(desk: Desk) -> None:
    (desk.home / "notes.txt").write_text("first\nsecond\n")
    desk.writes("{file:notes.txt}")
    assert desk("provider", "edit", "sim", "--api-key", NEW).code == 0
    assert (desk.home / "notes.txt").read_text() == "first\nsecond\n"
    assert desk.config["providers"]["sim"]["api_key"] == "{file:keys/sim}"


def test_a_config_file_from_elsewhere_cannot_name_a_file_to_overwrite(desk: Desk, tmp_path: Path) -> None:
    victim = desk.home / "victim"
    victim.write_text("one line\n")
    stored(desk, "--keyring")
    keyring = desk.keyring
    other = tmp_path / "elsewhere" / "c.toml"
    other.parent.mkdir()
    for reference, mine in ((f"{{file:{victim}}}", f"{{file:{desk.home}/keys/sim}}"), ("{keyring:modelbay/sim}", NEW)):
        text = CONFIG.replace("SIM", "https://elsewhere.example").replace("REFERENCE", reference)
        other.write_text(text)
        done = desk("provider", "edit", "sim", "--api-key", NEW, "--config", str(other))
        assert done.code == 0, done
        assert victim.read_text() == "one line\n" and desk.keyring == keyring
        assert tomllib.loads(other.read_text())["providers"]["sim"]["api_key"] == mine


def test_a_reference_in_the_env_table_or_a_header_stays(desk: Desk) -> None:
    desk.stores("team/acme", KEY)
    desk.stores("team/header", KEY)
    text = CONFIG.replace('api_key = "REFERENCE"', 'env = { OPENAI_API_KEY = "{keyring:team/acme}" }\nauth = "x"')
    text = text.replace('auth = "x"', 'custom_headers = { Authorization = "Bearer {keyring:team/header}" }')
    desk.writes("", text)
    before = desk.text
    done = desk("provider", "edit", "sim", "--api-key", NEW, "--header", f"Authorization: Bearer {NEW}x")
    assert done.code == 0, done
    assert "The header Authorization of sim is stored in the keyring (team/header)" in done.out
    assert desk.text == before
    assert desk.keyring == {"team/acme": NEW, "team/header": f"{NEW}x"}


@pytest.mark.parametrize("reference", ["{env:THE_KEY}", "{command:echo secret-word}"])
def test_a_key_that_cannot_be_stored_there_is_reported(desk: Desk, reference: str) -> None:
    desk.writes(reference)
    done = desk("provider", "edit", "sim", "--api-key", NEW)
    assert done.code == 0 and desk.config["providers"]["sim"]["api_key"] == NEW
    shown = reference if "env" in reference else "{command:…}"
    assert f"The API key of sim is in config.toml now, not in {shown}\n" in done.out


def test_a_reference_as_the_new_key_is_written(desk: Desk) -> None:
    stored(desk, "--keyring")
    done = desk("provider", "edit", "sim", "--api-key", "{env:THE_KEY}")
    assert done.code == 0 and desk.config["providers"]["sim"]["api_key"] == "{env:THE_KEY}"


def test_a_renamed_or_copied_provider_keeps_its_place(desk: Desk) -> None:
    stored(desk, "own file")
    desk.writes("{file:sim.key}")
    assert desk("provider", "copy", "sim", "copy").code == 0
    assert desk("provider", "edit", "copy", "--api-key", NEW).code == 0
    assert (desk.home / "sim.key").read_text() == KEY
    assert desk.config["providers"]["copy"]["api_key"] == "{file:keys/copy}"
    assert desk("provider", "rename", "copy", "moved").code == 0
    assert desk("provider", "edit", "moved", "--api-key", f"{NEW}2").code == 0
    assert desk.config["providers"]["moved"]["api_key"] == "{file:keys/moved}"
    assert (desk.home / "keys" / "moved").read_text() == f"{NEW}2\n"


def test_adding_a_manifest_again_keeps_the_place(desk: Desk) -> None:
    for path, text in ((HOSTED, MANIFEST), (LISTED, EXTENDED)):
        desk.provider.pages[path] = text.replace("https://providerwebsite.com", "SITE")
    url = f"{desk.provider.url}{HOSTED}"
    assert desk("provider", "manifest", url, "--api-key", KEY, "--id", "acme", "--yes").code == 0
    assert desk("key", "set", "acme").code == 0
    done = desk("provider", "manifest", url, "--api-key", NEW, "--id", "acme", "--yes")
    assert done.code == 0 and "The API key of acme is stored in the keyring (modelbay/acme)" in done.out, done
    assert desk.keyring["modelbay/acme"] == NEW and NEW not in desk.text


def test_a_new_token_of_a_registry_is_stored_where_the_old_one_was(desk: Desk) -> None:
    desk.provider.pages["/api.json"] = {
        id: {"id": id, "name": id, "api": f"{desk.provider.url}/v1", "type": "openai", "models": {"m": {"id": "m"}}}
        for id in ("one", "two")
    }
    url = f"{desk.provider.url}/api.json"
    desk.configure("")
    assert desk("provider", "add", url, "--api-key", KEY).code == 0
    desk.stores("team/registry", KEY)
    path = desk.home / "config.toml"
    path.write_text(path.read_text().replace(KEY, "{keyring:team/registry}"))
    before = desk.text
    done = desk("provider", "add", url, "--api-key", NEW)
    assert done.code == 0 and "The token of the registry of one is stored in the keyring (team/registry)" in done.out, (
        done
    )
    assert desk.keyring["team/registry"] == NEW and desk.text == before


def test_an_import_that_replaces_a_provider_keeps_the_place(desk: Desk) -> None:
    stored(desk, "--keyring")
    source = desk.home / "kimi.toml"
    source.write_text(CONFIG.replace("REFERENCE", NEW).replace("SIM", desk.provider.url))
    done = desk("import", "kimi", str(source), "--replace", "--yes", "--keys")
    assert done.code == 0, done
    assert desk.keyring["modelbay/sim"] == NEW and NEW not in desk.text


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_link_to_the_key_file_stays(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "real.key"
    target.write_text(KEY)
    (desk.home / "sim.key").symlink_to(target)
    desk.writes("{file:sim.key}")
    assert desk("provider", "edit", "sim", "--api-key", NEW).code == 0
    assert (desk.home / "sim.key").is_symlink() and target.read_text().strip() == NEW
