"""Reasoning state that clients drop: it comes back at its place, to the provider that gave it, and nowhere else.

The provider is the simulator, which refuses state that is lost, changed or at another place. The store is opened again for
each request, as after a restart.
"""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from copy import deepcopy
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay import Hub
from modelbay.calling.target import Target, Targets
from modelbay.config.load import load, parse
from modelbay.conversation import (
    AnyPart,
    Conversation,
    Settings,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import PLAIN
from modelbay.events import Reply, collect
from modelbay.gateway.reasoning_store import ReasoningStore
from modelbay.gateway.response_store import ResponseStore
from modelbay.protocols.codec import Call, codec
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from modelbay.storage.state_table import DAY, StateTable
from tests.gateway.targets import target_of
from tests.tool_loop_clients import CLIENTS, HABITS, PROTOCOLS, Responses, history, returned_state

GEMINI = "gemini-3-pro-preview"
"""It thinks always, and refuses a call without its signature."""
RESULTS = {"get_weather": "sunny", "get_tide": "high"}


@pytest.fixture(scope="module")
def _running() -> Iterator[Simulator]:
    with Simulator(aliases={GEMINI: "sim-thinker"}) as running:
        yield running


@pytest.fixture
def simulator(_running: Simulator) -> Simulator:
    _running.reset()
    return _running


@pytest.fixture
async def hub(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Hub]:
    path = tmp_path / "config.toml"
    text = config_text(simulator.url, None)
    gemini = 'provider = "sim-google"\nmodel = '
    path.write_text(text.replace(f'{gemini}"sim-echo"', f'{gemini}"{GEMINI}"'))
    async with Hub.open(path) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "gateway.sqlite"


def store(file: Path, **options: Any) -> ReasoningStore:
    return ReasoningStore(StateTable(file, **{"days": 30, "max_bytes": 10_000_000} | options))


# --- tool loops over every pair of protocols ---------------------------------------------------------------------------


async def asked(hub: Hub, file: Path, client: Any, protocol: str, upstream: str, stream: bool = False) -> Any:
    """The client's response, as a gateway with the store gives it."""
    path, body = client.path, deepcopy(client.body)
    if stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        body |= {} if protocol == "google" else {"stream": True}
    conversation = codec(protocol).parse_request(Call(path, body))
    name = f"sim-{upstream.removeprefix('openai_')}"
    target = Targets(hub.config).find(name)
    sent = store(file).restore("ann", target, conversation)
    if stream:
        events = [event async for event in hub.stream(sent, model=name)]
        store(file).keep("ann", target, conversation, collect(events))
        renderer, parser = codec(protocol).stream_renderer(conversation), codec(protocol).stream_parser(PLAIN)
        read = [one for event in events for one in parser.feed(renderer.feed(event))]
        return json.loads(codec(protocol).render_reply(collect([*read, *parser.close()])))
    reply = await hub.complete(sent, model=name)
    store(file).keep("ann", target, conversation, reply)
    return json.loads(codec(protocol).render_reply(reply))


async def answer_calls(
    hub: Hub, file: Path, client: Any, protocol: str, upstream: str, habit: str, stream: bool
) -> Any:
    """The last message of a tool loop. The client has it in its history as well."""
    ids = (f"own-{number}" for number in range(100))
    for _ in range(6):
        message = HABITS[habit](client, await asked(hub, file, client, protocol, upstream, stream), ids)
        calls = client.calls(message)
        if not calls:
            return message
        answers = [(call, RESULTS[call.name]) for call in calls]
        if all(call.id for call in calls):
            answers.reverse()
        client.answer(message, answers, ids=True)
    raise AssertionError("the loop does not end")


def assert_each_request_begins_with_the_one_before(simulator: Simulator) -> None:
    for before, after in pairwise(simulator.journal):
        older, newer = (history(entry.json) for entry in (before, after))
        assert json.dumps(newer[: len(older)]) == json.dumps(older)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("habit", ["forgets_thinking", "forgets_fields", "keeps"])
@pytest.mark.parametrize(("protocol", "upstream"), list(product(PROTOCOLS, PROTOCOLS)))
async def test_a_tool_loop_has_its_state_although_the_client_drops_it(
    hub: Hub, simulator: Simulator, file: Path, protocol: str, upstream: str, habit: str, stream: bool
) -> None:
    client = CLIENTS[protocol]("Ask about the weather and the tide in parallel, in 3 steps.", list(RESULTS))
    message = await answer_calls(hub, file, client, protocol, upstream, habit, stream)
    assert "tool get_weather answered: sunny" in client.text(message)
    entries = list(simulator.journal)
    assert [entry.status for entry in entries] == [200] * 4
    assert returned_state(upstream, entries[-1].json) == 3
    if upstream == "openai_chat":
        own = [message for message in entries[-1].json["messages"] if message["role"] == "assistant"]
        assert all(len(message["reasoning_content"]) > 20 for message in own)
    assert_each_request_begins_with_the_one_before(simulator)


@pytest.mark.parametrize(("protocol", "upstream"), list(product(PROTOCOLS, PROTOCOLS)))
async def test_twenty_turns_begin_with_the_bytes_of_the_turn_before(
    hub: Hub, simulator: Simulator, file: Path, protocol: str, upstream: str
) -> None:
    client = CLIENTS[protocol]("Ask about the tide.", list(RESULTS))
    for turn in range(20):
        message = await answer_calls(hub, file, client, protocol, upstream, "forgets_thinking", False)
        ask_again(client, message, f"Ask about the weather of day {turn}.")
    entries = list(simulator.journal)
    assert [entry.status for entry in entries] == [200] * 40
    assert upstream == "openai_chat" or returned_state(upstream, entries[-1].json) == 39
    assert_each_request_begins_with_the_one_before(simulator)


def ask_again(client: Any, message: Any, prompt: str) -> None:
    """The last message and the user's next one."""
    body = client.body
    if "contents" in body:
        body["contents"] += [message, {"role": "user", "parts": [{"text": prompt}]}]
    elif "input" in body:
        body["input"] += [*message["output"], {"role": "user", "content": prompt}]
    else:
        body["messages"] += [message, {"role": "user", "content": prompt}]


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_state_returns_to_a_history_that_only_the_gateway_has(
    hub: Hub, simulator: Simulator, file: Path, upstream: str
) -> None:
    """A client of Responses that continues its last response has neither the history nor its state."""
    responses = ResponseStore(StateTable(file, days=30, max_bytes=10_000_000))
    client = Responses("Ask about the weather and the tide in parallel, in 3 steps.", list(RESULTS))
    client.body |= {"store": True, "include": []}
    for _ in range(4):
        request = responses.resolve("ann", client.body)
        body, client.body = client.body, request.body | {"store": False, "include": ["reasoning.encrypted_content"]}
        response = await asked(hub, file, client, "openai_responses", upstream)
        responses.remember("ann", request, response)
        client.body = body | {"previous_response_id": response["id"], "input": []}
        client.answer({"output": []}, [(one, RESULTS[one.name]) for one in client.calls(response)], ids=True)
    assert [entry.status for entry in simulator.journal] == [200] * 4
    assert returned_state(upstream, simulator.journal[-1].json) == 3
    assert_each_request_begins_with_the_one_before(simulator)


# --- places ------------------------------------------------------------------------------------------------------------

CONFIG = """
[providers.one]
type = "anthropic"
base_url = "https://one.example"
[models.one]
provider = "one"
model = "claude-sonnet-4-5"

[providers.two]
type = "anthropic"
base_url = "https://two.example"
[models.two]
provider = "two"
model = "claude-sonnet-4-5"
[models.other]
provider = "one"
model = "kimi-k2"
"""
QUESTION = user("Is it windy?")


@pytest.fixture
def targets(tmp_path: Path) -> Targets:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return Targets(load(path))


def call(name: str, arguments: str = "{}", id: str = "") -> ToolCall:
    return ToolCall(name=name, arguments=arguments, id=id or f"id-{name}")


def thought(text: str) -> Thinking:
    return Thinking(texts=[text], opaque=f"sig-{text}")


def asks(*parts: AnyPart, before: Turn = QUESTION, protocol: Any = "openai_chat") -> Conversation:
    """A conversation with a tool loop, whose calls have a result each."""
    results = [ToolResult(call_id=one.id, parts=[Text(text="yes")]) for one in parts if type(one) is ToolCall]
    turns = [before, Turn("assistant", [*parts]), Turn("tool", [*results])]
    return Conversation(turns, protocol=protocol)


def keep(store: ReasoningStore, target: Target, *parts: AnyPart, client: str = "ann", before: Turn = QUESTION) -> None:
    store.keep(client, target, Conversation([before], protocol="openai_chat"), Reply(parts=[*parts]))


def opaques(conversation: Conversation) -> list[str]:
    """The parts of the model's turns, by their state or else their name."""
    parts = [part for turn in conversation.turns if turn.role == "assistant" for part in turn.parts]
    return [str(part.opaque or getattr(part, "name", None) or getattr(part, "text", "")) for part in parts]


def test_thinking_returns_to_its_place_between_texts_and_calls(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), Text(text="Let me see."), thought("2"), call("wind"), thought("3"), call("tide"))
    # clients of Chat Completions have the texts before the calls, and trim them
    sent = asks(Text(text=" Let me see.\n"), call("wind"), call("tide"))
    restored = kept.restore("ann", target, sent)
    assert opaques(restored) == ["sig-1", " Let me see.\n", "sig-2", "wind", "sig-3", "tide"]
    assert {part.origin for part in restored.turns[1].parts if type(part) is Thinking} == {target.provenance}
    assert opaques(sent) == [" Let me see.\n", "wind", "tide"], "the client's conversation is not changed"
    assert opaques(kept.restore("ann", target, asks(call("wind"), call("tide")))) == [
        "sig-1",
        "sig-2",
        "wind",
        "sig-3",
        "tide",
    ]


