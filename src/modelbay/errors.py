"""The errors that modelbay raises. `modelbay.errors` has all of them, and `modelbay` itself the base class.

ModelbayError
├── ConfigError                 the configuration cannot be used
│   ├── ConfigSyntaxError       the file does not parse
│   ├── InvalidValue            a value that no configuration accepts, such as an unknown setting or vendor
│   ├── UnknownModel            no such alias or provider/model
│   ├── UnknownProvider         no such provider ID
│   ├── MissingCredential       an API key is required and not set
│   └── FileError               a file on this machine cannot be read or written
│       ├── UnreadableFile      a file that was named as input
│       └── StoreError          a database of modelbay, such as the conversation store, cannot be used
│           └── UnknownConversation  no stored conversation with this ID
├── ChatBusy                    another question of the chat is being answered; nothing was sent
├── UnreadableChat              the text is not a chat, or a newer version wrote it
├── SourceError                 a manifest, registry or catalog cannot be used
├── HubClosed                   the hub was closed before or during the call
├── Unsupported                 the protocol or model cannot do what the request asks; nothing was sent
│   └── UnknownEffort           not a reasoning effort of any protocol, vendor or model
├── TransportError              no response was received
│   ├── ConnectFailed           connection refused, host unreachable, DNS or TLS failure
│   │   └── ProxyFailed         the proxy did not connect
│   ├── Disconnected            the connection closed before the response
│   └── TimedOut                connecting, the first byte or a pause took too long
├── ProviderError               the provider answered with an error; has `status`
│   ├── Redirected              3xx; nothing was sent to the target
│   ├── BadRequest              400, 422 and the like
│   │   ├── ContextOverflow     the prompt does not fit the model
│   │   └── ContentRefused      a content filter refused the prompt
│   ├── RequestTooLarge         413
│   ├── AuthenticationFailed    401
│   ├── PermissionDenied        403
│   ├── NotFound                404: the model or the path
│   ├── RateLimited             429; waiting helps
│   ├── QuotaExhausted          402, or a 429 that waiting does not clear
│   ├── Overloaded              503, 529
│   └── ServerError             other 5xx
└── ReplyError                  the reply is unusable
    ├── MalformedReply          not in the protocol: HTML, broken JSON, wrong types
    ├── IncompleteReply         the reply was cut off
    └── TooManySteps            the model still calls tools after the last allowed reply
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from modelbay.other_names import ERROR, ERRORS, unknown

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
    "ChatBusy",
    "ConfigError",
    "ConfigSyntaxError",
    "ConnectFailed",
    "ContentRefused",
    "ContextOverflow",
    "Disconnected",
    "FileError",
    "HubClosed",
    "IncompleteReply",
    "InvalidValue",
    "MalformedReply",
    "MissingCredential",
    "ModelbayError",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "ProviderError",
    "ProxyFailed",
    "QuotaExhausted",
    "RateLimited",
    "Redirected",
    "ReplyError",
    "RequestTooLarge",
    "ServerError",
    "SourceError",
    "StoreError",
    "TimedOut",
    "TooManySteps",
    "TransportError",
    "UnknownConversation",
    "UnknownEffort",
    "UnknownModel",
    "UnknownProvider",
    "UnreadableChat",
    "UnreadableFile",
    "Unsupported",
]

Operation: TypeAlias = Literal["ask", "embed", "list", "fetch", "login", "token", "upload"]
"""The failed operation: asking a model, embedding texts, listing models, fetching a document, logging in, getting a token,
uploading."""


class ModelbayError(Exception):
    """The base class of all errors. An unknown attribute is None."""

    message: str
    """The failure, with method and URL of a failed request."""
    hint: str | None
    """How to fix it, in one line."""
    provider: str | None
    """ID of the provider."""
    model: str | None
    """Name of the model that was asked for."""
    operation: Operation | None
    """The failed operation: "ask", "embed", "list", "fetch", "login", "token" or "upload"."""
    request: str | None
    """Method and URL of the failed request, without secrets."""
    status: int | None
    """HTTP status of the response."""
    request_id: str | None
    """The provider's ID of the request, for its support."""
    attempts: int
    """Number of requests that were sent, including repeated ones."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    retry_after: float | None
    """Seconds to wait before the next request, as the provider asked."""
    reply: Any
    """The complete parts of a reply that broke off, as a `Reply`."""

    def __init__(self, message: str, *, hint: str | None = None, provider: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.provider = provider
        self.model = self.operation = self.request = None
        self.status = self.request_id = self.retry_after = self.reply = None
        self.attempts = 1
        self.manifest: str | None = None
        """Base URL in the manifest of the provider; None if the provider has no manifest."""
        self.advice: str | None = None
        """The hint as raised. `hints.explain` derives `hint` from it for the command line, the app or the library."""
        self.explained: str | None = None
        """The hint that `hints.explain` set, to tell it from a newer one."""
        self.face: str | None = None
        """The interface that `hints.explain` was told to explain the error for."""
        self._notes: list[str] = []
        self._note: str | None = None
        """The note about the hint that is in `_notes`."""

    @staticmethod
    def note_of(error: "ModelbayError") -> str | None:
        """The note about the hint of an error. Replaced by `hints`, which knows the title, and a hint for every error."""
        return error.hint

    @property
    def __notes__(self) -> list[str]:
        """The lines below the message in a traceback: the hint, and notes that a program added. The hint changes until the error
        leaves modelbay, so it is not added as other notes are."""
        note = self.note_of(self)
        if note != self._note:
            if self._note is not None and self._note in self._notes:
                self._notes.remove(self._note)
            if note is not None:
                self._notes.insert(0, note)
            self._note = note
        return self._notes

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:
        self._notes = notes

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, ERROR)

    def __reduce__(self) -> Any:
        # Python would restore an error from its message alone. Classes with more arguments do not accept that, and a process
        # pool, which pickles the errors of its workers, would break.
        return _restored, (type(self), self.args), self.__dict__


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    from difflib import get_close_matches

    near = [] if name.startswith("__") else [ERRORS[name]] if name in ERRORS else get_close_matches(name, __all__, 1)
    meant = f": did you mean modelbay.errors.{near[0]}?" if near else ""
    raise AttributeError(f"module 'modelbay.errors' has no attribute {name!r}{meant}")


def _restored(kind: type[ModelbayError], args: tuple[Any, ...]) -> ModelbayError:
    return kind.__new__(kind, *args)


class ConfigError(ModelbayError):
    """The configuration cannot be used. `file` and `line`: position of the error; None if it is not known."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None, **also: Any) -> None:
        super().__init__(message, **also)
        self.file = file
        self.line = line


