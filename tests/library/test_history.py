"""Chats as text: everything survives, goes on elsewhere, and is sent only where it belongs; other texts are refused."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelbay import (
    Annotation,
    Hub,
    Media,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    sync,
    user,
)
from modelbay.conversation import (
    Provenance,
    ResponsesItem,
    ServerToolCall,
    ServerToolResult,
    Tool,
    UnknownPart,
)
from modelbay.errors import UnreadableChat
from modelbay.json_text import encode
from modelbay.library import history
from modelbay.library.history import History, StoredHistory, stored_turn, turn_of
from modelbay.secrecy import register
from modelbay.simulator import Simulator
from tests.library.conftest import model_of

MODELS = ("openai_chat", "openai_responses", "anthropic", "google")
ORIGIN = Provenance("anthropic", "anthropic", "claude")
COMMON: dict[str, Any] = {
    "origin": ORIGIN,
    "opaque": "c2lnbmF0dXJl+/=",
    "annotations": [Annotation("url", url="https://a.example", start=1, end=2, protocol="anthropic", raw={"x": [1.5]})],
    "cache": {"type": "ephemeral"},
    "native": "redacted_thinking",
    "item_id": "rs_1",
    "extra": {"phase": None, "deep": {"list": [True, 2**53, -0.1, "é\u2028\n"]}},
}
EVERYTHING = [
    Turn(
        "user", [Media(kind="image", data="aGk=", media_type="image/png", name="a.png", detail="low"), Text(text="Hi")]
    ),
    Turn("user", [Media(kind="document", url="https://a.example/b.pdf"), Media(kind="video", file_id="file-1")]),
    Turn("user", [Media(kind="document", parts=[Text(text="a"), Text(text="b")], name="c")], name="Ann"),
    Turn("assistant", [Thinking(texts=["a", "b"], summary=True, **COMMON), Thinking(opaque="")]),
    Turn("assistant", [Text(text="…", logprobs=[{"token": "…", "logprob": -0.25}], **COMMON)]),
    Turn("assistant", [ToolCall(name="f", arguments='{"b": 1.0,  "a": 1e400}', id="c1", namespace="n", **COMMON)]),
    Turn("assistant", [ToolCall(name="g", arguments="*** patch", format="text", cut=True)]),
    Turn("tool", [ToolResult(call_id="c1", name="f", parts=[Text(text="x"), Media(kind="image", data="aGk=")])]),
    Turn("tool", [ToolResult(call_id="c2", is_error=True)]),
    Turn("assistant", [ServerToolCall(name="web_search", arguments="{}", id="s1", **COMMON)]),
    Turn("assistant", [ServerToolResult(call_id="s1", content=[{"encrypted_content": "x"}], is_error=False)]),
    Turn("assistant", [Refusal(text="No.", **COMMON), UnknownPart(raw={"type": "new"}, native="new")]),
    Turn("assistant", item=ResponsesItem("rs_1", "completed", "commentary"), native="model", extra={"x": None}),
    Turn("user", [Text(text="Go")], tools=[Tool(name="f", schema={"type": "object"}, strict=True)]),
]

FIELDS = {
    "StoredHistory": "context known_cost model modelbay_chat system turns unpriced usage",
    "Turn": "extra item name native parts role tools",
    "Text": "annotations cache extra item_id logprobs native opaque origin text type",
    "Provenance": "family protocol vendor",
    "Annotation": "end kind protocol raw start text title unit url",
    "Media": "annotations cache data detail extra file_id item_id kind media_type name native opaque origin parts text type url",
    "ToolCall": "annotations arguments cache cut extra format id item_id name namespace native opaque origin type",
    "ToolResult": "annotations cache call_id extra is_error item_id name native opaque origin parts type",
    "Thinking": "annotations cache extra item_id native opaque origin summary texts type",
    "Refusal": "annotations cache extra item_id native opaque origin text type",
    "ServerToolCall": "annotations arguments cache extra id item_id name native opaque origin type",
    "ServerToolResult": "annotations cache call_id content extra is_error item_id native opaque origin type",
    "UnknownPart": "annotations cache extra item_id native opaque origin raw type",
    "ResponsesItem": "id phase status",
    "Tool": "cache description extra function grammar kind loaded name native raw schema strict tools",
    "Usage": "cache_read cache_write cache_write_1h input output raw reasoning tool_prompt web_searches",
}
"""The fields of stored values, by class, in version 1."""


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def test_every_field_of_every_part_survives() -> None:
    with sync.Hub.of(base_url="http://127.0.0.1:9/v1") as hub:
        chat = hub.chat(system="Be brief.", model=["a", "b"])
        chat.turns = EVERYTHING
        again = hub.load_chat(chat.dumps())
        assert repr(again) == f"<Chat: {len(chat.turns)} turns>"
    assert again.turns == EVERYTHING
    assert again.turns is not EVERYTHING
    assert (again.settings, again.model) == ({"system": "Be brief."}, ["a", "b"])
    assert again.dumps() == chat.dumps()
    assert [turn_of(stored_turn(turn)) for turn in EVERYTHING] == EVERYTHING


def test_the_example_has_all_kinds_of_parts() -> None:
    parts = [part for turn in EVERYTHING for part in turn.parts]
    kinds = {Text, Media, ToolCall, ToolResult, Thinking, Refusal, ServerToolCall, ServerToolResult, UnknownPart}
    assert {type(part) for part in parts} == kinds


def test_a_changed_field_of_a_stored_part_needs_a_new_version() -> None:
    """Older programs would read a text with the same version, and lose the field silently."""
    _, found = msgspec.json.schema_components([StoredHistory], schema_hook=lambda kind: {"type": "object"})
    fields = {name: " ".join(sorted(schema.get("properties", {}))) for name, schema in found.items()}
    assert (history.VERSION, fields) == (1, FIELDS), "increase VERSION, and keep reading texts of the versions before"


@pytest.mark.parametrize("first", MODELS)
@pytest.mark.parametrize("second", MODELS)
async def test_a_chat_with_thinking_and_tools_goes_on_at_another_provider(
    config: Path, simulator: Simulator, first: str, second: str
) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model_of(config, first), effort="high", tools=[get_weather])
        await chat.run("Use the weather tool for `Hamburg`")
        text = chat.dumps()
    states = [part.opaque for turn in chat.turns for part in turn.parts if part.opaque]
    assert states or first == "openai_chat"
    async with Hub.open(config) as hub:
        again = hub.load_chat(text, model=model_of(config, second), effort="high", tools=[get_weather])
        simulator.journal.clear()
        assert (await again.run("And in `Berlin`? Use the weather tool")).text
        assert (await again.complete("Thanks", model=model_of(config, first))).text
    other, back = simulator.journal[0].body, simulator.journal[-1].body
    for state in states:
        assert (encode(state)[1:-1] in other) == (first == second)
        assert encode(state)[1:-1] in back
    assert b"sunny in Hamburg" in other


def test_a_chat_goes_on_in_another_process(config: Path) -> None:
    with sync.Hub.open(config) as hub:
        chat = hub.chat(model=model_of(config, "anthropic"), system="Be brief.")
        chat.complete("Hi")
        text = chat.dumps()
    code = (
        "import sys; from modelbay.sync import Hub\n"
        f"with Hub.open({str(config)!r}) as hub:\n"
        f"    chat = hub.load_chat(sys.stdin.read(), model={model_of(config, 'google')!r})\n"
        "    print(chat.complete('And?').text, chat.settings['system'], len(chat.turns))"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True)
    assert "question 2 of our conversation" in ran.stdout
    assert ran.stdout.endswith("Be brief. 4\n")


def test_api_keys_and_settings_are_not_in_the_text() -> None:
    key = "sk-test-0123456789abcdefghij"
    with sync.Hub.of(base_url="http://127.0.0.1:9/v1", api_key=key) as hub:
        register(key)
        chat = hub.chat(system=f"Say {key}", extra_headers={"X-Team": "blue-team-secret"}, tools=[get_weather])
        chat.turns = [user(f"My key is {key}"), Turn("user", tools=[Tool.of(get_weather)])]
        text = chat.dumps()
        again = hub.load_chat(text)
    assert key not in text
    assert "blue-team-secret" not in text
    assert again.turns[0].text == "My key is …"
    assert again.turns[1].tools is not None
    assert again.turns[1].tools[0].function is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text is not a chat"),
        ("Hello", "the text is not a chat"),
        ("[]", "it has no `modelbay_chat` with a version"),
        ('{"turns": []}', "it has no `modelbay_chat` with a version"),
        ('{"modelbay_chat": true, "turns": []}', "it has no `modelbay_chat`"),
        ('{"modelbay_chat": 0, "turns": []}', "it has no `modelbay_chat`"),
        ('{"modelbay_chat": 2, "turns": []}', "a newer version of modelbay wrote the chat: its format is 2"),
        ('{"modelbay_chat": 1}', "Object missing required field `turns`"),
        ('{"modelbay_chat": 1, "turns": [{"role": "root"}]}', r"\$\.turns\[0\]\.role"),
        ('{"modelbay_chat": 1, "turns": [{"role": "user", "parts": [{"type": "text", "text": 5}]}]}', "Expected `str`"),
        ('{"modelbay_chat": 1, "turns": [{"role": "user", "parts": [{"type": "new"}]}]}', "Invalid value 'new'"),
        ('{"modelbay_chat": 1, "turns": [], "model": 5}', r"\$\.model"),
        ('{"modelbay_chat": 1, "turns": [], "usage": {"input": "many"}}', r"\$\.usage\.input"),
        ('{"modelbay_chat": 1, "turns": ' + "[" * 100_000, "the text is not a chat"),
        ('{"modelbay_chat": 1, "turns": [], "x": ' + "[" * 300 + "]" * 300 + "}", "nested more than 200 levels deep"),
        ('{"modelbay_chat": 1, "turns": [', "the text is not a chat"),
    ],
)
def test_other_texts_are_refused_with_the_reason(text: str, said: str) -> None:
    with sync.Hub.of(base_url="http://127.0.0.1:9/v1") as hub, pytest.raises(UnreadableChat, match=said) as caught:
        hub.load_chat(text)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_text_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LARGEST", 2**20)
    with sync.Hub.of(base_url="http://127.0.0.1:9/v1") as hub:
        with pytest.raises(UnreadableChat, match="it has 2 MB, more than 1 MB"):
            hub.load_chat(" " * 2**21)
        chat = hub.chat()
        chat.turns = [user("x" * 2**21)]
        with pytest.raises(UnreadableChat, match="the chat cannot be stored: it has 2 MB, more than 1 MB"):
            chat.dumps()
        with pytest.raises(TypeError, match="text must be a string, not bytes"):
            hub.load_chat(b"{}")  # type: ignore[arg-type]


async def test_a_text_cut_anywhere_is_refused_or_the_same(config: Path) -> None:
    async with Hub.open(config) as hub:
        chat = hub.chat(model=model_of(config, "anthropic"), effort="high")
        await chat.complete("Hi")
        text = chat.dumps()
        for end in range(len(text)):
            with pytest.raises(UnreadableChat):
                hub.load_chat(text[:end])
        assert hub.load_chat(f"\ufeff {text}\n").turns == chat.turns


def test_a_lone_surrogate_can_be_stored() -> None:
    assert turn_of(stored_turn(user("a\ud800"))).text == "a\ufffd"


def test_a_reply_without_a_price_makes_the_cost_unknown() -> None:
    one = History()
    one.count(Reply(usage=Usage(input=1, raw={"x": 1})))
    assert (one.known_cost, one.unpriced, one.usage) == (None, 1, Usage(input=1))
    other = one.copied()
    other.count(Reply())
    assert (one.unpriced, other.unpriced) == (1, 2)


def test_a_chat_can_be_loaded_in_several_threads(config: Path) -> None:
    with sync.Hub.open(config) as hub:
        chat = hub.chat()
        chat.turns = EVERYTHING
        text = chat.dumps()

        async def work() -> list[Any]:
            return await asyncio.gather(*(asyncio.to_thread(hub.load_chat, text) for _ in range(8)))

        assert all(one.turns == EVERYTHING for one in asyncio.run(work()))
