"""Anthropic's SDK as the client."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY

PNG = base64.b64encode(b"\x89PNG" + bytes(12_284)).decode()
TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


class City(BaseModel):
    city: str
    inhabitants: int


@pytest.fixture
def client(sim: Simulator) -> Iterator[Anthropic]:
    with Anthropic(base_url=sim.url, api_key=KEY, max_retries=0) as client:
        yield client


def ask(client: Anthropic, text: Any, model: str = "sim-1", **more: Any) -> Any:
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return client.messages.create(model=model, messages=messages, **{"max_tokens": 2048, **more})


def test_models_are_listed_and_found(client: Anthropic):
    listed: Any = list(client.models.list())
    assert [model.id for model in listed][:2] == ["sim-1", "sim-thinker"]
    found: Any = client.models.retrieve("sim-thinker")
    assert (found.id, found.display_name) == ("sim-thinker", "Simulator Thinker")


def test_it_answers_whole(client: Anthropic):
    reply = ask(client, "What is a bay?", system="Be brief")
    assert "What is a bay?" in reply.content[0].text
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens > 0 < reply.usage.output_tokens


def test_it_streams_word_by_word(client: Anthropic):
    messages: Any = [{"role": "user", "content": "What is a bay?"}]
    with client.messages.stream(model="sim-1", max_tokens=100, messages=messages) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 10
    assert "You asked: What is a bay?" in "".join(texts)
    assert final.usage.output_tokens > 10
    assert final.id.startswith("msg_")


def test_a_stream_reports_the_prompts_tokens_at_its_start(client: Anthropic):
    messages: Any = [{"role": "user", "content": "What is a bay?"}]
    events = list(client.messages.create(model="sim-1", max_tokens=100, messages=messages, stream=True))
    assert events[0].type == "message_start"
    assert events[0].message.usage.input_tokens == 5


@pytest.mark.parametrize("thinking", [THINKING, {"type": "adaptive"}], ids=["budget", "adaptive"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_loop_keeps_its_thinking(client: Anthropic, thinking: Any, stream: bool):
    def step(messages: Any) -> Any:
        settings: Any = {"model": "sim-1", "max_tokens": 2048, "tools": [TOOL], "thinking": thinking}
        if not stream:
            return client.messages.create(messages=messages, **settings)
        with client.messages.stream(messages=messages, **settings) as open_stream:
            return open_stream.get_final_message()

    messages: list[Any] = [{"role": "user", "content": "Find the weather in Paris and Rome in 2 steps"}]
    for _ in range(2):
        reply = step(messages)
        assert [block.type for block in reply.content] == ["thinking", "tool_use"]
        assert reply.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": reply.content[1].id, "content": "18 °C"}
        messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    reply = step(messages)
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.content[1].text == "The tool get_weather answered: 18 °C."


def test_two_calls_come_at_once(client: Anthropic):
    reply = ask(client, "In parallel: weather in Paris and Rome", tools=[TOOL])
    assert [block.input for block in reply.content] == [{"city": "Paris"}, {"city": "Rome"}]
    one = ask(
        client,
        "In parallel: weather in Paris and Rome",
        tools=[TOOL],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert len(one.content) == 1


def test_redacted_thinking_is_sent_back(client: Anthropic):
    question = {"role": "user", "content": "SIM_REDACT What is the weather in Paris?"}
    reply = ask(client, [question], tools=[TOOL], thinking=THINKING)
    assert [block.type for block in reply.content] == ["redacted_thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": reply.content[1].id, "content": "18 °C"}
    turns = [question, {"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    assert ask(client, turns, tools=[TOOL], thinking=THINKING).stop_reason == "end_turn"


def test_hidden_thinking_has_its_signature(client: Anthropic):
    reply = ask(client, "Hi", thinking={"type": "adaptive", "display": "omitted"})
    assert (reply.content[0].type, reply.content[0].thinking) == ("thinking", "")
    assert reply.content[0].signature
    again = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": reply.content}]
    assert ask(client, [*again, {"role": "user", "content": "And?"}]).stop_reason == "end_turn"


def test_it_sees_images_and_documents(client: Anthropic):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    text = {
        "type": "document",
        "title": "notes",
        "source": {"type": "text", "media_type": "text/plain", "data": "x" * 99},
    }
    content = [image, text, {"type": "text", "text": "What is this?"}]
    said = ask(client, [{"role": "user", "content": content}]).content[0].text
    assert "I see one image (PNG, 12 KB). I read one document (notes, PLAIN, 99 bytes)." in said


def test_it_sees_the_image_in_a_tool_result(client: Anthropic):
    question = {"role": "user", "content": "Use the weather tool"}
    reply = ask(client, [question], tools=[TOOL])
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": reply.content[0].id, "content": [image]}
    turns = [question, {"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    assert "I see one image (PNG, 12 KB)." in ask(client, turns, tools=[TOOL]).content[0].text


def test_it_answers_in_a_shape(client: Anthropic):
    messages: Any = [{"role": "user", "content": "Paris, 2000000"}]
    reply: Any = client.messages.parse(model="sim-1", max_tokens=99, messages=messages, output_format=City)
    assert reply.parsed_output == City(city="city", inhabitants=2_000_000)


def test_it_ends_where_it_is_told_to(client: Anthropic):
    assert ask(client, "Write 90 words", max_tokens=5).stop_reason == "max_tokens"
    reply = ask(client, "one two", stop_sequences=["two"])
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "two")


def test_it_refuses(client: Anthropic):
    assert ask(client, "SIM_REFUSE").stop_reason == "refusal"


def test_a_marked_prompt_is_written_to_the_cache_and_read_from_it(client: Anthropic):
    system = [{"type": "text", "text": "Be brief. " * 50, "cache_control": {"type": "ephemeral"}}]
    first, second = (ask(client, "Hi", system=system).usage for _ in range(2))
    assert first.cache_creation_input_tokens > 100
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0


def test_tokens_are_counted(client: Anthropic):
    messages: Any = [{"role": "user", "content": "What is a bay?"}]
    assert client.messages.count_tokens(model="sim-1", messages=messages).input_tokens == 5


def test_an_unknown_model_is_not_found(client: Anthropic):
    with pytest.raises(anthropic.NotFoundError, match="model: sim-0"):
        ask(client, "Hi", "sim-0")


def test_a_wrong_key_is_refused(sim: Simulator):
    with (
        Anthropic(base_url=sim.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key") as refused,
    ):
        ask(client, "Hi")
    assert refused.value.request_id is not None


def test_an_overload_is_a_529(client: Anthropic):
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        ask(client, "Hi", "sim-1!529")
    assert overloaded.value.status_code == 529


def test_an_error_inside_a_stream_is_raised(client: Anthropic):
    messages: Any = [{"role": "user", "content": "Hi"}]
    with pytest.raises(anthropic.APIStatusError, match="unavailable"):
        list(client.messages.create(model="sim-1!error-in-200", max_tokens=9, messages=messages, stream=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": []}, "messages: at least one message is required"),
        (
            {"max_tokens": 99_999},
            "max_tokens: 99999 > 32000, which is the maximum allowed number of output tokens for sim-1",
        ),
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"thinking": THINKING, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "Input should be greater than or equal to 1024"),
        ({"thinking": THINKING, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking is enabled"),
        (
            {"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        ({"tools": [{**TOOL, "name": "a.b"}]}, "tools.0.custom.name: String should match pattern"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages: text content blocks must be non-empty"),
        (
            {"messages": [{"role": "user", "content": "x " * 5_000}], "model": "sim-small", "max_tokens": 99},
            "prompt is too long: 2501 tokens > 2000 maximum",
        ),
    ],
)
def test_a_wrong_request_is_refused_in_the_providers_words(client: Anthropic, change: Any, message: str):
    body: Any = {"model": "sim-1", "max_tokens": 2048, "messages": [{"role": "user", "content": "Hi"}], **change}
    with pytest.raises(anthropic.BadRequestError) as refused:  # by hand: the SDK knows some of the rules itself
        client.post("/v1/messages", body=body, cast_to=object)
    assert message in str(refused.value)


def test_max_tokens_is_required(client: Anthropic):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        client.post(
            "/v1/messages", body={"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}, cast_to=object
        )
