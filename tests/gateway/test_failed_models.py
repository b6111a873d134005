"""Replies of a model that failed, as Gemini's finish reasons report it: its own clients know them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types

from tests.faults.raw_server import Client, RawServer, reply
from tests.gateway.running import KEY, RunningGateway
from tests.gateway.test_app import call

REASONS = ("UNEXPECTED_TOOL_CALL", "MALFORMED_FUNCTION_CALL", "TOO_MANY_TOOL_CALLS", "OTHER")
TEXT = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Let me see. "}]}, "index": 0}]}


def failed(reason: str, text: str | None = None) -> dict[str, Any]:
    content = {} if text is None else {"content": {"role": "model", "parts": [{"text": text}]}}
    candidate = {**content, "finishReason": reason, "finishMessage": "It went wrong.", "index": 0}
    return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}


class FailingModel:
    """Sends the same reply to each request."""

    def __init__(self) -> None:
        self.chunks: list[dict[str, Any]] = []
        self.server = RawServer(self._serve)

    async def _serve(self, client: Client) -> None:
        stream = "stream" in (await client.request()).target
        if stream:
            data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in self.chunks)
        else:
            data = json.dumps(self.chunks[-1]).encode()
        kind = "text/event-stream" if stream else "application/json"
        await client.send(reply(data, 200, f"Content-Type: {kind}"))


@pytest.fixture
async def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FailingModel, str]]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    found = FailingModel()
    async with found.server:
        config = tmp_path / "config.toml"
        config.write_text(
            f'[providers.here]\ntype = "google-genai"\nbase_url = "{found.server.url}"\napi_key = "sk-provider"\n'
            '[models.google]\nprovider = "here"\nmodel = "gemini-x"\n'
        )
        with RunningGateway(config) as gateway:
            yield found, gateway.url


def sdk(url: str) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))


@pytest.mark.parametrize("text", [None, "Let me see. "], ids=["without content", "with a text"])
@pytest.mark.parametrize("reason", REASONS)
async def test_a_gemini_client_gets_the_reply(model: tuple[FailingModel, str], reason: str, text: str | None) -> None:
    model[0].chunks = [failed(reason, text)]
    client = sdk(model[1])
    found = await asyncio.to_thread(client.models.generate_content, model="google", contents="Hi")
    assert found.candidates is not None
    assert found.candidates[0].finish_reason == types.FinishReason(reason)
    assert found.text == text


@pytest.mark.parametrize("before", [[], [TEXT]], ids=["without content", "after a text"])
@pytest.mark.parametrize("reason", REASONS)
async def test_a_gemini_client_gets_the_stream(
    model: tuple[FailingModel, str], reason: str, before: list[dict[str, Any]]
) -> None:
    model[0].chunks = [*before, failed(reason)]
    client = sdk(model[1])
    chunks = await asyncio.to_thread(lambda: list(client.models.generate_content_stream(model="google", contents="Hi")))
    assert len(chunks) == len(before) + 1
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason(reason)


@pytest.mark.parametrize("reason", REASONS)
async def test_another_client_gets_an_error(model: tuple[FailingModel, str], reason: str) -> None:
    model[0].chunks = [failed(reason)]
    body = {"model": "google", "messages": [{"role": "user", "content": "Hi"}]}
    status, _, data = await call(model[1], "/v1/chat/completions", body)
    assert (status, json.loads(data)["error"]["code"]) == (502, "upstream_malformed_reply")


async def test_a_reply_that_is_cut_off_is_an_error_for_a_gemini_client_too(model: tuple[FailingModel, str]) -> None:
    model[0].chunks = [{"usageMetadata": {"promptTokenCount": 5}}]
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert (await call(model[1], "/v1beta/models/google:generateContent", body))[0] == 502
