"""Google's application default credentials against a token server on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay.credentials.google import GoogleTokens
from modelbay.errors import AuthenticationFailed, MissingCredential
from modelbay.transport import Request, Transport
from tests.credentials.google_account import service_account, user_account
from tests.faults.raw_server import Client, RawServer

GRANT = b'{"access_token":"ya29.token-%d","expires_in":%d,"token_type":"Bearer"}'


def answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Send a user's token refresh to a URL: google-auth has a fixed one and ignores that of the file."""
    return lambda url: monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", url)


class TokenServer:
    """Grants a token that lasts `lasting` seconds, or refuses, and counts who asked."""

    def __init__(self, lasting: int = 3600, refuse: bool = False) -> None:
        self.lasting = lasting
        self.refuse = refuse
        self.bodies: list[bytes] = []

    async def script(self, client: Client) -> None:
        while True:
            self.bodies.append((await client.request()).body)
            if self.refuse:
                await client.send(answer(b"400 Bad Request", b'{"error":"invalid_grant","error_description":"gone"}'))
            else:
                await client.send(answer(b"200 OK", GRANT % (len(self.bodies), self.lasting)))


@asynccontextmanager
async def tokens() -> AsyncIterator[GoogleTokens]:
    async with Transport() as transport:

        async def send(
            method: str, url: str, headers: dict[str, str], body: bytes | None
        ) -> tuple[int, Mapping[str, str], bytes]:
            async with await transport.send(Request(method, url, headers, body)) as response:
                return response.status, response.headers, await response.read()

        yield GoogleTokens(send)


@pytest.mark.parametrize("account", [service_account, user_account])
async def test_a_key_file_gets_a_token_and_keeps_it(
    account: Callable[[Path, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    anywhere: Callable[[str], None],
) -> None:
    server = TokenServer()
    async with RawServer(server.script) as at, tokens() as google:
        anywhere(f"{at.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(tmp_path, f"{at.url}/token")))
        assert await google.token() == "ya29.token-1"
        assert await google.token() == "ya29.token-1"
    assert len(server.bodies) == 1


async def test_many_who_ask_at_once_share_one_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = TokenServer()
    async with RawServer(server.script) as at, tokens() as google:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{at.url}/token")))
        assert set(await asyncio.gather(*[google.token() for _ in range(20)])) == {"ya29.token-1"}
    assert len(server.bodies) == 1


async def test_a_cancelled_call_leaves_the_refresh_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        begun.set()
        await go_on.wait()
        await client.send(answer(b"200 OK", GRANT % (1, 3600)))

    async with RawServer(script) as at, tokens() as google:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{at.url}/token")))
        first = asyncio.create_task(google.token())
        await begun.wait()
        second = asyncio.create_task(google.token())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        assert await second == "ya29.token-1" == await google.token()


async def test_a_token_about_to_end_is_refreshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = TokenServer(lasting=1)
    async with RawServer(server.script) as at, tokens() as google:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{at.url}/token")))
        assert await google.token() != await google.token()


async def test_credentials_that_google_refuses_are_an_authentication_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anywhere: Callable[[str], None]
) -> None:
    server = TokenServer(refuse=True)
    async with RawServer(server.script) as at, tokens() as google:
        anywhere(f"{at.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(user_account(tmp_path, f"{at.url}/token")))
        with pytest.raises(AuthenticationFailed, match="invalid_grant"):
            await google.token()


async def test_a_missing_key_file_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    async with tokens() as google:
        with pytest.raises(MissingCredential) as caught:
            await google.token()
    assert caught.value.hint is not None and "gcloud auth" in caught.value.hint


EXTERNAL = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/nowhere/token"},
}
SERVICE = {"type": "service_account", "client_email": "a@b.example", "token_uri": "https://x.example"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Is a directory"),
        (b"\xff\xfe", "credentials.json"),
        (b"[]", None),
        (b"7", None),
        (b"{", "not a valid json"),
        (b"[" * 100_000, None),
        (json.dumps({"type": "authorized_user"}).encode(), None),
        (json.dumps({**SERVICE, "private_key": "x"}).encode(), None),
        (json.dumps({**SERVICE, "private_key": 7}).encode(), None),
        (json.dumps(EXTERNAL).encode(), "/nowhere/token"),
        (json.dumps({**EXTERNAL, "credential_source": {"executable": {"command": "x"}}}).encode(), None),
        (json.dumps({**EXTERNAL, "credential_source": 7}).encode(), None),
    ],
    ids=range(12),
)
async def test_credentials_that_cannot_be_used_are_missing_ones(
    content: bytes | None, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    async with tokens() as google:
        with pytest.raises(MissingCredential, match=words) as caught:
            await google.token()
    assert str(path) in caught.value.message
    assert caught.value.hint
