"""Arguments of a call through the hub: invalid ones are refused at once, and none is dropped."""

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from modelbay import (
    Conversation,
    Hub,
    Media,
    OutputFormat,
    Reasoning,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    sync,
    user,
)
from modelbay.config.load import parse
from modelbay.config.schema import Config
from modelbay.conversation import Annotation, Provenance
from modelbay.errors import MalformedReply, ModelbayError, TimedOut, UnreadableFile
from modelbay.events import Failed
from modelbay.library.prompt import Ask
from modelbay.routing.retry import Policy
from tests.faults.raw_server import Client, RawServer, Received
from tests.test_hub import CHUNK, HEAD, chunked, json_answer, write_config

PICTURE = Media(kind="image", data="aGk=", media_type="image/png")
WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}'
NOWHERE = "http://127.0.0.1:9"
ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)


@asynccontextmanager
async def recording(
    folder: Path, answer: bytes = json_answer("200 OK", WHOLE), more: str = ""
) -> AsyncIterator[tuple[Hub, list[dict[str, Any]]]]:
    """A hub, and the bodies that its provider receives."""
    bodies: list[dict[str, Any]] = []

    async def script(client: Client) -> None:
        while True:
            bodies.append(json.loads((await client.request()).body))
            await client.send(answer)

    async with RawServer(script) as server, Hub.open(write_config(folder, server.url, more)) as hub:
        yield hub, bodies


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub.open(write_config(tmp_path, NOWHERE))


