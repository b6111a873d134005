"""A model of Pydantic AI whose requests go through a Hub of modelbay."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias, cast

from pydantic_ai import (
    ModelAPIError,
    ModelHTTPError,
    ModelMessage,
    ModelProfile,
    ModelResponse,
    ModelSettings,
    RunContext,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai import exceptions as theirs
from pydantic_ai.messages import FinishReason, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.native_tools import AbstractNativeTool
from pydantic_ai.output import StructuredOutputMode
from pydantic_ai.profiles import ModelProfileSpec
from pydantic_ai.settings import ToolOrOutput
from pydantic_ai.usage import RequestUsage

from modelbay import (
    Ask,
    Conversation,
    Event,
    Finished,
    Hub,
    OutputFormat,
    PartDelta,
    PartEnded,
    PartStarted,
    Refusal,
    Reply,
    ReplyStream,
    Settings,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
    Usage,
    UsageReported,
    Warned,
    errors,
)
from pydantic_ai_modelbay.messages import citations, details, replied, turns, with_id

LOG = logging.getLogger("pydantic_ai_modelbay")
ASKED = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop_sequences": "stop",
    "extra_headers": "extra_headers",
    "extra_body": "extra_body",
    "service_tier": "service_tier",
    "max_retries": "retries",
}
"""Settings of Pydantic AI, and those of modelbay that have their values."""
FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
HttpCategory: TypeAlias = type[
    theirs.ModelRateLimitError
    | theirs.ModelQuotaExceededError
    | theirs.ModelUnavailableError
    | theirs.ModelServerError
    | theirs.ModelRequestRejectedError
]
CATEGORIES: list[tuple[type[errors.ProviderError], HttpCategory]] = [
    (errors.RateLimited, theirs.ModelRateLimitError),
    (errors.QuotaExhausted, theirs.ModelQuotaExceededError),
    (errors.Overloaded, theirs.ModelOverloadedError),
    (errors.ServerError, theirs.ModelServerError),
    (errors.AuthenticationFailed, theirs.ModelAuthenticationError),
    (errors.PermissionDenied, theirs.ModelAuthenticationError),
    (errors.NotFound, theirs.ModelNotFoundError),
    (errors.ContextOverflow, theirs.ModelContextWindowExceededError),
    (errors.BadRequest, theirs.ModelRequestRejectedError),
    (errors.RequestTooLarge, theirs.ModelRequestRejectedError),
]


class ModelbayModelSettings(ModelSettings, total=False):
    """Settings of a request, with those that only modelbay has."""

    modelbay_settings: Ask
    """Settings of modelbay, such as `effort`, `thinking_budget`, `cache_key` and `timeout`. They replace those of Pydantic AI."""


@cache
def default_hub() -> Hub:
    """The hub of the default configuration, which all models without one of their own share."""
    return Hub.open()


@dataclass(init=False)
class ModelbayModel(Model[Hub]):
    """A model of a configuration of modelbay, which has the API keys, settings and quirks of its provider."""

    unsupported_settings = frozenset({"timeout", "citations"})

    hub: Hub = field(repr=False)
    name: str | None
    """Alias or `provider/model-id`; None: the default model of the hub."""

    def __init__(
        self,
        name: str | None = None,
        *,
        hub: Hub | None = None,
        settings: ModelSettings | None = None,
        profile: ModelProfileSpec | None = None,
    ) -> None:
        """`hub`: that of the model; default: one of the default configuration.

        Raises:
            ConfigError: there is no such model, or the configuration cannot be read.
        """
        self.hub = hub or default_hub()
        self.name = name
        self._facts = self.hub.model(name)
        super().__init__(settings=settings, profile=profile)

    @property
    def model_name(self) -> str:
        return self._facts.id

    @property
    def system(self) -> str:
        """The ID of the provider in modelbay."""
        return self._facts.provider

    @classmethod
    def supported_native_tools(cls) -> frozenset[type[AbstractNativeTool]]:
        return frozenset()

    def _provider_model_profile(self) -> ModelProfile:
        """The facts that modelbay has about the model. Unknown capabilities count as present, so that they can be tried."""
        can = self._facts.can
        tools, schemas = can("tool_use") is not False, can("structured_output") is not False
        mode: StructuredOutputMode = "tool" if tools else "native" if schemas else "prompted"
        return ModelProfile(
            supports_tools=tools,
            supports_json_schema_output=schemas,
            default_structured_output_mode=mode,
            supports_image_output=can("image_out") is True,
            supports_image_input=can("image_in") is not False,
            supports_document_input=can("document_in") is not False,
            supports_audio_file_input=can("audio_in") is not False,
            supports_video_input=can("video_in") is not False,
            supports_thinking=can("thinking") is not False or can("always_thinking") is True,
            thinking_always_enabled=can("always_thinking") is True,
            forced_tool_choice_disables_thinking=True,  # in some protocols: a request that thinks forces no output tool
            context_window=self._facts.max_context_tokens,
        )

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        check_allow_model_requests()
        asked, settings = await self._asked(messages, model_settings, model_request_parameters)
        with _errors_as_theirs(self.model_name):
            reply = await self.hub.complete(asked, model=self.name, **settings)
        for warning in reply.warnings:
            _warn(warning)
        return ModelResponse(
            parts=[replied(part) for part in reply.parts],
            usage=_usage(reply.usage),
            model_name=reply.model or self.model_name,
            provider_name=self.system,
            provider_response_id=reply.id,
            **_ending(reply),
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        check_allow_model_requests()
        asked, settings = await self._asked(messages, model_settings, model_request_parameters)
        with _errors_as_theirs(self.model_name):
            stream = self.hub.stream(asked, model=self.name, **settings)
        async with stream:
            with _errors_as_theirs(self.model_name):  # a call that fails must do so before the stream is returned
                while isinstance(first := await anext(stream, None), Warned):
                    _warn(first)
            yield ModelbayStreamedResponse(model_request_parameters, self.model_name, self.system, stream, first)

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """The input tokens: counted by the provider, or estimated if it cannot count them."""
        check_allow_model_requests()
        asked, settings = await self._asked(messages, model_settings, model_request_parameters)
        with _errors_as_theirs(self.model_name):
            found = await self.hub.count(asked, model=self.name, **settings)
        return RequestUsage(input_tokens=found.tokens)

    async def _asked(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> tuple[Conversation, Ask]:
        settings, parameters = self.prepare_request(settings, parameters)
        given = cast(dict[str, Any], settings or {})
        with _errors_as_theirs(self.model_name):
            asked = await turns(messages)
        instructions = [
            Turn("system", [Text(text=p.content)]) for p in self._get_instruction_parts(messages, parameters) or ()
        ]
        start = next((place for place, turn in enumerate(asked) if turn.role != "system"), len(asked))
        asked[start:start] = instructions
        tools = [
            Tool(name=tool.name, description=tool.description, schema=tool.parameters_json_schema, strict=tool.strict)
            for tool in parameters.declared_tool_defs.values()
        ]
        conversation = Conversation(
            asked,
            Settings(
                tools=tools or None,
                tool_choice=_tool_choice(given, parameters) if tools else None,
                output_format=_output_format(parameters),
                logit_bias=given.get("logit_bias"),
            ),
        )
        ask = {ours: given[name] for name, ours in ASKED.items() if given.get(name) is not None}
        if parameters.thinking is not None:
            levels: dict[Any, str] = {True: "on", False: "off"}
            ask["effort"] = levels.get(parameters.thinking, parameters.thinking)
        return conversation, cast(Ask, {**ask, **given.get("modelbay_settings", {})})


def _output_format(parameters: ModelRequestParameters) -> OutputFormat | None:
    wanted = parameters.output_object
    if parameters.output_mode != "native" or wanted is None:
        return None
    return OutputFormat(
        "json_schema",
        schema=wanted.json_schema,
        name=wanted.name or "output",
        description=wanted.description,
        strict=wanted.strict,
    )


def _tool_choice(settings: dict[str, Any], parameters: ModelRequestParameters) -> ToolChoice:
    """The choice between functions of the user and those that take the output."""
    asked = settings.get("tool_choice")
    outputs = [tool.name for tool in parameters.output_tools]
    required = not (parameters.allow_text_output or parameters.allow_image_output) and not parameters.thinking
    names: list[str] | None = None
    match asked:
        case "required":
            required = True
        case "none" | []:
            names = outputs
        case list():
            names, required = asked, True
        case ToolOrOutput():
            names = [*asked.function_tools, *outputs]
    parallel = settings.get("parallel_tool_calls")
    if names is None:
        return ToolChoice("required" if required else None, parallel=parallel)
    if not names:
        return ToolChoice("none", parallel=parallel)
    known = parameters.declared_tool_defs
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"`tool_choice` names tools that the model does not have: {', '.join(unknown)}")
    return ToolChoice("allowed", names=names, required=required, parallel=parallel)


# --- replies ---


def _ending(reply: Reply) -> dict[str, Any]:
    """The finish reason of a reply, and details of it."""
    finish = reply.finish or Finished("other")
    found: dict[str, Any] = {"finish_reason": finish.native or finish.reason}
    if finish.stop_sequence is not None:
        found["stop_sequence"] = finish.stop_sequence
    if said := [warning.message for warning in reply.warnings if not warning.retry]:
        found["warnings"] = said
    reason = "refusal" if reply.refusal else finish.reason
    return {"finish_reason": FINISHED.get(reason), "provider_details": found}


def _usage(usage: Usage | None) -> RequestUsage:
    if usage is None:
        return RequestUsage(unmeasured_requests=1)
    return RequestUsage(
        input_tokens=usage.input_total,
        cache_read_tokens=usage.cache_read or 0,
        cache_write_tokens=(usage.cache_write or 0) + (usage.cache_write_1h or 0),
        output_tokens=usage.output_total,
        output_reasoning_tokens=usage.reasoning or 0,
        details={"web_searches": usage.web_searches} if usage.web_searches else {},
    )


@dataclass
class ModelbayStreamedResponse(StreamedResponse):
    _model_name: str
    _provider_name: str
    _stream: ReplyStream
    _first: Event | None
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    _usage_received: bool | None = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _texts: set[int] = field(default_factory=set, init=False)
    """The parts that are shown as text. One can end as thinking, if only a closing tag reveals that."""

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        with _errors_as_theirs(self._model_name, in_stream=True):
            event = self._first
            while event is not None:
                for made in self._events(event):
                    yield made
                event = await anext(self._stream, None)
            if self._closed:
                return
            for name, value in _ending(await self._stream.reply()).items():
                setattr(self, name, value)

    def _events(self, event: Event) -> Iterator[ModelResponseStreamEvent]:
        parts = self._parts_manager
        match event:
            case PartDelta(kind="text" | "refusal"):
                self._texts.add(event.key)
                yield from parts.handle_text_delta(vendor_part_id=event.key, content=event.text)
            case PartDelta(kind="thinking"):
                yield from parts.handle_thinking_delta(vendor_part_id=event.key, content=event.text)
            case PartDelta(kind="arguments"):
                yield from parts.handle_tool_call_delta_events(vendor_part_id=event.key, args=event.text)
            case PartStarted(key, ToolCall() as part):
                yield from parts.handle_tool_call_delta_events(
                    vendor_part_id=key, tool_name=part.name or None, **with_id(part.id)
                )
            case PartEnded(key, part):
                yield from self._ended(key, part)
            case UsageReported(usage):
                self._add_usage(_usage(usage), reported=True, cumulative=True)
            case Started():
                self.provider_response_id = event.id
                self._model_name = event.model or self._model_name
            case Warned():
                _warn(event)

    def _ended(self, key: int, part: Any) -> Iterator[ModelResponseStreamEvent]:
        """The state of a part that was shown, or a part that is shown only now."""
        parts, kept = self._parts_manager, details(part)
        match part:
            case Text() | Refusal() | Thinking() if key in self._texts or not isinstance(part, Thinking):
                if kept:
                    found = None if isinstance(part, Thinking) else citations(part)
                    yield from parts.handle_text_delta(vendor_part_id=key, content="", citations=found, **kept)
            case Thinking():
                content = None if part.text else ""
                yield from parts.handle_thinking_delta(
                    vendor_part_id=key, content=content, id=part.item_id, signature=part.opaque, **kept
                )
            case ToolCall():
                if kept:
                    yield from parts.handle_tool_call_delta_events(vendor_part_id=key, **kept)
            case _:
                yield parts.handle_part(vendor_part_id=key, part=replied(part))

    async def close_stream(self) -> None:
        self._closed = True
        await self._stream.aclose()

    @property
    def model_name(self) -> str:
        return self._model_name

    @property
    def provider_name(self) -> str:
        return self._provider_name

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._timestamp


def _warn(warning: Warned) -> None:
    LOG.log(logging.INFO if warning.retry else logging.WARNING, warning.message)


# --- errors ---


@contextmanager
def _errors_as_theirs(model: str, *, in_stream: bool = False) -> Iterator[None]:
    try:
        yield
    except errors.ModelbayError as error:
        raise _as_theirs(error, model, in_stream) from error


def _as_theirs(error: errors.ModelbayError, model: str, in_stream: bool) -> Exception:
    said = f"{error.message} ({error.hint})" if error.hint else error.message
    match error:
        case errors.ProviderError():
            category = next((found for ours, found in CATEGORIES if isinstance(error, ours)), None)
            facts: dict[str, Any] = {
                "body": error.body or None,
                "provider_error_code": error.code,
                "provider_error_type": error.type,
                "retry_after": error.retry_after,
                "in_stream": in_stream,
            }
            if error.status is None:
                return (category or ModelAPIError)(model, said, **facts)
            facts["body"] = error.body or error.message
            return ModelHTTPError.for_category(
                category, status_code=error.status, model_name=model, headers=error.headers, hint=error.hint, **facts
            )
        case errors.TimedOut():
            return theirs.ModelTimeoutError(model, said, in_stream=in_stream)
        case errors.TransportError():
            connecting = isinstance(error, errors.ConnectFailed)
            return theirs.ModelConnectionError(
                model, said, phase="connect" if connecting else None, in_stream=in_stream
            )
        case errors.ReplyError():
            return UnexpectedModelBehavior(said)
    return UserError(said)  # of the configuration, or of a setting that the model does not have
