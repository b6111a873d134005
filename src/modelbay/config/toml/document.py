"""TOML text that is edited in place: unchanged lines stay byte for byte the same.

Every line belongs to one table. Comment lines directly above a header belong to that table. A comment after a blank line
belongs to no table and stays where it is, unless it is a commented-out setting: that belongs to the table above.
"""

import copy
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from modelbay.config.toml import scan, values
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import key_text, path_text, same, text_of
from modelbay.errors import ConfigError

WIDE = 100
"""A table longer than this on one line gets its own header."""
MISSING = object()


@dataclass(eq=False)
class TomlLine:
    """A setting, or a line without one (then `keys` is empty). A value that spans several lines is one `Line`."""

    keys: Keys
    head: str
    """Text before the value."""
    value: str = ""
    tail: str = ""
    """Text after the value: spaces, comment, line break."""

    @property
    def text(self) -> str:
        return f"{self.head}{self.value}{self.tail}"

    @property
    def blank(self) -> bool:
        return not self.text.strip()


@dataclass(eq=False)
class TomlBlock:
    """A header and the lines below it. The first block is the top of the file and has no header."""

    path: Keys
    lead: list[TomlLine] = field(default_factory=list)
    """The comment lines directly above the header."""
    head: str = ""
    lines: list[TomlLine] = field(default_factory=list)
    after: list[TomlLine] = field(default_factory=list)
    """Lines before the next block that do not belong to the table: they stay when it is removed."""
    rank: int = 0
    """Position among the blocks: a greater rank is further down."""

    @property
    def text(self) -> str:
        above = "".join(line.text for line in self.lead)
        return f"{above}{self.head}{''.join(line.text for line in (*self.lines, *self.after))}"

    @property
    def settings(self) -> list[int]:
        return [index for index, line in enumerate(self.lines) if line.keys]

    def full(self, line: TomlLine) -> Keys:
        return (*self.path, *line.keys)


RANK = attrgetter("rank")
APART = 2**64
"""Initial distance between two ranks, which leaves room for blocks in between."""


