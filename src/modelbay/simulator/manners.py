"""What tells the protocols apart, beyond what their codecs know: one row each, so that the brain needs no branches."""

from typing import Literal

from msgspec import Struct, field

from modelbay.conversation import Extra

Signed = Literal["thinking", "calls", "nothing"]


class Manners(Struct, frozen=True):
    protocol: str
    reply_id: str
    """How the id of a reply begins."""
    call_id: str | None
    """How the id of a tool call begins; None: calls have none."""
    item_ids: dict[str, str] = field(default_factory=dict)
    """How the ids of items begin, by kind of part, where replies are made of items."""
    signed: Signed = "nothing"
    """Which parts carry the model's reasoning state."""
    redacted: str | None = None
    """The `native` of thinking whose text is withheld."""
    thinking_native: str | None = None
    """The `native` of thinking that is shown."""
    summary: bool = False
    """Thinking is shown as a summary."""
    shown: bool = True
    """Thinking is shown where nothing is said about it."""
    keeps_hidden: bool = True
    """Thinking that is not shown still has its place in the reply, with its state."""
    state_asked: tuple[str, str] | None = None
    """The body's list, and the word in it, that ask for the reasoning state; None: it is always given."""
    cache: Literal["automatic", "marked"] = "automatic"
    """Which prefixes of a prompt are kept: every one, or those that a mark ends."""
    cuts_calls: bool = True
    """A call that does not fit is cut short; else it is left out."""
    request_id: str = "x-request-id"
    """The header that names a request."""
    finish_path: tuple[str | int, ...] = ()
    """Where a whole reply says how it finished."""
    last_path: tuple[str | int, ...] = ()
    """Where the event of a stream that ends a reply says so."""

    def gives_state(self, extra: Extra) -> bool:
        """Whether a request, by the fields beside its settings, wants the reasoning state."""
        return self.state_asked is None or self.state_asked[1] in (extra.get(self.state_asked[0]) or ())

    def shows(self, visibility: str | None) -> bool:
        """Whether a request's word for it shows the thinking."""
        return self.shown if visibility is None else visibility not in ("hidden", "omitted", "none")


MANNERS = {
    manners.protocol: manners
    for manners in (
        Manners(
            "openai_chat",
            reply_id="chatcmpl-",
            call_id="call_",
            thinking_native="reasoning_content",
            keeps_hidden=False,
            finish_path=("choices", 0, "finish_reason"),
            last_path=("choices", 0, "finish_reason"),
        ),
        Manners(
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
        Manners(
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
        Manners(
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
