"""Changes an agent's files so that the change can be undone, even if the process is killed at any point.

The journal is written before the files, and deleted after them. Several changes in a row are undone together: `configure` and then
`undo` have the same result as `undo`, so all settings return to their values before the first `configure`.
"""

import codecs
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents import journal as journals
from modelbay.agents import masked_diff, reversal
from modelbay.agents.agent import Agent, ExportedConfig
from modelbay.agents.file_text import FileSyntax, value_at
from modelbay.agents.journal import AgentJournal, ConfiguredFile, bound, journal_path
from modelbay.agents.reversal import Present, Restored
from modelbay.agents.write import new_content
from modelbay.config.schema import Table
from modelbay.config.toml.document import MISSING
from modelbay.config.toml.values import path_text
from modelbay.errors import ConfigError, FileError
from modelbay.storage import files

T = TypeVar("T")
WAIT = 10.0
"""Seconds to wait for another process that configures the same agent."""
ATTEMPTS = 5
"""How often the files are read again if the agent changes one at the same moment."""


class FileChange(Struct):
    """The change of a file."""

    path: Path
    diff: str
    """The change as a unified diff, with secrets masked; "" if there is none."""
    removed: bool = False
    """Whether the file is deleted: modelbay created it, and it contains nothing else."""
    kept: list[str] = field(default_factory=list)
    """Settings that are not changed, with the reason."""
    changes: list[str] = field(default_factory=list)
    """Values that are replaced or removed."""
    problems: list[str] = field(default_factory=list)
    """Reasons why the agent would not use the entries."""


class Undone(Struct):
    """The result of an undo."""

    files: list[FileChange]
    blocked: list[str]
    """Settings that were changed next to an address or credential that modelbay wrote: the rest of their entries is not
    restored."""


class _Content(Struct):
    """The content of a file, as it was read."""

    path: Path
    target: Path
    """The file that `path` refers to through symbolic links."""
    data: bytes | None
    text: str

    def encoded(self, text: str) -> bytes:
        mark = codecs.BOM_UTF8 if (self.data or b"").startswith(codecs.BOM_UTF8) else b""
        return mark + text.encode()


class _Planned(Struct):
    """The next content of a file; None to delete it."""

    content: _Content
    new: bytes | None
    change: FileChange
    record: ConfiguredFile

    @property
    def changed(self) -> bool:
        return self.new != self.content.data


def configure(agent: Agent, exported: ExportedConfig, *, dry_run: bool = False) -> list[FileChange]:
    """Write an exported configuration to an agent's files. Other content does not change; only the owner can read the files.

    Raises:
        ConfigError: a file is not valid, has other types of values, or cannot be written. No file is changed.
    """
    wanted = {agent.files()[-1].absolute(): exported, **exported.beside}
    journal = journals.read(agent.id) or _new_journal()
    if dry_run:
        return [one.change for one in _plan(agent, wanted, journal)]

    def run() -> list[FileChange]:
        before = journals.read(agent.id)
        journal = before or _new_journal()
        planned = _plan(agent, wanted, journal)
        _sweep(one.content.path for one in planned)
        if any(one.changed for one in planned):
            _write(agent, planned, before, journal)
        return [one.change for one in planned]

    return _locked(agent, run)


def undo(agent: Agent, *, dry_run: bool = False) -> Undone | None:
    """Restore the settings that `configure` changed; None if it changed none.

    Raises:
        ConfigError: a file is not valid, or cannot be written.
    """

    def run() -> Undone | None:
        journal = journals.read(agent.id)
        if journal is None:
            return None
        undone, planned, rest = _plan_undo(agent, journal)
        if dry_run:
            return undone
        _sweep(Path(one.path) for one in journal.files)
        if rest is not None:
            # a credential that is removed must be known as modelbay's change before it is removed
            journals.store(agent.id, _with_more_ours(journal, rest))
        for one in planned:
            _put(one)
            if one.new is not None and (rest is None or rest.file(one.record.path) is None):
                _restore_mode(one)
        journals.store(agent.id, rest)
        return undone

    return run() if dry_run else _locked(agent, run)


def substitute(agent: Agent, change: Callable[[str], str]) -> list[Path]:
    """Replace values in an agent's files by `change`, a substitution in a text. `undo` then restores the new values, and still
    knows the values that `configure` wrote. Returns the files that were changed.

    Raises:
        ConfigError: a file cannot be written.
    """

    def changed() -> list[_Content]:
        contents = (_readable(path) for path in agent.files())
        return [one for one in contents if one is not None and change(one.text) != one.text]

    def run() -> list[Path]:
        found, journal = changed(), _usable_journal(agent)
        if journal is not None:
            records = [_substituted(one, journal, change) for one in journal.files]
            both = [_for_both(new, old) for new, old in zip(records, journal.files, strict=True)]
            journals.store(agent.id, replace(journal, files=both))
        for one in found:
            files.replace(one.target, one.data, one.encoded(change(one.text)))
        if journal is not None:
            journals.store(agent.id, replace(journal, files=records))
        return [one.path for one in found]

    return _locked(agent, run) if changed() or _usable_journal(agent) is not None else []


