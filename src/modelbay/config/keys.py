"""Known keys of each table of `config.toml`, and the unknown keys of a file: a misspelled key would otherwise be a setting
that is silently ignored.

An unknown key is a warning, because Kimi Code shares the file and adds keys of its own; in a table that only modelbay
uses (`STRICT`) it is an error. `Known.others` are keys that are valid and not used by modelbay.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from modelbay.config.provider_types import TYPES
from modelbay.config.schema import (
    ChatSettings,
    GatewaySettings,
    Modalities,
    ModelEntry,
    Network,
    OAuth,
    Problem,
    ProviderEntry,
    SearchSettings,
    SizeLimits,
    ThinkingDefaults,
    Timeout,
    Tls,
    key_text,
)
from modelbay.config.toml.lines import lines_of
from modelbay.config.toml.scan import Keys
from modelbay.model import Cost

PROVIDER_KEYS = frozenset(ProviderEntry.__struct_fields__) - {"id", "extra"}
MODEL_KEYS = frozenset(ModelEntry.__struct_fields__) - {"alias", "flat", "configured", "variant", "overridden", "extra"}
OAUTH_KEYS = frozenset(OAuth.__struct_fields__) - {"extra"}
ROUTING_KEYS = frozenset(
    {
        "provider",
        "provider_id",
        "model",
        "name",
        "base_model",
        "aliases",
        "protocol",
        "beta_api",
        "base_url",
        "api_key",
        "oauth",
    }
)
"""Keys that `overrides` cannot change, because they say which model it is."""


class KnownKeys(Struct, frozen=True):
    """The keys of one table."""

    ours: frozenset[str]
    others: frozenset[str] = frozenset()
    """Keys used by other programs, or by models in general: not used by modelbay and not reported."""
    free: bool = False
    """Whether any other key is allowed, too: then only a near miss of one of `ours` is reported."""


EXTENDED = frozenset(
    ("id", "description", "family", "status", "knowledge", "release_date", "last_updated", "attachment", "open_weights",
     "structured_output", "interleaved", "limit", "reasoning_options", "dynamically_loaded_tools", "experimental",
     "provider_options", "context_length", "supports_reasoning", "supports_image_in",
     "supports_video_in", "supports_tool_use", "supports_thinking_type", "think_efforts", "object", "created", "owned_by",
     "npm", "tags", "type", "toggle", "weights", "license", "links")
)  # fmt: skip
"""Fields of extended models, as model lists and models.dev write them."""
OF_KIMI_CODE = frozenset(
    ("telemetry", "plan_mode", "yolo", "auto_session_title", "default_permission_mode", "default_plan_mode",
     "default_thinking", "default_yolo", "permission", "hooks", "services", "merge_all_available_skills",
     "builtin_product_skills", "extra_skill_dirs", "extra_agent_dirs", "loop_control", "background", "subagent",
     "secondary_model", "mcp", "image", "model_catalog", "experimental", "token_counting", "identity", "tools", "task",
     "swarm", "watch", "cron", "database", "read")
)  # fmt: skip
"""Tables and settings at the top level, besides providers and models."""

ROOT = KnownKeys(
    frozenset({"default_model", "default_provider", "thinking", "chat", "network", "gateway", "providers", "models"}),
    OF_KIMI_CODE,
)
THINKING = KnownKeys(frozenset(ThinkingDefaults.__struct_fields__), frozenset({"mode", "forced_effort"}))
PROVIDER = KnownKeys(PROVIDER_KEYS)
MODEL = KnownKeys(MODEL_KEYS | {"provider_id", "name", "overrides"}, EXTENDED)
OVERRIDES = KnownKeys(MODEL.ours - {"overrides"}, EXTENDED)
LOGIN = KnownKeys(OAUTH_KEYS)
SOURCE = KnownKeys(frozenset({"kind", "url", "apiKey", "models_dev_provider_id"}), free=True)
COST = KnownKeys(
    frozenset(Cost.__struct_fields__), frozenset({"reasoning", "input_audio", "output_audio", "tiers"}), free=True
)
MODALITIES = KnownKeys(frozenset(Modalities.__struct_fields__))
VARIABLES = KnownKeys(frozenset(name for row in TYPES.values() for name in (*row.key_names, *row.url_names)), free=True)
VARIANT = KnownKeys(
    frozenset(
        ("disabled", "reasoning_effort", "reasoning", "effort", "summary", "verbosity", "text", "thinking", "type",
         "budget_tokens", "enable_thinking", "thinking_budget", "chat_template_kwargs", "output_config", "generationConfig",
         "thinkingConfig", "thinkingLevel", "thinkingBudget", "includeThoughts", "include", "temperature", "top_p", "top_k",
         "topP", "topK", "max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "stop",
         "stop_sequences", "stopSequences", "seed", "frequency_penalty", "presence_penalty", "service_tier", "response_format",
         "parallel_tool_calls", "tool_choice", "metadata", "extra_body", "safetySettings")
    ),
    free=True,
)  # fmt: skip
"""Parameters that the protocols' requests have: a provider may have others, so only a misspelled one is reported."""
STRICT: dict[str, type[Struct]] = {
    "tls": Tls,
    "timeout": Timeout,
    "limits": SizeLimits,
    "chat": ChatSettings,
    "network": Network,
    "gateway": GatewaySettings,
}
"""Tables that only modelbay uses, by name, at the top level or in an entry. Their structs forbid unknown fields, so loading
refuses an unknown key; a table listed here gets a hint with the nearest key.
"""

