"""Writing a manifest and extended models from what is known of a provider; nothing is guessed, and no key gets in."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from modelbay.catalog.formats.manifest import DAY, LONGEST
from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.catalog.lists.discovery import discover
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import LIST, MODELS_DEV, Catalog
from modelbay.catalog.models_dev.index import bare
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.config.schema import MANIFEST, Config, ModelEntry, Network, ProviderEntry
from modelbay.conversation import Extra, Json
from modelbay.errors import AuthenticationFailed, ConfigError, MalformedReply, MissingCredential
from modelbay.json_text import decode
from modelbay.line import ProviderClient
from modelbay.model import Capability, Cost, Model
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.providers.upstream import Upstream, upstream
from modelbay.publishing.models import FIELDS, day
from modelbay.secrecy import KEY, redact

NETWORK = Network()
ID = "published"
"""What a provider is called that is only known by its address."""
SWITCHES: dict[str, Capability] = {"reasoning": "thinking", "temperature": "temperature", "tool_call": "tool_use"}
INPUTS: dict[Capability, str] = {"image_in": "image", "audio_in": "audio", "video_in": "video", "document_in": "pdf"}
OUTPUTS: dict[Capability, str] = {"image_out": "image", "audio_out": "audio"}
SURE: tuple[Capability, ...] = ("image_in", "audio_in", "video_in")
"""What must be known, one way or the other, for a list of modalities to be complete."""
OF_THE_MODEL = ("release_date", "last_updated", "open_weights")
"""What holds for a model wherever it runs."""
GUESSED = ("prefix", "default")
"""Sources that only go by a model's name: good enough to use a model, not to vouch for it."""


class About(Struct):
    """What the provider says of itself; what is missing is taken from its entry."""

    name: str | None = None
    website: str | None = None
    base_url: str | None = None


class Built(Struct):
    """What is to be published, and what there is to say of it."""

    manifest: dict[str, str]
    models: dict[str, Extra]
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    """For each field, how many models have it from whom."""
    notes: list[str] = field(default_factory=list)

    def lacking(self) -> dict[str, list[str]]:
        """For each field, the models that lack it."""
        found = {name: [id for id, model in self.models.items() if name not in model] for name in FIELDS}
        return {name: ids for name, ids in found.items() if ids}

    def files(self) -> dict[str, bytes]:
        """The hosted form: the text of each file by its name.

        Raises:
            ConfigError: a key would be in it.
        """
        manifest = {**self.manifest, "models_data_source": "endpoint"}
        return {"manifest.json": _text(manifest), "models.json": _text({"models": self.models})}

    def embedded(self) -> bytes:
        """The embedded form. Raises as `files` does."""
        return _text([{**self.manifest, "models_data_source": "embedded"}, {"models": self.models}])


async def build_configured(
    config: Config, provider: str, about: About, catalog: Catalog | None = None, *, whole: bool = False
) -> Built:
    """What a configured provider publishes: the models that are configured, or with `whole` all that it lists.

    Raises:
        UnknownProvider, ConfigError: it cannot be used, or not be published.
        ModelbayError: it did not give its list.
    """
    entry = config.provider(provider)
    found = upstream(config, entry)
    name = about.name or entry.name or (found.preset.name if found.preset else entry.id)
    website = about.website or (entry.source or {}).get("website")
    about = About(name, website, about.base_url)
    only = None if whole else [one.model for one in config.models.values() if one.provider == entry.id]
    return await _build(config, entry, about, catalog or Catalog(), only)


async def build_listed(
    url: str, key: str | None, about: About, catalog: Catalog | None = None, network: Network | None = NETWORK
) -> Built:
    """What the provider publishes whose plain list, or base URL, is at an address. Raises as `build_configured` does."""
    try:
        there = origin(url)
    except ValueError as error:
        raise ConfigError(f"that is no address of a list of models: {error}") from None
    parts = urlsplit(url)
    base = parts._replace(path=parts.path.rstrip("/").removesuffix("/models"), fragment="").geturl()
    entry = ProviderEntry(id=ID, type="openai", base_url=base, api_key=key, auth=None if key else "none")
    config = Config(path=Path("config.toml"), providers={ID: entry}, network=network)
    name = about.name or there.host
    try:
        return await _build(config, entry, About(name, about.website, about.base_url), catalog or Catalog())
    except AuthenticationFailed as refused:
        refused.provider = name
        refused.hint = "give a key that it takes: `modelbay manifest build --from URL --api-key KEY`"
        raise


