"""Counts of input tokens that the gateway gives its clients: exact after earlier replies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.counting import learned_counts
from modelbay.counting.token_estimates import Estimate
from modelbay.simulator import Simulator
from tests.gateway.running import RunningGateway, running
from tests.gateway.test_app import call


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunningGateway, Simulator]]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider") as found:
        yield found


def messages(model: str, *texts: str) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    return {"model": model, "max_tokens": 99, "system": "You know the tides. " * 40, "messages": turns}


def prompt_tokens(usage: dict[str, Any]) -> int:
    return int(usage.get("prompt_tokens") or usage["input_tokens"] + usage.get("cache_read_input_tokens", 0))


async def streamed(gateway: RunningGateway, body: dict[str, Any]) -> tuple[int, int]:
    """The input tokens at the start and at the end of a stream."""
    status, _, data = await call(gateway.url, "/v1/messages", body | {"stream": True})
    assert status == 200
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    usages = [event.get("usage") or event.get("message", {}).get("usage") or {} for event in events]
    found = [prompt_tokens(usage) for usage in usages if usage]
    return found[0], found[-1]


async def test_a_stream_begins_with_the_provider_s_count_of_a_known_conversation(
    gateway: tuple[RunningGateway, Simulator],
) -> None:
    first = messages("openai_chat", "The tide?")
    await streamed(gateway[0], first)
    begun, known = await streamed(gateway[0], first)
    assert begun == known
    begun, counted = await streamed(gateway[0], messages("openai_chat", "The tide?", "High.", "And tomorrow?"))
    assert counted > known
    assert begun == pytest.approx(counted, abs=counted - known), "only the new messages are estimated"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_count_is_exact_after_a_reply(gateway: tuple[RunningGateway, Simulator], path: str) -> None:
    """Passed on as bytes, or translated and not streamed: a reply is read if a client asked for a count before."""
    body = messages("openai_chat", "The tide?")
    if path == "/v1/chat/completions":
        body["messages"] = [{"role": "system", "content": body.pop("system")}, *body["messages"]]

    async def count() -> int:
        asked = messages("openai_chat", "The tide?")
        status, headers, data = await call(gateway[0].url, "/v1/messages/count_tokens", asked)
        assert (status, headers["x-modelbay-estimated"]) == (200, "true")
        return json.loads(data)["input_tokens"]  # type: ignore[no-any-return]

    await count()
    status, _, data = await call(gateway[0].url, path, body)
    usage = json.loads(data)["usage"]
    assert status == 200
    assert await count() == prompt_tokens(usage)


COUNTING = """
[providers.native]
type = "openai"
base_url = "{url}/v1"
api_key = "sk-provider"
dialect = {dialect}
[models.native]
provider = "native"
model = "sim-1"
"""
ASKED: dict[str, dict[str, Any]] = {
    "/v1/messages/count_tokens": {"model": "native", "messages": [{"role": "user", "content": "The tide?"}]},
    "/v1/responses/input_tokens": {"model": "native", "input": "The tide?"},
    "/v1beta/models/native:countTokens": {"contents": [{"role": "user", "parts": [{"text": "The tide?"}]}]},
    "/v1/chat/completions/input_tokens": {"model": "native", "messages": [{"role": "user", "content": "The tide?"}]},
}
"""A body for each path where clients ask for a count."""


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    ("dialect", "protocol"),
    [
        ('{ count_path = "/chat/completions/input_tokens" }', "openai_chat"),
        ('{ counted_as = "openai_responses" }', "openai_responses"),
        ('{ counted_as = "google" }', "google"),
    ],
)
async def test_a_provider_of_chat_completions_counts_for_clients_of_any_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, dialect: str, protocol: str
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with Simulator(key="sk-provider") as simulator:
        config = tmp_path / "config.toml"
        config.write_text(COUNTING.format(url=simulator.url, dialect=dialect))
        with RunningGateway(config) as gateway:
            status, headers, data = await call(gateway.url, path, ASKED[path])
            question = {"model": "native", "messages": [{"role": "user", "content": "The tide?"}]}
            _, _, answer = await call(gateway.url, "/v1/chat/completions", question)
    counted = json.loads(data)
    assert status == 200
    assert "x-modelbay-estimated" not in headers
    assert counted.get("input_tokens", counted.get("totalTokens")) == json.loads(answer)["usage"]["prompt_tokens"]
    assert [entry.protocol for entry in simulator.journal] == [protocol, "openai_chat"]


async def test_a_client_of_chat_completions_gets_an_estimate(gateway: tuple[RunningGateway, Simulator]) -> None:
    body = ASKED["/v1/chat/completions/input_tokens"] | {"model": "openai_chat"}
    status, headers, data = await call(gateway[0].url, "/v1/chat/completions/input_tokens", body)
    assert (status, headers["x-modelbay-estimated"]) == (200, "true")
    assert 3 <= json.loads(data)["input_tokens"] <= 20
    assert not list(gateway[1].journal)


async def test_a_reply_does_not_depend_on_an_estimate(
    gateway: tuple[RunningGateway, Simulator], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An upgrade may replace the tables of the running gateway, which are read late."""

    def broken(*_: Any) -> Estimate:
        raise ValueError("the table has other columns")

    monkeypatch.setattr(learned_counts, "estimate", broken)
    begun, counted = await streamed(gateway[0], messages("openai_chat", "The tide?"))
    assert (begun, counted > 0) == (0, True)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "the input tokens of a request could not be estimated"
    ]


@pytest.mark.parametrize("prompt", [{}, {"system": "Be brief."}], ids=["nothing", "a system prompt"])
async def test_a_request_without_messages_is_not_counted(
    gateway: tuple[RunningGateway, Simulator], prompt: dict[str, str]
) -> None:
    asked = {"model": "openai_chat", "messages": [], **prompt}
    status, _, data = await call(gateway[0].url, "/v1/messages/count_tokens", asked)
    assert (status, json.loads(data)["error"]["type"]) == (400, "invalid_request_error")
    assert "at least one message is required" in data.decode()
