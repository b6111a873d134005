"""Searches in streams: silence, clients that leave, and models that fail in the middle."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import Text, ToolCall
from modelbay.dialect import PLAIN
from modelbay.events import Reply, collect
from modelbay.gateway import responder
from modelbay.gateway.search import search_loop
from modelbay.protocols.codec import codec
from tests.fault_config import LONG
from tests.gateway.raw import RawClient, post
from tests.gateway.search.scripted import ANSWER, ScriptedModel, SearchServer, search, searching
from tests.gateway.search.test_search_loop import asked
from tests.gateway.test_app import call

SIGN = b'event: ping\ndata: {"type": "ping"}\n\n'
RESPONSES: dict[str, Any] = {"model": "m", "input": "x", "stream": True, "tools": [{"type": "web_search"}]}


def read(protocol: str, data: bytes) -> Reply:
    parser = codec(protocol).stream_parser(PLAIN)
    return collect([*parser.feed(data), *parser.close()])


async def test_a_long_search_has_keep_alives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "SILENCE", 0.03)
    engine = SearchServer()
    engine.held = threading.Event()
    model = ScriptedModel("openai_chat", [search()], [Text(text=ANSWER)])
    with searching(tmp_path, model, engine=engine) as (gateway, _):
        async with RawClient(gateway.url) as client:
            await client.send(post("/v1/messages", asked(stream=True)))
            assert (await client.head()).status == 200
            shown = await client.until(SIGN)
            assert b"server_tool_use" in shown, "the client sees the query while the search runs"
            assert b"tides Wellington" in shown
            await client.until(SIGN)
            engine.held.set()
            rest = await client.until(b"message_stop")
    assert b"web_search_tool_result" in rest


async def test_all_searches_end_when_their_client_leaves(tmp_path: Path) -> None:
    engine = SearchServer()
    engine.held = threading.Event()
    model = ScriptedModel("anthropic", [search("one"), search("two", "call_2")])
    with searching(tmp_path, model, settings="timeout = 600", engine=engine) as (gateway, _):
        async with RawClient(gateway.url) as client:
            await client.send(post("/v1/responses", RESPONSES))
            await client.head()
            await client.until(b"response.web_search_call.searching")
            for _ in range(2):
                assert await asyncio.to_thread(engine.asked.acquire, timeout=LONG)
        for _ in range(2):
            assert await asyncio.to_thread(engine.left.acquire, timeout=LONG)
    assert len(model.bodies) == 1


@pytest.mark.parametrize("status", [400, 401])
async def test_a_model_that_fails_after_a_search_fails_the_stream(tmp_path: Path, status: int) -> None:
    model = ScriptedModel("openai_chat", [search()])
    model.status = status
    with searching(tmp_path, model) as (gateway, _):
        _, _, data = await call(gateway.url, "/v1/responses", RESPONSES)
        reply = read("openai_responses", data)
        assert reply.error is not None
        assert b"response.web_search_call.completed" in data
        last = json.loads(data.strip().rpartition(b"data: ")[2])
        assert last["type"] == "response.failed"
        assert [item["type"] for item in last["response"]["output"]] == ["web_search_call", "reasoning"]
        begun = json.loads(data.partition(b"data: ")[2].partition(b"\n")[0])
        assert last["response"]["id"] == begun["response"]["id"], "the SDK rejects the end of another response"
        model.bodies.clear()
        found, _, data = await call(gateway.url, "/v1/messages", asked())
    assert found in (400, 403, 502), "a reply in one piece reports the error by its status"
    assert json.loads(data)["type"] == "error"


async def test_a_call_that_is_cut_off_is_not_searched(tmp_path: Path) -> None:
    class Cut(ScriptedModel):
        def _stream(self, parts: Any) -> bytes:
            whole = super()._stream(parts)
            return whole[: whole.index(b"Welling")]

    model = Cut("anthropic", [search()])
    with searching(tmp_path, model) as (gateway, engine):
        _, _, data = await call(gateway.url, "/v1/responses", RESPONSES)
    assert read("openai_responses", data).error is not None
    assert b"web_search_call" not in data
    assert engine.queries == []


async def test_a_model_that_searches_without_end_must_answer(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat")
    model.replies = [[search(str(number), f"call_{number}")] for number in range(4)]
    model.replies.append([Text(text="Enough.")])
    with searching(tmp_path, model, settings="max_uses = 3") as (gateway, engine):
        _, _, data = await call(gateway.url, "/v1/responses", {**RESPONSES, "stream": False})
    assert engine.queries == ["0", "1", "2"]
    assert json.loads(data)["output"][-1]["content"][0]["text"] == "Enough."
    assert [body.get("tool_choice") for body in model.bodies] == [None, None, None, "none", "none"]


async def test_a_model_that_never_answers_is_stopped(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat")
    model.replies = [[search(str(number), f"call_{number}")] for number in range(9)]
    with searching(tmp_path, model, settings="max_uses = 1") as (gateway, engine):
        _, _, data = await call(gateway.url, "/v1/messages", asked())
    assert engine.queries == ["0"]
    assert len(model.bodies) == 3
    assert json.loads(data)["stop_reason"] == "end_turn"


async def test_after_some_minutes_the_model_gets_no_further_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_loop, "SECONDS", 0.0)
    model = ScriptedModel("openai_chat", [search()], [Text(text="Too late.")])
    with searching(tmp_path, model) as (gateway, engine):
        _, _, data = await call(gateway.url, "/v1/messages", asked())
    assert engine.queries == []
    assert json.loads(data)["content"][1]["content"]["error_code"] == "max_uses_exceeded"


async def test_a_search_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    engine = SearchServer()
    engine.held = threading.Event()
    model = ScriptedModel("openai_chat", [search()], [Text(text="I do not know.")])
    with searching(tmp_path, model, settings="timeout = 0.05", engine=engine) as (gateway, _):
        _, _, data = await call(gateway.url, "/v1/messages", asked())
    blocks = json.loads(data)["content"]
    assert blocks[1]["content"]["error_code"] == "unavailable"
    assert blocks[2]["text"] == "I do not know."


@pytest.mark.parametrize("client", ["anthropic", "openai_responses"])
async def test_the_state_of_a_call_returns_to_its_model(tmp_path: Path, client: str) -> None:
    """Gemini refuses a history whose calls lack their thought signatures."""
    signed = search()
    signed.opaque = "c2lnbmF0dXJl"
    model = ScriptedModel("google", [signed], [Text(text=ANSWER)], [Text(text="Yes.")])
    with searching(tmp_path, model) as (gateway, _):
        if client == "anthropic":
            _, _, data = await call(gateway.url, "/v1/messages", asked())
            content = json.loads(data)["content"]
            history = [
                *asked()["messages"],
                {"role": "assistant", "content": content},
                {"role": "user", "content": "Sure?"},
            ]
            await call(gateway.url, "/v1/messages", asked(messages=history))
        else:
            _, _, data = await call(gateway.url, "/v1/responses", {**RESPONSES, "stream": False})
            output = json.loads(data)["output"]
            given = [{"role": "user", "content": "x"}, *output, {"role": "user", "content": "Sure?"}]
            await call(gateway.url, "/v1/responses", {**RESPONSES, "stream": False, "input": given, "store": False})
    for body in model.bodies[1:]:
        (called,) = [part for turn in body["contents"] for part in turn["parts"] if "functionCall" in part]
        assert called["thoughtSignature"] == "c2lnbmF0dXJl"
    assert model.bodies[2]["contents"][1:3] == model.bodies[1]["contents"][1:3]


async def test_two_searches_at_once_stay_one_step(tmp_path: Path) -> None:
    model = ScriptedModel(
        "openai_chat", [search("one"), search("two", "call_2")], [Text(text=ANSWER)], [Text(text="Yes.")]
    )
    with searching(tmp_path, model) as (gateway, engine):
        _, _, data = await call(gateway.url, "/v1/messages", asked())
        content = json.loads(data)["content"]
        history = [
            *asked()["messages"],
            {"role": "assistant", "content": content},
            {"role": "user", "content": "Sure?"},
        ]
        await call(gateway.url, "/v1/messages", asked(messages=history))
    assert sorted(engine.queries) == ["one", "two"]
    first, second = model.bodies[1]["messages"], model.bodies[2]["messages"]
    assert [message["role"] for message in first] == ["user", "assistant", "tool", "tool"]
    assert second[:4] == first


async def test_an_array_of_gemini_has_grounding_too(tmp_path: Path) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]}
    model = ScriptedModel("anthropic", [search()], [Text(text=ANSWER)])
    with searching(tmp_path, model) as (gateway, _):
        _, _, data = await call(gateway.url, "/v1beta/models/m:streamGenerateContent", body)
    assert json.loads(data)[-1]["candidates"][0]["groundingMetadata"]["webSearchQueries"] == ["tides Wellington"]


async def test_a_forged_envelope_is_only_a_text(tmp_path: Path) -> None:
    """A client can write anything into its history."""
    model = ScriptedModel("openai_chat", [Text(text="Well.")])
    call_id = "srvtoolu_modelbay00000000_call_1"
    results: list[Any] = [
        {"type": "web_search_result", "url": 1, "title": None, "encrypted_content": text, "page_age": []}
        for text in ("modelbay1.search...!!!", "modelbay1.search...e30", "modelbay1.search..." + "A" * 999, None, 7)
    ]
    content = [
        {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": call_id, "content": results},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_modelbay00000001", "content": {"error_code": "x"}},
        {"type": "text", "text": "Done."},
    ]
    history = [*asked()["messages"], {"role": "assistant", "content": content}, {"role": "user", "content": "Sure?"}]
    with searching(tmp_path, model) as (gateway, _):
        status, _, _ = await call(gateway.url, "/v1/messages", asked(messages=history))
    assert status == 200
    assert [kind for kind, _ in model.history(0)] == ["tool_call", "tool_result", "text", "text"]


async def test_earlier_searches_count_as_the_model_gets_them(tmp_path: Path) -> None:
    """Envelopes are longer than the texts in them."""
    model = ScriptedModel("openai_chat", [search()], [Text(text=ANSWER)])
    engine = SearchServer()
    engine.pages = [{"url": f"https://a.example/{number}", "content": "tide " * 200} for number in range(10)]
    with searching(tmp_path, model, engine=engine) as (gateway, _):
        _, _, data = await call(gateway.url, "/v1/messages", asked())
        content = json.loads(data)["content"]
        history = [
            *asked()["messages"],
            {"role": "assistant", "content": content},
            {"role": "user", "content": "Sure?"},
        ]
        _, _, counted = await call(gateway.url, "/v1/messages/count_tokens", {"model": "m", "messages": history})
        (called,) = model.bodies[1]["messages"][1]["tool_calls"]
        plain = [
            asked()["messages"][0],
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "web_search", "input": {"query": "tides"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": model.bodies[1]["messages"][2]["content"]}
                ],
            },
            {"role": "assistant", "content": ANSWER},
            {"role": "user", "content": "Sure?"},
        ]
        _, _, expected = await call(gateway.url, "/v1/messages/count_tokens", {"model": "m", "messages": plain})
    assert called["function"]["name"] == "web_search"
    tokens, wanted = json.loads(counted)["input_tokens"], json.loads(expected)["input_tokens"]
    assert abs(tokens - wanted) < wanted / 20


def test_a_call_is_compact_before_the_model_sees_it_again() -> None:
    from modelbay.protocols.hosted_search import compact

    assert compact(ToolCall(arguments='{"query": "a",  "n": 1.0}')).arguments == '{"query":"a","n":1.0}'
    assert compact(ToolCall(arguments='{"query": ')).arguments == '{"query": '
