"""A chat model of LangChain whose calls go through a Hub of modelbay."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.output_parsers import (
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from langchain_modelbay.hubs import Hubs, default_hubs, errors_as_theirs
from langchain_modelbay.messages import KEY, block, id_of, message_of, metadata_of, turns, usage_of
from modelbay import (
    Conversation,
    Hub,
    OutputFormat,
    PartDelta,
    PartEnded,
    PartStarted,
    Reply,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Warned,
    errors,
    state_of,
    sync,
)

LOG = logging.getLogger("langchain_modelbay")
SHOWN = {"text": ("text", "text"), "refusal": ("refusal", "refusal"), "thinking": ("reasoning", "reasoning")}
"""The type of the block of a delta, and its field, by the kind of the delta."""


class ChatModelbay(BaseChatModel):
    """A model of a configuration of modelbay, which has the API keys, settings and quirks of its provider.

    The content of messages is a list of LangChain's standard content blocks (`output_version` "v1"); `message.text` is the text.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str | None = None
    """Alias or `provider/model-id`; None: the default model of the hub."""
    hub: Hub | sync.Hub | None = Field(default=None, exclude=True)
    """Default: a hub of the default configuration."""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    """Maximum seconds for a whole call."""
    max_retries: int | None = None
    stop: list[str] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Other settings of modelbay's calls, such as `effort`. They can also be passed to a call, or with `bind`."""
    streaming: bool = False
    """Whether `invoke` streams, too."""
    output_version: str | None = "v1"

    _hubs: Hubs | None = PrivateAttr(default=None)

    @property
    def _both(self) -> Hubs:
        if self._hubs is None:
            self._hubs = default_hubs() if self.hub is None else Hubs(self.hub)
        return self._hubs

    @property
    def _llm_type(self) -> str:
        return KEY

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that a reply depends on, for caches."""
        own = {name: getattr(self, name) for name in ("model", "temperature", "max_tokens", "stop", "settings")}
        return {**own, "config": str(self._both.blocking.config.path)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        config = self._both.blocking.config
        name = kwargs.get("model") or self.model or config.default_model or ""
        found = LangSmithParams(ls_provider=KEY, ls_model_type="chat", ls_model_name=name)
        if self.temperature is not None:
            found["ls_temperature"] = self.temperature
        if self.max_tokens is not None:
            found["ls_max_tokens"] = self.max_tokens
        if stop := stop or self.stop:
            found["ls_stop"] = stop
        return found

    def _resolve_model_profile(self) -> ModelProfile | None:
        """The facts that modelbay has about the model; None if there is no such model, as its call reports."""
        try:
            facts = self._both.blocking.model(self.model)
        except errors.ConfigError:
            return None
        can = facts.can
        found = {
            "name": facts.name,
            "max_input_tokens": facts.max_input_tokens or facts.max_context_tokens,
            "max_output_tokens": facts.max_output_tokens,
            "image_inputs": can("image_in"),
            "audio_inputs": can("audio_in"),
            "video_inputs": can("video_in"),
            "pdf_inputs": can("document_in"),
            "image_outputs": can("image_out"),
            "audio_outputs": can("audio_out"),
            "reasoning_output": can("thinking"),
            "reasoning_effort_levels": facts.efforts,
            "reasoning_effort_default": facts.default_effort,
            "tool_calling": can("tool_use"),
            "structured_output": can("structured_output"),
            "temperature": can("temperature"),
        }
        return cast(ModelProfile, {name: value for name, value in found.items() if value is not None})

    # --- calls ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with errors_as_theirs():
            asked, settings = self._asked(messages, stop, kwargs)
            return _result(self._both.blocking.complete(asked, **settings))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with errors_as_theirs():
            asked, settings = self._asked(messages, stop, kwargs)
            return _result(await self._both.asynchronous.complete(asked, **settings))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with errors_as_theirs():
            asked, settings = self._asked(messages, stop, kwargs)
            chunks = _Chunks()
            with self._both.blocking.stream(asked, **settings) as stream:
                for event in stream:
                    yield from chunks.of(event)
                yield chunks.last(stream.reply())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with errors_as_theirs():
            asked, settings = self._asked(messages, stop, kwargs)
            chunks = _Chunks()
            async with self._both.asynchronous.stream(asked, **settings) as stream:
                async for event in stream:
                    for chunk in chunks.of(event):
                        yield chunk
                yield chunks.last(await stream.reply())

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """The input tokens: counted by the provider, or estimated if it cannot count them."""
        with errors_as_theirs():
            converted = [convert_to_openai_tool(tool) for tool in tools or ()]
            asked, settings = self._asked(messages, None, {"tools": converted, **kwargs})
            return self._both.blocking.count(asked, **settings).tokens

    def get_num_tokens(self, text: str) -> int:
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[Conversation, dict[str, Any]]:
        """The conversation, and the settings of its call: those of the model, replaced by those of the call."""
        given = {name: value for name, value in kwargs.items() if name != "stream"}
        tools = [_tool(tool) for tool in given.pop("tools", None) or ()]
        parallel = given.pop("parallel_tool_calls", None)
        choice = _tool_choice(given.pop("tool_choice", None), parallel) if tools else None
        if (retries := given.pop("max_retries", self.max_retries)) is not None:
            given["retries"] = retries
        own = {name: getattr(self, name) for name in ("model", "temperature", "max_tokens", "timeout")}
        stop = stop or self.stop or None
        settings = {**own, **self.settings, **({"stop": stop} if stop else {}), **given}
        return Conversation(turns(messages), Settings(tools=tools or None, tool_choice=choice)), settings

    # --- tools and structured output ---

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to the model. `tool_choice`: "auto", "none", "any", the name of a tool, or a choice in OpenAI's form."""
        converted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        given = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, **kwargs}
        return self.bind(tools=converted, **{name: value for name, value in given.items() if value is not None})

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model with answers as values of a schema: a class of pydantic, a TypedDict, or a JSON Schema."""
        if kwargs:
            raise ValueError(f"with_structured_output does not accept {', '.join(kwargs)}")
        described = convert_to_openai_tool(schema)
        traced = {"kwargs": {"method": method, "strict": strict}, "schema": described}
        name = described["function"]["name"]
        is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
        parser: Runnable[Any, Any]
        if method == "function_calling":
            llm = self.bind_tools([schema], tool_choice=name, strict=strict, ls_structured_output_format=traced)
            parser = (
                PydanticToolsParser(tools=[cast(type[BaseModel], schema)], first_tool_only=True)
                if is_model
                else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
            )
        elif method in ("json_schema", "json_mode"):
            wanted = OutputFormat("json")
            if method == "json_schema":
                wanted = OutputFormat("json_schema", convert_to_json_schema(schema), name=name, strict=strict)
            llm = self.bind(output_format=wanted, ls_structured_output_format=traced)
            parser = (
                PydanticOutputParser(pydantic_object=cast(type[BaseModel], schema)) if is_model else JsonOutputParser()
            )
        else:
            raise ValueError(f"method must be json_schema, function_calling or json_mode, not {method!r}")
        if not include_raw:
            return llm | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _tool(tool: dict[str, Any]) -> Tool:
    """A tool in OpenAI's form, as `bind_tools` makes it."""
    if tool.get("type") != "function":
        raise ValueError(f"modelbay has no counterpart of the tool {tool.get('type')!r}: pass it in `extra_body`")
    function = tool["function"]
    return Tool(
        name=function["name"],
        description=function.get("description"),
        schema=function.get("parameters") or {"type": "object", "properties": {}},
        strict=function.get("strict"),
    )


