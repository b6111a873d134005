"""Results of deep provider tests, by endpoint. They cost money, so they are kept with the user's data and not in the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from modelbay.errors import ConfigError, MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage import files
from modelbay.storage.paths import data_dir

TestResult: TypeAlias = Literal["yes", "no", "unknown"]
WAIT = 10.0
"""Seconds to wait for another program's write."""


class ProbedEndpoint(Struct, frozen=True):
    """The endpoint that a test called. If one of these values changes, the results no longer apply."""

    provider: str
    """Provider ID."""
    base_url: str
    """Without query and password."""
    protocol: str
    model: str
    """Model ID on the wire."""


class Observation(Struct, frozen=True, omit_defaults=True):
    """The result of one check of a model."""

    result: TestResult
    when: float
    """Seconds since 1970."""
    detail: str = ""
    value: int | None = None
    """The number that was observed, such as maximum output tokens."""


class ProbeRecord(Struct):
    """All results for one endpoint."""

    endpoint: ProbedEndpoint
    name: str
    """The model's alias, or `provider/model-id`, when it was tested."""
    checks: dict[str, Observation] = field(default_factory=dict)

    @property
    def when(self) -> float:
        """Time of the latest check, in seconds since 1970."""
        return max((check.when for check in self.checks.values()), default=0.0)


class _Content(Struct):
    records: list[ProbeRecord] = field(default_factory=list)


class ProbeStore:
    """One file, read again when another program changed it. A damaged one counts as empty, and is set aside by the next change."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_dir() / "probes.json"
        self._read: tuple[int, ...] | None = None
        self._records: dict[ProbedEndpoint, ProbeRecord] = {}

    def at(self, endpoint: ProbedEndpoint) -> ProbeRecord | None:
        """The results for exactly this endpoint."""
        return self._known().get(endpoint)

    def of(self, provider: str) -> list[ProbeRecord]:
        """All results for a provider, also of endpoints that it no longer has."""
        return [record for endpoint, record in self._known().items() if endpoint.provider == provider]

    def add(self, endpoint: ProbedEndpoint, name: str, checks: dict[str, Observation]) -> None:
        """Store results beside earlier ones for the endpoint. An unknown result does not replace a yes or no. Results of the
        same model at an endpoint that it no longer has are removed.

        Raises:
            ConfigError: the file cannot be written.
        """

        def change(records: dict[ProbedEndpoint, ProbeRecord]) -> None:
            known = records.get(endpoint)
            kept = dict(known.checks) if known is not None else {}
            for check, found in checks.items():
                if found.result != "unknown" or kept.get(check, found).result == "unknown":
                    kept[check] = found
            for other, record in list(records.items()):
                if (other.provider, record.name) == (endpoint.provider, name):
                    del records[other]
            records[endpoint] = ProbeRecord(endpoint, name, kept)

        self._change(change)

    def forget(self, provider: str) -> int:
        """Remove all results for a provider. Returns the number of endpoints.

        Raises:
            ConfigError: the file cannot be written.
        """
        gone = len(self.of(provider))
        if gone:

            def change(records: dict[ProbedEndpoint, ProbeRecord]) -> None:
                for endpoint in [endpoint for endpoint in records if endpoint.provider == provider]:
                    del records[endpoint]

            self._change(change)
        return gone

    def copy(self, old: str, new: str) -> None:
        """Give the results of a provider to another ID too.

        Raises:
            ConfigError: the file cannot be written.
        """
        found = self.of(old)
        if not found:
            return

        def change(records: dict[ProbedEndpoint, ProbeRecord]) -> None:
            for record in found:
                endpoint = msgspec.structs.replace(record.endpoint, provider=new)
                name = f"{new}/{record.name.removeprefix(f'{old}/')}" if "/" in record.name else record.name
                records[endpoint] = ProbeRecord(endpoint, name, record.checks)

        self._change(change)

    def _known(self) -> dict[ProbedEndpoint, ProbeRecord]:
        seen = files.identity(self.path)
        if seen != self._read:
            self._read = seen
            try:
                self._records = _decoded(files.content_of(self.path))
            except (ConfigError, MalformedReply):
                self._records = {}
        return self._records

    def _change(self, change: Callable[[dict[ProbedEndpoint, ProbeRecord]], None]) -> None:
        with files.locked(self.path, WAIT):
            old = files.undamaged_content(self.path, "file of test results", _decoded)
            records = _decoded(old)
            change(records)
            content = _Content(records=list(records.values()))
            files.replace(self.path, old, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _decoded(data: bytes | None) -> dict[ProbedEndpoint, ProbeRecord]:
    """The content of the file.

    Raises:
        MalformedReply: it is damaged.
    """
    content = decode_as(data, _Content) if data else _Content()
    return {record.endpoint: record for record in content.records}
