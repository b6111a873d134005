"""The events of a reply, as every parser builds them."""

from modelbay.conversation import Annotation, AnyPart, Media, Refusal, Text, Thinking, ToolCall, UnknownPart
from modelbay.errors import IncompleteReply
from modelbay.events import Finished, PartAnnotated, PartDelta, PartEnded, PartStarted, Started, UsageReported, collect
from modelbay.protocols.assembly import Assembly
from modelbay.usage import Usage
from tests.protocols.invariants import check_events
from tests.protocols.likeness import told


def test_a_part_ends_with_the_text_that_was_added():
    assembly = Assembly()
    key = assembly.open(Text())
    assembly.add(key, "Hel")
    assembly.add(key, "lo")
    assembly.end(key)
    assert assembly.take() == [
        PartStarted(0, Text()), PartDelta(0, "Hel"), PartDelta(0, "lo"), PartEnded(0, Text(text="Hello")),
    ]  # fmt: skip


def test_thinking_keeps_its_texts_apart():
    assembly = Assembly()
    key = assembly.open(Thinking(summary=True))
    for text, index in (("a", 0), ("b", 2), ("c", 0)):
        assembly.add(key, text, index)
    assembly.end(key)
    assert assembly.take()[-1] == PartEnded(0, Thinking(texts=["ac", "", "b"], summary=True))


def test_token_probabilities_add_up_in_the_finished_text():
    assembly = Assembly()
    key = assembly.open(Text())
    assembly.add(key, "a", 0, [{"token": "a"}])
    assembly.add(key, "b", 0, [{"token": "b"}])
    assembly.end(key)
    assert assembly.take()[-1] == PartEnded(0, Text(text="ab", logprobs=[{"token": "a"}, {"token": "b"}]))


def test_later_facts_about_an_open_part_are_in_its_end_event_only():
    assembly = Assembly()
    key = assembly.open(ToolCall(name="f"))
    assembly.part(key).opaque = "signature"
    assembly.end(key)
    assert assembly.take() == [
        PartStarted(0, ToolCall(name="f")), PartEnded(0, ToolCall(name="f", opaque="signature")),
    ]  # fmt: skip


def test_annotations_are_told_at_once_and_kept():
    assembly = Assembly()
    key = assembly.open(Text())
    citation = Annotation("url", url="https://example.com")
    assembly.annotate(key, citation)
    assembly.end(key)
    assert assembly.take()[1:] == [PartAnnotated(0, citation), PartEnded(0, Text(annotations=[citation]))]


def test_a_whole_part_comes_as_the_same_steps_as_a_streamed_one():
    whole, streamed = Assembly(), Assembly()
    citation = Annotation("url", url="https://example.com")
    whole.whole(Text(text="Hello", annotations=[citation], logprobs=[{"token": "Hello"}]))
    key = streamed.open(Text())
    streamed.add(key, "Hello", 0, [{"token": "Hello"}])
    streamed.annotate(key, citation)
    streamed.end(key)
    assert whole.take() == streamed.take()


def test_whole_parts_of_every_kind_arrive_as_they_are():
    parts: list[AnyPart] = [
        Text(text="a"), Text(text=""), Refusal(text="no"), Thinking(texts=["a", "b"], opaque="s"), Thinking(texts=[""]),
        Thinking(opaque="redacted"), ToolCall(name="f", arguments="{}"), ToolCall(name="f"),
        Media(kind="image", data="AAAA"), UnknownPart(raw={"type": "odd"}),
    ]  # fmt: skip
    assembly = Assembly()
    assembly.start("1", "m")
    for part in parts:
        assembly.whole(part)
    assembly.finish("stop")
    events = assembly.take()
    check_events(events)
    assert collect(events).parts == parts


def test_a_second_start_changes_nothing():
    assembly = Assembly()
    assembly.start("1", "m")
    assembly.start("2", "other")
    assert assembly.take() == [Started("1", "m")]


def test_the_end_closes_what_is_open_and_reports_usage_first():
    assembly = Assembly()
    assembly.start("1", "m")
    assembly.add(assembly.open(Text()), "a")
    assembly.usage = Usage(input=1)
    assembly.finish("length", "max_tokens")
    assert assembly.take()[3:] == [
        PartEnded(0, Text(text="a")), UsageReported(Usage(input=1)), Finished("length", "max_tokens"),
    ]  # fmt: skip


def test_only_the_first_end_counts():
    assembly = Assembly()
    assembly.finish("stop")
    assembly.fail(IncompleteReply("late"))
    assembly.finish("length")
    assert assembly.take() == [Started(), Finished("stop")]


def test_a_failed_reply_keeps_its_text_and_not_the_call_that_was_cut_off():
    assembly = Assembly()
    assembly.add(assembly.open(Text()), "a")
    assembly.add(assembly.open(ToolCall(name="rm", id="1")), '{"path": "/')
    assembly.fail(IncompleteReply("it stopped"))
    reply = collect(assembly.take())
    assert reply.parts == [Text(text="a")]
    assert isinstance(reply.error, IncompleteReply)


def test_a_dropped_part_is_not_in_the_reply():
    assembly = Assembly()
    key = assembly.open(Text())
    assembly.add(key, "a")
    assembly.drop(key)
    assembly.whole(Text(text="b"))
    assembly.finish("stop")
    assert collect(assembly.take()).text == "b"


def test_events_are_taken_once():
    assembly = Assembly()
    assembly.finish("stop")
    assert told(assembly.take()) != []
    assert assembly.take() == []