# --- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("temprature", 'did you mean "temperature"?'),
        ("max_output_tokens", 'did you mean "max_tokens"?'),
        ("max_completion_tokens", 'did you mean "max_tokens"?'),
        ("reasoning_effort", 'did you mean "effort"?'),
        ("response_format", 'did you mean "output" or "output_format"?'),
        ("response_schema", 'did you mean "output"?'),
        ("instructions", 'did you mean "system"?'),
        ("images", 'did you mean "files"?'),
        ("fallbacks", 'pass several: model=["a", "b"]'),
        ("message_history", "pass turns as the prompt"),
        ("max_turns", "hub.run has `max_steps`"),
        ("max_workers", "hub.map has `limit`"),
        ("parallel_tool_calls", "pass tool_choice=ToolChoice(parallel=False)"),
        ("stop_sequences", 'did you mean "stop"?'),
        ("system_prompt", 'did you mean "system"?'),
        ("logit_bias", 'pass it in a conversation: Conversation([user("…")], Settings(logit_bias=…))'),
        ("modalities", "Settings(modalities=…)"),
        ("headers", 'did you mean "extra_headers"?'),
        ("stream", "call hub.stream"),
        ("messages", "pass turns as the prompt"),
        ("functions", "pass them as tools"),
        ("response_model", 'did you mean "output"?'),
        ("thinking", 'did you mean "effort" or "thinking_budget"?'),
        ("reasoning", 'did you mean "effort" or "thinking_budget"?'),
        ("api_key", "pass it to Hub.of"),
        ("api_base", "pass it to Hub.of"),
        ("max_retries", 'did you mean "retries"?'),
        ("n", "a call has one reply; for several replies, call hub.map([prompt] * 3)"),
        ("xyz", "must be one of system, files, tools, "),
    ],
)
async def test_an_unknown_setting_is_refused_with_the_nearest_name(hub: Hub, name: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        await hub.complete("Hi", **{name: 1})  # type: ignore[arg-type]
    assert f'"{name}" is not a setting of a call' in str(caught.value)
    assert said in str(caught.value)


async def test_several_replies_of_one_call_are_refused(hub: Hub) -> None:
    with pytest.raises(
        ValueError, match=r"settings\.n must be 1: a call has one reply; for several replies, call hub\.map"
    ):
        hub.stream(Conversation([user("Hi")], Settings(n=2)))
    hub.stream(Conversation([user("Hi")], Settings(n=1)))


WRONG: list[tuple[str, object, str]] = [
    ("system", ["Be brief."], "system must be a string, not list"),
    ("files", [b"\x89PNG"], "files[0] must be Media, as Media.open(PATH) or Media.of(BYTES"),
    ("files", "a.png", "files must be a list of Media, as Media.open(PATH) or Media.of(BYTES"),
    ("files", PICTURE, "files must be a list of Media, as Media.open(PATH) or Media.of(BYTES"),
    ("files", [Media(kind="image", data=b"\x89PNG")], "files[0].data must be a string, not bytes"),  # type: ignore[arg-type]
    ("tools", [{"name": "f"}], 'pass Tool(name=tool["name"])'),
    ("tools", [print], "print cannot be a tool: models pass arguments by name, which *args does not allow"),
    ("tools", Tool(name="f"), "tools must be a list of Tool, as Tool(name="),
    ("tools", [Tool(name="f", tools=["g"])], "tools[0].tools[0] must be Tool, as Tool(name="),  # type: ignore[list-item]
    ("tool_choice", "required", 'tool_choice must be ToolChoice, as ToolChoice("required")'),
    ("output", print, "output: Type"),
    ("output_format", {"type": "json_object"}, 'output_format must be OutputFormat, as OutputFormat("json")'),
    ("effort", 2, "effort must be a string, not int"),
    ("thinking_budget", "1k", "thinking_budget must be an integer, not str"),
    ("max_tokens", "5", "max_tokens must be an integer, not str"),
    ("max_tokens", 5.0, "max_tokens must be an integer, not float"),
    ("max_tokens", True, "max_tokens must be an integer, not bool"),
    ("temperature", "0.5", "temperature must be a number, not str"),
    ("top_p", [0.5], "top_p must be a number, not list"),
    ("top_k", 0.5, "top_k must be an integer, not float"),
    ("seed", "1", "seed must be an integer, not str"),
    ("frequency_penalty", "1", "frequency_penalty must be a number, not str"),
    ("presence_penalty", True, "presence_penalty must be a number, not bool"),
    ("logprobs", 5, "logprobs must be True or False, not int"),
    ("top_logprobs", True, "top_logprobs must be an integer, not bool"),
    ("service_tier", 1, "service_tier must be a string, not int"),
    ("metadata", ["a"], "metadata must be a dict, not list"),
    ("metadata", {1: "a"}, "the names in metadata must be strings, not int"),
    ("user", 7, "user must be a string, not int"),
    ("cache", True, "cache must be a dict, not bool"),
    ("cache_key", 1, "cache_key must be a string, not int"),
    ("extra_body", [("a", 1)], "extra_body must be a dict, not list"),
    ("extra_body", {"a": [{"b": object()}]}, "extra_body['a'][0]['b'] must be a value of JSON, not object"),
    ("extra_body", {"a": {(1, 2): 3}}, "the names in extra_body['a'] must be strings, not tuple"),
    (
        "output_format",
        OutputFormat("json_schema", schema={"a": print}),
        "output_format.schema['a'] must be a value of JSON",
    ),
    ("extra_headers", {"x-team": 7}, "extra_headers['x-team'] must be a string, not int"),
    ("extra_headers", ["x-team: 7"], "extra_headers must be a dict of strings, not list"),
    ("timeout", "5", "timeout must be a number, not str"),
    ("retries", 1.5, "retries must be an integer, not float"),
    ("stop", "END", "stop must be a list of strings, not str"),
    ("stop", ["END", 3], "stop[1] must be a string, not int"),
    ("model", 3, "model must be a string or a list of strings, not int"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
async def test_a_value_of_a_wrong_type_is_refused_by_name(hub: Hub, name: str, value: object, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        await hub.complete("Hi", **{name: value})  # type: ignore[arg-type]
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_tokens", 0, "max_tokens must be at least 1, not 0"),
        ("temperature", -0.1, "temperature must be at least 0, not -0.1"),
        ("temperature", float("nan"), "temperature must be at least 0, not nan"),
        ("temperature", float("inf"), "temperature must be at least 0, not inf"),
        ("top_p", 1.5, "top_p must be from 0 to 1, not 1.5"),
        ("top_k", 0, "top_k must be at least 1, not 0"),
        ("thinking_budget", -1, "thinking_budget must be at least 0, not -1"),
        ("frequency_penalty", 3, "frequency_penalty must be from -2 to 2, not 3"),
        ("timeout", 0, "timeout must be more than 0, not 0"),
        ("timeout", float("nan"), "timeout must be more than 0, not nan"),
        ("retries", -1, "retries must be at least 0, not -1"),
        ("tool_choice", ToolChoice("required"), 'tool_choice "required" requires tools'),
        ("tools", [Tool(name="f"), Tool(name="f")], "several tools are called f"),
        ("model", "", "model must not be empty: leave it out, or set the variable that it comes from"),
        ("model", " ", "model must not be empty"),
        ("model", ["chat", ""], "model[1] must not be empty"),
        ("model", [], "model must not be an empty list"),
        ("stop", ["END", ""], "stop[1] must not be empty: leave it out, or set the variable that it comes from"),
        ("tools", [Tool(schema={})], "tools[0].name must not be empty"),
        ("extra_body", {"a": [{"b": float("nan")}]}, "extra_body['a'][0]['b'] must be a finite number"),
        ("extra_body", {"a": ENDLESS}, "extra_body['a'] is nested too deeply for JSON"),
        ("metadata", {"ratio": float("inf")}, "metadata['ratio'] must be a finite number: JSON does not have inf"),
        ("tools", [Tool(name="f", schema={"default": float("-inf")})], "tools[0].schema['default'] must be a finite"),
        ("extra_headers", {"x team": "blue"}, "extra_headers['x team'] must be a header: letters, digits"),
        ("extra_headers", {"x-team": "a\r\nb: c"}, "extra_headers['x-team'] must be a header"),
        ("extra_headers", {"x-team": "\u20ac"}, "one line of Latin-1 text as its value"),
        ("tool_choice", ToolChoice("get_weather"), "tool_choice.mode must be 'auto', 'none', "),  # type: ignore[arg-type]
        ("output_format", OutputFormat("json_schema"), "output_format requires a schema"),
        ("output_format", OutputFormat("json_object"), "output_format.kind must be 'text', 'json' or 'json_schema'"),  # type: ignore[arg-type]
        ("files", [Media(kind="picture", data="aGk=")], "files[0].kind must be 'image', 'audio', "),  # type: ignore[arg-type]
    ],
)
async def test_a_value_that_is_not_allowed_is_refused_by_name(hub: Hub, name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        await hub.complete("Hi", **{name: value})  # type: ignore[arg-type]
    assert said in str(caught.value)


async def test_an_empty_stop_sequence_of_a_conversation_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match=r"prompt.settings.stop\[0\] must not be empty"):
        await hub.complete(Conversation([user("Hi")], Settings(stop=[""])))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice("tool"), r'tool_choice "tool" requires the name of a tool: ToolChoice\("tool", '),
        (ToolChoice("allowed"), 'tool_choice "allowed" requires the name of a tool'),
        (ToolChoice("tool", ["g"]), "tool_choice names g, which is not one of the tools: f"),
    ],
)
async def test_a_choice_of_a_tool_that_is_not_there_is_refused(hub: Hub, choice: ToolChoice, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await hub.complete("Hi", tools=[Tool(name="f")], tool_choice=choice)
    with pytest.raises(ValueError, match=said):
        await hub.complete(Conversation([user("Hi")], Settings(tools=[Tool(name="f")], tool_choice=choice)))


async def test_values_that_json_can_hold_are_sent(tmp_path: Path) -> None:
    extra = {"bias": {50256: -100}, "day": date(2026, 1, 2), "pair": (1, 2.5), "none": None}
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete("Hi", model="chat", extra_body=extra)
    assert {name: bodies[0][name] for name in extra} == {
        "bias": {"50256": -100},
        "day": "2026-01-02",
        "pair": [1, 2.5],
        "none": None,
    }


def test_every_setting_has_a_wrong_type_here() -> None:
    assert {name for name, _, _ in WRONG} == {*Ask.__annotations__, "model"}


def test_every_setting_is_in_the_guide() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "python.md"
    page = guide.read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted([*Ask.__annotations__, "model"])


async def test_every_setting_is_sent(tmp_path: Path) -> None:
    async with recording(tmp_path) as (hub, bodies):
        reply = await hub.complete(
            "Hi",
            model="chat",
            system="Reply in JSON.",
            files=(PICTURE,),
            tools=(Tool(name="look"),),
            tool_choice=ToolChoice("required"),
            output_format=OutputFormat("json"),
            effort="low",
            max_tokens=5,
            temperature=1,
            top_p=0,
            stop=("END",),
            seed=7,
            frequency_penalty=0.5,
            presence_penalty=-1,
            logprobs=True,
            top_logprobs=2,
            service_tier="flex",
            metadata={"team": "blue"},
            user="u1",
            cache_key="k1",
            extra_body={"custom": {"a": 1}},
            retries=0,
            timeout=60,
        )
    [body] = bodies
    assert {
        name: body[name] for name in ("seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")
    } == {
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": -1,
        "logprobs": True,
        "top_logprobs": 2,
    }
    assert {name: body[name] for name in ("service_tier", "metadata", "user", "custom")} == {
        "service_tier": "flex",
        "metadata": {"team": "blue"},
        "user": "u1",
        "custom": {"a": 1},
    }
    assert "cache_key" in [warning.setting for warning in reply.warnings]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "text"]
    assert body["tools"][0]["function"]["name"] == "look"
    assert body["response_format"] == {"type": "json_object"}
    assert {name: body[name] for name in ("tool_choice", "reasoning_effort", "temperature", "top_p", "stop")} == {
        "tool_choice": "required",
        "reasoning_effort": "low",
        "temperature": 1,
        "top_p": 0,
        "stop": ["END"],
    }
    assert body["max_tokens"] == 5