class TomlDocument:
    """TOML text and `data`, its value as `tomllib` reads it; the two change together."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            tomllib.TOMLDecodeError: it is not TOML.
        """
        import tomllib

        self.data: dict[str, Any] = tomllib.loads(text)
        self.newline = "\r\n" if "\r\n" in text[: text.find("\n") + 1] else "\n"
        self.blocks = _blocks(text)
        self._headed = {block.path: block for block in self.blocks}
        self._inside: dict[Keys, list[TomlBlock]] = {}
        """The blocks of each table and its subtables, in order: a search among thousands would be slow."""
        self._rank()
        for block in self.blocks[1:]:
            for depth in range(1, len(block.path) + 1):
                self._inside.setdefault(block.path[:depth], []).append(block)

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.blocks)

    def get(self, path: Keys) -> Any:
        """The value at a path, or `MISSING`."""
        value: Any = self.data
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return MISSING
            value = value[key]
        return value

    def text_at(self, path: Keys) -> str | None:
        """The text of the value at a path; None if there is none. A table with headers is returned as an inline table."""
        value = self.get(path)
        if value is MISSING:
            return None
        home = self._home(path)
        exact = values.part(home[1].value, path[len(home[0].full(home[1])) :]) if home else None
        return exact or text_of(value)

    def comment_at(self, path: Keys) -> str:
        """The comment after the value at a path, with the spaces before it; "" if the value has no line of its own."""
        home = self._home(path)
        return home[1].tail.rstrip() if home and home[0].full(home[1]) == path else ""

    def set_comment(self, path: Keys, comment: str) -> None:
        """Write a comment after the value at a path, if the value has a line of its own and no comment."""
        home = self._home(path)
        if home and home[0].full(home[1]) == path and not home[1].tail.strip():
            home[1].tail = comment + home[1].tail

    def set_text(self, path: Keys, exact: str) -> None:
        """Write a value whose text is known, such as one that `text_at` returned.

        Raises:
            ConfigError: the path goes through a value that is not a table.
        """
        self.set(path, values.read(exact))
        if home := self._home(path):
            block, line = home
            line.value = values.with_part(line.value, path[len(block.full(line)) :], exact, self.newline)

    def set(self, path: Keys, value: Any, after: str | None = None) -> None:
        """Write a value. An existing table changes key by key. `after` names the table that a new one follows.

        Raises:
            ConfigError: the path goes through a value that is not a table.
        """
        self._check_tables(path)
        old = self.get(path)
        if old is MISSING:
            self._add(path, value, after)
        elif isinstance(old, dict) and isinstance(value, dict):
            gone = old.keys() - value.keys()
            for key, item in value.items():
                self.set((*path, key), item)
            for key in sorted(gone):
                self.delete((*path, key))
            if self.get(path) is MISSING:
                self._add(path, {}, None)
        elif not same(old, value):
            self._replace(path, value)

    def delete(self, path: Keys) -> bool:
        """Remove the value at a path, if there is one. A table without a line of its own is removed with its last key."""
        if self.get(path) is MISSING:
            return False
        home = self._home(path)
        if home and home[0].full(home[1]) != path:
            block, line = home
            line.value = values.drop(line.value, path[len(block.full(line)) :], self.newline)
        else:
            self._delete_lines(path)
            self._delete_blocks(path)
        del self.get(path[:-1])[path[-1]]
        self._forget_implied(path[:-1])
        return True

    def renamed(self, names: dict[Keys, str]) -> "TomlDocument":
        """The document with other names for tables, each by its path. Headers change in place, so comments and order stay.

        A table that is not written with headers is written again under its new name.
        """
        inline = [path for path in names if self._dotted(path) or not self._within(path)]
        for path in inline:
            self.set((*path[:-1], names[path]), self.get(path), after=path[-1])
            self.delete(path)
        for path, name in names.items():
            for block in self._within(path) if path not in inline else ():
                block.head = _renamed(block, (*path[:-1], name, *block.path[len(path) :]))
        return TomlDocument(self.text)

    # Finding

    def _check_tables(self, path: Keys) -> None:
        for depth in range(1, len(path)):
            value = self.get(path[:depth])
            if value is MISSING:
                return
            if not isinstance(value, dict):
                raise ConfigError(f"{path_text(path)} cannot be set: {path_text(path[:depth])} is not a table")

    def _home(self, path: Keys) -> tuple[TomlBlock, TomlLine] | None:
        """The line with the value at `path`, or with an inline table around it."""
        for block in self._around(path):
            depth = len(block.path)
            for line in block.lines:
                if line.keys and line.keys == path[depth : depth + len(line.keys)]:
                    return block, line
        return None

    def _around(self, path: Keys) -> list[TomlBlock]:
        """The blocks of the tables along a path."""
        return [self._headed[path[:depth]] for depth in range(len(path)) if path[:depth] in self._headed]

    def _within(self, path: Keys) -> Sequence[TomlBlock]:
        """The blocks of a table and its subtables, in order."""
        return self._inside.get(path, ())

    def _index(self, block: TomlBlock) -> int:
        return bisect_left(self.blocks, block.rank, key=RANK)

    def _rank(self) -> None:
        for number, block in enumerate(self.blocks):
            block.rank = number * APART

    def _put_block(self, at: int, block: TomlBlock) -> None:
        """Insert a block at an index."""
        before = self.blocks[at - 1].rank
        block.rank = (before + self.blocks[at].rank) // 2 if at < len(self.blocks) else before + APART
        self.blocks.insert(at, block)
        if block.rank == before:
            self._rank()
        self._headed[block.path] = block
        for depth in range(1, len(block.path) + 1):
            insort(self._inside.setdefault(block.path[:depth], []), block, key=RANK)

    def _drop_block(self, block: TomlBlock) -> int:
        """Remove a block. Returns its former index."""
        index = self._index(block)
        del self.blocks[index]
        self._headed.pop(block.path, None)
        for depth in range(1, len(block.path) + 1):
            beside = self._inside[block.path[:depth]]
            del beside[bisect_left(beside, block.rank, key=RANK)]
            if not beside:
                del self._inside[block.path[:depth]]
        return index

    def _dotted(self, path: Keys) -> list[tuple[TomlBlock, int]]:
        """Lines outside a table's own blocks that set something in it, or set it as a whole."""
        found = []
        for block in self._around(path):
            rest = path[len(block.path) :]
            found += [(block, index) for index in block.settings if block.lines[index].keys[: len(rest)] == rest]
        return found

    # Adding

    def _add(self, path: Keys, value: Any, after: str | None) -> None:
        while path[:-1] and self.get(path[:-1]) is MISSING:
            value, path, after = {path[-1]: value}, path[:-1], None
        parent = path[:-1]
        home = self._home(parent) if parent else None
        if home:
            block, line = home
            line.value = values.put(line.value, path[len(block.full(line)) :], value, self.newline)
        elif isinstance(value, dict) and self._wants_header(path, value, after):
            self._add_blocks(path, value, after)
        else:
            self._add_line(path, value, after)
        self.get(parent)[path[-1]] = copy.deepcopy(value)

    def _wants_header(self, path: Keys, value: dict[str, Any], after: str | None) -> bool:
        """Whether a new table gets a header: it is written like its siblings."""
        parent = path[:-1]
        shallow = len(path) <= 2
        if not parent:
            return True
        if shallow and after is not None:
            return bool(self._within((*parent, after)))
        beside = any(block.path != parent for block in self._within(parent))
        if beside or not shallow:
            return beside or not _fits(path[-1], value)
        return not any(isinstance(item, dict) for item in self.get(parent).values())

    def _add_blocks(self, path: Keys, value: dict[str, Any], after: str | None) -> None:
        parent = path[:-1]
        anchors = self._within((*parent, after)) if after is not None else []
        anchors = anchors or (self._within(parent) if parent else [])
        if not anchors and parent:
            anchors = sorted((block for block, _ in self._dotted(parent)), key=RANK)
        at = self._index(anchors[-1]) if anchors else len(self.blocks) - 1
        for block in _tables(path, value, self.newline):
            self._insert_block(at + 1, block)
            at += 1

    def _insert_block(self, at: int, block: TomlBlock) -> None:
        before = self.blocks[at - 1]
        last = at == len(self.blocks)
        empty = at == 1 and not before.text
        block.after = before.after if before.after or last else [self._blank()]
        before.after = [] if empty else [self._blank()]
        self._put_block(at, block)
        self._end(before)

    def _end(self, block: TomlBlock) -> None:
        """Add the line break that is missing at the end of the file."""
        if block.lines:
            line = block.lines[-1]
            if not line.text.endswith("\n"):
                line.tail += self.newline
        elif block.head and not block.head.endswith("\n"):
            block.head += self.newline

    def _blank(self) -> TomlLine:
        return TomlLine((), self.newline)

    def _add_line(self, path: Keys, value: Any, after: str | None) -> None:
        parent, key = path[:-1], path[-1]
        block = self._headed.get(parent)
        beside = self._dotted((*parent, after)) if after is not None else []
        if block is None:
            beside = beside or self._dotted(parent)
            if not beside:
                self._add_header(path, value)
                return
        if beside:
            block, index = beside[-1]
        else:
            index = self._last(block) if block else -1
        assert block is not None
        example = block.lines[index].head if index >= 0 and block.lines[index].keys else block.head
        indent = example[: len(example) - len(example.lstrip(" \t"))]
        if not block.path and not block.settings:
            index = self._open_top(block)
        self._end(block)
        line = TomlLine((), f"{indent}{path_text(path[len(block.path) :])} = ", text_of(value), self.newline)
        line.keys = (*parent[len(block.path) :], key)
        block.lines.insert(index + 1, line)

    def _last(self, block: TomlBlock) -> int:
        """Index of the line after which a setting is added."""
        settings = block.settings
        return settings[-1] if settings else len(block.lines) - 1

    def _open_top(self, top: TomlBlock) -> int:
        """Make room for the first setting of the file, below the comments at its top."""
        top.lines += top.after
        while top.lines and top.lines[-1].blank:
            top.lines.pop()
        if top.lines:
            self._end(top)
            top.lines.append(self._blank())
        top.after = [self._blank()] if len(self.blocks) > 1 else []
        return len(top.lines) - 1

    def _add_header(self, path: Keys, value: Any) -> None:
        """Add a header, and a first setting, to a table that contained only tables."""
        parent = path[:-1]
        first = self._within(parent)[0]
        block = _tables(parent, {path[-1]: value}, self.newline)[0]
        block.lead, first.lead = first.lead, []
        block.after = [self._blank()]
        self._put_block(self._index(first), block)

    # Changing and deleting

    def _replace(self, path: Keys, value: Any) -> None:
        home = self._home(path)
        if not home:  # a table, or a list of tables, with headers of their own
            self.delete(path)
            self._add(path, value, None)
            return
        block, line = home
        depth = len(block.full(line))
        if depth == len(path):
            line.value = values.rewritten(line.value, value, self.newline)
        else:
            line.value = values.put(line.value, path[depth:], value, self.newline)
        self.get(path[:-1])[path[-1]] = copy.deepcopy(value)

    def _delete_lines(self, path: Keys) -> None:
        for block, index in reversed(self._dotted(path)):
            del block.lines[index]
            if all(line.blank for line in block.lines[max(index - 1, 0) : index + 1]):
                del block.lines[index : index + 1]  # one empty line, not two
            while block.lines and block.lines[-1].blank and (not block.after or block.after[0].blank):
                block.lines.pop()
            if not self.blocks[0].lines:
                self.blocks[0].after = _from_text(self.blocks[0].after)

    def _delete_blocks(self, path: Keys) -> None:
        for gone in reversed([*self._within(path)]):
            index = self._drop_block(gone)
            before = self.blocks[index - 1]
            if gone.after or index == len(self.blocks):
                while before.after and before.after[-1].blank:
                    before.after.pop()
                before.after += gone.after if before.text else _from_text(gone.after)

    def _forget_implied(self, path: Keys) -> None:
        """Remove tables that exist only through dotted keys and have lost the last one."""
        while path and not self.get(path) and not self._written(path):
            del self.get(path[:-1])[path[-1]]
            path = path[:-1]

    def _written(self, path: Keys) -> bool:
        home = self._home(path)
        if not home:
            return bool(self._within(path))
        block, line = home
        value = values.read(line.value)
        for key in path[len(block.full(line)) :]:
            if key not in value:
                return False
            value = value[key]
        return True


