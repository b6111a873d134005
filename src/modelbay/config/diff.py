"""The unified diff of an edit, with secrets masked, including those in context lines."""

import re
from difflib import SequenceMatcher
from typing import Any

from modelbay.config import keys
from modelbay.config.toml import scan, values
from modelbay.config.toml.document import TomlBlock, TomlDocument, TomlLine
from modelbay.config.toml.scan import Keys
from modelbay.secrecy import (
    MASK,
    masked_comment,
    masked_text,
    masked_urls,
    named_secret,
    secret_header,
    secret_variable,
    shaped_secret,
)

HEADERS = frozenset({"custom_headers", "headers", "http_headers"})
SECRET_KEYS = frozenset({"api_key", "apiKey"})

Shown = list[tuple[str, str]]
"""Lines of text, each with its masked form."""


def unified(before: str, after: str, name: str) -> str:
    """The diff between two TOML texts; empty if they are equal."""
    return "" if before == after else compared(_shown(before), _shown(after), name)


def compared(old: Shown, new: Shown, name: str) -> str:
    """The diff between two lists of lines, which are compared unmasked."""
    matcher = SequenceMatcher(None, [line for line, _ in old], [line for line, _ in new])
    lines = [f"--- {name}", f"+++ {name}"]
    for group in matcher.get_grouped_opcodes(3):
        first, last = group[0], group[-1]
        lines.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@")
        for step, start, end, new_start, new_end in group:
            if step == "equal":
                lines += [f" {shown}" for _, shown in old[start:end]]
            else:
                lines += [f"-{shown}" for _, shown in old[start:end]]
                lines += [f"+{shown}" for _, shown in new[new_start:new_end]]
    return "\n".join(lines) + "\n"


def _range(start: int, end: int) -> str:
    length = end - start
    return f"{start + 1 if length else start}" + ("" if length == 1 else f",{length}")


def _shown(text: str) -> Shown:
    lines: Shown = []
    for block in TomlDocument(text).blocks:
        tables = [block.path]
        lines += [(line.text, _comment(line, tables)) for line in block.lead]
        lines += _paired(block.head, block.head)
        for line in (*block.lines, *block.after):
            lines += _paired(line.text, _setting(block, line) if line.keys else _comment(line, tables))
    return [(line, shown.rstrip("\r\n")) for line, shown in lines]


def _paired(text: str, shown: str) -> Shown:
    """The lines of a setting. If the masked text has fewer lines, the others are masked completely."""
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    shown_lines = [line for line in re.split(r"(?<=\n)", shown) if line]
    if len(shown_lines) != len(lines):
        shown_lines += [MASK] * (len(lines) - len(shown_lines))
    return list(zip(lines, shown_lines, strict=True))


def _setting(block: TomlBlock, line: TomlLine) -> str:
    value = values.read(line.value)
    masked = masked_value(block.full(line), value)
    tail = masked_comment(line.tail)
    if values.same(value, masked):
        return f"{line.text[: len(line.text) - len(line.tail)]}{tail}" if line.text.endswith(line.tail) else line.text
    return f"{line.head}{values.text_of(masked)}{tail}"


def masked_value(path: Keys, value: Any) -> Any:
    """A value with its secrets masked; `path` tells what the value is."""
    if isinstance(value, dict):
        return {key: masked_value((*path, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked_value(path, item) for item in value]
    if not isinstance(value, str) or not value:
        return value
    return masked_text(value) if _is_secret(path, value) else masked_urls(value)


def _is_secret(path: Keys, value: str) -> bool:
    name, tables = path[-1] if path else "", path[:-1]
    if HEADERS & {*tables}:
        return secret_header(name, value)
    if "env" in tables:
        return secret_variable(name, value)
    known = keys.known(path)
    value = masked_urls(value)
    if known is None and tables[-1:] != ("dialect",):
        return named_secret(name) or shaped_secret(value)
    # an unknown key may be misspelled, and in a provider's table it most likely was meant as a key
    return (
        name in SECRET_KEYS
        or shaped_secret(value)
        or (known is False and (path[0] == "providers" or named_secret(name)))
    )


def _comment(line: TomlLine, tables: list[Keys]) -> str:
    """A comment line. A setting that is commented out may still contain a secret.

    `tables` are the tables that it may belong to: the one above, and those whose headers are commented out above it.
    """
    import tomllib

    if header := scan.OFF_HEADER.match(line.head):
        tables.append(scan.keys_of(header["path"]))
    if off := scan.OFF.match(line.head):
        keys_off = scan.keys_of(off["path"])
        try:
            value = values.read(line.head[off.end() :])
        except tomllib.TOMLDecodeError:
            value = "secret"  # it cannot be parsed, so all of it is masked if its key is a secret's
        for table in [(), *tables]:
            masked = masked_value((*table, *keys_off), value)
            if not values.same(masked, value):
                return f"{off[0]} {values.text_of(masked)}"
    return masked_comment(line.text)
