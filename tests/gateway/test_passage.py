"""The usual request without a stream is answered by callbacks, without a task and a visit; the second one with the same head."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from modelbay.gateway import app
from modelbay.gateway.access_log import LOG
from modelbay.gateway.visit import Visit
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer, head, reply
from tests.gateway.raw import RawClient, post
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text, running
from tests.gateway.test_app import request
from tests.gateway.test_passed_replies import USUAL, likened

ASKED = post(*request("openai_chat", "openai_chat"))
JSON = "Content-Type: application/json"


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not reached():
            await asyncio.sleep(0.01)


class Provider:
    """Answers usually until it gets another answer."""

    def __init__(self) -> None:
        self.answer: Callable[[Client], Awaitable[None]] = usual
        self._asked = asyncio.Event()
        self.server = RawServer(self._serve)

    def hold(self) -> asyncio.Event:
        """Answer the next requests when the event is set."""
        go_on = asyncio.Event()

        async def later(client: Client) -> None:
            await go_on.wait()
            await usual(client)

        self.answer = later
        return go_on

    async def asked_by(self, client: RawClient) -> None:
        """Let a client send the usual request, and wait until it is here."""
        self._asked.clear()
        await client.send(ASKED)
        await self._asked.wait()

    async def _serve(self, client: Client) -> None:
        while True:
            await client.request()
            self._asked.set()
            await self.answer(client)


async def usual(client: Client) -> None:
    await client.send(reply(json.dumps(USUAL).encode(), 200, JSON))


async def silent(client: Client) -> None:
    await client.hangup()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with provider.server:
        yield provider


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[Visit]:
    found: list[Visit] = []

    class Counted(Visit):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.append(self)

    monkeypatch.setattr(app, "Visit", Counted)
    return found


def gateway(folder: Path, provider: Provider, settings: str = "", more: str = "") -> RunningGateway:
    config = folder / "config.toml"
    text = config_text(provider.server.url, settings=settings)
    config.write_text(text.replace("[models.openai_chat]", f"{more}\n[models.openai_chat]"))
    return RunningGateway(config)


async def warm(client: RawClient) -> None:
    """From now on, the head is known, and a connection to the provider is kept."""
    await client.send(ASKED)
    assert (await client.response()).status == 200


async def test_the_usual_request_needs_no_visit(
    tmp_path: Path, provider: Provider, visits: list[Visit], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    with gateway(tmp_path, provider) as at:
        async with RawClient(at.url) as client:
            await warm(client)
            assert len(visits) == 1
            await client.send(ASKED)
            found = await client.response()
            await until(lambda: len(caplog.messages) == 2)
        assert not at.gateway.revision.requests
    assert (found.status, json.loads(found.body)) == (200, USUAL)
    assert len(visits) == 1
    first, second = (line.partition(" client=")[2].split(" ") for line in caplog.messages)
    assert [word for word in first if "milli" not in word] == [word for word in second if "milli" not in word]


@pytest.mark.parametrize("cut", [0, 5])
async def test_a_compressed_reply_needs_no_visit_unless_it_is_cut(
    tmp_path: Path, provider: Provider, visits: list[Visit], cut: int
) -> None:
    data = gzip.compress(json.dumps(USUAL).encode())

    async def packed(asking: Client) -> None:
        await asking.send(reply(data[: len(data) - cut], 200, JSON, "Content-Encoding: gzip"))

    with gateway(tmp_path, provider) as at:
        async with RawClient(at.url) as client:
            await warm(client)
            provider.answer = packed
            await client.send(ASKED)
            found = await client.response()
    assert (found.status, len(visits)) == ((502, 2) if cut else (200, 1))
    assert cut or json.loads(found.body) == USUAL


async def test_without_keys_every_program_may_ask(tmp_path: Path, provider: Provider, visits: list[Visit]) -> None:
    asked = post(*request("openai_chat", "openai_chat"), key=None)
    with gateway(tmp_path, provider, 'auth = "none"') as at:
        async with RawClient(at.url) as client:
            for _ in range(2):
                await client.send(asked)
                assert (await client.response()).status == 200
    assert len(visits) == 1


TRANSLATED = [(client, upstream) for client in PROTOCOLS for upstream in PROTOCOLS if client != upstream]


@pytest.mark.parametrize(("protocol", "upstream"), TRANSLATED)
async def test_the_usual_request_is_translated_without_a_visit(
    tmp_path: Path, visits: list[Visit], protocol: str, upstream: str
) -> None:
    path, body = request(protocol, upstream)
    asked = post(path, {**body, "store": False} if protocol == "openai_responses" else body)
    with running(tmp_path) as (at, _):
        async with RawClient(at.url) as client:
            found = []
            for _ in range(2):
                await client.send(asked)
                found.append(await client.response())
    assert len(visits) == 1
    assert [one.status for one in found] == [200, 200]
    first, second = (likened(json.loads(one.body)) for one in found)
    assert first == second
    assert found[0].headers.keys() == found[1].headers.keys()


async def test_the_reply_to_a_client_that_left_is_not_awaited(
    tmp_path: Path, provider: Provider, visits: list[Visit], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    with gateway(tmp_path, provider, "concurrent = 1") as at:
        async with RawClient(at.url) as client:
            await warm(client)
            provider.answer = silent
            await provider.asked_by(client)
        await provider.server.all_gone()
        await until(lambda: len(caplog.messages) == 2)
        assert " outcome=disconnected " in caplog.messages[1]
        assert not at.gateway.revision.requests
        provider.answer = usual
        async with RawClient(at.url) as client:
            await client.send(ASKED)
            assert (await client.response()).status == 200, "its place is free again"
    assert len(visits) == 2, "the connection of the second request was closed, and the third one opens another"


async def test_it_counts_as_a_request_in_progress(tmp_path: Path, provider: Provider) -> None:
    with gateway(tmp_path, provider, "concurrent = 1") as at:
        async with RawClient(at.url) as client, RawClient(at.url) as other:
            await warm(client)
            go_on = provider.hold()
            await provider.asked_by(client)
            await other.send(ASKED)
            assert (await other.response()).status == 429
            go_on.set()
            assert (await client.response()).status == 200
            await other.send(ASKED)
            assert (await other.response()).status == 200


@pytest.mark.parametrize("sent", [b"", head(200, JSON, length=100), head(200, JSON, length=100) + b"{"])
async def test_a_silent_provider_is_not_awaited_for_ever(
    tmp_path: Path, provider: Provider, visits: list[Visit], sent: bytes
) -> None:
    with gateway(tmp_path, provider, more="timeout = {first_byte = 0.2, idle = 0.2}") as at:
        async with RawClient(at.url) as client:
            await warm(client)

            async def stops(asking: Client) -> None:
                await asking.send(sent)
                await asking.hangup()

            provider.answer = stops
            await client.send(ASKED)
            found = await client.response()
            assert found.status == 504
            assert b"0.2 s" in found.body
        assert not at.gateway.revision.requests
    assert len(visits) == 2


async def test_requests_behind_it_are_answered_in_order(tmp_path: Path, provider: Provider) -> None:
    with gateway(tmp_path, provider) as at:
        async with RawClient(at.url) as client:
            await warm(client)
            go_on = provider.hold()
            await provider.asked_by(client)
            await client.send(post("/v1/chat/completions", b"{"))
            await client.send(ASKED)
            go_on.set()
            assert [(await client.response()).status for _ in range(3)] == [200, 400, 200]


async def test_a_server_that_stops_does_not_wait_for_it(tmp_path: Path, provider: Provider) -> None:
    with gateway(tmp_path, provider) as at:
        async with RawClient(at.url) as client:
            await warm(client)
            provider.answer = silent
            await provider.asked_by(client)
            await asyncio.to_thread(at.server.stop)
            await provider.server.all_gone()
            assert await client.rest() == b""


async def test_a_reload_does_not_end_it(tmp_path: Path, provider: Provider, visits: list[Visit]) -> None:
    with gateway(tmp_path, provider) as at:
        async with RawClient(at.url) as client:
            await warm(client)
            go_on = provider.hold()
            await provider.asked_by(client)
            before = at.gateway.revision
            at.config.write_text(at.config.read_text() + "\n# changed\n")
            await until(lambda: at.gateway.revision is not before)
            assert before.requests == 1
            go_on.set()
            assert (await client.response()).status == 200
            await until(lambda: before.requests == 0)
    assert len(visits) == 1


async def test_a_secret_in_the_reply_is_masked_unless_the_client_sent_it(tmp_path: Path, provider: Provider) -> None:
    async def telling(asking: Client) -> None:
        text = json.dumps(USUAL).replace("Hello", "the key is sk-provider-0123456789")
        await asking.send(reply(text.encode(), 200, JSON))

    with gateway(tmp_path, provider, more='custom_headers = {X-Key = "sk-provider-0123456789"}') as at:
        async with RawClient(at.url) as client:
            await warm(client)
            provider.answer = telling
            await client.send(ASKED)
            assert "the key is …" in (await client.response()).body.decode()
            known = ASKED.partition(b"\r\n\r\n")[2].replace(b"Hello", b"sk-provider-0123456789")
            await client.send(post("/v1/chat/completions", known))
            assert b"the key is sk-provider-0123456789" in (await client.response()).body


async def test_a_preview_that_one_provider_rejects_is_still_sent_to_others(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    refusal = "Unexpected value(s) `new-1` for the `anthropic-beta` header."

    async def serve(client: Client) -> None:
        while True:
            asked = await client.request()
            betas, model = asked.headers.get("anthropic-beta", ""), json.loads(asked.body)["model"]
            seen.append((model, betas))
            if model == "old" and betas and len(seen) > 2:
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": refusal}}
                await client.send(reply(json.dumps(error).encode(), 400, JSON))
            else:
                await client.send(reply(json.dumps(message).encode(), 200, JSON))

    def asked(model: str) -> bytes:
        path, body = request("anthropic", model)
        return post(path, body, "anthropic-beta: new-1", "anthropic-version: 2023-06-01")

    async with RawServer(serve) as server:
        models = "\n".join(f'[models.{name}]\nprovider = "anthropic"\nmodel = "{name}"' for name in ("old", "new"))
        config = tmp_path / "config.toml"
        config.write_text(f"{config_text(server.url)}{models}\n")
        with RunningGateway(config) as at:
            async with RawClient(at.url) as client:
                for model in ("old", "new", "old", "new"):
                    await client.send(asked(model))
                    assert (await client.response()).status == 200
    assert seen == [("old", "new-1"), ("new", "new-1"), ("old", "new-1"), ("old", ""), ("new", "new-1")]


async def test_a_provider_s_own_signature_needs_no_visit_and_a_dropped_one_is_put_back(
    tmp_path: Path, provider: Provider, visits: list[Visit]
) -> None:
    bodies: list[dict[str, Any]] = []
    question, result = {"role": "user", "content": "Is it windy?"}, {"type": "tool_result", "tool_use_id": "toolu_1"}
    thinking = {"type": "thinking", "thinking": "Well.", "signature": "sig-1"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "wind", "input": {}}
    text = {"type": "text", "text": "Yes."}

    def answering(*content: dict[str, Any]) -> Callable[[Client], Awaitable[None]]:
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [*content], "stop_sequence": None,
            "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 1},
        }  # fmt: skip

        async def answer(client: Client) -> None:
            await client.send(reply(json.dumps(message).encode(), 200, JSON))

        return answer

    async def serve(client: Client) -> None:
        while True:
            bodies.append(json.loads((await client.request()).body))
            await provider.answer(client)

    async def ask(client: RawClient, *parts: dict[str, Any]) -> int:
        path, body = request("anthropic", "anthropic")
        body["tools"] = [{"name": "wind", "input_schema": {"type": "object"}}]
        body["messages"] = [question]
        if parts:
            body["messages"] += [{"role": "assistant", "content": [*parts]}, {"role": "user", "content": [result]}]
        await client.send(post(path, body))
        assert (await client.response()).status == 200
        return len(visits)

    async with RawServer(serve) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url))
        with RunningGateway(config) as at:
            async with RawClient(at.url) as client:
                provider.answer = answering(text)
                assert [await ask(client) for _ in range(2)] == [1, 1]
                provider.answer = answering(thinking, call)
                assert await ask(client) == 2
                provider.answer = answering(text)
                assert await ask(client, thinking, call) == 2
                assert await ask(client) == 2
                assert await ask(client, call) == 3
    assert bodies[-1]["messages"][1]["content"] == [thinking, call]
