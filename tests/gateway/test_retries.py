"""How often the gateway repeats a failed call: as usual, or as often as its client asks for."""

import json
from collections.abc import Iterator

import pytest

from modelbay.gateway import retries
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call, request

Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_that_repeats_no_request_itself_asks_the_gateway_for_more_retries(
    gateway: Running, upstream: str, stream: bool
) -> None:
    before = len(gateway[1].journal.calls())
    path, body = request("openai_responses", f"{upstream}/sim-1!429=0.01*{5 if stream else 4}", stream=stream)
    status, headers, _ = await call(gateway[0].url, path, body, **{"x-modelbay-retries": "5"})
    assert (status, headers["x-modelbay-attempts"]) == (200, "6" if stream else "5")
    assert len(gateway[1].journal.calls()) == before + int(headers["x-modelbay-attempts"])
    assert "x-modelbay-retries" not in gateway[1].journal.calls()[-1].headers


async def test_a_client_that_repeats_requests_itself_turns_retries_off(gateway: Running) -> None:
    before = len(gateway[1].journal.calls())
    path, body = request("anthropic", "openai_chat/sim-1!503")
    status, _, _ = await call(gateway[0].url, path, body, **{"x-modelbay-retries": "0"})
    assert (status, len(gateway[1].journal.calls())) == (529, before + 1)


async def test_a_limit_of_the_provider_is_met_also_without_retries(gateway: Running) -> None:
    path, body = request("anthropic", "anthropic/sim-1")
    status, headers, _ = await call(gateway[0].url, path, body | {"max_tokens": 900_000}, **{"x-modelbay-retries": "0"})
    assert (status, headers["x-modelbay-attempts"]) == (200, "2")


async def test_a_history_that_needs_two_repairs_is_repaired_also_without_retries(gateway: Running) -> None:
    """An agent that changed the model sends thinking of another one in a tool loop, and asks for no retries."""
    path, body = request("anthropic", "anthropic/sim-echo")
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    body |= {
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Hello"},
            {
                "role": "assistant",
                "content": [foreign, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a tree"}]},
        ],
    }
    status, headers, _ = await call(gateway[0].url, path, body, **{"x-modelbay-retries": "0"})
    assert (status, headers["x-modelbay-attempts"]) == (200, "3")


def test_retries_that_a_client_asks_for_wait_as_long_as_those_of_the_library() -> None:
    assert retries.policy({"x-modelbay-retries": " 7 "}) == Policy(attempts=8, changes=1)
    assert retries.policy({}) == retries.USUAL


@pytest.mark.parametrize("value", ["", "-1", "many", "21", "1e1", "٣", "9" * 5000])
async def test_a_number_of_retries_that_is_not_valid_is_refused_before_the_provider_is_called(
    gateway: Running, value: str
) -> None:
    before = len(gateway[1].journal.calls())
    path, body = request("openai_chat", "anthropic/sim-1!500")
    status, _, data = await call(gateway[0].url, path, body, **{"x-modelbay-retries": value})
    assert status == 400
    assert "x-modelbay-retries must be a number from 0 to 20" in json.loads(data)["error"]["message"]
    assert len(gateway[1].journal.calls()) == before
