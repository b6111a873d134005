"""Helpers of the official SDKs that call a model several times or read more than its text."""

import base64
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors, types

from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.sdk_clients import RED, SCHEMA, connected

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


@upstreams
def test_several_choices_are_given_or_refused_by_name(clients: dict[str, Any], upstream: str) -> None:
    completions = clients["openai_chat"].chat.completions
    asked = {"model": f"{upstream}/sim-1", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    if upstream == "openai_chat":
        assert len(completions.create(**asked).choices) == 2
        with completions.stream(**asked) as stream:
            assert all(choice.message.content for choice in stream.get_final_completion().choices)
        return
    with pytest.raises(openai.BadRequestError, match="`n`") as raised:
        completions.create(**asked)
    assert raised.value.param == "n"


def test_several_choices_of_a_reply_that_must_be_parsed_are_refused(clients: dict[str, Any]) -> None:
    """Thinking of another provider is in the history: the request is translated, and all choices but one would be lost."""
    completions = clients["openai_chat"].chat.completions
    question = {"role": "user", "content": "Hi"}
    thought = (
        completions.create(model="anthropic/sim-echo", messages=[question], reasoning_effort="low").choices[0].message
    )
    with pytest.raises(openai.BadRequestError, match="`n`"):
        completions.create(model="openai_chat/sim-1", messages=[question, thought, question], n=2)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@upstreams
def test_log_probabilities_are_given_or_refused_by_name(clients: dict[str, Any], upstream: str, stream: bool) -> None:
    completions, question = clients["openai_chat"].chat.completions, [{"role": "user", "content": "Hi"}]
    asked = {"model": f"{upstream}/sim-1", "messages": question, "logprobs": True, "top_logprobs": 2}
    if upstream == "anthropic":
        with pytest.raises(openai.BadRequestError, match="`logprobs`"):
            completions.create(**asked)
        return
    if stream:
        with completions.stream(**asked) as events:
            choice = events.get_final_completion().choices[0]
    else:
        choice = completions.create(**asked).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)


# --- token usage -------------------------------------------------------------------------------------------------------


@upstreams
def test_a_message_starts_with_its_input_tokens(clients: dict[str, Any], upstream: str) -> None:
    """Agents read them at the start of a stream; most protocols report them at its end only."""
    messages: Any = [{"role": "user", "content": "What is a bay? " * 50}]
    with clients["anthropic"].messages.stream(model=f"{upstream}/sim-1", max_tokens=99, messages=messages) as stream:
        usages = [event.message.usage.input_tokens for event in stream if event.type == "message_start"]
        final = stream.get_final_message().usage
    assert 100 < usages[0] < 400
    exact = final.input_tokens + (final.cache_read_input_tokens or 0)
    assert exact == prompt_tokens(clients, upstream, messages[0]["content"])


def prompt_tokens(clients: dict[str, Any], upstream: str, prompt: str) -> int:
    """The input tokens that the provider reports to a client of another protocol."""
    completions = clients["openai_chat"].chat.completions
    messages = [{"role": "user", "content": prompt}]
    return int(completions.create(model=f"{upstream}/sim-1", messages=messages).usage.prompt_tokens)


@upstreams
def test_a_provider_without_token_usage_breaks_no_accumulator(clients: dict[str, Any], upstream: str) -> None:
    model, messages = f"{upstream}/sim-1!no-usage", [{"role": "user", "content": "Hi"}]
    options = {"include_usage": True}
    with clients["openai_chat"].chat.completions.stream(
        model=model, messages=messages, stream_options=options
    ) as chunks:
        assert chunks.get_final_completion().choices[0].message.content
    with clients["openai_responses"].responses.stream(model=model, input="Hi") as events:
        assert events.until_done().get_final_response().usage.total_tokens >= 0
    with clients["anthropic"].messages.stream(model=model, max_tokens=99, messages=messages) as blocks:
        assert blocks.get_final_message().usage.output_tokens >= 0
    assert list(clients["google"].models.generate_content_stream(model=model, contents="Hi"))[-1].candidates


# --- lists, embeddings -------------------------------------------------------------------------------------------------


