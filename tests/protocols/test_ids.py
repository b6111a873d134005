"""Tool call ids that a target accepts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Text, ToolCall, ToolResult, Turn
from modelbay.protocols import ids
from modelbay.protocols.ids import answered_calls, call_ids, fit

ANTHROPIC = r"[a-zA-Z0-9_-]+"
MISTRAL = r"[a-zA-Z0-9]{9}"

any_id = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def written(*turns: Turn, pattern: str | None = None) -> list[str]:
    """The ids of the calls and results, in order."""
    ids = call_ids(list(turns), answered_calls(turns), pattern)
    return [ids[id(part)] for turn in turns for part in turn.parts if id(part) in ids]


def asked(*calls: ToolCall) -> Turn:
    return Turn("assistant", list(calls))


def answered(*results: ToolResult) -> Turn:
    return Turn("tool", list(results))


def test_an_id_that_fits_is_kept():
    assert fit("functions.get_weather:0", None) == "functions.get_weather:0"
    assert fit("toolu_01A-b", ANTHROPIC) == "toolu_01A-b"


@pytest.mark.parametrize("pattern", [ANTHROPIC, MISTRAL])
@given(call_id=any_id)
def test_any_other_id_is_replaced_by_one_that_fits_and_always_the_same(pattern, call_id):
    assert re.fullmatch(pattern, fit(call_id, pattern))
    assert fit(call_id, pattern) == ids._fitted.__wrapped__(call_id, pattern)


@pytest.mark.parametrize("pattern", [ANTHROPIC, MISTRAL])
@given(ids=st.sets(any_id, max_size=20))
def test_different_ids_stay_different(pattern, ids):
    assert len({fit(call_id, pattern) for call_id in ids}) == len(ids)


def test_a_replaced_id_is_still_recognizable():
    assert fit("functions.get_weather:0", ANTHROPIC).startswith("functions_get_weather_0_")


def test_a_result_gets_the_id_of_its_call():
    turns = asked(ToolCall(name="f", id="f:0")), answered(ToolResult(call_id="f:0"))
    call, result = written(*turns, pattern=ANTHROPIC)
    assert call == result != "f:0"


def test_a_call_without_an_id_gets_one_from_its_place_and_its_result_too():
    turns = (
        asked(ToolCall(name="f"), ToolCall(name="g")),
        answered(ToolResult(name="g"), ToolResult(name="f")),
        asked(ToolCall(name="f")),
        answered(ToolResult(name="f")),
    )
    assert written(*turns) == ["call_1", "call_2", "call_2", "call_1", "call_3", "call_3"]


def test_results_without_names_answer_the_calls_in_order():
    turns = asked(ToolCall(name="f"), ToolCall(name="g")), answered(ToolResult(), ToolResult())
    assert written(*turns) == ["call_1", "call_2", "call_1", "call_2"]


def test_two_calls_of_one_name_are_answered_in_order():
    turns = asked(ToolCall(name="f"), ToolCall(name="f")), answered(ToolResult(name="f"), ToolResult(name="f"))
    assert written(*turns) == ["call_1", "call_2", "call_1", "call_2"]


def test_a_longer_history_gives_the_earlier_calls_the_same_ids():
    turns = [asked(ToolCall(name="f"), ToolCall(name="g", id="x:1")), answered(ToolResult(name="f"))]
    before = written(*turns, pattern=ANTHROPIC)
    turns += [Turn("user", [Text(text="go on")]), asked(ToolCall(name="f"))]
    assert written(*turns, pattern=ANTHROPIC)[: len(before)] == before


# --- which call a result answers ---------------------------------------------------------------------------------------


def answers(*turns: Turn) -> list[str | None]:
    """The arguments of the call that each result answers."""
    found = answered_calls(turns)
    results = [part for turn in turns for part in turn.parts if type(part) is ToolResult]
    return [found[id(result)].arguments if id(result) in found else None for result in results]


def called(name: str, arguments: str, id: str | None = None) -> ToolCall:
    return ToolCall(name=name, arguments=arguments, id=id)


def says(text: str) -> Turn:
    return Turn("user", [Text(text=text)])


def test_a_result_without_an_id_answers_a_call_that_has_one_by_name_and_order():
    calls = asked(called("f", "1", "a"), called("g", "2", "b"), called("f", "3", "c"))
    results = answered(ToolResult(name="g"), ToolResult(name="f"), ToolResult(name="f"))
    assert answers(calls, results) == ["2", "1", "3"]
    assert written(calls, results) == ["a", "b", "c", "b", "a", "c"]


def test_results_without_id_and_name_answer_calls_with_ids_in_order():
    assert written(asked(called("f", "1", "a"), called("g", "2", "b")), answered(ToolResult(), ToolResult())) == [
        "a", "b", "a", "b",
    ]  # fmt: skip


def test_an_id_leads_to_its_call_before_order_does():
    calls = asked(called("f", "1", "a"), called("f", "2", "b"))
    assert answers(calls, answered(ToolResult(name="f"), ToolResult(call_id="a", name="f"))) == ["2", "1"]


def test_a_result_whose_client_made_up_an_id_answers_the_call_that_has_none():
    calls = asked(called("f", "1"), called("g", "2"))
    assert answers(calls, answered(ToolResult(call_id="g-17", name="g"), ToolResult(call_id="f-18", name="f"))) == [
        "2", "1",
    ]  # fmt: skip


def test_results_with_other_ids_than_all_their_calls_answer_them_in_order():
    calls = asked(called("f", "1", "a"), called("g", "2", "b"))
    assert answers(calls, answered(ToolResult(call_id="x"), ToolResult(call_id="y"))) == ["1", "2"]


def test_a_result_of_a_call_that_was_removed_answers_no_other_call():
    turns = (
        answered(ToolResult(call_id="gone")),
        asked(called("f", "1", "a"), called("g", "2", "b")),
        answered(ToolResult(call_id="a"), ToolResult(call_id="lost", name="h"), ToolResult(call_id="b")),
    )
    assert answers(*turns) == [None, "1", None, "2"]


def test_a_result_without_an_id_answers_the_latest_step_not_one_that_was_interrupted():
    turns = (
        asked(called("f", "1")),
        says("Stop. Again, please."),
        asked(called("f", "2")),
        answered(ToolResult(name="f")),
    )
    assert answers(*turns) == ["2"]


def test_a_message_between_a_call_and_its_result_changes_nothing():
    turns = asked(called("f", "1")), says("Hurry!"), answered(ToolResult(name="f"))
    assert answers(*turns) == ["1"]


def test_ids_that_a_server_counts_from_zero_in_every_reply_are_told_apart():
    turns = (
        asked(called("f", "1", "call_0"), called("g", "2", "call_1")),
        answered(ToolResult(call_id="call_1"), ToolResult(call_id="call_0")),
        asked(called("f", "3", "call_0")),
        answered(ToolResult(call_id="call_0")),
    )
    assert answers(*turns) == ["2", "1", "3"]
    ids = written(*turns, pattern=ANTHROPIC)
    assert ids[2:4] == ["call_1", "call_0"] and ids[4] == ids[5] and len(set(ids)) == 3
    kept = call_ids(list(turns), answered_calls(turns), verbatim=True)
    assert [kept[id(part)] for part in turns[2].parts + turns[3].parts] == ["call_0", "call_0"]


def test_two_calls_of_one_step_with_the_same_id_are_answered_in_order():
    calls = asked(called("f", "1", "x"), called("f", "2", "x"))
    results = answered(ToolResult(call_id="x"), ToolResult(call_id="x"))
    assert answers(calls, results) == ["1", "2"]
    ids = written(calls, results)
    assert ids[:2] == ids[2:] and ids[0] != ids[1]


def test_results_that_answer_no_call_do_not_share_an_id():
    ids = written(answered(ToolResult(), ToolResult(), ToolResult(name="f")))
    assert len(set(ids)) == 3


def test_an_id_that_is_made_is_none_that_comes_later():
    turns = asked(called("f", "1"), called("g", "2", "call_1")), answered(ToolResult(name="f"), ToolResult(name="g"))
    ids = written(*turns)
    assert ids[:2] == ids[2:] and ids[0] != ids[1]


@given(
    steps=st.lists(st.lists(st.sampled_from("fgh"), min_size=1, max_size=4), min_size=1, max_size=4),
    forgets=st.sets(st.sampled_from(["call id", "result id", "name"])),
    data=st.data(),
)
def test_every_result_is_matched_to_its_call_despite_missing_ids(steps, forgets, data):
    turns: list[Turn] = []
    expected: list[str | None] = []
    for number, names in enumerate(steps):
        calls = [
            called(name, f"{number}.{place}", None if "call id" in forgets else f"{number}-{place}")
            for place, name in enumerate(names)
        ]
        nameless = "name" in forgets
        without_id = bool(forgets & {"call id", "result id"})
        order = calls if nameless or without_id else data.draw(st.permutations(calls))
        results = [
            ToolResult(call_id=None if without_id else call.id, name=None if nameless else call.name) for call in order
        ]
        expected += [call.arguments for call in order]
        turns += [asked(*calls), answered(*results)]
    assert answers(*turns) == expected


@given(
    kinds=st.lists(
        st.tuples(st.booleans(), st.sampled_from([None, "a", "b"]), st.sampled_from([None, "f", "g"])), max_size=12
    )
)
def test_calls_never_share_an_id_and_an_earlier_part_keeps_its_own(kinds):
    turns = [
        asked(ToolCall(name=name or "h", id=id)) if is_call else answered(ToolResult(call_id=id, name=name))
        for is_call, id, name in kinds
    ]
    ids = call_ids(turns, answered_calls(turns), ANTHROPIC)
    calls = [ids[id(part)] for turn in turns for part in turn.parts if type(part) is ToolCall]
    assert len(set(calls)) == len(calls)
    more = [*turns, says("Go on"), asked(ToolCall(name="f", id="a"))]
    longer = call_ids(more, answered_calls(more), ANTHROPIC)
    assert ids.items() <= longer.items()
