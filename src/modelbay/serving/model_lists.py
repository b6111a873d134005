"""Model lists in the form of each client, made from the known facts about models.

A form has the fields that its clients read: the sizes above all, because an agent shortens its conversation according to them.
An unknown fact is left out, unless the form requires it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from modelbay.catalog.facts import INPUTS, OUTPUTS
from modelbay.conversation import Extra
from modelbay.model import Capability, Cost, Model
from modelbay.serving.codex_models import CONTEXT, codex_model
from modelbay.serving.routes import ListForm

NAME = "modelbay"
"""The name of our servers as a provider."""
KEY_VARIABLE = "MODELBAY_API_KEY"
"""The environment variable with a client's key, for programs that read its name from a list."""
OUTPUT = 8_192
"""Maximum output tokens for forms that require them, if they are unknown."""
_UNKNOWN_DAY = date(1970, 1, 1)
"""The value of Anthropic's API for an unknown release date, which the form requires."""

_Item: TypeAlias = dict[str, Any]


class ModelList(Struct):
    """The models that a server offers. The `id` of each is the name under which clients ask for it."""

    models: Sequence[Model]
    url: str
    """Base URL of the server without a path, as the client addresses it."""
    released: date | None = None
    """Release date of the models without one of their own; None if unknown."""
    dates: Mapping[str, date] = {}
    """Release dates by ID."""
    client_version: str = ""
    """Version of the client, for a form that depends on it; "" if unknown."""

    def body(self, form: ListForm) -> _Item:
        """The whole list in a form."""
        return _LISTS[form](self)

    def item(self, form: ListForm, model: Model) -> _Item:
        """One model in a form."""
        return _ITEMS[form](self, model)

    def items(self, form: ListForm) -> list[_Item]:
        return [_ITEMS[form](self, model) for model in self.models]

    def day(self, model: Model) -> date | None:
        """Release date of a model; None if unknown."""
        return self.dates.get(model.id, self.released)


def _openai(listed: ModelList, model: Model) -> _Item:
    """OpenAI's four fields, and facts in the forms of OpenRouter, Moonshot and vLLM."""
    # no word for documents: Chat Completions clients send them in several ways, of which a provider accepts some
    inputs = [word for word in _modalities(model, INPUTS) if word != "pdf"]
    return {
        "id": model.id,
        "object": "model",
        "created": _seconds(listed.day(model)),
        "owned_by": NAME,
        "name": model.name or model.id,
        **_known(
            context_length=model.max_context_tokens,
            context_window=model.max_context_tokens,
            max_model_len=model.max_context_tokens,
            max_input_tokens=_input(model),
            max_output_tokens=model.max_output_tokens,
        ),
        "architecture": {"input_modalities": inputs, "output_modalities": _modalities(model, OUTPUTS)},
        "top_provider": {
            "context_length": model.max_context_tokens,
            "max_completion_tokens": model.max_output_tokens,
            "is_moderated": False,
        },
        "pricing": _pricing(model.cost),
        "supported_parameters": _parameters(model),
        **_known(
            supports_reasoning=model.can("thinking"),
            supports_image_in=model.can("image_in"),
            supports_video_in=model.can("video_in"),
            supports_tool_use=model.can("tool_use"),
        ),
    }


def _parameters(model: Model) -> list[str]:
    parameters = ["max_tokens", "top_p", "stop"]
    if model.can("temperature") is not False:
        parameters.append("temperature")
    if model.can("tool_use") is not False:
        parameters += ["tools", "tool_choice"]
    if model.can("thinking"):
        parameters += ["reasoning", "reasoning_effort"]
    if model.can("structured_output"):
        parameters += ["response_format", "structured_outputs"]
    return parameters


def _pricing(cost: Cost | None) -> _Item | None:
    if cost is None:
        return None
    names = {
        "prompt": cost.input,
        "completion": cost.output,
        "input_cache_read": cost.cache_read,
        "input_cache_write": cost.cache_write,
    }
    return {name: _dollars(price) for name, price in names.items() if price is not None}


def _dollars(per_million: float) -> str:
    """A price per token."""
    return f"{per_million / 1e6:.12f}".rstrip("0").rstrip(".")


def _anthropic(listed: ModelList, model: Model) -> _Item:
    efforts = {effort: {"supported": True} for effort in model.efforts or ()} if model.can("thinking") else {}
    found: _Item = {
        "image_input": _supported(model, "image_in"),
        "pdf_input": _supported(model, "document_in"),
        "structured_outputs": _supported(model, "structured_output"),
    }
    if (thinks := model.can("thinking")) is not None:
        adaptive = {"supported": bool(model.can("adaptive_thinking"))}
        found["thinking"] = {
            "supported": thinks,
            "types": {"adaptive": adaptive, "enabled": {"supported": thinks}},
        }
        found["effort"] = {"supported": bool(efforts), **efforts}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": f"{listed.day(model) or _UNKNOWN_DAY}T00:00:00Z",
        **_known(max_input_tokens=_input(model), max_tokens=model.max_output_tokens),
        "capabilities": {name: value for name, value in found.items() if value is not None},
    }


def _supported(model: Model, capability: Capability) -> _Item | None:
    can = model.can(capability)
    return None if can is None else {"supported": can}


def _google(listed: ModelList, model: Model) -> _Item:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name or model.id,
        **_known(inputTokenLimit=_input(model), outputTokenLimit=model.max_output_tokens),
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        **_known(thinking=model.can("thinking")),
    }


