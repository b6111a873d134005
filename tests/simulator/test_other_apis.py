"""Embeddings, legacy completions, images, audio, moderation and reranking, with official SDKs as the clients."""

import base64
import io
import math
import struct
import wave
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
from google import genai
from google.genai import types
from openai import AzureOpenAI, OpenAI

from modelbay.simulator import Simulator
from modelbay.simulator.colors import color
from tests.servers.wire import call
from tests.simulator.conftest import KEY

PNG = b"\x89PNG\r\n\x1a\nnot a real one"


@pytest.fixture
def client(sim: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(sim: Simulator) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=sim.url))


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


# --- embeddings --------------------------------------------------------------------------------------------------------


def test_texts_with_common_words_have_similar_vectors(client: OpenAI) -> None:
    reply = client.embeddings.create(model="sim-1", input=["a red boat", "a red ship", "two plus two"])
    boat, ship, sum_ = [item.embedding for item in reply.data]
    assert len(boat) == 256
    assert math.isclose(similarity(boat, boat), 1, abs_tol=1e-5)
    assert similarity(boat, ship) > similarity(boat, sum_) + 0.2
    assert [item.index for item in reply.data] == [0, 1, 2]
    assert reply.usage.total_tokens == reply.usage.prompt_tokens > 0


def test_both_encodings_have_the_same_numbers(client: OpenAI, sim: Simulator) -> None:
    plain = call(
        f"{sim.url}/v1/embeddings",
        {"model": "sim-1", "input": "Hi", "encoding_format": "float"},
        authorization=f"Bearer {KEY}",
    )
    floats = plain.json["data"][0]["embedding"]
    encoded: Any = client.embeddings.create(model="sim-1", input="Hi", encoding_format="base64").data[0].embedding
    assert list(struct.unpack(f"<{len(floats)}f", base64.b64decode(encoded))) == floats
    assert client.embeddings.create(model="sim-1", input="Hi").data[0].embedding == floats


def test_a_vector_has_the_dimensions_that_were_requested(client: OpenAI) -> None:
    (item,) = client.embeddings.create(model="sim-1", input="Hi", dimensions=8).data
    assert len(item.embedding) == 8
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="sim-1", input="Hi", dimensions=0)


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2, 3]]])
def test_token_ids_are_embedded_too(client: OpenAI, given: Any) -> None:
    assert len(client.embeddings.create(model="sim-1", input=given).data) == 1


@pytest.mark.parametrize("given", ["", [], [""], [{"text": "Hi"}]])
def test_an_input_without_text_is_refused(client: OpenAI, given: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="sim-1", input=given)
    assert refused.value.param == "input"


def test_an_unknown_model_does_not_embed(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="sim-0", input="Hi")
    assert refused.value.code == "model_not_found"


def test_a_deployment_embeds(sim: Simulator) -> None:
    with AzureOpenAI(azure_endpoint=sim.url, api_version="2026-01-01", api_key=KEY, max_retries=0) as azure:
        assert len(azure.embeddings.create(model="sim-1", input="Hi", dimensions=4).data[0].embedding) == 4


def test_gemini_embeds_one_content_or_several(gemini: genai.Client, client: OpenAI, sim: Simulator) -> None:
    config = types.EmbedContentConfig(output_dimensionality=16)
    reply: Any = gemini.models.embed_content(model="sim-1", contents=["Hi", "Hello"], config=config)
    assert [len(one.values) for one in reply.embeddings] == [16, 16]
    (same,) = client.embeddings.create(model="sim-1", input="Hi", dimensions=16).data
    assert reply.embeddings[0].values == same.embedding
    one = call(
        f"{sim.url}/v1beta/models/sim-1:embedContent",
        {"content": {"parts": [{"text": "Hi"}]}, "outputDimensionality": 16},
        x_goog_api_key=KEY,
    )
    assert one.json["embedding"]["values"] == same.embedding


# --- the other APIs ----------------------------------------------------------------------------------------------------


def test_legacy_completions_answer_each_prompt(client: OpenAI) -> None:
    reply = client.completions.create(model="sim-1", prompt=["One", "Two"], n=2, echo=True)
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert reply.choices[0].text.startswith("OneYou asked: One.")
    assert reply.choices[3].text.endswith("This is choice 2.")
    assert {choice.finish_reason for choice in reply.choices} == {"stop"}
    assert reply.usage is not None and reply.usage.completion_tokens > 0
    cut = client.completions.create(model="sim-1", prompt="One", max_tokens=3)
    assert (cut.choices[0].finish_reason, len(cut.choices[0].text)) == ("length", 12)


