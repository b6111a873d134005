"""A prompt has something to answer: a text, files, or the result of a call."""

from pathlib import Path
from typing import Any

import pytest

from modelbay import Conversation, Hub, Text, Tool, ToolCall, ToolResult, Turn, user
from modelbay.library.prompt import Ask
from tests.library.test_prompt import NOWHERE, PICTURE, recording
from tests.test_hub import write_config


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub.open(write_config(tmp_path, NOWHERE))


EMPTY: list[tuple[Any, Ask, str]] = [
    ("", {}, "prompt is empty: pass a text, a turn with content, or files"),
    (" \n", {}, "prompt is empty"),
    ("", {"system": "Be brief."}, "prompt is empty"),
    ([], {}, "prompt is empty"),
    ([user("")], {}, "prompt is empty"),
    ([Turn("assistant", [])], {}, "prompt is empty"),
    ([Turn("system", [Text(text="Be brief.")])], {}, "prompt has only a system prompt: add a user turn"),
    (Conversation([]), {"system": "Be brief."}, "prompt is empty"),
]


@pytest.mark.parametrize(("prompt", "settings", "said"), EMPTY)
async def test_a_prompt_without_content_is_refused(hub: Hub, prompt: Any, settings: Ask, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await hub.complete(prompt, **settings)
    with pytest.raises(ValueError, match=said.replace("prompt", r"prompts\[1\]", 1)):
        await hub.map(["Hi", prompt], **settings)
    with pytest.raises(ValueError, match=said):
        await hub.stream(prompt, **settings).reply()
    with pytest.raises(ValueError, match=said):
        await hub.run(prompt, **settings)
    with pytest.raises(ValueError, match="a chat has its own settings|prompt" if prompt else "prompt is empty"):
        await hub.chat(**settings).complete(prompt if isinstance(prompt, list) else "")


async def test_a_prompt_may_be_a_file_or_the_result_of_a_call(tmp_path: Path) -> None:
    call = Turn("assistant", [ToolCall(id="c1", name="look", arguments="{}")])
    result = Turn("tool", [ToolResult(call_id="c1", parts=[Text(text="")])])
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete("", model="chat", files=[PICTURE])
        await hub.complete([user("Look"), call, result], model="chat", tools=[Tool(name="look")])
        assert (await hub.count("", model="chat", system="Be brief.")).tokens
    assert [part["type"] for part in bodies[0]["messages"][0]["content"]] == ["image_url"]
    assert bodies[1]["messages"][-1]["role"] == "tool"
