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
"""Default seconds between two polls (RFC 8628, section 3.2)."""
SLOWER = 5.0
"""Seconds that each `slow_down` adds to the interval permanently (section 3.5)."""
LASTS = 600.0
"""Default lifetime of a code in seconds."""
PATIENCE = 15 * 60.0
"""Maximum seconds to wait for approval, even if the server allows more."""
CODES = 5
"""Maximum number of codes per login. Otherwise a server whose codes expire at once would cause an endless loop."""
DEAD = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token"})
"""Error codes that mean the refresh token itself is invalid: RFC 6749's, GitHub's and Slack's.

A 401 or 403 without one of these proves nothing: firewalls answer so, and servers that reject the client ID.
"""
OF_THE_CLIENT = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})
"""Error codes that another login does not change."""
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
    """Revocation endpoint. Default: looked up in the server's metadata (RFC 8414)."""


class TokenSet(Struct, kw_only=True):
    """The tokens of a login, with Kimi Code's field names. A set without tokens marks a login that the server has
    ended."""

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0
    """Unix time by this machine's clock; 0: no known expiry."""
    scope: str = ""
    token_type: str = "Bearer"
    expires_in: float = 0
    # fields of our own
    origin: str | None = None
    """Origin that the access token may be sent to."""
    token_url: str | None = None
    """Token endpoint that the refresh token may be sent to."""
    obtained_by: str | None = None
    """"modelbay" if the user approved this login for modelbay; None for a copy of another program's login."""

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
    """A device code. The user enters `user_code` at `uri`; `uri_complete` already contains it."""

    user_code: str
    device_code: str
    uri: str
    uri_complete: str | None
    interval: float = INTERVAL
    lasts: float = LASTS


PASSING = (TransportError, ServerError, MalformedReply)
"""Failures that may be temporary, except those with `retryable = False`."""


class Refused(AuthenticationFailed):
    """The server rejected the request, and retrying does not help. `code` is the server's error code."""

    @property
    def final(self) -> bool:
        """Whether the refresh token is certainly invalid."""
        return self.code in DEAD


class Device:
    """A device login: `start` gets a code, `poll` checks whether it was approved."""

    def __init__(self, flow: Flow, send: Send, clock: Callable[[], float] = time.time) -> None:
        self.flow = flow
        self.interval = INTERVAL
        self._send = send
        self._clock = clock
        self._code: Code | None = None
        self._slower = 0.0

    async def start(self) -> Code:
        """Get a new device code.

        Raises:
            ModelbayError: the server returned none.
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
        """The tokens, or None if not approved yet. Wait `interval` seconds before the next poll.

        Raises:
            Refused: the login failed; `code` is "expired_token" if a new code may succeed.
            ModelbayError: no usable response; `retryable` says whether the next poll may get one.
        """
        if self._code is None:
            raise AssertionError("`poll` was called before `start`")
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
    """Log in: show a code, wait until the user approves it, and show a new one when it expires.

    `keep` stores the tokens. SIGTERM waits for a poll and for `keep`, because the server issues the tokens only once.
    The network may fail during the wait, so a failed poll is reported only at the end.

    Raises:
        AuthenticationFailed: the login was denied, or every code expired.
        TimedOut: the login was not approved in time.
        MalformedReply: the server approved the login, but its response has no usable token.
        ModelbayError: the server returned no code.
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
    """Get and show a new code. Returns its lifetime in seconds."""
    code = await device.start()
    show(code)
    return code.lasts


async def refreshed(flow: Flow, old: TokenSet, send: Send, clock: Callable[[], float] = time.time) -> TokenSet:
    """Refresh tokens, with a single request. If the response has no new refresh token, the old one stays valid.

    Raises:
        Refused: the server rejected the refresh token; `final` says whether it is certainly invalid.
        ModelbayError: no usable response; `retryable` says whether a retry may help.
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
    """Ask the server to revoke a login (RFC 7009). Returns False if the server does not support revocation.

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
    """The revocation endpoint from the server's metadata, if it has this token endpoint and the same origin."""
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
    """Metadata URLs by RFC 8414 and OpenID Connect. The issuer is the host or a path above the token endpoint."""
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
        raise _sent(MalformedReply(f"invalid response from login server {origin(url)}: not a JSON object"), url)
    return status, said or {}


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a response body, or None."""
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
    """An error for an invalid response. Not retryable: retrying would only hide the problem."""
    failure = MalformedReply(f"invalid response from the login server: {error}")
    failure.retryable = False
    return failure


def _failure(status: int, said: dict[str, Any], url: str) -> ModelbayError:
    """The error in a response: RFC 6749, section 5.2, or another form."""
    code, about = said.get("error"), said.get("error_description") or said.get("message")
    code = code if isinstance(code, str) else None
    what = redact(f"{code or f'status {status}'}{f': {about}' if isinstance(about, str) and about else ''}")
    if status == 429 or status >= 500 or code in ("temporarily_unavailable", "server_error"):
        return _sent(ServerError(f"the login server failed: {what}", status=status), url)
    if code == "access_denied":
        what = f"the login was denied{f': {redact(about)}' if isinstance(about, str) and about else ''}"
    else:
        what = f"the login server rejected the request: {what}"
    refused = Refused(what, status=status, code=code)
    if code is None and status in (404, 405, 410):
        refused.hint = "check the provider's oauth table: the login server does not know this URL"
    elif code in OF_THE_CLIENT:
        refused.hint = "check the provider's oauth table: the login server rejects its client_id or scope"
    return _sent(refused, url)


def _sent(error: ModelbayError, url: str) -> ModelbayError:
    error.request = f"POST {masked_url(url)}"
    return error


def _tokens(said: dict[str, Any], asked: float, flow: Flow) -> TokenSet:
    """The tokens in a response. Their lifetime counts from the request, by our clock: the server's may be wrong."""
    try:
        access, kind = _text(said, "access_token"), said.get("token_type")
        if kind is not None and not is_bearer(kind):
            raise ValueError(f"token type {redact(str(kind))[:40]!r} is not supported, only Bearer")
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
    """Whether a token type is Bearer.

    A DPoP or MAC token sent as Bearer would be rejected, or accepted without the proof that protects it.
    """
    return isinstance(kind, str) and kind.lower() == "bearer"


def remember(tokens: TokenSet) -> None:
    """Register the tokens as secrets, so that no output shows them."""
    register(tokens.access_token)
    register(tokens.refresh_token)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"missing or invalid {name}")
    return value


def _address(value: object) -> str:
    """A URL to open in a browser. Only http and https: a browser would run or read others."""
    if not isinstance(value, str):
        raise ValueError("missing verification_uri")
    origin(value)
    return value


def _number(value: object) -> float | None:
    """A positive number, or None. Some servers write numbers as strings."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 1e10 else None
