"""Features that a deep test finds missing at simulated providers, and the requests that its results change."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.errors import Unsupported
from modelbay.hub import Hub
from modelbay.onboarding.pictures import picture
from modelbay.simulator import Simulator
from tests.cli.deep_tests import ALL, TYPES, deep, details, entry, odd, results
from tests.cli.inside import Inside

TOOL = Tool(
    name="get_weather",
    schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


# --- a provider that has everything ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "model", "differs"),
    [
        ("openai_chat", "sim-1", {}),
        ("openai_chat", "sim-echo", {"thinking_optional": "no"}),
        ("openai_responses", "sim-1", {}),
        ("anthropic", "sim-1", {"max_output": "yes", "thinking_optional": "unknown"}),
        ("google", "sim-1", {"strict_tools": "unknown"}),
        ("google", "sim-thinker", {"strict_tools": "unknown", "thinking_optional": "no"}),
    ],
)
def test_a_complete_provider_has_all_features_of_its_protocol(
    bay: Inside, protocol: str, model: str, differs: dict[str, str]
):
    with odd("", bay, protocol, model) as sim:
        result = deep(bay)
        assert result["calls"] <= len(sim.journal) <= result["calls"] + 2, "a call may be adapted"
    assert results(result) == ALL | differs, details(result)
    assert result["stopped"] is None


# --- providers without a feature, and the requests that follow ---------------------------------------------------------


def asked(bay: Inside, sim: Simulator, prompt: Any, **settings: Any) -> Any:
    """The body of the request for a prompt, in a new hub."""
    import asyncio

    async def ask() -> None:
        async with Hub.open(bay.file) as hub:
            await hub.complete(prompt, model="large", max_tokens=99, **settings)

    asyncio.run(ask())
    return sim.journal.calls()[-1].json


def history() -> Conversation:
    """Two calls in one message, and their results."""
    calls = [ToolCall(name=TOOL.name, arguments='{"city": "Rome"}', id=f"call_{name}") for name in "ab"]
    answers = [Turn("tool", [ToolResult(call_id=call.id, parts=[Text(text="rain")])]) for call in calls]
    return Conversation([user("go"), Turn("assistant", list(calls)), *answers], Settings(tools=[TOOL]))


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_a_forced_call_is_asked_for_in_words(bay: Inside, protocol: str, how: str):
    with odd(f"tool-choice{how}", bay, protocol) as sim:
        found = results(deep(bay))
        assert (found["forced_tool"], found["named_tool"], found["tools"]) == ("no", "no", "yes")
        body = asked(bay, sim, "Hi", tools=[TOOL], tool_choice=ToolChoice("required"))
    assert "You must call the tool `get_weather`" in json.dumps(body)
    assert body.get("tool_choice") in (None, {"type": "auto"}) and "toolConfig" not in body


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_a_schema_is_sent_in_words(bay: Inside, protocol: str, how: str):
    with odd(f"json-schema{how}", bay, protocol) as sim:
        found = results(deep(bay))
        assert (found["json_schema"], found["json_mode"]) == ("no", "unknown" if protocol == "anthropic" else "yes")
        body = asked(bay, sim, "Hi", output_format=OutputFormat("json_schema", schema=TOOL.schema))
    assert "Answer with JSON that matches this JSON Schema" in json.dumps(body)
    assert "json_schema" not in json.dumps(body) and "responseJsonSchema" not in json.dumps(body)


def test_one_call_at_a_time_is_asked_for(bay: Inside):
    with odd("parallel-tools", bay) as sim:
        found = deep(bay)
        assert (results(found)["parallel_tools"], results(found)["parallel_history"]) == ("no", "yes")
        body = asked(bay, sim, "What is the weather?", tools=[TOOL])
    assert body["parallel_tool_calls"] is False


@pytest.mark.parametrize("protocol", TYPES)
def test_a_history_with_parallel_calls_is_sent_call_by_call(bay: Inside, protocol: str):
    with odd("parallel-tools=refuse", bay, protocol) as sim:
        found = deep(bay)
        assert (results(found)["parallel_tools"], results(found)["parallel_history"]) == ("yes", "no"), details(found)
        body = asked(bay, sim, history())
    messages = body.get("messages") or body.get("input") or body["contents"]
    assert len(messages) == 5


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses"])
def test_strict_is_left_out_of_tools(bay: Inside, protocol: str):
    with odd("strict", bay, protocol) as sim:
        assert results(deep(bay))["strict_tools"] == "no"
        body = asked(bay, sim, "Hi", tools=[Tool(name="f", schema=TOOL.schema, strict=True)])
    assert '"strict": true' not in json.dumps(body)


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_images_are_refused_before_they_are_sent(bay: Inside, protocol: str, how: str):
    image = Media(kind="image", data=picture("red"), media_type="image/png")
    with odd(f"images{how}", bay, protocol) as sim:
        found = deep(bay)
        assert results(found)["images"] == "no", details(found)
        count = len(sim.journal.calls())
        with pytest.raises(Unsupported, match="does not accept images"):
            asked(bay, sim, "What is it?", files=[image])
        assert len(sim.journal.calls()) == count


@pytest.mark.parametrize("how", ["", "=refuse"])
def test_tools_are_refused_before_they_are_sent(bay: Inside, how: str):
    with odd(f"tools{how}", bay) as sim:
        found = deep(bay)
        assert results(found)["tools"] == "no", details(found)
        assert results(found)["parallel_tools"] == "unknown"
        with pytest.raises(Unsupported):
            asked(bay, sim, "Hi", tools=[TOOL])


def test_thinking_is_not_returned_to_a_provider_that_rejects_it(bay: Inside):
    with odd("thinking-return", bay) as sim:
        found = results(deep(bay))
        assert (found["thinking_return"], found["thinking_optional"]) == ("no", "yes")
        hub = _replying(bay)
        assert "reasoning_content" not in json.dumps(asked(bay, sim, hub))


def test_thinking_is_returned_to_a_provider_that_requires_it(bay: Inside):
    with odd("", bay, model="sim-echo") as sim:
        assert results(deep(bay))["thinking_optional"] == "no"
        body = asked(bay, sim, history())
    assert [message.get("reasoning_content") for message in body["messages"]] == [None, " ", None, None]


def _replying(bay: Inside) -> Conversation:
    """A loop with the model's own thinking."""
    import asyncio

    async def ask() -> Conversation:
        async with Hub.open(bay.file) as hub:
            reply = await hub.complete("What is the weather?", model="large", tools=[TOOL], effort="low")
        assert reply.thinking
        answer = ToolResult(call_id=reply.tool_calls[0].id, parts=[Text(text="rain")])
        return Conversation(
            [user("What is the weather?"), reply.turn(), Turn("tool", [answer])], Settings(tools=[TOOL])
        )

    return asyncio.run(ask())


