"""The official SDKs of OpenAI, Anthropic and Google over a provider of every protocol."""

import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from google import genai

from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.sdk_clients import RED, SDKS, TOOLS, City, SdkChat, connected

Running = tuple[RunningGateway, Simulator]
STRICT = "sim-echo"
"""Always thinks, and every protocol checks that it gets its thinking back unchanged."""
FINISHED = {"openai_chat": "stop", "openai_responses": "completed", "anthropic": "end_turn", "google": "STOP"}
CUT = {
    "openai_chat": "length",
    "openai_responses": "max_output_tokens",
    "anthropic": "max_tokens",
    "google": "MAX_TOKENS",
}

pairs = pytest.mark.parametrize(("sdk", "upstream"), list(product(SDKS, PROTOCOLS)))
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


@pytest.fixture(scope="module")
def clients(gateway: Running) -> Iterator[dict[str, Any]]:
    with connected(gateway[0].url, KEY) as found:
        yield found


@pytest.fixture
def chat(clients: dict[str, Any], sdk: str, upstream: str) -> Any:
    """Begin a conversation with a model of the provider."""

    def begin(model: str = "sim-1", *, stream: bool = False, **features: Any) -> SdkChat:
        return SDKS[sdk](clients[sdk], f"{upstream}/{model}", stream=stream, **features)

    return begin


# --- replies -----------------------------------------------------------------------------------------------------------


@both
@pairs
def test_a_conversation(chat: Any, sdk: str, upstream: str, stream: bool) -> None:
    talk = chat(stream=stream)
    first, second = talk.ask("What is a bay?"), talk.ask("And a gulf?")
    assert "You asked: What is a bay?" in first.text
    assert "(question 2 of our conversation): And a gulf?" in second.text
    for reply in (first, second):
        assert reply.finish == FINISHED[sdk]
        assert reply.model == "sim-1", "the ID of the model at its provider"
        assert reply.input_tokens > 0 < reply.output_tokens
    assert first.id
    assert first.id != second.id
    if reply.created is not None:  # of OpenAI's protocols
        assert abs(reply.created - time.time()) < 3600


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_a_loop_of_tools(chat: Any, model: str, stream: bool) -> None:
    talk = chat(model, stream=stream, tools=True)
    reply = talk.ask("Find the weather in Paris and Rome in 2 steps")
    for city in ("Paris", "Rome"):
        assert [(call.name, call.arguments) for call in reply.calls] == [("get_weather", {"city": city})]
        reply = talk.answer([(reply.calls[0], f"Sun in {city}")])
    assert reply.text == "The tool get_weather answered: Sun in Rome."


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_parallel_calls_are_answered_together(chat: Any, model: str, stream: bool) -> None:
    talk = chat(model, stream=stream, tools=True)
    reply = talk.ask("Ask for the weather and the tide in Paris, in parallel")
    assert sorted(call.name for call in reply.calls) == sorted(TOOLS)
    reply = talk.answer([(call, f"result of {call.name}") for call in reply.calls])
    assert all(f"The tool {name} answered: result of {name}." in reply.text for name in TOOLS)


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_a_reply_in_a_schema(chat: Any, sdk: str, model: str, stream: bool) -> None:
    reply = chat(model, stream=stream, schema=True).ask("Paris, 2000000")
    expected = City(city="city", inhabitants=2_000_000)
    assert City.model_validate_json(reply.text) == expected
    if not (sdk == "google" and stream):  # it parses whole replies only
        assert reply.parsed == expected


@both
@pairs
def test_the_model_sees_an_image(chat: Any, stream: bool) -> None:
    assert "I see one image (PNG, 75 bytes, red)." in chat(stream=stream).ask("What is this?", RED).text


@both
@pytest.mark.parametrize("model", ["sim-1", STRICT])
@pairs
def test_thinking_is_shown_and_returned(gateway: Running, chat: Any, model: str, stream: bool) -> None:
    talk = chat(model, stream=stream, thinking=True, tools=True)
    first = talk.ask("Find the weather in Paris and Rome in 2 steps")
    assert "The user said: Find the weather in Paris" in first.thinking
    second = talk.answer([(first.calls[0], "18 °C")])
    last = talk.answer([(second.calls[0], "20 °C")])
    assert second.thinking and last.thinking
    assert last.text == "The tool get_weather answered: 20 °C."
    assert talk.ask("Thank you").text


@pairs
def test_a_reply_that_is_cut_off_says_so(chat: Any, sdk: str) -> None:
    reply = chat(max_tokens=20).ask("Write 500 words")
    assert reply.finish == CUT[sdk]
    assert reply.output_tokens == 20


