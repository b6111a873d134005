"""Gemini errors: `{error: {code, message, status, details}}`, alone, in a list, or as a chunk of a stream."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from modelbay.conversation import Json
from modelbay.errors import (
    AuthenticationFailed,
    MalformedReply,
    ModelbayError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
)
from modelbay.json_text import decode
from modelbay.protocols import error_words
from modelbay.protocols.failures import bare_error, provider_error, request_id, spoken, status_of, summary, text_of

FAMILY: error_words.Family = "google"
_DETAIL = "type.googleapis.com/google.rpc."


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    text = text_of(body)
    try:
        answer = decode(body)
    except MalformedReply:
        answer = None
    error = error_in(answer, status, text)
    if error is None:
        error = provider_error(status, summary(text), body=text)
    error.request_id = request_id(headers)
    return spoken(error, FAMILY)


def error_in(answer: Json, status: int | None = None, body: str = "") -> ProviderError | None:
    """The error in a body or chunk, or None."""
    error = _error_in(answer, status, body)
    return error and spoken(error, FAMILY)


def _error_in(answer: Json, status: int | None, body: str) -> ProviderError | None:
    if isinstance(answer, list) and answer:
        return _error_in(answer[0], status, body)
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, str) and error:
        return provider_error(status, error, body=body)
    if isinstance(error, dict) and error:
        return _parse(error, status, body)
    return None if "candidates" in answer else bare_error(answer, status, body)


def _parse(error: dict[str, Any], status: int | None, body: str) -> ProviderError:
    details = _objects(error.get("details"))
    reason = next((d["reason"] for d in details if isinstance(d.get("reason"), str)), None)
    found = provider_error(
        status if status is not None else status_of(error.get("code")),
        str(error.get("message") or error.get("status") or "the provider reported an error without a message"),
        type=_word(error.get("status") or error.get("type")),  # `type`: aimock and proxies answer like OpenAI
        code=_word(reason or error.get("code")),
        param=_word(error.get("param")),
        body=body,
    )
    kind = _class(found, reason, details)
    if kind is not type(found):
        found = kind(
            found.message, status=found.status, type=found.type, code=found.code, param=found.param, body=body[:2000]
        )
    delays = [d["retryDelay"] for d in details if isinstance(d.get("retryDelay"), str)]
    if delays and re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", delays[0]):
        found.retry_after = float(delays[0][:-1])
    return found


def _class(error: ProviderError, reason: str | None, details: list[dict[str, Any]]) -> type[ProviderError]:
    """The error class from Google's details, which are more specific: an invalid key is a 400, and a per-minute limit
    mentions quota."""
    if reason in ("API_KEY_INVALID", "API_KEY_EXPIRED"):
        return AuthenticationFailed
    if isinstance(error, QuotaExhausted | RateLimited):
        violations = [violation for detail in details for violation in _objects(detail.get("violations"))]
        if any("PerDay" in str(violation.get("quotaId")) for violation in violations):
            return QuotaExhausted
        if violations or any("retryDelay" in detail for detail in details):
            return RateLimited
    return type(error)


def _objects(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _word(value: Json) -> str | None:
    return None if value is None or value == "" else str(value)


def render_error(error: Exception) -> tuple[int, bytes]:
    status, body = error_object(error)
    return status, msgspec.json.encode(body)


def error_object(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and the `{"error": …}` object that official SDKs read."""
    rendered = error_words.answer(error, FAMILY)
    body: dict[str, Any] = {"code": rendered.status, "message": rendered.message, "status": rendered.type}
    details: list[dict[str, Any]] = []
    if isinstance(error, ModelbayError) and error.retry_after is not None:
        details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    if rendered.code and rendered.code.isidentifier():
        details.append({"@type": f"{_DETAIL}ErrorInfo", "reason": rendered.code})
    if details:
        body["details"] = details
    return rendered.status, {"error": body}
