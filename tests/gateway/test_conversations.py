"""OpenAI's Conversations API, through OpenAI's SDK: a conversation of the gateway works with models of every protocol."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from modelbay.simulator import Simulator
from modelbay.storage import sqlite
from modelbay.storage.paths import data_dir
from tests.gateway.running import PROTOCOLS, RunningGateway, running, running_at_home
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]
upstreams = pytest.mark.parametrize("upstream", PROTOCOLS)
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_at_home(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway: Running) -> Iterator[OpenAI]:
    with gateway[0].openai() as found:
        yield found


def said(text: str, role: str = "user") -> Any:
    return {"type": "message", "role": role, "content": text}


def texts(client: OpenAI, id: str) -> list[str]:
    """The messages of a conversation, the oldest first."""
    return [item.content[0].text for item in every(client, id) if item.type == "message"]


def every(client: OpenAI, id: str) -> list[Any]:
    return list(client.conversations.items.list(id, order="asc"))


def error_of(caught: pytest.ExceptionInfo[Any]) -> tuple[int, str | None, str | None]:
    error = caught.value
    assert error.type == "invalid_request_error"
    return error.status_code, error.code, error.param


def actions(client: OpenAI, id: str, item: str) -> list[Callable[[], Any]]:
    """All that a client can do with a conversation."""
    conversations = client.conversations
    return [
        lambda: conversations.retrieve(id),
        lambda: conversations.update(id, metadata={}),
        lambda: conversations.delete(id),
        lambda: conversations.items.list(id),
        lambda: conversations.items.create(id, items=[said("x")]),
        lambda: conversations.items.retrieve(item, conversation_id=id),
        lambda: conversations.items.delete(item, conversation_id=id),
        lambda: client.responses.create(model="anthropic", input="x", conversation=id),
    ]


# --- conversations -----------------------------------------------------------------------------------------------------


def test_a_conversation_is_created_read_updated_and_deleted(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "tide"})
    assert (made.object, made.metadata) == ("conversation", {"topic": "tide"})
    changed = client.conversations.update(made.id, metadata={"topic": "wind", "place": "Ostend"})
    assert changed.metadata == {"topic": "wind", "place": "Ostend"}
    assert client.conversations.retrieve(made.id) == changed
    assert client.conversations.update(made.id, metadata=None).metadata == {}
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError, match=f"Conversation with id '{made.id}' not found."):
        client.conversations.retrieve(made.id)


def test_items_are_added_listed_read_and_deleted(client: OpenAI) -> None:
    id = client.conversations.create(items=[said("One")]).id
    added = client.conversations.items.create(id, items=[said("Two"), said("Three", "assistant")])
    assert [item.content[0].type for item in added.data] == ["input_text", "output_text"]
    assert (added.first_id, added.last_id, added.has_more) == (added.data[0].id, added.data[1].id, False)
    assert texts(client, id) == ["One", "Two", "Three"]
    one: Any = client.conversations.items.retrieve(added.first_id, conversation_id=id)
    assert one == added.data[0]
    left = client.conversations.items.delete(added.first_id, conversation_id=id)
    assert (left.id, left.object) == (id, "conversation")
    assert texts(client, id) == ["One", "Three"]
    with pytest.raises(openai.NotFoundError, match=f"Item with id '{added.first_id}' not found in conversation."):
        client.conversations.items.retrieve(added.first_id, conversation_id=id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.delete(added.first_id, conversation_id=id)


def test_the_same_message_twice_has_two_ids_and_only_one_of_them_is_deleted(client: OpenAI) -> None:
    id = client.conversations.create(items=[said("Again"), said("Again")]).id
    first, second = every(client, id)
    assert first.id != second.id
    client.conversations.items.delete(first.id, conversation_id=id)
    assert [item.id for item in every(client, id)] == [second.id]
    assert texts(client, id) == ["Again"]


def test_items_are_listed_in_pages(client: OpenAI) -> None:
    id = client.conversations.create().id
    for start in range(0, 45, 15):
        client.conversations.items.create(id, items=[said(str(number)) for number in range(start, start + 15)])
    page = client.conversations.items.list(id)
    assert (len(page.data), page.has_more) == (20, True)
    assert page.data[0].content[0].text == "44", "the newest comes first"
    assert texts(client, id) == [str(number) for number in range(45)]
    found: Any = list(
        client.conversations.items.list(id, limit=7, order="desc", include=["reasoning.encrypted_content"])
    )
    assert [item.content[0].text for item in found] == [str(number) for number in reversed(range(45))]
    rest = client.conversations.items.list(id, after=found[-2].id)
    assert ([item.id for item in rest.data], rest.has_more) == ([found[-1].id], False)


def test_a_content_that_no_item_has_is_refused_by_name(client: OpenAI) -> None:
    unknown: Any = ["reasoning.encrypted_content", "message.dreams"]
    id = client.conversations.create(items=[said("Hi")]).id
    item = client.conversations.items.list(id).data[0].id
    for ask in (
        lambda: client.conversations.items.list(id, include=unknown),
        lambda: client.conversations.items.retrieve(item or "", conversation_id=id, include=unknown),
        lambda: client.conversations.items.create(id, items=[said("Hello")], include=unknown),
        lambda: client.responses.input_items.list("resp_1", include=unknown),
        lambda: client.responses.retrieve("resp_1", include=unknown),
    ):
        with pytest.raises(
            openai.BadRequestError, match=r"Invalid value: 'message\.dreams'\. Supported values are:"
        ) as refusal:
            ask()
        assert (refusal.value.param, refusal.value.code) == ("include", "invalid_value")
    assert texts(client, id) == ["Hi"]


def test_an_empty_conversation_has_an_empty_page(client: OpenAI) -> None:
    id = client.conversations.create(items=[]).id
    page: Any = client.conversations.items.list(id)
    assert (page.data, page.first_id, page.last_id, page.has_more) == ([], None, None, False)


# --- with responses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@upstreams
def test_a_response_adds_its_own_items_and_its_output(
    gateway: Running, client: OpenAI, upstream: str, stream: bool
) -> None:
    id = client.conversations.create(items=[said("My name is Ada")]).id
    made: Any
    if stream:
        with client.responses.stream(model=upstream, input="Hello", conversation=id) as events:
            made = events.get_final_response()
    else:
        made = client.responses.create(model=upstream, input="Hello", conversation=id)
    items = every(client, id)
    assert [item.id for item in items][-len(made.output) :] == [item.id for item in made.output]
    assert texts(client, id) == ["My name is Ada", "Hello", made.output_text]
    assert client.responses.retrieve(made.id).conversation.id == id
    listed: Any = list(client.responses.input_items.list(made.id, order="asc"))
    assert [item.id for item in listed] == [item.id for item in items[:2]], "the same items have the same IDs"
    client.conversations.items.create(id, items=[said("I live in Ostend")])
    client.responses.create(model=upstream, input="Where?", conversation=id)
    sent = gateway[1].journal.last.body.decode()
    assert all(text in sent for text in ("My name is Ada", "Hello", "I live in Ostend", "Where?"))
    assert id not in sent


@upstreams
def test_a_deleted_item_is_not_sent_any_more(gateway: Running, client: OpenAI, upstream: str) -> None:
    id = client.conversations.create().id
    first = client.responses.create(model=upstream, input="The word is SAPPHIRE", conversation=id)
    for item in every(client, id):
        client.conversations.items.delete(item.id, conversation_id=id)
    second = client.responses.create(model=upstream, input="The word is ORCHID", conversation=id)
    assert "SAPPHIRE" not in gateway[1].journal.last.body.decode()
    client.responses.create(model=upstream, input="Which word?", conversation=id)
    sent = gateway[1].journal.last.body.decode()
    assert ("SAPPHIRE" in sent, "ORCHID" in sent) == (False, True)
    listed: Any = list(client.responses.input_items.list(second.id))
    assert [item.content[0].text for item in listed] == ["The word is ORCHID"]
    client.responses.create(model=upstream, input="And before?", previous_response_id=first.id)
    assert "SAPPHIRE" in gateway[1].journal.last.body.decode(), "the response itself still has it"


def weather_of(city: str, calls: list[Any]) -> list[Any]:
    """The results of calls of the tool."""
    return [{"type": "function_call_output", "call_id": call.call_id, "output": f"Sun in {city}"} for call in calls]


@upstreams
def test_a_session_calls_functions_over_several_turns(gateway: Running, client: OpenAI, upstream: str) -> None:
    """As the session of OpenAI's Agents SDK: it sends the items of the conversation, and adds the new ones to it."""
    id = client.conversations.create(items=[]).id
    for city in ("Paris", "Rome"):
        new: list[Any] = [{"role": "user", "content": f"What is the weather in {city}?"}]
        for _ in range(2):
            history = [item.model_dump(exclude_unset=True) for item in every(client, id)]
            made = client.responses.create(model=f"{upstream}/sim-1", input=[*history, *new], tools=[TOOL], store=False)
            output = [item.model_dump(exclude_unset=True) for item in made.output]
            client.conversations.items.create(id, items=[*new, *({**item, "id": None} for item in output)])
            calls = [item for item in made.output if item.type == "function_call"]
            if not calls:
                break
            new = weather_of(city, calls)
        assert made.output_text == f"The tool get_weather answered: Sun in {city}."
    kinds = [item.type for item in every(client, id) if item.type != "reasoning"]
    assert kinds == ["message", "function_call", "function_call_output", "message"] * 2


