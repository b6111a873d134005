"""Titles and hints of errors: one table from the operation and the class of an error to a title, a fix and an action. An action is
a command on the command line, a dialog in the app, or an attribute in the library.

An error may bring its own hint. The table then adds only the action; it does not add the check of the file or the search for
models if the hint already says what to change.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote, split
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from modelbay.config.schema import CONNECT, IN_CODE, Config, key_text
from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ChatBusy,
    ConfigError,
    ConfigSyntaxError,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    Disconnected,
    FileError,
    HubClosed,
    IncompleteReply,
    InvalidValue,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    NotFound,
    Operation,
    Overloaded,
    PermissionDenied,
    ProviderError,
    ProxyFailed,
    QuotaExhausted,
    RateLimited,
    Redirected,
    ReplyError,
    RequestTooLarge,
    ServerError,
    SourceError,
    StoreError,
    TimedOut,
    TooManySteps,
    TransportError,
    UnknownConversation,
    UnknownEffort,
    UnknownModel,
    UnknownProvider,
    UnreadableChat,
    UnreadableFile,
    Unsupported,
)
from modelbay.secrecy import shown
from modelbay.storage.paths import config_file

Face: TypeAlias = Literal["command", "app", "library", "client"]
"""The interface in which the hint is shown: the command line, the app, a program that uses the library, or a client of the
gateway, whose user may be on another machine: it gets no actions, addresses and paths."""


class Act(NamedTuple):
    """An action in each face; None if the face does not have it. `{provider}`, `{model}` and `{file}` are the error's."""

    command: str | None
    app: str | None = None
    library: str | None = None
    code: str | None = None
    """The action in the library, if the program describes the provider itself."""


class HintRow(NamedTuple):
    """`{provider}` and `{file}` are the error's. `act` is not shown if one of its names is unknown."""

    title: str
    fix: str
    act: Act | None = None


_ENTRY = "[providers.{provider}] in {file}"
KEY = Act("modelbay key set {provider}", "/provider edits {provider}", _ENTRY, "`api_key` of Hub.of or Hub.add")
TEST = Act("modelbay provider test {provider}")
MOVE = Act(
    "modelbay provider edit {provider} --base-url URL",
    "/provider edits {provider}",
    _ENTRY,
    "`base_url` of Hub.of or Hub.add",
)
SEARCH = Act("modelbay model search {model}", "/model", "Hub.models()", "Hub.list_models()")
LISTED = Act("modelbay model list", "/model", "Hub.models()", "Hub.list_models()")
"""Used instead of `SEARCH` if the request named no model."""
LIST = Act("modelbay provider list", "/provider", "Hub.config.providers", "Hub.config.providers")
CHECK = Act("modelbay config check", None, "Hub.problems")
LOG_IN = Act("modelbay login {provider}", "/login", "modelbay login {provider}", "modelbay login {provider}")
REFRESH = Act("modelbay provider refresh {provider}", None, "Hub.discover()")
AZURE = Act("modelbay provider add azure", "/provider")

