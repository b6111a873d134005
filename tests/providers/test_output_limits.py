"""Maximum output tokens that providers report when a request asks for more, in the words in which they do."""

import json
from typing import Any

import pytest

from modelbay.errors import BadRequest
from modelbay.protocols.codec import codec
from modelbay.providers.adaptation import Adaptation, adapt, adaptation

ASKED = 65536
FIELDS: dict[str, dict[str, Any]] = {
    "openai_chat": {"max_tokens": ASKED},
    "openai_responses": {"max_output_tokens": ASKED},
    "anthropic": {"max_tokens": ASKED, "thinking": {"type": "enabled", "budget_tokens": 40_000}},
    "google": {"generationConfig": {"maxOutputTokens": ASKED, "thinkingConfig": {"thinkingBudget": 40_000}}},
}


def adapted(message: Any, body: dict[str, Any], protocol: str = "openai_chat", status: int = 400) -> Adaptation | None:
    """The lesson of an error with this message, or with this body."""
    said = message if isinstance(message, dict) else {"error": {"message": message, "type": "invalid_request_error"}}
    error = codec(protocol).parse_error(status, {}, json.dumps(said).encode())
    assert isinstance(error, BadRequest)
    return adaptation(error, body, codec(protocol).PASS)


RECORDED: list[tuple[Any, int]] = [
    ("max_tokens is too large: 65536. This model supports at most 16384 completion tokens, whereas you provided 65536.", 16384),
    ("Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 32768, but got 65536 instead.", 32768),
    ("max_tokens: 65536 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022", 8192),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
    ("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]", 8192),
    ("`max_tokens` must be less than or equal to `16384`, the maximum value for `max_tokens` is less than the "
     "`context_window` for this model", 16384),
    ("max_tokens for `llama-3.1-8b-instant` must be less than or equal to 8000", 8000),
    ("max_tokens (65536) exceeds model's maximum output tokens (32000) for model v4-flash:0731", 32000),
    ("The parameter `max_tokens` specified in the request are not valid: integer above maximum value, expected a value "
     "<= 12288, but got 65536 instead. Request id: 0217752964393142", 12288),
    ("The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is "
     "lower than 4096.", 4096),
    ("Unable to submit request because it has a maxOutputTokens value of 65536 but the supported range is from 1 (inclusive) "
     "to 8193 (exclusive). Update the value and try again.", 8192),
    ("max_tokens (current value: 65536) must be between 0 and 4000 ", 4000),
    ("max_tokens参数非法。取值范围[1, 4095]", 4095),
    ("max tokens must be less than or equal to 4,096", 4096),
    ("max_tokens must be less than 4096", 4095),
    ({"detail": [{"type": "less_than_equal", "loc": ["body", "max_tokens"], "msg": "Input should be less than or equal to 4096",
      "input": 65536, "ctx": {"le": 4096}}]}, 4096),
    ({"error": {"message": "Param Incorrect", "type": "upstream_error", "code": "400", "param": "max_tokens is too large: 65536. "
      "This model supports at most 32768 completion tokens, whereas you provided 65536."}}, 32768),
]  # fmt: skip


@pytest.mark.parametrize(("message", "most"), RECORDED)
def test_the_limit_in_an_error_is_learned(message: Any, most: int) -> None:
    lesson = adapted(message, {"max_tokens": ASKED})
    assert lesson == Adaptation("max_output_tokens", most=most)
    assert str(lesson) == f"`max_output_tokens` is limited to {most:,}"


@pytest.mark.parametrize(
    "message",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 65536. This model's maximum context length is 64001 tokens and "
        "your request has 24235 input tokens (65536 > 64001 - 24235).",
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 70000 tokens (4464 of text input, "
        "65536 in the output).",
        "input length and `max_tokens` exceed context limit: 196395 + 65536 > 204698, decrease input length or `max_tokens`",
        "Requests with max_tokens > 4096 must have stream=true",
        "`max_tokens` (65536) must be greater than `thinking.budget_tokens` (40000)",
        "max_tokens is too large",
        "Error 400: max_tokens is invalid, see page 12",
        "max_tokens must be at least 16",
        "max_tokens must be at most 100000",
        "n must be at most 8",
        "Rate limit reached: at most 30000 output tokens per minute",
    ],
)
def test_other_numbers_are_not_taken_for_a_limit(message: str) -> None:
    assert adapted(message, {"max_tokens": ASKED}) is None


def test_nothing_is_learned_if_no_maximum_was_sent() -> None:
    for message, _ in RECORDED:
        assert adapted(message, {"model": "m"}) is None


@pytest.mark.parametrize("protocol", FIELDS)
def test_a_limit_reduces_the_maximum_and_the_thinking_budget_of_every_protocol(protocol: str) -> None:
    body = json.loads(json.dumps(FIELDS[protocol]))
    message = f"max_tokens: {ASKED} > 8192, which is the maximum"
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    lesson = adapted(said, body, protocol)
    assert lesson is not None
    assert adapt(body, [lesson], codec(protocol).PASS) == [lesson]
    wanted = json.dumps(FIELDS[protocol]).replace("65536", "8192").replace("40000", "7168")
    assert json.dumps(body) == wanted
    assert adapt(body, [lesson], codec(protocol).PASS) == []


def test_fields_in_snake_case_are_limited_too() -> None:
    body: dict[str, Any] = {"generation_config": {"max_output_tokens": 9000}}
    assert adapt(body, [Adaptation("max_output_tokens", most=8192)], codec("google").PASS)
    assert body == {"generation_config": {"max_output_tokens": 8192}}
