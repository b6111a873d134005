"""Builds a manifest and extended models from known facts about a provider. Nothing is guessed, and keys are never included."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.facts import PROBE, day
from modelbay.catalog.formats.manifest import DAY, LONGEST
from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.catalog.lists.discovery import discover
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lists.entry_facts import too_cheap
from modelbay.catalog.lookup import LIST, MODELS_DEV, Catalog
from modelbay.catalog.models_dev.index import bare
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.config.schema import MANIFEST, Config, ModelEntry, Network, ProviderEntry
from modelbay.conversation import Extra, Json
from modelbay.errors import AuthenticationFailed, ConfigError, InvalidValue, MalformedReply, MissingCredential
from modelbay.json_text import decode
from modelbay.model import Capability, Cost, Model
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.providers.upstream import Upstream, upstream
from modelbay.publishing.model_rules import FIELDS
from modelbay.secrecy import KEY, redact

NETWORK = Network()
ID = "published"
"""The ID of a provider that is given by a URL."""
SWITCHES: dict[str, Capability] = {"reasoning": "thinking", "temperature": "temperature", "tool_call": "tool_use"}
INPUTS: dict[Capability, str] = {"image_in": "image", "audio_in": "audio", "video_in": "video", "document_in": "pdf"}
OUTPUTS: dict[Capability, str] = {"image_out": "image", "audio_out": "audio"}
REQUIRED_INPUTS: tuple[Capability, ...] = ("image_in", "audio_in", "video_in")
"""The capabilities that must be known, as present or absent, before modalities are written."""
MODEL_FIELDS = ("release_date", "last_updated", "open_weights")
"""Fields that are the same for a model at every provider."""
GUESSED = ("prefix", "default")
"""Sources that only depend on the model's name. They are not reliable enough to publish."""


class PublisherDetails(Struct):
    """The publisher's own details. Missing ones are taken from the provider's entry."""

    name: str | None = None
    website: str | None = None
    base_url: str | None = None


class BuiltManifest(Struct):
    """The documents to publish, and notes for the user."""

    manifest: dict[str, str]
    models: dict[str, Extra]
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    """For each field, the number of models per source."""
    notes: list[str] = field(default_factory=list)

    def missing(self) -> dict[str, list[str]]:
        """For each field, the models without it."""
        found = {name: [id for id, model in self.models.items() if name not in model] for name in FIELDS}
        return {name: ids for name, ids in found.items() if ids}

    def files(self) -> dict[str, bytes]:
        """The files to host: their content by name.

        Raises:
            ConfigError: a file would contain a key.
        """
        manifest = {**self.manifest, "models_data_source": "endpoint"}
        return {"manifest.json": _text(manifest), "models.json": _text({"models": self.models})}

    def embedded(self) -> bytes:
        """Both documents as embedded JSON. Raises the same errors as `files`."""
        return _text([{**self.manifest, "models_data_source": "embedded"}, {"models": self.models}])


async def build_configured(
    config: Config,
    provider: str,
    details: PublisherDetails,
    catalog: Catalog | None = None,
    *,
    all_models: bool = False,
) -> BuiltManifest:
    """The documents for a configured provider, with its configured models or with `all_models` of its list.

    Raises:
        UnknownProvider, ConfigError: the provider cannot be used, or not be published.
        ModelbayError: the model list could not be fetched.
    """
    entry = config.provider(provider)
    found = upstream(config, entry)
    name = details.name or entry.name or (found.preset.name if found.preset else entry.id)
    website = details.website or (entry.source or {}).get("website")
    details = PublisherDetails(name, website, details.base_url)
    only = None if all_models else [one.model for one in config.models.values() if one.provider == entry.id]
    return await _build(config, entry, details, catalog or Catalog(), only)


