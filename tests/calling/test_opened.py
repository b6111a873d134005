"""Calls whose replies have begun: the events, and the bytes that they are from."""

import asyncio
from pathlib import Path
from traceback import TracebackException

import pytest

from modelbay import errors
from modelbay.calling.opened import HELD_BYTES, Opened, Sending
from modelbay.calling.opening import Opening
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Targets
from modelbay.config.load import load
from modelbay.conversation import Conversation, user
from modelbay.events import Event, Failed, Finished, PartDelta
from modelbay.routing.retry import Policy
from tests.faults.raw_server import Client, RawServer, Script, chunk, head, reply

SSE = head(200, "Content-Type: text/event-stream", chunked=True)
ROLE = b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"id":"c",  "choices":[{"index":0,"delta":{"content":"well"}}], "odd": 1.50}\n\n'
STOP = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
SILENCE = b": still thinking\n\n"


def config(folder: Path, url: str, key: str = "sk-1") -> Path:
    path = folder / "config.toml"
    path.write_text(
        f'default_model = "m"\n[providers.p]\ntype = "openai"\nbase_url = "{url}/v1"\napi_key = "{key}"\n'
        '[models.m]\nprovider = "p"\nmodel = "m"\n'
    )
    return path


async def prepared(client: ProviderClient, *, stream: bool = True) -> Sending:
    conversation = Conversation([user("Hi")], stream=stream)
    return await client.ready(conversation, Targets(client.config).find())


async def read(opened: Opened) -> tuple[list[Event], bytes]:
    events, data = [], b""
    async with opened:
        while (batch := await opened.events()) is not None:
            events += batch
            data += opened.data
    return events, data + opened.data


def answering(*pieces: bytes) -> Script:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE)
        for piece in pieces:
            await client.send(chunk(piece))
        await client.send(chunk(b""))

    return script


async def test_the_bytes_are_those_of_the_provider_to_the_last_one(tmp_path: Path) -> None:
    pieces = [SILENCE, ROLE, TEXT[:20], TEXT[20:], STOP, DONE[:-1], DONE[-1:]]
    async with RawServer(answering(*pieces)) as server:
        client = ProviderClient(load(config(tmp_path, server.url), trusted=True))
        events, data = await read(await Opening(client, await prepared(client)).opened())
        await client.aclose()
    assert data == b"".join(pieces)
    assert "".join(event.text for event in events if isinstance(event, PartDelta)) == "well"
    assert isinstance(events[-1], Finished)


async def test_a_reply_without_streaming_has_its_bytes_too(tmp_path: Path) -> None:
    body = b'{"id": "c", "choices": [{"index": 0, "message": {"content": "well"}, "finish_reason": "stop"}]}'

    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(body))

    async with RawServer(script) as server:
        client = ProviderClient(load(config(tmp_path, server.url), trusted=True))
        events, data = await read(await Opening(client, await prepared(client, stream=False)).opened())
        await client.aclose()
    assert data == body
    assert isinstance(events[-1], Finished)


async def test_a_failure_inside_a_reply_that_shows_nothing_is_retried(tmp_path: Path) -> None:
    failing = answering(ROLE, SILENCE, b'data: {"error":{"message":"The engine is overloaded","code":503}}\n\n')
    replies = [failing, answering(ROLE, TEXT, STOP, DONE)]

    async def script(client: Client) -> None:
        await replies.pop(0)(client)

    async with RawServer(script) as server:
        client = ProviderClient(load(config(tmp_path, server.url), trusted=True))
        warnings: list[object] = []
        opened = await Opening(client, await prepared(client), Policy(base=0.0)).opened(warnings.append)
        _, data = await read(opened)
        await client.aclose()
    assert opened.attempts == 2
    assert len(warnings) == 1
    assert data == ROLE + TEXT + STOP + DONE, "the bytes of the failed attempt are not part of the reply"


async def test_a_reply_that_shows_nothing_in_64_kib_has_begun(tmp_path: Path) -> None:
    silence = b": " + b"." * 8190 + b"\n"
    broken = b'data: {"error":{"message":"The engine is overloaded","code":503}}\n\n'
    count = HELD_BYTES // len(silence) + 1
    begun = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE + b"".join(chunk(silence) for _ in range(count)))
        await begun.wait()
        await client.send(chunk(broken))

    async with RawServer(script) as server:
        client = ProviderClient(load(config(tmp_path, server.url), trusted=True))
        opened = await Opening(client, await prepared(client), Policy(base=0.0)).opened()
        begun.set()
        events, data = await read(opened)
        await client.aclose()
    assert opened.attempts == 1
    assert isinstance(events[-1], Failed)
    assert data.startswith(silence * count)


