"""Values of request fields that change nothing, because a request without the field means the same.

Programs write them into every request. A field with such a value is left out without a warning where the target does not have
it, and a strict gateway does not refuse it.
"""

from typing import Any

from modelbay.conversation import Extra, Json
from modelbay.protocols.codec import GROUPS

_DEFAULTS: dict[str, tuple[Json, ...]] = {
    "background": (False,),
    "cache_retention": ("in_memory", "in-memory"),
    "candidateCount": (1,),
    "frequency_penalty": (0,),
    "frequencyPenalty": (0,),
    "include_obfuscation": (True, False),  # streams that modelbay writes are never padded
    "logprobs": (False, 0),
    "min_p": (0,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "presencePenalty": (0,),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    "repetition_penalty": (1,),
    "responseLogprobs": (False,),
    "service_tier": ("auto", "default", "standard"),
    "serviceTier": ("auto", "default", "standard"),
    "speed": ("standard",),
    "store": (False,),
    "top_a": (0,),
    "top_k": (0, -1),
    "top_logprobs": (0,),
    "top_p": (1,),
    "topP": (1,),
    "truncation": ("disabled",),
    "typical_p": (1,),
    "verbosity": ("medium",),
}
"""By the name of the field, without the object that it is in, or by the name of the setting."""
_GROUPS = GROUPS | {"labels", "logit_bias", "context_management", "safetySettings"}
"""Objects that mean nothing if they are empty. Others ask for something by being there, such as `web_search_options`."""
_OF_PROTOCOL: dict[str, dict[str, tuple[Json, ...]]] = {
    # the gateway stores responses in the provider's place
    "openai_responses": {"store": (True, False)},
}
"""Further values in requests of one protocol."""
_DELIVERED = {"include": ("reasoning.encrypted_content", "message.output_text.logprobs")}
"""Values in lists that ask for content which replies of every provider contain if there is any."""


def changes_nothing(name: str, value: Json, protocol: str | None = None) -> bool:
    """Whether a field with this value has the same meaning as none. `protocol`: that of the request."""
    if value is None or value in ("", []) or (value == {} and name in _GROUPS):
        return True
    if name in _DELIVERED and isinstance(value, list):
        return all(item in _DELIVERED[name] for item in value)
    name = name.rpartition(".")[2]
    known = (*_DEFAULTS.get(name, ()), *_OF_PROTOCOL.get(protocol or "", {}).get(name, ()))
    # in Python, 1 equals true
    return any(value == default and isinstance(value, bool) is isinstance(default, bool) for default in known)


def meant(fields: Extra, protocol: str | None) -> list[str]:
    """The names of the fields that mean something. Of an object that only groups settings, those of its members."""
    found: list[str] = []
    for name, value in fields.items():
        members: dict[str, Any] = value if name in GROUPS and isinstance(value, dict) else {}
        found += [f"{name}.{inner}" for inner in members if not changes_nothing(inner, members[inner], protocol)]
        if not members and not changes_nothing(name, value, protocol):
            found.append(name)
    return found
