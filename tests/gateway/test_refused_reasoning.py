"""A provider that refuses the reasoning state in a history: the gateway sends the history without it, now and later."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.running import running
from tests.gateway.test_app import call

GO_ON = {"role": "user", "content": "Go on"}


async def test_a_summarized_conversation_continues_at_a_provider_of_the_same_protocol(tmp_path: Path) -> None:
    """As Kilo Code continues after `/compact`: its own summary, then the last messages, with their encrypted reasoning."""
    include: dict[str, Any] = {"store": False, "include": ["reasoning.encrypted_content"]}
    asked = {"model": "openai_responses", "input": [{"role": "user", "content": "Hi"}], **include}
    with running(tmp_path, model="sim-echo", key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, "/v1/responses", asked)
        kept = [{"role": "user", "content": "Summary: Hi"}, *json.loads(first)["output"], GO_ON]
        status, headers, reply = await call(gateway.url, "/v1/responses", {**asked, "input": kept})
        assert status == 200, reply
        assert headers["x-modelbay-attempts"] == "2"
        assert headers["x-modelbay-dropped"] == "reasoning"
        assert [entry.status for entry in upstream.journal] == [200, 400, 200]
        items = upstream.journal.last.json["input"]
        assert [item.get("type", item.get("role")) for item in items] == ["user", "message", "user"]
        assert "id" not in items[1]

        later = [*kept, *json.loads(reply)["output"], GO_ON]
        status, headers, _ = await call(gateway.url, "/v1/responses", {**asked, "input": later})
        assert (status, headers["x-modelbay-attempts"]) == (200, "1"), "the refusal is remembered"
        again = upstream.journal.last.json["input"]
        kinds = [item.get("type", item.get("role")) for item in again]
        assert kinds == ["user", "message", "user", "reasoning", "message", "user"], "only the new reasoning is sent"


@pytest.mark.parametrize("upstream_protocol", ["anthropic", "openai_responses", "google"])
async def test_a_refusal_is_remembered_for_a_client_of_another_protocol(tmp_path: Path, upstream_protocol: str) -> None:
    asked = {"model": upstream_protocol, "reasoning_effort": "high", "messages": [{"role": "user", "content": "Hi"}]}
    with running(tmp_path, model="sim-thinker", key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, "/v1/chat/completions", asked)
        kept = [{"role": "user", "content": "Summary: Hi"}, json.loads(first)["choices"][0]["message"], GO_ON]
        _, headers, reply = await call(gateway.url, "/v1/chat/completions", {**asked, "messages": kept})
        assert headers["x-modelbay-attempts"] == "2"
        kept += [json.loads(reply)["choices"][0]["message"], GO_ON]
        status, headers, _ = await call(gateway.url, "/v1/chat/completions", {**asked, "messages": kept})
        assert (status, headers["x-modelbay-attempts"]) == (200, "1"), upstream.journal.last.json


async def test_a_conversation_whose_client_removed_the_reasoning_continues_with_another_model(tmp_path: Path) -> None:
    """As Codex continues after its user chose another model: it keeps the IDs of calls, which refer to their reasoning."""
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
    asked: dict[str, Any] = {"store": False, "include": ["reasoning.encrypted_content"], "tools": [tool]}
    history: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    other = '[models.other]\nprovider = "openai_responses"\nmodel = "sim-1"\n'
    with running(tmp_path, model="sim-echo", more=other, key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, "/v1/responses", {**asked, "model": "openai_responses", "input": history})
        (made,) = (item for item in json.loads(first)["output"] if item["type"] == "function_call")
        history += [made, {"type": "function_call_output", "call_id": made["call_id"], "output": "Rain"}]
        status, _, reply = await call(gateway.url, "/v1/responses", {**asked, "model": "other", "input": history})
        assert status == 200, reply
        assert b"Rain" in reply
        assert [entry.status for entry in upstream.journal] == [200, 400, 200]


@pytest.mark.parametrize("damaged", [{"signature": "bm90IG91cnM="}, {}], ids=["a foreign signature", "no signature"])
async def test_thinking_of_the_current_turn_is_kept_beside_earlier_thinking_that_is_refused(
    tmp_path: Path, damaged: dict[str, str]
) -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    asked: dict[str, Any] = {"model": "anthropic", "max_tokens": 9000, "tools": [tool]}
    asked |= {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    earlier = [{"type": "thinking", "thinking": "Once.", **damaged}, {"type": "text", "text": "Hello"}]
    history: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": earlier}]
    history += [{"role": "user", "content": "What is the weather in Paris?"}]
    with running(tmp_path, model="sim-thinker", key="sk-provider") as (gateway, upstream):
        status, _, first = await call(gateway.url, "/v1/messages", {**asked, "messages": history})
        made = json.loads(first)["content"]
        assert status == 200, first
        assert made[0]["type"] == "thinking"
        (used,) = (block for block in made if block["type"] == "tool_use")
        result = {"type": "tool_result", "tool_use_id": used["id"], "content": "Rain"}
        history += [{"role": "assistant", "content": made}, {"role": "user", "content": [result]}]
        for _ in range(2):
            status, headers, reply = await call(gateway.url, "/v1/messages", {**asked, "messages": history})
            assert status == 200, reply
            sent = upstream.journal.last.json
            assert sent["thinking"]["type"] == "enabled"
            assert sent["messages"][-2]["content"][0]["type"] == "thinking"
            assert "Once." not in json.dumps(sent)
        assert headers["x-modelbay-attempts"] == "1", "the refusal is remembered"


@pytest.mark.parametrize(("settings", "attempts"), [("", "1"), ("store = false", "2")], ids=["stored", "not stored"])
async def test_a_gemini_client_may_keep_the_thoughts_and_lose_their_signatures(
    tmp_path: Path, settings: str, attempts: str
) -> None:
    tool = {"functionDeclarations": [{"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {}}}]}
    asked = {"tools": [tool], "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    contents: list[Any] = [{"role": "user", "parts": [{"text": "What is the weather in Paris?"}]}]
    path = "/v1beta/models/google:generateContent"
    with running(tmp_path, model="sim-thinker", settings=settings, key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, path, {**asked, "contents": contents})
        parts = json.loads(first)["candidates"][0]["content"]["parts"]
        assert any(part.get("thought") for part in parts), parts
        for part in parts:
            part.pop("thoughtSignature", None)
        (name,) = (part["functionCall"]["name"] for part in parts if "functionCall" in part)
        result = {"functionResponse": {"name": name, "response": {"output": "Rain"}}}
        contents += [{"role": "model", "parts": parts}, {"role": "user", "parts": [result]}]
        status, headers, reply = await call(gateway.url, path, {**asked, "contents": contents})
        assert (status, headers["x-modelbay-attempts"]) == (200, attempts), reply
        sent = [part for part in upstream.journal.last.json["contents"][1]["parts"] if "functionCall" in part]
        assert (sent[0]["thoughtSignature"] == "skip_thought_signature_validator") == (attempts == "2")


async def test_a_call_whose_signature_gemini_refused_keeps_the_placeholder_that_it_accepted(tmp_path: Path) -> None:
    """As Qwen Code resumes a session in the middle of a tool loop: its first message, about the day, is another one now."""
    tool = {"functionDeclarations": [{"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {}}}]}
    question = {"role": "user", "parts": [{"text": "What is the weather in Paris?"}]}
    contents: list[Any] = [{"role": "user", "parts": [{"text": "Today is Monday."}]}, question]
    path = "/v1beta/models/google:generateContent"
    with running(tmp_path, model="sim-thinker", key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, path, {"tools": [tool], "contents": contents})
        made = json.loads(first)["candidates"][0]["content"]
        used = [part["functionCall"] for part in made["parts"] if "functionCall" in part]
        results = [{"functionResponse": {"name": one["name"], "response": {"output": "Rain"}}} for one in used]
        contents[0] = {"role": "user", "parts": [{"text": "Today is Tuesday."}]}
        contents += [made, {"role": "user", "parts": results}]
        sent, attempts = [], []
        for _ in range(3):
            status, headers, reply = await call(gateway.url, path, {"tools": [tool], "contents": contents})
            assert status == 200, reply
            attempts.append(headers["x-modelbay-attempts"])
            sent.append(upstream.journal.last.json["contents"])
    assert attempts == ["2", "1", "1"], "the refusal is remembered"
    assert sent[0] == sent[1] == sent[2], "a prompt cache has what was accepted"
    signatures = [part["thoughtSignature"] for part in sent[2][2]["parts"] if "functionCall" in part]
    assert signatures[0] == "skip_thought_signature_validator"
