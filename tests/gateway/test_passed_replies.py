"""Whole replies: the usual ones on a kept connection are answered at once (see `Passage`), and all others like on a new one."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer, chunk, reply
from tests.faults.raw_server import head as reply_head
from tests.gateway.raw import RawClient, post
from tests.gateway.running import RunningGateway, config_text, running
from tests.gateway.test_app import request

PAIRS = (
    *((protocol, protocol) for protocol in ("openai_chat", "anthropic", "google", "openai_responses")),
    ("anthropic", "openai_chat"), ("openai_chat", "anthropic"), ("google", "openai_responses"), ("openai_responses", "google"),
)  # fmt: skip
"""Protocols of a client and of its provider."""
FAULTS = (
    "401", "403", "404", "413", "context-length", "quota", "html", "redirect", "wrong-type", "malformed-chunk",
    "error-in-200=quota", "missing-end", "split-utf8", "no-usage", "odd-finish", "odd-finish=network_error", "content-filter",
    "odd-call", "429=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Simulator]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


async def answered(url: str, protocol: str, model: str) -> tuple[int, dict[str, str], Any]:
    async with RawClient(url) as client:
        await client.send(post(*request(protocol, model)))
        found = await client.response()
    fields = {
        name: value for name, value in found.headers.items() if name.startswith("x-modelbay") or name == "content-type"
    }
    return found.status, fields, json.loads(found.body)


def likened(value: Any) -> Any:
    """A reply without IDs, ports, times and counts, in which two replies differ."""
    if isinstance(value, dict):
        skipped = ("id", "created", "created_at", "request_id", "responseId", "usage", "usageMetadata")
        return {name: likened(one) for name, one in value.items() if name not in skipped}
    if isinstance(value, list):
        return [likened(one) for one in value]
    return re.sub(r"(?:chatcmpl-|msg_|resp_)\S*|[0-9a-f]*\d[0-9a-f]*", "#", value) if isinstance(value, str) else value


@pytest.mark.parametrize(("protocol", "upstream"), PAIRS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_reply_on_a_kept_connection_is_answered_like_one_on_a_new_connection(
    gateway: tuple[RunningGateway, Simulator], tmp_path: Path, protocol: str, upstream: str, fault: str
) -> None:
    model = f"{upstream}/sim-1!{fault}"
    with running(tmp_path) as (other, _):
        status, fields, body = await answered(other.url, protocol, model)
    at = gateway[0].url
    for _ in range(2):  # the head of the second request is known
        assert (await answered(at, protocol, upstream))[0] == 200
        kept_status, kept_fields, kept_body = await answered(at, protocol, model)
    assert kept_status == status
    assert kept_fields.keys() == fields.keys()
    own = ("x-modelbay-request-id", "x-modelbay-overhead-ms")
    assert {n: v for n, v in kept_fields.items() if n not in own} == {n: v for n, v in fields.items() if n not in own}
    assert likened(kept_body) == likened(body)
    assert "Unknown fault" not in str(body)


USUAL = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip


class Provider:
    """Answers each request on a connection with the next script."""

    def __init__(self, *scripts: str) -> None:
        self.scripts = ["usual", *scripts]
        self.requests = 0
        self.server = RawServer(self._serve)

    async def _serve(self, client: Client) -> None:
        while True:
            await client.request()
            self.requests += 1
            script = self.scripts.pop(0)
            data = json.dumps(USUAL).encode()
            json_type = "Content-Type: application/json"
            if script == "usual":
                await client.send(reply(data, 200, json_type))
            elif script == "pieces":
                await client.send(reply_head(200, json_type, f"Content-Length: {len(data)}"))
                for at in range(0, len(data), 40):
                    await asyncio.sleep(0.005)  # so that they arrive separately
                    await client.send(data[at : at + 40])
            elif script == "chunks":
                await client.send(reply_head(200, json_type, "Transfer-Encoding: chunked") + chunk(data) + b"0\r\n\r\n")
            elif script == "close":
                return
            elif script == "half":
                await client.send(reply_head(200, json_type, f"Content-Length: {len(data)}") + data[:50])
                return


@pytest.mark.parametrize(
    ("scripts", "attempts", "requests"),
    [
        (["usual"], "1", 2),
        (["pieces"], "1", 2),
        (["chunks"], "1", 2),
        (["close", "usual"], "1", 3),
        (["half", "usual"], "2", 3),
    ],
)
async def test_a_reply_is_whole_however_it_arrives(
    tmp_path: Path, scripts: list[str], attempts: str, requests: int
) -> None:
    provider = Provider(*scripts)
    async with provider.server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(provider.server.url))
        with RunningGateway(config) as at:
            assert (await answered(at.url, "openai_chat", "openai_chat"))[0] == 200
            status, fields, body = await answered(at.url, "openai_chat", "openai_chat")
    assert (status, body) == (200, USUAL)
    assert (fields["x-modelbay-attempts"], provider.requests) == (attempts, requests)


NO_PICTURES = (
    b'{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide'
    b' the mmproj","type":"server_error"}}'
)
NO_VECTORS = (
    b'{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`",'
    b'"type":"not_supported_error"}}'
)


@pytest.mark.parametrize(
    ("status", "body", "path", "sent"),
    [
        (500, NO_PICTURES, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        (501, NO_VECTORS, "/v1/embeddings", {"input": "Hi"}),
    ],
)
async def test_a_feature_that_a_server_lacks_is_asked_for_once(
    tmp_path: Path, status: int, body: bytes, path: str, sent: dict[str, Any]
) -> None:
    """llama.cpp answers with statuses after which the gateway, and every SDK, repeat a request."""

    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(body, status, "Content-Type: application/json; charset=utf-8"))

    async with RawServer(script) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url))
        with RunningGateway(config) as at:
            async with RawClient(at.url) as client:
                await client.send(post(path, {"model": "openai_chat", **sent}))
                found = await client.response()
    assert (found.status, found.body) == (status, body)
    assert (found.headers["x-should-retry"], len(server.requests)) == ("false", 1)


async def test_a_call_that_cannot_be_made_is_reported_like_that_of_a_stream(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    header = 'custom_headers = {"X-A" = "a\\u0001b"}\n[models.openai_chat]'
    config.write_text(config_text("http://127.0.0.1:1").replace("[models.openai_chat]", header))
    found = []
    with RunningGateway(config) as at:
        for stream in (False, True):
            async with RawClient(at.url) as client:
                await client.send(post(*request("openai_chat", "openai_chat", stream=stream)))
                response = await client.response()
            found.append((response.status, response.headers.keys(), response.body))
    assert found[0] == found[1]
    assert b"X-A" in found[0][2]
