"""Finish reasons: one table for all protocols.

Only values known to mean success count as success. Compatible servers and proxies use other protocols' values in other
spellings, so values are looked up in lower case, with `_` for hyphens and spaces. An unknown value ends the reply as
"other", with a warning: the reply is shown, but not treated as complete.
"""

from collections.abc import Collection

from modelbay.conversation import Extra
from modelbay.errors import IncompleteReply, MalformedReply
from modelbay.events import FinishReason
from modelbay.protocols.assembly import Assembly

_WORDS: dict[FinishReason, tuple[str, ...]] = {
    "stop": (
        "stop", "end_turn", "stop_sequence", "completed",  # OpenAI, Anthropic, Responses; Gemini in upper case
        "eos", "eos_token", "stop_token", "end_of_text", "endoftext", "end_of_turn", "eot",  # Together, TGI, watsonx
        "complete", "end", "done", "finish", "finished", "normal",  # Cohere, Baidu and proxies
    ),
    "length": (
        "length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "max_length",
        "model_length",  # Mistral
        "token_limit", "max_output", "maximum_tokens", "error_limit",  # watsonx, MiniMax, Cohere
        "model_context_window_exceeded", "context_window_exceeded",  # Anthropic, Z.ai
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    "content_filter": (
        "content_filter", "content_filtered", "guardrail_intervened",  # OpenAI, Bedrock
        "safety", "recitation", "language", "blocklist", "prohibited_content", "spii", "model_armor", "image_safety",
        "image_prohibited_content", "image_recitation",  # Gemini
        "sensitive", "error_toxic",  # Z.ai, Cohere
    ),
    "refusal": ("refusal",),
    "pause": ("pause_turn", "compaction", "queued", "in_progress"),
}  # fmt: skip
REASONS = {word: reason for reason, words in _WORDS.items() for word in words}
_FAILED = {
    "error", "failed", "failure", "server_error", "network_error", "insufficient_system_resource", "overloaded",
    "abort", "aborted", "cancel", "cancelled", "canceled", "user_cancel", "interrupted", "not_finished", "incomplete",
    "timeout", "time_limit", "repetition",
}  # fmt: skip
"""The provider aborted: Z.ai's `network_error`, DeepSeek's `insufficient_system_resource`, SGLang's and vLLM's `abort`."""
_BROKEN = {
    "malformed_function_call", "malformed_response", "malformed_model_output", "malformed_tool_use",
    "unexpected_tool_call", "too_many_tool_calls", "missing_thought_signature", "other", "no_image", "image_other",
}  # fmt: skip
"""The model failed (Gemini, Bedrock)."""
_UNSET = {"", "null", "none", "finish_reason_unspecified", "blocked_reason_unspecified"}


def normalized(word: str) -> str:
    """A finish reason in the spelling of the tables."""
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def stated(word: str | None) -> str | None:
    """The finish reason; None for a value that means that there is none."""
    return word if word and normalized(word) not in _UNSET else None


def finish(
    assembly: Assembly,
    native: str | None,
    stop_sequence: str | None = None,
    extra: Extra | None = None,
    *,
    detail: str | None = None,
    exact: Collection[str] = (),
) -> None:
    """End a reply with its provider's finish reason. `detail` is the provider's explanation.

    Tool calls override a reason that means stop (Gemini's OpenAI API ends tool calls with it), except for values in
    `exact`.
    """
    native = stated(native)
    if native is None:
        _finish_without_reason(assembly, stop_sequence, extra)
        return
    word, about = normalized(native), f": {detail}" if detail else ""
    if word in _FAILED:
        assembly.fail(IncompleteReply(f"the provider ended the reply with `{native}`{about}"))
        return
    if word in _BROKEN:
        assembly.fail(MalformedReply(f"the model failed with `{native}`{about}"))
        return
    reason = REASONS.get(word)
    if reason is None:
        assembly.warn(f"unknown finish reason, the reply may be incomplete: {native[:100]}{about}")
        assembly.finish("other", native, stop_sequence, extra)
        return
    if reason == "tool_calls" and not assembly.has_calls:
        assembly.end_all()
        if not assembly.has_answer:
            assembly.fail(IncompleteReply(f"the reply ended with `{native}` but has no tool call"))
            return
        reason = "stop"
    if reason == "stop" and assembly.has_calls and native not in exact:
        reason = "tool_calls"
    assembly.finish(reason, native, stop_sequence, extra)


def _finish_without_reason(assembly: Assembly, stop_sequence: str | None, extra: Extra | None) -> None:
    """End a reply that has no finish reason. It is complete if it has content and no truncated tool call."""
    if assembly.has_cut_calls():
        assembly.fail(IncompleteReply("the reply stopped in the middle of a tool call, without a finish reason"))
        return
    assembly.end_all()
    if assembly.has_calls:
        assembly.finish("tool_calls", None, stop_sequence, extra)
    elif assembly.has_answer:
        assembly.finish("stop", None, stop_sequence, extra)
    else:
        assembly.fail(IncompleteReply("the reply is empty: it has neither content nor a finish reason"))
