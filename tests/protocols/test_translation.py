"""From every protocol to every other: what was said arrives, is reported, or is refused by name; never lost in silence."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import msgspec
import pytest

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Media,
    Provenance,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.events import Event, PartEnded, PartStarted, Reply, collect
from modelbay.model import Model
from modelbay.protocols import defaults
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.defaults import changes_nothing
from modelbay.protocols.dispositions import TABLE
from modelbay.protocols.member_names import member
from tests.protocols.google.bodies import answer, as_events
from tests.protocols.google.bodies import events_of as google_events
from tests.protocols.spoken import BUILT, RECORDED
from tests.protocols.test_corpus import about, events_of, recorded, requests

MODEL = Model(id="m", max_output_tokens=64_000, capabilities={"thinking": True})
SHARES = 6
KEPT = ("max_output_tokens", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty", "temperature", "user")
"""Settings whose value is the same in every protocol that has them."""


def strings(value: Any) -> Iterator[str]:
    """Every string in a body, objects inside strings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def spoken_parts(conversation: Conversation) -> Iterator[AnyPart]:
    for turn in conversation.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def missing(conversation: Conversation, body: dict[str, Any], call: Call, target: str) -> list[str]:
    """The parts of the conversation that are neither in the body nor in the warnings."""
    everything = "\n".join(strings(body))
    reported = {warning.setting for warning in call.warnings}
    lost = []
    for part in spoken_parts(conversation):
        match part:
            case Text(text=text) if text.strip() and text.strip() not in everything:
                lost.append(f"text {text[:40]!r}")
            case Media(data=str(data)) if data not in everything and _as_text(data) not in everything:
                lost.append(f"{part.kind} data")
            case Media(url=str(url)) if url not in everything:
                lost.append(f"url {url[:40]}")
            case ToolCall(name=name) if name not in everything:
                lost.append(f"call {name}")
            case Thinking(texts=texts) if (
                any(texts) and "".join(texts) not in everything and "thinking" not in reported
            ):
                lost.append("thinking")
            case _:
                pass
    back = codec(target).parse_request(call).settings
    said, kept = conversation.settings, msgspec.structs.asdict(back)
    for name in KEPT:
        value = getattr(said, name)
        says = not changes_nothing(name, value, conversation.protocol)
        cut = name == "stop" and call.stops == value  # the answer is cut instead
        if says and kept[name] != value and name not in reported and not cut:
            lost.append(f"{name} {value}")
    choice = said.tool_choice
    allowed = choice.names if choice is not None and choice.mode == "allowed" else None
    for tool in said.tools or ():
        if (
            tool.kind in ("function", "freeform")
            and tool.name not in everything
            and tool.loaded  # the model must not see the others yet
            and (not allowed or tool.name in allowed)
        ):
            lost.append(f"tool {tool.name}")
    for name in ("reasoning", "output_format", "tool_choice"):
        wanted = getattr(said, name)
        if wanted is not None and kept[name] is None and name not in reported and not _empty(name, said, everything):
            lost.append(name)
    return lost + [
        f"extra {name}" for name in defaults.meant(said.extra, conversation.protocol) if name not in reported
    ]


def _as_text(data: str) -> str:
    """A text document goes as its text to who takes it so."""
    return b64decode(data).decode("utf-8", "replace").strip()


def _empty(name: str, settings: Settings, everything: str) -> bool:
    """A wish that says nothing: the default format, JSON that the system prompt asks for, a choice without tools, thinking left
    to the model."""
    if name == "output_format":
        form = settings.output_format
        return form is not None and (form.kind == "text" or (form.schema is None and "JSON" in everything))
    if name == "tool_choice":
        choice = settings.tool_choice
        functions = [tool for tool in settings.tools or () if tool.kind in ("function", "freeform")]
        return (choice is not None and choice.mode in (None, "auto")) or not functions
    return settings.reasoning is not None and settings.reasoning.effort is None and not settings.reasoning.budget


NAMES = {protocol: {member(setting, protocol) for setting in TABLE} for protocol in BUILT}


@pytest.mark.parametrize(("source", "target"), list(permutations(BUILT, 2)))
def test_every_recorded_request_arrives_is_reported_or_is_refused_by_name(source: str, target: str) -> None:
    table: Counter[str] = Counter()
    for share in range(SHARES):
        for exchange, body in requests(source, share):
            with about(exchange):
                url = exchange["request"]["url"]
                conversation = codec(source).parse_request(Call("/" + url.partition("//")[2].partition("/")[2], body))
                try:
                    call = codec(target).render_request(conversation, MODEL, PLAIN)
                except Unsupported as refusal:
                    unknown = [value.field for value in conversation.settings.unknown or ()]
                    assert refusal.setting in {
                        *TABLE,
                        *(conversation.settings.state or {}),
                        *unknown,
                        "tools",
                        *NAMES[source],
                    }
                    assert refusal.setting in refusal.message or "tool" in refusal.message
                    table[f"refused: {refusal.setting}"] += 1
                    continue
                assert missing(conversation, msgspec.json.decode(call.encode()), call, target) == []
                table["whole" if not call.warnings else "with a report"] += 1
    print(f"{source} -> {target}: {dict(table)}")
    assert table["whole"] + table["with a report"] > 0


