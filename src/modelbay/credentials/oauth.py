"""OAuth on a machine without a browser of its own: the device flow of RFC 8628, and the refresh of what it gave.

It does no I/O: forms go out by an injected `send`, and the clock and the sleep are injected too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from modelbay.config.origin import origin
from modelbay.credentials.google import Send
from modelbay.credentials.redaction import redact, register
from modelbay.errors import AuthenticationFailed, MalformedReply, ModelbayError, ServerError, TimedOut, TransportError

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0
"""Seconds between two polls, where the server says nothing (RFC 8628, 3.2)."""
SLOWER = 5.0
"""Seconds that each `slow_down` adds for good (3.5)."""
LASTS = 600.0
"""Seconds that a code is taken to last, where the server does not say."""
PATIENCE = 15 * 60.0
"""Seconds in which somebody must have logged in, whatever the server grants."""
COMPLETE = "verification_uri_complete"
SPOKEN = "oauth"
"""The type of an error that a login server told of in its own form."""
HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


class Flow(Struct, frozen=True):
    """Where a login goes, and as whom."""

    device_url: str
    token_url: str
    client_id: str
    scope: str | None = None


class TokenSet(Struct, kw_only=True):
    """What a login gives, in Kimi Code's fields. One without any token is the trace of a login that was refused."""

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0
    """By this machine's clock; 0: it is not known to end."""
    scope: str = ""
    token_type: str = "Bearer"
    expires_in: float = 0
    # ours
    origin: str | None = None
    """Whom the access token may go to."""
    token_url: str | None = None
    """Whom the refresh token may go to."""

    def __repr__(self) -> str:
        return f"TokenSet(expires_at={self.expires_at:.0f})"

    def __rich_repr__(self) -> list[tuple[str, float]]:
        return [("expires_at", self.expires_at)]

    @property
    def refused(self) -> bool:
        return not self.access_token and not self.refresh_token


class Code(Struct, frozen=True):
    """What somebody types at `uri`, or finds typed at `uri_complete`."""

    user_code: str
    device_code: str
    uri: str
    uri_complete: str | None
    interval: float = INTERVAL
    lasts: float = LASTS


PASSING = (TransportError, ServerError, MalformedReply)
"""What may be over soon. A page of a proxy that stands between is no answer either."""


class Refused(AuthenticationFailed):
    """The server will not have it, and asking again changes nothing. `code` is its word for why."""

    @property
    def final(self) -> bool:
        """Whether the refresh token is dead for sure, and not only in the way of a proxy that knows nothing of it."""
        return self.code == "invalid_grant" or (self.status in (401, 403) and self.type == SPOKEN)


class Device:
    """One device login: `start` gets a code, each `poll` asks whether somebody has approved it."""

    def __init__(self, flow: Flow, send: Send, clock: Callable[[], float] = time.time) -> None:
        self.flow = flow
        self.interval = INTERVAL
        self._send = send
        self._clock = clock
        self._code: Code | None = None
        self._slower = 0.0

    async def start(self) -> Code:
        """A new code.

        Raises:
            ModelbayError: the server gives none.
        """
        form = {"client_id": self.flow.client_id} | ({"scope": self.flow.scope} if self.flow.scope else {})
        status, said = await _post(self._send, self.flow.device_url, form)
        if status >= 400 or "error" in said:
            raise _failure(status, said)
        try:
            code = Code(
                user_code=_text(said, "user_code"),
                device_code=_text(said, "device_code"),
                uri=_address(said.get("verification_uri") or said.get("verification_url") or _text(said, COMPLETE)),
                uri_complete=_address(said[COMPLETE]) if said.get(COMPLETE) else None,
                interval=max(_number(said.get("interval")) or INTERVAL, 1.0),
                lasts=_number(said.get("expires_in")) or LASTS,
            )
        except ValueError as error:
            raise MalformedReply(f"the login server's answer cannot be used: {error}") from None
        register(code.device_code)
        self._code, self.interval = code, code.interval + self._slower
        return code

    async def poll(self) -> TokenSet | None:
        """The tokens, or None: not yet. `interval` is then how long to wait before the next.

        Raises:
            Refused: it will never be; `code` is "expired_token" where a new code may.
            ModelbayError: no answer, or none that can be used; the next poll may get one.
        """
        if self._code is None:
            raise AssertionError("there is no code to ask about before `start`")
        form = {"client_id": self.flow.client_id, "device_code": self._code.device_code, "grant_type": DEVICE_GRANT}
        asked = self._clock()
        status, said = await _post(self._send, self.flow.token_url, form)
        match said.get("error"):
            case "authorization_pending":
                return None
            case "slow_down":
                self._slower += SLOWER
                self.interval += SLOWER
                return None
        if status >= 400 or "error" in said:
            raise _failure(status, said)
        return _tokens(said, asked, self.flow)