def test_a_rejected_effort_is_no_longer_sent(bay: Inside):
    with odd("thinking=refuse", bay) as sim:
        assert results(deep(bay))["thinking"] == "no"
        assert "reasoning_effort" not in asked(bay, sim, "Hi", effort="high")


def test_an_ignored_effort_is_not_a_missing_one(bay: Inside):
    with odd("thinking", bay):
        assert results(deep(bay))["thinking"] == "unknown"


def test_a_provider_that_only_streams_is_asked_for_streams(bay: Inside):
    with odd("whole", bay) as sim:
        found = results(deep(bay))
        assert found["reply"] == "no"
        assert {found[name] for name in ("streaming", "tools", "images", "cache", "parallel_tools")} == {"yes"}
        assert asked(bay, sim, "Hi")["stream"] is True


def test_a_provider_without_streams_is_tested_without_them(bay: Inside):
    with odd("streaming", bay):
        found = results(deep(bay))
    assert (found["reply"], found["streaming"], found["tools"]) == ("yes", "no", "yes")


def test_missing_cache_hits_are_unknown(bay: Inside):
    with odd("cache", bay):
        found = deep(bay)
    assert results(found)["cache"] == "unknown"
    assert results(found)["usage"] == "yes"


def test_caching_with_marks_marks_later_prompts(bay: Inside):
    with odd("", bay, "anthropic") as sim:
        assert "cache_control" not in json.dumps(asked(bay, sim, "Hi"))
        assert results(deep(bay))["cache"] == "yes"
        assert "cache_control" in json.dumps(asked(bay, sim, "Hi"))


def test_rejected_cache_marks_are_told_from_rejected_prompts(bay: Inside):
    marked = Turn("system", [Text(text="Be brief.", cache={"type": "ephemeral"})])
    with odd("cache=refuse", bay, "anthropic") as sim:
        found = deep(bay)
        assert "cache_control" not in json.dumps(asked(bay, sim, Conversation([marked, user("Hi")])))
    assert (results(found)["cache"], results(found)["usage"], results(found)["images"]) == ("no", "yes", "yes")


def test_wrong_counts_are_seen_and_prove_nothing(bay: Inside):
    with odd("usage", bay):
        found = deep(bay)
    assert (results(found)["usage"], results(found)["cache"]) == ("no", "unknown")
    assert details(found)["usage"] == "a prompt of about 6,000 tokens was counted as 1"
    with Simulator(without=["usage", "images"]) as sim:
        bay.file.write_text(entry(sim.url))
        assert results(deep(bay))["images"] == "unknown", "equal counts do not show that the picture was ignored"


def test_the_limit_that_an_error_names_is_a_fact(bay: Inside):
    with odd("output-limit", bay):
        assert results(deep(bay))["max_output"] == "yes"
        shown = bay.done("model", "show", "large")
    assert "max output         32k" in shown
    assert "probe 20" in next(line for line in shown.splitlines() if line.startswith("max output"))


def test_a_small_context_window_is_not_filled(bay: Inside):
    with odd("", bay, model="sim-small", more="max_context_size = 2000\n"):
        found = deep(bay)
    assert details(found)["cache"] == "not tested: the context window is only 2,000 tokens"


def test_an_overflow_names_the_context_window(bay: Inside):
    with odd("", bay, model="sim-small"):
        found = deep(bay)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
    assert (results(found)["cache"], results(found)["context_window"]) == ("unknown", "yes")
    assert (shown["max_context_tokens"], shown["sources"]["max_context_tokens"]) == (2_000, "probe")


def test_the_users_configuration_is_not_tested(bay: Inside):
    with odd("", bay, more="image_in = false\n") as sim:
        found = deep(bay)
        assert not [call for call in sim.journal.calls() if b"image_url" in call.body]
    assert (results(found)["images"], details(found)["images"]) == ("unknown", "not tested: image_in = no (config)")


def test_a_second_test_does_not_depend_on_the_first(bay: Inside):
    with odd("images", bay) as sim:
        assert results(deep(bay))["images"] == "no"
        sim.provider.limitations.ignored.clear()
        assert results(deep(bay))["images"] == "yes"
        assert json.loads(bay.done("model", "show", "large", "--json"))["capabilities"]["image_in"] is True
