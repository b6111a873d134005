"""Which keys each table of `config.toml` may have, and which of a file's keys nobody knows: a misspelled key is otherwise
a setting that is silently not applied.

An unknown key is a warning, because Kimi Code shares the file and adds keys of its own; in a table that is modelbay's
alone (`STRICT`) it is an error. `Table.others` are the keys that are known and not used here.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from modelbay.config.provider_types import TYPES
from modelbay.config.schema import (
    ChatSettings,
    Modalities,
    ModelEntry,
    Network,
    OAuth,
    Problem,
    ProviderEntry,
    SizeLimits,
    Thinking,
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
"""What `overrides` leaves alone: it says what a model is like, not which one it is."""


class Known(Struct, frozen=True):
    """The keys of a table."""

    ours: frozenset[str]
    others: frozenset[str] = frozenset()
    """Keys that another program reads, or that a model may legally carry: not used here and not reported."""
    free: bool = False
    """Any other key is as good: only one that is nearly one of `ours` is reported."""


EXTENDED = frozenset(
    ("id", "description", "family", "status", "knowledge", "release_date", "last_updated", "attachment", "open_weights",
     "structured_output", "interleaved", "limit", "reasoning_options", "dynamically_loaded_tools", "experimental",
     "provider_options", "context_length", "supports_reasoning", "supports_image_in",
     "supports_video_in", "supports_tool_use", "supports_thinking_type", "think_efforts", "object", "created", "owned_by",
     "npm", "tags", "type", "toggle", "weights", "license", "links")
)  # fmt: skip
"""Fields of extended models, as lists of models and models.dev write them."""
OF_KIMI_CODE = frozenset(
    ("telemetry", "plan_mode", "yolo", "auto_session_title", "default_permission_mode", "default_plan_mode",
     "default_thinking", "default_yolo", "permission", "hooks", "services", "merge_all_available_skills",
     "builtin_product_skills", "extra_skill_dirs", "extra_agent_dirs", "loop_control", "background", "subagent",
     "secondary_model", "mcp", "image", "model_catalog", "experimental", "token_counting", "identity", "tools", "task",
     "swarm", "watch", "cron", "database", "read")
)  # fmt: skip
"""Its tables and settings beside providers and models."""

ROOT = Known(
    frozenset({"default_model", "default_provider", "thinking", "chat", "network", "providers", "models"}), OF_KIMI_CODE
)
THINKING = Known(frozenset(Thinking.__struct_fields__), frozenset({"mode", "forced_effort"}))
PROVIDER = Known(PROVIDER_KEYS)
MODEL = Known(MODEL_KEYS | {"provider_id", "name", "overrides"}, EXTENDED)
OVERRIDES = Known(MODEL.ours - {"overrides"}, EXTENDED)
LOGIN = Known(OAUTH_KEYS)
SOURCE = Known(frozenset({"kind", "url", "apiKey"}), free=True)
COST = Known(
    frozenset(Cost.__struct_fields__), frozenset({"reasoning", "input_audio", "output_audio", "tiers"}), free=True
)
MODALITIES = Known(frozenset(Modalities.__struct_fields__))
VARIABLES = Known(frozenset(name for row in TYPES.values() for name in (*row.key_names, *row.url_names)), free=True)
STRICT: dict[str, type[Struct]] = {
    "tls": Tls,
    "timeout": Timeout,
    "limits": SizeLimits,
    "chat": ChatSettings,
    "network": Network,
}
"""Tables that are modelbay's alone, by name, at the top of the file or in an entry. Their structs forbid unknown fields, so
that reading one refuses an unknown key; a table is added here for the nearest key to be named.
"""

INNER: dict[str, Known] = {
    "oauth": LOGIN,
    "source": SOURCE,
    "cost": COST,
    "modalities": MODALITIES,
    "env": VARIABLES,
    "overrides": OVERRIDES,
}
"""Tables within a provider's or a model's."""


class Unknown(Struct, frozen=True):
    """A key that nobody knows."""

    path: Keys
    nearest: str | None = None


def table_at(path: Keys) -> Known | None:
    """What the table at a path may have; None where any key is as good as another."""
    match path:
        case ():
            return ROOT
        case ("thinking",):
            return THINKING
        case ("providers", _):
            return PROVIDER
        case ("models", _):
            return MODEL
        case (*_, name) if name in STRICT:
            return Known(frozenset(STRICT[name].__struct_fields__))
        case ("providers" | "models", _, *inner) if inner and inner[-1] in INNER:
            return INNER[inner[-1]]
    return None


def known(path: Keys) -> bool | None:
    """Whether a key is one that modelbay or its counterparts know; None where any key is as good as another."""
    table = table_at(path[:-1]) if path else None
    if table is None:
        return None
    return True if path[-1] in table.ours | table.others else None if table.free else False


def unknown_keys(document: Any) -> Iterator[Unknown]:
    """The keys of a whole file that nobody knows, without those that reading it refuses."""
    yield from _unknown(document, ())
    yield from _unknown(document.get("thinking"), ("thinking",))
    for kind in ("providers", "models"):
        entries = document.get(kind)
        for id, entry in entries.items() if isinstance(entries, dict) else ():
            yield from _unknown(entry, (kind, id))
            for name in INNER.keys() & entry.keys() if isinstance(entry, dict) else ():
                yield from _unknown(entry[name], (kind, id, name))
                inner = entry[name]
                for deeper in INNER.keys() & inner.keys() if name == "overrides" and isinstance(inner, dict) else ():
                    yield from _unknown(inner[deeper], (kind, id, name, deeper))


def _unknown(table: Any, path: Keys) -> Iterator[Unknown]:
    allowed = table_at(path)
    if allowed is None or not isinstance(table, dict):
        return
    for key in table.keys() - allowed.ours - allowed.others:
        near = nearest(key, allowed)
        if near is not None or not allowed.free:
            yield Unknown((*path, key), near)


def nearest(key: str, allowed: Known) -> str | None:
    """The key that was probably meant."""
    plain = {_plain(name): name for name in sorted(allowed.others) + sorted(allowed.ours)}
    wanted = _plain(key)
    # where any key is as good, only a slip of the fingers is taken for a misspelled key
    match = get_close_matches(wanted, plain, 1, 0.9 if allowed.free else 0.75)
    swapped = next((name for name in plain if sorted(name) == sorted(wanted)), None)
    return plain[match[0]] if match else plain[swapped] if swapped else None


def _plain(key: str) -> str:
    """Without what spellings differ in: `apiKey`, `API-KEY`, `api_key`."""
    return "".join(char for char in key.lower() if char.isalnum())


def warnings(found: list[Unknown], text: str, file: str) -> list[Problem]:
    """The unknown keys of a file in its order, each with its line and what was probably meant."""
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
