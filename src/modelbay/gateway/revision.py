"""One state of the configuration, and what is derived from it. A change of the file makes a new revision; requests in
progress keep theirs."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target, Targets
from modelbay.catalog.facts import day
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, GatewaySettings
from modelbay.errors import ConfigError
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.headers import Field
from modelbay.gateway.names import ModelNames
from modelbay.serving.codex_models import list_tag
from modelbay.serving.model_lists import ModelList
from modelbay.transport import Transport

if TYPE_CHECKING:
    from modelbay.gateway.search.engine import SearchEngine


class Revision:
    def __init__(self, config: Config, settings: GatewaySettings, transport: Transport, catalog: Catalog) -> None:
        self.config = config
        self.settings = settings
        self.transport = transport
        """May be shared with other states."""
        self.requests = 0
        """Requests in progress."""
        self.targets = Targets(config, catalog)
        self.providers = ProviderClient(config, transport, "client")
        self.search: SearchEngine | None = None
        if settings.search is not None:
            from modelbay.gateway.search import engine  # most gateways have none

            self.search = engine.SearchEngine(config, settings.search, transport)
        self.list_tag = b""
        """The entity tag of the model list for Codex; empty until a client reads the list."""
        self._names = ModelNames(config)

    async def target(self, name: str | None) -> Target:
        """The target of the model that a client asks for.

        Raises:
            UnknownModel: no model has that name.
            ConfigError: its provider's entry is invalid.
        """
        known = self.known_target(name)
        if known is None:
            return await asyncio.to_thread(self.targets.of, self._names.find(name))  # may read model lists from disk
        return known

    def known_target(self, name: str | None) -> Target | None:
        """The result of `target`, if it is known already. Raises what `target` raises."""
        return self.targets.known(self._names.find(name))

    async def keeper(self, target: Target, request: ClientRequest) -> str:
        """The account at which a request's response is kept; "" if the target keeps none. Raises what
        `ProviderClient.endpoint` raises."""
        to = target.upstream
        if not to.dialect.keeps_responses or to.protocol != request.protocol:
            return ""
        path = request.codec.PASS.path("generate", target.model.id)
        return (await self.providers.endpoint(target, path, stream=False)).account

    async def models(self, url: str) -> ModelList:
        """All models, each with the name that clients use as its ID: aliases, and the names that `[gateway.names]` gives them.
        `url`: see `ModelList.url`."""
        return await asyncio.to_thread(self._models, url)

    async def tagged(self, listed: ModelList) -> bytes:
        """The entity tag of the model list for Codex. Replies have it from now on."""
        if not self.list_tag:
            self.list_tag = (await asyncio.to_thread(list_tag, listed.models)).encode()
        return self.list_tag

    def tag_for(self, protocol: str) -> list[Field]:
        """The header with `list_tag`, in replies of the protocol of Codex."""
        return [(b"x-models-etag", self.list_tag)] if self.list_tag and protocol == "openai_responses" else []

    def _models(self, url: str) -> ModelList:
        found = {target.entry.alias: target for target in self.targets.all()}
        for name in self._names.listed():
            with suppress(ConfigError):
                found[name] = self.targets.of(self._names.find(name))
        return self._listed(found, url)

    async def model(self, name: str, url: str) -> ModelList:
        """The model that clients call by this name. Raises what `target` raises."""
        target = await self.target(name)
        return await asyncio.to_thread(self._listed, {name.removeprefix("models/"): target}, url)

    def _listed(self, targets: dict[str, Target], url: str) -> ModelList:
        described = {
            name: self.targets.catalog.described(target.entry, target.upstream) for name, target in targets.items()
        }
        dates = {name: released for name, one in described.items() if (released := day(one.released)) is not None}
        models = [replace(target.model, id=name, name=target.model.name or name) for name, target in targets.items()]
        return ModelList(models, url, dates=dates)

    async def aclose(self) -> None:
        if self.search is not None:
            await self.search.aclose()
        await self.providers.aclose()
