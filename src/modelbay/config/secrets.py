"""The secrets of a whole file: each is registered, so that no output shows it, and hidden, so that no traceback does.

They are found before anything is checked, because an entry that cannot be used has secrets too.
"""

from typing import Any

from modelbay.config.keys import known
from modelbay.config.scan import Keys
from modelbay.secrecy import (
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

HEADERS = "custom_headers"
INNER = frozenset({HEADERS, "env", "source"})
"""Tables of a provider with secrets in them."""
ADDRESSES = frozenset({"base_url", "proxy", "url"})


def hide(document: Any) -> None:
    """Registers and hides the secrets of a file, in place."""
    for kind in ("providers", "models"):
        entries = document.get(kind)
        for id, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                _hide(entry, (kind, id))
                for name in INNER & entry.keys() if kind == "providers" else ():
                    if isinstance(entry[name], dict):
                        _hide(entry[name], (kind, id, name))
    if isinstance(network := document.get("network"), dict):
        _hide(network, ("network",))


def _hide(table: dict[str, Any], path: Keys) -> None:
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, str) and value.strip() and _found(here, value):
            table[key] = Hidden(value)


def _found(path: Keys, value: str) -> bool:
    """Registers what is secret in a value; whether there is, or may be."""
    name, table = path[-1], path[-2]
    if table == HEADERS:
        register_header(name, value)
        return True
    if name in ADDRESSES or "://" in value:
        register_url(value)
        return masked_url(value) != value
    secret = secret_variable(name, value) if table == "env" else known(path) is not True and named_secret(name)
    if secret or name in ("api_key", "apiKey") or shaped_secret(value):
        if table != "env" or not guessable(name, value):
            register(value)
        return True
    return False
