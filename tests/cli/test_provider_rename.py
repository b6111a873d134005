"""`modelbay provider rename` and `copy`: keys, defaults and the cache of a source are included, or nothing changes."""

import tomllib
from pathlib import Path

import pytest

from modelbay.config.load import load
from modelbay.credentials import system_keyring
from modelbay.onboarding.sources import merge
from modelbay.onboarding.sources.merge import Memory
from modelbay.simulator import Simulator
from modelbay.storage import files
from tests.cli.command import KEY
from tests.cli.inside import Inside

CONFIG = """\
default_model = "acme/sim-1"  # the quick one
default_provider = "acme"

# work
[providers.acme]  # the first
type = "openai"
base_url = "SIM/v1"
api_key = "API_KEY"  # stored
default_model = "acme/sim-text"

[providers.acme.timeout]  # slow
idle = 30

[providers.other]
type = "openai"
base_url = "SIM/v1"
auth = "none"

# about one
[models."acme/sim-1"]
provider = "acme"
model = "sim-1"
aliases = ["one"]

[models."acme/sim-text"]  # short
provider = "acme"
model = "sim-text"

[models.mine]
provider = "acme"
model = "sim-echo"
"""


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    bay = Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})
    bay.file.write_text(CONFIG.replace("SIM", simulator.url).replace("API_KEY", KEY))
    bay.file.chmod(0o600)
    return bay


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in memory."""
    stored: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(system_keyring, "usable", lambda: True)
    monkeypatch.setattr(system_keyring, "get", lambda service, name: stored.get((service, name)))
    monkeypatch.setattr(system_keyring, "put", lambda service, name, value: stored.__setitem__((service, name), value))
    monkeypatch.setattr(system_keyring, "remove", lambda service, name: stored.pop((service, name), None))
    return stored


def answers(bay: Inside, model: str) -> bool:
    return bay.done("ask", "-m", model, "Hello").startswith("You asked: Hello.")


def test_a_provider_is_renamed_in_place_with_models_and_defaults(bay: Inside):
    before = bay.text
    assert bay.done("provider", "rename", "acme", "work") == (
        "Renamed provider acme to work\n  3 models: work/sim-1, work/sim-text, mine\n"
    )
    after = before.replace("[providers.acme", "[providers.work").replace('provider = "acme"', 'provider = "work"')
    after = after.replace('"acme/', '"work/').replace('default_provider = "acme"', 'default_provider = "work"')
    assert bay.text == after
    assert answers(bay, "work/sim-1") and answers(bay, "one") and answers(bay, "mine")


def test_a_copy_has_its_own_models_and_key(bay: Inside):
    before = bay.text
    bay.done("provider", "copy", "acme", "copy")
    after = tomllib.loads(bay.text)
    assert after["providers"]["copy"] == after["providers"]["acme"] | {"default_model": "acme/sim-text"}
    assert {alias for alias, model in after["models"].items() if model["provider"] == "copy"} == {
        "copy/sim-1",
        "copy/sim-text",
        "copy/sim-echo",
    }
    assert "aliases" not in after["models"]["copy/sim-1"]
    assert bay.text.startswith(before.partition("[providers.other]")[0])
    assert answers(bay, "copy/sim-1") and answers(bay, "acme/sim-1")


@pytest.mark.parametrize("place", ["keyring", "file"])
@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_a_stored_key_is_renamed_with_its_origin(
    bay: Inside, keyring: dict[tuple[str, str], str], simulator: Simulator, place: str, verb: str
):
    bay.done("key", "set", "acme", f"--{place}", stdin=f"{KEY}\n")
    bay.done("provider", verb, "acme", "work")
    stored = {name for _, name in keyring} | {path.name for path in (bay.home / "keys").glob("*")}
    old = set() if verb == "rename" else {"acme", "acme.origin"}
    assert stored == {"work", "work.origin"} | old
    assert tomllib.loads(bay.text)["providers"]["work"]["api_key"] in ("{keyring:modelbay/work}", "{file:keys/work}")
    assert answers(bay, "work/sim-1")
    bay.file.write_text(bay.text.replace(simulator.url, "http://127.0.0.1:9"))
    run = bay("ask", "-m", "work/sim-1", "Hello")
    assert f"this API key was set for {simulator.url}".replace(simulator.url, "SIM") in run.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('\n[providers.work]\ntype = "openai"\n', '"work" cannot be the new ID: That provider ID already exists'),
        ('\n[models."work/sim-1"]\nprovider = "other"\nmodel = "x"\n', 'model "work/sim-1" already exists'),
    ],
)
@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_an_id_that_exists_changes_nothing(bay: Inside, more: str, said: str, verb: str):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    bay.file.write_text(before := bay.text + more)
    kept = sorted(path.name for path in (bay.home / "keys").iterdir())
    run = bay("provider", verb, "acme", "work")
    assert (run.code, bay.text) == (1, before)
    assert said in run.err and "hint: " in run.err
    assert sorted(path.name for path in (bay.home / "keys").iterdir()) == kept


def test_a_stored_key_of_the_new_name_is_not_overwritten(bay: Inside, keyring: dict[tuple[str, str], str]):
    keyring["modelbay", "work"] = "sk-of-another"
    bay.done("key", "set", "acme", "--keyring", stdin=f"{KEY}\n")
    before = bay.text
    run = bay("provider", "rename", "acme", "work")
    assert (run.code, bay.text) == (1, before)
    assert 'a key for "work" is already stored in the keyring' in run.err
    assert keyring["modelbay", "work"] == "sk-of-another"


def test_a_file_that_cannot_be_written_keeps_the_stored_key(bay: Inside, monkeypatch: pytest.MonkeyPatch):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    before, real = bay.text, files.replace

    def refuses(path: Path, old: bytes | None, new: bytes) -> None:
        if path.name == "config.toml":
            raise OSError(28, "No space left on device")
        real(path, old, new)

    monkeypatch.setattr(files, "replace", refuses)
    assert bay("provider", "rename", "acme", "work").code != 0
    monkeypatch.undo()
    assert (bay.file.read_text(), sorted(path.name for path in (bay.home / "keys").iterdir())) == (
        before,
        ["acme", "acme.origin"],
    )


def test_the_cache_of_a_source_is_renamed(bay: Inside):
    merge.remember("acme", Memory("https://a.example", {"m": {}}, 1.0, 1.0))
    bay.done("provider", "copy", "acme", "copy")
    assert merge.recall("copy") == merge.recall("acme") is not None
    bay.done("provider", "rename", "acme", "work")
    assert merge.recall("acme") is None and merge.recall("work") == merge.recall("copy")


def test_a_provider_of_a_registry_is_copied_and_not_renamed(bay: Inside):
    source = 'source = { kind = "apiJson", url = "https://reg.example/api.json" }\n'
    bay.file.write_text(bay.text.replace("[providers.other]\n", f"[providers.other]\n{source}"))
    run = bay("provider", "rename", "other", "mine-too")
    assert (run.code, "modelbay provider copy other mine-too" in run.err) == (1, True)
    assert "not updated from the registry" in bay("provider", "copy", "other", "mine-too").err
    assert load(bay.file).providers["mine-too"].source is None


def test_an_agents_reference_to_a_stored_key_follows(bay: Inside):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    folder = bay.home / "user" / ".config" / "opencode"
    folder.mkdir(parents=True)
    old, new = bay.home / "keys" / "acme", bay.home / "keys" / "work"
    (folder / "opencode.json").write_text(f'{{"a": "{{file:{old}}}", "b": "{{file:{old}-2}}"}}')
    run = bay("provider", "rename", "acme", "work")
    assert "now refers to the stored key by its new name" in run.err
    assert (folder / "opencode.json").read_text() == f'{{"a": "{{file:{new}}}", "b": "{{file:{old}-2}}"}}'


@pytest.mark.parametrize("edited", [False, True])
def test_an_undo_knows_a_reference_to_a_stored_key_that_followed(bay: Inside, edited: bool):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    file = bay.home / "user" / ".config" / "opencode" / "opencode.json"
    file.parent.mkdir(parents=True)
    mine = '{\n  "theme": "dark" // mine\n}\n'
    file.write_text(mine)
    bay.done("configure", "opencode", "acme")
    for old, new in (("acme", "work"), ("work", "home"), ("home", "acme")):
        bay.done("provider", "rename", old, new)
        assert f"keys/{new}" in file.read_text()
    bay.done("provider", "rename", "acme", "work")
    if edited:
        file.write_text(file.read_text().replace("{", '{\n  "more": 1,', 1))
    undone = bay("configure", "opencode", "--undo")
    assert undone.code == 0, undone.err
    assert file.read_text() == (mine.replace("{", '{\n  "more": 1,', 1) if edited else mine)


def test_an_undo_restores_a_reference_that_followed(bay: Inside):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    file = bay.home / "user" / ".claude" / "settings.json"
    file.parent.mkdir(parents=True)
    mine = f'{{\n  "apiKeyHelper": "cat {bay.home / "keys" / "acme"}" // mine\n}}\n'
    file.write_text(mine)
    bay.done("configure", "claude", "--gateway")
    bay.done("provider", "rename", "acme", "work")
    bay.done("configure", "claude", "--undo")
    assert file.read_text() == mine.replace("/acme", "/work")


def test_a_rename_leaves_nothing_behind_for_agents_without_a_reference(bay: Inside):
    bay.done("key", "set", "acme", "--file", stdin=f"{KEY}\n")
    bay.done("provider", "rename", "acme", "work")
    assert not (bay.home / "configured").exists()


def test_inline_tables_are_renamed_too(bay: Inside, simulator: Simulator):
    bay.file.write_text(
        f'providers.acme = {{ type = "openai", base_url = "{simulator.url}/v1", api_key = "{KEY}" }}\n'
        'models = { "acme/sim-1" = { provider = "acme", model = "sim-1" } }\n'
    )
    bay.done("provider", "rename", "acme", "work")
    assert answers(bay, "work/sim-1") and "acme" not in bay.text


@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_a_dry_run_changes_nothing(bay: Inside, verb: str):
    before = bay.text
    assert "+[providers.work]" in bay.done("provider", verb, "acme", "work", "--dry-run")
    assert bay.text == before
