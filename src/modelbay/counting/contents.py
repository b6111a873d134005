"""The contents of a conversation that count as tokens."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Extra,
    Json,
    Media,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.counting.media_tokens import MAX_DOCUMENT, first_bytes
from modelbay.counting.text_tokens import text_tokens
from modelbay.counting.token_factors import TextFactors, provided_tokens
from modelbay.counting.tool_tokens import described_tool, with_calls
from modelbay.json_text import encode
from modelbay.protocols.documents import plain_text
from modelbay.protocols.freeform import as_function

_SEARCH = "tool_search"
"""The beginning of the type of a provider's tool that searches the others."""
_THOUGHT = "</think>"
"""The end of the thinking in a reply whose text contains it, as that of many local servers does."""


class Contents(Struct):
    """The texts, tools, media and settings of a request. The factors of a model say how much each of them counts."""

    systems: int = 0
    turns: int = 0
    tools: list[Tool] = field(default_factory=list)
    texts: list[str | tuple[str, str]] = field(default_factory=list)
    """All texts and results, and the name and the arguments of each call of a tool. As one text they are counted faster."""
    found: str = ""
    """Results of the provider's own tools."""
    documents: int = 0
    """Documents that are read as text."""
    calls: int = 0
    results: int = 0
    thoughts: list[tuple[int, str]] = field(default_factory=list)
    """Texts of thinking, each with the index of its turn."""
    tagged: dict[int, int] = field(default_factory=dict)
    """Texts that end with `</think>`, by their index in `texts`, with the index of their turn."""
    opaque: list[tuple[int, int]] = field(default_factory=list)
    """Characters of each encrypted reasoning, with the index of its turn."""
    loop: int = 0
    """Index of the first turn of the current tool loop."""
    streams: bool = False
    """Whether the reply is streamed."""
    begun: bool = False
    """Whether the last message is one of the model."""
    format: str = ""
    """An output format: the name, the description, and the schema as JSON."""
    json: bool = False
    """Whether the answer is JSON without a schema."""
    forced: bool = False
    """Whether the model must call any tool."""
    named: bool = False
    """Whether the model must call one tool by its name."""
    added: int = 0
    """Lists of tools in the middle of the conversation."""
    cited: bool = False
    """Whether the model can cite contents."""
    unused: bool = False
    """Whether the model must not call a tool."""
    single: bool = False
    """Whether the model must not call several tools at once."""
    reasons: bool = False
    """Whether the request turns reasoning on."""
    unreasoned: bool = False
    """Whether the request turns reasoning off."""
    media: list[Media] = field(default_factory=list)
    returned: list[Media] = field(default_factory=list)
    """Media in the results of tools."""
    hidden: bool = False
    """Whether the provider may add texts that are not in the conversation: with its own tools, or from its own storage."""

    @classmethod
    def of(cls, conversation: Conversation) -> "Contents":
        found = cls()
        texts = found.texts
        found.loop = _current_loop(conversation.turns)
        for index, turn in enumerate(conversation.turns):
            if turn.role in ("system", "developer"):
                found.systems += any(type(part) is not Text or part.text for part in turn.parts)
            else:
                found.turns += 1
            for part in turn.parts:
                if type(part) is Text and turn.role == "assistant" and _THOUGHT in part.text:
                    found.tagged[len(texts)] = index
                    end = part.text.rindex(_THOUGHT) + len(_THOUGHT)
                    texts += [part.text[:end], part.text[end:]]
                else:
                    found._add(part, texts)
                if part.opaque:
                    found.opaque.append((index, len(part.opaque)))
                if type(part) is Thinking and not part.summary:
                    found.thoughts += [(index, text) for text in part.texts]
        found.streams = bool(conversation.stream)
        found.begun = bool(conversation.turns) and conversation.turns[-1].role == "assistant"
        found._add_settings(conversation)
        return found

    def amounts(self, row: TextFactors) -> dict[str, float]:
        """The amounts that the factors of a row are multiplied by, by the name of the factor."""
        tools = self._seen_tools(row)
        provided = [provided_tokens(tool, row.family) for tool in tools]
        own = [tool for tool, known in zip(tools, provided, strict=True) if known is None]
        described = [described_tool(tool, row.tools_as, row.tokenizer) for tool in own]
        text, arguments = with_calls(self._texts(row), row.calls_as)
        start = 0 if row.keeps_opaque else self.loop
        opaque = sum(max(0, length - row.sealed) for index, length in self.opaque if index >= start)
        if row.streamed_opaque and not self.streams:
            opaque = 0
        return {
            "base": 1,
            "system": max(self.systems, row.tools_in_system and bool(tools)),
            "turn": self.turns - (row.continues and self.begun),
            "tools": bool(tools),
            "tool": len(own),
            "property": sum(one.properties for one in described),
            "text": text_tokens(text, row.tokenizer),
            "schema": sum(one.tokens for one in described),
            "document": self.documents,
            "call": self.calls,
            "argument": arguments,
            "result": self.results,
            "thinking": text_tokens(self._thinking(row), row.tokenizer),
            "opaque": opaque / 1000,
            "format": text_tokens(self.format, row.tokenizer),
            "has_format": bool(self.format),
            "forced": self.forced,
            "named": self.named,
            "added": self.added,
            "cited": self.cited,
            "reasons": self.reasons,
            "parallel": bool(tools) and not self.single,
            "provided": sum(known or 0 for known in provided),
            "has_json": self.json,
            "unreasoned": self.unreasoned,
            "no_system": not self.systems,
        }

    def _texts(self, row: TextFactors) -> list[str | tuple[str, str]]:
        if not row.tagged or not self.tagged:
            return self.texts
        return [text for index, text in enumerate(self.texts) if index not in self.tagged]

    def _thinking(self, row: TextFactors) -> str:
        start = 0 if row.keeps_thinking else self.loop
        found = [text for index, text in self.thoughts if index >= start]
        if row.tagged:
            found += [str(self.texts[at]) for at, index in self.tagged.items() if index >= start]
        return "".join(found)

    def _seen_tools(self, row: TextFactors) -> list[Tool]:
        """The tools that the model sees."""
        if self.unused and not row.unused:
            return []
        loaded = [tool for tool in self.tools if tool.loaded]
        if row.defers and any((tool.native or "").startswith(_SEARCH) for tool in loaded):
            known = {part[0] for part in self.texts if type(part) is tuple}
            loaded = [
                tool
                for tool in loaded
                if not _is_deferred(tool) or tool.name in known or f'"{tool.name}"' in self.found
            ]
        return [*loaded, *filter(_is_deferred, self.tools)] if row.declares else loaded

    def _add(self, part: AnyPart, texts: list[str | tuple[str, str]]) -> None:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case ToolCall():
                self.calls += 1
                texts.append((part.name, part.arguments))
            case ToolResult():
                self.results += 1
                before = len(self.media)
                for inner in part.parts:
                    self._add(inner, texts)
                self.returned += self.media[before:]
                del self.media[before:]
            case Media():
                self.cited |= _are_cited(part.extra)
                text = plain_text(part)
                if text is None and part.kind == "document":
                    from modelbay.counting.office_text import office_text  # few gateways need zipfile

                    text = office_text(first_bytes(part.data or "", MAX_DOCUMENT))
                if text is None:
                    self.media.append(part)
                else:
                    self.documents += 1
                    texts.append(text)
            case ServerToolCall():
                self.hidden = True
                texts += [part.name, " ", part.arguments]
            case ServerToolResult():
                self.hidden = True
                content = encode(part.content).decode()
                texts.append(content)
                self.found += content
            case UnknownPart():
                raw = part.raw if isinstance(part.raw, dict) else {}
                self.cited |= _are_cited(raw)
                if tools := list(_read_tools(raw.get("tools"))):
                    self.added += 1
                    self.tools += tools
                else:
                    texts.append(encode(part.raw).decode())

    def _add_settings(self, conversation: Conversation) -> None:
        settings = conversation.settings
        self.tools += _each(settings.tools or ())
        self.hidden |= bool(settings.state) or any(tool.kind == "vendor" for tool in self.tools)
        choice, reasoning = settings.tool_choice, settings.reasoning
        self.unused = choice is not None and choice.mode == "none"
        self.single = choice is not None and choice.parallel is False
        self.named = choice is not None and choice.mode == "tool"
        self.forced = choice is not None and (choice.mode == "required" or choice.required)
        # Anthropic's effort alone turns nothing on; those of other clients are translated to thinking
        by_effort = conversation.protocol != "anthropic" and reasoning is not None and reasoning.enabled is None
        self.reasons = reasoning is not None and (
            bool(reasoning.enabled or reasoning.adaptive or reasoning.budget)
            or (by_effort and reasoning.effort not in (None, "none"))
        )
        self.unreasoned = reasoning is not None and (reasoning.enabled is False or reasoning.effort == "none")
        form = settings.output_format
        self.json = form is not None and form.kind == "json"
        if form is not None and form.schema is not None:
            self.format = " ".join(filter(None, [form.name, form.description, encode(form.schema).decode()]))


