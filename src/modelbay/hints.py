"""What each error is called and how to fix it: one table, from what was being done and the class of the error to a title, a fix
and what to do, which each face says in its own way: a command, a dialog of the app, an attribute of the library.

An error that knows better brings its own hint; then the table adds what to do only, and not the check of the file or the
search for models where the hint has said what to change.
"""

import re
from collections.abc import Collection
from pathlib import Path
from shlex import quote, split
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from modelbay.config.schema import key_text
from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ConfigSyntaxError,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    Disconnected,
    HubClosed,
    IncompleteReply,
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
    TimedOut,
    TransportError,
    UnknownEffort,
    UnknownModel,
    UnknownProvider,
    Unsupported,
)
from modelbay.secrecy import shown
from modelbay.storage.paths import config_file

Face: TypeAlias = Literal["command", "app", "library"]
"""Where the user is: at the command line, in the app, or in a program of their own."""


class Act(NamedTuple):
    """How to do one thing, by face; None: it cannot be done there. `{provider}`, `{model}` and `{file}` are the error's own."""

    command: str | None
    app: str | None = None
    library: str | None = None

    def at(self, face: Face) -> str | None:
        return getattr(self, face)  # type: ignore[no-any-return]


class Row(NamedTuple):
    """`{provider}` and `{file}` stand for the error's own. `act` is left out where its names are not known."""

    title: str
    fix: str
    act: Act | None = None


_ENTRY = "[providers.{provider}] in {file}"
KEY = Act("modelbay key set {provider}", f"change api_key of {_ENTRY}", f"change api_key of {_ENTRY}")
TEST = Act("modelbay provider test {provider}")
MOVE = Act(
    "modelbay provider edit {provider} --base-url URL",
    f"change base_url of {_ENTRY}",
    f"change base_url of {_ENTRY}",
)
SEARCH = Act("modelbay model search {model}", "/model", "Hub.models()")
LISTED = Act("modelbay model list", "/model", "Hub.models()")
"""In the place of `SEARCH` where no model was named."""
LIST = Act("modelbay provider list", "/provider", "Hub.config.providers")
CHECK = Act("modelbay config check", None, "Hub.config.problems")
LOG_IN = Act("modelbay login {provider}", "/login", "modelbay login {provider}")
REFRESH = Act("modelbay provider refresh {provider}", None, "Hub.discover()")
AZURE = Act("modelbay provider add azure", "/provider")

ROWS: dict[type[ModelbayError], Row] = {
    ModelbayError: Row("Error", "ask again"),
    ConfigError: Row("Unusable Configuration", "fix {file}", CHECK),
    ConfigSyntaxError: Row("Broken Configuration", "fix that line in an editor"),
    UnknownModel: Row("Model Not Found", "name a model of {file}, or provider/wire-id", SEARCH),
    UnknownProvider: Row("Provider Not Found", "name a provider of {file}", LIST),
    MissingCredential: Row("Missing API Key", "set an API key for {provider}", KEY),
    HubClosed: Row("Hub Closed", "open a new hub, or make the call before the hub is closed"),
    Unsupported: Row("Not Supported", "remove that setting, or use a model that has it", SEARCH),
    UnknownEffort: Row("Unknown Effort", "use one of: off, minimal, low, medium, high, xhigh, max"),
    TransportError: Row("Connection Errors", "check that base_url is correct and its API is reachable", TEST),
    ConnectFailed: Row("Connection Errors", "check that base_url is correct and its server is running", MOVE),
    ProxyFailed: Row("Connection Errors", "check the proxy: `proxy` in {file}, or HTTPS_PROXY of the environment"),
    Disconnected: Row(
        "Connection Errors", "ask again; if it fails again, a proxy or firewall may be cutting connections", TEST
    ),
    TimedOut: Row("Timed Out", "ask again, or raise `timeout` in {file}", TEST),
    ProviderError: Row("Provider Error", "the provider says why; ask again", TEST),
    Redirected: Row("Wrong Address", "make the address it points to the base_url, if you trust it", MOVE),
    BadRequest: Row("Bad Request", "remove what the provider refuses, or use another model", SEARCH),
    ContextOverflow: Row("Context Too Long", "shorten the conversation, or use a model with a larger context", SEARCH),
    ContentRefused: Row("Content Refused", "rephrase the prompt, or use another model", SEARCH),
    RequestTooLarge: Row("Request Too Large", "send fewer or smaller files"),
    AuthenticationFailed: Row("Invalid API Key", "enter the API key again, and make sure that it is complete", KEY),
    PermissionDenied: Row("Permission Denied", "check the rights of the API key, or use another model", KEY),
    NotFound: Row("Model Not Found", "check the model's id, and base_url", SEARCH),
    RateLimited: Row("Rate Limit Reached", "wait and ask again, or raise the account's limits at {provider}"),
    QuotaExhausted: Row("Quota Exhausted", "add credit to the account; waiting does not help", KEY),
    Overloaded: Row("Provider Overloaded", "ask again later, or use another model", SEARCH),
    ServerError: Row("Provider Failed", "the fault is the provider's: ask again later, or use another model", SEARCH),
    ReplyError: Row("Unexpected Results", "ask again, or try a different model", SEARCH),
    MalformedReply: Row("Unexpected Results", "check base_url and type, or try a different model", TEST),
    IncompleteReply: Row("Unexpected Results", "ask again: the answer was cut off", TEST),
}
"""Looked up along the error's own class tree, nearest first."""

