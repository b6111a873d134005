"""Chat Completions replies without streaming: parsing and rendering. Choice 0 is used."""

from typing import Any

import msgspec
from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Extra,
    Json,
    Media,
    Part,
    Provenance,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.errors import MalformedReply
from modelbay.events import Event, FinishReason, Reply
from modelbay.json_text import decode
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import REASONS, finish
from modelbay.protocols.ids import made_id
from modelbay.protocols.opaque import seal
from modelbay.protocols.openai_chat.parts import (
    BLOCKS,
    DETAILS,
    NAME,
    REASONING_FIELDS,
    THINK_TAGS,
    arguments_text,
    odd_reasoning,
    parse_annotation,
    parse_content,
    parse_reasoning,
    render_annotation,
    render_detail,
    render_media,
    render_part,
    render_tool_call,
    reply_content,
    split_think_tags,
    tool_call,
)
from modelbay.protocols.openai_chat.usage import parse_usage, render_usage
from modelbay.protocols.openai_chat.usual import UsualReply, usual_reply
from modelbay.protocols.openai_errors import error_in, parse_error_object
from modelbay.protocols.shapes import items, mapping, objects, shown, without, word

OWN = ("stop", "length", "tool_calls", "function_call", "content_filter")
"""The protocol's finish reasons."""
_NATIVE: dict[FinishReason, str] = {"refusal": "content_filter", "pause": "stop", "other": "length"}
"""Finish reasons for all others. No client treats "length" as a complete reply."""
TOP = ("id", "object", "created", "model", "choices", "usage", "error")
MESSAGE = ("role", "content", "refusal", "tool_calls", "function_call", "annotations", "audio", "images")


def parse_reply(body: bytes, dialect: Dialect, origin: Provenance | None = None) -> list[Event]:
    assembly = Assembly(origin)
    if (usual := usual_reply(body)) is not None and not dialect.think_tags:
        _parse_usual(usual, assembly, dialect)
        return assembly.take()
    try:
        reply = decode(body)
    except MalformedReply as error:
        assembly.fail(unreadable(f"the reply is not JSON: {error}", body))
        return assembly.take()
    failure = error_in(reply)
    if failure is not None and not (isinstance(reply, dict) and reply.get("choices")):
        assembly.fail(failure)
    elif not isinstance(reply, dict) or not isinstance(reply.get("choices"), list):
        assembly.fail(unreadable("the reply has no `choices`: is this the right URL for Chat Completions?", body))
    else:
        _parse_choices(reply, assembly, dialect)
    return assembly.take()


def _parse_usual(reply: UsualReply, assembly: Assembly, dialect: Dialect) -> None:
    assembly.start(reply.id or None, reply.model or None, reply.extra)
    assembly.usage = parse_usage(reply.usage, dialect)
    choice = reply.choices[0]
    if choice.message.content:
        assembly.whole(Text(text=choice.message.content))
    for call in choice.message.tool_calls or ():
        assembly.whole(ToolCall(name=call.function.name, arguments=call.function.arguments, id=call.id))
    finish(assembly, choice.finish_reason)


def _parse_choices(reply: dict[str, Any], assembly: Assembly, dialect: Dialect) -> None:
    extra = without(reply, *TOP) or {}
    assembly.start(word(reply.get("id")) or None, word(reply.get("model")) or None, extra | _created(reply))
    choices = objects(reply["choices"])
    usage = reply.get("usage") or next((choice["usage"] for choice in choices if choice.get("usage")), None)
    assembly.usage = parse_usage(usage, dialect)
    first = [choice for choice in choices if choice.get("index", 0) == 0 or dialect.merge_choices]
    native, stop, failure = None, None, None
    for choice in first:
        message = choice.get("message") or choice.get("delta")
        if message and not isinstance(message, dict):
            message = {"content": message}
        if message:
            _parse_message(message, choice, assembly, dialect)
        native = word(choice.get("finish_reason")) or native
        stop = word(choice.get("stop_reason")) or stop
        failure = error_in({"error": choice.get("error")}) or failure
    if isinstance(reply.get("error"), dict) and native in (None, "", "error"):
        assembly.fail(parse_error_object(reply["error"], None))
    elif failure is not None:
        assembly.fail(failure)
    elif not first:
        assembly.fail(MalformedReply("the reply has no choice"))
    else:
        finish(assembly, native, stop)


