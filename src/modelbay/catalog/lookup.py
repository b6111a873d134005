"""Facts from sources other than the user: provider tests, the providers' own model lists, as last fetched, and models.dev."""

from collections.abc import Mapping
from functools import cached_property
from time import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog import probed
from modelbay.catalog.facts import PROBE, Facts
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.models_dev.index import IndexEntry
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.config.schema import MANIFEST, ModelEntry
from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.upstream import Upstream
from modelbay.secrecy import masked_url
from modelbay.storage.cache import Cache
from modelbay.storage.probes import ProbedEndpoint, ProbeRecord, ProbeStore

if TYPE_CHECKING:
    from modelbay.catalog.lists.discovery import Discovery

LIST, MODELS_DEV = "models", "models.dev"
"""Their names in `Model.sources`."""


class Seen(Struct):
    """A provider's model list as last fetched."""

    base_url: str
    """Address of the provider at that time, without query and password: another address has another list."""
    url: str
    """URL of the list."""
    when: float
    """Seconds since 1970."""
    models: dict[str, Listed] = field(default_factory=dict)
    """By ID, without `extra`."""


class Catalog:
    """Answers at once, from files that discovery, the refresh of models.dev and provider tests write."""

    def __init__(self, cache: Cache | None = None, probes: ProbeStore | None = None) -> None:
        self.cache = cache or Cache()
        self.probes = probes or ProbeStore()
        self._seen: dict[str, Seen | None] = {}

    @cached_property
    def models_dev(self) -> ModelsDev:
        return ModelsDev(self.cache)

    def facts(self, entry: ModelEntry, found: Upstream) -> list[tuple[Facts, str]]:
        """Facts about a model with their source, best source first. The user's configuration takes precedence over all of them."""
        facts: list[tuple[Facts, str]] = []
        if (record := self.record(entry, found)) is not None:
            facts.append((probed.facts(record), PROBE))
        if entry.listed:
            facts.append((IndexEntry(entry.provider, entry.model, entry.listed).facts, MANIFEST))
        seen = self.seen(found)
        for id in dict.fromkeys((entry.model, entry.identity)):
            if seen is not None and (listed := seen.models.get(id)) is not None:
                facts.append((listed.facts, LIST))
        if (known := self.entry(entry.identity, found)) is not None:
            facts.append((known.facts, MODELS_DEV))
        elif (family := self.models_dev.index.family(entry.identity)) is not None:
            if found.origin.loopback:
                family.max_context_tokens = None  # only the server itself knows what it supports
            facts.append((family, MODELS_DEV))
        return facts

    def entry(self, wire_id: str, found: Upstream) -> IndexEntry | None:
        """The entry of models.dev for a model at exactly this provider: only its prices apply."""
        return self.models_dev.index.at(self.names(found), wire_id)

    def described(self, entry: ModelEntry, found: Upstream | None) -> IndexEntry:
        """A model in its manifest or in models.dev: at this provider, otherwise only its release date at any provider."""
        if entry.listed and "release_date" in entry.listed:
            return IndexEntry(entry.provider, entry.model, entry.listed)
        known = self.entry(entry.identity, found) if found is not None else None
        if known is not None:
            return known
        others = [one.released for one in self.models_dev.index.entries(entry.model) if one.released]
        return IndexEntry(entry.provider, entry.model, {"release_date": min(others, default="")})

    def names(self, found: Upstream) -> list[str]:
        """IDs of a provider at models.dev, likeliest first; several if plans share a host.

        The address decides: a local server configured as "openai" does not have OpenAI's prices.
        """
        source: Mapping[str, object] = found.provider.source or {}
        named = source.get("models_dev_provider_id")
        if isinstance(named, str):
            return [named]
        if found.origin.loopback:
            return []
        index, path = self.models_dev.index, urlsplit(found.base_url).path
        there = index.providers_at(found.origin.host, path)
        preset = presets.by_host(found.origin.host)
        usual = preset.models_dev if preset else []

        def rank(id: str) -> tuple[bool, bool, int, int, str]:
            place = usual.index(id) if id in usual else len(usual)
            # a vendor without an address in the list ranks like one at its host: Perplexity, not its agents at /v1
            elsewhere = id not in there and bool(index.apis.get(id))
            return not (id in there and index.exactly_at(id, path)), elsewhere, place, len(id), id

        return sorted({*there, *usual}, key=rank)

    # --- provider tests ---

    def record(self, entry: ModelEntry, found: Upstream) -> ProbeRecord | None:
        """The results of a deep provider test of the model, if its endpoint is still the same."""
        return self.probes.at(probed_endpoint(entry, found))

    def outdated(self, entry: ModelEntry, found: Upstream) -> ProbeRecord | None:
        """The results for an endpoint that the model no longer has. They are not used."""
        now = probed_endpoint(entry, found)
        records = self.probes.of(found.provider.id)
        return next((record for record in records if record.name == entry.alias and record.endpoint != now), None)

    # --- lists ---

    def remember(self, found: Upstream, discovery: "Discovery") -> None:
        """Store a provider's list for `facts`."""
        models = {model.id: replace(model, extra={}) for model in discovery.models}
        if discovery.gaps and (before := self.seen(found)) is not None:
            models = {id: one for id, one in before.models.items() if discovery.gaps.covers(id)} | models
        seen = Seen(_address(found), masked_url(discovery.url), time(), models)
        self._seen[found.provider.id] = seen
        self.cache.write(msgspec.json.encode(seen), "lists", f"{found.provider.id}.json")

    def seen(self, found: Upstream) -> Seen | None:
        """The provider's list as last fetched from this address."""
        id = found.provider.id
        if id not in self._seen:
            self._seen[id] = self._read(id)
        seen = self._seen[id]
        return seen if seen is not None and seen.base_url == _address(found) else None

    def forget(self, provider: str) -> None:
        """Remove a provider's stored list."""
        self._seen.pop(provider, None)
        self.cache.drop("lists", f"{provider}.json")

    def _read(self, provider: str) -> Seen | None:
        data = self.cache.read("lists", f"{provider}.json")
        try:
            return decode_as(data, Seen) if data else None
        except MalformedReply:
            return None


def probed_endpoint(entry: ModelEntry, found: Upstream) -> ProbedEndpoint:
    """The endpoint of a model, as provider tests are stored for it."""
    return ProbedEndpoint(found.provider.id, _address(found), found.protocol, entry.model)


def _address(found: Upstream) -> str:
    return f"{origin(found.base_url)}{urlsplit(found.base_url).path.rstrip('/')}"