def _from_text(lines: list[TomlLine]) -> list[TomlLine]:
    """The lines without the empty ones at the start."""
    return lines if not lines or not lines[0].blank else _from_text(lines[1:])


def _fits(key: str, value: dict[str, Any]) -> bool:
    return len(f"{key_text(key)} = {text_of(value)}") <= WIDE


def _tables(path: Keys, table: dict[str, Any], newline: str) -> list[TomlBlock]:
    """A new table: blocks for it and for those subtables that do not fit on a line."""
    inline = {
        key: item for key, item in table.items() if not isinstance(item, dict) or (len(path) >= 2 and _fits(key, item))
    }
    blocks = []
    if inline or not table:
        lines = [TomlLine((key,), f"{key_text(key)} = ", text_of(item), newline) for key, item in inline.items()]
        blocks.append(TomlBlock(path, head=f"[{path_text(path)}]{newline}", lines=lines))
    for key, item in table.items():
        if key not in inline:
            blocks += _tables((*path, key), item, newline)
    return blocks


def _blocks(text: str) -> list[TomlBlock]:
    blocks = [TomlBlock(())]
    idle: list[TomlLine] = []
    position = 0
    while position < len(text):
        block = blocks[-1]
        if blank := scan.BLANK.match(text, position):
            idle.append(TomlLine((), blank[0]))
            position = blank.end()
        elif header := scan.HEADER.match(text, position):
            blocks.append(TomlBlock(scan.keys_of(header["path"]), _divide(block, idle), header[0]))
            idle = []
            position = header.end()
        else:
            line = _setting(text, position)
            block.lines += [*idle, line]
            idle = []
            position += len(line.text)
    _divide(blocks[-1], idle, at_end=True)
    return blocks


