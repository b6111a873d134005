"""The conversation: one protocol-neutral request, made of turns, parts, tools and settings.

A turn is one wire message or item, in the order of the wire; nothing is merged or flattened when it is parsed, grouping is
the renderers' work. What a protocol says and we have no word for stays in `extra` (unknown fields) or `native` (the wire's
own name, where it has several for one thing), so that the same protocol writes back what it said.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

Json: TypeAlias = Any
"""A value as `json_text.decode` gives it."""

Extra: TypeAlias = dict[str, Json]
Protocol: TypeAlias = Literal["openai_chat", "openai_responses", "anthropic", "google"]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


class Origin(Struct, frozen=True):
    """Who made a part. Opaque state goes back only to the protocol, vendor and model family it came from; "" is not known."""

    protocol: str
    vendor: str = ""
    family: str = ""


class Annotation(Struct, omit_defaults=True):
    """A citation. `raw` is the wire's own object and is what the protocol it came from gets back."""

    kind: str
    """"url", "document", "file" or the wire's own word."""
    url: str | None = None
    title: str | None = None
    text: str | None = None
    """The cited text."""
    start: int | None = None
    end: int | None = None
    unit: Literal["chars", "bytes", "block"] = "chars"
    """What `start` and `end` count: OpenAI characters, Gemini UTF-8 bytes; Anthropic cites with the whole block."""
    protocol: str = ""
    raw: Extra | None = None


class Part(Struct, omit_defaults=True, kw_only=True):
    """What every part can carry."""

    origin: Origin | None = None
    opaque: str | None = None
    """A signature, encrypted reasoning or redacted thinking, verbatim. "" is a signature that is there and empty."""
    annotations: list[Annotation] | None = None
    cache: Extra | None = None
    """A cache mark, as `{"type": "ephemeral", "ttl": "1h"}`."""
    native: str | None = None
    """The wire's own name for the part: a block or item type, a field. None: the protocol's usual one."""
    item_id: str | None = None
    """The Responses item this part stands in, which is not the id of a call."""
    extra: Extra | None = None


class Text(Part, tag="text", omit_defaults=True):
    text: str = ""
    logprobs: list[Json] | None = None
    """Token log-probabilities in OpenAI's form: `{token, logprob, bytes, top_logprobs}`."""


MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]


class Media(Part, tag="media", omit_defaults=True):
    """An image, sound, video or document; exactly one of `url`, `data`, `file_id`, `text` and `parts` says where it is."""

    kind: MediaKind
    url: str | None = None
    data: str | None = None
    """Base64, as the wire had it."""
    file_id: str | None = None
    """Known to one provider only; never portable."""
    text: str | None = None
    """A document given as plain text."""
    parts: "list[AnyPart] | None" = None
    """A document given as blocks that can be cited one by one."""
    media_type: str | None = None
    name: str | None = None
    detail: str | None = None
    """How closely to look: "low", "high", "auto"."""


class ToolCall(Part, tag="tool_call", omit_defaults=True):
    """A call the client must run. `id` is None where the provider gave none."""

    name: str = ""
    arguments: str = ""
    """The original text: re-serialising it would change key order and numbers, and break prompt caches. "" is no arguments."""
    id: str | None = None
    input: Literal["json", "text"] = "json"
    """What `arguments` holds: JSON, or free text for a freeform tool."""
    namespace: str | None = None
    """The namespace of the tool (Responses)."""


class ToolResult(Part, tag="tool_result", omit_defaults=True):
    call_id: str | None = None
    parts: "list[AnyPart]" = field(default_factory=list)
    is_error: bool | None = None
    name: str | None = None
    """The tool's name, which Gemini matches results by."""


class Thinking(Part, tag="thinking", omit_defaults=True):
    """Reasoning. Redacted thinking has no texts and all its state in `opaque`."""

    texts: list[str] = field(default_factory=list)
    summary: bool = False

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Refusal(Part, tag="refusal", omit_defaults=True):
    text: str = ""


class ServerToolCall(Part, tag="server_tool_call", omit_defaults=True):
    """A call the provider ran itself. `native` is its block or item type; never translated, only sent back where it came from."""

    name: str = ""
    arguments: str = ""
    id: str | None = None


class ServerToolResult(Part, tag="server_tool_result", omit_defaults=True):
    call_id: str | None = None
    content: Json = None
    is_error: bool | None = None


class Unknown(Part, tag="unknown", omit_defaults=True):
    """A part we have no word for: `native` is its type and `raw` the whole of it."""

    raw: Json = None


