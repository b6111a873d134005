"""A realistic stream of every protocol: a start, many text deltas, an end."""

from typing import Any

import msgspec

DELTAS = 1000
WORDS = [" the", " bay", " was", " quiet", ",", " and", " every", " boat", " had", " its", " place", "."]

ID = "chatcmpl-CUqXW4t1ZkqYvN0bG3fHs8RmLdE2a"
CHAT = {
    "id": ID,
    "object": "chat.completion.chunk",
    "created": 1761500000,
    "model": "gpt-4.1-mini-2025-04-14",
    "service_tier": "default",
    "system_fingerprint": "fp_4c2851f862",
}
RESPONSE = {
    "id": "resp_0a1b2c3d4e5f",
    "object": "response",
    "created_at": 1761500000,
    "model": "gpt-4.1-mini-2025-04-14",
}
ITEM = {"id": "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9", "type": "message", "status": "in_progress", "role": "assistant"}
GEMINI = {"modelVersion": "gemini-2.5-flash", "responseId": "bG3fHs8RmLdE2aCUqXW4t1ZkqYvN0"}

Events = tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]


def _chat(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**CHAT, "choices": [choice], "usage": None, "obfuscation": "aB3xY9kQ"}


def _gemini(text: str, **more: Any) -> dict[str, Any]:
    usage = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 24,
        "totalTokenCount": 34,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
    }
    content = {"parts": [{"text": text}], "role": "model"}
    return {"candidates": [{"content": content, "index": 0, **more}], "usageMetadata": usage, **GEMINI}


def _chat_events(kind: str, texts: list[str]) -> Events:
    begin = [_chat({"role": "assistant", "content": "", "refusal": None})]
    match kind:
        case "thinking":
            deltas = [_chat({"content": None, "reasoning_content": text}) for text in texts]
        case "arguments":
            function = {"name": "write", "arguments": ""}
            begin.append(
                _chat({"tool_calls": [{"index": 0, "id": "call_0a1b", "type": "function", "function": function}]})
            )
            pieces = ['{"text":"', *texts[2:], '"}']
            deltas = [_chat({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
        case _:
            deltas = [_chat({"content": text}) for text in texts]
    return begin, deltas, [_chat({}, "tool_calls" if kind == "arguments" else "stop")]


def _events(protocol: str, count: int, kind: str) -> Events:
    """The first events, the deltas, and the last events."""
    texts = [WORDS[number % len(WORDS)] for number in range(count)]
    match protocol:
        case "openai_chat":
            return _chat_events(kind, texts)
        case "openai_responses":
            return _responses(texts)
        case "anthropic":
            message: dict[str, Any] = {
                "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "content": [],
                "model": "claude-sonnet-4-5-20250929", "stop_reason": None, "stop_sequence": None,
                "usage": {"input_tokens": 10, "output_tokens": 1},
            }  # fmt: skip
            begin: list[dict[str, Any]] = [
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            ]
            deltas: list[dict[str, Any]] = [
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
                for text in texts
            ]
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            end: list[dict[str, Any]] = [
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": delta, "usage": {"output_tokens": count}},
                {"type": "message_stop"},
            ]
            return begin, deltas, end
        case _:
            return [], [_gemini(text) for text in texts], [_gemini("", finishReason="STOP")]


def _responses(texts: list[str]) -> Events:
    whole = "".join(texts)
    at = {"item_id": ITEM["id"], "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": whole}
    done: dict[str, Any] = {**ITEM, "status": "completed", "content": [part]}
    begin: list[dict[str, Any]] = [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**RESPONSE, "status": "in_progress", "output": []},
        },
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {**ITEM, "content": []},
        },
        {"type": "response.content_part.added", "sequence_number": 2, **at, "part": {**part, "text": ""}},
    ]
    deltas: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "sequence_number": 3 + number, **at, "delta": text, "logprobs": [],
         "obfuscation": "aB3xY9kQ"}
        for number, text in enumerate(texts)
    ]  # fmt: skip
    usage = {"input_tokens": 10, "output_tokens": len(texts), "total_tokens": 10 + len(texts)}
    end: list[dict[str, Any]] = [
        {"type": "response.output_text.done", "sequence_number": 9001, **at, "text": whole},
        {"type": "response.output_item.done", "sequence_number": 9002, "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**RESPONSE, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    return begin, deltas, end


def _sse(event: dict[str, Any], named: bool) -> bytes:
    name = f"event: {event['type']}\n".encode() if named else b""
    return name + b"data: " + msgspec.json.encode(event) + b"\n\n"


class Stream:
    """`begin`, each of `deltas` and `end` are bytes as they would come from the network, one chunk a read."""

    def __init__(self, protocol: str, count: int = DELTAS, kind: str = "text") -> None:
        """`count`: number of deltas. `kind`: text, or in Chat Completions also thinking or the arguments of a call."""
        begin, deltas, end = _events(protocol, count, kind)
        named = protocol in ("anthropic", "openai_responses")
        self.begin = b"".join(_sse(event, named) for event in begin)
        self.deltas = [_sse(event, named) for event in deltas]
        self.end = b"".join(_sse(event, named) for event in end) + (
            b"data: [DONE]\n\n" if protocol == "openai_chat" else b""
        )
        self.payloads = [msgspec.json.encode(event) for event in deltas]
        """The JSON of each delta alone."""

    @property
    def reads(self) -> list[bytes]:
        return [self.begin, *self.deltas, self.end]
