"""Classifies error responses of all protocols: by status first, by codes and message where the status is ambiguous."""

import re
from collections.abc import Mapping
from typing import TypeVar

from modelbay.conversation import Json
from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentRefused,
    ContextOverflow,
    MalformedReply,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    ServerError,
)
from modelbay.protocols.overflow import overflow
from modelbay.secrecy import shown

_BY_STATUS: dict[int, type[ProviderError]] = {
    400: BadRequest,
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: PermissionDenied,
    404: NotFound,
    408: ServerError,  # OpenRouter and proxies: the provider was too slow
    413: RequestTooLarge,
    422: BadRequest,
    429: RateLimited,
    501: BadRequest,  # llama.cpp, started without what the request needs; a retry meets the same server
    503: Overloaded,
    529: Overloaded,  # Anthropic
}
_BY_WORD: dict[str, type[ProviderError]] = {
    "invalid_request_error": BadRequest,
    "authentication_error": AuthenticationFailed,
    "invalid_api_key": AuthenticationFailed,
    "permission_error": PermissionDenied,
    "not_found_error": NotFound,
    "model_not_found": NotFound,
    "no_db_connection": AuthenticationFailed,  # LiteLLM without a database, for every key except its master key
    "request_too_large": RequestTooLarge,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "insufficient_quota": QuotaExhausted,
    "exceeded_current_quota_error": QuotaExhausted,  # Moonshot's 429, which waiting does not resolve
    "billing_error": QuotaExhausted,
    "budget_exceeded": QuotaExhausted,  # LiteLLM
    "overloaded_error": Overloaded,
    "server_is_overloaded": Overloaded,
    "api_error": ServerError,
    "server_error": ServerError,
    "context_length_exceeded": ContextOverflow,
    "exceed_context_size_error": ContextOverflow,  # llama.cpp
    "content_filter": ContentRefused,  # Azure
    "UNAUTHENTICATED": AuthenticationFailed,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "INVALID_ARGUMENT": BadRequest,
    "FAILED_PRECONDITION": BadRequest,
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNAVAILABLE": Overloaded,
    "INTERNAL": ServerError,
    "DEADLINE_EXCEEDED": ServerError,
}
"""Providers' error codes, for errors inside a 200, which have no status, and for codes that are more specific than the
status."""
_BY_NAME: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = (
    (re.compile(r"overload|unavailable|at capacity", re.IGNORECASE), Overloaded),
    (re.compile(r"rate.?limit|too.?many.?requests|throttl|slow.?down", re.IGNORECASE), RateLimited),
    (
        re.compile(r"internal|(server|system|upstream).?error|bad.?gateway|time.?out|timed.?out", re.IGNORECASE),
        ServerError,
    ),
)
"""Other names of temporary errors, used by gateways and clouds; searched in the codes first, then in the message."""
QUOTED = 100
"""Maximum characters of a body quoted in an error."""
E = TypeVar("E", bound=ProviderError)
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-trace-id")
_FINER = (QuotaExhausted, ContextOverflow, ContentRefused)
_FINER_THAN_400 = (*_FINER, NotFound, AuthenticationFailed)
"""Classes that a code may name although the status says less."""
_QUOTA = re.compile(
    r"exceeded your current (token )?quota|check your (account balance|plan and billing)|insufficient (balance|quota|credit)"
    r"|in arrears|credit balance is too low|recharge",
    re.IGNORECASE,
)


LONGEST, LONGEST_WORD = 8_000, 500
"""Characters of a provider's message, and of its type, code and parameter, that are kept."""


def provider_error(
    status: int | None,
    message: str,
    *,
    type: str | None = None,
    code: str | None = None,
    param: str | None = None,
    body: str = "",
) -> ProviderError:
    """An error of the class that fits."""
    message = _shortened(message)
    type, code, param = (None if word is None else word[:LONGEST_WORD] for word in (type, code, param))
    kind = _class(status, message, (code, type))
    error = kind(message, status=status, type=type, code=code, param=param, body=body[:2000])
    if isinstance(error, ContextOverflow) and (found := overflow(message)) is not None:
        error.tokens, error.limit = found.tokens, found.limit
    return error


def _shortened(message: str) -> str:
    """The beginning and the end of a message that is very long, because it repeats the request. Many expressions search it. Secrets
    are removed first: half of one would not be found."""
    if len(message) <= LONGEST:
        return message
    masked = shown(message)
    return f"{masked[: LONGEST * 3 // 4]} … {masked[-LONGEST // 5 :]}"


_MESSAGES = ("message", "Message", "msg", "error_msg", "error_message", "errorMessage", "error_description")
_CODES = ("code", "error_code", "errorCode", "statusCode", "status_code", "status")


