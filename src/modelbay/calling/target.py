"""Targets: the models of a configuration, resolved and ready to be called."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.config.schema import Config, ModelEntry
from modelbay.conversation import Provenance
from modelbay.credentials.credential import with_references
from modelbay.credentials.reference import Witness
from modelbay.errors import ConfigError
from modelbay.model import Model
from modelbay.protocols.codec import Codec, codec
from modelbay.providers.endpoint import Endpoint
from modelbay.providers.upstream import Upstream, upstream

if TYPE_CHECKING:
    from modelbay.catalog.lookup import Catalog


class Target:
    """A model of one provider: its entry, the provider that serves it, and its facts. It does not change, so values that
    follow from these are derived once."""

    def __init__(self, entry: ModelEntry, upstream: Upstream, model: Model) -> None:
        self.entry = entry
        self.upstream = upstream
        self.model = model
        self.endpoints: dict[tuple[str, bool], tuple[Witness, Endpoint]] = {}
        """Its endpoints by path and streaming, each with the witness of the references in it: see `ProviderClient.endpoint`."""
        self.codec: Codec = codec(upstream.protocol)
        """The codec of the provider's protocol."""
        self.provenance = Provenance(upstream.protocol, upstream.vendor, model.family)
        """The origin of the parts of its replies."""
        self.origin = str(upstream.origin)
        self.references = with_references(upstream.provider, upstream.model)
        """The values of its endpoints that contain references."""
        self.derived: dict[type, Any] = {}
        """Kept for its users: conclusions from it, by their type."""


class Targets:
    """The targets of a configuration. Each is resolved once."""

    def __init__(self, config: Config, catalog: "Catalog | None" = None) -> None:
        """`catalog`: default, a new one on first use."""
        self.config = config
        if catalog is not None:
            self.catalog = catalog
        self._known: dict[tuple[str, str | None], Target] = {}

    @cached_property
    def catalog(self) -> "Catalog":
        """Facts about models from providers' lists and models.dev."""
        from modelbay.catalog.lookup import Catalog

        return Catalog()

    def find(self, name: str | None = None) -> Target:
        """The target of an alias or `provider/model-id`; without a name, of the default model. May read model lists from
        disk.

        Raises:
            UnknownModel, UnknownProvider, ConfigError: there is no such model, or its provider's entry is invalid.
        """
        return self.of(self.config.model(name))

    def of(self, entry: ModelEntry) -> Target:
        """The target of a model's entry. Raises what `upstream` raises."""
        key = entry.alias, entry.variant
        found = self._known.get(key)
        if found is None:
            to = upstream(self.config, self.config.provider_of(entry), entry)
            to = fitted(to, self.catalog.record(entry, to))
            found = Target(entry, to, model_facts(entry, to, self.catalog.facts(entry, to)))
            # names such as `provider/model-id` need no entry, so any number can be asked for
            if len(self._known) >= len(self.config.models) + _MOST:
                self._known.clear()
            self._known[key] = found
        return found

    def known(self, entry: ModelEntry) -> Target | None:
        """The result of `of` if it is there at once, without reading from disk."""
        return self._known.get((entry.alias, entry.variant))

    def all(self) -> Iterator[Target]:
        """The targets of all configured and usable models."""
        for entry in self.config.models.values():
            with suppress(ConfigError):  # its provider is invalid, as `config.problems` reports
                yield self.of(entry)

    def forget(self) -> None:
        """Resolve all targets again, with new facts."""
        self._known.clear()


_MOST = 500
"""Maximum number of targets that are kept besides the configured ones."""