async def _build(
    config: Config, entry: ProviderEntry, about: About, catalog: Catalog, only: list[str] | None = None
) -> Built:
    """What is published, of the models in `only`, or of all that are listed."""
    found = upstream(config, entry)
    manifest = _manifest(found, about)
    if only == []:
        raise ConfigError(
            f"{entry.id} has no configured models",
            hint="add some with `modelbay provider edit`, or publish all that it lists with --all-models",
            provider=entry.id,
        )
    notes: list[str] = []
    line = ProviderClient(config)
    try:
        discovery = await discover(config, entry, line.fetch)
        notes += discovery.problems
        listed = discovery.models
        if only is not None:
            known = {one.id: one for one in listed}
            listed = [known.get(id) or Listed(id=id) for id in dict.fromkeys(only)]
            notes += [
                f"{one.id} is configured, and not in the provider's list" for one in listed if one.id not in known
            ]
        if discovery.base_url and about.base_url is None:
            manifest = _manifest(found, About(about.name, about.website, discovery.base_url))
            notes.append(f"it answers at {manifest['baseUrl']}, which is taken for its base URL")
    except MissingCredential:
        raise
    except ConfigError:
        listed = [Listed(id=one.model) for one in config.models.values() if one.provider == entry.id]
        if not listed:
            raise
        notes.append("it has no model list; those that are configured are written")
    finally:
        await line.aclose()
    built = Built(manifest, {}, notes=notes)
    _add_models(built, config, entry, listed, catalog)
    if not built.models:
        raise ConfigError(f"{about.name} lists no model that can be talked to", provider=entry.id)
    return built


def _add_models(built: Built, config: Config, entry: ProviderEntry, listed: list[Listed], catalog: Catalog) -> None:
    dated = _Dated(catalog)
    beside = 0
    for one in listed:
        id = one.id
        if not one.chats or one.status == "inactive":
            beside += 1
            continue
        if not id.strip() or not id.isprintable() or id != id.strip() or len(id) > 2 * LONGEST or KEY.search(id):
            built.notes.append(
                "an id looks like a key, or has spaces around it or control characters in it: it is left out"
            )
            continue
        own = next((model for model in config.models.values() if (model.provider, model.model) == (entry.id, id)), None)
        named = own or ModelEntry(alias=f"{entry.id}/{id}", provider=entry.id, model=id, configured=False)
        target = fitted(upstream(config, entry, named))
        others = [pair for pair in catalog.said(named, target) if pair[1] != LIST]
        # a manifest's or registry's word goes before the list's, and that before what models.dev says
        said = sorted([(one.facts, LIST), *others], key=lambda pair: (pair[1] == MODELS_DEV, pair[1] == LIST))
        model = model_facts(named, target, said)
        table, sources = _table(id, model)
        for name in OF_THE_MODEL:
            for value, source in (
                (_own(named, name), "config"),
                (named.listed.get(name), MANIFEST),
                (one.extra.get(name), LIST),
                (dated.of(target, id, name), MODELS_DEV),
            ):
                if _is_fit(name, value):
                    table[name], sources[name] = value, source
                    break
        if table.get("release_date", "") > table.get("last_updated", "9"):
            table.pop("last_updated")
            sources.pop("last_updated")
        built.models[id] = {name: table[name] for name in FIELDS if name in table}
        for name, source in sources.items():
            built.sources.setdefault(name, Counter())[source] += 1
    if beside:
        built.notes.append(f"{beside} of its list cannot be talked to and are left out")


def _table(id: str, model: Model) -> tuple[Extra, dict[str, str]]:
    """A model's table, in which only what is known stands, and where each field is from."""

    def source(*facts: str) -> str | None:
        """Who says all of these; None where nobody does, or a name alone."""
        told = [model.sources.get(fact, "default") for fact in facts]
        return None if not told or any(one in GUESSED for one in told) else told[0]

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
    if all(model.can(capability) is not None for capability in SURE):
        takes = [word for capability, word in INPUTS.items() if model.can(capability)]
        makes = [word for capability, word in OUTPUTS.items() if model.can(capability)]
        said = source(*SURE)
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
    """The prices, where both that everybody has are there."""
    prices: dict[str, float | None] = {name: getattr(cost, name) for name in Cost.__struct_fields__}
    if prices["input"] is None or prices["output"] is None or any((price or 0) < 0 for price in prices.values()):
        return {}
    if 0 < max(prices["input"], prices["output"]) < 0.002:
        return {}  # for one token, whatever the source says
    return {name: int(price) if price == int(price) else price for name, price in prices.items() if price is not None}


