"""The type of an Anthropic request, as far as it is read; other fields may be anything."""

from typing import Any, Required, TypeAlias, TypedDict

_Object: TypeAlias = dict[str, Any] | None


class _Message(TypedDict, total=False):
    role: str


class _Tool(TypedDict, total=False):
    type: str | None
    name: str | None
    description: str | None
    strict: bool | None
    cache_control: _Object


class _Choice(TypedDict, total=False):
    type: str
    name: str
    disable_parallel_tool_use: bool | None


class _Thinking(TypedDict, total=False):
    type: str
    budget_tokens: int | None
    display: str | None


class _OutputConfig(TypedDict, total=False):
    effort: str | None
    format: _Object


class _Metadata(TypedDict, total=False):
    user_id: str | None


class MessagesBody(TypedDict, total=False):
    model: str | None
    messages: Required[list[_Message]]
    system: str | list[dict[str, Any]] | None
    max_tokens: int | None
    stream: bool | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop_sequences: list[str] | None
    service_tier: str | None
    cache_control: _Object
    tools: list[_Tool] | None
    tool_choice: str | _Choice | None
    thinking: _Thinking | None
    output_config: _OutputConfig | None
    output_format: _Object
    metadata: _Metadata | None
