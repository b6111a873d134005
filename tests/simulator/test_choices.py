"""Several choices and log probabilities, with official SDKs as the clients."""

import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import types
from openai import OpenAI

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY

ASKED: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(sim: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(sim: Simulator) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=sim.url))


def test_chat_answers_with_several_choices(client: OpenAI) -> None:
    one = client.chat.completions.create(model="sim-1", messages=ASKED)
    reply = client.chat.completions.create(model="sim-1", messages=ASKED, n=3)
    texts = [choice.message.content or "" for choice in reply.choices]
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert texts[0] == one.choices[0].message.content
    assert texts[1:] == [f"{texts[0]} This is choice {number}." for number in (2, 3)]
    assert one.usage is not None and reply.usage is not None
    assert reply.usage.prompt_tokens == one.usage.prompt_tokens
    assert reply.usage.completion_tokens > 3 * one.usage.completion_tokens
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_chat_streams_several_choices(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="sim-1", messages=ASKED, n=2)
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(model="sim-1", messages=ASKED, n=2, stream=True, stream_options=options)
    texts, ends, usages = ["", ""], [], []
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
        usages += [chunk.usage] if chunk.usage else []
    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == [0, 1]
    assert [usage.completion_tokens for usage in usages] == [whole.usage and whole.usage.completion_tokens]


def test_gemini_answers_with_several_candidates(gemini: genai.Client) -> None:
    config = types.GenerateContentConfig(candidate_count=2)
    reply: Any = gemini.models.generate_content(model="sim-1", contents="Hi", config=config)
    texts = [candidate.content.parts[0].text for candidate in reply.candidates]
    assert [candidate.index for candidate in reply.candidates] == [0, 1]
    assert texts[1] == f"{texts[0]} This is choice 2."
    streamed = ["", ""]
    for chunk in gemini.models.generate_content_stream(model="sim-1", contents="Hi", config=config):
        for candidate in chunk.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                streamed[candidate.index or 0] += part.text or ""
    assert streamed == texts


def test_the_number_of_choices_has_a_limit(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="sim-1", messages=ASKED, n=200)
    assert refused.value.param == "n"


@pytest.mark.parametrize("stream", [False, True])
def test_chat_has_log_probabilities_of_each_word(client: OpenAI, stream: bool) -> None:
    asked: Any = {"model": "sim-1", "messages": ASKED, "logprobs": True, "top_logprobs": 3}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
    words = choice.logprobs.content
    assert "".join(word.token for word in words) == choice.message.content
    for word in words:
        assert bytes(word.bytes).decode() == word.token
        assert len(word.top_logprobs) == 3
        assert word.top_logprobs[0].token == word.token
        assert math.exp(word.logprob) <= 1


def test_log_probabilities_are_sent_only_if_they_are_requested(client: OpenAI) -> None:
    assert client.chat.completions.create(model="sim-1", messages=ASKED).choices[0].logprobs is None


def test_responses_have_log_probabilities(client: OpenAI) -> None:
    reply = client.responses.create(model="sim-1", input="Hi", include=["message.output_text.logprobs"], top_logprobs=2)
    content: Any = reply.output[0]
    (text,) = content.content
    assert "".join(word.token for word in text.logprobs) == text.text
    assert {len(word.top_logprobs) for word in text.logprobs} == {2}


def test_gemini_has_log_probabilities(gemini: genai.Client) -> None:
    config = types.GenerateContentConfig(response_logprobs=True, logprobs=2)
    reply: Any = gemini.models.generate_content(model="sim-1", contents="Hi", config=config)
    result = reply.candidates[0].logprobs_result
    assert "".join(chosen.token for chosen in result.chosen_candidates) == reply.text
    assert {len(top.candidates) for top in result.top_candidates} == {2}
