"""`Passage` and `Exchange` prepare a call each. Provider and client cannot tell which of them did."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelbay.gateway.asked import Asked
from modelbay.gateway.passage import Passage
from tests.gateway.raw import RawClient, RawResponse, post
from tests.gateway.running import PROTOCOLS, running
from tests.gateway.test_app import request
from tests.gateway.test_passed_replies import likened

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": WEATHER}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
TOLD = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
USED = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
ASK = {"role": "user", "content": "Hello there"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
UNKNOWN = {"type": "thinking", "thinking": "", "signature": "x"}
SAFETY = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}

REQUESTS: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"n": 2},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"seed": 7, "logit_bias": {"1": 2}, "frequency_penalty": 0.5, "user": "u"},
        {"max_tokens": 10**9, "reasoning_effort": "high"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER}}},
        {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"},
        {"tools": [{"type": "custom", "custom": {"name": "patch"}}]},
        {"web_search_options": {}},
        {"messages": [ASK, {"role": "assistant", "tool_calls": [CALL]}, TOLD]},
        {"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}, ASK]},
        {"messages": [ASK, {"role": "assistant", "content": "yes", "reasoning_content": "it is"}, ASK]},
        {"messages": [{"role": "user", "content": [PICTURE]}]},
        {"messages": []},
        {"messages": 7},
        {"input": "Hello there", "messages": None},
        {"thread": "t"},
        {"unknown": 1},
    ],
    "openai_responses": [
        {"store": False},
        {"store": False, "stream": True},
        {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}},
        {"store": False, "tools": [{"type": "function", **FUNCTION}], "parallel_tool_calls": False},
        {"store": False, "tools": [{"type": "custom", "name": "patch"}]},
        {"store": False, "tools": [{"type": "web_search"}]},
        {"store": False, "tools": [{"type": "local_shell"}]},
        {"store": False, "previous_response_id": "resp_unknown"},
        {"store": False, "text": {"verbosity": "low"}, "truncation": "auto", "service_tier": "flex"},
        {"store": False, "input": [{**ASK, "type": "message"}, {"type": "compaction", "encrypted_content": "x"}]},
        {"store": False, "context_management": [{"type": "compaction", "compact_threshold": 1000}]},
    ],
    "anthropic": [
        {},
        {"stream": True},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
        {"stop_sequences": ["a"], "temperature": 0.5, "top_k": 3, "metadata": {"user_id": "u"}},
        {"tools": [{"name": "weather", "input_schema": WEATHER}], "tool_choice": {"type": "any"}},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"thread": {"id": "t"}},
        {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [ASK, {"role": "assistant", "content": [USED]}, {"role": "user", "content": [RESULT]}]},
        {"messages": [ASK, {"role": "assistant", "content": [UNKNOWN, {"type": "text", "text": "yes"}]}, ASK]},
    ],
    "google": [
        {},
        {"generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 512}, "stopSequences": ["a"]}},
        {"tools": [{"functionDeclarations": [FUNCTION]}], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        {"tools": [{"googleSearch": {}}]},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "safetySettings": [SAFETY]},
        {"cachedContent": "cachedContents/x"},
        {"generationConfig": {"maxOutputTokens": 10**9}},
    ],
}  # fmt: skip
SETTINGS = {
    "usual": "",
    "strict": "strict = true",
    "cached for an hour": 'cache_ttl = "1h"',
    "nothing stored": "store = false",
}
LIMIT = "max_output_size = 2000\n"
"""In the table of Google's model, the last one."""
OWN = ("x-modelbay-request-id", "x-modelbay-overhead-ms", "content-length", "date", "request-id", "x-request-id")


def seen(response: RawResponse) -> Any:
    """A response without values that differ between two of the same request."""
    fields = {name: value for name, value in response.headers.items() if name not in OWN}
    if "json" in fields.get("content-type", ""):
        return response.status, fields, likened(json.loads(response.body))
    lines = response.body.decode().splitlines()
    return response.status, fields, [likened(json.loads(line[6:])) for line in lines if line[:7] == "data: {"]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_request_gets_the_same_call_and_response_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, upstream: str, settings: str
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    begin, begun = Passage.begin, []

    def counted(self: Passage, asked: Asked) -> bool:
        begun.append(begin(self, asked))
        return begun[-1]

    with running(tmp_path, settings=settings, more=LIMIT) as (at, provider):

        async def answered(data: bytes) -> tuple[Any, Any]:
            provider.journal.clear()
            await client.send(data)
            response = seen(await client.response())
            return [(call.target, call.headers, call.body) for call in provider.journal], response

        async with RawClient(at.url) as client:
            for more in REQUESTS[protocol]:
                path, body = request(protocol, upstream)
                data = post(path, {**body, **more})
                await answered(data)  # the head is known now, and the provider's refusals are learned
                monkeypatch.setattr(Passage, "begin", counted)
                at_once = await answered(data)
                monkeypatch.setattr(Passage, "begin", lambda *_: False)
                assert await answered(data) == at_once, more
    assert any(begun) == ("cache_ttl" not in settings)
