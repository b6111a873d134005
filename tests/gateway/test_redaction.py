"""Known secrets are removed from everything that a client gets, even if the provider echoes them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.running import PROTOCOLS, RunningGateway
from tests.gateway.test_app import call, request
from tests.servers.loopback import Handler, served

SECRET = "sk-acme-0123456789"
EVENTS = (
    '{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":"your key: sk-acme-0123456789."}}]}',
    '{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
)


class Echo(Handler):
    """A provider of Chat Completions that repeats the key of a request in every part of its response."""

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        assert self.headers["authorization"] == f"Bearer {SECRET}"
        if asked.get("top_p") is not None:
            error = {
                "error": {"message": f"{SECRET} may not set sk%2Dacme-0123456789", "type": "invalid_request_error"}
            }
            self.answer(400, json.dumps(error).encode(), {"content-type": "application/json", "x-request-id": SECRET})
        elif asked.get("stream"):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("openai-echo", f"key {SECRET}")
            self.end_headers()
            text = "".join(f"data: {event}\n\n" for event in EVENTS) + "data: [DONE]\n\n"
            middle = text.index(SECRET) + 7
            for piece in (text[:middle], text[middle:]):
                self.wfile.write(piece.encode())
                self.wfile.flush()
            self.close_connection = True
        else:
            message = {"role": "assistant", "content": f"your key: {SECRET}."}
            self.answer(
                200, json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
            )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config: Path = tmp_path_factory.mktemp("gateway") / "config.toml"
    with served(Echo) as upstream:
        config.write_text(
            f'[providers.acme]\ntype = "openai"\nbase_url = "{upstream}/v1"\napi_key = "{SECRET}"\n'
            '[models.one]\nprovider = "acme"\nmodel = "m"\n'
        )
        with RunningGateway(config) as gateway:
            yield gateway.url


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_key_in_a_reply_is_masked(url: str, protocol: str, stream: bool) -> None:
    path, body = request(protocol, "one", stream=stream)
    status, headers, data = await call(url, path, body)
    assert status == 200
    assert "your key: …." in data.decode()
    assert SECRET not in data.decode() + str(headers)
    if stream:
        assert headers["openai-echo"] == "key %E2%80%A6"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_key_that_the_client_sent_itself_is_not_changed(url: str, protocol: str, stream: bool) -> None:
    path, body = request(protocol, "one", f"Edit the file. It contains: key = {SECRET}", stream=stream)
    status, headers, data = await call(url, path, body)
    assert status == 200
    assert f"your key: {SECRET}." in data.decode()
    assert SECRET not in str(headers)
    body |= {"generationConfig": {"topP": 0.5}} if protocol == "google" else {"top_p": 0.5}
    status, _, data = await call(url, path, body)
    assert status == 400
    assert SECRET not in data.decode(), "an error does not need it"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_key_in_an_error_is_masked(url: str, protocol: str) -> None:
    path, body = request(protocol, "one")
    body |= {"generationConfig": {"topP": 0.5}} if protocol == "google" else {"top_p": 0.5}
    status, headers, data = await call(url, path, body)
    assert status == 400
    assert "… may not set …" in data.decode()
    assert SECRET not in str(headers)