class ConfigSyntaxError(ConfigError):
    """The configuration is not TOML, or has values of wrong types."""


class InvalidValue(ConfigError):
    """A value that no configuration accepts, or that is missing: an unknown setting or vendor, or a name with wrong characters."""


class UnknownModel(ConfigError):
    """The configuration has no model with this alias or ID. The hint suggests similar names."""


class UnknownProvider(ConfigError):
    """The configuration has no provider with this ID. The hint suggests similar IDs."""


class MissingCredential(ConfigError):
    """The provider requires an API key or a login, and has none."""


class FileError(ConfigError):
    """A file on this machine cannot be read or written. `other_path`: the same operation may succeed with a file in another
    folder. `changed`: another program changed the file between reading and writing.
    """

    other_path = False
    changed = False


class UnreadableFile(FileError):
    """A file that was passed does not exist, cannot be read, or is not of a kind that models accept."""


class StoreError(FileError):
    """A database of modelbay, such as that of conversations, cannot be read or written."""


class UnknownConversation(StoreError):
    """There is no stored conversation with this ID."""


class SourceError(ModelbayError):
    """A manifest, registry or catalog cannot be used: it has another form, or lacks the provider that was asked for."""


class HubClosed(ModelbayError):
    """The hub was closed before or during the call."""

    def __init__(
        self, message: str, *, hint: str = "open a new hub, or make the call before the hub is closed"
    ) -> None:
        super().__init__(message, hint=hint)


