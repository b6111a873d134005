"""Invariants of events and of every rendered stream, for any input (reference: translation.md §C).

The checkers read bytes with the standard library, so that they share no mistake with our parsers. A stream is `ended`
when a `Finished` or `Failed` was rendered; else it is a beginning, of which the same must hold as far as it goes.
"""

import json
from typing import Any

from modelbay.conversation import Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
)
from tests.protocols import sse_reference


def check_events(events: list[Event]) -> None:
    """The promises of a parser: one start, one end, every part opened once, added to while open, whole when it ends."""
    assert type(events[0]) is Started
    assert sum(type(event) is Started for event in events) == 1
    assert type(events[-1]) in (Finished, Failed)
    assert sum(type(event) in (Finished, Failed) for event in events) == 1
    started: dict[int, Any] = {}
    texts: dict[int, list[str]] = {}
    shown: dict[int, str] = {}
    for event in events:
        match event:
            case PartStarted(key=key, part=part):
                assert key not in started, "a key is used twice"
                started[key] = part
                texts[key], shown[key] = [], ""
            case PartDelta(key=key, text=text, index=index):
                assert key in texts, "a delta for a part that is not open"
                shown[key] += text
                if index < 0:
                    continue
                texts[key] += [""] * (index + 1 - len(texts[key]))
                texts[key][index] += text
            case PartAnnotated(key=key):
                assert key in texts, "an annotation for a part that is not open"
            case PartEnded(key=key, part=part):
                _check_part(started[key], texts.pop(key), part)
                assert not (type(part) is Thinking and shown[key]) or shown[key] == part.text


def _check_part(start: Any, texts: list[str], part: Any) -> None:
    thought = type(start) is Text and type(part) is Thinking  # only a tag at its end told
    assert type(part) is type(start) or thought, "a part changed its kind"
    match part:
        case Text() | Refusal():
            assert part.text == "".join(texts)
        case Thinking() if texts:
            assert part.texts == texts
        case ToolCall() | ServerToolCall():
            assert part.name == start.name
            assert part.arguments == "".join(texts)


# --- Anthropic Messages ------------------------------------------------------------------------------------------------

_ANTHROPIC_REASONS = {
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded",
    "compaction",
}  # fmt: skip
_ANTHROPIC_DELTAS = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "_use",
}
"""The end of the block type that a delta belongs to."""


def check_anthropic(stream: bytes, ended: bool) -> None:
    """One message_start; blocks strictly one after the other, their deltas of their type; thinking closed by its signature;
    one message_delta, then message_stop; or an error, and nothing after it."""
    events = []
    for name, data in sse_reference.decode(stream, last_unfinished=False):
        event = json.loads(data)
        assert event["type"] == name
        events.append(event)
    if not events:
        assert not ended
        return
    assert events[0]["type"] == "message_start"
    _check_anthropic_message(events[0]["message"])
    tail = [event["type"] for event in events[1:] if not event["type"].startswith("content_block")]
    assert tail in ([["message_delta", "message_stop"], ["error"]] if ended else [[]])
    body = events[1 : len(events) - len(tail)]
    _check_blocks(body, tail[-1:] == ["message_stop"])
    if tail == ["message_delta", "message_stop"]:
        delta = events[-2]
        assert delta["delta"]["stop_reason"] in _ANTHROPIC_REASONS
        assert "stop_sequence" in delta["delta"]
        _check_counts(delta["usage"], "input_tokens", "output_tokens")
    elif tail == ["error"]:
        assert isinstance(events[-1]["error"]["type"], str)
        assert events[-1]["error"]["message"]


def _check_anthropic_message(message: dict[str, Any]) -> None:
    assert isinstance(message["id"], str)
    assert isinstance(message["model"], str)
    assert (message["type"], message["role"], message["content"]) == ("message", "assistant", [])
    assert message["stop_reason"] is None
    assert message["stop_sequence"] is None
    _check_counts(message["usage"], "input_tokens", "output_tokens")


def _check_counts(usage: dict[str, Any], *names: str) -> None:
    for name in names:
        assert type(usage[name]) is int
        assert usage[name] >= 0


def _check_blocks(events: list[dict[str, Any]], done: bool) -> None:
    index, kind, signed, thought = 0, None, False, False
    for event in events:
        assert event["index"] == index
        match event["type"]:
            case "content_block_start":
                assert kind is None, "a block opened inside another"
                kind, signed, thought = event["content_block"]["type"], False, False
            case "content_block_delta":
                assert kind is not None, "a delta outside a block"
                delta = event["delta"]
                assert kind.endswith(_ANTHROPIC_DELTAS[delta["type"]]), f"{delta['type']} in a {kind} block"
                assert not signed, "thinking goes on after its signature"
                signed = delta["type"] == "signature_delta"
                thought = True
            case "content_block_stop":
                assert kind is not None, "a block closed twice"
                assert kind != "thinking" or signed or not thought, "thinking without its signature"
                index, kind = index + 1, None
    assert kind is None or not done, "a block left open"


