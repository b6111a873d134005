"""Chat Completions content: parsing and rendering, for requests, replies and streams."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Extra,
    Json,
    Media,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UnknownPart,
)
from modelbay.errors import MalformedReply
from modelbay.file_content import MediaKind
from modelbay.json_text import decode
from modelbay.protocols.citations import span
from modelbay.protocols.freeform import CALLED_AS_FUNCTION
from modelbay.protocols.media_types import format_of, of_format, take_url
from modelbay.protocols.shapes import count, mapping, objects, shown, unknown, without, word

NAME: Final = "openai_chat"
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Fields in which vendors put reasoning as a string, in order of preference."""
DETAILS = "reasoning_details"
BLOCKS = "thinking_blocks"
"""Anthropic's thinking in LiteLLM's replies. Their `reasoning_content` has its text, without the state."""
THINK_TAGS = "<think>"
"""The `native` of thinking that was inside tags in the text."""

_TEXT = frozenset(("type", "text", "cache_control"))
_REASONING = frozenset((*REASONING_FIELDS, DETAILS, BLOCKS))
_LITELLM = "provider_specific_fields"
_SIGNATURE = "thought_signature"
_CALL = frozenset(("id", "type", "function", "extra_content", _LITELLM))
_DETAIL_TEXT = {"reasoning.text": "text", "reasoning.summary": "summary", "thinking": "thinking"}
_DETAIL_OPAQUE = {"reasoning.text": "signature", "reasoning.encrypted": "data", "thinking": "signature"}


def parse_content(content: Json) -> list[AnyPart]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    if not isinstance(content, list):
        return [UnknownPart(native="content", raw=content)]
    return [parse_part(item) for item in content]


def reply_content(content: Json) -> list[AnyPart]:
    """The parts of a reply's content. Nothing is lost: an object that is not a part (Cloudflare's JSON mode) becomes
    text."""
    if isinstance(content, dict) and (isinstance(content.get("type"), str) or isinstance(content.get("text"), str)):
        odd = content.get("type") == "text" and not isinstance(content.get("text"), str)
        return [Text(text=shown(content.get("text"))) if odd else parse_part(content)]
    if isinstance(content, list):
        return [part for item in content for part in reply_content(item)]
    return [Text(text=shown(content))]


def parse_part(item: Json) -> AnyPart:
    if isinstance(item, str):
        return Text(text=item)
    if not isinstance(item, dict):
        return UnknownPart(raw=item)
    kind = item.get("type")
    cache = item.get("cache_control")
    part: AnyPart
    if kind in (None, "text", "output_text") and isinstance(item.get("text"), str):
        part = Text(text=item["text"], extra=unknown(item, _TEXT))
    elif kind == "refusal":
        part = Refusal(text=shown(item.get("refusal")), native="refusal", extra=without(item, "type", "refusal"))
    elif kind == "thinking":
        part = _parse_thinking(item)
    else:
        part = _parse_media(kind, item) or UnknownPart(native=kind, raw=item)
    if isinstance(cache, dict) and type(part) is not UnknownPart:
        part.cache = cache
    return part


def _parse_thinking(item: dict[str, Any]) -> AnyPart:
    """Mistral's content part: `{"type": "thinking", "thinking": [{"type": "text", "text": …}]}`."""
    inner = item.get("thinking")
    if isinstance(inner, str):
        return Thinking(texts=[inner], native="thinking=", extra=without(item, "type", "thinking"))
    texts = [t["text"] for t in objects(inner) if isinstance(t.get("text"), str)]
    if not isinstance(inner, list) or len(texts) != len(inner):
        return UnknownPart(native="thinking", raw=item)
    return Thinking(texts=texts, native="thinking", extra=without(item, "type", "thinking"))


def _parse_media(kind: Json, item: dict[str, Any]) -> Media | None:
    """A media part, or None if its shape is unknown."""
    known = ("type", "cache_control", kind)
    body = item.get(kind) if isinstance(kind, str) else None
    if kind in ("image_url", "video_url", "file_url", "document_url", "audio_url"):
        what: MediaKind = {"image_url": "image", "video_url": "video", "audio_url": "audio"}.get(kind, "document")  # type: ignore[assignment]
        if isinstance(body, str):
            media = Media(kind=what, native=f"{kind}=")
            take_url(media, body)
        elif isinstance(body, dict) and isinstance(body.get("url"), str):
            media = Media(
                kind=what, native=None if kind in ("image_url", "video_url") else kind, detail=body.get("detail")
            )
            take_url(media, body["url"])
            media.extra = _nested(kind, without(body, "url", "detail"))
        else:
            return None
    elif kind == "input_audio" and isinstance(body, dict) and isinstance(body.get("data"), str):
        form = word(body.get("format"))
        media = Media(kind="audio", media_type=of_format(form))
        media.data = body["data"]
        media.extra = _nested(kind, without(body, "data", "format"))
    elif kind == "file" and isinstance(body, dict):
        media = Media(kind="document", name=body.get("filename"), file_id=body.get("file_id"))
        data = body.get("file_data")
        if isinstance(data, str):
            take_url(media, data)
            if media.url is not None:  # bare base64, which some gateways accept
                media.url, media.data, media.native = None, data, "file_data"
        media.extra = _nested(kind, without(body, "filename", "file_id", "file_data"))
    else:
        return None
    rest = without(item, *known)
    if rest:
        media.extra = {**(media.extra or {}), **rest}
    return media


