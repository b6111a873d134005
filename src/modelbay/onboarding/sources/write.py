"""A provider that comes from a list, written, and written again: what the list decides is renewed, the user's own stays.

Of its models `merging` sees to that; here it is the provider itself, whose key belongs to where it is.
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
"""What of a provider is for its host and for no other."""
KEYS = ("api_key", "oauth")
"""What of a model is."""
PLACE = ("type", "base_url", "dialect", "api_key", "api_key_env")
"""What is written together or not at all."""
SHOWN = ("type", "base_url", "dialect")
"""What of that is told when it changes: where calls go, and in which protocol."""


class Imported(Struct, kw_only=True):
    """What a list says of one provider."""

    id: str
    table: Table = field(default_factory=dict)
    """The keys of the provider that are to be written; those that it has beside stay."""
    models: dict[str, Table] = field(default_factory=dict)
    """By wire id."""
    names: dict[str, str] = field(default_factory=dict)
    """The aliases of those that are not called by their wire ids."""
    owner: Ownership
    only: list[str] = field(default_factory=list)
    """The IDs of the new models to write; none: all."""
    gaps: Gaps = field(default_factory=Gaps)
    """Its models that could not be read."""
    may_move: bool = False
    """Whether the provider's secrets may go to another host: the user gave the key for it just now."""

    def __repr__(self) -> str:
        return f"Imported({self.id!r}, {len(self.models)} models)"


def owner_of(keys: tuple[str, ...]) -> Ownership:
    """What is a list's that fills in these keys. Its models can be told by their size, which it never leaves out."""

    def wrote(provider: str, alias: str, table: Table) -> bool:
        return alias.startswith(f"{provider}/") and "max_context_size" in table

    return Ownership(frozenset(keys), wrote)


def write(edit: Edit, made: Imported, *, again: bool = False) -> WrittenProvider:
    """Adds the provider, or renews it. Models that the user took out come back only if it is added `again`.

    Raises:
        ConfigError: something would not be usable, or an alias belongs to another provider.
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
    models = _merged(edit, made, last, again=again)
    return WrittenProvider(provider=made.id, models=models, elsewhere=other, changed=changed, moved=moved)


def remember(made: Imported) -> None:
    """Keeps what the list said, once that is written: whatever is otherwise the next time is the user's."""
    memory = merging.seen(str(made.table.get("base_url", "")), made.models, merging.recall(made.id), made.gaps)
    merging.remember(made.id, memory)


def _shown(value: object) -> str:
    """A key of a provider, for people: no secret of its address."""
    return "nothing" if value is None else masked_url(value) if isinstance(value, str) else "another table"


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
    """The models without those that are somewhere else than their provider, whose key would be taken there."""
    home = origin_of(edit, made.id, edit.get("providers", made.id))

    def stays(table: Table) -> bool:
        try:
            return "base_url" not in table or origin(table["base_url"]) == home
        except ValueError:
            return False

    return {id: table for id, table in made.models.items() if stays(table)}


def _elsewhere(edit: Edit, made: Imported) -> str | None:
    """The host that the provider would move to, where there are secrets that would come along."""
    old = edit.get("providers", made.id)
    if not any(old.get(key) for key in SECRETS) and not _keyed(edit, made.id):
        return None
    if "base_url" not in made.table and "type" not in made.table:
        return None
    there, new = origin_of(edit, made.id, old), origin_of(edit, made.id, {**old, **made.table})
    # of one that cannot be used as it is, only the words tell whether it stays
    stays = new == there if there else old.get("base_url") == made.table.get("base_url")
    return None if stays else str(new or "an address that cannot be used")


def origin_of(edit: Edit, id: str, table: Table) -> Origin | None:
    """Where a provider's table leads; None where it cannot be used."""
    try:
        return upstream(Config(path=edit.path), provider_entry(id, table)).origin
    except (ConfigError, Unusable):
        return None


def _keyed(edit: Edit, id: str) -> list[str]:
    """The provider's models that have keys of their own, which go where the provider is."""
    return [
        alias
        for alias, table in edit.models_of(id).items()
        if any(table.get(key) for key in KEYS) and not table.get("base_url")
    ]


def _check_alone(edit: Edit, made: Imported, new: str) -> None:
    """
    Raises:
        ConfigError: beside the key that was given for the new place there are secrets that were given for the old one.
    """
    headers = edit.get("providers", made.id, "custom_headers") or {}
    others = [
        f"the header {name}" for name, value in headers.items() if secret_header(name, str(value)) or "{" in str(value)
    ]
    others += [f"the key of model {alias}" for alias in _keyed(edit, made.id)]
    if others:
        raise ConfigError(
            f'provider "{made.id}" is at {new} now, and {others[0]} was given for where it was',
            hint=f"take that out of {edit.path} first",
            provider=made.id,
        )
