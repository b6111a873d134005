"""Stop sequences of clients whose provider has none: the gateway cuts the answer, and ends the provider's call."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.gateway.passing import ClientBody
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.gateway.running import RunningGateway, running
from tests.gateway.targets import target_of
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]
WORDS = " ".join(f"word{number}" for number in range(400))
PLACES = {"openai_chat": "stop", "anthropic": "stop_sequences", "google": "stopSequences"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


async def ask(gateway: Running, client: str, model: str, stops: list[str], *, stream: bool) -> tuple[str, Any, Any]:
    """The text of the answer, its finish reason and its stop sequence."""
    asked = {"role": "user", "content": "Count"}
    path, body = "/v1/chat/completions", {"model": model, "messages": [asked], "stream": stream, "stop": stops}
    if client == "anthropic":
        path = "/v1/messages"
        body = {"model": model, "max_tokens": 9000, "messages": [asked], "stream": stream, "stop_sequences": stops}
    elif client == "google":
        path = f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
        body = {"contents": [{"parts": [{"text": "Count"}]}], "generationConfig": {"stopSequences": stops}}
    status, headers, data = await call(gateway[0].url, path, body)
    assert status == 200, data
    assert "x-modelbay-dropped" not in headers
    found = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")] if stream else []
    return _read(client, found or [json.loads(data)])


def _read(client: str, replies: list[dict[str, Any]]) -> tuple[str, Any, Any]:
    text, reason, stop = "", None, None
    for one in replies:
        if client == "openai_chat":
            for choice in one["choices"]:
                text += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
                reason = choice["finish_reason"] or reason
        elif client == "google":
            candidate = one["candidates"][0]
            text += "".join(part["text"] for part in candidate.get("content", {}).get("parts", ()))
            reason = candidate.get("finishReason") or reason
        else:
            delta = one.get("delta", one)
            text += delta.get("text") or "".join(block["text"] for block in delta.get("content", ()))
            reason, stop = delta.get("stop_reason") or reason, delta.get("stop_sequence") or stop
    return text, reason, stop


REASONS = {"openai_chat": "stop", "google": "STOP", "anthropic": "stop_sequence"}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("client", PLACES)
async def test_an_answer_of_responses_ends_before_the_stop_sequence(
    gateway: Running, client: str, stream: bool
) -> None:
    gateway[1].provider.script.add().say(WORDS)
    text, reason, stop = await ask(gateway, client, "openai_responses", ["nothing", "d7 wor"], stream=stream)
    assert text == "word0 word1 word2 word3 word4 word5 word6 wor"
    assert (reason, stop) == (REASONS[client], "d7 wor" if client == "anthropic" else None)
    entry = gateway[1].journal.last
    assert entry.json["stream"] is True, "a reply in one piece could not be ended"
    assert "stop" not in entry.json
    gateway[1].provider.script.add().say("Well.")
    text, reason, stop = await ask(gateway, client, "openai_responses", ["nothing"], stream=stream)
    assert (text, stop) == ("Well.", None)
    assert reason == ("end_turn" if client == "anthropic" else REASONS[client])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_the_call_of_the_provider_ends_at_the_stop_sequence(gateway: Running, stream: bool) -> None:
    gateway[1].provider.script.add().say(WORDS).slow(between=0.5)  # it would take minutes
    text, _, _ = await ask(gateway, "openai_chat", "openai_responses", ["ord1"], stream=stream)
    assert text == "word0 w"
    entry = gateway[1].journal.last
    await entry.wait_over()
    assert entry.disconnected


@pytest.mark.parametrize(
    ("client", "model", "stops"),
    [
        ("openai_chat", "anthropic", ["\n", "d3"]),
        ("openai_chat", "google", [*"abce", "f", "d3"]),
        ("google", "anthropic", ["\n", "d3"]),
    ],
)
async def test_stop_sequences_that_a_provider_rejects_work(
    gateway: Running, client: str, model: str, stops: list[str]
) -> None:
    gateway[1].provider.script.add().say("worD1 worD2 word3 word4")
    text, reason, _ = await ask(gateway, client, model, stops, stream=True)
    assert text == "worD1 worD2 wor"
    assert reason == REASONS[client]


@pytest.mark.parametrize(
    ("most", "stop", "field"),
    [(0, '"END"', "most_stops"), (0, '["END"]', "most_stops"), (0, "[]", None), (4, '["a","b","c","d"]', None),
     (4, '["a","b","c","d","e"]', "most_stops"), (None, '["a","b","c","d","e"]', None)],
)  # fmt: skip
def test_a_request_with_more_stop_sequences_than_accepted_is_not_passed_on(
    most: int | None, stop: str, field: str | None
) -> None:
    body = ClientBody(f'{{"model":"m","messages":[],"stop":{stop}}}'.encode(), codec("openai_chat").PASS)
    assert body.to_repair(target_of("openai_chat", most_stops=most)) == field


# --- a provider that is not known to refuse them ------------------------------------------------------------------------


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider", without=["stop"]) as found:
        yield found


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", ["openai_chat", "anthropic"])
@pytest.mark.parametrize("client", PLACES)
async def test_a_provider_that_refuses_stop_sequences_gets_none_from_then_on(
    refusing: Running, client: str, model: str, stream: bool
) -> None:
    for asked in (2, 3):
        refusing[1].provider.script.add().say(WORDS)
        text, reason, stop = await ask(refusing, client, model, ["nothing", "d7 wor"], stream=stream)
        assert text == "word0 word1 word2 word3 word4 word5 word6 wor"
        assert (reason, stop) == (REASONS[client], "d7 wor" if client == "anthropic" else None)
        assert "stop" not in json.dumps(refusing[1].journal.last.json)
        assert len(refusing[1].journal) == asked, "it is asked once more only the first time"


async def test_several_answers_are_not_cut(refusing: Running) -> None:
    body = {"model": "openai_chat", "messages": [{"role": "user", "content": "Hi"}], "stop": ["x"], "n": 2}
    status, _, data = await call(refusing[0].url, "/v1/chat/completions", body)
    assert status == 400
    assert json.loads(data)["error"]["param"] == "stop"
