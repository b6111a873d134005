"""The values of a provider's entry that are the same in most agents: key, headers, base URL, sizes.

Each agent has its own form of a reference to an environment variable. A reference is imported as `{env:NAME}`, and never followed.
A project's file may not refer to variables: its author would choose which of the user's secrets is sent.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from modelbay.agents.agent import ImportedProvider
from modelbay.agents.findings import KEY_IN_HEADER, KEY_NOT_COPIED, LIKE_REFERENCE, NOT_COPIED, MergedConfig
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.origin import origin
from modelbay.protocols.shapes import whole_number
from modelbay.providers import presets
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header

Field: TypeAlias = tuple[Keys, Keys, Literal["text", "size", "number", "boolean", "strings"]]
"""A field of a model: path in the agent's file, path in modelbay's configuration, and type."""

NO_VARIABLES = "a project's file may not refer to environment variables"
NO_PROGRAMS = "a project's file may not run programs"

NO_URL = "it has no base URL"
UNUSABLE_URL = "its base URL is not valid, or contains a variable"


class ReferenceForm(Struct, frozen=True):
    """How an agent writes references in texts."""

    variable: re.Pattern[str]
    """A reference to an environment variable. Its groups contain the name; the ones that do not match are None."""
    other: re.Pattern[str] | None = None
    """Other text that the agent replaces, and modelbay does not."""
    why_other: str = ""
    command: re.Pattern[str] | None = None
    """A whole value that is the output of a program. Its group is the command for the shell."""


def text_with_references(merged: MergedConfig, path: Keys, form: ReferenceForm, *, may_run: bool = False) -> str | None:
    """A text with its references in modelbay's form; None, with a result, if it cannot be imported."""
    value = merged.get(*path)
    if not isinstance(value, str):
        return merged.text(*path)
    value = value.strip()
    trusted = merged.owner(*path).trusted
    if form.command is not None and (command := form.command.fullmatch(value)):
        return _command(merged, path, command[1].strip(), trusted=trusted, may_run=may_run)
    rest = form.variable.sub("\n", value)
    why = ""
    if form.other is not None and form.other.search(rest):
        why = form.why_other
    elif REFERENCE.search(rest) or misspelled_reference(rest):
        why = LIKE_REFERENCE
    elif rest != value and not trusted:
        why = NO_VARIABLES
    if why:
        merged.unsupported(*path, why=why)
        return None
    return form.variable.sub(lambda found: f"{{env:{next(filter(None, found.groups()))}}}", value) or None


def _command(merged: MergedConfig, path: Keys, command: str, *, trusted: bool, may_run: bool) -> str | None:
    import shlex

    if not trusted or not may_run:
        merged.unsupported(*path, why=NO_PROGRAMS if not trusted else "only the agent's own files may run programs")
        return None
    reference = f"{{command:{shlex.join(['sh', '-c', command])}}}"
    if REFERENCE.fullmatch(reference) is None:
        merged.unsupported(*path, why="modelbay cannot write this command as a reference")
        return None
    return reference


def import_key(
    merged: MergedConfig, path: Keys, provider: ImportedProvider, form: ReferenceForm, *, may_run: bool = False
) -> None:
    """Import the key of a provider."""
    value = text_with_references(merged, path, form, may_run=may_run)
    if value is None:
        provider.missing_key = provider.missing_key or (KEY_NOT_COPIED if merged.get(*path) else "")
        return
    if REFERENCE.fullmatch(value):
        provider.table["api_key"] = value
        merged.exact(*path)
    elif merged.secret(*path):
        provider.table["api_key"] = value
    else:
        provider.missing_key = KEY_NOT_COPIED


def import_secret(merged: MergedConfig, path: Keys, provider: ImportedProvider) -> None:
    """Import a key in which the agent replaces nothing."""
    value = merged.get(*path)
    if REFERENCE.search(value) or misspelled_reference(value):
        merged.unsupported(*path, why=LIKE_REFERENCE)
        provider.missing_key = KEY_NOT_COPIED
    elif merged.secret(*path):
        provider.table["api_key"] = value.strip()
    else:
        provider.missing_key = KEY_NOT_COPIED


