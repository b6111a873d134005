"""Anthropic errors: `{"type": "error", "error": {"type", "message"}, "request_id"}`, and the forms of compatible hosts."""

from collections.abc import Mapping
from typing import Any

import msgspec

from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ModelbayError, ProviderError, Unsupported
from modelbay.json_text import decode
from modelbay.protocols import error_words
from modelbay.protocols.failures import bare_error, provider_error, request_id, spoken, status_of, summary, text_of

FAMILY: error_words.Family = "anthropic"
_THREADS = ("thread",)
"""Settings that store a conversation at the server."""


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    text = text_of(body)
    try:
        answer = decode(body)
    except MalformedReply:
        answer = None
    error = error_in(answer, status, text) or provider_error(status, summary(text), body=text)
    error.request_id = request_id(headers)
    if error.request_id is None and isinstance(answer, dict) and isinstance(answer.get("request_id"), str):
        error.request_id = answer["request_id"]
    return spoken(error, FAMILY)


def error_in(answer: Json, status: int | None = None, body: str = "") -> ProviderError | None:
    """The error in a body or event, or None."""
    error = _error_in(answer, status, body)
    return error and spoken(error, FAMILY)


def _error_in(answer: Json, status: int | None, body: str) -> ProviderError | None:
    if isinstance(answer, list) and answer:  # Vertex AI puts its own errors in a list
        return _error_in(answer[0], status, body)
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, str):
        error = {"message": error, "type": answer.get("type")}
    if error is None and answer.get("type") != "message" and not answer.get("content"):
        return bare_error(answer, status, body)
    if not isinstance(error, dict):
        return None
    kind = error.get("type") or error.get("status")
    code = error.get("code")
    return provider_error(
        status if status is not None else status_of(code),
        str(error.get("message") or kind or "the provider reported an error without a message"),
        type=str(kind) if kind else None,
        code=str(code) if code is not None else None,
        body=body,
    )


def render_error(error: Exception) -> tuple[int, bytes]:
    status, body = error_object(error)
    return status, msgspec.json.encode(body)


def error_object(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and the `{"type": "error", …}` object that official SDKs read."""
    rendered = error_words.answer(error, FAMILY)
    what: dict[str, Any] = {"type": rendered.type, "message": rendered.message}
    if isinstance(error, Unsupported) and error.setting in _THREADS:
        # the official SDK then sends the whole conversation; any other 400 ends its tool loop
        what["details"] = {"error_code": "thread_unsupported_request", "unsupported": [error.setting]}
    body: dict[str, Any] = {"type": "error", "error": what}
    if isinstance(error, ModelbayError) and error.request_id:
        body["request_id"] = error.request_id
    return rendered.status, body
