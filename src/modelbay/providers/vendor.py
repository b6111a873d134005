"""The vendors that are part of modelbay: one file each in `presets/`, named after the vendor's ID. To add a vendor, add a file."""

import re
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, TypeAlias, get_args

from msgspec import Struct, field

from modelbay.config.schema import Problem, Table
from modelbay.conversation import Protocol
from modelbay.conversion import convert
from modelbay.dialect import Dialect
from modelbay.secrecy import publish
from modelbay.shipped import shipped_files

FOLDER = shipped_files("modelbay.providers") / "presets"
NAMES = get_args(Protocol)

Scheme: TypeAlias = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key"]


class LoginMethod(Struct, kw_only=True, frozen=True):
    """A way to log in to a vendor. A vendor with several regions has one for each."""

    id: str
    """Argument of `modelbay login`."""
    title: str
    """Name of the platform for people."""
    by: Literal["device", "key", "adc"]
    """How the user logs in: device code, API key, or Google's application default credentials."""
    base_url: str | None = None
    """Base URL of the platform's API."""
    provider: str = ""
    """ID of the provider entry that it writes."""
    prefix: str = ""
    """Prefix of its models' aliases, before a slash."""
    only: str = ""
    """Prefix of the model IDs to include; other models are skipped."""
    type: str = ""
    """Type of the provider entry."""
    key: str = ""
    """Name that its tokens are stored under. A digest is appended for another host or base URL."""
    host: str = ""
    """URL of the login server."""
    device_path: str = ""
    """Path of the device authorization endpoint."""
    token_path: str = ""
    """Path of the token endpoint."""
    client_id: str = ""
    """OAuth client ID."""
    scope: str | None = None
    """OAuth scope to request."""
    key_url: str | None = None
    """Page where a user gets an API key."""
    described: bool = False
    """Whether its list describes every model, as Kimi Code requires: a missing context size is an error, and a missing
    capability means that the model does not have it."""
    refused: str | None = None
    """Hint for a rejected key, such as which other kind of key it may be."""
    services: dict[str, str] = field(default_factory=dict)
    """Further services of the login, each a table in `[services]` with its path at the base URL, as Kimi Code writes
    them."""


