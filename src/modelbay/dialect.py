"""How a vendor's API differs from its protocol: data, never code. The rows are in `providers/presets/*.toml`.

The default of every field is the plain protocol. A codec reads fields; it never asks which vendor it is.
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
"""How Chat Completions requests express the reasoning effort. `reasoning_effort`: `reasoning_effort: "low"`. `reasoning`:
OpenRouter's `reasoning: {effort}`. `thinking`: `thinking: {type}` (Z.ai). `thinking.effort`: the effort inside it (Moonshot).
`thinking+reasoning_effort`: both fields (DeepSeek). `enable_thinking`: `enable_thinking` and `thinking_budget` (Qwen). `none`:
not at all.
"""


class Dialect(Struct, omit_defaults=True, frozen=True):
    vendor: str = ""
    """ID of the preset; "" for an unknown endpoint."""

    # requests
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] | None = None
    """Name of the parameter for maximum output tokens. Default: the client's, otherwise `max_tokens` or the name that
    the model's family requires."""
    reasoning_control: ReasoningControl | None = None
    """Parameter for the reasoning effort. Default: the client's, otherwise `reasoning_effort`."""
    efforts: dict[str, str] = field(default_factory=dict)
    """The vendor's names of reasoning efforts, if they differ: `{"max": "xhigh"}` (OpenRouter)."""
    seed_parameter: Literal["seed", "random_seed"] = "seed"
    """Name of the parameter for the seed; Mistral uses `random_seed`."""
    reasoning_echo: Literal["seen", "never", "always", "tags"] = "seen"
    """How reasoning is sent back in assistant messages. `seen`: in the field it was received in. `never`: not at all (DeepSeek R1
    returns 400 for it). `always`: in every assistant message, empty if there is none (Kimi and DeepSeek return 400 without it).
    `tags`: as `<think>` in the content (Cerebras's GLM)."""
    reasoning_field: str | None = None
    """Field for reasoning in replies, and for reasoning of another protocol or vendor in requests. Default: `reasoning_content`;
    replies may also have `reasoning` or `reasoning_text`."""
    developer_role: bool = True
    """Accepts `developer` messages. If false, they are sent as `system`."""
    system_role: bool = True
    """Accepts system messages. If false, they become part of the first user message (o1-mini, Gemma)."""
    temperature_with_top_p: bool | None = None
    """Accepts `temperature` and `top_p` together. If false, `top_p` is left out. Default: true; false at Anthropic."""
    least_temperature: float | None = None
    """Minimum temperature (MiniMax rejects 0)."""
    most_temperature: float | None = None
    """Maximum temperature, if it is lower than the protocol's."""
    user_length: int | None = None
    """Maximum length of `user` in characters. A longer value is sent as its hash. Default: the limit of the protocol's vendor."""
    metadata: bool = False
    """Accepts `metadata` in Chat Completions without `store`, which OpenAI requires. If false, `metadata` of clients of other
    protocols is left out with a warning."""
    most_stops: int | None = None
    """Maximum number of stop sequences. For a request with more, modelbay cuts the answer itself."""
    unsupported: list[str] = field(default_factory=list)
    """Body parameters that the vendor rejects. They are left out with a warning."""
    tool_choices: list[str] = field(default_factory=lambda: ["auto", "none", "required", "tool"])
    """Accepted values of `tool_choice`; "tool" is a tool by name. If no tool call can be forced, the system prompt
    asks for one."""
    required_word: str = "required"
    """Value of `tool_choice` that forces a tool call. Mistral and Fireworks use "any"."""
    parallel_tool_calls: bool = True
    """The model makes several tool calls in one reply. If false, requests with tools ask for one at a time."""
    parallel_call_history: bool = True
    """Accepts several tool calls in one message. If false, each call is sent with its result, one after the other (chat templates
    of Llama 3)."""
    strict_tools: bool = True
    """Accepts `strict` on a tool."""
    schema: Literal["full", "openapi", "typed"] = "full"
    """Accepted JSON Schema: `full`; `openapi`, Gemini's OpenAPI subset; `typed`, with a type for every property and
    without `$ref` (Kimi)."""
    tool_id: str | None = None
    """Regular expression for tool call IDs. Other IDs are replaced; the same ID always gets the same replacement."""
    call_ids: bool = True
    """Gemini: accepts IDs of calls and results. If false, results are matched by name and order (Vertex AI's v1 rejects IDs)."""
    tool_name: str | None = None
    """Regular expression for tool names. Other names are shortened with a hash. Default: the protocol's limit."""
    namespaces: bool = True
    """Responses: accepts tools in namespaces, and searches for tools that the client runs (`tool_search`). If false, each tool and
    the search are sent as separate functions."""
    freeform_tools: bool = False
    """OpenAI's protocols: accepts freeform tools (`type: custom`), whose input is text. If false, each one is sent as a function
    with one string."""
    compaction: bool = False
    """Responses: replaces a conversation by an item that only the provider can read (`compaction_trigger`). If false, the gateway
    asks the model for a summary."""
    text_only_content: bool = False
    """Message content must be a string (DeepSeek; Groq for some roles)."""
    media_by_url: bool = True
    """Downloads images by URL. If false, modelbay sends their bytes."""
    video_upload: str | None = None
    """URL template for uploaded videos, such as "ms://{id}" (Moonshot): modelbay uploads videos to `/files` and sends this URL."""
    omit_empty_content: bool = False
    """Rejects empty content in an assistant message with tool calls (Kimi: "text content is empty")."""
    tool_result_media: bool = False
    """Accepts images in a tool message. If false, they are sent in a user message after it."""
    merge_turns: bool = False
    """Requires strictly alternating roles (Perplexity, Mistral, R1)."""
    cache_marks: bool = False
    """Accepts `cache_control` on content parts (OpenRouter, Qwen, MiniMax)."""
    cache_control: bool = True
    """Anthropic: accepts `cache_control`. If false, cache marks are left out with a warning."""
    cache_breakpoints: bool = False
    """Accepts `prompt_cache_breakpoint` on content parts (OpenAI)."""
    cache_ttl: bool = True
    """Accepts a time to live in a cache mark (some Anthropic-compatible hosts return 400 for it)."""
    include_usage: bool = True
    """Accepts `stream_options.include_usage`."""
    stream_only: bool = False
    """Thinks only when streaming. A request without streaming is streamed and collected (Qwen's open models)."""
    json_schema: bool = True
    """Accepts a JSON Schema for the output. If false, JSON mode is used with the schema in the system prompt."""
    json_mode: bool = True
    """Accepts JSON mode (`json_object`). If false, only the system prompt asks for JSON."""
    body: Extra = field(default_factory=dict)
    """Fields added to every request body (`anthropic_version` on Vertex AI, `reasoning_split` for MiniMax)."""
    model_in_body: bool = True
    """The body names the model. If false, the URL does (Azure deployments, Claude on Vertex AI)."""
    keeps_responses: bool = False
    """Keeps responses, so that `previous_response_id` and `store` are sent on to it. If false, the gateway keeps them itself."""
    hosted_search: bool = True
    """Runs the web search tool of its protocol itself. If false, the search back end of `[gateway.search]` does."""
    prompt_cache_key: bool = False
    """Accepts `prompt_cache_key`."""
    prompt_cache_retention: bool = False
    """Accepts `prompt_cache_retention`."""
    verbosity: bool = False
    """Chat Completions: accepts `verbosity`, the length of the answer."""
    adaptive_thinking: bool = True
    """Anthropic: accepts `thinking: {type: "adaptive"}`. If false, a token budget is sent."""

    # embeddings
    embedding_texts: int = 100
    """Maximum number of texts in a request for embeddings. More texts are sent in several requests."""
    embedding_tokens: int = 300_000
    """Maximum number of tokens of all texts in a request for embeddings. modelbay estimates the tokens."""
    dimensions_parameter: Literal["dimensions", "output_dimension"] = "dimensions"
    """Name of the parameter for the length of vectors; Mistral and Voyage use `output_dimension`."""
    input_type_parameter: str | None = None
    """Name of the parameter for the purpose of vectors: `input_type` (OpenRouter, Voyage), `task` (Jina). Default: the vendor
    has none."""
    input_types: dict[str, str] = field(default_factory=dict)
    """The vendor's names of purposes, if they differ: `{"query": "retrieval.query"}` (Jina)."""
    base64_vectors: bool = False
    """Sends vectors in Base64, which is a quarter of the size of numbers."""
    embedding_method: Literal["batchEmbedContents", "predict"] = "batchEmbedContents"
    """Gemini: method for embeddings. Vertex AI's models that are not Gemini have `predict`."""
    embedding_config: bool = False
    """Gemini: expects the settings of embeddings in `embedContentConfig` (Vertex AI), instead of beside the content."""

    # replies
    think_tags: bool = False
    """Replies contain thinking as `<think>` tags in the text."""
    reasoning_in_output: bool = True
    """`completion_tokens` includes reasoning tokens (not at xAI)."""
    count_path: str | None = None
    """Chat Completions: path of calls that count the input tokens of a request (llama.cpp's server). One that begins with `/../` is
    beside the version of the base URL (vLLM). Default: the vendor has none."""
    counted_as: Literal["openai_responses", "anthropic", "google"] | None = None
    """Chat Completions: protocol in which the vendor counts the input tokens of its models, if it has no `count_path` (OpenAI)."""
    counts_tools: bool = True
    """Token counts include tools. If false, the input tokens of a request with tools are estimated."""
    counts_media: bool = True
    """Token counts include images and files (vLLM counts a mark in the text). If false, a request with them is estimated."""
    nested_counts: bool = True
    """Gemini: for a token count, a system prompt and tools must be inside `generateContentRequest`. If false, they are sent beside
    it (Vertex AI)."""
    bare_counts: bool = False
    """Token usage counts only the texts of a prompt, without the descriptions of tools and without thought signatures (Gemini on
    Vertex AI)."""
    merge_choices: bool = False
    """One answer is split into several choices (GitHub Copilot: text and tool calls)."""
    ends_without_finish: bool = False
    """A complete stream may lack a finish reason and `[DONE]` (Snowflake, some proxies)."""


PLAIN = Dialect()
