"""Restores the settings that `modelbay configure` changed in a text, without touching other changes. Pure: no files.

- A setting that still has modelbay's value gets its old text back, or is removed.
- A setting that has another value now was changed by the user or the agent: it is kept.
- Address and credential of an entry are restored together or not at all. Restoring only one of them, next to a value of the user,
  would send a secret to the wrong host.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents import line_changes
from modelbay.agents.file_text import FileSyntax, TextEdit, value_at
from modelbay.agents.findings import leaves
from modelbay.agents.journal import (
    ABSENT,
    AgentJournal,
    BoundSettings,
    ChangedSetting,
    ConfiguredFile,
    CreatedTable,
    role,
)
from modelbay.agents.jsonc import JsonDocument
from modelbay.config.toml.document import MISSING, TomlDocument
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import same
from modelbay.errors import ConfigError

State: TypeAlias = Literal["original", "ours", "removed", "other"]
"""The value of a changed setting now: the old one, modelbay's, none, or another one."""
SHORTEST = 8
"""Minimum characters of a value that is searched for in other settings: shorter ones occur by chance."""


class Present(Struct):
    """The present content of a file that modelbay changed."""

    record: ConfiguredFile
    text: str
    data: Any
    dependents: list[BoundSettings] = field(default_factory=list)
    """Entries with an address of their own that use the credential of another entry, including those that the user added."""

    @property
    def entries(self) -> list[BoundSettings]:
        """The entries that are restored together, with those that depend on them."""
        groups = {entry.group for entry in self.record.entries}
        known = {entry.path for entry in self.record.entries}
        return [
            *self.record.entries,
            *(one for one in self.dependents if one.group in groups and one.path not in known),
        ]


class Restored(Struct):
    """A text with its old settings."""

    text: str
    data: Any
    kept: list[Keys]
    """Settings that the user or the agent changed since."""
    blocked: list[Keys]
    """Settings that the user or the agent changed next to an address or credential that modelbay wrote: no part of the entry is
    restored."""
    rest: ConfiguredFile | None
    """The record of the settings that are not restored because of `blocked` ones; None if all are done."""


def has_ours(present: Present, journal: AgentJournal) -> bool:
    """Whether a file contains a value of modelbay."""
    return any(_state(present, one, journal) == "ours" for one in present.record.settings)


def restored(all_present: list[Present], journal: AgentJournal) -> list[Restored]:
    """The texts of an agent's files with their old settings.

    Raises:
        ConfigError: a text cannot be changed safely.
    """
    groups = _groups(all_present, journal)
    return [_restored(present, journal, groups) for present in all_present]


def _state(present: Present, setting: ChangedSetting, journal: AgentJournal) -> State:
    now = value_at(present.data, setting.path)
    old = MISSING if setting.old is None else present.record.syntax.value_of(setting.old, setting.path)
    if now is MISSING or old is MISSING:
        if now is old:
            return "original"
    elif same(now, old):
        return "original"
    if now is not MISSING:
        return "ours" if journal.digest(now) in setting.ours else "other"
    # the user may remove a value that a later configure wrote in place of one that an earlier configure removed
    written = setting.ours[-1:] if present.record.is_settled else setting.ours
    return "ours" if ABSENT in written else "removed"


class _Group(Struct):
    """The settings of entries that are restored together."""

    pending: bool = False
    """Whether one of the settings still has modelbay's value."""
    foreign: list[tuple[Present, Keys, bool]] = field(default_factory=list)
    """The settings that have values of the user or the agent; true for an address."""

    @property
    def blocked(self) -> bool:
        """Whether they cannot be restored together."""
        return self.pending and bool(self.foreign)


def _groups(all_present: list[Present], journal: AgentJournal) -> dict[Keys, _Group]:
    """The groups of settings in an agent's files, by their paths."""
    groups: dict[Keys, _Group] = {}
    for present in all_present:
        recorded = {one.path: one for one in present.record.settings}
        for entry in present.entries:
            group = groups.setdefault(entry.group, _Group())
            paths = dict.fromkeys((*recorded, *leaves(present.data, ())))
            for path in paths:
                of_path = role(entry, path)
                if of_path is None:
                    continue
                setting = recorded.get(path) or ChangedSetting(path, None, [ABSENT])
                state = _state(present, setting, journal)
                group.pending = group.pending or state == "ours"
                if state == "other" and not _within(path, recorded, present, journal):
                    group.foreign.append((present, path, of_path == "address"))
    return groups