@upstreams
def test_a_conversation_calls_functions_over_several_turns(gateway: Running, client: OpenAI, upstream: str) -> None:
    id = client.conversations.create().id
    for city in ("Paris", "Rome"):
        given: Any = f"What is the weather in {city}?"
        while True:
            made = client.responses.create(model=f"{upstream}/sim-1", input=given, tools=[TOOL], conversation=id)
            calls = [item for item in made.output if item.type == "function_call"]
            if not calls:
                break
            given = weather_of(city, calls)
        assert made.output_text == f"The tool get_weather answered: Sun in {city}."
    kinds = [item.type for item in every(client, id) if item.type != "reasoning"]
    assert kinds == ["message", "function_call", "function_call_output", "message"] * 2


def test_a_response_that_is_not_stored_is_in_its_conversation(gateway: Running, client: OpenAI) -> None:
    """As at OpenAI: only the response itself is not stored."""
    id = client.conversations.create().id
    made = client.responses.create(model="anthropic", input="The word is ORCHID", conversation=id, store=False)
    assert texts(client, id) == ["The word is ORCHID", made.output_text]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    kept = client.responses.create(model="anthropic", input="Which word?", conversation=id)
    assert "ORCHID" in gateway[1].journal.last.body.decode()
    assert len(list(client.responses.input_items.list(kept.id))) == 3


