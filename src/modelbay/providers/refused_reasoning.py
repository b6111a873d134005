"""Reasoning state that a provider refuses: signatures and encrypted reasoning of another account, or of a history that was changed.

A user changes the key, or an agent summarizes the beginning of a conversation. Its client sends the same state again in each
request, so without a repair the conversation would be over. Anthropic, OpenAI and Gemini accept a history without the state. They
need that of the current turn, where the model waits for the results of its calls, so it is removed last.
"""

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, TypeAlias

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
_CURRENT = re.compile(r"\blatest assistant message", re.IGNORECASE)
_SIGNATURE_MISSING = re.compile(r"missing an? `?thought.?signature", re.IGNORECASE)
_PLACE = re.compile(r"\bmessages\.(\d+)\.")
_IDS = re.compile(r"'([a-z]+_[^' ]+)'")
"""Where the error is: the number of a message, or the IDs of items."""
_THINKING = ("thinking", "redacted_thinking")
_SIGNATURES = ("thoughtSignature", "thought_signature")
_BESIDE = ("extra_content", "provider_specific_fields")
"""Members of a call of Chat Completions with a signature: of Google's OpenAI API, and of LiteLLM."""
UNSIGNED = "skip_thought_signature_validator"
"""Google's value for a call without a signature, which is required."""
PLACEHOLDERS = "tool calls without a thought signature are sent with a placeholder"
"""The warning about calls that `with_placeholders` changed."""
_CHAT = ("reasoning_details", "reasoning_opaque", "thinking_blocks")
"""Members of a message of Chat Completions with reasoning state; its text is in others."""


def without_reasoning(error: BadRequest, body: dict[str, Any]) -> bool:
    """Remove the reasoning state from the history in `body`, of any protocol, if the error says that it is not valid. Returns
    whether there was any.

    The first of these that the history has is removed: thinking without a signature, the state before the current turn, all state.
    If the error comes again, it is about the rest. After an error about the current turn, all is removed at once.

    This concerns one conversation, not the endpoint: the gateway remembers it in its store of reasoning state.
    """
    if error.code != _CODE and not _REFUSED.search(error.message):
        return False
    if _messages(body, _everything, _is_unsigned):
        return True
    if not _CURRENT.search(error.message):
        place, ids = _PLACE.search(error.message), set(_IDS.findall(error.message))

        def earlier(history: list[Any]) -> int:
            begin = _begin_of_turn(history)
            named = any(item.get("id") in ids for item in _objects(history[begin:]))
            return 0 if named or (place and int(place[1]) >= begin) else begin

        if _removed(body, earlier):
            return True
    return _removed(body, _everything)


def with_placeholders(error: BadRequest, body: dict[str, Any]) -> bool:
    """Add Google's placeholder to calls in the history of `body` without a signature, if the error says that one is missing.
    Returns whether there were any. The client has lost the signatures, or the calls come from another model."""
    if not _SIGNATURE_MISSING.search(error.message):
        return False
    changed = False
    for content in _objects(body.get("contents")):
        call = next((part for part in _objects(content.get("parts")) if _CALL.intersection(part)), None)
        if call is not None and all(call.get(name) is None for name in _SIGNATURES):
            call[_SIGNATURES[0]], changed = UNSIGNED, True
    for message in _objects(body.get("messages")):
        call = next(_objects(message.get("tool_calls")), None)
        if call is not None and not any("thought_signature" in str(call.get(name)) for name in _BESIDE):
            call["extra_content"], changed = {"google": {"thought_signature": UNSIGNED}}, True
    return changed


_Extent: TypeAlias = Callable[[list[Any]], int]
"""The number of messages, items or contents from whose beginning state is removed."""


def _everything(history: list[Any]) -> int:
    return len(history)


def _begin_of_turn(history: list[Any]) -> int:
    """The place of the user's last message; later ones of the user have results of calls."""
    return max((at for at, one in enumerate(history) if isinstance(one, dict) and _asks(one)), default=0)


def _asks(one: dict[str, Any]) -> bool:
    if one.get("role", "user" if "parts" in one else None) != "user":
        return False
    parts = [*_objects(one.get("content")), *_objects(one.get("parts"))]
    return not any(part.get("type") == "tool_result" or _RESULT.intersection(part) for part in parts)


_RESULT = frozenset(("functionResponse", "function_response"))
_CALL = frozenset(("functionCall", "function_call"))


def _removed(body: dict[str, Any], extent: _Extent) -> bool:
    changed = [_messages(body, extent), _items(body, extent), _contents(body, extent)]
    return any(changed)


def _is_state(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in _THINKING


def _is_unsigned(block: Any) -> bool:
    return _is_state(block) and not block.get("signature") and not block.get("data")


def _messages(body: dict[str, Any], extent: _Extent, is_state: Callable[[Any], bool] = _is_state) -> bool:
    """Messages of Anthropic and of Chat Completions."""
    history = body.get("messages")
    if not isinstance(history, list):
        return False
    changed = False
    for message in list(_objects(history[: extent(history)])):
        if message.get("role") != "assistant":
            continue
        for name in _CHAT:
            changed |= message.pop(name, None) is not None
        for call in _objects(message.get("tool_calls")):
            changed |= _unsign(call)
        content = message.get("content")
        if isinstance(content, list):
            kept = [block for block in content if not is_state(block)]
            if len(kept) == len(content):
                continue
            changed = True
            if kept:
                message["content"] = kept
            else:
                body["messages"] = [other for other in body["messages"] if other is not message]
    return changed


def _items(body: dict[str, Any], extent: _Extent) -> bool:
    """Items of Responses. The ID of an item refers to the reasoning before it, even if the client has removed that reasoning."""
    items = body.get("input")
    if not isinstance(items, list):
        return False
    end = extent(items)
    kept = [item for item in items[:end] if not (isinstance(item, dict) and item.get("type") == "reasoning")]
    changed = len(kept) != end
    for item in _objects(kept):
        if item.get("role", "assistant") == "assistant" and item.get("type") != "item_reference":
            changed |= item.pop("id", None) is not None
    body["input"] = [*kept, *items[end:]]
    return changed


def _contents(body: dict[str, Any], extent: _Extent) -> bool:
    """Contents of Gemini."""
    history = body.get("contents")
    if not isinstance(history, list):
        return False
    changed = False
    for content in _objects(history[: extent(history)]):
        for part in _objects(content.get("parts")):
            changed |= _unsign(part)
    return changed


def _unsign(value: dict[str, Any]) -> bool:
    """Remove Gemini's signature from a part, or from a call of its OpenAI API. Returns whether there was one of a model."""
    found = False
    calls = "functionCall" in value or "function_call" in value or "function" in value
    outer = value.get("extra_content")
    inner = outer.get("google") if isinstance(outer, dict) else None
    for holder, name in product(_objects([value, inner, value.get("provider_specific_fields")]), _SIGNATURES):
        if holder.get(name) in (None, UNSIGNED):
            continue
        found = True
        if calls:
            holder[name] = UNSIGNED
        else:
            del holder[name]
    return found


def _objects(value: Json) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