def _usable_journal(agent: Agent) -> AgentJournal | None:
    """The journal of an agent; None if there is none, or no undo can use it."""
    try:
        return journals.read(agent.id)
    except ConfigError:
        return None


def _readable(path: Path) -> _Content | None:
    """The content of a file; None if it is missing, or is not text."""
    try:
        content = _content(path.absolute())
    except (ConfigError, OSError):
        return None
    return None if content.data is None else content


def _substituted(record: ConfiguredFile, journal: AgentJournal, change: Callable[[str], str]) -> ConfiguredFile:
    content = _readable(Path(record.path))
    if content is None:
        return record
    try:
        present = Present(record, content.text, _table(content, record.syntax))
        return reversal.substituted(present, journal, change)
    except (ConfigError, ValueError, RecursionError):  # the file is not valid at the moment
        return record


def _locked(agent: Agent, run: Callable[[], T]) -> T:
    """Run a change under the agent's lock, again if the agent changed a file in the meantime."""
    with files.locked(journal_path(agent.id), WAIT):
        for left in reversed(range(ATTEMPTS)):
            try:
                return run()
            except FileError as error:
                if not error.changed or not left:
                    raise
    raise AssertionError("the last attempt returns or raises")


def _sweep(paths: Iterable[Path]) -> None:
    """Remove the temporary files that killed processes left next to the agent's files."""
    for path in paths:
        files.sweep(files.target_of(path))


def _new_journal() -> AgentJournal:
    return AgentJournal(journals.VERSION, secrets.token_hex(16))


def _content(path: Path) -> _Content:
    """
    Raises:
        ConfigError: the file cannot be read, or is not UTF-8 text.
    """
    with _hinted(path):
        target = files.target_of(path)
        data = files.content_of(target)
    try:
        return _Content(path, target, data, (data or b"").decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint=f"save {path} as UTF-8 text", file=str(path)) from None


@contextmanager
def _hinted(path: Path) -> Iterator[None]:
    """Name the file in hints of errors about its folder or permissions."""
    try:
        yield
    except FileError as error:
        if error.hint is None or error.other_path:
            error.hint = f"check that you may read and write {path} and its folder"
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the file in errors about its text."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not valid: {error}", hint=f"fix {path} in an editor, then try again", file=str(path)
        ) from None


def _table(content: _Content, syntax: FileSyntax) -> Table:
    with _explained(content.path):
        data = syntax.data_of(content.text)
    if not isinstance(data, dict):
        raise ConfigError(
            f"{content.path} is not a JSON object",
            hint=f"fix {content.path} in an editor, then try again",
            file=str(content.path),
        )
    return data


# Configure


def _syntax(exported: ExportedConfig) -> FileSyntax:
    return FileSyntax(exported.format, tuple(exported.lists.items()))


def _plan(agent: Agent, wanted: dict[Path, ExportedConfig], journal: AgentJournal) -> list[_Planned]:
    contents = [_content(path) for path in wanted]
    presents = [
        _present_in(agent, content, _record(content, _syntax(exported), journal), _table(content, _syntax(exported)))
        for content, exported in zip(contents, wanted.values(), strict=True)
    ]
    earlier = reversal.restored(presents, journal)
    return [
        _planned(content, exported, present, base, journal)
        for content, exported, present, base in zip(contents, wanted.values(), presents, earlier, strict=True)
    ]


def _record(content: _Content, syntax: FileSyntax, journal: AgentJournal) -> ConfiguredFile:
    """The record of earlier changes of a file, even if the agent has moved it; an empty one if there is none."""
    path = str(content.path)
    if (known := journal.file(path)) is not None:
        return known
    for other in journal.files:
        moved = replace(other, path=path)
        if other.syntax == syntax and reversal.has_ours(Present(moved, content.text, _table(content, syntax)), journal):
            return moved
    missing = [folder for folder in content.target.parents if not folder.exists()]
    mode = None if content.data is None else stat.S_IMODE(content.target.stat().st_mode)
    return ConfiguredFile(path, syntax, content.data is not None, mode, [str(folder) for folder in missing])


def _planned(
    content: _Content, exported: ExportedConfig, present: Present, earlier: Restored, journal: AgentJournal
) -> _Planned:
    with _explained(content.path):
        new = new_content(exported, content.text, str(content.path))
    written = {one.path: one for one in (*present.record.entries, *map(bound, (*exported.entries, *new.related)))}
    present = replace(present, record=replace(present.record, entries=list(written.values())))
    record = replace(present.record, entries=present.entries)
    record = reversal.recorded((earlier.text, earlier.data), (new.text, new.data), earlier, record, journal)
    change = FileChange(
        content.path,
        masked_diff.unified(content.text, new.text, str(content.path), record.syntax, record.entries),
        kept=new.kept,
        changes=new.changes,
        problems=exported.problems(content.path, new.data),
    )
    return _Planned(content, content.encoded(new.text) if change.diff else content.data, change, record)


