"""Chat Completions messages: parsing and rendering turns."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Extra,
    Json,
    Media,
    Refusal,
    Role,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.dispositions import carried, refused
from modelbay.protocols.documents import plain_text, titled
from modelbay.protocols.ids import call_ids
from modelbay.protocols.media_types import file_name
from modelbay.protocols.opaque import Sealed, belongs, empty_text, restore, unseal
from modelbay.protocols.openai_chat.parts import (
    BLOCKS,
    DETAILS,
    NAME,
    REASONING_FIELDS,
    THINK_TAGS,
    parse_content,
    parse_reasoning,
    parse_tool_call,
    render_detail,
    render_part,
    render_tool_call,
)
from modelbay.protocols.preparation import BREAKPOINT
from modelbay.protocols.shapes import unknown, without

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
KNOWN_ROLES = frozenset((None, *_ROLES))
"""Values of `native` of a turn from a message."""
_MESSAGE = frozenset(("role", "name", "content"))
_RESULT = _MESSAGE | {"tool_call_id"}
_RARE = frozenset((Media, Refusal))
"""Parts of an assistant that are not only content."""


def parse_message(message: dict[str, Any]) -> Turn:
    wire_role = message.get("role", "user")
    role = _ROLES.get(wire_role, "user")
    turn = Turn(role, name=message.get("name"), native=wire_role if wire_role != role else None)
    known = _MESSAGE
    content = parse_content(message.get("content"))
    if role == "tool":
        known = _RESULT
        turn.parts = [ToolResult(call_id=message.get("tool_call_id"), parts=content, name=turn.name)]
        turn.name = None
    elif role == "assistant":
        known = known.union(_parse_assistant(message, content, turn))
    else:
        turn.parts = content
    turn.extra = unknown(message, known)
    return turn


def _parse_assistant(message: dict[str, Any], content: list[AnyPart], turn: Turn) -> list[str]:
    """Fill an assistant turn. Returns the names of the fields used."""
    thinking, known = parse_reasoning(message)
    turn.parts = [*thinking, *content]
    if isinstance(refusal := message.get("refusal"), str):
        turn.parts.append(Refusal(text=refusal))
        known.append("refusal")
    if isinstance(audio := message.get("audio"), dict):
        turn.parts.append(Media(kind="audio", file_id=audio.get("id"), native="audio", extra=without(audio, "id")))
        known.append("audio")
    if isinstance(calls := message.get("tool_calls"), list):
        turn.parts += [parse_tool_call(call) for call in calls]
        known.append("tool_calls")
    elif isinstance(call := message.get("function_call"), dict):
        arguments = call.get("arguments") or ""
        turn.parts.append(ToolCall(name=call.get("name") or "", arguments=arguments, native="function_call"))
        known.append("function_call")
    _unseal(turn.parts)
    return known


def _unseal(parts: list[AnyPart]) -> None:
    """Restore the state that a client kept for another provider in `reasoning_details`."""
    for part in list(parts):
        if type(part) is not Thinking or part.native != DETAILS or (found := unseal(part.opaque)) is None:
            continue
        origin, sealed = found
        if sealed.kind == "thinking":
            restore(part, origin, sealed)
            continue
        parts.remove(part)
        if (text := empty_text(origin, sealed)) is not None:
            last = max((place for place, other in enumerate(parts) if type(other) is Text), default=len(parts) - 1)
            parts.insert(last + 1, text)
            continue
        target = _owner(parts, sealed, (part.extra or {}).get("id"))
        if target is not None:
            restore(target, origin, sealed)


def _owner(parts: list[AnyPart], sealed: Sealed, call_id: Json) -> AnyPart | None:
    """The part that a state belongs to: a call by its ID, or by its name if the client replaced the ID."""
    if sealed.kind != "tool_call":
        return next((part for part in parts if type(part).__struct_config__.tag == sealed.kind), None)
    calls = [part for part in parts if type(part) is ToolCall and part.opaque is None]
    by_id = next((call for call in calls if call_id is not None and call.id == call_id), None)
    return by_id or next((call for call in calls if sealed.name in (None, call.name)), None)


class _Writer:
    """Writes the messages of one request."""

    def __init__(
        self,
        conversation: Conversation,
        model: Model,
        dialect: Dialect,
        report: list[Warned],
        answers: dict[int, ToolCall],
    ) -> None:
        self.same = conversation.protocol == NAME
        self.model = model
        self.dialect = dialect
        self.report = report
        self.ids = call_ids(conversation.turns, answers, dialect.tool_id, verbatim=self.same)
        self.messages: list[dict[str, Any]] = []
        self.held: list[dict[str, Any]] = []
        """Media of tool results and of the assistant, until a user message after the last result: only such a message may
        contain them."""

    def write(self, turn: Turn) -> None:
        others: list[AnyPart] = []
        for part in turn.parts:
            if type(part) is ToolResult:
                self._result(turn, part)
            else:
                others.append(part)
        if turn.parts and not others:
            return
        self.release()
        message = self._assistant(others) if turn.role == "assistant" else self._plain(turn, others)
        if message is None:
            return
        if turn.name is not None:
            message["name"] = turn.name
        self._push(message, turn)

    def _push(self, message: dict[str, Any], turn: Turn) -> None:
        if self.same and turn.extra:
            message |= turn.extra
        if not (self.dialect.merge_turns and self._merged(message)):
            self.messages.append(message)

    def _merged(self, message: dict[str, Any]) -> bool:
        """Whether a message was added to the one before it."""
        last = self.messages[-1] if self.messages else {}
        before, after = last.get("content"), message.get("content")
        if last.get("role") != message["role"] or message["role"] == "tool" or "tool_calls" in last:
            return False
        if not isinstance(before, str) or not isinstance(after, str):
            return False
        last["content"] = f"{before}\n\n{after}"
        return True

    def release(self) -> None:
        """Write the media that were held back."""
        if self.held:
            self.messages.append({"role": "user", "content": self.held})
            self.held = []

    def _hold(self, media: list[Media], lead: str) -> None:
        if items := [item for part in media if (item := self._media(part)) is not None]:
            self.held += [{"type": "text", "text": lead}, *items]

    def _plain(self, turn: Turn, parts: list[AnyPart]) -> dict[str, Any] | None:
        role = turn.role if turn.role != "tool" else "user"
        if role == "developer" and not self.dialect.developer_role:
            role = "system"
        message: dict[str, Any] = {"role": turn.native if self.same and turn.native else role}
        content = self._content(parts, "\n\n" if role in ("system", "developer") and not self.same else None)
        if content is not None:
            message["content"] = content
        elif not self.same:
            return None
        return message

    def _result(self, turn: Turn, result: ToolResult) -> None:
        legacy = turn.native == "function" and self.same
        message: dict[str, Any] = {"role": "function" if legacy else "tool"}
        if not legacy:
            message["tool_call_id"] = self.ids[id(result)]
        if result.name is not None and (self.same or legacy):
            message["name"] = result.name
        if result.is_error:
            carried("tool_result.is_error", NAME, self.report)
        if result.cache is not None and result.parts:  # a message has no cache control, only its last part
            last = result.parts[-1]
            result = replace(result, parts=[*result.parts[:-1], replace(last, cache=last.cache or result.cache)])
        media = [part for part in result.parts if type(part) is Media]
        if media and not (self.same or self.dialect.tool_result_media):
            texts = [part for part in result.parts if type(part) is not Media]
            message["content"] = self._content(texts, "\n") or "(see attached media)"
            self._hold(media, "Attached media from tool result:")
        else:
            content = self._content(result.parts, None if self.same or media else "\n")
            if content is not None or not self.same:
                message["content"] = content or ""
        self._push(message, turn)

    def _media(self, part: Media) -> dict[str, Any] | None:
        if not self.same:
            carried("file_id" if part.file_id is not None else part.kind, NAME, self.report)
            if (text := plain_text(part)) is not None:  # only PDF documents are accepted
                return {"type": "text", "text": titled(text, part.name)}
            if part.url is not None and part.kind in ("audio", "document"):
                raise refused(part.kind, NAME, "the file itself is required, not its URL")
            extra = {BREAKPOINT: part.extra[BREAKPOINT]} if part.extra and BREAKPOINT in part.extra else None
            part = replace(part, native=None, extra=extra)
            if part.kind == "document" and part.name is None:
                part = replace(part, name=file_name(part.media_type))  # OpenAI detects the file type by its name
        return self._item(part)

    def _content(self, parts: list[AnyPart], join: str | None) -> str | list[dict[str, Any]] | None:
        """A string if possible, else a list. `join` merges texts for servers that accept no list."""
        only = parts[0] if len(parts) == 1 else None
        if type(only) is Text and only.cache is None and not only.extra and not only.annotations:  # most messages
            return only.text if only.text or self.same else None
        parts = [part for part in parts if self._kept(part)]
        if not parts:
            return None
        texts = [part for part in parts if isinstance(part, Text) and (not self.same or not part.extra)]
        if len(texts) == len(parts):
            plain = self.dialect.text_only_content or not any(self._marked(part) for part in texts)
            joined = join is not None or self.dialect.text_only_content or len(texts) == 1
            if plain and joined:
                if any(part.cache is not None for part in texts):
                    carried("cache_marks", NAME, self.report)
                return (join or "\n\n").join(part.text for part in texts)
        items = []
        for part in parts:
            item = self._media(part) if type(part) is Media else self._item(part)
            if item is not None:
                items.append(item)
        return items or None

    def _kept(self, part: AnyPart) -> bool:
        """Whether a part can be written to `content`. Anything lost is reported."""
        if type(part) in (ServerToolCall, ServerToolResult):
            return carried("server_tool_parts", NAME, self.report, part.native)
        if self.same:
            return part.origin is None or type(part) is not Text or bool(part.text)
        if type(part) is UnknownPart:
            return carried("unknown_parts", NAME, self.report, part.native)
        if part.annotations:
            carried("annotations", NAME, self.report)
        return type(part) is not Text or bool(part.text)

    def _marked(self, part: AnyPart) -> bool:
        """Whether a text has fields that a plain string would lose."""
        return self._keeps_mark(part) or (self.dialect.cache_breakpoints and BREAKPOINT in (part.extra or {}))

    def _keeps_mark(self, part: AnyPart) -> bool:
        return part.cache is not None and (self.same or self.dialect.cache_marks)

    def _item(self, part: AnyPart) -> dict[str, Any] | None:
        """A content part, without fields of other protocols."""
        item = render_part(part if part.extra is None or self._mine(part) else replace(part, extra=None))
        if item is None:
            return None
        if self.dialect.cache_breakpoints and not self.same and BREAKPOINT in (part.extra or {}):
            item[BREAKPOINT] = part.extra[BREAKPOINT]  # type: ignore[index]
        if not self._keeps_mark(part) and item.pop("cache_control", None) is not None and BREAKPOINT not in item:
            carried("cache_marks", NAME, self.report)
        return item

    def _assistant(self, parts: list[AnyPart]) -> dict[str, Any] | None:
        """The message, or None if it would be empty: many backends reject empty messages."""
        message: dict[str, Any] = {"role": "assistant"}
        kinds = set(map(type, parts))
        if not self.same and not _RARE.isdisjoint(kinds):
            self._hold([part for part in parts if type(part) is Media], "Attached media from the assistant:")
            # few servers except OpenAI know the refusal field
            parts = [
                Text(text=part.text) if type(part) is Refusal else part for part in parts if type(part) is not Media
            ]
        fields, content, tags = self._split(parts)
        text = self._content(content, "")
        if tags:
            text = "".join(tags) + (text if isinstance(text, str) else "")
        calls = [part for part in parts if type(part) is ToolCall] if ToolCall in kinds else []
        if text is not None and not (calls and self.dialect.omit_empty_content and _blank(text)):
            message["content"] = text
        for part in () if _RARE.isdisjoint(kinds) else parts:
            if type(part) is Refusal and part.native is None:
                message["refusal"] = part.text
            elif type(part) is Media and part.native == "audio" and self.same:
                message["audio"] = {"id": part.file_id, **(part.extra or {})}
        message |= fields
        if calls and calls[0].native == "function_call" and self.same:
            message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
        elif calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        if "content" not in message and not calls and not self.same:
            if not fields:
                return None
            message["content"] = ""
        return message

    def _call(self, call: ToolCall) -> dict[str, Any]:
        mine = self.same if call.origin is None else belongs(call, NAME, self.dialect.vendor, self.model.family)
        written = self.ids[id(call)]
        if not call.arguments and call.format == "json" and not self.same:
            call = replace(call, arguments="{}")
        return render_tool_call(call, written, mine)

    def _split(self, parts: list[AnyPart]) -> tuple[Extra, list[AnyPart], list[str]]:
        """Collect reasoning fields, the contents, and thinking that is sent back as tags."""
        fields: Extra = {}
        content: list[AnyPart] = []
        tags: list[str] = []
        for part in parts:
            if type(part) is Thinking:
                if part.native in ("thinking", "thinking=") and self._mine(part):
                    content.append(part)
                else:
                    self._think(part, fields, tags)
            elif type(part) is ToolCall or (type(part) is Refusal and part.native is None):
                continue
            elif not (type(part) is Media and part.native == "audio" and self.same):
                content.append(part)
        if self.dialect.reasoning_echo == "always" and fields.keys().isdisjoint((*REASONING_FIELDS, DETAILS, BLOCKS)):
            fields[self.dialect.reasoning_field or REASONING_FIELDS[0]] = " "
        return fields, content, tags

    def _mine(self, part: AnyPart) -> bool:
        if part.origin is not None:
            return belongs(part, NAME, self.dialect.vendor, self.model.family)
        return self.same

    def _think(self, part: Thinking, fields: Extra, tags: list[str]) -> None:
        if self.dialect.reasoning_echo == "never":
            return
        if self._mine(part) and part.native in (DETAILS, BLOCKS):
            fields.setdefault(part.native, []).append(render_detail(part))
        elif part.text and (self.dialect.reasoning_echo == "tags" or (self._mine(part) and part.native == THINK_TAGS)):
            tags.append(f"<think>{part.text}</think>")
        elif self._mine(part) and part.native in (*REASONING_FIELDS, self.dialect.reasoning_field):
            name = part.native or REASONING_FIELDS[0]
            fields[name] = fields.get(name, "") + part.text
        elif self.dialect.reasoning_echo == "always" and part.text:
            name = self.dialect.reasoning_field or REASONING_FIELDS[0]
            fields[name] = fields.get(name, "") + part.text
        else:
            carried("thinking", NAME, self.report)


def _blank(content: str | list[dict[str, Any]]) -> bool:
    return not content.strip() if isinstance(content, str) else False


def _joined(turns: list[Turn]) -> Iterator[Turn]:
    """Merge consecutive assistant turns: several Responses items are one message here, and OpenAI rejects calls that
    are not followed directly by their results."""
    held: Turn | None = None
    for turn in turns:
        if held is not None and turn.role == "assistant":
            held.parts += turn.parts
            continue
        if held is not None:
            yield held
        held = Turn("assistant", list(turn.parts), name=turn.name) if turn.role == "assistant" else None
        if held is None:
            yield turn
    if held is not None:
        yield held


def render_messages(
    conversation: Conversation, model: Model, dialect: Dialect, report: list[Warned], answers: dict[int, ToolCall]
) -> list[dict[str, Any]]:
    writer = _Writer(conversation, model, dialect, report, answers)
    for turn in conversation.turns if writer.same else _joined(conversation.turns):
        writer.write(turn)
    writer.release()
    return writer.messages
