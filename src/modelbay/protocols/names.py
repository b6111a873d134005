"""Names of tools as a target accepts them.

OpenAI accepts 64 characters, Anthropic 128, Gemini also dots and colons. Only Responses groups tools in namespaces. A
tool with an invalid name is sent under another one, which is derived from the name alone, so that later requests
contain the same bytes. Freeform tools become functions if the target has none. Tool calls in the reply get their original
name, namespace and text back.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from operator import is_
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Settings, Tool, ToolCall, ToolChoice, ToolResult, Turn
from modelbay.events import Event, PartDelta, PartEnded, PartStarted
from modelbay.protocols import freeform, tool_search
from modelbay.protocols.freeform import CallText
from modelbay.protocols.survey import Survey

DEFAULT_NAMESPACE = "functions"
"""The namespace that OpenAI's models use for tools without one; its tools keep their plain names."""
_SEPARATOR = "__"
_NAMED = ("function", "freeform", "search")
"""The kinds of tools that are called by name."""
_LENGTH = 64
"""Maximum length of a derived name; every target accepts it."""


_REMAINS = re.compile(r"<\|.*|:\d+$|\s+", re.DOTALL)
"""Tokens after a name (`look<|channel|>commentary` of gpt-oss), and its number (`look:0` of Kimi)."""
_WRAPPER = re.compile(r"(functions?|tools?|default|default_api)[./:]")
"""Namespaces that models write before a name, although the tool has none."""


class ToolName(Struct, frozen=True):
    """A tool as the client names it."""

    name: str
    namespace: str | None = None
    kind: Literal["function", "freeform", "search"] = "function"
    """The tool's kind for the client, if the target gets a function."""
    native: str | None = None
    """The `native` of the tool's calls for the client."""


def sent_names(
    conversation: Conversation, pattern: str, seen: Survey, *, namespaces: bool = False, freeform: bool = False
) -> tuple[Conversation, dict[str, ToolName]]:
    """The conversation with all tool names matching the whole pattern, and the original of each changed name.

    `seen` is the survey of its turns. `namespaces` and `freeform`: whether the target supports such tools, which are
    then not changed. If all names match, the conversation itself is returned.
    """
    settings = conversation.settings
    if _all_fit(settings, pattern, seen) and (freeform or not seen.texts) and (namespaces or not seen.searches):
        return conversation, {}
    namespaces = namespaces and (freeform or not _has_freeform_inside(conversation))
    tools = list(_offered(conversation, namespaces))
    names = _Names(tools, pattern, namespaces, freeform)
    turns = [names.turn(turn) for turn in conversation.turns if namespaces or turn.tools is None or _is_result(turn)]
    changed = replace(settings, tools=names.tools(tools, settings), tool_choice=names.choice(settings.tool_choice))
    if changed == settings and len(turns) == len(conversation.turns) and all(map(is_, turns, conversation.turns)):
        return conversation, names.meant
    return replace(conversation, settings=changed, turns=turns), names.meant


def _all_fit(settings: Settings, pattern: str, seen: Survey) -> bool:
    """Whether all tools are functions and every tool name in the conversation matches the pattern, as in nearly all
    requests."""
    tools, choice = settings.tools or (), settings.tool_choice
    if not tools and choice is None and not seen.names and not seen.offers and not seen.has_calls:
        return True
    own = [tool.name for tool in tools if tool.kind == "function"]
    names = seen.names.union(own)
    if seen.offers or seen.namespaces or len(own) < len(tools) or len(set(own)) < len(own):
        return False
    if choice is not None:
        names.update(choice.names)
        if any(space is not None for space in choice.namespaces):
            return False
    return all(map(re.compile(pattern).fullmatch, names))


def _is_result(turn: Turn) -> bool:
    """Whether a turn with tools is the result of a search. Others only contain tools."""
    return any(type(part) is ToolResult for part in turn.parts)


def _has_freeform_inside(conversation: Conversation) -> bool:
    """Whether a namespace contains a freeform tool. A namespace is sent as the client wrote it, or as separate tools."""
    tools = [*(conversation.settings.tools or ()), *(tool for turn in conversation.turns for tool in turn.tools or ())]
    return any(inside.kind == "freeform" for tool in tools for inside in tool.tools or ())


