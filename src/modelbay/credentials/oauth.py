"""OAuth without a browser on this machine: the device flow (RFC 8628), refresh, and revocation (RFC 7009).

No I/O here: requests go out through an injected `send`; the clock and the sleep are injected too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from modelbay.credentials import termination
from modelbay.credentials.google import Send
from modelbay.errors import AuthenticationFailed, MalformedReply, ModelbayError, ServerError, TimedOut, TransportError
from modelbay.json_text import decode
from modelbay.origin import origin
from modelbay.secrecy import Hidden, HiddenBytes, masked_url, redact, register

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0
"""Seconds between two polls, where the server says nothing (RFC 8628, 3.2)."""
SLOWER = 5.0
"""Seconds that each `slow_down` adds for good (3.5)."""
LASTS = 600.0
"""Seconds that a code is taken to last, where the server does not say."""
PATIENCE = 15 * 60.0
"""Seconds in which somebody must have logged in, whatever the server grants."""
CODES = 5
"""The most codes that one login shows: a server that lets each one expire at once would go on for ever."""
DEAD = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token"})
"""Error codes that mean the refresh token itself is invalid: RFC 6749's, GitHub's and Slack's.

A 401 or 403 without one of these proves nothing: a firewall answers so, and so does a server that rejects the client ID.
"""
OBTAINED = "modelbay"
COMPLETE = "verification_uri_complete"
HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


class Flow(Struct, frozen=True):
    """The endpoints of a login server and the client ID used there."""

    device_url: str
    token_url: str
    client_id: str
    scope: str | None = None
    revoke_url: str | None = None
    """The revocation endpoint; None: looked up in the server's metadata (RFC 8414)."""


class TokenSet(Struct, kw_only=True):
    """The tokens of a login, in Kimi Code's fields. One without any token marks a login that the server has ended."""

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0
    """Unix time by this machine's clock; 0: not known to expire."""
    scope: str = ""
    token_type: str = "Bearer"
    expires_in: float = 0
    # ours
    origin: str | None = None
    """The origin that the access token may be sent to."""
    token_url: str | None = None
    """The endpoint that the refresh token may be sent to."""
    obtained_by: str | None = None
    """"modelbay" if a person approved this login for modelbay; None for a copy of another program's login."""

    def __post_init__(self) -> None:
        self.access_token, self.refresh_token = Hidden(self.access_token), Hidden(self.refresh_token)

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
"""Failures that a later poll may not meet; those with `retryable = False` excepted."""


class Refused(AuthenticationFailed):
    """The server refused, and asking again changes nothing. `code` is the server's error code."""

    @property
    def final(self) -> bool:
        """Whether the refresh token is certainly invalid."""
        return self.code in DEAD


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
        if status >= 400 or said.get("error"):
            raise _failure(status, said, self.flow.device_url)
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
            raise _unusable(error) from None
        register(code.device_code)
        self._code, self.interval = code, code.interval + self._slower
        return code

    async def poll(self) -> TokenSet | None:
        """The tokens, or None: not yet. `interval` is then how long to wait before the next.

        Raises:
            Refused: the login failed; `code` is "expired_token" if a new code may succeed.
            ModelbayError: no usable answer; `retryable` tells whether the next poll may get one.
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
        if status >= 400 or said.get("error"):
            raise _failure(status, said, self.flow.token_url)
        tokens = _tokens(said, asked, self.flow)
        tokens.obtained_by = OBTAINED
        return tokens


async def log_in(
    flow: Flow,
    send: Send,
    show: Callable[[Code], object],
    keep: Callable[[TokenSet], Awaitable[object]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    patience: float = PATIENCE,
) -> TokenSet:
    """Log in: show a code, wait until a person approves it, and show a new one when it has expired.

    `keep` stores the tokens. SIGTERM waits for a poll and for `keep`, because the server issues the tokens only once.
    Networks fail while a person looks for their phone, so a failed poll is reported only at the end.

    Raises:
        AuthenticationFailed: the login was denied, or every code expired.
        TimedOut: the login was not approved in time.
        MalformedReply: the server approved the login but its answer has no usable token.
        ModelbayError: the server gives no code.
    """
    device = Device(flow, send)
    end = clock() + patience
    expires = clock() + await _shown(device, show)
    codes = 1
    failed: ModelbayError | None = None
    while clock() + device.interval < end:
        await sleep(device.interval)
        try:
            with termination.deferred():
                tokens = await device.poll()
                if tokens is not None:
                    await keep(tokens)
                    return tokens
            failed = None
        except Refused as refused:
            if refused.code != "expired_token" or codes == CODES:
                raise
            expires = clock()
        except PASSING as error:
            if not error.retryable:
                raise
            failed = error
        if clock() >= expires and clock() + device.interval < end and codes < CODES:
            try:
                expires = clock() + await _shown(device, show)
                codes += 1
            except PASSING as error:
                failed = error
    if failed is not None:
        raise failed
    raise TimedOut(f"the login was not approved within {patience / 60:.0f} minutes", stage="idle", hint="log in again")


async def _shown(device: Device, show: Callable[[Code], object]) -> float:
    """Get and show a new code; returns its lifetime in seconds."""
    code = await device.start()
    show(code)
    return code.lasts


async def refreshed(flow: Flow, old: TokenSet, send: Send, clock: Callable[[], float] = time.time) -> TokenSet:
    """New tokens for old ones, requested once. Without a new refresh token in the answer the old one stays valid.

    Raises:
        Refused: the server refused; `final` tells whether the refresh token is certainly invalid.
        ModelbayError: no usable answer; `retryable` tells whether there may be one.
    """
    form = {"client_id": flow.client_id, "grant_type": "refresh_token", "refresh_token": old.refresh_token}
    asked = clock()
    status, said = await _post(send, flow.token_url, form)
    if status >= 400 or said.get("error"):
        raise _failure(status, said, flow.token_url)
    new = _tokens(said, asked, flow)
    new.refresh_token = new.refresh_token or old.refresh_token
    new.scope = new.scope or old.scope
    new.origin = old.origin
    new.obtained_by = old.obtained_by
    return new


async def revoke(flow: Flow, tokens: TokenSet, send: Send) -> bool:
    """Ask the server to end a login (RFC 7009). False: the server offers no revocation.

    Raises:
        ModelbayError: the server did not revoke it.
    """
    url = flow.revoke_url or await _revocation_endpoint(flow, send)
    if url is None:
        return False
    kind = "refresh_token" if tokens.refresh_token else "access_token"
    form = {"token": getattr(tokens, kind), "token_type_hint": kind, "client_id": flow.client_id}
    status, _, body = await send("POST", url, dict(HEADERS), HiddenBytes(urlencode(form).encode()))
    if status >= 400:
        raise _failure(status, _object(body) or {}, url)
    return True


async def _revocation_endpoint(flow: Flow, send: Send) -> str | None:
    """The revocation endpoint that the metadata of this very token endpoint names, on the same origin."""
    for url in _metadata_urls(flow.token_url):
        try:
            status, _, body = await send("GET", url, {"Accept": "application/json"}, None)
        except ModelbayError:
            continue
        said = _object(body) if status == 200 else None
        if said is None or said.get("token_endpoint") != flow.token_url:
            continue
        found = said.get("revocation_endpoint")
        try:
            return found if isinstance(found, str) and origin(found) == origin(flow.token_url) else None
        except ValueError:
            return None
    return None


def _metadata_urls(token_url: str) -> list[str]:
    """Where RFC 8414 and OpenID Connect put a server's metadata; the issuer is the host or a folder above the endpoint."""
    host, folders = origin(token_url), urlsplit(token_url).path.split("/")[1:-1]
    issuers = ["".join(f"/{folder}" for folder in folders[:count]) for count in range(min(len(folders), 2) + 1)]
    return [
        url
        for issuer in issuers
        for url in (
            f"{host}/.well-known/oauth-authorization-server{issuer}",
            f"{host}{issuer}/.well-known/openid-configuration",
        )
    ]


