"""Writes and updates a provider from a catalog or registry, and keeps the user's own settings.

`merge` does this for the models. This module does it for the provider's entry, whose API key belongs to one origin.
"""

from msgspec import Struct, field

from modelbay.catalog.lists.entry import Gaps
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.entries import Unusable, provider_entry
from modelbay.config.schema import Config, Table
from modelbay.errors import ConfigError
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.merge import Memory, Merged, Ownership, WrittenProvider
from modelbay.origin import Origin, origin
from modelbay.providers.upstream import upstream
from modelbay.secrecy import masked_url, secret_header

SECRETS = ("api_key", "api_key_env", "env", "custom_headers", "oauth", "tls")
"""Keys of a provider that may be sent to its own host only."""
KEYS = ("api_key", "oauth")
"""Keys of a model that may be sent to its own host only."""
PLACE = ("type", "base_url", "dialect", "api_key", "api_key_env")
"""Keys of a provider that are written together or not at all."""
SHOWN = ("type", "base_url", "dialect")
"""Keys of a provider whose change is reported: they decide the URL and the protocol of calls."""


class Imported(Struct, kw_only=True):
    """A provider from a catalog or registry, ready to be written."""

    id: str
    name: str = ""
    """Display name in the source; "" if it has none other than the ID."""
    table: Table = field(default_factory=dict)
    """The provider's keys to write. Other keys of an existing entry do not change."""
    models: dict[str, Table] = field(default_factory=dict)
    """The models' tables by model ID."""
    names: dict[str, str] = field(default_factory=dict)
    """Aliases by model ID, for models whose alias is not derived from the model ID."""
    owner: Ownership
    only: list[str] = field(default_factory=list)
    """IDs of the new models to write; empty: all."""
    gaps: Gaps = field(default_factory=Gaps)
    """Models that could not be read."""
    may_move: bool = False
    """Whether the provider may move to another host, because the user just gave an API key for it."""

    def __repr__(self) -> str:
        return f"Imported({self.id!r}, {len(self.models)} models)"


def owner_of(keys: tuple[str, ...]) -> Ownership:
    """Ownership of a list that sets these keys. It always sets `max_context_size`, which identifies its models."""

    def wrote(provider: str, alias: str, table: Table) -> bool:
        return alias.startswith(f"{provider}/") and "max_context_size" in table

    return Ownership(frozenset(keys), wrote)


def write(edit: Edit, made: Imported, *, again: bool = False) -> WrittenProvider:
    """Add or update the provider. Models that the user removed are added again only with `again`.

    Raises:
        ConfigError: the configuration would be invalid, or an alias belongs to another provider.
    """
    last = merging.recall(made.id)
    if edit.get("providers", made.id) is None:
        changes.add_provider(edit, made.id, made.table)
        return WrittenProvider(provider=made.id, new=True, models=_merged(edit, made, None, again=True))
    table, other = dict(made.table), None
    if (elsewhere := _elsewhere(edit, made)) is not None:
        if made.may_move:
            _check_alone(edit, made, elsewhere)
        else:
            other = elsewhere
            table = {key: value for key, value in table.items() if key not in PLACE}
    before = edit.get("providers", made.id)
    changes.change_provider(edit, made.id, {(key,): value for key, value in table.items()})
    now = edit.get("providers", made.id)
    changed = [
        f"{key} {_shown(before.get(key))} → {_shown(now.get(key))}" for key in SHOWN if before.get(key) != now.get(key)
    ]
    moved = before.get("base_url") != now.get("base_url")
    renamed = merging.rename(edit, made.id, made.name, last)
    models = _merged(edit, made, last, again=again)
    return WrittenProvider(
        provider=made.id, models=models, elsewhere=other, changed=changed, moved=moved, renamed=renamed
    )


def remember(made: Imported) -> None:
    """Store the written values. Values that differ from them at the next refresh were changed by the user."""
    memory = merging.seen(str(made.table.get("base_url", "")), made.models, merging.recall(made.id), made.gaps)
    memory.name = made.name
    merging.remember(made.id, memory)


def _shown(value: object) -> str:
    """A value of a provider for display, without secrets of a URL."""
    return "(not set)" if value is None else masked_url(value) if isinstance(value, str) else "another table"


def _merged(edit: Edit, made: Imported, last: Memory | None, *, again: bool) -> Merged:
    models = merging.limited(edit, made.id, _at_home(edit, made), made.only)
    known = last.models if last else {}
    there = {table.get("model") for table in edit.models_of(made.id).values()}
    named = {
        alias: {"model": id, **models[id]}
        for id, alias in made.names.items()
        if id in models and id not in there and (again or id not in known)
    }
    added = changes.put_models(edit, made.id, named).added
    merged = merging.merge(edit, made.id, models, made.owner, last, again=again, gaps=made.gaps)
    merged.added = [*added, *merged.added]
    return merged


def _at_home(edit: Edit, made: Imported) -> dict[str, Table]:
    """The models without those on another origin than their provider, to which the provider's API key would be sent."""
    home = origin_of(edit, made.id, edit.get("providers", made.id))

    def stays(table: Table) -> bool:
        try:
            return "base_url" not in table or origin(table["base_url"]) == home
        except ValueError:
            return False

    return {id: table for id, table in made.models.items() if stays(table)}


def _elsewhere(edit: Edit, made: Imported) -> str | None:
    """The new origin, if the provider would move and its secrets would be sent there; otherwise None."""
    old = edit.get("providers", made.id)
    if not any(old.get(key) for key in SECRETS) and not _keyed(edit, made.id):
        return None
    if "base_url" not in made.table and "type" not in made.table:
        return None
    there, new = origin_of(edit, made.id, old), origin_of(edit, made.id, {**old, **made.table})
    # the origin of an invalid entry is unknown: compare the text of the URLs
    stays = new == there if there else old.get("base_url") == made.table.get("base_url")
    return None if stays else str(new or "an invalid URL")


def origin_of(edit: Edit, id: str, table: Table) -> Origin | None:
    """The origin of a provider's table; None: the table is invalid."""
    try:
        return upstream(Config(path=edit.path), provider_entry(id, table)).origin
    except (ConfigError, Unusable):
        return None


def _keyed(edit: Edit, id: str) -> list[str]:
    """The provider's models that have their own API keys and the provider's URL."""
    return [
        alias
        for alias, table in edit.models_of(id).items()
        if any(table.get(key) for key in KEYS) and not table.get("base_url")
    ]


def _check_alone(edit: Edit, made: Imported, new: str) -> None:
    """
    Raises:
        ConfigError: the provider has other secrets that were given for the old origin.
    """
    headers = edit.get("providers", made.id, "custom_headers") or {}
    others = [
        f"the header {name}" for name, value in headers.items() if secret_header(name, str(value)) or "{" in str(value)
    ]
    others += [f"the key of model {alias}" for alias in _keyed(edit, made.id)]
    if others:
        raise ConfigError(
            f'provider "{made.id}" moved to {new}, but {others[0]} was given for the old URL',
            hint=f"remove it from {edit.path} first",
            provider=made.id,
        )
