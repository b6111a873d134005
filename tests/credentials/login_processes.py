"""Processes that share one login: they meet an ending token together, and are killed while they refresh it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from modelbay.credentials.oauth import TokenSet
from modelbay.credentials.tokens import FileStore
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from modelbay.simulator.responses import SimulatedResponse
from tests.fault_config import LONG

CONFIG = """\
default_model = "m"

[providers.managed]
type = "openai"
base_url = "SIM/coding/v1"

[providers.managed.oauth]
key = "managed"
oauth_host = "SIM"
device_url = "/api/oauth/device_authorization"
token_url = "/api/oauth/token"
client_id = "tests"

[models.m]
provider = "managed"
model = "sim-1"
"""

ASK = """
import asyncio, sys
from modelbay import Hub

async def main():
    async with Hub.open() as hub:
        print("ready", flush=True)
        sys.stdin.readline()
        print((await hub.complete("hello")).text[:5], flush=True)

asyncio.run(main())
"""

REFRESH = """
import asyncio
from modelbay.config.load import load
from modelbay.origin import origin
from modelbay.calling.provider_client import ProviderClient
from modelbay.providers.logins import login_of

async def main():
    config = load(None)
    entry = config.provider("managed")
    line = ProviderClient(config)
    login = login_of(entry.oauth, "managed", origin(entry.base_url))
    refused = None
    while True:
        refused = await line.token(login, refused)
        print("refreshed", flush=True)

asyncio.run(main())
"""


def configure(home: Path, simulator: Simulator) -> None:
    (home / "config.toml").write_text(CONFIG.replace("SIM", simulator.url), encoding="utf-8")


def grant(simulator: Simulator, *, left: float = 900, lasts: float = 900) -> TokenSet:
    """Tokens of a login that was approved a while ago."""
    import msgspec

    simulator.provider.logins.behavior.approve_after = 0
    code = msgspec.json.decode(
        b"".join(_bytes(simulator.provider.logins.device(b"client_id=tests", simulator.url).steps))
    )
    form = f"grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={code['device_code']}"
    said = msgspec.json.decode(b"".join(_bytes(simulator.provider.logins.token(form.encode()).steps)))
    return TokenSet(
        access_token=said["access_token"],
        refresh_token=said["refresh_token"],
        expires_at=int(time.time() + left),
        expires_in=lasts,
        origin=simulator.url,
        token_url=f"{simulator.url}/api/oauth/token",
        obtained_by="modelbay",
    )


class TokensHeldBack:
    """Lets the token endpoint answer only after `release`; `wait_for_request` returns when it was asked."""

    def __init__(self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked, self._released = Event(), Event()
        issue = simulator.provider.logins.token

        def issue_late(body: bytes) -> SimulatedResponse:
            self._asked.set()
            assert self._released.wait(LONG)
            return issue(body)

        monkeypatch.setattr(simulator.provider.logins, "token", issue_late)

    def wait_for_request(self) -> None:
        assert self._asked.wait(LONG)

    def release(self) -> None:
        self._released.set()


def _bytes(steps):
    return [step for step in steps if isinstance(step, bytes)]


def ten_processes_share_one_refresh(home: Path, simulator: Simulator, count: int = 10) -> int:
    """All ask at once with a token that is about to end. How many refreshes there were."""
    configure(home, simulator)
    simulator.provider.logins.behavior.pause = 0.1
    FileStore().write("managed", grant(simulator, left=20))
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    for process in asking:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in asking:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=100) for process in asking]
    assert [process.returncode for process in asking] == [0] * count, ends
    assert all(out.strip() for out, _ in ends)
    return simulator.provider.logins.refreshes


def kills_leave_a_usable_token(home: Path, simulator: Simulator, count: int, seed: int = 0) -> int:
    """Kills a process `count` times while it refreshes. How often the server had answered what never was kept."""
    configure(home, simulator)
    simulator.provider.logins.behave(LoginBehavior(approve_after=0, pause=0.005))
    FileStore().write("managed", grant(simulator))
    chance = random.Random(seed)
    logins, lost = simulator.provider.logins, 0
    for _ in range(count):
        with subprocess.Popen([sys.executable, "-c", REFRESH], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 3)):
                assert process.stdout.readline() == "refreshed\n"
            time.sleep(chance.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().count("refreshed")
            process.wait(60)
        assert rest >= 0
        kept = FileStore().read("managed")
        assert kept is not None
        assert logins.accepts(kept.access_token), "what is stored works"
        lost += kept.refresh_token != list(logins._refresh)[-1]
    return lost