async def build_listed(
    url: str,
    key: str | None,
    details: PublisherDetails,
    catalog: Catalog | None = None,
    network: Network | None = NETWORK,
) -> BuiltManifest:
    """The documents for a provider that is given by the URL of its plain list, or its base URL. Raises as `build_configured`."""
    try:
        target = origin(url)
    except ValueError as error:
        raise ConfigError(f"not the URL of a model list: {error}", hint="pass a URL with --from") from None
    parts = urlsplit(url)
    base = parts._replace(path=parts.path.rstrip("/").removesuffix("/models"), fragment="").geturl()
    entry = ProviderEntry(id=ID, type="openai", base_url=base, api_key=key, auth=None if key else "none")
    config = Config(path=Path("config.toml"), providers={ID: entry}, network=network)
    name = details.name or target.host
    try:
        return await _build(
            config, entry, PublisherDetails(name, details.website, details.base_url), catalog or Catalog()
        )
    except AuthenticationFailed as refused:
        refused.provider = name
        refused.hint = "pass a valid key: `modelbay manifest build --from URL --api-key KEY`"
        raise


async def _build(
    config: Config, entry: ProviderEntry, details: PublisherDetails, catalog: Catalog, only: list[str] | None = None
) -> BuiltManifest:
    """The documents for the models in `only`, or for all listed models."""
    found = upstream(config, entry)
    manifest = _manifest(found, details)
    if only == []:
        raise ConfigError(
            f"{entry.id} has no configured models",
            hint="add models with `modelbay provider edit`, or publish all listed models with --all-models",
            provider=entry.id,
        )
    notes: list[str] = []
    client = ProviderClient(config)
    try:
        discovery = await discover(config, entry, client.fetch)
        notes += discovery.problems
        listed = discovery.models
        if only is not None:
            known = {one.id: one for one in listed}
            listed = [known.get(id) or Listed(id=id) for id in dict.fromkeys(only)]
            notes += [
                f"{one.id} is configured, but not in the provider's list" for one in listed if one.id not in known
            ]
        if discovery.base_url and details.base_url is None:
            manifest = _manifest(found, PublisherDetails(details.name, details.website, discovery.base_url))
            notes.append(f"{manifest['baseUrl']} is used as the base URL, because the list was found there")
    except MissingCredential:
        raise
    except ConfigError:
        listed = [Listed(id=one.model) for one in config.models.values() if one.provider == entry.id]
        if not listed:
            raise
        notes.append("the provider has no model list; only configured models are written")
    finally:
        await client.aclose()
    built = BuiltManifest(manifest, {}, notes=notes)
    _add_models(built, config, entry, listed, catalog)
    if not built.models:
        raise ConfigError(f"{details.name} lists no chat models", hint="check the model list", provider=entry.id)
    return built


def _add_models(
    built: BuiltManifest, config: Config, entry: ProviderEntry, listed: list[Listed], catalog: Catalog
) -> None:
    models_dev_facts = _ModelsDevFacts(catalog)
    skipped = 0
    for one in listed:
        id = one.id
        if not one.chats or one.status == "inactive":
            skipped += 1
            continue
        if not id.strip() or not id.isprintable() or id != id.strip() or len(id) > 2 * LONGEST or KEY.search(id):
            built.notes.append(
                "skipped 1 model: its ID looks like a key, or contains control characters or outer spaces"
            )
            continue
        own = next((model for model in config.models.values() if (model.provider, model.model) == (entry.id, id)), None)
        named = own or ModelEntry(alias=f"{entry.id}/{id}", provider=entry.id, model=id, configured=False)
        target = fitted(upstream(config, entry, named))
        others = [pair for pair in catalog.facts(named, target) if pair[1] not in (LIST, PROBE)]
        # priority: manifest or registry, model list, models.dev
        said = sorted([(one.facts, LIST), *others], key=lambda pair: (pair[1] == MODELS_DEV, pair[1] == LIST))
        model = model_facts(named, target, said)
        table, sources = _table(id, model)
        for name in MODEL_FIELDS:
            for value, source in (
                (_own(named, name), "config"),
                (named.listed.get(name), MANIFEST),
                (one.extra.get(name), LIST),
                (models_dev_facts.of(target, id, name), MODELS_DEV),
            ):
                if _is_valid(name, value):
                    table[name], sources[name] = value, source
                    break
        if table.get("release_date", "") > table.get("last_updated", "9"):
            table.pop("last_updated")
            sources.pop("last_updated")
        built.models[id] = {name: table[name] for name in FIELDS if name in table}
        for name, source in sources.items():
            built.sources.setdefault(name, Counter())[source] += 1
    if skipped:
        built.notes.append(f"skipped {skipped} non-chat or inactive model{'s' if skipped > 1 else ''}")


