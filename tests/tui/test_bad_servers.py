"""Each dialog that sends a request, against servers that fail in each way: it says what failed, and the app goes on."""

import json
import os
import signal
import tomllib
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import msgspec
import pytest

from modelbay.calling import network_client
from modelbay.catalog.lists import discovery
from modelbay.credentials import oauth
from modelbay.onboarding import local_servers
from modelbay.onboarding.sources import documents
from modelbay.providers import logins, presets
from modelbay.providers.vendor import LoginMethod
from modelbay.simulator import Simulator
from tests.cli.command import KEY, Command
from tests.fault_config import SHORT
from tests.servers.site import Page, Site, site
from tests.tui.sitting import Sitting, sitting

BODY = json.dumps({"data": [{"id": f"m-{number}"} for number in range(3)]}).encode()
PAGE = b"<!doctype html><title>Welcome</title>"
CLOSED = "closed the connection without a response"


class Fault(NamedTuple):
    """The response of a server to every request, and the words of the error for a list, a document and a login."""

    page: Page | int
    words: str
    document: str = ""
    """As `words`, if blank."""
    login: str = ""


FAULTS = {
    "closes at once": Fault(Page(cut=-1), CLOSED),
    "closes in the middle": Fault(Page(BODY, cut=10), "connection closed by"),
    "a web page": Fault(Page(PAGE), "not JSON: an HTML page", "an HTML page: Welcome", "not a JSON object"),
    "500": Fault(500, "returned 500", login="status 500"),
    "401": Fault(401, "rejected", "returned 401", "status 401"),
    "redirect": Fault(
        Page(status=302, headers={"location": "http://elsewhere.invalid/"}),
        "redirect (302) to",
        "could not resolve host",
    ),
    "hangs": Fault(Page(late=True), "did not return its model list within 0.4 s", "took longer than 0.4 s", "0.4 s"),
}
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))


