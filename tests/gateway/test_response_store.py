"""Responses that the gateway keeps: later requests refer to them, and only their client sees them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai.types.responses
import pytest

from modelbay import Hub
from modelbay.errors import BadRequest, NotFound, StoreError
from modelbay.gateway.conversation_store import ConversationStore
from modelbay.gateway.response_store import MAX_BYTES, ResolvedRequest, ResponseStore
from modelbay.protocols.codec import Call, codec
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from modelbay.storage.state_table import DAY, StateTable
from tests.tool_loop_clients import PROTOCOLS

Body = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "gateway.sqlite"


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def store(file: Path, now: list[float]) -> ResponseStore:
    return ResponseStore(StateTable(file, days=30, max_bytes=10_000_000, clock=lambda: now[0]))


@pytest.fixture
def conversations(file: Path, now: list[float]) -> ConversationStore:
    return ConversationStore(StateTable(file, days=30, max_bytes=10_000_000, clock=lambda: now[0]), MAX_BYTES)


def message(text: str) -> Body:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": f"msg_{text}", "type": "message", "role": "assistant", "status": "completed", "content": content}


def asked(text: str) -> Body:
    return {"type": "message", "role": "user", "content": text}


def say(to: ResponseStore, id: str, text: Any, /, *output: Body, **body: Any) -> ResolvedRequest:
    """One request, whose response has this ID."""
    request = to.resolve("ann", {"model": "m", "input": text, **body})
    to.remember("ann", request, {"id": id, "object": "response", "output": [*output] or [message(f"re {text}")]})
    return request


def texts(request: ResolvedRequest) -> list[str]:
    given = request.body["input"]
    contents = [item["content"] for item in given]
    return [content if isinstance(content, str) else content[0]["text"] for content in contents]


def continued(store: ResponseStore, id: str, client: str = "ann") -> list[str]:
    return texts(store.resolve(client, {"input": "Next.", "previous_response_id": id}))


# --- histories ---------------------------------------------------------------------------------------------------------


def test_a_request_without_references_is_not_changed(store: ResponseStore, file: Path) -> None:
    for body in (
        {"input": "Hi"},
        {"input": [asked("Hi")]},
        {},
        {"input": 3},
        {"input": [3]},
        {"previous_response_id": 3},
    ):
        assert store.resolve("ann", body).body is body
    assert not file.exists()


def test_a_chain_of_twenty_has_all_its_turns_and_the_same_beginning_each_time(store: ResponseStore) -> None:
    say(store, "r0", "q0", store=True)
    before: list[Body] = []
    for turn in range(1, 20):
        request = say(store, f"r{turn}", f"q{turn}", previous_response_id=f"r{turn - 1}", instructions="Be brief.")
        assert request.body.keys() == {"model", "input", "instructions"}
        given = request.body["input"]
        assert json.dumps(given[: len(before)]) == json.dumps(before)
        before = given
    assert continued(store, "r19") == [text for turn in range(20) for text in (f"q{turn}", f"re q{turn}")] + ["Next."]


def test_branches_of_one_response_do_not_see_each_other(store: ResponseStore) -> None:
    say(store, "root", "q")
    for name in ("left", "right"):
        say(store, name, name, previous_response_id="root")
    assert continued(store, "left") == ["q", "re q", "left", "re left", "Next."]
    assert continued(store, "right") == ["q", "re q", "right", "re right", "Next."]
    assert continued(store, "root") == ["q", "re q", "Next."]


def test_output_items_are_sent_without_ids_and_without_reasoning_that_only_their_provider_has(
    store: ResponseStore,
) -> None:
    call = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "wind", "arguments": "{}"}
    hidden = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Well."}]}
    sealed = {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "x"}
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    say(store, "r", "q", hidden, call, sealed, search)
    items = store.resolve("ann", {"input": [], "previous_response_id": "r"}).body["input"]
    assert items[1:] == [
        {name: value for name, value in item.items() if name != "id" or item is search}
        for item in (call, sealed, search)
    ]


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_provider_of_any_protocol_continues_a_chain(
    store: ResponseStore, tmp_path: Path, upstream: str
) -> None:
    with Simulator() as simulator:
        path = tmp_path / "config.toml"
        path.write_text(config_text(simulator.url, None))
        async with Hub.open(path) as hub:
            previous, text = None, ""
            for turn in range(1, 6):
                body = {"model": "m", "input": f"What is {turn}?", "previous_response_id": previous}
                request = store.resolve("ann", body)
                conversation = codec("openai_responses").parse_request(Call("/v1/responses", request.body))
                reply = await hub.complete(conversation, model=f"sim-{upstream.removeprefix('openai_')}")
                response = json.loads(codec("openai_responses").render_reply(reply))
                store.remember("ann", request, response)
                previous = response["id"]
                text = openai.types.responses.Response.model_validate(response).output_text
        assert text.startswith("You asked (question 5 of our conversation): What is 5?")


# --- references to items -----------------------------------------------------------------------------------------------


def test_a_reference_to_an_item_of_a_response_becomes_the_item(store: ResponseStore) -> None:
    say(store, "r", "q")
    reference = {"type": "item_reference", "id": "msg_re q"}
    request = store.resolve("ann", {"input": [asked("q"), reference, asked("Next.")]})
    assert texts(request) == ["q", "re q", "Next."]
    assert [item["type"] for item in request.items] == ["message"] * 3
    # in a chain, too, and without a type
    say(store, "r2", [{"id": "msg_re q"}, asked("And?")])
    assert continued(store, "r2") == [
        "re q",
        "And?",
        "re [{'id': 'msg_re q'}, {'type': 'message', 'role': 'user', 'content': 'And?'}]",
        "Next.",
    ]


def test_a_reference_to_an_unknown_item_is_left_to_its_provider_unless_the_id_was_made_here(
    store: ResponseStore,
) -> None:
    own = f"msg_modelbay{'0' * 26}"
    for id in ("msg_other", own.replace("msg", "rs")):
        body = {"input": [{"type": "item_reference", "id": id}]}
        assert store.resolve("ann", body).body["input"] == body["input"]
    with pytest.raises(NotFound, match=own) as caught:
        store.resolve("ann", {"input": [{"type": "item_reference", "id": own}]})
    assert (caught.value.status, caught.value.param) == (404, "input")


# --- providers that keep responses -------------------------------------------------------------------------------------

HERE, THERE = "acme https://acme.example 1", "acme https://acme.example 2"
"""Two accounts of one provider."""


def kept(store: ResponseStore, keeper: str, id: str, *output: Body, **body: Any) -> ResolvedRequest:
    """One request to an account that keeps its response."""
    request = store.resolve("ann", {"input": f"q {id}", **body}, keeper)
    store.remember("ann", request, {"id": id, "output": [*output] or [message(f"re {id}")]})
    return request


def test_a_response_stays_a_reference_for_the_account_that_keeps_it(store: ResponseStore) -> None:
    kept(store, HERE, "r0")
    for body in ({"input": "Next.", "previous_response_id": "r0"}, {"input": [{"id": "msg_re r0"}]}):
        assert store.resolve("ann", body, HERE).body is body
    for body in ({"input": "Next.", "previous_response_id": "unknown"}, {"input": [{"id": "msg_unknown"}]}):
        assert store.resolve("ann", body, HERE).body is body, "it may have been created without the gateway"


def test_another_account_gets_the_whole_history(store: ResponseStore) -> None:
    kept(store, HERE, "r0")
    assert texts(kept(store, THERE, "r1", previous_response_id="r0")) == ["q r0", "re r0", "q r1"]
    assert kept(store, THERE, "r2", previous_response_id="r1").body["previous_response_id"] == "r1"
    everything = ["q r0", "re r0", "q r1", "re r1", "q r2", "re r2", "q r3"]
    assert texts(kept(store, HERE, "r3", previous_response_id="r2")) == everything
    assert continued(store, "r3") == [*everything, "re r3", "Next."]
    reference = {"type": "item_reference", "id": "msg_re r0"}
    assert texts(store.resolve("ann", {"input": [reference]}, THERE)) == ["re r0"]


def test_the_encrypted_reasoning_of_an_account_is_not_sent_to_another_one(store: ResponseStore) -> None:
    sealed = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "x"}
    kept(store, HERE, "r0", sealed, message("a"))
    other = store.resolve("ann", {"input": [], "previous_response_id": "r0"}, THERE).body["input"]
    assert [item["type"] for item in other] == ["message", "message"]
    assert store.resolve("ann", {"input": [{"type": "item_reference", "id": "rs_1"}]}, THERE).body["input"] == []


def test_a_response_that_was_translated_is_kept_here_only(store: ResponseStore) -> None:
    kept(store, HERE, "resp_modelbay1")
    request = store.resolve("ann", {"input": "Next.", "previous_response_id": "resp_modelbay1"}, HERE)
    assert texts(request) == ["q resp_modelbay1", "re resp_modelbay1", "Next."]


def test_a_conversation_of_a_provider_cannot_be_continued_elsewhere(store: ResponseStore) -> None:
    body = {"input": "Hi", "conversation": "conv_of_the_provider"}
    assert store.resolve("ann", body, HERE).body is body
    kept(store, HERE, "r0", conversation="conv_of_the_provider")
    assert store.resolve("ann", {"input": "Next.", "previous_response_id": "r0"}, HERE).items
    with pytest.raises(BadRequest, match="another provider, or was deleted") as caught:
        store.resolve("ann", {"input": "Next.", "previous_response_id": "r0"}, THERE)
    assert caught.value.code == "previous_response_not_found"
    assert [item["content"][0]["text"] for item in store.input_items("ann", "r0", {})["data"]] == ["q r0"]


def test_a_response_of_a_conversation_that_was_deleted_meanwhile_cannot_be_continued(
    store: ResponseStore, conversations: ConversationStore
) -> None:
    id = conversations.create("ann", {"items": [asked("before")]})["id"]
    request = store.resolve("ann", {"input": "q", "conversation": id})
    conversations.delete("ann", id)
    store.remember("ann", request, {"id": "r", "output": [message("a")]})
    with pytest.raises(BadRequest, match="was deleted"):
        continued(store, "r")


# --- what is not found -------------------------------------------------------------------------------------------------


def assert_not_found(store: ResponseStore, id: str, client: str = "ann", missing: str | None = None) -> None:
    with pytest.raises(BadRequest) as caught:
        store.resolve(client, {"input": "Next.", "previous_response_id": id})
    status, body = codec("openai_responses").render_error(caught.value)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "previous_response_not_found", "previous_response_id")
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(f"Previous response with id '{missing or id}' not found.")
    assert "Send the whole conversation in `input`" in error["message"]


def test_a_response_expires_some_days_after_its_last_use(store: ResponseStore, now: list[float]) -> None:
    say(store, "r0", "q0")
    now[0] += 29 * DAY
    say(store, "r1", "q1", previous_response_id="r0")
    now[0] += 29 * DAY
    assert continued(store, "r1") == ["q0", "re q0", "q1", "re q1", "Next."], "a history is used as a whole"
    now[0] += 31 * DAY
    assert_not_found(store, "r1")
    with pytest.raises(NotFound):
        store.get("ann", "r1")


def test_a_response_that_is_used_while_the_clock_is_wrong_is_there_when_it_is_right(
    store: ResponseStore, now: list[float]
) -> None:
    say(store, "r", "q")
    right = now[0]
    now[0] -= 400 * DAY
    continued(store, "r")
    now[0] = right
    continued(store, "r")


def test_a_response_of_another_client_is_not_found(store: ResponseStore) -> None:
    say(store, "r", "q")
    assert_not_found(store, "r", "bob")
    for refused in (store.get, store.delete, store.cancel):
        with pytest.raises(NotFound):
            refused("bob", "r")
    with pytest.raises(NotFound):
        store.input_items("bob", "r", {})
    reference = {"input": [{"type": "item_reference", "id": "msg_re q"}]}
    assert store.resolve("bob", reference).body["input"] == reference["input"]
    assert continued(store, "r") == ["q", "re q", "Next."]


def test_a_response_that_must_not_be_stored_is_not_kept(store: ResponseStore, file: Path) -> None:
    say(store, "r", "q", store=False)
    assert not file.exists()
    assert_not_found(store, "r")


def test_a_history_with_a_deleted_response_cannot_be_continued(store: ResponseStore, file: Path) -> None:
    say(store, "r0", "shared question")
    say(
        store,
        "r1",
        [asked("shared question"), asked("secret question")],
        message("secret answer"),
        previous_response_id="r0",
    )
    say(store, "r2", "q2", previous_response_id="r1")
    assert store.delete("ann", "r1") == {"id": "r1", "object": "response", "deleted": True}
    assert_not_found(store, "r2", missing="r1")
    assert continued(store, "r0") == ["shared question", "re shared question", "Next."]
    assert store.get("ann", "r2")["output"] == [message("re q2")]
    assert b"secret" not in file.read_bytes()
    with pytest.raises(NotFound):
        store.delete("ann", "r1")


def test_a_provider_that_repeats_an_id_causes_no_endless_history(store: ResponseStore) -> None:
    say(store, "r", "q0")
    say(store, "r", "q1", previous_response_id="r")
    assert_not_found(store, "r")


def test_a_history_that_is_too_large_is_refused(file: Path) -> None:
    store = ResponseStore(StateTable(file, days=30, max_bytes=10_000_000), max_bytes=2_000)
    say(store, "r0", "q")
    assert continued(store, "r0")
    say(store, "r1", "x" * 2_000)
    with pytest.raises(BadRequest, match="too long"):
        continued(store, "r1")


def test_a_file_that_cannot_be_used_fails_only_requests_that_need_it(
    store: ResponseStore, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.mkdir(parents=True)
    for _ in range(3):
        say(store, "r", "q")
    assert len(caplog.records) == 1
    with pytest.raises(StoreError):
        continued(store, "r")


# --- size --------------------------------------------------------------------------------------------------------------


def test_an_item_is_kept_once_however_often_a_client_sends_it(store: ResponseStore, file: Path) -> None:
    history: list[Body] = []
    for turn in range(20):
        history.append(asked(f"{turn} {'x' * 10_000}"))
        say(store, f"r{turn}", history, message(f"a{turn}"))
        history.append(message(f"a{turn}"))
    assert continued(store, "r19")[:3] == [history[0]["content"], "a0", history[2]["content"]]
    assert file.stat().st_size < 500_000


def test_giant_items_are_kept_as_they_are_or_not_at_all(store: ResponseStore, file: Path) -> None:
    picture: Body = {
        "role": "user",
        "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{'A' * 5_000_000}"}],
    }
    say(store, "r0", [picture], message("A picture."))
    assert store.resolve("ann", {"input": "Next.", "previous_response_id": "r0"}).body["input"][0] == picture
    picture["content"].append({"type": "input_text", "text": "x" * 6_000_000})
    say(store, "r1", [picture], message("Too large."))
    assert_not_found(store, "r1")
    assert store.get("ann", "r0")["output"] == [message("A picture.")], "it displaced nothing"


def test_the_histories_that_were_used_last_fit_the_size(file: Path, now: list[float]) -> None:
    store = ResponseStore(StateTable(file, days=30, max_bytes=100_000, clock=lambda: now[0]))
    for turn in range(100):
        now[0] += 1
        previous = {"previous_response_id": f"r{turn - 2}"} if turn >= 2 else {}
        say(store, f"r{turn}", "x" * 1_000, **previous) if turn % 2 else say(store, f"r{turn}", f"{turn} {'x' * 1_000}")
    # of the even ones, each is a history of its own; the odd ones are one history, which was used each time
    assert len(continued(store, "r99")) == 101
    assert_not_found(store, "r2")
    assert continued(store, "r98")


# --- retrieval ---------------------------------------------------------------------------------------------------------


def test_a_response_is_returned_as_the_client_received_it(store: ResponseStore) -> None:
    say(store, "r0", "q0")
    say(store, "r1", "q1", previous_response_id="r0")
    assert store.get("ann", "r1") == {
        "id": "r1", "object": "response", "store": True, "previous_response_id": "r0", "output": [message("re q1")],
    }  # fmt: skip
    with pytest.raises(NotFound) as caught:
        store.get("ann", "r9")
    assert (
        json.loads(codec("openai_responses").render_error(caught.value)[1])["error"]["message"]
        == "Response with id 'r9' not found."
    )


def test_input_items_are_listed_in_pages_with_ids_that_can_be_referenced(store: ResponseStore) -> None:
    say(store, "r0", "q0")
    say(store, "r1", "q1", previous_response_id="r0")
    whole = store.input_items("ann", "r1", {"order": "asc"})
    assert [item["content"][0]["text"] for item in whole["data"]] == ["q0", "re q0", "q1"]
    assert [item["content"][0]["type"] for item in whole["data"]] == ["input_text", "output_text", "input_text"]
    assert whole["data"][1]["id"] == "msg_re q0"
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (
        whole["data"][0]["id"],
        whole["data"][2]["id"],
        False,
    )
    assert whole == store.input_items("ann", "r1", {"order": "asc"}), "IDs do not change"
    first = store.input_items("ann", "r1", {"limit": "2"})
    rest = store.input_items("ann", "r1", {"limit": "2", "after": first["last_id"]})
    assert (first["data"] + rest["data"], first["has_more"], rest["has_more"]) == (whole["data"][::-1], True, False)
    for item in whole["data"]:
        parsed = openai.types.responses.response_item_list.ResponseItemList.model_validate(whole)
        assert item["id"] in [one.id for one in parsed.data]
    reference = {"type": "item_reference", "id": whole["data"][0]["id"]}
    assert texts(store.resolve("ann", {"input": [reference]})) == ["q0"]
    for wrong in ({"limit": "0"}, {"limit": "101"}, {"limit": "²"}, {"order": "up"}):
        with pytest.raises(BadRequest):
            store.input_items("ann", "r1", wrong)
    with pytest.raises(NotFound, match="No item found with id 'msg_unknown'"):
        store.input_items("ann", "r1", {"after": "msg_unknown"})


def test_a_complete_response_cannot_be_cancelled(store: ResponseStore) -> None:
    say(store, "r", "q")
    with pytest.raises(BadRequest, match="synchronous"):
        store.cancel("ann", "r")


# --- conversations -----------------------------------------------------------------------------------------------------


def test_a_conversation_collects_its_responses(store: ResponseStore, conversations: ConversationStore) -> None:
    made = conversations.create("ann", {"items": [asked("Hello.")], "metadata": {"topic": "tide"}})
    id = made["id"]
    assert (made["object"], made["created_at"], made["metadata"]) == ("conversation", 1_800_000_000, {"topic": "tide"})
    assert texts(say(store, "r0", "q0", conversation=id)) == ["Hello.", "q0"]
    request = say(store, "r1", "q1", conversation={"id": id})
    assert "conversation" not in request.body
    assert texts(request) == ["Hello.", "q0", "re q0", "q1"]
    assert store.get("ann", "r1")["conversation"] == {"id": id}
    assert continued(store, "r0") == ["Hello.", "q0", "re q0", "Next."]
    assert conversations.get("ann", id) == made
    assert conversations.delete("ann", id)["deleted"]
    for client in ("ann", "bob"):
        with pytest.raises(NotFound, match=f"Conversation with id '{id}' not found"):
            store.resolve(client, {"input": "Next.", "conversation": id})


def test_two_responses_at_the_same_time_are_both_in_their_conversation(
    store: ResponseStore, conversations: ConversationStore
) -> None:
    id = conversations.create("ann", {})["id"]
    requests = [store.resolve("ann", {"input": f"q{turn}", "conversation": id}) for turn in range(2)]
    for turn, request in enumerate(requests):
        store.remember("ann", request, {"id": f"r{turn}", "output": [message(f"a{turn}")]})
    assert texts(store.resolve("ann", {"input": "Next.", "conversation": id})) == ["q0", "a0", "q1", "a1", "Next."]


def test_a_request_cannot_continue_a_response_and_a_conversation(store: ResponseStore) -> None:
    with pytest.raises(BadRequest, match="cannot be used together"):
        store.resolve("ann", {"input": "q", "conversation": "conv_1", "previous_response_id": "r"})


# --- processes ---------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from modelbay.gateway.response_store import ResponseStore
from modelbay.storage.state_table import StateTable
table = StateTable(Path(sys.argv[1]), days=30, max_bytes=10_000_000)
table._file.wait = 60
store, previous = ResponseStore(table), None
for turn in range(10):
    request = store.resolve("ann", {"input": f"q{turn}", "previous_response_id": previous})
    assert len(request.body["input"]) == 2 * turn + 1 or not turn
    previous = f"{sys.argv[2]}-{turn}"
    store.remember("ann", request, {"id": previous, "output": [{"type": "message", "role": "assistant", "content": previous}]})
"""


@pytest.fixture
def writers(file: Path) -> Iterator[list[int]]:
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, file, name]) for name in ("a", "b")]
    yield [process.wait() for process in processes]


def test_two_processes_share_the_file(file: Path, writers: list[int]) -> None:
    store = ResponseStore(StateTable(file, days=30, max_bytes=10_000_000))
    assert writers == [0, 0]
    assert continued(store, "a-9")[-4:] == ["a-8", "q9", "a-9", "Next."]
    assert continued(store, "b-9")[-4:] == ["b-8", "q9", "b-9", "Next."]
