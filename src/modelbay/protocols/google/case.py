"""Gemini's fields occur in camelCase and snake_case, depending on the SDK, and sometimes mixed in one object.

Fields are read under their camelCase names. The names written in snake_case are recorded, so that they can be restored.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

Fields = dict[str, Any]

_WORD = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


@lru_cache(maxsize=512)
def camel_name(name: str) -> str:
    return _WORD.sub(lambda found: found.group(1).upper(), name)


def camel(fields: Fields) -> tuple[Fields, list[str]]:
    """The fields under their camelCase names, and the names that were not. Only this level: nested objects may be data."""
    if "_" not in "".join(fields):  # most objects
        return fields, []
    snake = [name for name in fields if "_" in name and camel_name(name) != name]
    if not snake:
        return fields, []
    return {camel_name(name): value for name, value in fields.items()}, snake


def written(fields: Fields, snake: Iterable[str]) -> Fields:
    """The fields under their original names."""
    names = {camel_name(name): name for name in snake}
    return {names.get(name, name): value for name, value in fields.items()} if names else fields