def bare_error(answer: Mapping[str, Json], status: int | None = None, body: str = "") -> ProviderError | None:
    """The error in a body that has no `error`: its message and code are members of the body (Z.ai, Baidu, proxies), or of
    `errors` (Cloudflare, ModelScope) or `base_resp` (MiniMax). None if the body does not report one."""
    base = answer.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        message = str(base.get("status_msg") or "error")
        return provider_error(status, message, code=str(base["status_code"]), body=body)
    inner = answer.get("errors")
    inner = inner[0] if isinstance(inner, list) and inner else inner
    holder = inner if isinstance(inner, dict) else answer
    text = next((text for name in _MESSAGES if isinstance(text := holder.get(name), str) and text), None)
    codes = [code for name in _CODES if (code := holder.get(name)) not in (None, "", 0, "0", 200) and code is not True]
    failed = codes or holder is not answer or answer.get("success") is False
    if text is None or not (failed or holder.get("message") == text):
        return None
    code = next((str(code) for code in codes if isinstance(code, int | str)), None)
    return provider_error(status if status is not None else status_of(*codes), text, code=code, body=body)


def spoken(error: E, protocol: str) -> E:
    """The error with its protocol, whose codes it contains."""
    error.protocol = protocol
    return error


_TOO_LONG = re.compile(r"input \(\d+ tokens\) is too large to process")
"""llama.cpp's server answers 500 to a text that is too long to embed."""
_UNSUPPORTED = re.compile(
    r"(image|audio|video)s?( input)? (is|are) not supported|missing data required for image input"
    r"|only 'text' content type is supported|no endpoints found that support"
    r"|must be created with embedding=true|^\d+ validation errors?:\s+\{'type': '\w+', 'loc': \('body'",
    re.IGNORECASE,
)
"""Messages of a 404 or 500 for a request that would fail again. A model that only reads text gets a picture: llama.cpp and Ollama
answer 500, MLX and OpenRouter 404. OpenRouter also answers so if no endpoint of the model supports tools. llama-cpp-python answers
500 to a value that its schema lacks, and to embeddings of a chat model."""

_NO_MODEL = re.compile(
    r"invalid model( name|:| ['\"`]|$)|unknown model\b|is not a valid model|model not exist|requested model is not supported"
    r"|\bmodel( name| id)?:? ?['\"`]?[\w./:@-]*['\"`]? (does not exist|(is |was )?not found)",
    re.IGNORECASE,
)
"""Messages of a 400 for an unknown model: LiteLLM, Mistral, Perplexity, OpenRouter, DeepSeek, GitHub, Hugging Face."""


def _class(status: int | None, message: str, words: tuple[str | None, ...]) -> type[ProviderError]:
    named = [_BY_WORD[word] for word in words if word in _BY_WORD]
    finer = next((kind for kind in named if kind in (_FINER_THAN_400 if status == 400 else _FINER)), None)
    if status is None:
        return finer or _by_text(message, named[0] if named else _by_name(words, message))
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else BadRequest)
    if kind is BadRequest or status in (404, 413, 429, 500):
        # the text decides only if the status is ambiguous: 400 for everything, 429 for rate limits and for quotas
        return finer or _by_text(message, kind)
    return finer or kind


def _by_name(words: tuple[str | None, ...], message: str) -> type[ProviderError]:
    """The class of an error without a status whose codes are not in the table."""
    if overflow(message):
        return ContextOverflow
    for text in (*words, message):
        for pattern, kind in _BY_NAME:
            if text and pattern.search(text):
                return kind
    return ProviderError


def _by_text(message: str, kind: type[ProviderError]) -> type[ProviderError]:
    if kind is RateLimited:
        return QuotaExhausted if _QUOTA.search(message) else RateLimited
    if kind in (ServerError, NotFound) and _UNSUPPORTED.search(message):
        return BadRequest
    if kind is ServerError:
        if _TOO_LONG.search(message):
            return ContextOverflow
        return Overloaded if "overload" in message.lower() else ServerError
    if kind in (BadRequest, RequestTooLarge, ProviderError) and overflow(message):
        return ContextOverflow
    if kind is BadRequest and _NO_MODEL.search(message):
        return NotFound
    return QuotaExhausted if kind is BadRequest and _QUOTA.search(message) else kind


def status_of(*values: Json) -> int | None:
    """The first value that is an HTTP error status. Vendors put it in `code`, as a number or a string."""
    for value in values:
        status = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{3}", value) else value
        if type(status) is int and 400 <= status < 600:
            return status
    return None


def request_id(headers: Mapping[str, str]) -> str | None:
    """The request ID that a provider needs to find a request in its logs."""
    by_name = {name.lower(): value for name, value in headers.items()}
    return next((by_name[name] for name in _REQUEST_IDS if by_name.get(name)), None)


def text_of(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def unreadable(what: str, body: bytes) -> MalformedReply:
    """The error for an unreadable body, with its beginning."""
    quoted = beginning(text_of(body[: 2**20]))
    return MalformedReply(f"{what}; it starts with: {quoted}" if quoted else what)


def beginning(text: str) -> str:
    """The first characters of a text in one line, without secrets and terminal control characters.

    Secrets are removed before the text is cut: half of one would not be found.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in shown(text)).split())
    return f"{line[:QUOTED]}…" if len(line) > QUOTED else line


def summary(text: str) -> str:
    """One line about a body in another format: an HTML page's title, or its beginning."""
    title = re.search(r"<title[^<>]*>([^<]*)</title>", text, re.IGNORECASE)
    if title:
        return f"an HTML page: {beginning(title.group(1))}"
    return beginning(text) or "an empty response"
