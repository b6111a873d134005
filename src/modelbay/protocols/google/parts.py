"""Gemini parts: parsing and rendering, for requests, replies and streams.

A part is an object with one field for its type and further ones next to it (`thoughtSignature`, `videoMetadata` …).
"""

import re
from base64 import b64decode, b64encode
from typing import Any, Final

import msgspec

from modelbay.conversation import (
    AnyPart,
    Extra,
    Json,
    Media,
    Part,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UnknownPart,
)
from modelbay.errors import MalformedReply
from modelbay.file_content import MediaKind, media_kind
from modelbay.json_text import decode
from modelbay.protocols.arguments import readings
from modelbay.protocols.documents import plain_text, titled
from modelbay.protocols.google.case import Fields, camel, written
from modelbay.protocols.opaque import MARK, seal
from modelbay.protocols.shapes import unknown, without

NAME: Final = "google"
SIGNATURE = "thoughtSignature"
NO_SIGNATURE = "skip_thought_signature_validator"
"""Documented by Google for calls without a signature, because another model made them."""
SNAKE = "snake_case."
"""Key in `extra` for names that were written in snake_case; no field can have this name."""
_VIDEO_PAGE = re.compile(r"https?://(?:(?:www|m)\.)?(?:youtube\.com|youtu\.be)/")
"""The address of a video, which Gemini accepts without a media type."""
ENVELOPE = b64encode(MARK[:9].encode()).decode()
"""The beginning of an envelope in a signature, which SDKs treat as base64."""

_KINDS = {
    "functionCall": ("id", "name"),
    "functionResponse": ("id", "name"),
    "inlineData": ("mimeType", "data", "displayName"),
    "fileData": ("mimeType", "fileUri", "displayName"),
    "executableCode": ("id",),
    "codeExecutionResult": ("id",),
    "toolCall": ("id", "toolType"),
    "toolResponse": ("id",),
}
"""Fields that define a part's type, each with its fields that are strings."""
_BESIDE_BODY = {kind: frozenset((kind, SIGNATURE)) for kind in _KINDS}
_TEXT = frozenset(("text", SIGNATURE))
_THOUGHT = _TEXT | {"thought"}
_CALL = frozenset(("id", "name", "args"))
_RESPONSE = frozenset(("id", "name", "response"))
_URL_SAFE = str.maketrans("-_", "+/")
_TO_URL_SAFE = str.maketrans("+/", "-_")
_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg",
    "flac": "audio/flac", "aac": "audio/aac", "m4a": "audio/mp4", "mp4": "video/mp4", "mov": "video/quicktime",
    "webm": "video/webm", "mpeg": "video/mpeg", "mpg": "video/mpeg", "avi": "video/x-msvideo", "pdf": "application/pdf",
    "txt": "text/plain", "md": "text/markdown", "html": "text/html", "csv": "text/csv", "json": "application/json",
}  # fmt: skip
_USUAL: dict[MediaKind, str] = {
    "image": "image/jpeg", "audio": "audio/mpeg", "video": "video/mp4", "document": "application/pdf",
}  # fmt: skip


