"""Every spelling of a fact in a list of models."""

from typing import Any

import pytest

from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lists.listing import parse_list
from modelbay.model import Cost


def listed(*entries: dict[str, Any]) -> list[Listed]:
    return parse_list({"object": "list", "data": list(entries)}).models


def only(entry: dict[str, Any]) -> Listed:
    [model] = listed({"id": "acme/m-1", **entry})
    return model


# Facts


def test_openrouter_lists_sizes_prices_per_token_and_modalities():
    model = only(
        {
            "name": "Acme: M 1",
            "context_length": 200_000,
            "architecture": {"modality": "text+image->text", "input_modalities": ["text", "image", "file"]},
            "pricing": {
                "prompt": "0.00000055", "completion": "0.0000022", "image": "0.001", "request": "0",
                "input_cache_read": "0.00000011", "input_cache_write": "0.0000006875",
            },
            "top_provider": {"context_length": 200_000, "max_completion_tokens": 32_000, "is_moderated": False},
            "supported_parameters": ["tools", "tool_choice", "max_tokens", "structured_outputs", "temperature"],
        }
    )  # fmt: skip
    facts = model.facts
    assert (model.name, facts.max_context_tokens, facts.max_output_tokens) == ("Acme: M 1", 200_000, 32_000)
    assert facts.cost == Cost(input=0.55, output=2.2, cache_read=0.11, cache_write=0.6875)
    assert facts.capabilities == {
        "image_in": True, "video_in": False, "audio_in": False, "document_in": True,
        "image_out": False, "audio_out": False,
        "tool_use": True, "thinking": False, "structured_output": True, "temperature": True,
    }  # fmt: skip


def test_variable_prices_are_unknown():
    assert only({"pricing": {"prompt": "-1", "completion": "-1"}}).facts.cost is None


def test_prices_of_synthetic_have_a_dollar_sign():
    facts = only(
        {
            "context_length": 131_072,
            "max_output_length": 65_536,
            "pricing": {"prompt": "$0.00000055", "completion": "$0.00000219", "input_cache_reads": "$0.00000055"},
            "input_modalities": ["text"],
            "supported_features": ["tools", "json_mode", "reasoning"],
            "supported_sampling_parameters": ["temperature", "top_p"],
        }
    ).facts
    assert (facts.max_context_tokens, facts.max_output_tokens) == (131_072, 65_536)
    assert facts.cost == Cost(input=0.55, output=2.19, cache_read=0.55)
    assert facts.capabilities["thinking"] and facts.capabilities["tool_use"]
    assert facts.capabilities["image_in"] is False


def test_prices_of_together_are_per_million():
    [chat, image, embedding] = parse_list(
        [
            {
                "id": "a", "type": "chat", "display_name": "A", "context_length": 32_768,
                "pricing": {"hourly": 0, "input": 0.3, "output": 0.6, "base": 0, "finetune": 0},
            },
            {"id": "b", "type": "image", "pricing": {"input": 0, "output": 0}},
            {"id": "c", "type": "embedding", "context_length": 512},
        ]
    ).models  # fmt: skip
    assert (chat.kind, chat.facts.cost, chat.facts.max_context_tokens) == ("chat", Cost(input=0.3, output=0.6), 32_768)
    assert [image.kind, embedding.kind] == ["image", "embedding"]
    assert [model.chats for model in (chat, image, embedding)] == [True, False, False]


