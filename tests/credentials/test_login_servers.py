"""Logging in at servers that are not ours: oidc-provider and Authlib. Their polls are real, the waits between them are not."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from modelbay.calling.provider_client import ProviderClient
from modelbay.config.schema import Config
from modelbay.credentials.oauth import Code, Device, Flow, Refused, TokenSet, log_in, refreshed
from modelbay.credentials.tokens import FileStore, Login, Tokens
from modelbay.errors import AuthenticationFailed
from modelbay.simulator import Simulator
from tests.cli.command import Command
from tests.credentials.test_oauth import Time, kept
from tests.servers.authlib_server import AuthlibServer, authlib_server
from tests.servers.oidc import OidcProvider

Server = OidcProvider | AuthlibServer
DAY = 86_400.0


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[ProviderClient]:
    line = ProviderClient(Config(path=tmp_path / "config.toml"))
    yield line
    await line.aclose()


def flow(server: Server) -> Flow:
    return Flow(server.device_url, server.token_url, server.client_id, server.scope)


class Person:
    """Sees codes, and does something about them after so many polls."""

    def __init__(self, does: Callable[[str], object], *, after: int = 0) -> None:
        self.time = Time()
        self.codes: list[Code] = []
        self._does = does
        self._after = after

    def sees(self, code: Code) -> None:
        self.codes.append(code)

    async def sleep(self, seconds: float) -> None:
        await self.time.sleep(seconds)
        if len(self.time.slept) == self._after + 1:
            self._does(self.codes[-1].user_code)


async def logged_in(server: Server, line: ProviderClient, person: Person) -> TokenSet:
    return await log_in(flow(server), line.exchange, person.sees, kept, clock=person.time, sleep=person.sleep)


async def test_an_approved_login_gives_tokens_that_the_server_accepts(
    login_server: Server, line: ProviderClient
) -> None:
    person = Person(login_server.approve, after=2)
    tokens = await logged_in(login_server, line, person)
    assert login_server.accepts(tokens.access_token) and not login_server.accepts("another")
    assert tokens.refresh_token and tokens.expires_in == 900
    assert abs(tokens.expires_at - time.time() - 900) < 60
    assert person.time.slept == [login_server.interval] * 3
    code = person.codes[0]
    assert code.uri_complete is not None and code.user_code in code.uri_complete


async def test_a_denied_login_is_over(login_server: Server, line: ProviderClient) -> None:
    with pytest.raises(AuthenticationFailed, match="the login was denied"):
        await logged_in(login_server, line, Person(login_server.deny, after=1))


async def test_an_expired_code_is_followed_by_a_new_one(login_server: Server, line: ProviderClient) -> None:
    def first_too_late(user_code: str) -> None:
        login_server.expire(user_code)
        person._does, person._after = login_server.approve, 1

    person = Person(first_too_late)
    tokens = await logged_in(login_server, line, person)
    assert login_server.accepts(tokens.access_token)
    assert len({code.user_code for code in person.codes}) == 2


async def test_slow_down_slows_for_good(line: ProviderClient) -> None:
    with authlib_server() as server:
        server.impatient = 2
        person = Person(server.approve, after=3)
        await logged_in(server, line, person)
    assert person.time.slept == [2.0, 7.0, 12.0, 12.0]


async def test_a_network_that_fails_while_polling_is_waited_for(login_server: Server, line: ProviderClient) -> None:
    login_server.drop(2)
    person = Person(login_server.approve, after=3)
    assert login_server.accepts((await logged_in(login_server, line, person)).access_token)
    assert len(person.codes) == 1


async def test_a_code_is_good_once(login_server: Server, line: ProviderClient) -> None:
    device = Device(flow(login_server), line.exchange)
    code = await device.start()
    assert await device.poll() is None
    login_server.approve(code.user_code)
    assert await device.poll() is not None
    with pytest.raises(Refused):
        await device.poll()


async def test_refresh_tokens_rotate_and_an_old_one_is_refused_for_good(
    login_server: Server, line: ProviderClient
) -> None:
    old = await logged_in(login_server, line, Person(login_server.approve))
    new = await refreshed(flow(login_server), old, line.exchange)
    assert new.refresh_token != old.refresh_token and login_server.accepts(new.access_token)
    with pytest.raises(Refused) as caught:
        await refreshed(flow(login_server), old, line.exchange)
    assert caught.value.final


def login_of(server: Server) -> Login:
    return Login("theirs", flow(server), "file", "https://api.acme.test", "theirs")


@pytest.mark.parametrize("skew", [DAY, -DAY])
async def test_a_clock_that_is_a_day_wrong_costs_no_refresh_after_the_first(
    skew: float, login_server: Server, line: ProviderClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    first = await logged_in(login_server, line, Person(login_server.approve))
    first.origin = login_of(login_server).origin
    FileStore().write("theirs", first)
    tokens = Tokens(line.exchange, lambda: time.time() + skew)
    before = login_server.asked()
    used = [await tokens.token(login_of(login_server)) for _ in range(3)]
    assert len(set(used)) == 1 and login_server.accepts(used[0])
    assert login_server.asked() == before + 1, "its times were another clock's"
    kept = FileStore().read("theirs")
    assert kept is not None and abs(kept.expires_at - time.time() - skew - 900) < 60


async def test_a_revoked_refresh_token_ends_the_login(
    login_server: Server, line: ProviderClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    first = await logged_in(login_server, line, Person(login_server.approve))
    first.origin = login_of(login_server).origin
    FileStore().write("theirs", first)
    login_server.revoke()
    tokens, before = Tokens(line.exchange), login_server.asked()
    for _ in range(2):
        with pytest.raises(AuthenticationFailed, match="no longer logged in to theirs") as caught:
            await tokens.token(login_of(login_server), refused=first.access_token)
        assert caught.value.hint == "log in again: `modelbay login theirs`"
    assert login_server.asked() == before + 1, "it is asked once, and the end is remembered"


CONFIG = """\
default_model = "theirs/sim-1"

