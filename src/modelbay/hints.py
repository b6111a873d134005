"""What each error is called and how to mend it: one table, from the class of an error to a title, a fix and a command.

An error that knows better brings its own hint; then the table adds the command only, and not the one that checks the file
or searches models where the hint has said what to change.
"""

import re
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from modelbay.config.paths import config_file
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


class Row(NamedTuple):
    """`{provider}` and `{file}` stand for the error's own. A command that needs a provider nobody knows is left out."""

    title: str
    fix: str
    command: str | None = None


KEY = "modelbay key set {provider}"
TEST = "modelbay provider test {provider}"
MOVE = "modelbay provider edit {provider} --base-url URL"
SEARCH = "modelbay model search WORDS"
CHECK = "modelbay config check"

ROWS: dict[type[ModelbayError], Row] = {
    ModelbayError: Row("Error", "ask again"),
    ConfigError: Row("Unusable Configuration", "mend {file}", CHECK),
    ConfigSyntaxError: Row("Broken Configuration", "mend that line in an editor"),
    UnknownModel: Row("Model Not Found", "name a model of {file}, or provider/wire-id", SEARCH),
    UnknownProvider: Row("Provider Not Found", "name a provider of {file}", "modelbay provider list"),
    MissingCredential: Row("Missing API Key", "give `{provider}` a key", KEY),
    HubClosed: Row("Hub Closed", "open a new hub, or make the call before the hub is closed"),
    Unsupported: Row("Not Supported", "leave that setting out, or use a model that has it", SEARCH),
    UnknownEffort: Row("Unknown Effort", "use one of: off, minimal, low, medium, high, xhigh, max"),
    TransportError: Row("Connection Errors", "check that base_url is correct and its API is reachable", TEST),
    ConnectFailed: Row("Connection Errors", "check that base_url is correct and its server is running", MOVE),
    ProxyFailed: Row("Connection Errors", "check the proxy: `proxy` in {file}, or HTTPS_PROXY of the environment"),
    Disconnected: Row("Connection Errors", "ask again; if it goes on, look what stands between", TEST),
    TimedOut: Row("Timed Out", "ask again, or raise `timeout` in {file}", TEST),
    ProviderError: Row("Provider Error", "the provider says why; ask again", TEST),
    Redirected: Row("Wrong Address", "make the address it points to the base_url, if you trust it", MOVE),
    BadRequest: Row("Bad Request", "the provider says what it refuses: leave it out, or use another model", SEARCH),
    ContextOverflow: Row("Context Too Long", "shorten the conversation, or use a model with a larger context", SEARCH),
    ContentRefused: Row("Content Refused", "rephrase the prompt, or use another model", SEARCH),
    RequestTooLarge: Row("Request Too Large", "send fewer or smaller files"),
    AuthenticationFailed: Row("Invalid API Key", "the key was refused: give it anew, copied whole", KEY),
    PermissionDenied: Row(
        "Permission Denied", "this key may not use this model: check its rights, or use another", KEY
    ),
    NotFound: Row("Model Not Found", "check the model's id, and base_url", SEARCH),
    RateLimited: Row("Rate Limit Reached", "wait and ask again, or raise the account's limits at `{provider}`"),
    QuotaExhausted: Row("Quota Exhausted", "the account has no credit left, and waiting will not cure it", KEY),
    Overloaded: Row("Provider Overloaded", "ask again later, or use another model", SEARCH),
    ServerError: Row("Provider Failed", "the fault is the provider's: ask again later, or use another model", SEARCH),
    ReplyError: Row("Unexpected Results", "ask again, or try a different model", SEARCH),
    MalformedReply: Row("Unexpected Results", "check base_url and type, or try a different model", TEST),
    IncompleteReply: Row("Unexpected Results", "what came is not the whole answer: ask again", TEST),
}
"""Looked up along the error's own class tree, nearest first."""

AZURE_MAX_TOKENS = Row(
    "Azure GPT-5 rejects `max_tokens`",
    'add it as an Azure provider, or set dialect.max_tokens_parameter = "max_completion_tokens" in {file}',
    "modelbay provider add azure",
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
        "modelbay provider refresh {provider}",
    ),
}
"""The rows for a provider that was added by its manifest: who publishes that may have erred in it."""
CUT_OFF_HTML = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def row_of(error: ModelbayError) -> Row:
    """The row for an error: by its class, but where its words tell more."""
    if isinstance(error, BadRequest) and "max_completion_tokens" in error.message and "max_tokens" in error.message:
        return AZURE_MAX_TOKENS
    if isinstance(error, ProviderError) and (error.status or 500) < 500 and CUT_OFF_HTML.match(error.body):
        return WEB_PAGE  # a page with a 5xx is a proxy's, whose provider fails: its address is right
    return next(ROWS[kind] for kind in type(error).__mro__ if kind in ROWS)


def explain(
    error: ModelbayError, provider: str | None = None, file: Path | None = None, manifest: str | None = None
) -> ModelbayError:
    """The same error, told which provider it is about and how to mend it, and without secrets that it quotes.

    `manifest` is the base URL of a provider whose manifest says so.
    """
    error.provider = error.provider or provider
    _shown(error)
    row, names = row_of(error), {"provider": error.provider or "the provider", "file": file or "the configuration"}
    if manifest is not None:
        row = OF_A_MANIFEST.get(type(error), row)
        names["manifest"] = shown(manifest)
    if theirs := type(error) is ConfigError and error.file is not None and not _is(error.file, file or config_file()):
        names["file"] = error.file or ""
    text = error.hint or row.fix.format(**names)
    if row.command and not theirs and (error.provider or "{provider}" not in row.command):
        own = f" --config {quote(str(file))}" if file and file != config_file() else ""
        words = {
            name: quote(str(value)) for name, value in names.items()
        }  # what a registry calls a provider may have blanks
        command = f"`{row.command.format(**words)}{own}`"
        general = row.command == CHECK or isinstance(error, Unsupported)
        text = text if "modelbay " in text or (error.hint and general) else f"{text} ({command})"
    error.hint = text
    return error


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
