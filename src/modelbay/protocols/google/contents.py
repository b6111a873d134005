"""Gemini contents: parsing and rendering turns."""

from typing import Any

from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Conversation,
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
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.dispositions import carried, dropped
from modelbay.protocols.google.parts import (
    NAME,
    NO_SIGNATURE,
    SIGNATURE,
    opened,
    parse_part,
    render_call,
    render_part,
    render_response,
)
from modelbay.protocols.ids import call_ids
from modelbay.protocols.opaque import belongs, restore, unseal
from modelbay.protocols.shapes import unknown, without

SYSTEM = "systemInstruction"

_ROLES: dict[str, Role] = {
    "user": "user",
    "model": "assistant",
    "assistant": "assistant",
    "function": "tool",
    "tool": "tool",
    "system": "system",
}
KNOWN_ROLES = frozenset((None, "", *_ROLES))
"""Values of `native` of a turn from `contents`."""

_CONTENT = frozenset(("parts", "role"))

Item = dict[str, Any]


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_contents(value: Json) -> list[Turn]:
    """The turns of `contents`. A list on the wire, but SDK users also pass a string, a part or an object."""
    items = value if isinstance(value, list) else [value]
    turns: list[Turn] = []
    for item in items:
        if isinstance(item, str) or (isinstance(item, dict) and item and not item.keys() & {"parts", "role"}):
            turns.append(Turn("user", [parse_part(item)]))
        elif isinstance(item, dict):
            turns.append(_parse_content(item))
        else:
            raise Unsupported("`contents` must be a list of objects", setting="contents")
    empty = {id(turn) for turn in turns if not turn.parts}
    _open_envelopes(turns)
    return [turn for turn in turns if turn.parts or id(turn) in empty]


def parse_system(value: Json) -> Turn | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Turn("system", [Text(text=value)], native=SYSTEM)
    if not isinstance(value, dict):
        raise Unsupported(f"`{SYSTEM}` must be an object", setting=SYSTEM)
    turn = _parse_content(value if "parts" in value or "role" in value else {"parts": [value]})
    return Turn("system", turn.parts, native=SYSTEM, extra=without(value, "parts", "text"))


def _parse_content(content: Item) -> Turn:
    parts, wire_role = content.get("parts"), content.get("role")
    if isinstance(parts, (dict, str)):
        parts = [parts]
    if parts is not None and not isinstance(parts, list):
        raise Unsupported("the `parts` of `contents` must be lists", setting="contents")
    role = _ROLES.get(wire_role, "user") if isinstance(wire_role, str) else "user"
    native = None if wire_role in ("user", "model") else wire_role if isinstance(wire_role, str) else ""
    return Turn(role, [parse_part(part) for part in parts or ()], native=native, extra=unknown(content, _CONTENT))


def _open_envelopes(turns: list[Turn]) -> None:
    """Restore the state that a client kept for another provider in its signatures."""
    for number, turn in enumerate(turns):
        for part in list(turn.parts):
            if not part.opaque or (found := unseal(opened(part.opaque))) is None:
                continue
            origin, sealed = found
            if sealed.kind != "thinking" or type(part) is Thinking:
                restore(part, origin, sealed)
                if sealed.texts is not None:
                    _drop_fragments(turns[: number + 1], part)
                continue
            # a call carries the thinking before it, for clients that keep calls but drop thoughts (Gemini CLI)
            part.opaque = None
            thinking = Thinking()
            restore(thinking, origin, sealed)
            if not any(_same_state(other, thinking) for earlier in _step(turns, number) for other in earlier.parts):
                turn.parts.insert(_place(turn.parts, part), thinking)


def _place(parts: list[AnyPart], part: AnyPart) -> int:
    """The place of the thinking that a call carries: before the call, and before a text at the beginning of the reply. Models think
    first, and Anthropic refuses a reply with calls that begins with a text."""
    index = next(index for index, other in enumerate(parts) if other is part)
    return 0 if all(type(other) is Text and other.opaque is None for other in parts[:index]) else index


def _step(turns: list[Turn], number: int) -> list[Turn]:
    """The model's turns up to one of them, from the last turn of the user. Later steps may repeat the same thoughts."""
    start = number
    while start > 0 and turns[start - 1].role == "assistant":
        start -= 1
    return turns[start : number + 1]


def _same_state(one: AnyPart, other: Thinking) -> bool:
    same = type(one) is Thinking and one.opaque == other.opaque and one.origin == other.origin
    return same and (other.opaque is not None or one.text == other.text)  # type: ignore[union-attr]


