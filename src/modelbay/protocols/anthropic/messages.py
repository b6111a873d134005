"""Anthropic messages: parsing and rendering turns."""

from collections.abc import Iterable
from typing import Any

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Json,
    Media,
    Part,
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
from modelbay.protocols.anthropic.parts import (
    DETAILS,
    NAME,
    REDACTED,
    TOOL_ID,
    as_text_document,
    is_raw,
    parse_content,
    render_block,
    render_content,
)
from modelbay.protocols.dispositions import carried
from modelbay.protocols.ids import call_ids
from modelbay.protocols.opaque import belongs, empty_text, restore, unseal
from modelbay.protocols.shapes import unknown

SYSTEM = "system"
"""The `native` of a turn from the top-level `system`."""
_MESSAGE = frozenset(("role", "content"))
_BEGIN = "(The assistant begins.)"
"""The first user message of a conversation that begins with one of the assistant."""
_ROLES: dict[str, Role] = {role: role for role in ("user", "assistant", "system", "developer")}


def parse_system(system: Json) -> list[Turn]:
    return [] if not system else [Turn("system", parse_content(system), native=SYSTEM)]


def parse_message(message: dict[str, Any]) -> Turn:
    role = str(message.get("role", "user"))
    parts = parse_content(message.get("content"))
    turn = Turn(_ROLES.get(role, "user"), parts, extra=unknown(message, _MESSAGE))
    if turn.role != role:
        turn.native = role
    if role == "assistant":
        _unseal(parts)
    return turn


