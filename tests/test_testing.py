"""The test double for programs with any SDK: scripted replies, received requests, and its failure messages."""

import asyncio
import os
import re
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import openai
import pytest
from anthropic import Anthropic
from google import genai
from openai import OpenAI
from pydantic import BaseModel

import modelbay
from modelbay.conversation import Protocol, Thinking
from modelbay.errors import BadRequest, IncompleteReply, RateLimited
from modelbay.testing import Simulator
from tests.gateway.sdk_clients import SDKS, City, SdkChat, connected

PROTOCOLS: list[Protocol] = ["openai_chat", "openai_responses", "anthropic", "google"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    chosen: Protocol = request.param
    return chosen


# --- the SDKs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def chat(simulator: Simulator, protocol: Protocol, request: pytest.FixtureRequest) -> Iterator[Callable[..., SdkChat]]:
    """Begin a conversation through the SDK of a protocol."""
    with connected(simulator.url, simulator.api_key) as clients:
        yield partial(SDKS[protocol], clients[protocol], "any-name", stream=request.param)


def test_an_sdk_gets_the_scripted_text(simulator: Simulator, chat: Any) -> None:
    simulator.say("Hello, you two!")
    reply = chat().ask("Greet us.")
    assert (reply.text, reply.model) == ("Hello, you two!", "any-name")
    [request] = simulator.requests
    assert (request.prompt, request.model, request.status) == ("Greet us.", "any-name", 200)


def test_a_text_is_exact_beyond_the_limit_of_the_request(simulator: Simulator, chat: Any) -> None:
    simulator.say("A rather long text for one token.")
    assert chat(max_tokens=16).ask("Hi").text == "A rather long text for one token."


def test_an_sdk_gets_the_scripted_calls_and_returns_their_results(simulator: Simulator, chat: Any) -> None:
    simulator.say("Let me see.").call("get_weather", city="Paris").call("get_tide", {"city": "Rome"})
    simulator.say("Sunny, and low.")
    talk = chat(tools=True)
    asked = talk.ask("Weather and tide?")
    assert [(call.name, call.arguments) for call in asked.calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_tide", {"city": "Rome"}),
    ]
    assert asked.text == "Let me see."
    assert talk.answer([(asked.calls[0], "sunny"), (asked.calls[1], "low")]).text == "Sunny, and low."
    assert [request.scripted for request in simulator.requests] == [
        'say "Let me see.", call get_weather {"city":"Paris"}, call get_tide {"city":"Rome"}',
        'say "Sunny, and low."',
    ]
    tools = simulator.requests[0].conversation.settings.tools
    assert tools and [tool.name for tool in tools] == ["get_weather", "get_tide"]


def test_thinking_comes_before_the_answer_and_survives_the_next_request(simulator: Simulator, chat: Any) -> None:
    simulator.think("Paris is far away.").call("get_weather", city="Paris")
    simulator.say("Sunny.")
    talk = chat(thinking=True, tools=True)
    asked = talk.ask("Weather?")
    assert asked.thinking == "Paris is far away."
    assert talk.answer([(asked.calls[0], "sunny")]).text == "Sunny."  # with a valid signature, where there is one


def test_a_structured_answer_has_the_form_that_the_request_asks_for(simulator: Simulator, chat: Any) -> None:
    simulator.answer(City(city="Paris", inhabitants=2))
    reply = chat(schema=True).ask("Where?")
    assert City.model_validate_json(reply.text) == City(city="Paris", inhabitants=2)


def test_a_structured_answer_is_a_call_of_the_forced_tool() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}}}
    other = {"type": "object", "properties": {"text": {"type": "string"}}}
    with Simulator() as simulator, Anthropic(base_url=simulator.base_url("anthropic"), api_key="x") as client:
        simulator.answer({"city": "Paris"}).times(2)
        for choice in ({"type": "any"}, {"type": "tool", "name": "City"}):
            reply: Any = client.messages.create(
                model="m",
                max_tokens=100,
                messages=[{"role": "user", "content": "Where?"}],
                tools=[{"name": "Note", "input_schema": other}, {"name": "City", "input_schema": schema}],
                tool_choice=choice,
            )
            assert [(block.name, block.input) for block in reply.content] == [("City", {"city": "Paris"})]


