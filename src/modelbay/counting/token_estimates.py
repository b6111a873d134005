"""Estimates of input tokens, for providers that do not count them.

Each model family has its own factors: for text (`text_tokens`), for the tokens that a message, a tool or a schema adds,
and for media. They are in `token_estimates.toml`. `learned_counts` corrects them.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from math import ceil
from typing import NamedTuple, TypeVar

from msgspec import Struct, field

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Extra,
    Json,
    Media,
    Protocol,
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
from modelbay.conversion import convert
from modelbay.counting.image_rule import ImageRule
from modelbay.counting.image_sizes import image_size
from modelbay.counting.media_lengths import seconds
from modelbay.counting.text_tokens import text_tokens
from modelbay.counting.tool_tokens import CallForm, ToolForm, described_tool, with_calls
from modelbay.dialect import PLAIN, Dialect
from modelbay.json_text import encode
from modelbay.model import Model
from modelbay.protocols.documents import plain_text
from modelbay.protocols.freeform import as_function
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.counting") / "token_estimates.toml"
_UNKNOWN_SIZE = (1024, 1024)
"""Assumed width and height of an image that is not in the request, or is not readable."""
_UNKNOWN_PAGES = 3
_UNKNOWN_SECONDS = 30.0
_DOCUMENT = 1 << 24
"""Maximum bytes of a document that are read."""
_MOST_DOCUMENTS = 256
"""Maximum number of documents whose contents are kept."""
_BYTES_PER_PAGE = 50_000
_BYTES_PER_SECOND = {"audio": 16_000, "video": 80_000}
"""Assumed sizes of media whose length is not in their header."""
_SEARCH = "tool_search"
"""The beginning of the type of a provider's tool that searches the others."""
_SOUND = b"soun"
"""The handler of a track with sound, in the header of MP4 and MOV."""
_THOUGHT = "</think>"
"""The end of the thinking in a reply whose text contains it, as that of many local servers does."""
_TAIL = 65_536
"""Characters of base64 at the end of a video that may contain its header."""


class FactorRow(Struct, frozen=True, kw_only=True):
    family: str
    """The family; "" is the default."""
    models: list[str] = field(default_factory=lambda: ["*"])
    """Patterns of model IDs, with or without the vendor before a slash. The first row that matches is used."""
    protocol: Protocol | None = None
    """The protocol that the provider is called with. Default: any."""
    bare: bool | None = None
    """Whether the provider's counts are bare: see `Dialect.bare_counts`. Default: either."""


class TextFactors(FactorRow, frozen=True, kw_only=True):
    """Tokens that models count for the contents of a conversation."""

    base: float = 0
    system: float = 0
    """For a system prompt, besides its text."""
    turn: float = 0
    tools: float = 0
    """For any number of tools: the instructions for calling them."""
    tool: float = 0
    defers: bool = False
    """Whether tools that the provider searches for the model count only after it has found them."""
    declares: bool = False
    """Whether deferred tools count from the beginning, and again after they were found."""
    property: float = 0
    """For each property in the schemas of tools."""
    tokenizer: str = "o200k"
    """The most similar tokenizer of `tokenizers/`."""
    text: float = 1
    """Factor for texts."""
    schema: float = 1
    """Factor for the tools in the form that the model reads."""
    tools_as: ToolForm = "json"
    document: float = 0
    """For a document that the model reads as text, besides its text."""
    call: float = 0
    argument: float = 0
    """For each argument of a call, besides its name and value."""
    calls_as: CallForm = "json"
    result: float = 0
    thinking: float = 1
    """Factor for thinking that counts."""
    opaque: float = 0
    """For 1,000 characters of encrypted reasoning that counts."""
    keeps_opaque: bool = False
    """Whether all encrypted reasoning counts. Default: only that in the current tool loop."""
    streamed_opaque: bool = False
    """Whether encrypted reasoning counts only in requests whose reply is streamed."""
    keeps_thinking: bool = False
    """Whether all texts of thinking count. Default: only those in the current tool loop; the provider removes older ones."""
    tagged: bool = False
    """Whether the text of a reply before `</think>` is thinking: templates of open models read it so."""
    continues: bool = False
    """Whether the model continues a last message of its own, so that its frame begins no other."""
    format: float = 0
    """Factor for the schema of an output format."""
    has_format: float = 0
    has_json: float = 0
    """For JSON without a schema."""
    forced: float = 0
    """For tools of which the model must call any."""
    named: float = 0
    """For a tool that the model must call."""
    parallel: float = 0
    """For tools of which the model may call several at once, besides `tools`."""
    added: float = 0
    """For a list of tools in the middle of a conversation."""
    cited: float = 0
    """For contents that the model can cite: the instructions for citations."""
    reasons: float = 0
    """For reasoning that is turned on."""
    unreasoned: float = 0
    """For reasoning that is turned off: some templates begin the reply with an empty one."""
    no_system: float = 0
    """For the system prompt that the template has if there is no other."""
    media: float = 1
    """Factor for the tokens of images, documents, audio and video."""
    provided: float = 1
    """Factor for the descriptions of the provider's own tools."""
    sealed: float = 0
    """Characters of each encrypted reasoning that do not count."""
    unused: bool = False
    """Whether tools count although the model must not call them."""
    tools_in_system: bool = False
    """Whether tools are part of the system prompt, which there is without another one then."""


