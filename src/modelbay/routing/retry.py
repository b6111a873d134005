"""Whether to send a call again, and when. Decides only; `hub` waits and `transport` sends.

A call may be sent again as long as nothing of its reply was seen; who asks here has made sure of that.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from modelbay.errors import MalformedReply, ModelbayError, TimedOut
from modelbay.json_text import decode


class Policy(Struct, frozen=True):
    attempts: int = 4
    """How often a call is sent at most."""
    base: float = 0.5
    """Seconds: the longest random wait after the first attempt. It doubles with each, up to `cap`."""
    cap: float = 32.0
    patience: float = 60.0
    """The longest wait a provider may ask for; asked for more, we give up at once rather than keep a user waiting."""
    silences: int = 2
    """How often a call is sent to a provider that says nothing: it may be working on each of them."""


class Decision(Struct, frozen=True):
    """Send again after `delay` seconds, or not at all; `why` says it to the user."""

    delay: float | None
    why: str


def decide(error: ModelbayError, attempt: int, policy: Policy, random: Callable[[], float]) -> Decision:
    """What to do about the error that the call's attempt number `attempt`, counted from 1, ended in.

    `random` gives numbers from 0 to 1. The wait is random as a whole ("full jitter"), for clients that failed together
    must not come back together; it is added to what the provider asked for.
    """
    if not error.retryable:
        return Decision(None, "the same call would fail again")
    if attempt >= policy.attempts:
        return Decision(None, f"gave up after {attempt} attempts")
    if isinstance(error, TimedOut) and error.stage != "connect" and attempt >= policy.silences:
        return Decision(None, f"gave up after {attempt} attempts, not to press a provider that is silent")
    asked = error.retry_after or 0.0
    if asked > policy.patience:
        return Decision(
            None, f"the provider asks to wait {asked:,.0f} s; more than {policy.patience:.0f} s is not waited"
        )
    delay = asked + random() * min(policy.cap, policy.base * 2 ** (attempt - 1))
    return Decision(delay, f"attempt {attempt} of {policy.attempts} failed; the next follows in {delay:.1f} s")


def heed(error: ModelbayError, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Note on the error what its answer says about trying again. `headers` have lower-case names; `now`: Unix time."""
    if (seconds := retry_after(headers, body, now)) is not None:
        error.retry_after = seconds
    if headers.get("x-should-retry", "").strip().lower() == "false":
        error.retryable = False


def retry_after(headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """The seconds an answer asks to wait: `retry-after-ms`, Retry-After in seconds or as a date, Gemini's RetryInfo."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after")
    if (seconds := _number(asked)) is not None:
        return seconds
    if (then := _date(asked)) is not None:
        return max(0.0, then - (_date(headers.get("date")) or now))  # by the clock that wrote it, if it tells the time
    return _retry_info(body)


def _number(text: str | None) -> float | None:
    """A number of no less than 0, else None."""
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
    """`{"error": {"details": [{"@type": "…google.rpc.RetryInfo", "retryDelay": "13s"}]}}`, or a list of such errors."""
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
