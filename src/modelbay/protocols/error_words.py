"""Errors as clients see them: a table from error class to status and error codes of each client protocol.

The provider's own status and codes are passed on only to clients of the same protocol. All others come from the table,
so that `code` is always one that the client's protocol has. Errors that modelbay itself raises about a request or its
configuration are never 5xx, as clients retry those. A file that cannot be read or written, as on a full disk, is a 500:
the request is right, and can succeed later. If a provider rejects modelbay's key, the client gets a 403: its own key was
accepted.
"""

import re
from typing import Literal, TypeAlias

from msgspec import Struct

from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    Disconnected,
    FileError,
    IncompleteReply,
    MissingCredential,
    ModelbayError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Redirected,
    ReplyError,
    RequestTooLarge,
    ServerError,
    TimedOut,
    TransportError,
    UnknownModel,
    UnknownProvider,
    Unsupported,
)

Family: TypeAlias = Literal["openai", "anthropic", "google"]
"""Protocols with the same errors: Chat Completions and Responses share theirs."""


class ErrorRow(Struct, frozen=True):
    status: int
    """HTTP status. Exceptions for a protocol are in `STATUSES`."""
    openai: tuple[str, str]
    """`type` and `code`."""
    anthropic: str
    """`type`."""
    google: str
    """`status`."""


_BAD, _DENIED = "invalid_request_error", "permission_error"