def _drop_fragments(turns: list[Turn], whole: AnyPart) -> None:
    """Remove the pieces of a streamed thinking part: the envelope at its end contains all of it.

    python-genai's chat stores a content for each chunk of a stream.
    """
    rest = whole.text if type(whole) is Thinking else ""
    for turn in reversed(turns):
        if turn.role != "assistant" or not rest:
            return
        before = turn.parts if turn is not turns[-1] else turn.parts[: _place(turn.parts, whole)]
        for part in reversed(before):
            text = part.text if type(part) is Thinking and part.opaque is None else ""
            if not text or not rest.endswith(text):
                return
            rest = rest.removesuffix(text)
            del turn.parts[_place(turn.parts, part)]


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_contents(
    conversation: Conversation, model: Model, dialect: Dialect, report: list[Warned], answers: dict[int, ToolCall]
) -> tuple[Item | None, list[Item]]:
    """Render `systemInstruction` and `contents`."""
    if conversation.protocol == NAME:
        verbatim = _Verbatim(model, dialect, report)
        turns = conversation.turns if dialect.call_ids else _in_order(conversation.turns, answers)
        system, contents = verbatim.write(turns, answers)
    else:
        writer = _Writer(conversation, model, dialect, report, answers)
        for turn in conversation.turns:
            writer.write(turn)
        system, contents = writer.close()
    if not dialect.call_ids:
        for part in [part for content in contents for part in content["parts"]]:
            for kind in ("functionCall", "functionResponse"):
                if kind in part:
                    part[kind].pop("id", None)
    return system, contents


def _in_order(turns: list[Turn], answers: dict[int, ToolCall]) -> list[Turn]:
    """The turns with results in the order of their calls, as they are matched by order without IDs."""
    calls = [part for turn in turns for part in turn.parts if type(part) is ToolCall]
    place = {id(call): index for index, call in enumerate(calls)}
    ordered = []
    for turn in turns:
        results = [part for part in turn.parts if type(part) is ToolResult]
        waiting = iter(sorted(results, key=lambda result: place.get(id(answers.get(id(result))), len(place))))
        parts = [next(waiting) if type(part) is ToolResult else part for part in turn.parts]
        ordered.append(replace(turn, parts=parts))
    return ordered


class _Parts:
    """Writes parts, with their state if the target created it."""

    def __init__(self, model: Model, dialect: Dialect, report: list[Warned], same: bool) -> None:
        self.model = model
        self.dialect = dialect
        self.report = report
        self.same = same

    def mine(self, part: AnyPart) -> bool:
        if part.origin is None:
            return self.same
        return belongs(part, NAME, self.dialect.vendor, self.model.family)

    def part(self, part: AnyPart) -> Item | None:
        mine = self.mine(part)
        if not mine and not self._portable(part):
            return None
        return render_part(part, mine)

    def _portable(self, part: AnyPart) -> bool:
        """Whether a part of another protocol is written. Reports those that are not."""
        match part:
            case Thinking():
                return carried("thinking", NAME, self.report)
            case ServerToolCall() | ServerToolResult():
                return carried("server_tool_parts", NAME, self.report, part.native)
            case UnknownPart():
                return carried("unknown_parts", NAME, self.report, part.native)
            case Media():
                self._check_media(part)
            case _:
                pass
        if part.cache is not None:
            carried("cache_marks", NAME, self.report)
        if part.annotations:
            carried("annotations", NAME, self.report)
        return not isinstance(part, Text | Refusal) or bool(part.text)

    def _check_media(self, media: Media) -> None:
        carried("file_id" if media.file_id is not None else media.kind, NAME, self.report)
        if media.detail not in (None, "auto") and not any(warning.setting == "detail" for warning in self.report):
            self.report.append(dropped("detail", NAME))
        if media.url is not None and not self.dialect.media_by_url:
            raise Unsupported(
                f"the {media.kind} at {media.url[:200]} must be sent as bytes",
                setting=media.kind,
                hint="download it first: this endpoint accepts no URLs",
            )


class _Verbatim:
    """Writes a conversation that came over Gemini's own protocol, content by content and unchanged."""

    def __init__(self, model: Model, dialect: Dialect, report: list[Warned]) -> None:
        self.parts = _Parts(model, dialect, report, same=True)
        self.needed = model.can("call_signatures")

    def write(self, turns: list[Turn], answers: dict[int, ToolCall]) -> tuple[Item | None, list[Item]]:
        system: Item | None = None
        contents: list[Item] = []
        for turn in turns:
            named = [_named(part, answers.get(id(part))) if type(part) is ToolResult else part for part in turn.parts]
            parts = [item for part in named if (item := self.parts.part(part)) is not None]
            if turn.parts and not parts:
                continue
            content = {"parts": parts, **(turn.extra or {})}
            if turn.native == SYSTEM:
                system = content
                continue
            if turn.native != "":
                content["role"] = turn.native or ("model" if turn.role == "assistant" else "user")
            if any(type(part) is ToolCall and self._wants_signature(part) for part in turn.parts):
                sign_first_call(parts)
            contents.append(content)
        return system, contents

    def _wants_signature(self, call: ToolCall) -> bool:
        """A call that came over this protocol without its signature is changed only for a model known to reject it: the
        client lost the signature, or the model sent none."""
        return self.needed is True or (self.needed is None and call.origin is not None)


