"""Model lists in the three formats that clients support, with the facts that each format has."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from modelbay.simulator.simulated_models import CREATED, SimulatedModel

_INPUTS = {"image": "image_in", "audio": "audio_in", "video": "video_in"}


def _modalities(facts: SimulatedModel) -> list[str]:
    return ["text", *(name for name, capability in _INPUTS.items() if facts.can(capability))]  # type: ignore[arg-type]


def _dollars(per_million: float | None) -> str:
    return f"{(per_million or 0) / 1e6:.10f}".rstrip("0").rstrip(".")


def openai_form(facts: SimulatedModel) -> dict[str, Any]:
    """OpenAI's four fields, and facts in the format of OpenRouter and Moonshot."""
    model = facts.model
    parameters = ["max_tokens", "temperature", "top_p", "stop"]
    if facts.can("tool_use"):
        parameters += ["tools", "tool_choice"]
    if facts.can("thinking"):
        parameters += ["reasoning", "reasoning_effort"]
    if facts.can("structured_output"):
        parameters += ["response_format", "structured_outputs"]
    cost = model.cost
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "modelbay",
        "name": model.name,
        "context_length": model.max_context_tokens,
        "architecture": {"input_modalities": _modalities(facts), "output_modalities": ["text"]},
        "top_provider": {
            "context_length": model.max_context_tokens,
            "max_completion_tokens": model.max_output_tokens,
            "is_moderated": False,
        },
        "pricing": None
        if cost is None
        else {
            "prompt": _dollars(cost.input),
            "completion": _dollars(cost.output),
            "input_cache_read": _dollars(cost.cache_read),
            "input_cache_write": _dollars(cost.cache_write),
        },
        "supported_parameters": parameters,
        "supports_reasoning": facts.can("thinking"),
        "supports_image_in": facts.can("image_in"),
        "supports_video_in": facts.can("video_in"),
    }


def anthropic_form(facts: SimulatedModel) -> dict[str, Any]:
    model = facts.model
    effort = {level: {"supported": facts.can("thinking")} for level in model.efforts or ()}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_input_tokens": model.max_context_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": {
            "image_input": {"supported": facts.can("image_in")},
            "pdf_input": {"supported": facts.can("document_in")},
            "structured_outputs": {"supported": facts.can("structured_output")},
            "thinking": {
                "supported": facts.can("thinking"),
                "types": {
                    "adaptive": {"supported": facts.can("adaptive_thinking")},
                    "enabled": {"supported": facts.can("thinking")},
                },
            },
            "effort": {"supported": facts.can("thinking"), **effort},
        },
    }


def google_form(facts: SimulatedModel) -> dict[str, Any]:
    model = facts.model
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name,
        "description": "A simulated model",
        "inputTokenLimit": model.max_context_tokens,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "temperature": 1.0,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2.0,
        "thinking": facts.can("thinking"),
    }


def _openai_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": items}


def _anthropic_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"data": items, "has_more": False, "first_id": first, "last_id": last}


def _google_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"models": items}


FORMS: dict[
    str, tuple[Callable[[SimulatedModel], dict[str, Any]], Callable[[list[dict[str, Any]]], dict[str, Any]]]
] = {
    "openai_chat": (openai_form, _openai_list),
    "openai_responses": (openai_form, _openai_list),
    "anthropic": (anthropic_form, _anthropic_list),
    "google": (google_form, _google_list),
}
"""For each protocol, the functions for one model and for the list."""

COUNTS = {
    "openai_chat": lambda count: {"input_tokens": count},
    "openai_responses": lambda count: {"object": "response.input_tokens", "input_tokens": count},
    "anthropic": lambda count: {"input_tokens": count},
    "google": lambda count: {
        "totalTokens": count,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}],
    },
}
"""For each protocol, the response to a request for a token count."""
