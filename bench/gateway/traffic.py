"""Requests and replies of all protocols: what clients send, what the mock provider replies, and how a correct reply ends."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.streams import WORDS, Stream
from modelbay.protocols.codec import NAMES

KB = 1024
AGENT_BYTES = 77_000
"""Size of a coding agent's request after some minutes of work."""
TOOLS = 24
WIRE = "wire-1"
"""The model's ID at the mock provider."""


class Replies(Struct, frozen=True):
    """One kind of reply of the mock provider."""

    name: str
    bytes: int = KB
    """Size of the text of a whole reply."""
    chunks: int = 0
    """Number of text deltas of a stream; 0: a whole reply."""
    pace: int = 0
    """Microseconds between two chunks."""


class Exchange(Struct, frozen=True):
    """A request of a client's protocol, and the reply of a provider's."""

    client: str
    upstream: str
    replies: Replies
    body: bytes
    """The body in the client's protocol. The model in it is `name`, if the protocol has it there."""

    @property
    def ending(self) -> str:
        """Text among the last bytes of each correct reply."""
        if not self.replies.chunks:
            return {"anthropic": "end_turn", "google": "STOP"}.get(self.client, "_tokens")
        return {"openai_chat": "data: [DONE]", "openai_responses": "total_tokens", "anthropic": "message_stop"}.get(
            self.client, '"STOP"'
        )

    def request(self, key: str, further: Mapping[str, str] | None = None) -> bytes:
        """The bytes that a client of the gateway sends. `further`: other headers."""
        fields = {"x-goog-api-key": key} if self.client == "google" else {"authorization": f"Bearer {key}"}
        if self.client == "anthropic":
            fields = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        path = _path(self.client, self.replies, name_of(self.upstream, self.replies))
        return _request(path, fields | dict(further or {}), self.body)

    def direct(self) -> bytes:
        """The bytes that a client of the mock provider sends, of the same size. Proxies pass them on unchanged."""
        path = upstream_path(self.client, self.replies)
        return _request(path, {"authorization": "Bearer sk-upstream-0123456789"}, self.body)


def alias_of(upstream: str, replies: Replies) -> str:
    """The alias of the model with those replies in config.toml."""
    return f"{upstream}-{replies.name}"


def name_of(upstream: str, replies: Replies) -> str:
    """The name by which clients of the gateway ask for a model: one that `[gateway.names]` maps with a pattern."""
    return f"bench-{alias_of(upstream, replies)}-20260101"


def exchange(client: str, upstream: str, replies: Replies, *, size: int = KB) -> Exchange:
    """An exchange whose request has one message of `size` bytes."""
    body = _body(client, name_of(upstream, replies), "Answer in one sentence.", [], [("user", text_of(size))])
    return Exchange(client, upstream, replies, _encoded(client, body, bool(replies.chunks)))


def agent_exchange(client: str, upstream: str, replies: Replies) -> Exchange:
    """An exchange whose request is that of a coding agent: a long system prompt, tools, and a history of calls and results."""
    chance = random.Random(1)
    system, tools = _prose(chance, 11_000), [_tool(chance, number) for number in range(TOOLS)]
    history: list[tuple[str, Any]] = [("user", "Find out why the test of the parser fails, and fix it.")]
    encoded = b""
    while len(encoded) < AGENT_BYTES:
        number = len(history)
        path = f"src/package/module_{number}.py"
        history.append(("call", (f"call_{number:024}", "tool_1", {"path": path, "offset": number * 10, "limit": 200})))
        history.append(("result", (f"call_{number:024}", _code(chance, 1_800))))
        body = _body(client, name_of(upstream, replies), system, tools, history)
        encoded = _encoded(client, body, bool(replies.chunks))
    return Exchange(client, upstream, replies, encoded)


def upstream_path(protocol: str, replies: Replies) -> str:
    return f"/{replies.name}{_path(protocol, replies, WIRE)}"


def base_url(protocol: str, replies: Replies, port: int) -> str:
    version = {"anthropic": "", "google": "/v1beta"}.get(protocol, "/v1")
    return f"http://127.0.0.1:{port}/{replies.name}{version}"


def write_replies(file: Path, kinds: list[Replies]) -> Path:
    """The file of the mock provider: the replies of all protocols."""
    with file.open("wb") as out:
        for replies in kinds:
            for protocol in NAMES:
                pieces = _stream(protocol, replies.chunks) if replies.chunks else [_whole(protocol, replies.bytes)]
                path = upstream_path(protocol, replies).partition("?")[0]
                out.write(f"{path} {len(pieces)} {replies.pace}\n".encode())
                out.writelines(b"%d\n%b" % (len(piece), piece) for piece in pieces)
    return file


def _path(protocol: str, replies: Replies, model: str) -> str:
    if protocol == "google":
        method = "streamGenerateContent?alt=sse" if replies.chunks else "generateContent"
        return f"/v1beta/models/{model}:{method}"
    ends = {"openai_chat": "chat/completions", "openai_responses": "responses", "anthropic": "messages"}
    return f"/v1/{ends[protocol]}"


