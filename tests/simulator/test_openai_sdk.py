"""OpenAI's SDK as the client: Chat Completions and Responses."""

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(12_284)).decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
STATELESS: Any = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}


class City(BaseModel):
    city: str
    inhabitants: int


@pytest.fixture
def client(sim: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


# --- both --------------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_found(client: OpenAI):
    listed = client.models.list().data
    assert [model.id for model in listed][:3] == ["sim-1", "sim-thinker", "sim-vision"]
    found = client.models.retrieve("sim-thinker")
    assert (found.id, found.object, found.owned_by) == ("sim-thinker", "model", "modelbay")


def test_an_unknown_model_is_not_found(client: OpenAI):
    with pytest.raises(openai.NotFoundError) as chat:
        client.chat.completions.create(model="sim-0", messages=asked("Hi"))
    assert (chat.value.code, chat.value.type) == ("model_not_found", "invalid_request_error")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="sim-0", input="Hi")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sim-0")


def test_a_wrong_key_is_refused(sim: Simulator):
    with OpenAI(base_url=f"{sim.url}/v1", api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.chat.completions.create(model="sim-1", messages=asked("Hi"))
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id is not None
    assert "sk-wrong" not in str(refused.value)


def test_faults_are_the_sdks_errors(client: OpenAI):
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="sim-1!429=3", messages=asked("Hi"))
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="sim-1", input="Hi", extra_headers={"x-simulate": "503"})


def test_a_fault_that_passes_is_retried_by_the_sdk(sim: Simulator):
    with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=2) as client:
        reply = client.chat.completions.create(model="sim-1!429=ms:1*2", messages=asked("Hi"))
    assert reply.choices[0].finish_reason == "stop"
    assert [entry.status for entry in sim.journal] == [429, 429, 200]


# --- Chat Completions --------------------------------------------------------------------------------------------------


def test_chat_answers_whole(client: OpenAI):
    reply = client.chat.completions.create(model="sim-1", messages=asked("What is a bay?"))
    assert "What is a bay?" in (reply.choices[0].message.content or "")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_chat_streams_word_by_word(client: OpenAI):
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model="sim-1", messages=asked("What is a bay?"), stream=True, stream_options=options
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) > 10
    assert "You asked: What is a bay?" in "".join(texts)
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_chat_streams_as_it_answers_whole(client: OpenAI):
    whole = client.chat.completions.create(model="sim-1", messages=asked("Hi"))
    with client.chat.completions.stream(model="sim-1", messages=asked("Hi")) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content


def test_chat_thinks_when_it_is_told_to(client: OpenAI):
    reply = client.chat.completions.create(model="sim-1", messages=asked("Hi"), reasoning_effort="low")
    message: Any = reply.choices[0].message
    assert message.reasoning_content.startswith("The user said: Hi.")
    assert reply.usage is not None and reply.usage.completion_tokens_details is not None
    assert (reply.usage.completion_tokens_details.reasoning_tokens or 0) > 5


def test_chat_goes_through_a_tool_loop(client: OpenAI):
    messages = asked("In parallel: what is the weather in Paris and Rome?")
    first = client.chat.completions.create(model="sim-1", messages=messages, tools=[CHAT_TOOL])
    calls: Any = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert [call.function.arguments for call in calls] == ['{"city":"Paris"}', '{"city":"Rome"}']
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"{index} °C"} for index, call in enumerate(calls)
    ]
    second = client.chat.completions.create(model="sim-1", messages=messages, tools=[CHAT_TOOL])
    assert (
        second.choices[0].message.content == "The tool get_weather answered: 0 °C. The tool get_weather answered: 1 °C."
    )


def test_chat_streams_tool_calls(client: OpenAI):
    with client.chat.completions.stream(
        model="sim-1", messages=asked("Weather in Paris"), tools=[CHAT_TOOL], tool_choice="required"
    ) as stream:
        final: Any = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city":"Paris"}'


def test_chat_sees_images(client: OpenAI):
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    reply = client.chat.completions.create(model="sim-1", messages=[{"role": "user", "content": content}])
    assert "I see one image (PNG, 12 KB)." in (reply.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match="only supported by certain models"):
        client.chat.completions.create(model="sim-text", messages=[{"role": "user", "content": content}])


def test_chat_watches_an_uploaded_video(client: OpenAI):
    purpose: Any = "video"
    file = client.files.create(file=("bay.mp4", b"\0" * 2048, "video/mp4"), purpose=purpose)
    assert (file.bytes, file.filename, file.purpose) == (2048, "bay.mp4", "video")
    content: Any = [
        {"type": "video_url", "video_url": {"url": f"ms://{file.id}"}},
        {"type": "text", "text": "What is this?"},
    ]
    reply = client.chat.completions.create(model="sim-vision", messages=[{"role": "user", "content": content}])
    assert f"I watched one video (ms://{file.id})." in (reply.choices[0].message.content or "")
    content[0]["video_url"]["url"] = "ms://file-0"
    with pytest.raises(openai.BadRequestError, match="file-0 not found"):
        client.chat.completions.create(model="sim-vision", messages=[{"role": "user", "content": content}])


