"""How one vendor departs from its protocol: data, never code. The rows stand in `providers/presets/*.toml`.

Every field's default is the plain protocol. A codec reads fields; it never asks who the vendor is.
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.conversation import Extra

ReasoningControl: TypeAlias = Literal[
    "reasoning_effort",
    "reasoning",
    "thinking",
    "thinking.effort",
    "thinking+reasoning_effort",
    "enable_thinking",
    "none",
]
"""How Chat Completions is told how much to think: `reasoning_effort: "low"`; OpenRouter's `reasoning: {effort}`;
`thinking: {type}` (Z.ai); with the effort inside (Moonshot) or beside it (DeepSeek); `enable_thinking` and
`thinking_budget` (Qwen); not at all."""


class Dialect(Struct, omit_defaults=True, frozen=True):
    vendor: str = ""
    """The preset's id; "" for an endpoint nobody knows."""

    # requests
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] | None = None
    """None: as the client spelled it, else `max_tokens`, else by the model's family."""
    reasoning_control: ReasoningControl | None = None
    """None: as the client spelled it, else `reasoning_effort`."""
    efforts: dict[str, str] = field(default_factory=dict)
    """Its word for an effort, where it is another one: `{"max": "xhigh"}` (OpenRouter)."""
    seed_parameter: Literal["seed", "random_seed"] = "seed"
    """Mistral says `random_seed`."""
    reasoning_echo: Literal["seen", "never", "always", "tags"] = "seen"
    """Whether an assistant's reasoning goes back: under the field it came in; never (DeepSeek R1 400s on it); on every
    assistant turn, blank where there is none (Kimi and DeepSeek 400 without it); as `<think>` in the content (Cerebras's
    GLM)."""
    reasoning_field: str | None = None
    """The field reasoning is echoed in when it came from elsewhere; None: `reasoning_content`."""
    developer_role: bool = True
    """Takes `developer` messages; else they are sent as `system`."""
    system_role: bool = True
    """Takes system messages; else they are sent as part of the user's first message (o1-mini, Gemma)."""
    temperature_with_top_p: bool | None = None
    """Takes `temperature` and `top_p` together; else `top_p` is left out. None: not known, which Claude refuses."""
    least_temperature: float | None = None
    """The lowest temperature (MiniMax refuses 0)."""
    most_temperature: float | None = None
    """The highest temperature, where it is lower than the protocol's."""
    user_length: int | None = None
    """Characters of `user` at most; a longer one is sent as its hash. None: what the protocol's maker takes."""
    most_stops: int | None = None
    """Stop sequences at most; more are refused by name."""
    unsupported: list[str] = field(default_factory=list)
    """Body parameters that it refuses; left out, and reported."""
    tool_choices: list[str] = field(default_factory=lambda: ["auto", "none", "required", "tool"])
    """Those that it takes; "tool" is one by its name."""
    required_word: str = "required"
    """What forces a call: Mistral and Fireworks say "any"."""
    strict_tools: bool = True
    """Takes `strict` on a tool."""
    schema: Literal["full", "openapi", "typed"] = "full"
    """JSON Schema as it is; Gemini's OpenAPI subset; every property typed and `$ref`s inlined (Kimi)."""
    tool_id: str | None = None
    """A pattern that every tool call id must match; others are replaced, the same id always by the same one."""
    call_ids: bool = True
    """Gemini: takes the ids of calls and results; else they are matched by name and order (Vertex's v1 refuses them)."""
    tool_name: str | None = None
    """A pattern that every tool's name must match; others are shortened, with a hash. None: the protocol's own limit."""
    namespaces: bool = True
    """Responses: takes tools in namespaces; else each is sent as a function of its own."""
    text_only_content: bool = False
    """Message content must be a string (DeepSeek, Groq for some roles)."""
    media_by_url: bool = True
    """Fetches images by URL itself; else they are sent as bytes."""
    video_upload: str | None = None
    """Videos are uploaded to `/files` and sent as this URL, as "ms://{id}" (Moonshot)."""
    omit_empty_content: bool = False
    """An assistant message with calls must not carry blank content (Kimi: "text content is empty")."""
    tool_result_media: bool = False
    """Takes images inside a tool message; else they follow in a user message."""
    merge_turns: bool = False
    """Roles must strictly alternate (Perplexity, Mistral, R1)."""
    cache_marks: bool = False
    """Takes `cache_control` on content parts (OpenRouter, Qwen, MiniMax)."""
    cache_breakpoints: bool = False
    """Takes `prompt_cache_breakpoint` on content parts (OpenAI)."""
    cache_ttl: bool = True
    """Takes a time to live in a cache mark (compatible Anthropic hosts 400 on it)."""
    include_usage: bool = True
    """Takes `stream_options.include_usage`."""
    stream_only: bool = False
    """Thinks only when streaming; whole replies are streamed and collected (Qwen's open models)."""
    json_schema: bool = True
    """Takes `response_format: json_schema`; else JSON mode with the schema in the prompt."""
    body: Extra = field(default_factory=dict)
    """Fields every request carries (`anthropic_version` on Vertex, `reasoning_split` for MiniMax)."""
    model_in_body: bool = True
    """The body names the model; else the URL does (Azure deployments, Claude on Vertex)."""
    prompt_cache_key: bool = False
    """Takes `prompt_cache_key`."""
    adaptive_thinking: bool = True
    """Anthropic: knows `thinking: {type: "adaptive"}`; else a budget is sent."""

    # replies
    think_tags: bool = False
    """Thinking comes as `<think>` tags inside the text."""
    reasoning_in_output: bool = True
    """`completion_tokens` contains the reasoning tokens (not so at xAI)."""
    merge_choices: bool = False
    """One answer comes as several choices (GitHub Copilot: text and calls apart)."""
    ends_without_finish: bool = False
    """Its streams may end with no finish reason and no `[DONE]` (Snowflake, some proxies)."""


PLAIN = Dialect()
