"""Search back ends of `[gateway.search]`: how each is called, and the endpoint with its key.

The rows are in `search_backends.toml`. An MCP server has none, as it describes its tools itself.
"""

from functools import cache
from typing import Literal

from msgspec import Struct, field

from modelbay.config.schema import Config, SearchSettings, Table
from modelbay.conversion import convert
from modelbay.credentials.reference import check_bound, forget_outputs, may_ask, resolve_reference
from modelbay.credentials.secret import Secret
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import Origin, origin
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.providers") / "search_backends.toml"
PLACE = "gateway.search"


class SearchBackend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search back end with an HTTP API."""

    url: str = ""
    """Address of the service. "" if users run it themselves."""
    path: str
    method: Literal["GET", "POST"] = "GET"
    """GET has its parameters in the query, POST in a JSON object."""
    key_header: str = "Authorization"
    key_prefix: str = ""
    keyless: bool = False
    """Whether it works without an API key."""
    fixed: Table = field(default_factory=dict)
    """Parameters of every request."""
    query: str
    count: str = ""
    """Place of the number of results; "" if it cannot be set."""
    most: int = 0
    """Maximum number of results; 0: unknown."""
    allowed: str = ""
    blocked: str = ""
    """Places of the domains to search only, and not to search. Only one of them is sent."""
    operators: bool = False
    """Whether a query can contain `site:` and `-site:` for domains."""
    country: str = ""
    """Place of the user's country, a code of two letters."""
    countries: list[str] = field(default_factory=list)
    """The countries that it accepts; empty: all."""
    length: str = ""
    """Place of the maximum characters of a page's extract."""
    longest: int = 0
    """Maximum characters of a query; 0: unknown."""
    results: str
    """Place of the results in the reply."""
    text: list[str]
    """Fields with extracts of the page."""
    age: list[str]
    """Fields with the date of the page; the first that is set counts."""


class SearchEndpoint(Struct, frozen=True):
    """The URL to call, and the headers with the key. Its repr shows neither."""

    url: str
    headers: dict[str, str]
    origin: Origin

    def __repr__(self) -> str:
        return f"SearchEndpoint({str(self.origin)!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("origin", str(self.origin))]


@cache
def search_backends() -> dict[str, SearchBackend]:
    """The rows by name."""
    import tomllib

    return convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), dict[str, SearchBackend])


def search_url(settings: SearchSettings) -> str:
    """The URL of the back end."""
    row = search_backends().get(settings.backend)
    if row is None:
        return settings.url or ""
    base = (settings.url or row.url).rstrip("/")
    return base if base.endswith(row.path) else base + row.path


def search_endpoint(config: Config, settings: SearchSettings) -> SearchEndpoint:
    """The endpoint with its key. Keyrings and commands may block.

    Raises:
        MissingCredential: the back end requires an API key, and none is set.
        ConfigError: a reference cannot be used.
    """
    url = search_url(settings)
    where = origin(url)
    row = search_backends().get(settings.backend)
    if settings.api_key is None and row is not None and not row.keyless:
        raise MissingCredential(
            f"the search back end {settings.backend} requires an API key",
            hint='add `api_key` to [gateway.search], for example as a reference: api_key = "{env:NAME}"',
            file=str(config.path),
        )
    headers = {}
    if settings.api_key is not None:
        name, prefix = (row.key_header, row.key_prefix) if row is not None else ("Authorization", "")
        # a server of the user's own, and an MCP server, expect the usual form
        prefix = prefix or ("Bearer " if name == "Authorization" else "")
        key = Secret(_resolved(config, settings.api_key, where, "api_key"), where)
        headers[name] = prefix + key.reveal()
    for name, value in settings.custom_headers.items():
        headers[name] = Secret(_resolved(config, value, where, f"custom_headers.{name}"), where).reveal()
    return SearchEndpoint(url, headers, where)


def _resolved(config: Config, value: str, where: Origin, key: str) -> str:
    place = f"{PLACE}.{key}"
    try:
        text = resolve_reference(value, config, (str(where),))
    except ConfigError as error:
        raise type(error)(f"{place}: {error.message}", hint=error.hint, file=str(config.path)) from error
    check_bound(value, config, where, place, PLACE)
    return text


def asks_for_key(settings: SearchSettings) -> bool:
    """Whether a keyring or a command may prompt the user for the key."""
    return any(may_ask(value) for value in (settings.api_key, *settings.custom_headers.values()))


def read_key_again(settings: SearchSettings) -> None:
    """Run the commands for the key again at the next search: the back end rejected it."""
    forget_outputs([value for value in (settings.api_key, *settings.custom_headers.values()) if value])
