"""The simulator's login server: device codes (RFC 8628), rotating tokens, revocation (RFC 7009), and faults.

A refresh token stays valid until a token from its exchange is used, because a client may be killed before it saves the new tokens.
If the old token is used after that, the whole login ends, as with a stolen token.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.serving.routes import RouteRow
from modelbay.simulator import responses
from modelbay.simulator.responses import Cut, Pause, SimulatedResponse
from modelbay.simulator.simulated_models import SimulatedModel

_BARE = ("",)
ROWS = (
    RouteRow(("POST",), "/api/oauth/device_authorization", "device", versions=_BARE),
    RouteRow(("POST",), "/api/oauth/token", "token", versions=_BARE),
    RouteRow(("POST",), "/api/oauth/revoke", "revoke", versions=_BARE),
    RouteRow(("GET",), "/.well-known/oauth-authorization-server", "about_login", versions=_BARE),
    RouteRow(("POST",), "/simulate/approve", "simulate", versions=_BARE),
    RouteRow(("POST",), "/simulate/deny", "simulate", versions=_BARE),
    RouteRow(("POST",), "/simulate/login", "simulate", versions=_BARE),
    RouteRow(("GET",), "/simulate/approve", "page", versions=_BARE),
    RouteRow(("GET",), "/coding/v1/models", "managed", "openai_chat", versions=_BARE),
)
"""The paths of the login server, and of the model list that a login gives access to."""
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
FAULTS: dict[str, tuple[int, str]] = {
    "slow_down": (400, "slow_down"),
    "expired": (400, "expired_token"),
    "denied": (400, "access_denied"),
    "invalid_grant": (400, "invalid_grant"),
    "401": (401, "invalid_client"),
    "500": (500, ""),
    "drop": (0, ""),
    "slow": (0, ""),
}
"""Faults of the token endpoint by name: status and OAuth error. `slow` responds after one second."""
_ODD: dict[str, tuple[int, dict[str, Any]]] = {
    "unusable": (200, {"error": None, "access_token": {"value": "an object"}, "token_type": "Bearer"}),
    "dpop": (200, {"access_token": "sim-bound-to-a-key", "refresh_token": "sim-bound", "token_type": "DPoP"}),
    "firewall": (403, {"message": "request blocked by policy"}),
}
"""Responses of the token endpoint that are not valid in OAuth: status and body."""
SPECS = {
    "approve": "a code is approved automatically after N polls, default 2",
    "wait": "a code waits until you approve it",
    "deny": "the next poll returns that the login was denied",
    "expire": "the next poll returns that the code has expired",
    "slow-down": "the next poll returns `slow_down`",
    "500": "the next poll or refresh fails with status 500",
    "drop": "the next poll or refresh gets no response",
    "unusable": "the next poll or refresh gets status 200 without a usable token",
    "dpop": "the next poll or refresh gets a DPoP token",
    "firewall": "the next poll or refresh gets a firewall's status 403 in JSON",
    "revoke": "refresh tokens are rejected",
    "no-revocation": "tokens cannot be revoked",
    "lasts": "access tokens expire after N seconds, default 900",
    "interval": "clients must wait N seconds between polls; default: no interval is sent",
}
"""Behaviors of the login server by name, for `modelbay simulate --login`."""
_FAULT_OF = {"deny": "denied", "expire": "expired", "slow-down": "slow_down", "500": "500", "drop": "drop"}
_FAULT_OF |= {name: name for name in _ODD}
_PAGE = """<!doctype html><meta charset="utf-8"><title>Simulator</title>
<form method="post"><p>Log in with the code {user}?</p>
<button formaction="/simulate/approve?user_code={user}">Approve</button>
<button formaction="/simulate/deny?user_code={user}">Deny</button></form>
"""


class LoginBehavior(Struct):
    """The behavior of the login server. `POST /simulate/login` with a JSON object changes it."""

    approve_after: int | None = 2
    """Polls after which a code is approved; None: it waits for `POST /simulate/approve`."""
    interval: float | None = None
    """Seconds between polls that clients are told; None: not sent."""
    code_lasts: float = 600.0
    token_lasts: float = 900.0
    pause: float = 0.0
    """Seconds before each response of the token endpoint, so that a test can kill the client."""
    revoked: bool = False
    """Whether refresh tokens are refused."""
    revocation: bool = True
    """Whether there is an endpoint for revoking tokens, which the metadata names."""
    faults: list[str] = field(default_factory=list)
    """Faults of the next responses of the token endpoint, one each; "" for none."""


def behavior_of(specs: Iterable[str]) -> LoginBehavior:
    """The behavior for specs. Each is a name of `SPECS`, optionally followed by `=N` or `*TIMES`, such as `slow-down*3`.

    Raises:
        ValueError: unknown name.
    """
    behavior = LoginBehavior()
    for spec in specs:
        found = re.fullmatch(r"([a-z0-9-]+)(?:=(\d+(?:\.\d+)?))?(?:\*(\d+))?", spec.strip())
        name = found[1] if found else ""
        if found is None or name not in SPECS:
            raise ValueError(f"unknown behavior `{spec}`: must be one of {', '.join(SPECS)}")
        number = float(found[2]) if found[2] else None
        match name:
            case "approve":
                behavior.approve_after = 2 if number is None else int(number)
            case "wait":
                behavior.approve_after = None
            case "revoke":
                behavior.revoked = True
            case "no-revocation":
                behavior.revocation = False
            case "lasts":
                behavior.token_lasts = number or 900.0
            case "interval":
                behavior.interval = number
            case _:
                behavior.faults += [_FAULT_OF[name]] * int(found[3] or 1)
    return behavior


class _Code(Struct):
    user: str
    ends: float
    polls: int = 0
    state: str = "pending"


class _Family(Struct):
    """The tokens of one login."""

    live: int = 0
    """The oldest generation with a valid refresh token."""
    size: int = 0
    revoked: bool = False


class LoginServer:
    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        behavior: LoginBehavior | None = None,
        asked: Callable[[str, str], object] = lambda user_code, page: None,
    ) -> None:
        """`asked`: called with each new code, and with the URL of the page for approving it."""
        self.clock = clock
        self._asked = asked
        self.refreshes = 0
        """Refresh tokens that were exchanged."""
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, tuple[_Family, int]] = {}
        self._access: dict[str, tuple[_Family, int, float]] = {}
        self.behave(behavior or LoginBehavior())

    def behave(self, behavior: LoginBehavior) -> None:
        self.behavior = behavior
        self._faults = deque(behavior.faults)

    def accepts(self, token: str) -> bool:
        """Whether an access token is valid. The token then counts as used."""
        family, generation, ends = self._access.get(token, (_Family(revoked=True), 0, 0.0))
        if family.revoked or self.clock() >= ends:
            return False
        family.live = max(family.live, generation)
        return True

    def withdraw(self) -> None:
        """Invalidate all access tokens. They can be refreshed."""
        self._access.clear()

    def revoke(self) -> None:
        """End every login."""
        for family, _ in self._refresh.values():
            family.revoked = True

    def decide(self, user_code: str | None, *, approve: bool = True) -> bool:
        """Approve or deny a code, or all pending codes. Returns whether there was one."""
        found = [code for code in self._codes.values() if code.state == "pending" and user_code in (None, code.user)]
        for code in found:
            code.state = "approved" if approve else "denied"
        return bool(found)

    # --- the endpoints ---

    def device(self, body: bytes, origin: str) -> SimulatedResponse:
        if not _form(body).get("client_id"):
            return _refused(400, "invalid_request", "client_id is required")
        device, user = uuid4().hex, f"{uuid4().hex[:4]}-{uuid4().hex[:4]}".upper()
        self._codes[device] = _Code(user, self.clock() + self.behavior.code_lasts)
        said: dict[str, Any] = {
            "device_code": device,
            "user_code": user,
            "verification_uri": f"{origin}/simulate/approve",
            "verification_uri_complete": f"{origin}/simulate/approve?user_code={user}",
            "expires_in": self.behavior.code_lasts,
        }
        if self.behavior.interval is not None:
            said["interval"] = self.behavior.interval
        self._asked(user, said["verification_uri_complete"])
        return _said(said)

    def token(self, body: bytes) -> SimulatedResponse:
        fault = self._faults.popleft() if self._faults else ""
        if fault == "drop":
            return SimulatedResponse(200, [Cut(reset=True)])
        if fault in FAULTS and fault != "slow":
            return _refused(*FAULTS[fault], "a fault that was asked for")
        if fault in _ODD:
            status, said = _ODD[fault]
            return responses.whole(status, msgspec.json.encode(said))
        form = _form(body)
        if form.get("grant_type") == DEVICE_GRANT:
            answer = self._by_device(form.get("device_code", ""))
        elif form.get("grant_type") == "refresh_token":
            answer = self._by_refresh(form.get("refresh_token", ""))
        else:
            answer = _refused(400, "unsupported_grant_type")
        pause = self.behavior.pause + (1.0 if fault == "slow" else 0.0)
        return (
            SimulatedResponse(answer.status, [Pause(pause), *answer.steps], answer.headers, answer.length)
            if pause
            else answer
        )

    def _by_device(self, device: str) -> SimulatedResponse:
        code = self._codes.get(device)
        if code is None:
            return _refused(400, "invalid_grant", "there is no such device code")
        if self.clock() >= code.ends:
            return _refused(400, "expired_token")
        code.polls += 1
        if self.behavior.approve_after is not None and code.polls > self.behavior.approve_after:
            code.state = "approved" if code.state == "pending" else code.state
        if code.state == "denied":
            return _refused(400, "access_denied", "the user said no")
        if code.state == "pending":
            return _refused(400, "authorization_pending")
        del self._codes[device]  # a code can be used once
        return self._granted(_Family())

    def _by_refresh(self, token: str) -> SimulatedResponse:
        family, generation = self._refresh.get(token, (None, 0))
        if family is None or family.revoked or self.behavior.revoked or generation < family.live:
            if family is not None:
                family.revoked = True
            return _refused(400, "invalid_grant", "the refresh token was used before, or taken back")
        family.live = generation
        self.refreshes += 1
        return self._granted(family)

    def _granted(self, family: _Family) -> SimulatedResponse:
        access, refresh, lasts = f"sim-access-{uuid4().hex}", f"sim-refresh-{uuid4().hex}", self.behavior.token_lasts
        self._refresh[refresh] = family, family.size
        self._access[access] = family, family.size, self.clock() + lasts
        family.size += 1
        return _said(
            {
                "access_token": access,
                "refresh_token": refresh,
                "token_type": "Bearer",
                "expires_in": lasts,
                "scope": "models",
            }
        )

    def revocation(self, body: bytes) -> SimulatedResponse:
        """End the login of a token. An unknown token counts as revoked (RFC 7009, 2.2)."""
        if not self.behavior.revocation:
            return _refused(404, "not_found", "there is no revocation here")
        token = _form(body).get("token", "")
        family, *_ = self._refresh.get(token) or self._access.get(token) or (None,)
        if family is not None:
            family.revoked = True
        return responses.whole(200, b"")

    def metadata(self, origin: str) -> SimulatedResponse:
        """The server's metadata (RFC 8414)."""
        if not self.behavior.revocation:
            return _refused(404, "not_found")
        endpoints = {"device_authorization": "device_authorization", "token": "token", "revocation": "revoke"}
        return _said(
            {"issuer": origin} | {f"{name}_endpoint": f"{origin}/api/oauth/{path}" for name, path in endpoints.items()}
        )

    def page(self, query: str) -> SimulatedResponse:
        """The page for approving a code."""
        user = "".join(char for char in dict(parse_qsl(query)).get("user_code", "") if char.isalnum() or char == "-")
        return responses.whole(200, _PAGE.format(user=user).encode(), "text/html; charset=utf-8")

    def simulate(self, what: str, body: bytes, query: str) -> SimulatedResponse:
        """Actions for tests and users: `approve`, `deny`, and `login`, which changes the behavior."""
        if what == "login":
            try:
                self.behave(decode_as(body or b"{}", LoginBehavior))
            except MalformedReply as error:
                return _refused(400, "invalid_request", str(error))
            return _said({"ok": True})
        user = dict(parse_qsl(query)).get("user_code") or _form(body).get("user_code")
        if not self.decide(user, approve=what == "approve"):
            return _refused(404, "not_found", "no code waits")
        return _said({"ok": True})


