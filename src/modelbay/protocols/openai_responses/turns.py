"""Responses `instructions` and `input`: parsing and rendering turns."""

from typing import Any

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Json,
    Media,
    Refusal,
    ResponsesItem,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols import tool_search
from modelbay.protocols.dispositions import carried, dropped
from modelbay.protocols.documents import plain_text, titled
from modelbay.protocols.ids import call_ids
from modelbay.protocols.media_types import file_name
from modelbay.protocols.opaque import belongs, empty_text, restore, unseal
from modelbay.protocols.openai_responses.items import (
    EASY,
    FREEFORM_RESULT,
    MESSAGE,
    fields,
    is_content,
    item_of,
    keeps_item,
    kept_item,
    own,
    parse_item,
    render_call,
    render_image,
    render_reasoning,
    render_search_result,
)
from modelbay.protocols.openai_responses.parts import INPUT, NAME, OUTPUT, STRING, render_media, render_part
from modelbay.protocols.openai_responses.references import is_own, is_own_reasoning, is_reference
from modelbay.protocols.preparation import BREAKPOINT
from modelbay.protocols.shapes import mapping, objects

INSTRUCTIONS, WHOLE_INPUT = "instructions", "input"
"""The `native` of a turn from `instructions`, and of one that was the whole `input` as a string."""
_CALL_ID = r"[\s\S]{1,64}"
"""OpenAI's requirement for call IDs."""


def parse_input(given: Json) -> list[Turn]:
    if given is None:
        return []
    if isinstance(given, str):
        return [Turn("user", [Text(text=given, native=STRING)], native=WHOLE_INPUT)]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise Unsupported("`input` must be a string or a list of objects", setting="input")
    return _unseal([parse_item(item) for message in given for item in _items_of(message)])