def _manifest(found: Upstream, about: About) -> dict[str, str]:
    """The manifest without its data source.

    Raises:
        ConfigError: it would lack something, or its address cannot be published.
    """
    if about.base_url is None and found.protocol != "openai_chat":
        raise ConfigError(
            f"a manifest is for providers that speak OpenAI's Chat Completions, and this one speaks {found.protocol}",
            hint="say with --base-url where it has them",
            provider=found.provider.id,
        )
    if about.base_url is None and found.preset is not None and found.preset.addressing != "plain":
        hint = "publish the base URL of a gateway of yours with --base-url"
        raise ConfigError("every customer of it has another address", hint=hint, provider=found.provider.id)
    website = _link(about.website, "--website", "https://acme.example")
    base = _link(about.base_url or urls.base_of(found.base_url), "--base-url", "https://api.acme.example/v1")
    plain = urlsplit(base)._replace(query="", fragment="").geturl() == base and not urls.without_user(base)[1]
    if not plain or urls.is_endpoint(base) or "{" in base or KEY.search(base):
        raise ConfigError(
            "its base URL has a password, a query, a placeholder or a whole endpoint's path: no manifest can carry that",
            hint="say the plain one with --base-url",
            provider=found.provider.id,
        )
    name = (about.name or "").strip()
    if not name or not name.isprintable() or len(name) > LONGEST or KEY.search(name):
        raise ConfigError(
            "its name cannot be published", hint="say another one with --name", provider=found.provider.id
        )
    return {"name": name, "website": website, "baseUrl": base.rstrip("/")}


def _link(written: str | None, option: str, example: str) -> str:
    link = (written or "").strip()
    try:
        origin(link)
    except ValueError as error:
        problem = "is missing" if not link else f"is no link: {error}"
        raise ConfigError(f"what {option} says {problem}", hint=f"add {option} {example}") from None
    return link


def _own(entry: ModelEntry, name: str) -> Json:
    value: Any = getattr(entry, name, None)
    return entry.extra.get(name) if value is None else value


def _is_fit(name: str, value: Json) -> bool:
    if name == "open_weights":
        return isinstance(value, bool)
    return isinstance(value, str) and DAY.fullmatch(value) is not None and day(value) is not None


class _Dated:
    """What models.dev says of a model as such: when it came, and whether its weights are open."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._entries: dict[str, list[tuple[str, str, Extra]]] | None = None

    def of(self, found: Upstream, wire_id: str, name: str) -> Json:
        """The provider's own entry's word, else that of most who have the model."""
        if self._entries is None:
            self._entries = _by_name(self._catalog.models_dev)
        entries = self._entries.get(bare(wire_id), [])
        names = self._catalog.names(found)
        for provider in names:
            for known, id, raw in entries:
                if known == provider and id.lower() == wire_id.lower() and raw.get(name) is not None:
                    return raw[name]
        return _most(raw.get(name) for _, _, raw in entries)


def _by_name(models_dev: ModelsDev) -> dict[str, list[tuple[str, str, Extra]]]:
    found: dict[str, list[tuple[str, str, Extra]]] = {}
    for provider, entry in models_dev.providers.items():
        for id, raw in entry["models"].items():
            if isinstance(raw, dict):
                found.setdefault(bare(id), []).append((provider, id, raw))
    return found


def _most(values: Iterable[Json]) -> Json:
    known: list[str | bool] = [value for value in values if isinstance(value, str | bool)]
    return Counter(known).most_common(1)[0][0] if known else None


def write(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Writes files of `Built`, over earlier ones of its kind and nothing else; the paths of all.

    Raises:
        ConfigError: a file of that name is something else, as a web app's manifest.json.
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / name: text for name, text in files.items()}
    for path in paths:
        if path.exists() and not _is_ours(path.read_bytes()):
            raise ConfigError(f"{path} is there, and is something else", hint="name another place with --output")
    for path, text in paths.items():
        path.write_bytes(text)
    return list(paths)


def _is_ours(content: bytes) -> bool:
    """Whether a file may be written over: it is empty, a manifest, extended models, or both in an array."""
    if not content.strip():
        return True
    try:
        read = decode(content)
    except MalformedReply:
        return False
    table = read[0] if isinstance(read, list) and read else read
    return isinstance(table, dict) and ("models_data_source" in table or list(table) == ["models"])


def _text(value: Any) -> bytes:
    """JSON for people to read, without a key in it."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    if redact(text.decode()) != text.decode():
        raise ConfigError(
            "a key would be published", hint="it stands in the name, in an address or in what the list says"
        )
    return text