async def test_settings_of_one_protocol_are_sent_where_they_exist(tmp_path: Path) -> None:
    thinking: Ask = {"thinking_budget": 2_000, "max_tokens": 9_000, "cache": {"type": "ephemeral"}, "retries": 0}
    async with recording(tmp_path) as (hub, bodies):
        for settings in (thinking, Ask(top_k=5, retries=0)):
            with suppress(ModelbayError):  # the reply is that of another protocol
                await hub.complete("Hi", model="messages", **settings)
    assert [body.get("top_k") for body in bodies] == [None, 5]
    assert bodies[0]["thinking"] == {"type": "enabled", "budget_tokens": 2_000}
    assert bodies[0]["cache_control"] == {"type": "ephemeral"}


THINKER = """
[models.thinker]
provider = "chat"
model = "unknown-2"
capabilities = ["thinking"]
support_efforts = ["low", "medium", "high"]
default_effort = "low"
variants.deep.reasoning_effort = "high"

[models.lazy]
provider = "chat"
model = "unknown-3"
default_effort = "low"

[models.levels]
provider = "chat"
model = "unknown-4"
support_efforts = ["low", "high"]

[models.never]
provider = "chat"
model = "unknown-5"
reasoning = false
default_effort = "low"
"""


@pytest.mark.parametrize(
    ("configured", "name", "asked", "sent"),
    [
        ("", "thinker", {}, "low"),
        ("enabled = true", "thinker", {}, "low"),
        ('effort = "medium"', "thinker", {}, "medium"),
        ('enabled = false\neffort = "medium"', "thinker", {}, "none"),
        ("enabled = false", "thinker", {"effort": "high"}, "high"),
        ("enabled = false", "thinker", {"thinking_budget": 1_000}, "low"),
        ('effort = "high"', "thinker", {"thinking_budget": 5_000}, "medium"),
        ("", "thinker", {"thinking_budget": 0}, "none"),
        ("", "thinker:deep", {"effort": "low"}, "high"),
        ("", "thinker:deep", {"extra_body": {"reasoning_effort": "medium"}}, "medium"),
        ('effort = "high"', "chat", {}, None),
        ("", "lazy", {}, "low"),
        ("", "levels", {}, None),
        ('effort = "high"', "levels", {}, "high"),
        ('effort = "high"', "never", {}, None),
        ("enabled = false", "chat", {}, None),
        ("", "chat", {"effort": "high"}, "high"),
    ],
)
async def test_the_effort_of_a_call_comes_before_the_configured_ones(
    tmp_path: Path, configured: str, name: str, asked: Ask, sent: str | None
) -> None:
    async with recording(tmp_path, more=THINKER + f"[thinking]\n{configured}") as (hub, bodies):
        await hub.complete("Hi", model=name, **asked)
    assert bodies[0].get("reasoning_effort") == sent


