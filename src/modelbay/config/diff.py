"""What an edit changes, as a unified diff that can be shown: secrets are masked in it, also in the lines around a change."""

import re
from difflib import SequenceMatcher
from typing import Any

from modelbay.config import scan, values
from modelbay.config.document import Block, Document, Line
from modelbay.config.scan import Keys

MASK = "…"
SECRET_TABLES = frozenset({"env", "custom_headers", "headers"})
SECRET_KEY = re.compile(
    r"(.*[-_])?(api[-_]?key|token|secret|password|passwd|authorization|credentials?)", re.IGNORECASE
)
SECRET_PARAMETER = re.compile(r"([?&](?:[\w-]*key|[\w-]*token|sig|signature|secret|password)=)[^&#\s]+", re.IGNORECASE)
USER_PART = re.compile(r"(\w://)[^/?#@\s]+@")
REFERENCE = re.compile(r"\{(env|file|keyring):[^{}]*\}")
"""Says where a secret is, which is none."""

Shown = list[tuple[str, str]]
"""Lines as they are, each with how it is shown."""


def unified(before: str, after: str, name: str) -> str:
    """The diff from one TOML text to another; empty, where they are the same."""
    if before == after:
        return ""
    old, new = _shown(before), _shown(after)
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
    for block in Document(text).blocks:
        lines += [(line.text, _comment(line)) for line in block.lead]
        lines += _paired(block.head, block.head)
        for line in block.lines:
            lines += _paired(line.text, _setting(block, line) if line.keys else _comment(line))
        lines += [(line.text, _comment(line)) for line in block.after]
    return [(line, shown.rstrip("\r\n")) for line, shown in lines]


def _paired(text: str, shown: str) -> Shown:
    """The lines of a setting. Where masking has made fewer of them, the others are masked whole."""
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    shown_lines = [line for line in re.split(r"(?<=\n)", shown) if line]
    if len(shown_lines) != len(lines):
        shown_lines += [MASK] * (len(lines) - len(shown_lines))
    return list(zip(lines, shown_lines, strict=True))


def _setting(block: Block, line: Line) -> str:
    value = values.read(line.value)
    masked = masked_value(block.full(line), value)
    if values.same(value, masked):
        return line.text
    return f"{line.head}{values.text_of(masked)}{line.tail}"


def masked_value(path: Keys, value: Any) -> Any:
    """A value without the secrets in it; `path` says what it is."""
    if isinstance(value, dict):
        return {key: masked_value((*path, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked_value(path, item) for item in value]
    if not isinstance(value, str) or not value or REFERENCE.fullmatch(value):
        return value
    if SECRET_TABLES & {*path[:-1]} or (path and SECRET_KEY.fullmatch(path[-1])):
        return MASK
    return SECRET_PARAMETER.sub(rf"\g<1>{MASK}", USER_PART.sub(rf"\g<1>{MASK}@", value))


def masked_url(url: str) -> str:
    """An address as it may be shown: without a password or a key in it."""
    masked: str = masked_value(("base_url",), url)
    return masked


def _comment(line: Line) -> str:
    """A line of comment; what is commented out in it may be a secret still."""
    off = scan.OFF.match(line.head)
    if off and (masked := masked_value(scan.keys_of(off["path"]), "secret")) != "secret":
        return f"{off[0]} {values.text_of(masked)}"
    return line.text
