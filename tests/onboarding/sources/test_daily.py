"""The automatic refresh: when it runs, when it does not, and that no command waits for it."""

import asyncio
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from filelock import FileLock

from modelbay.config.load import load, parse
from modelbay.onboarding import remove as removal
from modelbay.onboarding.sources import daily, refresh
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.merge import Memory
from modelbay.simulator import Simulator
from modelbay.storage.cache import Cache
from tests.catalog.manifests import manifest, model
from tests.cli.command import KEY, Command
from tests.servers.site import Site, site

HOSTED, LISTED = "/v1/models?provider=true", "/v1/models?extended=true"
DAY = 86_400
ENTRY = """\
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
source = { kind = "manifest", url = "https://acme.example/v1/models?provider=true" }
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(daily.SWITCH, raising=False)
    return tmp_path


def due(text: str = ENTRY, now: float = 10 * DAY) -> list[str]:
    return [entry.id for entry in daily.due(parse(text, Path("config.toml")), now)]


# Due providers


def test_a_source_is_due_once_a_day() -> None:
    assert due() == ["acme"]
    merging.remember("acme", Memory(when=9.5 * DAY))
    assert due() == []
    assert due(now=10.5 * DAY) == ["acme"]
    merging.remember("acme", Memory(when=0, tried=9.5 * DAY))
    assert due() == [], "once a day, even where it failed"
    merging.remember("acme", Memory(when=20 * DAY))
    assert due() == ["acme"], "somebody set the clock back"


@pytest.mark.parametrize(
    "text",
    [
        ENTRY + 'model_source = "static"',
        ENTRY.replace(", url = ", ", website = "),
        ENTRY[: ENTRY.index("source")],
        ENTRY + "[model_catalog]\nrefresh_interval_ms = 0",
        ENTRY + "[network]\noffline = true",
    ],
    ids=["static", "embedded", "no source", "turned off", "offline"],
)
def test_some_providers_are_never_due(text: str) -> None:
    assert due(text) == []


def test_a_provider_without_a_source_is_refreshed_if_configured() -> None:
    assert due(ENTRY[: ENTRY.index("source")] + 'model_source = "discover"') == ["acme"]


def test_the_interval_is_set_by_kimi_codes_key() -> None:
    merging.remember("acme", Memory(when=10 * DAY - 61))
    assert due(ENTRY + "[model_catalog]\nrefresh_interval_ms = 60_000") == ["acme"]
    assert due(ENTRY + "[model_catalog]\nrefresh_interval_ms = 62_000") == []
    assert due(ENTRY + '[model_catalog]\nrefresh_interval_ms = "often"') == []


# Starting


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The started processes, which are recorded and not run."""
    commands: list[list[str]] = []

    def popen(command: list[str], **options: Any) -> Mock:
        assert options["stdin"] == options["stdout"] == options["stderr"] == subprocess.DEVNULL
        assert options["start_new_session"]
        commands.append(command)
        return Mock()

    monkeypatch.setattr(subprocess, "Popen", popen)
    return commands


def test_a_background_process_starts_once_an_hour(home: Path, started: list[list[str]]) -> None:
    assert not daily.start(), "the file is missing"
    (home / "config.toml").write_text(ENTRY)
    assert daily.start()
    assert not daily.start()
    assert started == [
        [sys.executable, "-P", "-m", "modelbay", "--config", str(home / "config.toml"), "provider", "refresh", "--due"]
    ]
    checked = Cache().path(daily.FOLDER, daily.CHECKED)
    os.utime(checked, (time() - 3700, time() - 3700))
    assert daily.start()
    os.utime(checked, (time() + 3700, time() + 3700))
    assert daily.start(), "the clock was set back"


