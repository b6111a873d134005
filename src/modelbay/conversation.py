"""The conversation: a protocol-neutral request made of turns, parts, tools and settings.

A turn is one message or item of the wire format, in its order. Parsing merges and flattens nothing; grouping is done by
the renderers. Fields without a counterpart here are kept in `extra` (unknown fields) and `native` (the wire's own name,
if it has several for one thing), so that rendering in the same protocol restores them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from msgspec import Struct, field
from msgspec.structs import asdict

from modelbay.file_content import MediaKind, content_at, content_from
from modelbay.functions import Signature
from modelbay.json_text import decode, encode

Json: TypeAlias = Any
"""A value as returned by `json_text.decode`."""

Extra: TypeAlias = dict[str, Json]
Protocol: TypeAlias = Literal["openai_chat", "openai_responses", "anthropic", "google"]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


class Provenance(Struct, frozen=True):
    """Source of a part. Opaque state is sent back only to the same protocol, vendor and model family; "" means unknown."""

    protocol: str
    """Protocol of the reply."""
    vendor: str = ""
    """Vendor that replied."""
    family: str = ""
    """Model family, such as "claude" or "gpt"."""


class Annotation(Struct, omit_defaults=True, repr_omit_defaults=True):
    """A citation. `raw` is the wire object; it is sent back unchanged to its own protocol."""

    kind: str
    """"url", "document", "file" or the wire's own value."""
    url: str | None = None
    """URL of the source."""
    title: str | None = None
    """Title of the source."""
    text: str | None = None
    """The cited text."""
    start: int | None = None
    """Beginning of the passage in the answer, in `unit`."""
    end: int | None = None
    """End of the passage in the answer, in `unit`."""
    unit: Literal["chars", "bytes", "block"] = "chars"
    """Unit of `start` and `end`: characters (OpenAI), UTF-8 bytes (Gemini) or the whole block (Anthropic)."""
    protocol: str = ""
    """Protocol that `raw` is of."""
    raw: Extra | None = None
    """The wire object."""


class Part(Struct, omit_defaults=True, repr_omit_defaults=True, kw_only=True):
    """Fields of all parts."""

    origin: Provenance | None = None
    opaque: str | None = None
    """A signature, encrypted reasoning or redacted thinking, verbatim. "" is a signature that is present but empty."""
    annotations: list[Annotation] | None = None
    cache: Extra | None = None
    """Cache control, such as `{"type": "ephemeral", "ttl": "1h"}`."""
    native: str | None = None
    """Name of the part on the wire: a block type, item type or field. Default: the protocol's usual one."""
    item_id: str | None = None
    """ID of the Responses item that contains the part. Not the ID of a tool call."""
    extra: Extra | None = None


class Text(Part, tag="text", omit_defaults=True, repr_omit_defaults=True):
    """Text of an answer, or of a prompt."""

    text: str = ""
    """The text."""
    logprobs: list[Json] | None = None
    """Log probabilities of tokens in OpenAI's form: `{token, logprob, bytes, top_logprobs}`."""


class Media(Part, tag="media", omit_defaults=True, repr_omit_defaults=True):
    """An image, audio, video or document. Exactly one of `url`, `data`, `file_id`, `text` and `parts` is set."""

    kind: MediaKind
    """"image", "audio", "video" or "document"."""
    url: str | None = None
    """URL that the provider fetches."""
    data: str | None = None
    """Base64, as received."""
    file_id: str | None = None
    """ID of a file stored at one provider; not portable."""
    text: str | None = None
    """Text of a plain-text document."""
    parts: "list[AnyPart] | None" = None
    """A document as blocks that can be cited individually."""
    media_type: str | None = None
    """MIME type, such as "image/png"."""
    name: str | None = None
    """File name."""
    detail: str | None = None
    """Image detail: "low", "high", "auto"."""

    @classmethod
    def open(cls, source: str | Path) -> Self:
        """The file at a path, in a data URL, or at an http(s) URL, which the provider or modelbay fetches. The type follows from
        its first bytes, otherwise from its name. A text is a document. For bytes, use `Media.of`.

        Raises:
            UnreadableFile: it does not exist, is empty or too large (50 MB, a video 100 MB, a text 4 MB), or is not of a kind that
                models accept.
        """
        return cls(**asdict(content_at(source)))

    @classmethod
    def of(cls, source: bytes | str, media_type: str | None = None, *, name: str | None = None) -> Self:
        """The file of these bytes, or at an http(s) URL, which the provider or modelbay fetches, or in a data URL.
        `media_type`, such as "image/png", is needed if neither the first bytes nor the suffix of the URL show the type.

        Raises:
            UnreadableFile: it is not such a URL, or not of a kind that models accept.
        """
        return cls(**asdict(content_from(source, media_type, name)))

    def __repr__(self) -> str:
        return f"Media({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Long content is shown by its size: the base64 of a file would fill a notebook, a log or a traceback."""
        return [(name, _brief(value)) for name, value in super().__rich_repr__()]


