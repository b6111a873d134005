"""Compaction for providers without it: a summary of the model, in an item that later requests bring back."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.conversation import Conversation, Text, ToolCall, user
from modelbay.events import Failed, Finished, PartEnded
from modelbay.gateway.compaction import Compaction
from modelbay.gateway.passing import ClientBody
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.targets import target_of
from tests.gateway.test_app import call

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
HISTORY: list[Any] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "My boat is called Ada."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A fine name."}]},
]
TRIGGER = {"type": "compaction_trigger"}
Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), model="sim-echo", key="sk-provider") as found:
        yield found


async def ask(gateway: Running, model: str, items: list[Any], *, stream: bool = False, **more: Any) -> Any:
    body = {"model": model, "input": items, "stream": stream, "store": False, **more}
    status, _, data = await call(gateway[0].url, "/v1/responses", body)
    if not stream:
        return status, json.loads(data)
    events = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    return status, events[-1]["response"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_compaction_is_a_summary_that_the_next_request_brings_back(
    gateway: Running, upstream: str, stream: bool
) -> None:
    status, response = await ask(gateway, upstream, [*HISTORY, TRIGGER], stream=stream, tools=[TOOL])
    assert (status, response["status"]) == (200, "completed")
    (item,) = response["output"]
    assert item["type"] == "compaction"
    assert "Ada" not in json.dumps(item)
    sent = gateway[1].journal.last.body.decode()
    assert "My boat is called Ada." in sent and "Summarize the conversation so far." in sent
    assert "compaction" not in sent and "look" in sent

    again = [item, {"type": "message", "role": "user", "content": "What is it called?"}]
    status, _ = await ask(gateway, upstream, again, stream=stream)
    assert status == 200
    sent = gateway[1].journal.last.body.decode()
    # the simulator's summary quotes its prompt
    assert "Summary of the conversation so far" in sent and "You asked" in sent and "What is it called?" in sent


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_summary_can_be_continued_with_a_model_of_another_provider(gateway: Running, upstream: str) -> None:
    _, response = await ask(gateway, "google", [*HISTORY, TRIGGER])
    status, _ = await ask(gateway, upstream, [*response["output"], *HISTORY[:1]])
    assert status == 200
    assert b"Summary of the conversation so far" in gateway[1].journal.last.body


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic", "google"])
async def test_the_item_of_another_provider_is_refused_because_the_conversation_would_be_lost(
    gateway: Running, upstream: str
) -> None:
    status, body = await ask(gateway, upstream, [{"type": "compaction", "encrypted_content": "gAAAA"}, *HISTORY[:1]])
    assert status == 400
    assert "`compaction`: only the provider that made this item can read the conversation" in body["error"]["message"]


@pytest.mark.parametrize("given", [HISTORY, "My boat is called Ada."], ids=["items", "text"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_the_path_for_compactions_gives_the_same_item(gateway: Running, upstream: str, given: Any) -> None:
    status, _, data = await call(
        gateway[0].url, "/v1/responses/compact", {"model": upstream, "input": given, "instructions": "Be brief."}
    )
    response = json.loads(data)
    assert (status, response["object"], response["id"][:5]) == (200, "response.compaction", "resp_")
    (item,) = response["output"]
    assert item["type"] == "compaction" and response["usage"]["input_tokens"] > 0
    sent = gateway[1].journal.last.body.decode()
    assert "My boat is called Ada." in sent and "Be brief." in sent and "Summarize the conversation so far." in sent
    status, _ = await ask(gateway, upstream, [item, *HISTORY[:1]])
    assert status == 200
    assert b"Summary of the conversation so far" in gateway[1].journal.last.body


@pytest.mark.parametrize(
    ("body", "status"), [({"model": "none", "input": "Hi"}, 404), ({"input": "Hi", "model": 5}, 400)]
)
async def test_a_request_for_a_compaction_that_cannot_be_read_is_refused(
    gateway: Running, body: dict[str, Any], status: int
) -> None:
    assert (await call(gateway[0].url, "/v1/responses/compact", body))[0] == status


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("items", [[], "", 5, {"a": 1}, [{"type": "dream"}]], ids=str)
async def test_a_compaction_of_nothing_is_refused(gateway: Running, upstream: str, items: Any) -> None:
    before = len(gateway[1].journal)
    requests = [("/v1/responses/compact", items)]
    if isinstance(items, list):
        requests.append(("/v1/responses", [*items, TRIGGER]))
    for path, given in requests:
        status, _, data = await call(gateway[0].url, path, {"model": upstream, "input": given})
        assert (status, json.loads(data)["error"]["code"]) == (400, "missing_required_parameter")
    assert len(gateway[1].journal) == before, "the model is not asked to summarize nothing"


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic", "google"])
@pytest.mark.parametrize("content", [5, None, True, ["x"], {"a": 1}, "modelbay1.", ""], ids=str)
async def test_an_item_that_no_provider_made_is_refused_by_its_type(
    gateway: Running, upstream: str, content: Any
) -> None:
    item = {"type": "compaction", "encrypted_content": content}
    status, response = await ask(gateway, upstream, [item, *HISTORY[:1]])
    assert (status, response["error"]["param"]) == (400, "compaction")


def test_a_provider_with_compaction_gets_the_request_as_it_is() -> None:
    body = ClientBody(json.dumps({"input": [*HISTORY, TRIGGER]}).encode(), codec("openai_responses").PASS)
    assert body.to_repair(target_of("openai_responses", compaction=True)) is None
    assert body.to_repair(target_of("openai_responses")) == "compaction"


def test_a_reply_without_a_summary_is_a_failure() -> None:
    found = Compaction(Conversation([user("Go"), user("trigger")]))
    (failed,) = found.feed([PartEnded(0, ToolCall(name="look")), PartEnded(1, Text(text=" ")), Finished("tool_calls")])
    assert isinstance(failed, Failed) and "no summary" in str(failed.error)
