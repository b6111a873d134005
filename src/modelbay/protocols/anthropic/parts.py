"""Anthropic content blocks: parsing and rendering, for requests, replies and streams."""

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Json,
    Media,
    Part,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UnknownPart,
)
from modelbay.errors import MalformedReply
from modelbay.file_content import MediaKind
from modelbay.json_text import decode_as
from modelbay.protocols.arguments import normal, readings
from modelbay.protocols.documents import plain_text
from modelbay.protocols.shapes import count, objects, shown, unknown, without, word

NAME: Final = "anthropic"
DETAILS = "stop_details"
"""The member of a reply with details of its stop reason, also `native` of the explanation of a refusal in them."""
REDACTED = "redacted_thinking"
TOOL_ID = r"[a-zA-Z0-9_-]+"
"""Anthropic's requirement for tool call IDs."""

_KNOWN = ("type", "cache_control")
_TEXT = frozenset((*_KNOWN, "text", "citations"))
_THINKING = frozenset((*_KNOWN, "thinking", "signature"))
_CALL = frozenset((*_KNOWN, "name", "id", "input"))
_RESULT = frozenset((*_KNOWN, "tool_use_id", "content", "is_error"))
_RAW = "_raw"
"""The member of an input for arguments that are not an object."""


def parse_content(content: Json) -> list[AnyPart]:
    if content is None:
        return []
    if type(content) is str:
        return [Text(text=content)]
    if type(content) is not list:
        return [UnknownPart(native="content", raw=content)]
    return [parse_block(block) if type(block) is dict else UnknownPart(raw=block) for block in content]


def parse_block(block: dict[str, Any]) -> AnyPart:
    if len(block) == 2 and block.get("type") == "text" and type(text := block.get("text")) is str:  # most blocks
        return Text(text=text)
    kind = str(block.get("type"))
    parse = _PARSERS.get(kind) or (_parse_server_result if kind.endswith("_tool_result") else None)
    part = None if parse is None else parse(block)
    if part is None:
        return UnknownPart(native=kind, raw=block)
    if type(cache := block.get("cache_control")) is dict:
        part.cache = cache
    return part


def _parse_text(block: dict[str, Any]) -> Text:
    part = Text(text=shown(block.get("text")), extra=unknown(block, _TEXT))
    if type(citations := block.get("citations")) is list:
        part.annotations = [parse_citation(item) for item in objects(citations)]
    return part


def _parse_reference(block: dict[str, Any]) -> Text:
    # the client searched its tools and found this one; the provider shows its description to the model
    return Text(text=f"Tool found: {shown(block.get('tool_name'))}", extra=without(block, "cache_control"))


def _parse_thinking(block: dict[str, Any]) -> Thinking:
    texts = [shown(block["thinking"])] if block.get("thinking") is not None else []
    return Thinking(texts=texts, opaque=word(block.get("signature")), extra=unknown(block, _THINKING))


def _parse_redacted(block: dict[str, Any]) -> Thinking:
    return Thinking(opaque=word(block.get("data")), native=REDACTED, extra=without(block, "data", *_KNOWN))


def _parse_call(block: dict[str, Any]) -> ToolCall:
    return ToolCall(
        name=shown(block.get("name")),
        id=word(block.get("id")) or None,
        arguments=_arguments(block.get("input")),
        extra=unknown(block, _CALL),
    )


def _parse_result(block: dict[str, Any]) -> ToolResult:
    return ToolResult(
        call_id=word(block.get("tool_use_id")),
        parts=parse_content(block.get("content")),
        is_error=block.get("is_error"),
        extra=unknown(block, _RESULT),
    )


def _parse_server_call(block: dict[str, Any]) -> ServerToolCall:
    return ServerToolCall(
        name=shown(block.get("name")),
        id=word(block.get("id")),
        arguments=input_text(block.get("input")),
        native=block["type"],
        extra=unknown(block, _CALL),
    )


def _parse_server_result(block: dict[str, Any]) -> ServerToolResult:
    return ServerToolResult(
        call_id=word(block.get("tool_use_id")),
        content=block.get("content"),
        is_error=block.get("is_error"),
        native=str(block["type"]),
        extra=unknown(block, _RESULT),
    )


def _parse_media(block: dict[str, Any]) -> Media | None:
    source = block.get("source")
    if not isinstance(source, dict):
        return None
    media = Media(kind=block["type"], name=word(block.get("title")), media_type=word(source.get("media_type")))
    match source.get("type"):
        case "base64":
            media.data = word(source.get("data")) or ""
        case "url":
            media.url = word(source.get("url")) or ""
        case "file":
            media.file_id = word(source.get("file_id")) or ""
        case "text":
            media.text = word(source.get("data")) or ""
        case "content":
            media.parts = parse_content(source.get("content"))
            if isinstance(source.get("content"), str):
                media.native = "content="
        case _:
            return None
    rest = without(source, "type", "media_type", "data", "url", "file_id", "content")
    media.extra = without(block, "source", "title", *_KNOWN)
    if rest:
        media.extra = {**(media.extra or {}), "source.": rest}
    return media


_PARSERS: dict[str, Callable[[dict[str, Any]], AnyPart | None]] = {
    "text": _parse_text,
    "tool_use": _parse_call,
    "tool_result": _parse_result,
    "thinking": _parse_thinking,
    REDACTED: _parse_redacted,
    "tool_reference": _parse_reference,
    "server_tool_use": _parse_server_call,
    "mcp_tool_use": _parse_server_call,
    **dict.fromkeys(get_args(MediaKind), _parse_media),
}