def replies(source: str, share: int) -> Iterator[tuple[dict[str, Any], list[Event]]]:
    for exchange in recorded(source, share):
        events = events_of(source, exchange["response"], PLAIN)
        if events is not None:
            yield exchange, events


def from_elsewhere(events: list[Event], origin: Provenance) -> list[Event]:
    for event in events:
        if isinstance(event, PartStarted | PartEnded):
            event.part.origin = origin
    return events


def streamed(events: list[Event], target: str) -> Reply:
    renderer = codec(target).stream_renderer(Conversation(include_usage=True))
    parser = codec(target).stream_parser(PLAIN)
    return collect([*parser.feed(b"".join([renderer.feed(event) for event in events])), *parser.close()])


def calls(reply: Reply) -> list[Any]:
    """Name and arguments; text for a freeform tool counts as the object that other protocols need."""
    found = []
    for call in reply.tool_calls:
        arguments = call.arguments if call.format == "json" else json.dumps({"input": call.arguments})
        found.append((call.name, json.loads(arguments or "{}")))
    return found


LOSSES = {("refusal", "content_filter"), ("content_filter", "refusal"), ("pause", "stop"), ("stop", "tool_calls")}
"""Reasons that not every protocol tells apart."""


def unlike(original: Reply, sent: Reply) -> list[str]:
    """In what a reply differs after a way through another protocol, beyond what that protocol cannot say."""
    found = []
    if sent.error is not None or sent.finish is None or original.finish is None:
        return [f"error {sent.error}"]
    if original.text + original.refusal != sent.text + sent.refusal:
        found.append("text")
    if original.thinking != sent.thinking:
        found.append("thinking")
    if calls(original) != calls(sent):
        found.append("calls")
    if not all(call.id for call in sent.tool_calls) or len({call.id for call in sent.tool_calls}) < len(
        sent.tool_calls
    ):
        found.append("ids")
    reasons = (original.finish.reason, sent.finish.reason)
    told = reasons == ("refusal", "stop") and sent.refusal  # a refusal in its own field is a complete reply at OpenAI
    if reasons[0] != reasons[1] and reasons not in LOSSES and not told:
        found.append(f"finish {reasons}")
    if original.usage is not None:
        a, b = original.usage, sent.usage
        if b is None or (a.input_total, a.output or 0, a.reasoning or 0) != (
            b.input_total,
            b.output or 0,
            b.reasoning or 0,
        ):
            found.append("usage")
    return found


@pytest.mark.parametrize(("source", "target"), list(permutations(BUILT, 2)))
def test_every_recorded_reply_says_the_same_to_another_protocols_client(source: str, target: str) -> None:
    count = 0
    for share in range(SHARES):
        for exchange, events in replies(source, share):
            original = collect(from_elsewhere(events, Provenance(source, "somebody", "family")))
            if original.error is not None or _abandons(events):
                continue
            with about(exchange):
                if target != "google" or all(call.id for call in original.tool_calls):
                    assert unlike(original, streamed(events, target)) in ([], *_idless(target))
                whole = collect(codec(target).parse_reply(codec(target).render_reply(original), PLAIN))
                assert unlike(original, whole) in ([], *_idless(target))
                count += 1
    assert count > 0


def _idless(target: str) -> list[list[str]]:
    """Gemini's calls need no ids."""
    return [["ids"]] if target == "google" else []


def _abandons(events: list[Event]) -> bool:
    """Whether a part was begun and given up (a proxy tried again), which a client of a stream cannot be untold."""
    started = {event.key for event in events if isinstance(event, PartStarted)}
    return started != {event.key for event in events if isinstance(event, PartEnded)}


# --- opaque state ---

