"""The running server: its journal, clients that disconnect or do not read, its start and end."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY
from tests.simulator.protocols import WireProtocol
from tests.simulator.raw_client import watch


async def open_stream(
    sim: Simulator, protocol: WireProtocol, model: str, prompt: str = "Hi"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and read only the headers of the response."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (sim.host, sim.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    body = json.dumps(protocol.body(model, prompt, True)).encode()
    headers = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in protocol.headers.items())
    head = f"POST {protocol.path(model, True)} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\n{headers}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_the_journal_has_the_received_request(sim: Simulator, protocol: WireProtocol):
    protocol.ask(sim.url, "What is a bay?", authorization=f"Bearer {KEY}", x_extra="yes")
    entry = sim.journal.last
    assert (entry.method, entry.protocol, entry.model, entry.status) == ("POST", protocol.protocol, "sim-1", 200)
    assert entry.json == protocol.body("sim-1", "What is a bay?", False)
    assert entry.headers["x-extra"] == "yes"
    assert (entry.headers["authorization"], entry.key) == ("***", "authorization")
    assert KEY not in f"{entry.target} {entry.headers} {entry!r}"
    assert entry.wait_over_sync().ended is not None
    assert entry.disconnected is None


def test_the_journal_has_the_fault(sim: Simulator, protocol: WireProtocol):
    protocol.ask(sim.url, "Hi", "sim-1!500*1", authorization=f"Bearer {KEY}")
    protocol.ask(sim.url, "Hi", "sim-1!500*1", authorization=f"Bearer {KEY}")
    assert [(entry.fault, entry.status) for entry in sim.journal.calls()] == [("500*1", 500), (None, 200)]


async def test_a_client_that_leaves_is_seen_at_once(sim: Simulator, protocol: WireProtocol):
    _, writer = await open_stream(sim, protocol, "sim-1!stall")
    left = time.monotonic()
    writer.close()
    entry = await sim.journal.last.wait_over()
    assert entry.disconnected is not None
    assert entry.disconnected - left < 60  # not when the stall is over
    assert entry.ended is None


async def test_a_client_that_leaves_before_the_head_is_seen(sim: Simulator, protocol: WireProtocol):
    body = protocol.body("sim-1!slow-headers", "Hi", True)
    headers: Any = {**protocol.headers, "x_api_key": KEY}
    client = asyncio.create_task(watch(sim, protocol.path("sim-1!slow-headers", True), body, **headers))
    while not list(sim.journal):
        await asyncio.sleep(0.01)
    assert not client.done()
    client.cancel()
    entry = await sim.journal.last.wait_over()
    assert (entry.status, entry.ended) == (None, None)
    assert entry.disconnected is not None


async def test_a_client_that_does_not_read_stops_the_brain(sim: Simulator, protocol: WireProtocol):
    reader, writer = await open_stream(sim, protocol, "sim-1", "Write 100000 words")
    entry = sim.journal.last
    before = -1
    while entry.sent != before or not entry.sent:
        before = entry.sent
        await asyncio.sleep(0.3)
    assert entry.sent > 0
    assert entry.ended is None
    await reader.read(1024)
    writer.close()
    await entry.wait_over()
    assert entry.disconnected is not None


async def test_many_streams_run_side_by_side(sim: Simulator, protocol: WireProtocol):
    async def one() -> str:
        reader, writer = await open_stream(sim, protocol, "sim-1!pace=0.005")
        data = await asyncio.wait_for(_rest(reader), 120)
        writer.close()
        return data

    assert len(set(await asyncio.gather(*(one() for _ in range(50))))) >= 1
    assert all(entry.status == 200 for entry in sim.journal)


async def _rest(reader: asyncio.StreamReader) -> str:
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data += await reader.read(1024)
    return data.decode()


async def test_it_runs_inside_async_with():
    async with Simulator() as sim:
        _, writer = await asyncio.open_connection(sim.host, sim.port)
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(sim.host, sim.port)


def test_it_stops_while_answers_stall(protocol: WireProtocol):
    with Simulator() as sim:
        client = socket.create_connection((sim.host, sim.port))
        body = json.dumps(protocol.body("sim-1!stall", "Hi", True)).encode()
        target = protocol.path("sim-1!stall", True)
        client.sendall(
            f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nanthropic-version: 1\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert client.recv(100)
        start = time.monotonic()
    assert time.monotonic() - start < 60
    client.close()


def test_a_taken_port_is_an_error():
    with Simulator() as sim, pytest.raises(OSError):
        Simulator(port=sim.port).start()


def test_serve_runs_until_it_is_told_to_stop():
    code = "from modelbay.simulator import serve; serve(ready=lambda url: print(url, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=120) as client:
            client.sendall(b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert "Traceback" in errors and "KeyboardInterrupt" in errors  # the caller's to catch