def _unseal(parts: list[AnyPart]) -> None:
    """Restore the state that a client kept for another provider in signatures and redacted blocks."""
    for part in list(parts):
        if type(part) is not Thinking or (found := unseal(part.opaque)) is None:
            continue
        origin, sealed = found
        if sealed.kind == "thinking":
            restore(part, origin, sealed)
            continue
        index = next(place for place, other in enumerate(parts) if other is part)
        if (text := empty_text(origin, sealed)) is not None:
            parts[index] = text
            continue
        del parts[index]
        # the state of a call precedes it, that of a text follows it
        index -= sealed.kind == "text"
        if 0 <= index < len(parts):
            restore(parts[index], origin, sealed)


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
        self.ids = call_ids(
            conversation.turns, answers, dialect.tool_id or (None if self.same else TOOL_ID), verbatim=self.same
        )
        self.system: list[AnyPart] = []
        self.messages: list[dict[str, Any]] = []

    def write(self, turn: Turn) -> None:
        if turn.role in ("system", "developer"):
            self._system(turn)
            return
        role = "assistant" if turn.role == "assistant" else "user"
        if self.same and turn.native is not None:
            role = turn.native
        if self.same:
            # a single plain text is written as a string, as by most clients
            content = render_content(turn.parts) if self._is_text(turn) else self._blocks(turn.parts)
            self.messages.append({"role": role, "content": content, **(turn.extra or {})})
            return
        if turn.name is not None:
            carried("name", NAME, self.report)
        # media created by an assistant are allowed in user messages only
        made = [part for part in turn.parts if type(part) is Media] if role == "assistant" else []
        if blocks := self._blocks([part for part in turn.parts if part not in made] if made else turn.parts):
            self._append(role, blocks)
        if made and (attached := self._blocks(made)):
            self._append("user", [{"type": "text", "text": "Attached media from the assistant:"}, *attached])

    def _is_text(self, turn: Turn) -> bool:
        return len(turn.parts) == 1 and type(turn.parts[0]) is Text

    def _system(self, turn: Turn) -> None:
        leading = not self.messages
        if self.same and turn.native == SYSTEM:
            self.system += turn.parts
        elif leading and not self.same:
            self.system += self._texts(turn)
        elif self.same:
            content = render_content(turn.parts)
            self.messages.append({"role": turn.native or "system", "content": content, **(turn.extra or {})})
        else:
            # only the newest models accept a system message here; its position matters more than its role
            text = "".join(part.text for part in self._texts(turn))
            if text:
                self._append("user", [{"type": "text", "text": f"<system>\n{text}\n</system>"}])

    def _texts(self, turn: Turn) -> list[Text]:
        """The system prompt of another protocol; blocks other than text are rejected there."""
        texts: list[Text] = []
        for part in turn.parts:
            if isinstance(part, Text | Refusal):
                if part.annotations:
                    carried("annotations", NAME, self.report)
                texts += [Text(text=part.text, cache=part.cache)] if part.text.strip() else []
            else:
                carried("unknown_parts", NAME, self.report, part.native)
        return texts

    def _append(self, role: str, blocks: list[dict[str, Any]]) -> None:
        """Join consecutive turns into one message: all results of a step must be in the next message, before other
        content. Items of other protocols are joined too."""
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        self.messages[-1]["content"] += blocks

    def close(self) -> None:
        """Move the results to the beginning of each complete message."""
        for message in self.messages if not self.same else ():
            if message["role"] == "user" and len(message["content"]) > 1:
                message["content"].sort(key=lambda block: block["type"] != "tool_result")

    def _blocks(self, parts: Iterable[AnyPart]) -> list[dict[str, Any]]:
        return [block for part in parts if (block := self._block(part)) is not None]

    def _block(self, part: AnyPart) -> dict[str, Any] | None:
        if self.same and part.origin is None:
            return render_block(part, self.ids.get(id(part)) if isinstance(part, ToolCall | ToolResult) else None)
        match part:
            case Text():  # Anthropic rejects white space alone
                return render_block(self._plain(part)) if part.text.strip() else None
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Thinking():
                return self._thinking(part)
            case Refusal() if part.native == DETAILS and self._mine(part):
                return None
            case Refusal():
                return {"type": "text", "text": part.text} if part.text.strip() else None
            case Media():
                return self._media(part)
            case ServerToolCall() | ServerToolResult() if not self._mine(part):
                carried("server_tool_parts", NAME, self.report, part.native)
                return None
            case UnknownPart() if not self._mine(part):
                carried("unknown_parts", NAME, self.report, part.native)
                return None
            case _:
                return render_block(part)

    def _mine(self, part: Part) -> bool:
        """Whether the part was created by this target, so that its state and its vendor's own blocks may be sent back."""
        return part.origin is not None and belongs(part, NAME, self.dialect.vendor, self.model.family)  # type: ignore[arg-type]

    def _plain(self, part: Text | ToolCall) -> Text | ToolCall:
        """A text or call without fields of other protocols; cache control belongs to this protocol."""
        if (not part.extra and not part.annotations) or self._mine(part):
            return part
        if part.annotations:
            carried("annotations", NAME, self.report)
        if isinstance(part, Text):
            return Text(text=part.text, cache=part.cache)
        return ToolCall(name=part.name, arguments=part.arguments, format=part.format, cache=part.cache)

    def _call(self, part: ToolCall) -> dict[str, Any] | None:
        block = render_block(self._plain(part), self.ids[id(part)])
        if block is not None and is_raw(block["input"]):
            self.report.append(
                Warned(f"the arguments of the call of `{part.name}` are not a JSON object: sent as `_raw`")
            )
        return block

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        """Thinking is sent back to its origin with its signature. Unsigned or foreign thinking would cause a 400."""
        if self._mine(part) and (part.opaque is not None or part.origin.vendor):  # type: ignore[union-attr]
            block = render_block(part)
            if block is not None and part.native != REDACTED:
                block.setdefault("signature", "")
            return block
        carried("thinking", NAME, self.report)
        return None

    def _result(self, part: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self.ids[id(part)]}
        inner = self._blocks(part.parts)
        if len(inner) == 1 and inner[0].keys() == {"type", "text"}:
            block["content"] = inner[0]["text"]
        elif inner:
            block["content"] = inner
        if part.is_error is not None:
            block["is_error"] = part.is_error
        if part.cache is not None:
            block["cache_control"] = part.cache
        return block

    def _media(self, part: Media) -> dict[str, Any] | None:
        if not self.same:
            carried("file_id" if part.file_id is not None else part.kind, NAME, self.report)
        plain = Media(
            kind=part.kind,
            url=part.url,
            data=part.data,
            file_id=part.file_id,
            text=part.text,
            parts=part.parts,
            media_type=part.media_type,
            name=part.name,
            cache=part.cache,
        )
        return render_block(as_text_document(plain))


def render_messages(
    conversation: Conversation, model: Model, dialect: Dialect, report: list[Warned], answers: dict[int, ToolCall]
) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
    """Render the top-level `system` and `messages`."""
    writer = _Writer(conversation, model, dialect, report, answers)
    for turn in conversation.turns:
        writer.write(turn)
    writer.close()
    if not writer.same and not writer.messages and writer.system:  # there must be a message to answer
        writer.messages = [{"role": "user", "content": [render_block(part) for part in writer.system]}]
        writer.system = []
    if not writer.same and writer.messages and writer.messages[0]["role"] == "assistant":
        # 400 "first message must use the "user" role"; other protocols may begin with a greeting of the assistant
        writer.messages.insert(0, {"role": "user", "content": [{"type": "text", "text": _BEGIN}]})
    if not writer.same and writer.messages and writer.messages[-1]["role"] == "assistant":
        # a trailing assistant message is continued, and must not end with white space
        for block in writer.messages[-1]["content"][-1:]:
            if block["type"] == "text":
                block["text"] = block["text"].rstrip()
    return render_content(writer.system), writer.messages
