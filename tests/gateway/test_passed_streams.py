"""Streams whose head is known are sent before their visit begins (see `Passage`), and answered like those whose head is new."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.gateway.exchange import Exchange
from modelbay.gateway.translating import Prepared
from modelbay.protocols import sse
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, RawResponse, post
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import request
from tests.gateway.test_passed_replies import PAIRS, likened

FAULTS = (
    "401", "429=0", "context-length", "html", "malformed-chunk", "error-in-200=quota", "cut-after", "missing-end", "odd-call",
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """The exchanges that prepared their calls themselves."""
    found, prepare = [], Exchange._prepared

    async def counted(exchange: Exchange) -> Prepared:
        found.append(exchange)
        return await prepare(exchange)

    monkeypatch.setattr(Exchange, "_prepared", counted)
    return found


def asking(protocol: str, model: str, *lines: str, array: bool = False) -> bytes:
    path, body = request(protocol, model, stream=True)
    body |= {"store": False} if protocol == "openai_responses" else {}
    return post(path.removesuffix("?alt=sse") if array else path, body, *lines)


async def answered(url: str, data: bytes, times: int = 1) -> list[RawResponse]:
    """The responses to the same request on one connection."""
    found = []
    async with RawClient(url) as client:
        for _ in range(times):
            await client.send(data)
            found.append(await client.response())
    return found


def events(response: RawResponse) -> Any:
    if response.status != 200:
        return likened(json.loads(response.body))
    found = sse.Decoder().feed(response.body)
    return [(name, likened(json.loads(data)) if data.startswith(b"{") else data) for name, data in found]


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_is_sent_before_its_visit(
    gateway: tuple[RunningGateway, Simulator], late: list[Exchange], protocol: str, upstream: str
) -> None:
    at, simulator = gateway
    simulator.reset()
    await answered(at.url, asking(protocol, upstream))  # leaves a connection to the provider
    late.clear()
    first, second = await answered(at.url, asking(protocol, upstream, f"X-New: {upstream}"), 2)
    assert len(late) == 1
    assert (first.status, second.status) == (200, 200)
    assert events(first) == events(second)
    assert first.headers.keys() == second.headers.keys()
    assert float(second.headers["x-modelbay-overhead-ms"]) > 0
    _, one, other = simulator.journal
    assert (one.method, one.target, one.json) == (other.method, other.target, other.json)
    assert one.headers == other.headers


@pytest.mark.parametrize("upstream", ["google", "openai_chat"])
async def test_a_json_array_stays_one(
    gateway: tuple[RunningGateway, Simulator], late: list[Exchange], upstream: str
) -> None:
    await answered(gateway[0].url, asking("google", upstream))
    late.clear()
    first, second = await answered(gateway[0].url, asking("google", upstream, f"X-New: {upstream}", array=True), 2)
    assert len(late) == 1
    assert likened(json.loads(first.body)) == likened(json.loads(second.body))


@pytest.mark.parametrize(("protocol", "upstream"), PAIRS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_stream_is_answered_like_one_whose_head_is_new(
    gateway: tuple[RunningGateway, Simulator], tmp_path: Path, protocol: str, upstream: str, fault: str
) -> None:
    asked = asking(protocol, f"{upstream}/sim-1!{fault}")
    with running(tmp_path) as (other, _):
        (new,) = await answered(other.url, asked)
    for _ in range(2):  # the head of the second one is known
        await answered(gateway[0].url, asking(protocol, upstream))
        (known,) = await answered(gateway[0].url, asked)
    assert known.status == new.status
    assert known.headers.keys() == new.headers.keys()
    assert events(known) == events(new)
    assert "Unknown fault" not in str(new.body)


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic"], ids=["passed", "counted"])
async def test_a_wrong_number_of_retries_is_refused_before_the_call(
    gateway: tuple[RunningGateway, Simulator], protocol: str
) -> None:
    at, simulator = gateway
    await answered(at.url, asking(protocol, "openai_chat"))  # leaves a connection to the provider
    simulator.reset()
    for found in await answered(at.url, asking(protocol, "openai_chat", "X-Modelbay-Retries: many"), 2):
        assert found.status == 400
        assert b"x-modelbay-retries must be a number from 0 to 20" in found.body
    assert not simulator.journal