def _table(id: str, model: Model) -> tuple[Extra, dict[str, str]]:
    """A model's table with its known fields, and the source of each field."""

    def source(*facts: str) -> str | None:
        """The source of facts; None if one of them is unknown or follows from the model's name only."""
        found = [model.sources.get(fact, "default") for fact in facts]
        return None if not found or any(one in GUESSED for one in found) else found[0]

    table: Extra = {"id": id, "name": id}
    sources: dict[str, str] = {}

    def put(name: str, value: Json, said: str | None) -> None:
        if said is not None:
            table[name], sources[name] = value, said

    if model.name and model.name.strip().isprintable() and len(model.name) <= LONGEST and not KEY.search(model.name):
        put("name", model.name.strip(), source("name"))
    for name, capability in SWITCHES.items():
        if (can := model.can(capability)) is not None:
            put(name, can, source(capability))
    if all(model.can(capability) is not None for capability in REQUIRED_INPUTS):
        takes = [word for capability, word in INPUTS.items() if model.can(capability)]
        makes = [word for capability, word in OUTPUTS.items() if model.can(capability)]
        said = source(*REQUIRED_INPUTS)
        put("attachment", bool(takes), said)
        put("modalities", {"input": ["text", *takes], "output": ["text", *makes]}, said)
    if model.cost is not None and (cost := _cost(model.cost)):
        put("cost", cost, source("cost"))
    context, output = model.max_context_tokens, model.max_output_tokens
    if context and source("max_context_tokens"):
        limit: Extra = {"context": context}
        if output and output <= context and source("max_output_tokens"):
            limit["output"] = output
        put("limit", limit, source("max_context_tokens"))
    return table, sources


def _cost(cost: Cost) -> Extra:
    """The prices; {} if the price for input or output is missing."""
    prices: dict[str, float | None] = {name: getattr(cost, name) for name in Cost.__struct_fields__}
    if prices["input"] is None or prices["output"] is None or any((price or 0) < 0 for price in prices.values()):
        return {}
    if too_cheap({**prices}) is not None:
        return {}
    return {name: int(price) if price == int(price) else price for name, price in prices.items() if price is not None}


def _manifest(found: Upstream, details: PublisherDetails) -> dict[str, str]:
    """The manifest without its data source.

    Raises:
        ConfigError: a field is missing, or the base URL cannot be published.
    """
    if details.base_url is None and found.protocol != "openai_chat":
        raise ConfigError(
            f"a manifest requires OpenAI Chat Completions, but {found.provider.id} uses {found.protocol}",
            hint="pass the base URL of its Chat Completions API with --base-url",
            provider=found.provider.id,
        )
    if details.base_url is None and found.preset is not None and found.preset.addressing != "plain":
        hint = "pass the base URL of your own gateway with --base-url"
        message = f"{found.provider.id} has a different base URL for each customer"
        raise ConfigError(message, hint=hint, provider=found.provider.id)
    website = _link(details.website, "--website", "https://acme.example")
    base = _link(details.base_url or urls.base_of(found.base_url), "--base-url", "https://api.acme.example/v1")
    plain = urlsplit(base)._replace(query="", fragment="").geturl() == base and not urls.without_user(base)[1]
    if not plain or urls.is_endpoint(base) or "{" in base or KEY.search(base):
        raise ConfigError(
            "the base URL cannot be published: it has a password, a query, a placeholder or the path of an endpoint",
            hint="pass a plain base URL with --base-url",
            provider=found.provider.id,
        )
    name = (details.name or "").strip()
    if not name or not name.isprintable() or len(name) > LONGEST or KEY.search(name):
        message = "the name cannot be published: it is empty or too long, looks like a key or has control characters"
        raise ConfigError(message, hint="pass another one with --name", provider=found.provider.id)
    return {"name": name, "website": website, "baseUrl": base.rstrip("/")}