def _nested(kind: str, rest: Extra | None) -> Extra | None:
    """Unknown fields inside the part's own object."""
    return {f"{kind}.": rest} if rest else None


def data_uri(media: Media) -> str:
    return f"data:{media.media_type or 'application/octet-stream'};base64,{media.data}"


def render_part(part: AnyPart) -> dict[str, Any] | None:
    """A content part, or None if Chat Completions has none for it."""
    item: dict[str, Any]
    if isinstance(part, Text):
        item = {"type": "text", "text": part.text}
    elif isinstance(part, Media):
        item = render_media(part)
    elif isinstance(part, Refusal):
        item = {"type": "refusal", "refusal": part.text}
    elif isinstance(part, Thinking) and part.native == "thinking":
        item = {"type": "thinking", "thinking": [{"type": "text", "text": text} for text in part.texts]}
    elif isinstance(part, Thinking) and part.native == "thinking=":
        item = {"type": "thinking", "thinking": part.text}
    elif isinstance(part, UnknownPart) and isinstance(part.raw, dict):
        return part.raw
    else:
        return None
    if part.cache is not None:
        item["cache_control"] = part.cache
    for name, value in (part.extra or {}).items():
        if name.endswith("."):
            item[name[:-1]].update(value)
        else:
            item[name] = value
    return item


def render_media(media: Media) -> dict[str, Any]:
    where = media.url if media.data is None else data_uri(media)
    native = media.native or ""
    if native.endswith("="):
        return {"type": native[:-1], native[:-1]: where}
    if native.endswith("_url"):
        return {"type": native, native: {"url": where}}
    match media.kind:
        case "image" | "video":
            kind = f"{media.kind}_url"
            body: dict[str, Any] = {"url": where}
            if media.detail is not None:
                body["detail"] = media.detail
            return {"type": kind, kind: body}
        case "audio" if media.data is not None:
            form = format_of(media.media_type)
            return {"type": "input_audio", "input_audio": {"data": media.data, **({"format": form} if form else {})}}
        case _:
            file: dict[str, Any] = {}
            if media.file_id is not None:
                file["file_id"] = media.file_id
            elif media.data is not None:
                file["file_data"] = media.data if native == "file_data" else where
            if media.name is not None:
                file["filename"] = media.name
            return {"type": "file", "file": file}


# --- reasoning ---------------------------------------------------------------------------------------------------------


def parse_detail(item: dict[str, Any]) -> Thinking:
    """One of OpenRouter's `reasoning_details`."""
    kind = word(item.get("type")) or ""
    text_field, opaque_field = _DETAIL_TEXT.get(kind, "text"), _DETAIL_OPAQUE.get(kind, "data")
    text, opaque = item.get(text_field), item.get(opaque_field)
    return Thinking(
        texts=[text] if isinstance(text, str) else [],
        summary=kind == "reasoning.summary",
        opaque=opaque if isinstance(opaque, str) else None,
        native=DETAILS,
        extra=without(item, text_field, opaque_field),
    )


def _parse_details(items: list[dict[str, Any]]) -> list[Thinking]:
    """The parts in `reasoning_details`. Clients that collect the items of a stream in a list send several for a part, with the same
    index and type; the state is in the last."""
    parts: list[Thinking] = []
    place: tuple[Json, Json] | None = None
    for item in items:
        part, before = parse_detail(item), place
        place = None if item.get("index") is None else (item["index"], item.get("type"))
        if place is None or place != before or parts[-1].opaque is not None:
            parts.append(part)
            continue
        last = parts[-1]
        last.texts = [last.text + part.text] if last.texts or part.texts else []
        last.opaque, last.extra = part.opaque, {**(part.extra or {}), **(last.extra or {})}
    return parts


def parse_block(item: dict[str, Any]) -> Thinking:
    """One of LiteLLM's `thinking_blocks`, or a piece of one."""
    part = parse_detail(item)
    part.native, part.opaque, part.extra = BLOCKS, part.opaque or None, without(part.extra or {}, "index")
    return part


def is_redacted(block: Thinking) -> bool:
    return (block.extra or {}).get("type") != "thinking"


