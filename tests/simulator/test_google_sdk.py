"""Google's SDK as the client, with the paths of the Gemini API and of Vertex AI."""

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY
from tests.simulator.raw_client import watch

SCHEMA: Any = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", parameters=SCHEMA)])
SHOWN = types.ThinkingConfig(include_thoughts=True)


class City(BaseModel):
    city: str
    inhabitants: int


@pytest.fixture(params=["v1", "v1beta"])
def client(sim: Simulator, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=sim.url, api_version=request.param)
    with genai.Client(api_key=KEY, http_options=options) as client:
        yield client


def ask(client: genai.Client, contents: Any, model: str = "sim-1", **config: Any) -> types.GenerateContentResponse:
    return client.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config) if config else None
    )


def test_models_are_listed_and_found(client: genai.Client):
    assert [model.name for model in client.models.list()][:2] == ["models/sim-1", "models/sim-thinker"]
    found = client.models.get(model="sim-thinker")
    assert (found.display_name, found.input_token_limit) == ("Simulator Thinker", 400_000)


def test_it_answers_whole(client: genai.Client):
    reply = ask(client, "What is a bay?", system_instruction="Be brief")
    assert "What is a bay?" in (reply.text or "")
    assert reply.usage_metadata is not None
    assert (reply.usage_metadata.prompt_token_count or 0) > 0


def test_it_streams_word_by_word(client: genai.Client):
    chunks = list(client.models.generate_content_stream(model="sim-1", contents="What is a bay?"))
    assert len(chunks) > 10
    assert "You asked: What is a bay?" in "".join(chunk.text or "" for chunk in chunks)
    assert len({chunk.response_id for chunk in chunks}) == 1
    assert chunks[-1].candidates and chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_loop_keeps_its_thought_signatures(client: genai.Client, stream: bool):
    config = types.GenerateContentConfig(tools=[TOOL], thinking_config=SHOWN)

    def step(contents: Any) -> list[types.Part]:
        if not stream:
            replies = [client.models.generate_content(model="sim-thinker", contents=contents, config=config)]
        else:
            replies = list(client.models.generate_content_stream(model="sim-thinker", contents=contents, config=config))
        found = [reply.candidates[0].content for reply in replies if reply.candidates]
        return [part for content in found if content for part in content.parts or []]

    contents: list[Any] = [
        types.Content(role="user", parts=[types.Part(text="Weather in Paris and Rome, in parallel, 2 steps")])
    ]
    for _ in range(2):
        parts = step(contents)
        calls = [part.function_call for part in parts if part.function_call]
        assert [call.args for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
        answers = [types.Part.from_function_response(name="get_weather", response={"output": "18"}) for _ in calls]
        contents += [types.Content(role="model", parts=parts), types.Content(role="user", parts=answers)]
    text = "".join(part.text or "" for part in step(contents) if not part.thought)
    assert text == "The tool get_weather answered: 18. The tool get_weather answered: 18."


def test_a_call_without_its_signature_is_refused(client: genai.Client):
    question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])
    reply = ask(client, [question], "sim-thinker", tools=[TOOL])
    assert reply.candidates and reply.candidates[0].content and reply.candidates[0].content.parts
    call = reply.candidates[0].content.parts[0]
    assert call.thought_signature
    call.thought_signature = None
    answer = types.Part.from_function_response(name="get_weather", response={"output": "18"})
    turns = [question, reply.candidates[0].content, types.Content(role="user", parts=[answer])]
    with pytest.raises(errors.ClientError, match="Function call is missing a thought_signature in functionCall parts"):
        ask(client, turns, "sim-thinker", tools=[TOOL])
    call.thought_signature = b"skip_thought_signature_validator"
    assert "answered: 18" in (ask(client, turns, "sim-thinker", tools=[TOOL]).text or "")


def test_the_sdk_calls_python_functions_itself(client: genai.Client):
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"18 degrees in {city}"

    reply = ask(client, "What is the weather in Paris?", "sim-thinker", tools=[get_weather])
    assert "18 degrees in Paris" in (reply.text or "")


def test_it_sees_images(client: genai.Client):
    image = types.Part.from_bytes(data=b"\x89PNG" + bytes(12_284), mime_type="image/png")
    assert "I see one image (PNG, 12 KB)." in (ask(client, [image, "What is this?"]).text or "")
    with pytest.raises(errors.ClientError, match="input modality is not enabled"):
        ask(client, [image, "What is this?"], "sim-text")


def test_it_answers_in_a_shape(client: genai.Client):
    reply = ask(client, "Paris, 2000000", response_mime_type="application/json", response_schema=City)
    assert reply.parsed == City(city="city", inhabitants=2_000_000)


def test_it_ends_where_it_is_told_to(client: genai.Client):
    reply = ask(client, "Write 90 words", max_output_tokens=5)
    assert reply.candidates and reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert (ask(client, "one two", stop_sequences=["two"]).text or "").endswith("one ")


def test_it_counts_tokens(client: genai.Client):
    assert client.models.count_tokens(model="sim-1", contents="What is a bay?").total_tokens == 5


def test_an_unknown_model_is_not_found(client: genai.Client):
    with pytest.raises(errors.ClientError) as refused:
        ask(client, "Hi", "sim-0")
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")


def test_a_wrong_key_is_refused(sim: Simulator):
    with (
        genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=sim.url)) as client,
        pytest.raises(errors.ClientError) as refused,
    ):
        ask(client, "Hi")
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")


async def test_without_sse_a_stream_is_one_array(sim: Simulator):
    seen = await watch(
        sim,
        "/v1beta/models/sim-1:streamGenerateContent",
        {"contents": [{"parts": [{"text": "What is a bay?"}]}]},
        x_goog_api_key=KEY,
    )
    assert seen.headers["content-type"] == "application/json"
    assert len(seen.json) > 10
    assert seen.json[-1]["candidates"][0]["finishReason"] == "STOP"