def _link(written: str | None, option: str, example: str) -> str:
    link = (written or "").strip()
    try:
        origin(link)
    except ValueError as error:
        problem = f"{option}: {error}" if link else f"missing {option}"
        raise InvalidValue(problem, hint=f"pass {option} {example}") from None
    return link


def _own(entry: ModelEntry, name: str) -> Json:
    value: Any = getattr(entry, name, None)
    return entry.extra.get(name) if value is None else value


def _is_valid(name: str, value: Json) -> bool:
    if name == "open_weights":
        return isinstance(value, bool)
    return isinstance(value, str) and DAY.fullmatch(value) is not None and day(value) is not None


class _ModelsDevFacts:
    """Facts of models.dev about a model at any provider: its dates, and whether its weights are open."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._entries: dict[str, list[tuple[str, str, Extra]]] | None = None

    def of(self, found: Upstream, wire_id: str, name: str) -> Json:
        """The value in the provider's own entry, otherwise the most common value of all providers."""
        if self._entries is None:
            self._entries = _by_name(self._catalog.models_dev)
        entries = self._entries.get(bare(wire_id), [])
        names = self._catalog.names(found)
        for provider in names:
            for known, id, raw in entries:
                if known == provider and id.lower() == wire_id.lower() and raw.get(name) is not None:
                    return raw[name]
        return _most_common(raw.get(name) for _, _, raw in entries)


def _by_name(models_dev: ModelsDev) -> dict[str, list[tuple[str, str, Extra]]]:
    found: dict[str, list[tuple[str, str, Extra]]] = {}
    for provider, entry in models_dev.providers.items():
        for id, raw in entry["models"].items():
            if isinstance(raw, dict):
                found.setdefault(bare(id), []).append((provider, id, raw))
    return found


def _most_common(values: Iterable[Json]) -> Json:
    known: list[str | bool] = [value for value in values if isinstance(value, str | bool)]
    return Counter(known).most_common(1)[0][0] if known else None


def write(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Write the files of a `BuiltManifest`, and return their paths. Only earlier files of this kind are overwritten.

    Raises:
        ConfigError: another file has this name, such as a web app's manifest.json.
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / name: text for name, text in files.items()}
    for path in paths:
        if path.exists() and not _may_overwrite(path.read_bytes()):
            raise ConfigError(f"{path} exists and is not a manifest", hint="pass another path with --output")
    for path, text in paths.items():
        path.write_bytes(text)
    return list(paths)


def _may_overwrite(content: bytes) -> bool:
    """Whether a file may be overwritten: it is empty, a manifest, extended models, or embedded JSON."""
    if not content.strip():
        return True
    try:
        read = decode(content)
    except MalformedReply:
        return False
    table = read[0] if isinstance(read, list) and read else read
    return isinstance(table, dict) and ("models_data_source" in table or list(table) == ["models"])


def _text(value: Any) -> bytes:
    """Indented JSON.

    Raises:
        ConfigError: it would contain a key.
    """
    text = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    if redact(text.decode()) != text.decode():
        raise ConfigError("a key would be published", hint="remove the key from the name, the URLs or the model list")
    return text