def input_text(value: Json) -> str:
    """A call's input as compact JSON, in the given order; "" if there is none."""
    return "" if value is None else msgspec.json.encode(value).decode()


def _arguments(value: Json) -> str:
    text = input_text(value)
    return text if isinstance(value, dict) else normal(text)


def parse_citation(item: dict[str, Any]) -> Annotation:
    start = next((item[k] for k in ("start_char_index", "start_page_number", "start_block_index") if k in item), None)
    end = next((item[k] for k in ("end_char_index", "end_page_number", "end_block_index") if k in item), None)
    return Annotation(
        "url" if item.get("url") else "document",
        url=word(item.get("url")),
        title=word(item.get("title")) or word(item.get("document_title")),
        text=word(item.get("cited_text")),
        start=count(start),
        end=count(end),
        unit="block",
        protocol=NAME,
        raw=item,
    )


def render_citation(annotation: Annotation) -> dict[str, Any] | None:
    """A citation. Those of other protocols need a URL."""
    if annotation.protocol == NAME and annotation.raw is not None:
        return annotation.raw
    if annotation.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": annotation.url,
        "title": annotation.title,
        "cited_text": annotation.text or "",
        "encrypted_index": "",
    }


def render_block(part: AnyPart, call_id: str | None = None) -> dict[str, Any] | None:
    """The block of a part; None if the protocol has none for it. `call_id` replaces a call's own ID."""
    block: dict[str, Any]
    match part:
        case ToolCall():
            block = {"type": "tool_use", "id": call_id or part.id, "name": part.name, "input": input_json(part)}
        case ToolResult():
            block = {"type": "tool_result", "tool_use_id": call_id or part.call_id}
            if part.parts:
                block["content"] = render_content(part.parts)
            if part.is_error is not None:
                block["is_error"] = part.is_error
        case Text(extra={"type": "tool_reference"}):
            block = {}
        case Text():
            block = {"type": "text", "text": part.text}
            citations = [item for a in part.annotations or () if (item := render_citation(a)) is not None]
            if part.annotations is not None:
                block["citations"] = citations
        case Thinking(native="redacted_thinking"):
            block = {"type": REDACTED, "data": part.opaque}
        case Thinking():
            block = {"type": "thinking", "thinking": part.text}
            if part.opaque is not None:
                block["signature"] = part.opaque
        case Media():
            block = _render_media(part)
        case ServerToolCall():
            block = {"type": part.native, "id": part.id, "name": part.name, "input": input_json(part)}
        case ServerToolResult():
            block = {"type": part.native, "tool_use_id": part.call_id, "content": part.content}
            if part.is_error is not None:
                block["is_error"] = part.is_error
        case UnknownPart(raw=dict()):
            return part.raw  # type: ignore[no-any-return]
        case _:
            return None
    return _decorated(block, part)


def _decorated(block: dict[str, Any], part: Part) -> dict[str, Any]:
    """The block with the part's cache control and unknown fields."""
    if part.cache is not None:
        block["cache_control"] = part.cache
    for name, value in (part.extra or {}).items():
        if name == "source.":
            block["source"].update(value)
        else:
            block[name] = value
    return block


def render_content(parts: list[AnyPart]) -> str | list[dict[str, Any]]:
    """A string if the content is one plain text, else blocks."""
    if len(parts) == 1 and isinstance(only := parts[0], Text) and is_plain(only):
        return only.text
    return [block for part in parts if (block := render_block(part)) is not None]


def is_plain(part: Text) -> bool:
    """Whether a text has no other fields."""
    return part.cache is None and not part.annotations and not part.extra


def input_json(call: ToolCall | ServerToolCall) -> Json:
    """A call's arguments as the object that Anthropic requires, with their original spelling.

    Arguments that are not a JSON object (a truncated call, a freeform tool) are put into one as text.
    """
    if not call.arguments.strip():
        return {}
    if getattr(call, "format", "json") == "text":
        return {"input": call.arguments}
    for text in readings(call.arguments):
        try:
            decode_as(text, dict)
        except MalformedReply:
            continue
        return msgspec.Raw(text.encode())
    return {_RAW: call.arguments}


def is_raw(input: Json) -> bool:
    """Whether an `input_json` has arguments that are not an object."""
    return type(input) is dict and _RAW in input


def _render_media(media: Media) -> dict[str, Any]:
    source: dict[str, Any]
    if media.url is not None:
        source = {"type": "url", "url": media.url}
    elif media.file_id is not None:
        source = {"type": "file", "file_id": media.file_id}
    elif media.text is not None:
        source = {"type": "text", "media_type": media.media_type or "text/plain", "data": media.text}
    elif media.parts is not None:
        source = {"type": "content", "content": [render_block(part) for part in media.parts]}
        if media.native == "content=":
            source["content"] = "".join(part.text for part in media.parts if type(part) is Text)
    else:
        source = {"type": "base64", "media_type": media.media_type, "data": media.data}
    block: dict[str, Any] = {"type": media.kind, "source": source}
    if media.name is not None and media.kind == "document":
        block["title"] = media.name
    return block


def as_text_document(media: Media) -> Media:
    """A text file given as bytes, as plain text, which Anthropic accepts (it decodes only PDF)."""
    text = plain_text(media) if media.data is not None else None
    if text is None:
        return media
    return Media(kind="document", text=text, media_type="text/plain", name=media.name, cache=media.cache)
