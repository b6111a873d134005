"""Discovery over real connections: llama.cpp's server, the simulator in each of its protocols, aimock, and bad hosts."""

from pathlib import Path

import msgspec
import pytest

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.config.load import parse
from modelbay.errors import AuthenticationFailed, ConnectFailed, MalformedReply, ModelbayError, Redirected
from modelbay.model import Cost
from modelbay.simulator import Simulator
from tests.faults.calls import answers, unused_port
from tests.faults.raw_server import Client, RawServer, head, reply
from tests.servers.aimock import Aimock
from tests.servers.llamacpp import LlamaServer

KEY = "sk-simulated-0123456789"


@pytest.fixture(scope="module")
def simulator():
    with Simulator(key=KEY) as running:
        yield running


async def found(type: str, url: str, more: str = "") -> Discovery:
    config = parse(f'[providers.p]\ntype = "{type}"\nbase_url = "{url}"\n{more}', Path("/somewhere/config.toml"))
    assert config.problems == []
    line = ProviderClient(config)
    try:
        return await discover(config, config.providers["p"], line.fetch)
    finally:
        await line.aclose()


# Servers that work


@pytest.mark.parametrize(("path", "better"), [("/v1", False), ("", False), ("/v1/chat/completions", False)])
async def test_llamacpp_reports_its_actual_context(llamacpp: LlamaServer, path, better):
    listed = await found("openai", llamacpp.url + path)
    [model] = listed.models
    assert (model.id, model.kind) == ("tiny", "chat")
    assert model.facts.max_context_tokens == llamacpp.context
    assert model.facts.capabilities["image_in"] is False
    assert "tool_use" not in model.facts.capabilities, "its template may support it"
    assert (listed.problems, listed.base_url is not None) == ([], better)


async def test_llamacpp_as_an_anthropic_provider_has_the_same_list(llamacpp: LlamaServer):
    assert [model.id for model in (await found("anthropic", llamacpp.url)).models] == ["tiny"]


async def test_a_server_with_a_key_accepts_it(llamacpp_locked: LlamaServer):
    listed = await found("openai", llamacpp_locked.openai, f'api_key = "{llamacpp_locked.api_key}"')
    assert [model.id for model in listed.models] == ["tiny"]


@pytest.mark.parametrize(
    ("type", "path"), [("openai", "/v1"), ("openai_responses", "/v1"), ("anthropic", ""), ("google-genai", "")]
)
async def test_the_simulator_lists_the_same_in_every_protocol(simulator: Simulator, type, path):
    listed = await found(type, simulator.url + path, f'api_key = "{KEY}"')
    models = {model.id: model for model in listed.models}
    thinker, text = models["sim-thinker"].facts, models["sim-text"].facts
    assert (thinker.max_context_tokens, text.max_context_tokens) == (400_000, 32_000)
    assert (thinker.max_output_tokens, thinker.name) == (64_000, "Simulator Thinker")
    assert (thinker.capabilities["thinking"], text.capabilities["thinking"]) == (True, False)
    if type.startswith("openai"):
        assert thinker.cost == Cost(input=3, output=15, cache_read=0.3, cache_write=3.75)
        assert text.capabilities["image_in"] is False and thinker.capabilities["tool_use"] is True
    if type == "anthropic":
        assert thinker.efforts == ["low", "medium", "high"]
        assert thinker.capabilities["image_in"] and thinker.capabilities["document_in"]


async def test_a_base_url_without_its_version_is_corrected(simulator: Simulator):
    listed = await found("openai", simulator.url, f'api_key = "{KEY}"')
    assert {model.id for model in listed.models} >= {"sim-1", "sim-text"}
    assert listed.base_url in (None, f"{simulator.url}/v1")


async def test_a_wrong_key_is_reported(simulator: Simulator):
    with pytest.raises(AuthenticationFailed) as caught:
        await found("openai", f"{simulator.url}/v1", 'api_key = "sk-wrong"')
    assert caught.value.hint is not None and caught.value.provider == "p"
    assert "sk-wrong" not in repr(caught.value) + str(caught.value)


async def test_a_missing_key_is_reported(simulator: Simulator):
    with pytest.raises(AuthenticationFailed) as caught:
        await found("openai", f"{simulator.url}/v1")
    assert caught.value.hint is not None and "requires an API key" in caught.value.hint


async def test_aimock_lists_models_in_every_protocol(aimock: Aimock):
    for type, url in (("openai", aimock.openai), ("openai", aimock.openrouter), ("google-genai", aimock.url)):
        listed = await found(type, url, 'api_key = "test"')
        assert listed.models, url


# Hosts that fail


async def test_a_refused_connection_is_reported():
    port = await unused_port()
    with pytest.raises(ConnectFailed):
        await found("openai", f"http://127.0.0.1:{port}/v1")


async def test_a_web_page_is_not_a_list():
    page = reply(b"<html><title>Welcome</title></html>", 200, "Content-Type: text/html")
    async with RawServer(answers(page)) as server:
        with pytest.raises(MalformedReply, match="an HTML page: Welcome"):
            await found("openai", f"{server.url}/v1")


async def test_a_redirect_is_not_followed_with_a_key():
    async with RawServer(_never) as other:
        moved = head(301, f"Location: {other.url}/v1/models", length=0)
        async with RawServer(answers(moved)) as server:
            with pytest.raises(Redirected):
                await found("openai", f"{server.url}/v1", 'api_key = "sk-secret-1"')
        assert other.requests == []


async def _never(client: Client) -> None:
    await client.request()


async def test_a_list_that_breaks_off_is_an_error():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(200, "Content-Type: application/json", length=1000) + b'{"data": [')
        await client.reset()

    async with RawServer(script) as server:
        with pytest.raises(ModelbayError, match="connection closed by"):
            await found("openai", f"{server.url}/v1")


async def test_ollamas_models_are_asked_about_over_the_wire():
    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            body = {"error": {"message": "not found"}}
            if request.target == "/v1/models":
                body = {"data": [{"id": "llama:8b", "object": "model", "owned_by": "library"}]}  # type: ignore[dict-item]
            elif request.target == "/api/show":
                assert (request.method, msgspec.json.decode(request.body)) == ("POST", {"model": "llama:8b"})
                body = {"capabilities": ["completion", "tools"], "model_info": {"llama.context_length": 8192}}  # type: ignore[dict-item]
            status = 404 if "error" in body else 200
            await client.send(reply(msgspec.json.encode(body), status, "Content-Type: application/json"))

    async with RawServer(script) as server:
        [model] = (await found("openai", f"{server.url}/v1")).models
    assert model.facts.max_context_tokens == 8192
    assert model.facts.capabilities == {"tool_use": True, "thinking": False}