_ELSE = "name the models yourself"
_LIST: dict[type[ModelbayError], Row] = {
    PermissionDenied: Row("Permission Denied", f"this key may not list models: check its rights, or {_ELSE}", KEY),
    NotFound: Row("Connection Errors", f"check base_url; if the provider has no list of models, {_ELSE}", MOVE),
    BadRequest: Row("Bad Request", f"check base_url and type; if the provider has no list of models, {_ELSE}", MOVE),
    Overloaded: Row("Provider Overloaded", f"try again later, or {_ELSE}"),
    ServerError: Row("Provider Failed", f"try again later, or {_ELSE}"),
    ProviderError: Row("Provider Error", f"try again later, or {_ELSE}", TEST),
    ReplyError: Row("Unexpected Results", "check base_url: the answer is not a list of models", MOVE),
    MalformedReply: Row("Unexpected Results", "check base_url: the answer is not a list of models", MOVE),
    IncompleteReply: Row("Unexpected Results", "try again: the list of models was cut off"),
}
_FETCH: dict[type[ModelbayError], Row] = {
    AuthenticationFailed: Row("Access Denied", "give the token or API key that this URL requires"),
    PermissionDenied: Row("Access Denied", "check the rights of the token or API key for this URL"),
    NotFound: Row("Not Found", "check the URL"),
    BadRequest: Row("Server Error", "check the URL"),
    ReplyError: Row("Unexpected Results", "check the URL: its content is not what was expected"),
    RateLimited: Row("Rate Limit Reached", "wait and try again"),
    ServerError: Row("Server Error", "try again later"),
    Overloaded: Row("Server Error", "try again later"),
    ProviderError: Row("Server Error", "check the URL"),
    Redirected: Row("Wrong Address", "use the URL that it redirects to, if you trust it"),
    MalformedReply: Row("Unexpected Results", "check the URL: its content is not what was expected"),
    IncompleteReply: Row("Unexpected Results", "try again: the content was cut off"),
    Disconnected: Row("Connection Errors", "try again; a proxy or firewall on the way may be cutting connections"),
    TimedOut: Row("Timed Out", "check the URL and the network, then try again"),
    ConnectFailed: Row("Connection Errors", "check the URL and the network"),
    TransportError: Row("Connection Errors", "check the URL and the network"),
}
_LOGIN: dict[type[ModelbayError], Row] = {
    MissingCredential: Row("Not Logged In", "log in", LOG_IN),
    AuthenticationFailed: Row("Login Refused", "log in again", LOG_IN),
    PermissionDenied: Row("Login Refused", "check the rights of your account, then log in again", LOG_IN),
    ConnectFailed: Row("Connection Errors", "check the network, then log in again", LOG_IN),
    Disconnected: Row("Connection Errors", "check the network, then log in again", LOG_IN),
    TransportError: Row("Connection Errors", "check the network, then log in again", LOG_IN),
    TimedOut: Row("Timed Out", "log in again", LOG_IN),
    NotFound: Row("Login Failed", "check the provider's oauth table: the login server does not know this URL"),
    BadRequest: Row("Login Failed", "check the provider's oauth table: the login server refused the request"),
    RateLimited: Row("Rate Limit Reached", "wait, then log in again", LOG_IN),
    Overloaded: Row("Login Failed", "the login server failed: log in again later", LOG_IN),
    ServerError: Row("Login Failed", "the login server failed: log in again later", LOG_IN),
    ProviderError: Row("Login Failed", "log in again", LOG_IN),
    ReplyError: Row("Login Failed", "check the provider's oauth table: this is not a login server's answer"),
    MalformedReply: Row("Login Failed", "check the provider's oauth table: this is not a login server's answer"),
}
_UPLOAD: dict[type[ModelbayError], Row] = {
    NotFound: Row(
        "Upload Failed", "the provider has no uploads at this URL: check base_url, or send a smaller file", MOVE
    ),
    BadRequest: Row("Upload Failed", "send another file: the provider says what it refuses"),
    Overloaded: Row("Provider Overloaded", "upload again later"),
    ServerError: Row("Provider Failed", "the fault is the provider's: upload again later"),
    ReplyError: Row("Upload Failed", "check base_url: this is not the answer to an upload", MOVE),
    MalformedReply: Row("Upload Failed", "check base_url: this is not the answer to an upload", MOVE),
}
OPERATIONS: dict[Operation, dict[type[ModelbayError], Row]] = {
    "ask": {},
    "list": _LIST,
    "fetch": _FETCH,
    "login": _LOGIN,
    "token": _LOGIN,
    "upload": _UPLOAD,
}
"""The rows of what was being done, before those of the class alone."""

