import json
import random
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay import errors
from modelbay.errors import ModelbayError, TimedOut
from modelbay.routing.retry import Decision, Policy, decide, heed, reset_after, retry_after

NOW = 1_767_225_600.0
POLICY = Policy()
EVERY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ModelbayError)]
AGAIN = [
    errors.TransportError, errors.ConnectFailed, errors.ProxyFailed, errors.Disconnected, errors.TimedOut,
    errors.RateLimited, errors.Overloaded,
    errors.ServerError, errors.ReplyError, errors.MalformedReply, errors.IncompleteReply,
]  # fmt: skip


def make(kind: type[ModelbayError], **also) -> ModelbayError:
    also |= {"stage": "connect"} if kind is TimedOut else {}
    also |= {"setting": "n"} if issubclass(kind, errors.Unsupported) else {}
    also |= {"status": 302, "location": None} if kind is errors.Redirected else {}
    return kind("it went wrong", **also)


def asked(seconds: float | None) -> ModelbayError:
    error = errors.RateLimited("slow down", status=429)
    error.retry_after = seconds
    return error


# Retried errors


@pytest.mark.parametrize("kind", EVERY)
def test_which_errors_are_sent_again(kind):
    assert (decide(make(kind), 1, POLICY, random.random).delay is not None) == (kind in AGAIN)


def test_an_error_may_say_that_it_is_final():
    error = make(errors.ConnectFailed)
    error.retryable = False
    assert decide(error, 1, POLICY, random.random).delay is None


@pytest.mark.parametrize("stage", ["first_byte", "idle"])
def test_a_silent_provider_is_not_hammered(stage):
    error = TimedOut("silent", stage=stage)
    assert decide(error, 1, POLICY, random.random).delay is not None
    assert decide(error, 2, POLICY, random.random) == Decision(
        None, "gave up after 2 attempts: the provider does not respond"
    )


def test_a_provider_that_cannot_be_reached_is_asked_as_often_as_one_that_replies():
    for error in (TimedOut("no connection", stage="connect"), asked(None)):
        assert decide(error, 3, POLICY, lambda: 1.0) == Decision(2.0, "retrying in 2.0 s (attempt 4 of 4)")
        assert decide(error, 4, POLICY, lambda: 1.0) == Decision(None, "gave up after 4 attempts")


def test_too_long_a_wait_is_not_waited_and_the_user_is_told():
    assert decide(asked(60), 1, POLICY, random.random).delay is not None
    decision = decide(asked(3600), 1, POLICY, random.random)
    assert (decision.delay, decision.why) == (
        None,
        "not retried: the provider asks to wait 3,600 s, more than the limit of 60 s",
    )


@given(attempt=st.integers(1, 40), seconds=st.none() | st.floats(0, 1e9), seed=st.floats(0, 1))
def test_every_wait_is_bounded_and_no_shorter_than_asked(attempt, seconds, seed):
    decision = decide(asked(seconds), attempt, POLICY, lambda: seed)
    if attempt >= POLICY.attempts or (seconds or 0) > POLICY.patience:
        assert decision.delay is None
    else:
        assert decision.delay is not None
        assert (seconds or 0) <= decision.delay <= (seconds or 0) + min(POLICY.cap, POLICY.base * 2 ** (attempt - 1))


@given(attempt=st.integers(1, 100))
def test_the_random_wait_doubles_up_to_its_cap(attempt):
    policy = Policy(attempts=1000)
    assert decide(asked(None), attempt, policy, lambda: 0.0).delay == 0
    assert decide(asked(None), attempt, policy, lambda: 1.0).delay == min(32, 0.5 * 2 ** (attempt - 1))


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(AGAIN), min_size=20, max_size=20))
def test_a_call_ends(dice, kinds):
    """The waits between attempts end, for every result and duration of the attempts."""
    waited, attempt = 0.0, 0
    for attempt, kind in enumerate(kinds, 1):
        error = make(kind)
        error.retry_after = dice.choice([None, dice.uniform(0, 100)])
        delay = decide(error, attempt, POLICY, dice.random).delay
        if delay is None:
            break
        waited += delay
    assert attempt <= POLICY.attempts
    assert waited <= (POLICY.attempts - 1) * (POLICY.patience + POLICY.cap)


# Wait times that a provider asks for