def test_a_failure_precedes_the_success(simulator: Simulator, chat: Any) -> None:
    simulator.fail(429, retry_after=1)
    simulator.say("Now.")
    talk = chat()
    with pytest.raises(talk.RATE_LIMITED) as caught:
        talk.ask("Hi")
    assert talk.status(caught.value) == 429
    assert chat().ask("Hi").text == "Now."


@pytest.mark.parametrize("words", [1, 3])
async def test_a_stream_breaks_off_after_some_words(simulator: Simulator, protocol: Protocol, words: int) -> None:
    simulator.say("one two three four five").fail(f"cut-after={words}")
    seen = []
    async with simulator.hub(protocol) as hub:
        with pytest.raises(IncompleteReply):
            async for text in hub.stream("Count.").text:
                seen.append(text)
    assert "".join(seen) == ("one" if words == 1 else "one two three")


async def test_a_slow_reply_is_left_by_its_client(simulator: Simulator, protocol: Protocol) -> None:
    simulator.say("Never.").slow(3600)
    async with simulator.hub(protocol) as hub:
        call = asyncio.create_task(hub.complete("Hi"))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert (await simulator.requests[0].wait_over()).disconnected


async def test_the_pieces_of_a_slow_stream_arrive_one_by_one(simulator: Simulator, protocol: Protocol) -> None:
    simulator.say("one two").slow(between=3600)
    async with simulator.hub(protocol) as hub, hub.stream("Hi") as stream:
        reading = asyncio.ensure_future(anext(stream.text))
        while not simulator.requests or simulator.requests[0].status is None:
            await asyncio.sleep(0.01)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])
    assert (await simulator.requests[0].wait_over()).disconnected


async def test_a_reply_can_finish_for_another_reason(simulator: Simulator, protocol: Protocol) -> None:
    simulator.say("It is").finish("length")
    async with simulator.hub(protocol) as hub:
        reply = await hub.complete("Hi")
    assert reply.finish and (reply.text, reply.finish.reason) == ("It is", "length")


# --- embeddings --------------------------------------------------------------------------------------------------------


def test_embeddings_are_scripted_by_their_texts_and_can_fail(simulator: Simulator) -> None:
    simulator.embed([1.0])
    simulator.when("later").embed([0.5])
    with OpenAI(base_url=simulator.base_url(), api_key="x", max_retries=0) as client:
        found = [client.embeddings.create(model="e", input=text).data[0].embedding for text in ("later", "now")]
        assert [list(vector) for vector in found] == [[0.5], [1.0]]
        simulator.fail(503)
        with pytest.raises(openai.InternalServerError):
            client.embeddings.create(model="e", input="now")


def test_vectors_are_for_requests_for_embeddings_and_texts_are_not(simulator: Simulator) -> None:
    simulator.say("A text.")
    simulator.embed([1.0, 0.0], [0.0, 1.0])
    with OpenAI(base_url=simulator.base_url(), api_key="x") as client:
        found = client.embeddings.create(model="e", input=["one", "two"]).data
        assert [list(item.embedding) for item in found] == [[1.0, 0.0], [0.0, 1.0]]
    with genai.Client(api_key="x", http_options={"base_url": simulator.base_url("google")}) as google:
        simulator.embed([0.5, 0.5])
        content = google.models.embed_content(model="e", contents="one").embeddings
        assert content and content[0].values == [0.5, 0.5]
    with simulator.sync_hub() as hub:
        assert hub.complete("Hi").text == "A text."


def test_a_wrong_number_of_vectors_is_an_error(simulator: Simulator) -> None:
    simulator.embed([1.0])
    with (
        OpenAI(base_url=simulator.base_url(), api_key="x") as client,
        pytest.raises(openai.BadRequestError, match="the scripted reply has 1 vectors for 2 texts"),
    ):
        client.embeddings.create(model="e", input=["one", "two"])
    [request] = simulator.requests
    assert request.status == 400


# --- the choice of a reply ---------------------------------------------------------------------------------------------


def asked(simulator: Simulator, *prompts: str, model: str = "m") -> list[str]:
    with simulator.sync_hub() as hub:
        return [hub.complete(prompt, model=model).text for prompt in prompts]


def test_replies_are_used_in_their_order(simulator: Simulator) -> None:
    simulator.say("one")
    simulator.say("two").times(2)
    assert asked(simulator, "a", "b", "c") == ["one", "two", "two"]