ROWS: dict[type[ModelbayError], HintRow] = {
    ModelbayError: HintRow("Error", "try again"),
    ConfigError: HintRow("Unusable Configuration", "fix {file}", CHECK),
    InvalidValue: HintRow("Invalid Value", "correct the value"),
    ConfigSyntaxError: HintRow("Broken Configuration", "fix that line in an editor"),
    UnknownModel: HintRow("Model Not Found", "use an alias in {file}, or PROVIDER/MODEL_ID", SEARCH),
    UnknownProvider: HintRow("Provider Not Found", "use a provider ID in {file}", LIST),
    MissingCredential: HintRow("Missing API Key", "set an API key for {provider}", KEY),
    FileError: HintRow("File Error", "check the path and its permissions"),
    UnreadableFile: HintRow("File Error", "check the path and its permissions"),
    StoreError: HintRow("Storage Error", "check that its folder is writable and has free space"),
    UnknownConversation: HintRow("Conversation Not Found", "list the stored conversations with /resume"),
    SourceError: HintRow("Unusable Source", "check the URL or the document"),
    ChatBusy: HintRow("Chat Busy", "wait until the last reply has ended, or use a copy of the chat"),
    UnreadableChat: HintRow("Unreadable Chat", "pass a text that `Chat.dumps` returned"),
    HubClosed: HintRow("Hub Closed", "open a new hub, or make the call before the hub is closed"),
    Unsupported: HintRow("Not Supported", "remove this setting, or use a model that supports it", SEARCH),
    UnknownEffort: HintRow("Unknown Effort", "use one of: off, minimal, low, medium, high, xhigh, max"),
    TransportError: HintRow("Connection Errors", "check that base_url is correct and the API is reachable", TEST),
    ConnectFailed: HintRow("Connection Errors", "check that base_url is correct and the server is running", MOVE),
    ProxyFailed: HintRow("Connection Errors", "check the proxy: `proxy` in {file}, or HTTPS_PROXY in the environment"),
    Disconnected: HintRow(
        "Connection Errors", "try again; if it fails again, a proxy or firewall may be closing connections", TEST
    ),
    TimedOut: HintRow("Timed Out", "try again, or increase `timeout` in {file}", TEST),
    ProviderError: HintRow("Provider Error", "read the provider's message, then try again", TEST),
    Redirected: HintRow("Wrong Address", "set base_url to the target of the redirect, if you trust it", MOVE),
    BadRequest: HintRow("Bad Request", "remove the setting that the provider rejects, or use another model", SEARCH),
    ContextOverflow: HintRow(
        "Context Too Long", "shorten the conversation, or use a model with a larger context window", SEARCH
    ),
    ContentRefused: HintRow("Content Refused", "rephrase the prompt, or use another model", SEARCH),
    RequestTooLarge: HintRow("Request Too Large", "send fewer or smaller files"),
    AuthenticationFailed: HintRow("Invalid API Key", "enter the API key again, and make sure that it is complete", KEY),
    PermissionDenied: HintRow("Permission Denied", "check the permissions of the API key, or use another model", KEY),
    NotFound: HintRow("Model Not Found", "check the model ID and base_url", SEARCH),
    RateLimited: HintRow(
        "Rate Limit Reached", "wait and try again, or increase the rate limit of your account at {provider}"
    ),
    QuotaExhausted: HintRow("Quota Exhausted", "add credit to the account; waiting does not help", KEY),
    Overloaded: HintRow("Provider Overloaded", "try again later, or use another model", SEARCH),
    ServerError: HintRow("Provider Failed", "try again later, or use another model", SEARCH),
    ReplyError: HintRow("Unexpected Results", "try again, or try a different model", SEARCH),
    MalformedReply: HintRow("Unexpected Results", "check base_url and type, or try a different model", TEST),
    IncompleteReply: HintRow("Unexpected Results", "try again: the answer was cut off", TEST),
    TooManySteps: HintRow("Too Many Steps", "increase `max_steps`"),
}
"""Looked up by the class of the error, then by its base classes."""

