import re
from pathlib import Path

import pytest

from modelbay.catalog import knowledge
from modelbay.catalog.knowledge import fitted, known, model_facts
from modelbay.config.load import parse
from modelbay.dialect import Dialect
from modelbay.model import Cost, Model
from modelbay.providers import presets
from modelbay.providers.upstream import Upstream, upstream

PATH = Path("/somewhere/config.toml")
RULES = knowledge._table().rule


def served(provider: str, wire_id: str, model: str = "") -> tuple[Model, Upstream]:
    config = parse(f'[providers.p]\n{provider}\n[models.m]\nprovider = "p"\nmodel = "{wire_id}"\n{model}', PATH)
    assert config.problems == []
    entry = config.models["m"]
    found = upstream(config, config.provider_of(entry), entry)
    return model_facts(entry, found), fitted(found)


def told(wire_id: str, vendor: str = "", protocol: str = "openai_chat") -> knowledge.NameFacts:
    return known(wire_id, vendor, protocol)


# The table


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.prefix[0]} {rule.pattern or ''}")
def test_a_rule_has_only_known_keys(rule):
    vendors = {preset.id for preset in presets.all()} | {""}
    assert set(rule.vendors or ()) <= vendors
    for fields in rule.dialect.values():
        assert set(fields) <= set(Dialect.__struct_fields__) - {"vendor"}
    assert all(prefix == prefix.lower() for prefix in rule.prefix)
    assert re.compile(rule.pattern or "")
    assert not set(rule.can) & set(rule.cannot)


def test_a_rule_has_a_default_effort_only_if_it_is_part_of_a_name():
    assert {rule.prefix[0] for rule in RULES if rule.default_effort} == {"o3-mini-high", "o3-mini-low"}


# Names


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-4-7",
        "Claude-Opus-4-7-20260101",
        "anthropic/claude-opus-4.7",
        "us.anthropic.claude-opus-4-7-20260101-v1:0",
        "anthropic.claude-opus-4-7-v1",
        "publishers/anthropic/models/claude-opus-4-7@20260101",
        "databricks-claude-opus-4-7",
        "claude-opus-4-7:thinking",
    ],
)
def test_a_name_is_recognized_in_every_vendors_spelling(name):
    facts = told(name).facts
    assert (facts.family, facts.max_output_tokens, facts.max_context_tokens) == ("claude", 128_000, 1_000_000)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-mini", "gpt"),
        ("openai/gpt-5.2", "gpt"),
        ("o4-mini", "gpt"),
        ("openai/gpt-oss-120b", "gpt-oss"),
        ("models/gemini-3-pro-preview", "gemini"),
        ("claude-sonnet-5", "claude"),
        ("deepseek-v4-pro", "deepseek"),
        ("accounts/fireworks/models/deepseek-v3p2", "deepseek"),
        ("Qwen/Qwen3-32B", "qwen"),
        ("qwen3:30b-a3b", "qwen"),
        ("hf:zai-org/GLM-5", "glm"),
        ("moonshotai/kimi-k2-instruct-0905", "kimi"),
        ("kimi-for-coding", "kimi"),
        ("grok-4.3", "grok"),
        ("MiniMax-M2.5", "minimax"),
        ("mistral-large-latest", "mistral"),
        ("meta-llama/llama-4-scout-17b-16e-instruct", "llama"),
        ("llama3.3", "llama"),
        ("o10", None),
        ("oracle-1", None),
        ("my-deployment", None),
    ],
)
def test_the_family_is_in_the_name(name, family):
    assert told(name).facts.family == family


