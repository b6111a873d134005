"""Helpers of the official SDKs that call a model several times or read more than its text."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from google.genai import types

from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.sdk_clients import connected

Running = tuple[RunningGateway, Simulator]
STEPS = "Find the weather in Paris and Rome in 2 steps"

upstreams = pytest.mark.parametrize("upstream", PROTOCOLS)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


@pytest.fixture(scope="module")
def clients(gateway: Running) -> Iterator[dict[str, Any]]:
    with connected(gateway[0].url, KEY) as found:
        yield found


# --- anthropic ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["sim-1", "sim-echo"])
@upstreams
def test_anthropic_s_tool_runner(clients: dict[str, Any], upstream: str, model: str, stream: bool) -> None:
    """It asks the server to store the conversation (a thread), and sends the whole one if the server refuses that."""
    asked: list[str] = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather.

        Args:
            city: The city.
        """
        asked.append(city)
        return f"Sun in {city}"

    runner = clients["anthropic"].beta.messages.tool_runner(
        model=f"{upstream}/{model}",
        max_tokens=2000,
        tools=[get_weather],
        messages=[{"role": "user", "content": STEPS}],
        stream=stream,
    )
    last = runner.until_done()
    assert asked == ["Paris", "Rome"]
    texts = [block.text for block in last.content if block.type == "text"]
    assert texts == ["The tool get_weather answered: Sun in Rome."]


# --- google-genai ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["sim-1", "sim-echo"])
@upstreams
def test_google_s_automatic_function_calls(clients: dict[str, Any], upstream: str, model: str, stream: bool) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"Sun in {city}"

    chat = clients["google"].chats.create(
        model=f"{upstream}/{model}", config=types.GenerateContentConfig(tools=[get_weather])
    )
    replies = list(chat.send_message_stream(STEPS)) if stream else [chat.send_message(STEPS)]
    assert asked == ["Paris", "Rome"]
    text = "".join(reply.text or "" for reply in replies)
    assert text == 'The tool get_weather answered: {"result":"Sun in Rome"}.'


# --- openai ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@upstreams
def test_a_response_is_continued_by_its_id(clients: dict[str, Any], upstream: str, stream: bool) -> None:
    responses = clients["openai_responses"].responses
    model, previous = f"{upstream}/sim-1", None
    for number, prompt in enumerate(("What is a bay?", "And a gulf?", "And a sea?"), 1):
        asked = {"model": model, "input": prompt, "previous_response_id": previous}
        if stream:
            with responses.stream(**asked) as events:
                reply = events.until_done().get_final_response()
        else:
            reply = responses.create(**asked)
        previous = reply.id
        assert prompt in reply.output_text
        assert number == 1 or f"(question {number} of our conversation)" in reply.output_text
    assert responses.retrieve(previous).output_text == reply.output_text


@upstreams
def test_every_reply_has_an_id_of_its_own(clients: dict[str, Any], upstream: str) -> None:
    model, messages = f"{upstream}/sim-1", [{"role": "user", "content": "Hi"}]
    ids = [clients["openai_chat"].chat.completions.create(model=model, messages=messages).id for _ in range(3)]
    ids += [clients["openai_responses"].responses.create(model=model, input="Hi").id for _ in range(3)]
    ids += [clients["anthropic"].messages.create(model=model, messages=messages, max_tokens=99).id for _ in range(3)]
    assert all(ids)
    assert all(one != other for one, other in pairwise(sorted(ids)))


@upstreams
def test_chunks_have_one_id_and_the_time_of_the_reply(clients: dict[str, Any], upstream: str) -> None:
    """Programs show a missing time as 1970."""
    chunks = list(
        clients["openai_chat"].chat.completions.create(
            model=f"{upstream}/sim-1", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert min(chunk.created for chunk in chunks) > 1_700_000_000
    assert {chunk.model for chunk in chunks} == {"sim-1"}
    assert not any(chunk.usage for chunk in chunks), "the client did not ask for the usage"