def test_a_module_in_the_working_directory_is_not_run(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloned project may contain a modelbay.py, or a module with the name of a standard module."""
    project = tmp_path_factory.mktemp("project")
    left: list[subprocess.Popen[Any]] = []

    def popen(command: list[str], **options: Any) -> subprocess.Popen[Any]:
        left.append(start(command, **options))
        return left[-1]

    for name in ("modelbay", "json", "asyncio"):
        (project / f"{name}.py").write_text(f'open({str(project / "run")!r}, "w").write("run")')
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    (home / "config.toml").write_text(ENTRY + 'model_source = "static"\n')
    monkeypatch.chdir(project)
    assert daily.start()
    [process] = left
    assert process.wait(60) == 0
    assert not (project / "run").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the system has no table of processes to read")
def test_an_ended_process_does_not_stay_a_zombie(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app runs on for days after it started one."""
    left: list[int] = []
    start = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[Any]:
        process = start([sys.executable, "-c", ""], **options)
        left.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    (home / "config.toml").write_text(ENTRY)
    assert daily.start()
    for thread in threading.enumerate():
        if thread.name == "daily refresh":
            thread.join()
    assert not Path(f"/proc/{left[0]}").exists()


def test_no_process_starts_if_no_provider_has_a_source(home: Path, started: list[list[str]]) -> None:
    (home / "config.toml").write_text('[providers.acme]\ntype = "openai"\n')
    assert not daily.start()
    assert not started


@pytest.mark.parametrize(
    ("variables", "starts"),
    [
        ({}, True),
        ({"MODELBAY_REFRESH": "off"}, False),
        ({"MODELBAY_REFRESH": "0"}, False),
        ({"CI": "true"}, False),
        ({"CI": "true", "MODELBAY_REFRESH": "on"}, True),
    ],
)
def test_an_environment_variable_disables_it(
    home: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], starts: bool
) -> None:
    (home / "config.toml").write_text(ENTRY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert daily.start() is starts


def test_a_process_that_cannot_be_started_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def popen(*_: Any, **__: Any) -> None:
        raise BlockingIOError("too many")

    monkeypatch.setattr(subprocess, "Popen", popen)
    (home / "config.toml").write_text(ENTRY)
    assert not daily.start()


# Refreshing


@pytest.fixture
def acme(simulator: Simulator) -> Iterator[Site]:
    with site(simulator) as made:
        made.calls, made.model = {"/v1/chat/completions": "/v1/chat/completions"}, "sim-thinker"
        made.pages = {HOSTED: manifest(name="Acme", baseUrl="SITE/v1"), LISTED: {"models": {"m": model()}}}
        yield made


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY) as running:
        yield running


def test_only_one_process_refreshes_at_a_time(home: Path) -> None:
    (home / "config.toml").write_text(ENTRY)
    lock = Cache().path(daily.FOLDER, daily.LOCK)
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        assert asyncio.run(daily.refresh_due(load())) == []
    assert merging.recall("acme") is None


