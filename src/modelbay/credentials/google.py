"""Tokens from Google's application default credentials, by google-auth: service account, gcloud user, workload
identity.

Google's own rules decide where the credentials are found. This is the one exception to keys being set in the config
file.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from modelbay.errors import AuthenticationFailed, ConfigError, MissingCredential, ModelbayError
from modelbay.secrecy import Hidden
from modelbay.storage.paths import environment

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LOGIN = "gcloud auth application-default login"
LOGOUT = "gcloud auth application-default revoke"
HINT = f"run `{LOGIN}`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's JSON file; check with `modelbay login vertex`"
Send = Callable[[str, str, dict[str, str], bytes | None], Awaitable[tuple[int, Mapping[str, str], bytes]]]
"""Sends one HTTP request (method, URL, headers, body); returns status, headers and body."""


class GoogleTokens:
    """Access tokens for Vertex AI: loaded on first use, refreshed before they expire, once for all concurrent callers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._credentials: Any = None
        self._renewing: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """A valid access token.

        Raises:
            MissingCredential: no credentials are set up on this machine.
            AuthenticationFailed: Google rejects them.
        """
        if self._credentials is None or not self._credentials.valid:
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renewed())
                self._renewing.add_done_callback(self._forget)
            await asyncio.shield(self._renewing)  # a caller may be cancelled while others still wait
        return Hidden(self._credentials.token)

    async def described(self) -> "Described":
        """A description of the credentials, after getting a token as a check. Raises what `token` raises."""
        await self.token()
        return _described(self._credentials)

    async def _renewed(self) -> None:
        if self._credentials is None:
            self._credentials = await asyncio.to_thread(_load)
        if not self._credentials.valid:
            await self._refresh()

    def _forget(self, done: "asyncio.Task[None]") -> None:
        self._renewing = None
        if not done.cancelled():
            done.exception()  # marks the exception as retrieved, in case all callers are gone

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()

        def request(
            url: str, method: str = "GET", body: bytes | None = None, headers: Any = None, **_: object
        ) -> "_Answer":
            sending = self._send(method, url, dict(headers or {}), body)
            return _Answer(*asyncio.run_coroutine_threadsafe(_done(sending), loop).result())

        try:
            await asyncio.to_thread(self._credentials.refresh, request)
        except Exception as error:  # noqa: BLE001 the border to google-auth, which raises anything a user's file causes
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> ModelbayError:
        """Classify a failed refresh: no response, rejected by Google, or unusable files."""
        from google.auth.exceptions import GoogleAuthError

        if isinstance(error.__cause__, ModelbayError):
            return error.__cause__
        where, why = _described(self._credentials).where, _words(error)
        if isinstance(error, GoogleAuthError) and not _of_a_file(error):
            refused = AuthenticationFailed(f"Google rejected the application default credentials from {where}: {why}")
            refused.hint = f"run `{LOGIN}` or get a new key file; check with `modelbay login vertex`"
            return refused
        return MissingCredential(
            f"the Google application default credentials from {where} cannot be used: {why}", hint=HINT
        )


class _Answer:
    """An HTTP response in the form that google-auth expects."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data


async def _done(sending: Awaitable[tuple[int, Mapping[str, str], bytes]]) -> tuple[int, Mapping[str, str], bytes]:
    from google.auth.exceptions import TransportError

    try:
        return await sending
    except ModelbayError as error:
        raise TransportError(error.message) from error  # type: ignore[no-untyped-call]


class Described(NamedTuple):
    """A description of Google's default credentials."""

    kind: str
    where: str
    account: str | None
    project: str | None


def _described(credentials: Any) -> Described:
    file = environment("GOOGLE_APPLICATION_CREDENTIALS")
    kind = type(credentials).__module__.rpartition(".")[2].replace("_", " ")
    kind = "gcloud user credentials" if kind == "credentials" else kind
    account = getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None)
    project = getattr(credentials, "project_id", None) or getattr(credentials, "quota_project_id", None)
    return Described(kind, file or "the default locations", account or None, project)


def _load() -> Any:
    try:
        import google.auth
    except ModuleNotFoundError:  # an installation of the library alone
        raise ConfigError(
            "Google's application default credentials need the package google-auth, which is not installed",
            hint="install it: `pip install google-auth`",
        ) from None

    # it warns about a missing project; ours comes from the config file
    logging.getLogger("google.auth._default").setLevel(logging.ERROR)
    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
    except Exception as error:  # noqa: BLE001 the border to google-auth, as above
        file = environment("GOOGLE_APPLICATION_CREDENTIALS")
        of = f" in {file}" if file and file not in str(error) else ""
        raise MissingCredential(
            f"no usable Google application default credentials{of}: {_words(error)}", hint=HINT
        ) from None
    return credentials


def _of_a_file(error: Exception) -> bool:
    """Whether google-auth wrapped an error about the user's files, such as a missing token file."""
    from google.auth.exceptions import MalformedError

    return isinstance(error, MalformedError) or isinstance(error.__cause__ or error.__context__, OSError)


def _words(error: Exception) -> str:
    """The first sentence of an error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return said.partition(". ")[0] or type(error).__name__
