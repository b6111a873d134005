"""Any events, in an order that can be written."""

from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import AnyPart, Refusal, Text, Thinking, ToolCall
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
)
from modelbay.protocols.sequence import Sequence, single_lane
from modelbay.usage import Usage
from tests.protocols.event_sequences import any_events, replies
from tests.protocols.likeness import told

STOP = Finished("stop")


def by_kind(part: AnyPart) -> str | None:
    return None if isinstance(part, ToolCall) else type(part).__name__


lanes = st.sampled_from([single_lane, by_kind])


def put(*events: Event, lane=single_lane) -> list[Event]:
    sequence = Sequence(lane)
    return [step for event in events for step in sequence.feed(event)]


def part(key: int, *texts: str) -> list[Event]:
    whole = Text(text="".join(texts))
    return [PartStarted(key, Text()), *[PartDelta(key, text) for text in texts], PartEnded(key, whole)]


def test_events_in_order_pass_as_they_are():
    events = [Started("1", "m"), *part(0, "a", "b"), *part(1, "c"), STOP]
    assert put(*events) == events


def test_a_missing_start_is_made_up():
    assert put(*part(0, "a"), STOP) == [Started(), *part(0, "a"), STOP]


def test_usage_may_come_before_the_start():
    usage = UsageReported(Usage(input=1))
    assert put(usage, Started("1"), STOP) == [usage, Started("1"), STOP]


def test_only_the_first_start_and_the_first_end_count():
    assert put(Started("1"), Started("2"), STOP, Finished("length"), *part(0, "a")) == [Started("1"), STOP]


def test_parts_of_one_lane_are_written_one_after_the_other():
    (start_a, a, end_a), (start_b, b, end_b) = part(0, "a"), part(1, "b")
    assert put(start_a, start_b, b, a, end_b, end_a)[1:] == [start_a, a, end_a, start_b, b, end_b]


def test_a_part_is_written_as_it_comes_once_it_is_its_turn():
    sequence = Sequence()
    (start_a, a, end_a), (start_b, b, end_b) = part(0, "a"), part(1, "b")
    for event in (start_a, a, start_b, b):
        sequence.feed(event)
    assert sequence.feed(end_a) == [end_a, start_b, b]
    assert sequence.feed(b) == [b]
    assert sequence.feed(end_b) == [end_b]


def test_other_lanes_do_not_wait():
    text, call = PartStarted(0, Text()), PartStarted(1, ToolCall(name="f"))
    assert put(text, call, PartDelta(1, "{}"), PartDelta(0, "a"), lane=by_kind)[1:] == [
        text, call, PartDelta(1, "{}"), PartDelta(0, "a"),
    ]  # fmt: skip


def test_a_lane_of_its_own_never_waits():
    calls = [PartStarted(key, ToolCall(name="f")) for key in (0, 1)]
    assert put(*calls, PartDelta(1, "{}"), lane=by_kind)[1:] == [*calls, PartDelta(1, "{}")]


def test_events_without_an_open_part_are_left_out():
    start, delta, end = part(0, "a")
    assert put(delta, PartEnded(7, Text()), start, start, delta, end, delta, end)[1:] == [start, delta, end]


def test_nothing_is_added_to_a_part_that_ended_while_it_waited():
    (start_a, a, end_a), (start_b, b, end_b) = part(0, "a"), part(1, "b")
    assert put(start_a, a, start_b, b, end_b, b, end_b, end_a, STOP)[1:] == [start_a, a, end_a, start_b, b, end_b, STOP]


def test_open_parts_end_before_the_reply_does():
    assert put(PartStarted(0, Text()), PartDelta(0, "a"), PartStarted(1, Refusal()), PartDelta(1, "b"), STOP)[1:] == [
        PartStarted(0, Text()), PartDelta(0, "a"), PartEnded(0, Text()),
        PartStarted(1, Refusal()), PartDelta(1, "b"), PartEnded(1, Refusal()),
        STOP,
    ]  # fmt: skip


def test_a_part_ends_as_the_kind_it_began_as():
    assert put(PartStarted(0, Text()), PartEnded(0, Thinking(texts=["a"])))[1:] == [
        PartStarted(0, Text()),
        PartEnded(0, Text()),
    ]


@given(any_events(), lanes)
def test_any_events_are_put_in_order(events, lane):
    steps = put(*events, lane=lane)
    begun, ended = False, False
    open_parts: dict[int, AnyPart] = {}
    for step in steps:
        assert not ended, "something after the end"
        match step:
            case Started():
                assert not begun
                begun = True
                continue
            case UsageReported():
                continue
            case PartStarted(key=key, part=started):
                lane_of = lane(started)
                assert lane_of is None or lane_of not in [lane(part) for part in open_parts.values()]
                assert key not in open_parts
                open_parts[key] = started
            case PartDelta(key=key) | PartAnnotated(key=key):
                assert key in open_parts
            case PartEnded(key=key, part=done):
                assert type(open_parts.pop(key)) is type(done)
            case Finished() | Failed():
                assert not open_parts
                ended = True
        assert begun, "something before the start"


@given(replies(), lanes)
def test_nothing_of_a_valid_reply_is_lost(events, lane):
    def of_part(key: int | None, some: list[Event]) -> list[Event]:
        return told([event for event in some if getattr(event, "key", None) == key])

    steps = put(*events, lane=lane)
    for key in (None, *range(4)):
        assert of_part(key, steps) == of_part(key, events)
    starts = [[event.key for event in some if type(event) is PartStarted] for some in (steps, events)]
    assert lane is not single_lane or starts[0] == starts[1]