_ELSE = "add models by their IDs"
_LIST: dict[type[ModelbayError], HintRow] = {
    PermissionDenied: HintRow("Permission Denied", f"check whether the API key may list models, or {_ELSE}", KEY),
    NotFound: HintRow("Connection Errors", f"check base_url; if the provider has no model list, {_ELSE}", MOVE),
    BadRequest: HintRow("Bad Request", f"check base_url and type; if the provider has no model list, {_ELSE}", MOVE),
    Overloaded: HintRow("Provider Overloaded", f"try again later, or {_ELSE}"),
    ServerError: HintRow("Provider Failed", f"try again later, or {_ELSE}"),
    ProviderError: HintRow("Provider Error", f"try again later, or {_ELSE}", TEST),
    ReplyError: HintRow("Unexpected Results", "check base_url: the response is not a model list", MOVE),
    MalformedReply: HintRow("Unexpected Results", "check base_url: the response is not a model list", MOVE),
    IncompleteReply: HintRow("Unexpected Results", "try again: the model list was cut off"),
}
_FETCH: dict[type[ModelbayError], HintRow] = {
    AuthenticationFailed: HintRow("Access Denied", "pass the token or API key that this URL requires"),
    PermissionDenied: HintRow("Access Denied", "check the permissions of the token or API key for this URL"),
    NotFound: HintRow("Not Found", "check the URL"),
    BadRequest: HintRow("Server Error", "check the URL"),
    ReplyError: HintRow("Unexpected Results", "check the URL: its content is not of the expected kind"),
    RateLimited: HintRow("Rate Limit Reached", "wait and try again"),
    ServerError: HintRow("Server Error", "try again later"),
    Overloaded: HintRow("Server Error", "try again later"),
    ProviderError: HintRow("Server Error", "check the URL"),
    Redirected: HintRow("Wrong Address", "use the target of the redirect, if you trust it"),
    MalformedReply: HintRow("Unexpected Results", "check the URL: its content is not of the expected kind"),
    IncompleteReply: HintRow("Unexpected Results", "try again: the content was cut off"),
    Disconnected: HintRow("Connection Errors", "try again; a proxy or firewall may be closing connections"),
    TimedOut: HintRow("Timed Out", "check the URL and the network, then try again"),
    ConnectFailed: HintRow("Connection Errors", "check the URL and the network"),
    TransportError: HintRow("Connection Errors", "check the URL and the network"),
}
_LOGIN: dict[type[ModelbayError], HintRow] = {
    MissingCredential: HintRow("Not Logged In", "log in", LOG_IN),
    AuthenticationFailed: HintRow("Login Refused", "log in again", LOG_IN),
    PermissionDenied: HintRow("Login Refused", "check the permissions of your account, then log in again", LOG_IN),
    ConnectFailed: HintRow("Connection Errors", "check the network, then log in again", LOG_IN),
    Disconnected: HintRow("Connection Errors", "check the network, then log in again", LOG_IN),
    TransportError: HintRow("Connection Errors", "check the network, then log in again", LOG_IN),
    TimedOut: HintRow("Timed Out", "log in again", LOG_IN),
    NotFound: HintRow("Login Failed", "check the provider's oauth table: the login server does not know this URL"),
    BadRequest: HintRow("Login Failed", "check the provider's oauth table: the login server rejected the request"),
    RateLimited: HintRow("Rate Limit Reached", "wait, then log in again", LOG_IN),
    Overloaded: HintRow("Login Failed", "log in again later: the login server failed", LOG_IN),
    ServerError: HintRow("Login Failed", "log in again later: the login server failed", LOG_IN),
    ProviderError: HintRow("Login Failed", "log in again", LOG_IN),
    ReplyError: HintRow("Login Failed", "check the provider's oauth table: the response is not from a login server"),
    MalformedReply: HintRow(
        "Login Failed", "check the provider's oauth table: the response is not from a login server"
    ),
}
_UPLOAD: dict[type[ModelbayError], HintRow] = {
    NotFound: HintRow(
        "Upload Failed",
        "check base_url, or send a smaller file: the provider does not accept uploads at this URL",
        MOVE,
    ),
    BadRequest: HintRow("Upload Failed", "send another file: the provider's message says why it rejects this one"),
    Overloaded: HintRow("Provider Overloaded", "upload again later"),
    ServerError: HintRow("Provider Failed", "upload again later"),
    ReplyError: HintRow("Upload Failed", "check base_url: the response is not the answer to an upload", MOVE),
    MalformedReply: HintRow("Upload Failed", "check base_url: the response is not the answer to an upload", MOVE),
}
_EMBED: dict[type[ModelbayError], HintRow] = {
    NotFound: HintRow("Model Not Found", "use an embedding model, and check its ID and base_url", LISTED),
    BadRequest: HintRow(
        "Bad Request", "use an embedding model, and remove the setting that the provider rejects", LISTED
    ),
    PermissionDenied: HintRow(
        "Permission Denied", "use an embedding model, and check the permissions of the API key", KEY
    ),
    ContextOverflow: HintRow("Text Too Long", "split the text, or use a model for longer texts", LISTED),
    RequestTooLarge: HintRow("Text Too Long", "split the text, or use a model for longer texts", LISTED),
    MalformedReply: HintRow("Unexpected Results", "use an embedding model, and check base_url and type", TEST),
}
OPERATIONS: dict[Operation, dict[type[ModelbayError], HintRow]] = {
    "ask": {},
    "embed": _EMBED,
    "list": _LIST,
    "fetch": _FETCH,
    "login": _LOGIN,
    "token": _LOGIN,
    "upload": _UPLOAD,
}
"""Rows for one operation. They have priority over `ROWS`."""