def _request(path: str, fields: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", "accept: */*"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    lines += ["user-agent: bench/1.0", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _stream(protocol: str, chunks: int) -> list[bytes]:
    stream = Stream(protocol, chunks)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    begin, *others = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in stream.reads if piece]
    return [head + begin, *others[:-1], others[-1] + b"0\r\n\r\n"]


def _whole(protocol: str, size: int) -> bytes:
    text = text_of(size)
    usage = {"input_tokens": 210, "output_tokens": 190}
    body: dict[str, Any]
    match protocol:
        case "openai_chat":
            choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "logprobs": None}
            body = {
                "id": "chatcmpl-CUqXW4t1ZkqYvN0bG3fHs8RmLdE2a", "object": "chat.completion", "created": 1761500000,
                "model": WIRE, "choices": [{**choice, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 210, "completion_tokens": 190, "total_tokens": 400},
            }  # fmt: skip
        case "openai_responses":
            part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
            item = {
                "id": "msg_0a1b2c3d",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
            body = {
                "id": "resp_0a1b2c3d4e5f", "object": "response", "created_at": 1761500000, "status": "completed",
                "model": WIRE, "output": [item], "usage": {**usage, "total_tokens": 400},
            }  # fmt: skip
        case "anthropic":
            body = {
                "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": WIRE,
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
            }  # fmt: skip
        case _:
            content = {"parts": [{"text": text}], "role": "model"}
            counts = {"promptTokenCount": 210, "candidatesTokenCount": 190, "totalTokenCount": 400}
            body = {
                "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                "usageMetadata": counts, "modelVersion": WIRE, "responseId": "bG3fHs8RmLdE2aCUqXW4t1ZkqYvN0",
            }  # fmt: skip
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


def _body(
    protocol: str, model: str, system: str, tools: list[dict[str, Any]], history: list[tuple[str, Any]]
) -> dict[str, Any]:
    """A request in a client's protocol. A tool call is (ID, name, arguments), a result (ID, text)."""
    match protocol:
        case "anthropic":
            messages = [_anthropic(kind, value) for kind, value in history]
            return {
                "model": model, "max_tokens": 8192, "system": [{"type": "text", "text": system}], "messages": messages,
                **({"tools": [{**_without(tool), "input_schema": tool["parameters"]} for tool in tools]} if tools else {}),
            }  # fmt: skip
        case "openai_chat":
            turns = [{"role": "system", "content": system}, *(_chat(kind, value) for kind, value in history)]
            named: list[dict[str, Any]] = [{"type": "function", "function": tool} for tool in tools]
            functions = {"tools": named} if tools else {}
            return {"model": model, "max_completion_tokens": 8192, "messages": turns, **functions}
        case "openai_responses":
            items = [_response_item(kind, value) for kind, value in history]
            flat: list[dict[str, Any]] = [{"type": "function", "strict": False, **tool} for tool in tools]
            functions = {"tools": flat} if tools else {}
            return {"model": model, "instructions": system, "input": items, "store": False, **functions}
        case _:
            contents = [{"role": "user", "parts": [{"text": value}]} for kind, value in history if kind == "user"]
            return {"systemInstruction": {"parts": [{"text": system}]}, "contents": contents}


def _without(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "parameters"}


def _anthropic(kind: str, value: Any) -> dict[str, Any]:
    if kind == "call":
        call = {"type": "tool_use", "id": value[0], "name": value[1], "input": value[2]}
        return {"role": "assistant", "content": [{"type": "text", "text": "I read the file."}, call]}
    if kind == "result":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": value[0], "content": value[1]}]}
    return {"role": "user", "content": [{"type": "text", "text": value}]}


def _chat(kind: str, value: Any) -> dict[str, Any]:
    if kind == "call":
        function = {"name": value[1], "arguments": json.dumps(value[2])}
        calls = [{"id": value[0], "type": "function", "function": function}]
        return {"role": "assistant", "content": "I read the file.", "tool_calls": calls}
    if kind == "result":
        return {"role": "tool", "tool_call_id": value[0], "content": value[1]}
    return {"role": "user", "content": value}


def _response_item(kind: str, value: Any) -> dict[str, Any]:
    if kind == "call":
        return {"type": "function_call", "call_id": value[0], "name": value[1], "arguments": json.dumps(value[2])}
    if kind == "result":
        return {"type": "function_call_output", "call_id": value[0], "output": value[1]}
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}


def _encoded(protocol: str, body: dict[str, Any], stream: bool) -> bytes:
    if protocol != "google":
        body = {**body, "stream": stream}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def text_of(size: int) -> str:
    text = "".join(WORDS).strip() + " "
    return (text * (size // len(text) + 1))[:size]


def _prose(chance: random.Random, size: int) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        lines.append(
            "- " + "".join(chance.choices(WORDS, k=18)).strip() + (' "quoted"\n' if len(lines) % 3 else " → so\n\n")
        )
    return "".join(lines)


def _code(chance: random.Random, size: int) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        name = chance.choice(WORDS).strip() or "value"
        lines.append(f'{len(lines) + 1:6}\t    {name} = items["{name}"].get(key, {chance.randint(0, 999)})  # {name}\n')
    return "".join(lines)


def _tool(chance: random.Random, number: int) -> dict[str, Any]:
    properties = {
        name: {"type": kind, "description": _prose(chance, 60).strip()}
        for name, kind in (("path", "string"), ("offset", "integer"), ("limit", "integer"), ("pattern", "string"))
    }
    schema = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
    return {"name": f"tool_{number}", "description": _prose(chance, 500), "parameters": schema}