def _brief(value: Any) -> Any:
    return _Size(len(value)) if isinstance(value, str) and len(value) > _LONG else value


_LONG = 200


class _Size(int):
    """The size of a text that is not shown."""

    def __repr__(self) -> str:
        return f"<{int(self):,} characters>"


class ToolCall(Part, tag="tool_call", omit_defaults=True, repr_omit_defaults=True):
    """A tool call for the client to run. `id` is None if the provider sent none."""

    name: str = ""
    """Name of the tool."""
    arguments: str = ""
    """Arguments as received; "" means none. Serializing them again would change key order and numbers, and break prompt
    caches."""
    id: str | None = None
    """ID that the result names."""
    format: Literal["json", "text"] = "json"
    """Format of `arguments`: JSON, or free text for a freeform tool."""
    cut: bool = False
    """Whether free text is truncated, so that the call must not be run. Truncated JSON shows it itself."""
    namespace: str | None = None
    """Namespace of the tool (Responses)."""

    @property
    def input(self) -> Json:
        """The arguments as a value: an object, or the text of a freeform tool.

        Raises:
            MalformedReply: they are not JSON.
        """
        return self.arguments if self.format == "text" else decode(self.arguments or "{}")

    @classmethod
    def of(cls, name: str, input: Json, id: str | None = None) -> Self:
        """The call of a function with these arguments."""
        return cls(name=name, arguments=encode(input).decode(), id=id)


class ToolResult(Part, tag="tool_result", omit_defaults=True, repr_omit_defaults=True):
    """The result of a tool call, for the model."""

    call_id: str | None = None
    """ID of the call."""
    parts: "list[AnyPart]" = field(default_factory=list)
    """Content of the result: texts and files."""
    is_error: bool | None = None
    """Whether the call failed; None if unknown."""
    name: str | None = None
    """Name of the tool. Gemini matches results by name."""


SEPARATOR = "\n\n"
"""Written between the texts of a thinking part if they are shown as one: each begins with its own title."""


class Thinking(Part, tag="thinking", omit_defaults=True, repr_omit_defaults=True):
    """Reasoning. Redacted thinking has no texts, only `opaque`."""

    texts: list[str] = field(default_factory=list)
    """The reasoning, in the pieces of the wire."""
    summary: bool = False
    """Whether the texts are a summary of the reasoning."""

    @property
    def text(self) -> str:
        """The reasoning as one text, with an empty line between its pieces."""
        return SEPARATOR.join(self.texts)


class Refusal(Part, tag="refusal", omit_defaults=True, repr_omit_defaults=True):
    """The model refuses to answer."""

    text: str = ""
    """The model's reason."""


class ServerToolCall(Part, tag="server_tool_call", omit_defaults=True, repr_omit_defaults=True):
    """A tool call that the provider ran itself. `native` is its block or item type. Sent back only to its own protocol."""

    name: str = ""
    """Name of the tool."""
    arguments: str = ""
    """Arguments as received."""
    id: str | None = None
    """ID that the result names."""


class ServerToolResult(Part, tag="server_tool_result", omit_defaults=True, repr_omit_defaults=True):
    """The result of a tool that the provider ran itself."""

    call_id: str | None = None
    """ID of the call."""
    content: Json = None
    """The result as the provider sent it."""
    is_error: bool | None = None
    """Whether the call failed; None if unknown."""


class UnknownPart(Part, tag="unknown", omit_defaults=True, repr_omit_defaults=True):
    """A part of an unknown type: `native` is the type, `raw` the whole part."""

    raw: Json = None


AnyPart: TypeAlias = (
    Text | Media | ToolCall | ToolResult | Thinking | Refusal | ServerToolCall | ServerToolResult | UnknownPart
)
"""A part of a turn or of a reply."""


class ResponsesItem(Struct, omit_defaults=True, repr_omit_defaults=True):
    """Fields of a Responses item besides its content."""

    id: str | None = None
    status: str | None = None
    phase: str | None = None


