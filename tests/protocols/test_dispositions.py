"""Every setting in every protocol: kept, changed with a word, left out with a word, or refused by name."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from modelbay.conversation import (
    Annotation,
    Conversation,
    Media,
    OutputFormat,
    Part,
    Provenance,
    Reasoning,
    ResponsesItem,
    ServerToolCall,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    UnknownPart,
    UnknownValue,
    user,
)
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.dispositions import PROTOCOLS, TABLE, Disposition, disposition
from modelbay.protocols.openai_responses.parts import OF_ITEM
from tests.protocols.spoken import BUILT

F = Tool(name="f", schema={"type": "object", "properties": {}})
G = Tool(name="g", schema={"type": "object", "properties": {}})
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
ELSEWHERE = Provenance("elsewhere", "vendor", "family")


def with_settings(**settings: Any) -> Conversation:
    return Conversation([user("Hi")], Settings(**settings))


def with_parts(*parts: Any, name: str | None = None) -> Conversation:
    return Conversation([Turn("user", list(parts), name=name)])


def with_reply(*parts: Any) -> Conversation:
    return Conversation([user("Hi"), Turn("assistant", [Text(text="Hello"), *parts]), user("Go on")])


def with_message(phase: str | None = None) -> Conversation:
    """A reply of a provider of Responses."""
    extra = None if phase is None else {OF_ITEM: {"phase": phase}}
    said = Text(text="Hello", origin=Provenance("openai_responses"), extra=extra)
    return Conversation([user("Hi"), Turn("assistant", [said], item=ResponsesItem(phase=phase)), user("Go on")])


def with_result(**result: Any) -> Conversation:
    call = Turn("assistant", [ToolCall(name="f", id="call_1", arguments="{}")])
    parts = result.pop("parts", [Text(text="42")])
    return Conversation(
        [user("Hi"), call, Turn("tool", [ToolResult(call_id="call_1", parts=parts, name="f", **result)])],
        Settings(tools=[F]),
    )


EXAMPLES: dict[str, Callable[[], Conversation]] = {
    "tools": lambda: with_settings(tools=[F]),
    "tools.vendor": lambda: with_settings(tools=[F, Tool("vendor", name="web", native="web", raw={"type": "web"})]),
    "tools.freeform": lambda: with_settings(tools=[Tool("freeform", name="patch", description="Writes a patch")]),
    "tools.strict": lambda: with_settings(tools=[Tool(name="f", schema=SCHEMA, strict=True)]),
    "tool_choice": lambda: with_settings(tools=[F], tool_choice=ToolChoice("required")),
    "tool_choice.allowed": lambda: with_settings(tools=[F, G], tool_choice=ToolChoice("allowed", ["f"])),
    "tool_choice.parallel": lambda: with_settings(tools=[F], tool_choice=ToolChoice("auto", parallel=False)),
    "tool_choice.native": lambda: with_settings(
        tools=[F], tool_choice=ToolChoice("tool", ["file_search"], extra={"tool_choice": {"type": "file_search"}})
    ),
    "output_format.json": lambda: with_settings(output_format=OutputFormat("json")),
    "output_format.json_schema": lambda: with_settings(output_format=OutputFormat("json_schema", SCHEMA, "answer")),
    "max_output_tokens": lambda: with_settings(max_output_tokens=77),
    "temperature": lambda: with_settings(temperature=1.5),
    "top_p": lambda: with_settings(top_p=0.5),
    "top_k": lambda: with_settings(top_k=5),
    "frequency_penalty": lambda: with_settings(frequency_penalty=0.5),
    "presence_penalty": lambda: with_settings(presence_penalty=0.5),
    "logit_bias": lambda: with_settings(logit_bias={"1": 5}),
    "seed": lambda: with_settings(seed=7),
    "stop": lambda: with_settings(stop=["END"]),
    "logprobs": lambda: with_settings(logprobs=True),
    "top_logprobs": lambda: with_settings(logprobs=True, top_logprobs=2),
    "n": lambda: with_settings(n=2),
    "reasoning": lambda: with_settings(reasoning=Reasoning(effort="low")),
    "modalities": lambda: with_settings(modalities=["text", "image"]),
    "verbosity": lambda: with_settings(verbosity="low"),
    "service_tier": lambda: with_settings(service_tier="flex"),
    "metadata": lambda: with_settings(metadata={"job": "1"}),
    "user": lambda: with_settings(user="u1"),
    "cache_key": lambda: with_settings(cache_key="k1"),
    "cache_retention": lambda: with_settings(cache_retention="24h"),
    "cache": lambda: with_settings(cache={"type": "ephemeral"}),
    "state": lambda: with_settings(state={"store": True}),
    "unknown": lambda: with_settings(unknown=[UnknownValue("response_format.type", "xml", ("text",))]),
    "extra": lambda: with_settings(extra={"extra": 1}),
    "name": lambda: with_parts(Text(text="Hi"), name="Ann"),
    "phase": lambda: with_message("commentary"),
    "cache_marks": lambda: with_parts(Text(text="Hi", cache={"type": "ephemeral"}), Text(text="there")),
    "image": lambda: with_parts(Text(text="Hi"), Media(kind="image", data="AAAA", media_type="image/png")),
    "audio": lambda: with_parts(Text(text="Hi"), Media(kind="audio", data="AAAA", media_type="audio/wav")),
    "video": lambda: with_parts(Text(text="Hi"), Media(kind="video", data="AAAA", media_type="video/mp4")),
    "document": lambda: with_parts(Text(text="Hi"), Media(kind="document", data="AAAA", media_type="application/pdf")),
    "file_id": lambda: with_parts(Text(text="Hi"), Media(kind="document", file_id="file-1")),
    "tool_result.is_error": lambda: with_result(is_error=True),
    "tool_result.media": lambda: with_result(parts=[Media(kind="image", data="AAAA", media_type="image/png")]),
    "server_tool_parts": lambda: with_reply(
        ServerToolCall(name="web_search", id="s1", native="server_tool_use", origin=ELSEWHERE)
    ),
    "annotations": lambda: with_parts(
        Text(text="Hi", annotations=[Annotation("url", url="https://example.com", protocol="elsewhere", raw={})])
    ),
    "thinking": lambda: with_reply(Thinking(texts=["hm"], opaque="signature", origin=ELSEWHERE)),
    "unknown_parts": lambda: with_reply(UnknownPart(native="odd", raw={"type": "odd"}, origin=ELSEWHERE)),
}
"""For each row a conversation that says the setting."""
PLAIN_EXAMPLES: dict[str, Callable[[], Conversation]] = {
    "tool_choice": lambda: with_settings(tools=[F]),
    "tool_choice.allowed": lambda: with_settings(tools=[F, G]),
    "tool_choice.parallel": lambda: with_settings(tools=[F], tool_choice=ToolChoice("auto")),
    "tools.strict": lambda: with_settings(tools=[Tool(name="f", schema=SCHEMA)]),
    "tools.vendor": lambda: with_settings(tools=[F]),
    "top_logprobs": lambda: with_settings(logprobs=True),
    "name": lambda: with_parts(Text(text="Hi")),
    "cache_marks": lambda: with_parts(Text(text="Hi"), Text(text="there")),
    "phase": with_message,
    "tool_result.is_error": with_result,
    "tool_result.media": with_result,
    **dict.fromkeys(("image", "audio", "video", "document", "file_id"), lambda: with_parts(Text(text="Hi"))),
    **dict.fromkeys(("server_tool_parts", "thinking", "unknown_parts"), with_reply),
}
"""The same without it, where that is not a bare greeting."""

STRUCTURAL = {"spelling"}
"""Fields of `Settings` that say how another one was written."""

SUPPORTED = (Disposition.MAPPED, Disposition.CLAMPED, Disposition.EMULATED)


WILLING = Dialect(prompt_cache_key=True, prompt_cache_retention=True, verbosity=True)
"""An endpoint that takes all that its protocol has."""


def render(conversation: Conversation, protocol: str) -> Call:
    return codec(protocol).render_request(conversation, Model(id="m", efforts=["low", "medium", "high"]), WILLING)


def rows(*which: Disposition) -> list[tuple[str, str]]:
    return [(name, protocol) for name in TABLE for protocol in BUILT if disposition(name, protocol) in which]


def test_every_field_of_the_settings_has_a_row():
    rows_of = {name.partition(".")[0] for name in TABLE}
    assert {field.name for field in msgspec.structs.fields(Settings)} - rows_of == STRUCTURAL


def test_every_kind_of_media_has_a_row():
    kinds = msgspec.json.schema(Media)["$defs"]["Media"]["properties"]["kind"]["enum"]
    assert set(kinds) <= TABLE.keys()


def test_every_field_that_any_part_carries_is_accounted_for():
    accounted = {"origin", "opaque", "annotations", "cache", "native", "item_id", "extra"}
    assert {field.name for field in msgspec.structs.fields(Part)} == accounted


def test_every_row_speaks_of_every_protocol_and_has_an_example():
    assert all(len(row) == len(PROTOCOLS) for row in TABLE.values())
    assert EXAMPLES.keys() == TABLE.keys()


FIELDS = {
    "state": "store",
    "tool_choice.native": "tool_choice",
    "unknown": "response_format.type",
    "top_logprobs": "logprobs",
}
"""Settings that are refused by the name of their field, or of the one that they belong to."""


@pytest.mark.parametrize(("setting", "protocol"), rows(Disposition.REFUSED))
def test_a_refused_setting_raises_with_its_name(setting, protocol):
    name = FIELDS.get(setting, setting)
    with pytest.raises(Unsupported, match=f"`{name}`") as refusal:
        render(EXAMPLES[setting](), protocol)
    assert refusal.value.setting == name
    assert refusal.value.status == 400
    assert refusal.value.hint


@pytest.mark.parametrize(("setting", "protocol"), rows(Disposition.DROPPED))
def test_a_dropped_setting_is_reported_once_by_its_name(setting, protocol):
    call = render(EXAMPLES[setting](), protocol)
    name = {"tools.vendor": "web", "server_tool_parts": "server_tool_use", "unknown_parts": "odd"}.get(setting, setting)
    assert [warning.setting for warning in call.warnings] == [name]
    assert f"`{name}`" in call.warnings[0].message


@pytest.mark.parametrize(("setting", "protocol"), rows(Disposition.DROPPED))
def test_a_dropped_setting_is_not_in_the_body(setting, protocol):
    bare = PLAIN_EXAMPLES.get(setting, with_settings)()
    assert render(EXAMPLES[setting](), protocol).body == render(bare, protocol).body


@pytest.mark.parametrize(("setting", "protocol"), rows(*SUPPORTED))
def test_a_supported_setting_is_in_the_body(setting, protocol):
    bare = PLAIN_EXAMPLES.get(setting, with_settings)()
    call = render(EXAMPLES[setting](), protocol)
    assert call.body != render(bare, protocol).body or call.stops


@pytest.mark.parametrize(("setting", "protocol"), rows(Disposition.MAPPED))
def test_a_mapped_setting_has_no_warning(setting, protocol):
    assert render(EXAMPLES[setting](), protocol).warnings == []


@pytest.mark.parametrize(("setting", "protocol"), rows(Disposition.CLAMPED))
def test_a_clamped_setting_is_reported(setting, protocol):
    assert [warning.setting for warning in render(EXAMPLES[setting](), protocol).warnings] == [setting]


@pytest.mark.parametrize("protocol", BUILT)
@pytest.mark.parametrize("setting", TABLE)
def test_a_conversation_is_not_changed_by_rendering_it(setting, protocol):
    conversation = EXAMPLES[setting]()
    with suppress(Unsupported):
        render(conversation, protocol)
    assert conversation == EXAMPLES[setting]()


@pytest.mark.parametrize("protocol", BUILT)
def test_a_request_for_one_choice_is_not_refused(protocol):
    assert render(with_settings(n=1), protocol).warnings == []


HI = {"messages": [{"role": "user", "content": "Hi"}]}
CHAT_TOOLS = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
}
NATIVE_CHOICES: list[tuple[str, dict[str, Any]]] = [
    ("openai_chat", {**HI, **CHAT_TOOLS, "tool_choice": "often"}),
    ("openai_chat", {**HI, **CHAT_TOOLS, "tool_choice": {"type": "odd"}}),
    ("openai_responses", {"input": "Hi", "tools": [{"type": "file_search"}], "tool_choice": {"type": "file_search"}}),
    (
        "openai_responses",
        {"input": "Hi", "tools": [{"type": "mcp"}], "tool_choice": {"type": "mcp", "server_label": "x"}},
    ),
    (
        "anthropic",
        {**HI, "max_tokens": 9, "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "odd"}},
    ),
]


@pytest.mark.parametrize(("protocol", "request_body"), NATIVE_CHOICES)
def test_a_tool_choice_that_only_its_own_protocol_has_is_never_lost(protocol: str, request_body: dict[str, Any]):
    asked = codec(protocol).parse_request(Call("", {"model": "m", **request_body}))
    for other in BUILT:
        if other == protocol:
            assert render(asked, other).body["tool_choice"] == request_body["tool_choice"]
        else:
            with pytest.raises(Unsupported, match="`tool_choice` cannot be expressed"):
                render(asked, other)
