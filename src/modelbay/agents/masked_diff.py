"""The unified diff of a change of an agent's file, with secrets masked, including those in comments and unchanged lines."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from modelbay.agents.file_text import FileSyntax, value_at
from modelbay.agents.findings import leaves
from modelbay.agents.journal import BoundSettings, role
from modelbay.config.diff import Shown, compared
from modelbay.config.toml.scan import Keys
from modelbay.secrecy import (
    MASK,
    WORD,
    masked_comment,
    masked_text,
    named_secret,
    secret_header,
    secret_parameter,
    secret_variable,
    shaped_secret,
)

_ASSIGNED = re.compile(
    r"""(?P<before>(["']?)(?<![\w.-])(?P<name>[\w.-]+)\2\s*[:=]\s*)(?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote)).)+)(?P=quote)"""
)
"""A setting in a comment. A name is tried at its beginning only: the time for a long word would grow with its square."""


_QUERIES = ("queryparams", "query_params")
_BY_PLACE = ("env", *_QUERIES)
"""Tables whose names users choose: all values are hidden but those with known names, as in `headers`."""
_HARMLESS = frozenset(("type", "source"))
"""Last words of names whose values are a choice of the agent, such as `selectedType` and `tokenSource`."""
_CHOICE = re.compile(r"[a-z]{1,12}(-[a-z]{1,12}){0,3}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]{0,30}(_[A-Z0-9]{1,30})+")


def unified(before: str, after: str, name: str, syntax: FileSyntax, entries: Iterable[BoundSettings]) -> str:
    """The diff between two texts of a file; empty if they are equal. The credentials of `entries` are masked."""
    if before == after:
        return ""
    bound = list(entries)
    return compared(_shown(before, syntax, bound), _shown(after, syntax, bound), name)


def _shown(text: str, syntax: FileSyntax, entries: list[BoundSettings]) -> Shown:
    hidden = dict(_hidden(text, syntax, entries)) if text.strip() else {}
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    return [(line, _masked(line, hidden).rstrip("\r\n")) for line in lines]


def _hidden(text: str, syntax: FileSyntax, entries: list[BoundSettings]) -> Iterator[tuple[str, str]]:
    """The spellings of all secrets in a text, each with its masked form; longer ones first."""
    data, document = syntax.data_of(text), syntax.document(text)
    found: dict[str, str] = {}
    for path in leaves(data, ()):
        value = value_at(data, path)
        if isinstance(value, str) and value and _is_secret(path, value, entries):
            exact = document.text_at(path) or ""
            lines = exact.splitlines()
            found |= {line: MASK for line in lines if line.strip()} if lines[1:] else {exact: f'"{masked_text(value)}"'}
        elif isinstance(value, list):
            for item in _secret_items(value, hidden=_is_secret(path, "", entries)):
                found |= {json.dumps(item, ensure_ascii=False): f'"{MASK}"', f"'{item}'": f"'{MASK}'"}
    yield from sorted(found.items(), key=lambda pair: -len(pair[0]))


def _is_secret(path: Keys, value: str, entries: list[BoundSettings]) -> bool:
    name, tables = path[-1], [table.lower() for table in path[:-1]]
    by_place = any(table in _BY_PLACE or table.endswith("headers") for table in tables)
    if not by_place and (_is_choice(name, value) or _names_variable(name, value)):
        return False
    if any(role(entry, path) == "credential" for entry in entries):
        return True
    if any(table.endswith("headers") for table in tables):
        return secret_header(name, value)
    if "env" in tables:
        return secret_variable(name, value) and not value.isdigit()
    if any(table in _QUERIES for table in tables):
        return secret_parameter(name, value)
    return shaped_secret(value) or any(map(named_secret, path))


def _is_choice(name: str, value: str) -> bool:
    """Whether a setting is a choice of the agent, by its name and its value: plain words. Keys have digits or capitals."""
    words = WORD.findall(name)
    return bool(words) and words[-1].lower() in _HARMLESS and _CHOICE.fullmatch(value) is not None


def _names_variable(name: str, value: str) -> bool:
    """Whether a setting such as `envKey` has the name of a variable with a key, which the name of the variable says."""
    words = [word.lower() for word in WORD.findall(name)]
    return "env" in words and _VARIABLE.fullmatch(value) is not None and named_secret(value)


def _secret_items(items: list[Any], *, hidden: bool) -> Iterator[str]:
    """The secrets in a list, such as the arguments of a command."""
    before = ""
    for item in items:
        if isinstance(item, str):
            option, equals, _ = item.partition("=")
            if item and (
                hidden or shaped_secret(item) or (before.startswith("-") and named_secret(before))
                or (equals and named_secret(option))
            ):  # fmt: skip
                yield item
            before = item
        elif isinstance(item, dict):
            yield from (value for value in _texts(item) if value)


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """The secret texts in a table of a list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, str) and (named_secret(name) or shaped_secret(value)):
        yield value


def _masked(line: str, hidden: dict[str, str]) -> str:
    for exact, shown in hidden.items():
        if exact in line:
            line = line.replace(exact, shown)
    return masked_comment(_ASSIGNED.sub(_masked_assignment, line))


def _masked_assignment(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if not named_secret(name) or _is_choice(name, value) or _names_variable(name, value):
        return found[0]
    return f"{found['before']}{found['quote']}{masked_text(value)}{found['quote']}"