def _named(result: ToolResult, call: ToolCall | None) -> ToolResult:
    """A result added by a program has only the call's ID, but Gemini requires the name."""
    return result if call is None or result.name is not None else replace(result, name=call.name)


def sign_first_call(parts: list[Item]) -> None:
    """Gemini 3 requires a signature on the first call of each step; calls of other models get the documented
    placeholder."""
    for part in parts:
        if "functionCall" in part:
            part.setdefault(SIGNATURE, NO_SIGNATURE)
            return


class _Writer:
    """Writes any other conversation by Gemini's rules: user and model alternate, and the results of all calls of a
    model's turn come first in the next user turn, complete and in the same order."""

    def __init__(
        self,
        conversation: Conversation,
        model: Model,
        dialect: Dialect,
        report: list[Warned],
        answers: dict[int, ToolCall],
    ) -> None:
        self.parts = _Parts(model, dialect, report, same=False)
        self.report = report
        self.dialect = dialect
        self.sign = model.can("call_signatures") is not False
        self.ids = call_ids(conversation.turns, answers, dialect.tool_id)
        self.names = {
            self.ids[id(part)]: part.name
            for turn in conversation.turns
            for part in turn.parts
            if type(part) is ToolCall
        }
        self.system: list[Item] = []
        self.contents: list[Item] = []
        self.calls: dict[str, str] = {}
        """Names of the calls that the next user content answers, by ID."""
        self.answers: list[tuple[str, Item]] = []
        """The results of these calls, with the calls' IDs."""
        self.user: list[Item] = []
        """Other content of the next user content."""

    def write(self, turn: Turn) -> None:
        if turn.name is not None:
            carried("name", NAME, self.report)
        if turn.role == "assistant":
            self._model(turn)
        elif turn.role in ("system", "developer"):
            self._system(turn)
        else:
            for part in turn.parts:
                if type(part) is ToolResult:
                    self._answer(part)
                elif (item := self.parts.part(part)) is not None:
                    self.user.append(item)

    def _system(self, turn: Turn) -> None:
        texts = [item["text"] for part in turn.parts if (item := self.parts.part(part)) is not None and "text" in item]
        if self.contents or self.user or self.answers:  # there is only one instruction, before everything else
            self.user += [{"text": f"<system>\n{text}\n</system>"} for text in texts]
        else:
            self.system += [{"text": text} for text in texts]

    def _model(self, turn: Turn) -> None:
        self._flush()
        parts: list[Item] = []
        for part in turn.parts:
            if type(part) is ToolCall:
                parts.append(self._call(part))
            elif (item := self.parts.part(part)) is not None:
                parts.append(item)
        if not parts:
            return
        self._push("model", parts)

    def _push(self, role: str, parts: list[Item]) -> None:
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _call(self, call: ToolCall) -> Item:
        written_id = self.ids[id(call)]
        self.calls[written_id] = call.name
        mine = self.parts.mine(call)
        item = render_part(replace(call, id=written_id), True) if mine else None
        item = item or {"functionCall": render_call(call, written_id, False)}
        if "_raw" in item["functionCall"].get("args", {}) and call.format == "json":
            self.report.append(
                Warned(f"the arguments of the call of `{call.name}` are not a JSON object: sent as `_raw`")
            )
        return item

    def _answer(self, result: ToolResult) -> None:
        written_id = self.ids[id(result)]
        # IDs may repeat in later turns (some servers count from zero): the open call has the right name
        name = self.calls.get(written_id) or result.name or self.names.get(written_id) or "unknown"
        mine = self.parts.mine(result)
        item = {"functionResponse": render_response(result, written_id, name, mine)}
        others = [] if mine else self._others(result)
        if others and self.dialect.tool_result_media:
            item["functionResponse"]["parts"] = [part for part in others if "text" not in part]
            others = [part for part in others if "text" in part]
        self.answers.append((written_id, item))
        self.user += others

    def _others(self, result: ToolResult) -> list[Item]:
        """A result's parts other than its texts."""
        parts = [part for part in result.parts if not isinstance(part, Text | Refusal)]
        return [item for part in parts if (item := self.parts.part(part)) is not None]

    def _flush(self) -> None:
        """Write the user's content, with its results in the order of the calls."""
        if not self.answers and not self.user:
            return
        if len(self.answers) > 1:
            place = {call_id: index for index, call_id in enumerate(self.calls)}
            self.answers.sort(key=lambda answer: place.get(answer[0], len(place)))
        self._push("user", [*[item for _, item in self.answers], *self.user])
        self.calls, self.answers, self.user = {}, [], []

    def close(self) -> tuple[Item | None, list[Item]]:
        self._flush()
        if not self.contents and self.system:  # Gemini requires a message to answer
            self.contents, self.system = [{"role": "user", "parts": self.system}], []
        for content in self.contents:
            if self.sign and content["role"] == "model":
                sign_first_call(content["parts"])
        return {"parts": self.system} if self.system else None, self.contents
