"""Tool call ids that a target accepts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Text, ToolCall, ToolResult, Turn
from modelbay.protocols.ids import call_ids, fit

ANTHROPIC = r"[a-zA-Z0-9_-]+"
MISTRAL = r"[a-zA-Z0-9]{9}"

any_id = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def written(*turns: Turn, pattern: str | None = None) -> list[str]:
    """The ids of the calls and results, in order."""
    ids = call_ids(turns, pattern)
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
    assert fit(call_id, pattern) == fit.__wrapped__(call_id, pattern)


@pytest.mark.parametrize("pattern", [ANTHROPIC, MISTRAL])
@given(ids=st.sets(any_id, max_size=20))
def test_different_ids_stay_different(pattern, ids):
    assert len({fit(call_id, pattern) for call_id in ids}) == len(ids)


def test_a_replaced_id_is_still_recognisable():
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