def _setting(text: str, position: int) -> TomlLine:
    assignment = scan.ASSIGNMENT.match(text, position)
    assert assignment is not None
    start = assignment.end()
    end = scan.value_end(text, start)
    return TomlLine(scan.keys_of(assignment["path"]), assignment[0], text[start:end], scan.rest(text, end))


def _divide(block: TomlBlock, idle: list[TomlLine], *, at_end: bool = False) -> list[TomlLine]:
    """Divide the lines between a block and the next header. Returns those that belong to the header."""
    lead = len(idle)
    while not at_end and lead and not idle[lead - 1].blank and not scan.OFF.match(idle[lead - 1].head):
        lead -= 1
    if not lead and not block.path and not block.lines:
        lead = len(idle)  # a comment at the top of the file is about the file
    own = 0
    for index, line in enumerate(idle[:lead]):
        if line.blank:
            continue
        if index and idle[index - 1].blank and not scan.OFF.match(line.head):
            break
        own = index + 1
    block.lines += idle[:own]
    block.after += idle[own:lead]
    return idle[lead:]


def _renamed(block: TomlBlock, path: Keys) -> str:
    """The header of a block under another path, with what stands around it."""
    import tomllib

    start = block.head.index("[")
    double = block.head.startswith("[[", start)
    for end in (index + 1 for index, char in enumerate(block.head) if char == "]"):
        try:
            tomllib.loads(block.head[start:end])
        except tomllib.TOMLDecodeError:
            continue
        name = f"[[{path_text(path)}]]" if double else f"[{path_text(path)}]"
        return f"{block.head[:start]}{name}{block.head[end:]}"
    raise AssertionError("a block has a header")