AZURE_MAX_TOKENS = HintRow(
    "Azure GPT-5 rejects `max_tokens`",
    'add it as an Azure provider, or set dialect.max_tokens_parameter = "max_completion_tokens" in {file}',
    AZURE,
)
WEB_PAGE = HintRow("Wrong Address", "check base_url: this looks like a web page, not an API", MOVE)
OF_A_MANIFEST: dict[type[ModelbayError], HintRow] = {
    AuthenticationFailed: HintRow(
        "Invalid API Key",
        "check that you entered this provider's API key, and that the manifest's `baseUrl` {manifest} is correct",
        KEY,
    ),
    NotFound: HintRow(
        "Model Not Found",
        "check the manifest's `baseUrl` {manifest}, the model ID, and that the API key is this provider's",
        REFRESH,
    ),
}
"""Rows for a provider that was added by its manifest: the manifest may be wrong."""
COMMAND = re.compile(r"`(?:modelbay) (?P<words>[a-z][^`]*)`|(?<=: )(?:modelbay) (?P<bare>[^`;]+)")
"""A command in the hint of an error: in backticks, or after a colon."""
WITH_KEY = re.compile(r" with --api-key(?: [A-Z]+| \"\")?(?=[,;:]|$)")
PASS_KEY = re.compile(r"\b(?:add|give|pass) --api-key(?: [A-Z]+)?(?=[,;:]|$)")
"""Options for an API key, which the app's dialogs have a field for."""
STANDARD_INPUT = " (`-` for standard input)"
"""A value of arguments that the app does not have."""
CLAUSE = re.compile(r"; |, or ")
"""Between parts of a hint of which each can be followed without the others."""
CUT = "\0"
"""Replaces a command that does not apply."""
OF_PROVIDERS = (
    "key set",
    "key delete",
    "provider edit",
    "provider test",
    "provider refresh",
    "provider show",
    "provider remove",
)
"""Commands whose first argument is a configured provider."""
SLASH = (
    ("login", "/login"),
    ("logout", "/logout"),
    ("provider add", "/provider"),
    ("provider list", "/provider"),
    ("provider edit", "/provider"),
    ("provider remove", "/provider"),
    ("model default", "/model"),
    ("model list", "/model"),
    ("model search", "/model"),
)
"""Commands, and the app's equivalents."""
IN_PYTHON = (
    ("login", None),
    ("provider add", None),
    ("provider list", "Hub.config.providers"),
    ("provider refresh", "Hub.discover()"),
    ("provider edit", "[providers] in {file}"),
    ("key set", "[providers] in {file}"),
    ("model default", "`default_model` in {file}"),
    ("model set", "[models] in {file}"),
    ("model list", "Hub.models()"),
    ("model search", "Hub.models()"),
    ("config check", "Hub.problems"),
)
"""Commands, and the library's equivalents. None: the command itself, as Python has none."""
OPTION = re.compile(r"(?<!\S)--(?P<name>[a-z][a-z-]*)(?P<value> [A-Z]+)?")
ARGUMENTS = ("base_url", "api_key", "id", "model")
"""Arguments of the library that have the names of options."""
CUT_OFF_HTML = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def row_of(error: ModelbayError) -> HintRow:
    """The row for an error, by operation and class. Some messages and bodies have rows of their own."""
    own = OPERATIONS[error.operation or "ask"]
    if isinstance(error, BadRequest) and "max_completion_tokens" in error.message and "max_tokens" in error.message:
        return AZURE_MAX_TOKENS
    asked = error.operation in (None, "ask", "list")
    if asked and isinstance(error, ProviderError) and (error.status or 500) < 500 and CUT_OFF_HTML.match(error.body):
        return WEB_PAGE  # a page with status 5xx is from a proxy whose provider fails: the URL is correct
    return next(rows[kind] for kind in type(error).__mro__ for rows in (own, ROWS) if kind in rows)


