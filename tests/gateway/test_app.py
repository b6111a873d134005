"""The gateway as its clients see it: every protocol over every protocol, and who is refused."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelbay.dialect import PLAIN
from modelbay.events import Finished, collect
from modelbay.gateway import retries
from modelbay.protocols.codec import codec
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer
from tests.faults.raw_server import reply as raw_reply
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, config_text, running

Running = tuple[RunningGateway, Simulator]
WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"well"},"finish_reason":"stop"}]}'
CONTENT_TYPE = "Content-Type: application/json"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


def request(
    protocol: str, model: str, prompt: str = "Hello there", *, stream: bool = False
) -> tuple[str, dict[str, Any]]:
    """Path and body of a request."""
    match protocol:
        case "openai_chat":
            return "/v1/chat/completions", {
                "model": model,
                "messages": [{"role": "user", "content": prompt}],
                "stream": stream,
                **({"stream_options": {"include_usage": True}} if stream else {}),
            }
        case "openai_responses":
            return "/v1/responses", {"model": model, "input": prompt, "stream": stream}
        case "anthropic":
            return "/v1/messages", {
                "model": model,
                "max_tokens": 1000,
                "messages": [{"role": "user", "content": prompt}],
                "stream": stream,
            }
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{method}", {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}


async def call(
    url: str, path: str, body: Any = None, key: str | None = KEY, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    fields = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url + path, json=body, headers={**fields, **headers}) as response,
    ):
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


@pytest.mark.parametrize("name", ["metadata", "tools"])
async def test_a_request_to_translate_that_is_nested_too_deeply_is_refused(gateway: Running, name: str) -> None:
    path, body = request("openai_chat", "anthropic")
    for _ in range(2):
        status, _, data = await call(gateway[0].url, path, {**body, name: json.loads("[" * 250 + "]" * 250)})
        assert status == 400
        assert b"levels deep" in data


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_compressed_request_is_refused_by_the_name_of_its_encoding(gateway: Running, client: str) -> None:
    path, body = request(client, "anthropic")
    status, _, data = await call(gateway[0].url, path, body, **{"Content-Encoding": "zstd"})
    assert status == 415
    assert b"content-encoding zstd" in data
    status, _, _ = await call(gateway[0].url, path, body, **{"Content-Encoding": "identity"})
    assert status == 200


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_every_protocol_over_every_other(gateway: Running, client: str, upstream: str, stream: bool) -> None:
    path, body = request(client, upstream, stream=stream)
    status, headers, data = await call(gateway[0].url, path, body)
    assert status == 200
    of = codec(client)
    parser = of.stream_parser(PLAIN)
    events = [*parser.feed(data), *parser.close()] if stream else of.parse_reply(data, PLAIN)
    reply = collect(events)
    assert isinstance(reply.finish, Finished)
    assert "Hello there" in reply.text
    assert reply.usage is not None
    assert headers["content-type"].partition(";")[0] == ("text/event-stream" if stream else "application/json")
    assert headers["x-modelbay-provider"] == upstream
    assert headers["x-modelbay-model"] == "sim-1"
    assert headers["x-modelbay-attempts"] == "1"
    assert headers["x-modelbay-request-id"].startswith("req_")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_same_protocol_gets_the_same_bytes(gateway: Running, protocol: str) -> None:
    path, body = request(protocol, protocol, stream=True)
    odd = json.dumps(body, indent=1) + "\n"
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway[0].url + path, data=odd, headers={"Authorization": f"Bearer {KEY}"}) as response,
    ):
        assert response.status == 200
        await response.read()
    sent = gateway[1].journal.last.body.decode()
    assert sent == odd.replace(f'"{protocol}"', '"sim-1"'), "only the name of the model changes"


async def test_the_keys_of_clients_and_providers_are_not_mixed_up(gateway: Running) -> None:
    for protocol in PROTOCOLS:
        path, body = request(protocol, protocol)
        await call(gateway[0].url, path, body, None, **{"x-api-key": KEY, "x-goog-api-key": KEY, "api-key": KEY})
        sent = gateway[1].journal.last
        assert KEY not in str(sent.headers)
        assert KEY not in sent.target
        assert sent.status == 200, "the simulator requires the provider's key"


# --- who is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("key", [None, "sk-wrong"])
async def test_a_request_without_a_client_s_key_is_refused(gateway: Running, protocol: str, key: str | None) -> None:
    path, body = request(protocol, protocol)
    before = len(gateway[1].journal)
    status, _, data = await call(gateway[0].url, path, body, key)
    assert status == 401
    assert json.loads(data)["error"]
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key", "x-goog-api-key"])
async def test_a_key_may_be_in_each_header_that_clients_use(gateway: Running, header: str) -> None:
    path, body = request("openai_chat", "anthropic")
    value = f"Bearer {KEY}" if header == "Authorization" else KEY
    status, _, _ = await call(gateway[0].url, path, body, None, **{header: value})
    assert status == 200


async def test_a_key_in_the_query_is_accepted_from_gemini_s_clients_only(gateway: Running) -> None:
    path, body = request("google", "anthropic")
    assert (await call(gateway[0].url, f"{path}?key={KEY}", body, None))[0] == 200
    path, body = request("openai_chat", "anthropic")
    assert (await call(gateway[0].url, f"{path}?key={KEY}", body, None))[0] == 401


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_other_web_sites_are_refused(gateway: Running, headers: dict[str, str]) -> None:
    path, body = request("openai_chat", "anthropic")
    assert (await call(gateway[0].url, path, body, **headers))[0] == 403


async def test_an_unknown_model_is_a_404_that_names_similar_ones(gateway: Running) -> None:
    path, body = request("openai_chat", "antropic")
    status, _, data = await call(gateway[0].url, path, body)
    assert status == 404
    assert json.loads(data)["error"]["code"] == "model_not_found"
    assert "anthropic" in json.loads(data)["error"]["message"]


async def test_a_provider_that_rejects_its_key_is_not_blamed_on_the_client_s(tmp_path: Path) -> None:
    with running(tmp_path, key="sk-another") as (gateway, _):
        for protocol in PROTOCOLS:
            path, body = request("anthropic", protocol)
            status, _, data = await call(gateway.url, path, body)
            assert status == 403
            assert protocol in json.loads(data)["error"]["message"]


@pytest.mark.parametrize("effort", ["high", "none"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_an_effort_that_is_sent_is_not_named_as_dropped(gateway: Running, upstream: str, effort: str) -> None:
    path, body = request("openai_chat", upstream)
    status, headers, data = await call(gateway[0].url, path, {**body, "reasoning_effort": effort})
    assert status == 200, data
    assert "x-modelbay-dropped" not in headers, "it is unknown whether the model has it"


@pytest.mark.parametrize(
    ("client", "fields", "dropped"),
    [
        ("openai_responses", {"reasoning": {"summary": "auto"}}, None),
        ("openai_responses", {"reasoning": {"effort": "high", "summary": "auto"}}, "reasoning"),
        ("anthropic", {"output_config": {"effort": "low"}}, "output_config.effort"),
        (
            "google",
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}},
            "generationConfig.thinkingConfig",
        ),
    ],
    ids=["a summary", "an effort and a summary", "an effort", "a level"],
)
async def test_a_provider_without_control_of_reasoning_answers(
    tmp_path: Path, client: str, fields: dict[str, Any], dropped: str | None
) -> None:
    more = '[providers.openai_chat.dialect]\nreasoning_control = "none"\n'
    with running(tmp_path, more=more, key="sk-provider") as (gateway, _):
        path, body = request(client, "openai_chat")
        status, headers, data = await call(gateway.url, path, body | fields)
    assert status == 200, data
    assert headers.get("x-modelbay-dropped") == dropped


@pytest.mark.parametrize(
    ("client", "upstream", "fields"),
    [
        ("openai_chat", "anthropic", {"seed": 1, "prompt_cache_key": "k", "prompt_cache_retention": "24h", "verbosity": "low"}),
        ("openai_responses", "google", {"prompt_cache_key": "k", "safety_identifier": "u", "parallel_tool_calls": False}),
        ("openai_responses", "anthropic", {"prompt_cache_retention": "24h", "text": {"verbosity": "low"}}),
        ("anthropic", "openai_chat", {"top_k": 5, "cache_control": {"type": "ephemeral"}, "context_management": {"edits": [1]}}),
        ("google", "anthropic", {"generationConfig": {"seed": 1}, "labels": {"job": "1"}}),
    ],
)  # fmt: skip
async def test_dropped_settings_have_the_names_that_the_client_sent(
    gateway: Running, client: str, upstream: str, fields: dict[str, Any]
) -> None:
    path, body = request(client, upstream)
    status, headers, data = await call(gateway[0].url, path, body | fields)
    assert status == 200, data
    names = [*fields]
    nested = {"text": "text.verbosity", "generationConfig": "generationConfig.seed"}
    wanted = {nested.get(name, name) for name in names}
    assert set(headers["x-modelbay-dropped"].split(", ")) == wanted


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_an_error_has_the_headers_of_its_provider_and_of_the_gateway(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, upstream: str, stream: bool
) -> None:
    monkeypatch.setattr(retries, "USUAL", Policy(2, base=0.01, cap=0.01))
    before = len(gateway[1].journal.calls())
    path, body = request("openai_chat", f"{upstream}/sim-1!500=0.02", stream=stream)
    status, headers, _ = await call(gateway[0].url, path, body)
    assert status == 500
    assert headers["x-modelbay-provider"] == upstream
    assert headers["x-modelbay-model"] == "sim-1!500=0.02"
    assert headers["x-modelbay-attempts"] == "2"
    assert len(gateway[1].journal.calls()) == before + 2
    assert {"request-id", "x-request-id"} & set(headers) or upstream == "google"


@pytest.mark.parametrize(
    ("client", "fields", "field"),
    [
        ("openai_chat", {"response_format": {"type": "xml"}}, "response_format.type"),
        ("openai_responses", {"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ("anthropic", {"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ("google", {"generationConfig": {"responseMimeType": "text/xml"}}, "generationConfig.responseMimeType"),
    ],
)
async def test_an_output_format_of_an_unknown_type_is_refused_in_the_client_s_words(
    gateway: Running, client: str, fields: dict[str, Any], field: str
) -> None:
    path, body = request(client, "openai_chat" if client == "google" else "google")
    status, _, data = await call(gateway[0].url, path, {**body, **fields})
    assert status == 400
    message = json.loads(data)["error"]["message"]
    assert f"`{field}` is " in message
    assert "use " in message


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"], ids=["passed", "translated"])
async def test_a_strict_gateway_refuses_a_setting_that_would_be_dropped(tmp_path: Path, upstream: str) -> None:
    more = 'type = "openai"\ndialect = { unsupported = ["seed"] }'
    with Simulator() as simulator:
        config = tmp_path / "config.toml"
        config.write_text(config_text(simulator.url, settings="strict = true").replace('type = "openai"', more))
        with RunningGateway(config) as gateway:
            path, body = request("openai_chat", upstream)
            status, _, data = await call(gateway.url, path, {**body, "seed": 1})
            assert status == 400
            assert "seed" in json.loads(data)["error"]["message"]
            assert not len(simulator.journal)
            assert (await call(gateway.url, path, body))[0] == 200


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_strict_gateway_refuses_a_parameter_that_the_provider_was_found_to_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    refusal = b'{"error":{"message":"Unsupported parameter: \'top_p\'","param":"top_p"}}'
    bodies: list[dict[str, Any]] = []

    async def provider(client: Client) -> None:
        while True:
            bodies.append(json.loads((await client.request()).body))
            refused = "top_p" in bodies[-1]
            await client.send(raw_reply(refusal, 400) if refused else raw_reply(WHOLE, 200, CONTENT_TYPE))

    async with RawServer(provider) as server:
        for name, settings, status, repeated in (
            ("before", "strict = true", 400, 1),
            ("learn", "", 200, 2),
            ("after", "strict = true", 400, 0),
        ):
            config = tmp_path / name / "config.toml"
            config.parent.mkdir()
            config.write_text(config_text(server.url, settings=settings))
            bodies.clear()
            with RunningGateway(config) as gateway:
                path, body = request("openai_chat", "openai_chat", stream=stream)
                found, headers, data = await call(gateway.url, path, {**body, "top_p": 0.5})
            assert (found, len(bodies)) == (status, repeated), data
            assert status == 200 or b"does not support top_p" in data
            assert headers["x-modelbay-dropped"] == "top_p"


# --- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"])
async def test_a_client_that_leaves_ends_the_call_of_its_provider(tmp_path: Path, upstream: str) -> None:
    with running(tmp_path, pace=0.05) as (gateway, simulator):
        path, body = request("openai_chat", upstream, "word " * 500, stream=True)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
            session.post(gateway.url + path, json=body) as response,
        ):
            await response.content.readany()
        while not simulator.journal.last.disconnected:
            await asyncio.sleep(0.01)


async def test_the_state_of_the_server_needs_no_key(gateway: Running) -> None:
    for path in ("/", "/health", "/healthz", "/livez", "/readyz"):
        status, _, data = await call(gateway[0].url, path, key=None, method="GET")
        assert status == 200
        assert b"sk-" not in data
    assert (await call(gateway[0].url, "/", key=None, method="HEAD"))[0] == 200


async def test_the_log_of_a_token_count_names_the_model(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    body = {"model": "google", "messages": [{"role": "user", "content": "Hello"}]}
    with caplog.at_level("INFO", "modelbay.access"):
        assert (await call(gateway[0].url, "/v1/messages/count_tokens", body))[0] == 200
        while "count_tokens" not in caplog.text:
            await asyncio.sleep(0.01)
    assert "model=google provider=google" in caplog.text


@pytest.mark.parametrize(
    ("client", "fields", "name"),
    [("openai_chat", {"n": 2}, "n"), ("google", {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount")],
)  # fmt: skip
async def test_several_replies_are_refused_by_the_name_that_the_client_sent(
    gateway: Running, client: str, fields: dict[str, Any], name: str
) -> None:
    path, body = request(client, "anthropic")
    status, _, data = await call(gateway[0].url, path, body | fields)
    message = json.loads(data)["error"]["message"]
    assert (status, message) == (
        400, f"a request with `{name}` above 1 cannot be translated; send it once for each reply"
    )  # fmt: skip
