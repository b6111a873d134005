"""Clients that do not know a model's maximum output tokens ask for too many, and get as many as there are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import Text
from modelbay.events import Finished, Reply
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer, Script, reply
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text, running
from tests.gateway.test_app import call, request

LIMIT = 5000
PATHS = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "anthropic": "/messages",
    "google": ":generateContent",
}
REPLIES = {
    protocol: codec(protocol).render_reply(Reply(parts=[Text(text="well")], finish=Finished("stop")))
    for protocol in PATHS
}
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
    assert headers.get("x-modelbay-dropped") == (".".join(PLACES[client]) if wanted == 128_000 else None)


async def test_a_thinking_budget_stays_below_a_reduced_limit(gateway: tuple[RunningGateway, Simulator]) -> None:
    path, body = request("anthropic", "anthropic-small")
    body |= {"max_tokens": 64_000, "thinking": {"type": "enabled", "budget_tokens": 32_000}}
    assert (await call(gateway[0].url, path, body))[0] == 200
    assert json.loads(gateway[1].journal.last.body)["thinking"]["budget_tokens"] == LIMIT - 1024


def limited(bodies: list[dict[str, Any]]) -> Script:
    """A provider that accepts at most `LIMIT` tokens, and says so."""

    async def script(client: Client) -> None:
        while True:
            received = await client.request()
            protocol = next(name for name, end in PATHS.items() if received.target.partition("?")[0].endswith(end))
            bodies.append(json.loads(received.body))
            if (asked := maximum(bodies[-1], protocol)) > LIMIT:
                message = f"max_tokens is too large: {asked}. This model supports at most {LIMIT} completion tokens."
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
                await client.send(reply(json.dumps(error).encode(), 400))
            else:
                await client.send(reply(REPLIES[protocol], 200, "Content-Type: application/json"))

    return script


def maximum(body: Any, protocol: str) -> Any:
    for step in PLACES[protocol]:
        body = body[step]
    return body


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_limit_that_the_provider_reports_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, upstream: str
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    bodies: list[dict[str, Any]] = []
    async with RawServer(limited(bodies)) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url, "some-model"))
        with RunningGateway(config) as limited_gateway:
            path, body = request(client, upstream)
            *outer, name = PLACES[client]
            body |= {outer[0]: {name: 128_000}} if outer else {name: 128_000}
            found = [await call(limited_gateway.url, path, body) for _ in range(2)]
    assert [status for status, _, _ in found] == [200, 200], found[0][2]
    asked = [maximum(sent, upstream) for sent in bodies]
    assert asked == [128_000, LIMIT, LIMIT]
    assert [headers["x-modelbay-attempts"] for _, headers, _ in found] == ["2", "1"]
    assert {headers["x-modelbay-dropped"] for _, headers, _ in found} == {".".join(PLACES[client])}
