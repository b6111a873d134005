"""Decides whether and when to send a call again. `hub` waits and `transport` sends.

Only calls of which nothing was shown yet are retried; callers check this.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from modelbay.errors import (
    BadRequest,
    ConfigError,
    ContextOverflow,
    HubClosed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    TimedOut,
)
from modelbay.json_text import decode

MOST_SECONDS = 86_400
"""A number above this (a day in seconds) is milliseconds."""
UNIX_TIME = 1_000_000_000
"""A number from here on is a point in time: Unix time in seconds or milliseconds."""
UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|us|µs|ns|d|h|m|s)")
DURATION = re.compile(rf"(?:{DURATION_PART.pattern})+")


class Policy(Struct, frozen=True):
    attempts: int = 4
    """Maximum number of requests for one call, with those that repeat it with a changed parameter or a renewed key."""
    changes: int = 0
    """Requests beyond `attempts` that may repeat the call with a changed parameter or a renewed key."""
    base: float = 0.5
    """Upper bound in seconds of the random wait after the first attempt. Doubles with each attempt, up to `cap`."""
    cap: float = 32.0
    patience: float = 60.0
    """Longest wait in seconds that a provider may request. If it requests more, the call fails at once."""
    silences: int = 2
    """Maximum attempts after a timeout without a reply: the provider may still be working on the earlier ones."""

    def count(self) -> "Attempts":
        """A new count of the requests for one call."""
        return Attempts(self.attempts + self.changes)


class Attempts(Struct):
    """Counts the requests that are sent for one call, so that their reasons together do not exceed its limit."""

    limit: int = 2
    """Default: for a call that is not retried, but repeated with a renewed key or token."""
    made: int = 0

    @property
    def left(self) -> bool:
        """Whether the call may be repeated."""
        return self.made < self.limit


class Decision(Struct, frozen=True):
    """Retry after `delay` seconds, or not at all (None). `why` is shown to the user."""

    delay: float | None
    why: str


def moves_on(error: ModelbayError) -> bool:
    """Whether another model may reply although one failed with this error. Not if the request itself is wrong or refused, or the
    configuration must be corrected."""
    if isinstance(error, ConfigError):
        return isinstance(error, MissingCredential)
    if isinstance(error, BadRequest):
        # with another status, the request is valid, but not supported by this model or server
        return isinstance(error, ContextOverflow) or error.status in (404, 500, 501)
    return not isinstance(error, HubClosed)


def decide(error: ModelbayError, attempt: int, policy: Policy, random: Callable[[], float]) -> Decision:
    """Decide whether to retry after an error. `attempt`: the number of requests so far; `random` returns numbers from 0 to 1.

    The whole delay is random ("full jitter"), so that clients that failed together do not return together. It is added
    to the wait that the provider requested.
    """
    if not error.retryable:
        return Decision(None, "not retried: the same request would fail again")
    if attempt >= policy.attempts:
        return Decision(None, f"gave up after {attempt} attempts")
    if isinstance(error, TimedOut) and error.stage != "connect" and attempt >= policy.silences:
        return Decision(None, f"gave up after {attempt} attempts: the provider does not respond")
    asked = error.retry_after or 0.0
    if asked > policy.patience:
        return Decision(
            None,
            f"not retried: the provider asks to wait {asked:,.0f} s, more than the limit of {policy.patience:.0f} s",
        )
    delay = asked + random() * min(policy.cap, policy.base * 2 ** (attempt - 1))
    return Decision(delay, f"retrying in {delay:.1f} s (attempt {attempt + 1} of {policy.attempts})")


def heed(error: ModelbayError, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Set `retry_after` and `retryable` of an error from the response.

    `headers` have lower-case names; `now` is Unix time.
    """
    seconds = retry_after(headers, body, now)
    if seconds is None and error.retry_after is None:
        seconds = reset_after(headers, error.status, now)
    if seconds is not None:
        error.retry_after = seconds
    if headers.get("x-should-retry", "").strip().lower() == "false":
        error.retryable = False


def retry_after(headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """Seconds that a response asks to wait: `retry-after-ms`, `Retry-After` (seconds or date), Gemini's RetryInfo; else
    None."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after")
    if (seconds := _number(asked)) is not None:
        return seconds
    if (then := _date(asked)) is not None:
        return _from_now(then, headers, now)
    return _retry_info(body)


def reset_after(headers: Mapping[str, str], status: int | None, now: float) -> float | None:
    """Seconds until an exhausted rate limit resets, from `x-ratelimit-reset…` and similar headers.

    A limit counts if its `remaining` is 0. If there is none and the status is 429, the earliest reset of any limit is
    used, unless it is later than the longest wait: a guess must not make a call fail.
    """
    resets: dict[str, float] = {}
    for name, value in headers.items():
        if "ratelimit" in name and "reset" in name and (seconds := _until(name, value, headers, now)) is not None:
            resets[name] = seconds
    used_up = [seconds for name, seconds in resets.items() if _number(headers.get(_remaining(name))) == 0]
    if used_up:
        return max(used_up)
    near = [seconds for seconds in resets.values() if seconds <= Policy().patience]
    return min(near, default=None) if status == 429 else None


def _remaining(name: str) -> str:
    """The `remaining` header that belongs to a `reset` header."""
    return name.removesuffix("-ms").replace("reset-after", "remaining").replace("reset", "remaining")


def _until(name: str, value: str, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the time in a header: seconds, milliseconds, Unix time, Go durations (`1m30.5s`), ISO or HTTP
    dates."""
    text = value.strip()
    if (number := _number(text)) is not None:
        if name.endswith("-ms"):
            return number / 1000
        if number < MOST_SECONDS:
            return number
        if number < UNIX_TIME:
            return number / 1000
        moment = number / 1000 if number >= UNIX_TIME * 100 else number
        return _from_now(moment, headers, now)
    if text and DURATION.fullmatch(text):
        return sum(float(count) * UNITS[unit] for count, unit in DURATION_PART.findall(text))
    moment_or_none = _date(text) if "," in text else _iso(text)
    return None if moment_or_none is None else _from_now(moment_or_none, headers, now)


def _from_now(then: float, headers: Mapping[str, str], now: float) -> float:
    """Seconds from the server's `Date`, or from `now` without one: the clocks may differ."""
    return max(0.0, then - (_date(headers.get("date")) or now))


def _iso(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    """The number in a text if it is finite and not negative, else None."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 and math.isfinite(number) else None


def _date(text: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


RETRY_DELAY = re.compile(r"\d{1,9}(\.\d{1,9})?s")


def _retry_info(body: bytes) -> float | None:
    """The delay in `{"error": {"details": [{"@type": "…google.rpc.RetryInfo", "retryDelay": "13s"}]}}` or a list of
    such errors."""
    if b"RetryInfo" not in body:
        return None
    try:
        answer = decode(body)
    except MalformedReply:
        return None
    for error in answer if isinstance(answer, list) else [answer]:
        details = _get(_get(error, "error"), "details")
        for detail in details if isinstance(details, list) else []:
            delay = _get(detail, "retryDelay")
            if isinstance(delay, str) and RETRY_DELAY.fullmatch(delay):
                return float(delay[:-1])
    return None


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