def test_a_conversation_outlives_its_responses(gateway: Running, client: OpenAI) -> None:
    id = client.conversations.create().id
    for prompt in ("The word is ORCHID", "Remember it"):
        client.responses.delete(client.responses.create(model="google", input=prompt, conversation=id).id)
    last = client.responses.create(model="google", input="Which word?", conversation=id)
    assert "ORCHID" in gateway[1].journal.last.body.decode()
    assert len(list(client.responses.input_items.list(last.id))) == 5


def test_a_failed_response_adds_nothing(client: OpenAI) -> None:
    id = client.conversations.create(items=[said("One")]).id
    with pytest.raises(openai.APIError):
        client.responses.create(model="anthropic/sim-1!status=400", input="Two", conversation=id)
    assert texts(client, id) == ["One"]


def test_an_item_is_referenced_by_its_id(gateway: Running, client: OpenAI) -> None:
    id = client.conversations.create(items=[said("The word is ORCHID")]).id
    reference: Any = {"type": "item_reference", "id": every(client, id)[0].id}
    client.responses.create(model="anthropic", input=[reference, said("Which word?")])
    assert "ORCHID" in gateway[1].journal.last.body.decode()
    other = client.conversations.create(items=[reference]).id
    assert texts(client, other) == ["The word is ORCHID"]


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "code", "param", "message"),
    [
        ([said("x")] * 21, "array_above_max_length", "items", "Expected an array with maximum length 20"),
        ("Hello", "invalid_type", "items", "expected an array of objects, but got a string instead"),
        ([3], "invalid_type", r"items[0]", "expected an object, but got an integer instead"),
        ([{"text": "Hello"}], "missing_required_parameter", "items[0].type", "Missing required parameter"),
        ([said("x"), {"role": "user"}], "missing_required_parameter", "items[1].content", "Missing required parameter"),
        (
            [{"type": "function_call", "call_id": "c"}],
            "missing_required_parameter",
            "items[0].name",
            "Missing required",
        ),
        ([{**said("x"), "content": 3}], "invalid_type", "items[0].content", "expected a string or an array"),
        ([said("x", "bot")], "invalid_value", "items[0].role", "Supported values are: 'assistant', 'developer'"),
    ],
)
def test_items_that_no_request_could_send_are_refused(
    client: OpenAI, items: Any, code: str, param: str, message: str
) -> None:
    id = client.conversations.create().id
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        client.post(f"/conversations/{id}/items", body={"items": items}, cast_to=object)
    assert error_of(caught) == (400, code, param)
    with pytest.raises(openai.BadRequestError, match=message):
        client.post("/conversations", body={"items": items}, cast_to=object)
    assert every(client, id) == []