class About(Struct, frozen=True):
    """The context of an error and the face that shows it."""

    provider: str | None = None
    file: Path | None = None
    """Path of the configuration, if it is not the default one."""
    manifest: str | None = None
    """Base URL in the provider's manifest."""
    model: str | None = None
    """Model of the failed request."""
    face: Face = "library"
    known: Collection[str] | None = None
    """IDs of the configured providers: hints name no others. None if unknown."""


def explain(error: ModelbayError, about: About) -> ModelbayError:
    """Add provider, model and hint to an error, remove secrets from it, and return it.

    An error can be explained again for another face: the app shows errors of a Hub.
    """
    error.provider, error.model = error.provider or about.provider, error.model or about.model
    error.manifest = error.manifest or about.manifest
    if error.hint != error.explained:
        error.advice = error.hint  # as raised, or changed by a caller that knows more
    if about.face == "client":
        _name_provider(error)
    else:
        name_request(error)
    _shown(error)
    error.face = about.face
    error.hint = error.explained = error.advice if about.face == "client" else _hint(error, about, error.advice)
    return error


@contextmanager
def explaining(config: Config, provider: str | None = None) -> Iterator[None]:
    """Errors in this block leave the library, with the hint for a program."""
    try:
        yield
    except ModelbayError as error:
        explain(error, About(provider, config.path, known=config.providers))
        raise


def _note(error: ModelbayError) -> str | None:
    """The title and the hint of an error, for a traceback; None if another face shows them."""
    if error.face not in (None, "library"):
        return None
    hint = error.hint
    if error.explained is None:  # raised before anything was sent
        with suppress(ModelbayError):  # the folder of the configuration is unknown
            hint = _hint(error, About(error.provider), error.hint)
    return shown(f"{title(error)}: {hint}")


def _hint(error: ModelbayError, about: About, said: str | None) -> str:
    """The hint of an error for a face. `said`: the hint as raised."""
    row, file = row_of(error), about.file or config_file()
    provider = error.provider if error.provider and _is_known(error.provider, about) else "the provider"
    names = {"provider": provider, "file": str(about.file or "the configuration")}
    if error.manifest is not None and error.operation in (None, "ask"):
        row = OF_A_MANIFEST.get(type(error), row)
        names["manifest"] = shown(error.manifest)
    if theirs := type(error) is ConfigError and error.file is not None and not _is(error.file, file):
        names["file"] = error.file or ""
    advice = _at(said, about) if said else None
    if advice and error.operation in ("fetch", "login", "token"):
        advice = advice.replace("base_url", "the URL")  # of a document or login server: not a setting of this name
    text = advice or row.fix.format(**names)
    if isinstance(error, FileError) and error.other_path and about.face == "command" and _is(error.file or "", file):
        return f"{text}, or use another file with --config or MODELBAY_HOME"
    general = row.act is CHECK or isinstance(error, Unsupported) or _in_code(about)
    if theirs or row.act is None or "modelbay " in text or (advice and general):
        return text
    act = _spelt(row.act, error, about)
    return f"{text} ({act})" if act and act not in text else text


def _spelt(act: Act, error: ModelbayError, about: About) -> str | None:
    """The action with the error's names; None if a name is missing or the face does not have the action."""
    if act is SEARCH and (error.model is None or error.model.startswith("-")):
        act = LISTED
    face = "code" if _in_code(about) else about.face
    text: str | None = getattr(act, face, None)
    provider = error.provider or ""
    if text is None or ("{provider}" in text and not _is_known(provider, about)):
        return None
    names = {"provider": provider, "model": error.model or "", "file": str(about.file or config_file())}
    if not text.startswith("modelbay "):
        return text.format(**{**names, "provider": key_text(provider)})
    own = f" --config {quote(str(about.file))}" if about.file and about.file != config_file() else ""
    return f"`{text.format(**{name: quote(value) for name, value in names.items()})}{own}`"


def _in_code(about: About) -> bool:
    """Whether the reader is a program that describes its providers itself."""
    return about.face == "library" and about.file == IN_CODE