async def log_in(
    flow: Flow,
    send: Send,
    show: Callable[[Code], object],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    patience: float = PATIENCE,
) -> TokenSet:
    """A whole login: shows a code, waits until somebody approves it, and shows a new one when it has expired.

    Networks fail while somebody is looking for their phone, so what a poll fails with is only told at the end.

    Raises:
        AuthenticationFailed: it was denied.
        TimedOut: nobody approved it in time.
        ModelbayError: the server gives no code.
    """
    device = Device(flow, send)
    end = clock() + patience
    expires = clock() + await _shown(device, show)
    failed: ModelbayError | None = None
    while clock() + device.interval < end:
        await sleep(device.interval)
        try:
            tokens = await device.poll()
            if tokens is not None:
                return tokens
            failed = None
        except Refused as refused:
            if refused.code != "expired_token":
                raise
            expires = clock()
        except PASSING as error:
            failed = error
        if clock() >= expires and clock() + device.interval < end:
            try:
                expires = clock() + await _shown(device, show)
            except PASSING as error:
                failed = error
    if failed is not None:
        raise failed
    raise TimedOut(f"nobody approved the login within {patience / 60:.0f} minutes", stage="idle", hint="log in again")


async def _shown(device: Device, show: Callable[[Code], object]) -> float:
    """A new code, shown; how long it lasts."""
    code = await device.start()
    show(code)
    return code.lasts


async def refreshed(flow: Flow, old: TokenSet, send: Send, clock: Callable[[], float] = time.time) -> TokenSet:
    """New tokens for old ones, asked for once. A server that gives no new refresh token leaves the old one good.

    Raises:
        Refused: the refresh token is no good any more.
        ModelbayError: no answer that can be used; `retryable` tells whether there may be one.
    """
    form = {"client_id": flow.client_id, "grant_type": "refresh_token", "refresh_token": old.refresh_token}
    asked = clock()
    status, said = await _post(send, flow.token_url, form)
    if status >= 400 or "error" in said:
        raise _failure(status, said)
    new = _tokens(said, asked, flow)
    new.refresh_token = new.refresh_token or old.refresh_token
    new.scope = new.scope or old.scope
    new.origin = old.origin
    return new


async def _post(send: Send, url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    status, _, body = await send("POST", url, dict(HEADERS), urlencode(form).encode())
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    if not isinstance(said, dict):
        if status >= 400:
            return status, {}
        raise MalformedReply(f"{origin(url)} does not answer as a login server does")
    return status, said


def _failure(status: int, said: dict[str, Any]) -> ModelbayError:
    """What an error of RFC 6749, 5.2, or of none, means."""
    code, about = said.get("error"), said.get("error_description") or said.get("message")
    code = code if isinstance(code, str) else None
    what = redact(f"{code or f'status {status}'}{f': {about}' if isinstance(about, str) and about else ''}")
    if status == 429 or status >= 500 or code in ("temporarily_unavailable", "server_error"):
        return ServerError(f"the login server failed: {what}", status=status)
    if code == "access_denied":
        what = f"the login was denied{f': {redact(about)}' if isinstance(about, str) and about else ''}"
    else:
        what = f"the login server refused: {what}"
    return Refused(what, status=status, code=code, type=SPOKEN if said else None)


def _tokens(said: dict[str, Any], asked: float, flow: Flow) -> TokenSet:
    """Counted from when they were asked for, and by our clock alone: the server's may be any other."""
    try:
        access = _text(said, "access_token")
    except ValueError as error:
        raise MalformedReply(f"the login server's answer cannot be used: {error}") from None
    refresh, lasts = said.get("refresh_token"), max(_number(said.get("expires_in")) or 0.0, 0.0)
    tokens = TokenSet(
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) else "",
        expires_at=int(asked + lasts) if lasts else 0,
        scope=scope if isinstance(scope := said.get("scope"), str) else flow.scope or "",
        token_type=kind if isinstance(kind := said.get("token_type"), str) else "Bearer",
        expires_in=lasts,
        token_url=flow.token_url,
    )
    remember(tokens)
    return tokens


def remember(tokens: TokenSet) -> None:
    """Sees to it that nothing shows them."""
    register(tokens.access_token)
    register(tokens.refresh_token)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"it has no {name}")
    return value


def _address(value: object) -> str:
    """A page to open in a browser: of the web, and nothing that a browser would run or a disk would hold."""
    if not isinstance(value, str):
        raise ValueError("it has no verification_uri")
    origin(value)
    return value


def _number(value: object) -> float | None:
    """Some servers write numbers as text."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e10 else None
