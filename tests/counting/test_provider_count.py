"""Counts of input tokens by the hub: the provider's own, or an estimate."""

from typing import Any

import pytest

from modelbay import Conversation, Hub, Media, Settings, Text, Tool, Turn, errors, sync, user
from modelbay.conversation import Protocol
from modelbay.counting import provider_count
from modelbay.json_text import decode, encode
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer, reply
from tests.servers.llamacpp import LlamaServer

KEY = "sk-of-the-program"
PATHS: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": "/v1beta"}
COUNTED: list[Protocol] = ["openai_responses", "anthropic", "google"]
QUESTION = "Why is the sky blue?"
TOOL = Tool(name="tide", description="The tide of a day.", schema={"type": "object", "properties": {"day": {}}})


@pytest.fixture(scope="module")
def simulator() -> Any:
    with Simulator(key=KEY) as running:
        yield running


def hub_of(simulator: Simulator, protocol: Protocol) -> Hub:
    return Hub.of(base_url=simulator.url + PATHS[protocol], api_key=KEY, protocol=protocol, model="sim-text")


@pytest.mark.parametrize("protocol", COUNTED)
async def test_the_provider_counts_the_request_of_a_reply(simulator: Simulator, protocol: Protocol) -> None:
    simulator.journal.clear()
    settings: dict[str, Any] = {
        "system": "Be brief.",
        "tools": [TOOL],
        "max_tokens": 99,
        "temperature": 0.5,
        "effort": "low",
    }
    settings |= {"top_p": 0.9, "service_tier": "auto"}
    async with hub_of(simulator, protocol) as hub:
        counted = await hub.count([user(QUESTION)], **settings)
        reply = await hub.complete([user(QUESTION)], **settings)
    assert not counted.estimated
    assert reply.usage is not None
    assert counted.tokens == reply.usage.input_total
    assert "count" in simulator.journal[0].path.lower() or simulator.journal[0].path.endswith("/input_tokens")


async def test_other_providers_counts_are_estimated(simulator: Simulator) -> None:
    simulator.journal.clear()
    async with hub_of(simulator, "openai_chat") as hub:
        short, long = await hub.count(QUESTION), await hub.count(QUESTION, system="Be brief. " * 100)
    assert (short.estimated, long.estimated) == (True, True)
    assert 5 < short.tokens < 25
    assert long.tokens > 200
    assert not list(simulator.journal)


async def test_nothing_is_sent_for_an_estimate(simulator: Simulator) -> None:
    simulator.journal.clear()
    async with hub_of(simulator, "anthropic") as hub:
        counted = await hub.count(QUESTION, files=[Media(kind="image", url="https://127.0.0.1:9/a.png")], estimate=True)
    assert counted.estimated
    assert counted.tokens > 100
    assert not list(simulator.journal)


def test_the_blocking_hub_counts_too(simulator: Simulator) -> None:
    with sync.Hub.of(base_url=simulator.url, api_key=KEY, protocol="anthropic", model="sim-text") as hub:
        assert hub.count(Conversation([user(QUESTION)], Settings(tools=[TOOL]))).tokens > hub.count(QUESTION).tokens


async def test_arguments_are_those_of_a_reply(simulator: Simulator) -> None:
    async with hub_of(simulator, "anthropic") as hub:
        with pytest.raises(TypeError, match='did you mean "system"'):
            await hub.count(QUESTION, sistem="Be brief.")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="max_tokens"):
            await hub.count(QUESTION, max_tokens=0)


async def test_the_first_available_model_of_a_list_counts(simulator: Simulator) -> None:
    async with Hub.of(base_url=f"{simulator.url}/v1/messages", api_key="sk-wrong") as hub:
        other = hub.add(base_url=simulator.url, api_key=KEY, protocol="anthropic", id="other")
        first = next(iter(hub.config.providers))
        counted = await hub.count(QUESTION, model=[f"{first}/sim-text", f"{other}/sim-text"])
        assert not counted.estimated
        with pytest.raises(errors.AuthenticationFailed):
            await hub.count(QUESTION, model=f"{first}/sim-text")


