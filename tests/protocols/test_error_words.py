"""Errors for clients of each protocol: the table, and which provider values are passed on."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    Disconnected,
    FileError,
    IncompleteReply,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    NotFound,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StoreError,
    TimedOut,
    UnknownEffort,
    UnknownModel,
    UnknownProvider,
    Unsupported,
)
from modelbay.events import Failed, Started
from modelbay.protocols.codec import codec
from modelbay.protocols.error_words import ROWS, answer

FOREIGN = {
    "openai_chat": "anthropic", "openai_responses": "google", "anthropic": "openai_chat", "google": "openai_responses",
}  # fmt: skip
PROTOCOLS = list(FOREIGN)


def told(error: Exception, protocol: str) -> tuple[int, dict[str, Any]]:
    status, body = codec(protocol).render_error(error)
    return status, json.loads(body)["error"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownModel('no model "x"'), 404), (UnknownProvider("no provider"), 404), (ConfigError("broken"), 400),
        (MissingCredential("acme has no key"), 403), (Unsupported("no", setting="n"), 400),
        (UnknownEffort("no", setting="effort"), 400), (ConnectFailed("refused"), 502), (Disconnected("gone"), 502),
        (TimedOut("silent", stage="idle"), 504), (MalformedReply("html"), 502), (IncompleteReply("cut off"), 502),
        (ModelbayError("something"), 502), (FileError("no space"), 500), (StoreError("disk full"), 500),
        (ValueError("a fault"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)  # fmt: skip
def test_errors_of_modelbay_have_their_status_in_every_protocol(protocol, error, status):
    found, what = told(error, protocol)
    assert (found, str(error) in what["message"]) == (status, True)
    assert all(what.get(name, "x") for name in ("type", "code", "status"))
    if protocol.startswith("openai"):
        assert what["code"] and not what["code"].isdigit()


@pytest.mark.parametrize("kind", [kind for kind in ROWS if issubclass(kind, ModelbayError)])
def test_a_request_that_modelbay_refuses_is_never_a_server_error(kind):
    if issubclass(kind, ConfigError | Unsupported) and not issubclass(kind, FileError):
        assert 400 <= ROWS[kind].status < 500


UPSTREAM: dict[str, dict[int, Any]] = {
    "openai_chat": {
        401: {"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}},
        404: {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}},
        429: {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
        503: {"error": {"message": "busy", "type": "server_error", "code": None}},
    },
    "anthropic": {
        401: {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
        404: {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}},
        429: {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
        529: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    },
    "google": {
        400: {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
                        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}},
        404: {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}},
        429: {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
        503: {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
    },
}  # fmt: skip
UPSTREAM["openai_responses"] = UPSTREAM["openai_chat"]
WORDS: dict[str, dict[int, tuple[str, str | None]]] = {
    "openai_chat": {403: ("permission_error", "provider_key_rejected"), 404: ("invalid_request_error", "model_not_found"),
                    429: ("rate_limit_error", "rate_limit_exceeded"), 503: ("server_error", "server_error")},
    "anthropic": {403: ("permission_error", None), 404: ("not_found_error", None), 429: ("rate_limit_error", None),
                  529: ("overloaded_error", None)},
    "google": {403: ("PERMISSION_DENIED", None), 404: ("NOT_FOUND", None), 429: ("RESOURCE_EXHAUSTED", None),
               503: ("UNAVAILABLE", None)},
}  # fmt: skip
WORDS["openai_responses"] = WORDS["openai_chat"]


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_foreign_words_come_from_the_table(upstream, protocol):
    if upstream.partition("_")[0] == protocol.partition("_")[0]:
        return
    for status, body in UPSTREAM[upstream].items():
        error = codec(upstream).parse_error(status, {}, json.dumps(body).encode())
        error.provider = "acme"
        found, what = told(error, protocol)
        wanted, code = WORDS[protocol][found]
        assert what.get("type", what.get("status")) == wanted
        assert what.get("code") in (code, found)
        assert error.message in what["message"]
        assert found == {401: 403, 503: 529 if protocol == "anthropic" else 503, 529: 503, 400: 403}.get(status, status)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_provider_that_rejects_our_key_is_named_and_the_clients_own_key_is_not_blamed(protocol):
    for status in (status for status in UPSTREAM[protocol] if status in (400, 401)):
        error = codec(protocol).parse_error(status, {}, json.dumps(UPSTREAM[protocol][status]).encode())
        error.provider = "acme"
        found, what = told(error, protocol)
        assert found == 403
        assert what["message"].startswith("acme rejected modelbay's API key: ")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_key_that_is_rejected_here_is_a_401(protocol):
    assert told(AuthenticationFailed("wrong key", status=401), protocol)[0] == 401


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_providers_own_words_and_status_are_repeated_in_its_protocol(protocol):
    for status, body in UPSTREAM[protocol].items():
        if status in (400, 401):
            continue
        found, what = told(codec(protocol).parse_error(status, {}, json.dumps(body).encode()), protocol)
        assert found == status
        assert what.items() >= {key: value for key, value in body["error"].items() if value is not None}.items()


@pytest.mark.parametrize(
    ("code", "given"), [(429, "rate_limit_exceeded"), ("429", "rate_limit_exceeded"), ("1302", "1302")], ids=str
)
def test_a_status_in_the_place_of_a_code_becomes_the_word_for_it(code: int | str, given: str) -> None:
    """As OpenRouter sends it. A number of a vendor's own stays."""
    body = json.dumps({"error": {"message": "Slow down", "code": code}}).encode()
    status, answered = codec("openai_responses").render_error(codec("openai_chat").parse_error(429, {}, body))
    assert (status, json.loads(answered)["error"]["code"]) == (429, given)


