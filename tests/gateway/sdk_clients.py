"""The official SDKs as clients, each behind one interface: a conversation that keeps its history as the SDK's users do."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
from anthropic import Anthropic
from google import genai
from google.genai import errors, types
from openai import OpenAI
from pydantic import BaseModel

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = ("get_weather", "get_tide")


class City(BaseModel):
    city: str
    inhabitants: int


def png(red: int, green: int, blue: int) -> bytes:
    """A picture of one color, 8 pixels wide."""

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes((red, green, blue)) * 8) * 8
    head = piece(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + piece(b"IDAT", zlib.compress(rows)) + piece(b"IEND", b"")


RED = png(255, 0, 0)


@dataclass
class CallMade:
    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass
class SdkReply:
    """A reply as the SDK reports it."""

    id: str | None
    model: str | None
    text: str
    finish: str | None
    input_tokens: int
    output_tokens: int
    thinking: str = ""
    calls: list[CallMade] = field(default_factory=list)
    parsed: Any = None
    created: float | None = None
    refusal: str = ""
    raw: Any = None


class SdkChat:
    """A conversation through one SDK. `stream`: with the SDK's own accumulator."""

    SDK: str
    RATE_LIMITED: type[Exception]
    NOT_FOUND: type[Exception]
    UNAUTHORIZED: type[Exception]
    BAD_REQUEST: type[Exception]
    SERVER_ERROR: type[Exception]
    BROKEN: tuple[type[Exception], ...]
    """The errors that the SDK raises for a reply that breaks off."""

    def __init__(self, client: Any, model: str, *, stream: bool = False, **features: Any) -> None:
        """`features`: `tools`, `thinking`, `schema` (bool), `max_tokens`, `more` (parameters of the SDK)."""
        self.client = client
        self.model = model
        self.stream = stream
        self.features = features
        self.history: list[Any] = []

    @staticmethod
    def status(error: Exception) -> int:
        """The HTTP status that the SDK reports."""
        return int(error.status_code)  # type: ignore[attr-defined]

    def ask(self, prompt: str, image: bytes | None = None) -> SdkReply:
        """Send a message of the user."""
        raise NotImplementedError

    def answer(self, results: list[tuple[CallMade, str]]) -> SdkReply:
        """Send the results of tool calls."""
        raise NotImplementedError


class OpenAiSdk(SdkChat):
    RATE_LIMITED = openai.RateLimitError
    NOT_FOUND = openai.NotFoundError
    UNAUTHORIZED = openai.AuthenticationError
    BAD_REQUEST = openai.BadRequestError
    SERVER_ERROR = openai.InternalServerError
    BROKEN: tuple[type[Exception], ...] = (openai.APIError,)


class ChatSdk(OpenAiSdk):
    SDK = "openai, Chat Completions"

    def ask(self, prompt: str, image: bytes | None = None) -> SdkReply:
        content: Any = prompt
        if image is not None:
            url = "data:image/png;base64," + base64.b64encode(image).decode()
            content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
        self.history.append({"role": "user", "content": content})
        return self._step()

    def answer(self, results: list[tuple[CallMade, str]]) -> SdkReply:
        self.history += [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in results]
        return self._step()

    def _step(self) -> SdkReply:
        wanted, asked = self.features, dict[str, Any](model=self.model, messages=self.history)
        if wanted.get("tools"):
            functions = [{"name": name, "parameters": SCHEMA, "strict": True} for name in TOOLS]
            asked["tools"] = [{"type": "function", "function": function} for function in functions]
        if wanted.get("thinking"):
            asked["reasoning_effort"] = "low"
        if wanted.get("schema"):
            asked["response_format"] = City
        if wanted.get("max_tokens"):
            asked["max_completion_tokens"] = wanted["max_tokens"]
        asked |= wanted.get("more", {})
        if self.stream:
            with self.client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
                done: Any = stream.get_final_completion()
        elif wanted.get("schema"):
            done = self.client.chat.completions.parse(**asked)
        else:
            done = self.client.chat.completions.create(**asked)
        message = done.choices[0].message
        self.history.append(message)
        calls = message.tool_calls or []
        return SdkReply(
            done.id,
            done.model,
            message.content or "",
            done.choices[0].finish_reason,
            done.usage.prompt_tokens,
            done.usage.completion_tokens,
            getattr(message, "reasoning_content", None) or "",
            [CallMade(call.id, call.function.name, _object(call.function.arguments)) for call in calls],
            getattr(message, "parsed", None),
            done.created,
            message.refusal or "",
            done,
        )