async def test_further_headers_are_sent_and_never_replace_the_key(tmp_path: Path) -> None:
    received: list[Received] = []

    async def script(client: Client) -> None:
        received.append(await client.request())
        await client.send(json_answer("200 OK", WHOLE))

    async with RawServer(script) as server:
        file = write_config(tmp_path, server.url)
        file.write_text(
            file.read_text().replace('type = "openai"', 'type = "openai"\napi_key = "sk-of-the-provider"', 1)
        )
        async with Hub.open(file) as hub:
            await hub.complete("Hi", model="chat", extra_headers={"X-Team": "blue", "authorization": "Bearer other"})
    assert received[0].headers["x-team"] == "blue"
    assert received[0].headers["authorization"] == "Bearer sk-of-the-provider"


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3)])
async def test_a_call_is_retried_as_often_as_it_says(tmp_path: Path, retries: int, requests: int) -> None:
    async with recording(tmp_path, json_answer("503 Service Unavailable", b"{}", b"retry-after-ms: 1\r\n")) as (
        hub,
        bodies,
    ):
        hub._client.policy = Policy(base=0.0)
        with pytest.raises(ModelbayError) as caught:
            await hub.complete("Hi", model="chat", retries=retries)
    assert (len(bodies), caught.value.attempts) == (requests, requests)


