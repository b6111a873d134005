"""Lessons from a 400 about messages: roles that an endpoint rejects, content that must be a string, reasoning that is missing,
a reply that cannot be continued, and the schemas of an answer and of tools.

Servers apply a model's chat template and reject what it does not support, each in its own words. A lesson changes a
rendered body of any protocol in place, before it is sent to the endpoint.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from msgspec import Struct

from modelbay.conversation import Json
from modelbay.errors import BadRequest
from modelbay.protocols.emulation import request_for
from modelbay.protocols.pass_rules import PassRules
from modelbay.providers import tool_schemas

_NOT = (
    "not support|unsupported|not enabled|not allowed|not permitted|invalid|unknown|unexpected|unrecognized|should be|"
    "must be|only"
)
_ROLE = re.compile(
    rf"role\b.{{0,60}}?(?P<a>developer|system).{{0,40}}?(?:{_NOT})"
    rf"|(?P<b>developer|system) (?:role|message|instruction)s?\b.{{0,40}}?(?:{_NOT})"
    rf"|role\b.{{0,60}}?(?:{_NOT}).{{0,30}}?(?P<c>developer|system)"
    rf"|(?:{_NOT}) (?:value|variant|role|message role)\W{{1,4}}(?P<d>developer|system)",
    re.IGNORECASE | re.DOTALL,
)
_ONLY = re.compile(r"(?:should|must) be '?user'? or '?assistant'?|only '?user'?(?:,| and) '?assistant'?", re.IGNORECASE)
_STRING = re.compile(
    r"content\b.{0,60}?(?:(?:must|should|has to) be|expected|value must be) (?:a |an )?(?:valid )?string"
    r"|invalid type: sequence, expected a string",
    re.IGNORECASE | re.DOTALL,
)
_ALTERNATE = re.compile(r"roles? must (?:strictly )?alternate|alternate between user and assistant", re.IGNORECASE)
_REASONING = re.compile(
    r"reasoning_content\b.{0,80}?(?:missing|required|must be (?:passed back|present|set))", re.IGNORECASE | re.DOTALL
)
_PREFILL = re.compile(
    rf"\bprefill\w*\b.{{0,60}}?(?:{_NOT}|incompatible)|(?:{_NOT})\b.{{0,60}}?\bprefill"
    r"|(?:must|should|has to|that \w+ requests?) ends? with an? (?:`|')?user"
    r"|ending with an? (?:model|assistant) (?:turn|message)|last (?:message|role|turn)\b.{0,30}?\buser\b",
    re.IGNORECASE | re.DOTALL,
)
_JSON_MODE = re.compile(
    r"json_schema\b.{0,40}?(?:not support|unsupported|unavailable)|(?:not support|unsupported)\b.{0,60}?json_schema"
    r"|response_format type is unavailable|'text' or 'json_object'",
    re.IGNORECASE | re.DOTALL,
)
_SYSTEM = ("system", "developer")


def lesson(error: BadRequest, body: dict[str, Any], rules: PassRules) -> str | None:
    """The lesson in an error, if it names something that `body` contains; else None. `rules`: those of the body's protocol."""
    text = f"{error.message} {error.param or ''}"
    roles = {role for message in _messages(body) if isinstance(role := message["role"], str)}
    if "systemInstruction" in body:
        roles.add("system")
    found = _ROLE.search(text)
    named = next(iter(filter(None, found.groups())), "").lower() if found is not None else ""
    if not named and _ONLY.search(text):
        named = "system"
    if named == "developer" and "developer" in roles:
        return DEVELOPER
    if named and roles.intersection(_SYSTEM):
        return SYSTEM
    if _PREFILL.search(text) and _begun(body):
        return PREFILL
    if _STRING.search(text) and any(isinstance(message.get("content"), list) for message in _messages(body)):
        return STRINGS
    if _ALTERNATE.search(text) and len(list(_messages(body))) > 1:
        return MERGED
    if _REASONING.search(text) and _without_reasoning(body, rules):
        return REASONING
    if _JSON_MODE.search(text) and _asks_for_schema(body):
        return JSON_MODE
    if tool_schemas.REFUSED.search(f"{text} {error.code}") and tool_schemas.can_fit(body):
        return TOOL_SCHEMAS
    return None


