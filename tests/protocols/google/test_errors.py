"""Gemini errors, both ways."""

import json
from typing import Any

import pytest

from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextOverflow,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Unsupported,
)
from modelbay.protocols import google

RPC = "type.googleapis.com/google.rpc."


def body(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def quota(*ids: str) -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": id} for id in ids]}


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, body(400, "INVALID_ARGUMENT", "bad"), BadRequest),
        (400, body(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}), AuthenticationFailed),
        (400, body(400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed"), ContextOverflow),
        (401, body(401, "UNAUTHENTICATED", "no"), AuthenticationFailed),
        (403, body(403, "PERMISSION_DENIED", "no"), PermissionDenied),
        (404, [body(404, "NOT_FOUND", "models/x is not found")], NotFound),
        (429, body(429, "RESOURCE_EXHAUSTED", "Resource exhausted."), RateLimited),
        (429, body(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", quota("PerMinute")), RateLimited),
        (429, body(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", quota("PerDay")), QuotaExhausted),
        (429, body(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"), QuotaExhausted),
        (500, body(500, "INTERNAL", "oops"), ServerError),
        (503, body(503, "UNAVAILABLE", "The model is overloaded."), Overloaded),
        (401, {"error": {"message": "no key", "type": "authentication_error"}}, AuthenticationFailed),
        (404, {"error": "no such path"}, NotFound),
        (502, "<html><title>Bad gateway</title></html>", ServerError),
    ],
)  # fmt: skip
def test_an_error_is_of_the_class_its_answer_means(status, answer, kind):
    data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    error = google.parse_error(status, {}, data)
    assert type(error) is kind
    assert error.status == status
    assert error.message


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (BadRequest("m", status=400, type="invalid_request_error"), 400, "INVALID_ARGUMENT"),
        (RateLimited("m", status=429), 429, "RESOURCE_EXHAUSTED"),
        (Overloaded("m", status=529), 529, "UNAVAILABLE"),
        (ServerError("m", status=500, type="INTERNAL"), 500, "INTERNAL"),
        (Unsupported("m", setting="n"), 400, "INVALID_ARGUMENT"),
        (ValueError("m"), 500, "INTERNAL"),
    ],
)
def test_an_error_is_told_in_google_s_words(error, status, word):
    found, data = google.render_error(error)
    assert (found, json.loads(data)) == (status, {"error": {"code": status, "message": "m", "status": word}})


def test_the_wait_and_the_reason_are_told_in_the_details():
    error = ProviderError("m", status=429, code="RATE_LIMIT_EXCEEDED")
    error.retry_after = 2.0
    _, data = google.render_error(error)
    assert json.loads(data)["error"]["details"] == [
        {"@type": f"{RPC}RetryInfo", "retryDelay": "2s"},
        {"@type": f"{RPC}ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
    ]