@pytest.mark.parametrize(
    ("where", "entry", "cost"),
    [
        ("a model for nothing", {"pricing": {"prompt": "0", "completion": "0"}}, Cost(input=0, output=0)),
        ("Vercel", {"pricing": {"input": "0.00000025", "output": "0.000002"}}, Cost(input=0.25, output=2)),
        ("Chutes", {"pricing": {"prompt": 0.2, "completion": 0.8}}, Cost(input=0.2, output=0.8)),
        (
            "Venice",
            {"model_spec": {"pricing": {"input": {"usd": 0.5}, "output": {"usd": 2}}}},
            Cost(input=0.5, output=2),
        ),
        (
            "DeepInfra",
            {"metadata": {"pricing": {"input_tokens": 0.1, "output_tokens": 0.4}}},
            Cost(input=0.1, output=0.4),
        ),
        ("models.dev", {"cost": {"input": 0.003, "output": 0.003}}, Cost(input=0.003, output=0.003)),
        ("models.dev's field with another unit", {"cost": {"input": 0.0005, "output": 0.0015}}, None),
        (
            "xAI",
            {
                "prompt_text_token_price": 30_000,
                "cached_prompt_text_token_price": 7500,
                "completion_text_token_price": 150_000,
            },
            Cost(input=3, output=15, cache_read=0.75),
        ),
        (
            "LiteLLM",
            {"model_info": {"input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7}},
            Cost(input=0.15, output=0.6),
        ),
        ("a half price", {"pricing": {"input": 1}}, None),
        ("words", {"pricing": {"input": "free", "output": "free"}}, None),
    ],
)
def test_prices_become_dollars_per_million_in_every_spelling(where, entry, cost):
    assert only(entry).facts.cost == cost


@pytest.mark.parametrize(
    ("where", "entry", "sizes"),
    [
        ("vLLM", {"max_model_len": 40_960}, (40_960, None, None)),
        ("Groq", {"context_window": 131_072, "max_completion_tokens": 65_536}, (131_072, None, 65_536)),
        ("Mistral", {"max_context_length": 131_072}, (131_072, None, None)),
        ("Moonshot", {"context_length": 262_144}, (262_144, None, None)),
        ("Gemini", {"inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}, (1_048_576, 1_048_576, 65_536)),
        ("Anthropic", {"max_input_tokens": 200_000, "max_tokens": 64_000}, (200_000, 200_000, 64_000)),
        ("Vercel", {"context_window": 200_000, "max_tokens": 64_000}, (200_000, None, 64_000)),
        (
            "models.dev",
            {"limit": {"context": 400_000, "input": 272_000, "output": 128_000}},
            (400_000, 272_000, 128_000),
        ),
        ("LM Studio, loaded", {"max_context_length": 32_768, "loaded_context_length": 4096}, (4096, None, None)),
        (
            "LM Studio's first version",
            {"max_context_length": 262_144, "loaded_instances": [{"config": {"context_length": 4096}}]},
            (4096, None, None),
        ),
        ("llama.cpp", {"meta": {"n_ctx": 2048, "n_ctx_train": 8192}}, (2048, None, None)),
        ("Ollama", {"model_info": {"general.x": 1, "llama.context_length": 131_072}}, (131_072, None, None)),
        (
            "GitHub Models",
            {"limits": {"max_input_tokens": 1_048_576, "max_output_tokens": 32_768}},
            (1_048_576, 1_048_576, 32_768),
        ),
        (
            "GitHub Copilot",
            {
                "capabilities": {
                    "limits": {
                        "max_context_window_tokens": 128_000,
                        "max_prompt_tokens": 64_000,
                        "max_output_tokens": 16_384,
                    }
                }
            },
            (128_000, 64_000, 16_384),
        ),
        ("DeepInfra", {"metadata": {"context_length": 163_840, "max_tokens": 16_384}}, (163_840, None, 16_384)),
        ("Venice", {"model_spec": {"availableContextTokens": 65_536}}, (65_536, None, None)),
        ("Fireworks", {"contextLength": 131_072}, (131_072, None, None)),
        ("text", {"context_length": "32768"}, (32_768, None, None)),
        ("a point", {"context_length": 32_768.0}, (32_768, None, None)),
        (
            "nonsense",
            {"context_length": 0, "max_tokens": -1, "context_window": True, "max_model_len": "big"},
            (None, None, None),
        ),
        ("more out than in all", {"context_length": 1000, "max_tokens": 4000}, (1000, None, None)),
    ],
)
def test_sizes_are_read_in_every_spelling(where, entry, sizes):
    facts = only(entry).facts
    assert (facts.max_context_tokens, facts.max_input_tokens, facts.max_output_tokens) == sizes


@pytest.mark.parametrize(
    ("where", "entry", "capabilities"),
    [
        (
            "Moonshot",
            {"supports_image_in": True, "supports_video_in": False, "supports_reasoning": True},
            {"image_in": True, "video_in": False, "thinking": True},
        ),
        (
            "Mistral",
            {"capabilities": {"completion_chat": True, "function_calling": True, "vision": False}},
            {"tool_use": True, "image_in": False},
        ),
        (
            "Vercel",
            {"type": "language", "tags": ["reasoning", "tool-use", "vision", "file-input"]},
            {"thinking": True, "tool_use": True, "image_in": True, "document_in": True},
        ),
        ("Gemini", {"thinking": True, "temperature": 1.0}, {"thinking": True}),
        (
            "Anthropic",
            {
                "capabilities": {
                    "image_input": {"supported": True},
                    "pdf_input": {"supported": True},
                    "structured_outputs": {"supported": False},
                    "thinking": {"supported": True, "types": {"adaptive": {"supported": True}}},
                }
            },
            {
                "image_in": True,
                "document_in": True,
                "structured_output": False,
                "thinking": True,
                "adaptive_thinking": True,
            },
        ),
        (
            "GitHub Copilot",
            {"capabilities": {"type": "chat", "supports": {"vision": True, "tool_calls": True}}},
            {"image_in": True, "tool_use": True},
        ),
        ("LM Studio", {"type": "vlm", "capabilities": ["tool_use"]}, {"tool_use": True}),
        (
            "LM Studio's first version",
            {"capabilities": {"vision": True, "trained_for_tool_use": False}},
            {"image_in": True},
        ),
        (
            "Ollama",
            {"capabilities": ["completion", "vision"], "model_info": {}},
            {"image_in": True, "tool_use": False, "thinking": False},
        ),
        ("llama.cpp, in Ollama's manner", {"capabilities": ["completion"]}, {}),
        (
            "llama.cpp's properties",
            {"modalities": {"vision": True, "audio": False}},
            {"image_in": True, "audio_in": False},
        ),
        (
            "Venice",
            {"model_spec": {"capabilities": {"supportsVision": True, "supportsFunctionCalling": True}}},
            {"image_in": True, "tool_use": True},
        ),
        ("LiteLLM", {"model_info": {"supports_vision": True, "supports_function_calling": None}}, {"image_in": True}),
        ("Hugging Face", {"providers": [{"supports_tools": False}, {"supports_tools": True}]}, {"tool_use": True}),
        ("Kimi Code, both", {"supports_thinking_type": "both"}, {"thinking": True}),
        ("Kimi Code, only", {"supports_thinking_type": "only"}, {"thinking": True, "always_thinking": True}),
        ("Kimi Code, no", {"supports_thinking_type": "no", "supports_reasoning": True}, {"thinking": False}),
        (
            "models.dev",
            {
                "modalities": {"input": ["text", "image"], "output": ["text"]},
                "reasoning": False,
                "tool_call": True,
                "temperature": True,
            },
            {
                "image_in": True,
                "video_in": False,
                "audio_in": False,
                "document_in": False,
                "image_out": False,
                "audio_out": False,
                "thinking": False,
                "tool_use": True,
                "temperature": True,
            },
        ),
        ("nothing", {"owned_by": "me"}, {}),
        ("words for switches", {"supports_image_in": "yes", "tool_call": 1}, {}),
    ],
)
def test_a_capability_is_yes_no_or_unknown(where, entry, capabilities):
    assert only(entry).facts.capabilities == capabilities


@pytest.mark.parametrize(
    ("where", "entry", "efforts"),
    [
        (
            "Kimi Code",
            {"think_efforts": {"support": True, "valid_efforts": ["low", "high"], "default_effort": "high"}},
            (["low", "high"], "high", None),
        ),
        (
            "models.dev",
            {"reasoning_options": [{"type": "effort", "values": ["none", "low", "high"]}]},
            (["low", "high"], None, "none"),
        ),
        (
            "Anthropic",
            {
                "capabilities": {
                    "effort": {
                        "supported": True,
                        "max": {"supported": True},
                        "low": {"supported": True},
                        "xhigh": {"supported": False},
                    }
                }
            },
            (["low", "max"], None, None),
        ),
        (
            "Anthropic, none",
            {"capabilities": {"effort": {"supported": False, "low": {"supported": False}}}},
            ([], None, None),
        ),
        (
            "GitHub Copilot",
            {"capabilities": {"supports": {"reasoning_effort": ["low", "medium"]}}},
            (["low", "medium"], None, None),
        ),
        ("a default of another list", {"support_efforts": ["low"], "default_effort": "max"}, (["low"], None, None)),
        ("nothing", {}, (None, None, None)),
    ],
)
def test_efforts_are_those_of_the_list(where, entry, efforts):
    facts = only(entry).facts
    assert (facts.efforts, facts.default_effort, facts.off_effort) == efforts


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("chat", {"type": "vlm"}),
        ("chat", {"type": "language"}),
        ("chat", {"type": "model"}),
        ("chat", {"task": {"name": "Text Generation"}}),
        ("chat", {"supportedGenerationMethods": ["generateContent", "embedContent"]}),
        ("chat", {"architecture": {"output_modalities": ["image", "text"]}}),
        ("chat", {"supported_endpoint_types": ["openai", "image-generation"]}),
        ("embedding", {"type": "embeddings"}),
        ("embedding", {"supportedGenerationMethods": ["embedContent"]}),
        ("embedding", {"capabilities": {"type": "embeddings"}}),
        ("embedding", {"model_info": {"mode": "embedding"}}),
        ("embedding", {"endpoints": ["embed", "classify"]}),
        ("embedding", {"capabilities": ["embedding"]}),
        ("embedding", {"task": {"name": "Text Embeddings"}}),
        ("image", {"supportedGenerationMethods": ["predict"]}),
        ("image", {"architecture": {"modality": "text->image"}}),
        ("image", {"pipeline_tag": "text-to-image"}),
        ("audio", {"modalities": {"input": ["audio"], "output": ["text"]}}),
        ("audio", {"modalities": {"input": ["text"], "output": ["audio"]}}),
        ("video", {"supportedGenerationMethods": ["predictLongRunning"]}),
        ("rerank", {"type": "rerank"}),
        ("moderation", {"type": "moderation"}),
        ("other", {"capabilities": {"completion_chat": False, "classification": True}}),
        ("other", {"supports_chat": False}),
    ],
)
def test_the_purpose_of_a_model_is_in_its_entry(kind, entry):
    assert only(entry).kind == kind


@pytest.mark.parametrize(
    ("id", "kind"),
    [
        ("text-embedding-3-large", "embedding"), ("nomic-embed-text:latest", "embedding"), ("BAAI/bge-m3", "embedding"),
        ("mistral-embed", "embedding"), ("gemini-embedding-001", "embedding"), ("qwen3-reranker-8b", "rerank"),
        ("dall-e-3", "image"), ("gpt-image-1", "image"), ("black-forest-labs/FLUX.1-schnell", "image"),
        ("whisper-1", "audio"), ("tts-1-hd", "audio"), ("gpt-4o-mini-tts", "audio"), ("gpt-4o-transcribe", "audio"),
        ("sora-2", "video"), ("omni-moderation-latest", "moderation"), ("meta-llama/llama-guard-4-12b", "moderation"),
        ("babbage-002", "completion"),
        ("gpt-4o", "chat"), ("gpt-4o-audio-preview", "chat"), ("claude-opus-4-7", "chat"), ("embedded-assistant", "chat"),
        ("gemini-2.5-flash-image", "chat"), ("veolia-chat", "chat"), ("o3", "chat"),
    ],
)  # fmt: skip
def test_a_bare_id_shows_the_purpose_too(id, kind):
    assert listed({"id": id, "object": "model"})[0].kind == kind


def test_the_list_overrides_a_purpose_guessed_from_the_id():
    assert listed({"id": "my-embedding-chat", "type": "chat"})[0].kind == "chat"


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"status": "deprecated"}, "deprecated"),
        ({"status": "alpha"}, "alpha"),
        ({"lifecycle_status": "deprecating"}, "deprecated"),
        ({"modelLifecycle": {"status": "LEGACY"}}, "deprecated"),
        ({"deprecation": "2026-01-01T00:00:00Z"}, "deprecated"),
        ({"deprecation": None}, None),
        ({"active": False}, "inactive"),
        ({"active": True}, None),
        ({"status": "available"}, None),
        ({"state": "not-loaded"}, None),
    ],
)
def test_deprecated_models_are_marked(entry, status):
    assert only(entry).status == status


