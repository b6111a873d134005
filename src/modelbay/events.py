"""Events: a closed union of the steps of a reply. A stream ends with exactly one `Finished` or `Failed`.

A reply without streaming is parsed into the same events, so both give the same result: `Reply = collect(events)`. Parts
may interleave; the order of `PartStarted` is the order of the reply.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeAlias, TypeVar

from msgspec import Struct, field

from modelbay.conversation import Annotation, AnyPart, Extra, Json, Refusal, Text, Thinking, ToolCall, Turn
from modelbay.errors import IncompleteReply, ModelbayError
from modelbay.other_names import REPLY, unknown
from modelbay.usage import Priced, Usage, changed

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    OutputT = TypeVarWithDefault("OutputT", default=Any)  # a `Reply` of a call without `output` has any value
else:
    OutputT = TypeVar("OutputT")

PartKind: TypeAlias = Literal["text", "thinking", "refusal", "arguments", "media"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"]
"""`other`: an unknown reason, so the reply may be incomplete."""


class Started(Struct, tag="started", omit_defaults=True):
    """The reply begins."""

    id: str | None = None
    """The provider's ID of the reply."""
    model: str | None = None
    """The model that replies, as the provider calls it."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""


class PartStarted(Struct, tag="part_started", omit_defaults=True):
    """A part begins. `part` has what is known so far: its kind, and ID and name of a tool call. It is incomplete; do
    not keep it."""

    key: int
    """Number of the part, which its other events repeat."""
    part: AnyPart
    """The part without its content."""


class PartDelta(Struct, tag="part_delta", omit_defaults=True, gc=False):
    """More of a part: text, thinking, arguments or base64 media data, depending on its kind."""

    key: int
    """Number of the part."""
    text: str = ""
    """The new piece."""
    index: int = 0
    """Index into the texts of a thinking part. -1: the empty line between two of them, which belongs to none."""
    logprobs: list[Json] | None = None
    """Log probabilities of its tokens, as in `Text.logprobs`."""
    kind: PartKind | None = None
    """The kind of content in `text`. Set in the streams of a Hub; elsewhere `PartStarted` tells it."""


class PartAnnotated(Struct, tag="part_annotated", omit_defaults=True):
    """A text gets a citation."""

    key: int
    """Number of the part."""
    annotation: Annotation
    """The citation."""


class PartEnded(Struct, tag="part_ended", omit_defaults=True):
    """A part is complete. A text may end as thinking, if only a closing `</think>` reveals it."""

    key: int
    """Number of the part."""
    part: AnyPart
    """The whole part."""


class UsageReported(Struct, tag="usage", omit_defaults=True):
    """Token usage so far. Each report replaces the previous one; they are not added."""

    usage: Usage
    """Token usage of the whole reply so far."""


class Warned(Struct, tag="warned", omit_defaults=True):
    """A setting was not applied as requested, or may not have been."""

    message: str
    """The warning, as a sentence for the user."""
    setting: str | None = None
    """Name of the setting; None if the warning is about something else."""
    retry: bool = False
    """An attempt failed and is retried. Irrelevant once the retry succeeds."""
    dropped: bool = False
    """The setting is not sent at all, because the protocol or the provider has no field for it."""


class Finished(Struct, tag="finished", omit_defaults=True):
    """The reply has ended. It is the last event."""

    reason: FinishReason
    """Why it ended: "stop" is a complete answer, "length" the maximum output tokens, "tool_calls" calls that wait for
    results, "content_filter" a filter of the provider, "pause" a turn that can be continued."""
    native: str | None = None
    """The provider's own value."""
    stop_sequence: str | None = None
    """The stop sequence that ended it."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""


class Failed(Struct, tag="failed"):
    """The reply failed. Events before it are valid, but the reply is incomplete."""

    error: ModelbayError
    """The error that ended the reply."""


Event: TypeAlias = (
    Started | PartStarted | PartDelta | PartAnnotated | PartEnded | UsageReported | Warned | Finished | Failed
)
"""An event of a stream. The first is `Started`, the last `Finished` or `Failed`."""


def shows(event: Event) -> bool:
    """Whether an event shows part of the reply. Until one does, a failed call can be retried."""
    match event:
        case PartDelta(text=text, logprobs=logprobs):
            return bool(text or logprobs)
        case PartStarted(part=part):
            return not isinstance(part, Text | Refusal | Thinking | ToolCall)  # these have no content yet
        case PartEnded(part=Text() | Refusal() | Thinking() as part):
            return bool(part.text) or part.opaque is not None
        case Started() | UsageReported() | Warned():
            return False
    return True


_SHOWN = 80
"""Maximum characters of a text in a repr."""


class Reply(Priced, Generic[OutputT], repr_omit_defaults=True):
    """A complete reply. If it failed, `error` is set and `finish` is not. A `Reply[City]` has a `City` as value."""

    id: str | None = None
    """The provider's ID of the reply."""
    model: str | None = None
    """The model that replied, as the provider calls it."""
    parts: list[AnyPart] = field(default_factory=list)
    """All parts, in order."""
    finish: Finished | None = None
    """Why and how it ended."""
    usage: Usage | None = None
    """Token usage; None if the provider did not report it."""
    warnings: list[Warned] = field(default_factory=list)
    """Settings that were not applied as requested, and attempts that failed."""
    error: ModelbayError | None = None
    """The error of a reply that failed. A reply that a Hub returns has one only in the result of `Hub.map`."""
    extra: Extra | None = None
    """Unknown fields of its protocol."""
    provider: str | None = None
    """The ID of the provider in the configuration. Set in replies of a Hub."""

    @property
    def cost(self) -> float | None:
        """Cost in US dollars. None if the price or the usage is unknown, or if no Hub made the reply. The first use may
        load a list of prices, which takes a quarter of a second."""
        priced: Callable[[Usage], float | None] | None = self.__dict__.get("priced")
        return None if priced is None or self.usage is None else priced(self.usage)

    @property
    def value(self) -> OutputT:
        """The answer as a value of the type that was passed as `output` to a Hub; None without one, or if the reply calls tools."""
        answer: OutputT = self.__dict__.get("answer")  # type: ignore[assignment]
        return answer

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join([p.text for p in self.parts if type(p) is Text])

    @property
    def thinking(self) -> str:
        """The thinking, if the provider shows it."""
        return "".join([p.text for p in self.parts if type(p) is Thinking])

    @property
    def refusal(self) -> str:
        """Reason of a refusal; "" if the model did not refuse."""
        return "".join([p.text for p in self.parts if type(p) is Refusal])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Tool calls for the client to run."""
        return [p for p in self.parts if type(p) is ToolCall]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, REPLY)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        calls = f", tool_calls={[call.name for call in self.tool_calls]!r}" if self.tool_calls else ""
        end = f"error={self.error!r}" if self.error is not None else f"finish={self.finish and self.finish.reason!r}"
        return f"Reply({text!r}{calls}, model={self.model!r}, {end})"

    def turn(self) -> Turn:
        """The reply as the next turn of the conversation."""
        return Turn("assistant", list(self.parts))


def silent(parts: Iterable[AnyPart]) -> bool:
    """Whether an answer has nothing for its reader: no part, or only thinking and blank text."""
    return all(isinstance(part, Thinking) or (isinstance(part, Text) and not part.text.strip()) for part in parts)


def failure(reply: Reply) -> ModelbayError | None:
    """The error of a reply that failed or did not end, with its complete parts in `error.reply`; None if it is whole."""
    error = reply.error
    if error is None:
        if reply.finish is not None:
            return None
        error = IncompleteReply(
            "the stream was closed before the end of the reply", hint="read it to its end before you close it"
        )
    error.reply = changed(reply, error=None)
    return error


def collect(events: Iterable[Event]) -> Reply:
    """Build the reply from a stream of events. Parts that did not end are incomplete and are skipped."""
    reply = Reply()
    order: list[int] = []
    ended: dict[int, AnyPart] = {}
    for event in events:
        if type(event) is PartDelta:  # most events; `PartEnded` has their text
            continue
        match event:
            case PartStarted():
                order.append(event.key)
            case PartEnded():
                ended[event.key] = event.part
            case Started():
                reply.id, reply.model, reply.extra = event.id, event.model, event.extra
            case UsageReported():
                reply.usage = event.usage
            case Finished():
                reply.finish = event
            case Failed():
                reply.error = event.error
            case Warned():
                reply.warnings.append(event)
    reply.parts = [ended[key] for key in order if key in ended]
    return reply