# --- keys --------------------------------------------------------------------------------------------------------------


def of_key(seen: list[str], good: str) -> Script:
    """A server that accepts one key."""

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            key = request.headers["authorization"].removeprefix("Bearer ")
            seen.append(key)
            if key == good:
                await client.send(
                    reply(b'{"choices":[{"index":0,"message":{"content":"well"},"finish_reason":"stop"}]}')
                )
            else:
                await client.send(reply(b'{"error":{"message":"Incorrect API key provided"}}', 401))

    return script


async def test_a_key_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    file, seen = tmp_path / "key", list[str]()
    file.write_text("sk-old")
    async with RawServer(of_key(seen, "sk-old")) as server:
        client = ProviderClient(load(config(tmp_path, server.url, f"{{file:{file}}}"), trusted=True))
        target = Targets(client.config).find()
        for written in ("sk-old", "sk-newer"):
            file.write_text(written)
            sending = await client.ready(Conversation([user("Hi")]), target)
            assert sending.endpoint.sent_headers()["Authorization"] == f"Bearer {written}"
        await client.aclose()


async def test_an_endpoint_is_kept_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_P", "sk-old")
    client = ProviderClient(load(config(tmp_path, "http://127.0.0.1:9", "{env:KEY_OF_P}"), trusted=True))
    target = Targets(client.config).find()
    first, second = [await client.endpoint(target, "/chat/completions", stream=True) for _ in range(2)]
    assert first is second
    monkeypatch.setenv("KEY_OF_P", "sk-new")
    third = await client.endpoint(target, "/chat/completions", stream=True)
    assert third.sent_headers()["Authorization"] == "Bearer sk-new"
    await client.aclose()


async def test_a_rejected_key_of_a_command_is_asked_for_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    file, seen = tmp_path / "token", list[str]()
    file.write_text("sk-old")
    async with RawServer(of_key(seen, "sk-new")) as server:
        client = ProviderClient(load(config(tmp_path, server.url, f"{{command:cat {file}}}"), trusted=True))
        sending = await prepared(client, stream=False)
        file.write_text("sk-new")
        await read(await Opening(client, sending).opened())
        assert seen == ["sk-old", "sk-new"]
        await client.aclose()


@pytest.mark.parametrize("most", [1, 2])
async def test_a_call_with_a_renewed_key_is_one_of_the_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    file, seen = tmp_path / "token", list[str]()
    file.write_text("sk-old")
    async with RawServer(of_key(seen, "sk-new")) as server:
        client = ProviderClient(load(config(tmp_path, server.url, f"{{command:cat {file}}}"), trusted=True))
        sending = await prepared(client, stream=False)
        file.write_text("sk-new")
        try:
            found = await Opening(client, sending, Policy(attempts=most)).opened()
        except errors.AuthenticationFailed as error:
            assert (error.attempts, seen) == (1, ["sk-old"])
            assert most == 1
        else:
            await read(found)
            assert (found.attempts, seen) == (2, ["sk-old", "sk-new"])
            assert most == 2
        await client.aclose()


ECHO = b'{"error":{"message":"bad key","echo":"sk-old"}}'


async def echoing(client: Client) -> None:
    await client.request()
    await client.send(reply(ECHO, 400))


async def test_the_body_of_an_error_that_is_passed_on_is_hidden_where_errors_are_shown(tmp_path: Path) -> None:
    async with RawServer(echoing) as server:
        client = ProviderClient(load(config(tmp_path, server.url, "sk-old"), trusted=True))
        sending = await prepared(client, stream=False)
        sending.call.text = b'{"model":"m"}'
        with pytest.raises(errors.BadRequest) as caught:
            await Opening(client, sending).opened()
        await client.aclose()
    error = caught.value
    assert bytes(error.received or b"") == ECHO
    shown = "".join(TracebackException.from_exception(error, capture_locals=True).format())
    for text in (str(error), repr(error), repr(vars(error)), str(error.received), shown):
        assert "sk-old" not in text


async def test_a_rejected_key_that_is_still_the_same_is_an_error_after_one_call(tmp_path: Path) -> None:
    file, seen = tmp_path / "key", list[str]()
    file.write_text("sk-old")
    async with RawServer(of_key(seen, "sk-new")) as server:
        client = ProviderClient(load(config(tmp_path, server.url, f"{{file:{file}}}"), trusted=True))
        with pytest.raises(errors.AuthenticationFailed):
            await Opening(client, await prepared(client, stream=False)).opened()
        await client.aclose()
    assert seen == ["sk-old"]
