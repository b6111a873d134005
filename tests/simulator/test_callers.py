"""Callers that the simulator accepts, and the limit of a request body."""

import asyncio
import json

import pytest

from modelbay.serving.asgi import LARGEST
from modelbay.simulator import Simulator

BODY = json.dumps({"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}).encode()


async def asked(sim: Simulator, *headers: str, body: bytes = BODY, size: int | None = None) -> bytes:
    """The response to a call with only these headers."""
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        *headers,
        f"content-length: {size or len(body)}",
        "connection: close",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        return await asyncio.wait_for(reader.read(), 120)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "headers",
    [
        ("host: evil.example",),
        ("host: 127.0.0.1.evil.example:80",),
        ("host: 127.0.0.1", "origin: https://evil.example"),
        ("host: 127.0.0.1", "origin: null"),
    ],
)
async def test_pages_of_other_sites_are_not_answered(headers: tuple[str, ...]) -> None:
    with Simulator() as sim:
        answer = await asked(sim, *headers)
        assert answer.startswith(b"HTTP/1.1 403")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
        assert not sim.journal.calls()


@pytest.mark.parametrize("headers", [("host: localhost:1",), ("host: 127.0.0.1", "origin: http://localhost:3000")])
async def test_programs_and_pages_of_this_machine_are(headers: tuple[str, ...]) -> None:
    with Simulator() as sim:
        assert (await asked(sim, *headers)).startswith(b"HTTP/1.1 200")


async def test_a_name_that_was_allowed_is() -> None:
    with Simulator(names=["Box.lan"]) as sim:
        assert (await asked(sim, "host: box.lan:80", "origin: https://box.lan")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("claimed", [True, False], ids=["said in its length", "found out"])
async def test_a_body_has_a_limit(monkeypatch: pytest.MonkeyPatch, claimed: bool) -> None:
    if claimed:
        with Simulator() as sim:
            answer = await asked(sim, "host: 127.0.0.1", size=LARGEST + 1)
            assert answer.startswith(b"HTTP/1.1 413")
            assert not sim.journal.calls()
        return
    monkeypatch.setattr("modelbay.serving.asgi.body_of.__defaults__", (1_000,))
    with Simulator() as sim:
        reader, writer = await asyncio.open_connection(sim.host, sim.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"400\r\n" + b"x" * 1_024 + b"\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 120)
        writer.transport.abort()
        assert answer.startswith(b"HTTP/1.1 413")
