"""Chats, turn by turn, over all protocols and in both kinds of Hub: their history stays valid however a reply ends."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelbay import Conversation, Hub, Media, Reply, Text, Thinking, Tool, Turn, errors, sync, user
from modelbay.conversation import ToolResult
from modelbay.events import Finished, PartDelta
from modelbay.json_text import decode, encode
from modelbay.library.chat import Chat
from modelbay.library.tool_run import ToolRan
from modelbay.protocols.repair import INTERRUPTED
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer
from tests.library.conftest import model_of
from tests.test_hub import CHUNK, HEAD, chunked, hub_at, json_answer

ASKED = "Use the tools in parallel: the weather and the population of `Hamburg`"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def get_population(city: str) -> int:
    """The population of a city."""
    return 1_850_000


TOOLS = [get_weather, get_population]


def roles(chat: Chat | sync.Chat) -> list[str]:
    return [turn.role for turn in chat.turns]


def results(turns: list[Turn]) -> list[str]:
    found = [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    return ["".join(getattr(one, "text", "") for one in part.parts) for part in found]


async def test_each_question_is_sent_with_the_turns_before_it(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(system="Be brief.", model=model, effort="high")
        await chat.complete("Why is the sky blue?")
        async with chat.stream("And at night?") as stream:
            text = "".join([piece async for piece in stream.text])
        reply = await chat.complete("And on Mars?")
    assert roles(chat) == ["user", "assistant"] * 3
    assert [turn.text for turn in chat.turns[::2]] == ["Why is the sky blue?", "And at night?", "And on Mars?"]
    assert chat.turns[3].text == text
    assert "question 3 of our conversation" in reply.text
    assert all(any(isinstance(part, Thinking) for part in turn.parts) for turn in chat.turns[1::2])


async def test_the_system_prompt_is_sent_once_and_belongs_to_the_settings(config: Path, simulator: Simulator) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(system="Be brief.")
        await chat.complete("One")
        simulator.journal.clear()
        await chat.complete("Two")
        await chat.complete("Three", system="Be kind.")
    sent = [[one["content"] for one in decode(entry.body)["messages"]] for entry in simulator.journal]
    assert [(texts[0], len(texts)) for texts in sent] == [("Be brief.", 4), ("Be kind.", 6)]
    assert [turn.role for turn in chat.conversation.turns] == ["system", *roles(chat)]
    assert chat.conversation.turns[0].text == "Be brief."


async def test_the_usage_and_the_cost_of_all_replies_are_added(config: Path, tmp_path: Path) -> None:
    priced = tmp_path / "config.toml"
    priced.write_text(config.read_text() + "cost = { input = 2.0, output = 10.0 }\n")
    async with Hub.open(priced) as hub:
        model = next(one.alias for one in hub.models() if one.cost)
        chat = hub.chat(model=model)
        assert (chat.cost, chat.usage.total) == (0.0, 0)
        replies = [await chat.complete("One"), await chat.complete("Two")]
        assert chat.usage.total == sum(reply.usage.total for reply in replies if reply.usage)
        assert chat.cost == pytest.approx(sum(reply.cost or 0 for reply in replies)) != 0
        assert replies[-1].usage is not None
        assert chat.context == replies[-1].usage.total
        again = hub.load_chat(chat.dumps())
        assert (again.cost, again.usage, again.context) == (chat.cost, chat.usage, chat.context)
        await again.complete("Three", model=model_of(config, "openai_chat"))
        assert again.cost is None, "the price of one reply is unknown"
        assert hub.load_chat(again.dumps()).cost is None


async def test_all_turns_of_a_tool_loop_are_kept(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, tools=TOOLS)
        await chat.complete("Hi")
        run = chat.run(ASKED)
        names = [event.call.name async for event in run if isinstance(event, ToolRan)]
        assert (await run.reply()).text == chat.turns[-1].text
        assert set(names) == {"get_weather", "get_population"}
        assert roles(chat) == ["user", "assistant", "user", "assistant", "tool", "tool", "assistant"]
        assert (await chat.complete("Thanks. Answer without calls")).text
        assert chat.usage.total > run.usage.total > 0


async def test_calls_without_a_function_are_answered_with_the_next_question(config: Path, model: str) -> None:
    tool = Tool(name="get_weather", description="The weather", schema=Tool.of(get_weather).schema)
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, tools=[tool])
        reply = await chat.complete("Use the weather tool for `Hamburg`")
        [call] = reply.tool_calls
        answer = ToolResult(call_id=call.id, name=call.name, parts=[Text(text="rainy")])
        reply = await chat.complete([Turn("tool", [answer])])
    assert "rainy" in reply.text
    assert roles(chat) == ["user", "assistant", "tool", "assistant"]


async def test_files_are_part_of_the_history(config: Path, model: str, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model)
        await chat.complete("Describe it", files=[picture])
        reply = await chat.complete("Is it large?")
    assert [type(part) for part in chat.turns[0].parts] == [Media, Text]
    assert "question 2" in reply.text
    with pytest.raises(TypeError, match="files are not a setting of a chat"):
        Hub.open(config).chat(files=[picture])


async def test_a_file_that_does_not_exist_leaves_the_chat_as_it_was(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat()
        for ask in (chat.complete, lambda *given, **named: chat.stream(*given, **named).reply()):
            with pytest.raises(errors.UnreadableFile):
                await ask("Describe it", files=["missing.png"])
        assert chat.turns == []
        await chat.complete("Hi")


# --- replies that end early -----------------------------------------------------------------------------------------


async def test_the_text_that_was_read_of_a_stream_remains(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, effort="high")
        read = ""
        async with chat.stream("Write 300 words") as stream:
            async for event in stream:
                if isinstance(event, PartDelta) and event.kind == "text":
                    read += event.text
                    if len(read) > 50:
                        break
        assert chat.turns == [user("Write 300 words"), Turn("assistant", [Text(text=read)])]
        assert (await chat.complete("Go on")).text
        assert roles(chat) == ["user", "assistant"] * 2
        assert chat.cost is None


async def test_without_a_text_nothing_remains(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, effort="high")
        async with chat.stream("Write 300 words") as stream:
            async for event in stream:
                if isinstance(event, PartDelta):
                    assert event.kind == "thinking"
                    break
        assert chat.turns == []
        stream = chat.stream("Never read")
        await stream.aclose()
        with pytest.raises(errors.IncompleteReply):
            await stream.reply()
        assert chat.turns == []


async def test_a_loop_that_is_left_frees_the_chat_without_a_context(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat()
        async for piece in chat.stream("Write 300 words").text:
            read = piece
            break
        await chat.complete("And now?")
        async for _ in chat.stream("Write 400 words"):
            break
        await chat.complete("And now?")
        async for event in chat.run("Write 500 words"):
            if isinstance(event, PartDelta) and event.kind == "text":
                break
        await chat.complete("And now?")
    now = "And now?"
    assert [turn.text for turn in chat.turns[::2]] == ["Write 300 words", now, now, "Write 500 words", now]
    assert chat.turns[1].text == read


async def test_cancelling_leaves_a_valid_chat(config: Path, model: str) -> None:
    read = asyncio.Event()

    async def work(chat: Chat) -> None:
        async for piece in chat.stream("Write 300 words").text:
            if piece.strip():
                read.set()
                await asyncio.sleep(3600)

    async with Hub.open(config) as hub:
        chat = hub.chat(model=model)
        task = asyncio.create_task(work(chat))
        await read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(chat.complete("Never sent"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await chat.complete("Go on")).text
    assert roles(chat) == ["user", "assistant"] * 2


async def test_a_network_that_fails_in_the_middle_leaves_the_text_so_far(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        request = await client.request()
        await client.send(HEAD + chunked(CHUNK))
        if b"again" in request.body:
            end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
            await client.send(chunked(end) + b"0\r\n\r\n")
        await client.reset()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        chat = hub.chat(model="chat")
        stream = chat.stream("Hello")
        with pytest.raises(errors.IncompleteReply):
            async for _ in stream.text:
                pass
        with pytest.raises(errors.IncompleteReply):
            await stream.reply()
        assert [turn.text for turn in chat.turns] == ["Hello", "half an"]
        with pytest.raises(errors.ModelbayError):
            await chat.complete("Hello?", retries=0)
        assert len(chat.turns) == 2, "a call without a stream is kept as a whole, or not at all"
        assert (await chat.stream("again").reply()).text == "half an"
    assert [turn.text for turn in chat.turns] == ["Hello", "half an", "again", "half an"]


@pytest.mark.parametrize("fault", ["401", "cut-before", "503"])
async def test_a_reply_that_did_not_start_leaves_the_chat_as_it_was(config: Path, fault: str, model: str) -> None:
    async with Hub.open(config) as hub:
        provider = hub.model(model).provider
        chat = hub.chat(model=f"{provider}/sim-text!{fault}", retries=0, tools=TOOLS)
        for ask in (chat.complete, lambda text: chat.stream(text).reply(), chat.run):
            with pytest.raises(errors.ModelbayError):
                await ask("Hello")
        assert (chat.turns, chat.usage.total) == ([], 0)
        assert (await chat.complete("Hello", model=model)).text


async def test_a_run_that_ends_early_keeps_its_steps(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, tools=TOOLS)
        with pytest.raises(errors.TooManySteps):
            await chat.run("Use the weather tool for `Hamburg` in 3 steps", max_steps=2)
        assert roles(chat) == ["user", "assistant", "tool", "assistant", "tool"]
        assert results(chat.turns) == ["sunny in Hamburg", INTERRUPTED]
        assert (await chat.complete("Go on without them", tools=[])).text
        usage = chat.usage.total

        async for event in chat.run(ASKED):
            if isinstance(event, ToolRan):
                break
        await chat.complete("Stop it", tools=[])
        assert results(chat.turns)[2:] == ["sunny in Hamburg", "1850000"]
        assert chat.usage.total > usage


async def test_leaving_a_run_at_its_end_keeps_the_answer(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model, tools=TOOLS)
        ends = 0
        async with chat.run(ASKED) as run:
            async for event in run:
                ends += isinstance(event, Finished)
                if ends == 2:
                    break
        assert roles(chat) == ["user", "assistant", "tool", "tool", "assistant"]
        assert "sunny in Hamburg" in chat.turns[-1].text


async def test_an_answer_that_is_not_a_value_is_kept_so_that_it_can_be_corrected(tmp_path: Path) -> None:
    answers = iter(["It is big.", "It is big.", '{"value": 5}'])

    async def script(client: Client) -> None:
        while True:
            body = decode((await client.request()).body)
            text = next(answers)
            message = {"index": 0, "delta" if body.get("stream") else "message": {"content": text}}
            data = encode({"id": "c", "choices": [{**message, "finish_reason": "stop"}]})
            if body.get("stream"):
                await client.send(HEAD + chunked(b"data: %b\n\n" % data) + b"0\r\n\r\n")
            else:
                await client.send(json_answer("200 OK", data))

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        chat = hub.chat(model="chat", output=int)
        with pytest.raises(errors.MalformedReply):
            await chat.complete("How big?")
        with pytest.raises(errors.MalformedReply):
            await chat.run("How big?")
        assert (await chat.stream("Answer with JSON").reply()).value == 5
    assert [turn.text for turn in chat.turns] == [
        "How big?", "It is big.", "How big?", "It is big.", "Answer with JSON", '{"value": 5}',
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["complete", "stream", "run"])
async def test_a_question_can_be_asked_right_after_one_that_was_cancelled(tmp_path: Path, how: str) -> None:
    asked = asyncio.Event()

    async def script(client: Client) -> None:
        if b"slow" in (await client.request()).body:
            asked.set()
            await client.hangup()
        else:
            await client.send(json_answer("200 OK", encode({"choices": [{"message": {"content": "yes"}}]})))

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        chat = hub.chat(model="chat")
        asks = {
            "complete": chat.complete,
            "stream": lambda text: chat.stream(text).reply(),
            "run": lambda text: chat.run(text).reply(),
        }
        task = asyncio.ensure_future(asks[how]("slow"))
        async with asyncio.timeout(60):
            await asked.wait()
        task.cancel()
        assert (await chat.complete("Hi")).text == "yes"
        assert task.cancelled()
    assert [turn.text for turn in chat.turns] == ["Hi", "yes"]


@pytest.mark.parametrize("way", ["text", "reply"])
def test_ctrl_c_stops_a_reply_and_leaves_a_valid_chat(config: Path, simulator: Simulator, model: str, way: str) -> None:
    simulator.journal.clear()
    provider = sync.Hub.open(config).model(model).provider
    read = 'for text in chat.stream("Write 3000 words").text: print(text, flush=True)'
    wait = 'chat.stream("Write 3000 words").reply()'
    code = f"""
