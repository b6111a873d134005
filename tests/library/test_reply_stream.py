"""Replies that are read while they arrive: as events, as text, or at last as a whole, in both kinds of Hub."""

import inspect
import pickle
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from modelbay import Hub, Reply, collect, errors, hub, sync
from modelbay.events import Event, PartDelta, PartEnded
from modelbay.library import chat, partial_json, reply_stream, tool_run
from modelbay.model import Cost
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import CHUNK, HEAD, chunked, hub_at

QUESTION = "Why is the sky blue?"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with Simulator() as simulator:
        file = tmp_path_factory.mktemp("stream") / "config.toml"
        file.write_text(config_text(simulator.url, None))
        yield file


@pytest.fixture(params=["openai_chat", "openai_responses", "anthropic", "google"])
def model(config: Path, request: pytest.FixtureRequest) -> str:
    found = [one.alias for one in sync.Hub.open(config).models() if one.protocol == request.param]
    return str(found[0])


async def test_the_text_of_a_stream_is_that_of_its_reply(config: Path, model: str) -> None:
    async with Hub.open(config) as hub, hub.stream(QUESTION, model=model, effort="high") as stream:
        pieces = [piece async for piece in stream.text]
        reply = await stream.reply()
    assert len(pieces) > 1
    assert "".join(pieces) == reply.text
    assert reply.thinking
    assert reply.thinking not in reply.text


async def test_the_thinking_of_a_stream_is_that_of_its_reply(config: Path, model: str) -> None:
    async with Hub.open(config) as hub, hub.stream(QUESTION, model=model, effort="high") as stream:
        pieces = [piece async for piece in stream.thinking]
        assert "".join(pieces) == (await stream.reply()).thinking != ""


async def test_a_long_partial_answer_is_not_read_again_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def counted(text: str) -> object:
        lengths.append(len(text))
        return partial_json.begun(text)

    async def events() -> AsyncGenerator[Event, None]:
        yield PartDelta(0, "[0", kind="text")
        for number in range(1, 5000):
            yield PartDelta(0, f", {number}", kind="text")
        yield PartDelta(0, "]", kind="text")

    async def reply() -> Reply:
        return Reply()

    monkeypatch.setattr(reply_stream, "begun", counted)
    values = [value async for value in reply_stream.ReplyStream(events(), reply).partial]
    assert len(lengths) < 1000
    assert values[:3] == [[], [0], [0, 1]]
    assert values[-1] == list(range(5000))


async def test_each_piece_knows_the_kind_of_its_part(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        events = [event async for event in hub.stream(QUESTION, model=model, effort="high")]
    ended = {event.key: event.part for event in events if isinstance(event, PartEnded)}
    found = {(event.kind, type(ended[event.key]).__name__) for event in events if isinstance(event, PartDelta)}
    assert found == {("thinking", "Thinking"), ("text", "Text")}


async def test_the_usage_of_a_reply_is_shown_without_the_object_of_the_provider(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        usage = (await hub.complete(QUESTION, model=model)).usage
    assert usage is not None
    assert usage.raw
    assert "raw" not in repr(usage)
    assert f"output={usage.output}" in repr(usage)


async def test_a_reply_can_be_awaited_without_reading_its_events(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        reply = await hub.stream(QUESTION, model=model).reply()
        assert reply.text == (await hub.complete(QUESTION, model=model)).text
        assert reply.provider == hub.model(model).provider


async def test_a_reply_knows_its_cost_if_the_price_is_known(config: Path, tmp_path: Path) -> None:
    priced = tmp_path / "config.toml"
    priced.write_text(config.read_text() + "cost = { input = 2.0, output = 10.0 }\n")
    async with Hub.open(priced) as hub:
        model = next(one for one in hub.models() if one.cost == Cost(input=2.0, output=10.0))
        reply = await hub.complete(QUESTION, model=model.alias)
        other = await hub.complete(QUESTION)
    assert reply.usage is not None
    assert reply.usage.input_total is not None
    assert reply.cost == pytest.approx((reply.usage.input_total * 2.0 + reply.usage.output_total * 10.0) / 1_000_000)
    assert other.cost is None
    assert collect([]).cost is None


async def test_a_reply_that_breaks_off_is_an_error_with_the_parts_so_far(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.reset()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        pieces: list[str] = []
        with pytest.raises(errors.IncompleteReply) as read:
            async for piece in hub.stream("Hello", model="chat").text:
                pieces.append(piece)
        with pytest.raises(errors.IncompleteReply) as awaited:
            await hub.stream("Hello", model="chat").reply()
    assert pieces == ["half an"]
    for error in (read.value, awaited.value, pickle.loads(pickle.dumps(awaited.value))):
        assert isinstance(error.reply, Reply)
        assert error.reply.text == "half an"
        assert error.reply.error is None


async def test_a_reply_whose_stream_was_closed_is_incomplete(config: Path) -> None:
    async with Hub.open(config) as hub:
        async with hub.stream(QUESTION, model="sim-chat/sim-1!stall") as stream:
            async for event in stream:
                if isinstance(event, PartDelta):
                    break
        with pytest.raises(errors.IncompleteReply, match="closed before the end"):
            await stream.reply()


async def test_an_error_before_the_reply_has_no_parts(config: Path) -> None:
    async with Hub.open(config) as hub:
        stream = hub.stream(QUESTION, model="unknown")
        for _ in range(2):
            with pytest.raises(errors.UnknownModel) as caught:
                await stream.reply()
    assert caught.value.reply is None


def test_the_blocking_stream_is_read_in_the_same_ways(config: Path, model: str) -> None:
    with sync.Hub.open(config) as hub:
        with hub.stream(QUESTION, model=model, effort="high") as stream:
            text = "".join(stream.text)
            reply = stream.reply()
        assert text == reply.text
        assert "".join(hub.stream(QUESTION, model=model, effort="high").thinking) == reply.thinking
        assert collect(hub.stream(QUESTION, model=model)).text == hub.stream(QUESTION, model=model).reply().text
        stream = hub.stream(QUESTION, model=model)
        first = next(stream)
        assert collect([first, *stream]).text == text
        stream.close()


def members(of: type) -> dict[str, object]:
    return {name: value for name, value in inspect.getmembers(of) if not name.startswith("_")}


RENAMED = {"aclose": "close"}
OWN = {"config", "model", "settings"}
"""Attributes of the object in one of them."""


@pytest.mark.parametrize(
    ("awaited", "blocking"),
    [
        (hub.Hub, sync.Hub),
        (chat.Chat, sync.Chat),
        (reply_stream.ReplyStream, sync.ReplyStream),
        (tool_run.ToolRun, sync.ToolRun),
    ],
)
def test_the_blocking_face_has_the_same_members_with_the_same_parameters_and_texts(
    awaited: type, blocking: type
) -> None:
    ours, theirs = members(blocking), members(awaited)
    assert set(ours) - OWN == {RENAMED.get(name, name) for name in theirs} - OWN
    for name, other in theirs.items():
        own = ours.get(RENAMED.get(name, name))
        if inspect.isfunction(own) and inspect.isfunction(other):
            assert list(inspect.signature(own).parameters.values()) == list(
                inspect.signature(other).parameters.values()
            )
        assert inspect.getdoc(own) == waiting(inspect.getdoc(other) or ""), name


def waiting(text: str) -> str:
    """The text of an async member as the blocking one has it, which is called without `await`."""
    text = re.sub(r"\(await ([^`]+)\)(?=\.\w+`)", r"\1", text)
    return text.replace("await ", "").replace(" or awaited", "").replace("`async with`", "`with`")