class Turn(Struct, omit_defaults=True, repr_omit_defaults=True):
    """One message or item of the wire format."""

    role: Role
    """"system", "developer", "user", "assistant" or "tool"."""
    parts: list[AnyPart] = field(default_factory=list)
    """Content, in order."""
    name: str | None = None
    """Name of the speaker, if the protocol has one."""
    item: ResponsesItem | None = None
    """Fields of its Responses item."""
    native: str | None = None
    """Field it came from, if not the messages: "system", "instructions", "systemInstruction"; or the role on the wire."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""
    tools: "list[Tool] | None" = None
    """Tools available from this turn on, in addition to those of the settings (Responses)."""

    @property
    def text(self) -> str:
        """The text of the turn, without reasoning, files and calls."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(Struct, omit_defaults=True, repr_omit_defaults=True):
    """A function, a freeform tool (text input, defined by a grammar), a vendor's tool (kept raw), a namespace of tools, or
    a search for tools that the client runs."""

    kind: Literal["function", "freeform", "vendor", "namespace", "search"] = "function"
    """"function", "freeform", "vendor", "namespace" or "search"."""
    name: str = ""
    """Name by which the model calls it."""
    description: str | None = None
    """Purpose of the tool, for the model."""
    schema: Json = None
    """JSON Schema of the arguments."""
    strict: bool | None = None
    """Whether the provider guarantees that arguments follow the schema."""
    grammar: Extra | None = None
    """Grammar of the input of a freeform tool."""
    cache: Extra | None = None
    """Cache control for the prompt up to this tool, such as `{"type": "ephemeral"}`."""
    native: str | None = None
    """Type of a vendor's tool, such as "web_search_20250305". "function": a freeform tool whose client reads its calls as those of
    a function, with the text as their arguments."""
    raw: Extra | None = None
    """The complete vendor tool, namespace or search."""
    tools: "list[Tool] | None" = None
    """Tools of a namespace."""
    function: Signature | None = None
    """The function that answers the tool's calls in `Hub.run`. It is not sent."""
    loaded: bool = True
    """Whether the model sees the tool. Clients that search their tools themselves mark the others, and Anthropic hides them until
    a result of a search names them."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""

    @classmethod
    def of(cls, function: Callable[..., Any], *, name: str | None = None, description: str | None = None) -> Self:
        """The tool of a Python function, with or without `async`.

        The schema follows from the types of the parameters: Python's own, dataclasses, TypedDicts, msgspec's and pydantic's
        classes, `Literal`, and `Annotated` with `msgspec.Meta`. The descriptions are those of the docstring, in the style of
        Google, NumPy or Sphinx. `name` and `description` replace those of the function.

        Raises:
            TypeError: the function has `*args` or `**kwargs`, a type without a form in JSON, or no name for models.
        """
        signature = Signature(function, name)
        return cls(
            name=signature.name,
            description=description or signature.description,
            schema=signature.schema,
            function=signature,
        )


class ToolChoice(Struct, omit_defaults=True, repr_omit_defaults=True):
    """Which tools the model may or must call."""

    mode: Literal["auto", "none", "required", "tool", "allowed"] | None = None
    """"auto": as the model decides; "none": no tool; "required": any tool; "tool": the one in `names`; "allowed": those
    in `names`."""
    names: list[str] = field(default_factory=list)
    """The tool for "tool"; the tools for "allowed"."""
    namespaces: list[str | None] = field(default_factory=list)
    """Namespace of each name in `names`; empty if none has one."""
    parallel: bool | None = None
    """Whether a reply may have several calls. None: the provider's default."""
    required: bool = False
    """For "allowed": whether one of the tools must be called."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""


class OutputFormat(Struct, omit_defaults=True, repr_omit_defaults=True):
    """The form of the answer: text, any JSON, or JSON that follows a schema."""

    kind: Literal["text", "json", "json_schema"]
    """"text", "json" or "json_schema"."""
    schema: Json = None
    """JSON Schema of the answer."""
    name: str | None = None
    """Name of the schema."""
    description: str | None = None
    """Description of the answer, for the model."""
    strict: bool | None = None
    """Whether the provider guarantees the schema."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""


class UnknownValue(Struct):
    """A value of a client's request that must not be lost, and that only its own protocol may have, if any."""

    field: str
    """The field on the wire, such as `response_format.type`."""
    value: Json
    """The value."""
    known: tuple[str, ...]
    """The values that can be translated."""