def _within(path: Keys, recorded: dict[Keys, ChangedSetting], present: Present, journal: AgentJournal) -> bool:
    """Whether a value is part of a table or list that is restored as a whole."""
    return path not in recorded and any(
        path[:depth] in recorded and _state(present, recorded[path[:depth]], journal) != "other"
        for depth in range(1, len(path))
    )


def _restored(present: Present, journal: AgentJournal, groups: dict[Keys, _Group]) -> Restored:
    record = present.record
    result = Restored(present.text, present.data, [], _blocking(present, groups), None)
    edits: dict[Keys, str | None] = {}
    rest: list[ChangedSetting] = []
    pruned: dict[Keys, str | None] = {}
    for setting in record.settings:
        state = _state(present, setting, journal)
        owner = _owner(setting.path, record.entries)
        group = groups[owner.group] if owner is not None else _Group()
        if owner is not None and group.blocked:
            rest.append(_held(setting, owner, state, group, edits))
        elif state == "ours" or (state == "removed" and group.pending and owner and role(owner, setting.path)):
            if setting.old is not None:  # an item of a list that was removed since is created with its name
                names = record.syntax.names_of(setting.path)
                missing = [(path, name) for path, name in names if value_at(present.data, path) is MISSING]
                edits |= {path: json.dumps(name) for path, name in missing}
            edits[setting.path] = setting.old
        elif state != "original":
            result.kept.append(setting.path)
    expected = _expected(present.data, edits, record, pruned)
    result.text, result.data = _text(present, journal, edits, expected, pruned)
    if rest:
        held = [entry for entry in record.entries if groups[entry.group].blocked]
        tables = [one for one in record.tables if isinstance(value_at(result.data, one.path), dict)]
        result.rest = replace(record, settings=rest, tables=tables, entries=held, texts=[])
    return result


def _blocking(present: Present, groups: dict[Keys, _Group]) -> list[Keys]:
    blocked = [group for group in groups.values() if group.blocked]
    return [path for group in blocked for file, path, _ in group.foreign if file is present]


def _owner(path: Keys, entries: Iterable[BoundSettings]) -> BoundSettings | None:
    """The entry that a setting belongs to."""
    around = [entry for entry in entries if path[: len(entry.path)] == entry.path]
    return max(around, key=lambda entry: len(entry.path), default=None)


def _held(
    setting: ChangedSetting, owner: BoundSettings, state: State, group: _Group, edits: dict[Keys, str | None]
) -> ChangedSetting:
    """The record of a setting that is not restored. modelbay's own credential is removed if the address is the user's."""
    moved = any(is_address for _, _, is_address in group.foreign)
    if not (moved and state == "ours" and role(owner, setting.path) == "credential"):
        return setting
    edits[setting.path] = None
    return replace(setting, ours=_with_last(setting.ours, ABSENT))


def _with_last(ours: list[str], *digests: str) -> list[str]:
    """The digests of modelbay's values, with these as the last ones."""
    return [*(one for one in ours if one not in digests), *digests]


def _expected(data: Any, edits: dict[Keys, str | None], record: ConfiguredFile, pruned: dict[Keys, str | None]) -> Any:
    """The data after the edits. `pruned` gets the tables that are empty then, with their old texts."""
    for path, exact in edits.items():
        data = _put(data, path, MISSING if exact is None else record.syntax.value_of(exact, path))
    for table in sorted(record.tables, key=lambda one: -len(one.path)):
        if _is_empty(data, table.path, record.syntax):
            data = _put(
                data, table.path, MISSING if table.old is None else record.syntax.value_of(table.old, table.path)
            )
            pruned[table.path] = table.old
    return data