def managed_form(facts: SimulatedModel) -> dict[str, Any]:
    """A model in the format of Kimi Code's managed service."""
    model = facts.model
    thinks = "only" if facts.can("always_thinking") else "both" if facts.can("thinking") else "no"
    said: dict[str, Any] = {
        "id": model.id,
        "display_name": model.name,
        "context_length": model.max_context_tokens,
        "supports_reasoning": thinks != "no",
        "supports_thinking_type": thinks,
        "supports_image_in": facts.can("image_in"),
        "supports_video_in": facts.can("video_in"),
        "supports_tool_use": facts.can("tool_use"),
    }
    if model.efforts:
        said["think_efforts"] = {
            "support": True,
            "valid_efforts": model.efforts,
            "default_effort": model.default_effort,
        }
    if model.id == "sim-vision":
        said["protocol"] = "anthropic"
    return said


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _said(what: dict[str, Any]) -> SimulatedResponse:
    answer = responses.whole(200, msgspec.json.encode(what))
    answer.headers["cache-control"] = "no-store"
    return answer


def _refused(status: int, code: str, about: str = "") -> SimulatedResponse:
    if not code:
        return responses.whole(status, b"<html>Internal Server Error</html>", "text/html")
    return responses.whole(
        status, msgspec.json.encode({"error": code} | ({"error_description": about} if about else {}))
    )
