"""Storing keys: all of it, or nothing."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import keyring
import pytest

from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.credentials import storage
from modelbay.errors import ConfigError
from modelbay.origin import origin
from tests.credentials.file_keyring import Keyring

WHERE = origin("https://api.example/v1")
TEXT = '[providers.p]\ntype = "openai"\nbase_url = "https://api.example/v1"\nauth = "none"\napi_key = "sk-plain-key"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setenv("FILE_KEYRING", str(tmp_path / "keyring.json"))
    (tmp_path / "config.toml").write_text(TEXT)
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield load()
    keyring.set_keyring(before)


def test_a_key_that_is_stored_is_used(config: Config) -> None:
    """`auth = "none"`, which would leave it unused, goes."""
    storage.keep_in_keyring(config, config.provider("p"), "sk-new-key", WHERE)
    assert load().provider("p").auth is None
    assert load().provider("p").api_key == "{keyring:modelbay/p}"


@pytest.mark.parametrize("keep", [storage.keep_in_keyring, storage.keep_in_file])
def test_where_the_configuration_cannot_be_changed_no_key_is_changed(
    config: Config, monkeypatch: pytest.MonkeyPatch, keep
) -> None:
    entry = config.provider("p")
    keep(config, entry, "sk-first-key", WHERE)

    def fail(*_: object, **__: object) -> None:
        raise ConfigError("the disk is full")

    monkeypatch.setattr(storage, "apply", fail)
    for key in ("sk-second-key", "sk-third-key"):
        with pytest.raises(ConfigError, match="full"):
            keep(load(), load().provider("p"), key, origin("https://other.example"))
    kept = keyring.get_password("modelbay", "p") or (config.path.parent / "keys" / "p").read_text().strip()
    bound = keyring.get_password("modelbay", "p.origin") or (config.path.parent / "keys" / "p.origin").read_text()
    assert (kept, bound.strip()) == ("sk-first-key", "https://api.example")


def test_keys_that_are_stored_at_once_stay_with_their_origins(config: Config) -> None:
    entry, errors = config.provider("p"), []

    def store(number: int) -> None:
        try:
            storage.keep_in_file(config, entry, f"sk-key-{number}", origin(f"https://{number}.example"))
        except ConfigError as error:
            errors.append(error)

    threads = [Thread(target=store, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key, bound = ((config.path.parent / "keys" / name).read_text().strip() for name in ("p", "p.origin"))
    assert not errors and bound == f"https://{key.removeprefix('sk-key-')}.example"


def test_the_plain_key_is_the_one_in_the_file_itself(config: Config) -> None:
    assert storage.plain_key(config.provider("p")) == "sk-plain-key"
    storage.keep_in_file(config, config.provider("p"), "sk-new-key", WHERE)
    assert storage.plain_key(load().provider("p")) is None


@pytest.mark.parametrize("id", ["a/b", "..", "x.origin", "a}b", "a\nb"])
def test_an_id_that_cannot_be_a_file_name_is_refused(config: Config, id: str) -> None:
    entry = config.provider("p")
    entry.id = id
    with pytest.raises(ConfigError, match="is not a valid file name"):
        storage.keep_in_file(config, entry, "sk-new-key", WHERE)


@pytest.mark.parametrize("keep", [storage.keep_in_keyring, storage.keep_in_file])
def test_a_stored_key_takes_the_place_of_a_variable(config: Config, keep) -> None:
    config.path.write_text(
        '[providers.p]\ntype = "openai"\nbase_url = "https://api.example/v1"\napi_key_env = "P_KEY"\n'
    )
    keep(load(), load().provider("p"), "sk-new-key", WHERE)
    assert "api_key_env" not in config.path.read_text()
    assert not load().problems
    config.path.write_text(
        '[providers.p]\ntype = "openai"\nbase_url = "https://api.example/v1"\napi_key_env = "P_KEY"\n'
    )
    assert storage.delete(load(), load().provider("p")) == [f"api_key_env in {config.path}"]
    assert "P_KEY" not in config.path.read_text()