class MediaFactors(FactorRow, frozen=True, kw_only=True):
    image: ImageRule
    page: float
    """For a page of a document, besides its text: most providers also read it as an image."""
    returned_page: float = 0
    """For a page of a document in the result of a tool; 0: like any page."""
    only_page: float = 0
    """For a document of one page that is the only file of a request; 0: like any page."""
    page_text: float = 0
    """For a character of the text of a document, without spaces."""
    audio: float
    """For a second of audio."""
    padded: float = 0
    """Seconds to a multiple of which audio is padded; 0: not at all."""
    video: float
    """For a second of video."""
    sound: float = 0
    """For a second of the sound of a video, in addition."""


class ProviderTool(Struct, frozen=True, kw_only=True):
    """A provider's own tool, whose description the provider adds."""

    family: str
    type: str
    """Pattern of the types of the tool: they end with a date."""
    tokens: float


class FactorTable(Struct):
    family: list[TextFactors]
    media: list[MediaFactors]
    provider_tool: list[ProviderTool] = field(default_factory=list)


@cache
def _table(family: str) -> FactorTable:
    """The rows of a family and those of the default. To read all rows takes four times as long."""
    import tomllib

    rows = TABLE.read_text(encoding="utf-8").split("\n[[")[1:]
    read = [row for row in rows if f'\nfamily = "{family}"\n' in row or '\nfamily = ""\n' in row]
    found = tomllib.loads("".join([f"[[{row}\n" for row in read]))
    for row in [*found["family"], *found["media"]]:
        for factor in row.pop("factors").split(", "):  # in one text, as tomllib takes 10 ms for 600 numbers
            name, _, value = factor.partition(" ")
            row[name] = float(value) if value else True
    return convert(found, FactorTable)


_Row = TypeVar("_Row", bound=FactorRow)


def _row(rows: list[_Row], model: Model, protocol: Protocol | None, bare: bool) -> _Row:
    whole = model.identity.lower()
    names = (whole, whole.rpartition("/")[2])
    found = (
        row
        for row in rows
        if row.family in ("", model.family) and row.protocol in (None, protocol) and row.bare in (None, bare)
    )
    return next(row for row in found if any(fnmatch(name, pattern) for name in names for pattern in row.models))


FACTORS = (
    "base", "system", "turn", "tools", "tool", "property", "text", "schema", "document", "call", "result",
    "thinking", "opaque", "format", "has_format", "forced", "named", "added", "cited", "reasons", "media", "argument",
    "parallel", "provided", "has_json", "unreasoned", "no_system",
)  # fmt: skip
"""The factors of `TextFactors` that are multiplied by an amount."""


class Estimate(NamedTuple):
    """The amounts in a conversation, and the factors of the model's family, in the order of `FACTORS`."""

    amounts: list[float]
    factors: list[float]
    complete: bool
    """Whether all that the provider counts is text in the conversation: no media, and nothing of the provider's own tools."""

    @property
    def tokens(self) -> int:
        """The estimated input tokens, at least 1."""
        return max(1, round(sum(a * f for a, f in zip(self.amounts, self.factors, strict=True))))


