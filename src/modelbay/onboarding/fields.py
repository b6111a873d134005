"""The fields of a custom provider. For each field there is a function that returns the problem with a value, or None.

The rules and messages are those of Kilo Code's dialog, so that its users know them.
"""

import re
from collections.abc import Collection, Container
from itertools import chain, count

from msgspec import Struct, field

from modelbay.conversation import Protocol
from modelbay.credentials.credential import NO_KEY, is_key
from modelbay.origin import origin
from modelbay.providers.endpoint import is_header
from modelbay.secrecy import REFERENCE

ID = re.compile(r"[a-z0-9][a-z0-9_-]*")
VARIABLE = re.compile(r"\{env:(.*)\}", re.DOTALL)
VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
SHELL_VARIABLE = re.compile(rf"\$\{{?({VARIABLE_NAME.pattern})\}}?")
"""A variable as in the curl commands of vendors' pages, which a shell would replace."""
NAME_LENGTH = 200
ID_LENGTH = 100
REQUIRED, DUPLICATE = "Required", "Duplicate"
HEADER_NAME = (
    "Must have letters, digits and hyphens only; modelbay sets Connection, Content-Length and Transfer-Encoding"
)
HEADER_VALUE = "Must be one line of Latin-1 text"

APIS: dict[Protocol, str] = {
    "openai_chat": "OpenAI Compatible",
    "openai_responses": "OpenAI Responses",
    "anthropic": "Anthropic Messages",
    "google": "Google Gemini",
}
"""The choices of "Provider API", the usual one first."""


class ModelRow(Struct):
    id: str
    name: str


class HeaderRow(Struct):
    key: str
    value: str


class ProviderFields(Struct):
    """The values in the dialog."""

    id: str = ""
    name: str = ""
    api: Protocol | None = None
    """None: detected from the base URL; the default is OpenAI Compatible."""
    base_url: str = ""
    api_key: str = ""
    models: list[ModelRow] = field(default_factory=list)
    headers: list[HeaderRow] = field(default_factory=list)

    def trimmed(self) -> "ProviderFields":
        """The same values without surrounding spaces, and without empty header rows."""
        return ProviderFields(
            self.id.strip(),
            self.name.strip(),
            self.api,
            self.base_url.strip(),
            self.api_key.strip(),
            [ModelRow(row.id.strip(), row.name.strip()) for row in self.models],
            [HeaderRow(row.key.strip(), row.value.strip()) for row in self.headers if (row.key + row.value).strip()],
        )


def problems(form: ProviderFields, taken: Collection[str] = (), *, detects: bool = False) -> dict[str, str]:
    """All problems by field: "id", "base_url", "models", "models.0.name", "headers.1.key" ...

    `taken` are the IDs of the other providers. `detects`: the models are listed later, so they may be missing.
    """
    found: dict[str, str | None] = {
        "id": id_problem(form.id, taken),
        "name": name_problem(form.name),
        "base_url": base_url_problem(form.base_url),
        "api_key": api_key_problem(form.api_key),
        "models": None if form.models or detects else "At least one model is required",
    }
    for number, (id, name) in enumerate(model_problems(form.models)):
        found |= {f"models.{number}.id": id, f"models.{number}.name": name}
    for number, (key, value) in enumerate(header_problems(form.headers)):
        found |= {f"headers.{number}.key": key, f"headers.{number}.value": value}
    return {name: problem for name, problem in found.items() if problem}


def id_problem(id: str, taken: Collection[str] = ()) -> str | None:
    id = id.strip()
    if not id:
        return "Provider ID is required"
    if not ID.fullmatch(id):
        return "Use lowercase letters, numbers, hyphens, or underscores"
    if len(id) > ID_LENGTH:
        return f"Provider ID must be at most {ID_LENGTH} characters"  # folders and files have its name
    return "That provider ID already exists" if id in taken else None


def free_name(name: str, used: Container[str]) -> str:
    """`name` if it is unused, otherwise the first unused one of `name-2`, `name-3` and so on."""
    return next(one for one in chain((name,), (f"{name}-{number}" for number in count(2))) if one not in used)


def name_problem(name: str) -> str | None:
    if not name.strip():
        return "Display name is required"
    return _length_problem(name)


def base_url_problem(url: str) -> str | None:
    url = url.strip()
    if not url:
        return "Base URL is required"
    if not re.match(r"https?://", url, re.IGNORECASE):
        return "Must start with http:// or https://"
    try:
        origin(url)
    except ValueError:
        return "Base URL must start with http:// or https://"
    return None


def api_key_problem(key: str) -> str | None:
    """An API key is optional. `{env:NAME}` is a reference to an environment variable."""
    key = key.strip()
    if (variable := VARIABLE.fullmatch(key)) is not None and not VARIABLE_NAME.fullmatch(variable[1].strip()):
        return "Invalid environment variable name"
    if (shell := SHELL_VARIABLE.fullmatch(key)) is not None:
        return f"${shell[1]} is the name of a shell variable; enter {{env:{shell[1]}}} to use its value"
    return NO_KEY if key and not REFERENCE.search(key) and not is_key(key) else None


def model_problems(rows: list[ModelRow]) -> list[tuple[str | None, str | None]]:
    """The problems with ID and name of each row."""
    repeated = _repeated([row.id for row in rows])
    return [
        (
            REQUIRED if not row.id.strip() else DUPLICATE if number in repeated else None,
            REQUIRED if not row.name.strip() else _length_problem(row.name),
        )
        for number, row in enumerate(rows)
    ]


def rows_problem(rows: list[ModelRow]) -> str | None:
    """The first problem of rows of models, with the row's ID."""
    for row, (id, name) in zip(rows, model_problems(rows), strict=True):
        if id or name:
            return f"{row.id or '(no id)'}: {id or f'name: {name}'}"
    return None


def headers_problem(rows: list[HeaderRow]) -> str | None:
    """The first problem of rows of headers, with the header's name."""
    for row, (key, value) in zip(rows, header_problems(rows), strict=True):
        if key or value:
            return f"{row.key or '(no name)'}: {key or f'value: {value}'}"
    return None


def resource_problem(name: str) -> str | None:
    """An Azure resource name is part of a host name, which limits its characters."""
    return None if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name) else f'"{name}" is not an Azure resource name'


def header_problems(rows: list[HeaderRow]) -> list[tuple[str | None, str | None]]:
    """The problems with key and value of each row. An empty row has none."""
    repeated = _repeated([row.key for row in rows])
    found: list[tuple[str | None, str | None]] = []
    for number, row in enumerate(rows):
        key, value = row.key.strip(), row.value.strip()
        if not key and not value:
            found.append((None, None))
        else:
            key_problem = REQUIRED if not key else DUPLICATE if number in repeated else None
            if key_problem is None and not is_header(key, ""):
                key_problem = HEADER_NAME
            value_problem = None if value else REQUIRED
            if value and not REFERENCE.search(value) and not is_header("X", value):
                value_problem = HEADER_VALUE
            found.append((key_problem, value_problem))
    return found


def _length_problem(name: str) -> str | None:
    too_long = len(name.strip()) > NAME_LENGTH
    return f"Display name must be at most {NAME_LENGTH} characters" if too_long else None


def _repeated(words: list[str]) -> set[int]:
    """The indexes of words that are also earlier in the list, ignoring case."""
    seen: set[str] = set()
    found = set()
    for number, word in enumerate(text.strip().lower() for text in words):
        if word and word in seen:
            found.add(number)
        seen.add(word)
    return found
