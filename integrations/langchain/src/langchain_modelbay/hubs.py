"""The hubs, async and blocking, that the classes of this package share, and modelbay's errors as those of LangChain."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import cast
from weakref import WeakKeyDictionary

from langchain_core import exceptions as theirs

from modelbay import Hub, errors, sync

ERRORS: list[tuple[type[errors.ModelbayError], type[theirs.ModelError]]] = [
    (errors.ContextOverflow, theirs.ContextOverflowError),
    (errors.AuthenticationFailed, theirs.ModelAuthenticationError),
    (errors.PermissionDenied, theirs.ModelPermissionDeniedError),
    (errors.NotFound, theirs.ModelNotFoundError),
    (errors.RateLimited, theirs.ModelRateLimitError),
    (errors.QuotaExhausted, theirs.ModelRateLimitError),
    (errors.BadRequest, theirs.ModelInvalidRequestError),
    (errors.RequestTooLarge, theirs.ModelInvalidRequestError),
    (errors.Unsupported, theirs.ModelInvalidRequestError),
    (errors.TimedOut, theirs.ModelTimeoutError),
    (errors.TransportError, theirs.ModelConnectionError),
    (errors.ProviderError, theirs.ModelAPIError),
    (errors.ReplyError, theirs.ModelAPIError),
]


_counterparts: WeakKeyDictionary[Hub | sync.Hub, Hub | sync.Hub] = WeakKeyDictionary()
"""The hub of the other face, by a hub that a program passed: all its models share it, as each has connections of its own."""


class Hubs:
    """A hub for each face of LangChain."""

    def __init__(self, of: Hub | sync.Hub) -> None:
        if (other := _counterparts.get(of)) is None:
            other = _counterparts[of] = sync.Hub(of.config) if isinstance(of, Hub) else Hub(of.config)
        self.asynchronous, self.blocking = cast(
            tuple[Hub, sync.Hub], (of, other) if isinstance(of, Hub) else (other, of)
        )


@cache
def default_hubs() -> Hubs:
    """Those of the default configuration, which all models without a hub of their own share."""
    return Hubs(Hub.open())


@contextmanager
def errors_as_theirs() -> Iterator[None]:
    """Errors of the configuration are not changed; the others have modelbay's error as their cause."""
    try:
        yield
    except errors.ModelbayError as error:
        kind = next((found for ours, found in ERRORS if isinstance(error, ours)), None)
        if kind is None:
            raise
        raise kind(f"{error.message} ({error.hint})" if error.hint else error.message) from error