def test_a_reply_for_a_prompt_is_preferred(simulator: Simulator) -> None:
    simulator.say("any")
    simulator.when("Paris").say("sunny")
    simulator.when(re.compile("r.me", re.IGNORECASE)).say("rainy")
    simulator.when(lambda conversation: conversation.model == "big").say("large")
    assert asked(simulator, "In Rome?", "In Paris?", "In Paris?") == ["rainy", "sunny", "any"]
    assert asked(simulator, "Size?", model="big") == ["large"]


def test_an_endless_reply_is_the_last_choice(simulator: Simulator) -> None:
    simulator.say("else").always()
    simulator.when("Paris").say("always sunny").always()
    simulator.say("once")
    simulator.when("Paris").say("sunny")
    assert asked(simulator, "Paris", "Paris", "Rome", "Rome", "Rome") == [
        "sunny", "always sunny", "once", "else", "else",
    ]  # fmt: skip


def test_parallel_requests_get_the_replies_for_their_prompts(simulator: Simulator) -> None:
    for number in range(50):
        simulator.when(f"number {number}.").say(f"reply {number}")
    with simulator.sync_hub() as hub:
        replies = hub.map([f"number {number}." for number in range(50)], limit=50)
    assert [reply.text for reply in replies] == [f"reply {number}" for number in range(50)]


def test_a_request_without_a_script_is_answered_by_the_simulated_model(simulator: Simulator) -> None:
    simulator.say("once")
    assert asked(simulator, "first", "Why is the sky blue?")[1].startswith("You asked: Why is the sky blue?")


def test_several_choices_are_the_same_reply(simulator: Simulator) -> None:
    simulator.say("twins")
    with OpenAI(base_url=simulator.base_url(), api_key="x") as client:
        done = client.chat.completions.create(model="m", n=2, messages=[{"role": "user", "content": "Hi"}])
    assert [choice.message.content for choice in done.choices] == ["twins", "twins"]


def test_values_have_the_form_of_their_types(simulator: Simulator) -> None:
    class Point(BaseModel):
        x: int

    @dataclass
    class Place:
        city: str

    simulator.answer([Place("Paris"), Point(x=1)])
    simulator.call("mark", point=Point(x=1), place=Place("Rome"))
    with simulator.sync_hub() as hub:
        assert hub.complete("Hi").text == '[{"city":"Paris"},{"x":1}]'
        [call] = hub.complete("Hi").tool_calls
    assert call.input == {"point": {"x": 1}, "place": {"city": "Rome"}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda simulator: simulator.fail("teapot"), "unknown fault 'teapot': must be one of 400, 401"),
        (lambda simulator: simulator.fail("429*2"), r"unknown fault '429\*2'"),
    ],
)
def test_an_unknown_fault_is_refused_at_once(simulator: Simulator, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(simulator)
    simulator.reset()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda simulator: simulator.say("Hi").embed([0.5]),
        lambda simulator: simulator.embed([0.5]).call("f"),
        lambda simulator: simulator.embed([0.5]).answer(1),
    ],
)
def test_a_reply_that_no_request_could_get_is_refused_at_once(simulator: Simulator, wrong: Any) -> None:
    with pytest.raises(TypeError, match="a reply has either vectors or other content: begin another reply"):
        wrong(simulator)
    simulator.reset()


def test_a_fault_without_a_reply_is_that_of_the_simulated_model_s_reply(simulator: Simulator) -> None:
    simulator.fail("cut-after=3")
    simulator.when("slow").slow(first=0.01)
    with simulator.sync_hub() as hub:
        with pytest.raises(IncompleteReply) as raised:
            hub.stream("Hi").reply()
        assert raised.value.reply is not None
        assert raised.value.reply.text == "You asked: Hi."
        assert hub.complete("slow").text.startswith("You asked: slow.")


def test_a_text_must_be_a_text(simulator: Simulator) -> None:
    with pytest.raises(TypeError, match=r"say takes a text, not dict: use answer\(\) for a value in JSON"):
        simulator.say({"city": "Paris"})  # type: ignore[arg-type]
    simulator.reset()