OF_GATEWAY: dict[str, type[Struct]] = {"search": SearchSettings}
"""The same for tables within `[gateway]`."""

INNER: dict[str, KnownKeys] = {
    "oauth": LOGIN,
    "source": SOURCE,
    "cost": COST,
    "modalities": MODALITIES,
    "env": VARIABLES,
    "overrides": OVERRIDES,
}
"""Tables within a provider or a model."""


class UnknownKey(Struct, frozen=True):
    """An unknown key."""

    path: Keys
    nearest: str | None = None


def table_at(path: Keys) -> KnownKeys | None:
    """The keys allowed in the table at a path; None if any key is allowed."""
    match path:
        case ():
            return ROOT
        case ("thinking",):
            return THINKING
        case ("providers", _):
            return PROVIDER
        case ("models", _):
            return MODEL
        case ("gateway", name) if name in OF_GATEWAY:
            return KnownKeys(frozenset(OF_GATEWAY[name].__struct_fields__))
        case (*_, name) if name in STRICT:
            return KnownKeys(frozenset(STRICT[name].__struct_fields__))
        case ("models", _, "variants", _, *_) | ("models", _, "overrides", "variants", _, *_):
            return VARIANT
        case ("providers" | "models", _, *inner) if inner and inner[-1] in INNER:
            return INNER[inner[-1]]
    return None


def known(path: Keys) -> bool | None:
    """Whether modelbay or a program that shares the file knows a key; None if any key is allowed there."""
    if path[:-1] == ("gateway", "names"):
        return True  # a name that a client asks for may be any text, "token-model" too, and is not a secret
    table = table_at(path[:-1]) if path else None
    if table is None:
        return None
    return True if path[-1] in table.ours | table.others else None if table.free else False


def unknown_keys(document: Any) -> Iterator[UnknownKey]:
    """The unknown keys of a whole file, without those that loading refuses."""
    yield from _unknown(document, ())
    yield from _unknown(document.get("thinking"), ("thinking",))
    for kind in ("providers", "models"):
        entries = document.get(kind)
        for id, entry in entries.items() if isinstance(entries, dict) else ():
            yield from _unknown_within(entry, (kind, id))


def _unknown_within(table: Any, path: Keys) -> Iterator[UnknownKey]:
    """The unknown keys of a table and of those in it whose keys are known."""
    yield from _unknown(table, path)
    for name, inner in table.items() if isinstance(table, dict) else ():
        if name in INNER or "variants" in (*path, name):
            yield from _unknown_within(inner, (*path, name))


def _unknown(table: Any, path: Keys) -> Iterator[UnknownKey]:
    allowed = table_at(path)
    if allowed is None or not isinstance(table, dict):
        return
    for key in table.keys() - allowed.ours - allowed.others:
        near = nearest(key, allowed)
        if near is not None or not allowed.free:
            yield UnknownKey((*path, key), near)


def nearest(key: str, allowed: KnownKeys) -> str | None:
    """The known key that was probably meant."""
    plain = {_plain(name): name for name in sorted(allowed.others) + sorted(allowed.ours)}
    wanted = _plain(key)
    # where any key is allowed, only a typing error counts as a misspelled key
    match = get_close_matches(wanted, plain, 1, 0.9 if allowed.free else 0.75)
    swapped = next((name for name in plain if sorted(name) == sorted(wanted)), None)
    return plain[match[0]] if match else plain[swapped] if swapped else None


def _plain(key: str) -> str:
    """The key without the differences between `apiKey`, `API-KEY` and `api_key`."""
    return "".join(char for char in key.lower() if char.isalnum())


def warnings(found: list[UnknownKey], text: str, file: str) -> list[Problem]:
    """A problem for each unknown key of a file, in its order, with its line and the nearest known key."""
    lines = lines_of(text, [one.path for one in found])
    made = [
        Problem(
            file=file,
            line=lines.get(one.path),
            where=".".join(map(key_text, one.path)),
            message="unknown key, which is ignored",
            hint=f'rename it to "{one.nearest}"' if one.nearest else "check its spelling, or remove it",
        )
        for one in found
    ]
    return sorted(made, key=lambda problem: problem.line or 0)
