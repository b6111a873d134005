"""Histories that providers refuse, as every provider gets them."""

import copy
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Media,
    Settings,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
    user,
)
from modelbay.dialect import PLAIN
from modelbay.events import Warned
from modelbay.protocols import repair as repairs
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.ids import answered_calls
from modelbay.protocols.survey import Survey
from tests.protocols.provider_rules import ABLE, refusal

every_target = pytest.mark.parametrize("target", NAMES)
every_client = pytest.mark.parametrize("client", [*NAMES, None])


def called(*ids: str | None) -> Turn:
    return Turn("assistant", [ToolCall(name=f"f_{id}", arguments="{}", id=id) for id in ids])


def said(text: str) -> Turn:
    return Turn("assistant", [Text(text=text)])


def result(id: str | None, text: str = "ok") -> ToolResult:
    return ToolResult(call_id=id, parts=[Text(text=text)])


def answered(id: str | None, text: str = "ok") -> Turn:
    return Turn("tool", [result(id, text)])


def outline(turns: list[Turn]) -> str:
    """Turns in short: `A` the assistant, `U` any other role; `call`, `=result`, `"text"`."""
    return " ".join(
        f"{'A' if turn.role == 'assistant' else 'U'}({', '.join(map(_in_short, turn.parts))})" for turn in turns
    )


def _in_short(part: AnyPart) -> str:
    match part:
        case ToolCall():
            return str(part.id)
        case ToolResult(parts=[Text(text=text), *_]):
            return f"={part.call_id}" if text == "ok" else f"={part.call_id}:{text}"
        case Text():
            return f'"{part.text}"'
        case _:
            return type(part).__name__


def repaired(conversation: Conversation, target: str, report: list[Warned]) -> list[Turn]:
    return repairs.repaired(conversation, target, Survey(conversation.turns), report)


def repair(
    *turns: Turn, target: str = "openai_chat", client: str | None = None, **settings: object
) -> tuple[str, list[str]]:
    report: list[Warned] = []
    conversation = Conversation(list(turns), Settings(**settings), protocol=client)  # type: ignore[arg-type]
    return outline(repaired(conversation, target, report)), [warning.message for warning in report]


def refused(target: str, client: str | None, turns: list[Turn]) -> str | None:
    """The errors of a provider. A client of its own protocol keeps its IDs, and is refused for those that come again."""
    calls = [part.id for turn in turns for part in turn.parts if type(part) is ToolCall]
    if client == target and len(set(calls)) < len(calls):
        return None
    return refusal(target, Conversation(turns, Settings(max_output_tokens=100), protocol=client))  # type: ignore[arg-type]


NO_RESULT = "no result: the call was interrupted"
ASK = user("Go")

BROKEN = {
    "a call without a result": (
        [ASK, called("a"), user("go on")],
        f'U("Go") A(a) U(=a:{NO_RESULT}) U("go on")',
        ["the call of `f_a` has no result: an error is sent as its result"],
    ),
    "one of two calls without a result": (
        [ASK, called("a", "b"), answered("b"), user("go on")],
        f'U("Go") A(a, b) U(=b) U(=a:{NO_RESULT}) U("go on")',
        ["the call of `f_a` has no result: an error is sent as its result"],
    ),
    "a call before the next one": (
        [ASK, called("a"), user("stop"), called("b"), answered("b")],
        f'U("Go") A(a) U(=a:{NO_RESULT}) U("stop") A(b) U(=b)',
        ["the call of `f_a` has no result: an error is sent as its result"],
    ),
    "a result without a call": (
        [answered("a", "18 degrees"), user("go on")],
        'U("Result of a tool: 18 degrees") U("go on")',
        ["a result of a tool has no matching call: sent as text"],
    ),
    "two results that differ": (
        [ASK, called("a"), answered("a"), answered("a", "later"), user("go on")],
        'U("Go") A(a) U(=a) U("Result of a tool: later") U("go on")',
        ["a result of a tool has no matching call: sent as text"],
    ),
    "the same result twice": (
        [ASK, called("a"), answered("a"), answered("a"), user("go on")],
        'U("Go") A(a) U(=a) U("go on")',
        ["a second result of the same call of a tool is not sent"],
    ),
    "a message between a call and its result": (
        [ASK, called("a"), Turn("developer", [Text(text="approved")]), answered("a"), user("next")],
        'U("Go") A(a) U(=a) U("approved") U("next")',
        ["a tool result that does not directly follow its call is moved there"],
    ),
    "a message between two results": (
        [ASK, called("a", "b"), answered("a"), user("hurry"), answered("b")],
        'U("Go") A(a, b) U(=a) U(=b) U("hurry")',
        ["a tool result that does not directly follow its call is moved there"],
    ),
    "a result behind the next step": (
        [ASK, called("a", "b"), answered("a"), called("c"), answered("c"), answered("b")],
        'U("Go") A(a, b) U(=a) U(=b) A(c) U(=c)',
        ["a tool result that does not directly follow its call is moved there"],
    ),
    "a reply's text between the results of its calls": (
        [ASK, called("a", "b"), answered("a"), said("Both run."), answered("b")],
        'U("Go") A(a, b, "Both run.") U(=a) U(=b)',
        ["a tool result that does not directly follow its call is moved there"],
    ),
    "words before a result in one message": (
        [ASK, called("a"), Turn("user", [Text(text="Here:"), result("a")])],
        'U("Go") A(a) U(=a) U("Here:")',
        [],
    ),
    "a call in a message of the user's": (
        [ASK, Turn("user", [ToolCall(name="f_a", arguments="{}", id="a")]), answered("a"), user("next")],
        'U("Go") A(a) U(=a) U("next")',
        ["a tool call outside of an assistant message is sent as the assistant's"],
    ),
    "an id that comes again": (
        [ASK, called("0"), user("stop"), called("0"), answered("0")],
        f'U("Go") A(0) U(=0:{NO_RESULT}) U("stop") A(0) U(=0)',
        ["the call of `f_0` has no result: an error is sent as its result"],
    ),
}