ROWS: dict[type[Exception], ErrorRow] = {
    Exception: ErrorRow(500, ("server_error", "server_error"), "api_error", "INTERNAL"),
    ModelbayError: ErrorRow(502, ("server_error", "upstream_error"), "api_error", "INTERNAL"),
    ConfigError: ErrorRow(400, (_BAD, "invalid_configuration"), _BAD, "FAILED_PRECONDITION"),
    FileError: ErrorRow(500, ("server_error", "server_error"), "api_error", "INTERNAL"),
    UnknownModel: ErrorRow(404, (_BAD, "model_not_found"), "not_found_error", "NOT_FOUND"),
    UnknownProvider: ErrorRow(404, (_BAD, "model_not_found"), "not_found_error", "NOT_FOUND"),
    MissingCredential: ErrorRow(403, (_DENIED, "provider_key_missing"), _DENIED, "PERMISSION_DENIED"),
    Unsupported: ErrorRow(400, (_BAD, "unsupported_parameter"), _BAD, "INVALID_ARGUMENT"),
    TransportError: ErrorRow(502, ("server_error", "upstream_unreachable"), "api_error", "UNAVAILABLE"),
    ConnectFailed: ErrorRow(502, ("server_error", "upstream_unreachable"), "api_error", "UNAVAILABLE"),
    Disconnected: ErrorRow(502, ("server_error", "upstream_disconnected"), "api_error", "UNAVAILABLE"),
    TimedOut: ErrorRow(504, ("server_error", "upstream_timeout"), "timeout_error", "DEADLINE_EXCEEDED"),
    ProviderError: ErrorRow(502, ("server_error", "upstream_error"), "api_error", "INTERNAL"),
    Redirected: ErrorRow(502, ("server_error", "upstream_redirected"), "api_error", "INTERNAL"),
    BadRequest: ErrorRow(400, (_BAD, "bad_request"), _BAD, "INVALID_ARGUMENT"),
    ContextOverflow: ErrorRow(400, (_BAD, "context_length_exceeded"), _BAD, "INVALID_ARGUMENT"),
    ContentRefused: ErrorRow(400, (_BAD, "content_filter"), _BAD, "INVALID_ARGUMENT"),
    RequestTooLarge: ErrorRow(413, (_BAD, "request_too_large"), "request_too_large", "INVALID_ARGUMENT"),
    AuthenticationFailed: ErrorRow(
        401, ("authentication_error", "invalid_api_key"), "authentication_error", "UNAUTHENTICATED"
    ),
    PermissionDenied: ErrorRow(403, (_DENIED, "permission_denied"), _DENIED, "PERMISSION_DENIED"),
    NotFound: ErrorRow(404, (_BAD, "model_not_found"), "not_found_error", "NOT_FOUND"),
    RateLimited: ErrorRow(429, ("rate_limit_error", "rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED"),
    QuotaExhausted: ErrorRow(402, ("insufficient_quota", "insufficient_quota"), "billing_error", "RESOURCE_EXHAUSTED"),
    # not OpenAI's "server_is_overloaded": Codex ends its turn at it, and repeats a request after all other errors of a server
    Overloaded: ErrorRow(503, ("server_error", "server_error"), "overloaded_error", "UNAVAILABLE"),
    ServerError: ErrorRow(500, ("server_error", "server_error"), "api_error", "INTERNAL"),
    ReplyError: ErrorRow(502, ("server_error", "upstream_malformed_reply"), "api_error", "INTERNAL"),
    IncompleteReply: ErrorRow(502, ("server_error", "upstream_incomplete_reply"), "api_error", "INTERNAL"),
}
"""Looked up along the error's class hierarchy, most specific class first."""
STATUSES: dict[tuple[type[Exception], Family], int] = {(Overloaded, "anthropic"): 529}
REJECTED = ErrorRow(403, (_DENIED, "provider_key_rejected"), _DENIED, "PERMISSION_DENIED")
"""A provider's 401. The rejected key is modelbay's; the client's own was accepted."""
_OVERFLOWS: dict[Family, tuple[str, str]] = {
    "openai": (
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages.",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "anthropic": ("prompt is too long: {tokens} tokens > {limit} maximum", "prompt is too long"),
    "google": (
        "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit}).",
        "The input token count exceeds the maximum number of tokens allowed.",
    ),
}
"""Wordings that clients of each protocol recognize in order to shorten a conversation (Claude Code, Codex, Gemini CLI):
with both numbers, and without."""


_ANY_WORD: dict[Family, re.Pattern[str]] = {
    "openai": re.compile(r".+", re.DOTALL),
    "anthropic": re.compile(r"[a-z_]+_error|request_too_large"),
    "google": re.compile(r"[A-Z_]+"),
}
"""The form of a `type`. Hosts that only imitate Google or Anthropic use OpenAI's values."""


class RenderedError(Struct):
    """An error in the form of one protocol family."""

    status: int
    message: str
    type: str
    code: str | None
    param: str | None = None


def answer(error: Exception, family: Family) -> RenderedError:
    """The error that a client of this family receives."""
    native = isinstance(error, ProviderError) and error.protocol in (None, family)
    rejected = isinstance(error, AuthenticationFailed) and (error.provider is not None or not native)
    row = REJECTED if rejected else next(ROWS[kind] for kind in type(error).__mro__ if kind in ROWS)
    message = error.message if isinstance(error, ModelbayError) else str(error)
    type_, code = _words(row, family)
    found = RenderedError(_status(error, row, family, native and not rejected), message, type_, code)
    if isinstance(error, Unsupported):
        found.param = error.setting
    if rejected:
        found.message = f"{_name(error)} rejected modelbay's API key: {message}"
    elif isinstance(error, MissingCredential) and error.provider and error.provider not in message:
        found.message = f"{error.provider}: {message}"
    elif isinstance(error, ProviderError) and native:
        own = error.type if error.type and _ANY_WORD[family].fullmatch(error.type) else None
        found.type, found.param = own or type_, error.param
        # clients compare words: a status in the place of a code, as of aggregators, says nothing more than the status
        found.code = code if error.code == str(error.status) else error.code or (None if own else code)
    elif isinstance(error, ContextOverflow):
        found.message = _overflow(error, family)
    return found


def _words(row: ErrorRow, family: Family) -> tuple[str, str | None]:
    return row.openai if family == "openai" else (row.google if family == "google" else row.anthropic, None)


def _status(error: Exception, row: ErrorRow, family: Family, native: bool) -> int:
    own = error.status if isinstance(error, ProviderError) else None
    if native and own is not None and own >= 400:
        return own
    if type(error) is ServerError and own is not None and 500 <= own < 600:
        return own
    return next((STATUSES[kind, family] for kind in type(error).__mro__ if (kind, family) in STATUSES), row.status)


def _overflow(error: ContextOverflow, family: Family) -> str:
    numbers, words = _OVERFLOWS[family]
    if error.limit is not None:
        # if the provider did not count: a lower bound, one token more than fits
        return numbers.format(tokens=max(error.tokens or 0, error.limit + 1), limit=error.limit)
    return words if error.message.lower().startswith(words[:18].lower()) else f"{words} ({error.message})"


def _name(error: Exception) -> str:
    return (error.provider if isinstance(error, ModelbayError) else None) or "The provider"
