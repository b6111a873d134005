"""Versions in model names, and the facts of models whose version has no rule."""

from typing import Any

import pytest

from modelbay.catalog.knowledge import known
from modelbay.catalog.versions import version


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("claude-3-5-sonnet-20241022", (3, 5)),
        ("claude-opus-5-1", (5, 1)),
        ("claude-opus-4-7-20260101-v1:0", (4, 7)),
        ("claude-opus-4@20250514", (4,)),
        ("claude-4-opus-20250514", (4,)),
        ("claude-opus-latest", None),
        ("gpt-5.10", (5, 10)),
        ("gpt-5-2025-08-07", (5,)),
        ("gpt-4-1106-preview", (4,)),
        ("gpt-4-32k", (4,)),
        ("gpt-4o", (4,)),
        ("gpt-35-turbo", (3, 5)),
        ("gemini-flash-latest", None),
        ("gemini-2.5-flash-preview-05-20", (2, 5)),
        ("deepseek-v3p2", (3, 2)),
        ("deepseek-v4-1-flash", (4, 1)),
        ("deepseek-r1-0528", (1,)),
        ("qwen3-32b", (3,)),
        ("qwen2-5-72b-instruct", (2, 5)),
        ("qwen3.8-2.4t-a95b", (3, 8)),
        ("kimi-k2-0905-preview", (2,)),
        ("k2p6", (2, 6)),
        ("glm-4.5v", (4, 5)),
        ("grok-4-1-fast", (4, 1)),
        ("llama-4-scout-17b-16e-instruct", (4,)),
        ("mistral-large-2512", None),
    ],
)
def test_a_version_is_read_as_makers_and_hosts_write_it(name, number):
    assert version(name).number == number


def test_versions_are_compared_as_numbers():
    assert version("gpt-5.10").since("5.9") and not version("gpt-5.10").before("5.9")
    assert version("gpt-5").before("5.1")
    assert version("mistral-large-2411").before("2512") and version("mistral-large-2601").since("2512")


def test_a_name_without_a_version_is_the_newest():
    assert version("gemini-flash-latest").since("99") and version("mistral-large-latest").since("9912")


def facts(name: str, vendor: str = "", protocol: str = "openai_chat") -> dict[str, Any]:
    told = known(name, vendor, protocol).facts
    sizes = {"context": told.max_context_tokens, "output": told.max_output_tokens}
    return {**sizes, "efforts": told.efforts, "off": told.off_effort, "capabilities": told.capabilities}


@pytest.mark.parametrize(
    ("unknown", "newest", "protocol"),
    [
        ("gpt-5.7", "gpt-5.6", "openai_chat"),
        ("gpt-5.10", "gpt-5.6", "openai_responses"),
        ("gpt-7", "gpt-6.1-sol", "openai_chat"),
        ("openai/gpt-7-mini", "gpt-6.1-mini", "openai_chat"),
        ("claude-opus-5-9", "claude-opus-5-5", "anthropic"),
        ("us.anthropic.claude-opus-6-20270101-v1:0", "claude-opus-5", "anthropic"),
        ("anthropic/claude-sonnet-6.2", "claude-sonnet-5", "anthropic"),
        ("publishers/anthropic/models/claude-opus-4-9@20260801", "claude-opus-4-8", "anthropic"),
        ("claude-opus-latest", "claude-opus-5-5", "anthropic"),
        ("claude-haiku-4-9", "claude-haiku-4-5", "anthropic"),
        ("claude-opus-4-4", "claude-opus-4-1", "anthropic"),
        ("gemini-4-flash", "gemini-3.8-flash", "google"),
        ("gemini-flash-latest", "gemini-3.8-flash", "google"),
        ("models/gemini-4.2-pro-preview", "gemini-3.1-pro-preview", "google"),
        ("accounts/fireworks/models/deepseek-v5p1", "deepseek-v4", "openai_chat"),
        ("@cf/deepseek-ai/deepseek-v6-flash", "deepseek-v4", "openai_chat"),
        ("deepseek-ai/DeepSeek-V3.3", "deepseek-v3.2", "openai_chat"),
        ("qwen4-max", "qwen3.8-max", "openai_chat"),
        ("Qwen/Qwen4-72B", "qwen3.8-27b", "openai_chat"),
        ("hf:zai-org/GLM-6", "glm-5.3", "openai_chat"),
        ("kimi-k4", "kimi-k3", "openai_chat"),
        ("kimi-latest", "kimi-k3", "openai_chat"),
        ("grok-5", "grok-4.7", "openai_chat"),
        ("MiniMaxAI/MiniMax-M4.5", "minimax-m3", "openai_chat"),
        ("mistral-medium-2701", "mistral-medium-latest", "openai_chat"),
        ("meta-llama/llama-5-scout", "llama-4-scout", "openai_chat"),
        ("google/gemma-5-27b-it", "gemma-4-31b-it", "openai_chat"),
        ("o7-mini", "o4-mini", "openai_chat"),
    ],
)
def test_an_unknown_version_has_the_facts_of_the_newest_below_it(unknown, newest, protocol):
    assert facts(unknown, "", protocol) == facts(newest, "", protocol)
    assert known(unknown, "", protocol).dialect == known(newest, "", protocol).dialect
    assert facts(unknown, "", protocol)["context"], "not empty"


@pytest.mark.parametrize("vendor", ["openai", "azure", ""])
@pytest.mark.parametrize("name", ["gpt-5.6-luna", "gpt-6-sol", "gpt-6.1-sol", "gpt-9"])
def test_the_dialect_of_an_unknown_version_is_the_new_one(vendor, name):
    assert known(name, vendor, "openai_chat").dialect["max_tokens_parameter"] == "max_completion_tokens"


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("gemini-2.0-flash", False), ("gemini-2.5-pro", False), ("gemma-3-27b-it", False), ("gemini-3-pro-preview", True),
        ("gemini-flash-latest", True), ("gemini-4-pro", True), ("publishers/google/models/gemini-10-ultra", True),
        ("my-tuned-model", None),
    ],
)  # fmt: skip
def test_every_gemini_model_has_a_rule_for_call_signatures(name, signs):
    assert known(name, "google", "google").facts.capabilities.get("call_signatures") is signs


@pytest.mark.parametrize(
    ("name", "context"),
    [("moonshot-v1-8k", 8_192), ("moonshot-v1-32k", 32_768), ("moonshot-v1-128k", 131_072), ("kimi-k3", 1_048_576),
     ("MiniMax-M3", 1_000_000), ("glm-5.2", 1_000_000), ("qwen3.7-max", 1_000_000), ("grok-4.5", 500_000),
     ("@cf/deepseek-ai/deepseek-v4-pro-0813", 1_000_000), ("gpt-6-astra", 1_050_000), ("claude-fable-5-1", 1_000_000)],
)  # fmt: skip
def test_context_windows_of_current_models(name, context):
    assert facts(name)["context"] == context


@pytest.mark.parametrize(
    "name", ["gpt-oss-120b", "gpt-realtime-2.1", "grok-code-fast-1", "minimax-text-01", "gpt-image-2"]
)
def test_a_model_line_with_its_own_numbers_has_no_facts_of_others(name):
    assert facts(name).get("efforts") in (None, ["low", "medium", "high"])
    assert facts(name)["context"] not in (1_050_000, 1_000_000, 500_000)
