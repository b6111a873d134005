"""Anthropic errors: `{"type": "error", "error": {"type", "message"}, "request_id"}`, and what compatible hosts send instead."""

from collections.abc import Mapping
from typing import Any

import msgspec

from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ModelbayError, ProviderError
from modelbay.json_text import decode
from modelbay.protocols.failures import provider_error, request_id, status_of, summary, text_of

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


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
    return error


def error_in(answer: Json, status: int | None = None, body: str = "") -> ProviderError | None:
    """The error that a body or an event holds, or None."""
    if isinstance(answer, list) and answer:  # Vertex puts its own errors in an array
        return error_in(answer[0], status, body)
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, str):
        error = {"message": error, "type": answer.get("type")}
    if error is None and isinstance(answer.get("message"), str) and answer.get("type") != "message":
        error = {"message": answer["message"]}  # Bedrock
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
    status = (error.status if isinstance(error, ModelbayError) else None) or 502
    named = getattr(error, "type", None)
    kind = named if named in _TYPES.values() else _TYPES.get(status, "api_error" if status >= 500 else _TYPES[400])
    message = error.message if isinstance(error, ModelbayError) else str(error)
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    if isinstance(error, ModelbayError) and error.request_id:
        body["request_id"] = error.request_id
    return status, body
