"""Stored responses, with OpenAI's SDK as the client: continued, retrieved, listed, deleted and compacted."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from modelbay.simulator import Simulator
from tests.simulator.conftest import KEY

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture
def client(sim: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_a_response_continues_the_one_before_it(client: OpenAI) -> None:
    first = client.responses.create(model="sim-1", input="My name is Ada.")
    second = client.responses.create(model="sim-1", input="Who am I?", previous_response_id=first.id)
    third = client.responses.create(model="sim-1", input="And now?", previous_response_id=second.id)
    assert "question 2 of our conversation" in second.output_text
    assert "question 3 of our conversation" in third.output_text
    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert first.usage is not None and second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


@pytest.mark.parametrize("model", ["sim-1", "sim-thinker"])
@pytest.mark.parametrize("store", [True, False])
def test_a_tool_loop_sends_only_its_results(client: OpenAI, model: str, store: bool) -> None:
    first = client.responses.create(model=model, input="What is the weather in Paris?", tools=[TOOL])
    call: Any = first.output[-1]
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "18 °C"}]
    second = client.responses.create(
        model=model, input=result, tools=[TOOL], previous_response_id=first.id, store=store
    )
    assert second.output_text == "The tool get_weather answered: 18 °C."


def test_items_can_be_sent_by_reference(client: OpenAI) -> None:
    first = client.responses.create(model="sim-thinker", input="What is the weather in Paris?", tools=[TOOL])
    call: Any = first.output[-1]
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    given: Any = [
        {"role": "user", "content": "What is the weather in Paris?"},
        *references,
        {"type": "function_call_output", "call_id": call.call_id, "output": "18 °C"},
    ]
    second = client.responses.create(model="sim-thinker", input=given, tools=[TOOL])
    assert second.output_text == "The tool get_weather answered: 18 °C."


def test_a_response_is_retrieved_as_it_was_created(client: OpenAI) -> None:
    created = client.responses.create(model="sim-1", input="Hi")
    found = client.responses.retrieve(created.id)
    assert found.model_dump() == created.model_dump()
    with client.responses.stream(response_id=created.id) as stream:
        assert stream.get_final_response().output_text == created.output_text


def test_a_streamed_response_is_stored_too(client: OpenAI) -> None:
    with client.responses.stream(model="sim-1", input="Hi") as stream:
        final = stream.get_final_response()
    found: Any = client.responses.retrieve(final.id)
    assert found.output_text == final.output_text
    assert found.store is True


def test_the_input_of_a_response_is_listed_with_its_history(client: OpenAI) -> None:
    first = client.responses.create(model="sim-1", input="One")
    second = client.responses.create(model="sim-1", input="Two", previous_response_id=first.id)
    items: Any = list(client.responses.input_items.list(second.id, order="asc"))
    assert [item.content[0].text for item in items] == ["One", first.output_text, "Two"]
    latest: Any = client.responses.input_items.list(second.id, limit=1)
    assert (latest.data[0].id, latest.has_more) == (items[-1].id, True)
    after = client.responses.input_items.list(second.id, after=items[1].id, order="asc")
    assert [item.id for item in after.data] == [items[2].id]


@pytest.mark.parametrize("limit", ["²", "9" * 5000, "0"])
def test_a_limit_that_is_not_a_number_is_refused(client: OpenAI, limit: str) -> None:
    created = client.responses.create(model="sim-1", input="Hi")
    with pytest.raises(openai.BadRequestError, match="'limit'"):
        client.responses.input_items.list(created.id, extra_query={"limit": limit})


def test_a_deleted_response_is_gone(client: OpenAI) -> None:
    created = client.responses.create(model="sim-1", input="Hi")
    client.responses.delete(created.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{created.id}' not found"):
        client.responses.retrieve(created.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(created.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(created.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sim-1", input="Hi", previous_response_id=created.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_response_that_must_not_be_stored_is_not(client: OpenAI) -> None:
    created = client.responses.create(model="sim-1", input="Hi", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.id)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="sim-1", input="Hi", previous_response_id=created.id)


def test_a_response_that_failed_is_not_stored(client: OpenAI, sim: Simulator) -> None:
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="sim-1!500", input="Hi")
    kept = client.responses.create(model="sim-1", input="Hi")
    sim.reset()
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept.id)


def test_a_complete_response_is_not_cancelled(client: OpenAI) -> None:
    created = client.responses.create(model="sim-1", input="Hi")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(created.id)


def test_the_tokens_of_a_history_are_counted(client: OpenAI) -> None:
    first = client.responses.create(model="sim-1", input="Hello there")
    alone = client.responses.input_tokens.count(model="sim-1", input="Hello there")
    both = client.responses.input_tokens.count(model="sim-1", input="Hello there", previous_response_id=first.id)
    assert alone.input_tokens == 4
    assert first.usage is not None
    assert both.input_tokens > 2 * alone.input_tokens


def test_a_conversation_is_compacted_and_continued(client: OpenAI) -> None:
    first = client.responses.create(model="sim-1", input="My name is Ada.")
    compacted = client.responses.compact(model="sim-1", previous_response_id=first.id, input="Who am I?")
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    given: Any = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]
    given.append({"role": "user", "content": "Go on"})
    second = client.responses.create(model="sim-1", input=given)
    assert "You asked (question 3 of our conversation): Go on" in second.output_text


# --- in the background -------------------------------------------------------------------------------------------------


def test_a_response_in_the_background_runs_while_it_is_asked_for(client: OpenAI) -> None:
    made = client.responses.create(model="sim-1", input="Hi", background=True)
    found = [client.responses.retrieve(made.id) for _ in range(3)]
    assert [made.status, *(one.status for one in found)] == ["queued", "queued", "in_progress", "completed"]
    assert (made.output_text, found[-1].background) == ("", True)
    assert "Hi" in found[-1].output_text


def test_a_response_in_the_background_can_be_cancelled(client: OpenAI) -> None:
    made = client.responses.create(model="sim-1", input="Hi", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"


def test_a_stream_goes_on_after_an_event(client: OpenAI) -> None:
    made = client.responses.create(model="sim-1", input="Hi", background=True)
    with client.responses.retrieve(made.id, stream=True) as stream:
        whole = list(stream)
    with client.responses.retrieve(made.id, stream=True, starting_after=4) as stream:
        assert list(stream) == whole[5:]
