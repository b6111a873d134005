"""Events: a closed union of the steps of a reply. A stream ends in exactly one `Finished` or `Failed`.

A whole reply is parsed into the same events, so that whole and streamed agree by construction: `Reply = collect(events)`.
Parts may interleave; the order of `PartStarted` is the order of the reply.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.conversation import Annotation, AnyPart, Extra, Json, Refusal, Text, Thinking, ToolCall, Turn
from modelbay.errors import ModelbayError
from modelbay.usage import Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"]
"""`other`: the provider's word is not known, so the reply may not be whole."""


class Started(Struct, tag="started", omit_defaults=True):
    id: str | None = None
    model: str | None = None
    extra: Extra | None = None


class PartStarted(Struct, tag="part_started", omit_defaults=True):
    """`part` is the part as far as it is known: its kind, a call's id and name. It is not yet whole and must not be kept."""

    key: int
    part: AnyPart


class PartDelta(Struct, tag="part_delta", omit_defaults=True, gc=False):
    """More of a part: of its text, thinking, arguments or base64 media data, whichever its kind has."""

    key: int
    text: str = ""
    index: int = 0
    """Which of a thinking part's texts."""
    logprobs: list[Json] | None = None


class PartAnnotated(Struct, tag="part_annotated", omit_defaults=True):
    key: int
    annotation: Annotation


class PartEnded(Struct, tag="part_ended", omit_defaults=True):
    """`part` is whole. A text may end as thinking, where only a `</think>` at its end tells."""

    key: int
    part: AnyPart


class UsageReported(Struct, tag="usage", omit_defaults=True):
    """The usage so far. The last one stands; they are never added."""

    usage: Usage


class Warned(Struct, tag="warned", omit_defaults=True):
    """Something the caller asked for did not happen as asked, or may not."""

    message: str
    setting: str | None = None
    retry: bool = False
    """An attempt failed and the next one follows: of no interest once that succeeds."""


class Finished(Struct, tag="finished", omit_defaults=True):
    reason: FinishReason
    native: str | None = None
    """The provider's own word."""
    stop_sequence: str | None = None
    extra: Extra | None = None


class Failed(Struct, tag="failed"):
    """The reply did not end as it should. What had come before stays true; it is not a whole answer."""

    error: ModelbayError


Event: TypeAlias = (
    Started | PartStarted | PartDelta | PartAnnotated | PartEnded | UsageReported | Warned | Finished | Failed
)


def shows(event: Event) -> bool:
    """Whether an event shows something of the answer. Until one does, a call that fails can be sent again."""
    match event:
        case PartDelta(text=text, logprobs=logprobs):
            return bool(text or logprobs)
        case PartStarted(part=part):
            return not isinstance(part, Text | Refusal | Thinking | ToolCall)  # these have only a name yet
        case PartEnded(part=Text() | Refusal() | Thinking() as part):
            return bool(part.text) or part.opaque is not None
        case Started() | UsageReported() | Warned():
            return False
    return True


class Reply(Struct):
    """A whole reply. `error` is set, and `finish` is not, where it failed on the way."""

    id: str | None = None
    model: str | None = None
    parts: list[AnyPart] = field(default_factory=list)
    finish: Finished | None = None
    usage: Usage | None = None
    warnings: list[Warned] = field(default_factory=list)
    error: ModelbayError | None = None
    extra: Extra | None = None

    @property
    def text(self) -> str:
        return "".join([p.text for p in self.parts if type(p) is Text])

    @property
    def thinking(self) -> str:
        return "".join([p.text for p in self.parts if type(p) is Thinking])

    @property
    def refusal(self) -> str:
        return "".join([p.text for p in self.parts if type(p) is Refusal])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that the client must run."""
        return [p for p in self.parts if type(p) is ToolCall]

    def turn(self) -> Turn:
        """The reply as the next turn of its conversation."""
        return Turn("assistant", list(self.parts))


def collect(events: Iterable[Event]) -> Reply:
    """The reply that a stream of events tells of. A part that never ended is left out: it is not whole."""
    reply = Reply()
    order: list[int] = []
    ended: dict[int, AnyPart] = {}
    for event in events:
        match event:
            case PartStarted(key=key):
                order.append(key)
            case PartEnded(key=key, part=part):
                ended[key] = part
            case Started(id=id, model=model, extra=extra):
                reply.id, reply.model, reply.extra = id, model, extra
            case UsageReported(usage=usage):
                reply.usage = usage
            case Finished():
                reply.finish = event
            case Failed(error=error):
                reply.error = error
            case Warned():
                reply.warnings.append(event)
    reply.parts = [ended[key] for key in order if key in ended]
    return reply
