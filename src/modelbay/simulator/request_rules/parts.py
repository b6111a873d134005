"""The content parts of messages and their fields. Providers refuse unknown ones by name."""

from collections.abc import Iterator
from typing import Any

from modelbay.conversation import Json
from modelbay.simulator.request_rules.request import CheckedRequest, refuse

_MARKED = "prompt_cache_breakpoint"
_KNOWN: dict[str, dict[str, str]] = {
    "anthropic": {
        "text": "text citations",
        "image": "source",
        "document": "source title context citations",
        "video": "source",
        "audio": "source",
        "thinking": "thinking signature",
        "redacted_thinking": "data",
        "tool_use": "id name input caller",
        "tool_result": "tool_use_id content is_error",
        "server_tool_use": "id name input caller",
        "mcp_tool_use": "id name input server_name",
        "search_result": "source title content citations",
        "container_upload": "file_id",
        "tool_reference": "tool_name",
        "compaction": "content encrypted_content signature",
    },
    "openai_chat": {
        "text": f"text {_MARKED}",
        "image_url": f"image_url {_MARKED}",
        "video_url": "video_url",
        "audio_url": "audio_url",
        "file_url": "file_url",
        "document_url": "document_url",
        "input_audio": f"input_audio {_MARKED}",
        "file": f"file {_MARKED}",
        "refusal": "refusal",
        "audio": "audio",
        "thinking": "thinking closed signature",
    },
    "openai_responses": {
        "input_text": f"text {_MARKED}",
        "input_image": f"image_url file_id detail {_MARKED}",
        "input_file": f"file_id file_url file_data filename detail {_MARKED}",
        "input_audio": "input_audio",
        "output_text": "text annotations logprobs",
        "refusal": "refusal",
        "summary_text": "text",
        "reasoning_text": "text",
        "encrypted_content": "encrypted_content",
    },
}
"""Fields by protocol and type, without `type`."""
_EVERYWHERE = {
    "anthropic": {"type", "cache_control"},
    "openai_chat": {"type", "cache_control"},  # OpenRouter's and Qwen's
    "openai_responses": {"type"},
}
_GOOGLE = frozenset(
    ("text", "thought", "thoughtsignature", "inlinedata", "filedata", "functioncall", "functionresponse",
     "executablecode", "codeexecutionresult", "toolcall", "toolresponse", "videometadata", "mediaresolution",
     "partmetadata")
)  # fmt: skip
"""Gemini accepts camel case and snake case."""
_PLACE = {"anthropic": "{list}.{index}", "openai_chat": "{list}[{index}]", "openai_responses": "{list}[{index}]"}


def are_known(request: CheckedRequest) -> None:
    protocol = request.traits.protocol
    if protocol == "google":
        _google_parts(request)
        return
    for place, part in _parts(request.call.body, protocol):
        kind = str(part.get("type"))
        known = _KNOWN[protocol].get(kind)
        if known is None and not (protocol == "anthropic" and kind.endswith("_tool_result")):
            _unknown_kind(request, place, kind)
        for name in part:
            if known is not None and name not in known.split() and name not in _EVERYWHERE[protocol]:
                _unknown_field(request, place, kind, name)


def _parts(body: dict[str, Any], protocol: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every content part of the messages, with its path in the format of the provider."""
    top = "input" if protocol == "openai_responses" else "messages"
    messages = body.get(top)
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict):
            continue
        where = _PLACE[protocol].format(list=top, index=index)
        field = "output" if isinstance(message.get("output"), list) else "content"
        if protocol != "openai_responses" or field == "output" or message.get("type", "message") == "message":
            yield from _inside(message.get(field), f"{where}.{field}", protocol)


def _inside(content: Json, place: str, protocol: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict):
            where = _PLACE[protocol].format(list=place, index=index)
            yield where, part
            if part.get("type") == "tool_result":
                yield from _inside(part.get("content"), f"{where}.tool_result.content", protocol)


def _unknown_kind(request: CheckedRequest, place: str, kind: str) -> None:
    protocol = request.traits.protocol
    known = ", ".join(f"'{name}'" for name in _KNOWN[protocol])
    if protocol == "anthropic":
        refuse(
            request,
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}",
        )
    refuse(request, f"Invalid value: '{kind}'. Supported values are: {known}.", f"{place}.type", "invalid_value")


def _unknown_field(request: CheckedRequest, place: str, kind: str, name: str) -> None:
    if request.traits.protocol == "anthropic":
        refuse(request, f"{place}.{kind}.{name}: Extra inputs are not permitted")
    refuse(request, f"Unknown parameter: '{place}.{name}'.", f"{place}.{name}", "unknown_parameter")


def _google_parts(request: CheckedRequest) -> None:
    contents = request.call.body.get("contents")
    for index, content in enumerate(contents if isinstance(contents, list) else ()):
        parts = content.get("parts") if isinstance(content, dict) else None
        for place, part in enumerate(parts if isinstance(parts, list) else ()):
            for name in part if isinstance(part, dict) else ():
                if name.replace("_", "").lower() not in _GOOGLE:
                    where = f"contents[{index}].parts[{place}]"
                    refuse(
                        request,
                        f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.",
                    )


def system_is_text(request: CheckedRequest) -> None:
    """Anthropic's `system` may contain only text blocks."""
    system = request.call.body.get("system")
    for index, block in enumerate(system if isinstance(system, list) else ()):
        if not isinstance(block, dict) or block.get("type") != "text":
            refuse(request, f"system.{index}.type: Input should be 'text'")
        for name in block:
            if name not in ("type", "text", "cache_control", "citations"):
                refuse(request, f"system.{index}.{name}: Extra inputs are not permitted")


def images_are_the_users(request: CheckedRequest) -> None:
    """OpenAI accepts images only in user messages."""
    for index, message in enumerate(request.call.body.get("messages") or ()):
        role = message.get("role")
        content = message.get("content")
        kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        if role in ("system", "developer") and "image_url" in kinds:
            refuse(
                request,
                f"Invalid 'messages[{index}]'. Image URLs are only allowed for messages with role 'user', but this message "
                f"with role '{role}' contains an image URL.",
                f"messages[{index}]",
                "invalid_value",
            )
