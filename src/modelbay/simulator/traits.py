"""Differences between the protocols that codecs do not cover: one row per protocol, so that the brain needs no branches."""

from typing import Literal

from msgspec import Struct, field

from modelbay.conversation import Extra, Reasoning

Signed = Literal["thinking", "calls", "nothing"]


class ProtocolTraits(Struct, frozen=True):
    protocol: str
    reply_id: str
    """Prefix of reply IDs."""
    call_id: str | None
    """Prefix of tool call IDs; None: calls have no ID."""
    item_ids: dict[str, str] = field(default_factory=dict)
    """Prefixes of item IDs by kind of part, if replies consist of items."""
    signed: Signed = "nothing"
    """The parts that carry the model's reasoning state."""
    redacted: str | None = None
    """The `native` of redacted thinking."""
    thinking_native: str | None = None
    """The `native` of visible thinking."""
    summary: bool = False
    """Whether thinking is a summary."""
    shown: bool = True
    """Whether thinking is visible by default."""
    keeps_hidden: bool = True
    """Whether hidden thinking is an empty part of the reply, with its state."""
    state_asked: tuple[str, str] | None = None
    """The list in the request body, and its item, that request the reasoning state; None: it is always sent."""
    cache: Literal["automatic", "marked"] = "automatic"
    """The prompt prefixes that are cached: all of them, or those with a cache mark at the end."""
    cuts_calls: bool = True
    """Whether a call that exceeds the token limit is cut; otherwise it is omitted."""
    request_id: str = "x-request-id"
    """The header with the request ID."""
    finish_path: tuple[str | int, ...] = ()
    """The path of the finish reason in a reply that is not streamed."""
    last_path: tuple[str | int, ...] = ()
    """The path of the finish reason in the last event of a stream."""

    def gives_state(self, extra: Extra) -> bool:
        """Whether a request asks for the reasoning state in its extra fields."""
        return self.state_asked is None or self.state_asked[1] in (extra.get(self.state_asked[0]) or ())

    def shows(self, reasoning: Reasoning) -> bool:
        """Whether thinking is visible with this setting of a request."""
        return self.shown if reasoning.visibility is None else not reasoning.hidden


TRAITS = {
    traits.protocol: traits
    for traits in (
        ProtocolTraits(
            "openai_chat",
            reply_id="chatcmpl-",
            call_id="call_",
            thinking_native="reasoning_content",
            keeps_hidden=False,
            finish_path=("choices", 0, "finish_reason"),
            last_path=("choices", 0, "finish_reason"),
        ),
        ProtocolTraits(
            "openai_responses",
            reply_id="resp_",
            call_id="call_",
            item_ids={"text": "msg_", "refusal": "msg_", "tool_call": "fc_", "thinking": "rs_"},
            signed="thinking",
            summary=True,
            state_asked=("include", "reasoning.encrypted_content"),
            shown=False,
            finish_path=("status",),
            last_path=("response", "status"),
        ),
        ProtocolTraits(
            "anthropic",
            reply_id="msg_",
            call_id="toolu_",
            signed="thinking",
            redacted="redacted_thinking",
            cache="marked",
            request_id="request-id",
            finish_path=("stop_reason",),
            last_path=("delta", "stop_reason"),
        ),
        ProtocolTraits(
            "google",
            reply_id="",
            call_id=None,
            signed="calls",
            shown=False,
            keeps_hidden=False,
            cuts_calls=False,
            request_id="x-goog-request-id",
            finish_path=("candidates", 0, "finishReason"),
            last_path=("candidates", 0, "finishReason"),
        ),
    )
}