AZURE_MAX_TOKENS = Row(
    "Azure GPT-5 rejects `max_tokens`",
    'add it as an Azure provider, or set dialect.max_tokens_parameter = "max_completion_tokens" in {file}',
    AZURE,
)
WEB_PAGE = Row("Wrong Address", "check base_url: this looks like a web page, not an API", MOVE)
OF_A_MANIFEST: dict[type[ModelbayError], Row] = {
    AuthenticationFailed: Row(
        "Invalid API Key",
        "verify that you have entered the provider's API key, and its manifest's `baseUrl`, {manifest}",
        KEY,
    ),
    NotFound: Row(
        "Model Not Found",
        "verify the manifest's `baseUrl`, {manifest}, that the API key is the provider's, and the model's id",
        REFRESH,
    ),
}
"""The rows for a provider that was added by its manifest: who publishes that may have erred in it."""
COMMAND = re.compile(r"`(?:modelbay) (?P<words>[a-z][^`]*)`|\b(?:modelbay) (?P<bare>[^`;]+)")
"""A command in an error's own hint."""
CUT = "\0"
"""In the place of a command that does not hold."""
OF_PROVIDERS = (
    "key set",
    "key delete",
    "provider edit",
    "provider test",
    "provider refresh",
    "provider show",
    "provider remove",
)
"""Commands whose first argument is a provider of the configuration."""
SLASH = (
    ("login", "/login"),
    ("logout", "/logout"),
    ("provider add", "/provider"),
    ("provider list", "/provider"),
    ("model default", "/model"),
    ("model list", "/model"),
    ("model search", "/model"),
)
"""What the app has in the place of a command."""
CUT_OFF_HTML = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def row_of(error: ModelbayError) -> Row:
    """The row for an error: by what was being done and its class, but where its words tell more."""
    own = OPERATIONS[error.operation or "ask"]
    if isinstance(error, BadRequest) and "max_completion_tokens" in error.message and "max_tokens" in error.message:
        return AZURE_MAX_TOKENS
    asked = error.operation in (None, "ask", "list")
    if asked and isinstance(error, ProviderError) and (error.status or 500) < 500 and CUT_OFF_HTML.match(error.body):
        return WEB_PAGE  # a page with a 5xx is a proxy's, whose provider fails: its address is right
    return next(rows[kind] for kind in type(error).__mro__ for rows in (own, ROWS) if kind in rows)


class About(Struct, frozen=True):
    """What an error is about, and who reads it."""

    provider: str | None = None
    file: Path | None = None
    """The configuration, if it is not the usual one."""
    manifest: str | None = None
    """The base URL of a provider whose manifest says so."""
    model: str | None = None
    """The model that was asked."""
    face: Face = "library"
    known: Collection[str] | None = None
    """The providers of the configuration: no hint names another one. None: not known."""


