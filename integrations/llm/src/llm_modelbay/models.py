"""Models, sync and async, whose calls go through a Hub of modelbay's default configuration."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import cache, cached_property
from typing import Any, cast

import llm
from llm.models import EmbeddingModel
from llm.parts import AttachmentPart, Message, Part, ReasoningPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart

import modelbay
from llm_modelbay.options import Options
from modelbay import (
    AnyPart,
    Capability,
    Conversation,
    Finished,
    Media,
    OutputFormat,
    PartDelta,
    PartEnded,
    PartStarted,
    Refusal,
    Reply,
    ServerToolCall,
    ServerToolResult,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Warned,
    state_of,
    sync,
    with_state,
)
from modelbay.errors import ConfigError, MalformedReply, MissingCredential, ModelbayError

LOG = logging.getLogger("llm_modelbay")
"""Warnings: without a handler, Python writes them to stderr."""
KEY = "modelbay"
"""The key of our state in the `provider_metadata` of llm's parts."""
ATTACHMENTS: dict[Capability, tuple[str, ...]] = {
    "image_in": ("image/gif", "image/jpeg", "image/png", "image/webp"),
    "audio_in": ("audio/flac", "audio/mpeg", "audio/ogg", "audio/wav", "audio/wave", "audio/x-wav"),
    "video_in": ("video/mp4", "video/quicktime", "video/webm"),
    "document_in": ("application/pdf", "text/csv", "text/html", "text/markdown", "text/plain"),
}
"""Types of attachments, by the capability that a model needs for them."""
FAMILY = {Text: "text", Refusal: "text", Thinking: "reasoning"}
"""llm's type of the events of a part."""


@cache
def hub() -> sync.Hub:
    """Raises ConfigError: config.toml cannot be read."""
    return sync.Hub.open()


@cache
def async_hub() -> modelbay.Hub:
    return modelbay.Hub(hub().config)


def configured() -> Iterator[tuple[llm.Model, llm.AsyncModel, list[str]]]:
    """All configured models, with their aliases in llm. Facts about the models are read later, because that takes half a second."""
    for name, others in _names():
        yield ModelbayModel(name), AsyncModelbayModel(name), [f"modelbay/{other}" for other in others]


def embedding_models() -> Iterator[tuple[EmbeddingModel, list[str]]]:
    """The configured models that make embeddings, with their aliases in llm."""
    for name, others in _names(embedding=True):
        yield ModelbayEmbeddingModel(name), [f"modelbay/{other}" for other in others]