def _parse_blocks(items: list[dict[str, Any]]) -> list[Thinking]:
    """The parts in `thinking_blocks`. Clients that collect the pieces of a stream in a list send several for a part, whose
    signature is in the last."""
    parts: list[Thinking] = []
    text = ""
    for item in items:
        part = parse_block(item)
        if part.opaque is None:
            text += part.text
            continue
        if not is_redacted(part):
            part.texts, text = [whole] if (whole := text + part.text) else [], ""
        parts.append(part)
    return [*parts, Thinking(texts=[text], native=REASONING_FIELDS[0])] if text else parts


def render_detail(part: Thinking) -> dict[str, Any]:
    """One of `reasoning_details` or `thinking_blocks`."""
    extra = part.extra or {"type": "reasoning.summary" if part.summary else "reasoning.text"}
    kind = word(extra.get("type")) or ""
    item = dict(extra)
    if part.texts or kind == "thinking":
        item[_DETAIL_TEXT.get(kind, "text")] = part.text
    if part.opaque is not None:
        item[_DETAIL_OPAQUE.get(kind, "data")] = part.opaque
    return item


def parse_reasoning(message: dict[str, Any], field: str | None = None) -> tuple[list[Thinking], list[str]]:
    """The thinking in a message, and the names of the fields it was read from.

    The dialect's own `field` is tried first. A field that only repeats another one (OpenRouter sends `reasoning` and
    `reasoning_details`, LiteLLM `reasoning_content` and `thinking_blocks`) is ignored.
    """
    taken: list[str] = []
    parts: list[Thinking] = []
    if field is None and _REASONING.isdisjoint(message):
        return parts, taken
    details = message.get(DETAILS)
    if isinstance(details, list) and details and all(isinstance(item, dict) for item in details):
        taken.append(DETAILS)
        parts = _parse_details(details)
    elif blocks := _parse_blocks(objects(message.get(BLOCKS))):
        taken.append(BLOCKS)
        parts = blocks
    if any(part.text for part in parts):
        return parts, taken
    found = filled(message, (field, *REASONING_FIELDS) if field else REASONING_FIELDS)
    if found is None and BLOCKS not in taken and message.get(REASONING_FIELDS[0]) == "":
        found = REASONING_FIELDS[0], ""  # Kimi and DeepSeek require it back
    if found is None:
        return parts, taken
    name, text = found
    return [Thinking(texts=[text], native=name), *parts], [*taken, name]


def filled(message: dict[str, Any], names: Iterable[str]) -> tuple[str, str] | None:
    """The first non-blank field and its text; a blank one only if there is no other."""
    found = [(name, text) for name in names if type(text := message.get(name)) is str and text]
    return next(((name, text) for name, text in found if text.strip()), found[0] if found else None)


def odd_reasoning(message: dict[str, Any], names: Iterable[str]) -> tuple[str, str] | None:
    """The first field that is not a string, as JSON."""
    found = [(name, shown(message[name])) for name in names if type(message.get(name)) not in (str, type(None))]
    return next(((name, text) for name, text in found if text), None)


OPENING = ("<think>", "<thought>", "<thinking>", "<reasoning>", "<seed:think>", "[THINK]", "◁think▷")
"""Tags before thinking: of most models, Gemini, Nova, others, Seed, Magistral and Kimi-VL."""
CLOSING = tuple(f"{tag[0]}/{tag[1:]}" for tag in OPENING)
LONE = OPENING[:2], CLOSING[:2]
"""The tags whose templates may write the opening one. In other texts, the others are used for markup too."""
TAG = re.compile("|".join((*LONE[0], *LONE[1])))
FIRST = re.compile(f"[{re.escape(''.join({tag[0] for tag in OPENING}))}]")
"""The characters with which tags begin."""


def split_think_tags(text: str) -> tuple[str, str] | None:
    """Thinking and the rest of a text that begins with `<think>`.

    Also if `</think>` is its first tag: a template that opens the thinking itself omits the opening tag.
    """
    stripped = text.lstrip()
    for opening, closing in zip(OPENING, CLOSING, strict=True):
        if stripped.startswith(opening):
            thinking, _, rest = stripped[len(opening) :].partition(closing)
            return thinking, rest
    found = TAG.search(text)
    if found is None or found.group() in OPENING:
        return None
    return text[: found.start()].lstrip(), text[found.end() :]


# --- tool calls --------------------------------------------------------------------------------------------------------


def parse_tool_call(item: dict[str, Any]) -> ToolCall:
    kind = item.get("type")
    known = _CALL
    if kind == "custom" and isinstance(item.get("custom"), dict):
        body = item["custom"]
        call = ToolCall(name=word(body.get("name")) or "", arguments=word(body.get("input")) or "", format="text")
        known |= {"custom"}
    else:
        body = call_body(item)
        if body is item:
            known |= {"name", "arguments"}
        call = ToolCall(name=shown(body.get("name")), arguments=arguments_text(body.get("arguments")))
    call.id = call_id(item.get("id"))
    call.opaque, rest = split_signature(item)
    call.extra = {**(unknown(item, known) or {}), **rest} or None
    return call


