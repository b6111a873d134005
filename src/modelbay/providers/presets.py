"""The vendors we know: a file each in `presets/`, its name the vendor's id. Adding one is adding a file."""

import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct, field

from modelbay.config.schema import Table
from modelbay.conversation import Protocol
from modelbay.dialect import Dialect

FOLDER = Path(__file__).parent / "presets"
NAMES = get_args(Protocol)

Scheme: TypeAlias = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key"]


class Login(Struct, kw_only=True, frozen=True):
    """A way to log in at a vendor. Of several regions each is one."""

    id: str
    """The word for it in `modelbay login`."""
    title: str
    by: Literal["device", "key", "adc"]
    """By approving a device's code, by giving a key, by Google's own credentials."""
    base_url: str | None = None
    provider: str = ""
    """The id of the provider that it writes."""
    prefix: str = ""
    """What the aliases of its models begin with, before a slash."""
    only: str = ""
    """What the ids of its models begin with; others are left out."""
    type: str = ""
    key: str = ""
    """What its tokens are stored under; of another host or base URL, with a digest of both behind it."""
    host: str = ""
    device_path: str = ""
    token_path: str = ""
    client_id: str = ""
    scope: str | None = None
    key_url: str | None = None
    refused: str | None = None
    """What to tell somebody whose key is refused: which other key they may have taken for it."""
    services: dict[str, str] = field(default_factory=dict)
    """Other things that it opens, each a table in `[services]` with its path at the base URL, as Kimi Code writes them."""


class Publisher(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who publishes models at a vendor that has those of many: its name is a step of their address."""

    id: str
    protocol: Protocol | None = None
    """The one that its models are served over; None: over none of ours."""
    models: list[str]
    """Patterns of its models' names."""


class Preset(Struct, kw_only=True, frozen=True):
    """A vendor: where it is, which protocols it speaks, and how it departs from each."""

    id: str
    name: str
    hosts: list[str]
    """Host names; `*` stands for anything, as in "*.openai.azure.com". The machine's own with its port, as "localhost:1234"."""
    base_url: str | None = None
    """For its default protocol; None: every customer has another. `{name}` stands for what `placeholders` names."""
    protocols: list[Protocol]
    """The default first."""
    base_urls: dict[Protocol, str] = field(default_factory=dict)
    """Of the protocols that have another."""
    placeholders: dict[str, list[str]] = field(default_factory=dict)
    """For each `{name}` in a URL, the names that a provider's `env` table may give it."""
    types: list[str] = field(default_factory=list)
    """Provider types that mean this vendor wherever their base URL points."""
    auth: dict[Protocol, Scheme] = field(default_factory=dict)
    """Where it is not the protocol's own."""
    keyless: bool = False
    """Asks for no key (it may take one)."""
    key_url: str | None = None
    """Where a person gets a key."""
    lists_models: bool = True
    lists: list[str] = field(default_factory=list)
    """Paths on its host of lists in a form of its own, for facts that the protocol's list has not."""
    describes: str | None = None
    """The path that tells of one model, asked with `{"model": id}`."""
    models_dev: list[str] = field(default_factory=list)
    """What the vendor is called at models.dev, where one id has the models of `base_url`: the usual one first."""
    unspoken: list[str] = field(default_factory=list)
    """Patterns of ids at models.dev: models that speak none of `protocols`, though their entries do not say so."""
    publishers: list[Publisher] = field(default_factory=list)
    """Those whose models it has, where the address of a model names one."""
    addressing: Literal["plain", "azure", "vertexai"] = "plain"
    """How a call's URL is made of the base URL."""
    logins: list[Login] = field(default_factory=list)
    """The usual one first."""
    dialect: Table = field(default_factory=dict)
    """Fields of a dialect, and tables of them for one protocol."""

    def url(self, protocol: Protocol) -> str | None:
        return self.base_urls.get(protocol, self.base_url)

    def publisher(self, id: str) -> tuple[Publisher | None, str]:
        """Who publishes a model, as its id says or its name tells, and its name. One that nobody knows has no protocol."""
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
        return msgspec.convert({**fields, **self.dialect.get(protocol, {}), "vendor": self.id}, Dialect)


def all() -> list[Preset]:
    """Every vendor, by id."""
    return [_preset(id) for id in _texts()]


def by_id(id: str) -> Preset | None:
    return _preset(id) if id in _texts() else None


@cache
def by_host(host: str) -> Preset | None:
    """The vendor whose host it is, or, as "localhost:1234", whose server is at home there."""
    for preset in _presets_with(f'"{host}"'):
        if host in preset.hosts:
            return preset
    for preset in _presets_with("*"):
        if any(_matches(host, pattern) for pattern in preset.hosts if "*" in pattern):
            return preset
    return None


@cache
def by_type(type: str) -> Preset | None:
    """The vendor that a provider type means whatever its base URL is."""
    return next((preset for preset in _presets_with(f'"{type}"') if type in preset.types), None)


@cache
def by_models_dev(id: str) -> Preset | None:
    """The vendor that models.dev calls so."""
    return next((preset for preset in _presets_with(f'"{id}"') if id in preset.models_dev), None)


def logins() -> list[tuple[Preset, Login]]:
    """Every way to log in."""
    return [(preset, login) for preset in _presets_with("[[logins]]") for login in preset.logins]


def _presets_with(text: str) -> list[Preset]:
    """Those whose file has `text` somewhere: looking is cheap, parsing all of them takes 10 ms."""
    return [_preset(id) for id, content in _texts().items() if text in content]


@cache
def _texts() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))}


@cache
def _preset(id: str) -> Preset:
    import tomllib

    return msgspec.convert({**tomllib.loads(_texts()[id]), "id": id}, Preset)


def _matches(host: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[a-z0-9.-]+"), host) is not None