def test_models_are_listed_and_found_by_every_sdk(clients: dict[str, Any]) -> None:
    for sdk in ("openai_chat", "anthropic"):
        models = clients[sdk].models
        assert [model.id for model in models.list()] == list(PROTOCOLS)
        for name in (*PROTOCOLS, "anthropic/sim-1"):
            assert models.retrieve(name).id == name
    assert clients["openai_chat"].models.retrieve("anthropic").object == "model", "not in Anthropic's form"
    models = clients["google"].models
    assert [model.name for model in models.list()] == [f"models/{name}" for name in PROTOCOLS]
    assert [models.get(model=name).name for name in PROTOCOLS] == [f"models/{name}" for name in PROTOCOLS]


def test_an_unknown_model_is_not_found_by_any_sdk(clients: dict[str, Any]) -> None:
    with pytest.raises(openai.NotFoundError, match="no model"):
        clients["openai_chat"].models.retrieve("antropic")
    with pytest.raises(anthropic.NotFoundError, match="no model"):
        clients["anthropic"].models.retrieve("antropic")
    with pytest.raises(errors.ClientError, match="no model"):
        clients["google"].models.get(model="antropic")


WITH_EMBEDDINGS = [protocol for protocol in PROTOCOLS if protocol != "anthropic"]


@pytest.mark.parametrize("encoding", ["float", "base64", None])
@pytest.mark.parametrize("upstream", WITH_EMBEDDINGS)
def test_embeddings_of_every_provider_with_openai_s_sdk(
    clients: dict[str, Any], upstream: str, encoding: str | None
) -> None:
    asked: dict[str, Any] = {"encoding_format": encoding} if encoding else {}
    found = clients["openai_chat"].embeddings.create(model=upstream, input=["a", "b"], dimensions=32, **asked)
    lengths = [len(item.embedding) for item in found.data]
    assert lengths == ([172] * 2 if encoding == "base64" else [32] * 2)
    assert [item.index for item in found.data] == [0, 1]


@pytest.mark.parametrize("upstream", WITH_EMBEDDINGS)
def test_embeddings_of_every_provider_with_google_s_sdk(clients: dict[str, Any], upstream: str) -> None:
    config = types.EmbedContentConfig(output_dimensionality=32, task_type="RETRIEVAL_QUERY")
    found = clients["google"].models.embed_content(model=upstream, contents=["a", "b"], config=config)
    assert [len(item.values) for item in found.embeddings] == [32, 32]


def test_more_texts_than_the_provider_accepts_in_a_request_are_embedded(clients: dict[str, Any]) -> None:
    texts = [f"text {number}" for number in range(300)]
    found = clients["openai_chat"].embeddings.create(model="google", input=texts)
    alone = clients["openai_chat"].embeddings.create(model="google", input=texts[299])
    assert found.data[299].embedding == alone.data[0].embedding


def test_a_provider_without_embeddings_is_an_error_of_the_client(clients: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="does not make embeddings") as caught:
        clients["openai_chat"].embeddings.create(model="anthropic", input="a")
    assert caught.value.param == "model"


def test_tokens_are_not_translated_into_texts(clients: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="input"):
        clients["openai_chat"].embeddings.create(model="google", input=[1, 2, 3])


# --- token counts ------------------------------------------------------------------------------------------------------


@upstreams
def test_tokens_are_counted_for_every_sdk(clients: dict[str, Any], upstream: str) -> None:
    prompt = "What is a bay? " * 40
    found = {
        "openai_responses": clients["openai_responses"].responses.input_tokens.count(model=upstream, input=prompt),
        "anthropic": clients["anthropic"].messages.count_tokens(
            model=upstream, messages=[{"role": "user", "content": prompt}]
        ),
    }
    counts = {sdk: count.input_tokens for sdk, count in found.items()}
    counts["google"] = clients["google"].models.count_tokens(model=upstream, contents=prompt).total_tokens
    assert all(100 < count < 400 for count in counts.values())
    if upstream in counts:
        assert counts[upstream] == prompt_tokens(clients, upstream, prompt), "the provider's own count"


@upstreams
def test_a_count_grows_with_tools_and_images(clients: dict[str, Any], upstream: str) -> None:
    count = clients["anthropic"].messages.count_tokens
    image = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(RED).decode()}
    question: Any = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    pictured: Any = {"role": "user", "content": [*question["content"], {"type": "image", "source": image}]}
    tool: Any = {"name": "get_weather", "description": "The weather of a city.", "input_schema": SCHEMA}
    plain = count(model=upstream, messages=[question]).input_tokens
    assert count(model=upstream, messages=[pictured]).input_tokens > plain
    assert count(model=upstream, messages=[question], tools=[tool]).input_tokens > plain