def _is_known(provider: str, about: About) -> bool:
    """Whether a hint may name a provider: it is configured, and cannot be mistaken for an option."""
    return bool(provider) and not provider.startswith("-") and (about.known is None or provider in about.known)


def _at(advice: str, about: About) -> str | None:
    """The error's own hint for this face: without commands for unknown providers, and in the app without commands that the app
    cannot run. None if nothing remains."""
    if about.face == "library" and advice == CONNECT:
        return f"{advice}, or describe it in code: Hub.of(VENDOR, api_key=KEY)"

    def put(match: re.Match[str]) -> str:
        said = match["words"] or match["bare"]
        words = said.split()
        if about.face == "app":
            runs = not any(word.startswith("--") and word != "--api-key" for word in words)
            return next((slash for start, slash in SLASH if runs and said.startswith(start)), CUT)
        if about.face == "library" and not any(said.startswith(start) for start, word in IN_PYTHON if word is None):
            return next((word or match[0] for start, word in IN_PYTHON if said.startswith(start)), CUT)
        one = next((len(start.split()) for start in OF_PROVIDERS if said.startswith(f"{start} ")), 0)
        try:
            named = split(said)[one] if one and len(words) > one else None
        except ValueError:
            named = None
        return CUT if named and named[0] != "-" and not _is_known(named, about) else match[0]

    text = COMMAND.sub(put, advice)
    if about.face == "app":
        text = PASS_KEY.sub("enter the API key", WITH_KEY.sub("", text)).replace(STANDARD_INPUT, "")
        text = OPTION.sub(CUT, text)
    if about.face == "library":
        text = OPTION.sub(_argument, text.replace("{file}", str(about.file or "the configuration")))
    return _without_cut(text) or None


def _argument(option: re.Match[str]) -> str:
    """The argument of the library for an option."""
    name = option["name"].replace("-", "_")
    return f"{name}={(option['value'] or ' …').strip()}" if name in ARGUMENTS else CUT


def _without_cut(text: str) -> str:
    """The parts of a hint that can be followed. A part with a cut is removed whole: the rest of it would be a fragment."""
    text = re.sub(rf" \([^()]*{CUT}[^()]*\)", "", text)
    parts, between = CLAUSE.split(text), ["", *CLAUSE.findall(text)]
    kept = [(before, part) for before, part in zip(between, parts, strict=True) if CUT not in part]
    return "".join(f"{before if number else ''}{part}" for number, (before, part) in enumerate(kept)).strip()


def name_request(error: ModelbayError) -> None:
    """Put method and URL of a failed request before its message."""
    sent = isinstance(error, TransportError | ProviderError | ReplyError)
    named = error.request and (error.request in error.message or shown(error.request) in error.message)
    if sent and error.request and not named:  # its URL may contain the key, which is masked in the message
        status = f" returned {error.status}" if error.status and str(error.status) not in error.message else ""
        error.message = f"{error.request}{status}: {error.message}"


def _name_provider(error: ModelbayError) -> None:
    """Put the provider before the message of an error that it did not send itself."""
    if (
        isinstance(error, TransportError | ReplyError)
        and error.provider
        and not error.message.startswith(error.provider)
    ):
        error.message = f"{error.provider}: {error.message}"


def _is(name: str, file: Path) -> bool:
    """Whether `name` is the configuration file. modelbay's commands do not change other files, such as an agent's."""
    return Path(name).resolve() == file.resolve()


def title(error: ModelbayError) -> str:
    """The title of an error, as in troubleshooting guides."""
    return row_of(error).title


def _shown(error: ModelbayError) -> None:
    error.message = shown(error.message)
    error.args = (error.message,)
    for name in ("body", "type", "code", "param", "location", "request_id"):
        if isinstance(value := getattr(error, name, None), str):
            setattr(error, name, shown(value))
    if isinstance(error, ProviderError) and error.headers:
        error.headers = {name: shown(value) for name, value in error.headers.items()}  # some servers quote the request


ModelbayError.note_of = staticmethod(_note)  # type: ignore[method-assign]