def test_a_command_does_not_wait_for_the_refresh(home: Path, acme: Site, simulator: Simulator) -> None:
    command = Command(home, simulator)
    added = command("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    assert added.code == 0, added.err
    memory = merging.recall("acme")
    assert memory is not None
    memory.when = memory.tried = 0
    merging.remember("acme", memory)
    Cache().drop(daily.FOLDER, daily.CHECKED)
    acme.pages = {
        HOSTED: manifest(name="Acme", baseUrl="https://moved.example/v1"),
        LISTED: {"models": {"m": model(), "new": {"id": "new"}}},
    }
    acme.asked.clear()
    run = command("ask", "Hello")
    assert run.code == 0
    acme.waits_for(f"GET {HOSTED}")
    with FileLock(Cache().path(daily.FOLDER, daily.LOCK), timeout=30):
        tried = merging.recall("acme")
    assert tried is not None
    assert tried.tried > 0
    assert load().providers["acme"].base_url == f"{acme.url}/v1", "it asks nobody, so nothing moves"
    tried.tried = 0
    merging.remember("acme", tried)
    Cache().drop(daily.FOLDER, daily.CHECKED)
    acme.pages[HOSTED] = manifest(name="Acme", baseUrl="SITE/v1")
    acme.asked.clear()
    assert command("model", "list").code == 0
    acme.waits_for(f"GET {LISTED}")
    with FileLock(Cache().path(daily.FOLDER, daily.LOCK), timeout=30):
        assert "acme/new" in load().models
    assert (merging.recall("acme") or Memory()).when > 0


def test_an_automatic_refresh_removes_no_provider_with_its_key(home: Path) -> None:
    models = {"m": {"id": "m", "name": "M", "limit": {"context": 1000}}}
    with site() as lists:
        entries = {
            id: {"id": id, "name": id, "type": "openai", "api": f"{lists.url}/{id}", "models": models} for id in "ab"
        }
        lists.pages = {"/api.json": {"a": entries["a"]}}
        source = f'source = {{ kind = "apiJson", url = "{lists.url}/api.json" }}\n'
        tables = [
            f'[providers.{id}]\ntype = "openai"\nbase_url = "{lists.url}/{id}"\napi_key = "k"\n{source}' for id in "ab"
        ]
        (home / "config.toml").write_text("".join(tables))
        assert asyncio.run(daily.refresh_due(load())) == ["a", "b"]
        assert set(load().providers) == {"a", "b"}
        assert lists.targets == ["GET /api.json"], "once for both"
        assert asyncio.run(daily.refresh_due(load())) == []


def test_a_provider_that_is_removed_during_a_refresh_stays_removed(home: Path) -> None:
    models = {"m": {"id": "m", "name": "M", "limit": {"context": 1000}}}
    with site() as lists:
        lists.pages = {
            "/api.json": {"a": {"id": "a", "name": "a", "type": "openai", "api": f"{lists.url}/a", "models": models}}
        }
        source = f'source = {{ kind = "apiJson", url = "{lists.url}/api.json" }}\n'
        text = f'[providers.a]\ntype = "openai"\nbase_url = "{lists.url}/a"\napi_key = "k"\n{source}'
        (home / "config.toml").write_text(text)
        config = load()
        (answer,) = asyncio.run(refresh.ask(config, refresh.chosen(config)))
        removal.remove(config.path, ["a"])
        outcome = refresh.write(config, answer)
        assert outcome.error is not None and 'provider "a" was removed during the refresh' in outcome.error.message
        assert not load().providers


@pytest.mark.parametrize("kind", ["keyring", "command", "token", "login"])
def test_an_automatic_refresh_never_prompts(home: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring may prompt for its password, and a command for a touch; the user would not know why."""
    asked: list[object] = []
    monkeypatch.setattr("keyring.get_password", lambda *of: asked.append(of))
    ran = home / "ran"
    command = shlex.join([sys.executable, "-c", f"open({str(ran)!r}, 'w'); print('sk')"])
    with site() as lists:
        lists.pages["/v1/models"] = {"data": [{"id": "m"}]}
        entry = f'[providers.acme]\ntype = "openai"\nbase_url = "{lists.url}/v1"\nmodel_source = "discover"\n'
        (home / "config.toml").write_text(
            {
                "keyring": entry + 'api_key = "{keyring:modelbay/acme}"',
                "command": f"{entry}api_key = {msgspec.json.encode(f'{{command:{command}}}').decode()}",
                "token": f'{entry}source = {{ kind = "apiJson", url = "{lists.url}/v1/models", apiKey = "{{keyring:a/b}}" }}',
                "login": entry
                + f'oauth = {{ key = "acme", storage = "keyring", token_url = "{lists.url}/token", '
                + f'device_url = "{lists.url}/code", client_id = "c" }}',
            }[kind]
        )
        before = (home / "config.toml").read_text()
        assert load().problems == []
        assert asyncio.run(daily.refresh_due(load())) == ["acme"]
        assert not asked
        assert not ran.exists()
        assert not lists.asked
        assert (home / "config.toml").read_text() == before
