"""Reasoning state that a provider refuses: signatures and encrypted reasoning of another account, or of a history that was changed.

A user changes the key, or an agent summarizes the beginning of a conversation. Its client sends the same state again in each
request, so without a repair the conversation would be over. Anthropic, OpenAI and Gemini accept a history without the state.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

from modelbay.conversation import Json
from modelbay.errors import BadRequest

_REFUSED = re.compile(
    r"invalid `?(?:signature|data)`? in `?(?:redacted_)?thinking"
    r"|thinking`? blocks .{0,60}cannot be modified"
    r"|thinking\.(?:signature|data)\b"  # missing: another provider's thinking, after the user changed the model
    r"|encrypted content .{0,120}?(?:could not be (?:verified|decrypted|parsed)|did not match)"
    r"|(?:corrupted|invalid) thought.?signature|thought.?signature is (?:not valid|invalid)"
    r"|without its required '?(?:reasoning|following)'? item",
    re.IGNORECASE | re.DOTALL,
)
_CODE = "invalid_encrypted_content"
_THINKING = ("thinking", "redacted_thinking")
_SIGNATURES = ("thoughtSignature", "thought_signature")
_UNSIGNED = "skip_thought_signature_validator"
"""Google's value for a call without a signature, which is required."""
_CHAT = ("reasoning_details", "reasoning_opaque")
"""Members of a message of Chat Completions with reasoning state; its text is in others."""


def without_reasoning(error: BadRequest, body: dict[str, Any]) -> bool:
    """Remove the reasoning state from the history in `body`, of any protocol, if the error says that it is not valid. Returns
    whether there was any.

    This concerns one conversation, not the endpoint: the gateway remembers it in its store of reasoning state.
    """
    if error.code != _CODE and not _REFUSED.search(error.message):
        return False
    changed = [_messages(body), _items(body), _contents(body)]
    return any(changed)


def _messages(body: dict[str, Any]) -> bool:
    """Messages of Anthropic and of Chat Completions."""
    changed = False
    for message in list(_objects(body.get("messages"))):
        if message.get("role") != "assistant":
            continue
        for name in _CHAT:
            changed |= message.pop(name, None) is not None
        for call in _objects(message.get("tool_calls")):
            changed |= _unsign(call)
        content = message.get("content")
        if isinstance(content, list):
            kept = [block for block in content if not (isinstance(block, dict) and block.get("type") in _THINKING)]
            if len(kept) == len(content):
                continue
            changed = True
            if kept:
                message["content"] = kept
            else:
                body["messages"] = [other for other in body["messages"] if other is not message]
    return changed


def _items(body: dict[str, Any]) -> bool:
    """Items of Responses. The ID of an item refers to the reasoning before it, even if the client has removed that reasoning."""
    items = body.get("input")
    if not isinstance(items, list):
        return False
    kept = [item for item in items if not (isinstance(item, dict) and item.get("type") == "reasoning")]
    changed = len(kept) != len(items)
    for item in _objects(kept):
        if item.get("role", "assistant") == "assistant" and item.get("type") != "item_reference":
            changed |= item.pop("id", None) is not None
    body["input"] = kept
    return changed


def _contents(body: dict[str, Any]) -> bool:
    """Contents of Gemini."""
    changed = False
    for content in _objects(body.get("contents")):
        for part in _objects(content.get("parts")):
            changed |= _unsign(part)
    return changed


def _unsign(value: dict[str, Any]) -> bool:
    """Remove Gemini's signature from a part, or from a call of its OpenAI API. Returns whether there was one of a model."""
    found = False
    calls = "functionCall" in value or "function_call" in value or "function" in value
    outer = value.get("extra_content")
    inner = outer.get("google") if isinstance(outer, dict) else None
    for holder, name in product(_objects([value, inner]), _SIGNATURES):
        if holder.get(name) in (None, _UNSIGNED):
            continue
        found = True
        if calls:
            holder[name] = _UNSIGNED
        else:
            del holder[name]
    return found


def _objects(value: Json) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
