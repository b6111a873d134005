"""Clients that do not know a model's maximum output tokens ask for too many, and get as many as there are."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call, request

LIMIT = 5000
PLACES = {
    "openai_chat": ("max_tokens",),
    "openai_responses": ("max_output_tokens",),
    "anthropic": ("max_tokens",),
    "google": ("generationConfig", "maxOutputTokens"),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    more = "".join(
        f'[models.{protocol}-small]\nprovider = "{protocol}"\nmodel = "sim-1"\nmax_output_size = {LIMIT}\n'
        for protocol in PROTOCOLS
    )
    with running(tmp_path_factory.mktemp("gateway"), more=more) as found:
        yield found


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize(("wanted", "sent"), [(128_000, LIMIT), (4000, 4000), (None, LIMIT)])
async def test_maximum_tokens_are_within_the_model_s_limit(
    gateway: tuple[RunningGateway, Simulator], client: str, upstream: str, wanted: int | None, sent: int
) -> None:
    path, body = request(client, f"{upstream}-small")
    body.pop("max_tokens", None)
    if wanted is not None:
        *outer, name = PLACES[client]
        body |= {outer[0]: {name: wanted}} if outer else {name: wanted}
    elif client == "anthropic" != upstream:
        return  # the protocol requires a maximum
    status, headers, _ = await call(gateway[0].url, path, body)
    received: Any = json.loads(gateway[1].journal.last.body)
    for step in PLACES[upstream]:
        received = received[step]
    assert (status, received) == (200, sent)
    assert ("max_output_tokens" in headers.get("x-modelbay-dropped", "")) == (wanted == 128_000)


async def test_a_thinking_budget_stays_below_a_reduced_limit(gateway: tuple[RunningGateway, Simulator]) -> None:
    path, body = request("anthropic", "anthropic-small")
    body |= {"max_tokens": 64_000, "thinking": {"type": "enabled", "budget_tokens": 32_000}}
    assert (await call(gateway[0].url, path, body))[0] == 200
    assert json.loads(gateway[1].journal.last.body)["thinking"]["budget_tokens"] == LIMIT - 1024