def _litellm(listed: ModelList, model: Model) -> _Item:
    cost = model.cost or Cost()
    prices = {
        "input_cost_per_token": cost.input,
        "output_cost_per_token": cost.output,
        "cache_read_input_token_cost": cost.cache_read,
        "cache_creation_input_token_cost": cost.cache_write,
    }
    return {
        "model_name": model.id,
        "litellm_params": {"model": model.id},
        "model_info": {
            "id": model.id,
            "key": model.id,
            "mode": "chat",
            "litellm_provider": NAME,
            "db_model": False,
            **_known(
                max_tokens=model.max_output_tokens,
                max_input_tokens=_input(model),
                max_output_tokens=model.max_output_tokens,
                supports_function_calling=model.can("tool_use"),
                supports_vision=model.can("image_in"),
                supports_audio_input=model.can("audio_in"),
                supports_video_input=model.can("video_in"),
                supports_pdf_input=model.can("document_in"),
                supports_reasoning=model.can("thinking"),
                supports_response_schema=model.can("structured_output"),
            ),
            **{name: price / 1e6 for name, price in prices.items() if price is not None},
        },
    }


def _models_dev(listed: ModelList, model: Model) -> _Item:
    """A model as models.dev and manifests describe it, with the fields that opencode and Kilo require."""
    context = model.max_context_tokens or CONTEXT
    inputs = _modalities(model, INPUTS)
    efforts = [*(model.efforts or ()), *([model.off_effort] if model.off_effort else [])]
    return {
        "id": model.id,
        "name": model.name or model.id,
        "attachment": len(inputs) > 1,
        "reasoning": bool(model.can("thinking")),
        "temperature": model.can("temperature") is not False,
        "tool_call": model.can("tool_use") is not False,
        **({"reasoning_options": [{"type": "effort", "values": efforts}]} if efforts else {}),
        **({"structured_output": True} if model.can("structured_output") else {}),
        # required; opencode hides models whose date is valid and old, such as 1970
        "release_date": str(listed.day(model) or ""),
        "last_updated": str(listed.day(model) or ""),
        "modalities": {"input": inputs, "output": _modalities(model, OUTPUTS)},
        "open_weights": False,
        **_cost(model.cost),
        "limit": {
            "context": context,
            **_known(input=model.max_input_tokens),
            "output": model.max_output_tokens or min(OUTPUT, context),
        },
    }


def _extended(listed: ModelList, model: Model) -> _Item:
    """A model of a manifest: without unknown dates."""
    return {name: value for name, value in _models_dev(listed, model).items() if value != ""}


def _cost(cost: Cost | None) -> _Item:
    if cost is None or cost.input is None or cost.output is None:
        return {}
    return {"cost": {name: price for name, price in asdict(cost).items() if price is not None}}


def _registry(listed: ModelList, model: Model) -> _Item:
    """A model of Kimi Code's registry."""
    efforts = model.efforts if model.can("thinking") else None
    return {
        **_extended(listed, model),
        **_known(support_efforts=efforts, default_effort=efforts and model.default_effort),
    }


def _input(model: Model) -> int | None:
    return model.max_input_tokens or model.max_context_tokens


def _modalities(model: Model, words: dict[str, Capability]) -> list[str]:
    return ["text", *(word for word, capability in words.items() if model.can(capability))]


def _known(**facts: Any) -> Extra:
    return {name: value for name, value in facts.items() if value is not None}


def _seconds(day: date | None) -> int:
    return 0 if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _anthropic_list(listed: ModelList) -> _Item:
    items = listed.items("anthropic")
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"data": items, "has_more": False, "first_id": first, "last_id": last}


def _codex_list(listed: ModelList) -> _Item:
    items = listed.items("codex")
    return {"models": [{**item, "priority": place} for place, item in enumerate(items, 1)]}  # the order in its picker


def _manifest(listed: ModelList) -> _Item:
    base = f"{listed.url}/v1"
    return {"name": NAME, "website": listed.url, "baseUrl": base, "models_data_source": "endpoint"}


def _provider(listed: ModelList, form: ListForm, **also: Any) -> _Item:
    models = {item["id"]: item for item in listed.items(form)}
    return {
        NAME: {"id": NAME, "name": NAME, "api": f"{listed.url}/v1", "env": [KEY_VARIABLE], **also, "models": models}
    }


_ITEMS: dict[ListForm, Callable[[ModelList, Model], _Item]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "google": _google,
    "codex": lambda listed, model: codex_model(model, listed.client_version),
    "litellm": _litellm,
    "extended": _extended,
    "models_dev": _models_dev,
    "registry": _registry,
    "manifest": _extended,
}
_LISTS: dict[ListForm, Callable[[ModelList], _Item]] = {
    "openai": lambda listed: {"object": "list", "data": listed.items("openai")},
    "anthropic": _anthropic_list,
    "google": lambda listed: {"models": listed.items("google")},
    "codex": _codex_list,
    "litellm": lambda listed: {"data": listed.items("litellm")},
    "extended": lambda listed: {"models": {item["id"]: item for item in listed.items("extended")}},
    "models_dev": lambda listed: _provider(listed, "models_dev", npm="@ai-sdk/openai-compatible", doc=listed.url),
    "registry": lambda listed: _provider(listed, "registry", type="openai"),
    "manifest": _manifest,
}