async def test_the_timeout_of_a_call_covers_all_of_it(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.hangup()

    async with RawServer(script) as server, Hub.open(write_config(tmp_path, server.url)) as hub:
        with pytest.raises(TimedOut, match=r"the call took longer than 0\.3 s") as caught:
            await hub.complete("Hi", model="chat", timeout=0.3)
        assert caught.value.stage == "call"
        events = [event async for event in hub.stream("Hi", model="chat", timeout=0.3)]
        assert isinstance(events[-1], Failed)
        assert isinstance(events[-1].error, TimedOut)
        with pytest.raises(TimedOut) as caught:
            await hub.stream("Hi", model="chat", timeout=0.3).reply()
    assert caught.value.reply is None or caught.value.reply.text == ""


async def test_a_timeout_between_two_attempts_says_why_the_first_one_failed(tmp_path: Path) -> None:
    busy = json_answer("503 Service Unavailable", b'{"error": {"message": "all busy"}}', b"retry-after: 40\r\n")
    async with recording(tmp_path, busy) as (hub, bodies):
        mapping = asyncio.create_task(hub.map(["Hi"], model="chat", timeout=2))
        both = await asyncio.gather(
            hub.complete("Hi", model="chat", timeout=2),
            hub.stream("Hi", model="chat", timeout=2).reply(),
            return_exceptions=True,
        )
        [mapped] = await mapping
    for error in (*both, mapped.error):
        assert isinstance(error, TimedOut)
        assert error.message.startswith("the call took longer than 2 s: all busy: retrying in 40")
    assert len(bodies) == 3


async def test_a_setting_of_the_call_goes_before_the_conversation_s_own(tmp_path: Path) -> None:
    settings = Settings(temperature=1, max_output_tokens=9, seed=3, reasoning=Reasoning(effort="high"))
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete(Conversation([user("Hi")], settings), max_tokens=5, effort="low")
        await hub.complete(Conversation([user("Hi")], settings), max_tokens=None, effort=None)
    picked = ("temperature", "max_tokens", "seed", "reasoning_effort")
    assert [{name: body[name] for name in picked} for body in bodies] == [
        {"temperature": 1, "max_tokens": 5, "seed": 3, "reasoning_effort": "low"},
        {"temperature": 1, "max_tokens": 9, "seed": 3, "reasoning_effort": "high"},
    ]


# --- prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (None, "prompt must be a string, Conversation or a list of Turn, as user("),
        (b"Hi", "prompt must be a string, Conversation or a list of Turn, as user("),
        (user("Hi"), "prompt must be a string, a Conversation or a list of turns, not Turn: pass [turn]"),
        ((user(word) for word in ("a", "b")), "prompt must be a string, Conversation or a list of Turn, as user("),
        (["Hi", "you"], 'prompt[0] must be Turn, as user("…") or Turn("assistant", [Text(text="…")]), not str'),
        ([user("Hi"), {"role": "user", "content": "Hi"}], 'prompt[1] must be Turn, as user("…") or'),
        ([Turn("user", "Hi")], 'prompt[0].parts must be a list of parts, as in user("…") or'),  # type: ignore[arg-type]
        ([Turn("user", ["Hi"])], "prompt[0].parts[0] must be Text, Media, "),  # type: ignore[list-item]
        ([Turn("user", [Text(text=3)])], "prompt[0].parts[0].text must be a string, not int"),  # type: ignore[arg-type]
        (
            [user("Hi"), Turn("tool", [ToolResult(call_id="1", parts="sunny")])],  # type: ignore[arg-type]
            "prompt[1].parts[0].parts must be a list of parts",
        ),
        (Conversation(["Hi"]), "prompt.turns[0] must be Turn, as user("),  # type: ignore[list-item]
        (Conversation("Hi"), "prompt.turns must be a list of Turn"),  # type: ignore[arg-type]
        (Conversation([user("Hi")], {"seed": 1}), "prompt.settings must be Settings, not dict"),  # type: ignore[arg-type]
        (Conversation([user("Hi")], Settings(seed="1")), "prompt.settings.seed must be an integer, not str"),  # type: ignore[arg-type]
    ],
)
async def test_a_prompt_of_a_wrong_type_is_refused_at_once(hub: Hub, prompt: Any, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        await hub.complete(prompt)
    assert said in str(caught.value)


def test_a_role_that_does_not_exist_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match=r"prompt\[0\].role must be 'system', 'developer', 'user', "):
        hub.stream([Turn("bot", [Text(text="Hi")])])  # type: ignore[arg-type]