from modelbay.sync import Hub

with Hub.open({str(config)!r}) as hub:
    chat = hub.chat(model="{provider}/sim-text!pace=0.05")
    try:
        {read if way == "text" else wait}
    except KeyboardInterrupt:
        chat.complete("Go on", model={model!r})
    print([len(turn.text) > 0 for turn in chat.turns], chat.turns[-2].text)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        if way == "text":
            assert program.stdout.readline()
        while not simulator.journal:
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    kept = [True] * (4 if way == "text" else 2)
    assert rest.endswith(f"{kept} Go on\n")


# --- one question at a time -----------------------------------------------------------------------------------------


async def test_a_second_question_at_the_same_time_is_an_error(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat()
        async with chat.stream("Write 300 words") as stream:
            await anext(stream)
            for ask in (chat.complete, lambda text: chat.stream(text).reply(), chat.run):
                with pytest.raises(errors.ChatBusy, match="has not finished its last reply") as caught:
                    await ask("And?")
                assert "chat.copy()" in str(caught.value.hint)
            other = chat.copy()
            await other.complete("Another one")
            await stream.reply()
        assert [turn.text for turn in chat.turns[::2]] == ["Write 300 words"]
        assert [turn.text for turn in other.turns[::2]] == ["Another one"]
        both = await asyncio.gather(chat.complete("One"), chat.complete("Two"), return_exceptions=True)
        assert [type(one) for one in both] == [Reply, errors.ChatBusy]
        assert len(chat.turns) == 4


async def test_a_stream_sees_the_turns_that_were_there_when_reading_began(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat()
        first, second = chat.stream("One"), chat.stream("Two")
        await first.reply()
        assert "question 2" in (await second.reply()).text


# --- going back and on ----------------------------------------------------------------------------------------------


async def test_a_copy_goes_on_independently(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(system="Be brief.", tools=TOOLS)
        await chat.complete("One")
        fork = chat.copy()
        del fork.turns[-2:]
        fork.settings["system"] = "Be kind."
        await fork.complete("Two")
        assert [turn.text for turn in chat.turns[::2]] == ["One"]
        assert [turn.text for turn in fork.turns[::2]] == ["Two"]
        assert chat.settings["system"] == "Be brief."
        assert fork.usage.total > chat.usage.total > 0
        chat.turns = [*fork.turns, user("Three")]
        assert "question 2" in (await chat.complete([])).text
        assert (await hub.complete(chat.conversation)).text


async def test_wrong_arguments_are_refused_at_once(config: Path) -> None:
    async with Hub.open(config) as hub:
        with pytest.raises(TypeError, match='did you mean "temperature"'):
            hub.chat(temprature=1)  # type: ignore[call-arg]
        chat = hub.chat()
        with pytest.raises(TypeError, match='did you mean "temperature"'):
            chat.stream("Hi", temprature=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="prompt must be a string or a list of turns"):
            chat.stream(Conversation([user("Hi")]))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="max_steps must be at least 1"):
            chat.run("Hi", max_steps=0)
        chat.turns.append("Hi")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"turns\[0\] must be Turn"):
            chat.stream("Hi")


def test_a_blocking_chat_is_used_in_the_same_ways(config: Path, model: str) -> None:
    with sync.Hub.open(config) as hub:
        chat = hub.chat(model=model, tools=TOOLS)
        assert chat.complete("Hi").text
        for piece in chat.stream("Write 300 words").text:
            read = piece
            break
        assert chat.turns[-1].text == read
        with chat.stream("Hi") as stream:
            next(stream)
            with pytest.raises(errors.ChatBusy):
                chat.complete("And?")
            stream.reply()
        run = chat.run(ASKED)
        assert "sunny in Hamburg" in run.reply().text
        fork = hub.load_chat(chat.dumps(), tools=TOOLS).copy()
        assert fork.turns == chat.turns
        fork.model = chat.model
        fork.turns = fork.turns[:2]
        assert fork.stream("And?").reply().text
        assert (len(fork.turns), list(fork.settings)) == (4, ["tools"])
        assert chat.usage.total > 0
        assert chat.context > 0
        assert chat.cost is None
        assert chat.conversation.turns == chat.turns