def _items_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The items for a message in the form of Chat Completions, whose calls and results are messages; others unchanged."""
    if message.get("role") == "tool":
        result = {"call_id": message.get("tool_call_id"), "output": message.get("content")}
        return [{"type": "function_call_output", **result}]
    if not isinstance(calls := message.get("tool_calls"), list):
        return [message]
    rest = {name: value for name, value in message.items() if name != "tool_calls"}
    found = [rest] if rest.get("content") else []
    for call in objects(calls):
        function = mapping(call.get("function"))
        found.append({"type": "function_call", "call_id": call.get("id"), **function})
    return found


def _unseal(turns: list[Turn]) -> list[Turn]:
    """Restore the state that a client kept for another provider in `encrypted_content`.

    Thinking carries its own state; the state of a text follows it, that of other parts precedes them.
    """
    kept: list[Turn] = []
    waiting: list[tuple[Any, Any]] = []
    for turn in turns:
        first = turn.parts[0] if turn.parts else None
        found = unseal(first.opaque) if isinstance(first, Thinking) else None
        if found is not None and isinstance(first, Thinking):
            origin, sealed = found
            if sealed.kind == "thinking":
                restore(first, origin, sealed)
            else:
                texts = [part for part in (kept[-1].parts if kept else ()) if isinstance(part, Text)]
                if sealed.kind != "text":
                    waiting.append(found)
                elif (text := empty_text(origin, sealed)) is not None:
                    kept.append(Turn("assistant", [text]))
                elif texts:
                    restore(texts[-1], origin, sealed)
                continue
        elif first is not None:
            for origin, sealed in waiting:
                if type(first).__struct_config__.tag == sealed.kind:
                    restore(first, origin, sealed)
            waiting = []
        kept.append(turn)
    return kept


def render_input(
    conversation: Conversation, model: Model, dialect: Dialect, report: list[Warned], answers: dict[int, ToolCall]
) -> tuple[str | None, str | list[dict[str, Any]]]:
    """Render `instructions` and `input`."""
    writer = _Writer(conversation, model, dialect, report, answers)
    for turn in conversation.turns:
        writer.write(turn)
    writer.release()
    instructions = "\n\n".join(writer.instructions) if writer.instructions else None
    turns = [turn for turn in conversation.turns if turn.native != INSTRUCTIONS]
    if not writer.same and not writer.items and instructions:  # there must be a message to answer
        return None, [{"role": "user", "content": instructions}]
    if writer.same and len(turns) == 1 and turns[0].native == WHOLE_INPUT:
        return instructions, writer.items[0]["content"]
    return instructions, writer.items


class _Writer:
    """Writes the items of one request."""

    def __init__(
        self,
        conversation: Conversation,
        model: Model,
        dialect: Dialect,
        report: list[Warned],
        answers: dict[int, ToolCall],
    ) -> None:
        self.same = conversation.protocol == NAME
        self.stored = self.same and conversation.settings.extra.get("store") is not False
        self.lost_thinking = False
        """Whether reasoning of the provider was left out. It knows by the ID of an item that reasoning belongs before it."""
        self.model = model
        self.dialect = dialect
        self.report = report
        self.ids = call_ids(
            conversation.turns, answers, dialect.tool_id or (None if self.same else _CALL_ID), verbatim=self.same
        )
        self.freeform = {
            self.ids[id(part)]
            for turn in conversation.turns
            for part in turn.parts
            if isinstance(part, ToolCall) and part.format == "text"
        }
        self.instructions: list[str] = []
        self.items: list[dict[str, Any]] = []
        self.held: list[dict[str, Any]] = []
        """Media created by an assistant. Its own messages cannot contain them, so the next user message does."""

    def write(self, turn: Turn) -> None:
        if is_reference(turn) and is_own_reasoning(turn.parts[0].item_id):
            carried("thinking", NAME, self.report)
            return
        if self._is_instructions(turn):
            self.instructions += [part.text for part in turn.parts if isinstance(part, Text)]
            return
        if turn.name is not None and not self.same:
            carried("name", NAME, self.report)
        if self.same and turn.native in (MESSAGE, EASY, WHOLE_INPUT):
            self._message(turn, turn.parts)
            return
        run: list[AnyPart] = []
        for part in turn.parts:
            if not self._is_content(turn, part):
                if run:
                    self._flush(turn, run)
                    run = []
                self._item(turn, part)
            else:
                if run and run[-1].item_id != part.item_id:
                    self._flush(turn, run)
                    run = []
                run.append(part)
        if run:
            self._flush(turn, run)
        if not self.same:
            self._drop_dangling()

    def _is_instructions(self, turn: Turn) -> bool:
        if self.same:
            return turn.native == INSTRUCTIONS
        leading = turn.role == "system" and not self.items
        return leading and all(isinstance(part, Text) for part in turn.parts)

    def _is_content(self, turn: Turn, part: AnyPart) -> bool:
        if type(part) is Media:
            return turn.role != "assistant"
        return is_content(part) or (type(part) is UnknownPart and not self._mine(part))

    def _mine(self, part: AnyPart) -> bool:
        if part.origin is not None:
            return belongs(part, NAME, self.dialect.vendor, self.model.family)
        return self.same

    def _drop_dangling(self) -> None:
        """Drop reasoning at the end: OpenAI rejects reasoning that is not followed by anything."""
        while self.items and self.items[-1].get("type") == "reasoning":
            self.items.pop()
            self.report.append(dropped("thinking", NAME, "nothing follows it"))

    def release(self) -> None:
        """Write the media of an earlier assistant turn."""
        if self.held:
            lead = {"type": INPUT, "text": "Attached media from the assistant:"}
            self.items.append({"role": "user", "content": [lead, *self.held]})
            self.held = []

    # --- messages ---

    def _flush(self, turn: Turn, parts: list[AnyPart]) -> None:
        if not self.same or any(part.origin is not None for part in parts):
            parts = [part for part in parts if not isinstance(part, Text) or part.text]
        if parts:
            self._message(turn, parts)

    def _message(self, turn: Turn, parts: list[AnyPart]) -> None:
        role = turn.role if turn.role != "tool" else "user"
        if role != "assistant":
            self.release()
        if role == "developer" and not self.dialect.developer_role:
            role = "system"
        content = self._content(turn, parts, OUTPUT if role == "assistant" else INPUT)
        if not content and not self.same:
            return
        # an assistant's message is an output item, which servers recognize by its type
        typed = turn.native == MESSAGE or (role == "assistant" and turn.native is None)
        message: dict[str, Any] = {"type": "message"} if typed else {}
        message |= {"role": role, "content": content, **self._beside(turn, parts[0] if parts else None)}
        if self.same:
            message |= turn.extra or {}
        self.items.append(message)

    def _beside(self, turn: Turn, part: AnyPart | None) -> dict[str, Any]:
        """ID, status and phase. An ID is valid only if the provider stores its replies."""
        if self.same and turn.item is not None:
            item = turn.item
            return fields(
                ResponsesItem(None, item.status, item.phase) if is_own(item.id) or self.lost_thinking else item
            )
        if part is None or not self._mine(part):
            return {}
        item = item_of(part)
        return fields(item if self.stored else ResponsesItem(None, item.status, item.phase))

    def _content(self, turn: Turn, parts: list[AnyPart], usual: str) -> Json:
        """A string if the client wrote one, or if one is enough and every server accepts it; else a list."""
        first = parts[0] if parts else None
        if isinstance(first, UnknownPart) and first.native == "content" and self.same:
            return first.raw
        items = [item for part in parts if (item := self._part(part, usual)) is not None]
        plain = len(items) == 1 and items[0].keys() == {"type", "text"}
        if plain and isinstance(first, Text) and (first.native == STRING if self.same else usual == INPUT):
            return first.text
        return items

    def _part(self, part: AnyPart, usual: str) -> dict[str, Any] | None:
        if self.same:
            return render_part(part, usual)
        item = self._plain(part, usual)
        if item is not None and self.dialect.cache_breakpoints and BREAKPOINT in (part.extra or {}):
            item[BREAKPOINT] = part.extra[BREAKPOINT]  # type: ignore[index]
        elif part.cache is not None:
            carried("cache_marks", NAME, self.report)
        return item

    def _plain(self, part: AnyPart, usual: str) -> dict[str, Any] | None:
        """A content part without fields of other protocols."""
        match part:
            case Text() if self._mine(part):
                return render_part(part, usual)
            case Text():
                if part.annotations:
                    carried("annotations", NAME, self.report)
                return {"type": usual, "text": part.text}
            case Media():
                return self._media(part)
            case Refusal():
                return render_part(part, usual) if usual == OUTPUT else {"type": INPUT, "text": part.text}
            case UnknownPart() if self._mine(part):
                return render_part(part, usual)
            case _:
                carried("unknown_parts", NAME, self.report, part.native)
                return None

    def _media(self, part: Media) -> dict[str, Any]:
        carried("file_id" if part.file_id is not None else part.kind, NAME, self.report)
        if part.data is None and (text := plain_text(part)) is not None:
            return {"type": INPUT, "text": titled(text, part.name)}
        item = render_media(part)
        if "file_data" in item and part.name is None:  # OpenAI detects the file type by its name
            item["filename"] = file_name(part.media_type)
        return item

    # --- other items ---

    def _item(self, turn: Turn, part: AnyPart) -> None:
        item: dict[str, Any] | None = None
        if isinstance(part, ToolResult):
            item = self._result(turn, part)
        elif isinstance(part, ToolCall):
            item = render_call(part, self.ids[id(part)])
            if not self.same and part.format == "json" and part.native != tool_search.CALL:
                item["arguments"] = part.arguments or "{}"
            if self._mine(part):
                item |= own(part)
        elif isinstance(part, Thinking):
            item = self._thinking(part)
        elif isinstance(part, Media) and self._mine(part):
            item = render_image(part)
        elif isinstance(part, Media):
            self.held.append(self._media(part))
        elif keeps_item(part) and self._mine(part):
            item = kept_item(part)
        else:
            carried("server_tool_parts", NAME, self.report, part.native)
        if item is not None:
            if not keeps_item(part) and (beside := self._beside(turn, part)):
                item |= beside
            self.items.append(item)

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        # OpenAI looks a summary up by its ID if it has no state, and finds nothing if replies are not stored. Some agents
        # remove the ID, too
        unknown = not self.stored or not part.item_id
        lost = unknown and part.opaque is None and (part.summary or not part.texts)
        if lost or not self._mine(part):
            carried("thinking", NAME, self.report)
            self.lost_thinking |= bool(part.item_id) and self._mine(part)
            return None
        return render_reasoning(part)

    def _result(self, turn: Turn, result: ToolResult) -> dict[str, Any]:
        call_id = self.ids[id(result)]
        if result.native == tool_search.RESULT:
            return render_search_result(result, call_id)
        freeform = result.native == FREEFORM_RESULT if self.same else call_id in self.freeform
        freeform = freeform and self.dialect.freeform_tools
        if result.is_error:
            carried("tool_result.is_error", NAME, self.report)
        output = self._content(turn, result.parts, INPUT)
        if not self.same:
            output = output or ""
        kind = FREEFORM_RESULT if freeform else "function_call_output"
        item = {"type": kind, "call_id": call_id, "output": output}
        return item | own(result) if self._mine(result) else item
