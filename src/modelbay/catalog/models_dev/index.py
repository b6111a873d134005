"""An index of the models.dev list: one line per model, sorted by name, for binary search. Reading it takes a millisecond.

The first line identifies the list; the second has the addresses of the providers; each further line has bare name, provider
ID, model ID and entry, separated by tabs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from modelbay.catalog.facts import INPUTS, OUTPUTS, Facts, switched
from modelbay.catalog.names import shown
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.model import Capability, Cost
from modelbay.protocols.shapes import EXACT

VERSION = "2"
KEPT = (
    "name", "reasoning", "reasoning_options", "tool_call", "temperature", "structured_output", "modalities", "limit",
    "cost", "interleaved", "release_date", "status",
)  # fmt: skip
"""Keys that are kept of an entry."""
OF_THE_FAMILY: tuple[Capability, ...] = ("thinking", "image_in", "video_in", "audio_in", "document_in", "tool_use")
SWITCHES: dict[Capability, str] = {
    "thinking": "reasoning",
    "tool_use": "tool_call",
    "structured_output": "structured_output",
    "temperature": "temperature",
}
AGREEMENT = 0.75
"""Share of the providers with a model that must agree on a fact for it to be the model's own."""


class Header(Struct):
    stamp: str
    date: str


class IndexEntry(Struct):
    """A model at one provider."""

    provider: str
    id: str
    raw: Extra

    @property
    def released(self) -> str:
        """Release date, such as "2026-05-21"; "" if unknown."""
        day = self.raw.get("release_date")
        return day if isinstance(day, str) and day[:4].isdecimal() else ""

    @property
    def facts(self) -> Facts:
        """Same as `entry_facts.facts_of`, without loading the table of spellings, which takes time."""
        raw = self.raw
        limit = _table(raw.get("limit"))
        context, output = _size(limit.get("context")), _size(limit.get("output"))
        efforts, off = _efforts(raw.get("reasoning_options"))
        name = shown(raw["name"]) if isinstance(raw.get("name"), str) else ""
        field = _table(raw.get("interleaved")).get("field")
        return Facts(
            name=name if name and name != self.id else None,
            max_context_tokens=context,
            max_input_tokens=_size(limit.get("input")),
            max_output_tokens=None if context and output and output > context else output,
            efforts=efforts,
            off_effort=off,
            reasoning_key=field if field in ("reasoning", "reasoning_content") else None,
            cost=_cost(_table(raw.get("cost"))),
            capabilities=_capabilities(raw, efforts) | switched(raw.get("reasoning_options")),
        )


class Index:
    """The lines of an index, and the addresses of its providers."""

    def __init__(self, data: bytes, header: Header, start: int) -> None:
        self.date = header.date
        self._data = data
        end = data.index(b"\n", start)
        self.apis: dict[str, str] = decode_as(data[start:end], dict[str, str])
        """Address of each provider; "" if the list has none."""
        self._start = end + 1

    @classmethod
    def read(cls, data: bytes, stamp: str) -> "Index | None":
        """The index in a file; None if it is damaged or for another version of the list."""
        first, _, _ = data.partition(b"\n")
        try:
            header = decode_as(first, Header)
            if header.stamp != stamp or not data.endswith(b"\n"):
                return None
            return cls(data, header, len(first) + 1)
        except (MalformedReply, ValueError):
            return None

    def entries(self, wire_id: str) -> list[IndexEntry]:
        """All models with that bare name: the same for "openai/gpt-5" and "gpt-5"."""
        return [entry for line in self._lines(bare(wire_id).encode()) if (entry := _entry(line)) is not None]

    def at(self, providers: Iterable[str], wire_id: str) -> IndexEntry | None:
        """The model at the first of these providers that has it: by its ID, else by its bare name."""
        entries = self.entries(wire_id)
        for provider in providers:
            own = [entry for entry in entries if entry.provider == provider]
            exact = [entry for entry in own if entry.id.lower() == wire_id.lower()]
            if exact or len(own) == 1:
                return (exact or own)[0]
        return None

    def family(self, wire_id: str) -> Facts | None:
        """Facts that most providers of a model agree on, wherever it runs. Prices are not included."""
        entries = self.entries(wire_id) or self.entries(wire_id.rpartition(":")[0])
        return agreed([entry.facts for entry in entries]) if entries else None

    def providers_at(self, host: str, path: str) -> list[str]:
        """Providers whose API is on a host: those at the same path first."""
        wanted = path.rstrip("/")
        found = [(urlsplit(api).path.rstrip("/") != wanted, id) for id, api in self.apis.items() if _host(api) == host]
        return [id for _, id in sorted(found)]

    def exactly_at(self, id: str, path: str) -> bool:
        return urlsplit(self.apis.get(id, "")).path.rstrip("/") == path.rstrip("/")

    def _lines(self, name: bytes) -> Iterator[bytes]:
        data, low, high = self._data, self._start, len(self._data)
        while low < high:
            middle = (low + high) // 2
            begin = data.rfind(b"\n", low, middle) + 1 or low
            end = data.index(b"\n", middle)
            if data[begin : data.index(b"\t", begin)] < name:
                low = end + 1
            else:
                high = begin
        wanted = name + b"\t"
        while data.startswith(wanted, low):
            end = data.index(b"\n", low)
            yield data[low:end]
            low = end + 1