class ResponsesSdk(OpenAiSdk):
    SDK = "openai, Responses"
    BROKEN = (openai.APIError, RuntimeError)
    """Its accumulator raises a RuntimeError at any end but `response.completed`."""

    def ask(self, prompt: str, image: bytes | None = None) -> SdkReply:
        content: Any = prompt
        if image is not None:
            url = "data:image/png;base64," + base64.b64encode(image).decode()
            content = [{"type": "input_text", "text": prompt}, {"type": "input_image", "image_url": url}]
        self.history.append({"role": "user", "content": content})
        return self._step()

    def answer(self, results: list[tuple[CallMade, str]]) -> SdkReply:
        self.history += [{"type": "function_call_output", "call_id": call.id, "output": text} for call, text in results]
        return self._step()

    def _step(self) -> SdkReply:
        wanted = self.features
        asked = dict[str, Any](
            model=self.model, input=self.history, store=False, include=["reasoning.encrypted_content"]
        )
        if wanted.get("tools"):
            asked["tools"] = [
                {"type": "function", "name": name, "parameters": SCHEMA, "strict": True} for name in TOOLS
            ]
        if wanted.get("thinking"):
            asked["reasoning"] = {"effort": "low", "summary": "auto"}
        if wanted.get("schema"):
            asked["text_format"] = City
        if wanted.get("max_tokens"):
            asked["max_output_tokens"] = wanted["max_tokens"]
        asked |= wanted.get("more", {})
        if self.stream:
            with self.client.responses.stream(**asked) as stream:
                for _ in stream:
                    pass
                done: Any = stream.get_final_response()
        elif wanted.get("schema"):
            done = self.client.responses.parse(**asked)
        else:
            done = self.client.responses.create(**asked)
        self.history += done.output
        calls = [item for item in done.output if item.type == "function_call"]
        thinking = [part.text for item in done.output if item.type == "reasoning" for part in item.summary]
        said = [part for item in done.output if item.type == "message" for part in item.content]
        refusals = [part.refusal for part in said if part.type == "refusal"]
        return SdkReply(
            done.id,
            done.model,
            done.output_text,
            done.incomplete_details.reason if done.incomplete_details else done.status,
            done.usage.input_tokens,
            done.usage.output_tokens,
            "".join(thinking),
            [CallMade(call.call_id, call.name, _object(call.arguments)) for call in calls],
            getattr(done, "output_parsed", None),
            done.created_at,
            "".join(refusals),
            done,
        )


class AnthropicSdk(SdkChat):
    SDK = "anthropic"
    RATE_LIMITED = anthropic.RateLimitError
    NOT_FOUND = anthropic.NotFoundError
    UNAUTHORIZED = anthropic.AuthenticationError
    BAD_REQUEST = anthropic.BadRequestError
    SERVER_ERROR = anthropic.InternalServerError
    BROKEN = (anthropic.APIError,)

    def ask(self, prompt: str, image: bytes | None = None) -> SdkReply:
        content: Any = prompt
        if image is not None:
            data = base64.b64encode(image).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            content = [{"type": "image", "source": source}, {"type": "text", "text": prompt}]
        self.history.append({"role": "user", "content": content})
        return self._step()

    def answer(self, results: list[tuple[CallMade, str]]) -> SdkReply:
        content = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in results]
        self.history.append({"role": "user", "content": content})
        return self._step()

    def _step(self) -> SdkReply:
        wanted = self.features
        asked = dict[str, Any](model=self.model, messages=self.history, max_tokens=wanted.get("max_tokens") or 4000)
        if wanted.get("tools"):
            asked["tools"] = [{"name": name, "input_schema": SCHEMA} for name in TOOLS]
        if wanted.get("thinking"):
            asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if wanted.get("schema"):
            asked["output_format"] = City
        asked |= wanted.get("more", {})
        if self.stream:
            with self.client.messages.stream(**asked) as stream:
                for _ in stream:
                    pass
                done: Any = stream.get_final_message()
        elif wanted.get("schema"):
            done = self.client.messages.parse(**asked)
        else:
            done = self.client.messages.create(**asked)
        self.history.append({"role": "assistant", "content": done.content})
        return SdkReply(
            done.id,
            done.model,
            "".join(block.text for block in done.content if block.type == "text"),
            done.stop_reason,
            done.usage.input_tokens,
            done.usage.output_tokens,
            "".join(block.thinking for block in done.content if block.type == "thinking"),
            [CallMade(block.id, block.name, block.input) for block in done.content if block.type == "tool_use"],
            getattr(done, "parsed_output", None),
            raw=done,
        )