class Reasoning(Struct, omit_defaults=True, repr_omit_defaults=True):
    """Reasoning effort and visibility. `effort` is the provider's own value ("low" to "max", "none")."""

    enabled: bool | None = None
    """Whether the model thinks. None: the provider's default."""
    adaptive: bool = False
    """Whether the model decides how long to think (Anthropic)."""
    effort: str | None = None
    """Reasoning effort."""
    budget: int | None = None
    """Maximum thinking tokens."""
    visibility: str | None = None
    """"hidden", or the wire's value for what is shown: "summarized", "auto", "detailed"."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""

    @property
    def hidden(self) -> bool:
        """Whether the reasoning must not be shown, by the word of any protocol."""
        return self.visibility in ("hidden", "omitted", "none")


class Settings(Struct, omit_defaults=True, repr_omit_defaults=True):
    """Request settings other than turns and model. None means not set, and is not sent."""

    tools: list[Tool] | None = None
    """Tools that the model can call."""
    tool_choice: ToolChoice | None = None
    """Which tools the model may or must call."""
    output_format: OutputFormat | None = None
    """Form of the answer."""
    max_output_tokens: int | None = None
    """Maximum output tokens."""
    temperature: float | None = None
    """Sampling temperature, at least 0."""
    top_p: float | None = None
    """Nucleus sampling, 0 to 1."""
    top_k: int | None = None
    """Number of most likely tokens to choose from."""
    frequency_penalty: float | None = None
    """Penalty for frequent tokens, -2 to 2."""
    presence_penalty: float | None = None
    """Penalty for repeated tokens, -2 to 2."""
    logit_bias: Extra | None = None
    """Bias of tokens, by token ID, -100 to 100."""
    seed: int | None = None
    """Seed for repeatable answers."""
    stop: list[str] | None = None
    """Stop sequences."""
    logprobs: bool | None = None
    """Whether the reply has the log probabilities of its tokens."""
    top_logprobs: int | None = None
    """Number of other likely tokens with each token."""
    n: int | None = None
    """Number of replies. A Hub accepts only one."""
    reasoning: Reasoning | None = None
    """Reasoning effort and visibility."""
    modalities: list[str] | None = None
    """Kinds of output, such as `["text", "audio"]`."""
    verbosity: str | None = None
    """Length of the answer: "low", "medium" or "high"."""
    service_tier: str | None = None
    """The provider's service tier."""
    metadata: Extra | None = None
    """Values that the provider stores with the request."""
    user: str | None = None
    """ID of the user, for the provider's checks of abuse."""
    cache_key: str | None = None
    """Key of prompts that begin alike, which a provider then keeps in the same cache."""
    cache_retention: str | None = None
    """How long the provider keeps the prompt in its cache: "in_memory" or "24h" (OpenAI)."""
    cache: Extra | None = None
    """Cache control for the whole request."""
    state: Extra | None = None
    """State stored at the provider (`previous_response_id`, `store`, `thread` …). Same protocol only."""
    spelling: dict[str, str] = field(default_factory=dict)
    """Parameter name of a setting, if its protocol has several: `{"max_output_tokens": "max_completion_tokens"}`."""
    extra: Extra = field(default_factory=dict)
    """Unknown top-level fields."""
    unknown: list[UnknownValue] | None = None
    """Values that are refused instead of translated. They are also in `extra` or in turns, for their own protocol."""

    def keep_unknown(self, name: str, value: Json, *known: str) -> None:
        """Note a value of the field `name` on the wire that other protocols cannot express; `known` are those that can be."""
        self.unknown = [*(self.unknown or ()), UnknownValue(name, value, known)]


class Conversation(Struct, omit_defaults=True, repr_omit_defaults=True):
    """A request to a model: its turns and settings."""

    turns: list[Turn] = field(default_factory=list)
    """Turns, oldest first."""
    settings: Settings = field(default_factory=Settings)
    """Settings of the request."""
    protocol: Protocol | None = None
    """Protocol it was parsed from; `extra` and `native` are valid only there. None: created by a program."""
    model: str | None = None
    """Model that the client requested."""
    stream: bool | None = None
    """Whether the reply is requested as a stream. A Hub sets it."""
    include_usage: bool | None = None
    """Whether a streaming client requested usage (Chat Completions)."""


def kinds(turns: list[Turn]) -> set[type]:
    """The types of the parts in some turns: a cheap test before a search."""
    return {type(part) for turn in turns for part in turn.parts}


def user(text: str, *files: AnyPart) -> Turn:
    """A user turn: files first, as providers recommend, then the text."""
    return Turn("user", [*files, Text(text=text)] if text else list(files))
