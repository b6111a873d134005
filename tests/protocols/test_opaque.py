"""Opaque reasoning state, kept for its owner in envelopes."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import AnyPart, Conversation, Provenance, Text, Thinking, ToolCall
from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import Call, codec
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


# --- through a client of another protocol ------------------------------------------------------------------------------

GEMINI = Provenance("google", "vertex", "gemini-3")
DEEPSEEK = Provenance("openai_chat", "deepseek", "deepseek-chat")
CLIENTS = ["openai_chat", "openai_responses", "anthropic", "google"]


def parts_after(client: str, parts: list[AnyPart], *, stream: bool) -> tuple[Any, list[AnyPart]]:
    """The reply as a client stores it, and the parts of the model's turn in its next request."""
    assembly = Assembly()
    assembly.start("reply_1", "m")
    for part in parts:
        assembly.whole(copy.deepcopy(part))
    assembly.finish("stop")
    events, of = assembly.take(), codec(client)
    body = of.render_reply(collect(events))
    if stream:
        renderer, parser = of.stream_renderer(Conversation()), of.stream_parser(PLAIN)
        read = [found for event in events for found in parser.feed(renderer.feed(event))]
        body = of.render_reply(collect([*read, *parser.close()]))
    reply = json.loads(body)
    match client:
        case "openai_chat":
            stored, history = reply["choices"][0]["message"], {"messages": [reply["choices"][0]["message"]]}
        case "openai_responses":
            stored, history = reply["output"], {"input": reply["output"]}
        case "anthropic":
            stored, history = reply["content"], {"messages": [{"role": "assistant", "content": reply["content"]}]}
        case _:
            stored, history = reply["candidates"][0]["content"], {"contents": [reply["candidates"][0]["content"]]}
    path = "/v1beta/models/m:generateContent" if client == "google" else "/"
    sent = of.parse_request(Call(path, {"model": "m", **history}))
    return stored, [part for turn in sent.turns for part in turn.parts]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
def test_the_signature_on_an_empty_text_after_a_text_is_kept_without_showing_an_empty_text(client: str, stream: bool):
    """Gemini ends a stream so. SDKs parse each text of a reply as the requested JSON, and fail at an empty one."""
    call = ToolCall(name="f", id="call_1", arguments="{}", origin=GEMINI)
    given: list[AnyPart] = [Text(text='{"a": 1}', origin=GEMINI), Text(opaque="c2ln", origin=GEMINI), call]
    stored, parts = parts_after(client, given, stream=stream)
    assert '"text": ""' not in json.dumps(stored)
    assert [(part.text, part.opaque) for part in parts if type(part) is Text] == [('{"a": 1}', None), ("", "c2ln")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("client", ["anthropic", "google", "openai_responses"])
def test_thinking_without_a_signature_comes_back_as_its_provider_s_own(client: str, stream: bool):
    """DeepSeek and Kimi require it in the next request, and sign nothing."""
    thought = Thinking(texts=["Hm."], native="reasoning_content", origin=DEEPSEEK)
    call = ToolCall(name="f", id="call_1", arguments="{}", origin=DEEPSEEK)
    _, parts = parts_after(client, [thought, call], stream=stream)
    found = parts[0]
    assert type(found) is Thinking
    assert (found.text, found.native, found.origin) == ("Hm.", "reasoning_content", DEEPSEEK)


def test_a_gemini_client_that_drops_thoughts_returns_those_of_every_step():
    """Two steps may have the same thoughts."""
    thought = Thinking(texts=["Hm."], native="reasoning_content", origin=DEEPSEEK)
    stored, _ = parts_after(
        "google", [thought, ToolCall(name="f", id="c", arguments="{}", origin=DEEPSEEK)], stream=False
    )
    calls = {"role": "model", "parts": [part for part in stored["parts"] if "functionCall" in part]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
    sent = codec("google").parse_request(
        Call("/v1beta/models/m:generateContent", {"contents": [calls, result, calls, result]})
    )
    kinds = [[type(part) for part in turn.parts] for turn in sent.turns if turn.role == "assistant"]
    assert kinds == [[Thinking, ToolCall]] * 2
