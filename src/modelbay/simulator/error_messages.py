"""Error messages of real providers, in tables by protocol."""

from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextOverflow,
    ModelbayError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    ServerError,
)
from modelbay.protocols.codec import codec

_MODEL = {
    "openai_chat": "The model `{}` does not exist or you do not have access to it.",
    "openai_responses": "The requested model '{}' does not exist.",
    "anthropic": "model: {}",
    "google": (
        "models/{} is not found for API version v1beta, or is not supported for generateContent. "
        "Call ListModels to see the list of available models and their supported methods."
    ),
}
_KEY = {
    "openai_chat": (
        "Incorrect API key provided: {}. You can find your API key at https://platform.openai.com/account/api-keys."
    ),
    "openai_responses": (
        "Incorrect API key provided: {}. You can find your API key at https://platform.openai.com/account/api-keys."
    ),
    "anthropic": "invalid x-api-key",
    "google": "API key not valid. Please pass a valid API key.",
}
_NO_KEY = {
    "openai_chat": (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    ),
    "openai_responses": "Missing bearer authentication in header",
    "anthropic": "x-api-key header is required",
    "google": (
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other "
        "valid authentication credential."
    ),
}
_PATH = {
    "openai_chat": "Invalid URL ({} {})",
    "openai_responses": "Invalid URL ({} {})",
    "anthropic": "Not Found",
    "google": "Requested entity was not found.",
}
_OVERFLOW = {
    "openai_chat": (
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {count} tokens. "
        "Please reduce the length of the messages."
    ),
    "openai_responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "anthropic": "prompt is too long: {count} tokens > {limit} maximum",
    "google": "The input token count ({count}) exceeds the maximum number of tokens allowed ({limit}).",
}
_OPENAI_FAILURES: dict[str, tuple[type[ProviderError], int, str, str, str | None]] = {
    "400": (
        BadRequest,
        400,
        "Your request was malformed or missing some required parameters, such as a token or an input.",
        "invalid_request_error",
        None,
    ),
    "403": (PermissionDenied, 403, "You are not allowed to sample from this model", "invalid_request_error", None),
    "413": (RequestTooLarge, 413, "Request body is too large.", "invalid_request_error", "request_too_large"),
    "429": (
        RateLimited,
        429,
        "Rate limit reached for requests per minute (RPM): Limit 3, Used 3, Requested 1. Please try again later.",
        "requests",
        "rate_limit_exceeded",
    ),
    "quota": (
        QuotaExhausted,
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "500": (
        ServerError,
        500,
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
    ),
    "503": (Overloaded, 503, "The engine is currently overloaded, please try again later", "server_error", None),
    "529": (Overloaded, 529, "The engine is currently overloaded, please try again later", "server_error", None),
}
_FAILURES: dict[str, dict[str, tuple[type[ProviderError], int, str, str | None, str | None]]] = {
    "openai_chat": {**_OPENAI_FAILURES},
    "openai_responses": {**_OPENAI_FAILURES},
    "anthropic": {
        "400": (BadRequest, 400, "There was an issue with the format or content of your request.", "invalid_request_error", None),
        "403": (PermissionDenied, 403, "Your API key does not have permission to use this resource", "permission_error", None),
        "413": (RequestTooLarge, 413, "Request exceeds the maximum size", "request_too_large", None),
        "429": (RateLimited, 429, "This request would exceed your account's rate limit. Please try again later.",
                "rate_limit_error", None),
        "quota": (QuotaExhausted, 400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
                  "Billing to upgrade or purchase credits.", "invalid_request_error", None),
        "500": (ServerError, 500, "Internal server error", "api_error", None),
        "503": (Overloaded, 503, "Service temporarily unavailable", "api_error", None),
        "529": (Overloaded, 529, "Overloaded", "overloaded_error", None),
    },
    "google": {
        "400": (BadRequest, 400, "Request contains an invalid argument.", "INVALID_ARGUMENT", None),
        "403": (PermissionDenied, 403, "The caller does not have permission", "PERMISSION_DENIED", None),
        "413": (RequestTooLarge, 413, "Request payload size exceeds the limit: 20971520 bytes.", "INVALID_ARGUMENT", None),
        "429": (RateLimited, 429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED", None),
        "quota": (QuotaExhausted, 429, "You exceeded your current quota, please check your plan and billing details.",
                  "RESOURCE_EXHAUSTED", None),
        "500": (ServerError, 500, "An internal error has occurred. Please retry or report in "
                "https://developers.generativeai.google/guide/troubleshooting", "INTERNAL", None),
        "503": (Overloaded, 503, "The model is overloaded. Please try again later.", "UNAVAILABLE", None),
        "529": (Overloaded, 529, "The model is overloaded. Please try again later.", "UNAVAILABLE", None),
    },
}  # fmt: skip
_TYPES = {
    "openai_chat": "invalid_request_error",
    "openai_responses": "invalid_request_error",
}
"""OpenAI's error type for every invalid request. Other providers have a type per status."""


def _code(protocol: str, code: str) -> str | None:
    return code if protocol in _TYPES else None


def unknown_model(protocol: str, model: str) -> ProviderError:
    message = _MODEL[protocol].format(model)
    return NotFound(message, status=404, type=_TYPES.get(protocol), code=_code(protocol, "model_not_found"))


def wrong_key(protocol: str, key: str) -> ProviderError:
    if not key:
        return AuthenticationFailed(_NO_KEY[protocol], status=401, type=_TYPES.get(protocol))
    masked = f"{key[:3]}***{key[-4:]}" if len(key) > 12 else "***"
    message = _KEY[protocol].format(masked)
    return AuthenticationFailed(message, status=401, type=_TYPES.get(protocol), code=_code(protocol, "invalid_api_key"))


def unknown_path(protocol: str, method: str, path: str) -> ProviderError:
    return NotFound(_PATH[protocol].format(method, path), status=404, type=_TYPES.get(protocol))


def wrong_method(protocol: str, method: str) -> ProviderError:
    message = f"Not allowed to {method} on this path"
    return ProviderError(message, status=405, type=_TYPES.get(protocol), code=_code(protocol, "method_not_supported"))


def bad_request(
    protocol: str, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> ProviderError:
    kind = NotFound if status == 404 else BadRequest
    return kind(message, status=status, type=_TYPES.get(protocol), param=param, code=code)


def overflow(protocol: str, count: int, limit: int) -> ProviderError:
    message = _OVERFLOW[protocol].format(count=count, limit=limit)
    code = _code(protocol, "context_length_exceeded")
    return ContextOverflow(
        message, status=400, type=_TYPES.get(protocol), param="messages" if code else None, code=code
    )


def failure(protocol: str, name: str) -> ProviderError:
    """An error by name: "400", "403", "413", "429", "500", "503", "529" or "quota"; any other name is a 500."""
    failures = _FAILURES[protocol]
    kind, status, message, type, code = failures.get(name, failures["500"])
    return kind(message, status=status, type=type, code=code)


def render(protocol: str, error: ModelbayError) -> tuple[int, bytes]:
    """The error in the format of a protocol."""
    return codec(protocol).render_error(error)