def string(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _is_string(value: Json) -> bool:
    """Whether a value is a string or missing."""
    return value is None or isinstance(value, str)


def compact(value: Json) -> str:
    return msgspec.json.encode(value).decode()


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_part(item: Json) -> AnyPart:
    if isinstance(item, str):
        return Text(text=item)
    if not isinstance(item, dict):
        return UnknownPart(raw=item)
    fields, snake = camel(item)
    signature = fields.get(SIGNATURE)
    kind = ""
    if not _KINDS.keys().isdisjoint(fields):
        kind = next((name for name in _KINDS if isinstance(fields.get(name), dict)), "")
    part: AnyPart | None
    if kind:
        body, also = camel(fields[kind])
        snake = [*snake, *also]
        well_formed = all(map(_is_string, map(body.get, _KINDS[kind])))
        part, rest = _parse_body(kind, body) if well_formed else (None, None)
        extra = unknown(fields, _BESIDE_BODY[kind])
        if rest:
            extra = {**(extra or {}), f"{kind}.": rest}
    else:
        part = _parse_text(fields)
        extra = unknown(fields, _THOUGHT if type(part) is Thinking else _TEXT)
    if part is None or not _is_string(signature):
        return UnknownPart(native=next(iter(fields), None), raw=item)
    if snake:
        extra = {**(extra or {}), SNAKE: snake}
    part.extra = extra
    part.opaque = signature
    return part


def _parse_text(fields: Fields) -> Text | Thinking | None:
    text = fields.get("text")
    if fields.get("thought") is True and isinstance(text, str | None):
        return Thinking(texts=[text] if isinstance(text, str) else [])
    if isinstance(text, str):
        return Text(text=text)
    if SIGNATURE in fields and text is None and fields.keys() <= {SIGNATURE, "thought", "text"}:
        return Text(native=SIGNATURE)
    return None


def _parse_body(kind: str, body: Fields) -> tuple[AnyPart, Extra | None]:
    """The part, and the unknown fields of its body."""
    match kind:
        case "functionCall":
            args = body.get("args")
            call = ToolCall(name=body.get("name") or "", arguments="" if args is None else compact(args))
            call.id = body.get("id")
            return call, unknown(body, _CALL)
        case "functionResponse":
            return _parse_response(body)
        case "inlineData":
            return _parse_blob(body)
        case "fileData":
            where = body.get("fileUri") or ""
            kind = "video" if _VIDEO_PAGE.match(where) else media_kind(body.get("mimeType"))
            media = Media(kind=kind, media_type=body.get("mimeType"), name=body.get("displayName"))
            if where.startswith(("http://", "https://")) and "generativelanguage.googleapis.com" not in where:
                media.url = where
            else:  # the Files API and Cloud Storage: only Google can read them
                media.file_id = where
            return media, without(body, "mimeType", "fileUri", "displayName")
        case "executableCode":
            code = without(body, "id")
            return ServerToolCall(name=kind, id=body.get("id"), native=kind, arguments=compact(code or {})), None
        case "codeExecutionResult":
            outcome = body.get("outcome")
            done = ServerToolResult(call_id=body.get("id"), content=without(body, "id"), native=kind)
            done.is_error = None if outcome is None else outcome not in ("OUTCOME_OK", 1)
            return done, None
        case "toolCall":
            args = body.get("args")
            served = ServerToolCall(name=body.get("toolType") or "", id=body.get("id"), native=kind)
            served.arguments = "" if args is None else compact(args)
            return served, without(body, "id", "toolType", "args")
        case _:
            answer = ServerToolResult(call_id=body.get("id"), content=body.get("response"), native=kind)
            return answer, without(body, "id", "response")


def _parse_response(body: Fields) -> tuple[ToolResult, Extra | None]:
    """A function's result. `native` is the form of the text: None for the string `output` or `error`, "json" for their
    value, "response" for the whole object."""
    # some programs send an empty name: then the order tells the call, as without a name
    result = ToolResult(call_id=body.get("id"), name=body.get("name") or None)
    response = body.get("response")
    if response is None:
        result.native = "none"
    elif isinstance(response, dict) and len(response) == 1 and ("output" in response or "error" in response):
        ((word, value),) = response.items()
        result.is_error = True if word == "error" else None
        result.native = None if isinstance(value, str) else "json"
        result.parts = [Text(text=value if isinstance(value, str) else compact(value))]
    else:
        result.native = "response"
        result.parts = [Text(text=compact(response))]
    media = body.get("parts")
    if isinstance(media, list) and media:
        result.parts += [parse_part(part) for part in media]
        return result, unknown(body, _RESPONSE | {"parts"})
    return result, unknown(body, _RESPONSE)


def _parse_blob(body: Fields) -> tuple[Media, Extra | None]:
    media = Media(kind=media_kind(body.get("mimeType")), media_type=body.get("mimeType"), name=body.get("displayName"))
    media.data = body.get("data") or ""
    if "-" in media.data or "_" in media.data:  # python-genai writes URL-safe base64, which no other protocol accepts
        media.data, media.native = media.data.translate(_URL_SAFE), "urlsafe"
    return media, without(body, "mimeType", "data", "displayName")


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_part(part: AnyPart, mine: bool = True) -> Fields | None:
    """A part, or None if Gemini has none for it. `mine`: whether its state, `native` and `extra` are Google's own."""
    item = _render_kind(part, mine)
    if item is None or not mine or type(part) is UnknownPart:
        return item
    if part.opaque is not None:
        item[SIGNATURE] = part.opaque
    snake: list[str] = []
    for name, value in (part.extra or {}).items():
        if name == SNAKE:
            snake = value
        elif name.endswith("."):
            item[name[:-1]] |= value
        else:
            item[name] = value
    if snake:
        item = {name: written(value, snake) if name in _KINDS else value for name, value in item.items()}
    return written(item, snake)


def _render_kind(part: AnyPart, mine: bool) -> Fields | None:
    match part:
        case Text() if part.native == SIGNATURE and mine and not part.text:
            return {}
        case Text() | Refusal():
            return {"text": part.text}
        case Thinking():
            return {"text": part.text, "thought": True} if part.texts or not mine else {"thought": True}
        case Media():
            return _render_media(part, mine)
        case ToolCall():
            return {"functionCall": render_call(part, part.id, mine)}
        case ToolResult():
            return {"functionResponse": render_response(part, part.call_id, part.name, mine)}
        case ServerToolCall() | ServerToolResult() if mine:
            return _render_server(part)
        case UnknownPart() if mine and isinstance(part.raw, dict):
            return dict(part.raw)
        case _:
            return None


def _render_server(part: ServerToolCall | ServerToolResult) -> Fields | None:
    kind = part.native or ""
    if kind not in _KINDS:
        return None
    if isinstance(part, ServerToolCall):
        body: Fields = {} if part.id is None else {"id": part.id}
        if kind == "toolCall":
            body |= {"toolType": part.name} if part.name else {}
            body |= {"args": decode(part.arguments)} if part.arguments else {}
        else:
            body |= decode(part.arguments or "{}")
        return {kind: body}
    body = {} if part.call_id is None else {"id": part.call_id}
    if kind == "toolResponse":
        body |= {} if part.content is None else {"response": part.content}
    elif isinstance(part.content, dict):
        body |= part.content
    return {kind: body}


def _render_media(media: Media, mine: bool) -> Fields | None:
    if media.data is None and (text := plain_text(media)) is not None:
        return {"text": titled(text, media.name)}
    body: Fields = {}
    if mine:
        body |= {} if media.media_type is None else {"mimeType": media.media_type}
        body |= {} if media.name is None else {"displayName": media.name}
    else:
        body["mimeType"] = media.media_type or _type_of(media)
    if media.data is not None:
        urlsafe = mine and media.native == "urlsafe"
        return {"inlineData": {**body, "data": media.data.translate(_TO_URL_SAFE) if urlsafe else media.data}}
    where = media.url if media.url is not None else media.file_id
    return None if where is None else {"fileData": {**body, "fileUri": where}}


def _type_of(media: Media) -> str:
    """The media type of a file without one: from its URL's extension, else the default of its kind."""
    end = (media.url or media.name or "").partition("?")[0].rpartition(".")[2].lower()
    return _TYPES.get(end, _USUAL[media.kind])


def render_call(call: ToolCall, id: str | None, mine: bool) -> Fields:
    body: Fields = {} if id is None else {"id": id}
    if call.name or not mine:
        body["name"] = call.name
    if call.arguments or not mine:
        body["args"] = arguments_object(call)
    return body


def arguments_object(call: ToolCall) -> Fields:
    """The arguments as the object that Gemini requires; text or invalid JSON is put into one."""
    if call.format == "text":
        return {"input": call.arguments}
    for text in readings(call.arguments):
        try:
            value = decode(text or "{}")
        except MalformedReply:
            continue
        if isinstance(value, dict):
            return value
    return {"_raw": call.arguments}


def render_response(result: ToolResult, id: str | None, name: str | None, mine: bool) -> Fields:
    body: Fields = {} if id is None else {"id": id}
    if name is not None:
        body["name"] = name
    texts = [part.text for part in result.parts if isinstance(part, Text | Refusal)]
    native = result.native if mine else None
    if native != "none" or texts:
        body["response"] = _response("\n".join(texts), native, bool(result.is_error))
    if mine:
        media = [render_part(part) for part in result.parts if not isinstance(part, Text | Refusal)]
        if parts := [item for item in media if item is not None]:
            body["parts"] = parts
    return body


def _response(text: str, native: str | None, is_error: bool) -> Json:
    value: Any = text
    if native in ("json", "response"):
        try:
            value = decode(text)
        except MalformedReply:  # edited since: now a string
            native = None
    return value if native == "response" else {"error" if is_error else "output": value}


# --- state of other providers, stored by a Google client ---------------------------------------------------------------


def is_ours(part: Part) -> bool:
    return part.origin is None or part.origin.protocol == NAME


def envelope(part: AnyPart, *, with_text: bool = False) -> str:
    """The envelope of a part's state as a signature: SDKs read it as base64."""
    return b64encode(seal(part, with_text=with_text).encode()).decode()


def opened(signature: str | None) -> str | None:
    """The envelope in a signature, or None. Clients may have changed it to URL-safe base64."""
    if signature is None or not signature.startswith(ENVELOPE):
        return None
    text = signature.translate(_URL_SAFE).rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        return None
