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
