"""Opaque reasoning state, kept for its owner in envelopes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import AnyPart, Provenance, Text, Thinking, ToolCall
from modelbay.protocols.opaque import MARK, Sealed, belongs, restore, seal, unseal

words = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True)
protocols = st.sampled_from(["openai_chat", "openai_responses", "anthropic", "google"])
owners = st.builds(Provenance, protocols, st.just("") | words, st.just("") | words)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
state = {
    "origin": owners,
    "opaque": st.none() | strings,
    "native": st.none() | strings,
    "item_id": st.none() | strings,
    "extra": st.none() | st.dictionaries(strings, strings, min_size=1, max_size=2),
}
thinking = st.builds(Thinking, texts=st.lists(strings, max_size=3), summary=st.booleans(), **state)
stateful = thinking | st.builds(ToolCall, name=st.just("f"), **state) | st.builds(Text, text=strings, **state)


def opened(envelope: str) -> tuple[Provenance, Sealed]:
    found = unseal(envelope)
    assert found is not None
    return found


@given(stateful)
def test_sealed_state_is_restored_for_its_carrier(part: AnyPart):
    shown: AnyPart
    match part:
        case Thinking():
            shown = Thinking(texts=[part.text])
        case ToolCall():
            shown = ToolCall(name="f")
        case _:
            assert isinstance(part, Text)
            shown = Text(text=part.text)
    restore(shown, *opened(seal(part)))
    assert shown == part


@given(thinking)
def test_a_carrier_that_shows_no_text_keeps_it_in_the_envelope(part: Thinking):
    shown = Thinking()
    restore(shown, *opened(seal(part, with_text=True)))
    assert shown == part


def test_an_envelope_is_found_by_its_first_bytes_and_names_its_owner():
    part = Thinking(opaque="sig", origin=Provenance("google", "vertex", "gemini-2.5"))
    assert seal(part).startswith("modelbay1.google.vertex.gemini-2~5.")
    assert opened(seal(part))[0] == part.origin


@given(stateful)
def test_an_envelope_is_safe_in_a_url_and_in_json(part: AnyPart):
    envelope = seal(part)
    assert envelope.isascii()
    assert json.dumps(envelope) == f'"{envelope}"'
    assert not set(envelope) & set("+/= \n")


@pytest.mark.parametrize("text", [None, "", "EqQBCgIYAhIM", "modelbay2.a.b.c.e30", MARK, "modelbay1.a.b.c"])
def test_a_text_that_is_not_an_envelope_is_unchanged(text):
    assert unseal(text) is None


def envelope_of(payload: bytes) -> str:
    return f"{MARK}anthropic..." + base64.urlsafe_b64encode(payload).decode().rstrip("=")


@pytest.mark.parametrize(
    "payload",
    [b"", b"not json", b"[]", b"{}", b'{"kind": 1}', b'{"kind": "thinking", "texts": "a"}', b"[" * 100_000, b"\xff"],
    ids=["empty", "words", "list", "no kind", "odd kind", "odd texts", "deep", "no text"],
)
def test_an_envelope_with_anything_else_inside_is_none(payload):
    assert unseal(envelope_of(payload)) is None


@given(stateful, st.data())
def test_a_damaged_envelope_never_raises(part, data):
    envelope = seal(part)
    place = data.draw(st.integers(0, len(envelope)))
    damage = data.draw(st.sampled_from(["", "é", ".", "A", "=", "\n"]))
    unseal(envelope[:place])
    unseal(envelope[:place] + damage + envelope[place + 1 :])


@given(stateful)
def test_a_truncated_payload_is_none(part):
    envelope = seal(part)
    head = envelope.rindex(".") + 1
    assert unseal(envelope[: head + (len(envelope) - head) // 2]) is None


MINE = ("anthropic", "bedrock", "claude")


@pytest.mark.parametrize(
    ("origin", "mine"),
    [
        (None, True),
        (Provenance("anthropic"), True),
        (Provenance("anthropic", "bedrock", "claude"), True),
        (Provenance("anthropic", "", "claude"), True),
        (Provenance("anthropic", "vertex", "claude"), False),
        (Provenance("anthropic", "bedrock", "other"), False),
        (Provenance("google", "bedrock", "claude"), False),
    ],
)
def test_state_belongs_to_the_protocol_vendor_and_family_it_came_from(origin, mine):
    assert belongs(Thinking(origin=origin), *MINE) is mine


def test_an_unknown_target_takes_what_its_protocol_made():
    assert belongs(Thinking(origin=Provenance("anthropic", "vertex", "claude")), "anthropic", "", "")
