"""Requests that end with the beginning of a reply, at models that do not continue one: Claude since 4.6, newer Gemini, Mistral."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import Text
from modelbay.dialect import PLAIN
from modelbay.events import Finished, Reply, collect
from modelbay.protocols.codec import codec
from modelbay.providers.message_lessons import CONTINUE
from tests.faults.raw_server import Client, RawServer, reply
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text
from tests.gateway.test_app import call, request

WORDS = {
    "openai_chat": [
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        "Last message must have role `user`.",
        "Assistant response prefill is incompatible with enable_thinking.",
    ],
    "anthropic": [
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        "Prefilling assistant messages is not supported for this model.",
    ],
    "google": [
        "Requests ending with a model turn are not supported.",
        "Please ensure that multiturn requests ends with a user role or a function response.",
    ],
}
"""The refusals of vendors, by protocol."""
MESSAGES = {"openai_chat": "messages", "openai_responses": "input", "anthropic": "messages", "google": "contents"}
BEGUN = "The answer, as JSON: {"
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}}


def turns(client: str, begun: str) -> list[dict[str, Any]]:
    """A question and the beginning of its answer."""
    if client == "google":
        return [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": begun}]}]
    return [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": begun}]


class Refusing:
    """A provider of one protocol that refuses requests whose last message is the assistant's."""

    def __init__(self, protocol: str, words: str) -> None:
        self.protocol, self.words, self.bodies = protocol, words, list[dict[str, Any]]()
        self.server = RawServer(self._serve)

    async def _serve(self, client: Client) -> None:
        while True:
            self.bodies.append(json.loads((await client.request()).body))
            if self.last.get("role") in ("assistant", "model"):
                error = {"type": "invalid_request_error", "message": self.words}
                await client.send(reply(json.dumps({"type": "error", "error": error}).encode(), 400))
            else:
                whole = codec(self.protocol).render_reply(Reply(parts=[Text(text='"a": 1}')], finish=Finished("stop")))
                await client.send(reply(whole, 200, "Content-Type: application/json"))

    @property
    def last(self) -> dict[str, Any]:
        found: dict[str, Any] = self.bodies[-1][MESSAGES[self.protocol]][-1]
        return found

    @asynccontextmanager
    async def behind_a_gateway(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
        monkeypatch.setenv("MODELBAY_HOME", str(home))
        async with self.server:
            config = home / "config.toml"
            config.write_text(config_text(self.server.url, "some-model"))
            with RunningGateway(config) as gateway:
                yield gateway.url


@pytest.mark.parametrize(
    ("upstream", "words"), [(protocol, words) for protocol, found in WORDS.items() for words in found]
)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_model_that_does_not_continue_a_reply_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, upstream: str, words: str
) -> None:
    provider = Refusing(upstream, words)
    path, body = request(client, upstream)
    body |= {MESSAGES[client]: turns(client, BEGUN)}
    async with provider.behind_a_gateway(tmp_path, monkeypatch) as url:
        for attempts in ("2", "1"):  # the refusal is remembered
            status, headers, data = await call(url, path, body)
            assert status == 200, data
            assert headers["x-modelbay-attempts"] == attempts
            assert "x-modelbay-dropped" not in headers, "nothing is lost"
            assert collect(codec(client).parse_reply(data, PLAIN)).text == '"a": 1}'
            assert BEGUN in json.dumps(provider.bodies[-1], ensure_ascii=False)
            assert CONTINUE in json.dumps(provider.last)
        await call(url, *request(client, upstream))
        assert CONTINUE not in json.dumps(provider.bodies[-1]), (
            "a request that ends with a user's message is not changed"
        )


@pytest.mark.parametrize(
    ("upstream", "last"),
    [
        ("anthropic", {"role": "assistant", "content": [{"type": "text", "text": "I search."}, SEARCH]}),
        ("openai_chat", {"role": "assistant", "content": BEGUN, "prefix": True}),
        ("openai_chat", {"role": "assistant", "content": BEGUN, "partial": True}),
    ],
    ids=["paused", "prefix", "partial"],
)
async def test_a_reply_that_the_provider_paused_or_a_field_continues_is_not_followed_by_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: str, last: dict[str, Any]
) -> None:
    provider = Refusing(upstream, WORDS[upstream][0])
    path, body = request(upstream, upstream)
    async with provider.behind_a_gateway(tmp_path, monkeypatch) as url:
        body["messages"] = turns(upstream, BEGUN)
        assert (await call(url, path, body))[0] == 200
        body["messages"] = [{"role": "user", "content": "Hi"}, last]
        assert (await call(url, path, body))[0] == 400
        assert provider.last == last