def import_headers(merged: MergedConfig, path: Keys, provider: ImportedProvider, form: ReferenceForm) -> None:
    """Import the headers of a provider's requests, after its key."""
    headers = {}
    for name in merged.table(*path):
        value = text_with_references(merged, (*path, name), form)
        if value is None:
            merged.exact(*path, name, why="an empty header is not sent")
            continue
        if secret_header(name, value) and not merged.secret(*path, name):
            if "api_key" not in provider.table:
                provider.missing_key = provider.missing_key or KEY_IN_HEADER
            continue
        headers[name] = value
        merged.exact(*path, name)
    if headers:
        provider.table["custom_headers"] = {**provider.table.get("custom_headers", {}), **headers}


def read_url(merged: MergedConfig, path: Keys, form: ReferenceForm) -> str | None:
    """A base URL, without secrets unless they are copied; None, with a result, if it cannot be imported."""
    url = merged.text(*path)
    if url is None:
        return None
    if form.variable.search(url) or (form.other is not None and form.other.search(url)):
        merged.unsupported(*path, why="modelbay does not insert environment variables into URLs")
        return None
    bare = url if merged.keys else bare_url(url)
    if bare != url:
        merged.approximate(*path, why=NOT_COPIED)
    return bare


def has_host(url: str | None) -> bool:
    """Whether a text is a URL with a host."""
    try:
        return bool(url and origin(url))
    except ValueError:
        return False


def id_of(url: str, otherwise: str) -> str:
    """An ID for the provider at a URL: its vendor's, or its host."""
    try:
        place = origin(url)
    except ValueError:
        return otherwise
    host = place.host
    vendor = presets.by_host(host) or presets.by_host(f"{host}:{place.port}")
    return vendor.id if vendor else re.sub(r"[^a-z0-9]+", "-", host).strip("-") or otherwise


def import_fields(merged: MergedConfig, path: Keys, table: Table, fields: Iterable[Field]) -> None:
    """Import the fields of a model that are set."""
    for there, here, kind in fields:
        if merged.get(*path, *there) is None:
            continue
        if (value := getattr(merged, kind)(*path, *there)) is None:
            continue
        set_in(table, here, value)
        merged.exact(*path, *there)


def import_cost(
    merged: MergedConfig, paths: Mapping[str, Iterable[Keys]], table: Table, *, factor: float = 1, why: str = ""
) -> None:
    """Import prices. `paths`: the places of each price of modelbay's; `factor`: its dollars per million tokens.

    A price list without the prices of input and output would hide the known ones, so it is not imported.
    """
    found = {}
    used = []
    for name, places in paths.items():
        for path in places:
            price = merged.number(*path)
            if price:
                found[name] = round(price * factor, 9)
                used.append(path)
            elif price is not None:
                merged.exact(*path, why="0 means unknown")
    complete = {"input", "output"} <= found.keys()
    for path in used:
        if complete:
            merged.exact(*path, why=why)
        else:
            merged.unsupported(*path, why="the prices of input and output are not both set")
    if complete:
        table["cost"] = found


def set_in(table: Table, path: Keys, value: object) -> None:
    """Set a value at a path in a table."""
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value


def import_timeout(merged: MergedConfig, path: Keys, provider: ImportedProvider, *, unit: float = 1000) -> None:
    """Import the time limit of a whole request, in milliseconds by default. modelbay limits the wait for the first byte."""
    value = merged.get(*path)
    wait = whole_number(value) if isinstance(value, str) else merged.number(*path, least=1)
    if wait:
        provider.table["timeout"] = {"first_byte": wait / unit}
        merged.approximate(*path, why="imported as the timeout for the first byte of a response")
