"""A prompt that is too long, in the words of each provider, and what each client is told."""

import json
import re
from typing import Any

import pytest

from modelbay.errors import BadRequest, ContextOverflow, ProviderError, RateLimited, RequestTooLarge
from modelbay.protocols.codec import codec
from modelbay.protocols.failures import provider_error
from modelbay.protocols.overflow import Overflow, overflow

WORDINGS = {
    "prompt is too long: 213462 tokens > 200000 maximum": (213_462, 200_000),
    "The model returned the following errors: prompt is too long: 903,884 tokens > 200,000 maximum": (903_884, 200_000),
    "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or `max_tokens` and try "
    "again": (207_951, 200_000),
    "The prompt is too long: 300000, model maximum context length: 262143": (300_000, 262_143),
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please reduce the "
    "length of the messages.": (8_545, 8_192),
    "This model's maximum context length is 8191 tokens, however you requested 10346 tokens (10346 in your prompt; 5 for the "
    "completion).": (10_346, 8_191),
    "This endpoint's maximum context length is 32768 tokens. However, you requested about 42832 tokens (42832 of text input).": (
        42_832, 32_768),
    "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 65536 tokens and your "
    "request has 57879 input tokens (8192 > 65536 - 57879).": (57_879, 65_536),
    "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000 tokens": (
        9_000, 8_192),
    "You passed 9000 input tokens and requested 500 output tokens. However, the model's context length is only 8192 tokens.": (
        9_000, 8_192),
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no "
    "smaller": (9_000, 8_192),
    "Your input exceeds the context window of this model. Please adjust your input and try again.": (None, None),
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).": (1_196_265, 1_048_575),
    "The input token count exceeds the maximum number of tokens allowed 1048576.": (None, 1_048_576),
    "Unable to submit request because the input token count is 1500000 but model only supports up to 1048576.": (
        1_500_000, 1_048_576),
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.": (537_812, 131_072),
    "Please reduce the length of the messages or completion.": (None, None),
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 279344 tokens. Please reduce the "
    "length of the messages.": (279_344, 272_000),
    "The input (516368 tokens) is longer than the model's context length (262144 tokens).": (516_368, 262_144),
    "prompt token count of 197446 exceeds the limit of 128000": (197_446, 128_000),
    "the request exceeds the available context size, try increasing it": (None, None),
    "request (5120 tokens) exceeds the available context size (4096 tokens), try increasing it": (5_120, 4_096),
    "tokens to keep from the initial prompt is greater than the context length": (None, None),
    "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context length of only "
    "32768 tokens, which is not enough.": (111_490, 32_768),
    "invalid params, context window exceeds limit (2013)": (None, None),
    "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)": (291_351, 262_144),
    "Your request exceeded model token limit": (None, None),
    "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 131072 maximum context length": (
        300_000, 131_072),
    "prompt too long; exceeded max context length by 4096 tokens": (None, None),
    "the input length exceeds the context length": (None, None),
    "InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]": (None, 98_304),
    "Input is too long for requested model.": (None, None),
    "Too many input tokens. Max input tokens: 200000, request input token count: 250000": (250_000, 200_000),
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000": (5_000, 4_081),
    "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000": (5_000, 4_095),
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192": (9_000, 8_192),
    "Request body too large for gpt-4o model. Max size: 8000 tokens.": (None, 8_000),
    "Input length 9000 exceeds maximum allowed token size 8192": (9_000, 8_192),
    "Total tokens of image and text exceed max message tokens.": (None, None),
    "Prompt has 32769 tokens, but the configured context size is 32768 tokens": (32_769, 32_768),
    "Prompt exceeds max length": (None, None),
    "model_context_window_exceeded": (None, None),
    "Context window exceeded: requested 12000 tokens": (None, None),
    "Request size exceeds model context window": (None, None),
    "输入长度超过模型上限": (None, None),
}  # fmt: skip
OTHERS = [
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
    "max_tokens exceeds the limit of 8192",
    "Range of max_tokens should be [1, 8192]",
    "Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size",
    "This request would exceed your account's rate limit of 40,000 input tokens per minute",
    "Model context window too small (minimum is 16000 tokens)",
    "image exceeds 5 MB maximum",
    "messages: at least one message is required",
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got 80 instead.",
    "The input is invalid",
]


@pytest.mark.parametrize(("message", "numbers"), WORDINGS.items())
@pytest.mark.parametrize("status", [400, 413, 422, None])
def test_every_wording_is_the_same_error_with_its_numbers(message, numbers, status):
    error = provider_error(status, message)
    assert isinstance(error, ContextOverflow)
    assert (error.tokens, error.limit) == numbers


@pytest.mark.parametrize("message", OTHERS)
def test_other_limits_are_not_an_overflow(message):
    assert overflow(message) is None
    assert type(provider_error(400, message)) is BadRequest


@pytest.mark.parametrize("message", WORDINGS)
def test_words_do_not_change_what_another_status_says(message):
    assert not isinstance(provider_error(500, message), ContextOverflow)
    assert not isinstance(provider_error(401, message), ContextOverflow)


def test_a_413_for_bytes_and_a_429_for_tokens_stay_what_they_are():
    assert type(provider_error(413, "Request exceeds the maximum size")) is RequestTooLarge
    assert type(provider_error(429, "Too many tokens, please wait before trying again.")) is RateLimited


def test_a_long_message_is_read_quickly():
    assert overflow("input " * 100_000) is None
    assert overflow("maximum context length is 1 " + "x" * 100_000) == Overflow(None, 1)


def told(error: ProviderError, protocol: str) -> tuple[int, dict[str, Any]]:
    status, body = codec(protocol).render_error(error)
    return status, json.loads(body)["error"]


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "google"])
def test_anthropics_clients_are_told_in_the_form_on_which_they_compact(upstream):
    body = b'{"error": {"message": "Your request exceeded model token limit: 262144 (requested: 291351)", "code": 400}}'
    error = codec(upstream).parse_error(400, {}, body)
    assert told(error, "anthropic") == (
        400, {"type": "invalid_request_error", "message": "prompt is too long: 291351 tokens > 262144 maximum"},
    )  # fmt: skip


def test_a_number_that_the_provider_does_not_tell_is_a_lower_bound():
    body = b'{"error": {"message": "Range of input length should be [1, 98304]"}}'
    error = codec("openai_chat").parse_error(400, {}, body)
    assert told(error, "anthropic")[1]["message"] == "prompt is too long: 98305 tokens > 98304 maximum"


def test_without_numbers_the_beginning_is_the_same_and_the_providers_words_follow():
    error = codec("openai_chat").parse_error(400, {}, b'{"error": {"message": "context window exceeds limit (2013)"}}')
    assert told(error, "anthropic")[1]["message"] == "prompt is too long (context window exceeds limit (2013))"


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses"])
def test_openais_clients_find_the_code_and_the_words(protocol):
    body = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}'
    status, error = told(codec("anthropic").parse_error(400, {}, body), protocol)
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "context_length_exceeded")
    assert re.match(
        r"This model's maximum context length is 8 tokens\. However, your messages resulted in 9", error["message"]
    )


def test_geminis_clients_find_the_words():
    body = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}'
    status, error = told(codec("anthropic").parse_error(400, {}, body), "google")
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"] == "The input token count (9) exceeds the maximum number of tokens allowed (8)."


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_the_providers_own_words_stay_in_its_protocol(protocol):
    body = b'{"error": {"type": "invalid_request_error", "message": "prompt is too long, my friend"}}'
    assert told(codec(protocol).parse_error(400, {}, body), protocol)[1]["message"] == "prompt is too long, my friend"