def test_no_status_of_another_vendor_becomes_a_code():
    error = codec("google").parse_error(404, {}, json.dumps(UPSTREAM["google"][404]).encode())
    assert told(error, "openai_chat")[1]["code"] == "model_not_found"


def test_a_missing_key_names_its_provider():
    error = MissingCredential("there is no key", provider="acme")
    assert told(error, "anthropic") == (403, {"type": "permission_error", "message": "acme: there is no key"})


@pytest.mark.parametrize("setting", ["thread"])
def test_a_thread_that_cannot_be_kept_is_said_so_that_the_sdk_sends_all(setting):
    found, what = told(Unsupported("`thread` cannot be expressed", setting=setting), "anthropic")
    assert (found, what["type"]) == (400, "invalid_request_error")
    assert what["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert "details" not in told(Unsupported("no", setting="n"), "anthropic")[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", ["openai", "anthropic", "google", None])
def test_overloaded_inside_a_stream_stays_overloaded(protocol, family):
    error = Overloaded("Overloaded", type="weird_word" if family != protocol.partition("_")[0] and family else None)
    error.protocol = family
    renderer = codec(protocol).stream_renderer(Conversation([]))
    sent = renderer.feed(Started("id", "m")) + renderer.feed(Failed(error))
    assert {"anthropic": b"overloaded_error", "google": b"UNAVAILABLE"}.get(protocol, b'"code":"server_error"') in sent


@pytest.mark.parametrize(
    ("error", "type", "code"),
    [
        (ContextOverflow("no"), "invalid_request_error", "context_length_exceeded"),
        (ContentRefused("no"), "invalid_request_error", "content_filter"),
        (QuotaExhausted("no"), "insufficient_quota", "insufficient_quota"),
        (RateLimited("no"), "rate_limit_error", "rate_limit_exceeded"),
        (NotFound("no"), "invalid_request_error", "model_not_found"),
        (ServerError("no"), "server_error", "server_error"),
        (TimedOut("no", stage="idle"), "server_error", "upstream_timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_codes_that_openais_clients_act_on(error, type, code):
    found = answer(error, "openai")
    assert (found.type, found.code) == (type, code)