def _names(*, embedding: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The name of each configured model, and its other names. A configuration that cannot be read has none: the other models of
    llm can still be used."""
    try:
        config = hub().config
    except ConfigError as error:
        LOG.warning("modelbay: %s; llm has no models of modelbay", error.message)
        return
    entries = [entry for entry in config.models.values() if entry.provider in config.providers]
    times = Counter((entry.provider, entry.model) for entry in entries)
    chosen = set(hub().embedding_models()) if embedding else config.models.keys()
    for entry in entries:
        names = [entry.alias, *entry.aliases]
        if times[entry.provider, entry.model] == 1:
            names.insert(0, f"{entry.provider}/{entry.model}")
        if entry.alias in chosen:
            first, *others = dict.fromkeys(names)
            yield first, others


class _Described:
    """The facts about a model that llm shows or checks."""

    can_stream = True
    supports_schema = True
    supports_tools = True
    """`llm models` reads it for each model, and facts take half a second: a call with tools is refused if the model has none."""
    Options = Options

    def __init__(self, name: str) -> None:
        self.name = name
        """Its name in modelbay."""
        self.model_id = f"modelbay/{name}"

    @cached_property
    def attachment_types(self) -> frozenset[str]:
        model = hub().model(self.name)
        kinds = [types for capability, types in ATTACHMENTS.items() if model.can(capability) is not False]
        return frozenset(one for types in kinds for one in types)


class ModelbayModel(_Described, llm.Model):  # type: ignore[misc]
    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[StreamEvent]:
        told = _Reply(response)
        try:
            asked, settings = _asked(prompt)
            if not stream:
                yield from told.whole(hub().complete(asked, model=self.name, **settings))
                return
            with hub().stream(asked, model=self.name, **settings) as events:
                for event in events:
                    yield from told.events(event)
                told.ended(events.reply())
        except ModelbayError as error:
            raise _as_llm(error) from error


class AsyncModelbayModel(_Described, llm.AsyncModel):  # type: ignore[misc]
    async def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.AsyncResponse, conversation: llm.AsyncConversation | None
    ) -> AsyncGenerator[StreamEvent, None]:
        told = _Reply(response)
        try:
            asked, settings = _asked(prompt)
            if not stream:
                for made in told.whole(await async_hub().complete(asked, model=self.name, **settings)):
                    yield made
                return
            async with async_hub().stream(asked, model=self.name, **settings) as events:
                async for event in events:
                    for made in told.events(event):
                        yield made
                told.ended(await events.reply())
        except ModelbayError as error:
            raise _as_llm(error) from error


class ModelbayEmbeddingModel(EmbeddingModel):
    batch_size = 1000
    """Texts in a batch, which modelbay sends in as many requests as the provider requires."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model_id = f"modelbay/{name}"

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        try:
            yield from hub().embed([str(item) for item in items], model=self.name).vectors
        except ModelbayError as error:
            raise _as_llm(error) from error


def _as_llm(error: ModelbayError) -> llm.ModelError:
    kind = llm.NeedsKeyException if isinstance(error, MissingCredential) else llm.ModelError
    return kind(f"{error.message}\nhint: {error.hint}" if error.hint else error.message)


# --- the prompt ---


def _asked(prompt: llm.Prompt) -> tuple[Conversation, dict[str, Any]]:
    """The conversation that llm asks about, and the settings of the call."""
    settings = Settings(
        tools=[
            Tool(name=tool.name, description=tool.description, schema=tool.input_schema) for tool in prompt.tools or ()
        ]
        or None,
        output_format=OutputFormat("json_schema", schema=prompt.schema, name="output") if prompt.schema else None,
    )
    turns = [turn for message in prompt.messages for turn in _turns(message)]
    return Conversation(turns, settings), prompt.options.model_dump(exclude_none=True)


def _turns(message: Message) -> list[Turn]:
    parts = [made for part in message.parts if (made := _part(part)) is not None]
    if message.role == "tool":
        return [Turn("tool", [part]) for part in parts]
    if message.role not in ("system", "user", "assistant"):
        raise llm.ModelError(f"modelbay has no role {message.role!r}")
    return [Turn(cast(Any, message.role), parts)]


def _part(part: Part) -> AnyPart | None:
    state = (getattr(part, "provider_metadata", None) or {}).get(KEY)
    made: AnyPart
    match part:
        case TextPart():
            made = Text(text=part.text)
        case ReasoningPart(text="", provider_metadata=None):  # a mark that reasoning happened
            return None
        case ReasoningPart():
            made = Thinking(texts=[part.text] if part.text else [])
        case ToolCallPart(server_executed=True):  # of another plug-in: without our state, it is not sent
            made = ServerToolCall(name=part.name, id=part.tool_call_id)
        case ToolResultPart(server_executed=True):
            made = ServerToolResult(call_id=part.tool_call_id)
        case ToolCallPart():
            made = ToolCall.of(part.name, part.arguments, part.tool_call_id)
        case ToolResultPart():
            made = ToolResult(
                call_id=part.tool_call_id,
                name=part.name,
                parts=[Text(text=part.output), *map(_media, part.attachments)],
                is_error=True if part.exception is not None else None,
            )
        case AttachmentPart() if part.attachment is not None:
            return _media(part.attachment)
        case _:
            raise llm.ModelError(f"modelbay has no counterpart of llm's {type(part).__name__}")
    return with_state(made, state)


def _media(attachment: llm.Attachment) -> Media:
    if attachment.url:
        return Media.of(attachment.url, attachment.type)
    if attachment.path and not attachment.content:
        return Media.open(attachment.path)
    return Media.of(attachment.content or b"", attachment.type)


# --- the reply ---


class _Reply:
    """Makes the events of a reply those of llm, and gives llm's response what it keeps besides."""

    def __init__(self, response: llm.Response | llm.AsyncResponse) -> None:
        self._response = response
        self._families: dict[int, str] = {}
        """The type of the events of each part that has begun. A text can end as thinking, and is still a text for llm."""

    def whole(self, reply: Reply) -> Iterator[StreamEvent]:
        for key, part in enumerate(reply.parts):
            yield from self.events(PartStarted(key, part))
            if isinstance(part, Text | Refusal | Thinking):
                yield from self.events(PartDelta(key, part.text))
            yield from self.events(PartEnded(key, part))
        for warning in reply.warnings:
            _warn(warning)
        self.ended(reply)

    def events(self, event: object) -> Iterator[StreamEvent]:
        match event:
            case PartDelta(key=key, text=text) if key in self._families:
                yield StreamEvent(self._families[key], text, part_index=key)
            case PartStarted(key=key, part=part) if type(part) in FAMILY:
                self._families[key] = FAMILY[type(part)]
            case PartEnded(key=key, part=part):
                yield from self._ended(key, part)
            case Warned():
                _warn(event)

    def _ended(self, key: int, part: AnyPart) -> Iterator[StreamEvent]:
        """The state of a part, and all of one that llm does not show while it arrives."""
        state = state_of(part)
        kept = {KEY: state} if state is not None else None
        id = getattr(part, "id", None) or getattr(part, "call_id", None) or f"tc_{self._response.id}_{key}"
        match part:
            case Text() | Refusal() | Thinking():
                # llm drops texts that are empty, but not such reasoning
                family = self._families[key] if part.text else "reasoning"
                if kept is not None:
                    yield StreamEvent(family, "", part_index=key, provider_metadata=kept)
            case ToolCall():
                yield StreamEvent("tool_call_name", part.name, part_index=key, tool_call_id=id, provider_metadata=kept)
                yield StreamEvent("tool_call_args", part.arguments or "{}", part_index=key, tool_call_id=id)
                self._response.add_tool_call(llm.ToolCall(part.name, _arguments(part), id))
            case ServerToolCall() | ServerToolResult():  # in the order of the reply, and not for llm to run
                kind = "tool_call_name" if isinstance(part, ServerToolCall) else "tool_result"
                name = part.name if isinstance(part, ServerToolCall) else ""
                yield StreamEvent(
                    kind, name, part_index=key, tool_call_id=id, server_executed=True, provider_metadata=kept
                )
            case Media():
                raise llm.ModelError(f"the reply contains {part.kind}, which llm cannot show")
            case _:  # llm keeps reasoning without a text where it is
                yield StreamEvent("reasoning", "", part_index=key, provider_metadata=kept)

    def ended(self, reply: Reply) -> None:
        usage, finish = reply.usage, reply.finish or Finished("other")
        if usage is not None:
            counts = {name: getattr(usage, name) for name in usage.__struct_fields__ if name not in ("output", "raw")}
            details = {name: count for name, count in counts.items() if count and name != "input"}
            self._response.set_usage(input=usage.input_total, output=usage.output_total, details=details or None)
        if reply.model:
            self._response.set_resolved_model(reply.model)
        self._response.response_json = {
            "id": reply.id,
            "provider": reply.provider,
            "finish_reason": finish.reason,
            "native_finish_reason": finish.native,
        }
        if finish.reason in ("length", "content_filter", "other"):
            LOG.warning("the reply ended early: %s", finish.native or finish.reason)


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call, which llm has as an object only."""
    try:
        if isinstance(found := call.input, dict):
            return found
    except MalformedReply:
        pass
    raise llm.ModelError(
        f"the model called {call.name} with arguments that are not a JSON object: {call.arguments[:200]}"
    )


def _warn(warning: Warned) -> None:
    LOG.log(logging.INFO if warning.retry else logging.WARNING, warning.message)