# Anthropic's sizes, as in Kimi Code: an unknown version has those of the next lower one


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-opus-20240229", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("claude-3.5-haiku", 8_192),
        ("claude-3-7-sonnet-latest", 8_192),
        ("claude-sonnet-3-7", 8_192),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4@20250514", 32_000),
        ("claude-4-opus-20250514", 32_000),
        ("claude-opus-4", 32_000),
        ("claude-opus-4-0", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-3", 32_000),
        ("claude-opus-4-5-20251101", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-opus-4-8", 128_000),
        ("claude-opus-4-10", 128_000),
        ("claude-opus-6", 128_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-4-sonnet", 64_000),
        ("claude-sonnet-4-5", 64_000),
        ("claude-sonnet-4.6", 128_000),
        ("claude-sonnet-5", 128_000),
        ("claude-sonnet-5-5", 128_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-haiku-4-9", 64_000),
        ("claude-fable-5", 128_000),
        ("claude-mythos-5", 128_000),
    ],
)
def test_output_limits_of_claude(name, output):
    assert told(name, "anthropic", "anthropic").facts.max_output_tokens == output


@pytest.mark.parametrize(
    ("name", "thinking", "adaptive", "always", "efforts"),
    [
        ("claude-3-5-sonnet-20241022", False, False, False, []),
        ("claude-3-7-sonnet-20250219", True, False, False, ["low", "medium", "high"]),
        ("claude-opus-4-1", True, False, False, ["low", "medium", "high"]),
        ("claude-haiku-4-5", True, False, False, ["low", "medium", "high"]),
        ("claude-sonnet-4-6", True, True, False, ["low", "medium", "high", "max"]),
        ("claude-opus-4-7", True, True, False, ["low", "medium", "high", "xhigh", "max"]),
        ("claude-sonnet-5", True, True, False, ["low", "medium", "high", "xhigh", "max"]),
        ("claude-mythos-5", True, True, True, ["low", "medium", "high", "xhigh", "max"]),
    ],
)
def test_thinking_of_claude(name, thinking, adaptive, always, efforts):
    facts = told(name, "anthropic", "anthropic").facts
    can = facts.capabilities
    assert (can["thinking"], can["adaptive_thinking"], can.get("always_thinking")) == (thinking, adaptive, always)
    assert facts.efforts == efforts


def test_an_unknown_name_of_the_family_counts_as_the_latest_in_its_own_protocol_only():
    assert told("corp-opus-latest", "", "anthropic").facts.efforts == ["low", "medium", "high", "xhigh", "max"]
    assert told("corp-opus-latest").facts.family is None


# The nine models of the seeds, at OpenAI's own endpoint


@pytest.mark.parametrize(
    ("name", "context", "output", "image", "cost"),
    [
        ("o3-mini", 200_000, 100_000, False, Cost(1.1, 4.4, 0.55)),
        ("o3-mini-high", 200_000, 100_000, False, Cost(1.1, 4.4, 0.55)),
        ("o3-mini-low", 200_000, 100_000, False, Cost(1.1, 4.4, 0.55)),
        ("o1", 200_000, 100_000, True, Cost(15, 60, 7.5)),
        ("o1-preview", 128_000, 32_768, True, Cost(15, 60, 7.5)),
        ("o1-mini", 128_000, 65_536, True, Cost(1.1, 4.4, 0.55)),
        ("gpt-4.5-preview", 128_000, 16_384, True, Cost(75, 150, 37.5)),
        ("gpt-4o", 128_000, 16_384, True, Cost(2.5, 10, 1.25)),
        ("gpt-4o-mini", 128_000, 16_384, True, Cost(0.15, 0.6, 0.075)),
    ],
)
def test_the_native_models_are_known_at_openai(name, context, output, image, cost):
    model, _ = served('type = "openai"\napi_key = "k"', name)
    assert (model.max_context_tokens, model.max_output_tokens) == (context, output)
    assert (model.can("image_in"), model.cost) == (image, cost)
    elsewhere, _ = served('type = "openai"\nbase_url = "https://gateway.example/v1"', name)
    assert elsewhere.cost is None


@pytest.mark.parametrize(("name", "effort"), [("o3-mini-high", "high"), ("o3-mini-low", "low"), ("o3-mini", None)])
def test_an_effort_in_the_name_is_an_effort_and_not_a_name(name, effort):
    model, _ = served('type = "openai"\napi_key = "k"', name)
    assert (model.id, model.default_effort) == ("o3-mini", effort)
    elsewhere, _ = served('type = "openai"\nbase_url = "https://gateway.example/v1"', name)
    assert (elsewhere.id, elsewhere.default_effort) == (name, None)


@pytest.mark.parametrize(
    ("name", "efforts", "off"),
    [
        ("gpt-5", ["minimal", "low", "medium", "high"], None),
        ("gpt-5-pro", ["high"], None),
        ("gpt-5-chat-latest", [], None),
        ("gpt-5.1", ["low", "medium", "high"], "none"),
        ("gpt-5.4", ["low", "medium", "high", "xhigh"], "none"),
        ("gpt-5.1-codex-max", ["low", "medium", "high", "xhigh"], "none"),
        ("o3", ["low", "medium", "high"], None),
        ("o1-mini", [], None),
        ("gpt-4o", None, None),
    ],
)
def test_efforts_of_openais_models(name, efforts, off):
    facts = told(name, "openai").facts
    assert (facts.efforts, facts.off_effort) == (efforts, off)


# Dialects


@pytest.mark.parametrize(
    ("provider", "name", "fields"),
    [
        ('type = "openai"', "gpt-5", {"max_tokens_parameter": "max_completion_tokens", "most_stops": 0}),
        ('type = "openai"', "gpt-5.6-sol", {"most_stops": 0}),
        ('type = "openai"', "o4-mini", {"most_stops": 0}),
        ('type = "openai"', "gpt-5-chat-latest", {"most_stops": 4}),
        ('type = "openai"', "gpt-4o", {"most_stops": 4}),
        ('type = "openai"', "gpt-oss-120b", {"most_stops": 4}),
        ('type = "openai"', "gpt-5.1", {"max_tokens_parameter": "max_completion_tokens", "unsupported": []}),
        ('type = "openai"', "o3-mini-high", {"max_tokens_parameter": "max_completion_tokens"}),
        ('type = "openai"', "gpt-4o", {"max_tokens_parameter": None, "unsupported": []}),
        ('type = "openai"', "gpt-5-chat-latest", {"unsupported": []}),
        ('dialect = "openrouter"', "openai/gpt-5", {"max_tokens_parameter": "max_tokens"}),
        ('type = "azure"\nenv.AZURE_RESOURCE_NAME = "r"', "gpt-5", {"max_tokens_parameter": "max_completion_tokens"}),
        ('type = "azure"\nenv.AZURE_RESOURCE_NAME = "r"', "mistral-large-2411", {"max_tokens_parameter": None}),
        ('dialect = "deepseek"', "deepseek-chat", {"reasoning_echo": "always"}),
        ('dialect = "deepseek"', "deepseek-reasoner", {"tool_choices": ["auto", "none"], "reasoning_echo": "always"}),
        ('dialect = "together"', "deepseek-ai/DeepSeek-R1", {"reasoning_echo": "never", "merge_turns": True}),
        ('type = "openai"\nbase_url = "https://h/v1"', "deepseek-v3.2", {"reasoning_echo": "always"}),
        ('type = "openai"\nbase_url = "https://h/v1"', "deepseek-v3", {"reasoning_echo": "seen"}),
        ('type = "kimi"', "kimi-k2.5", {"unsupported": ["temperature"]}),
        ('type = "kimi"', "kimi-k2-0905-preview", {"unsupported": []}),
        (
            'dialect = "xai"',
            "grok-4",
            {"unsupported": ["presence_penalty", "frequency_penalty"], "strict_tools": False},
        ),
        ('dialect = "zai"', "glm-5.3", {"reasoning_control": "thinking+reasoning_effort"}),
        ('dialect = "zai"', "glm-4.7", {"reasoning_control": "thinking"}),
        ('dialect = "minimax"', "MiniMax-M3", {"reasoning_control": "thinking"}),
        ('dialect = "minimax"', "MiniMax-M2.7", {"reasoning_control": "none"}),
    ],
)
def test_a_model_may_differ_from_its_vendor(provider, name, fields):
    _, found = served(provider + '\napi_key = "k"', name)
    assert {field: getattr(found.dialect, field) for field in fields} == fields


def test_settings_that_vendor_or_model_reject_are_left_out():
    _, found = served('type = "openai"\napi_key = "k"\ndialect = { preset = "mistral" }', "kimi-k2.5")
    assert found.dialect.unsupported == [], "a rule for other vendors does not apply here"
    _, found = served('type = "openai"\nbase_url = "https://h/v1"\napi_key = "k"', "kimi-k2.5")
    assert found.dialect.unsupported == ["temperature"]


def test_the_users_dialect_is_not_changed():
    provider = 'type = "openai"\napi_key = "k"\ndialect = { max_tokens_parameter = "max_tokens" }'
    _, found = served(provider, "gpt-5")
    assert found.dialect.max_tokens_parameter == "max_tokens"
    assert "temperature" in found.dialect.unsupported


# Order of the sources


def test_the_users_values_override_facts_of_the_name():
    model, _ = served(
        'type = "openai"\napi_key = "k"',
        "gpt-5",
        'max_context_size = 100000\nmax_output_size = 5000\ncapabilities = ["audio_in", "temperature", "telepathy"]\n'
        'support_efforts = ["a", "b"]\ncost = { input = 9, output = 9 }\ndisplay_name = "Five"',
    )
    assert (model.id, model.alias, model.provider, model.protocol) == ("gpt-5", "m", "p", "openai_chat")
    assert (model.max_context_tokens, model.max_output_tokens, model.output_tokens_explicit) == (100_000, 5_000, True)
    assert model.max_input_tokens == 100_000, "the input is limited by the context"
    assert (model.can("audio_in"), model.can("temperature"), model.can("image_in")) == (True, True, True)
    assert model.can("video_in") is None
    assert (model.efforts, model.name, model.cost) == (["a", "b"], "Five", Cost(9, 9))
    assert {
        name: model.sources[name] for name in ("max_context_tokens", "efforts", "temperature", "image_in", "family")
    } == {
        "max_context_tokens": "config",
        "efforts": "config",
        "temperature": "config",
        "image_in": "prefix",
        "family": "prefix",
    }


def test_overrides_are_the_users_values_too():
    model, _ = served('type = "openai"\napi_key = "k"', "gpt-5", "max_output_size = 5\noverrides.max_output_size = 7")
    assert (model.max_output_tokens, model.sources["max_output_tokens"]) == (7, "config")


def test_an_unknown_model_has_no_facts():
    model, _ = served('type = "openai"\nbase_url = "http://localhost:8080/v1"', "my-finetune")
    assert model == Model(id="my-finetune", alias="m", provider="p", protocol="openai_chat")


@pytest.mark.parametrize(
    ("said", "capabilities"),
    [
        (
            'modalities = { input = ["text", "pdf"], output = ["text", "audio"] }',
            {
                "image_in": False,
                "video_in": False,
                "audio_in": False,
                "document_in": True,
                "image_out": False,
                "audio_out": True,
            },
        ),
        ('modalities = { input = ["text"] }\ncapabilities = ["image_in"]', {"image_in": True, "audio_in": False}),
        ("tool_call = false", {"tool_use": False}),
        ("reasoning = true\ntemperature = false\ncomputer_use = true", {"thinking": True, "computer_use": True}),
        ('capabilities = [" Always_Thinking "]', {"always_thinking": True, "thinking": True}),
    ],
)
def test_capabilities_that_the_user_can_set(said, capabilities):
    model, _ = served('type = "openai"\nbase_url = "http://localhost:8080/v1"', "my-finetune", said)
    assert {name: model.can(name) for name in capabilities} == capabilities


@pytest.mark.parametrize(
    ("wire_id", "said", "adaptive", "efforts"),
    [
        ("claude-opus-4-7", "adaptive_thinking = false", False, ["low", "medium", "high"]),
        ("claude-opus-4-7", "", True, ["low", "medium", "high", "xhigh", "max"]),
        ("claude-opus-4-1", 'support_efforts = ["low", "max"]', True, ["low", "max"]),
        ("claude-opus-4-1", 'support_efforts = ["low", "high"]', False, ["low", "high"]),
        ("claude-opus-4-1", "adaptive_thinking = true", True, ["low", "medium", "high"]),
    ],
)
def test_adaptive_thinking_of_claude_can_be_set(wire_id, said, adaptive, efforts):
    model, _ = served('type = "anthropic"\napi_key = "k"', wire_id, said)
    assert (model.can("adaptive_thinking"), model.efforts) == (adaptive, efforts)


def test_shared_values_are_not_changed():
    first, _ = served('type = "openai"\napi_key = "k"', "o3-mini")
    assert first.efforts is not None
    assert first.cost is not None
    first.efforts.append("x")
    first.cost.input = 0
    first.capabilities["tool_use"] = False
    second, _ = served('type = "openai"\napi_key = "k"', "o3-mini")
    assert (second.efforts, second.cost, second.can("tool_use")) == (
        ["low", "medium", "high"],
        Cost(1.1, 4.4, 0.55),
        True,
    )


@pytest.mark.parametrize("name", ["gemini-1.5-pro", "gemini-2.0-flash", "gemini-2.5-pro", "gemma-3-27b-it"])
def test_models_older_than_gemini_3_are_known_to_need_no_signatures(name: str) -> None:
    assert told(name, "google", "google").facts.capabilities["call_signatures"] is False


@pytest.mark.parametrize(
    "name", ["gemini-3-pro", "gemini-flash-latest", "gemini-pro-latest", "gemini-4-pro", "models/gemini-3.5-flash"]
)
def test_a_newer_or_unknown_gemini_model_is_not_known_to_need_none(name: str) -> None:
    assert told(name, "google", "google").facts.capabilities.get("call_signatures") is not False
