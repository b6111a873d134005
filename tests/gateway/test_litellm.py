"""LiteLLM as a provider, whose state of Claude and Gemini comes back to it from clients of other protocols."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from tests.faults.raw_server import Client, RawServer, reply
from tests.gateway.running import KEY, RunningGateway, config_text
from tests.protocols.openai_chat.chunks import DONE, chunk, stream
from tests.protocols.openai_chat.test_litellm import piece

TOOL: Any = {"name": "get_weather", "description": "Weather", "input_schema": {"type": "object", "properties": {}}}
ASKED: Any = {"role": "user", "content": "What is the weather in Paris?"}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


def claude(turn: int) -> list[dict[str, Any]]:
    return [{"type": "thinking", "thinking": f"Look {turn}.", "signature": f"sig{turn}"},
            {"type": "redacted_thinking", "data": f"hidden{turn}"}]  # fmt: skip


def used(turn: int, **more: Any) -> dict[str, Any]:
    return {"id": f"call_{turn}", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}, **more}


def whole(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": "tool_calls"}
    body = {"id": "c1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}
    return reply(json.dumps(body).encode(), 200, "Content-Type: application/json")


def streamed(turn: int, call: dict[str, Any]) -> bytes:
    thought, hidden = claude(turn)
    pieces = [
        piece(thought["thinking"], index=0),
        piece("", signature=thought["signature"], index=0),
        chunk({"thinking_blocks": [{**hidden, "index": 1}], "content": ""}),
        chunk({"tool_calls": [{"index": 0, **call}]}),
        chunk(finish="tool_calls"),
    ]
    return reply(stream(*pieces, DONE), 200, "Content-Type: text/event-stream")


async def loop(
    home: Path, answer: Callable[[int, bool], bytes], *, streams: bool, keep: Callable[[Any], bool] = lambda block: True
) -> list[list[dict[str, Any]]]:
    """The messages of LiteLLM's three requests in a tool loop of Anthropic's SDK, which sends back the blocks that it keeps."""
    bodies: list[dict[str, Any]] = []

    async def serve(provider: Client) -> None:
        bodies.append(json.loads((await provider.request()).body))
        await provider.send(answer(len(bodies), streams))

    messages = [ASKED]
    async with RawServer(serve) as server:
        config = home / "config.toml"
        config.write_text(config_text(server.url, "claude-opus-5"))
        with RunningGateway(config) as gateway:
            async with AsyncAnthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
                for _ in range(3):
                    asked: Any = {"model": "openai_chat", "max_tokens": 4000, "tools": [TOOL], "thinking": THINKING}
                    if streams:
                        async with client.messages.stream(**asked, messages=messages) as running:
                            said = await running.get_final_message()
                    else:
                        said = await client.messages.create(**asked, messages=messages)
                    texts = [block.thinking for block in said.content if block.type == "thinking" and block.thinking]
                    assert len(texts) == len(set(texts)), "each text comes once"
                    messages.append({"role": "assistant", "content": [block for block in said.content if keep(block)]})
                    results = [
                        {"type": "tool_result", "tool_use_id": block.id, "content": "Rain"}
                        for block in said.content
                        if block.type == "tool_use"
                    ]
                    messages.append({"role": "user", "content": results})
    return [body["messages"] for body in bodies]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kept", [True, False], ids=["thinking kept", "thinking removed"])
async def test_claude_s_thinking_goes_back_to_litellm_as_it_came(tmp_path: Path, streams: bool, kept: bool) -> None:
    def answer(turn: int, streams: bool) -> bytes:
        if streams:
            return streamed(turn, used(turn))
        said = {"reasoning_content": f"Look {turn}.", "thinking_blocks": claude(turn), "tool_calls": [used(turn)]}
        return whole(said)

    requests = await loop(
        tmp_path, answer, streams=streams, keep=lambda block: kept or "thinking" not in str(block.type)
    )
    told = [message for message in requests[2] if message["role"] == "assistant"]
    assert [message["thinking_blocks"] for message in told] == [claude(1), claude(2)]
    assert not any("reasoning_content" in message or "reasoning_details" in message for message in told)
    assert requests[2][: len(requests[1])] == requests[1], "a prompt cache has the beginning"


async def test_the_signature_of_gemini_s_call_goes_back_to_litellm_as_it_came(tmp_path: Path) -> None:
    fields = {"provider_specific_fields": {"thought_signature": "c2ln"}}

    def answer(turn: int, streams: bool) -> bytes:
        return whole({"tool_calls": [used(turn, **fields)], "thinking_blocks": []})

    requests = await loop(tmp_path, answer, streams=False)
    told = [message for message in requests[2] if message["role"] == "assistant"]
    assert [message["tool_calls"] for message in told] == [[used(1, **fields)], [used(2, **fields)]]