def _created(reply: dict[str, Any]) -> Extra:
    return {"created": reply["created"]} if isinstance(reply.get("created"), int | float) else {}


def _parse_message(message: dict[str, Any], choice: dict[str, Any], assembly: Assembly, dialect: Dialect) -> None:
    thinking, _ = parse_reasoning(message, dialect.reasoning_field)
    if not thinking and (odd := odd_reasoning(message, (dialect.reasoning_field or "", *REASONING_FIELDS, DETAILS))):
        thinking = [Thinking(texts=[odd[1]], native=REASONING_FIELDS[0])]
    for part in thinking:
        assembly.whole(part)
    logprobs: list[Json] | None = objects(mapping(choice.get("logprobs")).get("content"))
    annotations = [parse_annotation(item) for item in objects(message.get("annotations"))]
    for part in _content(message.get("content"), dialect):
        if type(part) is Text:
            part.annotations, annotations = annotations or None, []
            part.logprobs, logprobs = logprobs or None, None
        assembly.whole(part)
    if refusal := shown(message.get("refusal")):
        assembly.whole(Refusal(text=refusal))
    for image in parse_images(message):
        assembly.whole(image)
    audio = mapping(message.get("audio"))
    if data := word(audio.get("data")):  # Snowflake always sends an empty object
        assembly.whole(Media(kind="audio", data=data, native="audio", extra=without(audio, "data")))
    for call in items(message.get("tool_calls")):
        item = tool_call(call)
        item.extra = {k: v for k, v in (item.extra or {}).items() if k != "index"} or None
        assembly.whole(item)
    legacy = mapping(message.get("function_call"))
    if name := shown(legacy.get("name")):
        arguments = arguments_text(legacy.get("arguments"))
        assembly.whole(ToolCall(name=name, arguments=arguments, native="function_call"))


def _content(content: Json, dialect: Dialect) -> list[Any]:
    parts = [part for part in reply_content(content) if type(part) is not Text or part.text]
    if dialect.think_tags and parts and type(parts[0]) is Text and (found := split_think_tags(parts[0].text)):
        thinking, rest = found
        parts[0] = Thinking(texts=[thinking], native=THINK_TAGS)
        if rest:
            parts.insert(1, Text(text=rest))
    return parts


def parse_images(message: dict[str, Any]) -> list[Media]:
    """Generated images (OpenRouter's `images`)."""
    images = [part for part in parse_content(items(message.get("images"))) if type(part) is Media]
    for image in images:
        image.native = "images"
    return images


def render_reply(reply: Reply) -> bytes:
    reason = reply.finish.reason if reply.finish else "stop"
    message = render_message(reply)
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "finish_reason": native_reason(
            reason,
            reply.finish.native if reply.finish else None,
            has_calls=bool(reply.tool_calls),
            refused=bool(reply.refusal),
        ),
    }
    logprobs = [item for part in reply.parts if type(part) is Text for item in part.logprobs or ()]
    if logprobs:
        choice["logprobs"] = {"content": logprobs}
    extra = dict(reply.extra or {})
    body = {
        "id": reply.id or "",
        "object": "chat.completion",
        "created": extra.pop("created", 0),
        "model": reply.model or "",
        "choices": [choice],
        **top_fields(reply.extra),
    }
    if reply.usage is not None:
        body["usage"] = render_usage(reply.usage)
    return msgspec.json.encode(body)


def top_fields(extra: Extra | None) -> Extra:
    """Fields of the reply, besides choices and usage, that Chat Completions has too."""
    return {name: value for name in ("service_tier", "system_fingerprint") if (value := word((extra or {}).get(name)))}