# --- Chat Completions --------------------------------------------------------------------------------------------------


def check_openai_chat(stream: bytes, ended: bool, include_usage: bool = True) -> None:
    """Role first; a call's id and name in its first delta only; one finish_reason, the last of the deltas; usage in a last
    chunk without choices if it was asked for; `[DONE]`; or an error, and nothing after it."""
    events = sse_reference.decode(stream, last_unfinished=False)
    assert all(name == "" for name, _ in events), "Chat Completions names no events"
    if not events:
        assert not ended
        return
    done = events[-1][1] == b"[DONE]"
    chunks = [json.loads(data) for _, data in (events[:-1] if done else events)]
    failed = bool(chunks) and "error" in chunks[-1]
    assert (done or failed) is ended
    assert not (done and failed), "[DONE] after an error"
    if failed:
        error = chunks.pop()["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        assert error["message"]
    if done and include_usage:
        last = chunks.pop()
        assert last["choices"] == []
        if last["usage"] is not None:
            _check_counts(last["usage"], "prompt_tokens", "completion_tokens", "total_tokens")
    assert len({(c["id"], c["object"], c["created"], c["model"]) for c in chunks}) <= 1
    assert all(len(c["choices"]) == 1 and c["choices"][0]["index"] == 0 and "usage" not in c for c in chunks)
    _check_deltas([chunk["choices"][0] for chunk in chunks], done)


def _check_deltas(choices: list[dict[str, Any]], done: bool) -> None:
    reasons = [choice["finish_reason"] for choice in choices]
    assert [reason for reason in reasons[:-1] if reason is not None] == []
    if choices:
        assert (reasons[-1] is not None) is done
        assert choices[0]["delta"] == {"role": "assistant"}
    calls = 0
    for choice in choices[1:]:
        delta = choice["delta"]
        assert "role" not in delta
        assert delta.get("tool_calls") != [], "an empty list of calls"
        for call in delta.get("tool_calls", ()):
            assert call["index"] <= calls, "an index was left out"
            if call["index"] == calls:
                calls += 1
                assert call["id"]
                assert "name" in call[call["type"]]
            else:
                assert "id" not in call
                assert "type" not in call
                assert "name" not in call.get("function", {})
                assert "name" not in call.get("custom", {})


# --- Responses ---------------------------------------------------------------------------------------------------------

_TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = {
    "response.output_text": ("output_text", "text"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_summary_text": ("summary_text", "text"),
    "response.reasoning_text": ("reasoning_text", "text"),
}
"""The events of a part's text, with the part's type and field."""
_CALLS = {"response.function_call_arguments": "arguments", "response.custom_tool_call_input": "input"}


def check_openai_responses(stream: bytes, ended: bool) -> None:
    """created, in_progress; items one after the other, each added, its parts added, filled and done with their whole text,
    and done; then one end whose output is the items that were done, with usage. Numbers count from 0. The output of a failure ends
    with the message that was open."""
    events: list[dict[str, Any]] = []
    for name, data in sse_reference.decode(stream, last_unfinished=False):
        event = json.loads(data)
        assert event["type"] == name
        assert event["sequence_number"] == len(events)
        events.append(event)
    if not events:
        assert not ended
        return
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [kind for kind in kinds if kind in _TERMINAL] == ([kinds[-1]] if ended else [])
    items = _Items()
    for event in events[2 : len(events) - ended]:
        items.check(event)
    if ended:
        assert items.open is None or kinds[-1] == "response.failed", "an item left open"
        response = events[-1]["response"]
        assert response["id"] == events[0]["response"]["id"]
        assert f"response.{response['status']}" == kinds[-1]
        assert response["output"][: len(items.done)] == items.done
        if rest := response["output"][len(items.done) :]:
            assert items.begun(rest), "a failed response with more than its open message"
        _check_counts(response["usage"], "input_tokens", "output_tokens", "total_tokens")
        assert (response["error"] is not None) is (kinds[-1] == "response.failed")
        assert (response["incomplete_details"] is not None) is (kinds[-1] == "response.incomplete")


class _Items:
    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.open: dict[str, Any] | None = None
        self.parts: list[dict[str, Any]] = []
        self.part: dict[str, Any] | None = None
        self.deltas: list[str] = []

    def check(self, event: dict[str, Any]) -> None:
        assert event["output_index"] == len(self.done)
        match event["type"].rpartition("."):
            case ["response.output_item", _, "added"]:
                assert self.open is None, "an item opened inside another"
                self.open, self.parts, self.deltas = event["item"], [], []
                assert self.open["id"] not in [item["id"] for item in self.done]
            case ["response.output_item", _, "done"]:
                self._item_done(event["item"])
            case ["response.content_part" | "response.reasoning_summary_part", _, step]:
                assert event["item_id"] == self._item()["id"]
                self._part(step, event)
            case [texts, _, step] if texts in _TEXTS:
                assert self.part is not None, "a text outside a part"
                kind, field = _TEXTS[texts]
                assert self.part["type"] == kind
                self._text(step, event, field)
            case ["response.output_text.annotation", _, "added"]:
                assert self.part is not None
            case ["response.web_search_call", _, step]:
                assert event["item_id"] == self._item()["id"]
                assert self._item()["type"] == "web_search_call"
                self.deltas.append(step)
                assert self.deltas == ["in_progress", "searching", "completed"][: len(self.deltas)]
            case [calls, _, step]:
                assert event["item_id"] == self._item()["id"]
                self._text(step, event, _CALLS[calls])

    def begun(self, rest: list[dict[str, Any]]) -> bool:
        """Whether the rest of an output is the open message, with what was sent of it."""
        (message,) = rest
        shown = [part["text"] if part["type"] == "output_text" else part["refusal"] for part in message["content"]]
        sent = [part.get("text", part.get("refusal")) for part in self.parts]
        if self.part is not None and self.deltas:
            sent.append("".join(self.deltas))
        fixed = {**self._item(), "content": message["content"], "status": "incomplete"}
        return fixed["type"] == "message" and message == fixed and shown == sent and bool(shown)

    def _item(self) -> dict[str, Any]:
        assert self.open is not None, "a part outside an item"
        return self.open

    def _text(self, step: str, event: dict[str, Any], field: str) -> None:
        if step == "delta":
            self.deltas.append(event["delta"])
        elif step == "done":
            assert event[field] == "".join(self.deltas)

    def _part(self, step: str, event: dict[str, Any]) -> None:
        assert event.get("content_index", event.get("summary_index")) == len(self.parts)
        if step == "added":
            assert self.part is None, "a part opened inside another"
            self.part, self.deltas = event["part"], []
        else:
            assert self.part is not None, "a part closed twice"
            for kind, field in _TEXTS.values():
                assert event["part"]["type"] != kind or event["part"][field] == "".join(self.deltas)
            self.parts.append(event["part"])
            self.part = None

    def _item_done(self, item: dict[str, Any]) -> None:
        opened = self._item()
        assert self.part is None, "an item is done and its part is not"
        # xAI's searches have a `call_id`, which no client answers
        names = ("id", "type") if item["type"] == "web_search_call" else ("id", "type", "call_id")
        assert [item.get(name) for name in names] == [opened.get(name) for name in names]
        match item["type"]:
            case _ if item == opened:
                assert self.parts == [], "an item that was whole at first was added to"
            case "message":
                assert item["content"] == self.parts
            case "reasoning":
                assert self.parts in (item.get("summary"), item.get("content"))
            case "function_call" | "custom_tool_call":
                assert item["arguments" if item["type"] == "function_call" else "input"] == "".join(self.deltas)
        self.done.append(item)
        self.open = None


# --- Gemini ------------------------------------------------------------------------------------------------------------


def check_google(stream: bytes, ended: bool) -> None:
    """Every chunk a whole response with the same id; calls whole; a finish reason in the last and only there; or an error,
    and nothing after it."""
    events = sse_reference.decode(stream, last_unfinished=False)
    assert all(name == "" for name, _ in events), "Gemini names no events"
    check_google_chunks([json.loads(data) for _, data in events], ended)


def check_google_chunks(chunks: list[dict[str, Any]], ended: bool) -> None:
    if not chunks:
        assert not ended
        return
    if "error" in chunks[-1]:
        assert ended
        error = chunks.pop()["error"]
        assert type(error["code"]) is int
        assert isinstance(error["message"], str)
        assert error["status"].isupper()
        ended = False
    assert len({(chunk.get("responseId"), chunk.get("modelVersion")) for chunk in chunks}) <= 1
    candidates = [candidate for chunk in chunks for candidate in chunk["candidates"]]
    assert len(candidates) == len(chunks)
    reasons = ["finishReason" in candidate for candidate in candidates]
    assert reasons == [False] * (len(reasons) - ended) + [True] * ended
    assert all("usageMetadata" not in chunk for chunk in chunks[: len(chunks) - ended])
    for candidate in candidates:
        assert candidate["index"] == 0
        assert candidate["content"]["role"] == "model"
        for part in candidate["content"]["parts"]:
            if "functionCall" in part:
                assert isinstance(part["functionCall"]["name"], str)
                assert isinstance(part["functionCall"]["args"], dict)


CHECKERS = {
    "openai_chat": check_openai_chat,
    "openai_responses": check_openai_responses,
    "anthropic": check_anthropic,
    "google": check_google,
}


CHECKS = {
    "openai_chat": check_openai_chat,
    "openai_responses": check_openai_responses,
    "anthropic": check_anthropic,
    "google": check_google,
}
"""The checker of a client's stream for each protocol, and whether the stream has ended."""
