"""Pydantic AI's messages as turns of modelbay, and the parts of replies as those of Pydantic AI."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from pydantic_ai import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserContent,
    UserError,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.messages import (
    ERROR_OUTCOMES,
    Citation,
    ContentCitationAnchor,
    DocumentCitationSource,
    ModelRequestPart,
    ModelResponsePart,
    WebCitationSource,
)
from pydantic_ai.models import download_item

from modelbay import (
    Annotation,
    AnyPart,
    Media,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    state_of,
    with_state,
)

NAME = "modelbay"
"""The `provider_name` of parts, and the key of our state in their `provider_details`."""
KINDS: dict[type, Any] = {ImageUrl: "image", AudioUrl: "audio", VideoUrl: "video", DocumentUrl: "document"}


# --- to modelbay ---


async def turns(messages: Sequence[ModelMessage]) -> list[Turn]:
    """Raises UserError: a part without a counterpart."""
    found: list[Turn] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            found.append(Turn("assistant", [_replied(part) for part in message.parts]))
        else:
            found += [await _asked(part) for part in message.parts]
    return found


async def _asked(part: ModelRequestPart) -> Turn:
    match part:
        case SystemPromptPart():
            return Turn("system", [Text(text=part.content)])
        case UserPromptPart():
            content = [part.content] if isinstance(part.content, str) else part.content
            return Turn("user", await _contents(content))
        case ToolReturnPart():
            result = ToolResult(
                call_id=part.tool_call_id,
                name=part.tool_name,
                parts=await _contents(part.content_items(mode="str", wrap_if_error=False)),
                is_error=True if part.outcome in ERROR_OUTCOMES else None,
            )
            return Turn("tool", [result])
    raise UserError(
        f"modelbay has no counterpart of {type(part).__name__}: outside of an agent, pass the messages through "
        "`model.prepare_messages` first"
    )


async def _contents(content: Sequence[UserContent]) -> list[AnyPart]:
    found: list[AnyPart] = []
    for item in content:
        if not isinstance(item, CachePoint):
            found.append(await _content(item))
        elif found:  # it marks the end of a prefix; before the first part there is no such end
            found[-1].cache = {"type": "ephemeral", "ttl": item.ttl}
    return found


async def _content(item: UserContent) -> AnyPart:
    match item:
        case str():
            return Text(text=item)
        case TextContent():
            return Text(text=item.content)
        case BinaryContent():
            return _with_detail(Media.of(item.data, item.media_type), item.vendor_metadata)
        case UploadedFile():
            family = item.media_type.partition("/")[0]
            kind: Any = family if family in KINDS.values() else "document"
            return Media(kind=kind, file_id=item.file_id, media_type=item.media_type)
        case ImageUrl() | AudioUrl() | VideoUrl() | DocumentUrl():
            return _with_detail(await _at_url(item), item.vendor_metadata)
    raise UserError(f"modelbay has no counterpart of {type(item).__name__}")


async def _at_url(item: ImageUrl | AudioUrl | VideoUrl | DocumentUrl) -> Media:
    if item.force_download:
        loaded = await download_item(item, data_format="bytes")
        return Media.of(loaded["data"], loaded["data_type"])
    try:
        media_type: str | None = item.media_type
    except ValueError:  # the URL does not show it
        media_type = None
    return replace(Media.of(item.url, media_type), kind=KINDS[type(item)])


def _with_detail(media: Media, metadata: dict[str, Any] | None) -> Media:
    """The file with its `detail`, the only metadata that modelbay has a field for."""
    if unknown := (metadata or {}).keys() - {"detail"}:
        raise UserError(f"modelbay has no field for the metadata of a file: {', '.join(sorted(unknown))}")
    return replace(media, detail=(metadata or {}).get("detail"))


def _replied(part: ModelResponsePart) -> AnyPart:
    """A part of an earlier reply. Reasoning of other adapters, and tools that their providers ran, have no state of modelbay, which
    does not send them then."""
    details = getattr(part, "provider_details", None) or {}
    state = details.get(NAME)
    made: AnyPart
    match part:
        case TextPart():
            made = Text(text=part.content)
        case ThinkingPart():
            made = Thinking(texts=[part.content] if part.content else [])
        case ToolCallPart():
            arguments = part.args if isinstance(part.args, str) else part.args_as_json_str()
            made = ToolCall(name=part.tool_name, arguments=arguments, id=part.tool_call_id)
        case FilePart():
            made = Media.of(part.content.data, part.content.media_type)
            state = {**state, "data": b64encode(part.content.data).decode()} if state is not None else None
        case NativeToolCallPart():
            made = ServerToolCall(name=part.tool_name, id=part.tool_call_id)
        case NativeToolReturnPart():
            made = ServerToolResult(call_id=part.tool_call_id)
        case _:
            raise UserError(f"modelbay has no counterpart of {type(part).__name__}: start a new conversation")
    return with_state(made, state)


# --- to Pydantic AI ---


def details(part: AnyPart) -> dict[str, Any]:
    """`provider_name` and `provider_details` of a part."""
    state = state_of(part)
    return {} if state is None else {"provider_name": NAME, "provider_details": {NAME: state}}


def replied(part: AnyPart) -> ModelResponsePart:
    """A part of a reply. Raises UserError: a file that the provider gives by its URL only."""
    match part:
        case Text() | Refusal():
            return TextPart(part.text, citations=citations(part), **details(part))
        case Thinking():
            return ThinkingPart(part.text, id=part.item_id, signature=part.opaque, **details(part))
        case ToolCall():
            return ToolCallPart(part.name, part.arguments, **with_id(part.id), **details(part))
        case ServerToolCall():
            return NativeToolCallPart(part.name, part.arguments or None, **with_id(part.id), **details(part))
        case ServerToolResult():
            return NativeToolReturnPart("", part.content, **with_id(part.call_id), **details(part))
        case Media(data=str(data)):
            kept = details(part)
            kept["provider_details"][NAME].pop("data")  # the part itself has it
            return FilePart(
                BinaryContent(b64decode(data), media_type=part.media_type or "application/octet-stream"), **kept
            )
        case Media():
            raise UserError(f"the reply contains {part.kind} by its URL, which Pydantic AI cannot represent")
    return ThinkingPart("", **details(part))  # an unknown part is kept where it is


def with_id(id: str | None) -> dict[str, Any]:
    """The ID of a call; Pydantic AI makes one if the provider sent none."""
    return {"tool_call_id": id} if id else {}


def citations(part: Text | Refusal) -> list[Citation] | None:
    return [_citation(annotation) for annotation in part.annotations or ()] or None


def _citation(found: Annotation) -> Citation:
    excerpts = [found.text] if found.text else []
    anchor = None
    if found.unit == "chars" and found.start is not None and found.end is not None:
        anchor = ContentCitationAnchor(start=found.start, end=found.end)
    if found.url:
        return Citation([WebCitationSource(found.url, title=found.title, excerpts=excerpts)], anchor=anchor)
    return Citation([DocumentCitationSource(title=found.title, excerpts=excerpts)], anchor=anchor)
