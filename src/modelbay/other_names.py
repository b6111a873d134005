"""Names of other libraries. A program that uses one gets an error with the name here: `reply.output_text` is `reply.text`.

Python suggests names that are spelled alike only. Type checkers do not see these names, and `dir` does not list them.
"""

from collections.abc import Mapping


def _names(**ours: str) -> dict[str, str]:
    """Other names, by our name or expression: `text="content output_text"`."""
    return {other: name for name, others in ours.items() for other in others.split()}


def _all(others: str, ours: str) -> dict[str, str]:
    """Other names of an expression."""
    return dict.fromkeys(others.split(), ours)


_AS_JSON = _all("json dict to_dict to_json model_dump model_dump_json", "msgspec.to_builtins(reply, enc_hook=str)")
REPLY = {
    **_names(
        text="content output_text output message choices candidates completion response_text",
        thinking="reasoning reasoning_content reasoning_text thoughts",
        value="parsed output_parsed parsed_output data object result structured_output",
        tool_calls="function_calls tools",
        usage="tokens token_usage usage_metadata",
        cost="price total_cost",
        error="exception",
    ),
    **_AS_JSON,
    **_all("finish_reason stop_reason", "finish.reason"),
    **_all("citations annotations sources", "annotations` of `parts"),
    **_all("messages history to_message as_turn", "turn()"),
}
_OF_THE_REPLY = {
    name: f"reply().{name}"
    for name in (
        "text",
        "thinking",
        "value",
        "usage",
        "cost",
        "finish",
        "warnings",
        "tool_calls",
        "parts",
        "model",
        "provider",
    )
}
STREAM = {
    **{name: ours for name, ours in _OF_THE_REPLY.items() if name not in ("text", "thinking")},
    **_names(text="text_stream text_deltas stream_text stream_output texts tokens chunks content"),
    **_all(
        "get_final_message get_final_response get_final_completion get_final_text until_done final final_message",
        "reply()",
    ),
    **_all("final_response get_output result read collect", "reply()"),
    "events": "the stream itself: for event in stream",
}
RUN = {
    **{name: ours for name, ours in _OF_THE_REPLY.items() if name not in ("usage", "cost")},
    **_all("output final_output result until_done content", "reply()"),
    **_names(turns="messages history all_messages new_messages to_input_list", steps="responses replies raw_responses"),
}
HUB = {
    **_names(
        complete="ask prompt query generate generate_text generate_content invoke ainvoke acomplete completion acompletion create "
        "messages responses completions",
        stream="astream stream_text",
        map="batch abatch amap gather complete_many",
        embed="embeddings aembed embed_documents embed_query",
        count="count_tokens token_count tokens",
        run="agent run_sync run_tools tool_runner loop",
        chat="start_chat conversation",
        model="get_model",
        models="get_models available_models",
        add="add_provider register",
    ),
    "providers": "config.providers",
    "default_model": "model()",
    "with_options": "complete(…, timeout=60)",
}
CHAT = {
    **_names(
        complete="ask send send_message say prompt invoke query respond",
        turns="messages history get_history all_messages",
        dumps="dump save to_json json model_dump serialize",
        copy="fork clone",
    ),
    **_all("append add add_message add_turn", 'turns.append(user("…"))'),
    **_all("reset clear", "turns.clear()"),
    **_all("system system_prompt instructions", 'settings["system"]'),
    **_all("load loads", "load_chat` of the hub"),
}
EMBEDDINGS = {
    **_names(vectors="embeddings data values"),
    "embedding": "vectors[0]",
    "vector": "vectors[0]",
}
USAGE = {
    **_names(
        input_total="input_tokens prompt_tokens prompt_token_count request_tokens",
        output_total="output_tokens completion_tokens candidates_token_count response_tokens",
        total="total_tokens total_token_count",
        cache_read="cached_tokens cache_read_input_tokens cache_read_tokens cached_content_token_count",
        cache_write="cache_creation_input_tokens cache_write_tokens",
        reasoning="reasoning_tokens thoughts_token_count thinking_tokens",
        raw="details model_extra prompt_tokens_details completion_tokens_details",
    ),
    **_all("cost price total_cost", "cost` of the reply"),
}
"""`input` and `output` are without the cache and the reasoning, unlike the names of other libraries."""
MODEL = {
    **_names(
        max_context_tokens="context_window context_length context max_context_size max_model_len n_ctx",
        max_output_tokens="max_tokens max_completion_tokens output_token_limit max_output",
        max_input_tokens="input_token_limit max_input",
        cost="price prices pricing",
        name="display_name title",
        id="model_id model_name slug",
        efforts="reasoning_efforts",
    ),
    **_all("input_cost_per_token input_price", "cost.input"),
    **_all("output_cost_per_token output_price", "cost.output"),
    **_all("supports_tools supports_function_calling", 'can("tool_use")'),
    **_all("supports_vision", 'can("image_in")'),
    **_all("supports_reasoning", 'can("thinking")'),
}
SIMULATOR = _names(
    say="respond reply text returns responds respond_with",
    fail="error raises",
    call="tool_call",
    requests="calls history received",
)
RECEIVED = {"messages": "conversation.turns", "text": "prompt", "content": "prompt"}
MODULE = {
    **_all("Client OpenAI Anthropic LLM AsyncHub AsyncClient AsyncOpenAI", "Hub"),
    **_all("SyncHub BlockingHub", "sync.Hub"),
    **_all("Image File Document Attachment ImageUrl BinaryContent Audio Blob", "Media"),
    **_all("Message ChatMessage assistant system AssistantMessage SystemMessage", "Turn"),
    **_all("UserMessage HumanMessage message", "user"),
    **_all("function_tool tool_plain", "Tool.of"),
    **_all("Agent Runner ToolRunner", "Hub.run"),
    **_all("exceptions error", "errors"),
    **_all("ask prompt generate generate_text query", "complete"),
    **_all("batch map", "Hub.map"),
    **_all("set_api_key configure login", "Hub.of"),
    **_all("count_tokens token_counter", "count"),
}
ERRORS = _names(
    ModelbayError="APIError APIStatusError Error ClientError ApiException OpenAIError AnthropicError",
    TransportError="APIConnectionError ConnectError ConnectionError NetworkError",
    TimedOut="APITimeoutError Timeout TimeoutError DeadlineExceeded",
    RateLimited="TooManyRequests",
    ServerError="InternalServerError",
    ContextOverflow="ContextWindowExceededError ContextLengthExceeded",
    MalformedReply="APIResponseValidationError JSONSchemaValidationError ValidationError OutputParserException",
)


ERROR = _names(status="status_code code http_status", message="msg detail", reply="response")


def unknown(value: object, name: str, others: Mapping[str, str]) -> AttributeError:
    """The error about an attribute that a value does not have. `others`: a table of this module."""
    kind = type(value).__name__
    if name in others:
        return AttributeError(f"{kind!r} has no attribute {name!r}: did you mean `{others[name]}`?")
    # with these arguments, Python suggests a name that is spelled alike
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=value)