def test_thinking_is_never_the_last_part_of_a_turn(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind"), thought("2"))
    assert opaques(kept.restore("ann", target, asks(call("wind")))) == ["sig-1", "sig-2", "wind"]


def test_in_responses_thinking_is_an_item_of_its_own(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind"), call("tide"))
    items = [Turn("assistant", [call("wind")]), Turn("assistant", [call("tide")])]
    restored = kept.restore("ann", target, Conversation([QUESTION, *items], protocol="openai_responses"))
    assert [[type(part) for part in turn.parts] for turn in restored.turns[1:]] == [[Thinking], [ToolCall], [ToolCall]]


def test_a_result_between_two_calls_of_a_reply_does_not_hide_its_state(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind"), call("tide"))
    turns = [*asks(call("wind")).turns, *asks(call("tide")).turns[1:]]
    assert opaques(kept.restore("ann", target, Conversation(turns, protocol="openai_responses"))) == [
        "sig-1",
        "wind",
        "tide",
    ]


def test_the_state_of_a_text_and_of_a_call_returns_to_them(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    signed = replace(call("tide"), opaque="sig-tide")
    keep(kept, target, Text(text="Well.", opaque="sig-text"), call("wind"), signed, Text(opaque="sig-end"))
    sent = asks(Text(text="Well."), call("wind"), call("tide"))
    assert opaques(kept.restore("ann", target, sent)) == ["sig-text", "wind", "sig-tide", "sig-end"]
    changed = asks(Text(text="No."), call("wind"), call("moon"))
    assert opaques(kept.restore("ann", target, changed)) == ["No.", "wind", "moon", "sig-end"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ('{"b":1.0, "a":[2.50]}', '{"a": [2.5], "b": 1}'),
        ("", "{}"),
        ('{"a": "x', '{"_raw": "{\\"a\\": \\"x"}'),
        ('{"a":"\\u00e9"}', '{"a":"é"}'),
        ('{"old": "a", "new": "b"}', '{"old": "a", "new": "b", "replace_all": false}'),  # Claude Code adds defaults
    ],
)
def test_state_returns_to_a_call_however_a_client_writes_its_arguments(
    file: Path, targets: Targets, given: str, sent: str
) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind", given))
    assert opaques(kept.restore("ann", target, asks(call("wind", sent)))) == ["sig-1", "wind"]


def test_state_returns_to_the_call_at_its_place_among_calls_of_one_tool(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, call("wind", id="a"), replace(call("wind", id="b"), opaque="sig-b"))
    assert opaques(kept.restore("ann", target, asks(call("wind", id="a"), call("wind", id="b")))) == ["wind", "sig-b"]
    assert opaques(kept.restore("ann", target, asks(call("wind", id="a")))) == ["sig-b"], "the other call was dropped"


def test_state_that_the_client_sent_is_not_given_to_another_call_of_the_tool(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    signed = replace(call("wind", id="a"), opaque="sig-a")
    keep(kept, target, signed, call("wind", id="b"))
    assert opaques(kept.restore("ann", target, asks(signed, call("wind", id="b")))) == ["sig-a", "wind"]


def test_a_call_with_another_id_and_other_arguments_gets_no_state_of_another_call(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind", '{"day": 1}', id="a"))
    other = asks(call("wind", '{"day": 2}', id="b"))
    assert kept.restore("ann", target, other) is other
    for sent in (call("wind", '{"day": 1}', id="b"), call("wind", '{"day": 2}', id="a")):
        assert opaques(kept.restore("ann", target, asks(sent))) == ["sig-1", "wind"]


def test_an_edited_history_has_no_state_from_the_edit_on(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    turns = [*asks(call("wind")).turns]
    keep(kept, target, thought("1"), call("wind"))
    kept.keep("ann", target, Conversation(turns, protocol="openai_chat"), Reply(parts=[thought("2"), call("tide")]))
    turns += asks(call("tide")).turns[1:]

    def restored(*changed: Turn) -> list[str]:
        return opaques(kept.restore("ann", target, Conversation([*changed], protocol="openai_chat")))

    assert restored(*turns) == ["sig-1", "wind", "sig-2", "tide"]
    assert restored(Turn("system", [Text(text="Today is Monday.")]), *turns) == ["sig-1", "wind", "sig-2", "tide"]
    assert restored(user("Is it rainy?"), *turns[1:]) == ["wind", "tide"]
    edited = Turn("tool", [ToolResult(call_id="id-wind", parts=[Text(text="no")])])
    assert restored(*turns[:2], edited, *turns[3:]) == ["sig-1", "wind", "tide"]
    assert restored(*turns[:3], Turn("assistant", [call("moon")])) == ["sig-1", "wind", "moon"]
    assert restored(turns[0], *turns[3:]) == ["tide"]


@pytest.mark.parametrize(("protocol", "first"), [("anthropic", ["Calm."]), ("openai_chat", ["sig-1", "Calm."])])
def test_replies_before_the_first_call_keep_the_form_in_which_prompt_caches_have_them(
    file: Path, targets: Targets, protocol: Any, first: list[str]
) -> None:
    """In the provider's own protocol, they were passed on without their state."""
    target, kept = targets.find("one"), store(file)
    turns = [QUESTION, Turn("assistant", [Text(text="Calm.")]), user("And the tide?")]
    kept.keep("ann", target, Conversation(turns[:1]), Reply(parts=[thought("1"), Text(text="Calm.")]))
    kept.keep("ann", target, Conversation(turns), Reply(parts=[thought("2"), call("tide")]))
    result = Turn("tool", [ToolResult(call_id="id-tide", parts=[Text(text="high")])])
    sent = Conversation([*turns, Turn("assistant", [call("tide")]), result], protocol=protocol)
    assert opaques(kept.restore("ann", target, sent)) == [*first, "sig-2", "tide"]


def test_state_is_for_its_client_and_its_provider_only(file: Path, targets: Targets) -> None:
    target, kept, sent = targets.find("one"), store(file), asks(call("wind"))
    keep(kept, target, thought("1"), call("wind"))
    assert opaques(kept.restore("ann", target, sent)) == ["sig-1", "wind"]
    assert kept.restore("bob", target, sent) is sent
    assert kept.restore("ann", targets.find("two"), sent) is sent, "another origin"
    assert kept.restore("ann", targets.find("other"), sent) is sent, "another family"


def test_models_of_unknown_families_do_not_share_state(file: Path) -> None:
    """Both may be asked the same, and a client may change the model in a conversation."""
    one, other = (target_of("openai_responses", name) for name in ("inhouse-1", "inhouse-2"))
    kept, sent = store(file), asks(call("wind"))
    keep(kept, one, thought("1"), call("wind"))
    assert opaques(kept.restore("ann", one, sent)) == ["sig-1", "wind"]
    assert kept.restore("ann", other, sent) is sent


def test_each_of_two_equal_loops_keeps_the_state_of_its_own_call(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    for id in ("a", "b"):
        keep(kept, target, thought(id), call("wind", id=id))
    assert [opaques(kept.restore("ann", target, asks(call("wind", id=id))))[0] for id in "abc"] == [
        "sig-a",
        "sig-b",
        "sig-a",
    ]
    keep(kept, target, thought("later"), call("wind", id="a"))
    assert opaques(kept.restore("ann", target, asks(call("wind", id="a"))))[0] == "sig-a", (
        "the bytes of a request do not change"
    )


def test_reasoning_that_the_client_sent_back_is_not_changed(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    keep(kept, target, thought("1"), call("wind"))
    whole = asks(thought("1"), call("wind"), protocol="anthropic")
    assert kept.restore("ann", target, whole) is whole
    # a signature without its text, and a text without its signature
    cut = asks(Thinking(texts=["1"]), call("wind"), protocol="anthropic")
    assert opaques(kept.restore("ann", target, cut)) == ["sig-1", "wind"]


def test_a_conversation_that_its_provider_stores_is_left_as_it_is(file: Path, targets: Targets) -> None:
    target, kept = targets.find("one"), store(file)
    stored = Conversation([QUESTION], Settings(state={"previous_response_id": "resp_1"}), "openai_responses")
    kept.keep("ann", target, stored, Reply(parts=[thought("1"), call("wind")]))
    sent = asks(call("wind"))
    assert kept.restore("ann", target, sent) is sent
    keep(kept, target, thought("2"), call("wind"))
    sent.settings = stored.settings
    assert kept.restore("ann", target, sent) is sent


def test_without_state_there_is_no_file(file: Path, targets: Targets) -> None:
    target, kept, sent = targets.find("one"), store(file), asks(call("wind"))
    keep(kept, target, Thinking(texts=["Well."]), Text(text="Yes."))
    keep(kept, target, call("wind"))
    assert kept.restore("ann", target, sent) is sent
    assert not kept.is_foreign("ann", target, b'{"signature": "sig-1"}')
    assert not file.exists()


# --- signatures of other providers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"content": [{"type": "thinking", "thinking": "1", "signature": "sig/1=="}]}',
        '{"content":[{"type":"redacted_thinking","data":"sig\\/1=="}]}',
        '{"input": [{"type": "reasoning", "encrypted_content": "sig/1\\u003d="}]}',
        '{"parts": [{"functionCall": {"name": "wind"}, "thoughtSignature": "sig/1=="}]}',
        '{"reasoning_details": [{"type": "reasoning.encrypted", "data": "sig/1=="}]}',
    ],
)
def test_a_signature_of_another_provider_is_recognized(file: Path, targets: Targets, body: str) -> None:
    one, two, kept = targets.find("one"), targets.find("two"), store(file)
    keep(kept, one, Thinking(texts=["1"], opaque="sig/1=="), Text(text="Yes."))
    assert kept.is_foreign("ann", two, body.encode())
    assert kept.is_foreign("ann", targets.find("other"), body.encode()), "another family of the same provider"
    assert not kept.is_foreign("ann", one, body.encode())
    assert not kept.is_foreign("bob", two, body.encode()), "another client's"
    assert not kept.is_foreign("ann", two, body.replace("sig", "unknown").encode())
    assert not kept.is_foreign("ann", two, json.dumps({"content": body}).encode()), "a text"


@pytest.mark.parametrize(("type", "foreign"), [("openai_responses", True), ("anthropic", False)])
def test_encrypted_reasoning_is_of_one_account_and_signatures_are_not(file: Path, type: str, foreign: bool) -> None:
    text = "".join(
        f'[providers.{name}]\ntype = "{type}"\nbase_url = "https://acme.example"\napi_key = "sk-{name}-0123"\n'
        f'[models.{name}]\nprovider = "{name}"\nmodel = "m"\n'
        for name in ("here", "there")
    )
    targets, kept = Targets(parse(text, Path("config.toml"))), store(file)
    keep(kept, targets.find("here"), Thinking(texts=["1"], opaque="sig-1"), Text(text="Yes."))
    body = b'{"encrypted_content": "sig-1"}'
    assert kept.is_foreign("ann", targets.find("there"), body) is foreign
    assert not kept.is_foreign("ann", targets.find("here"), body)


def test_a_signature_of_another_provider_is_not_sent(file: Path, targets: Targets) -> None:
    one, two, kept = targets.find("one"), targets.find("two"), store(file)
    keep(kept, one, thought("1"), Text(text="Yes.", opaque="sig-text"))
    sent = asks(thought("1"), thought("unknown"), Text(text="Yes.", opaque="sig-text"), protocol="anthropic")
    assert opaques(kept.restore("ann", two, sent)) == ["sig-unknown", "Yes."]
    assert kept.restore("ann", one, sent) is sent


# --- the file ----------------------------------------------------------------------------------------------------------


def test_state_is_kept_for_some_days_after_its_last_use(file: Path, targets: Targets) -> None:
    target, now, sent = targets.find("one"), [0.0], asks(call("wind"))
    kept = store(file, days=30, clock=lambda: now[0])
    keep(kept, target, thought("1"), call("wind"))
    for _ in range(3):
        now[0] += 29 * DAY
        assert opaques(kept.restore("ann", target, sent)) == ["sig-1", "wind"]
    now[0] += 31 * DAY
    assert kept.restore("ann", target, sent) is sent
    keep(kept, target, thought("2"), call("tide"))
    assert b"sig-1" not in file.read_bytes()


def test_the_state_that_was_used_last_fits_the_size(file: Path, targets: Targets) -> None:
    target, now = targets.find("one"), [0.0]
    kept = store(file, max_bytes=20_000, clock=lambda: now[0])
    for number in range(30):
        now[0] += 1
        keep(kept, target, Thinking(texts=["x" * 1000], opaque=f"sig-{number}"), call(f"wind{number}"))
    left = [
        number for number in range(30) if len(opaques(kept.restore("ann", target, asks(call(f"wind{number}"))))) == 2
    ]
    assert left == list(range(left[0], 30)) and 5 < len(left) < 15
    keep(kept, target, Thinking(texts=["x" * 50_000], opaque="sig"), call("tide"))
    assert opaques(kept.restore("ann", target, asks(call("tide")))) == ["tide"]
    assert opaques(kept.restore("ann", target, asks(call("wind29")))) == ["sig-29", "wind29"], "it displaced nothing"
    assert file.stat().st_size < 100_000


def test_only_the_owner_can_read_the_file(file: Path, targets: Targets) -> None:
    keep(store(file), targets.find("one"), thought("1"), call("wind"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"Is it windy?" not in file.read_bytes(), "the conversation itself is not kept"


@pytest.mark.parametrize("damage", ["a folder", "newer"])
def test_a_file_that_cannot_be_used_fails_no_request(
    file: Path, targets: Targets, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    target, kept, sent = targets.find("one"), store(file), asks(call("wind"))
    keep(kept, target, thought("1"), call("wind"))
    if damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        with closing(sqlite3.connect(file)) as database:
            database.execute("pragma user_version = 99")
    for _ in range(3):
        keep(kept, target, thought("1"), call("wind"))
        assert kept.restore("ann", target, sent) is sent
        assert not kept.is_foreign("ann", target, b'{"signature": "sig-1"}')
    assert len(caplog.records) == 1 and "the state of the gateway" in caplog.text and "cannot be used" in caplog.text
    assert "[gateway]" in caplog.text or "rename the file" in caplog.text


def test_after_damage_state_is_kept_in_a_new_file(
    file: Path, targets: Targets, caplog: pytest.LogCaptureFixture
) -> None:
    target, kept, sent = targets.find("one"), store(file), asks(call("wind"))
    keep(kept, target, thought("1"), call("wind"))
    file.write_bytes(b"not a database, but long enough to be read as one" * 100)
    assert kept.restore("ann", target, sent) is sent
    keep(kept, target, thought("1"), call("wind"))
    assert kept.restore("ann", target, sent) is not sent
    assert len(caplog.records) == 1 and "was damaged" in caplog.text


def test_state_that_can_only_be_read_is_restored_although_its_use_is_not_noted(
    file: Path, targets: Targets, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1e9]
    table = StateTable(file, days=30, max_bytes=10_000_000, clock=lambda: now[0])
    target, kept, sent = targets.find("one"), ReasoningStore(table), asks(call("wind"))
    keep(kept, target, thought("1"), call("wind"))
    now[0] += 2 * DAY
    table._file.wait = 0
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for _ in range(3):
            assert kept.restore("ann", target, sent) is not sent
    assert len(caplog.records) == 1 and "database is locked" in caplog.text


def test_an_error_is_logged_again_after_the_file_worked(
    file: Path, targets: Targets, caplog: pytest.LogCaptureFixture
) -> None:
    target, kept = targets.find("one"), store(file)
    for _ in range(2):
        keep(kept, target, thought("1"), call("wind"))
        os.rename(file, file.with_suffix(".away"))
        file.mkdir()
        keep(kept, target, thought("1"), call("wind"))
        file.rmdir()
    assert len(caplog.records) == 2


WRITER = """
import sys
from pathlib import Path
from modelbay.storage.state_table import State, StateTable
table = StateTable(Path(sys.argv[1]), days=30, max_bytes=10_000_000)
table._file.wait = 60
for number in range(50):
    with table.writing("ann") as rows:
        rows.put("reasoning", [State(f"{sys.argv[2]}-{number}", b"state")], replace=False)
"""


def test_several_processes_use_one_file(file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, file, name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with StateTable(file, days=30, max_bytes=10_000_000).reading("ann") as rows:
        assert len(rows.find("reasoning", [f"{name}-{number}" for name in "abc" for number in range(50)])) == 150