@pytest.mark.parametrize(
    ("entry", "protocols"),
    [
        ({"supported_endpoints": ["/chat/completions", "/v1/messages"]}, ["openai_chat", "anthropic"]),
        ({"supported_endpoints": ["/responses"]}, ["openai_responses"]),
        ({"supported_endpoint_types": ["gemini", "openai"]}, ["openai_chat", "google"]),
        ({"protocol": "anthropic"}, ["anthropic"]),
        ({}, []),
    ],
)
def test_a_list_may_name_the_protocol_of_a_model(entry, protocols):
    assert only(entry).protocols == protocols


def test_a_name_equal_to_the_id_is_ignored():
    assert only({"name": "acme/m-1"}).facts.name is None
    assert only({"display_name": " M 1 "}).facts.name == "M 1"


def test_an_entry_is_stored_whole():
    entry = {"id": "m", "website": "https://a.example", "open_weights": True}
    assert listed(entry)[0].extra == entry


def test_a_list_of_details_is_not_a_field_for_thinking():
    assert only({"interleaved": {"field": "reasoning_content"}}).facts.reasoning_key == "reasoning_content"
    assert only({"interleaved": {"field": "reasoning_details"}}).facts.reasoning_key is None
    assert only({"interleaved": True}).facts.reasoning_key is None