def estimate(
    conversation: Conversation, model: Model, protocol: Protocol | None = None, dialect: Dialect = PLAIN
) -> Estimate:
    """Estimate the input tokens of a conversation. `protocol` and `dialect` are the provider's."""
    contents, table = Contents.of(conversation), _table(model.family)
    row = _row(table.family, model, protocol, dialect.bare_counts)
    media = _row(table.media, model, protocol, dialect.bare_counts)
    amounts = contents.amounts(row)
    files = [*contents.media, *contents.returned]
    amounts["media"] = _only_page(files, media) or (
        sum(_media_tokens(one, media, media.page) for one in contents.media)
        + sum(_media_tokens(one, media, media.returned_page or media.page) for one in contents.returned)
    )
    complete = not contents.hidden and not files
    return Estimate([float(amounts[name]) for name in FACTORS], [getattr(row, name) for name in FACTORS], complete)


# --- what a conversation contains --------------------------------------------------------------------------------------


class Contents(Struct):
    """The contents of a conversation that count as tokens."""

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
        provided = [_provided(tool, row.family) for tool in tools]
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

                    text = office_text(_head(part.data or "", _DOCUMENT))
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


def _provided(tool: Tool, family: str) -> float | None:
    """The tokens of a provider's own tool; None if it is another tool, or an unknown one."""
    if tool.kind not in ("vendor", "search"):
        return None
    kind = tool.native or str((tool.raw or {}).get("type"))
    rows = _table(family).provider_tool
    return next((row.tokens for row in rows if row.family == family and fnmatch(kind, row.type)), None)


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


# --- media -------------------------------------------------------------------------------------------------------------


def _only_page(files: list[Media], row: MediaFactors) -> float:
    """The tokens of the only file of a request, if it is a document of one page, and the model reads it in another way."""
    if not row.only_page or len(files) != 1 or files[0].kind != "document" or not files[0].data:
        return 0
    return row.only_page if _document(files[0].data)[0] <= 1 else 0


def _media_tokens(media: Media, row: MediaFactors, page: float) -> float:
    if media.parts is not None:
        return sum(_media_tokens(part, row, page) for part in media.parts if type(part) is Media)
    match media.kind:
        case "image":
            found = image_size(_head(media.data)) if media.data else None
            return row.image.tokens(found or _UNKNOWN_SIZE, media.detail)
        case "document":
            if not media.data:
                return page * _UNKNOWN_PAGES
            pages, characters = _document(media.data)
            return page * pages + row.page_text * characters
        case "audio":
            length = _seconds(media.data, media.kind) if media.data else _UNKNOWN_SECONDS
            return row.audio * (max(1, ceil(length / row.padded)) * row.padded if row.padded else length)
        case _:
            length = _seconds(media.data, media.kind) if media.data else _UNKNOWN_SECONDS
            whole = max(min(length, 1.0), float(int(length)))  # of each whole second, a frame is read
            return whole * (row.video + row.sound * (not media.data or _has_sound(media.data)))


def _head(data: str, size: int = 65_536) -> bytes:
    """The first bytes of base64 data; the size of a picture is there."""
    text = data[: size // 3 * 4]
    try:
        return b64decode(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


_documents: dict[int, tuple[float, int]] = {}
"""Pages and characters of documents by the hash of their data, which is keyed by Python. A client sends them with each request."""


def _document(data: str) -> tuple[float, int]:
    """The pages and the characters of a document. Without pages that can be seen, its size decides."""
    found = _documents.get(hash(data))
    if found is None:
        if len(_documents) >= _MOST_DOCUMENTS:
            _documents.clear()
        by_size = len(data) * 3 / 4 / _BYTES_PER_PAGE
        content = _head(data, _DOCUMENT)
        if content.startswith(b"%PDF"):
            from modelbay.counting.pdf_contents import pdf_contents

            pages, characters = pdf_contents(content)
            found = pages or max(1.0, by_size), characters
        else:
            found = by_size, 0
        _documents[hash(data)] = found
    return found


def _has_sound(data: str) -> bool:
    return _SOUND in _head(data) or (len(data) % 4 == 0 and _SOUND in _head(data[-_TAIL:]))


def _seconds(data: str, kind: str) -> float:
    size = len(data) * 3 // 4
    found = seconds(_head(data), _head(data[-_TAIL:]) if len(data) % 4 == 0 else b"", size)
    return size / _BYTES_PER_SECOND[kind] if found is None else found
