"""Stores a new secret where the old one was: in the keyring or in a file, not in config.toml.

`apply` runs a change of config.toml. If the change writes a secret in place of a reference such as `{keyring:modelbay/acme}`,
the secret is stored in the place that the reference names, and the reference stays. If another entry uses that place too, the
secret is stored in the provider's own place of the same kind, as `modelbay key set` does.
"""

from collections.abc import Callable, Iterator
from shlex import quote
from typing import Any, Generic, TypeVar

from msgspec import Struct

from modelbay.config import edit as editing
from modelbay.config.edit import Edit, Edited
from modelbay.config.load import TomlFault, table_of
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Config, ProviderEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.credentials import approval, storage
from modelbay.credentials.reference import bound_origin
from modelbay.credentials.storage import NewSecret
from modelbay.errors import ConfigError, FileError
from modelbay.origin import Origin, origin
from modelbay.providers.upstream import upstream
from modelbay.secrecy import REFERENCE, Hidden
from modelbay.storage import files

T = TypeVar("T")


class KeyedEdit(Edited[T], Generic[T], frozen=True):
    """The outcome of an edit, and the places of its new secrets."""

    notes: tuple[str, ...] = ()
    """Where each new secret is, if the old one was not in config.toml."""

    @property
    def diff(self) -> str:
        """The diff of config.toml, and what is stored elsewhere."""
        return self.edit.diff + "".join(f"{note}\n" for note in self.notes)


class _Change(Struct, frozen=True):
    """A secret that an edit writes in place of a reference."""

    keys: Keys
    """Place of the reference."""
    written: Keys
    """Place of the secret: another one if the reference is in the `env` table."""
    reference: str
    old: str
    """The reference, and the text around it."""
    new: str

    @property
    def secret(self) -> str | None:
        """The secret without the text around the reference; None if that text changes too."""
        before, _, after = self.old.partition(self.reference)
        inside = self.new.removeprefix(before).removesuffix(after)
        return inside if inside and before + inside + after == self.new else None

    @property
    def title(self) -> str:
        match self.keys:
            case ("models", alias, *_):
                return f"The API key of model {alias}"
            case (_, id, "source", *_):
                return f"The token of the registry of {id}"
            case (_, id, "custom_headers", name):
                return f"The header {name} of {id}"
        return f"The API key of {self.keys[1]}"


class _Move(Struct, frozen=True):
    """A change whose secret is stored in the keyring or in a file."""

    change: _Change
    secret: NewSecret

    def substitute(self, edit: Edit) -> None:
        """Write the reference in place of the secret."""
        change = self.change
        if edit.get(*change.written) != change.new:
            raise FileError(
                f"{edit.path} was changed by another program in the meantime; nothing was written",
                hint="try again",
                file=str(edit.path),
            )
        if change.written != change.keys:
            edit.delete(*change.written)
        edit.set(*change.keys, value=change.old.replace(change.reference, self.secret.reference))


def apply(change: Callable[[Edit], T], config: Config, *, dry_run: bool = False) -> KeyedEdit[T]:
    """Run `change` in one transaction, as `config.edit.apply` does. `change` is run up to twice.

    Raises:
        ConfigError: the file cannot be changed, or a secret cannot be stored; then nothing is changed.
    """
    if not REFERENCE.search((files.content_of(config.path) or b"").decode("utf-8", "replace")):
        plain = editing.apply(change, config.path, dry_run=dry_run)
        return KeyedEdit(plain.result, plain.edit)
    planned = editing.apply(change, config.path, dry_run=True)
    moves, notes = _plan(config, planned.edit)

    def substituted(edit: Edit) -> T:
        result = change(edit)
        for move in moves:
            move.substitute(edit)
        return result

    if dry_run:
        done = editing.apply(substituted, config.path, dry_run=True) if moves else planned
    else:
        with storage.replaced([move.secret for move in moves]):
            done = editing.apply(substituted, config.path)
    return KeyedEdit(done.result, done.edit, tuple(notes))


def place_of(entry: ProviderEntry, config: Config) -> str | None:
    """The keyring or the file that a provider's API key is stored in; None if it is somewhere else."""
    match = REFERENCE.fullmatch(entry.api_key or "")
    return storage.title_of(match[0], config.path) if match and match[1] in ("keyring", "file") else None


