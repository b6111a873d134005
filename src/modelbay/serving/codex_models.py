"""The models of a server as Codex reads them.

Codex ignores unknown fields, but a missing one or an unknown word makes the whole list unreadable. A model therefore has the
fields of all versions, and words that a version does not know are left out for it.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from modelbay.json_text import encode
from modelbay.model import Model

CONTEXT = 131_072
"""Context window, if it is unknown. Kimi Code and other clients assume it too."""
_ANY_EFFORT = (0, 144)
"""The first version that reads efforts of any name. Earlier ones know those below, except `max`."""
_NEWEST = "1.0"
_EFFORTS = {
    "none": "No reasoning",
    "minimal": "Very short reasoning",
    "low": "Short reasoning",
    "medium": "Medium reasoning",
    "high": "Long reasoning",
    "xhigh": "Very long reasoning",
    "max": "The longest reasoning",
}
"""The efforts with their descriptions, lowest first."""
_FIRST_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_INSTRUCTIONS = """\
You are a coding agent that works with the user in a folder on the user's computer.

- Read the relevant files before you change them. Keep changes small and in the style of the code.
- Use the available tools to read, search, edit and run code. Prefer `rg` for searches.
- Check your work: run the tests or the program where this is possible, and say what you did not check.
- Do not undo changes that are not yours, and do not commit unless the user asks for it.
- Finish the task before you answer. Answer briefly: what you changed, where, and what remains to be done.
"""
"""The system prompt, which is required for every model."""
_OUTPUT = 10_000
"""Tokens of a command's output that Codex sends to the model."""


def codex_model(model: Model, version: str) -> dict[str, Any]:
    """A model in the list for a version of Codex; "" if the version is unknown."""
    thinks = bool(model.can("thinking"))
    levels = _levels(model, version) if thinks else []
    effort = model.default_effort if model.default_effort in levels else None
    chosen = [level for level in levels if level != "none"]
    # the input alone counts: Codex has 272,000 tokens for OpenAI's models with a window of 400,000
    window = model.max_input_tokens or model.max_context_tokens or CONTEXT
    return {
        "slug": model.id,
        "display_name": model.name or model.id,
        "description": None,
        "default_reasoning_level": effort or (chosen[len(chosen) // 2] if chosen else None),
        "supported_reasoning_levels": [
            {"effort": level, "description": _EFFORTS.get(level, f"Effort {level}")} for level in levels
        ],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": _INSTRUCTIONS,
        "model_messages": None,
        # added to the system prompt; the newest models of OpenAI have these texts in their own
        "include_skills_usage_instructions": True,
        "include_plugin_usage_instructions": True,
        "include_apps_usage_instructions": True,
        "supports_reasoning_summaries": thinks,
        "default_reasoning_summary": "auto" if thinks else "none",
        "supports_reasoning_effort_updates": False,
        "support_verbosity": False,
        "default_verbosity": None,
        # with "function", Codex does not start; models without freeform tools get a function from the gateway
        "apply_patch_tool_type": "freeform" if model.can("tool_use") is not False else None,
        "web_search_tool_type": "text",
        "truncation_policy": {"mode": "tokens", "limit": _OUTPUT},
        "supports_parallel_tool_calls": model.can("tool_use") is not False,
        "supports_image_detail_original": False,
        "supports_search_tool": False,
        "supports_experimental_context": False,
        "context_window": window,
        "max_context_window": window,
        "effective_context_window_percent": 95,
        "comp_hash": None,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if model.can("image_in") else ["text"],
        "service_tiers": [],
        "additional_speed_tiers": [],
        "use_responses_lite": False,
        "node_repl_auto_review_required": False,
        "node_repl_disabled": False,
    }


def list_tag(models: Iterable[Model]) -> str:
    """The entity tag of a list, for all versions. Codex reads the list again if a reply has another one (`x-models-etag`)."""
    return f'"{blake2b(encode([codex_model(model, _NEWEST) for model in models]), digest_size=16).hexdigest()}"'


def _levels(model: Model, version: str) -> list[str]:
    """The efforts of a model that thinks, lowest first, as far as the version can read them."""
    levels = [level for level in model.efforts or () if level != model.off_effort]
    if levels and (model.off_effort or model.can("always_thinking") is False):
        levels.insert(0, "none")
    return levels if _reads_any_effort(version) else [level for level in levels if level in _FIRST_EFFORTS]


def _reads_any_effort(version: str) -> bool:
    numbers = version.split(".")[:2]
    return len(numbers) == 2 and all(map(str.isdecimal, numbers)) and tuple(map(int, numbers)) >= _ANY_EFFORT
