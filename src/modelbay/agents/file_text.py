"""The text of an agent's file: its values are read and changed in place, in each format."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from modelbay.agents import jsonc
from modelbay.agents.agent import FileFormat
from modelbay.agents.named_lists import NamedLists, as_tables, name_member
from modelbay.config.toml import values
from modelbay.config.toml.document import MISSING, TomlDocument
from modelbay.config.toml.scan import Keys


class TextEdit(Struct, frozen=True):
    """A change of one value. `exact`: the text of the new value; None: the value is removed."""

    path: Keys
    exact: str | None
    comment: str = ""
    """The comment after the value, with the spaces before it, if the value gets a new line."""


class FileSyntax(Struct, frozen=True):
    """The format of a file that modelbay changes: TOML, or JSON with comments."""

    format: FileFormat
    named: tuple[tuple[Keys, str], ...] = ()
    """The lists whose items are addressed by their names, each with the member that names an item."""

    @property
    def lists(self) -> NamedLists:
        return dict(self.named)

    def data_of(self, text: str) -> Any:
        """The data of a text.

        Raises:
            ValueError, RecursionError: the text is not valid.
        """
        import tomllib

        return tomllib.loads(text) if self.format == "toml" else as_tables(jsonc.decode(text), self.lists)

    def document(self, text: str) -> TomlDocument | jsonc.JsonDocument:
        """The values of a text as they are written in it.

        Raises:
            ValueError: the text is not valid.
        """
        return TomlDocument(text) if self.format == "toml" else jsonc.JsonDocument(text, self.lists)

    def value_of(self, exact: str, path: Keys) -> Any:
        """The value whose text is `exact` and that is at a path.

        Raises:
            ValueError: the text is not a value.
        """
        return values.read(exact) if self.format == "toml" else as_tables(jsonc.decode(exact), self.lists, path)

    def is_name(self, path: Keys) -> bool:
        """Whether a setting is the name of an item of a list."""
        return len(path) > 1 and name_member(path[:-2], self.lists) == path[-1]

    def names_of(self, path: Keys) -> list[tuple[Keys, str]]:
        """The settings with the names of the items of lists that a path leads through, each with the name."""
        found = ((depth, name_member(path[: depth - 1], self.lists)) for depth in range(1, len(path)))
        return [((*path[:depth], member), path[depth - 1]) for depth, member in found if member is not None]

    def edited(self, text: str, edits: Iterable[TextEdit]) -> str:
        """The text with values set and removed. Other text does not change.

        Raises:
            ConfigError: the text cannot be changed safely.
        """
        if self.format != "toml":
            lists = self.lists
            for edit in edits:
                if edit.exact is None:
                    text = jsonc.remove(text, edit.path, lists)
                    continue
                text = jsonc.set_text(text, edit.path, edit.exact, lists)
                if edit.comment:
                    text = jsonc.with_comment(text, edit.path, edit.comment, lists)
            return text
        document = TomlDocument(text)
        for edit in edits:
            if edit.exact is None:
                document.delete(edit.path)
            else:
                document.set_text(edit.path, edit.exact)
                document.set_comment(edit.path, edit.comment)
        return document.text


def value_at(data: Any, path: Keys) -> Any:
    """The value at a path; MISSING if there is none."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return MISSING
        data = data[key]
    return data