@pytest.fixture
def bad(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with this fault. The limits that only a server which hangs reaches are short."""
    if isinstance(fault.page, Page) and fault.page.late:
        monkeypatch.setattr(discovery, "SECONDS", SHORT)
        monkeypatch.setattr(documents, "SECONDS", SHORT)
        monkeypatch.setattr(network_client, "EXCHANGE_SECONDS", SHORT)
        monkeypatch.setattr(local_servers, "SECONDS", SHORT)
    with site() as server:
        server.every = fault.page
        yield server


async def opens(person: Sitting, way: int, words: str) -> None:
    """Open the dialog of a way to add a provider."""
    await person.says("/provider")
    await person.sees("[ Add new provider ]")
    await person.presses("end", "enter")
    await person.sees("Add provider")
    await person.presses(*["down"] * way, "enter")
    await person.sees(words)


async def fills(person: Sitting, *values: str) -> None:
    """Types into the fields, one after another, and submits."""
    for value in values:
        await person.types(value)
        await person.presses("down" if value is not values[-1] else "ctrl+s")


async def closes(person: Sitting) -> None:
    """Leave all dialogs."""
    while person.app.screen is not person.app.chat_screen:
        await person.presses("escape")


async def anything(person: Sitting, url: str) -> None:
    await opens(person, 0, "Name, URL, file")
    await fills(person, f"{url}/v1", KEY)


async def custom(person: Sitting, url: str) -> None:
    await opens(person, 2, "Custom provider")
    await fills(person, "acme", "Acme", "", f"{url}/v1", KEY)


async def manifest(person: Sitting, url: str) -> None:
    await opens(person, 3, "Add by manifest")
    await fills(person, f"{url}/v1/models?provider=true", KEY)


async def registry(person: Sitting, url: str) -> None:
    await opens(person, 4, "Import custom provider registry")
    await fills(person, f"{url}/api.json", KEY)


async def editing(person: Sitting, url: str) -> None:
    await person.says("/provider")
    await person.sees("[ Add new provider ]")
    await person.presses("e")
    await person.sees("Edit sim")
    await person.presses("up", "ctrl+u")
    await fills(person, f"{url}/v1", KEY)


async def key_login(person: Sitting, url: str) -> None:
    name = next(login.id for _, login in presets.logins() if login.by == "key")
    await person.says(f"/login {name}")
    await person.sees("API key")
    await fills(person, KEY)


def elsewhere(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Move the platforms with a login by key to this server."""
    by_id = logins.by_id

    def moved(name: str) -> LoginMethod | None:
        found = by_id(name)
        return found and msgspec.structs.replace(found, base_url=f"{url}/v1")

    monkeypatch.setattr(logins, "by_id", moved)


WAYS: list[Callable[[Sitting, str], Awaitable[None]]] = [anything, custom, manifest, registry, editing, key_login]
DOCUMENTS = (manifest, registry)


@faults
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_dialog_says_what_failed_and_nothing_is_written(
    home: Path, configured: str, bad: Site, fault: Fault, way: Callable[[Sitting, str], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    elsewhere(monkeypatch, bad.url)
    words = (fault.document or fault.words) if way in DOCUMENTS else fault.words
    if way is registry and fault is FAULTS["401"]:
        words = "The token was rejected"
    if way is key_login and fault is FAULTS["401"]:
        words = "returned 401"
    async with sitting(configured, home=home, size=(150, 40)) as person:
        await way(person, bad.url)
        await person.reads(words)
        assert KEY not in person.screen
        assert person.config == configured
        await closes(person)
        await person.says("Hello")
        await person.sees("You asked: Hello")
        assert person.config == configured


@faults
async def test_a_local_server_that_fails_is_not_offered_and_one_that_requires_a_key_is(
    home: Path, configured: str, bad: Site, fault: Fault, monkeypatch: pytest.MonkeyPatch
):
    known = presets.by_id("ollama")
    assert known is not None
    here = msgspec.structs.replace(known, base_url=f"{bad.url}/v1", hosts=[])
    monkeypatch.setattr(local_servers, "usual", lambda: [here])
    async with sitting(configured, home=home) as person:
        await person.says("/provider")
        await person.sees("[ Add new provider ]")
        await person.presses("end", "enter")
        await person.sees("Local server")
        await person.presses("end", "enter")
        await person.sees("requires an API key" if fault is FAULTS["401"] else "No local server found")


async def test_a_local_server_that_ends_before_it_is_added_is_said(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    known = presets.by_id("ollama")
    assert known is not None
    with site() as server:
        server.pages["/v1/models"] = {"data": [{"id": "m"}]}
        here = msgspec.structs.replace(known, base_url=f"{server.url}/v1", hosts=[])
        monkeypatch.setattr(local_servers, "usual", lambda: [here])
        async with sitting(configured, home=home) as person:
            await opens(person, 5, "1 model")
            server.every = Page(cut=-1)
            await person.presses("enter")
            await person.reads("Could not list the models", CLOSED)
            await person.presses("escape")
            await closes(person)
            await person.says("Hello")
            await person.sees("You asked: Hello")
            assert person.config == configured


async def test_an_edit_whose_connection_fails_is_saved_only_after_a_look_at_it(home: Path, configured: str):
    with site() as server:
        server.every = 500
        async with sitting(configured, home=home, size=(100, 30)) as person:
            await editing(person, server.url)
            screen = await person.reads("Connection", "returned 500", "Enter save")
            assert screen.count("returned 500") == 1
            await person.presses("escape")
            await person.sees("Ctrl-S save", f"{server.url}/v1")
            assert person.config == configured
            await person.presses("ctrl+s")
            await person.sees("Enter save")
            await person.presses("enter")
            await person.sees("Saved sim")
            assert tomllib.loads(person.config)["providers"]["sim"]["base_url"] == f"{server.url}/v1"


# --- login ---

FLOW = """
[providers.own]
type = "openai"
base_url = "SIM/coding/v1"

[providers.own.oauth]
key = "own"
device_url = "LOGIN/api/oauth/device_authorization"
token_url = "LOGIN/api/oauth/token"
client_id = "me"

[models.mine]
provider = "own"
model = "sim-1"
"""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A login polls at once. Returns the seconds that it would have waited before each poll."""
    waited: list[float] = []

    async def soon(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0.01)

    monkeypatch.setattr(oauth, "log_in", partial(oauth.log_in, sleep=soon))
    return waited


@faults
async def test_a_login_server_that_fails_is_said_and_the_login_can_be_tried_again(
    home: Path, configured: str, simulator: Simulator, bad: Site, fault: Fault, waits: list[float]
):
    bad.simulator = simulator
    flow = FLOW.replace("LOGIN", bad.url).replace("SIM", simulator.url)
    async with sitting(configured + flow, home=home, size=(150, 40)) as person:
        await person.says("/login own")
        await person.reads("Log in to", fault.login or fault.words)
        bad.every = None
        bad.calls = {f"/api/oauth/{name}": f"/api/oauth/{name}" for name in ("device_authorization", "token")}
        await person.presses("enter")
        await person.sees("Select a model", "mine")
        await person.presses("escape")
        await person.says("Hello")
        await person.sees("You asked: Hello")


@pytest.mark.parametrize("kind", ["deny", "unusable", "dpop", "firewall", "expire"])
async def test_a_login_that_is_refused_at_the_end_takes_its_code_away_and_is_retried(
    home: Path, configured: str, simulator: Simulator, waits: list[float], kind: str
):
    from modelbay.simulator.login_server import behavior_of

    times = oauth.CODES if kind == "expire" else 1  # a code that has expired is replaced by a new one
    simulator.provider.logins.behave(behavior_of([f"{kind}*{times}"]))
    flow = FLOW.replace("LOGIN", simulator.url).replace("SIM", simulator.url)
    async with sitting(configured + flow, home=home, size=(120, 30)) as person:
        await person.says("/login own")
        await person.sees("Log in to", "Login")
        await person.reads({"deny": "denied", "expire": "expired", "firewall": "403"}.get(kind, "invalid response"))
        await person.sees_no("/simulate/approve")
        assert not list((home / "credentials").glob("*.json"))
        await person.presses("enter")
        await person.sees("Select a model", "mine")
        assert list((home / "credentials").glob("own*.json"))


@pytest.mark.parametrize("kind", ["500", "drop", "slow-down"])
async def test_a_poll_that_fails_does_not_end_a_login(
    home: Path, configured: str, simulator: Simulator, waits: list[float], kind: str
):
    from modelbay.simulator.login_server import behavior_of

    simulator.provider.logins.behave(behavior_of([f"{kind}*3"]))
    flow = FLOW.replace("LOGIN", simulator.url).replace("SIM", simulator.url)
    async with sitting(configured + flow, home=home, size=(120, 30)) as person:
        await person.says("/login own")
        await person.sees("Select a model", "mine")


# --- the footer ---


async def test_the_footer_names_the_model_after_a_login_and_none_after_its_provider_is_deleted(
    home: Path, simulator: Simulator, waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(local_servers, "usual", list)
    flow = FLOW.replace("LOGIN", simulator.url).replace("SIM", simulator.url)
    async with sitting(flow, home=home) as person:

        def foot() -> str:
            return person.screen.splitlines()[-1]

        await person.says("/login own")
        await person.sees("Select a model", "mine")
        await person.presses("enter")
        await person.sees_no("Select a model")
        assert "mine" in foot()
        await person.says("/provider")
        await person.sees("[ Add new provider ]")
        await person.presses("d", "y")
        await person.sees_no("own ")
        await person.presses("escape")
        await person.sees("no provider · /provider")
        assert "mine" not in foot()


async def test_the_footer_names_no_model_of_a_provider_that_was_logged_out(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/logout")
        await person.sees("Log out of")
        await person.presses("enter")
        await person.sees("Log out? [y/N]")
        await person.presses("y")
        await person.sees("Logged out of sim", "no model · /model")
        assert "thinker" not in person.screen


# --- a server that is killed ---


class Doomed(NamedTuple):
    process: Popen[str]
    url: str


@pytest.fixture
def doomed(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Doomed]:
    """A simulator in a process of its own, to be killed, and its URL."""
    command = Command(tmp_path_factory.mktemp("doomed"), simulator)
    with command.start("simulate", "--port", "0", "--login", "wait") as process:
        assert process.stdout is not None
        yield Doomed(process, process.stdout.readline().strip())
        process.kill()


async def test_a_server_that_is_killed_while_a_dialog_waits(home: Path, configured: str, doomed: Doomed):
    async with sitting(configured, home=home, size=(120, 30)) as person:
        os.kill(doomed.process.pid, signal.SIGSTOP)  # it takes the connection and does not answer
        await anything(person, doomed.url)
        await person.sees("recognizing it …")
        os.kill(doomed.process.pid, signal.SIGKILL)
        await person.reads("Could not list the models", "closed the connection")
        await person.presses("escape")
        await person.sees("Add a provider")
        await closes(person)
        await person.says("Hello")
        await person.sees("You asked: Hello")
        assert person.config == configured


async def test_a_login_server_that_is_killed_while_the_code_is_shown(
    home: Path, configured: str, doomed: Doomed, waits: list[float]
):
    flow = FLOW.replace("LOGIN", doomed.url).replace("SIM", doomed.url)
    async with sitting(configured + flow, home=home, size=(120, 30)) as person:
        await person.says("/login own")
        await person.sees("/simulate/approve", "waiting for approval")
        os.kill(doomed.process.pid, signal.SIGKILL)
        doomed.process.wait()
        polls = len(waits)
        while len(waits) < polls + 3:
            await person.pilot.pause(0.02)
        await person.sees("waiting for approval")  # the network may come back
        await person.presses("escape")
        await person.sees("Cancelled")
        await person.presses("escape")
        await person.says("Hello")
        await person.sees("You asked: Hello")
        assert not list((home / "credentials").glob("*.json"))