class Restorer:
    """Restores the original tool names in the calls of a reply, and the text of freeform tools."""

    def __init__(self, names: Mapping[str, ToolName], offered: Collection[str] = ()) -> None:
        """`offered` are the names of the other tools. Without any tool, calls keep their names."""
        self._names = names
        self._offered = offered
        self._texts: dict[int, CallText] = {}
        """Open calls of freeform tools."""

    def concerns(self, events: list[Event]) -> bool:
        """Whether `feed` may change one of the events."""
        return bool(self._texts) or any(type(event) is not PartDelta for event in events)

    def feed(self, event: Event) -> list[Event]:
        if type(event) is PartDelta:
            return self._delta(event) if event.key in self._texts else [event]
        if type(event) is not PartStarted and type(event) is not PartEnded:
            return [event]
        part = event.part
        if type(part) is not ToolCall:
            return [event]
        if part.name not in self._names and part.name not in self._offered:
            part.name = self._called(part.name)
        known = self._names.get(part.name)
        if known is None:
            return [event]
        part.name, part.namespace = known.name, known.namespace
        if known.kind == "search":
            part.native = tool_search.CALL
        elif known.native is not None:
            part.native = known.native
        if known.kind != "freeform" or part.format == "text":
            return [event]
        part.format = "text"
        if type(event) is PartStarted:
            self._texts[event.key] = CallText()
            return [event]
        return self._end(event.key, part, event)

    def _called(self, name: str) -> str:
        """The tool that a name with remains of a chat template means; the name itself if there is none."""
        plain = _REMAINS.sub("", name)
        return next(
            (one for one in (plain, _WRAPPER.sub("", plain)) if one in self._names or one in self._offered), name
        )

    def _delta(self, event: PartDelta) -> list[Event]:
        text = self._texts[event.key].feed(event.text)
        return [PartDelta(event.key, text)] if text else []

    def _end(self, key: int, call: ToolCall, event: Event) -> list[Event]:
        rest = ""
        if (text := self._texts.pop(key, None)) is None:
            text = CallText()
            rest = text.feed(call.arguments)
        rest += text.close()
        call.arguments, call.cut = text.text, text.cut
        return [PartDelta(key, rest), event] if rest else [event]


def _offered(conversation: Conversation, namespaces: bool) -> Iterator[tuple[Tool, ToolName]]:
    """Each tool once: those of the settings, then those of the turns."""
    later = [tool for turn in conversation.turns for tool in turn.tools or ()] if not namespaces else []
    seen: set[ToolName] = set()
    for tool in [*(conversation.settings.tools or ()), *later]:
        inside = None if tool.tools is None or namespaces else _members(tool, tool.tools)
        for member in [tool] if inside is None else inside:
            name = ToolName(member.name, None if inside is None else tool.name)
            if member.kind in _NAMED:
                if name in seen:
                    continue
                seen.add(name)
            yield member, name


def _members(space: Tool, tools: list[Tool]) -> list[Tool]:
    """The tools of a namespace. Its description is added to the first one."""
    members = list(tools)
    if space.description and members:
        words = [space.description, members[0].description]
        members[0] = replace(members[0], description="\n\n".join([text for text in words if text]))
    return members


