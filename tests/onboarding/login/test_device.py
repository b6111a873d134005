"""Logging in without a terminal: what there is to log in to, and how each login stands."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from modelbay.config.load import parse
from modelbay.config.schema import Config
from modelbay.credentials.oauth import TokenSet
from modelbay.credentials.tokens import STORES, KeyringStore, path_of
from modelbay.errors import ConfigError
from modelbay.onboarding.login.device import Status, check_editable, log_out, platforms, status, target
from tests.credentials.file_keyring import Keyring

ENTRY = """\
[providers.{id}]
type = "openai"
base_url = "https://api.{id}.test/v1"
oauth = {{ key = "{id}", storage = "{storage}", device_url = "https://a.test/d", token_url = "https://a.test/t", client_id = "me" }}
"""
NOW = 1_800_000_000.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def a_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FILE_KEYRING", str(tmp_path / "keyring.json"))
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def config(home: Path, storage: str = "file") -> Config:
    return parse(ENTRY.format(id="acme", storage=storage), home / "config.toml")


@pytest.mark.parametrize("storage", ["file", "keyring"])
@pytest.mark.parametrize(
    ("kept", "stands"),
    [
        (None, Status("acme", "logged out")),
        (TokenSet(access_token=""), Status("acme", "refused")),
        (TokenSet(access_token="a", refresh_token="r", expires_at=NOW - 1), Status("acme", "logged in", NOW - 1)),
        (TokenSet(access_token="a", expires_at=NOW + 1), Status("acme", "logged in", NOW + 1)),
        (TokenSet(access_token="a", expires_at=NOW - 1), Status("acme", "ended", NOW - 1)),
        (TokenSet(access_token="a"), Status("acme", "logged in")),
    ],
)
@pytest.mark.usefixtures("a_keyring")
def test_how_a_login_stands(kept: TokenSet | None, stands: Status, storage: str, home: Path) -> None:
    if kept is not None:
        STORES[storage].write("acme", kept)
    assert status(config(home, storage), lambda: NOW) == [stands]


@pytest.mark.usefixtures("a_keyring")
def test_the_keyring_stores_returns_and_deletes_tokens(home: Path) -> None:
    store, tokens = KeyringStore(), TokenSet(access_token="a-1234567", refresh_token="r-1234567", expires_at=17)
    assert (store.read("acme"), store.delete("acme")) == (None, False)
    store.write("acme", tokens)
    assert store.read("acme") == tokens and not path_of("acme").exists()
    assert (store.delete("acme"), store.read("acme")) == (True, None)


async def test_tokens_that_cannot_be_read_do_not_end_a_login(home: Path) -> None:
    path_of("acme").parent.mkdir()
    path_of("acme").write_text("{")
    assert status(config(home)) == [Status("acme", "unreadable")]
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        assert status(config(home, "keyring")) == [Status("acme", "unreadable")]
        with pytest.raises(ConfigError, match="the keyring is not available"):
            await log_out(config(home, "keyring"), "acme")
    finally:
        keyring.set_keyring(before)


def test_platforms_and_own_providers_are_listed_as_logins(home: Path) -> None:
    found = platforms(config(home))
    assert {offer.by for offer in found} == {"device", "key", "adc"}
    assert (found[-1].id, found[-1].title, found[-1].by) == ("acme", "provider acme", "device")
    assert len({offer.id for offer in found}) == len(found)


@pytest.mark.parametrize("offer", [offer for offer in platforms(Config(path=Path("x"))) if offer.by == "device"])
def test_every_platform_of_a_device_login_has_its_own_place(offer: object, home: Path) -> None:
    to = target(config(home), offer.id)  # type: ignore[attr-defined]
    assert to.login is not None and to.entry.id == to.login.provider
    assert to.table["oauth"]["storage"] == "file"
    kept = Config(path=home / "config.toml", providers={to.entry.id: to.entry})
    again = target(kept, to.entry.id)
    assert (again.login, again.table) == (to.login, to.table), "an entry leads back to the login that wrote it"
    with pytest.raises(ConfigError, match="is managed by the login to"):
        check_editable(kept, to.entry.id)


def test_the_user_s_own_are_the_user_s(home: Path) -> None:
    check_editable(config(home), "acme")
    check_editable(config(home), "nobody")