async def test_a_complete_endpoint_is_not_asked_to_reply_instead() -> None:
    """Its URL is used for every method, so that a request for a count would be answered, and cost money."""
    counted = reply(b'{"totalTokens": 3}', 200, "Content-Type: application/json")
    async with RawServer(answering(counted)) as server:
        async with Hub.of(base_url=f"{server.url}/proxy/reply", api_key=KEY, protocol="google") as hub:
            entry = next(iter(hub.config.providers.values()))
            entry.full_url = True
            assert (await hub.count(QUESTION, model=f"{entry.id}/m")).estimated
        assert not server.requests


def answering(*responses: bytes) -> Any:
    """Give one response after the other, and the last one again."""
    waiting = list(responses)

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return script


def error(status: int, kind: str) -> bytes:
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    return reply(encode(body), status, "Content-Type: application/json")


GOOD = reply(b'{"input_tokens": 31}', 200, "Content-Type: application/json")


async def test_a_failed_count_is_retried() -> None:
    async with RawServer(answering(error(529, "overloaded_error"), error(500, "api_error"), GOOD)) as server:
        async with Hub.of(base_url=server.url, api_key=KEY, protocol="anthropic", model="m") as hub:
            hub._client.policy = Policy(base=0.001)
            assert (await hub.count(QUESTION)).tokens == 31
        assert len(server.requests) == 3
    async with RawServer(answering(error(529, "overloaded_error"))) as server:
        async with Hub.of(base_url=server.url, api_key=KEY, protocol="anthropic", model="m") as hub:
            hub._client.policy = Policy(base=0.001)
            with pytest.raises(errors.Overloaded) as raised:
                await hub.count(QUESTION, retries=1)
        assert raised.value.attempts == len(server.requests) == 2


@pytest.mark.parametrize(
    ("response", "requests"),
    [
        (error(404, "not_found_error"), 1),
        (reply(b"Method Not Allowed", 405), 1),
        (error(400, "invalid_request_error"), 2),
        (error(403, "permission_error"), 2),
        (reply(b"<html>Welcome</html>", 200, "Content-Type: text/html"), 2),
        (reply(b'{"input_tokens": "31"}', 200, "Content-Type: application/json"), 2),
        (reply(b'{"input_tokens": -1}', 200, "Content-Type: application/json"), 2),
        (reply(b"[31]", 200, "Content-Type: application/json"), 2),
    ],
)
async def test_a_provider_that_does_not_count_is_estimated_and_not_asked_again(response: bytes, requests: int) -> None:
    """It is asked again if it may count other requests."""
    async with RawServer(answering(response)) as server:
        async with Hub.of(base_url=server.url, api_key=KEY, protocol="anthropic", model="m") as hub:
            assert (await hub.count(QUESTION)).estimated
            assert (await hub.count(QUESTION)).estimated
        assert len(server.requests) == requests


def hub_at(server: RawServer) -> Hub:
    return Hub.of(base_url=server.url, api_key=KEY, protocol="anthropic", model="mini-1")


async def test_a_provider_without_the_model_is_asked_again() -> None:
    """The model may be installed or deployed later; a path that is missing is named in the same status."""
    missing = {"type": "error", "error": {"type": "not_found_error", "message": "model: mini-1"}}
    gone = reply(encode(missing), 404, "Content-Type: application/json")
    async with RawServer(answering(gone, GOOD)) as server, hub_at(server) as hub:
        assert (await hub.count(QUESTION)).estimated
        assert (await hub.count(QUESTION)).tokens == 31


async def test_a_timeout_between_two_attempts_names_the_failure_of_the_first() -> None:
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "all busy"}}
    response = reply(encode(busy), 529, "Content-Type: application/json", "Retry-After: 40")
    async with RawServer(answering(response)) as server, hub_at(server) as hub:
        with pytest.raises(errors.TimedOut) as caught:
            await hub.count(QUESTION, timeout=2)
    assert caught.value.message.startswith("the call took longer than 2 s: all busy: retrying in 40")