def native_reason(reason: FinishReason, native: str | None, *, has_calls: bool, refused: bool) -> str:
    """The finish reason for a client; the provider's own if the protocol has it.

    Clients that read `tool_calls` expect a call. A refusal in its own field is a complete reply: OpenAI's SDK raises at a
    content filter.
    """
    if reason == "tool_calls" and not has_calls:
        return "stop"
    if native in OWN and REASONS[native] == reason:
        return native
    return "stop" if reason == "refusal" and refused else _NATIVE.get(reason, reason)


def render_message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    content = [item for part in reply.parts if (item := _content_item(part)) is not None]
    if content and all(item["type"] == "text" and len(item) == 2 for item in content):
        message["content"] = "".join(item["text"] for item in content)
    elif content:
        message["content"] = content
    for part in reply.parts:
        id: str | None = None
        match part:
            case Thinking() if part.native not in ("thinking", "thinking="):
                add_thinking(message, part)
            case Refusal():
                message["refusal"] = message.get("refusal", "") + part.text
            case ToolCall(native="function_call"):
                message["function_call"] = {"name": part.name, "arguments": part.arguments}
            case ToolCall():
                calls = message.setdefault("tool_calls", [])
                id = part.id or made_id("call_", reply.id, len(calls))
                whole = part if part.arguments or part.format == "text" else replace(part, arguments="{}")
                calls.append(render_tool_call(whole, id, _is_ours(part)))
            case Media(native="audio"):
                message["audio"] = {"data": part.data, **(part.extra or {})}
            case Media():
                message.setdefault("images", []).append(render_media(part))
            case _:
                pass
        if has_state(part):
            details = message.setdefault(DETAILS, [])
            details.append(state_detail(part, id, len(details)))
        for annotation in part.annotations or ():
            if (item := render_annotation(annotation, reply.text)) is not None:
                message.setdefault("annotations", []).append(item)
    return message


def _content_item(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, UnknownPart) and _is_ours(part) and part.native != "tool_calls":
        raw = part.raw
        fits = isinstance(raw, dict) and isinstance(raw.get("type"), str) and raw["type"] != "text"
        return raw if fits else {"type": "text", "text": shown(raw)}
    return render_part(part) if isinstance(part, Thinking) and part.native in ("thinking", "thinking=") else None


def _is_ours(part: Part) -> bool:
    return part.origin is None or part.origin.protocol == NAME


def add_thinking(message: dict[str, Any], part: Thinking) -> None:
    """Add a thinking part to a message. The string repeats the details, as clients read one or the other."""
    field = part.native if part.native in REASONING_FIELDS and _is_ours(part) else REASONING_FIELDS[0]
    if not _is_ours(part):
        details = message.setdefault(DETAILS, [])
        details.append(foreign_detail(part, len(details)))
    elif part.native == DETAILS:
        message.setdefault(DETAILS, []).append(render_detail(part))
        field = "reasoning"
    elif part.native == BLOCKS:
        message.setdefault(BLOCKS, []).append(render_detail(part))
    if part.texts and (part.text or field == REASONING_FIELDS[0]):
        message[field] = message.get(field, "") + part.text


def foreign_detail(part: Thinking, index: int = 0, *, whole: bool = True) -> dict[str, Any]:
    """Thinking of another protocol as a detail, with its state in an envelope; a client of this protocol sends it back.
    `whole`: not a piece of a stream, whose envelope follows."""
    extra = {"type": "reasoning.text" if part.text else "reasoning.encrypted", "format": "modelbay", "index": index}
    opaque = seal(part) if whole else None
    return render_detail(Thinking(texts=[part.text] if part.text else [], opaque=opaque, native=DETAILS, extra=extra))


def has_state(part: AnyPart) -> bool:
    """Whether a part carries another provider's opaque state that its own field does not contain."""
    return part.opaque is not None and not _is_ours(part) and not isinstance(part, ServerToolCall | Thinking)


def state_detail(part: AnyPart, call_id: str | None, index: int) -> dict[str, Any]:
    """A part's state in an envelope, as a detail. `call_id` is the ID sent to the client.

    Each detail has its own index, as clients merge details with the same index and type.
    """
    item = {"type": "reasoning.encrypted", "data": seal(part, with_name=True), "format": "modelbay", "index": index}
    return item if call_id is None else item | {"id": call_id}
