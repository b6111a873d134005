"""Authlib's authorization server on the standard library's HTTP server: a device flow with `interval` and `slow_down`,
and refresh tokens that rotate."""

# mypy: disable-error-code="import-untyped, misc"

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, TokenMixin
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict

from tests.servers.loopback import Handler, served

CLIENT = "tests"


class _Client(ClientMixin):
    """A public client: a command line has no client secret."""

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope or ""

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class _Token(dict[str, Any], TokenMixin):
    def check_client(self, client: _Client) -> bool:
        return True

    def get_scope(self) -> str:
        return str(self.get("scope", ""))

    def get_expires_in(self) -> int:
        return int(self["expires_in"])

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False

    def get_client(self) -> _Client:
        return _Client()

    def get_user(self) -> str:
        return "tester"


class AuthlibServer(AuthorizationServer):
    """A running server, and the user at its pages."""

    client_id = CLIENT
    scope = "models"
    interval = 2.0

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.device_url = f"{url}/device"
        self.token_url = f"{url}/token"
        self.impatient = 0
        """Number of polls that will get `slow_down`."""
        self._codes: dict[str, DeviceCredentialDict] = {}
        self._decisions: dict[str, bool] = {}
        self._refresh: dict[str, _Token] = {}
        self._access: set[str] = set()
        self._drops = self._asked = 0
        self.register_token_generator(
            "default",
            BearerTokenGenerator(lambda **_: generate_token(32), lambda **_: generate_token(32), lambda *_: 900),
        )
        self.register_endpoint(_device_endpoint(self))
        for grant in _grants(self):
            self.register_grant(grant)

    def approve(self, user_code: str) -> None:
        self._decisions[user_code] = True

    def deny(self, user_code: str) -> None:
        self._decisions[user_code] = False

    def expire(self, user_code: str) -> None:
        for code in self._codes.values():
            if code["user_code"] == user_code:
                code["expires_at"] = time.time() - 1

    def revoke(self) -> None:
        self._refresh.clear()

    def drop(self, times: int) -> None:
        self._drops = times

    def accepts(self, token: str) -> bool:
        return token in self._access

    def asked(self) -> int:
        return self._asked

    # --- callbacks for Authlib ---

    def query_client(self, client_id: str) -> _Client | None:
        return _Client() if client_id == CLIENT else None

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        self._access.add(token["access_token"])
        self._refresh[token["refresh_token"]] = _Token(token)
        if request.credential is not None:
            del self._codes[request.credential["device_code"]]

    def send_signal(self, name: str, *_: Any, **__: Any) -> None:
        pass

    def create_oauth2_request(self, request: dict[str, str]) -> OAuth2Request:
        made = _Form("POST", "https://authlib.test/")  # it rejects forms over http, also on loopback
        made.payload = BasicOAuth2Payload(request)
        return made

    def handle_response(self, status: int, body: dict[str, Any], headers: Any) -> tuple[int, bytes]:
        return status, json.dumps(body).encode()

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        """The response to a form; None if the connection is closed instead."""
        if path == "/device":
            return self.create_endpoint_response("device_authorization", form)  # type: ignore[no-any-return]
        if self._drops:
            self._drops -= 1
            return None
        self._asked += 1
        return self.create_token_response(form)  # type: ignore[no-any-return]


class _Form(OAuth2Request):
    @property
    def form(self) -> dict[str, str]:
        return self.payload.data  # type: ignore[no-any-return]


def _device_endpoint(server: AuthlibServer) -> type[DeviceAuthorizationEndpoint]:
    class Endpoint(DeviceAuthorizationEndpoint):
        INTERVAL = int(server.interval)
        EXPIRES_IN = 600

        def get_verification_uri(self) -> str:
            return f"{server.url}/activate"

        def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
            server._codes[data["device_code"]] = DeviceCredentialDict(client_id=client_id, scope=scope, **data)

    return Endpoint


def _grants(server: AuthlibServer) -> list[type]:
    class ByDevice(DeviceCodeGrant):
        def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
            return server._codes.get(device_code)

        def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
            decision = server._decisions.get(user_code)
            return None if decision is None else ("tester", decision)

        def should_slow_down(self, credential: DeviceCredentialDict) -> bool:
            server.impatient -= 1
            return server.impatient >= 0

    class ByRefresh(RefreshTokenGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> _Token | None:
            return server._refresh.get(refresh_token)

        def authenticate_user(self, token: _Token) -> str:
            return "tester"

        def revoke_old_credential(self, token: _Token) -> None:
            del server._refresh[token["refresh_token"]]
            server._access.discard(token["access_token"])

    return [ByDevice, ByRefresh]


@contextmanager
def authlib_server() -> Iterator[AuthlibServer]:
    """Run a server while the context lasts."""

    class Answering(Handler):
        def do_POST(self) -> None:
            answer = made.answer(self.path, dict(parse_qsl(self.body().decode())))
            if answer is None:
                self.close_connection = True
            else:
                self.answer(*answer)

    with served(Answering) as url:
        made = AuthlibServer(url)
        yield made