@pytest.mark.parametrize(("turns", "wanted", "report"), BROKEN.values(), ids=BROKEN)
def test_a_broken_history_is_repaired_and_reported(turns, wanted, report):
    assert repair(*turns) == (wanted, report)


@pytest.mark.parametrize("turns", [case[0] for case in BROKEN.values()], ids=BROKEN)
@every_client
@every_target
def test_no_provider_refuses_a_history_for_what_an_agent_broke(turns, client, target):
    assert refused(target, client, [*turns, user("So?")]) is None


@every_client
@every_target
def test_a_history_that_is_whole_is_not_touched(client, target):
    turns = [
        ASK,
        called("a", "b"),
        Turn("user", [result("b"), result("a"), Text(text="and")]),
        said("Well"),
        user("Again"),
        called("a"),
        answered("a"),
        called("c"),
    ]
    report: list[Warned] = []
    assert repaired(Conversation(turns, protocol=client), target, report) is turns
    assert not report


def test_a_call_without_a_result_is_interrupted_once_another_has_its_own():
    assert repair(ASK, called("a", "b"), answered("b"))[0] == f'U("Go") A(a, b) U(=b) U(=a:{NO_RESULT})'


def test_a_call_that_nothing_follows_is_not_interrupted_yet():
    assert repair(ASK, called("a")) == ('U("Go") A(a)', [])


def test_a_result_that_comes_in_the_user_s_own_message_stays_in_it():
    turns = [ASK, called("a", "b"), Turn("user", [result("a"), Text(text="go on")])]
    assert repair(*turns, target="anthropic", client="anthropic")[0] == (
        f'U("Go") A(a, b) U(=a, =b:{NO_RESULT}, "go on")'
    )


def test_items_of_responses_may_stand_between_a_call_and_its_result_in_responses_only():
    turns = [ASK, called("a"), user("approved"), answered("a")]
    assert repair(*turns, target="openai_responses", client="openai_responses") == (
        'U("Go") A(a) U("approved") U(=a)',
        [],
    )
    assert repair(*turns, target="openai_responses", client="openai_chat")[0] == 'U("Go") A(a) U(=a) U("approved")'


def test_a_call_of_a_kind_we_do_not_know_keeps_its_result():
    shell = Turn(
        "assistant", [UnknownPart(native="local_shell_call", raw={"type": "local_shell_call", "call_id": "s"})]
    )
    turns = [ASK, shell, answered("s")]
    assert repair(*turns, target="openai_responses", client="openai_responses")[1] == []
    # no other provider gets the call, so its result would answer nothing
    assert repair(*turns, target="anthropic", client="openai_responses")[0].endswith('U("Result of a tool: ok")')


def test_a_history_whose_beginning_is_at_the_provider_is_not_touched():
    turns = [answered("a")]
    found = repair(*turns, target="openai_responses", client="openai_responses", state={"previous_response_id": "r"})
    assert found == ("U(=a)", [])


def test_the_media_of_a_result_without_a_call_are_kept():
    picture = Media(kind="image", data="AAAA", media_type="image/png")
    stray = Turn("tool", [ToolResult(call_id="x", name="look", parts=[Text(text="see"), picture])])
    found = repaired(Conversation([stray, user("Well?")]), "anthropic", [])
    assert found[0] == Turn("user", [Text(text="Result of look: see"), picture])


@every_target
def test_the_next_turn_s_history_begins_as_this_one_did(target):
    """Or a prompt cache would be of no use from the repair on."""
    turns = [
        ASK, called("a", "b"), answered("a"), user("stop"), called("c"), user("approved"), answered("c"),
        said("Done"), user("More"), answered("zz"), called("d"), answered("d"), answered("d", "again"), user("End"),
    ]  # fmt: skip

    def sent(count: int) -> list[str]:
        body = json.loads(codec(target).render_request(Conversation(turns[:count]), ABLE, PLAIN).encode())
        messages = body.get("messages") or body.get("input") or body["contents"]
        return [json.dumps(message) for message in messages]

    # requests are sent where the model is to go on
    for earlier, later in [(4, 7), (7, 9), (9, 12), (12, 14)]:
        before, after = sent(earlier), sent(later)
        whole = before if target in ("openai_chat", "openai_responses") else before[:-1]  # the rest joins the last one
        assert after[: len(whole)] == whole