def test_chat_answers_in_a_shape(client: OpenAI):
    reply = client.chat.completions.parse(model="sim-1", messages=asked("Paris, 2000000"), response_format=City)
    assert reply.choices[0].message.parsed == City(city="city", inhabitants=2_000_000)


def test_chat_ends_where_it_is_told_to(client: OpenAI):
    reply = client.chat.completions.create(model="sim-1", messages=asked("Write 90 words"), max_completion_tokens=5)
    assert (reply.choices[0].finish_reason, len(reply.choices[0].message.content or "")) == ("length", 20)
    reply = client.chat.completions.create(model="sim-1", messages=asked("one two"), stop=["two"])
    assert (reply.choices[0].message.content or "").endswith("one ")


def test_chat_refuses(client: OpenAI):
    reply = client.chat.completions.create(model="sim-1", messages=asked("SIM_REFUSE"))
    assert (reply.choices[0].message.refusal or "").startswith("I am sorry")


def test_chat_reads_a_known_prompt_from_its_cache(client: OpenAI):
    messages = asked("A long question. " * 50)
    usages = [client.chat.completions.create(model="sim-1", messages=messages).usage for _ in range(2)]
    cached = [usage.prompt_tokens_details.cached_tokens for usage in usages if usage and usage.prompt_tokens_details]
    assert cached[0] == 0
    assert usages[1] is not None
    assert cached[1] == usages[1].prompt_tokens - 1


def test_an_o_model_refuses_max_tokens_by_that_name(client: OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="sim-o1", messages=asked("Hi"), max_tokens=100)
    assert (refused.value.param, refused.value.code) == ("max_tokens", "unsupported_parameter")
    assert "Use 'max_completion_tokens' instead." in str(refused.value)
    client.chat.completions.create(model="sim-o1", messages=asked("Hi"), max_completion_tokens=100)


def test_an_error_inside_a_stream_is_raised(client: OpenAI):
    with pytest.raises(openai.APIError, match="overloaded"):
        list(client.chat.completions.create(model="sim-1!error-in-200", messages=asked("Hi"), stream=True))


# --- Responses ---------------------------------------------------------------------------------------------------------


def test_responses_answers_whole(client: OpenAI):
    reply = client.responses.create(model="sim-1", input="What is a bay?", instructions="Be brief")
    assert "What is a bay?" in reply.output_text
    assert reply.status == "completed"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


def test_responses_streams_word_by_word(client: OpenAI):
    with client.responses.stream(model="sim-thinker", input="What is a bay?", **STATELESS) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert sum(event.type == "response.output_text.delta" for event in events) > 10
    assert sum(event.type == "response.reasoning_summary_text.delta" for event in events) > 10
    assert [event.sequence_number for event in events] == sorted(event.sequence_number for event in events)
    assert [item.type for item in final.output] == ["reasoning", "message"]


def test_responses_gives_its_reasoning_state_only_when_asked(client: OpenAI):
    plain: Any = client.responses.create(model="sim-thinker", input="Hi").output[0]
    asked: Any = client.responses.create(
        model="sim-thinker", input="Hi", include=["reasoning.encrypted_content"]
    ).output[0]
    assert (plain.summary, plain.encrypted_content) == ([], None)
    assert (asked.summary, bool(asked.encrypted_content)) == ([], True)


@pytest.mark.parametrize("state", [STATELESS, {}], ids=["stateless", "stored"])
def test_responses_goes_through_a_tool_loop(client: OpenAI, state: Any):
    items = asked("In parallel: what is the weather in Paris and Rome?")
    first = client.responses.create(model="sim-thinker", input=items, tools=[TOOL], **state)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == ['{"city":"Paris"}', '{"city":"Rome"}']
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "18 °C"} for call in calls]
    second = client.responses.create(model="sim-thinker", input=items, tools=[TOOL], **state)
    assert second.output_text == "The tool get_weather answered: 18 °C. The tool get_weather answered: 18 °C."


def test_responses_hands_a_freeform_tool_text(client: OpenAI):
    reply = client.responses.create(
        model="sim-1", input="Use the script tool", tools=[{"type": "custom", "name": "script"}]
    )
    call: Any = reply.output[0]
    assert (call.type, call.input) == ("custom_tool_call", "Use the script tool")


def test_responses_sees_images(client: OpenAI):
    content: Any = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PNG}]
    reply = client.responses.create(model="sim-1", input=[{"role": "user", "content": content}])
    assert "I see one image (PNG, 12 KB)." in reply.output_text


def test_responses_answers_in_a_shape(client: OpenAI):
    reply = client.responses.parse(model="sim-1", input="Paris, 2000000", text_format=City)
    assert reply.output_parsed == City(city="city", inhabitants=2_000_000)


def test_responses_ends_where_it_is_told_to(client: OpenAI):
    reply = client.responses.create(model="sim-1", input="Write 900 words", max_output_tokens=16)
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"


def test_responses_counts_tokens(client: OpenAI):
    assert client.responses.input_tokens.count(model="sim-1", input="What is a bay?").input_tokens == 5


def test_responses_keeps_no_state(client: OpenAI):
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'resp_1' not found"):
        client.responses.create(model="sim-1", input="Hi", previous_response_id="resp_1")
