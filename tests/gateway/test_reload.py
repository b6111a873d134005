"""Changes of the configuration while the gateway runs."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelbay.calling.target import Targets
from modelbay.catalog.lookup import probed_endpoint
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import FileError
from modelbay.storage.probes import Observation, ProbeStore
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, chunk, head
from tests.gateway.running import KEY, RunningGateway, config_text, running
from tests.gateway.test_app import call, request


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbay.gateway.gateway.LOOK", 0.02)


async def status_of(gateway: RunningGateway, model: str) -> int:
    path, body = request("openai_chat", model)
    return (await call(gateway.url, path, body))[0]


async def state(gateway: RunningGateway, of: str = "configuration") -> str:
    _, _, data = await call(gateway.url, "/health", key=None, method="GET")
    return str(json.loads(data)[of])


async def test_a_new_model_is_served_and_a_removed_one_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, _):
        text = gateway.config.read_text()
        assert await status_of(gateway, "new") == 404
        gateway.config.write_text(text + '[models.new]\nprovider = "anthropic"\nmodel = "sim-1"\n')
        while await status_of(gateway, "new") != 200:
            await asyncio.sleep(0.02)
        gateway.config.write_text(text)
        while await status_of(gateway, "new") != 404:
            await asyncio.sleep(0.02)


async def test_the_state_says_whether_the_file_of_clients_can_be_read(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, _):
        file = gateway.config.parent / "clients.json"
        whole = file.read_bytes()
        assert await state(gateway, "clients") == "current"
        file.write_text("{")
        while await state(gateway, "clients") != "unreadable":
            await asyncio.sleep(0.02)
        file.write_bytes(whole)
        while await state(gateway, "clients") != "current":
            await asyncio.sleep(0.02)


async def test_results_of_a_provider_test_are_used_without_a_restart(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    said = [{"role": "user", "content": "Hi"}]
    body = {"model": "openai_chat", "messages": said, "tools": [tool], "tool_choice": "required"}
    with running(tmp_path) as (gateway, simulator):
        await call(gateway.url, "/v1/chat/completions", body)
        assert simulator.journal.last.json["tool_choice"] == "required"
        target = Targets(load(gateway.config)).find("openai_chat")
        checks = {name: Observation("no", 1.0) for name in ("forced_tool", "named_tool")}
        ProbeStore().add(probed_endpoint(target.entry, target.upstream), "openai_chat", checks)
        while "tool_choice" in simulator.journal.last.json:
            await asyncio.sleep(0.02)
            await call(gateway.url, "/v1/chat/completions", body)
        assert "You must call the tool `f`" in simulator.journal.last.json["messages"][0]["content"]


@pytest.mark.parametrize("wrong", ["[models.broken", "[gateway]\nunknown = 1\n"])
async def test_a_file_that_cannot_be_used_leaves_the_last_good_one_in_use(tmp_path: Path, wrong: str) -> None:
    with running(tmp_path) as (gateway, simulator):
        good = gateway.config.read_text()
        gateway.config.write_text(wrong if wrong.startswith("[gateway]") else good + wrong)
        while await state(gateway) != "outdated":
            await asyncio.sleep(0.02)
        assert await status_of(gateway, "anthropic") == 200
        gateway.config.write_text(config_text(simulator.url))
        while await state(gateway) != "current":
            await asyncio.sleep(0.02)


async def test_a_file_that_is_gone_leaves_the_last_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))  # the usual file, which may be missing at the start
    with running(tmp_path) as (gateway, _):
        text = gateway.config.read_text()
        gateway.config.unlink()
        while await state(gateway) != "outdated":
            await asyncio.sleep(0.02)
        assert "config.toml no longer exists; the last valid configuration stays in use" in caplog.text
        assert await status_of(gateway, "anthropic") == 200
        gateway.config.write_text(text)
        while await state(gateway) != "current":
            await asyncio.sleep(0.02)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFOs")
async def test_a_fifo_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, _):
        text = gateway.config.read_text()
        gateway.config.unlink()
        os.mkfifo(gateway.config)
        while "no longer a file" not in gateway.gateway.problem:
            await asyncio.sleep(0.02)
        gateway.config.unlink()
        gateway.config.write_text(text)
        while await state(gateway) != "current":
            await asyncio.sleep(0.02)


async def test_a_change_is_seen_after_an_internal_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [RuntimeError("a bug")]

    def faulty(*arguments: Any, **options: Any) -> Config:
        if faults:
            raise faults.pop()
        return load(*arguments, **options)

    with running(tmp_path) as (gateway, _):
        monkeypatch.setattr("modelbay.gateway.gateway.load", faulty)
        text = gateway.config.read_text()
        gateway.config.write_text(text + "\n")
        while faults:
            await asyncio.sleep(0.02)
        gateway.config.write_text(text + '[models.new]\nprovider = "anthropic"\nmodel = "sim-1"\n')
        while await status_of(gateway, "new") != 200:
            await asyncio.sleep(0.02)


async def test_a_file_is_not_used_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def noting(path: Path, **options: Any) -> Config:
        read.append(path.read_text())
        return load(path, **options)

    looks = iter(range(1, 10**9))

    def growing(path: Path) -> tuple[int, ...] | None:
        return (min(next(looks), 20),)

    with running(tmp_path) as (gateway, _):
        monkeypatch.setattr("modelbay.gateway.gateway.load", noting)
        monkeypatch.setattr("modelbay.gateway.gateway.identity", growing)
        while not read:
            assert await status_of(gateway, "anthropic") == 200
        assert next(looks) >= 20, "it was read when it was still growing"


async def test_a_file_is_used_when_only_its_owner_was_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reads = list[Path]()

    def unreadable(path: Path, **_: Any) -> Config:
        reads.append(path)
        raise FileError(f"{path} cannot be read: Permission denied", file=str(path))

    with running(tmp_path) as (gateway, _):
        with monkeypatch.context() as patch:
            patch.setattr("modelbay.gateway.gateway.load", unreadable)
            text = gateway.config.read_text()
            gateway.config.write_text(text + '[models.new]\nprovider = "anthropic"\nmodel = "sim-1"\n')
            while len(reads) < 3:
                await asyncio.sleep(0.02)
            assert await state(gateway) == "outdated"
        while await status_of(gateway, "new") != 200:
            await asyncio.sleep(0.02)
        assert await state(gateway) == "current"
    assert len([line for line in caplog.messages if "Permission denied" in line]) == 1


async def test_a_new_port_is_reported_as_one_for_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as (gateway, _):
        text = gateway.config.read_text().replace("[gateway]", '[gateway]\nport = 9000\nhosts = ["new.example"]')
        gateway.config.write_text(text)
        while (await call(gateway.url, "/v1/models", method="GET", Host="new.example"))[0] != 200:
            await asyncio.sleep(0.02)
    assert [line for line in caplog.messages if "host and port" in line] == [
        "the new host and port of [gateway] are not used before the gateway is started again"
    ]


async def test_a_removed_client_loses_access_although_the_file_is_broken(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, _):
        gateway.config.write_text("[broken")
        while await state(gateway) != "outdated":
            await asyncio.sleep(0.02)
        gateway.clients.remove("tests")
        assert await status_of(gateway, "anthropic") == 401


async def test_an_entry_that_becomes_bad_drops_out_alone(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, _):
        text = gateway.config.read_text()
        gateway.config.write_text(
            text.replace('[providers.google]\ntype = "google-genai"', "[providers.google]\ntype = 5")
        )
        while await status_of(gateway, "google") == 200:
            await asyncio.sleep(0.02)
        assert await status_of(gateway, "google") in (400, 403, 404)
        assert await status_of(gateway, "anthropic") == 200


async def test_a_reload_drops_no_stream(tmp_path: Path) -> None:
    with running(tmp_path, settings="concurrent = 200", pace=0.02) as (gateway, _):
        text = gateway.config.read_text()
        models = ("openai_chat", "openai_responses", "anthropic", "google")

        async def stream(number: int) -> bytes:
            path, body = request("openai_chat", models[number % 4], "word " * 10, stream=True)
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
                session.post(gateway.url + path, json=body) as response,
            ):
                return await response.read()

        streams = asyncio.gather(*(stream(number) for number in range(100)))
        for number in range(10):
            gateway.config.write_text(text + f'[models.m{number}]\nprovider = "google"\nmodel = "sim-1"\n')
            await asyncio.sleep(0.05)
        for data in await streams:
            assert data.endswith(b"data: [DONE]\n\n"), data[-500:]


@pytest.mark.parametrize("during", ["a stream", "nothing"])
async def test_connections_of_a_former_network_are_closed_when_its_last_call_ends(tmp_path: Path, during: str) -> None:
    more = asyncio.Event()
    chunks = [b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(2)]

    async def provider(client: Client) -> None:
        await client.request()
        await client.send(head(200, "Content-Type: text/event-stream", chunked=True) + chunk(chunks[0]))
        await more.wait()
        await client.send(chunk(chunks[1]) + chunk(b"data: [DONE]\n\n") + chunk(b""))
        await client.hangup()

    async with RawServer(provider) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url))
        with RunningGateway(config) as gateway:
            path, body = request("openai_chat", "openai_chat", stream=True)
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
                session.post(gateway.url + path, json=body) as response,
            ):
                assert await response.content.readuntil(b"\n\n") == chunks[0]
                if during == "nothing":
                    more.set()
                    await response.read()
                former = gateway.gateway.revision
                config.write_text(config_text(server.url) + "[network]\noffline = true\n")
                while gateway.gateway.revision is former:
                    await asyncio.sleep(0.02)
                if during == "a stream":
                    assert not server.clients[0].gone.is_set()
                    more.set()
                    assert (await response.read()).endswith(chunks[1] + b"data: [DONE]\n\n")
            async with asyncio.timeout(LONG):
                await server.all_gone()