def _is_empty(data: Any, path: Keys, syntax: FileSyntax) -> bool:
    """Whether a table has no settings. The name of an item of a list is not one."""
    table = value_at(data, path)
    return isinstance(table, dict) and all(syntax.is_name((*path, key)) for key in table)


def _put(data: Any, path: Keys, value: Any) -> Any:
    """The data with a value at a path, or without it for MISSING. A value that is not a table is replaced by one."""
    inner = data if isinstance(data, dict) else {}
    if not path:
        return value
    if value is MISSING and path[0] not in inner:
        return data
    rest = {key: item for key, item in inner.items() if key != path[0]}
    below = _put(inner.get(path[0], {}), path[1:], value)
    if below is MISSING:
        return rest
    return {**inner, path[0]: below}


def _text(
    present: Present,
    journal: AgentJournal,
    edits: dict[Keys, str | None],
    expected: Any,
    pruned: dict[Keys, str | None],
) -> tuple[str, Any]:
    """The text with the edits: by lines where they did not change since, otherwise value by value."""
    syntax, salt = present.record.syntax, journal.salt
    if _equal(present.data, expected, syntax):
        return present.text, present.data
    text, data = present.text, present.data
    changed = line_changes.closest(present.record.texts, text, salt)
    if changed is not None:
        every = set(range(len(changed.replaced)))
        chosen = every if _progress(text, changed, salt, every, present, expected) is not None else set()
        for number in () if chosen else sorted(every):
            if _progress(text, changed, salt, chosen | {number}, present, expected) is not None:
                chosen = chosen | {number}
        text = line_changes.reverted(text, changed, salt, chosen)
        data = syntax.data_of(text)
    left = _edits_left(data, edits, pruned, syntax)
    comments = {one.path: one.comment for one in present.record.settings if value_at(data, one.path) is MISSING}
    text = syntax.edited(text, [replace(edit, comment=comments.get(edit.path, "")) for edit in left])
    data = syntax.data_of(text)
    if not _equal(data, expected, syntax):
        raise ConfigError(f"{present.record.path} cannot be changed safely", hint="change it in an editor")
    return text, data


def _progress(
    text: str, changed: line_changes.LineChanges, salt: str, chosen: set[int], present: Present, expected: Any
) -> Any:
    """The data after lines are put back; None if this changes anything else than the expected settings."""
    after = line_changes.reverted(text, changed, salt, chosen)
    try:
        data = present.record.syntax.data_of(after)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    for path in {*leaves(present.data, ()), *leaves(data, ())}:
        now = value_at(data, path)
        fits = any(_same(now, value_at(one, path)) for one in (present.data, expected))
        if not fits and not isinstance(now, dict):  # a table on the way to a setting
            return None
    return data


def _edits_left(
    data: Any, edits: dict[Keys, str | None], pruned: dict[Keys, str | None], syntax: FileSyntax
) -> Iterable[TextEdit]:
    """The edits that are still needed. Settings of a table that is removed as a whole need none of their own."""
    outer = [path for path in pruned if not any(path[:depth] in pruned for depth in range(len(path)))]
    for path in outer:
        yield TextEdit(path, pruned[path])
    for path, exact in edits.items():
        if any(path[:depth] in pruned for depth in range(len(path) + 1)):
            continue
        if exact is None or not _same(value_at(data, path), syntax.value_of(exact, path)):
            yield TextEdit(path, exact)


def _equal(one: Any, other: Any, syntax: FileSyntax) -> bool:
    """Whether two texts have the same data. In TOML, a table without settings may exist only because of tables in it."""
    return same(_filled(one), _filled(other)) if syntax.format == "toml" else same(one, other)


