"""One state of the configuration, and what is derived from it. A change of the file makes a new revision; requests in
progress keep theirs."""

import asyncio

from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config, GatewaySettings
from modelbay.gateway.names import ModelNames
from modelbay.line import ProviderClient
from modelbay.target import Target, Targets
from modelbay.transport import Transport


class Revision:
    def __init__(self, config: Config, settings: GatewaySettings, transport: Transport, catalog: Catalog) -> None:
        self.config = config
        self.settings = settings
        self.targets = Targets(config, catalog)
        self.providers = ProviderClient(config, transport)
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

    async def aclose(self) -> None:
        await self.providers.aclose()