@pytest.mark.parametrize(
    ("use", "kind", "said"),
    [
        (lambda one: one.when(5), TypeError, "when takes a text, a pattern or a function of the conversation, not int"),
        (lambda one: one.call(""), ValueError, "the name of the tool must not be empty"),
        (lambda one: one.embed(), TypeError, "embed takes at least one vector"),
        (lambda one: one.embed("x"), TypeError, r"vectors\[0\] must be a list of numbers, not str"),
        (lambda one: one.say("x").times(0), ValueError, "count must be at least 1"),
        (lambda one: one.base_url("grpc"), ValueError, "protocol must be 'openai_chat', "),
        (lambda one: one.hub("grpc"), ValueError, "protocol must be 'openai_chat', "),
        (lambda one: one.start(), RuntimeError, "the simulator is running already"),
        (lambda one: Simulator(key=""), ValueError, "key must not be empty"),
        (lambda one: Simulator(pace=-1), ValueError, "pace must be at least 0"),
        (lambda one: Simulator(pace="1"), TypeError, "pace must be a number"),  # type: ignore[arg-type]
        (lambda one: Simulator(without="images"), TypeError, "without must be a list of features"),
        (lambda one: Simulator().sync_hub(), RuntimeError, "the simulator is not running: use it inside `with`"),
        (lambda one: Simulator().environment, RuntimeError, "the simulator is not running"),
    ],
)
def test_a_wrong_use_is_refused_at_once(simulator: Simulator, use: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        use(simulator)
    simulator.reset()


# --- modelbay itself ---------------------------------------------------------------------------------------------------


async def test_a_hub_of_each_protocol_is_ready(simulator: Simulator, protocol: Protocol) -> None:
    simulator.think("Hm.").say("Yes.")
    async with simulator.hub(protocol) as hub:
        reply = await hub.complete("Well?", effort="low")
    assert reply.text == "Yes."
    assert [part.text for part in reply.parts if isinstance(part, Thinking)] == ["Hm."]
    assert simulator.requests[0].protocol == protocol


def test_a_blocking_hub_of_each_protocol_is_ready(simulator: Simulator, protocol: Protocol) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    simulator.call("weather", city="Paris")
    simulator.say("Take a hat.")
    with simulator.sync_hub(protocol) as hub:
        run = hub.run("Weather?", tools=[weather])
        assert run.reply().text == "Take a hat."
    results = simulator.requests[1].conversation.turns[-1]
    assert "sunny in Paris" in str(results)


async def test_retries_of_a_hub_are_requests_of_their_own(simulator: Simulator) -> None:
    simulator.fail(429, retry_after=0).times(2)
    simulator.say("At last.")
    async with simulator.hub() as hub:
        assert (await hub.complete("Hi")).text == "At last."
        simulator.fail(429, retry_after=0)
        with pytest.raises(RateLimited):
            await hub.complete("Hi", retries=0)
    assert [request.status for request in simulator.requests] == [429, 429, 200, 429]


# --- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_shows_its_conversation_but_not_its_key(simulator: Simulator, protocol: Protocol) -> None:
    with simulator.sync_hub(protocol) as hub:
        hub.complete("Hi", system="Be brief.", temperature=0.5, model="m", extra_headers={"X-Team": "blue"})
    [request] = simulator.requests
    assert (request.protocol, request.model, request.system, request.prompt) == (protocol, "m", "Be brief.", "Hi")
    assert request.conversation.settings.temperature == 0.5
    assert request.headers["x-team"] == "blue"
    assert isinstance(request.json, dict)
    assert simulator.api_key not in repr(vars(request))


def test_a_refused_request_is_listed_too(simulator: Simulator) -> None:
    with OpenAI(base_url=simulator.base_url(), api_key="x") as client, pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="m", messages=[{"role": "tool", "tool_call_id": "c", "content": "result of an unknown call"}]
        )
    [request] = simulator.requests
    assert (request.status, request.model) == (400, "m")


def test_a_request_without_a_conversation_says_so(simulator: Simulator) -> None:
    with OpenAI(base_url=simulator.base_url(), api_key="x") as client:
        client.models.list()
    [request] = simulator.requests
    assert (request.prompt, request.system) == ("", "")
    with pytest.raises(ValueError, match="GET /v1/models has no conversation"):
        _ = request.conversation


