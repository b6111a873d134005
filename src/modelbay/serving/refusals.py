"""Errors that our servers report to their clients, as status, headers and body in the form of each protocol.

`protocols/error_words.py` has the statuses and codes. The errors made here are never 5xx: clients would repeat the request.
"""

import copy
import math
import re
from collections.abc import Collection

from msgspec import Struct

from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ModelbayError,
    NotFound,
    PermissionDenied,
    ProviderError,
    RateLimited,
)
from modelbay.protocols.codec import codec
from modelbay.serving.replies import JSON
from modelbay.serving.routes import TABLE

UNREAD = ((b"connection", b"close"),)
"""Headers of a refusal before the request body was read: the rest of the body must not be parsed as another request."""

_REPEATED = frozenset((401, 408, 409, 429))
"""Statuses below 500 with which SDKs, or Claude Code, repeat a request. They obey `x-should-retry`."""
_UNSUPPORTED = {
    "batches": "batches", "batchGenerateContent": "batches", "asyncBatchEmbedContent": "batches", "files": "files",
    "upload": "files", "uploads": "files", "cachedContents": "cached contents", "vector_stores": "vector stores",
    "fileSearchStores": "vector stores", "corpora": "vector stores", "containers": "containers", "skills": "skills",
    "fine_tuning": "fine-tuning", "assistants": "assistants", "threads": "assistants", "interactions": "interactions",
    "realtime": "realtime sessions", "videos": "videos", "predictLongRunning": "videos", "evals": "evaluations",
    "organization": "administration",
}  # fmt: skip
"""APIs of vendors that exist at the provider only, by a segment of their paths."""
_SHOWN = 200
"""Maximum characters of a path in a message."""


class ErrorResponse(Struct, frozen=True):
    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]
    """All headers of the response."""


def refusal(protocol: str, error: ModelbayError, headers: Collection[tuple[bytes, bytes]] = ()) -> ErrorResponse:
    """The response that reports an error to a client. The error's hint follows its message."""
    status, body = codec(protocol).render_error(_with_hint(error))
    fields = [JSON, (b"content-length", b"%d" % len(body)), *headers]
    if error.retry_after is not None:
        # whole seconds, rounded up: a client that comes earlier is refused again
        fields.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    if status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    return ErrorResponse(status, body, fields + repetition(error, status))


def repetition(error: ModelbayError, status: int) -> list[tuple[bytes, bytes]]:
    """The header that keeps clients from repeating a request that would fail again, unless the provider sent it."""
    decided = isinstance(error, ProviderError) and "x-should-retry" in error.headers
    useless = not error.retryable and not decided and (status in _REPEATED or status >= 500)
    return [(b"x-should-retry", b"false")] if useless else []


def _with_hint(error: ModelbayError) -> ModelbayError:
    if not error.hint:
        return error
    shown = copy.copy(error)  # the original may be logged
    shown.message = f"{error.message}; {error.hint}"
    return shown


def no_route(
    protocol: str, method: str, path: str, methods: Collection[str], *, upgrade: bool = False
) -> ErrorResponse:
    """The response for a path or method that is not in the table. `upgrade`: the client asked for a WebSocket."""
    if upgrade:
        # Codex falls back to HTTP immediately on this status, and after several retries on any other
        error: ProviderError = BadRequest(
            "WebSocket is not supported; use HTTP", status=426, code="websocket_not_supported"
        )
        return refusal(protocol, error)
    shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
    if methods:
        allowed = ", ".join(methods)
        error = BadRequest(f"{shown} does not support {method}; use {allowed}", status=405, code="method_not_allowed")
        return refusal(protocol, error, [(b"allow", allowed.encode())])
    if (api := next((_UNSUPPORTED[one] for one in re.split("[/:]", path) if one in _UNSUPPORTED), None)) is not None:
        why = f"{method} {shown} is not supported; use the API for {api} at the provider itself"
        return refusal(protocol, NotFound(why, status=404, code="unknown_path"))
    near = TABLE.near(path)
    similar = f'; did you mean "{near}"?' if near is not None else ""
    return refusal(protocol, NotFound(f"unknown path: {method} {shown}{similar}", status=404, code="unknown_path"))


def missing_key() -> ProviderError:
    return AuthenticationFailed(
        "API key missing: send the key of a client as a Bearer token or in x-api-key", status=401
    )


def wrong_key() -> ProviderError:
    return AuthenticationFailed("The API key is not the key of a client of this server", status=401)


def wrong_key_beside(header: str) -> ProviderError:
    """The error for a wrong key in a header of its own, beside another credential. A program takes a 401 for the rejection of
    that credential: it would renew it, and try again for minutes."""
    return PermissionDenied(f"The key in {header} is not the key of a client of this server", status=403)


def not_allowed(reason: str) -> ProviderError:
    return PermissionDenied(reason, status=403)


def not_valid(reason: str) -> ProviderError:
    """The error for a request that cannot be read."""
    return BadRequest(reason, status=400)


def compressed(encoding: str) -> ProviderError:
    """The error for a request whose body has a content encoding."""
    return BadRequest(
        f"the request body is compressed, which is not supported: content-encoding {encoding}", status=415
    )


def too_many(limit: int, retry_after: float) -> ProviderError:
    """The error for a client with `limit` requests in progress. `retry_after`: seconds until the next one may be accepted."""
    error = RateLimited(f"this client has as many requests in progress as are allowed ({limit})", status=429)
    error.retry_after = retry_after
    return error