AnyPart: TypeAlias = (
    Text | Media | ToolCall | ToolResult | Thinking | Refusal | ServerToolCall | ServerToolResult | Unknown
)


class Item(Struct, omit_defaults=True):
    """What a Responses item carries beside its content."""

    id: str | None = None
    status: str | None = None
    phase: str | None = None


class Turn(Struct, omit_defaults=True):
    """One wire message or item."""

    role: Role
    parts: list[AnyPart] = field(default_factory=list)
    name: str | None = None
    """The speaker, where a protocol has one."""
    item: Item | None = None
    native: str | None = None
    """Where it stood, if not among the messages: "system", "instructions", "systemInstruction"; or the wire's own role."""
    extra: Extra | None = None
    tools: "list[Tool] | None" = None
    """Tools that are offered from this turn on, beside those of the settings (Responses)."""


class Tool(Struct, omit_defaults=True):
    """A function, a freeform tool (text in, by a grammar), a vendor's own tool (kept raw) or a namespace of tools."""

    kind: Literal["function", "freeform", "vendor", "namespace"] = "function"
    name: str = ""
    description: str | None = None
    schema: Json = None
    """The JSON Schema of the arguments."""
    strict: bool | None = None
    grammar: Extra | None = None
    cache: Extra | None = None
    native: str | None = None
    """A vendor tool's type, as "web_search_20250305"."""
    raw: Extra | None = None
    """The whole of a vendor's tool or of a namespace."""
    tools: "list[Tool] | None" = None
    """The tools of a namespace."""
    extra: Extra | None = None


class ToolChoice(Struct, omit_defaults=True):
    mode: Literal["auto", "none", "required", "tool", "allowed"] | None = None
    names: list[str] = field(default_factory=list)
    """The one tool of "tool"; the tools of "allowed"."""
    namespaces: list[str | None] = field(default_factory=list)
    """The namespace of each of `names`; empty where none has one."""
    parallel: bool | None = None
    required: bool = False
    """Of "allowed": one of them must be called."""
    extra: Extra | None = None


class OutputFormat(Struct, omit_defaults=True):
    kind: Literal["text", "json", "json_schema"]
    schema: Json = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    extra: Extra | None = None


class Reasoning(Struct, omit_defaults=True):
    """How much to think, and what to show of it. `effort` is the provider's own word ("low" ... "max", "none")."""

    enabled: bool | None = None
    adaptive: bool = False
    """The model decides how long to think (Anthropic)."""
    effort: str | None = None
    budget: int | None = None
    """Thinking tokens at most."""
    visibility: str | None = None
    """"hidden", or the wire's own word for what is shown: "summarized", "auto", "detailed"."""
    extra: Extra | None = None


class Settings(Struct, omit_defaults=True):
    """Everything about a request that is neither turns nor the model. None is "not said", which is never sent."""

    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_format: OutputFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Extra | None = None
    seed: int | None = None
    stop: list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    reasoning: Reasoning | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    metadata: Extra | None = None
    user: str | None = None
    cache_key: str | None = None
    cache: Extra | None = None
    """A cache mark for the whole request."""
    state: Extra | None = None
    """State the provider keeps (`previous_response_id`, `store`, `thread` ...): same protocol only."""
    spelling: dict[str, str] = field(default_factory=dict)
    """The parameter a setting was written as, where its protocol has several: `{"max_output_tokens": "max_completion_tokens"}`."""
    extra: Extra = field(default_factory=dict)
    """Top-level fields we do not know."""


class Conversation(Struct, omit_defaults=True):
    turns: list[Turn] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    protocol: Protocol | None = None
    """The protocol it was parsed from; its `extra` and `native` mean something there only. None: made by a program."""
    model: str | None = None
    """The model its client asked for."""
    stream: bool | None = None
    include_usage: bool | None = None
    """Whether a streaming client asked for usage (Chat Completions asks by name)."""


def kinds(turns: list[Turn]) -> set[type]:
    """The kinds of parts in some turns: a cheap look before anything is looked for."""
    return {type(part) for turn in turns for part in turn.parts}


def user(text: str, *files: AnyPart) -> Turn:
    """A user's turn: files first, as the providers advise, then the text."""
    return Turn("user", [*files, Text(text=text)] if text else list(files))


def media_kind(media_type: str | None) -> MediaKind:
    """What a MIME type is the type of; a document, where nobody says."""
    match (media_type or "").partition("/")[0].strip().lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"
