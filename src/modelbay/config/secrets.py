"""Finds the secrets of a whole file. Each is registered, so that no output shows it, and hidden, so that no traceback does.

This happens before validation, because an entry that cannot be used has secrets too.
"""

from typing import Any

from modelbay.config.keys import known
from modelbay.config.toml.scan import Keys
from modelbay.secrecy import (
    PLAIN,
    Hidden,
    guessable,
    masked_url,
    named_secret,
    register,
    register_header,
    register_url,
    secret_variable,
    shaped_secret,
)

HEADERS = frozenset({"custom_headers", "headers", "http_headers"})
"""Names of header tables, in modelbay and in other programs."""
ADDRESSES = frozenset({"base_url", "proxy", "url"})
KEYS = frozenset({"api_key", "apiKey"})
WRITTEN = frozenset({"variants", "dialect", "listed"})
"""Tables that become part of requests and documents, whose encoder accepts plain text only."""


def hide(document: Any) -> None:
    """Register and hide the secrets of a file in place, those in tables of other programs included."""
    for key, value in document.items():
        document[key] = _hidden((key,), value)


def _hidden(path: Keys, value: Any) -> Any:
    """The value with its secrets hidden at any depth. Tables and lists are changed in place."""
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _hidden((*path, key), item)
    elif isinstance(value, list):
        value[:] = [_hidden(path, item) for item in value]
    elif isinstance(value, str) and value.strip() and len(path) > 1 and _found(path, value):
        return value if WRITTEN & {*_tables(path)} else Hidden(value)
    return value


def _tables(path: Keys) -> Keys:
    """The names of the tables that a value is in, without the name of its provider or model: that may be any word."""
    return path[2:-1] if path[0] in ("providers", "models") else path[:-1]


def _found(path: Keys, value: str) -> bool:
    """Register the secrets in a value. Returns whether there are, or may be, any."""
    name, tables = path[-1], _tables(path)
    if HEADERS & {*tables}:
        register_header(name, value)
        return True
    if name in ADDRESSES or "://" in value:
        register_url(value)
        return masked_url(value) != value
    is_variable = "env" in tables
    secret = secret_variable(name, value) if is_variable else known(path) is not True and named_secret(name)
    if secret or name in KEYS or shaped_secret(value):
        # a plain word in another program's table (`token_type = "bearer"`) must not be masked everywhere
        is_word = (
            guessable(name, value) if is_variable else len(path) > 3 and name not in KEYS and PLAIN.fullmatch(value)
        )
        if not is_word:
            register(value)
        return True
    return False