def tool_call(item: Json) -> ToolCall | UnknownPart:
    """A tool call of a reply; anything else is kept unchanged."""
    if not is_call(item) and not (isinstance(item, dict) and isinstance(item.get("function"), str)):
        return UnknownPart(native="tool_calls", raw=item)
    if isinstance(function := item.get("function"), str):  # encoded as JSON twice
        try:
            item = {**item, "function": decode(function)}
        except MalformedReply:
            item = {**item, "function": {"name": function}}
    call = parse_tool_call(item)
    return call if call.name or call.arguments or call.id else UnknownPart(native="tool_calls", raw=item)


def is_call(item: Json) -> bool:
    """Whether an item of `tool_calls` is a call or continues one."""
    if not isinstance(item, dict):
        return False
    body = item.get("function") or item.get("custom")
    if not body:
        return bool(item.keys() & {"id", "index", "name"})
    return isinstance(body, dict) and bool(body.keys() & {"name", "arguments", "input"})


def call_body(item: dict[str, Any]) -> dict[str, Any]:
    """The object with the name and arguments of a call: the item itself if it is written as in Responses."""
    body = item.get("function") or item.get("custom")
    return item if not body and "name" in item else mapping(body)


def call_id(value: Json) -> str | None:
    """An ID as a string, as some servers send numbers; None for ""."""
    return str(value) if type(value) is int else word(value) or None


def arguments_text(arguments: Json) -> str:
    """Arguments as text; native Ollama and some proxies send an object."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def split_signature(item: dict[str, Any]) -> tuple[str | None, Extra]:
    """Gemini's thought signature of a call, in the field of its OpenAI API or of LiteLLM, and the rest of these fields. The rest of
    LiteLLM's field shows that the signature was there."""
    signature: str | None = None
    rest: Extra = {}
    if isinstance(beside := item.get("extra_content"), dict):
        google = beside.get("google")
        if isinstance(google, dict) and isinstance(google.get(_SIGNATURE), str):
            signature, kept = google[_SIGNATURE], without(google, _SIGNATURE)
            beside = {k: v for k, v in beside.items() if k != "google"} | ({"google": kept} if kept else {})
        if beside:
            rest["extra_content"] = beside
    if (fields := item.get(_LITELLM)) is not None:
        if signature is None and isinstance(fields, dict) and isinstance(fields.get(_SIGNATURE), str):
            signature, fields = fields[_SIGNATURE], {**fields, _SIGNATURE: None}
        rest[_LITELLM] = fields
    return signature, rest


def render_tool_call(call: ToolCall, id: str | None, with_state: bool = True) -> dict[str, Any]:
    item: dict[str, Any] = {} if id is None else {"id": id}
    if call.format == "text" and call.native != CALLED_AS_FUNCTION:
        item["type"], item["custom"] = "custom", {"name": call.name, "input": call.arguments}
    else:
        item["type"], item["function"] = "function", {"name": call.name, "arguments": call.arguments}
    if with_state:
        item |= call.extra or {}
        if call.opaque is not None:
            beside, fields = mapping(item.get("extra_content")), mapping(item.get(_LITELLM))
            if _SIGNATURE in fields:
                item[_LITELLM] = {**fields, _SIGNATURE: call.opaque}
            else:
                item["extra_content"] = {**beside, "google": {**mapping(beside.get("google")), _SIGNATURE: call.opaque}}
    return item


# --- citations ---------------------------------------------------------------------------------------------------------


def parse_annotation(item: dict[str, Any]) -> Annotation:
    body = item.get("url_citation")
    if isinstance(body, dict):
        return Annotation(
            "url",
            url=word(body.get("url")),
            title=word(body.get("title")),
            text=word(body.get("content")),
            start=count(body.get("start_index")),
            end=count(body.get("end_index")),
            protocol=NAME,
            raw=item,
        )
    return Annotation(str(item.get("type", "unknown")), protocol=NAME, raw=item)


def render_annotation(annotation: Annotation, text: str) -> dict[str, Any] | None:
    """A `url_citation` into `text`. Citations without a URL cannot be expressed."""
    if annotation.protocol == NAME and annotation.raw is not None:
        return annotation.raw
    if annotation.url is None:
        return None
    body: dict[str, Any] = {"url": annotation.url, "title": annotation.title or annotation.url}
    body["start_index"], body["end_index"] = span(annotation, text)
    if annotation.text is not None:
        body["content"] = annotation.text
    return {"type": "url_citation", "url_citation": body}
