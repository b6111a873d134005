"""Refreshing the providers of catalogs and registries: one question for all that share a source."""

from modelbay.config.edit import Edit
from modelbay.config.schema import Config, ProviderEntry
from modelbay.errors import ModelbayError
from modelbay.line import Line
from modelbay.onboarding.sources import catalogs, imported, registries
from modelbay.onboarding.sources.catalogs import Shelf
from modelbay.onboarding.sources.imported import Written
from modelbay.onboarding.sources.merging import Merged
from modelbay.onboarding.sources.refresh import Answer, Changed


async def of_catalogs(config: Config, line: Line, entries: list[ProviderEntry]) -> list[Answer]:
    """What models.dev, or another list, says of each provider that was added from there."""
    shelves: dict[str | None, Shelf | ModelbayError] = {}
    answers = []
    for entry in entries:
        url = (entry.source or {}).get("url")
        if url not in shelves:
            try:
                shelves[url] = await catalogs.opened(config, url)
            except ModelbayError as error:
                shelves[url] = error
        answers.append(_of_catalog(config, shelves[url], entry))
    return answers


def _of_catalog(config: Config, shelf: Shelf | ModelbayError, entry: ProviderEntry) -> Answer:
    try:
        if isinstance(shelf, ModelbayError):
            raise shelf
        if shelf.problem:  # a list of another day must not take back what a newer one has brought
            raise ModelbayError(shelf.problem.partition(";")[0])
        made = catalogs.renewal(config, shelf, entry)
    except ModelbayError as error:
        return Answer(kind=catalogs.KIND, providers=[entry.id], error=error)

    def write(edit: Edit, agreed: bool) -> list[Changed]:
        return [Changed(provider=entry.id, models=imported.write(edit, made).models)]

    def remember(agreed: bool) -> None:
        imported.remember(made)

    return Answer(kind=catalogs.KIND, providers=[entry.id], write=write, remember=remember)


async def of_registries(config: Config, line: Line, entries: list[ProviderEntry]) -> list[Answer]:
    """What each registry says of all its providers, also those that nobody asked for."""
    wanted = {str((entry.source or {}).get("url")).strip() for entry in entries}
    tokens = registries.urls_of(config)
    return [await _of_registry(config, url, tokens.get(url, [])) for url in tokens if url in wanted]


async def _of_registry(config: Config, url: str, tokens: list[str]) -> Answer:
    members = registries.members(config, url)
    try:
        made = registries.renewal(config, await registries.fetched(config, url, tokens))
    except ModelbayError as error:
        error.provider = error.provider or members[0]
        return Answer(kind=registries.KIND, providers=members, error=error)

    def write(edit: Edit, agreed: bool) -> list[Changed]:
        outcome = registries.write(edit, made, again=False)
        found = [
            _changed(item, written)
            for item, written in zip(made.items, outcome.providers, strict=True)
        ]  # fmt: skip
        for gone in outcome.removed:
            notes = [f"there is no default model any more; it was {gone.default_model}"] * bool(gone.default_model)
            found.append(
                Changed(provider=gone.providers[0], models=Merged(removed=gone.models), gone=True, notes=notes)
            )
        if found and made.left:
            found[-1].notes += [f"left out of the registry: {left.where}: {left.why}" for left in made.left]
        return found

    def remember(agreed: bool) -> None:
        registries.remember(made)

    return Answer(kind=registries.KIND, providers=members, write=write, remember=remember)


def _changed(item: registries.Item, written: Written) -> Changed:
    changed = Changed(provider=written.provider, models=written.models, new=written.new)
    if written.moved:
        changed.notes.append(
            f"it stays where it is: the registry says {written.moved} now, for which its key was not given; to follow, add "
            f"the registry again with --provider-key {written.provider}=KEY"
        )
    elif item.wants_key:
        changed.notes.append(f"it has no key yet: modelbay key set {written.provider}")
    return changed