@pairs
def test_a_stream_that_is_cut_off_says_so(clients: dict[str, Any], sdk: str, upstream: str) -> None:
    """OpenAI's accumulators raise at it, so the events are read."""
    client, model, messages = clients[sdk], f"{upstream}/sim-1", [{"role": "user", "content": "Write 500 words"}]
    match sdk:
        case "openai_chat":
            chunks = client.chat.completions.create(model=model, messages=messages, max_tokens=20, stream=True)
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
        case "openai_responses":
            last = list(client.responses.create(model=model, input=messages, max_output_tokens=20, stream=True))[-1]
            assert last.type == "response.incomplete"
            assert last.response.incomplete_details.reason == "max_output_tokens"
        case "anthropic":
            with client.messages.stream(model=model, messages=messages, max_tokens=20) as stream:
                assert stream.get_final_message().stop_reason == "max_tokens"
        case _:
            config = genai.types.GenerateContentConfig(max_output_tokens=20)
            found = list(client.models.generate_content_stream(model=model, contents="Write 500 words", config=config))
            assert found[-1].candidates[0].finish_reason == "MAX_TOKENS"


@both
@pairs
def test_a_refusal_is_a_reply(chat: Any, sdk: str, upstream: str, stream: bool) -> None:
    if stream and sdk.startswith("openai") and upstream in ("anthropic", "google"):
        pytest.skip("OpenAI's accumulators raise at a reply that a content filter ended")
    reply = chat(stream=stream).ask("SIM_REFUSE")
    assert "I cannot help with that" in reply.text + reply.refusal


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sdk", SDKS)
def test_a_wrong_key_is_a_401_that_does_not_repeat_it(gateway: Running, sdk: str) -> None:
    with connected(gateway[0].url, "sk-wrong") as clients, pytest.raises(SDKS[sdk].UNAUTHORIZED) as raised:
        SDKS[sdk](clients[sdk], "anthropic/sim-1").ask("Hi")
    assert SDKS[sdk].status(raised.value) == 401
    assert "sk-wrong" not in str(raised.value)


@both
@pytest.mark.parametrize("sdk", SDKS)
def test_an_unknown_model_is_a_404_that_names_the_nearest(clients: dict[str, Any], sdk: str, stream: bool) -> None:
    with pytest.raises(SDKS[sdk].NOT_FOUND, match="antropic") as raised:
        SDKS[sdk](clients[sdk], "antropic", stream=stream).ask("Hi")
    assert SDKS[sdk].status(raised.value) == 404
    assert "anthropic" in str(raised.value), "the most similar name"


OVERFLOWS = {
    "openai_chat": "maximum context length|exceeds the context window",
    "openai_responses": "maximum context length|exceeds the context window",
    "anthropic": "prompt is too long",
    "google": "exceeds the maximum number of tokens",
}
"""The words by which clients of a protocol recognize the error."""


@both
@pairs
def test_a_prompt_longer_than_the_context_window(chat: Any, sdk: str, stream: bool) -> None:
    with pytest.raises(SDKS[sdk].BAD_REQUEST, match=OVERFLOWS[sdk]) as raised:
        chat("sim-small", stream=stream, max_tokens=99).ask("x " * 5_000)
    assert SDKS[sdk].status(raised.value) == 400
    if sdk.startswith("openai"):
        assert raised.value.code == "context_length_exceeded"  # type: ignore[attr-defined]


@both
@pairs
def test_a_rate_limit_is_a_429_with_the_time_to_wait(chat: Any, sdk: str, stream: bool) -> None:
    with pytest.raises(SDKS[sdk].RATE_LIMITED) as raised:
        chat("sim-1!429=30", stream=stream).ask("Hi")
    assert SDKS[sdk].status(raised.value) == 429
    assert raised.value.response.headers["retry-after"] == "30"  # type: ignore[attr-defined]


@both
@pairs
def test_an_error_of_the_provider(chat: Any, sdk: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbay.gateway.retries.USUAL", Policy(attempts=1))
    with pytest.raises(SDKS[sdk].SERVER_ERROR) as raised:
        chat("sim-1!500", stream=stream).ask("Hi")
    assert SDKS[sdk].status(raised.value) == 500


@pytest.mark.parametrize("fault", ["cut-after-first", "missing-end", "error-in-200", "malformed-chunk"])
@pairs
def test_a_stream_that_breaks_off_is_an_error(chat: Any, sdk: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbay.gateway.retries.USUAL", Policy(attempts=1))
    with pytest.raises(SDKS[sdk].BROKEN):
        chat(f"sim-1!{fault}", stream=True).ask("Hi")


@pytest.mark.parametrize("fault", ["cut-after-first", "error-in-200", "malformed-chunk"])
@pairs
def test_a_whole_reply_that_breaks_off_is_an_error(
    chat: Any, sdk: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.gateway.retries.USUAL", Policy(attempts=1))
    with pytest.raises(SDKS[sdk].BROKEN):
        chat(f"sim-1!{fault}").ask("Hi")