def test_an_item_is_in_a_conversation_only_once(client: OpenAI) -> None:
    id = client.conversations.create(items=[said("One")]).id
    for item in (
        {"type": "item_reference", "id": every(client, id)[0].id},
        {**said("x"), "id": every(client, id)[0].id},
    ):
        with pytest.raises(openai.BadRequestError, match="Item already in conversation") as caught:
            client.conversations.items.create(id, items=[item])
        assert error_of(caught) == (400, "item_already_in_conversation", "items")
    assert texts(client, id) == ["One"]


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ({"limit": 101}, 400, "integer_above_max_value", "limit"),
        ({"limit": 0}, 400, "integer_below_min_value", "limit"),
        ({"limit": "many"}, 400, "invalid_type", "limit"),
        ({"order": "up"}, 400, "invalid_value", "order"),
        ({"after": "msg_unknown"}, 404, None, "after"),
    ],
)
def test_a_page_that_does_not_exist_is_refused(
    client: OpenAI, query: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    id = client.conversations.create(items=[said("One")]).id
    with pytest.raises(openai.APIStatusError) as caught:
        client.conversations.items.list(id, extra_query=query)
    assert error_of(caught) == (status, code, param)


@pytest.mark.parametrize(
    ("metadata", "code", "param"),
    [
        ({str(number): "x" for number in range(17)}, "object_above_max_properties", "metadata"),
        ({"a": 3}, "invalid_type", "metadata.a"),
        ({"a": "x" * 513}, "string_above_max_length", "metadata.a"),
        ("text", "invalid_type", "metadata"),
    ],
)
def test_metadata_that_is_not_valid_is_refused(client: OpenAI, metadata: Any, code: str, param: str) -> None:
    id = client.conversations.create().id
    with pytest.raises(openai.BadRequestError) as caught:
        client.conversations.update(id, metadata=metadata)
    assert error_of(caught) == (400, code, param)
    with pytest.raises(openai.BadRequestError):
        client.conversations.create(metadata=metadata)
    with pytest.raises(openai.BadRequestError, match="Missing required parameter: 'metadata'"):
        client.post(f"/conversations/{id}", body={}, cast_to=object)


def test_every_action_on_an_unknown_conversation_and_on_another_client_s_is_not_found(
    gateway: Running, client: OpenAI
) -> None:
    id = client.conversations.create(items=[said("Secret")]).id
    item = every(client, id)[0].id
    with gateway[0].openai(str(gateway[0].clients.add(f"other-{id}"))) as stranger:
        for who, asked in ((client, "conv_unknown"), (stranger, id)):
            for act in actions(who, asked, item):
                with pytest.raises(openai.NotFoundError, match=f"Conversation with id '{asked}' not found") as caught:
                    act()
                assert error_of(caught) == (404, None, None)
        own = stranger.conversations.create().id
        with pytest.raises(openai.NotFoundError, match=f"Item with id '{item}' not found"):
            stranger.conversations.items.create(own, items=[{"type": "item_reference", "id": item}])
    assert texts(client, id) == ["Secret"]


async def test_a_method_that_a_path_does_not_have_is_refused_in_openai_s_form(gateway: Running) -> None:
    status, headers, data = await call(gateway[0].url, "/v1/conversations/conv_1/items", method="PUT")
    assert status == 405
    assert json.loads(data)["error"]["code"] == "method_not_allowed"
    assert headers["allow"] == "GET, HEAD, POST"


def test_a_store_that_cannot_be_used_is_an_error_of_the_server_and_not_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider") as (gateway, _), gateway.openai() as client:
        data_dir().mkdir(parents=True, exist_ok=True)
        (data_dir() / "gateway.sqlite").mkdir()
        needed: list[Callable[[], Any]] = [
            client.conversations.create,
            lambda: client.conversations.retrieve("conv_1"),
            lambda: client.responses.retrieve("resp_1"),
            lambda: client.responses.create(model="anthropic", input="Hello", previous_response_id="resp_mb_1"),
        ]
        for request in needed:
            with pytest.raises(openai.InternalServerError, match="cannot be used") as caught:
                request()
            assert caught.value.type == "server_error"
            assert caught.value.response.headers["x-should-retry"] == "false"
        assert "send the whole conversation in `input`, without `previous_response_id`" in caught.value.message
        assert client.responses.create(model="anthropic", input="Hello").output_text


def test_after_damage_of_the_store_clients_are_answered_from_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider") as (gateway, _), gateway.openai() as client:
        id = client.responses.create(model="anthropic", input="Hello").id
        file = data_dir() / "gateway.sqlite"
        file.write_bytes(b"not a database" * 100)
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="anthropic", input="Again", previous_response_id=id)
        assert caught.value.code == "previous_response_not_found"
        again = client.responses.create(model="anthropic", input="Again").id
        assert client.responses.create(model="google", input="Third", previous_response_id=again).output_text
        assert [one.read_bytes() for one in data_dir().glob("gateway.sqlite.damaged-*")] == [b"not a database" * 100]


