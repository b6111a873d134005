"""Responses that the gateway keeps for clients whose provider does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running, running_at_home
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_at_home(tmp_path_factory.mktemp("gateway")) as found:
        yield found


async def ask(gateway: Running, model: str, prompt: Any, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    status, _, data = await call(
        gateway[0].url, "/v1/responses", {"model": model, "input": prompt, "stream": stream, **more}
    )
    assert status == 200, data
    if not stream:
        return json.loads(data)  # type: ignore[no-any-return]
    events = [json.loads(line.removeprefix(b"data: ")) for line in data.splitlines() if line.startswith(b"data: {")]
    assert events[-1]["type"] == "response.completed"
    return events[-1]["response"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", PROTOCOLS)
async def test_a_response_is_continued_by_its_id(gateway: Running, model: str, stream: bool) -> None:
    first = await ask(gateway, model, "My name is Ada", stream=stream)
    second = await ask(gateway, model, "What is my name?", stream=stream, previous_response_id=first["id"])
    assert first["id"] != second["id"]
    sent = gateway[1].journal.last.body.decode()
    assert "My name is Ada" in sent
    assert "What is my name?" in sent
    assert "previous_response_id" not in sent


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", [protocol for protocol in PROTOCOLS if protocol != "openai_responses"])
async def test_a_translated_response_repeats_what_was_asked(gateway: Running, model: str, stream: bool) -> None:
    asked = {"metadata": {"task": "7"}, "temperature": 0.5, "max_output_tokens": 900}
    first = await ask(gateway, model, "Hello", stream=stream, **asked)
    second = await ask(gateway, model, "And now?", stream=stream, store=False, previous_response_id=first["id"])
    assert asked.items() <= first.items()
    assert (first["store"], first["previous_response_id"]) == (True, None)
    assert (second["store"], second["previous_response_id"]) == (False, first["id"])


@pytest.mark.parametrize("model", PROTOCOLS)
async def test_a_response_is_read_and_deleted_by_its_id(gateway: Running, model: str) -> None:
    url = gateway[0].url
    made = await ask(gateway, model, "Hello")
    status, _, data = await call(url, f"/v1/responses/{made['id']}", method="GET")
    assert status == 200
    assert json.loads(data)["output"] == made["output"]
    status, _, data = await call(url, f"/v1/responses/{made['id']}/input_items", method="GET")
    assert json.loads(data)["data"][0]["content"][0]["text"] == "Hello"
    assert (await call(url, f"/v1/responses/{made['id']}", method="DELETE"))[0] == 200
    assert (await call(url, f"/v1/responses/{made['id']}", method="GET"))[0] == 404


async def test_another_client_s_response_does_not_exist(gateway: Running) -> None:
    other = gateway[0].clients.add(f"other-{id(gateway)}")
    made = await ask(gateway, "anthropic", "Hello")
    status, _, _ = await call(gateway[0].url, f"/v1/responses/{made['id']}", key=str(other), method="GET")
    assert status == 404
    body = {"model": "anthropic", "input": "Go on", "previous_response_id": made["id"]}
    status, _, data = await call(gateway[0].url, "/v1/responses", body, str(other))
    assert status == 400
    assert json.loads(data)["error"]["code"] == "previous_response_not_found"


async def test_a_response_is_not_kept_if_the_client_does_not_want_it(gateway: Running) -> None:
    made = await ask(gateway, "anthropic", "Hello", store=False)
    assert (await call(gateway[0].url, f"/v1/responses/{made['id']}", method="GET"))[0] == 404


@pytest.mark.parametrize("model", PROTOCOLS)
async def test_a_response_is_continued_by_a_request_that_is_not_stored(gateway: Running, model: str) -> None:
    first = await ask(gateway, model, "My name is Ada")
    second = await ask(gateway, model, "What is my name?", previous_response_id=first["id"], store=False)
    assert "My name is Ada" in gateway[1].journal.last.body.decode()
    status, _, _ = await call(gateway[0].url, f"/v1/responses/{second['id']}", method="GET")
    assert status == 404


@pytest.mark.parametrize("model", PROTOCOLS)
async def test_a_conversation_is_continued_by_its_id(gateway: Running, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway[0].url}/v1", api_key=KEY) as client:
        message: Any = {"type": "message", "role": "user", "content": "My name is Ada"}
        made = await client.conversations.create(items=[message], metadata={"topic": "names"})
        await client.responses.create(model=model, input="Hello", conversation=made.id)
        await client.responses.create(model=model, input="What is my name?", conversation={"id": made.id})
        sent = gateway[1].journal.last.body.decode()
        assert all(text in sent for text in ("My name is Ada", "Hello", "What is my name?"))
        assert made.id not in sent
        assert await client.conversations.retrieve(made.id) == made
        assert (await client.conversations.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError, match="not found"):
            await client.responses.create(model=model, input="And now?", conversation=made.id)


async def test_reasoning_state_is_asked_for_where_the_gateway_keeps_the_response(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    more = '[models.thinker]\nprovider = "openai_responses"\nmodel = "sim-thinker"\ncapabilities = ["thinking"]\n'
    with running(tmp_path, more=more) as (gateway, simulator):
        here = gateway, simulator
        text = b'{"model":"thinker", "input":"Hello",  "temperature":1.0}'
        assert (await posted(gateway, text))["output"][0]["encrypted_content"]
        include = b',"include":["reasoning.encrypted_content"]'
        assert simulator.journal.last.body == text.replace(b"thinker", b"sim-thinker").replace(b"}", include + b"}")
        first = await ask(here, "thinker", "My name is Ada", include=["message.output_text.logprobs"])
        assert json.loads(simulator.journal.last.body)["include"][1] == "reasoning.encrypted_content"
        await ask(here, "thinker", "What is my name?", previous_response_id=first["id"])
        kinds = [item["type"] for item in json.loads(simulator.journal.last.body)["input"]]
        assert kinds == ["message", "reasoning", "message", "message"]
        for body in (
            text.replace(b"}", b',"store":false}'),
            text.replace(b"}", b',"reasoning":{"effort":"none"}}'),
            text.replace(b"thinker", b"openai_responses"),
        ):
            await posted(gateway, body)
            assert b"include" not in simulator.journal.last.body


async def posted(gateway: RunningGateway, text: bytes) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(f"{gateway.url}/v1/responses", data=text) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()  # type: ignore[no-any-return]


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Running]:
    """A gateway whose provider of Responses keeps them."""
    with running_at_home(tmp_path, keeps=True) as found:
        yield found


async def test_a_conversation_of_the_gateway_works_with_a_provider_that_keeps_its_own(keeping: Running) -> None:
    async with openai.AsyncOpenAI(base_url=f"{keeping[0].url}/v1", api_key=KEY) as client:
        id = (await client.conversations.create()).id
        for prompt in ("My name is Ada", "What is my name?"):
            await client.responses.create(model="openai_responses", input=prompt, conversation=id)
    assert "My name is Ada" in keeping[1].journal.last.body.decode()


@pytest.mark.parametrize("models", [("anthropic", "openai_responses"), ("openai_responses", "anthropic")])
async def test_a_response_is_continued_by_a_model_of_another_provider(
    keeping: Running, models: tuple[str, str]
) -> None:
    first = await ask(keeping, models[0], "My name is Ada")
    second = await ask(keeping, models[1], "What is my name?", previous_response_id=first["id"])
    assert "My name is Ada" in keeping[1].journal.last.body.decode()
    await ask(keeping, "openai_responses", "And mine?", previous_response_id=second["id"])
    sent = keeping[1].journal.last.body.decode()
    assert "My name is Ada" in sent or second["id"] in sent


async def test_an_item_of_another_provider_is_sent_in_place_of_its_id(keeping: Running) -> None:
    made = await ask(keeping, "anthropic", "My name is Ada")
    items = [{"type": "item_reference", "id": made["output"][0]["id"]}, {"role": "user", "content": "Go on"}]
    await ask(keeping, "openai_responses", items)
    assert "You asked: My name is Ada" in keeping[1].journal.last.body.decode()


async def test_a_provider_that_keeps_its_responses_gets_their_ids(keeping: Running) -> None:
    first = await ask(keeping, "openai_responses", "My name is Ada")
    await ask(keeping, "openai_responses", "What is my name?", previous_response_id=first["id"])
    assert first["id"] in keeping[1].journal.last.body.decode()


async def test_a_response_of_one_account_is_sent_whole_to_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with Simulator(key="sk-here") as here, Simulator(key="sk-there") as there:
        lines = []
        for name, simulator in (("here", here), ("there", there)):
            lines += [f"[providers.{name}]", 'type = "openai_responses"', "dialect = { keeps_responses = true }"]
            lines += [f'base_url = "{simulator.url}/v1"', f'api_key = "sk-{name}"']
            lines += [f"[models.{name}]", f'provider = "{name}"', 'model = "sim-1"']
        config = tmp_path / "config.toml"
        config.write_text("\n".join(lines))
        with RunningGateway(config) as gateway:
            first = await ask((gateway, here), "here", "My name is Ada")
            second = await ask((gateway, there), "there", "What is my name?", previous_response_id=first["id"])
            assert b"My name is Ada" in there.journal.last.body
            await ask((gateway, there), "there", "And yours?", previous_response_id=second["id"])
            assert second["id"].encode() in there.journal.last.body
            await ask((gateway, here), "here", "And mine?", previous_response_id=second["id"])
            assert b"What is my name?" in here.journal.last.body


@pytest.mark.parametrize("model", PROTOCOLS)
async def test_a_token_count_includes_the_history_that_a_request_refers_to(gateway: Running, model: str) -> None:
    first = await ask(gateway, model, "word " * 500)
    counts = []
    for body in ({}, {"previous_response_id": first["id"]}):
        status, _, data = await call(
            gateway[0].url, "/v1/responses/input_tokens", {"model": model, "input": "Next", **body}
        )
        assert status == 200, data
        counts.append(json.loads(data)["input_tokens"])
    assert counts[1] > counts[0] + 400


async def test_a_history_is_compacted_that_a_request_refers_to(gateway: Running) -> None:
    first = await ask(gateway, "openai_responses", "My name is Ada")
    body = {"model": "openai_responses", "input": "Next", "previous_response_id": first["id"]}
    status, _, data = await call(gateway[0].url, "/v1/responses/compact", body)
    assert status == 200, data
    assert "My name is Ada" in gateway[1].journal.last.body.decode()


AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
BROKEN = [
    {"role": "user", "content": "Look"},
    {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "a'},
    {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
]


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("openai_chat/sim-vision", [{"role": "user", "content": [AUDIO]}]),
        ("google/sim-vision", [{"role": "user", "content": [AUDIO]}]),
        *((model, BROKEN) for model in PROTOCOLS),
    ],
)
async def test_content_that_is_sent_is_not_named_as_dropped(gateway: Running, model: str, given: Any) -> None:
    status, headers, data = await call(gateway[0].url, "/v1/responses", {"model": model, "input": given})
    assert status == 200, data
    assert "x-modelbay-dropped" not in headers
    sent = gateway[1].journal.last.body.decode()
    assert "UklGRg" in sent or "seen" in sent
