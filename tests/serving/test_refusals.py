"""The errors of our own servers, as official SDKs read them."""

import json
from typing import Any

import pytest

from modelbay.errors import ModelbayError, RequestTooLarge, ServerError, UnknownModel, Unsupported
from modelbay.serving import refusals
from modelbay.serving.refusals import no_route, refusal

PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")
LARGE = RequestTooLarge("the request body exceeds 1,000 bytes", status=413)
ERRORS: list[tuple[ModelbayError, int, str, str, str]] = [
    # status, code of OpenAI, type of Anthropic, status of Gemini
    (refusals.missing_key(), 401, "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    (refusals.wrong_key(), 401, "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    (refusals.not_allowed("no"), 403, "permission_denied", "permission_error", "PERMISSION_DENIED"),
    (refusals.not_valid("no"), 400, "bad_request", "invalid_request_error", "INVALID_ARGUMENT"),
    (UnknownModel("no model"), 404, "model_not_found", "not_found_error", "NOT_FOUND"),
    (refusals.too_many(64, 1.2), 429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (LARGE, 413, "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("error", "status", "code", "anthropic", "google"), ERRORS, ids=lambda value: str(value)[:20])
def test_an_error_has_the_codes_of_each_protocol(
    error: ModelbayError, status: int, code: str, anthropic: str, google: str
) -> None:
    for protocol in PROTOCOLS:
        refused = refusal(protocol, error)
        assert refused.status == status
        told = json.loads(refused.body)["error"]
        assert error.message in told["message"]
        match protocol:
            case "anthropic":
                assert told["type"] == anthropic
            case "google":
                assert (told["code"], told["status"]) == (status, google)
            case _:
                assert told["code"] == code
        headers = dict(refused.headers)
        assert headers[b"content-length"] == b"%d" % len(refused.body)
        assert headers.get(b"retry-after") == (b"2" if status == 429 else None)
        assert headers.get(b"www-authenticate") == (b"Bearer" if status == 401 else None)


@pytest.mark.parametrize("status", [500, 503, 529])
@pytest.mark.parametrize("retryable", [False, True])
def test_sdks_repeat_a_server_error_only_if_that_can_help(status: int, retryable: bool) -> None:
    error = ServerError("it broke", status=status)
    error.retryable = retryable
    headers = dict(refusal("openai_chat", error).headers)
    assert headers.get(b"x-should-retry") == (None if retryable else b"false")


def test_the_hint_of_an_error_follows_its_message() -> None:
    error = UnknownModel('no model "Fabel-5"', hint='did you mean "fable-5"?')
    body = refusal("openai_chat", error).body
    assert json.loads(body)["error"]["message"] == 'no model "Fabel-5"; did you mean "fable-5"?'
    assert error.message == 'no model "Fabel-5"'  # as it is logged


def test_a_thread_is_refused_in_the_form_that_its_sdk_understands() -> None:
    error = json.loads(refusal("anthropic", Unsupported("no threads", setting="thread")).body)["error"]
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/batches", "batches"), ("/v1/messages/batches/b/results", "batches"), ("/v1/files/file-1/content", "files"),
        ("/upload/v1beta/files", "files"), ("/v1beta/models/m:batchGenerateContent", "batches"), ("/v1/threads", "assistants"),
    ],
)  # fmt: skip
def test_a_vendor_s_api_that_is_not_served_is_not_an_unknown_path(path: str, api: str) -> None:
    refused = no_route("openai_chat", "POST", path, ())
    message = json.loads(refused.body)["error"]["message"]
    assert (refused.status, message) == (
        404,
        f"POST {path} is not supported; use the API for {api} at the provider itself",
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_unknown_path_a_wrong_method_and_a_websocket_differ(protocol: str) -> None:
    def message(refused: Any) -> str:
        return str(json.loads(refused.body)["error"]["message"])

    unknown = no_route(protocol, "POST", "/v1/v1/messages", ())
    assert unknown.status == 404
    assert message(unknown) == 'unknown path: POST /v1/v1/messages; did you mean "/v1/messages"?'
    assert len(no_route(protocol, "GET", "/" + "x" * 50_000, ()).body) < 500
    wrong = no_route(protocol, "PUT", "/v1/messages", ("POST",))
    assert (wrong.status, dict(wrong.headers)[b"allow"]) == (405, b"POST")
    assert message(wrong) == "/v1/messages does not support PUT; use POST"
    assert no_route(protocol, "GET", "/v1/responses", ("POST",), upgrade=True).status == 426
