"""The references of a configuration that require approval, each with the origins that would receive its value."""

from msgspec.structs import replace

from modelbay.config.entries import model_entry, provider_entry
from modelbay.config.schema import Config, ModelEntry, ProviderEntry, Table
from modelbay.credentials.approval import Approval, Source, place_of, references_in, unapproved
from modelbay.errors import ConfigError
from modelbay.providers.search_backends import search_url
from modelbay.providers.upstream import upstream


def wanted(config: Config) -> list[Approval]:
    """All references of a configuration with all origins that would receive their values, in the order of the file."""
    found: dict[Approval, None] = {}
    for entry in config.providers.values():
        mine = [model for model in config.models.values() if model.provider == entry.id and not model.flat]
        found |= dict.fromkeys(_of_entry(config, entry, mine))
    for model in config.models.values():
        if model.flat:
            found |= dict.fromkeys(_of_entry(config, config.provider_of(model), [model]))
    return [*found, *_of_search(config)]


def _of_search(config: Config) -> list[Approval]:
    search = config.gateway.search if config.gateway is not None else None
    if search is None:
        return []
    return [Approval(reference, place_of(search_url(search))) for reference in references_in(search)]


def wanted_by(config: Config, id: str, table: Table, models: dict[str, Table]) -> list[Approval]:
    """The same for a provider that is not written yet, and its models by alias. A model without a provider is standalone.

    Raises:
        Unusable: one of them cannot be an entry.
    """
    entry = provider_entry(id, table)
    return _of_entry(
        config, entry, [model_entry(alias, {"provider": id, **one}, {}, None) for alias, one in models.items()]
    )


def missing(approvals: list[Approval], source: Source) -> list[Approval]:
    """The approvals that the user has not given for a file."""
    return [one for one in approvals if unapproved(one.reference, source, (one.origin,))]


def _of_entry(config: Config, entry: ProviderEntry, models: list[ModelEntry]) -> list[Approval]:
    places: dict[str, None] = {}
    for model in (None, *models):
        try:
            places |= dict.fromkeys(upstream(config, entry, model).places)
        except ConfigError:
            continue  # nothing is sent without a URL
    source = entry.source or {}
    references = references_in([replace(entry, source=None), *models])
    found = [Approval(reference, place) for reference in references for place in places]
    try:
        home = place_of(str(source.get("url") or ""))
    except ValueError:
        return found
    return found + [Approval(reference, home) for reference in references_in(source)]