class GoogleSdk(SdkChat):
    SDK = "google-genai"
    RATE_LIMITED = NOT_FOUND = UNAUTHORIZED = BAD_REQUEST = errors.ClientError
    SERVER_ERROR = errors.ServerError
    BROKEN = (errors.APIError,)

    def __init__(self, client: Any, model: str, *, stream: bool = False, **features: Any) -> None:
        super().__init__(client, model, stream=stream, **features)
        wanted, config = self.features, dict[str, Any]()
        if wanted.get("tools"):
            functions = [types.FunctionDeclaration(name=name, parameters_json_schema=SCHEMA) for name in TOOLS]
            config["tools"] = [types.Tool(function_declarations=functions)]
        if wanted.get("thinking"):
            config["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        if wanted.get("schema"):
            config |= {"response_mime_type": "application/json", "response_schema": City}
        if wanted.get("max_tokens"):
            config["max_output_tokens"] = wanted["max_tokens"]
        config |= wanted.get("more", {})
        self._chat = client.chats.create(model=self.model, config=types.GenerateContentConfig(**config))

    @staticmethod
    def status(error: Exception) -> int:
        return int(error.code)  # type: ignore[attr-defined]

    def ask(self, prompt: str, image: bytes | None = None) -> SdkReply:
        if image is None:
            return self._step(prompt)
        return self._step([types.Part.from_bytes(data=image, mime_type="image/png"), prompt])

    def answer(self, results: list[tuple[CallMade, str]]) -> SdkReply:
        responses = [
            types.FunctionResponse(id=call.id, name=call.name, response={"output": text}) for call, text in results
        ]
        return self._step([types.Part(function_response=response) for response in responses])

    def _step(self, message: Any) -> SdkReply:
        replies = list(self._chat.send_message_stream(message)) if self.stream else [self._chat.send_message(message)]
        contents = [reply.candidates[0].content for reply in replies if reply.candidates]
        parts = [part for content in contents if content for part in content.parts or []]
        last = replies[-1]
        usage = last.usage_metadata or types.GenerateContentResponseUsageMetadata()
        reason = last.candidates[0].finish_reason if last.candidates else None
        made = [part.function_call for part in parts if part.function_call]
        assert len({reply.response_id for reply in replies}) == 1
        return SdkReply(
            last.response_id,
            last.model_version,
            "".join(part.text or "" for part in parts if not part.thought),
            reason.value if reason else None,
            usage.prompt_token_count or 0,
            (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            "".join(part.text or "" for part in parts if part.thought),
            [CallMade(call.id, call.name or "", dict(call.args or {})) for call in made],
            last.parsed if not self.stream else None,
            raw=replies if self.stream else last,
        )


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


SDKS: dict[str, type[SdkChat]] = {
    "openai_chat": ChatSdk,
    "openai_responses": ResponsesSdk,
    "anthropic": AnthropicSdk,
    "google": GoogleSdk,
}


@contextmanager
def connected(url: str, key: str) -> Iterator[dict[str, Any]]:
    """The clients of a gateway, by protocol."""
    options = types.HttpOptions(base_url=url)
    with (
        OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as for_openai,
        Anthropic(base_url=url, api_key=key, max_retries=0) as for_anthropic,
        genai.Client(api_key=key, http_options=options) as for_google,
    ):
        yield {
            "openai_chat": for_openai,
            "openai_responses": for_openai,
            "anthropic": for_anthropic,
            "google": for_google,
        }
