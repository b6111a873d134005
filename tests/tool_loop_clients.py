"""Clients of every protocol in a tool loop, written by hand: each keeps a history as clients of its protocol do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai.types.chat
import openai.types.responses
from google.genai import types as genai

Body = dict[str, Any]
PROTOCOLS = ["openai_chat", "openai_responses", "anthropic", "google"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NO_SIGNATURE = "skip_thought_signature_validator"


@dataclass
class Called:
    id: str | None
    name: str
    space: str | None = None


class Chat:
    path = "/v1/chat/completions"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in names]
        self.body: Body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"reasoning_effort": "low", "max_completion_tokens": 8000}

    def message(self, reply: Body) -> Any:
        return reply["choices"][0]["message"]

    def sdk(self, reply: Body) -> Any:
        dumped = openai.types.chat.ChatCompletion.model_validate(reply).choices[0].message
        return dumped.model_dump(exclude_none=True)

    def calls(self, message: Body) -> list[Called]:
        return [Called(call["id"], call["function"]["name"]) for call in message.get("tool_calls") or ()]

    def text(self, message: Body) -> str:
        return message["content"] or ""

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for call in message.get("tool_calls", ()):
            call["id"] = to(call["id"])

    def forget_fields(self, message: Body) -> Body:
        return {name: value for name, value in message.items() if name in ("role", "content", "tool_calls")}

    forget_thinking = forget_fields

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        self.body["messages"] += [message]
        for call, text in results:
            self.body["messages"].append(
                {"role": "tool", "content": text, **({"tool_call_id": call.id} if ids else {})}
            )


class Responses:
    path = "/v1/responses"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in names]
        self.body: Body = {"model": "m", "input": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        self.body |= {"store": False}

    def message(self, reply: Body) -> Any:
        return {"output": reply["output"]}

    def sdk(self, reply: Body) -> Any:
        found = openai.types.responses.Response.model_validate(reply)
        return {"output": [item.model_dump(exclude_none=True) for item in found.output]}

    def calls(self, message: Body) -> list[Called]:
        calls = [item for item in message["output"] if item["type"] == "function_call"]
        return [Called(item["call_id"], item["name"], item.get("namespace")) for item in calls]

    def text(self, message: Body) -> str:
        contents = [item["content"] for item in message["output"] if item["type"] == "message"]
        return "".join(part["text"] for content in contents for part in content)

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for item in message["output"]:
            if "call_id" in item:
                item["call_id"] = to(item["call_id"])

    def forget_fields(self, message: Body) -> Body:
        known = ("type", "id", "summary", "encrypted_content", "call_id", "name", "arguments", "role", "content")
        return {"output": [{name: item[name] for name in known if name in item} for item in message["output"]]}

    def forget_thinking(self, message: Body) -> Body:
        # a reference to removed reasoning has no ID either
        items = [item for item in message["output"] if item["type"] != "reasoning"]
        return {"output": [{name: value for name, value in item.items() if name != "id"} for item in items]}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        self.body["input"] += message["output"]
        for call, text in results:
            item = {"type": "function_call_output", "output": text, **({"call_id": call.id} if ids else {})}
            self.body["input"].append(item)


class Anthropic:
    path = "/v1/messages"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"name": name, "input_schema": SCHEMA} for name in names]
        self.body: Body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 2000}}

    def message(self, reply: Body) -> Any:
        return {"role": "assistant", "content": reply["content"]}

    def sdk(self, reply: Body) -> Any:
        found = anthropic.types.Message.model_validate(reply)
        return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in found.content]}

    def calls(self, message: Body) -> list[Called]:
        return [Called(block["id"], block["name"]) for block in message["content"] if block["type"] == "tool_use"]

    def text(self, message: Body) -> str:
        return "".join(block["text"] for block in message["content"] if block["type"] == "text")

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for block in message["content"]:
            if block["type"] == "tool_use":
                block["id"] = to(block["id"])

    def forget_fields(self, message: Body) -> Body:
        return message

    def forget_thinking(self, message: Body) -> Body:
        kept = [block for block in message["content"] if "thinking" not in block["type"]]
        return message | {"content": kept}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        blocks = [
            {"type": "tool_result", "content": text, **({"tool_use_id": call.id} if ids else {})}
            for call, text in results
        ]
        self.body["messages"] += [message, {"role": "user", "content": blocks}]


class Google:
    path = "/v1beta/models/m:generateContent"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"functionDeclarations": [{"name": name, "parametersJsonSchema": SCHEMA} for name in names]}]
        self.body: Body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "tools": tools}
        self.body |= {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000}}}

    def message(self, reply: Body) -> Any:
        return reply["candidates"][0]["content"]

    def sdk(self, reply: Body) -> Any:
        content = genai.GenerateContentResponse.model_validate(reply).candidates[0].content
        return content.model_dump(mode="json", by_alias=True, exclude_none=True)

    def calls(self, message: Body) -> list[Called]:
        calls = [part["functionCall"] for part in message["parts"] if "functionCall" in part]
        return [Called(call.get("id"), call["name"]) for call in calls]

    def text(self, message: Body) -> str:
        return "".join(part.get("text", "") for part in message["parts"] if not part.get("thought"))

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for part in message["parts"]:
            if "functionCall" in part:
                part["functionCall"]["id"] = to(part["functionCall"].get("id") or f"none{id(part)}")

    def forget_fields(self, message: Body) -> Body:
        known = ("text", "thought", "functionCall")
        parts = [{name: part[name] for name in known if name in part} for part in message["parts"]]
        return message | {"parts": [part for part in parts if part]}

    def forget_thinking(self, message: Body) -> Body:
        kept = self.forget_fields(message)
        return kept | {"parts": [part for part in kept["parts"] if not part.get("thought")]}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        parts = [
            {"functionResponse": {"name": call.name, "response": {"output": text}} | ({"id": call.id} if ids and call.id else {})}
            for call, text in results
        ]  # fmt: skip
        self.body["contents"] += [message, {"role": "user", "parts": parts}]


CLIENTS: dict[str, Any] = {"openai_chat": Chat, "openai_responses": Responses, "anthropic": Anthropic, "google": Google}

# --- what clients do with a history ------------------------------------------------------------------------------------


def keeps(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.message(reply)
    return found


def sdk(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    """The message goes through the official SDK's own types."""
    found: Body = client.sdk(reply)
    return found