def test_sdks_find_the_simulator_in_the_environment(simulator: Simulator) -> None:
    simulator.say("from the environment").times(3)
    message: Any = {"role": "user", "content": "Hi"}
    with (
        mock.patch.dict(os.environ, simulator.environment),
        OpenAI() as for_openai,
        Anthropic() as for_anthropic,
        genai.Client() as for_google,
    ):
        whole = for_openai.chat.completions.create(model="a", messages=[message])
        block: Any = for_anthropic.messages.create(model="b", max_tokens=9, messages=[message]).content[0]
        found = for_google.models.generate_content(model="c", contents="Hi").text
    assert [whole.choices[0].message.content, block.text, found] == ["from the environment"] * 3
    assert [request.model for request in simulator.requests] == ["a", "b", "c"]


def test_a_required_key_is_checked() -> None:
    with Simulator(key="sk-mine") as simulator:
        with (
            OpenAI(base_url=simulator.base_url(), api_key="sk-other") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()
        with OpenAI(base_url=simulator.base_url(), api_key=simulator.api_key) as client:
            assert client.models.list().data


def test_the_provider_can_lack_features() -> None:
    with (
        Simulator(without=["json-schema=refuse"]) as simulator,
        simulator.sync_hub() as hub,
        pytest.raises(BadRequest, match="`response_format` is not supported by this model"),
    ):
        hub.complete("Where?", output=dict[str, str])


# --- failures ----------------------------------------------------------------------------------------------------------


def failure(run: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        run()
    return str(caught.value)


def test_unused_replies_are_an_error_at_the_end() -> None:
    def run() -> None:
        with Simulator() as simulator:
            simulator.say("Hello!")
            simulator.when("weather").call("get_weather", city="Paris")
            simulator.fail(429).times(2)
            simulator.say("for any").always()
            asked(simulator, "Hi")

    assert failure(run) == (
        "2 of 4 scripted replies not used:\n"
        '  when "weather": call get_weather {"city":"Paris"}\n'
        "  fail with 429 (2 more times)\n"
        "the simulator received 1 request:\n"
        '  POST /v1/chat/completions m "Hi": say "Hello!"'
    )


def test_the_message_says_if_no_request_arrived() -> None:
    def run() -> None:
        with Simulator() as simulator:
            simulator.think("Hm.").answer({"a": 1}).finish("length")

    assert failure(run) == (
        '1 of 1 scripted replies not used:\n  think "Hm.", answer {"a":1}, finish with length\n'
        "the simulator received no request"
    )


def test_a_strict_simulator_refuses_requests_without_a_script() -> None:
    def run() -> None:
        with Simulator(strict=True) as simulator:
            simulator.when("Rome").say("rainy")
            with pytest.raises(modelbay.ModelbayError, match=r'no scripted reply for the prompt "In Paris\?"'):
                asked(simulator, "In Paris?")
            asked(simulator, "In Rome?")

    message = failure(run)
    assert message.startswith('a request without a scripted reply: "In Paris?"\n')
    assert message.endswith('  POST /v1/chat/completions m "In Rome?": when "Rome": say "rainy"')


def test_an_error_of_the_test_itself_is_kept_and_gets_a_note() -> None:
    def run() -> None:
        with Simulator() as simulator:
            simulator.say("unused")
            asked(simulator, "Hi")
            assert asked(simulator, "And now?") == ["yes"]

    with pytest.raises(AssertionError) as caught:
        run()
    assert "scripted" not in str(caught.value)
    [note] = caught.value.__notes__
    assert 'POST /v1/chat/completions m "And now?": 200' in note


# --- its life ----------------------------------------------------------------------------------------------------------


async def test_it_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    async with Simulator() as simulator, simulator.hub() as hub:
        await hub.complete("Hi")
    with Simulator() as simulator:
        asked(simulator, "Hi")
    assert {thread for thread in threading.enumerate() if thread.name == "modelbay-server"} <= before


def test_it_ends_when_a_test_fails_with_a_stalled_stream() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError), Simulator() as simulator:
            simulator.say("one two").fail("stall")
            with simulator.sync_hub() as hub, hub.stream("Hi") as stream:
                next(stream.text)
                raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((simulator.host, simulator.port))


def test_several_simulators_are_independent() -> None:
    with Simulator() as one, Simulator() as two:
        one.say("one")
        two.say("two")
        assert asked(two, "Hi") + asked(one, "Hi") == ["two", "one"]
        assert [len(one.requests), len(two.requests)] == [1, 1]
