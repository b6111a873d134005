"""Login tokens: refreshed once, stored before the old ones are dropped, never sent to another origin."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import msgspec
import pytest
from msgspec.structs import replace

from modelbay import Hub
from modelbay.config.load import load
from modelbay.config.schema import OAuth
from modelbay.credentials.oauth import TokenSet
from modelbay.credentials.tokens import STORES, FileStore, checked, path_of
from modelbay.errors import AuthenticationFailed, ConfigError, MalformedReply, MissingCredential, ModelbayError
from modelbay.onboarding.login.device import log_out
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.logins import login_of, oauth_table
from modelbay.providers.vendor import LoginMethod
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.credentials.file_keyring import Keyring
from tests.credentials.login_processes import (
    ASK,
    TokensHeldBack,
    configure,
    grant,
    kills_leave_a_usable_token,
    ten_processes_share_one_refresh,
)
from tests.fault_config import LONG

STORE = FileStore()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key="sk-nobody-has-this") as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim: Simulator) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    configure(tmp_path, sim)
    return tmp_path


def kept() -> TokenSet:
    found = STORE.read("managed")
    assert found is not None
    return found


async def refresh_began(sim: Simulator) -> None:
    while not any(entry.path == "/api/oauth/token" for entry in sim.journal):
        await asyncio.sleep(0.01)


async def ask(hub: Hub) -> str:
    return (await hub.complete("hello")).text


async def test_a_login_s_token_is_used_as_it_is_while_it_lasts(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim))
    async with Hub.open() as hub:
        assert await ask(hub) and await ask(hub)
    assert sim.provider.logins.refreshes == 0


@pytest.mark.parametrize("left", [-1000, 20, 299, 400])
async def test_a_token_past_half_its_life_is_refreshed_once_for_all(home: Path, sim: Simulator, left: float) -> None:
    old = grant(sim, left=left)
    STORE.write("managed", old)
    async with Hub.open() as hub:
        assert all(await asyncio.gather(*[ask(hub) for _ in range(8)]))
    assert sim.provider.logins.refreshes == 1
    assert kept().refresh_token != old.refresh_token and kept().expires_at > time.time() + 800


async def test_two_hubs_of_a_process_share_one_refresh(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=20))
    sim.provider.logins.behavior.pause = 0.1
    async with Hub.open() as one, Hub.open() as two:
        assert all(await asyncio.gather(ask(one), ask(two)))
    assert sim.provider.logins.refreshes == 1


async def test_a_401_forces_one_refresh_and_one_retry(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim))
    sim.provider.logins.withdraw()
    async with Hub.open() as hub:
        assert all(await asyncio.gather(*[ask(hub) for _ in range(5)]))
    assert sim.provider.logins.refreshes == 1


async def test_a_second_401_is_told_and_never_a_loop(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim))
    sim.provider.logins.accepts = lambda token: False  # type: ignore[method-assign]
    async with Hub.open() as hub:
        with pytest.raises(AuthenticationFailed) as caught:
            await ask(hub)
    assert caught.value.hint == "log in again (`modelbay login managed`)"
    assert sim.provider.logins.refreshes == 1
    assert len(sim.journal.calls()) + sum(entry.path.endswith("/completions") for entry in sim.journal) <= 4


async def test_a_clock_that_was_wrong_costs_a_refresh_and_nothing_else(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=10 * 365 * 86400))
    async with Hub.open() as hub:
        assert await ask(hub)
    assert sim.provider.logins.refreshes == 1
    assert abs(kept().expires_at - time.time() - 900) < 60


async def test_a_revoked_refresh_token_ends_the_login_and_is_asked_about_once(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=20))
    sim.provider.logins.revoke()
    async with Hub.open() as hub:
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="no longer logged in to managed") as caught:
                await ask(hub)
            assert caught.value.hint == "log in again: `modelbay login managed`"
    assert kept().refused
    assert [entry.path for entry in sim.journal].count("/api/oauth/token") == 1


@pytest.mark.parametrize("fault", ["401", "firewall"])
async def test_a_refusal_that_is_not_about_the_token_leaves_it_in_use(home: Path, sim: Simulator, fault: str) -> None:
    old = grant(sim, left=200)
    STORE.write("managed", old)
    sim.provider.logins.behave(LoginBehavior(faults=[fault]))
    async with Hub.open() as hub:
        assert await ask(hub), "it is valid for another 200 seconds"
    assert kept() == old


async def test_a_refusal_that_is_not_about_the_token_is_reported_and_may_pass(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=-1))
    sim.provider.logins.behave(LoginBehavior(faults=["401"]))
    async with Hub.open() as hub:
        with pytest.raises(AuthenticationFailed, match="invalid_client") as caught:
            await ask(hub)
        assert caught.value.hint == "log in again: `modelbay login managed`"
        assert await ask(hub)


@pytest.mark.parametrize("fault", ["unusable", "dpop"])
async def test_an_unusable_refresh_replaces_nothing(home: Path, sim: Simulator, fault: str) -> None:
    old = grant(sim, left=-1)
    STORE.write("managed", old)
    sim.provider.logins.behave(LoginBehavior(faults=[fault]))
    async with Hub.open() as hub:
        with pytest.raises(MalformedReply):
            await ask(hub)
        assert kept() == old and await ask(hub)


@pytest.mark.parametrize("missing", ["origin", "token_url"])
async def test_tokens_that_do_not_say_where_they_belong_are_not_sent(home: Path, sim: Simulator, missing: str) -> None:
    STORE.write("managed", replace(grant(sim), **{missing: None}))
    async with Hub.open() as hub:
        with pytest.raises(ConfigError, match="have no known issuer") as caught:
            await ask(hub)
    assert "modelbay login managed" in str(caught.value.hint)
    assert not list(sim.journal)


@pytest.mark.parametrize("login", [login for _, login in presets.logins() if login.by == "device"])
def test_another_program_s_tokens_go_to_the_vendor_s_own_addresses_only(login: LoginMethod) -> None:
    table = msgspec.convert(oauth_table(login), OAuth)
    assert login_of(table, "x", origin(login.base_url or "")).usual
    assert not login_of(table, "x", origin("https://api.acme.test")).usual
    elsewhere = replace(table, oauth_host="https://auth.acme.test")
    assert not login_of(elsewhere, "x", origin(login.base_url or "")).usual


async def test_tokens_bound_to_a_key_are_not_sent_as_bearer(home: Path, sim: Simulator) -> None:
    STORE.write("managed", replace(grant(sim), token_type="DPoP"))
    async with Hub.open() as hub:
        with pytest.raises(ConfigError, match="are of type 'DPoP'; only Bearer is supported"):
            await ask(hub)
    assert not list(sim.journal)


async def test_a_logout_during_a_refresh_is_not_undone(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=-1))
    sim.provider.logins.behavior.pause = 0.5
    async with Hub.open() as hub:
        asking = asyncio.create_task(ask(hub))
        await refresh_began(sim)
        ended = (await log_out(load(None), "managed")).ended
        assert await asking, "the refresh was under way"
        assert ended.deleted and ended.problem is None and STORE.read("managed") is None
        with pytest.raises(MissingCredential):
            await ask(hub)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_ended_while_it_refreshes_stores_the_new_tokens(
    home: Path, sim: Simulator, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = grant(sim, left=20)
    STORE.write("managed", old)
    tokens = TokensHeldBack(sim, monkeypatch)
    with subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as asks:
        assert asks.stdin is not None
        asks.stdin.write("\n")
        asks.stdin.flush()
        tokens.wait_for_request()
        asks.send_signal(number)
        tokens.release()
        assert asks.wait(LONG) == -number
    assert kept().refresh_token != old.refresh_token and sim.provider.logins.accepts(kept().access_token)


async def test_a_program_that_knows_no_lock_may_have_rotated_meanwhile(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=20))
    sim.provider.logins.revoke()
    sim.provider.logins.behave(LoginBehavior(faults=["slow"]))
    async with Hub.open() as hub:
        asking = asyncio.create_task(ask(hub))
        await refresh_began(sim)
        other = grant(sim)
        STORE.write("managed", other)
        await asking
    assert kept() == other


async def test_a_login_server_that_is_down_does_not_stop_a_token_that_is_still_good(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=200))
    sim.provider.logins.behave(LoginBehavior(faults=["500"] * 3))
    async with Hub.open() as hub:
        hub._client._tokens_of("managed")._sleep = lambda _: asyncio.sleep(0)
        assert await ask(hub)
    assert not kept().refused


async def test_a_login_server_that_comes_back_is_asked_again(home: Path, sim: Simulator) -> None:
    STORE.write("managed", grant(sim, left=-1))
    sim.provider.logins.behave(LoginBehavior(faults=["500", "drop"]))
    async with Hub.open() as hub:
        hub._client._tokens_of("managed")._sleep = lambda _: asyncio.sleep(0)
        assert await ask(hub)
    assert sim.provider.logins.refreshes == 1


async def test_a_cancelled_call_stores_the_tokens_of_its_refresh(home: Path, sim: Simulator) -> None:
    old = grant(sim, left=20)
    STORE.write("managed", old)
    sim.provider.logins.behavior.pause = 1.0
    async with Hub.open() as hub:
        asking = asyncio.create_task(ask(hub))
        await refresh_began(sim)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert kept().refresh_token != old.refresh_token


async def test_tokens_of_another_origin_are_not_sent(home: Path, sim: Simulator) -> None:
    tokens = grant(sim)
    tokens.origin = "https://api.acme.test"
    STORE.write("managed", tokens)
    async with Hub.open() as hub:
        with pytest.raises(ConfigError, match=r"was made for https://api\.acme\.test"):
            await ask(hub)
    assert not list(sim.journal)


async def test_without_a_login_the_hint_says_how(home: Path) -> None:
    async with Hub.open() as hub:
        with pytest.raises(MissingCredential) as caught:
            await ask(hub)
    assert "modelbay login managed" in str(caught.value.hint)


async def test_a_disk_that_is_full_does_not_lose_the_login(
    home: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    STORE.write("managed", grant(sim, left=20))

    def full(*_: object) -> None:
        raise ConfigError("no space left")

    async with Hub.open() as hub:
        with monkeypatch.context() as patch:
            patch.setattr("modelbay.storage.files.replace", full)
            assert await ask(hub)
        sim.provider.logins.withdraw()
        assert await ask(hub)
    assert sim.provider.logins.accepts(kept().access_token)


async def test_tokens_in_the_keyring_are_refreshed_there(
    home: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, before = STORES["keyring"], keyring.get_keyring()
    monkeypatch.setenv("FILE_KEYRING", str(home / "keyring.json"))
    config = home / "config.toml"
    config.write_text(config.read_text().replace('key = "managed"', 'key = "managed"\nstorage = "keyring"'))
    keyring.set_keyring(Keyring())
    try:
        old = grant(sim, left=20)
        store.write("managed", old)
        async with Hub.open() as one, Hub.open() as two:
            assert all(await asyncio.gather(ask(one), ask(two), ask(one)))
        new = store.read("managed")
        assert sim.provider.logins.refreshes == 1
        assert new is not None and new.refresh_token != old.refresh_token and not path_of("managed").exists()
    finally:
        keyring.set_keyring(before)


async def test_a_broken_file_is_reported(home: Path) -> None:
    path_of("managed").parent.mkdir()
    path_of("managed").write_text("{")
    async with Hub.open() as hub:
        with pytest.raises(ModelbayError, match="invalid login tokens in"):
            await ask(hub)


def test_the_file_is_kimi_code_s_and_private(home: Path) -> None:
    STORE.write("kimi-code", TokenSet(access_token="a", refresh_token="r", expires_at=17, expires_in=900))
    path = home / "credentials" / "kimi-code.json"
    assert set(msgspec.json.decode(path.read_bytes())) == {
        "access_token", "refresh_token", "expires_at", "scope", "token_type", "expires_in",
    }  # fmt: skip
    if sys.platform != "win32":
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "../up", "/etc/passwd", "a\0", "a\n", "C:x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        checked(name)


def test_ten_processes_that_meet_an_ending_token_share_one_refresh(home: Path, sim: Simulator) -> None:
    assert ten_processes_share_one_refresh(home, sim) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")
def test_a_process_that_is_killed_while_it_refreshes_leaves_a_usable_token(home: Path, sim: Simulator) -> None:
    kills_leave_a_usable_token(home, sim, 5)
