"""Requests without messages are refused in the words of the client's vendor, for providers of all protocols."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]
PATHS = {"openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic": "/v1/messages"}
EMPTY: dict[str, tuple[dict[str, Any], str]] = {
    "openai_chat": ({"messages": []}, "Invalid 'messages': empty array"),
    "openai_responses": ({"input": []}, "Missing required parameter: 'input'"),
    "anthropic": ({"max_tokens": 9, "messages": []}, "messages: at least one message is required"),
    "google": ({"contents": []}, "GenerateContentRequest.contents: contents is not specified"),
}
PROMPTS: dict[str, dict[str, Any]] = {
    "openai_chat": {},
    "openai_responses": {"instructions": "Be brief."},
    "anthropic": {"system": "Be brief."},
    "google": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
}
"""System prompts that are not among the messages."""
BLANK: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "user", "content": ""}]},
    "openai_responses": {"input": ""},
    "google": {"contents": [{"role": "user", "parts": [{"text": ""}]}]},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


async def refused(gateway: Running, client: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    """The error that a client receives for a request which its provider must not see."""
    asked = len(gateway[1].journal)
    path = PATHS.get(client) or f"/v1beta/models/{model}:generateContent"
    status, headers, data = await call(gateway[0].url, path, body if client == "google" else {"model": model, **body})
    assert (status, len(gateway[1].journal)) == (400, asked), data
    assert "x-modelbay-attempts" not in headers
    return json.loads(data)["error"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("prompt", [False, True], ids=["nothing", "a system prompt"])
@pytest.mark.parametrize("model", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_request_without_messages_is_refused_in_the_words_of_the_client(
    gateway: Running, client: str, model: str, prompt: bool
) -> None:
    if client == model:
        pytest.skip("it passes unchanged, and its vendor answers")
    body, words = EMPTY[client]
    error = await refused(gateway, client, model, body | (PROMPTS[client] if prompt else {}))
    assert words in error["message"]
    if client == "openai_chat":
        assert (error["code"], error["param"]) == ("empty_array", "messages")
    if client == "google":
        assert error["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("model", ["openai_chat", "anthropic", "google"])
@pytest.mark.parametrize("content", [5, [5], [{"type": "input_text"}], [{"type": "smell", "smell": "x"}]], ids=str)
async def test_a_request_of_which_no_part_can_be_sent_is_refused(gateway: Running, model: str, content: Any) -> None:
    error = await refused(gateway, "openai_responses", model, {"input": [{"role": "user", "content": content}]})
    assert error["message"] == f"`input` has no part that can be sent in {model}"


@pytest.mark.parametrize("client", BLANK)
async def test_a_request_with_nothing_but_an_empty_text_is_refused_if_the_provider_rejects_that(
    gateway: Running, client: str
) -> None:
    error = await refused(gateway, client, "anthropic", BLANK[client])
    assert error["message"].startswith(f"`{next(iter(BLANK[client]))}` has no text")
