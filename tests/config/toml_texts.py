"""Random TOML texts in every style, and the lines that an edit must not change."""

import datetime
import tomllib
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from modelbay.config.toml.values import key_text, text_of

Keys = tuple[str, ...]

NAMES = ["a", "b", "api-key", "x/y", "p:q", "v1.5", "ü", 'say "hi"', "", "tab\t", "#no", "[no]", "a=b"]
keys = st.sampled_from(NAMES)
texts = st.one_of(
    st.sampled_from(
        ["", "plain", "it's", 'a "quote"', "C:\\path", "two\nlines", "# no comment", "tab\t\x7f\x00", "ünï🙂"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
moments = st.sampled_from(
    [
        datetime.date(2025, 8, 21),
        datetime.time(7, 32, 0, 999),
        datetime.datetime(1979, 5, 27, 7, 32),
        datetime.datetime(1979, 5, 27, 7, 32, tzinfo=datetime.UTC),
        datetime.datetime(1979, 5, 27, 7, 32, tzinfo=datetime.timezone(datetime.timedelta(hours=-7, minutes=-30))),
    ]
)
scalars = st.one_of(
    texts,
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    moments,
)
plain_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)
tables = st.dictionaries(keys, plain_values, max_size=4)
documents = st.dictionaries(
    keys, st.one_of(plain_values, tables, st.dictionaries(keys, tables, max_size=3)), max_size=4
)


@dataclass
class Written:
    """Some lines of a text. They are removed only with the value at `owner`, or never if it is None."""

    text: str
    owner: Keys | None


@dataclass
class Group:
    """Lines that stay together when the tables of a text are put in another order."""

    lines: list[Written] = field(default_factory=list)


class Writer:
    """Writes data as TOML in a random style."""

    def __init__(self, draw: Any, newline: str) -> None:
        self.draw = draw
        self.newline = newline
        self.count = 0

    def maybe(self) -> bool:
        return bool(self.draw(st.booleans()))

    def comment(self) -> str:
        self.count += 1
        return f"# note {self.count}"

    def key(self, key: str) -> str:
        literal = key.isprintable() and "'" not in key
        return f"'{key}'" if literal and self.draw(st.integers(0, 4)) == 0 else key_text(key)

    def path(self, keys: Keys) -> str:
        dot = self.draw(st.sampled_from([".", ".", " . "]))
        return str(dot.join(map(self.key, keys)))

    def value(self, value: Any, depth: int = 0) -> str:
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0 and self.maybe():
            return str(self.draw(st.sampled_from([hex(value), f"{value:_}", bin(value)])))
        if isinstance(value, list):
            return self.array(value, depth)
        if isinstance(value, dict):
            return self.inline(value, depth)
        return text_of(value)

    def string(self, value: str) -> str:
        style = self.draw(st.sampled_from(['"', "'", '"""', "'''"]))
        if style == "'" and value.isprintable() and "'" not in value:
            return f"'{value}'"
        if style == "'''" and value.replace("\n", "").isprintable() and "'" not in value:
            return f"'''{self.newline}{value.replace(chr(10), self.newline)}'''"
        if style == '"""':
            inner = text_of(value)[1:-1].replace("\\n", self.newline)
            return f'"""{self.newline}{inner}"""'
        return text_of(value)

    def array(self, items: list[Any], depth: int) -> str:
        written = [self.value(item, depth + 1) for item in items]
        if not self.maybe():
            return f"[{', '.join(written)}{',' if written and self.maybe() else ''}]"
        text = "["
        if self.maybe():
            text += " " + self.comment()
        for index, item in enumerate(written):
            above = f"{self.newline}  {self.comment()}" if self.maybe() else ""
            comma = "," if index < len(written) - 1 or self.maybe() else ""
            text += f"{above}{self.newline}  {item}{comma}" + (f" {self.comment()}" if self.maybe() else "")
        return text + self.newline + "]"

    def inline(self, table: dict[str, Any], depth: int) -> str:
        items = []
        for key, value in table.items():
            if isinstance(value, dict) and value and self.maybe():
                items += [f"{self.path((key, inner))} = {self.value(item, depth + 1)}" for inner, item in value.items()]
            else:
                items.append(f"{self.key(key)} = {self.value(value, depth + 1)}")
        space = " " if self.maybe() else ""
        return "{" + space + ", ".join(items) + space + "}"

    def setting(self, path: Keys, table: Keys, value: Any) -> list[Written]:
        lines = []
        if self.maybe() and self.maybe():
            lines.append(Written(self.comment() + self.newline, table or None))
        behind = f"  {self.comment()}" if self.maybe() and self.maybe() else ""
        text = f"{self.path(path[len(table) :])} = {self.value(value)}{behind}{self.newline}"
        return [*lines, Written(text, path)]

    def settings(self, path: Keys, table: Keys, data: dict[str, Any]) -> tuple[list[Written], list[Group]]:
        """The lines in the block of `table` for `data` at `path`; further blocks for the rest."""
        lines: list[Written] = []
        groups: list[Group] = []
        for key, value in data.items():
            below = (*path, key)
            style = self.draw(st.sampled_from(["inline", "dotted", "header"]))
            if isinstance(value, dict) and style == "dotted" and value:
                inner, further = self.settings(below, table, value)
                lines += inner
                # a table that only has headers of inner tables has no dotted keys
                groups += further
            elif isinstance(value, dict) and style == "header":
                groups += self.blocks(below, value)
            elif isinstance(value, list) and value and style == "header" and all(isinstance(x, dict) for x in value):
                groups.append(self.array_of_tables(below, value))
            else:
                lines += self.setting(below, table, value)
        return lines, groups

    def blocks(self, path: Keys, data: dict[str, Any]) -> list[Group]:
        lines, groups = self.settings(path, path, data)
        if not lines and groups and self.maybe():
            return groups
        return [Group([*self.header(f"[{self.path(path)}]", path), *lines, *self.between(path)]), *groups]

    def array_of_tables(self, path: Keys, items: list[dict[str, Any]]) -> Group:
        group = Group()
        for item in items:
            group.lines += self.header(f"[[{self.path(path)}]]", path)
            for key, value in item.items():
                text = f"{self.key(key)} = {self.value(value)}{self.newline}"
                group.lines.append(Written(text, path))
        return group

    def header(self, text: str, path: Keys) -> list[Written]:
        lines = []
        if self.maybe() and self.maybe():
            lines.append(Written(self.comment() + self.newline, path))
        behind = f" {self.comment()}" if self.maybe() and self.maybe() else ""
        return [*lines, Written(text + behind + self.newline, path)]

    def between(self, path: Keys) -> list[Written]:
        """The text between two tables: nothing, an empty line, or a comment that belongs to neither."""
        if not self.maybe():
            return []
        lines = [Written(self.newline, path)]
        if self.maybe():
            lines += [Written(self.comment() + self.newline, None), Written(self.newline, path)]
        return lines


@st.composite
def written(draw: Any, data: Any = documents) -> tuple[dict[str, Any], list[Written], str]:
    """Data, its lines as TOML, and their text."""
    table: dict[str, Any] = draw(data)
    writer = Writer(draw, draw(st.sampled_from(["\n", "\n", "\r\n"])))
    lines, groups = writer.settings((), (), table)
    if draw(st.booleans()):
        lines = [Written(writer.comment() + writer.newline, None), Written(writer.newline, None), *lines]
    for group in draw(st.permutations(groups)):
        lines += group.lines
    text = "".join(line.text for line in lines)
    if text and draw(st.integers(0, 4)) == 0:
        text = text.removesuffix("\n").removesuffix("\r")
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        from hypothesis import reject

        reject()
    return table, lines, text
