"""References to items: clients that think the provider stores its replies name items by their id."""

import json
from typing import Any

import pytest

from modelbay.conversation import AnyPart, Conversation, Provenance, Text, Thinking, ToolCall
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.events import Finished, Reply
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec

MODEL = Model(id="m", max_output_tokens=1000)
OTHERS = ["openai_chat", "anthropic", "google"]
CLAUDE = Provenance("anthropic", "anthropic", "claude")


def output() -> list[dict[str, Any]]:
    """The items that a client gets for a reply of another protocol's provider."""
    parts: list[AnyPart] = [
        Thinking(texts=["Hm"], opaque="sig", origin=CLAUDE),
        Text(text="Let me look.", origin=CLAUDE),
        ToolCall(name="look", arguments="{}", id="toolu_1", origin=CLAUDE),
    ]
    reply = Reply(id="msg_1", parts=parts, finish=Finished("tool_calls"))
    found: list[dict[str, Any]] = json.loads(codec("openai_responses").render_reply(reply))["output"]
    return found


def asked(*items: dict[str, Any]) -> Conversation:
    hi = {"role": "user", "content": "Look!"}
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "A cat"}
    return codec("openai_responses").parse_request(Call("/responses", {"model": "m", "input": [hi, *items, result]}))


def reference(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "item_reference", "id": item["id"]}


@pytest.mark.parametrize("protocol", [*OTHERS, "openai_responses"])
def test_a_reference_to_our_reasoning_is_left_out_with_a_report(protocol: str) -> None:
    thinking, text, call = output()
    rendered = codec(protocol).render_request(asked(reference(thinking), text, call), MODEL, PLAIN)
    assert thinking["id"] not in rendered.encode().decode()
    assert "Let me look." in rendered.encode().decode()
    assert rendered.warnings


@pytest.mark.parametrize("protocol", OTHERS)
def test_a_reference_to_an_item_of_the_same_request_adds_nothing(protocol: str) -> None:
    items = output()
    plain = codec(protocol).render_request(asked(*items), MODEL, PLAIN).body
    for item in items:
        assert codec(protocol).render_request(asked(*items, reference(item)), MODEL, PLAIN).body == plain
        assert codec(protocol).render_request(asked(reference(item), *items), MODEL, PLAIN).body == plain


@pytest.mark.parametrize("protocol", [*OTHERS, "openai_responses"])
@pytest.mark.parametrize("place", [1, 2])
def test_a_reference_to_our_call_or_text_is_refused_by_its_id(protocol: str, place: int) -> None:
    items = output()
    given = [reference(item) if index == place else item for index, item in enumerate(items)]
    with pytest.raises(Unsupported, match=items[place]["id"]) as refusal:
        codec(protocol).render_request(asked(*given), MODEL, PLAIN)
    assert refusal.value.setting == "item_reference"
    assert "store: false" in (refusal.value.hint or "")


def test_a_reference_to_what_the_provider_stores_goes_on_to_it() -> None:
    stored = {"type": "item_reference", "id": "rs_0a1b"}
    assert stored in codec("openai_responses").render_request(asked(stored), MODEL, PLAIN).body["input"]


@pytest.mark.parametrize("protocol", OTHERS)
def test_a_reference_to_what_another_provider_stores_is_refused(protocol: str) -> None:
    with pytest.raises(Unsupported, match="rs_0a1b"):
        codec(protocol).render_request(asked({"type": "item_reference", "id": "rs_0a1b"}), MODEL, PLAIN)


def test_ids_that_were_made_here_are_not_sent_to_a_provider_which_would_look_for_them() -> None:
    body = codec("openai_responses").render_request(asked(*output()), MODEL, PLAIN).body
    assert all("modelbay" not in str(item.get("id")) for item in body["input"])
    kept = {"type": "message", "role": "assistant", "id": "msg_2", "content": [{"type": "output_text", "text": "Hi"}]}
    assert kept in codec("openai_responses").render_request(asked(*output(), kept), MODEL, PLAIN).body["input"]