class Publisher(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A publisher of models at a vendor that serves several publishers. Its name is part of the models' URLs."""

    id: str
    protocol: Protocol | None = None
    """Protocol of its models. Default: none that we support."""
    models: list[str]
    """Patterns of its models' names."""


class EndedService(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A service that its vendor ended. Calls to its hosts fail; the vendor's dialect remains, for servers of the same kind."""

    date: str
    """Day of the end, such as "2026-07-30"."""
    use: list[str]
    """IDs of vendors that may replace it, the nearest one first."""
    source: str
    """Page on which the vendor announced the end."""


class Preset(Struct, kw_only=True, frozen=True):
    """A vendor: addresses, protocols, and its deviations from each protocol."""

    id: str
    file: str | None = None
    """Path of a vendor file of the user; None for a built-in vendor."""
    name: str
    """Name of the vendor for people."""
    aliases: list[str] = field(default_factory=list)
    """Other names by which people know the vendor: of its models, its app or its platform."""
    ended: EndedService | None = None
    """Set if the service at `hosts` has ended."""
    hosts: list[str]
    """Host names. `*` matches anything, as in "*.openai.azure.com". Local servers have a port, as in "localhost:1234"."""
    base_url: str | None = None
    """Base URL of the default protocol. Default: none, because each customer has another one."""
    protocols: list[Protocol]
    """Protocols of its API, the default one first."""
    base_urls: dict[Protocol, str] = field(default_factory=dict)
    """Base URLs of the protocols that have their own."""
    placeholders: dict[str, list[str]] = field(default_factory=dict)
    """For each `{name}` in a base URL, the keys of a provider's `env` table that may set it."""
    types: list[str] = field(default_factory=list)
    """Provider types that mean this vendor with any base URL."""
    auth: dict[Protocol, Scheme] = field(default_factory=dict)
    """Authentication schemes, if they differ from the protocol's default."""
    keyless: bool = False
    """Whether no API key is required (one may be accepted)."""
    key_url: str | None = None
    """Page where a user gets an API key."""
    lists_models: bool = True
    """Whether it has a list of its models."""
    lists: list[str] = field(default_factory=list)
    """Paths on the host of further model lists in the vendor's own form, for facts missing in the protocol's list."""
    describes: str | None = None
    """Path that describes one model, requested with `{"model": id}`."""
    models_dev: list[str] = field(default_factory=list)
    """The vendor's IDs at models.dev that list the models of `base_url`, the preferred one first."""
    unspoken: list[str] = field(default_factory=list)
    """Patterns of model IDs at models.dev that speak none of `protocols`, although their entries do not say so."""
    client_logins: list[str] = field(default_factory=list)
    """Beginnings of the tokens that the vendor issues to its own programs. The gateway passes such a token on, to the host of the
    base URL only."""
    publishers: list[Publisher] = field(default_factory=list)
    """Publishers whose models it serves, if a model's URL contains the publisher."""
    addressing: Literal["plain", "azure", "vertexai"] = "plain"
    """How the URL of a call is built from the base URL."""
    logins: list[LoginMethod] = field(default_factory=list)
    """Ways to log in, the preferred one first."""
    dialect: Table = field(default_factory=dict)
    """Dialect fields, and tables of fields for one protocol."""

    @property
    def end(self) -> str:
        """The name and the day of the end, for messages; "" if the service has not ended."""
        return f"{self.name} ended on {self.ended.date}" if self.ended else ""

    @property
    def instead(self) -> str:
        """The hint for a service that ended; "" if it has not."""
        if self.ended is None:
            return ""
        such = f", such as {' or '.join(self.ended.use)}" if self.ended.use else ""
        return f"use another provider{such}; the announcement is at {self.ended.source}"

    def url(self, protocol: Protocol) -> str | None:
        return self.base_urls.get(protocol, self.base_url)

    def publisher(self, id: str) -> tuple[Publisher | None, str]:
        """The publisher of a model, from its ID or name, and the model's name. An unknown publisher has no protocol."""
        if not self.publishers:
            return None, id
        steps = id.split("/")
        if steps[0] == "publishers" and len(steps) == 4 and steps[2] == "models":
            steps = [steps[1], steps[3]]
        if len(steps) == 2 and steps[0] not in ("models", "endpoints", "tunedModels"):
            known = next((one for one in self.publishers if one.id == steps[0]), None)
            return known or Publisher(id=steps[0], models=[]), steps[1]
        name = steps[-1].lower()
        fits = (one for one in self.publishers if any(fnmatchcase(name, pattern) for pattern in one.models))
        return next(fits, None), id

    def dialect_of(self, protocol: Protocol) -> Dialect:
        fields = {key: value for key, value in self.dialect.items() if key not in NAMES}
        return convert({**fields, **self.dialect.get(protocol, {}), "vendor": self.id}, Dialect)


class OwnVendors(Struct, frozen=True):
    """The content of the folder of the user's own vendors."""

    presets: tuple[Preset, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Files that cannot be used."""


@cache
def built_in() -> tuple[Preset, ...]:
    """The vendors that are part of modelbay, sorted by ID."""
    return tuple(built_in_preset(id) for id in texts())


def presets_with(text: str) -> list[Preset]:
    """Presets whose file contains `text`. Searching is cheap; parsing all files takes 10 ms."""
    return [built_in_preset(id) for id, content in texts().items() if text in content]


@cache
def texts() -> dict[str, str]:
    """The files by vendor ID."""
    found = {file.name: file for file in FOLDER.iterdir() if file.name.endswith(".toml")}
    read = {name.removesuffix(".toml"): found[name].read_text(encoding="utf-8") for name in sorted(found)}
    publish(read)
    return read


@cache
def built_in_preset(id: str) -> Preset:
    """A vendor by its ID, which must be one of `texts`."""
    import tomllib

    return convert({**tomllib.loads(texts()[id]), "id": id}, Preset)


def matches(host: str, pattern: str) -> bool:
    """Whether a host matches a pattern of `Preset.hosts`."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[a-z0-9.-]+"), host) is not None
