"""The headers that pass between clients and providers, and the gateway's own."""

import pytest

from modelbay.events import Warned
from modelbay.gateway.headers import LONGEST, changes, own, request_id, returned, safe, sent_on
from modelbay.protocols.codec import NAMES, codec
from modelbay.providers.endpoint import ANTHROPIC_VERSION, endpoint_at
from modelbay.serving.request_head import RequestHead
from tests.gateway.targets import configured, target_of

PRIVATE = (
    "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "host", "connection",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "content-encoding", "accept-encoding",
    "content-type", "expect", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "origin", "referer",
    "user-agent", "x-stainless-os", "x-modelbay-session", "openai-organization", "openai-project", "openai-api-key",
    "anthropic-api-key", "anthropic-auth-token", "x-claude-code-session-id", "x-claude-code-agent-id",
    "x-claude-code-parent-agent-id", "session-id", "session_id", "thread-id", "x-session-id", "x-session-affinity",
)  # fmt: skip


@pytest.mark.parametrize("protocol", NAMES)
def test_nothing_private_is_sent_on(protocol: str) -> None:
    assert sent_on(dict.fromkeys(PRIVATE, "x"), codec(protocol).PASS) == {}


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        (
            "openai_chat",
            ["openai-beta", "openai-future", "idempotency-key", "x-client-request-id", "http-referer", "x-title"],
        ),
        ("openai_responses", ["openai-beta", "idempotency-key", "x-client-request-id"]),
        (
            "anthropic",
            ["anthropic-version", "anthropic-beta", "anthropic-future", "x-claude-code-future", "idempotency-key"],
        ),
        ("google", ["x-server-timeout"]),
    ],
)
def test_headers_of_the_protocol_are_sent_on(protocol: str, names: list[str]) -> None:
    assert sent_on(dict.fromkeys([*names, "x-unknown"], "1"), codec(protocol).PASS) == dict.fromkeys(names, "1")


def test_previews_are_merged_from_all_lines() -> None:
    fields = [(b"anthropic-beta", b"a-1, b-2"), (b"x-other", b"1"), (b"anthropic-beta", b"b-2,,c-3")]
    head = RequestHead("POST", b"/v1/messages", fields)
    assert sent_on(head.headers, codec("anthropic").PASS) == {"anthropic-beta": "a-1,b-2,c-3"}


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ([], "context-management-2025-06-27,effort-2025-11-24,structured-outputs-2025-12-15"),
        (["context_management"], "effort-2025-11-24,structured-outputs-2025-12-15"),
        (["output_config", "temperature"], "context-management-2025-06-27"),
        (["output_config", "context_management"], None),
    ],
)
def test_a_preview_goes_with_its_removed_field(removed: list[str], left: str | None) -> None:
    betas = "context-management-2025-06-27,effort-2025-11-24,structured-outputs-2025-12-15"
    assert sent_on({"anthropic-beta": betas}, codec("anthropic").PASS, removed).get("anthropic-beta") == left


def test_the_version_of_the_client_replaces_only_the_default() -> None:
    to = target_of("anthropic").upstream
    config, own_version = (
        configured("anthropic"),
        configured("anthropic", 'custom_headers = { anthropic-version = "mine" }'),
    )
    end = endpoint_at(config, to, "/v1/messages")
    assert end.sent_headers()["anthropic-version"] == ANTHROPIC_VERSION
    assert end.sent_headers({"anthropic-version": "2026-10-21"})["anthropic-version"] == "2026-10-21"
    to = target_of("anthropic", provider='custom_headers = { anthropic-version = "mine" }').upstream
    end = endpoint_at(own_version, to, "/v1/messages")
    assert end.sent_headers({"anthropic-version": "2026-10-21"})["anthropic-version"] == "mine"


UPSTREAM = {
    "request-id": "req_1",
    "x-request-id": "req_2",
    "retry-after": "7",
    "retry-after-ms": "7000",
    "x-should-retry": "true",
    "anthropic-ratelimit-tokens-remaining": "9",
    "x-ratelimit-reset-tokens": "6m0s",
    "ratelimit": '"default";r=5',
    "openai-processing-ms": "12",
    "content-type": "application/json",
}
NOT_RETURNED = (
    "set-cookie", "server", "date", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding",
    "vary", "alt-svc", "cf-ray", "via", "strict-transport-security", "access-control-allow-origin", "openai-organization",
    "anthropic-organization-id", "x-modelbay-provider", "location", "www-authenticate",
)  # fmt: skip


def test_headers_of_the_provider_are_returned() -> None:
    upstream = UPSTREAM | dict.fromkeys(NOT_RETURNED, "x")
    expected = [(name.encode(), value.encode()) for name, value in UPSTREAM.items()]
    assert returned(upstream, passed=True) == expected
    assert returned(upstream, passed=False) == expected[:-1], "a translated body has another content type"


def test_own_headers_describe_the_call() -> None:
    warnings = [
        Warned("", "seed"), Warned("", "tools.strict"), Warned("", "seed"), Warned("failed", "retry", retry=True), Warned(""),
    ]  # fmt: skip
    dropped = changes(warnings)
    fields = own(
        provider="acme",
        model="one",
        attempts=2,
        dropped=dropped,
        overhead=0.00123,
        estimated=True,
    )
    assert dict(fields) == {
        b"x-modelbay-provider": b"acme",
        b"x-modelbay-model": b"one",
        b"x-modelbay-attempts": b"2",
        b"x-modelbay-dropped": b"seed, tools.strict",
        b"x-modelbay-overhead-ms": b"1.2",
        b"x-modelbay-estimated": b"true",
    }
    assert request_id("req_1") == (b"x-modelbay-request-id", b"req_1")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ('plain ; value="1"', 'plain ; value="1"'),
        ("a\r\nset-cookie: b", "a set-cookie: b"),
        (" a\0\tb\x0b", "a b"),
        ("größe 漢", "gr%C3%B6%C3%9Fe %E6%BC%A2"),
        ("\x7f\x1b[31m", "%7F%1B[31m"),
        ("\ud800", "?"),
    ],
)
def test_values_are_one_line_of_ascii(value: str, sent: str) -> None:
    assert safe(value) == sent
    assert dict(own(model=value))[b"x-modelbay-model"] == sent.encode()


def test_long_values_are_shortened() -> None:
    assert safe("x" * 5000) == "x" * (LONGEST - 3) + "..."
    assert len(safe("漢" * 5000)) <= LONGEST
    assert "%E6%BC%..." not in safe("漢" * 5000), "no half of an escape"
    many = dict(own(dropped=[f"field, {number}" for number in range(500)]))
    dropped = many[b"x-modelbay-dropped"].decode()
    assert len(dropped) <= LONGEST
    shown, _, rest = dropped.rpartition(", ")
    assert shown.startswith("field%2C 0, field%2C 1, ")
    assert rest == f"+{500 - shown.count(', ') - 1} more"