def gemini(delay: object) -> bytes:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []}
    return json.dumps({"error": {"code": 429, "details": [quota, info]}}).encode()


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, b"", None),
        ({"retry-after": "0"}, b"", 0),
        ({"retry-after": "20"}, b"", 20),
        ({"retry-after": " 1.5 "}, b"", 1.5),
        ({"retry-after-ms": "1500"}, b"", 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, b"", 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, b"", 2),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, b"", 30),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, b"", 0),
        ({"retry-after": formatdate(NOW + 30)}, b"", 30),  # -0000: the same, without a time zone
        ({"retry-after": formatdate(NOW + 630, usegmt=True), "date": formatdate(NOW + 600, usegmt=True)}, b"", 30),
        ({"retry-after": "-5"}, b"", None),
        ({"retry-after": "nan"}, b"", None),
        ({"retry-after": "inf"}, b"", None),
        ({"retry-after": "tomorrow"}, b"", None),
        ({}, gemini("13s"), 13),
        ({}, gemini("34.074824224s"), 34.074824224),
        ({}, b"[" + gemini("13s") + b"]", 13),
        ({"retry-after": "2"}, gemini("13s"), 2),
        ({}, gemini("-13s"), None),
        ({}, gemini("13"), None),
        ({}, gemini(13), None),
        ({}, b'{"error": "RetryInfo"}', None),
        ({}, b'{"error": {"details": "RetryInfo"}}', None),
        ({}, b"<html>RetryInfo</html>", None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers, body, seconds):
    assert retry_after(headers, body, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text()), st.binary())
@example({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, b"")
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, b"")
@example({"retry-after": "9" * 5000}, b"")
@example({}, b'{"RetryInfo": ' + b"[" * 100_000)
@example({}, gemini("9" * 5000 + "s"))
def test_any_header_is_a_valid_wait_or_none(headers, body):
    wait = retry_after(headers, body, NOW)
    assert wait is None or 0 <= wait < float("inf")


def test_heed_notes_it_on_the_error():
    error = errors.RateLimited("slow down", status=429)
    heed(error, {"retry-after": "3", "x-should-retry": "true"}, b"", NOW)
    assert (error.retry_after, error.retryable) == (3, True)
    heed(error, {"x-should-retry": "false"}, b"", NOW)
    assert (error.retry_after, error.retryable) == (3, False)


def test_no_header_makes_a_final_error_retryable():
    error = errors.QuotaExhausted("no credit left", status=429)
    heed(error, {"retry-after": "1", "x-should-retry": "true"}, b"", NOW)
    assert decide(error, 1, POLICY, random.random).delay is None


# When a limit is reset


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7), ("1.5", 1.5), ("0", 0), ("90000", 90), ("3600", 3600), (f"{NOW + 12:.0f}", 12), (f"{(NOW + 12) * 1000:.0f}", 12),
        (f"{NOW - 5:.0f}", 0), ("6m0s", 360), ("1m30.5s", 90.5), ("120ms", 0.12), ("1h2m3s", 3723), ("17.3s", 17.3), ("1d", 86_400),
        ("2026-01-01T00:00:20Z", 20), ("2026-01-01T01:00:20+01:00", 20), ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("", None), ("soon", None), ("1x", None), ("nan", None), ("-4", None), ("9" * 400, None), ("1m soon", None),
        ("\u0664s", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["x-ratelimit-reset", "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-reset"]
)
def test_a_reset_is_read_in_every_spelling(name, value, seconds):
    remaining = name.replace("reset", "remaining")
    found = reset_after({name: value, remaining: "0"}, 429, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "40s", "x-ratelimit-remaining-tokens": "0"}, 429, 40),
        ({"x-ratelimit-reset-requests": "50s", "x-ratelimit-reset-tokens": "40s", "x-ratelimit-remaining-tokens": "0",
          "x-ratelimit-remaining-requests": "0"}, 429, 50),
        ({"x-ratelimit-reset-requests": "24h", "x-ratelimit-reset-tokens": "40s", "x-ratelimit-remaining-tokens": "90"}, 429, 40),
        ({"anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:09Z", "anthropic-ratelimit-tokens-remaining": "0"}, 503, 9),
        ({"ratelimit-reset": "8", "ratelimit-remaining": "0"}, 500, 8),
        ({"x-ratelimit-reset-ms": "2500"}, 429, 2.5),
        ({"x-ratelimit-reset-ms": "90000", "x-ratelimit-remaining": "0"}, 503, 90),
        ({"x-ratelimit-reset-after": "90", "x-ratelimit-remaining": "0"}, 503, 90),
        ({"x-ratelimit-reset": "3600", "x-ratelimit-remaining": "7"}, 429, None),
        ({"x-ratelimit-reset": "3600", "x-ratelimit-remaining": "0"}, 429, 3600),
        ({"x-ratelimit-reset": "8", "x-ratelimit-remaining": "5"}, 503, None),
        ({"x-ratelimit-reset": "8"}, 503, None),
        ({"x-ratelimit-remaining": "0"}, 429, None),
    ],
)  # fmt: skip
def test_the_limit_that_is_used_up_says_how_long(headers, status, seconds):
    assert reset_after(headers, status, NOW) == seconds


def test_a_reset_counts_only_where_no_wait_is_asked_for():
    headers = {"x-ratelimit-reset": "40", "x-ratelimit-remaining": "0"}
    error = errors.RateLimited("slow down", status=429)
    heed(error, headers, b"", NOW)
    assert error.retry_after == 40
    heed(error, {**headers, "retry-after": "3"}, b"", NOW)
    assert error.retry_after == 3
    known = asked(5)
    heed(known, headers, b"", NOW)
    assert known.retry_after == 5
