"""How to mend each error: one table, from the class of an error to a line that names the fix."""

from modelbay.config.schema import Config
from modelbay.errors import (
    AuthenticationFailed,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    IncompleteReply,
    MalformedReply,
    ModelbayError,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    ServerError,
    TimedOut,
)
from modelbay.providers.endpoint import Endpoint

HINTS: dict[type[ModelbayError], str] = {
    AuthenticationFailed: "check the key of provider `{provider}` in {file}",
    PermissionDenied: "the key of provider `{provider}` may not use this model; check its permissions",
    NotFound: "check the model id, and `base_url` of provider `{provider}` in {file}",
    ContextOverflow: "shorten the conversation, or use a model with a larger context",
    ContentRefused: "rephrase the prompt; the provider's content filter refused it",
    RequestTooLarge: "send fewer or smaller files",
    RateLimited: "wait and ask again, or raise the account's limits",
    QuotaExhausted: "the account at `{provider}` has no credit left; waiting will not cure it",
    Overloaded: "the provider is overloaded; ask again later, or use another model",
    ServerError: "the provider failed; ask again, or use another model",
    ConnectFailed: "check `base_url` of provider `{provider}` in {file}, and that its server is running",
    TimedOut: "ask again, or raise `timeout` of provider `{provider}` in {file}",
    MalformedReply: "check `base_url` and `type` of provider `{provider}` in {file}",
    IncompleteReply: "what came is not the whole answer; ask again",
}
"""Looked up along the error's own class tree, nearest first."""


def explain(error: ModelbayError, endpoint: Endpoint, config: Config) -> ModelbayError:
    """The same error, told which provider it is about and how to mend it."""
    error.provider = error.provider or endpoint.provider
    if error.hint is None:
        row = next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), None)
        if row is not None:
            error.hint = row.format(provider=endpoint.provider, file=config.path)
    return error
