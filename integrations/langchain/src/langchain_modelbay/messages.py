"""LangChain's messages and content blocks as turns of modelbay, and replies as messages. Blocks are those of LangChain's standard
content (`output_version` "v1"), with our state of a part in their `extras`."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from modelbay import (
    Annotation,
    AnyPart,
    Media,
    Refusal,
    Reply,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    errors,
    state_of,
    with_state,
)

KEY = "modelbay"
"""The key of our state in the `extras` of a block, and our `model_provider`."""
FILES = {"image": "image/*", "audio": "audio/*", "video": "video/*", "file": None, "text-plain": "text/plain"}
"""Types of blocks with a file, and the type of the file if the block has none."""
ROLES = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}


# --- to modelbay ---


def turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """Raises ValueError: a message or a block without a counterpart."""
    return [_turn(message) for message in messages]


def _turn(message: BaseMessage) -> Turn:
    match message:
        case SystemMessage():
            role = message.additional_kwargs.get("__openai_role__", "system")  # LangChain's mark of a developer message
            return Turn(role, _parts(message), name=message.name)
        case HumanMessage():
            return Turn("user", _parts(message), name=message.name)
        case AIMessage():
            return Turn("assistant", _replied(message), name=message.name)
        case ToolMessage():
            failed = True if message.status == "error" else None
            result = ToolResult(call_id=message.tool_call_id, name=message.name, parts=_parts(message), is_error=failed)
            return Turn("tool", [result])
        case ChatMessage(role=role) if role in ROLES:
            return Turn(ROLES[role], _parts(message), name=message.name)  # type: ignore[arg-type]
    raise ValueError(f"modelbay has no counterpart of {type(message).__name__}")


def _parts(message: BaseMessage) -> list[AnyPart]:
    if isinstance(message.content, str):  # an empty text is one, too, such as the result of a tool without one
        return [Text(text=message.content)]
    return [_part({**block}) for block in message.content_blocks]


def _replied(message: AIMessage) -> list[AnyPart]:
    """The parts of a reply. Its calls are those of `tool_calls`, which a program may have changed; the blocks have their place and
    state. Reasoning of other integrations, and tools that their providers ran, have no state of modelbay, which does not send them
    then."""
    calls = {call["id"]: call for call in [*message.tool_calls, *message.invalid_tool_calls]}
    found: list[AnyPart] = []
    for one in message.content_blocks:
        block: dict[str, Any] = {**one}
        if block["type"] == "non_standard" and block["value"].get("id") in calls:  # a call in a provider's own form
            block = {"type": "tool_call", "id": block["value"]["id"]}
        if block["type"] in ("tool_call", "tool_call_chunk", "invalid_tool_call"):
            if (call := calls.pop(block.get("id"), None)) is None:
                continue
            block = {**block, "name": call["name"], "args": call["args"]}
        if block["type"] != "text" or block["text"] or KEY in (block.get("extras") or {}):
            found.append(_part(block))
    return found + [_part({"type": "tool_call", **call}) for call in calls.values()]


def _part(block: dict[str, Any]) -> AnyPart:
    extras = block.get("extras") or {}
    state = extras.get(KEY)
    made: AnyPart
    match block["type"]:
        case "text":
            made = Text(text=block["text"])
        case "refusal":
            made = Refusal(text=block["refusal"])
        case "reasoning":
            text = block.get("reasoning", "")
            made = Thinking(texts=[text] if text else [])
        case "tool_call" | "tool_call_chunk" | "invalid_tool_call":
            made = _call(block)
        case "server_tool_call" | "server_tool_call_chunk":
            made = ServerToolCall(name=block.get("name") or "", id=block.get("id"))
        case "server_tool_result":
            made = ServerToolResult(call_id=block["tool_call_id"])
        case kind if kind in FILES:
            return _media(block, extras)
        case "non_standard" if KEY in (block.get("value") or {}):
            made, state = Text(), block["value"][KEY]
        case kind:
            value = block.get("value")
            kind = value.get("type", kind) if isinstance(value, dict) else kind
            raise ValueError(f"modelbay has no counterpart of a content block of type {kind!r}")
    part = with_state(made, state)
    if (cache := block.get("cache_control") or extras.get("cache_control")) is not None:
        part.cache = cache
    return part


def _call(block: dict[str, Any]) -> ToolCall:
    name, args, id = block.get("name") or "", block.get("args"), block.get("id")
    if isinstance(args, str):  # not JSON, as the model wrote it
        return ToolCall(name=name, arguments=args, id=id)
    return ToolCall.of(name, args or {}, id)


def _media(block: dict[str, Any], extras: dict[str, Any]) -> Media:
    kind, media_type, name = block["type"], block.get("mime_type"), extras.get("filename") or block.get("title")
    if state := extras.get(KEY):
        content = {field: block[word] for word, field in (("base64", "data"), ("url", "url")) if word in block}
        return with_state(Text(), {**state, **content})  # type: ignore[return-value]
    guessed = media_type or FILES[kind]
    if (file_id := block.get("file_id")) is not None:
        return Media(
            kind=kind if kind in ("image", "audio", "video") else "document", file_id=file_id, media_type=media_type
        )
    if (text := block.get("text")) is not None:
        return Media(kind="document", text=text, media_type=guessed, name=name)
    if (data := block.get("base64")) is not None:
        made = Media.of(f"data:{media_type or ''};base64,{data}", media_type, name=name)
    elif (url := block.get("url")) is not None:
        made = Media.of(url, guessed, name=name)
        if (made.media_type or "").endswith("/*"):
            made.media_type = None
    else:
        raise ValueError(f"a content block of type {kind!r} needs base64, url, text or file_id")
    made.detail = extras.get("detail")
    return made


# --- to LangChain ---


def message_of(reply: Reply) -> AIMessage:
    made = [block(part) for part in reply.parts]
    return AIMessage(
        content=[*made],
        tool_calls=[{**one, "type": "tool_call"} for one in map(_bare, made) if one["type"] == "tool_call"],
        invalid_tool_calls=[one for one in map(_bare, made) if one["type"] == "invalid_tool_call"],
        usage_metadata=usage_of(reply.usage),
        response_metadata=metadata_of(reply),
        id=reply.id,
    )


def _bare(made: dict[str, Any]) -> dict[str, Any]:
    """A block of a call without our state, as the lists of calls have it."""
    return {word: value for word, value in made.items() if word != "extras"}


def block(part: AnyPart) -> dict[str, Any]:
    """The content block of a part."""
    state = state_of(part)
    extras: dict[str, Any] = {} if state is None else {"extras": {KEY: state}}
    match part:
        case Text():
            cited = [_citation(annotation) for annotation in part.annotations or ()]
            return {"type": "text", "text": part.text, **({"annotations": cited} if cited else {}), **extras}
        case Refusal():
            return {"type": "refusal", "refusal": part.text, **extras}
        case Thinking():
            return {"type": "reasoning", "reasoning": part.text, **extras}
        case ToolCall():
            return {**call_block(part), **extras}
        case ServerToolCall():
            arguments = _object(part.arguments)
            return {
                "type": "server_tool_call",
                "id": part.id or "",
                "name": part.name,
                "args": arguments or {},
                **extras,
            }
        case ServerToolResult():
            status = "error" if part.is_error else "success"
            result = {"tool_call_id": part.call_id or "", "status": status, "output": part.content}
            return {"type": "server_tool_result", **result, **extras}
        case Media():
            kept = extras["extras"][KEY]
            content = {"base64": kept.pop("data", None), "url": kept.pop("url", None), "mime_type": part.media_type}
            kind = "file" if part.kind == "document" else part.kind
            return {"type": kind, **{word: value for word, value in content.items() if value is not None}, **extras}
    return {"type": "non_standard", "value": {KEY: state}}


def call_block(part: ToolCall) -> dict[str, Any]:
    arguments = _object(part.arguments)
    if arguments is None:
        error = "the arguments are not a JSON object"
        return {"type": "invalid_tool_call", "id": part.id, "name": part.name, "args": part.arguments, "error": error}
    return {"type": "tool_call", "id": id_of(part), "name": part.name, "args": arguments}


def id_of(part: ToolCall) -> str:
    """The ID of a call, or one of our own: LangChain refers to calls by it, and not all providers send one."""
    return part.id or f"call_{uuid4().hex}"


def _object(arguments: str) -> dict[str, Any] | None:
    try:
        value = ToolCall(arguments=arguments).input
    except errors.MalformedReply:
        return None
    return value if isinstance(value, dict) else None


def _citation(found: Annotation) -> dict[str, Any]:
    in_text = found.unit == "chars"
    fields = {
        "url": found.url,
        "title": found.title,
        "cited_text": found.text,
        "start_index": found.start if in_text else None,
        "end_index": found.end if in_text else None,
    }
    return {"type": "citation", **{word: value for word, value in fields.items() if value is not None}}


def usage_of(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    found = UsageMetadata(input_tokens=usage.input_total, output_tokens=usage.output_total, total_tokens=usage.total)
    written = [count for count in (usage.cache_write, usage.cache_write_1h) if count is not None]
    if usage.cache_read is not None or written:
        found["input_token_details"] = InputTokenDetails(cache_read=usage.cache_read or 0, cache_creation=sum(written))
    if usage.reasoning is not None:
        found["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning)
    return found


def metadata_of(reply: Reply) -> dict[str, Any]:
    finish = reply.finish
    logprobs = [one for part in reply.parts if isinstance(part, Text) for one in part.logprobs or ()]
    found = {
        "model_provider": KEY,
        "output_version": "v1",
        "model_name": reply.model,
        "provider": reply.provider,
        "finish_reason": finish.reason if finish else None,
        "native_finish_reason": finish.native if finish else None,
        "stop_sequence": finish.stop_sequence if finish else None,
        "logprobs": logprobs or None,
        "warnings": [warning.message for warning in reply.warnings if not warning.retry] or None,
    }
    return {word: value for word, value in found.items() if value is not None}