def forgets_fields(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.forget_fields(client.message(reply))
    return found


def forgets_thinking(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.forget_thinking(client.message(reply))
    return found


def renames(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    """Every call gets an id of the client's own."""
    found: Body = client.message(reply)
    client.rename(found, lambda _: next(ids))
    return found


HABITS = {"keeps": keeps, "sdk": sdk, "forgets_fields": forgets_fields, "forgets_thinking": forgets_thinking,
          "renames": renames, "sends_no_ids": keeps}  # fmt: skip
KEEP_STATE = ("keeps", "sdk", "renames", "sends_no_ids")

# --- what a provider receives ----------------------------------------------------------------------------------------


def history(body: Body) -> list[Any]:
    found: list[Any] = next(body[name] for name in ("messages", "input", "contents") if name in body)
    return found


def returned_state(upstream: str, body: Body) -> int:
    """How many steps of the history have the state that the provider gave."""
    match upstream:
        case "openai_responses":
            return len([item for item in body["input"] if item.get("encrypted_content")])
        case "anthropic":
            blocks = [block for message in body["messages"] for block in message["content"]]
            return len([block for block in blocks if isinstance(block, dict) and block.get("signature")])
        case "google":
            parts = [part for content in body["contents"] for part in content["parts"]]
            return len([part for part in parts if part.get("thoughtSignature", NO_SIGNATURE) != NO_SIGNATURE])
        case _:
            return 3  # there is none
