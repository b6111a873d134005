"""A client gets embeddings in the encoding that it asked for."""

import json
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from modelbay.gateway.embeddings import as_asked
from modelbay.gateway.passing import ClientBody
from modelbay.protocols.codec import codec
from tests.faults.raw_server import Client, RawServer
from tests.faults.raw_server import reply as raw_reply
from tests.gateway.running import RunningGateway, config_text
from tests.gateway.test_app import call
from tests.servers.loopback import Handler, served

REPLY = b"""{"object":"list", "data":[
 {"object":"embedding","index":0,"embedding":[0.5, -1, 3.25e-2]}, {"object":"embedding","index":1,"embedding":[]}
], "model":"m","usage":{"prompt_tokens": 1.0,"total_tokens":1}}"""


def test_numbers_become_base64_if_the_client_asked_for_it() -> None:
    reply = as_asked(REPLY, "base64")
    first, second = json.loads(reply)["data"]
    assert struct.unpack("<3f", b64decode(first["embedding"])) == (0.5, -1.0, pytest.approx(0.0325))
    assert second == {"object": "embedding", "index": 1, "embedding": ""}
    assert first["object"] == "embedding"
    begin, end = REPLY.index(b"["), REPLY.rindex(b"]") + 1
    assert reply.startswith(REPLY[:begin])
    assert reply.endswith(REPLY[end:]), "all other bytes stay"


@pytest.mark.parametrize("asked", [None, "float", "other"])
def test_otherwise_the_reply_is_unchanged(asked: str | None) -> None:
    assert as_asked(REPLY, asked) is REPLY


@pytest.mark.parametrize(
    "reply",
    [
        b'{"data":[{"embedding":"AAAAPw=="}]}',
        b'{"error":{"message":"no"}}',
        b'{"data":[{"embedding":[[0.5],[1]]}]}',
        b'{"data":[{"embedding":[null]}]}',
        b'{"data":[{"index":0}]}',
        b'{"data":{}}',
        b"<html>",
        b"",
    ],
)
def test_a_reply_without_lists_of_numbers_is_unchanged(reply: bytes) -> None:
    assert as_asked(reply, "base64") == reply


@pytest.mark.parametrize("wanted", [0, -1, 1.5, "two", 3])
async def test_dimensions_that_are_not_valid_or_that_the_model_lacks_are_refused(tmp_path: Path, wanted: Any) -> None:
    """Status 400 is not repeated by SDKs, and the client must change its request."""

    async def provider(client: Client) -> None:
        many = (await client.request()).target.endswith(":batchEmbedContents")
        found: Any = (
            {"embeddings": [{"values": [0.5, 0.25]}]} if many else {"data": [{"index": 0, "embedding": [1, 2]}]}
        )
        await client.send(raw_reply(json.dumps(found).encode(), 200, "Content-Type: application/json"))

    async with RawServer(provider) as server:
        (tmp_path / "config.toml").write_text(config_text(server.url))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            body = {"model": "google", "input": "Hi", "dimensions": wanted}
            status, _, data = await call(gateway.url, "/v1/embeddings", body)
            assert (status, json.loads(data)["error"]["param"]) == (400, "dimensions")
            if wanted != 3:
                gemini = {"content": {"parts": [{"text": "Hi"}]}, "outputDimensionality": wanted}
                status, _, data = await call(gateway.url, "/v1beta/models/openai_chat:embedContent", gemini)
                assert (status, json.loads(data)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_the_official_sdk_reads_the_result() -> None:
    asked: list[bytes] = []

    class Embeddings(Handler):
        def do_POST(self) -> None:
            asked.append(self.body())
            body = ClientBody(asked[-1], codec("openai_chat").PASS)
            self.answer(200, as_asked(REPLY, body.encoding_format))

    with served(Embeddings) as url, OpenAI(base_url=url, api_key="x", max_retries=0) as client:
        found = client.embeddings.create(model="m", input="a")
        assert found.data[0].embedding == [0.5, -1.0, pytest.approx(0.0325)]
        assert b'"base64"' in asked[0], "the default of the SDK"
