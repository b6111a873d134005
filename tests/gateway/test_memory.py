"""Memory of requests: it is released with their responses, not when the garbage collector runs next."""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from modelbay.gateway.exchange import Exchange
from modelbay.gateway.side_call import SideCall
from modelbay.serving.http_request import HttpRequest
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, head, post
from tests.gateway.running import RunningGateway, running
from tests.gateway.test_app import request

REQUESTS = 6
OF_REQUESTS = (Exchange, SideCall)
FAULTS = ("google/sim-1!413", "anthropic/sim-1!cut-after", "anthropic/sim-1!malformed-chunk")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_memory() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_REQUESTS))


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", ["anthropic", "google", "unknown", *FAULTS])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic"])
async def test_a_request_leaves_nothing_for_the_garbage_collector(
    gateway: tuple[RunningGateway, Simulator], client: str, upstream: str, stream: bool
) -> None:
    before = in_memory()
    async with RawClient(gateway[0].url) as connection:
        for _ in range(REQUESTS):
            await connection.send(post(*request(client, upstream, stream=stream)))
            await connection.response()
    left = in_memory() - before
    assert left.total() <= 1, "the last one may not be over yet"


async def test_an_idle_connection_does_not_keep_the_body_of_a_refused_request(
    gateway: tuple[RunningGateway, Simulator],
) -> None:
    path, body = request("openai_chat", "openai_chat", "x" * 50_000)
    async with RawClient(gateway[0].url) as connection:
        for _ in range(2):  # the first one is read by the parser
            await connection.send(post(path, body, key=None))
            assert (await connection.response()).status == 401
        kept = [one for one in gc.get_objects() if isinstance(one, HttpRequest)]
        assert kept
        assert not any(one._pieces for one in kept)


def long_path(number: int) -> bytes:
    return head("GET", f"/{number:08}{'x' * 60_000}", key=None)


def long_host(number: int) -> bytes:
    return head("GET", "/", f"Host: {number:08}{'x' * 60_000}", key=None)


def long_header_name(number: int) -> bytes:
    return post(*request("openai_chat", "anthropic"), f"{number:08}{'x' * 60_000}: 1")


def long_call_id(number: int) -> bytes:
    path, body = request("openai_chat", "anthropic")
    id = f"!{number:08}{'x' * 60_000}"
    call = {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": "ok"},
    ]
    return post(path, body)


@pytest.mark.parametrize("make", [long_path, long_host, long_header_name, long_call_id])
async def test_long_texts_of_requests_do_not_stay_in_memory(
    gateway: tuple[RunningGateway, Simulator], make: Callable[[int], bytes]
) -> None:
    async with RawClient(gateway[0].url) as connection:

        async def ask(number: int) -> None:
            await connection.send(make(number))
            await connection.response()
            gateway[1].reset()

        await ask(0)
        tracemalloc.start()
        try:
            for number in range(1, 200):
                await ask(number)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert kept < 8 * 2**20, "two thirds of what was sent"