def _current_loop(turns: list[Turn]) -> int:
    """Index of the first turn after the last message of the user, which may follow results of tools in one turn."""
    asked = (
        index
        for index in range(len(turns) - 1, -1, -1)
        if turns[index].role == "user"
        and any((type(part) is Text and part.text) or type(part) is Media for part in turns[index].parts)
    )
    return next(asked, -1) + 1


def _each(tools: Iterable[Tool]) -> Iterator[Tool]:
    """The tools without their namespaces, freeform ones as the functions that providers get."""
    for tool in tools:
        if tool.tools:
            yield from _each(tool.tools)
        else:
            yield as_function(tool) if tool.kind == "freeform" else tool


def _is_deferred(tool: Tool) -> bool:
    return tool.extra is not None and tool.extra.get("defer_loading") is True


def _read_tools(listed: Json) -> Iterator[Tool]:
    """The tools in an item that no codec reads, without their namespaces."""
    for raw in listed if isinstance(listed, list) else ():
        if isinstance(raw, dict) and isinstance(raw.get("tools"), list):
            yield from _read_tools(raw["tools"])
        elif isinstance(raw, dict):
            name, description, schema = raw.get("name"), raw.get("description"), raw.get("parameters")
            yield Tool(name=str(name or ""), description=str(description or ""), schema=schema)


def _are_cited(raw: Extra | None) -> bool:
    """Whether the model can cite the contents of a block of Messages."""
    citations = (raw or {}).get("citations")
    return isinstance(citations, dict) and citations.get("enabled") is True
