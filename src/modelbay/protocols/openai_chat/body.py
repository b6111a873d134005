"""The type of a Chat Completions request, as far as it is read; other fields may be anything."""

from typing import Any, Required, TypeAlias, TypedDict

_Object: TypeAlias = dict[str, Any] | None


class _CalledFunction(TypedDict, total=False):
    name: str | None


class _Call(TypedDict, total=False):
    id: str | None
    type: str | None
    function: _CalledFunction | None
    custom: _CalledFunction | None


class _Message(TypedDict, total=False):
    role: str
    name: str | None
    tool_call_id: str | None
    tool_calls: list[_Call] | None
    function_call: _CalledFunction | None
    audio: _Object


class _Function(TypedDict, total=False):
    name: Required[str]
    description: str | None
    strict: bool | None


class _Custom(TypedDict, total=False):
    name: Required[str]
    description: str | None
    format: _Object


class _Tool(TypedDict, total=False):
    type: str | None
    name: str | None
    function: _Function | None
    custom: _Custom | None
    cache_control: _Object


class _Schema(TypedDict, total=False):
    name: str | None
    description: str | None
    strict: bool | None


class _Format(TypedDict, total=False):
    type: str
    json_schema: _Schema | None


class _Reasoning(TypedDict, total=False):
    enabled: bool | None
    effort: str | None
    max_tokens: int | None
    exclude: bool | None


class _Thinking(TypedDict, total=False):
    type: str | None
    effort: str | None
    budget_tokens: int | None


class _StreamOptions(TypedDict, total=False):
    include_usage: bool | None


class ChatBody(TypedDict, total=False):
    model: str | None
    messages: Required[list[_Message]]
    stream: bool | None
    stream_options: _StreamOptions | None
    tools: list[_Tool] | None
    functions: list[_Function] | None
    tool_choice: str | _Object
    function_call: str | _Object
    parallel_tool_calls: bool | None
    response_format: _Format | None
    stop: str | list[str] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: _Object
    logprobs: bool | None
    top_logprobs: int | None
    n: int | None
    modalities: list[str] | None
    verbosity: str | None
    service_tier: str | None
    metadata: _Object
    prompt_cache_key: str | None
    max_tokens: int | None
    max_completion_tokens: int | None
    seed: int | None
    random_seed: int | None
    user: str | None
    safety_identifier: str | None
    reasoning_effort: str | None
    reasoning: _Reasoning | None
    thinking: _Thinking | None
    enable_thinking: bool | None
    thinking_budget: int | None