async def test_a_timeout_of_the_second_model_names_the_failure_of_the_first() -> None:
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "all busy"}}
    response = reply(encode(busy), 529, "Content-Type: application/json")
    asked: list[str] = []

    async def script(client: Client) -> None:
        while True:
            asked.append(decode((await client.request()).body)["model"])
            if asked[-1] == "mini-1":
                await client.send(response)
            else:
                await client.hangup()

    async with RawServer(script) as server, hub_at(server) as hub:
        with pytest.raises(errors.TimedOut) as caught:
            await hub.count(QUESTION, model=["mini-1", "mini-2"], retries=0, timeout=2)
    assert asked == ["mini-1", "mini-2"]
    assert caught.value.message.endswith("/v1/messages/count_tokens returned 529: all busy")


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models/mini-1/messages/count_tokens"])
async def test_a_provider_without_the_endpoint_is_asked_again_after_ten_minutes(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(provider_count, "monotonic", lambda: now)
    missing = {"error": {"message": f"Cannot POST {path}"}}
    gone = reply(encode(missing), 404, "Content-Type: application/json")
    async with RawServer(answering(gone, GOOD)) as server, hub_at(server) as hub:
        assert (await hub.count(QUESTION)).estimated
        now += 599
        assert (await hub.count(QUESTION)).estimated
        assert len(server.requests) == 1
        now += 1
        assert (await hub.count(QUESTION)).tokens == 31


async def test_a_conversation_with_a_system_prompt_is_nested_for_gemini_only() -> None:
    """The Gemini API refuses a system prompt beside `contents`, Vertex AI refuses the nested request."""
    counted = reply(b'{"totalTokens": 31}', 200, "Content-Type: application/json")
    async with RawServer(answering(counted)) as server:
        async with Hub.of(base_url=f"{server.url}/v1beta", api_key=KEY, protocol="google", model="gemini-x") as hub:
            assert (await hub.count(QUESTION, system="Be brief.", max_tokens=9)).tokens == 31
        [request] = server.requests
        assert request.target == "/v1beta/models/gemini-x:countTokens"
        [(name, inner)] = decode(request.body).items()
        assert (name, inner["model"]) == ("generateContentRequest", "models/gemini-x")
        assert inner["systemInstruction"]["parts"] == [{"text": "Be brief."}]


async def test_thinking_of_earlier_turns_is_counted_by_its_provider(simulator: Simulator) -> None:
    async with hub_of(simulator, "anthropic") as hub:
        turns = [user(QUESTION), Turn("assistant", [Text(text="Scattering.")]), user("And red in the evening?")]
        assert (await hub.count(turns)).tokens > (await hub.count(turns[:1])).tokens


# --- Chat Completions, which has no counts of its own ---


def hub_of_vendor(base_url: str, dialect: Any, model: str = "m") -> Hub:
    """A hub whose provider of Chat Completions has the dialect of a vendor."""
    hub = Hub.of(base_url=base_url, api_key=KEY, protocol="openai_chat", model=model)
    next(iter(hub.config.providers.values())).dialect = dialect
    return hub


@pytest.mark.parametrize("tools", [[], [TOOL]], ids=["text", "tools"])
async def test_llama_cpp_counts_what_its_reply_uses(llamacpp: LlamaServer, tools: list[Tool]) -> None:
    async with hub_of_vendor(llamacpp.openai, "llamacpp", llamacpp.model) as hub:
        counted = await hub.count(QUESTION, system="Be brief.", tools=tools)
        reply = await hub.complete(QUESTION, system="Be brief.", tools=tools, max_tokens=4)
    assert not counted.estimated
    assert reply.usage is not None
    assert counted.tokens == reply.usage.input_total


@pytest.mark.parametrize(
    ("vendor", "target", "counted"),
    [
        ("llamacpp", "/v1/chat/completions/input_tokens", b'{"input_tokens": 31, "object": "response.input_tokens"}'),
        ("vllm", "/tokenize", b'{"count": 31, "max_model_len": 4096, "tokens": [1, 2, 3]}'),
        ("sglang", "/v1/tokenize", b'{"tokens": [1, 2, 3], "count": 31, "max_model_len": -1}'),
        ("moonshot", "/v1/tokenizers/estimate-token-count", b'{"data": {"total_tokens": 31}}'),
        ("zai", "/v1/tokenizer", b'{"usage": {"prompt_tokens": 5, "image_tokens": 26, "total_tokens": 31}}'),
        ("zai", "/v1/tokenizer", b'{"usage": {"prompt_tokens": 31}}'),
    ],
)
async def test_vendors_of_chat_completions_count_at_their_own_paths(vendor: str, target: str, counted: bytes) -> None:
    async with RawServer(answering(reply(counted, 200, "Content-Type: application/json"))) as server:
        async with hub_of_vendor(f"{server.url}/v1", vendor) as hub:
            found = await hub.count(QUESTION, system="Be brief.", temperature=0.5, max_tokens=9, effort="low")
        assert (found.tokens, found.estimated) == (31, False)
        [request] = server.requests
        assert request.target == target
        body = decode(request.body)
        assert set(body) == {"model", "messages"}
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("vendor", "content", "asked"),
    [
        ("moonshot", "tools", False),
        ("moonshot", "media", True),
        ("vllm", "tools", True),
        ("vllm", "media", False),
        ("zai", "tools", True),
    ],
)
async def test_contents_that_a_vendor_does_not_count_are_estimated(vendor: str, content: str, asked: bool) -> None:
    """Its count would be too low, and no error would say so."""
    image = Media(kind="image", media_type="image/gif", data="R0lGODdhCgAKAIAAAA==")
    settings: dict[str, Any] = {"tools": [TOOL]} if content == "tools" else {"files": [image]}
    counted = b'{"count": 31, "data": {"total_tokens": 31}, "usage": {"total_tokens": 31}}'
    async with RawServer(answering(reply(counted, 200, "Content-Type: application/json"))) as server:
        async with hub_of_vendor(f"{server.url}/v1", vendor) as hub:
            found = await hub.count(QUESTION, **settings)
        assert (found.estimated, len(server.requests)) == (not asked, asked)


