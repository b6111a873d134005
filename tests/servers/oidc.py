"""oidc-provider: an OpenID provider from npm, with a device flow and refresh tokens that rotate. See node/oidc.mjs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.servers.aimock import MANIFEST, installed, node_and_npm
from tests.servers.process import running
from tests.servers.wire import call


class OidcProvider:
    """A running server, and the user at its pages."""

    client_id = "tests"
    scope = "openid offline_access"
    interval = 5.0
    """The server sends no interval, so the default of RFC 8628 applies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.device_url = f"{url}/device/auth"
        self.token_url = f"{url}/token"

    def approve(self, user_code: str) -> None:
        self._control("approve", user_code=user_code)

    def deny(self, user_code: str) -> None:
        self._control("deny", user_code=user_code)

    def expire(self, user_code: str) -> None:
        """Make a code expire early."""
        self._control("expire", user_code=user_code)

    def revoke(self) -> None:
        """Revokes all refresh tokens."""
        self._control("revoke")

    def drop(self, times: int) -> None:
        """Close the connections of the next token requests without a response."""
        self._control("drop", times=times)

    def accepts(self, token: str) -> bool:
        """Whether an access token is valid."""
        return bool(self._control("accepts", token=token)["accepts"])

    def asked(self) -> int:
        """Number of token requests that got a response."""
        return int(self._control("asked")["asked"])

    def _control(self, what: str, **query: object) -> Any:
        answer = call(f"{self.url}/control/{what}?{urlencode(query)}")
        if answer.status != 200:
            raise ValueError(f"{what}: {answer.body.decode(errors='replace')}")
        return answer.json


@contextmanager
def oidc_provider(log: Path) -> Iterator[OidcProvider]:
    """Run a server while the context lasts."""
    node = node_and_npm()[0]
    with running([node, MANIFEST / "oidc.mjs", installed()], log=log) as url:
        yield OidcProvider(url)
