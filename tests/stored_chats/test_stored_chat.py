"""A chat keeps a complete answer, the text of an interrupted one, and nothing if there was no answer."""

from contextlib import aclosing

import pytest

from modelbay.conversation import Text, Thinking, Turn
from modelbay.errors import ModelbayError
from modelbay.events import PartDelta
from modelbay.hub import Hub
from modelbay.routing.retry import Policy
from modelbay.stored_chats.stored_chat import StoredChat


async def asks(chat: StoredChat, hub: Hub, text: str) -> None:
    async for _ in chat.ask(hub, text):
        pass


async def test_a_whole_answer_is_kept_with_its_reasoning_and_counted(hub: Hub):
    chat = StoredChat("anthropic/sim-thinker", "low")
    await asks(chat, hub, "Why?")
    await asks(chat, hub, "And?")
    assert [turn.role for turn in chat.turns] == ["user", "assistant", "user", "assistant"]
    assert any(isinstance(part, Thinking) for part in chat.turns[1].parts)
    assert chat.endings == {}
    assert chat.usage.input_total > 0
    assert chat.usage.output_total > 0
    assert chat.context < chat.usage.total


async def test_of_an_interrupted_answer_the_text_is_kept(hub: Hub):
    chat = StoredChat("openai_chat/sim-text!pace=0.01")
    said = ""
    async with aclosing(chat.ask(hub, "write 300 words")) as events:
        async for event in events:
            said += event.text if isinstance(event, PartDelta) else ""
            if len(said) > 50:
                break
    assert chat.turns[-1] == Turn("assistant", [Text(text=said)])
    assert chat.endings == {1: "interrupted"}
    assert chat.branch(2).endings == chat.endings
    assert chat.branch(0).endings == {}
    await asks(StoredChat("openai_chat/sim-text", turns=chat.turns), hub, "Go on")


@pytest.mark.parametrize(
    ("model", "text", "ending"),
    [
        ("openai_chat/sim-text!cut-after", "write 300 words", "failed"),
        ("openai_chat/sim-text", "SIM_FILTER", "content_filter"),
    ],
)
async def test_it_keeps_how_an_incomplete_answer_ended(hub: Hub, model: str, text: str, ending: str):
    hub._client.policy = Policy(base=0.01)
    chat = StoredChat(model)
    await asks(chat, hub, text)
    assert chat.endings == {1: ending}


@pytest.mark.parametrize("fault", ["401", "cut-before", "503"])
async def test_where_nothing_came_the_chat_is_as_it_was(hub: Hub, fault: str):
    hub._client.policy = Policy(base=0.01)
    chat = StoredChat(f"openai_chat/sim-text!{fault}")
    with pytest.raises(ModelbayError):
        await asks(chat, hub, "Hello")
    assert chat == StoredChat(f"openai_chat/sim-text!{fault}")
