"""A provider of models.dev as a config entry: its type and base URL. The rules are in `providers.toml`, URLs in the presets."""

import re
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.config.provider_types import OLD_TYPES, TYPES
from modelbay.conversation import Extra, Protocol
from modelbay.conversion import convert
from modelbay.providers import presets
from modelbay.providers.vendor import Preset
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.catalog.models_dev") / "providers.toml"
VARIABLE = re.compile(r"\$\{(\w+)\}")
PLACEHOLDER = re.compile(r"\{(\w+)\}")

Refusal: TypeAlias = Literal["unknown-type", "proprietary", "empty-url", "placeholder-url"]


class TypeRule(Struct, forbid_unknown_fields=True):
    npm: list[str]
    id: list[str]
    type: str | None = None
    refused: str | None = None


class Homes(Struct):
    packages: list[str]
    types: list[str]


class TypeRules(Struct):
    rule: list[TypeRule]
    homes: Homes
    packages: dict[str, Protocol]


class Wire(Struct, kw_only=True):
    """A refusal, or a type with a base URL; if both base URL and `needs` are missing, the type has its own."""

    type: str | None = None
    base_url: str | None = None
    """Contains `${NAME}` for each of `needs`."""
    needs: list[str] = field(default_factory=list)
    """Values to ask for: variables of the URL, or "base_url" itself."""
    protocol: Protocol | None = None
    """Protocol of its models, if it is not the type's own."""
    guessed: bool = False
    """Whether its protocol is unknown, so that Chat Completions is assumed."""
    refused: Refusal | None = None
    why: str | None = None


class ModelWire(Struct, kw_only=True):
    """Differences between one model and its provider."""

    protocol: Protocol | None = None
    base_url: str | None = None
    refused: str | None = None


def wire(entry: Extra, url: str | None = None) -> Wire:
    """The config entry for a provider of models.dev or a similar list; `url` is the user's own base URL."""
    if url is not None and not url.strip():
        return Wire(refused="empty-url", why="the base URL is blank")
    if url is not None and "${" in url:
        return Wire(refused="placeholder-url", why=f"the base URL contains a placeholder: {VARIABLE.findall(url)}")
    preset = presets.by_models_dev(str(entry.get("id") or ""))
    found = _typed(entry, preset)
    if found.refused:
        return found
    found.base_url = url.strip() if url else _url(entry, preset, found)
    if found.base_url is not None and found.type == "anthropic":
        found.base_url = re.sub(r"/v1/?$", "", found.base_url)
    found.needs = list(dict.fromkeys(VARIABLE.findall(found.base_url or ""))) or found.needs
    return found


def model_wire(found: Wire, provider: Extra, model: Extra) -> ModelWire:
    """Differences between one model and its provider, or the reason why it cannot be used."""
    own = model.get("provider")
    if not isinstance(own, dict):
        preset, id = presets.by_models_dev(str(provider.get("id") or "")), str(model.get("id") or "")
        if preset is not None and any(fnmatchcase(id, pattern) for pattern in preset.unspoken):
            return ModelWire(refused=f"{preset.name} serves it over another protocol, at another address")
        return ModelWire()
    package, url = own.get("npm"), own.get("api")
    protocol = _table().packages.get(str(package)) if package and package != provider.get("npm") else None
    if package and protocol is None and package != provider.get("npm"):
        return ModelWire(refused=f"it is served by {package}, whose protocol is unknown")
    if isinstance(url, str) and "${" in url:
        return ModelWire(refused=f"its address contains a placeholder: {url}")
    usual = found.protocol or (TYPES[found.type].protocol if found.type else None)
    return ModelWire(
        protocol=None if protocol == usual else protocol,
        base_url=url if isinstance(url, str) and url.rstrip("/") != (found.base_url or "").rstrip("/") else None,
    )


def _typed(entry: Extra, preset: Preset | None) -> Wire:
    """The type of an entry, without its URL."""
    explicit = entry.get("type")
    if isinstance(explicit, str) and explicit:
        type = OLD_TYPES.get(explicit, explicit)
        if type in TYPES:
            return Wire(type=type)
        return Wire(refused="unknown-type", why=f'unknown type "{explicit}"')
    npm, id = str(entry.get("npm") or "").lower(), str(entry.get("id") or "").lower()
    if preset is not None and preset.addressing != "plain":
        protocol = _table().packages.get(npm)
        return Wire(type=preset.types[0], protocol=protocol if protocol == "anthropic" else None)
    if preset is not None and preset.base_url and not entry.get("api"):
        return Wire(type=_type_of(preset))
    for rule in _table().rule:
        if any(word in npm for word in rule.npm) or any(word in id for word in rule.id):
            if rule.refused:
                return Wire(refused="proprietary", why=rule.refused)
            return Wire(type=rule.type)
    return Wire(type="openai", guessed=preset is None)


def _type_of(preset: Preset) -> str:
    """The type of a vendor with one or more protocols: that of its default."""
    usual: dict[Protocol, str] = {
        "openai_chat": "openai",
        "openai_responses": "openai_responses",
        "anthropic": "anthropic",
        "google": "google-genai",
    }
    return usual[preset.protocols[0]]


def _url(entry: Extra, preset: Preset | None, found: Wire) -> str | None:
    """Base URL of an entry's provider; None if its type, its vendor or the user provides it."""
    api = entry.get("api")
    # if it begins with a variable, the variable is the whole address, which the user sets
    if isinstance(api, str) and api.strip() and not api.strip().startswith("${"):
        return api.strip()
    if preset is not None and preset.addressing == "vertexai":
        found.needs = [name for name in _variables(entry) if not name.endswith("CREDENTIALS")]
        return None
    if preset is not None and preset.base_url:
        return _with_variables(preset, entry)
    rules = _table().homes
    if entry.get("npm") in rules.packages or found.type in rules.types:
        return None
    found.needs = ["base_url"]
    return None


def _variables(entry: Extra) -> list[str]:
    names = entry.get("env")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _with_variables(preset: Preset, entry: Extra) -> str:
    """The preset's URL, with customer-specific parts under the names that the entry uses."""

    def name(match: re.Match[str]) -> str:
        known = preset.placeholders.get(match[1], [])
        mine = [name for name in _variables(entry) if name in known or name.lower().endswith(f"{match[1]}_name")]
        return "${" + (mine or known or [match[1]])[0] + "}"

    return PLACEHOLDER.sub(name, preset.base_url or "")


@cache
def _table() -> TypeRules:
    import tomllib

    return convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), TypeRules)
