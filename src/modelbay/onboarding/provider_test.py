"""Tests a provider with small real calls.

A check is "yes" or "no" only for an observed fact. Otherwise it is "unknown", with the reason.
"""

from collections.abc import AsyncIterator

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config
from modelbay.errors import (
    AuthenticationFailed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ReplyError,
    TransportError,
    Unsupported,
)
from modelbay.events import Reply
from modelbay.hub import Hub
from modelbay.onboarding.model_checks import WORD, Check, ModelChecks, counts, explained, replied
from modelbay.providers.upstream import upstream
from modelbay.storage.lessons import LessonBook

NEEDED = ("reachable", "authorized", "protocol", "streaming")
"""The checks that must not fail; the others depend on the model."""


def forget(config: Config, provider: str) -> tuple[int, int]:
    """Delete the lessons about the provider's endpoint, its cached model list and its deep test results. Returns the numbers
    of lessons and of tested models.

    Raises:
        UnknownProvider: the provider does not exist.
        ConfigError: its URL is unknown, or the results cannot be deleted.
    """
    found = upstream(config, config.provider(provider))
    catalog = Catalog()
    catalog.forget(provider)
    return LessonBook().forget(str(found.origin)), catalog.probes.forget(provider)


async def provider_checks(config: Config, provider: str, model: str | None = None) -> AsyncIterator[Check]:
    """The checks of a provider, one after the other. `model` is a model ID or alias; default: the provider's first model.

    Raises:
        UnknownProvider: the provider does not exist.
    """
    config.provider(provider)
    async with Hub(config) as hub:
        tried = _ProviderTest(hub, config, provider, model)
        async for check in tried.run():
            yield check


class _ProviderTest:
    def __init__(self, hub: Hub, config: Config, provider: str, model: str | None) -> None:
        self._hub = hub
        self._config = config
        self._provider = provider
        self._model = model

    async def run(self) -> AsyncIterator[Check]:
        found, problem = await self._list()
        name = self._named(found)
        first: Reply | ModelbayError | None = None
        gone = isinstance(problem, TransportError | AuthenticationFailed | MissingCredential)
        checks = ModelChecks(self._hub, self._provider, name) if name is not None else None
        if checks is not None and not gone:
            first = await checks.ask(WORD)
        reply = first if isinstance(first, Reply) else None
        failure = first if isinstance(first, ModelbayError) else None if reply else problem
        yield self._reachable(found, reply, failure)
        yield self._authorized(found, reply, failure)
        yield self._models(found, problem)
        yield self._protocol(name, first)
        if checks is None or reply is None or not replied(reply):
            for check in ("usage", "streaming", "tools", "thinking", "images"):
                yield Check(check, "unknown", "not tested: no model" if name is None else "not tested")
            return
        yield counts(reply)
        yield await checks.streaming()
        yield await checks.tools()
        yield await checks.thinking(reply)
        yield await checks.images()

    async def _list(self) -> tuple[Discovery | None, ModelbayError | None]:
        entry = self._config.provider(self._provider)
        client = ProviderClient(self._config)
        try:
            found = await discover(self._config, entry, client.fetch)
        except ModelbayError as error:
            return None, explained(error, self._provider, self._hub)
        finally:
            await client.aclose()
        if found.models:
            Catalog().remember(upstream(self._config, entry), found)
        return found, None

    def _named(self, found: Discovery | None) -> str | None:
        """The name of the model to test with, for the hub."""
        if self._model is not None:
            known = self._model in self._config.models or self._model.startswith(f"{self._provider}/")
            return self._model if known else f"{self._provider}/{self._model}"
        mine = [entry.alias for entry in self._config.models.values() if entry.provider == self._provider]
        default = self._config.default_model
        if mine:
            return default if default in mine else mine[0]
        chats = [model.id for model in found.models if model.chats] if found else []
        return f"{self._provider}/{chats[0]}" if chats else None

    def _reachable(self, found: Discovery | None, reply: Reply | None, failure: ModelbayError | None) -> Check:
        where = str(upstream(self._config, self._config.provider(self._provider)).origin)
        if isinstance(failure, TransportError):
            return Check("reachable", "no", failure.message, _hint(failure))
        if found is None and reply is None and (failure is None or not _answered(failure)):
            return Check("reachable", "unknown", "nothing was sent", _hint(failure))
        return Check("reachable", "yes", where)

    def _authorized(self, found: Discovery | None, reply: Reply | None, failure: ModelbayError | None) -> Check:
        if isinstance(failure, AuthenticationFailed | PermissionDenied | MissingCredential):
            return Check("authorized", "no", failure.message, _hint(failure))
        if reply is not None and replied(reply):
            return Check("authorized", "yes", "a model replied")
        if reply is not None:
            return Check("authorized", "unknown", "the reply is empty")
        if failure is not None:
            return Check("authorized", "unknown", "no model replied")
        seen = "models listed, but many providers list them without an API key" if found else "no model replied"
        return Check("authorized", "unknown", seen)

    def _models(self, found: Discovery | None, problem: ModelbayError | None) -> Check:
        if found is None:
            return Check("models", "no", problem.message if problem else "", _hint(problem))
        chats = sum(model.chats for model in found.models)
        more = f", and {len(found.models) - chats} non-chat models" if chats < len(found.models) else ""
        return Check("models", "yes" if found.models else "no", f"{chats} listed{more}")

    def _protocol(self, name: str | None, first: Reply | ModelbayError | None) -> Check:
        if name is None:
            return Check("protocol", "unknown", "not tested: no model", "pass a model with --model")
        if first is None:
            return Check("protocol", "unknown", "not tested")
        if isinstance(first, ModelbayError):
            wrong = not isinstance(first, ReplyError) and first.status is None
            return Check("protocol", "unknown" if wrong else "no", first.message, _hint(first))
        if not replied(first):
            return Check("protocol", "unknown", "the reply is empty")
        model = self._hub.model(name)
        return Check("protocol", "yes", f"{model.protocol}, as {model.alias or model.id}")


def _answered(error: ModelbayError) -> bool:
    """Whether an error shows that the server responded."""
    return isinstance(error, MalformedReply) or (error.status is not None and not isinstance(error, Unsupported))


def _hint(error: ModelbayError | None) -> str | None:
    return error.hint if error else None
