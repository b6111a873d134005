"""The words of real providers when a request is wrong: one table by protocol, for what every protocol knows."""

from modelbay.errors import AuthenticationFailed, BadRequest, ContextOverflow, NotFound, ProviderError

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
_TYPES = {
    "openai_chat": "invalid_request_error",
    "openai_responses": "invalid_request_error",
}
"""What OpenAI calls every fault of a request; the others have a word for each status."""


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
