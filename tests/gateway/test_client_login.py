"""A client's own login at a vendor, such as Claude Code's: it is sent to the vendor's own origin, and nowhere else."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay.calling.recording import Recorder
from modelbay.conversation import Provenance, Thinking
from modelbay.logs import LOG
from modelbay.protocols.opaque import seal
from modelbay.providers.own_vendors import BUILT_IN_ONLY
from modelbay.providers.vendor import built_in
from tests.faults.proxies import http_proxy
from tests.faults.raw_server import Client, RawServer, Received, reply
from tests.gateway.raw import RawClient, RawResponse, head, post
from tests.gateway.running import KEY, RunningGateway
from tests.transport.test_network import Authority

LOGIN = "sk-ant-oat01-PLANTED0123456789abcdefghijklmnopqrstuvwxyz"
SECRET = "sk-ant-api03-of-the-provider-0123456789"
VENDOR = "api.anthropic.com"
BESIDE = (f"x-modelbay-key: {KEY}", f"authorization: Bearer {LOGIN}")
AGENT = ("user-agent: claude-cli/2.1.332 (external, cli)", "x-app: cli", "anthropic-beta: oauth-2025-04-20,x-1")
MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "well"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
}  # fmt: skip
STREAM = b"".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    for event in (
        {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "well"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
)
CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}]}


async def provider(client: Client) -> None:
    """Answer in the protocol of each request."""
    while True:
        request = await client.request()
        if request.target.endswith("/count_tokens"):
            await client.send(reply(b'{"input_tokens": 3}', 200, "Content-Type: application/json"))
        elif "messages" not in request.target:
            await client.send(reply(json.dumps(CHAT).encode(), 200, "Content-Type: application/json"))
        elif b'"stream": true' in request.body:
            await client.send(reply(STREAM, 200, "Content-Type: text/event-stream"))
        else:
            await client.send(reply(json.dumps(MESSAGE).encode(), 200, "Content-Type: application/json"))


class Vendor:
    """A gateway, the vendor behind a proxy that leads to this machine, and another server without TLS."""

    def __init__(self, gateway: RunningGateway, tls: RawServer, plain: RawServer) -> None:
        self.gateway, self.tls, self.plain = gateway, tls, plain

    @property
    def requests(self) -> list[Received]:
        return [*self.tls.requests, *self.plain.requests]

    async def ask(self, data: bytes) -> RawResponse:
        async with RawClient(self.gateway.url) as client:
            await client.send(data)
            return await client.response()


@asynccontextmanager
async def vendor(folder: Path, script: Any = provider, **entries: str) -> AsyncIterator[Vendor]:
    """`entries`: further keys of the entry of Anthropic (`anthropic`) and of the gateway (`gateway`)."""
    authority = Authority(folder)
    names = (VENDOR, "proxy.example", f"{VENDOR}.example")
    async with (
        RawServer(script, authority.server(*names)) as tls,
        RawServer(provider) as plain,
        RawServer(http_proxy(tls.port)) as proxy,
    ):
        way, own = f'proxy = "{proxy.url}"', f'tls = {{ ca = "{authority.file}" }}'
        anthropic = entries.get("anthropic", "")
        lines = ["[gateway]", entries.get("gateway", ""), "[providers.anthropic]", 'type = "anthropic"', way, anthropic]
        lines += ["" if "tls" in anthropic else own, "[models.claude-fable-5]", 'provider = "anthropic"', 'model = "m"']
        for name, (kind, base, *more) in {
            "other": ("anthropic", plain.url),
            "chat": ("openai", f"{plain.url}/v1"),
            "elsewhere": ("anthropic", "https://proxy.example", way, own),
            "dialect": ("anthropic", f"https://{VENDOR}.example", way, own, 'dialect = "anthropic"'),
            "port": ("anthropic", f"https://{VENDOR}:8443", way, own),
            "plain": ("anthropic", f"http://{VENDOR}", f'proxy = "{plain.url}"'),
            "compatible": ("openai", f"https://{VENDOR}/v1", way, own),
        }.items():
            lines += [f"[providers.{name}]", f'type = "{kind}"', f'base_url = "{base}"', f'api_key = "{SECRET}"', *more]
        lines += [
            "[models.moved]",
            'provider = "anthropic"',
            'model = "m"',
            'base_url = "https://proxy.example"',
            f'api_key = "{SECRET}"',
        ]
        (folder / "config.toml").write_text("\n".join(lines))
        with RunningGateway(folder / "config.toml") as gateway:
            yield Vendor(gateway, tls, plain)


def body(model: str = "claude-fable-5", *, stream: bool = False, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hello"}]
    return {"model": model, "max_tokens": 100, "messages": messages, "stream": stream, **more}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    text, level = io.StringIO(), LOG.level
    handler = logging.StreamHandler(text)
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    yield text
    LOG.setLevel(level)
    LOG.removeHandler(handler)


# --- where it goes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/messages?beta=true", "/v1/messages/count_tokens?beta=true"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("key", ["", f'api_key = "{SECRET}"'], ids=["no key", "key"])
async def test_it_goes_to_its_vendor_in_place_of_the_provider_s_key(
    tmp_path: Path, path: str, stream: bool, key: str
) -> None:
    async with vendor(tmp_path, anthropic=key) as at:
        found = await at.ask(post(path, body(stream=stream), *BESIDE, *AGENT, key=None))
    assert found.status == 200, found.body
    [request] = at.tls.requests
    assert request.headers["authorization"] == f"Bearer {LOGIN}"
    assert request.headers["host"] == VENDOR
    assert "x-api-key" not in request.headers
    assert "x-modelbay-key" not in request.headers
    assert SECRET not in str(request)
    assert KEY not in str(request)
    assert request.headers["anthropic-beta"] == "oauth-2025-04-20,x-1"
    assert request.headers["user-agent"] == "claude-cli/2.1.332 (external, cli)", "the vendor sees whose request it is"
    assert request.headers["x-app"] == "cli"


async def test_the_entry_of_the_provider_changes_neither_the_login_nor_the_name_of_the_program(tmp_path: Path) -> None:
    headers = f'custom_headers = {{ Authorization = "Bearer {SECRET}", User-Agent = "other", X-App = "other", x-team = "red" }}'
    async with vendor(tmp_path, anthropic=headers) as at:
        found = await at.ask(post("/v1/messages", body(), *BESIDE, *AGENT, key=None))
    assert found.status == 200, found.body
    [request] = at.tls.requests
    assert request.headers["authorization"] == f"Bearer {LOGIN}"
    assert request.headers["user-agent"] == "claude-cli/2.1.332 (external, cli)"
    assert request.headers["x-app"] == "cli"
    assert request.headers["x-team"] == "red"


async def test_it_is_sent_with_a_request_that_must_be_rendered_again(tmp_path: Path) -> None:
    """For example after a switch from a model of another vendor, whose thinking is in the conversation."""
    thinking = Thinking(texts=["Hm."], opaque="x", origin=Provenance("openai_responses", "openai", "gpt-5"))
    sealed = [{"type": "thinking", "thinking": "Hm.", "signature": seal(thinking)}, {"type": "text", "text": "a"}]
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": sealed}]
    async with vendor(tmp_path) as at:
        sent = body(messages=[*turns, {"role": "user", "content": "b"}])
        found = await at.ask(post("/v1/messages", sent, *BESIDE, *AGENT, key=None))
    assert found.status == 200, found.body
    assert at.tls.requests[0].headers["authorization"] == f"Bearer {LOGIN}"
    assert at.tls.requests[0].headers["anthropic-beta"] == "oauth-2025-04-20,x-1"
    assert b"modelbay1" not in at.tls.requests[0].body


# --- where it does not go ----------------------------------------------------------------------------------------------

OTHERS = [*(f"{name}/m" for name in ("other", "chat", "elsewhere", "dialect", "port", "plain", "compatible")), "moved"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", OTHERS)
async def test_it_goes_to_no_other_provider_protocol_host_or_port(
    tmp_path: Path, name: str, stream: bool, path: str
) -> None:
    async with vendor(tmp_path) as at:
        found = await at.ask(post(path, body(name, stream=stream), *BESIDE, *AGENT, key=None))
    assert found.status in (200, 404, 502), found.body
    assert path.endswith("count_tokens") or at.requests, "the provider was called with its own key"
    for request in at.requests:
        assert LOGIN not in str(request)
        assert SECRET in str(request.headers)
        assert "claude-cli" not in str(request)


async def test_a_name_that_means_a_model_of_another_vendor_does_not_lead_it_there(tmp_path: Path) -> None:
    async with vendor(tmp_path, gateway='names = { "claude-haiku-*" = "other/m" }') as at:
        found = await at.ask(post("/v1/messages", body("claude-haiku-4-5"), *BESIDE, key=None))
    assert found.status == 200
    assert LOGIN not in str(at.requests)


async def test_it_does_not_go_where_certificates_are_not_verified(tmp_path: Path) -> None:
    async with vendor(tmp_path, anthropic=f'api_key = "{SECRET}"\ntls = {{ insecure = true }}') as at:
        found = await at.ask(post("/v1/messages", body(), *BESIDE, key=None))
    assert found.status == 200
    assert at.tls.requests[0].headers["x-api-key"] == SECRET
    assert LOGIN not in str(at.requests)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([f"authorization: Bearer {LOGIN}"], 401),
        ([f"authorization: Bearer {LOGIN}", f"x-api-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}", f"api-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}", "x-modelbay-key: sk-mb-wrong"], 403),
        ([f"authorization: Bearer {LOGIN}", "x-modelbay-key: sk-mb-wrong", f"x-api-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}", f"x-modelbay-key: {KEY}, {KEY}"], 403),
        ([f"authorization: Bearer {KEY}", f"x-modelbay-key: {KEY}"], 200),
        ([f"authorization: Basic {LOGIN}", f"x-modelbay-key: {KEY}"], 200),
        ([f"x-api-key: {LOGIN}", f"x-modelbay-key: {KEY}"], 200),
        (["authorization: Bearer sk-ant-api03-of-the-client", f"x-modelbay-key: {KEY}"], 200),
        (["authorization: Bearer", f"x-modelbay-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}, Bearer {LOGIN}", f"x-modelbay-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}\u00e9", f"x-modelbay-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}\tx", f"x-modelbay-key: {KEY}"], 200),
        ([f"x-modelbay-key: {KEY}"], 200),
        ([f"authorization: Bearer {LOGIN}", "x-modelbay-key: "], 403),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_it_stays_here_unless_the_client_s_key_is_in_the_header_for_that(
    tmp_path: Path, lines: list[str], status: int, path: str
) -> None:
    async with vendor(tmp_path, anthropic=f'api_key = "{SECRET}"') as at:
        found = await at.ask(post(path, body(), *lines, *AGENT, key=None))
    assert found.status == status, found.body
    assert len(at.requests) == (status == 200)
    for request in at.requests:
        assert request.headers["x-api-key"] == SECRET
        assert "authorization" not in request.headers
        assert request.headers["user-agent"].startswith("modelbay/")


async def test_it_stays_here_if_the_gateway_requires_no_key(tmp_path: Path) -> None:
    async with vendor(tmp_path, anthropic=f'api_key = "{SECRET}"', gateway='auth = "none"') as at:
        found = await at.ask(post("/v1/messages", body(), *BESIDE, key=None))
    assert found.status == 200
    assert LOGIN not in str(at.requests)


@pytest.mark.parametrize(
    "data",
    [
        head("GET", "/v1/models?limit=1000", *BESIDE, "anthropic-version: 2023-06-01", key=None),
        post("/v1/embeddings", {"model": "claude-fable-5", "input": "a"}, *BESIDE, key=None),
        post("/v1/completions", {"model": "chat/m", "prompt": "a"}, *BESIDE, key=None),
        post("/v1/chat/completions", body(), *BESIDE, key=None),
        post("/v1/responses", {"model": "claude-fable-5", "input": "a"}, *BESIDE, key=None),
        post("/v1/responses/compact", {"model": "claude-fable-5", "input": "a"}, *BESIDE, key=None),
        post("/v1beta/models/claude-fable-5:generateContent", {"contents": []}, *BESIDE, key=None),
    ],
    ids=["models", "embeddings", "completions", "chat", "responses", "compact", "gemini"],
)
async def test_other_requests_do_not_use_it(tmp_path: Path, data: bytes) -> None:
    async with vendor(tmp_path, anthropic=f'api_key = "{SECRET}"') as at:
        await at.ask(data)
    assert LOGIN not in str(at.requests)


# --- what remains of it ------------------------------------------------------------------------------------------------


def refusing(status: int, *lines: str) -> Any:
    """A vendor that repeats the login in its errors."""

    async def script(client: Client) -> None:
        while True:
            await client.request()
            error = {"type": "authentication_error", "message": f"OAuth token {LOGIN} has expired", "details": {"a": 1}}
            answer = json.dumps({"type": "error", "error": error}).encode()
            await client.send(reply(answer, status, "Content-Type: application/json", f"request-id: {LOGIN}", *lines))

    return script


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("key", ["", 'api_key = "{env:MODELBAY_TEST_KEY}"'], ids=["no key", "key"])
async def test_a_rejected_login_is_the_client_s_to_renew_and_no_other_credential_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool, key: str, log: io.StringIO
) -> None:
    monkeypatch.setenv("MODELBAY_TEST_KEY", SECRET)
    async with vendor(tmp_path, refusing(401), anthropic=key) as at:
        found = await at.ask(post("/v1/messages", body(stream=stream), *BESIDE, key=None))
    assert found.status == 401
    error = json.loads(found.body)["error"]
    assert error == {"type": "authentication_error", "message": "OAuth token … has expired", "details": {"a": 1}}
    assert len(at.requests) == 1
    assert SECRET not in str(at.requests)
    assert LOGIN not in f"{found.headers} {found.body.decode()} {log.getvalue()}"


async def test_a_redirect_is_not_followed_with_it(tmp_path: Path) -> None:
    script = refusing(307, "Location: https://proxy.example/v1/messages")
    async with vendor(tmp_path, script) as at:
        found = await at.ask(post("/v1/messages", body(), *BESIDE, key=None))
    assert found.status >= 400
    assert len(at.requests) == 1


async def test_retries_go_to_its_vendor_only(tmp_path: Path) -> None:
    async with vendor(tmp_path, refusing(529)) as at:
        found = await at.ask(post("/v1/messages", body(), *BESIDE, key=None))
    assert found.status == 529
    assert {request.headers["authorization"] for request in at.requests} == {f"Bearer {LOGIN}"}
    assert {request.headers["host"] for request in at.requests} == {VENDOR}


async def test_it_is_in_no_log_no_recording_and_no_file(tmp_path: Path, log: io.StringIO) -> None:
    async with vendor(tmp_path) as at:
        await at.ask(head("GET", "/health"))
        recorder = at.gateway.gateway.revision.providers.recorder = Recorder()
        for _ in range(2):
            assert (await at.ask(post("/v1/messages", body(stream=True), *BESIDE, key=None))).status == 200
        targets = at.gateway.gateway.revision.targets
        kept = [str(endpoint.sent_headers()) for target in targets.all() for _, endpoint in target.endpoints.values()]
    assert "request_id" in log.getvalue()
    assert LOGIN not in log.getvalue() + recorder.lines().decode() + str(kept)
    assert LOGIN.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_the_next_request_without_it_does_not_have_it(tmp_path: Path) -> None:
    async with vendor(tmp_path) as at:
        assert (await at.ask(post("/v1/messages", body(), *BESIDE, key=None))).status == 200
        found = await at.ask(post("/v1/messages", body(), key=KEY))
    assert found.status == 403, "the provider has no key of its own"
    assert len(at.requests) == 1


def test_only_a_built_in_vendor_says_which_logins_it_gets() -> None:
    assert "client_logins" in BUILT_IN_ONLY
    assert {preset.id for preset in built_in() if preset.client_logins} == {"anthropic"}
