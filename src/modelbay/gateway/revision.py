"""One state of the configuration, and what is derived from it. A change of the file makes a new revision; requests in
progress keep theirs."""

import asyncio
from contextlib import suppress

from msgspec.structs import replace

from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, GatewaySettings
from modelbay.errors import ConfigError
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.names import ModelNames
from modelbay.line import ProviderClient
from modelbay.model import Model
from modelbay.target import Target, Targets
from modelbay.transport import Transport


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
        self._names = ModelNames(config)

    async def target(self, name: str | None) -> Target:
        """The target of the model that a client asks for.

        Raises:
            UnknownModel: no model has that name.
            ConfigError: its provider's entry is invalid.
        """
        entry = self._names.find(name)
        if not self.targets.knows(entry):
            return await asyncio.to_thread(self.targets.of, entry)  # may read model lists from disk
        return self.targets.of(entry)

    async def keeper(self, target: Target, request: ClientRequest) -> str:
        """The account at which a request's response is kept; "" if the target keeps none. Raises what
        `ProviderClient.endpoint` raises."""
        to = target.upstream
        if not to.dialect.keeps_responses or to.protocol != request.protocol:
            return ""
        path = request.codec.PASS.path("generate", target.model.id)
        return (await self.providers.endpoint(target, path, stream=False)).account

    async def models(self) -> list[Model]:
        """All models, each with the name that clients use as its ID: aliases, and the exact names of `[gateway.names]`."""
        return await asyncio.to_thread(self._models)

    def _models(self) -> list[Model]:
        found = {target.entry.alias: target.model for target in self.targets.all()}
        for name in self.settings.names:
            if "*" not in name:
                with suppress(ConfigError):
                    found[name] = self.targets.of(self._names.find(name)).model
        return [replace(model, id=name, name=model.name or name) for name, model in found.items()]

    async def aclose(self) -> None:
        await self.providers.aclose()
