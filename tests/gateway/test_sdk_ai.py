"""The npm package `ai` with the providers of each protocol, over a provider of every protocol."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.sdk_clients import RED
from tests.servers.aimock import installed, node_and_npm
from tests.servers.fixtures import skipping_where_unavailable

SCRIPT = Path(__file__).with_name("ai_sdk.mjs")
CLIENTS = ("openai_chat", "openai_compatible", "openai_responses", "anthropic", "google")
STRICT = "sim-echo"
"""Always thinks, and every protocol checks that it gets its thinking back unchanged."""
DIALECT = '[providers.openai_chat.dialect]\nreasoning_echo = "always"\n'
"""As DeepSeek and Kimi require it. `@ai-sdk/openai` drops the thinking of a Chat Completions reply."""

Ask = Callable[..., dict[str, Any]]

pairs = pytest.mark.parametrize(("client", "upstream"), list(product(CLIENTS, PROTOCOLS)))
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider", more=DIALECT) as found:
        yield found


@pytest.fixture(scope="module")
def node() -> Iterator[subprocess.Popen[str]]:
    with skipping_where_unavailable():
        command = [node_and_npm()[0], SCRIPT, installed()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def ask(gateway: tuple[RunningGateway, Simulator], node: "subprocess.Popen[str]") -> Ask:
    def send(client: str, model: str, prompt: str, **task: Any) -> dict[str, Any]:
        given = {"client": client, "model": model, "prompt": prompt, "url": gateway[0].url, "key": KEY, **task}
        assert node.stdin is not None and node.stdout is not None
        node.stdin.write(json.dumps(given) + "\n")
        node.stdin.flush()
        found: dict[str, Any] = json.loads(node.stdout.readline())
        return found

    return send


def says(reply: dict[str, Any], tool: str, result: str) -> bool:
    """Whether the model quotes a result. `@ai-sdk/google` sends results in an object of its own form."""
    found = {f"The tool {tool} answered: {text}." for text in (result, f'{{"name":"{tool}","content":"{result}"}}')}
    return any(one in reply["text"] for one in found)


# --- replies -----------------------------------------------------------------------------------------------------------


@both
@pairs
def test_a_text_is_answered(ask: Ask, client: str, upstream: str, stream: bool) -> None:
    reply = ask(client, f"{upstream}/sim-1", "What is a bay?", stream=stream)
    assert reply["text"].startswith("You asked: What is a bay?")
    assert reply["finish"] == "stop"
    assert reply["model"] in ("sim-1", f"{upstream}/sim-1")
    assert reply["usage"]["inputTokens"] > 0 < reply["usage"]["outputTokens"]
    assert reply["id"]
    age = datetime.now(UTC) - datetime.fromisoformat(reply["timestamp"])
    assert abs(age.total_seconds()) < 3600
    assert reply["deltas"] > 10 or not stream


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_a_loop_of_tools(ask: Ask, client: str, upstream: str, model: str, stream: bool) -> None:
    prompt = "Find the weather in Paris and Rome in 2 steps"
    reply = ask(client, f"{upstream}/{model}", prompt, stream=stream, tools=True)
    assert [call["input"] for call in reply["calls"]] == [{"city": "Paris"}, {"city": "Rome"}]
    assert says(reply, "get_weather", "get_weather of Rome")


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_parallel_calls_are_answered_together(ask: Ask, client: str, upstream: str, model: str, stream: bool) -> None:
    prompt = "Ask for the weather and the tide in Paris, in parallel"
    reply = ask(client, f"{upstream}/{model}", prompt, stream=stream, tools=True)
    assert sorted(call["name"] for call in reply["calls"]) == ["get_tide", "get_weather"]
    assert len({call["id"] for call in reply["calls"]}) == 2
    for name in ("get_weather", "get_tide"):
        assert says(reply, name, f"{name} of Paris")


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_a_reply_in_a_schema(ask: Ask, client: str, upstream: str, model: str, stream: bool) -> None:
    reply = ask(client, f"{upstream}/{model}", "Paris, 2000000", stream=stream, schema=True)
    assert reply["output"] == {"city": "city", "inhabitants": 2_000_000}


@both
@pairs
def test_the_model_sees_an_image(ask: Ask, client: str, upstream: str, stream: bool) -> None:
    image = base64.b64encode(RED).decode()
    reply = ask(client, f"{upstream}/sim-1", "What is this?", stream=stream, image=image)
    assert "I see one image (PNG, 75 bytes, red)." in reply["text"]


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pytest.mark.parametrize(
    ("client", "upstream"), list(product([name for name in CLIENTS if name != "openai_chat"], PROTOCOLS))
)
def test_thinking_is_shown_and_returned(ask: Ask, client: str, upstream: str, model: str, stream: bool) -> None:
    prompt = "Find the weather in Paris and Rome in 2 steps"
    reply = ask(client, f"{upstream}/{model}", prompt, stream=stream, tools=True, thinking=True)
    assert says(reply, "get_weather", "get_weather of Rome")
    assert reply["reasoning"][0].startswith("The user said: Find the weather")
    assert all(reply["reasoning"]) and len(reply["reasoning"]) == 3


@both
def test_thinking_that_the_client_drops_is_restored(
    gateway: tuple[RunningGateway, Simulator], ask: Ask, stream: bool
) -> None:
    ask("openai_chat", f"openai_chat/{STRICT}", "Find the weather in Bonn", stream=stream, tools=True)
    sent = gateway[1].journal.last.json["messages"]
    assert sent[1]["reasoning_content"].startswith("The user said: Find the weather in Bonn")


@both
@pairs
def test_a_reply_that_is_cut_off_says_so(ask: Ask, client: str, upstream: str, stream: bool) -> None:
    reply = ask(client, f"{upstream}/sim-1", "Write 500 words", stream=stream, maxTokens=20)
    assert reply["finish"] == "length"
    assert reply["usage"]["outputTokens"] == 20


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_key_is_a_401(ask: Ask, client: str) -> None:
    error = ask(client, "anthropic", "Hi", key="sk-wrong")["error"]
    assert (error["status"], error["retryable"]) == (401, False)
    assert "sk-wrong" not in error["message"]


@both
@pytest.mark.parametrize("client", CLIENTS)
def test_an_unknown_model_is_a_404(ask: Ask, client: str, stream: bool) -> None:
    error = ask(client, "antropic", "Hi", stream=stream)["error"]
    assert (error["status"], error["retryable"]) == (404, False)
    assert 'did you mean "anthropic"?' in error["message"]


@both
@pairs
def test_a_prompt_longer_than_the_context_window(ask: Ask, client: str, upstream: str, stream: bool) -> None:
    error = ask(client, f"{upstream}/sim-small", "x " * 5_000, stream=stream, maxTokens=99)["error"]
    assert (error["status"], error["retryable"]) == (400, False)


@both
@pairs
def test_a_rate_limit_is_a_429(ask: Ask, client: str, upstream: str, stream: bool) -> None:
    error = ask(client, f"{upstream}/sim-1!429=30", "Hi", stream=stream)["error"]
    assert (error["status"], error["retryable"], error["retryAfter"]) == (429, True, "30")


@both
@pairs
def test_an_error_of_the_provider(
    ask: Ask, client: str, upstream: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.gateway.retries.USUAL", Policy(attempts=1))
    error = ask(client, f"{upstream}/sim-1!500", "Hi", stream=stream)["error"]
    assert (error["status"], error["retryable"]) == (500, True)


@pytest.mark.parametrize("fault", ["cut-after-first", "missing-end", "error-in-200", "malformed-chunk"])
@pairs
def test_a_stream_that_breaks_off_is_an_error(
    ask: Ask, client: str, upstream: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.gateway.retries.USUAL", Policy(attempts=1))
    assert "error" in ask(client, f"{upstream}/sim-1!{fault}", "Hi", stream=True)