def _plan(config: Config, edit: Edit) -> tuple[list[_Move], list[str]]:
    """The secrets that are stored elsewhere, and a note about each secret whose old one was not in config.toml."""
    moves: list[_Move] = []
    notes: list[str] = []
    for change in _changes(edit):
        secret = change.secret
        reference = _place(config, edit, change, moves) if secret is not None else None
        if reference is None or secret is None:
            notes.append(f"{change.title} is in config.toml now, not in {approval.shown(change.reference)}")
            continue
        where = _origin(edit, change) if storage.is_own(reference, config) else None
        fix = "enter a reference such as {env:NAME} instead"
        if change.keys[0] == "providers":
            fix += f", or store the key in a file: `modelbay key set {quote(change.keys[1])} --file`"
        moves.append(_Move(change, NewSecret(reference, Hidden(secret), config.path, where, change.title, fix)))
        notes.append(f"{change.title} is stored in {storage.title_of(reference, config.path)}")
    return moves, list(dict.fromkeys(notes))


def _changes(edit: Edit) -> Iterator[_Change]:
    """The secrets that an edit writes in place of references."""
    try:
        before = table_of(edit.before)
    except TomlFault:
        return  # the edit has reported it
    for kind in ("providers", "models"):
        for id, table in _table(before, kind).items():
            for inner, old in _secrets(table) if isinstance(edit.view(kind, id), dict) else ():
                found = REFERENCE.findall(old)
                keys = written = (kind, id, *inner)
                new = edit.get(*keys)
                if new == old and inner[0] == "env" and not table.get("api_key"):
                    written = (kind, id, "api_key")
                    new = edit.get(*written)
                if len(found) != 1 or not isinstance(new, str) or not new.strip() or REFERENCE.search(new):
                    continue
                match = REFERENCE.search(old)
                assert match is not None
                yield _Change(keys, written, match[0], old, new)


def _secrets(table: object) -> Iterator[tuple[Keys, str]]:
    """The values of a provider's or model's table that may be secrets."""
    if not isinstance(table, dict):
        return
    row = TYPES.get(str(table.get("type")))
    names = row.key_names if row else ()
    yield from ((("api_key",), value) for value in [table.get("api_key")] if isinstance(value, str))
    for inner, wanted in (("env", names), ("custom_headers", None), ("source", ("apiKey",))):
        for key, value in _table(table, inner).items():
            if isinstance(value, str) and (wanted is None or key in wanted):
                yield (inner, key), value


def _place(config: Config, edit: Edit, change: _Change, moves: list[_Move]) -> str | None:
    """The reference to the place where a secret is stored; None for config.toml."""
    match = REFERENCE.fullmatch(change.reference)
    if match is None or match[1] not in ("keyring", "file"):
        return None
    own = None
    if change.keys[0] == "providers" and change.keys[2] in ("api_key", "env"):
        own = storage.own_reference(match[1], change.keys[1], config)
    if _is_trusted(config, change) and storage.holds_secret(change.reference, config.path):
        used = any(move.secret.reference == change.reference and move.secret.value != change.secret for move in moves)
        if change.reference == own or not (used or _is_used(edit, change)):
            return change.reference
    return own if own is not None and own != change.reference and storage.is_free(own, config.path) else None


def _is_trusted(config: Config, change: _Change) -> bool:
    """Whether a place that the file names may be overwritten. A file from elsewhere could name any file of the user."""
    if not approval.is_foreign(config):
        return True
    try:
        return bound_origin(change.reference, config) == str(upstream(config, config.provider(change.keys[1])).origin)
    except ConfigError:
        return False


def _is_used(edit: Edit, change: _Change) -> bool:
    """Whether another entry refers to the place of a secret. The headers of the same provider get the new secret too."""

    def uses(keys: Keys, value: Any) -> bool:
        if isinstance(value, dict):
            return any(uses((*keys, key), item) for key, item in value.items())
        mine = keys in (change.keys, change.written) or (
            keys[:2] == change.keys[:2] and keys[2] in ("custom_headers", "env")
        )
        return isinstance(value, str) and change.reference in value and not mine

    return any(uses((kind,), edit.view(kind)) for kind in ("providers", "models"))


def _origin(edit: Edit, change: _Change) -> Origin:
    """The origin that a secret is sent to."""
    kind, id, name = change.keys[:3]
    if kind == "models":
        model = edit.config.models[id]
        return upstream(edit.config, edit.config.provider_of(model), model).origin
    if name == "source":
        return origin(str(edit.get("providers", id, "source", "url")))
    return upstream(edit.config, edit.config.provider(id)).origin


def _table(table: Table, name: str) -> Table:
    inner = table.get(name)
    return inner if isinstance(inner, dict) else {}
