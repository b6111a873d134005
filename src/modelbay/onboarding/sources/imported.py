"""A provider that comes from a list, written, and written again: what the list decides is renewed, the user's own stays.

Of its models `merging` sees to that; here it is the provider itself, whose key belongs to where it is.
"""

from msgspec import Struct, field

from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.entries import Unusable, provider_entry
from modelbay.config.load import parse
from modelbay.config.origin import Origin
from modelbay.config.schema import Table
from modelbay.errors import ConfigError
from modelbay.onboarding.sources import merging
from modelbay.onboarding.sources.merging import Memory, Merged, Ownership, Written
from modelbay.providers.upstream import upstream

SECRETS = ("api_key", "env", "custom_headers", "oauth", "tls")
"""What of a provider is for its host and for no other."""
PLACE = ("type", "base_url", "dialect", "api_key")
"""What is written together or not at all."""


class Import(Struct, kw_only=True):
    """What a list says of one provider."""

    id: str
    table: Table = field(default_factory=dict)
    """The keys of the provider that are to be written; those that it has beside stay."""
    models: dict[str, Table] = field(default_factory=dict)
    """By wire id."""
    names: dict[str, str] = field(default_factory=dict)
    """The aliases of those that are not called by their wire ids."""
    owner: Ownership
    may_move: bool = False
    """Whether the provider's secrets may go to another host: the user gave the key for it just now."""

    def __repr__(self) -> str:
        return f"Import({self.id!r}, {len(self.models)} models)"


def owner_of(keys: tuple[str, ...]) -> Ownership:
    """What is a list's that fills in these keys. Its models can be told by their size, which it never leaves out."""

    def wrote(provider: str, alias: str, table: Table) -> bool:
        return alias.startswith(f"{provider}/") and "max_context_size" in table

    return Ownership(frozenset(keys), wrote)


def write(edit: Edit, made: Import, *, again: bool = False) -> Written:
    """Adds the provider, or renews it. Models that the user took out come back only if it is added `again`.

    Raises:
        ConfigError: something would not be usable, or an alias belongs to another provider.
    """
    last = merging.recall(made.id)
    if edit.get("providers", made.id) is None:
        changes.add_provider(edit, made.id, made.table)
        return Written(provider=made.id, new=True, models=_merged(edit, made, None, again=True))
    table, other = dict(made.table), None
    if not made.may_move and (origin := _elsewhere(edit, made)) is not None:
        other = str(origin)
        table = {key: value for key, value in table.items() if key not in PLACE}
    changes.change_provider(edit, made.id, {(key,): value for key, value in table.items()})
    return Written(provider=made.id, models=_merged(edit, made, last, again=again), elsewhere=other)


def remember(made: Import) -> None:
    """Keeps what the list said, once that is written: whatever is otherwise the next time is the user's."""
    merging.remember(made.id, merging.seen(str(made.table.get("base_url", "")), made.models))


def _merged(edit: Edit, made: Import, last: Memory | None, *, again: bool) -> Merged:
    known = last.models if last else {}
    there = {table.get("model") for table in (edit.get("models") or {}).values() if _provider(table) == made.id}
    named = {
        alias: {"model": id, **made.models[id]}
        for id, alias in made.names.items()
        if id not in there and (again or id not in known)
    }
    added = changes.put_models(edit, made.id, named).added
    merged = merging.merge(edit, made.id, made.models, made.owner, last, again=again)
    merged.added = [*added, *merged.added]
    return merged


def _provider(table: object) -> object:
    return table.get("provider") if isinstance(table, dict) else None


def _elsewhere(edit: Edit, made: Import) -> Origin | None:
    """The host that the provider would move to, where it has secrets that would come along."""
    old = edit.get("providers", made.id)
    if not any(old.get(key) for key in SECRETS):
        return None
    config = parse(edit.text, edit.path)
    try:
        there = upstream(config, config.provider(made.id)).origin
        new = upstream(config, provider_entry(made.id, {**old, **made.table})).origin
    except (ConfigError, Unusable):
        return None  # it goes nowhere as it is; what it becomes is checked when it is written
    return None if new == there else new
