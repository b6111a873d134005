"""Every error modelbay raises on purpose.

ModelbayError
├── ConfigError                 the configuration cannot be used
│   ├── ConfigSyntaxError       the file does not parse
│   ├── UnknownModel            no such alias or provider/model
│   ├── UnknownProvider
│   └── MissingCredential       a key is needed and none is there
├── HubClosed                   the hub was closed before the call; nothing was sent
├── Unsupported                 the protocol or model cannot do what the request asks; nothing was sent
│   └── UnknownEffort           no protocol, vendor or model has that word for how much to think
├── TransportError              no reply came
│   ├── ConnectFailed           refused, unreachable, name or TLS failure
│   │   └── ProxyFailed         the proxy did not connect us
│   ├── Disconnected            the connection closed before an answer
│   └── TimedOut                connect, first byte or silence took too long
├── ProviderError               the provider answered with an error; has `status`
│   ├── Redirected              3xx; nothing was sent to where it points
│   ├── BadRequest              400, 422 and the like
│   │   ├── ContextOverflow     the prompt does not fit the model
│   │   └── ContentRefused      a content filter refused the prompt
│   ├── RequestTooLarge         413
│   ├── AuthenticationFailed    401
│   ├── PermissionDenied        403
│   ├── NotFound                404: the model or the path
│   ├── RateLimited             429, worth waiting
│   ├── QuotaExhausted          402, or 429 that waiting will not cure
│   ├── Overloaded              503, 529
│   └── ServerError             other 5xx
└── ReplyError                  a reply came and is not one
    ├── MalformedReply          not the protocol: HTML, broken JSON, wrong shape
    └── IncompleteReply         it stopped before its end
"""

from typing import Any, Literal, TypeAlias

Operation: TypeAlias = Literal["ask", "list", "fetch", "login", "token", "upload"]
"""What was being done: asking a model, listing models, fetching a document, logging in, getting a token, uploading."""


class ModelbayError(Exception):
    """The root. `message` says what happened, `hint` in one line how to mend it.

    `retryable`: the same request may succeed later. `retry_after`: seconds the provider asked to wait. `operation` is what was
    being done, `request` the method and URL of the request that failed.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str | None = None, provider: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.provider = provider
        self.retry_after: float | None = None
        self.status: int | None = None
        self.request_id: str | None = None
        self.attempts = 1
        self.operation: Operation | None = None
        self.request: str | None = None
        """Method and URL of the request that failed, without secrets."""
        self.model: str | None = None
        self.manifest: str | None = None
        """The base URL of the provider, where its manifest says so."""
        self.advice: str | None = None
        """The hint of whoever raised it; `hint` is made from it for whoever reads it."""
        self.explained: str | None = None

    def __reduce__(self) -> Any:
        # Python would restore an error from its message alone, which classes with more arguments do not accept: a process
        # pool, which pickles the errors of its workers, breaks at the first one
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[ModelbayError], args: tuple[Any, ...]) -> ModelbayError:
    return kind.__new__(kind, *args)


class ConfigError(ModelbayError):
    """`file` and `line` say where, where it is known."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None, **also: Any) -> None:
        super().__init__(message, **also)
        self.file = file
        self.line = line


class ConfigSyntaxError(ConfigError):
    pass


class UnknownModel(ConfigError):
    pass


class UnknownProvider(ConfigError):
    pass


class MissingCredential(ConfigError):
    pass


class HubClosed(ModelbayError):
    pass


class Unsupported(ModelbayError):
    """`setting` names what cannot be expressed. To a client it is a 400."""

    def __init__(self, message: str, *, setting: str, **also: Any) -> None:
        super().__init__(message, **also)
        self.setting = setting
        self.status = 400


class UnknownEffort(Unsupported):
    pass


class TransportError(ModelbayError):
    retryable = True


class ConnectFailed(TransportError):
    pass


class ProxyFailed(ConnectFailed):
    pass


class Disconnected(TransportError):
    pass


class TimedOut(TransportError):
    """`stage` is "connect", "first_byte" or "idle"."""

    def __init__(self, message: str, *, stage: str, **also: Any) -> None:
        super().__init__(message, **also)
        self.stage = stage


class ProviderError(ModelbayError):
    """`type`, `code` and `param` are the provider's own words; `body` is its answer as text, cut to 2,000 characters.

    `protocol` is whose words they are: "openai", "anthropic" or "google"; None if they were not read from an answer.
    """

    protocol: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        body: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.body = body


class Redirected(ProviderError):
    """`location` is where the answer pointed, whole. Nothing was sent there."""

    def __init__(self, message: str, *, status: int, location: str | None) -> None:
        super().__init__(message, status=status)
        self.location = location


class BadRequest(ProviderError):
    pass


class ContextOverflow(BadRequest):
    """`tokens` were sent or asked for, and `limit` is what fits; None where the provider does not say."""

    tokens: int | None = None
    limit: int | None = None


class ContentRefused(BadRequest):
    pass


class RequestTooLarge(ProviderError):
    pass


class AuthenticationFailed(ProviderError):
    pass


class PermissionDenied(ProviderError):
    pass


class NotFound(ProviderError):
    pass


class RateLimited(ProviderError):
    retryable = True


class QuotaExhausted(ProviderError):
    pass


class Overloaded(ProviderError):
    retryable = True


class ServerError(ProviderError):
    retryable = True


class ReplyError(ModelbayError):
    retryable = True


class MalformedReply(ReplyError):
    pass


class IncompleteReply(ReplyError):
    pass
