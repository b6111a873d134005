"""Errors of Chat Completions and Responses, which share them.

Vendors use many shapes: an object, a string, a list of one, `detail`, `code` next to it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ProviderError
from modelbay.json_text import decode
from modelbay.protocols import error_words
from modelbay.protocols.failures import bare_error, provider_error, request_id, spoken, status_of, summary, text_of

FAMILY: error_words.Family = "openai"


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    text = text_of(body)
    try:
        answer = decode(body)
    except MalformedReply:
        answer = None
    found = error_in(answer)
    error = found if found is not None else provider_error(status, summary(text), body=text)
    if found is not None:
        error = provider_error(status, found.message, type=found.type, code=found.code, param=found.param, body=text)
    error.request_id = request_id(headers)
    return spoken(error, FAMILY)


def error_in(answer: Json) -> ProviderError | None:
    """The error in a response body or stream event, or None."""
    error = _error_in(answer)
    return error and spoken(error, FAMILY)


def _error_in(answer: Json) -> ProviderError | None:
    if isinstance(answer, list) and answer:  # Gemini's OpenAI API
        return _error_in(answer[0])
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict):
        return parse_error_object(error, None)
    if isinstance(error, str) and error:  # xAI has the code next to it, mlx has nothing else
        return provider_error(None, error, code=_word(answer.get("code")), type=_word(answer.get("type")))
    if answer.get("choices") or answer.get("output"):
        return None
    if answer.get("object") == "error" or answer.get("type") == "error" or "detail" in answer:
        message = answer.get("message") or answer.get("detail")
        detail = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        return provider_error(
            status_of(answer.get("code")),
            detail,
            type=_word(kind if (kind := answer.get("type")) != "error" else None),
            code=_word(answer.get("code")),
            param=_word(answer.get("param")),
        )
    return None if answer.get("id") and "base_resp" not in answer else bare_error(answer)


def parse_error_object(error: dict[str, Any], status: int | None) -> ProviderError:
    message = error.get("message")
    if isinstance(message, dict | list):
        message = msgspec.json.encode(message).decode()
    if isinstance((metadata := error.get("metadata")), dict) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}"  # OpenRouter: the message of the provider behind it
    return provider_error(
        status if status is not None else status_of(error.get("status_code"), error.get("code"), error.get("status")),
        str(message or error.get("type") or error.get("code") or "the provider reported an error without a message"),
        type=_word(error.get("type")),
        code=_word(error.get("code")),
        param=_word(error.get("param")),
    )


def _word(value: Json) -> str | None:
    return None if value is None or value == "" else str(value)


def render_error(error: Exception) -> tuple[int, bytes]:
    status, body = error_object(error)
    return status, msgspec.json.encode(body)


def error_object(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and the `{"error": …}` object that official SDKs read."""
    rendered = error_words.answer(error, FAMILY)
    return rendered.status, {
        "error": {"message": rendered.message, "type": rendered.type, "param": rendered.param, "code": rendered.code}
    }
