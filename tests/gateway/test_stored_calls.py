"""Requests about a stored response, through OpenAI's SDK: those that run in the background, and streams of stored responses."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running_at_home

Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose provider of Responses keeps them."""
    with running_at_home(tmp_path_factory.mktemp("gateway"), keeps=True) as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway: Running) -> Iterator[OpenAI]:
    with gateway[0].openai() as found:
        yield found


# --- in the background -------------------------------------------------------------------------------------------------


def test_a_response_in_the_background_is_polled_until_it_is_complete(client: OpenAI) -> None:
    made = client.responses.create(model="openai_responses", input="Hello", background=True, metadata={"task": "7"})
    assert (made.status, made.output) == ("queued", [])
    statuses = [client.responses.retrieve(made.id).status for _ in range(4)]
    assert statuses == ["queued", "in_progress", "completed", "completed"]
    found = client.responses.retrieve(made.id)
    assert "Hello" in found.output_text
    assert found.background is True


def test_a_complete_response_is_not_asked_for_again(gateway: Running, client: OpenAI) -> None:
    made = client.responses.create(model="openai_responses", input="Hello", background=True)
    while client.responses.retrieve(made.id).status != "completed":
        pass
    asked = len(gateway[1].journal)
    assert "Hello" in client.responses.retrieve(made.id).output_text
    assert len(gateway[1].journal) == asked


@pytest.mark.parametrize("model", ["openai_responses", "anthropic"])
def test_a_response_that_ran_in_the_background_is_continued(gateway: Running, client: OpenAI, model: str) -> None:
    made = client.responses.create(model="openai_responses", input="My name is Ada", background=True)
    while client.responses.retrieve(made.id).status != "completed":
        pass
    client.responses.create(model=model, input="Who am I?", previous_response_id=made.id)
    sent = gateway[1].journal.last.body.decode()
    assert made.id in sent if model == "openai_responses" else "You asked: My name is Ada" in sent


def test_its_output_is_in_its_conversation(client: OpenAI) -> None:
    id = client.conversations.create().id
    made = client.responses.create(model="openai_responses", input="Hello", background=True, conversation=id)
    client.conversations.items.create(id, items=[{"role": "user", "content": "And later?"}])
    while client.responses.retrieve(made.id).status != "completed":
        pass
    items: Any = list(client.conversations.items.list(id, order="asc"))
    texts = [item.content[0].text for item in items]
    assert (texts[0], texts[2]) == ("Hello", "And later?")
    assert texts[1] == client.responses.retrieve(made.id).output_text


def test_a_response_in_the_background_is_cancelled(client: OpenAI) -> None:
    made = client.responses.create(model="openai_responses", input="Hello", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(client.responses.create(model="anthropic", input="Hello").id)


@pytest.mark.parametrize("leaves", [False, True], ids=["whole", "left before its end"])
def test_the_stream_of_a_response_in_the_background_is_resumed(client: OpenAI, leaves: bool) -> None:
    seen: list[Any] = []
    with client.responses.create(model="openai_responses", input="Hello", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if leaves and len(seen) == 4:
                break
    id, last = seen[0].response.id, seen[-1].sequence_number if leaves else 3
    rest: list[Any] = []
    with client.responses.retrieve(id, stream=True, starting_after=last) as stream:
        rest = list(stream)
    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    assert rest[-1].type == "response.completed"
    assert "Hello" in rest[-1].response.output_text


def test_a_response_is_deleted_at_its_provider_too(gateway: Running, client: OpenAI) -> None:
    made = client.responses.create(model="openai_responses", input="Hello")
    client.responses.delete(made.id)
    assert (gateway[1].journal.last.method, gateway[1].journal.last.path) == ("DELETE", f"/v1/responses/{made.id}")
    for act in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            act(made.id)


# --- streams of stored responses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", PROTOCOLS)
def test_the_stream_of_a_stored_response_has_all_of_it(client: OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="Hello", metadata={"task": "7"}, temperature=0.5)
    with client.responses.retrieve(made.id, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    end: Any = events[-1]
    assert (end.type, text) == ("response.completed", made.output_text)
    stored = client.responses.retrieve(made.id)
    assert end.response.model_dump() == stored.model_dump()
    assert (stored.id, stored.metadata, stored.temperature) == (made.id, {"task": "7"}, 0.5)
    assert [item.id for item in stored.output] == [item.id for item in made.output]


def test_only_a_stream_in_the_background_is_resumed(client: OpenAI) -> None:
    made = client.responses.create(model="anthropic", input="Hello")
    with pytest.raises(openai.BadRequestError, match="background") as caught:
        client.responses.retrieve(made.id, stream=True, starting_after=2)
    assert caught.value.param == "starting_after"


@pytest.mark.parametrize("model", PROTOCOLS)
def test_an_incomplete_response_is_stored_with_its_reason(client: OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="word " * 40, max_output_tokens=16)
    assert made.status == "incomplete"
    found = client.responses.retrieve(made.id)
    assert (found.status, found.incomplete_details, found.output_text) == (
        "incomplete",
        made.incomplete_details,
        made.output_text,
    )
    with client.responses.retrieve(made.id, stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.incomplete"