def test_a_store_that_can_be_read_but_not_written_continues_conversations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk, or while another program writes for long. The answers are given, and cannot be continued."""
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setattr(sqlite, "WAIT", 0.0)
    with running(tmp_path, key="sk-provider") as (gateway, simulator), gateway.openai() as client:
        id = client.responses.create(model="anthropic", input="Hello").id
        with closing(sqlite3.connect(data_dir() / "gateway.sqlite", isolation_level=None)) as other:
            other.execute("begin immediate")
            for model in ("anthropic", "google", "openai_chat"):
                lost = client.responses.create(model=model, input="Again", previous_response_id=id)
                assert "Hello" in simulator.journal.last.body.decode()
            assert [line for line in caplog.messages if "requests continue without it" in line] == caplog.messages
            assert len(caplog.messages) == 1
            with pytest.raises(openai.InternalServerError, match="database is locked"):
                client.conversations.create()
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="google", input="Again", previous_response_id=lost.id)
        assert client.responses.create(model="google", input="Again", previous_response_id=id).output_text


# --- several processes -------------------------------------------------------------------------------------------------


def test_workers_share_conversations_which_outlive_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider") as (one, simulator):
        with another(one) as two, one.openai() as first, two.openai() as second:
            id = first.conversations.create(items=[said("My name is Ada")]).id
            second.conversations.items.create(id, items=[said("I live in Ostend")])
            first.responses.create(model="google", input="Hello", conversation=id)
            second.responses.create(model="anthropic", input="Who am I?", conversation=id)
            before = texts(first, id)
            assert before[:3] == ["My name is Ada", "I live in Ostend", "Hello"]
            assert before == texts(second, id)
            assert len(before) == 6
        with another(one) as later, later.openai() as client:
            assert texts(client, id) == before
            client.responses.create(model="openai_chat", input="Where?", conversation=id)
            assert "I live in Ostend" in simulator.journal.last.body.decode()


@contextmanager
def another(one: RunningGateway) -> Iterator[RunningGateway]:
    """Another gateway with the same configuration, clients and data."""
    gateway = RunningGateway(one.config, clients=one.clients)
    gateway.server.start()
    try:
        yield gateway
    finally:
        gateway.server.stop()


def test_a_provider_that_keeps_conversations_gets_the_items_of_the_gateway_s(tmp_path: Path) -> None:
    with running_at_home(tmp_path, keeps=True) as (gateway, upstream), gateway.openai() as client:
        id = client.conversations.create(items=[said("My name is Ada")]).id
        for prompt in ("Hello", "Who am I?"):
            client.responses.create(model="openai_responses", input=prompt, conversation=id)
            sent = json.loads(upstream.journal.last.body)
            assert "conversation" not in sent
            assert "_modelbay" not in upstream.journal.last.body.decode(), "the provider does not know these IDs"
        assert len(sent["input"]) == 4
        # its own conversations are passed on, and only it has their items
        with pytest.raises(openai.BadRequestError, match="not found"):
            client.responses.create(model="openai_responses", input="Hi", conversation="conv_of_the_provider")
        assert json.loads(upstream.journal.last.body)["conversation"] == "conv_of_the_provider"
        with pytest.raises(openai.NotFoundError, match="Conversation with id 'conv_of_the_provider' not found"):
            client.conversations.items.list("conv_of_the_provider")
