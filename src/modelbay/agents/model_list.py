"""Agents that repeat the settings of calls for each model: models with the same settings become the models of one provider."""

from collections.abc import Callable, Hashable

from msgspec import Struct, field

from modelbay.agents.agent import ImportedConfig, ImportedProvider
from modelbay.agents.findings import MergedConfig
from modelbay.agents.importing import add_usable
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.onboarding.fields import free_name


class ModelListReader(Struct):
    """The models that were read so far, and their providers."""

    merged: MergedConfig
    result: ImportedConfig
    providers: dict[Hashable, ImportedProvider] = field(default_factory=dict)
    """By everything that the models of one provider have in common."""
    places: dict[str, Keys] = field(default_factory=dict)
    """The path of each model in the agent's configuration, by its alias."""

    def read_list(self, list: str, read: Callable[[Keys], str]) -> None:
        """Call `read` with the path of each model. It adds the model, or returns why the model cannot be used."""
        for key in self.merged.table(list):
            if why := read((list, key)):
                self.result.skipped[key] = why
                self.merged.override_unsupported(list, key, why=why)

    def shared(self, settings: Hashable, provider: ImportedProvider, id: str) -> ImportedProvider:
        """The provider with these settings. `provider` is the first one, and gets an ID like `id`."""
        if settings not in self.providers:
            provider.id = free_name(id, {other.id for other in self.providers.values()})
            self.providers[settings] = provider
        return self.providers[settings]

    def add(self, provider: ImportedProvider, alias: str, table: Table, path: Keys) -> None:
        """Add a model to its provider."""
        provider.models[alias] = table
        self.places[alias] = path

    def add_providers(self) -> None:
        """Add the usable providers to the result."""
        add_usable(self.result, self.providers.values(), self.merged, self.places.__getitem__)

    def usable(self) -> list[str]:
        """The aliases of the models in the result, in the order of the list."""
        usable = {alias for provider in self.result.providers for alias in provider.models}
        return [alias for alias in self.places if alias in usable]