def _filled(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    inner = {key: _filled(item) for key, item in data.items()}
    return {key: item for key, item in inner.items() if item != {}}


def _same(one: Any, other: Any) -> bool:
    return one is other if one is MISSING or other is MISSING else same(one, other)


def recorded(
    before: tuple[str, Any],
    after: tuple[str, Any],
    earlier: Restored | None,
    record: ConfiguredFile,
    journal: AgentJournal,
) -> ConfiguredFile:
    """The record of a change, added to the record of earlier ones.

    `before`: text and data that an undo must return to. `after`: those that are written. `earlier`: how far earlier changes can be
    undone now. `record` has the file, its format and the entries that are written.
    """
    document = record.syntax.document(before[0])
    known = {one.path: one for one in record.settings}
    held = {one.path: one for one in earlier.rest.settings} if earlier and earlier.rest else {}
    groups = {entry.group for entry in earlier.rest.entries} if earlier and earlier.rest else set()
    settings: list[ChangedSetting] = []
    replaced: set[Keys] = set()
    for path in dict.fromkeys((*held, *leaves(before[1], ()), *leaves(after[1], ()))):
        old, new = value_at(before[1], path), value_at(after[1], path)
        owners = [entry for entry in record.entries if role(entry, path)]
        if (_same(old, new) and not owners and path not in held) or any(
            path[:depth] in replaced for depth in range(len(path))
        ):
            continue
        if (isinstance(new, dict) and new != {}) or record.syntax.is_name(path):
            continue  # a table that is created: its settings are recorded
        exact, comment = (
            (held[path].old, held[path].comment)
            if path in held
            else (document.text_at(path), document.comment_at(path))
        )
        if path not in held and any(entry.group in groups for entry in owners):
            exact = None  # it was added next to an address of modelbay, and would be restored next to another one
        if isinstance(old, dict) and old != {}:
            replaced.add(path)
        ours = _with_last(known[path].ours if path in known else [], journal.digest(new))
        settings.append(ChangedSetting(path, exact, ours, comment if exact is not None else ""))
    tables = {one.path: one for one in (*_created(before[1], after[1], document), *record.tables)}
    changed = line_changes.changes(before[0], after[0], journal.salt)
    return replace(record, settings=settings, tables=list(tables.values()), texts=[changed])


def substituted(present: Present, journal: AgentJournal, substitute: Callable[[str], str]) -> ConfiguredFile:
    """The record of a file in whose text modelbay replaces values. An undo restores the new ones, and still knows its own."""
    record = present.record
    data = record.syntax.data_of(substitute(present.text))

    def setting(one: ChangedSetting) -> ChangedSetting:
        ours = [journal.digest(value_at(data, one.path))] if _state(present, one, journal) == "ours" else []
        return ChangedSetting(one.path, old(one.old), _with_last(one.ours, *ours), substitute(one.comment))

    def old(text: str | None) -> str | None:
        return None if text is None else substitute(text)

    return replace(
        record,
        settings=list(map(setting, record.settings)),
        tables=[CreatedTable(one.path, old(one.old)) for one in record.tables],
        texts=[line_changes.substituted(one, present.text, journal.salt, substitute) for one in record.texts],
    )


def _created(before: Any, after: Any, document: TomlDocument | JsonDocument, path: Keys = ()) -> Iterable[CreatedTable]:
    """The tables that the new data has and the old one has not, or only empty ones."""
    for key, item in after.items():
        if isinstance(item, dict):
            here = (*path, key)
            old = before.get(key, MISSING) if isinstance(before, dict) else MISSING
            if item and (not isinstance(old, dict) or not old):
                yield CreatedTable(here, document.text_at(here) if old is not MISSING else None)
            yield from _created(old, item, document, here)


def remaining(data: Any, record: ConfiguredFile, journal: AgentJournal) -> dict[Keys, Keys]:
    """Settings that have a value that modelbay gave to another setting of an entry: the agent may have renamed it.

    Returns the old path of each.
    """
    ours = {
        digest: one.path
        for one in record.settings
        if any(role(entry, one.path) for entry in record.entries)
        for digest in one.ours
        if digest != ABSENT and (one.old is None or digest != journal.digest(record.syntax.value_of(one.old, one.path)))
    }
    found: dict[Keys, Keys] = {}
    for path in leaves(data, ()):
        value = value_at(data, path)
        if isinstance(value, str) and len(value) >= SHORTEST and (was := ours.get(journal.digest(value), path)) != path:
            found[path] = was
    return found