class _Names:
    """The names under which tools are sent."""

    def __init__(self, tools: list[tuple[Tool, ToolName]], pattern: str, namespaces: bool, freeform: bool) -> None:
        self.meant: dict[str, ToolName] = {}
        """The original of each changed name in a reply."""
        self._pattern = re.compile(pattern)
        self._namespaces = namespaces
        self._freeform = freeform
        self._sent: dict[ToolName, str] = {}
        self._bare: dict[str, list[ToolName]] = {}
        """Tools in namespaces, by their plain name."""
        taken = {own for tool, _ in tools if tool.kind == "vendor" for own in _vendor_names(tool)}
        self._sent |= {ToolName(own): own for own in taken}
        known = [name for tool, name in tools if tool.kind in _NAMED]
        for name in known:  # a tool that can keep its name does, in any position
            if name.namespace is None and self._pattern.fullmatch(name.name):
                self._sent[name] = name.name
                taken.add(name.name)
        for name in known:
            if name not in self._sent:
                self._sent[name] = sent = self._free(name, taken)
                taken.add(sent)
                self.meant[sent] = name
            if name.namespace is not None:
                self._bare.setdefault(name.name, []).append(name)
        self._taken = taken
        self._kept = {name.name for name in known if name.namespace is None and self._sent[name] == name.name}
        """Names that are sent unchanged."""
        self._functions: set[str] = set()
        """Other tools that are sent as functions."""
        for tool, name in tools:
            if (tool.kind == "freeform" and not freeform) or (tool.kind == "search" and not namespaces):
                self._functions.add(self._sent[name])
                self.meant[self._sent[name]] = replace(name, kind=tool.kind)
            if tool.kind == "freeform" and tool.native is not None:
                self.meant[self._sent[name]] = replace(name, kind=tool.kind, native=tool.native)
        self._spaces: dict[str | None, list[str]] = {}
        """The names sent for the tools of each namespace."""
        for name, sent in self._sent.items():
            self._spaces.setdefault(name.namespace, []).append(sent)

    def _free(self, name: ToolName, taken: set[str]) -> str:
        sent, number = self._fitted(name), 0
        while sent in taken:
            sent = self._hashed(name, number)
            number += 1
        return sent

    def _fitted(self, name: ToolName) -> str:
        flat = _flat(name)
        return flat if self._pattern.fullmatch(flat) else self._hashed(name, 0)

    def _hashed(self, name: ToolName, number: int) -> str:
        """A name with a hash. If it is too long, its beginning is kept, which shows the tool's source, and more of its
        end, which shows its purpose."""
        whole = f"{name.namespace or ''}\0{name.name}" + (f"\0{number}" if number else "")
        digest = sha256(whole.encode("utf-8", "replace")).hexdigest()[:8]
        clean = re.sub(r"[^a-zA-Z0-9_-]", "_", _flat(name))
        room = _LENGTH - len(digest) - 2
        if len(clean) <= room:
            found = f"{clean}_{digest}"
        else:
            head = room // 3
            found = f"{clean[:head]}_{digest}_{clean[head - room :]}"
        for candidate in (found, f"_{found[: _LENGTH - 1]}", f"tool_{digest}"):
            if self._pattern.fullmatch(candidate):
                return candidate
        return f"tool_{digest}"

    def of(self, name: ToolName) -> str:
        """The name to send for a tool in a call or tool choice.

        Clients may have lost the namespace. A tool that is no longer offered gets the name it had before.
        """
        if name in self._sent:
            return self._sent[name]
        if name.namespace is None:
            if name.name in self._taken:
                return name.name
            inside = self._bare.get(name.name, ())
            if len(inside) == 1:
                return self._sent[inside[0]]
        return self._fitted(name)

    # --- places that name tools ---

    def tools(self, tools: list[tuple[Tool, ToolName]], settings: Settings) -> list[Tool] | None:
        if not tools:
            return settings.tools
        return [self._tool(tool, name) for tool, name in tools]

    def _tool(self, tool: Tool, name: ToolName) -> Tool:
        if tool.kind == "freeform" and not self._freeform:
            tool = freeform.as_function(tool)
        elif tool.kind == "search" and not self._namespaces:
            tool = tool_search.as_function(tool)
        if tool.kind not in _NAMED or self._sent[name] == tool.name:
            return tool
        return replace(tool, name=self._sent[name])

    def choice(self, choice: ToolChoice | None) -> ToolChoice | None:
        if choice is None or not choice.names:
            return choice
        spaces = choice.namespaces or [None] * len(choice.names)
        names = [sent for name, space in zip(choice.names, spaces, strict=True) for sent in self._chosen(name, space)]
        kept = choice.namespaces if self._namespaces else []
        if names == choice.names and kept == choice.namespaces and self._functions.isdisjoint(names):
            return choice
        extra = {key: value for key, value in (choice.extra or {}).items() if key != "tool_choice"}
        return replace(choice, names=names, namespaces=kept, extra=extra or None)

    def _chosen(self, name: str, space: str | None) -> list[str]:
        """The tools that a name in a tool choice means: one tool, or a whole namespace."""
        if self._namespaces:
            return [name if space is not None else self.of(ToolName(name))]
        found = self._spaces.get(name, [])
        if space is None and found and ToolName(name) not in self._sent:
            return found
        return [self.of(ToolName(name, space))]

    def turn(self, turn: Turn) -> Turn:
        parts: list[AnyPart] | None = None
        item = turn.item
        for index, part in enumerate(turn.parts):
            new = self._of_function(part, turn)
            if new is not part and type(part) is ToolCall:
                item = item and replace(item, id=None)  # OpenAI's IDs show the type of an item
            new = self._named(new)
            if new is not part:
                parts = parts or list(turn.parts)
                parts[index] = new
        tools = turn.tools if self._namespaces else None
        return turn if parts is None else replace(turn, parts=parts, item=item, tools=tools)

    def _of_function(self, part: AnyPart, turn: Turn) -> AnyPart:
        """A call of a tool that is sent as a function, or its result, as those of a function."""
        if type(part) is ToolCall:
            if part.format == "text" and not self._freeform:
                return freeform.as_function_call(part)
            if part.native == tool_search.CALL and not self._namespaces:
                return tool_search.as_function_call(part)
        if type(part) is ToolResult and part.native == tool_search.RESULT and not self._namespaces:
            return tool_search.as_function_result(part, self._found(turn.tools or ()))
        return part

    def _found(self, tools: Iterable[Tool]) -> Iterator[str]:
        """The names under which the tools in a search's result are sent."""
        for tool in tools:
            if tool.tools is None:
                yield self.of(ToolName(tool.name))
            else:
                yield from (self.of(ToolName(inside.name, tool.name)) for inside in tool.tools)

    def _named(self, part: AnyPart) -> AnyPart:
        if type(part) is ToolCall:
            if self._namespaces if part.namespace is not None else part.name in self._kept:
                return part
            sent = self.of(ToolName(part.name, part.namespace))
            return part if sent == part.name and part.namespace is None else replace(part, name=sent, namespace=None)
        if type(part) is ToolResult and part.name and part.name not in self._kept:
            sent = self.of(ToolName(part.name))
            return part if sent == part.name else replace(part, name=sent)
        return part


def _flat(name: ToolName) -> str:
    """Namespace and name joined. Agents know their tools by this name too."""
    if name.namespace in (None, "", DEFAULT_NAMESPACE):
        return name.name
    return f"{name.namespace.removesuffix(_SEPARATOR)}{_SEPARATOR}{name.name}"


def _vendor_names(tool: Tool) -> Iterator[str]:
    """The names of a vendor's own tools, which must not be changed."""
    raw = tool.raw or {}
    for holder in (raw, raw.get("function")):
        if isinstance(holder, dict) and isinstance(holder.get("name"), str):
            yield holder["name"]