def _tool_choice(asked: Any, parallel: bool | None) -> ToolChoice | None:
    match asked:
        case None | False:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case "auto" | "none":
            return ToolChoice(cast(Any, asked), parallel=parallel)
        case "any" | "required" | True | {"type": "any"}:
            return ToolChoice("required", parallel=parallel)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool", "name": str(name)} | str(name):
            return ToolChoice("tool", names=[name], parallel=parallel)
    raise ValueError(f"not a choice of tools: {asked!r}")


# --- replies ---


def _result(reply: Reply) -> ChatResult:
    for warning in reply.warnings:
        _warn(warning)
    return ChatResult(generations=[ChatGeneration(message=message_of(reply))])


class _Chunks:
    """Makes the events of a reply chunks of LangChain, which it joins by the `index` of their blocks."""

    def __init__(self) -> None:
        self._shown: dict[int, tuple[str, str]] = {}
        """The type and the field of the blocks of each part that is shown. A text can end as thinking, and stays a text here."""

    def of(self, event: object) -> Iterator[ChatGenerationChunk]:
        match event:
            case PartDelta(kind="arguments") if event.key in self._shown:
                yield self._call(event.key, args=event.text)
            case PartDelta(kind=kind) if kind in SHOWN:
                type, field = self._shown.setdefault(event.key, SHOWN[kind])
                yield _chunk({"type": type, field: event.text, "index": event.key})
            case PartStarted(key, ToolCall() as part):
                self._shown[key] = ("tool_call_chunk", "args")
                yield self._call(key, id=id_of(part), name=part.name, args="")
            case PartEnded(key, part):
                yield from self._ended(key, part)
            case Warned():
                _warn(event)

    def _ended(self, key: int, part: Any) -> Iterator[ChatGenerationChunk]:
        """The rest of a part that was shown, or a part that is shown only now."""
        type, field = self._shown.get(key, ("", ""))
        if not type:
            yield _chunk({**block(part), "index": key})
            return
        state = state_of(part)
        more: dict[str, Any] = {} if state is None else {"extras": {KEY: state}}
        if isinstance(part, Text) and part.annotations:
            more["annotations"] = block(part)["annotations"]
        if more:
            yield _chunk({"type": type, field: "", "index": key, **more})

    def _call(self, key: int, *, args: str, id: str | None = None, name: str | None = None) -> ChatGenerationChunk:
        made = {"type": "tool_call_chunk", "id": id, "name": name, "args": args, "index": key}
        return _chunk(made, [cast(ToolCallChunk, made)])

    def last(self, reply: Reply) -> ChatGenerationChunk:
        metadata = metadata_of(reply)
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content=[], usage_metadata=usage_of(reply.usage), response_metadata=metadata, chunk_position="last"
            )
        )


def _chunk(made: dict[str, Any], calls: list[ToolCallChunk] | None = None) -> ChatGenerationChunk:
    metadata = {"model_provider": KEY, "output_version": "v1"}
    return ChatGenerationChunk(
        message=AIMessageChunk(content=[made], tool_call_chunks=calls or [], response_metadata=metadata)
    )


def _warn(warning: Warned) -> None:
    LOG.log(logging.INFO if warning.retry else logging.WARNING, warning.message)