SIGNED: dict[str, list[AnyPart]] = {
    "anthropic": [
        Thinking(texts=["I should look."], opaque="sig=="),
        ToolCall(name="look", arguments='{"at":"it"}', id="toolu_1"),
    ],
    "openai_responses": [
        Thinking(texts=["One.", "Two."], summary=True, opaque="gAAA", item_id="rs_1"),
        ToolCall(name="look", arguments='{"at":"it"}', id="call_1", item_id="fc_1"),
    ],
    "openai_chat": [
        Thinking(
            texts=["I should look."],
            opaque="sig",
            native="reasoning_details",
            extra={"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0},
        ),
        ToolCall(name="look", arguments='{"at":"it"}', id="call_1"),
    ],
    "google": [ToolCall(name="look", arguments='{"at":"it"}', id="call1", opaque="c2lnbmF0dXJl")],
}
"""The reply of each protocol's upstream before a tool result, with its state."""
VENDOR = Dialect(vendor="maker", tool_id=None)
THINKER = Model(id="m", family="fam", max_output_tokens=4000, capabilities={"thinking": True})
LOOK = Tool(name="look", schema={"type": "object", "properties": {"at": {"type": "string"}}})


def reply_of(upstream: str) -> list[AnyPart]:
    parts = [msgspec.structs.replace(part) for part in SIGNED[upstream]]
    for part in parts:
        part.origin = Provenance(upstream, "maker", "fam")
    return parts


def next_body(parts: list[AnyPart], upstream: str, protocol: str | None = None) -> dict[str, Any]:
    """The body of the next request to the upstream, with these parts in its history."""
    [call] = [part for part in parts if isinstance(part, ToolCall)]
    conversation = Conversation(
        [
            user("Look at it"),
            Turn("assistant", parts),
            Turn("tool", [ToolResult(call_id=call.id, name="look", parts=[Text(text="seen")])]),
        ],
        Settings(tools=[LOOK]),
    )
    body: dict[str, Any] = msgspec.json.decode(codec(upstream).render_request(conversation, THINKER, VENDOR).encode())
    return body


def through_client(parts: list[AnyPart], client: str, *, stream: bool) -> Conversation:
    """The conversation that a client of another protocol sends back after it was sent the reply."""
    events: list[Event] = []
    for key, part in enumerate(parts):
        events += [PartStarted(key, part), *_deltas(key, part), PartEnded(key, part)]
    from modelbay.events import Finished, Started

    events = [Started("reply-1", "m"), *events, Finished("tool_calls")]
    if stream:
        kept = streamed(events, client)
    else:
        kept = collect(codec(client).parse_reply(codec(client).render_reply(collect(events)), PLAIN))
    [call] = kept.tool_calls
    history = Conversation(
        [
            user("Look at it"),
            kept.turn(),
            Turn("tool", [ToolResult(call_id=call.id, name="look", parts=[Text(text="seen")])]),
        ],
        Settings(tools=[LOOK], max_output_tokens=4000),
    )
    for turn in history.turns:
        for part in turn.parts:
            part.origin = Provenance(client)  # a client knows only its own protocol
    sent = codec(client).render_request(history, Model(id="m", max_output_tokens=4000), PLAIN)
    return codec(client).parse_request(Call(sent.path, msgspec.json.decode(sent.encode())))


def _deltas(key: int, part: AnyPart) -> list[Event]:
    from modelbay.events import PartDelta

    if isinstance(part, Thinking):
        return [PartDelta(key, text, index) for index, text in enumerate(part.texts)]
    return [PartDelta(key, part.arguments)] if isinstance(part, ToolCall) else []


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("upstream", "client"), list(product(BUILT, BUILT)))
def test_reasoning_state_comes_back_to_its_maker_through_any_client(upstream: str, client: str, stream: bool) -> None:
    conversation = through_client(reply_of(upstream), client, stream=stream)
    body = msgspec.json.decode(codec(upstream).render_request(conversation, THINKER, VENDOR).encode())
    wanted = next_body(reply_of(upstream), upstream)
    assert list(states(body)) == list(states(wanted))


def states(body: Any) -> Iterator[Any]:
    """Opaque state in a body, each with what it stands on."""
    if isinstance(body, list):
        for item in body:
            yield from states(item)
    elif isinstance(body, dict):
        if body.keys() & {"signature", "encrypted_content", "thoughtSignature", "data"}:
            yield {k: v for k, v in body.items() if k not in ("id", "status")}
        else:
            for inner in body.values():
                yield from states(inner)


@pytest.mark.parametrize(("upstream", "client"), list(product(BUILT, BUILT)))
def test_reasoning_state_is_sent_only_to_the_vendor_that_made_it(upstream: str, client: str) -> None:
    conversation = through_client(reply_of(upstream), client, stream=True)
    for target in BUILT:
        other = Dialect(vendor="another")
        body = codec(target).render_request(conversation, Model(id="x", family="other", max_output_tokens=4000), other)
        if upstream != client or target != upstream:
            text = body.encode().decode()
            assert "modelbay1." not in text
            assert not any(part.opaque and f'"{part.opaque}"' in text for part in SIGNED[upstream])


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
@pytest.mark.parametrize("signed", range(3), ids=["first", "in the middle", "last"])
def test_a_text_of_gemini_with_a_signed_chunk_is_one_text_for_clients(client: str, signed: int) -> None:
    """The SDKs' helpers for structured output read each text for itself."""
    pieces: list[dict[str, object]] = [{"text": '{"a'}, {"text": '": '}, {"text": "1}"}]
    pieces[signed]["thoughtSignature"] = "c2lnbmVk"
    events = google_events(as_events(*(answer(piece, reason=None) for piece in pieces), answer({"text": ""})))
    reply = streamed(from_elsewhere(events, Provenance("google", "google", "gemini")), client)
    assert [part.text for part in reply.parts if type(part) is Text and part.text] == ['{"a": 1}']


def test_every_protocol_has_recordings() -> None:
    assert set(RECORDED) == set(BUILT)
