"""Anthropic replies without streaming: parsing and rendering."""

from typing import Any

import msgspec

from modelbay.conversation import AnyPart, Json, Provenance, Refusal, Text, Thinking, ToolCall
from modelbay.dialect import Dialect
from modelbay.errors import MalformedReply
from modelbay.events import Event, Finished, FinishReason, Reply
from modelbay.json_text import decode
from modelbay.protocols.anthropic.errors import error_in
from modelbay.protocols.anthropic.parts import DETAILS, NAME, REDACTED, parse_block, render_block
from modelbay.protocols.anthropic.usage import parse_usage, render_usage
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import REASONS, finish
from modelbay.protocols.ids import made_id
from modelbay.protocols.opaque import seal
from modelbay.protocols.shapes import items, mapping, shown, without, word

OWN = (
    "end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "tool_use", "pause_turn", "compaction",
    "refusal",
)  # fmt: skip
"""The protocol's stop reasons. `end_turn` also ends a reply with calls that the provider's own code made."""
_NATIVE: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "max_tokens",  # no client treats it as a complete reply
}
TOP = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")


def parse_reply(body: bytes, dialect: Dialect, origin: Provenance | None = None) -> list[Event]:
    assembly = Assembly(origin)
    try:
        reply = decode(body)
    except MalformedReply as error:
        assembly.fail(unreadable(f"the reply is not JSON: {error}", body))
        return assembly.take()
    content = reply.get("content") if isinstance(reply, dict) and error_in(reply) is None else None
    if isinstance(reply, dict) and content is not None:
        assembly.start(word(reply.get("id")), word(reply.get("model")), without(reply, *TOP))
        for block in items(content):
            assembly.whole(reply_block(block))
        assembly.usage = parse_usage(reply.get("usage"))
        native = word(reply.get("stop_reason"))
        if (part := refusal(native, reply.get(DETAILS))) is not None:
            assembly.whole(part)
        extra = {DETAILS: reply[DETAILS]} if reply.get(DETAILS) else None
        finish(assembly, native, word(reply.get("stop_sequence")), extra, exact=OWN)
    else:
        no_content = "the reply has no `content`: is this the right URL for Anthropic Messages?"
        assembly.fail(error_in(reply) or MalformedReply(no_content))
    return assembly.take()


def refusal(stop_reason: str | None, details: Json) -> Refusal | None:
    """The provider's explanation of a refusal, if it gives one: clients of other protocols would show an empty reply."""
    text = word(mapping(details).get("explanation")) if stop_reason == "refusal" else None
    return Refusal(text=text, native=DETAILS) if text else None


def own_details(end: Finished) -> dict[str, Json]:
    """The details of a stop reason, for a client of this protocol."""
    return {DETAILS: end.extra[DETAILS]} if end.extra and DETAILS in end.extra else {}


def reply_block(block: Json) -> AnyPart:
    """The part of a block in a reply. Anything that is not a block becomes text."""
    return reply_part(parse_block(block)) if isinstance(block, dict) else Text(text=shown(block))


def reply_part(part: AnyPart) -> AnyPart:
    """A part of a reply. Empty signatures and citation lists are dropped."""
    if type(part) is Thinking and part.opaque == "":
        part.opaque = None
    if not part.annotations:
        part.annotations = None
    return part


def native_reason(end: Finished, has_calls: bool) -> str:
    """The stop reason for a client; the provider's own if the protocol has it.

    Clients that read `tool_use` expect a call.
    """
    if end.reason == "tool_calls" and not has_calls:
        return "end_turn"
    if end.native in OWN and REASONS[end.native] == end.reason:
        return end.native
    return "stop_sequence" if end.stop_sequence is not None and end.reason == "stop" else _NATIVE[end.reason]


def render_reply(reply: Reply) -> bytes:
    end = reply.finish or Finished("stop")
    content: list[dict[str, Any]] = []
    for part in reply.parts:
        content += [_with_id(block, reply.id, len(content) + n) for n, block in enumerate(reply_blocks(part))]
    for part in reversed(reply.parts):  # Claude Code prints nothing if the last block is not a text
        if type(part) is not Text:
            break
        if has_envelope(part):
            content.pop()
        if part.text:
            break
    body = {
        "id": reply.id or "",
        "type": "message",
        "role": "assistant",
        "model": reply.model or "",
        "content": content,
        "stop_reason": native_reason(end, any(block["type"] == "tool_use" for block in content)),
        "stop_sequence": end.stop_sequence,
        **own_details(end),
        "usage": render_usage(reply.usage),
    }
    return msgspec.json.encode(body)


def reply_blocks(part: AnyPart) -> list[dict[str, Any]]:
    """The blocks for one part: none if the protocol has none for it, two if its state needs its own."""
    ours = part.origin is None or part.origin.protocol == NAME
    match part:
        case Thinking() if not ours or part.native not in (None, REDACTED):
            return foreign_thinking(part)
        case Refusal() if part.native == DETAILS:
            return []
        case Refusal():
            return [{"type": "text", "text": part.text}]
        case Text(opaque=None, annotations=None) if not ours:  # most replies
            return [{"type": "text", "text": part.text}] if part.text else []
        case _ if not ours and not isinstance(part, Text | ToolCall):
            return []
    block = render_block(part if ours else _bare(part))
    if block is None or not isinstance(block.get("type"), str):  # damaged at its source, and no client can read it
        return []
    if block["type"] == "thinking":
        block.setdefault("signature", "")
    if ours:
        return [block]
    blocks = [] if isinstance(part, Text) and not part.text else [block]  # a part that has only state
    if not has_envelope(part):
        return blocks
    envelope = {"type": REDACTED, "data": seal(part)}
    return [envelope, *blocks] if isinstance(part, ToolCall) else [*blocks, envelope]


def has_envelope(part: AnyPart) -> bool:
    """Whether a part of another protocol has state, which needs a block of its own."""
    return part.origin is not None and part.origin.protocol != NAME and part.opaque is not None


def _with_id(block: dict[str, Any], reply: str | None, index: int) -> dict[str, Any]:
    """Give a call an ID if its provider sent none: clients refer to it."""
    if block["type"] == "tool_use" and not block.get("id"):
        block["id"] = made_id("toolu_", reply, index)
    return block


def _bare(part: AnyPart) -> AnyPart:
    """The part without unknown fields of another protocol."""
    return msgspec.structs.replace(part, extra=None, cache=None)


def foreign_thinking(part: Thinking) -> list[dict[str, Any]]:
    """Thinking of another protocol, in an envelope that clients keep: the signature. Without one, many clients drop thinking,
    which its provider may require to be sent back."""
    signature = seal(part)
    if not part.text:
        return [{"type": REDACTED, "data": signature}]
    return [{"type": "thinking", "thinking": part.text, "signature": signature}]