async def test_turns_of_providers_and_clients_are_not_validated(tmp_path: Path) -> None:
    odd = Annotation("url", start="0")  # type: ignore[arg-type]
    said = Turn("assistant", [Text(text="Yes.", annotations=[odd], origin=Provenance("openai_chat"))])
    parsed = Conversation([user("Hi"), user("And?")], Settings(seed="7"), protocol="google")  # type: ignore[arg-type]
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete([user("Hi"), said, user("And?")])
        await hub.complete(parsed)
    assert [len(body["messages"]) for body in bodies] == [3, 2]


def history() -> list[Turn]:
    return [user("Look"), Turn("assistant", [Thinking(texts=["Hm"]), Text(text="Where?")]), user("Here")]


@pytest.mark.parametrize("made", [history, tuple, Conversation])
async def test_files_go_with_the_last_user_turn_and_the_prompt_stays_as_it_was(tmp_path: Path, made: Any) -> None:
    prompt: Sequence[Turn] | Conversation = made() if made is history else made(history())
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete(prompt, files=[PICTURE], system="Be brief.")
    [body] = bodies
    content = [message["content"] for message in body["messages"]]
    assert [part["type"] for part in content[-1]] == ["image_url", "text"]
    assert content[:3] == ["Be brief.", "Look", "Where?"]
    turns = prompt.turns if isinstance(prompt, Conversation) else prompt
    assert list(turns) == history()


@pytest.mark.parametrize("prompt", [[], [Turn("assistant", [Text(text="Hi")])], Conversation()])
async def test_files_without_a_user_turn_are_refused(hub: Hub, prompt: Any) -> None:
    with pytest.raises(TypeError, match="the prompt has no user turn"):
        await hub.complete(prompt, files=[PICTURE])


# --- both hubs ---------------------------------------------------------------------------------------------------------


def test_a_stream_refuses_at_its_call_and_not_at_its_first_event(hub: Hub, tmp_path: Path) -> None:
    with sync.Hub.open(tmp_path / "config.toml") as blocking:
        for door in (hub, blocking):
            with pytest.raises(TypeError, match="temperature"):
                door.stream("Hi", temprature=1)  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="positional"):
                door.stream("chat", "Hi")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["complete", "stream"])
def test_both_hubs_are_called_alike(name: str) -> None:
    ours, theirs = getattr(Hub, name), getattr(sync.Hub, name)
    assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_hub_is_not_made_of_a_path(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"config must be a Config, not str: call Hub.open\(PATH\)"):
        kind("config.toml")
    assert isinstance(parse("", Path("config.toml")), Config)


async def test_files_can_be_paths_and_urls(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("Buy milk.")
    (tmp_path / "dot.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    files: list[Any] = [tmp_path / "notes", str(tmp_path / "dot.jpg"), "https://example.test/a.png", PICTURE]
    async with recording(tmp_path) as (hub, bodies):
        await hub.complete("Hi", model="chat", files=files)
    contents = bodies[0]["messages"][0]["content"]
    assert "Buy milk." in json.dumps(contents[0])
    assert [part["image_url"]["url"][:23] for part in contents if part["type"] == "image_url"] == [
        "data:image/png;base64,i",
        "https://example.test/a.",
        "data:image/png;base64,a",
    ]


async def test_a_file_that_cannot_be_read_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    async with recording(tmp_path) as (hub, bodies):
        with pytest.raises(UnreadableFile, match="missing cannot be read: No such file") as caught:
            await hub.complete("Hi", model="chat", files=[tmp_path / "missing"])
    assert isinstance(caught.value, ModelbayError)
    assert bodies == []


def test_the_input_of_a_call_is_its_arguments_as_a_value() -> None:
    assert ToolCall(name="f", arguments='{"city": "Hamburg"}').input == {"city": "Hamburg"}
    assert ToolCall(name="f").input == {}
    assert ToolCall(name="f", arguments="*** Begin", format="text").input == "*** Begin"
    with pytest.raises(MalformedReply):
        _ = ToolCall(name="f", arguments='{"city"').input
