"""Memory of requests: it is released with their responses, not when the garbage collector runs next."""

import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from modelbay.gateway.exchange import Exchange
from modelbay.gateway.side_call import SideCall
from modelbay.serving.http_request import HttpRequest
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, post
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
