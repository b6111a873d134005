"""Calls to the first of several models that replies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay import Hub, errors
from modelbay.events import Warned
from modelbay.routing.retry import Policy, moves_on
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import ANSWER, CHUNK, HEAD, chunked, json_answer

WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'
GOOD = json_answer("200 OK", WHOLE)
BUSY = json_answer("503 Service Unavailable", b'{"error":{"message":"busy"}}', b"retry-after-ms: 1\r\n")
WRONG = json_answer("400 Bad Request", b'{"error":{"message":"no such parameter"}}')
NO_KEY = json_answer("401 Unauthorized", b'{"error":{"message":"wrong key"}}')


@asynccontextmanager
async def models(folder: Path, **answers: bytes) -> AsyncIterator[tuple[Hub, list[str]]]:
    """A hub with a model for each name, whose provider always sends these bytes, and the names in the order of the requests."""
    asked: list[str] = []

    async def script(client: Client) -> None:
        while True:
            name = (await client.request()).target.split("/")[1]
            asked.append(name)
            await client.send(answers[name])

    async with RawServer(script) as server:
        file = folder / "config.toml"
        file.write_text(
            'default_model = "first"\n'
            + "".join(
                f'[providers.{name}]\ntype = "openai"\nbase_url = "{server.url}/{name}/v1"\n'
                f'[models.{name}]\nprovider = "{name}"\nmodel = "m"\n'
                for name in answers
            )
        )
        async with Hub.open(file) as hub:
            hub._client.policy = Policy(base=0.0)
            yield hub, asked


async def test_the_next_model_replies_if_one_fails(tmp_path: Path) -> None:
    async with models(tmp_path, first=NO_KEY, second=GOOD) as (hub, asked):
        reply = await hub.complete("Hi", model=["first", "second"])
    assert (reply.text, reply.provider) == ("whole", "second")
    assert asked == ["first", "second"]
    [warning] = reply.warnings
    assert warning.message.startswith("first: ")
    assert warning.message.endswith("returned 401: wrong key; asking second")


async def test_all_models_share_the_attempts_and_each_is_asked(tmp_path: Path) -> None:
    async with models(tmp_path, first=BUSY, second=BUSY, third=BUSY) as (hub, asked):
        with pytest.raises(errors.Overloaded) as caught:
            await hub.complete("Hi", model=["first", "second", "third"])
        assert asked == ["first", "first", "second", "third"]
        assert caught.value.attempts == 4
        asked.clear()
        with pytest.raises(errors.Overloaded):
            await hub.complete("Hi", model=["first", "second", "third"], retries=0)
        assert asked == ["first", "second", "third"]


async def test_a_wrong_request_is_not_sent_to_another_model(tmp_path: Path) -> None:
    async with models(tmp_path, first=WRONG, second=GOOD) as (hub, asked):
        with pytest.raises(errors.BadRequest, match="no such parameter"):
            await hub.complete("Hi", model=["first", "second"])
    assert asked == ["first"]


async def test_an_unknown_name_is_an_error_and_not_skipped(tmp_path: Path) -> None:
    async with models(tmp_path, first=GOOD) as (hub, asked):
        with pytest.raises(errors.UnknownModel):
            await hub.complete("Hi", model=["frist", "first"])
        with pytest.raises(ValueError, match="model must not be an empty list"):
            await hub.complete("Hi", model=[])
        with pytest.raises(TypeError, match=r"model\[1\] must be a string, not int"):
            hub.stream("Hi", model=["first", 2])  # type: ignore[list-item]
    assert asked == []


async def test_a_stream_that_shows_nothing_moves_on_and_one_that_shows_something_does_not(tmp_path: Path) -> None:
    empty = HEAD + b"0\r\n\r\n"
    good = HEAD + chunked(ANSWER) + b"0\r\n\r\n"
    async with models(tmp_path, first=empty, second=good) as (hub, _):
        stream = hub.stream("Hi", model=["first", "second"], retries=1)
        events = [event async for event in stream]
        reply = await stream.reply()
    assert (reply.text, reply.provider) == ("whole", "second")
    assert isinstance(events[0], Warned)
    async with models(tmp_path, first=HEAD + chunked(CHUNK) + b"0\r\n\r\n", second=good) as (hub, asked):
        with pytest.raises(errors.IncompleteReply) as caught:
            await hub.stream("Hi", model=["first", "second"]).reply()
    assert caught.value.reply.text == "half an"
    assert asked == ["first"]


async def test_the_timeout_is_that_of_all_models_together(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.hangup()

    async with RawServer(script) as server:
        file = tmp_path / "config.toml"
        file.write_text(
            f'[providers.slow]\ntype = "openai"\nbase_url = "{server.url}/v1"\n'
            '[models.slow]\nprovider = "slow"\nmodel = "m"\n[models.other]\nprovider = "slow"\nmodel = "n"\n'
        )
        async with Hub.open(file) as hub:
            started = asyncio.get_running_loop().time()
            with pytest.raises(errors.TimedOut, match="the call took longer"):
                await hub.complete("Hi", model=["slow", "other"], timeout=0.2)
            assert asyncio.get_running_loop().time() - started >= 0.2
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "moves"),
    [
        (errors.RateLimited("x"), True),
        (errors.ConnectFailed("x"), True),
        (errors.MissingCredential("x"), True),
        (errors.ContextOverflow("x"), True),
        (errors.Unsupported("x", setting="tools"), True),
        (errors.IncompleteReply("x"), True),
        (errors.BadRequest("x"), False),
        (errors.BadRequest("image input is not supported", status=500), True),
        (errors.ContentRefused("x"), False),
        (errors.UnknownModel("x"), False),
        (errors.ConfigError("x"), False),
        (errors.HubClosed("x"), False),
    ],
)
def test_another_model_is_asked_only_if_it_may_help(error: errors.ModelbayError, moves: bool) -> None:
    assert moves_on(error) is moves
