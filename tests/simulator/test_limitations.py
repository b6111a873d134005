"""A simulator without a feature: requests for it are ignored as if they had not asked, or refused as real providers do."""

from typing import Any

import pytest

from modelbay.onboarding.pictures import picture
from modelbay.simulator import Simulator
from tests.servers.wire import call

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"a": {}}}}}
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture('red')}"}}
TWO = [
    {"role": "user", "content": "go"},
    {
        "role": "assistant",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": name, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}} for name in "ab"
        ],
    },
    *[{"role": "tool", "tool_call_id": name, "content": "rain"} for name in "ab"],
]


def asked(without: str, **body: Any) -> Any:
    """The reply, or the error, of a simulator without a feature."""
    body.setdefault("messages", [{"role": "user", "content": "Answer with the word: ready"}])
    with Simulator(without=[without]) as sim:
        return call(f"{sim.url}/v1/chat/completions", {"model": "sim-1", **body}).json


def message(reply: Any) -> Any:
    return reply["choices"][0]["message"]


def weather(prompt: str = "What is the weather in Paris and Rome? Ask in parallel.") -> list[Any]:
    return [{"role": "user", "content": prompt}]


def test_ignored_tools_are_not_called_and_not_counted():
    reply = asked("tools", messages=weather(), tools=[TOOL])
    assert "tool_calls" not in message(reply)
    assert reply["usage"]["prompt_tokens"] == asked("cache", messages=weather())["usage"]["prompt_tokens"]


def test_an_ignored_tool_choice_forces_nothing():
    assert message(asked("cache", tools=[TOOL], tool_choice="required"))["tool_calls"]
    assert "tool_calls" not in message(asked("tool-choice", tools=[TOOL], tool_choice="required"))


def test_without_parallel_tools_a_reply_has_one_call():
    assert len(message(asked("cache", messages=weather(), tools=[TOOL]))["tool_calls"]) == 2
    assert len(message(asked("parallel-tools", messages=weather(), tools=[TOOL]))["tool_calls"]) == 1


def test_an_ignored_format_gives_text():
    assert message(asked("cache", response_format=FORM))["content"].startswith("{")
    assert message(asked("json-schema", response_format=FORM))["content"].startswith("You asked")
    said = [{"role": "user", "content": "Answer in json."}]
    for without, start in (("json-schema", "{"), ("json-mode", "You asked")):
        reply = asked(without, messages=said, response_format={"type": "json_object"})
        assert message(reply)["content"].startswith(start)


def test_ignored_images_are_not_seen_and_not_counted():
    said = [{"role": "user", "content": [IMAGE, {"type": "text", "text": "What color is it?"}]}]
    seen, dropped = asked("cache", messages=said), asked("images", messages=said)
    assert "red" in message(seen)["content"] and "red" not in message(dropped)["content"]
    assert dropped["usage"]["prompt_tokens"] < seen["usage"]["prompt_tokens"] - 100


def test_an_ignored_effort_gives_no_thinking():
    assert message(asked("cache", reasoning_effort="low"))["reasoning_content"]
    assert "reasoning_content" not in message(asked("thinking", reasoning_effort="low"))


@pytest.mark.parametrize("without", ["cache", "usage"])
def test_a_second_equal_prompt_has_no_cached_tokens(without: str):
    body = {"model": "sim-1", "messages": [{"role": "user", "content": "word " * 2_000}]}
    with Simulator(without=[without]) as sim:
        first, second = (call(f"{sim.url}/v1/chat/completions", body).json["usage"] for _ in range(2))
    assert first["prompt_tokens"] == second["prompt_tokens"] == (1 if without == "usage" else 2_501)
    assert not second.get("prompt_tokens_details", {}).get("cached_tokens")


@pytest.mark.parametrize(
    ("without", "body", "words"),
    [
        ("tools=refuse", {"tools": [TOOL]}, "`tools` is not supported"),
        ("tool-choice=refuse", {"tools": [TOOL], "tool_choice": "required"}, "`tool_choice` is not supported"),
        ("parallel-tools=refuse", {"messages": TWO, "tools": [TOOL]}, "single tool-calls at once"),
        ("strict", {"tools": [TOOL]}, "`strict` is not supported"),
        ("json-schema=refuse", {"response_format": FORM}, "`response_format` is not supported"),
        ("images=refuse", {"messages": [{"role": "user", "content": [IMAGE]}]}, "`image_url` is not supported"),
        ("thinking=refuse", {"reasoning_effort": "low"}, "`reasoning_effort` is not supported"),
        ("thinking-return", {"messages": TWO, "tools": [TOOL]}, "`reasoning_content` is unsupported"),
        ("whole", {}, "only supports streaming"),
        ("streaming", {"stream": True}, "`stream` is not supported"),
        ("output-limit", {"max_tokens": 40_000}, "40000. This model supports at most 32000"),
    ],
)
def test_a_refused_feature_is_named_in_the_error(without: str, body: dict[str, Any], words: str):
    assert words in asked(without, **body)["error"]["message"]


def test_an_unknown_feature_is_an_error():
    for spec in ("magic", "images=maybe"):
        with pytest.raises(ValueError, match="unknown feature"):
            Simulator(without=[spec])