class ChatBusy(ModelbayError):
    """The chat has not finished its last reply. Nothing was sent."""


class UnreadableChat(ModelbayError):
    """A text is not a chat that `Chat.dumps` made, or is one of a newer version."""

    def __init__(self, message: str, *, hint: str = "pass a text that `Chat.dumps` returned") -> None:
        super().__init__(message, hint=hint)


class Unsupported(ModelbayError):
    """The protocol or the model cannot do what the request asks. Nothing was sent, unless only the reply shows it. `setting` is the
    name of the setting."""

    def __init__(self, message: str, *, setting: str, **also: Any) -> None:
        super().__init__(message, **also)
        self.setting = setting
        self.status = 400


class UnknownEffort(Unsupported):
    """No model of this provider has such a reasoning effort. Nothing was sent."""


class TransportError(ModelbayError):
    """No response was received. The call was repeated, if `retries` allows it."""

    retryable = True


class ConnectFailed(TransportError):
    """The connection failed: refused, unknown host, or TLS."""


class ProxyFailed(ConnectFailed):
    """The proxy did not connect."""


class Disconnected(TransportError):
    """The connection closed before the response."""


class TimedOut(TransportError):
    """A limit of the provider's `timeout` was reached: `stage` is its key, such as "connect", "first_byte" or "idle". It is "call"
    for the `timeout` of a whole call."""

    def __init__(self, message: str, *, stage: str, **also: Any) -> None:
        super().__init__(message, **also)
        self.stage = stage


class ProviderError(ModelbayError):
    """The provider answered with an error. `type`, `code` and `param` are the provider's values; `body` is its response as text, at
    most 2,000 characters.

    `protocol` is the format of these values: "openai", "anthropic" or "google"; None if they are not from a response. `headers` are
    those of the response, with names in lower case. `received` is its body unchanged; None if the error is in a reply.
    """

    protocol: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    received: bytes | None = None

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
    """The provider answered with a redirect: status 3xx. `location` is the full target URL. Nothing was sent there."""

    def __init__(self, message: str, *, status: int, location: str | None) -> None:
        super().__init__(message, status=status)
        self.location = location


class BadRequest(ProviderError):
    """The provider rejected the request as invalid: status 400 or 422."""


class ContextOverflow(BadRequest):
    """The prompt is longer than the model accepts. `tokens`: tokens of the request; `limit`: maximum tokens; None if the provider
    does not report them."""

    tokens: int | None = None
    limit: int | None = None


class ContentRefused(BadRequest):
    """A content filter of the provider refused the prompt."""


class RequestTooLarge(ProviderError):
    """The request has too many bytes: status 413."""


class AuthenticationFailed(ProviderError):
    """The API key or login was rejected: status 401."""


class PermissionDenied(ProviderError):
    """The account may not use this model or region: status 403."""


class NotFound(ProviderError):
    """The provider does not have this model or path: status 404."""


class RateLimited(ProviderError):
    """Too many requests or tokens for now: status 429. `retry_after`: seconds to wait, if the provider named them."""

    retryable = True


class QuotaExhausted(ProviderError):
    """The account has no credit left: status 402, or a 429 that waiting does not clear."""


class Overloaded(ProviderError):
    """The provider is overloaded: status 503 or 529."""

    retryable = True


class ServerError(ProviderError):
    """The provider failed: status 500 and others."""

    retryable = True


class ReplyError(ModelbayError):
    """The reply cannot be used. `received` is the reply unchanged; None if a part of it was shown."""

    retryable = True
    received: bytes | None = None


class MalformedReply(ReplyError):
    """The reply is not in the protocol: a web page, broken JSON, values of wrong types. `too_large`: it exceeds a limit of the
    provider's `limits`."""

    too_large = False


class IncompleteReply(ReplyError):
    """The reply broke off. `reply` has the parts that arrived."""


class TooManySteps(ReplyError):
    """The model still calls tools after the last allowed reply of `Hub.run`. `reply` is that reply."""

    retryable = False
