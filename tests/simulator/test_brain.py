"""The brain without a server: the reply to a conversation."""

from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.events import Finished, PartDelta, Started, UsageReported, collect
from modelbay.simulator import brain
from modelbay.simulator.brain import SimulatedReply, answer, events
from modelbay.simulator.simulated_models import SimulatedModels
from modelbay.simulator.token_counts import PromptCache
from modelbay.simulator.traits import TRAITS, ProtocolTraits
from modelbay.usage import Usage

CHAT = TRAITS["openai_chat"]
WEATHER = Tool(
    name="get_weather", schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
TIME = Tool(
    name="get_time", schema={"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
)


def said(*turns: Turn, model: str = "sim-1", traits: ProtocolTraits = CHAT, **settings: Any) -> SimulatedReply:
    facts = SimulatedModels().find(model)
    assert facts is not None
    return answer(Conversation(list(turns), Settings(**settings)), facts, traits)


def text(result: SimulatedReply) -> str:
    return "".join(part.text for part in result.parts if isinstance(part, Text))


def calls(result: SimulatedReply) -> list[tuple[str, str]]:
    return [(part.name, part.arguments) for part in result.parts if isinstance(part, ToolCall)]


def test_it_repeats_the_prompt():
    assert "You asked: What is a bay?" in text(said(user("What is a bay?")))


def test_it_says_the_same_each_time():
    assert said(user("Hello"), model="sim-thinker") == said(user("Hello"), model="sim-thinker")


def test_it_knows_how_often_it_was_asked():
    turns = [user("First"), Turn("assistant", [Text(text="Yes")]), user("Second")]
    assert "(question 2 of our conversation): Second" in text(said(*turns))


def test_it_counts_the_images_it_sees():
    image = Media(kind="image", media_type="image/png", data="A" * 16_384)
    assert "I see one image (PNG, 12 KB)." in text(said(user("What is this?", image)))


def test_it_names_every_kind_of_file():
    files = [
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="image", url="https://example.com/b.png"),
        Media(kind="audio", media_type="audio/wav", data="AAAA"),
        Media(kind="video", media_type="video/mp4", data="AAAA"),
        Media(kind="document", media_type="application/pdf", data="AAAA", name="report.pdf"),
    ]
    heard = text(said(user("Look", *files)))
    assert "I see two images (https://example.com/a.png; https://example.com/b.png)." in heard
    assert "I hear one sound (WAV, 3 bytes)." in heard
    assert "I watched one video (MP4, 3 bytes)." in heard
    assert "I read one document (report.pdf, PDF, 3 bytes)." in heard


def test_it_calls_the_tool_that_the_prompt_is_about():
    assert calls(said(user("What is the weather in Paris?"), tools=[TIME, WEATHER])) == [
        ("get_weather", '{"city":"Paris"}')
    ]


def test_it_calls_no_tool_that_the_prompt_is_not_about():
    assert calls(said(user("Say hello"), tools=[TIME, WEATHER])) == []


def test_it_calls_the_tool_it_is_forced_to():
    choice = ToolChoice("tool", ["get_time"])
    assert calls(said(user("Say hello"), tools=[WEATHER, TIME], tool_choice=choice)) == [
        ("get_time", '{"zone":"zone"}')
    ]


def test_it_calls_nothing_when_calls_are_ruled_out():
    choice = ToolChoice("none")
    assert calls(said(user("What is the weather in Paris?"), tools=[WEATHER], tool_choice=choice)) == []


def test_it_calls_two_tools_in_parallel():
    result = said(user("In parallel: the weather in Paris and Rome"), tools=[WEATHER])
    assert calls(result) == [("get_weather", '{"city":"Paris"}'), ("get_weather", '{"city":"Rome"}')]
    assert len({part.id for part in result.parts if isinstance(part, ToolCall)}) == 2


def test_it_calls_one_tool_where_parallel_calls_are_off():
    choice = ToolChoice(parallel=False)
    assert len(calls(said(user("In parallel: weather in Paris and Rome"), tools=[WEATHER], tool_choice=choice))) == 1


def test_it_hands_a_freeform_tool_the_prompt():
    tool = Tool("freeform", name="run_script")
    result = said(user("Use the script tool"), tools=[tool])
    assert calls(result) == [("run_script", "Use the script tool")]


def test_it_hands_a_freeform_tool_the_text_in_quotes_and_a_function_with_one_string_too():
    tools = (
        Tool("freeform", name="run_script"),
        Tool(name="run_script", schema={"properties": {"input": {"type": "string"}}}),
    )
    for tool, wanted in zip(tools, ("a\nb", '{"input":"a\\nb"}'), strict=True):
        assert calls(said(user("Use the script tool with `a\nb`"), tools=[tool])) == [("run_script", wanted)]


def test_it_quotes_the_results_of_its_tools():
    turns = [
        user("What is the weather in Paris?"),
        Turn("assistant", [ToolCall(name="get_weather", arguments='{"city":"Paris"}', id="1")]),
        Turn("tool", [ToolResult(call_id="1", parts=[Text(text="18 °C and sunny")])]),
    ]
    result = said(*turns, tools=[WEATHER])
    assert text(result) == "The tool get_weather answered: 18 °C and sunny."
    assert result.finish == "stop"


def test_it_reports_a_failed_tool():
    turns = [
        user("What is the weather in Paris?"),
        Turn("assistant", [ToolCall(name="get_weather", arguments="{}", id="1")]),
        Turn("tool", [ToolResult(call_id="1", parts=[Text(text="no network")], is_error=True)]),
    ]
    assert text(said(*turns, tools=[WEATHER])) == "The tool get_weather failed: no network."


JOKE = Text(text="Tell me a joke.")
REMINDER = Text(text="<system-reminder>Be brief.</system-reminder>")
PICTURE = Media(kind="image", media_type="image/png", data="aGk=")


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ([JOKE], True),
        ([REMINDER, JOKE], True),
        ([REMINDER], False),
        ([Text(text="The image of the tool:"), PICTURE], False),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_question_after_a_result_is_a_new_prompt_and_context_is_not(more: list[Any], asked: bool, together: bool):
    result = ToolResult(call_id="1", parts=[Text(text="18 °C and sunny")])
    after = [Turn("user", [result, *more])] if together else [Turn("tool", [result]), Turn("user", more)]
    turns = [
        user("What is the weather in Paris?"),
        Turn("assistant", [ToolCall(name="get_weather", arguments='{"city":"Paris"}', id="1")]),
        *after,
    ]
    said_then = text(said(*turns, tools=[WEATHER]))
    assert said_then.startswith(
        "You asked (question 2 of our conversation): " if asked else "The tool get_weather answered: 18 °C and sunny."
    )
    assert ("joke" in said_then) is asked


def test_it_makes_as_many_steps_as_the_prompt_says():
    turns = [user("Find the weather in 3 steps")]
    for step in range(3):
        result = said(*turns, tools=[WEATHER])
        assert len(calls(result)) == 1, step
        turns += [Turn("assistant", result.parts), Turn("tool", [ToolResult(call_id="x", parts=[Text(text="18")])])]
    assert calls(said(*turns, tools=[WEATHER])) == []


def test_it_writes_as_many_words_as_the_prompt_says():
    assert len(text(said(user("Write 500 words"))).split()) == 500


def test_it_stops_at_a_stop_sequence():
    result = said(user("one two three four"), stop=["three", "four"])
    assert text(result).endswith("one two ")
    assert (result.finish, result.stop_sequence) == ("stop", "three")


def test_it_stops_at_the_most_tokens_it_may_write():
    result = said(user("Write 500 words"), max_output_tokens=10)
    assert len(text(result)) == 40
    assert result.finish == "length"


def test_thinking_counts_against_the_most_tokens():
    result = said(user("Hello"), model="sim-thinker", max_output_tokens=5)
    assert [type(part) for part in result.parts] == [Thinking]
    assert result.usage(Usage(input=1)) == Usage(input=1, output=0, reasoning=5)


def test_it_answers_in_the_shape_it_is_asked_for():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    result = said(user("The capital of France is Paris"), output_format=OutputFormat("json_schema", schema=schema))
    assert text(result) == '{"city":"France"}'


def test_it_refuses_on_a_word():
    result = said(user("SIM_REFUSE please"))
    assert [type(part) for part in result.parts] == [Refusal]
    assert result.finish == "refusal"


@pytest.mark.parametrize(
    "reasoning",
    [Reasoning(effort="low"), Reasoning(enabled=True), Reasoning(budget=2048)],
    ids=["effort", "on", "budget"],
)
def test_it_thinks_when_asked_to(reasoning: Reasoning):
    assert isinstance(said(user("Hello"), reasoning=reasoning).parts[0], Thinking)


@pytest.mark.parametrize(
    "reasoning",
    [None, Reasoning(effort="none"), Reasoning(enabled=False), Reasoning(budget=0)],
    ids=["", "none", "off", "0"],
)
def test_it_does_not_think_unasked(reasoning: Reasoning | None):
    assert [type(part) for part in said(user("Hello"), reasoning=reasoning).parts] == [Text]


def test_more_effort_is_more_thinking():
    def length(effort: str) -> int:
        thinking = said(user("Hello"), model="sim-thinker", reasoning=Reasoning(effort=effort)).parts[0]
        assert isinstance(thinking, Thinking)
        return len(thinking.text)

    assert length("low") < length("medium") < length("high")


def test_thinking_that_is_hidden_still_costs():
    result = said(user("Hello"), model="sim-thinker", traits=TRAITS["google"])
    assert [type(part) for part in result.parts] == [Text]
    assert (result.usage(Usage()).reasoning or 0) > 10


def test_the_events_contain_the_reply_word_by_word():
    result = said(user("Hello there"), model="sim-thinker")
    told = list(events(result, "id", "sim-thinker", Usage(input=3), created=0))
    assert type(told[0]) is UsageReported
    assert type(told[1]) is Started
    assert type(told[-1]) is Finished
    assert sum(type(event) is PartDelta for event in told) > 10
    reply = collect(told)
    assert reply.text == text(result)
    assert reply.parts == result.parts
    assert reply.usage == result.usage(Usage(input=3))


def test_pieces_put_together_are_the_text():
    for whole in ("", " ", "a  b\n c ", "\n\nx"):
        assert "".join(brain.pieces(whole)) == whole


def test_a_prompt_seen_before_is_read_from_the_cache():
    cache = PromptCache()
    first = Conversation([user("A long question. " * 20)])
    second = Conversation([*first.turns, Turn("assistant", [Text(text="Yes")]), user("And?")])
    before, after = cache.count(first, "sim-1", CHAT), cache.count(second, "sim-1", CHAT)
    assert before.cache_read == 0
    assert after.cache_read == before.input
    assert cache.count(second, "sim-thinker", CHAT).cache_read == 0


def test_a_prompt_with_marks_is_cached_as_far_as_they_reach():
    cache = PromptCache()
    marked = Text(text="A long question. " * 20, cache={"type": "ephemeral"})
    conversation = Conversation([Turn("user", [marked, Text(text="And?")])])
    first, second = (cache.count(conversation, "sim-1", TRAITS["anthropic"]) for _ in range(2))
    assert first.cache_write and not first.cache_read
    assert (second.cache_read, second.cache_write) == (first.cache_write, 0)
    assert first.input == second.input == 2


def test_a_prompt_without_marks_is_not_cached_where_marks_are_needed():
    cache = PromptCache()
    conversation = Conversation([user("A long question. " * 20)])
    assert [cache.count(conversation, "sim-1", TRAITS["anthropic"]).cache_read for _ in range(2)] == [0, 0]


def test_an_empty_prompt_has_no_negative_count():
    assert PromptCache().count(Conversation([]), "sim-1", CHAT) == Usage(input=0, cache_read=0)