def explain(error: ModelbayError, about: About) -> ModelbayError:
    """The same error, told which provider it is about and how to fix it, and without secrets that it quotes.

    What is explained once may be explained again for another face: an error of a Hub is shown by the app.
    """
    error.provider, error.model = error.provider or about.provider, error.model or about.model
    error.manifest = error.manifest or about.manifest
    if error.hint != error.explained:
        error.advice = error.hint  # its raiser's, or that of somebody on its way up who knows better
    _name_request(error)
    _shown(error)
    error.hint = error.explained = _hint(error, about)
    return error


def _hint(error: ModelbayError, about: About) -> str:
    row, file = row_of(error), about.file or config_file()
    provider = error.provider if error.provider and _is_known(error.provider, about) else "the provider"
    names = {"provider": provider, "file": str(about.file or "the configuration")}
    if error.manifest is not None and error.operation in (None, "ask"):
        row = OF_A_MANIFEST.get(type(error), row)
        names["manifest"] = shown(error.manifest)
    if theirs := type(error) is ConfigError and error.file is not None and not _is(error.file, file):
        names["file"] = error.file or ""
    advice = _at(error.advice, about) if error.advice else None
    text = advice or row.fix.format(**names)
    general = row.act is CHECK or isinstance(error, Unsupported)
    if theirs or row.act is None or "modelbay " in text or (advice and general):
        return text
    act = _spelt(row.act, error, about)
    return f"{text} ({act})" if act and act not in text else text


def _spelt(act: Act, error: ModelbayError, about: About) -> str | None:
    """What to do, with the error's own names; None where one of them is missing, or it cannot be done here."""
    if act is SEARCH and (error.model is None or error.model.startswith("-")):
        act = LISTED
    text = act.at(about.face)
    provider = error.provider or ""
    if text is None or ("{provider}" in text and not _is_known(provider, about)):
        return None
    names = {"provider": provider, "model": error.model or "", "file": str(about.file or config_file())}
    if not text.startswith("modelbay "):
        return text.format(**{**names, "provider": key_text(provider)})
    own = f" --config {quote(str(about.file))}" if about.file and about.file != config_file() else ""
    return f"`{text.format(**{name: quote(value) for name, value in names.items()})}{own}`"


def _is_known(provider: str, about: About) -> bool:
    """Whether a hint may name a provider: it is in the configuration, and cannot be taken for an option."""
    return bool(provider) and not provider.startswith("-") and (about.known is None or provider in about.known)


def _at(advice: str, about: About) -> str | None:
    """An error's own hint as it holds here: without commands for a provider that is not configured, and in the app without
    those that it cannot run. None where nothing is left."""

    def put(match: re.Match[str]) -> str:
        said = match["words"] or match["bare"]
        words = said.split()
        if about.face == "app":
            return next((slash for start, slash in SLASH if said.startswith(start)), CUT)
        one = next((len(start.split()) for start in OF_PROVIDERS if said.startswith(f"{start} ")), 0)
        try:
            named = split(said)[one] if one and len(words) > one else None
        except ValueError:
            named = None
        return CUT if named and named[0] != "-" and not _is_known(named, about) else match[0]

    text = COMMAND.sub(put, advice)
    if about.face == "app":
        text = re.sub(r"\b(?:add|with|give) --api-key(?: KEY)?", "enter the API key", text)
        text = re.sub(r"(?<!\S)--[a-z][a-z-]*", CUT, text)
    text = (
        re.sub(rf"(?:^|; |, or |, | \()[^;,(]*{CUT}[^;,]*", "", text).removeprefix(", or ").removeprefix("; ").strip()
    )
    return text or None


def _name_request(error: ModelbayError) -> None:
    """Puts method and URL of a failed request before what is said of it."""
    sent = isinstance(error, TransportError | ProviderError | ReplyError)
    if sent and error.request and error.request not in error.message:
        status = f" returned {error.status}" if error.status and str(error.status) not in error.message else ""
        error.message = f"{error.request}{status}: {error.message}"


def _is(name: str, file: Path) -> bool:
    """Whether a file that an error names is the configuration; others, such as an agent's, are not for our commands."""
    return Path(name).absolute() == file.absolute()


def title(error: ModelbayError) -> str:
    """What an error is called, as troubleshooting guides call it."""
    return row_of(error).title


def _shown(error: ModelbayError) -> None:
    error.message = shown(error.message)
    error.args = (error.message,)
    for name in ("body", "type", "code", "param", "location", "request_id"):
        if isinstance(value := getattr(error, name, None), str):
            setattr(error, name, shown(value))