def test_legacy_completions_stream(client: OpenAI) -> None:
    whole = client.completions.create(model="sim-1", prompt="Hi")
    options: Any = {"include_usage": True}
    chunks = list(client.completions.create(model="sim-1", prompt="Hi", stream=True, stream_options=options))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_images_are_generated_and_edited(client: OpenAI) -> None:
    made = client.images.generate(model="sim-1", prompt="A boat", n=2)
    again = client.images.generate(model="sim-1", prompt="A boat", n=2)
    assert made.data == again.data
    assert made.data is not None and len(made.data) == 2
    png = base64.b64decode(made.data[0].b64_json or "")
    assert png.startswith(b"\x89PNG")
    assert color(made.data[0].b64_json or "") is None  # it has a color, but none with a name
    edited = client.images.edit(model="sim-1", image=("boat.png", PNG), prompt="A boat")
    with pytest.warns(DeprecationWarning):
        varied = client.images.create_variation(model="sim-1", image=("boat.png", PNG))
    assert edited.data and varied.data
    assert edited.data != made.data[:1]


def test_an_image_is_required_to_edit_one(client: OpenAI, sim: Simulator) -> None:
    refused = call(f"{sim.url}/v1/images/edits", {"model": "sim-1", "prompt": "x"}, authorization=f"Bearer {KEY}")
    assert (refused.status, refused.json["error"]["param"]) == (400, "image")


def test_speech_is_audio_that_can_be_read(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="sim-1", voice="alloy", input="Hello there", response_format="wav"
    ) as reply:
        assert reply.headers["content-type"] == "audio/wav"
        data = reply.read()
    with wave.open(io.BytesIO(data)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (1, 8_000)
        assert sound.getnframes() == 880


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json"])
def test_audio_is_transcribed_in_each_format(client: OpenAI, form: Any) -> None:
    reply: Any = client.audio.transcriptions.create(
        model="sim-1", file=("hello.wav", b"RIFF" + bytes(96)), response_format=form
    )
    text = reply if isinstance(reply, str) else reply.text
    assert "I heard hello.wav (100 bytes)." in text


def test_audio_is_translated(client: OpenAI) -> None:
    with pytest.warns(DeprecationWarning):  # of the SDK; other clients still use the path
        translated = client.audio.translations.create(model="sim-1", file=("hello.wav", b"RIFF"))
    assert translated.text == "I translated hello.wav (4 bytes)."


def test_moderation_flags_a_word(client: OpenAI) -> None:
    reply = client.moderations.create(input=["Hello", "SIM_FLAG"], model="sim-1")
    assert [result.flagged for result in reply.results] == [False, True]
    assert reply.results[1].categories.violence
    parts: Any = [{"type": "text", "text": "SIM_FLAG"}, {"type": "text", "text": "Hello"}]
    assert [result.flagged for result in client.moderations.create(input=parts).results] == [True]


def test_documents_are_ranked_by_common_words(sim: Simulator) -> None:
    body = {
        "model": "sim-1",
        "query": "red boat",
        "documents": ["a blue car", {"text": "the red boat"}, "a red car"],
        "top_n": 2,
        "return_documents": True,
    }
    reply = call(f"{sim.url}/v1/rerank", body, authorization=f"Bearer {KEY}")
    assert reply.json["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "the red boat"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "a red car"}},
    ]


@pytest.mark.parametrize("path", ["embeddings", "completions", "rerank", "moderations", "images/generations"])
def test_faults_and_wrong_keys_work_as_for_conversations(sim: Simulator, path: str) -> None:
    body = {"model": "sim-1!429=7", "input": "Hi", "prompt": "Hi", "query": "Hi", "documents": ["Hi"]}
    limited = call(f"{sim.url}/v1/{path}", body, authorization=f"Bearer {KEY}")
    assert (limited.status, limited.headers["retry-after"]) == (429, "7")
    assert sim.journal.last.model == "sim-1!429=7"
    assert call(f"{sim.url}/v1/{path}", body, authorization="Bearer wrong").status == 401
