"""The four protocols, described by hand, so that the simulator is not tested with the codecs that it uses."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.servers.wire import DONE, Answer, call

Body = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass(frozen=True)
class WireProtocol:
    protocol: str
    path: Callable[[str, bool], str]
    body: Callable[[str, str, bool], Body]
    texts: Callable[[Any], list[str]]
    """The visible texts of a reply or of one event."""
    ends: Callable[[Any], bool]
    """Whether an event is the last of the stream."""
    error: Callable[[Any], str]
    """The message of an error response."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request, with `_` for `-`."""

    def ask(self, url: str, prompt: str, model: str = "sim-1", *, stream: bool = False, **headers: Any) -> Answer:
        sent: Any = {**self.headers, **headers}
        return call(url + self.path(model, stream), self.body(model, prompt, stream), **sent)

    def text(self, answer: Answer) -> str:
        if "event-stream" in answer.headers["content-type"]:
            events = [event for event in answer.events if event != DONE]
            return "".join(text for event in events for text in self.texts(event))
        return "".join(self.texts(answer.json))


def _chat_texts(value: Any) -> list[str]:
    choices = value.get("choices", [])
    return [(choice.get("message") or choice.get("delta")).get("content") or "" for choice in choices]


def _responses_texts(value: Any) -> list[str]:
    if "output" in value:
        contents = [item.get("content", []) for item in value["output"] if item["type"] == "message"]
        return [content["text"] for inner in contents for content in inner if content["type"] == "output_text"]
    return [value["delta"]] if value.get("type") == "response.output_text.delta" else []


def _anthropic_texts(value: Any) -> list[str]:
    if value["type"] == "message":
        return [block["text"] for block in value["content"] if block["type"] == "text"]
    return [value["delta"].get("text", "")] if value["type"] == "content_block_delta" else []


def _google_texts(value: Any) -> list[str]:
    parts = [part for c in value.get("candidates", []) for part in c.get("content", {}).get("parts", [])]
    return [part.get("text", "") for part in parts if not part.get("thought")]


PROTOCOLS = [
    WireProtocol(
        "openai_chat",
        path=lambda model, stream: "/v1/chat/completions",
        body=lambda model, prompt, stream: {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
        },
        texts=_chat_texts,
        ends=lambda event: event == DONE,
        error=lambda answer: answer["error"]["message"],
    ),
    WireProtocol(
        "openai_responses",
        path=lambda model, stream: "/v1/responses",
        body=lambda model, prompt, stream: {"model": model, "input": prompt, "stream": stream},
        texts=_responses_texts,
        ends=lambda event: event["type"] in ("response.completed", "response.incomplete"),
        error=lambda answer: answer["error"]["message"],
    ),
    WireProtocol(
        "anthropic",
        path=lambda model, stream: "/v1/messages",
        body=lambda model, prompt, stream: {
            "model": model,
            "max_tokens": 32_000,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
        },
        texts=_anthropic_texts,
        ends=lambda event: event["type"] == "message_stop",
        error=lambda answer: answer["error"]["message"],
        headers={"anthropic_version": "2023-06-01"},
    ),
    WireProtocol(
        "google",
        path=lambda model, stream: (
            f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
            if stream
            else f"/v1beta/models/{model}:generateContent"
        ),
        body=lambda model, prompt, stream: {"contents": [{"role": "user", "parts": [{"text": prompt}]}]},
        texts=_google_texts,
        ends=lambda event: "finishReason" in event.get("candidates", [{}])[0],
        error=lambda answer: answer["error"]["message"],
    ),
]
BY_NAME = {protocol.protocol: protocol for protocol in PROTOCOLS}


def sse(data: bytes) -> list[Any]:
    """The complete events in the bytes of a stream."""
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.startswith("data:")]
    return [text if text == DONE else json.loads(text) for line in lines if (text := line[5:].strip())]
