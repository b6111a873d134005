"""Numbers in requests: their size is the client's, and none of them is an error of the gateway."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call, request

HUGE = 10**400
FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "openai_chat": (
        ("max_tokens",), ("max_completion_tokens",), ("temperature",), ("top_p",), ("seed",), ("n",),
        ("presence_penalty",), ("frequency_penalty",), ("top_logprobs",), ("top_k",), ("reasoning", "max_tokens"),
    ),
    "openai_responses": (("max_output_tokens",), ("temperature",), ("top_p",), ("top_logprobs",), ("max_tool_calls",)),
    "anthropic": (("max_tokens",), ("temperature",), ("top_p",), ("top_k",), ("thinking", "budget_tokens")),
    "google": tuple(
        ("generationConfig", *path)
        for path in (
            ("maxOutputTokens",), ("temperature",), ("topP",), ("topK",), ("seed",), ("candidateCount",),
            ("thinkingConfig", "thinkingBudget"),
        )
    ),
}  # fmt: skip
CASES = [(client, path) for client in PROTOCOLS for path in FIELDS[client]]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def with_value(body: dict[str, Any], path: tuple[str, ...], value: float) -> dict[str, Any]:
    name, *rest = path
    inner = (
        with_value(body.get(name, {"type": "enabled"} if name == "thinking" else {}), tuple(rest), value)
        if rest
        else value
    )
    return {**body, name: inner}


@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, 2**64, -1, 1e300, 0.5], ids=["huge", "-huge", "2^64", "-1", "1e300", "0.5"]
)
@pytest.mark.parametrize(("client", "path"), CASES, ids=[f"{client}-{'.'.join(path)}" for client, path in CASES])
async def test_a_number_of_any_size_is_answered_or_refused(
    gateway: tuple[RunningGateway, Simulator], client: str, path: tuple[str, ...], value: float
) -> None:
    for upstream in PROTOCOLS:
        url, body = request(client, upstream)
        status, _, reply = await call(gateway[0].url, url, with_value(body, path, value))
        assert status in (200, 400), reply