async def _post(send: Send, url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    status, _, body = await send("POST", url, dict(HEADERS), HiddenBytes(urlencode(form).encode()))
    said = _object(body)
    if said is None and status < 400:
        raise _sent(MalformedReply(f"the answer of {origin(url)} is not a login server's: not a JSON object"), url)
    return status, said or {}


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in an answer; None if it is something else."""
    try:
        said = decode(body)
    except MalformedReply:
        return None
    if not isinstance(said, dict):
        return None
    return {name: _hidden(value) for name, value in said.items()}


def _hidden(value: Any) -> Any:
    """A value whose texts are hidden: a server may repeat what was sent anywhere in its answer."""
    if isinstance(value, dict):
        return {name: _hidden(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return Hidden(value) if isinstance(value, str) else value


def _unusable(error: ValueError) -> MalformedReply:
    """The server answered, so asking again would only hide what is wrong with its answer."""
    failure = MalformedReply(f"the login server's answer cannot be used: {error}")
    failure.retryable = False
    return failure


def _failure(status: int, said: dict[str, Any], url: str) -> ModelbayError:
    """The error in an answer: RFC 6749, 5.2, or another form."""
    code, about = said.get("error"), said.get("error_description") or said.get("message")
    code = code if isinstance(code, str) else None
    what = redact(f"{code or f'status {status}'}{f': {about}' if isinstance(about, str) and about else ''}")
    if status == 429 or status >= 500 or code in ("temporarily_unavailable", "server_error"):
        return _sent(ServerError(f"the login server failed: {what}", status=status), url)
    if code == "access_denied":
        what = f"the login was denied{f': {redact(about)}' if isinstance(about, str) and about else ''}"
    else:
        what = f"the login server refused: {what}"
    return _sent(Refused(what, status=status, code=code), url)


def _sent(error: ModelbayError, url: str) -> ModelbayError:
    error.request = f"POST {masked_url(url)}"
    return error


def _tokens(said: dict[str, Any], asked: float, flow: Flow) -> TokenSet:
    """The tokens in an answer. Their lifetime counts from the request, by our clock: the server's may be wrong."""
    try:
        access, kind = _text(said, "access_token"), said.get("token_type")
        if kind is not None and not is_bearer(kind):
            raise ValueError(f"its token type {redact(str(kind))[:40]!r} is not supported, only Bearer is")
    except ValueError as error:
        raise _unusable(error) from None
    refresh, lasts = said.get("refresh_token"), max(_number(said.get("expires_in")) or 0.0, 0.0)
    tokens = TokenSet(
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) else "",
        expires_at=int(asked + lasts) if lasts else 0,
        scope=scope if isinstance(scope := said.get("scope"), str) else flow.scope or "",
        token_type=kind or "Bearer",
        expires_in=lasts,
        token_url=flow.token_url,
    )
    remember(tokens)
    return tokens


def is_bearer(kind: object) -> bool:
    """A DPoP or MAC token sent as Bearer would be refused, or work without the proof that protects it."""
    return isinstance(kind, str) and kind.lower() == "bearer"


def remember(tokens: TokenSet) -> None:
    """Register the tokens as secrets, so that no output shows them."""
    register(tokens.access_token)
    register(tokens.refresh_token)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"it has no usable {name}")
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