@every_target
def test_a_result_that_found_its_call_by_order_is_the_same_beside_a_later_repair(target):
    turns = [ASK, called("a"), answered("other"), called("b"), user("stop")]

    def sent(count: int) -> str:
        conversation = Conversation(turns[:count], protocol="openai_chat")
        body = json.loads(codec(target).render_request(conversation, ABLE, PLAIN).encode())
        return json.dumps(body.get("messages") or body.get("input") or body["contents"])

    assert sent(5).startswith(sent(3)[:-1])


# --- any history -------------------------------------------------------------------------------------------------------

ids = st.sampled_from(["a", "b", "c", None])
histories = st.lists(
    st.one_of(
        st.lists(ids, min_size=1, max_size=3).map(lambda ids: called(*ids)),
        ids.map(answered),
        st.builds(lambda id, text: Turn("user", [Text(text=text), result(id)]), ids, st.just("words")),
        st.builds(lambda id: Turn("user", [result(id), result("a"), Text(text="words")]), ids),
        st.sampled_from([user("hm"), said("well"), Turn("developer", [Text(text="note")]), Turn("user", [])]),
    ),
    max_size=10,
)


def has_ids(turns: list[Turn]) -> bool:
    """Whether every call has an ID, and no two calls of a step the same."""
    steps = [[part.id for part in turn.parts if type(part) is ToolCall] for turn in turns]
    results = [part.call_id for turn in turns for part in turn.parts if type(part) is ToolResult]
    return None not in [*results, *(id for ids in steps for id in ids)] and all(
        len(set(ids)) == len(ids) for ids in steps
    )


@given(turns=histories, client=st.sampled_from([*NAMES, None]), target=st.sampled_from(NAMES))
def test_no_provider_refuses_any_history(turns, client, target):
    assert refused(target, client, [ASK, *copy.deepcopy(turns), user("So?")]) is None


@given(turns=histories.filter(has_ids), client=st.sampled_from([*NAMES, None]), target=st.sampled_from(NAMES))
def test_a_repaired_history_needs_no_repair(turns, client, target):
    once = repaired(Conversation([ASK, *turns, user("So?")], protocol=client), target, [])
    report: list[Warned] = []
    assert repaired(Conversation(once, protocol=client), target, report) is once
    assert not report


TWICE = called("a")
"""A turn that a program adds to its history twice."""


@example(turns=[called("a", "a"), answered("a"), user("Stop")], client=None, target="anthropic")
@example(turns=[called("a"), said("well"), answered("a")], client=None, target="openai_chat")
@example(turns=[called("a"), Turn("user", []), answered("a")], client=None, target="anthropic")
@example(turns=[TWICE, answered("a"), TWICE, answered("a")], client=None, target="anthropic")
@given(turns=histories, client=st.sampled_from([*NAMES, None]), target=st.sampled_from(NAMES))
def test_a_quick_look_at_a_history_finds_what_a_close_look_finds(turns, client, target):
    """A part of an unknown kind makes the history one that is looked at closely."""
    turns = [ASK, *copy.deepcopy(turns), user("So?")]
    seen = Survey(turns)
    quick: list[Warned] = []
    found = repairs.repaired(Conversation(turns, protocol=client), target, seen, quick)
    close: list[Warned] = []
    odd = Turn("user", [UnknownPart(raw="?")])
    assert repaired(Conversation([odd, *turns], protocol=client), target, close) == [odd, *found]
    assert quick == close
    if found is turns and seen.answers is not None:
        assert seen.answers == answered_calls(turns)


def test_the_pictures_of_a_result_that_is_sent_again_are_not_sent_twice():
    def picture(data: str) -> Media:
        return Media(kind="image", data=data)

    given: list[AnyPart] = [result("a"), picture("AAAA"), result("a"), picture("AAAA"), picture("BBBB")]
    text, _ = repair(ASK, called("a"), Turn("user", [*given]), user("So?"), target="openai_chat", client="google")
    assert text == 'U("Go") A(a) U(=a, Media, Media) U("So?")'
    once: list[AnyPart] = [result("a"), picture("AAAA"), result("b"), picture("AAAA")]
    text, _ = repair(ASK, called("a", "b"), Turn("user", [*once, result("b")]), client="google")
    assert text == 'U("Go") A(a, b) U(=a, =b, Media, Media)', "two results have the same picture"


def test_a_repair_is_the_same_for_a_client_s_body():
    """From the body that an agent sends to the body that a provider gets."""
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "tool_calls": [{"id": "k1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "user", "content": "go on"},
        ],
    }  # fmt: skip
    conversation = codec("openai_chat").parse_request(Call("", body))
    sent = codec("anthropic").render_request(conversation, ABLE, PLAIN)
    assert sent.body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "k1", "content": NO_RESULT, "is_error": True},
        {"type": "text", "text": "go on"},
    ]
    assert [warning.message for warning in sent.warnings] == [
        "the call of `f` has no result: an error is sent as its result"
    ]