def build(providers: dict[str, Extra], stamp: str, date: str) -> bytes:
    """The index of a list."""
    lines = [
        f"{bare(id)}\t{provider}\t{id}\t".encode()
        + msgspec.json.encode({key: model[key] for key in KEPT if key in model})
        for provider, entry in providers.items()
        for id, model in entry["models"].items()
        if isinstance(model, dict) and bare(id) and (provider + id).isprintable()
    ]
    lines.sort(key=lambda line: line.split(b"\t", 1)[0])
    apis = {id: api if isinstance(api := entry.get("api"), str) else "" for id, entry in providers.items()}
    return b"\n".join([msgspec.json.encode(Header(stamp, date)), msgspec.json.encode(apis), *lines, b""])


def bare(wire_id: str) -> str:
    """The name of a model that providers have in common."""
    return wire_id.strip().lower().rpartition("/")[2]


def agreed(several: list[Facts]) -> Facts:
    """The facts on which most of several entries of a model agree."""

    def most(values: list[Any]) -> Any:
        known = [value for value in values if value is not None]
        return Counter(known).most_common(1)[0][0] if known else None

    found = Facts(
        name=most([facts.name for facts in several]),
        max_context_tokens=most([facts.max_context_tokens for facts in several]),
    )
    for capability in OF_THE_FAMILY:
        said = [facts.capabilities[capability] for facts in several if capability in facts.capabilities]
        share = sum(said) / len(said) if said else 0.5
        if share >= AGREEMENT:
            found.capabilities[capability] = True
        elif share == 0 and len(said) > 1 and capability != "tool_use":  # a local server may support it nevertheless
            found.capabilities[capability] = False
    return found


def _table(value: Json) -> Extra:
    return value if isinstance(value, dict) else {}


def _size(value: Json) -> int | None:
    return int(value) if type(value) in (int, float) and 1 <= value < EXACT else None


def _cost(cost: Extra) -> Cost | None:
    prices = {name: cost[name] for name in Cost.__struct_fields__ if type(cost.get(name)) in (int, float)}
    known = {name: float(price) for name, price in prices.items() if price >= 0}
    return Cost(**known) if "input" in known and "output" in known else None


def _efforts(options: Json) -> tuple[list[str] | None, str | None]:
    for option in options if isinstance(options, list) else ():
        if isinstance(option, dict) and option.get("type") == "effort" and isinstance(option.get("values"), list):
            words = ["none" if word is None else str(word) for word in option["values"]]
            return [word for word in words if word != "none"], "none" if "none" in words else None
    return None, None


def _capabilities(raw: Extra, efforts: list[str] | None) -> dict[Capability, bool]:
    found: dict[Capability, bool] = {}
    modalities = _table(raw.get("modalities"))
    for kinds, listed in ((INPUTS, modalities.get("input")), (OUTPUTS, modalities.get("output"))):
        if isinstance(listed, list) and listed:
            found |= {capability: kind in listed for kind, capability in kinds.items()}
    for capability, name in SWITCHES.items():
        if isinstance(raw.get(name), bool):
            found[capability] = raw[name]
    if efforts and "thinking" not in found:
        found["thinking"] = True
    return found


def _host(api: str) -> str:
    try:
        return (urlsplit(api).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _entry(line: bytes) -> IndexEntry | None:
    _, provider, id, raw = line.split(b"\t", 3)
    try:
        return IndexEntry(provider.decode(), id.decode(), decode_as(raw, dict))
    except MalformedReply:
        return None