[providers.theirs]
type = "openai"
base_url = "SIM/coding/v1"

[providers.theirs.oauth]
key = "theirs"
device_url = "{device_url}"
token_url = "{token_url}"
client_id = "{client_id}"
scope = "{scope}"
"""


def access_token(home: Path) -> str:
    kept: dict[str, str] = json.loads((home / "credentials" / "theirs.json").read_text())
    return kept["access_token"]


@pytest.mark.skipif(sys.platform == "win32", reason="the browser would open")
def test_a_provider_with_its_own_flow_answers_after_login_and_after_its_token_was_taken_back(
    login_server: Server, tmp_path: Path
) -> None:
    with Simulator(key="sk-nobody-has-this") as simulator:
        taken: set[str] = set()
        simulator.provider.logins.accepts = (  # type: ignore[method-assign]
            lambda token: token not in taken and login_server.accepts(token)
        )
        command = Command(tmp_path, simulator)
        names = {name: getattr(login_server, name) for name in ("device_url", "token_url", "client_id", "scope")}
        command.configure(CONFIG.format(**names))
        login = command.start("login", "theirs")
        assert login.stderr is not None
        shown = login.stderr.readline() + login.stderr.readline()
        found = re.search(r"approve the code (\S+)\.", shown)
        assert found is not None, shown
        login_server.approve(found[1])
        out, err = login.communicate(timeout=60)
        assert (login.returncode, out) == (0, "Logged in to theirs\n"), err
        assert "You asked: hello." in command("ask", "hello").out
        taken.add(access_token(tmp_path))
        assert "You asked: hello." in command("ask", "hello").out, "a 401 forces a refresh"
        login_server.revoke()
        taken.add(access_token(tmp_path))
        run = command("ask", "hello")
        assert run.code == 1 and "log in again: `modelbay login theirs`" in run.err
        assert command("login", "--status").out.split() == ["theirs", "refused"]