def _messages(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("messages", "input"):
        items = body.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and "role" in item:
                yield item


def _developer(body: dict[str, Any], _: PassRules) -> bool:
    found = [message for message in _messages(body) if message["role"] == "developer"]
    for message in found:
        message["role"] = "system"
    return bool(found)


def _system(body: dict[str, Any], _: PassRules) -> bool:
    """Move system messages at the beginning into the first user message; later ones become user messages."""
    changed = False
    if isinstance(instruction := body.get("systemInstruction"), dict) and isinstance(body.get("contents"), list):
        del body["systemInstruction"]
        contents = body["contents"]
        parts = _items(instruction.get("parts"))
        first = contents[0] if contents else None
        if isinstance(first, dict) and first.get("role") == "user":
            contents[0] = {**first, "parts": parts + _items(first.get("parts"))}
        else:
            contents.insert(0, {"role": "user", "parts": parts})
        changed = True
    for name in ("messages", "input"):
        items = body.get(name)
        if isinstance(items, list) and any(isinstance(item, dict) and item.get("role") in _SYSTEM for item in items):
            body[name] = _folded(items)
            changed = True
    return changed


def _folded(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    held: list[Json] = []
    for item in items:
        role = item.get("role") if isinstance(item, dict) else None
        if role in _SYSTEM and not out:
            held.append(item.get("content"))
        elif role in _SYSTEM:
            out.append({**item, "role": "user"})
        elif held and role == "user":
            out.append({**item, "content": _together([*held, item.get("content")])})
            held = []
        else:
            out += [{"role": "user", "content": _together(held)}, item] if held else [item]
            held = []
    return [*out, {"role": "user", "content": _together(held)}] if held else out


def _together(contents: list[Json]) -> Json:
    """Join several contents: a string if all are strings, else a list of parts."""
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    given = [part for content in contents for part in _items(content) if isinstance(part, dict)]
    kind = next((part["type"] for part in given if "text" in str(part.get("type"))), "text")
    parts: list[Json] = []
    for content in contents:
        parts += [{"type": kind, "text": content}] if isinstance(content, str) else _items(content)
    return parts


def _items(value: Json) -> list[Json]:
    """The items of a value that should be a list. Bodies are those of clients, so it may be anything."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _strings(body: dict[str, Any], _: PassRules) -> bool:
    """Turn content that consists only of text parts into a string. Other messages are not changed."""
    changed = False
    for message in _messages(body):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if parts and len(texts) == len(parts):
            message["content"] = "\n\n".join(texts)
            changed = True
    return changed


def _merged(body: dict[str, Any], _: PassRules) -> bool:
    """Merge consecutive messages of one role that have only content."""
    items = body.get("messages")
    if not isinstance(items, list):
        return False
    out: list[Any] = []
    for item in items:
        last = out[-1] if out else None
        if _is_plain(item) and _is_plain(last) and last["role"] == item["role"]:
            out[-1] = {"role": item["role"], "content": _together([last.get("content"), item.get("content")])}
        else:
            out.append(item)
    body["messages"] = out
    return len(out) < len(items)


def _without_reasoning(body: dict[str, Any], rules: PassRules) -> list[dict[str, Any]]:
    if not rules.reasoning:
        return []
    return [one for one in _messages(body) if one["role"] == "assistant" and rules.reasoning not in one]


def _reasoning(body: dict[str, Any], rules: PassRules) -> bool:
    """Add empty reasoning to assistant messages without any, such as those of a model of another provider."""
    found = _without_reasoning(body, rules)
    for message in found:
        message[rules.reasoning] = ""
    return bool(found)


def _begun(body: dict[str, Any]) -> list[Any] | None:
    """The messages of a body that ends with the beginning of a reply, which the model should continue; else None.

    The last part of a reply that a server's tool paused is not a text, and a provider with a field for it can continue a reply.
    """
    for name in ("messages", "input", "contents"):
        messages = body.get(name)
        last = messages[-1] if isinstance(messages, list) and messages else None
        if not isinstance(last, dict) or last.get("role") not in ("assistant", "model"):
            continue
        if last.get("prefix") or last.get("partial") or last.get("tool_calls"):
            continue
        content = last.get("parts" if name == "contents" else "content")
        part = content[-1] if isinstance(content, list) and content else content
        if isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str)):
            return messages
    return None


def _continued(body: dict[str, Any], _: PassRules) -> bool:
    """Ask for the rest of a reply that has begun."""
    messages = _begun(body)
    if messages is None:
        return False
    gemini = messages[-1]["role"] == "model"
    messages.append({"role": "user", **({"parts": [{"text": CONTINUE}]} if gemini else {"content": CONTINUE})})
    return True


def _asks_for_schema(body: dict[str, Any]) -> bool:
    form = body.get("response_format")
    return isinstance(form, dict) and form.get("type") == "json_schema"


def _json_mode(body: dict[str, Any], _: PassRules) -> bool:
    """Ask for the schema of the answer in the system prompt, with JSON mode."""
    messages = body.get("messages")
    if not _asks_for_schema(body) or not isinstance(messages, list):
        return False
    described = body["response_format"].get("json_schema")
    text = request_for(described.get("schema") if isinstance(described, dict) else None)
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") in _SYSTEM:
        messages = [{**first, "content": _together([first.get("content"), text])}, *messages[1:]]
    else:
        messages = [{"role": "system", "content": text}, *messages]
    body |= {"messages": messages, "response_format": {"type": "json_object"}}
    return True


def _is_plain(message: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(message, dict) and "role" in message and message.keys() <= {"role", "content"}


class MessageLesson(Struct, frozen=True):
    words: str
    apply: Callable[[dict[str, Any], PassRules], bool]
    """Changes a body of the protocol with these rules. Returns whether it changed."""


DEVELOPER, SYSTEM, STRINGS, MERGED = "role:developer", "role:system", "content:list", "roles:repeated"
REASONING, PREFILL, JSON_MODE = "reasoning:missing", "turns:prefill", "response_format:json_schema"
TOOL_SCHEMAS = "tools:schema"
CONTINUE = "Continue your last message exactly where it ends. Do not repeat any of it."
LESSONS = {
    DEVELOPER: MessageLesson("developer messages are sent as system messages", _developer),
    SYSTEM: MessageLesson("system messages are sent as part of user messages", _system),
    STRINGS: MessageLesson("message content is sent as strings", _strings),
    MERGED: MessageLesson("consecutive messages of one role are merged", _merged),
    REASONING: MessageLesson("empty reasoning is sent with earlier replies that have none", _reasoning),
    PREFILL: MessageLesson("a last message of the assistant is followed by a request to continue it", _continued),
    JSON_MODE: MessageLesson("the schema of the answer is sent in the system prompt, with JSON mode", _json_mode),
    TOOL_SCHEMAS: MessageLesson(
        "the schemas of tools are sent in a simpler form", lambda body, _: tool_schemas.fit(body)
    ),
}