@pytest.mark.parametrize("protocol", COUNTED)
async def test_a_vendor_counts_in_another_protocol(simulator: Simulator, protocol: Protocol) -> None:
    simulator.journal.clear()
    async with hub_of_vendor(f"{simulator.url}/v1", {"counted_as": protocol}, "sim-text") as hub:
        counted = await hub.count(QUESTION, system="Be brief.", tools=[TOOL], max_tokens=99)
        answer = await hub.complete(QUESTION, system="Be brief.", tools=[TOOL], max_tokens=99)
    assert not counted.estimated
    assert answer.usage is not None
    assert counted.tokens == answer.usage.input_total
    assert [entry.protocol for entry in simulator.journal] == [protocol, "openai_chat"]


async def test_a_request_that_the_other_protocol_cannot_express_is_estimated(simulator: Simulator) -> None:
    simulator.journal.clear()
    speech = Media(kind="audio", media_type="audio/wav", data="UklGRiQAAABXQVZF")
    async with hub_of_vendor(f"{simulator.url}/v1", {"counted_as": "anthropic"}, "sim-text") as hub:
        assert (await hub.count(QUESTION, files=[speech])).estimated
    assert not list(simulator.journal)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/responses/input_tokens"),
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/responses/input_tokens"),
        ("https://acme.openai.azure.com", "https://acme.openai.azure.com/openai/v1/responses/input_tokens"),
        (
            "https://acme.openai.azure.com/openai/deployments/m?api-version=2025-04-01-preview",
            "https://acme.openai.azure.com/openai/responses/input_tokens?api-version=2025-04-01-preview",
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "https://generativelanguage.googleapis.com/v1beta/models/m:countTokens",
        ),
        ("https://api.moonshot.ai/v1", "https://api.moonshot.ai/v1/tokenizers/estimate-token-count"),
        ("https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4/tokenizer"),
    ],
)
async def test_a_vendor_is_asked_for_counts_at_its_own_host(base_url: str, url: str) -> None:
    async with Hub.of(base_url=base_url, api_key=KEY, protocol="openai_chat", model="m") as hub:
        target = hub._targets.find()
        counter = provider_count.counting_target(hub._client, target)
        path = provider_count.count_path(counter)
        assert path is not None
        endpoint = await provider_count.count_endpoint(hub._client, counter, path)
    assert endpoint is not None and endpoint.url == url
    assert endpoint.origin == target.upstream.origin