def _write(agent: Agent, planned: list[_Planned], before: AgentJournal | None, journal: AgentJournal) -> None:
    """Write the journal, then the files. If one cannot be written, the files before it get their old content again."""
    new = {one.record.path: one.record for one in planned}
    others = [one for one in journal.files if one.path not in new and Path(one.path).exists()]
    both = [_for_both(one, journal.file(one.path)) for one in new.values()]
    journals.store(agent.id, replace(journal, files=[*others, *both]))
    written: list[_Planned] = []
    try:
        for one in planned:
            _put(one)
            written.append(one)
    except BaseException:
        with suppress(ConfigError):
            for one in reversed(written):
                _put(_Planned(replace(one.content, data=one.new), one.content.data, one.change, one.record))
            journals.store(agent.id, before)
        raise
    journals.store(agent.id, replace(journal, files=[*others, *new.values()]))


def _for_both(new: ConfiguredFile, old: ConfiguredFile | None) -> ConfiguredFile:
    """A record that is valid before and after the file is written: it also has the settings that no longer differ then."""
    if old is None:
        return new
    known = {one.path for one in new.settings}
    more = [one for one in old.settings if one.path not in known]
    return replace(new, settings=[*new.settings, *more], texts=[*new.texts, *old.texts])


def _put(one: _Planned) -> None:
    """Write or delete a file, if it was not changed since it was read."""
    if not one.changed:
        return
    target = one.content.target
    if one.new is not None:
        with _hinted(one.content.path):
            files.create_folder(target.parent)
            files.replace(target, one.content.data, one.new)
        return
    if one.content.data is not None:
        files.remove(target, one.content.data)
    for folder in one.record.folders:
        with suppress(OSError):  # it contains other files
            Path(folder).rmdir()


# Undo


def _present_in(agent: Agent, content: _Content, record: ConfiguredFile, data: Table) -> Present:
    return Present(record, content.text, data, [bound(one) for one in agent.dependents(data)])


def _plan_undo(agent: Agent, journal: AgentJournal) -> tuple[Undone, list[_Planned], AgentJournal | None]:
    """The result, the files to write, and the journal of what is not restored; None if all is."""
    contents: list[_Content] = []
    presents: list[Present] = []
    undone = Undone([], [])
    for record in journal.files:
        found = list(_present(agent, record, journal))
        contents += [content for content, _ in found]
        presents += [present for _, present in found]
        if not found:
            undone.files.append(FileChange(Path(record.path), "", kept=[f"{record.path} no longer exists"]))
    planned: list[_Planned] = []
    rest: list[ConfiguredFile] = []
    for content, present, result in zip(contents, presents, reversal.restored(presents, journal), strict=True):
        planned.append(_restoring(content, present, result, journal))
        undone.files.append(planned[-1].change)
        undone.blocked += [f"{path_text(path)} in {content.path}" for path in result.blocked]
        rest += [result.rest] if result.rest is not None else []
    return undone, planned, replace(journal, files=rest) if rest else None


def _present(agent: Agent, record: ConfiguredFile, journal: AgentJournal) -> Iterator[tuple[_Content, Present]]:
    """The file of a record, and files to which a later version of the agent moved its settings."""
    others = [path for path in agent.files() if journal.file(str(path.absolute())) is None]
    for path in (Path(record.path), *others):
        content = _content(path.absolute())
        if content.data is None:
            continue
        own = str(content.path) == record.path
        try:
            moved = replace(record, path=str(content.path))
            present = _present_in(agent, content, moved, _table(content, record.syntax))
        except ConfigError:
            if own:
                raise
            continue
        if own or reversal.has_ours(present, journal):
            yield content, present


def _restoring(content: _Content, present: Present, result: Restored, journal: AgentJournal) -> _Planned:
    record = present.record
    empty = not record.existed and result.rest is None and result.text.strip() in ("", "{}")
    diff = masked_diff.unified(content.text, "" if empty else result.text, record.path, record.syntax, record.entries)
    notes = [
        f"{path_text(path)} was {'removed' if value_at(present.data, path) is MISSING else 'changed'} since, and stays so"
        for path in result.kept
    ]
    if result.rest is None:
        notes += [
            f"{path_text(path)} has the value that modelbay wrote to {path_text(was)}: remove it if you do not need it"
            for path, was in reversal.remaining(result.data, record, journal).items()
        ]
    new = None if empty else content.encoded(result.text) if diff else content.data
    return _Planned(content, new, FileChange(content.path, diff, empty, notes), record)


def _with_more_ours(journal: AgentJournal, rest: AgentJournal) -> AgentJournal:
    """The journal with the values that the remaining settings get."""
    more = {(file.path, one.path): one.ours for file in rest.files for one in file.settings}
    return replace(
        journal,
        files=[
            replace(
                file,
                settings=[replace(one, ours=more.get((file.path, one.path), one.ours)) for one in file.settings],
            )
            for file in journal.files
        ],
    )


def _restore_mode(one: _Planned) -> None:
    """Give a file the permissions back that it had before."""
    mode, target = one.record.mode, one.content.target
    if mode is None:
        return
    with suppress(OSError):
        if stat.S_IMODE(target.stat().st_mode) == mode & files.PRIVATE:
            target.chmod(mode)
